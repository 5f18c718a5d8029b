"""Rendering of whole programs: shared shaders, equal text on every run, limits of WebGPU, typed refusals."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from pyruntime_shaders import library
from pyruntime_shaders.emit import Rendered, divide_programs, kernels_for, render_divided, render_programs
from pyruntime_shaders.module import INFINITY_BITS
from pyruntime_shaders.printer import literal

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Origin
from pyruntime.ir.kernel import KernelCall, Map, MatMul, Recurrence, Reduction, Row
from pyruntime.ir.program import Placement, Program
from pyruntime.ir.scalar import Acc, Const, Index, Load, Scalar, call
from pyruntime.ir.symbols import evaluate
from pyruntime.ir.views import Tensor, View
from tests.kernels import cases_recurrence, webgpu_harness

F32 = DType.F32


def _map(count: Dim, *, tensors: int = 1, dtype: DType = F32, body: Scalar | None = None) -> Map:
    tree: Scalar = Load(dtype, 0)
    for i in range(1, tensors):
        tree = call("add", tree, Load(dtype, i))
    body = body or tree
    return Map(
        name="map",
        origins=(Origin("Add", "encoder/add"),),
        inputs=tuple(View(Tensor(f"x{i}", dtype, count), 0, (1,)) for i in range(tensors)),
        output=View(Tensor("y", body.dtype, count), 0, (1,)),
        sizes=(count,),
        body=body,
    )


def _matmul(m: Dim, n: Dim = 64, k: Dim = 32) -> MatMul:
    a, b = View(Tensor("a", F32, m * k), 0, (k, 1)), View(Tensor("b", F32, k * n), 0, (n, 1))
    output = View(Tensor("y", F32, m * n), 0, (n, 1))
    return MatMul(name="matmul", m=m, n=n, k=k, a=a, b=b, output=output, body=Acc(F32))


def _row(rows: Dim, length: Dim) -> Row:
    return Row(
        name="row",
        inputs=(View(Tensor("x", F32, rows * length), 0, (length, 1)),),
        output=View(Tensor("y", F32, rows), 0, (1, 0)),
        sizes=(rows, length),
        reduced=1,
        reductions=(Reduction("sum", Load(F32, 0)),),
        body=Acc(F32),
    )


def _render(*calls: KernelCall) -> Rendered:
    return render_programs([Program("main", [], [], [], list(calls))])


def test_dims_do_not_make_shaders() -> None:
    rows = symbol("rows", (1, 1000)) * 8
    rendered = _render(_map(10), _map(70000), _map(symbol("n")), _matmul(100), _matmul(rows))
    assert [s.name for s in rendered.shaders] == ["map_0", "direct_0"]
    assert [d.shader for d in rendered.entries[0]] == [0, 0, 0, 1, 1]


def test_entries_share_shaders() -> None:
    rendered = render_programs([Program(n, [], [], [], [_map(8)]) for n in ("prefill", "decode")])
    assert len(rendered.shaders) == 1
    assert [len(e) for e in rendered.entries] == [1, 1]


def _written(tensor: Tensor, body: Scalar, *inputs: View) -> Map:
    return Map(name="map", inputs=inputs, output=View(tensor, 0, (1,)), sizes=(100,), body=body)


def test_what_kernels_wrote_bounds_64_bit_integers() -> None:
    index, whole = Index(DType.I64, 0), Tensor("whole", DType.I64, 100)
    x = View(Tensor("x", DType.I64, 100), 0, (1,))
    square = call("mul", Load(DType.I64, 0), Load(DType.I64, 0))
    first, second = _written(x.tensor, index), _written(x.tensor, call("neg", index))
    _render(first, second, _written(whole, square, x))
    assert x.tensor.interval == (-99, 99)
    assert whole.interval == (-99 * 99, 99 * 99)


def test_what_is_written_later_bounds_nothing() -> None:
    x = View(Tensor("x", DType.I64, 100), 0, (1,))
    more = call("add", Load(DType.I64, 0), Const(DType.I64, 1))
    first = _written(x.tensor, Const(DType.I64, 0))
    _render(first, _written(x.tensor, more, x))
    assert x.tensor.pairs


def test_dispatch() -> None:
    add = _map(1000, tensors=2)
    rendered = _render(add)
    (shader,), (dispatch,) = rendered.shaders, rendered.entries[0]
    assert dispatch.call is add
    assert [t.name for t in dispatch.tensors] == ["x0", "x1", "y"]
    assert shader.access == ("read", "read", "read_write")
    assert dispatch.words == (INFINITY_BITS, 1000)
    assert shader.words == 2
    assert dispatch.workgroups == (4, 1, 1)
    assert shader.code.startswith("// map: ")


def test_what_is_read_beside_what_is_written_is_bound_as_written() -> None:
    """Shaders are shared by dispatches that are alike in this, too."""
    calls = [_map(1000, tensors=2) for _ in range(3)]
    arenas = [(0, 0, 1), (1, 0, 1), (0, 2, 0)]  # of what each reads, and last of what it writes
    placed = [zip(c.tensors(), where, strict=True) for c, where in zip(calls, arenas, strict=True)]
    program = Program("program", [], [], [], list(calls))
    placement = Placement({}, [], [], dict(chain.from_iterable(placed)))
    rendered = render_divided([program], divide_programs([program]), None, [placement])
    read, written = ("read", "read", "read_write"), ("read_write", "read", "read_write")
    assert [s.access for s in rendered.shaders] == [read, written]
    assert [d.shader for d in rendered.entries[0]] == [0, 1, 1]
    declared = re.findall(r"var<storage, (\w+)>", rendered.shaders[1].code)
    assert tuple(declared) == written


def test_text_is_the_same_each_time() -> None:
    calls = [_map(10, tensors=3), _matmul(100), _matmul(symbol("n")), _row(5, 400)]
    first, second = _render(*calls), _render(*calls)
    assert [s.code for s in first.shaders] == [s.code for s in second.shaders]
    assert not any(re.search(r"0x[0-9a-f]{9,}", s.code) for s in first.shaders)


def test_same_tensor_binds_once() -> None:
    square = _map(8, tensors=2)
    tensor = square.inputs[0].tensor
    twice = Map(
        name="twice",
        inputs=(View(tensor, 0, (1,)), View(tensor, 4, (1,))),
        output=View(tensor, 0, (1,)),
        sizes=(4,),
        body=square.body,
    )
    (dispatch,) = _render(twice).entries[0]
    assert dispatch.tensors == (tensor,)
    assert _render(twice).shaders[0].access == ("read_write",)


@pytest.mark.parametrize("count", [0, 1, 256, 65535 * 256, 65535 * 256 + 1, 2**31 - 1])
@pytest.mark.parametrize(
    "make", [_map, lambda n: _row(n, 500), lambda n: _row(n, 3)], ids=["map", "row", "short"]
)
def test_workgroups_stay_within_limits(make: object, count: int) -> None:
    assert callable(make)
    for dim, values in ((count, {}), (symbol("n"), {"n": count})):
        (kernel,) = kernels_for(make(dim))
        groups = [evaluate(g, values) for g in kernel.workgroups]
        assert all(0 <= g <= 65535 for g in groups)
        assert (0 in groups) == (count == 0)


@pytest.mark.parametrize("m", [1, 2, 4, 5, 6, 100, 10**6])
def test_symbolic_rows_run_one_kernel(m: int) -> None:
    groups = [[evaluate(g, {"n": m}) for g in k.workgroups] for k in kernels_for(_matmul(symbol("n")))]
    assert [0 not in g for g in groups] == [m <= 4, 4 < m < 2**17, m >= 2**17]


def test_refuses_many_tensors() -> None:
    kernels_for(_map(8, tensors=7))
    with pytest.raises(UnsupportedError, match=r"^Add 'encoder/add': .* 9 tensors"):
        kernels_for(_map(8, tensors=8))


def test_refuses_float64() -> None:
    with pytest.raises(UnsupportedError, match=r"^Add 'encoder/add'"):
        kernels_for(_map(8, dtype=DType.F64))


def test_library_is_whole() -> None:
    text = "".join(library.functions().values())
    assert len(library.functions()) == text.count("\nfn ") + text.startswith("fn ")
    (found,) = library.used_by("is_nan(x)")
    assert found.startswith("fn is_nan")


@pytest.mark.webgpu
def test_in_place() -> None:
    x = Tensor("x", F32, 3 * 300)
    view = View(x, 0, (300, 1))
    shifted = call("exp", call("sub", Load(F32, 0), Acc(F32, 0)))
    softmax = Row(
        name="softmax",
        inputs=(view,),
        output=view,
        sizes=(3, 300),
        reduced=1,
        reductions=(Reduction("max", Load(F32, 0)), Reduction("sum", shifted)),
        body=call("div", shifted, Acc(F32, 1)),
        elementwise=True,
    )
    values = np.random.default_rng(0).normal(size=900).astype(np.float32)
    webgpu_harness.check([softmax], {x: values})


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_floats_are_written_within_range(sign: int) -> None:
    largest = float(np.finfo(np.float32).max)
    text = literal(sign * largest, F32).removesuffix("f")
    assert abs(float(text)) <= largest
    assert np.float32(text) == np.float32(sign * largest)


def test_states_fit_workgroup_memory_or_are_refused() -> None:
    recurrence = next(c.call for c in cases_recurrence.cases() if c.name.startswith("gated"))
    assert isinstance(recurrence, Recurrence)
    assert kernels_for(replace(recurrence, units=4096))
    with pytest.raises(UnsupportedError, match="4097 units take 17408 bytes of workgroup memory"):
        kernels_for(replace(recurrence, units=4097))
