"""Speed of structured Wasm kernels in Node and Chromium, beside the multiply-add peak of the same run.

python -m benchmarks.kernels [--engine node|chromium] [--seconds 0.3] [--only TEXT] [--variant simd]

Products of few rows have another limit, reading the weights: beside them is the time of a loop that does
no more.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pyruntime_converter.lowering.lower import lower
from pyruntime_wasm.kernels import kernel_for
from pyruntime_wasm.module import WEIGHTS_BASE, render_module
from pyruntime_wasm.toolchain import build

from pyruntime.ir.dims import Dim, align
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph
from pyruntime.ir.kernel import Attention, Conv, KernelCall, MatMul, Recurrence, Window
from pyruntime.ir.program import Placement, Program
from pyruntime.ir.scalar import Acc, Const, Load, call
from pyruntime.ir.symbols import evaluate
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.builder import Builder
from tests.chromium import FLAGS

FEW = 16  # rows of a product that reading the weights may bound
LAYERS = {"LSTM": 4, "GRU": 3, "RNN": 1}  # gates
SCRIPT = Path(__file__).with_suffix(".js")
PEAK = """
#include "simd.h"
static float sink[4];
static volatile float small = 1e-3f;  // read by each call, so that none is left out
NOINLINE f32x4 twelve_chains(int32_t n, f32x4 x) {
  f32x4 a[12];
  for (int i = 0; i < 12; i++) a[i] = f32x4_splat((float)i);
  // four steps a turn: with one, processors miss a tenth of their rate on some calls and not on others
  for (; n > 0; n -= 4)
    for (int step = 0; step < 4; step++)
      for (int i = 0; i < 12; i++) a[i] = f32x4_fma(x, x, a[i]);
  for (int i = 1; i < 12; i++) a[0] = f32x4_add(a[0], a[i]);
  return a[0];
}
__attribute__((export_name("multiply_adds"))) void multiply_adds(int32_t n) {
  // a hundred calls, so that the engine can replace slow code
  for (int i = 0; i < 100; i++) f32x4_store(sink, twelve_chains(n / 100, f32x4_splat(small)));
}
"""


READ = """
#include "simd.h"
static float sink[4];
NOINLINE f32x4 read(const float *from, const float *end) {
  f32x4 a[8];
  for (int i = 0; i < 8; i++) a[i] = f32x4_splat(0);
  for (; from < end; from += 32)
    for (int i = 0; i < 8; i++) a[i] = f32x4_add(a[i], f32x4_load(from + 4 * i));
  for (int i = 1; i < 8; i++) a[0] = f32x4_add(a[0], a[i]);
  return a[0];
}
__attribute__((export_name("read_floats"))) void read_floats(const float *from, int32_t count) {
  // parts, so that the engine can replace slow code
  for (const float *end = from + count; from < end; from += 4096)
    f32x4_store(sink, read(from, end - from < 4096 ? end : from + 4096));
}
"""


def _dense(name: str, shape: Sequence[int], order: Sequence[int] = ()) -> View:
    strides: list[int] = [0] * len(shape)
    size = 1
    for axis in reversed(order or range(len(shape))):
        strides[axis] = size
        size *= shape[axis]
    return View(Tensor(name, DType.F32, size), 0, tuple(strides))


def _bias_relu(columns: int, rank: int) -> dict[str, Any]:
    body = call("max", call("add", Acc(DType.F32), Load(DType.F32, 0)), Const(DType.F32, 0.0))
    bias = View(Tensor("bias", DType.F32, columns), 0, (*[0] * (rank - 1), 1))
    return {"body": body, "inputs": (bias,)}


def matmul(
    m: int, n: int, k: int, *, batch: int = 1, panels: bool = True, transposed: bool = False
) -> MatMul:
    """A product with bias and relu; without `panels` b is packed at run time where rows are many."""
    outer = (batch,) if batch > 1 else ()
    order = (*range(len(outer)), len(outer) + 1, len(outer)) if transposed else ()
    b = _dense("b", (*outer, k, n), order)
    if panels:
        b = View(Tensor("b", DType.F32, -(-n // 8) * 8 * k), 0, (0,) * (len(outer) + 2))
    kind = "" if panels else ", b transposed" if transposed else ", b dynamic"
    return MatMul(
        name=f"matmul {f'{batch} of ' if outer else ''}{m}x{n}x{k}{kind}",
        batch=outer,
        m=m,
        n=n,
        k=k,
        a=_dense("a", (*outer, m, k)),
        b=b,
        panels=8 if panels else 0,
        output=_dense("y", (*outer, m, n)),
        **_bias_relu(n, len(outer) + 2),
    )


def conv(
    size: tuple[int, int],
    channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    *,
    dilation: int = 1,
    depthwise: bool = False,
    nchw: bool = False,
) -> Conv:
    """A convolution with bias, relu and padding that keeps the size at stride 1."""
    pad = (kernel - 1) * dilation // 2
    out = tuple((s + 2 * pad - (kernel - 1) * dilation - 1) // stride + 1 for s in size)
    groups = channels if depthwise else 1
    elements = kernel * kernel * channels * (1 if depthwise else -(-out_channels // 8) * 8)
    kind = f"depthwise {channels}" if depthwise else f"conv {channels}->{out_channels}"
    dilated = f" d{dilation}" if dilation > 1 else ""
    return Conv(
        name=f"{kind} {kernel}x{kernel} s{stride}{dilated} {size[0]}x{size[1]}{' NCHW' if nchw else ''}",
        n=1,
        in_size=size,
        out_size=(out[0], out[1]),
        in_channels=channels,
        out_channels=out_channels,
        groups=groups,
        window=Window((kernel, kernel), (stride, stride), (dilation, dilation), (pad, pad)),
        x=_dense("x", (1, *size, channels), (0, 3, 1, 2) if nchw else ()),
        weight=View(Tensor("w", DType.F32, elements), 0, (0, 0, 0, 0)),
        panels=0 if depthwise else 8,
        output=_dense("y", (1, *out, out_channels)),
        **_bias_relu(out_channels, 4),
    )


def recurrence(op: str, steps: int, batch: int, units: int) -> Recurrence:
    """A recurrent layer after its MatMul, in one direction."""
    graph = Graph(op)
    builder, rows = Builder(graph), LAYERS[op] * units
    x = builder.input("x", DType.F32, (steps, batch, rows))
    weight = np.random.default_rng(0).uniform(-1, 1, (1, rows, units)).astype(np.float32)
    graph.outputs = builder.emit(op, [x, builder.constant(weight)])
    graph.output_names = [f"y{i}" for i in range(len(graph.outputs))]
    found = next(c for c in lower(graph).calls if isinstance(c, Recurrence))
    return replace(found, name=f"{op} {steps} steps, batch {batch}, {units} units")


def attention(heads: int, queries: int, keys: int, width: int, *, masked: bool = False) -> Attention:
    """Scaled dot products, with `masked` plus a number for each key; heads lie side by side."""
    score = call("mul", Acc(DType.F32), Const(DType.F32, width**-0.5))
    mask = View(Tensor("mask", DType.F32, keys), 0, (0, 0, 1))
    rows = {"q": queries, "k": keys, "v": keys, "y": queries}
    views = {name: _dense(name, (heads, count, width), (1, 0, 2)) for name, count in rows.items()}
    return Attention(
        name=f"attention {heads} heads, {queries} x {keys} x {width}{', masked' if masked else ''}",
        batch=(heads,),
        m=queries,
        n=keys,
        width=width,
        value_width=width,
        q=views["q"],
        k=views["k"],
        v=views["v"],
        score=call("add", score, Load(DType.F32, 0)) if masked else score,
        inputs=(mask,) if masked else (),
        output=views["y"],
    )


CALLS: tuple[MatMul | Conv | Recurrence | Attention, ...] = (
    *(matmul(size, size, size) for size in (64, 127, 128, 256, 333, 511, 512, 1023, 1024, 2048)),
    *(matmul(rows, 512, 512) for rows in (63, 64, 65)),
    matmul(512, 512, 512, panels=False),
    matmul(512, 512, 512, panels=False, transposed=True),
    matmul(128, 128, 64, batch=12, panels=False, transposed=True),
    matmul(128, 64, 128, batch=12, panels=False),
    *(matmul(rows, 1024, 1024) for rows in (1, 2, 3, 4, 5, 8, 16)),
    matmul(1, 1000, 1280),
    matmul(1, 256, 256),
    matmul(1, 1024, 1024, panels=False),
    matmul(1, 1024, 1024, panels=False, transposed=True),
    matmul(4800, 64, 64),
    matmul(19200, 32, 16),
    matmul(300, 128, 128),
    matmul(80, 256, 256),
    conv((60, 80), 64, 64, 1),
    conv((240, 320), 3, 16, 3, 2, nchw=True),
    conv((30, 40), 8, 16, 3),
    conv((30, 40), 16, 16, 3, dilation=5),
    conv((60, 80), 64, 64, 3),
    conv((4, 5), 256, 12, 3),
    conv((60, 80), 64, 64, 3, depthwise=True),
    conv((120, 160), 16, 16, 3, depthwise=True),
    conv((120, 160), 32, 32, 3, 2, depthwise=True),
    conv((15, 20), 128, 128, 3, depthwise=True),
    conv((8, 10), 256, 256, 3, depthwise=True),
    *(recurrence(op, 64, 1, 128) for op in ("LSTM", "GRU", "RNN")),
    recurrence("LSTM", 32, 16, 128),
    recurrence("LSTM", 64, 1, 256),
    recurrence("LSTM", 16, 1, 512),
    attention(12, 16, 16, 32, masked=True),
    *(attention(12, n, n, 32, masked=True) for n in (128, 256, 512)),
    attention(6, 129, 129, 64),
    attention(8, 1, 1000, 64),
    attention(8, 4, 1000, 64),
)


def program_of(kernel_call: KernelCall) -> tuple[Program, Placement]:
    """A program of one call, its tensors one after another."""
    offsets: dict[Tensor, Dim] = {}
    end: Dim = WEIGHTS_BASE
    for tensor in kernel_call.tensors():
        offsets[tensor] = end
        end = align(end + tensor.elements * 4, 64) + 64
    arena = end + kernel_for(kernel_call).scratch(kernel_call) + 64
    program = Program(kernel_call.name, [], [], [kernel_call.output.tensor], [kernel_call])
    return program, Placement(offsets, [end], [arena])


def _entry(kernel_call: MatMul | Conv | Recurrence | Attention, placement: Placement) -> dict[str, Any]:
    """What the script needs of a call; also where its weights lie if reading them may bound it."""
    entry: dict[str, Any] = {"name": kernel_call.name, "operations": kernel_call.operations}
    if isinstance(kernel_call, MatMul) and evaluate(kernel_call.m, {}) <= FEW:
        tensor = kernel_call.b.tensor
        entry["weights"] = [evaluate(dim, {}) for dim in (placement.offsets[tensor], tensor.elements)]
    return entry


def _node(arguments: str, script: str = "") -> list[dict[str, Any]]:
    node = shutil.which("node")
    assert node is not None, "node is not on PATH"
    script = f"({script or SCRIPT.read_text()})({arguments}).then((r) => console.log(JSON.stringify(r)));"
    done = subprocess.run([node, "-"], input=script, capture_output=True, text=True, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def _chromium(arguments: str, script: str = "") -> list[dict[str, Any]]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*FLAGS])
        rows: list[dict[str, Any]] = browser.new_page().evaluate(
            f"({script or SCRIPT.read_text()})({arguments})"
        )
        browser.close()
    return rows


ENGINES = {"node": _node, "chromium": _chromium}


def main() -> None:
    """Print a table: time, speed, and speed as a share of the peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=sorted(ENGINES), action="append")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each kernel")
    parser.add_argument("--only", default="", help="text that names must contain")
    parser.add_argument("--variant", choices=("relaxed", "simd"), default="relaxed")
    options = parser.parse_args()
    calls = [c for c in CALLS if options.only in c.name]
    programs = [program_of(c) for c in calls]
    sources = {**render_module(programs), "peak": PEAK, "read": READ}
    module = build(sources, [options.variant])[options.variant]
    entries = [_entry(c, placement) for c, (_, placement) in zip(calls, programs, strict=True)]
    arguments = json.dumps([base64.b64encode(module).decode(), entries, options.seconds])[1:-1]
    for engine in options.engine or sorted(ENGINES):
        print(f"{engine}, {len(module)} bytes")
        for row in ENGINES[engine](arguments):
            reading = f", {row['reading']:.3f} ms to read the weights" if "reading" in row else ""
            print(
                f"  {row['name']:38} first {row['first']:7.2f} ms, then {row['time']:7.3f} ms, "
                f"{row['speed']:5.1f} GFLOP/s, {row['speed'] / row['peak']:4.0%} of {row['peak']:.0f}"
                f"{reading}"
            )


if __name__ == "__main__":
    main()
