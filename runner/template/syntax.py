"""Expressions and texts as syntax: which names they use, which pieces they have. What Jinja parses, it parses here."""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import FrozenSet, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import jinja2
import jinja2.meta
from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from runner.template import lexer
from runner.template.names import NAMES
from runner.template.sandbox import BLOCK_CLOSE, BLOCK_OPEN, TAG_CLOSE, TAG_OPEN, env

RETURN = "\0R"  # stands for a carriage return while Jinja, which would change line ends, works
MAX_DEPTH = 100  # of an expression's tree; deeper ones would exhaust Python's stack somewhere on the way

Fault = Tuple[str, str]  # message, hint


class Expression(NamedTuple):
    """All that can be said of an expression by itself. `names` is None when it does not parse, and `why` says why."""

    names: Optional[FrozenSet[str]]
    why: str = ""
    references: FrozenSet[str] = frozenset()  # dotted names: params.region, outputs.load.rows
    faults: Tuple[Fault, ...] = ()
    asked: FrozenSet[str] = frozenset()  # names, dotted or not, that would be taken for yes or no in a condition
    against: Tuple[Tuple[str, str, object], ...] = ()  # comparisons with a number, true or false: ("outputs.load.rows", "gt", 0)


@lru_cache(maxsize=8192)
def expression(text: str) -> Expression:
    try:
        tree = parse(text)
    except jinja2.TemplateSyntaxError as error:
        return Expression(None, plain_words(str(error.message)))
    except RecursionError:
        return Expression(None, "too deeply nested")
    names = frozenset(node.name for node in tree.find_all(nodes.Name))  # an expression makes no names of its own
    asked = frozenset(".".join(path) for path in map(_path, _asked(tree.body[0].nodes[0])) if path)
    return Expression(names, "", frozenset(_dotted(tree)), tuple(_faults(tree)), asked, tuple(_against(tree)))


def parse(text: str) -> nodes.Template:
    """The syntax tree of one expression."""
    tree = env()._parse(f"{TAG_OPEN} {text} {TAG_CLOSE}", None, None)
    level: List[nodes.Node] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in node.iter_child_nodes()]
        if not level:
            return tree
    raise RecursionError


def names_of(text: str) -> Tuple[Optional[FrozenSet[str]], str]:
    found = expression(text)
    return found.names, found.why


def plain_words(message: str) -> str:
    """Jinja's message without our delimiters, in a user's words."""
    for sentinel in (TAG_OPEN, TAG_CLOSE, BLOCK_OPEN, BLOCK_CLOSE):
        message = message.replace(sentinel, "")
    return message.replace("print statement", "expression").rstrip(".")


def inside_of(piece: lexer.Piece) -> str:
    """The expression of a tag or block: `x` of `if x`, `b` of `for a in b`. Empty for endif and its like."""
    if piece.kind == "tag":
        return piece.text
    word, _, rest = piece.text.partition(" ")
    if word in ("if", "elif"):
        return rest.strip()
    between = {"for": " in ", "set": "="}.get(word)
    return rest.partition(between)[2].strip() if between else ""


# --------------------------------------------------------------------------------------------------------------- faults


def _faults(tree: nodes.Template) -> Iterator[Fault]:
    if any(node.expr2 is None for node in tree.find_all(nodes.CondExpr)):
        yield "`a if b` without else is nothing when b is false", "write: a if b else 'something'"
    public = [name for name in env().filters if not name.startswith("_")]
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        kind, have = ("filter", public) if isinstance(node, nodes.Filter) else ("test", list(env().tests))
        if node.name not in have:
            close = nearest(node.name, have)
            yield f"there is no {kind} {node.name!r}", f"did you mean {close}?" if close else f"{kind}s: {', '.join(sorted(have))}"


def nearest(word: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """The name that was surely meant, or ""."""
    by_lower = {name.lower(): name for name in sorted(names)}
    found = difflib.get_close_matches(word.lower(), list(by_lower), 1, cutoff)
    return by_lower[found[0]] if found else ""


def _dotted(tree: nodes.Node) -> Iterator[str]:
    inner = set()
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        path = _path(node)
        if path and id(node) not in inner:
            yield ".".join(path)
            child = node.node
            while isinstance(child, (nodes.Getattr, nodes.Getitem)):
                inner.add(id(child))
                child = child.node


def _path(node: nodes.Node) -> Tuple[str, ...]:
    """("outputs", "load", "rows"); a method that is called counts as a part. Empty when it does not begin with a name."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        part = node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        part = str(node.arg.value)
    else:
        return ()
    before = _path(node.node)
    return before + (part,) if before else ()


# ----------------------------------------------------------------------------------------------------------- conditions


def _asked(node: nodes.Expr) -> Iterator[nodes.Expr]:
    """The parts of a condition that are asked for yes or no."""
    if isinstance(node, (nodes.And, nodes.Or)):
        parts = [node.left, node.right]
    elif isinstance(node, nodes.CondExpr) and node.expr2 is not None:
        parts = [node.test, node.expr1, node.expr2]
    else:
        parts = [node.node] if isinstance(node, nodes.Not) else []
    for part in parts:
        yield from _asked(part)
    if not parts:
        yield node


def _against(tree: nodes.Node) -> Iterator[Tuple[str, str, object]]:
    for compare in tree.find_all(nodes.Compare):
        left = compare.expr
        for operand in compare.ops:
            for path, value in ((_path(left), _constant(operand.expr)), (_path(operand.expr), _constant(left))):
                if path and value is not None:
                    yield ".".join(path), operand.op, value
            left = operand.expr


def _constant(node: nodes.Expr) -> object:
    """A number, true or false that stands there as such, else None."""
    if isinstance(node, nodes.Neg):
        value = _constant(node.node)
        return None if value is None else -value  # type: ignore[operator]
    return node.value if isinstance(node, nodes.Const) and isinstance(node.value, (bool, int, float)) else None


# ---------------------------------------------------------------------------------------------------------------- texts


def pieces_of(text: str) -> Tuple[List[lexer.Piece], List[lexer.TemplateFault]]:
    """A text's pieces; those of texts of usual size are kept, for the next date."""
    return _kept_pieces(text) if len(text) < 65536 else lexer.split(text, NAMES, names_of)


@lru_cache(maxsize=512)
def _kept_pieces(text: str) -> Tuple[List[lexer.Piece], List[lexer.TemplateFault]]:
    return lexer.split(text, NAMES, names_of)


def source(pieces: Iterable[lexer.Piece], kept: FrozenSet[int] = frozenset()) -> str:
    """The pieces as Jinja reads them; tags whose offset is in `kept` stay literal."""
    out = []
    for piece in pieces:
        if piece.kind == "text" or piece.offset in kept:
            out.append((piece.text if piece.kind == "text" else piece.raw).replace("\r", RETURN))
        elif piece.kind == "tag":
            out.append(f"{TAG_OPEN} {piece.text} {TAG_CLOSE}")
        else:
            out.append(f"{BLOCK_OPEN}+ {piece.text} +{BLOCK_CLOSE}")
    return "".join(out)


class _Harden(NodeTransformer):
    """Puts our bounded functions where Jinja would loop and join without bound."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "_each")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "_concat")


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _decided(node: nodes.Expr) -> nodes.Expr:
    """The expression as yes or no: each part of it that is asked for one says so by `filters.truth`."""
    if isinstance(node, (nodes.And, nodes.Or)):
        return type(node)(_decided(node.left), _decided(node.right), lineno=node.lineno)
    if isinstance(node, nodes.Not):
        return nodes.Not(_decided(node.node), lineno=node.lineno)
    if isinstance(node, nodes.CondExpr) and node.expr2 is not None:
        return nodes.CondExpr(_decided(node.test), _decided(node.expr1), _decided(node.expr2), lineno=node.lineno)
    return _filtered(node, "_truth")


def compile_expression(text: str, condition: bool = False) -> jinja2.Template:
    """A template that leaves the expression's value, in its own type, in the variable `result`: true or false for a condition."""
    tree = _Harden().visit(parse(text))
    value = tree.body[0].nodes[0]
    assign = nodes.Assign(nodes.Name("result", "store", lineno=1), _decided(value) if condition else value, lineno=1)
    return env().from_string(nodes.Template([assign], lineno=1))


def compile_text(code: str) -> Tuple[jinja2.Template, FrozenSet[str]]:
    """A text with blocks, and the names it asks for."""
    tree = env()._parse(code, None, None)
    names = frozenset(jinja2.meta.find_undeclared_variables(tree))
    return env().from_string(_Harden().visit(tree)), names
