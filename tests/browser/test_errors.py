"""Each way in which a pack, a feed or a machine can be wrong has its typed error in the browser."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

DEVICES: tuple[dict[str, Any], ...] = (
    {"device": "webgpu"},
    {"device": "webgpu", "worker": True},
    {"device": "wasm"},
    {"device": "wasm", "worker": False},
)
Damage = Callable[[Path], None]


def edit(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Damage to pack.json."""

    def damage(pack: Path) -> None:
        manifest = json.loads((pack / "pack.json").read_text())
        change(manifest)
        (pack / "pack.json").write_text(json.dumps(manifest))

    return damage


def each_file(pattern: str, change: Callable[[bytes], bytes | None]) -> Damage:
    """Damage to files; None deletes one."""

    def damage(pack: Path) -> None:
        found = list(pack.glob(pattern))
        assert found
        for path in found:
            data = change(path.read_bytes())
            path.unlink()
            if data is not None:
                path.write_bytes(data)

    return damage


def resealed(pattern: str, change: Callable[[bytes], bytes]) -> Damage:
    """Damage to variants' files that their hashes do not show."""

    def damage(pack: Path) -> None:
        each_file(pattern, change)(pack)

        def seal(manifest: dict[str, Any]) -> None:
            for target in manifest["targets"].values():
                for variant in target["variants"]:
                    data = (pack / variant["file"]).read_bytes()
                    variant.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

        edit(seal)(pack)

    return damage


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def set_entry(manifest: dict[str, Any], device: str, **fields: Any) -> None:
    targets = manifest["targets"]
    place = targets["wasm"] if device == "wasm" else targets["webgpu"]["variants"][0]
    place["entries"][0].update(fields)


DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "no manifest": (each_file("pack.json", lambda _: None), "pack-missing-file", "pack.json"),
    "not JSON": (each_file("pack.json", lambda d: d[:100]), "pack-invalid", "not JSON"),
    "a page instead": (each_file("pack.json", lambda _: b"<!doctype html>"), "pack-invalid", "<!doctype"),
    "newer format": (edit(lambda m: m.update(format=7)), "pack-version", "format 7"),
    "unknown feature": (edit(lambda m: m.update(requires=["warp"])), "pack-version", "warp"),
    "no entries": (edit(lambda m: m.update(entries=[])), "pack-invalid", "entries"),
    "no weights": (each_file("*.safetensors", lambda _: None), "pack-missing-file", "weights-"),
    "no variant": (
        each_file("[ms]*.w*", lambda _: None),
        "pack-missing-file",
        "404",
    ),
    "flipped weights": (each_file("*.safetensors", flip), "pack-hash", "chunk 0"),
    "cut weights": (each_file("*.safetensors", lambda d: d[:-1]), "pack-hash", "should have"),
    "longer weights": (each_file("*.safetensors", lambda d: d + b"\0"), "pack-hash", "more than"),
    "flipped variant": (each_file("[ms]*.w*", flip), "pack-hash", "chunk 0"),
    "a path for a name": (
        edit(lambda m: m["weights"]["shards"][0].update(file="../x")),
        "pack-invalid",
        "weights.shards[0].file",
    ),
    "a tensor past its shard": (
        edit(lambda m: m["weights"]["tensors"][0].update(offset=1 << 40)),
        "pack-invalid",
        "weights.tensors[0]",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_packs(page: Page, server: Server, packs: Path, name: str, tmp_path: Path) -> None:
    damage, code, words = DAMAGES[name]
    errors = load_errors(page, server, packs, tmp_path, damage, DEVICES)
    for error in errors:
        assert (error["code"], error["ours"], error["right"]) == (code, True, True), error
        assert words in error["message"]


def damaged(server: Server, original: Path, tmp_path: Path, damage: Damage) -> Path:
    """A copy of a pack, with damage, where the server has it."""
    pack = server.folders["/other/"] / tmp_path.name
    shutil.copytree(original, pack)
    damage(pack)
    return pack


def load_errors(
    page: Page,
    server: Server,
    packs: Path,
    tmp_path: Path,
    damage: Damage,
    options: tuple[dict[str, Any], ...],
) -> list[dict[str, Any]]:
    pack = damaged(server, packs / "affine", tmp_path, damage)
    listed: list[dict[str, Any]] = page.evaluate(
        """async ([url, options]) => {
            const errors = [];
            for (const each of options) errors.push(await harness.caught(() => harness.load(url, each)));
            return errors;
        }""",
        [f"/other/{pack.name}/", list(options)],
    )
    assert None not in listed
    return listed


WEBGPU, _, WASM, _ = DEVICES
PROGRAMS: dict[str, tuple[dict[str, Any], Damage, str]] = {
    "no such device": (WASM, edit(lambda m: m["targets"].pop("wasm")), "device"),
    "no such target": (WEBGPU, edit(lambda m: m["targets"].pop("webgpu")), "device"),
    "not Wasm": (WASM, resealed("*.wasm", lambda _: b"nonsense"), "pack-invalid"),
    "an empty module": (WASM, resealed("*.wasm", lambda d: d[:8]), "pack-invalid"),
    "newer ABI": (WASM, edit(lambda m: m["targets"]["wasm"].update(abi=2)), "pack-version"),
    "too few steps": (WASM, edit(lambda m: set_entry(m, "wasm", steps=["affine"])), "pack-invalid"),
    "not WGSL": (WEBGPU, resealed("*.wgsl", lambda d: b"?" + d[1:]), "run"),
    "unknown arena": (
        WEBGPU,
        edit(lambda m: set_entry(m, "webgpu", inputs=[{"arena": 9, "offset": 0, "dtype": "float32"}])),
        "pack-invalid",
    ),
    "a limit that no GPU has": (
        WEBGPU,
        edit(lambda m: m["targets"]["webgpu"].update(buffers=[1 << 44])),
        "memory",
    ),
    "more than 4 GiB of weights": (
        WASM,
        edit(lambda m: m["targets"]["wasm"]["weights"][0].update(address=1 << 32)),
        "pack-invalid",
    ),
    "more than 4 GiB of memory": (
        WASM,
        edit(lambda m: m["targets"]["wasm"].update(initial_pages=65537)),
        "pack-invalid",
    ),
    "an entry that is not there": ({"device": "wasm", "entry": "missing"}, lambda _: None, "input"),
    "a device that is not there": ({"device": "gpu"}, lambda _: None, "device"),
    "a worker that is not there": ({"device": "wasm", "workerUrl": "/missing.js"}, lambda _: None, "device"),
    "a worker of another origin": (
        {"device": "wasm", "workerUrl": "http://localhost:1/w.js"},
        lambda _: None,
        "device",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_that_cannot_be_loaded(
    page: Page, server: Server, packs: Path, name: str, tmp_path: Path
) -> None:
    options, damage, code = PROGRAMS[name]
    workers = [options] if "workerUrl" in options else [{**options, "worker": w} for w in (False, True)]
    for error in load_errors(page, server, packs, tmp_path, damage, tuple(workers)):
        assert (error["code"], error["ours"], error["right"]) == (code, True, True), error


RUNS = """async ([url, options]) => {
    const session = await harness.load(url, options);
    const x = { data: new Float32Array(8), shape: [2, 4] };
    const feeds = {
        missing: {},
        unknown: { x, z: x },
        dtype: { x: { data: new Int32Array(8), shape: [2, 4] } },
        list: { x: { data: [1, 2, 3, 4], shape: [1, 4] } },
        rank: { x: { data: x.data, shape: [8] } },
        size: { x: { data: x.data, shape: [4, 2] } },
        empty: { x: { data: new Float32Array(0), shape: [0, 4] } },
        length: { x: { data: x.data, shape: [3, 4] } },
        shapeless: { x: { data: x.data } },
    };
    const errors = {};
    for (const [key, value] of Object.entries(feeds)) {
        errors[key] = await harness.caught(() => session.run(value));
    }
    errors.output = await harness.caught(() => session.run({ x }, { outputs: ["q"] }));
    const none = await session.run({ x }, { outputs: [] });
    const after = await session.run({ x }, { outputs: ["y"] });
    session.dispose();
    session.dispose();
    errors.disposed = await harness.caught(() => session.run({ x }));
    return { errors, none: Object.keys(none), after: after.y.shape };
}"""


@pytest.mark.parametrize("options", DEVICES)
def test_feeds_that_do_not_fit(page: Page, packs: Path, options: dict[str, Any]) -> None:
    made = page.evaluate(RUNS, ["/packs/affine/", options])
    errors = made["errors"]
    assert errors.pop("disposed")["code"] == "disposed"
    assert {k: e["code"] for k, e in errors.items()} == dict.fromkeys(errors, "input")
    for key, words in {
        "missing": '"x" is missing',
        "unknown": '"z"',
        "dtype": "Float32Array for dtype float32, got Int32Array",
        "rank": "expected shape [batch, 4], got shape [8]",
        "size": "expected shape [batch, 4], got shape [4, 2]",
        "empty": "batch",
        "length": "12 elements",
        "output": '"q"',
    }.items():
        assert words in errors[key]["message"]
    assert made["none"] == []
    assert made["after"] == [2, 3]


def test_integers_past_32_bits_on_webgpu(page: Page, packs: Path) -> None:
    error = page.evaluate(
        """async () => {
            const session = await harness.load("/packs/dtypes/", { device: "webgpu" });
            const feeds = harness.zeros(session.inputs, 1);
            feeds.int64_in.data[0] = 2n ** 31n;
            const error = await harness.caught(() => session.run(feeds));
            session.dispose();
            return error;
        }"""
    )
    assert error["code"] == "input"
    assert "int64_in" in error["message"]
    assert "2147483648" in error["message"]


def test_bindings_that_overlap(page: Page, server: Server, packs: Path, tmp_path: Path) -> None:
    """For some sizes alone: what is read would lie in what is written."""

    def crowd(manifest: dict[str, Any]) -> None:
        entry = manifest["targets"]["webgpu"]["variants"][0]["entries"][0]
        entry["commands"][0]["bindings"][1][2] = 256

    pack = damaged(server, packs / "beside", tmp_path, edit(crowd))
    small, large = page.evaluate(
        """async (url) => {
            const session = await harness.load(url, { device: "webgpu" });
            const errors = [];
            for (const n of [64, 65]) {
                const x = { data: new Float32Array(n), shape: [n] };
                errors.push(await harness.caught(() => session.run({ x })));
            }
            session.dispose();
            return errors;
        }""",
        f"/other/{pack.name}/",
    )
    assert small is None
    assert (large["code"], large["ours"]) == ("pack-invalid", True)
    assert "add writes through bindings that overlap for n=65" in large["message"]


@pytest.mark.parametrize("worker", [False, True])
def test_traps_name_the_step_and_leave_the_session_usable(page: Page, packs: Path, worker: bool) -> None:
    errors = page.evaluate(
        """async (worker) => {
            const session = await harness.load("/packs/affine/", { device: "wasm", entry: "trap", worker });
            const feeds = {
                x: { data: new Float32Array(3), shape: [3] },
                factor: { data: new Float32Array(1), shape: [] },
            };
            const errors = [];
            for (let i = 0; i < 3; i++) errors.push(await harness.caught(() => session.run(feeds)));
            session.dispose();
            return errors;
        }""",
        worker,
    )
    for error in errors:
        assert error["code"] == "run"
        assert "step 0 (trap)" in error["message"]


@pytest.mark.parametrize("options", DEVICES)
def test_more_memory_than_there_is(page: Page, packs: Path, options: dict[str, Any]) -> None:
    """Sizes are only claimed: 2^30 rows need more than any device has, long before the feed is read."""
    error = page.evaluate(
        """async (options) => {
            const session = await harness.load("/packs/affine/", options);
            const shape = [2 ** 28, 4];
            const data = new Float32Array(4);
            Object.defineProperty(data, "length", { value: 2 ** 30 });
            const error = await harness.caught(() => session.run({ x: { data, shape } }));
            const again = await session.run({ x: { data: new Float32Array(4), shape: [1, 4] } });
            session.dispose();
            return { ...error, again: again.y.shape };
        }""",
        options,
    )
    assert error["code"] == "memory", error
    assert error["again"] == [1, 3]
