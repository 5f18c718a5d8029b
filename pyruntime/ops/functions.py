"""Elementwise functions of analysis: roots, exponentials, trigonometry, the error function."""

from __future__ import annotations

from functools import partial

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.scalar import call
from pyruntime.ops.definition import Case, Elementwise, row

F16, F32 = DType.F16, DType.F32
ALL, POSITIVE, UNIT, ABOVE_ONE = (-4.0, 4.0), (0.01, 9.0), (-0.95, 0.95), (1.05, 9.0)
NON_FINITE = np.array([np.nan, np.inf, -np.inf, 0.0, 1.0], np.float32)

# where each function is defined, and how near targets come to it
FUNCTIONS: dict[str, tuple[tuple[float, float], float]] = {
    "Sqrt": (POSITIVE, 1e-5),
    "Exp": (ALL, 1e-5),
    "Log": (POSITIVE, 1e-5),
    "Erf": (ALL, 1e-5),
    "Sin": (ALL, 1e-4),
    "Cos": (ALL, 1e-4),
    "Tan": ((-1.4, 1.4), 1e-4),
    "Asin": (UNIT, 1e-4),
    "Acos": (UNIT, 1e-4),
    "Atan": (ALL, 1e-4),
    "Sinh": (ALL, 1e-4),
    "Cosh": (ALL, 1e-4),
    "Tanh": (ALL, 1e-5),
    "Asinh": (ALL, 1e-4),
    "Acosh": (ABOVE_ONE, 1e-4),
    "Atanh": (UNIT, 1e-4),
}


def _row(name: str, domain: tuple[float, float], tolerance: float) -> type[Elementwise]:
    low, high = domain
    cases = [
        Case(((F32, (3, 7)),), label="f32", low=low, high=high),
        Case(((F32, ()),), label="scalar", low=low, high=high),
        Case(((F32, (0, 2)),), label="empty", low=low, high=high),
        Case(((F32, (3, 11)),), label="dynamic", symbols={(0, 0): "batch"}, low=low, high=high),
        Case(((F16, (13,)),), label="f16", low=low, high=high),
    ]
    if name in ("Sqrt", "Exp", "Log", "Erf", "Tanh"):
        cases.append(Case((NON_FINITE,), label="non-finite"))
    if name in ("Exp", "Erf", "Tanh"):
        cases.append(Case((np.linspace(-200, 200, 101, dtype=np.float32),), label="wide"))
    return row(name, partial(call, name.lower()), cases=cases, tolerance=tolerance)


ROWS = [_row(name, *properties) for name, properties in FUNCTIONS.items()]
