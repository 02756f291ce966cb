"""A home with a real daemon, and the oracle that says whether every effect happened once.

Steps append a line to `effects`; what the database says must agree with it, whoever was killed in between.
"""

from __future__ import annotations

import collections
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

from runner import daemonlock, ownership
from runner.clock import from_text, to_text
from tests.e2e.conftest import Shell

EFFECT = 'echo "$RUNNER_RUN_ID $RUNNER_STEP $RUNNER_TRY_NUMBER" >>"$EFFECTS"'
WAITS = EFFECT + '; until [ -e "$ROOM/open" ]; do sleep 0.1; done'  # until House.open()
READY_SECONDS = 60


class House(Shell):
    """A RUNNER_HOME, its pipelines folder, and its daemons."""

    def __init__(self, folder):
        super().__init__(folder)
        self.pipelines = self.home / "pipelines"
        self.pipelines.mkdir(parents=True)
        self.effects = folder / "effects"
        self.env.update(EFFECTS=str(self.effects), ROOM=str(folder), RUNNER_MIN_FREE="0", RUNNER_TIMEZONE="UTC", RUNNER_DURABILITY="normal")
        self.children = []
        self._age = 0

    # -- files

    def pipeline(self, name, text):
        """A file of the folder that looks as if it had been written long ago: it counts at once."""
        path = self.write(f"home/pipelines/{name}.yaml", text)
        self._age += 1
        moment = time.time() - 3600 + self._age
        os.utime(path, (moment, moment))
        return path

    def open(self):
        """Steps of `WAITS` may end."""
        (self.folder / "open").touch()

    def settings(self, text):
        self.write("home/settings.yaml", "timezone: UTC\n" + text)

    # -- daemons

    def daemon(self, *, env=None, patch="", ready=True):
        """Start one; with `ready` it is waited for until it says so, in the way systemd hears it. `patch`: Python run before."""
        line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        name = f"runner-test-{os.getpid()}-{os.urandom(4).hex()}"
        line.bind("\0" + name)
        code = f"import sys; {patch}\nfrom runner.cli import main; main(['daemon'])"
        child = subprocess.Popen(
            [sys.executable, "-c", code], env={**self.env, "NOTIFY_SOCKET": "@" + name, **(env or {})}, cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        child.line = line
        self.children.append(child)
        if ready:
            self.wait_ready(child)
        return child

    def wait_ready(self, child):
        """Until READY=1; fails with the daemon's words when it ends before."""
        child.line.settimeout(0.05)
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            try:
                if b"READY=1" in child.line.recv(4096):
                    return child
            except socket.timeout:
                assert child.poll() is None, (child.returncode, child.stdout.read(), self.log())
        raise AssertionError("the daemon never became ready:\n" + self.log())

    def end(self, child, number=signal.SIGTERM):
        """Signal it and wait; returns its exit code."""
        child.send_signal(number)
        return self.ended(child)

    def ended(self, child, seconds=60):
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("the daemon did not end:\n" + self.log()) from None
        child.words = child.stdout.read()
        child.stdout.close()
        child.line.close()
        assert "Traceback" not in child.words, child.words
        return code

    def close(self):
        """No daemon and no step of this home stays behind."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()
            child.stdout.close()
            child.line.close()
        for pid in self.step_processes():
            kill(pid)

    def ring(self):
        found = daemonlock.look(str(self.home))
        return bool(found) and ownership.ring(str(self.home / "engines"), found.owner)

    def log(self):
        path = self.home / "daemon.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    # -- the database, as a bystander

    def rows(self, text, *values):
        connection = sqlite3.connect(f"file:{self.home}/runner.db?mode=ro", uri=True, timeout=30)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(text, values)]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()

    def change(self, text, *values):
        """Write behind the daemon's back: what time would have done, had we the patience."""
        connection = sqlite3.connect(self.home / "runner.db", timeout=30)
        with connection:
            connection.execute(text, values)
        connection.close()

    def runs(self, pipeline=None, state=None):
        """Name -> state."""
        found = self.rows("SELECT name, pipeline, state FROM runs ORDER BY id")
        return {r["name"]: r["state"] for r in found if pipeline in (None, r["pipeline"]) and state in (None, r["state"])}

    def run(self, name):
        return self.rows("SELECT * FROM runs WHERE name = ?", name)[0]

    def step(self, run, step):
        return self.rows("SELECT s.* FROM step_runs s JOIN runs r ON r.id = s.run_id WHERE r.name = ? AND s.step = ?", run, step)[0]

    def wait_state(self, run, *states, seconds=60):
        return self.wait_for(lambda: self.runs().get(run) in states, seconds)

    def wait_all_ended(self, seconds=60):
        return self.wait_for(lambda: self.runs() and not {"queued", "running"} & set(self.runs().values()), seconds)

    def rest(self, pipeline):
        """No minute begins a run of it any more, and what began has ended."""
        self("pause", pipeline)
        self.wait_all_ended()

    def wait_lines(self, count, path=None, seconds=60):
        """Until `effects` has so many lines."""
        return self.wait_for(lambda: len(self.lines(path)) >= count and self.lines(path), seconds)

    def lines(self, path=None):
        path = path or self.effects
        return path.read_text().splitlines() if path.exists() else []

    def make_due(self, name, ago=timedelta(), back=timedelta(seconds=61)):
        """As if the daemon had dealt with all due times until `back` ago, and the next one had come `ago`."""
        now = datetime.now(timezone.utc)
        self.change("UPDATE pipelines SET cursor_at = ?, next_due = ? WHERE name = ?", to_text(now - back), to_text(now - ago), name)
        self.ring()

    def patience(self):
        """Seconds by which a busy machine may be later than an idle one: that of a few commands that only begin."""
        begin = time.monotonic()
        self("--version")
        return 8 * (time.monotonic() - begin)

    # -- processes

    def step_processes(self):
        """The pids of everything that was born as a step of this home."""
        mark = f"RUNNER_ATTEMPT={self.home}/".encode()
        out = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/environ", "rb") as file:
                        if any(word.startswith(mark) for word in file.read().split(b"\0")):
                            out.append(int(name))
                except OSError:
                    pass
        return out

    # -- the oracle

    def check_promises(self, once=True):
        """Nothing is stuck, no date ran twice, no effect happened twice, none is missing.

        `once`: no step was killed, so every attempt's effect happened exactly once. Else a killed attempt's effect may or
        may not have happened, and every step run still has one attempt that succeeded.
        """
        states = self.runs()
        assert not {"queued", "running"} & set(states.values()), (states, self.log())
        doubled = self.rows("SELECT pipeline, due_at, number, count(*) n FROM runs GROUP BY 1, 2, 3 HAVING n > 1")
        assert not doubled, doubled
        assert not self.rows("SELECT * FROM attempts WHERE ended_at IS NULL")
        assert not self.rows("SELECT * FROM runs WHERE engine IS NOT NULL")
        effects = collections.Counter(tuple(line.split()) for line in self.lines())
        assert not [key for key, count in effects.items() if count > 1], "an attempt ran twice"
        attempts = self.rows("SELECT r.name, a.step, a.number, a.state FROM attempts a JOIN runs r ON r.id = a.run_id")
        known = {(a["name"], a["step"], str(a["number"])): a["state"] for a in attempts}
        unknown = set(effects) - set(known)
        assert not unknown, f"ran without a row: {unknown}"
        won = collections.Counter((name, step) for (name, step, _), state in known.items() if state == "success")
        assert not [key for key, count in won.items() if count > 1], "a step succeeded twice"
        lost = {key for key, state in known.items() if state == "success"} - set(effects)
        assert not lost, f"said to have succeeded, but never ran: {lost}"
        ended = self.rows("SELECT r.name, s.step FROM step_runs s JOIN runs r ON r.id = s.run_id WHERE s.state = 'success'")
        assert {(row["name"], row["step"]) for row in ended} == set(won), "the step's state and its attempts disagree"
        if once:
            assert set(effects) == set(known), set(effects) ^ set(known)
            assert {number for _, _, number in known} <= {"1"}, known
        return known

    def check_dues(self, pipeline, first, last, minutes=1):
        """Every due time of the span has its one row."""
        found = [from_text(row["due_at"]) for row in self.rows("SELECT due_at FROM runs WHERE pipeline = ? ORDER BY due_at", pipeline)]
        wanted, moment = [], first
        while moment <= last:
            wanted.append(moment)
            moment += timedelta(minutes=minutes)
        assert found == wanted, (found, wanted)


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def soon(seconds=2, zone=timezone.utc):
    """A whole second in a moment, as a start_date says it."""
    moment = datetime.now(zone).replace(microsecond=0) + timedelta(seconds=seconds)
    return moment, f"{moment:%Y-%m-%dT%H:%M:%S}"
