"""Values of a random model: their elements in each run, as the references give them node by node."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper
from onnx.shape_inference import infer_shapes
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernelError

from tests.fuzz.mended import evaluator

Array = NDArray[Any]
Dim = tuple[int, ...]  # a size for each run; all alike unless it hangs on a symbol

OPSET, IR_VERSION = 23, 10
FLOATS = ("float16", "float32", "float64")
APART = 0.02  # what the references may differ by, as a share of the largest element
ROUNDED_OTHERWISE = 0.1  # of integers that were rounded, the share that may differ


class UnfitError(Exception):
    """A node that was drawn does not fit what is there; another is drawn."""


@dataclass(frozen=True, eq=False)
class Known:
    """A value of the model: its name, and its elements in each run."""

    name: str
    arrays: tuple[Array, ...]
    weight: bool = False

    @property
    def dtype(self) -> str:
        """NumPy's name of the dtype."""
        return str(self.arrays[0].dtype.name)

    @property
    def floating(self) -> bool:
        """Whether elements are floats."""
        return self.dtype in FLOATS

    @property
    def rank(self) -> int:
        """Number of axes."""
        return self.arrays[0].ndim

    @property
    def dims(self) -> tuple[Dim, ...]:
        """The size of each axis in each run."""
        return tuple(zip(*(a.shape for a in self.arrays), strict=True))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the first run."""
        return self.arrays[0].shape

    def fixed(self, axis: int) -> bool:
        """Whether an axis has one size in all runs."""
        return len(set(self.dims[axis])) == 1

    @property
    def static(self) -> bool:
        """Whether the shape is the same in all runs."""
        return all(map(self.fixed, range(self.rank)))

    def joins(self, other: Known) -> bool:
        """Whether it can be broadcast with another, in all runs alike."""
        pairs = zip(reversed(self.dims), reversed(other.dims), strict=False)
        return all(a == b or set(a) == {1} or set(b) == {1} for a, b in pairs)


def build(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, ValueInfoProto],
    weights: Mapping[str, Array],
    outputs: Sequence[str],
) -> ModelProto:
    """A model whose outputs are declared without type, as ONNX allows."""
    graph = GraphProto(name="fuzz")
    graph.node.extend(nodes)
    graph.input.extend(inputs.values())
    graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in weights.items())
    graph.output.extend(ValueInfoProto(name=n) for n in outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def runtime(proto: ModelProto) -> onnxruntime.InferenceSession | None:
    """ONNX Runtime, which does what the model says and no more; None where it has no kernel for a dtype."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except NoKernelError:
        return None


def run(nodes: Sequence[NodeProto], inputs: Sequence[Known], runs: int) -> list[list[Array]]:
    """What ONNX's reference gives for the last of some nodes, for each run.

    Raises:
        UnfitError: it does not run them, ONNX Runtime refuses them, or they do not mean the same.
    """
    known = {i.name: i for i in inputs}
    infos = {
        n: helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.arrays[0].dtype), None)
        for n, v in known.items()
    }
    results = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            proto = build(nodes, infos, {}, [n for n in nodes[-1].output if n])
            session, reference = runtime(proto), evaluator(proto)
            typed = infer_shapes(proto).graph.output
            declared = [helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type) for v in typed]
            for number in range(runs):
                feeds = {n: v.arrays[number] for n, v in known.items()}
                found = [np.asarray(a) for a in reference.run(None, feeds)]
                others = found if session is None else session.run(None, feeds)
                if [a.dtype for a in found] != declared or not all(map(_alike, found, others)):
                    raise UnfitError(f"{nodes[-1].op_type}: the references differ")
                results.append(found)
        except Exception as error:
            raise UnfitError(f"{nodes[-1].op_type}: {error}") from error
    return results


def _alike(array: Array, other: Array) -> bool:
    """Whether two references mean the same, however they round."""
    if array.dtype != other.dtype or array.shape != other.shape:
        return False
    if array.dtype.kind != "f":
        return np.mean(array != other) <= ROUNDED_OTHERWISE if array.size else True
    both = np.isfinite(array) & np.isfinite(other)
    largest = np.abs(array[both]).max(initial=0)
    return bool((np.abs(array[both] - other[both]) <= APART * largest).all())
