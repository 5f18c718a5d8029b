"""Symbols that parts of fed floats bind; writes the vectors that all languages share."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from pyruntime.errors import InputError
from pyruntime.ir.dtypes import DType
from pyruntime.pack.schema import Constraint, Entry, Spec, Symbol
from pyruntime.runtime.bind import bind
from pyruntime.runtime.tensors import Tensor

VECTORS = Path(__file__).parents[1] / "vectors" / "parts.json"
NUMBERS = (0.0, -0.0, 1.0, -3.0, 0.5, 2.3, -0.7, 1 / 3, 100.0, 1e-3, 1e-7, 65504.0, 1e10, 3e-8)
# whole, too large for the numerator, as small as the denominator allows, smaller, no numbers
ENDS = (2.0**53 - 1, 2.0**53, -(2.0**60), 2.0**-62, 2.0**-63, 5e-324, 1e300, np.inf, -np.inf, np.nan)


def vectors() -> list[dict[str, Any]]:
    """Elements as hexadecimal bytes with numerator and denominator, both none for what is refused."""
    found = {}
    for dtype in (np.float16, np.float32, np.float64, ml_dtypes.bfloat16):
        with np.errstate(over="ignore"):
            elements = [dtype(v) for v in (*NUMBERS, *ENDS)]
        for element in elements:
            above, below = None, None
            if np.isfinite(element):
                above, below = Fraction(float(element)).as_integer_ratio()
                if abs(above) >= 2**53 or below > 2**62:
                    above, below = None, None
            key = (dtype.__name__, element.tobytes().hex())
            found[key] = {"dtype": key[0], "bytes": key[1], "numerator": above, "denominator": below}
    return list(found.values())


def text() -> str:
    """The vectors' file."""
    return "[\n" + ",\n".join(json.dumps(v) for v in vectors()) + "\n]\n"


def test_vectors_are_current() -> None:
    """To write them anew: python -m tests.runtime.test_parts."""
    assert VECTORS.read_text() == text()


def entry(dtype: DType, *constraints: Constraint) -> Entry:
    parts = (Symbol("n", 0, element=1, part="numerator"), Symbol("d", 0, element=1, part="denominator"))
    spec = Spec("s", dtype.code or dtype, (2,), encodes=dtype if dtype.code else None)
    return Entry("main", parts, (spec,), (), constraints)


@pytest.mark.parametrize("vector", vectors(), ids=lambda v: f"{v['dtype']}-{v['bytes']}")
def test_parts(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    tensor = Tensor(memoryview(bytes(len(data)) + data), (2,), vector["dtype"])
    numerator, denominator = vector["numerator"], vector["denominator"]
    if numerator is None:
        with pytest.raises(InputError, match=r"input 's': \S+ decides sizes"):
            bind(entry(DType(vector["dtype"])), {"s": tensor})
    else:
        symbols = bind(entry(DType(vector["dtype"])), {"s": tensor}).symbols
        assert symbols == {"n": numerator, "d": denominator}


def test_constraints_see_the_parts() -> None:
    positive = Constraint((0, 1, "n", "min", "max"), "it must be more than 0")
    assert bind(entry(DType.F32, positive), {"s": [0, 0.75]}).symbols == {"n": 3, "d": 4}
    with pytest.raises(InputError, match="it must be more than 0; given n=-3, d=4"):
        bind(entry(DType.F32, positive), {"s": [0, -0.75]})


if __name__ == "__main__":
    VECTORS.write_text(text())
