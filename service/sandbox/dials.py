"""Dials: what each simulated provider does next, outcomes, latency, held and dripping answers."""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec

OUTCOME_OK = "ok"
MAX_LATENCY_S = 600

Latency = Annotated[float, msgspec.Meta(ge=0, le=MAX_LATENCY_S)]

MarkerType = TypeVar("MarkerType", bound=msgspec.Struct)

_MARKER = re.compile(r"\[sandbox((?:\s+[^\s=\]]+=[^\s\]]*)+)\s*\]")


@dataclass(frozen=True)
class Provider:
    """A simulated provider: which outcomes it `knows`, and how they are named to a person."""

    name: str
    knows: Callable[[str], bool]
    outcomes: Sequence[str]


class Dial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /_sandbox/dials`: `outcomes` are used up in order and the last one stays.

    `latency_s` lies between the arrival of a request and the first byte of its answer, the work
    included. `hold` keeps the answers back until this provider's dial is set again or reset.
    `drip` sends the body a byte a second.
    """

    provider: str
    outcomes: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = (OUTCOME_OK,)
    latency_s: Latency = 0.0
    hold: bool = False
    drip: bool = False


@dataclass(frozen=True)
class Play:
    """What one call gets; a `gate` keeps its answer back until it is set."""

    outcome: str
    latency_s: float = 0.0
    drip: bool = False
    gate: asyncio.Event | None = None


class Refused(Exception):
    """A dial or marker that cannot be obeyed; `known` lists what could have been said."""

    def __init__(self, message: str, field: str, known: Iterable[str]) -> None:
        super().__init__(message)
        self.field = field
        self.known = list(known)


class Marker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[sandbox outcome=content_blocked latency=3 drip=true]` in a prompt."""

    outcome: str | None = None
    latency: Latency | None = None
    drip: bool | None = None


class Dials:
    """One dial per provider; used from the event loop only."""

    def __init__(self, providers: Iterable[Provider], latency_s: float = 0.0) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._latency_s = latency_s
        self._dials: dict[str, Dial] = {}
        self._gates: dict[str, asyncio.Event] = {}
        self.reset()

    def reset(self) -> None:
        """Every provider answers well again."""
        for name in self._providers:
            self._turn(Dial(name, latency_s=self._latency_s))

    def set(self, dial: Dial) -> None:
        """Replace a provider's dial; `Refused` for a provider or outcome that is not known."""
        if dial.provider not in self._providers:
            message = f"Unknown provider {dial.provider!r}."
            raise Refused(message, "provider", self._providers)
        for index, outcome in enumerate(dial.outcomes):
            self._check(dial.provider, outcome, f"outcomes[{index}]")
        self._turn(dial)

    def show(self) -> dict[str, dict[str, object]]:
        """Per provider what is still to come, and all the outcomes it knows."""
        return {
            name: {
                "outcomes": dial.outcomes,
                "latency_s": dial.latency_s,
                "hold": dial.hold,
                "drip": dial.drip,
                "known_outcomes": self._providers[name].outcomes,
            }
            for name, dial in self._dials.items()
        }

    def take(self, provider: str, marker: Marker | None = None) -> Play:
        """Use up the next outcome; a marker's outcome goes before it and uses up none."""
        asked = marker or Marker()
        if asked.outcome is not None:
            self._check(provider, asked.outcome, "outcome")
        dial = self._dials[provider]
        return Play(
            outcome=asked.outcome or self._next(provider),
            latency_s=dial.latency_s if asked.latency is None else asked.latency,
            drip=dial.drip if asked.drip is None else asked.drip,
            gate=self._gates.get(provider),
        )

    def standing(self, provider: str) -> Play:
        """What a free look-up gets: the outcome that stays, at once, using up nothing."""
        dial = self._dials[provider]
        outcome = dial.outcomes[0] if len(dial.outcomes) == 1 else OUTCOME_OK
        return Play(outcome, drip=dial.drip)

    def _turn(self, dial: Dial) -> None:
        if held := self._gates.pop(dial.provider, None):
            held.set()
        if dial.hold:
            self._gates[dial.provider] = asyncio.Event()
        self._dials[dial.provider] = dial

    def _next(self, provider: str) -> str:
        dial = self._dials[provider]
        if len(dial.outcomes) > 1:
            self._dials[provider] = msgspec.structs.replace(dial, outcomes=dial.outcomes[1:])
        return dial.outcomes[0]

    def _check(self, provider: str, outcome: str, field: str) -> None:
        known = self._providers[provider]
        if not known.knows(outcome):
            raise Refused(f"Unknown outcome {outcome!r} of {provider}.", field, known.outcomes)


def find_marker(text: str, kind: type[MarkerType]) -> tuple[MarkerType | None, str]:
    """The first `[sandbox …]` of a text, and the text without it; `Refused` when misspelt."""
    found = _MARKER.search(text)
    if found is None:
        return None, text
    pairs = dict(pair.split("=", 1) for pair in found[1].split())
    try:
        marker = msgspec.convert(pairs, kind, strict=False)
    except msgspec.ValidationError as problem:
        raise Refused(f"{found[0]}: {problem}", "marker", kind.__struct_fields__) from problem
    return marker, (text[: found.start()] + text[found.end() :]).strip()
