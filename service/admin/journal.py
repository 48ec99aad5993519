"""Journal API: every shot that was taken in, page by page, as CSV, or one with its whole story."""

import base64
import binascii
import csv
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from service.config import Config
from service.errors import InvalidFields, JobNotFound
from service.faults import Fault
from service.http import guards, json_body
from service.http.links import owner_url, result_url
from service.queries import audit, journal
from service.queries.journal import JobFilter, JobRow, JobStory, Keyset
from service.state import State

MAX_PAGE = 200
CSV_BATCH = 1000

JobSource = Literal["device", "test"]
JobStatus = Literal["pending", "done", "failed", "timeout"]
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)]


class JournalQuery(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    slot_id: str | None = None
    status: JobStatus | None = None
    reason: str | None = None
    source: JobSource | None = None
    from_: datetime | None = None
    until: datetime | None = None
    older_than: str | None = None
    newer_than: str | None = None
    limit: Limit = 50
    format: Literal["json", "csv"] = "json"


class AuditQuery(msgspec.Struct, forbid_unknown_fields=True):
    before: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None
    actor: str | None = None
    action: str | None = None
    limit: Limit = 50


async def list_jobs(request: Request[State]) -> Response:
    """`GET /api/jobs`: newest first. `older` and `newer` of an answer are the places to go on from,
    by `older_than` and `newer_than`; `format=csv` streams all that the filter lets through."""
    asked = json_body.query(request, JournalQuery)
    wanted = JobFilter(
        *(asked.slot_id, asked.status, asked.reason, asked.source),
        *(_aware(asked.from_, "from"), _aware(asked.until, "until")),
    )
    if asked.format == "csv":
        return StreamingResponse(
            _csv(request.state, wanted),
            media_type="text/csv; charset=utf-8",
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": 'attachment; filename="photoslot-jobs.csv"',
            },
        )
    return json_body.answer(await _page(request.state, asked, wanted))


async def _page(state: State, asked: JournalQuery, wanted: JobFilter) -> dict[str, Any]:
    """One more row than a page tells whether the journal goes on in that direction."""
    db, size = state["db"], asked.limit
    if asked.newer_than is not None:
        if asked.older_than is not None:
            raise InvalidFields([Fault.of("newer_than", "cursors_collide")])
        place = _place(asked.newer_than, "newer_than")
        found = await journal.page_newer(db, wanted, place, size + 1)
        page, more = found[:size][::-1], len(found) > size
        return _answer(page, older=bool(page), newer=more)
    older = None if asked.older_than is None else _place(asked.older_than, "older_than")
    found = await journal.page_older(db, wanted, older, size + 1)
    page, more = found[:size], len(found) > size
    return _answer(page, older=more, newer=older is not None and bool(page))


def _answer(page: Sequence[JobRow], *, older: bool, newer: bool) -> dict[str, Any]:
    return {
        "jobs": [asdict(row) for row in page],
        "older": _cursor(page[-1]) if older else None,
        "newer": _cursor(page[0]) if newer else None,
    }


async def show_job(request: Request[State]) -> Response:
    """`GET /api/jobs/{job_id}`: how a job stands, for who knows its id; all of it, with attempts
    and stage times, for an admin."""
    state = request.state
    signed_in = guards.carries_session(request) and await guards.session_of(request)
    job_id = json_body.job_id(request)
    story = await journal.story(state["db"], job_id) if job_id else None
    if story is None:
        raise JobNotFound()
    public = _as_public_json(state["config"], story)
    return json_body.answer((_as_admin_json(state["config"], story) if signed_in else {}) | public)


def _as_public_json(config: Config, story: JobStory) -> dict[str, Any]:
    base, shown = config.public_base_url, story.is_public
    return {
        "job_id": story.id,
        "slot_id": story.slot_id,
        "status": story.status,
        "failure_reason": story.failure_reason,
        "created_at": story.created_at,
        "deadline_at": story.deadline_at,
        "finished_at": story.finished_at,
        "total_ms": story.total_ms,
        "result_url": result_url(base, story.id) if shown else None,
        "result_mime": story.result_mime,
        "result_width": story.result_width,
        "result_height": story.result_height,
        "expires_at": story.result_expires_at,
    }


def _as_admin_json(config: Config, story: JobStory) -> dict[str, Any]:
    digest = story.source_sha256
    fields = asdict(story) | {
        "source_sha256": digest.hex() if digest else None,
        "page_url": owner_url(config, story.id) if story.is_public else None,
    }
    del fields["id"]
    return fields


async def list_audit(request: Request[State]) -> Response:
    """`GET /api/audit`: sign-ins and changes, newest first."""
    asked = json_body.query(request, AuditQuery)
    found = await audit.page(
        request.state["db"],
        asked.before,
        asked.actor,
        asked.action,
        asked.limit + 1,
    )
    page, more = found[: asked.limit], len(found) > asked.limit
    return json_body.answer(
        {"entries": [asdict(e) for e in page], "next_before": page[-1].id if more else None}
    )


async def _csv(state: State, wanted: JobFilter) -> AsyncIterator[str]:
    """A cursor that holds no connection: each batch goes on where the one before ended."""
    names = [field.name for field in fields(JobRow)]
    place: Keyset | None = None
    yield _lines([names])
    while True:
        batch = await journal.page_older(state["db"], wanted, place, CSV_BATCH)
        if batch:
            yield _lines([_cell(getattr(row, name)) for name in names] for row in batch)
            place = Keyset(batch[-1].created_at, batch[-1].id)
        if len(batch) < CSV_BATCH:
            return


def _lines(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: object) -> str:
    """A cell that a spreadsheet takes for text, not for a formula."""
    if value is None:
        return ""
    text = _spelt(value) if isinstance(value, datetime) else str(value)
    return f"'{text}" if text[:1] in "=+-@\t\r" and not isinstance(value, int) else text


def _spelt(moment: datetime) -> str:
    """A time as JSON has it."""
    return moment.isoformat().replace("+00:00", "Z")


def _cursor(row: JobRow) -> str:
    text = f"{_spelt(row.created_at)} {row.id}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _place(cursor: str, name: str) -> Keyset:
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
        at, _, job_id = text.partition(" ")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        return Keyset(moment.astimezone(UTC), UUID(job_id))
    except (ValueError, OverflowError, binascii.Error):
        raise InvalidFields([Fault.of(name, "unknown_cursor")]) from None


def _aware(moment: datetime | None, name: str) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise InvalidFields([Fault.of(name, "time_zone_missing")])
    try:
        return moment and moment.astimezone(UTC)
    except OverflowError:
        raise InvalidFields([Fault.of(name, "time_out_of_range")]) from None
