"""`pyruntime bench` on packs and on models."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Invoke

pytestmark = pytest.mark.wasm
QUICK = ("-d", "wasm", "-n", 3, "-t", 1)


@pytest.mark.usefixtures("compiler")
def test_a_model_step_by_step(invoke: Invoke, model: Path) -> None:
    result = invoke("bench", model, "-s", "rows=3", *QUICK)
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    for part in (
        "wasm · rows = 3",
        "matmul",
        "of limit",
        "whole run",
        "3 rounds",
        "GFLOP/s by fused",
        "in wasmtime",
    ):
        assert part in shown
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert not list(Path().iterdir())


@pytest.mark.usefixtures("compiler")
def test_as_json(invoke: Invoke, model: Path) -> None:
    told = json.loads(invoke("bench", model, "-s", "rows=3", "--json", *QUICK).stdout)
    assert (told["device"], told["threads"], told["symbols"], told["rounds"]) == ("wasm", 1, {"rows": 3}, 3)
    (step,) = told["steps"]
    assert (step["template"], step["operations"], step["calls"]) == ("matmul", 3 * 4 * 2 * 2, 1)
    assert step["bytes"] == 4 * (12 + 32 + 6), "x, w in panels of 8 columns, y; b is one number"
    assert step["share"] == pytest.approx(step["floor"] / step["least"])
    assert told["sum_of_steps"] == step["seconds"]
    assert told["limits"]["multiply_adds_per_second"] > 1e8


def test_given_inputs(invoke: Invoke, packs: Path) -> None:
    np.save("x.npy", np.ones((5, 4), np.float32))
    result = invoke("bench", packs / "affine", "-i", "x=x.npy", *QUICK)
    assert result.exit_code == 0, result.output
    assert "batch = 5" in result.stdout
    assert "does not tell what its steps compute" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("-s", "seq=2"), 2, "the symbols are batch"),
        (("-s", "batch"), 2, "expected NAME=SIZE"),
        (("--rounds", "0"), 2, "--rounds"),
        (("--seconds", "-1"), 2, "--seconds"),
        (("-d", "webgpu"), 4, "webgpu"),
    ],
)
def test_wrong_requests(
    invoke: Invoke, packs: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = invoke("bench", packs / "double", "-d", "wasm", *arguments)
    if "-s" in arguments:
        result = invoke("bench", packs / "affine", "-d", "wasm", *arguments)
    assert result.exit_code == code, result.output
    assert message in " ".join(result.stderr.split())


def test_a_model_that_is_not_there(invoke: Invoke) -> None:
    assert invoke("bench", "nowhere.onnx").exit_code == 1
