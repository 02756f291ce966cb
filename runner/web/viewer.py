"""Who asks, and what they may do. The gate of sign-in makes it of a session or a token, for each request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import FrozenSet, Iterable, Mapping

import flask

from runner.errors import Forbidden
from runner.store.accounts import ROLES

ACTS: Mapping[str, str] = {  # act -> the least role that may
    "look": "viewer",
    **dict.fromkeys(("trigger", "rerun", "backfill", "stop", "mark", "hold", "release", "pause", "unpause"), "operator"),
    **dict.fromkeys(("reload",), "editor"),
    **dict.fromkeys(("users", "tokens"), "admin"),
}


@dataclass(frozen=True)
class Viewer:
    name: str  # "": the daemon's own user, as long as there is no account
    role: str
    tags: FrozenSet[str] = frozenset()  # of the pipelines that they may act on; empty: of all
    source: str = "page"  # page, api, token NAME
    token: str = ""  # what each form of this session carries; "" where no browser asks

    def may(self, act: str, tags: Iterable[str] = ()) -> bool:
        """`act` is one of ACTS, `tags` those of the pipeline. Tags limit acts, nobody's looking."""
        if ROLES.index(self.role) < ROLES.index(ACTS[act]):
            return False
        return not self.tags or act == "look" or not self.tags.isdisjoint(tags)


READER = Viewer("", "viewer")  # who may look before there is any account


def need(act: str, tags: Iterable[str] = ()) -> Viewer:
    """Who asks, when they may; else Forbidden with the role that it takes and who can give it."""
    viewer = flask.g.viewer
    if viewer.may(act, tags):
        return viewer
    if not viewer.name and viewer.source == "page":
        raise Forbidden("there is no account yet, so this page only shows", "type on the server: runner user add NAME --role operator")
    who = viewer.source if viewer.source.startswith("token ") else viewer.name
    if Viewer(viewer.name, viewer.role).may(act):
        raise Forbidden(
            f"{who} may {act} only what has the tag {' or '.join(sorted(viewer.tags))}",
            f"who runs the daemon can change that: runner user role {viewer.name} {viewer.role} --tag TAG")
    raise Forbidden(
        f"{who} is {viewer.role}; {act} takes the role {ACTS[act]}", f"who runs the daemon can give it: runner user role {viewer.name or 'NAME'} {ACTS[act]}")
