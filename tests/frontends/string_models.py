"""Small models of strings, with inputs of several sizes and lengths, that ONNX Runtime runs too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, ValueInfoProto, helper

from tests.frontends.onnx_models import Array, model

Feeds = Mapping[str, Array]
Sizes = Sequence[int | str | None]
ML = {"ai.onnx.ml": 3}
COLOURS = ["red", "grün", "blue", "", "深红", "redder", "re"]
node = helper.make_node


def strings(*values: Any) -> Array:
    """An array of str objects."""
    return np.array(values, object)


def drawn(*shape: int, seed: int = 0, among: Sequence[str] = (*COLOURS, "unknown", "🙂", "gr\0n")) -> Array:
    """Strings at random."""
    words = np.array(among, object)
    return words[np.random.default_rng(seed).integers(0, len(words), shape)]


def ml(op: str, inputs: Sequence[str], outputs: Sequence[str], **attrs: Any) -> Any:
    """A node of ai.onnx.ml."""
    return node(op, inputs, outputs, domain="ai.onnx.ml", **attrs)


def _pipeline() -> tuple[ModelProto, list[Feeds]]:
    """What skl2onnx makes of a ColumnTransformer and a classifier with classes that are strings."""
    rng = np.random.default_rng(0)
    nodes = [
        ml("ArrayFeatureExtractor", ["words", "first"], ["colour"]),
        ml("ArrayFeatureExtractor", ["words", "second"], ["size"]),
        ml("OneHotEncoder", ["colour"], ["hot"], cats_strings=COLOURS, zeros=1),
        node("Reshape", ["hot", "flat"], ["features"]),
        ml("LabelEncoder", ["size"], ["sized"], keys_strings=["S", "M", "L"], values_floats=[1.0, 2.0, 3.0]),
        node("Concat", ["features", "sized", "numbers"], ["all"], axis=1),
        ml(
            "LinearClassifier",
            ["all"],
            ["label", "scores"],
            coefficients=rng.standard_normal(30).astype(np.float32).tolist(),
            intercepts=[0.1, 0.2, 0.3],
            classlabels_strings=["yes", "no", "dépend"],
            post_transform="SOFTMAX",
        ),
    ]
    feeds: list[Feeds] = [
        {
            "words": np.concatenate(
                [drawn(n, 1, seed=n), drawn(n, 1, seed=n, among=("S", "M", "L", "XL", "S "))], axis=1
            ),
            "numbers": rng.standard_normal((n, 2)).astype(np.float32),
        }
        for n in (7, 1, 33)
    ]
    weights = {"first": np.array([0]), "second": np.array([1]), "flat": np.array([-1, len(COLOURS)])}
    shapes: dict[str, Sizes] = {"words": ["n", 2], "numbers": ["n", 2]}
    outputs = ["label", "scores"]
    return model(nodes, feeds[0], outputs, weights=weights, shapes=shapes, domains=ML), feeds


def _labels() -> tuple[ModelProto, list[Feeds]]:
    """Labels to labels, to numbers and back, by keys of which many search in steps."""
    many = [f"key {i}" for i in range(300)]
    nodes = [
        ml("LabelEncoder", ["x"], ["a"], keys_strings=many, values_strings=[k.upper() for k in many]),
        ml("LabelEncoder", ["x"], ["b"], keys_strings=many, values_int64s=range(300), default_int64=-7),
        ml("LabelEncoder", ["b"], ["c"], keys_int64s=range(300), values_strings=many[::-1]),
        ml("CategoryMapper", ["x"], ["d"], cats_strings=["key 3", "key 4"], cats_int64s=[8, 9]),
        ml("CategoryMapper", ["d"], ["e"], cats_strings=["key 3", "key 4"], cats_int64s=[8, 9]),
    ]
    feeds: list[Feeds] = [
        {"x": drawn(*shape, seed=1, among=(*many, "other", "key 1 ", "key"))} for shape in ((5, 60), (1, 1))
    ]
    shapes: dict[str, Sizes] = {"x": ["a", "b"]}
    return model(nodes, feeds[0], ["a", "b", "c", "d", "e"], shapes=shapes, domains=ML), feeds


def _moved() -> tuple[ModelProto, list[Feeds]]:
    """Strings gathered, joined, chosen, sliced, transposed and compared."""
    nodes = [
        node("Transpose", ["x"], ["turned"], perm=[1, 0]),
        node("Gather", ["turned", "second"], ["row"], axis=0),
        node("Concat", ["row", "y", "words"], ["joined"], axis=0),
        node("Slice", ["joined", "from", "to", "axis"], ["part"]),
        node("Equal", ["x", "word"], ["same"]),
        node("Where", ["same", "other", "x"], ["chosen"]),
        node("Equal", ["row", "y"], ["equal"]),
        node("Shape", ["x"], ["shape"]),
        node("Identity", ["word"], ["scalar"]),
        node("Expand", ["word", "three"], ["expanded"]),
    ]
    weights = {
        "second": np.array(1),
        "words": strings("ein", "kleines", "Boot"),
        "word": np.array("red", object),
        "other": np.array("anything but red", object),
        "from": np.array([1]),
        "to": np.array([-1]),
        "axis": np.array([0]),
        "three": np.array([2, 3]),
    }
    feeds: list[Feeds] = [{"x": drawn(n, 3, seed=n), "y": drawn(n, seed=n + 1)} for n in (5, 1, 12)]
    outputs = ["part", "chosen", "equal", "shape", "scalar", "expanded", "same"]
    shapes: dict[str, Sizes] = {"x": ["n", 3], "y": ["n"]}
    return model(nodes, feeds[0], outputs, weights=weights, shapes=shapes, opset=19), feeds


def _made() -> tuple[ModelProto, list[Feeds]]:
    """Strings one after the other, and split again, and integers written."""
    nodes = [
        node("StringConcat", ["x", "comma"], ["left"]),
        node("StringConcat", ["left", "y"], ["pair"]),
        node("StringSplit", ["pair"], ["parts", "counts"], delimiter=", "),
        node("StringSplit", ["pair"], ["first", "two"], delimiter="r", maxsplit=1),
        node("StringSplit", ["pair"], ["doubled", "times"], delimiter="dd"),
        node("Cast", ["n"], ["written"], to=8),
    ]
    feeds: list[Feeds] = [
        {
            "x": drawn(n, 3, seed=n),
            "y": drawn(3, seed=n, among=("", "red, ", "ddddd", "äöü, ß", "blue, red, blue")),
            "n": np.array([0, -1, 2**31 - 1, -(2**31), 10, -99][:n], np.int32),
        }
        for n in (6, 1)
    ]
    outputs = ["pair", "parts", "counts", "first", "two", "doubled", "times", "written"]
    shapes: dict[str, Sizes] = {"x": ["n", 3], "y": [3], "n": ["n"]}
    weights = {"comma": np.array(", ", object)}
    return model(nodes, feeds[0], outputs, weights=weights, shapes=shapes, opset=20), feeds


def _normalised() -> tuple[ModelProto, list[Feeds]]:
    """Words without some of them, and their n-grams, in the locale that ONNX Runtime finds anywhere."""
    steps: dict[str, dict[str, Any]] = {
        "kept": {"stopwords": ["the", "a"], "case_change_action": "LOWER"},
        "exact": {"stopwords": ["The"], "is_case_sensitive": 1},
        "shouted": {"case_change_action": "UPPER", "is_case_sensitive": 1},
    }
    nodes = [
        *(node("StringNormalizer", ["x"], [name], locale="C", **attrs) for name, attrs in steps.items()),
        node(
            "TfIdfVectorizer",
            ["kept"],
            ["counts"],
            mode="TF",
            min_gram_length=1,
            max_gram_length=2,
            max_skip_count=1,
            ngram_counts=[0, 3],
            ngram_indexes=[0, 1, 2, 3, 4],
            pool_strings=["cat", "dog", "sat", "cat", "sat", "dog", "cat"],
        ),
    ]
    among = ("The", "the", "A", "cat", "DOG", "dog", "Sat", "mat")
    feeds: list[Feeds] = [{"x": drawn(n, seed=n, among=among)} for n in (9, 20, 1)]
    feeds.append({"x": strings("A", "THE", "the")})
    return model(nodes, feeds[0], ["kept", "exact", "shouted", "counts"], shapes={"x": ["n"]}), feeds


def _branches() -> tuple[ModelProto, list[Feeds]]:
    """Of two branches, between which data decide, one gives what is fed, the other longer strings."""
    then = helper.make_graph([node("Identity", ["x"], ["t"])], "then", [], [ValueInfoProto(name="t")])
    otherwise = helper.make_graph(
        [node("StringConcat", ["x", "word"], ["made"]), node("Concat", ["made"], ["o"], axis=0)],
        "otherwise",
        [],
        [ValueInfoProto(name="o")],
    )
    nodes = [
        node("If", ["same"], ["y"], then_branch=then, else_branch=otherwise),
        node("Equal", ["y", "word"], ["equal"]),
    ]
    feeds: list[Feeds] = [
        {"x": drawn(n, 2, seed=n), "same": np.array(same)} for n, same in ((3, True), (1, False), (4, False))
    ]
    shapes: dict[str, Sizes] = {"x": ["n", 2]}
    weights = {"word": np.array("a longer word", object)}
    return model(nodes, feeds[0], ["y", "equal"], weights=weights, shapes=shapes, opset=20), feeds


MODELS = {
    "strings-pipeline": _pipeline(),
    "strings-labels": _labels(),
    "strings-moved": _moved(),
    "strings-made": _made(),
    "strings-normalised": _normalised(),
    "strings-branches": _branches(),
}
