"""Where the program begins: `latchkey`, or `python -m bot`."""

import gc


def main() -> None:
    # Most of the program is loaded here, and stays: to look for garbage in it takes a tenth of the
    # start.
    gc.disable()
    from bot import cli

    gc.freeze()
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
