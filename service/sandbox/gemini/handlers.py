"""The Gemini routes: check as the real service does, then answer as the dials want it."""

from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp

from service.sandbox.dials import Refused
from service.sandbox.exchange import Exchange, recorded
from service.sandbox.gemini import errors, files, outcomes
from service.sandbox.gemini.errors import JSON, ApiError
from service.sandbox.gemini.models import MODELS, SHUT_DOWN, Model
from service.sandbox.gemini.protojson import Violations
from service.sandbox.gemini.request import read_order
from service.sandbox.gemini.schema import UPLOAD_START
from service.sandbox.threads import in_thread
from service.sandbox.wire import Answer

PROVIDER = "gemini"
VERSIONS = ("v1beta", "v1")
MAX_BODY_BYTES = 100 * 2**20
MIN_SERVER_TIMEOUT_S = 10
ELSEWHERE = "http://169.254.169.254"

gemini_call = partial(recorded, PROVIDER, MAX_BODY_BYTES)


@gemini_call("generate")
async def generate(exchange: Exchange) -> ASGIApp:
    """`POST models/{model}:generateContent`."""
    _check_key(exchange)
    model = _model(exchange)
    _check_headers(exchange.request)
    file_of = exchange.sandbox.gemini_files.open
    order = await in_thread(partial(read_order, _body(exchange), model, file_of, exchange.call))
    try:
        play = exchange.take(order.marker)
    except Refused as refused:
        known = ", ".join(refused.known)
        raise errors.invalid("contents.parts.text", f"{refused} Known: {known}") from refused
    answer = await in_thread(partial(outcomes.perform, play.outcome, order))
    return exchange.deliver(answer, play)


@gemini_call("model", lookup=True)
async def get_model(exchange: Exchange) -> ASGIApp:
    """`GET models/{model}`: what a health check asks."""
    _check_key(exchange)
    return _look_up(exchange, _model(exchange).resource())


@gemini_call("models", lookup=True)
async def list_models(exchange: Exchange) -> ASGIApp:
    """`GET models`: all on one page."""
    _check_key(exchange)
    return _look_up(exchange, {"models": [model.resource() for model in MODELS.values()]})


@gemini_call("upload")
async def upload(exchange: Exchange) -> ASGIApp:
    """`POST /upload/…/files`: the start of an upload, or one of its chunks."""
    if "upload_id" in exchange.request.query_params:
        return _upload_chunk(exchange)
    _check_key(exchange)
    return _upload_start(exchange)


@gemini_call("file", lookup=True)
async def get_file(exchange: Exchange) -> ASGIApp:
    """`GET files/{id}`."""
    _check_key(exchange)
    file = exchange.sandbox.gemini_files.poll(exchange.request.path_params["id"])
    return _look_up(exchange, file.resource())


@gemini_call("file_delete", lookup=True)
async def delete_file(exchange: Exchange) -> ASGIApp:
    """`DELETE files/{id}`."""
    _check_key(exchange)
    exchange.sandbox.gemini_files.delete(exchange.request.path_params["id"])
    return _look_up(exchange, {})


def _upload_start(exchange: Exchange) -> ASGIApp:
    request = exchange.request
    _require(request, "x-goog-upload-protocol", "resumable")
    _require(request, "x-goog-upload-command", "start")
    asked = _upload_metadata(_body(exchange))
    given_mime = request.headers.get("x-goog-upload-header-content-type", "")
    mime = asked.get("mimeType") or given_mime or "application/octet-stream"
    outcome = exchange.sandbox.dials.standing(PROVIDER).outcome
    upload_id = exchange.sandbox.gemini_files.start(
        asked.get("name", ""),
        asked.get("displayName", ""),
        mime,
        f"{_origin(request)}/{_version(request)}",
        outcomes.FILES.get(outcome, files.FileMarker()),
    )
    origin = ELSEWHERE if outcome == "file_elsewhere" else _origin(request)
    url = f"{origin}{request.url.path}?upload_id={upload_id}&upload_protocol=resumable"
    headers = {
        "x-goog-upload-url": url,
        "x-goog-upload-status": "active",
        "x-goog-upload-chunk-granularity": str(files.CHUNK_BYTES),
    }
    return _free(exchange, Answer(200, b"", headers))


def _upload_chunk(exchange: Exchange) -> ASGIApp:
    request = exchange.request
    command = request.headers.get("x-goog-upload-command", "")
    commands = {word.strip() for word in command.split(",")}
    if not commands <= {"upload", "finalize"} or not commands:
        raise ApiError(400, f"Unknown upload command: {command}")
    offset = request.headers.get("x-goog-upload-offset", "")
    if not offset.isdecimal():
        raise ApiError(400, "X-Goog-Upload-Offset must be a number of bytes.")
    final = "finalize" in commands
    upload_id = request.query_params["upload_id"]
    file = exchange.sandbox.gemini_files.write(upload_id, int(offset), _body(exchange), final)
    headers = {**JSON, "x-goog-upload-status": "final" if final else "active"}
    body = msgspec.json.encode({"file": file.resource()}) if final else b""
    return _free(exchange, Answer(200, body, headers))


def _upload_metadata(body: bytes) -> dict[str, Any]:
    found: Violations = []
    try:
        content = UPLOAD_START(msgspec.json.decode(body or b"{}"), "", found)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ApiError(400, f"Invalid JSON payload received. {problem}") from problem
    if found:
        raise errors.violations(found)
    asked: dict[str, Any] = content.get("file", {})
    return asked


def _look_up(exchange: Exchange, resource: dict[str, Any]) -> ASGIApp:
    return _free(exchange, Answer(200, msgspec.json.encode(resource), JSON))


def _free(exchange: Exchange, answer: Answer) -> ASGIApp:
    """Requests that cost nothing use up no outcome, but meet a failure that stays."""
    play = exchange.standing()
    failure = outcomes.failure(play.outcome)
    return exchange.deliver(failure(exchange.call.model or "") if failure else answer, play)


def _check_key(exchange: Exchange) -> None:
    request = exchange.request
    given = request.headers.get("x-goog-api-key") or request.query_params.get("key")
    if given != exchange.sandbox.key:
        raise errors.bad_key()


def _model(exchange: Exchange) -> Model:
    name = exchange.request.path_params["model"]
    if name not in MODELS:
        raise errors.unknown_model(name, _version(exchange.request), name in SHUT_DOWN)
    return MODELS[name]


def _check_headers(request: Request) -> None:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise ApiError(400, "Invalid JSON payload received: Content-Type is not application/json.")
    timeout = request.headers.get("x-server-timeout")
    if timeout is None:
        return
    if not timeout.isdecimal():
        raise ApiError(400, f"Invalid X-Server-Timeout: {timeout}")
    if int(timeout) < MIN_SERVER_TIMEOUT_S:
        raise ApiError(
            400,
            f"Manually set deadline {timeout}s is too short. "
            f"Minimum allowed deadline is {MIN_SERVER_TIMEOUT_S}s.",
        )


def _body(exchange: Exchange) -> bytes:
    if exchange.body is None:
        raise errors.too_large(MAX_BODY_BYTES)
    return exchange.body


def _require(request: Request, header: str, value: str) -> None:
    if request.headers.get(header) != value:
        raise ApiError(400, f"Header {header} must be {value}.")


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _version(request: Request) -> str:
    return next(part for part in request.url.path.split("/") if part in VERSIONS)
