"""Llama folders against a plain NumPy model, and the real stories260k against its recorded logits."""

from __future__ import annotations

import json
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
from tests.garden.folders import Weights, write_json, write_weights
from tests.garden.test_bert import DEVICES, Device

Array = NDArray[Any]
Config = dict[str, Any]

CONFIG: Config = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 37,
    "hidden_size": 24,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 10,
    "intermediate_size": 31,
    "num_hidden_layers": 2,
    "max_position_embeddings": 23,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "rope_theta": 500.0,
}


def weights(config: Config, *, tied: bool = False) -> Weights:
    """Random tensors under the names of LlamaForCausalLM."""
    random = np.random.default_rng(0)
    width, inner, size = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    rows = {"q": config["num_attention_heads"], "k": config["num_key_value_heads"]}
    made: Weights = {}

    def linear(name: str, out: int, depth: int, biased: bool = False) -> None:
        made[f"{name}.weight"] = random.standard_normal((out, depth), np.float32) * np.float32(depth**-0.5)
        if biased:
            made[f"{name}.bias"] = random.standard_normal(out, np.float32)

    def norm(name: str) -> None:
        made[f"{name}.weight"] = np.asarray(random.uniform(0.8, 1.2, width), np.float32)

    made["model.embed_tokens.weight"] = random.standard_normal((config["vocab_size"], width), np.float32)
    for i in range(config["num_hidden_layers"]):
        at, biased = f"model.layers.{i}", config.get("attention_bias", False)
        norm(f"{at}.input_layernorm")
        norm(f"{at}.post_attention_layernorm")
        for part, heads in (("q", rows["q"]), ("k", rows["k"]), ("v", rows["k"])):
            linear(f"{at}.self_attn.{part}_proj", heads * size, width, biased)
        linear(f"{at}.self_attn.o_proj", width, rows["q"] * size, biased)
        for part, shape in (("gate", (inner, width)), ("up", (inner, width)), ("down", (width, inner))):
            linear(f"{at}.mlp.{part}_proj", *shape, config.get("mlp_bias", False))
    norm("model.norm")
    if not tied:
        linear("lm_head", config["vocab_size"], width)
    return made


def write(folder: Path, config: Config, given: Mapping[str, Array] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    write_json(folder / "config.json", config)
    write_weights(folder, dict(weights(config) if given is None else given))
    return folder


class Llama:
    """One sequence at a time, one head at a time, in float64."""

    def __init__(self, given: Mapping[str, Array], config: Config) -> None:
        self.weights = {k: v.astype(np.float64) for k, v in given.items()}
        self.config = config

    def linear(self, x: Array, name: str) -> Array:
        return np.asarray(x @ self.weights[f"{name}.weight"].T + self.weights.get(f"{name}.bias", 0.0))

    def norm(self, x: Array, name: str) -> Array:
        root = np.sqrt((x**2).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return np.asarray(x / root * self.weights[f"{name}.weight"])

    def turned(self, x: Array) -> Array:
        """Each feature i < d / 2 with its partner i + d / 2 as a complex number, times exp(i * angle)."""
        half = x.shape[-1] // 2
        rates = self.config["rope_theta"] ** (-np.arange(half) / half)
        turn = np.exp(1j * np.arange(len(x))[:, None] * rates)
        both = (x[:, :half] + 1j * x[:, half:]) * turn
        return np.concatenate([both.real, both.imag], -1)

    def attention(self, x: Array, visible: Array, at: str) -> Array:
        size, heads = self.config["head_dim"], self.config["num_attention_heads"]
        shared = heads // self.config["num_key_value_heads"]
        query, key, value = (self.linear(x, f"{at}.{n}_proj") for n in ("q", "k", "v"))
        allowed = np.tril(np.ones((len(x), len(x)), bool)) & visible
        found = []
        for head in range(heads):
            q = self.turned(query[:, head * size : (head + 1) * size])
            group = slice(head // shared * size, (head // shared + 1) * size)
            scores = np.where(allowed, q @ self.turned(key[:, group]).T / np.sqrt(size), -np.inf)
            powers = np.exp(scores - scores.max(-1, keepdims=True))
            found.append(powers / powers.sum(-1, keepdims=True) @ value[:, group])
        return self.linear(np.concatenate(found, -1), f"{at}.o_proj")

    def hidden(self, ids: Array, mask: Array) -> Array:
        x = self.weights["model.embed_tokens.weight"][ids]
        for i in range(self.config["num_hidden_layers"]):
            at = f"model.layers.{i}"
            x = x + self.attention(self.norm(x, f"{at}.input_layernorm"), mask != 0, f"{at}.self_attn")
            normal = self.norm(x, f"{at}.post_attention_layernorm")
            gate, up = (self.linear(normal, f"{at}.mlp.{n}_proj") for n in ("gate", "up"))
            x = x + self.linear(gate / (1 + np.exp(-gate)) * up, f"{at}.mlp.down_proj")
        return self.norm(x, "model.norm")

    def run(self, ids: Array, mask: Array, *, head: str = "lm_head") -> Array:
        found = [self.linear(self.hidden(i, m), head) for i, m in zip(ids, mask, strict=True)]
        return np.stack(found).astype(np.float32)


def feeds(batch: int, sequence: int) -> dict[str, Array]:
    """Random tokens; later examples end in padding."""
    ids = np.random.default_rng(batch).integers(0, CONFIG["vocab_size"], (batch, sequence))
    lengths = np.maximum(sequence - 2 * np.arange(batch), 1)
    return {"input_ids": ids, "attention_mask": (np.arange(sequence) < lengths[:, None]).astype(np.int64)}


def on_numpy(folder: Path, given: Mapping[str, Array]) -> dict[str, Array]:
    return run_graph(read_model(folder).graph, given)


@pytest.mark.parametrize("biased", [False, True])
def test_logits(tmp_path: Path, biased: bool) -> None:
    config = {**CONFIG, "attention_bias": biased, "mlp_bias": biased}
    outputs = on_numpy(write(tmp_path / "m", config), given := feeds(3, 11))
    assert list(outputs) == ["logits"]
    assert_close(outputs["logits"], Llama(weights(config), config).run(*given.values()), 1e-5)


def test_tied_embeddings(tmp_path: Path) -> None:
    config = {**CONFIG, "tie_word_embeddings": True}
    given = weights(config, tied=True)
    outputs = on_numpy(write(tmp_path / "m", config, given), fed := feeds(2, 5))
    wanted = Llama(given, config).run(*fed.values(), head="model.embed_tokens")
    assert_close(outputs["logits"], wanted, 1e-5)


def test_the_base_model(tmp_path: Path) -> None:
    config = {**CONFIG, "architectures": ["LlamaModel"]}
    given = {k.removeprefix("model."): v for k, v in weights(config, tied=True).items()}
    outputs = on_numpy(write(tmp_path / "m", config, given), fed := feeds(1, 6))
    wanted = Llama(weights(config), config).hidden(fed["input_ids"][0], fed["attention_mask"][0])
    assert_close(outputs["last_hidden_state"], wanted[None].astype(np.float32), 1e-5)


def test_rotary_options_of_both_ages(tmp_path: Path) -> None:
    """rope_theta stands beside the sizes or, since Transformers 5, among rope_parameters."""
    new = {k: v for k, v in CONFIG.items() if k != "rope_theta"}
    new["rope_parameters"] = {"rope_theta": 500.0, "rope_type": "default"}
    old = {**CONFIG, "rope_scaling": None}
    given = feeds(1, 9)
    outputs = [
        on_numpy(write(tmp_path / "m", c, weights(CONFIG)), given)["logits"] for c in (CONFIG, old, new)
    ]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])


@pytest.mark.parametrize("device", DEVICES)
def test_devices(tmp_path: Path, device: Device) -> None:
    pyruntime.convert(write(tmp_path / "m", CONFIG), tmp_path / "pack", targets=(device,))
    llama = Llama(weights(CONFIG), CONFIG)
    with pyruntime.load(tmp_path / "pack", device=device) as session:
        for batch, sequence in [(1, 1), (3, 11), (2, 23)]:
            given = feeds(batch, sequence)
            assert_close(session.run(given)["logits"], llama.run(*given.values()), 1e-5)
        with pytest.raises(InputError, match="23 positions"):
            session.run({"input_ids": np.zeros((1, 24), np.int64)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            "rope_type.*'llama3'.*supported: 'default'",
        ),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "type.*'linear'.*supported: 'default'"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_type.*'yarn'"),
        ({"hidden_act": "swiglu"}, "hidden_act.*'swiglu'"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "known for this model_type: LlamaModel, "),
    ],
)
def test_unsupported_options(tmp_path: Path, options: Config, message: str) -> None:
    folder = write(tmp_path / "m", {**CONFIG, **options}, weights(CONFIG))
    with pytest.raises(UnsupportedError, match=message):
        read_model(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_key_value_heads": 4}, "6 heads are no multiple of 4"),
        ({"head_dim": 9}, "size 9 is odd"),
        ({"head_dim": 1 << 30, "max_position_embeddings": 1 << 30}, r"q_proj\.weight' has shape \(60, 24\)"),
        ({"attention_bias": "no"}, "'attention_bias' must be true or false"),
        ({"rope_scaling": "default"}, "'rope_scaling' must be an object"),
        ({"num_hidden_layers": 1}, r"no tensor 'model\.layers\.1\."),
        ({"tie_word_embeddings": False, "vocab_size": 36}, r"embed_tokens\.weight' has shape \(37, 24\)"),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, options: Config, message: str) -> None:
    folder = write(tmp_path / "m", {**CONFIG, **options}, weights(CONFIG))
    with pytest.raises(ModelError, match=message):
        read_model(folder)


@pytest.mark.shared
@pytest.mark.parametrize("device", DEVICES)
def test_stories260k(tmp_path: Path, shared_models: Path, device: Device) -> None:
    pyruntime.convert(shared_models / "stories260k_hf", tmp_path / "pack", targets=(device,))
    with (
        np.load(shared_models / "stories260k_hf.npz") as data,
        pyruntime.load(tmp_path / "pack", device=device) as session,
    ):
        for i in range(len(json.loads(str(data["meta"]))["cases"])):
            logits = session.run({"input_ids": data[f"c{i}_in0"]})["logits"]
            assert_close(logits, data[f"c{i}_out0"], 1e-5)
