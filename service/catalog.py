"""What the providers can do, for whoever draws a form."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service import bodies, providers
from service.providers.base import Operation, Provider
from service.state import State


async def list_providers(request: Request[State]) -> Response:
    """`GET /api/providers`: operations with the JSON Schema of their settings and the roles of
    their templates, accepted picture types, and where the key comes from."""
    sources = request.state["provider_keys"].sources()
    return bodies.answer(
        {
            "providers": [
                _described(provider, sources[name])
                for name, provider in sorted(providers.REGISTRY.items())
            ]
        }
    )


def _described(provider: Provider, key_source: str | None) -> dict[str, object]:
    return {
        "name": provider.name,
        "configured": key_source is not None,
        "key_source": key_source,
        "accepts": sorted(provider.accepts),
        "operations": [_operation(name, one) for name, one in provider.operations.items()],
    }


def _operation(name: str, operation: Operation) -> dict[str, object]:
    return {
        "name": name,
        "settings_schema": msgspec.json.schema(operation.settings),
        "required_roles": operation.roles,
        "optional_roles": operation.optional_roles,
        "max_templates": operation.max_templates,
    }
