"""What `pyruntime doctor` prints: a table of findings, and the verdict."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pyruntime.cli import look
from pyruntime.cli.findings import Diagnosis, Finding, Group

WIDEST = 34  # of a column


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print all findings under their groups, then whether models can be converted and run."""
    groups = (*diagnosis.groups, diagnosis.trials)
    findings = [f for g in groups for f in g.findings]
    names = min(max(len(f.name) for f in findings), WIDEST)
    versions = min(max(len(f.version) for f in findings), WIDEST)
    for group in groups:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=1)
        table.add_column(width=names, overflow="fold")
        table.add_column(width=versions, overflow="fold")
        table.add_column(overflow="fold")
        for finding in group.findings:
            _add(table, group, finding)
        console.print(Text(group.title, style=look.STRONG), table, Text(), sep="\n")
    console.print(_verdict(diagnosis))


def _add(table: Table, group: Group, finding: Finding) -> None:
    state = group.shown_state(finding)
    told = Text("; ".join(p for p in (finding.detail, finding.cost) if p))
    if state == "ok":
        told.stylize(look.QUIET)
    elif finding.remedy:
        told.append(f"\n→ {finding.remedy}", style=look.NAME)
    table.add_row(look.mark(state), Text(finding.name), Text(finding.version, style=look.QUIET), told)


def _verdict(diagnosis: Diagnosis) -> Text:
    if diagnosis.healthy:
        devices = " and ".join(diagnosis.devices)
        return Text.assemble(look.mark("ok"), f" Models can be converted, and run on {devices}.")
    return Text.assemble(
        look.mark("missing"), (" Models cannot be converted and run here; see the red marks.", "bold red")
    )
