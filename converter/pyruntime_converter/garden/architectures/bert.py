"""BERT encoders: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2018."""

from __future__ import annotations

from collections.abc import Mapping

from pyruntime.errors import ModelError
from pyruntime.ir.conditions import less
from pyruntime.ir.dims import symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Constraint, Value
from pyruntime_converter.garden.blocks import ACTIVATIONS, Blocks
from pyruntime_converter.garden.registry import Source

ARCHITECTURES = ("BertModel",)
PREFIXES = ("", "bert.")  # the encoder alone, and inside a model with a head
# buffers that checkpoints of some versions hold
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")


def build(source: Source) -> Mapping[str, Value]:
    """BertModel: last_hidden_state [batch, sequence, hidden]; with a pooler, pooler_output [batch, hidden].

    Inputs are input_ids, attention_mask (all ones where it is not fed) and token_type_ids (all zeros), int64
    [batch, sequence]. A sequence longer than max_position_embeddings is refused when it is fed.
    """
    config = source.config
    config.choice("position_embedding_type", ("absolute",), "absolute")
    config.refuse("is_decoder", "add_cross_attention")
    activation = config.choice("hidden_act", ACTIVATIONS, "gelu")
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    inner, layers = config.size("intermediate_size"), config.size("num_hidden_layers")
    epsilon = config.number("layer_norm_eps", 1e-12)
    if hidden % heads:
        raise ModelError(f"{config.where}: hidden_size {hidden} is no multiple of {heads} attention heads")
    prefix = _prefix(source)
    blocks = Blocks(source.builder, source.weights, prefix)

    longest = config.size("max_position_embeddings")
    shape = (symbol("batch"), symbol("sequence"))
    graph = source.builder.graph
    reason = f"the model has {longest} positions, so no sequence is longer"
    graph.constraints.append(Constraint(less(shape[1], longest + 1), reason))
    graph.defaults |= {"attention_mask": 1, "token_type_ids": 0}
    ids, mask, types = (source.builder.input(n, DType.I64, shape) for n in ("input_ids", *graph.defaults))

    words = blocks.embedding(ids, "embeddings.word_embeddings", config.size("vocab_size"), hidden)
    kinds = blocks.embedding(
        types, "embeddings.token_type_embeddings", config.size("type_vocab_size"), hidden
    )
    table = blocks.weight("embeddings.position_embeddings.weight", longest, hidden)
    positions = blocks.op("Slice", table, starts=(0, 0), sizes=(shape[1], hidden), steps=(1, 1))
    x = blocks.op("Add", blocks.op("Add", words, positions), kinds)
    x = blocks.layer_norm(x, "embeddings.LayerNorm", epsilon)
    seen = blocks.seen(mask)
    for number in range(layers):
        at = f"encoder.layer.{number}"
        parts = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
        query, key, value = blocks.heads(blocks.linear(x, *parts, width=hidden), heads, len(parts))
        context = blocks.attention(f"{at}.attention.self", query, key, value, seen)
        x = _residual(blocks, x, context, f"{at}.attention.output", epsilon)
        grown = blocks.linear(x, f"{at}.intermediate.dense", width=inner)
        x = _residual(blocks, x, blocks.activation(grown, activation), f"{at}.output", epsilon)
    outputs = {"last_hidden_state": x}
    if f"{prefix}pooler.dense.weight" in source.weights:
        outputs["pooler_output"] = _pooled(blocks, x)
    extra = set(source.weights.unread((f"{prefix}embeddings.", f"{prefix}encoder."))) - {
        prefix + b for b in _BUFFERS
    }
    if extra:
        raise ModelError(f"{config.where}: the encoder that it describes has no tensor {min(extra)!r}")
    return outputs


def _prefix(source: Source) -> str:
    """What stands before the names of the encoder's tensors."""
    found = [p for p in PREFIXES if f"{p}embeddings.word_embeddings.weight" in source.weights]
    if not found:
        raise ModelError(f"{source.config.where}: the weights have no 'embeddings.word_embeddings.weight'")
    return found[0]


def _residual(blocks: Blocks, x: Value, y: Value, name: str, epsilon: float) -> Value:
    """LayerNorm(x + dense(y))."""
    width = x.shape[-1]
    assert isinstance(width, int)
    dense = blocks.linear(y, f"{name}.dense", width=width)
    return blocks.layer_norm(blocks.op("Add", dense, x), f"{name}.LayerNorm", epsilon)


def _pooled(blocks: Blocks, x: Value) -> Value:
    """tanh(dense(first token))."""
    batch, _, hidden = x.shape
    assert isinstance(hidden, int)
    first = blocks.op("Slice", x, starts=(0, 0, 0), sizes=(batch, 1, hidden), steps=(1, 1, 1))
    first = blocks.op("Reshape", first, shape=(batch, hidden))
    return blocks.op("Tanh", blocks.linear(first, "pooler.dense", width=hidden))
