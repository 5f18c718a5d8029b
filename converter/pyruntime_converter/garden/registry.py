"""What an architecture of the garden is, and how one is found: its module is named as the model_type."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from pyruntime.errors import UnsupportedError

if TYPE_CHECKING:
    from pyruntime.ir.graph import Value
    from pyruntime.ops.builder import Builder
    from pyruntime_converter.frontends.huggingface.checkpoint import Checkpoint
    from pyruntime_converter.frontends.huggingface.config import Config


@dataclass(frozen=True)
class Source:
    """What an architecture is built from, and where it goes: nodes and inputs are added to builder.graph.

    Attributes:
        config: the options.
        weights: the tensors.
        builder: appends to the graph.
        architecture: which of the module's ARCHITECTURES is wanted.
    """

    config: Config
    weights: Checkpoint
    builder: Builder
    architecture: str


class Architecture(Protocol):
    """A module of `garden.architectures`; its name is the model_type, with _ for -."""

    ARCHITECTURES: tuple[str, ...]  # names of the classes in Transformers that `build` knows; the base first

    def build(self, source: Source) -> Mapping[str, Value]:
        """Add inputs and nodes to the graph; the outputs by name."""
        ...


def known() -> list[str]:
    """The model types that can be built."""
    import pyruntime_converter.garden.architectures as package

    return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(package.__path__))


def find(model_type: str, where: str) -> Architecture:
    """The module for a model_type. Raises UnsupportedError listing what is known."""
    if model_type not in known():
        raise UnsupportedError(
            "model_type",
            model_type,
            f"no such architecture is known ({where}); known: {', '.join(known())}",
            "Export the model to ONNX.",
        )
    name = model_type.replace("-", "_")
    return cast("Architecture", importlib.import_module(f"pyruntime_converter.garden.architectures.{name}"))
