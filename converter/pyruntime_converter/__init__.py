"""From a model file to a pack: front ends, passes, lowering and pack building."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyruntime_converter.build import convert

__all__ = ["convert"]


def __getattr__(name: str) -> Any:
    # lazily: a front end alone needs neither target
    if name == "convert":
        from pyruntime_converter.build import convert

        return convert
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
