"""Operators whose results are as many as the data say, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ValueInfoProto, helper

from pyruntime.errors import UnsupportedError
from pyruntime.ir.symbols import symbols_of
from tests.frontends.onnx_models import Array, agrees, imported, model, one_node, run
from tests.frontends.selection_models import MODELS, sparse

node = helper.make_node


@pytest.mark.parametrize("name", MODELS)
def test_models_agree(name: str) -> None:
    proto, every = MODELS[name]
    for feeds in every:
        agrees(proto, feeds)


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8", "float16", "float64"])
def test_indices_of_any_dtype(dtype: str) -> None:
    x = sparse(3, 4).astype(dtype)
    found = run(one_node("NonZero", {"x": x}), {"x": x})["out"]
    np.testing.assert_array_equal(found, np.array(np.nonzero(x)))


def test_indices_of_a_scalar_have_no_axis() -> None:
    for value in (0, 1):
        x = np.array(value, np.float32)
        assert run(one_node("NonZero", {"x": x}), {"x": x})["out"].shape == (0, value)


def test_what_is_constant_is_selected_at_once() -> None:
    graph = imported(one_node("NonZero", {}, weights={"x": sparse(5, 3)}))
    assert graph.outputs[0].data is not None


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_compress(axis: int | None, share: float) -> None:
    rng = np.random.default_rng(0)
    feeds: dict[str, Array] = {"x": sparse(3, 5), "c": rng.random(3) < share}
    attrs: dict[str, Any] = {} if axis is None else {"axis": axis}
    agrees(model([node("Compress", ["x", "c"], ["out"], **attrs)], feeds, ["out"]), feeds)


def test_the_best_of_what_was_selected() -> None:
    """At most three, as detectors keep them: never more than there are, which needs no check."""
    nodes = [
        node("Compress", ["x", "c"], ["found"], axis=0),
        node("Shape", ["found"], ["size"]),
        node("Min", ["size", "three"], ["k"]),
        node("TopK", ["found", "k"], ["out", "at"], axis=0),
    ]
    rng = np.random.default_rng(0)
    for count in (0, 2, 3, 9):
        kept = np.isin(np.arange(20), rng.permutation(20)[:count])
        feeds: dict[str, Array] = {"x": rng.standard_normal(20, np.float32), "c": kept}
        agrees(model(nodes, feeds, ["out", "at"], weights={"three": np.array([3])}), feeds)


def test_sizes_that_only_a_run_tells_decide_no_shape_of_a_branch() -> None:
    x = sparse(4)
    then, otherwise = (
        helper.make_graph([node(op, ["at"], [f"y{i}"])], op, [], [ValueInfoProto(name=f"y{i}")])
        for i, op in enumerate(("Identity", "Squeeze"))
    )
    nodes = [
        node("NonZero", ["x"], ["at"]),
        node("Size", ["at"], ["n"]),
        node("Cast", ["n"], ["c"], to=9),
        node("If", ["c"], ["out"], then_branch=then, else_branch=otherwise, name="if"),
    ]
    with pytest.raises(UnsupportedError, match="which of its branches runs depends on data"):
        imported(model(nodes, {"x": x}, ["out"]))


def test_indices_of_a_mask_are_known_to_be_unlike() -> None:
    """So that a GPU writes all at once."""
    proto, _ = MODELS["select-masked"]
    (scatter,) = (n for n in imported(proto).nodes if n.op == "ScatterND")
    assert scatter.attrs["distinct"]


def test_a_size_is_kept_where_its_elements_are_not_read() -> None:
    proto = model([node("NonZero", ["x"], ["at"]), node("Shape", ["at"], ["out"])], {"x": sparse(9)}, ["out"])
    graph = imported(proto)
    assert symbols_of(graph.nodes[-1].attrs["dims"][1]) == {"nonzero"}
    for seed in range(3):
        agrees(proto, {"x": sparse(9, seed=seed)})
