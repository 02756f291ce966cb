"""Which address shows what. Each screen's JSON twin is the same address with `.json` behind it."""

from __future__ import annotations

import os
from typing import Any

import flask

from runner import logtail
from runner.web import language as languages
from runner.web.asked import back_to, desk, wants_json
from runner.web.show import screen
from runner.web.views import log as log_view
from runner.web.views import operations as operations_view
from runner.web.views import pipeline as pipeline_view
from runner.web.views import pipelines as pipelines_view
from runner.web.views import run as run_view
from runner.web.views import today as today_view
from runner.web.views import trail as trail_view

pages = flask.Blueprint("pages", __name__)
_LANGUAGE_DAYS = 400


@pages.route("/")
def today() -> Any:
    return screen("today.html", today_view.view, address=lambda name: flask.url_for("pages.run", name=name),
                  pipeline_address=lambda name: flask.url_for("pages.pipeline", name=name))


@pages.route("/pipelines")
def pipelines() -> Any:
    return screen("pipelines.html", pipelines_view.view)


@pages.route("/pipelines/<name>")
def pipeline(name: str) -> Any:
    return screen("pipeline.html", pipeline_view.view, name=name, words=flask.g.words, root=flask.request.script_root)


@pages.route("/pipelines/<name>/file")
def pipeline_file(name: str) -> Any:
    return screen("file.html", pipeline_view.file_view, name=name)


@pages.route("/r/<int:number>")
def run_by_number(number: int) -> Any:
    """A short address, for pages with thousands of runs."""
    row = desk().store().db.one("run_by_id", id=number)
    if row is None:
        flask.abort(404)
    return flask.redirect(flask.url_for("pages.run", name=row["name"]))


@pages.route("/r/<int:number>/<int:position>")
def log_by_number(number: int, position: int) -> Any:
    """The same for a step of a run, by its place in the file."""
    store = desk().store()
    row = store.db.one("run_by_id", id=number)
    steps = [step.step for step in store.step_runs(number) if step.item is None] if row else []
    if position >= len(steps):
        flask.abort(404)
    return flask.redirect(flask.url_for("pages.log", name=row["name"], step=steps[position]))


@pages.route("/runs/<name>")
def run(name: str) -> Any:
    return screen("run.html", run_view.view, name=name, address=lambda step: flask.url_for("pages.log", name=name, step=step))


@pages.route("/runs/<name>/steps/<step>")
def log(name: str, step: str) -> Any:
    return screen("log.html", log_view.view, keep=False, name=name, step=step)


@pages.route("/runs/<name>/steps/<step>/log.txt")
def log_file(name: str, step: str) -> Any:
    """The bytes as they were written; waitress sends them without a thread of ours, however slow the other end is."""
    attempt = log_view.find(desk().store(), name, step, flask.request.args)[2]
    path = logtail.place_of(os.path.join(attempt.folder, "log")) if attempt else ""
    if not os.path.exists(path):
        flask.abort(404)
    kind = "application/gzip" if path.endswith(".gz") else "text/plain"
    return flask.send_file(path, mimetype=kind, as_attachment=True, download_name=f"{name}.{step}.{attempt.number}.{os.path.basename(path)}", conditional=True, etag=False)


@pages.route("/operations")
def operations() -> Any:
    return screen("operations.html", operations_view.view)


@pages.route("/operations/trail")
def trail() -> Any:
    return screen("trail.html", trail_view.view)


@pages.route("/language/<code>")
def language(code: str) -> Any:
    """Choose a language, and go back to where one was."""
    response = flask.redirect(back_to(flask.request.args.get("back", "/")))
    if code in languages.LANGUAGES:
        response.set_cookie(
            "lang", code, max_age=_LANGUAGE_DAYS * 86400, httponly=True, samesite="Lax", secure=flask.request.is_secure, path=flask.request.script_root or "/")
    return response


@pages.route("/healthz")
def healthz() -> Any:
    """For a monitor: 200 when the daemon turns and may begin runs, else 503 and why. A dead daemon answers nothing."""
    found = desk().daemon()
    good = found["state"] == "good"
    if wants_json():
        return flask.jsonify(found), 200 if good else 503
    return flask.Response("ok\n" if good else found["words"] + "\n", 200 if good else 503, content_type="text/plain; charset=utf-8")
