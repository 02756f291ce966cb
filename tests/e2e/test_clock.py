"""Midnight, and clocks that are set: real steps under a real daemon, whose wall clock is libfaketime's where it must jump."""

from __future__ import annotations

import glob
import os
import re
import signal
import threading
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from runner import acts
from runner import config as config_module
from runner.clock import Clock, from_text
from runner.engine import Engine
from runner.executors.local import LocalExecutor
from runner.spec.check import Site, load_text
from runner.store import Store
from runner.workorder import Site as JobSite
from tests.conftest import FakeClock
from tests.e2e.daemons import EFFECT, House, soon

UTC = timezone.utc
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1") + glob.glob("/usr/lib*/faketime/libfaketimeMT.so.1")), None)
needs_faketime = pytest.mark.skipif(FAKETIME is None, reason="wants the package faketime (libfaketimeMT.so.1)")
FULL = bool(os.environ.get("RUNNER_TEST_FULL"))

CHAIN = """
timezone: {zone}
schedule: "{cron}"
logical_date: {mode}
steps:
  - id: extract
    bash: |
      echo "extract $RUNNER_TRY_NUMBER $RUNNER_DS << ds >> << ds_nodash >>" >>"$LOG"
      test "$RUNNER_TRY_NUMBER" -ge 3
    retries: 2
    retry_delay: 1h
  - id: load
    needs: extract
    bash: |
      echo "load $RUNNER_TRY_NUMBER $RUNNER_DS << ds >> << ds_nodash >>" >>"$LOG"
      exit "$(cat "$LOG.exit")"
"""


# ------------------------------------------------------------------------------------------------------------- midnight


class Night:
    """One engine with real processes; its clock goes on by ten minutes whenever nothing runs."""

    def __init__(self, folder, start):
        self.clock = FakeClock(start)
        self.log = folder / "log"
        self.store = Store(str(folder / "runner.db"), "normal")
        self.config = config_module.load({"HOME": str(folder), "TZ": "UTC"}, home=str(folder / "home"))
        self.environ = {"PATH": os.environ["PATH"], "LOG": str(self.log)}
        self.spec = None

    def work(self, run):
        """As a new process would: with an engine of its own."""
        executor = LocalExecutor(Clock())
        engine = Engine(self.store, executor, self.clock, self.config, JobSite(self.environ))
        engine.adopt(self.store.run_by_id(run.id), self.spec)
        try:
            engine.turn([])
            for _ in range(2000):
                if engine.idle:
                    return self.store.run_by_id(run.id)
                if not engine.live:
                    self.clock.advance(600)
                engine.turn(executor.wait(0.5) if engine.live else [])
            raise AssertionError("the run never ended")
        finally:
            engine.close()
            executor.close()

    def lines(self):
        return self.log.read_text().splitlines()

    def close(self):
        self.store.close()


@pytest.fixture
def night(tmp_path):
    made = []

    def begin(start):
        made.append(Night(tmp_path, start))
        return made[-1]

    yield begin
    for each in made:
        each.close()


@pytest.mark.parametrize("zone", ["Asia/Seoul", "Europe/Berlin"])
@pytest.mark.parametrize("mode", ["due", "interval_start"])
@pytest.mark.parametrize("evening", ["2026-11-20", "2026-11-30", "2026-12-31", "2028-02-28", "2028-02-29", "2027-02-28", "2026-10-24", "2026-03-28"])
def test_a_chain_over_midnight_has_one_date_in_retries_later_steps_and_reruns(night, evening, mode, zone):
    """Begun at 23:59:59; the first step is tried again after midnight, the next follows, and both are repeated days later."""
    due = datetime.fromisoformat(evening + "T23:59:00").replace(tzinfo=ZoneInfo(zone))
    night = night(due.astimezone(UTC) + timedelta(seconds=59))
    night.spec = load_text(CHAIN.format(zone=zone, cron="59 23 * * *", mode=mode), str(night.log.parent / "chain.yaml"), "chain", Site("UTC"))
    ds = evening if mode == "due" else f"{datetime.fromisoformat(evening) - timedelta(days=1):%Y-%m-%d}"
    (night.log.parent / "log.exit").write_text("1")
    date = acts.date_for(night.spec, ds, night.clock.now())
    assert date.due == due
    run = acts.create_run(night.store, night.spec, date, params={}, at=night.clock.now(), trigger="schedule")
    assert run.name == f"chain@{ds}"
    ended = night.work(run)
    dates = f"{ds} {ds} {ds.replace('-', '')}"
    assert night.lines() == [f"extract 1 {dates}", f"extract 2 {dates}", f"extract 3 {dates}", f"load 1 {dates}"]
    assert ended.state == "failed" and night.clock.now() - run.created_at >= timedelta(hours=2)
    night.clock.advance(5 * 86400)
    (night.log.parent / "log.exit").write_text("0")
    acts.reset(night.store, ended, night.spec, ["load"], at=night.clock.now(), who="kim")
    assert night.work(run).state == "success" and night.lines()[4:] == [f"load 2 {dates}"]
    night.clock.advance(30 * 86400)
    acts.reset(night.store, night.store.run_by_id(run.id), night.spec, ["extract", "load"], at=night.clock.now(), who="kim")
    assert night.work(run).state == "success" and night.lines()[5:] == [f"extract 4 {dates}", f"load 3 {dates}"]


# ---------------------------------------------------------------------------------------- the clock of a living daemon


class Set(House):
    """A house whose daemon sees a wall clock that can be set. Time since boot stays true, as in the world."""

    def __init__(self, folder):
        super().__init__(folder)
        self.offset = folder / "offset"
        self.set(0)

    def set(self, seconds):
        fresh = self.offset.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        os.replace(fresh, self.offset)
        self.seconds = seconds

    def daemon(self, **options):
        return super().daemon(env={
            "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(self.offset), "FAKETIME_NO_CACHE": "1", "NO_FAKE_STAT": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}, **options)

    def now(self):
        return datetime.now(UTC) + timedelta(seconds=self.seconds)

    def sees(self, seconds, words):
        """Set the clock, and wait until the daemon has said so in its log."""
        before = len(self.log())
        self.set(seconds)
        self.ring()
        self.wait_for(lambda: re.search(words, self.log()[before:]))

    def dues(self, name):
        return {from_text(row["due_at"]): row["state"] for row in self.rows("SELECT due_at, state FROM runs WHERE pipeline = ?", name)}

    def no_doubles(self):
        found = [line.split()[:2] for line in self.lines()]
        assert len({tuple(each) for each in found}) == len(found), found
        assert not self.rows("SELECT pipeline, due_at FROM runs GROUP BY 1, 2 HAVING count(*) > 1")


@pytest.fixture
def house(tmp_path):
    made = Set(tmp_path)
    yield made
    made.close()


TICK = f"schedule: '* * * * *'\nmax_active_runs: 5\nsteps:\n  - id: a\n    bash: {EFFECT}\n"
HAND = f"steps:\n  - id: a\n    bash: {EFFECT}\n"


@needs_faketime
def test_a_daemon_over_midnight_gives_every_attempt_the_date_of_the_evening(house):
    """What a script would get that asks the clock stands beside what the run gives it."""
    evening = datetime(2028, 2, 28, 23, 59, 55, tzinfo=UTC)
    out = house.folder / "out"
    house.pipeline("chain", f"""
        schedule: '@once'
        start_date: 2028-02-28T23:59:58
        steps:
          - id: a
            retries: 1
            retry_delay: 3s
            bash: |
              echo "a $RUNNER_TRY_NUMBER $RUNNER_DS << ds >> $(date -u +%F)" >>{out}
              test "$RUNNER_TRY_NUMBER" -ge 2
          - id: b
            needs: a
            bash: echo "b $RUNNER_TRY_NUMBER $RUNNER_DS << ds >> $(date -u +%F)" >>{out}
    """)
    house.set(int((evening - datetime.now(UTC)).total_seconds()))
    house.daemon()
    house.wait_state("chain@2028-02-28", "success")
    house.sees(house.seconds + 20 * 3600, r"the clock was set by \+")
    house("rerun", "chain@2028-02-28", "--all", "--wait", code=0)
    words = [line.split() for line in house.lines(out)]
    assert [each[:2] for each in words] == [["a", "1"], ["a", "2"], ["b", "1"], ["a", "3"], ["b", "2"]]
    assert {(ds, rendered) for _, _, ds, rendered, _ in words} == {("2028-02-28", "2028-02-28")}
    assert {clock for *_, clock in words[1:]} == {"2028-02-29"}, "it was another day by then"


@needs_faketime
def test_an_hour_ahead_and_back_runs_no_date_twice(house):
    house.pipeline("tick", TICK)
    house.pipeline("hand", HAND)
    child = house.daemon()
    began = house.now()
    house.sees(3600, r"the clock was set by \+36\d\d s")
    house.wait_for(lambda: "success" in house.dues("tick").values())
    dues = house.dues("tick")
    late = sorted(due for due, state in dues.items() if state != "missed")
    assert 55 <= len(dues) <= 65 and timedelta(minutes=58) <= late[0] - began <= timedelta(minutes=62), dues
    house.sees(0, r"the clock was set by -36\d\d s")
    house.wait_for(lambda: "pipeline tick: the clock was set back; its due times count from now" in house.log())
    house("trigger", "hand", "--date", "2026-01-01", "--wait", code=0)
    row, = house.rows("SELECT cursor_at, next_due FROM pipelines WHERE name = 'tick'")
    assert from_text(row["next_due"]) - house.now() <= timedelta(minutes=1), row
    house.make_due("tick")
    house.wait_for(lambda: [due for due, state in house.dues("tick").items() if state == "success" and due < late[0]])
    house.no_doubles()
    assert child.poll() is None and "Traceback" not in house.log()


@needs_faketime
def test_thirty_days_ahead_holds_new_runs_until_it_is_put_right_or_said_to_be(house):
    house.pipeline("tick", TICK)
    house.pipeline("hand", HAND)
    child = house.daemon()
    house.sees(30 * 86400, "the clock jumped 30 days ahead, to .*: nothing new begins until it is put right; if it is right, type: runner daemon reload")
    assert house.json("trigger", "hand", "--date", "2026-01-01")["state"] == "queued"
    house.pipeline("later", HAND)
    house.ring()
    assert house.runs("hand") == {"hand@2026-01-01": "queued"}
    ahead = house.now() - timedelta(days=1)
    assert not [due for due in house.dues("tick") if due > ahead], "no date is used up by a wrong clock"
    house.sees(0, r"the clock was set by -2592\d\d\d s")
    house.wait_state("hand@2026-01-01", "success")
    assert not [due for due in house.dues("tick") if due > ahead]

    house.sees(30 * 86400, "the clock jumped 30 days ahead")
    house("daemon", "reload", code=0)
    house.wait_for(lambda: [due for due, state in house.dues("tick").items() if due > ahead and state == "success"])
    states = [state for due, state in house.dues("tick").items() if due > ahead - timedelta(days=40)]
    assert states.count("missed") >= 1000 and 1 <= states.count("success") <= 6
    house.no_doubles()

    house.sees(0, "the clock jumped 30 days back")
    house("trigger", "hand", "--date", "2026-01-02", code=0)
    house("daemon", "reload", code=0)
    house.wait_state("hand@2026-01-02", "success")
    row, = house.rows("SELECT next_due FROM pipelines WHERE name = 'tick'")
    assert from_text(row["next_due"]) - house.now() <= timedelta(minutes=1)
    house.no_doubles()
    assert child.poll() is None and "Traceback" not in house.log()


@needs_faketime
def test_a_daemon_that_starts_on_a_clock_without_its_battery_waits_for_the_right_time(house):
    house.pipeline("tick", TICK)
    house.end(house.daemon())
    house.set(-400 * 86400)
    house.daemon()
    assert re.search("the clock says .* but runs of .* were made already: nothing new begins", house.log())
    assert not [due for due in house.dues("tick") if due < datetime.now(UTC) - timedelta(days=1)]
    house.sees(0, r"the clock was set by \+345\d+ s")
    house.make_due("tick")
    house.wait_for(lambda: "success" in house.dues("tick").values())


@needs_faketime
def test_a_step_that_lives_through_a_jump_keeps_its_timeout_and_its_date(house):
    """A duration is no difference of wall clocks."""
    gate = house.folder / "gate"
    text = f"steps:\n  - id: a\n    timeout: 20m\n    bash: |\n      until [ -e '{gate}' ]; do sleep 0.1; done\n      {EFFECT}\n  - id: b\n    needs: a\n    bash: echo $RUNNER_DS >>{gate}\n"
    house.pipeline("long", text)
    house.daemon()
    house("trigger", "long", "--date", "2026-01-01", code=0)
    house.wait_for(lambda: house.step_processes())
    house.sees(3600, r"the clock was set by \+36\d\d s")
    house.sees(3600 + 30 * 86400, "the clock jumped 30 days ahead")
    gate.touch()
    house.wait_state("long@2026-01-01", "success")
    assert gate.read_text() == "2026-01-01\n"


# ---------------------------------------------------------------------------------------------------- a stopped process


@pytest.mark.parametrize("pause", [6] + ([150] if FULL else []))
def test_a_daemon_stopped_over_a_due_time_catches_up_when_it_goes_on(tmp_path, pause):
    house = House(tmp_path)
    try:
        due, text = soon(4 + int(house.patience()))
        house.pipeline("tick", f"schedule: {{every: 1m}}\nstart_date: '{text}'\nsteps:\n  - id: a\n    bash: {EFFECT}\n")
        child = house.daemon()
        child.send_signal(signal.SIGSTOP)
        stopped = datetime.now(UTC)
        assert stopped < due, "the machine is too slow for this test"
        threading.Event().wait((due - stopped).total_seconds() + pause)  # time itself is what is tested
        assert house.runs() == {}
        child.send_signal(signal.SIGCONT)
        house.wait_lines(1)
        house.wait_all_ended()
        found = house.rows("SELECT due_at, state FROM runs ORDER BY due_at")
        assert [from_text(row["due_at"]) for row in found][:1] == [due] and "success" in [row["state"] for row in found]
        if pause > 120:
            assert [row["state"] for row in found][:3] == ["missed", "missed", "success"]
        assert "the clock" not in house.log() and child.poll() is None
        house.check_promises()
    finally:
        house.close()
