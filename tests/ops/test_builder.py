"""The builder: names, constant folding, contents through shape arithmetic, and what ops refuse."""

from typing import Any

import numpy as np
import pytest

from pyruntime.ir.conditions import equal, pins
from pyruntime.ir.dims import Dim, floordiv, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Origin, Value
from pyruntime.ir.symbols import evaluate
from pyruntime.ops.builder import CONTENTS_LIMIT, FOLD_BYTES_LIMIT, Builder, dims_of
from pyruntime.ops.definition import OpError, broadcast, complete, definition, definitions

F32, I32, I64, BOOL = DType.F32, DType.I32, DType.I64, DType.BOOL
batch, length = symbol("batch"), symbol("length")


@pytest.fixture
def builder() -> Builder:
    return Builder(Graph("test"))


def shape_of(builder: Builder, value: Value) -> Value:
    """What a Shape node gives."""
    return builder.dims(value.shape)


def test_names_are_unique(builder: Builder) -> None:
    names = [builder.input("x", F32, (1,)).name for _ in range(3)]
    assert names == ["x", "x.2", "x.3"]
    assert builder.unique("") == "value"


def test_nodes_carry_types_and_origin(builder: Builder) -> None:
    x = builder.input("x", F32, (batch, 3))
    builder.origin = Origin("Add", "sum")
    y = builder.one("Add", x, builder.constant([1, 2, 3], F32))
    assert (y.dtype, y.shape, y.name) == (F32, (batch, 3), "sum.0")
    assert y.producer is not None
    assert y.producer.origin == Origin("Add", "sum")
    builder.graph.outputs, builder.graph.output_names = [y], ["y"]
    builder.graph.verify()
    assert "%sum.0: float32[batch, 3] = Add(%x, const float32[3] = [1.0, 2.0, 3.0])" in str(builder.graph)


def test_constants_fold(builder: Builder) -> None:
    y = builder.one("Mul", builder.constant(np.arange(3.0), F32), builder.constant(2.0, F32), name="y")
    assert y.data is not None
    assert (y.name, y.data.dtype.name, y.data.tolist()) == ("y", "float32", [0, 2, 4])
    assert not builder.graph.nodes


def test_large_results_do_not_fold(builder: Builder) -> None:
    small = builder.constant(np.zeros((1, 4)), F32)
    rows = FOLD_BYTES_LIMIT // 16
    assert builder.one("Expand", small, shape=(rows, 4)).data is not None
    assert builder.one("Expand", small, shape=(rows + 1, 4)).data is None
    large = builder.constant(np.zeros((rows + 1, 4)), F32)
    assert builder.one("Neg", large).data is not None, "no larger than its operand"


def test_symbolic_attributes_do_not_fold(builder: Builder) -> None:
    y = builder.one("Expand", builder.constant([1.0], F32), shape=(batch,))
    assert y.data is None
    assert y.shape == (batch,)


def test_shape_gather_concat_reshape_leaves_a_reshape(builder: Builder) -> None:
    x = builder.input("x", F32, (batch, length, 12))
    shape = shape_of(builder, x)
    first = builder.one("Gather", shape, builder.constant(np.array([0])), axis=0)
    second = builder.one("Slice", shape, starts=(1,), sizes=(1,), steps=(1,))
    target = builder.one("Concat", first, second, builder.constant([3, 4], I64), axis=0)
    assert dims_of(target) == (batch, length, 3, 4)
    y = builder.one("Reshape", x, shape=dims_of(target))
    assert y.shape == (batch, length, 3, 4)
    assert [n.op for n in builder.graph.nodes] == ["Reshape"]


@pytest.mark.parametrize(
    ("op", "operands", "attrs", "expected"),
    [
        ("Add", ([batch, 1], [2, length]), {}, (batch + 2, length + 1)),
        ("Sub", ([batch], [1]), {}, (batch - 1,)),
        ("Mul", ([batch, 3], [length]), {}, (batch * length, length * 3)),
        ("Div", ([batch * 6, batch], [2]), {}, (batch * 3, floordiv(batch, 2))),
        ("Mod", ([batch + 8], [4]), {}, (batch % 4,)),
        ("Max", ([batch], [1]), {}, (batch,)),
        ("Min", ([batch], [-1]), {}, (-1,)),
        ("Neg", ([batch],), {}, (-batch,)),
        ("Cast", ([batch],), {"to": I32}, (batch,)),
        ("Identity", ([batch, 2],), {}, (batch, 2)),
        ("ReduceProd", ([batch, 3, length],), {"axes": (0,)}, (batch * length * 3,)),
        ("ReduceSum", ([batch, 3, length],), {"axes": (0,)}, (batch + length + 3,)),
        ("ReduceMax", ([batch, 1],), {"axes": (0,)}, (batch,)),
        ("ReduceMin", ([batch, 1],), {"axes": (0,)}, (1,)),
        ("Expand", ([batch],), {"shape": (2, 1)}, (batch, batch)),
        ("Tile", ([batch, 1],), {"repeats": (2,)}, (batch, 1, batch, 1)),
        ("Reshape", ([batch, 1],), {"shape": (2, 1)}, (batch, 1)),
        ("Transpose", ([batch, 1],), {"perm": (0,)}, (batch, 1)),
        ("Slice", ([batch, 1, length],), {"starts": (2,), "sizes": (3,), "steps": (-1,)}, (length, 1, batch)),
        ("Gather", ([batch, 1, length], [-1, 0]), {"axis": 0}, (length, batch)),
    ],
)
def test_contents_follow(
    builder: Builder, op: str, operands: Any, attrs: dict[str, Any], expected: tuple[Dim, ...]
) -> None:
    assert definition(op).contents
    y = builder.one(op, *[builder.dims(o) for o in operands], **attrs)
    assert dims_of(y) == expected
    assert y.dtype is attrs.get("to", I64)
    assert not builder.graph.nodes


def test_contents_that_become_integers_are_constants(builder: Builder) -> None:
    y = builder.one("Sub", builder.dims([batch, length]), builder.dims([batch, length - 1]))
    assert y.data is not None
    assert y.data.tolist() == [0, 1]


def test_exported_expand_resolves_its_shape(builder: Builder) -> None:
    """Where(Equal(shape, -1), ones, shape), as exporters write it."""
    shape = builder.dims([batch, 3])
    unknown = builder.one("Equal", shape, builder.constant([-1, -1], I64))
    assert unknown.data is not None
    y = builder.one("Where", unknown, builder.constant([1, 1], I64), shape)
    assert dims_of(y) == (batch, 3)


def opened(builder: Builder, dtype: DType) -> Value:
    """An input whose contents are known as symbols."""
    x = builder.input("s", dtype, (2,))
    x.contents = np.array([symbol(f"s_{i}", dtype.limits) for i in range(2)], dtype=object)
    return x


@pytest.mark.parametrize(
    ("dtype", "ops"),
    [
        (BOOL, ["DimTensor", "Where"]),
        (I32, ["DimTensor", "Where"]),
        (I64, ["Slice", "Where"]),
        (DType.U32, ["Slice", "Where"]),
    ],
)
def test_tensors_of_long_contents_are_computed(builder: Builder, dtype: DType, ops: list[str]) -> None:
    taken = builder.one("Slice", opened(builder, dtype), starts=(1,), sizes=(1,), steps=(1,))
    assert dims_of(taken) == (symbol("s_1", dtype.limits),)
    assert not builder.graph.nodes
    for _ in range(2):
        choice = builder.input("c", BOOL, (3,))
        builder.one("Where", choice, taken, taken)
    assert [n.op for n in builder.graph.nodes] == [*ops, "Where"], "once"


def test_tensors_of_contents_that_may_wrap_around_are_computed(builder: Builder) -> None:
    x = opened(builder, I32)
    low = builder.one("Less", builder.one("Add", x, x), builder.constant([0, 0], I32))
    builder.one("Where", low, x, builder.input("y", I32, (2,)))
    assert [n.op for n in builder.graph.nodes] == ["Add", "Less", "Where"]


def test_bodies_take_long_contents_from_around(builder: Builder) -> None:
    outside = builder.one("Neg", opened(builder, I64))
    body = Builder(Graph("body"), around=builder)
    inside = body.captured(outside)
    assert dims_of(inside) == dims_of(outside)
    assert not body.graph.inputs
    body.one("BitwiseNot", inside)
    assert body.graph.inputs == [inside]
    assert body.sources[inside] is outside
    assert not builder.graph.nodes
    assert builder.materialised(outside) is outside
    assert [n.op for n in builder.graph.nodes] == ["Neg"]


def test_scalars_stay_scalars_where_facts_are_known(builder: Builder) -> None:
    body = Builder(Graph("body"), pins(equal(batch, 3), 1), around=builder)
    assert body.captured(builder.dims(length)).shape == ()


def test_what_depends_on_symbols_stays_in_the_graph(builder: Builder) -> None:
    shape = builder.dims([batch, 3])
    bits = builder.one("BitwiseNot", shape)
    assert bits.data is None
    assert bits.contents is None
    floats = builder.one("Cast", shape, to=F32)
    assert floats.data is None
    assert [n.op for n in builder.graph.nodes] == ["DimTensor", "BitwiseNot", "Cast"], (
        "the dims are made once"
    )


def test_conditions_on_symbols_are_dims(builder: Builder) -> None:
    y = builder.one("Equal", builder.dims([batch, 3]), builder.constant([2, 3], I64))
    assert y.dtype is BOOL
    assert [[evaluate(d, {"batch": b}) for d in dims_of(y) or ()] for b in (1, 2)] == [[0, 1], [1, 1]]
    chosen = builder.one("Where", y, builder.dims([length, 7]), builder.constant([5, 0], I64))
    assert [evaluate(d, {"batch": 2, "length": 9}) for d in dims_of(chosen) or ()] == [9, 7]
    picked = builder.one("Where", y, builder.input("x", F32, (2,)), builder.constant([0.0, 0.0], F32))
    assert picked.producer is not None
    node = picked.producer.input(0).producer
    assert node is not None
    assert (node.op, node.attrs["dtype"]) == ("DimTensor", BOOL)


def test_facts_replace_what_they_know() -> None:
    known = Builder(Graph("facts"), pins(equal(length // 4, 3), 1))
    x = known.input("x", F32, (batch, length // 4, length))
    assert x.shape == (batch, 3, length)
    y = known.one("Reshape", x, shape=(batch * (length // 4), length))
    assert y.shape == (batch * 3, length)
    assert known.dims([length // 4]).data is not None


def test_dims_in_a_tensor_keep_their_dtype(builder: Builder) -> None:
    x = builder.input("x", I32, (2,))
    y = builder.one("Add", x, builder.dims([batch, 3], I32))
    assert y.dtype is I32
    node = builder.graph.nodes[0]
    assert (node.op, node.attrs) == ("DimTensor", {"dims": (batch, 3), "shape": (2,), "dtype": I32})


def test_many_dims_are_no_shape_arithmetic(builder: Builder) -> None:
    y = builder.one("Tile", builder.dims([batch, 1]), repeats=(CONTENTS_LIMIT,))
    assert y.contents is None
    assert y.producer is not None


def test_scalars_of_dims(builder: Builder) -> None:
    y = builder.one("Gather", builder.dims([batch, 3]), builder.constant(np.array(0)), axis=0)
    assert y.shape == ()
    assert dims_of(y) == (batch,)
    assert dims_of(builder.dims(length)) == (length,)
    assert dims_of(builder.input("x", I64, ())) is None
    assert dims_of(builder.constant(np.array([1.5, np.inf, np.nan], np.float32))) is None


def value(dtype: DType, *shape: Dim) -> Value:
    return Value("x", dtype, shape)


REFUSED: list[tuple[str, list[Value | None], dict[str, Any], str]] = [
    ("Add", [value(F32, 2), value(I32, 2)], {}, "float32, int32"),
    ("Add", [value(F32, 2), value(F32, 3)], {}, "differ at axis 0"),
    ("Add", [value(F32, batch), value(F32, length)], {}, "batch, length"),
    ("Add", [value(BOOL, 2), value(BOOL, 2)], {}, "not defined for bool"),
    ("Add", [value(F32, 2), None], {}, "inputs"),
    ("Not", [value(F32, 2)], {}, "not defined"),
    ("Mod", [value(F32, 2), value(F32, 2)], {}, "fmod"),
    ("Elu", [value(F32, 2)], {"beta": 1}, "no attribute beta"),
    ("Cast", [value(F32, 2)], {}, "lacks attribute to"),
    ("Reshape", [value(F32, 2, 3)], {"shape": (5,)}, "6 elements are not 5"),
    ("Reshape", [value(F32, batch, 3)], {"shape": (batch, 4)}, "elements"),
    ("Transpose", [value(F32, 2, 3)], {"perm": (0, 0)}, "does not order"),
    ("Slice", [value(F32, 4)], {"starts": (2,), "sizes": (3,), "steps": (1,)}, "outside"),
    ("Slice", [value(F32, batch)], {"starts": (0,), "sizes": (batch + 1,), "steps": (1,)}, "outside"),
    ("Concat", [value(F32, 2, 3), value(F32, 3, 3)], {"axis": 1}, "differ beside axis"),
    ("Concat", [value(F32, 2), value(I32, 2)], {"axis": 0}, "int32"),
    ("Pad", [value(F32, 3)], {"before": (3,), "after": (0,), "mode": "reflect"}, "cannot reflect"),
    ("Pad", [value(F32, 3)], {"before": (1,), "after": (0,), "mode": "mirror"}, "mirror"),
    ("Tile", [value(F32, 3)], {"repeats": (-1,)}, "negative"),
    ("ReduceSum", [value(F32, 3)], {"axes": (1,)}, "axis 1"),
    ("ReduceSum", [value(F32, 3, 3)], {"axes": (1, 0)}, "ascending"),
    ("ArgMax", [value(F32, 0)], {"axis": 0}, "empty"),
    ("Softmax", [value(F32, 3)], {"axis": -1}, "axis -1"),
    ("Softmax", [value(I32, 3)], {"axis": 0}, "int32"),
    ("LayerNormalization", [value(F32, 2, 3), value(F32, 2)], {"axis": 1}, "differ|fit"),
    ("BatchNormalization", [value(F32, 2, 3), *[value(F32, 2)] * 4], {}, "3 channels"),
    ("MatMul", [value(F32, 2, 3), value(F32, 4, 2)], {}, "inner axis"),
    ("MatMul", [value(F32), value(F32, 4, 2)], {}, "scalars"),
    (
        "Conv",
        [value(F32, 1, 3, 5, 5), value(F32, 4, 2, 3, 3)],
        {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0)},
        "3 channels",
    ),
    (
        "Conv",
        [value(F32, 1, 3, 2, 5), value(F32, 4, 3, 3, 3)],
        {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0)},
        "does not fit",
    ),
    (
        "MaxPool",
        [value(F32, 1, 3, 5)],
        {"kernel": (2,), "strides": (0,), "dilations": (1,), "pads": (0, 0)},
        "positive",
    ),
    ("Gather", [value(F32, 3), Value("i", I64, (1,), data=np.array([3]))], {"axis": 0}, "index 3"),
    ("Gather", [value(F32, 3), value(F32, 3)], {"axis": 0}, "indices"),
    ("OneHot", [value(I64, 3), value(F32, 3)], {"axis": 0, "depth": 4}, "off, on"),
]


@pytest.mark.parametrize(("op", "inputs", "attrs", "message"), REFUSED)
def test_ops_refuse(op: str, inputs: list[Value | None], attrs: dict[str, Any], message: str) -> None:
    with pytest.raises(OpError, match=message):
        definition(op).infer(inputs, complete(op, attrs))


def test_broadcasting() -> None:
    assert broadcast([(3, 1), (batch, 1, 5)]) == (batch, 3, 5)
    assert broadcast([(), (0,)]) == (0,)
    assert broadcast([]) == ()


def test_discovery_is_sorted_and_complete() -> None:
    names = list(definitions())
    assert names == sorted(names)
    assert all(d.name == n for n, d in definitions().items())
    with pytest.raises(KeyError):
        definition("NoSuchOp")
