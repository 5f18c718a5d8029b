"""Fixtures: packs and a server as for Chromium, and a page in Firefox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyruntime.cli.browsers import find
from pyruntime.errors import DeviceError
from tests.browser.conftest import packs, server
from tests.browser.fixtures import package
from tests.browser.server import Server
from tests.firefox.tab import Tab, firefox
from tests.formats.fixtures import formats

__all__ = ["formats", "package", "packs", "server"]


@pytest.fixture(scope="package")
def tab(server: Server) -> Iterator[Tab]:
    """A page in Firefox."""
    try:
        find("firefox")
    except DeviceError as error:
        pytest.skip(str(error))
    with firefox(server) as opened:
        yield opened
