"""Speed of integer Wasm kernels beside the loops that bound them, and beside float32 of the same shapes.

python -m benchmarks.kernels_integer [--engine node|chromium] [--seconds 0.3] [--only TEXT]

The limits, measured in the same run: multiply-adds of float32, and for each way of multiplying short integers
a loop of nothing else.
"""

from __future__ import annotations

import argparse
import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyruntime_wasm.module import render_module
from pyruntime_wasm.toolchain import build

from benchmarks import kernels
from benchmarks.kernels import PEAK, _dense, conv, matmul, program_of
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Conv, KernelCall, Map, MatMul, Reduction, Row
from pyruntime.ir.scalar import Acc, Const, Load, Scalar, call, cast
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.octets import LANE

F32, I32, I8 = DType.F32, DType.I32, DType.I8
LOOPS = """
#define CHAINS(NAME, STEP)                                                                            \\
  NOINLINE v128_t NAME##_chains(int32_t n, v128_t x, const v128_t *p) {                               \\
    v128_t a[8], one = wasm_i16x8_splat(1);                                                           \\
    (void)one;                                                                                        \\
    for (int i = 0; i < 8; i++) a[i] = wasm_i32x4_splat(i);                                           \\
    for (; n > 0; n--)                                                                                \\
      for (int i = 0; i < 8; i++) {                                                                   \\
        v128_t y = x;                                                                                 \\
        OPAQUE(y);                                                                                  \\
        a[i] = STEP;                                                                                  \\
      }                                                                                               \\
    for (int i = 1; i < 8; i++) a[0] = wasm_i32x4_add(a[0], a[i]);                                    \\
    return a[0];                                                                                      \\
  }                                                                                                   \\
  __attribute__((export_name(#NAME))) void NAME(int32_t n) {                                          \\
    static v128_t kept[8];                                                                            \\
    for (int i = 0; i < 100; i++) kept[0] = NAME##_chains(n / 100, kept[0], kept);                    \\
  }
CHAINS(words, wasm_i32x4_add(a[i], wasm_i32x4_dot_i16x8(y, wasm_v128_load(p + i))))
#ifdef __wasm_relaxed_simd__
CHAINS(fused, wasm_i32x4_relaxed_dot_i8x16_i7x16_add(y, wasm_v128_load(p + i), a[i]))
#define PAIR(I) wasm_i16x8_relaxed_dot_i8x16_i7x16(y, wasm_v128_load(p + (I)))
CHAINS(paired, wasm_i32x4_add(a[i], wasm_i32x4_dot_i16x8(PAIR(i), one)))
CHAINS(octets, wasm_i32x4_add(a[i], wasm_i32x4_dot_i16x8(wasm_i16x8_add(PAIR(i), PAIR(i ^ 1)), one)))
#endif
"""
# operations of a loop's iteration
LIMITS = {"multiply_adds": 12 * 8, "words": 8 * 16, "paired": 8 * 32, "octets": 8 * 64, "fused": 8 * 32}


def _of(view: View, dtype: DType, elements: int | None = None) -> View:
    tensor = view.tensor
    return replace(view, tensor=Tensor(tensor.name, dtype, elements or tensor.elements))


def _dequantised() -> tuple[Scalar, DType]:
    """max(float(acc) * scale[column] + bias[column], 0), where the float kernel has bias and relu."""
    scaled = call("mul", cast(Acc(I32), F32), Load(F32, 1))
    return call("max", call("add", scaled, Load(F32, 0)), Const(F32, 0.0)), F32


def _requantised() -> tuple[Scalar, DType]:
    """The same as int8."""
    return cast(call("round", _dequantised()[0]), I8), I8


def integer(
    of: MatMul | Conv, *, bits: int = 7, octets: bool = True, requantised: bool = False
) -> MatMul | Conv:
    """The product of int8 of a float kernel's shape, with weights of so many bits; see `ops.octets`."""
    body, dtype = _requantised() if requantised else _dequantised()
    (bias,) = of.inputs
    weight = of.b if isinstance(of, MatMul) else of.weight
    depth = of.k if isinstance(of, MatMul) else of.in_channels // of.groups
    assert isinstance(depth, int)
    assert isinstance(weight.tensor.elements, int)
    assert isinstance(bias.tensor.elements, int)
    quads = weight.tensor.elements // depth * (-(-depth // 4) * 4) + 4 * (bias.tensor.elements + 8)
    weight = _of(weight, I8, quads if of.panels else None)
    weight.tensor.kind, weight.tensor.interval = "weight", (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if octets and bits == 7:
        weight.tensor.octets = -LANE, LANE
    kind = f", {bits} bits" if bits != 7 else "" if octets else ", any of 7 bits"
    shared: dict[str, Any] = {
        "name": f"{of.name} int8{kind}{' to int8' if requantised else ''}",
        "inputs": (bias, replace(bias, tensor=Tensor("scale", F32, bias.tensor.elements))),
        "output": _of(of.output, dtype),
        "body": body,
    }
    if isinstance(of, MatMul):
        return replace(of, a=_of(of.a, I8), b=weight, **shared)
    return replace(of, x=_of(of.x, I8), weight=weight, **shared)


FLOATS: tuple[MatMul | Conv, ...] = (
    *(matmul(128, n, k) for n, k in ((384, 384), (1536, 384), (384, 1536))),
    matmul(16, 384, 384),
    matmul(1, 384, 1536),
    matmul(512, 512, 512),
    matmul(784, 96, 24),
    matmul(3136, 24, 144),
    conv((112, 112), 3, 32, 3, 2),
    conv((56, 56), 64, 64, 3),
    conv((14, 14), 256, 256, 3),
    conv((56, 56), 144, 144, 3, depthwise=True),
    conv((56, 56), 144, 144, 3, 2, depthwise=True),
    conv((14, 14), 576, 576, 3, depthwise=True),
    conv((14, 14), 240, 240, 5, depthwise=True),
)


def _quantiser(rows: int, width: int, dynamic: bool, dtype: DType) -> Map | Row:
    """x times a scale, given or found for each row, as 8-bit integers, or as floats for comparison."""
    x, y = _dense("x", (rows, width)), _of(_dense("y", (rows, width)), dtype)
    name = f"quantise {rows}x{width}{' by rows' if dynamic else ''} to {dtype!r}"
    scale = call("div", Const(F32, 127.0), Acc(F32)) if dynamic else Const(F32, 0.1)
    rounded = call("round", call("mul", Load(F32, 0), scale))
    body = cast(rounded, dtype)
    if not dynamic:
        return Map(name=name, inputs=(x,), output=y, sizes=(rows, width), body=body)
    most = Reduction("max", call("abs", Load(F32, 0)))
    return Row(
        name=name,
        inputs=(x,),
        output=y,
        sizes=(rows, width),
        reduced=1,
        reductions=(most,),
        body=body,
        elementwise=True,
    )


def main() -> None:
    """Print tables: the limits, then each shape's times and speeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=sorted(kernels.ENGINES), action="append")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each kernel")
    parser.add_argument("--only", default="", help="text that names must contain")
    parser.add_argument("--variant", choices=("relaxed", "simd"), default="relaxed")
    options = parser.parse_args()
    chosen = [c for c in FLOATS if options.only in c.name]
    forms: tuple[dict[str, Any], ...] = ({"octets": False}, {"bits": 8}, {"requantised": True})
    groups: list[list[KernelCall]] = [[c, integer(c), *(integer(c, **f) for f in forms)] for c in chosen]
    for dynamic in (False, True):
        group: list[KernelCall] = [_quantiser(128, 384, dynamic, dtype) for dtype in (F32, I8, DType.U8)]
        groups += [group] if options.only in group[0].name else []
    calls = [c for group in groups for c in group]
    sources = render_module([program_of(c) for c in calls])
    module = build({**sources, "peak": PEAK + LOOPS}, [options.variant])[options.variant]
    limits = [name for name in LIMITS if options.variant == "relaxed" or name in ("multiply_adds", "words")]
    entries = [{"name": c.name} for c in calls]
    script = Path(__file__).with_suffix(".js").read_text().rstrip().removesuffix(";")
    arguments = json.dumps([base64.b64encode(module).decode(), entries, limits, options.seconds])[1:-1]
    for engine in options.engine or sorted(kernels.ENGINES):
        rows = kernels.ENGINES[engine](arguments, script)
        times = {row["name"]: row["time"] for row in rows}
        speeds = {name: LIMITS[name] * 1e5 / times[name] / 1e6 for name in limits}
        print(engine, ", ".join(f"{name} {speed:.1f}" for name, speed in speeds.items()))
        most = max(speed for name, speed in speeds.items() if name != "multiply_adds")
        for group in groups:
            for c in group:
                time = times[c.name]
                gain = times[group[0].name] / time
                text = f"  {c.name:52} {time:8.4f} ms x{gain:.2f}"
                if isinstance(c, MatMul | Conv):
                    speed, peak = (
                        c.operations / time / 1e6,
                        speeds["multiply_adds"] if c is group[0] else most,
                    )
                    text += f" {speed:6.1f} {speed / peak:4.0%}"
                print(text)


if __name__ == "__main__":
    main()
