"""The ONNX node that each op of the IR stands for, to compare references with ONNX's own implementations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from pyruntime.ir.dtypes import DType, sums_exactly
from pyruntime.ops.codes import BYTES, code_of, decoded_to
from pyruntime.ops.definition import definition
from pyruntime.ops.recurrent import Recurrent
from tests.ops.digits import NATIVE, rows_of_numbers
from tests.ops.numerals import words_of_rows

Array = NDArray[Any]
Attrs = Mapping[str, Any]
Inputs = Sequence[Array | None]

OPSET = 24  # the first with Swish
FARTHEST = np.iinfo(np.int64).min


@dataclass(frozen=True)
class OnnxNode:
    """One application of an ONNX op, with all its inputs' elements."""

    op: str
    inputs: Inputs
    attrs: Attrs
    domain: str = ""
    opset: int = OPSET
    body: Sequence[onnx.NodeProto] = ()  # what stands for the op: nodes from x0, x1, ... to y0, ...


def _ints(values: Any) -> Array:
    return np.array(values, np.int64)


def _slice(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    starts, steps = _ints(attrs["starts"]), _ints(attrs["steps"])
    ends = starts + _ints(attrs["sizes"]) * steps
    ends = np.where(ends < 0, FARTHEST, ends)
    return OnnxNode("Slice", [*inputs, starts, ends, np.arange(len(starts)), steps], {})


def _pad(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    assert inputs[0] is not None
    pads, value = _ints([*attrs["before"], *attrs["after"]]), np.array(attrs["value"], inputs[0].dtype)
    return OnnxNode("Pad", [*inputs, pads, value], {"mode": attrs["mode"]})


def _parse_number(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """What casts of strings are to give, from the C library: no ONNX node has words."""
    assert inputs[0] is not None
    return OnnxNode("Identity", [words_of_rows(inputs[0], attrs["to"], attrs["odd"])], {})


def _format_number(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """What casts to strings are to give, by NumPy's digits: no ONNX node has bytes."""
    assert inputs[0] is not None
    (of,) = [d for d in NATIVE if np.finfo(NATIVE[d]).nmant + 1 == attrs["precision"]]
    return OnnxNode("Identity", [rows_of_numbers(inputs[0], of)], {})


def _permute(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    rows = _ints(attrs["order"]).reshape(len(attrs["shape"]), -1)
    return OnnxNode("Transpose", inputs, {"perm": rows.argmax(axis=1).tolist()})


def _with(input_of: str, **renamed: Any) -> Callable[[Inputs, Attrs], OnnxNode]:
    """An op one of whose attributes is an input in ONNX."""

    def translate(inputs: Inputs, attrs: Attrs) -> OnnxNode:
        return OnnxNode(renamed["op"], [*inputs, _ints(attrs[input_of])], renamed.get("attrs", {}))

    return translate


def _reduce(op: str) -> Callable[[Inputs, Attrs], OnnxNode]:
    def translate(inputs: Inputs, attrs: Attrs) -> OnnxNode:
        keep = {"keepdims": int(attrs["keepdims"]), "noop_with_empty_axes": 1}
        return OnnxNode(op, [*inputs, _ints(attrs["axes"])], keep)

    return translate


def _pool(op: str) -> Callable[[Inputs, Attrs], OnnxNode]:
    def translate(inputs: Inputs, attrs: Attrs) -> OnnxNode:
        others = {k: int(v) if isinstance(v, bool) else v for k, v in attrs.items() if k != "kernel"}
        return OnnxNode(op, inputs, {"kernel_shape": attrs["kernel"], **others})

    return translate


def _exact_matmul(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """Short integers of two dtypes or one are multiplied as int32."""
    a, b = inputs
    assert a is not None
    assert b is not None
    if not sums_exactly(DType(a.dtype.name), DType(b.dtype.name)):
        return OnnxNode("MatMul", inputs, attrs)
    body = [helper.make_node("Cast", [f"x{i}"], [f"t{i}"], to=onnx.TensorProto.INT32) for i in (0, 1)]
    return OnnxNode("MatMul", inputs, {}, body=[*body, helper.make_node("MatMul", ["t0", "t1"], ["y0"])])


def _conv(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """Short integers are padded first, and convolved in float32, which holds the sums exactly."""
    x, w, *_ = inputs
    assert x is not None
    assert w is not None
    others = {k: v for k, v in attrs.items() if k != "pad_value"}
    if x.dtype.kind == "f":
        return OnnxNode("Conv", inputs, others)
    assert np.abs(x).max(initial=0) * np.abs(w.astype(np.int64)).sum(axis=(1, 2)).max(initial=0) < 2**24
    rank = x.ndim - 2
    pads = _ints([0, 0, *others["pads"][:rank], 0, 0, *others["pads"][rank:]])
    body = [
        helper.make_node("Cast", ["x0"], ["t0"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Cast", ["x1"], ["t1"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Pad", ["t0", "x2", "x3"], ["t2"]),
        helper.make_node("Conv", ["t2", "t1"], ["t3"], **{k: v for k, v in others.items() if k != "pads"}),
        helper.make_node("Cast", ["t3"], ["y0"], to=onnx.TensorProto.INT32),
    ]
    return OnnxNode("Conv", [x, w, pads, np.array(attrs["pad_value"], np.float32)], {}, body=body)


def _one_hot(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    return OnnxNode("OneHot", [inputs[0], _ints(attrs["depth"]), inputs[1]], {"axis": attrs["axis"]})


def _range(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    start, step, size = attrs["start"], attrs["step"], attrs["size"]
    bounds = (start, start + step * size, step)
    return OnnxNode("Range", [np.array(b, attrs["dtype"].value) for b in bounds], {})


def _dim_tensor(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    return OnnxNode("Identity", [np.array(attrs["dims"], attrs["dtype"].value).reshape(attrs["shape"])], {})


def _cast(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    return OnnxNode("Cast", inputs, {"to": helper.np_dtype_to_tensor_dtype(np.dtype(attrs["to"].value))})


def _embedding(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """Gather from the weight and a row of zeros, which indices outside take."""
    weight, indices = inputs
    assert weight is not None
    assert indices is not None
    n = len(weight)
    taken = np.where((indices >= -n) & (indices < n), np.where(indices < 0, indices + n, indices), n)
    return OnnxNode("Gather", [np.concatenate([weight, np.zeros_like(weight[:1])]), taken], {"axis": 0})


def _cumulative(op: str, opset: int = OPSET) -> Callable[[Inputs, Attrs], OnnxNode]:
    def translate(inputs: Inputs, attrs: Attrs) -> OnnxNode:
        flags = {name: int(attrs[name]) for name in ("exclusive", "reverse")}
        return OnnxNode(op, [*inputs, _ints(attrs["axis"])], flags, opset=opset)

    return translate


def _attention(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """Spelled out, for any rank, with the keys' and values' heads repeated."""
    q, k, v, mask = (*inputs, None)[:4]
    assert q is not None
    repeated = [
        a.repeat(q.shape[-3] // a.shape[-3], axis=-3) if a is not None and a.ndim > 2 and q.shape[-3] else a
        for a in (k, v)
    ]
    assert repeated[0] is not None
    body: list[onnx.NodeProto] = []

    def emit(op: str, *names: str, **stated: Any) -> str:
        body.append(helper.make_node(op, names, [f"t{len(body)}"], **stated))
        return f"t{len(body) - 1}"

    def constant(value: Any, dtype: np.dtype[Any] = q.dtype) -> str:
        return emit("Constant", value=onnx.numpy_helper.from_array(np.asarray(value, dtype)))

    swapped = [*range(q.ndim - 2), q.ndim - 1, q.ndim - 2]
    score = emit("Mul", emit("MatMul", "x0", emit("Transpose", "x1", perm=swapped)), constant(attrs["scale"]))
    if attrs["softcap"]:
        cap = constant(attrs["softcap"])
        score = emit("Mul", emit("Tanh", emit("Div", score, cap)), cap)
    if mask is not None and mask.dtype == bool:
        score = emit("Where", "x3", score, constant(attrs["fill"]))
    elif mask is not None:
        score = emit("Add", score, "x3")
    if attrs["causal"]:
        m, n = q.shape[-2], repeated[0].shape[-2]
        seen = constant(np.tri(m, n, attrs["past"]), np.dtype(bool))
        score = emit("Where", seen, score, constant(-np.inf))
    weights = emit("Softmax", score, axis=-1)
    if attrs["safe"]:
        weights = emit("Where", emit("IsNaN", weights), constant(0), weights)
    body.append(helper.make_node("MatMul", [weights, "x2"], ["y0"]))
    return OnnxNode("Attention", [q, *repeated, mask], {}, body=body)


def _rotary_embedding(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """Spelled out: products, and a product with the matrix that turns pairs."""
    x, *angles = inputs
    assert x is not None
    width = x.shape[-1]
    pairs = np.arange(width).reshape((-1, 2) if attrs["interleaved"] else (2, -1))
    first, second = pairs.T if attrs["interleaved"] else pairs
    turn = np.zeros((width, width), x.dtype)
    turn[second, first], turn[first, second] = -1, 1
    whole = []
    for angle in angles:
        assert angle is not None
        place = np.empty(width, np.int64)
        place[first] = place[second] = np.arange(width // 2)
        whole.append(angle if angle.shape[-1] == width else angle[..., place])
    body = [
        helper.make_node("MatMul", ["x0", "x3"], ["turned"]),
        helper.make_node("Mul", ["x0", "x1"], ["left"]),
        helper.make_node("Mul", ["turned", "x2"], ["right"]),
        helper.make_node("Add", ["left", "right"], ["y0"]),
    ]
    return OnnxNode("RotaryEmbedding", [x, *whole, turn], {}, body=body)


def _recurrent(op: str) -> Callable[[Inputs, Attrs], OnnxNode]:
    """With the identity as input weights, and with a bias for what is added to a recurrent product alone."""

    def translate(inputs: Inputs, attrs: Attrs) -> OnnxNode:
        padded: list[Array | None] = [*inputs, *[None] * (6 - len(inputs))]
        x, weights, lengths, *others = padded
        assert x is not None
        assert weights is not None
        directions, rows, units = weights.shape
        definition_ = definition(op)
        assert isinstance(definition_, Recurrent)
        functions = [a for chosen in definition_.activations(attrs) for a in chosen]
        direction = "bidirectional" if directions > 1 else "reverse" if attrs["reverse"][0] else "forward"
        given: dict[str, Any] = {
            "hidden_size": units,
            "direction": direction,
            "activations": [a.name for a in functions],
            "activation_alpha": [a.alpha for a in functions if a.alpha is not None],
            "activation_beta": [a.beta for a in functions if a.beta is not None],
            **{k: int(v) for k, v in attrs.items() if isinstance(v, bool)},
        }
        if attrs["clip"] is not None:
            given["clip"] = attrs["clip"]
        identity = np.eye(directions * rows, dtype=x.dtype).reshape(directions, rows, -1)
        states, bias = others[: definition_.states], None
        extra = others[definition_.states :]
        if op == "GRU" and extra[0] is not None:
            bias, extra = np.zeros((directions, 2 * rows), x.dtype), []
            bias[:, -units:] = others[1]
        all_inputs = [x, identity, weights, bias, lengths, *states, *extra]
        return OnnxNode(op, all_inputs, {k: v for k, v in given.items() if v != []}, opset=14)

    return translate


def _dequantize(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """Scales that broadcast are a vector along the first axis."""
    x, scale, *_ = inputs
    assert scale is not None
    if not scale.shape:
        return OnnxNode("DequantizeLinear", inputs, {})
    flat = [None if p is None else p.reshape(-1) for p in inputs[1:]]
    return OnnxNode("DequantizeLinear", [x, *flat], {"axis": 0})


def _quantize(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    return OnnxNode("QuantizeLinear", _dequantize(inputs, attrs).inputs, _dequantize(inputs, attrs).attrs)


def _positions(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """-1 stands for the last of one element more."""
    (x,) = inputs
    assert x is not None
    blank, numbers = np.zeros(attrs["count"] + 1, np.int32), np.arange(x.size, dtype=np.int32)
    body = [
        helper.make_node("ScatterElements", ["x0", "x1", "x2"], ["all"]),
        helper.make_node("Slice", ["all", "x3", "x4"], ["y0"]),
    ]
    ends = _ints([0]), _ints([attrs["count"]])
    return OnnxNode("ScatterElements", [blank, x.astype(np.int64), numbers, *ends], {}, body=body)


def _arg_sort(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """By the ranks of the elements, which are one number: of the tuple that an item is."""
    (x,) = inputs
    assert x is not None
    ranks = np.unique(x, return_inverse=True)[1].reshape(x.shape).astype(np.int64)
    keys = (ranks * (x.size + 1) ** np.arange(x.shape[2])[::-1]).sum(axis=2)
    body = [
        helper.make_node("TopK", ["x0", "x1"], ["unused", "all"], largest=int(attrs["descending"])),
        helper.make_node("Cast", ["all"], ["y0"], to=onnx.TensorProto.INT32),
    ]
    return OnnxNode("TopK", [keys, _ints([attrs["count"]])], {}, body=body)


def _suppress_boxes(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """The selected boxes, written to their places after those of their image and class."""
    boxes, scores, thresholds = inputs
    assert scores is not None
    assert thresholds is not None
    lowest = thresholds[1:] if attrs["bounded"] else None
    given = [boxes, scores, _ints([attrs["most"]]), thresholds[:1], lowest]
    node = OnnxNode("NonMaxSuppression", given, {"center_point_box": int(attrs["centred"])})
    made = run_onnxruntime(node, [np.dtype(np.int64)])
    assert made is not None
    (rows,) = made
    blank = np.full((*scores.shape[:2], attrs["most"]), -1, np.int32)
    before = [int((rows[:i, :2] == row[:2]).all(axis=1).sum()) for i, row in enumerate(rows)]
    at = np.column_stack([rows[:, :2], np.array(before, np.int64)])
    return OnnxNode("ScatterND", [blank, at, rows[:, 2].astype(np.int32)], {})


def _scatter(op: str) -> Callable[[Inputs, Attrs], OnnxNode]:
    return lambda inputs, attrs: OnnxNode(op, inputs, {k: v for k, v in attrs.items() if k != "distinct"})


def _enum(dtype: DType) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype.value))


def _bit_cast(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    return OnnxNode("BitCast", inputs, {"to": _enum(attrs["to"])}, opset=26)


def _decode(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """The bits as the type, and that as one that all can read."""
    codes, to = attrs["dtype"], _enum(decoded_to(attrs["dtype"]))
    body = [
        helper.make_node("BitCast" if codes.width >= 8 else "Cast", ["x0"], ["element"], to=_enum(codes)),
        helper.make_node("Cast", ["element"], ["y0"], to=to),
    ]
    return OnnxNode("Decode", inputs, {}, opset=26, body=body)


def _encode(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    codes = attrs["dtype"]
    how: dict[str, Any] = {"saturate": int(attrs["saturate"])} if codes in BYTES else {}
    if codes is DType.F8E8M0:
        how["round_mode"] = attrs["round_mode"]
    body = [
        helper.make_node("Cast", ["x0"], ["element"], to=_enum(codes), **how),
        helper.make_node(
            "BitCast" if codes.width >= 8 else "Cast", ["element"], ["y0"], to=_enum(code_of(codes))
        ),
    ]
    return OnnxNode("Encode", inputs, {}, opset=26, body=body)


def _block_matmul(inputs: Inputs, attrs: Attrs) -> OnnxNode:
    levels = inputs[1]
    assert levels is not None
    named = {"K": attrs["k"], "N": len(levels), "bits": attrs["bits"], "block_size": attrs["block"]}
    return OnnxNode("MatMulNBits", inputs, named, "com.microsoft")


# ops that differ from the ONNX op of their name in more than bools for ints
TRANSLATIONS: Mapping[str, Callable[[Inputs, Attrs], OnnxNode]] = {
    "ArgSort": _arg_sort,
    "Attention": _attention,
    "AveragePool": _pool("AveragePool"),
    "Binarizer": lambda inputs, attrs: OnnxNode("Binarizer", inputs, attrs, "ai.onnx.ml"),
    "BitCast": _bit_cast,
    "BlockMatMul": _block_matmul,
    "Cast": _cast,
    "Conv": _conv,
    "CumProd": _cumulative("CumProd", 26),
    "CumSum": _cumulative("CumSum"),
    "Decode": _decode,
    "Dequantize": _dequantize,
    "DimTensor": _dim_tensor,
    "Embedding": _embedding,
    "Encode": _encode,
    **{op: _recurrent(op) for op in ("LSTM", "GRU", "RNN")},
    "Expand": _with("shape", op="Expand"),
    "MatMul": _exact_matmul,
    "MaxPool": _pool("MaxPool"),
    "Measure": lambda inputs, _: OnnxNode("Reshape", [*inputs, _ints([])], {}),
    "OneHot": _one_hot,
    "Pad": _pad,
    "FormatNumber": _format_number,
    "ParseNumber": _parse_number,
    "Permute": _permute,
    "Positions": _positions,
    "Quantize": _quantize,
    "Range": _range,
    **{op: _reduce(op) for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")},
    "Reshape": _with("shape", op="Reshape", attrs={"allowzero": 1}),
    "RotaryEmbedding": _rotary_embedding,
    **{op: _scatter(op) for op in ("ScatterElements", "ScatterND")},
    "Slice": _slice,
    "SuppressBoxes": _suppress_boxes,
    "Tile": _with("repeats", op="Tile"),
}


def translate(op: str, inputs: Inputs, attrs: Attrs) -> OnnxNode:
    """The ONNX node for an op with all attributes; dims are integers."""
    if op in TRANSLATIONS:
        return TRANSLATIONS[op](inputs, attrs)
    plain = {k: int(v) if isinstance(v, bool) else v for k, v in attrs.items()}
    return OnnxNode(op, inputs, {k: v for k, v in plain.items() if v != ()})


def model_of(node: OnnxNode, outputs: Sequence[np.dtype[Any]]) -> onnx.ModelProto:
    """A model of the one node, whose outputs have these dtypes."""
    present = [i for i, a in enumerate(node.inputs) if a is not None]
    # absent inputs at the end are left out: onnxruntime crashes on an empty last name in LayerNormalization
    last = max(present, default=-1) + 1
    names = [f"x{i}" if i in present else "" for i in range(last)]
    results = [f"y{i}" for i in range(len(outputs))]
    graph = helper.make_graph(
        node.body or [helper.make_node(node.op, names, results, domain=node.domain, **node.attrs)],
        node.op,
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in zip(names, node.inputs[:last], strict=True)
            if a is not None
        ],
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(d), None)
            for n, d in zip(results, outputs, strict=True)
        ],
    )
    return helper.make_model(
        graph,
        opset_imports=[
            *(helper.make_opsetid(*o) for o in (("", node.opset), ("ai.onnx.ml", 3), ("com.microsoft", 1)))
        ],
        ir_version=10,
    )


def feeds_of(node: OnnxNode) -> dict[str, Array]:
    """The model's inputs by name."""
    return {f"x{i}": a for i, a in enumerate(node.inputs) if a is not None}


def run_onnxruntime(node: OnnxNode, outputs: Sequence[np.dtype[Any]]) -> list[Array] | None:
    """What onnxruntime gives, or None where it has no kernel for the op and dtypes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model_of(node, outputs).SerializeToString(), options)
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return None
    return list(session.run(None, feeds_of(node)))


def run_reference(node: OnnxNode, outputs: Sequence[np.dtype[Any]]) -> list[Array]:
    """What ONNX's own reference evaluator gives."""
    with np.errstate(all="ignore"):
        return [np.asarray(a) for a in ReferenceEvaluator(model_of(node, outputs)).run(None, feeds_of(node))]
