"""Progress on a terminal, gone at the end: bars of conversions and measurements, and what is waited for."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.table import Column
from rich.text import Text

from pyruntime.cli import look


class _Shown:
    """Progress that is on the screen while it is entered."""

    _progress: Progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class ConversionProgress(_Shown):
    """What `pyruntime.convert` is given as `progress`; shows nothing where `console` is no terminal."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text=look.mark("ok")),
            TextColumn("{task.description}", table_column=Column(width=12)),
            BarColumn(bar_width=28, complete_style=look.NAME, finished_style="green"),
            MofNCompleteColumn(),
            Elapsed(),
            TextColumn("{task.fields[detail]}", style=look.QUIET, table_column=Column(no_wrap=True, ratio=1)),
            console=console,
            transient=True,
            expand=True,
            disable=quiet or not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, detail: str) -> None:
        """`done` of `total` pieces of a stage are there, and `detail` is under way."""
        if stage not in self._tasks:
            self._finish_all()
            self._tasks[stage] = self._progress.add_task(stage, total=total, detail="")
        shown = detail if done < total else ""
        self._progress.update(self._tasks[stage], completed=done, total=total, detail=shown)

    def _finish_all(self) -> None:
        for task in self._progress.tasks:
            if not task.finished:
                self._progress.update(task.id, completed=task.total or 1, total=task.total or 1, detail="")


class MeasuringProgress(_Shown):
    """A bar for the part of a measurement that is done; shows nothing where `console` is no terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("measure", table_column=Column(width=12)),
            BarColumn(bar_width=28, complete_style=look.NAME, finished_style="green"),
            Elapsed(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("measure", total=1.0)

    def __call__(self, done: float) -> None:
        """The part that is done, 0 to 1."""
        self._progress.update(self._task, completed=min(done, 1.0))


class Waiting:
    """A line that says what is waited for while it is entered, on a terminal."""

    def __init__(self, console: Console, what: str) -> None:
        self._status = console.status(Text(what, style=look.QUIET), refresh_per_second=4)  # runs are timed

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def __call__(self, what: str) -> None:
        """Something else is waited for from now on."""
        self._status.update(Text(what, style=look.QUIET))
