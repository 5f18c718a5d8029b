"""What packs made by hand are made of: their files and manifest, and commands of programs on the GPU."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pyruntime_wasm.toolchain import INCLUDE

from pyruntime.ir.dims import Dim, ceildiv
from pyruntime.ir.rpn import to_rpn

SOURCES = Path(__file__).with_name("sources")
INFINITY = 0x7F800000
CHUNK = 4 << 20
Array = NDArray[Any]
Json = dict[str, Any]


def compiler_missing() -> str:
    """Why the Wasm modules cannot be compiled here; empty when they can."""
    missing = [t for t in ("clang-22", "wasm-ld-22") if shutil.which(t) is None]
    return f"{' and '.join(missing)} not on PATH" if missing else ""


def sha256(data: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()


@functools.cache
def compiled(source: str, requires: tuple[str, ...], pages: int) -> bytes:
    """The Wasm module of sources/<source>.c."""
    with tempfile.TemporaryDirectory() as folder:
        made, linked = f"{folder}/m.o", f"{folder}/m.wasm"
        flags = ["-O2", "-ffreestanding", "-nostdlib", "-Wall", "-Werror", "-msimd128", "-mbulk-memory"]
        flags += ["-mrelaxed-simd"] * ("relaxed-simd" in requires)
        flags += ["-matomics", "-Wno-atomic-alignment", "-I", str(INCLUDE)]
        unit = ["-c", "-o", made, str(SOURCES / f"{source}.c")]
        subprocess.run(["clang-22", "--target=wasm32-unknown-unknown", *flags, *unit], check=True)
        options = f"--no-entry --import-memory --strip-all -z stack-size=65536 --initial-memory={pages << 16}"
        options += " --shared-memory --max-memory=4294967296" * ("threads" in requires)
        subprocess.run(["wasm-ld-22", *options.split(), "-o", linked, made], check=True)
        return Path(linked).read_bytes()


class Maker:
    """Collects one pack's files and manifest."""

    def __init__(self, name: str) -> None:
        self.files: dict[str, bytes] = {}
        self.manifest: Json = {
            "format": 0,
            "requires": [],
            "producer": {"name": "handmade", "version": "0"},
            "model": {"name": name, "format": "handmade", "sha256": sha256(name.encode()), "opset": 0},
            "entries": [],
            "weights": {"shards": [], "tensors": []},
            "targets": {},
        }

    def write(self, folder: Path) -> None:
        """The pack as a folder."""
        folder.mkdir(parents=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        (folder / "pack.json").write_text(json.dumps(self.manifest, indent=1) + "\n")

    def weights(self, tensors: Mapping[str, Array]) -> None:
        """One shard with these tensors."""
        names = {"float16": "F16", "float32": "F32"}
        header: Json = {}
        data = b""
        for name, array in tensors.items():
            begin, data = len(data), data + array.tobytes()
            header[name] = {
                "dtype": names[array.dtype.name],
                "shape": array.shape,
                "data_offsets": [begin, len(data)],
            }
            self.manifest["weights"]["tensors"].append(
                {
                    "name": name,
                    "dtype": array.dtype.name,
                    "elements": array.size,
                    "shard": 0,
                    "offset": begin,
                    "bytes": array.nbytes,
                    "layout": "plain",
                    "shape": array.shape,
                }
            )
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        whole = struct.pack("<Q", len(text)) + text + data
        file = f"weights-{sha256(whole)[:16]}.safetensors"
        self.files[file] = whole
        chunks = [sha256(whole[i : i + CHUNK]) for i in range(0, len(whole), CHUNK)]
        self.manifest["weights"]["shards"].append(
            {"file": file, "bytes": len(whole), "data": 8 + len(text), "chunks": chunks}
        )

    def asset(self, name: str, data: bytes) -> None:
        """A file that travels with the model."""
        file = f"asset-{len(self.files)}"
        self.files[file] = data
        row = {"name": name, "file": file, "bytes": len(data), "sha256": sha256(data)}
        self.manifest.setdefault("assets", []).append(row)

    def wasm(
        self, source: str, pages: int, weights: list[Json], entries: list[Json], best: str = "relaxed-simd"
    ) -> None:
        """The Wasm target, in two variants, of which the first requires `best`."""
        variants = []
        for label, requires in ((best.partition("-")[0], [best]), ("simd", [])):
            file = f"model.{label}.wasm"
            self.files[file] = code = compiled(source, tuple(requires), pages)
            variants.append({"requires": requires, "file": file, "bytes": len(code), "sha256": sha256(code)})
        self.manifest["targets"]["wasm"] = {
            "abi": 1,
            "pointer_bits": 32,
            "initial_pages": pages,
            "weights": weights,
            "entries": entries,
            "variants": variants,
        }

    def webgpu(
        self,
        buffers: list[int],
        weights: list[Json],
        shaders: list[tuple[str, str, list[str]]],
        entries: list[Json],
    ) -> None:
        """The WebGPU target in one variant; a shader is its name, WGSL and bindings."""
        code, listed = b"", []
        for name, text, bindings in shaders:
            listed.append(
                {"name": name, "offset": len(code), "bytes": len(text), "bindings": bindings, "words": 2}
            )
            code += text.encode()
        self.files["shaders.base.wgsl"] = code
        variant = {
            "requires": [],
            "limits": {},
            "file": "shaders.base.wgsl",
            "bytes": len(code),
            "sha256": sha256(code),
            "shaders": listed,
            "entries": entries,
        }
        self.manifest["targets"]["webgpu"] = {"buffers": buffers, "weights": weights, "variants": [variant]}


def source(name: str) -> str:
    """The text of a file in sources/."""
    return (SOURCES / name).read_text()


def spec(name: str, dtype: str, *shape: Dim, **more: Any) -> Json:
    """An input or output of an entry."""
    return {"name": name, "dtype": dtype, "shape": [to_rpn(d) for d in shape], **more}


def place(arena: int, offset: Dim, dtype: str = "float32") -> Json:
    """Where an input or output lies on the GPU."""
    return {"arena": arena, "offset": to_rpn(offset), "dtype": dtype}


def region(kind: str, index: int, offset: Dim, *size: Dim) -> list[Any]:
    """A piece of a buffer in a command."""
    return [kind, index, to_rpn(offset), *map(to_rpn, size)]


def dispatch(step: str, shader: int, bindings: list[list[Any]], word: Dim, threads: Dim) -> Json:
    """A dispatch of workgroups of 64."""
    return {
        "op": "dispatch",
        "step": step,
        "shader": shader,
        "bindings": bindings,
        "words": [INFINITY, to_rpn(word)],
        "workgroups": [to_rpn(ceildiv(threads, 64)), 1, 1],
    }
