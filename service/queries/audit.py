"""Audit log: who did what."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.storage.database import Runner

MAX_USERNAME = 100


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One sign-in or change."""

    id: int
    at: datetime
    actor: str
    address: str
    action: str
    target: str
    details: Mapping[str, Any]


async def add(
    db: Runner, actor: str, address: str, action: str, target: str, details: Mapping[str, Any]
) -> None:
    """Write an entry; best in the transaction of the change itself."""
    await db.run("audit_add", actor, address, action, target, details)


async def page(
    db: Runner, before: int | None, actor: str | None, action: str | None, limit: int
) -> list[AuditEntry]:
    """Entries below `before`, newest first."""
    return [AuditEntry(**row) for row in await db.many("audit_page", before, actor, action, limit)]


async def signed_in_from(db: Runner, actor: str, days: int, limit: int) -> list[str]:
    """The addresses of the last sign-ins of `actor`, not older than `days`."""
    rows = await db.many("audit_signed_in_from", actor, days, limit)
    return [row["address"] for row in rows]
