"""What each ONNX operator can do on each target: `python -m tests.conformance.support` writes the tables.

Tests are counted from tests.tsv. Which dtypes an operator takes is tried: the suite's own models of it, with
each dtype that ONNX allows in the place of theirs, are lowered and rendered for both targets.
"""

from __future__ import annotations

import functools
import json
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto
from onnx.defs import OpSchema
from pyruntime_converter.frontends.onnx import read
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise
from pyruntime_shaders.emit import divide_programs, render_divided
from pyruntime_wasm.kernels import kernel_for
from rich.progress import track

from pyruntime.cli import operators
from tests.conformance import probes, results
from tests.conformance.results import OURS, STATUSES, Found
from tests.conformance.suite import Case, cases

DATA = Path(operators.__file__).with_name("operators.json")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "operators.md"
DOMAINS = ("", "ai.onnx.ml", "ai.onnx.preview.training")
CANDIDATES = 4  # models that are tried with a dtype
_NAMING = ("to", "dtype", "output_dtype")  # attributes that tell the type of what comes out


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
            **_dtypes(name, known[name], found),
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


def parameters(schema: OpSchema) -> dict[str, list[str]]:
    """The element types that ONNX allows each type parameter of an operator, the main tensors' first.

    A type that is written out, as `tensor(float)` for NonMaxSuppression's boxes, counts as a parameter where
    it is that of the main tensors. What takes sequences alone has the types of their elements.
    """
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    ends = [*schema.inputs, *schema.outputs]
    main = [ends[0].type_str] if ends else []
    found = {}
    for parameter in dict.fromkeys((*main, *allowed)):
        kinds = allowed.get(parameter, [parameter])
        tensors = [k for k in kinds if k.startswith("tensor(")] or kinds
        types = {t for k in tensors if (t := probes.plain(k)) is not None}
        if types:
            found[parameter] = sorted(types)
    return found


def _dtypes(name: str, schema: OpSchema, found: Found) -> dict[str, Any]:
    """For each dtype that ONNX allows the operator's main tensors, the targets that take it.

    `dtypes` has those that models are compiled for, `run` those on which a test has it and passes;
    `others` is as `dtypes`, for each further type parameter.
    """
    own = alone(name)
    told: dict[str, Any] = {"dtypes": {}, "run": {}, "others": {}}
    for parameter, types in parameters(schema).items():
        taken = {
            dtype: targets
            for dtype in types
            if (targets := taking(name, schema, parameter, dtype)) is not None
        }
        if not taken:
            continue
        if parameter == (*schema.inputs, *schema.outputs)[0].type_str:
            ran = {t: _running(t, parameter, schema, own, found) for t in types}
            told |= {"dtypes": taken, "run": {t: targets for t, targets in ran.items() if targets}}
        else:
            told["others"][parameter] = taken
    return told


@functools.cache
def alone(name: str) -> list[Case]:
    """The suite's models of one node, of this operator, and no weights."""
    return [
        c
        for c in cases()
        if c.ops == (name,) and len(c.proto.graph.node) == 1 and not c.proto.graph.initializer
    ]


def _running(dtype: str, parameter: str, schema: OpSchema, own: Sequence[Case], found: Found) -> list[str]:
    """The targets on which a test passes that has this dtype for `parameter`."""
    having = [c.name for c in own if _has(c.proto, dtype, parameter, schema)]
    return [t for t in OURS[:2] if any(found[t][name].status == "passed" for name in having)]


def _has(model: ModelProto, dtype: str, parameter: str, schema: OpSchema) -> bool:
    tensors = _tensors(model, parameter, schema)
    return bool(tensors) and all(t.elem_type == probes.number(dtype) for t in tensors)


def _tensors(model: ModelProto, parameter: str, schema: OpSchema) -> list[Any]:
    """The types of what a model of one node is fed and gives that has the type `parameter`."""
    node = model.graph.node[0]
    names = {
        *_typed(node.input, schema.inputs, parameter),
        *_typed(node.output, schema.outputs, parameter),
    }
    values = [v for v in (*model.graph.input, *model.graph.output) if v.name in names]
    return [v.type.tensor_type for v in values if v.type.WhichOneof("value") == "tensor_type"]


def taking(name: str, schema: OpSchema, parameter: str, dtype: str) -> list[str] | None:
    """The targets for which a model is lowered that has this dtype for `parameter`, as `_accepting` tells.

    The model is the one that is written for the operator, or one of the suite's of one node, retyped.
    None where there is none whose tensors have the parameter's type.
    """
    if name in probes.MODELS:
        model = probes.written(name, schema, parameter, dtype)
        return None if model is None else sorted(_accepting(model))
    found: set[str] | None = None
    for model in list(_retyped(dtype, parameter, schema, alone(name)))[:CANDIDATES]:
        found = {*(found or ()), *_accepting(model)}
        if "webgpu" in found:
            return ["wasm", "webgpu"]
    return None if found is None else sorted(found)


def _retyped(dtype: str, parameter: str, schema: OpSchema, own: Sequence[Case]) -> Iterator[ModelProto]:
    """Models of one node with this dtype for `parameter`; those first that have it already."""
    wanted = probes.number(dtype)
    changed = []
    for case in own:
        model = ModelProto()
        model.CopyFrom(case.proto)
        tensors = _tensors(model, parameter, schema)
        if not tensors:
            continue
        if all(t.elem_type == wanted for t in tensors):
            yield model
            continue
        for tensor in tensors:
            tensor.elem_type = wanted
        for attribute in model.graph.node[0].attribute:
            if attribute.name in _NAMING and not set(model.graph.node[0].input).intersection(
                _typed(model.graph.node[0].input, schema.inputs, parameter)
            ):
                attribute.i = wanted
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
        "runs them; · is taken by neither. A blank is no dtype that ONNX allows. Operators that the suite",
        "has no model of alone are tried with models of our own (tests/conformance/probes.py).",
        "",
        "|".join(["", "operator", "wasm", "webgpu", *(operators.DTYPES[d] for d in names), ""]),
        "|".join(["", "---", "--:", "--:", *(":-:" for _ in names), ""]),
    ]
    for name, told in data["operators"].items():
        cells = [operators.cell(told, d) for d in names]
        lines.append(
            "|".join(["", name, *(operators.passed(told["tests"][t]) for t in OURS[:2]), *cells, ""])
        )
    lines += [
        "",
        "## Types beside those of the main tensors",
        "",
        "Of operators with several type parameters the others; none counts the suite's tests.",
        "",
        "|".join(["", "operator", "type", *(operators.DTYPES[d] for d in names), ""]),
        "|".join(["", "---", "---", *(":-:" for _ in names), ""]),
    ]
    for name, told in data["operators"].items():
        for parameter, dtypes in told["others"].items():
            cells = [operators.cell({"dtypes": dtypes, "run": {}}, d) for d in names]
            lines.append("|".join(["", name, parameter, *cells, ""]))
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
