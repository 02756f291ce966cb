"""Rows of users, of their sessions and of tokens. What a browser or a program has is never kept, only its hash."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Iterable, List, NamedTuple, Optional, Tuple

from runner.clock import from_text, to_text
from runner.store.db import Database

ROLES = ("viewer", "operator", "editor", "admin")  # each may all that the one before may


class User(NamedTuple):
    name: str
    role: str
    tags: Tuple[str, ...]  # of the pipelines that they may act on; (): of all
    password: str  # hashed; "": signs in elsewhere
    made_at: datetime
    password_at: Optional[datetime]
    seen_at: Optional[datetime]  # signed in last
    locked_at: Optional[datetime]


class Session(NamedTuple):
    """A browser that is signed in."""

    hash: str
    user: str
    form: str  # what each form that it sends must carry
    made_at: datetime
    used_at: datetime
    address: str
    agent: str


class Token(NamedTuple):
    """For a program."""

    name: str
    user: str  # "": of nobody, made by who runs the daemon
    role: str
    tags: Tuple[str, ...]
    made_at: datetime
    made_by: str
    ends_at: datetime
    used_at: Optional[datetime]


class Accounts:
    """Part of a Store; shares its connection and its transactions."""

    def __init__(self, db: Database):
        self._db = db

    # -- users

    def any(self) -> bool:
        """Whether anybody can sign in, or could until locked."""
        return self._db.one("any_user") is not None

    def users(self) -> List[User]:
        return [_user(row) for row in self._db.all("users")]

    def user(self, name: str) -> Optional[User]:
        row = self._db.one("user", name=name)
        return _user(row) if row else None

    def add_user(self, name: str, role: str, tags: Iterable[str], password: str, at: datetime) -> None:
        self._db.execute("insert_user", name=name, role=role, tags=_list(tags), password=password, at=to_text(at))

    def set_password(self, name: str, password: str, at: datetime) -> None:
        self._db.execute("set_user_password", name=name, password=password, at=to_text(at))

    def set_role(self, name: str, role: str, tags: Iterable[str]) -> None:
        self._db.execute("set_user_role", name=name, role=role, tags=_list(tags))

    def set_locked(self, name: str, at: Optional[datetime]) -> None:
        """None: let them sign in again."""
        self._db.execute("set_user_locked", name=name, at=to_text(at) if at else None)

    def see(self, name: str, at: datetime) -> None:
        self._db.execute("see_user", name=name, at=to_text(at))

    def remove_user(self, name: str) -> None:
        """With their sessions and tokens."""
        self._db.execute("delete_user", name=name)

    # -- sessions

    def add_session(self, digest: str, user: str, form: str, at: datetime, address: str = "", agent: str = "") -> None:
        self._db.execute("insert_session", hash=digest, user=user, form=form, at=to_text(at), address=address, agent=agent)

    def session(self, digest: str, longest: datetime, idle: datetime) -> Optional[Tuple[Session, str, Tuple[str, ...]]]:
        """(the session, role, tags) when it began after `longest`, was used after `idle`, and its user is not locked."""
        row = self._db.one("session", hash=digest, longest=to_text(longest), idle=to_text(idle))
        return (_session(row), row["role"], tuple(json.loads(row["tags"]))) if row else None

    def sessions(self, user: str) -> List[Session]:
        """Of that user, the one used last first."""
        return [_session(row) for row in self._db.all("sessions_of", user=user)]

    def use_session(self, digest: str, at: datetime) -> None:
        self._db.execute("use_session", hash=digest, at=to_text(at))

    def end_session(self, digest: str) -> bool:
        return self._db.execute("delete_session", hash=digest).rowcount == 1

    def end_sessions(self, user: str, but: str = "") -> int:
        """All of a user, but that one; how many there were."""
        return self._db.execute("delete_sessions_of", user=user, but=but).rowcount

    def prune_sessions(self, longest: datetime, idle: datetime) -> None:
        self._db.execute("delete_old_sessions", longest=to_text(longest), idle=to_text(idle))

    # -- tokens

    def tokens(self) -> List[Token]:
        return [_token(row) for row in self._db.all("tokens")]

    def token_named(self, name: str) -> Optional[Token]:
        row = self._db.one("token_by_name", name=name)
        return _token(row) if row else None

    def add_token(
        self, name: str, digest: str, user: str, role: str, tags: Iterable[str], at: datetime, made_by: str, ends_at: datetime
    ) -> None:
        self._db.execute(
            "insert_token", name=name, hash=digest, user=user or None, role=role, tags=_list(tags), at=to_text(at), made_by=made_by,
            ends_at=to_text(ends_at))

    def token(self, digest: str) -> Optional[Tuple[Token, Optional[str], Tuple[str, ...], bool]]:
        """(the token, its user's role, tags, whether locked), however old it is; role None when it is nobody's."""
        row = self._db.one("token", hash=digest)
        if row is None:
            return None
        return _token(row), row["user_role"], tuple(json.loads(row["user_tags"] or "[]")), row["locked_at"] is not None

    def use_token(self, name: str, at: datetime) -> None:
        self._db.execute("use_token", name=name, at=to_text(at))

    def remove_token(self, name: str) -> bool:
        return self._db.execute("delete_token", name=name).rowcount == 1


def _list(values: Iterable[str]) -> str:
    return json.dumps(sorted(set(values)), ensure_ascii=False)


def _moment(text: Optional[str]) -> Optional[datetime]:
    return from_text(text) if text else None


def _user(row: Any) -> User:
    return User(
        row["name"], row["role"], tuple(json.loads(row["tags"])), row["password"], from_text(row["made_at"]), _moment(row["password_at"]),
        _moment(row["seen_at"]), _moment(row["locked_at"]))


def _session(row: Any) -> Session:
    return Session(row["hash"], row["user"], row["form"], from_text(row["made_at"]), from_text(row["used_at"]), row["address"], row["agent"])


def _token(row: Any) -> Token:
    return Token(
        row["name"], row["user"] or "", row["role"], tuple(json.loads(row["tags"])), from_text(row["made_at"]), row["made_by"],
        from_text(row["ends_at"]), _moment(row["used_at"]))
