"""What `pyruntime bench --html` writes: one page with bars of all steps, coloured by share of the limit.

Bars are SVG whose lengths are percentages, so that text keeps its size at any width.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape
from pathlib import Path

from pyruntime.cli import look, measuring
from pyruntime.cli.conversion import shortened
from pyruntime.runtime.bench.profile import Profile, StepTime

ROW, BAR = 34, 8  # pixels: of a row's height, of its bar
LEVELS = (0.2, 0.4, 0.6, 0.8)  # shares of the limit at which a bar's colour changes

_STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1d2733; --quiet: #5c6875; --paper: #fff; --line: #dde3e9; --unknown: #8b97a3;
  --l0: #b3430f; --l1: #c97b12; --l2: #8c8a2b; --l3: #2f8a6b; --l4: #12679e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e9ee; --quiet: #9aa7b4; --paper: #14191f; --line: #2b343d; --unknown: #6c7883;
    --l0: #ef7d4a; --l1: #e5a84b; --l2: #bdbb5e; --l3: #56b894; --l4: #5aaee6;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 5rem; font: 15px/1.45 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.35rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 1.8rem 0 .4rem; }
p { margin: .25rem 0; }
.quiet { color: var(--quiet); }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; margin: .6rem 0 0; list-style: none; }
.key svg { width: 1.4rem; height: .6rem; margin-right: .35rem; }
svg.bars { width: 100%; display: block; overflow: visible; font: 13px/1 system-ui, sans-serif; }
svg text { fill: var(--ink); }
svg .number { text-anchor: end; fill: var(--quiet); font-variant-numeric: tabular-nums; }
.row { outline: none; cursor: default; }
.row .field { fill: transparent; }
.row:hover .field, .row:focus-visible .field { fill: var(--line); opacity: .5; }
.whole { opacity: .38; }
.l0 { fill: var(--l0); } .l1 { fill: var(--l1); } .l2 { fill: var(--l2); }
.l3 { fill: var(--l3); } .l4 { fill: var(--l4); }
.unknown { fill: var(--unknown); }
.orders { margin: 1.8rem 0 .4rem; }
.orders h2 { display: inline; margin-right: .8rem; }
.orders label { margin-right: .8rem; }
body:has(#by-time:checked) #in-order, body:has(#as-run:checked) #longest-first { display: none; }
#details { position: fixed; inset: auto 0 0; margin: 0; padding: .6rem 1rem; background: var(--paper);
  border-top: 1px solid var(--line); font-size: 14px; overflow-wrap: anywhere; }
#details:empty { display: none; }
@media (max-width: 34rem) { .wide { display: none; } }
"""
_ORDERS = """<div class="orders"><h2>Steps</h2>
<label><input type="radio" name="order" id="by-time" checked> longest first</label>
<label><input type="radio" name="order" id="as-run"> in order</label></div>"""
# the details of a row, where a finger or the keyboard cannot hover
_SCRIPT = """
const details = document.getElementById("details");
for (const row of document.querySelectorAll(".row")) {
  const show = () => { details.textContent = row.querySelector("title").textContent; };
  for (const event of ["pointerenter", "focus", "click"]) row.addEventListener(event, show);
}
"""


def page(name: str, profile: Profile) -> str:
    """The whole page as HTML; nothing in it is loaded from anywhere."""
    longest_first = sorted(profile.steps, key=lambda s: -s.seconds)
    parts = [f"<h1>{escape(name)}</h1>", f"<p>{escape(measuring.headline(profile))}</p>"]
    parts += [f'<p class="quiet">{escape(line)}</p>' for line in measuring.summary(profile)]
    parts += [f'<p class="quiet">● {escape(note)}</p>' for note in measuring.notes(profile)]
    if profile.steps:
        parts += [_key(), "<h2>Kernels</h2>", _bars(profile.templates, profile, "kernels")]
        parts += [
            _ORDERS,
            _bars(longest_first, profile, "longest-first"),
            _bars(profile.steps, profile, "in-order"),
            '<p id="details" aria-live="polite"></p>',
            f"<script>{_SCRIPT}</script>",
        ]
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(name)}: where the time goes</title>\n<style>{_STYLE}</style>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def write(path: Path, name: str, profile: Profile) -> None:
    """Write the page to a file. Raises OSError."""
    path.write_text(page(name, profile), encoding="utf-8")


def _level(share: float | None) -> str:
    """The class of a bar's colour."""
    return "unknown" if share is None else f"l{sum(share >= level for level in LEVELS)}"


def _key() -> str:
    """Which colour means what."""
    ends = [100 * level for level in (0.0, *LEVELS)]
    texts = [f"{low:.0f} to {high:.0f} %" for low, high in itertools.pairwise(ends)]
    texts.append(f"{ends[-1]:.0f} % and more of the limit")
    items = [(f"l{i}", text) for i, text in enumerate(texts)] + [("unknown", "nothing to compare with")]
    rows = [f'<li><svg><rect class="{c}" width="100%" height="100%"/></svg>{text}</li>' for c, text in items]
    told = "A bar is as long as the step's time; its strong part is what the limit would take."
    return f'<ul class="key quiet">{"".join(rows)}</ul>\n<p class="quiet">{told}</p>'


def _bars(steps: Sequence[StepTime], profile: Profile, name: str) -> str:
    """A row for each step: its name, numbers, and bar."""
    longest = max((s.seconds for s in steps), default=0.0) or 1.0
    rows = [_row(step, 100 / longest, profile, ROW * i) for i, step in enumerate(steps)]
    height = ROW * len(steps)
    return f'<svg class="bars" id="{name}" height="{height}" role="list">{"".join(rows)}</svg>'


def _row(step: StepTime, scale: float, profile: Profile, top: int) -> str:
    text, bar = top + 14, top + ROW - BAR - 6
    again = f" ×{step.calls}" if step.calls != 1 else ""
    level = _level(step.share)
    share = "" if step.share is None else measuring.percent(step.share)
    speed = f"{step.speed / 1e9:.1f} GFLOP/s" if step.speed else ""
    floor = min(step.floor or 0.0, step.seconds)
    return (
        f'<g class="row" role="listitem" tabindex="0"><title>{escape(_details(step, profile))}</title>'
        f'<rect class="field" y="{top}" width="100%" height="{ROW}"/>'
        f'<text y="{text}">{escape(shortened(step.name, 30))}{again}</text>'
        f'<text class="number wide" x="74%" y="{text}">{speed}</text>'
        f'<text class="number" x="87%" y="{text}">{look.seconds_text(step.seconds)}</text>'
        f'<text class="number" x="100%" y="{text}">{share}</text>'
        f'<rect class="{level} whole" y="{bar}" width="{step.seconds * scale:.3f}%" height="{BAR}" rx="2"/>'
        f'<rect class="{level}" y="{bar}" width="{floor * scale:.3f}%" height="{BAR}" rx="2"/></g>'
    )


def _details(step: StepTime, profile: Profile) -> str:
    """All that is known of a step, in one line."""
    part = f" ({measuring.percent(step.seconds / profile.total)} of all steps)" if profile.total else ""
    told = [f"{step.name}: {look.seconds_text(step.seconds)}{part}"]
    told.append(f"at best {look.seconds_text(step.least)}")
    if step.calls != 1:
        told.append(f"{step.calls} calls")
    if step.operations:
        told.append(f"{look.count_text(step.operations)} operations")
    if step.speed:
        told.append(measuring.speed_text(step.speed))
    if step.bytes is not None:
        told.append(f"{look.bytes_text(step.bytes)} read and written")
    if step.floor is not None and step.share is not None:
        told.append(f"limit {look.seconds_text(step.floor)}, {measuring.percent(step.share)} of it reached")
    return " · ".join(told)
