"""Measures a pack in a browser: serves a page with all that it needs, and takes its samples."""

from __future__ import annotations

import json
import math
import queue
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyruntime.errors import DeviceError, MemoryLimitError, PackError, PyRuntimeError, RunError
from pyruntime.pack.account import costs_of
from pyruntime.pack.expressions import Evaluator
from pyruntime.pack.program import size
from pyruntime.pack.reader import Pack
from pyruntime.pack.schema import Entry
from pyruntime.pack.targets import WEIGHTS_BASE, Wasm
from pyruntime.runtime.bench import loops
from pyruntime.runtime.bench.gpu_loops import GPU_KIND, UNTIMED
from pyruntime.runtime.bench.profile import (
    LEAST_ROUNDS,
    MOST_ROUNDS,
    Budget,
    Feeder,
    Profile,
    Progress,
    Samples,
    limits_of,
    profile_of,
)
from pyruntime.runtime.bench.states import grown
from pyruntime.runtime.bind import Bound, spec_of
from pyruntime.runtime.serving import Answer, Content, Site, running
from pyruntime.runtime.state import KeptState
from pyruntime.runtime.wasm import PROBES, TAIL, weight_spans, write_weights

PAGE = Path(__file__).parent / "page"
FIRST_LIMIT = 60.0  # seconds in which a browser must ask for the page
LIMIT = 180.0  # seconds between two signs of life: a round of a large model may take long
USUAL_THREADS = 4
_KINDS: Mapping[str, type[PyRuntimeError]] = {
    "device": DeviceError,
    "memory": MemoryLimitError,
    "pack": PackError,
    "run": RunError,
}
# agents as browsers tell them: the first that is found names it, since most say that they are Chrome, too
_NAMES = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chromium", "Version": "Safari"}

Opener = Callable[[str], AbstractContextManager[None]]  # opens an address, as long as the context lasts


@dataclass(frozen=True)
class Subject:
    """A pack's entry with feeds, checked and bound."""

    pack: Pack
    entry: Entry
    bound: Bound
    kept: KeptState

    @classmethod
    def of(cls, pack: Pack, feeder: Feeder, sizes: Mapping[str, int]) -> Subject:
        """The pack's first entry; states that grow have the sizes that `sizes` names.

        Raises InputError, StateError.
        """
        manifest = pack.manifest
        entry, kept = manifest.entries[0], KeptState(manifest.state, manifest.model.sha256)
        kept.sizes = grown(entry, kept.sizes, sizes)
        feeds = feeder([*map(spec_of, entry.inputs)], kept.symbols(entry))
        return cls(pack, entry, kept.bind(entry, feeds), kept)


def profile(
    subject: Subject, device: str, threads: int | None, budget: Budget, open_page: Opener, progress: Progress
) -> Profile:
    """Measure in whatever browser `open_page` opens; otherwise as `native.measure` does.

    Raises:
        DeviceError: no browser answers, or it lacks what the pack needs.
        MemoryLimitError, PackError, RunError: as a session raises them.
    """
    targets = subject.pack.manifest.targets
    if device == "auto":
        device = "webgpu" if targets.wasm is None else "wasm"
    content: dict[str, Content] = {}
    answers: dict[str, Answer] = {}
    if device == "wasm" and targets.wasm is not None:
        job, files = _wasm_job(subject, targets.wasm, threads)
        content |= files
    elif device == "webgpu" and targets.webgpu is not None:
        from pyruntime.runtime.bench.gpu_job import GpuJob

        gpu = GpuJob(subject.pack, targets.webgpu, subject.entry, subject.bound, subject.kept)
        job = gpu.job()
        content |= gpu.weights()

        def variant(asked: Any) -> Any:
            details, files = gpu.variant(asked["number"])
            site.content.update(files)
            return details

        answers = {"variant": variant, "segment": lambda asked: gpu.segment(**asked)}
    else:
        raise DeviceError(f"{subject.pack.path} was not converted for {device}")
    job["budget"] = {
        "seconds": budget.seconds,
        "rounds": budget.rounds,
        "least": LEAST_ROUNDS,
        "most": MOST_ROUNDS,
    }
    site = Site(PAGE, {**content, "job": json.dumps(job).encode()}, answers)
    with running(site), open_page(site.url):
        told = _awaited(site, progress)
    if "error" in told:
        kind = _KINDS.get(str(told.get("kind")), RunError)
        raise kind(f"in {name_of(told.get('agent', ''))}: {told['error']}")
    return _profile(subject, device, told)


def _awaited(site: Site, progress: Progress) -> dict[str, Any]:
    """What the page posts in the end. Raises DeviceError where it never comes."""
    begun, limit = False, FIRST_LIMIT
    while True:
        try:
            name, content = site.posted.get(timeout=limit)
        except queue.Empty:
            what = "the page has told nothing" if begun else "no browser has asked for the page"
            raise DeviceError(f"{what} for {limit:.0f} seconds: {site.url}") from None
        begun, limit = True, LIMIT
        if name == "failed":
            raise content
        if name == "progress":
            progress(float(content["done"]))
        elif name == "result":
            progress(1.0)
            return dict(content)


def _wasm_job(
    subject: Subject, target: Wasm, threads: int | None
) -> tuple[dict[str, Any], dict[str, Content]]:
    """What wasm.js is told, and the files that it gets."""
    pack, entry, bound = subject.pack, subject.entry, subject.bound
    manifest, program = pack.manifest, target.entries[0]
    full = Evaluator(subject.kept.full(entry, bound.symbols))
    weights = {w.tensor: w.address for w in target.weights}
    states = [
        (address, math.prod(s.shape) * s.dtype.bytes, None if s.initial is None else weights[s.initial])
        for address, s in zip(target.state, manifest.state, strict=True)
    ]
    ends = [a + n + TAIL for a, n in weight_spans(manifest, target)]
    ends += [a + n + TAIL for a, n, _ in states]
    image = bytearray(
        max([a + n for a, n in weight_spans(manifest, target)], default=WEIGHTS_BASE) - WEIGHTS_BASE
    )
    write_weights(pack, target, memoryview(image), WEIGHTS_BASE)
    content: dict[str, Content] = {"weights": image}
    for i, variant in enumerate(target.variants):
        content[f"module-{i}"] = pack.read(variant)
    for i, tensor in enumerate(bound.inputs):
        content[f"input-{i}"] = bytes(tensor.data)
    for relaxed in (True, False):
        content[f"loops-{relaxed}"] = loops.module(loops.PAGES, relaxed=relaxed)
    job = {
        "device": "wasm",
        "number": 0,
        "steps": list(program.steps),
        "threads": threads,
        "usual": USUAL_THREADS,
        "variants": [
            {"requires": list(v.requires), "url": f"module-{i}"} for i, v in enumerate(target.variants)
        ],
        "probes": {name: code.hex() for name, code in PROBES.items() if name != "threads"},
        "weights": "weights",
        "base": WEIGHTS_BASE,
        "least": max([target.initial_pages * loops.PAGE, *ends]),
        "bytes": size(program.bytes, full),
        "threadBytes": size(program.thread_bytes, full),
        "symbols": [str(v) for v in bound.symbols.values()],
        "inputs": [f"input-{i}" for i in range(len(bound.inputs))],
        "states": [{"address": a, "size": n, "initial": initial} for a, n, initial in states],
        "loops": {
            "relaxed": "loops-True",
            "plain": "loops-False",
            "relaxedOperations": _operations(relaxed=True),
            "plainOperations": _operations(relaxed=False),
            "rounds": loops.ROUNDS,
            "copies": list(loops.COPIES.items()),
        },
    }
    return job, content


def _operations(*, relaxed: bool) -> dict[str, int]:
    return {name: loops.operations(name, relaxed=relaxed) for name in loops.ROUNDS}


def _profile(subject: Subject, device: str, told: dict[str, Any]) -> Profile:
    found = told["samples"]
    samples = Samples(**{**found, "copies": {int(k): v for k, v in found["copies"].items()}})
    name, requires = name_of(told["agent"]), tuple(told["requires"])
    engine, kind = name, loops.kind(relaxed="relaxed-simd" in requires)
    notes: tuple[str, ...] = ()
    if device == "webgpu":
        engine, kind = f"{told['gpu']}, {name}", GPU_KIND
        notes = () if told["timed"] else (UNTIMED,)
    return profile_of(
        samples,
        costs_of(subject.pack.manifest, 0, "webgpu" if device == "webgpu" else "wasm"),
        None if notes else limits_of(samples, kind),
        device=device,
        place=name,
        engine=engine,
        threads=int(told["threads"]),
        variant=requires,
        symbols=subject.bound.symbols,
        notes=notes,
    )


def name_of(agent: str) -> str:
    """A browser's name and version, from what it calls itself."""
    for token, name in _NAMES.items():
        if found := re.search(rf"{token}/(\d+)", agent):
            return f"{name} {found[1]}"
    return agent or "the browser"
