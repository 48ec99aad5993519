import asyncio
import itertools
import multiprocessing
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID, uuid4

import psycopg
import pytest
from tables import ChangeSlot, Execute, Rows, Tables

from service.errors import DatabaseUnavailable
from service.providers.attempts import Attempt
from service.queries import jobs, media, slots, workers
from service.queries.jobs import Candidate, Claim, NewJob, Stages
from service.queries.media import KeptFile
from service.queries.slots import IngestSlot
from service.storage.database import Database, open_database
from service.upkeep.worker_lease import open_worker_lease

pytestmark = pytest.mark.anyio


AT_ONCE = 50
LIMIT = 7
# A worker that has no jobs of its own.
ASKER = 1
# Workers that were never heard of.
NOBODY = 2
KEY = b"the same order"
OTHER_KEY = b"another order"


@pytest.fixture
async def worker(tables: Tables) -> AsyncIterator[int]:
    """The number of this process, which is alive."""
    async with open_worker_lease(tables.url) as lease:
        yield lease.worker


async def slot_of(db: Database, slot_id: str = "slot-001") -> IngestSlot:
    slot = await slots.for_ingest(db, slot_id, b"subject", 72)
    assert slot is not None
    return slot


def candidates_of(slot: IngestSlot) -> list[Candidate]:
    """The slot's plan and its fallback."""
    names = [slot.provider, *([slot.fallback["provider"]] if slot.fallback else [])]
    limits = slot.provider_max_in_flight or {}
    return [Candidate(name, f"{name}'s", f"{name}-1", limits.get(name)) for name in names]


def new_job(slot: IngestSlot, worker: int, **changes: Any) -> NewJob:
    now, job_id = datetime.now(UTC), uuid4()
    job = NewJob(
        id=job_id,
        slot=slot,
        candidates=candidates_of(slot),
        source="device",
        created_at=now,
        deadline_at=now + timedelta(seconds=48),
        client_address="127.0.0.1",
        device={"id": "063012001234"},
        idempotency_key=None,
        source_sha256=b"\1" * 32,
        source_mime="image/jpeg",
        source_bytes=1000,
        source_width=640,
        source_height=480,
        upload_ms=12,
        timezone="UTC",
        path=f"temp/{job_id}.{worker}.upload",
        stale_at=now + timedelta(seconds=108),
        worker=worker,
    )
    return replace(job, **changes)


def late(seconds: float) -> dict[str, datetime]:
    """The times of a job whose window closed so long ago."""
    closed = datetime.now(UTC) - timedelta(seconds=seconds)
    return {"created_at": closed - timedelta(seconds=48), "deadline_at": closed}


async def claim(db: Database, worker: int, slot_id: str = "slot-001", **changes: Any) -> Claim:
    return await jobs.claim(db, new_job(await slot_of(db, slot_id), worker, **changes))


async def finish(db: Database, job_id: UUID, expires_in: timedelta = timedelta(hours=72)) -> bool:
    expires_at = datetime.now(UTC) + expires_in
    path = f"results/{str(job_id)[:2]}/{job_id}.jpg"
    return await jobs.finish(
        db,
        job_id,
        provider="gemini",
        model="gemini-1",
        attempts=[{"provider": "gemini", "outcome": "ok"}],
        stages=Stages(12, 1, 200, 3, 216),
        delivered=True,
        result=KeptFile(path, "image/jpeg", 2000, b"\2" * 32, 640, 480, expires_at),
    )


async def fail(
    db: Database, job_id: UUID, status: str = "failed", reason: str = "provider_error"
) -> None:
    await jobs.fail(
        db,
        job_id,
        slot=await slot_of(db),
        source="device",
        status=status,
        reason=reason,
        details="finishReason OTHER",
        created_at=datetime.now(UTC),
        client_address="127.0.0.1",
        device={},
        source_sha256=b"\1" * 32,
        source_bytes=1000,
        attempts=[{"provider": "gemini", "outcome": reason}],
        stages=Stages(upload=12, total=300),
    )


_barrier: Any = None


def join(barrier: Any) -> None:
    """Runs first in each process."""
    global _barrier
    _barrier = barrier


def claim_many(url: str, slot_ids: Sequence[str], key: bytes | None) -> list[tuple[str, str]]:
    """Half of the claims, all at once, together with the other process; neither ends before both
    are done, because the jobs of a process that ended are given up."""

    async def run() -> list[Claim]:
        async with open_worker_lease(url) as lease, open_database(url, 8) as db:
            slots = [await slot_of(db, slot_id) for slot_id in slot_ids]
            turns = itertools.islice(itertools.cycle(slots), AT_ONCE // 2)
            wanted = [new_job(slot, lease.worker, idempotency_key=key) for slot in turns]
            await asyncio.to_thread(_barrier.wait, 30)
            claims = await asyncio.gather(*(jobs.claim(db, job) for job in wanted))
            await asyncio.to_thread(_barrier.wait, 30)
            return claims

    return [(claim.outcome, str(claim.job_id)) for claim in asyncio.run(run())]


class ClaimFromBoth(Protocol):
    """Two processes at once: each takes its claims to all these slots in turn."""

    def __call__(self, *slot_ids: str, key: bytes | None = None) -> list[tuple[str, str]]: ...


@pytest.fixture(scope="module")
def _processes() -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        2, mp_context=context, initializer=join, initargs=(context.Barrier(2),)
    ) as processes:
        yield processes


@pytest.fixture
def claim_from_both(_processes: ProcessPoolExecutor, tables: Tables) -> ClaimFromBoth:
    """See `ClaimFromBoth`."""

    def claim(*slot_ids: str, key: bytes | None = None) -> list[tuple[str, str]]:
        # Neither half ends without the other: each process has one of them.
        halves = [_processes.submit(claim_many, tables.url, slot_ids, key) for _ in range(2)]
        return [claim for half in halves for claim in half.result(60)]

    return claim


def outcomes(claims: list[tuple[str, str]]) -> dict[str, int]:
    return dict(Counter(outcome for outcome, _ in claims))


def filed(rows: Rows) -> dict[tuple[str, str | None], int]:
    found = rows(
        "select status, failure_reason, count(*) as jobs from job_history group by 1, 2 order by 1"
    )
    return {(row["status"], row["failure_reason"]): row["jobs"] for row in found}


def test_a_slots_limit_holds_for_two_processes(
    claim_from_both: ClaimFromBoth, slot: ChangeSlot, rows: Rows
) -> None:
    slot("slot-001", max_in_flight=LIMIT)

    claims = claim_from_both("slot-001")

    assert outcomes(claims) == {"claimed": LIMIT, "slot_busy": AT_ONCE - LIMIT}
    assert filed(rows) == {
        ("pending", None): LIMIT,
        ("failed", "slot_busy"): AT_ONCE - LIMIT,
    }
    [sources] = rows("select count(*) as files from media_object where kind = 'source'")
    assert sources == {"files": LIMIT}


def test_a_providers_limit_holds_for_two_processes_on_all_slots(
    claim_from_both: ClaimFromBoth, slot: ChangeSlot, execute: Execute, rows: Rows
) -> None:
    slot_ids = [row["id"] for row in rows("select id from slot")]
    for slot_id in slot_ids:
        slot(slot_id, max_in_flight=AT_ONCE)
    limit = f'{{"gemini": {LIMIT}}}'
    execute("update settings set value = %s where key = 'provider_max_in_flight'", limit)

    claims = claim_from_both(*slot_ids)

    assert outcomes(claims) == {"claimed": LIMIT, "provider_busy": AT_ONCE - LIMIT}
    assert filed(rows)[("pending", None)] == LIMIT


def test_two_providers_limits_hold_for_plans_that_name_them_the_other_way_round(
    claim_from_both: ClaimFromBoth, slot: ChangeSlot, execute: Execute, rows: Rows
) -> None:
    pairs = [("slot-001", "gemini", "openai"), ("slot-002", "openai", "gemini")]
    for slot_id, first, second in pairs:
        slot(slot_id, provider=first, fallback={"provider": second}, max_in_flight=AT_ONCE)
    limits = f'{{"gemini": {LIMIT}, "openai": {LIMIT}}}'
    execute("update settings set value = %s where key = 'provider_max_in_flight'", limits)

    claims = claim_from_both(*(slot_id for slot_id, _, _ in pairs))

    assert outcomes(claims) == {"claimed": 2 * LIMIT, "provider_busy": AT_ONCE - 2 * LIMIT}
    taken = rows("select provider, count(*) from job_history where status = 'pending' group by 1")
    assert {row["provider"]: row["count"] for row in taken} == {"gemini": LIMIT, "openai": LIMIT}


async def test_a_shot_gets_the_fallbacks_place_when_the_first_provider_is_full(
    db: Database, worker: int, slot: ChangeSlot, execute: Execute, rows: Rows
) -> None:
    slot("slot-001", fallback={"provider": "openai"})
    limits = '{"gemini": 1, "openai": 1}'
    execute("update settings set value = %s where key = 'provider_max_in_flight'", limits)

    claims = [await claim(db, worker) for _ in range(3)]

    assert [(one.outcome, one.place) for one in claims] == [
        ("claimed", 1),
        ("claimed", 2),
        ("provider_busy", None),
    ]
    stored = rows("select provider, operation from job_history order by created_at")
    assert [(row["provider"], row["operation"]) for row in stored] == [
        ("gemini", "gemini's"),
        ("openai", "openai's"),
        ("gemini", "gemini's"),
    ]


async def test_a_running_shot_moves_to_a_provider_that_has_room(
    db: Database, worker: int, slot: ChangeSlot, rows: Rows
) -> None:
    slot("slot-002", provider="openai")
    first, other = await claim(db, worker), await claim(db, worker, "slot-002")
    to = Candidate("openai", "image_edit", "openai-1", 1)
    tried = [{"provider": "gemini", "outcome": "provider_error"}]

    assert await jobs.move(db, first.job_id, to, tried, worker) == "provider_busy"
    await finish(db, other.job_id)
    assert await jobs.move(db, first.job_id, to, tried, worker) is None
    # Nor does its own place stand in its way.
    assert await jobs.move(db, first.job_id, to, tried, worker) is None

    [row] = rows("select * from job_history where status = 'pending'")
    assert (row["provider"], row["operation"]) == ("openai", "image_edit")
    assert (row["attempts"], row["attempt_count"]) == (tried, 1)
    await fail(db, first.job_id)
    assert await jobs.move(db, first.job_id, to, tried, worker) == "interrupted"


def test_the_last_shot_of_the_day_is_given_out_once(
    claim_from_both: ClaimFromBoth, slot: ChangeSlot, rows: Rows
) -> None:
    slot("slot-001", max_in_flight=AT_ONCE, daily_limit=1)

    claims = claim_from_both("slot-001")

    assert outcomes(claims) == {"claimed": 1, "quota_exceeded": AT_ONCE - 1}
    assert filed(rows)[("failed", "quota_exceeded")] == AT_ONCE - 1


def test_of_many_retries_at_once_one_is_taken_and_the_others_join_it(
    claim_from_both: ClaimFromBoth, slot: ChangeSlot, rows: Rows
) -> None:
    slot("slot-001", max_in_flight=LIMIT)

    claims = claim_from_both("slot-001", key=KEY)

    assert outcomes(claims) == {"claimed": 1, "joined": AT_ONCE - 1}
    assert len({job_id for _, job_id in claims}) == 1
    assert filed(rows) == {("pending", None): 1}


async def test_a_claim_made_again_after_its_answer_was_lost_is_still_its_own(
    db: Database, worker: int, rows: Rows
) -> None:
    job = new_job(await slot_of(db), worker, idempotency_key=KEY)
    first = await jobs.claim(db, job)

    assert await jobs.claim(db, job) == first
    assert first == Claim("claimed", job.id, place=1)
    assert rows("select status from job_history") == [{"status": "pending"}]


async def test_a_claim_made_again_that_cannot_know_what_it_said_is_given_up(
    db: Database, worker: int, slot: ChangeSlot, rows: Rows
) -> None:
    without_a_key = new_job(await slot_of(db), worker)
    slot("slot-002", fallback={"provider": "openai", "operation": "image_edit", "settings": {}})
    of_two_plans = new_job(await slot_of(db, "slot-002"), worker, idempotency_key=KEY)

    for job in (without_a_key, of_two_plans):
        assert (await jobs.claim(db, job)).outcome == "claimed"
        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            await jobs.claim(db, job)
    assert rows("select count(*) as jobs from job_history") == [{"jobs": 2}]


async def test_a_claimed_shot_is_pending_and_its_source_is_known(
    db: Database, worker: int, rows: Rows
) -> None:
    job = new_job(await slot_of(db), worker, idempotency_key=KEY)

    assert await jobs.claim(db, job) == Claim("claimed", job.id, 1)

    [row] = rows("select * from job_history")
    assert (row["id"], row["status"], row["worker"]) == (job.id, "pending", worker)
    assert (row["slot_id"], row["slot_version"], row["provider"]) == ("slot-001", 1, "gemini")
    assert (row["deadline_at"], row["finished_at"]) == (job.deadline_at, None)
    assert (row["idempotency_key"], row["device"]) == (KEY, {"id": "063012001234"})
    [source] = rows("select * from media_object")
    assert (source["kind"], source["job_id"], source["path"]) == ("source", job.id, job.path)
    assert source["expires_at"] == job.stale_at


async def test_a_refused_shot_is_filed_as_ended(
    db: Database, worker: int, slot: ChangeSlot, rows: Rows
) -> None:
    slot("slot-001", max_in_flight=1)
    await claim(db, worker)

    refused = await claim(db, worker)

    assert refused.outcome == "slot_busy"
    [row] = rows("select * from job_history where id = %s", refused.job_id)
    assert (row["status"], row["failure_reason"]) == ("failed", "slot_busy")
    assert row["finished_at"] is not None and row["deadline_at"] is None
    assert rows("select 1 from media_object where job_id = %s", refused.job_id) == []


async def test_a_full_slot_does_not_fill_another(
    db: Database, worker: int, slot: ChangeSlot
) -> None:
    slot("slot-001", max_in_flight=1)
    await claim(db, worker)

    assert (await claim(db, worker, "slot-002")).outcome == "claimed"


@pytest.mark.parametrize("ending", ["finish", "fail"])
async def test_a_shot_that_ended_makes_room(
    db: Database, worker: int, slot: ChangeSlot, ending: str
) -> None:
    slot("slot-001", max_in_flight=1)
    first = await claim(db, worker)
    await (finish if ending == "finish" else fail)(db, first.job_id)

    assert (await claim(db, worker)).outcome == "claimed"


async def test_a_shot_whose_window_is_over_is_not_in_flight(
    db: Database, worker: int, slot: ChangeSlot, rows: Rows
) -> None:
    slot("slot-001", max_in_flight=1)
    await claim(db, worker, **late(seconds=1))

    assert (await claim(db, worker)).outcome == "claimed"
    assert filed(rows) == {("pending", None): 2}


async def test_the_retry_of_a_running_shot_joins_it_on_a_full_slot_too(
    db: Database, worker: int, slot: ChangeSlot, rows: Rows
) -> None:
    slot("slot-001", max_in_flight=1, daily_limit=1)
    first = await claim(db, worker, idempotency_key=KEY)

    assert await claim(db, worker, idempotency_key=KEY) == Claim("joined", first.job_id)
    assert (await claim(db, worker, idempotency_key=OTHER_KEY)).outcome == "slot_busy"
    assert (await claim(db, worker)).outcome == "slot_busy"
    assert filed(rows) == {("pending", None): 1, ("failed", "slot_busy"): 2}


async def test_the_retry_of_a_done_shot_finds_it(db: Database, worker: int) -> None:
    first = await claim(db, worker, idempotency_key=KEY)
    await finish(db, first.job_id)

    assert await claim(db, worker, idempotency_key=KEY) == Claim("joined", first.job_id)


@pytest.mark.parametrize("status", ["failed", "timeout"])
async def test_the_retry_of_a_failed_shot_is_a_new_order(
    db: Database, worker: int, status: str
) -> None:
    first = await claim(db, worker, idempotency_key=KEY)
    await fail(db, first.job_id, status)

    again = await claim(db, worker, idempotency_key=KEY)

    assert again.outcome == "claimed"
    assert again.job_id != first.job_id


async def test_a_picture_that_is_gone_cannot_be_joined(
    db: Database, worker: int, execute: Execute
) -> None:
    first = await claim(db, worker, idempotency_key=KEY)
    await finish(db, first.job_id, expires_in=timedelta(seconds=-1))
    second = await claim(db, worker, idempotency_key=KEY)
    await finish(db, second.job_id)
    await media.mark_gone(db, second.job_id, "result")

    third = await claim(db, worker, idempotency_key=KEY)

    assert (second.outcome, third.outcome) == ("claimed", "claimed")


async def test_a_shot_whose_window_is_over_cannot_be_joined(db: Database, worker: int) -> None:
    await claim(db, worker, idempotency_key=KEY, **late(seconds=1))

    assert (await claim(db, worker, idempotency_key=KEY)).outcome == "claimed"


async def test_the_same_order_on_a_changed_slot_is_a_new_one(
    db: Database, worker: int, slot: ChangeSlot, execute: Execute
) -> None:
    first = await claim(db, worker, idempotency_key=KEY)
    execute(
        "insert into slot_version (slot_id, version, snapshot, created_by)"
        " values ('slot-001', 2, '{}', 'a test')"
    )
    slot("slot-001", version=2)

    again = await claim(db, worker, idempotency_key=KEY)

    assert again.outcome == "claimed"
    assert again.job_id != first.job_id


async def test_the_same_key_on_another_slot_is_another_order(db: Database, worker: int) -> None:
    await claim(db, worker, idempotency_key=KEY)

    assert (await claim(db, worker, "slot-002", idempotency_key=KEY)).outcome == "claimed"


async def test_shots_without_a_key_are_always_new(db: Database, worker: int) -> None:
    outcomes = [(await claim(db, worker)).outcome for _ in range(3)]

    assert outcomes == ["claimed"] * 3


async def test_a_key_with_other_bytes_is_a_conflict_that_leaves_no_row(
    db: Database, worker: int, rows: Rows
) -> None:
    first = await claim(db, worker, idempotency_key=KEY)
    await finish(db, first.job_id)

    refused = await claim(db, worker, idempotency_key=KEY, source_sha256=b"\7" * 32)

    assert refused.outcome == "idempotency_conflict"
    assert filed(rows) == {("done", None): 1}


async def test_what_may_have_cost_money_counts_for_the_day(
    db: Database, worker: int, slot: ChangeSlot
) -> None:
    slot("slot-001", max_in_flight=10, daily_limit=3)
    done, timed_out = await claim(db, worker), await claim(db, worker)
    await finish(db, done.job_id)
    await fail(db, timed_out.job_id, "timeout", "provider_timeout")
    await claim(db, worker)

    assert (await claim(db, worker)).outcome == "quota_exceeded"


async def test_what_cost_nothing_does_not_count_for_the_day(
    db: Database, worker: int, slot: ChangeSlot
) -> None:
    slot("slot-001", max_in_flight=1, daily_limit=1)
    failed = await claim(db, worker)
    assert (await claim(db, worker)).outcome == "slot_busy"
    await fail(db, failed.job_id)
    await fail(db, uuid4(), reason="invalid_image")

    assert (await claim(db, worker)).outcome == "claimed"


async def test_a_day_begins_at_its_own_midnight(
    db: Database, worker: int, slot: ChangeSlot
) -> None:
    """One shot at noon and one at 16:00 UTC, the same day in London; Tokyo's next day begins at
    15:00. Both are tomorrow, so that none of them is late."""
    slot("slot-001", daily_limit=1)
    today = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    noon = today + timedelta(days=1)
    first = {"created_at": noon, "deadline_at": noon + timedelta(seconds=48)}
    second = {name: time + timedelta(hours=4) for name, time in first.items()}
    await claim(db, worker, **first)

    assert (await claim(db, worker, timezone="UTC", **second)).outcome == "quota_exceeded"
    assert (await claim(db, worker, timezone="Asia/Tokyo", **second)).outcome == "claimed"


async def test_a_finished_shot_has_its_picture_and_no_source(
    db: Database, worker: int, rows: Rows
) -> None:
    job_id = (await claim(db, worker)).job_id

    assert await finish(db, job_id)

    job = await jobs.by_id(db, job_id)
    assert job is not None and job.result is not None
    assert (job.status, job.stored, job.delivered, job.total_ms) == ("done", True, True, 216)
    assert (job.result.mime, job.result.bytes) == ("image/jpeg", 2000)
    assert [row["kind"] for row in rows("select kind from media_object")] == ["result"]


async def test_a_failed_shot_has_its_reason_and_no_source(
    db: Database, worker: int, rows: Rows
) -> None:
    job_id = (await claim(db, worker)).job_id

    await fail(db, job_id)

    [row] = rows("select * from job_history")
    assert (row["status"], row["failure_reason"]) == ("failed", "provider_error")
    assert (row["failure_details"], row["total_ms"]) == ("finishReason OTHER", 300)
    assert row["attempts"] == [{"outcome": "provider_error", "provider": "gemini"}]
    assert rows("select 1 from media_object") == []


async def test_a_shot_refused_before_its_claim_is_filed_once(db: Database, rows: Rows) -> None:
    job_id = uuid4()

    await fail(db, job_id, reason="invalid_image")
    await fail(db, job_id, reason="provider_error")

    assert filed(rows) == {("failed", "invalid_image"): 1}


async def test_a_done_shot_stays_done(db: Database, worker: int, rows: Rows) -> None:
    job_id = (await claim(db, worker)).job_id
    assert await finish(db, job_id)
    before = rows("select * from job_history")

    assert not await finish(db, job_id)
    await fail(db, job_id, "timeout", "provider_timeout")

    assert rows("select * from job_history") == before
    assert len(rows("select 1 from media_object")) == 1


async def test_a_failed_shot_stays_failed(db: Database, worker: int, rows: Rows) -> None:
    job_id = (await claim(db, worker)).job_id
    await fail(db, job_id)
    before = rows("select * from job_history")

    assert not await finish(db, job_id)
    await fail(db, job_id, "timeout", "provider_timeout")

    assert rows("select * from job_history") == before
    assert rows("select 1 from media_object") == []


async def test_only_one_of_two_endings_at_once_counts(
    db: Database, worker: int, rows: Rows
) -> None:
    job_id = (await claim(db, worker)).job_id

    ended = await asyncio.gather(*(finish(db, job_id) for _ in range(4)), fail(db, job_id))

    assert ended[:4].count(True) + (filed(rows) == {("failed", "provider_error"): 1}) == 1
    assert len(rows("select 1 from job_history")) == 1


async def test_a_shot_long_after_its_window_is_interrupted(
    db: Database, worker: int, rows: Rows
) -> None:
    await claim(db, worker)
    await claim(db, worker, **late(seconds=jobs.INTERRUPT_GRACE_SECONDS - 3))
    over = await claim(db, worker, **late(seconds=jobs.INTERRUPT_GRACE_SECONDS + 1))

    assert await jobs.interrupt(db, ASKER) == [over.job_id]

    assert filed(rows) == {("pending", None): 2, ("failed", "interrupted"): 1}
    assert rows("select 1 from media_object where job_id = %s", over.job_id) == []
    assert len(rows("select 1 from media_object")) == 2


async def test_a_dead_workers_shots_are_interrupted_inside_their_window(
    db: Database, settled: None, worker: int, tables: Tables
) -> None:
    async with open_worker_lease(tables.url) as other:
        left = await claim(db, other.worker)
        kept = await claim(db, worker)
        assert await jobs.interrupt(db, ASKER) == []

    async with asyncio.timeout(5):
        while await jobs.interrupt(db, ASKER) != [left.job_id]:
            await asyncio.sleep(0.02)
    job = await jobs.by_id(db, kept.job_id)
    assert job is not None and job.status == "pending"


LEASE = "insert into worker_lease values (%s, now() + make_interval(secs => %s))"


async def test_a_worker_lives_as_long_as_its_lease_or_its_lock(
    db: Database, settled: None, execute: Execute, tables: Tables
) -> None:
    """One that has only the lock is of a version without leases."""
    leased, locked, both, neither, unknown = (NOBODY + number for number in range(5))
    for number, seconds in ((leased, 60), (both, -60), (neither, -60)):
        execute(LEASE, number, seconds)
    with psycopg.connect(tables.url, autocommit=True) as other:
        other.execute("select pg_advisory_lock(1, %s)", [locked])
        other.execute("select pg_advisory_lock_shared(1, %s)", [both])
        left = {
            number: (await claim(db, number, f"slot-{index:03}")).job_id
            for index, number in enumerate((leased, locked, both, neither, unknown), 1)
        }

        assert {leased, locked, both} <= (await workers.alive(db) or set())
        dead = {left[neither], left[unknown]}
        assert set(await jobs.interrupt(db, ASKER)) == dead


async def test_nobody_is_dead_before_a_session_is_old_enough_to_know(
    db: Database, settled: None, worker: int
) -> None:
    await claim(db, NOBODY)
    longer = 24 * 3600.0

    known = (jobs.INTERRUPT_GRACE_SECONDS, longer)
    assert await db.value("workers_alive", longer) is None
    assert await db.many("jobs_interrupt", ASKER, None, None, *known) == []
    assert len(await jobs.interrupt(db, ASKER)) == 1


async def test_what_a_dead_process_called_is_written_down_as_maybe_billed(
    db: Database, settled: None, rows: Rows, slot: ChangeSlot
) -> None:
    first = await claim(db, NOBODY)
    moved = await claim(db, NOBODY, "slot-002")
    refused = {"provider": "gemini", "outcome": "provider_error", "started_ms": 5, "ms": 20}
    to = Candidate("openai", "image_edit", "gpt-image-2", None)
    assert await jobs.move(db, moved.job_id, to, [refused], NOBODY) is None

    assert set(await jobs.interrupt(db, ASKER)) == {first.job_id, moved.job_id}

    found = rows("select * from job_history")
    calls = {row["id"]: row["attempts"] for row in found}
    [lost] = calls[first.job_id]
    assert Attempt(**lost) == Attempt(
        *("gemini", "gemini-1", "interrupted", 0, 0),
        maybe_billed=True,
        details=lost["details"],
    )
    earlier, later = calls[moved.job_id]
    assert earlier == refused
    assert (later["provider"], later["model"]) == ("openai", "gpt-image-2")
    assert (later["started_ms"], later["maybe_billed"]) == (25, True)
    assert {row["id"]: row["attempt_count"] for row in found} == {
        first.job_id: 1,
        moved.job_id: 2,
    }
    assert rows("select sum(attempts)::int as attempts from shot_hour") == [{"attempts": 3}]


async def test_the_call_whose_picture_a_dead_process_left_is_written_down(
    db: Database, settled: None, rows: Rows
) -> None:
    job_id = (await claim(db, NOBODY)).job_id
    [dead] = await jobs.dead(db, ASKER)
    kept = KeptFile("results/a.jpg", "image/jpeg", 9, b"\2" * 32, 640, 480, datetime.now(UTC))

    assert await jobs.adopt(db, dead, kept, datetime.now(UTC))

    [row] = rows("select attempts, attempt_count from job_history where id = %s", job_id)
    [call] = row["attempts"]
    assert (call["model"], call["outcome"], call["maybe_billed"]) == ("gemini-1", "ok", False)
    assert (row["attempt_count"], call["cost_microusd"]) == (1, None)


async def test_a_claim_clears_away_the_dead_of_its_own_slot(
    db: Database, settled: None, worker: int, slot: ChangeSlot
) -> None:
    slot("slot-001", max_in_flight=1)
    dead = await claim(db, NOBODY, idempotency_key=KEY)

    again = await claim(db, worker, idempotency_key=KEY)

    assert again.outcome == "claimed"
    job = await jobs.by_id(db, dead.job_id)
    assert job is not None and job.failure_reason == "interrupted"


async def test_an_ended_shot_is_never_interrupted(db: Database, worker: int, rows: Rows) -> None:
    over = late(seconds=jobs.INTERRUPT_GRACE_SECONDS + 60)
    job_id = (await claim(db, worker, **over)).job_id
    await finish(db, job_id)

    assert await jobs.interrupt(db, ASKER) == []
    assert filed(rows) == {("done", None): 1}


async def test_a_claim_waits_in_line_and_not_for_ever(
    db: Database, worker: int, tables: Tables, rows: Rows
) -> None:
    """While somebody holds the line of a slot its claims are refused, and only its own."""
    with psycopg.connect(tables.url) as other:
        other.execute("select pg_advisory_xact_lock(3, hashtext('slot-001'))")
        with pytest.raises(DatabaseUnavailable):
            await claim(db, worker)
        assert (await claim(db, worker, "slot-002")).outcome == "claimed"

    assert (await claim(db, worker)).outcome == "claimed"
    assert filed(rows) == {("pending", None): 2}
