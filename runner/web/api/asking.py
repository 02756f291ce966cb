"""One request, from what was sent to what is answered: who asks, how often, with what; ETag, If-Match, Idempotency-Key."""

from __future__ import annotations

import traceback
from typing import Any, Dict, Mapping
from urllib.parse import urlencode

import flask

from runner.errors import EnvironmentFault, RunnerError
from runner.web.api import acting, fields, problems
from runner.web.api.ask import Ask, caller, packed, tag_of
from runner.web.api.limits import Limits
from runner.web.api.operation import ROOT, Bytes, Operation
from runner.web.api.problems import Refused
from runner.web.asked import desk
from runner.web.desk import Desk
from runner.web.viewer import need

MOST_BODY = 64 * 1024


def answer(operation: Operation, limits: Limits, names: Mapping[str, Any]) -> flask.Response:
    """Whatever happens becomes an answer of the document."""
    own = desk()
    try:
        return _answered(own, operation, limits, names)
    except RunnerError as error:
        if isinstance(error, EnvironmentFault):
            own.drop()
        return problems.answer(error)
    except Exception as error:  # noqa: BLE001 - a program gets an answer, the daemon's log the details
        code, name = getattr(error, "code", None), getattr(error, "name", "")
        if isinstance(code, int) and 400 <= code < 500 and name:  # one of Flask's, which could not read the request
            return problems.answer(Refused("too-large" if code == 413 else "wrong-request", name.lower()))
        own.drop()
        own.say(f"a fault of the interface: {flask.request.method} {flask.request.path}: {error!r}\n{traceback.format_exc().rstrip()}")
        return problems.answer(Refused("fault", "this is a fault of runner itself", "the details are in daemon.log"))


def _answered(own: Desk, operation: Operation, limits: Limits, names: Mapping[str, Any]) -> flask.Response:
    request, viewer = flask.request, flask.g.viewer
    acts = operation.method != "GET"
    limits.take(caller(viewer), acts, own.clock.monotonic())
    need(operation.act, viewer.tags)  # the role; the tags are asked when the pipeline is known
    query = fields.from_query(operation.query, request.args)
    body = _body(operation) if acts else {}
    if not acts or query.get("dry_run"):
        store = own.store()
        ask = Ask(own, store, operation, names, query, body)
        with store.db.snapshot():
            found = acting.preview(ask) if acts else operation.function(ask, **names)
        return _read(operation, found)
    store = own.acting_store()
    try:
        reply = acting.act(Ask(own, store, operation, names, query, body))
    finally:
        store.close()
    response = flask.Response(reply.data, reply.status, content_type="application/json")
    if reply.location:
        response.headers["Location"] = request.script_root + ROOT + reply.location
    response.headers["Cache-Control"] = "no-store"
    return response


def _body(operation: Operation) -> Dict[str, Any]:
    request = flask.request
    if (request.content_length or 0) > MOST_BODY:
        raise Refused("too-large", f"{request.content_length} bytes were sent, at most {MOST_BODY} are taken")
    raw = request.get_data(cache=False)
    if len(raw) > MOST_BODY:
        raise Refused("too-large", f"{len(raw)} bytes were sent, at most {MOST_BODY} are taken")
    if raw and request.mimetype != "application/json":
        raise Refused("wrong-content-type", f"the body is {request.mimetype or 'of no type'}", "send the header Content-Type: application/json")
    return fields.from_body(operation.body or {}, raw)


# ------------------------------------------------------------------------------------------------------------- reading


def _read(operation: Operation, found: Any) -> flask.Response:
    if isinstance(found, Bytes):
        return found.response
    following = ""
    if isinstance(found, tuple):  # (rows, cursor): a part of a list
        rows, cursor = found
        if cursor is not None:
            words = {**flask.request.args.to_dict(), "cursor": cursor}
            following = f"{flask.request.script_root}{flask.request.path}?{urlencode(words)}"
        found = {"items": list(rows), "next": following or None}
    data = packed(found)
    response = flask.Response(content_type="application/json")
    if operation.method == "GET":
        tag = tag_of(data)
        response.set_etag(tag)
        if flask.request.if_none_match.contains_weak(tag):
            response.status_code = 304
            return response
    if following:
        response.headers["Link"] = f'<{following}>; rel="next"'
    response.set_data(data)
    return response
