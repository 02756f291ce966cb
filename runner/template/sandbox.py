"""The one Jinja environment: sandboxed, strict, deterministic. Its delimiters are NUL pairs that no text can hold, so that
Jinja never meets `<<` (semantics D1, D3 to D6).

What a template may touch is listed here, kind by kind; all else is refused. A list of what is forbidden would have holes.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, FrozenSet, Tuple

import jinja2
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

from runner.template import filters
from runner.template.names import Maker

TAG_OPEN, TAG_CLOSE, BLOCK_OPEN, BLOCK_CLOSE = "\0{", "}\0", "\0%", "%\0"
NO_CLOCK = "the run's date is << ds >>: nothing here may ask the clock"
MAX_BITS = 4096  # of a whole number
CLOCK_WORDS = frozenset({"now", "today", "utcnow", "time_ns", "localtime", "gmtime"})
_MOMENT = (
    "year month day hour minute second microsecond strftime isoformat date time weekday isoweekday isocalendar timestamp replace "
    "tzname utcoffset in_timezone in_tz add subtract"
)
_RELATIVE = "years months days hours minutes seconds weeks"
_TEXT = (
    "upper lower title capitalize strip lstrip rstrip split rsplit splitlines startswith endswith find rfind index count isdigit "
    "isalpha isalnum isnumeric isupper islower partition rpartition zfill replace join"
)


def _words(text: str) -> FrozenSet[str]:
    return frozenset(text.split())


# kind -> its name for people and what may be asked of it. The first that fits counts: a datetime is a date too.
_ALLOWED: Tuple[Tuple[type, str, FrozenSet[str]], ...] = (
    (datetime, "a date with time", _words(_MOMENT)),
    (date, "a date", _words("year month day strftime isoformat weekday isoweekday replace")),
    (time, "a time", _words("hour minute second strftime isoformat")),
    (timedelta, "a time span", _words("days seconds microseconds total_seconds")),
    (str, "a text", _words(_TEXT)),
    (list, "a list", _words("index count")),
    (tuple, "a list", _words("index count")),
    (Maker, "datetime", _words("strptime fromisoformat")),
    (LoopContext, "loop", _words("index index0 revindex revindex0 first last length previtem nextitem cycle changed depth")),
)


def words_of(kind: type) -> FrozenSet[str]:
    """What may be asked of a value of that kind."""
    return next((words for each, _, words in _ALLOWED if issubclass(kind, each)), frozenset())


_GUARDED = {"replace": filters.replace, "join": lambda between, items: filters.join(items, between), "zfill": filters.zfill}


class Environment(ImmutableSandboxedEnvironment):
    """Keys before attributes, no clock, nothing huge."""

    intercepted_binops = frozenset({"**", "*", "%", "+"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, MappingType):  # D4: a mapping has keys and nothing else
            return self.getitem(obj, attribute)
        if isinstance(obj, jinja2.Undefined):
            return obj  # it says its name when it is written, and | default still helps
        if obj is None:
            return self.undefined(f"what stands before .{attribute} is empty: this run has none; write | default('x')")
        if attribute in CLOCK_WORDS:
            raise SecurityError(NO_CLOCK)
        for kind, name, words in _ALLOWED:
            if isinstance(obj, kind):
                if attribute in words:
                    return getattr(obj, attribute)
                raise SecurityError(f"{name} has no {attribute!r} here; it has {', '.join(sorted(words))}")
        if type(obj).__name__ == "relativedelta" and attribute in _RELATIVE.split():
            return getattr(obj, attribute)
        raise SecurityError(f"{attribute!r} cannot be asked of a {type(obj).__name__}")

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, MappingType):
            if argument in obj:
                return obj[argument]
            has = ", ".join(str(key) for key in list(obj)[:8])
            return self.undefined(f"there is no {argument!r}" + (f"; there is {has}" if has else ""))
        if obj is None or isinstance(obj, jinja2.Undefined) or isinstance(argument, str):
            return self.getattr(obj, argument)
        try:
            return obj[argument]
        except IndexError:
            return self.undefined(f"there is no entry {argument}: it has {len(obj)}")

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: B902 - as Jinja calls it
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        if isinstance(owner, str) and name in _GUARDED:
            return _GUARDED[name](owner, *args, **kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sides = (left, right)
        if operator in ("+", "*") and any(isinstance(side, (str, list, tuple)) for side in sides):
            filters.bounded(_joined(left, right) if operator == "+" else _repeated(left, right))
        elif operator == "%" and isinstance(left, str):
            raise SecurityError("formatting with % is not available: join texts with ~")
        elif operator in ("*", "**") and all(isinstance(side, int) for side in sides):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > MAX_BITS:
                raise SecurityError("the number would be too large")
        return super().call_binop(context, operator, left, right)


def _joined(left: Any, right: Any) -> int:
    return sum(len(side) for side in (left, right) if isinstance(side, (str, list, tuple)))


def _repeated(left: Any, right: Any) -> int:
    many, times = (left, right) if isinstance(left, (str, list, tuple)) else (right, left)
    size = len(many) * times if isinstance(times, int) else 0
    return size if isinstance(many, str) else size * 1000  # a list may hold lists


@lru_cache(maxsize=1)
def env() -> Environment:
    """The environment, made once."""
    made = Environment(
        variable_start_string=TAG_OPEN, variable_end_string=TAG_CLOSE, block_start_string=BLOCK_OPEN,
        block_end_string=BLOCK_CLOSE, comment_start_string="\0#", comment_end_string="#\0", undefined=jinja2.StrictUndefined,
        finalize=filters.finalize, keep_trailing_newline=True, autoescape=False, cache_size=0, optimized=False,
    )
    for name in ("lipsum", "cycler", "joiner", "namespace"):
        made.globals.pop(name, None)
    made.filters = dict(filters.FILTERS)
    return made
