"""The email client against real servers."""

from __future__ import annotations

import socket

import pytest

from runner import steps


@pytest.fixture
def serve(authority, make_mail_server):
    return lambda tls="none", **options: make_mail_server(tls, authority, **options)


@pytest.fixture
def send(launch, authority):
    """A step's body to a server, as the engine does it."""
    def go(server, tls, code=0, site="", host="localhost", **body):
        port = server if isinstance(server, int) else server.port
        launch.site(connections=f"mail: {{type: smtp, host: {host}, port: {port}, tls: {tls}, from: 'etl@example.com', timeout: 5s{site}}}\n")
        kind = steps.get("email")
        body = {"connection": "mail", "to": "kim@example.com", "subject": "s", "body": "t", **body}
        assert kind.check(body) == []
        return launch("email", {**body, **{key: kind.receivers(body[key]) for key in kind.RECEIVERS if key in body}}, code)

    go.launch, go.ca = launch, f", ca: {authority}/ca.pem"
    return go


@pytest.mark.parametrize("tls", ["none", "starttls", "smtps"])
def test_a_mail_in_hangul_by_each_way(serve, send, tls):
    server = serve(tls)
    folder = send.launch.folder / "결과"
    folder.mkdir()
    for name in ("고객 1.csv", "고객 2.csv"):
        (folder / name).write_text("가,나\n", encoding="utf-8")
    log = send(server, tls, site="" if tls == "none" else send.ca, to=["김철수 <kim@example.com>", "lee@example.com"], cc="park@example.com",
               bcc="boss@example.com", subject="고객 마트 2026-11-20 완료", body="끝났습니다.\n", html="<b>끝</b>", attach="결과/고객*.csv")
    (mail,) = server.received
    ((sender, receivers),) = server.envelopes
    assert sender == "etl@example.com" and sorted(receivers) == [f"{name}@example.com" for name in ("boss", "kim", "lee", "park")]
    assert mail["Subject"] == "고객 마트 2026-11-20 완료" and "boss" not in mail.as_string() and mail["Cc"] == "park@example.com"
    assert mail.get_body(("plain",)).get_content().strip() == "끝났습니다." and mail.get_body(("html",)).get_content().strip() == "<b>끝</b>"
    assert [(part.get_filename(), part.get_content()) for part in mail.iter_attachments()] == [("고객 1.csv", "가,나\n"), ("고객 2.csv", "가,나\n")]
    assert "with 고객 1.csv, 8 bytes\n" in log
    assert send.launch.outputs() == {"message_id": mail["Message-ID"], "receivers": 4, "bytes": 16}


def test_the_password_is_a_secret_and_a_wrong_one_is_said(serve, send):
    server = serve("starttls", users={"etl": "비밀 pw"})
    login = send.ca + ", user: etl, password: '<< secret.mail >>'"
    send.launch.site(secrets="mail: 비밀 pw\n")
    log = send(server, "starttls", site=login)
    assert len(server.received) == 1 and "비밀" not in log
    send.launch.site(secrets="mail: hunter2\n")
    log = send(server, "starttls", code=2, site=login)
    assert f"error: localhost:{server.port} does not accept user etl and its password: 535" in log and "hunter2" not in log
    log = send(server, "starttls", code=1, site=send.ca)
    assert "530" in log and "the server wants a login" in log
    assert len(server.received) == 1


def test_tls_that_does_not_fit_is_said(serve, send):
    plain, starttls, smtps = serve("none"), serve("starttls"), serve("smtps")
    assert "offers no STARTTLS" in send(plain, "starttls", code=1, site=send.ca)
    assert f"localhost:{plain.port} does not speak TLS" in send(plain, "smtps", code=1, site=send.ca)
    assert "530" in send(starttls, "none", code=1)
    assert "localhost:" in send(smtps, "none", code=1)
    assert plain.received == starttls.received == smtps.received == []


@pytest.mark.parametrize("tls", ["starttls", "smtps"])
def test_who_is_not_trusted_gets_no_mail(serve, send, tls):
    server = serve(tls)
    assert "is not trusted: no authority that this server trusts" in send(server, tls, code=1)
    assert "is not trusted" in send(server, tls, code=1, site=send.ca, host="127.0.0.1")
    assert server.received == []
    send(server, tls, site=", insecure: true")
    assert len(server.received) == 1


def test_receivers_that_are_refused(serve, send):
    server = serve(refuse=("gone@example.com",))
    log = send(server, "none", code=3, to=["kim@example.com", "gone@example.com"])
    assert "refused gone@example.com: 550 no such user; the other receivers have the mail" in log and len(server.received) == 1
    log = send(server, "none", code=1, to="gone@example.com")
    assert "refused gone@example.com: 550 no such user\n" in log and len(server.received) == 1


def test_a_server_that_dies_at_the_last_moment(serve, send):
    server = serve(drop=True)
    assert f"localhost:{server.port} broke the connection off" in send(server, "none", code=1)


def test_a_server_that_hangs_and_one_that_is_not_there(send):
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        port = mute.getsockname()[1]
        assert f"localhost:{port} did not answer within 5 s" in send(port, "none", code=1)
    assert f"localhost:{port} refuses the connection" in send(port, "none", code=1)


def test_what_cannot_be_attached(serve, send):
    server = serve()
    (send.launch.folder / "big").write_bytes(b"x" * 1001)
    assert "nonesuch.csv is no file" in send(server, "none", code=2, attach="nonesuch.csv")
    assert "*.csv fits no file" in send(server, "none", code=2, attach=["*.csv"])
    assert "1001 bytes together, more than `max_size: 1000`" in send(server, "none", code=2, attach="big", max_size=1000)
    assert server.received == []
    send(server, "none", attach="big", max_size=1001)
    assert len(server.received) == 1


def test_what_is_wrong_with_a_connection(send):
    send.launch.site(connections="other: {}\n")
    assert "there is no connection mail" in send.launch("email", {"connection": "mail", "to": ["a@b.c"], "subject": "s", "body": "t"}, 2)
    assert "has no sender" in send(1, "none", code=2, site=", from: ''")


@pytest.mark.parametrize("body, place, said", [
    ({}, (), "`to:` is missing"),
    ({"to": "nobody"}, ("to",), "'nobody' is no mail address"),
    ({"to": "a@b.c; d@e.f"}, ("to",), "is no mail address"),
    ({"to": "a@b.c", "from": "etl"}, ("from",), "'etl' is no mail address"),
])
def test_faults_of_the_file(body, place, said):
    found = steps.get("email").check({"connection": "mail", "subject": "s", "body": "t", **body})
    assert [fault[0] for fault in found] == [place] and said in found[0][1]


def test_a_mail_that_says_nothing():
    assert "says nothing" in steps.get("email").check({"connection": "mail", "subject": "s", "to": "a@b.c"})[0][1]


def test_several_receivers_in_one_text():
    kind = steps.get("email")
    assert kind.receivers('a@b.c, "Kim, C." <k@x.y>,<< params.who >>') == ["a@b.c", '"Kim, C." <k@x.y>', "<< params.who >>"]
    assert kind.receivers("<< params.team | join(', ') >>, \"a\", x@y.z") == ["<< params.team | join(', ') >>", '"a"', "x@y.z"]
    assert kind.check({"connection": "mail", "subject": "s", "body": "t", "to": ["<< params.who >>", "K <k@x.y>"]}) == []


def test_term_while_the_server_hangs_ends_it_and_no_mail_goes(send):
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        mute.settimeout(60)
        send.launch.site(connections=f"mail: {{type: smtp, host: 127.0.0.1, port: {mute.getsockname()[1]}, tls: none, from: a@b.example}}\n")
        process = send.launch.begin("email", {"connection": "mail", "to": ["kim@example.com"], "subject": "s", "body": "t"})
        connection, _ = mute.accept()  # it waits for a greeting
        process.terminate()
        assert process.wait(60) in (-15, 143) and "Traceback" not in send.launch.log()
        connection.settimeout(60)
        assert b"DATA" not in connection.recv(1000)
        connection.close()
