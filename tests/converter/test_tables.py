"""What one 8-bit value alone decides is looked up on Wasm, exactly as the operators give it one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.targets.tables import tabulate

import pyruntime
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import KernelCall, Map, MatMul
from pyruntime.ir.program import Program
from pyruntime.ir.scalar import Call, tables_of, walk
from pyruntime.ops.interpret import run_program
from pyruntime.pack.reader import Pack
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import random
from tests.fuzz.known import runtime
from tests.passes.net import Net, optimised

Array = NDArray[Any]
LEVELS: dict[str, Array] = {t: np.arange(256, dtype=np.uint8).view(t) for t in ("uint8", "int8")}
SCALE, STEP = 0.05, 0.037


def quantise(net: Net, x: str, scale: float, zero: Array) -> str:
    return net("QuantizeLinear", x, np.asarray(scale, np.float32), zero)


def dequantise(net: Net, x: str, scale: float, zero: Array) -> str:
    return net("DequantizeLinear", x, np.asarray(scale, np.float32), zero)


def through(net: Net, x: str, scale: float, zero: Array) -> str:
    """x rounded to levels."""
    return dequantise(net, quantise(net, x, scale, zero), scale, zero)


def silu(net: Net, x: str, zero: Array) -> str:
    return net("Mul", x, through(net, net("Sigmoid", x), 1 / 255, zero * 0))


def hard_swish(net: Net, x: str, zero: Array) -> str:
    return net("Mul", x, through(net, net("HardSigmoid", x, alpha=1 / 6, beta=0.5), 1 / 255, zero * 0))


def halves(net: Net, x: str, zero: Array) -> str:
    """Every other level lies between two of the result: a product by the scale's inverse need not see it."""
    return through(net, net("Relu", x), 2 * SCALE, zero)


def tanh(net: Net, x: str, _: Array) -> str:
    return net("Tanh", x)


def leaky(net: Net, x: str, _: Array) -> str:
    return net("LeakyRelu", x, alpha=0.1)


CHAINS: dict[str, Callable[[Net, str, Array], str]] = {
    "silu": silu,
    "hard-swish": hard_swish,
    "halves": halves,
    "tanh": tanh,
    "leaky": leaky,
}


def levels_to_levels(chain: str, dtype: str) -> tuple[ModelProto, Array]:
    """All levels of a dtype through a chain, to levels again."""
    levels = LEVELS[dtype]
    zero = np.asarray(117 if dtype == "uint8" else -9, dtype)
    net = Net({"x": levels})
    y = CHAINS[chain](net, dequantise(net, "x", SCALE, zero), zero)
    return net.proto(quantise(net, y, 0.031, zero)), levels


def tabulated(proto: ModelProto) -> Program:
    (made,) = tabulate([lower(optimised(proto))])
    return made


def lookups(call: KernelCall) -> int:
    assert isinstance(call, (Map, MatMul))
    return sum(isinstance(n, Call) and n.function == "lookup" for n in walk(call.body))


@pytest.mark.parametrize("dtype", LEVELS)
@pytest.mark.parametrize("chain", CHAINS)
def test_tables_are_exact(chain: str, dtype: str) -> None:
    """All 256 results are those of ONNX Runtime without its optimisations."""
    proto, levels = levels_to_levels(chain, dtype)
    program = tabulated(proto)
    (call,) = program.calls
    assert lookups(call) == 1
    session = runtime(proto)
    assert session is not None
    (expected,) = session.run(None, {"x": levels})
    (made,) = run_program(program, [levels], {})
    np.testing.assert_array_equal(made, expected)
    assert len(np.unique(expected)) > 20


def layers() -> tuple[ModelProto, dict[str, Array]]:
    """Two products with a SiLU in 8 bits; one adds what was before it. Outputs are levels and floats."""
    net = Net({"x": random(7, 12)}, {"x": ["rows", 12]})
    zero = np.asarray(120, np.uint8)
    x = through(net, "x", 0.01, zero)
    gated = []
    for seed in range(2):
        weight = np.random.default_rng(seed).integers(-63, 63, (12, 37), np.int8)
        product = net("MatMul", x, dequantise(net, net.constant(weight), 0.01, np.asarray(0, np.int8)))
        y = through(net, product, 0.0213, zero)
        gated.append((y, quantise(net, silu(net, y, zero), 0.02, np.asarray(15, np.uint8))))
    y, levels = gated[1]
    total = net("Add", y, dequantise(net, levels, 0.02, np.asarray(15, np.uint8)))
    return net.proto(gated[0][1], through(net, total, STEP, zero)), net.feeds


def test_epilogues_look_up() -> None:
    """The product's own epilogue does, and what reads two values still computes."""
    proto, feeds = layers()
    plain = lower(optimised(proto))
    (made,) = tabulate([plain])
    assert [lookups(c) for c in plain.calls] == [0] * len(plain.calls)
    assert [lookups(c) for c in made.calls] == [0, 1, 1]
    assert [t.name for t in made.weights() if t.name.startswith("tables")] == ["tables_uint8"]
    symbols = {"rows": 7}
    for a, b in zip(
        run_program(made, [feeds["x"]], symbols), run_program(plain, [feeds["x"]], symbols), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("device", DEVICES)
def test_devices_agree(tmp_path: Path, device: Device) -> None:
    """A GPU computes what Wasm looks up."""
    proto, feeds = layers()
    session = runtime(proto)
    assert session is not None
    expected = session.run(None, feeds)
    found = on_device(proto, feeds, device, tmp_path)
    for made, wanted, step in zip(found.values(), expected, (1, STEP), strict=True):
        steps = np.abs(made.astype(np.float32) - wanted.astype(np.float32)) / step
        assert steps.max() < 1.01
        assert (steps > 0.01).mean() < 0.02  # sums that lie on a boundary
    with Pack(tmp_path / "model.pack") as pack:
        names = [t.name for t in pack.manifest.weights.tensors]
    assert ("tables_uint8" in names) is (device == "wasm")


def test_packs_for_both_targets_share_the_rest(tmp_path: Path) -> None:
    proto, feeds = layers()
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(tmp_path / "model.onnx", tmp_path / "pack")
    with Pack(tmp_path / "pack") as pack:
        names = [t.name for t in pack.manifest.weights.tensors]
    assert len(names) == len(set(names))
    with pyruntime.load(tmp_path / "pack", device="wasm") as session:
        assert session.run(feeds)


def test_what_several_read_is_stored_as_levels() -> None:
    """Each reader dequantises for itself."""
    zero = np.asarray(120, np.uint8)
    net = Net({"x": random(7, 12)})
    weight = np.random.default_rng(0).integers(-63, 63, (12, 37), np.int8)
    product = net(
        "MatMul",
        through(net, "x", 0.01, zero),
        dequantise(net, net.constant(weight), 0.01, np.asarray(0, np.int8)),
    )
    y = through(net, product, 0.02, zero)
    proto = net.proto(net("Sigmoid", y), through(net, net("Add", y, 1.5), 0.03, zero))
    program = tabulated(proto)
    (stored,) = [c.output.tensor for c in program.calls if isinstance(c, MatMul)]
    assert stored.dtype is DType.U8
    assert len(program.calls) == 4
    session = runtime(proto)
    assert session is not None
    for made, wanted in zip(
        run_program(program, [net.feeds["x"]], {}), session.run(None, net.feeds), strict=True
    ):
        np.testing.assert_allclose(made.reshape(wanted.shape), wanted, rtol=1e-5, atol=1e-6)


def test_what_is_cheap_or_decided_by_more_is_computed() -> None:
    zero = np.asarray(120, np.uint8)
    net = Net({"x": LEVELS["uint8"], "y": LEVELS["uint8"]})
    x, y = (dequantise(net, n, SCALE, zero) for n in "xy")
    each = dequantise(net, "x", SCALE, zero)
    slope = np.linspace(0.1, 1, 256, dtype=np.float32)  # another function for each element
    outputs = (
        quantise(net, each, 0.03, zero),
        quantise(net, net("Mul", x, net("Sigmoid", y)), 0.03, zero),
        quantise(net, net("Mul", net("Tanh", x), slope), 0.03, zero),
        net("Sigmoid", x),
    )
    program = lower(optimised(net.proto(*outputs)))
    (made,) = tabulate([program])
    assert made is program
    assert not any(tables_of(c.body) for c in made.calls if isinstance(c, Map))


def test_long_chains() -> None:
    """As deep as a tree can be, and a sum that runs through a model of many layers."""
    levels, zero = LEVELS["uint8"], np.asarray(120, np.uint8)
    net = Net({"x": levels})
    y = dequantise(net, "x", SCALE, zero)
    for _ in range(400):
        y = net("LeakyRelu", y, alpha=0.998)
    proto = net.proto(quantise(net, y, 0.03, zero))
    (made,) = run_program(tabulated(proto), [levels], {})
    session = runtime(proto)
    assert session is not None
    np.testing.assert_array_equal(made, session.run(None, {"x": levels})[0])

    net = Net({"x": random(4), "y": random(4)})
    y = "x"
    for _ in range(200):
        y = through(net, net("Add", y, "y"), SCALE, zero)
    assert tabulated(net.proto(y)).calls
