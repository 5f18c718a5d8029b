"""Recurrent layers: the products of all rows of a step, then the state's update, four units at a time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from pyruntime.ir.dims import Dim, ceildiv
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Phase, Recurrence
from pyruntime.ir.scalar import Acc, Index, Load, Scalar, Size
from pyruntime_wasm.kernels import Argument, render_template
from pyruntime_wasm.kernels._operands import Operand, Parameters, require_plain
from pyruntime_wasm.kernels._share import best_cut
from pyruntime_wasm.printer import VECTOR, Printer, nodes, vectorisable

PANELS = 8
CHAINS = 8  # independent sums that keep the multiplier busy
_CUT_ROWS = 12  # whole tiles of gemm.h, of 4 rows or of 6


@dataclass
class _Update:
    """The update of one phase: a C function over the units of a row, and what is passed to it."""

    call: Recurrence
    operands: dict[int, Operand]
    gates: int
    signature: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)

    def add(self, type_: str, name: str, argument: str) -> None:
        """Declare a parameter."""
        self.signature.append(f"{type_} {name}")
        self.arguments.append(argument)

    def render(self, phase: Phase, out: Operand | None) -> None:
        """Print the trees; with `out`, slot 0 goes there too."""
        trees = [tree for _, tree in phase.updates]
        assert all(map(vectorisable, trees)), self.call.name
        used = [n for tree in trees for n in nodes(tree)]
        kept = {n.index for n in used if isinstance(n, Acc) and n.index < self.call.slots}
        for slot in sorted(kept | {s for s, _ in phase.updates}):
            self.add("float *", f"slot{slot}", f"slots + {slot} * slot + (b - b_begin) * row")
        self.add("const float *", "sums", f"sums + (b - b_begin) * {phase.sums} * row")
        for number in sorted({n.operand for n in used if isinstance(n, Load)}):
            operand = self.operands[number]
            self.add("const float *", operand.name, operand.at("t", "d", "b"))
            if operand.strides[-1].isidentifier():
                self.add("int32_t", operand.strides[-1], operand.strides[-1])
        for size in sorted({n.slot for n in used if isinstance(n, Size)}):
            self.add("int32_t", f"size{size}", f"size{size}")
        if any(isinstance(n, Index) for n in used):
            for axis in "tdb":
                self.add("int32_t", axis, axis)
        self.add("int32_t", "units", "units")
        if out:
            self.add("float *", "out", out.at("t", "d", "b"))
        printer = Printer(VECTOR, self._leaf)
        values = [(slot, printer.value(tree)) for slot, tree in phase.updates]
        self.body = printer.statements + [f"f32x4_store(slot{slot} + u, {v});" for slot, v in values]
        if out:
            self.body.append(f"f32x4_store_partial(out + u, {dict(values)[0]}, units - u);")

    def _leaf(self, node: Scalar) -> str:
        match node:
            case Acc():
                if node.index < self.call.slots:
                    return f"f32x4_load(slot{node.index} + u)"
                gate = node.index - self.call.slots
                return f"f32x4_load(sums + (u & -8) * {self.gates} + {8 * gate} + (u & 4))"
            case Load():
                operand = self.operands[node.operand]
                memory = VECTOR.classes[operand.dtype].memory
                match operand.strides[-1]:
                    case "0":
                        return f"{memory}_load_splat({operand.name})"
                    case "1":
                        return f"{memory}_load({operand.name} + u)"
                    case stride:
                        return f"{memory}_gather({operand.name} + u * {stride}, {stride}, units - u)"
            case Index():
                return "i32x4_ramp(u)" if node.axis == 3 else f"i32x4_splat({'tdb'[node.axis]})"
            case Size():
                return f"i32x4_splat(size{node.slot})"
            case _:
                raise AssertionError(f"{type(node).__name__} is no leaf")


@dataclass
class Signature:
    """A call's parameters, with the operands that they declare."""

    call: Recurrence
    cut_rows: int = _CUT_ROWS  # rows that no part divides
    cost: int = 1  # of a multiplication and addition, in those of a tile
    parameters: Parameters = field(default_factory=Parameters)

    def __post_init__(self) -> None:
        call, parameters = self.call, self.parameters
        finals = [(s, v) for s, v in enumerate(call.finals) if v is not None]
        for view in (*call.reads(), call.output, *(v for _, v in finals)):
            require_plain(call, view)
        for name, size in (("steps", call.steps), ("batch", call.batch), ("units", call.units)):
            parameters.dim(name, size)
        self.out = parameters.view("out", call.output, written=True)
        assert self.out.strides[-1] == "1", f"{call.name}: units are not adjacent"
        self.finals = [(s, parameters.view(f"final{s}", v, written=True)) for s, v in finals]
        self.weights = [parameters.view(f"w{i}", p.weight) for i, p in enumerate(call.phases)]
        self.operands = {i: parameters.view(f"in{i}", v) for i, v in enumerate(call.inputs)}
        used = [n for p in call.phases for _, tree in p.updates for n in nodes(tree)]
        for slot in sorted({n.slot for n in used if isinstance(n, Size)}):
            parameters.dim(f"size{slot}", call.size_values[slot])
        parameters.scratch()
        rows = ceildiv(call.batch, self.cut_rows)
        sums = len(call.reverse) * sum(p.sums for p in call.phases)
        work = call.steps * call.batch * (sums * call.units**2 * self.cost)
        parameters.share(best_cut([(1, rows), (0, len(call.reverse))], work))

    def common(self) -> dict[str, object]:
        """What both templates are told alike."""
        call = self.call
        return {
            "signature": self.parameters.signature,
            "directions": len(call.reverse),
            "backward": _backward_if(call.reverse),
            "slots": call.slots,
            "lengths": "" if call.lengths is None else self.operands[call.lengths].at("0", "d", "b"),
            "finals": [(slot, operand.at("d", "b")) for slot, operand in self.finals],
            "out_at_step": self.out.at("step", "d", "b"),
        }


def _backward_if(reverse: Sequence[bool]) -> str:
    """A C condition: whether direction d runs backward."""
    if len(set(reverse)) == 1:
        return str(int(reverse[0]))
    return f"{sum(1 << d for d, backward in enumerate(reverse) if backward)} >> d & 1"


class RecurrenceKernel:
    """See `pyruntime_wasm.kernels.Kernel`."""

    def key(self, call: Recurrence) -> Hashable:
        """The code itself."""
        return self.render(call, "recurrence")

    def render(self, call: Recurrence, name: str) -> str:
        """The C function, with the products and the update of each phase."""
        s = Signature(call)
        last = len(call.phases) - 1
        assert 0 in dict(call.phases[last].updates), f"{call.name}: the last phase leaves slot 0 as it is"
        return render_template(
            "recurrence",
            **s.common(),
            name=name,
            phases=[self._phase(s, i, keeps=call.keeps_steps and i == last) for i in range(last + 1)],
            most_gates=max(p.sums for p in call.phases),
            repacks=not all(p.panels for p in call.phases),
            initial=[
                (slot, s.operands[i].at("0", "d", "b"), s.operands[i].strides[-1])
                for slot, i in enumerate(call.initial)
                if i is not None
            ],
            keeps_steps=call.keeps_steps,
            cut_rows=s.cut_rows,
        )

    def _phase(self, s: Signature, number: int, *, keeps: bool) -> dict[str, object]:
        phase = s.call.phases[number]
        assert phase.panels in (0, PANELS), s.call.name
        update = _Update(s.call, s.operands, phase.sums)
        update.render(phase, s.out if keeps else None)
        return {
            "gates": phase.sums,
            "source": phase.source,
            "chains": -(-CHAINS // (2 * phase.sums)),
            "panels": phase.panels,
            "strides": s.weights[number].strides,
            "packed_before": sum(p.sums for p in s.call.phases[:number] if not p.panels),
            "signature": ", ".join(update.signature),
            "arguments": ", ".join(update.arguments),
            "body": update.body,
        }

    def scratch(self, call: Recurrence) -> Dim:
        """The slots and the sums of a phase, for all rows; weights that must be packed."""
        row = -(-call.units // PANELS) * PANELS
        most = max(p.sums for p in call.phases)
        packed = sum(p.sums for p in call.phases if not p.panels) * row * call.units
        return (call.batch * ((call.slots + most) * row) + packed) * DType.F32.bytes

    def arguments(self, call: Recurrence) -> Sequence[Argument]:
        """Sizes, output, final states, weights, operands, scratch."""
        return Signature(call).parameters.arguments


KERNEL = RecurrenceKernel()
