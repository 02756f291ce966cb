"""The daemon dies, or the machine fails it, at each named point of the code: the next one keeps every promise."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.e2e.conftest import ROOT
from tests.e2e.daemons import EFFECT, WAITS, House

DAEMON = {  # point -> at which of its passes it is killed, at which it gets an error
    "daemon.began": ((1,), (1,)),
    "catalogue.taken": ((1,), (1,)),
    "catalogue.committed": ((1,), (1,)),
    "acts.makes": ((1, 2), (1, 2)),
    "dispatch.made": ((1,), (1,)),
    "dispatch.committed": ((1,), (1,)),
    "engine.readied": ((1, 2, 3, 4), (1, 2, 3, 4)),  # a shell waits behind its gate; its attempt is not written yet
    "engine.decided": ((1, 2, 4, 5), (1, 2, 4, 5)),  # there are six turns or more: how many depends on what ends together
    "engine.committed": ((1, 2, 4, 5), (1, 2, 4, 5)),
    "engine.acted": ((1, 2, 4, 5), (1, 2, 4, 5)),
    "process.before_spawn": ((1, 2, 5), (1, 3)),
    "process.after_spawn": ((1, 2, 5), ()),  # nothing of the machine's can fail between the spawn and its return
}
ADOPTION = {"engine.recovers": ((1, 3), (1, 3))}  # passed by the second daemon
OTHERS = {  # point -> the test that kills there
    **dict.fromkeys(("clean.committed", "clean.moved", "clean.packed", "clean.named", "backup.written"), "e2e/test_clean.py"),
    "alerts.sent": "alerts/test_sender.py",
    "alerting.send": "e2e/test_alerts.py",
}
RUNS = {"chain@2026-01-01", "once@2026-01-02", "twice@2026-01-02", "fill@2026-01-01", "fill@2026-01-02", "fill@2026-01-03"}


def cases(table):
    for name, (kills, errors) in table.items():
        for act, passes in (("kill", kills), ("error", errors)):
            for n in passes:
                yield f"{name}:{act}@{n}"


def test_each_named_point_has_its_tests():
    named = set()
    for folder, _, files in os.walk(os.path.join(ROOT, "runner")):
        for file in files:
            if file.endswith(".py"):
                with open(os.path.join(folder, file), encoding="utf-8") as text:
                    named |= set(re.findall(r"faults\.point\(\"([\w.]+)\"\)", text.read()))
    assert named == set(DAEMON) | set(ADOPTION) | set(OTHERS)
    for name, file in OTHERS.items():
        with open(os.path.join(ROOT, "tests", file), encoding="utf-8") as text:
            assert f'"{name}:' in text.read(), f"{file} does not test {name}"


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    made.pipeline("chain", "steps:\n" + "".join(f"  - id: {step}\n{need}    bash: {EFFECT}\n" for step, need in (
        ("a", ""), ("b", "    needs: a\n"), ("c", "    needs: [a, b]\n"), ("beside", ""))))
    for name in ("once", "twice"):  # due by themselves as soon as a daemon knows them
        made.pipeline(name, f"schedule: '@once'\nstart_date: 2026-01-02\nsteps:\n  - id: a\n    bash: {EFFECT}\n")
    made.pipeline("fill", f"steps:\n  - id: a\n    bash: {EFFECT}\n")
    yield made
    made.close()


def ask(house):
    """What people asked for while no daemon lived."""
    house("trigger", "chain", "--date", "2026-01-01")
    house("backfill", "fill", "--from", "2026-01-01", "--to", "2026-01-03", "--json")


def check_all_ran(house, once=True):
    house.wait_for(lambda: set(house.runs()) >= RUNS)
    house.wait_all_ended()
    assert set(house.runs()) == RUNS
    house.check_promises(once)
    if once:
        assert set(house.runs().values()) == {"success"} and len(house.lines()) == 9


@pytest.mark.parametrize("fault", [case for case in cases(DAEMON) if ":kill" in case])
def test_killed_there_nothing_is_lost_doubled_or_stuck(house, fault):
    ask(house)
    child = house.daemon(env={"RUNNER_FAULT": fault}, ready=False)
    assert house.ended(child) == -signal.SIGKILL, "the point was never passed"
    house.daemon()
    check_all_ran(house)


@pytest.mark.parametrize("fault", [case for case in cases(DAEMON) if ":error" in case])
def test_a_full_disk_there_does_not_end_the_daemon_and_loses_nothing(house, fault):
    ask(house)
    child = house.daemon(env={"RUNNER_FAULT": fault}, ready=False)
    if fault.startswith(("daemon.", "catalogue.")):  # it cannot even begin: it says so and leaves
        assert house.ended(child) == 3 and "No space left on device" in child.words
        child = house.daemon()
    check_all_ran(house, once=not fault.startswith("process."))
    assert child.poll() is None
    if fault.startswith("process."):  # the step that could not begin has failed, with the reason
        failed = house.rows("SELECT reason FROM step_runs WHERE state = 'failed'")
        assert len(failed) == 1 and "No space left on device" in failed[0]["reason"]
    if fault.startswith("engine."):
        assert "beginning anew: [Errno 28] No space left on device" in house.log()


@pytest.mark.parametrize("fault", list(cases(ADOPTION)))
def test_adoption_itself_may_die_or_fail(house, fault):
    for number in range(4):
        house.pipeline(f"slow{number}", f"steps:\n  - id: a\n    bash: {WAITS}\n  - id: b\n    needs: a\n    bash: {EFFECT}\n")
    first = house.daemon()
    for number in range(4):
        house("trigger", f"slow{number}", "--date", "2026-01-01")
    house.wait_lines(6)  # and those that are due by themselves
    house.end(first, signal.SIGKILL)
    second = house.daemon(env={"RUNNER_FAULT": fault}, ready=False)
    if ":kill" in fault:
        assert house.ended(second) == -signal.SIGKILL, "the point was never passed"
        second = house.daemon()
    house.open()
    house.wait_all_ended()
    assert set(house.runs().values()) == {"success"} and len(house.lines()) == 10 and second.poll() is None
    house.check_promises()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_backfill_that_dies_while_it_is_made_is_not_there_at_all(house, n):
    words = ["backfill", "fill", "--from", "2026-01-01", "--to", "2026-01-03", "--json"]
    assert house(*words, env={"RUNNER_FAULT": f"acts.makes:kill@{n}"}, code=None).returncode == -signal.SIGKILL
    assert house.runs() == {} and house.rows("SELECT * FROM backfills") == []
    assert len(house.json(*words[:-1])["runs"]) == 3
