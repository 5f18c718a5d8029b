"""Pen strokes to the network's images, as web/preprocess.js does it, and drawings to train on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from demo_site.digits.network import SIDE, Array

Stroke = NDArray[np.float64]  # [points, 2]: x and y, y downwards

STROKES = Path(__file__).parent / "web" / "strokes.json"
FINE = 4
DOTS = SIDE * FINE
WIDTH = 24
STRETCH = 1.5
INK = 0.3
ROUNDS = 4


def to_image(strokes: Sequence[Stroke]) -> Array:
    """[8, 8] from 0 (paper) to 1 (ink); the twin of toImage in web/preprocess.js, which tells why."""
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    extent, middle = high - low, (low + high) / 2
    unit = max(extent.max(), 1e-6)
    radius = 3.0
    for _ in range(ROUNDS):
        scale_y = (DOTS - 2 * radius) / max(extent[1], unit / 3)
        scale_x = min((WIDTH - 2 * radius) / max(extent[0], unit * 1e-3), scale_y * STRETCH)
        scale = np.array([scale_x, scale_y])
        distances = _distances([DOTS / 2 + (stroke - middle) * scale for stroke in strokes])
        radius = max(float(np.sort(distances)[int(len(distances) * INK)]), 1.0)
    ink = np.clip(radius - distances + 0.5, 0, 1).reshape(SIDE, FINE, SIDE, FINE)
    image: Array = ink.mean(axis=(1, 3)).astype(np.float32)
    return image


def _distances(strokes: Sequence[Stroke]) -> NDArray[np.float64]:
    """How far the centre of each dot is from the nearest stroke, [DOTS * DOTS]."""
    start = np.concatenate([np.concatenate([s[:1], s[:-1]]) for s in strokes])
    step = np.concatenate([np.diff(s, axis=0, prepend=s[:1]) for s in strokes])
    rows, columns = np.divmod(np.arange(DOTS * DOTS), DOTS)
    dots = np.stack([columns, rows], axis=1)[:, None] + 0.5 - start
    length = np.maximum(np.sum(step * step, axis=1), 1e-12)
    along = np.clip(np.sum(dots * step, axis=2) / length, 0, 1)
    offset = dots - along[..., None] * step
    nearest: NDArray[np.float64] = np.sqrt(np.sum(offset * offset, axis=2).min(axis=1))
    return nearest


def styles() -> Iterator[tuple[int, list[Stroke]]]:
    """Each digit of strokes.json in each of its styles, in 0 to 1."""
    for digit, written in json.loads(STROKES.read_text()).items():
        for strokes in written:
            yield int(digit), [np.array(stroke).reshape(-1, 2) / 100 for stroke in strokes]


def wobble(strokes: Sequence[Stroke], rng: np.random.Generator) -> list[Stroke]:
    """The strokes as an unsteady hand would draw them: bent, turned, slanted and stretched at random."""
    turn, slant = rng.uniform(-0.25, 0.25, 2)
    wide = np.exp(rng.uniform(-0.4, 0.4))
    bend, phase = rng.uniform(-0.035, 0.035, (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[wide, slant], [0, 1]])

    def bent(stroke: Stroke) -> Stroke:
        across = stroke[:, ::-1] - 0.5  # x bends along y, and y along x
        waves = sum(bend[i] * np.sin((5 + 3 * i) * across + phase[i]) for i in range(2))
        turned: Stroke = (stroke - 0.5 + waves) @ matrix.T
        return turned

    return [bent(stroke) for stroke in strokes]


def drawings(rng: np.random.Generator, per_digit: int = 90) -> tuple[Array, NDArray[np.int64]]:
    """Images [n, 8, 8] of wobbly drawings, as many of each digit, and their labels."""
    known = list(styles())
    images, labels = [], []
    for wanted in range(10):
        hands = [strokes for digit, strokes in known if digit == wanted]
        for turn in range(per_digit):
            images.append(to_image(wobble(hands[turn % len(hands)], rng)))
            labels.append(wanted)
    return np.stack(images), np.array(labels)
