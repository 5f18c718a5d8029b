"""The pictures on the page of `pyruntime inspect`, as SVG: the graph of steps, and memory over time."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from pyruntime.cli import look
from pyruntime.cli.conversion import shortened
from pyruntime.cli.inspection.gather import Program
from pyruntime.cli.inspection.layers import Box, draw
from pyruntime.cli.inspection.memory import Memory
from pyruntime.cli.inspection.programs import Step

LABEL = 30  # characters of a node's name
LETTER, LINE, MARGIN = 6.7, 15, 14  # pixels: of a character, of a line, around a node's text
WIDE, HIGH, LEFT, BOTTOM = 1000, 260, 70, 24  # of a picture of memory
TONES = ("matmul", "conv", "attention", "row", "pool", "map", "recurrence")


def tone(template: str) -> str:
    """The class that colours a template."""
    name = template.removesuffix("_integer")
    return f"t-{name if name in TONES else 'end' if name == 'end' else 'other'}"


def interface_names(program: Program) -> dict[int, str]:
    """What nodes of the graph are called that stand for inputs and states, by tensor."""
    account = program.account
    if account is None:
        return {}
    names = [t.name for t in program.tensors if t.kind == "input"]
    states = [t.name for t in program.tensors if t.kind == "state"]
    found = {number: f"input {name}" for number, name in enumerate(names)}
    return found | {number: f"state {n}" for number, n in zip(account.states, states, strict=True)}


def output_names(program: Program) -> dict[int, list[str]]:
    """What nodes are called that stand for outputs, by tensor."""
    found: dict[int, list[str]] = {}
    names = [t.name for t in program.tensors if t.kind == "output"]
    for number, name in zip(program.account.outputs if program.account else (), names, strict=False):
        found.setdefault(number, []).append(f"output {name}")
    return found


def edges_of(program: Program) -> list[tuple[str, str]]:
    """Pairs of nodes of which the second reads what the first wrote last; the ends are nodes, too."""
    begins, ends = interface_names(program), output_names(program)
    writers: dict[int, list[str]] = {number: [name] for number, name in begins.items()}
    made: list[tuple[str, str]] = []
    for step in program.plan.steps:
        made += [(w, step.name) for r in step.reads if r >= 0 for w in writers.get(r, ()) if w != step.name]
        if step.writes is not None:
            writers.setdefault(step.writes, []).append(step.name)
    for number, names in ends.items():
        made += [(writer, name) for name in names for writer in writers.get(number, ())]
    return list(dict.fromkeys(made))


def graph(program: Program) -> str:
    """The graph of an entry: inputs, steps and outputs, every step below those that it reads."""
    edges = edges_of(program)
    steps = {s.name: s for s in program.plan.steps if s.template != "control"}
    ends = [name for names in output_names(program).values() for name in names]
    read = {source for source, _ in edges}
    labels = {name: [name] for name in interface_names(program).values() if name in read}
    labels |= {name: _label(step) for name, step in steps.items()}
    labels |= {name: [name] for name in ends}
    sizes = {name: _size(lines) for name, lines in labels.items()}
    drawing = draw(sizes, [(a, b) for a, b in edges if a in sizes and b in sizes])
    paths = [
        f'<path d="{_curve(points)}" data-from="{escape(a)}" data-to="{escape(b)}"/>'
        for (a, b), points in drawing.edges.items()
    ]
    nodes = [
        _node(name, labels[name], box, steps[name].template if name in steps else "end")
        for name, box in drawing.boxes.items()
    ]
    return (
        f'<svg role="group" aria-label="steps of {escape(program.name)}" data-width="{drawing.width:.0f}"'
        f' data-height="{drawing.height:.0f}" viewBox="0 0 {drawing.width:.0f} {drawing.height:.0f}"'
        f' preserveAspectRatio="xMidYMin meet">{"".join(paths)}{"".join(nodes)}</svg>'
    )


def _label(step: Step) -> list[str]:
    told = []
    if step.dispatches and step.dispatches[0].count is not None:
        count = step.dispatches[0].count
        told.append(f"{count:,} workgroup{'' if count == 1 else 's'}")
    if step.operations:
        told.append(f"{look.count_text(step.operations)} ops")
    elif step.bytes is not None:
        told.append(look.bytes_text(step.bytes))
    return [shortened(step.name, LABEL), " · ".join(told)] if told else [shortened(step.name, LABEL)]


def _size(lines: Sequence[str]) -> tuple[float, float]:
    longest = max(len(line) * (LETTER if i == 0 else LETTER * 0.86) for i, line in enumerate(lines))
    return max(longest + 2 * MARGIN, 90.0), LINE * len(lines) + MARGIN


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """A line through points that leaves and enters each vertically."""
    (x, y), *others = points
    told = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in others:
        half = (y + to_y) / 2
        told.append(f"C{x:.1f} {half:.1f} {to_x:.1f} {half:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(told)


def _node(name: str, lines: Sequence[str], box: Box, template: str) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    texts = [
        f'<text x="{left + MARGIN:.1f}" y="{top + 6 + LINE * (i + 0.75):.1f}"{" class=small" if i else ""}>'
        f"{escape(line)}</text>"
        for i, line in enumerate(lines)
    ]
    edge = f'x="{left:.1f}" y="{top:.1f}" width="5" height="{box.height:.1f}" rx="2.5"'
    stripe = "" if template == "end" else f'<rect class="stripe" {edge}/>'
    return (
        f'<g class="node {tone(template)}{" end" if template == "end" else ""}" tabindex="0" role="button"'
        f' aria-pressed="false" aria-label="{escape(", ".join(lines))}" data-name="{escape(name)}"'
        f' data-text="{escape(f"{name} {template}".lower())}" data-x="{box.x:.1f}" data-y="{box.y:.1f}">'
        f"<title>{escape(name)}</title>"
        f'<rect class="box" x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
        f' rx="6"/>'
        f"{stripe}{''.join(texts)}</g>"
    )


def memory(held: Memory, program: Program) -> str:
    """Live bytes of each step beside the arena; below, where the pack tells it, where each tensor lies."""
    parts = [_over_time(held)]
    if any(life.offset is not None for life in held.lives):
        parts.append(_places(held, program))
    return "".join(parts)


def _frame(height: int, label: str, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDE} {height + BOTTOM}" role="img" aria-label="{escape(label)}">{content}</svg>'
    )


def _over_time(held: Memory) -> str:
    steps, total = max(len(held.live), 1), max(sum(held.arenas), held.peak, 1)

    def x(step: float) -> float:
        return LEFT + (WIDE - LEFT - 8) * step / steps

    def y(size: float) -> float:
        return 12 + (HIGH - 12) * (1 - size / total)

    corners = [(x(i + side), y(size)) for i, size in enumerate(held.live) for side in (0, 1)]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    arena = y(sum(held.arenas))
    hits = "".join(
        f'<rect x="{x(i):.1f}" y="0" width="{x(1) - x(0):.2f}" height="{HIGH}" fill="transparent">'
        f"<title>step {i}: {look.bytes_text(size)} live</title></rect>"
        for i, size in enumerate(held.live)
    )
    whole = look.bytes_text(sum(held.arenas))
    label = f"bytes that live at each step on {held.target}; at most {look.bytes_text(held.peak)}"
    return _frame(
        HIGH,
        label,
        f'<path class="axis" d="M{LEFT} 8V{HIGH}H{WIDE - 8}"/>'
        f'<polygon class="live" points="{LEFT},{HIGH} {line} {WIDE - 8},{HIGH}"/>'
        f'<polyline class="edge" points="{line}"/>'
        f'<path class="arena" d="M{LEFT} {arena:.1f}H{WIDE - 8}"/>'
        f'<text x="{LEFT - 6}" y="{arena + 4:.1f}" text-anchor="end">{whole}</text>'
        f'<text x="{LEFT - 6}" y="{HIGH}" text-anchor="end">0</text>'
        f'<text x="{LEFT}" y="{HIGH + 17}">first step</text>'
        f'<text x="{WIDE - 8}" y="{HIGH + 17}" text-anchor="end">last step</text>{hits}',
    )


def _places(held: Memory, program: Program) -> str:
    """A rectangle for each tensor: as wide as it lives, as high as it is large, where it lies."""
    steps, total = max(len(held.live), 1), max(sum(held.arenas), 1)
    height = HIGH + 60
    bases = [sum(held.arenas[:i]) for i in range(len(held.arenas))]
    names, outputs = interface_names(program), output_names(program)
    writers = {s.writes: s for s in reversed(program.plan.steps) if s.writes is not None}

    def x(step: float) -> float:
        return LEFT + (WIDE - LEFT - 8) * min(max(step, 0), steps) / steps

    def y(size: float) -> float:
        return height * (1 - size / total)

    rows = []
    for life in held.lives:
        if life.arena is None or life.offset is None:
            continue
        low = bases[life.arena] + life.offset
        writer = writers.get(life.tensor)
        told = names.get(life.tensor) or (writer.name if writer else "tensor")
        told = ", ".join([told, *outputs.get(life.tensor, ())])
        shade = tone(writer.template if writer else "end")
        rows.append(
            f'<rect class="life {shade}" x="{x(life.first):.1f}" y="{y(low + life.bytes):.1f}"'
            f' width="{max(x(life.last + 1) - x(life.first), 1):.1f}"'
            f' height="{max(y(low) - y(low + life.bytes), 0.8):.1f}">'
            f"<title>{escape(told)}: {look.bytes_text(life.bytes)}, steps {max(life.first, 0)} to"
            f" {min(life.last, steps - 1)}</title></rect>"
        )
    lines = "".join(
        f'<path class="axis" d="M{LEFT} {y(base):.1f}H{WIDE - 8}"/>'
        f'<text x="{LEFT - 6}" y="{y(base) - 4:.1f}" text-anchor="end">arena {i}</text>'
        for i, base in enumerate(bases)
    )
    label = f"where tensors lie on {held.target} and how long they live"
    return _frame(height, label, f'{lines}<path class="axis" d="M{LEFT} 0V{height}"/>{"".join(rows)}')


def text_of(name: str) -> str:
    """A file that stands beside this module."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
