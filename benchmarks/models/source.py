"""What a benchmark starts from: an ONNX model, what is fed to it, and how its int8 form is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

from tests.passes.net import Net

Array = NDArray[Any]
Feeds = dict[str, Array]
Quantisation = Literal["static", "dynamic"]


@dataclass(frozen=True)
class Source:
    """One benchmark's model.

    Attributes:
        proto: the model in f32, as an exporter gives it.
        feeds: the inputs that are timed, by name.
        quantisation: "static": activations quantised with ranges from calibration; "dynamic": as they come.
        folder: the Hugging Face folder that the weights came from, for engines that read it; from the root.
    """

    proto: ModelProto
    feeds: Feeds
    quantisation: Quantisation
    folder: str | None = None


def finish(net: Net, outputs: Mapping[str, str], opset: int) -> ModelProto:
    """The model of a net whose outputs get names of their own, with inferred shapes.

    Args:
        net: the nodes and weights.
        outputs: the net's value for each output's name.
        opset: of the default domain.
    """
    proto = net.proto(*outputs.values(), opset=opset)
    names = {value: name for name, value in outputs.items()}
    for node in proto.graph.node:
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names.get(n, n) for n in node.output]
    del proto.graph.output[:]
    proto.graph.output.extend(ValueInfoProto(name=n) for n in outputs)
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    del inferred.graph.value_info[:]
    onnx.checker.check_model(inferred)
    return inferred


def normal(shape: Sequence[int], seed: int, scale: float = 1.0) -> Array:
    """Normally distributed float32 numbers, the same ones for the same seed."""
    return (np.random.default_rng(seed).standard_normal(shape, np.float32) * np.float32(scale)).astype(
        np.float32
    )
