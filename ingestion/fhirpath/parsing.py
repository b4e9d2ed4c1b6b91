"""FHIRPath's text made a tree: a lexer by one pattern, and a parser that climbs by the operators' precedence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ingestion.fhirpath.nodes import (
    FhirPathError,
    Function,
    Index,
    Literal,
    Member,
    Negative,
    Node,
    Operation,
    This,
    Variable,
)

# Operators from the weakest to the strongest; those of a line bind alike, from the left (FHIRPath 2.0, Precedence).
PRECEDENCE = (
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("=", "!="),
    ("<", "<=", ">", ">="),
    ("+", "-", "&"),
    ("*", "/", "div", "mod"),
)
_STRENGTH = {operator: strength for strength, line in enumerate(PRECEDENCE) for operator in line}

# Of the language, but of no use where there are no types and no units.
_NOT_TAKEN = {"in", "contains", "is", "as", "|", "~", "!~"}

_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<time>@T\d\d(:\d\d(:\d\d(\.\d+)?)?)?)
    |(?P<datetime>@\d{4}(-\d\d(-\d\d)?)?(T(\d\d(:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?)?)?)
    |(?P<number>\d+(\.\d+)?)
    |(?P<string>'(?:[^'\\]|\\.)*')
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*|`(?:[^`\\]|\\.)*`)
    |(?P<variable>%(?:[A-Za-z_][A-Za-z0-9_]*|'[^']*'|`[^`]*`))
    |(?P<special>\$[a-z]+)
    |(?P<operator><=|>=|!=|!~|[-+*/&=<>|~.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def _unescaped(text: str) -> str:
    """The text within quotes, with FHIRPath's escapes resolved."""
    return re.sub(
        r"\\(u[0-9A-Fa-f]{4}|.)",
        lambda found: chr(int(found[1][1:], 16)) if len(found[1]) == 5 else _ESCAPES.get(found[1], found[1]),
        text[1:-1],
        flags=re.DOTALL,
    )


def _tokens(expression: str) -> Iterator[_Token]:
    at = 0
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        if not found:
            raise FhirPathError(
                f"character {at + 1} of the FHIRPath expression {expression!r} is none of FHIRPath: {expression[at]!r}"
            )
        if found.lastgroup != "blank":
            yield _Token(str(found.lastgroup), found[0], at)
        at = found.end()
    yield _Token("end", "", at)


class _Parser:
    """Reads the tokens of one expression from the first to the last."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens = list(_tokens(expression))
        self.at = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def taken(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def is_at(self, text: str) -> bool:
        return self.token.kind in {"operator", "name"} and self.token.text == text

    def expected(self, what: str) -> FhirPathError:
        found = repr(self.token.text) if self.token.text else "its end"
        return FhirPathError(
            f"character {self.token.at + 1} of the FHIRPath expression {self.expression!r}: {what} is missing before "
            f"{found}"
        )

    def take(self, text: str) -> None:
        if not self.is_at(text):
            raise self.expected(repr(text))
        self.at += 1

    def operation(self, weakest: int = 0) -> Node:
        left = self.signed()
        while (operator := self.operator()) is not None and _STRENGTH[operator] >= weakest:
            self.at += 1
            left = Operation(operator, left, self.operation(_STRENGTH[operator] + 1))
        return left

    def operator(self) -> str | None:
        if self.token.kind not in {"operator", "name"}:
            return None
        if self.token.text in _NOT_TAKEN:
            raise FhirPathError(
                f"the operator {self.token.text!r} of {self.expression!r} isn't one that views may use: "
                f"{', '.join(_STRENGTH)}"
            )
        return self.token.text if self.token.text in _STRENGTH else None

    def signed(self) -> Node:
        if self.is_at("-"):
            self.at += 1
            return Negative(self.signed())
        if self.is_at("+"):
            self.at += 1
            return self.signed()
        return self.steps(self.term())

    def steps(self, node: Node) -> Node:
        while self.is_at(".") or self.is_at("["):
            if self.taken().text == ".":
                if self.token.kind != "name":
                    raise self.expected("an element or a function")
                node = self.invocation(node)
            else:
                node = Index(node, self.operation())
                self.take("]")
        return node

    def invocation(self, node: Node) -> Node:
        token = self.taken()
        name = _unescaped(token.text) if token.text.startswith("`") else token.text
        if not self.is_at("("):
            return Member(node, name)
        self.at += 1
        arguments: list[Node] = []
        while not self.is_at(")"):
            if arguments and not self.is_at(","):
                raise self.expected("',' or ')'")
            self.at += 1 if arguments else 0
            arguments.append(self.operation())
        self.at += 1
        return Function(node, name, tuple(arguments))

    def term(self) -> Node:
        token = self.token
        if token.kind == "name":
            if token.text in {"true", "false"}:
                self.at += 1
                return Literal(token.text, "boolean")
            return self.invocation(This())
        self.at += 1
        if token.kind == "string":
            return Literal(_unescaped(token.text), "string")
        if token.kind == "number":
            return Literal(token.text, "decimal" if "." in token.text else "integer")
        if token.kind == "time":
            return Literal(token.text[2:], "time")
        if token.kind == "datetime":
            return Literal(token.text[1:].removesuffix("T"), "dateTime" if "T" in token.text else "date")
        if token.kind == "variable":
            return Variable(token.text[1:].strip("'`"))
        if token.kind == "special" and token.text == "$this":
            return This()
        if token.kind == "operator" and token.text == "(":
            inner = self.operation()
            self.take(")")
            return inner
        self.at -= 1
        raise self.expected("a value or an element")


@lru_cache(maxsize=4096)
def parse(expression: str) -> Node:
    """The tree of a FHIRPath expression.

    Raises:
        FhirPathError: where the text is no expression, or uses what is left out.
    """
    parser = _Parser(expression)
    node = parser.operation()
    if parser.token.kind != "end":
        raise parser.expected("an operator")
    return node
