"""One program through every C compiler: what each module imports and exports, and whether it is right."""

from __future__ import annotations

import time
from dataclasses import dataclass

import wasmtime
from pyruntime_wasm.module import build_module

from tests.kernels import cases_conv, cases_map, cases_matmul, cases_pool, cases_row, wasm_harness
from tests.kernels.case import Case

FAMILIES = (cases_conv, cases_map, cases_matmul, cases_pool, cases_row)
EACH = 4  # cases of a family
VARIANTS = (*wasm_harness.VARIANTS, *(f"{v}-threads" for v in wasm_harness.VARIANTS))


@dataclass(frozen=True)
class Interface:
    """A module's imports and exports with their types, as text, sorted."""

    imports: tuple[str, ...]
    exports: tuple[str, ...]


def program() -> list[Case]:
    """A few cases of each family of kernels, from over the whole of its list."""
    chosen: list[Case] = []
    for family in FAMILIES:
        cases = list(family.cases())
        chosen += cases[:: max(len(cases) // EACH, 1)][:EACH]
    return chosen


def build(cases: list[Case], compiler: str) -> tuple[dict[str, bytes], float]:
    """The modules by variant, and the seconds that they took."""
    started = time.perf_counter()
    entries = [wasm_harness.program_of(case) for case in cases]
    modules = build_module(entries, VARIANTS, compiler)
    return modules, time.perf_counter() - started


def interface(module: bytes) -> Interface:
    """What a module imports and exports."""
    read = wasmtime.Module(wasmtime.Engine(), module)
    imports = sorted(f"{i.module}.{i.name}: {_text(i.type)}" for i in read.imports)
    return Interface(tuple(imports), tuple(sorted(f"{e.name}: {_text(e.type)}" for e in read.exports)))


def _text(kind: object) -> str:
    if isinstance(kind, wasmtime.FuncType):
        return f"({', '.join(map(str, kind.params))}) -> ({', '.join(map(str, kind.results))})"
    if isinstance(kind, wasmtime.MemoryType):
        return f"memory {kind.limits.min}..{f'{kind.limits.max} shared' if kind.is_shared else ''}"
    return str(kind)


def errors(cases: list[Case], modules: dict[str, bytes]) -> list[str]:
    """The cases that modules for one thread compute otherwise than the reference; none when all is well."""
    suite = wasm_harness.Suite(cases, {v: modules[v] for v in wasm_harness.VARIANTS})
    found: list[str] = []
    for variant in wasm_harness.VARIANTS:
        for case in cases:
            try:
                wasm_harness.compare(case.call, *suite.run(case, variant))
            except AssertionError as error:
                found.append(f"{case.name}, {variant}: {error}")
    return found
