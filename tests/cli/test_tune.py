"""`pyruntime tune` on packs and on models: that it works, on whatever device there is."""

import json
import shutil
from pathlib import Path

import pytest

import pyruntime
from pyruntime.cli.tuning import summary
from pyruntime.runtime.gpu_names import Identity
from pyruntime.runtime.tune import Tuning
from tests.cli.conftest import Invoke

pytestmark = pytest.mark.webgpu


@pytest.fixture(scope="module")
def tunable(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    pack = tmp_path_factory.mktemp("tunable") / "fc.pack"
    pyruntime.convert(model, pack, targets=("webgpu",), tunable=True)
    return pack


def test_a_pack(invoke: Invoke, tunable: Path) -> None:
    shutil.copytree(tunable, "fc.pack")
    result = invoke("tune", "fc.pack", "-s", "rows=30", "-n", 1)
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    assert "rows = 30" in shown
    assert "matmul" in shown
    assert "of 1 steps that matter" in shown
    assert max(map(len, result.stdout.splitlines())) <= 110
    again = invoke("tune", "fc.pack", "-s", "rows=30", "-n", 1, "--json", "--as", "Apple/Metal-3")
    told = json.loads(again.stdout)
    assert told["gpu"] == {"vendor": "apple", "architecture": "metal-3", "device": ""}
    assert (told["pack"], told["rounds"], told["symbols"]) == ("fc.pack", 1, {"rows": 30})
    assert told["stored"] == sum(bool(s["shader"]) for s in told["steps"])
    assert told["after"] <= told["before"]
    (step,) = told["steps"]
    assert step["tried"] >= 1
    assert step["refused"] == 0
    assert invoke("run", "fc.pack", "--random", "-s", "rows=30", "-d", "webgpu").exit_code == 0


@pytest.mark.usefixtures("compiler")
def test_a_model(invoke: Invoke, model: Path) -> None:
    assert invoke("tune", model, "-s", "rows=9", "-n", 1).exit_code == 0
    assert json.loads(Path("fc.pack/pack.json").read_text())["targets"].keys() == {"wasm", "webgpu"}
    refused = invoke("tune", model, "-s", "rows=9", "-n", 1)
    assert refused.exit_code == 2
    assert "--force replaces it" in " ".join(refused.output.split())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("other.pack",), 2, "a pack is tuned where it is"),
        (("--as", "apple"), 2, "expected VENDOR/ARCHITECTURE"),
        (("-s", "seq=2"), 2, "the symbols are rows"),
        (("--rounds", "0"), 2, "--rounds"),
    ],
)
def test_what_does_not_fit(
    invoke: Invoke, tunable: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = invoke("tune", tunable, *arguments)
    assert result.exit_code == code
    assert message in " ".join(result.output.split())


def test_a_pack_without_anything_to_try(invoke: Invoke, packs: Path) -> None:
    result = invoke("tune", packs / "affine")
    assert result.exit_code != 0
    assert "nothing to try" in " ".join(result.output.split())


def test_a_pack_of_which_nothing_matters() -> None:
    found = Tuning(Identity("", "", "some GPU"), "some GPU", "waiting", 1, (), 0.0, 0.0, {})
    assert summary(found) == [
        "no step that takes a part of the time that matters has another shader: the defaults stay"
    ]
