"""What an operation is handed, and how what it gives becomes bytes."""

from __future__ import annotations

import difflib
import hashlib
import json
from datetime import datetime
from typing import Any, Dict, Mapping, NamedTuple, Sequence

import flask

from runner.errors import NotFound
from runner.web.api.operation import Operation
from runner.web.desk import Desk
from runner.web.viewer import Viewer, need


class Ask:
    """What an operation is handed."""

    def __init__(self, own: Desk, store: Any, operation: Operation, names: Mapping[str, Any], query: Dict[str, Any], body: Dict[str, Any]):
        self.desk, self.store, self.operation, self.names, self.query, self.body = own, store, operation, names, query, body
        self.viewer: Viewer = flask.g.viewer
        self.now: datetime = flask.g.now

    @property
    def reason(self) -> str:
        return self.body.get("reason", "")

    def known(self, pipeline: str) -> str:
        """The name of a pipeline, never a path. Raises NotFound that names near ones."""
        names = {file.name for file in self.desk.files()} | {row.name for row in self.store.pipelines.all() if not row.gone_at}
        if pipeline in names:
            return pipeline
        near = difflib.get_close_matches(pipeline, names, 3, 0.5)
        raise NotFound(f"there is no pipeline {pipeline}", "did you mean " + " or ".join(near) + "?" if near else "GET /api/v1/pipelines says which there are")

    def may(self, tags: Sequence[str]) -> None:
        """Raises Forbidden for who may not act on a pipeline with these tags."""
        need(self.operation.act, tags)


class Reply(NamedTuple):
    """What is answered to an act."""

    status: int
    data: bytes
    location: str


def caller(viewer: Viewer) -> str:
    """Whose bucket: each token and each person has one; without accounts each address."""
    if viewer.name:
        return f"{viewer.source} {viewer.name}"
    return flask.request.remote_addr or ""


def packed(found: Any) -> bytes:
    return json.dumps(found, ensure_ascii=False, default=_plain, separators=(",", ":")).encode("utf-8", "replace")


def tag_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:24]


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)

