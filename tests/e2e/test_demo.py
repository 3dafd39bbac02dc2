"""What `make demo` plays."""

import io
import re

from rich.console import Console

from bot.sandbox import demo


def test_the_demo_plays_to_its_end_and_what_it_shows_is_so():
    """It said that nobody would approve, and showed the old end beside the new one."""
    out = io.StringIO()

    status = demo.play(Console(file=out, width=200))

    said = out.getvalue()
    assert status == 0, said
    assert "All of it was seen" in said
    assert "(Database administrators)" in said
    extension = said[said.index("8. The extension") : said.index("9. The end")]
    (shown,) = re.findall(r"[Uu]ntil .* at (\d\d:\d\d) ", extension)
    assert f"is active until {shown}:" in extension
