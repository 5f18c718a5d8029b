"""Who runs against whom: the races of each benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from benchmarks.court.engines import ENGINES, IN_WORKER, OURS, OWN_INT8, Contestant

NOT_VISITED = "matmul-*"  # no page starts for one product: how long engines take to start, the models show
TWO_THREADS = ("matmul-1024", "mobilenetv2", "resnet50", "minilm-256")
HOSTS = ("chromium", "node")
ALONE = Contestant(OURS, "f32", "chromium")  # what gains of ours in other races are relative to


@dataclass(frozen=True)
class Race:
    """Contestants in turns; `cold` whether they are visited with a fresh profile too.

    Attributes:
        reference: runs along for ratios, and makes no row: its row comes from another race.
    """

    title: str
    contestants: tuple[Contestant, ...]
    cold: bool
    reference: Contestant | None = None

    @property
    def everyone(self) -> tuple[Contestant, ...]:
        """All that are opened."""
        extra = (self.reference,) if self.reference and self.reference not in self.contestants else ()
        return (*extra, *self.contestants)

    @property
    def threads(self) -> int:
        """The most that any has."""
        return max(c.threads for c in self.contestants)


@dataclass(frozen=True)
class Choice:
    """What was asked for; empty: everything."""

    engines: Sequence[str] = ()
    hosts: Sequence[str] = ()
    dtypes: Sequence[str] = ()
    threads: Sequence[int] = ()
    device: str = "wasm"

    def __call__(self, c: Contestant) -> bool:
        """Whether a contestant takes part."""
        return (
            (not self.engines or c.engine in self.engines or c.engine == OURS)
            and (not self.hosts or c.host in self.hosts)
            and (not self.dtypes or c.dtype in self.dtypes)
            and (not self.threads or c.threads in self.threads)
        )


def races(benchmark: str, choice: Choice) -> list[Race]:
    """The races of a benchmark, without those in which nobody takes part."""
    cold = not fnmatch(benchmark, NOT_VISITED)
    if choice.device == "webgpu":
        gpu = [
            Contestant(e.name, dtype, "chromium", device="webgpu")
            for e in ENGINES.values()
            if e.webgpu
            for dtype in e.models
        ]
        planned = [Race("WebGPU", tuple(filter(choice, gpu)), cold)]
        return [race for race in planned if race.contestants]
    every = [e for e in ENGINES.values() if "chromium" in e.hosts]
    f32 = [Contestant(e.name, "f32", "chromium") for e in every]
    int8 = [
        *(Contestant(e.name, "int8", "chromium") for e in every if "int8" in e.models),
        Contestant(OURS, OWN_INT8, "chromium"),
    ]
    native = Contestant(OURS, "f32", "native")
    node = [
        Contestant(e.name, dtype, "node") for e in ENGINES.values() if "node" in e.hosts for dtype in e.models
    ]
    planned = [
        Race("f32", tuple(filter(choice, [*f32, native])), cold),
        Race("int8", tuple(filter(choice, int8)), cold, ALONE),
        Race("node", tuple(filter(choice, node)), False),
    ]
    if benchmark in TWO_THREADS:
        two = [Contestant(e.name, "f32", "chromium", 2) for e in every if e.name != IN_WORKER]
        planned.append(Race("two threads", tuple(filter(choice, two)), False, ALONE))
    return [race for race in planned if race.contestants]
