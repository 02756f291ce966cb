"""Expressions and texts as syntax: which names they use, which pieces they have. What Jinja parses, it parses here."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, FrozenSet, Iterator, List, Optional, Tuple

import jinja2
import jinja2.meta
import jinja2.nodes

from runner.template import lexer
from runner.template.names import NAMES
from runner.template.sandbox import BLOCK_CLOSE, BLOCK_OPEN, TAG_CLOSE, TAG_OPEN, env

RETURN = "\0R"  # stands for a carriage return while Jinja, which would change line ends, works



@lru_cache(maxsize=4096)
def parse(expression: str) -> Tuple[Any, str]:
    """The syntax tree of one expression, or None and why not."""
    try:
        return env()._parse(TAG_OPEN + " " + expression + " " + TAG_CLOSE, None, None), ""
    except jinja2.TemplateSyntaxError as error:
        return None, plain_words(str(error.message))
    except RecursionError:
        return None, "too deeply nested"


def plain_words(message: str) -> str:
    for sentinel in (TAG_OPEN, TAG_CLOSE, BLOCK_OPEN, BLOCK_CLOSE):
        message = message.replace(sentinel, "")
    return message.replace("print statement", "expression").rstrip(".")


@lru_cache(maxsize=4096)
def names_of(expression: str) -> Tuple[Any, str]:
    """The free names of an expression as a frozenset; or None and why it does not parse."""
    tree, why = parse(expression)
    return (None, why) if tree is None else (frozenset(jinja2.meta.find_undeclared_variables(tree)), "")


def pieces_of(text: str) -> Tuple[List[lexer.Piece], List[lexer.TemplateFault]]:
    return _split(text) if len(text) < 65536 else lexer.split(text, NAMES, names_of)


@lru_cache(maxsize=512)
def _split(text: str):
    return lexer.split(text, NAMES, names_of)


def source(pieces: List[lexer.Piece], kept: FrozenSet[int] = frozenset()) -> str:
    """The pieces as Jinja reads them; tags whose offset is in `kept` stay literal."""
    out = []
    for piece in pieces:
        if piece.kind == "text":
            out.append(piece.text.replace("\r", RETURN))
        elif piece.kind == "tag":
            out.append(f"<< {piece.text} >>" if piece.offset in kept else f"{TAG_OPEN} {piece.text} {TAG_CLOSE}")
        else:
            out.append(f"{BLOCK_OPEN}+ {piece.text} +{BLOCK_CLOSE}")
    return "".join(out)


@lru_cache(maxsize=4096)
def references_of(expression: str) -> FrozenSet[str]:
    """Dotted names of one expression, or of a block's inside."""
    tree = tree_of(expression)
    return frozenset(_dotted(tree)) if tree is not None else frozenset()


def tree_of(inside: str):
    """A block's condition counts as an expression: `if x`, `for a in b`, `set a = b`."""
    for prefix in ("if ", "elif "):
        if inside.startswith(prefix):
            return parse(inside[len(prefix) :])[0]
    if inside.startswith("for ") and " in " in inside:
        return parse(inside.split(" in ", 1)[1])[0]
    if inside.startswith("set ") and "=" in inside:
        return parse(inside.split("=", 1)[1])[0]
    if inside in ("else", "endif", "endfor"):
        return None
    return parse(inside)[0]


def _dotted(tree: jinja2.nodes.Node) -> Iterator[str]:
    inner = set()
    for node in tree.find_all((jinja2.nodes.Getattr, jinja2.nodes.Getitem)):
        path = _path(node)
        if path and id(node) not in inner:
            yield ".".join(path)
            child = node.node
            while isinstance(child, (jinja2.nodes.Getattr, jinja2.nodes.Getitem)):
                inner.add(id(child))
                child = child.node


def _path(node: jinja2.nodes.Node) -> Optional[Tuple[str, ...]]:
    if isinstance(node, jinja2.nodes.Name):
        return (node.name,)
    if isinstance(node, jinja2.nodes.Getattr):
        before = _path(node.node)
        return before + (node.attr,) if before else None
    if isinstance(node, jinja2.nodes.Getitem) and isinstance(node.arg, jinja2.nodes.Const):
        before = _path(node.node)
        return before + (str(node.arg.value),) if before else None
    return None
