"""Rows in and out, and the one `move()` through which every state changes.

A move is an UPDATE that names the state it expects, and a row in the journal, in the caller's transaction. When the
expected state is gone somebody else won, and `StaleState` undoes the whole transaction.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from datetime import datetime
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence
from zoneinfo import ZoneInfo

from runner import model
from runner.clock import from_text, to_text
from runner.errors import Conflict, NotFound, StaleState
from runner.store.accounts import Accounts
from runner.store.alerts import Alerts
from runner.store.answers import Answers
from runner.store.audit import Audit
from runner.store.db import Database
from runner.store.housekeeping import Housekeeping
from runner.store.pages import Pages
from runner.store.pipelines import Pipelines

_TABLES = {
    "run": ("runs", "id = :run_id", model.RUN_MOVES, model.RUN_TERMINAL),
    "step": ("step_runs", "run_id = :run_id AND step = :step", model.STEP_MOVES, model.STEP_TERMINAL),
    "attempt": (
        "attempts",
        "run_id = :run_id AND step = :step AND number = :number",
        model.ATTEMPT_MOVES,
        model.ATTEMPT_TERMINAL,
    ),
}
_COLUMNS = frozenset({"started_at", "ended_at", "retry_at", "tries", "outputs", "exit_code", "kill_at", "stop_requested", "engine"})


class Store:
    """The state of one RUNNER_HOME. One thread uses one Store."""

    def __init__(self, path: str, durability: str = "full", create: bool = True, timezone: str = "UTC"):
        """`timezone`: of the site, for the moments in what is told to people."""
        self.db = Database(path, durability, create)
        self._home = os.path.dirname(path)
        self.zone = ZoneInfo(timezone)
        self.pipelines = Pipelines(self.db, self.zone)
        self.housekeeping = Housekeeping(self.db)
        self.alerts = Alerts(self.db)
        self.pages = Pages(self.db)
        self.accounts = Accounts(self.db)
        self.audit = Audit(self.db)
        self.answers = Answers(self.db)
        self._move_texts: Dict[tuple, str] = {}

    def close(self) -> None:
        self.db.close()

    def transaction(self):
        """Everything in it is durable together or not at all."""
        return self.db.transaction()

    # ------------------------------------------------------------------------------------------------------- moves

    def move(
        self,
        kind: str,
        run_id: int,
        frm: str,
        to: str,
        at: datetime,
        *,
        step: Optional[str] = None,
        number: Optional[int] = None,
        reason: str = "",
        actor: str = "engine",
        ended: Optional[datetime] = None,
        **columns: Any,
    ) -> None:
        """Change one state and write the journal. Raises StaleState when the row is not in `frm`.

        `columns` are further values of the row, moments as datetime. `ended_at` is set here, as terminal says, to `ended` where
        that was before `at`; what had ended keeps its time when a person marks it.
        """
        table, key, moves, terminal = _TABLES[kind]
        if to not in moves.get(frm, ()):
            raise StaleState(f"{kind} {run_id}/{step or ''}: no way from {frm} to {to}")
        if not (frm in terminal and to in terminal):
            columns["ended_at"] = (ended or at) if to in terminal else None
        if kind == "step":
            columns.setdefault("retry_at", None)
        values = {name: _plain(value) for name, value in columns.items()}
        names = tuple(values)
        text = self._move_texts.get((kind, names))
        if text is None:
            assert _COLUMNS.issuperset(names), names
            sets = "".join(f", {name} = :{name}" for name in names)
            text = f"UPDATE {table} SET state = :to, reason = :reason{sets} WHERE {key} AND state = :frm"
            self._move_texts[kind, names] = text
        at_text = to_text(at)
        key_values = {"run_id": run_id, "frm": frm, "to": to, "reason": reason}
        if step is not None:
            key_values["step"] = step
        if number is not None:
            key_values["number"] = number
        values.update(key_values)
        if self.db.execute_text(text, values).rowcount != 1:
            raise StaleState(f"{kind} {run_id}/{step or ''}: is no longer {frm}")
        self._journal(at_text, kind, run_id, step, number, frm, to, reason, actor)

    def _journal(self, at, kind, run_id, step, number, frm, to, reason, actor) -> None:
        self.db.execute(
            "insert_transition", at=at, kind=kind, run_id=run_id, step=step, number=number, frm=frm, to=to,
            reason=reason, actor=actor,
        )

    # -------------------------------------------------------------------------------------------------------- runs

    def keep_definition(self, pipeline: model.Pipeline, at: datetime) -> str:
        """Store the text a run is made of; returns its hash."""
        digest = definition_hash(pipeline.name, pipeline.path, pipeline.text)
        self.db.execute(
            "insert_definition", hash=digest, pipeline=pipeline.name, path=pipeline.path, text=pipeline.text, at=to_text(at)
        )
        return digest

    def definition(self, digest: str) -> Mapping[str, str]:
        """The stored text: keys hash, pipeline, path, text."""
        return self.db.one("definition", hash=digest)

    def create_run(
        self,
        pipeline: model.Pipeline,
        date: model.LogicalDate,
        label: str,
        *,
        trigger: str,
        params: Mapping[str, Any],
        at: datetime,
        only: Optional[Sequence[str]] = None,
        new: bool = False,
        wide_label: Optional[str] = None,
        actor: str = "",
        engine: Optional[str] = None,
        state: str = "queued",
        reason: str = "",
        backfill: Optional[int] = None,
        place: int = 0,
        parent: Optional[int] = None,
    ) -> model.Run:
        """Make the run of one date, with a row for each step, in one transaction.

        At most one run for (pipeline, due instant); with `new` a further one gets the next number. Raises Conflict,
        with the run that is there as `.run`. `wide_label` is taken when the label belongs to another instant, which
        happens when a schedule was changed between the two. `engine` owns it from the start, so that no other takes it.
        `state` missed makes the record of a time that did not run. `place` orders the waiting runs of a backfill. `parent`: the run whose step makes this one.
        """
        with self.transaction():
            existing = self.runs_of(pipeline.name, date.due)
            if existing and not new:
                conflict = Conflict(f"run {existing[-1].name} exists ({existing[-1].state})")
                conflict.run = existing[-1]
                raise conflict
            number = existing[-1].number + 1 if existing else 0
            name = self._free_name(pipeline.name, [label, wide_label or label], number)
            run_id = self.db.one("next_run_id")["id"]
            at_text = to_text(at)
            digest, values = self.keep_definition(pipeline, at), _json(params)
            self.db.execute(
                "insert_run", id=run_id, name=name, pipeline=pipeline.name, due_at=to_text(date.due), number=number,
                logical_at=to_text(date.logical), interval_start=to_text(date.interval_start),
                interval_end=to_text(date.interval_end), timezone=date.timezone,
                definition=digest, trigger_kind=trigger, params=values,
                only_steps=_json(list(only)) if only else None, at=at_text, state=state, reason=reason,
                ended_at=at_text if state in model.RUN_TERMINAL else None, engine=engine, lane=0 if backfill is None else 1,
                place=place, backfill=backfill, parent=parent,
            )
            if state == "queued":  # a missed run gets its steps when somebody runs it after all
                self.db.execute_many(
                    "insert_step_run",
                    [{"run_id": run_id, "step": step.id, "position": i} for i, step in enumerate(pipeline.steps)],
                )
            self._journal(at_text, "run", run_id, None, None, None, state, reason or trigger, actor or trigger)
            return model.Run(
                id=run_id, name=name, pipeline=pipeline.name, number=number, definition=digest, date=date, trigger=trigger,
                params=json.loads(values), state=state, reason=reason, created_at=at, started_at=None,
                ended_at=at if state in model.RUN_TERMINAL else None, engine=engine, stop_requested=None,
                only=tuple(only) if only else None, lane=0 if backfill is None else 1, backfill=backfill, parent=parent,
            )

    def _free_name(self, pipeline: str, labels: Sequence[str], number: int) -> str:
        suffix = f"#{number + 1}" if number else ""
        for label in labels:
            name = f"{pipeline}@{label}{suffix}"
            if not self.db.one("name_taken", name=name):
                return name
        for extra in range(number + 2, 100000):
            name = f"{pipeline}@{labels[-1]}#{extra}"
            if not self.db.one("name_taken", name=name):
                return name
        raise Conflict(f"{pipeline}@{labels[0]}: no free name")

    def run_by_id(self, run_id: int) -> model.Run:
        return _run(self.db.one("run_by_id", id=run_id))

    def run(self, name: str) -> model.Run:
        """The run of that name; raises NotFound that names near ones."""
        row = self.db.one("run_by_name", name=name)
        if row is None:
            raise NotFound(f"there is no run {name}", self._near(name))
        return _run(row)

    def _near(self, name: str) -> str:
        import difflib

        pipeline = name.partition("@")[0]
        known = [row["name"] for row in self.db.all("name_like", pipeline=pipeline)]
        near = difflib.get_close_matches(name, known, 3, 0.6) or known[:3]
        if near:
            return "did you mean " + " or ".join(near) + "?"
        return "type: runner runs   to see which there are"

    def runs_of(self, pipeline: str, due: datetime) -> List[model.Run]:
        """The runs of one date, in order of number."""
        return [_run(row) for row in self.db.all("runs_of_due", pipeline=pipeline, due_at=to_text(due))]

    def runs_between(self, pipeline: str, begin: datetime, end: datetime) -> List[model.Run]:
        """The runs due in a span, begin included, in order of date and number."""
        return [_run(row) for row in self.db.all("runs_between", pipeline=pipeline, begin=to_text(begin), end=to_text(end))]

    def recent_runs(self, pipeline: Optional[str] = None, state: Optional[str] = None, limit: int = 20) -> List[model.Run]:
        """Newest first."""
        name = "recent_runs" + ("_of" if pipeline else "") + ("_in" if state else "")
        values = {"pipeline": pipeline, "state": state}
        return [_run(row) for row in self.db.all(name, limit=limit, **{key: value for key, value in values.items() if value})]

    def newest_begun(self, pipeline: Optional[str] = None) -> Optional[model.Run]:
        """The run made last of those that have begun; of all pipelines without one."""
        row = self.db.one("newest_begun", pipeline=pipeline)
        return _run(row) if row else None

    def runs_page(
        self, before: int, limit: int, pipeline: Optional[str] = None, state: Optional[str] = None,
        begin: Optional[datetime] = None, end: Optional[datetime] = None,
    ) -> List[model.Run]:
        """Newest first, made before the run of that number; due from `begin` until before `end`."""
        values = {"before": before, "limit": limit, "state": state, "begin": _plain(begin), "end": _plain(end)}
        rows = self.db.all("runs_page_of", pipeline=pipeline, **values) if pipeline else self.db.all("runs_page", **values)
        return [_run(row) for row in rows]

    def last_run_of(self, pipeline: str) -> Optional[model.Run]:
        """Of the latest ones that began, or were missed, the one that did so last; those that wait tell nothing yet."""
        row = self.db.one("last_run_of", pipeline=pipeline)
        return _run(row) if row else None

    def waiting_counts(self) -> Dict[str, int]:
        """Pipeline -> how many of its runs wait to begin."""
        return {row["pipeline"]: row["n"] for row in self.db.all("waiting_counts")}

    def run_before(self, run: model.Run) -> Optional[model.Run]:
        """The run of the date before, missed ones left aside."""
        row = self.db.one("run_before", pipeline=run.pipeline, due_at=to_text(run.date.due))
        return _run(row) if row else None

    def cause_before(self, run: model.Run) -> Optional[model.Run]:
        """Of the runs that wait before this one, date behind date, what they wait for: the nearest that has begun and is no
        success, else the first of them."""
        values = {"pipeline": run.pipeline, "due_at": to_text(run.date.due)}
        begun = self.db.one("begun_before", **values)
        if begun is None or begun["state"] == "success":
            begun = self.db.one("first_waiting_before", after=begun["due_at"] if begun else "", **values)
        return _run(begun) if begun else None

    def last_success_before(self, pipeline: str, due: datetime) -> Optional[model.Run]:
        row = self.db.one("last_success_before", pipeline=pipeline, due_at=to_text(due))
        return _run(row) if row else None

    def other_active_runs(self, run: model.Run) -> List[model.Run]:
        return [_run(row) for row in self.db.all("active_runs_of", pipeline=run.pipeline, id=run.id)]

    # --------------------------------------------------------------------------------------------------- waiting

    def waiting_pipelines(self) -> List[str]:
        return [row["pipeline"] for row in self.db.all("waiting_pipelines")]

    def waiting_runs(self, pipeline: str, now: datetime, limit: int) -> List[model.Run]:
        """Its queued runs that nobody works on and that are due, in the order in which they shall begin."""
        return [_run(row) for row in self.db.all("waiting_runs_of", pipeline=pipeline, now=to_text(now), limit=limit)]

    def join_backfill(self, run_id: int, backfill: int, place: int) -> None:
        """A run that was there already is repeated as part of a backfill."""
        self.db.execute("join_backfill", id=run_id, backfill=backfill, place=place)

    def next_future_run(self, now: datetime) -> Optional[datetime]:
        """When the nearest run that was made ahead of its time is due."""
        return _moment(self.db.one("next_future_run", now=to_text(now))["due_at"])

    def unfinished_of_others(self, engine: str) -> List[sqlite3.Row]:
        """id, engine, state of what another process works on or died over."""
        return self.db.all("unfinished_of_others", engine=engine)

    def open_counts(self) -> Dict[str, int]:
        """State -> number of runs that have not ended."""
        return {row["state"]: row["n"] for row in self.db.all("count_states")}

    def redefine(
        self, run: model.Run, pipeline: model.Pipeline, at: datetime, only: Optional[Sequence[str]] = None, params: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """A rerun takes today's file: keep its text, add rows of new steps, drop those that are gone and never ran. `params`: new ones."""
        digest = self.keep_definition(pipeline, at)
        if params is not None:
            self.db.execute("set_params", id=run.id, params=_json(params))
        self.db.execute("redefine_run", id=run.id, definition=digest, only_steps=_json(list(only)) if only else None)
        known = {row.step for row in self.step_runs(run.id)}
        wanted = [step.id for step in pipeline.steps]
        for gone in {name for name in known if model.parent_of(name) not in wanted}:
            self.db.execute("delete_step_run", run_id=run.id, step=gone)
        for position, step in enumerate(wanted):
            name = "place_step_run" if step in known else "insert_step_run"
            self.db.execute(name, run_id=run.id, step=step, position=position)

    def unmake(self, run_id: int, engine: str) -> bool:
        """Take back a run that its maker owns and that never began, as if it had not been made."""
        with self.transaction():
            return self.db.execute("delete_unbegun", id=run_id, engine=engine).rowcount == 1

    # --------------------------------------------------------------------------------------------------- ownership

    def claim(self, run_id: int, engine: str, expected: Optional[str]) -> bool:
        """Take a run for an engine; `expected` is the owner it may be taken from. False when another was faster."""
        return self.db.execute("claim_run", id=run_id, engine=engine, expected=expected or "").rowcount == 1

    def release(self, run_id: int, engine: str) -> None:
        self.db.execute("release_run", id=run_id, engine=engine)

    def request_stop(self, run_id: int, actor: str) -> bool:
        """Ask the owner to stop a run; False when it has ended."""
        return self.db.execute("request_stop", id=run_id, actor=actor).rowcount == 1

    def stop_requests(self, engine: str) -> Dict[int, str]:
        return {row["id"]: row["stop_requested"] for row in self.db.all("stop_requests", engine=engine)}

    # -------------------------------------------------------------------------------------------- steps, attempts

    def step_runs(self, run_id: int) -> List[model.StepRun]:
        """In the order of the file."""
        return [_step_run(row) for row in self.db.all("step_runs", run_id=run_id)]

    def step_counts(self, run_id: int) -> Dict[str, int]:
        return {row["state"]: row["n"] for row in self.db.all("step_counts", run_id=run_id)}

    def add_attempt(
        self, run_id: int, step: str, number: int, folder: str, at: datetime, deadline: Optional[datetime], boot: Optional[str] = None
    ) -> None:
        """The intent to start: committed before anything of the step can happen."""
        at_text = to_text(at)
        self.db.execute(
            "insert_attempt", run_id=run_id, step=step, number=number, folder=self._relative(folder), at=at_text,
            deadline_at=_plain(deadline), boot=boot,
        )
        self._journal(at_text, "attempt", run_id, step, number, None, "running", "", "engine")

    def add_mapped(self, run_id: int, parent: str, items: Sequence[Any]) -> None:
        """The steps that `foreach` makes of one: a row for each item."""
        self.db.execute_many("insert_mapped", [
            {"run_id": run_id, "parent": parent, "step": model.mapped_id(parent, i), "item": _json(item)} for i, item in enumerate(items)
        ])

    def drop_mapped(self, run_id: int, parent: str) -> None:
        """Forget them, since the step is expanded anew. Their attempts stay."""
        self.db.execute("delete_mapped", run_id=run_id, parent=parent)

    def note(self, run_id: int, step: str, number: int, reason: str) -> None:
        """What a running step is waiting for; no change of a state."""
        self.db.execute("note_step", run_id=run_id, step=step, reason=reason)
        self.db.execute("note_attempt", run_id=run_id, step=step, number=number, reason=reason)

    def _relative(self, folder: str) -> str:
        """A folder as it is kept: from the database's own, so that a home may be moved."""
        return folder[len(self._home) + 1 :] if folder.startswith(self._home + "/") else folder

    def _attempt(self, row: sqlite3.Row) -> model.Attempt:
        return _attempt(row, os.path.join(self._home, row["folder"]))

    def set_kill(self, run_id: int, step: str, number: int, kill_at: datetime, reason: str) -> None:
        """TERM is about to be sent; KILL follows at `kill_at`."""
        self.db.execute("set_kill", run_id=run_id, step=step, number=number, kill_at=to_text(kill_at), reason=reason)

    def attempts(self, run_id: int, step: Optional[str] = None) -> List[model.Attempt]:
        """Oldest first."""
        if step is None:
            return [self._attempt(row) for row in self.db.all("attempts", run_id=run_id)]
        return [self._attempt(row) for row in self.db.all("attempts_of_step", run_id=run_id, step=step)]

    def live_attempts(self, run_id: int) -> List[model.Attempt]:
        return [self._attempt(row) for row in self.db.all("live_attempts", run_id=run_id)]

    def running_steps(self) -> List[sqlite3.Row]:
        """name, definition, step of each attempt that goes on."""
        return self.db.all("running_steps")

    def attempt_numbers(self, run_id: int) -> Dict[str, int]:
        """Step -> highest attempt number so far."""
        return {row["step"]: row["number"] for row in self.db.all("attempt_numbers", run_id=run_id)}

    def transitions(self, run_id: int) -> List[sqlite3.Row]:
        return self.db.all("transitions", run_id=run_id)


def definition_hash(name: str, path: str, text: str) -> str:
    """The name under which a definition is kept."""
    return hashlib.sha256("\0".join((name, path, text)).encode("utf-8", "surrogatepass")).hexdigest()


# ------------------------------------------------------------------------------------------------------ rows to nouns


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_text(value)
    if isinstance(value, (dict, list)):
        return _json(value)
    return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _moment(text: Optional[str]) -> Optional[datetime]:
    return from_text(text) if text else None


def _run(row: sqlite3.Row) -> model.Run:
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(row["timezone"])
    return model.Run(
        id=row["id"], name=row["name"], pipeline=row["pipeline"], number=row["number"], definition=row["definition"],
        date=model.LogicalDate(
            due=from_text(row["due_at"]).astimezone(zone),
            logical=from_text(row["logical_at"]).astimezone(zone),
            interval_start=from_text(row["interval_start"]).astimezone(zone),
            interval_end=from_text(row["interval_end"]).astimezone(zone),
            timezone=row["timezone"],
        ),
        trigger=row["trigger_kind"], params=json.loads(row["params"]), state=row["state"], reason=row["reason"],
        created_at=from_text(row["created_at"]), started_at=_moment(row["started_at"]), ended_at=_moment(row["ended_at"]),
        engine=row["engine"], stop_requested=row["stop_requested"],
        only=tuple(json.loads(row["only_steps"])) if row["only_steps"] else None, lane=row["lane"], backfill=row["backfill"],
        parent=row["parent"],
    )


def _step_run(row: sqlite3.Row) -> model.StepRun:
    return model.StepRun(
        run_id=row["run_id"], step=row["step"], state=row["state"], reason=row["reason"], tries=row["tries"],
        retry_at=_moment(row["retry_at"]), outputs=json.loads(row["outputs"]) if row["outputs"] else {},
        started_at=_moment(row["started_at"]), ended_at=_moment(row["ended_at"]), item=json.loads(row["item"]) if row["item"] else None,
    )


def _attempt(row: sqlite3.Row, folder: str) -> model.Attempt:
    return model.Attempt(
        run_id=row["run_id"], step=row["step"], number=row["number"], state=row["state"], reason=row["reason"],
        exit_code=row["exit_code"], folder=folder, deadline_at=_moment(row["deadline_at"]),
        kill_at=_moment(row["kill_at"]), started_at=from_text(row["started_at"]), ended_at=_moment(row["ended_at"]),
        boot=row["boot"] or "",
    )


def outputs_of(steps: Iterable[model.StepRun]) -> Dict[str, Mapping[str, Any]]:
    """Step -> what it handed on: of the steps that succeeded, and of mapped ones of which some did."""
    return {step.step: step.outputs for step in steps if step.state == "success" or step.outputs}


def items_of(steps: Iterable[model.StepRun]) -> Dict[str, List[Any]]:
    """Step with `foreach` -> the items it was expanded to."""
    out: Dict[str, List[Any]] = {}
    for step in steps:
        if model.parent_of(step.step) != step.step:
            out.setdefault(model.parent_of(step.step), []).append(step.item)
    return out
