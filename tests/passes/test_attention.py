"""Attention as encoders, decoders and vision models of several exporters spell it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.frontends.onnx_models import random
from tests.passes.net import Net, Shapes, ints, optimised, recognised

BATCH, HEADS, LENGTH, WIDTH = 2, 4, 6, 8
ROOT = float(np.sqrt(WIDTH))
LOWEST = float(np.finfo(np.float32).min)
X = random(BATCH, LENGTH, HEADS * WIDTH)
SEEN = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], np.int64)
SHAPES: Shapes = {"x": ["batch", "length", HEADS * WIDTH], "seen": ["batch", "length"]}
FIRED = {"Attention": 1, "Softmax": 0, "MatMul": 2}  # the products of queries, keys and values in one
Score = Callable[[Net, str], str]


def net_of(feeds: Mapping[str, NDArray[np.generic]] | None = None) -> Net:
    fed = {"x": X, **(feeds or {})}
    return Net(fed, {k: v for k, v in SHAPES.items() if k in fed})


def linear(net: Net, x: str, heads: int = HEADS) -> str:
    """A product with a weight, and a bias."""
    return net("Add", net("MatMul", x, net.weight(HEADS * WIDTH, heads * WIDTH)), net.weight(heads * WIDTH))


def split(net: Net, x: str, heads: int = HEADS) -> str:
    """[batch, heads, length, width]."""
    apart = net("Reshape", x, ints(0, 0, heads, WIDTH))
    return net("Transpose", apart, perm=[0, 2, 1, 3])


def projected(net: Net, heads: int = HEADS) -> tuple[str, str, str]:
    """Queries, keys and values of x."""
    q, k, v = (split(net, linear(net, "x", h), h) for h in (HEADS, heads, heads))
    return q, k, v


def swapped(net: Net, k: str) -> str:
    return net("Transpose", k, perm=[0, 1, 3, 2])


def joined(net: Net, context: str) -> str:
    """Heads put together, and a last product."""
    merged = net("Reshape", net("Transpose", context, perm=[0, 2, 1, 3]), ints(0, 0, -1))
    return net("MatMul", merged, net.weight(HEADS * WIDTH, 5))


def attend(net: Net, q: str, k: str, v: str, score: Score) -> str:
    product = net("MatMul", q, swapped(net, k))
    return joined(net, net("MatMul", net("Softmax", score(net, product), axis=-1), v))


def additive(net: Net, low: float) -> str:
    """[batch, 1, 1, length]: low where a token is padding."""
    wide = net("Unsqueeze", net("Unsqueeze", "seen", ints(1)), ints(2))
    return net("Mul", net("Sub", 1.0, net("Cast", wide, to=1)), low)


def visible(net: Net) -> str:
    """[batch, 1, 1, length], bool."""
    return net("Cast", net("Unsqueeze", net("Unsqueeze", "seen", ints(1)), ints(1)), to=9)


SCORES: dict[str, Score] = {
    "bert": lambda net, p: net("Add", net("Div", p, ROOT), additive(net, -1e4)),
    "bert-lowest": lambda net, p: net("Add", net("Mul", p, 1 / ROOT), additive(net, LOWEST)),
    "mask-first": lambda net, p: net("Add", additive(net, -1e4), net("Div", p, ROOT)),
    "scale-last": lambda net, p: net("Mul", net("Add", p, additive(net, -1e4)), 1 / ROOT),
    "plain": lambda _, p: p,
    "chosen": lambda net, p: net("Where", visible(net), net("Div", p, ROOT), LOWEST),
    "hidden": lambda net, p: net("Where", net("Not", visible(net)), -1e4, net("Div", p, ROOT)),
    "chosen-infinite": lambda net, p: net("Where", visible(net), p, float("-inf")),
    "bias": lambda net, p: net("Add", p, net.weight(1, HEADS, LENGTH, LENGTH)),
    "bias-and-mask": lambda net, p: net(
        "Add", net("Add", p, net.weight(HEADS, LENGTH, LENGTH)), additive(net, -1e4)
    ),
    "bias-then-chosen": lambda net, p: net(
        "Where", visible(net), net("Add", net("Div", p, ROOT), net.weight(HEADS, LENGTH, LENGTH)), LOWEST
    ),
    "two-choices": lambda net, p: net(
        "Where", visible(net), net("Where", net.constant(np.tri(LENGTH) > 0), p, LOWEST), LOWEST
    ),
    "capped": lambda net, p: net(
        "Add", net("Mul", net("Tanh", net("Div", net("Mul", p, 1 / ROOT), 3.0)), 3.0), additive(net, -1e4)
    ),
}


@pytest.mark.parametrize("form", SCORES)
def test_scores(form: str) -> None:
    net = net_of({"seen": SEEN})
    out = attend(net, *projected(net), SCORES[form])
    if "seen" not in {i for n in net.nodes for i in n.input}:
        del net.feeds["seen"]
    fixed = "bias" in form or form == "two-choices"  # by the size of a constant
    net.shapes = None if fixed else {k: v for k, v in SHAPES.items() if k in net.feeds}
    graph = recognised(net.proto(out), net.feeds, FIRED)
    assert not any(n.op == "Expand" for n in graph.nodes)


@pytest.mark.parametrize("fill", [-1e4, LOWEST])
def test_rows_without_keys_follow_the_spelled_out_form(fill: float) -> None:
    net = net_of()
    net.shapes = None
    mask = net.constant(np.array([[True] * LENGTH] * 2 + [[False] * LENGTH] * 4))
    out = attend(net, *projected(net), lambda net, p: net("Where", mask, p, fill))
    recognised(net.proto(out), net.feeds, FIRED)


def test_rows_made_safe() -> None:
    net = net_of()
    net.shapes = None
    q, k, v = projected(net)
    mask = net.constant(np.where(np.tri(LENGTH, k=-1) > 0, 0, -np.inf).astype(np.float32))
    weights = net("Softmax", net("Add", net("MatMul", q, swapped(net, k)), mask), axis=-1)
    guarded = net("Where", net("IsNaN", weights), 0.0, weights)
    recognised(net.proto(joined(net, net("MatMul", guarded, v))), net.feeds, FIRED)


def test_scaled_queries_and_keys() -> None:
    """As dynamo decomposes scaled_dot_product_attention: both are scaled by the fourth root."""
    net = net_of({"seen": SEEN})
    q, k, v = projected(net)
    fourth = WIDTH**-0.25
    product = net("MatMul", net("Mul", q, fourth), net("Mul", swapped(net, k), fourth))
    weights = net("Softmax", net("Add", product, additive(net, LOWEST)), axis=-1)
    graph = recognised(net.proto(joined(net, net("MatMul", weights, v))), net.feeds, FIRED)
    (attention,) = (n for n in graph.nodes if n.op == "Attention")
    assert attention.attrs["scale"] == pytest.approx(1 / ROOT)


def test_keys_transposed_at_once() -> None:
    """[batch, length, heads, width] to [batch, heads, width, length]."""
    net = net_of()
    q, _, v = projected(net)
    apart = net("Reshape", linear(net, "x"), ints(0, 0, HEADS, WIDTH))
    product = net("MatMul", q, net("Transpose", apart, perm=[0, 2, 3, 1]))
    weights = net("Softmax", net("Div", product, ROOT), axis=-1)
    recognised(net.proto(joined(net, net("MatMul", weights, v))), net.feeds, FIRED)


def test_batches_of_heads() -> None:
    """Heads are part of the batch in the products, apart where the mask is added (BART, CLIP)."""
    net = net_of({"seen": SEEN})
    net.shapes = None
    q, k, v = (net("Reshape", t, ints(-1, LENGTH, WIDTH)) for t in projected(net))
    product = net("MatMul", q, net("Transpose", k, perm=[0, 2, 1]))
    apart = net("Add", net("Reshape", product, ints(BATCH, HEADS, LENGTH, LENGTH)), additive(net, LOWEST))
    weights = net("Softmax", net("Reshape", apart, ints(BATCH * HEADS, LENGTH, LENGTH)), axis=-1)
    context = net("Reshape", net("MatMul", weights, v), ints(BATCH, HEADS, LENGTH, WIDTH))
    recognised(net.proto(joined(net, context)), net.feeds, FIRED)


def test_grouped_queries() -> None:
    """Keys and values of fewer heads, expanded."""
    net = net_of()
    net.shapes = None
    q, k, v = projected(net, heads=2)

    def repeated(x: str) -> str:
        spread = net("Expand", net("Unsqueeze", x, ints(2)), ints(BATCH, 2, 2, LENGTH, WIDTH))
        return net("Reshape", spread, ints(BATCH, HEADS, LENGTH, WIDTH))

    out = attend(net, q, repeated(k), repeated(v), lambda net, p: net("Mul", p, 1 / ROOT))
    recognised(net.proto(out), net.feeds, {**FIRED, "Expand": 0})


def test_einsum() -> None:
    net = net_of()
    net.shapes = None
    q, k, v = (net("Reshape", linear(net, "x"), ints(0, 0, HEADS, WIDTH)) for _ in range(3))
    score = net("Mul", net("Einsum", q, k, equation="bqhd,bkhd->bhqk"), 1 / ROOT)
    context = net("Einsum", net("Softmax", score, axis=-1), v, equation="bhqk,bkhd->bqhd")
    out = net("MatMul", net("Reshape", context, ints(0, 0, -1)), net.weight(HEADS * WIDTH, 5))
    recognised(net.proto(out), net.feeds, FIRED)


def test_weights_that_are_an_output_stay() -> None:
    net = net_of()
    q, k, v = projected(net)
    weights = net("Softmax", net("Div", net("MatMul", q, swapped(net, k)), ROOT), axis=-1)
    recognised(net.proto(net("MatMul", weights, v), weights), net.feeds, {"Attention": 0, "Softmax": 1})


def test_a_choice_that_is_no_mask_for_what_was_added_stays() -> None:
    """A finite number that stands for score and bias is not the same as one beside the bias."""
    net = net_of()
    q, k, v = projected(net)
    mask, bias = net.constant(np.tri(LENGTH) > 0), net.weight(HEADS, LENGTH, LENGTH)
    out = attend(net, q, k, v, lambda net, p: net("Where", mask, net("Add", p, bias), -3.0))
    net.shapes = None
    recognised(net.proto(out), net.feeds, {"Attention": 0, "Softmax": 1})


def test_a_classifier_before_an_embedding_is_no_attention() -> None:
    net = net_of()
    weights = net("Softmax", net("MatMul", "x", net.weight(HEADS * WIDTH, 9)), axis=-1)
    recognised(net.proto(net("MatMul", weights, net.weight(9, 5))), net.feeds, {"Attention": 0})


def test_softmax_along_queries_stays() -> None:
    net = net_of()
    q, k, v = projected(net)
    weights = net("Softmax", net("MatMul", q, swapped(net, k)), axis=-2)
    recognised(net.proto(net("MatMul", weights, v)), net.feeds, {"Attention": 0})


def test_one_token_at_a_time() -> None:
    net = Net(
        {
            "x": X[:, :1],
            "past_k": random(BATCH, HEADS, 3, WIDTH),
            "past_v": random(BATCH, HEADS, 3, WIDTH, seed=1),
        }
    )
    q, k, v = projected(net)
    k, v = (net("Concat", past, new, axis=2) for past, new in (("past_k", k), ("past_v", v)))
    out = attend(net, q, k, v, lambda net, p: net("Div", p, ROOT))
    graph = optimised(net.proto(out, k, v))
    recognised(net.proto(out, k, v), net.feeds, FIRED)
    assert sum(n.op == "Concat" for n in graph.nodes) == 2
