"""Cases as arrays and graphs: the same on every run, at any size of the symbols."""

import numpy as np

from pyruntime.ir.dims import symbol
from pyruntime.ops.cases import all_cases, case_id, expected_of, graph_of, inputs_of, symbol_values
from pyruntime.ops.definition import definition


def test_case_ids_are_unique() -> None:
    ids = [case_id(op, case) for op, case in all_cases()]
    assert len(set(ids)) == len(ids)


def test_inputs_are_the_same_on_every_run() -> None:
    for op, case in all_cases():
        for first, second in zip(inputs_of(op, case), inputs_of(op, case), strict=True):
            np.testing.assert_array_equal(first, second)
            assert first is None or isinstance(first, np.ndarray)


def test_symbols_take_other_sizes() -> None:
    case = next(c for c in definition("MatMul").cases if c.label == "dynamic")
    inputs = inputs_of("MatMul", case, {"batch": 7})
    assert symbol_values(case, inputs) == {"batch": 7}
    assert expected_of("MatMul", case, inputs)[0].shape == (7, 8)
    assert graph_of("MatMul", case).outputs[0].shape == (symbol("batch"), 8)


def test_chosen_inputs_become_constants() -> None:
    case = next(c for c in definition("MatMul").cases if c.label == "2d")
    graph = graph_of("MatMul", case, constants=(1,))
    assert [v.name for v in graph.inputs] == ["x0"]
    assert graph.nodes[0].input(1).data is not None


def test_every_op_with_inputs_has_a_case_with_a_symbol() -> None:
    static = {op for op in dict(all_cases()) if not any(c.symbols for c in definition(op).cases)}
    assert static == {"DimTensor", "Measure", "Range"}
