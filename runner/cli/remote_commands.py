"""Commands from afar: the same words and the same output, asked of a distant daemon. Each has the parameters of the command itself."""

from __future__ import annotations

import copy
from datetime import date as Day
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import click

from runner import model
from runner.acts import Stop, further
from runner.acts.coming import NO_OTHER
from runner.cli import daemon, finding, planning, reading, running, table, triggering
from runner.cli.app import App
from runner.cli.asking import need_yes
from runner.cli.finding import LATEST
from runner.cli.remote import Server, named
from runner.cli.remote_logs import show_logs
from runner.cli.waiting import say_given_up
from runner.errors import Conflict, EnvironmentFault, NotFound, UsageError

WAIT_SECONDS = 0.5
HERE = ("check", "schema", "completion")  # they ask no daemon
INSTEAD = {
    "run": "runner --server URL trigger PIPELINE --wait", "plan": "runner --server URL trigger PIPELINE, or on that server: runner plan PIPELINE",
    "service": "on that server: runner service install", "daemon": "on that server: runner daemon",
}


def from_afar(name: str, command: click.Command, url: str) -> click.Command:
    """The command as it is, but asked of the daemon at `url`."""
    if name in HERE:
        return command

    @click.pass_obj
    def callback(app: App, **params: Any) -> Any:
        if name not in COMMANDS:
            raise UsageError(f"runner {name} cannot be done from afar", "type: " + INSTEAD.get(name, f"ssh to that server, and there: runner {name}"))
        server = Server(url, app.environ, app.config.home, app.clock.sleep)
        if server.readable:
            app.say(f"  the token goes to {url} in clear: take https://, or a tunnel: ssh -L 8080:127.0.0.1:8080 HOST")
        try:
            return COMMANDS[name](app, server, **params)
        finally:
            server.close()

    out = copy.copy(command)
    out.callback = callback
    return out


# ------------------------------------------------------------------------------------------------------------- looking


def _find_run(server: Server, text: str) -> str:
    """As `finding.find_run` does it: by its name, or the newest of a pipeline, or of all."""
    if "@" in text:
        return text
    for query in ([{"pipeline": text}, {}] if text == LATEST else [{"pipeline": text}]):
        found = server.get("runs", limit=1, **query)["items"]
        if found:
            return found[0]["name"]
    if text != LATEST:
        server.get(f"pipelines/{named(text)}")  # which names near ones
    raise NotFound("nothing ran there yet" if text == LATEST else f"pipeline {text} never ran", f"type: runner trigger {'PIPELINE' if text == LATEST else text}")


def _find_open(server: Server, text: str) -> str:
    """As `finding.find_open` does it."""
    if "@" in text:
        return text
    pipeline = _scope(server, text)
    found = [run for state in ("running", "queued") for run in server.get("runs", pipeline=pipeline, state=state, limit=finding.SHOWN + 1)["items"]]
    if len(found) > 1:
        raise finding.several(pipeline, [(run["name"], run["state"]) for run in found])
    return found[0]["name"] if found else _find_run(server, text)


def _find_begun(server: Server, text: str) -> str:
    """As `finding.find_begun` does it."""
    if "@" in text:
        return text
    begun = (run["name"] for run in server.every("runs", pipeline=_scope(server, text), limit=1000) if run["started_at"])
    return next(begun, "") or _find_run(server, text)


def _scope(server: Server, text: str) -> Optional[str]:
    return None if text == LATEST and not server.get("runs", pipeline=LATEST, limit=1)["items"] else text


def _status(app: App, server: Server, run_name: str, as_json: bool) -> None:
    run = server.get(f"runs/{named(_find_run(server, run_name))}")

    def last_lines(step: str) -> Tuple[Optional[Mapping[str, Any]], List[str]]:
        address = f"runs/{named(run['name'])}/steps/{named(step)}"
        attempts = server.get(address)["attempts"]
        return (attempts[-1], server.get(f"{address}/log", lines=reading.LOG_LINES)["lines"]) if attempts else (None, [])

    reading.show_status(app, run, last_lines, as_json)


def _list(app: App, server: Server, as_json: bool) -> None:
    reading.show_list(app, list(server.every("pipelines", limit=1000)), server.get("site")["daemon"], as_json)


def _runs(app: App, server: Server, pipeline: Optional[str], state: Optional[str], count: int, as_json: bool) -> None:
    found: List[Any] = []
    for run in server.every("runs", pipeline=pipeline, state=state, limit=min(count, 1000)):
        found.append(run)
        if len(found) >= count:
            break
    if not found and not as_json:
        app.say(f"{pipeline + ' has' if pipeline else 'there is'} no {state + ' ' if state else ''}run")
        return
    waiting = any(run["state"] in ("queued", "running") for run in found) and not as_json
    waits = {each["run"]: each["why"] for each in server.get("waits", pipeline=pipeline, limit=1000)["items"] if not each["step"]} if waiting else {}
    reading.show_runs(app, found, waits, as_json)


def _show(app: App, server: Server, pipeline: str, merged: bool, as_json: bool) -> None:
    if merged:
        raise UsageError("--merged reads the files themselves", f"on that server: runner show {pipeline} --merged")
    found = server.get(f"pipelines/{named(pipeline)}")
    extra = ("paused_by", "pause_reason", "held", "problem")
    reading.show_pipeline(app, pipeline, {name: value for name, value in found.items() if name not in extra}, as_json)


def _next(app: App, server: Server, pipeline: str, count: int, after: Optional[str], as_json: bool) -> None:
    found = server.get(f"pipelines/{named(pipeline)}/next", count=count, after=after)["items"]
    schedule = None if found else server.get(f"pipelines/{named(pipeline)}")["schedule"]
    planning.show_times(app, pipeline, schedule, found, as_json)


def _health(app: App, server: Server, as_json: bool) -> int:
    """Of one that does not answer a monitor hears the same as of one that is dead."""
    try:
        found = server.get("health")
    except EnvironmentFault as error:
        app.out_json({"state": "CRITICAL", "findings": [{"level": "CRITICAL", "text": error.message}]}) if as_json else app.out(f"RUNNER CRITICAL - {error.message}")
        return 2
    return daemon.show_health(app, found, as_json)


def _logs(app: App, server: Server, run_name: str, **options: Any) -> None:
    show_logs(app, server, _find_run(server, run_name), **options)


# -------------------------------------------------------------------------------------------------------------- acting


def _params(words: Sequence[str]) -> Dict[str, str]:
    """As text: whoever knows the file gives them their types."""
    for word in words:
        if "=" not in word:
            raise UsageError(f"--param {word}: write name=value")
    return dict(word.split("=", 1) for word in words)


def _wait(app: App, server: Server, names: Sequence[str], as_json: bool) -> int:
    """Until these runs have ended; 0 when all succeeded."""
    left, results, bad = list(names), [], 0
    while left:
        for name in list(left):
            run = server.get(f"runs/{named(name)}")
            if run["state"] not in model.RUN_TERMINAL:
                continue
            left.remove(name)
            bad += run["state"] != "success"
            results.append(run)
            if not as_json:
                app.out(f"{name}  {table.state(run['state'])}" + (f"  ({run['reason']})" if run["reason"] else "") + (f"  {len(left)} left" if len(names) > 1 else ""))
        if left:
            app.clock.sleep(WAIT_SECONDS)
    if as_json:
        app.out_json(results[0] if len(names) == 1 else results)
    return 1 if bad else 0


def _given_up(server: Server, address: str, body: Mapping[str, Any]) -> List[str]:
    """What no schedule will make up for, of what the far one warns of."""
    return [line for line in server.post(address, body, dry_run=True).data["warnings"] if line.startswith(NO_OTHER)]


def _trigger(app: App, server: Server, pipeline: str, date: Optional[str], params, only, new: bool, wait: bool, reason: str, as_json: bool) -> int:
    body, address = {"date": date, "params": _params(params), "only": list(only), "new": new, "reason": reason}, f"pipelines/{named(pipeline)}/runs"
    given_up = _given_up(server, address, body) if only else []
    answer = server.post(address, body)
    run = answer.data
    if answer.status != 201:  # it was there: at a terminal one wants to know
        refusal = server.post(address, {**body, "date": body["date"] or run["ds"]}, dry_run=True).data["refusal"]
        raise Conflict(*(refusal["detail"], refusal["hint"]) if refusal else (f"run {run['name']} exists ({run['state']})", ""))
    if not as_json:
        app.out(f"{run['name']}  queued")
        later = f"; it begins {run['due_at']:%Y-%m-%d %H:%M %Z}" if run["due_at"] > app.clock.now() else ""
        app.say(f"  runner logs {run['name']} -f   watch it{later}")
    say_given_up(app, given_up)
    if wait:
        return _wait(app, server, [run["name"]], as_json)
    if as_json:
        app.out_json(run)
    return 0


def _rerun(app: App, server: Server, run_name: str, failed: bool, start, everything: bool, resume: bool, keep_definition: bool, dry_run: bool, here: bool, wait: bool, reason: str,
           as_json: bool, **foreground: Any) -> int:
    if resume or here or foreground.get("slots") or foreground.get("show_logs"):
        raise UsageError("--resume, --here, --slots and --logs are of a run in this process", "on that server; from afar: --failed, --from STEP or --all, and --wait")
    run = _find_begun(server, run_name)
    body = {"failed": failed, "from": list(start), "all": everything, "keep_definition": keep_definition, "reason": reason}
    preview = server.post(f"runs/{named(run)}/rerun", body, dry_run=True).data
    running.show_rerun(app, _as_object(preview), dry_run, as_json)
    if dry_run:
        return 0
    found = server.post(f"runs/{named(run)}/rerun", body).data
    if wait:
        return _wait(app, server, [run], as_json)
    if as_json:
        app.out_json(found)
    else:
        app.out(f"{run}  queued")
        app.say(f"  the daemon of {server.url} runs it: runner logs {run} -f")
    return 0


def _as_object(found: Any) -> Any:
    if isinstance(found, list):
        return [_as_object(each) for each in found]
    return SimpleNamespace(**{name: _as_object(value) for name, value in found.items()}) if isinstance(found, dict) else found


def _stop(app: App, server: Server, run_name: Optional[str], backfill: Optional[int], no_wait: bool, force: bool, reason: str, as_json: bool) -> int:
    Stop(run_name, backfill).check()
    body = {"force": force, "reason": reason}
    if backfill is not None:
        given_up = _given_up(server, f"backfills/{backfill}/stop", body)
        names = server.post(f"backfills/{backfill}/stop", body).data["stopped"]
        app.out_json({"backfill": backfill, "stopped": names}) if as_json else app.out(f"backfill {backfill}: {len(names)} runs stopped")
        say_given_up(app, given_up)
        return 0
    name = _find_open(server, str(run_name))
    given_up = _given_up(server, f"runs/{named(name)}/stop", body)
    run = server.post(f"runs/{named(name)}/stop", body).data
    if run["state"] not in model.RUN_TERMINAL:
        app.say(f"asked {run['worked_on_by'] or 'whoever takes it up'} to stop {name}")
    while not no_wait and run["state"] not in model.RUN_TERMINAL and run["worked_on_by"]:
        app.clock.sleep(WAIT_SECONDS)
        run = server.get(f"runs/{named(name)}")
    app.out_json(run) if as_json else app.out(f"{name}  {run['state']}")
    say_given_up(app, given_up)
    return 0


def _mark(app: App, server: Server, run_name: str, step: str, state: str, reason: str, as_json: bool) -> int:
    name = _find_begun(server, run_name)
    before = {each["id"]: each["state"] for each in server.get(f"runs/{named(name)}")["steps"]}
    run = server.post(f"runs/{named(name)}/mark", {"step": step, "state": state, "reason": reason}).data
    if as_json:
        app.out_json(run)
    else:
        running.say_marked(app, name, step, before.get(step, ""), state, run["state"])
    return 0


def _backfill(app: App, server: Server, pipeline: str, first: str, last: str, params, parallel: int, newest_first: bool, failed: bool, everything: bool, dry_run: bool, yes: bool,
              wait: bool, reason: str, as_json: bool) -> int:
    body = {"pipeline": pipeline, "first": first, "last": last, "params": _params(params), "parallel": parallel, "newest_first": newest_first, "failed": failed,
            "all": everything, "reason": reason}
    preview = server.post("backfills", body, dry_run=True).data
    dates = [SimpleNamespace(label=run["name"].partition("@")[2], date=SimpleNamespace(logical=Day.fromisoformat(run["ds"]), due=run["due_at"]),
                             existing=SimpleNamespace(state=run["was"]) if run["was"] else None) for run in sorted(preview["runs"], key=lambda run: run["due_at"])]
    triggering.show_dates(app, pipeline, dates, preview["left"], further(failed, everything), dry_run, as_json)
    if dry_run or not dates:
        return 0
    if not yes and not as_json:
        need_yes(f"run {pipeline} for {'this date' if len(dates) == 1 else f'these {len(dates)} dates'}?")
    found = server.post("backfills", body).data
    number = found["backfill"]["id"]
    if not as_json:
        many = len(found["runs"])
        app.out(f"backfill {number}: {'1 run waits' if many == 1 else f'{many} runs wait'}, {parallel} at a time")
        app.say(f"  runner runs {pipeline}   how far it is     runner stop --backfill {number}   ends it")
    if wait:
        return _wait(app, server, found["runs"], as_json)
    if as_json:
        app.out_json({"backfill": number, "runs": sorted(found["runs"])})
    return 0


def _switch(act: str, words: str, then: str) -> Callable[..., None]:
    def switch(app: App, server: Server, pipeline: str, reason: str, step: str = "") -> None:
        server.post(f"pipelines/{named(pipeline)}/{act}", {"step": step, "reason": reason})
        what = f"{pipeline} {step}".strip()
        app.out(f"{what}  {words}")
        if then:
            app.say("  " + then.format(what=what))

    return switch


COMMANDS: Dict[str, Callable[..., Any]] = {
    "list": _list, "status": _status, "runs": _runs, "show": _show, "next": _next, "health": _health, "logs": _logs, "trigger": _trigger, "rerun": _rerun, "stop": _stop,
    "mark": _mark, "backfill": _backfill, "pause": _switch("pause", "paused", "runner unpause {what}   lets its schedule go on"), "unpause": _switch("unpause", "goes on", ""),
    "hold": _switch("hold", "held", "runner release {what}   lets it go"), "release": _switch("release", "goes on", ""),
}
