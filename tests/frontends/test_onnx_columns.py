"""Col2Im, MaxUnpool and the places that MaxPool finds, on NumPy and on devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyruntime.errors import InputError
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, agrees, one_node, random, reference, run, same

# image, block, strides, dilations, pads
COLUMNS = [
    ((5,), (3,), [2], [1], [1, 1]),
    ((5, 6), (2, 3), [1, 1], [1, 1], [0, 0, 0, 0]),
    ((7, 6), (2, 3), [2, 1], [1, 2], [1, 0, 1, 2]),
    ((4, 5, 6), (2, 2, 3), [1, 2, 1], [1, 1, 2], [0, 0, 0, 0, 0, 0]),
]


def columns(
    image: tuple[int, ...],
    block: tuple[int, ...],
    strides: list[int],
    dilations: list[int],
    pads: list[int],
    dtype: type[np.generic] = np.float32,
) -> tuple[Any, dict[str, Array]]:
    """Col2Im of two images of three channels."""
    rank = len(image)
    counts = [
        (image[a] + pads[a] + pads[a + rank] - dilations[a] * (block[a] - 1) - 1) // strides[a] + 1
        for a in range(rank)
    ]
    x = random(2, 3 * int(np.prod(block)), int(np.prod(counts)))
    feeds: dict[str, Array] = {"x": x > 0.5 if dtype is np.bool_ else x.astype(dtype)}
    weights = {"image": np.array(image), "block": np.array(block)}
    attrs: dict[str, Any] = {"strides": strides, "dilations": dilations, "pads": pads}
    return one_node("Col2Im", feeds, weights=weights, opset=18, **attrs), feeds


def unpooled(size: int | None) -> tuple[Any, dict[str, Array]]:
    """MaxUnpool of an image of 4 x 6, put into one of `size` x `size`."""
    rng = np.random.default_rng(0)
    feeds = {"x": random(1, 2, 2, 3), "at": rng.permutation(48)[:12].reshape(1, 2, 2, 3)}
    weights: dict[str, Array] = {} if size is None else {"shape": np.array([1, 2, size, size])}
    return one_node("MaxUnpool", feeds, weights=weights, opset=22, kernel_shape=[2, 2], strides=[2, 2]), feeds


@pytest.mark.parametrize("case", COLUMNS)
def test_columns(case: Any) -> None:
    proto, feeds = columns(*case)
    same(run(proto, feeds), reference(proto, feeds))


@pytest.mark.parametrize("device", DEVICES)
def test_columns_of_bools(device: Device, tmp_path: Path) -> None:
    """What reaches an element is added up as NumPy adds bools: whether any is true."""
    proto, feeds = columns(*COLUMNS[2], dtype=np.bool_)
    wanted = reference(proto, feeds)
    assert len(np.unique(wanted["out"])) == 2
    same(on_device(proto, feeds, device, tmp_path), wanted)


def fed_columns(case: Any) -> tuple[Any, dict[str, Array]]:
    """The same, told at run time how large image and blocks are."""
    _, feeds = columns(*case)
    feeds |= {"image": np.array(case[0]), "block": np.array(case[1])}
    attrs = dict(zip(("strides", "dilations", "pads"), case[2:], strict=True))
    return one_node("Col2Im", feeds, shapes={"x": ["n", "rows", "columns"]}, opset=18, **attrs), feeds


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_told_at_run_time(case: Any) -> None:
    proto, feeds = fed_columns(case)
    same(run(proto, feeds), reference(proto, feeds))
    with pytest.raises(InputError, match="must fit an image"):
        run(proto, feeds | {"image": feeds["image"] + 7})
    with pytest.raises(InputError, match="block_shape must be at least 1"):
        run(proto, feeds | {"block": feeds["block"] * 0})


@pytest.mark.parametrize("size", [None, 7])
def test_unpooled(size: int | None) -> None:
    proto, feeds = unpooled(size)
    same(run(proto, feeds), reference(proto, feeds))


def pooled(shape: tuple[int, ...], **attrs: Any) -> tuple[Any, dict[str, Array]]:
    """MaxPool with both outputs, of elements that are not all different."""
    feeds = {"x": np.round(random(*shape) * 3)}
    return one_node("MaxPool", feeds, outputs=("out", "at"), **attrs), feeds


POOLED: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 7), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    ((2, 3, 7, 6), {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
    ((1, 2, 7, 8), {"kernel_shape": [2, 3], "dilations": [2, 1], "storage_order": 1}),
    ((1, 2, 4, 5, 6), {"kernel_shape": [2, 2, 3], "strides": [1, 2, 1]}),
]


@pytest.mark.parametrize(("shape", "attrs"), POOLED)
def test_pooled(shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    agrees(*pooled(shape, **attrs))


@pytest.mark.parametrize("device", DEVICES)
def test_devices_agree(device: Device, tmp_path: Path) -> None:
    for proto, feeds in (
        fed_columns(COLUMNS[2]),
        columns(*COLUMNS[2]),
        unpooled(None),
        pooled(POOLED[2][0], **POOLED[2][1]),
    ):
        same(on_device(proto, feeds, device, tmp_path), reference(proto, feeds))
