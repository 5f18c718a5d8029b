"""BERT's descendants and models with heads, against the same plain NumPy model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_converter.frontends import read_model

import pyruntime
from pyruntime.errors import InputError, ModelError, UnsupportedError
from pyruntime.ops.run_graph import run_graph
from tests.converter.compare import assert_close
from tests.garden.folders import Model, Sizes, Weights, add_sentence, write_json, write_weights
from tests.garden.reference import Bert, Roberta, embeddings
from tests.garden.test_bert import DEVICES, Device, feeds

Array = NDArray[Any]

LABELS = 5


def linear(name: str, width: int, depth: int, seed: int) -> Weights:
    random = np.random.default_rng(seed)
    return {
        f"{name}.weight": random.standard_normal((width, depth), np.float32) * np.float32(depth**-0.5),
        f"{name}.bias": random.standard_normal(width, np.float32),
    }


def apply(weights: Weights, name: str, x: Array) -> Array:
    return np.asarray(x @ weights[f"{name}.weight"].T.astype(np.float64) + weights[f"{name}.bias"])


def save(folder: Path, model: Model, weights: Mapping[str, Array], **options: Any) -> Path:
    """The model's folder with other weights and options."""
    model.write(folder)
    write_json(folder / "config.json", {**model.options(), **options})
    write_weights(folder, dict(weights))
    return folder


def on_numpy(folder: Path, given: Mapping[str, Array]) -> dict[str, Array]:
    return run_graph(read_model(folder).graph, given)


# ------------------------------------------------------------------------------------------ BERT


def test_sequence_classification(tmp_path: Path) -> None:
    model = Model(prefix="bert.")
    weights = {**model.weights(), **linear("classifier", LABELS, model.sizes.hidden, 1)}
    folder = save(tmp_path / "m", model, weights, architectures=["BertForSequenceClassification"])
    outputs = on_numpy(folder, given := feeds(3, 7))
    bert = Bert(weights, model.sizes, "bert.")
    wanted = [apply(weights, "classifier", bert.pooled(h)) for h in bert.run(*given.values())]
    assert list(outputs) == ["logits"]
    assert_close(outputs["logits"], np.stack(wanted).astype(np.float32), 1e-5)


def test_token_classification(tmp_path: Path) -> None:
    model = Model(prefix="bert.", pooler=False)
    weights = {**model.weights(), **linear("classifier", LABELS, model.sizes.hidden, 1)}
    folder = save(tmp_path / "m", model, weights, architectures=["BertForTokenClassification"])
    outputs = on_numpy(folder, given := feeds(2, 9))
    hidden = Bert(weights, model.sizes, "bert.").run(*given.values())
    assert_close(outputs["logits"], apply(weights, "classifier", hidden).astype(np.float32), 1e-5)


def test_a_head_that_is_not_there(tmp_path: Path) -> None:
    model = Model(prefix="bert.", config={"architectures": ["BertForSequenceClassification"]})
    with pytest.raises(ModelError, match=r"no tensor 'classifier\.weight'"):
        read_model(model.write(tmp_path / "m"))


def test_a_head_that_is_no_matrix(tmp_path: Path) -> None:
    model = Model(prefix="bert.")
    weights: Weights = {
        "classifier.weight": np.ones((), np.float32),
        "classifier.bias": np.ones(1, np.float32),
    }
    weights |= model.weights()
    folder = save(tmp_path / "m", model, weights, architectures=["BertForSequenceClassification"])
    with pytest.raises(ModelError, match=r"'classifier\.weight' has shape \(\)"):
        read_model(folder)


# ------------------------------------------------------------------------- RoBERTa and XLM-RoBERTa

ROBERTA = Sizes(kinds=1, longest=15, epsilon=1e-5)


def padded(batch: int, sequence: int) -> dict[str, Array]:
    """Tokens that end in RoBERTa's padding, which the mask leaves out."""
    given = feeds(batch, sequence)
    ids = np.where(given["attention_mask"] == 0, Roberta.padding, np.maximum(given["input_ids"], 2))
    return {"input_ids": ids, "attention_mask": given["attention_mask"]}


@pytest.mark.parametrize(("kind", "name"), [("roberta", "Roberta"), ("xlm-roberta", "XLMRoberta")])
def test_roberta(tmp_path: Path, kind: str, name: str) -> None:
    model = Model(sizes=ROBERTA, config={"model_type": kind, "architectures": [f"{name}Model"]})
    folder = model.write(tmp_path / "m")
    outputs = on_numpy(folder, given := {**padded(3, 13), "token_type_ids": np.zeros((3, 13), np.int64)})
    wanted = Roberta(model.weights(), ROBERTA).run(*given.values())
    assert_close(outputs["last_hidden_state"], wanted, 1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_roberta_on_devices(tmp_path: Path, device: Device) -> None:
    """Positions are computed there; the longest sequence is shorter than the table by the padding's rows."""
    model = Model(sizes=ROBERTA, config={"model_type": "roberta", "architectures": ["RobertaForMaskedLM"]})
    folder = add_sentence(model.write(tmp_path / "m"))
    pyruntime.convert(folder, tmp_path / "pack", targets=(device,))
    roberta = Roberta(model.weights(), ROBERTA)
    with pyruntime.load(tmp_path / "pack", device=device) as session:
        for batch, sequence in [(1, 1), (3, 13), (4, 6)]:
            given = padded(batch, sequence)
            outputs = session.run(given)
            hidden = roberta.run(*given.values())
            assert_close(outputs["last_hidden_state"], hidden, 1e-5)
            wanted = embeddings(hidden, given["attention_mask"])
            assert_close(outputs["sentence_embedding"], wanted, 1e-5)
        with pytest.raises(InputError, match="13 positions"):
            session.run({"input_ids": np.full((1, 14), 5)})


def test_roberta_sequence_classification(tmp_path: Path) -> None:
    model = Model(sizes=ROBERTA, prefix="roberta.", pooler=False)
    width = ROBERTA.hidden
    heads = {**linear("classifier.dense", width, width, 1), **linear("classifier.out_proj", LABELS, width, 2)}
    options = {"model_type": "roberta", "architectures": ["RobertaForSequenceClassification"]}
    folder = save(tmp_path / "m", model, {**model.weights(), **heads}, **options)
    given = {**padded(2, 8), "token_type_ids": np.zeros((2, 8), np.int64)}
    hidden = Roberta(model.weights(), ROBERTA, "roberta.").run(*given.values())
    wanted = apply(heads, "classifier.out_proj", np.tanh(apply(heads, "classifier.dense", hidden[:, 0])))
    assert_close(on_numpy(folder, given)["logits"], wanted.astype(np.float32), 1e-5)


def test_roberta_without_positions(tmp_path: Path) -> None:
    config = {"model_type": "roberta", "architectures": ["RobertaModel"], "pad_token_id": 14}
    with pytest.raises(ModelError, match="no positions past 14"):
        read_model(Model(sizes=ROBERTA, config=config).write(tmp_path / "m"))


# ------------------------------------------------------------------------------------- DistilBERT

DISTIL = Sizes(kinds=1)
RENAMED = {
    "encoder.layer": "transformer.layer",
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


def distilled(model: Model, folder: Path, more: Weights | None = None, architecture: str = "Model") -> Path:
    """BERT's weights under DistilBERT's names. The one kind of token becomes part of the words."""
    weights: Weights = {}
    for name, array in model.weights().items():
        for old, new in RENAMED.items():
            name = name.replace(old, new)
        weights[f"distilbert.{name}"] = array
    kind = weights.pop("distilbert.embeddings.token_type_embeddings.weight")
    words = weights["distilbert.embeddings.word_embeddings.weight"]
    weights["distilbert.embeddings.word_embeddings.weight"] = words + kind
    s = model.sizes
    options = {
        "model_type": "distilbert",
        "architectures": [f"DistilBert{architecture}"],
        "vocab_size": s.vocabulary,
        "max_position_embeddings": s.longest,
        "dim": s.hidden,
        "n_heads": s.heads,
        "hidden_dim": s.inner,
        "n_layers": s.layers,
        "activation": "gelu",
    }
    model.write(folder)
    write_json(folder / "config.json", options)
    write_weights(folder, {**weights, **(more or {})})
    return folder


def test_distilbert(tmp_path: Path) -> None:
    model = Model(sizes=DISTIL, pooler=False)
    given = {k: v for k, v in feeds(3, 11).items() if k != "token_type_ids"}
    outputs = on_numpy(distilled(model, tmp_path / "m"), given)
    assert_close(outputs["last_hidden_state"], Bert(model.weights(), DISTIL).run(*given.values()), 1e-5)


def test_distilbert_sequence_classification(tmp_path: Path) -> None:
    model = Model(sizes=DISTIL, pooler=False)
    width = DISTIL.hidden
    heads = {**linear("pre_classifier", width, width, 1), **linear("classifier", 2, width, 2)}
    folder = distilled(model, tmp_path / "m", heads, "ForSequenceClassification")
    given = {k: v for k, v in feeds(2, 6).items() if k != "token_type_ids"}
    hidden = Bert(model.weights(), DISTIL).run(*given.values())
    wanted = apply(heads, "classifier", np.maximum(apply(heads, "pre_classifier", hidden[:, 0]), 0))
    assert_close(on_numpy(folder, given)["logits"], wanted.astype(np.float32), 1e-5)


def test_distilbert_has_no_other_heads(tmp_path: Path) -> None:
    folder = distilled(Model(sizes=DISTIL, pooler=False), tmp_path / "m", architecture="ForMaskedLM")
    with pytest.raises(
        UnsupportedError, match=r"DistilBertForMaskedLM.*known for this model_type: DistilBertModel"
    ):
        read_model(folder)
