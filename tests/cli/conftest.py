"""Runs commands in this process and in one of their own, on hand-made packs and a small model."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pyruntime.cli.app import app
from tests.browser.fixtures import browser, package
from tests.packs.fixtures import packs
from tests.packs.maker import compiler_missing

__all__ = ["browser", "package", "packs"]

Invoke = Callable[..., Result]

# a program that Ctrl-C ends even if it was started by one that runs in the background
_INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from pyruntime.cli import main
main()
"""


@contextmanager
def interruptible(*arguments: object, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which Ctrl-C ends; killed if it is left otherwise."""
    command = [sys.executable, "-c", _INTERRUPTIBLE, *map(str, arguments)]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs `pyruntime *arguments` in an empty folder; exceptions that are no exits come through."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Result:
        runner = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"})
        return runner.invoke(app, list(map(str, arguments)), catch_exceptions=False, prog_name="pyruntime")

    return call


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = relu(x @ ones + 1) with x of shape (rows, 4) and y of shape (rows, 2), as fc.onnx."""
    onnx = pytest.importorskip("onnx")
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "w"], ["product"], name="fc/MatMul"),
        onnx.helper.make_node("Add", ["product", "b"], ["sum"], name="fc/Add"),
        onnx.helper.make_node("Relu", ["sum"], ["y"], name="relu"),
    ]
    return save(tmp_path_factory.mktemp("models") / "fc.onnx", nodes)


@pytest.fixture
def compiler() -> None:
    """Skips the test where no C compiler for Wasm is installed; a broken one fails it."""
    if compiler_missing():
        pytest.skip(compiler_missing())


@pytest.fixture(scope="session")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two nodes whose operators do not exist."""
    onnx = pytest.importorskip("onnx")
    nodes = [
        onnx.helper.make_node("Frobnicate", ["x"], ["z"], name="first", domain="ai.strange"),
        onnx.helper.make_node("Twiddle", ["z"], ["y"], name="second", domain="ai.strange"),
    ]
    return save(tmp_path_factory.mktemp("models") / "strange.onnx", nodes)


def save(path: Path, nodes: list[Any]) -> Path:
    """An ONNX file of these nodes, from x and the weights w and b to y."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = {"w": np.ones((4, 2), np.float32), "b": np.ones(2, np.float32)}
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.strange", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def start(*arguments: object, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `pyruntime *arguments` in a process of its own, after the Python statements `before`."""
    code = f"import sys\n{before}\nfrom pyruntime.cli import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8", **environment},
        timeout=300,
        check=False,
    )
