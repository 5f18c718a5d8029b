"""Whole encoders in exporters' forms: few kernels, and the same results on each device as ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pytest

import pyruntime
from tests.frontends.onnx_models import runtime, same
from tests.passes.bert import Form, Size, bert, feeds
from tests.passes.net import optimised

SMALL = Size(layers=2, width=24, heads=3, inner=40, vocabulary=50, positions=16)
DEVICES = [pytest.param(d, marks=getattr(pytest.mark, d)) for d in ("wasm", "webgpu")]
FORMS = get_args(Form)


@pytest.mark.parametrize("form", FORMS)
def test_kernels_of_a_layer(form: Form) -> None:
    """Products of queries, keys and values in one, attention, three products, two norms."""
    graph = optimised(bert(SMALL, form))
    ops = [n.op for n in graph.nodes]
    counts = {
        op: ops.count(op) for op in ("MatMul", "Attention", "LayerNormalization", "Gelu", "Softmax", "Erf")
    }
    assert counts == {"MatMul": 8, "Attention": 2, "LayerNormalization": 5, "Gelu": 2, "Softmax": 0, "Erf": 0}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("form", FORMS)
def test_results(form: Form, device: Literal["wasm", "webgpu"], tmp_path: Path) -> None:
    proto = bert(SMALL, form)
    (tmp_path / "bert.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(tmp_path / "bert.onnx", tmp_path / "pack", targets=(device,))
    with pyruntime.load(tmp_path / "pack", device=device) as session:
        for batch, length in ((1, 1), (1, 4), (2, 7), (3, 16)):
            fed = feeds(SMALL, batch, length)
            same(session.run(fed), runtime(proto, fed), 1e-4)
        with pytest.raises(pyruntime.PyRuntimeError, match="16, the size of its table"):
            session.run(feeds(SMALL, 1, 17))


@pytest.mark.webgpu
@pytest.mark.parametrize("form", FORMS)
def test_dispatches_of_six_layers(form: Form, tmp_path: Path) -> None:
    size = Size(layers=6, width=24, heads=3, inner=40, vocabulary=50, positions=16)
    (tmp_path / "bert.onnx").write_bytes(bert(size, form).SerializeToString())
    pyruntime.convert(tmp_path / "bert.onnx", tmp_path / "pack", targets=("webgpu",))
    with pyruntime.load(tmp_path / "pack", device="webgpu") as session:
        assert session.report.dispatches <= 45
        assert all(np.isfinite(a).all() for a in session.run(feeds(size, 2, 5)).values())
