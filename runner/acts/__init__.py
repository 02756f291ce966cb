"""What a person may do: each act once, for the command line, the page and the interface alike.

An act is asked for by a word of ACTS: plain data, such as `Rerun("mart@2026-02-28", failed=True)`, with the command line that says
the same, `words()`. `ready(app, store)` checks it against files and rows; what comes of that has `preview(store)`, which
changes nothing, and `do(store, who)`, which does it in one transaction with its row of the audit trail.
"""

from __future__ import annotations

from typing import Any, Dict

from runner.actor import actor
from runner.acts.backfill import Backfill, further
from runner.acts.bell import ring
from runner.acts.coming import narrowed, not_by_itself
from runner.acts.holding import Hold, Pause, Release, Unpause
from runner.acts.making import Trigger, already, create_run, date_for, label_for, preview_run, revive
from runner.acts.marking import Mark, mark
from runner.acts.named import as_run_has_it, check_steps
from runner.acts.preview import PlannedRun, PlannedStep, Preview, together
from runner.acts.reloading import Reload, tell
from runner.acts.repeating import Rerun, definition_changes, reset
from runner.acts.stopping import Stop, take_out
from runner.acts.who import Who, command, record

ACTS: Dict[str, Any] = {
    "trigger": Trigger, "rerun": Rerun, "backfill": Backfill, "stop": Stop, "mark": Mark, "pause": Pause, "unpause": Unpause, "hold": Hold,
    "release": Release,
}
__all__ = [
    "ACTS", "Backfill", "Hold", "Mark", "Pause", "PlannedRun", "PlannedStep", "Preview", "Release", "Reload", "Rerun", "Stop", "Trigger", "Unpause", "Who",
    "actor", "already", "as_run_has_it", "check_steps", "command", "create_run", "date_for", "definition_changes", "further", "label_for", "mark", "narrowed",
    "not_by_itself", "preview_run", "record", "reset", "revive", "ring", "take_out", "tell", "together",
]
