"""Editing a shot, whoever sent it: claim, provider, store, all inside one window.

The window opens when the request arrives. One second of it is kept back to store and to send; a
provider call is only begun with a few seconds left.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from service.counters import ADDED_SECONDS, REPLAYS, SHOT_SECONDS, SHOTS
from service.errors import DatabaseUnavailable, Overloaded, PhotoslotError
from service.http.multipart import Upload
from service.pictures.inspect import inspect
from service.providers.attempts import MIN_ATTEMPT_SECONDS
from service.queries.jobs import Job
from service.shots import fallback, outcome, plans
from service.shots.claim import claim
from service.shots.shot import Shot, ShotResult, now
from service.state import State
from service.storage.media import TempFiles, disk_errors
from service.threads import in_thread


@asynccontextmanager
async def admit(
    state: State, shot: Shot, expected_bytes: int, *, is_known: bool = False
) -> AsyncIterator[TempFiles]:
    """Let a shot in while the block receives, edits and answers it; gives its temporary files.
    Until its sender is known it is a stranger's.

    Whatever happens in the block, an authenticated sender's shot ends in exactly one row, then its
    temporary files go, and its log line knows all of it. Raises `ShuttingDown`, `Overloaded`,
    `DatabaseUnavailable`, `StorageFull`, `StorageError`."""
    if not state["holds_lease"]():
        # Others take this process for dead: they would end what it began now, and remove its files.
        raise DatabaseUnavailable(private="the worker lease has run out and is not renewed yet")
    intake, media = state["intake"], state["media"]
    async with intake.visit(shot.address, expected_bytes) as shot.visit:
        if is_known:
            shot.visit.show()
        with media.temp_files(shot.job_id, state["worker"]) as temp:
            async with _written_down(state, shot):
                yield temp


@asynccontextmanager
async def _written_down(state: State, shot: Shot) -> AsyncIterator[None]:
    try:
        yield
    except PhotoslotError as failure:
        await outcome.fail(state, shot, failure)
        raise
    except Exception:
        await outcome.fail(state, shot, PhotoslotError())
        raise
    finally:
        shot.note()


async def edit(
    state: State, shot: Shot, upload: Upload, temp: TempFiles, is_there: Callable[[], bool]
) -> ShotResult:
    """Have the photo that lies in `temp` edited and stored, or find the picture that an earlier
    request for the same shot got. `is_there` tells whether the device still waits for it."""
    threads, config = state["threads"], state["config"]
    shot.plans = await plans.plans_of(state, shot.slot)
    pixels = config.max_image_megapixels * 1_000_000
    with disk_errors():
        info = await in_thread(threads.images, inspect, temp.path("upload"), pixels)
    if original := await claim(state, shot, upload, info, temp):
        return await _replay(state, shot, original)
    photo = plans.ShotPhoto(temp, info, upload.bytes, shot.slot.max_side_px)
    ready = await plans.make_ready(state, shot.plans[0], photo)
    if shot.answer_by - now() < MIN_ATTEMPT_SECONDS:
        raise Overloaded("Too little of the window was left when it was this shot's turn.")
    shot.called = now()
    edited = await fallback.edit(state, shot, photo, ready)
    shot.edited = now()
    # Beside the storing: removing a large file blocks. `admit` makes sure of it in the end.
    threads.disk.submit(temp.clear)
    kept = await outcome.store(state, shot, edited, is_there)
    stages = shot.stages()
    SHOTS.labels(shot.slot.id, shot.provider, "done").inc()
    SHOT_SECONDS.labels(shot.slot.id, "done").observe(now() - shot.arrived)
    ADDED_SECONDS.observe(((stages.queue or 0) + (stages.store or 0)) / 1000)
    return ShotResult(
        *(shot.job_id, edited.data, edited.info.mime, edited.info.width, edited.info.height),
        *(kept, stages, shot.provider),
        is_public=shot.source == "device",
    )


async def _replay(state: State, shot: Shot, job: Job) -> ShotResult:
    """The same picture once more, without a provider."""
    result = job.result
    assert result is not None
    path = state["media"].path(result.path)
    with disk_errors():
        data = await in_thread(state["threads"].disk, path.read_bytes)
    REPLAYS.inc()
    return ShotResult(
        *(job.id, data, result.mime, result.width, result.height),
        *(result, shot.stages(), None),
        is_public=True,
    )
