"""The way of one shot, whoever sent it: claim, provider, store, answer, all inside one window.

The window opens when the request arrives. One second of it is kept back to store and to send; a
provider call is only begun with a few seconds left. Cameras come here through `ingest`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import structlog
from starlette.requests import Request
from starlette.responses import Response

from service import providers, queries
from service.counters import ADDED_SECONDS, REPLAYS, SHOT_SECONDS, SHOTS, UNSTORED, UPLOAD_SECONDS
from service.errors import (
    DatabaseUnavailable,
    IdempotencyConflict,
    Interrupted,
    InvalidFields,
    Overloaded,
    PhotoslotError,
    ProviderBusy,
    ProviderTimeout,
    QuotaExceeded,
    SlotBusy,
    StorageError,
    TryLater,
    by_reason,
)
from service.http import guards
from service.http.multipart import MAX_OVERHEAD_BYTES, Progress, Upload, too_large
from service.pictures.images import ImageInfo, inspect
from service.providers import MIN_ATTEMPT_SECONDS, Plan
from service.queries import Claim, IngestSlot, Job, KeptFile, NewJob, Stages
from service.shots import picture_response
from service.shots import plans as calls
from service.state import State
from service.storage.media import Workbench
from service.threads import in_thread

RESERVE_SECONDS = 1.0
SEND_SECONDS = 0.3
FINISH_RETRY_SECONDS = 0.25
FOLLOW_POLL_SECONDS = 0.2
MAX_DEVICE_BYTES = 4096
MAX_DEVICE_VALUE = 500
MAX_FILENAME = 120
MEGABYTE = 1024**2

log = structlog.get_logger()


@dataclass(slots=True)
class Shot:
    """What is known of one shot so far. Times are loop time, `created_at` is the wall clock's.
    `is_known` once its sender is: from then on its end is written down. `plans` are those that may
    still be tried, the first one first."""

    slot: IngestSlot
    job_id: UUID
    address: str
    arrived: float
    created_at: datetime
    source: str
    progress: Progress = field(default_factory=Progress)
    upload: Upload | None = None
    idempotency_key: bytes | None = None
    plans: list[Plan] = field(default_factory=list)
    attempts: list[providers.Attempt] = field(default_factory=list)
    is_known: bool = False
    follows: bool = False
    uploaded: float | None = None
    called: float | None = None
    edited: float | None = None

    @property
    def answer_by(self) -> float:
        """When the provider is cut off: the rest of the window is for storing and sending."""
        return self.arrived + self.slot.sync_response_seconds - RESERVE_SECONDS

    @property
    def closes_at(self) -> datetime:
        """When the window closes, by the wall clock."""
        return self.created_at + timedelta(seconds=self.slot.sync_response_seconds)

    @property
    def upload_by(self) -> float:
        """When the body must be complete, so that a provider call is still worth its money."""
        return self.answer_by - MIN_ATTEMPT_SECONDS

    @property
    def provider(self) -> str:
        """Who works on it, or was the last to."""
        return self.attempts[-1].provider if self.attempts else self.slot.provider

    def stages(self, now: float) -> Stages:
        """Milliseconds of each stage that was reached by `now`."""
        called, edited = self.called, self.edited
        return Stages(
            upload=_ms(self.arrived, self.uploaded),
            queue=_ms(self.uploaded, called),
            provider=_ms(called, edited or now),
            store=_ms(edited, now),
            total=_ms(self.arrived, now),
        )


Read = Callable[[Shot, Workbench], Awaitable[Upload]]


def _ms(start: float | None, end: float | None) -> int | None:
    return None if start is None or end is None else round((end - start) * 1000)


def arrive(request: Request[State], slot: IngestSlot, source: str, arrived: float) -> Shot:
    """A new shot whose window opened at `arrived` (loop time)."""
    age = asyncio.get_running_loop().time() - arrived
    return Shot(
        slot=slot,
        job_id=uuid4(),
        address=guards.address(request),
        arrived=arrived,
        created_at=datetime.now(UTC) - timedelta(seconds=age),
        source=source,
    )


async def take(request: Request[State], shot: Shot, read: Read) -> Response:
    """Let `read` receive the body, then have the photo edited and answer with the picture. Whatever
    happens, a known sender's shot ends in exactly one row and leaves no temporary file."""
    state = request.state
    expected = _expected_bytes(request, shot.slot)
    with (
        state["intake"].admit(expected),
        state["media"].workbench(shot.job_id, state["worker"]) as bench,
    ):
        try:
            shot.upload = await read(shot, bench)
            shot.uploaded = _now()
            UPLOAD_SECONDS.observe(shot.uploaded - shot.arrived)
            return await _edit(request, shot, shot.upload, bench)
        except PhotoslotError as failure:
            await _file_failure(state, shot, failure)
            raise
        except Exception:
            await _file_failure(state, shot, PhotoslotError())
            raise
        finally:
            _note(request, shot)


def _expected_bytes(request: Request[State], slot: IngestSlot) -> int:
    """How many bytes the body may bring: what it declares, else the most it may be."""
    limit = slot.size_limit_mb * MEGABYTE
    declared = request.headers.get("content-length")
    if declared is None:
        return limit
    if int(declared) > limit + MAX_OVERHEAD_BYTES:
        raise too_large(limit)
    return int(declared)


async def _edit(request: Request[State], shot: Shot, upload: Upload, bench: Workbench) -> Response:
    """The way of one shot once its photo is here."""
    state, slot = request.state, shot.slot
    shot.plans = await calls.plans_of(state, slot)
    info = await in_thread(state["threads"].images, inspect, bench.path("upload"), _pixels(state))
    source = calls.Source(bench, upload, info, slot.max_side_px)
    with picture_response.watch(request) as device:
        if twin := await _claim(state, shot, upload, info, bench):
            return await _replay(request, shot, twin, device)
        ready = await calls.make_ready(state, shot.plans[0], source)
        if shot.answer_by - _now() < MIN_ATTEMPT_SECONDS:
            raise Overloaded("Too little of the window was left when it was this shot's turn.")
        shot.called = _now()
        house = calls.house_for(
            state, shot.job_id, slot, source, ready, shot.closes_at, shot.attempts
        )
        edited = await providers.edit(ready, shot.plans[1:], house, shot.answer_by, shot.attempts)
        shot.edited = _now()
        # Beside the storing: removing a large file blocks. `workbench` makes sure of it in the end.
        state["threads"].disk.submit(bench.clear)
        kept = await _store(state, shot, edited, device)
        return _answer(request, shot, edited, kept, device)


async def _claim(
    state: State, shot: Shot, upload: Upload, info: ImageInfo, bench: Workbench
) -> Job | None:
    """Take the shot in for the first of its plans that has a place, or find the finished twin it is
    the retry of. A twin that will never finish, or whose file is gone, no longer stands in the way.
    """
    job = _new_job(state, shot, upload, info, bench)
    while True:
        claim = await queries.job_claim(state["db"], job)
        if claim.outcome == "claimed":
            shot.plans = shot.plans[(claim.place or 1) - 1 :]
            return None
        if claim.outcome != "joined":
            raise _refusal(claim, job.timezone)
        shot.follows, shot.job_id = True, claim.job_id
        if twin := await _follow(state, shot):
            return twin
        shot.follows, shot.job_id = False, job.id


def _new_job(state: State, shot: Shot, upload: Upload, info: ImageInfo, bench: Workbench) -> NewJob:
    slot, config = shot.slot, state["config"]
    return NewJob(
        id=shot.job_id,
        slot=slot,
        candidates=calls.candidates(slot, shot.plans),
        source=shot.source,
        created_at=shot.created_at,
        deadline_at=shot.closes_at,
        client_address=shot.address,
        device=_device(upload.fields, upload.filename),
        idempotency_key=shot.idempotency_key,
        source_sha256=upload.sha256,
        source_mime=info.mime,
        source_bytes=upload.bytes,
        source_width=info.width,
        source_height=info.height,
        upload_ms=shot.stages(_now()).upload or 0,
        timezone=config.timezone,
        path=f"temp/{bench.path('upload').name}",
        stale_at=shot.closes_at + timedelta(seconds=config.temp_ttl_seconds),
        worker=state["worker"],
    )


def _device(fields: Mapping[str, str], filename: str) -> dict[str, str]:
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


def _refusal(claim: Claim, timezone: str) -> PhotoslotError:
    if claim.outcome == "quota_exceeded":
        return QuotaExceeded(retry_after=_seconds_to_midnight(timezone))
    if claim.retry_seconds is not None:
        refusal = by_reason(claim.outcome)
        assert issubclass(refusal, TryLater)
        return refusal(retry_after=max(1, claim.retry_seconds))
    refusals: dict[str, type[PhotoslotError]] = {
        "slot_busy": SlotBusy,
        "provider_busy": ProviderBusy,
        "idempotency_conflict": IdempotencyConflict,
    }
    return refusals[claim.outcome]()


def _seconds_to_midnight(timezone: str) -> int:
    now = datetime.now(UTC if timezone == "UTC" else ZoneInfo(timezone))
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(1, round((midnight - now).total_seconds()))


async def _follow(state: State, shot: Shot) -> Job | None:
    """Wait for a running twin. The finished job, or None when it will never finish; its failure is
    this request's failure too."""
    slot = shot.slot
    while True:
        await queries.jobs_interrupt(state["db"], state["worker"], slot.id)
        job = await queries.job_by_id(state["db"], shot.job_id)
        if job is None or job.failure_reason == Interrupted.reason or _is_dead(job):
            return None
        if job.status == "done":
            return await _whole(state, job)
        if job.status != "pending":
            raise by_reason(job.failure_reason or "")()
        if _now() + FOLLOW_POLL_SECONDS > shot.answer_by:
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
    if state["media"].path(job.result.path).is_file():
        return job
    await queries.media_gone(state["db"], job.id, "result")
    return None


async def _replay(
    request: Request[State], shot: Shot, job: Job, device: picture_response.Device
) -> Response:
    """The same picture once more, without a provider."""
    state, result = request.state, job.result
    assert result is not None
    path = state["media"].path(result.path)
    data = await in_thread(state["threads"].disk, path.read_bytes)
    REPLAYS.inc()
    headers = (
        picture_response.headers(job.id)
        | picture_response.links(state["config"], job.id)
        | {
            "Idempotent-Replayed": "true",
            "Server-Timing": picture_response.server_timing(shot.stages(_now())),
        }
    )
    picture = picture_response.Picture(data, result.mime, result.width, result.height)
    return picture_response.picture(request, job.id, picture, headers, result.expires_at, device)


async def _store(
    state: State, shot: Shot, edited: providers.Edited, device: picture_response.Device
) -> KeptFile | None:
    """Keep the picture, then say so in the row. None when either is impossible: a picture that is
    paid for goes to the device all the same."""
    kept = await _keep(state, shot, edited)
    finished = await _finish(state, shot, edited, kept, device)
    if kept is None or not finished:
        UNSTORED.inc()
        return None
    return kept


async def _keep(state: State, shot: Shot, edited: providers.Edited) -> KeptFile | None:
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
    edited: providers.Edited,
    kept: KeptFile | None,
    device: picture_response.Device,
) -> bool:
    """Make the job done; tried again while the database is away and the window is open."""
    until = shot.arrived + shot.slot.sync_response_seconds - SEND_SECONDS
    while True:
        try:
            async with asyncio.timeout_at(until):
                return await queries.job_finish(
                    state["db"],
                    shot.job_id,
                    provider=edited.plan.provider.name,
                    model=edited.plan.model,
                    attempts=providers.as_rows(shot.attempts),
                    stages=shot.stages(_now()),
                    delivered=device.is_there,
                    result=kept,
                )
        except (DatabaseUnavailable, TimeoutError) as error:
            log.error("job.not_finished", job_id=str(shot.job_id), why=str(error))
            if _now() + FINISH_RETRY_SECONDS > until:
                return False
            await asyncio.sleep(FINISH_RETRY_SECONDS)


def _answer(
    request: Request[State],
    shot: Shot,
    edited: providers.Edited,
    kept: KeptFile | None,
    device: picture_response.Device,
) -> Response:
    now = _now()
    stages = shot.stages(now)
    SHOTS.labels(shot.slot.id, shot.provider, "done").inc()
    SHOT_SECONDS.labels(shot.slot.id, "done").observe(now - shot.arrived)
    ADDED_SECONDS.observe(((stages.queue or 0) + (stages.store or 0)) / 1000)
    headers = picture_response.headers(shot.job_id) | {
        "Server-Timing": picture_response.server_timing(stages),
        "X-Provider": shot.provider,
    }
    if kept is None:
        headers["X-Result-Stored"] = "no"
    elif shot.source == "device":
        headers |= picture_response.links(request.state["config"], shot.job_id)
    picture = picture_response.Picture(
        edited.data, edited.info.mime, edited.info.width, edited.info.height
    )
    expires_at = kept.expires_at if kept else None
    return picture_response.picture(request, shot.job_id, picture, headers, expires_at, device)


async def _file_failure(state: State, shot: Shot, failure: PhotoslotError) -> None:
    """Write down how a known sender's shot ended; the answer goes out even when that fails."""
    if not shot.is_known or isinstance(failure, IdempotencyConflict | InvalidFields):
        return
    failure.job_id = str(shot.job_id)
    if shot.follows:
        return
    slot, upload = shot.slot, shot.upload
    SHOTS.labels(slot.id, shot.provider, failure.reason).inc()
    SHOT_SECONDS.labels(slot.id, failure.outcome).observe(_now() - shot.arrived)
    try:
        await queries.job_fail(
            state["db"],
            shot.job_id,
            slot=slot,
            source=shot.source,
            status=failure.outcome,
            reason=failure.reason,
            details=failure.private,
            created_at=shot.created_at,
            client_address=shot.address,
            device=_device(shot.progress.fields, upload.filename if upload else ""),
            source_sha256=upload.sha256 if upload else None,
            source_bytes=shot.progress.bytes or None,
            attempts=providers.as_rows(shot.attempts),
            stages=shot.stages(_now()),
        )
    except DatabaseUnavailable as error:
        log.error("job.not_failed", job_id=str(shot.job_id), why=error.private)


def _note(request: Request[State], shot: Shot) -> None:
    """The shot's fields in its one log line."""
    stages = shot.stages(_now())
    request.scope["line"].update(
        event="shot",
        slot=shot.slot.id,
        source=shot.source,
        job_id=str(shot.job_id) if shot.is_known else None,
        provider=shot.provider,
        bytes=shot.progress.bytes,
        upload_ms=stages.upload,
        queue_ms=stages.queue,
        provider_ms=stages.provider,
        store_ms=stages.store,
        attempts=len(shot.attempts),
    )


def _pixels(state: State) -> int:
    return state["config"].max_image_megapixels * 1_000_000


def _now() -> float:
    return asyncio.get_running_loop().time()
