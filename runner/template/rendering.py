"""Texts and expressions with the values of one run.

A text without blocks is put together here, tag by tag: an expression is compiled once however many texts use it, and a
tag that fails is known by its place. A text with blocks is one Jinja template.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, FrozenSet, Iterable, List, Mapping, Sequence, Type

import jinja2

from runner.template import analysis, filters, lexer
from runner.template.names import WHY_EMPTY
from runner.template.syntax import RETURN, compile_expression, compile_text, expression, inside_of, pieces_of, source

MAX_TEXT = 16 * 1024 * 1024
_ITEM = frozenset({"item", "item_index"})


def render(text: str, names: Mapping[str, Any], keep_unknown_outputs: bool, error: Type[Exception]) -> str:
    pieces, faults = pieces_of(text)
    serious = [each for each in faults if each.severity == "error"]
    if serious:
        raise error(serious)
    unknown = [piece for piece in pieces if keep_unknown_outputs and _waits(piece, names)]
    kept = frozenset(piece.offset for piece in unknown)
    if not any(piece.kind == "block" for piece in pieces):
        return "".join(_texts(text, pieces, kept, names, error))
    if any(piece.kind == "block" for piece in unknown):
        return text  # which lines there will be is not known yet
    return _with_blocks(text, pieces, kept, names, error)


def evaluate(text: str, names: Mapping[str, Any], error: Type[Exception], condition: bool = False) -> Any:
    try:
        return _value(text, names, condition)
    except Exception as caught:  # noqa: BLE001 - an expression of a user may raise anything
        raise error([lexer.TemplateFault(1, 1, *_words(text, caught, names))]) from None


def trouble(text: str, names: Mapping[str, Any], written: bool, condition: bool) -> str:
    """Why an expression has no value with these names, or none that can be `written`; "" when it has one."""
    try:
        value = _value(text, names, condition)
        if written:
            filters.text_of(value)
    except Exception as caught:  # noqa: BLE001 - an expression of a user may raise anything
        return _say(caught)
    return ""


# --------------------------------------------------------------------------------------------------------------- by tag


def _texts(text: str, pieces: Sequence[lexer.Piece], kept: FrozenSet[int], names: Mapping[str, Any], error) -> List[str]:
    out, size = [], 0
    for piece in pieces:
        if piece.kind == "text":
            out.append(piece.text)
        elif piece.offset in kept:
            out.append(piece.raw)
        else:
            try:
                out.append(filters.text_of(_value(piece.text, names)))
            except Exception as caught:  # noqa: BLE001 - an expression of a user may raise anything
                raise error([_fault_of(text, piece, caught, names)]) from None
        size += len(out[-1])
        if size > MAX_TEXT:
            raise error([_too_large(text, piece.offset)])
    return out


@lru_cache(maxsize=4096)
def _compiled(text: str, condition: bool) -> jinja2.Template:
    return compile_expression(text, condition)


def _value(text: str, names: Mapping[str, Any], condition: bool = False) -> Any:
    """The value of an expression in its own type, of a condition true or false; an undefined one raises."""
    known = expression(text)
    if known.names is None:
        raise ValueError(known.why)
    if known.faults:
        raise ValueError(" ".join(known.faults[0]))
    template = _compiled(text, condition)
    context = template.new_context(_taken(known.names, names))
    for _ in template.root_render_func(context):
        pass
    value = context.vars["result"]
    if isinstance(value, jinja2.Undefined):
        str(value)  # raises, with its own words
    return value


def _taken(wanted: Iterable[str], names: Mapping[str, Any]) -> Mapping[str, Any]:
    """The names that are asked for, worked out, and the budget of all loops together."""
    found = {name: names[name] for name in wanted if name in names}
    found[filters.BUDGET] = [filters.MAX_ITEMS]
    return found


# ------------------------------------------------------------------------------------------------------------- by block


@lru_cache(maxsize=64)
def _compiled_blocks(text: str, kept: FrozenSet[int]):
    return compile_text(source(pieces_of(text)[0], kept))


def _with_blocks(text: str, pieces: Sequence[lexer.Piece], kept: FrozenSet[int], names: Mapping[str, Any], error) -> str:
    for piece in pieces:
        known = expression(inside_of(piece)) if piece.kind != "text" and inside_of(piece) else None
        if known and known.faults:
            raise error([lexer.Places(text).fault(piece.offset, f"{analysis.shown(piece)}: {known.faults[0][0]}", known.faults[0][1])])
    out, size = [], 0
    try:
        template, wanted = _compiled_blocks(text, kept)
        for part in template.generate(_taken(wanted, names)):
            out.append(part)
            size += len(part)
            if size > MAX_TEXT:
                break
    except Exception as caught:  # noqa: BLE001
        raise error([_locate(text, pieces, kept, names, caught)]) from None
    if size > MAX_TEXT:
        raise error([_too_large(text, 0)])
    return "".join(out).replace(RETURN, "\r")


def _locate(text: str, pieces, kept: FrozenSet[int], names: Mapping[str, Any], caught: Exception) -> lexer.TemplateFault:
    """The tag or block that raised: each is tried by itself, since Jinja only knows the line of its own code."""
    own = analysis.declared(pieces)
    for piece in pieces:
        inside = "" if piece.kind == "text" or piece.offset in kept else inside_of(piece)
        if inside and not (expression(inside).names or frozenset()) & own:
            try:
                value = _value(inside, names)
                if piece.kind == "tag":
                    filters.text_of(value)
            except Exception as again:  # noqa: BLE001
                return _fault_of(text, piece, again, names)
    first = next(piece for piece in pieces if piece.kind == "block")
    return lexer.Places(text).fault(first.offset, f"in the blocks that begin here: {_say(caught)}")


# ---------------------------------------------------------------------------------------------------------------- words


def _waits(piece: lexer.Piece, names: Mapping[str, Any]) -> bool:
    """Whether it speaks of an output that no step has written yet."""
    inside = "" if piece.kind == "text" else inside_of(piece)
    if not inside:
        return False
    known = expression(inside)
    if _ITEM & (known.names or frozenset()) and "item" not in names:  # of a step whose items are not known yet
        return True
    if "outputs" not in (known.names or ()):
        return False
    paths = [reference.split(".") for reference in known.references if reference.startswith("outputs.")]
    return not paths or any(not _present(path[1:3], names["outputs"]) for path in paths)


def _present(path: List[str], value: Any) -> bool:
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return True


def _fault_of(text: str, piece: lexer.Piece, caught: Exception, names: Mapping[str, Any]) -> lexer.TemplateFault:
    message, hint = _words(inside_of(piece), caught, names, analysis.shown(piece))
    return lexer.Places(text).fault(piece.offset, message, hint)


def _words(inside: str, caught: Exception, names: Mapping[str, Any], shown: str = ""):
    """What to say of an expression that raised: what a check would have said, else the error itself."""
    shown = shown or inside
    for message, hint in analysis.of_expression(inside, frozenset(names["params"]), None, frozenset()):
        return f"{shown}: {message}", hint
    for name, why in WHY_EMPTY.items():
        if inside.startswith(name) and names[name] is None:
            return f"{shown}: {why}", "write | default('x', true) behind it"
    return f"{shown}: {_say(caught)}", ""


def _say(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no {error}"
    return (str(error) or type(error).__name__).rstrip(".")


def _too_large(text: str, offset: int) -> lexer.TemplateFault:
    return lexer.Places(text).fault(offset, f"the rendered text is larger than {MAX_TEXT >> 20} MiB")
