"""The filters of templates, and how a value becomes text. Each refuses what would be wrong in silence (an empty value
written as `None`) and what would be huge (semantics D3, D5, D9, D11)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping as MappingType
from datetime import date, datetime, time
from itertools import islice
from typing import Any, Callable, Dict, Iterable, List

import jinja2
from jinja2 import filters as ready
from jinja2.sandbox import SecurityError

from runner import yesno
from runner.template.names import Moment, Secret, moment

MAX_VALUE = 1_000_000  # characters that one expression may make
MAX_ITEMS = 100_000
MAX_DIGITS = 1_000
_EMPTY = "the value is empty (None): write | default('x', true) behind it"


def finalize(value: Any) -> Any:
    """How a value is written (D5): nothing empty, nothing that is no text, number or date."""
    if isinstance(value, jinja2.Undefined):
        return str(value)  # raises, with its own words
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Secret):
        return value.text
    if value is None:
        raise SecurityError(_EMPTY)
    if isinstance(value, (MappingType, list, tuple, set)):
        raise SecurityError("the value is a list or a mapping: write | json or | join(', ') behind it, or name one of its entries")
    if callable(value):
        raise SecurityError("the value is a function: call it with ()")
    raise SecurityError(f"the value is a {type(value).__name__}, which has no text form: take one number out of it, such as .days or .total_seconds()")


def text_of(value: Any) -> str:
    return str(finalize(value))


def bounded(size: int, what: str = "text") -> None:
    if size > MAX_VALUE:
        raise SecurityError(f"the {what} would be longer than {MAX_VALUE:,} characters")


def concat(parts: Iterable[Any]) -> str:
    """`a ~ b`."""
    texts = [text_of(part) for part in parts]
    bounded(sum(map(len, texts)))
    return "".join(texts)


def replace(value: Any, old: str, new: str, count: int = -1) -> str:
    text, old, new = text_of(value), text_of(old), text_of(new)
    found = text.count(old)
    bounded(len(text) + (found if count < 0 else min(found, count)) * len(new))
    return text.replace(old, new, count)


def join(value: Iterable[Any], between: str = "") -> str:
    items = list(islice(value, MAX_ITEMS + 1))
    if len(items) > MAX_ITEMS:
        raise SecurityError(f"more than {MAX_ITEMS:,} entries")
    texts = [text_of(item) for item in items]
    between = text_of(between)
    bounded(sum(map(len, texts)) + len(texts) * len(between))
    return between.join(texts)


def zfill(value: Any, width: int) -> str:
    bounded(width)
    return text_of(value).zfill(width)


def _number(kind: Callable[[Any], Any], word: str) -> Callable[..., Any]:
    def convert(value: Any, default: Any = None) -> Any:
        """Jinja makes 0 of what is no number; here it is refused unless a default is given."""
        try:
            if value is None or isinstance(value, str) and len(value) > MAX_DIGITS:
                raise ValueError
            return kind(value)
        except (TypeError, ValueError, OverflowError):
            if default is not None:
                return default
            shown = "an empty value" if value is None else repr(value)[:40]
            raise SecurityError(f"{shown} is no number; {word}(0) takes 0 instead") from None

    return convert


def _to_int(value: Any) -> int:
    text_of(value)
    return int(value) if not isinstance(value, str) or re.fullmatch(r"\s*[+-]?\d+\s*", value) else int(float(value))


def _to_float(value: Any) -> float:
    text_of(value)
    return float(value)


def _round(value: Any, precision: int = 0, method: str = "common") -> Any:
    if not -20 <= precision <= 20:
        raise SecurityError("round takes a precision between -20 and 20")
    return ready.do_round(value, precision, method)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------- conditions


def truth(value: Any) -> bool:
    """What a condition makes of a value. Python takes every text but the empty one for yes, "false" and "0" too: here it says which."""
    if not isinstance(value, str):
        return bool(value)
    found = yesno.meaning(value) if value.strip() else False
    if found is None:
        raise SecurityError(f"{value[:40]!r} is a text, neither true nor false: {_instead(value[:40])}, or | length > 0 where any text will do")
    return found


def _instead(text: str) -> str:
    return "write | float > 0" if "." in text and _is_number(text) else "write | int > 0" if _is_number(text) else f"compare it, as in == {text!r}"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*[+-]?\d+(\.\d+)?\s*", text, re.ASCII) is not None


# ------------------------------------------------------------------------------------------------------------- quoting


def _plain(value: Any) -> Any:
    """The value as JSON knows it."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, MappingType):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return finalize(value)


def _json(value: Any) -> str:
    """Text for text: no `\\u003c` as Jinja's tojson has it. Made piece by piece, so that its size is known in time."""
    out: List[str] = []
    size = 0
    for chunk in json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain).iterencode(value):
        out.append(chunk)
        size += len(chunk)
        bounded(size)
    return "".join(out)


def _py(value: Any) -> str:
    _json(value)  # bounded, and nothing but data
    return repr(_plain(value))


def _sql(value: Any) -> str:
    """Inside single quotes of standard SQL."""
    return text_of(value).replace("'", "''")


def _hql(value: Any) -> str:
    """Inside single quotes of Hive and Spark SQL, where a backslash escapes and '' would join two texts."""
    return text_of(value).replace("\\", "\\\\").replace("'", "\\'")


# --------------------------------------------------------------------------------------------------------------- dates


def _as_moment(value: Any) -> Moment:
    if isinstance(value, datetime):
        return moment(value)
    text = text_of(value)
    if re.fullmatch(r"\d{8}", text):
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return moment(datetime.fromisoformat(text.replace("Z", "+00:00")))


def _layout(layout: str) -> Callable[[Any], str]:
    return lambda value: _as_moment(value).strftime(layout)


def _text_filter(change: Callable[..., str]) -> Callable[..., str]:
    return lambda value, *args: change(text_of(value), *args)


@jinja2.pass_context
def each(context: Any, value: Iterable[Any]) -> Iterable[Any]:
    """What a `for` walks over: all loops of one rendering share a budget, nested ones too."""
    budget = context.get(BUDGET)
    for item in value:
        budget[0] -= 1
        if budget[0] < 0:
            raise SecurityError(f"the loops of this text run more than {MAX_ITEMS:,} times")
        yield item


BUDGET = "\0budget"  # a name that no template can write

FILTERS: Dict[str, Callable[..., Any]] = {
    "sh": lambda value: shlex.quote(text_of(value)),
    "sql": _sql,
    "hql": _hql,
    "json": _json,
    "py": _py,
    "ds": _layout("%Y-%m-%d"),
    "ds_nodash": _layout("%Y%m%d"),
    "ts": lambda value: _as_moment(value).isoformat(),
    "ts_nodash": _layout("%Y%m%dT%H%M%S"),
    "ts_nodash_with_tz": _layout("%Y%m%dT%H%M%S%z"),
    "upper": _text_filter(str.upper),
    "lower": _text_filter(str.lower),
    "title": _text_filter(str.title),
    "capitalize": _text_filter(str.capitalize),
    "trim": _text_filter(str.strip),
    "string": text_of,
    "replace": replace,
    "join": join,
    "int": _number(_to_int, "int"),
    "float": _number(_to_float, "float"),
    "round": _round,
    "abs": abs,
    "_concat": concat,
    "_each": each,
    "_truth": truth,
    # Jinja's own that neither hide a fault nor grow: by their own names.
    **{
        name: ready.FILTERS[name]
        for name in (
            "count", "d", "default", "dictsort", "first", "items", "last", "length", "list", "map", "max", "min", "reject",
            "rejectattr", "reverse", "select", "selectattr", "sort", "sum", "unique",
        )
    },
}  # fmt: skip
