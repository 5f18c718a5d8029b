"""DistilBERT: Sanh et al., "DistilBERT, a distilled version of BERT", 2019.

BERT's layers under other names, without kinds of tokens and without a pooler.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyruntime.ir.graph import Value
from pyruntime_converter.garden.blocks import Blocks
from pyruntime_converter.garden.encoder import (
    Names,
    Options,
    encode,
    find_prefix,
    inputs,
    positions,
    refuse_unread,
)
from pyruntime_converter.garden.registry import Source

ARCHITECTURES = (
    "DistilBertModel",
    "DistilBertForSequenceClassification",
    "DistilBertForTokenClassification",
)
KEYS = {
    "hidden": "dim",
    "heads": "n_heads",
    "inner": "hidden_dim",
    "layers": "n_layers",
    "activation": "activation",
}
NAMES = Names(
    layers="transformer.layer",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    context="attention.out_lin",
    context_norm="sa_layer_norm",
    grow="ffn.lin1",
    shrink="ffn.lin2",
    norm="output_layer_norm",
)


def build(source: Source) -> Mapping[str, Value]:
    """last_hidden_state [batch, sequence, hidden], or logits [batch, labels] or [batch, sequence, labels].

    Inputs are input_ids and attention_mask (all ones where it is not fed), int64 [batch, sequence].
    """
    config = source.config
    longest, options = config.size("max_position_embeddings"), Options.read(config, KEYS)
    prefix = find_prefix(source.weights, ("", "distilbert."), config.where)
    blocks, head = (Blocks(source.builder, source.weights, p) for p in (prefix, ""))
    ids, mask = inputs(source, "input_ids", "attention_mask", longest=longest)
    words = blocks.embedding(ids, "embeddings.word_embeddings", config.size("vocab_size"), options.hidden)
    places = positions(blocks, "embeddings.position_embeddings", longest, ids, options.hidden)
    x = blocks.layer_norm(blocks.op("Add", words, places), "embeddings.LayerNorm", options.epsilon)
    x = encode(blocks, x, mask, options, NAMES)
    refuse_unread(source, prefix, ("embeddings.", "transformer."), ("embeddings.position_ids",))
    match source.architecture:
        case "DistilBertForTokenClassification":
            return {"logits": head.classifier(x, "classifier")}
        case "DistilBertForSequenceClassification":
            dense = head.linear(head.first_token(x), "pre_classifier", width=options.hidden)
            return {"logits": head.classifier(head.op("Relu", dense), "classifier")}
    return {"last_hidden_state": x}
