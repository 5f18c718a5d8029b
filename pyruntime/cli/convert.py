"""`pyruntime convert`: a model file to a pack, and what came of it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from pyruntime.cli.options import Debug, Elements, FixedSizes, Json, Values, source


class Target(StrEnum):
    """Where a pack can run; an enumeration because typer takes no lists of literals."""

    WEBGPU = "webgpu"
    WASM = "wasm"


def convert(
    model: Annotated[
        Path,
        source("MODEL", "The trained model: an .onnx file, or a folder with config.json and safetensors."),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT",
            help="The pack to write: a folder, or one archive if this ends with .zip."
            " By default the model's name with .pack, in the present folder.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        list[Target] | None,
        typer.Option("--target", "-t", help="Where the pack is to run; repeat for several. [default: both]"),
    ] = None,
    weights: Annotated[
        Literal["f32", "f16"],
        typer.Option(help="How weights are stored; f16 halves the download and rounds each weight."),
    ] = "f32",
    quantize: Annotated[
        Literal["int8", "int4", "int8-weights"] | None,
        typer.Option(
            help="int8: large products in integers, a quarter of the download, and faster on Wasm. int4, "
            "int8-weights: weights alone as integers in blocks of 32, small in memory, too.",
            show_default=False,
        ),
    ] = None,
    host_steps: Annotated[
        bool,
        typer.Option(
            "--host-steps/--no-host-steps",
            help="On WebGPU, leave what the GPU cannot compute to the CPU, and name it; or refuse it.",
        ),
    ] = True,
    tunable: Annotated[
        bool,
        typer.Option(
            "--tunable",
            help="Keep in the pack what `pyruntime tune` may try on a GPU; pages do not load it.",
        ),
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="The model's name in the pack.", show_default=False)
    ] = None,
    compiler: Annotated[
        str | None,
        typer.Option(
            help="The C compiler for Wasm: emcc, clang, zig, or the path of one.", show_default=False
        ),
    ] = None,
    asset: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file that travels in the pack under its own name; repeat for several.", readable=False
        ),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INPUT=OUTPUT",
            help="Keep INPUT from run to run: OUTPUT is its next value; repeat for several."
            " auto goes by their names.",
        ),
    ] = None,
    capacity: Annotated[
        list[str] | None,
        typer.Option(metavar="SYMBOL=SIZE", help="The largest size of a symbol along which states grow."),
    ] = None,
    symbol: FixedSizes = None,
    elements: Elements = None,
    value: Values = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a pack that is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    json: Json = False,
    _debug: Debug = False,
) -> None:
    """Compile a trained model to a pack that runs in web pages, in Python and on any Wasm engine."""
    import pyruntime
    from pyruntime.cli import look
    from pyruntime.cli.feeds import parse_json, parse_pairs, parse_sizes
    from pyruntime.cli.progress import ConversionProgress

    path = place_for(model, out, force=force)
    with ConversionProgress(look.stderr(), quiet=quiet) as progress:
        report = pyruntime.convert(
            model,
            path,
            targets=tuple(t.value for t in dict.fromkeys(target or Target)),
            weights=weights,
            name=name,
            compiler=compiler,
            assets={file.name: file for file in asset or ()},
            progress=progress,
            state="auto" if state == ["auto"] else parse_pairs(state or ()),
            capacity=parse_sizes(capacity or (), "capacity"),
            symbols=parse_sizes(symbol or ()),
            elements=parse_json(elements or (), "elements"),
            values=parse_json(value or (), "value"),
            quantize=quantize,
            host_steps=host_steps,
            tunable=tunable,
        )
    if json:
        look.print_json(report.to_dict())
    elif not quiet:
        from pyruntime.cli.conversion import show

        show(report, look.stdout())


def place_for(model: Path, out: Path | None, *, force: bool) -> Path:
    """Where a model's pack goes. Raises typer.BadParameter where something is that may not be replaced."""
    from pyruntime.pack.writer import may_replace

    path = out or Path(f"{model.resolve().name if model.is_dir() else model.stem}.pack")
    if not force and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        if may_replace(path):
            raise typer.BadParameter(f"{path} is there already; --force replaces it", param_hint="OUT")
        raise typer.BadParameter(f"{path} is there already, and is not a pack", param_hint="OUT")
    return path
