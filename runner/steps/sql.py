"""Runs SQL in a database of the site: PostgreSQL, MySQL, MariaDB, SQLite, or any other by its own driver.

```yaml
steps:
  - id: load
    sql:
      connection: warehouse
      file: sql/load.sql
      binds: {dt: "<< ds >>"}
      expect: rows_affected > 0
  - id: export
    needs: load
    sql:
      connection: warehouse
      sql: select * from mart.customer where dt = :dt order by id
      binds: {dt: "<< ds >>"}
      to: out/customer_<< ds_nodash >>.csv
      csv: {encoding: cp949, delimiter: "|"}
```

`connection:` names an entry of RUNNER_HOME/connections.yaml (mode 0600):

```yaml
warehouse: {type: postgres, host: db1.example, database: mart, user: etl, password: << secret.warehouse >>}
shop:      {type: mysql, host: db2.example, database: shop, user: etl, password: << secret.shop >>}
numbers:   {type: sqlite, path: /data/numbers.db}
oracle:    {type: jdbc, url: "jdbc:oracle:thin:@//db3.example:1521/ORCL", jar: /opt/oracle/ojdbc11.jar, user: etl, password: << secret.oracle >>}
impala:    {type: dbapi, driver: impala.dbapi, python: /opt/python3/bin/python, connect: {host: impala1.example, port: 21050}}
```
postgres and mysql (the same as mariadb) also take `port`, `connect_timeout` (10s), `tls` (prefer; off, require, verify) and `ca`; sqlite takes
`create: true` and `busy_timeout` (30s). jdbc runs the site's jar with the site's `java` (`java_home:`, `properties:`, `java_options:`, `driver:` the
class): a JDK 11 or newer, not a JRE. dbapi uses any DB-API module of a Python of the site.

**Values** go to the database apart from the SQL: `:dt` in the SQL, `binds: {dt: ...}` beside it, the same way for every database, so no
value can become SQL. `:name` inside strings and comments and `::casts` are left alone; a colon that is to stay is written `\\:name`. A value is text
as it is in YAML, or `{value: "<< params.n >>", type: integer}` where the database wants to know (`integer`, `decimal`, `boolean`, `text`). Names of
tables cannot be binds: there a template does it. A .sql `file:` is a template.

**Statements** are separated by `;`. They are one transaction: all of them or none. `autocommit: true` makes each one stand for itself.
MySQL's `DELIMITER` lines and Oracle's `/` lines are understood.

**What comes back.** The first rows of each result are printed; with `to:` the last result becomes a CSV file, which gets its name when it is whole and
committed. Cells are the database's own text, so decimals and dates are exact. Handed on: `rows` (of the last result), `rows_affected` (of the last
statement that changed any), `value` (first column of the first row of the last result), `file`. `expect:` compares one of the first three
(`rows > 0`, `rows_affected <= 1000`, `value = << outputs.count.rows >>`); when it does not hold, the step fails and all is rolled back.

**Exit codes.** 0 good. 1 a statement failed, an expectation did not hold, the server was not there. 2 what the pipeline or the connection says cannot work: a
wrong password, an unknown database, a bind that is missing. 143 stopped: the query was cancelled on the server.

**Traps**

- MySQL and Oracle commit by themselves at CREATE, ALTER, DROP and TRUNCATE; what went before cannot be rolled back then.
- `timeout:` beside `id:` ends the step, `statement_timeout:` one statement; both cancel it on the server.
- PostgreSQL's VACUUM, CREATE DATABASE and the like want `autocommit: true`.
- With `to:` no rows are printed, since they may be personal; `print: 5` shows five.
- `NULL` and an empty text are told apart in the CSV: nothing, and `""`. `csv: {null: "\\\\N"}` says it another way.
- COPY from or to the client is psql's: use it in a bash step.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Tuple

from runner import model, sqltext
from runner.site import secrets
from runner.steps.base import BuildContext, CalledFile, Fault, called, called_text, client, closed, exactly_one, has_tag

KIND = "sql"
TITLE = "SQL in a database"
SCRIPT = "script.sql"
OPERATORS = ("=", "!=", "<>", ">=", "<=", ">", "<")

_EXPECTATION = re.compile(r"\s*(rows_affected|rows|value)\s*(==|=|!=|<>|>=|<=|>|<)\s*(.+?)\s*", re.S)
_NAME = re.compile(r"[^\W\d]\w*")
_SCALAR = ["string", "number", "boolean", "null"]
_TYPES = ("text", "integer", "decimal", "boolean")


def _word(description: str) -> Dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description}


SCHEMA: Dict[str, Any] = {
    "type": ["string", "object"],  # the text is refused by check, with the words that help
    "description": "A mapping with `connection`, and `sql` or `file`.",
    "additionalProperties": False,
    "required": ["connection"],
    "properties": {
        "connection": _word("The database: a name in RUNNER_HOME/connections.yaml."),
        "sql": {"type": "string", "description": "The SQL: one statement, or several with `;` between."},
        "file": _word("A file of SQL instead; a relative path starts at the pipeline's folder."),
        "binds": {
            "type": "object",
            "description": "Values for `:name` in the SQL; `NAME: value`, or `NAME: {value: ..., type: integer}`.",
            "additionalProperties": {
                "type": [*_SCALAR, "object"],
                "required": ["value"],
                "additionalProperties": False,
                "properties": {
                    "value": {"type": _SCALAR, "description": "The value."},
                    "type": {"type": "string", "enum": list(_TYPES), "description": "What the driver is to make of it. Default: what it is in YAML."},
                },
            },
        },
        "expect": {
            "type": ["string", "array"],
            "items": {"type": "string"},
            "description": "What must hold at the end, such as `rows > 0`; one text or a list.",
        },
        "to": _word("A CSV file for the rows of the last result; a relative path starts at the pipeline's folder."),
        "csv": {
            "type": "object",
            "description": "How that file is written: `encoding` (utf-8), `delimiter` (a comma), `header` (true), `null` (nothing), `newline` (lf or crlf) "
                           "and `replace` (true: a ? for what the encoding does not have).",
            "additionalProperties": False,
            "properties": {
                "encoding": _word("Such as utf-8 (the default), utf-8-sig for Excel, cp949."),
                "delimiter": _word("One letter, or tab. Default: a comma."),
                "header": {"type": "boolean", "description": "Whether the first line names the columns. Default: true."},
                "null": {"type": "string", "description": "What stands for NULL. Default: nothing."},
                "newline": {"type": "string", "enum": ["lf", "crlf"], "description": "How a line ends. Default: lf."},
                "replace": {"type": "boolean", "description": "A ? for what the encoding does not have. Default: false, the step fails."},
            },
        },
        "print": {"type": "integer", "minimum": 0, "description": "How many rows of each result the log shows. Default: 20; 0 with `to`."},
        "autocommit": {"type": "boolean", "description": "Each statement stands for itself. Default: false, all are one transaction."},
        "statement_timeout": {
            "type": ["string", "number"], "description": "How long one statement may take, such as 10m; then it is cancelled on the server.",
        },
        "template": {"type": "boolean", "description": "Whether the text of `file` is a template. Default: true for .sql."},
    },
}
INLINE = ("sql", "sql")
TEMPLATED = frozenset({"connection", "sql", "file", "binds", "expect", "to", "csv"})


def normalise(body: Any) -> Dict[str, Any]:
    return {"sql": body} if isinstance(body, str) else dict(body)


def _templated(body: Mapping[str, Any]) -> bool:
    chosen = body.get("template")
    return str(body.get("file", "")).lower().endswith(".sql") if chosen is None else bool(chosen)


def files(body: Mapping[str, Any]) -> List[CalledFile]:
    return called(body, "file", "sql", _templated(body))


def expectation(text: str) -> Tuple[str, str, str]:
    """(rows, rows_affected or value; the operator; the wanted value) of an `expect:`. Raises ValueError."""
    found = _EXPECTATION.fullmatch(text)
    if not found:
        raise ValueError(text)
    name, operator, wanted = found.groups()
    if len(wanted) > 1 and wanted[0] == wanted[-1] and wanted[0] in "'\"":
        wanted = wanted[1:-1]
    return name, "=" if operator == "==" else operator, wanted


# --------------------------------------------------------------------------------------------------------------- check


def check(body: Mapping[str, Any]) -> List[Fault]:
    if isinstance(body, str):
        hint = "Write sql: {connection: NAME, sql: ...}; the name stands in RUNNER_HOME/connections.yaml."
        return [((), "the SQL does not say for which database: `connection:` is missing", hint)]
    faults = exactly_one(body, ("sql", "file"))
    if "template" in body and "file" not in body:
        hint = "Write `template: false` beside `id:` for SQL without templates."
        faults.append((("template",), "`template:` here is about the text of `file:`", hint))
    if "csv" in body and "to" not in body:
        faults.append((("csv",), "`csv:` says how the file of `to:` is written, and there is no `to:`", "Add `to: FILE.csv`."))
    return faults + _check_expect(body) + check_csv(body.get("csv") or {}) + _check_timeout(body) + _check_binds(body)


def _check_expect(body: Mapping[str, Any]) -> List[Fault]:
    given = body.get("expect")
    texts = [(("expect",), given)] if isinstance(given, str) else [(("expect", at), each) for at, each in enumerate(given or ())]
    hint = "Write rows, rows_affected or value, then =, !=, >, >=, < or <=, then what is wanted: `rows > 0`."
    return [(where, f"'{text}' is no expectation", hint) for where, text in texts if isinstance(text, str) and not _EXPECTATION.fullmatch(text)]


def check_csv(layout: Mapping[str, Any]) -> List[Fault]:
    faults: List[Fault] = []
    encoding = layout.get("encoding")
    if isinstance(encoding, str) and not has_tag(encoding):
        try:
            codecs.lookup(encoding)
        except LookupError:
            faults.append((("csv", "encoding"), f"there is no encoding '{encoding}'", "Write utf-8, utf-8-sig (for Excel), cp949 or another that Python knows."))
    delimiter = layout.get("delimiter")
    if isinstance(delimiter, str) and not has_tag(delimiter) and len(delimiter) > 1 and delimiter not in ("tab", "\\t", "comma", "semicolon", "pipe"):
        faults.append((("csv", "delimiter"), f"the delimiter '{delimiter}' is more than one letter", "Write one letter, or tab."))
    return faults


def _check_timeout(body: Mapping[str, Any]) -> List[Fault]:
    from runner.durations import DurationError, parse_duration

    try:
        if "statement_timeout" in body and not parse_duration(body["statement_timeout"]):
            return [(("statement_timeout",), "0 is no time", "Leave it out when there is no limit.")]
    except DurationError as error:
        return [(("statement_timeout",), error.message, error.hint)]
    return []


def _check_binds(body: Mapping[str, Any]) -> List[Fault]:
    """Names, and what can be said of inline SQL without templates, whichever database it is for."""
    binds = body.get("binds") or {}
    faults: List[Fault] = [
        (("binds", name), f"'{name}' is no name for a bind", "A name has letters, digits and `_`.") for name in binds if not _NAME.fullmatch(str(name))
    ]
    text = body.get("sql")
    if isinstance(text, str) and secrets.MARK.search(text):
        hint = "Write :name in the SQL and `binds: {name: << secret.NAME >>}`."
        faults.append((("sql",), "a secret cannot stand in the SQL, which is on disk and in logs", hint))
    if not isinstance(text, str) or has_tag(text):
        return faults
    by_dialect = []
    for dialect in sqltext.DIALECTS:
        try:
            by_dialect.append(sqltext.names(text, dialect))
        except sqltext.SqlTextError:  # another one may understand it; the run will tell
            continue
    if not by_dialect:
        return faults
    for name in sorted(frozenset.intersection(*by_dialect) - set(binds)):
        faults.append((("sql",), f"the SQL wants :{name}, and `binds:` has no {name}", f"Add `binds: {{{name}: ...}}`; a colon that is to stay is written \\:{name}."))
    for name in sorted(set(binds) - frozenset.union(*by_dialect)):
        faults.append((("binds", name), f"the SQL has no :{name}", "Take it out, or write the name in the SQL, not inside quotes."))
    return faults


# --------------------------------------------------------------------------------------------------------------- build


def build(step: model.Step, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    text = closed(body["sql"]) if "sql" in body else called_text(body["file"], _templated(body), ctx)
    asked = {key: value for key, value in body.items() if key not in ("sql", "template")}
    command = client("sql", {**asked, "script": SCRIPT, "python": ctx.python}, ctx)
    return replace(command, files={**command.files, SCRIPT: text})
