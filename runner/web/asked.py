"""About the request that is being answered."""

from __future__ import annotations

import re

import flask

from runner.web.desk import Desk
from runner.web.edge import JSON


def desk() -> Desk:
    return flask.current_app.config["DESK"]


def wants_json() -> bool:
    """Whether a program asks: by `.json` behind the address, or by what it accepts."""
    return bool(flask.request.environ.get(JSON)) or flask.request.accept_mimetypes.best == "application/json"


def back_to(wished: str) -> str:
    """An address of this page to go back to, with its prefix; never another host's, however it is written."""
    good = re.fullmatch(r"/(?![/\\])[^\x00-\x20\x7f\\]*", wished)
    return flask.request.script_root + (wished.rstrip("?") if good else "/")
