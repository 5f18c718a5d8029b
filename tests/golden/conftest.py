"""The golden packs, built once for all tests that run them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.build import write_packs


@pytest.fixture(scope="session")
def golden_packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all golden packs and their cases."""
    folder = tmp_path_factory.mktemp("golden")
    write_packs(folder)
    return folder
