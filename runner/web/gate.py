"""The gate before every address: who asks, by a session or a token, and whether it was they who sent what came."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import flask

from runner import passwords
from runner.errors import EnvironmentFault, Forbidden, NotSignedIn
from runner.store.accounts import ROLES, Session
from runner.web.asked import desk, wants_json
from runner.web.desk import Desk
from runner.web.viewer import READER, Viewer

OPEN = frozenset({"static_file", "pages.healthz", "pages.language"})  # what is of nobody, and changes nothing
DOOR = "signin.sign_in"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FIELD, HEADER = "form_token", "X-Form-Token"  # where a form, or a script of ours, has the word of its session
USED_SECONDS = 300.0  # how exactly is known when a session or a token was used last


def enter() -> Any:
    """Before each request: makes flask.g.viewer, or answers that one has to sign in."""
    flask.g.viewer, flask.g.session = None, None
    if flask.request.endpoint in OPEN:
        return None
    request, unsafe = flask.request, flask.request.method not in SAFE
    authorization = request.headers.get("Authorization", "")
    bearer = authorization[7:].strip() if authorization[:7].lower() == "bearer " else ""
    if unsafe or bearer:
        _from_own_page(request)
    if not desk().has_accounts():
        flask.g.viewer = READER
    elif bearer:
        flask.g.viewer = _by_token(desk(), bearer)
    else:
        _by_session(desk(), request.cookies.get(cookie_name(desk()), ""))
    if request.endpoint == DOOR:
        return None
    if flask.g.viewer is None:
        return _sign_in_first(unsafe)
    if unsafe and flask.g.session is not None:
        _own_form(request, flask.g.session)
    return None


def _sign_in_first(unsafe: bool) -> Any:
    request = flask.request
    if unsafe or wants_json() or request.path.startswith("/api/") or request.path == "/metrics" or request.headers.get("X-Part"):
        raise NotSignedIn("you are not signed in, or no longer", "sign in on the page, or send Authorization: Bearer TOKEN; see: runner token add --help")
    return flask.redirect(flask.url_for("signin.sign_in", back=request.full_path.rstrip("?")), 303)


# ------------------------------------------------------------------------------------------------------------- sessions


def cookie_name(own: Desk) -> str:
    """A name of this home: the daemons of one server share the cookies of its name, whatever their ports."""
    return "runner_" + hashlib.sha256(own.config.home.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def limits(own: Desk) -> Any:
    """(longest, idle): a session that began before the first, or was used last before the second, is over."""
    now = own.clock.now()
    return now - timedelta(seconds=own.config.session_longest), now - timedelta(seconds=own.config.session_idle)


def _by_session(own: Desk, word: str) -> None:
    if not word:
        return
    longest, idle = limits(own)
    found = own.store().accounts.session(passwords.digest(word), longest, idle)
    if found is None:
        return
    session, role, tags = found
    flask.g.session = session
    flask.g.viewer = Viewer(session.user, role, frozenset(tags), "page", session.form)
    if not flask.request.headers.get("X-Part"):  # a page that looks again by itself is nobody's use of it
        since = (own.clock.now() - session.used_at).total_seconds()
        if since > min(USED_SECONDS, own.config.session_idle / 10):
            _note(own, lambda store: store.accounts.use_session(session.hash, own.clock.now()))


def _note(own: Desk, write: Any) -> None:
    """Write when something was used last. When that cannot be written, one may look all the same."""
    try:
        store = own.acting_store()
        try:
            write(store)
        finally:
            store.close()
    except EnvironmentFault:
        pass


# --------------------------------------------------------------------------------------------------------------- tokens


def _by_token(own: Desk, word: str) -> Viewer:
    found = own.store().accounts.token(passwords.digest(word))
    now = own.clock.now()
    if found is None:
        raise NotSignedIn("that token is none of this page", "ask who runs the daemon for one: runner token add NAME")
    token, role, tags, locked = found
    if token.ends_at <= now:
        raise NotSignedIn(f"the token {token.name} was good until {token.ends_at:%Y-%m-%d}", f"type: runner token revoke {token.name}   and add it again")
    if locked:
        raise NotSignedIn(f"{token.user}, whose token that is, is locked", f"type: runner user unlock {token.user}")
    if token.used_at is None or (now - token.used_at).total_seconds() > USED_SECONDS:
        _note(own, lambda store: store.accounts.use_token(token.name, now))
    least = token.role if role is None else min(token.role, role, key=ROLES.index)
    both = frozenset(token.tags) & frozenset(tags) if token.tags and tags else frozenset(token.tags or tags)
    if token.tags and tags and not both:
        least = ROLES[0]  # no tag that both may act on: an empty set would say all
    return Viewer(token.user or token.name, least, both, f"token {token.name}")


# --------------------------------------------------------------------------------------------- who sent what was sent


def _from_own_page(request: flask.Request) -> None:
    """A browser says which page sent something; another's is not taken, whatever cookie comes with it."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is not None and not _is_own(request, origin):
        raise Forbidden(
            f"this was sent by a page of {origin[:200]}, and this page is {request.scheme}://{request.host}",
            "when people reach this page by another address, a proxy's, write it into the setting page_url")
    if origin is None and site not in (None, "same-origin", "none"):
        raise Forbidden("this was sent by the page of another host", "open the page itself and do it there")


def _is_own(request: flask.Request, origin: str) -> bool:
    public = urlsplit(desk().config.page_url)
    return origin.lower() in (f"{request.scheme}://{request.host}".lower(), f"{public.scheme}://{public.netloc}".lower() if public.netloc else None)


def _own_form(request: flask.Request, session: Session) -> None:
    """Each form carries a word that only pages of this session were given."""
    sent = request.headers.get(HEADER) or request.form.get(FIELD, "")
    if not hmac.compare_digest(sent.encode("utf-8", "replace"), session.form.encode()):
        raise Forbidden("this form is of another session, or of none", "go back, load the page again and send it once more")
