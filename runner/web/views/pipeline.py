"""One pipeline: steps against dates, its graph, how long runs take, when it runs next, its file as it is and as it was."""

from __future__ import annotations

import difflib
import os
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Dict, List, Mapping, Optional, Sequence
from zoneinfo import ZoneInfo

from runner import model, schedule, shown
from runner.errors import NotFound, RunnerError
from runner.spec.report import brief_place
from runner.web.desk import Desk
from runner.web.draw import bars, graph, grid, landing
from runner.web.views import common, months

DATES, SQUARES, NEXT, RECENT = 90, 2400, 5, 20
HELD_UP = 2 * 86400.0  # seconds between due and begun
MOST_TEXT = 500_000  # characters of a file


def view(desk: Desk, store, now: datetime, args: Mapping[str, str], name: str, words, root: str) -> Dict[str, Any]:
    """`words`: the texts of the page. `root`: what stands before every address. Raises NotFound for a pipeline that nobody knows."""
    row, file = store.pipelines.get(name), next((file for file in desk.files() if file.name == name), None)
    ticks = store.pages.newest_of(name, DATES)
    if row is None and file is None and not ticks:
        raise NotFound(f"there is no pipeline {name}", _near(desk, name))
    spec = _spec(desk, row, file)
    runs = [common.tick_facts(desk, tick) for tick in ticks]
    states = store.pages.step_states(name, DATES) if runs else {}
    steps = [step.id for step in spec.steps] if spec else []
    steps += sorted({step for of in states.values() for step in of} - set(steps))
    problems = [{"place": brief_place(each, file.path), "message": each.message, "hint": each.hint, "severity": each.severity, "source": each.source.strip()} for each in file.problems] if file else []
    if row and row.problem and not problems:
        problems = [{"place": "", "message": row.problem, "hint": "", "severity": "error", "source": ""}]
    holds = store.pipelines.holds().get(name, {})
    calendar = months.view(desk, store, now, args, spec, row, name, words, root)
    landed = _landings(runs, store.pages.deadlines_of_pipeline(name, DATES), root)
    pictures = _pictures(spec, runs, states, steps, words.states, root, name)
    pictures.update(months=calendar.pop("sheets"), landings=_landing_picture(landed, runs, name))
    return {
        "place": "pipelines", "name": name, "about": _about(spec, row, file), "problems": problems, "broken": row.broken if row else "",
        "gone": bool(row and row.gone_at), "paused": {"by": row.paused_by, "since": row.paused_at, "reason": row.pause_reason} if row and row.paused_by else None,
        "holds": holds, "next": _next(spec, row, now), "runs": runs[:RECENT], "good": sum(run["state"] == "success" for run in runs), "of": len(runs),
        "doc": spec.doc_md if spec else "", "params": _params(spec),
        "calendar": calendar, "landing": _landing_facts(landed), "pictures": pictures, "states": sorted({run["state"] for run in runs} | {state for of in states.values() for state in of.values()}),
        "every": 5,
    }


def _near(desk: Desk, name: str) -> str:
    found = difflib.get_close_matches(name, [file.name for file in desk.files()], 3, 0.5)
    return f"did you mean {' or '.join(found)}?" if found else ""


def _spec(desk: Desk, row: Optional[model.PipelineRow], file) -> Optional[model.Pipeline]:
    """The last good text that the daemon knows, else the file."""
    try:
        if row and row.definition:
            return desk.definitions().get(row.definition)
        if file and file.good:
            from runner.spec.check import load_pipeline

            return load_pipeline(file.path, desk.site())
    except RunnerError:  # a text of an older version, or a file that has changed just now
        pass
    return None


def _about(spec: Optional[model.Pipeline], row, file) -> Dict[str, Any]:
    if spec is None:
        return {"path": file.path if file else row.path if row else "", "description": "", "owner": "", "tags": [], "schedule": None, "timezone": "", "logical_date": "", "catchup": "",
                "max_active_runs": None, "timeout": None, "deadline": None, "steps": None, "depends_on_past": False, "tells": {}}
    return {
        "path": spec.path, "description": spec.description, "owner": spec.owner, "tags": list(spec.tags), "schedule": spec.schedule.text if spec.schedule else None,
        "timezone": spec.timezone, "logical_date": spec.logical_date, "catchup": spec.catchup, "max_active_runs": spec.max_active_runs, "timeout": spec.timeout,
        "deadline": spec.deadline.text if spec.deadline else None, "steps": len(spec.steps), "depends_on_past": spec.depends_on_past,
        "tells": {event: [*tell.channels, *(["bash"] if tell.bash else [])] for event, tell in spec.tell.items()},
    }


def _params(spec: Optional[model.Pipeline]) -> List[Dict[str, Any]]:
    return [{"name": each.name, "type": each.type, "required": each.required, "default": None if each.required else common.as_typed(each.default),
             "choices": [common.as_typed(one) for one in each.enum] if each.enum else None, "description": each.description} for each in spec.params.values()] if spec else []


def _next(spec: Optional[model.Pipeline], row: Optional[model.PipelineRow], now: datetime) -> List[Dict[str, Any]]:
    """The next times with their dates, from what the daemon will do next."""
    out: List[Dict[str, Any]] = []
    if spec is None or spec.schedule is None or (row and row.gone_at):
        return out
    try:
        moment: Optional[datetime] = row.next_due if row and row.next_due else schedule.next_due(spec.schedule, now)
        while moment is not None and len(out) < NEXT:
            date = schedule.date_of(spec.schedule, spec.logical_date, spec.timezone, moment)
            out.append({"due_at": date.due, "ds": f"{date.logical:%Y-%m-%d}", "interval_start": date.interval_start, "interval_end": date.interval_end})
            moment = schedule.next_due(spec.schedule, moment)
    except RunnerError:  # a schedule that cannot be worked out is said to be broken elsewhere
        pass
    return out


def _pictures(spec, runs: Sequence[Mapping[str, Any]], states, steps: Sequence[str], said, root: str, name: str) -> Dict[str, Any]:
    newest = list(reversed(runs[: max(10, min(DATES, SQUARES // max(len(steps), 1)))]))
    columns = [grid.Column(run["id"], run["label"], run["state"], states.get(run["id"], {})) for run in newest]
    lengths = [bars.Length(f"{root}/r/{run['id']}", run["label"], run["state"], run["seconds"]) for run in newest if run["seconds"] is not None]
    last = states.get(runs[0]["id"], {}) if runs else {}
    positions = {step: number for number, step in enumerate(steps)}
    nodes = [graph.Node(step.id, step.needs, last.get(step.id, "none"), f"{step.id} ({step.kind})" + (f": {step.description}" if step.description else ""), step.kind,
                        f"{root}/r/{runs[0]['id']}/{positions[step.id]}" if step.id in last else "") for step in spec.steps] if spec and len(spec.steps) <= graph.MOST else []
    return {
        "grid": grid.squares(columns, steps, said, root, name) if columns else "", "names": grid.names(steps, "") if columns else "",
        "lengths": bars.lengths(lengths, name) if lengths else "", "graph": graph.graph(nodes, name) if nodes else "",
    }


def _landings(runs: Sequence[Mapping[str, Any]], deadlines: Mapping[int, Mapping[str, Any]], root: str) -> List[landing.Landing]:
    """When each was done, the newest last. What was made long after it was due, a date of last year by hand, tells nothing of that."""
    out = []
    for run in reversed(runs):
        if run["seconds"] is None or run["state"] not in ("success", "failed", "killed"):
            continue
        at = deadlines.get(run["id"])
        late = (run["ended_at"] - run["due_at"]).total_seconds()
        if late - run["seconds"] > HELD_UP and not at:
            continue
        words = f"{run['label']} {run['ended_at']:%m-%d %H:%M} +{shown.duration(late)}"
        out.append(landing.Landing(f"{root}/r/{run['id']}", run["label"], run["state"], late, (at["at"] - run["due_at"]).total_seconds() if at else None, words))
    return out


def _landing_facts(landed: Sequence[landing.Landing]) -> Optional[Dict[str, Any]]:
    """`usual` and `most`: by when half of them and nineteen of twenty were done, in seconds after they were due."""
    lengths = sorted(each.seconds for each in landed if each.state == "success")
    bound = [each for each in landed if each.deadline is not None]
    if not lengths:
        return None
    return {"usual": median(lengths), "most": lengths[int(len(lengths) * 0.95)], "with_deadline": len(bound), "late": sum(each.late for each in bound)}


def _landing_picture(landed: Sequence[landing.Landing], runs: Sequence[Mapping[str, Any]], name: str) -> str:
    """Its heights are times of the day where all are due at one time, else lengths."""
    due = {f"{run['due_at']:%H:%M}" for run in runs}
    if not landed:
        return ""
    if len(due) > 1:
        return landing.landings(landed, lambda seconds: f"+{shown.duration(seconds)}", name)
    return landing.landings(landed, lambda seconds: f"{runs[0]['due_at'] + timedelta(seconds=seconds):%H:%M}", name)


# ----------------------------------------------------------------------------------------------------------- its file


def file_view(desk: Desk, store, now: datetime, args: Mapping[str, str], name: str) -> Dict[str, Any]:
    """`of`: which text, by hash, else the last good one; `against`: another one to compare it with."""
    row, known, file = store.pipelines.get(name), store.pages.definitions(name), next((file for file in desk.files() if file.name == name), None)
    hashes = [each["hash"] for each in known]
    faults = {each.line: each.message for each in file.problems if each.severity == "error" and each.file in ("", file.path, os.path.relpath(file.path))} if file else {}
    if file and faults and not args.get("of"):
        return _faulty_file(desk, file, faults, known, row)
    digest = args.get("of") or (row.definition if row else None) or (hashes[0] if hashes else None)
    kept = store.definition(digest) if digest else None
    if digest is None or kept is None or kept["pipeline"] != name:
        raise NotFound(f"there is no text of pipeline {name}" + (f" with the hash {digest[:12]}" if digest else ""), "")
    other = store.definition(args["against"]) if args.get("against") else None
    against = args["against"] if other and other["pipeline"] == name else None
    text = kept["text"]
    return {
        "place": "pipelines", "name": name, "path": kept["path"], "of": digest, "against": against, "current": row.definition if row else None,
        "versions": [{**each, "since": common.local(each["since"], ZoneInfo(desk.config.timezone))} for each in known], "text": text,
        "difference": _difference(other["text"], text) if against else None, "faults": {},
    }


def _faulty_file(desk: Desk, file, faults: Mapping[int, str], known, row: Optional[model.PipelineRow]) -> Dict[str, Any]:
    """The file itself, which nothing runs by: with its faults at their lines."""
    try:
        with open(file.path, encoding="utf-8", errors="replace") as opened:
            text = opened.read(MOST_TEXT)
    except OSError as error:
        text = str(error.strerror)
    return {
        "place": "pipelines", "name": file.name, "path": file.path, "of": None, "against": None, "current": row.definition if row else None,
        "versions": [{**each, "since": common.local(each["since"], ZoneInfo(desk.config.timezone))} for each in known], "text": text, "difference": None, "faults": dict(faults),
    }


def _difference(before: str, after: str) -> List[Dict[str, str]]:
    """Lines with their kind: `+`, `-`, `@` or nothing."""
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=4)
    lines = [line for number, line in enumerate(found) if number > 1]  # without the names of two files
    return [{"kind": line[:1].strip(), "text": line} for line in lines]
