"""Walks an ONNX graph and builds the canonical graph: scopes, functions, branches, and errors collected."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, SparseTensorProto, TensorProto

from pyruntime.errors import ModelError, UnsupportedError, UnsupportedNodesError
from pyruntime.ir.conditions import Facts
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Origin, Shape, Value
from pyruntime.ops.builder import Builder
from pyruntime.ops.definition import DTypeError, OpError
from pyruntime_converter.frontends.model import ImportedModel
from pyruntime_converter.frontends.onnx import attributes, functions, source, text
from pyruntime_converter.frontends.onnx.assumptions import (
    NOTHING_ASSUMED,
    Assumptions,
    Bounded,
    LackingError,
    Undecided,
    Unopened,
    explore,
    openable,
)
from pyruntime_converter.frontends.onnx.bodies import Body
from pyruntime_converter.frontends.onnx.broadcasting import Broadcasting
from pyruntime_converter.frontends.onnx.context import Blocked, ByFunction, NodeContext, handler_of
from pyruntime_converter.frontends.onnx.emptiness import admit_empty
from pyruntime_converter.frontends.onnx.held import Held, Text, flat
from pyruntime_converter.frontends.onnx.interface import Inputs, declare_output
from pyruntime_converter.frontends.onnx.lacking import lacking, lacking_inside
from pyruntime_converter.frontends.onnx.order import MAX_DEPTH, in_order, label, reads
from pyruntime_converter.frontends.onnx.refusals import Refusals
from pyruntime_converter.frontends.onnx.scope import Frame, Gap, Scope
from pyruntime_converter.frontends.onnx.survey import MISFIT, UNDECIDED, UNKNOWN_INPUT, Survey, Types
from pyruntime_converter.frontends.onnx.tensors import array_of, dense_of
from pyruntime_converter.frontends.onnx.unbound import Unbound
from pyruntime_converter.options import NOTHING, Told

# functions that call each other can multiply: a small file must not keep the converter busy for ever
MAX_NODES = 1_000_000
NAME_DIMS = "Give dimensions that are equal the same name, or export with fixed sizes."
# what inference (OpError is a ValueError) and arithmetic on a malformed node's attributes raise
_MALFORMED = (ValueError, IndexError, ZeroDivisionError, OverflowError, MemoryError)


def read(path_or_bytes: str | Path | bytes, name: str | None = None, told: Told = NOTHING) -> Graph:
    """The canonical graph of an ONNX model; `told` as for `read_model`.

    Input and output names are the model's own. Weights are the file's own bytes wherever possible.

    Raises:
        ModelError: missing, damaged or inconsistent; the message names the file or the node.
        UnsupportedError: what cannot be converted; UnsupportedNodesError lists the nodes where several are.
    """
    return import_model(path_or_bytes, name, told).graph


def import_model(
    path_or_bytes: str | Path | bytes,
    name: str | None = None,
    told: Told = NOTHING,
    *,
    survey: bool = False,
) -> ImportedModel:
    """As `read`, with what else the file says about itself; `told` as for `read_model`.

    With `survey`, what cannot be converted does not end the search for more, and is a SurveyedError.
    """
    loaded = source.load(path_or_bytes)
    proto = loaded.proto
    stem = "" if isinstance(path_or_bytes, bytes) else Path(path_or_bytes).stem
    opsets = source.opsets(proto, loaded.where)
    called = name or stem or proto.graph.name or "model"
    types = Types(proto) if survey else None

    certain = NOTHING_ASSUMED

    def convert(empty: frozenset[str]) -> Graph:
        nonlocal certain

        def under(given: Assumptions) -> Graph:
            return _Importer(proto, opsets, loaded.folder, told, given, empty, types).run(called)

        graph, certain = explore(under, certain)
        return graph

    graph = convert(frozenset()) if survey else admit_empty(convert)
    producer = f"{proto.producer_name} {proto.producer_version}".strip()
    return ImportedModel(graph, "onnx", loaded.sha256, opsets.get("", 0), producer)


class _Importer:
    def __init__(
        self,
        proto: onnx.ModelProto,
        opsets: dict[str, int],
        folder: Path | None,
        told: Told,
        assumptions: Assumptions,
        empty: frozenset[str],
        types: Types | None = None,
    ) -> None:
        self._proto, self._opsets, self._folder = proto, opsets, folder
        self._told, self._assumptions, self._empty = told, assumptions, empty
        self._functions = {(source.domain(f.domain), f.name): f for f in proto.functions}
        self._problems: list[UnsupportedError] = []
        self._selected: dict[Value, Value] = {}
        self._indices: set[Value] = set()
        self._named: set[Value] = set()  # values that already have the name of something in the model
        self._nodes = 0
        self._types = types
        self._beyond: Survey | None = None

    def run(self, name: str) -> Graph:
        """The graph. Raises Bounded, whatever else there is to say, where it is better converted anew."""
        self._graph = Graph(name)
        self._builder = Builder(self._graph, self._assumptions.facts)
        scope = Scope()
        self._weights(self._proto.graph, scope)
        self._inputs(self._proto.graph, scope)
        try:
            self._convert(scope)
        except Exception:
            if not self._refusals.learnt:
                raise
        if self._refusals.learnt:
            raise Bounded(tuple(self._refusals.learnt))
        return self._graph

    def _convert(self, scope: Scope) -> None:
        """Make the graph's nodes and outputs, behind its inputs."""
        graph, proto = self._graph, self._proto.graph
        frame = Frame(scope, self._opsets)
        results = self._body(proto.node, [v.name for v in proto.output], frame)
        if self._problems and self._beyond is not None:
            raise self._beyond.error(self._problems, self._part(results))
        if self._problems:
            raise (UnsupportedNodesError(self._problems) if len(self._problems) > 1 else self._problems[0])
        for output, result in zip(proto.output, results, strict=True):
            assert not isinstance(result, Gap)
            declare_output(self._builder, output.name, result)
        if len(set(graph.output_names)) != len(graph.output_names):
            raise ModelError(f"outputs {graph.output_names} repeat a name")
        graph.verify()

    # ---------------------------------------------------------------- what a graph declares

    def _weights(self, proto: GraphProto, scope: Scope) -> None:
        def dense(tensor: TensorProto) -> Held:
            array = array_of(tensor, self._folder)
            if array.dtype == object:
                return text.constant(self._builder, array, tensor.name)
            return self._bind(self._builder.constant(array, name=tensor.name))

        def sparse(tensor: SparseTensorProto) -> Value:
            array = dense_of(tensor, self._folder, tensor.values.name)
            return self._bind(self._builder.constant(array, name=tensor.values.name))

        for tensor in proto.initializer:
            scope.weight(tensor.name, functools.partial(dense, tensor))
        for zeros_left_out in proto.sparse_initializer:
            scope.weight(zeros_left_out.values.name, functools.partial(sparse, zeros_left_out))

    def _inputs(self, proto: GraphProto, scope: Scope) -> None:
        # before IR version 4 every weight is listed as an input too
        fed = [v for v in proto.input if not scope.has(v.name)]
        least = {**self._assumptions.least_sizes, **dict.fromkeys(self._empty, 0)}
        inputs = Inputs(fed, self._builder, self._told, self._assumptions.opened, least)
        self._unbound = Unbound(inputs.symbols)
        self._broadcasting = Broadcasting(self._unbound.varies)
        if self._types is not None:
            self._beyond = Survey(self._types, self._stand_in, self._unbound.size)
        for name, held in inputs.declare(self._problems.append if self._beyond else None):
            scope.define(name, held)
        self._named.update(self._graph.inputs)
        self._refusals = Refusals(self._graph, self._assumptions, self._told.dims.keys() | self._empty)

    def _openable(self, value: Value, dtypes: Container[DType]) -> frozenset[str]:
        """Inputs whose contents alone decide a value; those of strings have none."""
        numbers = [v for v in self._graph.inputs if v.name not in self._graph.encoded]
        return openable(value, numbers, self._builder.sources, dtypes)

    # --------------------------------------------------------------------------- bodies

    def _body(self, nodes: Sequence[NodeProto], outputs: Sequence[str], frame: Frame) -> list[Held | Gap]:
        """Convert what the outputs of a graph, branch or function need; what they stand for."""
        if frame.depth > MAX_DEPTH:
            raise ModelError(f"subgraphs or functions are nested deeper than {MAX_DEPTH}")
        scope = frame.scope
        used = set(outputs)
        live: list[NodeProto] = []
        for node in reversed(in_order(nodes, scope.has)):
            if not used.isdisjoint(filter(None, node.output)):
                used.update(reads(node))
                live.append(node)
        for node in reversed(live):
            self._nodes += 1
            if self._nodes > MAX_NODES:
                raise ModelError(f"the model has more than {MAX_NODES} nodes with its functions expanded")
            results = self._node(node, frame, used)
            for name, result in zip(node.output, results, strict=True):
                if name:
                    scope.define(name, result)
        return [scope.get(name) for name in outputs]

    def _node(self, node: NodeProto, frame: Frame, used: set[str]) -> list[Held | Gap]:
        """What the node's outputs stand for; problems are noted, so that all can be reported together."""
        gaps: list[Held | Gap] = [Gap.BLOCKED] * len(node.output)
        name = f"{frame.prefix}{label(node)}"
        origin = frame.user or Origin(node.op_type, name)
        outer, self._builder.origin = self._builder.origin, origin
        entries: list[Held | Gap] = []
        try:
            entries = [frame.scope.get(i) if i else Gap.ABSENT for i in node.input]
            if Gap.BLOCKED in entries:
                lacks = list(lacking(node, frame, self._functions))
                self._problems += lacks
                return self._instead(node, name, frame, gaps, "" if lacks else UNKNOWN_INPUT)
            inputs = [None if isinstance(e, Gap) else e for e in entries]
            results = self._apply(node, name, inputs, frame, used)
        except Blocked:
            return self._instead(node, name, frame, gaps)
        except (Undecided, Unopened):
            # conversion fails whatever comes of it, if something was found or it hangs on what stands in
            if not (self._beyond.follows(self._tensors(entries)) if self._beyond else self._problems):
                raise
            self._problems += lacking_inside(node, frame, self._functions)
            return self._instead(node, name, frame, gaps, UNDECIDED)
        except UnsupportedError as error:
            self._problems.append(error)
            if self._beyond is not None:
                self._beyond.note(error, self._tensors(entries))
            self._problems += lacking_inside(node, frame, self._functions)
            return self._instead(node, name, frame, gaps)
        except (ModelError, *_MALFORMED) as error:
            if self._beyond is not None and self._beyond.follows(self._tensors(entries)):
                return self._instead(node, name, frame, gaps, MISFIT)
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"{origin.op} {origin.name!r}: {error}") from error
        finally:
            self._builder.origin = outer
        for index, (value, output) in enumerate(zip(results, node.output, strict=False)):
            if value is None:
                continue
            if isinstance(value, Value):
                if output and frame.user is None and value not in self._named:
                    value.name = self._builder.unique(output)
                self._named.add(value)
            gaps[index] = value
        if self._beyond is not None:
            self._beyond.made(self._tensors(gaps), self._tensors(entries))
        return gaps

    def _instead(
        self, node: NodeProto, name: str, frame: Frame, gaps: list[Held | Gap], reason: str = ""
    ) -> list[Held | Gap]:
        """Gaps, or in a survey of the model's own graph what stands in; a `reason` leaves the node open."""
        if self._beyond is None:
            return gaps
        if reason:
            self._beyond.leave_open(node.op_type, name, reason)
        if frame.depth:
            return gaps
        made = self._beyond.stand_ins(node, self._graph.symbols())
        return [gap if value is None else value for gap, value in zip(gaps, made, strict=True)]

    def _tensors(self, entries: Sequence[Held | Gap]) -> list[Value]:
        """The tensors among some entries, each as the model's own graph has it."""
        found, sources = flat(e for e in entries if not isinstance(e, Gap)), self._builder.sources
        while any(v in sources for v in found):
            found = [sources.get(v, v) for v in found]
        return found

    def _stand_in(self, name: str, dtype: DType, shape: Shape) -> Value:
        return self._bind(self._builder.input(name, dtype, shape))

    def _part(self, results: Sequence[Held | Gap]) -> Graph | None:
        """The graph with those of its outputs that were reached; None where there are none."""
        for output, result in zip(self._proto.graph.output, results, strict=True):
            if isinstance(result, Value):
                self._builder.materialised(result)
                self._graph.outputs.append(result)
                self._graph.output_names.append(output.name)
        return self._graph if self._graph.outputs else None

    def _bind(self, value: Value) -> Value:
        self._named.add(value)
        return value

    # ---------------------------------------------------------------------------- nodes

    def _apply(
        self, node: NodeProto, name: str, inputs: list[Held | None], frame: Frame, used: set[str]
    ) -> Sequence[Held | None]:
        domain = source.domain(node.domain)
        where = f"{node.op_type} {name!r}"
        given = attributes.resolve(node.attribute, frame.bound, where)
        function = self._functions.get((domain, node.op_type))
        if function is not None:
            defaults = {a.name: a for a in function.attribute_proto}
            wanted = [o if o in used else "" for o in node.output]
            return self._call(
                function, inputs, {**defaults, **given}, replace(frame, prefix=f"{name}/"), wanted
            )
        opset = self._opset(domain, frame, where)
        schema = functions.schema_of(node.op_type, opset, domain)
        if schema is not None:
            attributes.check(given, schema, where)
        handler = handler_of(domain, node.op_type, opset)
        if handler is None:
            return self._expand(node, name, inputs, given, frame, used)
        given_inputs, table = text.as_rows(self._builder, domain, node.op_type, inputs)
        if table is not None and schema is not None and functions.mixed(schema, inputs):
            raise ModelError(
                f"{where}: strings stand where it takes numbers, or both where it takes one type"
            )
        context = NodeContext(
            builder=self._builder,
            op=node.op_type,
            name=name,
            opset=opset,
            schema=schema,
            inputs=given_inputs,
            attrs={k: attributes.value_of(a, self._folder) for k, a in given.items()},
            outputs=node.output,
            used=used,
            inline=lambda graph, inputs: self._inline(graph, frame, inputs),
            subgraph=lambda graph, inputs: self._subgraph(graph, frame, {}, inputs),
            attempt=lambda graph, facts: self._attempt(graph, frame, facts),
            probe=lambda graph, inputs: self._probe(graph, frame, inputs),
            counter=self._unbound.counter,
            refusals=self._refusals,
            fresh=self._unbound.fresh,
            limit_bytes=lambda strings, most: text.limit(
                strings, most, self._graph, self._builder.sources, Origin(node.op_type, name)
            ),
            selected=self._selected,
            indices=self._indices,
            varies=self._unbound.varies,
            broadcasting=self._broadcasting,
            greatest=self._unbound.greatest,
            greatest_within=self._unbound.greatest_within,
            openable=self._openable,
            assumptions=self._assumptions,
        )
        try:
            results = handler(context)
        except ByFunction:
            return self._expand(node, name, inputs, given, frame, used)
        except DTypeError as error:
            if schema is None or not functions.allows(schema, inputs):
                raise
            raise UnsupportedError(node.op_type, name, str(error)) from error
        except OpError as error:
            # shapes that disagree for fixed sizes are the model's fault; symbols may have been meant as equal
            if all(isinstance(d, int) for v in inputs if isinstance(v, Value) for d in v.shape):
                raise
            raise UnsupportedError(node.op_type, name, str(error), NAME_DIMS) from error
        results = [results] if isinstance(results, Held) else list(results)
        context.finish(results)
        if table is not None:
            return [Text(r, table) if isinstance(r, Value) else r for r in results]
        return results

    def _opset(self, domain: str, frame: Frame, where: str) -> int:
        if domain in frame.opsets:
            return frame.opsets[domain]
        if not domain:
            raise ModelError(f"{where}: the model does not say which opset it uses")
        return 1  # contrib domains are often used without being imported, and have one version

    def _expand(
        self,
        node: NodeProto,
        name: str,
        inputs: list[Held | None],
        given: dict[str, AttributeProto],
        frame: Frame,
        used: set[str],
    ) -> Sequence[Held | None]:
        """Convert an operator by the function that ONNX defines it by."""
        domain = source.domain(node.domain)
        opset = frame.opsets.get(domain, 1)
        schema = functions.schema_of(node.op_type, opset, domain)
        if schema is not None and functions.has_body(schema):
            resolved = NodeProto()
            resolved.CopyFrom(node)
            del resolved.attribute[:]
            resolved.attribute.extend(given.values())
            body = functions.body_of(schema, resolved, inputs, opset)
            if body is not None:
                user = frame.user or Origin(node.op_type, name)
                defaults = {k: a.default_value for k, a in schema.attributes.items()}
                present = {k: a for k, a in defaults.items() if a.type != AttributeProto.UNDEFINED}
                wanted = [o if o in used else "" for o in node.output]
                return self._call(body, inputs, {**present, **given}, replace(frame, user=user), wanted)
        raise LackingError.of_operator(node.op_type, name, domain, opset)

    def _call(
        self,
        function: FunctionProto,
        inputs: Sequence[Held | None],
        bound: dict[str, AttributeProto],
        frame: Frame,
        outputs: Sequence[str],
    ) -> Sequence[Held | None]:
        """Convert a function's body in place; `outputs` has "" for those that nothing reads."""
        if len(inputs) > len(function.input):
            raise ModelError(f"{function.name} takes {len(function.input)} inputs, not {len(inputs)}")
        scope = Scope()
        for index, parameter in enumerate(function.input):
            value = inputs[index] if index < len(inputs) else None
            scope.define(parameter, Gap.ABSENT if value is None else value)
        imported = source.imported(function.opset_import, f"function {function.name!r}")
        inner = replace(
            frame, scope=scope, opsets={**frame.opsets, **imported}, bound=bound, depth=frame.depth + 1
        )
        wanted = [name for name, output in zip(function.output, outputs, strict=False) if output]
        made = iter(_present(self._body(function.node, wanted, inner)))
        return [next(made) if output else None for output in outputs[: len(function.output)]]

    def _inline(self, graph: GraphProto, frame: Frame, inputs: Sequence[Held]) -> list[Held]:
        """Convert a subgraph that is certain to run, in place."""
        scope = Scope(frame.scope)
        for declared, value in zip(graph.input, inputs, strict=True):
            scope.define(declared.name, value)
        self._weights(graph, scope)
        inner = replace(frame, scope=scope, depth=frame.depth + 1)
        return _present(self._body(graph.node, [v.name for v in graph.output], inner))

    def _subgraph(
        self,
        graph: GraphProto,
        frame: Frame,
        facts: Facts,
        inputs: Callable[[Builder], Sequence[Value | Text]],
    ) -> Body:
        """Convert a subgraph to a graph of its own, whose first inputs are those that `inputs` makes."""
        body = Body(Builder(Graph(graph.name or "body"), facts, self._builder))
        outer, self._builder = self._builder, body.builder
        try:
            scope = Scope(frame.scope, body.capture)
            given = inputs(body.builder)
            if len(given) != len(graph.input):
                raise ModelError(f"subgraph {graph.name!r} has {len(graph.input)} inputs, not {len(given)}")
            for declared, value in zip(graph.input, given, strict=True):
                scope.define(declared.name, value if isinstance(value, Text) else self._bind(value))
            self._weights(graph, scope)
            inner = replace(frame, scope=scope, depth=frame.depth + 1)
            body.results = _present(self._body(graph.node, [v.name for v in graph.output], inner))
            body.graph.outputs = flat(body.results)
        finally:
            self._builder = outer
        return body

    def _attempt(self, graph: GraphProto, frame: Frame, facts: Facts) -> Body | None:
        """A branch that some sizes lead to, converted for those; None where it has no meaning for them."""
        noted, constraints = len(self._problems), len(self._graph.constraints)
        joined = self._broadcasting.joined
        try:
            return self._subgraph(graph, frame, facts, lambda _: ())
        except (Blocked, Undecided, UnsupportedError, ModelError):
            problems = self._problems[noted:]
            del self._graph.constraints[constraints:]
            self._broadcasting.joined = joined
            if any(isinstance(p, LackingError) for p in problems):
                raise Blocked from None
            del self._problems[noted:]
            return None

    def _probe(
        self, graph: GraphProto, frame: Frame, inputs: Callable[[Builder], Sequence[Value | Text]]
    ) -> Body | None:
        """A subgraph that is converted and not used; None where it can not be converted."""
        noted, constraints = len(self._problems), len(self._graph.constraints)
        joined = self._broadcasting.joined
        try:
            return self._subgraph(graph, frame, {}, inputs)
        except (Blocked, Undecided, UnsupportedError, ModelError):
            return None
        finally:
            del self._problems[noted:], self._graph.constraints[constraints:]
            self._broadcasting.joined = joined


def _present(entries: Sequence[Held | Gap]) -> list[Held]:
    """The entries, of which none may be lacking; raises Blocked when a node before them was unsupported."""
    found = [e for e in entries if not isinstance(e, Gap)]
    if len(found) != len(entries):
        raise Blocked
    return found
