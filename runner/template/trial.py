"""Expressions of dates and nothing else, tried before any run: what fails for every date fails in every run."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Iterator, List, Mapping, Tuple

from runner import model
from runner.template import rendering
from runner.template.analysis import declared, shown
from runner.template.lexer import Places, TemplateFault
from runner.template.names import NAMES, SITE_NAMES, context
from runner.template.syntax import Fault, expression, inside_of, pieces_of

_OF_RUN = ("params", "outputs", "item", "item_index", "run", "run_id", "pipeline", "step", "try_number", *SITE_NAMES)
_DATES = NAMES - set(_OF_RUN)
_HINTS = {
    "ds_add": "write ds_add(ds, 1): a date such as 2026-02-28, and how many days later",
    "ds_format": "write ds_format(ds, '%Y-%m-%d', '%Y%m'): a date, its layout, the layout that is wanted",
    "strftime": "write logical_date.strftime('%Y-%m-%d')",
    "timedelta": "write logical_date + timedelta(days=1)", "relativedelta": "write logical_date + relativedelta(months=1)",
    "in_timezone": "write a zone such as 'UTC' or 'Asia/Seoul'", "in_tz": "write a zone such as 'UTC' or 'Asia/Seoul'",
    "datetime": "write datetime(2026, 2, 28), or logical_date for the run's date",
}  # fmt: skip
_KINDS = {"'Moment'": "a date", "'datetime.date'": "a day", "'str'": "a text", "'int'": "a number", "'datetime.timedelta'": "a time span", "Moment.": "", "Maker.": ""}
_UNLIKE = "compare a text with a text, as in ds >= '2026-02-28', and a number with a number, as in logical_date.day > 15"
_HINT = "no date of a run makes it work: write ds_add(ds, -1), logical_date.strftime('%Y%m') or logical_date + timedelta(hours=1)"


def find_faults(text: str) -> Iterator[TemplateFault]:
    """The tags and blocks of a text that no date makes work."""
    pieces, places = pieces_of(text)[0], Places(text)
    own = declared(pieces)
    for piece in pieces:
        inside = "" if piece.kind == "text" else inside_of(piece)
        for message, hint in of_expression(inside, piece.kind == "tag", False) if inside else ():
            if not (expression(inside).names or frozenset()) & own:
                yield places.fault(piece.offset, f"{shown(piece)}: {message}", hint)


def of_expression(text: str, written: bool, condition: bool) -> List[Fault]:
    """What is wrong with an expression whose value is `written` into a text, or is the answer of a `condition`."""
    why = _failure(text, written, condition) if text not in NAMES else ""
    return [(why, _hint(text, why))] if why else []


def _hint(text: str, why: str) -> str:
    return _UNLIKE if "not supported between" in why else next((hint for name, hint in _HINTS.items() if name + "(" in text), _HINT)


@lru_cache(maxsize=8192)
def _failure(text: str, written: bool, condition: bool) -> str:
    """Why it fails; "" when it works for one of the dates, or speaks of more than dates."""
    known = expression(text)
    if known.names is None or known.faults or not known.names <= _DATES:
        return ""
    why = ""
    for names in _contexts():
        found = rendering.trouble(text, names, written, condition)
        if not found:
            return ""
        why = why or found
    for python, plain in _KINDS.items():
        why = why.replace(python, plain)
    return why


@lru_cache(maxsize=1)
def _contexts() -> Tuple[Mapping[str, Any], ...]:
    """Dates that differ in all that an expression may depend on: each day of the week, most months, with neighbours and without."""
    first, zone = datetime(2024, 1, 31), timezone(timedelta(hours=9))
    return tuple(_context((first + timedelta(days=36 * n, hours=n)).replace(tzinfo=zone), n % 2 == 0) for n in range(12))


def _context(moment: datetime, others: bool) -> Mapping[str, Any]:
    date, day = model.LogicalDate(moment, moment, moment, moment + timedelta(days=1), "Asia/Seoul"), timedelta(days=1)
    near = model.LogicalDate(moment - day, moment - day, moment - day, moment, "Asia/Seoul") if others else None
    run = model.Run(
        id=1, name="sample", pipeline="sample", number=0, definition="", date=date, trigger="manual", params={}, state="running", reason="",
        created_at=moment, started_at=moment, ended_at=None, engine=None, stop_requested=None,
    )  # fmt: skip
    return context(run, step="sample", try_number=1, outputs={}, prev_success=near, previous=near, following=near)
