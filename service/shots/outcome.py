"""Outcome of a shot, written down once: its picture kept and the job done, or the job failed.

A picture that is paid for goes to the device also when neither can be written.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from service.counters import SHOT_SECONDS, SHOTS, UNSTORED
from service.errors import (
    DatabaseUnavailable,
    IdempotencyConflict,
    InvalidFields,
    PhotoslotError,
)
from service.providers.attempts import Edited, as_rows
from service.queries import jobs
from service.queries.media import KeptFile
from service.shots.claim import device_fields
from service.shots.shot import Shot, now
from service.state import State
from service.threads import in_thread

SEND_SECONDS = 0.3
FINISH_RETRY_SECONDS = 0.25

log = structlog.get_logger()


async def store(
    state: State, shot: Shot, edited: Edited, is_there: Callable[[], bool]
) -> KeptFile | None:
    """Keep the picture, then say so in the row, with whether the device `is_there` to get it. None
    when either is impossible."""
    kept = await _keep(state, shot, edited)
    finished = await _finish(state, shot, edited, kept, is_there)
    if kept is None or not finished:
        UNSTORED.inc()
        return None
    return kept


async def _keep(state: State, shot: Shot, edited: Edited) -> KeptFile | None:
    media, info = state["media"], edited.info
    try:
        path, sha256 = await in_thread(
            state["threads"].disk, media.keep, "results", shot.job_id, info.mime, edited.data
        )
    except PhotoslotError as error:
        log.error(
            "result.not_kept", job_id=str(shot.job_id), reason=error.reason, why=error.private
        )
        return None
    expires_at = datetime.now(UTC) + timedelta(hours=shot.slot.result_ttl_hours)
    size = len(edited.data)
    return KeptFile(path, info.mime, size, sha256, info.width, info.height, expires_at)


async def _finish(
    state: State,
    shot: Shot,
    edited: Edited,
    kept: KeptFile | None,
    is_there: Callable[[], bool],
) -> bool:
    """Make the job done; tried again while the database is away and the window is open."""
    until = shot.arrived + shot.slot.sync_response_seconds - SEND_SECONDS
    while True:
        try:
            async with asyncio.timeout_at(until):
                return await jobs.finish(
                    state["db"],
                    shot.job_id,
                    provider=edited.plan.provider.name,
                    model=edited.plan.model,
                    attempts=as_rows(shot.attempts),
                    stages=shot.stages(),
                    delivered=is_there(),
                    result=kept,
                )
        except (DatabaseUnavailable, TimeoutError) as error:
            log.error("job.not_finished", job_id=str(shot.job_id), why=str(error))
            if now() + FINISH_RETRY_SECONDS > until:
                return False
            await asyncio.sleep(FINISH_RETRY_SECONDS)


async def fail(state: State, shot: Shot, failure: PhotoslotError) -> None:
    """Write down how an authenticated sender's shot failed; the answer goes out even when that is
    impossible."""
    if not shot.is_authenticated or isinstance(failure, IdempotencyConflict | InvalidFields):
        return
    failure.job_id = str(shot.job_id)
    if shot.follows:
        return
    slot, upload = shot.slot, shot.upload
    SHOTS.labels(slot.id, shot.provider, failure.reason).inc()
    SHOT_SECONDS.labels(slot.id, failure.outcome).observe(now() - shot.arrived)
    try:
        await jobs.fail(
            state["db"],
            shot.job_id,
            slot=slot,
            source=shot.source,
            status=failure.outcome,
            reason=failure.reason,
            details=failure.private,
            created_at=shot.created_at,
            client_address=shot.address,
            device=device_fields(shot.progress.fields, upload.filename if upload else ""),
            source_sha256=upload.sha256 if upload else None,
            source_bytes=shot.progress.bytes or None,
            attempts=as_rows(shot.attempts),
            stages=shot.stages(),
        )
    except DatabaseUnavailable as error:
        log.error("job.not_failed", job_id=str(shot.job_id), why=error.private)
