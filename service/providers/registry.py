"""Provider registry: the drivers by name, one line here for each, and a slot's plan checked against
them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from service.config import ProviderAccount
from service.errors import NotConfigured
from service.providers import turbotext
from service.providers.base import Plan, Provider, TemplateImage
from service.providers.gemini import driver as gemini
from service.providers.openai import driver as openai

REGISTRY: Mapping[str, Provider] = {
    provider.name: provider for provider in (gemini.PROVIDER, openai.PROVIDER, turbotext.PROVIDER)
}


def plan(
    provider: str,
    operation: str,
    settings: Mapping[str, Any],
    templates: Sequence[TemplateImage],
    accounts: Mapping[str, ProviderAccount],
) -> Plan:
    """Check a slot's plan. Raises `NotConfigured` for one that cannot run."""
    driver = REGISTRY.get(provider)
    if driver is None or operation not in driver.operations:
        raise NotConfigured(
            f"This slot's provider or operation is unknown: {provider} {operation}."
        )
    account = accounts[provider]
    if not account.api_key:
        raise NotConfigured(f"There is no API key for {provider}. An admin has to set it.")
    try:
        typed = msgspec.convert(settings, driver.operations[operation].settings)
    except msgspec.ValidationError as error:
        raise NotConfigured(f"The settings of this slot do not fit {operation}: {error}") from None
    for fault in driver.check(typed, 1 + len(templates)):
        raise NotConfigured(
            f"The settings of this slot do not fit {provider}: {fault.path}: {fault.message}."
        )
    return Plan(driver, account, operation, typed, templates)
