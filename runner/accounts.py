"""What can be done to users and tokens, each with its line in the trail: for the command line and the page alike."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta
from typing import Any, Dict, Optional, Sequence, Tuple

from runner import passwords
from runner.acts.who import Who, record
from runner.config import Config
from runner.errors import Conflict, NotFound, UsageError
from runner.store import Store
from runner.store.accounts import ROLES, Token, User

SCOPES = {"look": "viewer", "operate": "operator", "edit": "editor", "admin": "admin"}
LONGEST_DAYS = 3650
_NAME = re.compile(r"\w[\w.@+-]{0,63}")


def good_name(name: str) -> str:
    """A name as it is kept. Raises UsageError."""
    name = unicodedata.normalize("NFC", name)
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name", "letters, digits and . _ @ + - after the first, at most 64")
    return name


def _shown(user: User) -> Dict[str, Any]:
    return {"user": user.name, "role": user.role, "tags": list(user.tags)}


# ---------------------------------------------------------------------------------------------------------------- users


def find_user(store: Store, name: str) -> User:
    found = store.accounts.user(unicodedata.normalize("NFC", name))
    if found is None:
        import difflib

        known = [user.name for user in store.accounts.users()]
        near = difflib.get_close_matches(name, known, 1)
        raise NotFound(f"there is no user {name}", f"did you mean {near[0]}?" if near else f"type: runner user add {name}")
    return found


def add_user(store: Store, who: Who, at: datetime, name: str, role: str, tags: Sequence[str], password: str) -> None:
    name = good_name(name)
    kept = passwords.hashed(passwords.good(name, password))  # before the transaction: nobody else waits for it
    with store.transaction():
        if store.accounts.user(name):
            raise Conflict(f"there is a user {name} already", f"type: runner user passwd {name}   or: runner user role {name} {role}")
        store.accounts.add_user(name, role, tags, kept, at)
        record(store, who, "user add", at, after={"user": name, "role": role, "tags": sorted(tags)})


def set_password(store: Store, who: Who, at: datetime, name: str, password: str, keep: str = "") -> int:
    """Every session of that user ends, but the one whose hash is `keep`; how many did."""
    kept = passwords.hashed(passwords.good(name, password))
    with store.transaction():
        user = find_user(store, name)
        store.accounts.set_password(user.name, kept, at)
        ended = store.accounts.end_sessions(user.name, keep)
        record(store, who, "user passwd", at, after={"user": user.name, "sessions_ended": ended})
    return ended


def set_role(store: Store, who: Who, at: datetime, name: str, role: str, tags: Optional[Sequence[str]]) -> User:
    """Counts for sessions and tokens at once. `tags` None leaves them."""
    with store.transaction():
        before = find_user(store, name)
        store.accounts.set_role(before.name, role, before.tags if tags is None else tags)
        after = find_user(store, name)
        record(store, who, "user role", at, before=_shown(before), after=_shown(after))
    return after


def lock_user(store: Store, who: Who, at: datetime, name: str) -> int:
    """Nobody signs in by that name any more, and who has is out; how many sessions ended. Tokens of theirs sleep."""
    with store.transaction():
        user = find_user(store, name)
        ended = store.accounts.end_sessions(user.name)
        store.accounts.set_locked(user.name, at)
        record(store, who, "user lock", at, before={"locked": user.locked_at is not None}, after={"user": user.name, "sessions_ended": ended})
    return ended


def unlock_user(store: Store, who: Who, at: datetime, name: str) -> None:
    with store.transaction():
        user = find_user(store, name)
        store.accounts.set_locked(user.name, None)
        record(store, who, "user unlock", at, before={"locked": user.locked_at is not None}, after={"user": user.name})


def remove_user(store: Store, who: Who, at: datetime, name: str) -> bool:
    """With sessions and tokens. True when it was the last: the page is for the daemon's own user again."""
    with store.transaction():
        user = find_user(store, name)
        store.accounts.remove_user(user.name)
        record(store, who, "user remove", at, before=_shown(user))
        return not store.accounts.any()


def known(config: Config, found: Optional[User], name: str, password: str) -> Optional[Tuple[str, str]]:
    """(name, role) when that is their password: of a user of ours, whose row `found` is, else of the directory. Takes as long for who is nobody.

    Raises EnvironmentFault when the directory cannot be asked.
    """
    if not config.ldap_url or (found and found.password):
        good = passwords.matches(password, found.password if found else "")
        return (found.name, found.role) if found and good and not found.locked_at else None
    if not _NAME.fullmatch(name) or (found and found.locked_at):
        return None
    from runner.clients import ldap  # here: only who has a directory pays for it

    groups = ldap.member_of(config.ldap_url, config.ldap_ca, config.ldap_user, name, password, tuple(config.ldap_roles))
    return (name, max((config.ldap_roles[group] for group in groups), key=ROLES.index)) if groups else None


def taken_over(store: Store, at: datetime, name: str, role: str) -> None:
    """A row for who signed in by the directory; the role is what their groups say now. In the caller's transaction."""
    found, who = store.accounts.user(name), Who(name, "ldap")
    if found is None:
        store.accounts.add_user(name, role, (), "", at)
        record(store, who, "user add", at, after={"user": name, "role": role, "tags": []})
    elif not found.password and found.role != role:
        store.accounts.set_role(name, role, found.tags)
        record(store, who, "user role", at, before={"user": name, "role": found.role}, after={"user": name, "role": role})


# --------------------------------------------------------------------------------------------------------------- tokens


def add_token(store: Store, who: Who, at: datetime, name: str, scope: str, days: int, tags: Sequence[str], user: str = "") -> str:
    """The token itself, which is shown this once. One of a user may never do more than the user may."""
    name = good_name(name)
    if not 1 <= days <= LONGEST_DAYS:
        raise UsageError(f"{days} days: a token is good for 1 to {LONGEST_DAYS}")
    word = passwords.new_word("runner_")
    with store.transaction():
        if not store.accounts.any():
            raise Conflict("there is no account yet, and without one nobody is answered from elsewhere", "type: runner user add NAME --role admin")
        if store.accounts.token_named(name):
            raise Conflict(f"there is a token {name} already", f"type: runner token revoke {name}")
        owner = find_user(store, user) if user else None
        if owner and ROLES.index(SCOPES[scope]) > ROLES.index(owner.role):
            near = [each for each, role in SCOPES.items() if role == owner.role][0]
            raise UsageError(f"{owner.name} is {owner.role}: a token of theirs cannot have the scope {scope}", f"take --scope {near}")
        ends = at + timedelta(days=days)
        store.accounts.add_token(name, passwords.digest(word), owner.name if owner else "", SCOPES[scope], tags, at, who.name, ends)
        record(store, who, "token add", at, after={"token": name, "scope": scope, "tags": sorted(tags), "user": user, "ends": f"{ends:%Y-%m-%d}"})
    return word


def remove_token(store: Store, who: Who, at: datetime, name: str) -> None:
    with store.transaction():
        found = store.accounts.token_named(name)
        if found is None:
            raise NotFound(f"there is no token {name}", "type: runner token list")
        store.accounts.remove_token(name)
        record(store, who, "token revoke", at, before={"token": name, "scope": scope_of(found), "user": found.user})


def scope_of(token: Token) -> str:
    return next(scope for scope, role in SCOPES.items() if role == token.role)
