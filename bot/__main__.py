"""Where the program begins: `latchkey`, or `python -m bot`."""

import gc
import io
import os
import signal
import sys

from bot.operations import memory


def main() -> None:
    # Where they are closed Python has none, and the first file that is opened gets their number.
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: PTH123, SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that it has no signs for ended the list
            stream.reconfigure(errors="backslashreplace")
    if sys.argv[1:2] == ["run"]:  # until it is listened to, it would end what is starting
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    memory.share_arenas()
    # Most of the program is loaded here, and stays: to look for garbage in it takes a tenth of the
    # start.
    gc.disable()
    from bot import cli

    gc.freeze()
    gc.enable()
    memory.spare_what_stays()
    cli.main()


if __name__ == "__main__":
    main()
