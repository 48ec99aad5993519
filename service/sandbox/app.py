"""The sandbox as an application: all routes, one line each, grouped by who calls."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from service.sandbox import control
from service.sandbox.dials import Dials, Provider
from service.sandbox.exchange import Endpoint
from service.sandbox.gemini import handlers as gemini
from service.sandbox.gemini import outcomes as gemini_outcomes
from service.sandbox.openai import handlers as openai
from service.sandbox.openai import outcomes as openai_outcomes
from service.sandbox.state import DEFAULT_KEY, Sandbox
from service.sandbox.turbotext import handlers as turbotext
from service.sandbox.turbotext import outcomes as turbotext_outcomes

PROVIDERS = (
    Provider("gemini", gemini_outcomes.knows, gemini_outcomes.NAMES),
    Provider("openai", openai_outcomes.knows, openai_outcomes.NAMES),
    Provider("turbotext", turbotext_outcomes.knows, turbotext_outcomes.NAMES),
)


def by_key(bearer: Endpoint, other: Endpoint) -> Endpoint:
    """Two services have a list of models at the same path; they are told apart by the key."""

    async def endpoint(request: Request) -> ASGIApp:
        return await (bearer if "authorization" in request.headers else other)(request)

    return endpoint


CONTROL: list[BaseRoute] = [
    Route("/dials", control.show_dials, methods=["GET"]),
    Route("/dials", control.set_dials, methods=["PUT"]),
    Route("/dials", control.reset_dials, methods=["DELETE"]),
    Route("/calls", control.list_calls, methods=["GET"]),
    Route("/calls", control.forget_calls, methods=["DELETE"]),
    Route("/reset", control.start_anew, methods=["POST"]),
]

GEMINI: list[BaseRoute] = [
    Route("/models", gemini.list_models, methods=["GET"]),
    Route("/models/{model}:generateContent", gemini.generate, methods=["POST"]),
    Route("/models/{model}", gemini.get_model, methods=["GET"]),
    Route("/files/{id}", gemini.get_file, methods=["GET"]),
    Route("/files/{id}", gemini.delete_file, methods=["DELETE"]),
]
OPENAI: list[BaseRoute] = [
    Route("/models", by_key(openai.list_models, gemini.list_models), methods=["GET"]),
    Route("/models/{model}", by_key(openai.get_model, gemini.get_model), methods=["GET"]),
    Route("/images/edits", openai.edit, methods=["POST"]),
]
GEMINI_UPLOAD: list[BaseRoute] = [Route("/files", gemini.upload, methods=["POST"])]
TURBOTEXT: list[BaseRoute] = [
    Route("/api_ai/{model}", turbotext.call_method, methods=["POST"]),
    Route("/image/{file}", turbotext.download, methods=["GET"]),
    Route("/download.php", turbotext.download, methods=["GET"]),
]

ROUTES: list[BaseRoute] = [
    Mount("/_sandbox", routes=CONTROL),
    Mount("/v1beta", routes=GEMINI),
    Mount("/v1", routes=[*OPENAI, *GEMINI]),
    *(Mount(f"/upload/{version}", routes=GEMINI_UPLOAD) for version in gemini.VERSIONS),
    *TURBOTEXT,
]


def create_app(key: str = DEFAULT_KEY, latency_s: float = 0.0) -> Starlette:
    """A sandbox with its own memory; `latency_s` holds until the dials say otherwise."""
    app = Starlette(routes=ROUTES)
    app.state.sandbox = Sandbox(dials=Dials(PROVIDERS, latency_s), key=key)
    return app
