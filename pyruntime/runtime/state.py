"""What a session keeps from run to run: reading, setting, saving, loading, and room for the next run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyruntime.errors import InputError, StateError
from pyruntime.pack.expressions import Evaluator
from pyruntime.pack.program import size
from pyruntime.pack.schema import Spec, State
from pyruntime.runtime import saved
from pyruntime.runtime.bind import Bound, as_tensor, bind, make_output
from pyruntime.runtime.tensors import Tensor

if TYPE_CHECKING:
    from pyruntime.pack.schema import Entry
    from pyruntime.runtime.session import Session


class KeptState:
    """What a session knows of its states: their present sizes, and whether a run left them unfinished.

    Args:
        states: as pack.json tells them.
        model: the SHA-256 of the model, which saved states name.
    """

    def __init__(self, states: Sequence[State], model: str) -> None:
        self.states, self.model = states, model
        self.sizes = [0] * len(self.states)  # along the growing axis; 0 for others
        self.torn = False

    def bind(self, entry: Entry, feeds: Mapping[str, Any]) -> Bound:
        """Check feeds, and that the states are fit for a run with them. Raises InputError, StateError."""
        self.check_whole()
        bound = bind(entry, feeds, self.sizes)
        values = Evaluator(bound.symbols)
        for carried in entry.state:
            state, present = self.states[carried.state], self.sizes[carried.state]
            if state.axis is None or carried.length is None or carried.next is None:
                continue
            if (expected := size(carried.length, values)) != present:
                raise StateError(
                    f"state {state.name!r} has size {present} along axis {state.axis}, others have {expected}"
                )
            if not 0 <= (wanted := size(carried.next, values)) <= state.shape[state.axis]:
                raise StateError(
                    f"state {state.name!r} is full: it would grow from {present} to {wanted}, and its"
                    f" capacity is {state.shape[state.axis]}; reset it, or convert with a larger capacity"
                )
        return bound

    def advance(self, entry: Entry, bound: Bound) -> None:
        """Note what a run has made of the states' sizes."""
        values = Evaluator(bound.symbols)
        for carried in entry.state:
            if carried.next is not None:
                self.sizes[carried.state] = size(carried.next, values)

    def tear(self) -> None:
        """Note that a run failed after it had begun to overwrite states."""
        self.torn = bool(self.states)

    def symbols(self, entry: Entry) -> dict[str, int]:
        """The symbols of an entry that sizes of states bind, with their present values."""
        return {s.name: self.sizes[s.state] for s in entry.symbols if s.state is not None}

    def full(self, entry: Entry, symbols: Mapping[str, int]) -> dict[str, int]:
        """The symbols' values when states are full: memory is laid out for them once, not at every step."""
        bound = {s.name: self.states[s.state] for s in entry.symbols if s.state is not None}
        return {**symbols, **{n: s.shape[s.axis] for n, s in bound.items() if s.axis is not None}}

    def check_whole(self) -> None:
        """Raise StateError where a run left the states unfinished."""
        if self.torn:
            raise StateError("a run failed while it was changing the state; reset it, or load a saved one")


class SessionState:
    """The tensors that a session keeps between runs: `session.state`. Its calls and runs queue.

    Every method raises StateError where the pack keeps no state, and DisposedError after `close`.
    """

    def __init__(self, session: Session, kept: KeptState) -> None:
        self._session, self._kept = session, kept

    @property
    def names(self) -> tuple[str, ...]:
        """The states' names: those of the model's inputs that they come from."""
        return tuple(s.name for s in self._kept.states)

    @property
    def lengths(self) -> dict[str, int]:
        """The present size of each state that grows, along the axis along which it does."""
        return {
            s.name: n for s, n in zip(self._kept.states, self._kept.sizes, strict=True) if s.axis is not None
        }

    @property
    def symbols(self) -> dict[str, int]:
        """The symbols of the inputs' shapes that sizes of states bind, with their present values."""
        _, entry = self._session._find(None)
        return self._kept.symbols(entry)

    @property
    def capacities(self) -> dict[str, int]:
        """The largest size of each state that grows."""
        return {s.name: s.shape[s.axis] for s in self._kept.states if s.axis is not None}

    def reset(self) -> None:
        """Make all states what they were when the session was loaded."""
        self._require()
        with self._session.using():
            self._session._reset_states()
            self._kept.sizes = [0] * len(self._kept.states)
            self._kept.torn = False

    def get(self, name: str) -> Any:
        """A copy of one state, as outputs are given: a NumPy array, or a `Tensor` where there is no NumPy."""
        number = self._number(name)
        with self._session.using():
            return make_output(self._read(number))

    def set(self, name: str, value: Any) -> None:
        """Set one state, from anything that could be fed. One that grows takes any size up to its capacity.

        Raises InputError for another dtype or shape.
        """
        number, tensor = self._checked(name, value)
        with self._session.using():
            self._write({number: tensor})

    def save(self) -> bytes:
        """All states as bytes for `load`, here or in a page: a safetensors file with the model's hash."""
        self._require()
        with self._session.using():
            self._kept.check_whole()
            tensors = {s.name: self._read(i) for i, s in enumerate(self._kept.states)}
        return saved.encode(self._kept.model, tensors)

    def load(self, data: bytes | bytearray | memoryview) -> None:
        """Set all states to what `save` gave. Raises StateError, and changes none, if it does not fit."""
        self._require()
        tensors = saved.decode(data, self._kept.model, self.names)
        for state in self._kept.states:
            tensor = tensors[state.name]
            if tensor.dtype != state.dtype.value or not _fits(tensor, state):
                raise StateError(
                    f"state {state.name!r} was saved as {tensor.dtype} of shape {tensor.shape}; the pack"
                    f" keeps {_told(state)}"
                )
        with self._session.using():
            self._write({i: tensors[s.name] for i, s in enumerate(self._kept.states)})
            self._kept.torn = False

    async def reset_async(self) -> None:
        """`reset`, awaited: in a thread of its own, as all of these."""
        await asyncio.to_thread(self.reset)

    async def get_async(self, name: str) -> Any:
        """`get`, awaited."""
        return await asyncio.to_thread(self.get, name)

    async def set_async(self, name: str, value: Any) -> None:
        """`set`, awaited."""
        await asyncio.to_thread(self.set, name, value)

    async def save_async(self) -> bytes:
        """`save`, awaited."""
        return await asyncio.to_thread(self.save)

    async def load_async(self, data: bytes | bytearray | memoryview) -> None:
        """`load`, awaited."""
        await asyncio.to_thread(self.load, data)

    def _checked(self, name: str, value: Any) -> tuple[int, Tensor]:
        """The number of a state, and what it is to be set to."""
        number = self._number(name)
        state = self._kept.states[number]
        shape = tuple("length" if a == state.axis else d for a, d in enumerate(state.shape))
        try:
            tensor = as_tensor(value, Spec(name, state.dtype, shape))
        except InputError as error:
            raise InputError(str(error).replace("input", "state", 1)) from None
        if not _fits(tensor, state):
            raise InputError(f"state {name!r}: expected {_told(state)}, got shape {tensor.shape}")
        return number, tensor

    def _require(self) -> None:
        if not self._kept.states:
            raise StateError("the pack keeps no state; convert the model with state={input: output}")

    def _number(self, name: str) -> int:
        self._require()
        if name not in self.names:
            raise InputError(f"there is no state {name!r}; the states are {', '.join(map(repr, self.names))}")
        return self.names.index(name)

    def _read(self, number: int) -> Tensor:
        state = self._kept.states[number]
        data = self._session._read_state(number)
        shape = list(state.shape)
        if state.axis is not None:
            shape[state.axis] = self._kept.sizes[number]
            parts = [data[begin:end] for begin, end in _rows(state, self._kept.sizes[number])]
            data = memoryview(bytearray().join(parts))
        return Tensor(data, tuple(shape), state.dtype.value)

    def _write(self, tensors: Mapping[int, Tensor]) -> None:
        whole: dict[int, memoryview] = {}
        for number, tensor in tensors.items():
            state = self._kept.states[number]
            whole[number] = tensor.data
            if state.axis is not None:
                data, at = bytearray(math.prod(state.shape) * state.dtype.bytes), 0
                for begin, end in _rows(state, tensor.shape[state.axis]):
                    data[begin:end] = tensor.data[at : at + end - begin]
                    at += end - begin
                whole[number] = memoryview(data)
        self._session._write_states(whole)
        for number, tensor in tensors.items():
            axis = self._kept.states[number].axis
            self._kept.sizes[number] = 0 if axis is None else tensor.shape[axis]


def _rows(state: State, length: int) -> Iterator[tuple[int, int]]:
    """Byte ranges that hold the first `length` elements along the growing axis."""
    assert state.axis is not None
    step = math.prod(state.shape[state.axis + 1 :]) * state.dtype.bytes
    for row in range(math.prod(state.shape[: state.axis])):
        begin = row * state.shape[state.axis] * step
        yield begin, begin + length * step


def _fits(tensor: Tensor, state: State) -> bool:
    return len(tensor.shape) == len(state.shape) and all(
        got <= most if axis == state.axis else got == most
        for axis, (got, most) in enumerate(zip(tensor.shape, state.shape, strict=True))
    )


def _told(state: State) -> str:
    sizes: Sequence[str] = [f"up to {d}" if a == state.axis else str(d) for a, d in enumerate(state.shape)]
    return f"{state.dtype.value} of shape ({', '.join(sizes)})"
