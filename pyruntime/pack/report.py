"""What `convert` tells about a pack that it made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class KernelStep:
    """One kernel call of the program.

    Attributes:
        step: its name, "conv base_net.0".
        template: "map", "row", "matmul", ...: the classes of `ir/kernel.py` and `ir/numerals.py`.
        origins: nodes of the user's model that it computes, as "Conv base_net.0".
        operations: multiplications and additions as a dim's text, "0" where they do not count.
        bytes: what it reads and writes, each element once, as a dim's text.
    """

    step: str
    template: str
    origins: tuple[str, ...]
    operations: str
    bytes: str


@dataclass(frozen=True)
class HostStep:
    """A kernel call that a WebGPU pack runs on the CPU.

    Attributes:
        step: its name.
        origins: nodes of the user's model that it computes, as "Cast wide".
        reason: why the GPU does not.
    """

    step: str
    origins: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Report:
    """The result of a conversion.

    Attributes:
        name: the model's name.
        path: where the pack lies.
        source_format: what was read: "onnx" or "huggingface".
        opset: the version of ONNX's operators that the model names; 0 for other formats.
        seconds: time that the conversion took.
        nodes: nodes of the model as read.
        kernels: the kernel calls that are left of them, in order.
        symbols: names of the dims that are bound at run time.
        weights_bytes: bytes of weights in the pack.
        files: name -> bytes of every file of the pack.
        dispatches: WebGPU dispatches of a run (the most there can be, where shapes decide).
        targets: the targets of the pack.
        host_steps: what runs on the CPU where the pack runs on WebGPU, each with the reason.
        notes: what the user should know, such as 64-bit integers kept as 32 bits on WebGPU.
        quantized: nodes of the model that `quantize` computes in integers, or whose table is of integers.
        unquantized: nodes with weights that it left in floats, each with the reason.
    """

    name: str
    path: str
    source_format: str
    opset: int
    seconds: float
    nodes: int
    kernels: Sequence[KernelStep]
    symbols: Sequence[str]
    weights_bytes: int
    files: Mapping[str, int]
    dispatches: int
    targets: Sequence[str]
    notes: Sequence[str] = field(default_factory=tuple)
    quantized: Sequence[str] = field(default_factory=tuple)
    unquantized: Mapping[str, str] = field(default_factory=dict)
    host_steps: Sequence[HostStep] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON."""
        return asdict(self)
