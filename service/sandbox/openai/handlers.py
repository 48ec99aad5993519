"""The OpenAI routes: check as the real service does, then answer as the dials want it."""

from functools import partial

import msgspec
from starlette.types import ASGIApp

from service.sandbox.dials import Refused
from service.sandbox.exchange import Exchange, recorded
from service.sandbox.failures import TROUBLES
from service.sandbox.openai import errors, outcomes
from service.sandbox.openai.errors import JSON
from service.sandbox.openai.form import read_form
from service.sandbox.openai.models import MODELS
from service.sandbox.openai.request import misspelt, model_of, read_order
from service.sandbox.threads import in_thread
from service.sandbox.wire import Answer

PROVIDER = "openai"
MAX_BODY_BYTES = 100 * 2**20
RATE_HEADERS = {
    "x-ratelimit-limit-requests": "50",
    "x-ratelimit-remaining-requests": "49",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-limit-tokens": "250000",
    "x-ratelimit-remaining-tokens": "248000",
    "x-ratelimit-reset-tokens": "6m0s",
}

openai_call = partial(recorded, PROVIDER, MAX_BODY_BYTES)


@openai_call("edit")
async def edit(exchange: Exchange) -> ASGIApp:
    """`POST /v1/images/edits`."""
    _admit(exchange)
    exchange.headers |= RATE_HEADERS
    if exchange.body is None:
        return exchange.refuse(TROUBLES["413_html"])
    form = await read_form(exchange.request.headers, exchange.body)
    order = await in_thread(partial(read_order, form, exchange.call))
    try:
        play = exchange.take(order.marker)
    except Refused as refused:
        raise misspelt(refused) from refused
    answer = await in_thread(partial(outcomes.perform, play.outcome, order))
    return exchange.deliver(answer, play)


@openai_call("model", lookup=True)
async def get_model(exchange: Exchange) -> ASGIApp:
    """`GET /v1/models/{model}`: what a health check asks."""
    _admit(exchange)
    return _look_up(exchange, model_of(exchange.request.path_params["model"]).resource())


@openai_call("models", lookup=True)
async def list_models(exchange: Exchange) -> ASGIApp:
    """`GET /v1/models`: all that are there."""
    _admit(exchange)
    listed = [model.resource() for model in MODELS.values()]
    return _look_up(exchange, {"object": "list", "data": listed})


def _look_up(exchange: Exchange, resource: object) -> ASGIApp:
    """Requests that cost nothing use up no outcome, but meet a failure that stays."""
    play = exchange.standing()
    failure = outcomes.failure(play.outcome)
    found = Answer(200, msgspec.json.encode(resource), JSON)
    return exchange.deliver(failure(exchange.call.model or "") if failure else found, play)


def _admit(exchange: Exchange) -> None:
    """Number the request, as every answer of the service is, and look at its key."""
    exchange.headers |= {
        "x-request-id": f"req_{exchange.call.number:032x}",
        "openai-processing-ms": "1",
        "openai-version": "2020-10-01",
    }
    scheme, _, key = exchange.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise errors.no_key()
    if key != exchange.sandbox.key:
        raise errors.bad_key(key)
