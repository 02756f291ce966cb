"""Signing in and out, and what people may do with their own account. Works without script."""

from __future__ import annotations

import threading
import unicodedata
from typing import Any, Optional, Tuple
from zoneinfo import ZoneInfo

import flask

from runner import accounts, passwords
from runner.acts.who import Who, record
from runner.errors import EnvironmentFault, UsageError
from runner.web import gate
from runner.web.asked import back_to, desk, wants_json
from runner.web.desk import Desk
from runner.web.throttle import Throttle
from runner.web.views import common

signin = flask.Blueprint("signin", __name__)
LOOKING = 2  # sign-ins whose password is looked at, or waits for that: the other threads stay free for who is signed in


class Door:
    """What all sign-ins of a page share."""

    def __init__(self) -> None:
        self.throttle = Throttle()
        self.places = threading.BoundedSemaphore(LOOKING)
        self.lock = threading.Lock()  # of the throttle


class _Refused(Exception):
    def __init__(self, status: int, said: str, wait: int = 0):
        super().__init__(said)
        self.status, self.said, self.wait = status, said, wait


def _door() -> Door:
    return flask.current_app.config["DOOR"]


# -------------------------------------------------------------------------------------------------------------- sign in


@signin.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Any:
    own, back = desk(), flask.request.values.get("back", "/")
    if not own.has_accounts() or (flask.request.method == "GET" and flask.g.session is not None):
        return flask.redirect(back_to(back), 303)
    if flask.request.method == "GET":
        return _page(back)
    name, password = _name(own, flask.request.form.get("name", "")), flask.request.form.get("password", "")
    try:
        found = _looked_at(own, name, password)
    except _Refused as refused:
        return _page(back, refused)
    response = flask.redirect(back_to(back), 303)
    _begin(own, response, found, password)
    return response


def _page(back: str, refused: Optional[_Refused] = None) -> Any:
    status, said = (refused.status, refused.said) if refused else (200, "")
    if refused and wants_json():
        response = flask.make_response({"title": said, "status": status}, status)
    else:
        response = flask.make_response(flask.render_template("signin.html", back=back, said=said, name=flask.request.form.get("name", "")), status)
    response.headers["Cache-Control"] = "no-store"
    if refused and refused.wait:
        response.headers["Retry-After"] = str(refused.wait)
    return response


def _looked_at(own: Desk, name: str, password: str) -> Tuple[str, str]:
    """(name, role) of whose password that is. Raises _Refused, and then counts it: also who is signed in and changes theirs could be guessing."""
    door, address, tick = _door(), flask.request.remote_addr or "", own.clock.monotonic()
    with door.lock:
        wait = door.throttle.wait(name, address, tick)
        told = door.throttle.refused(tick) if wait else 0
    if wait:
        _tell(own, name, address, told, "too many wrong passwords")
        raise _Refused(429, flask.g.words("signin.wait", seconds=int(wait) + 1), int(wait) + 1)
    if not door.places.acquire(blocking=False):
        raise _Refused(429, flask.g.words("signin.busy"), 1)
    try:
        found = accounts.known(own.config, own.store().accounts.user(name), name, password)
    except EnvironmentFault as error:  # the directory; what is wrong with it is nothing for who stands before the door
        own.say(f"nobody can sign in by the directory: {error.message}. {error.hint}")
        raise _Refused(503, flask.g.words("signin.directory")) from None
    finally:
        door.places.release()
    with door.lock:
        told = 0 if found else door.throttle.failed(name, address, own.clock.monotonic())
        if found:
            door.throttle.succeeded(name)
    if found is None:
        _tell(own, name, address, told, "wrong name or password")
        raise _Refused(401, flask.g.words("signin.wrong"))
    return found


def _tell(own: Desk, name: str, address: str, times: int, why: str) -> None:
    """In the log and in the trail, now and then: who guesses must not fill the disk. A name that nobody has may be a password, so it is not told."""
    if not times:
        return
    known = name if own.store().accounts.user(name) else "(unknown)"
    own.say(f"sign-in refused: {known} from {address}: {why}" + (f"; {times} times since this was said last" if times > 1 else ""))
    store = own.acting_store()
    try:
        with store.transaction():
            record(store, Who(known, "page", why), "sign-in refused", own.clock.now(), after={"address": address, "times": times})
    finally:
        store.close()


def _name(own: Desk, typed: str) -> str:
    """As it is kept. A directory takes KIM for kim, and here both shall be one."""
    name = unicodedata.normalize("NFC", typed.strip())
    return name.lower() if own.config.ldap_url and own.store().accounts.user(name) is None else name


def _begin(own: Desk, response: flask.Response, found: Tuple[str, str], password: str) -> None:
    """A session with a word of its own: one that somebody else put into the browser before is worth nothing."""
    word, now, address = passwords.new_word(), own.clock.now(), flask.request.remote_addr or ""
    name, role = found
    kept = own.store().accounts.user(name)
    again = passwords.hashed(password) if kept and kept.password and passwords.is_old(kept.password) else ""
    store = own.acting_store()
    try:
        with store.transaction():
            if flask.g.session is not None:
                store.accounts.end_session(flask.g.session.hash)
            store.accounts.prune_sessions(*gate.limits(own))
            agent = flask.request.headers.get("User-Agent", "")[:200]
            if own.config.ldap_url:
                accounts.taken_over(store, now, name, role)
            store.accounts.add_session(passwords.digest(word), name, passwords.new_word(), now, address, agent)
            store.accounts.see(name, now)
            if again:
                store.accounts.set_password(name, again, now)
            record(store, Who(name, "page"), "sign-in", now, after={"address": address})
    finally:
        store.close()
    response.set_cookie(gate.cookie_name(own), word, httponly=True, samesite="Lax", secure=flask.request.is_secure, path=flask.request.script_root or "/")


@signin.route("/sign-out", methods=["POST"])
def sign_out() -> Any:
    own, session = desk(), flask.g.session
    if session is not None:
        store = own.acting_store()
        try:
            with store.transaction():
                store.accounts.end_session(session.hash)
                record(store, Who(session.user, "page"), "sign-out", own.clock.now())
        finally:
            store.close()
    response = flask.redirect(flask.url_for("signin.sign_in"), 303)
    response.delete_cookie(gate.cookie_name(own), httponly=True, samesite="Lax", secure=flask.request.is_secure, path=flask.request.script_root or "/")
    return response


# ---------------------------------------------------------------------------------------------------------- own account


@signin.route("/account", methods=["GET", "POST"])
def account() -> Any:
    """Who one is, where one is signed in, and another password."""
    session = flask.g.session
    if session is None:  # a token, or nobody's account
        flask.abort(404)
    said, status = "", 200
    if flask.request.method == "POST":
        try:
            return _changed(session)
        except _Refused as refused:
            said, status = refused.said, refused.status
        except UsageError as error:
            said, status = f"{error.message}: {error.hint}", 400
    store = desk().store()
    zone = ZoneInfo(desk().config.timezone)
    sessions = [each._replace(used_at=common.local(each.used_at, zone)) for each in store.accounts.sessions(session.user)]
    tokens = [each._replace(ends_at=common.local(each.ends_at, zone), used_at=common.local(each.used_at, zone) if each.used_at else None)
              for each in store.accounts.tokens() if each.user == session.user]
    return flask.render_template(
        "account.html", viewer=flask.g.viewer, sessions=sessions, own=session.hash, tokens=tokens,
        scope=accounts.scope_of, shortest=passwords.SHORTEST, said=said, done=flask.request.args.get("done", "")), status


def _changed(session: Any) -> Any:
    own, form = desk(), flask.request.form
    store = own.acting_store()
    try:
        who, now = Who(session.user, "page"), own.clock.now()
        if form.get("act") == "others":
            with store.transaction():
                ended = store.accounts.end_sessions(session.user, session.hash)
                record(store, who, "sign-out elsewhere", now, after={"sessions_ended": ended})
            return flask.redirect(flask.url_for("signin.account", done="others"), 303)
        if form.get("new", "") != form.get("again", ""):
            raise _Refused(400, flask.g.words("account.not_twice"))
        _looked_at(own, session.user, form.get("old", ""))
        if not accounts.find_user(store, session.user).password:
            raise _Refused(400, flask.g.words("account.elsewhere"))
        accounts.set_password(store, who, now, session.user, form.get("new", ""), keep=session.hash)
    finally:
        store.close()
    return flask.redirect(flask.url_for("signin.account", done="password"), 303)
