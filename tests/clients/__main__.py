"""Posts a shot with every HTTP client that Debian, PyPI and npm have, directly and through proxies,
and writes spec/clients.md. Exit code 1 when something is wrong, 2 when a client cannot be had."""

import argparse
import signal
import sys

from clients.catalog import CLIENTS, REFUSAL, SHOT, WAYS
from clients.page import PAGE, listed, page, table


def main() -> int:
    """Run what was asked for; gives the exit code."""
    parser = argparse.ArgumentParser(prog="bin/clients", description=__doc__)
    parser.add_argument("--list", action="store_true", help="only say what would be tried")
    parser.add_argument(
        "--client",
        action="append",
        choices=[one.name for one in CLIENTS],
        metavar="NAME",
        help="only this one (repeatable); the page is left alone",
    )
    parser.add_argument("--way", action="append", choices=WAYS, help="only this one (repeatable)")
    parser.add_argument("--upgrade", action="store_true", help="bring the newest of PyPI and npm")
    asked = parser.parse_args()
    if asked.list:
        print(listed())
        return 0
    # Here, because --list has to work where nothing is installed.
    from clients.installing import CannotInstall, say
    from clients.running import run

    # A termination ends everything in order, as Ctrl-C does, also where a shell has it ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    clients = [one for one in CLIENTS if not asked.client or one.name in asked.client]
    ways = [way for way in WAYS if not asked.way or way in asked.way]
    try:
        results = run(clients, ways, upgrade=asked.upgrade)
    except CannotInstall as error:
        say(str(error))
        return 2
    for title in (SHOT, REFUSAL):
        print(f"{title}\n\n{table(results, title)}")
    for fault in results.faults:
        print(f"wrong: {fault}")
    if not asked.client and not asked.way:
        PAGE.write_text(page(results))
    return 1 if results.faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
