"""A model with float64 in the place of every other float, for ONNX's reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from tests.fuzz.mended import evaluator

Array = NDArray[np.generic]
Values = dict[str, Array]
# changes what a node reads, and what it gives
Alter = Callable[[NodeProto, Array, bool], Array]
_NARROW = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16}


def widened(proto: ModelProto) -> ModelProto:
    """The model in float64. Integers and bools stay as they are."""
    made = ModelProto()
    made.CopyFrom(proto)
    _widen(made.graph)
    return made


def _widen(graph: GraphProto) -> None:
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type in _NARROW:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                _widen(attribute.g)
            elif attribute.type == AttributeProto.TENSOR:
                _widen_tensor(attribute.t)
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i in _NARROW:
                attribute.i = TensorProto.DOUBLE


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type in _NARROW:
        tensor.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name)
        )


def widened_feeds(feeds: Mapping[str, Array]) -> Values:
    """What is fed, floats as float64."""
    return {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in feeds.items()}


class Walk:
    """ONNX's reference, node by node.

    Args:
        proto: the model.
    """

    def __init__(self, proto: ModelProto) -> None:
        self._proto = proto
        self._evaluator = evaluator(proto)

    def run(self, feeds: Mapping[str, Array], alter: Alter | None = None) -> Values:
        """All values by name.

        Args:
            feeds: what is fed.
            alter: what becomes of a float that a node reads (True) or gives (False).
        """
        values: dict[str, Any] = {"": None, **self._evaluator.rt_inits_, **feeds}
        with np.errstate(all="ignore"):
            for node, run in zip(self._proto.graph.node, self._evaluator.rt_nodes_, strict=True):
                inputs = [values[name] for name in node.input]
                if alter:
                    inputs = [alter(node, a, True) if _is_float(a) else a for a in inputs]
                found = run.run(*inputs, context=values) if run.need_context() else run.run(*inputs)
                for name, made in zip(node.output, found, strict=False):
                    if isinstance(made, list):  # a sequence, of what it was given
                        values[name] = made
                        continue
                    array = np.asarray(made)
                    values[name] = alter(node, array, False) if alter and _is_float(array) else array
        return {n: a for n, a in values.items() if a is not None and not isinstance(a, list)}


def _is_float(array: object) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind == "f"
