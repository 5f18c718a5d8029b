"""Levels that products make of floats where they load them: one dispatch less, and nothing stored.

For WebGPU alone, where a level takes as much memory as a float, a word, and a dispatch costs more than a few
operations for each load. Wasm stores bytes, which its kernels read many times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyruntime.ir.dims import Dim, at_least
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, KernelCall, Map, MatMul, Row
from pyruntime.ir.program import Program
from pyruntime.ir.prologue import Prologue
from pyruntime.ir.scalar import Call, Const, Load, Scalar, cost, transform, walk
from pyruntime_converter.lowering.lazy import MAX_TENSORS_READ
from pyruntime_converter.targets.composing import composed
from pyruntime_converter.targets.edits import Absorbed, absorb, in_float64

MOST_COST = 16  # of a level
# of a product, each workgroup of which makes the levels of its rows anew: with more it had better load them
MOST_COLUMNS = 4096
_BYTES = (DType.I8, DType.U8)
_READ = (DType.F32, DType.I32, *_BYTES)


def quantize_on_load(program: Program) -> Program:
    """The program without Maps of levels that only products read: these make levels of what they load.

    What stays as it is, and what is shared, as for `absorb`.
    """
    return absorb(program, _take)


def _take(call: Map | Row, readers: Sequence[KernelCall]) -> Absorbed | None:
    if not isinstance(call, Map) or not _levels(call):
        return None
    return Absorbed([_absorbed(r, call) for r in readers])


def _levels(call: Map) -> bool:
    """Whether a Map makes bytes, and is cheap."""
    return (
        call.output.tensor.dtype in _BYTES
        and cost(call.body) <= MOST_COST
        and all(
            isinstance(n, (Const, Load)) or (isinstance(n, Call) and n.function != "lookup")
            for n in walk(call.body)
        )
        and not in_float64(call)
        and all(v.tensor.dtype in _READ and not v.guards and not v.indirect for v in call.inputs)
    )


def _absorbed(reader: KernelCall, levels: Map) -> MatMul | Conv | None:
    """`reader` with a prologue in place of `levels`; None where it cannot have one."""
    tensor = levels.output.tensor
    if isinstance(reader, MatMul):
        left, weight, columns = reader.a, reader.b, reader.n
        space: tuple[Dim, ...] = (*reader.batch, reader.m, reader.k)
    elif isinstance(reader, Conv):
        left, weight, columns = reader.x, reader.weight, reader.out_channels
        space = (reader.n, *reader.in_size, reader.in_channels)
    else:
        return None
    by_words = reader.panels > 0 and weight.tensor.dtype in _BYTES  # as `pyruntime_shaders.octets` has them
    alone = [v.tensor for v in reader.reads()].count(tensor) == 1 and left.tensor is tensor
    if not by_words or not alone or in_float64(reader) or not at_least(MOST_COLUMNS, columns):
        return None
    views = composed(left, space, levels)
    moving = [i for i, v in enumerate(views or ()) if v.strides[-1] != 0]
    if views is None or len(moving) != 1 or views[moving[0]].tensor.dtype is not DType.F32:
        return None
    order = [*moving, *(i for i in range(len(views)) if i not in moving)]

    def moved(leaf: Scalar) -> Scalar:
        return replace(leaf, operand=order.index(leaf.operand)) if isinstance(leaf, Load) else leaf

    first, *others = (views[i] for i in order)
    prologue = Prologue(transform(levels.body, moved), tuple(others))
    first = replace(first, fill=left.fill)
    made: MatMul | Conv
    if isinstance(reader, MatMul):
        made = replace(reader, a=first, prologue=prologue)
    else:
        made = replace(reader, x=first, prologue=prologue)
    made = replace(made, origins=tuple(dict.fromkeys((*made.origins, *levels.origins))))
    return made if len({v.tensor for v in made.reads()}) <= MAX_TENSORS_READ else None
