"""Completion: the words, and the bash function that asks for them in the midst of a name with @ and :."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import click
import pytest

from runner.cli import cli
from runner.cli.completion import complete_pipeline, complete_run, complete_step, completion
from tests.conftest import add_run, make_date, make_pipeline, make_step

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def ctx(tmp_path, monkeypatch, store, clock):
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path))
    (tmp_path / "pipelines").mkdir()
    for name in ("mart", "매출"):
        (tmp_path / f"pipelines/{name}.yaml").write_text("")
    pipeline = make_pipeline(make_step("extract"), make_step("적재"))
    add_run(store, pipeline, clock)
    add_run(store, pipeline, clock, make_date("2026-03-01"))
    root = click.Context(cli)
    return click.Context(cli, parent=root)


def words(function, ctx, incomplete=""):
    return [item for item in function(ctx, None, incomplete) if isinstance(item, str)]


def test_words(ctx):
    assert words(complete_pipeline, ctx) == ["mart", "매출"]
    assert words(complete_pipeline, ctx, "ma") == ["mart"]
    assert [item.type for item in complete_pipeline(ctx, None, "./pi")] == ["file"]
    assert sorted(words(complete_run, ctx, "mart@2026-0")) == ["mart@2026-02-28", "mart@2026-03-01"]
    ctx.params["run_name"] = "mart@2026-02-28"
    assert words(complete_step, ctx) == ["extract", "적재"]


def test_nothing_goes_wrong_aloud(ctx, tmp_path, capsys, monkeypatch):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/runner.db").write_bytes(b"broken" * 1000)
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "other"))
    ctx.params["run_name"] = "mart@2026-02-28"
    assert words(complete_run, ctx) == words(complete_step, ctx) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_script_names_our_variable_and_how_to_use_it(shell, app, capsys):
    completion.main([shell], obj=app, standalone_mode=False, prog_name="runner")
    out, err = capsys.readouterr()
    assert "_RUNNER_COMPLETE" in out and f"runner completion {shell}" in err


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
@pytest.mark.parametrize("line, answers", [
    ("runner logs mart@2026-0", ["2026-02-28", "2026-03-01"]),  # bash has `mart@` typed already
    ("runner logs mart@2026-02-28 ex", ["extract"]),
    ("runner show 매", ["매출"]),
    ("runner stat", ["status"]),
])
def test_in_bash(ctx, tmp_path, line, answers, app, capsys):
    completion.main(["bash"], obj=app, standalone_mode=False)
    script = tmp_path / "complete.sh"
    script.write_text(capsys.readouterr().out + (
        f"\nrunner() {{ {sys.executable} -m runner \"$@\"; }}\nCOMP_LINE='{line}' COMP_POINT={len(line)}\n"
        "_runner_completion runner\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
    ), encoding="utf-8")
    environ = {**os.environ, "RUNNER_HOME": str(tmp_path), "PYTHONPATH": ROOT, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["bash", str(script)], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert sorted(done.stdout.decode().split()) == answers, done.stderr.decode()
