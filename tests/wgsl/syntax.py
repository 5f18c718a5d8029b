"""Reads the WGSL that this project writes: tokens, then declarations, statements and expressions as trees.

It takes correct shaders, which compilers have checked, and refuses what it does not know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<number>0[xX][0-9a-fA-F]+[iu]?|(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?[fh]?|\d+[eE][+-]?\d+[fh]?|\d+[iufh]?)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<mark>>>=|<<=|->|\+\+|--|&&|\|\||[-+*/%&|^=!<>]=|<<|>>|[-+*/%&|^!~<>=.,;:(){}\[\]@])""",
    re.VERBOSE,
)
GENERIC = frozenset({"vec2", "vec3", "vec4", "array", "bitcast", "var"})
_PRECEDENCE = [["||"], ["&&"], ["|"], ["^"], ["&"], ["==", "!="], ["<", ">", "<=", ">="], ["<<", ">>"]]
_PRECEDENCE += [["+", "-"], ["*", "/", "%"]]
_ASSIGN = frozenset({"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="})


class WgslSyntaxError(ValueError):
    """Text that is no WGSL, or WGSL that is not known here."""


@dataclass(frozen=True)
class Type:
    """A type by its name: of elements and how many, where it is an array or a vector."""

    name: str
    element: Type | None = None
    count: int = 0  # of an array without end: 0


@dataclass(frozen=True)
class Number:
    text: str


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Unary:
    operator: str
    value: Expression


@dataclass(frozen=True)
class Binary:
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Call:
    """Of a function, or of a type that makes or converts a value; `type` where the callee names one."""

    function: str
    arguments: tuple[Expression, ...]
    type: Type | None = None


@dataclass(frozen=True)
class At:
    value: Expression
    index: Expression


@dataclass(frozen=True)
class Member:
    value: Expression
    name: str


Expression = Number | Name | Unary | Binary | Call | At | Member


@dataclass(frozen=True)
class Declare:
    """let, var or const; `space` is that of a var, such as workgroup."""

    kind: str
    name: str
    type: Type | None
    value: Expression | None
    space: str = ""
    access: str = ""
    binding: int = -1


@dataclass(frozen=True)
class Assign:
    target: Expression
    operator: str
    value: Expression


@dataclass(frozen=True)
class Evaluate:
    value: Expression


@dataclass(frozen=True)
class If:
    condition: Expression
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True)
class Loop:
    """for and while."""

    first: Statement | None
    condition: Expression | None
    step: Statement | None
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Leave:
    """break, continue, or return with its value."""

    how: str
    value: Expression | None = None


@dataclass(frozen=True)
class Block:
    body: tuple[Statement, ...]


Statement = Declare | Assign | Evaluate | If | Loop | Leave | Block


@dataclass(frozen=True)
class Parameter:
    name: str
    type: Type
    builtin: str = ""


@dataclass(frozen=True)
class Function:
    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    threads: int = 0  # of a workgroup, where it is the entry point


@dataclass
class Shader:
    """A module."""

    structs: dict[str, dict[str, Type]] = field(default_factory=dict)
    variables: list[Declare] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)


def parse(text: str) -> Shader:
    """The module. Raises WgslSyntaxError."""
    return _Parser(text).module()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise WgslSyntaxError(f"at {text[at : at + 40]!r}")
            if found.lastgroup != "space":
                self._tokens.append(found[0])
            at = found.end()
        self._at = 0

    @property
    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, *wanted: str) -> str:
        token = self._next
        if not token or (wanted and token not in wanted):
            around = " ".join(self._tokens[max(self._at - 8, 0) : self._at + 8])
            raise WgslSyntaxError(f"{token!r} where {wanted} was expected: {around}")
        self._at += 1
        return token

    def _skip(self, token: str) -> bool:
        if self._next == token:
            self._at += 1
            return True
        return False

    def module(self) -> Shader:
        made = Shader()
        while self._next:
            attributes = self._attributes()
            match self._next:
                case ";":
                    self._take()
                case "enable":
                    while self._take() != ";":
                        pass
                case "struct":
                    self._take()
                    name = self._take()
                    made.structs[name] = {p.name: p.type for p in self._parameters("{", "}")}
                case "fn":
                    function = self._function(int(attributes.get("workgroup_size", "0")))
                    made.functions[function.name] = function
                case "var" | "const":
                    made.variables.append(self._declaration(int(attributes.get("binding", "-1"))))
                    self._take(";")
                case other:
                    raise WgslSyntaxError(f"{other!r} at the top")
        return made

    def _attributes(self) -> dict[str, str]:
        found = {}
        while self._skip("@"):
            name, value = self._take(), ""
            if self._skip("("):
                value = self._take()
                self._take(")")
            found[name] = value
        return found

    def _parameters(self, opening: str, closing: str) -> tuple[Parameter, ...]:
        self._take(opening)
        found = []
        while not self._skip(closing):
            builtin = self._attributes().get("builtin", "")
            name = self._take()
            self._take(":")
            found.append(Parameter(name, self._type(), builtin))
            if self._next != closing:
                self._take(",")
        return tuple(found)

    def _function(self, threads: int) -> Function:
        self._take("fn")
        name = self._take()
        parameters = self._parameters("(", ")")
        if self._skip("->"):
            self._type()
        return Function(name, parameters, self._block(), threads)

    def _type(self) -> Type:
        name = self._take()
        if name not in GENERIC:
            return Type(name)
        self._take("<")
        element, count = self._type(), int(name[3:]) if name.startswith("vec") else 0
        if self._skip(","):
            count = int(self._take().rstrip("iu"))
        self._close()
        return Type(name, element, count)

    def _close(self) -> None:
        """The end of what stands in <>, which may be half of a shift."""
        if self._next.startswith(">") and len(self._next) > 1:
            self._tokens[self._at] = self._next[1:]
        else:
            self._take(">")

    def _block(self) -> tuple[Statement, ...]:
        self._take("{")
        found = []
        while not self._skip("}"):
            if not self._skip(";"):
                found.append(self._statement())
        return tuple(found)

    def _statement(self) -> Statement:
        match self._next:
            case "{":
                return Block(self._block())
            case "if":
                return self._if()
            case "for":
                return self._for()
            case "while":
                self._take()
                return Loop(None, self._expression(), None, self._block())
            case "break" | "continue" | "return":
                made = self._leave()
            case _:
                made = self._simple()
        self._take(";")
        return made

    def _leave(self) -> Statement:
        how = self._take()
        return Leave(how, self._expression() if how == "return" and self._next != ";" else None)

    def _if(self) -> If:
        self._take("if")
        condition, then = self._expression(), self._block()
        otherwise: tuple[Statement, ...] = ()
        if self._skip("else"):
            otherwise = (self._if(),) if self._next == "if" else self._block()
        return If(condition, then, otherwise)

    def _for(self) -> Loop:
        self._take("for")
        self._take("(")
        first = None if self._next == ";" else self._simple()
        self._take(";")
        condition = None if self._next == ";" else self._expression()
        self._take(";")
        step = None if self._next == ")" else self._simple()
        self._take(")")
        return Loop(first, condition, step, self._block())

    def _simple(self) -> Statement:
        """A statement without its semicolon."""
        if self._next in ("let", "var", "const"):
            return self._declaration(-1)
        target = self._expression()
        if self._next in ("++", "--"):
            return Assign(target, f"{self._take()[0]}=", Number("1"))
        if self._next in _ASSIGN:
            return Assign(target, self._take(), self._expression())
        return Evaluate(target)

    def _declaration(self, binding: int) -> Declare:
        kind, space, access = self._take(), "", ""
        if self._skip("<"):
            space = self._take()
            if self._skip(","):
                access = self._take()
            self._close()
        name, held, value = self._take(), None, None
        if self._skip(":"):
            held = self._type()
        if self._skip("="):
            value = self._expression()
        return Declare(kind, name, held, value, space, access, binding)

    def _expression(self, level: int = 0) -> Expression:
        if level == len(_PRECEDENCE):
            return self._unary()
        left = self._expression(level + 1)
        while self._next in _PRECEDENCE[level]:
            operator = self._take()
            left = Binary(operator, left, self._expression(level + 1))
        return left

    def _unary(self) -> Expression:
        if self._next in ("-", "!", "~", "&"):
            return Unary(self._take(), self._unary())
        return self._postfix(self._primary())

    def _primary(self) -> Expression:
        if self._skip("("):
            inner = self._expression()
            self._take(")")
            return inner
        if self._next in GENERIC:
            made = self._type()
            element = made.element
            return Call(made.name, self._arguments(), element if made.name == "bitcast" else made)
        token = self._take()
        if token[0].isdigit() or token[0] == ".":
            return Number(token)
        if not re.fullmatch(r"[A-Za-z_]\w*", token):
            raise WgslSyntaxError(f"{token!r} where a value was expected")
        return Call(token, self._arguments()) if self._next == "(" else Name(token)

    def _arguments(self) -> tuple[Expression, ...]:
        self._take("(")
        found = []
        while not self._skip(")"):
            found.append(self._expression())
            if self._next != ")":
                self._take(",")
        return tuple(found)

    def _postfix(self, value: Expression) -> Expression:
        while True:
            if self._skip("["):
                value = At(value, self._expression())
                self._take("]")
            elif self._skip("."):
                value = Member(value, self._take())
            else:
                return value
