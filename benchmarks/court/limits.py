"""What the machine can do at most from Wasm: multiply-adds and a copy through memory, on some threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import wasmtime
from pyruntime_wasm.toolchain import build

from benchmarks.kernels import PEAK

COPY = """
#include "simd.h"
NOINLINE void copy_part(float *to, const float *from, int32_t vectors) {
  for (; vectors > 0; vectors--, to += 4, from += 4) f32x4_store(to, f32x4_load(from));
}
__attribute__((export_name("stream_copy"))) void stream_copy(float *from, float *to, int32_t bytes) {
  // many calls, so that the engine can replace slow code
  int32_t part = 1 << 16;
  for (int32_t at = 0; at < bytes; at += part) copy_part(to + at / 4, from + at / 4, part / 16);
}
"""
ADDS = 6_000_000  # steps of the loop, 96 floating-point operations each
TURNS = 6  # of the loop a round: as long as a contestant's turn, and disturbed as often
BYTES = 64 << 20  # of each of the copy's two arrays, past any cache
START = 131072  # below lie the module's stack and data

Rates = dict[str, dict[str, float]]  # by threads: fma_gflops, copy_gb_s


def write_module(path: Path) -> None:
    """The Wasm module of both loops, in relaxed SIMD."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(build({"peak": PEAK, "copy": COPY}, ["relaxed"])["relaxed"])


class Native:
    """Both loops under wasmtime."""

    def __init__(self, module: Path, threads: int) -> None:
        engine = wasmtime.Engine()
        compiled = wasmtime.Module.from_file(engine, str(module))
        self.loops = [self._loops(engine, compiled) for _ in range(threads)]

    @staticmethod
    def _loops(engine: wasmtime.Engine, module: wasmtime.Module) -> Callable[[str], tuple[float, float]]:
        store = wasmtime.Store(engine)
        pages = (START + 2 * BYTES) // 65536
        memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(pages, None)))
        exports = wasmtime.Instance(store, module, [memory]).exports(store)

        def run(name: str) -> tuple[float, float]:
            loop = exports[name]
            assert isinstance(loop, wasmtime.Func)
            given = (ADDS,) if name == "multiply_adds" else (START, START + BYTES, BYTES)
            start = time.perf_counter()
            loop(store, *given)
            return start, time.perf_counter()

        return run

    def round(self) -> Rates:
        """One measurement on each number of threads."""
        counts = range(1, len(self.loops) + 1)
        loop, copy = dict.fromkeys(counts, 0.0), dict.fromkeys(counts, 0.0)
        with ThreadPoolExecutor(len(self.loops)) as pool:

            def seconds(count: int, name: str) -> float:
                spans: list[tuple[float, float]] = list(pool.map(lambda run: run(name), self.loops[:count]))
                return max(end for _, end in spans) - min(start for start, _ in spans)

            for turn in range(TURNS):
                for count in counts if turn % 2 else reversed(counts):
                    loop[count] += seconds(count, "multiply_adds")
            for count in counts:
                copy[count] = seconds(count, "stream_copy")
        return {
            str(count): {
                "fma_gflops": count * TURNS * ADDS * 96 / loop[count] / 1e9,
                "copy_gb_s": count * 2 * BYTES / copy[count] / 1e9,
            }
            for count in counts
        }
