"""safetensors files: what is read of good ones, and how damaged and hostile ones are refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyruntime_converter.frontends.huggingface.safetensors import SafetensorsFile

from pyruntime.errors import ModelError, UnsupportedError
from tests.garden.folders import encoded, safetensors

Json = dict[str, Any]
A = np.arange(6, dtype=np.float32).reshape(2, 3)


def good() -> bytes:
    """Two tensors, a of 24 bytes and b of 4."""
    return safetensors({"a": ("F32", (2, 3), encoded(A, "F32")), "b": ("F16", (2,), b"\0\x3c\0\xc0")})


def read(path: Path, content: bytes) -> SafetensorsFile:
    path.write_bytes(content)
    return SafetensorsFile(path)


def test_every_dtype_of_floats(tmp_path: Path) -> None:
    special = np.array([0.5, -0.0, np.inf, -np.inf, np.nan, 1.0], np.float32)
    content = safetensors({d: (d, (2, 3), encoded(special, d)) for d in ("F32", "F16", "BF16")})
    file = read(tmp_path / "m.safetensors", content)
    for name, wanted in (("F32", "float32"), ("F16", "float16"), ("BF16", "float32")):
        array = file.array(name)
        assert (array.dtype.name, array.shape) == (wanted, (2, 3))
        np.testing.assert_array_equal(array.ravel().astype(np.float32), special)


def test_arrays_are_views_of_the_file(tmp_path: Path) -> None:
    array = read(tmp_path / "m.safetensors", good()).array("a")
    assert not array.flags.owndata
    assert not array.flags.writeable
    np.testing.assert_array_equal(array, A)


def test_empty_tensors_and_scalars(tmp_path: Path) -> None:
    rows = {"none": ("F32", (0, 3), b""), "one": ("F32", (), b"\0\0\x80\x3f"), "last": ("F16", (0,), b"")}
    file = read(tmp_path / "m.safetensors", safetensors(rows))
    assert file.array("none").shape == (0, 3)
    assert file.array("one") == 1
    assert SafetensorsFile(tmp_path / "m.safetensors").rows["last"].shape == (0,)


def test_elements_that_are_no_floats(tmp_path: Path) -> None:
    content = safetensors({"ids": ("I64", (1,), bytes(8)), "eight": ("F8_E4M3", (3,), bytes(3))})
    file = read(tmp_path / "m.safetensors", content)
    for name, dtype in (("ids", "I64"), ("eight", "F8_E4M3")):
        with pytest.raises(UnsupportedError, match=f"{name}.*{dtype}.*F32, F16, BF16"):
            file.array(name)


def edited(edit: Callable[[Json], object]) -> bytes:
    """The good file with another header."""
    content = good()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    edit(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


def headed(text: bytes, length: int | None = None) -> bytes:
    """A file of this header alone, which may lie about its length."""
    return struct.pack("<Q", len(text) if length is None else length) + text


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "0 bytes"),
    "seven bytes": (b"\0" * 7, "7 bytes"),
    "header past the end": (headed(b"{}", 3), "a header of 3 bytes in a file of 10"),
    "header of 2^64 - 1 bytes": (b"\xff" * 8 + b"{}", "a header of 18446744073709551615 bytes"),
    "no JSON": (headed(b"hello   "), "its header is not JSON"),
    "no text": (headed(b'{"\xff": 1}'), "its header is not JSON"),
    "deep JSON": (headed(b"[" * 100_000), "its header is not JSON"),
    "no object": (headed(b"[1, 2]"), "its header is not an object"),
    "a name twice": (headed(b'{"a": 1, "a": 2}'), "'a' is there twice"),
    "truncated": (good()[:-1], "'b' lies at bytes"),
    "more at the end": (good() + b"\0", "1 bytes belong to no tensor"),
    "no description": (edited(lambda h: h.update(a=None)), "'a' is described by None"),
    "unknown dtype": (edited(lambda h: h["a"].update(dtype="F31")), "'a' has dtype 'F31'"),
    "dtype that is no text": (edited(lambda h: h["a"].update(dtype=["F32"])), "'a' has dtype"),
    "negative size": (edited(lambda h: h["a"].update(shape=[-2, -3])), "'a' has shape"),
    "size that is no integer": (edited(lambda h: h["a"].update(shape=[2.0, 3])), "'a' has shape"),
    "size that is true": (edited(lambda h: h["b"].update(shape=[True])), "'b' has shape"),
    "other size": (edited(lambda h: h["a"].update(shape=[2, 4])), "F32 of shape (2, 4), has 24 bytes"),
    "sizes whose product is past 64 bits": (
        edited(lambda h: h["a"].update(shape=[1 << 62, 1 << 62])),
        "has 24 bytes",
    ),
    "very many axes": (edited(lambda h: h["a"].update(shape=[1] * 10_000)), "'a' has shape"),
    "one offset": (edited(lambda h: h["a"].update(data_offsets=[0])), "'a' has shape"),
    "offsets backwards": (edited(lambda h: h["a"].update(data_offsets=[24, 0])), "'a' lies at bytes"),
    "offset past the end": (edited(lambda h: h["b"].update(data_offsets=[2**62, 2**62 + 4])), "'b' lies at"),
    "negative offset": (edited(lambda h: h["a"].update(data_offsets=[-24, 0])), "'a' has shape"),
    "overlap": (edited(lambda h: h["b"].update(data_offsets=[20, 24])), "'b' overlaps another"),
    "gap": (edited(lambda h: h["b"].update(data_offsets=[26, 28], shape=[1])), "'b' follows a gap"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path: Path, name: str) -> None:
    content, message = HOSTILE[name]
    with pytest.raises(ModelError) as caught:
        read(tmp_path / "bad.safetensors", content)
    assert "bad.safetensors" in str(caught.value)
    assert message in str(caught.value)


def test_a_header_past_the_limit_is_not_parsed(tmp_path: Path) -> None:
    """A sparse file: nothing of it is read but its first page."""
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 1 << 32))
        file.truncate((1 << 33) + 8)
    with pytest.raises(ModelError, match="a header of 4294967296 bytes"):
        SafetensorsFile(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        SafetensorsFile(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="cannot be read"):
        SafetensorsFile(tmp_path)


def test_every_flipped_bit_is_an_error_or_harmless(tmp_path: Path) -> None:
    content = good()
    for at in range(0, len(content) * 8, 3):
        changed = bytearray(content)
        changed[at // 8] ^= 1 << at % 8
        try:
            file = read(tmp_path / "m.safetensors", bytes(changed))
            for name, row in file.rows.items():
                assert 8 <= row.begin <= row.end <= len(content)
                file.array(name)
        except (ModelError, UnsupportedError) as error:
            assert str(error)  # noqa: PT017 - most, not all, of the flips are errors
