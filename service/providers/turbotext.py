"""Turbotext: three methods of the photo API of www.turbotext.ru. Each is ordered, then asked for
until it is drawn, then fetched.

Wire facts are those of the API's page (turbotext.ru/photo_ai/docs/info) and of its readers; where
they are silent or disagree, every reading is taken. Pictures are given as links that Turbotext
fetches from us.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Annotated, Any
from urllib.parse import urlencode

import httpx
import msgspec

from service.config import ProviderAccount
from service.errors import (
    ContentBlocked,
    NotConfigured,
    ProviderAuth,
    ProviderBadResponse,
    ProviderError,
    ProviderFailure,
    ProviderQuota,
    ProviderTimeout,
    ProviderUnavailable,
)
from service.providers.base import Operation, Order, Picture, PingResult, Provider
from service.providers.download import Home, download
from service.providers.http import (
    Body,
    NotJson,
    ProviderResponse,
    post,
    quoted,
    read_json,
    words,
)
from service.providers.usage import tokens

DOMAIN = "turbotext.ru"
# Readers of the API advise 2 to 3 seconds between two questions; the last pause stays.
POLL_SECONDS = (2.0, 2.0, 3.0)
SLOW_POLL_SECONDS = 5.0
POLL_TIMEOUT_SECONDS = 8.0
# One request a second for a key, and a little for the way of each.
PACE_SECONDS = 1.1
# What fetching a finished picture needs of the window.
FETCH_SECONDS = 3.0
MORE_POLLS_WITHOUT_LINK = 2
MORE_POLLS_WITHOUT_ANYTHING = 1
MAX_PROMPT = 4000
MAX_NEGATIVE_WORDS = 80

HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}
QUEUE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
LIMITS = ("foto_limit", "text_limit")
BOM_AND_SPACE = b"\xef\xbb\xbf \t\r\n"
QUOTA_WORDS = re.compile(r"лимит|\blimit|тариф|баланс|quota", re.I)
AUTH_WORDS = re.compile(r"\bключ|\bkey\b|token|токен|авториз|\bauth", re.I)
BLOCKED_WORDS = re.compile(r"запрещ|forbidden|nsfw|18\+", re.I)

Said = Mapping[str, Any]


def _meta(title: str, description: str, **rules: Any) -> msgspec.Meta:
    return msgspec.Meta(title=title, description=description, **rules)


Prompt = Annotated[
    str, _meta("Prompt", "What to make of the photo.", min_length=1, max_length=MAX_PROMPT)
]
StylePrompt = Annotated[
    str, _meta("Prompt", "Words that strengthen the style; may be empty.", max_length=MAX_PROMPT)
]
Strength = Annotated[
    int, _meta("Strength", "How far the picture may move away from the photo.", ge=0, le=80)
]
Scale = Annotated[
    float, _meta("Scale", "How closely the picture follows the prompt.", ge=0.1, le=20)
]
Seed = Annotated[
    int, _meta("Seed", "The same seed draws the same again; empty is random.", ge=1, le=10**10)
]
NegativePrompt = Annotated[
    str,
    _meta(
        "Negative prompt",
        f"What must not be in the picture, at most {MAX_NEGATIVE_WORDS} words; empty takes "
        "Turbotext's own list.",
        max_length=MAX_PROMPT,
    ),
]
Language = Annotated[
    str, _meta("Language", "The language of the prompt, such as ru or en.", pattern="^[a-z]{2}$")
]
FaceRestore = Annotated[
    bool, _meta("Restore the face", "Draw the inserted face anew, sharper and smoother.")
]


class EditSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Settings of `image_edit`."""

    prompt: Prompt
    strength: Strength = 40
    scale: Scale = 7.5
    seed: Seed | None = None
    negative_prompt: NegativePrompt = ""
    original_language: Language = "ru"


class StyleSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Settings of `style_transfer`."""

    prompt: StylePrompt = ""


class FaceSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Settings of `identity_transfer`."""

    face_restore: FaceRestore = False


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the API, and which of its fields takes the photo and which the template. The two
    methods with a template name them the other way round."""

    name: str
    settings: type[msgspec.Struct]
    photo: str
    role: str = ""
    template: str = ""


METHODS = {
    "image_edit": Method("generate_image2image", EditSettings, photo="url"),
    "style_transfer": Method(
        "mix_images", StyleSettings, photo="url_image_target", role="style", template="url"
    ),
    "identity_transfer": Method(
        "deepfake_photo", FaceSettings, photo="url", role="face", template="url_image_target"
    ),
}


async def edit(client: httpx.AsyncClient, account: ProviderAccount, order: Order) -> Picture:
    """Have Turbotext edit one photo. Raises `ProviderFailure`; once the order is in its queue it
    may be billed, and is never given again."""
    method = METHODS[order.operation]
    under_way = _Order(client, account, order, method)
    queue_id = await under_way.create(_form(method, order))
    try:
        return await under_way.finish(queue_id)
    except ProviderFailure as failure:
        failure.maybe_billed, failure.repeats = True, 0
        raise


async def ping(client: httpx.AsyncClient, account: ProviderAccount, model: str) -> PingResult:
    """Order the list of methods, which shows key and reach and is not known to cost anything. The
    list itself is not fetched: its form is doubtful."""
    try:
        answer = await _post(client, account, "available_api", {"do": "create_queue"})
        _queue_id(answer)
    except ProviderFailure as failure:
        return PingResult.of(failure)
    return PingResult(ok=True)


class _Order:
    """An order on its way through Turbotext's queue."""

    def __init__(
        self, client: httpx.AsyncClient, account: ProviderAccount, order: Order, method: Method
    ) -> None:
        self._client = client
        self._account = account
        self._order = order
        self._method = method
        self._pauses: Iterator[float] = chain(POLL_SECONDS, repeat(POLL_SECONDS[-1]))
        self._trouble: ProviderFailure = ProviderTimeout(private="it never left the queue")

    async def create(self, form: Mapping[str, str]) -> str:
        """Put it into the queue and give its id there."""
        await asyncio.sleep(await self._turn())
        return _queue_id(await self._ask({"do": "create_queue", **form}))

    async def finish(self, queue_id: str) -> Picture:
        """Wait until it is drawn and fetch it. A link that leads nowhere is asked for once more."""
        try:
            return await self._fetch(await self._drawn(queue_id))
        except _LinkFailed:
            return await self._fetch(await self._drawn(queue_id))

    async def _drawn(self, queue_id: str) -> Said:
        """Ask until the answer has a link. Asking is free, so what goes wrong is asked again."""
        without_link = 0
        while True:
            await self._pause()
            said = await self._poll(queue_id)
            if said is None or words(said.get("action")).lower() == "reconnect":
                continue
            _complain(said)
            if _link(said):
                return said
            without_link += 1
            has_success = "success" in said
            more = MORE_POLLS_WITHOUT_LINK if has_success else MORE_POLLS_WITHOUT_ANYTHING
            if without_link > more:
                raise ProviderBadResponse(private=f"no link: {words(said)}")

    async def _pause(self) -> None:
        """Wait until the next question may be asked. Gives up when a picture could no longer be
        fetched after it."""
        await asyncio.sleep(self._within(next(self._pauses)))
        await asyncio.sleep(self._within(await self._turn()))

    def _within(self, seconds: float) -> float:
        left = self._order.deadline - asyncio.get_running_loop().time()
        if seconds > left - FETCH_SECONDS:
            raise self._trouble
        return seconds

    async def _turn(self) -> float:
        return await self._order.pace(self._account.api_key, PACE_SECONDS)

    async def _poll(self, queue_id: str) -> Said | None:
        """One question; None when it got no answer, which `_trouble` remembers."""
        try:
            async with asyncio.timeout(POLL_TIMEOUT_SECONDS):
                answer = await self._ask({"do": "get_result", "queueid": queue_id})
        except TimeoutError:
            self._trouble = ProviderTimeout(private="get_result did not answer")
            return None
        except ProviderUnavailable as failure:
            self._trouble = failure
            return None
        if answer.status == 429:
            self._pauses = repeat(SLOW_POLL_SECONDS)
            return None
        if answer.status >= 500 or answer.status == 408:
            self._trouble = _refusal(answer)
            return None
        return _said(answer)

    async def _ask(self, form: Mapping[str, str]) -> ProviderResponse:
        return await _post(self._client, self._account, self._method.name, form)

    async def _fetch(self, said: Said) -> Picture:
        home = Home(self._account.base_url, DOMAIN, self._account.api_key)
        try:
            answer = await download(self._client, _link(said), home)
        except ProviderUnavailable as failure:
            raise _LinkFailed(private=failure.private) from failure
        if answer.status in (404, 408, 410) or answer.status >= 500:
            raise _LinkFailed(private=f"HTTP {answer.status} for the picture")
        if answer.status != 200 or not answer.body:
            what = f"HTTP {answer.status} and {len(answer.body)} bytes for the picture"
            raise ProviderBadResponse(private=what)
        return Picture(answer.body, self._method.name, _left(said))


class _LinkFailed(ProviderBadResponse):
    """The picture is not where Turbotext says it is."""


async def _post(
    client: httpx.AsyncClient, account: ProviderAccount, method: str, form: Mapping[str, str]
) -> ProviderResponse:
    return await post(
        client,
        f"{account.base_url}/api_ai/{method}",
        Body([urlencode(form).encode()]),
        {**HEADERS, "Authorization": f"Bearer {account.api_key}"},
    )


def _form(method: Method, order: Order) -> dict[str, str]:
    """The fields of a method: links to the pictures, and the settings as text."""
    form = {method.photo: order.link(order.photo)}
    if method.role:
        used = [one.photo for one in order.templates if one.role == method.role]
        if not used:
            raise NotConfigured(f"This slot has no template with the role {method.role}.")
        form[method.template] = order.link(used[0])
    settings = msgspec.structs.asdict(order.settings)
    if prompt := settings.pop("prompt", ""):
        form["content"] = prompt
    negative = settings.pop("negative_prompt", "").split()[:MAX_NEGATIVE_WORDS]
    if negative:
        form["negative_prompt"] = " ".join(negative)
    # `str` writes numbers and truths as the API wants them: 40, 7.5, True.
    return form | {name: str(value) for name, value in settings.items() if value is not None}


def _said(answer: ProviderResponse) -> Said:
    """The JSON object of an answer, whatever it is declared as; a refused one raises."""
    if answer.status // 100 != 2:
        raise _refusal(answer)
    try:
        said = read_json(answer.body.lstrip(BOM_AND_SPACE).rstrip())
    except NotJson as error:
        private = f"not JSON: {quoted(answer.body)}"
        raise ProviderBadResponse(private=private, maybe_billed=True) from error
    if not isinstance(said, dict):
        private = f"not a JSON object: {quoted(answer.body)}"
        raise ProviderBadResponse(private=private, maybe_billed=True)
    return said


def _queue_id(answer: ProviderResponse) -> str:
    """The id of an order in the queue, out of the answer to create_queue. Only an order that was
    not taken by a server in trouble may be given again."""
    if answer.status >= 500:
        failure = _refusal(answer)
        failure.repeats = 1
        raise failure
    said = _said(answer)
    _complain(said)
    names = ("queueid", "queue_id", "asyncid")
    given = next((said[name] for name in names if said.get(name)), None)
    text = words(given) if isinstance(given, int | str) and not isinstance(given, bool) else ""
    if text.strip("0") == "" or not QUEUE_ID.fullmatch(text):
        private = f"no queueid: {words(said)}"
        raise ProviderBadResponse(private=private, maybe_billed=True)
    return text


def _complain(said: Said) -> None:
    """Raise what an answer complains about, told apart by its words."""
    data = _data(said)
    complaint = words(said.get("error") or said.get("message"))
    if _is_true(data.get("forbidden_content")) or _is_true(said.get("forbidden_content")):
        raise ContentBlocked(private=f"forbidden_content {complaint}".rstrip())
    if "success" not in said or _is_true(said["success"]):
        return
    raise _by_words(complaint)(private=f"success false: {complaint}")


def _by_words(complaint: str) -> type[ProviderFailure]:
    kinds: tuple[tuple[re.Pattern[str], type[ProviderFailure]], ...] = (
        (QUOTA_WORDS, ProviderQuota),
        (AUTH_WORDS, ProviderAuth),
        (BLOCKED_WORDS, ContentBlocked),
    )
    return next((kind for pattern, kind in kinds if pattern.search(complaint)), ProviderError)


def _link(said: Said) -> str:
    """The first link to a picture; empty when there is none."""
    data = _data(said)
    places = (
        said.get("uploaded_image"),
        data.get("uploaded_image"),
        data.get("image"),
        said.get("image"),
    )
    firsts = (place[0] if isinstance(place, list) and place else place for place in places)
    return next((first for first in firsts if isinstance(first, str) and first), "")


def _left(said: Said) -> dict[str, int]:
    """What is left of the account, where an answer tells it."""
    limits = said.get("limits")
    told = limits if isinstance(limits, dict) else {}
    return {name: told[name] for name in LIMITS if tokens(told.get(name)) is not None}


def _data(said: Said) -> Said:
    data = said.get("data")
    return data if isinstance(data, dict) else {}


def _is_true(value: object) -> bool:
    return words(value).strip().lower() in ("true", "1")


def _refusal(answer: ProviderResponse) -> ProviderFailure:
    """A status that is no success."""
    private = f"HTTP {answer.status}: {quoted(answer.body)}"
    if answer.status in (401, 403):
        return ProviderAuth(private=private)
    if answer.status in (402, 429):
        return ProviderQuota(private=private)
    if answer.status >= 500 or answer.status == 408:
        return ProviderUnavailable(private=private)
    if answer.status < 400:
        return ProviderBadResponse(private=private)
    return ProviderError(private=private)


def _model_of(settings: msgspec.Struct) -> str:
    known = {method.settings: method.name for method in METHODS.values()}
    return known[type(settings)]


PROVIDER = Provider(
    name="turbotext",
    edit=edit,
    ping=ping,
    operations={
        name: Operation(
            method.settings,
            roles=(method.role,) if method.role else (),
            max_templates=1 if method.role else 0,
        )
        for name, method in METHODS.items()
    },
    accepts=frozenset({"image/jpeg", "image/png"}),
    model_of=_model_of,
    # What a ping costs is not written anywhere.
    ping_seconds=600.0,
)
