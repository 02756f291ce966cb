"""Ending runs: one that waits leaves the queue, of one that runs its owner is asked to end it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, List, Optional, Sequence, Tuple

from runner import model, ownership
from runner.acts import coming
from runner.acts.preview import PlannedRun, PlannedStep, Preview
from runner.acts.who import Who, because, command, flag, option, record
from runner.errors import Conflict, NotFound, UsageError
from runner.store import Store

TAKEN, ENDED, ASKED, LEFT = "taken out", "ended by itself", "asked", "left by its process"


def take_out(store: Store, run: model.Run, *, at: datetime, who: str, why: str = "") -> bool:
    """End a waiting run that nobody works on; False when it has begun, ended, or has an owner."""
    why = why or f"stopped by {who}"
    with store.transaction():
        run = store.run_by_id(run.id)
        if run.state != "queued" or run.engine:
            return False
        for row in store.step_runs(run.id):
            if row.state == "pending":
                store.move("step", run.id, "pending", "killed", at, step=row.step, reason=why, actor=who)
        store.move("run", run.id, "queued", "killed", at, reason=why, actor=who)
    return True


@dataclass(frozen=True)
class Stop:
    """End a run, or all runs of a backfill that have not ended."""

    run: Optional[str] = None
    backfill: Optional[int] = None
    force: bool = False

    def words(self) -> List[str]:
        return ["stop", *([self.run] if self.run else []), *option("--backfill", self.backfill), *flag("--force", self.force)]

    def check(self) -> None:
        """Raises UsageError unless it is one of the two."""
        if self.run is not None and self.backfill is not None:
            raise UsageError(f"{self.run} and --backfill {self.backfill}: not both", "type: runner stop RUN   or: runner stop --backfill NUMBER")
        if self.run is None and self.backfill is None:
            raise UsageError("say which run", "type: runner stop RUN   or: runner stop --backfill NUMBER")

    def ready(self, app: Any, store: Store) -> "Stopping":
        """Raises Conflict for a run that has ended, NotFound for what is not there."""
        self.check()
        if self.backfill is None:
            run = store.run(str(self.run))
            if run.state in model.RUN_TERMINAL:
                raise Conflict(f"run {run.name} has ended already ({run.state})", f"type: runner status {run.name}")
            return Stopping(app, self, run.pipeline, (run,))
        found = store.pipelines.backfill(self.backfill)
        if found is None:
            known = ", ".join(str(each.id) for each in store.pipelines.backfills(5))
            raise NotFound(f"there is no backfill {self.backfill}", f"there are: {known}" if known else "type: runner backfill --help")
        return Stopping(app, self, found.pipeline, tuple(store.run_by_id(number) for number in store.pipelines.open_runs_of_backfill(self.backfill)))


@dataclass(frozen=True)
class Stopping:
    app: Any
    asked: Stop
    pipeline: str
    runs: Sequence[model.Run]

    def preview(self, store: Store, reason: str = "", commands: int = 0) -> Preview:
        warnings = []
        for run in self.runs:
            if run.stop_requested and not self.asked.force:
                warnings.append(f"{run.name} is being stopped already, by {run.stop_requested}; with force its teardown steps end too")
        warnings += self.given_up(store)
        nothing = f"backfill {self.asked.backfill} has ended already" if not self.runs else ""
        return Preview(
            "stop", self.pipeline, (command(self.asked.words(), reason),), warnings=tuple(warnings), refusal=(nothing, ""), loose=True,
            runs=tuple(PlannedRun(run.name, f"{run.date.logical:%Y-%m-%d}", run.date.due, run.state, "killed", _live(store, run), len(store.step_runs(run.id)))
                       for run in self.runs),
        )

    def given_up(self, store: Store) -> List[str]:
        """What no schedule will make up for."""
        return coming.given_up(self.app, store, self.runs)

    def do(self, store: Store, who: Who, asking: bool = True) -> List[Tuple[model.Run, str]]:
        """Each run with what came of it: TAKEN, ENDED, ASKED, or LEFT when no process works on it. `asking`: of such a one too a
        row asks whoever takes it up; else the caller ends it. Who is asked must then be rung: `ring`."""
        with store.transaction():
            return [(store.run_by_id(run.id), self._end(store, run, who, asking)) for run in self.runs]

    def _end(self, store: Store, run: model.Run, who: Who, asking: bool) -> str:
        now, run = self.app.clock.now(), store.run_by_id(run.id)
        before, alive = {"state": run.state}, ownership.is_alive(self.app.config.engines_folder, run.engine)
        if asking and run.state == "queued" and run.engine and not alive:  # it waits, and its process died: it leaves the queue
            store.release(run.id, run.engine)
        if take_out(store, run, at=now, who=who.name, why=because(f"stopped by {who.name}", who.reason)):
            record(store, who, "stop", now, pipeline=run.pipeline, run=run.name, before=before, after={"state": "killed"})
            return TAKEN
        if run.state in model.RUN_TERMINAL:  # it ended by itself in between
            return ENDED
        record(store, who, "stop", now, pipeline=run.pipeline, run=run.name, before=before, after={"stop": "asked", **({"force": True} if self.asked.force else {})})
        if alive or asking:
            store.request_stop(run.id, model.FORCE + who.told if self.asked.force else who.told)
        return ASKED if alive else LEFT

    def ring(self, store: Store) -> None:
        """Wake those who work on these runs; after the commit."""
        for owner in {store.run_by_id(run.id).engine for run in self.runs} - {None}:
            ownership.ring(self.app.config.engines_folder, str(owner))


def _live(store: Store, run: model.Run) -> Tuple[PlannedStep, ...]:
    """The steps whose processes are ended."""
    return tuple(PlannedStep(row.step, row.state, "killed") for row in store.step_runs(run.id) if row.state in ("running", "retry_wait"))
