"""One call of one command against a home in a temporary folder."""

from __future__ import annotations

import os

import pytest

from runner.cli.app import App
from runner.workorder import attempt_folder


@pytest.fixture
def app(tmp_path, clock):
    made = App({"RUNNER_HOME": str(tmp_path), "RUNNER_TIMEZONE": "Asia/Seoul", "PATH": os.environ["PATH"]}, None, None)
    made.clock = clock
    return made


@pytest.fixture
def call(app, capsys):
    """call(command, words...) -> (exit code, stdout, stderr)"""

    def invoke(command, *words):
        capsys.readouterr()
        code = command.main(list(words), obj=app, standalone_mode=False)
        out, err = capsys.readouterr()
        return code or 0, out, err

    return invoke


@pytest.fixture
def attempt(store, clock, tmp_path):
    """attempt(run, step, data, state, ...): one attempt with its log; the step follows its state."""

    def make(run, step, data=b"", state="success", number=1, reason="", step_state=None, frm="pending"):
        folder = attempt_folder(str(tmp_path / "runs"), run, step, number)
        os.makedirs(folder)
        with open(os.path.join(folder, "log"), "wb") as file:
            file.write(data)
        with store.transaction():
            store.add_attempt(run.id, step, number, folder, clock.now(), None)
            store.move("step", run.id, frm, "running", clock.now(), step=step, tries=number, started_at=clock.now())
        clock.advance(2)
        if state != "running":
            end(run, step, number, state, reason, step_state)
        return folder

    def end(run, step, number, state, reason="", step_state=None):
        with store.transaction():
            store.move("attempt", run.id, "running", state, clock.now(), step=step, number=number, reason=reason)
            columns = {"retry_at": clock.now()} if step_state == "retry_wait" else {}
            store.move("step", run.id, "running", step_state or state, clock.now(), step=step, reason=reason, **columns)

    make.end = end
    return make


@pytest.fixture
def move(store, clock):
    """move(run, *states): take a run through states."""

    def go(run, *states, **columns):
        for state in states:
            current = store.run_by_id(run.id)
            if state == "running":
                columns.setdefault("started_at", clock.now())
            with store.transaction():
                store.move("run", run.id, current.state, state, clock.now(), **columns)
            columns = {}
        return store.run_by_id(run.id)

    return go
