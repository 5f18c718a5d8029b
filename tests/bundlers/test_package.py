"""What `npm pack` gives: what is inside, types for strict TypeScript, and a session in each Node on PATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.browser.fixtures import JS

COMPILERS = [
    JS / "node_modules" / "typescript" / "bin" / "tsc",
    Path(__file__).parent / "node_modules" / "typescript-5" / "bin" / "tsc",
]
PACKED_BYTES = 400_000  # unpacked, all files
USE = """\
import { load, type Session, type Tensor, PyRuntimeError } from "pyruntime";

export async function first(url: URL, x: Float32Array): Promise<Tensor> {
  const session: Session = await load(url, { device: "wasm", onProgress: (loaded: number) => void loaded });
  try {
    const { y } = await session.run({ x: { data: x, shape: [x.length] } });
    if (y === undefined) throw new PyRuntimeError("no y");
    return y;
  } finally {
    session.dispose();
  }
}
// @ts-expect-error: a device that there is not
export const wrong = load("pack/", { device: "npu" });
"""
RUN = """\
import { readFile } from "node:fs/promises";
import { load } from "pyruntime";

const [pack] = process.argv.slice(2);
const [{ entry, feeds }] = JSON.parse(await readFile(`${pack}.cases.json`, "utf8"));
const session = await load(pack, { entry });
const x = { data: new Float32Array(feeds.x.data), shape: feeds.x.shape };
const { y } = await session.run({ x });
console.log(JSON.stringify({ data: [...y.data], shape: y.shape }));
session.dispose();
"""


def node_versions() -> dict[str, Path]:
    """Each version of Node on PATH that the package says it runs in."""
    found: dict[str, Path] = {}
    for folder in os.get_exec_path():
        program = shutil.which("node", path=folder)
        if program is None:
            continue
        version = subprocess.run(
            [program, "--version"], check=False, capture_output=True, text=True
        ).stdout.strip()
        if tuple(map(int, version.removeprefix("v").split(".")[:2])) >= (20, 16):
            found.setdefault(version, Path(program))
    return found


def test_files(unpacked: Path) -> None:
    files = {str(f.relative_to(unpacked)): f.stat().st_size for f in unpacked.rglob("*") if f.is_file()}
    assert {"package.json", "README.md", "LICENSE", "dist/pyruntime.js", "dist/worker.js"} <= files.keys()
    assert "dist/index.d.ts" in files
    assert not [f for f in files if f.endswith((".map", ".ts")) and ".d." not in f]
    assert sum(files.values()) <= PACKED_BYTES


def test_an_error_that_nobody_catches(project: Path) -> None:
    """Node prints the line that threw it: of minified code that must not be all there is."""
    (project / "uncaught.mjs").write_text('import { load } from "pyruntime"; await load("nowhere.pack");')
    command = [str(shutil.which("node")), "uncaught.mjs"]
    done = subprocess.run(command, check=False, cwd=project, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "MissingFileError" in done.stderr
    assert len(done.stderr) < 8000


@pytest.mark.parametrize(
    ("compiler", "module", "resolution"),
    [
        *((compiler, "nodenext", "nodenext") for compiler in COMPILERS),
        *((compiler, "esnext", "bundler") for compiler in COMPILERS),
        (COMPILERS[1], "esnext", "node10"),  # which knows nothing of exports; the present one has dropped it
    ],
    ids=["present-node", "earlier-node", "present-bundler", "earlier-bundler", "earlier-node10"],
)
def test_types(project: Path, npm: None, compiler: Path, module: str, resolution: str) -> None:
    """Also for users whose TypeScript knows neither WebGPU nor Float16Array, and who check libraries."""
    (project / "use.ts").write_text(USE)
    options = {
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "noUncheckedIndexedAccess": True,
        "noEmit": True,
        "types": [],
        "lib": ["es2022", "dom"],
        "target": "es2022",
        "module": module,
        "moduleResolution": resolution,
    }
    (project / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["use.ts"]}))
    node = shutil.which("node")
    assert node, "node comes with the development set-up"
    done = subprocess.run(
        [node, str(compiler), "-p", "."], cwd=project, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("program", [pytest.param(p, id=v) for v, p in node_versions().items()])
def test_node(program: Path, project: Path, packs: Path) -> None:
    (project / "run.js").write_text(RUN)
    command = [str(program), "run.js", str(packs / "affine")]
    done = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    wanted = json.loads((packs / "affine.cases.json").read_text())[0]["outputs"]["y"]
    assert json.loads(done.stdout) == {"data": wanted["data"], "shape": wanted["shape"]}
