'''Runs Python code, a script, or one function of a module, in your interpreter.

```yaml
steps:
  - id: clean
    python: {script: clean.py, args: ["<< ds >>"]}
  - id: load
    python:
      function: marts.load:run          # run() in marts/load.py beside the pipeline's file
      kwargs: {date: "<< ds >>", batch: 500, dry: false}
      interpreter: /opt/etl/venv/bin/python
  - id: hello
    python: |
      import datetime
      print("day", datetime.date.fromisoformat("<< ds >>").isocalendar())
```

The interpreter is `interpreter:`, else the setting `step_python`, and never the one `runner` itself lives in; 3.6 and later
work. Output appears at once (`-u`) and is UTF-8 whatever `LANG` says.

- **code**, the short form too, is written to `script.py` in the attempt's folder and run.
- **script** runs in place and as it is; with `template: true` its text is rendered first, and the result is what runs.
- **function** is imported from the pipeline's folder, then from the step's `cwd:`, then as usual. It gets `args` and `kwargs`
  with their types kept: 500 is a number, false is false. What it returns, unless None, is handed on as the output `return`,
  its type kept too: a follower reads `<< outputs.load.return >>`, or `<< outputs.load.return.rows >>` of a dict.

**Exit codes.** Python's own: 0, what `sys.exit(N)` says, 1 for an exception. 127: the interpreter was not found.
2: the script was not found.

**Traps**

- Modules beside the pipeline's file can be imported by a `function:`; by inline code only with `env: {PYTHONPATH: DIR}`.
- `sys.exit("text")` prints the text and exits with 1.
- Before Python 3.7 `open()` still goes by `LANG`: write `open(path, encoding="utf-8")`.
- `datetime.date.today()` is the day of the clock, not of the run: use `<< ds >>` or `os.environ["RUNNER_DS"]`.
- A returned value that JSON cannot say (a data frame) is not handed on; the log says so, and the step succeeds.
'''

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, List, Mapping

from runner import model
from runner.steps.base import (
    BuildContext, CalledFile, Fault, called, called_text, closed, exactly_one, has_tag, in_folder, locate, words,
)

KIND = "python"
TITLE = "Python code, a script, or a function"

SCHEMA: Dict[str, Any] = {
    "type": ["string", "object"],
    "description": "Python code, or a mapping with `code`, `script` or `function`.",
    "additionalProperties": False,
    "properties": {
        "code": {"type": "string", "description": "The code. The same as writing it right behind `python:`."},
        "script": {"type": "string", "description": "A script file instead; a relative path starts at the pipeline's folder."},
        "function": {"type": "string", "description": "A function instead, as `module:function` or `package.module:function`."},
        "args": {
            "type": "array",
            "description": "Arguments: words for `code` and `script`, values with their types for `function`.",
        },
        "kwargs": {"type": "object", "description": "Named arguments for `function`, types kept."},
        "interpreter": {
            "type": ["string", "array"],
            "items": {"type": "string"},
            "description": "The Python to use: a path or a command, or a list of words. Default: the setting `step_python`.",
        },
        "template": {
            "type": "boolean",
            "description": "Whether the text of `script` is a template too. Default: false.",
        },
    },
}
INLINE = ("code", "python")  # the body's own text and its language, for the linter
TEMPLATED = frozenset({"code", "script", "args", "kwargs", "interpreter"})

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")

# Python 3.6 reads its arguments under LANG=C as bytes in disguise; surrogateescape prints them as they came.
ENCODING = {"PYTHONIOENCODING": "utf-8:surrogateescape", "PYTHONUTF8": "1"}

# Runs in the user's interpreter, so it is written for 3.6. `__main__` is guarded: multiprocessing imports it again.
LAUNCHER = '''\
import json, os, sys, traceback


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "call.json"), encoding="utf-8") as file:
        call = json.load(file)
    # Under LANG=C an old Python knows paths as bytes in disguise, not as text.
    paths = [os.fsdecode(path.encode("utf-8", "surrogateescape")) for path in call["paths"]]
    sys.path[:] = paths + [path for path in sys.path if path != here]
    try:
        __import__(call["module"])
        function = sys.modules[call["module"]]
        for name in call["function"].split("."):
            function = getattr(function, name)
        result = function(*call["args"], **call["kwargs"])
    except Exception as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        sys.stdout.flush()
        traceback.print_exception(type(error), error, trace)
        sys.exit(1)
    if result is not None:
        hand_on(result)


def hand_on(result):
    try:
        line = json.dumps({"return": result}, allow_nan=False)
    except (TypeError, ValueError) as error:
        print("the returned value is not handed on: {}".format(error), file=sys.stderr)
        return
    with open(os.environ["RUNNER_OUTPUT"], "a", encoding="ascii") as file:
        file.write(line + "\\n")


if __name__ == "__main__":
    main()
'''


def normalise(body: Any) -> Dict[str, Any]:
    return {"code": body} if isinstance(body, str) else dict(body)


def files(body: Mapping[str, Any]) -> List[CalledFile]:
    return called(body, "script", "python", bool(body.get("template", False)))


def check(body: Mapping[str, Any]) -> List[Fault]:
    body = normalise(body)
    faults = exactly_one(body, ("code", "script", "function"))
    function = body.get("function")
    if function is not None and not _FUNCTION.fullmatch(function):
        faults.append((("function",), f"'{function}' is not `module:function`", "Write for example `function: marts.load:run`."))
    if "kwargs" in body and function is None:
        faults.append((("kwargs",), "`kwargs:` is for `function:`", "Code and scripts take `args:`."))
    if "template" in body and "script" not in body:
        hint = "Write `template: false` beside `id:` for code without templates."
        faults.append((("template",), "`template:` here is about the text of `script:`", hint))
    return faults + _check_words(body) + _check_interpreter(body)


def _check_words(body: Mapping[str, Any]) -> List[Fault]:
    """Only a function can take a list or a mapping; a command line has words."""
    if "function" in body:
        return []
    hint = "Hand it over as text, or call a `function:`."
    return [
        (("args", index), "an argument of a script is one word", hint)
        for index, value in enumerate(body.get("args") or ())
        if value is None or isinstance(value, (list, dict))
    ]


def _check_interpreter(body: Mapping[str, Any]) -> List[Fault]:
    interpreter = body.get("interpreter")
    if interpreter is not None and not interpreter:
        return [(("interpreter",), "`interpreter:` is empty", "Leave it out to use the site's Python.")]
    if isinstance(interpreter, str) and " -" in interpreter and not has_tag(interpreter):
        hint = "Write a list for several words: `interpreter: [python3, -X, dev]`."
        return [(("interpreter",), "`interpreter:` as text is one path", hint)]
    return []


def build(step: model.Step, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    python = [*_interpreter(body, ctx), "-u"]
    if "function" in body:
        return _build_function(python, body, ctx)
    path, text = in_folder(ctx, "script.py"), None
    if "code" in body:
        text = closed(body["code"])
    elif body.get("template") and ctx.template:
        text = called_text(body["script"], True, ctx)
    else:
        path = locate(ctx.pipeline_folder, body["script"])
    written = {} if text is None else {"script.py": text}
    return model.Command(argv=[*python, path, *words(body.get("args"))], files=written, env=ENCODING)


def _build_function(python: List[str], body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    module, _, function = body["function"].partition(":")
    call = {
        "module": module, "function": function, "args": list(body.get("args") or ()), "kwargs": dict(body.get("kwargs") or {}),
        "paths": list(dict.fromkeys((ctx.pipeline_folder, ctx.cwd))),
    }
    # Escaped to ASCII: a value of lone surrogates (a path of EUC-KR bytes) survives the way.
    files = {"call.py": LAUNCHER, "call.json": json.dumps(call, indent=2) + "\n"}
    return model.Command(argv=[*python, in_folder(ctx, "call.py")], files=files, env=ENCODING)


def _interpreter(body: Mapping[str, Any], ctx: BuildContext) -> List[str]:
    """A bare name is looked up on the PATH by who starts it; a relative path starts at the pipeline's folder."""
    chosen = body.get("interpreter") or ctx.python
    first, *rest = [chosen] if isinstance(chosen, str) else list(chosen)
    if os.sep in first:
        first = locate(ctx.pipeline_folder, first)
    return [first, *rest]
