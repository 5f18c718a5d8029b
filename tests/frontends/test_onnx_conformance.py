"""ONNX's own test cases: what imports must be right, and what is refused must be listed here."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto, numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests
from pyruntime_converter.frontends.onnx import read

from pyruntime.errors import UnsupportedError
from pyruntime.ops.run_graph import run_graph

Array = NDArray[Any]
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")

# operators (as the error names them) that some case needs and pyruntime refuses, with the number of cases
REFUSED: dict[str, int] = {
    "Adagrad": 2,
    "Adam": 2,
    "ArrayFeatureExtractor": 1,
    "BatchNormalization": 2,
    "BitCast": 10,
    "BitShift": 20,
    "Col2Im": 5,
    "Compress": 4,
    "DFT": 10,
    "DeformConv": 4,
    "DequantizeLinear": 1,
    "Det": 2,
    "Dropout": 6,
    "Einsum": 1,
    "Gradient": 2,
    "GridSample": 18,
    "ImageDecoder": 9,
    "MaxPool": 2,
    "MaxUnpool": 2,
    "MelWeightMatrix": 1,
    "Momentum": 3,
    "NonMaxSuppression": 10,
    "NonZero": 1,
    "OptionalGetElement": 2,
    "OptionalHasElement": 6,
    "QuantizeLinear": 1,
    "RandomUniformLike": 6,
    "RoiAlign": 3,
    "STFT": 2,
    "Scatter": 2,
    "ScatterElements": 7,
    "ScatterND": 7,
    "SequenceConstruct": 4,
    "SequenceEmpty": 1,
    "SpaceToDepth": 1,
    "SplitToSequence": 3,
    "TensorScatter": 3,
    "TfIdfVectorizer": 7,
    "TopK": 7,
    "TreeEnsemble": 2,
    "Unique": 6,
}


@functools.cache
def cases() -> list[TestCase]:
    return sorted((c for kind in KINDS for c in load_model_tests(kind=kind)), key=lambda c: (c.kind, c.name))


def _tensors(folder: Path, prefix: str) -> list[Array]:
    files = sorted(folder.glob(f"{prefix}_*.pb"), key=lambda p: int(p.stem.split("_")[1]))
    return [numpy_helper.to_array(onnx.load_tensor(p)) for p in files]


def _loaded(case: TestCase) -> tuple[ModelProto, list[Any], list[Any]]:
    if case.model is not None:
        assert case.data_sets is not None
        inputs, outputs = case.data_sets[0]
        return case.model, list(inputs), list(outputs)
    folder = Path(str(case.model_dir))
    data = min(folder.glob("test_data_set_*"))
    return onnx.load(folder / "model.onnx"), _tensors(data, "input"), _tensors(data, "output")


def _numeric(values: list[Any]) -> bool:
    return all(isinstance(v, (np.ndarray, np.generic)) and v.dtype.kind in "biuf" for v in values)


def _with_constants(proto: ModelProto, inputs: list[Array], fed: int) -> ModelProto:
    """The model with all inputs but the first `fed` as weights."""
    baked = ModelProto()
    baked.CopyFrom(proto)
    for value, array in list(zip(_fed(proto), inputs, strict=True))[fed:]:
        baked.graph.initializer.append(numpy_helper.from_array(np.asarray(array), value.name))
    return baked


def _fed(proto: ModelProto) -> list[ValueInfoProto]:
    weights = {t.name for t in proto.graph.initializer}
    return [v for v in proto.graph.input if v.name not in weights]


def _outcome(case: TestCase) -> str:
    """Empty where the case passes; the refused operator's name, or what else is in the way.

    ONNX feeds everything, also axes and shapes, which models carry as weights: what is refused is tried
    again with all inputs but the first as weights, then with all.
    """
    try:
        proto, inputs, outputs = _loaded(case)
    except DecodeError:  # sequences and optionals in files
        return "not tensors"
    if not _numeric([*inputs, *outputs]):
        return "not tensors"
    refused = ""
    for fed in dict.fromkeys((len(inputs), min(1, len(inputs)), 0)):
        try:
            graph = read(_with_constants(proto, inputs, fed).SerializeToString())
        except UnsupportedError as error:
            refused = error.op
            continue
        feeds = {v.name: np.asarray(a) for v, a in zip(_fed(proto)[:fed], inputs, strict=False)}
        results = run_graph(graph, feeds)
        for value, wanted in zip(proto.graph.output, outputs, strict=True):
            got = results[value.name]
            assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), case.name
            rtol = max(case.rtol, 1e-2 if wanted.dtype == np.float16 else 1e-4)
            np.testing.assert_allclose(got, wanted, rtol=rtol, atol=max(case.atol, 1e-5), err_msg=case.name)
        return ""
    return refused


@functools.cache
def outcomes() -> Counter[str]:
    return Counter(_outcome(case) for case in cases())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_imports_is_right_and_what_does_not_is_known() -> None:
    found = dict(sorted(outcomes().items()))
    found.pop("not tensors")
    passed = found.pop("")
    assert found == REFUSED
    assert passed >= 1546
