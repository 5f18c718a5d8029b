"""The documentation's site: it builds without a warning, no link is dead, nothing comes from elsewhere."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

import pytest

import pyruntime
from docs_site.sources import ROOT, pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WIDTH, HEIGHT = 390, 844  # of a phone
LOADED = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src"}


@pytest.fixture(scope="module")
def site(package: Path, npm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    del package, npm  # the types that the reference is made from, and what makes it
    pytest.importorskip("furo", reason="not installed: make setup")
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "docs_site.main", "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Page(HTMLParser):
    """The names that links may end in, the links, and the addresses of what the page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each element."""
        found = {key: value for key, value in attrs if value is not None}
        self.names |= {found[key] for key in ("id", "name") if key in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if (key := LOADED.get(tag)) and key in found:
            self.loaded.append(found[key])


@pytest.fixture(scope="module")
def read(site: Path) -> dict[Path, Page]:
    """Every page of the site."""
    return {file: Page(file.read_text()) for file in site.rglob("*.html")}


def test_every_page_is_there(site: Path) -> None:
    missing = [page for page in pages().values() if not (site / page).with_suffix(".html").exists()]
    assert missing == []
    for made in ("python", "javascript", "commands"):
        assert (site / "reference" / f"{made}.html").exists()


def test_the_reference_is_whole(site: Path, read: dict[Path, Page]) -> None:
    names = {f"pyruntime.{name}" for name in pyruntime.__all__} - {"pyruntime.__version__"}
    assert names <= read[site / "reference" / "python.html"].names


def test_no_link_is_dead(read: dict[Path, Page]) -> None:
    dead = []
    for file, page in read.items():
        for link in page.links:
            there = urlsplit(urljoin(file.as_uri(), link))
            if there.scheme != "file":
                continue
            target = Path(unquote(there.path))
            name = unquote(there.fragment)
            if not target.is_file() or (name and target in read and name not in read[target].names):
                dead.append(f"{file.name}: {link}")
    assert dead == []


def test_nothing_comes_from_elsewhere(read: dict[Path, Page]) -> None:
    assert [u for page in read.values() for u in page.loaded if urlsplit(u).scheme not in ("", "data")] == []


@pytest.mark.browser
def test_on_a_phone(site: Path, browser: Browser) -> None:
    """No page is wider than the screen, asks for anything elsewhere, or has an error."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request", lambda asked: None if asked.url.startswith(("file:", "data:")) else wrong.append(asked.url)
    )
    for file in sorted(site.rglob("*.html")):
        page.goto(file.as_uri())
        if page.evaluate("document.documentElement.scrollWidth") > WIDTH:
            wrong.append(f"{file.name} is wider")
    context.close()
    assert wrong == []
