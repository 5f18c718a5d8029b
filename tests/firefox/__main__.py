"""Runs all golden packs in Firefox; each failure, then the totals.

python -m tests.firefox [--packs FOLDER] [NAME ...]

FOLDER keeps the packs, so that another run need not write them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.browser import golden
from tests.browser.fixtures import built
from tests.browser.server import serving
from tests.firefox.tab import firefox
from tests.golden.build import write_packs

HARNESS = Path(golden.__file__).parent


def main(wanted: list[str], folder: Path) -> int:
    """The number of packs that failed; `folder` has all packs, or is where they are written."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        write_packs(folder)
    right = failed = 0
    with serving() as server:
        server.folders = {"/golden/": folder, "/js/": built(), "/": HARNESS}
        with firefox(server) as tab:
            for name in wanted or golden.names(folder):
                for device in ("wasm",) if name.endswith("-wasm") else ("wasm", "webgpu"):
                    try:
                        found = golden.check(tab, f"/golden/{name}/", folder, name, {"device": device})
                        right += len(found)
                        print(f"{name} {device}: {len(found)} cases right", flush=True)
                    except AssertionError as error:
                        failed += 1
                        print(f"{name} {device}: {error}", flush=True)
    print(f"{right:,} cases right, {failed} packs failed")
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--packs", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        sys.exit(bool(main(options.names, options.packs or Path(made) / "golden")))
