"""Operators for which ONNX's reference is wrong, or coarser than float64, as ONNX's text has them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

Array = NDArray[Any]


class Erf(OpRun):
    """The reference has a polynomial, to 1e-7."""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype),)


class LpNormalization(OpRun):
    """The reference sums up without magnitudes."""

    def _run(self, x: Array, axis: int | None = None, p: int | None = None) -> tuple[Array]:
        norm = np.linalg.norm(x.astype(np.float64), p or 2, -1 if axis is None else axis, keepdims=True)
        return (np.divide(x, norm, out=np.zeros(x.shape), where=norm != 0).astype(x.dtype),)


class GlobalMaxPool(OpRun):
    """The reference forgets axes past the second behind the channels."""

    def _run(self, x: Array) -> tuple[Array]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


def evaluator(proto: ModelProto) -> ReferenceEvaluator:
    """ONNX's reference with these operators in it."""
    return ReferenceEvaluator(proto, new_ops=[Erf, GlobalMaxPool, LpNormalization])
