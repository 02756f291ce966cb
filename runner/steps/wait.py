"""Waits until something outside the run is there: a file, a path in HDFS, a partition, a row, an address, a time, another pipeline's run.

```yaml
steps:
  - id: landed
    wait: {file: "/data/in/<< ds >>/*.csv", done: "/data/in/<< ds >>/_SUCCESS", stable: 30s}
    timeout: 4h
  - id: mart_done
    wait: {run: mart, step: publish}
  - id: month_done
    wait: {run: mart, date: "<< ds[:7] >>"}
  - id: load
    needs: [landed, mart_done, month_done]
    bash: ./load.sh
```

A wait holds no slot and has no process: two thousand of them may wait at once. It is looked at every `every:` (30s; 5m for `hdfs` and
`partition`); `runner status` says what is missing, and since when. The step's `timeout:` is how long it waits, a week unless it says
otherwise; then it fails, or with `soft: true` is skipped. `retries:` have no effect on it.

**What it waits for**, exactly one of:

- `file`: a path or a pattern (`*`, `?`, `[a-z]`, `**`). `count:` so many of them, `stable:` unchanged in size and time for so long, `age:` last
  changed at least so long ago, `min_size:` bytes each, `done:` a further file that must be there. Hands on `path`, `paths`, `count`, `bytes`.
- `hdfs`: a path or pattern in HDFS, by the server's own `hdfs` command; `done:`, `count:` and `min_size:` as above. All that wait are asked with one command.
- `partition`: `db.table/dt=2026-02-28` in Hive, by the server's `beeline` or `hive`, with `url:` (`user:`, `password_file:`) or `client:`. All that
  wait for the same address are asked for with one start of it.
- `sql`: a statement for `connection:`; it is there when the first value of its first row is neither nothing, 0, false nor empty.
- `http`: an address that answers with a `status:` (200), and with `contains:` in its text. The address and `headers:` may hold `<< secret.x >>`; with
  `connection:` it is asked as an `http` step asks: its `url`, user and password, `ca`, `proxy`.
- `time`: `"06:00"` on the run's date, in its zone; `"+1d 06:00"` on the day after it; or a moment such as `<< data_interval_end >>`.
- `run`: another pipeline, by the **date** of its run: that of this run, or `date:`, a day or a month (`2026-02`). Of a pipeline with several runs a day all of
  them must have ended well; `runs: last` asks only for the last. `step:` for one of its steps. `state: ended` takes any end. `if_failed: fail` does not wait for
  somebody to repair it. `runner check` warns of a pipeline, or a step of it, that is not there.

**Exit codes.** None: it has no process. It succeeds when all is there, fails with what is missing as its reason, or is skipped.

**Traps**

- A file that is still being written is there: give `stable:` or `done:`.
- Nothing that runs on this server is stopped while the daemon is away: a wait goes on where it was, with the deadline it had.
- `sql` and `http`: a connection that cannot work (it is not there, its password is wrong) ends the wait at once; a server that is away is waited for.
- A mount that hangs is told as `no answer`; the other waits and the daemon go on.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Dict, List, Mapping
from zoneinfo import ZoneInfo

from runner import model
from runner.durations import DurationError, parse_duration
from runner.errors import UsageError
from runner.steps import http
from runner.steps.base import BuildContext, CalledFile, Fault, exactly_one, has_tag, locate

KIND = "wait"
TITLE = "until a file, a table, a time or another run is there"
SLOTLESS = True
FOR = ("file", "hdfs", "partition", "sql", "http", "time", "run")

_TEXT = {"type": "string", "minLength": 1}
_LENGTH = {"type": ["string", "number"]}
SCHEMA: Dict[str, Any] = {
    "type": "object",
    "description": "What is waited for: one of file, hdfs, partition, sql, http, time, run.",
    "additionalProperties": False,
    "properties": {
        "file": {**_TEXT, "description": "A path or a pattern; a relative one starts at the pipeline's folder."},
        "hdfs": {**_TEXT, "description": "A path or a pattern in HDFS."},
        "partition": {**_TEXT, "description": "A partition in Hive: db.table/dt=2026-02-28/region=KR."},
        "sql": {**_TEXT, "description": "A statement; there when its first value says so."},
        "http": {**_TEXT, "description": "An address."},
        "time": {**_TEXT, "description": "A time on the run's date, or a moment."},
        "run": {**_TEXT, "description": "A pipeline whose run of the date must have ended well."},
        "every": {**_LENGTH, "description": "How often it is looked at. Default: 30s; hdfs and partition 5m."},
        "soft": {"type": "boolean", "description": "When the time is over the step is skipped, not failed."},
        "count": {"type": "integer", "minimum": 1, "description": "file, hdfs: so many must match. Default: 1."},
        "stable": {**_LENGTH, "description": "file: unchanged for so long."},
        "age": {**_LENGTH, "description": "file: last changed at least so long ago."},
        "min_size": {"type": "integer", "minimum": 0, "description": "file, hdfs: bytes that each must have at least."},
        "done": {**_TEXT, "description": "file, hdfs: a further file that must be there."},
        "connection": {**_TEXT, "description": "sql, http: a connection of the site."},
        "status": {"type": "integer", "minimum": 100, "maximum": 599, "description": "http: the status that counts. Default: 200."},
        "contains": {**_TEXT, "description": "http: a text that the answer must hold."},
        "headers": {"type": "object", "additionalProperties": {"type": "string"}, "description": "http: further headers."},
        "url": {**_TEXT, "description": "partition: the JDBC address, for beeline."},
        "user": {**_TEXT, "description": "partition: the user name, for beeline."},
        "password_file": {**_TEXT, "description": "partition: a file, mode 0600, that holds the password, for beeline."},
        "client": {"type": "string", "enum": ["beeline", "hive", "spark-sql"], "description": "partition: who asks. Default: beeline with url, else hive."},
        "step": {**_TEXT, "description": "run: one of its steps instead of the whole run."},
        "date": {**_TEXT, "description": "run: a day or a month. Default: the date of this run."},
        "runs": {"type": "string", "enum": ["all", "last"], "description": "run: which of the date's runs. Default: all."},
        "state": {"type": "string", "enum": ["success", "ended"], "description": "run: how it must have ended. Default: success."},
        "if_failed": {"type": "string", "enum": ["wait", "fail"], "description": "run: wait for a repair, or fail at once. Default: wait."},
    },
}
SECRETS = frozenset({"http", "headers"})
SECRET_HINT = "a wait has no command: put << secret.{0} >> into a connection, and name that: connection: NAME"
TEMPLATED = frozenset({*FOR, "connection", "done", "contains", "headers", "url", "user", "password_file", "step", "date"})

_OF = {  # key -> what it goes with
    "count": ("file", "hdfs"), "stable": ("file",), "age": ("file",), "min_size": ("file", "hdfs"), "done": ("file", "hdfs"), "connection": ("sql", "http"),
    "status": ("http",), "contains": ("http",), "headers": ("http",), "url": ("partition",), "user": ("partition",), "password_file": ("partition",), "client": ("partition",), "step": ("run",), "date": ("run",),
    "runs": ("run",), "state": ("run",), "if_failed": ("run",),
}
_LENGTHS = ("every", "stable", "age")
_SLOW = {"hdfs": 300.0, "partition": 300.0}  # each look starts a JVM
_TIME = re.compile(r"(?:\+(\d{1,2})d\s+)?(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)
_PARTITION = re.compile(r"(?:\w+\.)?\w+(?:/\w+=[^/]+)+")


def normalise(body: Any) -> Dict[str, Any]:
    return dict(body)


def files(body: Mapping[str, Any]) -> List[CalledFile]:
    return []


def check(body: Mapping[str, Any]) -> List[Fault]:
    faults = exactly_one(body, FOR)
    chosen = next((key for key in FOR if key in body), None)
    for key, goes_with in _OF.items():
        if key in body and chosen and chosen not in goes_with:
            faults.append(((key,), f"`{key}:` goes with {' and '.join(f'`{each}:`' for each in goes_with)}, not with `{chosen}:`", "Remove it."))
    if chosen == "sql" and "connection" not in body:
        faults.append((("sql",), "`connection:` is missing", "Name a connection of RUNNER_HOME/connections.yaml: connection: warehouse."))
    if chosen == "http":
        faults += [(("http",), message, hint) for _, message, hint in http.check_url({**body, "url": body["http"]})]
    return faults + _check_values(body)


def _check_values(body: Mapping[str, Any]) -> List[Fault]:
    faults: List[Fault] = []
    for key in _LENGTHS:
        if key in body:
            try:
                if parse_duration(body[key]) < 1 and key == "every":
                    faults.append(((key,), "`every:` is less than a second", "Write every: 1s or more."))
            except DurationError as error:
                faults.append(((key,), f"`{key}:` {error.message}", error.hint))
    if "time" in body and not has_tag(body["time"]) and _moment_fault(body["time"]):
        faults.append((("time",), f"{body['time']!r} is no time", 'Write "06:00", "+1d 06:00" or 2026-02-28T06:00.'))
    if "partition" in body and not has_tag(body["partition"]) and not _PARTITION.fullmatch(body["partition"]):
        faults.append((("partition",), f"{body['partition']!r} names no partition", "Write db.table/dt=2026-02-28."))
    return faults


def _moment_fault(text: str) -> bool:
    found = _TIME.fullmatch(text.strip())
    if found:
        return not (int(found[2]) < 24 and int(found[3]) < 60 and int(found[4] or 0) < 60)
    try:
        datetime.fromisoformat(text.strip())
    except ValueError:
        return True
    return False


# --------------------------------------------------------------------------------------------------------------- build


def build(step: model.Step, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    chosen = next(key for key in FOR if key in body)
    probe: Dict[str, Any] = {"for": chosen, **body}
    for key in _LENGTHS:
        if key in body:
            probe[key] = parse_duration(body[key])
    probe.setdefault("every", _SLOW.get(chosen, 30.0))
    if chosen == "file":
        probe.update({key: locate(ctx.pipeline_folder, body[key]) for key in ("file", "done") if key in body})
    elif "password_file" in body:
        probe["password_file"] = locate(ctx.pipeline_folder, body["password_file"])
    elif chosen == "time":
        probe["until"] = moment(body["time"], ctx.date).timestamp() if ctx.date else 0.0
    elif chosen == "run":
        probe.setdefault("date", ctx.date.logical.strftime("%Y-%m-%d") if ctx.date else "")
        probe["beside"] = ctx.pipeline_path
    return model.Command(argv=(), probe=probe)


def moment(text: str, date: model.LogicalDate) -> datetime:
    """`06:00` or `+1d 06:00` on the run's date, or an ISO moment; without an offset it is in the run's zone. Raises UsageError."""
    zone = ZoneInfo(date.timezone)
    if _moment_fault(text):
        raise UsageError(f"time: {text!r} is no time", 'write "06:00", "+1d 06:00" or 2026-02-28T06:00')
    found = _TIME.fullmatch(text.strip())
    if not found:
        said = datetime.fromisoformat(text.strip())
        return said if said.tzinfo else said.replace(tzinfo=zone)
    day = date.logical.date() + timedelta(days=int(found[1] or 0))
    return datetime(day.year, day.month, day.day, int(found[2]), int(found[3]), int(found[4] or 0), tzinfo=zone)
