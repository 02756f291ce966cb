"""Text to Pipeline, or to every fault in it.

First the schema says what is wrong with the shape (`shape`), then a second pass says what no schema can: unknown needs and
circles here, values in `values`, templates and called files in `texts`. A file with warnings only is good.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple, Union

from runner import model, steps
from runner.errors import EnvironmentFault, InvalidPipeline
from runner.model import Problem
from runner.site import channel_names
from runner.spec import build, flow, merge, nodes, others, parts, schema, shape, unfilled, values, words
from runner.spec.finding import fault_of, name_of
from runner.spec.graph import Graph
from runner.spec.notes import Notes, Path
from runner.spec.sitenames import SiteNames
from runner.spec.report import STORED
from runner.spec.text import from_disk
from runner.spec.texts import Texts, hands_on_texts

Entries = Sequence[Tuple[int, Mapping[str, Any]]]  # place in the list, step


@dataclass(frozen=True)
class Site:
    """What a file's meaning depends on besides its text."""

    timezone: str
    logical_date: str = "due"
    pools: Optional[FrozenSet[str]] = None  # names of the site's pools; None: they are not known here
    home: str = ""  # where its variables, secrets, connections and channels are; "": they are not known here
    secrets_command: str = ""


@dataclass(frozen=True)
class CheckResult:
    pipeline: Optional[model.Pipeline]  # None when there is an error, and of a part
    problems: Tuple[Problem, ...]  # sorted; warnings too
    files: Tuple[str, ...] = ()  # other files that were looked at, absolute
    asked: Tuple[others.Asked, ...] = ()  # other pipelines that it names

    @property
    def errors(self) -> List[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]


def check_text(raw: Union[bytes, str], *, path: str, name: str, site: Site, shown: str = "", look: bool = True) -> CheckResult:
    """Every fault of one file. `path`: absolute, or "" for a text without a file; `shown`: how messages call it.

    `look` False leaves called files alone: a stored definition stands whatever has become of them.
    """
    shown = shown or path or "<text>"
    call = str if os.path.isabs(shown) else shown_path  # how messages call other files
    loaded, taken = load_whole(raw, path, shown, look, call)
    notes = Notes(loaded, shown)
    part = look and parts.is_part(path)
    fault, remedy = fault_of(name) if look and not part else ("", "")
    if fault:
        notes.add((), fault, remedy, mark=model.Mark(1, 1))
    shape.check(loaded.data, notes, part)
    if not isinstance(loaded.data, dict):
        return CheckResult(None, notes.sorted(), taken)
    folder = os.path.dirname(path) if look and os.path.isabs(path) else ""
    found = _Second(loaded.data, site, notes, Texts(notes, folder, call, look), part)
    problems, files = notes.sorted(), tuple(sorted(found.texts.files.union(taken)))
    if notes.failed or part:
        return CheckResult(None, problems, files, tuple(found.asked))
    warnings = tuple(problem for problem in problems if problem.severity == "warning")
    pipeline = build.pipeline(loaded.data, loaded, found.params, found.schedule, path, name, site, warnings)
    return CheckResult(pipeline, problems, files, tuple(found.asked))


def load_whole(raw: Union[bytes, str], path: str, shown: str, look: bool, call: Callable[[str], str]) -> Tuple[nodes.Loaded, Tuple[str, ...]]:
    """A file with all it takes of others, and those it looked at. Without `look` they come out of the stored text itself."""
    read: merge.Read = from_disk
    if not look and isinstance(raw, str):
        raw, kept = parts.unpack(path, raw)
        read = lambda file: _kept(kept, file)  # noqa: E731
        call = lambda file: shown_path(file) + STORED  # noqa: E731
    loaded = nodes.load(raw, shown)
    if merge.takes(loaded.data):
        return merge.whole(loaded, path if os.path.isabs(path) else "", shown, read, call)
    return loaded, ()


def load_file(path: str) -> Tuple[nodes.Loaded, Tuple[str, ...]]:
    """As `load_whole`, unchecked but for what keeps it from being read or merged: InvalidPipeline, EnvironmentFault."""
    loaded, taken = load_whole(_read(path), path, shown_path(path), True, shown_path)
    if not isinstance(loaded.data, dict) or loaded.errors:
        notes = Notes(loaded, shown_path(path))
        shape.check(loaded.data, notes)
        raise InvalidPipeline(notes.sorted())
    return loaded, taken


def _read(path: str) -> bytes:
    try:
        return from_disk(path)
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be read: {error.strerror}", f"type: ls -l {path}") from None


def _kept(texts: Mapping[str, str], file: str) -> str:
    if file not in texts:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file)
    return texts[file]


def text_to_keep(text: str, path: str) -> Tuple[str, Tuple[str, ...]]:
    """What a run keeps of a file with this text, and the other files that it depends on."""
    if not parts.may_take(text):
        return text, ()
    loaded, files = load_whole(text.encode("utf-8", "surrogatepass"), path, path, True, str)
    return (loaded.text if files else parts.pack(path, text, {})), files


def load_pipeline(path: str, site: Site, name: Optional[str] = None) -> model.Pipeline:
    """The pipeline of a file. Raises InvalidPipeline with every fault, EnvironmentFault when it cannot be read."""
    path = os.path.abspath(path)
    raw = _read(path)
    if parts.is_part(path):
        hint = f"name the pipeline that takes it; for what is wrong with the part type: runner check {shown_path(path)}"
        raise InvalidPipeline([Problem(shown_path(path), 1, 1, "a file whose name begins with _ is a part of pipelines, and none itself", hint)])
    return _good(check_text(raw, path=path, name=name or name_of(path), site=site, shown=shown_path(path)))


def load_text(text: str, path: str, name: str, site: Site) -> model.Pipeline:
    """The pipeline of a stored definition."""
    return _good(check_text(text, path=path, name=name, site=site, shown=shown_path(path) + STORED, look=False))


def _good(result: CheckResult) -> model.Pipeline:
    if result.pipeline is None:
        raise InvalidPipeline(result.problems)
    return result.pipeline


def shown_path(path: str) -> str:
    """Relative when it lies below the current folder: what people type."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


class _Second:
    """The second pass over one file: what a schema cannot say."""

    def __init__(self, data: Mapping[str, Any], site: Site, notes: Notes, texts: Texts, part: bool):
        """`part`: what is not there may come from the pipelines that take this file."""
        self._notes, self.texts, self._part = notes, texts, part
        self.asked: List[others.Asked] = []
        self.params = values.check_params(data.get("params"), notes)
        self.schedule = values.check_schedule(data, site, notes)
        if not part:
            values.check_required(self.params, self.schedule, notes)
        values.check_durations(data, ("timeout",), (), notes)
        values.check_shared(data.get("defaults"), ("defaults",), notes)
        values.check_env(data.get("env"), ("env",), notes)
        texts.params, texts.part = frozenset(self.params), part
        texts.risky = frozenset(name for name, each in self.params.items() if each.type == "string" and not (each.enum or each.pattern))
        texts.site = SiteNames(notes, site.home, site.secrets_command)
        self.texts.check(data.get("env"), ("env",), frozenset(), True)
        self._kerberos(data, (), frozenset())
        if not part:
            values.check_catchup(data, notes)
            values.check_late(data, notes)
        values.check_deadline(data, (), notes)
        self._home = site.home
        self._tell(data, ())
        self._defaults = defaults = data.get("defaults") if isinstance(data.get("defaults"), dict) else {}
        for key in ("env", "cwd"):  # which steps these reach, and so what is upstream, is not one thing
            self.texts.check(defaults.get(key), ("defaults", key), None, key == "env")
        texts.cwd = defaults.get("cwd")
        self._pools = site.pools
        self._pool(defaults, ("defaults",))
        self._tell(defaults, ("defaults",))
        listed = data.get("steps") if isinstance(data.get("steps"), list) else []
        self._steps([(i, step) for i, step in enumerate(listed) if isinstance(step, dict)])

    # -- who needs whom

    def _steps(self, entries: Entries) -> None:
        ids = self._ids(entries)
        needs = {step["id"]: self._needs(i, step, ids) for i, step in entries if isinstance(step.get("id"), str)}
        flow.with_teardowns(needs, [step for _, step in entries])
        graph = Graph(needs)
        for circle in graph.circles():
            self._notes.add(("steps", ids[circle[0]], "needs"), "the steps need each other in a circle: " + " -> ".join(circle + circle[:1]),
                            "each arrow is a needs:; remove one of them")
        followers: Dict[str, List[str]] = {}
        for name, above in needs.items():
            for need in above:
                followers.setdefault(need, []).append(name)
        self.texts.worded = frozenset(step["id"] for _, step in entries if isinstance(step.get("id"), str) and hands_on_texts(step))
        for i, step in entries:
            if not self._part:
                flow.check(step, ("steps", i), ids, followers, self._notes)
            self._step(step, ("steps", i), graph)

    def _ids(self, entries: Entries) -> Dict[str, int]:
        ids: Dict[str, int] = {}
        for i, step in entries:
            name = step.get("id")
            if isinstance(name, str) and ids.setdefault(name, i) != i:
                first = self._notes.line_of(("steps", ids[name], "id"), ("steps", i, "id"))
                self._notes.add(("steps", i, "id"), f"two steps are called {name}", f"the other one is on {first}: give one of them another id")
        return ids

    def _needs(self, i: int, step: Mapping[str, Any], ids: Mapping[str, int]) -> List[str]:
        """The known steps that one needs; the others are noted."""
        value = step.get("needs", [])
        listed = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        out: List[str] = []
        for n, need in enumerate(listed):
            path: Path = ("steps", i, "needs") if isinstance(value, str) else ("steps", i, "needs", n)
            if not isinstance(need, str):
                continue
            if need == step.get("id"):
                self._notes.add(path, f"step {need} needs itself", "remove it from needs:")
            elif need not in ids:
                if self._part:
                    continue
                self._notes.add(path, f"needs: there is no step {need!r}", _need_hint(need, ids))
            elif need in out:
                self._notes.add(path, f"needs: {need} is named twice", "once is enough", severity="warning")
            else:
                out.append(need)
        return out

    # -- one step

    def _step(self, step: Mapping[str, Any], path: Path, graph: Graph) -> None:
        values.check_shared(step, path, self._notes)
        upstream = graph.above(step["id"]) if isinstance(step.get("id"), str) and not self._part else None
        self.texts.items = self._part or "foreach" in step
        self.texts.check_foreach(step.get("foreach"), path + ("foreach",), upstream)
        for key in ("env", "cwd"):
            self.texts.check(step.get(key), path + (key,), upstream, key == "env")
        self.texts.check_when(step.get("when"), path + ("when",), upstream)
        if not self._part:
            values.check_effects(step, self._defaults, path, self._notes)
        values.check_deadline(step, path, self._notes)
        self._tell(step, path)
        self._pool(step, path)
        self._kerberos(step, path, upstream)
        kind = self._kind(step, path)
        if kind:
            self._body(step, path + (kind,), steps.KINDS[kind], upstream)

    def _tell(self, said: Mapping[str, Any], path: Path) -> None:
        """`on_failure` and its kin: the names of channels, the templates of a hook."""
        hooks = {event: said[f"on_{event}"] for event in model.EVENTS if said.get(f"on_{event}")}
        if hooks and self._home:
            values.check_tell(hooks, path, channel_names(self._home), self._notes)
        for event, hook in hooks.items():
            if isinstance(hook, dict):
                self.texts.check(hook.get("bash"), path + (f"on_{event}", "bash"), frozenset())

    def _kerberos(self, said: Mapping[str, Any], path: Path, upstream) -> None:
        if not self._notes.is_bad(path + ("kerberos",)):
            values.check_kerberos(said.get("kerberos"), path + ("kerberos",), self._notes)
            self.texts.check(said.get("kerberos"), path + ("kerberos",), upstream)

    def _pool(self, said: Mapping[str, Any], path: Path) -> None:
        """A warning only: the settings of the server that will run it may differ from those here."""
        pool = said.get("pool")
        if isinstance(pool, str) and self._pools is not None and pool not in self._pools:
            near = words.nearest(pool, sorted(self._pools))
            known = ", ".join(sorted(self._pools)) or "none"
            hint = f"did you mean {near}?" if near else f"known: {known}; add {pool}=2 to pools: in settings.yaml"
            self._notes.add(path + ("pool",), f"no pool {pool!r} in the settings here: the step would fail", hint, severity="warning")

    def _kind(self, step: Mapping[str, Any], path: Path) -> Optional[str]:
        """The one key that says what the step does."""
        kinds = [key for key in step if key in steps.KINDS]
        if len(kinds) > 1:
            self._notes.add(path + (kinds[1],), f"the step does two things: {' and '.join(kinds)}", "make two steps of it, the second with needs:", at_key=True)
            return None
        if kinds:
            return kinds[0]
        if not self._part and not self._notes.shaky and not any(key not in schema.STEP_KEYS and words.is_about_kind(key, schema.STEP_KEYS) for key in step):
            self._notes.add(path, "the step does not say what it does", "add one of " + ", ".join(f"{name}:" for name in steps.KINDS))
        return None

    def _body(self, step: Mapping[str, Any], path: Path, kind, upstream) -> None:
        body = step[path[-1]]
        if not self._part and not self._notes.is_bad(path):
            for keys, message, hint in kind.check(body):
                self._notes.add(path + tuple(keys) if isinstance(body, dict) else path, message, hint)
        if isinstance(body, dict) and not self._notes.is_bad(path + ("args",)):
            unfilled.check_args(path[-1], body.get("args") or (), path + ("args",), self._notes)
        if not self._part and not self._notes.is_bad(path):
            self.asked += others.asked(path[-1], body, path, self._notes.unsaid)
        self.texts.check_body(step, path, kind, upstream)


def _need_hint(need: str, ids: Mapping[str, int]) -> str:
    parts = need.replace(",", " ").split()
    if len(parts) > 1:
        return f"write needs: [{', '.join(parts)}]"
    near = words.nearest(need, ids)
    if near:
        return f"did you mean {near}?"
    return "the steps are: " + ", ".join(list(ids)[:12]) + (" ..." if len(ids) > 12 else "")
