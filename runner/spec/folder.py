"""The pipeline files of a folder, and the cache of what was found in them.

An unchanged file is answered from the cache by its time, size and inode, and so are the files that it calls: neither YAML
nor the schema is loaded then. The cache may vanish or be unreadable at any time: it is a convenience, never the truth.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

import runner
from runner.errors import NotFound
from runner.model import Problem
from runner.site import changed_at
from runner.spec import finding
from runner.spec.others import Asked, Others
from runner.spec.parts import is_part


@dataclass(frozen=True)
class FileReport:
    """One file: what is wrong with it, and what a list shows of it."""

    path: str
    name: str
    problems: Tuple[Problem, ...]
    summary: Optional[Mapping[str, Any]]  # None when it has errors, and of a part
    cached: bool = False
    hash: str = ""  # of its text and those of the files it takes; "" when it could not be read
    asked: Tuple[Asked, ...] = ()  # other pipelines that it names

    @property
    def good(self) -> bool:
        return not any(problem.severity == "error" for problem in self.problems)


def find(paths: Sequence[str], parts: bool = False) -> List[str]:
    """The pipeline files among these paths, absolute, folders searched to the bottom.

    Raises NotFound for a path that is not there, EnvironmentFault for a folder that cannot be read.

    `parts`: those too that pipelines take, and which are none themselves.
    """
    out: List[str] = []
    for path in paths:
        full = os.path.abspath(path)
        if os.path.isdir(full):
            finding.need_listable(full)
            out += [file for file in finding.inside(full) if parts or not is_part(file)]
        elif os.path.exists(full):
            out.append(full)
        else:
            raise NotFound(f"{path}: there is no such file or folder", "give a pipeline file, or a folder of them")
    return list(dict.fromkeys(out))


def check_paths(paths: Sequence[str], site: Any, cache_path: Optional[str], parts: bool = False) -> List[FileReport]:
    """A report of each file, in order. `site`: check.Site, or anything with its fields. Raises NotFound for a wrong path."""
    files = find(paths, parts)
    key = _key(site)
    cache = _read_cache(cache_path, key)
    reports = []
    known = dict(cache)
    for path in files:
        report = _from_cache(path, cache.get(path))
        if report is None:
            cache[path] = _check(path, site)
            report = _report(path, cache[path], cached=False)
        reports.append(report)
    reports = _with_unknown(reports, getattr(site, "pipelines", ""), lambda path: _steps_of(path, cache, site))
    if cache_path and cache != known:
        _write_cache(cache_path, key, cache)
    return _with_same_names([_as_typed(report) for report in reports])


def _with_unknown(reports: List[FileReport], pipelines: str, steps: Callable[[str], Optional[Sequence[str]]]) -> List[FileReport]:
    """Names of other pipelines that are not there: asked each time, since the answer lies in other files.

    Only of files in the pipelines folder: others may be meant for another server.
    """
    if not pipelines or not any(report.asked for report in reports):
        return reports
    there = os.path.abspath(pipelines) + os.sep
    others = Others(pipelines, {report.name: report.path for report in reports if report.path.startswith(there) and not is_part(report.path)}, steps)
    out = []
    for report in reports:
        found = [others.problem(one, report.path) for one in report.asked] if report.path.startswith(there) else []
        more = [problem for problem in found if problem]
        out.append(replace(report, problems=tuple(sorted([*report.problems, *more], key=Problem.sort_key))) if more else report)
    return out


def _steps_of(path: str, cache: Dict[str, Any], site: Any) -> Optional[Sequence[str]]:
    if _from_cache(path, cache.get(path)) is None:
        cache[path] = _check(path, site)
    return cache[path]["steps"]


def _from_cache(path: str, entry: Any) -> Optional[FileReport]:
    """What was found before, when nothing that it came from has changed since."""
    try:
        return _report(path, entry, cached=True) if entry is not None and _same(entry["seen"]) else None
    except (KeyError, TypeError, AttributeError):  # somebody else's file, or a damaged one
        return None


def _check(path: str, site: Any) -> Dict[str, Any]:
    """Check one file and note everything that its answer depends on."""
    import hashlib

    from runner.spec.check import Site, check_text, name_of
    from runner.spec.text import from_disk

    seen = {path: _stat(path)}
    try:
        raw = from_disk(path)
    except OSError as error:
        problem = Problem(path, 1, 1, f"cannot be read: {error.strerror}", f"type: ls -l {path}")
        return {"seen": {path: None}, "problems": [asdict(problem)], "summary": None, "asked": [], "steps": None}
    result = check_text(raw, path=path, name=name_of(path), site=Site(site.timezone, site.logical_date, _pools(site), *_apart(site)), shown=path)
    seen.update({file: _stat(file) for file in result.files})
    return {
        "seen": seen, "problems": [asdict(problem) for problem in result.problems],
        "asked": [asdict(one) for one in result.asked], "steps": [step.id for step in result.pipeline.steps] if result.pipeline else None,
        "summary": summary(result.pipeline) if result.pipeline else None, "hash": hashlib.sha256(result.pipeline.text.encode("utf-8", "surrogatepass") if result.pipeline else raw).hexdigest(),
    }


def summary(pipeline: Any) -> Dict[str, Any]:
    """What a list shows, so that it need not read the file."""
    found = pipeline.schedule
    return {
        "name": pipeline.name, "description": pipeline.description, "owner": pipeline.owner, "tags": list(pipeline.tags),
        "timezone": pipeline.timezone, "schedule": found.text if found else None, "logical_date": pipeline.logical_date,
        "steps": len(pipeline.steps),
    }


def _report(path: str, entry: Mapping[str, Any], cached: bool) -> FileReport:
    problems = tuple(Problem(**problem) for problem in entry["problems"])
    name = finding.name_of(path)
    asked = tuple(Asked(one["pipeline"], one["step"], Problem(**one["place"])) for one in entry["asked"])
    return FileReport(path, name, problems, entry["summary"], cached, entry.get("hash", ""), asked)


def _as_typed(report: FileReport) -> FileReport:
    """Messages name files from where the person stands."""
    here = os.getcwd() + os.sep
    shown = tuple(replace(p, file=p.file[len(here):]) if p.file.startswith(here) else p for p in report.problems)
    return replace(report, problems=shown)


def _with_same_names(reports: List[FileReport]) -> List[FileReport]:
    """Two files of one name are one pipeline twice: said of both."""
    by_name: Dict[str, List[FileReport]] = {}
    for report in reports:
        by_name.setdefault(report.name, []).append(report)
    out = []
    for report in reports:
        others = [other.path for other in by_name[report.name] if other.path != report.path and not is_part(report.path)]
        if others:
            problem = Problem(os.path.relpath(report.path), 1, 1, f"another file makes the pipeline {report.name} too: {others[0]}", "rename one of the two files")
            report = replace(report, problems=report.problems + (problem,))
        out.append(report)
    return out


# -------------------------------------------------------------------------------------------------------------- cache


def _stat(path: str) -> Optional[List[int]]:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size, found.st_ino]


def _same(seen: Mapping[str, Optional[List[int]]]) -> bool:
    return all(_stat(path) == state and (state is not None or not os.path.exists(path)) for path, state in seen.items())


def _key(site: Any) -> str:
    """An answer holds for this version of runner and these settings only."""
    names = [_pools(site), _apart(site) + (changed_at(_apart(site)[0]),)]
    return "|".join((runner.__version__, _code_time(), site.timezone, site.logical_date, *("?" if each is None else ",".join(sorted(each)) for each in names)))


def _pools(site: Any) -> Optional[FrozenSet[str]]:
    pools = getattr(site, "pools", None)
    return None if pools is None else frozenset(pools)


def _apart(site: Any) -> Tuple[str, str]:
    return getattr(site, "home", ""), getattr(site, "secrets_command", "")


def _code_time() -> str:
    """A checkout that is edited in place must not answer from yesterday's code: the newest of the modules, and how many."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    times = [entry.stat().st_mtime_ns for folder in ("", "spec", "steps", "template")
             for entry in os.scandir(os.path.join(package, folder)) if entry.name.endswith(".py")]
    return f"{max(times, default=0)}.{len(times)}"


def _read_cache(path: Optional[str], key: str) -> Dict[str, Any]:
    if not path:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            stored = json.load(file)
        return dict(stored["files"]) if stored.get("key") == key else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_cache(path: str, key: str, files: Mapping[str, Any]) -> None:
    kept = {name: entry for name, entry in files.items() if os.path.exists(name)}
    try:
        os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
        temporary = f"{path}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump({"key": key, "files": kept}, file, ensure_ascii=False, separators=(",", ":"))
        os.replace(temporary, path)
    except OSError:
        pass  # the next call is a little slower
