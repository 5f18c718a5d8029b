"""An entry's steps on a target, at given sizes: what each computes, moves, dispatches, why it ends there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyruntime.pack.account import Account, Target, costs_of
from pyruntime.pack.expressions import Evaluator, Expression, ExpressionError
from pyruntime.pack.program import BoundDispatch, BoundHost, bind
from pyruntime.pack.schema import Entry, Manifest
from pyruntime.pack.targets import Dispatch, Host, Jump, Read, Set, Wasm, WebGpu

SMALL = 64  # workgroups that keep a GPU busy
NOTABLE = 0.01  # of all operations: what is worth many workgroups
SHARE = 1024  # operations: fewer for each of them, 8 multiply-adds a thread, are not worth a workgroup

# why a kernel's result is in memory, by what was noted when it was lowered (`ir.program.Boundary`)
BOUNDARIES: Mapping[str, str] = {
    "output": "it is an output of the model",
    "state": "it is the next value of a state",
    "operand": "its reader takes it from memory in an order of its own",
    "kernels": "its reader already waits on another product, and a kernel computes one",
    "shape": "its reader works over another shape than it does",
    "tensors": "one kernel for it and its reader would read more than 7 tensors",
    "passes": "its reader passes over it several times, and it costs too much to compute again each time",
    "layout": "its reader wants the elements in another order",
    "joined": "it is one part of a concatenation",
    "control": "a branch or a loop begins or ends here",
    "width": "its reader computes in float64, which a GPU leaves to the CPU",
    "alone": "its kernel takes nothing else into itself",
}
# what readers of a template do with an operand
OPERANDS: Mapping[str, str] = {
    "matmul": "a product reads each element for many results",
    "conv": "a convolution reads each element in several windows",
    "attention": "attention reads each element for many results",
    "recurrence": "a recurrent layer reads it step by step",
    "pool": "a pool reads each element in several windows",
    "row": "a reduction takes whole rows of it",
    "cumulate": "running sums take whole rows of it",
    "sort": "sorting takes whole rows of it",
    "numerals": "numbers are read from whole rows of it",
    "digits": "numbers are written by themselves",
    "suppression": "suppression compares all of it",
    "scatter": "it is read at computed places",
    "map": "it is read at computed places, or with padding",
}


@dataclass(frozen=True)
class Group:
    """A dispatch of a step: which kernel, and how many workgroups in x, y, z; None where data decide."""

    kernel: str
    workgroups: tuple[int, int, int] | None

    @property
    def count(self) -> int | None:
        """All workgroups."""
        return (
            None if self.workgroups is None else self.workgroups[0] * self.workgroups[1] * self.workgroups[2]
        )


@dataclass(frozen=True)
class Step:
    """A step of an entry on a target.

    Attributes:
        name, template: as the pack has them; "control" for what only decides how to go on.
        calls: how often a run comes by; None where data decide.
        operations, bytes: of one call; None where the pack does not tell, or data decide.
        dispatches: those of one call that have workgroups.
        reads, writes: indices of the entry's tensors; weights are -1 - their index.
        readers: steps that read what it writes.
        boundary, why: the reason that was noted for writing it, and in words.
        host: on WebGPU, why the CPU computes it; empty where the GPU does.
    """

    name: str
    template: str
    calls: int | None
    operations: int | None = None
    bytes: int | None = None
    dispatches: tuple[Group, ...] = ()
    reads: tuple[int, ...] = ()
    writes: int | None = None
    readers: tuple[str, ...] = ()
    boundary: str = ""
    why: str = ""
    host: str = ""

    @property
    def kernel(self) -> str:
        """What runs it: a shader's name, the CPU, or its template where it takes no dispatch."""
        if self.dispatches:
            return self.dispatches[0].kernel
        return f"CPU: {self.template}" if self.host else self.template


@dataclass(frozen=True)
class Totals:
    """Sums over a run; None where data decide, or the pack does not tell.

    Attributes:
        dispatches: GPU dispatches; None on Wasm.
        operations: multiplications and additions of products, where the pack tells them.
        bytes: what all steps read and write.
        fused, least: the lower bounds that `pack.account.Account` defines.
        small: steps with more than a hundredth of the operations and fewer than 64 workgroups.
        tails: others of that kind, with no more to share: recurrent layers, of which one workgroup walks
            through all steps of a row, and what is too little for 64 workgroups.
        few: dispatches with fewer than 64 workgroups, whatever they compute.
        exact: False where data decide what runs: then each step counts once.
    """

    dispatches: int | None
    operations: int | None
    bytes: int | None
    fused: int | None
    least: int | None
    small: tuple[str, ...]
    tails: tuple[str, ...]
    few: int
    exact: bool


@dataclass(frozen=True)
class Plan:
    """An entry on a target at given sizes."""

    steps: tuple[Step, ...]
    totals: Totals
    loops: tuple[tuple[int, int], ...] = field(default=())  # first and last step of each


def plan(
    manifest: Manifest, number: int, target: Target, account: Account | None, symbols: Mapping[str, int]
) -> Plan:
    """The steps of entry `number` on one of the pack's targets. Errors as those of `pack.program.bind`."""
    entry, gpu, wasm = manifest.entries[number], manifest.targets.webgpu, manifest.targets.wasm
    left: Mapping[str, str] = {}
    if target == "webgpu":
        assert gpu is not None
        run, left = _gpu_run(gpu, number, entry, symbols), _left_to_host(manifest, gpu, number)
        names, loops = _gpu_order(gpu, number)
    else:
        assert wasm is not None
        names, loops = _wasm_order(wasm, number)
        run = _Run(exact=not any(n.startswith(("jump ", "read ")) for n in names))
    values = Evaluator(symbols)
    costs = {c.step: c for c in costs_of(manifest, number, target)}
    readers = _readers(account, names)
    templates = {n: c.template for n, c in costs.items()}
    steps = []
    for name in names:
        cost, flow = costs.get(name), account.flows.get(name) if account else None
        control = flow is None and name.split(" ")[0] in ("set", "read", "jump")
        template = cost.template if cost else "control" if control else name.split(" ")[0]
        boundary = flow.boundary if flow else ""
        found = readers.get(name, ())
        steps.append(
            Step(
                name,
                template,
                run.times(name, control=control),
                _value(cost.operations, values) if cost else None,
                _value(cost.bytes, values) if cost else None,
                run.dispatches.get(name, ()),
                flow.reads if flow else (),
                flow.writes if flow else None,
                found,
                boundary,
                _why(boundary, [templates.get(r, r.split(" ")[0]) for r in found], found),
                left.get(name, ""),
            )
        )
    return Plan(tuple(steps), _totals(steps, account, values, run), loops)


@dataclass
class _Run:
    """What a run dispatches, if it is known from GPU commands; `exact` is False where data decide."""

    exact: bool = True
    calls: dict[str, int] | None = None
    dispatches: dict[str, tuple[Group, ...]] = field(default_factory=dict)

    def times(self, name: str, *, control: bool) -> int | None:
        """How often a run comes by a step."""
        if not self.exact or (control and self.calls is not None):
            return None
        return 1 if self.calls is None else self.calls.get(name, 0)


def _gpu_run(target: WebGpu, number: int, entry: Entry, symbols: Mapping[str, int]) -> _Run:
    parts = [bind(target, 0, number, entry, symbols)]
    while isinstance(pause := parts[-1].pause, BoundHost) and not pause.reads:
        parts.append(bind(target, 0, number, entry, pause.symbols, pause.next))
    shaders = target.variants[-1].shaders
    run = _Run(exact=parts[-1].pause is None, calls={})
    assert run.calls is not None
    found: dict[str, list[Group]] = {}
    if run.exact:
        for part in parts:
            for command in part.commands:
                if isinstance(command, BoundDispatch):
                    run.calls[command.step] = run.calls.get(command.step, 0) + 1
                    group = Group(shaders[command.shader].name, command.workgroups)
                    if group not in found.setdefault(command.step, []):
                        found[command.step].append(group)
            if isinstance(part.pause, BoundHost):
                for name in host_steps(target, number)[part.pause.first : part.pause.last]:
                    run.calls[name] = run.calls.get(name, 0) + 1
    else:
        values = Evaluator(symbols)
        for step in target.variants[-1].entries[number].commands:
            if isinstance(step, Dispatch):
                counts = [_value(w, values) for w in step.workgroups]
                known = None if None in counts else tuple(c or 0 for c in counts)
                if known is None or 0 not in known:
                    groups = None if known is None else (known[0], known[1], known[2])
                    found.setdefault(step.step, []).append(Group(shaders[step.shader].name, groups))
    run.dispatches = {name: tuple(groups[:1]) for name, groups in found.items()}
    return run


def _left_to_host(manifest: Manifest, target: WebGpu, number: int) -> dict[str, str]:
    """Why the CPU computes steps, by name."""
    told = (manifest.report or {}).get("host_steps", ())
    rows = told if isinstance(told, Sequence) else ()
    reasons = {str(r.get("step")): str(r.get("reason")) for r in rows if isinstance(r, Mapping)}
    return {name: reasons.get(name, "the GPU cannot compute it") for name in host_steps(target, number)}


def host_steps(target: WebGpu, number: int) -> Sequence[str]:
    """Names of the steps of an entry that run on the CPU."""
    return () if target.host is None else target.host.entries[number].steps


def _wasm_order(wasm: Wasm, number: int) -> tuple[list[str], tuple[tuple[int, int], ...]]:
    """Names of all steps in order, and where loops begin and end."""
    names = [*wasm.entries[number].steps]
    jumps = [(int(n.split(" ")[1]), i) for i, n in enumerate(names) if n.startswith("jump ")]
    return names, tuple(j for j in jumps if j[0] <= j[1])


def _gpu_order(gpu: WebGpu, number: int) -> tuple[list[str], tuple[tuple[int, int], ...]]:
    """As `_wasm_order`, from commands, of which a step may have several."""
    names, first = list[str](), list[int]()  # the step of each command
    commands = gpu.variants[-1].entries[number].commands
    for command in commands:
        match command:
            case Dispatch():
                name = command.step
            case Set() | Read():
                name = f"{type(command).__name__.lower()} {command.symbol}"
            case Jump():
                name = "jump"
            case Host(reads=(known, *_)):
                name = f"read {known.symbol}"
            case Host():
                *earlier, name = host_steps(gpu, number)[command.first : command.last]
                names += earlier
            case _:
                name = type(command).__name__.lower()
        if not (isinstance(command, Dispatch) and names and names[-1] == name):
            names.append(name)
        first.append(len(names) - 1)
    first.append(len(names))
    jumps = [(first[c.to], first[i]) for i, c in enumerate(commands) if isinstance(c, Jump)]
    return names, tuple(j for j in jumps if j[0] <= j[1])


def _readers(account: Account | None, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The steps that read what each writes, in order; a loop's may stand before it."""
    if account is None:
        return {}
    by_tensor: dict[int, list[str]] = {}
    for name in names:
        flow = account.flows.get(name)
        for tensor in flow.reads if flow else ():
            by_tensor.setdefault(tensor, []).append(name)
    return {n: tuple(by_tensor.get(f.writes, ())) for n, f in account.flows.items()}


def _why(boundary: str, templates: Sequence[str], readers: Sequence[str]) -> str:
    """A boundary in words."""
    if boundary == "readers":
        many = f"{len(readers)} steps read it" if len(readers) > 1 else "several nodes of the model read it"
        return f"{many}; to compute it again costs more than to store it"
    if boundary == "operand":
        told = dict.fromkeys(OPERANDS.get(t.removesuffix("_integer"), "") for t in templates)
        return "; ".join(t for t in told if t) or BOUNDARIES[boundary]
    return BOUNDARIES.get(boundary, "")


def _totals(steps: Sequence[Step], account: Account | None, values: Evaluator, run: _Run) -> Totals:
    computing = [s for s in steps if s.template != "control"]
    times = [(s, 1 if s.calls is None else s.calls) for s in computing]
    told = [s.operations * n for s, n in times if s.operations is not None]
    operations = sum(told)
    moved = None if any(s.bytes is None for s in computing) else sum((s.bytes or 0) * n for s, n in times)
    counted = [(s, n, [g.count for g in s.dispatches]) for s, n in times]
    small = [
        s
        for s, n, groups in counted
        if (s.operations or 0) * n > NOTABLE * operations and any(g is not None and g < SMALL for g in groups)
    ]
    tails = [s.name for s in small if s.template == "recurrence" or (s.operations or 0) < SMALL * SHARE]
    few = sum(n * sum(g is not None and g < SMALL for g in groups) for _, n, groups in counted)
    bounds = (account.fused, account.least) if account else (None, None)
    fused, least = (None if e is None else _value(e, values) for e in bounds)
    return Totals(
        sum(n * len(groups) for _, n, groups in counted) if run.calls is not None else None,
        operations if told or not computing else None,
        moved,
        fused,
        least,
        tuple(s.name for s in small if s.name not in tails),
        tuple(tails),
        few,
        run.exact,
    )


def _value(expression: Expression, values: Evaluator) -> int | None:
    """An expression's value; None where it has none at these sizes, or data decide it."""
    try:
        return values(expression)
    except ExpressionError:
        return None
