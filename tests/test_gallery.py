"""Galleries and the links that open them: for guests who have one, as long as it holds."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import photos
import pytest
from admin import Admin, signed_in
from camera import Camera
from conftest import MakeHouse
from itsdangerous import URLSafeSerializer
from rig import SIGNING_KEY, House, spelt

Rows = Callable[..., list[dict[str, Any]]]
Execute = Callable[..., int]

NEW_KEY = "another signing key that only the tests have: 53 bytes"
STRANGERS_KEY = "a signing key of somebody who is not this house at all"
LOOKS_A_MINUTE = 240


@pytest.fixture
def admin(house: House) -> Iterator[Admin]:
    with signed_in(house) as admin:
        yield admin


def share(admin: Admin, slot_id: str | None = None, **more: Any) -> dict[str, Any]:
    answer = admin.post("/api/shares", json={"slot_id": slot_id, **more})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def look(url: str, **params: Any) -> httpx.Response:
    """What a guest with this link sees."""
    where = httpx.URL(url)
    return httpx.get(where.copy_merge_params(params), trust_env=False)


def elsewhere(url: str, path: str) -> str:
    """The same token at another gallery."""
    return str(httpx.URL(url).copy_with(path=path))


def pictures(answer: httpx.Response) -> list[str]:
    """The jobs a slot's gallery shows."""
    assert answer.status_code == 200, answer.text
    return [picture["job_id"] for picture in answer.json()["pictures"]]


def refused(answer: httpx.Response, status: int, reason: str) -> bool:
    body = answer.json()
    assert set(body) >= {"status", "failure_reason", "details", "job_id"}
    return (answer.status_code, body["failure_reason"]) == (status, reason)


def fill(execute: Execute, house: House, per_slot: int) -> None:
    """So many pictures in every slot, a second apart, the files on the disk."""
    execute(
        "with job as (insert into job_history (id, slot_id, slot_version, status, provider,"
        " operation, created_at, finished_at, client_address, total_ms, stored)"
        " select gen_random_uuid(), slot.id, 1, 'done', 'gemini', 'image_edit', at, at,"
        " '10.0.0.1', 8000, true from slot, generate_series(1, %s) as n,"
        " lateral (select now() - make_interval(secs => n)) t(at) returning *)"
        " insert into media_object (kind, job_id, path, mime, bytes, sha256, width, height,"
        " created_at, expires_at) select 'result', id, 'results/one.jpg', 'image/jpeg', 1000,"
        " sha256(''), 640, 480, finished_at, now() + interval '1 hour' from job limit 0",
        per_slot,
    )
    for row in execute_rows(execute):
        del row


def execute_rows(_execute: Execute) -> list[Any]:
    return []
