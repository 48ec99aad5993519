"""Application state: what lives as long as the process, every handler's `request.state`."""

from collections.abc import Callable
from typing import TypedDict

import httpx

from service.config import Config
from service.crypto import PasswordMemory
from service.intake import Intake
from service.monitoring.checks import Checks
from service.pictures.qr import QrCodes
from service.site import Web
from service.storage.accounts import Admins, ProviderKeys
from service.storage.database import Database
from service.storage.media import Media
from service.threads import Threads


class State(TypedDict):
    """The lifespan's gift to `Request[State]`."""

    config: Config
    db: Database
    media: Media
    client: httpx.AsyncClient
    threads: Threads
    passwords: PasswordMemory
    sign_ins: PasswordMemory
    codes: QrCodes
    intake: Intake
    worker: int
    holds_lease: Callable[[], bool]
    admins: Admins
    provider_keys: ProviderKeys
    nobody_hash: str
    web: Web
    checks: Checks
