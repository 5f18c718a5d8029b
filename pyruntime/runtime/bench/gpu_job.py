"""What the page of `pyruntime bench` is told of a WebGPU program: buffers, shaders, evaluated commands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pyruntime.errors import DeviceError, InputError
from pyruntime.pack.expressions import Evaluator
from pyruntime.pack.program import BoundDispatch, BoundHost, BoundProgram, Span, bind, bound_shape
from pyruntime.pack.program import size as size_of
from pyruntime.pack.reader import Pack
from pyruntime.pack.schema import Entry
from pyruntime.pack.targets import GPU_DTYPES, GpuTensor, WebGpu, gpu_bytes
from pyruntime.runtime.bench import gpu_loops
from pyruntime.runtime.bind import Bound
from pyruntime.runtime.gpu_convert import widen
from pyruntime.runtime.state import KeptState

Content = bytes | bytearray | memoryview


class GpuJob:
    """A pack's entry with feeds, for gpu.js. Raises DeviceError for a pack with host steps."""

    def __init__(self, pack: Pack, target: WebGpu, entry: Entry, bound: Bound, kept: KeptState) -> None:
        if target.host is not None:
            raise DeviceError(f"{pack.path} has steps that run on the CPU: measure it natively, or on Wasm")
        self._pack, self._target, self._entry, self._bound, self._kept = pack, target, entry, bound, kept

    def job(self) -> dict[str, Any]:
        """What gpu.js is told first."""
        return {
            "device": "webgpu",
            "variants": [
                {"requires": list(v.requires), "limits": dict(v.limits), "uses": list(v.uses)}
                for v in self._target.variants
            ],
            "loops": {
                "multiply_adds": gpu_loops.multiply_adds(),
                "copy": gpu_loops.copy(),
                "bytes": gpu_loops.SOURCE_BYTES,
                "rounds": gpu_loops.ROUNDS,
                "groups": list(gpu_loops.GROUPS),
                "group": gpu_loops.GROUP,
                "operations": gpu_loops.OPERATIONS,
                "copies": list(gpu_loops.COPIES),
                "vector": gpu_loops.VECTOR,
                "enough": gpu_loops.ENOUGH,
                "long": gpu_loops.TOO_LONG,
            },
        }

    def weights(self) -> dict[str, Content]:
        """The weight buffers' bytes, by the names that gpu.js asks for."""
        tensors = self._pack.manifest.weights.tensors
        places = {w.tensor: w for w in self._target.weights}
        images = [bytearray(size) for size in self._target.buffers]
        for index, first, data in self._pack.tensors(places):
            place = places[index]
            elements = widen(data, tensors[index].dtype, place.dtype)
            start = place.offset + gpu_bytes(first, place.dtype)
            images[place.buffer][start : start + elements.nbytes] = elements.tobytes()
        return {f"buffer-{i}": image for i, image in enumerate(images)}

    def variant(self, number: int) -> tuple[dict[str, Any], dict[str, Content]]:
        """What a variant needs, and its files. Raises InputError for inputs that WebGPU cannot hold."""
        chosen = self._target.variants[number]
        places = {w.tensor: w for w in self._target.weights}
        program = self._bind(number, 0, self._bound.symbols)
        full = Evaluator(self._kept.full(self._entry, self._bound.symbols))
        arenas = [size_of(b, full) for b in chosen.entries[0].arenas]
        states = self._kept.states
        initial = [
            None
            if s.initial is None
            else (
                places[s.initial].buffer,
                places[s.initial].offset,
                gpu_bytes(math.prod(s.shape), GPU_DTYPES[s.dtype]),
            )
            for s in states
        ]
        content: dict[str, Content] = {"shaders": self._pack.read(chosen)}
        inputs = []
        for i, (tensor, spec, stored, at) in enumerate(
            zip(
                self._bound.inputs,
                self._entry.inputs,
                chosen.entries[0].inputs,
                program.inputs,
                strict=True,
            )
        ):
            assert isinstance(stored, GpuTensor)  # there are no host steps
            assert at.span is not None
            try:
                content[f"input-{i}"] = np.ascontiguousarray(
                    widen(tensor.data, spec.dtype, stored.dtype)
                ).tobytes()
            except InputError as error:
                raise InputError(f"input {spec.name!r}: {error}") from None
            inputs.append({"url": f"input-{i}", "arena": at.span.index, "offset": at.span.offset})
        sizes = {s.name: size_of(s.most, full) for s in self._entry.sizes}
        most = Evaluator({**self._bound.symbols, **sizes})
        details = {
            "arenas": [*map(max, program.arenas, arenas)],
            "buffers": list(self._target.buffers),
            "states": list(self._target.state),
            "initial": initial,
            "inputs": inputs,
            "symbols": dict(self._bound.symbols),
            "output": sum(8 * math.prod(bound_shape(spec, most)) for spec in self._entry.outputs),
            "shaders": [
                {"name": s.name, "offset": s.offset, "bytes": s.bytes, "bindings": list(s.bindings)}
                for s in chosen.shaders
            ],
        }
        return details, content

    def segment(self, number: int, start: int, symbols: Mapping[str, int]) -> dict[str, Any]:
        """The commands from `start` on, up to the end or a read."""
        program = self._bind(number, start, symbols)
        read = program.pause
        assert not isinstance(read, BoundHost)
        return {
            "commands": [
                {
                    "step": c.step,
                    "shader": c.shader,
                    "bindings": [*map(_span, c.bindings)],
                    "words": list(c.words),
                    "workgroups": list(c.workgroups),
                }
                if isinstance(c, BoundDispatch)
                else {"to": _span(c.target), "from": None if c.source is None else _span(c.source)}
                for c in program.commands
            ],
            "outputs": [_span(o.span) for o in program.outputs if o.span is not None],
            "read": None
            if read is None
            else {
                "symbol": read.symbol,
                "from": _span(read.span),
                "dtype": read.dtype,
                "symbols": dict(read.symbols),
                "next": read.next,
            },
        }

    def _bind(self, number: int, start: int, symbols: Mapping[str, int]) -> BoundProgram:
        return bind(self._target, number, 0, self._entry, symbols, start)


def _span(span: Span) -> tuple[str, int, int, int]:
    return span.kind, span.index, span.offset, span.bytes
