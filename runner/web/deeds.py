"""Acting from the page: a form, what would happen, and doing it, each a page that works without script.

What is confirmed is what was shown: the preview's stamp comes back with it, and when the same would no longer happen the new
preview is shown instead. A confirmation carries a key of its own, kept with the act in one transaction: pressed twice, it is done once.
"""

from __future__ import annotations

import secrets
import shlex
from typing import Any, Dict, List, Optional, Sequence, Tuple

import flask

from runner import acts
from runner.errors import EnvironmentFault, InvalidPipeline, RunnerError
from runner.spec.report import brief_place
from runner.web import gate
from runner.web.asked import desk
from runner.web.forms import FORMS, Form, asked_of, fields_of
from runner.web.forms.subject import Given, Subject, Wrong
from runner.web.viewer import need
from runner.web.views.common import tags_of

deeds = flask.Blueprint("deeds", __name__)
COMMANDS = 50  # steps of which a preview shows what they execute
MOST_RUNS, MOST_STEPS = 200, 400  # that a preview names
OWN = (gate.FIELD, "go", "key", "stamp")  # fields that are not the form's


@deeds.route("/pipelines/<name>/act/<act>", methods=["GET", "POST"])
def of_pipeline(name: str, act: str) -> Any:
    return _page("pipeline", name, act)


@deeds.route("/runs/<name>/act/<act>", methods=["GET", "POST"])
def of_run(name: str, act: str) -> Any:
    return _page("run", name, act)


@deeds.route("/backfills/<int:number>/act/<act>", methods=["GET", "POST"])
def of_backfill(number: int, act: str) -> Any:
    return _page("backfill", str(number), act)


@deeds.route("/operations/reload", methods=["POST"])
def reload() -> Any:
    """At once: it changes nothing of what runs, and twice is no more than once."""
    own, viewer = desk(), need("reload")
    store = own.acting_store()
    try:
        ready = acts.Reload().ready(own, store)
        ready.do(store, acts.Who(viewer.name, viewer.source))
    finally:
        store.close()
    ready.ring(own.store())
    return flask.redirect(flask.url_for("pages.operations"), 303)


def _page(of: str, name: str, act: str) -> Any:
    form, own, posted = FORMS.get((of, act)), desk(), flask.request.method == "POST"
    if form is None:
        flask.abort(404)
    store, given = own.store(), Given(flask.request.form if posted else flask.request.args, posted)
    with store.db.snapshot():
        subject = Subject(own, store, of, name, flask.g.now)
        need(form.act, tags_of(own, store, subject.pipeline))
        if given.values.get("go") == "do":
            before = store.answers.get(_caller(), given.text("key"))
            if before is not None:  # pressed twice, or sent again
                return flask.redirect(before.location, 303)
        if not posted or given.values.get("go") == "change":
            return _form(form, subject, given)
        try:
            order = _Order(form, subject, given)
        except Wrong as wrong:
            return _form(form, subject, given, wrong.faults, 422)
        except EnvironmentFault:
            raise
        except RunnerError as error:
            return _form(form, subject, given, {"": _told(error)}, 409)
    if given.values.get("go") == "do" and not order.preview.refusal[0]:
        if order.preview.stamp == given.text("stamp"):
            return _do(form, subject, order, given)
        return _shown(form, subject, order, given, changed=True)
    return _shown(form, subject, order, given)


class _Order:
    """What is asked for, checked, and what it would do."""

    def __init__(self, form: Form, subject: Subject, given: Given):
        found, self.reason = asked_of(form, subject, given)
        self.ready: List[Any] = [asked.ready(subject.desk, subject.store) for asked in found]
        self.preview = acts.together([
            ready.preview(subject.store, self.reason, COMMANDS if n == 0 else 0) for n, ready in enumerate(self.ready)])

    @property
    def fixed(self) -> Dict[str, str]:
        """Fields that were left open and are now decided: the date of a run."""
        first = self.ready[0]
        return {"date": first.fixed.date} if hasattr(first, "fixed") else {}


def _do(form: Form, subject: Subject, order: _Order, given: Given) -> Any:
    own, key = subject.desk, given.text("key")
    who = acts.Who(flask.g.viewer.name, flask.g.viewer.source, order.reason)
    store = own.acting_store()
    try:
        with store.transaction():
            before = store.answers.get(_caller(), key)
            if before is None:
                done = [ready.do(store, who) for ready in order.ready]
                place = _place(form, subject, done)
                if key:
                    store.answers.keep(_caller(), key, order.preview.stamp, 303, "", place, flask.g.now)
        if before is not None:
            return flask.redirect(before.location, 303)
        for ready in order.ready:
            if hasattr(ready, "ring"):
                ready.ring(store)
    except EnvironmentFault:
        raise
    except RunnerError as error:
        before = store.answers.get(_caller(), key)
        if before is not None:
            return flask.redirect(before.location, 303)
        return _form(form, subject, given, {"": _told(error)}, 409)
    finally:
        store.close()
    acts.ring(own)
    return flask.redirect(place, 303)


def _caller() -> str:
    return f"{flask.g.viewer.source} {flask.g.viewer.name}"


def _place(form: Form, subject: Subject, done: Sequence[Any]) -> str:
    """Where one sees what came of it."""
    if subject.run is not None:
        return flask.url_for("pages.run", name=subject.run.name)
    if form.act in ("trigger", "rerun") and len(done) == 1:
        return flask.url_for("pages.run", name=done[0].name)
    return flask.url_for("pages.pipeline", name=subject.pipeline)


# ------------------------------------------------------------------------------------------------------------- the pages


def _form(form: Form, subject: Subject, given: Given, faults: Optional[Dict[str, str]] = None, status: int = 200) -> Any:
    faults = dict(faults or {})
    try:
        fields = fields_of(form, subject, given)
    except InvalidPipeline as error:
        fields, faults, status = [], {"": _told(error)}, 422
    return _answer("form.html", form, subject, status, fields=fields, faults=faults, first=next((each.name for each in fields if each.name in faults), ""),
                   left=[fault for name, fault in faults.items() if name not in {each.name for each in fields}])


def _shown(form: Form, subject: Subject, order: _Order, given: Given, changed: bool = False) -> Any:
    kept: List[Tuple[str, str]] = [(name, value) for name, value in given.values.items(multi=True) if name not in OWN and name not in order.fixed]
    return _answer(
        "preview.html", form, subject, 409 if changed or order.preview.refusal[0] else 200, preview=order.preview, kept=[*kept, *order.fixed.items()],
        key=secrets.token_urlsafe(18), changed=changed, MOST_RUNS=MOST_RUNS, MOST_STEPS=MOST_STEPS)


def _answer(template: str, form: Form, subject: Subject, status: int, **values: Any) -> Any:
    back = flask.url_for("pages.run", name=subject.run.name) if subject.run else flask.url_for("pages.pipeline", name=subject.pipeline)
    body = flask.render_template(template, place="pipelines", act=form.act, subject=subject, back=back, line=shlex.join, quote=shlex.quote, **values)
    return flask.Response(body, status, headers={"Cache-Control": "no-store"}, content_type="text/html; charset=utf-8")


def _told(error: RunnerError) -> str:
    """In one line, a faulty file with its first fault."""
    if isinstance(error, InvalidPipeline):
        first = error.problems[0]
        return f"{brief_place(first, first.file)}: {first.message}; {first.hint}"
    return f"{error.message}; {error.hint}" if error.hint else error.message
