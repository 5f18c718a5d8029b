"""Times models on the GPU at hand through wgpu-py: `python -m benchmarks.gpu [--small] [--seconds S]`.

Prints the card's name; for each model its steps (dispatches), the best whole run, the device's own time by
timestamp queries, what else of a run each step costs, and how near the device comes to the limit of a loop
of multiply-adds and of copies, measured in the same rounds. Nothing is downloaded: weights are random.
`--small` is for software devices.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

import pyruntime
from benchmarks.models.images import mobilenetv2, resnet50
from benchmarks.models.minilm import encoder
from benchmarks.models.sequences import Decoder, llama, matmul
from benchmarks.models.source import Source
from pyruntime.cli.look import seconds_text
from pyruntime.runtime.bench.native import measure
from pyruntime.runtime.bench.profile import Budget, Profile
from pyruntime.runtime.gpu_device import adapter
from tests.passes.bert import Size, feeds

MINILM = Size()
TINY = Size(layers=2, width=24, heads=3, inner=40, vocabulary=50, positions=16)

FULL: Mapping[str, Callable[[], Source]] = {
    "matmul-4096": lambda: matmul(4096, 4096),
    "minilm-128": lambda: encoder(MINILM, None, feeds(MINILM, 1, 128)),
    "resnet50": resnet50,
    "mobilenetv2": mobilenetv2,
    "llama-15m, a step": llama,
}
SMALL: Mapping[str, Callable[[], Source]] = {
    "matmul-64": lambda: matmul(64, 64),
    "minilm, tiny": lambda: encoder(TINY, None, feeds(TINY, 1, 9)),
    "resnet50, tiny": lambda: resnet50(40, (1, 1)),
    "mobilenetv2, tiny": lambda: mobilenetv2(32, 2),
    "llama, tiny, a step": lambda: llama(
        Decoder(layers=2, width=24, heads=3, inner=20, vocabulary=50, past=7)
    ),
}


def profile(source: Source, budget: Budget) -> Profile:
    """A model converted for WebGPU alone, and run here again and again.

    Raises:
        DeviceError: there is no adapter.
    """
    with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
        model, pack = Path(folder) / "model.onnx", Path(folder) / "model.pack"
        model.write_bytes(source.proto.SerializeToString())
        pyruntime.convert(model, pack, targets=("webgpu",))
        with pyruntime.load(pack, device="webgpu") as session:
            return measure(session, source.feeds, budget, lambda _: None)


def row(name: str, told: Profile) -> tuple[str, ...]:
    """The cells of a model; those that need timestamps are empty without them."""
    dispatches = sum(s.calls for s in told.steps if s.template != "control")
    device = sum(s.least for s in told.steps)
    if not dispatches:
        return name, "", seconds_text(told.least), "", "", "", ""
    speed = sum((s.operations or 0) for s in told.steps) / device if device else 0
    floor = sum(s.floor or 0 for s in told.steps)
    return (
        name,
        str(dispatches),
        seconds_text(told.least),
        seconds_text(device),
        seconds_text(max(told.least - device, 0) / dispatches),
        f"{speed / 1e9:,.1f}",
        f"{floor / device:.0%}" if device else "",
    )


def main() -> None:
    """Measure all of them, and tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="tiny models, to see that all of it works")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to measure each model")
    parser.add_argument("--rounds", type=int, help="so many rounds instead")
    asked = parser.parse_args()
    found, console = adapter(), Console()
    software = " (a software device: its times say nothing of GPUs)" if found.software else ""
    console.print(f"{found.name}{software}")
    table = Table("model", "steps", "run", "on device", "else a step", "GFLOP/s", "of limit")
    budget, limits = Budget(asked.seconds, asked.rounds), list[str]()
    for name, build in (SMALL if asked.small else FULL).items():
        told = profile(build(), budget)
        table.add_row(*row(name, told))
        if told.limits is not None:
            limits.append(f"{told.limits.multiply_adds / 1e9:,.0f}")
        for note in told.notes:
            console.print(f"{name}: {note}")
    console.print(table)
    if limits:
        console.print(f"f32 multiply-adds of a loop beside each model: {', '.join(limits)} GFLOP/s")


if __name__ == "__main__":
    main()
