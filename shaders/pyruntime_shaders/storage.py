"""How elements of tensors lie in GPU buffers, and the WGSL that declares, reads and writes these.

Kernels compute with values of 32 bits whatever the form, so that forms change a shader's bindings and
accesses alone, after the kernel was prepared (`Kernel.over`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

# "words": 32 bits an element; "packed": two of float16 or four of 8-bit integers in a u32, which are only
# read, since writers of one would race; "halves": float16 as itself, which takes the feature shader-f16
Form = Literal["words", "packed", "halves"]
FEATURE = "shader-f16"  # what "halves" require
Access = Literal["read", "read_write"]


class Binding(NamedTuple):
    """One storage buffer of a shader.

    Attributes:
        name: in WGSL.
        access: how it is bound.
        type: WGSL type of the value of an index: of one element, or a vec4 of them.
        form: how the elements lie; "halves" for values of f32 alone.
    """

    name: str
    access: Access
    type: str
    form: Form = "words"

    @property
    def stored(self) -> str:
        """The WGSL type of an element of the buffer."""
        if self.form == "packed":
            return "vec2<u32>" if self.vector and self.floats else "u32"
        return self.type.replace("f32", "f16") if self.form == "halves" else self.type

    @property
    def vector(self) -> bool:
        """Whether an index stands for four elements."""
        return self.type.startswith("vec4")

    @property
    def floats(self) -> bool:
        """Whether the values are floats."""
        return "f32" in self.type

    @property
    def letter(self) -> str:
        """Of integers: "i" or "u"."""
        return "i" if "i32" in self.type else "u"

    def read(self, at: str) -> str:
        """The WGSL of the value at an index."""
        if self.form == "packed":
            suffix, shift = ("", "1u") if self.floats else (f"_{self.letter}8", "2u")
            element = f"{self.name}[{at}]" if self.vector else f"{self.name}[({at}) >> {shift}], {at}"
            return f"{'unpack_four' if self.vector else 'unpack_one'}{suffix}({element})"
        element = f"{self.name}[{at}]"
        return f"{self.type}({element})" if self.form == "halves" else element

    def element(self, at: str) -> str:
        """The WGSL of one element, though an index may stand for four."""
        return f"{self.read(f'({at}) >> 2u')}[({at}) & 3]" if self.vector else self.read(at)

    def octets(self, at: str) -> str:
        """The WGSL of four 8-bit integers as a u32, the first lowest; `at` is a multiple of four."""
        if self.form == "packed":
            return f"{self.name}[({at}) >> 2u]"
        if self.vector:
            return f"pack_{self.letter}8({self.read(f'({at}) >> 2u')})"
        four = ", ".join(self.read(f"{at} + {i}" if i else at) for i in range(4))
        return f"pack_{self.letter}8(vec4<{self.type}>({four}))"

    def write(self, at: str, value: str) -> str:
        """The WGSL statement that sets the element at an index."""
        assert self.form != "packed", f"{self.name}: what is packed is never written"
        if self.form == "halves":
            value = f"vec4<f16>(to_f16_four({value}))" if self.vector else f"f16(to_f16({value}))"
        return f"{self.name}[{at}] = {value};"


class Memory:
    """A shader's bindings as templates use them: by the buffer's name."""

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._bindings = {b.name: b for b in bindings}

    def read(self, buffer: str, at: str) -> str:
        """As `Binding.read`."""
        return self._bindings[buffer].read(at)

    def element(self, buffer: str, at: str) -> str:
        """As `Binding.element`."""
        return self._bindings[buffer].element(at)

    def octets(self, buffer: str, at: str) -> str:
        """As `Binding.octets`."""
        return self._bindings[buffer].octets(at)

    def write(self, buffer: str, at: str, value: str) -> str:
        """As `Binding.write`."""
        return self._bindings[buffer].write(at, value)

    @property
    def halves(self) -> bool:
        """Whether the shader needs what "halves" require."""
        return any(b.form == "halves" for b in self._bindings.values())
