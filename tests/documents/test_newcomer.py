"""The quick starts from their first command to their last, without what fetches packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.fixtures import JS, ROOT
from tests.documents.blocks import blocks

TOOLS = ROOT / "tests" / "bundlers" / "node_modules"
# what is installed already, or would come from a package index
GIVEN = """
make() {{
  mkdir -p dist; cp '{wheel}' dist
  (cd '{js}' && command npm pack --silent --pack-destination "$OLDPWD/dist")
}}
python3() {{ if [ "$2" = venv ]; then mkdir -p env/bin; touch env/bin/activate; else '{python}' "$@"; fi; }}
pip() {{ true; }}
pyruntime() {{ '{python}' -m pyruntime.cli "$@"; }}
npm() {{
  case "$1" in
    install)
      mkdir -p node_modules/pyruntime
      tar -xzf "${{@: -1}}" --strip-components 1 -C node_modules/pyruntime;;
    *) command npm "$@";;
  esac
}}
npx() {{ '{tools}/.bin/'"$@"; }}
"""


@pytest.mark.wasm
@pytest.mark.browser
@pytest.mark.usefixtures("chromium", "package", "npm")
def test_quick_starts(wheel: Path, tmp_path: Path) -> None:
    given = GIVEN.format(wheel=wheel, js=JS, python=sys.executable, tools=TOOLS)
    (tmp_path / "given.sh").write_text(given)
    (tmp_path / "checkout").mkdir()
    script = [sys.executable, str(ROOT / "scripts" / "newcomer.py"), "--free-ports"]
    where = ["--folder", str(tmp_path / "checkout"), "--before", str(tmp_path / "given.sh")]
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*script, *where], check=False, capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for block in blocks("mjs"):
        assert f"- {block.name}" in done.stdout, f"{block} is run by nothing"
