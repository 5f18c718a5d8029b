"""Golden cases that are whole ONNX models: control flow, operands that are fed, strings, quantisation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onnx import ModelProto
from pyruntime_converter.frontends.onnx import read
from pyruntime_converter.passes import optimise
from pyruntime_converter.passes.quantize import Quantization, Quantized

from pyruntime.ir.graph import Graph
from pyruntime.ops.run_graph import run_graph
from tests.frontends import argument_models
from tests.frontends.control_models import MODELS, Feeds
from tests.frontends.onnx_models import runtime
from tests.frontends.selection_models import MODELS as SELECTING
from tests.frontends.string_models import MODELS as STRINGS
from tests.golden.cases import Run
from tests.golden.operands import OPERANDS
from tests.golden.quantized import QUANTIZED, TO_QUANTIZE

ROUNDED = 1e-2  # an integer that is rounded the other way is a step of a quantised model away


@dataclass(frozen=True)
class Whole:
    """A model, and inputs for each way through it; one to `quantize` is a float model."""

    name: str
    proto: ModelProto
    feeds: Sequence[Feeds]
    tolerance: float = 1e-5
    quantize: Quantization | None = None

    def graph(self) -> Graph:
        """A fresh graph."""
        graph = read(self.proto.SerializeToString(), self.name)
        if self.quantize:
            optimise(graph, Quantized(self.quantize))
        return graph

    def runs(self) -> list[Run]:
        """Every set of inputs with onnxruntime's outputs, or what the quantised graph gives on NumPy."""
        if self.quantize:
            return [Run(feeds, run_graph(self.graph(), feeds)) for feeds in self.feeds]
        return [Run(feeds, runtime(self.proto, feeds)) for feeds in self.feeds]


def wholes() -> Iterator[Whole]:
    """All models, in a fixed order."""
    for name, (proto, feeds) in [*MODELS.items(), *SELECTING.items(), *STRINGS.items(), *OPERANDS.items()]:
        yield Whole(name, proto, feeds)
    for name, (proto, each) in argument_models.MODELS.items():
        yield Whole(f"fed-{name}", proto, each)
    for name, (proto, feeds) in QUANTIZED.items():
        yield Whole(name, proto, feeds, ROUNDED)
    for name, (form, proto, feeds) in TO_QUANTIZE.items():
        yield Whole(name, proto, feeds, ROUNDED if form == "int8" else 1e-5, quantize=form)
