"""logs: the end first, of one step or of all, by attempt, as bytes, as JSON, followed."""

from __future__ import annotations

import json
import os

import pytest

from runner import ownership
from runner.cli.logs import PATIENCE, logs
from runner.errors import NotFound, UsageError
from tests.conftest import add_run, make_pipeline, make_step


@pytest.fixture
def run(store, clock):
    return add_run(store, make_pipeline(make_step("extract"), make_step("적재", ["extract"])), clock)


def numbered(count):
    return b"".join(b"line %d\n" % n for n in range(count))


def test_one_step_shows_its_last_50_lines_and_says_that_there_are_more(call, run, attempt):
    folder = attempt(run, "extract", numbered(100))
    code, out, err = call(logs, run.name, "extract")
    assert code == 0
    assert out.splitlines() == [f"line {n}" for n in range(50, 100)]
    assert folder in err and "--all" in err


def test_several_steps_show_ten_lines_each_below_a_header(call, run, attempt):
    attempt(run, "extract", numbered(30))
    attempt(run, "적재", "실패\n".encode("cp949"), "failed", reason="exit 1")
    out = call(logs, run.name)[1].splitlines()
    assert out[0] == "==> extract (attempt 1, success) <=="
    assert out[1:11] == [f"line {n}" for n in range(20, 30)]
    assert out[11:] == ["", "==> 적재 (attempt 1, failed) <==", "실패"]


@pytest.mark.parametrize("words, first, count", [(("-n", "3"), "line 97", 3), (("--all",), "line 0", 100), (("-n", "0"), None, 0)])
def test_how_many_lines(call, run, attempt, words, first, count):
    attempt(run, "extract", numbered(100))
    out = call(logs, run.name, "extract", *words)[1].splitlines()
    assert len(out) == count and (not count or out[0] == first)


def test_the_last_attempt_unless_another_is_named(call, run, attempt):
    attempt(run, "extract", b"first\n", "failed", step_state="retry_wait")
    attempt(run, "extract", b"second\n", number=2, frm="retry_wait")
    assert call(logs, run.name, "extract")[1] == "second\n"
    assert call(logs, run.name, "extract", "--attempt", "1")[1] == "first\n"
    for words in (["extract", "--attempt", "3"], ["--attempt", "3"], ["extract", "--attempt", "3", "--json"]):
        with pytest.raises(NotFound, match="has no attempt 3") as told:
            call(logs, run.name, *words)
        assert told.value.hint == "there are: 1, 2"


@pytest.mark.parametrize("word", ["mart", "latest", "mart.yaml", "mart@2026-02-28"])
def test_a_run_may_be_named_by_its_pipeline(call, run, attempt, word):
    attempt(run, "extract", b"hello\n")
    assert call(logs, word, "extract")[1] == "hello\n"


def test_control_characters_are_shown_not_obeyed(call, run, attempt):
    data = b"a\x1b[2Jb\r\nc\rd\n\x00"
    attempt(run, "extract", data)
    assert call(logs, run.name, "extract")[1] == "a\\x1b[2Jb\nc\nd\n\\x00\n"


def test_raw_gives_the_bytes(run, attempt, app, capfdbinary):
    data = b"a\x1b[2J\xff\xfe\r\n\x00"
    attempt(run, "extract", data)
    logs.main([run.name, "extract", "--raw"], obj=app, standalone_mode=False)
    assert capfdbinary.readouterr().out == data


def test_json_and_path(call, run, attempt):
    folder = attempt(run, "extract", numbered(3))
    found = json.loads(call(logs, run.name, "--json", "-n", "2")[1])
    assert found == {"run": "mart@2026-02-28", "steps": [{
        "step": "extract", "attempt": 1, "state": "success", "path": os.path.join(folder, "log"), "size": 21, "offset": 7,
        "lines": ["line 1", "line 2"],
    }]}
    assert call(logs, run.name, "--path")[1] == os.path.join(folder, "log") + "\n"


def test_a_step_that_never_started_is_said_to_have_none(call, run):
    code, out, err = call(logs, run.name, "적재")
    assert (code, out) == (0, "") and "never started (pending)" in err


@pytest.mark.parametrize("words, message", [(("mart@2026-02-28", "extrakt"), "did you mean extract?"), (("mart@2026-02-27",), "mart@2026-02-28")])
def test_wrong_names_get_near_ones(call, run, words, message):
    with pytest.raises(NotFound) as error:
        call(logs, *words)
    assert message in error.value.hint


def test_a_pipeline_that_never_ran(call, run, tmp_path):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/other.yaml").write_text("")
    with pytest.raises(NotFound, match="other never ran"):
        call(logs, "other")


def test_following_goes_with_no_json(call, run):
    with pytest.raises(UsageError):
        call(logs, run.name, "-f", "--json")


# ----------------------------------------------------------------------------------------------------------- following


class Script:
    """A clock whose sleeps do the next act each."""

    def __init__(self, clock, acts):
        self._clock, self.acts, self.slept = clock, list(acts), 0

    def sleep(self, seconds):
        self.slept += 1
        self._clock.advance(seconds)
        if self.acts:
            self.acts.pop(0)()

    def __getattr__(self, name):
        return getattr(self._clock, name)


@pytest.fixture
def owned(store, run, app):
    owner = ownership.Owner(app.config.engines_folder, "runner run mart")
    with store.transaction():
        store.claim(run.id, owner.id, None)
    yield owner
    owner.close()


def add(folder, data):
    with open(os.path.join(folder, "log"), "ab") as file:
        file.write(data)


def test_following_a_run_shows_new_lines_new_steps_and_new_attempts_until_it_ends(call, app, run, attempt, move, owned):
    move(run, "running")
    folder = attempt(run, "extract", b"one\n", "running")
    app.clock = Script(app.clock, [
        lambda: add(folder, b"two\nth"),
        lambda: add(folder, b"ree\nrest"),
        lambda: attempt.end(run, "extract", 1, "failed", step_state="retry_wait"),
        lambda: attempt(run, "extract", b"again\n", number=2, frm="retry_wait"),
        lambda: attempt(run, "적재", b"load\n"),
        lambda: move(run, "success"),
    ])
    code, out, err = call(logs, run.name, "-f")
    assert out.splitlines() == [
        "==> extract (attempt 1, running) <==", "one", "two", "three", "rest",
        "", "==> extract (attempt 2, success) <==", "again",
        "", "==> 적재 (attempt 1, success) <==", "load",
    ]
    assert err == "(mart@2026-02-28: success)\n"


def test_following_a_step_ends_with_it(call, app, run, attempt, move, owned):
    move(run, "running")
    app.clock = Script(app.clock, [lambda: attempt(run, "extract", b"one\n")])
    code, out, err = call(logs, run.name, "extract", "-f")
    assert (out, err) == ("one\n", "(extract: success)\n")


def test_following_an_interrupted_run_ends_with_a_hint(call, app, run, attempt, move):
    move(run, "running")
    attempt(run, "extract", b"one\n", "running")
    app.clock = Script(app.clock, [])
    code, out, err = call(logs, run.name, "-f")
    assert "one\n" in out and "runner rerun mart@2026-02-28 --resume" in err
    assert app.clock.slept == PATIENCE - 1


def test_following_a_run_that_has_ended_shows_its_tail(call, app, run, attempt, move):
    move(run, "running")
    attempt(run, "extract", b"one\n")
    move(run, "success")
    app.clock = Script(app.clock, [])
    assert call(logs, run.name, "-f")[1].splitlines() == ["==> extract (attempt 1, success) <==", "one"]
    assert app.clock.slept == 0
