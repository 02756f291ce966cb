"""People are told: by a real daemon and by a run in the foreground, through real servers, whoever is killed in between."""

from __future__ import annotations

import base64
import os
import re
import shlex
import signal
import subprocess
from datetime import timedelta

import pytest

from tests.alerts.conftest import Mute, Web
from tests.e2e.daemons import EFFECT, WAITS, House

FAILS = "steps:\n  - {id: a, bash: 'echo 시작; echo 오류 >&2; exit 3'}\n"
GOOD = f"steps:\n  - id: a\n    bash: {EFFECT}\n"


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture
def web():
    server = Web()
    yield server
    server.close()


@pytest.fixture
def mute():
    server = Mute()
    yield server
    server.close()


def alerts(house, text):
    os.chmod(house.write("home/alerts.yaml", text), 0o600)


def hook(house, web, more=""):
    alerts(house, f"channels:\n  ops: {{webhook: {{url: '{web.url}'}}}}\ndefault: {{on_failure: [ops]}}\n{more}")


def sent(house):
    return house.rows("SELECT * FROM deliveries ORDER BY id")


def trigger(house, name, day="2026-01-02", **options):
    return house("trigger", name, "--date", day, **options)


# ----------------------------------------------------------------------------------------------------------- the daemon


def test_a_mail_says_what_happened_and_its_command_repairs_it(house, mail_server):
    smtp = f"{{host: 127.0.0.1, port: {mail_server.port}, tls: none, from: runner@example.com, to: kim@example.com}}"
    alerts(house, f"channels:\n  ops: {{smtp: {smtp}}}\ndefault: {{on_failure: [ops]}}\n")
    house.pipeline("고객", f"owner: 김철수\nsteps:\n  - {{id: 적재, bash: 'echo 시작; test -e {house.folder}/data || {{ echo 파일이 없습니다; exit 3; }}'}}\n")
    house.daemon()
    trigger(house, "고객")
    house.wait_for(lambda: mail_server.received)
    (mail,) = mail_server.received
    text = mail.get_content().replace("\r\n", "\n")
    assert mail["Subject"] == "[runner] FAILED 고객@2026-01-02 step 적재 (exit 3)" and "  시작\n  파일이 없습니다\n" in text and "owner      김철수" in text
    (house.folder / "data").touch()
    words = re.search(r"^run again +runner (.*)$", text, re.M).group(1)
    house(*shlex.split(words), env={"RUNNER_HOME": "/nonesuch"})
    house.wait_state("고객@2026-01-02", "success")


def test_a_daemon_killed_between_the_commit_and_the_sending_loses_nothing(house, web):
    hook(house, web)
    house.pipeline("mart", FAILS)
    child = house.daemon(env={"RUNNER_FAULT": "alerting.send:kill"})
    trigger(house, "mart")
    assert house.ended(child) == -signal.SIGKILL
    assert house.runs() == {"mart@2026-01-02": "failed"} and web.got == [] and len(house.rows("SELECT * FROM alerts WHERE state = 'waiting'")) == 1
    house.daemon()
    house.wait_for(lambda: sent(house))
    assert [each["run"] for each in web.texts()] == ["mart@2026-01-02"]


def test_a_daemon_killed_at_each_commit_tells_of_each_failure_once(house, web):
    """The state and the alert are one transaction, whichever turn it dies after."""
    hook(house, web)
    house.pipeline("mart", FAILS)
    trigger(house, "mart")  # waits for a daemon
    for turn in (1, 2, 3, 4):
        child = house.daemon(env={"RUNNER_FAULT": f"engine.committed:kill@{turn}"}, ready=False)
        house.wait_for(lambda: child.poll() is not None or sent(house))
        house.end(child, signal.SIGKILL)
    house.daemon()
    house.wait_state("mart@2026-01-02", "failed")
    house.wait_for(lambda: not house.rows("SELECT * FROM alerts WHERE state = 'waiting'") and sent(house))
    assert len(house.rows("SELECT * FROM alerts")) == 1 and {each["run"] for each in web.texts()} == {"mart@2026-01-02"}


def test_a_server_that_hangs_delays_no_run_and_no_end_of_the_daemon(house, mute):
    alerts(house, f"channels:\n  ops: {{webhook: {{url: 'http://127.0.0.1:{mute.port}/', timeout: 100s}}}}\n")
    house.pipeline("mart", "on_success: ops\n" + GOOD)
    child = house.daemon()
    for day in (2, 3, 4):
        trigger(house, "mart", f"2026-01-0{day}")
        house.wait_state(f"mart@2026-01-0{day}", "success", seconds=30)
    connection, _ = mute.socket.accept()  # the sender is there, and waits
    assert sent(house) == [] and house.end(child) == 0
    connection.close()
    house.wait_for(lambda: [row["outcome"] for row in sent(house)] == ["failed"])  # it outlived the daemon, and wrote down how it went


def test_a_storm_is_a_handful_of_messages(house, web):
    hook(house, web)
    house.pipeline("mart", "max_active_runs: 40\n" + FAILS)
    house.daemon()
    house("backfill", "mart", "--from", "2026-01-01", "--to", "2026-02-09", "--parallel", "40", "--yes")
    house.wait_for(lambda: len(house.runs(state="failed")) == 40)
    assert len(house.rows("SELECT * FROM alerts")) == 40
    house.change("UPDATE alerts SET next_at = at WHERE state = 'waiting'")  # what was kept for the end of the minute
    house.ring()
    house.wait_for(lambda: house.ring() and not house.rows("SELECT * FROM alerts WHERE state = 'waiting'"), seconds=120)
    assert sum(row["alerts"] for row in sent(house)) == 40 and len(sent(house)) <= 8
    assert all(name in "".join(each["text"] for each in web.texts()) for name in house.runs())


def test_a_channel_that_fails_is_seen_in_health_and_doctor_until_it_works(house, web):
    hook(house, web)
    web.answers = [(503, "closed for the night")]
    house.pipeline("mart", FAILS)
    house.daemon()
    trigger(house, "mart")
    house.wait_for(lambda: sent(house))
    words = house("health", code=1).stdout
    assert "RUNNER WARNING" in words and "channel ops fails since" in words and "answered 503: closed for the night; 1 wait" in words
    assert [row["level"] for row in house.json("doctor", code=None) if row["area"] == "alerts"] == ["ok", "warn"]
    house.change("UPDATE alerts SET next_at = at")
    house.ring()
    house.wait_for(lambda: len(sent(house)) == 2)
    assert "channel ops" not in house("health", code=1).stdout
    log = house.json("alert", "log")
    assert [row["outcome"] for row in log["deliveries"]] == ["sent", "failed"] and log["deliveries"][0]["key"] == log["deliveries"][1]["key"]


def test_a_faulty_alerts_yaml_is_seen_and_loses_nothing(house, web):
    alerts(house, "channels: {ops: {webhok: {}}}\n")
    house.pipeline("mart", FAILS)
    house.daemon()
    trigger(house, "mart")
    house.wait_state("mart@2026-01-02", "failed")
    house.wait_for(lambda: "alerts.yaml: channels.ops: a channel has one key" in house.log())
    assert "alerts.yaml: channels.ops: a channel has one key" in house("health", code=1).stdout
    house.wait_for(lambda: sent(house))
    hook(house, web)
    house.change("UPDATE alerts SET next_at = at")
    house.ring()
    house.wait_for(lambda: web.got)
    assert web.texts()[0]["run"] == "mart@2026-01-02"


# ------------------------------------------------------------------------------------------------------------ deadlines


def test_a_deadline_that_passed_while_no_daemon_lived_is_told_when_one_does(house, web):
    hook(house, web)
    house.pipeline("mart", "schedule: '* * * * *'\ndeadline: 90s\n" + GOOD)
    house.end(house.daemon())
    house.make_due("mart", ago=timedelta(minutes=3), back=timedelta(minutes=3, seconds=1))
    house.daemon()
    house.wait_for(lambda: [each for each in web.texts() if each["event"] in ("late", "many")])
    rows = house.rows("SELECT a.* FROM alerts a WHERE event = 'late' ORDER BY id")
    assert "did not run: no daemon started it at that time (catchup: last)" in rows[0]["body"] and len({row["key"] for row in rows}) == len(rows)


def test_a_paused_pipeline_is_late_and_says_so_and_a_restart_tells_it_no_second_time(house, web):
    hook(house, web, "summary: {at: '00:00', to: [ops]}\n")
    house.pipeline("mart", "schedule: '@daily'\ndeadline: 1s\n" + GOOD)
    house.daemon()
    house.wait_for(lambda: house.rows("SELECT * FROM pipelines WHERE definition IS NOT NULL"))
    house("pause", "mart", "--reason", "감사")
    house.make_due("mart", ago=timedelta(minutes=2), back=timedelta(days=1))
    late = house.wait_for(lambda: [each for each in web.texts() if each["event"] == "late"])
    assert len(late) == 1 and "did not run: paused by" in late[0]["reason"] and late[0]["reason"].endswith(": 감사")
    house.end(house.children[0])
    house.daemon()
    house.wait_for(lambda: house.log().count("daemon started") == 2 and len(house.rows("SELECT * FROM deadlines WHERE outcome IS NULL")) == 0)
    assert len(house.rows("SELECT * FROM alerts WHERE event = 'late'")) == 1
    assert len([each for each in web.texts() if each["event"] == "summary"]) == 1


def test_a_step_that_still_runs_at_its_deadline_is_told_of_while_it_runs(house, web):
    hook(house, web)
    house.pipeline("mart", f"steps:\n  - id: a\n    deadline: 1s\n    on_late: ops\n    bash: {WAITS}\n")
    house.daemon()
    trigger(house, "mart", "2030-01-02")
    house.change("UPDATE runs SET due_at = created_at")
    house.change("UPDATE deadlines SET at = (SELECT created_at FROM runs)")
    house.ring()
    house.wait_lines(1)
    house.wait_for(lambda: web.got)
    (late,) = web.texts()
    assert (late["event"], late["step"]) == ("late", "a") and ("still running" in late["reason"] or "has not begun" in late["reason"])
    assert house.runs(state="running")
    house.open()
    house.wait_all_ended()
    assert len(web.got) == 1


# -------------------------------------------------------------------------------------------------------- the foreground


def test_a_run_in_the_foreground_tells_of_its_failure_itself(house, web):
    hook(house, web)
    done = house("run", house.write("mart.yaml", FAILS), "--date", "2026-01-02", code=1)
    (got,) = web.texts()
    assert got["subject"] == "[runner] FAILED mart@2026-01-02 step a (exit 3)" and got["log"] == "시작\n오류" and "could not be sent" not in done.stderr


def test_beside_a_daemon_a_run_in_the_foreground_leaves_the_telling_to_it(house, web):
    hook(house, web)
    house.daemon()
    house("run", house.write("mart.yaml", FAILS), "--date", "2026-01-02", code=1)
    house.wait_for(lambda: sent(house))
    assert [each["run"] for each in web.texts()] == ["mart@2026-01-02"] and len(sent(house)) == 1


def test_a_retry_and_a_deadline_are_told_while_it_runs(house, web):
    hook(house, web)
    path = house.write("mart.yaml", f"on_retry: ops\non_late: ops\nsteps:\n  - id: a\n    retries: 1\n    retry_delay: 1s\n    deadline: 3700d\n"
                                    f"    bash: test $RUNNER_TRY_NUMBER = 2 || exit 5; {WAITS}\n".replace("3700d", "3000d"))
    child = house.start("run", path, "--date", "2026-01-02")
    try:
        house.wait_for(lambda: os.path.exists(house.home / "runner.db") and house.rows("SELECT * FROM deadlines"))
        house.change("UPDATE deadlines SET at = (SELECT created_at FROM runs)")
        house.wait_for(lambda: {each["event"] for each in web.texts()} == {"retry", "late"})
        assert child.poll() is None
    finally:
        house.open()
        child.communicate(timeout=60)
    assert child.returncode == 0


def test_a_hook_runs_with_the_runs_own_date(house, web):
    path = house.write("mart.yaml", "on_success: {bash: 'echo \"<< ds >> $RUNNER_ALERT_EVENT $RUNNER_DS\" >> hooked'}\n" + GOOD)
    house("run", path, "--date", "2026-01-02")
    assert (house.folder / "hooked").read_text() == "2026-01-02 success 2026-01-02\n"


def test_a_server_that_hangs_gives_the_result_all_the_same(house, mute):
    alerts(house, f"channels:\n  ops: {{webhook: {{url: 'http://127.0.0.1:{mute.port}/', timeout: 90s}}}}\n")
    done = house("run", house.write("mart.yaml", "on_failure: ops\n" + FAILS), "--date", "2026-01-02", code=1)
    assert done.stdout.startswith("mart@2026-01-02  failed") and "1 alert could not be sent yet: runner alert log" in done.stderr
    connection, _ = mute.socket.accept()
    connection.close()
    house.wait_for(lambda: [row["outcome"] for row in sent(house)] == ["failed"])


def test_what_could_not_be_sent_goes_out_with_the_next_run(house, web):
    hook(house, web)
    web.answers = [(500, "no")]
    house("run", house.write("mart.yaml", FAILS), "--date", "2026-01-02", code=1)
    house.change("UPDATE alerts SET next_at = at")
    house("run", house.write("good.yaml", GOOD), "--date", "2026-01-02")
    house.wait_for(lambda: [row["outcome"] for row in sent(house)] == ["failed", "sent"])
    assert [each["run"] for each in web.texts()] == ["mart@2026-01-02"] * 2 and house("alert", "send").returncode == 0


# ------------------------------------------------------------------------------------------------------------ the words


def test_a_test_message_tells_exactly_what_happened(house, web):
    hook(house, web)
    good = house("alert", "test", "ops")
    assert re.fullmatch(r"sent in \d+\.\d s: 200 ok\n", good.stdout) and "sending to ops: webhook http://127.0.0.1" in good.stderr
    web.answers = [(401, "who are you")]
    bad = house("alert", "test", "ops", code=1)
    assert "failed in" in bad.stdout and "answered 401: who are you" in bad.stdout and "the secret in it" in bad.stderr
    assert "did you mean ops?" in house("alert", "test", "op", code=2).stderr
    assert [row["outcome"] for row in house.json("alert", "log", "ops")["deliveries"]] == ["failed", "sent"]
    listed = house.json("alert", "list")
    assert listed["channels"][0]["last"]["outcome"] == "failed" and listed["default"] == {"on_failure": ["ops"]}
    assert "ops" in house("alert", "list").stdout


def test_without_a_file_it_says_how_to_make_one(house):
    assert "alerts.yaml (mode 600)" in house("alert", "list").stderr
    assert "there is no alerts.yaml" in house("doctor", code=None).stdout


def test_the_summary_is_printed_too(house, web):
    hook(house, web)
    house("run", house.write("mart.yaml", FAILS), "--date", "2026-01-02", code=1)
    assert "failed: 1\n  mart@2026-01-02" in house("alert", "summary").stdout
    assert house.json("alert", "summary")["done"] == 0


def test_check_warns_of_a_channel_that_is_not_there(house, web):
    hook(house, web)
    path = house.write("mart.yaml", "on_failure: opps\n" + FAILS)
    assert "no channel 'opps' in alerts.yaml here" in house("check", path).stdout + house("check", path).stderr
    os.unlink(house.home / "alerts.yaml")
    done = house("check", path)
    assert "opps" not in done.stdout + done.stderr


def test_no_secret_of_a_channel_is_written_anywhere(house, web):
    canary = "k4nari7secret"
    os.chmod(house.write("home/secrets.yaml", f"chat: {canary}\n"), 0o600)
    webhook = f"{{url: '{web.url}?t=<< secret.chat >>', headers: {{X-Token: << secret.chat >>}}}}"
    alerts(house, f"channels:\n  ops: {{webhook: {webhook}}}\ndefault: {{on_failure: [ops]}}\n")
    web.answers = [(500, "no")]
    house.pipeline("mart", FAILS)
    child = house.daemon()
    trigger(house, "mart")
    house.wait_for(lambda: sent(house))
    house("alert", "test", "ops")
    house("alert", "list")
    house("doctor", code=None)
    house.end(child)
    assert web.got[0][1]["X-Token"] == canary and web.got[0][0].endswith("t=" + canary)
    wanted = f"{canary}|{base64.b64encode(canary.encode()).decode()[:12]}"
    found = subprocess.run(["grep", "-rlE", wanted, str(house.home)], stdout=subprocess.PIPE, text=True).stdout
    assert found.split() == [str(house.home / "secrets.yaml")]


def test_show_says_who_is_told_and_by_when_it_must_be_done(house):
    path = house.write("mart.yaml", """\
        deadline: 06:00
        on_failure: [ops, duty]
        on_late: []
        on_success: {bash: echo}
        steps: [{id: a, bash: echo, deadline: 2h, on_retry: ops}]
        """)
    words = house("show", path).stdout
    assert "deadline 06:00" in words and "tells     failure: ops, duty; success: a hook; late: nobody" in words
    shown = house.json("show", path)
    assert shown["on_failure"] == {"alert": ["ops", "duty"], "bash": ""} and shown["deadline"] == "06:00"
    assert shown["steps"][0]["deadline"] == "2h" and shown["steps"][0]["on_retry"] == {"alert": ["ops"], "bash": ""}
