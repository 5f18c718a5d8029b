"""Runs kernels as `Machine` does, on memory as `tests.kernels.webgpu_harness` gives it to a GPU."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, MutableMapping
from typing import Any

import numpy as np
from pyruntime_shaders.module import INFINITY_BITS, Kernel
from pyruntime_shaders.storage import Form

from pyruntime.ir.symbols import evaluate
from pyruntime.ir.views import Tensor
from pyruntime.pack.sections import resolve
from tests.kernels.webgpu_harness import held_as, in_words
from tests.wgsl.compiler import Compiled, compiled, zeros
from tests.wgsl.functions import SCALARS
from tests.wgsl.machine import Machine, Subgroups
from tests.wgsl.memory import Array, Shared
from tests.wgsl.syntax import Declare, Type

MEMORY = 16384  # bytes of workgroup memory, and the invocations below, that every device has
THREADS = 256
LIMIT = 65535  # workgroups along an axis


def run(
    kernel: Kernel,
    memory: MutableMapping[Tensor, Array],
    symbols: Mapping[str, int],
    forms: Mapping[Tensor, Form] | None = None,
    features: Container[str] = (),
    subgroups: Subgroups | None = None,
    edit: Callable[[str], str] = str,
    deep: int = LIMIT,
) -> dict[str, int]:
    """Dispatch a kernel as `webgpu_harness.Gpu.run` does, after an edit of its text.

    Workgroups along z are `deep` at most: those of products and attention take further batches one by one.

    Returns:
        What must not happen and did, and how often.
    """
    forms = forms or {}
    kernel = kernel.over(forms)
    x, y, z = (evaluate(g, symbols) for g in kernel.workgroups)
    groups = x, y, min(z, deep)
    if 0 in groups:
        return {}
    shader = compiled(edit(resolve(kernel.render(), features)))
    machine = Machine(groups, shader.main.threads, subgroups)
    if max(groups) > LIMIT:
        machine.fault(f"{max(groups)} workgroups along an axis")
    numbers = [INFINITY_BITS, *(evaluate(w, symbols) for w in kernel.words)]
    fields = zip(shader.shader.structs["Words"].items(), numbers, strict=True)
    machine.private["words"] = {name: SCALARS[held.name](value) for (name, held), value in fields}
    buffers = [in_words(memory[t], held_as(t, forms)) for t in kernel.tensors]
    bind(machine, shader, buffers)
    shader.run(machine)
    result = kernel.tensors[-1]
    written = buffers[-1].view(held_as(result, forms))
    memory[result] = written[: memory[result].size].astype(result.dtype.value)
    return machine.faults


def bind(machine: Machine, shader: Compiled, buffers: list[Array]) -> None:
    """Give a machine the shader's memory: `buffers` by the numbers of their bindings."""
    used = 0
    for declared in shader.shader.variables:
        held = declared.type
        if declared.space == "workgroup":
            assert held is not None
            machine.memory[declared.name], size = _workgroup(machine, shader, declared.name, held)
            used += -(-size // 16) * 16
        elif declared.space == "storage":
            machine.memory[declared.name] = _storage(machine, declared, buffers[declared.binding])
    if used > MEMORY:
        machine.fault(f"{used} bytes of workgroup memory")
    if machine.threads > THREADS:
        machine.fault(f"{machine.threads} invocations in a workgroup")


def _workgroup(
    machine: Machine, shader: Compiled, name: str, held: Type
) -> tuple[Shared | dict[str, Shared], int]:
    """A variable of each workgroup, and its bytes."""
    element, count = (held.element, held.count) if held.name == "array" else (held, 1)
    assert element is not None

    def made(name: str, of: Type) -> Shared:
        shape = (machine.groups * count, *([of.count] if of.element else []))
        kind = np.asarray(zeros(of)).dtype
        return Shared(machine, name, np.zeros(shape, kind), "workgroup")

    if element.name in shader.shader.structs:
        fields = {f: made(f"{name}.{f}", t) for f, t in shader.shader.structs[element.name].items()}
        return fields, 4 * len(fields) * count
    array = made(name, element)
    return array, array.elements.nbytes // machine.groups


def _storage(machine: Machine, declared: Declare, buffer: Array) -> Shared:
    assert declared.type is not None
    element = declared.type.element
    assert element is not None
    width = element.count if element.element else 1
    flat: Any = buffer.view(SCALARS[(element.element or element).name])
    shaped = flat[: len(flat) // width * width].reshape(-1, width) if width > 1 else flat
    return Shared(machine, declared.name, shaped, "storage", watched=declared.access == "read_write")
