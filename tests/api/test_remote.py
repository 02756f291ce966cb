"""The command line against a distant daemon: the same words, the same output, the same exit codes as on its own server."""

from __future__ import annotations

import os
import re
import socket
import socketserver
import subprocess
import sys
import threading

import pytest

from tests.api.living import Living
from tests.api.site import PLAIN
from tests.web.test_tls import certificate

GOOD = "owner: team\ntags: [t]\ntimezone: Asia/Seoul\nschedule: '0 1 1 1 *'\nstart_date: 2025-01-01\ncatchup: none\nparams:\n  n: {type: integer, default: 1, description: 몇}\nsteps:\n" \
       "  - {id: a, bash: 'echo 하나 << params.n >>'}\n  - {id: b, needs: a, bash: 'echo two; exit << 3 if params.n == 13 else 0 >>'}\n"


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    made = Living(tmp_path_factory.mktemp("far"))
    made.house.pipeline("mart", GOOD)
    made.house.pipeline("plain", PLAIN)
    made.house.pipeline("bad", "steps: [{id: a, bsh: x}]\n")
    try:
        yield made.start()
    finally:
        made.close()


def from_afar(far, *words, scope="operate", **env):
    """(exit code, stdout, stderr) of a call on another server: with another home and no files."""
    home = far.house.folder / "elsewhere"
    home.mkdir(exist_ok=True)
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": far.house.env["PYTHONPATH"], "HOME": str(home), "RUNNER_SERVER": far.url, "RUNNER_TOKEN": far.tokens[scope], "LANG": "C.UTF-8", **env}
    done = subprocess.run([sys.executable, "-m", "runner", *words], env=environ, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def here(far, *words):
    done = far.house(*words, code=None)
    return done.returncode, done.stdout, done.stderr


def without_time(text):
    return re.sub(r"\d+(\.\d+)?s\b|beat_age\": [\d.]+|free(=|\": )\d+|(?<=\S) +(?=\S)", "", text)


def test_a_night_by_hand_from_afar(far):
    """Trigger, look, repeat, mark, stop: what the far one prints is what the near one prints."""
    assert from_afar(far, "trigger", "mart", "--date", "2026-01-01", "--param", "n=13", "--wait")[:2] == (
        1, "mart@2026-01-01  queued\nmart@2026-01-01  failed  (failed: b)\n")
    run = "mart@2026-01-01"
    code, out, err = from_afar(far, "trigger", "mart", "--date", "2026-01-01")
    assert (code, out) == (1, "") and (code, out, err) == here(far, "trigger", "mart", "--date", "2026-01-01")
    for words in (["list"], ["list", "--json"], ["runs"], ["runs", "mart", "--state", "failed"], ["runs", "--json", "-n", "5"], ["status", run], ["status", "mart", "--json"], ["status", "latest"],
                  ["show", "mart"], ["show", "mart", "--json"], ["next", "mart", "-n", "3"], ["next", "mart", "--json"], ["next", "plain"], ["logs", run], ["logs", run, "b"], ["logs", run, "b", "-n", "1"],
                  ["logs", run, "--all"], ["logs", run, "a", "--path"], ["logs", run, "-f"], ["logs", run, "b", "-f"], ["logs", run, "--json"], ["rerun", run, "--failed", "--dry-run"],
                  ["backfill", "mart", "--from", "2026-01-01", "--to", "2027-02-01", "--dry-run"], ["health"], ["health", "--json"],
                  ["status", "nothing@2026-01-01"], ["logs", run, "c"], ["runs", "--state", "nonsense"], ["mark", run, "zzz", "success"], ["rerun", run], ["stop", run],
                  ["unpause", "mart"], ["release", "mart", "a"], ["trigger", "mart", "--date", "2026-01-01", "--param", "m=1"], ["show", "bad"]):
        near, afar = here(far, *words), from_afar(far, *words)
        assert afar[0] == near[0], (words, near, afar)
        assert without_time(afar[1]) == without_time(near[1]), words
        if near[0] == 0:
            assert without_time(afar[2]) == without_time(near[2]) or words[0] in ("logs",), (words, near[2], afar[2])
    assert from_afar(far, "mark", run, "b", "success", "--reason", "geprüft")[1] == f"{run}  b: failed -> success; the run is success\n"
    assert from_afar(far, "rerun", run, "--from", "b", "--wait")[0] == 1
    assert from_afar(far, "rerun", run, "--all", "--json")[0] == 0
    far.house.wait_state(run, "failed")
    trail = far.house.rows("SELECT act, source, reason FROM audit WHERE run = ? ORDER BY id", run)
    assert [(row["act"], row["source"]) for row in trail if row["act"] != "trigger"] == [("mark", "token operate"), ("rerun", "token operate"), ("rerun", "token operate")]


def test_switches_and_a_backfill_from_afar(far):
    for there, back in (("pause", "unpause"), ("hold", "release")):
        code, out, err = from_afar(far, there, "plain", "--reason", "Umbau")
        assert code == 0 and out in ("plain  paused\n", "plain  held\n")
        assert here(far, there, "plain")[0] == from_afar(far, there, "plain")[0] == 1
        assert from_afar(far, back, "plain")[:2] == (0, "plain  goes on\n")
    assert from_afar(far, "hold", "plain", "b")[1] == "plain b  held\n" and from_afar(far, "release", "plain", "b")[1] == "plain b  goes on\n"
    code, out, err = from_afar(far, "backfill", "plain", "--from", "2026-01-01", "--to", "2026-01-03", "--yes", "--wait")
    assert code == 0 and "3 runs wait" in out and out.count("success") == 3
    assert from_afar(far, "backfill", "plain", "--from", "2026-01-01", "--to", "2026-01-03", "--yes")[:2] == here(far, "backfill", "plain", "--from", "2026-01-01", "--to", "2026-01-03", "--yes")[:2]


def test_of_a_date_that_is_to_come_the_same_is_said_from_afar(far):
    """`mart` is due on the first of January at 01:00."""
    told = {}
    for year, ask in (("2090", here), ("2091", from_afar)):
        day = f"{year}-01-01"
        _, _, some = ask(far, "trigger", "mart", "--date", day, "--only", "a")
        assert f"makes no other run of mart@{day}: its other steps" in some
        told[ask] = (some + ask(far, "stop", f"mart@{day}")[2]).replace(year, "YEAR")
        assert ask(far, "backfill", "mart", "--from", f"{int(year) + 5}-01-01", "--to", f"{int(year) + 5}-01-02", "--yes")[0] == 0
        number = far.house.rows("SELECT max(id) AS id FROM backfills")[0]["id"]
        assert f"makes no other run of mart@{int(year) + 5}-01-01: taken out" in ask(far, "stop", "--backfill", str(number))[2]
    assert told[from_afar] == told[here]


def test_a_run_is_followed_and_stopped_from_afar(far):
    far.house.pipeline("slow", "steps:\n  - {id: a, bash: 'echo begun; until [ -e \"$ROOM/open\" ]; do sleep 0.1; done; echo over'}\n")
    assert from_afar(far, "trigger", "slow", "--date", "2026-01-01")[0] == 0
    far.house.wait_for(lambda: any((far.house.home / "runs").glob("slow/*/a.1/log")))
    child = subprocess.Popen([sys.executable, "-m", "runner", "--server", far.url, "logs", "slow", "-f"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env={"PATH": os.environ["PATH"], "PYTHONPATH": far.house.env["PYTHONPATH"], "HOME": str(far.house.folder), "RUNNER_TOKEN": far.tokens["look"]})
    try:
        lines = [child.stdout.readline(), child.stdout.readline()]
        assert "begun\n" in lines
        far.house.open()
        rest, err = child.communicate(timeout=60)
        assert rest.endswith("over\n") and "success" in err and child.returncode == 0
    finally:
        child.kill()
        child.wait()
    (far.house.folder / "open").unlink()
    assert from_afar(far, "trigger", "slow", "--date", "2026-01-02")[0] == 0
    far.house.wait_state("slow@2026-01-02", "running")
    assert from_afar(far, "trigger", "slow", "--date", "2090-01-01")[0] == 0
    for text in ("slow", "latest"):
        several = here(far, "stop", text)
        assert several[0] == 2 and "runner stop slow@2026-01-02   running" in several[2] and from_afar(far, "stop", text) == several
    assert "step a of slow@2026-01-02 cannot be marked" in from_afar(far, "mark", "slow", "a", "success")[2]
    assert from_afar(far, "stop", "slow@2090-01-01")[:2] == (0, "slow@2090-01-01  killed\n")
    assert from_afar(far, "stop", "slow")[:2] == (0, "slow@2026-01-02  killed\n")


@pytest.mark.parametrize("words", [["run", "mart"], ["plan", "mart"], ["daemon"], ["daemon", "stop"], ["doctor"], ["clean"], ["db", "upgrade"], ["variables", "list"], ["secrets", "list"], ["user", "list"],
                                   ["show", "mart", "--merged"], ["rerun", "mart", "--resume"]])
def test_what_cannot_be_done_from_afar_says_what_to_type(far, words):
    code, out, err = from_afar(far, *words)
    assert code == 2 and out == "" and ("server" in err), err


def test_what_needs_no_daemon_is_done_here(far, tmp_path):
    (tmp_path / "x.yaml").write_text("steps: [{id: a, bash: 'true'}]\n")
    assert from_afar(far, "check", str(tmp_path / "x.yaml"))[0] == 0
    assert from_afar(far, "schema")[0] == 0 and from_afar(far, "trigger", "--help")[0] == 0


def test_who_is_not_let_in_is_told_what_to_do(far):
    code, _, err = from_afar(far, "trigger", "mart", scope="look")
    assert code == 1 and "operator" in err
    code, _, err = from_afar(far, "list", RUNNER_TOKEN="runner_wrong")
    assert code == 1 and "runner token add" in err
    code, _, err = from_afar(far, "list", RUNNER_TOKEN="")
    assert code == 1 and "token" in err


def test_the_token_may_lie_in_a_file_that_nobody_else_reads(far):
    path = far.house.folder / "elsewhere" / ".runner" / "token"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(far.tokens["look"] + "\n")
    path.chmod(0o644)
    code, _, err = from_afar(far, "list", RUNNER_TOKEN="")
    assert code == 3 and f"chmod 600 {path}" in err
    path.chmod(0o600)
    assert from_afar(far, "list", RUNNER_TOKEN="")[0] == 0
    path.unlink()


@pytest.mark.parametrize("server, words", [
    ("http://127.0.0.1:1", "cannot be reached"), ("ftp://x", "no address of a page"), ("http://", "no address of a page"), ("https://127.0.0.1:{port}", "http://"),
    ("http://no.such.host.invalid:8080", "cannot be reached"),
])
def test_what_is_not_there_is_said(far, server, words):
    code, out, err = from_afar(far, "list", RUNNER_SERVER=server.format(port=far.port))
    assert code in (2, 3) and words in err, err


def test_a_monitor_hears_of_one_that_does_not_answer(far):
    assert from_afar(far, "health", RUNNER_SERVER="http://127.0.0.1:1")[:2] == (2, "RUNNER CRITICAL - http://127.0.0.1:1 cannot be reached: Connection refused\n")


def test_by_https_its_certificate_is_asked_for(tmp_path):
    cert, key = certificate(tmp_path)
    made = Living(tmp_path)
    try:
        made.house.pipeline("plain", PLAIN)
        made.house.settings(f"page_certificate: {cert}\npage_key: {key}\n")
        made.start(answers=False)
        made.url = f"https://localhost:{made.port}"
        made.house.wait_for(lambda: from_afar(made, "list", RUNNER_CA=cert)[0] == 0)
        code, out, err = from_afar(made, "trigger", "plain", "--date", "2026-01-01", "--wait", RUNNER_CA=cert)
        assert (code, out, err.count("in clear")) == (0, "plain@2026-01-01  queued\nplain@2026-01-01  success\n", 0)
        code, _, err = from_afar(made, "list")
        assert code == 3 and "not believed" in err and "RUNNER_CA" in err
        code, _, err = from_afar(made, "list", RUNNER_CA=str(tmp_path / "none.pem"))
        assert code == 3 and "none.pem" in err
    finally:
        made.close()


class Lossy(socketserver.StreamRequestHandler):
    """Hands a request on, and loses the answer to the first act."""

    def handle(self):
        head = b"".join(iter(self.rfile.readline, b"\r\n")) + b"\r\n"
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
        body = self.rfile.read(length)
        with socket.create_connection(("127.0.0.1", self.server.behind), timeout=60) as behind:
            behind.sendall(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
            answer = b"".join(iter(lambda: behind.recv(65536), b""))
        if head.startswith(b"POST") and not self.server.lost:
            self.server.lost = True
            return
        self.wfile.write(answer)


def test_an_act_whose_answer_got_lost_is_done_once(far):
    """With --new a second asking would make a second run: its key says that it is the same."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Lossy) as between:
        between.behind, between.lost, between.daemon_threads = far.port, False, True
        threading.Thread(target=between.serve_forever, daemon=True).start()
        try:
            before = len(far.house.rows("SELECT 1 FROM runs WHERE pipeline = 'plain'"))
            code, out, err = from_afar(far, "trigger", "plain", "--date", "2026-05-01", "--new", RUNNER_SERVER=f"http://127.0.0.1:{between.server_address[1]}")
            assert (code, between.lost) == (0, True), err
            assert len(far.house.rows("SELECT 1 FROM runs WHERE pipeline = 'plain'")) == before + 1
        finally:
            between.shutdown()
