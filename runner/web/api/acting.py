"""An act, asked for by a program: seen beforehand, or done once however often the same key asks for it."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

import flask

from runner import acts
from runner.errors import Conflict, RunnerError
from runner.web.api.ask import Ask, Reply, caller, packed, tag_of
from runner.web.api.operation import OPERATIONS, Made, schemas
from runner.web.api.problems import Refused
from runner.web.api.shapes import anything, many, maybe, moment, names, table, text, thing, whole
from runner.web.views.common import tags_of

LONGEST_KEY = 200
MOST_COMMANDS = 100  # steps of which a preview shows what they execute

schemas(
    Preview=thing(
        "What an act would do. Nothing of it has happened.", act=text("The act."), pipeline=text("Of which pipeline."), commands=names("The command lines that do the same."),
        runs=many(thing(
            "A run that it is about.", name=text("Its name."), ds=text("Its date."), due_at=moment("When it is due."), was=text("How it stands; empty: there is none yet."),
            becomes=text("How it would stand."), of=whole("Steps that it has."),
            steps=many(thing("A step that it is about.", id=text("Its name."), was=text("How it stands."), becomes=text("How it would stand.")), "Those that change."),
        ), "The runs."),
        steps=many({"type": "object", "description": "What a step of the first run would execute, as `runner plan --json` gives it."}, "In the order of their start."),
        params=table(anything("A value."), "The parameters."), left=whole("Dates that are left alone, since they have a run."), changes=names("What is different in the file since the run."),
        warnings=names("What one should know."), refusal=maybe(thing("Why it cannot be done.", detail=text("Why."), hint=text("What to do instead."))),
        before={"type": "object", "description": "Of a switch: how it stands."}, after={"type": "object", "description": "Of a switch: how it would stand."},
    ),
)


class Doing(NamedTuple):
    """What an operation answers that acts: one of `acts.ACTS`, and how its outcome is told."""

    asked: Any
    told: Callable[[Any, Any], Any]  # (what was ready, outcome) -> data, or Made
    otherwise: Optional[Callable[[Any, Conflict], Any]] = None  # the same of one that was refused, or the refusal again


def words_of(params: Mapping[str, Any]) -> Tuple[str, ...]:
    """Parameters as words of a command line; text as it is, the rest as JSON."""
    return tuple(f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}" for name, value in params.items())


def _ready(ask: Ask, doing: Doing) -> Any:
    """Checked against the file and the rows; and whether this one may act on this pipeline."""
    ready = doing.asked.ready(ask.desk, ask.store)
    spec = getattr(ready, "spec", None)
    name = spec.name if spec is not None else getattr(ready, "pipeline", "") or getattr(ready, "name", "")
    ask.may(tags_of(ask.desk, ask.store, name))  # as the pipeline is now, not as an old run had it
    return ready


# ------------------------------------------------------------------------------------------------------------ beforehand


def preview(ask: Ask) -> Dict[str, Any]:
    _Key(ask)  # what the act itself would refuse
    found = _ready(ask, ask.operation.function(ask, **ask.names)).preview(ask.store, ask.reason, MOST_COMMANDS)
    return {
        "act": found.act, "pipeline": found.pipeline, "commands": list(found.commands),
        "runs": [{"name": run.name, "ds": run.ds, "due_at": run.due_at, "was": run.was, "becomes": run.becomes, "of": run.of,
                  "steps": [step._asdict() for step in run.steps]} for run in found.runs],
        "steps": list(found.steps), "params": dict(found.params), "left": found.left, "changes": list(found.changes), "warnings": list(found.warnings),
        "refusal": {"detail": found.refusal[0], "hint": found.refusal[1]} if found.refusal[0] else None, "before": dict(found.before), "after": dict(found.after),
    }


# ----------------------------------------------------------------------------------------------------------------- doing


def act(ask: Ask) -> Reply:
    """The act, its key and what is answered are one transaction: who asks again with the key gets the same answer, and nothing more happens."""
    key = _Key(ask)
    before = key.answered()
    if before is not None:
        return before
    try:
        doing = ask.operation.function(ask, **ask.names)
        ready = _ready(ask, doing)
        with ask.store.transaction():
            before = key.answered()  # another request with it may have been quicker
            if before is None:
                _check_unchanged(ask)
                reply = _done(ask, doing, ready)
                key.keep(reply)
    except RunnerError:
        before = key.answered()
        if before is None:
            raise
    if before is not None:
        return before
    if hasattr(ready, "ring"):
        ready.ring(ask.store)
    acts.ring(ask.desk)
    return reply


def _done(ask: Ask, doing: Doing, ready: Any) -> Reply:
    who = acts.Who(ask.viewer.name or ask.viewer.source, ask.viewer.source, ask.reason)
    try:
        found = doing.told(ready, ready.do(ask.store, who))
    except Conflict as conflict:
        if doing.otherwise is None:
            raise
        found = doing.otherwise(ready, conflict)
    fresh, location = True, ""
    if isinstance(found, Made):
        found, fresh, location = found
    return Reply(201 if ask.operation.made and fresh else 200, packed(found), location)


class _Key:
    """The Idempotency-Key of a request, and what was answered to it before."""

    def __init__(self, ask: Ask):
        self._ask, self._key = ask, flask.request.headers.get("Idempotency-Key", "")
        if len(self._key) > LONGEST_KEY or not self._key.isprintable():
            raise Refused("wrong-request", f"Idempotency-Key: at most {LONGEST_KEY} characters that can be printed")
        self._asked = hashlib.sha256(packed([ask.operation.name, ask.names, ask.query, ask.body])).hexdigest()

    def answered(self) -> Optional[Reply]:
        found = self._ask.store.answers.get(caller(self._ask.viewer), self._key) if self._key else None
        if found is None:
            return None
        if found.asked != self._asked:
            raise Refused("other-request", f"Idempotency-Key {self._key} was sent before, with another request", "take a new key for each new request")
        return Reply(found.status, found.body.encode(), found.location)

    def keep(self, reply: Reply) -> None:
        if self._key:
            self._ask.store.answers.keep(
                caller(self._ask.viewer), self._key, self._asked, reply.status, reply.data.decode(), reply.location, self._ask.now)


def _check_unchanged(ask: Ask) -> None:
    """If-Match holds the ETag that the thing itself had when it was read."""
    wanted = flask.request.if_match
    if not wanted or not ask.operation.guarded:
        return
    thing_ = ask.operation.path.rpartition("/")[0]
    reading = next(each for each in OPERATIONS if each.method == "GET" and each.path == thing_)
    found = reading.function(Ask(ask.desk, ask.store, reading, ask.names, {}, {}), **ask.names)
    if not (wanted.star_tag or wanted.contains(tag_of(packed(found)))):
        raise Refused("changed", f"{flask.request.path.rpartition('/')[0]} is no longer as it was when its ETag was read", "read it again, look, and send the new ETag")
