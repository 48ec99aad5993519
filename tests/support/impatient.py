"""The service as it is, but with little patience for devices that are slow.

`tests/unit/test_patience.py` holds the patience that is shipped."""

from service.__main__ import main
from service.http import protocol
from service.shots import picture_response, shot

HEAD_SECONDS = 1.5
SEND_SECONDS = 5.0
LINGER_SILENCE_SECONDS = 1.0
LINGER_SECONDS = 4.0
# What is left to an upload of the shortest window, 10 s.
UPLOAD_SECONDS = 1.5


def hurry() -> None:
    """Cut the patience of this process short."""
    protocol.HEAD_SECONDS = HEAD_SECONDS
    protocol.SEND_SECONDS = SEND_SECONDS
    protocol.LINGER_SILENCE_SECONDS = LINGER_SILENCE_SECONDS
    protocol.LINGER_SECONDS = LINGER_SECONDS
    picture_response.SEND_TOTAL_SECONDS = SEND_SECONDS
    shot.MIN_ATTEMPT_SECONDS = 10 - shot.RESERVE_SECONDS - UPLOAD_SECONDS


if __name__ == "__main__":
    hurry()
    main()
