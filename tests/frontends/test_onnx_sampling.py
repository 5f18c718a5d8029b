"""Operators that read images at computed points: what ONNX's reference and ONNX Runtime give."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyruntime.errors import ModelError, UnsupportedError
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, agrees, one_node, random, reference, run, runtime, same

MODES = ("linear", "nearest", "cubic")
PADDINGS = ("zeros", "border", "reflection")


def grid_sample(x: Array, grid: Array, **attrs: Any) -> Any:
    """GridSample, whose sizes are known at run time only."""
    rank = x.ndim - 2
    shapes: dict[str, list[int | str | None]] = {
        "x": ["n", 3, *[f"d{a}" for a in range(rank)]],
        "grid": ["n", *[f"p{a}" for a in range(rank)], grid.shape[-1]],
    }
    return one_node("GridSample", {"x": x, "grid": grid}, shapes=shapes, opset=20, **attrs)


@pytest.mark.parametrize(("mode", "padding", "corners"), [*itertools.product(MODES, PADDINGS, (0, 1))])
def test_grid_sample(mode: str, padding: str, corners: int) -> None:
    attrs = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    feeds = {"x": random(2, 3, 5, 7), "grid": random(2, 4, 3, 2, low=-3, high=3, seed=1)}
    proto = grid_sample(feeds["x"], feeds["grid"], **attrs)
    same(run(proto, feeds), reference(proto, feeds))


@pytest.mark.parametrize(("mode", "padding"), [*itertools.product(("linear", "nearest"), PADDINGS)])
def test_grid_sample_of_volumes(mode: str, padding: str) -> None:
    feeds = {"x": random(1, 3, 3, 4, 5), "grid": random(1, 2, 3, 2, 3, low=-2, high=2, seed=1)}
    agrees(grid_sample(feeds["x"], feeds["grid"], mode=mode, padding_mode=padding), feeds)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.uint8])
def test_grid_sample_of_other_dtypes(dtype: type) -> None:
    x: Array = random(2, 3, 5, 7, low=0, high=50).astype(dtype)
    feeds = {"x": x, "grid": random(2, 4, 3, 2, seed=1)}
    for mode in ("nearest",) if x.dtype.kind in "iu" else MODES:
        proto = grid_sample(x, feeds["grid"], mode=mode)
        same(run(proto, feeds), reference(proto, feeds), 2e-3 if x.dtype == np.float16 else 1e-5)


def test_grid_sample_of_nothing() -> None:
    feeds = {"x": random(2, 3, 5, 7), "grid": random(2, 0, 3, 2)}
    assert run(grid_sample(feeds["x"], feeds["grid"]), feeds)["out"].shape == (2, 3, 0, 3)


def test_grid_sample_far_outside_and_of_no_number() -> None:
    grid = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.25], np.float32)
    feeds = {"x": random(1, 3, 4, 4), "grid": np.stack([grid, np.zeros_like(grid)], -1)[None, None]}
    out = run(grid_sample(feeds["x"], feeds["grid"]), feeds)["out"]
    assert np.isfinite(out[..., 3:]).all()


@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 1, 3, 4, 2)])
@pytest.mark.parametrize("fed", [True, False])
def test_affine_grid(size: tuple[int, ...], corners: int, fed: bool) -> None:
    rank = len(size) - 2
    theta, sizes = random(2, rank, rank + 1), np.array(size, np.int64)
    feeds = {"theta": theta, **({"size": sizes} if fed else {})}
    weights = {} if fed else {"size": sizes}
    proto = one_node("AffineGrid", feeds, weights=weights, opset=20, align_corners=corners)
    same(run(proto, feeds), reference(proto, feeds))


ROIS = np.array([[0, 0, 6, 5], [1.5, 0.2, 8.9, 9], [3, 4, 2, 1], [-3, -2, 20, 30]], np.float32)


def roi_align(opset: int = 16, *, symbolic: bool = False, **attrs: Any) -> tuple[Any, dict[str, Array]]:
    feeds = {"x": random(2, 3, 9, 11), "rois": ROIS, "images": np.array([0, 1, 1, 0], np.int64)}
    named: dict[str, list[int | str | None]] = {"x": ["n", 3, "h", "w"], "rois": ["r", 4], "images": ["r"]}
    return one_node("RoiAlign", feeds, shapes=named if symbolic else {}, opset=opset, **attrs), feeds


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "output_half_pixel"])
def test_roi_align(mode: str, coordinates: str) -> None:
    attrs: dict[str, Any] = {
        "mode": mode,
        "output_height": 3,
        "output_width": 2,
        "sampling_ratio": 2,
        "spatial_scale": 0.5,
    }
    proto, feeds = roi_align(coordinate_transformation_mode=coordinates, **attrs)
    same(run(proto, feeds), reference(proto, feeds))


def test_roi_align_of_opset_10() -> None:
    agrees(*roi_align(10, output_height=2, output_width=4, sampling_ratio=3))


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("low", [0, -9])
def test_roi_align_with_samples_by_size(mode: str, coordinates: str, low: float) -> None:
    """Samples that a region does not have count as nothing, not as 0, which is above negative elements."""
    attrs: dict[str, Any] = {"mode": mode, "output_height": 3, "output_width": 2, "spatial_scale": 0.7}
    proto, feeds = roi_align(coordinate_transformation_mode=coordinates, **attrs)
    feeds["x"] += low
    same(run(proto, feeds), reference(proto, feeds))


# on one pixel, malformed, partly outside, wholly outside, on halves
BOXES = [[0, 0, 0, 9, 7], [1, 3, 3, 3, 3], [1, 8, 6, 2, 1], [0, -4, -3, 30, 20], [1, 40, 40, 50, 50]]
POOLED = np.array([*BOXES, [0, 2.5, 0.5, 7.5, 5.5], [1, -2.5, -0.5, 6.49, 4.51]], np.float32)


def max_roi_pool(
    rois: Array = POOLED, *, symbolic: bool = False, **attrs: Any
) -> tuple[Any, dict[str, Array]]:
    feeds = {"x": random(2, 3, 9, 11), "rois": rois}
    named: dict[str, list[int | str | None]] = {"x": ["n", 3, "h", "w"], "rois": ["r", 5]}
    return one_node("MaxRoiPool", feeds, shapes=named if symbolic else {}, **attrs), feeds


@pytest.mark.parametrize(("bins", "scale"), [((1, 1), 1.0), ((2, 3), 1.0), ((5, 4), 0.5), ((13, 17), 1.7)])
@pytest.mark.parametrize("symbolic", [False, True])
def test_max_roi_pool(bins: tuple[int, int], scale: float, symbolic: bool) -> None:
    agrees(*max_roi_pool(symbolic=symbolic, pooled_shape=bins, spatial_scale=scale))


def test_max_roi_pool_of_no_regions() -> None:
    proto, feeds = max_roi_pool(np.zeros((0, 5), np.float32), symbolic=True, pooled_shape=[2, 2])
    assert run(proto, feeds)["out"].shape == (0, 3, 2, 2)


def test_max_roi_pool_of_many_bins_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="more than 127 bins"):
        run(*max_roi_pool(pooled_shape=[1, 128]))


@pytest.mark.parametrize("device", DEVICES)
def test_max_roi_pool_on_devices(device: Device, tmp_path: Path) -> None:
    proto, feeds = max_roi_pool(symbolic=True, pooled_shape=[3, 2])
    same(on_device(proto, feeds, device, tmp_path), runtime(proto, feeds))


def deform_conv(**options: Any) -> tuple[Any, dict[str, Array]]:
    """DeformConv of two groups, three of offsets."""
    group, apart = options.get("group", 1), options.get("offset_group", 1)
    feeds = {
        "x": random(2, 6, 7, 8),
        "w": random(4, 6 // group, 3, 2, seed=1),
        "offset": random(2, apart * 12, 3, 7, seed=2),
        "bias": random(4, seed=3),
        "mask": random(2, apart * 6, 3, 7, seed=4),
    }
    if not options.pop("masked", True):
        del feeds["mask"], feeds["bias"]
    return one_node("DeformConv", feeds, opset=19, strides=[2, 1], pads=[1, 0, 0, 1], **options), feeds


@pytest.mark.parametrize(
    ("group", "apart", "masked"), [(1, 1, False), (2, 1, True), (1, 3, True), (2, 3, False)]
)
def test_deform_conv(group: int, apart: int, masked: bool) -> None:
    proto, feeds = deform_conv(group=group, offset_group=apart, masked=masked, dilations=[1, 2])
    same(run(proto, feeds), reference(proto, feeds))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="grid"):
        run(grid_sample(random(1, 3, 4, 4), random(1, 2, 2, 3)), {})
    with pytest.raises(ModelError, match="offsets of shape"):
        run(deform_conv()[0], {})


@pytest.mark.parametrize("device", DEVICES)
def test_devices_agree(device: Device, tmp_path: Path) -> None:
    feeds = {"x": random(2, 3, 5, 7), "grid": random(2, 4, 3, 2, low=-2, seed=1)}
    proto = grid_sample(feeds["x"], feeds["grid"], mode="cubic", padding_mode="reflection")
    same(on_device(proto, feeds, device, tmp_path), runtime(proto, feeds))
    proto, feeds = deform_conv(group=2, offset_group=3, dilations=[1, 2])
    same(on_device(proto, feeds, device, tmp_path), reference(proto, feeds))
    attrs: dict[str, Any] = {"mode": "max", "output_height": 3, "output_width": 2, "sampling_ratio": 2}
    proto, feeds = roi_align(**attrs)
    same(on_device(proto, feeds, device, tmp_path), reference(proto, feeds))
    for mode in ("avg", "max"):
        proto, feeds = roi_align(mode=mode, output_height=3, output_width=2, spatial_scale=0.7, symbolic=True)
        same(on_device(proto, feeds, device, tmp_path), reference(proto, feeds))
