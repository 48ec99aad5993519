"""/healthz and what is seen of the providers: cheap, honest, and nothing for strangers."""

from functools import partial
from typing import Any

import httpx
import pytest
from admin import Admin, secrets_dir, signed_in
from camera import Camera
from conftest import MakeService
from rig import Sandbox, Service, until
from tables import ChangeSlot, Execute, Rows

from service.config import ProviderAccount
from service.monitoring.provider_health import ModelHealth, ProviderHealth
from service.providers.http import open_client
from service.storage.accounts import ProviderKeys
from service.storage.database import Database

MODEL = "gemini-nano-banana-2.1"
ENDING = "gpt-image-1.5"


def health(service: Service, **headers: str) -> httpx.Response:
    return httpx.get(f"{service.url}/healthz", headers=headers, trust_env=False)


def test_the_world_learns_the_status_and_insiders_why(service: Service, rows: Rows) -> None:
    until(lambda: health(service).json()["checks"]["providers"], "Gemini was seen")

    told = health(service).json()

    [schema] = rows("select max(migration_id) as newest from _yoyo_migration")
    free = told.pop("free_bytes")
    assert free > 0
    assert told == {
        "status": "ok",
        "schema": schema["newest"],
        "checks": {"database": "ok", "media": "ok", "providers": {"gemini": "ok"}},
    }
    assert health(service, via="1.1 proxy").json() == {"status": "ok"}
    with signed_in(service) as admin:
        told_outside = partial(admin.get, "/healthz", headers={"via": "1.1 proxy"})
        until(lambda: "checks" in told_outside().json(), "an admin sees why")
    forged = health(service, via="1.1 proxy", authorization="Bearer forged")
    assert forged.json() == {"status": "ok"}


def test_a_full_disk_is_not_well(make_service: MakeService) -> None:
    service = make_service(ready=False, MIN_FREE_DISK_MB="10000000").wait_listening()

    answer = health(service)

    assert (answer.status_code, answer.json()["status"]) == (503, "error")
    assert answer.json()["checks"]["media"] == "storage_full"


def test_a_key_that_stopped_working_is_noticed_before_a_shot_is(
    make_service: MakeService, sandbox: Sandbox
) -> None:
    sandbox.dial(["bad_key"])
    service = make_service()

    until(lambda: health(service).json()["status"] == "degraded", "the key is found wrong")

    assert health(service).status_code == 200
    assert health(service).json()["checks"]["providers"] == {"gemini": "provider_auth"}
    assert sandbox.calls() == []
    text = httpx.get(f"{service.url}/metrics", trust_env=False).text
    assert 'photoslot_provider_key_rejected{provider="gemini"} 1.0' in text
    assert 'photoslot_provider_up{provider="gemini"} 0.0' in text
    with signed_in(service) as admin:
        slot = admin.get("/api/slots/slot-001").json()
        assert (slot["health"]["status"], slot["health"]["reason"]) == ("bad", "provider_auth")
        [standing] = standings(admin, "gemini")
        assert (standing["model"], standing["reason"]) == (MODEL, "provider_auth")
        assert standing["details"]


def standings(admin: Admin, provider: str) -> list[dict[str, Any]]:
    listed = admin.get("/api/providers").json()["providers"]
    [found] = [one["standings"] for one in listed if one["name"] == provider]
    return list(found)


def test_a_model_that_ends_soon_is_a_warning(make_service: MakeService, slot: ChangeSlot) -> None:
    slot("slot-001", provider="openai", settings={"prompt": "Snow", "model": ENDING})
    service = make_service()
    with signed_in(service) as admin:
        until(
            lambda: health(service).json()["checks"]["providers"].get("openai"), "OpenAI was seen"
        )

        [standing] = standings(admin, "openai")
        seen = admin.get("/api/slots/slot-001").json()["health"]
        other = admin.get("/api/slots/slot-002").json()["health"]

    assert (standing["reason"], standing["ends_soon"]) == ("ok", True)
    assert (seen["status"], seen["reason"]) == ("warn", "model_ends")
    assert standing["shutdown_date"] in seen["details"]
    assert other["status"] == "ok"
    assert health(service).json()["status"] == "ok"
    text = httpx.get(f"{service.url}/metrics", trust_env=False).text
    assert (
        f'photoslot_model_shutdown_timestamp_seconds{{model="{ENDING}",provider="openai"}}' in text
    )


@pytest.mark.anyio
async def test_a_provider_that_just_delivered_is_not_asked(
    db: Database, service: Service, sandbox: Sandbox, execute: Execute, camera: Camera
) -> None:
    account = ProviderAccount(sandbox.url, "sandbox")
    keys = ProviderKeys(secrets_dir(service), {"gemini": account})
    sandbox.reset()

    def pings() -> int:
        return len(sandbox.calls(lookups="true"))

    async with open_client(max_connections=4) as client:
        pulses = ProviderHealth(db, client, keys, look_seconds=0)
        # Once, for its last day; from then on real calls are news enough.
        assert reasons(await pulses.look()) == {MODEL: "ok"}
        asked = pings()
        assert asked == 1
        execute(
            "insert into breaker (provider, model, succeeded_at) values ('gemini', %s, now())",
            MODEL,
        )
        assert reasons(await pulses.look()) == {MODEL: "ok"}
        execute(
            "update breaker set failures = 1, failed_at = now(), reason = 'provider_unavailable'"
        )
        assert reasons(await pulses.look()) == {MODEL: "provider_unavailable"}
        assert pings() == asked


def reasons(found: tuple[ModelHealth, ...]) -> dict[str | None, str]:
    return {one.model: one.reason for one in found}
