"""Literals that alone tell kernels apart become operands, so that calls share one kernel.

Every layer of a quantised model has scales and zero points of its own. As literals they would make a kernel
of each layer: more to compile, to load and to keep warm.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, KernelCall, Map, MatMul, Pool
from pyruntime.ir.program import Program
from pyruntime.ir.scalar import Call, Const, Load, Scalar, cast, transform, walk
from pyruntime.ir.views import Tensor, View

NAME = "constants"
_TEMPLATES = (Map, MatMul, Conv, Pool)
_MOST_TENSORS = 8  # storage buffers that a WebGPU shader has by default
_EXACT = 1 << 24  # integers up to here are float32


@dataclass
class _Use:
    """A call of a program, and the literals of its body that can be lifted, in the order of `walk`."""

    program: Program
    step: int
    call: Map | MatMul | Conv | Pool
    literals: list[Const]


def lift_constants(programs: Sequence[Program]) -> Tensor | None:
    """Let calls whose bodies differ in numbers alone load these from one weight, which is returned, if any.

    Calls are replaced in their programs. What all calls of a kind have in common stays literal.
    """
    groups: dict[Hashable, list[_Use]] = {}
    for use in _uses(programs):
        groups.setdefault(_shape(use.call), []).append(use)
    values: list[float] = []
    tensor = Tensor(NAME, DType.F32, 0, "weight")
    for group in groups.values():
        columns = list(zip(*(u.literals for u in group), strict=True))
        lifted = {
            i: _whole(column) for i, column in enumerate(columns) if any(c != column[0] for c in column)
        }
        for use in group if lifted else ():
            use.program.steps[use.step] = _lift(use, lifted, tensor, len(values))
            values += [float(use.literals[i].value) for i in lifted]
    if not values:
        return None
    tensor.data, tensor.elements = np.array(values, np.float32), len(values)
    tensor.original_shape = (len(values),)
    return tensor


def _uses(programs: Iterable[Program]) -> Iterator[_Use]:
    for program in programs:
        for step, call in enumerate(program.steps):
            if isinstance(call, _TEMPLATES) and len(call.tensors()) < _MOST_TENSORS:
                yield _Use(program, step, call, [n for n in walk(call.body) if _liftable(n)])


def _liftable(node: Scalar) -> TypeGuard[Const]:
    if not isinstance(node, Const) or node.dtype is DType.BOOL or node.dtype.bits > 32:
        return False
    if node.dtype is DType.F32:
        return bool(np.isfinite(node.value))
    return node.dtype.is_integer and abs(node.value) <= _EXACT


def _whole(literals: Sequence[Const]) -> bool:
    """Whether all are whole floats, as zero points are: kernels add these as integers where they round."""
    values = [c.value for c in literals if c.dtype is DType.F32]
    # integers have no negative zero
    whole = (abs(v) <= _EXACT and float(int(v)).hex() == float(v).hex() for v in values)
    return len(values) == len(literals) and all(whole)


def _shape(call: Map | MatMul | Conv | Pool) -> Hashable:
    """Equal for calls that could share a kernel but for the values of literals."""
    numbers: dict[int, int] = {}
    nodes: list[Hashable] = []
    for node in walk(call.body):
        numbers[id(node)] = len(nodes)
        if isinstance(node, Call):
            nodes.append((node.function, node.dtype, tuple(numbers[id(a)] for a in node.args)))
        else:
            nodes.append(("literal", node.dtype) if _liftable(node) else node)
    views = tuple((v.tensor.dtype, v.inner()) for v in (*call.reads(), call.output))
    return (call.template, views, tuple(nodes))


def _lift(use: _Use, lifted: Mapping[int, bool], tensor: Tensor, first: int) -> KernelCall:
    """`lifted` numbers the literals, and says whether they are whole: their trees say so, too."""
    call, operand = use.call, len(use.call.inputs)
    loads: dict[int, Scalar] = {}
    for k, (i, whole) in enumerate(lifted.items()):
        literal, loaded = use.literals[i], Load(DType.F32, operand + k)
        loads[id(literal)] = cast(cast(loaded, DType.I32) if whole else loaded, literal.dtype)
    still = (0,) * len(call.output.strides)
    return replace(
        call,
        body=transform(call.body, lambda leaf: loads.get(id(leaf), leaf)),
        inputs=(*call.inputs, *(View(tensor, first + k, still) for k in range(len(lifted)))),
    )
