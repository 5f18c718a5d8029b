"""Visits of the court: each with a fresh profile, heard by what the page posts, and gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from benchmarks.court.hosts import ContestError
from benchmarks.court.visit import POSTED, Visitor
from tests.browser.server import Server, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><script>
const visits = Number(localStorage.visits ?? 0) + 1;
localStorage.visits = visits;
const found = location.hash ? { error: location.hash } : { visits, since_navigation_ms: performance.now() };
fetch("%s", { method: "POST", body: JSON.stringify(found) });
</script>"""


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        running.pages = {"/page.html": PAGE % POSTED}
        yield running


def test_profiles_are_fresh(browser: Browser, server: Server) -> None:
    visitor = Visitor(browser, server)
    targets = browser.new_browser_cdp_session()
    before = targets.send("Target.getBrowserContexts")
    found = [visitor.visit(f"{server.url}/page.html") for _ in range(2)]
    assert [facts["visits"] for facts in found] == [1, 1]
    assert all(0 < facts["since_navigation_ms"] < 60_000 for facts in found)
    assert targets.send("Target.getBrowserContexts") == before


def test_errors(browser: Browser, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = Visitor(browser, server)
    with pytest.raises(ContestError, match="#refused"):
        visitor.visit(f"{server.url}/page.html#refused")
    monkeypatch.setattr("benchmarks.court.visit.PATIENCE", 0.5)
    with pytest.raises(ContestError, match="no answer"):
        visitor.visit(f"{server.url}/missing.html")
