"""Template images, and files whose time is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from service.crypto import Digest
from service.pictures.inspect import ImageInfo
from service.storage.database import Runner


@dataclass(frozen=True, slots=True)
class Template:
    """A template image."""

    id: UUID
    path: str
    mime: str
    bytes: int
    width: int
    height: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ListedTemplate:
    """A template image with the slots that use it now and the number of kept versions that do."""

    id: UUID
    path: str
    mime: str
    bytes: int
    width: int
    height: int
    created_at: datetime
    used_by: Sequence[str]
    kept_versions: int


@dataclass(frozen=True, slots=True)
class ExpiredFile:
    """A file to remove."""

    id: UUID
    path: str
    bytes: int
    expires_at: datetime


async def template_lock(db: Runner) -> None:
    """Stand in line with those who use or remove templates until the transaction ends."""
    await db.run("template_lock")


async def template_add(
    db: Runner, template_id: UUID, path: str, info: ImageInfo, size: int, sha256: Digest
) -> None:
    """Remember a template image of `size` bytes; the same bytes are kept once."""
    await db.run(
        "template_add",
        *(template_id, path, info.mime, size, sha256, info.width, info.height),
    )


async def template_by_digest(db: Runner, sha256: Digest) -> Template | None:
    """The template with these bytes."""
    row = await db.one("template_by_digest", sha256)
    return Template(**row) if row else None


async def template_by_ids(db: Runner, ids: Sequence[UUID]) -> list[Template]:
    """Those of the templates that exist."""
    return [Template(**row) for row in await db.many("template_by_ids", ids)] if ids else []


async def template_list(db: Runner) -> list[ListedTemplate]:
    """Every template with its users."""
    return [ListedTemplate(**row) for row in await db.many("template_list")]


async def template_remove(db: Runner, template_id: UUID) -> str | None:
    """Forget an unused template; its path, or None while something uses it."""
    path: str | None = await db.value("template_remove", template_id)
    return path


async def media_expired(
    db: Runner, slot_id: str | None, last: ExpiredFile | None, limit: int
) -> list[ExpiredFile]:
    """A batch of files whose time is over, behind `last`; locked until the transaction ends."""
    place = (last.expires_at, last.id) if last else (None, None)
    return [ExpiredFile(**row) for row in await db.many("media_expired", slot_id, *place, limit)]


async def media_clean(db: Runner, ids: Sequence[UUID]) -> None:
    """These files are removed."""
    await db.run("media_clean", ids)
