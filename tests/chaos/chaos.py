"""kill -9 at random moments: of the daemon, of wrappers, of steps; afterwards every promise is checked.

Runs of five kinds of pipelines are kept in flight by backfills, by hand and by a schedule of every minute. Every step may be
retried often enough, so that in the end all runs have succeeded, whoever was killed.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import random
import signal
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone

from runner.clock import from_text
from runner.executors import process
from tests.e2e.daemons import EFFECT, House, kill

ADOPTION_SECONDS = 5.0
MANY = "defaults: {retries: 1000, retry_delay: 0.1s}\nmax_active_runs: 6\n"
PIPELINES = {
    "chain": "".join(f"  - id: s{n}\n" + (f"    needs: s{n - 1}\n" if n else "") + f"    bash: {EFFECT}\n" for n in range(4)),
    "fan": f"  - id: first\n    bash: {EFFECT}\n" + "".join(f"  - id: s{n}\n    needs: first\n    bash: {EFFECT}; sleep 0.{n}\n" for n in range(6))
           + f"  - id: last\n    needs: [{', '.join(f's{n}' for n in range(6))}]\n    bash: {EFFECT}\n",
    "flaky": f"  - id: a\n    bash: {EFFECT}; [ $RUNNER_TRY_NUMBER -gt 2 ]\n  - id: b\n    needs: a\n    bash: {EFFECT}\n",
    "sleepy": f"  - id: a\n    bash: sleep 0.3; {EFFECT}; sleep 0.5\n  - id: b\n    bash: {EFFECT}; (sleep 0.7) & wait\n",
}  # fmt: skip
MINUTELY = "schedule: '* * * * *'\ncatchup: all\n"
POINTS = ("engine.readied", "process.before_spawn", "process.after_spawn", "engine.decided", "engine.committed", "engine.acted", "engine.recovers")
FIRST_DAY = datetime(2001, 1, 1)


class Chaos(House):
    """A home in which processes die."""

    def __init__(self, folder: pathlib.Path, seed: int):
        super().__init__(folder)
        self.dice = random.Random(seed)
        self.killed: collections.Counter = collections.Counter()
        self.slowest = self.late = 0.0  # seconds until all that ran had a new owner; the same on a machine with nothing else to do
        self._next_day = FIRST_DAY
        self.settings("slots: 12\n")
        for name, steps in PIPELINES.items():
            self.pipeline(name, MANY + "steps:\n" + steps)
        self.pipeline("minutely", MINUTELY + MANY + "steps:\n" + PIPELINES["chain"])
        self.began = datetime.now(timezone.utc)
        self.daemon()

    @property
    def child(self):
        return self.children[-1]

    def play(self, kills: int, say=lambda text: None) -> None:
        """Kill so often, then let it come to rest, and ask the oracle."""
        turns = 0
        while sum(self.killed.values()) < kills:
            if turns % 10 == 0:
                self.feed(20 if kills > 50 else 4)
                say(f"{sum(self.killed.values())} kills, {len(self.lines())} effects")
            turns += 1
            self.kill_one()
        self.end(self.child)
        self.daemon()
        self.wait_all_ended(600)
        last = datetime.now(timezone.utc)
        self.wait_for(lambda: not self.rows("SELECT 1 FROM pipelines WHERE next_due < ?", f"{last:%Y-%m-%dT%H:%M:%S}.000000Z"))
        self.wait_all_ended()
        assert self.end(self.child) == 0
        while self.rows("SELECT 1 FROM runs WHERE ended_at IS NULL"):  # a minute began just then
            self.daemon()
            self.wait_all_ended()
            assert self.end(self.child) == 0
        self.check()

    def feed(self, days: int) -> None:
        """Keep runs waiting; so many when there are few."""
        waiting = collections.Counter(row["pipeline"] for row in self.rows("SELECT pipeline FROM runs WHERE ended_at IS NULL"))
        asked = []
        for name in PIPELINES:
            if waiting[name] <= days // 2:
                first, self._next_day = self._next_day, self._next_day + timedelta(days=days)
                last = first + timedelta(days=days - 1)
                asked.append(self.start("backfill", name, "--from", f"{first:%Y-%m-%d}", "--to", f"{last:%Y-%m-%d}", "--parallel", "6", "--json"))
                asked.append(self.start("trigger", name, "--date", f"{first - timedelta(days=9000):%Y-%m-%d}"))
        for child in asked:
            told = child.communicate(timeout=180)[1]
            assert child.returncode == 0, told

    # -- killing

    def kill_one(self) -> None:
        self._pause(self.dice.choice([0, 0, 0.02, 0.1, 0.3]))
        kind = self.dice.choice(["daemon", "daemon", "wrapper", "step"])
        if kind == "daemon":
            self._kill_daemon()
            return
        wrappers, steps = self._targets()
        found = wrappers if kind == "wrapper" else steps
        if found:
            kill(self.dice.choice(found))
            self.killed[kind] += 1

    def _kill_daemon(self) -> None:
        """The next one is waited for, or killed while it begins, or dies by itself at a spawn or a commit."""
        self.end(self.child, signal.SIGKILL)
        self.children.pop()
        self.killed["daemon"] += 1
        begin = time.monotonic()
        way = self.dice.random()
        point = f"{self.dice.choice(POINTS)}:kill@{self.dice.randrange(1, 30)}"
        self.daemon(ready=False, env={"RUNNER_FAULT": point} if way < 0.2 else {})
        if way < 0.5:
            self._pause(self.dice.random() * 0.8)
            return
        self.wait_ready(self.child)
        self.wait_for(lambda: not self.rows("SELECT 1 FROM runs WHERE state = 'running' AND (engine IS NULL OR engine NOT LIKE ?)", f"{self.child.pid}-%"))
        took = time.monotonic() - begin
        self.slowest = max(self.slowest, took)
        self.late = max(self.late, took if took < ADOPTION_SECONDS else took - self.patience())

    def _targets(self):
        """(pids of wrappers, pids of what they run), all of this home: a pid in a file may have become a stranger's."""
        own = set(self.step_processes())
        folders = [str(self.home / row["folder"]) for row in self.rows("SELECT folder FROM attempts WHERE ended_at IS NULL")]
        wrappers = {start.pid for start in map(process.read_start, folders) if start and process.is_alive(start)}
        return sorted(wrappers), sorted(own)

    def _pause(self, seconds: float) -> None:
        time.sleep(seconds)  # a moment by chance is what this is about

    # -- the oracle

    def check(self) -> None:
        self.check_promises(once=False)
        states = self.runs()
        assert set(states.values()) == {"success"}, {name: state for name, state in states.items() if state != "success"}
        dues = [from_text(row["due_at"]) for row in self.rows("SELECT due_at FROM runs WHERE pipeline = 'minutely' ORDER BY due_at")]
        first = self.began.replace(second=0, microsecond=0) + timedelta(minutes=1)
        if dues:
            self.check_dues("minutely", first, dues[-1])
        assert len(dues) >= int((datetime.now(timezone.utc) - first).total_seconds() // 60), dues
        assert not self.step_processes(), "processes were left"
        assert self("db", "check").returncode == 0
        assert self.late < ADOPTION_SECONDS, f"adoption took {self.late:.1f} s"

    def figures(self) -> str:
        attempts = collections.Counter(row["state"] for row in self.rows("SELECT state FROM attempts"))
        kills = ", ".join(f"{n} {kind}s" for kind, n in sorted(self.killed.items()))
        told = ", ".join(f"{n} {state}" for state, n in sorted(attempts.items()))
        return f"killed {kills}; {len(self.runs())} runs, attempts: {told}; {len(self.lines())} effects, none twice; slowest adoption {self.slowest:.2f} s"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/chaos/run", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.kills} kills", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="runner-chaos-"))
    chaos = Chaos(folder, options.seed)
    told = [0]

    def say(text: str) -> None:
        if sum(chaos.killed.values()) - told[0] >= 100:
            told[0] = sum(chaos.killed.values())
            print(text, flush=True)

    try:
        chaos.play(options.kills, say)
    except BaseException:
        print(f"seed {options.seed}: what is left stands in {folder}", file=sys.stderr, flush=True)
        raise
    finally:
        chaos.close()
    print(chaos.figures())
    import shutil

    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
