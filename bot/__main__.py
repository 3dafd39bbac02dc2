"""Where the program begins: `latchkey`, or `python -m bot`."""

import gc


def main() -> None:
    # What is loaded here stays: to look for garbage in it meanwhile takes a tenth of a start.
    gc.disable()
    from bot.cli import cli

    gc.freeze()
    gc.enable()
    cli()


if __name__ == "__main__":
    main()
