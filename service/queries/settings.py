"""Settings: what admins may change for all slots."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.storage.database import Runner


@dataclass(frozen=True, slots=True)
class Setting:
    """One of them; `version` grows by one with each change."""

    key: str
    value: Any
    version: int
    updated_at: datetime
    updated_by: str


async def all(db: Runner) -> list[Setting]:
    """All settings."""
    return [Setting(**row) for row in await db.many("setting_all")]


async def lock(db: Runner) -> None:
    """Stand in line with other changes until the transaction ends."""
    await db.run("setting_lock")


async def put(db: Runner, key: str, value: Any, admin: str) -> None:
    """Set one."""
    await db.run("setting_put", key, value, admin)
