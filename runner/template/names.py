"""What a tag may say: the names of a run's context, all read from the run's row, and the same as environment variables."""

from __future__ import annotations

import calendar
import json
import re
from datetime import date, datetime, timedelta
from typing import Any, Dict, Mapping, Optional, Tuple

from runner import model

_DAYS = ("ds", "prev_ds", "next_ds", "yesterday_ds", "tomorrow_ds", "month_start_ds", "month_end_ds")
SITE_NAMES = ("secret", "var", "conn")  # what a site keeps apart from its pipelines
NAMES = frozenset(
    {
        "logical_date", "execution_date", "ts", "ts_nodash", "ts_nodash_with_tz", "data_interval_start", "data_interval_end",
        "prev_success", "run_id", "pipeline", "step", "try_number", "params", "outputs", "run", "macros", "ds_add", "ds_format",
        "datetime", "timedelta", "relativedelta", "item", "item_index", *SITE_NAMES, *_DAYS, *(name + "_nodash" for name in _DAYS),
    }
)  # fmt: skip


PARTS = {  # what stands behind the dot, for those names whose parts are always the same
    "run": ("name", "number", "due_at", "type"),
    "prev_success": ("ds", "ds_nodash", "ts", "logical_date", "data_interval_start", "data_interval_end"),
    "macros": ("ds_add", "ds_format", "datetime", "timedelta", "relativedelta"),
}
_FUNCTIONS = ("ds_add", "ds_format", "timedelta", "relativedelta")
_MOMENTS = ("logical_date", "execution_date", "data_interval_start", "data_interval_end", "due_at")
WHY_EMPTY = {  # names that some runs do not have
    "prev_ds": "there is no date before: the pipeline has no schedule, or it starts here",
    "next_ds": "there is no date after: the pipeline has no schedule, or it ends here",
    "prev_success": "no earlier run of this pipeline has succeeded",
}


class Secret:
    """What `secret.NAME` is in a template: no value, but the text that stands for it until the command starts."""

    def __init__(self, text: str):
        self.text = text

    def __str__(self) -> str:
        raise ValueError("a secret stands alone in its tag: << secret.NAME >>")


class Moment(datetime):
    """A date and time as templates see it: prints as ISO 8601 with its offset, and knows a few of pendulum's words."""

    def __str__(self) -> str:
        return self.isoformat()

    def strftime(self, layout: str) -> str:
        """%s would be worked out in the zone of the server, and a width can name a text without end."""
        return super().strftime(_good_layout(layout))

    def in_timezone(self, name: str) -> "Moment":
        """The same instant on another zone's clock."""
        from zoneinfo import ZoneInfo

        try:
            return moment(self.astimezone(ZoneInfo(name)))
        except (KeyError, ValueError, OSError):
            raise ValueError(f"there is no time zone {name!r}") from None

    in_tz = in_timezone

    def add(self, **units: float) -> "Moment":
        """Later by so many days=, hours=, minutes=, weeks=; a day is a day of the calendar."""
        return self + timedelta(**units)

    def subtract(self, **units: float) -> "Moment":
        return self - timedelta(**units)


def _good_layout(layout: str) -> str:
    for directive in re.findall(r"%[-_0^#]*(\d+|.)", layout):
        if directive == "s":
            raise ValueError("%s depends on the server's time zone: write .timestamp() | int for seconds since 1970")
        if directive.isdigit():
            raise ValueError("a width in a date layout is not available")
    return layout


def moment(value: datetime) -> Moment:
    return Moment(value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold)


class _Names(dict):
    """A mapping whose entries are worked out when they are asked for: most texts want one or two of forty."""

    def __init__(self, makers: Mapping[str, Any], ready: Mapping[str, Any]):
        super().__init__(ready)
        self._makers = makers

    def __missing__(self, name: str) -> Any:
        value = self[name] = self._makers[name]()
        return value

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or name in self._makers

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default


def context(
    run: model.Run,
    *,
    step: str,
    try_number: int,
    outputs: Mapping[str, Mapping[str, Any]],
    prev_success: Optional[model.LogicalDate] = None,
    previous: Optional[model.LogicalDate] = None,
    following: Optional[model.LogicalDate] = None,
    item: Optional[Tuple[Any, int]] = None,
    site: Optional[Mapping[str, Any]] = None,
) -> Mapping[str, Any]:
    """The names of one attempt, from the run's row alone: no clock is asked, so a retry next week gets the same.

    `site` has a function for each of SITE_NAMES, called when a text asks.
    `previous` and `following` are the dates before and after this one in the pipeline's schedule, where it has one.
    `item`: of a mapped step, with its place.
    """
    logical = run.date.logical
    day = logical.date()
    makers: Dict[str, Any] = {
        "logical_date": lambda: moment(logical),
        "execution_date": lambda: moment(logical),
        "ts": lambda: logical.isoformat(timespec="seconds"),
        "ts_nodash": lambda: logical.strftime("%Y%m%dT%H%M%S"),
        "ts_nodash_with_tz": lambda: logical.strftime("%Y%m%dT%H%M%S%z"),
        "data_interval_start": lambda: moment(run.date.interval_start),
        "data_interval_end": lambda: moment(run.date.interval_end),
        "run": lambda: {"name": run.name, "number": run.number, "due_at": moment(run.date.due), "type": run.trigger},
        "prev_success": lambda: _success(prev_success),
        "macros": _macros,
        **dict.fromkeys(SITE_NAMES, dict), **(site or {}),
        **{name: (lambda name=name: _macros()[name]) for name in PARTS["macros"]},
    }
    days = {
        "ds": lambda: day, "yesterday_ds": lambda: day - timedelta(1), "tomorrow_ds": lambda: day + timedelta(1),
        "month_start_ds": lambda: day.replace(day=1),
        "month_end_ds": lambda: day.replace(day=calendar.monthrange(day.year, day.month)[1]),
        "prev_ds": lambda: previous.logical.date() if previous else None,
        "next_ds": lambda: following.logical.date() if following else None,
    }
    for name, make in days.items():
        makers[name] = lambda make=make: _iso(make())
        makers[name + "_nodash"] = lambda make=make: (_iso(make()) or "").replace("-", "") or None
    ready = {
        "run_id": run.name, "pipeline": run.pipeline, "step": step, "try_number": try_number, "params": dict(run.params),
        "outputs": outputs,
    }
    if item is not None:
        ready["item"], ready["item_index"] = item
    return _Names(makers, ready)


def _iso(day: Optional[date]) -> Optional[str]:
    return day.isoformat() if day else None


def _success(found: Optional[model.LogicalDate]) -> Optional[Dict[str, Any]]:
    if found is None:
        return None
    day = found.logical.strftime("%Y-%m-%d")
    return {
        "ds": day, "ds_nodash": day.replace("-", ""), "ts": found.logical.isoformat(timespec="seconds"),
        "logical_date": moment(found.logical), "data_interval_start": moment(found.interval_start),
        "data_interval_end": moment(found.interval_end),
    }  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- functions


def ds_add(ds: str, days: int) -> str:
    """2026-03-01 for ds_add('2026-02-28', 1)."""
    return _iso(_day(ds) + timedelta(days=int(days))) or ""


def _day(ds: str) -> date:
    return datetime.strptime(str(ds), "%Y-%m-%d").date()


def ds_format(ds: str, input_format: str, output_format: str) -> str:
    """A date text in another layout."""
    return datetime.strptime(str(ds), input_format).strftime(_good_layout(output_format))


class Maker:
    """What `datetime` means in a template: it makes moments from numbers and texts, never from a clock."""

    def __call__(self, *parts: int, **named: int) -> Moment:
        return Moment(*parts, **named)

    def strptime(self, text: str, layout: str) -> Moment:
        return moment(datetime.strptime(str(text), layout))

    def fromisoformat(self, text: str) -> Moment:
        return moment(datetime.fromisoformat(str(text)))


def _macros() -> Dict[str, Any]:
    return {"ds_add": ds_add, "ds_format": ds_format, "datetime": Maker(), "timedelta": timedelta, "relativedelta": _relativedelta}


KINDS: Mapping[str, type] = {  # what a name holds, or a part of run, prev_success and macros; a text where it is not here
    **dict.fromkeys(_MOMENTS, Moment), **dict.fromkeys(("try_number", "number", "item_index"), int), "datetime": Maker,
    **dict.fromkeys(_FUNCTIONS, object),
}


def _relativedelta(**units: int) -> Any:
    """Months and years, clipped to the month's end. Units only: two dates would need no run."""
    from dateutil.relativedelta import relativedelta

    return relativedelta(**units)


# --------------------------------------------------------------------------------------------------------- environment


def environment(names: Mapping[str, Any]) -> Dict[str, str]:
    """The context as RUNNER_* variables, for scripts that are no templates. A name that this run lacks is not set."""
    taken = (
        "ds ds_nodash ts ts_nodash logical_date data_interval_start data_interval_end yesterday_ds tomorrow_ds prev_ds next_ds "
        "run_id pipeline step try_number"
    ).split()
    out = {"RUNNER_" + name.upper(): str(names[name]) for name in taken if names[name] is not None}
    if "item_index" in names:
        out["RUNNER_ITEM"], out["RUNNER_ITEM_INDEX"] = _text(names["item"]), str(names["item_index"])
    for name, value in names["params"].items():
        out[model.variable_of(name)] = _text(value)
    return out


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (bool, list, dict)) else str(value)
