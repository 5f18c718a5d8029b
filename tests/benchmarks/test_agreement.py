"""When outputs count as those of the reference."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.court.agreement import compare, cosine

WANTED = {"y": np.array([[1.0, -4.0], [2.0, 0.5]], np.float32)}


def test_equal_outputs_agree() -> None:
    found = compare(WANTED, WANTED, "f32")
    assert (found.difference, found.problem) == (0, None)
    assert found.cosine == pytest.approx(1)


@pytest.mark.parametrize(("error", "agrees"), [(0.004, True), (0.02, False)])
def test_f32_is_held_to_a_part_of_the_largest_value(error: float, agrees: bool) -> None:
    found = compare({"y": WANTED["y"] + np.float32(error)}, WANTED, "f32")
    assert found.difference == pytest.approx(error / 4, rel=1e-3)
    assert (found.problem is None) == agrees


def test_int8_is_held_to_its_cosine() -> None:
    near = {"y": WANTED["y"] * np.float32(1.1)}
    assert compare(near, WANTED, "int8").problem is None
    assert compare(near, WANTED, "f32").problem is not None
    assert compare({"y": WANTED["y"][::-1]}, WANTED, "int8").problem is not None


def test_the_worst_output_counts() -> None:
    wanted = {**WANTED, "z": np.ones(3, np.float32)}
    assert compare({**wanted, "z": -wanted["z"]}, wanted, "int8").cosine == pytest.approx(-1)


def test_missing_and_infinite_outputs_are_problems() -> None:
    assert "no output y" in str(compare({}, WANTED, "f32").problem)
    infinite = compare({"y": np.full((2, 2), np.inf, np.float32)}, WANTED, "int8")
    assert "not finite" in str(infinite.problem)


def test_cosines_of_zeros() -> None:
    zeros = np.zeros(3)
    assert cosine(zeros, zeros) == 1
    assert cosine(zeros, np.ones(3)) == 0
