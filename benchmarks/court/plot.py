"""results.svg: for each benchmark the time of each engine as a multiple of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.court.engines import IN_WORKER, OURS

Row = Mapping[str, Any]
COLOURS = {
    OURS: "#0b7a4b",
    IN_WORKER: "#7cc4a0",
    "onnxruntime-web": "#d1495b",
    "litert": "#3d6cb9",
    "tfjs": "#e39b21",
    "jax-js": "#7d5ba6",
}
LEFT, WIDTH, RIGHT, HEIGHT, TOP = 140, 640, 190, 34, 64
APART = 4  # px between the marks of two engines, so that equal times are seen
FONT = 'font-family="system-ui, sans-serif"'
TICKS = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)


def plot(rows: Sequence[Row]) -> str:
    """An SVG of all f32 rows on one thread in Chromium that have a ratio to ours."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if (row["host"], row["dtype"], row["threads"], row["device"]) != ("chromium", "f32", 1, "wasm"):
            continue
        if "error" not in row:
            groups.setdefault(row["benchmark"], []).append(row)
    ratios = [r["ratio"] for group in groups.values() for r in group if "ratio" in r]
    least = min([0.5, *(r * 0.8 for r in ratios)])
    most = min(TICKS[-1], max([4.0, *(r * 1.3 for r in ratios)]))

    def x(ratio: float) -> float:
        shown = min(max(ratio, least), most)
        return LEFT + WIDTH * (math.log(shown) - math.log(least)) / (math.log(most) - math.log(least))

    bottom = TOP + HEIGHT * max(1, len(groups))
    parts = [
        *_frame(LEFT + WIDTH + RIGHT, bottom + 44),
        *_legend(),
        *_axis(x, least, most, bottom),
    ]
    for at, (benchmark, group) in enumerate(groups.items()):
        y = TOP + HEIGHT * at + HEIGHT / 2
        parts.append(
            f'<text x="{LEFT - 12}" y="{y + 4:.0f}" text-anchor="end" {FONT} font-size="13" fill="#222">'
            f"{escape(benchmark)}</text>"
        )
        for row in group:
            parts += _mark(row, x, y + APART * _place(row["engine"]))
            if row["engine"] == OURS:
                parts.append(_own(row, y))
    return "\n".join([*parts, "</svg>", ""])


def _frame(width: float, height: float) -> list[str]:
    size = f'width="{width}" height="{height}"'
    title = "Time of a run as a multiple of pyruntime's: f32, Wasm, one thread, Chromium"
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size}>',
        f'<rect {size} fill="white"/>',
        f'<text x="16" y="22" {FONT} font-size="15" font-weight="600" fill="#222">{title}</text>',
    ]


def _legend() -> list[str]:
    parts, at = [], 20
    for name, colour in COLOURS.items():
        parts.append(f'<circle cx="{at}" cy="42" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{at + 10}" y="46" {FONT} font-size="12" fill="#222">{escape(name)}</text>')
        at += 34 + 7 * len(name)
    return parts


def _axis(x: Any, least: float, most: float, bottom: float) -> list[str]:
    parts = []
    for tick in TICKS:
        if least <= tick <= most:
            colour, width = ("#0b7a4b", 1.5) if tick == 1 else ("#ddd", 1)
            parts.append(
                f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{bottom}" stroke="{colour}" '
                f'stroke-width="{width}"/>'
            )
            parts.append(
                f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle" {FONT} font-size="12" '
                f'fill="#555">{tick:g}×</text>'
            )
    parts.append(
        f'<text x="{LEFT + WIDTH}" y="{bottom + 36}" text-anchor="end" {FONT} font-size="12" fill="#555">'
        "slower than pyruntime →</text>"
    )
    return parts


def _place(engine: str) -> int:
    """-2 to 3: where an engine's marks lie, ours in the middle."""
    others = [name for name in COLOURS if name != OURS]
    return 0 if engine not in others else (3, -2, -1, 1, 2)[others.index(engine)]


def _own(row: Row, y: float) -> str:
    """Our time, and how much of the limit that is."""
    share = f", {row['share_of_fma']:.0%} of the limit" if "share_of_fma" in row else ""
    return (
        f'<text x="{LEFT + WIDTH + 14}" y="{y + 4:.0f}" {FONT} font-size="12" fill="#0b7a4b">'
        f"{row['median_ms']:.3g} ms{share}</text>"
    )


def _mark(row: Row, x: Any, y: float) -> list[str]:
    colour = COLOURS.get(row["engine"], "#555")
    ratio = 1.0 if row["engine"] == OURS else row.get("ratio")
    if ratio is None:
        return []
    title = f"<title>{escape(row['engine'])}: {row['median_ms']:.4g} ms</title>"
    parts = []
    if "ratio_low" in row:
        parts.append(
            f'<line x1="{x(row["ratio_low"]):.1f}" x2="{x(row["ratio_high"]):.1f}" y1="{y}" y2="{y}" '
            f'stroke="{colour}" stroke-width="3" stroke-opacity="0.45"/>'
        )
    parts.append(f'<circle cx="{x(ratio):.1f}" cy="{y}" r="5" fill="{colour}">{title}</circle>')
    return parts
