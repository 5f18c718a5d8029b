"""Holds what a format gives against the reference."""

from __future__ import annotations

import numpy as np

from benchmarks.models.source import Array

TOLERANCE = 1e-4  # of the largest magnitude of an output, between f32 forms
COSINE = 0.95  # at least, between integer forms and f32; weights are random


class DisagreementError(RuntimeError):
    """A model gives something else than its reference."""


def near(made: dict[str, Array], expected: dict[str, Array], what: str) -> float:
    """The largest difference of any output, as a part of the output's largest magnitude.

    Raises:
        DisagreementError: it is over TOLERANCE, or names or shapes differ.
    """
    _same_shapes(made, expected, what)
    errors = {n: float(np.abs(made[n] - e).max() / np.abs(e).max()) for n, e in expected.items()}
    name = max(errors, key=lambda n: errors[n])
    if not errors[name] <= TOLERANCE:
        raise DisagreementError(
            f"{what}: output {name!r} is off by {errors[name]:.1e} of its largest magnitude"
        )
    return float(f"{errors[name]:.1e}")


def alike(made: dict[str, Array], expected: dict[str, Array], what: str) -> float:
    """The least cosine of any output with its reference.

    Raises:
        DisagreementError: it is under COSINE, or names or shapes differ.
    """
    _same_shapes(made, expected, what)
    cosines = {}
    for name, wanted in expected.items():
        a, b = made[name].ravel().astype(np.float64), wanted.ravel().astype(np.float64)
        cosines[name] = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    name = min(cosines, key=lambda n: cosines[n])
    if not cosines[name] >= COSINE:
        raise DisagreementError(f"{what}: output {name!r} has cosine {cosines[name]:.4f} with the reference")
    return round(cosines[name], 5)


def _same_shapes(made: dict[str, Array], expected: dict[str, Array], what: str) -> None:
    shapes = {n: made[n].shape for n in expected if n in made}
    wanted = {n: e.shape for n, e in expected.items()}
    if shapes != wanted:
        raise DisagreementError(f"{what}: outputs have shapes {shapes}, not {wanted}")
