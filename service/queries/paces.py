"""Pace of the calls to a provider that limits how often it is called."""

from service.crypto import Digest
from service.storage.database import Database


async def take(db: Database, subject: Digest, pace: float) -> float:
    """Take the next free moment of `subject`, `pace` seconds behind the last one that was taken in
    any process; the seconds until then."""
    seconds: float = await db.value("pace_take", subject, pace)
    return seconds
