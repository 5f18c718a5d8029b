"""Every op case through passes and lowering, run by the reference executor, equals the op's own reference."""

from __future__ import annotations

import numpy as np
import pytest

from pyruntime.ops.cases import all_cases, case_id, expected_of, graph_of, inputs_of, symbol_values
from pyruntime.ops.definition import Case, definition
from pyruntime.ops.interpret import run_program
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise
from tests.converter.compare import assert_close

# inputs that models give as constants, and that lowering wants so
CONSTANT_INPUTS = {"Conv": (1, 2), "BatchNormalization": (1, 2, 3, 4), "Embedding": (0,)}


def _sizes(case: Case) -> list[dict[str, int] | None]:
    """The case's own sizes, and others for its symbols."""
    names = sorted(set(case.symbols.values()))
    return [None, *([dict.fromkeys(names, 3), dict.fromkeys(names, 1)] if names else [])]


@pytest.mark.parametrize(("op", "case"), [pytest.param(o, c, id=case_id(o, c)) for o, c in all_cases()])
def test_case(op: str, case: Case) -> None:
    """Lowered and interpreted, at each size."""
    constants = tuple(i for i in CONSTANT_INPUTS.get(op, ()) if i < len(case.inputs))
    graph = graph_of(op, case, constants)
    optimise(graph)
    program = lower(graph)
    for sizes in _sizes(case):
        inputs = [
            given if i in constants else resized
            for i, (given, resized) in enumerate(
                zip(inputs_of(op, case), inputs_of(op, case, sizes), strict=True)
            )
        ]
        fed = [a for i, a in enumerate(inputs) if a is not None and i not in constants]
        actual = run_program(program, fed, symbol_values(case, inputs))
        for result, expected in zip(actual, expected_of(op, case, inputs), strict=True):
            assert_close(result.reshape(expected.shape), expected, definition(op).tolerance)


def test_concat_of_pending_kernels_needs_no_copy() -> None:
    """Each operand's kernel stores straight to its part of the concatenation."""
    from pyruntime.ir.dtypes import DType
    from pyruntime.ir.graph import Graph
    from pyruntime.ops.builder import Builder

    graph = Graph("concat")
    builder = Builder(graph)
    x = builder.input("x", DType.F32, (4, 6))
    w = builder.constant(np.ones((6, 5), np.float32))
    products = [builder.one("Relu", builder.one("MatMul", x, w)), builder.one("Exp", builder.one("MatMul", x, w))]
    graph.outputs, graph.output_names = [builder.one("Concat", *products, axis=1)], ["y"]
    program = lower(graph)
    assert [c.template for c in program.calls] == ["matmul", "matmul"]
