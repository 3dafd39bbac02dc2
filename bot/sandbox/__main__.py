"""`python -m bot.sandbox`: Slack on loopback."""

import argparse
import os
from pathlib import Path

from bot.sandbox.server import PATIENCE_FACTOR, Options, serve


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m bot.sandbox", description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="Slack's app manifest")
    parser.add_argument("--workspace", type=Path, required=True, help="people and channels")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--clock", type=Path, help="file for the product's clock")
    parser.add_argument(
        "--rate-factor", type=float, default=1.0, help="scales rate limit windows; 0: no limits"
    )
    parser.add_argument(
        "--patience-factor",
        type=float,
        default=float(os.environ.get(PATIENCE_FACTOR, "1")),
        help="scales the seconds that Slack gives an app",
    )
    parser.add_argument("--events-url", default="", help="signed HTTP instead of Socket Mode")
    parser.add_argument("--state", type=Path, help="directory in which the workspace is kept")
    return Options(**vars(parser.parse_args()))


if __name__ == "__main__":
    serve(_options())
