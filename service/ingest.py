"""A camera's shot: taken in, edited by a provider inside one window, answered with the picture.

The window opens when the request arrives. One second of it is kept back to store and to send; a
provider call is only begun with a few seconds left.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import structlog
from starlette.requests import Request
from starlette.responses import Response

from service import answers, providers, queries
from service.crypto import digest
from service.errors import (
    ClientClosed,
    DatabaseUnavailable,
    IdempotencyConflict,
    Interrupted,
    InvalidPassword,
    NotConfigured,
    PhotoslotError,
    ProviderBusy,
    ProviderTimeout,
    QuotaExceeded,
    RateLimited,
    SlotBusy,
    SlotDisabled,
    SlotNotFound,
    StorageError,
    by_reason,
)
from service.images import ImageInfo, Photo, inspect, prepare
from service.media import Workbench
from service.queries import IngestSlot, Job, KeptFile, NewJob, Stages
from service.state import State
from service.telemetry import ADDED_SECONDS, CLIENT_CLOSED, REPLAYS, SHOT_SECONDS, SHOTS, UNSTORED
from service.threads import in_thread
from service.uploads import (
    MAX_OVERHEAD_BYTES,
    Progress,
    Upload,
    boundary_of,
    receive_upload,
    too_large,
)

RESERVE_SECONDS = 1.0
MIN_ATTEMPT_SECONDS = 5.0
SEND_SECONDS = 0.3
FINISH_RETRY_SECONDS = 0.25
FOLLOW_POLL_SECONDS = 0.2
THROTTLE_FAILURES = 20
THROTTLE_WINDOW_SECONDS = 60.0
THROTTLE_BLOCK_SECONDS = 60.0
MAX_DEVICE_BYTES = 4096
MAX_DEVICE_VALUE = 500
MAX_FILENAME = 120
MAX_IDEMPOTENCY_KEY = 255
MEGABYTE = 1024**2

log = structlog.get_logger()


@dataclass(slots=True)
class Shot:
    """What is known of one shot so far. Times are loop time, `created_at` is the wall clock's."""

    job_id: UUID
    address: str
    arrived: float
    created_at: datetime
    source: str = "device"
    progress: Progress = field(default_factory=Progress)
    sha256: bytes | None = None
    attempts: list[providers.Attempt] = field(default_factory=list)
    is_known: bool = False
    has_row: bool = False
    follows: bool = False
    uploaded: float | None = None
    called: float | None = None
    edited: float | None = None

    def stages(self, now: float, *, stored: bool = False) -> Stages:
        """Milliseconds of each stage that was reached by `now`."""
        called, edited = self.called, self.edited
        if called and not edited:
            edited = now
        return Stages(
            upload=_ms(self.arrived, self.uploaded),
            queue=_ms(self.uploaded, called),
            provider=_ms(called, edited),
            store=_ms(edited, now) if stored else None,
            total=_ms(self.arrived, now),
        )


def _ms(start: float | None, end: float | None) -> int | None:
    return None if start is None or end is None else round((end - start) * 1000)


async def receive(request: Request[State]) -> Response:
    """`POST /api/ingest/{slot_id}`: the picture, or the one reason why there is none."""
    state = request.state
    shot = _arrive(request)
    slot = await _find_slot(request, shot)
    boundary = boundary_of(request.headers.get("content-type"))
    expected = _expected_bytes(request, slot)
    with state["intake"].admit(expected), state["media"].workbench(shot.job_id) as bench:
        try:
            return await _work(request, shot, slot, boundary, bench)
        except PhotoslotError as failure:
            await _file_failure(state, shot, slot, failure)
            raise
        except Exception:
            await _file_failure(state, shot, slot, PhotoslotError())
            raise
        finally:
            _note(request, shot, slot)


def _arrive(request: Request[State]) -> Shot:
    return Shot(
        job_id=uuid4(),
        address=request.client.host if request.client else "unknown",
        arrived=asyncio.get_running_loop().time(),
        created_at=datetime.now(UTC),
    )


async def _find_slot(request: Request[State], shot: Shot) -> IngestSlot:
    """Everything that can be refused by the slot alone."""
    state, slot_id = request.state, request.path_params["slot_id"]
    if "\0" in slot_id:
        raise SlotNotFound()
    slot = await queries.slot_for_ingest(
        state["db"], slot_id, _subject(slot_id, shot.address), state["config"].result_ttl_hours
    )
    if slot is None:
        raise SlotNotFound()
    if not slot.is_active:
        raise SlotDisabled()
    if slot.blocked_seconds:
        raise RateLimited(retry_after=slot.blocked_seconds)
    if slot.ingest_password_hash is None:
        raise NotConfigured("This slot has no password yet. An admin has to set one.")
    return slot


def _subject(slot_id: str, address: str) -> bytes:
    """Whom failed passwords count against: one mis-set camera must not shut out the other slots'
    cameras behind the same address."""
    return digest("ingest", slot_id, address)


def _expected_bytes(request: Request[State], slot: IngestSlot) -> int:
    """How many bytes the body may bring: what it declares, else the most it may be."""
    limit = slot.size_limit_mb * MEGABYTE
    declared = request.headers.get("content-length")
    if declared is None:
        return limit
    if int(declared) > limit + MAX_OVERHEAD_BYTES:
        raise too_large(limit)
    return int(declared)


async def _work(
    request: Request[State], shot: Shot, slot: IngestSlot, boundary: bytes, bench: Workbench
) -> Response:
    """The way of one shot."""
    state = request.state
    upload = await _upload(request, shot, slot, boundary, bench)
    plan = providers.plan(slot.provider, slot.operation, slot.settings, state["config"].providers)
    info = await in_thread(state["threads"].images, inspect, bench.path("upload"), _pixels(state))
    with answers.watch(request) as device:
        if twin := await _claim(request, shot, slot, upload, info, bench):
            return await _replay(request, shot, twin, device)
        photo = await _prepare(state, slot, plan, info, upload, bench)
        shot.called = _now()
        edited = await providers.edit(
            plan,
            photo,
            client=state["client"],
            threads=state["threads"].images,
            max_pixels=_pixels(state),
            deadline=_answer_by(shot, slot),
            attempts=shot.attempts,
        )
        shot.edited = _now()
        kept = await _store(state, shot, slot, edited, device)
        return _answer(request, shot, slot, edited, kept, device)


async def _upload(
    request: Request[State], shot: Shot, slot: IngestSlot, boundary: bytes, bench: Workbench
) -> Upload:
    """Read the body; the password is checked where it comes, in the header or among the fields."""
    state = request.state

    async def check(password: str) -> None:
        if not await state["passwords"].verify(password, slot.ingest_password_hash or ""):
            raise InvalidPassword()
        shot.is_known = True

    try:
        if header := request.headers.get("x-ingest-password"):
            await check(header)
        upload = await receive_upload(
            request.receive,
            boundary=boundary,
            target=bench.path("upload"),
            max_file_bytes=slot.size_limit_mb * MEGABYTE,
            until=_answer_by(shot, slot) - MIN_ATTEMPT_SECONDS,
            threads=state["threads"].disk,
            on_password=check,
            progress=shot.progress,
        )
        if not shot.is_known:
            raise InvalidPassword()
    except InvalidPassword:
        await queries.throttle_failure(
            state["db"],
            _subject(slot.id, shot.address),
            THROTTLE_FAILURES,
            THROTTLE_WINDOW_SECONDS,
            THROTTLE_BLOCK_SECONDS,
        )
        raise
    except ClientClosed:
        CLIENT_CLOSED.inc()
        raise
    shot.sha256, shot.uploaded = upload.sha256, _now()
    return upload


async def _claim(
    request: Request[State],
    shot: Shot,
    slot: IngestSlot,
    upload: Upload,
    info: ImageInfo,
    bench: Workbench,
) -> Job | None:
    """Take the shot in, or find the finished twin it is the retry of. A twin that failed to end
    inside its window, or whose file is gone, no longer stands in the way."""
    db = request.state["db"]
    job = _new_job(request, shot, slot, upload, info, bench)
    while True:
        claim = await queries.job_claim(db, job)
        if claim.outcome == "joined":
            shot.follows, shot.job_id = True, claim.job_id
            if twin := await _follow(request, shot, slot, claim.job_id):
                return twin
            shot.follows, shot.job_id = False, job.id
            continue
        shot.has_row = claim.outcome != "idempotency_conflict"
        if claim.outcome != "claimed":
            raise _refusal(claim.outcome, job.timezone)
        return None


def _new_job(
    request: Request[State],
    shot: Shot,
    slot: IngestSlot,
    upload: Upload,
    info: ImageInfo,
    bench: Workbench,
) -> NewJob:
    config = request.state["config"]
    return NewJob(
        id=shot.job_id,
        slot=slot,
        source=shot.source,
        created_at=shot.created_at,
        deadline_at=shot.created_at + timedelta(seconds=slot.sync_response_seconds),
        client_address=shot.address,
        device=_device(upload.fields, upload.filename),
        idempotency_key=_idempotency_key(request, upload),
        source_sha256=upload.sha256,
        source_mime=info.mime,
        source_bytes=upload.bytes,
        source_width=info.width,
        source_height=info.height,
        upload_ms=_ms(shot.arrived, shot.uploaded) or 0,
        timezone=config.timezone,
        path=f"temp/{bench.path('upload').name}",
        stale_at=shot.created_at
        + timedelta(seconds=slot.sync_response_seconds + config.temp_ttl_seconds),
    )


def _device(fields: dict[str, str], filename: str) -> dict[str, str]:
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


def _idempotency_key(request: Request[State], upload: Upload) -> bytes | None:
    """What makes two requests the same order. A shot with neither a key nor a device `time` is
    always a new one."""
    key = request.headers.get("idempotency-key", "").strip()[:MAX_IDEMPOTENCY_KEY]
    if key:
        return digest("key", key)
    if device_time := upload.fields.get("time"):
        return digest("shot", upload.fields.get("id", ""), device_time, upload.sha256)
    return None


def _refusal(outcome: str, timezone: str) -> PhotoslotError:
    if outcome == "quota_exceeded":
        return QuotaExceeded(retry_after=_seconds_to_midnight(timezone))
    refusals: dict[str, type[PhotoslotError]] = {
        "slot_busy": SlotBusy,
        "provider_busy": ProviderBusy,
        "idempotency_conflict": IdempotencyConflict,
    }
    return refusals[outcome]()


def _seconds_to_midnight(timezone: str) -> int:
    now = datetime.now(UTC if timezone == "UTC" else ZoneInfo(timezone))
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(1, round((midnight - now).total_seconds()))


async def _follow(
    request: Request[State], shot: Shot, slot: IngestSlot, job_id: UUID
) -> Job | None:
    """Wait for a running twin. The finished job, or None when it will never finish; its failure is
    this request's failure too."""
    state = request.state
    while True:
        job = await queries.job_by_id(state["db"], job_id)
        if job is None or job.status == "pending" and _is_dead(job):
            return None
        if job.status == "done":
            return await _whole(state, job)
        if job.failure_reason == Interrupted.reason:
            return None
        if job.status != "pending":
            raise by_reason(job.failure_reason or "")()
        if _now() + FOLLOW_POLL_SECONDS > _answer_by(shot, slot):
            raise ProviderTimeout()
        await asyncio.sleep(FOLLOW_POLL_SECONDS)


def _is_dead(job: Job) -> bool:
    return job.deadline_at is None or job.deadline_at < datetime.now(UTC)


async def _whole(state: State, job: Job) -> Job | None:
    """The done job if its picture can be handed out again."""
    if job.result is None:
        raise StorageError("The picture went to the first request and could not be kept.")
    if state["media"].path(job.result.path).is_file():
        return job
    await queries.media_gone(state["db"], job.id, "result")
    return None


async def _replay(
    request: Request[State], shot: Shot, job: Job, device: answers.Device
) -> Response:
    """The same picture once more, without a provider."""
    state = request.state
    assert job.result is not None
    data = await in_thread(state["threads"].disk, state["media"].path(job.result.path).read_bytes)
    REPLAYS.inc()
    headers = answers.headers(state["config"].public_base_url, job.id) | {
        "Idempotent-Replayed": "true",
        "Server-Timing": answers.server_timing(shot.stages(_now())),
    }
    picture = answers.Picture(data, job.result.mime, job.result.width, job.result.height)
    return answers.picture(request, job.id, picture, headers, job.result.expires_at, device)


async def _prepare(
    state: State,
    slot: IngestSlot,
    plan: providers.Plan,
    info: ImageInfo,
    upload: Upload,
    bench: Workbench,
) -> Photo:
    """The photo as it leaves the house; untouched where the slot wants that and it can be."""
    accepts = plan.provider.accepts
    if slot.max_side_px == 0 and info.mime in accepts:
        return Photo(bench.path("upload"), info.mime, info.width, info.height, upload.bytes)
    return await in_thread(
        state["threads"].images,
        prepare,
        bench.path("upload"),
        bench.path("photo"),
        slot.max_side_px,
        accepts,
    )


async def _store(
    state: State,
    shot: Shot,
    slot: IngestSlot,
    edited: providers.Edited,
    device: answers.Device,
) -> KeptFile | None:
    """Keep the picture, then say so in the row. None when either is impossible: a picture that is
    paid for goes to the device all the same."""
    kept = await _keep(state, shot, slot, edited)
    finished = await _finish(state, shot, slot, edited, kept, device)
    if kept is None or not finished:
        UNSTORED.inc()
        return None
    return kept


async def _keep(
    state: State, shot: Shot, slot: IngestSlot, edited: providers.Edited
) -> KeptFile | None:
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
    expires_at = datetime.now(UTC) + timedelta(hours=slot.result_ttl_hours)
    size = len(edited.data)
    return KeptFile(path, info.mime, size, sha256, info.width, info.height, expires_at)


async def _finish(
    state: State,
    shot: Shot,
    slot: IngestSlot,
    edited: providers.Edited,
    kept: KeptFile | None,
    device: answers.Device,
) -> bool:
    """Make the job done; tried again while the database is away and the window is open."""
    until = shot.arrived + slot.sync_response_seconds - SEND_SECONDS
    while True:
        try:
            return await queries.job_finish(
                state["db"],
                shot.job_id,
                provider=edited.provider,
                attempts=providers.as_rows(shot.attempts),
                stages=shot.stages(_now(), stored=True),
                delivered=device.is_there,
                result=kept,
            )
        except DatabaseUnavailable as error:
            log.error("job.not_finished", job_id=str(shot.job_id), why=error.private)
            if _now() + FINISH_RETRY_SECONDS > until:
                return False
            await asyncio.sleep(FINISH_RETRY_SECONDS)


def _answer(
    request: Request[State],
    shot: Shot,
    slot: IngestSlot,
    edited: providers.Edited,
    kept: KeptFile | None,
    device: answers.Device,
) -> Response:
    now = _now()
    stages = shot.stages(now, stored=True)
    SHOTS.labels(slot.id, edited.provider, "done").inc()
    SHOT_SECONDS.labels(slot.id).observe(now - shot.arrived)
    ADDED_SECONDS.observe(((stages.queue or 0) + (stages.store or 0)) / 1000)
    headers = answers.headers(request.state["config"].public_base_url, shot.job_id) | {
        "Server-Timing": answers.server_timing(stages),
        "X-Provider": edited.provider,
    }
    if kept is None:
        headers["X-Result-Stored"] = "no"
    picture = answers.Picture(edited.data, edited.info.mime, edited.info.width, edited.info.height)
    expires_at = kept.expires_at if kept else None
    return answers.picture(request, shot.job_id, picture, headers, expires_at, device)


async def _file_failure(
    state: State, shot: Shot, slot: IngestSlot, failure: PhotoslotError
) -> None:
    """Write down how a known device's shot ended; the answer goes out even when that fails."""
    if shot.follows:
        failure.job_id = str(shot.job_id)
        return
    if not shot.is_known or isinstance(failure, IdempotencyConflict):
        return
    failure.job_id = str(shot.job_id)
    SHOTS.labels(slot.id, slot.provider, failure.reason).inc()
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
            device=_device(shot.progress.fields, ""),
            source_sha256=shot.sha256,
            source_bytes=shot.progress.bytes or None,
            attempts=providers.as_rows(shot.attempts),
            stages=shot.stages(_now()),
        )
    except DatabaseUnavailable as error:
        log.error("job.not_failed", job_id=str(shot.job_id), why=error.private)


def _note(request: Request[State], shot: Shot, slot: IngestSlot) -> None:
    """The shot's fields in its one log line."""
    stages = shot.stages(_now(), stored=shot.edited is not None)
    request.scope["line"].update(
        event="shot",
        slot=slot.id,
        job_id=str(shot.job_id) if shot.is_known else None,
        provider=slot.provider,
        bytes=shot.progress.bytes,
        upload_ms=stages.upload,
        queue_ms=stages.queue,
        provider_ms=stages.provider,
        store_ms=stages.store,
        attempts=len(shot.attempts),
    )


def _pixels(state: State) -> int:
    return state["config"].max_image_megapixels * 1_000_000


def _answer_by(shot: Shot, slot: IngestSlot) -> float:
    return shot.arrived + slot.sync_response_seconds - RESERVE_SECONDS


def _now() -> float:
    return asyncio.get_running_loop().time()
