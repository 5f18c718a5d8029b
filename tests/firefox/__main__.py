"""Runs all golden packs in Firefox: `python -m tests.firefox [NAME ...]`; each failure, then the totals."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.browser import golden
from tests.browser.fixtures import built
from tests.browser.server import serving
from tests.firefox.tab import firefox
from tests.golden.build import write_packs

HARNESS = Path(golden.__file__).parent


def main(wanted: list[str]) -> int:
    """The number of packs that failed."""
    with tempfile.TemporaryDirectory() as made, serving() as server:
        folder = Path(made)
        write_packs(folder)
        server.folders = {"/golden/": folder, "/js/": built(), "/": HARNESS}
        failed = 0
        with firefox(server) as tab:
            for name in wanted or golden.names(folder):
                for device in ("wasm",) if name.endswith("-wasm") else ("wasm", "webgpu"):
                    try:
                        found = golden.check(tab, f"/golden/{name}/", folder, name, {"device": device})
                        print(f"{name} {device}: {len(found)} cases right", flush=True)
                    except AssertionError as error:
                        failed += 1
                        print(f"{name} {device}: {error}", flush=True)
    print(f"{failed} packs failed")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
