"""States of chosen sizes, so that a step of a decoder can be measured behind any number of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyruntime.pack.expressions import Evaluator, symbols
from pyruntime.pack.program import size
from pyruntime.pack.schema import Entry


def grown(entry: Entry, present: Sequence[int], asked: Mapping[str, int]) -> list[int]:
    """The sizes of a pack's states: present ones, but where their symbols have values that are asked for."""
    bound = {s.name: present[s.state] for s in entry.symbols if s.state is not None}
    wanted = {name: value for name, value in asked.items() if name in bound}
    values, made = Evaluator({**bound, **wanted}), list(present)
    for carried in entry.state:
        if carried.length is not None and symbols(carried.length) & wanted.keys():
            made[carried.state] = size(carried.length, values)
    return made
