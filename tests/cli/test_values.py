"""Dims as text, feeds, and numbers as people read them."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.cli import look
from pyruntime.cli.feeds import bind_symbols, parse_sizes, random_inputs, read_inputs, save_outputs
from pyruntime.cli.sizes import symbols_of, value_of
from pyruntime.errors import InputError
from pyruntime.ir.dims import Dim, ceildiv, maximum, minimum, mod, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.symbols import evaluate
from pyruntime.runtime.tensors import TensorSpec

B, N = symbol("batch"), symbol("n")
SIZES = {"batch": 3, "n": 7}
DIMS: list[Dim] = [
    5,
    B,
    B * 2 + 1,
    B * N - 4,
    ceildiv(N, 2),
    mod(N, 4) * 3,
    1 - B * 2,
    minimum(B, N - 1),
    maximum(B, 5),
]
SPECS = [TensorSpec("x", "float32", ("batch", 4)), TensorSpec("ids", "int64", ("batch", "2*n"))]


@pytest.mark.parametrize("dim", DIMS, ids=str)
def test_a_dims_text_means_what_the_dim_means(dim: Dim) -> None:
    assert value_of(str(dim), SIZES) == evaluate(dim, SIZES)


@pytest.mark.parametrize("text", ["batch +", "f(1, 2)", "1.5", "batch ** 2", "__import__('os')", "a.b"])
def test_what_is_no_dim_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no dim"):
        value_of(text, SIZES)


def test_symbols_of_a_dim() -> None:
    assert symbols_of("min(2*batch, n//2)") == {"batch", "n"}
    assert symbols_of(4) == set()


def test_random_inputs_repeat_and_stay_in_range() -> None:
    sizes = {"batch": 2, "n": 3}
    made = random_inputs(SPECS, {}, sizes, 1)
    again = random_inputs(SPECS[1:], {}, sizes, 1) | random_inputs(SPECS, {"ids": made["ids"]}, sizes, 1)
    other = random_inputs(SPECS, {}, sizes, 2)
    assert made["x"].dtype == np.float32
    assert (made["x"].shape, made["ids"].shape) == ((2, 4), (2, 6))
    assert 0 <= made["x"].min() <= made["x"].max() < 1
    assert set(made["ids"].ravel()) <= {0, 1}
    np.testing.assert_array_equal(made["x"], again["x"])
    assert not np.array_equal(made["x"], other["x"])


def test_random_float16_stays_finite_and_scalars_work() -> None:
    specs = [TensorSpec("a", "float16", ()), TensorSpec("b", "bool", ()), TensorSpec("c", "uint8", (0,))]
    made = random_inputs(specs, {}, {}, 0)
    assert [(a.dtype.name, a.shape) for a in made.values()] == [
        ("float16", ()),
        ("bool", ()),
        ("uint8", (0,)),
    ]


def test_random_inputs_of_types_that_numpy_has_not_are_codes() -> None:
    types = [d for d in DType if d.code and d is not DType.STRING]
    made = random_inputs([TensorSpec(d.value, d.value, (64,)) for d in types], {}, {}, 0)
    for dtype in types:
        assert dtype.code is not None
        assert made[dtype.value].dtype == dtype.code.value
        numbers = made[dtype.value].view(getattr(ml_dtypes, dtype.value)).astype(np.float32)
        assert 0 <= numbers.min() < numbers.max() <= 1


def test_symbols_come_from_arrays_then_from_the_user_then_are_one() -> None:
    x = np.zeros((5, 4), np.float32)
    assert bind_symbols(SPECS, {}, {}) == {"batch": 1, "n": 1}
    assert bind_symbols(SPECS, {}, {"n": 6}) == {"batch": 1, "n": 6}
    assert bind_symbols(SPECS, {"x": x}, {"n": 2, "batch": 5}) == {"batch": 5, "n": 2}
    with pytest.raises(InputError, match="'x' says that it is 5"):
        bind_symbols(SPECS, {"x": x}, {"batch": 4})
    with pytest.raises(InputError, match="the symbols are batch, n"):
        bind_symbols(SPECS, {}, {"seq": 4})
    with pytest.raises(InputError, match="it has none"):
        bind_symbols([], {}, {"seq": 4})


def test_sizes_are_parsed() -> None:
    assert parse_sizes(["batch=4", " n = 10 "]) == {"batch": 4, "n": 10}
    for wrong in ("batch", "batch=-1", "batch=x", "=3"):
        with pytest.raises(InputError, match="NAME=SIZE"):
            parse_sizes([wrong])


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """a.npy, one.npz with z, two.npz with x and ids, text.npy which is none, cut.npz which is damaged."""
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.arange(4))
    np.savez("one.npz", z=np.arange(3))
    np.savez("two.npz", x=np.zeros(2), ids=np.ones(2))
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:100])
    np.save("objects.npy", np.array([{}], object), allow_pickle=True)
    return tmp_path


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["x=a.npy"], {"x": [0, 1, 2, 3]}),
        (["x=one.npz"], {"x": [0, 1, 2]}),
        (["ids=one.npz:z"], {"ids": [0, 1, 2]}),
        (["two.npz"], {"x": [0, 0], "ids": [1, 1]}),
        (["x=a.npy", "ids=two.npz:x"], {"x": [0, 1, 2, 3], "ids": [0, 0]}),
        ([], {}),
    ],
)
def test_inputs_are_read(arguments: list[str], expected: dict[str, list[int]]) -> None:
    assert {k: v.tolist() for k, v in read_inputs(arguments, SPECS).items()} == expected


@pytest.mark.usefixtures("files")
def test_one_input_needs_no_name() -> None:
    assert read_inputs(["a.npy"], SPECS[:1])["x"].tolist() == [0, 1, 2, 3]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], "expected NAME=FILE"),
        (["a.npy"], "for which input"),
        (["y=a.npy"], "no input is called 'y'; the inputs are x, ids"),
        (["one.npz"], "no input is called 'z'"),
        (["x=a.npy", "x=one.npz"], "already given"),
        (["x=two.npz"], "which array of x, ids"),
        (["x=two.npz:q"], "holds no 'q', only x, ids"),
        (["x=a.npy:q"], "holds one array"),
        (["x=text.npy"], "text.npy: not a NumPy file"),
        (["x=cut.npz"], "cut.npz: not a NumPy file"),
        (["x=objects.npy"], "objects.npy: not a NumPy file"),
    ],
)
def test_wrong_inputs_are_told(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_inputs(arguments, SPECS)


def test_outputs_of_any_name_and_dtype_are_saved(tmp_path: Path) -> None:
    outputs = {
        "file": np.zeros(3, np.float16),
        "a/b:0": np.ones((2, 2), bool),
        "scalar": np.array(2, np.int64),
    }
    save_outputs(tmp_path / "o.npz", outputs)
    with np.load(tmp_path / "o.npz") as read:
        assert set(read) == set(outputs)
        for name, array in outputs.items():
            np.testing.assert_array_equal(read[name], array)
            assert read[name].dtype == array.dtype


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (1000, "1.0 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_600, "1.0 MB"),
        (23_600_000, "23.6 MB"),
        (1.5e15, "1500.0 TB"),
    ],
)
def test_sizes_are_readable(size: float, text: str) -> None:
    assert look.bytes_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 µs"),
        (31e-6, "31.0 µs"),
        (4.214e-3, "4.21 ms"),
        (0.1234, "123 ms"),
        (1.3, "1.30 s"),
        (75, "75.0 s"),
    ],
)
def test_times_are_readable(seconds: float, text: str) -> None:
    assert look.seconds_text(seconds) == text


@given(st.floats(0, 1e18))
def test_counts_are_always_short(count: float) -> None:
    assert len(look.count_text(count).split()[0]) <= 10


def test_shapes_are_readable() -> None:
    assert look.shape_text((1, "batch", "2 * n")) == "1 × batch × (2 * n)"
    assert look.shape_text(()) == "scalar"
