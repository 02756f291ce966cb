"""The http client against a real server: good, slow, mute, dying, lying."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import ssl
import threading
from urllib.parse import parse_qs, urlsplit

import pytest

from runner import steps
from tests.webserver import Quiet, WebServer

BIG = 40 << 20


class Handler(Quiet):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        url = urlsplit(self.path)
        sent = self.sent()
        self.server.seen.append((self.command, self.path, dict(self.headers), sent))
        act = getattr(self, "do" + url.path.replace("/", "_"), None)
        if act:
            act(url, sent)
        else:
            self.answer(404, "그런 것은 없습니다".encode(), Content_Type="text/plain; charset=utf-8")

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = handle_any

    def do_echo(self, url, sent):
        told = {"method": self.command, "path": self.path, "query": parse_qs(url.query), "headers": dict(self.headers), "sent": sent.decode()}
        self.answer(200, json.dumps(told).encode(), Content_Type="application/json")

    def do_data(self, url, sent):
        self.answer(200, json.dumps({"data": {"rows": [{"id": 7}, {"id": 8}], "name": "고객"}}).encode())

    def do_korean(self, url, sent):
        self.answer(200, "한글".encode("euc-kr"), Content_Type="text/plain; charset=EUC-KR")

    def do_status(self, url, sent):
        self.answer(int(url.query), b"said so")

    def do_big(self, url, sent):
        self.send_response(200)
        self.send_header("Content-Length", str(BIG))
        self.end_headers()
        for _ in range(BIG >> 16):
            self.wfile.write(b"x" * (1 << 16))

    def do_dies(self, url, sent):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"y" * 100)
        self.close_connection = True

    def do_dies_chunked(self, url, sent):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"64\r\n" + b"y" * 100 + b"\r\n")
        self.close_connection = True

    def do_drops(self, url, sent):
        self.close_connection = True

    def do_garbage(self, url, sent):
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.close_connection = True

    def do_hangs(self, url, sent):
        """A beginning, and then nothing until the test is over."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"y" * 100)
        self.server.release.wait(60)
        self.close_connection = True

    def do_loop(self, url, sent):
        self.answer(302, Location="/loop")

    def do_moved(self, url, sent):
        self.answer(int(parse_qs(url.query)["code"][0]), Location=parse_qs(url.query)["to"][0])


def Server(context=None):
    return WebServer(Handler, context, "localhost", seen=[])


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture
def secure(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
    made = Server(context)
    yield made
    made.close()


@pytest.fixture
def ask(launch):
    """As the engine does it: the body checked, normalised, and its statuses read."""
    def go(body, code=0, **env):
        kind = steps.get("http")
        assert kind.check(body) == []
        body = kind.normalise(body)
        return launch("http", {**body, "status": kind.statuses(body.get("status"))}, code, **env)

    go.launch = launch
    return go


def test_a_text_is_handed_on(server, ask):
    log = ask(f"{server.url}/korean")
    assert ask.launch.outputs() == {"status": 200, "bytes": 4, "body": "한글"}
    assert log.startswith(f"GET {server.url}/korean\n200 OK, 4 bytes in ")


def test_what_is_sent_arrives(server, ask):
    ask({"url": f"{server.url}/echo?a=1", "params": {"q": "가 나&b", "n": [1, 2], "t": True}, "headers": {"X-Name": "값", "X-N": 3}, "json": {"이름": [1]}})
    told = json.loads(ask.launch.outputs()["body"])
    assert told["method"] == "POST" and told["query"] == {"a": ["1"], "q": ["가 나&b"], "n": ["1", "2"], "t": ["true"]}
    assert told["sent"] == '{"이름": [1]}' and told["headers"]["Content-Type"] == "application/json" and told["headers"]["X-N"] == "3"
    assert told["headers"]["X-Name"].encode("latin-1").decode() == "값"


@pytest.mark.parametrize("body, sent, kind", [
    ({"body": "<a>가</a>", "headers": {"content-type": "text/xml"}}, "<a>가</a>", "text/xml"),
    ({"form": {"a": "가 &", "b": 1}}, "a=%EA%B0%80+%26&b=1", "application/x-www-form-urlencoded"),
    ({"file": "보낼 것.txt", "method": "PUT"}, "파일\n", "application/octet-stream"),
])
def test_each_way_to_send(server, ask, body, sent, kind):
    (ask.launch.folder / "보낼 것.txt").write_text("파일\n", encoding="utf-8")
    ask({"url": f"{server.url}/echo", **body})
    method, _, headers, got = server.seen[-1]
    assert got.decode() == sent and method == body.get("method", "POST")
    assert {name.lower(): value for name, value in headers.items()}["content-type"] == kind


def test_names_of_other_scripts_in_the_address(server, ask):
    ask(f"{server.url}/자료/오늘?날=금", code=22)
    assert server.seen[-1][1] == "/%EC%9E%90%EB%A3%8C/%EC%98%A4%EB%8A%98?%EB%82%A0=%EA%B8%88"
    ask(f"{server.url}/%EC%9E%90", code=22)
    assert server.seen[-1][1] == "/%EC%9E%90"


def test_a_big_answer_is_streamed_to_its_file(server, ask):
    target = ask.launch.folder / "새 폴더" / "자료.bin"
    done = ask({"url": f"{server.url}/big", "to": "새 폴더/자료.bin"})
    assert target.stat().st_size == BIG and hashlib.sha256(target.read_bytes()).hexdigest() == hashlib.sha256(b"x" * BIG).hexdigest()
    assert os.listdir(target.parent) == ["자료.bin"] and f"to {target}" in done
    assert ask.launch.outputs() == {"status": 200, "bytes": BIG}


def test_a_big_answer_without_a_file_is_not_handed_on_and_that_is_said(server, ask):
    assert "it has more than 16384 bytes; `to:` writes it to a file" in ask(f"{server.url}/big")
    assert ask.launch.outputs() == {"status": 200, "bytes": BIG}


@pytest.mark.parametrize("path", ["dies", "dies/chunked"])
def test_an_answer_that_breaks_off_leaves_the_old_file(server, ask, path):
    old = ask.launch.folder / "x.csv"
    old.write_text("old")
    assert f"localhost:{server.port} broke the answer off after 100" in ask({"url": f"{server.url}/{path}", "to": "x.csv"}, code=1)
    assert old.read_text() == "old" and [name for name in os.listdir(old.parent) if "part" in name] == []
    assert "broke the answer off" in ask(f"{server.url}/{path}", code=1)


@pytest.mark.parametrize("path, said", [("drops", "broke the connection off"), ("garbage", "gave no answer that is HTTP")])
def test_no_answer_is_said(server, ask, path, said):
    assert said in ask(f"{server.url}/{path}", code=1)


def test_a_server_that_hangs_is_given_up(server, ask):
    log = ask({"url": f"{server.url}/hangs", "timeout": 0.3, "to": "x"}, code=1)
    assert f"error: localhost:{server.port} did not answer within 0.3 s" in log and not (ask.launch.folder / "x").exists()


def test_term_in_the_middle_leaves_nothing(server, launch):
    process = launch.begin("http", {"url": f"{server.url}/hangs", "to": "x.csv", "status": [[200, 299]]})
    pause = threading.Event()
    for _ in range(3000):
        if any(name.endswith(".part") for name in os.listdir(launch.folder)):
            break
        pause.wait(0.01)
    else:
        raise AssertionError("it never began to write")
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(30) == 143
    assert [name for name in os.listdir(launch.folder) if name.endswith((".part", ".csv"))] == []


def test_an_unexpected_status_shows_what_the_server_says(server, ask):
    log = ask(f"{server.url}/nonesuch", code=22)
    assert log.endswith(f"그런 것은 없습니다\nerror: localhost:{server.port} answered 404 Not Found, expected 200-299\n       `status:` says which answers are good\n")
    assert not ask.launch.outputs()
    assert "answered 500 " in ask(f"{server.url}/status?500", code=22)
    assert "look at user and password" in ask(f"{server.url}/status?401", code=22)


def test_expected_statuses(server, ask):
    ask({"url": f"{server.url}/status?404", "status": [200, "404-409"]})
    assert ask.launch.outputs()["status"] == 404
    assert "expected 200, 404-409" in ask({"url": f"{server.url}/status?410", "status": [200, "404-409"]}, code=22)


def test_redirects(server, ask):
    ask(f"{server.url}/moved?code=302&to=/korean")
    assert ask.launch.outputs()["body"] == "한글"
    assert "redirects without end: 10 redirects followed, the next goes to /loop" in ask(f"{server.url}/loop", code=1)
    assert len(server.seen) == 2 + 11
    assert "answered 302" in ask({"url": f"{server.url}/loop", "redirects": 0}, code=22)


@pytest.mark.parametrize("code, method, sent", [(302, "GET", ""), (303, "GET", ""), (307, "POST", "x"), (308, "POST", "x")])
def test_what_a_redirected_post_becomes(server, ask, code, method, sent):
    ask({"url": f"{server.url}/moved?code={code}&to=/echo", "body": "x"})
    told = json.loads(ask.launch.outputs()["body"])
    assert (told["method"], told["sent"]) == (method, sent)


def test_a_password_does_not_follow_to_another_server(server, ask):
    other = Server()
    ask.launch.site(connections="portal: {type: http, url: '%s', user: etl, password: '<< secret.portal >>'}\n" % server.url, secrets="portal: 비밀 1\n")
    try:
        ask({"connection": "portal", "url": "/echo"})
        wanted = "Basic " + base64.b64encode("etl:비밀 1".encode()).decode()
        assert server.seen[-1][2]["Authorization"] == wanted
        ask({"connection": "portal", "url": f"moved?code=307&to={server.url}/echo"})
        assert server.seen[-1][2]["Authorization"] == wanted
        ask({"connection": "portal", "url": f"moved?code=307&to={other.url}/echo"})
        assert "Authorization" not in other.seen[-1][2]
    finally:
        other.close()


def test_a_secret_of_the_address_stays_a_mark_in_log_and_request(server, ask):
    ask.launch.site(secrets="key: hunter2\n")
    log = ask({"url": f"{server.url}/korean?key=<< secret.key >>", "headers": {"Authorization": "Bearer << secret.key >>"}})
    assert server.seen[-1][1] == "/korean?key=hunter2" and server.seen[-1][2]["Authorization"] == "Bearer hunter2"
    assert "hunter2" not in log + (ask.launch.attempt / "request.json").read_text() and "<< secret.key >>" in log


def test_extract(server, ask):
    ask({"url": f"{server.url}/data", "extract": {"first": "data.rows.0.id", "last": "data.rows.-1.id", "name": "data.name"}, "to": "x.json", "max_body": 0})
    assert ask.launch.outputs() == {"status": 200, "bytes": ask.launch.outputs()["bytes"], "first": 7, "last": 8, "name": "고객"}
    log = ask({"url": f"{server.url}/data", "extract": {"a": "data.row"}}, code=1)
    assert "extract: data.row: there is no `row` in `data`\n       there are: rows, name" in log
    assert "extract: the answer is no JSON: '한글'" in ask({"url": f"{server.url}/korean", "extract": {"a": "b"}}, code=1)


def test_head_has_no_body(server, ask):
    ask({"url": f"{server.url}/data", "method": "HEAD"})
    assert ask.launch.outputs() == {"status": 200, "bytes": 0, "body": ""}


# ------------------------------------------------------------------------------------------------------- trust and ways


def test_who_is_trusted(secure, ask, authority):
    assert "is not trusted: no authority that this server trusts" in ask(f"{secure.url}/korean", code=1)
    ask({"url": f"{secure.url}/korean", "ca": str(authority / "ca.pem")})
    ask({"url": f"{secure.url}/korean", "insecure": True})
    ask.launch.site(connections=f"portal: {{type: http, url: '{secure.url}', ca: {authority}/ca.pem}}\n")
    ask({"connection": "portal", "url": "korean"})
    assert len(secure.seen) == 3
    assert "ca: %s/nonesuch.pem: No such file" % authority in ask({"url": secure.url, "ca": f"{authority}/nonesuch.pem"}, code=2)
    (ask.launch.folder / "empty.pem").write_text("x")
    assert "holds no certificate" in ask({"url": secure.url, "ca": "empty.pem"}, code=2)


def test_a_certificate_of_another_name(secure, ask, authority):
    log = ask({"url": f"https://127.0.0.1:{secure.port}/", "ca": str(authority / "ca.pem")}, code=1)
    assert "is not trusted: " in log and "127.0.0.1" in log


def test_tls_where_there_is_none_and_none_where_there_is(server, secure, ask):
    assert f"localhost:{server.port} does not speak TLS" in ask(f"https://localhost:{server.port}/", code=1)
    ask({"url": f"http://localhost:{secure.port}/", "timeout": 5}, code=1)


def test_no_way_back_from_https(secure, server, ask, authority):
    log = ask({"url": f"{secure.url}/moved?code=302&to={server.url}/korean", "ca": str(authority / "ca.pem")}, code=1)
    assert "redirects from https to http" in log and server.seen == []


def test_proxy_variables_are_left_alone_unless_asked_for(server, ask):
    proxy = Server()
    gone = {"http_proxy": f"http://u:p@127.0.0.1:{proxy.port}", "HTTP_PROXY": f"http://127.0.0.1:{proxy.port}"}
    try:
        ask(f"{server.url}/korean", **gone)
        assert proxy.seen == []
        ask({"url": f"{server.url}/korean", "proxy": "environment"}, **gone)
        assert proxy.seen[-1][1] == f"{server.url}/korean" and proxy.seen[-1][2]["Proxy-Authorization"] == "Basic dTpw"
        ask({"url": f"{server.url}/korean", "proxy": "environment"}, 0, no_proxy="localhost", **gone)
        ask({"url": f"{server.url}/other", "proxy": f"127.0.0.1:{proxy.port}"}, code=22)
        assert [one[1] for one in proxy.seen] == [f"{server.url}/korean", f"{server.url}/other"]
    finally:
        proxy.close()


def test_nobody_there(ask):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        assert f"error: 127.0.0.1:{port} refuses the connection" in ask(f"http://127.0.0.1:{port}/", code=1)
    assert "the name nonesuch.invalid is not known on this server" in ask("http://nonesuch.invalid/", code=1)


@pytest.mark.parametrize("body, said", [
    ({"url": "http://127.0.0.1/", "file": "nonesuch"}, "is no file"),
    ({"connection": "nonesuch"}, "there is no connection nonesuch"),
    ({"url": "http://127.0.0.1/<< secret.nonesuch >>"}, "there is no secret nonesuch"),
    ({"url": "http://127.0.0.1:1/", "headers": {"A": "b\nc: d"}}, "the request cannot be sent"),
    ({"url": "http://127.0.0.1/", "timeout": "soon"}, "'soon' is not a length of time"),
    ({"url": "http://127.0.0.1/", "proxy": "socks5://x"}, "the proxy has no address that can be used"),
])
def test_what_cannot_be_sent(ask, body, said):
    assert said in ask(body, code=2)


def test_a_file_that_cannot_be_written(server, ask):
    (ask.launch.folder / "file").write_text("")
    (ask.launch.folder / "folder").mkdir()
    assert "cannot be written: File exists" in ask({"url": f"{server.url}/korean", "to": "file/x"}, code=1)
    assert "is a folder" in ask({"url": f"{server.url}/korean", "to": "folder"}, code=2)


# ---------------------------------------------------------------------------------------------------------- before a run


@pytest.mark.parametrize("body, place, said", [
    ({}, (), "`url:` is missing"),
    ("ftp://x/y", ("url",), "is no web address"),
    ("localhost:80/x", ("url",), "is no web address"),
    ("https://etl:geheim@x/y", ("url",), "a password in the address"),
    ({"url": "http://x", "json": {}, "form": {}}, ("form",), "exclude each other"),
    ({"url": "http://x", "status": "2xx"}, ("status",), "'2xx' is no status"),
    ({"url": "http://x", "status": []}, ("status",), "expects nothing"),
    ({"url": "http://x", "insecure": True, "ca": "x"}, ("insecure",), "trusts anybody"),
    ({"url": "http://x", "method": "HEAD", "body": "x"}, ("body",), "sends nothing"),
])
def test_faults_of_the_file(body, place, said):
    found = steps.get("http").check(body)
    assert [fault[0] for fault in found] == [place] and said in found[0][1] and found[0][2].endswith((".", "`"))


@pytest.mark.parametrize("body", ["<< params.url >>", "https://<< params.host >>/x", {"connection": "portal"}, {"connection": "portal", "url": "/x"}])
def test_what_is_known_only_in_a_run_is_no_fault(body):
    assert steps.get("http").check(body) == []
