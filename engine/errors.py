"""What every error of Latchkey's own is. Refusals are none: they are answers (`engine.outcome`)."""

from inspect import cleandoc

__all__ = ["LatchkeyError"]


class LatchkeyError(Exception):
    """Latchkey cannot go on here as it should."""

    def __init__(self, sentence: str = "") -> None:
        """Say what is wrong, and what to do; without words of its own it says its docstring."""
        super().__init__(sentence or cleandoc(type(self).__doc__ or ""))
