"""Other shaders that could do a pack's dispatches, which `pyruntime tune` tries on a GPU."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pyruntime_shaders.division import alternatives
from pyruntime_shaders.emit import Dispatch as Rendering
from pyruntime_shaders.module import INFINITY_BITS, Kernel

from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Placement
from pyruntime.ir.rpn import to_rpn
from pyruntime.pack.alternatives import Alternative, Alternatives, Code, dispatches, encode_alternatives
from pyruntime.pack.targets import Candidates, GpuVariant
from pyruntime.pack.writer import PackWriter
from pyruntime_converter.targets.forms import Forms, gpu_dtype


class Collector:
    """Gathers the alternatives of one variant after the other; equal kernels share a shader."""

    def __init__(self) -> None:
        self._shaders: list[Code] = []
        self._numbers: dict[object, int] = {}
        self._variants: list[list[list[Alternative]]] = []
        self._found: dict[KernelCall, list[list[Kernel]]] = {}

    def add(
        self,
        variant: GpuVariant,
        rendered: Sequence[Sequence[Rendering]],
        forms: Forms,
        placements: Sequence[Placement],
    ) -> None:
        """Take in a variant: `rendered` are the dispatches of its entries, in the order of their commands."""
        entries = []
        for number, (made, placement) in enumerate(zip(rendered, placements, strict=True)):
            found: list[Alternative] = []
            seen: dict[KernelCall, int] = {}  # dispatches of a call so far
            for (command, _), each in zip(dispatches(variant, number), made, strict=True):
                form = seen[each.call] = seen.get(each.call, -1) + 1
                for kernel in self._others(each.call)[form]:
                    words = tuple(map(to_rpn, (INFINITY_BITS, *kernel.words)))
                    groups = tuple(map(to_rpn, kernel.workgroups))
                    shader = self._shader(kernel.over(forms, placement.beside(kernel.tensors)), forms)
                    found.append(Alternative(command, shader, words, groups))
            entries.append(found)
        self._variants.append(entries)

    def _others(self, call: KernelCall) -> list[list[Kernel]]:
        if call not in self._found:
            self._found[call] = alternatives(call)
        return self._found[call]

    def _shader(self, kernel: Kernel, forms: Forms) -> int:
        number = self._numbers.setdefault(kernel.key, len(self._shaders))
        if number == len(self._shaders):
            result = gpu_dtype(kernel.tensors[-1], forms)
            name = f"{kernel.template}_{number}"
            self._shaders.append(Code(name, kernel.render(), kernel.access, 1 + len(kernel.words), result))
        return number

    def write(self, pack: PackWriter) -> Candidates:
        """The file with all of them."""
        data = encode_alternatives(Alternatives(self._shaders, self._variants))
        written = pack.add_file(f"candidates-{hashlib.sha256(data).hexdigest()[:16]}.json", data)
        return Candidates(*written)
