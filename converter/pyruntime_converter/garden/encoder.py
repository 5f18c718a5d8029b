"""Encoders with normalisation after each block, as BERT and its descendants have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyruntime.errors import ModelError
from pyruntime.ir.conditions import less
from pyruntime.ir.dims import symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Constraint, Value
from pyruntime_converter.frontends.huggingface.checkpoint import Checkpoint
from pyruntime_converter.frontends.huggingface.config import Config
from pyruntime_converter.garden.blocks import ACTIVATIONS, Blocks
from pyruntime_converter.garden.registry import Source

# inputs of Transformers' encoders, and what they are where they are not fed
DEFAULTS: Mapping[str, int] = {"attention_mask": 1, "token_type_ids": 0}


@dataclass(frozen=True)
class Options:
    """Sizes of an encoder, its activation, and the epsilon of its normalisations."""

    hidden: int
    heads: int
    inner: int
    layers: int
    activation: str
    epsilon: float

    @classmethod
    def read(cls, config: Config, keys: Mapping[str, str]) -> Options:
        """What config.json says under these keys, one for each field but epsilon.

        Raises ModelError and UnsupportedError as `Config` does, and where the heads do not share the width.
        """
        sizes = {name: config.size(keys[name]) for name in ("hidden", "heads", "inner", "layers")}
        if sizes["hidden"] % sizes["heads"]:
            raise ModelError(
                f"{config.where}: {keys['hidden']} {sizes['hidden']} is no multiple of"
                f" {sizes['heads']} attention heads"
            )
        activation = config.choice(keys["activation"], ACTIVATIONS, "gelu")
        return cls(**sizes, activation=activation, epsilon=config.number("layer_norm_eps", 1e-12))


BERT_KEYS: Mapping[str, str] = {
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "inner": "intermediate_size",
    "layers": "num_hidden_layers",
    "activation": "hidden_act",
}


@dataclass(frozen=True)
class Names:
    """What an architecture calls the parts of a layer; the defaults are BERT's."""

    layers: str = "encoder.layer"
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    context: str = "attention.output.dense"
    context_norm: str = "attention.output.LayerNorm"
    grow: str = "intermediate.dense"
    shrink: str = "output.dense"
    norm: str = "output.LayerNorm"


def find_prefix(weights: Checkpoint, prefixes: Iterable[str], where: str) -> str:
    """What stands before the names of an encoder's tensors: nothing, or its name in a model with a head."""
    name = "embeddings.word_embeddings.weight"
    for prefix in prefixes:
        if f"{prefix}{name}" in weights:
            return prefix
    raise ModelError(f"{where}: the weights have no {name!r}")


def inputs(source: Source, *names: str, longest: int) -> list[Value]:
    """int64 inputs [batch, sequence]: ids in the vocabulary, and others that have defaults.

    A sequence of more than `longest` is refused when it is fed.
    """
    graph = source.builder.graph
    batch, sequence = symbol("batch"), symbol("sequence")
    reason = f"the model has {longest} positions, so no sequence is longer"
    graph.constraints.append(Constraint(less(sequence, longest + 1), reason))
    graph.defaults |= {name: DEFAULTS[name] for name in names[1:]}
    graph.ranges[names[0]] = (0, source.config.size("vocab_size") - 1)
    return [source.builder.input(name, DType.I64, (batch, sequence)) for name in names]


def positions(blocks: Blocks, table: str, rows: int, sequence: Value, width: int) -> Value:
    """The rows of a table for positions from 0 on, [sequence, width]."""
    blocks.enter("Embedding", table)
    weight = blocks.weight(f"{table}.weight", rows, width)
    return blocks.op("Slice", weight, starts=(0, 0), sizes=(sequence.shape[1], width), steps=(1, 1))


def encode(blocks: Blocks, x: Value, mask: Value, options: Options, names: Names) -> Value:
    """x [batch, sequence, hidden] after all layers; mask [batch, sequence] is 0 for tokens that none sees."""
    seen = blocks.seen(mask)
    for number in range(options.layers):
        at = f"{names.layers}.{number}."
        parts = [at + part for part in (names.query, names.key, names.value)]
        product = blocks.linear(x, *parts, width=options.hidden)
        size = options.hidden // options.heads
        query, key, value = blocks.heads(product, *[options.heads] * 3, size=size)
        context = blocks.attention(parts[0].rpartition(".")[0], query, key, value, seen)
        x = _residual(blocks, x, context, at + names.context, at + names.context_norm, options)
        grown = blocks.activation(blocks.linear(x, at + names.grow, width=options.inner), options.activation)
        x = _residual(blocks, x, grown, at + names.shrink, at + names.norm, options)
    return x


def _residual(blocks: Blocks, x: Value, y: Value, dense: str, norm: str, options: Options) -> Value:
    """norm(x + dense(y))."""
    return blocks.layer_norm(
        blocks.op("Add", blocks.linear(y, dense, width=options.hidden), x), norm, options.epsilon
    )


def refuse_unread(source: Source, prefix: str, parts: Iterable[str], known: Iterable[str] = ()) -> None:
    """Raise ModelError where the encoder has tensors that nothing asked for, but for `known` buffers."""
    unread = set(source.weights.unread([prefix + part for part in parts]))
    strange = unread - {prefix + name for name in known}
    if strange:
        raise ModelError(
            f"{source.config.where}: the encoder that it describes has no tensor {min(strange)!r}"
        )
