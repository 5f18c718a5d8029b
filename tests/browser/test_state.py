"""Sessions with state in Chromium: steps as in the reference, and states that go back and forth to Python."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pyruntime
from tests.browser import golden
from tests.browser.golden import encode
from tests.browser.server import Server
from tests.frontends.onnx_models import same
from tests.state.streams import STREAMS, Feeds, Stream

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

NAMES = [make.__name__ for make in STREAMS]
DEVICES: tuple[dict[str, Any], ...] = (
    {"device": "webgpu"},
    {"device": "webgpu", "worker": True},
    {"device": "wasm"},
    {"device": "wasm", "worker": False},
)
Packs = dict[str, tuple[Stream, Path]]


def decode(tensors: dict[str, Any]) -> Feeds:
    """What the page encoded."""
    return {name: golden.decode(tensor) for name, tensor in tensors.items()}


@pytest.fixture
def served(server: Server, stateful: Packs) -> Iterator[Packs]:
    """The packs with state, under /state/."""
    before = server.folders
    server.folders = {"/state/": next(iter(stateful.values()))[1].parent, **before}
    yield stateful
    server.folders = before


RUN = """async ([name, options, feeds, saved]) => {
    const session = await harness.load(`/state/${name}/`, options);
    const { state } = session;
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const text = (data) => btoa(String.fromCharCode(...data));
    if (saved) await state.load(bytes(saved));
    const outputs = [];
    for (const each of feeds) outputs.push(harness.encodeAll(await session.run(harness.decodeAll(each))));
    const states = {};
    for (const name of state.names) states[name] = await state.get(name);
    const data = await state.save();
    await state.reset();
    const again = harness.encodeAll(await session.run(harness.decodeAll(feeds[0])));
    session.dispose();
    return {
        outputs, states: harness.encodeAll(states), saved: text(data), again,
        inputs: session.inputs.map(({ name }) => name),
    };
}"""


@pytest.mark.parametrize("options", DEVICES)
def test_steps(page: Page, served: Packs, options: dict[str, Any]) -> None:
    """Step by step as the reference; what is saved goes on in Python, with the very same bytes."""
    for name in NAMES:
        follows(page, *served[name], options)


def follows(page: Page, stream: Stream, path: Path, options: dict[str, Any]) -> None:
    """Assert what test_steps tells of one model."""
    steps = stream.steps(5)
    expected = list(stream.reference(steps))
    made = page.evaluate(RUN, [stream.name, options, [encode(feeds) for feeds in steps], None])
    for outputs, (wanted, _) in zip(made["outputs"], expected, strict=True):
        same(decode(outputs), wanted, 1e-4)
    same(decode(made["states"]), expected[-1][1], 1e-4)
    same(decode(made["again"]), expected[0][0], 1e-4)
    assert set(made["inputs"]) == set(steps[0])
    saved = base64.b64decode(made["saved"])
    with pyruntime.load(path, device="wasm") as session:
        session.state.load(saved)
        assert session.state.save() == saved
        same({n: session.state.get(n) for n in session.state.names}, decode(made["states"]), 0)


@pytest.mark.parametrize("options", DEVICES)
def test_states_saved_in_python(page: Page, served: Packs, options: dict[str, Any]) -> None:
    for name in ("cell", "cache", "dtypes"):
        stream, path = served[name]
        steps = stream.steps(6)
        with pyruntime.load(path, device="wasm") as session:
            for feeds in steps[:3]:
                session.run(feeds)
            saved = base64.b64encode(session.state.save()).decode()
        made = page.evaluate(RUN, [name, options, [encode(feeds) for feeds in steps[3:]], saved])
        for outputs, (wanted, _) in zip(made["outputs"], list(stream.reference(steps))[3:], strict=True):
            same(decode(outputs), wanted, 1e-4)


def test_code_on_demand(open_page: Callable[[str], Page], server: Server, served: Packs) -> None:
    """What writes and reads states is fetched when it is needed, by a page with a strict policy, too."""
    page = open_page("/strict.html")
    server.requests.clear()
    page.evaluate(
        "async () => { globalThis.session = await harness.load('/state/cell/', { worker: false }); }"
    )
    assert "/js/states.js" not in server.requests
    kept = page.evaluate(
        """async () => {
            const saved = await session.state.save();
            await session.state.load(saved);
            const error = await harness.caught(() => session.state.load(new Uint8Array(3)));
            session.dispose();
            return [saved.length > 0, error.right, error.code];
        }"""
    )
    assert kept == [True, True, "state"]
    assert server.requests.count("/js/states.js") == 1


@pytest.mark.parametrize("options", DEVICES)
def test_a_full_cache(page: Page, served: Packs, options: dict[str, Any]) -> None:
    """What does not fit is refused, and the state is as before."""
    told = page.evaluate(
        """async (options) => {
            const session = await harness.load("/state/cache/", options);
            const ids = (n) => ({ ids: { data: new BigInt64Array(n).fill(1n), shape: [1, n] } });
            await session.run(ids(21));
            const before = await session.state.save();
            const error = await harness.caught(() => session.run(ids(3)));
            const after = await session.state.save();
            await session.run(ids(2));
            const { lengths, capacities, symbols } = session.state;
            session.dispose();
            return { error, lengths, capacities, symbols, same: String(before) === String(after) };
        }""",
        options,
    )
    assert told["same"]
    assert set(told["lengths"].values()) == set(told["capacities"].values()) == {23}
    assert told["symbols"] == {"past_sequence_length": 23}
    assert told["error"]["right"]
    assert (told["error"]["name"], told["error"]["code"]) == ("StateError", "state")
    assert told["error"]["message"] == (
        'state "past_key_values.0.key" is full: it would grow from 21 to 24, and its capacity is 23;'
        " reset it, or convert with a larger capacity"
    )


@pytest.mark.parametrize("options", DEVICES)
def test_errors(page: Page, served: Packs, packs: Path, options: dict[str, Any]) -> None:
    """Each is of the right class, in a worker too, and leaves the state as it was."""
    errors, kept = page.evaluate(
        """async (options) => {
            const session = await harness.load("/state/cell/", options);
            const other = await harness.load("/state/exchange/", options);
            const none = await harness.load("/packs/affine/", options);
            const h = (...shape) => ({ data: new Float32Array(shape.reduce((a, b) => a * b)), shape });
            const foreign = await other.state.save();
            const before = await session.state.save();
            const errors = [];
            for (const action of [
                () => none.state.save(),
                () => none.state.reset(),
                () => session.state.load(foreign),
                () => session.state.load(new Uint8Array(20)),
                () => session.state.get("H"),
                () => session.state.set("h", h(2, 7)),
                () => session.state.set("h", { ...h(1, 7), data: new Int32Array(7) }),
            ]) errors.push(await harness.caught(action));
            const kept = String(await session.state.save()) === String(before);
            for (const each of [session, other, none]) each.dispose();
            errors.push(await harness.caught(() => session.state.save()));
            return [errors, kept];
        }""",
        options,
    )
    assert kept
    assert all(e["right"] for e in errors)
    assert [(e["code"], e["message"][:38]) for e in errors] == [
        ("state", "the pack keeps no state; convert the m"),
        ("state", "the pack keeps no state; convert the m"),
        ("state", "the state was saved by another model"),
        ("state", "these bytes are not a saved state: Une"),
        ("input", 'there is no state "H"; states: h, c'),
        ("input", 'state "h": expected float32 of shape ['),
        ("input", 'state "h": expected Float32Array for d'),
        ("disposed", "the session was disposed"),
    ]


@pytest.mark.parametrize("options", DEVICES)
def test_sessions_do_not_share_state(page: Page, served: Packs, options: dict[str, Any]) -> None:
    first, second = page.evaluate(
        """async (options) => {
            const one = await harness.load("/state/running_sum/", options);
            const other = await harness.load("/state/running_sum/", options);
            const x = (value) => ({ x: { data: new Float32Array(15).fill(value), shape: [3, 5] } });
            await Promise.all([one.run(x(1)), other.run(x(10)), one.run(x(2)), other.run(x(20))]);
            const made = [await one.state.get("s"), await other.state.get("s")];
            one.dispose();
            other.dispose();
            return made.map(({ data }) => [...data]);
        }""",
        options,
    )
    assert (set(first), set(second)) == ({3.0}, {30.0})


@pytest.mark.parametrize("options", DEVICES)
def test_aborted_runs(page: Page, served: Packs, options: dict[str, Any]) -> None:
    """A run that is aborted has either changed nothing, or all of the state; the others are not harmed."""
    made, settled = page.evaluate(
        """async (options) => {
            const session = await harness.load("/state/running_sum/", options);
            const x = { x: { data: new Float32Array(15).fill(1), shape: [3, 5] } };
            const runs = Array.from({ length: 60 }, (_, i) => {
                const abort = new AbortController();
                const run = session.run(x, { signal: abort.signal }).then(() => true, () => false);
                if (i % 3 === 1) abort.abort();
                if (i % 3 === 2) setTimeout(() => abort.abort(), i / 4);
                return run;
            });
            const settled = await Promise.all(runs);
            const { data } = await session.state.get("s");
            session.dispose();
            return [[...data], settled];
        }""",
        options,
    )
    assert len(set(made)) == 1
    assert sum(settled) <= made[0] <= 60
    assert made[0] == int(made[0])
    assert all(settled[::3])


@pytest.mark.parametrize("options", DEVICES)
def test_a_thousand_steps(page: Page, served: Packs, options: dict[str, Any]) -> None:
    """No drift and no growth: a thousand steps of the cell end where the reference does."""
    stream, _ = served["cell"]
    steps = stream.steps(1000)
    x = np.concatenate([s["x"] for s in steps])
    made, grown = page.evaluate(
        """async ([options, fed]) => {
            const session = await harness.load("/state/cell/", options);
            const { data } = harness.decodeAll({ fed }).fed;
            let last, held;
            for (let i = 0; i < 1000; i++) {
                last = await session.run({ x: { data: data.subarray(5 * i, 5 * i + 5), shape: [1, 5] } });
                if (i === 100) held = session.report.memoryBytes;
            }
            const grown = session.report.memoryBytes - held;
            session.dispose();
            return [harness.encodeAll(last), grown];
        }""",
        [options, encode({"fed": x})["fed"]],
    )
    *_, (expected, _) = stream.reference(steps)
    same(decode(made), expected, 1e-4)
    assert grown == 0
