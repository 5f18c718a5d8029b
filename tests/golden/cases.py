"""The golden cases, one list for pytest on both native devices and for browsers, from the op definitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.graph import Graph
from pyruntime.ops.cases import all_cases, case_id, expected_of, graph_of, inputs_of, symbol_values
from pyruntime.ops.definition import Case, definition

Array = NDArray[Any]

# inputs that models mostly give as constants
MOSTLY_CONSTANT = {
    "Conv": (1, 2),
    "BatchNormalization": (1, 2, 3, 4),
    "Embedding": (0,),
    "BlockMatMul": (1, 2, 3),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), (1,)),
}
# ops whose second operand is as often a weight: both ways are tested
SOMETIMES_CONSTANT = ("Add", "Gather", "MatMul", "Mul", "Where")
# ops whose weights are rearranged for their kernels: at run time where they are fed
SOMETIMES_FED = ("BlockMatMul", "Conv", "LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class Run:
    """One set of inputs with the outputs that the reference gives."""

    feeds: Mapping[str, Array]
    outputs: Mapping[str, Array]


@dataclass(frozen=True)
class Golden:
    """One op case; `constants` are positions of inputs that are weights."""

    name: str
    op: str
    case: Case
    constants: tuple[int, ...]

    def graph(self) -> Graph:
        """A fresh graph, named as the case."""
        graph = graph_of(self.op, self.case, self.constants)
        graph.name = self.name
        return graph

    @property
    def tolerance(self) -> float:
        """Largest error allowed, relative to the largest magnitude."""
        return definition(self.op).tolerance

    def runs(self) -> list[Run]:
        """At the case's own sizes, and at others for its symbols that the op allows."""
        own = symbol_values(self.case, inputs_of(self.op, self.case))
        found = [self._run(None)]
        for sizes in ({n: 2 * v for n, v in own.items()}, dict.fromkeys(own, 1)) if own else ():
            try:
                found.append(self._run(sizes))
            except ValueError:  # a window larger than the input, an odd size to halve
                continue
        return found

    def _run(self, sizes: Mapping[str, int] | None) -> Run:
        given = inputs_of(self.op, self.case)
        inputs = [
            g if i in self.constants else r
            for i, (g, r) in enumerate(zip(given, inputs_of(self.op, self.case, sizes), strict=True))
        ]
        feeds = {f"x{i}": a for i, a in enumerate(inputs) if a is not None and i not in self.constants}
        outputs = expected_of(self.op, self.case, inputs)
        return Run(feeds, {f"y{i}": np.asarray(a, order="C") for i, a in enumerate(outputs)})


def goldens() -> Iterator[Golden]:
    """All golden cases, in a fixed order."""
    for op, case in all_cases():
        name = case_id(op, case)
        yield Golden(name, op, case, tuple(i for i in MOSTLY_CONSTANT.get(op, ()) if i < len(case.inputs)))
        if op in SOMETIMES_FED:
            yield Golden(f"{name}-fed", op, case, ())
        if op in SOMETIMES_CONSTANT and not any(position == 1 for position, _ in case.symbols):
            yield Golden(f"{name}-constant", op, case, (1,))


def groups(size: int = 48) -> Iterator[tuple[str, Sequence[Golden]]]:
    """Goldens in packs of at most `size` entries, so that kernels are compiled together."""
    cases = list(goldens())
    for start in range(0, len(cases), size):
        yield f"ops-{start // size:02}", cases[start : start + size]
