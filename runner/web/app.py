"""The Flask application: what all pages share - language, headers, errors as pages, files with their hash in the address."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
import traceback
from functools import lru_cache
from typing import Any

import flask
import jinja2

from runner import __version__, shown
from runner.errors import Conflict, EnvironmentFault, Forbidden, InvalidPipeline, NotFound, NotSignedIn, RunnerError, UsageError
from runner.web import deeds, gate, language, markdown, metrics, pages, people, signin, write
from runner.web.api import addresses, problems
from runner.web.asked import desk, wants_json
from runner.web.desk import Desk
from runner.web.draw.ticks import ticks

_HERE = os.path.dirname(__file__)
_STATUS = ((NotFound, 404), (NotSignedIn, 401), (Forbidden, 403), (UsageError, 400), (Conflict, 409), (EnvironmentFault, 503), (InvalidPipeline, 422))
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def create_app(desk: Desk) -> flask.Flask:
    """The application of one home. It writes nothing by itself."""
    app = flask.Flask("runner.web", root_path=_HERE, static_folder=None)
    app.config["DESK"] = desk
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.jinja_env.undefined = jinja2.StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(duration=shown.duration, size=shown.size, markdown=markdown.html, linked=markdown.inline)
    app.jinja_env.globals.update(
        version=__version__, languages=language.LANGUAGES, sign=lambda state: shown.STATE_SIGNS.get(state, " "), static=static_address,
        ticks=ticks, elapsed=shown.elapsed, write=write, zip=zip,
    )
    app.jinja_env.globals["parts"] = app.jinja_env.get_template("parts.html").module
    app.config["DOOR"] = signin.Door()
    app.before_request(_begin)
    app.before_request(gate.enter)
    app.after_request(_end)
    app.context_processor(_shared)
    app.register_error_handler(RunnerError, _told)
    app.register_error_handler(Exception, _unexpected)
    app.add_url_rule("/static/<name>", "static_file", static_file)
    app.register_blueprint(signin.signin)
    app.register_blueprint(people.people)
    app.register_blueprint(pages.pages)
    app.register_blueprint(deeds.deeds)
    addresses.register(app)
    app.add_url_rule("/metrics", "metrics", metrics.answer)
    return app


def _begin() -> None:
    flask.g.words = language.Words(language.choose(flask.request.cookies.get("lang", ""), flask.request.headers.get("Accept-Language", "")))
    flask.g.now = desk().clock.now()
    flask.g.viewer = flask.g.session = None


def _shared() -> dict:
    """What every template knows."""
    return {"t": flask.g.words, "now": flask.g.now, "daemon": desk().daemon(), "root": flask.request.script_root, "person": Person()}


class Person:
    """Who asks, for templates. What is asked of `name` and `form_token` makes the page theirs alone: show.py keeps it for nobody else."""

    @property
    def name(self) -> str:
        flask.g.personal = True
        return flask.g.viewer.name if flask.g.viewer else ""

    @property
    def form_token(self) -> str:
        flask.g.personal = True
        return flask.g.viewer.token if flask.g.viewer else ""

    def may(self, act: str, tags: Any = ()) -> bool:
        return flask.g.viewer is not None and flask.g.viewer.may(act, tags)


def _end(response: flask.Response) -> flask.Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if flask.request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "private, no-cache"
    response.headers.add("Vary", "Accept, Accept-Encoding, Accept-Language, Cookie, X-Part")
    return response


# ------------------------------------------------------------------------------------------------------------- errors


def _told(error: RunnerError) -> Any:
    """One of ours: the message and what to do."""
    if flask.request.path.startswith("/api/"):
        return problems.answer(error)
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    if status == 503:
        desk().drop()
    return _error_page(status, error.message, error.hint)


def _unexpected(error: Exception) -> Any:
    """One of Flask's, such as a wrong address; or a fault of ours, which goes to the daemon's log and not to the browser."""
    code = getattr(error, "code", None)
    if isinstance(code, int) and 300 <= code < 600 and hasattr(error, "get_response"):
        if code < 400:
            return error
        if flask.request.path.startswith("/api/"):
            return addresses.nothing()
        return _error_page(code, flask.g.words("error.unknown_address", path=flask.request.path) if code == 404 else getattr(error, "name", str(code)), "")
    desk().drop()
    desk().say(f"a fault of the page: {flask.request.path}: {error!r}\n{traceback.format_exc().rstrip()}")
    return _error_page(500, flask.g.words("error.fault"), flask.g.words("error.fault_hint"))


def _error_page(status: int, message: str, hint: str) -> Any:
    if wants_json():
        body = {"type": "about:blank", "title": message, "status": status, "detail": hint}
        return flask.Response(json.dumps(body, ensure_ascii=False), status, content_type="application/problem+json")
    return flask.render_template("error.html", status=status, message=message, hint=hint), status


# ------------------------------------------------------------------------------------------------------- static files


@lru_cache(maxsize=None)
def _static(name: str):
    """(bytes, hash) of a file; None when there is none of that name."""
    if name not in os.listdir(os.path.join(_HERE, "static")):
        return None
    with open(os.path.join(_HERE, "static", name), "rb") as file:
        data = file.read()
    return data, hashlib.sha256(data).hexdigest()[:12]


def static_address(name: str) -> str:
    """With the hash of the content, so that a browser may keep it for ever."""
    return flask.url_for("static_file", name=name, h=_static(name)[1])


def static_file(name: str) -> Any:
    found = _static(name)
    if found is None:
        flask.abort(404)
    data, digest = found
    response = flask.Response(data, content_type=mimetypes.guess_type(name)[0] or "application/octet-stream")
    known = flask.request.args.get("h") == digest
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if known else "no-cache"
    response.set_etag(digest)
    return response.make_conditional(flask.request)
