"""What the checks of a page found: a table, and whether all is well."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


class Checks:
    """Outcomes in order; any failure fails the whole."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, bool, str]] = []

    def add(self, what: str, right: bool, found: str = "") -> None:
        """Note the outcome of a check and what it looked at."""
        self.rows.append((what, bool(right), found))

    @property
    def failed(self) -> list[str]:
        """What went wrong, a line each."""
        return [f"{what}: {found}" for what, right, found in self.rows if not right]

    def show(self, console: Console) -> None:
        """Print the table."""
        table = Table("", "check", "found", title="In headless Chromium", title_justify="left")
        for what, right, found in self.rows:
            table.add_row("[green]ok[/green]" if right else "[red]no[/red]", what, found)
        console.print(table)
