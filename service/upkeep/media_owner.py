"""Media owner: the media folder belongs to one database, and each knows the other by an id that
stands in both.

So a folder of another installation, or the empty place where a disk should be mounted, is never
served from and never cleaned.
"""

from dataclasses import replace

from service.errors import StorageError
from service.queries import installation
from service.storage.database import Runner
from service.storage.media import UNFINISHED, Media


async def claim_folder(db: Runner, media: Media) -> Media:
    """Start in this folder: the first start marks it, and makes what is in it. Gives it as one
    that must bear the mark from now on. Raises `StorageFull`, and `StorageError` in words for one
    that is another's, that has lost its mark, or that a backup was not wholly restored into."""
    known = await installation.folder(db)
    ours = replace(media, owner=known.id)
    if (ours.root / UNFINISHED).exists():
        private = f"a restore into {ours.root} was cut off: run bin/restore with its archive again"
        raise StorageError(private=private)
    if known.folder_marked_at is None and ours.mark() is None:
        ours.set_mark()
    ours.prepare()
    ours.probe()
    await installation.mark_folder(db)
    return ours


async def check_folder(db: Runner, media: Media) -> None:
    """Raises `StorageError` in words unless this is the folder of this database."""
    (await owned(db, media)).check()


async def owned(db: Runner, media: Media) -> Media:
    """The folder as one that must bear the mark of this database."""
    return replace(media, owner=(await installation.folder(db)).id)
