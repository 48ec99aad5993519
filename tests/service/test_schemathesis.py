"""The document against the running service: whatever fits it, or nearly does, gets a documented
answer.

Requests are made from the document by schemathesis, half of them broken on purpose. They are few
and always the same, so that this stays a test and not a hunt; a hunter raises EXAMPLES.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from admin import Admin, secrets_dir, signed_in
from camera import PASSWORD, Camera
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from photos import jpeg
from rig import ROOT, Service
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from service.storage.accounts import KEYS_FILE

EXAMPLES = 12
# Each takes a shot or hashes a password. So few sign-ins stay below the throttles as well, which
# every test finds empty: nothing has to be left out.
SLOW_EXAMPLES = 6
SLOW = {
    "runPreflight",
    "takeShot",
    "takeShotShort",
    "testSlot",
    "addTemplate",
    "signIn",
    "changeSettings",
}
ANSWER_SECONDS = 30
WANTED = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
SCHEMA = schemathesis.openapi.from_dict(
    yaml.safe_load((ROOT / "spec" / "openapi.yaml").read_text())
)
OPERATIONS = {
    found.ok().definition.raw["operationId"]: found.ok() for found in SCHEMA.get_all_operations()
}


@schemathesis.serializer("image/jpeg", "image/png", "image/webp", "image/heic")
def as_it_is(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """What stands for a picture: bytes of one, or junk."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    """An admin; provider keys that a test sets are gone after it."""
    with signed_in(service) as admin:
        yield admin
    (secrets_dir(service) / KEYS_FILE).unlink(missing_ok=True)


@pytest.fixture
def known(admin: Admin, camera: Camera) -> Mapping[str, str]:
    """Ids that exist, by the name of their parameter."""
    job = camera.shoot(jpeg())
    template = admin.post("/api/template-media", files={"file": jpeg(64, 48)}).json()
    share = admin.post("/api/shares", json={}).json()
    return {
        "slot_id": "slot-001",
        "job_id": job.headers["x-job-id"],
        "template_id": template["id"],
        "share_id": share["id"],
        "version": "1",
        "share": share["url"].partition("share=")[2],
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_answers_as_documented(
    name: str, service: Service, admin: Admin, known: Mapping[str, str], execute: Callable[..., int]
) -> None:
    operation = OPERATIONS[name]
    if name == "runPreflight":
        execute("update slot set is_active = id = 'slot-001'")
    good = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    bad = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    with requests.Session() as session:
        session.trust_env = False

        @settings(
            max_examples=SLOW_EXAMPLES if name in SLOW else EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=st.one_of(good, bad), exists=st.booleans())
        def check(case: schemathesis.Case, exists: bool) -> None:
            if exists:
                point_at_what_exists(case, known, admin)
            headers = {
                "authorization": f"Bearer {admin.token}",
                # Else twenty of them would shut this address out.
                "x-ingest-password": PASSWORD,
            }
            response = case.call(
                base_url=service.url, session=session, headers=headers, timeout=ANSWER_SECONDS
            )
            assert response.status_code != 500, response.text
            case.validate_response(response, checks=CHECKS.get_by_names(WANTED))

        check()


def point_at_what_exists(case: Any, known: Mapping[str, str], admin: Admin) -> None:
    """Made-up ids and versions mostly meet a 404 or a 409: give the case some that exist."""
    case.path_parameters.update({k: v for k, v in known.items() if k in case.path_parameters})
    if "share" in case.query:
        case.query["share"] = known["share"]
    if not isinstance(case.body, dict):
        return
    if "fileToUpload" in case.body:
        case.body["fileToUpload"] = jpeg(64, 48)
    if "version" in case.body and case.method == "PUT":
        case.body["version"] = admin.get(case.formatted_path).json()["version"]
