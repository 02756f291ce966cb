"""Signing in, what a session is, what tokens open, and who may do what."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from runner import accounts, passwords
from runner.acts.who import Who
from runner.errors import Forbidden
from runner.web import gate
from runner.web.throttle import FREE_OF_ADDRESS, FREE_OF_NAME, LONGEST_OF_NAME, TOLD_AN_HOUR, Throttle
from runner.web.viewer import ACTS, READER, Viewer
from tests.web.stage import HERE, MART

GOOD = "correct horse battery"
ME = Who("root", "cli")


@pytest.fixture
def site(web):
    """kim is operator with a password; nobody has signed in."""
    web.write("mart", MART)
    web.sign_out()
    accounts.remove_user(web.store, ME, web.clock.now(), "kim")
    accounts.add_user(web.store, ME, web.clock.now(), "kim", "operator", [], GOOD)
    web.desk.has_accounts()
    return web


def sign_in(web, code=303, client=None, address="127.0.0.1", headers=None, **fields):
    answer = (client or web.client).post("/sign-in", data={"name": "kim", "password": GOOD, **fields}, headers=headers or {},
                                         environ_base={**HERE, "REMOTE_ADDR": address})
    assert answer.status_code == code, answer.text
    return answer


def trail(web):
    return [entry.act for entry in web.store.audit.rows(100)][::-1]


# -------------------------------------------------------------------------------------------------------------- sign in


def test_a_stranger_is_led_to_the_door_and_back_to_what_they_asked_for(site):
    answer = site.get("/pipelines?q=tag:mart&only=failed", 303)
    assert answer.headers["Location"] == "/sign-in?back=/pipelines?q%3Dtag:mart%26only%3Dfailed"
    page = site.text(answer.headers["Location"])
    back = re.search(r'name="back" value="([^"]+)"', page)[1].replace("&amp;", "&")
    assert sign_in(site, back=back).headers["Location"] == "/pipelines?q=tag:mart&only=failed"
    page = site.text("/pipelines")
    assert ">kim</a>" in page and "mart" in page and "Sign out" in page
    assert site.get("/sign-in?back=/operations", 303).headers["Location"] == "/operations"
    assert trail(site)[-1] == "sign-in" and site.store.audit.rows(1)[0].after == {"address": "127.0.0.1"}
    assert site.store.accounts.user("kim").seen_at == site.clock.now()


def test_the_door_speaks_korean_and_needs_no_script(site):
    page = site.text("/sign-in", Accept_Language="ko")
    assert "로그인하기" in page and 'method="post"' in page and 'type="password"' in page and "Today" not in page
    page = site.text("/sign-in")
    assert 'href="/pipelines"' not in page, "who is not signed in is not led around"


@pytest.mark.parametrize("back", [
    "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "/\t/evil.example", "javascript:alert(1)", "/a\r\nX-Evil: 1", "", "evil", "/\n/e",
])
def test_nobody_is_led_to_another_host(site, back):
    answer = sign_in(site, back=back)
    assert answer.headers["Location"] == "/" and "X-Evil" not in answer.headers


@pytest.mark.parametrize("name, password", [("kim", "wrong password"), ("nobody", GOOD), ("", ""), ("kim", ""), ("kim", GOOD + " "), ("KIM", GOOD), ("kim' OR '1'='1", GOOD)])
def test_a_wrong_name_and_a_wrong_password_look_the_same(site, name, password):
    answer = sign_in(site, 401, name=name, password=password)
    assert "Name or password is wrong" in answer.text and "Set-Cookie" not in answer.headers
    site.get("/pipelines", 303)


def test_a_name_that_nobody_has_takes_as_long_as_one_that_somebody_has(site, monkeypatch):
    looked = []
    true = passwords._scrypt
    monkeypatch.setattr(passwords, "_scrypt", lambda *words: looked.append(words[2:]) or true(*words))
    sign_in(site, 401, name="nobody")
    sign_in(site, 401, password="wrong password")
    site.store.accounts.add_user("byldap", "viewer", (), "", site.clock.now())
    sign_in(site, 401, name="byldap")
    assert len(looked) == 3 and len(set(looked)) == 1


def test_hangul_is_one_password_however_it_was_typed():
    import unicodedata

    kept = passwords.hashed(unicodedata.normalize("NFD", "비밀번호는 여기에 있다"))
    assert passwords.matches(unicodedata.normalize("NFC", "비밀번호는 여기에 있다"), kept) and not passwords.matches("비밀번호는 여기에 없다", kept)


def test_a_password_hashed_for_less_is_hashed_anew_when_it_is_typed(site, monkeypatch):
    monkeypatch.setattr(passwords, "COST", 2**15)
    sign_in(site)
    kept = site.store.accounts.user("kim").password
    assert kept.startswith("scrypt$32768$8$1$") and passwords.matches(GOOD, kept)
    assert passwords.matches(GOOD, site.store.accounts.user("kim").password)


def test_a_session_has_a_cookie_that_no_script_reads_and_a_word_that_is_never_kept(site):
    cookie = sign_in(site).headers["Set-Cookie"]
    word = re.match(r"(runner_[0-9a-f]{8})=([\w-]{43}); HttpOnly; Path=/; SameSite=Lax$", cookie)
    assert word, cookie
    assert site.store.accounts.sessions("kim")[0].hash == passwords.digest(word[2])
    assert gate.cookie_name(site.desk) == word[1]
    site.open(home=str(site.home) + "2")
    assert gate.cookie_name(site.desk) != word[1], "the daemons of one server share a browser's cookies"


def test_behind_https_and_a_prefix_the_cookie_is_for_these_alone(site):
    site.open(accounts=True, page_url="https://etl.example/runner")
    site.sign_out()
    accounts.set_password(site.store, ME, site.clock.now(), "kim", GOOD)
    cookie = sign_in(site, headers={"Host": "etl.example", "Origin": "https://etl.example"}).headers["Set-Cookie"]
    assert "; Secure; HttpOnly; Path=/runner; SameSite=Lax" in cookie
    assert sign_in(site, headers={"Host": "etl.example"}).headers["Location"] == "/runner/"


def test_a_word_put_into_the_browser_before_is_worth_nothing_after_signing_in(site):
    sign_in(site)
    first = site.store.accounts.sessions("kim")[0].hash
    sign_in(site)
    assert [session.hash for session in site.store.accounts.sessions("kim")] != [first] and len(site.store.accounts.sessions("kim")) == 1


def test_signing_out_ends_the_session_and_not_only_the_cookie(site):
    cookie = re.match(r"[^;]+", sign_in(site).headers["Set-Cookie"])[0]
    form = site.store.accounts.sessions("kim")[0].form
    answer = site.client.post("/sign-out", data={gate.FIELD: form}, environ_base=HERE)
    assert answer.status_code == 303 and answer.headers["Location"] == "/sign-in" and "Max-Age=0" in answer.headers["Set-Cookie"]
    stolen = site.app.test_client(use_cookies=False).get("/pipelines", headers={"Cookie": cookie}, environ_base=HERE)
    assert stolen.status_code == 303 and "/sign-in" in stolen.headers["Location"]
    assert trail(site)[-2:] == ["sign-in", "sign-out"]


def test_a_session_ends_when_nobody_uses_it_and_an_open_page_is_not_use(site):
    sign_in(site)
    for _ in range(9):
        site.clock.advance(3600)
        site.get("/pipelines")  # used each hour
    for _ in range(8):
        site.clock.advance(3601)
        site.client.get("/pipelines", headers={"X-Part": "live"}, environ_base=HERE)  # as the page does by itself
    assert site.client.get("/pipelines", headers={"X-Part": "live"}, environ_base=HERE).status_code == 401
    site.get("/pipelines", 303)


def test_a_session_ends_after_the_longest_time_however_it_is_used(site):
    sign_in(site)
    for _ in range(27):
        site.clock.advance(6 * 3600)
        site.get("/pipelines")
    site.clock.advance(6 * 3600 + 1)
    site.get("/pipelines", 303)
    sign_in(site)
    assert len(site.store.accounts.sessions("kim")) == 1, "what is over is swept away"


def test_the_settings_say_how_long(site):
    site.open(session_idle=600.0, session_longest=1800.0)
    site.sign_out()
    accounts.set_password(site.store, ME, site.clock.now(), "kim", GOOD)
    sign_in(site)
    site.clock.advance(599)
    site.get("/pipelines")
    site.clock.advance(601)
    site.get("/pipelines", 303)


@pytest.mark.parametrize("act", [
    lambda site: accounts.lock_user(site.store, ME, site.clock.now(), "kim"),
    lambda site: accounts.set_password(site.store, ME, site.clock.now(), "kim", "another good one"),
    lambda site: accounts.remove_user(site.store, ME, site.clock.now(), "kim"),
])
def test_what_the_command_line_does_to_a_user_counts_at_once(site, act):
    accounts.add_user(site.store, ME, site.clock.now(), "lee", "viewer", [], GOOD)
    sign_in(site)
    site.get("/pipelines")
    act(site)
    site.get("/pipelines", 303)
    sign_in(site, 401)


def test_when_the_last_user_is_gone_the_page_is_for_its_own_user_again(site):
    accounts.remove_user(site.store, ME, site.clock.now(), "kim")
    assert "there is no account yet" in site.text("/pipelines", code=403)


def test_what_one_person_sees_is_never_given_to_another(site):
    site.sign_in("operator", name="kim")
    first = site.text("/pipelines")
    other = site.app.test_client()
    site.sign_in("operator", name="lee", client=other)
    second = other.get("/pipelines", environ_base=HERE).text
    assert ">kim</a>" in first and ">lee</a>" in second and "kim" not in second.replace("kim …", "") and "the form of kim" not in second
    assert ">kim</a>" in site.text("/pipelines")


def test_what_many_look_at_is_made_once_for_all_who_may_the_same(site, monkeypatch):
    from runner.web import show

    made = []
    true = show._made
    monkeypatch.setattr(show, "_made", lambda *words: made.append(words[2]) or true(*words))
    people = []
    for number in range(5):
        people.append(site.app.test_client())
        site.sign_in("operator", name=f"p{number}", client=people[-1])
    for person in people:
        assert person.get("/pipelines/mart", headers={"X-Part": "live"}, environ_base=HERE).status_code == 200
    assert made == ["live"]


# -------------------------------------------------------------------------------------------------------------- account


def test_people_change_their_own_password_and_other_browsers_are_out(site):
    other = site.app.test_client()
    sign_in(site)
    sign_in(site, client=other)
    form = {session.hash: session.form for session in site.store.accounts.sessions("kim")}
    mine = site.client.get_cookie(gate.cookie_name(site.desk)).value
    ours = {gate.FIELD: form[passwords.digest(mine)], "act": "password"}
    assert "kim" in site.text("/account") and "127.0.0.1" in site.text("/account")
    assert "23:50" in site.text("/account"), "as it is in Seoul, where the site is"

    def change(old, new, again):
        return site.client.post("/account", data={**ours, "old": old, "new": new, "again": again}, environ_base=HERE)

    assert change("wrong", "another good one", "another good one").status_code == 401
    assert "differ" in change(GOOD, "another good one", "another good two").text
    assert "too short" in change(GOOD, "short", "short").text
    assert change(GOOD, "another good one", "another good one").status_code == 303
    site.get("/pipelines")
    assert other.get("/pipelines", environ_base=HERE).status_code == 303
    sign_in(site, 401, client=other)
    sign_in(site, client=other, password="another good one")
    assert site.client.post("/account", data={**ours, "act": "others"}, environ_base=HERE).status_code == 303
    assert other.get("/pipelines", environ_base=HERE).status_code == 303
    assert trail(site)[-4:] == ["user passwd", "sign-in refused", "sign-in", "sign-out elsewhere"]


# ---------------------------------------------------------------------------------------------------------------- users


def test_an_admin_looks_after_users_and_tokens_on_the_page(site):
    site.sign_in("admin", name="root")
    accounts.add_token(site.store, ME, site.clock.now(), "ci", "operate", 30, ["mart"])

    def post(path, code=303, **fields):
        return site.post(path, code, "root", **fields)

    page = site.text("/users")
    assert "kim" in page and "ci" in page and 'value="operator" selected' in page
    post("/users", name="lee", role="viewer", tags="a, b", password=GOOD)
    assert passwords.matches(GOOD, site.store.accounts.user("lee").password) and site.store.accounts.user("lee").tags == ("a", "b")
    assert "too short" in post("/users", 400, name="han", role="viewer", password="short").text
    assert "no role" in post("/users", 400, name="han", role="boss", password=GOOD).text
    post("/users/lee", act="role", role="editor", tags="")
    post("/users/kim", act="lock")
    found = {user["name"]: user for user in site.json("/users.json")["users"]}
    assert (found["lee"]["role"], found["lee"]["tags"]) == ("editor", []) and found["kim"]["locked_at"] and "password" not in str(found["kim"].keys())
    post("/users/kim", act="unlock")
    post("/users/lee", act="remove")
    assert "nothing that is done" in post("/users/kim", 400, act="x").text
    assert "own rights" in post("/users/root", 409, act="lock").text and site.store.accounts.user("root").locked_at is None
    post("/users/nobody", 404, act="lock")
    post("/tokens/ci")
    assert site.store.accounts.tokens() == []
    assert [(entry.act, entry.actor, entry.source) for entry in site.store.audit.rows(6)] == [
        (act, "root", "page") for act in ("token revoke", "user remove", "user unlock", "user lock", "user role", "user add")]


def test_who_is_no_admin_of_all_sees_no_users(site):
    for role, tags in (("editor", []), ("admin", ["mart"])):
        site.sign_in(role, tags)
        site.get("/users", 403)
        assert 'href="/users"' not in site.text("/pipelines")


# --------------------------------------------------------------------------------------------------------------- tokens


def bearer(site, word, path="/pipelines.json", code=200, **headers):
    answer = site.app.test_client().get(path, headers={"Authorization": f"Bearer {word}", **headers}, environ_base=HERE)
    assert answer.status_code == code, answer.text
    return answer


def test_a_token_opens_the_twins_until_it_ends_or_is_revoked(site):
    word = accounts.add_token(site.store, ME, site.clock.now(), "ci", "look", 30, [])
    assert bearer(site, word).get_json()["pipelines"]
    assert site.store.accounts.token_named("ci").used_at == site.clock.now()
    answer = bearer(site, word + "x", code=401)
    assert answer.content_type == "application/problem+json" and answer.headers["WWW-Authenticate"] == "Bearer"
    bearer(site, word, code=403, Origin="https://evil.example")
    bearer(site, word, Origin="http://localhost")
    site.clock.advance(30 * 86400 - 1)
    bearer(site, word)
    site.clock.advance(1)
    assert "was good until" in bearer(site, word, code=401).text
    word = accounts.add_token(site.store, ME, site.clock.now(), "cd", "look", 30, [])
    bearer(site, word)
    accounts.remove_token(site.store, ME, site.clock.now(), "cd")
    bearer(site, word, code=401)


def seen(site, word):
    """Whom the page takes a token for."""
    with site.app.test_request_context("/", headers={"Authorization": f"Bearer {word}"}, environ_base=HERE):
        site.app.preprocess_request()
        import flask

        return flask.g.viewer


def test_a_token_of_a_user_has_the_least_of_both(site):
    now = site.clock.now()
    word = accounts.add_token(site.store, ME, now, "kims", "operate", 30, ["mart", "night"], "kim")
    assert seen(site, word) == Viewer("kim", "operator", frozenset({"mart", "night"}), "token kims")
    accounts.set_role(site.store, ME, now, "kim", "operator", ["night", "raw"])
    assert seen(site, word).tags == {"night"}
    accounts.set_role(site.store, ME, now, "kim", "admin", ["raw"])
    assert seen(site, word) == Viewer("kim", "viewer", frozenset(), "token kims"), "no tag in common: looks only"
    accounts.set_role(site.store, ME, now, "kim", "viewer", [])
    assert seen(site, word).role == "viewer" and not seen(site, word).may("trigger", ["mart"])
    accounts.lock_user(site.store, ME, now, "kim")
    assert "is locked" in bearer(site, word, code=401).text
    free = accounts.add_token(site.store, ME, now, "ci", "edit", 1, [])
    assert seen(site, free) == Viewer("ci", "editor", frozenset(), "token ci")


# ---------------------------------------------------------------------------------------------------------------- roles


def test_who_may_what():
    may = {role: {act for act in ACTS if Viewer("x", role).may(act, ["mart"])} for role in ("viewer", "operator", "editor", "admin")}
    assert may["viewer"] == {"look"}
    assert may["operator"] - may["viewer"] == {"trigger", "rerun", "backfill", "stop", "mark", "hold", "release", "pause", "unpause"}
    assert may["editor"] - may["operator"] == {"reload"} and may["admin"] - may["editor"] == {"users", "tokens"}
    tagged = Viewer("x", "admin", frozenset({"mart"}))
    assert tagged.may("trigger", ["raw", "mart"]) and not tagged.may("trigger", ["raw"]) and not tagged.may("trigger") and not tagged.may("users")
    assert tagged.may("look", ["raw"]) and not any(READER.may(act) for act in ACTS if act != "look")


@pytest.mark.parametrize("viewer, said", [
    (READER, "there is no account yet"), (Viewer("lee", "viewer"), "lee is viewer; trigger takes the role operator"),
    (Viewer("lee", "editor", frozenset({"b", "a"})), "only what has the tag a or b"), (Viewer("lee", "viewer", source="token ci"), "token ci is viewer"),
])
def test_a_refusal_says_what_it_takes_and_who_can_give_it(site, viewer, said):
    import flask

    from runner.web.viewer import need

    with site.app.test_request_context("/"):
        flask.g.viewer = viewer
        with pytest.raises(Forbidden, match=said) as found:
            need("trigger", ["raw"])
        assert "runner user" in found.value.hint
        flask.g.viewer = Viewer("lee", "operator")
        assert need("trigger", ["raw"]).name == "lee"


# ------------------------------------------------------------------------------------------------------------- throttle


def test_each_wrong_password_doubles_the_wait_of_its_name_up_to_a_minute():
    throttle, tick, waits = Throttle(), 1000.0, []
    for _ in range(FREE_OF_NAME + 10):
        tick += throttle.wait("kim", "10.0.0.1", tick)
        throttle.failed("kim", f"10.0.{_}.1", tick)
        waits.append(throttle.wait("kim", "10.9.9.9", tick))
    assert waits == [0.0] * (FREE_OF_NAME - 1) + [1.0, 2.0, 4.0, 8.0, 16.0, 32.0] + [LONGEST_OF_NAME] * 5
    assert throttle.wait("lee", "10.9.9.9", tick) == 0.0
    assert throttle.wait("kim", "10.9.9.9", tick + 3601) == 0.0
    throttle.succeeded("kim")
    assert throttle.wait("kim", "10.9.9.9", tick) == 0.0


@pytest.mark.parametrize("addresses", [["10.0.0.1"], [f"2001:db8::{n:x}" for n in range(FREE_OF_ADDRESS)]])
def test_an_address_that_tries_many_names_waits_and_its_own_right_one_changes_nothing(addresses):
    throttle = Throttle()
    for number in range(FREE_OF_ADDRESS):
        assert throttle.wait("kim", addresses[0], 1000.0) == 0.0
        throttle.failed(f"user{number}", addresses[number % len(addresses)], 1000.0)
        throttle.succeeded("mallory")
    assert throttle.wait("kim", addresses[0], 1000.0) == 1.0 and throttle.wait("kim", "10.0.0.2", 1000.0) == 0.0


def test_ten_thousand_wrong_passwords_fill_neither_the_memory_nor_the_trail():
    throttle, told = Throttle(), []
    for number in range(30_000):
        told.append(throttle.failed(f"user{number}", f"10.{number % 256}.{number // 256}.1", 1000.0 + number * 0.01))
    assert 0 < len([times for times in told if times]) <= TOLD_AN_HOUR
    assert len(throttle._names._known) == len(throttle._addresses._known) == 10_000
    assert throttle.failed("x", "10.0.0.1", 9999.0) == 30_000 - sum(told) + 1, "what was not told is told in the end"
