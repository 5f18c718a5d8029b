"""State of sessions in Pyodide: the interface of native sessions, over the JavaScript runtime's."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import pytest

import pyruntime
from tests.browser import golden
from tests.browser.server import Server
from tests.frontends.onnx_models import same
from tests.pyodide.hosts import Host, call
from tests.pyodide.test_sessions import Options, place, places
from tests.state.streams import Feeds, Stream

__all__ = ["place"]

Packs = dict[str, tuple[Stream, Path]]


def decoded(tensors: dict[str, Any]) -> Feeds:
    return {name: golden.decode(tensor) for name, tensor in tensors.items()}


@pytest.fixture
def served(server: Server, stateful: Packs) -> Packs:
    """The packs with state, under /other/."""
    for name, (_, path) in stateful.items():
        shutil.copytree(path, server.folders["/other/"] / name, dirs_exist_ok=True)
    return stateful


@places
@pytest.mark.parametrize("name", ["cell", "cache"])
def test_steps(place: Host, options: Options, server: Server, served: Packs, name: str) -> None:
    """From a state saved natively on, and back: the very same bytes."""
    stream, path = served[name]
    steps = stream.steps(5)
    with pyruntime.load(path, device="wasm") as session:
        for feeds in steps[:2]:
            session.run(feeds)
        saved = base64.b64encode(session.state.save()).decode()
        made = call(
            place,
            "stateful",
            url=f"{server.url}/other/{name}/",
            options=options,
            feeds=[golden.encode(feeds) for feeds in steps[2:]],
            saved=saved,
        )
        expected = list(stream.reference(steps))
        for outputs, (wanted, _) in zip(made["outputs"], expected[2:], strict=True):
            same(decoded(outputs), wanted, 1e-4)
        same(decoded(made["states"]), expected[-1][1], 1e-4)
        session.state.load(base64.b64decode(made["saved"]))
        assert made["lengths"] == session.state.lengths
        assert made["symbols"] == session.state.symbols
    assert made["reset"]
    assert made["set"]
    (load, get, put) = made["errors"]
    assert load[:2] == ["StateError", "state"]
    assert get[0] == put[0] == "InputError"
    assert "there is no state 'zzz'; the states are" in get[2]
    assert f"state {next(iter(stream.state))!r}: expected float32" in put[2]


@places
def test_a_pack_without_state(place: Host, options: Options, server: Server) -> None:
    error = call(place, "stateless", url=f"{server.url}/packs/affine/", options=options)
    assert error[:2] == ["StateError", "state"]


@pytest.mark.parametrize("name", ["waiting_node", pytest.param("tab", marks=pytest.mark.browser)])
def test_plain_calls(request: pytest.FixtureRequest, server: Server, served: Packs, name: str) -> None:
    host: Host = request.getfixturevalue(name)
    stream, _ = served["cell"]
    (feeds,) = stream.steps(1)
    url, options = f"{server.url}/other/cell/", {"device": "wasm"}
    assert call(host, "plain_state", url=url, options=options, feeds=golden.encode(feeds))


@places
def test_a_cancelled_run(place: Host, options: Options, server: Server, served: Packs) -> None:
    """It counts or it does not: the next run meets the sizes that it has left."""
    stream, _ = served["cache"]
    steps = stream.steps(3)
    for turns in (1, 2):
        made = call(
            place,
            "cancelled_run",
            url=f"{server.url}/other/cache/",
            options=options,
            feeds=[golden.encode(feeds) for feeds in steps],
            turns=turns,
        )
        followed = [steps[0], steps[2]] if made["grown"] == 0 else steps
        wanted, _ = list(stream.reference(followed))[-1]
        same(decoded(made["outputs"]), wanted, 1e-4)
