"""The reference executor: each class of call against NumPy and the ops' references; views."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, Map, MatMul, Pool, Reduction, Row, Window
from pyruntime.ir.program import Program
from pyruntime.ir.scalar import Acc, Const, Index, Load, Scalar, Size, call, cast
from pyruntime.ir.views import Guard, Indirect, Tensor, View
from pyruntime.ops.cases import expected_of, inputs_of
from pyruntime.ops.convolution import geometry
from pyruntime.ops.definition import Case, definition
from pyruntime.ops.interpret import allocate, run_call, run_program
from pyruntime.ops.layouts import pack_conv, pack_depthwise, pack_panels, unpack_panels
from pyruntime.ops.pooling import pool

F32, F16, I32, I64, BOOL = DType.F32, DType.F16, DType.I32, DType.I64, DType.BOOL
Array = np.ndarray[Any, Any]

GENERATOR = np.random.default_rng(7)


def random(*shape: int) -> Array:
    return GENERATOR.standard_normal(shape, dtype=np.float32)


def tensor(array: Array, name: str = "x") -> Tensor:
    """A weight with the array's elements."""
    return Tensor(name, DType(array.dtype.name), array.size, "weight", data=array)


def result(elements: Dim, dtype: DType = F32) -> Tensor:
    return Tensor("y", dtype, elements)


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return tuple(strides[: len(shape)])


def whole(array: Array) -> View:
    return View(tensor(array), 0, contiguous(array.shape))


def run(kernel: Any, symbols: dict[str, int] | None = None) -> Array:
    """The elements that a call leaves in its output's tensor."""
    memory = {t: allocate(t, symbols or {}) for t in kernel.tensors()}
    run_call(kernel, memory, symbols or {})
    return memory[kernel.output.tensor]


LOAD = Load(F32, 0)


def mapped(view: View, sizes: tuple[Dim, ...], body: Scalar = LOAD, **others: Any) -> Map:
    count: Dim = 1
    strides: list[Dim] = []
    for size in reversed(sizes):
        strides.insert(0, count)
        count = count * size
    output = View(result(count, body.dtype), 0, tuple(strides))
    return Map(name="map", inputs=(view,), output=output, sizes=sizes, body=body, **others)


def test_map_reads_through_strides() -> None:
    x = random(3, 4, 5)
    transposed = View(tensor(x), 0, (1, 20, 5))
    np.testing.assert_array_equal(run(mapped(transposed, (5, 3, 4))).reshape(5, 3, 4), x.transpose(2, 0, 1))
    reversed_slice = View(tensor(x), 5 + 4, (20, -2))
    np.testing.assert_array_equal(run(mapped(reversed_slice, (3, 3))).reshape(3, 3), x[:, 1, 4::-2])
    broadcast = View(tensor(x), 7, (0, 1))
    np.testing.assert_array_equal(run(mapped(broadcast, (2, 3))).reshape(2, 3), [x.ravel()[7:10]] * 2)


def test_map_knows_indices_and_sizes() -> None:
    tree = call("add", call("mul", Index(I32, 0), Size(I32, 0)), Index(I32, 1))
    found = run(mapped(whole(random(1)), (2, 3), tree, size_values=(symbol("n") + 1,)), {"n": 9})
    assert found.reshape(2, 3).tolist() == [[0, 1, 2], [10, 11, 12]]


def test_dims_are_evaluated() -> None:
    n = symbol("n")
    x = random(4, 3)
    view = View(Tensor("x", F32, n * 3, "weight", data=x), n * 3 - 1, (-3, -1))
    np.testing.assert_array_equal(run(mapped(view, (n, 3)), {"n": 4}), x.ravel()[::-1])


def test_guards_give_the_fill() -> None:
    x = random(3, 4)
    padded = View(tensor(x), -1 - 2 * 4, (4, 1), (Guard(0, 2, 5), Guard(1, 1, 5)), fill=9.0)
    expected = np.pad(x, ((2, 1), (1, 2)), constant_values=9)
    np.testing.assert_array_equal(run(mapped(padded, (6, 7))).reshape(6, 7), expected)
    nowhere = View(tensor(x), 0, (4, 1), (Guard(0, 5, 2),), fill=1.0)
    assert run(mapped(nowhere, (2, 2))).tolist() == [1] * 4


def test_guarded_output_leaves_the_rest() -> None:
    x = random(3)
    kernel = Map(
        name="part",
        inputs=(whole(x),),
        output=View(result(5), 1, (1,), (Guard(0, 1, 3),)),
        sizes=(3,),
        body=LOAD,
    )
    np.testing.assert_array_equal(run(kernel), [np.nan, np.nan, x[1], x[2], np.nan])


@pytest.mark.parametrize("wrap", [True, False])
def test_indirect_reads(wrap: bool) -> None:
    x, indices = random(5, 3), np.array([4, 0, -1, 5, -6], np.int64)
    rows = View(tensor(x), 0, (0, 1), indirect=(Indirect(1, 3, 5, wrap),), fill=7.0)
    positions = View(tensor(indices, "i"), 0, (1, 0))
    kernel = Map(
        name="take", inputs=(rows, positions), output=View(result(15), 0, (3, 1)), sizes=(5, 3), body=LOAD
    )
    seven = np.full(3, 7, np.float32)
    expected = [x[4], x[0], x[4] if wrap else seven, seven, seven]
    np.testing.assert_array_equal(run(kernel).reshape(5, 3), expected)


def test_indirect_writes() -> None:
    x, indices = random(3), np.array([2, 0, 9], np.int32)
    kernel = Map(
        name="put",
        inputs=(whole(x), whole(indices)),
        output=View(result(3), 0, (0,), indirect=(Indirect(1, 1, 3),)),
        sizes=(3,),
        body=LOAD,
    )
    np.testing.assert_array_equal(run(kernel), [x[1], np.nan, x[0]])


def test_reads_outside_a_tensor_are_found() -> None:
    for view in (View(tensor(random(4)), 1, (1,)), View(tensor(random(4)), 0, (-1,))):
        with pytest.raises(AssertionError, match="which has 4"):
            run(mapped(view, (4,)))
    indices = whole(np.array([7]))
    far = View(tensor(random(4)), 0, (0,), indirect=(Indirect(1, 1, 8),))
    with pytest.raises(AssertionError, match="reached beyond"):
        run(Map(name="far", inputs=(far, indices), output=View(result(1), 0, (1,)), sizes=(1,), body=LOAD))


def test_a_body_of_another_dtype_is_found() -> None:
    with pytest.raises(AssertionError, match="into float32"):
        run(
            Map(
                name="map",
                inputs=(whole(random(2)),),
                output=View(result(2), 0, (1,)),
                sizes=(2,),
                body=cast(LOAD, I32),
            )
        )


def test_in_place_and_overlapping_maps_read_before_they_write() -> None:
    x = np.arange(5, dtype=np.float32)
    shared = Tensor("x", F32, 5)
    memory = {shared: x.copy()}
    shift = Map(
        name="shift", inputs=(View(shared, 0, (1,)),), output=View(shared, 1, (1,)), sizes=(4,), body=LOAD
    )
    run_call(shift, memory, {})
    assert memory[shared].tolist() == [0, 0, 1, 2, 3]


COMBINED = {"sum": np.add, "prod": np.multiply, "min": np.minimum, "max": np.maximum}


@pytest.mark.parametrize("combine", COMBINED)
@pytest.mark.parametrize("dtype", [F32, F16, I32], ids=repr)
def test_row_reduces(combine: Any, dtype: DType) -> None:
    x = (random(3, 4, 5) * (3 if dtype is I32 else 1)).astype(dtype.value)
    accumulator = F32 if dtype is F16 else dtype
    kernel = Row(
        name="row",
        inputs=(View(tensor(x), 0, (20, 1, 5)),),
        output=View(result(3, dtype), 0, (1, 0, 0)),
        sizes=(3, 5, 4),
        reduced=2,
        reductions=(Reduction(combine, Load(dtype, 0)),),
        body=cast(Acc(accumulator, 0), dtype),
    )
    expected = COMBINED[combine].reduce(x.astype(accumulator.value).reshape(3, 20), axis=1)
    np.testing.assert_allclose(run(kernel), expected.astype(dtype.value), rtol=1e-2 if dtype is F16 else 1e-5)


def test_row_of_nothing_gives_identities() -> None:
    x = np.zeros((2, 0), np.float32)
    identities = {"sum": 0.0, "prod": 1.0, "min": np.inf, "max": -np.inf}
    for combine, expected in identities.items():
        kernel = Row(
            name="row",
            inputs=(View(tensor(x), 0, (0, 1)),),
            output=View(result(2), 0, (1, 0)),
            sizes=(2, 0),
            reduced=1,
            reductions=(Reduction(combine, LOAD),),  # type: ignore[arg-type]  # a plain str key
            body=Acc(F32, 0),
        )
        assert run(kernel).tolist() == [expected] * 2


def test_row_reduces_bools() -> None:
    x = np.array([[True, False], [True, True], [False, False]])
    for combine, expected in (("and", x.all(1)), ("or", x.any(1))):
        kernel = Row(
            name="row",
            inputs=(whole(x),),
            output=View(result(3, BOOL), 0, (1, 0)),
            sizes=(3, 2),
            reduced=1,
            reductions=(Reduction(combine, Load(BOOL, 0)),),  # type: ignore[arg-type]  # a plain str
            body=Acc(BOOL, 0),
        )
        assert run(kernel).tolist() == expected.tolist()


def test_row_with_a_later_reduction_and_every_element() -> None:
    x, scale = random(4, 7), random(4)
    shifted = call("exp", call("sub", LOAD, Acc(F32, 0)))
    kernel = Row(
        name="softmax",
        inputs=(whole(x), View(tensor(scale, "s"), 0, (1, 0))),
        output=View(result(28), 0, (7, 1)),
        sizes=(4, 7),
        reduced=1,
        reductions=(Reduction("max", LOAD), Reduction("sum", shifted)),
        body=call("mul", call("div", shifted, Acc(F32, 1)), Load(F32, 1)),
        elementwise=True,
    )
    e = np.exp(x - x.max(1, keepdims=True))
    expected = e / e.sum(1, keepdims=True) * scale[:, None]
    np.testing.assert_allclose(run(kernel).reshape(4, 7), expected, rtol=1e-5)


@pytest.mark.parametrize("panels", [0, 4, 8])
def test_matmul(panels: int) -> None:
    a, b, bias = random(2, 3, 5), random(5, 11), random(11)
    stored = pack_panels(b, panels) if panels else b
    kernel = MatMul(
        name="matmul",
        inputs=(View(tensor(bias, "bias"), 0, (0, 0, 1)),),
        output=View(result(66), 0, (33, 1, 3)),
        batch=(2,),
        m=3,
        n=11,
        k=5,
        a=View(tensor(a, "a"), 0, (15, 5, 1)),
        b=View(tensor(stored, "b"), 0, (0, 0, 0) if panels else (0, 11, 1)),
        panels=panels,
        body=call("add", Acc(F32, 0), LOAD),
    )
    found = run(kernel).reshape(2, 11, 3).transpose(0, 2, 1)
    np.testing.assert_allclose(found, a @ b + bias, rtol=1e-4, atol=1e-5)


def test_matmul_of_integers_is_exact() -> None:
    a, b = (GENERATOR.integers(-99, 99, s).astype(np.int32) for s in ((3, 40), (40, 2)))
    kernel = MatMul(
        name="matmul",
        output=View(result(6, I32), 0, (2, 1)),
        m=3,
        n=2,
        k=40,
        a=whole(a),
        b=whole(b),
        body=Acc(I32, 0),
    )
    np.testing.assert_array_equal(run(kernel).reshape(3, 2), a @ b)


def channels_last(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides (n, h, w, c) of a contiguous [n, c, h, w]."""
    n, c, h, w = contiguous(shape)
    return n, h, w, c


CONVOLUTIONS = [c for c in definition("Conv").cases if len(c.inputs[0][1]) == 4 and c.inputs[0][0] is F32]


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=lambda c: c.label)
def test_convolution(case: Case) -> None:
    inputs = inputs_of("Conv", case)
    x, w, bias = inputs
    assert x is not None
    assert w is not None
    (expected,) = expected_of("Conv", case, inputs)
    groups = case.attrs["group"]
    depthwise = groups == x.shape[1] == w.shape[0]
    stored = pack_depthwise(w) if depthwise else pack_conv(w, groups, 8)
    kernel = Conv(
        name="conv",
        inputs=() if bias is None else (View(tensor(bias, "bias"), 0, (0, 0, 0, 1)),),
        output=View(result(expected.size), 0, channels_last(expected.shape)),
        n=x.shape[0],
        in_size=x.shape[2:],
        out_size=expected.shape[2:],
        in_channels=x.shape[1],
        out_channels=w.shape[0],
        groups=groups,
        window=Window(
            w.shape[2:],
            case.attrs["strides"],
            case.attrs["dilations"],
            case.attrs["pads"][:2],
        ),
        x=View(tensor(x), 0, channels_last(x.shape)),
        weight=View(tensor(stored, "w"), 0, (0, 0)),
        panels=0 if depthwise else 8,
        body=Acc(F32, 0) if bias is None else call("add", Acc(F32, 0), LOAD),
    )
    np.testing.assert_allclose(run(kernel).reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


POOLS = [
    (op, c)
    for op in ("MaxPool", "AveragePool")
    for c in definition(op).cases
    if not isinstance(c.inputs[0], np.ndarray) and len(c.inputs[0][1]) == 4 and c.inputs[0][0] is F32
]


@pytest.mark.parametrize(("op", "case"), POOLS, ids=lambda v: getattr(v, "label", v))
def test_pool(op: str, case: Case) -> None:
    inputs = inputs_of(op, case)
    (x,) = inputs
    assert x is not None
    (expected,) = expected_of(op, case, inputs)
    pads, (n, c, h, w) = case.attrs["pads"], x.shape
    kernel = Pool(
        name="pool",
        output=View(result(expected.size), 0, channels_last(expected.shape)),
        mode="max" if op == "MaxPool" else "average",
        n=n,
        channels=c,
        in_size=(h, w),
        out_size=expected.shape[2:],
        window=Window(case.attrs["kernel"], case.attrs["strides"], case.attrs["dilations"], pads[:2]),
        count_include_pad=case.attrs.get("count_include_pad", False),
        padded=(h + pads[0] + pads[2], w + pads[1] + pads[3]),
        x=View(tensor(x), 0, channels_last(x.shape)),
        body=Acc(F32, 0),
    )
    np.testing.assert_allclose(run(kernel).reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)


def test_programs_run_in_order_and_show_missing_writes() -> None:
    n = symbol("n")
    x, middle, y = Tensor("x", F32, n, "input"), Tensor("m", F32, n), Tensor("y", F32, n + 1)
    calls = [
        Map(
            name="double",
            inputs=(View(x, 0, (1,)),),
            output=View(middle, 0, (1,)),
            sizes=(n,),
            body=call("mul", LOAD, Const(F32, 2.0)),
        ),
        Map(
            name="negate",
            inputs=(View(middle, 0, (1,)),),
            output=View(y, 0, (1,)),
            sizes=(n,),
            body=call("neg", LOAD),
        ),
    ]
    program = Program("main", ["n"], [x], [y], [*calls])
    (found,) = run_program(program, [np.array([[1], [2]], np.float32)], {"n": 2})
    np.testing.assert_array_equal(found, [-2, -4, np.nan])
    program.output_shapes = [(1, n + 1)]
    assert run_program(program, [np.zeros(2, np.float32)], {"n": 2})[0].shape == (1, 3)
    with pytest.raises(AssertionError):
        run_program(program, [np.zeros(3, np.float32)], {"n": 2})


@pytest.mark.parametrize(("k", "n", "panels"), [(3, 8, 8), (5, 11, 4), (1, 1, 8), (0, 3, 4)])
def test_panels_come_back(k: int, n: int, panels: int) -> None:
    weight = random(k, n)
    flat = pack_panels(weight, panels)
    assert flat.size == -(-n // panels) * panels * k
    np.testing.assert_array_equal(unpack_panels(flat, k, n, panels), weight)
    if k:
        assert flat[: min(panels, n)].tolist() == weight[0, :panels].tolist()
        assert not flat[-panels:][n - n // -panels * -panels or panels :].any()


def test_attribute_helpers_fill_defaults() -> None:
    assert geometry(2) == {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "group": 1}
    assert pool((3,), (2,), ceil_mode=True)["pads"] == (0, 0)
