"""What somebody who means harm would try. The addresses that change something are read from the application, so a new one is tried by itself."""

from __future__ import annotations

import re
import threading

import pytest

from runner import accounts, passwords
from runner.acts.who import Who
from runner.web import gate
from runner.web.app import create_app
from runner.web.forms import FORMS
from tests.web.stage import HERE, MART, Web

GOOD = "correct horse battery"
ME = Who("root", "cli")
OWN = {"signin.sign_in", "signin.sign_out", "signin.account"}  # of one's own account: every role may, and the door is for who is not signed in


@pytest.fixture(scope="module")
def routes(tmp_path_factory):
    """(method, endpoint, rule) of every address that changes something."""
    web = Web(tmp_path_factory.mktemp("routes"))
    found = [(method, rule.endpoint, rule.rule) for rule in web.app.url_map.iter_rules() for method in sorted(rule.methods - gate.SAFE)]
    web.close()
    return found


@pytest.fixture
def mart(web):
    """A pipeline, a run of it with a failed step, so that every address leads to something."""
    web.write("mart", MART)
    web.it = web.run("mart", "2026-02-27", {"extract": "failed"}, "failed")
    web.log(web.it, "extract", b"<script>alert(1)</script>\n")
    web.backfill = web.store.pipelines.add_backfill("mart", "2026-02-01", "2026-02-02", 1, "kim", web.clock.now())
    web.said.clear()
    return web


def addresses(web, rule):
    """That address with what is there in its gaps; where it stands for several acts, one for each."""
    values = {"name": "mart", "pipeline": "mart", "run": web.it.name, "step": "extract", "position": "0", "code": "en",
              "number": str(web.backfill if rule.startswith("/backfills") else web.it.id)}
    if "/runs/" in rule:
        values["name"] = web.it.name
    kind = rule.split("/")[1].rstrip("s")
    acts = [act for of, act in FORMS if of == kind] if "<act>" in rule else [""]
    return [re.sub(r"<(?:[^:<>]+:)?(\w+)>", lambda gap: {**values, "act": act}.get(gap[1], "mart"), rule) for act in acts]


def everywhere(web, skip=(), **options):
    """(endpoint, answer) of each address that changes something; those of nothing, which only say so, are left out."""
    for rule in web.app.url_map.iter_rules():
        for method in sorted(rule.methods - gate.SAFE) if rule.endpoint not in skip and not rule.endpoint.startswith("api.nothing") else ():
            for address in addresses(web, rule.rule):
                yield rule.endpoint, web.client.open(address, method=method, environ_base=HERE, **options)


def unchanged(web):
    """What acts would change."""
    counts = [web.store.db.execute_text(f"SELECT count(*), max(rowid) FROM {table}", {}).fetchone() for table in ("runs", "transitions", "users", "tokens", "sessions")]
    return [tuple(row) for row in counts] + [entry.act for entry in web.store.audit.rows(1000) if entry.act != "sign-in refused"]


def test_there_are_addresses_to_try(routes):
    assert OWN <= {endpoint for _, endpoint, _ in routes}


def test_no_address_changes_anything_for_who_is_not_signed_in(mart):
    mart.sign_out()
    before = unchanged(mart)
    for endpoint, answer in everywhere(mart, data={gate.FIELD: "the form of kim"}, headers={"Origin": "http://localhost"}):
        assert answer.status_code == 401, endpoint
    assert unchanged(mart) == before


@pytest.mark.parametrize("origin", [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "https://localhost"}, {"Origin": "http://localhost:81"}, {"Origin": "http://localhost.evil.example"},
    {"Origin": ""}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
])
def test_no_address_takes_anything_from_a_foreign_page_whatever_it_carries(mart, origin):
    before = unchanged(mart)
    for endpoint, answer in everywhere(mart, data={gate.FIELD: "the form of kim"}, headers=origin):
        assert answer.status_code == 403, endpoint
    assert unchanged(mart) == before


@pytest.mark.parametrize("form", [{}, {gate.FIELD: ""}, {gate.FIELD: "the form of lee"}, {gate.FIELD: "the form of kim "}, {gate.FIELD: "한글"}])
def test_no_address_takes_a_form_without_the_word_of_its_session(mart, form):
    mart.sign_in("admin", name="lee", client=mart.app.test_client())
    before = unchanged(mart)
    for endpoint, answer in everywhere(mart, data=form):
        assert answer.status_code == 403 or endpoint == gate.DOOR, endpoint
    assert unchanged(mart) == before


def test_no_address_lets_who_may_only_look_act(mart):
    mart.sign_in("viewer")
    before = unchanged(mart)
    for endpoint, answer in everywhere(mart, OWN, data={gate.FIELD: "the form of kim"}):
        assert answer.status_code == 403, (endpoint, answer.status_code, answer.text[:300])
    assert unchanged(mart) == before


def test_no_address_lets_who_may_act_on_other_tags_act(mart):
    mart.sign_in("admin", ["another"])
    before = unchanged(mart)
    for endpoint, answer in everywhere(mart, OWN, data={gate.FIELD: "the form of kim"}):
        assert answer.status_code in (400, 403, 409), (endpoint, answer.status_code, answer.text[:300])
    assert unchanged(mart) == before


@pytest.mark.parametrize("spoil", [
    lambda web: web.store.accounts.end_session(passwords.digest(web.word)), lambda web: web.store.accounts.set_locked("kim", web.clock.now()),
    lambda web: web.clock.advance(10_000 * 86400), lambda web: web.client.set_cookie(gate.cookie_name(web.desk), web.word[:-1]),
    lambda web: web.client.set_cookie(gate.cookie_name(web.desk), passwords.digest(web.word)),
], ids=["signed out", "locked", "over", "cut", "its hash"])
def test_no_address_is_opened_by_a_session_that_is_none_any_more(mart, spoil):
    spoil(mart)
    before = unchanged(mart)
    for endpoint, answer in everywhere(mart, data={gate.FIELD: "the form of kim"}):
        assert answer.status_code == 401, endpoint
    assert unchanged(mart) == before
    mart.get("/pipelines", 303)


@pytest.mark.parametrize("spoil, code", [
    (lambda web: accounts.remove_token(web.store, ME, web.clock.now(), "ci"), 401), (lambda web: web.clock.advance(2 * 86400), 401), (lambda web: None, 403),
], ids=["revoked", "over", "looks only"])
def test_no_address_is_opened_by_a_token_that_may_not(mart, spoil, code):
    word = accounts.add_token(mart.store, ME, mart.clock.now(), "ci", "look", 1, [])
    mart.sign_out()
    spoil(mart)
    before = unchanged(mart)
    for endpoint, answer in everywhere(mart, OWN, headers={"Authorization": f"Bearer {word}"}):
        assert answer.status_code == code, (endpoint, answer.text[:300])
    assert unchanged(mart) == before


def test_a_token_that_may_is_refused_in_the_hands_of_a_foreign_page(mart):
    word = accounts.add_token(mart.store, ME, mart.clock.now(), "ci", "admin", 1, [])
    for endpoint, answer in everywhere(mart, headers={"Authorization": f"Bearer {word}", "Origin": "https://evil.example"}):
        assert answer.status_code == 403, endpoint


def test_without_an_account_nothing_can_be_changed_even_by_the_daemons_own_user(mart, monkeypatch):
    from runner.web import edge

    monkeypatch.setattr(edge.peers, "may_look", lambda host, port: True)
    mart.open(accounts=False)
    assert mart.get("/pipelines").status_code == 200
    before = unchanged(mart)
    for endpoint, answer in everywhere(mart, data={gate.FIELD: ""}):
        assert answer.status_code in (401, 403, 404) or endpoint in (gate.DOOR, "signin.sign_out"), (endpoint, answer.status_code)
    assert unchanged(mart) == before


def test_every_address_that_shows_something_needs_a_session_but_the_few_that_are_of_nobody(mart):
    mart.sign_out()
    shown = set()
    for rule in mart.app.url_map.iter_rules():
        for path in [each + end for each in addresses(mart, rule.rule) for end in ("", ".json")]:
            answer = mart.client.get(path, environ_base=HERE)
            if answer.status_code not in (303, 401, 405) or (answer.status_code == 303 and "/sign-in" not in answer.headers["Location"]):
                shown.add(rule.endpoint)
    assert shown <= gate.OPEN | {gate.DOOR}, shown


# ------------------------------------------------------------------------------------------------------ paths, headers


@pytest.mark.parametrize("place", ["/static/{}", "/pipelines/{}", "/pipelines/{}/file", "/runs/{}", "/runs/{}/steps/extract", "/runs/{}/steps/extract/log.txt",
                                   "/runs/mart@2026-02-27/steps/{}", "/runs/mart@2026-02-27/steps/{}/log.txt", "/{}"])
@pytest.mark.parametrize("trick", [
    "%2e%2e/%2e%2e/runner.db", "..%2f..%2frunner.db", "%2e%2e%2frunner.db", "....//runner.db", "..\\..\\runner.db", "%5c..%5crunner.db", "%00", "mart%00.yaml", "/etc/passwd",
    "%2fetc%2fpasswd", "//etc/passwd", "%252e%252e%252frunner.db", "%c0%ae%c0%ae/runner.db", "settings.yaml", "mart@2026-02-27/../../../runner.db", "a" * 5000, "%ff%fe", "%0d%0aX-Evil: 1",
])
def test_a_trick_in_an_address_leads_nowhere(mart, place, trick):
    answer = mart.client.get(place.format(trick), environ_base=HERE)
    assert answer.status_code in (303, 308, 400, 404, 405, 421), answer.status_code
    assert "X-Evil" not in answer.headers and b"SQLite format" not in answer.data and b"root:" not in answer.data and not mart.said
    assert "evil" not in answer.headers.get("Location", "").partition("?")[0].lower() or answer.headers["Location"].startswith("/")


@pytest.mark.parametrize("attempt", ["0", "-1", "99", "../1", "1/../../x", "%00", "1e9", "9" * 400])
def test_a_trick_in_the_number_of_an_attempt_leads_nowhere(mart, attempt):
    for path in (f"/runs/mart@2026-02-27/steps/extract?attempt={attempt}", f"/runs/mart@2026-02-27/steps/extract/log.txt?attempt={attempt}"):
        assert mart.client.get(path, environ_base=HERE).status_code in (200, 400, 404) and not mart.said


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1@evil.example", "localhost:80@evil.example", "evil.example#localhost", "[::1].evil.example", "a b", "localhost\\evil"])
def test_a_host_that_is_not_this_pages_is_answered_nothing_and_written_nowhere(mart, host):
    answer = mart.client.get("/", headers={"Host": host}, environ_base=HERE)
    assert answer.status_code == 421 and "<" not in answer.text


def test_what_a_header_says_is_never_part_of_an_answers_headers(mart):
    for name in ("X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Forwarded-For", "X-Part", "Accept-Language", "User-Agent", "If-None-Match"):
        for value in ("/a\\evil", "//evil.example", "/x;evil=1", "javascript:1", "<script>", "x" * 9000, "/%0d%0aevil:1"):
            answer = mart.client.get("/pipelines", headers={name: value}, environ_base=HERE)
            assert answer.status_code in (200, 304, 303) and "evil" not in str(answer.headers) and "<script>" not in answer.text, (name, value)
    assert not mart.said


# ------------------------------------------------------------------------------------------------------------ injection

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"><svg/onload=alert(3)>"


def test_nothing_that_people_or_steps_write_becomes_part_of_the_page(web):
    web.write("mart", MART)
    text = MART.replace("Customer mart, one day at a time", "'" + EVIL.replace("'", "''") + "'").replace("data-team", "'" + EVIL.replace("'", "''") + "'")
    web.write("evil", text)
    web.write("broken", f"description: {EVIL}\nsteps: '{EVIL.replace(chr(39), '')}'\n")
    run = web.run("evil", "2026-02-27", {"extract": "failed"}, "failed", reason=EVIL)
    web.log(run, "extract", EVIL + "\n")
    accounts.add_user(web.store, ME, web.clock.now(), "a@b.c", "viewer", [EVIL], GOOD)
    web.sign_in("admin", [EVIL], name="kim")
    seen = ""
    for path in ("/", "/pipelines", "/pipelines/evil", "/pipelines/broken", "/pipelines/evil/file", f"/runs/{run.name}", f"/runs/{run.name}/steps/extract", "/operations", "/account",
                 f"/pipelines?q={EVIL}", "/sign-in?back=/" + EVIL, "/" + EVIL, f"/pipelines/{EVIL}", f"/runs/{EVIL}"):
        answer = web.client.get(path, environ_base=HERE, headers={"User-Agent": EVIL})
        seen += answer.text
        assert not re.search(r"<script>|<img|<svg/|onerror=alert\(2\)>", answer.text), path
    assert "&lt;script&gt;alert(1)" in seen and not [line for line in web.said if line.startswith("a fault")]


def test_a_name_typed_at_the_door_comes_back_harmless_and_is_kept_nowhere(mart):
    mart.sign_out()
    answer = mart.client.post("/sign-in", data={"name": EVIL, "password": "my secret password"}, environ_base=HERE)
    assert answer.status_code == 401 and "<script>alert" not in answer.text
    mart.client.post("/sign-in", data={"name": "typed my password here", "password": ""}, environ_base=HERE)
    kept = "\n".join(mart.said) + str(mart.store.audit.rows(100))
    assert "(unknown)" in kept and "typed my password" not in kept and "secret" not in kept and "script" not in kept


# --------------------------------------------------------------------------------------------------- passwords by force


def test_ten_thousand_wrong_passwords_open_nothing_and_disturb_nobody(mart, monkeypatch):
    accounts.set_password(mart.store, ME, mart.clock.now(), "kim", GOOD)
    mart.sign_in("admin")
    looked = []
    true = passwords._scrypt
    monkeypatch.setattr(passwords, "_scrypt", lambda *words: looked.append(1) or true(*words))
    attacker, codes = mart.app.test_client(), []
    for number in range(10_000):
        mart.clock.advance(0.01)  # a hundred a second
        codes.append(attacker.post("/sign-in", data={"name": "kim", "password": f"guess {number}"}, environ_base={**HERE, "REMOTE_ADDR": "10.0.0.66"}).status_code)
        if number % 1000 == 0:
            mart.get("/pipelines")  # who is signed in stays so
    assert set(codes) == {401, 429} and len(looked) < 20, "all but a few are refused without a look"
    refused = [entry for entry in mart.store.audit.rows(1000) if entry.act == "sign-in refused"]
    assert 5 <= len(refused) <= 40 and sum(entry.after["times"] for entry in refused) > 9000 and len(mart.said) == len(refused)
    assert "kim from 10.0.0.66" in mart.said[-1]
    mart.clock.advance(61)  # the one who owns the name waits a minute at most, from wherever they come
    assert attacker.post("/sign-in", data={"name": "kim", "password": GOOD}, environ_base={**HERE, "REMOTE_ADDR": "10.0.0.7"}).status_code == 303


def test_many_sign_ins_at_once_never_take_the_threads_of_others(mart, monkeypatch):
    """While two passwords are looked at, a third is sent away, and a page is answered."""
    going, both = threading.Event(), threading.Barrier(3)

    def slow(password, kept):
        both.wait(30)
        going.wait(30)
        return False

    monkeypatch.setattr(passwords, "matches", slow)
    def knock(number):
        codes.append(mart.app.test_client().post("/sign-in", data={"name": f"u{number}", "password": "x"}, environ_base=HERE).status_code)

    codes = []
    threads = [threading.Thread(target=knock, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    both.wait(30)
    third = mart.app.test_client().post("/sign-in", data={"name": "u3", "password": "x"}, environ_base=HERE)
    assert third.status_code == 429 and third.headers["Retry-After"] == "1"
    mart.get("/pipelines")
    going.set()
    for thread in threads:
        thread.join()
    assert codes == [401, 401]


def test_a_look_at_a_password_gives_its_memory_back():
    """16 MB each, one at a time, and none of them kept."""
    import subprocess
    import sys

    code = (
        "from runner.web import heap; from runner import passwords\n"
        "import threading\nheap.steady()\nkept = passwords.hashed('x' * 12)\n"
        "def rss(): return int(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1])\n"
        "def peak(): return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])\n"
        "before = rss()\nts = [threading.Thread(target=passwords.matches, args=('y' * 12, kept)) for _ in range(8)]\n"
        "[t.start() for t in ts]; [t.join() for t in ts]\nprint(rss() - before, peak() - before)")
    left, peak = map(int, subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.split())
    assert left < 4000 and 8000 < peak < 28_000, (left, peak)


def test_the_application_is_made_without_any_secret_of_its_own(mart):
    """Sessions are rows, not signed cookies: there is no key to steal."""
    assert create_app(mart.desk).secret_key is None
