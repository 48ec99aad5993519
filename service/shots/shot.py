"""Shot: what is known of one so far, from its arrival to its picture."""

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from service.counters import UPLOAD_SECONDS
from service.http.form import Progress
from service.http.multipart import Upload
from service.intake import Visit
from service.providers.attempts import MIN_ATTEMPT_SECONDS, Attempt
from service.providers.base import Plan
from service.queries.jobs import Stages
from service.queries.media import KeptFile
from service.queries.slots import IngestSlot

# The window's last second is for storing and sending.
RESERVE_SECONDS = 1.0


@dataclass(slots=True)
class Shot:
    """One shot of a camera or an admin. Times are loop time, `created_at` is the wall clock's.
    `visit` is what it takes of the process. `is_authenticated` once its sender is: from then on its
    end is written down. `plans` are those
    that may still be tried, the first one first; `line` are the fields of its one log line."""

    slot: IngestSlot
    source: str
    address: str
    arrived: float
    created_at: datetime
    line: MutableMapping[str, Any]
    visit: Visit = field(init=False)
    job_id: UUID = field(default_factory=uuid4)
    progress: Progress = field(default_factory=Progress)
    upload: Upload | None = None
    idempotency_key: bytes | None = None
    plans: list[Plan] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    is_authenticated: bool = False
    follows: bool = False
    uploaded: float | None = None
    called: float | None = None
    edited: float | None = None

    @property
    def answer_by(self) -> float:
        """When the provider is cut off: the rest of the window is for storing and sending."""
        return self.arrived + self.slot.sync_response_seconds - RESERVE_SECONDS

    @property
    def closes_at(self) -> datetime:
        """When the window closes, by the wall clock."""
        return self.created_at + timedelta(seconds=self.slot.sync_response_seconds)

    @property
    def upload_by(self) -> float:
        """When the body must be complete, so that a provider call is still worth its money."""
        return self.answer_by - MIN_ATTEMPT_SECONDS

    @property
    def provider(self) -> str:
        """Who works on it, or was the last to."""
        return self.attempts[-1].provider if self.attempts else self.slot.provider

    def received(self, upload: Upload, idempotency_key: bytes | None = None) -> None:
        """Its photo is here; two requests with one key are the same order."""
        self.upload, self.idempotency_key, self.uploaded = upload, idempotency_key, now()
        UPLOAD_SECONDS.observe(self.uploaded - self.arrived)

    def stages(self) -> Stages:
        """Milliseconds of each stage that was reached by now."""
        called, edited, end = self.called, self.edited, now()
        return Stages(
            upload=_ms(self.arrived, self.uploaded),
            queue=_ms(self.uploaded, called),
            provider=_ms(called, edited or end),
            store=_ms(edited, end),
            total=_ms(self.arrived, end),
        )

    def note(self) -> None:
        """Put what is known into the log line."""
        stages = self.stages()
        self.line.update(
            event="shot",
            slot=self.slot.id,
            source=self.source,
            job_id=str(self.job_id) if self.is_authenticated else None,
            provider=self.provider,
            bytes=self.progress.bytes,
            upload_ms=stages.upload,
            queue_ms=stages.queue,
            provider_ms=stages.provider,
            store_ms=stages.store,
            attempts=len(self.attempts),
        )


@dataclass(frozen=True, slots=True)
class ShotResult:
    """A shot's picture in memory, the job it belongs to and how it came about: `kept` is None when
    it could not be stored, `provider` None when it was made by an earlier request. The public may
    see it when `is_public`."""

    job_id: UUID
    data: bytes
    mime: str
    width: int
    height: int
    kept: KeptFile | None
    stages: Stages
    provider: str | None
    is_public: bool


def arrive(
    slot: IngestSlot, source: str, arrived: float, address: str, line: MutableMapping[str, Any]
) -> Shot:
    """A new shot whose window opened at `arrived` (loop time)."""
    created_at = datetime.now(UTC) - timedelta(seconds=now() - arrived)
    return Shot(slot, source, address, arrived, created_at, line)


def now() -> float:
    """Loop time."""
    return asyncio.get_running_loop().time()


def _ms(start: float | None, end: float | None) -> int | None:
    return None if start is None or end is None else round((end - start) * 1000)
