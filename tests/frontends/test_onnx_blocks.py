"""Weights of 4 and 8 bits in blocks, as ONNX Runtime writes them, give what it gives, and stay that small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

import pyruntime
from pyruntime.errors import ModelError, UnsupportedError
from pyruntime.ops.blocks import to_bytes
from pyruntime.pack.reader import Pack
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import agrees, imported, model, random, runtime, same

Array = NDArray[Any]
MICROSOFT = {"com.microsoft": 1}


def levels(bits: int, *shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 1 << bits, shape, np.uint8)


def scales(*shape: int) -> Array:
    return random(*shape, seed=5, low=-0.1, high=0.1)


def nbits(
    rows: tuple[int | str, ...],
    k: int,
    n: int,
    bits: int = 4,
    block: int = 32,
    zeros: str = "",
    *,
    dtype: Any = np.float32,
    fed: bool = False,
    bias: bool = False,
    groups: Array | None = None,
    **attrs: Any,
) -> tuple[ModelProto, dict[str, Array]]:
    """A MatMulNBits and its feeds; zero points in bytes, or as floats; `fed` are the weights, too.

    A row's name is a symbol, fed as 3.
    """
    blocks = -(-k // block)
    weights = {
        "b": to_bytes(levels(bits, n, blocks, block), bits),
        "scales": scales(n * blocks).astype(dtype),
    }
    places = levels(bits, n, blocks, seed=1)
    optional = {
        "zeros": {"bytes": to_bytes(places, bits).ravel(), "floats": places.astype(dtype)}.get(zeros),
        "groups": groups,
        "bias": random(n, seed=3).astype(dtype) if bias else None,
    }
    weights |= {name: array for name, array in optional.items() if array is not None}
    feeds = {"a": random(*(3 if isinstance(r, str) else r for r in rows), k).astype(dtype)}
    names = ["a", "b", "scales", *(name if name in weights else "" for name in optional)]
    while not names[-1]:
        names.pop()
    sizes: dict[str, Any] = {"K": k, "N": n, "bits": bits, "block_size": block}
    node = helper.make_node(
        "MatMulNBits", names, ["y"], name="node", domain="com.microsoft", **sizes, **attrs
    )
    given = {**feeds, **weights} if fed else feeds
    proto = model(
        [node],
        given,
        ["y"],
        opset=21,
        weights={} if fed else weights,
        shapes={"a": [*rows, k]},
        domains=MICROSOFT,
        ir_version=10,
    )
    return proto, given


@pytest.mark.parametrize(("bits", "zeros"), [(4, ""), (4, "bytes"), (4, "floats"), (8, ""), (8, "bytes")])
@pytest.mark.parametrize(("k", "n", "block"), [(32, 5, 16), (50, 16, 32), (129, 7, 128), (300, 9, 256)])
def test_products(bits: int, zeros: str, k: int, n: int, block: int) -> None:
    """Depths that are no multiple of the block, odd columns, one row and more."""
    for rows in ((1,), (2, 3)):
        proto, feeds = nbits(rows, k, n, bits, block, zeros, bias=n == 9, accuracy_level=1)
        agrees(proto, feeds)
        assert "BlockMatMul" in [node.op for node in imported(proto).nodes]


@pytest.mark.parametrize("zeros", ["", "bytes", "floats"])
def test_levels_of_two_bits(zeros: str) -> None:
    """Are stored in four."""
    proto, feeds = nbits((3,), 75, 6, 2, zeros=zeros)
    agrees(proto, feeds)
    assert "BlockMatMul" in [node.op for node in imported(proto).nodes]


def test_half_precision() -> None:
    """Computed in float32 and rounded once."""
    proto, feeds = nbits((3,), 64, 6, zeros="bytes", dtype=np.float16, bias=True)
    agrees(proto, feeds, 2e-3)


def test_blocks_in_order_need_no_index() -> None:
    in_order = np.arange(64, dtype=np.int32) // 32
    proto, feeds = nbits((3,), 64, 6, groups=in_order)
    plain, _ = nbits((3,), 64, 6)
    same(runtime(plain, feeds), runtime(proto, feeds))
    agrees(proto, feeds)
    with pytest.raises(UnsupportedError, match="g_idx"):
        imported(nbits((3,), 64, 6, groups=in_order[::-1].copy())[0])


def test_refusals() -> None:
    with pytest.raises(UnsupportedError, match="2 bits are known at run time only"):
        imported(nbits((3,), 64, 6, bits=2, fed=True)[0])
    with pytest.raises(ModelError, match="block_size 24"):
        imported(nbits((3,), 64, 6, block=24)[0])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("bits", "zeros"), [(4, ""), (8, "bytes")])
def test_on_devices(device: Device, bits: int, zeros: str, tmp_path: Path) -> None:
    """Few rows and many; the weights of the pack are no larger than the model's, up to whole panels."""
    proto, feeds = nbits(("rows",), 131, 41, bits, 32, zeros)
    halves = on_device(proto, feeds, device, tmp_path, weights="f16")  # scales and zero points
    same(halves, runtime(proto, feeds), 2e-3)
    same(on_device(proto, feeds, device, tmp_path), runtime(proto, feeds), 2e-5)
    with pyruntime.load(tmp_path / "model.pack", device=device) as session:
        for rows in (1, 17, 64):
            feeds = {"a": random(rows, 131, seed=rows)}
            same(dict(session.run(feeds)), runtime(proto, feeds), 2e-5)
    with Pack(tmp_path / "model.pack") as pack:
        words = [t for t in pack.manifest.weights.tensors if t.layout.startswith("levels")]
        assert [t.bytes for t in words] == [48 * 131 * bits // 8]


@pytest.mark.parametrize("device", DEVICES)
def test_weights_that_a_run_brings(device: Device, tmp_path: Path) -> None:
    """Are spelled out, and do the same."""
    proto, feeds = nbits((3,), 50, 9, zeros="bytes", fed=True)
    same(on_device(proto, feeds, device, tmp_path), runtime(proto, feeds), 2e-5)


def table(bits: int, block: int, zeros: bool, k: int = 96) -> tuple[ModelProto, dict[str, Array]]:
    """A GatherBlockQuantized with a table of 11 rows, and its feeds."""
    blocks = -(-k // block)
    weights = {"t": to_bytes(levels(bits, 11, k), bits), "s": scales(11, blocks)}
    if zeros:
        weights["z"] = to_bytes(levels(bits, 11, blocks, seed=1), bits)
    feeds = {"i": np.array([[0, 3, 10], [7, 7, 1]])}
    names = ["t", "i", *list(weights)[1:]]
    axes: dict[str, Any] = {"gather_axis": 0, "quantize_axis": 1, "block_size": block, "bits": bits}
    node = helper.make_node("GatherBlockQuantized", names, ["y"], name="node", domain="com.microsoft", **axes)
    return model([node], feeds, ["y"], opset=21, weights=weights, domains=MICROSOFT, ir_version=10), feeds


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize(("bits", "block"), [(4, 16), (4, 128), (8, 32)])
def test_tables(bits: int, block: int, zeros: bool) -> None:
    agrees(*table(bits, block, zeros))


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("dtype", ["uint4", "int4"])
def test_tables_of_short_integers(dtype: str, zeros: bool) -> None:
    """Whose levels are elements, and whose zero point is zero where none is given."""
    proto, feeds = table(4, 16, zeros)
    kind = {"uint4": TensorProto.UINT4, "int4": TensorProto.INT4}[dtype]
    for tensor in proto.graph.initializer:
        if tensor.data_type == TensorProto.UINT8:
            tensor.data_type = kind
            tensor.dims[-1] = 96 if tensor.name == "t" else 6
    agrees(proto, feeds)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize(("k", "n", "block"), [(64, 8, 16), (96, 5, 64)])
def test_bitsandbytes(kind: int, k: int, n: int, block: int) -> None:
    blocks = -(-n * k // block)
    weights = {"b": levels(8, -(-n * k // 2)), "most": random(blocks, seed=4, low=0.1)}
    sizes: dict[str, Any] = {"K": k, "N": n, "block_size": block, "quant_type": kind}
    node = helper.make_node(
        "MatMulBnb4", ["a", *weights], ["y"], name="node", domain="com.microsoft", **sizes
    )
    feeds = {"a": random(2, 3, k)}
    agrees(model([node], feeds, ["y"], weights=weights, domains=MICROSOFT), feeds)


@pytest.mark.parametrize("device", DEVICES)
def test_tables_on_devices(device: Device, tmp_path: Path) -> None:
    proto, feeds = table(4, 64, True)
    same(on_device(proto, feeds, device, tmp_path), runtime(proto, feeds))
    with Pack(tmp_path / "model.pack") as pack:
        assert max(t.bytes for t in pack.manifest.weights.tensors) == 11 * 128 // 2
