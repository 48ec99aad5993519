"""Requests made from the OpenAPI document by schemathesis, and how their answers are judged."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import requests
import schemathesis
from admin import Admin
from camera import PASSWORD
from documents import openapi
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from photos import jpeg
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

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
SCHEMA = schemathesis.openapi.from_dict(deepcopy(openapi()))
OPERATIONS = {
    found.ok().definition.raw["operationId"]: found.ok() for found in SCHEMA.get_all_operations()
}


@schemathesis.serializer("image/jpeg", "image/png", "image/webp", "image/heic")
def as_it_is(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """What stands for a picture: bytes of one, or junk."""
    return value if isinstance(value, bytes) else str(value).encode()


def check_operation(name: str, admin: Admin, known: Mapping[str, str]) -> None:
    """Whatever is asked of an operation, good or broken on purpose, its answer is documented."""
    operation = OPERATIONS[name]
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
                base_url=admin.service.url, session=session, headers=headers, timeout=ANSWER_SECONDS
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
