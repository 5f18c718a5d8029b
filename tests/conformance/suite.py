"""The cases of ONNX's backend suite: models, what is fed, and what must come out."""

from __future__ import annotations

import functools
import pickle
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import (
    ModelProto,
    NodeProto,
    OptionalProto,
    SequenceProto,
    TensorProto,
    ValueInfoProto,
    numpy_helper,
)

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
BUILD = Path(__file__).resolve().parents[2] / "build" / "conformance"
_DRAWING = {"Bernoulli", "RandomUniformLike"}
Values = list[Any]  # arrays, lists of them for sequences, None for empty optionals


@dataclass(frozen=True)
class Case:
    """One test of the suite.

    Attributes:
        model: the ModelProto, serialised.
        data_sets: for each run what is fed, in the order of the graph's inputs, and what must come out.
        rtol, atol: how near, as ONNX's own runner takes them.
    """

    name: str
    kind: str
    model: bytes
    data_sets: tuple[tuple[Values, Values], ...]
    rtol: float
    atol: float

    @functools.cached_property
    def proto(self) -> ModelProto:
        """The model, decoded."""
        return ModelProto.FromString(self.model)

    @property
    def fed(self) -> list[ValueInfoProto]:
        """The graph's inputs that are not weights."""
        weights = {t.name for t in self.proto.graph.initializer}
        return [v for v in self.proto.graph.input if v.name not in weights]

    @property
    def outputs(self) -> list[str]:
        """Names of the graph's outputs."""
        return [v.name for v in self.proto.graph.output]

    def feeds(self, inputs: Sequence[Any]) -> dict[str, Any]:
        """A data set's inputs by name; empty optionals are not fed."""
        named = zip(self.fed, inputs, strict=True)
        return {v.name: value for v, value in named if value is not None}

    @property
    def elements(self) -> dict[str, Any]:
        """`convert`'s option of this name: what the sequences and optionals that are fed hold.

        Shapes are told where the model does not.
        """
        told: dict[str, Any] = {}
        for value, fed in zip(self.fed, self.data_sets[0][0], strict=True):
            kind = value.type
            if kind.HasField("tensor_type"):
                continue
            while not kind.HasField("tensor_type"):
                kind = getattr(kind, str(kind.WhichOneof("value"))).elem_type
            items = fed if isinstance(fed, list) else [fed]
            shapes = [list(i.shape) for i in items if i is not None]
            counted = len(shapes) if kind.tensor_type.HasField("shape") else shapes
            told[value.name] = None if fed is None else counted
        return told

    @property
    def values(self) -> dict[str, Any]:
        """`convert`'s option of this name: single integers and bools, where sequences may hang on them."""
        kinds = {v.type.WhichOneof("value") for v in (*self.fed, *self.proto.graph.output)}
        if kinds <= {"tensor_type", None}:  # models may leave an output's type to inference
            return {}
        fed = self.feeds(self.data_sets[0][0])
        return {
            v.name: fed[v.name].tolist()
            for v in self.fed
            if v.type.HasField("tensor_type") and fed[v.name].size == 1 and fed[v.name].dtype.kind in "biu"
        }

    @functools.cached_property
    def ops(self) -> tuple[str, ...]:
        """The operators of the model and its subgraphs, as `op_name` tells them, sorted."""
        functions = (n for f in self.proto.functions for n in f.node)
        return tuple(sorted({op_name(n) for n in (*_nodes(self.proto.graph.node), *_nodes(functions))}))

    @property
    def draws(self) -> bool:
        """Whether elements are kept or dropped by chance, so that those of the suite are but one outcome."""
        dropped = self.name.startswith("test_training_dropout") and "zero_ratio" not in self.name
        return dropped or not _DRAWING.isdisjoint(self.ops)


def op_name(node: NodeProto) -> str:
    """A node's operator, as `Conv` or `ai.onnx.ml.Scaler`."""
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type


def _nodes(nodes: Any) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


@functools.cache
def cases() -> tuple[Case, ...]:
    """All cases, by name. The suite computes many of them, so they are kept in build/."""
    kept = BUILD / f"suite-onnx-{onnx.__version__}-numpy-{np.__version__}.pickle"
    if kept.is_file():
        found: tuple[Case, ...] = pickle.loads(kept.read_bytes())
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, where the suite itself computes infinities and NaN
        found = tuple(sorted(_load(), key=lambda c: c.name))
    assert len({c.name for c in found}) == len(found)
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=BUILD, delete=False) as file:
        pickle.dump(found, file)
    Path(file.name).replace(kept)
    return found


@functools.cache
def _by_name() -> dict[str, Case]:
    return {c.name: c for c in cases()}


def named(test: str) -> Case:
    """The case of this name."""
    return _by_name()[test]


def _load() -> Iterator[Case]:
    from onnx.backend.test.loader import load_model_tests

    for kind in KINDS:
        for test in load_model_tests(kind=kind):
            if test.model is not None:
                assert test.data_sets is not None
                model, data = test.model, [tuple(map(_plain_all, d)) for d in test.data_sets]
            else:
                folder = Path(str(test.model_dir))
                model = onnx.load(folder / "model.onnx")
                data = [_read_set(model, f) for f in sorted(folder.glob("test_data_set_*"))]
            sets = tuple((inputs, outputs) for inputs, outputs in data)
            yield Case(test.name, kind, model.SerializeToString(), sets, test.rtol, test.atol)


def _plain_all(values: Sequence[Any]) -> Values:
    return [_plain(v) for v in values]


def _plain(value: Any) -> Any:
    """A value of the suite as arrays."""
    if value is None:
        return None
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, (list, tuple)):
        return _plain_all(value)
    return np.asarray(value)


def _read_set(model: ModelProto, folder: Path) -> tuple[Values, Values]:
    return _read(folder, "input", model.graph.input), _read(folder, "output", model.graph.output)


def _read(folder: Path, prefix: str, values: Sequence[ValueInfoProto]) -> Values:
    """The files PREFIX_0.pb, PREFIX_1.pb and so on, as the types of these values say."""
    count = len(list(folder.glob(f"{prefix}_*.pb")))
    return [_decoded((folder / f"{prefix}_{i}.pb").read_bytes(), values[i]) for i in range(count)]


def _decoded(data: bytes, value: ValueInfoProto) -> Any:
    match value.type.WhichOneof("value"):
        case "sequence_type":
            return numpy_helper.to_list(SequenceProto.FromString(data))
        case "optional_type":
            return numpy_helper.to_optional(OptionalProto.FromString(data))
        case _:
            return numpy_helper.to_array(TensorProto.FromString(data))
