"""What people were told, and whether it arrived."""

from __future__ import annotations

from runner.web.api.ask import Ask
from runner.web.api.operation import listing, schemas
from runner.web.api.runs import number_of
from runner.web.api.shapes import moment, number, one_of, text, thing, whole

schemas(Delivery=thing(
    "A message that was sent, or tried.", at=moment("When."), channel=text("To whom."), subject=text("What."), key=text("What makes it one message."), alerts=whole("How many alerts are in it."),
    outcome=one_of(("sent", "failed", "given_up"), "Whether it arrived."), detail=text("What the other end said."), seconds=number("How long it took."),
))


@listing("/alerts", "Delivery", channel=text("Only to this one.", 200))
def list_alerts(ask: Ask):
    """Messages, the newest first."""
    found = ask.store.alerts.deliveries_page(number_of(ask), ask.query["limit"] + 1, ask.query.get("channel"))
    part = found[: ask.query["limit"]]
    return [each._asdict() for _, each in part], str(part[-1][0]) if len(found) > len(part) else None
