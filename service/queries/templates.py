"""Template images."""

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


async def lock(db: Runner) -> None:
    """Stand in line with those who use or remove templates until the transaction ends."""
    await db.run("template_lock")


async def add(
    db: Runner, template_id: UUID, path: str, info: ImageInfo, size: int, sha256: Digest
) -> None:
    """Remember a template image of `size` bytes; the same bytes are kept once."""
    await db.run(
        "template_add",
        *(template_id, path, info.mime, size, sha256, info.width, info.height),
    )


async def by_digest(db: Runner, sha256: Digest) -> Template | None:
    """The template with these bytes."""
    row = await db.one("template_by_digest", sha256)
    return Template(**row) if row else None


async def by_ids(db: Runner, ids: Sequence[UUID]) -> list[Template]:
    """Those of the templates that exist."""
    return [Template(**row) for row in await db.many("template_by_ids", ids)] if ids else []


async def all(db: Runner) -> list[ListedTemplate]:
    """Every template with its users."""
    return [ListedTemplate(**row) for row in await db.many("template_all")]


async def remove(db: Runner, template_id: UUID) -> str | None:
    """Forget an unused template; its path, or None while something uses it."""
    path: str | None = await db.value("template_remove", template_id)
    return path
