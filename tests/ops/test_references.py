"""Each definition's reference against onnxruntime, on every case; inference against the reference."""

import numpy as np
import pytest

from pyruntime.ir.symbols import symbols_of
from pyruntime.ops.cases import all_cases, case_id, expected_of, graph_of, inputs_of, symbol_values
from pyruntime.ops.control import Control
from pyruntime.ops.definition import Case, bind, complete, definition, definitions
from tests.ops.onnx_nodes import run_onnxruntime, run_reference, translate

CASES = [pytest.param(op, case, id=case_id(op, case)) for op, case in all_cases()]

# where onnxruntime does not do what the specification says: compared with ONNX's reference evaluator
DEVIATIONS = {
    "BitShift-5-left-i32": "shifts unsigned integers alone",
    "BitShift-6-left-i8": "shifts unsigned integers alone",
    "BitShift-7-right-i32": "shifts unsigned integers alone",
    "BitShift-8-right-i8": "shifts unsigned integers alone",
    **{f"{op}-11-double": "takes no doubles" for op in ("GRU", "LSTM", "RNN")},
    "Celu-3-f16": "ONNX has Celu for float32 alone",
    "MaxPool-12-infinite": "starts from the least finite number",
    "OneHot-3-scalar": "ONNX wants indices of rank 1 at least",
    "ReduceMax-12-special": "does not propagate NaN",
    "ReduceMin-12-special": "does not propagate NaN",
    "ScatterElements-14-add-f16": "does not add halves",
}


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Equal shape and dtype; integers equal, floats within tolerance of the largest finite magnitude."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if actual.dtype.kind != "f":
        np.testing.assert_array_equal(actual, expected)
        return
    tolerance = max(tolerance, 2e-3) if actual.dtype == np.float16 else tolerance
    finite = np.isfinite(expected)
    scale = np.abs(expected[finite]).max(initial=0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=float(tolerance * max(scale, 1e-3)))


@pytest.mark.parametrize(("op", "case"), CASES)
def test_reference_agrees_with_onnx(op: str, case: Case) -> None:
    inputs = inputs_of(op, case)
    expected = expected_of(op, case, inputs)
    node = translate(op, inputs, bind(complete(op, case.attrs), symbol_values(case, inputs)))
    dtypes = [a.dtype for a in expected]
    found = None if case_id(op, case) in DEVIATIONS else run_onnxruntime(node, dtypes)
    for actual, wanted in zip(found or run_reference(node, dtypes), expected, strict=True):
        assert_close(wanted, actual, definition(op).tolerance)


@pytest.mark.parametrize(("op", "case"), CASES)
def test_inference_agrees_with_reference(op: str, case: Case) -> None:
    sizes = {name: case_size + 2 for name, case_size in symbol_values(case, inputs_of(op, case)).items()}
    for values in ({}, sizes):
        inputs = inputs_of(op, case, values)
        symbols = symbol_values(case, inputs)
        graph = graph_of(op, case)
        graph.verify()
        for value, array in zip(graph.outputs, expected_of(op, case, inputs), strict=True):
            assert value.dtype.value == array.dtype.name
            assert bind(value.shape, symbols) == array.shape
            assert {s for d in value.shape for s in symbols_of(d)} <= set(symbols)


def test_deviations_name_cases() -> None:
    assert DEVIATIONS.keys() <= {case_id(op, case) for op, case in all_cases()}


@pytest.mark.parametrize("op", definitions())
def test_definition_is_complete(op: str) -> None:
    found = definition(op)
    assert found.__doc__
    assert found.cases or isinstance(found, Control), "what has subgraphs is tested as whole graphs"
    labels = [case.label for case in found.cases]
    assert len(set(labels)) == len(labels), "labels tell the cases apart"
