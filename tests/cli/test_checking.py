"""check and schema: the faults of all files at once, for people, for editors, for programs."""

from __future__ import annotations

import io
import json
import os
import re
import sys

import pytest

from runner.cli.checking import check, schema, summary
from runner.cli.planning import next_
from runner.errors import EnvironmentFault, NotFound
from runner.model import Problem

GOOD = 'schedule: "0 1 * * *"\nsteps:\n  - id: a\n    bash: echo hi\n'
BAD = "steps:\n  - id: a\n    bash: echo hi\n    needs: nobody\n"
PLACE = re.compile(r"^(\S+):(\d+):(\d+): \S", re.M)  # vim: %f:%l:%c: %m


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "pipelines"
    made.mkdir()
    (made / "good.yaml").write_text(GOOD)
    return made


def test_a_good_file_says_its_next_three_runs(call, folder):
    code, out, err = call(check, str(folder / "good.yaml"))
    assert (code, out) == (0, "")
    assert err.splitlines() == [
        "1 file is good",
        "  due 2026-03-01 01:00 KST  ds=2026-03-01  interval 02-28 01:00 .. 03-01 01:00",
        "  due 2026-03-02 01:00 KST  ds=2026-03-02  interval 03-01 01:00 .. 03-02 01:00",
        "  due 2026-03-03 01:00 KST  ds=2026-03-03  interval 03-02 01:00 .. 03-03 01:00",
    ]


@pytest.mark.parametrize("top, said", [
    ('schedule: "@once"\n', "good is due once, when the daemon first sees it"), ('schedule: " @Once"\nstart_date: 2026-02-01\n', "good is due once, when the daemon first sees it"),
    ('schedule: "@daily"\nend_date: 2026-02-01\n', "good is never due again"), ("", "no schedule: it runs when you say so, runner run good"),
])
def test_a_good_file_without_a_next_run_says_why(call, folder, top, said):
    (folder / "good.yaml").write_text(top + "steps:\n  - {id: a, bash: echo hi}\n")
    assert call(check, str(folder / "good.yaml"))[2].splitlines() == ["1 file is good", "  " + said]
    assert call(next_, "good")[2].splitlines() == [said.partition(", runner")[0] if top else "good has no schedule: it runs when you say so"]


def test_a_pipeline_may_be_named(call, folder):
    assert call(check, "good")[0] == 0
    with pytest.raises(NotFound):
        call(check, "nobody")


def test_a_folder_here_does_not_hide_a_pipeline_of_its_name(call, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good").mkdir()
    code, out, err = call(check, "good")
    assert (code, out) == (0, "")
    assert err.splitlines()[:2] == [f"good: the pipeline {folder}/good.yaml; the folder here is checked by: runner check ./good", "1 file is good"]
    (folder / "good.yaml").write_text(BAD)
    assert call(check, "good")[0] == 1


@pytest.mark.parametrize("word", ["empty", "./empty", "empty/"])
def test_a_named_folder_without_pipelines_is_no_success(call, folder, tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="no pipeline file in this folder"):
        call(check, str(folder), word)
    (tmp_path / "empty" / "one.yaml").write_text(GOOD)
    assert call(check, word)[0] == 0


def test_a_file_that_cannot_be_read_is_one_fault_among_others(call, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.access", lambda *words, **more: False)  # as for a user who may not; root may read all
    assert call(check, str(folder / "good.yaml"))[0] == 0
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "bad.yaml").write_text(BAD)
    code, out, err = call(check, "pipe.yaml", "bad.yaml")
    assert code == 1 and "pipe.yaml:1:1: cannot be read: it is not a plain file" in out and "bad.yaml:4:12" in out
    assert err == "2 faults in 2 of 2 files\n"


def test_all_faults_of_the_folder_come_in_a_form_that_vim_reads(call, folder):
    for name in ("one", "two"):
        (folder / f"{name}.yaml").write_text(BAD)
    code, out, err = call(check)
    assert code == 1
    assert [found[0] for found in PLACE.findall(out)] == [str(folder / "one.yaml"), str(folder / "two.yaml")]
    assert "\x1b" not in out
    assert err == "2 faults in 2 of 3 files\n"


def test_json(call, folder):
    (folder / "bad.yaml").write_text(BAD)
    code, out, err = call(check, "--json")
    found = json.loads(out)
    assert (code, err, found["files"], found["errors"]) == (1, "", 2, 1)
    (problem,) = found["problems"]
    assert problem["file"].endswith("bad.yaml") and problem["severity"] == "error" and problem["line"] > 0


def test_an_editor_may_hand_its_text_over(call, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
    code, out, _ = call(check, "-", "--name", str(folder / "new.yaml"))
    assert code == 1 and PLACE.match(out).group(1) == str(folder / "new.yaml")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    code, out, err = call(check, "-")
    assert (code, out) == (0, "") and "ds=2026-03-01" in err


def test_no_folder_yet(call):
    with pytest.raises(EnvironmentFault, match="no such folder"):
        call(check)


def _problems(*severities):
    return [Problem(f"{number}.yaml", 1, 1, "m", severity=severity) for number, severity in enumerate(severities)]


@pytest.mark.parametrize("files, severities, text", [
    (40, (), "40 files are good"),
    (1, (), "1 file is good"),
    (0, (), "there is no pipeline file here"),
    (40, ("error", "error"), "2 faults in 2 of 40 files"),
    (1, ("error",), "1 fault"),
    (2, ("error", "warning"), "1 fault in 1 of 2 files (1 warning)"),
    (3, ("warning", "warning"), "3 files are good (2 warnings)"),
])
def test_the_last_line(files, severities, text):
    problems = _problems(*severities)
    errors = [problem for problem in problems if problem.severity == "error"]
    assert summary([str(n) for n in range(files)], problems, errors) == text


@pytest.mark.parametrize("words, code", [((), 0), (("--strict",), 1)])
def test_warnings_count_only_when_told(call, folder, monkeypatch, words, code):
    from runner.cli import checking

    monkeypatch.setattr(checking, "check_all", lambda app, paths: (["a.yaml", "b.yaml"], _problems("warning")))
    assert call(check, *words)[0] == code


def test_the_schema_is_json_and_may_go_into_a_file(call, tmp_path):
    text = call(schema)[1]
    assert json.loads(text)["$schema"].startswith("http")
    _, out, err = call(schema, "--write", str(tmp_path / "p.json"))
    assert (tmp_path / "p.json").read_text(encoding="utf-8") == text
    assert out == "" and "yaml-language-server" in err
