"""Loads and runs a pack for `pyruntime run`, measures it, and shows its outputs."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

import pyruntime
from pyruntime.cli import look
from pyruntime.cli.feeds import (
    Array,
    bind_symbols,
    flat,
    parse_sizes,
    read_inputs,
    save_outputs,
    with_random,
)
from pyruntime.cli.progress import ConversionProgress, Waiting
from pyruntime.errors import InputError
from pyruntime.pack.reader import MANIFEST
from pyruntime.runtime.bench.profile import Feeder
from pyruntime.runtime.session import Device
from pyruntime.runtime.tensors import TensorSpec

FIRST_VALUES = 8
VALUES = 28  # characters of values shown


@dataclass(frozen=True)
class Request:
    """What the command line asks for; fields as its options."""

    path: Path
    inputs: tuple[str, ...] = ()
    random: bool = False
    seed: int = 0
    symbols: tuple[str, ...] = ()
    device: Device = "auto"
    threads: int | None = None
    output: Path | None = None
    repeat: int = 1


@dataclass(frozen=True)
class Summary:
    """One input or output: its extremes and mean over finite elements (None where there are none)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: float | None
    mean: float | None
    high: float | None
    nan: int
    infinite: int
    first: list[Any]

    @classmethod
    def of(cls, name: str, array: Array) -> Summary:
        """The summary of an array of any dtype and shape; strings have no numbers."""
        if array.dtype.kind in "OU":
            first = array.ravel()[:FIRST_VALUES].tolist()
            return cls(name, "string", array.shape, None, None, None, 0, 0, first)
        numbers = array.astype(np.float64, copy=False)
        finite = numbers[np.isfinite(numbers)]
        low, mean, high = (
            (float(finite.min()), float(finite.mean()), float(finite.max())) if finite.size else (None,) * 3
        )
        return cls(
            name=name,
            dtype=array.dtype.name,
            shape=array.shape,
            low=low,
            mean=mean,
            high=high,
            nan=int(np.isnan(numbers).sum()),
            infinite=int(np.isinf(numbers).sum()),
            first=array.ravel()[:FIRST_VALUES].tolist(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON; what is not finite becomes a string."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "min": self.low,
            "mean": self.mean,
            "max": self.high,
            "nan": self.nan,
            "infinite": self.infinite,
            "first": [v if not isinstance(v, float) or math.isfinite(v) else str(v) for v in self.first],
        }


@dataclass(frozen=True)
class Result:
    """What a run gave, and how long everything took, in seconds."""

    path: Path
    device: str
    threads: int
    symbols: Mapping[str, int]
    inputs: tuple[Summary, ...]
    outputs: tuple[Summary, ...]
    converted: float | None
    loaded: float
    runs: tuple[float, ...]
    saved: Path | None

    @property
    def median(self) -> float | None:
        """The median run after the first, which warms up; None after one run."""
        return statistics.median(self.runs[1:]) if self.runs[1:] else None

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON."""
        return {
            "pack": str(self.path),
            "device": self.device,
            "threads": self.threads,
            "symbols": dict(self.symbols),
            "inputs": [s.to_dict() for s in self.inputs],
            "outputs": [s.to_dict() for s in self.outputs],
            "seconds": {
                "convert": self.converted,
                "load": self.loaded,
                "first": self.runs[0],
                "median": self.median,
                "runs": list(self.runs),
            },
            "output": None if self.saved is None else str(self.saved),
        }


def is_pack(path: Path) -> bool:
    """Whether this is meant as a pack; anything else is a model that has to be converted."""
    return path.suffix in (".pack", ".zip") or path.name == MANIFEST or (path / MANIFEST).exists()


def execute(request: Request) -> Result:
    """Convert if need be, load, feed and run.

    Raises:
        InputError: inputs are missing or do not fit.
        PyRuntimeError: as `pyruntime.convert`, `pyruntime.load` and `Session.run` raise it.
        OSError: a file cannot be read or written.
    """
    with ExitStack() as stack:
        asked = parse_sizes(request.symbols)
        pack, converted = stack.enter_context(made_pack(request.path, request.device))
        waiting = stack.enter_context(Waiting(look.stderr(), "loading"))
        started = time.perf_counter()
        session = stack.enter_context(pyruntime.load(pack, device=request.device, threads=request.threads))
        loaded = time.perf_counter() - started
        feeds, sizes = feeds_for(
            session.inputs,
            session.state.symbols,
            request.inputs,
            asked,
            request.seed if request.random else None,
        )
        runs = []
        for number in range(request.repeat):
            waiting(f"run {number + 1} of {request.repeat}" if request.repeat > 1 else "running")
            if session.state.names:
                session.state.reset()
            started = time.perf_counter()
            outputs = flat(session.run(feeds))
            runs.append(time.perf_counter() - started)
        if request.output is not None:
            save_outputs(request.output, outputs)
        return Result(
            path=request.path,
            device=session.device,
            threads=session.report.threads,
            symbols=sizes,
            inputs=tuple(Summary.of(name, array) for name, array in feeds.items()),
            outputs=tuple(Summary.of(name, array) for name, array in outputs.items()),
            converted=converted,
            loaded=loaded,
            runs=tuple(runs),
            saved=request.output,
        )


@contextmanager
def made_pack(path: Path, device: Device) -> Iterator[tuple[Path, float | None]]:
    """The pack at a path, or one of the model there, and the seconds that making it took; None for a pack.

    One that is made is for a device, and there while the context lasts.
    """
    if is_pack(path):
        yield path, None
        return
    targets = ("webgpu", "wasm") if device == "auto" else (device,)
    with tempfile.TemporaryDirectory(prefix="pyruntime-") as folder:
        pack = Path(folder) / f"{path.stem}.pack"
        started = time.perf_counter()
        with ConversionProgress(look.stderr()) as progress:
            pyruntime.convert(path, pack, targets=targets, progress=progress)
        yield pack, time.perf_counter() - started


def feeds_for(
    specs: Sequence[TensorSpec],
    kept: Mapping[str, int],
    arguments: Sequence[str],
    asked: Mapping[str, int],
    seed: int | None,
) -> tuple[dict[str, Array], dict[str, int]]:
    """Inputs in the model's order, and the symbols' sizes; those that need not be fed are as they were given.

    `kept` are the sizes that states have. With a seed, inputs that `arguments` do not name are random. Raises
    InputError where one is missing.
    """
    feeds = read_inputs(arguments, specs)
    missing = [s for s in specs if s.name not in feeds and s.default is None]
    if missing and seed is None:
        raise InputError(
            f"no array for {', '.join(map(_described, missing))}; give --input {missing[0].name}=FILE.npy,"
            " or --random to make arrays up"
        )
    sizes = bind_symbols(specs, feeds, asked, kept)
    return with_random(specs, feeds, sizes, seed or 0), sizes


def feeder_for(arguments: Sequence[str], asked: Mapping[str, int], seed: int) -> Feeder:
    """Makes inputs by `feeds_for`; sizes that states have are not asked for a second time."""

    def feeder(specs: Sequence[TensorSpec], kept: Mapping[str, int]) -> Mapping[str, Any]:
        others = {name: size for name, size in asked.items() if name not in kept}
        return feeds_for(specs, kept, arguments, others, seed)[0]

    return feeder


def _described(spec: TensorSpec) -> str:
    return f"{spec.name!r} ({spec.dtype}, {look.shape_text(spec.shape)})"


def show(result: Result, console: Console) -> None:
    """Print the outputs as a table, then what the run took."""
    numbers = ("min", "mean", "max")
    table = look.table("output", "dtype", "shape", *numbers, "first values", right=numbers)
    for tensor in result.outputs:
        table.add_row(
            Text(tensor.name, style=look.NAME),
            tensor.dtype,
            look.shape_text(tensor.shape),
            *(_number(v) for v in (tensor.low, tensor.mean, tensor.high)),
            Text(_first(tensor), style=look.QUIET),
        )
    threads = f", {result.threads} threads" if result.threads > 1 else ""
    where = f"  {result.device}{threads}{look.sizes_text(result.symbols)}"
    console.print(Text.assemble(look.mark("ok"), " ", (str(result.path), look.STRONG), where))
    look.print_section(console, table)
    odd = [_odd(tensor) for tensor in result.outputs if tensor.nan or tensor.infinite]
    saved = [Text(f"saved to {result.saved}")] if result.saved is not None else []
    look.print_section(console, *odd, _times(result), *saved)


def _odd(tensor: Summary) -> Text:
    """A warning about elements that are no finite numbers."""
    counts = ((tensor.nan, "NaN"), (tensor.infinite, "infinite"))
    told = " and ".join(f"{count} {what}" for count, what in counts if count)
    return Text.assemble(
        look.mark("limited"), f" {tensor.name}: {told} of {math.prod(tensor.shape)} elements"
    )


def _times(result: Result) -> Text:
    times = [
        ("convert", result.converted),
        ("load", result.loaded),
        ("first run", result.runs[0]),
        (f"median of {len(result.runs) - 1} more", result.median),
    ]
    shown = (f"{what} {look.seconds_text(seconds)}" for what, seconds in times if seconds is not None)
    return Text(" · ".join(shown))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:.4g}" if isinstance(value, float) else str(value).lower()


def _first(tensor: Summary) -> str:
    """As many of the first values as fit."""
    texts = list(map(_value, tensor.first))
    shown = list(itertools.takewhile(lambda i: len(", ".join(texts[: i + 1])) <= VALUES, range(len(texts))))
    more = " …" if math.prod(tensor.shape) > len(shown) else ""
    return ", ".join(texts[: len(shown)]) + more
