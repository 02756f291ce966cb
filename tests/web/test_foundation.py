"""What all pages share: headers, languages, errors, files, who is answered, and what is not made twice."""

from __future__ import annotations

import gzip
import os
import re
import socket

import pytest

from runner import config
from runner.errors import EnvironmentFault
from runner.web import language, peers
from runner.web.server import holder_of

WEB = os.path.dirname(language.__file__)


# ------------------------------------------------------------------------------------------------------------- headers


@pytest.mark.parametrize("path, code", [("/pipelines", 200), ("/nothing", 404), ("/static/page.css", 200), ("/healthz", 503), ("/pipelines.json", 200)])
def test_every_answer_forbids_what_the_page_does_not_need(web, path, code):
    headers = web.get(path, code).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'self';") and "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY" and headers["Referrer-Policy"] == "same-origin"


def test_no_file_of_the_page_names_another_host_or_holds_a_script_or_style_of_its_own():
    for folder, _, files in os.walk(WEB):
        for name in files:
            if name.endswith((".html", ".css", ".js", ".svg")):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    text = file.read().replace("http://www.w3.org/2000/svg", "")
                assert not re.search(r"https?://|//[a-z]+\.[a-z]|@import|url\(", re.sub(r"^\s*//.*$", "", text, flags=re.M)), name
                if name.endswith(".html"):
                    assert not re.search(r"<script>|<style|\sstyle=|\son(?!ly=)[a-z]+=|javascript:", text), name


def test_a_static_file_may_be_kept_for_ever_by_its_hash_and_asked_for_again_without(web):
    address = re.search(r'href="(/static/page\.css\?h=\w+)"', web.text("/pipelines"))[1]
    assert "immutable" in web.get(address).headers["Cache-Control"]
    assert web.get("/static/page.css").headers["Cache-Control"] == "no-cache"
    web.get("/static/nothing.css", 404)
    web.get("/static/..%2fapp.py", 404)


# ----------------------------------------------------------------------------------------------------------- languages


def test_both_languages_have_the_same_texts_with_the_same_gaps():
    english, korean = language.texts("en"), language.texts("ko")
    assert set(english) == set(korean)
    gaps = lambda text: sorted(re.findall(r"\{(\w+)\}", text))  # noqa: E731
    assert {name: gaps(text) for name, text in english.items()} == {name: gaps(text) for name, text in korean.items()}
    assert [name for name in english if english[name] == korean[name] and name not in ("word.ds",)] == []


def test_every_text_that_is_asked_for_is_there_and_each_is_asked_for():
    used, prefixes = set(), set()
    for folder, _, files in os.walk(WEB):
        for name in files:
            if name.endswith((".html", ".py")):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    text = file.read()
                used |= set(re.findall(r"\b(?:t|words)\([\"']([\w.]+)[\"'][,)]", text))
                prefixes |= set(re.findall(r"\bt\([\"']([\w.]+\.)[\"'] ~", text)) | set(re.findall(r"words\(f\"([\w.]+\.)\{", text))
    known = set(language.texts("en"))
    assert used <= known, used - known
    unused = {name for name in known - used if not name.startswith((*prefixes, "state."))}
    assert not unused


@pytest.mark.parametrize("wished, accepted, found", [
    ("", "", "en"), ("", "ko-KR,ko;q=0.9,en;q=0.8", "ko"), ("", "en-US,en;q=0.9,ko;q=0.8", "en"), ("", "de, ko;q=0.5, en;q=0.4", "ko"),
    ("ko", "en", "ko"), ("xx", "ko", "ko"), ("../en", "*", "en"), ("", "ko;q=banana, en;q=0.1", "en"),
])
def test_the_language_is_the_chosen_one_or_the_browsers(wished, accepted, found):
    assert language.choose(wished, accepted) == found


def test_a_chosen_language_stays_and_leads_back(web):
    answer = web.get("/language/ko?back=/pipelines%3Fq=x", 302)
    assert answer.headers["Location"] == "/pipelines?q=x"
    cookie = answer.headers["Set-Cookie"]
    assert "lang=ko" in cookie and "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert '<html lang="ko">' in web.text("/pipelines") and "파이프라인" in web.text("/pipelines")


@pytest.mark.parametrize("back", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:x"])
def test_a_chosen_language_leads_to_no_other_host(web, back):
    assert web.client.get("/language/ko", query_string={"back": back}, environ_base={"REMOTE_ADDR": "127.0.0.1"}).headers["Location"] == "/"


# -------------------------------------------------------------------------------------------------------------- errors


def test_an_error_is_a_page_and_for_programs_a_problem(web):
    assert "There is nothing at /nothing" in web.text("/nothing", code=404)
    problem = web.get("/nothing.json", 404)
    assert problem.content_type == "application/problem+json" and problem.get_json(force=True)["status"] == 404


def test_a_fault_of_ours_shows_no_traceback_and_stands_in_the_log(web, monkeypatch):
    monkeypatch.setattr(type(web.store.pages), "last_of_each", lambda self, limit: 1 / 0)
    text = web.text("/pipelines", code=500)
    assert "ZeroDivisionError" not in text and "Traceback" not in text and "daemon.log" in text
    assert "ZeroDivisionError" in web.said[-1]


def test_without_a_database_the_page_says_so_and_goes_on_when_there_is_one(tmp_path):
    from tests.web.stage import Web

    web = Web(tmp_path)
    os.rename(web.config.database, web.config.database + ".away")
    assert "there is no database yet" in web.text("/pipelines", code=503)
    os.rename(web.config.database + ".away", web.config.database)
    web.get("/pipelines")
    web.close()


def test_the_page_cannot_write(mart):
    with mart.app.app_context(), pytest.raises(EnvironmentFault, match="readonly"):
        mart.desk.store().pipelines.pause("mart", "x", "me", mart.clock.now())


# ---------------------------------------------------------------------------------------------------- who is answered


def test_without_accounts_only_the_daemons_own_user_is_answered(tmp_path, monkeypatch):
    from tests.web.stage import Web

    web = Web(tmp_path, accounts=False)
    monkeypatch.setattr(peers, "uid_of", lambda host, port: os.getuid() + 1)
    assert "only the user of this daemon" in web.text("/pipelines", code=403)
    monkeypatch.setattr(peers, "uid_of", lambda host, port: None)
    web.get("/pipelines", 403)
    monkeypatch.setattr(peers, "uid_of", lambda host, port: os.getuid())
    web.get("/pipelines")
    other = web.client.get("/pipelines", environ_base={"REMOTE_ADDR": "10.0.0.7", "REMOTE_PORT": "1"})
    assert other.status_code == 403
    web.close()


@pytest.mark.parametrize("family, host", [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_user_behind_a_connection_is_the_kernels_word(family, host):
    try:
        listening = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"{host} is not to be had here")
    with listening, socket.create_connection(listening.getsockname()[:2]) as client:
        accepted, (address, port, *_) = listening.accept()
        with accepted:
            assert peers.uid_of(address, port) == os.getuid() and peers.may_look(address, port)
            if family == socket.AF_INET:
                assert peers.uid_of("::ffff:" + address, port) == os.getuid()
        assert client.getsockname()[1] == port
    assert peers.uid_of(host, 1) is None


def test_who_holds_a_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert re.fullmatch(rf"pid {os.getpid()} \(.+\)", holder_of(port))
    assert holder_of(port) == ""


@pytest.mark.parametrize("host, code", [
    ("localhost", 200), ("127.0.0.1:8080", 200), ("[::1]:8080", 200), ("10.1.2.3", 200), (socket.gethostname(), 200), ("evil.example", 421),
    ("127.0.0.1.evil.example", 421), ("localhost.evil.example", 421),
])
def test_a_name_that_is_not_this_servers_is_not_answered(web, host, code):
    web.get("/pipelines", code, Host=host)


def test_the_address_in_the_settings_is_answered_with_its_prefix_in_every_link(web):
    web.open(page_url="https://etl.example/night/runner")
    for path in ("/night/runner/pipelines", "/pipelines"):  # a proxy may leave the prefix or take it away
        text = web.text(path, Host="etl.example")
        assert set(re.findall(r'(?:href|src)="(/[^"?]*)', text)) and all(link.startswith("/night/runner/") for link in re.findall(r'(?:href|src)="(/[^"?]*)', text))
    answer = web.get("/language/ko?back=/pipelines", 302, Host="etl.example")
    assert answer.headers["Location"] == "/night/runner/pipelines" and "Secure" in answer.headers["Set-Cookie"] and "Path=/night/runner" in answer.headers["Set-Cookie"]


def test_a_proxy_on_this_server_is_believed_and_no_other(web):
    said = {"X_Forwarded_Prefix": "/etl", "X_Forwarded_Proto": "https", "X_Forwarded_For": "10.9.8.7"}
    assert 'href="/etl/pipelines"' in web.text("/pipelines", **said)
    assert 'href="/pipelines"' in web.text("/pipelines", **{**said, "X_Forwarded_Prefix": '/"><script>'})
    far = web.client.get("/pipelines", headers={"X-Forwarded-Prefix": "/etl"}, environ_base={"REMOTE_ADDR": "10.0.0.7"})
    assert 'href="/pipelines"' in far.text


# --------------------------------------------------------------------------------------------------- not made twice


def test_what_has_not_changed_is_not_sent_again(mart):
    first = mart.get("/pipelines")
    assert mart.get("/pipelines", 304, If_None_Match=first.headers["ETag"]).data == b""
    mart.store.pipelines.pause("mart", "x", "kim", mart.clock.now(), "month end")
    assert "paused by kim" in mart.text("/pipelines", If_None_Match=first.headers["ETag"])


def test_fifty_who_watch_cost_one(mart, monkeypatch):
    from runner.web import show

    made = []
    monkeypatch.setattr(show, "_made", lambda *words, was=show._made: made.append(1) or was(*words))
    for _ in range(50):
        mart.get("/pipelines")
    assert len(made) == 1
    mart.clock.advance(20)
    mart.get("/pipelines")
    assert len(made) == 2


def test_the_live_part_is_what_the_page_holds(mart):
    whole, live = mart.text("/pipelines"), mart.text("/pipelines", X_Part="live")
    assert live.strip() in whole and "<html" not in live and "mart" in live


def test_a_large_answer_is_packed(mart):
    answer = mart.get("/pipelines", Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip" and b"mart" in gzip.decompress(answer.data)


# ------------------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize("text, found", [
    ("127.0.0.1:8080", "127.0.0.1:8080"), ("9000", "127.0.0.1:9000"), ("0.0.0.0:80", "0.0.0.0:80"), ("[::1]:8080", "[::1]:8080"), ("off", ""),
])
def test_where_to_listen(tmp_path, text, found):
    assert config.load({"RUNNER_HOME": str(tmp_path), "RUNNER_LISTEN": text}).listen == found


@pytest.mark.parametrize("text", ["8080x", "host:", ":8080", "::1:8080", "a:70000", "127.0.0.1:0"])
def test_where_one_cannot_listen(tmp_path, text):
    with pytest.raises(EnvironmentFault, match="is no HOST:PORT"):
        config.load({"RUNNER_HOME": str(tmp_path), "RUNNER_LISTEN": text})


@pytest.mark.parametrize("text", ["etl.example", "ftp://x", "https://x/a b", "https://x/?q", "https://x//y"])
def test_what_is_no_address_of_a_page(tmp_path, text):
    with pytest.raises(EnvironmentFault, match="is no address of a page"):
        config.load({"RUNNER_HOME": str(tmp_path), "RUNNER_PAGE_URL": text})
    assert config.load({"RUNNER_HOME": str(tmp_path), "RUNNER_PAGE_URL": "https://etl.example/a/"}).page_url == "https://etl.example/a"
