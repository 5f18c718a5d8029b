"""Writing packs: whole or not at all, the same bytes each time, shards of limited size."""

import errno
import hashlib
import os
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyruntime.errors import PackError
from pyruntime.ir.dtypes import DType
from pyruntime.pack import shards
from pyruntime.pack.reader import Pack
from pyruntime.pack.schema import Entry, Manifest, Model, Producer
from pyruntime.pack.shards import Deferred, WeightWriter
from pyruntime.pack.targets import Targets, Wasm, WasmEntry, WasmVariant, WasmWeight
from pyruntime.pack.writer import PackWriter


def fill(pack: PackWriter, value: float = 1.0, targets: Targets | None = None) -> None:
    """A small pack that is valid as far as validation looks."""
    index = pack.weights.add("w", np.full((3, 4), value, np.float16), layout="plain")
    code = pack.add_file("model.wasm", b"\0asm")
    wasm = Wasm(
        abi=1,
        pointer_bits=32,
        initial_pages=3,
        weights=(WasmWeight(index, 131072, DType.F32),),
        entries=(WasmEntry(200000, ("a",)),),
        variants=(WasmVariant((), *code),),
    )
    pack.finish(
        Manifest(
            requires=(),
            producer=Producer("test", "0"),
            model=Model("m", "none", "0" * 64),
            entries=(Entry("main", (), (), ()),),
            weights=pack.weights.finish(),
            targets=targets or Targets(wasm=wasm),
        )
    )


def write(path: Path, value: float = 1.0, targets: Targets | None = None) -> None:
    with PackWriter(path) as pack:
        fill(pack, value, targets)


def value_of(path: Path) -> float:
    with Pack(path) as pack:
        (piece,) = pack.tensors([0])
    return float(np.frombuffer(piece[2], np.float16)[0])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", ["m.pack", "m.zip"])
def test_written_pack_is_read(tmp_path: Path, name: str) -> None:
    write(tmp_path / "new" / "folders" / name, 3.0)
    assert value_of(tmp_path / "new" / "folders" / name) == 3.0


@pytest.mark.parametrize("name", ["m.pack", "m.zip"])
def test_same_pack_same_bytes(tmp_path: Path, name: str) -> None:
    for folder in ("a", "b"):
        write(tmp_path / folder / name)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("name", ["m.pack", "m.zip"])
def test_older_pack_is_replaced(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, 1.0)
    write(tmp_path / name, 2.0)
    assert value_of(tmp_path / name) == 2.0
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_archive_is_stored_and_begins_with_the_manifest(tmp_path: Path) -> None:
    write(tmp_path / "m.zip")
    infos = zipfile.ZipFile(tmp_path / "m.zip").infolist()
    assert infos[0].filename == "pack.json"
    assert {i.compress_type for i in infos} == {zipfile.ZIP_STORED}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("finished", [False, True])
def test_nothing_is_left_behind(
    tmp_path: Path, error: type[BaseException], older: bool, finished: bool
) -> None:
    folder = tmp_path / "made"
    if older:
        write(folder / "m.pack", 1.0)
    before = contents(tmp_path)

    def interrupted() -> None:
        with PackWriter(folder / "m.pack") as pack:
            fill(pack) if finished else pack.add_file("a.bin", b"abc")
            raise error

    with pytest.raises(error):
        interrupted()
    assert contents(tmp_path) == before
    assert folder.exists() == older


def test_block_without_finish_leaves_nothing(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "m.pack") as pack:
        pack.add_file("a.bin", b"abc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["write", "replace"])
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    write(tmp_path / "m.pack", 1.0)
    before = contents(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call == "write":
        monkeypatch.setattr(Path, "write_bytes", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(PackError, match="No space left on device"):
        write(tmp_path / "m.pack", 2.0)
    monkeypatch.undo()
    assert contents(tmp_path) == before


def test_failing_second_rename_restores_the_older_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "m.pack", 1.0)
    before = contents(tmp_path)
    replace = Path.replace

    def fail_for_the_new(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError(errno.EIO, "broken disk")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_for_the_new)
    with pytest.raises(PackError, match="broken disk"):
        write(tmp_path / "m.pack", 2.0)
    monkeypatch.undo()
    assert contents(tmp_path) == before


def test_other_things_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    (tmp_path / "notes.zip").write_text("no archive")
    (tmp_path / "file").write_text("text")
    for name in ("photos", "notes.zip", "file"):
        with pytest.raises(PackError, match="exists and is not a pack"):
            write(tmp_path / name)
    assert (tmp_path / "photos" / "cat.jpg").read_bytes() == b"cat"
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty")
    assert value_of(tmp_path / "empty") == 1.0


def test_unwritable_parent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(PackError, match="cannot write"):
        write(tmp_path / "file" / "m.pack")


def test_manifest_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="neither wasm nor webgpu"):
        write(tmp_path / "m.pack", targets=Targets())
    assert not list(tmp_path.iterdir())


def test_shards_are_limited_and_named_by_content(tmp_path: Path) -> None:
    writer = WeightWriter(tmp_path, limit=4096)
    sizes = [100, 800, 300, 5000, 1, 1, 600, 600]
    for i, size in enumerate(sizes):
        writer.add(f"t{i}", np.full(size, i, np.float32))
    weights = writer.finish()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(s.file for s in weights.shards)
    for number, shard in enumerate(weights.shards):
        data = (tmp_path / shard.file).read_bytes()
        assert shard.file == f"weights-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
        assert len(data) == shard.bytes
        held = [t for t in weights.tensors if t.shard == number]
        assert len(data) <= 4096 or len(held) == 1
        for tensor in held:
            start = shard.data + tensor.offset
            elements = np.frombuffer(data[start : start + tensor.bytes], np.float32)
            assert set(elements) == {float(tensor.name[1:])}
    assert [t.elements for t in weights.tensors] == sizes


def test_no_weights_no_shards(tmp_path: Path) -> None:
    weights = WeightWriter(tmp_path).finish()
    assert not weights.shards
    assert not list(tmp_path.iterdir())


def test_names_are_made_unique_and_arrays_dense(tmp_path: Path) -> None:
    writer = WeightWriter(tmp_path)
    transposed = np.arange(6, dtype=np.int64).reshape(2, 3).T
    for array in (
        transposed,
        np.array(2.5, np.float32),
        transposed.astype(">i8"),
        np.zeros((0, 3), np.uint8),
    ):
        writer.add("w", array)
    writer.add("__metadata__", np.ones(1, np.bool_), layout="panels8", shape=(1, 1))
    weights = writer.finish()
    assert [t.name for t in weights.tensors] == ["w", "w~2", "w~3", "w~4", "__metadata__~2"]
    assert [tuple(t.shape) for t in weights.tensors] == [(3, 2), (), (3, 2), (0, 3), (1, 1)]
    (shard,) = weights.shards
    data = (tmp_path / shard.file).read_bytes()[shard.data :]
    for i in (0, 2):
        tensor = weights.tensors[i]
        stored = np.frombuffer(data[tensor.offset : tensor.offset + tensor.bytes], "<i8").reshape(3, 2)
        assert np.array_equal(stored, transposed)


def test_every_dtype_has_a_safetensors_name() -> None:
    assert set(shards.SAFETENSORS_DTYPES.values()) == {
        *("BOOL", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "F16", "F32", "F64")
    }


def test_arrays_that_are_made_when_they_are_written(tmp_path: Path) -> None:
    """The same bytes, and none is made before its shard is full."""
    made: list[int] = []

    def make(i: int) -> NDArray[Any]:
        made.append(i)
        return np.full(100, i, ">f4")

    for folder in ("now", "later"):
        (tmp_path / folder).mkdir()
        writer = WeightWriter(tmp_path / folder, limit=1000)
        for i in range(5):
            array = make(i) if folder == "now" else Deferred(DType.F32, 100, partial(make, i))
            writer.add(f"t{i}", array)
            assert made == [0, 1, 2, 3, 4][: i + 1 if folder == "now" else i - i % 2]
        weights = writer.finish()
        assert made == [0, 1, 2, 3, 4]
        made.clear()
        assert [t.elements for t in weights.tensors] == [100] * 5
    files = [sorted((p.name, p.read_bytes()) for p in (tmp_path / f).iterdir()) for f in ("now", "later")]
    assert files[0] == files[1]
    assert len(files[0]) == 3
