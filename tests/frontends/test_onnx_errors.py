"""Damaged, hostile and unsupported models raise typed errors that say what is wrong and where."""

from __future__ import annotations

import random as python_random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, FunctionProto, ModelProto, TensorProto, helper, numpy_helper
from pyruntime_converter.frontends import read_model
from pyruntime_converter.frontends.onnx import read

from pyruntime.errors import ModelError, PyRuntimeError, UnsupportedError, UnsupportedNodesError
from tests.frontends.onnx_models import imported, model, one_node, random

X = {"x": random(2, 3)}


def relu() -> ModelProto:
    return one_node("Relu", X)


# ------------------------------------------------------------------------------------------ files


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "nothing.onnx"
    with pytest.raises(ModelError, match=r"nothing\.onnx: no such file"):
        read(path)
    with pytest.raises(ModelError, match=r"nothing\.onnx: no such file"):
        read_model(path)


def test_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model.onnx"
    folder.mkdir()
    with pytest.raises(ModelError, match="a folder"):
        read_model(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 64, b"PK\x03\x04" + b"\x00" * 60, b"<!DOCTYPE html><html>not found</html>", b"\x08\x07"],
    ids=["empty", "zeros", "zip", "html", "version alone"],
)
def test_not_a_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.onnx"):
        read_model(path)
    with pytest.raises(ModelError):
        read(content)


@pytest.mark.parametrize("suffix", [".tflite", ".h5", ".txt", ""])
def test_other_formats_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"something")
    with pytest.raises(UnsupportedError, match=r"supported are \.onnx"):
        read_model(path)


def test_truncations_and_noise_raise_typed_errors_only() -> None:
    proto = one_node("Conv", {"x": random(1, 2, 4, 4)}, weights={"w": random(3, 2, 3, 3)}, pads=[1] * 4)
    content = proto.SerializeToString()
    dice = python_random.Random(0)
    damaged = [content[:end] for end in range(0, len(content), 3)]
    for _ in range(300):
        noisy = bytearray(content)
        for _ in range(dice.randint(1, 4)):
            noisy[dice.randrange(len(noisy))] = dice.randrange(256)
        damaged.append(bytes(noisy))
    outcomes = {"read": 0, "refused": 0}
    for candidate in damaged:
        try:
            read(candidate)
            outcomes["read"] += 1
        except PyRuntimeError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 100


def test_newer_than_this_converter() -> None:
    proto = relu()
    proto.opset_import[0].version = onnx.defs.onnx_opset_version() + 1
    with pytest.raises(UnsupportedError, match="newer"):
        imported(proto)
    proto = relu()
    proto.ir_version = onnx.IR_VERSION + 1
    with pytest.raises(UnsupportedError, match="newer"):
        imported(proto)


def test_no_opset() -> None:
    proto = relu()
    del proto.opset_import[:]
    with pytest.raises(ModelError, match="which opset"):
        imported(proto)


# ----------------------------------------------------------------------------------------- tensors


def with_weight(tensor: TensorProto) -> ModelProto:
    proto = model([helper.make_node("Add", ["x", tensor.name], ["out"])], X, ["out"])
    proto.graph.initializer.append(tensor)
    return proto


def test_declared_sizes_are_checked_before_anything_is_allocated() -> None:
    huge = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40, 1 << 40], raw_data=b"1234")
    with pytest.raises(ModelError, match=r"'w': 4 bytes, but shape .* takes"):
        imported(with_weight(huge))
    typed = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40], float_data=[1.0])
    with pytest.raises(ModelError, match="1 elements for shape"):
        imported(with_weight(typed))
    negative = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-1], raw_data=b"1234")
    with pytest.raises(ModelError, match="shape"):
        imported(with_weight(negative))


@pytest.mark.parametrize("kind", [TensorProto.COMPLEX64, 99])
def test_element_types_without_support(kind: int) -> None:
    with pytest.raises(UnsupportedError, match="element type"):
        imported(with_weight(TensorProto(name="w", data_type=kind, dims=[1], raw_data=b"12")))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "float16", "uint64"])
def test_typed_fields_and_raw_bytes_agree(dtype: str) -> None:
    array = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
    enum = helper.np_dtype_to_tensor_dtype(array.dtype)
    packed = helper.make_tensor("value", enum, array.shape, array.ravel().tolist())
    assert not packed.raw_data
    for tensor in (packed, numpy_helper.from_array(array)):
        graph = imported(one_node("Constant", {}, value=tensor))
        assert graph.outputs[0].data is not None
        np.testing.assert_array_equal(graph.outputs[0].data, array)


def test_weights_are_not_copied() -> None:
    graph = imported(one_node("MatMul", {"x": random(1, 8)}, weights={"w": random(8, 8)}))
    weight = graph.nodes[0].input(1)
    assert weight.name == "w"
    assert weight.data is not None
    assert not weight.data.flags.owndata
    assert not weight.data.flags.writeable


# ----------------------------------------------------------------------------------- external data


def save_external(folder: Path, location: str, **entries: str) -> Path:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": location} | entries).items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(with_weight(tensor).SerializeToString())
    return path


def test_external_data(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(np.arange(5, dtype=np.float32).tobytes())
    graph = read(save_external(tmp_path, "weights.bin", offset="8", length="12"))
    np.testing.assert_array_equal(np.asarray(graph.nodes[0].input(1).data), [2, 3, 4])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "../weights.bin"}, "outside"),
        ({"location": "/etc/passwd"}, "outside"),
        ({"location": ""}, "outside"),
        ({"location": "gone.bin"}, "missing"),
        ({"location": "weights.bin", "offset": "12"}, "which has 20"),
        ({"location": "weights.bin", "offset": "-4"}, "which has 20"),
        ({"location": "weights.bin", "length": "8"}, "takes 12 bytes"),
        ({"location": "weights.bin", "offset": "far"}, "offset"),
    ],
    ids=str,
)
def test_external_data_that_is_refused(tmp_path: Path, entries: dict[str, str], message: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (tmp_path, folder):
        (place / "weights.bin").write_bytes(bytes(20))
    with pytest.raises(ModelError, match=message):
        read(save_external(folder, **entries))


def test_external_data_through_a_link_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(12))
    (folder / "weights.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match="outside"):
        read(save_external(folder, "weights.bin"))


def test_external_data_of_bytes_has_no_folder(tmp_path: Path) -> None:
    path = save_external(tmp_path, "weights.bin")
    with pytest.raises(ModelError, match="path"):
        read(path.read_bytes())


# ------------------------------------------------------------------------------------------- graphs


def test_undefined_input() -> None:
    proto = model([helper.make_node("Add", ["x", "gone"], ["out"], name="add")], X, ["out"])
    with pytest.raises(ModelError, match=r"'add' reads 'gone'"):
        imported(proto)


def test_undefined_output() -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])], X, ["out"])
    with pytest.raises(ModelError, match="'out'"):
        imported(proto)


def test_cycle() -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"], name="first"), helper.make_node("Relu", ["a"], ["b"])]
    with pytest.raises(ModelError, match="'first' is part of a cycle"):
        imported(model(nodes, X, ["b"]))


def test_one_name_made_twice() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["x"], ["a"])]
    with pytest.raises(ModelError, match="twice"):
        imported(model(nodes, X, ["a"]))


def test_nodes_in_any_order() -> None:
    nodes = [helper.make_node("Neg", ["a"], ["b"]), helper.make_node("Relu", ["x"], ["a"])]
    assert [n.op for n in imported(model(nodes, X, ["b"])).nodes] == ["Relu", "Neg"]


def test_functions_that_call_themselves() -> None:
    call = helper.make_node("F", ["a"], ["b"], domain="own")
    function = helper.make_function("own", "F", ["a"], ["b"], [call], [helper.make_opsetid("own", 1)])
    proto = model([helper.make_node("F", ["x"], ["out"], domain="own")], X, ["out"], domains={"own": 1})
    proto.functions.append(function)
    with pytest.raises(ModelError, match="nested deeper"):
        imported(proto)


def test_branches_nested_too_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    # protobuf itself refuses to read messages that are much deeper than the real limit
    monkeypatch.setattr("pyruntime_converter.frontends.onnx.order.MAX_DEPTH", 8)
    other = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])], "other", [], [helper.make_empty_tensor_value_info("y")]
    )
    inner = helper.make_node("Relu", ["x"], ["y0"])
    for level in range(1, 12):
        declared = [helper.make_empty_tensor_value_info(f"y{level - 1}")]
        graph = helper.make_graph([inner], "branch", [], declared)
        inner = helper.make_node("If", ["c"], [f"y{level}"], then_branch=graph, else_branch=other)
    with pytest.raises(ModelError, match="nested deeper"):
        imported(model([inner], X, ["y11"], weights={"c": np.array(True)}))


@pytest.mark.parametrize(
    "proto",
    [
        one_node("EyeLike", {"x": random(1, 1)}, shapes={"x": [1 << 20, 1 << 20]}),
        one_node(
            "Range", {}, weights={n: np.array(v, np.int64) for n, v in (("a", 0), ("b", 1 << 60), ("c", 1))}
        ),
        one_node("Resize", X, weights={"s": np.array([1, 1e9], np.float32)}, inputs=("x", "", "s")),
    ],
)
def test_constants_of_any_size_are_not_made(proto: ModelProto) -> None:
    with pytest.raises(UnsupportedError, match="more than"):
        imported(proto)


def test_large_fills_stay_in_the_graph() -> None:
    graph = imported(one_node("ConstantOfShape", {}, weights={"s": np.array([1 << 20, 1 << 20], np.int64)}))
    assert [n.op for n in graph.nodes] == ["Expand"]


def test_functions_that_multiply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyruntime_converter.frontends.onnx.importer.MAX_NODES", 1000)
    functions: list[FunctionProto] = []
    for level in range(20):
        op, domain = ("Relu", "") if level == 0 else (f"F{level - 1}", "own")
        body = [
            helper.make_node(op, ["a"], ["b"], domain=domain),
            helper.make_node(op, ["b"], ["c"], domain=domain),
        ]
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        functions.append(helper.make_function("own", f"F{level}", ["a"], ["c"], body, imports))
    proto = model([helper.make_node("F19", ["x"], ["out"], domain="own")], X, ["out"], domains={"own": 1})
    proto.functions.extend(functions)
    with pytest.raises(ModelError, match="more than 1000 nodes"):
        imported(proto)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (one_node("Add", {"a": random(2, 3), "b": random(4)}), "'node'"),
        (one_node("Transpose", X, perm=[0, 0]), "repeat"),
        (one_node("Transpose", X, perm=[0, 5]), "outside rank"),
        (one_node("Softmax", X, axis=2), "axis 2"),
        (one_node("Reshape", X, weights={"s": np.array([4, 2], np.int64)}), "'node'"),
        (one_node("Reshape", X, weights={"s": np.array([-1, -1], np.int64)}), "target"),
        (one_node("Reshape", X, weights={"s": np.array([-1, 4], np.int64)}), "do not fit"),
        (one_node("Conv", {"x": random(1, 2, 4, 4)}, weights={"w": random(3, 5, 3, 3)}), "'node'"),
        (one_node("Conv", {"x": random(1, 2, 4, 4)}, weights={"w": random(3, 2, 3, 3)}, group=0), "'node'"),
        (one_node("Concat", X), "axis"),
        (one_node("Relu", {}), "input 0 is missing"),
        (one_node("Flatten", X, axis=1.5), "must be of type INT"),
        (one_node("Split", X, axis=1, opset=11, outputs=("a", "b")), "does not split"),
        (one_node("Add", X), "input 1 is missing"),
        (one_node("Neg", {"x": np.array([True])}), "'node'"),
    ],
)
def test_nodes_that_break_the_rules(proto: ModelProto, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        imported(proto)


def test_inputs_without_a_shape_or_type() -> None:
    proto = relu()
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match="no shape"):
        imported(proto)
    proto.graph.input[0].ClearField("type")
    with pytest.raises(UnsupportedError, match="it is a value of no type, not a tensor"):
        imported(proto)


# -------------------------------------------------------------------------------- what is unsupported


@pytest.mark.parametrize(
    "node",
    ["ai.onnx.ml.DictVectorizer<int64_vocabulary=[1, 2]>(x)", 'ai.onnx.ml.CastMap<cast_to="TO_FLOAT">(x)'],
)
def test_maps_that_are_fed(node: str) -> None:
    """What takes them is refused with what to feed instead."""
    head = '<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 3]>'
    proto = onnx.parser.parse_model(f"{head} g (map(int64, float) x) => (float[1, 2] y) {{ y = {node} }}")
    with pytest.raises(
        UnsupportedError, match=r"Input 'x': it is a map.*without the DictVectorizer or CastMap"
    ):
        imported(proto)


def test_unknown_operator() -> None:
    with pytest.raises(UnsupportedError, match=r"Frobnicate 'node': the operator is not supported \(opset 1"):
        imported(one_node("Frobnicate", X, domain="com.example"))


def test_all_problems_are_told_together() -> None:
    unknown = {"op_type": "Frobnicate", "domain": "com.example"}
    nodes = [helper.make_node(inputs=["x"], outputs=[f"n{i}"], name=f"bad{i}", **unknown) for i in range(12)]
    nodes.append(helper.make_node("Relu", ["n0"], ["r"], name="fine"))
    nodes.append(helper.make_node(inputs=["r"], outputs=["u"], name="after", **unknown))
    proto = model(nodes, X, [*(f"n{i}" for i in range(12)), "u"])
    with pytest.raises(UnsupportedNodesError) as caught:
        imported(proto)
    assert [e.node for e in caught.value.entries] == [*(f"bad{i}" for i in range(12)), "after"]
    assert str(caught.value).startswith("13 nodes cannot be converted:")
    assert str(caught.value).endswith("and 3 more")
    assert caught.value.code == "unsupported"


def test_what_no_output_needs_is_not_looked_at() -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["unused"]), helper.make_node("Relu", ["x"], ["out"])]
    assert [n.op for n in imported(model(nodes, X, ["out"])).nodes] == ["Relu"]


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (one_node("Relu", X, outputs=("a", "b")), "output 1"),
        (one_node("Relu", X, colour="blue"), "colour = 'blue' is not supported"),
        (one_node("Reshape", {**X, "s": np.ones(99, np.int64)}), "target shape depends on"),
        (one_node("Tile", {**X, "r": np.array([1, 2], np.uint64)}), "depends on the model's input data"),
        (
            one_node(
                "BatchNormalization",
                X,
                weights={n: random(3, low=0.1) for n in "sbmv"},
                opset=9,
                outputs=("out", "m1", "v1"),
            ),
            "training mode",
        ),
        (one_node("Squeeze", {"x": random(1, 3)}, shapes={"x": ["n", 3]}), "both are possible"),
    ],
)
def test_what_cannot_be_converted(proto: ModelProto, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message) as caught:
        imported(proto)
    assert caught.value.node == "node"


def test_attributes_without_a_type_are_read() -> None:
    proto = one_node("LeakyRelu", X, alpha=0.25)
    proto.graph.node[0].attribute[0].type = AttributeProto.UNDEFINED
    assert imported(proto).nodes[0].attrs["alpha"] == 0.25
