"""What a pack tells of its programs to those who look at it, as `pyruntime inspect` does; no reader needs it.

It stands in pack.json's `report`, as `programs`, one for each entry: which tensor each kernel call reads and
writes, why what it computes goes to memory at all, and the least bytes that a run can move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyruntime.ir.dtypes import PLAIN, DType
from pyruntime.pack.expressions import Expression, ExpressionError, check
from pyruntime.pack.schema import Cost, Entry, Manifest

_DTYPES = {d.value: d for d in PLAIN}


@dataclass(frozen=True)
class Memory:
    """A tensor that is no weight: its elements' type and their number."""

    dtype: DType
    elements: Expression


@dataclass(frozen=True)
class Flow:
    """What a kernel call does with memory.

    Attributes:
        reads: indices of `Account.tensors`; weight w of the pack is -1 - w.
        writes: the index of the tensor that it writes.
        boundary: why it writes, a value of `ir.program.Boundary`.
    """

    reads: tuple[int, ...]
    writes: int
    boundary: str


@dataclass(frozen=True)
class Account:
    """What is told of one entry.

    Attributes:
        tensors: the inputs in their order, then states and what calls write, in order of first use.
        inputs: how many inputs there are.
        outputs, states: indices of tensors that are such, in the entry's order.
        flows: of each kernel call, by its step's name.
        least: bytes that cross the program's ends: every element of inputs, weights and states that is read,
            once, and every element of outputs and states that is written, once.
        fused: bytes if all that is no product (`ir.cost.is_product`) were part of one: what the products read
            and write, each element once a product, and of the program's ends what no product touches.
    """

    tensors: Sequence[Memory]
    inputs: int
    outputs: Sequence[int]
    states: Sequence[int]
    flows: Mapping[str, Flow] = field(default_factory=dict)
    least: Expression | None = None
    fused: Expression | None = None

    def to_json(self, costs: Sequence[Cost]) -> dict[str, Any]:
        """Plain containers; steps are named only where the entry's costs do not name the same ones."""
        told = {
            "tensors": [[t.dtype.value, _plain(t.elements)] for t in self.tensors],
            "inputs": self.inputs,
            "outputs": list(self.outputs),
            "states": list(self.states),
            "flows": [[f.writes, *f.reads] for f in self.flows.values()],
            "boundaries": _runs([f.boundary for f in self.flows.values()]),
        }
        if [c.step for c in costs] != [*self.flows]:
            told["steps"] = [*self.flows]
        bounds = {"least": self.least, "fused": self.fused}
        return told | {name: _plain(e) for name, e in bounds.items() if e is not None}


def _runs(texts: Sequence[str]) -> dict[str, list[int]]:
    """Where each text stands."""
    found: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        found.setdefault(text, []).append(number)
    return found


def _plain(expression: Expression) -> Any:
    return expression if isinstance(expression, (int, str)) else list(expression)


def accounts(manifest: Manifest) -> list[Account | None]:
    """What the pack tells of each entry; None where it does not, or contradicts itself."""
    told = (manifest.report or {}).get("programs")
    count, weights = len(manifest.entries), len(manifest.weights.tensors)
    rows = told if isinstance(told, Sequence) and len(told) == count else [None] * count
    return [_account(row, entry, weights) for row, entry in zip(rows, manifest.entries, strict=True)]


def _account(row: Any, entry: Entry, weights: int) -> Account | None:
    try:
        tensors = [Memory(_DTYPES[dtype], _checked(elements)) for dtype, elements in row["tensors"]]
        boundaries = {n: str(text) for text, numbers in row["boundaries"].items() for n in numbers}
        steps = row.get("steps", [c.step for c in entry.costs])
        flows = {
            str(step): Flow(tuple(map(int, reads)), int(writes), boundaries[number])
            for number, (step, (writes, *reads)) in enumerate(zip(steps, row["flows"], strict=True))
        }
        bounds = [_checked(row[name]) if name in row else None for name in ("least", "fused")]
        made = Account(tensors, int(row["inputs"]), row["outputs"], row["states"], flows, *bounds)
        known = range(-weights, len(tensors))
        numbers = [*made.outputs, *made.states, *(f.writes for f in flows.values())]
        fits = all(0 <= n < len(tensors) for n in numbers) and made.inputs <= len(tensors)
        fits = fits and all(n in known for f in flows.values() for n in f.reads)
        return made if fits and made.inputs == len(entry.inputs) else None
    except (AttributeError, ExpressionError, KeyError, TypeError, ValueError):
        return None  # of another version of pyruntime


def _checked(value: Any) -> Expression:
    expression: Expression = tuple(value) if isinstance(value, list) else value
    check(expression)
    return expression
