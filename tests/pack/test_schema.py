"""Decoding and encoding of pack.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyruntime.errors import PackError, PackVersionError
from pyruntime.pack.manifest import decode_manifest, encode_manifest
from pyruntime.pack.targets import Dispatch

Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize("name", ["affine", "dtypes", "double", "team"])
def test_round_trip(packs: Path, name: str) -> None:
    manifest = decode_manifest((packs / name / "pack.json").read_bytes())
    text = encode_manifest(manifest)
    assert decode_manifest(text) == manifest
    assert encode_manifest(decode_manifest(text)) == text
    assert json.loads(text)["format"] == 0


def test_one_line_for_each_command(packs: Path) -> None:
    manifest = decode_manifest((packs / "affine" / "pack.json").read_bytes())
    lines = encode_manifest(manifest).decode().splitlines()
    assert manifest.targets.webgpu is not None
    commands = [c for e in manifest.targets.webgpu.variants[0].entries for c in e.commands]
    assert sum('"op": "dispatch"' in line for line in lines) == sum(isinstance(c, Dispatch) for c in commands)
    assert all(line.count('"op"') <= 1 for line in lines)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.pop("entries"), "pack.json: 'entries' is missing"),
        (lambda m: m.update(entries={}), "pack.json: entries: expected an array, got {}"),
        (lambda m: m.update(entries=[]), "pack.json: entries: expected at least 1 elements, got 0"),
        (
            lambda m: m["targets"]["webgpu"]["variants"][0]["shaders"][1].update(offset="x"),
            "pack.json: targets.webgpu.variants[0].shaders[1].offset: expected an integer from 0",
        ),
        (
            lambda m: m["targets"]["webgpu"]["variants"][0]["shaders"][1].update(bindings=["write"]),
            "shaders[1].bindings[0]: expected 'read' or 'read_write', got 'write'",
        ),
        (
            lambda m: m["targets"]["webgpu"]["variants"][0]["entries"][0]["commands"][0].update(op="leap"),
            "commands[0]: 'op' must be one of copy, dispatch, fill, host, jump, read, set, got 'leap'",
        ),
        (
            lambda m: m["targets"]["webgpu"]["variants"][0]["entries"][1]["commands"][1]["from"].append(0),
            "commands[1].from: expected an array of 3 elements",
        ),
        (
            lambda m: m["targets"]["webgpu"]["variants"][0]["entries"][0].update(arenas=[["batch", "*"]]),
            "entries[0].arenas[0]: not an expression: operator '*' lacks operands",
        ),
        (
            lambda m: m["entries"][0]["inputs"][0].update(dtype="bfloat16"),
            "pack.json: entries[0].inputs[0].dtype: expected a dtype, got 'bfloat16'",
        ),
        (lambda m: m["entries"][0].update(name=""), "entries[0].name: expected a non-empty name"),
        (lambda m: m["model"].update(sha256="00"), "model.sha256: expected a SHA-256"),
        (
            lambda m: m["weights"]["shards"][0].update(file="../weights.safetensors"),
            "weights.shards[0].file: expected a plain file name, got '../weights.safetensors'",
        ),
        (
            lambda m: m["targets"]["wasm"]["variants"][0].update(file="/etc/passwd"),
            "targets.wasm.variants[0].file: expected a plain file name",
        ),
        (lambda m: m["targets"]["wasm"].update(initial_pages=70000), "expected an integer from 1 to 65536"),
        (lambda m: m["weights"]["tensors"][0].update(elements=True), "expected an integer from 0"),
        (lambda m: m["weights"]["tensors"][0].update(elements=12.0), "expected an integer from 0"),
        (lambda m: m.update(format="0"), "pack.json: format: expected an integer"),
        (lambda m: m.pop("format"), "pack.json: 'format' is missing"),
    ],
)
def test_messages_name_the_path(packs: Path, edit: Edit, message: str) -> None:
    manifest = json.loads((packs / "affine" / "pack.json").read_text())
    edit(manifest)
    with pytest.raises(PackError) as caught:
        decode_manifest(json.dumps(manifest).encode())
    assert message in str(caught.value)
    assert caught.value.code == "pack-invalid"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.update(format=1), "format 1.*reads up to 0"),
        # what else the newer format says is not looked at
        (lambda m: (m.update(format=7), m.pop("weights"), m.pop("entries")), "format 7"),
        (lambda m: m.update(requires=["wings", "jumps"]), "requires jumps, wings"),
    ],
)
def test_newer_packs(packs: Path, edit: Edit, message: str) -> None:
    manifest = json.loads((packs / "affine" / "pack.json").read_text())
    edit(manifest)
    with pytest.raises(PackVersionError, match=message):
        decode_manifest(json.dumps(manifest).encode())


def test_unknown_optional_fields_are_ignored(packs: Path) -> None:
    data = (packs / "affine" / "pack.json").read_bytes()
    manifest = json.loads(data)
    manifest["comment"] = {"any": [1, None]}
    manifest["entries"][0]["hint"] = 3
    manifest["weights"]["shards"][0]["mirror"] = "x"
    manifest["targets"]["vulkan"] = {}
    assert decode_manifest(json.dumps(manifest).encode()) == decode_manifest(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'{"format": 0',
        b'{"format": 0, "format": 0}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": 1' + b"0" * 5000 + b"}",
        b'{"format": NaN, "requires": []}',
    ],
)
def test_not_a_manifest(data: bytes) -> None:
    with pytest.raises(PackError):
        decode_manifest(data)
