"""Promised times as they are shipped: the tests that wait for them have them shortened."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from service.http import protocol
from service.providers import attempts
from service.queries.slots import IngestSlot
from service.shots import picture_response, shot


def test_a_slow_client_has_the_time_that_is_promised() -> None:
    assert protocol.HEAD_SECONDS == 10
    assert protocol.SEND_SECONDS == 60
    assert (protocol.LINGER_SILENCE_SECONDS, protocol.LINGER_SECONDS) == (5, 60)
    assert picture_response.SEND_TOTAL_SECONDS == 60


@pytest.mark.anyio
@pytest.mark.parametrize(("window", "upload"), [(10, 4), (48, 42), (60, 54)])
async def test_an_upload_leaves_the_provider_its_least_time_and_the_answer_a_second(
    window: int, upload: int
) -> None:
    slot = cast(IngestSlot, SimpleNamespace(sync_response_seconds=window))
    arrived = asyncio.get_running_loop().time()
    one = shot.arrive(slot, "device", arrived, "192.0.2.1", {})

    assert attempts.MIN_ATTEMPT_SECONDS == 5
    assert one.upload_by - arrived == pytest.approx(upload)
    assert one.answer_by - arrived == pytest.approx(window - 1)
