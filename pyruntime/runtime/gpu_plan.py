"""What a session on WebGPU does for one set of sizes: passes of dispatches, copies between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pyruntime.pack.program import BoundDispatch, BoundProgram
from pyruntime.pack.targets import Dispatch, Host, WebGpu


class Call(NamedTuple):
    """A dispatch with what the device needs for it, and what of the program it is, if any."""

    pipeline: Any
    group: Any
    workgroups: tuple[int, int, int]
    bound: BoundDispatch | None = None


@dataclass
class ComputePass:
    """Dispatches that follow each other: called with an encoder, they are one pass."""

    dispatches: list[Call] = field(default_factory=list)

    def __call__(self, encoder: Any) -> None:
        """Encode them."""
        compute = encoder.begin_compute_pass()
        present = None
        for call in self.dispatches:
            if call.pipeline is not present:
                compute.set_pipeline(call.pipeline)
                present = call.pipeline
            compute.set_bind_group(0, call.group)
            compute.dispatch_workgroups(*call.workgroups)
        compute.end()


@dataclass
class Plan:
    """A program for one set of sizes, with everything that the device needs to run it.

    It begins at command `start`, where the symbols have these values.
    """

    program: BoundProgram
    encode: list[Callable[[Any], None]]  # each takes a command encoder; a run of dispatches is one pass
    uniforms: Any
    symbols: Mapping[str, int] = field(default_factory=dict)
    start: int = 0

    def singly(self) -> Iterator[tuple[Callable[[Any], None], BoundDispatch | None]]:
        """What encodes each command by itself, in the order of the program; with it a dispatch, else None."""
        for encode in self.encode:
            if isinstance(encode, ComputePass):
                yield from ((ComputePass([call]), call.bound) for call in encode.dispatches)
            else:
                yield encode, None


def step_names(target: WebGpu, variant: int, entry: int) -> list[str]:
    """A program's steps in order, those on the host included.

    Several dispatches of one step are forms of a kernel, of which the sizes leave one.
    """
    names: dict[str, None] = {}
    for command in target.variants[variant].entries[entry].commands:
        if isinstance(command, Dispatch):
            names[command.step] = None
        elif isinstance(command, Host) and target.host is not None:
            steps = target.host.entries[entry].steps
            names |= dict.fromkeys(steps[command.first : command.last])
    return list(names)
