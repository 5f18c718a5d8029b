"""A page opened in a browser for a check, and whatever went wrong there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demo_site.demo import DemoError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

READY = 120_000  # ms; WebGPU in software compiles slowly
DESKTOP, PHONE = {"width": 1180, "height": 800}, {"width": 390, "height": 844}
HANDHELD: dict[str, Any] = {
    "viewport": PHONE,
    "has_touch": True,
    "is_mobile": True,
    "reduced_motion": "reduce",
}


class Visit:
    """An opened page, which is ready; `trouble` has its errors, warnings and failed requests.

    Args:
        browser: where to open it, in a context of its own; or the context.
        address: of the page.
        script: runs before the page's own.
        ready: a selector of what is there when the page is ready.
        context: options of the new context.
    """

    def __init__(
        self,
        browser: Browser | BrowserContext,
        address: str,
        script: str = "",
        ready: str = "html[data-ready]",
        **context: Any,
    ) -> None:
        from playwright.sync_api import Browser

        place = browser.new_context(**context) if isinstance(browser, Browser) else browser
        self.page = place.new_page()
        self.trouble: list[str] = []
        self.requests: list[str] = []
        note = self.trouble.append
        self.page.on("console", lambda m: note(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: note(str(e)))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on("requestfailed", lambda r: note(f"{r.url}: {r.failure}"))
        self.page.on("response", lambda r: note(f"{r.url}: {r.status}") if r.status >= 400 else None)
        if script:
            self.page.add_init_script(script)
        answer = self.page.goto(address)
        self.headers = answer.headers if answer else {}
        self.wait(ready, "the page does not get ready")

    def wait(self, selector: str, failure: str) -> None:
        """Wait until an element is there. Raises DemoError with this failure and the trouble so far."""
        from playwright.sync_api import Error

        try:  # not wait_for_function, whose eval the page's policy forbids
            self.page.wait_for_selector(selector, state="attached", timeout=READY)
        except Error as error:
            raise DemoError(f"{failure}: {'; '.join(self.trouble) or error}") from error

    def close(self) -> None:
        """Close the page and its storage."""
        self.page.context.close()
