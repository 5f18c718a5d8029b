"""Tensors of strings: what moves, compares, looks up and makes them gives what ONNX Runtime gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from pyruntime.errors import InputError, ModelError, UnsupportedError
from pyruntime.ir.dtypes import DType
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, agrees, imported, model, one_node, run, runtime, same
from tests.frontends.string_models import MODELS, drawn, ml, strings

node = helper.make_node
STRING = TensorProto.STRING


@pytest.mark.parametrize("name", MODELS)
def test_models_agree(name: str) -> None:
    proto, every = MODELS[name]
    for feeds in every:
        agrees(proto, feeds)


def test_interface() -> None:
    graph = imported(MODELS["strings-pipeline"][0])
    assert graph.encoded == {"words": DType.STRING, "label": DType.STRING}
    words, numbers = graph.inputs
    assert (words.dtype, list(map(str, words.shape))) == (DType.U8, ["n", "2", "words_bytes"])
    assert numbers.dtype is DType.F32


@pytest.mark.parametrize(
    ("op", "shapes"),
    [("Equal", ((3, 1), (2,))), ("Equal", ((), (3,))), ("Equal", ((0,), (0,)))]
    + [("StringConcat", s) for s in (((3, 1), (2,)), ((), ()), ((2, 0), (0,)))],
)
def test_shapes_are_broadcast(op: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    feeds = {n: drawn(*shape, seed=i) for i, (n, shape) in enumerate(zip("ab", shapes, strict=True))}
    feeds = {n: np.asarray(a, object) for n, a in feeds.items()}
    agrees(one_node(op, feeds, opset=20), feeds)


@pytest.mark.parametrize("delimiter", ["", ",", "--", "===", "ß", ", ", "\u2003"])
@pytest.mark.parametrize("limit", [None, 0, 1, 2, 9])
def test_split(delimiter: str, limit: int | None) -> None:
    """As Python splits; ONNX Runtime takes blanks alone for white space."""
    x = strings(
        *(
            "",
            " ",
            "a",
            "  a b  c ",
            ",",
            ",a,,b,",
            "--",
            "---a-----b--",
            "====",
            "=== ===",
            "ßäßßö",
            "a, b, ,c",
        ),
        *("\u2003a\u2003\u3000b\tc\n", "\x1c\x85d\xa0", "--,--ß, ", "x" * 40 + " " + "y" * 40, "é\u2028è"),
    )
    attrs: dict[str, Any] = {} if limit is None else {"maxsplit": limit}
    made = run(
        one_node("StringSplit", {"x": x}, opset=20, delimiter=delimiter, outputs=("y", "n"), **attrs),
        {"x": x},
    )
    expected = [s.split(delimiter or None, -1 if limit is None else limit) for s in x]
    assert made["n"].tolist() == list(map(len, expected))
    most = max(map(len, expected))
    assert made["y"].tolist() == [parts + [""] * (most - len(parts)) for parts in expected]


def test_delimiters_that_may_overlap_are_refused() -> None:
    x = strings("aba")
    with pytest.raises(UnsupportedError, match="'aba' begins as it ends"):
        imported(one_node("StringSplit", {"x": x}, opset=20, delimiter="aba", outputs=("y", "n")))


PADS = np.array([0, 2, 1, -1], np.int64)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("mode", "fill"), [("constant", None), ("constant", "grün"), ("edge", None)])
def test_padding(mode: str, fill: str | None, device: Device, tmp_path: Any) -> None:
    """By default with empty strings."""
    feeds = {"x": drawn(2, 5)}
    weights = {"pads": PADS} | ({} if fill is None else {"fill": strings(fill).reshape(())})
    made = on_device(one_node("Pad", feeds, opset=21, weights=weights, mode=mode), feeds, device, tmp_path)
    how: dict[str, Any] = {"constant_values": fill or ""} if mode == "constant" else {}
    same(made, {"out": np.pad(feeds["x"], ((0, 1), (2, 0)), mode, **how)[:, :-1]})  # type: ignore[call-overload]


def test_padding_with_what_is_fed() -> None:
    feeds = {"x": drawn(2, 5), "fill": strings("深红").reshape(())}
    proto = one_node("Pad", feeds, opset=21, weights={"pads": PADS}, inputs=["x", "pads", "fill"])
    wanted = np.pad(feeds["x"], ((0, 1), (2, 0)), constant_values="深红")[:, :-1]
    same(run(proto, feeds), {"out": wanted})


@pytest.mark.parametrize("upper", [0, 1])
def test_triangles(upper: int) -> None:
    feeds = {"x": drawn(3, 4)}
    kept = (np.triu if upper else np.tril)(np.ones((3, 4), bool))
    wanted = np.where(kept, feeds["x"], "")
    same(run(one_node("Trilu", feeds, upper=upper), feeds), {"out": wanted})


def test_crops_and_caches() -> None:
    feeds = {"x": drawn(3, 4)}
    proto = one_node("CenterCropPad", feeds, opset=18, weights={"shape": np.array([5, 2])})
    same(run(proto, feeds), {"out": np.pad(feeds["x"][:, 1:3], ((1, 1), (0, 0)), constant_values="")})
    feeds = {"cache": drawn(2, 4, 1), "update": drawn(2, 2, 1, seed=1), "at": np.array([2, 0])}
    wanted = feeds["cache"].copy()
    wanted[0, 2:], wanted[1, :2] = feeds["update"]
    same(run(one_node("TensorScatter", feeds, opset=24), feeds), {"out": wanted})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("by_value", [0, 1])
def test_unlike_strings(axis: int | None, by_value: int, device: Device, tmp_path: Any) -> None:
    """In the order of their bytes, shorter ones first; NumPy's of code points is the same."""
    words = strings("b", "a", "", "ab", "b", "a\0", "~", "é", "ÿ", "深红", "🙂", "a")
    x = np.concatenate([words, words[::2]]).reshape(9, 2)
    feeds = {"x": x}
    attrs: dict[str, Any] = {"sorted": by_value} | ({} if axis is None else {"axis": axis})
    outputs = ("unlike", "first", "which", "often")
    proto = one_node("Unique", feeds, outputs=outputs, shapes={"x": ["n", "m"]}, **attrs)
    made = on_device(proto, feeds, device, tmp_path)
    if axis is None:
        flat, first, which, often = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
        which = which.ravel()
    else:
        rows = [tuple(r) for r in np.moveaxis(x, axis, 0)]
        known = sorted(set(rows))
        first = np.array([rows.index(r) for r in known])
        which, often = np.array([known.index(r) for r in rows]), np.array([rows.count(r) for r in known])
        flat = np.moveaxis(np.array(known, object), 0, axis)
    if not by_value:
        turn = np.argsort(first)
        flat, first, often = flat.take(turn, axis or 0), first[turn], often[turn]
        which = np.argsort(turn)[which]
    same(made, dict(zip(outputs, (flat, first, which, often), strict=True)))


def test_strings_that_are_not_empty() -> None:
    for x in (strings("", "a", "", "深", "\0").reshape(5, 1), drawn(4, 5), strings()):
        found = run(one_node("NonZero", {"x": x}), {"x": x})["out"]
        np.testing.assert_array_equal(found, np.nonzero(x))  # an object is true unless it is empty


@pytest.mark.parametrize("device", DEVICES)
def test_lookups_among_many(device: Device, tmp_path: Any) -> None:
    """Keys alike but for one byte, prefixes of each other, the empty one, and NUL, which is a character."""
    rng = np.random.default_rng(0)
    keys = ["", "\0", "a\0", "a", *("x" * n for n in range(1, 40)), *(f"{n:05}" for n in range(5000))]
    x = np.array([*keys, "\0\0", "y", "x" * 99, "05000", " "], object)[rng.permutation(len(keys) + 5)]
    attrs = {"keys_strings": keys, "values_int64s": list(range(len(keys))), "default_int64": -1}
    proto = model([ml("LabelEncoder", ["x"], ["y"], **attrs)], {"x": x}, ["y"], domains={"ai.onnx.ml": 2})
    places = {k: i for i, k in enumerate(keys)}
    made = on_device(proto, {"x": x}, device, tmp_path)
    np.testing.assert_array_equal(made["y"], [places.get(s, -1) for s in x])


def test_constants_are_looked_up_while_converting() -> None:
    nodes = [
        ml("LabelEncoder", ["x"], ["word"], keys_int64s=[0, 1], values_strings=["no", "yes"]),
        ml("LabelEncoder", ["word"], ["y"], keys_strings=["yes", "no"], values_int64s=[7, 9]),
    ]
    x = np.array([[0, 1, 2]])
    proto = model(nodes, {"x": x}, ["y"], domains={"ai.onnx.ml": 2})
    agrees(proto, {"x": x})
    assert not any(v.dtype is DType.U8 and v.data is None for v in imported(proto).values())


def test_label_encoder_of_classes() -> None:
    attrs = {"classes_strings": ["b", "a", "c"], "default_string": "?", "default_int64": 5}
    for x in (strings(["a", "c"], ["d", ""]), np.array([[0, 2], [-1, 3]])):
        proto = model([ml("LabelEncoder", ["x"], ["y"], **attrs)], {"x": x}, ["y"], domains={"ai.onnx.ml": 1})
        made = run(proto, {"x": x})["y"]
        wanted: Any = [[1, 2], [5, 5]] if x.dtype == object else [["b", "c"], ["?", "?"]]
        assert made.tolist() == wanted


def test_a_branch_that_is_known_gives_strings() -> None:
    x = drawn(4)
    then, otherwise = (
        helper.make_graph(
            [node("Constant", [], ["c"], value_string=w), node("StringConcat", ["x", "c"], [w])],
            w,
            [],
            [helper.make_tensor_value_info(w, STRING, [4])],
        )
        for w in ("then", "else")
    )
    nodes = [
        node("Constant", [], ["one"], value=helper.make_tensor("", TensorProto.BOOL, [], [True])),
        node("If", ["one"], ["y"], then_branch=then, else_branch=otherwise),
    ]
    agrees(model(nodes, {"x": x}, ["y"], opset=20), {"x": x})


def test_case_of_other_characters_is_refused_where_they_are_fed() -> None:
    x = strings("Straße", "a")
    nodes = [
        node("StringConcat", ["x", "y"], ["joined"]),
        node("StringNormalizer", ["joined"], ["out"], case_change_action="UPPER", is_case_sensitive=1),
    ]
    graph = imported(model(nodes, {"x": x, "y": x, "z": x}, ["out"], opset=20))
    assert graph.ranges == {"x": (0, 127), "y": (0, 127)}
    nodes[0] = node("StringConcat", ["x", "constant"], ["joined"])
    constant = {"constant": strings("é")}
    with pytest.raises(UnsupportedError, match=r"StringNormalizer.*case is not supported"):
        imported(model(nodes, {"x": x}, ["out"], opset=20, weights=constant))
    alone = one_node("StringNormalizer", {"x": x}, stopwords=["a"], is_case_sensitive=1, opset=20, locale="C")
    assert not imported(alone).ranges
    agrees(alone, {"x": x})


def test_lower_case_of_latin() -> None:
    """All its characters, alone and side by side, as Python has them; a locale may know ASCII alone."""
    every = [chr(c) for c in range(256)]
    x = strings(*every, "".join(every), "ÀÉÎ×÷ÐÞßÿ", "Ã" * 9)
    attrs: dict[str, Any] = {"case_change_action": "LOWER", "is_case_sensitive": 1}
    made = run(one_node("StringNormalizer", {"x": x}, **attrs), {"x": x})["out"]
    assert made.tolist() == [s.lower() for s in x]
    agrees(one_node("StringNormalizer", {"x": x[1:]}, locale="C", **attrs), {"x": x[1:]})
    y = strings("É", "é", "ﬁ", "i", "I", "", "_")
    for locale, words in (("C", ["É", "I"]), ("en_US", ["É", "i", "Ω"])):
        proto = one_node("StringNormalizer", {"x": y}, stopwords=words, locale=locale)
        kept = [s for s in y if s not in ("É", "i", "I") and (s != "é" or locale == "C")]
        assert run(proto, {"x": y})["out"].tolist() == kept
    with pytest.raises(UnsupportedError, match="tr_TR"):
        imported(one_node("StringNormalizer", {"x": x}, locale="tr_TR.UTF-8", **attrs))


def test_normalizer_takes_one_row() -> None:
    x = strings(["a", "b"], ["c", "d"])
    with pytest.raises(UnsupportedError, match="neither"):
        imported(one_node("StringNormalizer", {"x": x}, stopwords=["a"]))
    agrees(one_node("StringNormalizer", {"x": x[:1]}, stopwords=["A"], locale="C"), {"x": x[:1]})


@pytest.mark.parametrize(
    ("op", "attrs", "message"),
    [
        ("RegexFullMatch", {"pattern": "a*"}, "not supported"),
        ("Resize", {}, "a tensor of strings"),
    ],
)
def test_operators_without_strings(op: str, attrs: dict[str, Any], message: str) -> None:
    x = drawn(3)
    with pytest.raises(UnsupportedError, match=message):
        imported(one_node(op, {"x": x}, opset=20, **attrs))


@pytest.mark.parametrize(
    ("data", "indices", "updates"),
    [
        (np.zeros(3, np.float32), strings(["a"]), np.ones(1, np.float32)),
        (drawn(3), np.array([[1]]), np.ones(1, np.float32)),
        (np.zeros(3, np.float32), np.array([[1]]), drawn(1)),
    ],
)
def test_strings_out_of_place(data: Array, indices: Array, updates: Array) -> None:
    feeds = {"data": data, "indices": indices, "updates": updates}
    with pytest.raises(ModelError, match="ScatterND 'node': strings stand where"):
        imported(one_node("ScatterND", feeds))


def test_damaged_strings() -> None:
    proto = one_node("Identity", {"x": drawn(2)}, weights={"w": strings("é")}, inputs=["w"])
    proto.graph.initializer[0].string_data[0] = b"\xff"
    with pytest.raises(ModelError, match=r"'w'.*UTF-8"):
        imported(proto)
    proto.graph.initializer[0].string_data.append(b"")
    proto.graph.initializer[0].string_data[0] = b"a"
    with pytest.raises(ModelError, match="2 strings for shape"):
        imported(proto)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [0, 1, 5])
def test_fixed_sizes(device: Device, size: int, tmp_path: Any) -> None:
    feeds: dict[str, Array] = {"x": drawn(size, 2), "y": drawn(2, seed=1)}
    nodes = [
        node("Concat", ["x", "x"], ["twice"], axis=0),
        node("StringConcat", ["twice", "y"], ["out"]),
        node("Equal", ["x", "y"], ["same"]),
    ]
    proto = model(nodes, feeds, ["out", "same"], opset=20)
    same(on_device(proto, feeds, device, tmp_path), runtime(proto, feeds))


@pytest.mark.wasm
def test_feeds_of_sessions(tmp_path: Any) -> None:
    """What is no text, or of another shape, and characters whose case is not known."""
    import pyruntime

    x = strings("a", "b")
    proto = one_node("StringNormalizer", {"x": x}, case_change_action="LOWER", shapes={"x": ["n"]})
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(tmp_path / "m.onnx", tmp_path / "m.pack", targets=("wasm",))
    with pyruntime.load(tmp_path / "m.pack", device="wasm") as session:
        assert [(s.dtype, s.shape) for s in session.inputs] == [("string", ("n",))]
        for fed in (["A", "b"], ("A", "b"), np.array(["A", "b"]), strings("A", "b"), [np.str_("A"), "b"]):
            made = session.run({"x": fed})["out"]
            assert (made.dtype, made.tolist()) == (np.dtype(object), ["a", "b"])
        assert session.run({"x": []})["out"].tolist() == []
        for wrong, message in (
            ("A", r"expected string of shape \(n\), got string of shape \(\)"),
            ([1], "expected strings, got 1"),
            (np.array([1.5]), "expected strings, got 1.5"),
            ([b"a"], "expected strings"),
            ([["a"], ["b"]], "rank 1 is needed"),
            (["\ud800"], "is no text"),
            (
                ["ï", "naïwę"],
                "'x' takes strings whose bytes are from 0 to 195, which is Latin-1; got 'naïwę'",
            ),
            (7, "expected strings, got int"),
        ):
            with pytest.raises(InputError, match=message):
                session.run({"x": wrong})


def _sequences() -> tuple[Any, dict[str, Array]]:
    """Strings in every operator of sequences, from tables of unlike widths."""
    body = helper.make_graph(
        [node("StringConcat", ["item", "suffix"], ["longer"])],
        "body",
        [
            helper.make_tensor_value_info("item", STRING, None),
            helper.make_tensor_value_info("suffix", STRING, None),
        ],
        [helper.make_tensor_value_info("longer", STRING, None)],
    )
    nodes = [
        node("SplitToSequence", ["x"], ["rows"], keepdims=0),
        node("SequenceAt", ["rows", "place"], ["fed"]),
        node("SequenceAt", ["rows", "one"], ["second"]),
        node("SequenceConstruct", ["second", "y"], ["two"]),
        node("SequenceInsert", ["two", "fed", "one"], ["three"]),
        node("SequenceErase", ["three", "zero"], ["rest"]),
        node("SequenceMap", ["rest", "suffix"], ["mapped"], body=body),
        node("ConcatFromSequence", ["mapped"], ["stacked"], axis=0, new_axis=1),
        node("ConcatFromSequence", ["three"], ["joined"], axis=-1),
        node("SequenceLength", ["rows"], ["count"]),
        node("SequenceEmpty", [], ["none"], dtype=STRING),
        node("SequenceInsert", ["none", "y"], ["only"]),
        node("ConcatFromSequence", ["only"], ["alone"], axis=0),
    ]
    feeds: dict[str, Array] = {"x": drawn(4, 3), "y": strings("a", "", "long" * 9), "place": np.array(-1)}
    weights = {"zero": np.array(0), "one": np.array(1), "suffix": strings("!")}
    outputs = ["stacked", "joined", "count", "alone", "fed"]
    return model(nodes, feeds, outputs, opset=20, weights=weights), feeds


@pytest.mark.parametrize("device", DEVICES)
def test_sequences(device: Device, tmp_path: Any) -> None:
    proto, feeds = _sequences()
    x, y = feeds["x"], feeds["y"]
    three = [x[1], x[3], y]
    wanted = {
        "stacked": np.stack([v + "!" for v in three[1:]]),
        "joined": np.concatenate(three),
        "count": np.array(4),
        "alone": y,
        "fed": x[3],
    }
    same(on_device(proto, feeds, device, tmp_path), wanted)


@pytest.mark.parametrize("device", DEVICES)
def test_sequence_that_is_given(device: Device, tmp_path: Any) -> None:
    """As an output: a list of arrays."""
    feeds: dict[str, Array] = {"x": drawn(3, 0, 2), "y": drawn(2, 1, seed=1)}
    nodes = [
        node("SequenceConstruct", ["x", "y"], ["s"]),
        node("SplitToSequence", ["y"], ["t"], axis=0),
    ]
    proto = model(nodes, feeds, ["s", "t"])
    made = on_device(proto, feeds, device, tmp_path)
    for found, array in zip(
        [*made["s"], *made["t"]], [feeds["x"], feeds["y"], *np.split(feeds["y"], 2)], strict=True
    ):
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("device", DEVICES)
def test_sequence_that_is_fed(device: Device, tmp_path: Any) -> None:
    """Each element has widths of its own; an optional tensor of strings beside it."""
    tensor = helper.make_tensor_type_proto(STRING, [None])
    fed = {"s": helper.make_sequence_type_proto(tensor), "o": helper.make_optional_type_proto(tensor)}
    nodes = [
        node("OptionalGetElement", ["o"], ["x"]),
        node("SequenceInsert", ["s", "x"], ["more"]),
        node("ConcatFromSequence", ["more"], ["out"], axis=0),
    ]
    inputs = [helper.make_value_info(n, t) for n, t in fed.items()]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("out", STRING, None)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    feeds = {"s": [strings("a", "深红"), strings()], "o": strings("more than eight bytes", "")}
    made = on_device(proto, feeds, device, tmp_path, elements={"s": 2, "o": 1})
    assert made["out"].tolist() == ["a", "深红", "more than eight bytes", ""]


def test_numbers_among_strings_are_refused() -> None:
    feeds: dict[str, Array] = {"x": drawn(2), "n": np.zeros(2, np.float32)}
    proto = model(
        [node("SequenceConstruct", ["x", "n"], ["s"]), node("SequenceLength", ["s"], ["out"])], feeds, ["out"]
    )
    with pytest.raises(ModelError, match="elements of types string, float32"):
        imported(proto)


def test_random_numbers_in_the_shape_of_strings() -> None:
    feeds = {"x": drawn(2, 3)}
    made = run(one_node("RandomUniformLike", feeds, dtype=TensorProto.FLOAT), feeds)["out"]
    numbers = run(
        one_node("RandomUniformLike", {"x": np.zeros((2, 3), np.float32)}),
        {"x": np.zeros((2, 3), np.float32)},
    )
    np.testing.assert_array_equal(made, numbers["out"])
    with pytest.raises(ModelError, match="random elements of type string"):
        imported(one_node("RandomUniformLike", feeds))
