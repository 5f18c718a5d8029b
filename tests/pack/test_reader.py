"""Reading packs: folders and archives, damage of every kind, and streaming of weights."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyruntime.errors import HashError, MissingFileError, PackError
from pyruntime.pack.reader import Pack
from pyruntime.pack.schema import CHUNK, Entry, Manifest, Model, Producer
from pyruntime.pack.targets import Targets, Wasm, WasmEntry, WasmVariant, WasmWeight
from pyruntime.pack.writer import PackWriter

FILES = {
    "pack.json": PackError,
    "model.relaxed.wasm": HashError,
    "model.simd.wasm": HashError,
    "shaders.base.wgsl": HashError,
    "weights-de6eff86dbd7c158.safetensors": HashError,
}


def read_everything(path: Path) -> dict[str, bytes]:
    """All that the pack holds, by file or tensor."""
    with Pack(path) as pack:
        targets = pack.manifest.targets
        assert targets.wasm is not None
        assert targets.webgpu is not None
        found = {v.file: pack.read(v) for v in targets.wasm.variants}
        found |= {v.file: pack.read(v) for v in targets.webgpu.variants}
        for index, _, data in pack.tensors([0, 1]):
            found[f"tensor {index}"] = bytes(data)
    return found


def zipped(folder: Path, target: Path, **options: Any) -> Path:
    with zipfile.ZipFile(target, "w", **options) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return target


@pytest.fixture
def copy(packs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packs / "affine", tmp_path / "affine"))


def test_folder_and_archive_are_the_same(copy: Path, tmp_path: Path) -> None:
    assert read_everything(copy) == read_everything(zipped(copy, tmp_path / "affine.zip"))


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_missing_file(copy: Path, tmp_path: Path, name: str, archive: bool) -> None:
    (copy / name).unlink()
    path = zipped(copy, tmp_path / "p.zip") if archive else copy
    with pytest.raises(MissingFileError, match=name):
        read_everything(path)


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_truncated_file(copy: Path, tmp_path: Path, name: str, archive: bool) -> None:
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: len(data) // 2])
    path = zipped(copy, tmp_path / "p.zip") if archive else copy
    with pytest.raises(FILES[name], match=name):
        read_everything(path)


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("name", [f for f in FILES if f != "pack.json"])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_flipped_bit(copy: Path, tmp_path: Path, name: str, place: float, archive: bool) -> None:
    data = bytearray((copy / name).read_bytes())
    data[round((len(data) - 1) * place)] ^= 0x10
    (copy / name).write_bytes(data)
    path = zipped(copy, tmp_path / "p.zip") if archive else copy
    with pytest.raises(HashError, match=name):
        read_everything(path)


def test_flipped_bit_inside_an_archive(copy: Path, tmp_path: Path) -> None:
    path = zipped(copy, tmp_path / "p.zip")
    whole = path.read_bytes()
    shard = (copy / "weights-de6eff86dbd7c158.safetensors").read_bytes()
    at = whole.index(shard) + 150
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(HashError, match="weights-de6e"):
        read_everything(path)


def test_every_flipped_bit_of_the_manifest_is_a_pack_error_or_harmless(copy: Path) -> None:
    original = (copy / "pack.json").read_bytes()
    for at in range(0, len(original), 7):
        changed = bytearray(original)
        changed[at] ^= 1 << at % 8
        (copy / "pack.json").write_bytes(changed)
        try:
            read_everything(copy)
        except PackError as error:
            assert str(error)  # noqa: PT017 - most, not all, of the flips are errors


def test_wrong_hash_in_the_manifest(damaged: Callable[..., Path]) -> None:
    def edit(m: Any) -> None:
        m["targets"]["webgpu"]["variants"][0]["sha256"] = hashlib.sha256(b"other").hexdigest()

    with pytest.raises(HashError, match=r"shaders\.base\.wgsl"):
        read_everything(damaged(edit))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a pack"])
def test_not_an_archive(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "p.zip"
    path.write_bytes(data)
    with pytest.raises(PackError, match="neither a folder nor an archive"):
        Pack(path)


@pytest.mark.parametrize("data", [b"", b"<!doctype html>", b"{", b"\xff\xfe{}"])
def test_a_manifest_that_is_not_json(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "pack.json").write_bytes(data)
    with pytest.raises(PackError, match=r"pack\.json is not JSON .*; it begins with b") as told:
        Pack(tmp_path)
    assert repr(data) in str(told.value)


def test_a_model_instead_of_a_pack(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\x08\x0e")
    with pytest.raises(PackError, match=r"pyruntime\.convert makes a pack of a model"):
        Pack(path)


def test_the_manifest_instead_of_the_folder(packs: Path) -> None:
    with pytest.raises(PackError, match=r"give its folder"):
        Pack(packs / "affine" / "pack.json")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="there is no pack at"):
        Pack(tmp_path / "p.pack")
    with pytest.raises(MissingFileError, match=r"pack\.json is missing"):
        Pack(tmp_path)


def test_compressed_archive(copy: Path, tmp_path: Path) -> None:
    path = zipped(copy, tmp_path / "p.zip", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(PackError, match=r"pack\.json.*compressed"):
        Pack(path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", ".hidden", "a\\b", "", "x" * 300])
def test_names_that_leave_the_pack(damaged: Callable[..., Path], name: str) -> None:
    def edit(m: Any) -> None:
        m["targets"]["wasm"]["variants"][0]["file"] = name

    with pytest.raises(PackError, match="expected a plain file name"):
        Pack(damaged(edit))


def test_folder_in_place_of_a_file(copy: Path) -> None:
    (copy / "model.simd.wasm").unlink()
    (copy / "model.simd.wasm").mkdir()
    with pytest.raises(MissingFileError, match=r"model\.simd\.wasm"):
        read_everything(copy)


def large_pack(path: Path) -> list[NDArray[Any]]:
    """A pack of which one tensor spans three chunks, with elements across their borders."""
    random = np.random.default_rng(0)
    arrays: list[NDArray[Any]] = [
        random.integers(0, 2, 3).astype(np.bool_),  # makes what follows odd
        random.standard_normal(CHUNK // 2 + 1000),
        random.integers(-9, 9, 7).astype(np.int64),
        random.standard_normal(CHUNK // 4).astype(np.float32),
        random.standard_normal(CHUNK // 2 + 1).astype(np.float16),
    ]
    with PackWriter(path) as writer:
        for i, array in enumerate(arrays):
            assert writer.weights.add(f"t{i}", array) == i
        code = writer.add_file("model.wasm", b"\0asm")
        addresses = np.cumsum([131072, *(a.nbytes + 64 & ~63 for a in arrays)])
        weights = [
            WasmWeight(i, int(address), t.dtype)
            for i, (address, t) in enumerate(zip(addresses, writer.weights.finish().tensors, strict=False))
        ]
        writer.finish(
            Manifest(
                requires=(),
                producer=Producer("test", "0"),
                model=Model("large", "none", "0" * 64),
                entries=(Entry("main", (), (), ()),),
                weights=writer.weights.finish(),
                targets=Targets(
                    wasm=Wasm(1, 32, 3, weights, (WasmEntry(0, ()),), (WasmVariant((), *code),)),
                ),
            )
        )
    return arrays


def test_streaming_across_chunks(tmp_path: Path) -> None:
    arrays = large_pack(tmp_path / "p.pack")
    found = [np.zeros_like(a) for a in arrays]
    pieces = 0
    with Pack(tmp_path / "p.pack") as pack:
        for index, first, data in pack.tensors(range(len(arrays))):
            elements = np.frombuffer(data, arrays[index].dtype)
            assert data.nbytes <= CHUNK + 8
            assert first * elements.itemsize % 4 == 0
            found[index][first : first + len(elements)] = elements
            pieces += 1
    for array, read in zip(arrays, found, strict=True):
        assert np.array_equal(array, read)
    assert pieces > len(arrays)


def test_only_chunks_that_are_needed_are_read(tmp_path: Path) -> None:
    arrays = large_pack(tmp_path / "p.pack")
    with Pack(tmp_path / "p.pack") as pack:
        (shard,) = pack.manifest.weights.shards
        path = tmp_path / "p.pack" / shard.file
        data = bytearray(path.read_bytes())
        data[CHUNK + 5] ^= 1
        path.write_bytes(data)
        (piece,) = pack.tensors([0])
        assert np.array_equal(np.frombuffer(piece[2], np.bool_), arrays[0])
        with pytest.raises(HashError, match=rf"{shard.file}, chunk 1 \(from byte 4194304\)"):
            list(pack.tensors([1]))


def test_shards_are_safetensors(tmp_path: Path) -> None:
    arrays = large_pack(tmp_path / "p.pack")
    (path,) = (tmp_path / "p.pack").glob("*.safetensors")
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    assert size % 8 == 0
    end = 0
    for i, array in enumerate(arrays):
        row = header[f"t{i}"]
        begin, stop = row["data_offsets"]
        assert begin == end
        end = stop
        assert row["shape"] == list(array.shape)
        assert data[8 + size + begin : 8 + size + stop] == array.tobytes()
    assert 8 + size + end == len(data)
