"""BERT: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2018."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyruntime.ir.graph import Value
from pyruntime_converter.garden.blocks import Blocks
from pyruntime_converter.garden.encoder import (
    BERT_KEYS,
    Names,
    Options,
    encode,
    find_prefix,
    inputs,
    positions,
    refuse_unread,
)
from pyruntime_converter.garden.registry import Source

ARCHITECTURES = ("BertModel", "BertForSequenceClassification", "BertForTokenClassification")
# buffers that checkpoints of some versions hold
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
Positions = Callable[[Blocks, Value, int, int], Value]


def build(source: Source) -> Mapping[str, Value]:
    """The outputs of the class in Transformers.

    BertModel: last_hidden_state [batch, sequence, hidden] and, with a pooler, pooler_output [batch, hidden].
    The others: logits [batch, labels] or [batch, sequence, labels].

    Inputs are input_ids, attention_mask (all ones where it is not fed) and token_type_ids (all zeros), int64
    [batch, sequence]. A sequence longer than max_position_embeddings is refused when it is fed.
    """
    longest = source.config.size("max_position_embeddings")
    prefix = find_prefix(source.weights, ("", "bert."), source.config.where)
    x = hidden_states(source, prefix, longest, counted)
    blocks, head = (Blocks(source.builder, source.weights, p) for p in (prefix, ""))
    match source.architecture:
        case "BertForTokenClassification":
            return {"logits": head.classifier(x, "classifier")}
        case "BertForSequenceClassification":
            return {"logits": head.classifier(pooled(blocks, x), "classifier")}
    if f"{prefix}pooler.dense.weight" in source.weights:
        return {"last_hidden_state": x, "pooler_output": pooled(blocks, x)}
    return {"last_hidden_state": x}


def counted(blocks: Blocks, ids: Value, rows: int, width: int) -> Value:
    """Position embeddings of 0, 1, 2 and so on."""
    return positions(blocks, "embeddings.position_embeddings", rows, ids, width)


def hidden_states(source: Source, prefix: str, longest: int, place: Positions) -> Value:
    """The encoder over inputs of its own; `place` gives the position embeddings of token ids."""
    config = source.config
    config.choice("position_embedding_type", ("absolute",), "absolute")
    config.refuse("is_decoder", "add_cross_attention")
    options = Options.read(config, BERT_KEYS)
    width = options.hidden
    blocks = Blocks(source.builder, source.weights, prefix)
    ids, mask, types = inputs(source, "input_ids", "attention_mask", "token_type_ids", longest=longest)
    words = blocks.embedding(ids, "embeddings.word_embeddings", config.size("vocab_size"), width)
    count = config.size("type_vocab_size")
    source.builder.graph.ranges[types.name] = (0, count - 1)
    kinds = blocks.embedding(types, "embeddings.token_type_embeddings", count, width)
    places = place(blocks, ids, config.size("max_position_embeddings"), width)
    x = blocks.op("Add", blocks.op("Add", words, places), kinds)
    x = blocks.layer_norm(x, "embeddings.LayerNorm", options.epsilon)
    x = encode(blocks, x, mask, options, Names())
    refuse_unread(source, prefix, ("embeddings.", "encoder."), BUFFERS)
    return x


def pooled(blocks: Blocks, x: Value) -> Value:
    """tanh(dense(first token)), [batch, hidden]."""
    width = x.shape[-1]
    assert isinstance(width, int)
    return blocks.op("Tanh", blocks.linear(blocks.first_token(x), "pooler.dense", width=width))
