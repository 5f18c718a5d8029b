"""Fixtures for the conftest.py of every folder that opens pages: the built package, and Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chromium import FLAGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[2]
JS = ROOT / "js_bindings"


@pytest.fixture(scope="session")
def package() -> Path:
    """The built package."""
    return built()


def built() -> Path:
    """js_bindings/dist, built anew where a source is newer."""
    made = JS / "dist" / "pyruntime.js"
    sources = [*JS.glob("src/*.ts"), JS / "build.ts", JS / "package.json"]
    if not made.exists() or made.stat().st_mtime < max(s.stat().st_mtime for s in sources):
        npm = shutil.which("npm")
        assert npm, "npm comes with the development set-up"
        subprocess.run([npm, "run", "--silent", "build"], cwd=JS, check=True, capture_output=True)
    return made.parent


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium with WebGPU in software."""
    with launched(chromium) as running:
        yield running


@contextmanager
def launched(chromium: str) -> Iterator[Browser]:
    """This Chromium, headless, until the context ends."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = [*FLAGS, *os.environ.get("CHROMIUM_FLAGS", "").split()]
        running = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield running
        running.close()
