"""Slot fields: what an admin may write into a slot, checked as a whole.

Every fault is found at once and named by its path, such as `fallback.settings.prompt`.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from uuid import UUID

import msgspec

from service.errors import InvalidFields
from service.faults import Fault
from service.password_rules import MIN_PASSWORD, is_common
from service.providers import registry
from service.providers.base import Operation
from service.queries import templates
from service.queries.slots import Slot
from service.storage.database import Runner

# A smaller one is no photo; 0 leaves it as it is.
MIN_SIDE, MAX_SIDE = 256, 8192
UNSET = msgspec.UNSET

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Megabytes = Annotated[int, msgspec.Meta(ge=1, le=2048)]
InFlight = Annotated[int, msgspec.Meta(ge=1, le=1000)]
DailyLimit = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Window = Annotated[int, msgspec.Meta(ge=10, le=60)]
MaxSide = Annotated[int, msgspec.Meta(ge=0, le=MAX_SIDE)]
# What a header cannot carry is in no ingest password: white space around it, control characters
# (RFC 9110, 5.5). NUL has a fault of its own.
CARRIED_BY_A_HEADER = r"^(?!\s)[^\x01-\x1f\x7f]*(?<!\s)\Z"
Password = Annotated[
    str,
    msgspec.Meta(min_length=MIN_PASSWORD, max_length=200, pattern=CARRIED_BY_A_HEADER),
]


class TemplateFields(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A template image in its role."""

    role: str
    media_id: UUID


class PlanFields(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A complete order: whom to ask, for what, how. A slot has one, and one as its fallback."""

    provider: str
    operation: str
    settings: dict[str, Any] = {}
    templates: list[TemplateFields] = []


class SlotChange(msgspec.Struct, forbid_unknown_fields=True):
    """A change of a slot: what is left out stays as it is. What a read gives may be sent back
    whole; `id`, `updated_at`, `updated_by`, `has_ingest_password` and `health` are not taken from
    it."""

    version: int
    name: Name | msgspec.UnsetType = UNSET
    provider: str | msgspec.UnsetType = UNSET
    operation: str | msgspec.UnsetType = UNSET
    settings: dict[str, Any] | msgspec.UnsetType = UNSET
    templates: list[TemplateFields] | msgspec.UnsetType = UNSET
    fallback: PlanFields | None | msgspec.UnsetType = UNSET
    output: dict[str, Any] | msgspec.UnsetType = UNSET
    is_active: bool | msgspec.UnsetType = UNSET
    size_limit_mb: Megabytes | msgspec.UnsetType = UNSET
    max_in_flight: InFlight | msgspec.UnsetType = UNSET
    daily_limit: DailyLimit | None | msgspec.UnsetType = UNSET
    sync_response_seconds: Window | None | msgspec.UnsetType = UNSET
    max_side_px: MaxSide | msgspec.UnsetType = UNSET
    ingest_password: Password | msgspec.UnsetType = UNSET
    id: str | msgspec.UnsetType = UNSET
    updated_at: Any = UNSET
    updated_by: Any = UNSET
    has_ingest_password: Any = UNSET
    health: Any = UNSET


class TestChange(msgspec.Struct, forbid_unknown_fields=True):
    """Unsaved settings of a test shot: what is left out is the slot's."""

    __test__ = False

    provider: str | msgspec.UnsetType = UNSET
    operation: str | msgspec.UnsetType = UNSET
    settings: dict[str, Any] | msgspec.UnsetType = UNSET
    templates: list[TemplateFields] | msgspec.UnsetType = UNSET
    fallback: PlanFields | None | msgspec.UnsetType = UNSET
    output: dict[str, Any] | msgspec.UnsetType = UNSET
    sync_response_seconds: Window | None | msgspec.UnsetType = UNSET
    max_side_px: MaxSide | msgspec.UnsetType = UNSET


WRITABLE = (
    *("name", "provider", "operation", "settings", "templates", "fallback", "output", "is_active"),
    *("size_limit_mb", "max_in_flight", "daily_limit", "sync_response_seconds", "max_side_px"),
)


class NoOutput(msgspec.Struct, forbid_unknown_fields=True):
    """What a slot may say of its output: nothing yet."""


def check_password(password: str) -> None:
    """Raises `InvalidFields` for a new ingest password that is guessed first."""
    if is_common(password):
        raise InvalidFields([Fault.of("ingest_password", "common_password")])


def merged(current: Mapping[str, Any], change: SlotChange | TestChange) -> dict[str, Any]:
    """The writable fields after a change, as plain values."""
    given = {
        name: msgspec.to_builtins(value)
        for name in change.__struct_fields__
        if name in WRITABLE and (value := getattr(change, name)) is not UNSET
    }
    return {name: current[name] for name in WRITABLE if name in current} | given


def writable(slot: Slot) -> dict[str, Any]:
    """A slot's writable fields."""
    return {name: getattr(slot, name) for name in WRITABLE}


async def check(db: Runner, fields: Mapping[str, Any]) -> None:
    """Check a slot's fields together. Raises `InvalidFields` with every fault."""
    errors = _plan_errors(fields, "")
    if fallback := fields["fallback"]:
        errors += _plan_errors(fallback, "fallback.")
    if 0 < fields["max_side_px"] < MIN_SIDE:
        errors.append(Fault.of("max_side_px", "side_too_short", minimum=MIN_SIDE, maximum=MAX_SIDE))
    errors += _struct_errors(fields["output"], NoOutput, "output")
    errors += await _missing_templates(db, fields)
    if errors:
        raise InvalidFields(errors)


def _plan_errors(plan: Mapping[str, Any], prefix: str) -> list[Fault]:
    driver = registry.REGISTRY.get(plan["provider"])
    if driver is None:
        known = tuple(sorted(registry.REGISTRY))
        return [Fault.of(f"{prefix}provider", "unknown_provider", known=known)]
    operation = driver.operations.get(plan["operation"])
    if operation is None:
        known, path = tuple(sorted(driver.operations)), f"{prefix}operation"
        return [Fault.of(path, "unknown_operation", provider=driver.name, known=known)]
    errors = _struct_errors(plan["settings"], operation.settings, f"{prefix}settings")
    if not errors:
        settings = msgspec.convert(plan["settings"], operation.settings)
        faults = driver.check(settings, 1 + len(plan["templates"]))
        errors = [fault.under(prefix) for fault in faults]
    return errors + _role_errors(plan["templates"], operation, f"{prefix}templates")


def _role_errors(templates: list[dict[str, Any]], operation: Operation, path: str) -> list[Fault]:
    roles = [template["role"] for template in templates]
    errors = [
        _unknown_role(operation, f"{path}[{index}].role")
        for index, role in enumerate(roles)
        if role not in operation.roles and role not in operation.optional_roles
    ]
    for role in operation.roles:
        if role not in roles:
            errors.append(Fault.of(path, "role_missing", role=role))
    if len(templates) > operation.max_templates:
        errors.append(Fault.of(path, "too_many_templates", maximum=operation.max_templates))
    return errors


def _unknown_role(operation: Operation, path: str) -> Fault:
    known = (*operation.roles, *operation.optional_roles)
    return Fault.of(path, "unknown_role", known=known) if known else Fault.of(path, "no_roles")


def _struct_errors(value: Mapping[str, Any], kind: type[msgspec.Struct], path: str) -> list[Fault]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return [Fault.read(error, path)]
    return []


async def _missing_templates(db: Runner, fields: Mapping[str, Any]) -> list[Fault]:
    used = list(_uses(fields))
    known = {found.id for found in await templates.by_ids(db, [UUID(i) for _, i in used])}
    return [
        Fault.of(f"{path}.media_id", "unknown_template")
        for path, media_id in used
        if UUID(media_id) not in known
    ]


def _uses(fields: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for prefix, plan in (("", fields), ("fallback.", fields["fallback"] or {})):
        for index, template in enumerate(plan.get("templates", [])):
            yield f"{prefix}templates[{index}]", str(template["media_id"])
