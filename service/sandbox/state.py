"""Application state: what one running sandbox remembers."""

from dataclasses import dataclass, field

from starlette.requests import Request

from service.sandbox.calls import Calls
from service.sandbox.dials import Dials
from service.sandbox.gemini.files import Files
from service.sandbox.turbotext.queue import Queue

DEFAULT_KEY = "sandbox"


@dataclass(frozen=True)
class Sandbox:
    """The accepted key, the dials, the received calls, Gemini's uploaded files and Turbotext's
    queue."""

    dials: Dials
    key: str = field(default=DEFAULT_KEY, repr=False)
    calls: Calls = field(default_factory=Calls)
    gemini_files: Files = field(default_factory=Files)
    turbotext_queue: Queue = field(default_factory=Queue)


def sandbox_of(request: Request) -> Sandbox:
    """The sandbox that serves this request."""
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox
