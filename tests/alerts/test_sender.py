"""All that waits goes out: once where it works, later where it does not, as one message where it is a storm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from runner.alerts import sender
from tests.conftest import FakeClock, make_date

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def hook(home, web, more=""):
    home.alerts(f"channels:\n  ops: {{webhook: {{url: {web.url}, timeout: 1s}}}}\n{more}")


def test_what_waits_is_sent_once_and_logged(home, web):
    hook(home, web)
    home.add()
    assert home.send() == 0 and home.send() == 0
    assert [each["key"] for each in web.texts()] == ["k1"] and home.log() == [("ops", "sent", 1)]
    last = home.store.alerts.deliveries(1)[0]
    assert (last.key, last.detail, last.at) == ("k1", "200 ok", home.clock.now()) and last.subject.startswith("[runner] FAILED mart")
    assert home.store.alerts.waiting() == {}


def test_the_same_thing_is_written_down_once_a_channel(home):
    assert home.add("k1", "ops") and home.add("k1", "duty") and not home.add("k1", "ops")


def test_a_failure_is_tried_again_later_and_later_with_the_same_key(home, web):
    hook(home, web)
    web.answers = [(500, "no")] * 3
    home.add()
    tried = []
    for _ in range(40):
        before = len(web.got)
        home.send()
        tried += [home.clock.ticks - 1000.0] * (len(web.got) - before)
        home.clock.advance(10)
    assert tried == [0, 30, 90, 210] and {each["key"] for each in web.texts()} == {"k1"}
    assert home.log() == [("ops", "failed", 1)] * 3 + [("ops", "sent", 1)]
    assert "answered 500: no" in home.said[0] and home.store.alerts.deliveries(4)[-1].detail.startswith("127.0.0.1")


def test_after_a_day_it_is_given_up_and_that_is_seen(home, web):
    hook(home, web)
    web.answers = [(500, "no")] * 1000
    home.add()
    for _ in range(50):
        home.send()
        home.clock.advance(1800)
    assert home.store.alerts.waiting() == {} and home.store.alerts.given_up(home.clock.now() - timedelta(days=1)) == {"ops": 1}
    assert home.log()[-1] == ("ops", "given_up", 1) and "given up after a day" in home.said[-1]
    tries = len(web.got)
    assert 24 <= tries <= 35
    home.send()
    assert len(web.got) == tries


def test_what_waited_for_more_than_a_day_is_tried_once_before(home, web):
    """The daemon was down over a weekend."""
    hook(home, web)
    home.add(at=home.clock.now() - timedelta(days=3))
    home.send()
    assert home.log() == [("ops", "sent", 1)]


def test_one_channel_that_fails_keeps_no_other_waiting(home, web, mute):
    home.alerts(f"channels:\n  bad: {{webhook: {{url: 'http://127.0.0.1:{mute.port}/', timeout: 0.2s}}}}\n  ops: {{webhook: {{url: {web.url}}}}}\n")
    for n in range(3):
        home.add(f"b{n}", "bad")
    home.add("k1", "ops")
    assert home.send() == 1
    home.add("k2", "ops")
    home.add("b3", "bad", at=home.clock.now() + timedelta(seconds=1))
    home.clock.advance(31)
    home.send()
    assert home.log() == [("bad", "failed", 1), ("ops", "sent", 1), ("ops", "sent", 1), ("bad", "failed", 1)]  # the bad one last, one try each


def test_a_storm_is_one_message_with_a_list(home, web):
    hook(home, web)
    for n in range(200):
        home.add(f"k{n}", run=f"mart{n}@2026-02-28")
    home.send()
    (got,) = web.texts()
    assert got["subject"] == "[runner] 200 alerts: 200 FAILED" and got["count"] == "200" and "mart99@2026-02-28" in got["text"]
    assert home.log() == [("ops", "sent", 200)] and home.store.alerts.waiting() == {}


def test_the_later_part_of_a_storm_is_kept_for_a_minute(home, web):
    hook(home, web, "group: {more_than: 2, within: 1m}\n")
    for n in range(10):
        home.add(f"k{n}")
        home.send()
        home.clock.advance(1)
    assert home.log() == [("ops", "sent", 1)] * 2 and home.store.alerts.waiting()["ops"][0] == 8
    home.clock.advance(50)
    home.send()
    assert home.log()[2:] == [("ops", "sent", 8)]


def test_where_nobody_comes_back_a_storm_is_not_kept(home, web):
    hook(home, web, "group: {more_than: 2, within: 1m}\n")
    for n in range(4):
        home.add(f"k{n}")
        home.send(may_hold=False)
    assert home.log() == [("ops", "sent", 1)] * 4


def test_a_channel_that_is_not_in_the_file_waits_until_it_is(home, web):
    home.add()
    home.send()
    assert home.log() == [("ops", "failed", 1)] and "there is no channel ops" in home.said[0] and "channels: none" in home.said[0]
    hook(home, web)
    home.clock.advance(31)
    home.send()
    assert home.log()[-1] == ("ops", "sent", 1)


def test_a_fault_in_the_file_loses_nothing_and_what_was_left_open_finds_its_channels(home, web):
    home.alerts("channels: {ops: {webhok: {}}}")
    home.add("k1", "default", event="failure")
    home.add("k2", "default", event="late")
    home.send()
    assert home.log() == [("default", "failed", 2)]
    hook(home, web, "default: {on_failure: [ops]}\n")
    home.clock.advance(31)
    home.send()
    assert [each["key"] for each in web.texts()] == ["k1"] and home.store.alerts.waiting() == {}


def test_the_log_of_the_attempt_is_in_the_message(home, web):
    hook(home, web)
    home.write("log", "\n".join(f"{n}번째 줄" for n in range(100)), 0o600)
    home.add(body={"ds": "2026-02-28", "zone": "Asia/Seoul", "step": "a", "log_file": str(home.folder / "log")})
    home.send()
    lines = web.texts()[0]["log"].splitlines()
    assert len(lines) == 30 and lines[-1] == "99번째 줄"


def test_a_log_that_was_compressed_or_is_gone_stops_nothing(home, web):
    import gzip

    hook(home, web)
    with gzip.open(home.folder / "log.gz", "wb") as file:
        file.write("옛 줄\n".encode())
    for n, name in enumerate(("log", "nonesuch")):
        home.add(f"k{n}", body={"log_file": str(home.folder / name), "zone": "UTC"})
    home.send()
    assert [each["log"] for each in web.texts()] == ["옛 줄", ""]


def test_a_fault_of_our_own_is_a_failure_like_another_and_keeps_nobody_waiting(home, web):
    hook(home, web)
    home.add("odd", body={"zone": "Nowhere/Land"}, at=home.clock.now() - timedelta(seconds=1))
    home.add("k1", "duty")
    home.alerts(f"channels:\n  ops: {{webhook: {{url: {web.url}}}}}\n  duty: {{webhook: {{url: {web.url}}}}}\n")
    assert home.send() == 1
    assert home.log() == [("ops", "failed", 1), ("duty", "sent", 1)] and "a fault of runner itself: ZoneInfoNotFoundError" in home.said[0]


# --------------------------------------------------------------------------------------------------------------- hooks


def hooked(home, script, text="", state="failure", **about):
    pipeline = home.pipeline("params: {region: KR}\nenv: {PLACE: '<< params.region >>'}\n" + text + "steps: [{id: a, bash: 'true'}]\n")
    run = home.store.create_run(pipeline, make_date(), "2026-02-28", trigger="manual", params={"region": "KR"}, at=home.clock.now())
    home.add(f"h{run.id}", "bash", event=state, body={"bash": script, "ds": "2026-02-28", "zone": "Asia/Seoul", **about}, run=run.name)
    return run


def test_a_hook_runs_with_the_runs_names(home):
    hooked(home, 'echo "<< ds >> $RUNNER_DS $RUNNER_RUN_ID $PLACE $RUNNER_ALERT_EVENT ${RUNNER_STEP-none}" > got; cat >> got; echo done')
    home.send()
    text = (home.folder / "got").read_text(encoding="utf-8")
    assert text.startswith("2026-02-28 2026-02-28 mart@2026-02-28 KR failure none\n") and "key h1" in text
    assert home.log() == [("bash", "sent", 1)] and home.store.alerts.deliveries(1)[0].detail == "done"


@pytest.mark.parametrize("script, said", [("echo why; exit 4", "bash: exit 4: why"), ("echo << nonesuch >>", "nonesuch")])
def test_a_hook_that_fails_is_told_in_the_log_and_not_run_again(home, script, said):
    hooked(home, script)
    assert home.send() == 1
    home.clock.advance(3600)
    home.send()
    assert home.log() == [("bash", "given_up", 1)] and said in home.store.alerts.deliveries(1)[0].detail


def test_a_hook_that_hangs_is_ended(home, monkeypatch):
    monkeypatch.setattr(sender, "HOOK_SECONDS", 0.3)
    hooked(home, "sleep 600")
    home.send()
    assert "had not ended after 0.3 s" in home.store.alerts.deliveries(1)[0].detail


def test_hooks_come_after_the_messages(home, web):
    hook(home, web)
    hooked(home, "true")
    home.add(at=home.clock.now() + timedelta(milliseconds=1))
    home.clock.advance(1)
    home.send()
    assert [name for name, _, _ in home.log()] == ["ops", "bash"]


# ------------------------------------------------------------------------------------------------------------- process


def command(home, **env):
    return subprocess.run(
        [sys.executable, "-m", "runner", "--home", str(home.folder), "alert", "send"],
        env={**os.environ, "PYTHONPATH": ROOT, "RUNNER_TIMEZONE": "UTC", **env},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)


def test_killed_between_sending_and_writing_it_down_it_sends_again_with_the_same_key(home, web):
    hook(home, web)
    home.add()
    assert command(home, RUNNER_FAULT="alerts.sent:kill").returncode == -signal.SIGKILL
    assert home.log() == [] and command(home).returncode == 0
    assert [each["key"] for each in web.texts()] == ["k1", "k1"] and home.log() == [("ops", "sent", 1)]


def test_one_sender_at_a_time(home, web):
    with sender.only_one(str(home.folder), FakeClock()) as first, sender.only_one(str(home.folder), FakeClock(), 3.0) as second:
        assert (first, second) == (True, False)
    with sender.only_one(str(home.folder), FakeClock()) as third:
        assert third


def test_old_entries_of_the_log_go(home, web):
    hook(home, web)
    home.add()
    home.send()
    home.clock.advance(91 * 86400)
    home.send()
    assert home.log() == []
    assert home.store.db.execute_text("SELECT count(*) FROM alerts", {}).fetchone()[0] == 0
