"""Fixtures: the packed npm package, a project that has it, what each bundler makes of that, and a server."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.fixtures import JS, browser, package
from tests.browser.server import ISOLATED, STRICT, Server, serving
from tests.packs.fixtures import packs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

__all__ = ["browser", "package", "packs"]

HERE = Path(__file__).parent
TOOLS = HERE / "node_modules" / ".bin"
COMMANDS = {
    "vite": ["vite", "build", "--logLevel", "warn", "--base", "./", "--outDir", "made-vite"],
    "webpack": ["webpack", "--mode", "production", "--entry", "./main.js", "--output-path", "made-webpack"],
}


@pytest.fixture(scope="session")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `npm install` would make of what `npm pack` writes."""
    folder = tmp_path_factory.mktemp("npm")
    npm = shutil.which("npm")
    assert npm, "npm comes with the development set-up"
    command = [npm, "pack", "--silent", "--pack-destination", str(folder)]
    subprocess.run(command, cwd=JS, check=True, capture_output=True)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as tar:
        for member in filter(tarfile.TarInfo.isfile, tar):
            path, content = folder / member.name, tar.extractfile(member)
            assert content
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
    return folder / "package"


@pytest.fixture(scope="session")
def project(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the package in its node_modules and the page of app/."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(HERE / "app", folder, dirs_exist_ok=True)
    shutil.copytree(unpacked, folder / "node_modules" / "pyruntime")
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    return folder


@pytest.fixture(scope="session", params=COMMANDS)
def bundled(request: pytest.FixtureRequest, npm: None, project: Path) -> Path:
    """The folder that a bundler made of the project, with no plugin and no configuration."""
    program, *options = COMMANDS[request.param]
    done = subprocess.run(
        [TOOLS / program, *options], cwd=project, check=False, capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "warning" not in said.lower(), said
    made = project / f"made-{program}"
    if not (made / "index.html").exists():  # webpack bundles scripts alone
        text = (project / "index.html").read_text()
        (made / "index.html").write_text(
            text.replace('type="module" src="./main.js"', 'src="./main.js" defer')
        )
    return made


@pytest.fixture(scope="session")
def server(packs: Path) -> Iterator[Server]:
    """Serves the packs; tests add what else they serve."""
    with serving() as running:
        running.folders = {"/packs/": packs}
        running.common = {**ISOLATED, **STRICT}
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What a test's pages are opened in."""
    opened = browser.new_context()
    yield opened
    opened.close()
