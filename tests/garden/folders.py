"""Writes small BERT folders as Transformers and sentence-transformers save them, with random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Weights = dict[str, Array]

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    *SPECIAL,
    *(
        "a",
        "small",
        "boat",
        "cross",
        "##es",
        "##ing",
        "the",
        "harbour",
        "at",
        "dawn",
        "bread",
        "from",
        "oven",
    ),
    *(".", ",", "!", "##s", "water", "web", "##gpu"),
)


@dataclass(frozen=True)
class Sizes:
    """The sizes of a BERT encoder; odd ones, so that no kernel meets multiples of its tiles alone."""

    vocabulary: int = len(WORDS)
    hidden: int = 36
    heads: int = 3
    inner: int = 53
    layers: int = 2
    longest: int = 19
    kinds: int = 2
    epsilon: float = 1e-12


@dataclass
class Model:
    """What is written to a folder: change it before `write`."""

    sizes: Sizes = field(default_factory=Sizes)
    prefix: str = ""
    pooler: bool = True
    seed: int = 0
    config: dict[str, Any] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """config.json."""
        s = self.sizes
        return {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "vocab_size": s.vocabulary,
            "hidden_size": s.hidden,
            "num_attention_heads": s.heads,
            "intermediate_size": s.inner,
            "num_hidden_layers": s.layers,
            "max_position_embeddings": s.longest,
            "type_vocab_size": s.kinds,
            "layer_norm_eps": s.epsilon,
            "hidden_act": "gelu",
            "position_embedding_type": "absolute",
            "transformers_version": "4.57.0",
            **self.config,
        }

    def weights(self) -> Weights:
        """Random tensors under BertModel's names."""
        s, random = self.sizes, np.random.default_rng(self.seed)

        def draw(*shape: int, scale: float = 1.0, around: float = 0.0) -> Array:
            return np.float32(around) + np.float32(scale) * random.standard_normal(shape, np.float32)

        made: Weights = {}

        def linear(name: str, width: int, depth: int) -> None:
            made[f"{name}.weight"] = draw(width, depth, scale=depth**-0.5)
            made[f"{name}.bias"] = draw(width, scale=0.2)

        def norm(name: str) -> None:
            made[f"{name}.weight"] = draw(s.hidden, scale=0.1, around=1.0)
            made[f"{name}.bias"] = draw(s.hidden, scale=0.1)

        for name, rows in (("word", s.vocabulary), ("position", s.longest), ("token_type", s.kinds)):
            made[f"embeddings.{name}_embeddings.weight"] = draw(rows, s.hidden)
        norm("embeddings.LayerNorm")
        for i in range(s.layers):
            at = f"encoder.layer.{i}"
            for part in ("query", "key", "value"):
                linear(f"{at}.attention.self.{part}", s.hidden, s.hidden)
            linear(f"{at}.attention.output.dense", s.hidden, s.hidden)
            norm(f"{at}.attention.output.LayerNorm")
            linear(f"{at}.intermediate.dense", s.inner, s.hidden)
            linear(f"{at}.output.dense", s.hidden, s.inner)
            norm(f"{at}.output.LayerNorm")
        if self.pooler:
            linear("pooler.dense", s.hidden, s.hidden)
        return {f"{self.prefix}{k}": v for k, v in made.items()}

    def write(self, folder: Path, *, dtype: str = "F32", shards: int = 1) -> Path:
        """config.json, the weights, and the tokenizer's files."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "config.json", self.options())
        write_weights(folder, self.weights(), dtype=dtype, shards=shards)
        write_json(folder / "tokenizer.json", tokenizer())
        write_json(
            folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
        )
        return folder


def write_json(path: Path, value: Any) -> None:
    """A JSON file, in a folder made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def add_sentence(folder: Path, modes: Sequence[str] = ("mean_tokens",), *, normalise: bool = True) -> Path:
    """What sentence-transformers writes beside an encoder."""
    kinds = [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        *([("2_Normalize", "Normalize")] if normalise else []),
    ]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ]
    write_json(folder / "modules.json", modules)
    write_json(folder / "1_Pooling" / "config.json", {f"pooling_mode_{m}": True for m in modes})
    return folder


def encoded(array: Array, dtype: str) -> bytes:
    """Float32 elements as F32, F16 or BF16 (rounded towards zero)."""
    if dtype == "BF16":
        return (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return array.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()


def safetensors(rows: Mapping[str, tuple[str, Sequence[int], bytes]]) -> bytes:
    """A file of tensors given as dtype, shape and bytes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape, content) in rows.items():
        begin, end = end, end + len(content)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *(content for _, _, content in rows.values())])


def write_weights(folder: Path, weights: Weights, *, dtype: str = "F32", shards: int = 1) -> None:
    """model.safetensors, or so many shards and their index."""
    names = list(weights)
    groups = [names[i::shards] for i in range(shards)]
    files = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    if shards == 1:
        files = ["model.safetensors"]
    else:
        where = {n: file for file, group in zip(files, groups, strict=True) for n in group}
        write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": where})
    for file, group in zip(files, groups, strict=True):
        rows = {n: (dtype, weights[n].shape, encoded(weights[n], dtype)) for n in group}
        (folder / file).write_bytes(safetensors(rows))


def tokenizer() -> dict[str, Any]:
    """A WordPiece tokenizer.json over WORDS, as the `tokenizers` package saves BERT's."""
    marks = {
        token: {"id": token, "ids": [WORDS.index(token)], "tokens": [token]} for token in ("[CLS]", "[SEP]")
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": i,
                "content": token,
                "special": True,
                **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False),
            }
            for i, token in enumerate(SPECIAL)
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 1}},
            ],
            "special_tokens": marks,
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: i for i, word in enumerate(WORDS)},
        },
    }
