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
  its type kept too: a follower reads `<< outputs.load.return >>`, or `<< outputs.load.return.rows >>` of a dict. One that has a parameter
  `context` gets a dict in it: `ds`, `ts`, `logical_date`, `data_interval_start`, `run_id`, `params`, `outputs`, `item` and others, moments as text.
- **venv** takes a virtual environment, **requires** looks for packages in the interpreter before anything runs; what is missing is named
  at once, not by an ImportError after an hour.

**Exit codes.** Python's own: 0, what `sys.exit(N)` says, 1 for an exception. 127: the interpreter was not found.
2: the script was not found. 126: a package of `requires` is missing or of another version; no retry.

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
from typing import Any, Dict, List, Mapping, Tuple

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
        "venv": {"type": "string", "minLength": 1, "description": "A virtual environment instead: its `bin/python`, and its `bin` first on the PATH."},
        "requires": {
            "type": "array", "items": {"type": "string", "minLength": 1},
            "description": "Packages that must be there before anything runs: `pandas`, `pandas>=2.0,<3`.",
        },
        "template": {
            "type": "boolean",
            "description": "Whether the text of `script` is a template too. Default: false.",
        },
    },
}
INLINE = ("code", "python")  # the body's own text and its language, for the linter
TEMPLATED = frozenset({"code", "script", "args", "kwargs", "interpreter", "venv"})

_REQUIRED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^]]*\])?((<=|>=|==|!=|~=|<|>)\d+(\.\d+)*(\.\*)?\w*,?)*")
_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")

# What a function that takes `context` gets, besides params, outputs and item.
CONTEXT = (
    "ds", "ds_nodash", "ts", "logical_date", "data_interval_start", "data_interval_end", "prev_ds", "next_ds", "run_id", "pipeline", "step", "try_number",
    "params", "outputs", "item", "item_index",
)

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
        if wants_context(function, call["kwargs"]):
            call["kwargs"]["context"] = call["context"]
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


def wants_context(function, kwargs):
    import inspect

    try:
        return "context" in inspect.signature(function).parameters and "context" not in kwargs
    except (TypeError, ValueError):  # written in C
        return False


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

# Looks for packages in the user's interpreter (3.6 too), then becomes what was to be run: `python requires.py PACKAGES -- WORDS`.
REQUIRES = '''\
import os, re, sys

ORDER = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b}


def version_of(name):
    try:
        from importlib.metadata import PackageNotFoundError as Missing, version
    except ImportError:  # before 3.8
        from pkg_resources import DistributionNotFound as Missing, get_distribution

        version = lambda name: get_distribution(name).version
    try:
        return version(name)
    except Missing:
        return None


def numbers(text, count):
    found = [int(part) for part in re.findall(r"[0-9]+", re.split(r"[a-zA-Z+]", text)[0])]
    return (found + [0] * count)[:count]


def fits(version, sign, wanted):
    count = 6
    if wanted.endswith(".*"):
        count = wanted.count(".")
        wanted = wanted[:-2]
    if sign == "~=":
        return fits(version, ">=", wanted) and fits(version, "==", wanted.rpartition(".")[0] + ".*")
    return ORDER[sign](numbers(version, count), numbers(wanted, count))


def fault(text):
    found = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)(\\[[^]]*\\])?(.*)$", text.replace(" ", ""))
    name, rules = found.group(1), [rule for rule in found.group(3).split(",") if rule]
    version = version_of(name)
    if version is None:
        return name + " is not installed"
    for rule in rules:
        sign, wanted = re.match(r"(<=|>=|==|!=|~=|<|>)(.*)$", rule).groups()
        if not fits(version, sign, wanted):
            return "{} is {}, wanted is {}".format(name, version, rule)


if __name__ == "__main__":
    cut = sys.argv.index("--")
    faults = list(filter(None, map(fault, sys.argv[1:cut])))
    if faults:
        print("error: {}: {}".format(sys.executable, "; ".join(faults)), file=sys.stderr)
        sys.exit(126)
    os.execv(sys.executable, [sys.executable] + sys.argv[cut + 1:])
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
    if "venv" in body and "interpreter" in body:
        faults.append((("venv",), "`venv:` and `interpreter:` exclude each other", "The venv's own Python is used: remove `interpreter:`."))
    for index, wanted in enumerate(body.get("requires") or ()):
        if not _REQUIRED.fullmatch(wanted.replace(" ", "")):
            faults.append((("requires", index), f"{wanted!r} names no package", "Write pandas, pandas>=2.0 or pandas>=2.0,<3."))
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
    python, env = [*_interpreter(body, ctx), "-u"], dict(ENCODING)
    if "venv" in body:
        place = locate(ctx.pipeline_folder, body["venv"])
        env.update(VIRTUAL_ENV=place, PATH=f"{os.path.join(place, 'bin')}:$PATH")
    argv, written = _what(body, ctx)
    if body.get("requires"):
        written["requires.py"] = REQUIRES
        argv = [in_folder(ctx, "requires.py"), *body["requires"], "--", "-u", *argv]
    return model.Command(argv=[*python, *argv], files=written, env=env)


def _what(body: Mapping[str, Any], ctx: BuildContext) -> Tuple[List[str], Dict[str, str]]:
    """The words behind the interpreter, and the files that they need."""
    if "function" in body:
        return [in_folder(ctx, "call.py")], _call(body, ctx)
    path, text = in_folder(ctx, "script.py"), None
    if "code" in body:
        text = closed(body["code"])
    elif body.get("template") and ctx.template:
        text = called_text(body["script"], True, ctx)
    else:
        path = locate(ctx.pipeline_folder, body["script"])
    return [path, *words(body.get("args"))], {} if text is None else {"script.py": text}


def _call(body: Mapping[str, Any], ctx: BuildContext) -> Dict[str, str]:
    module, _, function = body["function"].partition(":")
    call = {
        "module": module, "function": function, "args": list(body.get("args") or ()), "kwargs": dict(body.get("kwargs") or {}),
        "paths": list(dict.fromkeys((ctx.pipeline_folder, ctx.cwd))), "context": {name: _plain(ctx.names[name]) for name in CONTEXT if name in ctx.names},
    }
    # Escaped to ASCII: a value of lone surrogates (a path of EUC-KR bytes) survives the way.
    return {"call.py": LAUNCHER, "call.json": json.dumps(call, indent=2) + "\n"}


def _plain(value: Any) -> Any:
    """As JSON can say it: moments as ISO 8601."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _interpreter(body: Mapping[str, Any], ctx: BuildContext) -> List[str]:
    """A bare name is looked up on the PATH by who starts it; a relative path starts at the pipeline's folder."""
    if "venv" in body:
        return [os.path.join(locate(ctx.pipeline_folder, body["venv"]), "bin", "python")]
    chosen = body.get("interpreter") or ctx.python
    first, *rest = [chosen] if isinstance(chosen, str) else list(chosen)
    if os.sep in first:
        first = locate(ctx.pipeline_folder, first)
    return [first, *rest]
