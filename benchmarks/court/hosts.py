"""Where contestants run: a fresh page of Chromium, a Node process, or this process with wasmtime."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import numpy as np

import pyruntime
from benchmarks.court import tensors
from benchmarks.court.engines import HERE
from benchmarks.court.tensors import Tensors

if TYPE_CHECKING:
    from playwright.sync_api import Browser

READY = "court: ready"  # what page.js writes to the console, whether its engine was entered or has failed
PATIENCE = 180.0  # seconds for an engine to load a model and give its first result
Job = dict[str, Any]


class ContestError(Exception):
    """An engine refused, threw, or never answered; the message is the row's error."""


def told(error: BaseException) -> BaseException:
    """What went wrong in a page, crashes and timeouts too, as a ContestError; anything else as it is."""
    from playwright.sync_api import Error

    return ContestError(str(error).splitlines()[0]) if isinstance(error, Error) else error


def address(url: str, job: Job) -> str:
    """The page of a job on the server at `url`."""
    return f"{url}/page.html#{quote(json.dumps(job))}"


class Entered(Protocol):
    """A contestant that is open and has given its first result."""

    facts: dict[str, Any]  # open_ms, first_ms, since_navigation_ms in a page
    outputs: Tensors  # flat, in the model's order

    def round(self, runs: int) -> Any:
        """Milliseconds per run, over this many."""

    def memory(self) -> int | None:
        """Bytes at the peak."""

    def close(self) -> None:
        """Free everything."""


class Page:
    """A page in a browser context of its own, so with a fresh profile."""

    def __init__(self, browser: Browser, url: str, job: Job, *, watched: bool = True) -> None:
        try:
            self.context = browser.new_context()
        except Exception as error:
            raise told(error) from error
        try:
            if watched:
                self.context.add_init_script(path=HERE / "js" / "memory.js")
            self.page = self.context.new_page()
            # told by the page itself: scripts that ask would take time from the engine
            with self.page.expect_console_message(lambda m: m.text == READY, timeout=PATIENCE * 1000):
                self.page.goto(address(url, job))
            found = self.page.evaluate("court.error ? { error: court.error } : court.facts")
            if "error" in found:
                raise ContestError(found["error"])
        except BaseException as error:
            self.close()
            raise told(error) from error
        self.outputs = tensors.received(found.pop("outputs", []))
        self.facts = found

    def _evaluate(self, script: str, value: Any = None) -> Any:
        """What a promise comes to. Raises ContestError for one that fails or keeps us waiting too long."""
        late = f"new Promise((_, no) => setTimeout(() => no(new Error('no answer')), {PATIENCE * 1000}))"
        try:
            return self.page.evaluate(f"(value) => Promise.race([{script}, {late}])", value)
        except Exception as error:
            raise told(error) from error

    def round(self, runs: int) -> Any:
        """Milliseconds per run; what limits.js gives, there."""
        return self._evaluate("court.round(value)", runs)

    def memory(self) -> int | None:
        """Bytes of all Wasm memories of the page and its Workers."""
        return int(self._evaluate("courtMemory()"))

    def close(self) -> None:
        """Close the page and forget its profile."""
        from playwright.sync_api import Error

        with contextlib.suppress(Error):  # it may have died
            self.context.close()


class Node:
    """A Node process."""

    def __init__(self, job: Job) -> None:
        node = shutil.which("node")
        assert node is not None, "node is not on PATH"
        script = str(HERE / "js" / "node.js")
        self.process = subprocess.Popen(
            [node, script, json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # pip's node is a script that starts the real one: both end together
        )
        try:
            self.facts = self._answer()
        except BaseException:
            self.close()
            raise
        self.outputs = tensors.received(self.facts.pop("outputs", []))

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        patience = threading.Timer(PATIENCE, self.kill)
        patience.start()
        line = self.process.stdout.readline()
        patience.cancel()
        if not line:
            raise ContestError(f"Node ended with status {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise ContestError(found["error"])
        return found

    def _ask(self, message: Job) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise ContestError(f"Node ended with status {self.process.wait()}") from error
        return self._answer()

    def round(self, runs: int) -> Any:
        """Milliseconds per run; what limits.js gives, there."""
        return self._ask({"runs": runs})["ms"]

    def memory(self) -> int | None:
        """The process's largest resident set, Node itself included."""
        return int(self._ask({})["peak_memory"])

    def close(self) -> None:
        """End the process."""
        self.kill()
        self.process.communicate()

    def kill(self) -> None:
        """End Node, and what started it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


class Native:
    """A session of this process."""

    def __init__(self, pack: Path, device: str, threads: int, feeds: Tensors) -> None:
        if device != "wasm":
            raise ContestError(f"no native contests on {device} yet")
        self.feeds = feeds
        start = time.perf_counter()
        try:
            self.session = pyruntime.load(pack, device="wasm", threads=threads)
            opened = time.perf_counter()
            made = self.session.run(feeds)
        except pyruntime.PyRuntimeError as error:
            raise ContestError(f"{type(error).__name__}: {error}") from error
        ended = time.perf_counter()
        self.facts: dict[str, Any] = {"open_ms": (opened - start) * 1e3, "first_ms": (ended - opened) * 1e3}
        self.outputs: Tensors = {name: np.asarray(array).reshape(-1) for name, array in made.items()}

    def round(self, runs: int) -> Any:
        """Milliseconds per run."""
        start = time.perf_counter()
        for _ in range(runs):
            self.session.run(self.feeds)
        return (time.perf_counter() - start) * 1e3 / runs

    def memory(self) -> int | None:
        """Not known by itself: the process is shared."""
        return None

    def close(self) -> None:
        """Free the session."""
        self.session.close()
