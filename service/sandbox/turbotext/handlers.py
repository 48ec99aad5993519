"""The Turbotext routes: one address per method with two steps, and the finished pictures."""

from functools import partial

from starlette.types import ASGIApp

from service.sandbox.dials import Marker, Play, Refused, find_marker
from service.sandbox.exchange import Exchange, recorded
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
async def call_method(exchange: Exchange) -> ASGIApp:
    """`POST /api_ai/{method}`: `do=create_queue` orders, `do=get_result` asks for the picture."""
    try:
        method, form = _admit(exchange)
        if form["do"] == "get_result":
            return await _get_result(exchange, form)
        method.check(form)
        return _create_queue(exchange, form)
    except Complaint as complaint:
        raise Refused200(str(complaint)) from complaint


@turbotext_call("download", lookup=True)
async def download(exchange: Exchange) -> ASGIApp:
    """`GET /image/{file}` and `GET /download.php?f=`."""
    query = exchange.request.query_params
    file = exchange.request.path_params.get("file") or query.get("f", "")
    item = exchange.sandbox.turbotext_queue.of_file(file)
    given = exchange.request.headers.get("authorization")
    if item is None or given not in (None, f"Bearer {exchange.sandbox.key}"):
        return exchange.refuse(Answer(404 if item is None else 403))
    exchange.call.model, exchange.call.outcome = item.method, item.outcome
    picture = await item.work
    hop = int(query.get("hop", "0"))
    answer = outcomes.on_download(item.outcome, item, picture, given is not None, hop)
    return exchange.deliver(answer, _at_once(item))


def _admit(exchange: Exchange) -> tuple[Method, dict[str, str]]:
    """The method and the form of a request with the right key; raises `Complaint`."""
    request = exchange.request
    if request.headers.get("authorization") != f"Bearer {exchange.sandbox.key}":
        raise Complaint(outcomes.WORDS["key"])
    method = METHODS.get(exchange.call.model or "")
    if method is None:
        raise Complaint("Метод не найден")
    form = read_form(request.headers.get("content-type", ""), exchange.body or b"")
    exchange.call.fields = form
    step = form.get("do")
    if step not in ("create_queue", "get_result"):
        raise Complaint("Не указан параметр do")
    exchange.call.action = step
    exchange.call.lookup = step == "get_result" or exchange.call.model == FREE
    return method, form


def _create_queue(exchange: Exchange, form: dict[str, str]) -> ASGIApp:
    try:
        marker, prompt = find_marker(form.get("content", ""), Marker)
        play = exchange.standing() if exchange.call.lookup else exchange.take(marker)
    except Refused as refused:
        raise Complaint(f"{refused} Known: {', '.join(refused.known)}") from refused
    exchange.call.prompt = form.get("content")
    origin = f"{exchange.request.url.scheme}://{exchange.request.url.netloc}"
    item = exchange.sandbox.turbotext_queue.add(exchange.call, form, prompt, play, origin)
    answer = outcomes.on_create(play.outcome, item.id)
    return exchange.deliver(answer, Play(play.outcome))


async def _get_result(exchange: Exchange, form: dict[str, str]) -> ASGIApp:
    number, model = form.get("queueid", ""), exchange.call.model or ""
    item = exchange.sandbox.turbotext_queue.find(number, model)
    exchange.call.outcome = item.outcome
    if outcomes.waits(item.outcome, item):
        answer = outcomes.reconnect(item)
    else:
        await item.work
        answer = outcomes.on_poll(item.outcome, item)
    return exchange.deliver(answer, Play(item.outcome))


def _at_once(item: Item) -> Play:
    return Play(item.outcome, drip=item.drip)
