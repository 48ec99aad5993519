"""Providers API: what they can do, for whoever draws a form, and how they stand."""

from collections.abc import Sequence
from dataclasses import asdict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service.http import json_body
from service.monitoring.provider_health import ModelHealth
from service.providers import registry
from service.providers.base import Operation, Provider
from service.queries import breakers
from service.queries.breakers import Breaker
from service.state import State


async def list_providers(request: Request[State]) -> Response:
    """`GET /api/providers`: operations with the JSON Schema of their settings and the roles of
    their templates, accepted picture types, where the key comes from, how the models went lately
    and how those stand that are ordered now."""
    known = await breakers.all(request.state["db"])
    standings = request.state["checks"].providers.peek()
    sources = request.state["provider_keys"].sources()
    return json_body.answer(
        {
            "providers": [
                _as_json(
                    provider,
                    sources[name],
                    [b for b in known if b.provider == name],
                    [_health_as_json(one) for one in standings if one.provider == name],
                )
                for name, provider in sorted(registry.REGISTRY.items())
            ]
        }
    )


def _as_json(
    provider: Provider,
    key_source: str | None,
    breakers: Sequence[Breaker],
    standings: Sequence[dict[str, object]],
) -> dict[str, object]:
    return {
        "name": provider.name,
        "configured": key_source is not None,
        "key_source": key_source,
        "accepts": sorted(provider.accepts),
        "operations": [_operation_as_json(name, one) for name, one in provider.operations.items()],
        "models": [_model_as_json(breaker) for breaker in breakers],
        "standings": standings,
    }


def _model_as_json(breaker: Breaker) -> dict[str, object]:
    """A model that was called: `working`, `failing` lately, or `skipped` until `probe_at`."""
    state = "skipped" if breaker.opened_at else "failing" if breaker.failures else "working"
    fields = asdict(breaker) | {"state": state}
    del fields["provider"]
    return fields


def _health_as_json(standing: ModelHealth) -> dict[str, object]:
    """How a model that an active slot orders stands, by its last call or ping."""
    fields = asdict(standing) | {"ends_soon": standing.ends_soon}
    del fields["provider"]
    return fields


def _operation_as_json(name: str, operation: Operation) -> dict[str, object]:
    return {
        "name": name,
        "settings_schema": msgspec.json.schema(operation.settings),
        "required_roles": operation.roles,
        "optional_roles": operation.optional_roles,
        "max_templates": operation.max_templates,
    }
