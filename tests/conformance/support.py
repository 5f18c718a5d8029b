"""What each ONNX operator can do on each target: `python -m tests.conformance.support` writes the tables.

Tests are counted from tests.tsv. Which dtypes an operator takes is tried: the suite's own models of it, with
each dtype that ONNX allows in the place of theirs, are lowered and rendered for both targets.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto, TensorProto
from onnx.defs import OpSchema
from pyruntime_converter.frontends.onnx import read
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise
from pyruntime_shaders.emit import divide_programs, render_divided
from pyruntime_wasm.kernels import kernel_for
from rich.progress import track

from pyruntime.cli import operators
from tests.conformance import results
from tests.conformance.results import OURS, STATUSES, Found
from tests.conformance.suite import Case, cases

DATA = Path(operators.__file__).with_name("operators.json")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"
DOMAINS = ("", "ai.onnx.ml", "ai.onnx.preview.training")
CANDIDATES = 4  # models that are tried with a dtype


def schemas() -> dict[str, OpSchema]:
    """The newest form of each operator that is not deprecated, by name."""
    newest: dict[tuple[str, str], OpSchema] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        key = schema.domain, schema.name
        if schema.domain in DOMAINS and (
            key not in newest or schema.since_version > newest[key].since_version
        ):
            newest[key] = schema
    found = (s for s in newest.values() if not s.deprecated)
    return {f"{s.domain}.{s.name}" if s.domain else s.name: s for s in found}


def collected(found: Found) -> dict[str, Any]:
    """What `pyruntime ops` reads: for each operator its tests, dtypes and the reasons for what is missing."""
    made = {}
    known = schemas()
    for name in track(sorted(known, key=str.lower), "operators"):
        own = [c for c in cases() if c.ops == (name,)] or [c for c in cases() if name in c.ops]
        made[name] = {
            "opset": known[name].since_version,
            "tests": {t: _counts(found, t, own) for t in OURS[:2]},
            **_dtypes(known[name], [c for c in own if c.ops == (name,)], found),
            "reasons": _reasons(found, own),
        }
    return {"suite": f"onnx {onnx.__version__}", "opset": onnx.defs.onnx_opset_version(), "operators": made}


def _counts(found: Found, target: str, own: Sequence[Case]) -> list[int]:
    seen = Counter(found[target][c.name].status for c in own)
    return [seen[status] for status in STATUSES]


def _reasons(found: Found, own: Sequence[Case]) -> list[list[Any]]:
    """Why tests do not pass, how often on which target; without nodes' names, which differ."""
    seen: dict[str, dict[str, int]] = {}
    for target in OURS[:2]:
        for case in own:
            outcome = found[target][case.name]
            if outcome.status != "passed":
                counted = seen.setdefault(_general(outcome.reason), {})
                counted[target] = counted.get(target, 0) + 1
    return [[reason, counted] for reason, counted in sorted(seen.items())]


def _general(reason: str) -> str:
    """A reason without the node's name and the remedy."""
    op, quote, rest = reason.partition(" '")
    _, end, told = rest.partition("': ")
    text = told if quote and end and " " not in op else reason
    return text.split(". ")[0].rstrip(".")


# ---- dtypes


def _dtypes(schema: OpSchema, own: Sequence[Case], found: Found) -> dict[str, dict[str, list[str]]]:
    """For each dtype that ONNX allows the operator's main tensors, the targets that take it.

    `dtypes` has those that models are compiled for, `run` those on which a test has it and passes.
    Both are empty for an operator without a test of its own.
    """
    ends = [*schema.inputs, *schema.outputs]
    constraint = next(
        (c for c in schema.type_constraints if ends and c.type_param_str == ends[0].type_str), None
    )
    own = [c for c in own if len(c.proto.graph.node) == 1 and not c.proto.graph.initializer]
    if constraint is None or not own:
        return {"dtypes": {}, "run": {}}
    types = [t.removeprefix("tensor(").removesuffix(")") for t in constraint.allowed_type_strs]
    plain = sorted(
        t for t, a in zip(types, constraint.allowed_type_strs, strict=True) if a.startswith("tensor(")
    )
    parameter = constraint.type_param_str
    ran = {t: _running(t, parameter, schema, own, found) for t in plain}
    return {
        "dtypes": {t: _taking(t, parameter, schema, own) for t in plain},
        "run": {t: targets for t, targets in ran.items() if targets},
    }


def _running(dtype: str, parameter: str, schema: OpSchema, own: Sequence[Case], found: Found) -> list[str]:
    """The targets on which a test passes that has this dtype for `parameter`."""
    having = [c.name for c in own if _has(c.proto, dtype, parameter, schema)]
    return [t for t in OURS[:2] if any(found[t][name].status == "passed" for name in having)]


def _has(model: ModelProto, dtype: str, parameter: str, schema: OpSchema) -> bool:
    tensors = _tensors(model, parameter, schema)
    return bool(tensors) and all(t.elem_type == _ELEMENT_TYPES[dtype] for t in tensors)


def _tensors(model: ModelProto, parameter: str, schema: OpSchema) -> list[Any]:
    """The types of what a model of one node is fed and gives that has the type `parameter`."""
    node = model.graph.node[0]
    names = {
        *_typed(node.input, schema.inputs, parameter),
        *_typed(node.output, schema.outputs, parameter),
    }
    values = [v for v in (*model.graph.input, *model.graph.output) if v.name in names]
    return [v.type.tensor_type for v in values if v.type.WhichOneof("value") == "tensor_type"]


def _taking(dtype: str, parameter: str, schema: OpSchema, own: Sequence[Case]) -> list[str]:
    """The targets for which one of the suite's models is lowered with this dtype, as `_accepting` tells."""
    found: set[str] = set()
    for model in list(_retyped(dtype, parameter, schema, own))[:CANDIDATES]:
        found.update(_accepting(model))
        if "webgpu" in found:
            return ["wasm", "webgpu"]
    return sorted(found)


def _retyped(dtype: str, parameter: str, schema: OpSchema, own: Sequence[Case]) -> Iterator[ModelProto]:
    """Models of one node with this dtype for `parameter`; those first that have it already."""
    wanted = _ELEMENT_TYPES[dtype]
    changed = []
    for case in own:
        model = ModelProto()
        model.CopyFrom(case.proto)
        tensors = _tensors(model, parameter, schema)
        if all(t.elem_type == wanted for t in tensors):
            yield model
            continue
        for tensor in tensors:
            tensor.elem_type = wanted
        changed.append(model)
    yield from changed


def _typed(
    names: Sequence[str], formals: Sequence[OpSchema.FormalParameter], parameter: str
) -> Iterator[str]:
    """The tensors that have the type `parameter`; the last formal one may take several."""
    for position, name in enumerate(names):
        if formals and formals[min(position, len(formals) - 1)].type_str == parameter:
            yield name


def _accepting(model: ModelProto) -> Iterator[str]:
    """The targets that a model can be rendered for; "host" where WebGPU leaves steps to the CPU."""
    try:
        graph = read(model.SerializeToString())
        optimise(graph)
        program = lower(graph)
    except Exception:  # noqa: BLE001 - whatever it is, the dtype is not taken
        return
    try:
        for call in program.calls:
            kernel_for(call).render(call, "probe")
        yield "wasm"
        (division,) = divide_programs([program], host_steps=True)
        render_divided([program], [division])
        yield "host" if division.host else "webgpu"
    except Exception:  # noqa: BLE001 - as above
        return


_SPECIAL = {"float": TensorProto.FLOAT, "double": TensorProto.DOUBLE}
_ELEMENT_TYPES = {name.lower(): number for name, number in TensorProto.DataType.items()} | _SPECIAL


# ---- the page


def page(data: dict[str, Any]) -> str:
    """docs/operators.md."""
    names = [d for d in operators.DTYPES if any(d in o["dtypes"] for o in data["operators"].values())]
    lines = [
        "# Operators",
        "",
        f"ONNX's operators up to opset {data['opset']}, judged by the backend suite of {data['suite']};",
        "`make conformance` writes this page, `pyruntime ops` prints it. Tests: passed of all. Dtypes: ● is",
        "taken by both targets, h by both, but on WebGPU by steps on the CPU, w by Wasm alone, and a test",
        "of the suite has it and passes there; ○, (h) and (w) are compiled, but none of the suite's tests",
        "runs them; · is taken by neither. A blank is no dtype that ONNX allows, or an operator of which",
        "the suite has no test.",
        "",
        "|".join(["", "operator", "wasm", "webgpu", *(operators.DTYPES[d] for d in names), ""]),
        "|".join(["", "---", "--:", "--:", *(":-:" for _ in names), ""]),
    ]
    for name, told in data["operators"].items():
        cells = [operators.cell(told, d) for d in names]
        lines.append(
            "|".join(["", name, *(operators.passed(told["tests"][t]) for t in OURS[:2]), *cells, ""])
        )
    lines += ["", "## What does not pass, and why", ""]
    for name, told in data["operators"].items():
        for reason, counted in told["reasons"]:
            where = ", ".join(f"{n} on {t}" for t, n in counted.items())
            lines.append(f"- {name} ({where}): `{reason.replace('`', '')}`")
    return "\n".join(lines) + "\n"


def write() -> None:
    """Write the data of `pyruntime ops` and the page."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, where constants fold
        data = collected(results.kept())
    rows = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in data["operators"].items())
    head = "".join(f'"{k}": {json.dumps(v)},\n' for k, v in data.items() if k != "operators")
    DATA.write_text(f'{{{head}"operators": {{\n{rows}\n}}}}\n', encoding="utf-8")
    PAGE.write_text(page(data), encoding="utf-8")


if __name__ == "__main__":
    write()
