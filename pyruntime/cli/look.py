"""How everything that is printed looks: consoles, tables, marks, and numbers as people read them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

NAME, QUIET, STRONG = "cyan", "bright_black", "bold"
State = Literal["ok", "limited", "missing", "broken"]
# symbol, the same in ASCII, colour
MARKS: Mapping[State, tuple[str, str, str]] = {
    "ok": ("✔", "+", "green"),
    "limited": ("●", "!", "yellow"),
    "missing": ("✘", "x", "red"),
    "broken": ("✘", "x", "red"),
}
WIDTH = 100  # of what goes to a file or a pipe


def _console(stream: Any) -> Console:
    piped = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH
    return Console(file=stream, width=piped, highlight=False, soft_wrap=False)


def stdout() -> Console:
    """A console on the present sys.stdout, for results."""
    return _console(sys.stdout)


def stderr() -> Console:
    """A console on the present sys.stderr, for progress and errors."""
    return _console(sys.stderr)


def mark(state: State) -> Text:
    """The coloured mark of a state."""
    symbol, plain, colour = MARKS[state]
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    return Text(symbol if unicode else plain, style=colour)


def print_json(value: Any) -> None:
    """Print one line of JSON to stdout. Raises ValueError for NaN and infinity, which JSON lacks."""
    print(json.dumps(value, allow_nan=False))


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table with a quiet header and no outer borders; columns in `right` are numbers."""
    made = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        header_style=QUIET,
        border_style=QUIET,
        pad_edge=False,
    )
    for column in columns:
        number = column in right
        made.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=number)
    return made


def print_section(console: Console, *parts: RenderableType) -> None:
    """Print parts under each other, indented, after an empty line."""
    console.print(Padding(Group(*parts), (1, 0, 0, 2), expand=False))


def bytes_text(size: float) -> str:
    """A size as one reads it, in units of 1000: 812 B, 1.4 kB, 23.6 MB."""
    return _scaled(size, ("B", "kB", "MB", "GB", "TB"))


def count_text(count: float) -> str:
    """A large count in short: 812, 1.4 k, 23.6 M, 4.1 G."""
    return _scaled(count, ("", "k", "M", "G", "T")).rstrip()


def _scaled(value: float, units: Sequence[str]) -> str:
    if abs(value) < 999.5:
        return f"{value:.0f} {units[0]}"
    for unit in units[1:]:
        value /= 1000
        if abs(value) < 99.95 or unit == units[-1]:
            return f"{value:.1f} {unit}"
        if abs(value) < 999.5:
            return f"{value:.0f} {unit}"
    raise AssertionError("the last unit takes every value")


def seconds_text(seconds: float) -> str:
    """A time as one reads it: 31 µs, 4.21 ms, 1.30 s."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1 or unit == "µs":
            value = seconds * scale
            return f"{value:.{0 if value >= 99.5 else 1 if value >= 9.95 else 2}f} {unit}"
    raise AssertionError("the last unit takes every value")


def sizes_text(symbols: Mapping[str, int]) -> str:
    """What follows a name or a device at these sizes: " · batch = 4 · n = 7"; empty where there are none."""
    return "".join(f" · {name} = {size}" for name, size in symbols.items())


def shape_text(shape: Sequence[Any]) -> str:
    """A shape with sizes and expressions: 1 × 3 × 240 × 320, batch × 4; scalars are called so."""
    return " × ".join(f"({d})" if " " in str(d) else str(d) for d in shape) or "scalar"
