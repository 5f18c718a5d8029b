"""Writes wasm.h, the WebAssembly C API, as far as a source uses it, from the bindings of Python's wasmtime.

Its wheel has the C library and no headers. Only for tests: users have wasm.h from their engine.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import wasmtime
from wasmtime import _bindings

NAMES: dict[object, str] = {
    ctypes.c_uint8: "uint8_t",
    ctypes.c_uint32: "uint32_t",
    ctypes.c_size_t: "size_t",
    ctypes.c_int32: "int32_t",
    ctypes.c_int64: "int64_t",
    ctypes.c_float: "float",
    ctypes.c_double: "double",
    ctypes.c_bool: "bool",
    None: "void",
}
HEAD = """\
#pragma once
#include <stddef.h>
#include <stdint.h>
typedef char wasm_byte_t;
enum { WASM_I32, WASM_I64, WASM_F32, WASM_F64 };
static const uint32_t wasm_limits_max_default = 0xffffffff;
"""


def library() -> Path:
    """The C library in wasmtime's wheel."""
    (found,) = Path(wasmtime.__file__).parent.glob("*/*wasmtime.*")
    return found


class _Header:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.known: set[str] = set()

    def type_name(self, kind: object) -> str:
        """A type in C; structures are declared before it."""
        if kind in NAMES:
            return NAMES[kind]
        if isinstance(kind, type) and issubclass(kind, ctypes._Pointer):
            return self.type_name(kind._type_) + " *"
        assert isinstance(kind, type)
        if issubclass(kind, ctypes.Structure | ctypes.Union):
            self.declare(kind)
            return kind.__name__
        raise TypeError(kind)

    def body(self, kind: type[ctypes.Structure | ctypes.Union]) -> str:
        """The braces of a structure."""
        fields = []
        for name, each, *_ in kind._fields_:
            if issubclass(each, ctypes.Union):
                fields.append(f"union {self.body(each)} {name};")
            else:
                fields.append(f"{'wasm_byte_t *' if byte_data(kind, name) else self.type_name(each)} {name};")
        return "{ " + " ".join(fields) + " }"

    def declare(self, kind: type[ctypes.Structure | ctypes.Union]) -> None:
        """A structure, opaque where it has no fields."""
        name = kind.__name__
        if name in self.known:
            return
        self.known.add(name)
        body = self.body(kind) if hasattr(kind, "_fields_") else ""
        self.lines.append(f"typedef struct {name} {body} {name};")

    def function(self, name: str) -> None:
        """A prototype. The bindings know no `const`: what a parameter points to is, and takes either."""
        bound = getattr(_bindings, f"_{name}")
        result = self.type_name(bound.restype)
        parameters = [self.type_name(each) for each in bound.argtypes]
        listed = ", ".join(f"const {p}" if p.count("*") == 1 else p for p in parameters)
        result = "wasm_byte_t *" if name == "wasm_memory_data" else result
        self.lines.append(f'extern "C" {result} {name}({listed});')


def byte_data(kind: type, field: str) -> bool:
    """Whether a field is the bytes of a vector."""
    return kind is _bindings.wasm_byte_vec_t and field == "data"


def header(source: str) -> str:
    """The text of wasm.h with what the source names."""
    made = _Header()
    for name in sorted(set(re.findall(r"\bwasm_\w+", source))):
        if hasattr(_bindings, f"_{name}"):
            made.function(name)
        elif isinstance(kind := getattr(_bindings, name, None), type) and issubclass(kind, ctypes.Structure):
            made.declare(kind)
    return HEAD + "\n".join(made.lines) + "\n"
