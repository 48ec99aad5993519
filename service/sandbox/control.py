"""Control API, the handlers under `/_sandbox`: turn the dials, read the calls."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service.sandbox.dials import Dial, Refused
from service.sandbox.state import sandbox_of

CALL_FILTERS = ("provider", "action", "model", "outcome")
TRUE_WORDS = ("1", "true", "yes")


async def show_dials(request: Request) -> Response:
    """All dials with what is still to come."""
    return _json(sandbox_of(request).dials.show())


async def set_dials(request: Request) -> Response:
    """Replace one provider's dial; 422 names the field at fault and what is known."""
    dials = sandbox_of(request).dials
    try:
        dial = msgspec.json.decode(await request.body(), type=Dial)
        dials.set(dial)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        return _json({"error": str(problem), "known": list(Dial.__struct_fields__)}, 422)
    except Refused as refused:
        shown = {"error": str(refused), "field": refused.field, "known": refused.known}
        return _json(shown, 422)
    return _json(dial)


async def reset_dials(request: Request) -> Response:
    """Every provider answers well again; calls stay."""
    sandbox_of(request).dials.reset()
    return Response(status_code=204)


async def list_calls(request: Request) -> Response:
    """What was received, oldest first; `?lookups=true` adds the calls that order nothing."""
    query = request.query_params
    unknown = [name for name in query if name not in (*CALL_FILTERS, "lookups")]
    if unknown:
        return _json({"error": f"Unknown filter {unknown[0]!r}.", "known": CALL_FILTERS}, 422)
    wanted = {name: query[name] for name in CALL_FILTERS if name in query}
    lookups = query.get("lookups", "").lower() in TRUE_WORDS
    return _json(sandbox_of(request).calls.list(wanted, lookups))


async def forget_calls(request: Request) -> Response:
    """Start counting anew."""
    sandbox_of(request).calls.forget()
    return Response(status_code=204)


async def start_anew(request: Request) -> Response:
    """Every provider answers well, and none has been called."""
    sandbox_of(request).dials.reset()
    sandbox_of(request).calls.forget()
    return Response(status_code=204)


def _json(shown: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(shown), status, media_type="application/json")
