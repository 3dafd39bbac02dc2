"""Draws the pictures that the docs show: `python -m tests.screenshots docs/images`."""

import sys
import tempfile
from base64 import b64encode
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from bot.sandbox.house import House
from tests.support.browser import chromium, opened_page, talked

SIZE = {"width": 1180, "height": 790}
PHONE = {"width": 390, "height": 748}
STRIP = """<!doctype html><style>
  body { display: flex; gap: 24px; width: max-content; margin: 0; padding: 24px }
  body { background: #e9edf3; font: 600 17px system-ui, sans-serif; color: #1f3a5f }
  figure { margin: 0 }
  figcaption { padding: 0 4px 12px }
  img { display: block; width: 390px; border-radius: 14px; box-shadow: 0 4px 18px #0003 }
</style>"""


def draw(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="latchkey-pictures-") as name, chromium() as browser:
        home = Path(name)
        home.chmod(0o755)  # PostgreSQL may run as somebody else
        with House(home, keep=True) as house:
            house.bot.start()
            house.sandbox.wait_links(1, timeout=30)
            _Pictures(browser, house.sandbox.url, folder).take()


class _Pictures:
    def __init__(self, browser: Browser, url: str, folder: Path) -> None:
        self._browser = browser
        self._url = url
        self._folder = folder

    def take(self) -> None:
        asks = self._window("marta")
        approves = self._window("priya", color_scheme="dark")
        self._ask(asks, "request")
        expect(asks.locator(".message").last).to_contain_text("Waiting for approval")
        code = talked(asks)
        self._save(approves, "approval-dark")
        self._approve()
        expect(approves.locator(".message").last).to_contain_text("Request approved")
        active = asks.locator(".message").filter(has_text="Access is active").last
        expect(active.get_by_role("button", name="Show credentials")).to_be_visible()
        self._use(asks)
        asks.get_by_role("tab", name="Clock").click()
        for _ in range(3):
            asks.get_by_role("button", name="+5 min", exact=True).click()
        expect(asks.get_by_text("(in 45 min)")).to_be_visible()
        expect(asks.get_by_text(f"{code} · ends")).to_be_visible()
        self._save(asks, "clock")
        self._extend(asks)
        self._talk(asks)

    def _ask(self, page: Page, name: str = "") -> None:
        page.locator(".composer textarea").first.fill("/access request")
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="Request access")
        menu = dialog.get_by_role("combobox", name="What do you need access to?")
        menu.click()
        menu.fill("customers")
        page.get_by_role("option", name="orders/shop/customers").click()
        expect(dialog.get_by_text("Who approves", exact=True)).to_be_visible()
        why = dialog.get_by_label("Why do you need it?")
        why.fill("INC-42: a customer sees somebody else's order")
        if name:
            self._save(page, name)
        dialog.get_by_role("button", name="Request", exact=True).click()
        expect(dialog).to_be_hidden()

    def _approve(self) -> None:
        """Approve on a phone, and draw the three moments of it side by side."""
        approver = self._window("priya", in_="D0PRIYA", viewport=PHONE)
        asked = self._window("marta", in_="D0MARTA", viewport=PHONE)
        expect(approver.get_by_role("button", name="Approve")).to_be_visible()
        frames = [("Priya is asked", self._taken(approver))]
        approver.get_by_role("button", name="Approve").click()
        dialog = approver.get_by_role("dialog", name="Approve access")
        dialog.get_by_label("Reason").fill("Go ahead, and good luck")
        frames.append(("She approves, and says why", self._taken(approver)))
        dialog.get_by_role("button", name="Approve", exact=True).click()
        expect(asked.locator(".message").last).to_contain_text("Access is active")
        frames.append(("Marta has access, for an hour", self._taken(asked)))
        self._strip(frames, "approval")

    def _extend(self, page: Page) -> None:
        """Go to the offer of an extension, on a phone, and take it."""
        asked = self._window("marta", in_="D0MARTA", viewport=PHONE)
        page.get_by_role("button", name="To the offer").click()
        expect(asked.locator(".message").last).to_contain_text("Access ends soon")
        frames = [("The end is announced", self._taken(asked))]
        asked.get_by_role("button", name="Extend").last.click()
        expect(asked.locator(".message").last).to_contain_text("Extended until")
        frames.append(("Marta has extended it", self._taken(asked)))
        self._strip(frames, "extension")

    def _talk(self, page: Page) -> None:
        """Ask whoever made a request, and read the answer, on phones."""
        page.get_by_role("button", name="Close").first.click()
        self._ask(page)
        approver = self._window("priya", in_="D0PRIYA", viewport=PHONE)
        asked = self._window("marta", in_="D0MARTA", viewport=PHONE)
        approver.get_by_role("button", name="Ask a question").last.click()
        dialog = approver.get_by_role("dialog", name="Ask a question")
        dialog.get_by_label("Your question").fill("Which order is it? I can look, too")
        frames = [("Priya asks", self._taken(approver))]
        dialog.get_by_role("button", name="Ask", exact=True).click()
        asked.get_by_role("button", name="Answer question").last.click()
        dialog = asked.get_by_role("dialog", name="Answer")
        dialog.get_by_label("Your answer").fill("4711, and perhaps the two before")
        frames.append(("Marta answers", self._taken(asked)))
        dialog.get_by_role("button", name="Answer", exact=True).click()
        expect(approver.locator(".message").last).to_contain_text("4711")
        frames.append(("Priya reads it on her card", self._taken(approver)))
        self._strip(frames, "question")

    def _strip(self, frames: list[tuple[str, bytes]], name: str) -> None:
        page = self._browser.new_context(viewport={"width": 1300, "height": 900}).new_page()
        figures = (
            f"<figure><figcaption>{caption}</figcaption>"
            f'<img src="data:image/png;base64,{b64encode(picture).decode()}"></figure>'
            for caption, picture in frames
        )
        page.set_content(STRIP + "".join(figures))
        page.locator("body").screenshot(path=self._folder / f"{name}.png")

    def _use(self, page: Page) -> None:
        page.get_by_role("button", name="Show credentials").last.click()
        page.get_by_role("button", name="Use in the sandbox").click()
        page.get_by_role("textbox", name="Query as").fill(
            "select id, name from shop.customers limit 4"
        )
        page.get_by_role("button", name="Run").click()
        expect(page.get_by_text("SELECT 4")).to_be_visible()
        self._save(page, "access")

    def _window(self, who: str, in_: str = "", **context: object) -> Page:
        address = f"{self._url}/?as={who}" + (f"&in={in_}" if in_ else "")
        page, _ = opened_page(self._browser, address, **{"viewport": SIZE, **context})
        expect(page.locator(".head h1")).to_be_attached()
        return page

    def _save(self, page: Page, name: str) -> None:
        (self._folder / f"{name}.png").write_bytes(self._taken(page))

    def _taken(self, page: Page) -> bytes:
        page.evaluate("document.fonts.ready")
        page.mouse.move(0, 0)
        return page.screenshot(animations="disabled", caret="hide")


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
