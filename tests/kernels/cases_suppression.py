"""Suppressions that every target must compute: both forms of boxes, ties, layouts, few and many boxes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Suppression
from tests.kernels.case import Case, Maker


def _case(
    name: str,
    sizes: tuple[Dim, Dim, Dim, Dim],
    *,
    centred: bool = False,
    bounded: bool = True,
    ties: bool = False,
    turned: bool = False,
    crowded: bool = False,
    maker: Maker | None = None,
) -> Case:
    maker = maker or Maker()
    batch, classes, count, most = sizes
    order = (0, 2, 1) if turned else (0, 1, 2)
    boxes = maker.permuted((batch, count, 4), order)
    scores = maker.permuted((batch, classes, count), order)
    thresholds = maker.dense((2,))
    maker.inputs[thresholds.tensor] = np.array([0.3, 0], np.float32)
    if centred:
        maker.inputs[boxes.tensor] = abs(maker.inputs[boxes.tensor])
    if crowded:  # so much overlaps that many candidates are looked at
        corners = maker.inputs[boxes.tensor].reshape(-1, 4)
        corners[: len(corners) * 5 // 6] = 0, 0, 1, 1
    if ties:
        maker.inputs[scores.tensor] = np.round(maker.inputs[scores.tensor] * 2) / 2
    made = Suppression(
        name=name,
        output=maker.output((batch, classes, most + count), DType.I32),
        batch=batch,
        classes=classes,
        count=count,
        most=most,
        centred=centred,
        bounded=bounded,
        boxes=boxes,
        scores=scores,
        thresholds=thresholds,
    )
    return Case(name, made, maker.inputs, maker.symbols)


def cases() -> Iterator[Case]:
    """All of them."""
    for sizes in ((1, 1, 7, 7), (2, 3, 13, 4), (1, 2, 301, 40), (1, 1, 1, 1), (2, 2, 5, 0), (1, 2, 0, 3)):
        yield _case(f"boxes {sizes}", sizes)
        yield _case(f"centred {sizes}", sizes, centred=True)
    yield _case("unbounded", (2, 3, 17, 17), bounded=False)
    yield _case("ties", (2, 3, 67, 50), ties=True)
    yield _case("turned", (2, 3, 29, 9), turned=True)
    yield _case("crowded", (1, 2, 600, 20), crowded=True)
    yield _case("crowded unbounded", (1, 2, 600, 20), crowded=True, bounded=False)
    maker = Maker({"batch": 2, "count": 37})
    yield _case("symbolic", (symbol("batch"), 3, symbol("count"), 5), maker=maker)
