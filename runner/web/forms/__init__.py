"""The form of each act: which fields it has, filled with what is known or was typed, and the act that they ask for.

One table, FORMS, says which act is asked for where. What is wrong with a field is said beside it, all at once, and nothing
that was typed is lost.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from runner.web.forms import making, repeating, setting
from runner.web.forms.subject import Field, Given, Subject, Wrong, stop_at

LONGEST_REASON = 500


class Form(NamedTuple):
    act: str
    fields: Callable[[Subject, Given], List[Field]]
    asked: Callable[[Subject, Given], List[Any]]  # acts of acts.ACTS; raises Wrong
    why: bool = False  # whether a reason has to be given


FORMS: Dict[Tuple[str, str], Form] = {
    ("pipeline", "trigger"): Form("trigger", making.trigger_fields, making.trigger),
    ("pipeline", "backfill"): Form("backfill", making.backfill_fields, making.backfill),
    ("pipeline", "rerun"): Form("rerun", repeating.grid_fields, repeating.grid),
    ("run", "rerun"): Form("rerun", repeating.rerun_fields, repeating.rerun),
    ("run", "stop"): Form("stop", setting.stop_fields, setting.stop, why=True),
    ("backfill", "stop"): Form("stop", setting.stop_fields, setting.stop, why=True),
    ("run", "mark"): Form("mark", setting.mark_fields, setting.mark, why=True),
    ("pipeline", "pause"): Form("pause", setting.no_fields, setting.pause, why=True),
    ("pipeline", "unpause"): Form("unpause", setting.no_fields, setting.unpause),
    ("pipeline", "hold"): Form("hold", setting.hold_fields, setting.hold, why=True),
    ("pipeline", "release"): Form("release", setting.release_fields, setting.release),
}


def fields_of(form: Form, subject: Subject, given: Given) -> List[Field]:
    """All of a form, with the reason as the last."""
    return [*form.fields(subject, given), Field("reason", "text", given.text("reason"), required=form.why, limits={"maxlength": str(LONGEST_REASON)})]


def asked_of(form: Form, subject: Subject, given: Given) -> Tuple[List[Any], str]:
    """The acts that are asked for, and why. Raises Wrong with every fault."""
    reason, faults = given.text("reason"), {}
    if form.why and not reason:
        faults["reason"] = "say why: it is kept, and shown to whoever wonders"
    if len(reason) > LONGEST_REASON:
        faults["reason"] = f"longer than {LONGEST_REASON} characters"
    try:
        found = form.asked(subject, given)
    except Wrong as wrong:
        raise Wrong({**wrong.faults, **faults}) from None
    stop_at(faults)
    return found, reason
