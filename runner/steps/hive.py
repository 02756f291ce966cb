"""Runs HiveQL with the cluster's own client: beeline, hive or spark-sql.

```yaml
steps:
  - id: publish
    hive:
      file: sql/publish.hql
      url: jdbc:hive2://hs2.example:10000/mart;principal=hive/_HOST@EXAMPLE
      hivevar: {dt: "<< ds >>"}
      queue: batch
  - id: repair
    hive: MSCK REPAIR TABLE mart.customer;
```

With `url:` the client is beeline, else `hive`; `client:` chooses. The SQL, inline or from the file, is written to `script.hql` in
the attempt's folder and run with `-f`, so what has run can be read afterwards. A .sql or .hql `file:` is a template: `<< ds >>` in it
is replaced; `template: false` leaves it as it is, and `${hivevar:dt}` is always left to the client. The command is a list of
words and never passes through a shell.

beeline gets the same statements without their comments (`run.hql`), since before Hive 3 it ends a statement at a `;` in a comment. The SQL of `init:`
runs before them, in the same session.

**What the log shows.** Each statement as it begins, what the client says of it, and the first rows of its result as a table (beeline). A statement
that fails is shown, and the last line says which one, on which line of the file, and why.

**What comes back.** `rows` of the last result, `value` (first column of its first row), `application_ids` and `application_id` (the last) of what ran on
YARN. With `to:` the last result becomes a CSV file that gets its name when it is whole, and `file` is handed on (beeline). With `--outputformat`,
`--showHeader` or `--silent` in `args:` the client's output goes to the log as it is, and no row is read from it.

**Exit codes.** 0 when every statement was good. beeline: 2 for a statement that failed and for no connection (Hive's own: 1 for some of these). hive and
spark-sql: other numbers than 0 for any failure. 127: the client was not found. 143: stopped. Statements after the one that failed do not run.

**A stop or a timeout** has beeline close its session, and the server then ends the query; hive and spark-sql end the query as they end. That takes
beeline up to five seconds. After 0.6 of `kill_grace:` it is killed: the server ends the query as soon as it sees the broken connection.

**Traps**

- `--force` in `args` is refused: beeline would go on after a failed statement and exit with 0.
- A password on the command line can be read by everybody with `ps`: beeline takes it from `password_file:`, mode 0600.
- End every statement with `;`, the last one too.
- A text value in SQL: `'<< params.name | hql >>'` escapes its quotes and backslashes. A `hivevar` is put into the SQL as it is.
- A relative `file:`, `init:` or `password_file:` starts at the pipeline's folder; `source x.hql` inside the SQL at the step's `cwd:`.
- After a `source x.hql;` or a `!run` no statement can be told by its number.
- beeline writes NULL and the text `NULL` alike: both are taken for NULL.
- beeline drops line ends inside a value. A password with a blank it cuts in two (2.3), and shows the second half.
- A password in `url:` can be read with `ps` too.
- `!` commands of beeline stand on a line of their own; nothing is known of how they end.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Any, Dict, List, Mapping

from runner import model
from runner.steps.base import (
    BuildContext, CalledFile, Fault, called, called_text, closed, exactly_one, in_folder, locate, looked_after, text_of, words,
)
from runner.steps.sql import SCHEMA as SQL_SCHEMA, check_csv

KIND = "hive"
TITLE = "HiveQL by beeline, hive or spark-sql"
CLIENTS = ("beeline", "hive", "spark-sql")
SCRIPT = "script.hql"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")
_QUEUE_SETTINGS = ("mapreduce.job.queuename", "tez.queue.name")
_OTHER_SQL = ("this option would run other SQL than the step's", "Use `sql:` or `file:`.")
_OPEN_PASSWORD = (
    "a password in `args:` can be read by everybody with ps", "Write it to a file of mode 0600 and name that in `password_file:`."
)
_REFUSED = {
    "--force": (
        "`--force` goes on after a failed statement and then exits with 0",
        "Leave it out; for one step that may fail write `allow_failure: true`.",
    ),
    "-p": _OPEN_PASSWORD,
    "--password": _OPEN_PASSWORD,
    "-e": _OTHER_SQL,
    "-f": _OTHER_SQL,
}
_FORMATS = frozenset({"--outputformat", "--silent", "--showHeader"})
_VALUES = {"type": ["string", "number", "boolean"]}


def _word(description: str) -> Dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description}


SCHEMA: Dict[str, Any] = {
    "type": ["string", "object"],
    "description": "SQL text, or a mapping with `sql` or `file`.",
    "additionalProperties": False,
    "properties": {
        "sql": {"type": "string", "description": "The SQL. The same as writing it right behind `hive:`."},
        "file": _word("A file of SQL instead; a relative path starts at the pipeline's folder."),
        "hivevar": {"type": "object", "additionalProperties": _VALUES, "description": "Values for `${hivevar:NAME}` in the SQL."},
        "hiveconf": {"type": "object", "additionalProperties": _VALUES, "description": "Settings of the session, `NAME: value`."},
        "queue": _word("The YARN queue; sets mapreduce.job.queuename and tez.queue.name, for spark-sql `--queue`."),
        "client": {"type": "string", "enum": list(CLIENTS), "description": "Who runs the SQL. Default: beeline with `url`, else hive."},
        "url": _word("The JDBC address, for beeline. Default: that of its beeline-site.xml."),
        "user": _word("The user name, for beeline."),
        "password_file": _word("A file, mode 0600, that holds the password, for beeline."),
        "init": _word("A file of SQL to run first."),
        "binary": _word("The client's command or path. Default: the name in `client`, from the PATH."),
        "args": {
            "type": "array",
            "items": {"type": ["string", "number", "boolean"]},
            "description": "Further options of the client, one word each, such as `--outputformat=csv2`.",
        },
        "to": _word("A CSV file for the rows of the last result; a relative path starts at the pipeline's folder. For beeline."),
        "csv": SQL_SCHEMA["properties"]["csv"],
        "print": {"type": "integer", "minimum": 0, "description": "How many rows of each result the log shows. Default: 20; 0 with `to`. For beeline."},
        "template": {"type": "boolean", "description": "Whether the text of `file` is a template. Default: true for .sql and .hql."},
    },
}
INLINE = ("sql", "sql")  # the body's own text and its language, for the linter
TEMPLATED = frozenset(
    {"sql", "file", "hivevar", "hiveconf", "queue", "url", "user", "password_file", "init", "binary", "args", "to", "csv"}
)


def normalise(body: Any) -> Dict[str, Any]:
    return {"sql": body} if isinstance(body, str) else dict(body)


def _templated(body: Mapping[str, Any]) -> bool:
    chosen = body.get("template")
    return str(body.get("file", "")).lower().endswith((".sql", ".hql")) if chosen is None else bool(chosen)


def files(body: Mapping[str, Any]) -> List[CalledFile]:
    return called(body, "file", "sql", _templated(body)) + called(body, "init", "sql") + called(body, "password_file", "")


def _client(body: Mapping[str, Any]) -> str:
    return body.get("client") or ("beeline" if "url" in body else "hive")


# --------------------------------------------------------------------------------------------------------------- check


def check(body: Mapping[str, Any]) -> List[Fault]:
    body = normalise(body)
    faults = exactly_one(body, ("sql", "file"))
    if "template" in body and "file" not in body:
        hint = "Write `template: false` beside `id:` for SQL without templates."
        faults.append((("template",), "`template:` here is about the text of `file:`", hint))
    for key in ("url", "user", "password_file", "to", "print"):
        if key in body and _client(body) != "beeline":
            hint = "Write `client: beeline`." if "url" in body or key == "url" else "Give `url:` or `client: beeline`."
            faults.append(((key,), f"`{key}:` is for beeline, and the client here is {_client(body)}", hint))
    if "csv" in body and "to" not in body:
        faults.append((("csv",), "`csv:` says how the file of `to:` is written, and there is no `to:`", "Add `to: FILE.csv`."))
    return faults + _check_names(body) + _check_args(body.get("args") or ()) + check_csv(body.get("csv") or {}) + _check_rows(body)


def _check_names(body: Mapping[str, Any]) -> List[Fault]:
    """`name=value` is split at the first `=`, so a name with one would say something else."""
    hint = "A name has letters, digits, `_`, `.`, `:` and `-`."
    return [
        ((kind, name), f"'{name}' is no name for a {kind}", hint)
        for kind in ("hivevar", "hiveconf")
        for name in body.get(kind) or ()
        if not _NAME.fullmatch(name)
    ]


def _check_rows(body: Mapping[str, Any]) -> List[Fault]:
    if "to" not in body:
        return []
    hint = "Leave it out: the rows are read whatever the format of the log."
    return [
        (("args", index), f"`{name}` changes what beeline writes, and `to:` reads it", hint)
        for index, name in enumerate(str(value).partition("=")[0] for value in body.get("args") or ()) if name in _FORMATS
    ]


def _check_args(args) -> List[Fault]:
    found = [(index, _REFUSED.get(str(value).partition("=")[0])) for index, value in enumerate(args) if value != "--force=false"]
    return [(("args", index), *refused) for index, refused in found if refused]


# --------------------------------------------------------------------------------------------------------------- build


def build(step: model.Step, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    client = _client(body)
    argv = [_binary(body, client, ctx)]
    for key, option in (("url", "-u"), ("user", "-n")):
        if key in body:
            argv += [option, body[key]]
    if "password_file" in body:
        argv += ["-w", locate(ctx.pipeline_folder, body["password_file"])]
    argv += _settings(body, client)
    asked = {"client": client, "script": SCRIPT, "source": body.get("file", "the step's sql"), "kill_grace": step.kill_grace}
    asked.update({key: body[key] for key in ("to", "csv", "print") if key in body})
    if "init" in body:
        init = locate(ctx.pipeline_folder, body["init"])
        if client == "beeline":
            asked["init"] = init  # its statements go before the others: beeline would not stop at a fault in it
        else:
            argv += ["-i", init]
    argv += [*words(body.get("args")), "-f", in_folder(ctx, SCRIPT)]
    text = closed(body["sql"]) if "sql" in body else called_text(body["file"], _templated(body), ctx)
    command = looked_after("hive", argv, asked, ctx, {})
    return replace(command, files={**command.files, SCRIPT: text})


def _binary(body: Mapping[str, Any], client: str, ctx: BuildContext) -> str:
    binary = body.get("binary", client)
    return locate(ctx.pipeline_folder, binary) if os.sep in binary else binary


def _settings(body: Mapping[str, Any], client: str) -> List[str]:
    """Queue, hiveconf, hivevar. The queue comes first, so that a hiveconf of the same name wins."""
    conf: Dict[str, Any] = {}
    argv: List[str] = []
    if "queue" in body:
        if client == "spark-sql":
            argv += ["--queue", body["queue"]]
        else:
            conf.update({name: body["queue"] for name in _QUEUE_SETTINGS})
    conf.update(body.get("hiveconf") or {})
    for option, values in (("--hiveconf", conf), ("--hivevar", body.get("hivevar") or {})):
        for name, value in values.items():
            argv += [option, f"{name}={text_of(value)}"]
    return argv
