"""Where weights and states lie in the memory of a Wasm module, one after the other."""

from __future__ import annotations

from collections.abc import Iterable

from pyruntime.ir.dims import align
from pyruntime.ir.views import Tensor
from pyruntime.pack.targets import WEIGHTS_BASE

ALIGNMENT = 64
PAGE = 65536


def lay_out(tensors: Iterable[Tensor]) -> tuple[dict[Tensor, int], int]:
    """The addresses of tensors of known sizes, and the first one behind them."""
    addresses: dict[Tensor, int] = {}
    end = WEIGHTS_BASE
    for tensor in tensors:
        addresses[tensor] = end
        aligned = align(end + int(str(tensor.elements)) * tensor.dtype.bytes, ALIGNMENT)
        assert isinstance(aligned, int)
        end = aligned
    return addresses, end


def pages(end: int) -> int:
    """How many pages of memory reach to an address."""
    return -(-end // PAGE)
