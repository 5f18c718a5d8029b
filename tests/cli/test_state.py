"""`pyruntime convert --state` and runs of what it makes."""

import json
from pathlib import Path

import pytest

from pyruntime.pack.reader import Pack
from tests.cli.conftest import Invoke
from tests.state import streams

pytestmark = pytest.mark.usefixtures("compiler")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A decoder with a cache of past keys and values."""
    return streams.cache().save(tmp_path)


STATES = [f"--state={i}={o}" for i, o in streams.cache().state.items()]
SIZES = ["--capacity=past_sequence_length=8", "--symbol=batch=1"]


def test_inputs_become_state(invoke: Invoke, cache: Path) -> None:
    result = invoke("convert", cache, "c.pack", *STATES, *SIZES)
    assert result.exit_code == 0, result.output
    assert "past_key_values.0.key" in result.stdout
    assert "1 × 2 × (up to 8) × 3" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    with Pack("c.pack") as pack:
        assert [s.name for s in pack.manifest.state] == list(streams.cache().state)


@pytest.mark.wasm
def test_runs_begin_anew(invoke: Invoke, cache: Path) -> None:
    """Twelve runs of one token, with room for eight: each begins with the states empty."""
    assert invoke("convert", cache, "c.pack", *STATES, *SIZES, "-t", "wasm", "-q").exit_code == 0
    result = invoke("run", "c.pack", "--random", "--device", "wasm", "--repeat", "12", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["symbols"] == {"sequence": 1}
    assert [o["name"] for o in told["outputs"]] == ["logits"]
    assert len(told["seconds"]["runs"]) == 12


@pytest.mark.parametrize("argument", ["state", "=", "a=", "=b"])
def test_pairs(invoke: Invoke, cache: Path, argument: str) -> None:
    result = invoke("convert", cache, "c.pack", "--state", argument)
    assert result.exit_code == 2
    assert "expected INPUT=OUTPUT, as in state=stateN" in result.stderr


def test_options_that_do_not_fit(invoke: Invoke, cache: Path) -> None:
    result = invoke("convert", cache, "c.pack", *STATES, "--symbol=batch=1")
    assert result.exit_code == 2
    assert "say how far, as by capacity={" in " ".join(result.stderr.split())
    assert not Path("c.pack").exists()
    result = invoke("convert", cache, "c.pack", "--capacity", "eight")
    assert "--capacity eight: expected NAME=SIZE" in result.stderr
