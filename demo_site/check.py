"""Opens the pages of the built site in headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from demo_site.access import check_access
from demo_site.checks import Checks
from demo_site.demo import Demo, DemoError
from demo_site.serve import serving
from demo_site.visit import DESKTOP, HANDHELD, Visit
from tests.chromium import FLAGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# a microphone that beeps, for pages that ask for one
MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
PICTURES: Mapping[str, Mapping[str, Any]] = {
    "screenshot": {"viewport": DESKTOP, "color_scheme": "light"},
    "screenshot-phone": {**HANDHELD, "color_scheme": "dark"},
}


def check_site(site: Path, demos: Sequence[Demo], console: Console) -> None:
    """Check every demo's page in `site` and print what was found.

    Raises:
        DemoError: there is no Chromium, a page does not get ready, or a check failed.
    """
    checks = Checks()
    with serving(site) as address, chromium() as browser:
        check_front(browser, address, site, demos, checks)
        for demo in demos:
            demo.check(browser, f"{address}{demo.name}/", site, checks)
        check_access(browser, address, demos, checks)
    checks.show(console)
    if not checks.rows:
        raise DemoError("nothing was checked")
    if checks.failed:
        raise DemoError("\n".join(checks.failed))


def check_front(browser: Browser, address: str, site: Path, demos: Sequence[Demo], checks: Checks) -> None:
    """The front page links every demo, and each demo's page links the others; pictures are left in `site`."""
    for name, options in PICTURES.items():
        visit = Visit(browser, address, ready="main a", **options)
        width = visit.page.evaluate("document.documentElement.scrollWidth")
        window = visit.page.evaluate("innerWidth")
        checks.add(f"front page fits: {name}", width <= window, f"{width} of {window} pixels")
        visit.page.screenshot(path=site / f"{name}.png", full_page=True)
        checks.add("no errors or warnings", not visit.trouble, "; ".join(visit.trouble[:3]))
        visit.close()
    visit = Visit(browser, address, ready="main a")
    wanted = [f"{address}{demo.name}/" for demo in demos]
    found = visit.page.locator("main a").evaluate_all("(links) => links.map(({ href }) => href)")
    checks.add("front page links every demo", found == wanted, ", ".join(found))
    for demo in demos:
        visit.page.goto(f"{address}{demo.name}/")
        found = visit.page.locator("nav a").evaluate_all("(links) => links.map(({ href }) => href)")
        checks.add(f"links of {demo.name}", found == [address, *wanted], f"{len(found)} links")
    visit.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium. Raises DemoError where there is none."""
    from playwright.sync_api import Error, sync_playwright

    program = shutil.which("chromium")
    if program is None:
        raise DemoError("chromium is not on PATH: apt-get install chromium, or leave out the check")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS, *MICROPHONE])
        except Error as error:
            raise DemoError(f"Chromium does not start: {error.message}") from error
        try:
            yield browser
        except Error as error:
            raise DemoError(f"the page does not do what the check asks: {error.message}") from error
        finally:
            browser.close()
