"""What is written in place races with nothing: models with state, in the interpreter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pyruntime_converter.targets.rewriting import rewritten
from pyruntime_shaders.division import divide

from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.symbols import evaluate
from pyruntime.ops.interpret import walk_program
from tests.state.streams import STREAMS, Stream, cell, running_sum
from tests.state.test_convert import lowered, options_of
from tests.wgsl.audit import HARDWARE, Work, faults
from tests.wgsl.memory import Array


@pytest.mark.parametrize("make", STREAMS)
def test_steps(make: Callable[[], Stream]) -> None:
    stream, in_place = make(), 0
    plain, inputs, _ = lowered(stream.proto, options_of(stream))
    program = rewritten(plain)
    kernels = divide(program).kernels
    memory = {}
    for carried in program.states:
        first = stream.first[carried.tensor.name] if carried.axis is None else np.zeros(carried.shape)
        memory[carried.tensor] = np.array(first, carried.tensor.dtype.value).ravel()
    lengths = {str(c.length): 0 for c in program.states if c.axis is not None}
    for feeds in stream.steps(2):
        symbols = {**lengths, **stream.symbols(feeds)}
        before: dict[object, Array] = {t: a.copy() for t, a in memory.items()}
        for number, step, values in walk_program(program, [feeds[n] for n in inputs], symbols, memory):
            if isinstance(step, KernelCall) and number in kernels:
                written = step.output.tensor
                held = {t: memory[t].copy() for t in step.tensors()}
                if written in before and len(before[written]) == len(held[written]):
                    held[written] = before[written]
                in_place += written in {v.tensor for v in step.reads()}
                work = Work(step.name, [step], held, values)
                assert faults(work, 0, kernels[number], HARDWARE[0]) == []
                before[written] = memory[written].copy()
        lengths = {str(c.length): evaluate(c.next, symbols) for c in program.states if c.axis is not None}
    assert in_place or make not in (cell, running_sum)
