"""Admin accounts, by hand: they live as hashes in SECRETS_DIR, never in the database.

Passwords are asked for, never taken from the command line, where other users of the machine could
read them; when standard input is not a terminal they are read from it, a line each. What is changed
holds at once in every running process. Exit codes: 0 done, 1 not done, 2 wrong use.
"""

import argparse
import asyncio
import getpass
import re
import sys

from service.config import (
    ConfigError,
    database_url_from_environment,
    secrets_dir_from_environment,
)
from service.crypto import hash_password
from service.errors import PhotoslotError
from service.logs import printable
from service.password_rules import MIN_PASSWORD, is_common
from service.queries import audit, settings, slots
from service.storage.accounts import Admins
from service.storage.database import open_database

USERNAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,99}$")


class Refused(Exception):
    """Nothing has changed; the message says why."""


def main(arguments: list[str]) -> int:
    """Run one command; gives the exit code."""
    asked = _parse(arguments)
    try:
        if asked.command == "ingest-password":
            asyncio.run(_set_ingest_password(database_url_from_environment()))
        else:
            _run(asked, Admins(secrets_dir_from_environment()))
    except ConfigError as error:
        return _complain(str(error), 2)
    except Refused as error:
        return _complain(str(error), 1)
    except PhotoslotError as error:
        return _complain(f"{error.details} {error.private or ''}", 1)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/admin", description="The admins' accounts.")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for command, help_text in {
        "add": "make an account; asks for its password",
        "password": "change a password; ends that admin's sessions",
        "remove": "remove an account; ends its sessions",
    }.items():
        commands.add_parser(command, help=help_text).add_argument("username")
    commands.add_parser("list", help="name every admin")
    commands.add_parser("ingest-password", help="set the cameras' password on every slot")
    return parser.parse_args(arguments)


def _run(asked: argparse.Namespace, admins: Admins) -> None:
    if asked.command == "list":
        print(printable("\n".join(admins.names())) or "there are no admins yet: bin/admin add NAME")
        return
    _check_name(asked, admins)
    if asked.command == "remove":
        admins.remove(asked.username)
        print(f"removed {asked.username}")
        return
    admins.set_password(asked.username, _ask_password())
    print(f"{'added' if asked.command == 'add' else 'changed'} {asked.username}")


def _check_name(asked: argparse.Namespace, admins: Admins) -> None:
    if not USERNAME.fullmatch(asked.username):
        raise Refused("a name is lower-case letters, digits and . _ - (at most 100)")
    exists = admins.find(asked.username) is not None
    if asked.command == "add" and exists:
        raise Refused(f"{asked.username} exists already: bin/admin password {asked.username}")
    if asked.command != "add" and not exists:
        raise Refused(f"there is no {asked.username}: bin/admin list")


async def _set_ingest_password(url: str) -> None:
    password = _ask_password()
    if password != password.strip() or not password.isprintable():
        raise Refused("no header can carry control characters, or white space around a password")
    password_hash = hash_password(password)
    async with open_database(url, size=1) as db:
        changed = await slots.set_every_ingest_password(db, password_hash)
        await settings.put(db, "ingest_password", {"set": True}, "bin/admin")
        details = {"changed": ["ingest_password"]}
        await audit.add(db, "bin/admin", "console", "settings.change", "settings", details)
    print(f"set on {changed} slots")


def _ask_password() -> str:
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != password:
            raise Refused("the two passwords differ")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if len(password) < MIN_PASSWORD:
        raise Refused(f"a password has at least {MIN_PASSWORD} characters")
    if is_common(password):
        raise Refused("this password is one of the commonest, which are guessed first")
    return password


def _complain(message: str, code: int) -> int:
    print(printable(f"bin/admin: {message.strip()}"), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
