"""`pyruntime run` on packs and on models."""

import json
from pathlib import Path

import numpy as np
import pytest

from pyruntime.cli.feeds import save_outputs
from tests.cli.conftest import Invoke
from tests.frontends.onnx_models import random
from tests.frontends.string_models import MODELS
from tests.frontends.test_onnx_lists import split, sums

pytestmark = pytest.mark.wasm


def test_outputs_and_times_are_shown(invoke: Invoke, packs: Path) -> None:
    result = invoke("run", packs / "affine", "--random", "--symbol", "batch=4", "-d", "wasm", "-n", 5)
    assert result.exit_code == 0, result.output
    for part in ("wasm · batch = 4", "float32", "4 × 3", "first run", "median of 4 more", "load"):
        assert part in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_result_as_json(invoke: Invoke, packs: Path) -> None:
    np.save("x.npy", x := np.array([[1, 2, 3, 4], [0, -1, 0, 5]], np.float32))
    result = invoke("run", packs / "affine", "-i", "x=x.npy", "-d", "wasm", "--json", "-o", "y.npz", "-n", 3)
    told = json.loads(result.stdout)
    with np.load("y.npz") as saved:
        y = saved["y"]
    assert (told["device"], told["symbols"], told["output"]) == ("wasm", {"batch": 2}, "y.npz")
    assert told["inputs"][0] == {
        "name": "x",
        "dtype": "float32",
        "shape": [2, 4],
        "min": -1,
        "mean": float(x.mean()),
        "max": 5,
        "nan": 0,
        "infinite": 0,
        "first": [1, 2, 3, 4, 0, -1, 0, 5],
    }
    assert told["outputs"][0]["first"] == y.ravel().tolist()
    assert len(told["seconds"]["runs"]) == 3
    assert told["seconds"]["convert"] is None


@pytest.mark.parametrize("batch", [10**9, 10**23])
def test_inputs_that_no_device_holds(invoke: Invoke, packs: Path, batch: int) -> None:
    result = invoke("run", packs / "affine", "--random", "-s", f"batch={batch}", "-d", "wasm", "--json")
    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, error["code"]) == (5, "memory")
    assert f"input 'x' of shape ({batch}, 4) takes {batch * 16:,} bytes" in error["message"]


def test_the_seed_decides_the_random_inputs(invoke: Invoke, packs: Path) -> None:
    def outputs(seed: int) -> object:
        told = invoke("run", packs / "dtypes", "-r", "-s", "n=9", "-d", "wasm", "--json", "--seed", seed)
        return json.loads(told.stdout)["outputs"]

    assert outputs(3) == outputs(3) != outputs(4)


def test_strings(invoke: Invoke) -> None:
    proto, _ = MODELS["strings-made"]
    Path("made.onnx").write_bytes(proto.SerializeToString())
    np.save("x.npy", np.array([["a", "grün", ""]]))
    np.save("y.npy", np.array(["red, ", "b", "c"]))
    given = ("-i", "x=x.npy", "-i", "y=y.npy", "-r", "-d", "wasm")
    shown = invoke("run", "made.onnx", *given, "-o", "out.npz")
    assert shown.exit_code == 0, shown.output
    assert '"a, red, ", "grün, b", ", c"' in shown.stdout
    told = json.loads(invoke("run", "made.onnx", *given, "--json").stdout)
    pair = next(o for o in told["outputs"] if o["name"] == "pair")
    assert (pair["dtype"], pair["first"], pair["min"]) == ("string", ["a, red, ", "grün, b", ", c"], None)
    with np.load("out.npz") as saved:
        assert saved["pair"].tolist() == [pair["first"]]
    alone = invoke("run", "made.onnx", "-r", "-d", "wasm")
    assert alone.exit_code == 0, alone.output


def test_every_dtype_is_shown(invoke: Invoke, packs: Path) -> None:
    result = invoke("run", packs / "dtypes", "-r", "-s", "n=5", "-d", "wasm")
    for dtype in ("bool", "int8", "uint16", "int64", "uint64", "float16"):
        assert f"{dtype}_out" in result.stdout
    assert "true" in result.stdout
    assert "…" in result.stdout


def test_what_is_not_finite_is_told(invoke: Invoke, packs: Path) -> None:
    np.save("x.npy", np.array([[np.nan, 1, np.inf], [-np.inf, 2, np.nan]]))
    result = invoke("run", packs / "double", "-i", "x.npy", "-d", "wasm")
    assert result.exit_code == 0, result.output
    assert "y: 2 NaN and 2 infinite of 6 elements" in result.stdout
    told = json.loads(invoke("run", packs / "double", "-i", "x.npy", "-d", "wasm", "--json").stdout)
    assert (told["outputs"][0]["min"], told["outputs"][0]["max"]) == (2, 4)
    assert told["outputs"][0]["first"] == ["nan", 2, "inf", "-inf", 4, "nan"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "no array for 'x' (float32, batch × 4)"),
        (("-r", "-s", "seq=2"), 2, "the symbols are batch"),
        (("-i", "bad.npy"), 2, "expected float32"),
        (("-r", "--repeat", "0"), 2, "greater than or equal to 1"),
        (("-r", "-o", "nowhere/y.npz"), 1, "No such file"),
    ],
)
def test_wrong_requests(
    invoke: Invoke, packs: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    np.save("bad.npy", np.zeros((2, 5)))
    result = invoke("run", packs / "affine", "-d", "wasm", *arguments)
    assert result.exit_code == code, result.output
    assert message in " ".join(result.stderr.split())


def test_threads(invoke: Invoke, packs: Path) -> None:
    arguments = ("run", packs / "team", "-r", "-s", "n=3", "-d", "wasm")
    assert "wasm, 3 threads" in invoke(*arguments, "--threads", "3").stdout
    assert json.loads(invoke(*arguments, "-t", "1", "--json").stdout)["threads"] == 1
    refused = invoke(*arguments, "-t", "65")
    assert refused.exit_code == 2
    assert "--threads" in refused.stderr


def test_a_device_that_the_pack_lacks(invoke: Invoke, packs: Path) -> None:
    result = invoke("run", packs / "double", "-r", "-d", "webgpu")
    assert result.exit_code == 4
    assert "webgpu" in result.stderr


@pytest.mark.usefixtures("compiler")
def test_a_model_is_converted_first(invoke: Invoke, model: Path) -> None:
    result = invoke("run", model, "-r", "-s", "rows=3", "-d", "wasm")
    assert result.exit_code == 0, result.output
    assert "3 × 2" in result.stdout
    assert "convert " in result.stdout
    assert not list(Path().iterdir())


@pytest.mark.usefixtures("compiler")
def test_a_sequence_and_a_value(invoke: Invoke) -> None:
    """Elements of lists are fed and saved by their names: x[0], y[0]."""
    Path("split.onnx").write_bytes(split().SerializeToString())
    Path("sums.onnx").write_bytes(sums().SerializeToString())
    options = ("--elements", "x=2", "--elements", 'y=[["n_0"],["n_1"]]')
    made = invoke("convert", "sums.onnx", "-t", "wasm", *options)
    assert made.exit_code == 0, made.output
    assert "2 tensors" in made.stdout
    assert "3 tensors" in made.stdout
    x, y, t = [random(3), random(2, seed=1)], [random(3, seed=2), random(2, seed=3)], random(4)
    feeds = {"x[0]": x[0], "x[1]": x[1], "t": t, "y[0]": y[0], "y[1]": y[1]}
    save_outputs(Path("feeds.npz"), feeds)
    assert invoke("run", "sums.pack", "-i", "feeds.npz", "-o", "out.npz", "-d", "wasm").exit_code == 0
    with np.load("out.npz") as outputs:
        assert list(outputs) == ["u", "z[0]", "z[1]", "z[2]", "count"]
        np.testing.assert_array_equal(outputs["z[1]"], x[1] + y[1])
    assert invoke("run", "sums.pack", "-r", "-d", "wasm").exit_code == 0
    assert invoke("convert", "split.onnx", "-t", "wasm", "--value", "size=4").exit_code == 0
    assert "parts[1]" in invoke("run", "split.pack", "-r", "-d", "wasm").stdout
    for option, wrong in (("--elements", "x"), ("--value", "size=[")):
        refused = invoke("convert", "split.onnx", option, wrong, "-f")
        assert (refused.exit_code, "expected NAME=JSON" in refused.stderr) == (2, True)


def test_a_model_that_is_not_there(invoke: Invoke) -> None:
    result = invoke("run", "nowhere.onnx", "-r")
    assert (result.exit_code, "model-invalid" in result.stderr) == (1, True)


@pytest.mark.webgpu
def test_webgpu(invoke: Invoke, packs: Path) -> None:
    result = invoke("run", packs / "affine", "-r", "-s", "batch=2", "-d", "webgpu")
    assert result.exit_code == 0, result.output
    assert "webgpu · batch = 2" in result.stdout
