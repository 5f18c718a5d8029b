"""examples/node/server.mjs, in a project that has the npm package."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest

SERVER = Path(__file__).parents[2] / "examples" / "node" / "server.mjs"


def test_server(project: Path, packs: Path) -> None:
    shutil.copy(SERVER, project)
    node = shutil.which("node")
    assert node, "node comes with the development set-up"
    told = subprocess.run([node, "-p", "process.execPath"], check=True, capture_output=True, text=True)
    command = [told.stdout.strip(), SERVER.name, str(packs / "affine"), "0"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            url = server.stdout.readline().strip()

            def post(body: bytes) -> dict[str, dict[str, list[float]]]:
                with urlopen(Request(url, body), timeout=30) as response:
                    answer: dict[str, dict[str, list[float]]] = json.load(response)
                return answer

            with urlopen(url, timeout=30) as response:
                assert json.load(response)["inputs"][0]["shape"] == ["batch", 4]
            for case in json.loads((packs / "affine.cases.json").read_text())[:4]:
                y = post(json.dumps(case["feeds"]).encode())["y"]
                assert y["shape"] == case["outputs"]["y"]["shape"]
                np.testing.assert_array_equal(y["data"], case["outputs"]["y"]["data"])
            for wrong in (
                b"{",
                b"{}",
                b'{"x": {"data": [1], "shape": [1, 4]}}',
                b'{"x": {"shape": 3}}',
                b"null",
            ):
                with pytest.raises(HTTPError) as error:
                    post(wrong)
                assert (error.value.code, list(json.load(error.value))) == (400, ["error"])
        finally:
            server.terminate()
    assert server.returncode == 0
