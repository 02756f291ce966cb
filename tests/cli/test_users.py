"""user and token: who may look at the page and act there."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import click
import pytest

from runner import passwords
from runner.cli.users import token, user
from runner.errors import Conflict, NotFound, UsageError

GOOD = "correct horse battery"


@pytest.fixture
def add(call, monkeypatch):
    """add(name, role, ...): with a password on standard input."""

    def go(name, *words, password=GOOD):
        monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
        return call(user, "add", name, "--password-stdin", *words)

    return go


def on_disk(home):
    found = "".join(path.read_bytes().decode("latin1") for path in home.glob("runner.db*"))
    assert "kim" in found
    return found


def trail(store):
    return [(entry.act, entry.source, entry.before, entry.after) for entry in store.audit.rows(100)][::-1]


def test_the_first_user_is_told_what_changes_and_nothing_of_the_password_is_kept(add, call, store, tmp_path):
    assert "no users: the page only shows" in call(user, "list")[2]
    code, out, err = add("kim", "--role", "operator", "--tag", "mart")
    assert (code, out) == (0, "kim  operator  acts on what has the tag mart\n") and "asks everybody to sign in" in err
    assert "first" not in add("박지훈")[2]
    out = call(user, "list")[1]
    assert "kim" in out and "박지훈" in out and "never" in out and GOOD not in on_disk(tmp_path)
    found = json.loads(call(user, "list", "--json")[1])
    assert [(each["name"], each["role"], each["tags"]) for each in found] == [("kim", "operator", ["mart"]), ("박지훈", "viewer", [])]
    assert "password" not in found[0] and "scrypt" not in json.dumps(found)
    assert passwords.matches(GOOD, store.accounts.user("kim").password) and not passwords.matches(GOOD + "!", store.accounts.user("kim").password)
    assert trail(store)[0] == ("user add", "cli", {}, {"user": "kim", "role": "operator", "tags": ["mart"]})


@pytest.mark.parametrize("password, said", [
    ("", "0 characters is too short"), ("short", "too short"), ("aaaaaaaaaaaaaa", "guessed at once"), ("kimberley12", "guessed"), ("x" * 1001, "too long"),
])
def test_a_poor_password_is_refused(add, store, password, said):
    with pytest.raises(UsageError, match=said):
        add("kimberley", password=password)
    assert store.accounts.users() == []


def test_a_password_is_asked_for_twice_and_never_an_argument(call, store, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(UsageError, match="no terminal"):
        call(user, "add", "kim")
    with pytest.raises(click.UsageError):
        call(user, "add", "kim", GOOD)
    typed = iter([GOOD, "another one", GOOD, GOOD])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda text: next(typed))
    assert call(user, "add", "kim")[0] == 0 and next(typed, None) is None
    assert passwords.matches(GOOD, store.accounts.user("kim").password)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "a\nb", "<b>", "x" * 65])
def test_a_name_that_could_be_misread_is_refused(add, name):
    with pytest.raises((UsageError, click.UsageError)):
        add(name) if not name.startswith("-") else add("--", name)


def test_what_is_there_or_is_not_is_said(add, call):
    add("kim")
    with pytest.raises(Conflict, match="there is a user kim already"):
        add("kim")
    for words in (("role", "kin", "admin"), ("lock", "kin"), ("unlock", "kin"), ("remove", "kin"), ("passwd", "kin", "--password-stdin")):
        with pytest.raises(NotFound) as found:
            call(user, *words)
        assert found.value.hint == "did you mean kim?"


def test_what_is_done_to_a_user_counts_for_their_sessions_at_once(add, call, store, clock, monkeypatch):
    add("kim", "--role", "operator")
    past = clock.now() - timedelta(days=1)
    for number in range(2):
        store.accounts.add_session(f"h{number}", "kim", "f", clock.now())
    assert call(user, "role", "kim", "editor", "--tag", "a", "--tag", "b")[1] == "kim  editor  acts on what has the tag a or b\n"
    assert store.accounts.session("h0", past, past)[1:] == ("editor", ("a", "b"))
    assert call(user, "role", "kim", "viewer")[1] == "kim  viewer  acts on what has the tag a or b\n"
    assert call(user, "role", "kim", "viewer", "--all-tags")[1] == "kim  viewer\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("another good one"))
    assert call(user, "passwd", "kim", "--password-stdin")[1] == "kim  has a new password; 2 sessions ended\n"
    assert store.accounts.session("h0", past, past) is None and passwords.matches("another good one", store.accounts.user("kim").password)
    store.accounts.add_session("h2", "kim", "f", clock.now())
    assert call(user, "lock", "kim")[1] == "kim  locked; 1 session ended\n"
    store.accounts.add_session("h3", "kim", "f", clock.now())  # as if it had been signed in the moment before
    assert store.accounts.session("h3", past, past) is None and "locked" in call(user, "list")[1]
    call(user, "unlock", "kim")
    assert store.accounts.session("h3", past, past)
    assert "the last user" in call(user, "remove", "kim")[2] and store.accounts.session("h3", past, past) is None
    assert [act for act, *_ in trail(store)] == ["user add", "user role", "user role", "user role", "user passwd", "user lock", "user unlock", "user remove"]
    assert trail(store)[1][2:] == ({"user": "kim", "role": "operator", "tags": []}, {"user": "kim", "role": "editor", "tags": ["a", "b"]})


# --------------------------------------------------------------------------------------------------------------- tokens


def test_a_token_is_shown_once_and_kept_as_a_hash(add, call, store, clock, tmp_path):
    with pytest.raises(Conflict, match="no account yet"):
        call(token, "add", "ci")
    add("kim", "--role", "operator")
    code, out, err = call(token, "add", "ci", "--scope", "operate", "--days", "30", "--tag", "mart")
    word = out.strip()
    assert code == 0 and word.startswith("runner_") and len(word) == 50 and "shown this once" in err
    assert word not in call(token, "list")[1] + call(token, "list", "--json")[1] and word[7:] not in on_disk(tmp_path)
    kept = store.accounts.token(passwords.digest(word))
    assert (kept[0].name, kept[0].role, kept[0].tags, kept[1]) == ("ci", "operator", ("mart",), None)
    assert kept[0].ends_at == clock.now() + timedelta(days=30)
    assert json.loads(call(token, "list", "--json")[1])[0]["scope"] == "operate"
    clock.advance(31 * 86400)
    assert "over" in call(token, "list")[1]
    with pytest.raises(Conflict):
        call(token, "add", "ci")
    assert call(token, "revoke", "ci")[0] == 0 and store.accounts.token(passwords.digest(word)) is None
    with pytest.raises(NotFound):
        call(token, "revoke", "ci")
    assert [act for act, *_ in trail(store)] == ["user add", "token add", "token revoke"]


def test_a_token_of_a_user_never_has_more_than_they_and_goes_with_them(add, call, store):
    add("kim", "--role", "operator")
    with pytest.raises(UsageError) as found:
        call(token, "add", "kims", "--user", "kim", "--scope", "admin")
    assert found.value.hint == "take --scope operate"
    made = json.loads(call(token, "add", "kims", "--user", "kim", "--scope", "operate", "--json")[1])
    assert made["user"] == "kim" and store.accounts.token(passwords.digest(made["token"]))[1] == "operator"
    call(user, "remove", "kim")
    assert store.accounts.tokens() == []


def test_days_that_are_none(add, call):
    add("kim")
    for days in ("0", "-1", "4000"):
        with pytest.raises(UsageError, match="a token is good for 1 to 3650"):
            call(token, "add", "ci", "--days", days)
