"""Settings API: what admins may change for all slots while the service runs. Secrets go in
and never come out."""

from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service.admin.slot_fields import UNSET, InFlight, Password, Window, check_password
from service.crypto import hash_password
from service.errors import InvalidFields, VersionConflict
from service.faults import Fault
from service.http import guards, json_body
from service.queries import audit, breakers, settings, slots
from service.queries.settings import Setting
from service.state import State
from service.storage.database import Transaction
from service.threads import in_thread

ApiKey = Annotated[str, msgspec.Meta(max_length=500, pattern=r"^[\x21-\x7e]*$")]
Hours = Annotated[int, msgspec.Meta(ge=1, le=24 * 365)]

PLAIN = ("sync_response_seconds", "result_ttl_hours", "provider_max_in_flight")
PASSWORD = "ingest_password"
KEYS = "provider_keys"


class SettingsChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    version: int
    sync_response_seconds: Window | msgspec.UnsetType = UNSET
    result_ttl_hours: Hours | msgspec.UnsetType = UNSET
    provider_max_in_flight: dict[str, InFlight] | msgspec.UnsetType = UNSET
    ingest_password: Password | msgspec.UnsetType = UNSET
    provider_keys: dict[str, ApiKey] | msgspec.UnsetType = UNSET


async def show(request: Request[State]) -> Response:
    """`GET /api/settings`."""
    db = request.state["db"]
    shown = _as_json(request, await settings.all(db))
    every = await slots.all(db)
    shown["ingest_password_set"] = all(slot.has_ingest_password for slot in every)
    return json_body.answer(shown)


async def change(request: Request[State]) -> Response:
    """`PUT /api/settings`: in force at once, in every process. A new ingest password replaces every
    slot's; a provider key goes into its file, an empty one gives way to the environment's."""
    state = request.state
    given = await json_body.read_json(request, SettingsChange)
    _check_providers(request, given)
    password_hash = None
    if given.ingest_password is not UNSET:
        check_password(given.ingest_password)
        pool = state["threads"].sign_ins
        password_hash = await in_thread(pool, hash_password, given.ingest_password)
    async with state["db"].transaction() as transaction:
        await settings.lock(transaction)
        before = await settings.all(transaction)
        if given.version != _version(before):
            raise VersionConflict(_version(before))
        await _write(request, transaction, given, password_hash, before)
        # Last inside the transaction: if the file cannot be written, nothing has changed.
        if given.provider_keys is not UNSET:
            await in_thread(state["threads"].disk, state["provider_keys"].set, given.provider_keys)
    return await show(request)


def _check_providers(request: Request[State], given: SettingsChange) -> None:
    known = tuple(request.state["config"].providers)
    named: dict[str, Any] = {"provider_max_in_flight": given.provider_max_in_flight}
    named["provider_keys"] = given.provider_keys
    errors = [
        Fault.of(f"{field}.{name}", "unknown_provider", known=known)
        for field, values in named.items()
        if values is not UNSET
        for name in values
        if name not in known
    ]
    if errors:
        raise InvalidFields(errors)


async def _write(
    request: Request[State],
    transaction: Transaction,
    given: SettingsChange,
    password_hash: str | None,
    before: list[Setting],
) -> None:
    admin = guards.admin(request)
    old = {setting.key: setting.value for setting in before}
    new: dict[str, Any] = {
        key: value for key in PLAIN if (value := getattr(given, key)) is not UNSET
    }
    if isinstance(new.get("provider_max_in_flight"), dict):
        new["provider_max_in_flight"] = {
            **old.get("provider_max_in_flight", {}),
            **new["provider_max_in_flight"],
        }
    if password_hash is not None:
        await slots.set_every_ingest_password(transaction, password_hash)
        new[PASSWORD] = {"set": True}
    if given.provider_keys is not UNSET:
        new[KEYS] = sorted({*old.get(KEYS, []), *given.provider_keys})
        await breakers.forget(transaction, list(given.provider_keys))
    for key, value in new.items():
        await settings.put(transaction, key, value, admin)
    details = {"changed": sorted(new)}
    address = guards.address(request)
    await audit.add(transaction, admin, address, "settings.change", "settings", details)


def _as_json(request: Request[State], found: list[Setting]) -> dict[str, Any]:
    state = request.state
    values = {setting.key: setting.value for setting in found}
    who = {
        setting.key: {"updated_at": setting.updated_at, "updated_by": setting.updated_by}
        for setting in found
    }
    return {
        "version": _version(found),
        "sync_response_seconds": values["sync_response_seconds"],
        "result_ttl_hours": values.get("result_ttl_hours", state["config"].result_ttl_hours),
        "provider_max_in_flight": values.get("provider_max_in_flight", {}),
        "provider_keys": state["provider_keys"].sources(),
        "changes": who,
    }


def _version(found: list[Setting]) -> int:
    """Grows with every change of any setting."""
    return sum(setting.version for setting in found)
