"""Bundles an npm package of demo_site/package.json to one module for a page."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from demo_site.demo import DemoError

HERE = Path(__file__).parent
ESBUILD = HERE.parent / "js_bindings" / "node_modules" / "esbuild" / "bin" / "esbuild"


def bundle(package: str, to: Path, names: Sequence[str]) -> None:
    """Write a module that exports these names of an installed package.

    Raises:
        DemoError: esbuild or the package is missing, or it has no such names.
    """
    node = shutil.which("node")
    if node is None or not ESBUILD.exists() or not (HERE / "node_modules" / package).is_dir():
        raise DemoError(f"esbuild or {package} is not installed: make setup")
    command = [
        node,
        str(ESBUILD),
        "--bundle",
        "--minify",
        "--format=esm",
        "--target=es2022",
        "--legal-comments=inline",
        "--log-level=warning",
        f"--outfile={to}",
    ]
    source = f'export {{ {", ".join(names)} }} from "{package}";'
    done = subprocess.run(command, cwd=HERE, input=source, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"{package} cannot be bundled: {done.stderr.strip()}")
