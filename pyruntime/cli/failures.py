"""Shows an error: a red panel, a table of nodes that cannot be converted, or JSON."""

from __future__ import annotations

import traceback
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pyruntime.cli import look
from pyruntime.errors import MemoryLimitError, PyRuntimeError, UnsupportedError, UnsupportedNodesError


def show(error: Exception, code: int, *, json: bool, debug: bool) -> None:
    """Print the error: as JSON to stdout, else as a panel to stderr; with its traceback when debugging."""
    if json:
        trace = {"traceback": "".join(traceback.format_exception(error))} if debug else {}
        look.print_json({"error": as_dict(error, code), **trace})
        return
    console = look.stderr()
    if debug:
        console.print(Text("".join(traceback.format_exception(error)).rstrip(), style="dim"))
    console.print(panel(error, code, debug))


def stable_code(error: Exception) -> str:
    """The code that names this kind of error, the same in every release."""
    if isinstance(error, MemoryError):  # Python's own: this machine has no more
        return MemoryLimitError.code
    return error.code if isinstance(error, PyRuntimeError) else "file"


def as_dict(error: Exception, code: int) -> dict[str, Any]:
    """The error as JSON: its code, the exit code, the message and, where there are some, the nodes."""
    made: dict[str, Any] = {"code": stable_code(error), "exit": code, "message": message(error)}
    if isinstance(error, UnsupportedError):
        made["nodes"] = [
            {"node": e.node, "op": e.op, "reason": e.reason, "remedy": e.remedy} for e in _nodes(error)
        ]
    return made


def message(error: Exception) -> str:
    """What went wrong, as a person reads it."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or "there is not enough memory"  # only a MemoryError may say nothing


def _nodes(error: UnsupportedError) -> tuple[UnsupportedError, ...]:
    return error.entries if isinstance(error, UnsupportedNodesError) else (error,)


def panel(error: Exception, code: int, debug: bool) -> RenderableType:
    """One red panel that names the code, and says how to learn more."""
    more = "" if debug else " · --debug shows the traceback"
    body = _table(_nodes(error)) if isinstance(error, UnsupportedError) else Text(message(error))
    return Panel(
        body,
        title=Text(stable_code(error), style="bold red"),
        title_align="left",
        subtitle=Text(f"exit code {code}{more}", style="dim"),
        subtitle_align="right",
        border_style="red",
        padding=(0, 1),
    )


def _table(nodes: tuple[UnsupportedError, ...]) -> RenderableType:
    """What cannot be converted: one node line by line, several as a table without empty columns."""
    columns = {
        "node": [e.node or "(no name)" for e in nodes],
        "op": [e.op for e in nodes],
        "reason": [e.reason for e in nodes],
        "remedy": [e.remedy for e in nodes],
    }
    told = {name: texts for name, texts in columns.items() if any(texts)}
    if len(nodes) == 1:
        grid = Table.grid(padding=(0, 2))
        for name, (text,) in told.items():
            grid.add_row(Text(name, style=look.QUIET), Text(text))
        return Group(Text("This cannot be converted:"), grid)
    table = look.table(*told)
    for texts in zip(*told.values(), strict=True):
        table.add_row(*map(Text, texts))
    return Group(Text(f"{len(nodes)} nodes of this model cannot be converted:\n"), table)
