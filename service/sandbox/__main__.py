"""`python -m service.sandbox --host 127.0.0.1 --port 8001`."""

import argparse

from service.sandbox.app import create_app
from service.sandbox.server import run
from service.sandbox.state import DEFAULT_KEY


def main() -> None:
    """Serve until a signal ends it; port 0 takes a free one and the start line names it."""
    parser = argparse.ArgumentParser(prog="python -m service.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--key", default=DEFAULT_KEY, help="the API key every provider accepts")
    parser.add_argument(
        "--latency-s", type=float, default=0.0, help="until the dials say otherwise"
    )
    asked = parser.parse_args()
    run(create_app(key=asked.key, latency_s=asked.latency_s), asked.host, asked.port)


if __name__ == "__main__":
    main()
