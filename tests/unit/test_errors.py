import inspect
import re

import pytest

from service import errors
from service.errors import (
    ContentBlocked,
    NotFound,
    PhotoslotError,
    ProviderFailure,
    ProviderTimeout,
    SlotBusy,
    SlotNotFound,
    TryLater,
    by_reason,
    family,
)

LINE = re.compile(r"^(?P<bars>[│├└─ ]*)(?P<name>\w+)\s+(?P<facts>.+)$", re.M)
INDENT = 4
MAX_REASON_TEXT = 300
# Stands for its children in the tree: it is caught, never raised.
GROUPS = {TryLater, ProviderFailure}
# What a refusal says beyond the one shape.
ADDED = {"version_conflict": {"version"}, "invalid_fields": {"errors"}}


def drawn() -> dict[str, tuple[str, str]]:
    """From the tree on top of the module: each class with its parent and what is said of it."""
    found: dict[str, tuple[str, str]] = {}
    ancestors: list[str] = []
    tree = inspect.getdoc(errors) or ""
    for line in LINE.finditer(tree.split("\n\n", 1)[1]):
        depth = len(line["bars"]) // INDENT
        ancestors[depth:] = [line["name"]]
        found[line["name"]] = (ancestors[depth - 1] if depth else "", line["facts"])
    return found


def public_parent(cls: type[PhotoslotError]) -> str:
    parent = next(base for base in cls.__mro__[1:] if not base.__name__.startswith("_"))
    return parent.__name__ if issubclass(parent, PhotoslotError) else ""


RAISED = [cls for cls in family() if cls not in GROUPS]


def test_the_tree_shows_exactly_the_classes() -> None:
    assert {name: parent for name, (parent, _) in drawn().items()} == {
        cls.__name__: public_parent(cls) for cls in family()
    }


@pytest.mark.parametrize("cls", RAISED, ids=lambda cls: cls.__name__)
def test_the_tree_tells_status_and_reason(cls: type[PhotoslotError]) -> None:
    assert drawn()[cls.__name__][1].split(" (")[0] == f"{cls.status} {cls.reason}"


def test_every_raised_class_has_its_own_reason() -> None:
    reasons = [cls.reason for cls in RAISED]

    assert sorted(reasons) == sorted(set(reasons))


@pytest.mark.parametrize("cls", RAISED, ids=lambda cls: cls.__name__)
def test_a_reason_leads_back_to_the_class_that_has_its_status_and_sentence(
    cls: type[PhotoslotError],
) -> None:
    found = by_reason(cls.reason)

    assert (found.status, found().details) == (cls.status, cls().details)


@pytest.mark.parametrize("cls", RAISED, ids=lambda cls: cls.__name__)
def test_its_default_sentence_is_its_own_docstring(cls: type[PhotoslotError]) -> None:
    sentence = cls().details

    assert cls.__doc__ is not None
    assert sentence == " ".join(cls.__doc__.split())
    assert sentence.endswith(".")
    assert len(sentence) <= MAX_REASON_TEXT


@pytest.mark.parametrize("cls", family(), ids=lambda cls: cls.__name__)
def test_every_refusal_has_the_one_shape(cls: type[PhotoslotError]) -> None:
    error = cls()

    shape = {
        "status": "timeout" if cls.status == 504 else "error",
        "failure_reason": cls.reason,
        "details": error.details,
        "job_id": None,
    }
    assert error.body() | shape == error.body()
    assert set(error.body()) - set(shape) == ADDED.get(cls.reason, set())
    assert error.all_headers()["X-Failure-Reason"] == cls.reason
    assert error.all_headers()["Cache-Control"] == "no-store"
    assert "X-Job-Id" not in error.all_headers()


@pytest.mark.parametrize(
    "cls",
    [cls for cls in family() if cls.status in (429, 503)],
    ids=lambda cls: cls.__name__,
)
def test_429_and_503_say_when_to_come_again(cls: type[PhotoslotError]) -> None:
    assert issubclass(cls, TryLater)
    assert int(cls().all_headers()["Retry-After"]) > 0


def test_a_caller_may_say_when_to_come_again() -> None:
    assert SlotBusy(retry_after=17).all_headers()["Retry-After"] == "17"


def test_a_job_is_named_in_body_and_header() -> None:
    error = SlotBusy()
    error.job_id = "3f0e"

    assert error.body()["job_id"] == "3f0e"
    assert error.all_headers()["X-Job-Id"] == "3f0e"


def test_what_is_private_stays_out_of_the_answer() -> None:
    error = ContentBlocked("Smile.", private="finishReason SAFETY")

    assert error.private == "finishReason SAFETY"
    assert error.body()["details"] == "Smile."
    assert "SAFETY" not in str(error.body()) + str(error.all_headers()) + str(error)


def test_only_a_closed_window_is_a_timeout() -> None:
    assert [cls for cls in family() if cls().outcome == "timeout"] == [ProviderTimeout]


def test_an_unknown_reason_is_an_internal_error() -> None:
    assert by_reason("a reason of tomorrow") is PhotoslotError


def test_an_unknown_slot_can_be_caught_as_anything_that_is_not_found() -> None:
    assert issubclass(SlotNotFound, NotFound)
    assert NotFound.status == SlotNotFound.status == 404
