"""Memory that invocations share, with who touched each element last, and what is a race between two of them.

Accesses of two invocations to an element, one of which writes, must be ordered by a barrier of the element's
address space that both reach; between workgroups nothing orders them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_MANY = -2  # in the place of one invocation, or of one workgroup
_NONE = -1


@dataclass
class Lanes:
    """The invocations of a dispatch: `threads` of each of `groups` workgroups, one after the other."""

    groups: int
    threads: int
    mask: Array = field(init=False)  # which of them run at present
    faults: dict[str, int] = field(default_factory=dict)  # what was found, and how often

    def __post_init__(self) -> None:
        self.count = self.groups * self.threads
        self.mask = np.ones(self.count, bool)
        self.number = np.arange(self.count)
        self.group, self.local = self.number // self.threads, self.number % self.threads

    def fault(self, what: str, count: int | np.integer[Any] = 1) -> None:
        """Note what must not happen."""
        self.faults[what] = self.faults.get(what, 0) + int(count)


class Shared:
    """An array in workgroup memory, one for each workgroup, or in storage, one for all.

    Args:
        lanes: who accesses it.
        name: in the shader.
        elements: [elements] or [elements, components], in storage; in workgroup memory of all workgroups.
        space: "workgroup" or "storage".
        watched: whether accesses can race: not where nothing is written.
    """

    def __init__(self, lanes: Lanes, name: str, elements: Array, space: str, *, watched: bool = True) -> None:
        self.lanes, self.name, self.elements, self.space = lanes, name, elements, space
        self._watched = watched
        self._size = len(elements) // (lanes.groups if space == "workgroup" else 1)
        self.epoch = np.zeros(lanes.groups, np.int64)  # barriers that each workgroup has passed
        # of the last write and the last read of each element: by whom, of which workgroup, and when
        self._written, self._read = (
            tuple(np.full(len(elements), _NONE) for _ in range(3)) if watched else () for _ in range(2)
        )

    def load(self, index: Any) -> Any:
        """What the active invocations read, a value or the components of one for each.

        Past the end of storage a device gives anything, so that nothing may hang on it.
        """
        where, active, outside = self._places(index)
        if self._watched:
            self._note_read(where[active], active)
        values = self.elements[where].T
        if outside.any() and self.space == "workgroup":
            self.lanes.fault(f"{self.name} is read past its {self._size} elements", outside.sum())
        elif outside.any():
            values[..., outside] = np.nan if values.dtype.kind == "f" else 0x5A5A5A5A
        return values

    def store(self, index: Any, value: Any) -> None:
        """Set what the active invocations write."""
        where, active, outside = self._places(index)
        if outside.any():
            self.lanes.fault(f"{self.name} is written past its {self._size} elements", outside.sum())
        where = where[active]
        if self._watched:
            self._note_write(where, active)
        wide = np.broadcast_to(value, (*self.elements.shape[1:], self.lanes.count))
        self.elements[where] = wide[..., active].T

    def _places(self, index: Any) -> tuple[Array, Array, Array]:
        """Where each invocation's element is, which ones are active, and which of these are outside."""
        lanes = self.lanes
        where = np.broadcast_to(np.asarray(index, np.int64), lanes.count)
        outside = lanes.mask & ((where < 0) | (where >= self._size))
        where = np.clip(where, 0, max(self._size - 1, 0))
        if self.space == "workgroup":
            where = where + lanes.group * self._size
        return where, np.flatnonzero(lanes.mask), outside

    def _note_read(self, where: Array, active: Array) -> None:
        lanes = self.lanes
        group, now = lanes.group[active], self.epoch[lanes.group[active]]
        if (raced := self._apart(self._written, where, active, group, now)).any():
            lanes.fault(f"{self.name} is read while another invocation writes it", raced.sum())
        who, whose, when = self._read
        # what came before a barrier of this workgroup alone is of no account any more
        stale = (whose[where] == _NONE) | ((whose[where] == group) & (when[where] != now))
        who[where[stale]], whose[where[stale]], when[where[stale]] = active[stale], group[stale], now[stale]
        who[where[who[where] != active]] = _MANY
        whose[where[whose[where] != group]] = _MANY

    def _note_write(self, where: Array, active: Array) -> None:
        lanes = self.lanes
        group, now = lanes.group[active], self.epoch[lanes.group[active]]
        if (raced := self._apart(self._written, where, active, group, now)).any():
            lanes.fault(f"{self.name} is written by two invocations", raced.sum())
        if (raced := self._apart(self._read, where, active, group, now)).any():
            lanes.fault(f"{self.name} is written while another invocation reads it", raced.sum())
        who, whose, when = self._written
        who[where], whose[where], when[where] = active, group, now
        if (raced := who[where] != active).any():
            lanes.fault(f"{self.name} is written by two invocations", raced.sum())

    @staticmethod
    def _apart(last: tuple[Array, ...], where: Array, active: Array, group: Array, now: Array) -> Array:
        """Where the last access was by another invocation, and no barrier came between."""
        who, whose, when = (a[where] for a in last)
        apart: Array = (whose != _NONE) & (who != active) & ((whose != group) | (when == now))
        return apart
