"""A browser, and windows of the sandbox's page in it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

__all__ = ["chromium", "opened_page", "talked"]

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--font-render-hinting=none",
]
PATIENCE = 60_000  # milliseconds for anything to become visible


@contextmanager
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        yield browser
        browser.close()


def opened_page(browser: Browser, url: str, **context: Any) -> tuple[Page, list[str]]:
    """Open a window of its own; the list gets every error of the page."""
    context.setdefault("viewport", {"width": 1280, "height": 860})
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(url)
    return page, errors


def talked(page: Page) -> str:
    """Return the code of the newest request that this window shows."""
    return re.findall(r"AX-\w{4}", page.locator(".message").last.inner_text())[-1]
