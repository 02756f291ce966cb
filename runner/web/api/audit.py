"""What people did: who, from where, why, how it was before and after."""

from __future__ import annotations

from runner.web.api.ask import Ask
from runner.web.api.operation import listing, schemas
from runner.web.api.runs import number_of
from runner.web.api.shapes import moment, text, thing, whole

schemas(Audited=thing(
    "An act.", id=whole("Its number."), at=moment("When."), actor=text("Who."), source=text("From where: cli, page, api, token NAME."), act=text("What."),
    pipeline=text("Of which pipeline."), run=text("Of which run."), reason=text("Why."), before={"type": "object", "description": "How it was."},
    after={"type": "object", "description": "How it was then."},
))


@listing("/audit", "Audited", pipeline=text("Only of this one.", 300), actor=text("Only by this one.", 300))
def list_audit(ask: Ask):
    """Acts, the newest first."""
    limit = ask.query["limit"]
    found = ask.store.audit.rows(limit + 1, number_of(ask), ask.query.get("pipeline"), ask.query.get("actor"))
    part = found[:limit]
    return [each._asdict() for each in part], str(part[-1].id) if len(found) > limit else None
