"""What all tests share: a clock that only moves when told, a scripted executor, pipelines without files."""

from __future__ import annotations

import errno
import os
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from runner import model
from runner.executors import Report
from runner.store import Store

SEOUL = ZoneInfo("Asia/Seoul")


@pytest.fixture
def closed(monkeypatch):
    """closed(folder): from here on it cannot be listed; root may read folders of any mode."""

    def close(folder):
        scandir = os.scandir

        def refuse(path="."):
            if os.path.abspath(path) == str(folder):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)

    return close


class FakeClock:
    """Stands still until `advance`."""

    def __init__(self, start=datetime(2026, 2, 28, 14, 50, tzinfo=timezone.utc)):
        self.moment, self.ticks = start, 1000.0

    def now(self):
        return self.moment

    def monotonic(self):
        return self.ticks

    def sleep(self, seconds):
        self.advance(seconds)

    def advance(self, seconds):
        self.moment += timedelta(seconds=seconds)
        self.ticks += seconds


class FakeExecutor:
    """Ends attempts as a script says: step -> list of exit codes, one per attempt; "hang" never ends by itself."""

    def __init__(self, script=None):
        self.script = {step: list(codes) for step, codes in (script or {}).items()}
        self.started, self.signals, self.jobs = [], [], []
        self.prepared, self.readied, self.discarded = [], [], []
        self._live, self._done = {}, []

    def watch(self, fd):
        pass

    def unwatch(self, fd):
        pass

    def prepare(self, job):
        self.prepared.append(job)

    def ready(self, job):
        self.readied.append(job)

    def discard(self, job):
        self.discarded.append(job)

    def start(self, job):
        step = job.env["RUNNER_STEP"]
        self.started.append(step)
        self.jobs.append(job)
        codes = self.script.get(step)
        code = codes.pop(0) if codes else 0
        if code == "hang":
            self._live[job.folder] = step
        elif code == "lost":
            self._done.append(Report(job.folder, "lost", reason="lost: scripted"))
        else:
            self._done.append(Report(job.folder, "exited", code))

    def refuse(self, folder, reason):
        self._done.append(Report(folder, "refused", reason=reason))

    def ended(self, folder):
        return None

    def recover(self, folder, boot=""):
        return "never"

    def terminate(self, folder):
        self.signals.append(("TERM", self._live.get(folder)))

    def kill(self, folder):
        self.signals.append(("KILL", self._live.get(folder)))
        self.end(folder, 137)

    def end(self, folder, code):
        if self._live.pop(folder, None):
            self._done.append(Report(folder, "exited", code))

    def live_folders(self):
        return list(self._live)

    def wait(self, timeout):
        done, self._done = self._done, []
        return done

    def close(self):
        pass


def make_step(step_id, needs=(), **changes):
    return model.Step(id=step_id, kind="bash", body={"run": "true"}, needs=tuple(needs), **changes)


def make_pipeline(*steps, name="mart", **changes):
    return model.Pipeline(
        name=name, path=f"/pipelines/{name}.yaml", text="steps: []\n", steps=tuple(steps), timezone="Asia/Seoul", **changes
    )


def make_date(text="2026-02-28"):
    due = datetime.fromisoformat(text).replace(tzinfo=SEOUL)
    return model.LogicalDate(due, due, due - timedelta(days=1), due, "Asia/Seoul")


@pytest.fixture
def make_mail_server():
    """Makes mail servers, as many as wanted: MailServer's arguments."""
    pytest.importorskip("aiosmtpd", reason="aiosmtpd is in vendor-wheels/tests: use ./tests/run")
    from tests.clients.mailserver import MailServer

    made = []

    def make(*args, **options):
        made.append(MailServer(*args, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def mail_server(make_mail_server):
    """One that takes every mail, on loopback."""
    return make_mail_server()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def store(tmp_path):
    opened = Store(str(tmp_path / "runner.db"))
    yield opened
    opened.close()


def add_run(store, pipeline, clock, date=None, **changes):
    """A run of `pipeline` for a day."""
    date = date or make_date()
    return store.create_run(
        pipeline, date, f"{date.logical:%Y-%m-%d}", trigger="manual", params={}, at=clock.now(), **changes
    )
