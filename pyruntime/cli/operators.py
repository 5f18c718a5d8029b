"""What each ONNX operator can do on each target, from operators.json, and how tables show it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from pyruntime.cli import look

# ONNX's names of dtypes as tables head their columns
DTYPES = {
    "bool": "bool",
    **{f"{kind}int{bits}": f"{kind or 'i'}{bits}" for kind in ("", "u") for bits in (2, 4, 8, 16, 32, 64)},
    "float4e2m1": "f4",
    "float8e4m3fn": "f8 e4m3",
    "float8e4m3fnuz": "f8 e4m3 uz",
    "float8e5m2": "f8 e5m2",
    "float8e5m2fnuz": "f8 e5m2 uz",
    "float8e8m0": "f8 e8m0",
    "float16": "f16",
    "bfloat16": "bf16",
    "float": "f32",
    "double": "f64",
    "complex64": "c64",
    "complex128": "c128",
    "string": "string",
}


# what follows a dtype that is not simply taken
WHERE = {"·": " (none)", "w": " (wasm)", "(w)": "○ (wasm)", "h": " (host)", "(h)": "○ (host)", "○": "○"}


def stored() -> dict[str, Any]:
    """What was found with this version: the suite, the opset and the operators by name."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("operators.json").read_text(encoding="utf-8"))
    return found


def matching(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The operators of this name, whatever its case and domain. Raises ValueError naming close ones."""
    wanted = name.lower()
    found = {
        k: v for k, v in data["operators"].items() if wanted in (k.lower(), k.rpartition(".")[2].lower())
    }
    if not found:
        close = difflib.get_close_matches(name, data["operators"], 3)
        raise ValueError(
            f"there is no operator {name!r}" + (f"; is it {' or '.join(close)}?" if close else "")
        )
    return found


def cell(told: dict[str, Any], dtype: str) -> str:
    """How the page tells which targets take a dtype of an operator, and whether a test runs it."""
    if dtype not in told["dtypes"]:
        return ""
    targets = told["dtypes"][dtype]
    if not targets:
        return "·"
    marks = ("○", "●") if "webgpu" in targets else ("(h)", "h") if "host" in targets else ("(w)", "w")
    needed = {"webgpu" if t == "host" else t for t in targets}
    return marks[needed <= set(told["run"].get(dtype, ()))]


def passed(counts: Sequence[int]) -> str:
    """Tests passed of all, as "12/13"; empty where there are none."""
    return f"{counts[0]}/{sum(counts)}" if sum(counts) else ""


def show(operators: dict[str, Any], console: Console, detailed: bool) -> None:
    """A line for each operator, and, where asked for, why tests do not pass."""
    table = look.table("operator", "opset", "wasm", "webgpu", "dtypes", right=("opset", "wasm", "webgpu"))
    for name, told in operators.items():
        tests = [passed(told["tests"][target]) for target in ("wasm", "webgpu")]
        table.add_row(Text(name, style=look.NAME), str(told["opset"]), *tests, _dtypes(told))
    console.print(table)
    legend = "○ is compiled, but none of the suite's tests runs it; (host) runs on the CPU, on WebGPU too"
    console.print(legend, style=look.QUIET)
    for name, told in operators.items() if detailed else ():
        for reason, counted in told["reasons"]:
            where = ", ".join(f"{number} on {target}" for target, number in counted.items())
            look.print_section(console, Text.assemble(look.mark("limited"), f" {name} ({where}): {reason}"))


def _dtypes(told: dict[str, Any]) -> Text:
    """The dtypes; those marked that one target or none takes, and those that are compiled and not tested."""
    line = Text()
    for dtype, short in DTYPES.items():
        mark = cell(told, dtype)
        if mark:
            where = WHERE.get(mark, "")
            line.append(f"{short}{where}  ", "" if mark == "●" else look.QUIET)
    return line
