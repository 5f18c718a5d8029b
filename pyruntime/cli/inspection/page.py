"""What `pyruntime inspect --html` writes: one page that holds all it shows, and loads nothing."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from pyruntime.cli import look
from pyruntime.cli.inspection.cells import Row, bar, cell, html_cell, number, table
from pyruntime.cli.inspection.drawings import (
    edges_of,
    graph,
    interface_names,
    memory,
    output_names,
    text_of,
    tone,
)
from pyruntime.cli.inspection.gather import Inspection, Kernel, Program, readable
from pyruntime.cli.inspection.programs import Step
from pyruntime.cli.inspection.show import (
    beside_text,
    bounds_text,
    dispatches_text,
    facts,
    ratio_text,
    shape_of,
    size_text,
    small_steps,
    sum_of,
)


def write(path: Path, found: Inspection) -> None:
    """Write the page to a file. Raises OSError."""
    path.write_text(page(found), encoding="utf-8")


def page(found: Inspection) -> str:
    """The whole page as HTML."""
    name = Path(found.path).name
    sections = [section for n in range(len(found.programs)) for section in _program(n, found)]
    sections += [
        ("kernels", "Kernels", _kernels(found)),
        ("weights", "Weights", _weights(found)),
        ("files", "Files", _files(found)),
    ]
    present = [(anchor, title, content) for anchor, title, content in sections if content]
    links = "".join(f'<li><a href="#{anchor}">{escape(title)}</a></li>' for anchor, title, _ in present)
    parts = [
        f"<header><h1>{escape(name)}</h1>",
        *(f'<p class="quiet">{escape(line)}</p>' for line in facts(found)),
        _tiles(found),
        *(f'<p class="warn">{escape(note)}</p>' for note in found.notes),
        f'</header><nav aria-label="sections"><ul>{links}</ul></nav><main>',
        *(f'<section id="{a}"><h2>{escape(t)}</h2>{content}</section>' for a, t, content in present),
        "</main>",
        f"<footer>Written by pyruntime inspect. This version reads packs of {escape(readable())}.</footer>",
        f'<script type="application/json" id="data">{_data(found)}</script>',
        f"<script>{text_of('page.js')}</script>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(name)}: what is in the pack</title>\n<style>{text_of('page.css')}</style>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _tiles(found: Inspection) -> str:
    """The numbers that one wants first."""
    sent = sum(f.bytes if f.gzip is None else f.gzip for f in found.files)
    told = f"in {len(found.files)} files; {look.bytes_text(sent)} sent with gzip"
    tiles = [(look.bytes_text(sum_of(found.files)), told)]
    for program in found.programs:
        where = f"{_of(found, program)} on {program.target}"
        tiles += [(value, what.replace("{of}", where)) for value, what in _sums(program)]
    rows = "".join(f"<li><b>{escape(value)}</b><small>{escape(what)}</small></li>" for value, what in tiles)
    return f'<ul class="tiles">{rows}</ul>'


def _sums(program: Program) -> Iterator[tuple[str, str]]:
    """Values, and what they are."""
    totals = program.plan.totals
    count, _, what = dispatches_text(program).partition(" ")
    what, _, more = what.partition(",")
    yield count, f"{what}{{of}}{f',{more}' if more else ''}"
    if totals.operations is not None:
        yield look.count_text(totals.operations), "multiplications and additions of products{of}"
    if totals.bytes is not None:
        yield look.bytes_text(totals.bytes), f"moved by steps{{of}}: {bounds_text(totals)}"
    if (held := program.memory) is not None:
        times = f"{ratio_text(sum(held.arenas), held.peak)} the most that lives at once"
        yield look.bytes_text(sum(held.arenas)), f"of memory for a run{{of}}; {times}"


def _of(found: Inspection, program: Program) -> str:
    """Of which entry something is, where there are several."""
    return f" of {program.name}" if found.several else ""


def _program(number: int, found: Inspection) -> list[tuple[str, str, str]]:
    """The sections of an entry on a target; the first of an entry has its interface, too."""
    program = found.programs[number]
    of = _of(found, program)
    first = number == 0 or found.programs[number - 1].name != program.name
    interface = [(f"interface-{number}", f"Inputs and outputs{of}", _interface(program))] if first else []
    where = f"{of} on {program.target}"
    return [
        *interface,
        (f"graph-{number}", f"Graph{where}", _graph(program)),
        (f"steps-{number}", f"Steps{where}", _steps(number, program)),
        (f"memory-{number}", f"Memory{where}", _memory(program)),
    ]


def _interface(program: Program) -> str:
    rows = [
        (
            cell(t.kind),
            html_cell(f"<code>{escape(t.name)}</code>"),
            cell(t.dtype),
            cell(shape_of(t.shape)),
            cell("" if t.sizes is None else shape_of(t.sizes)),
            cell(t.note),
        )
        for t in program.tensors
    ]
    heads = ("tensor", "name", "dtype", "shape", "at these sizes", "")
    made = table(heads, rows, sortable=False)
    if not program.symbols:
        return made
    sizes = escape(", ".join(f"{name} = {size}" for name, size in program.symbols.items()))
    return f"<p>All numbers here are for {sizes}; <code>--symbol NAME=SIZE</code> gives others.</p>{made}"


def _graph(program: Program) -> str:
    if program.account is None:
        return (
            "<p>The pack does not tell which step reads what: convert the model anew with this version.</p>"
        )
    counts = Counter(s.template for s in program.plan.steps if s.template != "control")
    key = "".join(
        f'<li><i class="{tone(template)}"></i>{escape(template)} ×{count}</li>'
        for template, count in counts.most_common()
    )
    return f"""<div class="tools" role="search">
<input type="search" placeholder="Step, kernel, weight"
aria-label="search steps by name, kernel or weight; Enter goes to the next">
<span class="found-count quiet" aria-live="polite"></span>
<button type="button" data-do="in" aria-label="zoom in">+</button>
<button type="button" data-do="out" aria-label="zoom out">−</button>
<button type="button" data-do="top">Top</button><button type="button" data-do="fit">Whole</button>
<span class="quiet">Drag to move; wheel after a click, or + and −; Tab goes from step to step.</span></div>
<ul class="key">{key}</ul>
<div class="work"><div class="graph" tabindex="0" role="region"
aria-label="graph of steps: arrows move it, + and - zoom">{graph(program)}</div>
<aside class="details" aria-live="polite" aria-label="details"><p class="quiet">Choose a step to see what it
computes, reads and moves, and why it ends where it does.</p></aside></div>"""


def _steps(number_: int, program: Program) -> str:
    plan, totals = program.plan, program.plan.totals
    parts = [
        f'<p class="warn">A run refuses these sizes: {escape(reason)}.</p>' for reason in program.refused
    ]
    if not totals.exact:
        who = "Data decide" if totals.dispatches is not None else "Branches and loops decide"
        parts.append(f"<p>{who} what runs: in the sums each step counts once.</p>")
    for what, names in small_steps(plan):
        warn = ' class="warn"' if names == totals.small else ""
        parts.append(f"<p{warn}>{what.capitalize()}: {escape(', '.join(names))}.</p>")
    reasons = Counter(s.why for s in plan.steps if s.why).most_common()
    if reasons:
        told = "".join(f"<li>{n} × {escape(why)}</li>" for why, n in reasons)
        title = "Why kernels end where they do, counted"
        parts.append(f"<details><summary>{title}</summary><ul>{told}</ul></details>")
    heads = ("#", "step", "kernel", "workgroups", "operations", "", "moved", "live", "why it ends here")
    numbers = ("#", "workgroups", "operations", "moved", "live")
    rows = [_step_row(number_, i, program) for i in range(len(plan.steps))]
    return "".join(parts) + table(heads, rows, numbers)


def _step_row(number_: int, index: int, program: Program) -> Row:
    step, plan = program.plan.steps[index], program.plan
    most = max((s.operations or 0 for s in plan.steps), default=0)
    live = program.memory.live[index] if program.memory else None
    group = step.dispatches[0] if step.dispatches else None
    calls = "" if step.calls == 1 else " ×?" if step.calls is None else f" ×{step.calls}"
    link = f'type="button" class="jump" data-graph="graph-{number_}" data-step="{escape(step.name)}"'
    name = f"<button {link}>{escape(step.name)}</button>{calls}"
    return (
        number(index),
        html_cell(f'<span class="swatch {tone(step.template)}"></span>{name}', "name"),
        cell(step.kernel),
        number(group.count if group else None, warn=step.name in plan.totals.small),
        number(step.operations, look.count_text(step.operations) if step.operations else ""),
        bar(step.operations or 0, most, tone(step.template)),
        number(step.bytes, "" if step.bytes is None else look.bytes_text(step.bytes)),
        number(live, "" if live is None else look.bytes_text(live)),
        cell(step.why, "why"),
    )


def _memory(program: Program) -> str:
    held = program.memory
    if held is None:
        return ""
    arena = sum(held.arenas)
    told = (
        f"{look.bytes_text(arena)} (the dashed line), {ratio_text(arena, held.peak)} the"
        f" {look.bytes_text(held.peak)} that live at once at most{beside_text(held)}."
    )
    if held.target == "wasm":
        told += " Scratch memory of kernels is part of the first number alone."
    return f'<p>{told}</p><div class="memory">{memory(held, program)}</div>'


def _kernels(found: Inspection) -> str:
    parts = []
    if found.kernels:
        heads = ("kernel", "template", "key", "bytes", "workgroup", "bindings", "steps")
        total = look.bytes_text(sum(k.bytes for k in found.kernels))
        made = table(heads, [*map(_kernel_row, found.kernels)], ("bytes", "steps"))
        parts.append(f"<h3>WebGPU: {len(found.kernels)} shaders, {total}</h3>{made}")
    if found.modules:
        heads = ("module", "requires", "bytes", "functions", "code", "longest function", "data")
        rows = [
            (
                cell(m.file, "name"),
                cell(", ".join(m.requires) or "SIMD"),
                *map(number, (m.bytes, m.functions, m.code, m.longest, m.data)),
            )
            for m in found.modules
        ]
        parts.append("<h3>Wasm</h3>" + table(heads, rows, heads[2:]))
    return "".join(parts)


def _kernel_row(kernel: Kernel) -> Row:
    source = f"<details><summary>source</summary><pre>{escape(kernel.code)}</pre></details>"
    swatch = f'<span class="swatch {tone(kernel.template)}"></span>'
    return (
        html_cell(f"{swatch}{escape(kernel.name)}{source}", "name"),
        cell(kernel.template),
        html_cell(f"<code>{kernel.key}</code>"),
        number(kernel.bytes),
        cell(kernel.workgroup),
        cell(f"{len(kernel.bindings)} buffers, {kernel.words} words"),
        number(kernel.steps),
    )


def _weights(found: Inspection) -> str:
    if not found.weights:
        return ""
    most = max(w.bytes for w in found.weights)
    rows = [
        (
            cell(w.name, "name"),
            cell(w.dtype),
            cell(shape_of(w.shape)),
            cell(w.layout),
            number(w.bytes),
            bar(w.bytes, most, "t-matmul"),
            cell(", ".join(w.readers), "why"),
        )
        for w in sorted(found.weights, key=lambda w: -w.bytes)
    ]
    heads = ("weight", "dtype", "shape", "layout", "bytes", "", "read by")
    total = look.bytes_text(sum(w.bytes for w in found.weights))
    return f"<p>{len(rows)} tensors, {total}.</p>" + table(heads, rows, ("bytes",))


def _files(found: Inspection) -> str:
    rows = [
        (
            cell(f.name, "name"),
            number(f.bytes),
            cell("as it is", "n quiet") if f.gzip is None else number(f.gzip),
        )
        for f in found.files
    ]
    return table(("file", "bytes", "gzip"), rows, ("bytes", "gzip"))


def _data(found: Inspection) -> str:
    """What the script shows of a step, by entry."""
    told = json.dumps({"entries": [{"details": _details(found, p)} for p in found.programs]})
    return told.replace("<", "\\u003c")


def _details(found: Inspection, program: Program) -> dict[str, list[tuple[str, Any]]]:
    begins, ends = interface_names(program), output_names(program)
    readers: dict[str, list[str]] = {}
    sources: dict[str, list[str]] = {}
    for source, target in edges_of(program):
        readers.setdefault(source, []).append(target)
        sources.setdefault(target, []).append(source)
    tensors = {f"{t.kind} {t.name}": t for t in program.tensors}
    made: dict[str, list[tuple[str, Any]]] = {}
    for name in itertools.chain(begins.values(), *ends.values()):
        tensor = tensors[name]
        made[name] = [
            ("dtype", tensor.dtype),
            ("shape", shape_of(tensor.shape)),
            *_present("read by", readers.get(name)),
            *_present("made by", sources.get(name)),
        ]
    for place, step in enumerate(program.plan.steps):
        made[step.name] = _step(place, step, found, program, readers.get(step.name), sources.get(step.name))
    return made


def _step(
    number: int,
    step: Step,
    found: Inspection,
    program: Program,
    readers: list[str] | None,
    sources: list[str] | None,
) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = [("step", str(number)), ("template", step.template)]
    for group in step.dispatches:
        size = " × ".join(map(str, group.workgroups)) if group.workgroups else "data decide"
        rows += [("kernel", group.kernel), ("workgroups", size)]
    if step.host:
        rows.append(("on the CPU since", step.host))
    if step.calls != 1:
        rows.append(("runs", "data decide" if step.calls is None else f"{step.calls} times"))
    if step.operations:
        rows.append(("operations", f"{step.operations:,}"))
    if step.bytes is not None:
        rows.append(("moves", size_text(step.bytes)))
    rows += [*_present("reads", sources), *_present("weights", _read(step, found))]
    if step.writes is not None and program.account is not None:
        rows.append(("dtype", program.account.tensors[step.writes].dtype.value))
    rows += [*_present("read by", readers), *_present("ends here since", [step.why] if step.why else None)]
    return rows


def _read(step: Step, found: Inspection) -> list[str]:
    weights = [found.weights[-1 - r] for r in step.reads if r < 0]
    return [f"{w.name} ({w.dtype} {shape_of(w.shape)}, {look.bytes_text(w.bytes)})" for w in weights]


def _present(term: str, values: list[str] | None) -> list[tuple[str, Any]]:
    return [(term, values)] if values else []
