"""Executes kernel calls with NumPy: the reference that kernels on every target are compared with.

Plain and checked rather than fast: reads and writes outside a tensor raise, memory that nothing wrote holds
poison, and sums are taken in float64 before they are rounded to the accumulator's dtype.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Jump, Program, Read, Set, Step
from pyruntime.ir.symbols import evaluate as value_of
from pyruntime.ir.views import Tensor
from pyruntime.ops.calls import EXECUTE
from pyruntime.ops.evaluate import convert
from pyruntime.ops.iteration import Array, Memory, Run


def run_call(call: KernelCall, memory: Memory, symbols: Mapping[str, int]) -> None:
    """Execute one call.

    Args:
        call: what to compute.
        memory: for every tensor of the call its elements, 1-D, of its dtype; the written one changes.
        symbols: the symbols' values.

    Raises:
        AssertionError: for a read or write outside a tensor, or a body of another dtype than the output.
    """
    EXECUTE[type(call)](Run(call, memory, symbols), call)


def allocate(tensor: Tensor, symbols: Mapping[str, int]) -> Array:
    """Memory for a tensor: a weight's data, else poison (NaN, or 0x5a bytes) that shows a missing write."""
    elements = value_of(tensor.elements, symbols)
    dtype = np.dtype(tensor.dtype.value)
    data = tensor.array
    if data is not None:
        assert data.size == elements, f"{tensor.name}: {data.size} elements, not {elements}"
        return convert(data, tensor.dtype).ravel()
    return np.full(elements, poison(dtype))


def poison(dtype: np.dtype[Any]) -> Any:
    """What memory holds that nothing wrote: a NaN that no computation gives, a large integer, True."""
    if dtype.kind == "b":
        return np.True_
    bits = bytearray(b"\x5a" * dtype.itemsize)
    if dtype.kind == "f":
        bits[-2:] = {2: b"\x5a\x7e", 4: b"\xda\x7f", 8: b"\xfa\x7f"}[dtype.itemsize]
    return np.frombuffer(bytes(bits), dtype)[0]


def run_program(
    program: Program, inputs: Sequence[Array], symbols: Mapping[str, int], states: Memory | None = None
) -> list[Array]:
    """Execute a program.

    Args:
        program: what to compute.
        inputs: for each input its elements, of the input's dtype, in any shape with as many elements.
        symbols: the symbols' values.
        states: for each state's tensor its elements, 1-D, which change.

    Returns:
        The outputs, in the program's output shapes, or 1-D where it has none.
    """
    memory: dict[Tensor, Array] = dict(states or {})
    values: Mapping[str, int] = symbols
    for _, _, present in walk_program(program, inputs, symbols, memory):
        values = present
    results = [memory[t] if t in memory else allocate(t, values) for t in program.outputs]
    if not program.output_shapes:
        return results
    return [
        array.reshape([value_of(d, values) for d in shape])
        for array, shape in zip(results, program.output_shapes, strict=True)
    ]


def walk_program(
    program: Program, inputs: Sequence[Array], symbols: Mapping[str, int], memory: Memory
) -> Iterator[tuple[int, Step, Mapping[str, int]]]:
    """Execute a program step by step; arguments as for `run_program`.

    Args:
        memory: the states' tensors; gets all others.

    Yields:
        After each step its number, the step, and the symbols' values, its own among them.
    """
    for tensor, array in zip(program.inputs, inputs, strict=True):
        assert array.dtype == np.dtype(tensor.dtype.value), f"{tensor.name}: {array.dtype}"
        assert array.size == value_of(tensor.elements, symbols), f"{tensor.name}: {array.shape}"
        memory[tensor] = array.ravel().copy()
    values, position = dict(symbols), 0
    while position < len(program.steps):
        number, step = position, program.steps[position]
        position += 1
        if isinstance(step, Jump):
            position = position if value_of(step.unless, values) else step.to
        elif isinstance(step, Set):
            values[step.symbol] = value_of(step.value, values)
        elif isinstance(step, Read):
            values[step.symbol] = int(memory[step.tensor][value_of(step.offset, values)])
        else:
            for tensor in step.tensors():
                # one whose size hangs on a loop's counter is another in each iteration
                if tensor not in memory or len(memory[tensor]) != value_of(tensor.elements, values):
                    memory[tensor] = allocate(tensor, values)
            run_call(step, memory, values)
        yield number, step, values
