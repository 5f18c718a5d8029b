"""Whether an engine's outputs are those of the reference, as closely as its dtype allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F32_TOLERANCE = 2e-3  # of the reference's largest magnitude
INT8_COSINE = 0.95  # of the f32 reference; what our own quantisation must reach is judged apart


@dataclass(frozen=True)
class Agreement:
    """How near outputs are: of all of them the worst.

    Attributes:
        difference: the largest absolute difference over the reference's largest magnitude.
        cosine: between the output and the reference, both flat.
        problem: None where that is near enough.
    """

    difference: float
    cosine: float
    problem: str | None


def cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Of two arrays as vectors; 1 for two of zeros."""
    x, y = a.reshape(-1).astype(np.float64), b.reshape(-1).astype(np.float64)
    lengths = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / lengths if lengths else float(np.array_equal(x, y))


def compare(
    outputs: Mapping[str, NDArray[Any]], reference: Mapping[str, NDArray[Any]], dtype: str
) -> Agreement:
    """Compare all outputs of a model whose weights have this dtype ("f32", "int8", "int8-dynamic")."""
    worst, nearest, problem = 0.0, 1.0, None
    for name, wanted in reference.items():
        got = outputs.get(name)
        if got is None:
            return Agreement(float("inf"), 0.0, f"no output {name} of shape {list(wanted.shape)}")
        if not np.isfinite(got).all():
            return Agreement(float("inf"), 0.0, f"output {name} has values that are not finite")
        largest = float(np.abs(wanted).max(initial=0)) or 1.0
        apart = np.abs(got.astype(np.float64) - wanted.astype(np.float64))
        difference = float(apart.max(initial=0)) / largest
        near = cosine(got, wanted)
        worst, nearest = max(worst, difference), min(nearest, near)
        if dtype == "f32" and difference > F32_TOLERANCE:
            problem = f"output {name} differs by {difference:.1e} of its largest value"
        if dtype != "f32" and near < INT8_COSINE:
            problem = f"output {name} has a cosine of {near:.3f} with the reference"
    return Agreement(worst, nearest, problem)
