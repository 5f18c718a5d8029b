"""The steps of a WebGPU program that run on the CPU: a Wasm module and its memory, led by the session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyruntime.errors import DeviceError, MemoryLimitError, PackError, RunError
from pyruntime.ir.dtypes import DType
from pyruntime.pack.expressions import Evaluator
from pyruntime.pack.program import BoundHost, told
from pyruntime.pack.program import size as size_of
from pyruntime.runtime import wasm
from pyruntime.runtime.wasm_memory import ADDRESSES, PrivateMemory

if TYPE_CHECKING:
    from pyruntime.pack.reader import Pack
    from pyruntime.pack.targets import Wasm


class HostModule:
    """A pack's host steps.

    Raises:
        DeviceError: there is no Wasm engine.
        PackError: the module is not what the pack says.
        MemoryLimitError: its weights do not fit.
    """

    def __init__(self, pack: Pack, target: Wasm) -> None:
        if problem := wasm.unavailable():
            raise DeviceError(f"{pack.path} has steps that run on the CPU, and {problem}")
        import wasmtime

        self._target = target
        self._store = wasmtime.Store(wasm.engine())
        (variant,) = target.variants
        self._module = wasm.compiled(variant, pack.read(variant))
        wasm.check_module(self._module, variant.file, target, shared=False)
        self._memory = PrivateMemory(self._store, target.initial_pages)
        spans = wasm.weight_spans(pack.manifest, target)
        self._grow(max((address + size for address, size in spans), default=0) + wasm.TAIL, "the weights")
        wasm.write_weights(pack, target, self._memory.view())
        self._instantiate()

    def _instantiate(self) -> None:
        import wasmtime

        try:
            instance = wasmtime.Instance(self._store, self._module, [self._memory.extern])
            self._exports = instance.exports(self._store)
            abi = self._call("abi")
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise PackError(f"the module of the host steps cannot be started: {error}") from None
        wasm.check_abi(abi)
        self._planned: dict[int, tuple[int, ...]] = {}
        self._broken = False

    @property
    def size(self) -> int:
        """Bytes of memory at present."""
        return self._memory.size

    def _call(self, name: str, *arguments: int) -> int:
        result: int = self._exports[name](self._store, *arguments)  # type: ignore[operator]  # checked: a function
        return result

    def _grow(self, size: int, what: str) -> None:
        wasm.grow(self._memory, size, what)

    def plan(self, number: int, symbols: Mapping[str, int], full: Mapping[str, int]) -> None:
        """Lay out an entry's memory for these values of the symbols; those not set yet count as 0.

        Args:
            number: the entry's.
            symbols: their values, those of the program's own included.
            full: the values of the entry's symbols where states are full.
        """
        if self._broken:  # a trap leaves the module's stack as it was
            self._instantiate()
        entry = self._target.entries[number]
        values = tuple(symbols.get(name, 0) for name in entry.symbols or ())
        if self._planned.get(number) == values:
            return
        if self._call("steps", number) != len(entry.steps):
            raise PackError(
                f"the module of the host steps has not the {len(entry.steps)} steps of entry {number}"
            )
        packed = b"".join(v.to_bytes(8, "little", signed=True) for v in values)
        if packed:
            self.span(self._call("dims", number) & (ADDRESSES - 1), len(packed))[:] = packed
        self._planned.pop(number, None)
        code = self._call("plan", number)
        if code < 0:
            raise MemoryLimitError(f"the host steps cannot be laid out for {told(symbols)} (code {code})")
        size = max(self._call("bytes", number), size_of(entry.bytes, Evaluator(full)))
        self._grow(size, f"sizes {told(symbols)}")
        self._planned[number] = values

    def run(self, number: int, pause: BoundHost) -> None:
        """Run steps. Raises RunError that names the one that fails."""
        import wasmtime

        steps = self._target.entries[number].steps
        for step in range(pause.first, pause.last):
            try:
                code = self._call("run", number, step, step + 1)
            except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
                self._broken = True
                raise RunError(f"step {steps[step]!r} failed on the host: {wasm.first_line(error)}") from None
            if code < 0:
                raise RunError(f"step {steps[step]!r} failed on the host: code {code}")

    def values(self, reads: Sequence[tuple[str, int, DType]]) -> dict[str, int]:
        """Symbols that integers in memory give their values."""
        return {
            name: int.from_bytes(
                self.span(address, dtype.bytes), "little", signed=dtype.is_integer and not dtype.is_unsigned
            )
            for name, address, dtype in reads
        }

    def span(self, address: int, size: int) -> memoryview:
        """Writable bytes of the memory. Raises PackError where there are none."""
        memory = self._memory.view()
        if address + size > len(memory):
            raise PackError(f"the host steps name bytes {address} to {address + size} of {len(memory)}")
        return memory[address : address + size]

    def close(self) -> None:
        """Free the memory."""
        self._store.close()
