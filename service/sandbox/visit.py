"""One request from its arrival to its answer, the same for every provider."""

import time

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from service.sandbox.dials import Marker, Play
from service.sandbox.state import sandbox_of
from service.sandbox.wire import Answer, ClientLeft, Delivery, read_body

REFUSED = "refused"


class Visit:
    """A request that has just arrived: recorded in the calls, its clock running."""

    def __init__(self, request: Request, provider: str, action: str, lookup: bool) -> None:
        self._arrived = time.monotonic()
        self.request = request
        self.sandbox = sandbox_of(request)
        self.call = self.sandbox.calls.enter(provider, action, request, lookup)
        self.body: bytes | None = None

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
        return Delivery(answer, self.call, self._arrived, play.latency_s, play.drip)

    def refuse(self, answer: Answer) -> Delivery:
        """Answer at once that the request itself is at fault; no outcome is used up."""
        self.call.outcome = REFUSED
        return Delivery(answer, self.call, self._arrived)


async def silence(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer nobody: the client has gone."""
