"""Checking of what users feed, without a device."""

import array
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from pyruntime.errors import InputError, MemoryLimitError
from pyruntime.ir.dtypes import PLAIN, DType
from pyruntime.pack.schema import Constraint, Entry, Spec, Symbol
from pyruntime.runtime.bind import bind, make_output, spec_of
from pyruntime.runtime.tensors import Tensor

ENTRY = Entry(
    name="main",
    symbols=(Symbol("batch", 0, 0), Symbol("seq", 0, 1)),
    inputs=(
        Spec("tokens", DType.I64, ("batch", "seq")),
        Spec("mask", DType.BOOL, ("batch", "seq")),
        Spec("past", DType.F32, ("batch", ("seq", 2, "*"), 3)),
        Spec("scale", DType.F16, ()),
    ),
    outputs=(),
)


def feeds(**changes: Any) -> Mapping[str, Any]:
    good = {
        "tokens": np.arange(10).reshape(2, 5),
        "mask": np.ones((2, 5), bool),
        "past": np.zeros((2, 10, 3), np.float32),
        "scale": np.float16(0.5),
    }
    return {**good, **changes}


OPTIONAL = Entry(
    name="main",
    symbols=(Symbol("n", 0, 0),),
    inputs=(
        Spec("x", DType.F32, ("n",)),
        *(Spec(d.value, d, ("n", 2), default=1) for d in PLAIN),
        Spec("scale", DType.F32, (), default=-0.5),
    ),
    outputs=(),
)


def test_inputs_that_are_not_fed_are_filled() -> None:
    x, *rest, scale = bind(OPTIONAL, {"x": [1.0, 2.0, 3.0]}).inputs
    assert x.shape == (3,)
    for tensor in rest:
        np.testing.assert_array_equal(make_output(tensor), np.ones((3, 2), tensor.dtype))
    assert make_output(scale) == np.float32(-0.5)
    (_, half, *_) = bind(OPTIONAL, {"x": [1.0], "bool": [[False, True]]}).inputs
    assert bytes(half.data) == b"\0\1"


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
def test_integers_past_what_an_input_takes(dtype: str) -> None:
    within = (2, 100) if dtype.startswith("u") else (-2, 100)
    spec = Spec("ids", DType(dtype), ("n",), default=3, within=within)
    entry = Entry("main", (Symbol("n", 0, 0),), (Spec("x", DType.F32, ("n",)), spec), ())
    x = np.zeros(3, np.float32)
    for good in ([*within, 5], np.array([*within, 5], dtype)):
        assert bind(entry, {"x": x, "ids": good}).inputs[1].shape == (3,)
    assert bytes(bind(entry, {"x": x}).inputs[1].data) == np.full(3, 3, dtype).tobytes()
    for bad in (within[0] - 1, within[1] + 1):
        with pytest.raises(InputError, match=rf"'ids' takes integers from {within[0]} to 100, got {bad}"):
            bind(entry, {"x": x, "ids": np.array([5, bad, 5], dtype)})


def test_an_input_that_is_not_fed_and_fits_no_memory() -> None:
    """Larger than any address space, so that nothing is taken to find that out."""
    spec = Spec("s", DType.F32, (2**40, 2**15), default=1)
    with pytest.raises(MemoryLimitError, match="input 's' of shape"):
        bind(Entry("main", (), (spec,), ()), {})


def test_good_feeds() -> None:
    bound = bind(ENTRY, feeds())
    assert bound.symbols == {"batch": 2, "seq": 5}
    assert [t.shape for t in bound.inputs] == [(2, 5), (2, 5), (2, 10, 3), ()]
    assert bytes(bound.inputs[0].data) == np.arange(10).tobytes()
    assert bytes(bound.inputs[3].data) == np.float16(0.5).tobytes()


@pytest.mark.parametrize(
    "tokens",
    [
        [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]],
        ([0, 1, 2, 3, 4], (5, 6, 7, 8, 9)),
        np.arange(10).reshape(5, 2, order="F").T.copy(),
        np.arange(20).reshape(2, 10)[:, ::2] // 2,
        np.arange(10).reshape(2, 5).astype(order="F", dtype=np.int64),
        np.arange(10).reshape(2, 5).data,
        Tensor(memoryview(np.arange(10).tobytes()), (2, 5), "int64"),
    ],
    ids=["list", "tuple", "transposed", "strided", "fortran", "memoryview", "tensor"],
)
def test_what_counts_as_an_array(tokens: Any) -> None:
    made = bind(ENTRY, feeds(tokens=tokens)).inputs[0]
    assert made.shape == (2, 5)
    expected = np.asarray(tokens.data if isinstance(tokens, Tensor) else tokens)
    assert bytes(made.data) == expected.tobytes()


def test_one_dimensional_buffers() -> None:
    entry = Entry("main", (), (Spec("x", DType.F64, (3,)),), ())
    assert (
        bytes(bind(entry, {"x": array.array("d", [1, 2, 3])}).inputs[0].data)
        == np.array([1.0, 2, 3]).tobytes()
    )


class ArrayLike:
    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.arange(10).reshape(2, 5)


def test_objects_that_offer_themselves_as_arrays() -> None:
    assert bind(ENTRY, feeds(tokens=ArrayLike())).inputs[0].shape == (2, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tokens": np.zeros((2, 5), np.int32)},
            r"input 'tokens': expected int64 of shape \(batch, seq\), got int32 of shape \(2, 5\): .*astype",
        ),
        ({"tokens": np.zeros((2, 5))}, "got float64"),
        ({"tokens": np.zeros((2, 5), ">i8")}, "got elements of format '>"),
        ({"tokens": np.zeros((2, 5), complex)}, "got elements of format 'Zd'"),
        ({"tokens": np.array([["a"]])}, "got elements of format"),
        ({"tokens": np.array([[None]])}, "got elements of format 'O'"),
        ({"tokens": "text"}, "expected int64 as an array or a list, got str"),
        ({"tokens": None}, "got NoneType"),
        ({"tokens": {"a": 1}}, "got dict"),
        ({"tokens": np.zeros(5, np.int64)}, "rank 2 is needed"),
        ({"tokens": np.zeros((0, 5), np.int64)}, r"axis 0 \(batch\) must be at least 1"),
        ({"mask": np.ones((2, 4), bool)}, "axis 1 must be 5 = seq, since batch is 2, seq is 5"),
        ({"mask": np.ones((2, 5), np.uint8)}, "got uint8"),
        (
            {"past": np.zeros((2, 5, 3), np.float32)},
            r"expected float32 of shape \(batch, seq \* 2, 3\).*axis 1 must be 10 = seq \* 2",
        ),
        ({"past": np.zeros((2, 10, 4), np.float32)}, "axis 2 must be 3$"),
        ({"scale": 70000}, "a number does not fit float16"),
        ({"scale": True}, "expected float16, got True"),
        ({"scale": [1.0]}, "rank 0 is needed"),
        ({"tokens": [[1, 2.5]]}, "expected int64, got 2.5"),
        ({"tokens": [[1, 2**63]]}, "does not fit int64"),
        ({"tokens": [[1, 2], [3]]}, "unequal lengths"),
        ({"tokens": [[1, 2], 3]}, "unequal lengths"),
        ({"tokens": [[1, [2]]]}, "expected int64"),
        ({"mask": [[1, 0]]}, "expected bool, got 1"),
        ({"tokens": Tensor(memoryview(b"12"), (2, 5), "int64")}, "2 bytes"),
        (
            {"token": 1},
            r"there is no input 'token'; did you mean 'tokens'\? The inputs are 'tokens', 'mask'",
        ),
        ({"zzz": 1}, "there is no input 'zzz'; the inputs are 'tokens', 'mask', 'past', 'scale'$"),
    ],
)
def test_bad_feeds(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        bind(ENTRY, feeds(**changes))


def test_missing_input() -> None:
    with pytest.raises(InputError, match="input 'tokens' is missing; the inputs are 'tokens', 'mask'"):
        bind(ENTRY, {})


def test_endless_nesting() -> None:
    nested: list[Any] = []
    nested.append(nested)
    with pytest.raises(InputError, match="nested too deeply"):
        bind(ENTRY, feeds(tokens=nested))


def test_empty_inputs() -> None:
    entry = Entry("main", (), (Spec("x", DType.F32, (0, 3)),), ())
    values: tuple[Any, ...] = (np.zeros((0, 3), np.float32), [])
    for value in values:
        tensor = bind(entry, {"x": value}).inputs[0]
        assert (tensor.shape, len(tensor.data)) == ((0, 3), 0)


@pytest.mark.parametrize("dtype", PLAIN)
def test_python_numbers_of_every_dtype(dtype: DType) -> None:
    entry = Entry("main", (), (Spec("x", dtype, (2,)),), ())
    value = [True, False] if dtype is DType.BOOL else [1, 0]
    tensor = bind(entry, {"x": value}).inputs[0]
    assert bytes(tensor.data) == np.array(value, dtype.value).tobytes()


def test_specs_and_outputs() -> None:
    spec = spec_of(ENTRY.inputs[2])
    assert (spec.name, spec.dtype, spec.shape) == ("past", "float32", ("batch", "seq * 2", 3))
    made = make_output(Tensor(memoryview(bytearray(np.arange(6.0).tobytes())), (2, 3), "float64"))
    assert np.array_equal(made, np.arange(6.0).reshape(2, 3))
    made[0, 0] = 5  # the user's own


CONTENTS = Entry(
    name="main",
    symbols=(Symbol("n", 0, axis=0), Symbol("rate", 1, element=0), Symbol("flag", 2, element=2)),
    inputs=(Spec("x", DType.F32, ("n",)), Spec("rate", DType.I64, ()), Spec("flags", DType.BOOL, (1, 3))),
    outputs=(),
    constraints=(Constraint(("n", "rate", "%"), "x has less than a second"),),
)


def test_elements_bind_symbols() -> None:
    fed = {"x": np.zeros(5, np.float32), "rate": np.int64(-3), "flags": np.array([[False, False, True]])}
    assert bind(CONTENTS, fed).symbols == {"n": 5, "rate": -3, "flag": 1}
    assert bind(CONTENTS, {**fed, "rate": 2**62, "flags": [[1 > 2] * 3]}).symbols["flag"] == 0


def test_constraints_are_told() -> None:
    fed = {"x": np.zeros(6, np.float32), "rate": np.int64(3), "flags": np.zeros((1, 3), bool)}
    with pytest.raises(InputError, match=r"less than a second; given n=6, rate=3, flag=0"):
        bind(CONTENTS, fed)
    with pytest.raises(InputError, match="division by zero"):
        bind(CONTENTS, {**fed, "rate": np.int64(0)})
