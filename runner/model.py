"""The nouns: what a pipeline file says (spec), what happened (rows), and the states between which rows move.

Everything here is frozen data. Spec comes from YAML (`runner.spec`), rows from the store (`runner.store`).
Moments are aware datetimes, durations are seconds as float, paths are text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Mapping, Optional, Sequence, Tuple

# ----------------------------------------------------------------------------------------------------------- states

RUN_STATES = ("queued", "running", "success", "failed", "killed", "missed")
RUN_TERMINAL = frozenset({"success", "failed", "killed", "missed"})

STEP_STATES = ("pending", "running", "retry_wait", "success", "failed", "skipped", "upstream_failed", "killed")
STEP_TERMINAL = frozenset({"success", "failed", "skipped", "upstream_failed", "killed"})

# An attempt is "running" from the commit that decides it; whether its process lives is read from its folder.
ATTEMPT_TERMINAL = frozenset({"success", "failed", "skipped", "killed", "lost"})

# Which state may follow which; the store refuses every other move. A rerun takes a finished step back to pending.
RUN_MOVES = {
    "queued": {"running", "killed", "missed"},
    "running": {"success", "failed", "killed"},
    "success": {"queued", "failed"},
    "failed": {"queued", "success"},
    "killed": {"queued", "success", "failed"},
    "missed": {"queued"},
}
STEP_MOVES = {
    "pending": {"running", "success", "failed", "skipped", "upstream_failed", "killed"},
    "running": {"retry_wait", "success", "failed", "skipped", "killed"},
    "retry_wait": {"running", "success", "failed", "skipped", "killed", "pending"},
    "success": {"pending", "failed", "skipped"},
    "failed": {"pending", "success", "skipped"},
    "skipped": {"pending", "success", "failed"},
    "upstream_failed": {"pending", "success", "failed", "skipped"},
    "killed": {"pending", "success", "failed", "skipped"},
}
ATTEMPT_MOVES = {
    "running": {"success", "failed", "skipped", "killed", "lost"},
}

TRIGGER_RULES = (
    "all_success",
    "all_done",
    "all_failed",
    "one_success",
    "one_failed",
    "none_failed",
    "none_failed_min_one_success",
    "none_skipped",
    "always",
)

FORCE = "!"  # before the name of who stops a run for the second time: teardowns are ended too

# ------------------------------------------------------------------------------------------------------------- spec


@dataclass(frozen=True)
class Mark:
    """A place in a file; line and column count from 1, columns in characters."""

    line: int
    column: int
    file: str = ""  # the part that wrote it, absolute; "" for the pipeline's own file


@dataclass(frozen=True)
class Problem:
    """One fault in a user's file. `message` says what is wrong, `hint` what to write instead."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    severity: str = "error"  # error | warning
    where: str = ""  # path inside the document, such as steps[2].bash
    source: str = ""  # the line itself, for the caret

    def sort_key(self):
        return (self.file, self.line, self.column, self.message)


@dataclass(frozen=True)
class Schedule:
    """When a pipeline is due. `text` is what the user wrote; exactly one of cron, every, once tells its kind."""

    text: str
    timezone: str
    cron: Optional[str] = None  # five fields, presets already expanded
    every: Optional[Tuple[int, str]] = None  # (amount, unit of m h d w mo)
    once: bool = False
    start: Optional[datetime] = None  # first moment that may be due, aware
    end: Optional[datetime] = None  # last moment that may be due, aware


@dataclass(frozen=True)
class Param:
    name: str
    type: str = "string"  # string integer number boolean date list object
    default: Any = None
    required: bool = False  # no default was given
    enum: Optional[Tuple[Any, ...]] = None
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    pattern: Optional[str] = None
    description: str = ""


def variable_of(param: str) -> str:
    """RUNNER_PARAM_REGION for region, RUNNER_PARAM_지역 for 지역: the same where it is read and where a step gets it, so no two become one."""
    return "RUNNER_PARAM_" + re.sub(r"\W", "_", param).upper()


@dataclass(frozen=True)
class Retry:
    """How often and when a failed step runs again. n-th wait = min(max_delay, delay * backoff**(n-1)) +- jitter."""

    limit: int = 0  # further attempts after the first
    delay: float = 300.0  # seconds; Airflow's default
    backoff: float = 1.0
    max_delay: float = 3600.0
    jitter: float = 0.0  # a share: 0.1 is 10 %
    on_exit: Optional[Tuple[int, ...]] = None  # only these exit codes
    not_on_exit: Tuple[int, ...] = ()


EVENTS = ("failure", "success", "retry", "late")  # what somebody may want to be told of: on_failure ...


@dataclass(frozen=True)
class Tell:
    """Who is told of an event: channels of the site by name, and a small script. Both empty: nobody, and that was said."""

    channels: Tuple[str, ...] = ()
    bash: str = ""


@dataclass(frozen=True)
class Deadline:
    """When it must be done: a wall time in the pipeline's zone, the first one after the run is due, or seconds after that."""

    text: str
    time: Optional[Tuple[int, int]] = None
    after: Optional[float] = None


@dataclass(frozen=True)
class Step:
    id: str
    kind: str  # the key that holds the body: bash, python, ...
    body: Mapping[str, Any]  # normalised by the kind's module: always a mapping
    needs: Tuple[str, ...] = ()
    when: Optional[str] = None  # the expression, without << >>
    trigger_rule: str = "all_success"
    retry: Retry = field(default_factory=Retry)
    timeout: Optional[float] = None  # seconds, from the attempt's start
    kill_grace: float = 30.0  # seconds between TERM and KILL
    allow_failure: bool = False
    skip_exit: Optional[int] = 99
    on_lost: str = "retry"  # retry | fail
    env: Mapping[str, str] = field(default_factory=dict)
    inherit_env: Any = True  # True, False, or names to let through
    cwd: Optional[str] = None
    kerberos: Any = None  # {"principal", "keytab"}; False: none; None: as the site's settings say
    template: bool = True
    priority_weight: int = 1
    pool: Optional[str] = None  # a name of the setting `pools`
    pool_slots: int = 1
    tell: Mapping[str, Tell] = field(default_factory=dict)  # event -> who is told of it
    deadline: Optional[Deadline] = None
    foreach: Any = None  # a list, an expression as text, or {"from": .., "to": .., "every": ..}: one mapped step for each item
    max_parallel: Optional[int] = None  # mapped steps at once
    branch: bool = False  # of its direct followers only those that it names go on
    teardown: Tuple[str, ...] = ()  # the steps whose work it takes away again
    slotless: bool = False  # it needs no slot: it waits for something, or is done at once
    item: Any = None  # of a mapped step
    index: Optional[int] = None  # of a mapped step, from 0
    description: str = ""
    line: int = 0  # of the step in its file
    file: str = ""  # the part that wrote it, absolute; "" for the pipeline's own file
    folder: str = ""  # where relative paths of its body start; "" for the pipeline's folder


def mapped_id(parent: str, index: int) -> str:
    """load[3]: the fourth of the steps that `foreach` makes of load."""
    return f"{parent}[{index}]"


def parent_of(step_id: str) -> str:
    """The step of the file that a mapped one was made from; another id comes back as it is."""
    return step_id.partition("[")[0]


def asks_item(step: Step) -> bool:
    """Whether its condition is about the item: then it is asked of each mapped step, else once of the step itself."""
    return step.when is not None and re.search(r"\bitem(_index)?\b", step.when) is not None


def mapped(step: Step, index: int, item: Any) -> Step:
    """One of the steps that `foreach` makes. What it needs has ended already."""
    when = step.when if asks_item(step) else None
    return replace(step, id=mapped_id(step.id, index), foreach=None, needs=(), when=when, teardown=(), item=item, index=index)


@dataclass(frozen=True)
class Pipeline:
    name: str
    path: str  # absolute; "" when the text did not come from a file
    text: str  # the file as it was read: a run keeps it
    steps: Tuple[Step, ...]
    timezone: str
    schedule: Optional[Schedule] = None
    logical_date: str = "due"  # due | interval_start
    description: str = ""
    doc_md: str = ""
    owner: str = ""
    tags: Tuple[str, ...] = ()
    catchup: str = "last"  # last | all | none
    catchup_limit: Optional[int] = None
    max_active_runs: int = 1
    max_active_steps: Optional[int] = None
    depends_on_past: bool = False
    past_key: str = "depends_on_past"  # as the file has it: or Airflow's wait_for_downstream
    weight_rule: str = "absolute"  # absolute | downstream | upstream
    timeout: Optional[float] = None  # seconds for a whole run
    tell: Mapping[str, Tell] = field(default_factory=dict)  # event -> who is told of it
    deadline: Optional[Deadline] = None
    params: Mapping[str, Param] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    warnings: Tuple[Problem, ...] = ()

    def step(self, step_id: str) -> Step:
        """The step of that id, for a mapped one (`load[3]`) the step that it is made from; KeyError when there is none."""
        index = self.__dict__.get("_index")
        if index is None:
            index = {step.id: step for step in self.steps}
            object.__setattr__(self, "_index", index)
        found = index.get(step_id)
        return index[parent_of(step_id)] if found is None else found

    @property
    def folder(self) -> str:
        """Where the file lies: relative paths and `./x.sh` start here."""
        return self.path.rpartition("/")[0] or "/"


# ------------------------------------------------------------------------------------------------------------- date


@dataclass(frozen=True)
class LogicalDate:
    """The date of one run, fixed when the run is made. All moments are aware and in the pipeline's zone."""

    due: datetime  # the instant the run is due: its identity
    logical: datetime  # what ds and ts are made of
    interval_start: datetime
    interval_end: datetime
    timezone: str


# ------------------------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True)
class Run:
    id: int
    name: str  # mart@2026-11-20, hourly@2026-11-20T03:00, mart@2026-11-20#2
    pipeline: str
    number: int  # 0 for the first run of a date; shown as #2 when 1
    definition: str  # content hash, see Store.definition
    date: LogicalDate
    trigger: str  # manual | schedule | catchup | backfill
    params: Mapping[str, Any]
    state: str
    reason: str
    created_at: datetime
    started_at: Optional[datetime]
    ended_at: Optional[datetime]
    engine: Optional[str]  # the process that works on it, see store/ownership
    stop_requested: Optional[str]  # who asked
    only: Optional[Tuple[str, ...]] = None  # steps chosen by --only
    lane: int = 0  # 1: of a backfill, which gives way to the others
    backfill: Optional[int] = None
    parent: Optional[int] = None  # the run whose step made it


@dataclass(frozen=True)
class StepRun:
    run_id: int
    step: str
    state: str
    reason: str
    tries: int  # attempts made since the last reset
    retry_at: Optional[datetime]
    outputs: Mapping[str, Any]
    started_at: Optional[datetime]
    ended_at: Optional[datetime]
    item: Any = None  # of a mapped step


@dataclass(frozen=True)
class Attempt:
    run_id: int
    step: str
    number: int  # 1, 2, ... over the life of the run, reruns included
    state: str
    reason: str
    exit_code: Optional[int]
    folder: str  # absolute
    deadline_at: Optional[datetime]
    kill_at: Optional[datetime]  # TERM has been sent; KILL follows then
    started_at: datetime
    ended_at: Optional[datetime]
    boot: str = ""  # which start of the machine it was written under; "" by an older runner


@dataclass(frozen=True)
class PipelineRow:
    """What is known of a pipeline beside its file; the row outlives the file."""

    name: str
    path: str
    definition: Optional[str]  # hash of the last good text
    problem: str  # the first fault of the file as it is now
    schedule_key: str
    first_seen: datetime
    cursor: Optional[datetime]  # due times up to here have been dealt with
    next_due: Optional[datetime]
    broken: str  # why its schedule cannot be worked out
    paused_by: Optional[str]
    paused_at: Optional[datetime]  # when it was paused, or when it was let go again
    pause_reason: str
    gone_at: Optional[datetime]


@dataclass(frozen=True)
class Backfill:
    """Runs of a span of dates, made at once."""

    id: int
    pipeline: str
    from_ds: str
    to_ds: str
    parallel: int
    actor: str
    created_at: datetime


@dataclass(frozen=True)
class Job:
    """A finished work order for one attempt: all an executor needs, no template left, JSON-able."""

    argv: Tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    folder: str  # of the attempt: script, log, start, rc, output
    attendant: Mapping[str, Any] = field(default_factory=dict)  # what runner/attendant.py does for it: names of secrets, a ticket
    files: Mapping[str, str] = field(default_factory=dict)  # name -> text, written into folder before the start
    probe: Optional[Mapping[str, Any]] = None  # instead of a process: what is looked at until it is there
    gate: bool = False  # bash and the file `script`: it may be started before it may begin, and waits behind gate.sh


@dataclass(frozen=True)
class Command:
    """What a step kind asks for: words, files for the attempt's folder, variables. No words: nothing to run, or a probe.

    In the variable PATH, `$PATH` stands for the one that the step has.
    """

    argv: Sequence[str]
    files: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    probe: Optional[Mapping[str, Any]] = None
    gate: bool = False  # the words are bash, without options of its own, and the file `script`
