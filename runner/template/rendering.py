"""Texts and expressions with the values of one run."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from functools import lru_cache
from typing import Any, FrozenSet, List, Mapping, Type

import jinja2
import jinja2.meta

from runner.template import lexer
from runner.template.sandbox import TAG_CLOSE, TAG_OPEN, env
from runner.template.syntax import RETURN, names_of, pieces_of, references_of, source

MAX_TEXT = 16 * 1024 * 1024


@lru_cache(maxsize=2048)
def _compiled(text: str, kept: FrozenSet[int]):
    """The template, and the names it asks for: only those are worked out."""
    code = source(pieces_of(text)[0], kept)
    return env().from_string(code), frozenset(jinja2.meta.find_undeclared_variables(env()._parse(code, None, None)))


@lru_cache(maxsize=512)
def _compiled_expression(expression: str):
    return env().compile_expression(expression, undefined_to_none=False)



def render(text: str, names: Mapping[str, Any], keep_unknown_outputs: bool, error: Type[Exception]) -> str:
    pieces, faults = pieces_of(text)
    serious = [each for each in faults if each.severity == "error"]
    if serious:
        raise error(serious)
    kept: FrozenSet[int] = frozenset()
    if keep_unknown_outputs:
        unknown = [piece for piece in pieces if piece.kind != "text" and _unknown_output(piece.text, names)]
        if any(piece.kind == "block" for piece in unknown):
            return text  # which lines there will be is not known yet
        kept = frozenset(piece.offset for piece in unknown)
    if not any(piece.kind != "text" for piece in pieces) or len(kept) == sum(piece.kind != "text" for piece in pieces):
        return source(pieces, kept).replace(RETURN, "\r")
    try:
        template, wanted = _compiled(text, kept)
        out = template.render(_taken(wanted, names)).replace(RETURN, "\r")
    except Exception as caught:  # noqa: BLE001 - an expression of a user may raise anything
        raise error([_locate(text, pieces, kept, names, caught)]) from None
    if len(out) > MAX_TEXT:
        raise error([lexer.TemplateFault(1, 1, f"the rendered text is larger than {MAX_TEXT >> 20} MiB")])
    return out


def _unknown_output(expression: str, names: Mapping[str, Any]) -> bool:
    return any(
        reference.startswith("outputs.") and not _present(reference.split(".")[1:], names["outputs"])
        for reference in references_of(expression)
    )


def _present(path: List[str], value: Any) -> bool:
    for part in path:
        if not isinstance(value, MappingType) or part not in value:
            return False
        value = value[part]
    return True


def _locate(text: str, pieces, kept: FrozenSet[int], names: Mapping[str, Any], caught: Exception) -> lexer.TemplateFault:
    """The tag that raised: each is tried by itself, since Jinja only knows the line of its own code."""
    for piece in pieces:
        if piece.kind == "tag" and piece.offset not in kept:
            try:
                env().from_string(f"{TAG_OPEN} {piece.text} {TAG_CLOSE}").render(_taken(names_of(piece.text)[0], names))
            except Exception as again:  # noqa: BLE001
                return lexer.fault(text, piece.offset, f"<< {piece.text} >>: {_say(again)}")
    return lexer.TemplateFault(1, 1, _say(caught))


def _say(error: Exception) -> str:
    text = str(error)
    if isinstance(error, jinja2.UndefinedError):
        text = text.replace("'dict object' has no attribute", "there is no").replace("has no attribute", "has no")
    return text or type(error).__name__


def evaluate(expression: str, names: Mapping[str, Any], error: Type[Exception]) -> Any:
    try:
        value = _compiled_expression(expression)(**_taken(names_of(expression)[0], names))
        if isinstance(value, jinja2.Undefined):
            value._fail_with_undefined_error()
        return value
    except Exception as caught:  # noqa: BLE001
        raise error([lexer.TemplateFault(1, 1, f"{expression}: {_say(caught)}")]) from None


def _taken(wanted, names: Mapping[str, Any]) -> Mapping[str, Any]:
    """The names that are asked for, worked out."""
    return {name: names[name] for name in wanted or () if name in names}
