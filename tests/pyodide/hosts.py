"""Where the tests run Pyodide: in Node, and in a page of Chromium. Both run `scenarios.py` by name."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from playwright.sync_api import Page

HERE = Path(__file__).parent


class Host(Protocol):
    """A running Pyodide with the wheel installed."""

    def evaluate(self, code: str, *, sync: bool = False) -> Any:
        """The value of Python code, awaited; with `sync`, run by a call that Python cannot wait in."""


def call(host: Host, scenario: str, *, sync: bool = False, **arguments: Any) -> Any:
    """What a scenario gives for these arguments; AssertionError with its traceback where it fails."""
    function = "scenarios.call_sync" if sync else "await scenarios.call"
    code = f"import scenarios\n{function}({scenario!r}, {json.dumps(arguments)!r})"
    return json.loads(host.evaluate(code, sync=sync))


class Node:
    """Pyodide in a process of Node; `flags` are Node's."""

    def __init__(self, node: str, pyodide: Path, wheel: str, *flags: str) -> None:
        command = [node, *flags, str(HERE / "host.mjs"), str(pyodide), wheel, str(HERE / "scenarios.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._receive()

    def evaluate(self, code: str, *, sync: bool = False) -> Any:
        """See Host."""
        stdin: IO[str] = self._process.stdin  # type: ignore[assignment]  # a pipe, as asked for
        stdin.write(json.dumps({"code": code, "sync": sync}) + "\n")
        stdin.flush()
        return self._receive()

    def _receive(self) -> Any:
        line = self._process.stdout.readline()  # type: ignore[union-attr]  # likewise
        assert line, f"node ended with {self._process.wait()}"
        reply = json.loads(line)
        assert "error" not in reply, reply["error"]
        return reply["value"]

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(30)
        self._process.stdout.close()  # type: ignore[union-attr]


class Tab:
    """Pyodide in a page that runs page.js."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        page.goto(url)
        # not wait_for_function, which strict pages refuse
        page.evaluate(
            "async () => { while (!globalThis.python) await new Promise((r) => setTimeout(r, 20)); }"
        )

    def evaluate(self, code: str, *, sync: bool = False) -> Any:
        """See Host."""
        from playwright.sync_api import Error

        try:
            return self.page.evaluate("([code, sync]) => python(code, sync)", [code, sync])
        except Error as error:
            raise AssertionError(error.message) from None
