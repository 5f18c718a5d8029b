"""Turns a parsed shader into Python functions over a `Machine`, whose values are those of all invocations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from tests.wgsl import functions
from tests.wgsl.functions import FUNCTIONS, OPERATORS, SCALARS
from tests.wgsl.machine import Machine
from tests.wgsl.syntax import (
    Assign,
    At,
    Binary,
    Block,
    Call,
    Declare,
    Evaluate,
    Expression,
    Function,
    If,
    Leave,
    Loop,
    Member,
    Name,
    Number,
    Shader,
    Statement,
    Type,
    Unary,
    WgslSyntaxError,
    parse,
)

_BARRIERS = {"workgroupBarrier": "workgroup", "storageBarrier": "storage"}
_OVER = {
    "subgroupAdd": "add",
    "subgroupMul": "multiply",
    "subgroupMin": "fmin",
    "subgroupMax": "fmax",
    "subgroupAll": "logical_and",
    "subgroupAny": "logical_or",
}
_UNARY = {"-": functions.negate, "~": functions.invert, "!": functions.no}
_COMPONENTS = {c: i for i, c in enumerate("xyzw")}


class Compiled:
    """A shader's declarations, and its entry point."""

    def __init__(self, text: str) -> None:
        self.shader = parse(text)
        (self.main,) = (f for f in self.shader.functions.values() if f.threads)
        self._texts = {n: _Writer(self.shader, f).text() for n, f in self.shader.functions.items()}
        scope: dict[str, Any] = {
            "np": np,
            "concrete": functions.concrete,
            "convert": functions.convert,
            "vector": functions.vector,
            "bitcast": functions.bitcast,
            "OPERATORS": OPERATORS,
            "UNARY": _UNARY,
            "FUNCTIONS": FUNCTIONS,
        }
        source = "\n".join(self._texts.values())
        exec(compile(source, "<wgsl>", "exec"), scope)
        self._main: Callable[..., Any] = scope["f_main"]

    def run(self, machine: Machine) -> None:
        """The entry point, with what the machine's memory holds."""
        for declared in self.shader.variables:
            if declared.space == "private":
                machine.private[declared.name] = zeros(declared.type)
        with np.errstate(all="ignore"):
            self._main(machine, *(machine.builtin(p.builtin) for p in self.main.parameters))


def zeros(held: Type | None) -> Any:
    """What a variable holds that nothing was put in."""
    assert held is not None
    if held.element is None:
        return SCALARS[held.name](0)
    return np.zeros((held.count, 1), SCALARS[held.element.name])


@functools.lru_cache(maxsize=512)
def compiled(text: str) -> Compiled:
    """The same, kept."""
    return Compiled(text)


class _Writer:
    """Writes one function; each declaration has a name of its own, since inner ones may hide outer ones."""

    def __init__(self, shader: Shader, function: Function) -> None:
        self._function, self._structs, self._known = function, shader.structs, shader.functions
        self._globals = {v.name: v for v in shader.variables}
        self._lines: list[str] = []
        self._depth, self._made = 1, 0
        self._scopes: list[dict[str, str]] = [{}]
        self._loops: list[str] = []  # suffixes of the variables that hold who left each loop

    def text(self) -> str:
        """The Python of the function."""
        names = [self._declare(p.name) for p in self._function.parameters]
        *body, last = self._function.body or (Leave("return"),)
        self._line("entry, result = m.mask, None")
        for statement in body:
            self._statement(statement)
        if isinstance(last, Leave) and last.value is not None:
            value = self._expression(last.value)
            self._line(f"result = m.merged(result, {value})")
        else:
            self._statement(last)
        self._line("m.mask = entry")
        self._line("return result")
        return "\n".join([f"def f_{self._function.name}({', '.join(['m', *names])}):", *self._lines, ""])

    def _line(self, text: str) -> None:
        self._lines.append("    " * self._depth + text)

    def _declare(self, name: str) -> str:
        self._made += 1
        made = self._scopes[-1][name] = f"{name}_{self._made}"
        return made

    def _local(self, name: str) -> str | None:
        return next((s[name] for s in reversed(self._scopes) if name in s), None)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """A block."""
        self._scopes.append({})
        self._depth += 1
        yield
        self._depth -= 1
        self._scopes.pop()

    def _body(self, body: tuple[Statement, ...]) -> None:
        with self._inside():
            self._line("pass")
            for statement in body:
                self._statement(statement)

    def _statement(self, statement: Statement) -> None:
        match statement:
            case Declare():
                value = (
                    f"concrete({self._expression(statement.value)})"
                    if statement.value is not None
                    else self._zeros(statement.type)
                )
                if statement.value is not None and statement.type and statement.type.name in SCALARS:
                    value = f"convert({statement.type.name!r}, {value})"
                self._line(f"{self._declare(statement.name)} = {value}")
            case Assign():
                value = self._expression(statement.value)
                if statement.operator != "=":
                    old = self._expression(statement.target)
                    value = f"OPERATORS[{statement.operator[:-1]!r}]({old}, {value})"
                self._assign(statement.target, value)
            case Evaluate():
                self._line(self._expression(statement.value))
            case Block():
                self._line("if True:")
                self._body(statement.body)
            case If():
                self._if(statement)
            case Loop():
                self._loop(statement)
            case Leave():
                self._leave(statement)

    def _zeros(self, held: Type | None) -> str:
        assert held is not None
        if held.element is None:
            return f"convert({held.name!r})"
        return f"vector({held.element.name!r}, {held.count})"

    def _assign(self, target: Expression, value: str) -> None:
        match target:
            case Name():
                if (local := self._local(target.name)) is not None:
                    self._line(f"{local} = m.put({local}, {value})")
                elif self._globals[target.name].space == "private":
                    held = f"m.private[{target.name!r}]"
                    self._line(f"{held} = m.put({held}, {value})")
                else:
                    self._line(f"m.store({target.name!r}, 0, {value})")
            case At(Name(name), index):
                if name in self._globals and self._globals[name].space in ("workgroup", "storage"):
                    self._line(f"m.store({name!r}, {self._expression(index)}, {value})")
                else:
                    held = self._expression(target.value)
                    self._line(f"{held} = m.with_element({held}, {self._expression(index)}, {value})")
            case Member(Name() as name, component) if component in _COMPONENTS:
                held = self._expression(name)
                self._line(f"{held} = m.with_element({held}, {_COMPONENTS[component]}, {value})")
            case _:
                raise WgslSyntaxError(f"assignment to {target}")

    def _if(self, statement: If) -> None:
        self._made += 1
        n = self._made
        self._line(f"before_{n}, condition_{n} = m.mask, {self._expression(statement.condition)}")
        self._line(f"m.only(condition_{n})")
        self._line("if m.running:")
        self._body(statement.then)
        if statement.otherwise:
            self._line(f"then_{n}, m.mask = m.mask, before_{n}")
            self._line(f"m.only(np.logical_not(condition_{n}))")
            self._line("if m.running:")
            self._body(statement.otherwise)
            self._line(f"m.mask = m.mask | then_{n}")
        else:
            self._line(f"m.mask = m.mask | (before_{n} & np.logical_not(condition_{n}))")

    def _loop(self, statement: Loop) -> None:
        self._made += 1
        n = str(self._made)
        self._scopes.append({})
        if statement.first is not None:
            self._statement(statement.first)
        self._line(f"left_{n} = np.zeros(m.count, bool)")
        self._line("while True:")
        self._loops.append(n)
        with self._inside():
            if statement.condition is not None:
                self._line(f"condition_{n} = {self._expression(statement.condition)}")
                self._line(f"left_{n} = left_{n} | (m.mask & np.logical_not(condition_{n}))")
                self._line(f"m.only(condition_{n})")
            self._line("if not m.running:")
            self._line("    break")
            self._line(f"again_{n} = np.zeros(m.count, bool)")
            for inner in statement.body:
                self._statement(inner)
            self._line(f"m.mask = m.mask | again_{n}")
            if statement.step is not None:
                self._statement(statement.step)
        self._loops.pop()
        self._scopes.pop()
        self._line(f"m.mask = left_{n}")

    def _leave(self, statement: Leave) -> None:
        if statement.how == "return":
            if statement.value is not None:
                self._line(f"result = m.merged(result, {self._expression(statement.value)})")
        else:
            held = f"{'left' if statement.how == 'break' else 'again'}_{self._loops[-1]}"
            self._line(f"{held} = {held} | m.mask")
        self._line("m.stop()")

    def _expression(self, value: Expression) -> str:
        match value:
            case Number(text):
                return _number(text)
            case Name():
                return self._name(value.name)
            case Unary(operator, inner):
                return f"UNARY[{operator!r}]({self._expression(inner)})"
            case Binary(("&&" | "||") as operator, left, right):
                right_text = self._expression(right)
                return f"m.both({self._expression(left)}, lambda: {right_text}, {operator == '&&'})"
            case Binary(operator, left, right):
                return f"OPERATORS[{operator!r}]({self._expression(left)}, {self._expression(right)})"
            case Call():
                return self._call(value)
            case At(Name(name), index) if name in self._globals and not self._local(name):
                if self._globals[name].space in ("workgroup", "storage"):
                    return f"m.load({name!r}, {self._expression(index)})"
                return f"m.element({self._expression(value.value)}, {self._expression(index)})"
            case At(inner, index):
                return f"m.element({self._expression(inner)}, {self._expression(index)})"
            case Member(Name("words"), name) if self._local("words") is None:
                return f"m.private['words'][{name!r}]"
            case Member(inner, name):
                held = self._expression(inner)
                if set(name) <= set(_COMPONENTS):
                    picked = [_COMPONENTS[c] for c in name]
                    return f"{held}[{picked[0] if len(picked) == 1 else picked}]"
                return f"{held}[{name!r}]"
        raise WgslSyntaxError(f"{value}")

    def _name(self, name: str) -> str:
        if name in ("true", "false"):
            return name.title()
        if (local := self._local(name)) is not None:
            return local
        declared = self._globals[name]
        if declared.kind == "const":
            assert declared.value is not None
            return self._expression(declared.value)
        return f"m.private[{name!r}]" if declared.space == "private" else f"m.load({name!r}, 0)"

    def _call(self, call: Call) -> str:
        name = call.function
        if name == "workgroupUniformLoad":
            (pointer,) = call.arguments
            assert isinstance(pointer, Unary)
            assert isinstance(pointer.value, Name)
            return f"m.uniform_load({pointer.value.name!r})"
        given = ", ".join(map(self._expression, call.arguments))
        if name in self._known:
            parameters = self._known[name].parameters
            made = (
                f"convert({p.type.name!r}, {self._expression(a)})"
                if p.type.name in SCALARS and isinstance(a, (Number, Unary))
                else self._expression(a)
                for p, a in zip(parameters, call.arguments, strict=True)
            )
            return f"f_{name}({', '.join(['m', *made])})"
        if name in self._structs:
            fields = zip(self._structs[name].items(), call.arguments, strict=True)
            inner = (f"{f!r}: convert({t.name!r}, {self._expression(a)})" for (f, t), a in fields)
            return f"{{{', '.join(inner)}}}"
        if name in _BARRIERS:
            return f"m.barrier({_BARRIERS[name]!r})"
        if name in _OVER:
            return f"m.over(np.{_OVER[name]}, {given})"
        if name == "subgroupExclusiveAdd":
            return f"m.before({given})"
        if name == "subgroupBroadcastFirst":
            return f"m.first({given})"
        if name == "bitcast":
            assert call.type is not None
            return f"bitcast({(call.type.element or call.type).name!r}, {given})"
        if call.type is not None and call.type.element is not None:
            comma = ", " if given else ""
            return f"vector({call.type.element.name!r}, {call.type.count}{comma}{given})"
        if name in SCALARS:
            return f"convert({name!r}, {given or 0})"
        if name in FUNCTIONS:
            return f"FUNCTIONS[{name!r}]({given})"
        raise WgslSyntaxError(f"the function {name}")


def _number(text: str) -> str:
    """A literal: with a suffix it has a type."""
    if text.startswith(("0x", "0X")):
        digits, suffix = (text[:-1], text[-1]) if text[-1] in "iu" else (text, "")
        return {"": digits, "u": f"np.uint32({digits})", "i": f"np.int32({digits})"}[suffix]
    kinds: Mapping[str, str] = {"f": "float32", "h": "float16", "i": "int32", "u": "uint32"}
    return f"np.{kinds[text[-1]]}({text[:-1]})" if text[-1] in kinds else text
