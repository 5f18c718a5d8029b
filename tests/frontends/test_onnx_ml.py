"""Classical models of ai.onnx.ml give what ONNX Runtime gives; where it departs from ONNX, what that says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper, numpy_helper

from pyruntime.errors import ModelError
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, agrees, imported, model, random, reference, run, runtime, same

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
FEATURES = 5


def node(op: str, x: Array, *outputs: str, version: int = 3, **attrs: Any) -> ModelProto:
    """A model of one ai.onnx.ml node over rows of any number."""
    made = helper.make_node(op, ["x"], outputs or ("out",), domain="ai.onnx.ml", **attrs)
    shapes: dict[str, Any] = {"x": ["rows", *x.shape[1:]]}
    names = outputs or ("out",)
    return model([made], {"x": x}, names, shapes=shapes, domains={"ai.onnx.ml": version})


def rows(seed: int = 0, count: int = 17) -> Array:
    """Whole numbers, so that thresholds are met exactly."""
    return np.random.default_rng(seed).integers(-3, 4, (count, FEATURES)).astype(np.float32)


def numbers(*shape: int, seed: int = 1) -> list[float]:
    return [float(v) for v in random(*shape, seed=seed).ravel()]


def trees(
    votes: str,
    targets: int = 1,
    *,
    modes: tuple[str, ...] = MODES,
    count: int = 4,
    depth: int = 4,
    least: float = -0.5,
    missing: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Attributes of random trees whose leaves vote for every target."""
    rng = np.random.default_rng(seed)
    names = ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids")
    nodes: list[list[Any]] = []
    leaves: list[tuple[int, int, int, float]] = []

    def grow(tree: int, first: int, left: int) -> int:
        index = len(nodes) - first
        row: list[Any] = [tree, index, "LEAF", 0, 0.0, 0, 0]
        nodes.append(row)
        if left and (left == depth or rng.random() < 0.8):
            row[2:5] = str(rng.choice(modes)), int(rng.integers(FEATURES)), float(rng.integers(-2, 3))
            row[5:] = grow(tree, first, left - 1), grow(tree, first, left - 1)
        else:
            leaves.extend((tree, index, t, float(rng.random() + least)) for t in range(targets))
        return index

    for tree in range(count):
        grow(tree, len(nodes), depth)
    found = {f"nodes_{n}": [row[i] for row in nodes] for i, n in enumerate(names)}
    of_leaves = ("treeids", "nodeids", "ids", "weights")
    found |= {f"{votes}_{n}": [leaf[i] for leaf in leaves] for i, n in enumerate(of_leaves)}
    if missing:
        found["nodes_missing_value_tracks_true"] = rng.integers(0, 2, len(nodes)).tolist()
    return found


@pytest.mark.parametrize("modes", [*((m,) for m in MODES), MODES])
@pytest.mark.parametrize("missing", [False, True])
def test_splits(modes: tuple[str, ...], missing: bool) -> None:
    x = rows()
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    made = node("TreeEnsembleRegressor", x, n_targets=1, **trees("target", modes=modes, missing=missing))
    agrees(made, {"x": x})


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("base", [None, [0.5, -1.0, 2.0]])
def test_aggregates(aggregate: str, base: list[float] | None) -> None:
    x = rows()
    attrs: dict[str, Any] = trees("target", 3) | ({} if base is None else {"base_values": base})
    agrees(node("TreeEnsembleRegressor", x, n_targets=3, aggregate_function=aggregate, **attrs), {"x": x})


def test_trees_of_doubles() -> None:
    x = rows().astype(np.float64)
    agrees(node("TreeEnsembleRegressor", x, n_targets=1, **trees("target")), {"x": x})


def test_trees_that_are_leaves() -> None:
    x = rows()
    agrees(node("TreeEnsembleRegressor", x, n_targets=1, **trees("target", depth=0)), {"x": x})


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("base", [None, [0.25, 0.5, -0.25]])
def test_tree_classes(transform: str, base: list[float] | None) -> None:
    x = rows()
    attrs = trees("class", 3) | ({} if base is None else {"base_values": base})
    labels: dict[str, Any] = {"classlabels_int64s": [5, 7, 9], "post_transform": transform}
    agrees(node("TreeEnsembleClassifier", x, "label", "scores", **labels, **attrs), {"x": x})


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("least", [0.0, -0.5])
@pytest.mark.parametrize("base", [None, [0.25]])
def test_votes_for_one_of_two_classes(transform: str, least: float, base: list[float] | None) -> None:
    x = rows()
    attrs = trees("class", count=2, least=least) | ({} if base is None else {"base_values": base})
    labels: dict[str, Any] = {"classlabels_int64s": [3, 9], "post_transform": transform}
    agrees(node("TreeEnsembleClassifier", x, "label", "scores", **labels, **attrs), {"x": x})


def members(dtype: Any = np.float32) -> dict[str, Any]:
    """One node that tests for membership in four numbers, and one that compares."""
    return {
        "n_targets": 2,
        "tree_roots": [0],
        "nodes_featureids": [1, 0],
        "nodes_modes": tensor(np.array([6, 0], np.uint8)),
        "nodes_splits": tensor(np.array([0, 1], dtype)),
        "nodes_truenodeids": [1, 0],
        "nodes_falsenodeids": [0, 1],
        "nodes_trueleafs": [0, 1],
        "nodes_falseleafs": [1, 1],
        "leaf_targetids": [0, 1],
        "leaf_weights": tensor(np.array([1.5, -2.5], dtype)),
        "membership_values": tensor(np.array([3, -2, 0, 1, np.nan], dtype)),
    }


def tensor(array: Array) -> Any:
    return numpy_helper.from_array(array)


def test_membership() -> None:
    x = rows()
    proto = node("TreeEnsemble", x, version=5, **members())
    expected = np.zeros((len(x), 2), np.float32)
    for row, out in zip(x, expected, strict=True):
        inside = row[1] in (3, -2, 0, 1)
        out[int(inside and row[0] > 1)] = -2.5 if inside and row[0] > 1 else 1.5
    same(run(proto, {"x": x}), {"out": expected})


@pytest.mark.parametrize("device", DEVICES)
def test_trees_on_devices(device: Device, tmp_path: Path) -> None:
    x = rows(count=33)
    x[3, :] = np.nan
    labels: dict[str, Any] = {"classlabels_int64s": [5, 7, 9], "post_transform": "SOFTMAX"}
    proto = node("TreeEnsembleClassifier", x, "label", "scores", **labels, **trees("class", 3, missing=True))
    same(on_device(proto, {"x": x}, device, tmp_path), runtime(proto, {"x": x}), 1e-5)


def test_trees_that_lead_in_a_circle() -> None:
    attrs = trees("target", modes=MODES[:1], count=1, depth=2)
    attrs["nodes_truenodeids"] = [0] * len(attrs["nodes_modes"])
    with pytest.raises(ModelError, match="circle"):
        imported(node("TreeEnsembleRegressor", rows(), n_targets=1, **attrs))


@pytest.mark.parametrize("classes", [2, 3])
def test_labels_that_are_strings(classes: int) -> None:
    x, attrs = rows(), trees("class", classes)
    if classes == 2:  # votes for one of them
        attrs["class_ids"] = [0] * len(attrs["class_ids"])
    labels: dict[str, Any] = {"classlabels_strings": ["a", "ä", ""][:classes]}
    agrees(node("TreeEnsembleClassifier", x, "label", "scores", **labels, **attrs), {"x": x})


@pytest.mark.parametrize(("transform", "targets"), [("NONE", 1), *((t, 2) for t in TRANSFORMS[:4])])
def test_linear_regression(transform: str, targets: int) -> None:
    x = random(9, FEATURES)
    attrs = {"coefficients": numbers(targets, FEATURES), "intercepts": numbers(targets)}
    proto = node("LinearRegressor", x, targets=targets, post_transform=transform, version=1, **attrs)
    agrees(proto, {"x": x})


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("classes", [2, 3])
def test_linear_classes(transform: str, classes: int) -> None:
    x = random(9, FEATURES)
    attrs = {"coefficients": numbers(classes, FEATURES), "intercepts": numbers(classes)}
    labels: dict[str, Any] = {"classlabels_ints": list(range(4, 4 + classes)), "post_transform": transform}
    agrees(node("LinearClassifier", x, "label", "scores", version=1, **labels, **attrs), {"x": x})


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_one_score_for_two_classes(transform: str) -> None:
    x = random(9, FEATURES)
    attrs = {"coefficients": numbers(1, FEATURES), "intercepts": numbers(1)}
    labels: dict[str, Any] = {"classlabels_ints": [4, 5], "post_transform": transform}
    proto = node("LinearClassifier", x, "label", "scores", version=1, **labels, **attrs)
    same(run(proto, {"x": x}), reference(proto, {"x": x}))


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("one_class", [0, 1])
def test_support_vector_regression(kernel: str, one_class: int) -> None:
    x = random(9, FEATURES)
    attrs = {"kernel_type": kernel, "kernel_params": [0.3, 0.5, 3.0], "rho": [0.2], "one_class": one_class}
    attrs |= {"n_supports": 7, "support_vectors": numbers(7, FEATURES), "coefficients": numbers(7, seed=3)}
    agrees(node("SVMRegressor", x, version=1, **attrs), {"x": x}, 1e-4)


def support_vector_classes(kernel: str, sizes: list[int], *, probable: bool) -> tuple[Any, Any]:
    """SVMClassifier over rows of which there may be any number."""
    x, classes, total = random(9, FEATURES), len(sizes), sum(sizes)
    pairs = classes * (classes - 1) // 2
    attrs: dict[str, Any] = {"kernel_type": kernel, "kernel_params": [0.3, 0.5, 3.0], "rho": numbers(pairs)}
    attrs |= {
        "support_vectors": numbers(total, FEATURES),
        "coefficients": numbers(classes - 1, total, seed=3),
    }
    attrs |= {"vectors_per_class": sizes, "classlabels_ints": list(range(3, 3 + classes))}
    attrs |= {"prob_a": numbers(pairs, seed=5), "prob_b": numbers(pairs, seed=6)} if probable else {}
    return node("SVMClassifier", x, "label", "scores", version=1, **attrs), {"x": x}


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("sizes", [[3, 4], [2, 3, 4], [1, 2, 1, 3, 2]])
@pytest.mark.parametrize("probable", [False, True])
def test_support_vector_classes(kernel: str, sizes: list[int], probable: bool) -> None:
    # ONNX Runtime finds the probabilities of two classes, too, by an iteration that ends early
    early = probable and len(sizes) == 2
    agrees(*support_vector_classes(kernel, sizes, probable=probable), 1e-2 if early else 1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_coupled_probabilities_on_devices(device: Device, tmp_path: Path) -> None:
    proto, feeds = support_vector_classes("RBF", [2, 3, 4], probable=True)
    same(on_device(proto, feeds, device, tmp_path), runtime(proto, feeds), 1e-4)


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
def test_normalizer(norm: str) -> None:
    x = random(9, FEATURES)
    x[2] = 0
    agrees(node("Normalizer", x, norm=norm, version=1), {"x": x})


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32])
def test_scaler(dtype: Any) -> None:
    x = rows().astype(dtype)
    agrees(node("Scaler", x, offset=numbers(FEATURES), scale=numbers(FEATURES), version=1), {"x": x})


def test_imputer() -> None:
    x = rows()
    x[np.random.default_rng(1).random(x.shape) < 0.3] = np.nan
    values = {"imputed_value_floats": numbers(FEATURES), "replaced_value_float": float("nan")}
    agrees(node("Imputer", x, version=1, **values), {"x": x})
    whole = rows().astype(np.int64)
    agrees(node("Imputer", whole, version=1, imputed_value_int64s=[7], replaced_value_int64=2), {"x": whole})


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_one_hot_encoder(dtype: Any) -> None:
    x = rows().astype(dtype)
    agrees(node("OneHotEncoder", x, cats_int64s=[2, 0, 9], version=1), {"x": x})


def test_label_encoder() -> None:
    x = rows().astype(np.int64)
    agrees(node("LabelEncoder", x, keys_int64s=[2, 0, 9], values_floats=[0.5, 1.5, 7.0], version=2), {"x": x})
    keys = {"keys_int64s": [2, 0, 9], "values_int64s": [5, 1, 7], "default_int64": -3}
    agrees(node("LabelEncoder", x, version=2, **keys), {"x": x})
    agrees(node("LabelEncoder", x, keys_int64s=[2, 0], values_strings=["a", ""], version=2), {"x": x})
    agrees(node("LabelEncoder", x, keys_int64s=[2, 2], values_int64s=[5, 6], version=2), {"x": x})


def test_label_encoder_finds_nan() -> None:
    x = np.array([1, np.nan, 4], np.float32)
    keys = {"keys_floats": [float("nan"), 4.0], "values_floats": [5.0, 6.0], "default_float": -1.0}
    same(run(node("LabelEncoder", x, version=4, **keys), {"x": x}), {"out": np.array([-1, 5, 6], np.float32)})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["int64s", "strings"])
def test_maps_are_rows_and_their_keys(kind: str, device: Device, tmp_path: Path) -> None:
    """What skl2onnx puts at the end of a classifier: ONNX Runtime gives a list of dicts."""
    x, labels = rows(), {"int64s": [7, -3], "strings": ["no", "ja \u2713"]}[kind]
    attrs: dict[str, Any] = {f"classlabels_{kind}": labels}
    nodes = [
        helper.make_node("Softmax", ["x"], ["scores"]),
        helper.make_node("ZipMap", ["scores"], ["made"], domain="ai.onnx.ml", **attrs),
    ]
    proto = model(nodes, {"x": x[:, :2]}, ["made"], shapes={"x": ["rows", 2]}, domains={"ai.onnx.ml": 1})
    made = on_device(proto, {"x": x[:, :2]}, device, tmp_path)
    assert list(made) == ["made", "made_keys"]
    found = [dict(zip(made["made_keys"].tolist(), row, strict=True)) for row in made["made"].tolist()]
    wanted = runtime(proto, {"x": x[:, :2]})["made"]
    assert [row.keys() for row in found] == [row.keys() for row in wanted]
    for row, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose([*row.values()], [other[k] for k in row], rtol=1e-5)


def test_maps_that_are_refused() -> None:
    with pytest.raises(ModelError, match="4 labels for scores"):
        imported(node("ZipMap", rows(), classlabels_int64s=[0, 1, 2, 3], version=1))
    nodes = [
        helper.make_node("ZipMap", ["x"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2, 3, 4]),
        helper.make_node("SequenceAt", ["maps", "first"], ["out"]),
    ]
    weights = {"first": np.array(0)}
    with pytest.raises(ModelError, match="no sequence"):
        imported(model(nodes, {"x": rows()}, ["out"], weights=weights, domains={"ai.onnx.ml": 1}))


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.5, 1e30, -1e30, float("inf"), float("nan")])
def test_binarizer_of_integers(threshold: float) -> None:
    """Which ONNX Runtime does not take."""
    for x in (np.array([-2, -1, 0, 1, 2, 2**31 - 1], np.int32), np.array([[-(2**63), 0, 2, 2**63 - 1]])):
        made = run(node("Binarizer", x, threshold=threshold, version=1), {"x": x})["out"]
        np.testing.assert_array_equal(made, (x > threshold).astype(x.dtype))
        assert made.dtype == x.dtype
