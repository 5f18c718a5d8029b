"""Which lines of some modules' functions have run: what damaged input reaches of the code that reads it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

Line = tuple[str, int]  # of a file


def functions(path: Path) -> Iterator[CodeType]:
    """The code of all functions in a file; modules and classes run when they are imported."""
    waiting = [compile(path.read_text(encoding="utf-8"), str(path), "exec")]
    while waiting:
        code = waiting.pop()
        waiting += [c for c in code.co_consts if isinstance(c, CodeType)]
        if code.co_flags & inspect.CO_OPTIMIZED:
            yield code


def lines(path: Path) -> set[int]:
    """The lines of a file's functions that can run, without the heads of functions."""
    return {
        line
        for code in functions(path)
        for _, _, line in code.co_lines()
        if line and line > code.co_firstlineno
    }


class Traced:
    """Within `with`, runs of lines of these files that have not run before go to `reached`."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._left = {str(path): lines(path) for path in paths}
        self.reached: list[Line] = []

    def __enter__(self) -> Traced:
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if self._left.get(frame.f_code.co_filename) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        file, line = frame.f_code.co_filename, frame.f_lineno
        left = self._left[file]
        if event == "line" and line in left:
            left.discard(line)
            self.reached.append((file, line))
        return self._line
