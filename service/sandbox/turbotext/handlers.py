"""The Turbotext routes: one address per method with two steps, and the finished pictures."""

from functools import partial

from starlette.types import ASGIApp

from service.sandbox.dials import Marker, Play, Refused, find_marker
from service.sandbox.exchange import Visit, recorded
from service.sandbox.turbotext import outcomes
from service.sandbox.turbotext.methods import METHODS, Complaint, Method, read_form
from service.sandbox.turbotext.queue import Item
from service.sandbox.wire import Answer, Refusal

PROVIDER = "turbotext"
MAX_BODY_BYTES = 2**20
FREE = "available_api"

turbotext_call = partial(recorded, PROVIDER, MAX_BODY_BYTES)


class Refused200(Refusal):
    """Refused as the service is believed to do it: 200 and `success` false."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words

    def answer(self) -> Answer:
        return outcomes.complain(self.words)


@turbotext_call("create_queue")
async def call_method(visit: Visit) -> ASGIApp:
    """`POST /api_ai/{method}`: `do=create_queue` orders, `do=get_result` asks for the picture."""
    try:
        method, form = _admit(visit)
        if form["do"] == "get_result":
            return await _get_result(visit, form)
        method.check(form)
        return _create_queue(visit, form)
    except Complaint as complaint:
        raise Refused200(str(complaint)) from complaint


@turbotext_call("download", lookup=True)
async def download(visit: Visit) -> ASGIApp:
    """`GET /image/{file}` and `GET /download.php?f=`."""
    query = visit.request.query_params
    file = visit.request.path_params.get("file") or query.get("f", "")
    item = visit.sandbox.turbotext_queue.of_file(file)
    given = visit.request.headers.get("authorization")
    if item is None or given not in (None, f"Bearer {visit.sandbox.key}"):
        return visit.refuse(Answer(404 if item is None else 403))
    visit.call.model, visit.call.outcome = item.method, item.outcome
    picture = await item.work
    hop = int(query.get("hop", "0"))
    answer = outcomes.on_download(item.outcome, item, picture, given is not None, hop)
    return visit.deliver(answer, _at_once(item))


def _admit(visit: Visit) -> tuple[Method, dict[str, str]]:
    """The method and the form of a request with the right key; raises `Complaint`."""
    request = visit.request
    if request.headers.get("authorization") != f"Bearer {visit.sandbox.key}":
        raise Complaint(outcomes.WORDS["key"])
    method = METHODS.get(visit.call.model or "")
    if method is None:
        raise Complaint("Метод не найден")
    form = read_form(request.headers.get("content-type", ""), visit.body or b"")
    visit.call.fields = form
    step = form.get("do")
    if step not in ("create_queue", "get_result"):
        raise Complaint("Не указан параметр do")
    visit.call.action = step
    visit.call.lookup = step == "get_result" or visit.call.model == FREE
    return method, form


def _create_queue(visit: Visit, form: dict[str, str]) -> ASGIApp:
    try:
        marker, prompt = find_marker(form.get("content", ""), Marker)
        play = visit.standing() if visit.call.lookup else visit.take(marker)
    except Refused as refused:
        raise Complaint(f"{refused} Known: {', '.join(refused.known)}") from refused
    visit.call.prompt = form.get("content")
    origin = f"{visit.request.url.scheme}://{visit.request.url.netloc}"
    item = visit.sandbox.turbotext_queue.add(
        visit.call, form, prompt, play.outcome, play.latency_s, play.drip, origin
    )
    answer = outcomes.on_create(play.outcome, item.id)
    return visit.deliver(answer, Play(play.outcome, 0.0, drip=False))


async def _get_result(visit: Visit, form: dict[str, str]) -> ASGIApp:
    number, model = form.get("queueid", ""), visit.call.model or ""
    item = visit.sandbox.turbotext_queue.find(number, model)
    visit.call.outcome = item.outcome
    if outcomes.waits(item.outcome, item):
        answer = outcomes.reconnect(item)
    else:
        await item.work
        answer = outcomes.on_poll(item.outcome, item)
    return visit.deliver(answer, Play(item.outcome, 0.0, drip=False))


def _at_once(item: Item) -> Play:
    return Play(item.outcome, 0.0, item.drip)
