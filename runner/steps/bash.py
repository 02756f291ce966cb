"""Runs shell text, or a shell script.

```yaml
steps:
  - id: extract
    bash: ./extract.sh --date << ds >> --out /data/<< ds_nodash >>.csv
  - id: count
    bash: |
      wc -l < /data/<< ds_nodash >>.csv > /tmp/count
      echo "rows=$(cat /tmp/count)" >> "$RUNNER_OUTPUT"
  - id: load
    bash: {script: load.sh, args: [--date, "<< ds >>"]}
```

The text is written to the file `script` in the attempt's folder and run as `bash -eo pipefail FOLDER/script`: a text of any
length works, and what has run can be read afterwards. `-e` stops at the first command that fails, `pipefail` makes a pipe
fail when any part of it fails. Standard input is empty. The folder it works in is the pipeline's, or the step's `cwd:`.

An external `script:` runs in place and as it is: its text is not a template. It reads the date from its `args`, or from
the environment: `$RUNNER_DS`, `$RUNNER_TS`, `$RUNNER_PARAM_REGION`. With `template: true` its text is rendered, and the result
is what runs.

**Exit codes.** That of the last command, or of the one that failed. 126: a command may not be run. 127: a command was not
found. 128 + N: ended by signal N. A `script:` that is not there gives 1, as `bash -e` has it.

**Traps**

- `grep` that finds nothing exits with 1 and so fails the step: write `grep x file || true` when that is no fault.
- `#!` in the first line changes nothing: `shell:` says what runs the text. For Python use `python:`.
- `args:` and `env:` are handed on as they are: no shell fills in `$NAME`, `$(date)` or `~/` there. Write `<< ds >>` for the date; what
  needs a shell, such as `export PATH="/opt/x:$PATH"`, goes into the script.
- `bash: >` makes one line of the lines below it: write `bash: |` for commands on lines of their own.
- A value may hold blanks and quotes: write `<< params.title | sh >>`, which quotes it for the shell.
- A `script:` with `template: true` runs from the attempt's folder, so `$(dirname "$0")` is not where you wrote it.
- `shell: sh` has neither `-e` nor `pipefail`; `sh -e` has the first of them.
"""

from __future__ import annotations

import shlex
from typing import Any, Dict, List, Mapping

from runner import model
from runner.steps.base import (
    BuildContext, CalledFile, Fault, called, called_text, closed, exactly_one, in_folder, locate, words,
)

KIND = "bash"
TITLE = "shell text or a shell script"
DEFAULT_SHELL = ("bash", "-eo", "pipefail")

SCHEMA: Dict[str, Any] = {
    "type": ["string", "object"],
    "description": "Shell text, or a mapping with `run` or `script`.",
    "additionalProperties": False,
    "properties": {
        "run": {"type": "string", "description": "The shell text. The same as writing it right behind `bash:`."},
        "script": {"type": "string", "description": "A script file instead; a relative path starts at the pipeline's folder."},
        "args": {
            "type": "array",
            "items": {"type": ["string", "number", "boolean"]},
            "description": "Arguments, one word each: `$1`, `$2` ... Blanks and quotes in them need no care.",
        },
        "shell": {
            "type": ["string", "array"],
            "items": {"type": "string"},
            "description": "What runs the text: a command line or a list of words. Default: `bash -eo pipefail`.",
        },
        "template": {
            "type": "boolean",
            "description": "Whether the text of `script` is a template too. Default: false.",
        },
    },
}
INLINE = ("run", "bash")  # the body's own text and its language, for the linter
EARLY = "run"  # a body with this key hangs on the run's row alone
TEMPLATED = frozenset({"run", "script", "args"})


def normalise(body: Any) -> Dict[str, Any]:
    return {"run": body} if isinstance(body, str) else dict(body)


def files(body: Mapping[str, Any]) -> List[CalledFile]:
    return called(body, "script", "bash", bool(body.get("template", False)))


def check(body: Mapping[str, Any]) -> List[Fault]:
    body = normalise(body)
    faults = exactly_one(body, ("run", "script"))
    if "template" in body and "script" not in body:
        hint = "Write `template: false` beside `id:` for a text without templates."
        faults.append((("template",), "`template:` here is about the text of `script:`", hint))
    return faults + check_shell(body.get("shell"))


def check_shell(shell: Any) -> List[Fault]:
    """Faults of `shell:`; ssh steps have the same key."""
    if shell is None:
        return []
    hint = "Write for example `shell: bash -eo pipefail`."
    try:
        return [] if shell_words(shell) else [(("shell",), "`shell:` is empty", hint)]
    except ValueError as error:  # an open quote
        return [(("shell",), f"`shell:` cannot be read: {error}", hint)]


def shell_words(shell: Any) -> List[str]:
    """`shell:` as words."""
    return shlex.split(shell) if isinstance(shell, str) else list(shell)


def build(step: model.Step, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    shell = shell_words(body.get("shell", DEFAULT_SHELL))
    path, text = in_folder(ctx, "script"), None
    if "run" in body:
        text = closed(body["run"])
    elif body.get("template") and ctx.template:
        text = called_text(body["script"], True, ctx)
    else:
        path = locate(ctx.pipeline_folder, body["script"])
    return model.Command(
        argv=[*shell, path, *words(body.get("args"))], files={} if text is None else {"script": text},
        gate=text is not None and tuple(shell) == DEFAULT_SHELL)
