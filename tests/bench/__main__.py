"""Measures what must not become slow or large; a table, and exit code 1 when a figure is not met."""

import argparse
import signal
import sys
import time

import ingest
from figures import table
from stage import open_stage


def main() -> int:
    """Run one measurement; gives the exit code."""
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("what", choices=["ingest"], help="the way of one shot")
    parser.add_argument("--quick", action="store_true", help="fewer shots, rougher figures")
    asked = parser.parse_args()
    # A termination ends everything like Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    started = time.monotonic()
    figures = []
    with open_stage() as stage:
        for figure in ingest.measure(stage, ingest.QUICK if asked.quick else ingest.FULL):
            figures.append(figure)
            print(f"{time.monotonic() - started:4.0f} s  {figure.name}", file=sys.stderr)
    print(table(figures))
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
