"""The page of `pyruntime serve-demo`: a pack in the user's browser, fed as `pyruntime run` feeds it.

The page runs the pack by the npm package that the wheel carries. Inputs are made here, so that a seed gives
the numbers that it gives in `pyruntime run`; sizes that do not fit are told with the same errors.
"""

from __future__ import annotations

import contextlib
import json
import math
import queue
import struct
import sys
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from pyruntime.cli import look
from pyruntime.cli.execution import made_pack
from pyruntime.cli.failures import message, stable_code
from pyruntime.cli.feeds import Array, bind_symbols, parse_sizes, read_inputs, with_random
from pyruntime.cli.pages import filled
from pyruntime.cli.sizes import value_of
from pyruntime.errors import InputError, PyRuntimeError
from pyruntime.ir.dtypes import DType
from pyruntime.pack.reader import Pack
from pyruntime.runtime.bind import bind, spec_of
from pyruntime.runtime.serving import POLICY, Content, Site, Stream, running
from pyruntime.runtime.state import KeptState
from pyruntime.runtime.web.carried import carried_runtime

PAGE = Path(__file__).parent / "page"
PACK = "model.pack/"  # where the page finds the pack, beside itself
MOST = 1 << 27  # elements of an input that is made up: a slip in a size must not take all memory
_PULSE = 1.0  # seconds between looks at the keyboard where waiting cannot be interrupted


@dataclass(frozen=True)
class Request:
    """What the command line asks for; fields as its options."""

    path: Path
    inputs: tuple[str, ...] = ()
    seed: int = 0
    symbols: tuple[str, ...] = ()
    port: int = 0


@dataclass(frozen=True)
class Served:
    """A page that is being served."""

    path: Path
    site: Site
    devices: tuple[str, ...]
    converted: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON."""
        return {
            "pack": str(self.path),
            "url": self.site.url,
            "port": self.site.server_port,
            "devices": list(self.devices),
            "seconds": {"convert": self.converted},
        }


class Feeder:
    """Makes inputs of the first program of a pack.

    Args:
        pack: stays open.
        arguments: as `--input` has them.

    Raises:
        InputError: an argument, a file, or a size that does not fit.
        OSError: a file cannot be read.
    """

    def __init__(self, pack: Pack, arguments: Sequence[str], asked: Mapping[str, int]) -> None:
        manifest = pack.manifest
        self._entry = manifest.entries[0]
        self._kept = KeptState(manifest.state, manifest.model.sha256)
        self.specs = tuple(map(spec_of, self._entry.inputs))
        self.given = read_inputs(arguments, self.specs)
        self._sizes = self._kept.symbols(self._entry)
        told = bind_symbols(self.specs, self.given, asked, self._sizes)
        read = {str(dim) for spec in self.specs if spec.name in self.given for dim in spec.shape}
        self.symbols = {name: size for name, size in told.items() if name not in {*read, *self._sizes}}
        """Sizes that are free, as they are at first."""

    def __call__(self, asked: Mapping[str, int], seed: int) -> dict[str, Array]:
        """Arrays by name, for those that are to be fed. Raises InputError."""
        sizes = bind_symbols(self.specs, self.given, asked, self._sizes)
        for spec in self.specs:
            made = spec.name not in self.given and spec.default is None
            if made and (count := math.prod(value_of(dim, sizes) for dim in spec.shape)) > MOST:
                raise InputError(f"{spec.name!r} would have {count} elements; the page takes {MOST} at most")
        return with_random(self.specs, self.given, sizes, seed)

    def packed(self, asked: Any) -> bytes:
        """What the page's feeds.js reads: an error or arrays, for `{"symbols": {"n": 2}, "seed": 0}`."""
        try:
            feeds = self(_whole(asked["symbols"]), _whole({"seed": asked["seed"]})["seed"])
            bound = bind(self._entry, feeds, self._kept.sizes)
        except PyRuntimeError as error:
            return _framed({"error": {"code": stable_code(error), "message": message(error)}})
        tensors: list[dict[str, Any]] = []
        parts: list[memoryview] = []
        for spec, tensor in zip(self.specs, bound.inputs, strict=True):
            if spec.name not in feeds:
                continue
            told: dict[str, Any] = {"name": spec.name, "dtype": spec.dtype, "given": spec.name in self.given}
            if spec.dtype == DType.STRING.value:
                array = feeds[spec.name]
                tensors.append({**told, "shape": array.shape, "data": array.ravel().tolist()})
                continue
            tensors.append({**told, "shape": tensor.shape, "type": tensor.dtype, "bytes": tensor.data.nbytes})
            parts.append(tensor.data)
        return _framed({"tensors": tensors}, parts)


def _whole(told: Mapping[str, Any]) -> dict[str, int]:
    """What a page's fields hold. Raises InputError for what is no size and no seed."""
    strange = next((name for name, size in told.items() if type(size) is not int or size < 0), None)
    if strange is not None:
        raise InputError(f"{strange!r} must be a whole number, 0 or more")
    return dict(told)


def _framed(header: Mapping[str, Any], parts: Sequence[memoryview] = ()) -> bytes:
    """A header's length, the header as JSON, and the parts; each begins at a multiple of 8 bytes."""
    text = json.dumps(header).encode()
    pieces: list[bytes | memoryview] = [struct.pack("<Q", len(text)), text, *parts]
    return b"".join(part for piece in pieces for part in (piece, bytes(-memoryview(piece).nbytes % 8)))


@contextmanager
def served(request: Request) -> Iterator[Served]:
    """Convert if need be, and serve the page while the context lasts.

    Raises:
        InputError: the port is taken, or an input or a size does not fit.
        DeviceError: this wheel lacks the JavaScript runtime.
        PyRuntimeError: as `pyruntime.convert` and opening a pack raise it.
        OSError: a file cannot be read.
    """
    runtime = carried_runtime()
    asked = parse_sizes(request.symbols)
    with ExitStack() as stack:
        place, converted = stack.enter_context(made_pack(request.path, "auto"))
        pack = stack.enter_context(Pack(place))
        feeder = Feeder(pack, request.inputs, asked)
        job = {"name": request.path.stem, "seed": request.seed, "symbols": feeder.symbols}
        page = filled((PAGE / "index.html").read_text(encoding="utf-8"), "pyruntime")
        content: dict[str, Content] = {
            "": page.encode(),
            "job.json": json.dumps(job).encode(),
            **{f"js/{name}": file.read_bytes() for name, file in runtime.items()},
            **_files(pack),
        }
        try:
            site = Site(PAGE, content, {"feeds": feeder.packed}, POLICY, request.port)
        except OSError as error:
            raise InputError(
                f"--port {request.port}: {error.strerror}; without --port any free one is taken"
            ) from None
        targets = pack.manifest.targets
        devices = tuple(n for n in ("webgpu", "wasm") if getattr(targets, n) is not None)
        yield Served(request.path, stack.enter_context(running(site)), devices, converted)


def _files(pack: Pack) -> dict[str, Content]:
    """A pack's files, read when they are asked for; those that are missing are missing on the page, too."""
    found: dict[str, Content] = {}
    for name in pack.names:
        with contextlib.suppress(PyRuntimeError):
            found[PACK + name] = Stream(pack.size(name), partial(pack.open, name))
    return found


def wait(served: Served, opened: bool) -> None:
    """Open the page if asked to, and serve it until Ctrl-C. Raises the error of a bug in making inputs."""
    sys.stdout.flush()  # a program that reads the address waits for it
    if opened and not webbrowser.open(served.site.url):
        look.stderr().print("no default browser was found: open the address in your own", style=look.QUIET)
    while True:
        try:
            name, content = served.site.posted.get(timeout=_PULSE)
        except queue.Empty:
            continue
        if name == "failed":
            raise content


def show(served: Served, console: Console) -> None:
    """Print where the page is, and how to end."""
    devices = " and ".join({"webgpu": "WebGPU", "wasm": "Wasm"}[name] for name in served.devices)
    converted = "" if served.converted is None else f", converted in {look.seconds_text(served.converted)}"
    console.print(
        Text.assemble(look.mark("ok"), " ", (str(served.path), look.STRONG), f"  {devices}{converted}")
    )
    # whole, wherever the terminal ends: it is to be clicked or copied
    console.print(Text(f"\n  {served.site.url}\n", style=look.NAME), soft_wrap=True)
    console.print("  For this machine alone. Ctrl-C ends it.", style=look.QUIET)
