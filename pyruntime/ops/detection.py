"""What detectors end in: the best of boxes that overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import at_least
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import REQUIRED, Case, OpDef, TensorType, present, require

Array = NDArray[Any]
Attrs = Mapping[str, Any]
Inputs = Sequence[Value | None]
Arrays = Sequence[Array | None]

F32 = DType.F32
_CASE = ((F32, (2, 13, 4)), (F32, (2, 3, 13)), np.array([0.1, -1], np.float32))
_MANY = ((F32, (1, 300, 4)), (F32, (1, 2, 300)), np.array([0.5, 0], np.float32))


class SuppressBoxes(OpDef):
    """For each image and class the numbers of the best boxes that do not overlap, in order, then -1.

    Inputs, of float32: boxes [batch, n, 4], scores [batch, classes, n], thresholds [2]: what the intersection
    over the union with a better box must not exceed, and what a score must.

    Attributes:
        most: of how many boxes there is room (a dim).
        centred: whether boxes are centre and size (x, y, width, height); else opposite corners (y, x, y, x).
        bounded: whether there is a threshold of scores.
    """

    name = "SuppressBoxes"
    attrs: ClassVar = {"most": REQUIRED, "centred": False, "bounded": True}
    cases = (
        Case(_CASE, {"most": 4}, "corners"),
        Case(_CASE, {"most": 13}, "all"),
        Case(_CASE, {"most": 13, "bounded": False}, "unbounded"),
        Case(_CASE, {"most": 5, "centred": True}, "centred"),
        Case(_CASE, {"most": 0}, "none"),
        Case(_MANY, {"most": 40}, "many", low=0),
        Case(_CASE, {"most": 3}, "dynamic", {(0, 0): "batch", (1, 0): "batch"}),
    )

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        boxes, scores, thresholds = present(inputs, 3)
        require(all(v.dtype is F32 for v in (boxes, scores, thresholds)), "takes float32 alone")
        require(boxes.rank == scores.rank == 3 and boxes.shape[2] == 4, f"{boxes.shape}, {scores.shape}")
        same = (boxes.shape[0], boxes.shape[1]) == (scores.shape[0], scores.shape[2])
        require(same, f"boxes {boxes.shape} and scores {scores.shape} differ")
        require(thresholds.shape == (2,), f"thresholds {thresholds.shape}")
        require(at_least(attrs["most"], 0), f"at most {attrs['most']} boxes")
        return [TensorType(DType.I32, (*scores.shape[:2], attrs["most"]))]

    def reference(self, inputs: Arrays, attrs: Attrs) -> list[Array]:
        boxes, scores, thresholds = inputs
        assert boxes is not None
        assert scores is not None
        assert thresholds is not None
        overlap, lowest = thresholds
        result = np.full((*scores.shape[:2], attrs["most"]), -1, np.int32)
        for b, c in np.ndindex(scores.shape[:2]):
            sides = corners(boxes[b], attrs["centred"])
            bound = lowest if attrs["bounded"] else None
            chosen = suppress(sides, scores[b, c], attrs["most"], overlap, bound)
            result[b, c, : len(chosen)] = chosen
        return [result]


def corners(boxes: Array, centred: bool) -> Array:
    """Boxes as lower corner, then upper one."""
    if centred:
        half = boxes[:, 2:] / np.float32(2)
        return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    low, high = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([np.minimum(low, high), np.maximum(low, high)], axis=1)


def suppress(boxes: Array, scores: Array, most: int, overlap: float, lowest: float | None) -> list[int]:
    """The boxes that are selected, by number, the best first; those of boxes are `corners`."""
    order = [i for i in np.argsort(-scores, kind="stable") if lowest is None or scores[i] > lowest]
    selected: list[int] = []
    for candidate in order:
        if len(selected) == most:
            break
        if not any(_overlap(boxes[candidate], boxes[other]) > overlap for other in selected):
            selected.append(int(candidate))
    return selected


def _overlap(a: Array, b: Array) -> float:
    """Intersection over union; minus infinity, which no threshold is below, where there is none."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    areas = [np.prod(box[2:] - box[:2]) for box in (a, b)]
    shared = np.prod(sides)
    if min(sides) <= 0 or min(areas) <= 0 or shared <= 0:
        return -np.inf
    return float(shared / (areas[0] + areas[1] - shared))
