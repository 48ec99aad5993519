"""Ping of a provider on behalf of whoever watches it: within its time, and never an exception."""

import asyncio

import httpx

from service.config import ProviderAccount
from service.errors import ProviderFailure, ProviderUnavailable
from service.providers.base import PingResult, Provider, unexpected


async def ping(
    client: httpx.AsyncClient,
    provider: Provider,
    account: ProviderAccount,
    model: str,
    seconds: float,
) -> PingResult:
    """How the provider stands for this model, asked for `seconds` at most."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await provider.ping(client, account, model)
    except ProviderFailure as failure:
        return PingResult.of(failure)
    except Exception as error:
        if limit.expired():
            return PingResult.of(ProviderUnavailable(private=f"no answer within {seconds:g} s"))
        return PingResult.of(unexpected(provider.name, model, error))
