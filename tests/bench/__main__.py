"""Measures what must not become slow or large: one table; exit code 1 when a figure is not met."""

import argparse
import signal
import sys
import time
import traceback
from types import ModuleType

import ingest
import ops
import pages
import providers
import statements
from figures import Figure, table
from stage import open_stage

BENCHES = {
    "ingest": ingest,
    "admin": statements,
    "providers": providers,
    "pages": pages,
    "ops": ops,
}


def main() -> int:
    """Run one bench; gives the exit code."""
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument(
        "what",
        choices=BENCHES,
        help="ingest: the way of one shot; admin: a journal of a million jobs; "
        "providers: what a moody provider leaves; "
        "pages: what a page weighs and how soon it is there; "
        "ops: strangers, cleanup, health and metrics, a killed process",
    )
    parser.add_argument("--quick", action="store_true", help="fewer shots, rougher figures")
    asked = parser.parse_args()
    # A termination ends everything in order, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    figures, failed = measure(BENCHES[asked.what], asked.quick)
    print(table(figures))
    for name in failed:
        print(f"not measured, see above: {name}")
    return 0 if not failed and all(figure.is_met for figure in figures) else 1


def measure(bench: ModuleType, quick: bool) -> tuple[list[Figure], list[str]]:
    """Every figure, and the names of the measurements that failed; one that fails is shown and does
    not keep the others from being made."""
    size = bench.QUICK if quick else bench.FULL
    figures: list[Figure] = []
    failed: list[str] = []
    started = time.monotonic()
    with open_stage() as stage:
        for measurement in bench.MEASUREMENTS:
            name = measurement.__name__
            print(f"{time.monotonic() - started:4.0f} s  {name}", file=sys.stderr, flush=True)
            try:
                figures.extend(measurement(stage, size))
            except Exception:
                traceback.print_exc()
                failed.append(name)
    return figures, failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
