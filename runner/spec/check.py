"""Text to Pipeline, or to every fault in it.

First the schema says what is wrong with the shape, then a second pass says what no schema can: unknown needs, circles,
schedules, durations, templates, files. Both speak with file, line and column. A file with warnings only is good.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, FrozenSet, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, Union

from runner import model, schedule, steps, template
from runner.errors import EnvironmentFault, InvalidPipeline
from runner.model import Problem
from runner.params import check_value
from runner.spec import build, nodes, schema, words

Path = Tuple[Any, ...]


@dataclass(frozen=True)
class Site:
    """What a file's meaning depends on besides its text."""

    timezone: str
    logical_date: str = "due"
    python: str = "python3"


@dataclass(frozen=True)
class CheckResult:
    pipeline: Optional[model.Pipeline]  # None when there is an error
    problems: Tuple[Problem, ...]  # sorted; warnings too
    files: Tuple[str, ...] = ()  # other files that were looked at, absolute

    @property
    def errors(self) -> List[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]


def check_text(raw: Union[bytes, str], *, path: str, name: str, site: Site, shown: str = "", look: bool = True) -> CheckResult:
    """Every fault of one file. `path`: absolute, or "" for a text without a file; `shown`: how messages call it.

    `look` False leaves called files alone: a stored definition stands whatever has become of them.
    """
    loaded = nodes.load(raw, shown or path or "<text>")
    check = _Check(loaded, path, name, site, shown or path or "<text>", look)
    pipeline = check.run()
    problems = tuple(sorted(set(check.problems), key=Problem.sort_key))
    if any(problem.severity == "error" for problem in problems):
        pipeline = None
    return CheckResult(pipeline, problems, tuple(sorted(check.files)))


def load_pipeline(path: str, site: Site, name: Optional[str] = None) -> model.Pipeline:
    """The pipeline of a file. Raises InvalidPipeline with every fault, EnvironmentFault when it cannot be read."""
    path = os.path.abspath(path)
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be read: {error.strerror}", f"type: ls -l {path}") from None
    return _good(check_text(raw, path=path, name=name or name_of(path), site=site, shown=shown_path(path)))


def load_text(text: str, path: str, name: str, site: Site) -> model.Pipeline:
    """The pipeline of a stored definition."""
    return _good(check_text(text, path=path, name=name, site=site, shown=f"{shown_path(path)} (as the run has it)", look=False))


def _good(result: CheckResult) -> model.Pipeline:
    if result.pipeline is None:
        raise InvalidPipeline(result.problems)
    return result.pipeline


def name_of(path: str) -> str:
    """A pipeline's name is its file's."""
    return os.path.splitext(os.path.basename(path))[0]


def shown_path(path: str) -> str:
    """Relative when it lies below the current folder: what people type."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


# ------------------------------------------------------------------------------------------------------------- schema


@lru_cache(maxsize=1)
def _validator():
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema.build())


_TYPE_WORDS = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list",
    "object": "a mapping", "null": "nothing",
}


def _kind_of(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 40 else f"the text {value[:37]!r}..."
    return "a list" if isinstance(value, list) else "a mapping"


class _Check:
    """One file on its way from nodes to a Pipeline."""

    def __init__(self, loaded, path: str, name: str, site: Site, shown: str, look: bool):
        self.loaded, self.path, self.name, self.site, self.shown, self.look = loaded, path, name, site, shown, look
        self.lines = loaded.text.split("\n") if loaded.text else []
        self.problems: List[Problem] = list(loaded.problems)
        self.files: Set[str] = set()

    def run(self) -> Optional[model.Pipeline]:
        data = self.loaded.data
        if data is None and any(problem.severity == "error" for problem in self.problems):
            return None
        if not isinstance(data, dict):
            what = "the file is empty" if data is None else f"a pipeline file is a mapping, this is {_kind_of(data)}"
            self.add((), what, "begin with\n  steps:\n    - id: first\n      bash: echo hello")
            return None
        self._schema(data)
        params = self._params(data.get("params"))
        found = self._schedule(data)
        self._durations(data, ("timeout",), ())
        if isinstance(data.get("defaults"), dict):
            self._step_values(data["defaults"], ("defaults",))
        listed = data.get("steps") if isinstance(data.get("steps"), list) else []
        entries = [(i, step) for i, step in enumerate(listed) if isinstance(step, dict)]
        graph = self._graph(entries)
        for i, step in entries:
            self._step(i, step, frozenset(params), graph)
        self._texts(data.get("env"), ("env",), frozenset(params), None)
        if any(problem.severity == "error" for problem in self.problems):
            return None
        warnings = tuple(problem for problem in self.problems if problem.severity == "warning")
        return build.pipeline(data, self.loaded, params, found, self.path, self.name, self.site, warnings)

    # -- telling

    def add(self, path: Path, message: str, hint: str = "", *, mark: Optional[model.Mark] = None, at_key: bool = False, severity: str = "error") -> None:
        """A fault at a value, at its key, or at a place inside a text."""
        if mark is None:
            mark = self.loaded.marks.key(path) if at_key else self.loaded.marks.value(path)
        line = self.lines[mark.line - 1].rstrip("\r") if 0 < mark.line <= len(self.lines) else ""
        self.problems.append(Problem(self.shown, mark.line, mark.column, message, hint, severity, _where(path), line))

    # -- shape

    def _schema(self, data: Any) -> None:
        for error in _validator().iter_errors(data):
            self._schema_error(error)

    def _schema_error(self, error) -> None:
        path: Path = tuple(error.absolute_path)
        kind, wanted, value = error.validator, error.validator_value, error.instance
        if kind == "additionalProperties" and wanted is False:
            self._unknown_keys(path, value, error.schema)
        elif kind == "required":
            for key in wanted:
                if key not in value:
                    self._missing(path, key, value)
        elif kind == "type":
            self._wrong_type(path, wanted if isinstance(wanted, list) else [wanted], value)
        elif kind == "enum":
            near = words.nearest(str(value), [str(choice) for choice in wanted if isinstance(choice, str)])
            choices = ", ".join(str(choice) for choice in wanted if isinstance(choice, str))
            self.add(path, f"{_last(path)}: {value!r} is not one of {choices}", f"did you mean {near}?" if near else "")
        else:
            self.add(path, *self._limit(path, kind, wanted, value))

    def _limit(self, path: Path, kind: str, wanted: Any, value: Any) -> Tuple[str, str]:
        name = _last(path)
        if kind == "pattern" and wanted == schema.STEP_ID:
            return f"id: {value!r} is no name for a step", "letters, digits, _ and - only, beginning with a letter, digit or _"
        if kind in ("minimum", "exclusiveMinimum"):
            return f"{name}: {value} is less than {wanted}", ""
        if kind in ("maximum", "exclusiveMaximum"):
            return f"{name}: {value} is more than {wanted}", ""
        if kind in ("minItems", "minLength", "minProperties"):
            return f"{name}: must not be empty", ""
        return f"{name}: {value!r} does not fit {kind} {wanted!r}", ""

    def _unknown_keys(self, path: Path, value: Mapping[str, Any], shape: Mapping[str, Any]) -> None:
        allowed = list(shape.get("properties", {}))
        foreign = words.TOP if not path else words.STEP if len(path) == 2 and path[0] == "steps" or path == ("defaults",) else {}
        place = "" if not path else f" in {_place_words(path)}"
        for key in value:
            if key in allowed or (not path and str(key).startswith("x-")):
                continue
            if not path and key in schema.STEP_KEYS and key not in foreign:
                hint = f"{key} belongs to a step, or under defaults:"
            elif path == ("defaults",) and key in schema.STEP_KEYS:
                hint = f"{key} is said by each step itself"
            elif len(path) == 2 and path[0] == "steps" and key in schema.TOP_KEYS and key not in foreign:
                hint = f"{key} belongs to the whole file, beside steps:"
            else:
                hint = words.hint(str(key), allowed, foreign)
            self.add(path + (key,), f"unknown key {key!r}{place}", hint, at_key=True)

    def _missing(self, path: Path, key: str, value: Any) -> None:
        if key == "steps" and not path:
            if not set(value) & {"tasks", "jobs", "nodes", "workflow", "task"}:  # whose own message says it
                self.add(path, "the file has no steps:", "add\nsteps:\n  - id: first\n    bash: echo hello")
        elif key == "id":
            if not set(value) & {"task_id", "name", "step"}:
                self.add(path, "the step has no id:", "begin it with - id: a_name")
        else:
            self.add(path, f"{_last(path)}: {key}: is missing", f"add {key}:")

    def _wrong_type(self, path: Path, wanted: Sequence[str], value: Any) -> None:
        named = " or ".join(_TYPE_WORDS[kind] for kind in wanted if kind != "null")
        self.add(path, f"{_last(path)}: must be {named}, not {_kind_of(value)}", self._type_hint(path, wanted, value))

    def _type_hint(self, path: Path, wanted: Sequence[str], value: Any) -> str:
        if len(path) == 2 and path[0] == "steps":
            return "a step is a mapping:\n  - id: a_name\n    bash: the command"
        if path == ("steps",):
            return "steps is a list: write - id: NAME for each step"
        if "boolean" in wanted and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off", "y", "n"):
            return "write " + ("true" if value.lower() in ("yes", "on", "y") else "false")
        if "integer" in wanted and isinstance(value, str) and value.strip().isdigit():
            return f"write {int(value)} without quotes and leading zeros"
        if "string" in wanted and isinstance(value, (bool, int, float)):
            return f'quote it: "{_source_text(value)}"'
        if "array" in wanted and isinstance(value, str):
            return f"write [{value}]"
        if isinstance(value, list) and "object" in wanted:
            return "write NAME: VALUE lines without the - in front"
        if value is None:
            return "write the value behind the colon, or remove the line"
        return ""

    # -- values

    def _params(self, value: Any) -> Dict[str, model.Param]:
        out: Dict[str, model.Param] = {}
        for name, body in value.items() if isinstance(value, dict) else ():
            path: Path = ("params", name)
            if not str(name).replace("_", "a").isidentifier():
                self.add(path, f"params: {name!r} is no name for a parameter", "letters, digits and _ only: it becomes RUNNER_PARAM_NAME", at_key=True)
            param = build.param(name, body)
            if param is None:
                continue
            out[name] = param
            if not param.required:
                try:
                    check_value(param, param.default)
                except ValueError as error:
                    place = path + ("default",) if isinstance(body, dict) else path
                    self.add(place, f"params.{name}: the default {param.default!r} {error}")
        return out

    def _schedule(self, data: Mapping[str, Any]) -> Optional[model.Schedule]:
        values = {key: data.get(key) for key in ("start_date", "end_date")}
        if any(value is not None and not isinstance(value, str) for value in values.values()):
            return None
        value = data.get("schedule")
        if not (value is None or isinstance(value, str) or (isinstance(value, dict) and set(value) == {"every"})):
            if isinstance(value, dict) and "every" not in value:
                self.add(("schedule",), "schedule: a mapping needs every:", 'write schedule: {every: 3d}, or schedule: "0 1 * * *"')
            return None
        zone = data.get("timezone", self.site.timezone)
        if not isinstance(zone, str):
            return None
        found, faults = schedule.parse(value, zone, values["start_date"], values["end_date"])
        for fault in faults:
            path: Path = (fault.key,) if fault.key in data else ("schedule",) if "schedule" in data else ()
            if path == ("schedule",) and isinstance(value, dict):
                path = ("schedule", "every")
            mark = self.loaded.marks.in_text(path, 1, (fault.offset or 0) + 1) if path and isinstance(data.get(path[0]), str) else None
            self.add(path, fault.message, fault.hint, mark=mark, severity=fault.severity)
        return found

    _DURATION_KEYS = ("retry_delay", "max_retry_delay", "timeout", "kill_grace")

    def _durations(self, value: Mapping[str, Any], keys: Sequence[str], path: Path) -> None:
        from runner.durations import DurationError, parse_duration

        for key in keys:
            if key in value and isinstance(value[key], (str, int, float)) and not isinstance(value[key], bool):
                try:
                    parse_duration(value[key])
                except DurationError as error:
                    self.add(path + (key,), f"{key}: {error.message}", error.hint)

    def _step_values(self, step: Mapping[str, Any], path: Path) -> None:
        """What steps and defaults share and the schema cannot say."""
        self._durations(step, self._DURATION_KEYS, path)
        if "retry_jitter" in step and build.share(step["retry_jitter"]) is None:
            self.add(path + ("retry_jitter",), f"retry_jitter: {step['retry_jitter']!r} is no share", "write 10%, or 0.1; at most 100%")

    # -- steps

    def _graph(self, entries) -> "_Graph":
        ids: Dict[str, int] = {}
        for i, step in entries:
            name = step.get("id")
            if isinstance(name, str):
                if name in ids:
                    first = self.loaded.marks.value(("steps", ids[name], "id")).line
                    self.add(("steps", i, "id"), f"two steps are called {name}", f"the other one is on line {first}: give one another id")
                else:
                    ids[name] = i
        needs: Dict[str, List[str]] = {}
        for i, step in entries:
            if isinstance(step.get("id"), str):
                needs[step["id"]] = self._needs(i, step, ids)
        graph = _Graph(needs)
        for circle in graph.circles():
            self.add(("steps", ids[circle[0]], "needs"), "the steps need each other in a circle: " + " -> ".join(circle + circle[:1]),
                     "each arrow is a needs:; remove one of them")
        return graph

    def _needs(self, i: int, step: Mapping[str, Any], ids: Mapping[str, int]) -> List[str]:
        value = step.get("needs", [])
        listed = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        out: List[str] = []
        for n, need in enumerate(listed):
            path: Path = ("steps", i, "needs") if isinstance(value, str) else ("steps", i, "needs", n)
            if not isinstance(need, str):
                continue
            if need == step.get("id"):
                self.add(path, f"step {need} needs itself", "remove it from needs:")
            elif need not in ids:
                near = words.nearest(need, ids)
                split = [part.strip() for part in need.split(",")]
                hint = f"write needs: [{', '.join(split)}]" if len(split) > 1 else f"did you mean {near}?" if near else "the steps are: " + ", ".join(list(ids)[:12])
                self.add(path, f"needs: there is no step {need!r}", hint)
            elif need in out:
                self.add(path, f"needs: {need} is named twice", "once is enough", severity="warning")
            else:
                out.append(need)
        return out

    def _step(self, i: int, step: Mapping[str, Any], params: FrozenSet[str], graph: "_Graph") -> None:
        path: Path = ("steps", i)
        self._step_values(step, path)
        self._rule(step, path)
        kind = self._kind(step, path)
        upstream = graph.above(step["id"]) if isinstance(step.get("id"), str) else None
        if step.get("template") is not False:
            self._texts(step.get("env"), path + ("env",), params, upstream)
            self._texts(step.get("cwd"), path + ("cwd",), params, upstream)
        self._when(step.get("when"), path + ("when",), params, upstream)
        if kind:
            self._body(step, path + (kind,), steps.KINDS[kind], params, upstream)

    def _rule(self, step: Mapping[str, Any], path: Path) -> None:
        if step.get("trigger_rule", "all_success") != "all_success" and not step.get("needs"):
            self.add(path + ("trigger_rule",), f"trigger_rule: {step['trigger_rule']} without needs: has no effect", "add needs:, or remove it", severity="warning")

    def _kind(self, step: Mapping[str, Any], path: Path) -> Optional[str]:
        """The one key that says what the step does."""
        kinds = [key for key in step if key in steps.KINDS]
        if len(kinds) > 1:
            self.add(path + (kinds[1],), f"the step does two things: {' and '.join(kinds)}", "make two steps of it, the second with needs:", at_key=True)
            return None
        if not kinds:
            if not any(key not in schema.STEP_KEYS for key in step):  # an unknown key says already what to write
                self.add(path, "the step does not say what it does", "add one of: " + ", ".join(f"{name}:" for name in steps.KINDS))
            return None
        return kinds[0]

    def _body(self, step: Mapping[str, Any], path: Path, kind, params: FrozenSet[str], upstream) -> None:
        body = step[path[-1]]
        wanted = kind.SCHEMA.get("type", [])
        if not _fits(body, wanted if isinstance(wanted, list) else [wanted]):
            return
        try:
            for keys, message, hint in kind.check(body):
                self.add(path + tuple(keys) if isinstance(body, dict) else path, message, hint)
            normal = kind.normalise(body)
            called = kind.files(normal)
        except (TypeError, ValueError, AttributeError):  # a shape that the schema has already refused
            return
        templated = step.get("template") is not False
        if isinstance(body, str):
            if templated:
                self._text(body, path, params, upstream)
        else:
            for key in body:
                if templated and key in kind.TEMPLATED:
                    self._texts(body[key], path + (key,), params, upstream)
        self._called(step, path, called, params, upstream)
        self._clock(kind, body, normal, path)

    # -- templates

    def _texts(self, value: Any, path: Path, params: FrozenSet[str], upstream) -> None:
        if isinstance(value, str):
            self._text(value, path, params, upstream)
        elif isinstance(value, dict):
            for key, item in value.items():
                self._texts(item, path + (key,), params, upstream)
        elif isinstance(value, list):
            for n, item in enumerate(value):
                self._texts(item, path + (n,), params, upstream)

    def _text(self, text: str, path: Path, params: FrozenSet[str], upstream: Optional["_Above"]) -> None:
        for fault in template.find_faults(text, params=params, upstream=upstream):
            mark = self.loaded.marks.in_text(path, fault.line, fault.column)
            self.add(path, fault.message, fault.hint, mark=mark, severity=fault.severity)

    def _when(self, value: Any, path: Path, params: FrozenSet[str], upstream) -> None:
        if not isinstance(value, str):
            return
        expression = build.expression_of(value)
        if expression is None:
            self.add(path, "when: is one expression", 'write when: "<< outputs.load.rows | int > 0 >>"')
            return
        for fault in template.find_expression_faults(expression, params=params, upstream=upstream):
            self.add(path, f"when: {fault.message}", fault.hint, severity=fault.severity)

    # -- files and clocks

    def _called(self, step: Mapping[str, Any], path: Path, called, params: FrozenSet[str], upstream) -> None:
        if not (self.look and self.path):
            return
        for each in called:
            place = path + (each.key,) if isinstance(step[path[-1]], dict) else path
            file = steps.locate(os.path.dirname(self.path), each.path)
            self.files.add(file)
            text = _read(file)
            if text is None:
                self._no_file(place, each.path, file)
                continue
            if each.templated and step.get("template") is not False:
                for fault in template.find_faults(text, params=params, upstream=upstream):
                    self._in_file(file, text, fault.line, fault.column, fault.message, fault.hint, fault.severity)
            self._clock_in_file(file, text, each.language)

    def _no_file(self, place: Path, written: str, file: str) -> None:
        folder = os.path.dirname(file)
        try:
            near = words.nearest(os.path.basename(file), os.listdir(folder))
        except OSError:
            near = ""
        if os.path.isdir(file):
            self.add(place, f"{written} is a folder", "name a file in it")
        else:
            self.add(place, f"the file {written} does not exist", f"did you mean {os.path.join(os.path.dirname(written), near)}?" if near else f"looked for {file}")

    def _clock(self, kind, body: Any, normal: Mapping[str, Any], path: Path) -> None:
        """The midnight linter, over the step's own text and the files it names."""
        inline = getattr(kind, "INLINE", None)
        if inline is None or not isinstance(normal.get(inline[0]), str):
            return
        from runner.spec import lint

        key, language = inline
        place = path if isinstance(body, str) else path + (key,)
        for read in lint.find_clock_reads(normal[key], language):
            self.add(place, read.message, read.hint, mark=self.loaded.marks.in_text(place, read.line, read.column), severity="warning")
        if self.look and self.path and language == "bash":
            for file, found in _named_files(normal[key], os.path.dirname(self.path)):
                self.files.add(file)
                text = _read(file)
                if text is not None:
                    self._clock_in_file(file, text, found)

    def _clock_in_file(self, file: str, text: str, language: str) -> None:
        from runner.spec import lint

        for read in lint.find_clock_reads(text, language):
            self._in_file(file, text, read.line, read.column, read.message, read.hint, "warning")

    def _in_file(self, file: str, text: str, line: int, column: int, message: str, hint: str, severity: str) -> None:
        source = text.split("\n")[line - 1].rstrip("\r")
        self.problems.append(Problem(shown_path(file), line, column, message, hint, severity, "", source))


_LANGUAGES = {".sh": "bash", ".bash": "bash", ".py": "python", ".sql": "sql", ".hql": "sql"}
MAX_CALLED = 1 << 20  # bytes of a called file that are read


def _named_files(text: str, folder: str) -> Iterator[Tuple[str, str]]:
    """Scripts of the pipeline that a shell text names, such as ./extract.sh."""
    import re

    for word in set(re.findall(r"[\w./-]+\.(?:sh|bash|py|sql|hql)\b", text)):
        file = steps.locate(folder, word)
        if os.path.isfile(file):
            yield file, _LANGUAGES[os.path.splitext(file)[1]]


def _read(file: str) -> Optional[str]:
    try:
        with open(file, encoding="utf-8", errors="replace") as handle:
            return handle.read(MAX_CALLED)
    except OSError:
        return None


def _fits(value: Any, wanted: Sequence[str]) -> bool:
    names = {"string": str, "object": dict, "array": list, "boolean": bool, "null": type(None), "integer": int, "number": (int, float)}
    return not wanted or any(isinstance(value, names[kind]) for kind in wanted)


def _source_text(value: Any) -> str:
    return "true" if value is True else "false" if value is False else str(value)


def _last(path: Path) -> str:
    """What a fault is about, in a word or two."""
    if not path:
        return "the file"
    if isinstance(path[-1], int):
        return f"entry {path[-1] + 1} of {_last(path[:-1])}"
    return str(path[-1])


def _place_words(path: Path) -> str:
    if len(path) == 2 and path[0] == "steps":
        return "the step"
    return ".".join(str(part) for part in path if not isinstance(part, int) and part != "steps")


def _where(path: Path) -> str:
    """steps[2].bash"""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out


# -------------------------------------------------------------------------------------------------------------- graph


class _Above:
    """The steps above one, worked out when somebody asks: a file of 10,000 steps asks for few."""

    def __init__(self, needs: Mapping[str, List[str]], step: str):
        self._needs, self._step, self._set = needs, step, None

    def _all(self) -> Set[str]:
        if self._set is None:
            self._set = set()
            queue = list(self._needs.get(self._step, ()))
            while queue:
                name = queue.pop()
                if name not in self._set:
                    self._set.add(name)
                    queue.extend(self._needs.get(name, ()))
        return self._set

    def __contains__(self, name: object) -> bool:
        return name in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())


class _Graph:
    """Who needs whom."""

    def __init__(self, needs: Mapping[str, List[str]]):
        self._needs = needs

    def above(self, step: str) -> _Above:
        return _Above(self._needs, step)

    def circles(self) -> List[List[str]]:
        """Each circle once, from its first step in the file; without recursion, since a chain may be 10,000 long."""
        state: Dict[str, int] = {}
        out: List[List[str]] = []
        for root in self._needs:
            if root in state:
                continue
            path: List[str] = [root]
            trail: List[Iterator[str]] = [iter(self._needs[root])]
            state[root] = 1
            while trail:
                for need in trail[-1]:
                    if state.get(need) == 1:
                        out.append(path[path.index(need):])
                    elif need not in state and need in self._needs:
                        state[need] = 1
                        path.append(need)
                        trail.append(iter(self._needs[need]))
                        break
                else:
                    state[path.pop()] = 2
                    trail.pop()
        return out
