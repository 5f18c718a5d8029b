"""Measures a session of this process, whatever device it is on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyruntime.runtime.bench.profile import Budget, Profile, Progress
from pyruntime.runtime.bench.states import grown
from pyruntime.runtime.session import Session
from pyruntime.runtime.wasm import WasmSession
from pyruntime.runtime.webgpu import WebGpuSession


def measure(session: Session, feeds: Mapping[str, Any], budget: Budget, progress: Progress) -> Profile:
    """Run the session's entry again and again: whole, and step by step.

    States are what they are at first before every run and afterwards, but keep their present sizes.

    Raises:
        InputError, StateError, MemoryLimitError, RunError: as `Session.run` does.
    """
    if isinstance(session, WasmSession):
        from pyruntime.runtime.bench import wasm

        return wasm.profile(session, feeds, budget, progress)
    assert isinstance(session, WebGpuSession)
    from pyruntime.runtime.bench import webgpu

    return webgpu.profile(session, feeds, budget, progress)


def grow_states(session: Session, sizes: Mapping[str, int]) -> None:
    """Let states that grow have the sizes that these symbols say, as if runs had filled them with zeros."""
    _, entry = session._find(None)
    session._kept.sizes = grown(entry, session._kept.sizes, sizes)
