"""Integer forms of ONNX models by ONNX Runtime's own quantiser."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from benchmarks.models.source import Feeds, Source, normal
from benchmarks.models.trace import attributes

CALIBRATION_RUNS = 4


class _Random(CalibrationDataReader):  # type: ignore[misc]  # the package has no types
    """Inputs of the feeds' shapes, normally distributed; the feeds themselves come last."""

    def __init__(self, feeds: Feeds) -> None:
        self._runs: Iterator[Feeds] = iter([*calibration(feeds), feeds])

    def get_next(self) -> Feeds | None:
        return next(self._runs, None)


def calibration(feeds: Feeds) -> list[Feeds]:
    """Feeds of float32 tensors for calibration, other ones than those that are timed."""
    return [
        {name: normal(a.shape, 100 * run + i) for i, (name, a) in enumerate(feeds.items())}
        for run in range(1, CALIBRATION_RUNS)
    ]


def _without_gemm(proto: ModelProto) -> ModelProto:
    """Gemm with a transposed weight and no bias as MatMul, which alone the dynamic quantiser takes."""
    made = ModelProto()
    made.CopyFrom(proto)
    weights = {i.name: i for i in proto.graph.initializer}
    for node in made.graph.node:
        if node.op_type == "Gemm" and len(node.input) == 2 and node.input[1] in weights:
            if attributes(node) != {"transB": 1}:
                raise ValueError(f"{node.name}: Gemm with {attributes(node)} is not known to the quantiser")
            array = np.ascontiguousarray(numpy_helper.to_array(weights[node.input[1]]).T)
            turned = numpy_helper.from_array(array, f"{node.input[1]}_transposed")
            made.graph.initializer.append(turned)
            node.CopyFrom(
                helper.make_node("MatMul", [node.input[0], turned.name], node.output, name=node.name)
            )
    return made


@contextmanager
def _quiet() -> Iterator[None]:
    """Without advice to optimise the model before: that would make another model than the f32 one."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def quantised(source: Source) -> ModelProto:
    """static: QDQ with 8-bit activations; dynamic: products of integers. Weights int8 per channel in both."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        before, after = Path(folder) / "f32.onnx", Path(folder) / "int8.onnx"
        if source.quantisation == "static":
            before.write_bytes(source.proto.SerializeToString())
            quantize_static(
                before,
                after,
                _Random(source.feeds),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        else:
            before.write_bytes(_without_gemm(source.proto).SerializeToString())
            quantize_dynamic(before, after, per_channel=True, weight_type=QuantType.QInt8)
        return onnx.load(after)
