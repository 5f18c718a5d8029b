"""Every contradiction that validation finds, made on purpose in a pack that is otherwise whole."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pyruntime.errors import PackError, PackVersionError
from pyruntime.pack.manifest import decode_manifest
from pyruntime.pack.validate import validate
from tests.pack.edits import Edit, Json, added, command, edited, variant


def strings(m: Json, requires: Sequence[str] = ("strings",), **changes: Any) -> None:
    """Let the first input have strings, with something else about it."""
    m["requires"] = list(requires)
    spec = {"dtype": "uint8", "shape": ["batch", "batch"], "encodes": "string", **changes}
    m["entries"][0]["inputs"][0].update(spec)


WRONG: Mapping[str, tuple[Edit, str]] = {
    "two entries of one name": (
        lambda m: m["entries"][1].update(name="main"),
        "entries[1].name: 'main' is there twice",
    ),
    "two inputs of one name": (
        lambda m: m["entries"][1]["inputs"][1].update(name="x"),
        "entries[1].inputs[1].name: 'x' is there twice",
    ),
    "negative size": (
        lambda m: m["entries"][0]["inputs"][0].update(shape=["batch", -4]),
        "entries[0].inputs[0].shape[1]: -4 is negative",
    ),
    "unbound symbol in a shape": (
        lambda m: m["entries"][0]["outputs"][0].update(shape=["seq", 3]),
        "entries[0].outputs[0].shape[0]: symbol 'seq' is not one of the entry's",
    ),
    "size that data decide, of a pack that does not require it": (
        lambda m: m["entries"][0].update(sizes=[{"name": "found", "most": 9}]),
        "requires: a pack with sizes that data decide requires 'sizes'",
    ),
    "size that data decide, bound by an input": (
        lambda m: m["entries"][0].update(sizes=[{"name": "batch", "most": 9}]),
        "entries[0].sizes[1].name: 'batch' is there twice",
    ),
    "size that data decide, without a known bound": (
        lambda m: m["entries"][0].update(sizes=[{"name": "found", "most": ["batch", "seq", "*"]}]),
        "entries[0].sizes[0].most: symbol 'seq' is not one of the entry's",
    ),
    "list of a pack that does not require it": (
        lambda m: m["entries"][1].update(lists=[{"name": "l", "of": "inputs", "first": 0, "length": 2}]),
        "requires: a pack with lists of tensors requires 'lists'",
    ),
    "list of more inputs than there are": (
        lambda m: m["entries"][1].update(lists=[{"name": "l", "of": "inputs", "first": 1, "length": 2}]),
        "entries[1].lists: 'l' of inputs: it does not lie between 0 and 2",
    ),
    "lists that share an output": (
        lambda m: m["entries"][1].update(
            lists=[{"name": n, "of": "outputs", "first": 0, "length": 1} for n in ("l", "k")]
        ),
        "entries[1].lists: 'k' of outputs: it does not lie between 1 and 1",
    ),
    "list of the name of an input": (
        lambda m: m["entries"][1].update(lists=[{"name": "x", "of": "inputs", "first": 0, "length": 1}]),
        "entries[1].lists: 'x' of inputs: the name is there twice",
    ),
    "list of states": (
        lambda m: m["entries"][1].update(lists=[{"name": "l", "of": "state", "first": 0}]),
        "entries[1].lists[0].of: expected 'inputs' or 'outputs'",
    ),
    "size that is more than 1 at least": (
        lambda m: m["entries"][0]["symbols"][0].update(least=2),
        "entries[0].symbols[0].least: expected an integer from 0 to 1, got 2",
    ),
    "symbol of an input that is not there": (
        lambda m: m["entries"][0]["symbols"][0].update(input=1),
        "entries[0].symbols[0].input: 1 is past the end of 1",
    ),
    "symbol of an axis that is not there": (
        lambda m: m["entries"][0]["symbols"][0].update(axis=2),
        "entries[0].symbols[0].axis: 2 is past the end of 2",
    ),
    "symbol of another axis": (
        lambda m: m["entries"][0]["symbols"][0].update(axis=1),
        "entries[0].symbols[0]: that size is 4, not 'batch'",
    ),
    "symbol bound twice": (
        lambda m: m["entries"][0]["symbols"][0].update(element=0),
        "entries[0].symbols[0]: expected one of axis and element",
    ),
    "symbol bound by a float": (
        lambda m: m["entries"][1]["symbols"].append({"name": "k", "input": 1, "element": 0}),
        "entries[1].symbols[1].part: floats alone have parts",
    ),
    "part of a size": (
        lambda m: m["entries"][0]["symbols"][0].update(part="numerator"),
        "entries[0].symbols[0].part: floats alone have parts",
    ),
    "part of an integer": (
        lambda m: (
            m["entries"][1]["inputs"].append({"name": "k", "dtype": "int64", "shape": [2]}),
            m["entries"][1]["symbols"].append({"name": "k", "input": 2, "element": 1, "part": "denominator"}),
        ),
        "entries[1].symbols[1].part: floats alone have parts",
    ),
    "element of a bfloat16 without a part": (
        lambda m: (
            m["entries"][1]["inputs"].append(
                {"name": "k", "dtype": "uint16", "encodes": "bfloat16", "shape": [2]}
            ),
            m["entries"][1]["symbols"].append({"name": "k", "input": 2, "element": 1}),
        ),
        "entries[1].symbols[1].part: floats alone have parts",
    ),
    "element of an input of open size": (
        lambda m: m["entries"][0]["symbols"].append(
            {"name": "k", "input": 0, "element": 0, "part": "numerator"}
        ),
        "entries[0].symbols[1].element: 'x' is not an input of known size",
    ),
    "symbol bound by an element that is not there": (
        lambda m: (
            m["entries"][1]["inputs"].append({"name": "k", "dtype": "int64", "shape": [2]}),
            m["entries"][1]["symbols"].append({"name": "k", "input": 2, "element": 2}),
        ),
        "entries[1].symbols[1].element: 2 is past the end of 2",
    ),
    "unbound symbol in a constraint": (
        lambda m: m["entries"][0].update(constraints=[{"value": ["seq", 1, "+"], "reason": "why"}]),
        "entries[0].constraints[0].value: symbol 'seq' is not one of the entry's",
    ),
    "unbound symbol in a cost": (
        lambda m: m["entries"][0].update(costs=[["affine", "matmul", 8, ["seq", 4, "*"]]]),
        "entries[0].costs[0].bytes: symbol 'seq' is not one of the entry's",
    ),
    "costs of a step twice": (
        lambda m: m["entries"][0].update(costs=[["affine", "matmul", 8, 4]] * 2),
        "entries[0].costs[1].step: 'affine' is there twice",
    ),
    "symbol of an input that need not be fed": (
        lambda m: m["entries"][0]["inputs"][0].update(default=0),
        "entries[0].symbols[0].input: an input that need not be fed has no size of its own",
    ),
    "default of an output": (
        lambda m: m["entries"][0]["outputs"][0].update(default=0),
        "entries[0].outputs[0].default: 0 is no float32 of an input",
    ),
    "default that its dtype does not hold": (
        lambda m: m["entries"][1]["inputs"][1].update(default=1e39),
        "entries[1].inputs[1].default: 1e+39 is no float32 of an input",
    ),
    "default that is no number": (
        lambda m: m["entries"][1]["inputs"][1].update(default=True),
        "entries[1].inputs[1].default: expected a number, got True",
    ),
    "integers of a float": (
        lambda m: m["entries"][1]["inputs"][1].update(within=[0, 1]),
        "entries[1].inputs[1].within: 0 to 1 are no integers of an input of float32",
    ),
    "three integers": (
        lambda m: m["entries"][1]["inputs"][1].update(within=[0, 1, 2]),
        "entries[1].inputs[1].within: expected 2 elements, got 3",
    ),
    "strings that are not required": (
        lambda m: strings(m, requires=[]),
        "requires: a pack with strings requires 'strings'",
    ),
    "strings that are no bytes": (
        lambda m: strings(m, dtype="int8"),
        "entries[0].inputs[0].encodes: int8 does not hold string",
    ),
    "strings without bytes": (
        lambda m: strings(m, shape=[]),
        "entries[0].inputs[0].shape: strings have an axis of bytes",
    ),
    "two assets of one name": (
        lambda m: m["assets"][1].update(name="words.txt"),
        "assets[1].name: 'words.txt' is there twice",
    ),
    "asset in another folder": (
        lambda m: m["assets"][0].update(file="../words.txt"),
        "assets[0].file: expected a plain file name",
    ),
    "jump past the end": (
        lambda m: added(m, {"op": "jump", "to": 4}),
        "commands[2].to: 4 is past the end of 3",
    ),
    "jump on an unknown symbol": (
        lambda m: added(m, {"op": "jump", "to": 0, "unless": ["k", 1, "+"]}),
        "commands[2]: symbol 'k' is not one of the entry's",
    ),
    "symbol of an input set": (
        lambda m: added(m, {"op": "set", "symbol": "batch", "value": 1}),
        "commands[2].symbol: 'batch' is bound by an input",
    ),
    "symbol of an input read": (
        lambda m: added(m, {"op": "read", "symbol": "batch", "from": ["arena", 0, 0], "dtype": "int32"}),
        "commands[2].symbol: 'batch' is bound by an input",
    ),
    "read of a weight": (
        lambda m: added(m, {"op": "read", "symbol": "k", "from": ["weights", 0, 0], "dtype": "int32"}),
        "commands[2].from: weights are known",
    ),
    "read of a float": (
        lambda m: added(m, {"op": "read", "symbol": "k", "from": ["arena", 0, 0], "dtype": "float32"}),
        "commands[2].dtype: expected 'int32' or 'uint32'",
    ),
    "arena of the program's own symbol": (
        lambda m: (
            added(m, {"op": "set", "symbol": "k", "value": 1}),
            variant(m)["entries"][0].update(arenas=["k", 8]),
        ),
        "arenas[0]: symbol 'k' is not one of the entry's",
    ),
    "no target": (lambda m: m.update(targets={}), "targets: there is neither wasm nor webgpu"),
    "shard data past its end": (
        lambda m: m["weights"]["shards"][0].update(data=181),
        "weights.shards[0].data: 181 is outside the file's 180 bytes",
    ),
    "too few chunks": (
        lambda m: m["weights"]["shards"][0].update(chunks=[]),
        "shards[0].chunks: 0 chunks for 180",
    ),
    "two tensors of one name": (
        lambda m: m["weights"]["tensors"][1].update(name="weight"),
        "weights.tensors[1].name: 'weight' is there twice",
    ),
    "tensor past the shard": (
        lambda m: m["weights"]["tensors"][1].update(offset=28),
        "weights.tensors[1].offset: the tensor ends outside shard",
    ),
    "tensor in no shard": (
        lambda m: m["weights"]["tensors"][1].update(shard=1),
        "weights.tensors[1].shard: 1 is past the end of 1",
    ),
    "wrong tensor size": (
        lambda m: m["weights"]["tensors"][1].update(elements=4),
        "weights.tensors[1].bytes: 12 for 4 of float32",
    ),
    "overlapping tensors": (
        lambda m: m["weights"]["tensors"][1].update(offset=20),
        "weights.shards[0]: 'weight' and 'bias' overlap",
    ),
    "Wasm weight of no tensor": (
        lambda m: m["targets"]["wasm"]["weights"][0].update(tensor=2),
        "targets.wasm.weights[0].tensor: 2 is past the end of 2",
    ),
    "Wasm weight in the stack": (
        lambda m: m["targets"]["wasm"]["weights"][0].update(address=65536),
        "targets.wasm.weights[0].address: expected an integer from 131072",
    ),
    "misaligned Wasm weight": (
        lambda m: m["targets"]["wasm"]["weights"][0].update(address=131074),
        "targets.wasm.weights[0].address: 131074 is not aligned for float32",
    ),
    "overlapping Wasm weights": (
        lambda m: m["targets"]["wasm"]["weights"][1].update(address=131072 + 44),
        "targets.wasm.weights: 'weight' and 'bias' overlap",
    ),
    "weights past 4 GiB": (
        lambda m: m["targets"]["wasm"]["weights"][1].update(address=2**32 - 8),
        "targets.wasm.weights: they end past 4 GiB",
    ),
    "impossible conversion": (
        lambda m: m["targets"]["wasm"]["weights"][1].update(dtype="float16"),
        "targets.wasm.weights[1].dtype: float32 cannot be stored as float16",
    ),
    "Wasm entries": (
        lambda m: m["targets"]["wasm"]["entries"].pop(),
        "targets.wasm.entries: expected 3 as the pack has, got 2",
    ),
    "Wasm bytes of an unbound symbol": (
        lambda m: m["targets"]["wasm"]["entries"][0].update(bytes="n"),
        "targets.wasm.entries[0].bytes: symbol 'n' is not one of the entry's",
    ),
    "a thread's bytes of an unbound symbol": (
        lambda m: m["targets"]["wasm"]["entries"][0].update(thread_bytes="n"),
        "targets.wasm.entries[0].thread_bytes: symbol 'n' is not one of the entry's",
    ),
    "no Wasm variant for everyone": (
        lambda m: m["targets"]["wasm"]["variants"].pop(),
        "targets.wasm.variants[0].requires: the last variant must require nothing",
    ),
    "no WebGPU variant for everyone": (
        lambda m: variant(m).update(limits={"maxBufferSize": 1}),
        "targets.webgpu.variants[0].requires: the last variant must require nothing",
    ),
    "GPU weight past its buffer": (
        lambda m: m["targets"]["webgpu"].update(buffers=[260]),
        "targets.webgpu.weights[1].offset: 'bias' ends outside buffer 0",
    ),
    "misaligned GPU weight": (
        lambda m: m["targets"]["webgpu"]["weights"][1].update(offset=128),
        "targets.webgpu.weights[1].offset: 128 is not a multiple of 256",
    ),
    "overlapping GPU weights": (
        lambda m: m["targets"]["webgpu"]["weights"][1].update(offset=0),
        "targets.webgpu.buffers[0]: 'bias' and 'weight' overlap",
    ),
    "GPU weight in no buffer": (
        lambda m: m["targets"]["webgpu"]["weights"][1].update(buffer=1),
        "targets.webgpu.weights[1].buffer: 1 is past the end of 1",
    ),
    "odd GPU buffer": (
        lambda m: m["targets"]["webgpu"].update(buffers=[513]),
        "targets.webgpu.buffers[0]: 513 is not a multiple of 4",
    ),
    "GPU dtype": (
        lambda m: m["targets"]["webgpu"]["weights"][0].update(dtype="int32"),
        "targets.webgpu.weights[0].dtype: float16 is stored as float32, not int32",
    ),
    "float32 as float16 on the GPU": (
        lambda m: m["targets"]["webgpu"]["weights"][1].update(dtype="float16"),
        "targets.webgpu.weights[1].dtype: float32 is stored as float32, not float16",
    ),
    "float64 on the GPU": (
        lambda m: m["entries"][0]["inputs"][0].update(dtype="float64"),
        "inputs[0].dtype: float64 does not exist on the GPU",
    ),
    "shader past the file": (
        lambda m: variant(m)["shaders"][2].update(bytes=10_000),
        "shaders[2].offset: the shader ends outside shaders.base.wgsl",
    ),
    "too many bindings": (
        lambda m: variant(m)["shaders"][0].update(bindings=["read"] * 9),
        "shaders[0].bindings: 9 bindings, 8 are allowed",
    ),
    "two shaders of one name": (
        lambda m: variant(m)["shaders"][1].update(name="affine"),
        "shaders[1].name: 'affine' is there twice",
    ),
    "input in no arena": (
        lambda m: variant(m)["entries"][0]["inputs"][0].update(arena=2),
        "entries[0].inputs[0].arena: 2 is past the end of 2",
    ),
    "missing GPU input": (
        lambda m: variant(m)["entries"][1]["inputs"].pop(),
        "entries[1].inputs: expected 2 as entry 'stretch' has, got 1",
    ),
    "binding in no arena": (
        lambda m: command(m, 0, 0)["bindings"].__setitem__(0, ["arena", 5, 0, 16]),
        "entries[0].commands[0]: 5 is past the end of 2",
    ),
    "unknown shader": (
        lambda m: command(m, 0, 0).update(shader=3),
        "commands[0].shader: 3 is past the end of 3",
    ),
    "binding count": (
        lambda m: command(m, 0, 0)["bindings"].pop(),
        "commands[0].bindings: expected 4 as shader 'affine' has, got 3",
    ),
    "word count": (
        lambda m: command(m, 0, 0)["words"].append(1),
        "commands[0].words: expected 2, the first of them",
    ),
    "no infinity": (
        lambda m: command(m, 0, 0)["words"].__setitem__(0, 1),
        "commands[0].words: expected 2, the first of them 2139095040",
    ),
    "unbound symbol in a command": (
        lambda m: command(m, 0, 0)["words"].__setitem__(1, "n"),
        "commands[0]: symbol 'n' is not one of the entry's",
    ),
    "workgroups": (
        lambda m: command(m, 0, 0).update(workgroups=[1, 1]),
        "workgroups: expected 3 elements, got 2",
    ),
    "read and read_write of one buffer": (
        lambda m: command(m, 0, 0)["bindings"][0].__setitem__(1, 1),
        "commands[0].bindings[3]: arena 1 is bound both as read and as read_write",
    ),
    "writing weights": (
        lambda m: command(m, 0, 1)["bindings"].__setitem__(0, ["weights", 0, 0, 48]),
        "commands[1].bindings[0]: weights are never written",
    ),
    "weight binding past its buffer": (
        lambda m: command(m, 0, 0)["bindings"].__setitem__(1, ["weights", 0, 512, 48]),
        "commands[0].bindings[1]: bytes 512 to 560 of a buffer of 512",
    ),
    "weight binding somewhere": (
        lambda m: command(m, 0, 0)["bindings"].__setitem__(1, ["weights", 0, "batch", 48]),
        "commands[0].bindings[1]: the place of a weight is known",
    ),
    "filling weights": (
        lambda m: command(m, 1, 0).update(to=["weights", 0, 0]),
        "commands[0].to: weights are never written",
    ),
    "copy within a buffer": (
        lambda m: command(m, 1, 1).update({"from": ["arena", 1, 0]}),
        "commands[1]: a copy within one buffer",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_contradictions(packs: Path, case: str) -> None:
    edit, message = WRONG[case]
    with pytest.raises(PackError) as caught:
        validate(decode_manifest(edited(packs, edit)))
    assert message in str(caught.value)


@pytest.mark.parametrize("fields", [{"abi": 2}, {"pointer_bits": 64}])
def test_newer_abi(packs: Path, fields: Json) -> None:
    with pytest.raises(PackVersionError, match="update pyruntime"):
        validate(decode_manifest(edited(packs, lambda m: m["targets"]["wasm"].update(fields))))


def test_fixed_sizes_are_checked_at_once(packs: Path) -> None:
    def fix(m: Json) -> None:
        text = json.dumps(m).replace('"batch"', "5").replace('"n"', "5")
        m.clear()
        m.update(json.loads(text))
        for entry in m["entries"]:
            entry["symbols"] = []
        variant(m)["entries"][0]["arenas"][1] = 40

    with pytest.raises(PackError, match="bytes 0 to 60 lie outside arena 1 of 40 bytes"):
        validate(decode_manifest(edited(packs, fix)))


TUNED = json.loads((Path(__file__).parents[1] / "vectors" / "tuned.json").read_text())


@pytest.mark.parametrize("row", TUNED, ids=lambda r: "-".join(filter(None, map(str, r.values()))))
def test_what_names_a_tuned_gpu(packs: Path, row: Json) -> None:
    names = {k: v for k, v in row.items() if k != "named"}
    entry = {"file": "tuned.json", "bytes": 1, "sha256": "0" * 64, **names}
    made = decode_manifest(edited(packs, lambda m: m["targets"]["webgpu"].update(tuned=[entry])))
    if row["named"]:
        validate(made)
    else:
        with pytest.raises(PackError, match=r"tuned\[0\]: neither a device nor vendor and architecture are"):
            validate(made)
