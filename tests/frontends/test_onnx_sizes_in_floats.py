"""Sizes that exporters count in floats: quotients as scales of Resize, floors of sizes times a constant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper
from pyruntime_converter.frontends.onnx.roundings import LARGEST, Operator, Rounding, is_exact, rounded

from pyruntime.errors import InputError, UnsupportedError
from pyruntime.ir.dims import symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.symbols import evaluate
from pyruntime.ops.run_graph import run_graph
from tests.frontends.argument_models import ints
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import imported, model, random, runtime, same

OPEN: dict[str, list[int | str | None]] = {"x": [1, 2, "h", "w"], "y": [1, 3, "a", "b"]}
SIZES = [((7, 5), (14, 13)), ((1, 2), (9, 2)), ((6, 4), (7, 31))]


def floats(*values: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(values, np.float32)


def by_quotient(mode: str, opset: int) -> ModelProto:
    """F.interpolate(x, size=y.shape[2:]) as PyTorch's first exporter writes it in opsets 9 and 10."""
    nodes = [
        helper.make_node("Shape", ["y"], ["wanted"]),
        *(helper.make_node("Gather", ["wanted", f"at{a}"], [f"size{a}"], axis=0) for a in (2, 3)),
        *(helper.make_node("Unsqueeze", [f"size{a}"], [f"part{a}"], axes=[0]) for a in (2, 3)),
        helper.make_node("Concat", ["part2", "part3"], ["target"], axis=0),
        helper.make_node("Cast", ["target"], ["above"], to=1),
        helper.make_node("Shape", ["x"], ["present"]),
        *(
            [helper.make_node("Slice", ["present"], ["spatial"], axes=[0], starts=[2], ends=[2**63 - 1])]
            if opset < 10
            else [helper.make_node("Slice", ["present", "two", "end", "zero"], ["spatial"])]
        ),
        helper.make_node("Cast", ["spatial"], ["below"], to=1),
        helper.make_node("Div", ["above", "below"], ["quotient"]),
        helper.make_node("Concat", ["ones", "quotient"], ["scales"], axis=0),
        helper.make_node("Upsample" if opset < 10 else "Resize", ["x", "scales"], ["out"], mode=mode),
    ]
    weights = {"at2": np.array(2), "at3": np.array(3), "ones": floats(1, 1)}
    if opset > 9:
        weights |= {"two": ints(2), "end": ints(2**63 - 1), "zero": ints(0)}
    feeds = {"x": random(1, 2, 7, 5), "y": random(1, 3, 14, 13)}
    return model(nodes, feeds, ["out"], opset=opset, weights=weights, shapes=OPEN)


@pytest.mark.parametrize(("opset", "mode"), [(9, "nearest"), (10, "linear")])
@pytest.mark.parametrize("device", DEVICES)
def test_scales_that_are_quotients_of_sizes(device: Device, mode: str, opset: int, tmp_path: Path) -> None:
    proto = by_quotient(mode, opset)
    for (h, w), (a, b) in SIZES:
        feeds = {"x": random(1, 2, h, w, seed=h), "y": random(1, 3, a, b)}
        wanted = runtime(proto, feeds)
        same(run_graph(imported(proto), feeds), wanted)
    same(on_device(proto, feeds, device, tmp_path), wanted)


def test_quotients_give_the_size_that_was_meant() -> None:
    """Also where float32 rounds quotient and product to less: 1 / 41 * 41 is 0.99999994 there."""
    graph = imported(by_quotient("nearest", 10))
    for below, above in ((41, 1), (47, 1), (10, 7), (3, 5)):
        feeds = {"x": random(1, 2, below, 3), "y": random(1, 3, above, 3)}
        (out,) = run_graph(graph, feeds).values()
        assert out.shape == (1, 2, above, 3)


CONSTANTS = (2.0, 0.5, 0.7, 0.1, 1 / 3, 1.5, 0.9, 32.0, 3.0, 7.0, 0.75, 10.0)


@pytest.mark.parametrize("dtype", [DType.F32, DType.F64])
@pytest.mark.parametrize("rounding", ["Floor", "Ceil"])
@pytest.mark.parametrize("operator", ["Mul", "Div"])
def test_formulas_give_what_floats_give(operator: Operator, rounding: Rounding, dtype: DType) -> None:
    size = symbol("n")
    numbers = np.concatenate([np.arange(3000), np.random.default_rng(0).integers(0, LARGEST + 1, 500)])
    some = 0
    for constant in CONSTANTS:
        held = float(np.asarray(constant, dtype.value))
        formula = rounded(operator, size, held, dtype, rounding)
        if formula is None:
            assert not is_exact(operator, held, dtype)
            continue
        some += 1
        x = numbers.astype(dtype.value)
        factor = np.asarray(held, dtype.value)
        wanted = x * factor if operator == "Mul" else x / factor
        cut = np.floor(wanted) if rounding == "Floor" else np.ceil(wanted)
        assert [evaluate(formula, {"n": int(n)}) for n in numbers] == cut.astype(int).tolist(), constant
    assert some >= 9


def counted(nodes: list[Any], constants: dict[str, Any]) -> ModelProto:
    """x, whose last size is open, filled up with zeros to as many as floats tell."""
    every = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["size"], axis=0),
        helper.make_node("Cast", ["size"], ["n"], to=1),
        *nodes,
        helper.make_node("Cast", ["m"], ["count"], to=7),
        helper.make_node("ConstantOfShape", ["count"], ["out"]),
    ]
    weights = {"one": ints(1), **constants}
    return model(every, {"x": random(2, 10)}, ["out"], opset=13, weights=weights, shapes={"x": [2, "n"]})


def node(op: str, *names: str, **attrs: Any) -> Any:
    return helper.make_node(op, list(names[:-1]), [names[-1]], **attrs)


CHAINS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "scaled": ([node("Mul", "n", "c", "p"), node("Floor", "p", "m")], {"c": floats(0.7)}),
    "scaled-on-the-left": ([node("Mul", "c", "n", "p"), node("Ceil", "p", "m")], {"c": floats(0.9)}),
    "cut-by-the-cast": ([node("Mul", "n", "c", "m")], {"c": floats(1 / 3)}),
    "divided": ([node("Div", "n", "c", "p"), node("Ceil", "p", "m")], {"c": floats(7)}),
    "up-to-a-multiple": (
        [node("Div", "n", "c", "p"), node("Ceil", "p", "q"), node("Mul", "q", "c", "m")],
        {"c": floats(32)},
    ),
    "rounded-before-it-is-widened": (
        [node("Mul", "n", "c", "p"), node("Cast", "p", "wide", to=11), node("Floor", "wide", "m")],
        {"c": floats(0.7)},
    ),
    "over-a-size": (
        [node("Mul", "n", "c", "p"), node("Div", "p", "n", "q"), node("Floor", "q", "m")],
        {"c": floats(3)},
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_sizes_that_floats_tell(name: str) -> None:
    proto = counted(*CHAINS[name])
    graph = imported(proto)
    for size in (1, 2, 10, 31, 32, 33, 97, 100, 1000):
        feeds = {"x": random(2, size)}
        same(run_graph(graph, feeds), runtime(proto, feeds))


@pytest.mark.parametrize("device", DEVICES)
def test_sizes_that_floats_tell_on_devices(device: Device, tmp_path: Path) -> None:
    feeds = {"x": random(2, 10)}
    same(on_device(counted(*CHAINS["scaled"]), feeds, device, tmp_path), {"out": np.zeros(7, np.float32)})


def test_no_formula_is_tried_beyond_the_largest_size() -> None:
    graph = imported(counted(*CHAINS["scaled"]))
    with pytest.raises(InputError, match=r"Cast .* floats do not hold what becomes of n"):
        run_graph(graph, {"x": np.zeros((2, LARGEST + 1), np.float32)})


def test_long_chains_are_looked_at_once() -> None:
    """Each node twice would take years."""
    nodes = [node("Div", "n", "n", "p0")]
    nodes += [node("Mul", f"p{i}", f"p{i}", f"p{i + 1}") for i in range(80)]
    nodes += [node("Min", "p80", "n", "q0"), *(node("Min", f"q{i}", f"q{i}", f"q{i + 1}") for i in range(80))]
    nodes.append(node("Cast", "q80", "count", to=7))
    nodes += [node("Concat", "two", "count", "sizes", axis=0), node("Resize", "x", "", "", "sizes", "out")]
    before = counted([], {}).graph.node[:3]
    weights = {"one": ints(1), "two": ints(2)}
    proto = model(
        [*before, *nodes], {"x": random(2, 10)}, ["out"], opset=13, weights=weights, shapes={"x": [2, "n"]}
    )
    graph = imported(proto)
    for size in (1, 10):
        same(run_graph(graph, {"x": random(2, size)}), runtime(proto, {"x": random(2, size)}))


def test_what_no_formula_gives_is_refused() -> None:
    """Of 1.3 as a float32, which is less than that, some products are rounded up to whole numbers."""
    chain = [node("Mul", "n", "c", "p"), node("Floor", "p", "m")], {"c": floats(1.3)}
    with pytest.raises(UnsupportedError, match="ConstantOfShape"):
        imported(counted(*chain))
