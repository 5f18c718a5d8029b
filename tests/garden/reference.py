"""BERT in plain NumPy and float64, from the paper and the tensors' names: what packs must agree with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.garden.folders import Sizes

Array = NDArray[Any]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x: Array) -> Array:
    """x times the normal distribution function."""
    return np.asarray(0.5 * x * (1 + _erf(x / math.sqrt(2))))


class Bert:
    """An encoder over named weights; one example at a time, no batch axis anywhere."""

    def __init__(
        self, weights: Mapping[str, Array], sizes: Sizes, prefix: str = "", activation: Any = gelu
    ) -> None:
        self.sizes, self.activation = sizes, activation
        self._weights = {k.removeprefix(prefix): v.astype(np.float64) for k, v in weights.items()}

    def linear(self, x: Array, name: str) -> Array:
        return np.asarray(x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"])

    def norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + self.sizes.epsilon)
        return np.asarray(
            centred / deviation * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        )

    def attention(self, x: Array, visible: Array, at: str) -> Array:
        query, key, value = (self.linear(x, f"{at}.self.{n}") for n in ("query", "key", "value"))
        size = self.sizes.hidden // self.sizes.heads
        found = []
        for head in range(self.sizes.heads):
            part = slice(head * size, (head + 1) * size)
            scores = query[:, part] @ key[:, part].T / math.sqrt(size)
            if visible.any():
                scores[:, ~visible] = -np.inf
            else:  # the lowest number everywhere: all positions are seen alike
                scores[:] = 0
            powers = np.exp(scores - scores.max(-1, keepdims=True))
            found.append(powers / powers.sum(-1, keepdims=True) @ value[:, part])
        return np.concatenate(found, -1)

    def places(self, ids: Array) -> Array:
        """The position of each token."""
        return np.arange(len(ids))

    def hidden(self, ids: Array, mask: Array, kinds: Array) -> Array:
        """last_hidden_state of one example."""
        tables = [
            self._weights[f"embeddings.{n}_embeddings.weight"] for n in ("word", "position", "token_type")
        ]
        x = tables[0][ids] + tables[1][self.places(ids)] + tables[2][kinds]
        x = self.norm(x, "embeddings.LayerNorm")
        for i in range(self.sizes.layers):
            at = f"encoder.layer.{i}"
            context = self.attention(x, mask != 0, f"{at}.attention")
            x = self.norm(
                x + self.linear(context, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm"
            )
            grown = self.activation(self.linear(x, f"{at}.intermediate.dense"))
            x = self.norm(x + self.linear(grown, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        return x

    def pooled(self, hidden: Array) -> Array:
        """pooler_output of one example."""
        return np.tanh(self.linear(hidden[0], "pooler.dense"))

    def run(self, ids: Array, mask: Array | None = None, kinds: Array | None = None) -> Array:
        """last_hidden_state of a batch, as float32."""
        mask = np.ones_like(ids) if mask is None else mask
        kinds = np.zeros_like(ids) if kinds is None else kinds
        found = [self.hidden(*example) for example in zip(ids, mask, kinds, strict=True)]
        return np.stack(found).astype(np.float32)


class Roberta(Bert):
    """Positions count the tokens that are not padding, from the padding's id + 1 on."""

    padding = 1

    def places(self, ids: Array) -> Array:
        found, count = [], 0
        for token in ids:
            count += int(token != self.padding)
            found.append(self.padding + (count if token != self.padding else 0))
        return np.array(found)


def pooled(hidden: Array, mask: Array, mode: str) -> Array:
    """One example's vector, as sentence-transformers pools it."""
    seen = hidden[mask != 0].astype(np.float64)
    match mode:
        case "cls_token":
            return np.asarray(hidden[0], np.float64)
        case "max_tokens":
            return np.asarray(seen.max(0))
        case "mean_tokens":
            return np.asarray(seen.mean(0))
        case "mean_sqrt_len_tokens":
            return np.asarray(seen.sum(0) / math.sqrt(len(seen)))
    raise ValueError(mode)


def embeddings(
    hidden: Array, mask: Array, modes: Sequence[str] = ("mean_tokens",), *, normalise: bool = True
) -> Array:
    """sentence_embedding of a batch."""
    rows = [np.concatenate([pooled(h, m, mode) for mode in modes]) for h, m in zip(hidden, mask, strict=True)]
    found = np.stack(rows)
    if normalise:
        found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float32)
