"""The server of these tests: a page never takes an older version of a file for the present one."""

from __future__ import annotations

import os
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.browser.server import serving


@pytest.mark.parametrize(("age", "told"), [(0, False), (60, True)])
def test_files_that_may_change_within_the_second_have_no_time(tmp_path: Path, age: int, told: bool) -> None:
    file = tmp_path / "file.txt"
    file.write_text("as it was")
    os.utime(file, (time.time() - age,) * 2)
    with serving() as server:
        server.folders = {"/": tmp_path}
        connection = HTTPConnection("127.0.0.1", server.server_port)
        connection.request("GET", "/file.txt")
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"as it was")
        assert ("Last-Modified" in response.headers) == told
        connection.close()
