"""Sessions with state on each device: steps as in the reference, reset, saved, loaded, apart from others."""

from __future__ import annotations

import json
import resource
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from pyruntime_converter.build import build_pack
from pyruntime_converter.frontends import read_model
from pyruntime_converter.state import StateOptions, attach

import pyruntime
from pyruntime import Session
from pyruntime.errors import OptionError
from pyruntime.pack.schema import Model
from pyruntime.runtime.wasm import WasmSession
from tests.frontends.onnx_models import model, random, same
from tests.state import streams
from tests.state.streams import STREAMS, Feeds, Stream, node, zeros

DEVICES = [pytest.param(d, marks=getattr(pytest.mark, d)) for d in ("wasm", "webgpu")]
NAMES = [make.__name__ for make in STREAMS]
Packs = dict[str, tuple[Stream, Path]]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Any:
    """Each device."""
    return request.param


@pytest.fixture
def session(device: Any, stateful: Packs) -> Iterator[Session]:
    """The cell, which has two states, on each device."""
    with pyruntime.load(stateful["cell"][1], device=device) as opened:
        yield opened


def states(session: Session) -> Feeds:
    return {name: session.state.get(name) for name in session.state.names}


def follows(session: Session, stream: Stream, steps: list[Feeds]) -> None:
    """Assert that each step gives what the reference does, and the states after the last."""
    expected = list(stream.reference(steps))
    for feeds, (outputs, _) in zip(steps, expected, strict=True):
        same(session.run(feeds), outputs, 1e-4)
    same(states(session), expected[-1][1], 1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_steps(device: Any, stateful: Packs, name: str) -> None:
    """What is state is neither fed nor given, and a second stream after a reset is as the first."""
    stream, path = stateful[name]
    with pyruntime.load(path, device=device) as session:
        assert {s.name for s in session.inputs}.isdisjoint(stream.state)
        assert {s.name for s in session.outputs}.isdisjoint(stream.state.values())
        assert session.state.names == tuple(stream.state)
        same(states(session), dict(stream.first))
        follows(session, stream, stream.steps(5))
        session.state.reset()
        same(states(session), dict(stream.first))
        follows(session, stream, stream.steps(3, seed=1))


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded(device: Any, stateful: Packs, name: str) -> None:
    """A saved state goes on in another session, on the other device too, with the very same bytes."""
    stream, path = stateful[name]
    first, second = stream.steps(3), stream.steps(3, seed=1)
    with pyruntime.load(path, device=device) as session:
        for feeds in first:
            session.run(feeds)
        data = session.state.save()
        expected = [session.run(feeds) for feeds in second]
    for other in ("wasm", device):
        with pyruntime.load(path, device=other) as session:
            session.state.load(data)
            assert session.state.save() == data
            for feeds, outputs in zip(second, expected, strict=True):
                same(session.run(feeds), outputs, 1e-4)


def test_caches_give_what_the_whole_sequence_gives(device: Any, stateful: Packs) -> None:
    """Step by step, with the past in the session, the rows of one run over all tokens."""
    stream, path = stateful["cache"]
    steps = stream.steps(9)
    everything = {"ids": np.concatenate([s["ids"] for s in steps], axis=1)}
    ((whole, _),) = stream.reference([everything])
    with pyruntime.load(path, device=device) as session:
        made = [session.run(feeds)["logits"] for feeds in steps]
        assert set(session.state.lengths.values()) == {everything["ids"].size}
        assert session.state.symbols == {"past_sequence_length": everything["ids"].size}
    same({"logits": np.concatenate(made, axis=1)}, whole, 1e-4)


def test_a_full_cache(device: Any, stateful: Packs) -> None:
    """What does not fit is refused before anything is written; what fills it to the last is not."""
    stream, path = stateful["cache"]
    with pyruntime.load(path, device=device) as session:
        assert set(session.state.capacities.values()) == {23}
        session.run({"ids": np.ones((1, 21), np.int64)})
        before = session.state.save()
        with pytest.raises(pyruntime.StateError) as caught:
            session.run({"ids": np.ones((1, 3), np.int64)})
        assert str(caught.value) == (
            "state 'past_key_values.0.key' is full: it would grow from 21 to 24, and its capacity is 23;"
            " reset it, or convert with a larger capacity"
        )
        assert isinstance(caught.value, pyruntime.RunError)
        assert session.state.save() == before
        session.run({"ids": np.ones((1, 2), np.int64)})
        assert session.state.lengths["past_key_values.1.value"] == 23
        session.state.reset()
        assert session.state.get("past_key_values.1.value").shape == (1, 2, 0, 3)
        follows(session, stream, stream.steps(4))


def test_a_cache_cut_back(device: Any, stateful: Packs) -> None:
    """Set to its first elements, a cache goes on from there; states of one symbol must be as long."""
    stream, path = stateful["cache"]
    first, *rest = stream.steps(4)
    with pyruntime.load(path, device=device) as session:
        session.run(first)
        kept = states(session)
        expected = [session.run(feeds) for feeds in rest]
        for name, array in list(kept.items())[:3]:
            session.state.set(name, array)
        with pytest.raises(pyruntime.StateError, match=r"values.1.value' has size \d+ along axis 2"):
            session.run(rest[0])
        for name, array in kept.items():
            session.state.set(name, array)
        for feeds, outputs in zip(rest, expected, strict=True):
            same(session.run(feeds), outputs, 1e-5)
        with pytest.raises(pyruntime.InputError, match=r"expected float32 of shape \(1, 2, up to 23, 3\)"):
            session.state.set(next(iter(kept)), np.zeros((1, 2, 24, 3), np.float32))


def test_sessions_do_not_share_state(device: Any, stateful: Packs) -> None:
    stream, path = stateful["cell"]
    one, other = stream.steps(4), stream.steps(4, seed=1)
    pairs = zip(one, other, stream.reference(one), stream.reference(other), strict=True)
    with pyruntime.load(path, device=device) as first, pyruntime.load(path, device=device) as second:
        for feeds_one, feeds_other, (outputs_one, _), (outputs_other, _) in pairs:
            same(first.run(feeds_one), outputs_one)
            same(second.run(feeds_other), outputs_other)


def test_set_and_get(session: Session, stateful: Packs) -> None:
    stream, _ = stateful["cell"]
    h = np.full((1, 7), 0.25, np.float32)
    session.state.set("h", h)
    kept = session.state.get("h")
    assert np.array_equal(kept, h)
    (feeds,) = stream.steps(1)
    started = Stream(stream.name, stream.proto, stream.state, {**stream.first, "h": h}, stream.feeds)
    ((expected, _),) = started.reference([feeds])
    same(session.run(feeds), expected)
    assert np.array_equal(kept, h)  # a copy of its own


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("H", np.zeros((1, 7), np.float32), "there is no state 'H'; the states are 'h', 'c'"),
        ("h", np.zeros((1, 7)), "state 'h': expected float32 of shape (1, 7), got float64"),
        ("h", np.zeros((2, 7), np.float32), "state 'h': expected float32 of shape (1, 7), got shape (2, 7)"),
        ("h", [[1, 2], 3], "state 'h': the lists are of unequal lengths"),
    ],
)
def test_wrong_values(session: Session, name: str, value: Any, message: str) -> None:
    before = states(session)
    with pytest.raises(pyruntime.InputError) as caught:
        session.state.set(name, value)
    assert message in str(caught.value)
    same(states(session), before)


def test_integers_past_32_bits(stateful: Packs, device: Any) -> None:
    with pyruntime.load(stateful["dtypes"][1], device=device) as session:
        session.state.set("last", np.array(1 << 40, np.int64))
        assert session.state.get("last") == 1 << 40


def test_a_pack_without_state(device: Any, packs: Path) -> None:
    with pyruntime.load(packs / "affine", device=device) as session:
        assert session.state.names == ()
        for action in (session.state.reset, session.state.save, lambda: session.state.load(b"")):
            with pytest.raises(pyruntime.StateError, match="the pack keeps no state") as caught:
                action()
        assert caught.value.code == "state"


def test_closed(session: Session) -> None:
    session.close()
    for action in (session.state.reset, session.state.save, lambda: session.state.get("h")):
        with pytest.raises(pyruntime.DisposedError):
            action()


def test_refused_feeds_leave_the_state(session: Session, stateful: Packs) -> None:
    stream, _ = stateful["cell"]
    (feeds,) = stream.steps(1)
    session.run(feeds)
    before = states(session)
    for wrong in ({}, {"x": np.zeros((2, 5), np.float32)}):
        with pytest.raises(pyruntime.InputError):
            session.run(wrong)
    same(states(session), before)


def test_a_failed_run_may_tear_the_state(
    session: Session, stateful: Packs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was half overwritten is not gone on with, until a reset or a load."""
    stream, _ = stateful["cell"]
    (feeds,) = stream.steps(1)
    data = session.state.save()

    def broken(*arguments: Any) -> Any:
        session._committed = True
        raise pyruntime.RunError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(session, "_execute", broken)
        with pytest.raises(pyruntime.RunError, match="broken"):
            session.run(feeds)
    for action in (lambda: session.run(feeds), session.state.save):
        with pytest.raises(pyruntime.StateError, match="a run failed while it was changing the state"):
            action()
    session.state.load(data)
    ((expected, _),) = stream.reference([feeds])
    same(session.run(feeds), expected)


@pytest.mark.wasm
@pytest.mark.parametrize("late", [False, True])
def test_a_step_that_fails(stateful: Packs, monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    """Before anything of the state is overwritten, the state is as it was; later it is torn."""
    stream, path = stateful["cell"]
    (feeds,) = stream.steps(1)
    with pyruntime.load(path, device="wasm") as session:
        assert isinstance(session, WasmSession)
        before, commit = states(session), session._commit(0)
        assert 0 < commit < len(session.report.steps)
        call = session._call

        def failing(name: str, *arguments: int) -> int:
            return -9 if name == "run" and (arguments[1] >= commit) == late else call(name, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(session, "_call", failing)
            with pytest.raises(pyruntime.RunError, match="code -9"):
                session.run(feeds)
        if late:
            with pytest.raises(pyruntime.StateError, match="while it was changing the state"):
                session.run(feeds)
            session.state.reset()
        same(states(session), before)
        ((expected, _),) = stream.reference([feeds])
        same(session.run(feeds), expected)


def test_a_mask_over_past_and_new(device: Any, tmp_path: Path) -> None:
    """Inputs whose sizes follow from a state's are checked against it."""
    nodes = [node("Concat", ["past", "x"], ["present"], axis=1), node("Mul", ["present", "mask"], ["y"])]
    feeds = {"mask": zeros(2, 1), "past": zeros(2, 0), "x": zeros(2, 1)}
    shapes: dict[str, list[int | str | None]] = {
        "mask": [2, "past + new"],
        "past": [2, "past"],
        "x": [2, "new"],
    }
    onnx.save(model(nodes, feeds, ["y", "present"], shapes=shapes), tmp_path / "m.onnx")
    pyruntime.convert(
        tmp_path / "m.onnx",
        tmp_path / "pack",
        state={"past": "present"},
        capacity={"past": 9},
        targets=(device,),
    )
    everything = random(2, 9, seed=1)
    mask = random(2, 9, seed=2)
    with pyruntime.load(tmp_path / "pack", device=device) as session:
        assert [s.shape for s in session.inputs] == [(2, "new + past"), (2, "new")]
        begin = 0
        for end in (1, 4, 5, 9):
            with pytest.raises(pyruntime.InputError, match="axis 1 must be"):
                session.run({"x": everything[:, begin:end], "mask": mask[:, : end - 1]})
            made = session.run({"x": everything[:, begin:end], "mask": mask[:, :end]})
            same(made, {"y": everything[:, :end] * mask[:, :end]})
            begin = end


def test_entries_share_states_of_one_name(device: Any, tmp_path: Path) -> None:
    """What one program of a pack leaves, another goes on with."""
    graphs = []
    for name, step in (("add", 1.0), ("subtract", -1.0)):
        nodes = [node("Mul", ["x", "k"], ["kx"]), node("Add", ["s", "kx"], ["t"]), node("Abs", ["t"], ["y"])]
        weights = {"k": np.array(step, np.float32)}
        proto = model(nodes, {"x": zeros(3), "s": zeros(3)}, ["y", "t"], weights=weights)
        graph = read_model(proto.SerializeToString(), name).graph
        attach(graph, StateOptions({"s": "t"}))
        graphs.append(graph)
    build_pack(graphs, tmp_path / "pack", Model("two", "test", "0" * 64), targets=(device,))
    with pyruntime.load(tmp_path / "pack", device=device) as session:
        assert session.state.names == ("s",)
        total = zeros(3)
        for i, entry in enumerate(("add", "subtract", "subtract", "add", "subtract")):
            x = random(3, seed=i)
            total = total + x if entry == "add" else total - x
            same(session.run({"x": x}, entry=entry), {"y": np.abs(total)})
    graphs = [read_model(proto.SerializeToString(), n).graph for n in ("one", "other")]
    attach(graphs[0], StateOptions({"s": "t"}))
    attach(graphs[1], StateOptions({"s": "t"}, initial={"s": np.ones(3, np.float32)}))
    with pytest.raises(OptionError, match="entries disagree about the state 's'"):
        build_pack(graphs, tmp_path / "wrong", Model("two", "test", "0" * 64), targets=(device,))


def test_a_thousand_steps(device: Any, stateful: Packs) -> None:
    """No drift, and no memory that grows."""
    stream, path = stateful["cell"]
    steps = stream.steps(1000)
    with pyruntime.load(path, device=device) as session:
        for feeds in steps[:200]:
            session.run(feeds)
        held, resident = session.report.memory_bytes, _resident()
        for feeds in steps[200:]:
            made = session.run(feeds)
        *_, (expected, _) = stream.reference(steps)
        same(made, expected, 1e-4)
        assert session.report.memory_bytes == held
        assert _resident() - resident < 8 << 20


def test_a_thousand_steps_of_a_cache(device: Any, tmp_path: Path) -> None:
    """Memory is laid out for the full cache once; the last token sees all that came before."""
    stream = streams.cache()
    ids = np.random.default_rng(0).integers(0, streams.VOCABULARY, (1, 1000))
    sizes = {"symbols": {"batch": 1}, "capacity": {"past_sequence_length": 1000}}
    pyruntime.convert(
        stream.save(tmp_path), tmp_path / "pack", state=stream.state, targets=(device,), **sizes
    )
    with pyruntime.load(tmp_path / "pack", device=device) as session:
        session.run({"ids": ids[:, :1]})
        held = session.report.memory_bytes
        for i in range(1, 1000):
            made = session.run({"ids": ids[:, i : i + 1]})
        assert session.report.memory_bytes == held
        with pytest.raises(pyruntime.StateError, match="is full"):
            session.run({"ids": ids[:, :1]})
    ((whole, _),) = stream.reference([{"ids": ids}])
    same(made, {"logits": whole["logits"][:, -1:]}, 1e-4)


def _resident() -> int:
    """The most bytes that this process has had in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def damaged(data: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert old in data
    return data.replace(old, new, 1)


@pytest.mark.wasm
def test_bytes_that_are_no_state_of_this_pack(stateful: Packs, tmp_path: Path) -> None:
    wrong: list[tuple[bytes, str]] = []
    with pyruntime.load(stateful["cell"][1], device="wasm") as session:
        before, data = states(session), session.state.save()
        with pyruntime.load(stateful["exchange"][1], device="wasm") as other:
            wrong.append((other.state.save(), "was saved by another model"))
        wrong += [
            (b"", "not a saved state"),
            (b"\xff" * 40, "not a saved state"),
            (data[:20], "not a saved state"),
            (data[:-1], "'c' is damaged"),
            (data + b"\0", "bytes, its tensors need"),
            (damaged(data, b"pyruntime-state-0", b"pyruntime-state-9"), "their format is not"),
            (damaged(data, b'"h":{', b'"H":{'), "has 'H', 'c', the pack has 'h', 'c'"),
            (damaged(data, b'"F32"', b'"I32"'), "saved as int32 of shape (1, 7)"),
            (damaged(data, b'"F32"', b'"F99"'), "'h' is damaged"),
            (damaged(data, b"[1,7]", b"[7,1]"), "the pack keeps float32 of shape (1, 7)"),
            (damaged(data, b"[1,7]", b'"1,7"'), "'h' is damaged"),
        ]
        for saved, message in wrong:
            with pytest.raises(pyruntime.StateError) as caught:
                session.state.load(saved)
            assert message in str(caught.value)
            same(states(session), before)
        session.state.load(bytearray(data))


def test_save_is_a_safetensors_file(session: Session) -> None:
    data = session.state.save()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    assert length % 8 == 0
    assert all(isinstance(v, str) for v in header.pop("__metadata__").values())
    assert list(header) == ["h", "c"]
    for name, told in header.items():
        begin, end = told["data_offsets"]
        held = np.frombuffer(data[8 + length :][begin:end], np.float32).reshape(told["shape"])
        assert told["dtype"] == "F32"
        assert np.array_equal(held, session.state.get(name))
