"""Interprets programs in planned memory, in which nothing outlives what is written over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Jump, Placement, Program, Read, Set
from pyruntime.ir.symbols import evaluate
from pyruntime.ir.views import Tensor
from pyruntime.ops.interpret import allocate, run_call

Array = NDArray[Any]


def run_in(
    program: Program, placement: Placement, inputs: Sequence[Array], symbols: Mapping[str, int]
) -> list[Array]:
    """As `run_program`, but what a step writes poisons whatever shares bytes with it.

    Args:
        program: what to compute.
        placement: where its tensors lie, in one arena or several.
        inputs: for each input its elements.
        symbols: the symbols' values.
    """
    memory = {t: a.ravel().copy() for t, a in zip(program.inputs, inputs, strict=True)}

    def span(tensor: Tensor) -> tuple[int, int, int]:
        begin = evaluate(placement.offsets[tensor], values)
        size = evaluate(tensor.elements, values) * (4 if placement.arena_of else tensor.dtype.bytes)
        return placement.arena_of.get(tensor, 0), begin, begin + size

    def poison(written: Tensor) -> None:
        arena, begin, end = span(written)
        for tensor in [t for t in memory if t is not written and t.kind != "weight"]:
            other, first, last = span(tensor)
            if other == arena and first < end and begin < last:
                memory[tensor] = allocate(tensor, values)

    position, values = 0, dict(symbols)
    for tensor in program.inputs:
        poison(tensor)
    while position < len(program.steps):
        step = program.steps[position]
        position += 1
        match step:
            case Jump():
                position = position if evaluate(step.unless, values) else step.to
            case Set():
                values[step.symbol] = evaluate(step.value, values)
            case Read():
                values[step.symbol] = int(memory[step.tensor][evaluate(step.offset, values)])
            case KernelCall():
                for tensor in step.tensors():
                    if tensor not in memory or len(memory[tensor]) != evaluate(tensor.elements, values):
                        memory[tensor] = allocate(tensor, values)
                run_call(step, memory, values)
                poison(step.output.tensor)
    results = [memory[t] if t in memory else allocate(t, values) for t in program.outputs]
    return [
        array.reshape([evaluate(d, values) for d in shape])
        for array, shape in zip(results, program.output_shapes, strict=True)
    ]
