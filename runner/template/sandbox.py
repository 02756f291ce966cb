"""The one Jinja environment: sandboxed, strict, deterministic. Its delimiters are NUL pairs that no text can hold, so that
Jinja never meets `<<` (semantics D1, D3 to D9)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping as MappingType
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, FrozenSet, List, Mapping, Tuple, Type

import jinja2
import jinja2.meta
import jinja2.nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

from runner.template import lexer
from runner.template.names import NAMES, Moment, moment

TAG_OPEN, TAG_CLOSE, BLOCK_OPEN, BLOCK_CLOSE = "\0{", "}\0", "\0%", "%\0"
_RETURN = "\0R"  # stands for a carriage return while Jinja, which would change line ends, works
MAX_TEXT = 16 * 1024 * 1024
_CLOCK_WORDS = frozenset({"now", "today", "utcnow"})
_MOMENT_WORDS = frozenset(
    "year month day hour minute second microsecond strftime isoformat date time weekday isoweekday timestamp replace tzname utcoffset "
    "in_timezone in_tz add subtract".split()
)
_DELTA_WORDS = frozenset("days seconds microseconds total_seconds".split())
_LARGE_MAKERS = frozenset({"ljust", "rjust", "center", "zfill", "expandtabs", "format", "format_map"})


class Environment(ImmutableSandboxedEnvironment):
    """Keys before attributes, no clock, no huge numbers."""

    intercepted_binops = frozenset({"**", "*", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, MappingType):  # D4: a mapping has keys and nothing else
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        if obj is None:
            raise SecurityError(f"what stands before .{attribute} is empty: there is none for this run; use | default")
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, MappingType):
            return obj[argument] if argument in obj else self.undefined(obj=obj, name=argument)
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if attr in _CLOCK_WORDS:
            raise SecurityError("nothing here may ask the clock: the run's date is << ds >>")
        if isinstance(obj, (datetime, date)):
            return attr in _MOMENT_WORDS
        if isinstance(obj, timedelta):
            return attr in _DELTA_WORDS
        if isinstance(obj, str) and attr in _LARGE_MAKERS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and (abs(left) > 10**6 or abs(right) > 64):
            raise SecurityError("the number would be too large")
        if operator == "*" and any(isinstance(side, (str, list, tuple)) for side in (left, right)):
            size = len(left) * right if isinstance(left, (str, list, tuple)) else left * len(right)
            if size > 100_000:
                raise SecurityError("the text would be too long")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("formatting with % is not available: use ~ to join texts")
        return super().call_binop(context, operator, left, right)


def _finalize(value: Any) -> Any:
    """How a value is written (D5)."""
    if isinstance(value, str) or isinstance(value, jinja2.Undefined):
        return value  # an undefined one raises by itself, with its name
    if value is None:
        raise SecurityError("the value is empty (None): use | default('x', true)")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (dict, list, tuple, set)):
        raise SecurityError("the value is a list or a mapping: use | json, or name one of its entries")
    if callable(value):
        raise SecurityError("the value is a function: call it with ()")
    return value


def _sql(value: Any) -> str:
    """Inside single quotes of standard SQL."""
    return str(value).replace("'", "''")


def _hql(value: Any) -> str:
    """Inside single quotes of Hive and Spark SQL, where a backslash escapes."""
    return str(value).replace("\\", "\\\\").replace("'", "\\'")


def _as_moment(value: Any) -> Moment:
    if isinstance(value, datetime):
        return moment(value)
    return moment(datetime.fromisoformat(str(value).replace("Z", "+00:00")))


_FILTERS = {
    "sh": lambda value: shlex.quote(str(_finalize(value))),
    "sql": _sql,
    "hql": _hql,
    "json": lambda value: json.dumps(value, ensure_ascii=False, default=str),
    "py": repr,
    "ds": lambda value: _as_moment(value).strftime("%Y-%m-%d"),
    "ds_nodash": lambda value: _as_moment(value).strftime("%Y%m%d"),
    "ts": lambda value: _as_moment(value).isoformat(),
    "ts_nodash": lambda value: _as_moment(value).strftime("%Y%m%dT%H%M%S"),
    "ts_nodash_with_tz": lambda value: _as_moment(value).strftime("%Y%m%dT%H%M%S%z"),
}
_DROPPED_FILTERS = ("random", "pprint", "xmlattr", "urlize", "tojson", "center", "indent", "format", "attr")


@lru_cache(maxsize=1)
def env() -> Environment:
    """The environment, made once."""
    made = Environment(
        variable_start_string=TAG_OPEN, variable_end_string=TAG_CLOSE, block_start_string=BLOCK_OPEN,
        block_end_string=BLOCK_CLOSE, comment_start_string="\0#", comment_end_string="#\0", undefined=jinja2.StrictUndefined,
        finalize=_finalize, keep_trailing_newline=True, autoescape=False, cache_size=0,
    )
    for name in ("lipsum", "cycler", "joiner", "namespace"):
        made.globals.pop(name, None)
    for name in _DROPPED_FILTERS:
        made.filters.pop(name, None)
    made.filters.update(_FILTERS)
    return made


# ------------------------------------------------------------------------------------------------------------ parsing


@lru_cache(maxsize=4096)
def parse(expression: str) -> Tuple[Any, str]:
    """The syntax tree of one expression, or None and why not."""
    try:
        return env()._parse(TAG_OPEN + " " + expression + " " + TAG_CLOSE, None, None), ""
    except jinja2.TemplateSyntaxError as error:
        return None, _plain_words(str(error.message))
    except RecursionError:
        return None, "too deeply nested"


def _plain_words(message: str) -> str:
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
            out.append(piece.text.replace("\r", _RETURN))
        elif piece.kind == "tag":
            out.append(f"<< {piece.text} >>" if piece.offset in kept else f"{TAG_OPEN} {piece.text} {TAG_CLOSE}")
        else:
            out.append(f"{BLOCK_OPEN}+ {piece.text} +{BLOCK_CLOSE}")
    return "".join(out)


@lru_cache(maxsize=2048)
def _compiled(text: str, kept: FrozenSet[int]):
    """The template, and the names it asks for: only those are worked out."""
    code = source(pieces_of(text)[0], kept)
    return env().from_string(code), frozenset(jinja2.meta.find_undeclared_variables(env()._parse(code, None, None)))


@lru_cache(maxsize=512)
def _compiled_expression(expression: str):
    return env().compile_expression(expression, undefined_to_none=False)


# ---------------------------------------------------------------------------------------------------------- rendering


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
        return source(pieces, kept).replace(_RETURN, "\r")
    try:
        template, wanted = _compiled(text, kept)
        out = template.render(_taken(wanted, names)).replace(_RETURN, "\r")
    except Exception as caught:  # noqa: BLE001 - an expression of a user may raise anything
        raise error([_locate(text, pieces, kept, names, caught)]) from None
    if len(out) > MAX_TEXT:
        raise error([lexer.TemplateFault(1, 1, f"the rendered text is larger than {MAX_TEXT >> 20} MiB")])
    return out


def _unknown_output(expression: str, names: Mapping[str, Any]) -> bool:
    from runner.template.analysis import references_of

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
