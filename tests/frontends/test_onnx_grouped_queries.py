"""GroupQueryAttention gives what ONNX Runtime gives, with caches of equal and of unlike lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import bounds
from tests.frontends.onnx_models import agrees, imported, model, random

HEADS, GROUPS, WIDTH = 4, 2, 32
INPUTS = ("query", "key", "value", "past_key", "past_value", "seqlens_k", "total")
FURTHER = ("cos", "sin", "position_ids", "attention_bias", "head_sink")
RESULTS = ("out", "present_key", "present_value")
# each element's number of keys, and the number of all, as language models get them from a mask of keys
LENGTHS = [
    helper.make_node("ReduceSum", ["attention_mask", "axis"], ["sums"], keepdims=0),
    helper.make_node("Sub", ["sums", "one"], ["lasts"]),
    helper.make_node("Cast", ["lasts"], ["seqlens_k"], to=TensorProto.INT32),
    helper.make_node("Shape", ["attention_mask"], ["sizes"]),
    helper.make_node("Gather", ["sizes", "one"], ["size"]),
    helper.make_node("Cast", ["size"], ["total"], to=TensorProto.INT32),
]
WEIGHTS = {"axis": np.array([1]), "one": np.array(1)}


def grouped(
    lengths: Sequence[int],
    new: int,
    old: int,
    *,
    packed: bool = False,
    turned: int = 0,
    extra: dict[str, NDArray[Any]] | None = None,
    **attrs: Any,
) -> tuple[ModelProto, dict[str, NDArray[Any]]]:
    """A model with symbolic sizes and its feeds.

    Args:
        lengths: how many keys, old and new ones, each element of the batch has.
        new: the number of new keys.
        old: the most old ones that an element has.
        packed: whether queries, keys and values are one input.
        turned: how many features of a head the rotary embedding turns.
        extra: further inputs.
        **attrs: of the node.
    """
    batch, cuts = len(lengths), (HEADS * WIDTH, (HEADS + GROUPS) * WIDTH)
    parts = random(batch, new, (HEADS + 2 * GROUPS) * WIDTH, seed=1)
    feeds = {"query": parts} if packed else dict(zip(INPUTS, np.split(parts, cuts, axis=2), strict=False))
    feeds |= {name: random(batch, GROUPS, old, WIDTH, seed=i) for i, name in enumerate(INPUTS[3:5], 2)}
    feeds["attention_mask"] = (np.arange(old + new) < np.array(lengths)[:, None]).astype(np.int64)
    further = dict(extra or {})
    if turned:
        angles = random(32, turned // 2, seed=5)
        further |= {"cos": np.cos(angles), "sin": np.sin(angles)}
        attrs["do_rotary"] = 1
    feeds |= further
    stated = {*feeds, "seqlens_k", "total"}
    names = [name if name in stated else "" for name in (*INPUTS, *FURTHER)]
    node = helper.make_node(
        "GroupQueryAttention",
        names,
        RESULTS,
        name="node",
        domain="com.microsoft",
        num_heads=HEADS,
        kv_num_heads=GROUPS,
        **attrs,
    )
    shapes: dict[str, Sequence[int | str | None]] = {
        **{name: ("batch", "new", feeds[name].shape[2]) for name in INPUTS[:3] if name in feeds},
        **dict.fromkeys(INPUTS[3:5], ("batch", GROUPS, "old", WIDTH)),
        "attention_mask": ("batch", "total"),
        "position_ids": ("batch", "new"),
        "attention_bias": ("batch", 1, "new", "total"),
    }
    proto = model(
        [*LENGTHS, node], feeds, RESULTS, weights=WEIGHTS, shapes=shapes, domains={"com.microsoft": 1}
    )
    return proto, feeds


@pytest.mark.parametrize(
    ("lengths", "new", "old"),
    [([7, 7], 7, 0), ([9, 9], 1, 8), ([9], 3, 6), ([5, 9, 1], 1, 8), ([4], 3, 4)],
    ids=["first", "next", "several", "unlike", "unlike-several"],
)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("turned", [0, 16, WIDTH])
def test_lengths(lengths: list[int], new: int, old: int, packed: bool, turned: int) -> None:
    proto, feeds = grouped(lengths, new, old, packed=packed, turned=turned)
    agrees(proto, feeds, 2e-5)


@pytest.mark.parametrize(
    "attrs",
    [
        {"local_window_size": 3},
        {"softcap": 2.0, "scale": 0.2},
        {"rotary_interleaved": 1, "smooth_softmax": 0},
    ],
)
@pytest.mark.parametrize(("lengths", "new"), [([9, 9], 1), ([5, 9], 1), ([9], 3), ([6], 3)])
def test_attributes(lengths: list[int], new: int, attrs: dict[str, Any]) -> None:
    proto, feeds = grouped(lengths, new, 9 - new, turned=WIDTH, **attrs)
    agrees(proto, feeds, 2e-5)


def test_old_keys_may_be_none() -> None:
    """Of a first run, by the graph that later ones have."""
    proto, _ = grouped([9, 9], 1, 8, turned=WIDTH)
    shape = imported(proto).inputs[3].shape
    assert [bounds(d)[0] for d in shape if not isinstance(d, int)] == [0, 0]  # batch and old


def test_positions_and_a_bias() -> None:
    extra = {"position_ids": np.array([[3], [9]]), "attention_bias": random(2, 1, 1, 9, seed=7)}
    proto, feeds = grouped([9, 9], 1, 8, turned=WIDTH, extra=extra)
    agrees(proto, feeds, 2e-5)


def test_what_is_known_to_be_whole_is_appended() -> None:
    """No key is looked for where the lengths are constants."""
    proto, feeds = grouped([9, 9], 1, 8)
    del feeds["attention_mask"]
    weights = {"seqlens_k": np.array([8, 8], np.int32), "total": np.array(9, np.int32)}
    nodes = proto.graph.node[len(LENGTHS) :]
    made = model(nodes, feeds, RESULTS, weights=weights, domains={"com.microsoft": 1})
    agrees(made, feeds, 2e-5)
    assert [n.op for n in imported(made).nodes].count("Concat") == 2


def test_what_is_not_supported_is_told() -> None:
    proto, _ = grouped([9], 1, 8, smooth_softmax=1)
    with pytest.raises(UnsupportedError, match="smooth_softmax = 1"):
        imported(proto)
    proto, _ = grouped([9], 1, 8, extra={"head_sink": random(HEADS)})
    with pytest.raises(UnsupportedError, match="input 11"):
        imported(proto)
