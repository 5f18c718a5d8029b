"""Runs a shader in step: all invocations of a dispatch do each statement together, if they are active in it.

What a real GPU may do otherwise, in any order, is only what races; those, and barriers that not all of a
workgroup reach, are noted. Subgroups have any size and any members, of which WGSL says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.wgsl.functions import concrete
from tests.wgsl.memory import Array, Lanes, Shared


@dataclass(frozen=True)
class Subgroups:
    """How many invocations are in one, and whether neighbours are."""

    size: int
    shuffled: bool = False


class Machine(Lanes):
    """The state of a dispatch, and what compiled functions call."""

    def __init__(self, groups: tuple[int, int, int], threads: int, subgroups: Subgroups | None) -> None:
        super().__init__(groups[0] * groups[1] * groups[2], threads)
        at = np.unravel_index(self.group, groups[::-1])
        self.workgroup = np.stack(at[::-1]).astype(np.uint32)
        self.workgroups = np.array(groups, np.uint32).reshape(3, 1)
        self.memory: dict[str, Shared | dict[str, Shared]] = {}
        self.private: dict[str, Any] = {}
        self._subgroup, self._rank = self.number, self.local
        if subgroups is not None:
            order = np.arange(threads)
            if subgroups.shuffled:
                order = np.random.default_rng(threads).permutation(threads)
            places = np.tile(order, self.count // threads)
            each = -(-threads // subgroups.size)
            self._subgroup = self.group * each + places // subgroups.size
            self._rank = places % subgroups.size

    def builtin(self, name: str) -> Any:
        """What the entry point is given."""
        match name:
            case "workgroup_id":
                return self.workgroup
            case "num_workgroups":
                return self.workgroups
            case "local_invocation_index":
                return self.local.astype(np.uint32)
            case "global_invocation_id":
                threads = np.array([self.threads, 1, 1], np.uint32).reshape(3, 1)
                local = np.stack([self.local, 0 * self.local, 0 * self.local]).astype(np.uint32)
                return self.workgroup * threads + local
        raise NotImplementedError(name)  # a builtin value that no kernel here asks for

    # control flow

    @property
    def running(self) -> bool:
        """Whether any invocation is active."""
        return bool(self.mask.any())

    def only(self, condition: Any) -> None:
        """Leave active those for which it holds."""
        self.mask = self.mask & condition

    def stop(self) -> None:
        """Leave none active."""
        self.mask = np.zeros(self.count, bool)

    def both(self, left: Any, right: Callable[[], Any], wanted: bool) -> Any:
        """`left && right` where `wanted`, else `left || right`; the right one for those who need it."""
        before = self.mask
        self.only(left if wanted else np.logical_not(left))
        value = right()
        self.mask = before
        return np.logical_and(left, value) if wanted else np.logical_or(left, value)

    # variables of invocations

    def put(self, old: Any, new: Any) -> Any:
        """A variable in which the active invocations have a new value."""
        if isinstance(new, dict):
            return {name: self.put(old[name], value) for name, value in new.items()}
        made = np.where(self.mask, new, old)
        assert made.dtype == concrete(old).dtype, f"{made.dtype} in place of {concrete(old).dtype}"
        return made

    def merged(self, old: Any, new: Any) -> Any:
        """What a function gives so far."""
        return concrete(new) if old is None else self.put(old, concrete(new))

    def element(self, array: Any, index: Any) -> Any:
        """Of an array or a vector that each invocation has, [elements, invocations]."""
        where = np.broadcast_to(np.asarray(index, np.int64), self.count)
        outside = self.mask & ((where < 0) | (where >= len(array)))
        if outside.any():
            self.fault(f"an array of {len(array)} elements is used past its end", outside.sum())
        wide = np.broadcast_to(array, (len(array), self.count))
        return wide[np.clip(where, 0, len(array) - 1), self.number]

    def with_element(self, array: Any, index: Any, value: Any) -> Any:
        """The same with one element of each active invocation set."""
        self.element(array, index)  # notes what is outside
        rows = np.arange(len(array)).reshape(-1, 1)
        return np.where((rows == index) & self.mask, value, array)

    # memory

    def load(self, name: str, index: Any) -> Any:
        """An element of a shared array; of records, each field."""
        held = self.memory[name]
        return {n: f.load(index) for n, f in held.items()} if isinstance(held, dict) else held.load(index)

    def store(self, name: str, index: Any, value: Any) -> None:
        """Set an element of a shared array."""
        held = self.memory[name]
        if isinstance(held, dict):
            for field, memory in held.items():
                memory.store(index, value[field])
        else:
            held.store(index, value)

    def barrier(self, space: str) -> None:
        """All invocations of a workgroup come here, or none."""
        reached = self.mask.reshape(self.groups, self.threads)
        some, all_ = reached.any(axis=1), reached.all(axis=1)
        if (some & ~all_).any():
            self.fault(f"a barrier is reached by a part of a workgroup ({space})", (some & ~all_).sum())
        for held in self.memory.values():
            for memory in held.values() if isinstance(held, dict) else [held]:
                if memory.space == space:
                    memory.epoch[some] += 1

    def uniform_load(self, name: str) -> Any:
        """workgroupUniformLoad: a read between two barriers."""
        self.barrier("workgroup")
        value = self.load(name, 0)
        self.barrier("workgroup")
        return value

    # subgroups

    def _members(self) -> Array:
        """The active invocations, subgroup by subgroup, each in its order."""
        active = np.flatnonzero(self.mask)
        each = np.bincount(self._subgroup)
        some = np.bincount(self._subgroup[active], minlength=len(each))
        if ((some > 0) & (some < each)).any():
            self.fault("a part of a subgroup calls a function of subgroups")
        return active[np.lexsort((self._rank[active], self._subgroup[active]))]

    def over(self, function: np.ufunc, value: Any) -> Any:
        """What the active invocations of a subgroup have, combined."""
        members, value = self._members(), concrete(value)
        wide = np.broadcast_to(value, (*value.shape[:-1], self.count)).copy()
        if members.size:
            starts, counts = self._runs(members)
            combined = function.reduceat(wide[..., members], starts, axis=-1).astype(wide.dtype)
            wide[..., members] = np.repeat(combined, counts, axis=-1)
        return wide

    def _runs(self, members: Array) -> tuple[Array, Array]:
        """Where each subgroup's members begin among them all, and how many they are."""
        starts = np.flatnonzero(np.diff(self._subgroup[members], prepend=-1))
        return starts, np.diff(np.append(starts, members.size))

    def before(self, value: Any) -> Any:
        """subgroupExclusiveAdd of a number."""
        members = self._members()
        wide = np.broadcast_to(concrete(value), self.count).copy()
        if members.size:
            starts, counts = self._runs(members)
            sums = np.cumsum(wide[members], dtype=wide.dtype) - wide[members]
            wide[members] = sums - np.repeat(sums[starts], counts)
        return wide

    def first(self, value: Any) -> Any:
        """subgroupBroadcastFirst of a number."""
        members = self._members()
        wide = np.broadcast_to(concrete(value), self.count).copy()
        if members.size:
            starts, counts = self._runs(members)
            wide[members] = np.repeat(wide[members[starts]], counts)
        return wide
