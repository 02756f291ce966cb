"""One message that can be acted on: what happened, where, what its log says last, and what to type.

Pure but for the end of a log, which whoever sends hands in. `fields` are the names that a webhook may use as `<< name >>` and
that a command gets as RUNNER_ALERT_NAME.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Callable, Dict, List, Mapping, Sequence
from zoneinfo import ZoneInfo

from runner.clock import from_text

NAMES = (
    "text", "subject", "event", "pipeline", "run", "ds", "step", "state", "reason", "exit_code", "attempt", "attempts", "next_attempt",
    "deadline", "owner", "host", "home", "log", "log_file", "rerun", "key", "count",
)  # fmt: skip
LOG_LINES = 30
LINE = 500  # characters of one of them
LISTED = 100  # alerts that a message of many lists
_MARK = re.compile(r"<< *([a-z_]+) *>>")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_WORDS = {"failure": "FAILED", "success": "OK", "retry": "RETRY", "late": "LATE", "summary": "SUMMARY", "test": "TEST"}


@dataclass(frozen=True)
class Message:
    key: str  # what it is about: the same when it is sent again
    subject: str
    text: str
    fields: Mapping[str, str] = field(default_factory=dict)

    def as_fields(self) -> Dict[str, str]:
        """Every name of NAMES; empty where it means nothing."""
        return {**dict.fromkeys(NAMES, ""), "count": "1", **self.fields, "key": self.key, "subject": self.subject, "text": self.text}

    @property
    def short_key(self) -> str:
        """As a mail's id."""
        return hashlib.sha256(self.key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True)
class Place:
    """Where runner works, for whoever reads the message elsewhere."""

    host: str
    home: str
    user: str = ""

    @property
    def words(self) -> str:
        return f"host {self.host}, {self.home}" + (f", user {self.user}" if self.user else "")

    def command(self, *words: str) -> str:
        """What to type, from any shell of that server."""
        return " ".join(shlex.quote(word) for word in ("runner", "--home", self.home, *words))


def clean(line: str) -> str:
    """A line of a log without colours and what moves a cursor."""
    line = _CONTROL.sub("", line.rstrip("\r\n").replace("\n", " ").encode("utf-8", "replace").decode())
    return line if len(line) <= LINE else line[:LINE] + " ..."


# ------------------------------------------------------------------------------------------------------------ one alert


def of_alert(alert: Any, place: Place, tail: Callable[[str], Sequence[str]]) -> Message:
    """`alert`: store.alerts.Alert. `tail` gives the last lines of a log file."""
    if alert.event == "test":
        return _test(alert.key, place, alert.at)
    body, late = alert.body, alert.event == "late"
    what = alert.run or alert.pipeline
    step = body.get("step") or ""
    log_file = body.get("log_file") or ""
    lines = [clean(line) for line in tail(log_file)][-LOG_LINES:] if log_file and alert.event in ("failure", "retry", "late") else []
    rerun = _rerun(alert, place)
    fields = {
        "event": alert.event, "pipeline": alert.pipeline, "run": alert.run, "ds": body.get("ds", ""), "step": step, "state": body.get("state", ""),
        "reason": clean(body.get("reason", "")), "exit_code": _text(body.get("exit_code")), "attempt": _text(body.get("attempt")),
        "attempts": _text(body.get("attempts")), "next_attempt": _moment(body.get("next_at"), body), "deadline": _moment(body.get("deadline"), body),
        "owner": body.get("owner", ""), "host": place.host, "home": place.home, "log": "\n".join(lines), "log_file": log_file, "rerun": rerun,
    }
    subject = f"[runner] {_WORDS.get(alert.event, alert.event)} {what}" + (f" step {step}" if step else "")
    subject += _others(body) + _why(alert.event, fields)
    return Message(alert.key, subject[:300], _text_of(alert, fields, place, lines, late), fields)


def _others(body: Mapping[str, Any]) -> str:
    count = len(body.get("failed") or ()) - 1
    return f" and {count} more" if count > 0 else ""


def _why(event: str, fields: Mapping[str, str]) -> str:
    if event == "success":
        return ""
    if event == "late":
        return f": {fields['reason']}" if fields["reason"] else ""
    return f" ({fields['reason']})" if fields["reason"] else ""


def _text_of(alert: Any, fields: Mapping[str, str], place: Place, lines: Sequence[str], late: bool) -> str:
    body = alert.body
    rows = [("pipeline", alert.pipeline + (f"  ({clean(body['description'])})" if body.get("description") else "")), ("run", alert.run)]
    rows.append(("date", f"{fields['ds']}  ({body.get('zone', '')})" if fields["ds"] else ""))
    if fields["deadline"]:
        rows.append(("deadline", fields["deadline"]))
    if fields["step"]:
        count = f", attempt {fields['attempt']} of {fields['attempts']}" if fields["attempt"] else ""
        rows.append(("step", fields["step"] + count))
    rows += [("state", fields["state"]), ("reason", fields["reason"]), ("exit code", fields["exit_code"])]
    if fields["next_attempt"]:
        rows.append(("next", f"attempt {int(fields['attempt'] or 0) + 1} at {fields['next_attempt']}"))
    rows += [("at", _moment(alert.at, body)), ("owner", fields["owner"]), ("where", place.words), ("log file", fields["log_file"])]
    out = [f"{name:<10} {value}" for name, value in rows if value]
    others = body.get("failed") or []
    if len(others) > 1:
        out += ["", f"{len(others)} steps failed:"] + [f"  {name}: {clean(reason)}" for name, reason in others[:LISTED]]
    if alert.run and alert.event != "success":
        out += ["", f"look at it   {place.command('status', alert.run)}"]
        if fields["rerun"]:
            out.append(f"run again    {fields['rerun']}")
    if lines:
        whose = body.get("log_of") or fields["step"]
        out += ["", f"the last lines of {whose}:", ""] + ["  " + line for line in lines]
    return "\n".join([*out, "", f"key {alert.key}", ""])


def _rerun(alert: Any, place: Place) -> str:
    if not alert.run:
        return place.command("trigger", alert.pipeline, "--date", alert.body["ds"]) if alert.body.get("ds") and alert.event == "late" else ""
    if alert.body.get("run_state") == "missed":
        return place.command("trigger", alert.pipeline, "--date", alert.run.partition("@")[2].partition("#")[0])
    over = alert.event == "failure" or alert.body.get("run_state") in ("failed", "killed")
    return place.command("rerun", alert.run, "--failed") if over else ""


def _moment(value: Any, body: Mapping[str, Any]) -> str:
    """A moment in the pipeline's zone, with its name."""
    if not value:
        return ""
    moment = value if isinstance(value, datetime) else from_text(value)
    return moment.astimezone(ZoneInfo(body.get("zone") or "UTC")).strftime("%Y-%m-%d %H:%M:%S %Z")


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _test(key: str, place: Place, at: datetime) -> Message:
    subject = f"[runner] TEST from {place.host}"
    text = "\n".join([
        "This is a test: whoever reads it will be told of failures. 시험 메시지입니다.", "",
        f"where      {place.words}", f"at         {at:%Y-%m-%d %H:%M:%S} UTC", "", f"key {key}", "",
    ])
    return Message(key, subject, text, {"event": "test", "host": place.host, "home": place.home, "state": "test"})


# ---------------------------------------------------------------------------------------------------------------- many


def of_many(alerts: Sequence[Any], messages: Sequence[Message], place: Place) -> Message:
    """A storm as one message with a list."""
    counts: Dict[str, int] = {}
    for alert in alerts:
        counts[alert.event] = counts.get(alert.event, 0) + 1
    said = ", ".join(f"{n} {_WORDS.get(event, event)}" for event, n in sorted(counts.items(), key=lambda each: -each[1]))
    subject = f"[runner] {len(alerts)} alerts: {said}"
    out = [f"{len(alerts)} alerts came within a short time: {said}.", f"where: {place.words}", ""]
    for alert, message in list(zip(alerts, messages))[:LISTED]:
        out.append(f"{alert.at:%H:%M:%S}Z  {message.subject[len('[runner] '):]}")
        if message.fields.get("rerun"):
            out.append(f"           {message.fields['rerun']}")
    if len(alerts) > LISTED:
        out.append(f"... and {len(alerts) - LISTED} more: {place.command('alert', 'log')}")
    out += ["", "keys of the first: " + ", ".join(alert.key for alert in alerts[:10]), ""]
    fields = {
        "event": next(iter(counts)) if len(counts) == 1 else "many", "host": place.host, "home": place.home, "count": str(len(alerts)),
        "pipeline": ", ".join(dict.fromkeys(alert.pipeline for alert in alerts[:LISTED])), "state": said,
    }
    return Message(f"{alerts[0].key}+{len(alerts) - 1}", subject, "\n".join(out), fields)


# ------------------------------------------------------------------------------------------------------ filling templates


def unknown_names(value: Any) -> List[str]:
    """The `<< name >>` in a webhook's template that mean nothing; secrets are somebody else's."""
    if isinstance(value, str):
        return [name for name in _MARK.findall(value) if name not in NAMES]
    if isinstance(value, Mapping):
        return [name for item in value.values() for name in unknown_names(item)]
    return [name for item in value for name in unknown_names(item)] if isinstance(value, (list, tuple)) else []


def fill(value: Any, fields: Mapping[str, str], as_json: bool = False) -> Any:
    """The same with each `<< name >>` replaced, in one go: what is put in is not looked at again. `as_json`: escaped for a JSON text."""
    if isinstance(value, str):
        return _MARK.sub(lambda found: _put(found, fields, as_json), value)
    if isinstance(value, Mapping):
        return {key: fill(item, fields, as_json) for key, item in value.items()}
    return [fill(item, fields, as_json) for item in value] if isinstance(value, (list, tuple)) else value


def _put(found: "re.Match", fields: Mapping[str, str], as_json: bool) -> str:
    value = fields.get(found.group(1), found.group(0))
    return json.dumps(value, ensure_ascii=False)[1:-1] if as_json else value
