"""Small packs made by hand, without compiler and pack writer, with inputs and outputs: for tests of runtimes.

    python -m tests.packs.handmade OUTDIR

writes OUTDIR/NAME/ (a pack) and OUTDIR/NAME.cases.json for each NAME of `PACKS`. A case file is a list of
{"entry", "feeds", "outputs"}; feeds and outputs map a name to {"dtype", "shape", "data"}, data flat.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from pyruntime.ir.dims import align, ceildiv, symbol
from pyruntime.ir.rpn import to_rpn
from tests.packs.maker import Array, Json, Maker, dispatch, place, region, source, spec

GPU_TYPES = {"bool": "uint32", "float16": "float32", "int64": "int32", "uint64": "uint32"} | {
    f"{kind}{bits}": f"{kind}32" for kind in ("int", "uint") for bits in (8, 16, 32)
}
WGSL_TYPES = {"float32": "f32", "int32": "i32", "uint32": "u32"}
DTYPES = (
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "float32",
)
WORDS = "ein kleines Boot\n小船\n".encode() * 1000
Case = tuple[str, dict[str, Array], dict[str, Array]]  # entry, feeds, outputs


def vector(dtype: str) -> Json:
    """What an entry takes and gives: vectors x and y of n elements."""
    n = symbol("n")
    return {
        "symbols": [{"name": "n", "input": 0, "axis": 0}],
        "inputs": [spec("x", dtype, n)],
        "outputs": [spec("y", dtype, n)],
    }


def affine(wasm: bool = True) -> tuple[Maker, list[Case]]:
    """Entries main (float16 weights, a dynamic batch), stretch (scalar, fill, copy), trap (traps on Wasm).

    Assets are words.txt and empty.
    """
    random = np.random.default_rng(0)
    weight = random.integers(-8, 9, (4, 3)).astype(np.float16) / np.float16(4)
    bias = np.array([0.5, -0.25, 1], np.float32)
    maker = Maker("affine")
    maker.weights({"weight": weight, "bias": bias})
    maker.asset("words.txt", WORDS)
    maker.asset("empty", b"")
    batch, n = symbol("batch"), symbol("n")
    stretched = {
        "symbols": [{"name": "n", "input": 0, "axis": 0}],
        "inputs": [spec("x", "float32", n), spec("factor", "float32")],
        "outputs": [spec("y", "float32", n * 2)],
    }
    maker.manifest["entries"] = [
        {
            "name": "main",
            "symbols": [{"name": "batch", "input": 0, "axis": 0}],
            "inputs": [spec("x", "float32", batch, 4)],
            "outputs": [spec("y", "float32", batch, 3)],
        },
        {"name": "stretch", **stretched},
        {"name": "trap", **stretched},
    ]
    if wasm:
        placed = [
            {"tensor": 0, "address": 131072, "dtype": "float32"},
            {"tensor": 1, "address": 131136, "dtype": "float32"},
        ]
        main = 131200 + align(batch * 16, 64) + 64 + align(batch * 12, 64) + 64
        stretch = 131200 + align(n * 4, 64) + 64 + align(n * 8, 64) + 64
        entries = [
            {"bytes": to_rpn(main), "steps": ["affine", "relu"]},
            {"bytes": to_rpn(stretch), "steps": ["clear", "scale"]},
            {"bytes": to_rpn(stretch), "steps": ["trap"]},
        ]
        maker.wasm("affine", 3, placed, entries)
    shaders = [
        ("affine", source("affine.wgsl"), ["read", "read", "read", "read_write"]),
        ("relu", source("relu.wgsl"), ["read_write"]),
        ("scale", source("scale.wgsl"), ["read", "read_write"]),
    ]
    y = region("arena", 1, 0, batch * 12)
    weights = [region("weights", 0, 0, 48), region("weights", 0, 256, 12)]
    factor = align(n * 4, 256)
    main_entry = {
        "arenas": [to_rpn(batch * 16), to_rpn(batch * 12)],
        "inputs": [place(0, 0)],
        "outputs": [place(1, 0)],
        "commands": [
            dispatch("affine", 0, [region("arena", 0, 0, batch * 16), *weights, y], batch, batch * 3),
            dispatch("relu", 1, [y], batch * 3, batch * 3),
        ],
    }
    stretch_entry = {
        "arenas": [to_rpn(factor + 256), to_rpn(n * 8)],
        "inputs": [place(0, 0), place(0, factor)],
        "outputs": [place(1, 0)],
        "commands": [
            {"op": "fill", "to": region("arena", 1, n * 4), "bytes": to_rpn(n * 4)},
            {
                "op": "copy",
                "from": region("arena", 0, 0),
                "to": region("arena", 1, 0),
                "bytes": to_rpn(n * 4),
            },
            dispatch("scale", 2, [region("arena", 0, factor, 4), region("arena", 1, 0, n * 4)], n, n),
        ],
    }
    maker.webgpu(
        [512],
        [
            {"tensor": 0, "buffer": 0, "offset": 0, "dtype": "float32"},
            {"tensor": 1, "buffer": 0, "offset": 256, "dtype": "float32"},
        ],
        shaders,
        [main_entry, stretch_entry, stretch_entry],
    )
    cases: list[Case] = []
    for size in (1, 2, 7, 300):
        x = random.integers(-16, 17, (size, 4)).astype(np.float32) / 8
        y_array = np.maximum(x @ weight.astype(np.float32) + bias, 0)
        cases.append(("main", {"x": x}, {"y": y_array}))
    for size in (1, 65, 1000):
        x = random.integers(-16, 17, size).astype(np.float32) / 8
        scalar = np.array(-1.5, np.float32)
        cases.append(
            ("stretch", {"x": x, "factor": scalar}, {"y": np.concatenate([x * scalar, np.zeros_like(x)])})
        )
    return maker, cases


def dtypes(wasm: bool = True) -> tuple[Maker, list[Case]]:
    """One input and output of each dtype that both devices take; see sources/dtypes.c.

    Only the first input must be fed; the others are filled with ones.
    """
    maker = Maker("dtypes")
    n = symbol("n")
    names = [f"{dtype}_in" for dtype in DTYPES]
    maker.manifest["entries"] = [
        {
            "name": "main",
            "symbols": [{"name": "n", "input": 0, "axis": 0}],
            "inputs": [
                spec(name, dtype, n, **({"default": 1} if i else {}))
                for i, (name, dtype) in enumerate(zip(names, DTYPES, strict=True))
            ],
            "outputs": [spec(f"{dtype}_out", dtype, n) for dtype in DTYPES],
        }
    ]
    if wasm:
        sizes = sum((align(n * np.dtype(d).itemsize, 64) for d in DTYPES), start=0) * 2
        maker.wasm("dtypes", 3, [], [{"bytes": to_rpn(131072 + sizes + 64), "steps": ["each"]}])
    expressions = {"f32 + 1": "x[id.x] + 1.0", "i32 + 1": "x[id.x] + 1", "u32 + 1": "x[id.x] + 1u"}
    expressions |= {"u32 not": "1u - x[id.x]", "f32 copy": "x[id.x]"}
    shaders = [
        (
            name,
            source("each.wgsl").replace("TYPE", name[:3]).replace("EXPRESSION", made),
            ["read", "read_write"],
        )
        for name, made in expressions.items()
    ]
    pitch = align(n * 4, 256)
    stored = [GPU_TYPES.get(d, d) for d in DTYPES]
    commands = []
    for i, (dtype, gpu) in enumerate(zip(DTYPES, stored, strict=True)):
        what = {"bool": "not", "float16": "copy"}.get(dtype, "+ 1")
        shader = list(expressions).index(f"{WGSL_TYPES[gpu]} {what}")
        regions = [region("arena", a, pitch * i, n * 4) for a in (0, 1)]
        commands.append(dispatch(f"{dtype} {what}", shader, regions, n, n))
    maker.webgpu(
        [],
        [],
        shaders,
        [
            {
                "arenas": [to_rpn(pitch * len(DTYPES))] * 2,
                "inputs": [place(0, pitch * i, gpu) for i, gpu in enumerate(stored)],
                "outputs": [place(1, pitch * i, gpu) for i, gpu in enumerate(stored)],
                "commands": commands,
            }
        ],
    )
    random = np.random.default_rng(1)
    cases: list[Case] = []
    for size, fed in ((1, len(names)), (5, len(names)), (100, len(names)), (3, 1), (1000, 4)):
        feeds, outputs = {}, {}
        for i, (name, dtype) in enumerate(zip(names, DTYPES, strict=True)):
            low, high = (0, 2) if dtype == "bool" else (0, 127) if dtype.startswith("u") else (-128, 127)
            x = random.integers(low, high, size).astype(dtype) if i < fed else np.ones(size, dtype)
            if i < fed:
                feeds[name] = x
            outputs[f"{dtype}_out"] = (
                ~x if dtype == "bool" else x if dtype == "float16" else x + x.dtype.type(1)
            )
        cases.append(("main", feeds, outputs))
    return maker, cases


def double(wasm: bool = True) -> tuple[Maker, list[Case]]:
    """float64 and no symbols; Wasm only, since GPUs have no float64."""
    assert wasm, "this pack has no other target"
    maker = Maker("double")
    entry = {"inputs": [spec("x", "float64", 2, 3)], "outputs": [spec("y", "float64", 2, 3)]}
    maker.manifest["entries"] = [{"name": "main", "symbols": [], **entry}]
    maker.wasm("double", 3, [], [{"bytes": 131136 + 128, "steps": ["double"]}])
    x = np.arange(6, dtype=np.float64).reshape(2, 3) / 3
    return maker, [("main", {"x": x}, {"y": 2 * x})]


def team(wasm: bool = True) -> tuple[Maker, list[Case]]:
    """A step that threads share, and entries in which one of them fails; see sources/team.c."""
    assert wasm, "this pack has no other target"
    maker = Maker("team")
    n, entry = symbol("n"), vector("float32")
    names = ("main", "helper_traps", "lead_traps", "all_trap", "helper_hangs", "needs_none")
    maker.manifest["entries"] = [{"name": name, **entry} for name in names]
    need = to_rpn(131072 + align(n * 4, 64) * 2)
    program = {"bytes": need, "steps": ["double"], "thread_bytes": 65536}
    maker.wasm("team", 3, [], [program] * len(names), "threads")
    cases: list[Case] = []
    for size in (1, 2, 3, 1000):
        x = np.arange(size, dtype=np.float32)
        cases.append(("main", {"x": x}, {"y": 2 * x}))
    return maker, cases


def pairs(wasm: bool = True) -> tuple[Maker, list[Case]]:
    """An input, a weight and an output that lie on the GPU as float16; there is no Wasm target."""
    del wasm
    maker, n = Maker("pairs"), symbol("n")
    maker.weights({"weight": np.array([1, 2, 0.5], np.float16)})
    maker.manifest["entries"] = [{"name": "main", **vector("float16")}]
    size = align(n * 2, 4)
    bound = [region("arena", 0, 0, size), region("weights", 0, 0, 8), region("arena", 1, 0, size)]
    count = ceildiv(n, 2)
    entry = {
        "arenas": [to_rpn(size), to_rpn(size)],
        "inputs": [place(0, 0, "float16")],
        "outputs": [place(1, 0, "float16")],
        "commands": [dispatch("halve", 0, bound, count, count)],
    }
    shaders = [("pairs", source("pairs.wgsl"), ["read", "read", "read_write"])]
    maker.webgpu([256], [{"tensor": 0, "buffer": 0, "offset": 0, "dtype": "float16"}], shaders, [entry])
    random = np.random.default_rng(3)
    given = [random.standard_normal(elements).astype(np.float16) for elements in (1, 2, 7, 301)]
    return maker, [("main", {"x": x}, {"y": x / np.float16(2)}) for x in given]


def beside(wasm: bool = True) -> tuple[Maker, list[Case]]:
    """Two steps whose tensors all lie in one arena, so that they read it as if they wrote; no Wasm target."""
    del wasm
    maker, n = Maker("beside"), symbol("n")
    maker.manifest["entries"] = [{"name": "main", **vector("float32")}]
    pitch = align(n * 4, 256)
    x, middle, y = (region("arena", 0, pitch * i, n * 4) for i in range(3))
    entry = {
        "arenas": [to_rpn(pitch * 3)],
        "inputs": [place(0, 0)],
        "outputs": [place(0, pitch * 2)],
        "commands": [dispatch("add", 0, [x, middle], n, n), dispatch("add again", 0, [middle, y], n, n)],
    }
    code = source("each.wgsl").replace("TYPE", "f32").replace("EXPRESSION", "x[id.x] + 1.0")
    code = code.replace("<storage, read>", "<storage, read_write>")
    maker.webgpu([], [], [("add", code, ["read_write", "read_write"])], [entry])
    given = [np.arange(elements, dtype=np.float32) for elements in (1, 64, 65, 1000)]
    return maker, [("main", {"x": x}, {"y": x + np.float32(2)}) for x in given]


PACKS: Mapping[str, Callable[[bool], tuple[Maker, list[Case]]]] = {
    "affine": affine,
    "dtypes": dtypes,
    "double": double,
    "team": team,
    "pairs": pairs,
    "beside": beside,
}


def tensors(arrays: Mapping[str, Array]) -> Json:
    """Arrays as they stand in case files."""
    return {
        k: {"dtype": a.dtype.name, "shape": a.shape, "data": a.ravel().tolist()} for k, a in arrays.items()
    }


def write(folder: Path) -> None:
    """All packs and their cases. Raises FileExistsError when one is there already."""
    for name, make in PACKS.items():
        maker, cases = make(True)
        maker.write(folder / name)
        listed = [{"entry": e, "feeds": tensors(f), "outputs": tensors(o)} for e, f, o in cases]
        (folder / f"{name}.cases.json").write_text(json.dumps(listed) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
