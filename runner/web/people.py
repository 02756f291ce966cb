"""Users and tokens, for who has the role admin. What is done here is what `runner user` and `runner token` do."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Callable, Dict, Mapping
from zoneinfo import ZoneInfo

import flask

from runner import accounts, passwords
from runner.acts.who import Who
from runner.errors import Conflict, UsageError
from runner.store import Store
from runner.store.accounts import ROLES
from runner.web.asked import desk
from runner.web.desk import Desk
from runner.web.show import screen
from runner.web.viewer import Viewer, need
from runner.web.views import common

people = flask.Blueprint("people", __name__)


@people.route("/users")
def users() -> Any:
    need("users")
    return screen("users.html", view, keep=False)


def view(own: Desk, store: Store, now: datetime, args: Mapping[str, str]) -> Dict[str, Any]:
    zone = ZoneInfo(own.config.timezone)
    local = lambda moment: common.local(moment, zone) if moment else None  # noqa: E731
    return {
        "place": "users", "every": 0, "roles": ROLES, "shortest": passwords.SHORTEST,
        "users": [{"name": user.name, "role": user.role, "tags": list(user.tags), "signed_in_at": local(user.seen_at), "locked_at": local(user.locked_at),
                   "by_directory": not user.password, "sessions": len(store.accounts.sessions(user.name))} for user in store.accounts.users()],
        "tokens": [{"name": token.name, "user": token.user, "scope": accounts.scope_of(token), "tags": list(token.tags), "made_by": token.made_by,
                    "ends_at": local(token.ends_at), "over": token.ends_at <= now, "used_at": local(token.used_at)} for token in store.accounts.tokens()],
    }


@people.route("/users", methods=["POST"])
def add_user() -> Any:
    form = flask.request.form
    return _done("users", lambda store, who, at, viewer: accounts.add_user(
        store, who, at, form.get("name", "").strip(), _role(), _tags(), form.get("password", "")))


@people.route("/users/<name>", methods=["POST"])
def change_user(name: str) -> Any:
    acts: Dict[str, Callable[..., Any]] = {
        "role": lambda store, who, at, viewer: accounts.set_role(store, who, at, name, _role(), _tags()),
        "lock": lambda store, who, at, viewer: accounts.lock_user(store, who, at, name),
        "unlock": lambda store, who, at, viewer: accounts.unlock_user(store, who, at, name),
        "remove": lambda store, who, at, viewer: accounts.remove_user(store, who, at, name),
    }

    def change(store: Store, who: Who, at: datetime, viewer: Viewer) -> None:
        act = flask.request.form.get("act", "")
        if act not in acts:
            raise UsageError(f"{act!r} is nothing that is done to a user", "one of: " + ", ".join(acts))
        if name == viewer.name:
            raise Conflict("nobody takes their own rights here, so that one who has them is left", f"type on the server: runner user {act} {name}")
        acts[act](store, who, at, viewer)

    return _done("users", change)


@people.route("/tokens/<name>", methods=["POST"])
def revoke_token(name: str) -> Any:
    return _done("tokens", lambda store, who, at, viewer: accounts.remove_token(store, who, at, name))


def _done(act: str, change: Callable[[Store, Who, datetime, Viewer], Any]) -> Any:
    viewer, own = need(act), desk()
    store = own.acting_store()
    try:
        change(store, Who(viewer.name, viewer.source), own.clock.now(), viewer)
    finally:
        store.close()
    return flask.redirect(flask.url_for("people.users"), 303)


def _role() -> str:
    role = flask.request.form.get("role", "")
    if role not in ROLES:
        raise UsageError(f"{role!r} is no role", "one of: " + ", ".join(ROLES))
    return role


def _tags() -> Any:
    return flask.request.form.get("tags", "").replace(",", " ").split()
