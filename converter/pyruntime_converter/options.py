"""What the options of `convert` tell of a model's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyruntime.ir.dims import Dim

ElementShape = Sequence[int | str]  # of sizes and names of symbols
Elements = int | Sequence[ElementShape] | None


@dataclass(frozen=True)
class Told:
    """What the user says of a model's inputs, by their names.

    Attributes:
        dims: what is known of symbols in their shapes: sizes, or symbols with bounds.
        elements: how many tensors a sequence or an optional has, or the shapes of these; None for an optional
            that is absent.
        values: what small integer and bool inputs always are.
    """

    dims: Mapping[str, Dim] = field(default_factory=dict)
    elements: Mapping[str, Elements] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.dims or self.elements or self.values)


NOTHING = Told()
