"""Opens the pages of the built site in headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from demo_site.checks import Checks
from demo_site.demo import Demo, DemoError
from demo_site.serve import serving
from tests.chromium import FLAGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def check_site(site: Path, demos: Sequence[Demo], console: Console) -> None:
    """Check every demo's page in `site` and print what was found.

    Raises:
        DemoError: there is no Chromium, a page does not get ready, or a check failed.
    """
    checks = Checks()
    with serving(site) as address, chromium() as browser:
        for demo in demos:
            demo.check(browser, f"{address}{demo.name}/", site, checks)
    checks.show(console)
    if not checks.rows:
        raise DemoError("nothing was checked")
    if checks.failed:
        raise DemoError("\n".join(checks.failed))


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium. Raises DemoError where there is none."""
    from playwright.sync_api import Error, sync_playwright

    program = shutil.which("chromium")
    if program is None:
        raise DemoError("chromium is not on PATH: apt-get install chromium, or leave out the check")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS])
        except Error as error:
            raise DemoError(f"Chromium does not start: {error.message}") from error
        try:
            yield browser
        except Error as error:
            raise DemoError(f"the page does not do what the check asks: {error.message}") from error
        finally:
            browser.close()
