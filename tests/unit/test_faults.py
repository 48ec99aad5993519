"""Faults of fields: each has one code, whoever found it, and a code always the same parameters."""

import ast
from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from rig import ROOT

from service.admin.journal import AuditQuery, JournalQuery
from service.admin.settings import SettingsChange
from service.admin.shares import NewShare
from service.admin.slot_fields import SlotChange, TestChange
from service.admin.statistics import StatsQuery
from service.faults import PARAMS, PATTERNS, SENTENCES, Fault
from service.guests.gallery import GalleryQuery
from service.providers.registry import REGISTRY


class Kind(msgspec.Struct, forbid_unknown_fields=True):
    """A field of every type that a body or a query has."""

    must: bool = True
    whole: Annotated[int, msgspec.Meta(ge=-5, le=80)] | None = None
    real: Annotated[float, msgspec.Meta(ge=0.1, le=20)] = 1.0
    text: Annotated[str, msgspec.Meta(min_length=2, max_length=3, pattern="^[a-z]*$")] = "ab"
    option: Literal["one", "two"] | None = None
    id: UUID | None = None
    time: datetime | None = None
    inner: list["Inner"] = []


class Inner(msgspec.Struct):
    role: str


CASES = [
    ('{"inner": [{}]}', "inner[0].role", "missing", {}),
    ('{"colour": 1}', "colour", "unknown_field", {}),
    ('{"whole": -6}', "whole", "too_small", {"minimum": -5}),
    ('{"real": 0}', "real", "too_small", {"minimum": 0.1}),
    ('{"whole": 81}', "whole", "too_large", {"maximum": 80}),
    ('{"real": 21}', "real", "too_large", {"maximum": 20}),
    ('{"text": "a"}', "text", "too_short", {"minimum": 2}),
    ('{"text": "abcd"}', "text", "too_long", {"maximum": 3}),
    ('{"text": "AB"}', "text", "wrong_format", {}),
    ('{"option": "th`ree\\n- at `$.x"}', "option", "not_an_option", {}),
    ('{"whole": 1.5}', "whole", "not_an_integer", {}),
    ('{"whole": ""}', "whole", "not_a_number", {}),
    ('{"real": null}', "real", "not_a_number", {}),
    ('{"must": 1}', "must", "wrong_type", {"expected": "bool", "got": "int"}),
    ('{"inner": [{"role": 1}]}', "inner[0].role", "wrong_type", {"expected": "str", "got": "int"}),
    ("[]", "", "wrong_type", {"expected": "object", "got": "array"}),
    ('{"id": "17"}', "id", "not_an_id", {}),
    ('{"time": "today"}', "time", "not_a_time", {}),
    ('{"real": 1e999}', "real", "number_out_of_range", {}),
]
BAD = [
    *("", "x", "X" * 100_000, "\N{SNOWMAN}", -1, 1.5, 10**15, 10**40, True, None),
    *([], [1], {"": 0}, [{"role": "style", "media_id": "x"}], {"provider": 1}),
]
ASKED = [SlotChange, TestChange, SettingsChange, NewShare]
QUERIES = [AuditQuery, GalleryQuery, JournalQuery, StatsQuery]
SETTINGS = {
    operation.settings
    for provider in REGISTRY.values()
    for operation in provider.operations.values()
}


def read(error: pytest.ExceptionInfo[msgspec.ValidationError], prefix: str = "") -> Fault:
    return Fault.read(error.value, prefix)


@pytest.mark.parametrize(("body", "path", "code", "params"), CASES)
def test_what_a_type_does_not_take_has_a_code(
    body: str, path: str, code: str, params: dict[str, Any]
) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.json.decode(body, type=Kind)

    fault = read(error)

    assert (fault.path, fault.code, fault.params) == (path, code, params)
    assert params.keys() == PARAMS[code]
    assert str(error.value).startswith(fault.message)


def test_every_code_of_a_type_has_its_case() -> None:
    assert {code for _, _, code, _ in CASES} | {"invalid"} == {code for code, _ in PATTERNS}


def test_a_sentence_that_nobody_knows_is_a_fault_too() -> None:
    fault = Fault.read(msgspec.ValidationError("No\nsuch luck - at `$.prompt`"), "settings")

    assert fault == Fault("settings.prompt", "invalid", {}, "No\nsuch luck")


@pytest.mark.parametrize("kind", [*ASKED, *QUERIES, *sorted(SETTINGS, key=str)])
def test_no_field_of_the_api_has_a_fault_without_a_code(kind: type[msgspec.Struct]) -> None:
    """However wrong what is sent: a sentence that is new with another msgspec would be seen."""
    refused = 0
    for field in msgspec.structs.fields(kind):
        for value in BAD:
            try:
                msgspec.convert({field.encode_name: value}, kind, strict=kind not in QUERIES)
            except msgspec.ValidationError as error:
                refused += 1
                assert Fault.read(error, "").code != "invalid", (field.name, value, str(error))
    assert refused


def raised() -> Iterator[tuple[str, str, set[str]]]:
    """Where each fault of ours is raised, its code and its parameters."""
    for path in sorted((ROOT / "service").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Fault.of":
                code = ast.literal_eval(node.args[1])
                named = {str(keyword.arg) for keyword in node.keywords}
                yield f"{path.name}:{node.lineno}", code, named - {"message"}


def test_a_fault_of_ours_is_raised_with_its_code_and_its_parameters() -> None:
    found = list(raised())

    assert {code for _, code, _ in found} == set(SENTENCES)
    assert [place for place, code, params in found if params != PARAMS[code]] == []


def test_a_code_has_one_source() -> None:
    codes = [*SENTENCES, *(code for code, _ in PATTERNS)]

    assert len(codes) == len(set(codes)) == len(PARAMS)


def test_a_fault_says_its_parameters() -> None:
    fault = Fault.of("role", "unknown_role", known=("style", "face")).under("templates[0].")

    assert fault.path == "templates[0].role"
    assert fault.params == {"known": ("style", "face")}
    assert fault.message == "Unknown role; known are style, face"


def test_a_day_among_the_parameters_is_text() -> None:
    fault = Fault.of("model", "model_shut_down", model="dall-e-3", day=date(2026, 5, 12))

    assert fault.params == {"model": "dall-e-3", "day": "2026-05-12"}
    assert fault.message == "dall-e-3 was shut down on 2026-05-12"
