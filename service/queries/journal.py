"""Journal: its pages, and a job's whole story."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from service.crypto import Digest
from service.queries.jobs import Visibility
from service.storage.database import Database, Runner, Transaction


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; None lets everything through."""

    slot_id: str | None = None
    status: str | None = None
    reason: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Keyset:
    """A place between two jobs of the journal."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class JobRow:
    """A line of the journal."""

    id: UUID
    slot_id: str
    slot_version: int
    source: str
    status: str
    failure_reason: str | None
    provider: str
    operation: str
    created_at: datetime
    finished_at: datetime | None
    client_address: str
    source_bytes: int | None
    upload_ms: int | None
    queue_ms: int | None
    provider_ms: int | None
    store_ms: int | None
    total_ms: int | None
    attempt_count: int
    tokens: int | None
    cost_microusd: int | None
    stored: bool | None
    delivered: bool | None


@dataclass(frozen=True, slots=True)
class JobStory(Visibility):
    """All that is written of a job."""

    id: UUID
    slot_id: str
    slot_version: int
    source: str
    status: str
    failure_reason: str | None
    failure_details: str | None
    provider: str
    operation: str
    created_at: datetime
    deadline_at: datetime | None
    finished_at: datetime | None
    client_address: str
    device: Mapping[str, str]
    source_sha256: Digest | None
    source_mime: str | None
    source_bytes: int | None
    source_width: int | None
    source_height: int | None
    attempts: Sequence[Mapping[str, Any]]
    upload_ms: int | None
    queue_ms: int | None
    provider_ms: int | None
    store_ms: int | None
    total_ms: int | None
    attempt_count: int
    tokens: int | None
    cost_microusd: int | None
    stored: bool | None
    delivered: bool | None
    result_mime: str | None
    result_bytes: int | None
    result_width: int | None
    result_height: int | None
    result_expires_at: datetime | None
    result_cleaned_at: datetime | None


async def page_older(
    db: Database, wanted: JobFilter, place: Keyset | None, limit: int
) -> list[JobRow]:
    """Jobs below `place` (or from the top), newest first."""
    below = (place.created_at, place.id) if place else (None, None)
    async with db.transaction() as transaction:
        await plan_for_values(transaction)
        rows = await transaction.many("journal_page_older", *astuple(wanted), *below, limit)
    return [JobRow(**row) for row in rows]


async def page_newer(db: Database, wanted: JobFilter, place: Keyset, limit: int) -> list[JobRow]:
    """Jobs just above `place`, oldest first."""
    above = (place.created_at, place.id)
    async with db.transaction() as transaction:
        await plan_for_values(transaction)
        rows = await transaction.many("journal_page_newer", *astuple(wanted), *above, limit)
    return [JobRow(**row) for row in rows]


async def failures(db: Database, wanted: JobFilter, limit: int) -> list[JobRow]:
    """The newest jobs that failed or timed out."""
    span = (wanted.since, wanted.until)
    async with db.transaction() as transaction:
        await plan_for_values(transaction)
        rows = await transaction.many("journal_failures", wanted.slot_id, *span, limit)
    return [JobRow(**row) for row in rows]


async def story(db: Runner, job_id: UUID) -> JobStory | None:
    """All that is written of one job."""
    row = await db.one("journal_story", job_id)
    return JobStory(**row) if row else None


async def plan_for_values(transaction: Transaction) -> None:
    """Have the statements of this transaction planned for their values."""
    await transaction.run("journal_plan_for_values")
