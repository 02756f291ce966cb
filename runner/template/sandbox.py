"""The one Jinja environment: sandboxed, strict, deterministic. Its delimiters are NUL pairs that no text can hold, so that
Jinja never meets `<<` (semantics D1, D3 to D9)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping as MappingType
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

from runner.template.names import Moment, moment

TAG_OPEN, TAG_CLOSE, BLOCK_OPEN, BLOCK_CLOSE = "\0{", "}\0", "\0%", "%\0"
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
