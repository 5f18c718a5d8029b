"""What browsers call a GPU that wgpu knows by numbers, and what a pack has for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pyruntime.pack.targets import Tuned


class Identity(NamedTuple):
    """A GPU: vendor and architecture as `GPUAdapterInfo` has them in Chromium, and its full name.

    What is not known is empty.
    """

    vendor: str
    architecture: str
    device: str


NAMELESS = Identity("", "", "")

# PCI vendors by number, and of these the architectures by the upper bits of a device's number, as Chromium's
# WebGPU (Dawn's gpu_info.json) groups them. Others are known by their full names alone.
_VENDORS: Mapping[int, str] = {
    0x1002: "amd",
    0x106B: "apple",
    0x13B5: "arm",
    0x1AE0: "google",
    0x1010: "img-tec",
    0x8086: "intel",
    0x10005: "mesa",
    0x1414: "microsoft",
    0x10DE: "nvidia",
    0x5143: "qualcomm",
    0x144D: "samsung",
}
_ARCHITECTURES: Mapping[str, tuple[int, Mapping[str, Sequence[int]]]] = {
    "amd": (
        4,
        {
            "gcn-4": (0x67C, 0x67D, 0x67E, 0x67F, 0x698, 0x699, 0x6FD),
            "gcn-5": (*range(0x150, 0x170), 0x66A, 0x686, 0x687, 0x694, 0x69A),
            "rdna-1": (0x731, 0x734, 0x736),
            "rdna-2": (0x73A, 0x73B, 0x73D, 0x73E, 0x73F, *range(0x740, 0x744)),
        },
    ),
    "arm": (
        28,
        {"midgard": (0,), "bifrost": (6, 7), "valhall": (9, 10, 11)},
    ),
    "google": (0, {"swiftshader": (0xC0DE,)}),
    "intel": (
        8,
        {
            "gen-8": (0x16, 0x22),
            "gen-9": (0x19, 0x31, 0x3E, 0x5A, 0x59, 0x9B),
            "gen-11": (0x8A, 0x4E),
            "gen-12lp": (0x46, 0x4C, 0x49, 0x9A, 0xA7, 0x7D),
            "gen-12hp": (0x4F, 0x56),
        },
    ),
    "mesa": (0, {"software": (0,)}),
    "nvidia": (
        8,
        {
            "maxwell": (0x13, 0x14, 0x16, 0x17),
            "pascal": (0x15, 0x1B, 0x1C, 0x1D),
            "turing": (0x1E, 0x1F, 0x21),
            "ampere": (0x22, 0x24, 0x25),
            "lovelace": (0x26, 0x27, 0x28),
        },
    ),
    "qualcomm": (
        24,
        {"adreno-4xx": (4,), "adreno-5xx": (5,), "adreno-6xx": (6,), "adreno-7xx": (7, 0x43)},
    ),
}


def identify(info: Mapping[str, Any]) -> Identity:
    """The GPU that a `wgpu.GPUAdapter`'s info is of."""
    vendor = _VENDORS.get(int(info.get("vendor_id") or 0), "")
    shift, known = _ARCHITECTURES.get(vendor, (0, {}))
    number = int(info.get("device_id") or 0) >> shift
    architecture = next((name for name, numbers in known.items() if number in numbers), "")
    return Identity(vendor, architecture, str(info.get("device") or ""))


def best_for(tuned: Sequence[Tuned], gpu: Identity) -> Tuned | None:
    """What was tuned on this very GPU, or else on one of its architecture; None where nothing was."""
    same = [t for t in tuned if t.device and t.device == gpu.device]
    alike = [
        t for t in tuned if t.architecture and (t.vendor, t.architecture) == (gpu.vendor, gpu.architecture)
    ]
    return next(iter([*same, *alike]), None)
