"""What a demo is to the site: a folder that it builds, and a page there that it checks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.console import Console

from demo_site.checks import Checks

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RUNTIME = {  # the JavaScript runtime's files that a page loads, by device; rare ones are loaded on demand
    "webgpu": ("pyruntime.js", "lasting.js"),
    "wasm": ("pyruntime.js", "worker.js"),
}


class DemoError(RuntimeError):
    """The demo cannot be built, or does not do what it should; the message says what to do."""


class UnavailableError(DemoError):
    """What the demo is made from cannot be had here: the site goes without it."""


class Demo(Protocol):
    """A page and the models behind it."""

    name: str
    """Its folder in the site."""

    title: str
    """What the pages call it when they link it."""

    card: Path
    """HTML of the link to it on the front page."""

    def build(self, site: Path, console: Console) -> None:
        """Write the folder `site / name`. Raises UnavailableError, DemoError or PyRuntimeError."""

    def check(self, browser: Browser, address: str, site: Path, checks: Checks) -> None:
        """Use the page, served at `address`, as a visitor would."""
