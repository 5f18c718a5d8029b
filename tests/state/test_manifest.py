"""What pack.json says of state: contradictions that validation finds, made in packs that are whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pyruntime.errors import PackError
from pyruntime.pack.manifest import decode_manifest
from pyruntime.pack.validate import validate
from tests.state.streams import Stream

Json = dict[str, Any]
Edit = Callable[[Json], object]
GPU = "targets.webgpu"


def bound_state(manifest: Json) -> list[Any]:
    """The first binding of a state."""
    commands = manifest["targets"]["webgpu"]["variants"][0]["entries"][0]["commands"]
    found: list[Any] = next(b for c in commands for b in c["bindings"] if b[0] == "state")
    return found


WRONG: Mapping[str, tuple[str, Edit, str]] = {
    "no requirement": (
        "cell",
        lambda m: m.update(requires=[]),
        "requires: a pack with state requires 'state'",
    ),
    "one name twice": (
        "cell",
        lambda m: m["state"][1].update(name="h"),
        "state[1].name: 'h' is there twice",
    ),
    "bytes past counting": (
        "running_sum",
        lambda m: m["state"][0].update(shape=[2**40, 2**40]),
        "state[0].shape: more bytes than can be counted",
    ),
    "an axis that is not there": (
        "cache",
        lambda m: m["state"][0].update(axis=4),
        "state[0].axis: 4 is past the end of 4",
    ),
    "an initial weight that is not there": (
        "cell",
        lambda m: m["state"][0].update(initial=99),
        "state[0].initial: 99 is past the end of",
    ),
    "an initial weight of another size": (
        "cell",
        lambda m: m["state"][0].update(initial=0),
        "state[0].initial: 160 elements for shape [1, 7]",
    ),
    "an initial weight that is not on Wasm": (
        "cell",
        lambda m: m["targets"]["wasm"].update(weights=m["targets"]["wasm"]["weights"][:-1]),
        "state[0].initial: that weight is not on the device as this dtype",
    ),
    "an initial weight that is not on the GPU": (
        "cell",
        lambda m: m["targets"]["webgpu"].update(weights=m["targets"]["webgpu"]["weights"][:-1]),
        "state[0].initial: that weight is not on the device as this dtype",
    ),
    "a state that grows from something": (
        "cache",
        lambda m: m["state"][0].update(initial=0),
        "state[0].initial: a state that grows begins empty",
    ),
    "a state that an entry has twice": (
        "cell",
        lambda m: m["entries"][0]["state"][1].update(state=0),
        "entries[0].state[1].state: 0 is there twice",
    ),
    "a state that is not there": (
        "cell",
        lambda m: m["entries"][0]["state"][1].update(state=2),
        "entries[0].state[1].state: 2 is past the end of 2",
    ),
    "a length of what does not grow": (
        "cell",
        lambda m: m["entries"][0]["state"][0].update(length=1),
        "entries[0].state[0].length: for a state that grows, and for no other",
    ),
    "growth without end": (
        "cache",
        lambda m: m["entries"][0]["state"][0].pop("next"),
        "entries[0].state[0].next: for a state that grows, and for no other",
    ),
    "growth by what is unknown": (
        "cache",
        lambda m: m["entries"][0]["state"][0].update(next="much"),
        "entries[0].state[0].next: symbol 'much' is not one of the entry's",
    ),
    "a symbol of input and state": (
        "cache",
        lambda m: m["entries"][0]["symbols"][1].update(input=0, axis=1),
        "entries[0].symbols[1]: expected one of input and state",
    ),
    "a symbol of nothing": (
        "cache",
        lambda m: m["entries"][0]["symbols"][1].pop("state"),
        "entries[0].symbols[1]: expected one of input and state",
    ),
    "a symbol of a state that is not there": (
        "cache",
        lambda m: m["entries"][0]["symbols"][1].update(state=4),
        "entries[0].symbols[1].state: 4 is past the end of 4",
    ),
    "a symbol of a state that the entry has not": (
        "cache",
        lambda m: m["entries"][0]["state"].pop(0),
        "entries[0].symbols[1].state: that is no state of the entry that grows",
    ),
    "an address for too few": (
        "cell",
        lambda m: m["targets"]["wasm"]["state"].pop(),
        "targets.wasm.state: expected 2 as the pack has, got 1",
    ),
    "an address among the weights": (
        "cell",
        lambda m: m["targets"]["wasm"]["state"].__setitem__(0, 131072),
        "targets.wasm.weights: 'h' and",
    ),
    "an address below the weights": (
        "cell",
        lambda m: m["targets"]["wasm"]["state"].__setitem__(0, 65536),
        "targets.wasm.state[0]: expected an integer from 131072",
    ),
    "an address that is not aligned": (
        "cell",
        lambda m: m["targets"]["wasm"]["state"].__setitem__(0, 1310722),
        "targets.wasm.state[0]: 1310722 is not aligned for float32",
    ),
    "an address past 4 GiB": (
        "cell",
        lambda m: m["targets"]["wasm"]["state"].__setitem__(0, 2**32 - 4),
        "targets.wasm.weights: they end past 4 GiB",
    ),
    "a step that is not there": (
        "cell",
        lambda m: m["targets"]["wasm"]["entries"][0].update(commit=99),
        "targets.wasm.entries[0].commit: 99 is past the end of",
    ),
    "a buffer for too few": (
        "cell",
        lambda m: m["targets"]["webgpu"]["state"].pop(),
        f"{GPU}.state: expected 2 as the pack has, got 1",
    ),
    "a buffer that is too small": (
        "cell",
        lambda m: m["targets"]["webgpu"]["state"].__setitem__(0, 24),
        f"{GPU}.state[0]: 24 bytes for 'h' of shape [1, 7]",
    ),
    "a dtype that GPUs lack": (
        "running_sum",
        lambda m: m["state"][0].update(dtype="float64"),
        f"{GPU}.state[0]: float64 does not exist on the GPU",
    ),
    "a binding of a state that is not there": (
        "cell",
        lambda m: bound_state(m).__setitem__(1, 2),
        "2 is past the end of 2",
    ),
    "a binding of a state that the entry has not": (
        "cell",
        lambda m: m["entries"][0]["state"].pop(0),
        "state 0 is not one of the entry's",
    ),
    "a binding past the state's end": (
        "cell",
        lambda m: bound_state(m).__setitem__(3, 64),
        "bytes 0 to 64 lie outside state",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_contradictions(stateful: dict[str, tuple[Stream, Path]], case: str) -> None:
    name, edit, message = WRONG[case]
    manifest = json.loads((stateful[name][1] / "pack.json").read_text())
    validate(decode_manifest(json.dumps(manifest).encode()))
    edit(manifest)
    with pytest.raises(PackError) as caught:
        validate(decode_manifest(json.dumps(manifest).encode()))
    assert message in str(caught.value)
