"""What a sentence-transformers folder adds to an encoder: pooling over the tokens, and normalisation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyruntime.errors import ModelError, UnsupportedError
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Origin, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.frontends.huggingface.json_files import read_json, read_object

MODULES = "modules.json"
POOLING = "1_Pooling"  # where the pooling is described when modules.json is not there
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# pooling modes in the order in which several are concatenated
_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
}
_OTHER_MODES = ("pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken")


@dataclass(frozen=True)
class Sentence:
    """How a sentence's embedding is made of its tokens' hidden states.

    Attributes:
        folder: where the encoder's config.json and weights are.
        modes: what is taken over the tokens, concatenated.
        normalise: whether the result has length 1.
        files: the files that say so.
    """

    folder: Path
    modes: tuple[str, ...]
    normalise: bool
    files: tuple[Path, ...]


def read_sentence(folder: Path) -> Sentence | None:
    """What the folder says, or None for a plain encoder.

    Raises ModelError for files that are damaged, UnsupportedError for modules and modes that are not known.
    """
    if (folder / MODULES).exists():
        return _from_modules(folder)
    config = folder / POOLING / "config.json"
    if config.exists():
        return Sentence(folder, _modes(config), normalise=False, files=(config,))
    return None


def _from_modules(folder: Path) -> Sentence:
    path = folder / MODULES
    listed = read_json(path)
    if not isinstance(listed, list):
        raise ModelError(f"{path}: expected a list of modules")
    kinds = [_kind(m, path) for m in listed]
    if kinds[:2] != ["Transformer", "Pooling"] or kinds[2:] not in ([], ["Normalize"]):
        raise UnsupportedError(
            "modules",
            str(path),
            f"the modules are {', '.join(kinds) or 'none'}; supported are Transformer, Pooling and Normalize",
        )
    places = [_place(folder, m, path) for m in listed[:2]]
    config = places[1] / "config.json"
    return Sentence(places[0], _modes(config), normalise=len(kinds) > 2, files=(path, config))


def _kind(module: Any, path: Path) -> str:
    kind = module.get("type") if isinstance(module, dict) else None
    if not isinstance(kind, str):
        raise ModelError(f"{path}: {module!r:.80} is no module")
    return kind.rpartition(".")[2]


def _place(folder: Path, module: dict[str, Any], path: Path) -> Path:
    place = module.get("path", "")
    if place == "":
        return folder
    if not isinstance(place, str) or not _PLAIN.fullmatch(place):
        raise ModelError(f"{path}: {place!r:.80} is no plain folder name")
    return folder / place


def _modes(path: Path) -> tuple[str, ...]:
    config = read_object(path)
    strange = [k for k in _OTHER_MODES if config.get(k)]
    modes = tuple(mode for key, mode in _MODES.items() if config.get(key))
    if strange or not modes:
        asked = ", ".join(strange) or "none that is known"
        raise UnsupportedError(
            "pooling", str(path), f"the mode is {asked}; supported are {', '.join(_MODES)}"
        )
    return modes


def add_embedding(builder: Builder, hidden: Value, mask: Value, sentence: Sentence) -> Value:
    """sentence_embedding [batch, width] of hidden states [batch, sequence, hidden] and their mask."""
    batch, sequence, _ = hidden.shape
    builder.origin = Origin("Pooling", "sentence_embedding")
    weights = builder.one("Cast", builder.one("Reshape", mask, shape=(batch, sequence, 1)), to=hidden.dtype)
    # over all columns, so that one kernel sums states and mask
    weights = builder.one("Expand", weights, shape=hidden.shape)
    parts = [_pooled(builder, hidden, weights, mode) for mode in sentence.modes]
    result = parts[0] if len(parts) == 1 else builder.one("Concat", *parts, axis=1)
    return _normalised(builder, result) if sentence.normalise else result


def _pooled(builder: Builder, hidden: Value, weights: Value, mode: str) -> Value:
    """As sentence_transformers.models.Pooling."""
    if mode == "cls":
        batch, _, width = hidden.shape
        first = builder.one("Slice", hidden, starts=(0, 0, 0), sizes=(batch, 1, width), steps=(1, 1, 1))
        return builder.one("Reshape", first, shape=(batch, width))
    if mode == "max":
        absent = builder.one("Equal", weights, _scalar(builder, 0.0))
        kept = builder.one("Where", absent, _scalar(builder, -1e9), hidden)
        return builder.one("ReduceMax", kept, axes=(1,), keepdims=False)
    total = builder.one("ReduceSum", builder.one("Mul", hidden, weights), axes=(1,), keepdims=False)
    count = builder.one("ReduceSum", weights, axes=(1,), keepdims=False)
    count = builder.one("Max", count, _scalar(builder, 1e-9))
    if mode == "mean_sqrt_len":
        count = builder.one("Sqrt", count)
    return builder.one("Div", total, count)


def _normalised(builder: Builder, x: Value) -> Value:
    """x over its Euclidean length, as torch.nn.functional.normalize."""
    builder.origin = Origin("Normalize", "sentence_embedding")
    squares = builder.one("ReduceSum", builder.one("Mul", x, x), axes=(1,), keepdims=True)
    length = builder.one("Max", builder.one("Sqrt", squares), _scalar(builder, 1e-12))
    return builder.one("Div", x, length)


def _scalar(builder: Builder, number: float) -> Value:
    return builder.constant(number, DType.F32)
