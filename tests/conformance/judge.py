"""What a test comes to, and whether outputs are what the suite wants: ONNX's own comparison."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from tests.conformance.suite import Case

Status = Literal["passed", "failed", "skipped"]
_UNLIKELY = 1e-3  # the chance of a difference in counts below which it is none
_LONGEST = 240  # characters of a reason


class Outcome(NamedTuple):
    """What a test came to on a target.

    Attributes:
        reason: why it did not pass.
        nodes: steps that were executed, where the target tells.
        host: how many of them ran on the host rather than on the device.
        dispatched: whether anything ran on the device at all.
    """

    status: Status
    reason: str = ""
    nodes: int = 0
    host: int = 0
    dispatched: bool = True


def skipped(reason: object) -> Outcome:
    """What the target refuses."""
    return Outcome("skipped", brief(reason))


def failed(reason: object) -> Outcome:
    """What the target gets wrong; for an exception with its type."""
    kind = f"{type(reason).__name__}: " if isinstance(reason, BaseException) else ""
    return Outcome("failed", kind + brief(reason))


def brief(reason: object) -> str:
    """The text in one line, without what differs between runs or machines."""
    text = re.sub(r"0x[0-9a-f]{6,}|(/[\w.-]+){2,}/", "...", str(reason))
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def mismatch(case: Case, wanted: Sequence[Any], got: Sequence[Any]) -> str:
    """How outputs differ from what the suite wants; empty where they pass.

    Dtype, shape and elements are compared by ONNX's runner with the case's tolerances. It cannot compare
    lists of scalars, nor looks how long lists are, so it gets the elements of lists. What chance drops or
    keeps must be dropped as often, and be the same where both keep it.
    """
    from onnx.backend.test.runner import Runner

    try:
        if case.draws:
            wanted = [_kept_by_both(w, g) for w, g in zip(wanted, got, strict=True)]
        _same_lists(wanted, got)
        Runner.assert_similar_outputs(_flat(_widened(wanted)), _flat(_widened(got)), case.rtol, case.atol)
        dtypes = [(_dtypes(w), _dtypes(g)) for w, g in zip(wanted, got, strict=True)]
    except (AssertionError, TypeError, AttributeError, ValueError) as error:
        return _told(str(error))
    return next((f"dtype {g}, expected {w}" for w, g in dtypes if w != g), "")


def _same_lists(wanted: Any, got: Any) -> None:
    """Lists where lists are wanted, of as many elements."""
    if isinstance(wanted, (list, tuple)):
        assert isinstance(got, (list, tuple)), f"expected a list, got {type(got).__name__}"
        assert len(wanted) == len(got), f"a list of {len(got)}, expected {len(wanted)}"
        for one, other in zip(wanted, got, strict=True):
            _same_lists(one, other)
    else:
        assert not isinstance(got, (list, tuple)), "expected no list"


def _flat(values: Sequence[Any]) -> list[Any]:
    """The arrays in lists, however nested."""
    return [a for v in values for a in (_flat(v) if isinstance(v, list) else [v])]


def _kept_by_both(wanted: Any, got: Any) -> Any:
    """What is wanted, but as `got` has it where one of them alone is zero; how often must be by chance."""
    from scipy.stats import fisher_exact

    wanted, got = np.asarray(wanted), np.asarray(got)
    assert wanted.shape == got.shape, f"shape {got.shape}, expected {wanted.shape}"
    kept = [int(np.count_nonzero(a)) for a in (wanted, got)]
    chance = fisher_exact([kept, [wanted.size - k for k in kept]]).pvalue
    assert chance >= _UNLIKELY, f"{kept[1]} of {got.size} elements are not zero, expected about {kept[0]}"
    return np.where((wanted != 0) == (got != 0), wanted, got).astype(wanted.dtype)


def _widened(values: Sequence[Any]) -> list[Any]:
    """8-bit and shorter floats and short integers as types that NumPy compares; others as they are."""
    return [_wide(v) for v in values]


def _wide(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return _widened(value)
    if value is None:
        return np.empty(0, np.bool_)  # an empty optional
    array = np.asarray(value)
    if is_extension(array.dtype) and array.dtype.name != "bfloat16":
        return array.astype(np.int8 if "int" in array.dtype.name else np.float32)
    return np.asarray(array)


def is_extension(dtype: np.dtype[Any]) -> bool:
    """Whether NumPy has this dtype from a package: bfloat16, 8-bit floats, 4- and 2-bit numbers."""
    return dtype.isbuiltin == 2


def _dtypes(value: Any) -> str:
    """A value's dtype as text; strings are objects in whatever way NumPy holds them."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(sorted({_dtypes(v) for v in value}))}]"
    if value is None:
        return "none"
    dtype = np.asarray(value).dtype
    return "string" if dtype.kind in "OUST" else str(dtype.name)


def _told(text: str) -> str:
    """What NumPy says of a mismatch without its listing of the arrays."""
    lines = [line.strip() for line in text.strip().splitlines()]
    telling = (
        line
        for line in lines
        if line and not line.startswith(("ACTUAL", "DESIRED", "x:", "y:", "array(", "Arrays are not", "["))
    )
    return "; ".join(list(telling)[:4])
