"""State of sessions in a web page: Python's interface and checks, over the JavaScript session's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import js
from pyodide.ffi import run_sync, to_js

from pyruntime.runtime.bind import make_output
from pyruntime.runtime.state import KeptState, SessionState
from pyruntime.runtime.tensors import Tensor
from pyruntime.runtime.web.javascript import check_blocking, settle

if TYPE_CHECKING:
    from pyruntime.runtime.web.session import WebSession


class WebState(SessionState):
    """As on every device; plain calls need an engine with JavaScript Promise Integration.

    Args:
        session: the session.
        kept: its states, with sizes as they were when this was made.
        inner: the JavaScript session, which keeps account.
    """

    def __init__(self, session: WebSession, kept: KeptState, inner: Any) -> None:
        super().__init__(session, kept)
        self._inner = inner

    def reset(self) -> None:
        """See SessionState, as for all of these."""
        check_blocking("session.state.reset_async()")
        run_sync(self.reset_async())

    def get(self, name: str) -> Any:
        """See SessionState."""
        check_blocking(f"session.state.get_async({name!r})")
        return run_sync(self.get_async(name))

    def set(self, name: str, value: Any) -> None:
        """See SessionState."""
        check_blocking(f"session.state.set_async({name!r}, value)")
        run_sync(self.set_async(name, value))

    def save(self) -> bytes:
        """See SessionState."""
        check_blocking("session.state.save_async()")
        data: bytes = run_sync(self.save_async())
        return data

    def load(self, data: bytes | bytearray | memoryview) -> None:
        """See SessionState."""
        check_blocking("session.state.load_async(data)")
        run_sync(self.load_async(data))

    async def reset_async(self) -> None:
        """See SessionState."""
        self._require()
        self._session._check_open()
        await settle(lambda _: self._inner.state.reset())

    async def get_async(self, name: str) -> Any:
        """See SessionState."""
        state = self._kept.states[self._number(name)]
        self._session._check_open()
        made = await settle(lambda _: self._inner.state.getBytes(name))
        data = memoryview(bytearray(made.bytes.to_bytes()))
        return make_output(Tensor(data, tuple(made.shape), state.dtype.value))

    async def set_async(self, name: str, value: Any) -> None:
        """See SessionState."""
        _, tensor = self._checked(name, value)
        self._session._check_open()
        await settle(
            lambda _: self._inner.state.setBytes(name, _bytes(tensor.data), to_js(list(tensor.shape)))
        )

    async def save_async(self) -> bytes:
        """See SessionState."""
        self._require()
        self._session._check_open()
        data: bytes = (await settle(lambda _: self._inner.state.save())).to_bytes()
        return data

    async def load_async(self, data: bytes | bytearray | memoryview) -> None:
        """See SessionState."""
        self._require()
        self._session._check_open()
        await settle(lambda _: self._inner.state.load(_bytes(data)))


def _bytes(data: bytes | bytearray | memoryview) -> Any:
    """A Uint8Array with a copy of these bytes."""
    made = js.Uint8Array.new(memoryview(data).nbytes)
    made.assign(data)
    return made
