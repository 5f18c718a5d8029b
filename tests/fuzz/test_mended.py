"""The operators that are put right in ONNX's reference give what ONNX Runtime gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from tests.frontends.onnx_models import model, one_node, random, runtime, same
from tests.fuzz.mended import evaluator

Array = NDArray[Any]

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STEPS, BATCH, WIDTH, UNITS = 5, 3, 4, 2


def agrees(proto: ModelProto, feeds: dict[str, Array]) -> None:
    names = [o.name for o in proto.graph.output]
    with np.errstate(all="ignore"):
        found = [np.asarray(a) for a in evaluator(proto).run(None, feeds)]
    same(dict(zip(names, found, strict=True)), runtime(proto, feeds))


def looped(shape: Sequence[int], most: int | None, on: bool | None, below: float = 9.0) -> ModelProto:
    """A running sum, stacked too, while it stays below a bound."""
    nodes = [
        helper.make_node("Add", ["was", "step"], ["is"]),
        helper.make_node("Neg", ["is"], ["row"]),
        helper.make_node("ReduceMax", ["is"], ["largest"], keepdims=0),
        helper.make_node("Less", ["largest", "bound"], ["go"]),
    ]
    inputs = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("was", TensorProto.FLOAT, shape),
    ]
    outputs = [
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        *(helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("is", "row")),
    ]
    body = helper.make_graph(nodes, "body", inputs, outputs)
    weights = {"step": np.array(1, np.float32), "bound": np.array(below, np.float32)}
    weights |= {} if most is None else {"most": np.array(most)}
    weights |= {} if on is None else {"start": np.array(on)}
    read = ["" if most is None else "most", "" if on is None else "start", "x"]
    node = helper.make_node("Loop", read, ["last", "rows"], body=body)
    return model([node], {"x": random(*shape, seed=1)}, ["last", "rows"], weights=weights)


@pytest.mark.parametrize("shape", [(), (3,), (1, 3), (2, 3), (2, 1, 3)])
def test_loop_stacks_rows_along_an_axis_of_their_own(shape: Sequence[int]) -> None:
    agrees(looped(shape, 3, True), {"x": random(*shape, seed=1)})


@pytest.mark.parametrize(
    ("most", "on", "below"),
    [(None, True, 2.5), (4, None, 9.0), (0, True, 9.0), (3, False, 9.0), (9, None, 2.5)],
)
def test_loop_ends(most: int | None, on: bool | None, below: float) -> None:
    agrees(looped((2, 3), most, on, below), {"x": random(2, 3, seed=1)})


def layer(op: str, direction: str, given: Sequence[str], **attrs: Any) -> tuple[ModelProto, dict[str, Array]]:
    both, rows = 1 + (direction == "bidirectional"), GATES[op] * UNITS
    tensors = {
        "x": random(STEPS, BATCH, WIDTH, seed=1),
        "w": random(both, rows, WIDTH, seed=2),
        "r": random(both, rows, UNITS, seed=3),
        "b": random(both, 2 * rows, seed=4),
        "lengths": np.array([5, 1, 3], np.int32),
        "h": random(both, BATCH, UNITS, seed=5),
        "c": random(both, BATCH, UNITS, seed=6),
        "p": random(both, 3 * UNITS, seed=7),
    }
    names = [*tensors][: 8 if op == "LSTM" else 6]
    feeds = {n: a for n, a in tensors.items() if n in ("x", "w", "r", *given) and n in names}
    proto = one_node(
        op,
        feeds,
        opset=14,
        inputs=[n if n in feeds else "" for n in names],
        outputs=("y", "y_h", "y_c")[: 3 if op == "LSTM" else 2],
        hidden_size=UNITS,
        direction=direction,
        **attrs,
    )
    return proto, feeds


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("given", [(), ("b", "lengths"), ("b", "h", "c"), ("b", "lengths", "h", "c", "p")])
def test_layers(op: str, direction: str, given: Sequence[str]) -> None:
    agrees(*layer(op, direction, given))


@pytest.mark.parametrize("op", GATES)
def test_layers_clip_what_goes_into_gates(op: str) -> None:
    agrees(*layer(op, "bidirectional", ("b", "lengths", "h", "c", "p"), clip=0.3))


FUNCTIONS = (
    *((name, (), ()) for name in ("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")),
    *((name, (0.3,), (0.6,)) for name in ("Affine", "HardSigmoid", "ScaledTanh")),
    *((name, (0.3,), ()) for name in ("Elu", "LeakyRelu", "ThresholdedRelu")),
)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize(("name", "alphas", "betas"), FUNCTIONS)
def test_layers_have_any_functions(
    op: str, name: str, alphas: Sequence[float], betas: Sequence[float]
) -> None:
    gates = {"LSTM": ["Sigmoid", "Tanh"], "GRU": ["Sigmoid"], "RNN": []}[op]
    given: dict[str, Any] = {"activations": [*gates, name]}
    given |= {"activation_alpha": alphas} if alphas else {}
    given |= {"activation_beta": betas} if betas else {}
    agrees(*layer(op, "forward", ("b", "lengths", "h"), **given))


def test_gru_may_reset_before_its_product() -> None:
    agrees(*layer("GRU", "bidirectional", ("b", "lengths", "h"), linear_before_reset=1))


def test_lstm_may_couple_two_gates() -> None:
    agrees(*layer("LSTM", "forward", ("b", "h", "c"), input_forget=1))


POOLS = (
    {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 2, 1]},
    {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 1, 1], "ceil_mode": 1},
    {"kernel_shape": [6, 9], "strides": [7, 8], "ceil_mode": 1},
    {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [2, 2], "auto_pad": "VALID", "dilations": [2, 1]},
)


@pytest.mark.parametrize("given", POOLS)
@pytest.mark.parametrize(
    ("op", "more"),
    [
        ("AveragePool", {}),
        ("AveragePool", {"count_include_pad": 1}),
        ("LpPool", {"p": 1}),
        ("LpPool", {}),
        ("MaxPool", {}),
    ],
)
def test_pools(op: str, more: dict[str, Any], given: dict[str, Any]) -> None:
    feeds = {"x": random(2, 3, 5, 6, seed=1)}
    agrees(one_node(op, feeds, opset=22, **given, **more), feeds)


def test_the_mean_of_no_element_is_0() -> None:
    feeds = {"x": random(1, 2, 1, seed=1)}
    given: dict[str, Any] = {"kernel_shape": [2], "dilations": [2], "pads": [1, 1]}
    agrees(one_node("AveragePool", feeds, opset=22, **given), feeds)


@pytest.mark.parametrize("op", ["AveragePool", "MaxPool"])
def test_strides_that_pass_over_elements_need_no_padding(op: str) -> None:
    """TensorFlow's text: `max((out - 1) * stride + filter - in, 0)`."""
    x = np.arange(8, dtype=np.float32).reshape(1, 1, 8)
    given: dict[str, Any] = {"kernel_shape": [1], "strides": [4], "auto_pad": "SAME_UPPER"}
    found = evaluator(one_node(op, {"x": x}, opset=22, **given)).run(None, {"x": x})
    np.testing.assert_equal(found, [[[[0, 4]]]])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_global_lp_pool(order: int) -> None:
    feeds = {"x": random(2, 3, 4, 5, seed=1)}
    agrees(one_node("GlobalLpPool", feeds, p=order), feeds)


@pytest.mark.parametrize(("bins", "scale"), [((1, 1), 1.0), ((2, 3), 0.5), ((5, 4), 2.0)])
def test_max_roi_pool(bins: tuple[int, int], scale: float) -> None:
    """On one pixel, malformed, partly and wholly outside, on halves."""
    boxes = [[0, 0, 0, 9, 7], [1, 3, 3, 3, 3], [1, 8, 6, 2, 1], [0, -4, -3, 30, 20], [1, 40, 40, 50, 50]]
    halves = [[0, 2.5, 0.5, 7.5, 5.5], [1, -2.5, -0.5, 6.5, 4.5]]
    feeds = {"x": random(2, 3, 9, 11), "rois": np.array([*boxes, *halves], np.float32)}
    agrees(one_node("MaxRoiPool", feeds, pooled_shape=bins, spatial_scale=scale), feeds)


def test_global_max_pool_takes_all_axes() -> None:
    feeds = {"x": random(2, 3, 4, 5, 2, seed=1)}
    agrees(one_node("GlobalMaxPool", feeds), feeds)


@pytest.mark.parametrize("order", [1, 2])
def test_norms_are_of_magnitudes(order: int) -> None:
    feeds = {"x": random(2, 3, 4, seed=1)}
    agrees(one_node("LpNormalization", feeds, axis=1, p=order), feeds)


@pytest.mark.parametrize("axes", [None, [1], [0, 1], []])
@pytest.mark.parametrize("noop", [0, 1])
def test_log_sum_exp_of_infinities(axes: list[int] | None, noop: int) -> None:
    low, high = -np.inf, np.inf
    rows = [[low, low], [1, low], [high, 1], [high, low], [high, high], [500, 501]]
    feeds = {"x": np.array(rows, np.float32)}
    weights = {} if axes is None else {"axes": np.array(axes, np.int64)}
    agrees(one_node("ReduceLogSumExp", feeds, opset=18, weights=weights, noop_with_empty_axes=noop), feeds)


def test_erf_is_exact() -> None:
    feeds = {"x": random(30, seed=1)}
    agrees(one_node("Erf", feeds), feeds)


@pytest.mark.parametrize(("group", "width"), [(1, 2), (3, 1), (3, 2)])
@pytest.mark.parametrize("biased", [False, True])
def test_groups_of_transposed_convolutions(group: int, width: int, *, biased: bool) -> None:
    feeds = {"x": random(2, 6, 4, 5, seed=1), "w": random(6, width, 3, 2, seed=2)}
    feeds |= {"b": random(group * width, seed=3)} if biased else {}
    given: dict[str, Any] = {"strides": [2, 2], "pads": [0, 1, 1, 0], "output_padding": [1, 1]}
    agrees(one_node("ConvTranspose", feeds, group=group, **given), feeds)


def test_slopes_are_of_what_is_below_zero() -> None:
    """As ONNX's function of it: Where(Less(x, 0), Mul(slope, x), x)."""
    feeds = {"x": np.array([[-1, -0.0, 0, 2, np.nan]], np.float32), "slope": np.array([[np.inf]], np.float32)}
    with np.errstate(invalid="ignore"):
        found = evaluator(one_node("PRelu", feeds, opset=16)).run(None, feeds)
    np.testing.assert_equal(found, [[[-np.inf, 0, 0, 2, np.nan]]])
    agrees(one_node("PRelu", feeds, opset=16), {"x": random(1, 5, seed=1), "slope": random(1, 1, seed=2)})


@pytest.mark.parametrize("zero", [0, 3])
@pytest.mark.parametrize(("left", "right"), [(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)])
def test_products_of_levels_scale_in_float32(left: type[Any], right: type[Any], zero: int) -> None:
    """75 * 0.02 is 1.5 there alone; and of halves the zero point makes no others."""
    held = np.iinfo(left)
    feeds = {"a": np.arange(held.min, held.max + 1).astype(left)[:, None]}
    weights = {
        "a_scale": np.array(0.02, np.float32),
        "a_zero": np.array(zero, left),
        "b": np.array([[1, 2, 25, 75]], right),
        "b_scale": np.array(0.0625, np.float32),
        "b_zero": np.array(0, right),
        "y_scale": np.array(0.0625, np.float32),
        "y_zero": np.array(zero, left),
    }
    agrees(one_node("QLinearMatMul", feeds, weights=weights), feeds)


@pytest.mark.parametrize("how", ["half_pixel", "asymmetric", "align_corners", "tf_crop_and_resize"])
@pytest.mark.parametrize("nearest", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_nearest_elements_leave_out_infinities(how: str, nearest: str) -> None:
    x = random(1, 2, 6, 4, seed=1)
    x[0, 1, 2:4, 1] = np.inf, np.nan
    feeds = {"x": x, "roi": np.array([0, 0, 0.2, -0.3, 1, 1, 0.88, 1.42], np.float32)}
    weights = {"sizes": np.array([1, 2, 9, 7])}
    given: dict[str, Any] = {
        "mode": "nearest",
        "coordinate_transformation_mode": how,
        "nearest_mode": nearest,
    }
    given |= {"extrapolation_value": 0.25} if how == "tf_crop_and_resize" else {}
    inputs = ["x", "roi", "", "sizes"]
    agrees(one_node("Resize", feeds, opset=19, weights=weights, inputs=inputs, **given), feeds)
