"""What a pack tells of its programs to those who look at it, as `pyruntime inspect` does; no reader needs it.

It stands in pack.json's `report`, as `programs`, one for each entry: which tensor each kernel call reads and
writes, why what it computes goes to memory at all, and the least bytes that a run can move. In packs for both
targets these, and the entries' costs, are Wasm's; WebGPU's stand in `webgpu`, null where they are equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pyruntime.ir.dtypes import PLAIN, DType
from pyruntime.pack.decode import positional
from pyruntime.pack.expressions import Expression, ExpressionError, check, symbols
from pyruntime.pack.schema import Cost, Entry, Manifest

Target = Literal["webgpu", "wasm"]
TARGETS: tuple[Target, ...] = ("webgpu", "wasm")
_DTYPES = {d.value: d for d in PLAIN}
_COST = positional(Cost)


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
    """What is told of one entry's program for a target.

    Attributes:
        tensors: the inputs in their order, then states and what calls write, in order of first use.
        inputs: how many inputs there are.
        outputs, states: indices of tensors that are such, in the entry's order.
        flows: of each kernel call, by its step's name.
        least: bytes that cross the program's ends: every element of inputs, weights and states that is read,
            once, and every element of outputs and states that is written, once.
        fused: bytes if all that is no product (`ir.cost.is_product`) were part of one: what the products read
            and write, each element once a product, and of the program's ends what no product touches.
        costs: what calls take, but for those whose sizes hang on what the program computes.
    """

    tensors: Sequence[Memory]
    inputs: int
    outputs: Sequence[int]
    states: Sequence[int]
    flows: Mapping[str, Flow] = field(default_factory=dict)
    least: Expression | None = None
    fused: Expression | None = None
    costs: Sequence[Cost] = ()

    def to_json(self, entry: Entry) -> dict[str, Any]:
        """Plain containers, without costs that are the entry's, and without names that costs tell."""
        told = {
            "tensors": [[t.dtype.value, _plain(t.elements)] for t in self.tensors],
            "inputs": self.inputs,
            "outputs": list(self.outputs),
            "states": list(self.states),
            "flows": [[f.writes, *f.reads] for f in self.flows.values()],
            "boundaries": _runs([f.boundary for f in self.flows.values()]),
        }
        if [*self.costs] != [*entry.costs]:
            told["costs"] = [[c.step, c.template, _plain(c.operations), _plain(c.bytes)] for c in self.costs]
        if [c.step for c in self.costs] != [*self.flows]:
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


def targets_of(manifest: Manifest) -> tuple[Target, ...]:
    """What the pack is for."""
    return tuple(t for t in TARGETS if getattr(manifest.targets, t) is not None)


def accounts(manifest: Manifest, target: Target) -> list[Account | None]:
    """What a pack tells of each entry on one of its targets; None where nothing, or what makes no sense."""
    rows = _rows(manifest, "programs")
    if target == "webgpu" and len(targets_of(manifest)) > 1:
        own = _rows(manifest, "webgpu")
        rows = [mine or shared for mine, shared in zip(own, rows, strict=True)] if own and rows else None
    weights = len(manifest.weights.tensors)
    told = rows or [None] * len(manifest.entries)
    return [_account(row, entry, weights) for row, entry in zip(told, manifest.entries, strict=True)]


def costs_of(manifest: Manifest, number: int, target: Target) -> Sequence[Cost]:
    """What the steps of entry `number` take on a target; of a pack for it alone even if it tells no more."""
    account = accounts(manifest, target)[number]
    if account is not None:
        return account.costs
    return () if target == "webgpu" and len(targets_of(manifest)) > 1 else manifest.entries[number].costs


def _rows(manifest: Manifest, name: str) -> Sequence[Any] | None:
    """A part of the report with a row for each entry; None where there is none."""
    told = (manifest.report or {}).get(name)
    return told if isinstance(told, Sequence) and len(told) == len(manifest.entries) else None


def _account(row: Any, entry: Entry, weights: int) -> Account | None:
    try:
        costs = [*map(_COST, row["costs"])] if "costs" in row else entry.costs
        tensors = [Memory(_DTYPES[dtype], _checked(elements)) for dtype, elements in row["tensors"]]
        boundaries = {n: str(text) for text, numbers in row["boundaries"].items() for n in numbers}
        steps = row.get("steps", [c.step for c in costs])
        flows = {
            str(step): Flow(tuple(map(int, reads)), int(writes), boundaries[number])
            for number, (step, (writes, *reads)) in enumerate(zip(steps, row["flows"], strict=True))
        }
        least, fused = (_checked(row[name]) if name in row else None for name in ("least", "fused"))
        ends = (int(row["inputs"]), row["outputs"], row["states"])
        made = Account(tensors, *ends, flows, least, fused, costs)
        known = range(-weights, len(tensors))
        numbers = [*made.outputs, *made.states, *(f.writes for f in flows.values())]
        fits = all(0 <= n < len(tensors) for n in numbers) and made.inputs <= len(tensors)
        fits = fits and all(n in known for f in flows.values() for n in f.reads)
        declared = {s.name for s in entry.symbols}
        fits = fits and all(symbols(e) <= declared for c in costs for e in (c.operations, c.bytes))
        return made if fits and made.inputs == len(entry.inputs) else None
    except (AttributeError, ExpressionError, KeyError, TypeError, ValueError):
        return None  # of another version of pyruntime


def _checked(value: Any) -> Expression:
    expression: Expression = tuple(value) if isinstance(value, list) else value
    check(expression)
    return expression
