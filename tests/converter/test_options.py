"""Options of `convert` that are none, which are refused before the model is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pyruntime
from pyruntime.errors import OptionError

MAPPINGS = ("state", "state_init", "capacity", "symbols", "elements", "values", "assets")


def refused(tmp_path: Path, **options: Any) -> str:
    with pytest.raises(OptionError) as caught:
        pyruntime.convert(tmp_path / "none.onnx", tmp_path / "none.pack", **options)
    assert not any(tmp_path.iterdir())
    return str(caught.value)


@pytest.mark.parametrize("option", MAPPINGS)
@pytest.mark.parametrize("given", [32, 0, [("past", 32)], "past"])
def test_names_of_nothing(tmp_path: Path, option: str, given: object) -> None:
    assert refused(tmp_path, **{option: given}).startswith(f"{option} {given!r}: give a mapping from names")


@pytest.mark.parametrize(
    ("option", "given", "message"),
    [
        ("targets", ("gpu",), "one or both of webgpu, wasm"),
        ("targets", (), "one or both of webgpu, wasm"),
        ("weights", "f17", "give 'f32' or 'f16'"),
        ("quantize", "int5", "give one of int8"),
    ],
)
def test_what_is_not_offered(tmp_path: Path, option: str, given: object, message: str) -> None:
    assert message in refused(tmp_path, **{option: given})
