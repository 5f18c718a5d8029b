"""Symbols that no input binds: counters of loops, sizes that only a run tells, and what is so about them."""

from __future__ import annotations

from collections.abc import Callable

from pyruntime.ir.dims import Dim, maximum
from pyruntime.ir.symbols import substitute, symbols_of
from pyruntime_converter.frontends.onnx.symbols import Symbols

_LARGEST = 2**31 - 1


class Unbound:
    """Makes such symbols beside those of a model's inputs."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._reasons: dict[str, str] = {}
        self._trips: dict[Dim, Dim] = {}  # of counters of loops, the number of iterations that inputs tell

    def fresh(self, name: str, most: int, least: int = 0, why: str = "depends on data") -> Dim:
        """A new symbol, from `least` to `most`."""
        made = self._symbols.fresh(name, (least, most))
        self._reasons[str(made)] = why
        return made

    def size(self) -> Dim:
        """A symbol for a size that stands in for one that is not known."""
        return self.fresh("unknown", _LARGEST, why="is not known where a node cannot be converted")

    def counter(self, trip: Dim | None) -> Dim:
        """A new symbol that counts the iterations of a loop, of which there are `trip`."""
        most = max(trip - 1, 0) if isinstance(trip, int) else _LARGEST
        made = self.fresh("step", most, why="changes between iterations")
        if trip is not None and not isinstance(trip, int):
            self._trips[made] = trip
        return made

    def greatest(self, dim: Dim) -> Dim:
        """What a dim is in the last iteration of the loops by whose counters alone it grows."""
        return self._in_last(dim, lambda trip: maximum(trip - 1, 0))

    def greatest_within(self, dim: Dim) -> Dim:
        """As `greatest`, seen from inside the loops, where there is an iteration."""
        return self._in_last(dim, lambda trip: trip - 1)

    def _in_last(self, dim: Dim, last: Callable[[Dim], Dim]) -> Dim:
        for counter, trip in reversed(self._trips.items()):  # those inside others first
            first, second = (substitute(dim, {str(counter): step}) for step in (0, 1))
            rate = second - first
            if isinstance(rate, int) and rate > 0 and dim == first + rate * counter:
                dim = first + rate * last(trip)
        return dim

    def varies(self, dim: Dim) -> str:
        """Why the inputs do not tell a dim; empty where they do."""
        return next((why for name, why in self._reasons.items() if name in symbols_of(dim)), "")
