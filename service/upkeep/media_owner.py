"""Media owner: the media folder belongs to one database, and each knows the other by an id that
stands in both.

So a folder of another installation, or the empty place where a disk should be mounted, is never
served from and never cleaned.
"""

from service.errors import StorageError
from service.queries import installation
from service.queries.installation import Folder
from service.storage.database import Runner
from service.storage.media import MARK, Media


async def claim_folder(db: Runner, media: Media) -> None:
    """Start in this folder: the first start marks it. Raises `StorageError` in words for one that
    is another's, or that has lost its mark."""
    known = await installation.folder(db)
    if known.folder_marked_at is None and media.mark() is None:
        media.set_mark(known.id)
    _check(media, known)
    await installation.mark_folder(db)


async def check_folder(db: Runner, media: Media) -> None:
    """Raises `StorageError` in words unless this is the folder of this database."""
    _check(media, await installation.folder(db))


def _check(media: Media, known: Folder) -> None:
    mark = media.mark()
    if mark == str(known.id):
        return
    if mark is None:
        words = (
            f"{media.root} has no {MARK}: is its disk mounted? If it surely is the folder of this "
            f"database, write {known.id} into that file"
        )
    else:
        words = f"{media.root} belongs to another database, {mark}; this one is {known.id}"
    raise StorageError("The folder for pictures is not the one of this database.", private=words)
