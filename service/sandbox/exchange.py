"""Exchange: one request from its arrival to its answer, the same for every provider."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.sandbox.dials import Marker, Play
from service.sandbox.state import sandbox_of
from service.sandbox.wire import Answer, ClientLeft, Delivery, Refusal, read_body

REFUSED = "refused"

Handler = Callable[["Exchange"], Awaitable[ASGIApp]]
Endpoint = Callable[[Request], Awaitable[ASGIApp]]


class Exchange:
    """A request that has just arrived: recorded in the calls, its clock running. `headers` go with
    whatever answer it gets."""

    def __init__(self, request: Request, provider: str, action: str, lookup: bool) -> None:
        self._arrived = time.monotonic()
        self.request = request
        self.sandbox = sandbox_of(request)
        self.call = self.sandbox.calls.enter(provider, action, request, lookup)
        self.body: bytes | None = None
        self.headers: dict[str, str] = {}

    async def read(self, limit: int) -> None:
        """Receive the body; it stays None over `limit` bytes. `ClientLeft` when it is cut."""
        try:
            self.body, self.call.body_bytes = await read_body(self.request, limit)
        except ClientLeft:
            self.call.client_disconnected = True
            raise

    def take(self, marker: Marker | None = None) -> Play:
        """Use up the provider's next outcome for this call; `Refused` for a wrong marker."""
        play = self.sandbox.dials.take(self.call.provider, marker)
        self.call.outcome = play.outcome
        return play

    def standing(self) -> Play:
        """What this request gets when it may not use up an outcome."""
        play = self.sandbox.dials.standing(self.call.provider)
        self.call.outcome = play.outcome
        return play

    def deliver(self, answer: Answer, play: Play) -> Delivery:
        """Send the answer as the dials want it."""
        return Delivery(
            self._signed(answer), self.call, self._arrived, play.latency_s, play.drip, play.gate
        )

    def refuse(self, answer: Answer) -> Delivery:
        """Answer at once that the request itself is at fault; no outcome is used up."""
        self.call.outcome = REFUSED
        return Delivery(self._signed(answer), self.call, self._arrived)

    def _signed(self, answer: Answer) -> Answer:
        return replace(answer, headers=self.headers | answer.headers)


def recorded(
    provider: str, max_bytes: int, action: str, lookup: bool = False
) -> Callable[[Handler], Endpoint]:
    """Record a request, read its body, and turn a `Refusal` into its answer."""

    def wrap(handler: Handler) -> Endpoint:
        @wraps(handler)
        async def endpoint(request: Request) -> ASGIApp:
            exchange = Exchange(request, provider, action, lookup)
            try:
                await exchange.read(max_bytes)
                return await handler(exchange)
            except Refusal as refusal:
                return exchange.refuse(refusal.answer())
            except ClientLeft:
                return silence

        return endpoint

    return wrap


async def silence(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer nobody: the client has gone."""
