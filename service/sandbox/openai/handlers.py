"""The OpenAI routes: check as the real service does, then answer as the dials want it."""

from functools import partial

import msgspec
from starlette.types import ASGIApp

from service.sandbox.dials import Refused
from service.sandbox.exchange import Visit, recorded
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
async def edit(visit: Visit) -> ASGIApp:
    """`POST /v1/images/edits`."""
    _admit(visit)
    visit.headers |= RATE_HEADERS
    if visit.body is None:
        return visit.refuse(TROUBLES["413_html"])
    form = await read_form(visit.request.headers, visit.body)
    order = await in_thread(partial(read_order, form, visit.call))
    try:
        play = visit.take(order.marker)
    except Refused as refused:
        raise misspelt(refused) from refused
    answer = await in_thread(partial(outcomes.perform, play.outcome, order))
    return visit.deliver(answer, play)


@openai_call("model", lookup=True)
async def get_model(visit: Visit) -> ASGIApp:
    """`GET /v1/models/{model}`: what a health check asks."""
    _admit(visit)
    return _look_up(visit, model_of(visit.request.path_params["model"]).resource())


@openai_call("models", lookup=True)
async def list_models(visit: Visit) -> ASGIApp:
    """`GET /v1/models`: all that are there."""
    _admit(visit)
    listed = [model.resource() for model in MODELS.values()]
    return _look_up(visit, {"object": "list", "data": listed})


def _look_up(visit: Visit, resource: object) -> ASGIApp:
    """Requests that cost nothing use up no outcome, but meet a failure that stays."""
    play = visit.standing()
    failure = outcomes.failure(play.outcome)
    found = Answer(200, msgspec.json.encode(resource), JSON)
    return visit.deliver(failure(visit.call.model or "") if failure else found, play)


def _admit(visit: Visit) -> None:
    """Number the request, as every answer of the service is, and look at its key."""
    visit.headers |= {
        "x-request-id": f"req_{visit.call.number:032x}",
        "openai-processing-ms": "1",
        "openai-version": "2020-10-01",
    }
    scheme, _, key = visit.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise errors.no_key()
    if key != visit.sandbox.key:
        raise errors.bad_key(key)
