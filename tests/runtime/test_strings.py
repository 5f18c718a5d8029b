"""Strings as rows of bytes: to and from them, with NumPy and without, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyruntime.errors import InputError, RunError
from pyruntime.ir.dtypes import DType
from pyruntime.ir.strings import decode, encode
from pyruntime.pack.schema import Spec
from pyruntime.runtime.strings import as_rows, check_bytes, to_strings
from pyruntime.runtime.tensors import Tensor

SPEC = Spec("x", DType.U8, ("n", 2, "x_bytes"), None, None, DType.STRING)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(TEXT, max_size=5), st.sampled_from([1, 8]))
def test_any_text_comes_back(strings: list[str], step: int) -> None:
    data, width = encode(strings, step)
    assert width % step == 0
    assert len(data) == width * len(strings)
    assert decode(data, width, len(strings)) == strings


def test_rows() -> None:
    tensor = as_rows([["a", "grün"], ["", "\0"]], SPEC)
    assert (tensor.shape, tensor.dtype, bytes(tensor.data[:2])) == ((2, 2, 8), "uint8", b"a\xff")
    assert to_strings(tensor, "y").tolist() == [["a", "grün"], ["", "\0"]]
    assert as_rows(np.empty((0, 2), object), SPEC).shape == (0, 2, 8)
    assert as_rows("one", SPEC).shape == (8,)


def test_nested_lists_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = as_rows([["a", "b"], ["c", "d"], ["e", ""]], SPEC)
    one = as_rows("one", SPEC)
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert to_strings(tensor, "y") == [["a", "b"], ["c", "d"], ["e", ""]]
    assert to_strings(one, "y") == "one"


def test_what_is_refused() -> None:
    for wrong, message in (
        ([["a", 1]], "expected strings, got 1"),
        ([["a", None]], "expected strings, got None"),
        ([["a", "\udc80"]], "is no text"),
        ([["a"], ["b", "c"]], "unequal lengths"),
        (b"ab", "expected strings, got bytes"),
    ):
        with pytest.raises(InputError, match=message):
            as_rows(wrong, SPEC)
    check_bytes(as_rows(["a", "É"], SPEC), SPEC, 0, 0xC3)
    with pytest.raises(InputError, match="from 0 to 127, which is ASCII; got 'É'"):
        check_bytes(as_rows(["a", "É"], SPEC), SPEC, 0, 127)


def test_outputs_that_are_no_text() -> None:
    """A pack may give any bytes."""
    for shape, data in (((1, 2), b"\xc3\xff"), ((2,), b"\xfe\x00")):
        with pytest.raises(RunError, match="'y' has a string that is not UTF-8"):
            to_strings(Tensor(memoryview(data), shape, "uint8"), "y")
    assert to_strings(Tensor(memoryview(b""), (2, 0), "uint8"), "y").tolist() == ["", ""]
