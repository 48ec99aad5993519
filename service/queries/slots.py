"""Slots: as a camera meets them, as admins see them, and what they once were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from service.storage.database import Database, Runner


@dataclass(frozen=True, slots=True)
class TemplateUse:
    """A template image in the role a plan gives it."""

    role: str
    media_id: UUID


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """What a slot orders, as it was saved: from whom, what, how, with which template images."""

    provider: str
    operation: str
    settings: Mapping[str, Any]
    templates: tuple[TemplateUse, ...]


@dataclass(frozen=True, slots=True)
class IngestSlot:
    """A slot as a camera's request meets it, with everything in force for one shot."""

    id: str
    version: int
    provider: str
    operation: str
    settings: Mapping[str, Any]
    templates: Sequence[Mapping[str, Any]]
    fallback: Mapping[str, Any] | None
    output: Mapping[str, Any]
    is_active: bool
    ingest_password_hash: str | None
    size_limit_mb: int
    max_in_flight: int
    daily_limit: int | None
    max_side_px: int
    sync_response_seconds: int
    result_ttl_hours: int
    provider_max_in_flight: Mapping[str, int] | None
    blocked_seconds: int | None

    @property
    def max_bytes(self) -> int:
        """The largest photo it takes."""
        return self.size_limit_mb * 1024**2

    @property
    def plans(self) -> tuple[SlotPlan, ...]:
        """The slot's own plan, then its fallback."""
        return _plans(self)


async def for_ingest(
    db: Database, slot_id: str, subject: bytes, ttl_hours: int
) -> IngestSlot | None:
    """The slot, its window and limits, and for how long `subject` is still shut out."""
    row = await db.one("slot_for_ingest", slot_id, subject, ttl_hours)
    return IngestSlot(**row) if row else None


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot as admins see it."""

    id: str
    name: str
    provider: str
    operation: str
    settings: Mapping[str, Any]
    templates: Sequence[Mapping[str, Any]]
    fallback: Mapping[str, Any] | None
    output: Mapping[str, Any]
    is_active: bool
    size_limit_mb: int
    max_in_flight: int
    daily_limit: int | None
    sync_response_seconds: int | None
    max_side_px: int
    version: int
    updated_at: datetime
    updated_by: str
    has_ingest_password: bool

    @property
    def plans(self) -> tuple[SlotPlan, ...]:
        """The slot's own plan, then its fallback."""
        return _plans(self)


def _plans(slot: IngestSlot | Slot) -> tuple[SlotPlan, ...]:
    own = SlotPlan(slot.provider, slot.operation, slot.settings, _uses(slot.templates))
    if slot.fallback is None:
        return (own,)
    second = slot.fallback
    settings, templates = second.get("settings", {}), _uses(second.get("templates", ()))
    return own, SlotPlan(second["provider"], second["operation"], settings, templates)


def _uses(templates: Sequence[Mapping[str, Any]]) -> tuple[TemplateUse, ...]:
    return tuple(TemplateUse(use["role"], UUID(use["media_id"])) for use in templates)


@dataclass(frozen=True, slots=True)
class SlotShot:
    """How a slot's last shot ended, and how its first call of a provider did."""

    slot_id: str
    status: str
    created_at: datetime
    provider: str
    outcome: str
    details: str | None


@dataclass(frozen=True, slots=True)
class SlotVersion:
    """What a slot once was."""

    version: int
    snapshot: Mapping[str, Any]
    created_at: datetime
    created_by: str


async def all(db: Runner) -> list[Slot]:
    """Every slot."""
    return [Slot(**row) for row in await db.many("slot_all")]


async def by_id(db: Runner, slot_id: str) -> Slot | None:
    """One slot."""
    row = await db.one("slot_by_id", slot_id)
    return Slot(**row) if row else None


async def last_shots(db: Runner) -> list[SlotShot]:
    """The last shots of those slots that had one lately."""
    return [SlotShot(**row) for row in await db.many("slot_last_shots")]


async def update(
    db: Runner, slot_id: str, version: int, fields: Mapping[str, Any], admin: str
) -> int | None:
    """Write a new version over `version`; its number, or None when that is no longer the newest."""
    new: int | None = await db.value(
        "slot_update",
        *(slot_id, version, fields["name"], fields["provider"], fields["operation"]),
        *(fields["settings"], fields["templates"], fields["fallback"], fields["output"]),
        *(fields["is_active"], fields["size_limit_mb"], fields["max_in_flight"]),
        *(fields["daily_limit"], fields["sync_response_seconds"], fields["max_side_px"], admin),
    )
    return new


async def set_every_ingest_password(db: Runner, password_hash: str) -> int:
    """Give every slot this hash; the number of slots."""
    return await db.run("slot_set_every_ingest_password", password_hash)


async def set_ingest_password(db: Runner, slot_id: str, password_hash: str) -> None:
    """Give one slot this hash."""
    await db.run("slot_set_ingest_password", slot_id, password_hash)


async def version_page(
    db: Runner, slot_id: str, before: int | None, limit: int
) -> list[SlotVersion]:
    """Versions below `before`, newest first."""
    rows = await db.many("slot_version_page", slot_id, before, limit)
    return [SlotVersion(**row) for row in rows]


async def version_by_number(db: Runner, slot_id: str, version: int) -> SlotVersion | None:
    """One version."""
    row = await db.one("slot_version_by_number", slot_id, version)
    return SlotVersion(**row) if row else None


@dataclass(frozen=True, slots=True)
class SlotUse:
    """What a slot may do and how much of it is used; `shots_today` only counts under a limit."""

    id: str
    provider: str
    is_active: bool
    window_seconds: int
    max_in_flight: int
    in_flight: int
    daily_limit: int | None
    shots_today: int


async def usage(db: Database, timezone: str) -> list[SlotUse]:
    """Every slot's limits and use; a day begins at midnight in `timezone`."""
    return [SlotUse(**row) for row in await db.many("slot_usage", timezone)]
