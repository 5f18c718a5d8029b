"""Small models of operators of which the suite has none to retype, in ONNX's text form.

A name of the schema's type parameters after `$` stands for one of the types that it allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from string import Template

import onnx.parser
from onnx import ModelProto, TensorProto
from onnx.defs import OpSchema

_HEAD = '<ir_version: 11, opset_import: ["": $opset, "ai.onnx.ml": 5, "ai.onnx.preview.training": 1]>\n'
_COMMON = (
    "float",
    "int64",
    "string",
    "bool",
)  # what a parameter is that is not asked about, the first it allows
_VECTORS = "vectors_per_class=[1, 1], support_vectors=[0.5, 1.0, 2.0, 3.0], coefficients=[1.0, -1.0]"
_IN_TURN = "s = SequenceConstruct(x, x)"

MODELS: dict[str, str] = {
    "GlobalLpPool": "g ($T[1, 2, 4, 4] x) => (y) { y = GlobalLpPool(x) }",
    "MaxRoiPool": """g ($T[1, 2, 6, 6] x, $T[1, 5] rois) => (y) {
        y = MaxRoiPool<pooled_shape=[2, 2]>(x, rois) }""",
    "Multinomial": "g ($T1[2, 3] x) => ($T2[2, 4] y) { y = Multinomial<sample_size=4, dtype=#T2>(x) }",
    "RandomNormal": "g () => ($T[2, 3] y) { y = RandomNormal<shape=[2, 3], dtype=#T>() }",
    "RandomUniform": "g () => ($T[2, 3] y) { y = RandomUniform<shape=[2, 3], dtype=#T>() }",
    "RandomNormalLike": "g ($T1[2, 3] x) => ($T2[2, 3] y) { y = RandomNormalLike<dtype=#T2>(x) }",
    "RandomUniformLike": "g ($T1[2, 3] x) => ($T2[2, 3] y) { y = RandomUniformLike<dtype=#T2>(x) }",
    "Pad": """g ($T[2, 3, 4] x) => (y) {
        pads = Constant<value_ints=[1, 0, 1, 2]>() axes = Constant<value=@Tind>()
        y = Pad(x, pads, "", axes) }""",
    "NonMaxSuppression": """g (float[1, 6, 4] boxes, float[1, 1, 6] scores) => (y) {
        most = Constant<value_ints=[3]>()
        y = NonMaxSuppression(boxes, scores, most) }""",
    "StringNormalizer": 'g (string[3] x) => (y) { y = StringNormalizer<stopwords=["a"]>(x) }',
    # of another width the type changes, too
    "BitCast": "g ($T1[2, 4] x) => (y) { y = BitCast<to=#T1>(x) }",
    "If": """g ($B c, $V[2] x, $V[2] z) => ($V[2] y) { y = If(c)<
        then_branch = a () => ($V[2] p) { p = Identity(x) },
        else_branch = b () => ($V[2] q) { q = Identity(z) }> }""",
    "Loop": """g ($I most, $B go, $V[2] x) => ($V[2] y) { y = Loop(most, go, x)<
        body = b (int64 i, bool c, $V[2] p) => (bool d, $V[2] q) { d = Identity(c) q = Identity(p) }> }""",
    "Scan": """g ($V[2] s, $V[3, 2] x) => ($V[2] t, $V[3, 2] y) { t, y = Scan(s, x)<num_scan_inputs = 1,
        body = b ($V[2] p, $V[2] q) => ($V[2] u, $V[2] v) { u = Identity(q) v = Identity(p) }> }""",
    "Optional": "g ($V[2] x) => (y) { o = Optional(x) y = OptionalGetElement(o) }",
    "SequenceConstruct": f"g ($T[2] x) => (y) {{ {_IN_TURN} y = ConcatFromSequence<axis=0>(s) }}",
    "ConcatFromSequence": f"g ($S[2] x) => (y) {{ {_IN_TURN} y = ConcatFromSequence<axis=0>(s) }}",
    "SequenceAt": f"g ($S[2] x) => (y) {{ {_IN_TURN} i = Constant<value_int=1>() y = SequenceAt(s, i) }}",
    "SequenceEmpty": """g ($S[2] x) => (y) {
        s = SequenceEmpty<dtype=#S>() t = SequenceInsert(s, x) y = ConcatFromSequence<axis=0>(t) }""",
    "SequenceErase": f"""g ($S[2] x) => (y) {{
        {_IN_TURN} t = SequenceErase(s) y = ConcatFromSequence<axis=0>(t) }}""",
    "SequenceInsert": f"""g ($S[2] x) => (y) {{
        {_IN_TURN} t = SequenceInsert(s, x) y = ConcatFromSequence<axis=0>(t) }}""",
    "SequenceLength": f"g ($S[2] x) => (y) {{ {_IN_TURN} y = SequenceLength(s) }}",
    "SequenceMap": f"""g ($S[2] x, $V[2] z) => (y) {{
        {_IN_TURN}
        t = SequenceMap(s, z)<body = b ($S[2] p, $V[2] q) => ($S[2] r) {{ r = Identity(p) }}>
        y = ConcatFromSequence<axis=0>(t) }}""",
    "ai.onnx.preview.training.Gradient": """g ($T1[2] x) => (d) {
        y = Mul(x, x) d = ai.onnx.preview.training.Gradient<xs=["x"], y="y">(x) }""",
    "ai.onnx.ml.CastMap": "g (map(int64, float) x) => ($T2[1, 2] y) { y = ai.onnx.ml.CastMap(x) }",
    "ai.onnx.ml.DictVectorizer": """g (map(int64, $T2) x) => ($T2[1, 2] y) {
        y = ai.onnx.ml.DictVectorizer<int64_vocabulary=[1, 2]>(x) }""",
    "ai.onnx.ml.CategoryMapper": """g ($T1[3] x) => ($T2[3] y) {
        y = ai.onnx.ml.CategoryMapper<cats_int64s=[1, 2], cats_strings=["a", "b"]>(x) }""",
    "ai.onnx.ml.FeatureVectorizer": """g ($T1[3, 2] x) => (y) {
        y = ai.onnx.ml.FeatureVectorizer<inputdimensions=[2]>(x) }""",
    "ai.onnx.ml.Imputer": """g ($T[3, 2] x) => (y) {
        y = ai.onnx.ml.Imputer<imputed_value_floats=[1.0], replaced_value_float=2.0,
                               imputed_value_int64s=[1], replaced_value_int64=2>(x) }""",
    "ai.onnx.ml.LabelEncoder": """g ($T1[3] x) => ($T2[3] y) {
        y = ai.onnx.ml.LabelEncoder<keys_tensor=@T1, values_tensor=@T2, default_tensor=!T2>(x) }""",
    "ai.onnx.ml.LinearClassifier": """g ($T1[3, 2] x) => ($T2[3] y, float[3, 2] z) {
        y, z = ai.onnx.ml.LinearClassifier<coefficients=[1.0, 2.0, 3.0, 4.0], &T2>(x) }""",
    "ai.onnx.ml.LinearRegressor": """g ($T[3, 2] x) => (y) {
        y = ai.onnx.ml.LinearRegressor<coefficients=[1.0, 2.0], intercepts=[0.5]>(x) }""",
    "ai.onnx.ml.Normalizer": """g ($T[3, 2] x) => (y) { y = ai.onnx.ml.Normalizer<norm="L2">(x) }""",
    "ai.onnx.ml.OneHotEncoder": """g ($T[3] x) => (y) {
        y = ai.onnx.ml.OneHotEncoder<cats_int64s=[1, 2], cats_strings=["a", "b"]>(x) }""",
    "ai.onnx.ml.Scaler": "g ($T[3, 2] x) => (y) { y = ai.onnx.ml.Scaler<scale=[2.0], offset=[1.0]>(x) }",
    "ai.onnx.ml.SVMClassifier": f"""g ($T1[3, 2] x) => ($T2[3] y, float[3, 2] z) {{
        y, z = ai.onnx.ml.SVMClassifier<{_VECTORS}, rho=[0.5], &T2>(x) }}""",
    "ai.onnx.ml.SVMRegressor": """g ($T[3, 2] x) => (y) {
        y = ai.onnx.ml.SVMRegressor<n_supports=1, support_vectors=[0.5, 1.0], coefficients=[1.0]>(x) }""",
    "ai.onnx.ml.ZipMap": "g (float[3, 2] x) => (y) { y = ai.onnx.ml.ZipMap<classlabels_int64s=[1, 2]>(x) }",
    "TfIdfVectorizer": """g ($T[6] x) => (y) {
        y = TfIdfVectorizer<mode="TF", min_gram_length=1, max_gram_length=1, max_skip_count=0,
                            ngram_counts=[0], ngram_indexes=[0, 1], %T>(x) }""",
}


def written(name: str, schema: OpSchema, parameter: str, dtype: str) -> ModelProto | None:
    """The model of an operator with this type for `parameter`; None where it has no such tensor.

    Raises KeyError for an operator without a model here.
    """
    if not _has(MODELS[name], parameter):
        return None
    bound = {c.type_param_str: _first(c.allowed_type_strs) for c in schema.type_constraints}
    bound[parameter] = dtype
    if name.startswith("ai.onnx.ml.CategoryMapper"):  # one is the other's opposite
        other = {"T1": "T2", "T2": "T1"}[parameter]
        bound[other] = "string" if dtype == "int64" else "int64"
    return onnx.parser.parse_model(_filled(_HEAD + MODELS[name], bound))


def _has(text: str, parameter: str) -> bool:
    """Whether a model names a parameter, or takes a tensor of the type that is written out instead."""
    written_out = plain(parameter)
    return bool(
        re.search(rf"[$#@!&%]{parameter}\b", text) if written_out is None else f"{written_out}[" in text
    )


def plain(kind: str) -> str | None:
    """The element type of a tensor, or of a sequence of them, as `float` of `seq(tensor(float))`."""
    inner = kind.removeprefix("seq(").removeprefix("tensor(")
    return None if inner == kind or "(" in inner else inner.rstrip(")")


def _first(kinds: Iterable[str]) -> str:
    found = {p for k in kinds if (p := plain(k)) is not None}
    return next((c for c in _COMMON if c in found), min(found, default=""))


def _filled(text: str, bound: Mapping[str, str]) -> str:
    """The text with types, their numbers (#), tensors of two (@) and one (!), labels (&) and a pool (%)."""
    for parameter, dtype in bound.items():
        strings = dtype == "string"
        one, two = ('"a"', '"a", "b"') if strings else ("1", "1, 2")
        for mark, meant in {
            "#": str(number(dtype)) if dtype else "",
            "@": f"{dtype}[2] {{{two}}}",
            "!": f"{dtype}[1] {{{one}}}",
            "&": f"classlabels_{'strings' if strings else 'ints'}=[{two}]",
            "%": f"pool_{'strings' if strings else 'int64s'}=[{two}]",
        }.items():
            text = re.sub(rf"{mark}{parameter}\b", meant, text)
    return Template(text).substitute(bound, opset=onnx.defs.onnx_opset_version())


def number(dtype: str) -> int:
    """The number of an element type in TensorProto."""
    return int(TensorProto.DataType.Value({"float": "FLOAT", "double": "DOUBLE"}.get(dtype, dtype.upper())))
