"""Symbols, names, functions and shape arithmetic of whole ONNX graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from pyruntime.errors import InputError, ModelError, UnsupportedError
from pyruntime.ops.run_graph import run_graph
from tests.frontends.control_models import branch, decide
from tests.frontends.onnx_models import (
    Array,
    agrees,
    imported,
    model,
    one_node,
    open_size,
    random,
    run,
    runtime,
    same,
    value_info,
)

node = helper.make_node


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


# ------------------------------------------------------------------------------------------- symbols


def test_equal_names_are_one_symbol() -> None:
    feeds = {"a": random(2, 3), "b": random(2, 3)}
    proto = one_node("Add", feeds, shapes={"a": ["n", 3], "b": ["n", 3]})
    graph = imported(proto)
    assert graph.symbols() == ["n"]
    assert graph.outputs[0].shape == (open_size("n"), 3)
    agrees(proto, feeds)


def test_axes_of_open_size_are_dropped_where_only_that_converts() -> None:
    """A matrix comes of x only where its batch is not 1, or only where it is."""
    for perm, size, other in (((1, 0, 2), 2, 1), ((1, 0), 1, 2)):
        nodes = [node("Squeeze", ["x"], ["s"]), node("Transpose", ["s"], ["out"], perm=perm)]
        proto = model(nodes, {"x": random(2, 3, 4)}, ["out"], shapes={"x": ["batch", 3, 4]})
        agrees(proto, {"x": random(size, 3, 4)})
        with pytest.raises(InputError, match=r"Squeeze|takes \(1, 3, 4\)"):
            run(proto, {"x": random(other, 3, 4)})
    both = one_node("Squeeze", {"x": random(2, 3, 4)}, shapes={"x": ["batch", 3, 4]})
    with pytest.raises(UnsupportedError, match="both are possible"):
        imported(both)


def test_sizes_fed_to_several_operators_agree() -> None:
    """Where one makes up a tensor of a fed size, and another numbers its elements."""
    feeds = {"n": np.array([3]), "m": np.array(3)}
    nodes = [
        node("Squeeze", ["n", "axis"], ["limit"]),
        node("Range", ["zero", "limit", "one"], ["numbers"]),
        node("ConstantOfShape", ["n"], ["zeros"]),
        node("Cast", ["zeros"], ["whole"], to=7),
        node("Add", ["numbers", "whole"], ["sum"]),
        node("Add", ["sum", "m"], ["out"]),
    ]
    weights = {"zero": np.array(0), "one": np.array(1), "axis": ints(0)}
    proto = model(nodes, feeds, ["out"], weights=weights)
    agrees(proto, feeds)
    agrees(proto, feeds | {"n": ints(0)})


def test_unnamed_dims_are_named_after_the_input() -> None:
    graph = imported(one_node("Relu", {"x.1": random(2, 3)}, shapes={"x.1": [None, -1]}))
    assert graph.symbols() == ["x_1_0", "x_1_1"]
    assert graph.inputs[0].name == "x.1"


def test_names_that_only_differ_in_odd_characters_stay_apart() -> None:
    feeds = {"a": random(2), "b": random(3)}
    proto = model(
        [node("Relu", ["a"], ["c"]), node("Relu", ["b"], ["d"])],
        feeds,
        ["c", "d"],
        shapes={"a": ["n.1"], "b": ["n_1"]},
    )
    graph = imported(proto)
    assert len(graph.symbols()) == 2
    agrees(proto, feeds)


def test_expressions_over_named_dims() -> None:
    feeds = {"past": random(3, 4), "x": random(2, 4), "mask": random(5)}
    nodes = [
        node("Concat", ["past", "x"], ["all"], axis=0),
        node("ReduceSum", ["all", "one"], ["s"], keepdims=0),
    ]
    nodes.append(node("Add", ["s", "mask"], ["out"]))
    shapes: dict[str, list[str | int | None]] = {"past": ["past", 4], "x": ["seq", 4], "mask": ["past + seq"]}
    proto = model(nodes, feeds, ["out"], weights={"one": ints(1)}, shapes=shapes)
    graph = imported(proto)
    assert graph.inputs[2].shape == (open_size("past") + open_size("seq"),)
    same(run_graph(graph, feeds), {"out": feeds["mask"] + np.concatenate([feeds["past"], feeds["x"]]).sum(1)})


def test_expressions_of_dims_that_nothing_binds_are_symbols() -> None:
    graph = imported(one_node("Relu", {"x": random(4)}, shapes={"x": ["2*n"]}))
    assert graph.symbols() == ["_2_n"]


# ---------------------------------------------------------------------------------- shape arithmetic


def reshape_by_arithmetic() -> ModelProto:
    """x [n, 3, 4] -> [n * 3, 4] through Shape, Gather, Mul, Unsqueeze, Cast, Concat and Reshape."""
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["n"]),
        node("Slice", ["shape", "first", "second"], ["three"]),
        node("Squeeze", ["three", "none"], ["three0"]),
        node("Mul", ["n", "three0"], ["rows"]),
        node("Unsqueeze", ["rows", "none"], ["rows1"]),
        node("Cast", ["rows1"], ["rows32"], to=6),
        node("Concat", ["rows32", "four"], ["target32"], axis=0),
        node("Cast", ["target32"], ["target"], to=7),
        node("Reshape", ["x", "target"], ["out"]),
    ]
    weights: dict[str, NDArray[Any]] = {
        "zero": np.array(0, np.int64),
        "first": ints(1),
        "second": ints(2),
        "none": ints(0),
        "four": np.array([4], np.int32),
    }
    return model(nodes, {"x": random(2, 3, 4)}, ["out"], weights=weights, shapes={"x": ["n", 3, 4]})


def test_shape_arithmetic_is_folded() -> None:
    graph = imported(reshape_by_arithmetic())
    assert [n.op for n in graph.nodes] == ["Reshape"]
    assert graph.outputs[0].shape == (open_size("n") * 3, 4)
    agrees(reshape_by_arithmetic(), {"x": random(5, 3, 4)})


def test_shapes_as_outputs() -> None:
    feeds = {"x": random(2, 3, 4)}
    nodes = [node("Shape", ["x"], ["s"], start=-3, end=2), node("Size", ["x"], ["n"])]
    proto = model(nodes, feeds, ["s", "n"], shapes={"x": ["n", 3, "m"]})
    assert {n.op for n in imported(proto).nodes} == {"DimTensor"}
    agrees(proto, feeds)


def test_constant_of_shape_and_expand_of_symbols() -> None:
    feeds = {"x": random(2, 3)}
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("ConstantOfShape", ["s"], ["c"], value=numpy_helper.from_array(np.array([2.5], np.float32))),
        node("Expand", ["one", "s"], ["e"]),
        node("Add", ["c", "e"], ["out"]),
    ]
    proto = model(nodes, feeds, ["out"], weights={"one": random(1)}, shapes={"x": ["n", 3]})
    agrees(proto, feeds)


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [(1, -1, 1), (-3, 99, 1), (0, 2**63 - 1, 2), (-1, -(2**63), -1), (-2, 0, -2), (3, 1, 1)],
)
@pytest.mark.parametrize("size", [1, 4, 7])
def test_slices_of_symbolic_axes(start: int, end: int, step: int, size: int) -> None:
    weights = {"s": ints(start), "e": ints(end), "a": ints(0), "t": ints(step)}
    agrees(
        one_node("Slice", {"x": random(size, 2)}, weights=weights, shapes={"x": ["n", 2]}),
        {"x": random(size, 2)},
    )


@pytest.mark.parametrize("size", [8, 9, 15])
def test_convolution_that_keeps_a_symbolic_size(size: int) -> None:
    feeds = {"x": random(1, 2, size)}
    proto = one_node(
        "Conv",
        feeds,
        weights={"w": random(3, 2, 4)},
        shapes={"x": [1, 2, "n"]},
        auto_pad="SAME_UPPER",
        strides=[3],
    )
    agrees(proto, feeds)


@pytest.mark.parametrize("op", ["Conv", "MaxPool"])
def test_sizes_below_a_window_are_refused(op: str) -> None:
    """A reduction behind it would else be over a negative number of elements."""
    weights = {"w": random(2, 2, 3, 3)} if op == "Conv" else {}
    window = node(op, ["x", *weights], ["c"], kernel_shape=[3, 3], pads=[0, 1, 0, 1])
    nodes = [window, node("ReduceSum", ["c"], ["y"], keepdims=0)]
    feeds = {"x": random(1, 2, 3, 1)}
    proto = model(nodes, feeds, ["y"], weights=weights, shapes={"x": [1, 2, "h", "w"]})
    agrees(proto, feeds)
    with pytest.raises(InputError, match="a window of 3 does not fit spatial axis 0, of h"):
        run(proto, {"x": random(1, 2, 2, 1)})


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize(("kernel", "stride", "windows"), [(3, 2, 0), (3, 3, 1), (5, 3, 0), (7, 9, 1)])
def test_windows_larger_than_the_input_where_sizes_are_rounded_up(
    op: str, kernel: int, stride: int, windows: int
) -> None:
    """As many as the formula says, none among them."""
    feeds = {"x": random(1, 2, 1, seed=1)}
    attrs: dict[str, Any] = {"kernel_shape": [kernel], "strides": [stride], "ceil_mode": 1}
    proto = one_node(op, feeds, opset=22, **attrs)
    found = run(proto, feeds)
    same(found, runtime(proto, feeds))
    assert found["out"].shape == (1, 2, windows)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
def test_less_than_no_windows_are_refused(op: str) -> None:
    feeds = {"x": random(1, 2, 1, seed=1)}
    with pytest.raises(ModelError, match="a window of 7 does not fit 1"):
        imported(one_node(op, feeds, opset=22, kernel_shape=[7], strides=[2], ceil_mode=1))


def test_resizing_symbolic_axes_by_whole_factors() -> None:
    feeds = {"x": random(1, 2, 3, 5)}
    weights = {"r": np.empty(0, np.float32), "s": np.array([1, 1, 2, 3], np.float32)}
    proto = one_node("Resize", feeds, weights=weights, shapes={"x": [1, 2, "h", "w"]})
    assert {n.op for n in imported(proto).nodes} == {"Reshape", "Expand"}
    agrees(proto, feeds)
    smooth = one_node(
        "Resize", feeds, opset=18, weights=weights, shapes={"x": [1, 2, "h", "w"]}, mode="linear", antialias=1
    )
    agrees(smooth, feeds)


@pytest.mark.parametrize("size", [1, 6, 7, 13])
def test_what_was_halved_and_doubled_is_cut_to_its_size(size: int) -> None:
    """As pyramids of features are: the cut is known to leave as many as there were."""
    resize: dict[str, Any] = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    nodes = [
        node("AveragePool", ["x"], ["small"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Resize", ["small", "", "twice"], ["large"], nearest_mode="floor", **resize),
        node("Shape", ["x"], ["shape"]),
        node("Slice", ["shape", "two", "four"], ["sizes"]),
        node("Slice", ["large", "zeros", "sizes", "axes"], ["cut"]),
        node("Add", ["x", "cut"], ["out"]),
    ]
    weights: dict[str, Array] = {
        "twice": np.array([1, 1, 2, 2], np.float32),
        "zeros": ints(0, 0),
        "axes": ints(2, 3),
        "two": ints(2),
        "four": ints(4),
    }
    shapes: dict[str, list[int | str | None]] = {"x": [1, 2, "height", 5]}
    feeds = {"x": random(1, 2, size, 5)}
    agrees(model(nodes, feeds, ["out"], weights=weights, shapes=shapes), feeds)


def test_what_was_halved_and_doubled_meets_what_it_came_of() -> None:
    """As in detectors; inputs of sizes for which the two are unlike are refused."""
    resize: dict[str, Any] = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    halve: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    nodes = [
        node("AveragePool", ["x"], ["half"], **halve),
        node("AveragePool", ["half"], ["quarter"], **halve),
        node("Resize", ["quarter", "", "twice"], ["large"], nearest_mode="floor", **resize),
        node("Concat", ["half", "large"], ["both"], axis=1),
        node("Conv", ["both", "w"], ["c"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Concat", ["quarter", "c"], ["out"], axis=1),
    ]
    weights: dict[str, Array] = {"twice": np.array([1, 1, 2, 2], np.float32), "w": random(3, 4, 3, 3)}
    shapes: dict[str, list[int | str | None]] = {"x": ["batch", 2, "height", "width"]}
    proto = model(nodes, {"x": random(1, 2, 4, 4)}, ["out"], weights=weights, shapes=shapes)
    for height, width in ((4, 8), (3, 7), (20, 4)):
        agrees(proto, {"x": random(2, 2, height, width)})
    for height, width in ((5, 8), (4, 6)):
        with pytest.raises(InputError, match=r"Concat .* along axis"):
            run(proto, {"x": random(1, 2, height, width)})


def test_products_of_sizes_with_unlike_names() -> None:
    """Scores under a mask of its own names, as exporters write them that tell no names of dims."""
    nodes = [
        node("Shape", ["q"], ["shape"]),
        node("Gather", ["shape", "first"], ["batch"]),
        node("Concat", ["batch", "rest"], ["target"], axis=0),
        node("Reshape", ["mask", "target"], ["row"]),
        node("Unsqueeze", ["row", "one"], ["rows"]),
        node("MatMul", ["q", "k"], ["scores"]),
        node("Add", ["scores", "rows"], ["masked"]),
        node("Softmax", ["masked"], ["weights"], axis=-1),
        node("MatMul", ["weights", "v"], ["out"]),
    ]
    names = {"first": ints(0), "rest": ints(-1), "one": ints(1)}
    shapes: dict[str, list[int | str | None]] = {"q": ["b", "s", 4], "k": ["b", 4, "s"], "v": ["b", "s", 3]}
    shapes["mask"] = ["b2", "s2"]

    def feeds(batch: int, size: int, masked: int) -> dict[str, Array]:
        arrays = {"q": random(batch, size, 4), "k": random(batch, 4, size), "v": random(batch, size, 3)}
        return arrays | {"mask": random(batch, masked)}

    proto = model(nodes, feeds(1, 5, 5), ["out"], weights=names, shapes=shapes)
    for batch, size in ((2, 5), (1, 1), (3, 2)):
        agrees(proto, feeds(batch, size, size))
    agrees(proto, feeds(2, 5, 1))
    with pytest.raises(InputError, match="must be equal"):
        run(proto, feeds(2, 1, 5))


def test_parts_that_do_not_make_up_an_open_size_are_refused() -> None:
    nodes = [node("Split", ["x", "sizes"], ["a", "b"], axis=0)]
    proto = model(nodes, {"x": random(5)}, ["a", "b"], weights={"sizes": ints(2, 3)}, shapes={"x": ["n"]})
    agrees(proto, {"x": random(5)})
    for size in (4, 6):
        with pytest.raises(InputError, match="parts 2, 3 must add up to the size n"):
            run(proto, {"x": random(size)})


@pytest.mark.parametrize(
    ("target", "fitting", "others"), [((4, 3), 2, (1, 3)), ((-1, 9), 3, (2, 4)), ((4, 0, -1), 2, (1, 3))]
)
def test_targets_that_an_open_size_does_not_fill_are_refused(
    target: tuple[int, ...], fitting: int, others: tuple[int, ...]
) -> None:
    shape = (6,) if target[-1] != -1 else (2, 6)
    weights = {"s": ints(*target)}
    proto = one_node("Reshape", {"x": random(2, *shape)}, weights=weights, shapes={"x": ["n", *shape]})
    agrees(proto, {"x": random(fitting, *shape)})
    for size in others:
        with pytest.raises(InputError, match="elements must be"):
            run(proto, {"x": random(size, *shape)})


def test_open_sizes_that_do_not_divide_are_refused() -> None:
    proto = one_node("Split", {"x": random(4)}, outputs=("a", "b"), shapes={"x": ["n"]}, axis=0)
    agrees(proto, {"x": random(4)})
    with pytest.raises(InputError, match="must split into 2 equal parts"):
        run(proto, {"x": random(5)})
    proto = one_node("SpaceToDepth", {"x": random(1, 1, 6, 3)}, shapes={"x": [1, 1, "h", 3]}, blocksize=3)
    agrees(proto, {"x": random(1, 1, 6, 3)})
    with pytest.raises(InputError, match="h must be a multiple of 3"):
        run(proto, {"x": random(1, 1, 7, 3)})


def test_what_a_branch_reshapes_is_no_reason_to_refuse_sizes() -> None:
    """Another branch runs for those that do not fill its target."""
    halves = branch(node("Reshape", ["x", "pairs"], ["a"]), node("ReduceMax", ["a"], ["b"], keepdims=0))
    whole = branch(node("ReduceMin", ["x"], ["c"], keepdims=0))
    nodes = [
        node("Shape", ["x"], ["size"]),
        node("Mod", ["size", "two"], ["left"]),
        node("Cast", ["left"], ["odd"], to=TensorProto.BOOL),
        decide("odd", "out", whole, halves),
    ]
    weights = {"two": ints(2), "pairs": ints(-1, 2)}
    proto = model(nodes, {"x": random(4)}, ["out"], weights=weights, shapes={"x": ["n"]})
    for size in (3, 4):
        agrees(proto, {"x": random(size)})


def test_range_of_constants() -> None:
    bounds = {"a": np.array(1, np.float32), "b": np.array(4, np.float32), "c": np.array(0.5, np.float32)}
    graph = imported(one_node("Range", {}, weights=bounds))
    np.testing.assert_array_equal(np.asarray(graph.outputs[0].data), np.arange(1, 4, 0.5, dtype=np.float32))


def symbolic_range(start: str, limit: str, delta: str, dtype: type[np.generic]) -> ModelProto:
    """Range whose bounds are "n" (the input's size, converted to dtype) or constants."""
    to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [
        node("Size", ["x"], ["size"]),
        node("Cast", ["size"], ["n"], to=to),
        node("Range", [start, limit, delta], ["out"]),
    ]
    constants = {v: np.array(float(v), dtype) for v in (start, limit, delta) if v != "n"}
    return model(nodes, {"x": random(1)}, ["out"], weights=constants, shapes={"x": ["n"]})


@pytest.mark.parametrize("size", [1, 2, 7, 12])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float32])
@pytest.mark.parametrize(
    "bounds", [("0", "n", "1"), ("5", "n", "2"), ("n", "-3", "-2"), ("n", "9", "3"), ("0", "n", "n")]
)
def test_range_over_sizes(bounds: tuple[str, str, str], dtype: type[np.generic], size: int) -> None:
    proto = symbolic_range(*bounds, dtype)
    assert bounds[2] == "n" or imported(proto).nodes[-1].op == "Range"
    agrees(proto, {"x": random(size)})


@pytest.mark.parametrize("size", [1, 3, 8])
def test_range_by_fractions(size: int) -> None:
    agrees(symbolic_range("0.5", "n", "0.75", np.float32), {"x": random(size)})
    with pytest.raises(UnsupportedError, match="by steps of"):
        imported(symbolic_range("0", "n", "0.1", np.float32))


def test_range_of_fixed_length_has_contents() -> None:
    nodes = [
        node("Size", ["x"], ["n"]),
        node("Add", ["n", "three"], ["end"]),
        node("Range", ["n", "end", "one"], ["r"]),
        node("Expand", ["y", "r"], ["out"]),
    ]
    weights = {"three": np.array(3, np.int64), "one": np.array(1, np.int64)}
    proto = model(nodes, {"x": random(2), "y": random(1)}, ["out"], weights=weights, shapes={"x": ["n"]})
    n = open_size("n")
    assert imported(proto).outputs[0].shape == (n, n + 1, n + 2)
    agrees(proto, {"x": random(2), "y": random(1)})


# --------------------------------------------------------------------------------------------- names


def test_inputs_and_outputs_keep_their_names() -> None:
    proto = model(
        [
            node("Identity", ["in:0"], ["same"]),
            node("Relu", ["in:0"], ["out/1"]),
            node("Identity", ["w"], ["weight"]),
        ],
        {"in:0": random(2)},
        ["out/1", "same", "weight"],
        weights={"w": random(3)},
    )
    graph = imported(proto)
    assert [v.name for v in graph.inputs] == ["in:0"]
    assert graph.output_names == ["out/1", "same", "weight"]
    assert graph.outputs[1] is graph.inputs[0]
    agrees(proto, {"in:0": random(2)})


def test_nodes_carry_the_name_in_the_users_model() -> None:
    graph = imported(one_node("ReduceL2", {"x": random(2, 3)}))
    assert {(n.origin.op, n.origin.name) for n in graph.nodes} == {("ReduceL2", "node")}
    assert graph.nodes[-1].output.name == "out"
    unnamed = imported(model([node("Relu", ["x"], ["y"])], {"x": random(2)}, ["y"]))
    assert unnamed.nodes[0].origin.name == "y"


# ----------------------------------------------------------------------------------------- functions


def test_functions_of_the_model() -> None:
    body = [
        node("Constant", [], ["one"], value_float=1.0),
        node("LeakyRelu", ["a"], ["b"]),
        node("Add", ["b", "one"], ["c"]),
    ]
    body[1].attribute.add(name="alpha", ref_attr_name="slope", type=1)
    function = helper.make_function("own", "F", ["a"], ["c"], body, [helper.make_opsetid("", 17)], ["slope"])
    nodes = [
        node("F", ["x"], ["y"], domain="own", slope=0.5, name="first"),
        node("F", ["y"], ["out"], domain="own", name="second"),
    ]
    feeds = {"x": random(2, 3)}
    proto = model(nodes, feeds, ["out"], domains={"own": 1})
    proto.functions.append(function)
    agrees(proto, feeds)
    assert [n.origin.name for n in imported(proto).nodes if n.op == "LeakyRelu"] == ["first/b", "second/b"]


def test_operators_defined_by_functions_are_expanded() -> None:
    feeds = {"x": random(2, 3, 4)}
    proto = one_node("MeanVarianceNormalization", feeds, axes=[0, 2])
    assert {n.origin.op for n in imported(proto).nodes} == {"MeanVarianceNormalization"}
    agrees(proto, feeds)


def test_optional_inputs_of_functions() -> None:
    scores, labels = random(3, 5), np.array([1, 0, 4], np.int64)
    feeds = {"scores": scores}
    for weights in ({}, {"w": random(5, low=0.1)}):
        proto = one_node(
            "SoftmaxCrossEntropyLoss", feeds, weights={"labels": labels, **weights}, reduction="mean"
        )
        agrees(proto, feeds)


def test_weights_that_are_inputs_too() -> None:
    weight = random(3)
    proto = one_node("Mul", {"x": random(2, 3)}, weights={"w": weight})
    proto.graph.input.append(value_info("w", weight))
    assert [v.name for v in imported(proto).inputs] == ["x"]


def test_first_ir_versions() -> None:
    proto = one_node("Relu", {"x": random(2)})
    proto.ir_version = 2
    del proto.opset_import[:]
    assert [n.op for n in imported(proto).nodes] == ["Relu"]
