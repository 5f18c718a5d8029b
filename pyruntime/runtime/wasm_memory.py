"""The memory of a Wasm session: private to one store, or shared by the stores of several threads."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import wasmtime

PAGE = 65536
ADDRESSES = 2**32


class PrivateMemory:
    """A memory of `pages` at first, in one store. Creating or growing it raises wasmtime.WasmtimeError."""

    def __init__(self, store: wasmtime.Store, pages: int) -> None:
        import wasmtime

        limits = wasmtime.Limits(pages, ADDRESSES // PAGE)
        self._store = store
        self.extern = wasmtime.Memory(store, wasmtime.MemoryType(limits))
        self._view: memoryview | None = None  # modules never grow their memory themselves

    @property
    def size(self) -> int:
        """Bytes at present."""
        return self.extern.data_len(self._store)

    def grow(self, pages: int) -> None:
        """Add pages."""
        self._view = None
        self.extern.grow(self._store, pages)

    def view(self) -> memoryview:
        """All bytes, writable; growth makes this stale."""
        if self._view is None:
            self._view = memoryview(self.extern.get_buffer_ptr(self._store)).cast("B")
        return self._view


class SharedMemory:
    """A memory of `pages` at first that instances in any store import; otherwise as PrivateMemory."""

    def __init__(self, engine: wasmtime.Engine, pages: int) -> None:
        import wasmtime

        class Shared(wasmtime.SharedMemory):
            def _as_extern(self) -> wasmtime._ffi.wasmtime_extern_t:
                # wasmtime 50 wraps its pointer a second time, which ctypes refuses
                ffi = wasmtime._ffi
                union = ffi.wasmtime_extern_union(sharedmemory=self.ptr())
                return ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)

        limits = wasmtime.Limits(pages, ADDRESSES // PAGE)
        self.extern = Shared(engine, wasmtime.MemoryType(limits, shared=True))

    @property
    def size(self) -> int:
        """Bytes at present."""
        return self.extern.data_len()

    def grow(self, pages: int) -> None:
        """Add pages."""
        self.extern.grow(pages)

    def view(self) -> memoryview:
        """All bytes, writable; they stay where they are when the memory grows."""
        start = ctypes.addressof(self.extern.data_ptr().contents)
        return memoryview((ctypes.c_ubyte * self.size).from_address(start)).cast("B")
