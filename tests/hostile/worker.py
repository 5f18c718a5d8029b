"""A process that reads what it is given, with a limit on memory: its death is one input's alone."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
import traceback
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal, NamedTuple

from tests.hostile.lines import Line, Traced

SECONDS = 10.0
HEADROOM = 512 << 20  # what converting takes beside a multiple of the file
TIMES = 4  # of the file
PATIENCE = 20  # times the processor time that is allowed
ROOT = Path(__file__).resolve().parents[2]
PARSERS = (
    *(ROOT / "converter" / "pyruntime_converter" / "frontends" / "onnx").rglob("*.py"),
    *(ROOT / "pyruntime" / "pack").glob("*.py"),
)  # modules that see a file before anybody has checked it
Work = Literal["lower", "convert", "wasm", "webgpu"]  # what is done with a model, or the device of a pack


class Task(NamedTuple):
    """Files, by name, and what to do with them; an archive of a pack is one file called "".

    Attributes:
        own: whether they have code or sizes of their own, which may waste time and memory: see SECURITY.md.
    """

    work: Work
    files: Mapping[str, bytes]
    own: bool = False

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(map(len, self.files.values()))

    def wasteful(self, reason: str) -> Outcome:
        """What it is that this took too much."""
        return Outcome("waste" if self.own else "fault", reason)


class Outcome(NamedTuple):
    """What became of an input.

    Attributes:
        kind: "converted", "ran", the code of a typed error, "waste" that is granted, or "fault".
        reason: of the last two.
        seconds: of processor time.
        memory: bytes, at most, beyond what the process had before.
        reached: lines of the parsers that no input before had reached.
    """

    kind: str
    reason: str = ""
    seconds: float = 0.0
    memory: int = 0
    reached: tuple[Line, ...] = ()


def _model(inside: Path, work: Work) -> str:
    from pyruntime_converter.frontends.onnx import read
    from pyruntime_converter.lowering.lower import lower
    from pyruntime_converter.passes import optimise
    from pyruntime_shaders.emit import render_programs

    import pyruntime

    if work == "convert":
        pyruntime.convert(inside / "model.onnx", inside / "pack")
    else:
        graph = read(inside / "model.onnx", "model")
        optimise(graph)
        render_programs([lower(graph)])
    return "converted"


def _pack(inside: Path, work: Literal["wasm", "webgpu"]) -> str:
    import pyruntime
    from tests.hostile.packs import zeros

    archive = inside / "archive"
    with pyruntime.load(archive if archive.exists() else inside, device=work) as session:
        session.run(zeros(session))
        if session.state.names:
            session.state.load(session.state.save())
            session.run(zeros(session))
            session.state.reset()
    return "ran"


def _done(task: Task) -> Outcome:
    from pyruntime.errors import PackError, PyRuntimeError

    with tempfile.TemporaryDirectory(prefix="hostile-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inside = Path(folder) / "in"
        inside.mkdir()
        for name, data in task.files.items():
            (inside / (name or "archive")).write_bytes(data)
        given = {f.name for f in inside.iterdir()}
        converts = task.work in ("lower", "convert")
        try:
            if task.work == "wasm" or task.work == "webgpu":
                found = Outcome(_pack(inside, task.work))
            else:
                found = Outcome(_model(inside, task.work))
        except PyRuntimeError as error:
            found = Outcome(error.code)
            if converts and isinstance(error, PackError):  # what it makes is a pack, whatever it was given
                found = Outcome("fault", repr(error))
        except Exception:  # noqa: BLE001 - just what is looked for
            found = Outcome("fault", traceback.format_exc(limit=-8))
        kept = {f.name for f in inside.iterdir()} - given
        if [f.name for f in Path(folder).iterdir()] != ["in"] or kept - {"pack"}:
            return Outcome("fault", f"left files behind: {kept}")
        if kept and found.kind != "converted":
            return Outcome("fault", f"left a pack behind a {found.kind} error")
    return found


def _memory(what: Literal["VmHWM", "VmRSS"]) -> int:
    """Bytes that this process has, or had at most since `_forget_most`. Linux tells."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(what))
    return int(line.split()[1]) << 10


def _forget_most() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _serve(connection: Connection, traced: bool) -> None:
    _done(Task("lower", {"model.onnx": b""}))  # imports
    _done(Task("wasm", {"pack.json": b""}))
    lines = Traced(PARSERS if traced else ())
    connection.send(None)
    while True:
        task: Task = connection.recv()
        _forget_most()
        before, begun = _memory("VmRSS"), time.process_time()
        with lines if traced else nullcontext():
            found = _done(task)
        seconds, used = time.process_time() - begun, _memory("VmHWM") - before
        if used > HEADROOM + TIMES * task.bytes:
            found = task.wasteful(f"took {used:,} bytes for files of {task.bytes:,}")
        connection.send(found._replace(seconds=seconds, memory=used, reached=tuple(lines.reached)))
        lines.reached.clear()


class Worker:
    """Reads inputs one by one; begins anew after one that crashed or hung."""

    def __init__(self, *, traced: bool = False) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._traced = traced
        self._start()

    def _start(self) -> None:
        self._connection, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs, self._traced), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()

    def convert(self, data: bytes, *, compile_: bool = False, seconds: float = SECONDS) -> Outcome:
        """Import, optimise and lower a model; `compile_` writes a pack as well."""
        return self.do(Task("convert" if compile_ else "lower", {"model.onnx": data}), seconds)

    def do(self, task: Task, seconds: float = SECONDS) -> Outcome:
        """What becomes of a task that may take so much processor time."""
        begun = self._processor()
        self._connection.send(task)
        try:
            # its own processor time counts: other work on the machine is no hang, a wait without end is one
            end = time.monotonic() + PATIENCE * seconds
            while self._processor() - begun < seconds and time.monotonic() < end:
                if self._connection.poll(1):
                    found = self._connection.recv()
                    assert isinstance(found, Outcome)
                    return found
            found = task.wasteful(f"took longer than {seconds:.0f} s")._replace(seconds=seconds)
        except EOFError:
            self._process.join()
            found = Outcome("fault", f"the process ended with {self._process.exitcode}")
        self.close()
        self._start()
        return found

    def _processor(self) -> float:
        """Seconds of processor time that the process has had. Linux tells."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()
