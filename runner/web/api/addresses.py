"""Gives each operation its address. Whatever else is asked below /api is told so as a problem, too."""

from __future__ import annotations

from functools import partial
from typing import Any

import flask

from runner.web.api import alerts, audit, backfills, document, holds, logs, pipelines, pools, runs, site, steps, variables, waits  # noqa: F401
from runner.web.api import asking, problems
from runner.web.api.limits import Limits
from runner.web.api.operation import OPERATIONS, ROOT, methods_of

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def register(app: flask.Flask) -> None:
    """All of it, into the application of the page."""
    limits = Limits()
    app.config["LIMITS"] = limits
    for each in OPERATIONS:
        app.add_url_rule(each.rule, f"api.{each.name}", _view(partial(asking.answer, each, limits)), methods=[each.method], provide_automatic_options=False)
    for rule in (ROOT, "/api/", "/api/<path:rest>"):
        app.add_url_rule(rule, f"api.nothing:{rule}", nothing, methods=METHODS, provide_automatic_options=False, strict_slashes=False)


def _view(answer: Any) -> Any:
    return lambda **names: answer(names)


def nothing(**_: str) -> flask.Response:
    """No operation has this address, or none by this method."""
    path = flask.request.path
    known = methods_of(path[len(ROOT):]) if path.startswith(ROOT) else ()
    if known and flask.request.method not in (*known, "HEAD"):
        return problems.answer(problems.Refused(
            "wrong-method", f"{flask.request.method} {path}: this address takes {' and '.join(known)}", f"{ROOT}/openapi.json says what there is", Allow=", ".join(known)))
    return problems.answer(problems.Refused("not-found", f"there is nothing at {path}", f"{ROOT}/openapi.json says what there is"))
