"""Sizes that floats decide: constants as in ONNX Runtime, fed ones exactly, wherever they come from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper
from pyruntime_converter.frontends.onnx.resampling import Axis, taps
from pyruntime_converter.frontends.onnx.roundings import LARGEST_SCALED, meant, scaled
from pyruntime_converter.passes import optimise

import pyruntime
from pyruntime.errors import InputError, UnsupportedError
from pyruntime.ir.dims import symbol
from pyruntime.ir.symbols import evaluate
from pyruntime.ops.run_graph import run_graph
from tests.frontends.argument_models import MODELS, Feeds, ints
from tests.frontends.on_devices import DEVICES, Device
from tests.frontends.onnx_models import imported, model, one_node, random, reference, runtime, same

FED = ("x", "", "s")
SCALES = (0.7, 1.1, 2.3, 0.123456, 5.1, 0.6, 1 / 3, 7.0, 0.01, 33.3)


def floats(*values: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(values, np.float32)


def picked(x: np.ndarray[Any, Any], scale: float, coordinates: str, rounding: str) -> np.ndarray[Any, Any]:
    """The elements nearest to float64 coordinates by a float32 scale."""
    held = float(np.float32(scale))
    axis = Axis(len(x), math.floor(len(x) * held), held, len(x) * held)
    made = taps(axis, "nearest", coordinates, rounding, a=0, antialias=False, exclude_outside=False)
    return x[made.indices[:, 0]]


@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "half_pixel_symmetric", "align_corners"])
def test_fed_scales_pick_the_nearest_elements(coordinates: str, rounding: str) -> None:
    """All of them: coordinates are exact, as in float64, also where float32 rounds to the other side."""
    how: dict[str, Any] = {
        "coordinate_transformation_mode": coordinates,
        "nearest_mode": rounding,
        "opset": 19,
    }
    for size in (1, 7, 100, 1023):
        x = np.arange(size, dtype=np.float32)
        fed = imported(one_node("Resize", {"x": x, "s": floats(1)}, inputs=FED, **how))
        for scale in SCALES:
            wanted = {"out": picked(x, scale, coordinates, rounding)}
            same(run_graph(fed, {"x": x, "s": floats(scale)}), wanted, 0)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
def test_fed_scales_mix_as_in_the_standard(coordinates: str, mode: str) -> None:
    how: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": coordinates, "opset": 19}
    for size in (2, 9, 40):
        x = random(size, seed=size)
        proto = one_node("Resize", {"x": x, "s": floats(1)}, inputs=FED, **how)
        fed = imported(proto)
        for scale in SCALES:
            feeds = {"x": x, "s": floats(scale)}
            if math.floor(size * float(feeds["s"][0])):
                same(run_graph(fed, feeds), reference(proto, feeds))


@pytest.mark.parametrize("inside", [0, 1])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric"])
def test_antialias_by_fed_scales_and_sizes(coordinates: str, mode: str, inside: int) -> None:
    how: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": coordinates, "antialias": 1}
    how |= {"opset": 19, "exclude_outside": inside, "axes": [1]}
    for size in (2, 9, 40):
        x = random(3, size, 2, seed=size)
        given = {"x": x, "s": floats(1)}, {"x": x, "n": ints(1)}
        inputs = FED, ("x", "", "", "n")
        fed = [imported(one_node("Resize", f, inputs=i, **how)) for f, i in zip(given, inputs, strict=True)]
        for scale in SCALES:
            out = math.floor(size * float(floats(scale)[0]))
            if out != scaled(size, float(floats(scale)[0]), 100):
                continue  # a constant gives one element more
            for graph, names, told in zip(fed, inputs, ({"s": floats(scale)}, {"n": ints(out)}), strict=True):
                if out:
                    constant = one_node("Resize", {"x": x}, weights=told, inputs=names, **how)
                    # near an end all that is inside may weigh little, and is divided by that
                    same(run_graph(graph, {"x": x, **told}), run_graph(imported(constant), {"x": x}), 1e-4)


@pytest.mark.parametrize(
    ("size", "scale"),
    [(10, 0.7), (20, 0.35), (100, 0.29), (30, 0.9), (10, 0.1), (5, 2.2), (30, 1.3), (9, 7 / 3)],
)
@pytest.mark.parametrize("told", ["constant", "open", "fed"])
def test_sizes_are_those_of_the_product_in_float32(told: str, size: int, scale: float) -> None:
    """10 * float32(0.7) is 6.99999988, which float32 rounds to 7; of fed scales it is the exact product."""
    x, scales = {"x": random(size)}, {"s": floats(scale)}
    constant = one_node("Resize", x, weights=scales, inputs=FED, opset=19)
    if told == "fed":
        fed, feeds = one_node("Resize", {**x, **scales}, inputs=FED, opset=19), {**x, **scales}
        same(run_graph(imported(fed), feeds), reference(fed, feeds), 0)
        return
    opened = one_node("Resize", x, weights=scales, inputs=FED, opset=19, shapes={"x": ["n"]})
    (out,) = run_graph(imported({"constant": constant, "open": opened}[told]), x).values()
    assert out.shape == (math.floor(np.float32(size) * np.float32(scale)),)
    same({"out": out}, runtime(constant, x), 0)


@pytest.mark.parametrize(
    "scale", [0.7, 7 / 3, 1.3, 2.6, 1 / 3, 0.123456, 1.41421356, 33.3, 0.01, 59.0, 0.0625]
)
def test_formulas_of_scaled_sizes(scale: float) -> None:
    """Of all sizes up to 3,000, of some up to the largest, and of those next to where a formula changes."""
    held, most = float(np.float32(scale)), 2**20
    last = min(int(most / held), LARGEST_SCALED)
    found = scaled(symbol("n"), held, most)
    twos = np.concatenate([2**k + np.arange(-3, 4) for k in range(2, 23)])
    some = np.random.default_rng(0).integers(0, last + 1, 500)
    numbers = np.concatenate([np.arange(3000), some, twos])
    numbers = numbers[(numbers >= 0) & (numbers <= last)]
    wanted = np.floor(numbers.astype(np.float32) * np.float32(scale)).astype(int).tolist()
    assert [evaluate(found, {"n": int(n)}) for n in numbers] == wanted
    assert [scaled(int(n), held, most) for n in numbers] == wanted


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "pytorch_half_pixel", "align_corners"])
def test_constant_scales_pick_what_onnx_runtime_picks(coordinates: str, rounding: str, opened: bool) -> None:
    """Where quotients are whole, too: 7 / float32(0.7) is 10.0000002, which float32 rounds to 10.

    With sizes that are open coordinates are exact fractions of the scale that was meant, mostly the same.
    """
    how: dict[str, Any] = {"coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
    how |= {"inputs": FED, "opset": 19, "shapes": {"x": ["n"]} if opened else None}
    for scale in (0.7, 7 / 3, 1.3, 2.6, 0.35):
        proto = one_node("Resize", {"x": random(1)}, weights={"s": floats(scale)}, **how) if opened else None
        graph = proto and imported(proto)
        for size in (10, 20, 30, 100):
            if (size * float(np.float32(scale)) + 1e-3) % 1 > 2e-3 and coordinates == "align_corners":
                continue  # ONNX Runtime forgets the fraction
            x = {"x": np.arange(size, dtype=np.float32)}
            constant = one_node("Resize", x, weights={"s": floats(scale)}, **{**how, "shapes": None})
            (found,) = run_graph(graph or imported(constant), x).values()
            (wanted,) = runtime(constant, x).values()
            assert found.shape == wanted.shape
            assert (found != wanted).mean() <= (0.1 if opened else 0), (scale, size)


def test_scales_that_were_meant() -> None:
    for above, below in ((7, 10), (7, 3), (1, 3), (13, 10), (2, 1)):
        assert meant(float(np.float32(above / below))) == (above, below)
    held = float(np.float32(0.123456))
    assert meant(held) == held.as_integer_ratio()


@pytest.mark.parametrize("fed", [False, True])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_crops_by_scales(mode: str, fed: bool) -> None:
    """Of sizes that only the run knows; steps are those of the exact product, as in ONNX's reference."""
    how: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize", "opset": 19}
    how |= {"inputs": ("x", "roi", "s"), "extrapolation_value": 7.0, "shapes": {"x": ["n"]}}
    for roi in (floats(0.2, 0.9), floats(-0.31, 0.53), floats(0.7, 0.1)):
        for scale in (0.71, 1.1, 2.31, 3.0):
            given, told = {"x": random(1)}, {"roi": roi, "s": floats(scale)}
            proto = (
                one_node("Resize", {**given, **told}, **how)
                if fed
                else one_node("Resize", given, weights=told, **how)
            )
            graph = imported(proto)
            for size in (2, 7, 30):
                feeds = {"x": random(size, seed=size), **(told if fed else {})}
                same(run_graph(graph, feeds), reference(proto, feeds))


def test_a_scale_that_leaves_nothing() -> None:
    feeds = {"x": random(1, 3), "s": floats(1, 0.25)}
    (out,) = run_graph(imported(one_node("Resize", feeds, inputs=FED, opset=19)), feeds).values()
    assert out.shape == (1, 0)


NUMBERS = {n: np.array(v, np.float32) for n, v in zip("abc", (0, 3, 1), strict=True)}
ON_OFF = {"i": ints(0, 1), "d": np.array(3, np.float32), "v": floats(0, 1)}
REFUSED: list[tuple[str, Feeds, str, tuple[float, ...]]] = [
    (
        "Resize",
        {"x": random(4), "s": floats(2)},
        "s",
        (math.nan, math.inf, -math.inf, 0, -0.0, -1, 1e-30, 1e30),
    ),
    ("Resize", {"x": random(4), "s": floats(2)}, "s", (2.0**18 + 1, 1e7)),
    ("OneHot", ON_OFF, "d", (math.nan, math.inf, -1, 1e10)),
    ("Range", NUMBERS, "a", (math.nan, -math.inf, 1e30, -3e9)),
    ("Range", NUMBERS, "b", (math.nan, math.inf, 1e30, 3e9)),
    ("Range", NUMBERS, "c", (math.nan, math.inf, 0, 1e-30, 1e-18)),
]


@pytest.mark.parametrize(("op", "good", "name", "values"), REFUSED)
def test_values_that_mean_nothing_are_refused(
    op: str, good: Feeds, name: str, values: tuple[float, ...]
) -> None:
    how: dict[str, Any] = {"inputs": FED} if op == "Resize" else {}
    graph = imported(one_node(op, good, opset=18, **how))
    run_graph(graph, good)
    for value in values:
        with pytest.raises(InputError, match=rf"{op} 'node': |input '{name}': \S+ decides sizes"):
            run_graph(graph, good | {name: np.full_like(good[name], value)})


@pytest.mark.parametrize(
    ("name", "value"), [("c", 0), ("c", math.nan), ("c", 1e-30), ("b", math.inf), ("b", 1e9), ("a", -1e30)]
)
def test_numbers_of_iterations_without_a_bound_are_refused(name: str, value: float) -> None:
    proto, (good, *_) = MODELS["Loop-fed-float32"]
    with pytest.raises(InputError, match=rf"Loop 'node': its number of iterations|input '{name}'"):
        run_graph(imported(proto), good | {name: np.array(value, np.float32)})


def test_scales_that_are_put_together() -> None:
    """What exporters write: ones for batch and channels, then what is fed, cut and turned."""
    nodes = [
        helper.make_node("Slice", ["s", "from", "to", "zero", "back"], ["turned"]),
        helper.make_node("Concat", ["ones", "turned"], ["scales"], axis=0),
        helper.make_node("Resize", ["x", "", "scales"], ["out"]),
    ]
    weights = {"ones": floats(1, 1), "from": ints(2), "to": ints(0), "zero": ints(0), "back": ints(-1)}
    every = [{"x": random(1, 2, 3, 4), "s": floats(9, *s)} for s in ((2, 3), (0.5, 1.25), (1, 1))]
    proto = model(nodes, every[0], ["out"], opset=18, weights=weights)
    graph = imported(proto)
    for feeds in every:
        same(run_graph(graph, feeds), runtime(proto, feeds))


def test_scales_that_are_computed_are_refused() -> None:
    nodes = [
        helper.make_node("Exp", ["s"], ["e"]),
        helper.make_node("Resize", ["x", "", "e"], ["out"], "node"),
    ]
    with pytest.raises(UnsupportedError, match="its scales depends on the model's input data"):
        imported(model(nodes, {"x": random(4), "s": floats(1)}, ["out"], opset=18))


def _branch(name: str, scale: str) -> Any:
    node = helper.make_node("Resize", ["x", "", scale], ["r"])
    total = helper.make_node("ReduceSum", ["r"], [name], keepdims=0)
    return helper.make_graph(
        [node, total], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, [])]
    )


def test_scales_inside_branches() -> None:
    node = helper.make_node(
        "If", ["on"], ["out"], then_branch=_branch("a", "s"), else_branch=_branch("b", "t")
    )
    every = [
        {"on": np.array(on), "x": random(7), "s": floats(s), "t": floats(t)}
        for on, s, t in ((True, 2, 0.3), (False, 3, 0.31), (True, 0.5, 2))
    ]
    proto = model([node], every[0], ["out"], opset=18)
    graph = imported(proto)
    for feeds in every:
        same(run_graph(graph, feeds), runtime(proto, feeds))


@pytest.mark.parametrize("device", DEVICES)
def test_several_sizes_of_one_session(device: Device, tmp_path: Path) -> None:
    """Long axes and fine scales, where 32 bits hold neither products nor coordinates."""
    x = np.arange(40_000, dtype=np.float32)
    how: dict[str, Any] = {"opset": 19, "nearest_mode": "floor"}
    proto = one_node("Resize", {"x": x, "s": floats(1)}, inputs=FED, **how)
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(tmp_path / "model.onnx", tmp_path / "model.pack", targets=(device,))
    with pyruntime.load(tmp_path / "model.pack", device=device) as session:
        for scale in (0.7, 2.3, 25.1, 0.0101, 1):
            feeds = {"x": x, "s": floats(scale)}
            same(dict(session.run(feeds)), {"out": picked(x, scale, "half_pixel", "floor")}, 0)
        for bad in (math.nan, -2, 1e9):
            with pytest.raises(InputError):
                session.run({"x": x, "s": floats(bad)})


@pytest.mark.parametrize("device", DEVICES)
def test_open_sizes_by_constant_scales(device: Device, tmp_path: Path) -> None:
    """One of a fraction that float32 cuts right, and one of which it loses some whole numbers."""
    how: dict[str, Any] = {"inputs": FED, "opset": 19, "mode": "linear", "shapes": {"x": ["h", "w"]}}
    proto = one_node("Resize", {"x": random(1, 1)}, weights={"s": floats(0.7, 1.3)}, **how)
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(tmp_path / "model.onnx", tmp_path / "model.pack", targets=(device,))
    with pyruntime.load(tmp_path / "model.pack", device=device) as session:
        for shape in ((10, 10), (2, 1), (7, 30), (20, 80), (3, 50)):
            feeds = {"x": random(*shape)}
            same(dict(session.run(feeds)), runtime(proto, feeds))


def test_bfloat16_numbers() -> None:
    """As themselves, and as the codes that they are in packs."""
    feeds = {n: np.array(v, ml_dtypes.bfloat16) for n, v in zip("abc", (0.5, 4, 0.75), strict=True)}
    wanted = np.arange(0.5, 4, 0.75).astype(ml_dtypes.bfloat16)
    graph = imported(one_node("Range", feeds, opset=27))
    (out,) = run_graph(graph, feeds).values()
    np.testing.assert_array_equal(out, wanted)
    optimise(graph)
    (codes,) = run_graph(graph, {n: v.view(np.uint16) for n, v in feeds.items()}).values()
    np.testing.assert_array_equal(codes.view(ml_dtypes.bfloat16), wanted)
