"""Numbers and bools that are written as strings, and read from them, on each device."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper

from pyruntime import load
from pyruntime.ir.dtypes import DType
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, model, one_node, run, runtime, same
from tests.frontends.string_models import drawn, strings
from tests.kernels.cases_digits import all_of, patterns
from tests.ops.digits import text_of

node = helper.make_node
STRING = TensorProto.STRING


@pytest.mark.parametrize("device", DEVICES)
def test_integers_are_written(device: Device, tmp_path: Any) -> None:
    feeds: dict[str, Array] = {}
    for dtype in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"):
        limits = np.iinfo(dtype)
        if device == "webgpu" and limits.bits == 64:
            limits = np.iinfo("int32" if limits.min else "uint32")
        values = [0, 7, 10, 99, limits.min, limits.max, limits.min // 3, limits.max // 7]
        feeds[dtype] = np.array(values, dtype)
    names = {dtype: f"{dtype}_out" for dtype in feeds}
    proto = model([node("Cast", [d], [n], to=STRING) for d, n in names.items()], feeds, [*names.values()])
    made = on_device(proto, feeds, device, tmp_path)
    same(made, {n: feeds[d].astype(str).astype(object) for d, n in names.items()})


@pytest.mark.parametrize("device", DEVICES)
def test_bools_are_written(device: Device, tmp_path: Any) -> None:
    """As ONNX's reference writes them; ONNX Runtime has 0 and 1."""
    feeds = {"x": np.array([[True, False, True]])}
    made = on_device(one_node("Cast", feeds, to=STRING), feeds, device, tmp_path)
    same(made, {"out": strings("True", "False", "True").reshape(1, 3)})


@pytest.mark.parametrize("device", DEVICES)
def test_floats_are_written(device: Device, tmp_path: Any) -> None:
    """The fewest digits that are read back, as Python and NumPy have them, for bits of all kinds."""
    feeds = {
        "half": all_of(DType.F16)[::9].astype(np.float16),
        "single": patterns(DType.F32, 2000).reshape(-1, 5),
        "double": patterns(DType.F64, 2000),
        "scalar": np.array(-0.1),
    }
    names = {n: f"{n}_out" for n in feeds}
    nodes = [node("Cast", [d], [n], to=STRING) for d, n in names.items()]
    proto = model(nodes, feeds, [*names.values()], shapes={"double": ["n"]})
    made = on_device(proto, feeds, device, tmp_path)
    for name, array in feeds.items():
        dtype = DType(array.dtype.name)
        wanted = np.array([text_of(v, dtype) for v in array.flat], object).reshape(array.shape)
        same({name: made[names[name]]}, {name: wanted})
    with load(tmp_path / "model.pack", device=device) as session:
        assert session.run(feeds | {"double": np.zeros(0)})["double_out"].shape == (0,)


def test_short_floats_and_integers_are_written() -> None:
    x = np.array([0.1, 448, -1.5, np.nan]).astype(ml_dtypes.float8_e4m3fn)
    like = one_node("CastLike", {"x": x}, opset=21, weights={"t": strings("a")}, inputs=["x", "t"])
    assert run(like, {"x": x})["out"].tolist() == ["0.1", "450.0", "-1.5", "NaN"]
    y = np.array([1e-3, 3.140625, 1e30]).astype(ml_dtypes.bfloat16)
    assert run(one_node("Cast", {"x": y}, to=STRING), {"x": y})["out"].tolist() == ["0.001", "3.14", "1e+30"]
    z = np.array([-8, 7]).astype(ml_dtypes.int4)
    assert run(one_node("Cast", {"x": z}, opset=21, to=STRING), {"x": z})["out"].tolist() == ["-8", "7"]


def test_cast_of_strings_to_strings() -> None:
    x = drawn(3)
    np.testing.assert_array_equal(run(one_node("Cast", {"x": x}, to=STRING), {"x": x})["out"], x)


@pytest.mark.parametrize("device", DEVICES)
def test_bools_are_read(device: Device, tmp_path: Any) -> None:
    """Integers as ONNX Runtime reads them; numbers as casts through numbers do; bools as they are written."""
    integers = strings("0", "1", "-1", "12", "00", " 7", "-0")
    feeds = {"x": integers, "y": strings("0.0", "0.5", "1e-400", "nan", "False", "True", "", "abc", "false")}
    nodes = [node("Cast", [n], [f"{n}_out"], to=TensorProto.BOOL) for n in feeds]
    proto = model(nodes, feeds, ["x_out", "y_out"])
    made = on_device(proto, feeds, device, tmp_path)
    alone = one_node("Cast", {"x": integers}, to=TensorProto.BOOL)
    same({"out": made["x_out"]}, runtime(alone, {"x": integers}))
    assert made["y_out"].tolist() == [False, True, True, True, False, True, False, True, False]


@pytest.mark.parametrize("device", DEVICES)
def test_numbers_are_read(device: Device, tmp_path: Any) -> None:
    """Of strings that are fed, split and constant: as ONNX Runtime reads them, in all of its types."""
    rng = np.random.default_rng(0)
    numbers = [
        *rng.standard_normal(9),
        *rng.uniform(-1e4, 1e4, 9),
        0.1,
        -0.0,
        65504,
        2.0**-24,
        2.0**-149,
        1e30,
    ]
    fed = strings(*map(str, numbers), "inf", "-INF", "+Infinity", "NaN", " 1.5\t", "1e-3", "+.5E1", "7.")
    whole = strings("0", "-7", " +12 ", "100", "00099")
    names = {"f": "FLOAT", "d": "DOUBLE", "h": "FLOAT16"}
    kinds = [f"{sign}INT{bits}" for bits in (8, 16, 32, 64) for sign in ("", "U")]
    nodes = [
        node("StringConcat", ["w", "blank"], ["joined"]),
        node("StringSplit", ["joined"], ["parts", "counts"], delimiter=";"),
        *(node("Cast", ["x"], [n], to=getattr(TensorProto, kind)) for n, kind in names.items()),
        *(node("Cast", ["w"], [k], to=getattr(TensorProto, k)) for k in kinds if k.startswith("I")),
        *(node("Cast", ["positive"], [k], to=getattr(TensorProto, k)) for k in kinds if k.startswith("U")),
        node("Cast", ["parts"], ["split"], to=TensorProto.INT32),
        node("Cast", ["constant"], ["folded"], to=TensorProto.FLOAT),
    ]
    weights = {"blank": strings(" ; 3"), "constant": strings("3.5", "-1e9")}
    feeds: dict[str, Array] = {
        "x": fed,
        "w": whole,
        "positive": np.array([w.replace("-", "") for w in whole], object),
    }
    shapes = {n: [f"n_{n}"] for n in feeds}
    outputs = [*names, *kinds, "split", "folded"]
    proto = model(nodes, feeds, outputs, opset=20, weights=weights, shapes=shapes)
    made, wanted = on_device(proto, feeds, device, tmp_path), runtime(proto, feeds)
    for name in outputs:
        np.testing.assert_array_equal(made[name], wanted[name], err_msg=name)  # the very bits, NaN apart


def test_what_is_no_number() -> None:
    """NaN, or an integer type's least, also where ONNX Runtime reads the beginning."""
    x = strings("", "abc", "1_0", "1,5", "0x10", "1 2", "--1", "٣")
    for to, none in ((TensorProto.FLOAT, np.nan), (TensorProto.FLOAT16, np.nan), (TensorProto.INT8, -128)):
        made = run(one_node("Cast", {"x": x}, to=to), {"x": x})["out"]
        np.testing.assert_array_equal(made, np.full(len(x), none, made.dtype))
    y = strings("127", "128", "-129", "1.5", "1e1")
    assert run(one_node("Cast", {"x": y}, to=TensorProto.INT8), {"x": y})["out"].tolist() == [
        127,
        *[-128] * 4,
    ]
    z = strings("7", "8", "-9", "-8")
    like = one_node(
        "CastLike", {"x": z}, opset=21, weights={"t": np.zeros(1, ml_dtypes.int4)}, inputs=["x", "t"]
    )
    assert run(like, {"x": z})["out"].astype(int).tolist() == [7, -8, -8, -8]


def test_numbers_of_16_bits_are_rounded_once() -> None:
    """Just above a midpoint of bfloat16, which float32 does not tell from it."""
    x = strings("1.00390625", "1.003906250000000000001", "1.00390624999999999999", "-1.003906250000000001")
    made = run(one_node("Cast", {"x": x}, to=TensorProto.BFLOAT16), {"x": x})["out"]
    assert made.astype(float).tolist() == [1, 1.0078125, 1, -1.0078125]
