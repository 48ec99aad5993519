"""Accounts: admins and provider keys as the files under SECRETS_DIR have them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from service.config import ProviderAccount
from service.crypto import hash_password
from service.storage.secret_file import Content, SecretFile

ADMINS_FILE = "runtime_credentials.json"
KEYS_FILE = "provider_keys.json"


@dataclass(frozen=True, slots=True)
class Account:
    """One admin. Sessions begun before `changed_at` (Unix seconds) have ended."""

    username: str
    password_hash: str
    changed_at: float


class Admins:
    """The admins' accounts: `runtime_credentials.json`."""

    def __init__(self, secrets_dir: Path) -> None:
        self._file = SecretFile(secrets_dir / ADMINS_FILE)

    def find(self, username: str) -> Account | None:
        """The account of that name, or None. Raises `StorageError`."""
        entry = self._file.read().get("admins", {}).get(username)
        return Account(username, entry["password_hash"], entry["changed_at"]) if entry else None

    def names(self) -> list[str]:
        """Every admin's name."""
        return sorted(self._file.read().get("admins", {}))

    def set_password(self, username: str, password: str) -> None:
        """Make an account, or change its password and end its sessions."""
        entry = {"password_hash": hash_password(password), "changed_at": time.time()}
        self._file.change(lambda known: _with_admins(known, {username: entry}))

    def remove(self, username: str) -> None:
        """Remove an account and end its sessions."""
        self._file.change(lambda known: _with_admins(known, {username: None}))


def _with_admins(known: Content, changes: Mapping[str, Any]) -> Content:
    admins = {**known.get("admins", {}), **changes}
    return {**known, "admins": {name: entry for name, entry in admins.items() if entry}}


class ProviderKeys:
    """Keys admins set while the service runs; they win over the environment's."""

    def __init__(self, secrets_dir: Path, accounts: Mapping[str, ProviderAccount]) -> None:
        self._file = SecretFile(secrets_dir / KEYS_FILE)
        self._accounts = accounts

    def accounts(self) -> dict[str, ProviderAccount]:
        """Every provider's account with the key in force. Raises `StorageError`."""
        keys = self._file.read()
        return {
            name: replace(account, api_key=keys.get(name) or account.api_key)
            for name, account in self._accounts.items()
        }

    def sources(self) -> dict[str, str | None]:
        """Where each provider's key comes from: `settings`, `environment` or None for no key."""
        keys = self._file.read()
        return {
            name: "settings" if keys.get(name) else "environment" if account.api_key else None
            for name, account in self._accounts.items()
        }

    def set(self, keys: Mapping[str, str]) -> None:
        """Set keys by provider; an empty one gives way to the environment's."""
        self._file.change(lambda known: {k: v for k, v in {**known, **keys}.items() if v})
