"""Strokes to images: the page and the training do the same."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo_site.digits.drawing import STROKES, Stroke, drawings, styles, to_image, wobble
from demo_site.digits.network import SIDE

WEB = STROKES.parent
CONVERT = """
const { toImage } = await import(process.argv[1]);
let text = "";
for await (const chunk of process.stdin) text += chunk;
const all = JSON.parse(text).map((strokes) => strokes.map((stroke) => stroke.map(([x, y]) => ({ x, y }))));
console.log(JSON.stringify(all.map((strokes) => Array.from(toImage(strokes)))));
"""
EXAMPLES = """
const { strokesOf } = await import(process.argv[1]);
let text = "";
for await (const chunk of process.stdin) text += chunk;
const all = JSON.parse(text).map(strokesOf);
console.log(JSON.stringify(all.map((strokes) => strokes.map((stroke) => stroke.map(({ x, y }) => [x, y])))));
"""


def in_node(program: str, module: Path, given: Any) -> Any:
    """What a program prints as JSON, which gets a module's URL and JSON on its standard input."""
    node = shutil.which("node")
    assert node, "node comes with the development set-up"
    command = [node, "--input-type=module", "-e", program, module.as_uri()]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_twins() -> None:
    """Every style, wobbling, and what a hand may leave: a dot, a flat line, one far outside."""
    rng = np.random.default_rng(5)
    hands = [wobble(strokes, rng) for _, strokes in styles()]
    odd: list[list[Stroke]] = [
        [np.array([[0.5, 0.5]])],
        [np.array([[0.1, 0.4], [0.9, 0.4]])],
        [np.array([[0.1, 0.4], [0.1, 0.4]]), np.array([[30.0, -7.0]])],
        [rng.uniform(0, 1, (60, 2))],
    ]
    given = hands + odd
    found = in_node(CONVERT, WEB / "preprocess.js", [[s.tolist() for s in strokes] for strokes in given])
    expected = np.stack([to_image(strokes) for strokes in given]).reshape(len(given), -1)
    np.testing.assert_allclose(np.array(found), expected, atol=2e-5)
    assert expected.std(axis=0).max() > 0.2, "the drawings must differ"


def test_nothing_drawn_is_blank_in_the_page() -> None:
    assert in_node(CONVERT, WEB / "preprocess.js", [[]]) == [[0] * SIDE * SIDE]


def test_examples_pass_through_their_corners() -> None:
    written = json.loads(STROKES.read_text())
    assert sorted(written) == [str(digit) for digit in range(10)]
    given = [hands[0] for hands in written.values()]
    for numbers, curves in zip(given, in_node(EXAMPLES, WEB / "examples.js", given), strict=True):
        assert len(curves) == len(numbers)
        for flat, curve in zip(numbers, curves, strict=True):
            corners = np.array(flat).reshape(-1, 2) / 100
            apart = np.abs(np.array(curve)[:, None] - corners).max(axis=2).min(axis=0)
            assert apart.max() < 1e-9


@pytest.mark.parametrize("scale", [0.01, 1.0, 250.0])
def test_size_and_place_do_not_matter(scale: float) -> None:
    for _, strokes in list(styles())[:4]:
        moved = [stroke * scale + 3 * scale for stroke in strokes]
        np.testing.assert_allclose(to_image(moved), to_image(strokes), atol=1e-5)


def test_drawings_hold_as_many_of_each_digit() -> None:
    images, labels = drawings(np.random.default_rng(6), per_digit=2)
    assert np.bincount(labels).tolist() == [2] * 10
    assert images.shape == (20, SIDE, SIDE)
    assert images.min() >= 0
    assert images.max() <= 1
    # the data set's share of ink
    assert 0.2 < images.mean() < 0.45
