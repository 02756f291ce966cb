"""One message through each kind of channel, against real servers and real processes."""

from __future__ import annotations

import base64
import json
import os
import threading
import time

import pytest

from runner.alerts import channels, deliver
from runner.alerts.message import Message
from runner.errors import RunnerError
from tests.webserver import Quiet, WebServer

TEXT = "고객 마트가 실패했습니다\n  << secret.token >>\n"
FIELDS = {"pipeline": "mart", "log": 'say "no"\\\n\ttab', "reason": "exit 3"}
MESSAGE = Message("mart@2026-02-28/failure/1", "[runner] FAILED mart@2026-02-28 (exit 3)", TEXT, FIELDS)
CANARY = "k4nari-비밀"


@pytest.fixture
def send(home):
    home.write("secrets.yaml", f"token: {CANARY}\n")

    def go(body, message=MESSAGE):
        home.alerts("channels:\n  ops:\n" + "\n".join("    " + line for line in body.strip("\n").splitlines()))
        environ = {"PATH": os.environ["PATH"], "RUNNER_RUN_ID": "outer"}
        return deliver.send(channels.load(str(home.folder)).channels["ops"], message, str(home.folder), environ)

    return go


# ------------------------------------------------------------------------------------------------------------- webhook


def test_json_template_headers_and_key(send, web, home):
    home.write("secrets.yaml", "token: tok3n\n")
    said = send(f"""
webhook:
  url: {web.url}
  headers: {{Authorization: "Bearer << secret.token >>"}}
  json: {{channel: 당직, blocks: [{{text: "<< subject >>: << log >>"}}], raw: "<< text >>"}}
""")
    (path, headers, raw), = web.got
    assert said == "200 ok" and headers["Authorization"] == "Bearer tok3n" and headers["X-Runner-Key"] == MESSAGE.key
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(raw) == {"channel": "당직", "blocks": [{"text": MESSAGE.subject + ": " + MESSAGE.fields["log"]}], "raw": TEXT}
    assert b"tok3n" not in raw, "a mark in the log was filled in as if it stood in the template"


def test_a_text_body_as_it_is_and_escaped_where_it_is_json(send, web):
    send(f"webhook: {{url: {web.url}, method: PUT, body: '<< pipeline >>: << log >>'}}")
    send(f"webhook: {{url: {web.url}, headers: {{content-type: application/json}}, body: '{{\"n\": 1, \"t\": \"<< log >>\"}}'}}")
    assert web.got[0][2].decode() == "mart: " + MESSAGE.fields["log"] and web.got[0][1]["Content-Type"].startswith("text/plain")
    assert json.loads(web.got[1][2]) == {"n": 1, "t": MESSAGE.fields["log"]}


def test_without_a_template_every_name_is_sent(send, web):
    send(f"webhook: {{url: {web.url}}}")
    (got,) = web.texts()
    assert got["pipeline"] == "mart" and got["key"] == MESSAGE.key and got["text"] == TEXT and got["exit_code"] == ""


@pytest.mark.parametrize("status, said, hint", [
    (500, "answered 500: no disk", ""), (401, "answered 401: no disk", "the secret in it"), (404, "answered 404", "`url:`"),
    (302, "answered 302", ""),
])
def test_an_answer_that_is_no_yes(send, web, status, said, hint):
    web.answers = [(status, "no\n disk")]
    with pytest.raises(RunnerError) as caught:
        send(f"webhook: {{url: {web.url}}}")
    assert said in caught.value.message and hint in caught.value.hint and len(web.got) == 1


def test_a_server_that_says_nothing_or_is_not_there(send, mute):
    with pytest.raises(RunnerError, match=f"127.0.0.1:{mute.port} did not answer within 0.3 s"):
        send(f"webhook: {{url: 'http://127.0.0.1:{mute.port}/x', timeout: 0.3s}}")
    mute.close()
    with pytest.raises(RunnerError, match="refuses the connection"):
        send(f"webhook: {{url: 'http://127.0.0.1:{mute.port}/x'}}")


def test_a_server_that_drips_is_given_up_too(send, monkeypatch):
    """Each byte comes in time, the answer never ends."""
    class Drip(Quiet):
        def do_POST(self):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            try:
                while not self.server.release.wait(0.02):
                    self.wfile.write(b".")
            except OSError:
                pass

    server = WebServer(Drip)
    monkeypatch.setattr(deliver, "LONGEST", 0.5)
    try:
        began = time.monotonic()
        with pytest.raises(RunnerError, match="channel ops was not done within 0.5 s"):
            send(f"webhook: {{url: '{server.url}'}}")
        assert time.monotonic() - began < 60  # pytest's own alarm would say the same, later
    finally:
        server.close()


@pytest.mark.parametrize("value", [CANARY, "k4nari line\\nbreak", "k4nari"])
def test_a_secret_never_stands_in_what_is_said(send, mute, home, value):
    """Python's own words for a bad address or header would hold it."""
    home.write("secrets.yaml", f'token: "{value}"\n')
    mute.close()
    for body in (f"webhook: {{url: 'http://127.0.0.1:{mute.port}/<< secret.token >>'}}", "webhook: {url: 'http://<< secret.token >>:x/'}",
                 "webhook: {url: << secret.token >>}",
                 f"webhook: {{url: 'http://127.0.0.1:{mute.port}/x', headers: {{A: '<< secret.token >>'}}}}"):
        with pytest.raises(RunnerError) as caught:
            send(body)
        assert "k4nari" not in caught.value.message + caught.value.hint, body


def test_a_secret_that_the_other_side_repeats_is_masked(send, web):
    """The delivery log keeps what it says, and the page shows that."""
    body = f"webhook: {{url: '{web.url}', json: {{a: 'Bearer << secret.token >>'}}}}"
    web.answers = [(200, f"you said Bearer {CANARY}"), (403, f"who is {CANARY}?")]
    assert send(body) == "200 you said ***"
    with pytest.raises(RunnerError) as caught:
        send(body)
    assert "who is ***?" in caught.value.message and CANARY not in caught.value.message + caught.value.hint
    assert "***" in send("command: {run: [sh, -c, 'echo $T'], env: {T: << secret.token >>}}")


def test_a_secret_that_is_not_there_is_named(send, web):
    with pytest.raises(RunnerError, match="there is no secret nonesuch"):
        send(f"webhook: {{url: {web.url}, json: {{a: << secret.nonesuch >>}}}}")
    assert web.got == []


# ---------------------------------------------------------------------------------------------------------------- smtp


def test_a_mail_in_hangul_with_an_id_that_stays(send, mail_server):
    body = f"smtp: {{host: 127.0.0.1, port: {mail_server.port}, tls: none, from: runner@example.com, to: [kim@example.com, lee@example.com]}}"
    assert send(body) == "127.0.0.1 took it for kim@example.com, lee@example.com"
    send(body)
    first, second = mail_server.received
    assert first["Subject"] == MESSAGE.subject and first.get_content().replace("\r\n", "\n") == TEXT and first["X-Runner-Key"] == MESSAGE.key
    assert first["Message-ID"] == second["Message-ID"] and first["Message-ID"].endswith("@example.com>")
    assert mail_server.envelopes[0][1] == ["kim@example.com", "lee@example.com"]


def test_a_connection_of_the_site_is_enough(send, mail_server, home):
    home.write("connections.yaml", f"mail: {{type: smtp, host: 127.0.0.1, port: {mail_server.port}, tls: none, from: etl@example.com}}\n")
    send("smtp: {connection: mail, to: kim@example.com}")
    assert mail_server.envelopes[0] == ("etl@example.com", ["kim@example.com"])


def test_a_mail_server_that_refuses_or_hangs(send, mail_server, mute):
    mail_server.refuse = ("kim@example.com",)
    with pytest.raises(RunnerError, match="refused kim@example.com: 550 no such user"):
        send(f"smtp: {{host: 127.0.0.1, port: {mail_server.port}, tls: none, from: a@example.com, to: kim@example.com}}")
    with pytest.raises(RunnerError, match="did not answer within 0.3 s"):
        send(f"smtp: {{host: 127.0.0.1, port: {mute.port}, tls: none, from: a@example.com, to: kim@example.com, timeout: 0.3s}}")


# ------------------------------------------------------------------------------------------------------------- command


def test_a_command_gets_the_text_on_stdin_and_the_names_as_variables(send, home):
    script = home.write("sms", """\
        #!/bin/sh
        { cat; echo "$RUNNER_ALERT_PIPELINE|$RUNNER_ALERT_KEY|$TOKEN|$RUNNER_RUN_ID|$1|$2"; } > got
        echo queued; echo "id 4711"
        """, 0o700)
    assert send(f"command: {{run: [{script}, --subject, '<< subject >>'], env: {{TOKEN: << secret.token >>}}}}") == "id 4711"
    assert (home.folder / "got").read_text(encoding="utf-8") == TEXT + f"mart|{MESSAGE.key}|{CANARY}||--subject|{MESSAGE.subject}\n"


@pytest.mark.parametrize("run, said", [
    ("[sh, -c, 'echo no line; echo the gateway is down; exit 3']", "sh: exit 3: the gateway is down"),
    ("[sh, -c, 'kill -9 $$']", "sh: signal 9"),
    ("[/nonesuch/sms]", "/nonesuch/sms cannot be started: No such file or directory"),
    ("[sleep, '600']", "sleep had not ended after 0.3 s"),
])
def test_a_command_that_fails(send, run, said):
    with pytest.raises(RunnerError) as caught:
        send(f"command: {{run: {run}, timeout: 0.3s}}" if "sleep" in run else f"command: {{run: {run}}}")
    assert caught.value.message == said


def test_nothing_is_left_of_a_command_that_hangs(send, home):
    with pytest.raises(RunnerError, match="had not ended"):
        send("command: {run: [sh, -c, 'sleep 600 & echo $! > pid; wait'], timeout: 3s}")
    pid = int((home.folder / "pid").read_text())
    for _ in range(1000):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":  # whoever adopts orphans has not looked yet
                    return
        except (FileNotFoundError, ProcessLookupError):
            return
        threading.Event().wait(0.02)
    raise AssertionError("it lives")


def test_a_command_that_reads_nothing_of_a_long_text(send):
    assert send("command: {run: [sh, -c, 'exec <&-; echo done']}", Message("k", "s", "x" * 500_000)) == "done"


def test_no_secret_is_in_what_a_person_sees(send, home):
    """Also not in another form."""
    send("command: {run: [sh, -c, 'ps -o args= -p $$ > seen; env > env'], env: {TOKEN: << secret.token >>}}")
    seen = (home.folder / "seen").read_text(encoding="utf-8") + (home.folder / "alerts.yaml").read_text(encoding="utf-8")
    assert CANARY not in seen and base64.b64encode(CANARY.encode()).decode() not in seen
    assert f"TOKEN={CANARY}" in (home.folder / "env").read_text(encoding="utf-8")
