"""A process that converts what it is given, with a limit on memory: its death is one input's alone."""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
import traceback
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

SECONDS = 10.0
HEADROOM = 512 << 20  # what converting takes beside a multiple of the file
TIMES = 4  # of the file
PATIENCE = 20  # times the processor time that is allowed


class Outcome(NamedTuple):
    """What became of an input: "converted", the code of a typed error, or "fault" with its reason."""

    kind: str
    reason: str = ""


def _convert(data: bytes, compile_: bool) -> Outcome:
    from pyruntime_converter.frontends.onnx import read
    from pyruntime_converter.lowering.lower import lower
    from pyruntime_converter.passes import optimise
    from pyruntime_shaders.emit import render_programs

    import pyruntime
    from pyruntime.errors import PackError, PyRuntimeError

    with tempfile.TemporaryDirectory(prefix="hostile-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inside = Path(folder) / "in"
        inside.mkdir()
        (inside / "model.onnx").write_bytes(data)
        try:
            if compile_:
                pyruntime.convert(inside / "model.onnx", inside / "pack")
            else:
                graph = read(inside / "model.onnx", "model")
                optimise(graph)
                render_programs([lower(graph)])
        except PackError as error:  # what a converter makes is a pack, whatever it was given
            found = Outcome("fault", repr(error))
        except PyRuntimeError as error:
            found = Outcome(error.code)
        except Exception:  # noqa: BLE001 - just what is looked for
            found = Outcome("fault", traceback.format_exc(limit=-8))
        else:
            found = Outcome("converted")
        kept = {f.name for f in inside.iterdir()} - {"model.onnx"}
        if [f.name for f in Path(folder).iterdir()] != ["in"] or kept - {"pack"}:
            return Outcome("fault", f"left files behind: {kept}")
        if "pack" in kept and found.kind != "converted":
            return Outcome("fault", f"left a pack behind a {found.kind} error")
    return found


def _serve(connection: Connection) -> None:
    _convert(b"", compile_=False)  # imports
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    connection.send(None)
    while True:
        data, compile_ = connection.recv()
        most = base + HEADROOM + TIMES * len(data)
        found = _convert(data, compile_)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        if used > most:
            found = Outcome("fault", f"took {used - base:,} bytes for a file of {len(data):,}")
            base = used
        connection.send(found)


class Worker:
    """Converts inputs one by one; begins anew after one that crashed or hung."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._connection, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()

    def convert(self, data: bytes, *, compile_: bool = False, seconds: float = SECONDS) -> Outcome:
        """Import, optimise and lower a model; `compile_` writes a pack as well."""
        begun = self._processor()
        self._connection.send((data, compile_))
        try:
            # its own processor time counts: other work on the machine is no hang, a wait without end is one
            end = time.monotonic() + PATIENCE * seconds
            while self._processor() - begun < seconds and time.monotonic() < end:
                if self._connection.poll(1):
                    found = self._connection.recv()
                    assert isinstance(found, Outcome)
                    return found
            why = f"took longer than {seconds:.0f} s"
        except EOFError:
            self._process.join()
            why = f"the process ended with {self._process.exitcode}"
        self.close()
        self._start()
        return Outcome("fault", why)

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
