"""What convolutions and pools share: sliding windows over one to three spatial axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import Dim, at_least, ceildiv, floordiv, minimum
from pyruntime.ir.symbols import evaluate
from pyruntime.ops.definition import require

Array = NDArray[Any]


@dataclass(frozen=True)
class Windows:
    """Kernel, strides, dilations and padding of each spatial axis; `pads` gives all begins, then all ends."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[Dim, ...]

    def check(self) -> None:
        """Raises OpError unless all have one length and are positive (pads: any)."""
        rank = len(self.kernel)
        require(
            len(self.strides) == len(self.dilations) == rank, f"strides or dilations do not fit {rank} axes"
        )
        require(len(self.pads) == 2 * rank, f"pads {self.pads} do not fit {rank} axes")
        for values in (self.kernel, self.strides, self.dilations):
            require(all(v > 0 for v in values), f"{values} are not all positive")

    @property
    def before(self) -> tuple[Dim, ...]:
        """Padding before each axis."""
        return self.pads[: len(self.kernel)]

    @property
    def after(self) -> tuple[Dim, ...]:
        """Padding after each axis."""
        return self.pads[len(self.kernel) :]

    def output_sizes(self, sizes: Sequence[Dim], ceil_mode: bool = False) -> tuple[Dim, ...]:
        """How many windows fit each axis. With `ceil_mode` the last may reach past the padding after.

        It must begin inside the input or the padding before. Raises OpError where none fits.
        """
        found = []
        for size, k, s, d, b, a in zip(
            sizes, self.kernel, self.strides, self.dilations, self.before, self.after, strict=True
        ):
            room = size + b + a - d * (k - 1) - 1
            count = (ceildiv(room, s) if ceil_mode else floordiv(room, s)) + 1
            if ceil_mode:
                count = minimum(count, ceildiv(size + b, s))
            require(not at_least(-1, room) or ceil_mode, f"a window of {d * (k - 1) + 1} does not fit {size}")
            require(not at_least(-1, count), f"a window of {d * (k - 1) + 1} does not fit {size}")
            found.append(count)
        return tuple(found)

    def taps(self, x: Array, out: Sequence[int], fill: Any) -> Iterator[tuple[tuple[int, ...], Array]]:
        """For each position in the kernel, what it meets: x [n, c, spatial...] to [n, c, out...].

        Positions outside x give `fill`.
        """
        spatial, rank = x.shape[2:], len(self.kernel)
        for tap in np.ndindex(*self.kernel):
            at = [
                np.arange(o) * s + t * d - evaluate(b, {})
                for o, s, t, d, b in zip(out, self.strides, tap, self.dilations, self.before, strict=True)
            ]
            met, inside = x, np.ones(tuple(out), bool)
            for axis, (position, size) in enumerate(zip(at, spatial, strict=True)):
                valid = (position >= 0) & (position < size)
                inside &= valid.reshape([-1 if a == axis else 1 for a in range(rank)])
                if size == 0:
                    met = np.full(
                        (*met.shape[: 2 + axis], len(position), *met.shape[3 + axis :]), fill, x.dtype
                    )
                else:
                    met = met.take(np.where(valid, position, 0), axis=2 + axis)
            yield tap, np.where(inside, met, x.dtype.type(fill))
