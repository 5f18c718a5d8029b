"""BERT folders: the graph on NumPy and packs on both devices against a plain NumPy model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_converter.frontends import read_model

import pyruntime
from pyruntime.errors import InputError
from pyruntime.ops.run_graph import run_graph
from tests.converter.compare import assert_close
from tests.garden.folders import Model, Sizes, add_sentence
from tests.garden.reference import Bert, embeddings, gelu

Array = NDArray[Any]
Device = Literal["webgpu", "wasm"]

DEVICES = [
    pytest.param("wasm", marks=pytest.mark.wasm),
    pytest.param("webgpu", marks=pytest.mark.webgpu),
]


def feeds(batch: int, sequence: int, seed: int = 1) -> dict[str, Array]:
    """Random tokens; each example but the first ends in padding, and the last one is of two kinds."""
    sizes, random = Sizes(), np.random.default_rng(seed)
    ids = random.integers(0, sizes.vocabulary, (batch, sequence))
    lengths = np.maximum(sequence - 3 * np.arange(batch), 1)
    mask = (np.arange(sequence) < lengths[:, None]).astype(np.int64)
    kinds = np.zeros_like(ids)
    kinds[-1, sequence // 2 :] = sizes.kinds - 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": kinds}


def on_numpy(folder: Path, given: Mapping[str, Array]) -> dict[str, Array]:
    """The imported graph, run by the ops' references."""
    return run_graph(read_model(folder).graph, given)


@pytest.mark.parametrize(("batch", "sequence"), [(1, 1), (3, 7), (2, 19)])
def test_graph(tmp_path: Path, batch: int, sequence: int) -> None:
    model = Model()
    outputs = on_numpy(model.write(tmp_path / "m"), given := feeds(batch, sequence))
    assert list(outputs) == ["last_hidden_state", "pooler_output"]
    bert = Bert(model.weights(), model.sizes)
    hidden = bert.run(*given.values())
    assert_close(outputs["last_hidden_state"], hidden, 1e-5)
    assert_close(
        outputs["pooler_output"], np.stack([bert.pooled(h) for h in hidden]).astype(np.float32), 1e-5
    )


def test_without_pooler_inside_a_model_with_a_head(tmp_path: Path) -> None:
    model = Model(prefix="bert.", pooler=False)
    outputs = on_numpy(model.write(tmp_path / "m"), given := feeds(2, 5))
    assert list(outputs) == ["last_hidden_state"]
    assert_close(
        outputs["last_hidden_state"], Bert(model.weights(), model.sizes, "bert.").run(*given.values()), 1e-5
    )


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(("dtype", "error"), [("F16", 2e-3), ("BF16", 2e-2)])
def test_half_precision_and_shards(tmp_path: Path, dtype: str, error: float, shards: int) -> None:
    """The very numbers that the files hold, and so near to those they were rounded from."""
    model = Model()
    outputs = on_numpy(model.write(tmp_path / "m", dtype=dtype, shards=shards), given := feeds(2, 9))
    rounded = {
        k: v.astype(np.float16) if dtype == "F16" else (v.view(np.uint32) >> 16 << 16).view(np.float32)
        for k, v in model.weights().items()
    }
    assert_close(outputs["last_hidden_state"], Bert(rounded, model.sizes).run(*given.values()), 1e-5)
    original = Bert(model.weights(), model.sizes).run(*given.values())
    assert np.abs(outputs["last_hidden_state"] - original).max() < 40 * error


ACTIVATIONS: Mapping[str, Any] = {
    "gelu": gelu,
    "gelu_new": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(tmp_path: Path, name: str) -> None:
    model = Model(config={"hidden_act": name})
    outputs = on_numpy(model.write(tmp_path / "m"), given := feeds(2, 5))
    bert = Bert(model.weights(), model.sizes, activation=ACTIVATIONS[name])
    assert_close(outputs["last_hidden_state"], bert.run(*given.values()), 1e-5)


MODES = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens")


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("modes", [*((m,) for m in MODES), MODES])
def test_pooling(tmp_path: Path, modes: tuple[str, ...], normalise: bool) -> None:
    model = Model()
    folder = add_sentence(model.write(tmp_path / "m"), modes, normalise=normalise)
    outputs = on_numpy(folder, given := feeds(3, 8))
    assert list(outputs) == ["last_hidden_state", "sentence_embedding"]
    hidden = Bert(model.weights(), model.sizes).run(*given.values())
    wanted = embeddings(hidden, given["attention_mask"], modes, normalise=normalise)
    assert_close(outputs["sentence_embedding"], wanted, 1e-5)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack of a sentence-transformers folder, with its folder beside it."""
    folder = tmp_path_factory.mktemp("bert")
    add_sentence(Model().write(folder / "model"))
    pyruntime.convert(folder / "model", folder / "pack")
    return folder


@pytest.mark.parametrize("device", DEVICES)
def test_devices(converted: Path, device: Device) -> None:
    """Every batch and sequence from one pack; masks with holes and without anything."""
    model = Model()
    bert = Bert(model.weights(), model.sizes)
    with pyruntime.load(converted / "pack", device=device) as session:
        for batch, sequence in [(1, 1), (4, 13), (1, 19), (17, 3), (2, 2)]:
            given = feeds(batch, sequence, seed=batch)
            if sequence == 3:
                given["attention_mask"][0] = [0, 1, 0]
                given["attention_mask"][1] = 0
            outputs = session.run(given)
            hidden = bert.run(*given.values())
            assert_close(outputs["last_hidden_state"], hidden, 1e-5)
            some = given["attention_mask"].any(1)
            wanted = embeddings(hidden[some], given["attention_mask"][some])
            assert_close(outputs["sentence_embedding"][some], wanted, 1e-5)


def test_conversion_gives_the_same_bytes(converted: Path, tmp_path: Path) -> None:
    pyruntime.convert(converted / "model", tmp_path / "again")
    names = sorted(p.name for p in (converted / "pack").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "again").iterdir())
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (converted / "pack" / name).read_bytes(), name


@pytest.mark.webgpu
def test_a_table_of_half_precision_that_no_binding_would_hold_in_single(tmp_path: Path) -> None:
    model = Model(sizes=Sizes(vocabulary=(1 << 20) + 1, hidden=32, heads=1, layers=1), pooler=False)
    folder = model.write(tmp_path / "m", dtype="F16")
    pyruntime.convert(folder, tmp_path / "pack", targets=("webgpu",), weights="f16")
    given = feeds(1, 5)
    given["input_ids"][0, 1] = 1 << 20  # its last row
    with pyruntime.load(tmp_path / "pack", device="webgpu") as session:
        assert (1 << 26) < session.report.memory_bytes < (1 << 27)
        outputs = session.run(given)
    assert_close(outputs["last_hidden_state"], on_numpy(folder, given)["last_hidden_state"], 1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_inputs_that_need_not_be_fed(converted: Path, device: Device) -> None:
    with pyruntime.load(converted / "pack", device=device) as session:
        assert [(s.name, s.default) for s in session.inputs] == [
            ("input_ids", None),
            ("attention_mask", 1),
            ("token_type_ids", 0),
        ]
        given = feeds(3, 7)
        few = session.run({"input_ids": given["input_ids"]})["last_hidden_state"]
        ones, zeros = np.ones_like(given["input_ids"]), np.zeros_like(given["input_ids"])
        all_ = session.run({"input_ids": given["input_ids"], "attention_mask": ones, "token_type_ids": zeros})
        np.testing.assert_array_equal(few, all_["last_hidden_state"])
        some = session.run({k: given[k] for k in ("input_ids", "attention_mask")})["last_hidden_state"]
        assert not np.array_equal(some, few)


@pytest.mark.parametrize("device", DEVICES)
def test_a_sequence_past_the_positions_is_refused(converted: Path, device: Device) -> None:
    with pyruntime.load(converted / "pack", device=device) as session:
        with pytest.raises(InputError, match=r"19 positions.*sequence=20"):
            session.run({"input_ids": np.zeros((1, 20), np.int64)})
        assert session.run({"input_ids": np.zeros((1, 19), np.int64)})["last_hidden_state"].shape == (
            1,
            19,
            36,
        )


@pytest.mark.parametrize("device", DEVICES)
def test_tokens_past_the_vocabulary_are_refused(converted: Path, device: Device) -> None:
    last = Sizes().vocabulary - 1
    with pyruntime.load(converted / "pack", device=device) as session:
        for strange in (-1, last + 1):
            with pytest.raises(
                InputError, match=f"'input_ids' takes integers from 0 to {last}, got {strange}"
            ):
                session.run({"input_ids": np.array([[0, strange]])})
        with pytest.raises(InputError, match="'token_type_ids' takes integers from 0 to 1, got 2"):
            session.run({"input_ids": [[0, last]], "token_type_ids": [[0, 2]]})


@pytest.mark.parametrize("archive", [False, True])
def test_the_tokenizer_travels_in_the_pack(converted: Path, tmp_path: Path, archive: bool) -> None:
    pack = converted / "pack"
    if archive:
        pack = tmp_path / "pack.zip"
        pyruntime.convert(converted / "model", pack, targets=("wasm",))
    with pyruntime.load(pack, device="wasm") as session:
        assets = session.assets
    assert list(assets) == ["tokenizer.json", "tokenizer_config.json"]
    for name in assets:
        assert assets[name] == (converted / "model" / name).read_bytes()
