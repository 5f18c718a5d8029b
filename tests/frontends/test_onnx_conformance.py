"""ONNX's own test cases: what imports must be right, and what is refused must be listed here."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper
from pyruntime_converter.frontends.onnx import read

from pyruntime.errors import UnsupportedError
from pyruntime.ops.run_graph import run_graph
from tests.conformance.suite import Case, cases

Array = NDArray[Any]

# operators (as the error names them) that some case needs and pyruntime refuses, with the number of cases
REFUSED: dict[str, int] = {
    "Gradient": 2,
    "ImageDecoder": 9,
    "RegexFullMatch": 3,
}


# operators whose cases want what NumPy draws, which no other implementation does
def _tensors(values: list[Any]) -> bool:
    return all(isinstance(v, (np.ndarray, np.generic)) and v.dtype.kind in "biufO" for v in values)


def _with_constants(case: Case, inputs: list[Array], fed: int) -> ModelProto:
    """The model with all inputs but the first `fed` as weights."""
    baked = ModelProto()
    baked.CopyFrom(case.proto)
    for value, array in list(zip(case.fed, inputs, strict=True))[fed:]:
        baked.graph.initializer.append(numpy_helper.from_array(array, value.name))
    return baked


def _outcome(case: Case) -> str:
    """Empty where the case passes; "random" where it is right but for chance, else what is in the way.

    ONNX feeds everything, also axes and shapes, which models carry as weights: what is refused is tried
    again with all inputs but the first as weights, then with all.
    """
    inputs, outputs = case.data_sets[0]
    if not _tensors([*inputs, *outputs]):
        return "not tensors"
    refused = ""
    for fed in dict.fromkeys((len(inputs), min(1, len(inputs)), 0)):
        try:
            graph = read(_with_constants(case, inputs, fed).SerializeToString())
        except UnsupportedError as error:
            refused = error.op
            continue
        feeds = {v.name: a for v, a in zip(case.fed[:fed], inputs, strict=False)}
        results = run_graph(graph, feeds)
        for name, wanted in zip(case.outputs, outputs, strict=True):
            got = results[name]
            assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), case.name
            if case.draws:
                continue
            if wanted.dtype == object:
                np.testing.assert_array_equal(got, wanted, err_msg=case.name)
                continue
            rtol = max(case.rtol, 1e-2 if wanted.dtype == np.float16 else 1e-4)
            np.testing.assert_allclose(got, wanted, rtol=rtol, atol=max(case.atol, 1e-5), err_msg=case.name)
        return "random" if case.draws else ""
    return refused


@functools.cache
def outcomes() -> Counter[str]:
    return Counter(_outcome(case) for case in cases())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_imports_is_right_and_what_does_not_is_known() -> None:
    found = dict(sorted(outcomes().items()))
    found.pop("not tensors")
    assert found.pop("random") == 10
    passed = found.pop("")
    assert found == REFUSED
    assert passed >= 1774
