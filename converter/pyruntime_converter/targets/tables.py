"""Tables of what depends on one 8-bit value alone: 256 results, which NumPy computes while converting.

Quantised models round between elementwise ops: a SiLU is two operators and three roundings. Whatever is
computed from the first of the levels alone, up to the last, is one lookup, and exactly what the operators
give one by one. For Wasm alone: a GPU computes faster than it looks up.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, Map, MatMul, Pool
from pyruntime.ir.program import Program, Step
from pyruntime.ir.scalar import TABLE, Call, Const, Load, Scalar, cost, lookup, walk
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.evaluate import evaluate

NAME = "tables"
# to quantise anew what was dequantised takes 9, four elements at a time: no more than a lookup
LEAST_COST = 11


def tabulate(programs: list[Program]) -> list[Program]:
    """The programs with lookups in one weight for each dtype; those without any stay what they are.

    The programs given stay as they are; the results share their tensors.
    """
    tables = _Tables()
    made = []
    for program in programs:
        steps = [_step(step, tables) for step in program.steps]
        changed = any(a is not b for a, b in zip(steps, program.steps, strict=True))
        made.append(replace(program, steps=steps) if changed else program)
    tables.finish()
    return made


@dataclass
class _Tables:
    """All tables so far, those of a dtype in one weight."""

    tensors: dict[DType, Tensor] = field(default_factory=dict)
    contents: dict[DType, dict[bytes, int]] = field(default_factory=dict)

    def place(self, dtype: DType, results: bytes) -> tuple[Tensor, int]:
        """The weight, and the first element of these results in it."""
        if dtype not in self.tensors:
            self.tensors[dtype] = Tensor(f"{NAME}_{dtype.value}", dtype, 0, "weight")
            self.contents[dtype] = {}
        held = self.contents[dtype]
        return self.tensors[dtype], held.setdefault(results, len(held) * TABLE)

    def finish(self) -> None:
        """Give the weights their data."""
        for dtype, tensor in self.tensors.items():
            data = np.frombuffer(b"".join(self.contents[dtype]), dtype.value)
            tensor.data, tensor.elements, tensor.original_shape = data, len(data), data.shape


def _step(step: Step, tables: _Tables) -> Step:
    if not isinstance(step, (Map, MatMul, Conv, Pool)):
        return step
    nodes = [n for n in walk(step.body) if n.dtype in (DType.I8, DType.U8)]
    if len(nodes) < 2 or cost(step.body) < LEAST_COST:
        return step
    rewriter = _Rewriter(tables, len(step.inputs), len(step.output.strides))
    body = rewriter.rewritten(step.body)
    return replace(step, body=body, inputs=(*step.inputs, *rewriter.views)) if rewriter.views else step


@dataclass
class _Rewriter:
    """Puts lookups into the tree of one call, which has so many operands over a space of such a rank.

    Equal nodes have one number. The base of a node is the first 8-bit value that decides it alone, which is
    itself where nothing before does; none for a constant, and for what no such value decides.
    """

    tables: _Tables
    operands: int
    rank: int
    views: list[View] = field(default_factory=list)
    _numbers: dict[Hashable, int] = field(default_factory=dict)
    _nodes: list[Scalar] = field(default_factory=list)  # by number
    _ids: dict[int, int] = field(default_factory=dict)  # numbers by id
    _bases: list[int | None] = field(default_factory=list)

    def rewritten(self, tree: Scalar) -> Scalar:
        """The tree with lookups."""
        for node in walk(tree):
            self._ids[id(node)] = self._number(node)
        root = self._ids[id(tree)]
        needed, found = {root}, dict[int, tuple[Load, int]]()
        for number in range(root, -1, -1):  # readers have larger numbers than what they read
            if number not in needed:
                continue
            looked_up = self._table(number)
            if looked_up is None:
                needed.update(self._args(number))
            else:
                found[number] = looked_up
                needed.add(looked_up[1])
        made: dict[int, Scalar] = {}
        for number in sorted(needed):
            if number in found:
                table, base = found[number]
                made[number] = lookup(table, made[base])
            else:
                made[number] = self._remade(number, made)
        return made[root]

    def _number(self, node: Scalar) -> int:
        key: Hashable = node
        if isinstance(node, Call):
            key = (node.function, node.dtype, *(self._ids[id(a)] for a in node.args))
        number = self._numbers.setdefault(key, len(self._nodes))
        if number == len(self._nodes):
            self._nodes.append(node)
            self._bases.append(self._base(node, number))
        return number

    def _base(self, node: Scalar, number: int) -> int | None:
        if isinstance(node, Call):
            args = [self._ids[id(a)] for a in node.args]
            bases = {self._bases[a] for a in args if not self._constant(a)}
            if len(bases) == 1 and (base := bases.pop()) is not None:
                return base
        return number if node.dtype in (DType.I8, DType.U8) and not isinstance(node, Const) else None

    def _constant(self, number: int) -> bool:
        return isinstance(self._nodes[number], Const)

    def _args(self, number: int) -> list[int]:
        node = self._nodes[number]
        return [self._ids[id(a)] for a in node.args] if isinstance(node, Call) else []

    def _remade(self, number: int, made: Mapping[int, Scalar]) -> Scalar:
        """A node of what its arguments have become."""
        node = self._nodes[number]
        return (
            replace(node, args=tuple(made[a] for a in self._args(number))) if isinstance(node, Call) else node
        )

    def _table(self, number: int) -> tuple[Load, int] | None:
        """The table in which a node may be looked up, and by what base; None where it is computed."""
        node, base = self._nodes[number], self._bases[number]
        if node.dtype not in (DType.I8, DType.U8) or base is None or base == number:
            return None
        level = self._nodes[base].dtype
        tree = self._over(number, base, Load(level, 0))
        if cost(tree) < LEAST_COST:
            return None
        levels = np.arange(TABLE, dtype=np.uint8).view(level.value)
        results = np.broadcast_to(evaluate(tree, [levels]), TABLE)
        tensor, first = self.tables.place(node.dtype, results.tobytes())
        self.views.append(View(tensor, first, (0,) * self.rank))
        return Load(node.dtype, self.operands + len(self.views) - 1), base

    def _over(self, number: int, base: int, level: Scalar) -> Scalar:
        """A node as a tree over its base, which `level` stands for."""
        needed = {number}
        for each in range(number, base, -1):  # only constants have smaller numbers than the base
            needed.update(self._args(each) if each in needed else ())
        made = {base: level}
        for each in sorted(needed - {base}):
            made[each] = self._remade(each, made)
        return made[number]
