"""The table of Turbotext's outcomes: at which of its three steps an order goes how.

`NAME@N` has the queue answer `reconnect` N times before (`@endless`: for ever); without it twice.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from service.sandbox import junk, wire
from service.sandbox.failures import HTML, JSON, TROUBLES
from service.sandbox.turbotext.queue import Item
from service.sandbox.wire import Answer

Reply = Callable[[Item], Answer]
Json = dict[str, Any]

DEFAULT_RECONNECTS = 2
HTTP_ERRORS = range(400, 600)
PNG = {"content-type": "image/png"}

WORDS = {
    "limit": "Исчерпан лимит фото на этот месяц",
    "tariff": "Метод доступен только на тарифе VIP",
    "balance": "Недостаточно средств на балансе",
    "quota": "Photo quota exceeded",
    "key": "Неверный ключ API",
    "token": "Invalid token",
    "authorization": "Ошибка авторизации",
    "forbidden": "Запрещённый контент на изображении",
    "nsfw": "NSFW content detected",
    "adult": "Изображение 18+ не обрабатывается",
    "face": "Лицо на фото не найдено",
    "other": "Внутренняя ошибка сервиса",
}


def say(body: Json, headers: Mapping[str, str] = JSON) -> Answer:
    """200 with this JSON."""
    return Answer(200, msgspec.json.encode(body), dict(headers))


def complain(words: str) -> Answer:
    """200 with a failure in words."""
    return say({"success": False, "error": words})


def broken(name: str) -> Answer | None:
    """What any of the steps may meet instead of its answer."""
    if len(name) == 3 and name.isdecimal() and int(name) in HTTP_ERRORS:
        return Answer(int(name), b"<html><h1>%s</h1></html>" % name.encode(), HTML)
    return BROKEN.get(name)


BROKEN = {**TROUBLES, "list": Answer(200, b"[]", JSON)}

QUEUED: dict[str, Callable[[int], Json]] = {
    "queueid": lambda number: {"success": True, "queueid": number},
    "queueid_text": lambda number: {"success": True, "queueid": str(number)},
    "queue_id": lambda number: {"success": True, "queue_id": number},
    "asyncid": lambda number: {"success": True, "asyncid": number},
    "queueid_alone": lambda number: {"queueid": number},
    "success_1": lambda number: {"success": 1, "queueid": number},
    "success_text": lambda number: {"success": "true", "queueid": number},
    "no_queueid": lambda number: {"success": True},
    "queueid_zero": lambda number: {"success": True, "queueid": 0},
    "queueid_empty": lambda number: {"success": True, "queueid": ""},
    "queueid_path": lambda number: {"success": True, "queueid": "../x"},
}


def _absolute(item: Item) -> str:
    return f"{item.origin}/download.php?f={item.file}"


def _relative(item: Item) -> str:
    return f"image/{item.file}"


def _data(item: Item, **more: Any) -> Json:
    width, height = item.size
    shown = {"prompt": item.prompt, "width": width, "height": height, "seed": 1, "strength": 40}
    return {**shown, **more}


def _edit_layout(item: Item) -> Json:
    data = _data(item, user_id=1, image=[_relative(item)], scale=7.5, original_language="ru")
    return {"success": True, "error": "", "data": data}


def _mix_layout(item: Item) -> Json:
    data = _data(item, pattern_prompt=False)
    return {"success": True, "error": "", "data": data, "uploaded_image": _absolute(item)}


def _face_layout(item: Item) -> Json:
    link = _absolute(item)
    data = _data(item, image=[link], forbidden_content=False, face_restore="False")
    return {"success": True, "error": "", "data": data, "uploaded_image": link}


OWN_LAYOUT = {
    "generate_image2image": _edit_layout,
    "mix_images": _mix_layout,
    "deepfake_photo": _face_layout,
}


def own_layout(item: Item) -> Json:
    """The final answer as the page of its method shows it."""
    layout = OWN_LAYOUT.get(item.method)
    return layout(item) if layout else {"available_api": [{"name": "clickbait"}]}


# Final answers in another shape.
SHAPES: dict[str, Reply] = {
    "ok": lambda item: say(own_layout(item)),
    "edit_layout": lambda item: say(_edit_layout(item)),
    "mix_layout": lambda item: say(_mix_layout(item)),
    "face_layout": lambda item: say(_face_layout(item)),
    "peer_layout": lambda item: say({"success": True, "data": {"uploaded_image": _absolute(item)}}),
    "top_image": lambda item: say({"success": True, "image": _absolute(item)}),
    "top_image_list": lambda item: say({"success": True, "image": [_relative(item)]}),
    "link_list": lambda item: say({"success": True, "uploaded_image": [_absolute(item)]}),
    "link_relative": lambda item: say({"success": True, "uploaded_image": _relative(item)}),
    "link_rooted": lambda item: say({"success": True, "uploaded_image": f"/{_relative(item)}"}),
    "empty_first": lambda item: say({**_edit_layout(item), "uploaded_image": ""}),
    "no_success": lambda item: say({"uploaded_image": _absolute(item)}),
    "text_html": lambda item: say(own_layout(item), HTML),
    "bom": lambda item: Answer(
        200, b"\xef\xbb\xbf\r\n" + msgspec.json.encode(own_layout(item)) + b"\n", JSON
    ),
    "limits": lambda item: say(
        {**own_layout(item), "limits": {"foto_limit": 41, "text_limit": 900}}
    ),
    "success_1": lambda item: say({**own_layout(item), "success": 1}),
    "success_text": lambda item: say({**own_layout(item), "success": "True"}),
    "no_image": lambda item: say({"success": True, "error": "", "data": _data(item)}),
    "nothing": lambda item: say({"data": {}}),
    "content_blocked": lambda item: say(
        {"success": True, "data": _data(item, image=[], forbidden_content=True)}
    ),
    "in_message": lambda item: say({"success": False, "message": WORDS["limit"]}),
    "huge_limits": lambda item: say(
        {**own_layout(item), "limits": {"foto_limit": 10**26, "text_limit": -1}}
    ),
    "odd_success": lambda item: say({**own_layout(item), "success": [10**26, {"a": "\0"}]}),
    "odd_error": lambda item: say({"success": False, "error": {"\0": [10**26, None]}}),
}

# Downloads in place of the picture.
FILES: dict[str, Callable[[Item, bytes], Answer]] = {
    "html": lambda item, picture: Answer(200, junk.HTML, HTML),
    "svg": lambda item, picture: Answer(200, junk.SVG, {"content-type": "image/svg+xml"}),
    "pdf": lambda item, picture: Answer(200, junk.PDF, PNG),
    "text": lambda item, picture: Answer(200, junk.TEXT, PNG),
    "tiny": lambda item, picture: Answer(200, junk.png(1, 1), PNG),
    "bomb_png": lambda item, picture: Answer(200, junk.bomb_png(), PNG),
    "empty": lambda item, picture: Answer(200, b"", PNG),
    "cut_image": lambda item, picture: Answer(200, picture[: len(picture) // 2], PNG),
    "cut": lambda item, picture: Answer(200, picture, PNG, manner=wire.cut),
    "slow": lambda item, picture: Answer(200, picture, PNG, manner=wire.dripping),
    "as_text": lambda item, picture: Answer(200, picture, {"content-type": "text/plain"}),
}

_STEP = re.compile(r"(?P<step>poll|download):(?P<what>[a-z0-9_]+)(\*(?P<times>\d{1,2}))?")
_FAMILIES = (re.compile(r"(link|redirect):.+", re.S), re.compile(r"redirects:\d"))

NAMES = [
    *SHAPES,
    *QUEUED,
    *BROKEN,
    *("input_gone", "bad_key", "quota", "no_token"),
    "400…599 (any HTTP status)",
    f"error:<{'|'.join(WORDS)}> (when ordered), late_error:<…> (when drawn)",
    f"poll:<status|{'|'.join(BROKEN)}|{'|'.join(SHAPES)}>[*TIMES]",
    f"download:<status|{'|'.join(BROKEN)}|{'|'.join(FILES)}>[*TIMES]",
    "link:<anything in place of the link>",
    "redirect:<where the picture's address leads>",
    "redirects:<how many, to the picture>",
    "<any of them>@<how many reconnects before, or endless>",
]


def parted(outcome: str) -> tuple[str, int | None]:
    """Name of an outcome and how often the queue says reconnect; None for ever."""
    found = re.search(r"@(\d{1,4}|endless)$", outcome)
    if found is None:
        return outcome, DEFAULT_RECONNECTS
    name = outcome[: found.start()]
    return name, None if found[1] == "endless" else int(found[1])


def knows(outcome: str) -> bool:
    """Whether the outcome can be dialled."""
    name, _ = parted(outcome)
    family, _, rest = name.partition(":")
    if family in ("error", "late_error"):
        return rest in WORDS
    if step := _STEP.fullmatch(name):
        known = SHAPES if step["step"] == "poll" else FILES
        return step["what"] in known or broken(step["what"]) is not None
    simple = (*SHAPES, *QUEUED, "input_gone", "bad_key", "quota", "no_token")
    if name in simple or broken(name) is not None:
        return True
    return any(family.fullmatch(name) for family in _FAMILIES)


def on_create(outcome: str, number: int) -> Answer:
    """The answer to create_queue, or what there is instead."""
    name, _ = parted(outcome)
    family, _, rest = name.partition(":")
    if family == "error":
        return complain(WORDS[rest])
    words = {"bad_key": WORDS["key"], "quota": WORDS["limit"]}
    if name in words:
        return complain(words[name])
    queued = QUEUED.get(name, QUEUED["queueid"])
    return broken(name) or say(queued(number))


def waits(outcome: str, item: Item) -> bool:
    """Whether the queue says reconnect; counts how often it was asked."""
    _, reconnects = parted(outcome)
    item.polls += 1
    return reconnects is None or item.polls <= reconnects or not item.is_ready


def reconnect(item: Item) -> Answer:
    """Not ready; every second time in capitals, and with a `success` that means nothing."""
    loud = {"action": "RECONNECT", "success": False}
    return say({"action": "reconnect"} if item.polls % 2 else loud)


def on_poll(outcome: str, item: Item) -> Answer:
    """The answer to get_result once the picture is drawn, or what there is instead."""
    name, _ = parted(outcome)
    item.asked += 1
    if (step := _STEP.fullmatch(name)) and step["step"] == "poll" and _applies(step, item.asked):
        return broken(step["what"]) or SHAPES[step["what"]](item)
    family, _, rest = name.partition(":")
    if family == "late_error":
        return complain(WORDS[rest])
    if family == "link":
        return say({"success": True, "uploaded_image": rest})
    if name == "input_gone":
        return complain("Не удалось загрузить изображение url: HTTP 410")
    return SHAPES.get(name, SHAPES["ok"])(item)


def on_download(outcome: str, item: Item, picture: bytes, with_token: bool, hop: int) -> Answer:
    """The finished picture, or what there is instead; counts how often it was asked."""
    name, _ = parted(outcome)
    item.downloads += 1
    if (step := _STEP.fullmatch(name)) and step["step"] == "download":
        if _applies(step, item.downloads):
            return broken(step["what"]) or FILES[step["what"]](item, picture)
    family, _, rest = name.partition(":")
    if family == "redirect":
        return Answer(302, b"", {"location": rest})
    if family == "redirects" and hop < int(rest):
        return Answer(302, b"", {"location": f"{_absolute(item)}&hop={hop + 1}"})
    if name == "no_token" and with_token:
        return Answer(403, junk.HTML, HTML)
    return Answer(200, picture, PNG)


def _applies(step: "re.Match[str]", number: int) -> bool:
    return step["times"] is None or number <= int(step["times"])
