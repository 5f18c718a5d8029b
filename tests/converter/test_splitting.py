"""Attention whose keys many workgroups share: in programs, packs, sessions with a cache, and `diff`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto
from pyruntime_converter import differ
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.targets.splitting import MANY, split_keys

import pyruntime
from pyruntime.ops.interpret import run_program
from pyruntime.pack.reader import Pack
from pyruntime.pack.targets import Dispatch
from tests.frontends.on_devices import Device
from tests.frontends.onnx_models import random, runtime, same
from tests.passes.net import Net, Shapes, optimised

HEADS, WIDTH, PAST = 3, 8, MANY + 89


def feeds(rows: int, past: int) -> dict[str, NDArray[np.float32]]:
    """One step of a decoder: queries, keys and values of new tokens, and what there was."""
    new = {n: random(1, HEADS, rows, WIDTH, seed=past + i) for i, n in enumerate("qkv")}
    return {
        **new,
        "past_k": random(1, HEADS, past, WIDTH, seed=1),
        "past_v": random(1, HEADS, past, WIDTH, seed=2),
    }


def decoder() -> ModelProto:
    """Attention to all that was and is, which is told as the next past."""
    shapes: Shapes = {
        **{n: [1, HEADS, "rows", WIDTH] for n in "qkv"},
        **{n: [1, HEADS, "past", WIDTH] for n in ("past_k", "past_v")},
    }
    net = Net(feeds(1, 4), shapes)
    keys, values = (net("Concat", f"past_{n}", n, axis=2) for n in "kv")
    scores = net("Mul", net("MatMul", "q", net("Transpose", keys, perm=[0, 1, 3, 2])), 0.5)
    return net.proto(net("MatMul", net("Softmax", scores, axis=-1), values), keys, values)


@pytest.mark.parametrize(("rows", "past"), [(1, PAST), (1, 5), (7, PAST)])
def test_programs_are_the_same(rows: int, past: int) -> None:
    graph, fed = optimised(decoder()), feeds(rows, past)
    program, symbols = lower(graph), {"rows": rows, "past": past}
    made = split_keys(program)
    assert [s.name for s in program.calls] == [s.name for s in made.calls if ", " not in s.name]
    assert len(made.calls) == len(program.calls) + 2
    assert set(made.boundaries) == {s.name for s in made.calls}
    inputs = [fed[v.name] for v in graph.inputs]
    for one, other in zip(
        run_program(program, inputs, symbols), run_program(made, inputs, symbols), strict=True
    ):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_states_change_where_they_did() -> None:
    """`commit` names the same step, whichever it is."""
    program = lower(optimised(decoder()))
    program.steps += program.steps[:1]
    for commit, step in enumerate(program.steps):
        made = split_keys(replace(program, commit=commit))
        assert made.commit is not None
        assert made.steps[made.commit].name == step.name


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as a file."""
    path = tmp_path_factory.mktemp("splitting") / "m.onnx"
    path.write_bytes(decoder().SerializeToString())
    return path


@pytest.mark.webgpu
@pytest.mark.parametrize("targets", [("webgpu",), ("webgpu", "wasm")])
def test_in_packs(path: Path, targets: tuple[Device, ...], tmp_path: Path) -> None:
    pyruntime.convert(path, tmp_path / "pack", targets=targets)
    with Pack(tmp_path / "pack") as pack:
        assert pack.manifest.targets.webgpu is not None
        commands = pack.manifest.targets.webgpu.variants[-1].entries[0].commands
    steps = [c.step for c in commands if isinstance(c, Dispatch)]
    assert sum(bool(re.fullmatch(r"attention .*, (runs of keys|together)", s)) for s in steps) == 2
    for device in targets:
        with pyruntime.load(tmp_path / "pack", device=device) as session:
            for fed in (feeds(1, PAST), feeds(7, PAST), feeds(1, 5), feeds(1, 1500)):
                same(session.run(fed), runtime(decoder(), fed), 1e-5)


@pytest.mark.webgpu
def test_with_a_cache(path: Path, tmp_path: Path) -> None:
    """A prompt, then token by token: each step, and what is kept, as without one."""
    attended, *kept = (o.name for o in decoder().graph.output)
    state = dict(zip(("past_k", "past_v"), kept, strict=True))
    pyruntime.convert(path, tmp_path / "pack", targets=("webgpu",), state=state, capacity={"past": 1024})
    past = {n: np.zeros((1, HEADS, 0, WIDTH), np.float32) for n in state}
    with pyruntime.load(tmp_path / "pack", device="webgpu") as session:
        for rows in (MANY - 2, 1, 1, 1, 3, 1):
            new = {n: a for n, a in feeds(rows, rows).items() if n in "qkv"}
            expected = runtime(decoder(), new | past)
            same(session.run(new), {attended: expected[attended]}, 1e-5)
            past = {n: expected[name] for n, name in state.items()}


@pytest.mark.webgpu
def test_diff_compares_each_part(path: Path) -> None:
    fed = feeds(1, PAST)
    steps = list(differ.diff(path, "webgpu", lambda _: fed, 1e-4))
    assert [s.step.partition(", ")[2] for s in steps if s.step.startswith("attention")] == [
        "runs of keys",
        "together",
    ]
    assert not any(s.diverges for s in steps)
    assert all(s.elements for s in steps)
