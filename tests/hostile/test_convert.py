"""Converting that is killed, runs out of disk, meets another or has no cache: nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save_model

import pyruntime

pytestmark = pytest.mark.wasm

CONVERT = """
import sys, pyruntime
print("begun", flush=True)
pyruntime.convert(sys.argv[1], sys.argv[2], targets=["wasm"])
"""
ROWS = 300


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Path]:
    """model(value): y = x @ w, all weights of which are that value; a megabyte of them."""
    folder = tmp_path_factory.mktemp("models")

    def make(value: float) -> Path:
        path = folder / f"{value}.onnx"
        weight = numpy_helper.from_array(np.full((ROWS, 800), value, np.float32), "w")
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, ROWS])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 800])
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weight])
        save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
        return path

    return make


def start(model: Path, pack: Path, **more: str) -> subprocess.Popen[str]:
    """A process that converts; it has begun when this returns."""
    command = [sys.executable, "-c", CONVERT, str(model), str(pack)]
    env = {**os.environ, **more}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    return process


def value_of(pack: Path) -> float:
    """What the pack's weights are, all of them read and checked."""
    with pyruntime.load(pack, device="wasm") as session:
        (y,) = session.run({"x": np.ones((1, ROWS), np.float32)}).values()
    assert (y == y[0, 0]).all()
    return float(y[0, 0]) / ROWS


@pytest.mark.parametrize("older", [False, True])
def test_killed(model: Callable[[float], Path], tmp_path: Path, older: bool) -> None:
    """The pack is absent or whole, and an older one is there until the new one is."""
    pack = tmp_path / "m.pack"
    if older:
        pyruntime.convert(model(1.0), pack, targets=["wasm"])
    begun = time.monotonic()
    start(model(2.0), tmp_path / "measured.pack").communicate()
    whole = time.monotonic() - begun
    for share in (0.3, 0.7, 0.9, 1.0):
        process = start(model(2.0), pack)
        time.sleep(whole * share)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert pack.exists() or not older
        if pack.exists():
            assert value_of(pack) in ((1.0, 2.0) if older else (2.0,))
    pyruntime.convert(model(3.0), pack, targets=["wasm"])
    assert value_of(pack) == 3.0


def test_two_at_once(model: Callable[[float], Path], tmp_path: Path) -> None:
    """Both end well or one says why not; what is there in the end is one of the two."""
    pack = tmp_path / "m.pack"
    processes = [start(model(value), pack) for value in (1.0, 2.0)]
    errors = [process.communicate()[1] for process in processes]
    for process, error in zip(processes, errors, strict=True):
        assert process.returncode == 0 or "PackError" in error.splitlines()[-1], error
    assert value_of(pack) in (1.0, 2.0)
    assert [f.name for f in tmp_path.iterdir()] == ["m.pack"]


def test_disk_that_fills_up(model: Callable[[float], Path], tmp_path: Path) -> None:
    """A limit on the size of files stops writing as a full disk does: in the middle of the weights."""
    pack = tmp_path / "m.pack"
    pyruntime.convert(model(1.0), pack, targets=["wasm"])
    limited = CONVERT.replace("import sys, pyruntime", "import sys, resource, pyruntime").replace(
        "pyruntime.convert(",
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({1 << 19}, {1 << 19}))\npyruntime.convert(",
        1,
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, str(model(2.0)), str(pack)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "pyruntime.errors.PackError" in done.stderr.splitlines()[-1]
    assert value_of(pack) == 1.0
    assert [f.name for f in tmp_path.iterdir()] == ["m.pack"]


def test_full_disk(model: Callable[[float], Path], tmp_path: Path) -> None:
    """A file system too small for the weights, seen by the conversion alone: it is empty afterwards."""
    apart = ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",))]
    mount = f"mount -t tmpfs -o size={1 << 19} tmpfs '{tmp_path}/small'"
    (tmp_path / "small").mkdir()
    if subprocess.run([*apart, "sh", "-c", mount], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets us mount no file system")
    source, pack = model(1.0), tmp_path / "small" / "m.pack"
    script = f'{mount} && "$@"; status=$?; ls -A "{pack.parent}"; exit $status'
    command = [*apart, "sh", "-c", script, "sh", sys.executable, "-c", CONVERT, str(source), str(pack)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "begun\n")
    assert "pyruntime.errors.PackError" in done.stderr.splitlines()[-1]
    assert "No space left on device" in done.stderr.splitlines()[-1]


def test_no_cache(model: Callable[[float], Path], tmp_path: Path) -> None:
    """A cache folder that cannot be written to is done without."""
    file = tmp_path / "file"
    file.touch()
    process = start(model(1.0), tmp_path / "m.pack", PYRUNTIME_CACHE=str(file / "cache"), HOME=str(file))
    _, error = process.communicate()
    assert (process.returncode, error) == (0, "")
    assert value_of(tmp_path / "m.pack") == 1.0
