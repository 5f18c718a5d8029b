"""Tables of the page of `pyruntime inspect`: rows of cells that are HTML, sortable by a script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Row = Sequence[str]
TALL = 16  # rows from which a table scrolls by itself


def cell(text: str, kind: str = "") -> str:
    """A cell of text."""
    return html_cell(escape(text), kind)


def html_cell(content: str, kind: str = "") -> str:
    """A cell of HTML."""
    return f'<td class="{kind}">{content}</td>' if kind else f"<td>{content}</td>"


def number(value: float | None, text: str | None = None, *, warn: bool = False) -> str:
    """A cell with a number, by which it sorts, shown as `text` where that is given; None is empty."""
    if value is None:
        return '<td class="n" data-value="-1"></td>'
    shown = f"{value:,}" if text is None else text
    return f'<td class="n{" warn" if warn else ""}" data-value="{value}">{escape(shown)}</td>'


def bar(value: int, most: int, shade: str) -> str:
    """A cell with a bar as long as its part of the largest value."""
    if value <= 0:
        return "<td></td>"
    return html_cell(
        f'<svg class="bar {shade}" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * value / most:.1f}" height="10" fill="var(--tone)"/></svg>'
    )


def table(heads: Row, rows: Sequence[Row], numbers: Row = (), *, sortable: bool = True) -> str:
    """A table of these rows of cells; the columns headed by `numbers` are such."""
    head = "".join(f'<th scope="col"{" class=n" if h in numbers else ""}>{escape(h)}</th>' for h in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    tall = " tall" if len(rows) > TALL else ""
    kind = ' class="sortable"' if sortable else ""
    region = f'tabindex="0" role="region" aria-label="table of {escape(heads[0])}s"'
    return (
        f'<div class="scroll{tall}" {region}><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
