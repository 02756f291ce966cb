"""What went wrong, as application/problem+json (RFC 9457): `type` for programs, `detail` and `hint` for who reads their log."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping, NamedTuple, Tuple, Type

import flask

from runner import errors

URN = "urn:runner:problem:"


class Kind(NamedTuple):
    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "wrong-request": Kind(400, "What was sent cannot be understood"),
    "not-signed-in": Kind(401, "Nobody knows who asks"),
    "forbidden": Kind(403, "Who asks may not do this"),
    "not-found": Kind(404, "There is nothing of that name"),
    "wrong-method": Kind(405, "This address is not asked that way"),
    "conflict": Kind(409, "It stands otherwise"),
    "changed": Kind(412, "It has changed since it was read"),
    "too-large": Kind(413, "More was sent than is taken"),
    "wrong-content-type": Kind(415, "Only JSON is taken"),
    "faulty-file": Kind(422, "The pipeline's file has faults"),
    "other-request": Kind(422, "The key belongs to another request"),
    "too-often": Kind(429, "Asked too often"),
    "fault": Kind(500, "A fault of runner itself"),
    "unavailable": Kind(503, "The server is not fit for it now"),
}
_OF_ERROR: Tuple[Tuple[Type[errors.RunnerError], str], ...] = (
    (errors.NotFound, "not-found"), (errors.NotSignedIn, "not-signed-in"), (errors.Forbidden, "forbidden"), (errors.UsageError, "wrong-request"), (errors.InvalidPipeline, "faulty-file"),
    (errors.Conflict, "conflict"), (errors.StaleState, "conflict"), (errors.EnvironmentFault, "unavailable"),
)


class Refused(errors.RunnerError):
    """A refusal of the interface itself."""

    def __init__(self, kind: str, message: str, hint: str = "", **headers: str):
        super().__init__(message, hint)
        self.kind, self.headers = kind, {name.replace("_", "-"): value for name, value in headers.items()}


def kind_of(error: errors.RunnerError) -> str:
    if isinstance(error, Refused):
        return error.kind
    return next((kind for cls, kind in _OF_ERROR if isinstance(error, cls)), "fault")


def body_of(error: errors.RunnerError) -> Dict[str, Any]:
    """The answer to an error: what may stand in it besides is the run that is in the way, and each fault of a file."""
    kind = kind_of(error)
    status, title = KINDS[kind]
    out: Dict[str, Any] = {"type": URN + kind, "title": title, "status": status, "detail": error.message, "hint": error.hint}
    run = getattr(error, "run", None)
    if run is not None:
        out["run"] = run.name
    if isinstance(error, errors.InvalidPipeline):
        out["problems"] = [{"file": each.file, "line": each.line, "column": each.column, "message": each.message, "hint": each.hint, "severity": each.severity}
                           for each in error.problems]
    return out


def answer(error: errors.RunnerError) -> flask.Response:
    body = body_of(error)
    response = flask.Response(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), body["status"], content_type="application/problem+json")
    response.headers.extend(getattr(error, "headers", {}))
    if body["status"] == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="runner"'
    response.headers["Cache-Control"] = "no-store"
    return response
