"""The Python and shell blocks, in a folder that has the models which they name."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pyruntime
from scripts.newcomer import PAGES
from tests.cli.conftest import interruptible
from tests.documents import models
from tests.documents.blocks import FILES, Block, blocks

# what the text before a block has said to be there
GIVEN = {
    "windows": [np.zeros((1, 512), np.float32)] * 3,
    "layers": models.LAYERS,
    "a": np.zeros((3, 5, 7), np.float32),
    "b": np.zeros((3, 2, 2), np.float32),
    "c": np.zeros((3, 1, 9), np.float32),
}
IMPORTS = "import numpy as np\nimport pyruntime\n"
ELSEWHERE = {  # first words of commands that are run by other means
    "make": "continuous integration runs make demo and make test; the others take long",
    "pip": "set-up installs this project",
    "python": "benchmarks take long",
    "c++": "tests/edge builds the host",
    "./host": "tests/edge runs it",
}
PACKS = {"model.pack": "model.onnx", "minilm.pack": "all-MiniLM-L6-v2", "tiny.pack": "tiny.onnx"}
WAYS = {"pyruntime --install-completion": "writes to the user's own shell"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a reader works in: blocks see what those before them have made."""
    made = tmp_path_factory.mktemp("reader")
    models.write(made)
    return made


@pytest.fixture
def inside(folder: Path) -> Iterator[Path]:
    """This process in that folder."""
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.mark.parametrize("block", blocks("python"), ids=str)
@pytest.mark.wasm
@pytest.mark.webgpu
def test_python(block: Block, inside: Path) -> None:
    source = compile(IMPORTS + block.text, str(block), "exec")
    exec(source, dict(GIVEN))


def commands() -> Iterator[tuple[str, list[str]]]:
    """Where each command of pyruntime stands, and its words."""
    for block in blocks("sh"):
        if block.file in PAGES:  # test_newcomer.py does as they say, from the first to the last
            continue
        for number, line in enumerate(block.text.splitlines()):
            words = shlex.split(line, comments=True)
            known = line.split("#")[0].strip() in WAYS
            if words and not known and words[0] not in ELSEWHERE:
                yield f"{block.file}:{block.line + 1 + number}", words


@pytest.mark.parametrize("words", [pytest.param(w, id=where) for where, w in commands()])
@pytest.mark.wasm
@pytest.mark.webgpu
@pytest.mark.browser
@pytest.mark.usefixtures("package")
def test_commands(words: list[str], folder: Path) -> None:
    program, *options = words
    assert program == "pyruntime", "a command that no test knows"
    if options[0] == "convert":
        shutil.rmtree(folder / options[2], ignore_errors=True)
    for pack, model in PACKS.items():
        if pack in options[1:2] and not (folder / pack).exists():
            pyruntime.convert(folder / model, folder / pack)
    command = [sys.executable, "-m", "pyruntime.cli", *options]
    if options[0] == "serve-demo":
        check_server(options, folder)
        return
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def check_server(options: list[str], folder: Path) -> None:
    """It tells an address that answers, and ends by Ctrl-C."""
    with interruptible(*options, "--no-open", cwd=folder) as server:
        assert server.stdout is not None
        found = (re.search(r"http://\S+", line) for line in server.stdout)
        address = next(match[0] for match in found if match)
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.status == 200
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0


def test_nothing_is_left_out() -> None:
    """Languages that no test here runs would go unseen."""
    fences = [
        line for f in FILES for line in f.read_text().splitlines() if line.startswith("```") and line != "```"
    ]
    fences = [f for f in fences if not f.startswith("```{")]  # what Sphinx is told
    assert {f.removeprefix("```") for f in fences} <= {"python", "sh", "js", "mjs", "html", "yaml"}
