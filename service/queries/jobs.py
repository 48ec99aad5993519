"""Jobs: a shot's life in `job_history`, claimed, then ended once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from service.errors import DatabaseUnavailable
from service.queries.media import KeptFile
from service.queries.slots import IngestSlot
from service.storage.database import Database, Runner, Transaction

# A job is given up this long after its window.
INTERRUPT_GRACE_SECONDS = 5.0
# Nobody is dead before another process has been connected for so long: as long as it takes the
# slowest of the living to come back when all have lost their connections.
SETTLED_SECONDS = 6.0
ANSWER_LOST = "the claim was made, and its answer was lost with the connection"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan that may run: its provider, operation and model, and how many shots that provider may
    have in flight."""

    provider: str
    operation: str
    model: str
    limit: int | None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A shot that wants to be taken in: one field per column. It gets a place in
    flight for the first of `candidates` whose provider has one."""

    id: UUID
    slot: IngestSlot
    candidates: Sequence[Candidate]
    source: str
    created_at: datetime
    deadline_at: datetime
    client_address: str
    device: Mapping[str, str]
    idempotency_key: bytes | None
    source_sha256: bytes
    source_mime: str
    source_bytes: int
    source_width: int
    source_height: int
    upload_ms: int
    timezone: str
    path: str
    stale_at: datetime
    worker: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of a claim: `claimed` (`place` is the number of its candidate, from 1), `joined`
    (then the job is the running or finished twin), `idempotency_conflict`, or what refused it, and
    after how many seconds it may be otherwise."""

    outcome: str
    job_id: UUID
    place: int | None = None
    retry_seconds: int | None = None


async def claim(db: Database, job: NewJob) -> Claim:
    """Take a shot in under its limits, right under any number of processes.

    When the connection breaks before the answer is heard, the claim is made again and may meet
    itself. Raises `DatabaseUnavailable` when nobody knows any more what it said."""
    slot = job.slot
    try:
        row = await db.one(
            "job_claim",
            *(job.id, slot.id, slot.version, job.source),
            [one.provider for one in job.candidates],
            [one.operation for one in job.candidates],
            [one.model for one in job.candidates],
            [one.limit for one in job.candidates],
            *(job.created_at, job.deadline_at, job.client_address, job.device),
            *(job.idempotency_key, job.source_sha256, job.source_mime, job.source_bytes),
            *(job.source_width, job.source_height, job.upload_ms),
            *(slot.max_in_flight, slot.daily_limit, job.timezone),
            *(job.path, job.stale_at, job.worker, INTERRUPT_GRACE_SECONDS, SETTLED_SECONDS),
        )
    except asyncpg.UniqueViolationError as error:
        raise DatabaseUnavailable(private=ANSWER_LOST) from error
    assert row is not None
    claim = Claim(**row)
    if (claim.outcome, claim.job_id) != ("joined", job.id):
        return claim
    if len(job.candidates) > 1:
        raise DatabaseUnavailable(private=ANSWER_LOST)
    return Claim("claimed", job.id, place=1)


async def move(
    db: Database, job_id: UUID, to: Candidate, attempts: Sequence[Mapping[str, Any]], worker: int
) -> str | None:
    """Give a running shot a place at another provider, with what was tried so far; why there is
    none, or None when it has moved."""
    refusal: str | None = await db.value(
        "job_move",
        *(job_id, to.provider, to.operation, to.model, to.limit, attempts, worker),
        *(INTERRUPT_GRACE_SECONDS, SETTLED_SECONDS),
    )
    return refusal


@dataclass(frozen=True, slots=True)
class Stages:
    """Whole milliseconds of each stage of one shot; None for a stage it never reached."""

    upload: int | None = None
    queue: int | None = None
    provider: int | None = None
    store: int | None = None
    total: int | None = None


async def finish(
    db: Database,
    job_id: UUID,
    *,
    provider: str,
    model: str,
    attempts: Sequence[Mapping[str, Any]],
    stages: Stages,
    delivered: bool,
    result: KeptFile | None,
) -> bool:
    """Make a pending job done; without `result` its picture could not be stored. `model` is the one
    that was ordered: it works. False when the job had already ended."""
    kept = (
        (result.path, result.mime, result.bytes, result.sha256, result.width, result.height)
        if result
        else (None,) * 6
    )
    finished: int = await db.value(
        "job_finish",
        *(job_id, attempts, stages.queue, stages.provider, stages.store, stages.total),
        *(result is not None, delivered),
        *kept,
        *(result.expires_at if result else None, provider, model),
    )
    return finished == 1


async def fail(
    db: Database,
    job_id: UUID,
    *,
    slot: IngestSlot,
    source: str,
    status: str,
    reason: str,
    details: str | None,
    created_at: datetime,
    client_address: str,
    device: Mapping[str, str],
    source_sha256: bytes | None,
    source_bytes: int | None,
    attempts: Sequence[Mapping[str, Any]],
    stages: Stages,
) -> None:
    """End a shot badly, once: a pending job, or one that was refused before its claim."""
    await db.run(
        "job_fail",
        *(job_id, slot.id, slot.version, source, status, reason, details),
        *(slot.provider, slot.operation, created_at, client_address, device),
        *(source_sha256, source_bytes, attempts),
        *(stages.upload, stages.queue, stages.provider, stages.total),
    )


async def mark_undelivered(db: Database, job_id: UUID) -> None:
    """Remember that the device had gone before it had the whole picture."""
    await db.run("job_mark_undelivered", job_id)


async def forget(transaction: Transaction, job_id: UUID) -> None:
    """Leave of a job only what is counted."""
    await transaction.run("job_forget", job_id)


class Visibility:
    """Who may see a job's picture, and until when."""

    __slots__ = ()

    source: str
    result_expires_at: datetime | None
    result_cleaned_at: datetime | None

    @property
    def is_test(self) -> bool:
        """The picture of a test shot is for admins."""
        return self.source == "test"

    @property
    def is_over(self) -> bool:
        """A picture is gone from the second it expires, whether or not its file is."""
        expires_at = self.result_expires_at
        return self.result_cleaned_at is not None or (
            expires_at is not None and expires_at <= datetime.now(UTC)
        )

    @property
    def is_public(self) -> bool:
        """Whether everybody who knows the job sees its picture now."""
        return not (self.is_test or self.is_over or self.result_expires_at is None)


@dataclass(frozen=True, slots=True)
class Job(Visibility):
    """How a job stands; the result's fields are None unless its picture was stored."""

    id: UUID
    slot_id: str
    slot_version: int
    source: str
    status: str
    failure_reason: str | None
    created_at: datetime
    deadline_at: datetime | None
    finished_at: datetime | None
    stored: bool | None
    delivered: bool | None
    total_ms: int | None
    result_path: str | None
    result_mime: str | None
    result_bytes: int | None
    result_sha256: bytes | None
    result_width: int | None
    result_height: int | None
    result_expires_at: datetime | None
    result_cleaned_at: datetime | None

    @property
    def result(self) -> KeptFile | None:
        """The stored picture, whether or not its time is over."""
        if self.result_path is None:
            return None
        fields = ("path", "mime", "bytes", "sha256", "width", "height", "expires_at")
        return KeptFile(**{name: getattr(self, f"result_{name}") for name in fields})


async def by_id(db: Database, job_id: UUID) -> Job | None:
    """A job with its picture."""
    row = await db.one("job_by_id", job_id)
    return Job(**row) if row else None


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A pending job whose process died."""

    id: UUID
    created_at: datetime


async def dead(db: Runner, worker: int, slot_id: str | None = None) -> list[DeadJob]:
    """The jobs whose process died, of a slot or of all, as `interrupt` would end them."""
    rows = await db.many(
        "jobs_dead", worker, slot_id, None, INTERRUPT_GRACE_SECONDS, SETTLED_SECONDS
    )
    return [DeadJob(**row) for row in rows]


async def adopt(db: Runner, job: DeadJob, result: KeptFile, kept_at: datetime) -> bool:
    """Make a dead job done by the picture it left; False when somebody ended it before. The
    picture's time counts from `kept_at` under a setting, else ends as `result` says."""
    total_ms = round((kept_at - job.created_at).total_seconds() * 1000)
    adopted: int = await db.value(
        "job_adopt",
        *(job.id, kept_at, total_ms, result.path, result.mime, result.bytes, result.sha256),
        *(result.width, result.height, result.expires_at),
    )
    return adopted == 1


async def interrupt(
    db: Runner, worker: int, slot_id: str | None = None, provider: str | None = None
) -> list[UUID]:
    """End the jobs whose process died, those of a slot or provider, or all; their ids. `worker` is
    who asks: it lives. A claim does this too when a job stands in its way, so that a device's retry
    never waits for a dead process."""
    rows = await db.many(
        "jobs_interrupt", worker, slot_id, provider, INTERRUPT_GRACE_SECONDS, SETTLED_SECONDS
    )
    return [row["id"] for row in rows]
