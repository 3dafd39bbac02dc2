"""Where the program begins: `latchkey`, or `python -m bot`."""

import gc

from bot import memory


def main() -> None:
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
