"""A canary: a pipeline that prints its secrets in every way it can, and then all that runner leaves behind is searched for them."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from urllib.parse import quote, urljoin

import pytest

from tests.e2e.daemons import House
from tests.site.kdc import free_port
from tests.webserver import Quiet, WebServer

CANARY = "c4nary/Tok+en=7&\"'\\ü한"
PASSWORD = "parola-8842-segreta"
LONG = "".join(chr(33 + i * 7 % 90) for i in range(150))  # longer than a line of Base64
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEAAo\n-----END KEY-----\n"


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.env.pop("RUNNER_DURABILITY")
    made.secret("api", CANARY)
    made.secret("pw", PASSWORD)
    made.secret("long", LONG)
    made.secret("key", KEY)
    yield made
    made.close()


def secret(house, name, value):
    house("secrets", "set", name, stdin=value)


House.secret = secret


@pytest.fixture
def echo():
    """A web server that answers with all it was sent."""

    class Handler(Quiet):
        def do_POST(self):
            sent = self.sent().decode()
            self.server.seen.append((dict(self.headers), sent))
            self.answer(200, json.dumps({"headers": dict(self.headers), "sent": sent}).encode())

    server = WebServer(Handler, seen=[])
    yield server
    server.close()


PRINTER = r"""
import base64, json, os, sys, time, urllib.parse
api, long, key = os.environ["API"], os.environ["LONG"], os.environ["KEY"]
assert os.environ["AUTH"] == "Bearer " + api, "the value did not arrive"
print("plain", api, long)
print(key)
for before in ("", "u", "us", "user:"):
    text = base64.b64encode((before + api).encode()).decode()
    print(text, base64.urlsafe_b64encode((before + api).encode()).decode())
    folded = base64.b64encode((before + long).encode()).decode()
    print("\n".join(folded[i:i + 76] for i in range(0, len(folded), 76)))
print(urllib.parse.quote(api), urllib.parse.quote(api, safe=""), urllib.parse.quote_plus(api))
print(api.encode().hex(), api.encode().hex().upper())
print(json.dumps({"token": api}), json.dumps({"token": api}, ensure_ascii=False), repr(api))
sys.stdout.flush()
for value in (api.encode(), base64.b64encode(api.encode())):
    for i in range(len(value)):
        os.write(1, value[i:i + 1])
        time.sleep(0.001)
for fill in range(65536 - 8, 65536 + 8):
    os.write(2, b"x" * fill + api.encode() + b"\n")
with open(os.environ["RUNNER_OUTPUT"], "a") as file:
    file.write("token=" + api + "\n" + json.dumps({"deep": {"b64": base64.b64encode(api.encode()).decode()}}) + "\n")
sys.exit("the last line " + api)
"""


def pipeline(house, echo):
    house.write("connections", "")
    path = house.home / "connections.yaml"
    path.write_text(f"portal: {{type: http, url: 'http://127.0.0.1:{echo.server_port}', user: etl, password: << secret.pw >>}}\n")
    path.chmod(0o600)
    house.write("home/pipelines/print.py", PRINTER)
    return house.pipeline("canary", f"""
        env: {{API: << secret.api >>, LONG: << secret.long >>}}
        steps:
          - id: says
            allow_failure: true
            env: {{AUTH: "Bearer << secret.api >>", KEY: << secret.key >>}}
            python: {{script: print.py}}
          - id: hands
            bash: |
              set -x
              echo "token=$API" >> "$RUNNER_OUTPUT"
              echo "b64=$(printf %s "$API" | base64 -w0)" >> "$RUNNER_OUTPUT"
              : > "$ROOM/hands"; until [ -e "$ROOM/open" ]; do sleep 0.05; done
          - id: takes
            needs: hands
            env: {{GOT: "<< outputs.hands.token >>"}}
            bash: 'echo "got $GOT << outputs.hands.b64 >>"'
          - id: asks
            http: {{connection: portal, url: /x, headers: {{X-Token: "t << secret.api >>"}}, json: {{pw: "<< secret.pw >>"}}}}
          - id: tells
            needs: asks
            bash: 'echo << outputs.asks.body | sh >>'
    """)


def spellings():
    """What must be nowhere, as bytes."""
    out = [PASSWORD.encode(), LONG.encode(), b"MIIEvQIBADANBgkqhkiG9w0", b"BAQEFAASCBKcwggSjAgEAAo", CANARY.encode(), b"c4nary", quote(CANARY, safe="").encode()]
    out += [value.encode().hex().encode()[:20] for value in (CANARY, LONG, PASSWORD)] + [CANARY.encode().hex().upper().encode()[:20]]
    for value in (CANARY, LONG, PASSWORD):
        for before in ("", "x", "xx"):
            text = base64.b64encode((before + value).encode())
            out += [text[8 * i : 8 * i + 12] for i in range(1, 3)]
    return out


def assert_clean(what, data):
    for wanted in spellings():
        at = data.find(wanted)
        assert at < 0, (what, wanted, data[max(at - 60, 0) : at + 60])


def assert_disk_clean(house):
    looked = 0
    for folder, _, names in os.walk(house.home):
        for name in names:
            if name != "secrets.yaml":
                with open(os.path.join(folder, name), "rb") as file:
                    assert_clean(os.path.join(folder, name), file.read())
                looked += 1
    assert looked > 20


def ps():
    """The arguments of every process."""
    return subprocess.run(["ps", "-eww", "-o", "args="], stdout=subprocess.PIPE, check=True).stdout


def families():
    """pid -> parent, for every process."""
    out = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                out[pid] = file.read().rpartition(")")[2].split()[1]
        except OSError:
            pass
    return out


def assert_environments_clean():
    """Only what an attendant has started may have a value in its environment, and no other user may look at that."""
    parents, seen = families(), 0
    behind = {pid for pid in parents if b"attendant.py" in read(f"/proc/{parents[pid]}/cmdline")}
    for pid in parents:
        at = pid
        while at in parents and at not in behind:
            at = parents[at]
        if at in behind:
            seen += 1
        else:
            assert_clean(f"environ of {pid}", read(f"/proc/{pid}/environ"))
    assert seen
    if os.geteuid() == 0 and shutil.which("setpriv"):
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", "cat /proc/*/environ /proc/*/cmdline; ps -eww e"]
        looked = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/").stdout
        assert b"attendant.py" in looked
        assert_clean("what another user sees", looked)


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def crawl(port):
    """Each address that the page leads to, with its JSON twin: address -> answer."""
    opened = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    todo, answers = ["/", "/metrics", "/healthz", "/api/v1/openapi.json"], {}
    while todo:
        address = todo.pop(0)
        if address in answers or len(answers) > 400:
            continue
        try:
            with opened(f"http://127.0.0.1:{port}{address}", timeout=60) as answer:
                answers[address] = data = answer.read()
                kind = answer.headers.get_content_type()
        except urllib.error.HTTPError as error:
            with error:
                answers[address] = error.read()
            continue
        if kind == "text/html":
            found = (urljoin(address, html.unescape(each)) for each in re.findall(r'href="([^"#]+)', data.decode("utf-8")))
            todo += [each for each in found if each.startswith("/") and not each.startswith(("//", "/language", "/static"))]
            path, _, query = address.partition("?")
            todo.append((path.rstrip("/") or "/today") + ".json" + (query and "?" + query))
    return answers


def test_no_canary_is_found_anywhere(house, echo, make_mail_server):
    """Under a daemon: the disk, what the commands print, what the page answers, mails and alerts, the arguments and environments of all processes."""
    mail = make_mail_server(users={"ops": PASSWORD})
    path = pipeline(house, echo)
    path.write_text(path.read_text().replace("allow_failure: true", "allow_failure: true\n    on_failure: [ops, post]"))
    os.chmod(house.write("home/alerts.yaml", f"""
        channels:
          ops: {{webhook: {{url: "http://127.0.0.1:{echo.server_port}/hook", headers: {{X: << secret.pw >>}}}}}}
          post: {{smtp: {{host: 127.0.0.1, port: {mail.port}, tls: none, insecure: true, user: ops, password: << secret.pw >>, from: a@b.example, to: c@d.example}}}}
    """), 0o600)
    port = free_port()
    child = house.daemon(env={"RUNNER_LISTEN": f"127.0.0.1:{port}"})
    house("trigger", "canary", "--date", "2026-02-28")
    house.wait_for(lambda: (house.folder / "hands").exists())
    arguments = ps()
    assert b"attendant.py" in arguments  # the search saw what it is about
    assert_clean("ps", arguments)
    assert_environments_clean()
    house.open()
    house.wait_for(lambda: house.rows("SELECT state FROM runs")[0]["state"] in ("success", "failed"), 120)
    house.wait_for(lambda: mail.received and any("rerun" in sent for _, sent in echo.seen))
    letter = mail.received[0].get_content()
    assert "the last line ***" in letter
    assert_clean("mail", mail.received[0].as_bytes() + letter.encode())
    for _, sent in echo.seen:
        if "rerun" in sent:
            assert_clean("webhook", sent.encode())
    answers = crawl(port)
    assert sum(b"the last line ***" in data for data in answers.values()) >= 3, sorted(answers)  # the log: as HTML, as JSON, as a file
    assert any(address.startswith("/pipelines/canary/file") for address in answers) and len(answers) > 15, sorted(answers)
    for address, data in answers.items():
        assert_clean(address, data)
    house.end(child)
    assert_clean("daemon", child.words.encode())
    states = house.states("canary@2026-02-28")
    assert states == {"says": "failed", "hands": "success", "takes": "success", "asks": "success", "tells": "success"}
    # The values did arrive, and their places are marked.
    headers, sent = next((headers, sent) for headers, sent in echo.seen if "X-Token" in headers)
    assert headers["X-Token"].encode("latin-1") == b"t " + CANARY.encode() and json.loads(sent) == {"pw": PASSWORD}
    assert headers["Authorization"] == "Basic " + base64.b64encode(f"etl:{PASSWORD}".encode()).decode()
    log = (house.home / "runs/canary/2026-02-28/says.1/log").read_bytes()
    assert log.startswith(b"plain *** ***\n") and log.count(b"***") > 30 and log.endswith(b"the last line ***\n")
    assert (house.home / "runs/canary/2026-02-28/takes.1/log").read_text() == "got *** ***\n"
    assert json.loads(house.rows("SELECT outputs FROM step_runs WHERE step = 'hands'")[0]["outputs"]) == {"token": "***", "b64": "***"}
    assert_disk_clean(house)
    run = "canary@2026-02-28"
    for words in (("plan", "canary"), ("plan", "canary", "--env"), ("plan", "canary", "--json"), ("show", "canary"), ("show", "canary", "--json"),
                  ("status", run), ("status", run, "--json"), ("logs", run), ("logs", run, "says"), ("runs", "--json"), ("check", str(house.pipelines)),
                  ("doctor",), ("secrets", "list"), ("secrets", "list", "--json"), ("connections", "list", "--json"), ("connections", "test")):
        done = house(*words, code=None)
        assert_clean(words, (done.stdout + done.stderr).encode("utf-8", "surrogateescape"))
    assert "<< secret.api >>" in house("plan", "canary").stdout


def test_the_canary_would_be_found(house):
    """The search finds each value where one is: else all of the above proves nothing."""
    for value in (CANARY, LONG, PASSWORD, KEY, CANARY.encode().hex(), CANARY.encode().hex().upper(), base64.b64encode(b"x" + CANARY.encode()).decode(), quote(CANARY, safe="")):
        with pytest.raises(AssertionError):
            assert_clean("it", b"before " + value.encode() + b" behind")


def test_a_run_in_the_foreground_shows_none(house, echo):
    pipeline(house, echo)
    house.open()
    done = house("run", "canary", "--date", "2026-02-28", "--logs", code=None)
    assert "***" in done.stdout + done.stderr
    assert_clean("run", (done.stdout + done.stderr).encode("utf-8", "surrogateescape"))
    assert_disk_clean(house)


def test_a_killed_step_leaves_no_value_in_its_output(house):
    house.pipeline("hang", """
        steps:
          - id: a
            timeout: 2s
            kill_grace: 1s
            env: {API: << secret.api >>}
            bash: 'trap "" TERM; echo "token=$API" >> "$RUNNER_OUTPUT"; echo "$API"; while :; do sleep 0.1; done'
    """)
    house("run", "hang", "--date", "2026-02-28", code=1)
    assert (house.home / "runs/hang/2026-02-28/a.1/log").read_text().startswith("***\n")
    folder = house.home / "runs/hang/2026-02-28/a.1"
    for path in folder.iterdir():
        assert_clean(path, path.read_bytes())


def test_a_changed_secret_counts_at_the_next_step_without_a_restart(house):
    house.pipeline("turn", """
        steps:
          - {id: a, env: {API: << secret.pw >>}, bash: 'printf %s "$API" | md5sum > "$ROOM/a"; until [ -e "$ROOM/open" ]; do sleep 0.05; done'}
          - {id: b, needs: a, env: {API: << secret.pw >>}, bash: 'printf %s "$API" | md5sum > "$ROOM/b"; echo "$API"'}
    """)
    child = house.daemon()
    house("trigger", "turn", "--date", "2026-02-28")
    house.wait_for(lambda: (house.folder / "a").exists())
    house.secret("pw", "quite-another-one")
    house.open()
    house.wait_for(lambda: house.rows("SELECT state FROM runs")[0]["state"] == "success")
    house.end(child)
    assert (house.folder / "a").read_text() != (house.folder / "b").read_text()
    assert (house.home / "runs/turn/2026-02-28/b.1/log").read_text() == "***\n"


def test_a_parameter_or_output_that_looks_like_a_secret_gets_none(house, echo):
    """Whoever may choose a value must not be able to send himself a password."""
    house.pipeline("steal", f"""
        params: {{p: x}}
        steps:
          - {{id: a, env: {{V: "<< params.p >>", T: << secret.api >>}}, bash: 'printf %s "$V" > "$ROOM/v"; echo "o=$V" >> "$RUNNER_OUTPUT"'}}
          - {{id: b, needs: a, http: {{url: "http://127.0.0.1:{echo.server_port}/x", method: POST, body: "<< outputs.a.o >>"}}}}
          - {{id: c, needs: a, http: {{url: "http://127.0.0.1:{echo.server_port}/x", method: POST, body: "<< params.p >>", headers: {{T: << secret.api >>}}}}}}
    """)
    house("run", "steal", "--date", "2026-02-28", "--param", "p=<< secret.pw >>", code=1)
    assert (house.folder / "v").read_text() == "<< secret.pw >>"
    assert house.states("steal@2026-02-28") == {"a": "success", "b": "failed", "c": "failed"} and echo.seen == []
    assert "values are never read as templates" in house("plan", "steal", "--date", "2026-02-28", "--param", "p=<< secret.pw >>", code=1).stderr


@pytest.mark.parametrize("where, step", [
    ("an argument", "{script: x.sh, args: [<< secret.api >>]}"), ("a script", "'echo << secret.api >>'"),
])
def test_a_secret_elsewhere_is_refused_before_anything_runs(house, where, step):
    house.write("home/pipelines/x.sh", "true")
    house.pipeline("bad", f"steps:\n  - {{id: a, bash: {step}}}\n")
    done = house("run", "bad", code=1)
    assert "a secret may not stand here" in done.stderr and "give it as env: {TOKEN: << secret.api >>} and use $TOKEN" in done.stderr
    assert re.search(r"bad\.yaml:2:\d+", done.stderr)


def test_a_called_sql_file_may_hold_none(house):
    house.write("home/pipelines/q.hql", "select 1;\nselect '<< secret.api >>';\n")
    house.pipeline("q", "steps:\n  - {id: a, hive: {file: q.hql}}\n")
    done = house("check", str(house.pipelines / "q.yaml"), code=1)
    assert "q.hql:2:9: << secret.api >>: a secret may not stand here" in done.stdout + done.stderr


def test_unknown_names_are_warnings_and_the_step_says_what_is_missing(house):
    house("variables", "set", "spool", "/data")
    house.pipeline("odd", """
        steps:
          - {id: a, env: {T: << secret.apy >>}, bash: 'echo << var.spoool >>'}
          - {id: b, env: {T: << secret.apy >>}, bash: echo never}
    """)
    done = house("check", str(house.pipelines / "odd.yaml"))
    text = done.stdout + done.stderr
    assert "there is no secret 'apy' here" in text and "did you mean secret.api?" in text and "did you mean var.spool?" in text
    house("run", "odd", "--date", "2026-02-28", code=1)
    steps = {step["id"]: step for step in house.json("status", "odd@2026-02-28")["steps"]}
    assert "spoool" in steps["a"]["reason"]
    assert "there is no secret apy" in (house.home / "runs/odd/2026-02-28/b.1/log").read_text()


def test_variables_and_fields_of_connections_reach_every_text(house):
    house("variables", "set", "spool", "/data/한글")
    path = house.home / "connections.yaml"
    path.write_text("dw: {type: postgres, host: db1.example, port: 5432, password: canary}\n")
    path.chmod(0o600)
    house.pipeline("all", """
        env: {SPOOL: << var.spool >>}
        steps:
          - {id: a, when: "<< var.spool != '' >>", bash: 'echo "$SPOOL << var.spool >> << conn.dw.host >>:<< conn.dw.port >>"'}
          - {id: b, foreach: "<< var.spool.split('/') >>", bash: 'echo << item >>'}
    """)
    house("run", "all", "--date", "2026-02-28")
    assert (house.home / "runs/all/2026-02-28/a.1/log").read_text() == "/data/한글 /data/한글 db1.example:5432\n"
    house("variables", "set", "spool", "/other")
    assert "/other" in house("plan", "all", "--date", "2026-02-28").stdout


def test_steps_without_secrets_have_no_attendant(house):
    house.pipeline("plain", "steps:\n  - {id: a, bash: 'tr \"\\\\0\" \" \" < /proc/$PPID/cmdline'}\n")
    house("run", "plain", "--date", "2026-02-28")
    text = (house.home / "runs/plain/2026-02-28/a.1/log").read_text()
    assert "wrapper.sh" in text and "attendant" not in text


def test_the_mask_outlives_the_daemon(house):
    house.pipeline("long", """
        steps:
          - {id: a, env: {API: << secret.api >>}, bash: 'echo "1 $API"; : > "$ROOM/a"; until [ -e "$ROOM/open" ]; do sleep 0.05; done; echo "2 $API"; echo "t=$API" >> "$RUNNER_OUTPUT"'}
    """)
    child = house.daemon()
    house("trigger", "long", "--date", "2026-02-28")
    house.wait_for(lambda: (house.folder / "a").exists())
    child.kill()
    child.wait()
    house.open()
    again = house.daemon()
    house.wait_for(lambda: house.rows("SELECT state FROM runs")[0]["state"] == "success")
    house.end(again)
    assert (house.home / "runs/long/2026-02-28/a.1/log").read_text() == "1 ***\n2 ***\n"
    assert json.loads(house.rows("SELECT outputs FROM step_runs")[0]["outputs"]) == {"t": "***"}
    assert_clean("fault", b"".join(path.read_bytes() for path in house.home.glob("daemon*")))


def test_what_no_retry_mends_fails_at_once_and_a_users_own_78_is_retried(house):
    """A missing secret, a connection that is not there, a locked account: the same again helps nobody, and may lock somebody out."""
    house.pipeline("final", """
        defaults: {retries: 2, retry_delay: 0.1s}
        steps:
          - {id: secret, env: {T: << secret.apy >>}, bash: echo never}
          - {id: connection, http: {connection: nowhere, url: /x}}
          - {id: asked, env: {T: << secret.apy >>}, retry_on_exit: [78], bash: echo never}
          - {id: own, bash: exit 78}
          - {id: own_behind_us, env: {T: << secret.api >>}, bash: exit 78}
          - {id: file, http: {url: "http://127.0.0.1:9/x", method: POST, file: "<< 'not-yet.csv' if ds else '' >>"}}
    """)
    house("run", "final", "--date", "2026-02-28", code=None)
    steps = {step["id"]: step for step in house.json("status", "final@2026-02-28")["steps"]}
    assert {name: (step["state"], step["tries"]) for name, step in steps.items()} == {
        "secret": ("failed", 1), "connection": ("failed", 1), "asked": ("failed", 3), "own": ("failed", 3), "own_behind_us": ("failed", 3), "file": ("failed", 3)}
    assert steps["secret"]["reason"] == "exit 78: no retry mends it, see its log" and steps["own"]["reason"] == "exit 78"


def test_a_command_that_gives_no_secret_for_now_is_asked_again(house):
    """A vault that is down may be up in a minute."""
    vault = house.write("vault", """\
        #!/bin/sh
        [ -e "$ROOM/up" ] && echo value-4711 && exit
        : > "$ROOM/up"; echo sealed >&2; exit 1
    """)
    vault.chmod(0o755)
    with open(house.home / "settings.yaml", "a") as settings:
        settings.write(f"secrets_command: {vault}\n")
    house.pipeline("later", "steps:\n  - {id: a, retries: 2, retry_delay: 0.1s, env: {T: << secret.vaulted >>}, bash: 'test -n \"$T\"'}\n")
    house("run", "later", "--date", "2026-02-28")
    [step] = house.json("status", "later@2026-02-28")["steps"]
    assert (step["state"], step["tries"]) == ("success", 2)
    assert "sealed" in (house.home / "runs/later/2026-02-28/a.1/log").read_text()
