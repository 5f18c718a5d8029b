"""A progress bar for each stage of a build."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

Tell = Callable[[float], None]


@contextmanager
def stages(console: Console) -> Iterator[Callable[[str], Tell]]:
    """Starts a bar per stage, by name; what that gives is told which share of the stage is done."""
    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:

        def stage(name: str) -> Tell:
            task = progress.add_task(name, total=1.0)
            return lambda share: progress.update(task, completed=share)

        yield stage
