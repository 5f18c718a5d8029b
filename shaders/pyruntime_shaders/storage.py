"""How elements of tensors lie in GPU buffers, and the WGSL that declares, reads and writes these.

Kernels compute with values of 32 bits whatever the form, so that forms change a shader's bindings and
accesses alone, after the kernel was prepared (`Kernel.over`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

# "words": 32 bits an element; "packed": two of float16 in a u32, which are only read, since writers of one
# would race; "halves": float16 as itself, which takes the feature shader-f16
Form = Literal["words", "packed", "halves"]
FEATURE = "shader-f16"  # what "halves" require
Access = Literal["read", "read_write"]


class Binding(NamedTuple):
    """One storage buffer of a shader.

    Attributes:
        name: in WGSL.
        access: how it is bound.
        type: WGSL type of the value of an index: of one element, or a vec4 of them.
        form: how the elements lie; all but "words" for values of f32.
    """

    name: str
    access: Access
    type: str
    form: Form = "words"

    @property
    def stored(self) -> str:
        """The WGSL type of an element of the buffer."""
        if self.form == "packed":
            return "vec2<u32>" if self.vector else "u32"
        return self.type.replace("f32", "f16") if self.form == "halves" else self.type

    @property
    def vector(self) -> bool:
        """Whether an index stands for four elements."""
        return self.type.startswith("vec4")

    def read(self, at: str) -> str:
        """The WGSL of the value at an index."""
        if self.form == "packed":
            element = f"{self.name}[{at}]" if self.vector else f"{self.name}[({at}) >> 1u], {at}"
            return f"{'unpack_four' if self.vector else 'unpack_one'}({element})"
        element = f"{self.name}[{at}]"
        return f"{self.type}({element})" if self.form == "halves" else element

    def write(self, at: str, value: str) -> str:
        """The WGSL statement that sets the element at an index."""
        assert self.form != "packed", f"{self.name}: what is packed is never written"
        return f"{self.name}[{at}] = {f'f16(to_f16({value}))' if self.form == 'halves' else value};"


class Memory:
    """A shader's bindings as templates use them: by the buffer's name."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._bindings = {b.name: b for b in bindings}

    def read(self, buffer: str, at: str) -> str:
        """As `Binding.read`."""
        return self._bindings[buffer].read(at)

    def write(self, buffer: str, at: str, value: str) -> str:
        """As `Binding.write`."""
        return self._bindings[buffer].write(at, value)

    @property
    def halves(self) -> bool:
        """Whether the shader needs what "halves" require."""
        return any(b.form == "halves" for b in self._bindings.values())
