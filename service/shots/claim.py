"""Claim: a shot taken in under its slot's and providers' limits, or the job it is the retry of.

A device's retry never pays twice: while the first request runs the second waits for it, when it is
done the second gets the same picture.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from service.errors import (
    IdempotencyConflict,
    Interrupted,
    PhotoslotError,
    ProviderBusy,
    ProviderTimeout,
    QuotaExceeded,
    SlotBusy,
    StorageError,
    TryLater,
    by_reason,
)
from service.http.multipart import Upload
from service.pictures.inspect import ImageInfo
from service.queries import jobs, media
from service.queries.jobs import Claim, Job, NewJob
from service.shots.plans import candidates
from service.shots.shot import Shot, now
from service.state import State
from service.storage.media import TempFiles

FOLLOW_POLL_SECONDS = 0.2
MAX_DEVICE_BYTES = 4096
MAX_DEVICE_VALUE = 500
MAX_FILENAME = 120


async def claim(
    state: State, shot: Shot, upload: Upload, info: ImageInfo, temp: TempFiles
) -> Job | None:
    """Take the shot in for the first of its plans that has a place: then None. Or the finished job
    it is the retry of; one that will never finish, or whose file is gone, no longer stands in the
    way. Raises what refuses it."""
    job = _new_job(state, shot, upload, info, temp)
    while True:
        claimed = await jobs.claim(state["db"], job)
        if claimed.outcome == "claimed":
            shot.plans = shot.plans[(claimed.place or 1) - 1 :]
            return None
        if claimed.outcome != "joined":
            raise _refusal(claimed, job.timezone)
        shot.follows, shot.job_id = True, claimed.job_id
        if original := await _follow(state, shot):
            return original
        shot.follows, shot.job_id = False, job.id


def _new_job(state: State, shot: Shot, upload: Upload, info: ImageInfo, temp: TempFiles) -> NewJob:
    slot, config = shot.slot, state["config"]
    return NewJob(
        id=shot.job_id,
        slot=slot,
        candidates=candidates(slot, shot.plans),
        source=shot.source,
        created_at=shot.created_at,
        deadline_at=shot.closes_at,
        client_address=shot.address,
        device=device_fields(upload.fields, upload.filename),
        idempotency_key=shot.idempotency_key,
        source_sha256=upload.sha256,
        source_mime=info.mime,
        source_bytes=upload.bytes,
        source_width=info.width,
        source_height=info.height,
        upload_ms=shot.stages().upload or 0,
        timezone=config.timezone,
        path=f"temp/{temp.path('upload').name}",
        stale_at=shot.closes_at + timedelta(seconds=config.temp_ttl_seconds),
        worker=state["worker"],
    )


def device_fields(fields: Mapping[str, str], filename: str) -> dict[str, str]:
    """What the device told of itself, cut to what one row may hold; never the password."""
    told = {"filename": _basename(filename)} | {
        name: value for name, value in fields.items() if name != "password"
    }
    kept: dict[str, str] = {}
    room = MAX_DEVICE_BYTES
    for name, value in told.items():
        value = value.replace("\0", "")[:MAX_DEVICE_VALUE]
        room -= len(name.encode()) + len(value.encode())
        if room < 0:
            break
        kept[name] = value
    return kept


def _basename(filename: str) -> str:
    """The last step of a path in either spelling, printable; files are never named by it."""
    last = filename.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(char for char in last if char.isprintable())[:MAX_FILENAME]


def _refusal(claimed: Claim, timezone: str) -> PhotoslotError:
    if claimed.outcome == "quota_exceeded":
        return QuotaExceeded(retry_after=_seconds_to_midnight(timezone))
    if claimed.retry_seconds is not None:
        refusal = by_reason(claimed.outcome)
        assert issubclass(refusal, TryLater)
        return refusal(retry_after=max(1, claimed.retry_seconds))
    refusals: dict[str, type[PhotoslotError]] = {
        "slot_busy": SlotBusy,
        "provider_busy": ProviderBusy,
        "idempotency_conflict": IdempotencyConflict,
    }
    return refusals[claimed.outcome]()


def _seconds_to_midnight(timezone: str) -> int:
    local = datetime.now(UTC if timezone == "UTC" else ZoneInfo(timezone))
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(1, round((midnight - local).total_seconds()))


async def _follow(state: State, shot: Shot) -> Job | None:
    """Wait for the running original. The finished job, or None when it will never finish; its
    failure is this request's failure too."""
    slot = shot.slot
    while True:
        await jobs.interrupt(state["db"], state["worker"], slot.id)
        job = await jobs.by_id(state["db"], shot.job_id)
        if job is None or job.failure_reason == Interrupted.reason or _is_dead(job):
            return None
        if job.status == "done":
            return await _whole(state, job)
        if job.status != "pending":
            raise by_reason(job.failure_reason or "")()
        if now() + FOLLOW_POLL_SECONDS > shot.answer_by:
            raise ProviderTimeout()
        await asyncio.sleep(FOLLOW_POLL_SECONDS)


def _is_dead(job: Job) -> bool:
    """Still pending although its window is over."""
    over = job.deadline_at is not None and job.deadline_at < datetime.now(UTC)
    return job.status == "pending" and over


async def _whole(state: State, job: Job) -> Job | None:
    """The done job if its picture can be handed out again."""
    if job.result is None:
        raise StorageError("The picture went to the first request and could not be kept.")
    if state["media"].has_whole(job.result.path, job.result.bytes):
        return job
    await media.mark_gone(state["db"], job.id, "result")
    return None
