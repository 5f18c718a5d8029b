"""Golden cases that are whole ONNX models, with what onnxruntime gives: control flow is more than an op."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onnx import ModelProto
from pyruntime_converter.frontends.onnx import read

from pyruntime.ir.graph import Graph
from tests.frontends.control_models import MODELS, Feeds
from tests.frontends.onnx_models import runtime
from tests.golden.cases import Run


@dataclass(frozen=True)
class Whole:
    """A model, and inputs for each way through it."""

    name: str
    proto: ModelProto
    feeds: Sequence[Feeds]
    tolerance: float = 1e-5

    def graph(self) -> Graph:
        """A fresh graph."""
        return read(self.proto.SerializeToString(), self.name)

    def runs(self) -> list[Run]:
        """Every set of inputs with onnxruntime's outputs."""
        return [Run(feeds, runtime(self.proto, feeds)) for feeds in self.feeds]


def wholes() -> Iterator[Whole]:
    """All models, in a fixed order."""
    for name, (proto, feeds) in MODELS.items():
        yield Whole(name, proto, feeds)
