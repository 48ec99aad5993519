"""What is written down is what is there: the OpenAPI document, the reference, the versions."""

import configparser
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from documents import openapi, operations
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from rig import ROOT

from service.app import ROUTES
from service.config import load
from service.errors import PhotoslotError, TryLater, family
from service.faults import PARAMS

URI = "urn:openapi"
REFERENCE = ROOT / "spec" / "reference.md"
# Ends of jobs that no answer tells: nobody listens, or the process is gone.
NEVER_SENT = {"client_closed", "interrupted"}
SENT = {cls.reason: cls for cls in reversed(family()) if cls.reason not in NEVER_SENT}
REQUIRED = {
    "DATABASE_URL": "postgresql://127.0.0.1/photoslot",
    "PUBLIC_BASE_URL": "https://photos.example.org",
    "JWT_SIGNING_KEY": "a key that signs nothing but this test",
}


class Asked(dict[str, str]):
    """An environment that remembers which variables were asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name.removesuffix("_FILE"))
        return super().get(name, default)


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The node itself, or what its `$ref` points at with what stands beside it."""
    if "$ref" not in node:
        return node
    found: Any = openapi()
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return {**found, **{key: value for key, value in node.items() if key != "$ref"}}


def responses() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Operation, status and answer of everything that can be answered."""
    for operation in operations().values():
        for status, answer in operation["responses"].items():
            yield operation["operationId"], status, resolved(answer)


def shared_errors() -> dict[str, dict[str, Any]]:
    """The examples of every shared error answer, by the status it is used with."""
    return {
        status: answer["content"]["application/json"]["examples"]
        for _, status, answer in responses()
        if is_error(answer)
    }


def is_error(answer: dict[str, Any]) -> bool:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return bool(schema == {"$ref": "#/components/schemas/Error"})


def validator(pointer: str) -> OAS31Validator:
    """Checks against the schema at that place of the document, formats included."""
    resource = DRAFT202012.create_resource(openapi())
    registry = Registry().with_resource(URI, resource)
    schema = {"$ref": f"{URI}#{pointer}"}
    return OAS31Validator(schema, registry=registry, format_checker=oas31_format_checker)


def examples(node: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every example with the pointer of the object that has it and its schema."""
    if isinstance(node, list):
        for index, child in enumerate(node):
            yield from examples(child, f"{pointer}/{index}")
    if not isinstance(node, dict):
        return
    if "schema" in node:
        yield from ((pointer, example["value"]) for example in node.get("examples", {}).values())
        if "example" in node:
            yield pointer, node["example"]
    for key, child in node.items():
        if key not in ("example", "examples"):
            yield from examples(child, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")


def variables_read() -> set[str]:
    asked = Asked(REQUIRED)
    load(asked)
    return asked.names


def env_example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def version() -> str:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup["metadata"]["version"]


def test_the_document_is_valid_openapi() -> None:
    problems = [error.message for error in OpenAPIV31SpecValidator(openapi()).iter_errors()]

    assert problems == []


def test_the_document_has_every_route_and_no_other() -> None:
    routes = {
        (re.sub(r":\w+}", "}", route.path), method.lower())
        for route in ROUTES
        for method in route.methods or ()
        if method != "HEAD"
    }

    assert set(operations()) == routes


def test_head_is_taken_wherever_get_is() -> None:
    """The document says so instead of listing it."""
    for route in ROUTES:
        methods = route.methods or set()
        assert ("HEAD" in methods) == ("GET" in methods), route.path


@pytest.mark.parametrize("operation", operations().values(), ids=lambda found: found["operationId"])
def test_an_operation_is_explained(operation: dict[str, Any]) -> None:
    known = {tag["name"] for tag in openapi()["tags"]}

    assert operation["summary"] and operation["description"]
    assert len(operation["tags"]) == 1 and set(operation["tags"]) <= known


def test_the_document_has_every_reason_and_no_other() -> None:
    reasons = openapi()["components"]["schemas"]["FailureReason"]["enum"]

    assert len(reasons) == len(set(reasons))
    assert set(reasons) == set(SENT)


def test_the_document_has_every_code_of_a_fault_and_no_other() -> None:
    codes = openapi()["components"]["schemas"]["FaultCode"]["enum"]

    assert codes == sorted(PARAMS)


def test_every_reason_stands_under_its_status() -> None:
    written = {status: set(found) for status, found in shared_errors().items()}
    raised: dict[str, set[str]] = {}
    for reason, cls in SENT.items():
        raised.setdefault(str(cls.status), set()).add(reason)

    assert written == raised


@pytest.mark.parametrize("reason", sorted(SENT))
def test_the_example_of_a_reason_is_what_is_sent(reason: str) -> None:
    error = SENT[reason]()
    example = shared_errors()[str(error.status)][reason]["value"]

    assert example["failure_reason"] == reason
    assert example["status"] == error.body()["status"]
    assert list(example) == list(error.body())


def test_an_error_answer_names_its_headers() -> None:
    for operation, status, answer in responses():
        if not is_error(answer):
            continue
        later = any(
            issubclass(SENT[reason], TryLater)
            for reason in answer["content"]["application/json"]["examples"]
        )
        assert set(PhotoslotError().all_headers()) <= set(answer["headers"]), (operation, status)
        assert ("Retry-After" in answer["headers"]) == later, (operation, status)


def test_every_answer_with_words_has_a_named_example() -> None:
    for operation, status, answer in responses():
        for mime, media in answer.get("content", {}).items():
            if not mime.startswith(("image/", "multipart/")):
                assert media["examples"], (operation, status, mime)


def test_every_answer_names_its_request_id() -> None:
    for operation, status, answer in responses():
        assert "X-Request-Id" in answer["headers"], (operation, status)


def test_every_header_has_an_example() -> None:
    assert [n for n, h in openapi()["components"]["headers"].items() if "example" not in h] == []


@pytest.mark.parametrize(
    ("pointer", "value"),
    [pytest.param(*found, id=f"{found[0]}-{n}") for n, found in enumerate(examples(openapi()))],
)
def test_an_example_fits_its_schema(pointer: str, value: object) -> None:
    problems = [error.message for error in validator(f"{pointer}/schema").iter_errors(value)]

    assert problems == []


def test_a_wrong_example_would_be_found() -> None:
    error = validator("/components/schemas/Error")
    good = {"status": "error", "failure_reason": "slot_busy", "details": "Busy.", "job_id": None}

    assert error.is_valid(good)
    for wrong in ({"failure_reason": "tired"}, {"job_id": "17"}, {"details": ""}, {"more": 1}):
        assert not error.is_valid(good | wrong), wrong


def test_the_env_example_has_no_secrets() -> None:
    secrets = {name for name in env_example() if name.endswith(("_API_KEY", "_SIGNING_KEY"))}
    empty = {name for name, value in env_example().items() if not value}

    assert len(secrets) > 1
    assert secrets | {"DATABASE_URL"} <= empty


def test_the_env_example_explains_every_variable() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for above, line in zip(lines, lines[1:], strict=False):
        if line and not line.startswith("#"):
            assert above, f"{line} has no comment above it"


def test_the_reference_has_every_variable_and_its_default() -> None:
    table = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) ?\| ", REFERENCE.read_text(), re.M))
    defaults = {name: f"`{value}`" if value else "" for name, value in env_example().items()}

    assert set(table) == variables_read()
    assert table == defaults | dict.fromkeys(REQUIRED, "required")


def test_the_reference_has_every_reason_under_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.*?) ?\|", REFERENCE.read_text(), re.M)
    written = {
        (int(code), reason) for code, cell in rows for reason in re.findall(r"`(\w+)`", cell)
    }

    assert written == {(cls.status, reason) for reason, cls in SENT.items()}


def test_the_version_is_the_same_everywhere() -> None:
    named = json.loads((ROOT / "spec" / "VERSION.json").read_text())["version"]
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    released = headings[headings[0] == "Unreleased" :]

    assert re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[0-9A-Za-z.-]+)?", named)
    assert named == version() == released[0] == openapi()["info"]["version"]
    assert "Unreleased" not in released


def test_a_deprecated_operation_was_announced() -> None:
    """Whatever the document calls deprecated stands in VERSION.json and in the changelog."""
    told = json.loads((ROOT / "spec" / "VERSION.json").read_text())["deprecations"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    named = {found["operationId"] for found in operations().values() if found.get("deprecated")}

    assert {entry["what"] for entry in told} == named
    for entry in told:
        assert {"what", "since", "removed_in", "instead"} == set(entry)
        assert entry["what"] in changelog
