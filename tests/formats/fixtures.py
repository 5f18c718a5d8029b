"""The committed packs, for the conftest.py of the folders that read them."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ARCHIVES = sorted(HERE.glob("format-*.tar.xz"))


def unpack(path: Path, to: Path) -> None:
    """Write an archive's packs and their cases to a folder."""
    with tarfile.open(path) as archive:
        for member in filter(tarfile.TarInfo.isfile, archive):
            file, content = to / member.name, archive.extractfile(member)
            assert content
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.read())


@pytest.fixture(scope="session")
def formats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each format, in which a pack NAME has its cases in NAME.cases.json."""
    folder = tmp_path_factory.mktemp("formats")
    for path in ARCHIVES:
        unpack(path, folder / path.name.removesuffix(".tar.xz"))
    return folder
