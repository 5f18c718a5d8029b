"""Masks that attention computes where it reads them: which do, and what stays as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.targets.inlining import inline_masks
from typer.testing import CliRunner

import pyruntime
from pyruntime.cli.app import app
from pyruntime.ir.program import Program
from pyruntime.ops.interpret import run_program
from tests.frontends.onnx_models import random, runtime, same
from tests.passes.net import Net, Shapes, ints, optimised

HEADS, LENGTH, WIDTH = 3, 5, 8
FEEDS = {
    "q": random(2, HEADS, LENGTH, WIDTH, seed=1),
    "k": random(2, HEADS, LENGTH, WIDTH, seed=2),
    "v": random(2, HEADS, LENGTH, WIDTH, seed=3),
    "seen": np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 1]], np.int64),
    "each": random(2, 1, LENGTH, LENGTH, seed=4),
}
SHAPES: Shapes = {
    **{n: ["batch", HEADS, "length", WIDTH] for n in "qkv"},
    "seen": ["batch", "length"],
    "each": ["batch", 1, "length", "length"],
}
SYMBOLS = {"batch": 2, "length": LENGTH}


def net_of(*used: str) -> Net:
    return Net({n: FEEDS[n] for n in ("q", "k", "v", *used)}, {n: SHAPES[n] for n in ("q", "k", "v", *used)})


def attend(net: Net, mask: str, q: str = "q") -> str:
    product = net("MatMul", net("Mul", q, 0.25), net("Transpose", "k", perm=[0, 1, 3, 2]))
    return net("MatMul", net("Softmax", net("Add", product, mask), axis=-1), "v")


def padding(net: Net) -> str:
    wide = net("Unsqueeze", "seen", ints(1, 2))
    return net("Mul", net("Sub", 1.0, net("Cast", wide, to=1)), -1e4)


def programs(net: Net, *outputs: str) -> tuple[Program, Program]:
    """As lowered, and with masks inlined; both must give what ONNX Runtime gives."""
    proto = net.proto(*outputs)
    graph = optimised(proto)
    program = lower(graph)
    inlined = inline_masks(program)
    fed = [FEEDS[v.name] for v in graph.inputs]
    expected = runtime(proto, {v.name: FEEDS[v.name] for v in graph.inputs})
    for made in (program, inlined):
        results = run_program(made, fed, SYMBOLS)
        shaped = zip(graph.output_names, results, strict=True)
        same({n: r.reshape(expected[n].shape) for n, r in shaped}, expected, 1e-5)
    return program, inlined


def templates(program: Program) -> list[str]:
    return [c.template for c in program.calls]


def test_padding_of_two_layers() -> None:
    net = net_of("seen")
    mask = padding(net)
    before, after = programs(net, attend(net, mask, attend(net, mask)))
    assert templates(before).count("attention") == templates(after).count("attention") == 2
    assert len(before.calls) - len(after.calls) == 1


def test_a_mask_for_each_query() -> None:
    net = net_of("each")
    mask = net("Mul", net("Sub", 1.0, net("Abs", "each")), -1e2)
    before, after = programs(net, attend(net, mask))
    assert templates(before) == ["map", "attention"]
    assert templates(after) == ["attention"]


@pytest.mark.parametrize("kept", ["output", "reader", "dear", "product"])
def test_what_stays(kept: str) -> None:
    """Masks that something else needs, that cost much, or that are computed themselves."""
    net = net_of("seen", *(["each"] if kept == "product" else []))
    if kept == "product":
        mask = net("Mul", net("MatMul", "each", "each"), 0.5)
    elif kept == "dear":
        mask = net("Erf", net("Tanh", padding(net)))
    else:
        mask = padding(net)
    outputs = [attend(net, mask)]
    outputs += [mask] if kept == "output" else []
    outputs += [net("ReduceSum", net("Sub", mask, net("Sin", mask)))] if kept == "reader" else []
    before, after = programs(net, *outputs)
    assert templates(before) == templates(after)


@pytest.mark.webgpu
@pytest.mark.parametrize("targets", [("webgpu",), ("webgpu", "wasm")])
def test_in_packs(targets: tuple[str, ...], tmp_path: Path) -> None:
    """The GPU has no dispatch for the mask; Wasm keeps its step; `inspect` tells both."""
    net = net_of("seen")
    proto = net.proto(attend(net, padding(net)))
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    report = pyruntime.convert(tmp_path / "m.onnx", tmp_path / "pack", targets=targets)
    assert report.dispatches == 1
    fed = {n: FEEDS[n] for n in ("q", "k", "v", "seen")}
    for device in targets:
        with pyruntime.load(tmp_path / "pack", device=device) as session:  # type: ignore[arg-type]
            same(session.run(fed), runtime(proto, fed), 1e-5)
    told = CliRunner().invoke(app, ["inspect", str(tmp_path / "pack"), "--json"])
    (entry,) = json.loads(told.stdout)["entries"]
    assert entry["targets"]["webgpu"]["totals"]["dispatches"] == 1
    steps = {
        target: {s["name"].split(" ")[0]: s["boundary"] for s in found["steps"]}
        for target, found in entry["targets"].items()
    }
    wanted = {"webgpu": {"attention": "alone"}, "wasm": {"map": "operand", "attention": "alone"}}
    assert steps == {target: wanted[target] for target in targets}
