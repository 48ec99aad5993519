"""How fast admins and guests are answered when a million jobs lie in the journal, and by which
plans.

A time is the median of the calmest third of its rounds, so that a burst of other work on the
machine does not count; the median of all stands beside it."""

import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from figures import Figure
from filling import LARGE, fill
from load import run
from rig import SIGNING_KEY
from stage import Stage
from starlette.types import ASGIApp, Receive, Scope, Send

from service import config as configuration
from service.app import create_app
from service.queries import gallery, jobs, journal, slots
from service.queries.jobs import Candidate, NewJob, Stages
from service.queries.journal import JobFilter, Keyset
from service.queries.media import KeptFile
from service.storage.accounts import Admins
from service.storage.database import Connection, Database, load_statements, open_database
from service.upkeep.worker_lease import open_worker_lease

HERE = Path(__file__).parent
DAYS = 120
PAGE = 50
PER_SLOT = 10
FILL_SECONDS = 300
PAGE_MS = 5
STATS_DAY_MS = 20
STATS_MONTH_MS = 150
CLAIM_MS = 10
# What HTTP, JSON and the session may add to the statements.
HTTP_MS = 30
DAY = 24 * 3600
# PostgreSQL flushes a session's counters at most this long after it fell idle.
REPORT_SECONDS = 11.0
ADMIN, PASSWORD = "serg", "a password of the bench"
PLANNED_FOR_VALUES = (
    *("journal_page_older", "journal_page_newer", "journal_failures", "cleanup_due"),
)
BUSY, FAILING, RESTING = "slot-001", "slot-014", "slot-015"
MODEL = "gemini-nano-banana-2.1"


@dataclass(frozen=True)
class Size:
    """How many jobs there are, how often each thing is done."""

    jobs: int
    rounds: int
    claims: int


FULL = Size(jobs=1_000_000, rounds=30, claims=200)
QUICK = Size(jobs=100_000, rounds=12, claims=50)


def filling(stage: Stage, size: Size) -> Iterator[Figure]:
    """How long it takes to fill the service."""
    started = time.perf_counter()
    fill(stage.tables.url, size.jobs, DAYS)
    yield Figure(
        name=f"{size.jobs:,} jobs",
        value=time.perf_counter() - started,
        unit="s",
        limit=FILL_SECONDS,
        how=f"over {DAYS} days on 15 slots with their pictures and hours, indexed and analysed",
    )


def figures_of_shots(stage: Stage, size: Size) -> Iterator[Figure]:
    """The SQL of the statistics, as the handlers ask for it."""
    wanted = {
        "5 minutes": (f"/api/stats?window={5 * 60}", STATS_DAY_MS),
        "3 hours": (f"/api/stats?window={3 * 3600}", STATS_DAY_MS),
        "3 hours, one slot": (f"/api/stats?window={3 * 3600}&slot_id={BUSY}", STATS_DAY_MS),
        "24 hours": (f"/api/stats?window={DAY}", STATS_DAY_MS),
        "24 hours, one slot": (f"/api/stats?window={DAY}&slot_id={BUSY}", STATS_DAY_MS),
        "24 hours, resting slot": (f"/api/stats?window={DAY}&slot_id={RESTING}", STATS_DAY_MS),
        "24 hours, each slot": (f"/api/stats/slots?window={DAY}", STATS_DAY_MS),
        "30 days": (f"/api/stats?window={30 * DAY}", STATS_MONTH_MS),
        "30 days, one slot": (f"/api/stats?window={30 * DAY}&slot_id={BUSY}", STATS_MONTH_MS),
        "30 days, resting slot": (
            f"/api/stats?window={30 * DAY}&slot_id={RESTING}",
            STATS_MONTH_MS,
        ),
        "30 days, each slot": (f"/api/stats/slots?window={30 * DAY}", STATS_MONTH_MS),
    }
    for name, (path, limit) in wanted.items():
        taken = run(_sql_seconds(stage, path, size.rounds))
        sums = [sum(asked.values()) for asked in taken]
        yield Figure(
            name=f"statistics, {name}",
            value=_calm(sums) * 1000,
            unit="ms",
            limit=limit,
            how=f"SQL of GET {path.partition('?')[0]}; most: {_slowest(taken)}; {_all(sums)}",
        )


def _slowest(taken: Sequence[Mapping[str, float]]) -> str:
    medians = {name: statistics.median(asked[name] for asked in taken) for name in taken[0]}
    name = max(medians, key=lambda name: medians[name])
    return f"{name} {medians[name] * 1000:.1f} ms"


async def _sql_seconds(stage: Stage, path: str, rounds: int) -> list[dict[str, float]]:
    """Seconds by statement, of each time the path was asked for."""
    taken = []
    async with _desk(stage) as admin:
        for _ in range(rounds):
            with _metered() as spent:
                (await admin.get(path)).raise_for_status()
            sums: Counter[str] = Counter()
            for name, seconds in spent:
                sums[name] += seconds
            taken.append(dict(sums))
    return taken


@contextmanager
def _metered() -> Iterator[list[tuple[str, float]]]:
    """Every statement this process runs inside the block: its name and its seconds."""
    spent: list[tuple[str, float]] = []
    verbs = {verb: getattr(Connection, verb) for verb in ("one", "many", "value", "run")}

    def metered(verb: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def ask(connection: Connection, name: str, *args: object) -> Any:
            started = time.perf_counter()
            try:
                return await verb(connection, name, *args)
            finally:
                spent.append((name, time.perf_counter() - started))

        return ask

    for name, verb in verbs.items():
        setattr(Connection, name, metered(verb))
    try:
        yield spent
    finally:
        for name, verb in verbs.items():
            setattr(Connection, name, verb)


@asynccontextmanager
async def _desk(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """The service inside this process, so that its statements can be metered, and an admin."""
    home = stage.folder / "desk"
    Admins(home / "secrets").set_password(ADMIN, PASSWORD)
    config = configuration.load(
        {
            "DATABASE_URL": stage.tables.url,
            "MEDIA_ROOT": str(home / "media"),
            "SECRETS_DIR": str(home / "secrets"),
            "PUBLIC_BASE_URL": "http://127.0.0.1",
            "JWT_SIGNING_KEY": SIGNING_KEY,
            "LOG_LEVEL": "error",
        }
    )
    app = create_app(config)
    async with app.router.lifespan_context(app) as state:
        transport = httpx.ASGITransport(_with_state(app, state or {}))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as admin:
            token = (await admin.post("/api/login", json=_credentials())).json()["access_token"]
            admin.headers["authorization"] = f"Bearer {token}"
            yield admin


def _credentials() -> dict[str, str]:
    return {"username": ADMIN, "password": PASSWORD}


def _with_state(app: ASGIApp, state: Mapping[str, Any]) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": dict(state)}, receive, send)

    return serve


def journal_pages(stage: Stage, size: Size) -> Iterator[Figure]:
    """A page of the journal wherever it is, in both directions."""
    for name, wanted in _filters().items():
        taken = run(_page_seconds(stage, wanted, size.rounds))
        where = max(taken, key=lambda where: _calm(taken[where]))
        yield Figure(
            name=f"journal, {name}",
            value=_calm(taken[where]) * 1000,
            unit="ms",
            limit=PAGE_MS,
            how=f"{PAGE} jobs, worst of {len(taken)} places: {where}; {_all(taken[where])}",
        )


def _filters() -> dict[str, JobFilter]:
    now = datetime.now(UTC)
    then = now - timedelta(days=DAYS / 2)
    return {
        "all": JobFilter(),
        "one slot": JobFilter(slot_id=BUSY),
        "a resting slot": JobFilter(slot_id=RESTING),
        "rare reason": JobFilter(reason="storage_error"),
        "frequent reason": JobFilter(reason="provider_timeout"),
        "done": JobFilter(status="done"),
        "failed": JobFilter(status="failed"),
        "timeout": JobFilter(status="timeout"),
        "devices": JobFilter(source="device"),
        "tests": JobFilter(source="test"),
        "one day": JobFilter(since=then - timedelta(days=1), until=then),
        "up to a time": JobFilter(until=then),
        "from a time on": JobFilter(since=then),
        "slot and status": JobFilter(slot_id=BUSY, status="failed"),
        "slot and reason": JobFilter(slot_id=RESTING, reason="provider_no_image"),
        "slot and rare reason": JobFilter(slot_id=BUSY, reason="storage_error"),
        "slot and tests": JobFilter(slot_id=RESTING, source="test"),
        "failed tests": JobFilter(status="failed", source="test"),
        "reason and tests": JobFilter(reason="provider_timeout", source="test"),
        "rare reason in a range": JobFilter(
            reason="storage_error", since=then - timedelta(days=9), until=then
        ),
        "everything at once": JobFilter(
            BUSY, "failed", "content_blocked", "device", then - timedelta(days=9), then
        ),
        **{
            f"nothing: {name}": wanted
            for name, wanted in {
                "pending": JobFilter(status="pending"),
                "unknown slot": JobFilter(slot_id="slot-999"),
                "unknown reason": JobFilter(reason="no_such_reason"),
                "done for a reason": JobFilter(status="done", reason="provider_timeout"),
                "failed for a timeout": JobFilter(status="failed", reason="provider_timeout"),
                "success of a failing slot": JobFilter(slot_id=FAILING, status="done"),
                "timeout of a failing slot": JobFilter(slot_id=FAILING, status="timeout"),
                "reason of another slot": JobFilter(slot_id=BUSY, reason="provider_auth"),
                "tests that were busy": JobFilter(
                    slot_id=FAILING, reason="slot_busy", source="test"
                ),
                "resting slot lately": JobFilter(
                    slot_id=RESTING, since=now - timedelta(days=DAYS / 3)
                ),
                "the future": JobFilter(since=now + timedelta(days=1)),
                "before the service": JobFilter(until=now - timedelta(days=2 * DAYS)),
                "an empty range": JobFilter(since=then, until=then),
            }.items()
        },
    }


async def _page_seconds(stage: Stage, wanted: JobFilter, rounds: int) -> dict[str, list[float]]:
    """Seconds of a page with its transaction, from each of several places."""
    now = datetime.now(UTC)
    places = {
        f"{share:.0%} back": now - timedelta(days=DAYS * share) for share in (0.01, 0.5, 0.99)
    }
    async with open_database(stage.tables.url, 1) as db:
        older, newer = journal.page_older, journal.page_newer
        asks = {"first page": partial(older, db, wanted, None, PAGE + 1)}
        for name, at in places.items():
            place = Keyset(at, UUID(int=1 << 127))
            asks[f"older than {name}"] = partial(older, db, wanted, place, PAGE + 1)
            asks[f"newer than {name}"] = partial(newer, db, wanted, place, PAGE + 1)
        return {name: await _seconds(ask, rounds) for name, ask in asks.items()}


async def _seconds(ask: Callable[[], Awaitable[object]], rounds: int) -> list[float]:
    """Of each round, after a first time that fills caches."""
    await ask()
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        await ask()
        taken.append(time.perf_counter() - started)
    return taken


def _calm(taken: Sequence[float]) -> float:
    """The median of the calmest third."""
    third = len(taken) // 3
    return min(statistics.median(taken[n * third : (n + 1) * third]) for n in range(3))


def _all(taken: Sequence[float]) -> str:
    return f"median of all {statistics.median(taken) * 1000:.1f} ms"


def galleries(stage: Stage, size: Size) -> Iterator[Figure]:
    """What a guest's page asks for, in one statement."""
    for name, slot_id in {
        f"15 slots × {PER_SLOT}": None,
        "one slot": BUSY,
        "a slot that never succeeded": FAILING,
        "a slot whose pictures are gone": RESTING,
    }.items():
        taken = run(_gallery_seconds(stage, slot_id, size.rounds))
        yield Figure(
            name=f"gallery, {name}",
            value=_calm(taken) * 1000,
            unit="ms",
            limit=PAGE_MS,
            how=f"gallery_page, the one statement; {_all(taken)}",
        )


async def _gallery_seconds(stage: Stage, slot_id: str | None, rounds: int) -> list[float]:
    async with open_database(stage.tables.url, 1) as db:
        found = await gallery.page(db, slot_id, PER_SLOT)
        slots = Counter(row.slot_id for row in found if row.job_id)
        assert slots[BUSY] == (PER_SLOT if slot_id in (None, BUSY) else 0), slots
        assert not slots[FAILING] and not slots[RESTING], slots
        return await _seconds(partial(gallery.page, db, slot_id, PER_SLOT), rounds)


def claims(stage: Stage, size: Size) -> Iterator[Figure]:
    """What the journal's length costs a camera: its shot is claimed and finished."""
    claimed, finished = run(_claim_seconds(stage, size.claims))
    for name, taken in (("claim", claimed), ("finish", finished)):
        yield Figure(
            name=f"a shot's {name}",
            value=_calm(taken) * 1000,
            unit="ms",
            limit=CLAIM_MS,
            how=f"{len(taken)} shots of a slot with a daily limit, one by one; {_all(taken)}",
        )


async def _claim_seconds(stage: Stage, count: int) -> tuple[list[float], list[float]]:
    claimed, finished = [], []
    url = stage.tables.url
    async with open_database(url, 1) as db, open_worker_lease(url) as lease:
        for number in range(count):
            job = await _new_job(db, number, lease.worker)
            started = time.perf_counter()
            claim = await jobs.claim(db, job)
            claimed.append(time.perf_counter() - started)
            assert claim.outcome == "claimed", claim
            started = time.perf_counter()
            assert await _finish(db, job)
            finished.append(time.perf_counter() - started)
    return claimed, finished


async def _new_job(db: Database, number: int, worker: int) -> NewJob:
    slot = await slots.for_ingest(db, BUSY, b"", 72)
    assert slot is not None
    now, job_id = datetime.now(UTC), uuid4()
    return NewJob(
        id=job_id,
        slot=replace(slot, daily_limit=1_000_000),
        candidates=[Candidate(slot.provider, slot.operation, MODEL, None)],
        source="device",
        created_at=now,
        deadline_at=now + timedelta(seconds=48),
        client_address="10.20.0.1",
        device={"filename": f"IMG_{number}.JPG", "time": str(number)},
        idempotency_key=job_id.bytes * 2,
        source_sha256=job_id.bytes * 2,
        source_mime="image/jpeg",
        source_bytes=4_000_000,
        source_width=6000,
        source_height=4000,
        upload_ms=250,
        timezone="UTC",
        path=f"temp/{job_id}.{worker}.upload",
        stale_at=now + timedelta(seconds=108),
        worker=worker,
    )


async def _finish(db: Database, job: NewJob) -> bool:
    path = f"results/{str(job.id)[:2]}/{job.id}.jpg"
    expires_at = job.created_at + timedelta(hours=72)
    return await jobs.finish(
        db,
        job.id,
        provider="gemini",
        model=MODEL,
        attempts=[{"provider": "gemini", "outcome": "ok", "tokens": 1400, "cost_microusd": 39000}],
        stages=Stages(upload=250, queue=60, provider=8000, store=40, total=8400),
        delivered=True,
        result=KeptFile(path, "image/jpeg", 900_000, job.source_sha256, 2048, 1365, expires_at),
    )


def plans(stage: Stage, _size: Size) -> Iterator[Figure]:
    """No statement reads a large table from end to end."""
    for kind, found in run(_plans(stage)).items():
        scans = {name: plan for name, plan in found.items() if _scanned(plan)}
        for name, plan in scans.items():
            print(f"{name}, {kind}:\n{json.dumps(plan, indent=1)}", file=sys.stderr)
        yield Figure(
            name=f"sequential scans, {kind}",
            value=len(scans),
            unit="",
            limit=0,
            how=f"{len(found)} statements explained{': ' * bool(scans)}{', '.join(scans)}",
        )


def _scanned(plan: Any) -> bool:
    if isinstance(plan, list):
        return any(_scanned(part) for part in plan)
    if not isinstance(plan, dict):
        return False
    if plan.get("Node Type") == "Seq Scan" and plan.get("Relation Name") in LARGE:
        return True
    return any(_scanned(part) for part in plan.values())


async def _plans(stage: Stage) -> dict[str, dict[str, Any]]:
    """The plans of every statement: for any values, and of those that name a large table for the
    values of busy, failing and resting slots. Some are never planned for any."""
    known = load_statements()
    large = {
        name
        for name, statement in known.items()
        if any(f" {table}" in statement.text for table in LARGE)
    }
    async with open_database(stage.tables.url, 1) as db:
        values = await _values(db)
        assert set(values) == large, f"without values: {set(values) ^ large}"
        db.statements = {
            name: replace(statement, text=f"explain (format json)\n{statement.text}")
            for name, statement in known.items()
        }
        of_values = {
            f"{name} {number}": json.loads(await db.value(name, *args))
            for name, several in values.items()
            for number, args in enumerate(several, 1)
        }
    of_any = {
        name: stage.tables.rows(f"explain (generic_plan, format json)\n{statement.text}")
        for name, statement in known.items()
        if name not in PLANNED_FOR_VALUES
    }
    return {"planned for its values": of_values, "planned for any values": of_any}


async def _values(db: Database) -> dict[str, list[tuple[object, ...]]]:
    """What each statement on a large table is asked with."""
    now = datetime.now(UTC)
    day, month = now - timedelta(days=1), now - timedelta(days=30)
    [row] = await journal.page_older(db, JobFilter(status="done"), None, 1)
    job_id, sha256 = row.id, b"\1" * 32
    slots = (BUSY, FAILING, RESTING)
    wanted = [
        (f.slot_id, f.status, f.reason, f.source, f.since, f.until) for f in _filters().values()
    ]
    places = [(now - timedelta(days=DAYS * share), job_id) for share in (0.01, 0.5, 0.99)]
    attempts = [{"provider": "gemini", "tokens": 1400, "cost_microusd": 39000}]
    picture = ("results/a.jpg", "image/jpeg", 900_000, sha256, 2048, 1365)
    return {
        "cleanup_due": [(400, 900.0, DAY, 5.0, 10.0)],
        "cleanup_must_wait": [(60.0,)],
        "cleanup_jobs": [(400, 1000), (31, 1000)],
        "cleanup_unknown": [([f"results/a/{uuid4()}.jpg" for _ in range(1000)],)],
        "gallery_page": [(slot, PER_SLOT) for slot in (None, *slots)],
        "job_forget": [(job_id,)],
        "installation_status": [(5.0,)],
        "slot_usage": [("UTC",)],
        "job_adopt": [(job_id, now, 9000, *picture, now)],
        "job_by_id": [(job_id,)],
        "job_fail": [
            (
                *(job_id, BUSY, 1, "device", "failed", "provider_error", None),
                *("gemini", "image_edit", now, "10.20.0.1", {}, sha256, 4_000_000, attempts),
                *(250, 60, 8000, 8400),
            )
        ],
        "job_finish": [
            (job_id, attempts, 60, 8000, 40, 8400, True, True, *picture, now, "gemini", MODEL)
        ],
        "job_mark_undelivered": [(job_id,)],
        "jobs_dead": [(0, None, None, 5.0, 10.0), (0, BUSY, None, 5.0, 10.0)],
        "journal_failures": [
            (slot, since, now, 20) for slot in (None, *slots) for since in (day, month)
        ],
        "journal_page_newer": [(*w, *place, PAGE + 1) for w in wanted for place in places],
        "journal_page_older": [
            (*w, *place, PAGE + 1) for w in wanted for place in ((None, None), *places)
        ],
        "journal_story": [(job_id,)],
        "media_add_preview": [(job_id, "previews/a.webp", 30_000, sha256, 512, 341, now)],
        "media_mark_cleaned": [([uuid4() for _ in range(500)],)],
        "media_expired": [
            (slot, *place, 500) for slot in (None, *slots) for place in ((None, None), places[0])
        ],
        "media_forget": [(job_id,)],
        "media_mark_gone": [(job_id, "result")],
        "media_lock_result": [(job_id,)],
        "media_preview": [(job_id,)],
        "slot_last_shots": [()],
        "stats_reasons": [(since, now, slot) for slot in (None, *slots) for since in (day, month)],
        "stats_series": [(now - timedelta(hours=3), now, 300.0, slot) for slot in (None, *slots)],
        "stats_slots_now": [()],
        "stats_storage": [()],
        "stats_totals": [(now - timedelta(hours=3), now)],
        "template_add": [(uuid4(), "templates/a.jpg", "image/jpeg", 1000, sha256, 640, 480)],
        "template_by_digest": [(sha256,)],
        "template_by_ids": [([uuid4(), uuid4()],)],
        "template_all": [()],
        "template_remove": [(uuid4(),)],
    }


def lists(stage: Stage, _size: Size) -> Iterator[Figure]:
    """A list costs the same number of statements however long it is."""
    few = run(_statements(stage, more=False))
    many = run(_statements(stage, more=True))
    for path, names in many.items():
        yield Figure(
            name=f"statements of GET {path}",
            value=len(names),
            unit="",
            limit=len(few[path]),
            how=f"against a short list; {', '.join(dict.fromkeys(names))}",
        )


async def _statements(stage: Stage, *, more: bool) -> dict[str, list[str]]:
    """The statements of each list; `more` fills it and asks for as much as it gives."""
    asked = {}
    async with _desk(stage) as admin:
        share = (await _share(admin))["url"].partition("?")[2]
        if more:
            await _lengthen(stage, admin)
        most = {"limit": 200 if more else 1}
        for path, params in {
            "/api/jobs": most,
            "/api/audit": most,
            "/api/slots": {},
            f"/api/slots/{BUSY}/versions": {},
            "/api/template-media": {},
            "/api/shares": {},
            "/api/providers": {},
            "/api/settings": {},
            "/api/stats": {"window": 30 * DAY if more else DAY},
            "/api/stats/slots": {"window": 30 * DAY if more else DAY},
            f"/public/slots?{share}": {"limit": 50 if more else 1},
        }.items():
            where = httpx.URL(path).copy_merge_params(params)
            # What is renewed behind the back of who asks falls into one of the looks at most.
            looks = [await _looked(admin, where) for _ in range(3)]
            asked[path.partition("?")[0]] = min(looks, key=len)
    return asked


async def _looked(admin: httpx.AsyncClient, where: httpx.URL) -> list[str]:
    with _metered() as spent:
        (await admin.get(where)).raise_for_status()
    return [name for name, _ in spent]


async def _share(admin: httpx.AsyncClient) -> dict[str, Any]:
    answer = await admin.post("/api/shares", json={"hours": 1})
    answer.raise_for_status()
    share: dict[str, Any] = answer.json()
    return share


async def _lengthen(stage: Stage, admin: httpx.AsyncClient) -> None:
    """More of all that lists show."""
    for _ in range(60):
        await _share(admin)
    stage.tables.execute(
        "insert into media_object (kind, path, mime, bytes, sha256, width, height)"
        " select 'template', 'templates/' || n || '.jpg', 'image/jpeg', 1000,"
        " sha256(n::text::bytea), 640, 480 from generate_series(1, 60) as n"
    )
    stage.tables.execute(
        "insert into slot_version (slot_id, version, snapshot, created_by)"
        " select slot_id, version + n, snapshot, created_by"
        " from slot_version, generate_series(1, 60) as n where slot_id = 'slot-001'"
    )


def over_http(stage: Stage, size: Size) -> Iterator[Figure]:
    """The same through the service's own process."""
    with stage.service() as service:
        Admins(service.media_root.parent / "secrets").set_password(ADMIN, PASSWORD)
        with httpx.Client(base_url=service.url, trust_env=False, timeout=30) as admin:
            token = admin.post("/api/login", json=_credentials()).json()["access_token"]
            admin.headers["authorization"] = f"Bearer {token}"
            yield from _answers(admin, size)


def _answers(admin: httpx.Client, size: Size) -> Iterator[Figure]:
    deep = _cursor_of_the_middle(admin)
    share = admin.post("/api/shares", json={"hours": 1}).json()["url"].partition("?")[2]
    for name, path, sql_ms in (
        ("statistics, 24 hours", f"/api/stats?window={DAY}", STATS_DAY_MS),
        ("statistics, 24 hours, each slot", f"/api/stats/slots?window={DAY}", STATS_DAY_MS),
        ("statistics, 30 days", f"/api/stats?window={30 * DAY}", STATS_MONTH_MS),
        ("statistics, 30 days, each slot", f"/api/stats/slots?window={30 * DAY}", STATS_MONTH_MS),
        ("journal, first page", "/api/jobs", PAGE_MS),
        ("journal, deep page", f"/api/jobs?older_than={deep}", PAGE_MS),
        ("journal, deep page upwards", f"/api/jobs?newer_than={deep}", PAGE_MS),
        ("journal, rare reason", "/api/jobs?reason=storage_error", PAGE_MS),
        ("journal, nothing", f"/api/jobs?slot_id={FAILING}&status=done", PAGE_MS),
        ("slots", "/api/slots", PAGE_MS),
        ("audit", "/api/audit", PAGE_MS),
        ("shares", "/api/shares", PAGE_MS),
        ("templates", "/api/template-media", PAGE_MS),
        ("gallery of a slot", f"/public/slots/{BUSY}?{share}", PAGE_MS),
        ("gallery of all", f"/public/slots?{share}", PAGE_MS),
    ):
        taken = _http_seconds(admin, path, size.rounds)
        yield Figure(
            name=f"HTTP: {name}",
            value=_calm(taken) * 1000,
            unit="ms",
            limit=sql_ms + HTTP_MS,
            how=f"{size.rounds} answers of the service on one connection; {_all(taken)}",
        )


def _http_seconds(admin: httpx.Client, path: str, rounds: int) -> list[float]:
    taken = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        admin.get(path).raise_for_status()
        taken.append(time.perf_counter() - started)
    return taken[1:]


def _cursor_of_the_middle(admin: httpx.Client) -> str:
    """A place of the journal half the time back."""
    middle = datetime.now(UTC) - timedelta(days=DAYS / 2)
    page = admin.get("/api/jobs", params={"until": middle.isoformat(), "limit": 1}).json()
    cursor: str = page["older"]
    return cursor


def scans(stage: Stage, _size: Size) -> Iterator[Figure]:
    """What PostgreSQL counted while all of this was asked, functions and triggers included."""
    time.sleep(REPORT_SECONDS)
    [row] = stage.tables.rows(
        "select sum(seq_scan)::integer as scans from pg_stat_user_tables"
        " where relname = any(%s)",
        list(LARGE),
    )
    yield Figure(
        name="sequential scans, counted",
        value=row["scans"],
        unit="",
        limit=0,
        how="by PostgreSQL, of job_history and media_object, in all of the above",
    )


MEASUREMENTS = (
    filling,
    figures_of_shots,
    journal_pages,
    galleries,
    claims,
    plans,
    lists,
    over_http,
    scans,
)
