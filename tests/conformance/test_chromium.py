"""A page that crashes costs the test that it was at, and none of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.browser.fixtures import package
from tests.conformance import chromium
from tests.conformance.engine import Verdict
from tests.conformance.packs import Host, Packs, Run, Target
from tests.conformance.suite import cases

__all__ = ["package"]

NAMES = ("test_abs", "test_add", "test_and2d")


@pytest.fixture
def closed() -> Iterator[None]:
    """Ends the browser that judging began in this process."""
    yield
    chromium.close()


@pytest.mark.browser
@pytest.mark.usefixtures("package", "closed")
def test_a_page_that_crashes() -> None:
    @contextmanager
    def crashing(pack: Path, target: Target) -> Iterator[Run]:
        from playwright.sync_api import Error

        with chromium.in_chromium(pack, target) as run:

            def ran(feeds: Mapping[str, Any], entry: str) -> Mapping[str, Any]:
                if entry == "test_add":
                    with suppress(Error):
                        chromium.page().goto("chrome://crash")
                return run(feeds, entry)

            yield ran

    engine = Packs(("wasm-chromium",), [Host("wasm", crashing, ("wasm-chromium",))])
    chosen = [c for c in cases() if c.name in NAMES]
    found = {v.test: v.outcome for v in engine.judge(chosen) if isinstance(v, Verdict)}
    assert {name: outcome.status for name, outcome in found.items()} == {
        "test_abs": "passed",
        "test_add": "failed",
        "test_and2d": "passed",
    }
    assert found["test_add"].reason.startswith("RunError: the page")
