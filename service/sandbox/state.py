"""What one running sandbox remembers."""

from dataclasses import dataclass, field

from starlette.requests import Request

from service.sandbox.calls import Calls
from service.sandbox.dials import Dials
from service.sandbox.gemini.files import Files

DEFAULT_KEY = "sandbox"


@dataclass(frozen=True)
class Sandbox:
    """The accepted key, the dials, the received calls and Gemini's uploaded files."""

    dials: Dials
    key: str = field(default=DEFAULT_KEY, repr=False)
    calls: Calls = field(default_factory=Calls)
    gemini_files: Files = field(default_factory=Files)


def sandbox_of(request: Request) -> Sandbox:
    """The sandbox that serves this request."""
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox
