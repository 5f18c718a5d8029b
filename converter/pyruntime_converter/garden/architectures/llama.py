"""Llama: Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", 2023, and its successors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pyruntime.errors import ModelError
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.huggingface.config import Config
from pyruntime_converter.garden.blocks import ACTIVATIONS, Blocks
from pyruntime_converter.garden.encoder import inputs, refuse_unread
from pyruntime_converter.garden.registry import Source

ARCHITECTURES = ("LlamaModel", "LlamaForCausalLM")
LONGEST = 32768  # positions that the tables of the rotary embedding hold at most: 16 MiB for heads of 128


@dataclass(frozen=True)
class _Options:
    hidden: int
    heads: int
    groups: int  # of queries: heads of keys and values
    size: int  # of a head
    inner: int
    epsilon: float
    activation: str
    attention_bias: bool
    inner_bias: bool

    @classmethod
    def read(cls, config: Config) -> _Options:
        hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
        groups = config.size("num_key_value_heads", heads)
        size = config.size("head_dim", max(hidden // heads, 1))
        if heads % groups or size % 2:
            raise ModelError(
                f"{config.where}: {heads} heads are no multiple of {groups} key-value heads, or their size"
                f" {size} is odd"
            )
        return cls(
            hidden,
            heads,
            groups,
            size,
            config.size("intermediate_size"),
            config.number("rms_norm_eps", 1e-6),
            config.choice("hidden_act", ACTIVATIONS, "silu"),
            config.flag("attention_bias"),
            config.flag("mlp_bias"),
        )


def build(source: Source) -> Mapping[str, Value]:
    """LlamaModel: last_hidden_state [batch, sequence, hidden]. LlamaForCausalLM: logits, over the vocabulary.

    Inputs are input_ids and attention_mask (all ones where it is not fed), int64 [batch, sequence]. Positions
    count from 0 in every row. Each run computes the whole sequence: there is no cache of keys and values.
    """
    config = source.config
    options = _Options.read(config)
    longest = min(config.size("max_position_embeddings", 2048), LONGEST)
    prefix = "model." if "model.embed_tokens.weight" in source.weights else ""
    blocks, head = (Blocks(source.builder, source.weights, p) for p in (prefix, ""))
    ids, mask = inputs(source, "input_ids", "attention_mask", longest=longest)
    words = config.size("vocab_size")
    x = blocks.embedding(ids, "embed_tokens", words, options.hidden)
    seen = blocks.seen(mask)
    # checked before a table of that size is made
    blocks.array("layers.0.self_attn.q_proj.weight", options.heads * options.size, options.hidden)
    angles = _rotations(blocks, config, options.size, longest, ids)
    for number in range(config.size("num_hidden_layers")):
        x = _layer(blocks, x, f"layers.{number}", options, seen, angles)
    x = blocks.rms_norm(x, "norm", options.epsilon)
    refuse_unread(source, prefix, ("embed_tokens.", "layers.", "norm."), _buffers(source, prefix))
    if source.architecture == "LlamaModel":
        return {"last_hidden_state": x}
    if config.flag("tie_word_embeddings"):
        return {"logits": blocks.linear(x, "embed_tokens", width=words, bias=False)}
    return {"logits": head.linear(x, "lm_head", width=words, bias=False)}


def _buffers(source: Source, prefix: str) -> list[str]:
    """Tables that checkpoints of old versions hold."""
    suffix = ".rotary_emb.inv_freq"
    return [n.removeprefix(prefix) for n in source.weights.unread([prefix]) if n.endswith(suffix)]


def _rotations(blocks: Blocks, config: Config, size: int, longest: int, ids: Value) -> tuple[Value, Value]:
    """Cosines and sines [sequence, size / 2] of the angles by which pairs of features turn."""
    given = config.section("rope_parameters") or config.section("rope_scaling")
    if given is not None:
        key = "rope_type" if given.text("rope_type", "") else "type"
        given.choice(key, ("default",), "default")
    base = (given or config).number("rope_theta", config.number("rope_theta", 10000.0))
    blocks.enter("RotaryEmbedding", "rotary_emb")
    # in float32, as Transformers computes them
    exponents = np.arange(0, size, 2).astype(np.float32) / np.float32(size)
    rates = np.float32(1) / np.float32(base) ** exponents
    angles = np.arange(longest, dtype=np.float32)[:, None] * rates
    parts = []
    for table in (np.cos(angles), np.sin(angles)):
        whole = blocks.builder.constant(table, name="rotary_emb")
        sizes = (ids.shape[1], size // 2)
        parts.append(blocks.op("Slice", whole, starts=(0, 0), sizes=sizes, steps=(1, 1)))
    return parts[0], parts[1]


def _layer(
    blocks: Blocks, x: Value, at: str, options: _Options, seen: Value, angles: tuple[Value, Value]
) -> Value:
    """Attention with rotary positions and grouped queries, then a gated unit; both added to what came in."""
    normal = blocks.rms_norm(x, f"{at}.input_layernorm", options.epsilon)
    parts = [f"{at}.self_attn.{part}_proj" for part in ("q", "k", "v")]
    counts = (options.heads, options.groups, options.groups)
    widths = [count * options.size for count in counts]
    product = blocks.linear(normal, *parts, width=widths, bias=options.attention_bias)
    query, key, value = blocks.heads(product, *counts, size=options.size)
    blocks.enter("RotaryEmbedding", f"{at}.self_attn")
    query, key = (blocks.op("RotaryEmbedding", v, *angles) for v in (query, key))
    context = blocks.attention(f"{at}.self_attn", query, key, value, seen, causal=True)
    name, bias = f"{at}.self_attn.o_proj", options.attention_bias
    x = blocks.op("Add", blocks.linear(context, name, width=options.hidden, bias=bias), x)
    normal = blocks.rms_norm(x, f"{at}.post_attention_layernorm", options.epsilon)
    gate, up = (
        blocks.linear(normal, f"{at}.mlp.{part}_proj", width=options.inner, bias=options.inner_bias)
        for part in ("gate", "up")
    )
    inner = blocks.op("Mul", blocks.activation(gate, options.activation), up)
    down = blocks.linear(inner, f"{at}.mlp.down_proj", width=options.hidden, bias=options.inner_bias)
    return blocks.op("Add", down, x)
