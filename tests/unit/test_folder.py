"""The files of a folder and the cache of what was found in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from runner.errors import EnvironmentFault, NotFound, UsageError
from runner.spec import check, finding, folder

SITE = check.Site("Asia/Seoul")
GOOD = "description: d\nowner: o\ntags: [t]\nschedule: \"0 1 * * *\"\nsteps:\n  - {id: a, bash: echo a}\n"
BAD = "steps:\n  - {id: a, bsh: echo a}\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a good and a bad file, where the person stands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p" / "sub").mkdir(parents=True)
    (tmp_path / "p" / "good.yaml").write_text(GOOD)
    (tmp_path / "p" / "sub" / "bad.yml").write_text(BAD)
    return tmp_path


def look(place, cache="cache.json", site=SITE):
    return folder.check_paths(["p"], site, str(place / cache) if cache else None)


def test_files_are_found_to_the_bottom(place):
    for name in (".hidden.yaml", "note.txt", "settings.yaml", "schema.json"):
        (place / "p" / name).write_text("x")
    (place / "p" / ".git").mkdir()
    (place / "p" / ".git" / "x.yaml").write_text("x")
    assert folder.find(["p"]) == [str(place / "p" / "good.yaml"), str(place / "p" / "sub" / "bad.yml")]
    assert folder.find(["p/good.yaml", "p"])[0] == str(place / "p" / "good.yaml")
    assert len(folder.find(["p", "p"])) == 2
    with pytest.raises(NotFound):
        folder.find(["nowhere"])


def test_a_link_to_a_folder_above_ends(place):
    os.symlink(place / "p", place / "p" / "sub" / "loop")
    assert len(folder.find(["p"])) == 2


def test_reports(place):
    good, bad = look(place)
    assert (good.name, good.good, good.cached) == ("good", True, False)
    assert good.summary == {"name": "good", "description": "d", "owner": "o", "tags": ["t"], "timezone": "Asia/Seoul",
                            "schedule": "0 1 * * *", "logical_date": "due", "steps": 1}
    assert (bad.name, bad.good, bad.summary) == ("bad", False, None)
    assert (bad.problems[0].file, bad.problems[0].line) == ("p/sub/bad.yml", 2)


def test_what_is_unchanged_comes_from_the_cache(place):
    first, again = look(place), look(place)
    assert all(report.cached for report in again)
    assert [report.problems for report in first] == [report.problems for report in again]
    assert [report.summary for report in first] == [report.summary for report in again]


def test_only_what_changed_is_read_again(place):
    look(place)
    (place / "p" / "sub" / "bad.yml").write_text(GOOD)
    assert [(report.name, report.cached, report.good) for report in look(place)] == [("good", True, True), ("bad", False, True)]


def test_another_site_or_version_does_not_count(place, monkeypatch):
    look(place)
    assert not any(report.cached for report in look(place, site=check.Site("UTC")))
    monkeypatch.setattr("runner.__version__", "99")
    assert not any(report.cached for report in look(place, site=check.Site("UTC")))


def test_a_called_file_counts_too(place):
    (place / "p" / "good.yaml").write_text("steps:\n  - id: a\n    hive: {file: x.sql}\n")
    assert not look(place)[0].good
    (place / "p" / "x.sql").write_text("select '<< dz >>'")
    (fault,) = look(place)[0].problems
    assert (fault.file, fault.line) == ("p/x.sql", 1)
    (place / "p" / "x.sql").write_text("select '<< ds >>'")
    assert look(place)[0].good and look(place)[0].cached


def test_a_script_that_comes_later_counts_too(place):
    (place / "p" / "good.yaml").write_text("steps:\n  - {id: a, cwd: etl, bash: ./load.sh}\n")
    assert not look(place)[0].problems and look(place)[0].cached
    (place / "p" / "etl").mkdir()
    (place / "p" / "etl" / "load.sh").write_text("D=$(date +%F)\n")
    assert [problem.file for problem in look(place)[0].problems] == ["p/etl/load.sh"]


@pytest.fixture
def asking(place):
    """A look at a folder in which one pipeline names others; said is what the look finds."""
    (place / "p" / "good.yaml").write_text("steps:\n  - {id: a, bash: echo}\n")
    (place / "p" / "sub" / "near.yaml").write_text(GOOD)

    def said(*steps, paths=("p",), pipelines="p"):
        (place / "p" / "asks.yaml").write_text("steps:\n" + "".join(f"  - id: s{n}\n    {step}\n" for n, step in enumerate(steps)))
        site = SimpleNamespace(timezone="Asia/Seoul", logical_date="due", pipelines=str(place / pipelines))
        reports = folder.check_paths([str(place / path) for path in paths], site, str(place / "cache.json"))
        return [(problem.line, problem.column, problem.severity, problem.message, problem.hint) for report in reports if report.name == "asks" for problem in report.problems]

    return said


def test_another_pipeline_that_is_not_there_is_a_warning(place, asking):
    where = str(place / "p")
    steps = ("pipeline: nosuch", "pipeline: {name: goood}", "wait: {run: nosuch, step: x}", "wait: {run: good, step: nostep}", "wait: {run: near, step: b}")
    other = "put its file there, or write the name of one that is there"
    wanted = [
        (3, 15, "warning", f"there is no pipeline 'nosuch' in {where}", other), (5, 22, "warning", f"there is no pipeline 'goood' in {where}", "did you mean good?"),
        (7, 17, "warning", f"there is no pipeline 'nosuch' in {where}", other), (9, 29, "warning", "pipeline good has no step 'nostep'", "its steps are: a"),
        (11, 29, "warning", "pipeline near has no step 'b'", "its steps are: a"),
    ]
    assert asking(*steps) == wanted and asking(*steps) == wanted  # from the cache too
    assert asking(*steps, paths=("p/asks.yaml",)) == wanted


def test_another_pipeline_that_is_there_is_none(place, asking):
    (place / "p" / "faulty.yaml").write_text(BAD)
    good = ("pipeline: good", "pipeline: near", "wait: {run: good, step: a}", "pipeline: << params.x >>", "wait: {run: good, step: << params.x >>}", "wait: {run: faulty, step: z}")
    assert [one for one in asking(*good) if "params.x" not in one[3]] == []
    assert [one for one in asking(*good, paths=("p/asks.yaml",)) if "params.x" not in one[3]] == []
    assert asking("pipeline: nosuch", pipelines="elsewhere") == []


def test_the_answer_changes_with_the_other_file_alone(place, asking):
    asks = ("wait: {run: good, step: b}", "pipeline: late")
    assert len(asking(*asks)) == 2
    (place / "p" / "good.yaml").write_text("steps:\n  - {id: b, bash: echo}\n")
    (place / "p" / "late.yml").write_text(GOOD)
    assert asking(*asks, paths=("p/asks.yaml",)) == [] and asking(*asks) == []
    (place / "p" / "late.yml").unlink()
    assert len(asking(*asks)) == 1


def test_messages_name_files_from_where_the_person_stands(place, monkeypatch):
    (place / "p" / "x.sql").write_text("select '<< dz >>'")
    (place / "p" / "good.yaml").write_text("steps:\n  - id: a\n    hive: {file: x.sql}\n")
    look(place)
    monkeypatch.chdir(place / "p")
    files = {problem.file for report in folder.check_paths(["."], SITE, str(place / "cache.json")) for problem in report.problems}
    assert files == {"x.sql", "sub/bad.yml"}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"key": 1}', '{"key": "KEY", "files": []}', '{"key": "KEY", "files": {"PATH": 3}}',
                                  '{"key": "KEY", "files": {"PATH": {"seen": {}, "problems": [{"x": 1}], "summary": null}}}'])
def test_a_damaged_cache_is_none(place, text):
    look(place)
    key = json.loads((place / "cache.json").read_text())["key"]
    (place / "cache.json").write_text(text.replace("KEY", key).replace("PATH", str(place / "p" / "good.yaml")))
    assert [report.good for report in look(place)] == [True, False]


def test_a_cache_that_cannot_be_written_is_none(place):
    (place / "file").write_text("")
    assert len(look(place, cache="file/below/cache.json")) == 2
    assert len(look(place, cache=None)) == 2


def test_one_name_twice_is_said_of_both(place):
    (place / "p" / "sub" / "good.yaml").write_text(GOOD)
    told = [report for report in look(place) if report.name == "good"]
    assert len(told) == 2 and not any(report.good for report in told)
    assert all("another file" in report.problems[-1].message for report in told)


def test_one_name_twice_is_refused_by_whoever_asks_for_it_by_name(place):
    for name in ("same.yaml", "same.yml", "sub/same.yaml"):
        (place / "p" / name).write_text(GOOD)
    with pytest.raises(UsageError, match="3 files make the pipeline same: .*/p/same.yaml, .*/p/same.yml, .*/p/sub/same.yaml"):
        finding.path_of(str(place / "p"), "same")


def test_a_name_is_looked_for_where_check_looks(place):
    (place / "p" / ".old").mkdir()
    (place / "p" / ".old" / "good.yaml").write_text(GOOD)
    assert finding.path_of(str(place / "p"), "good") == str(place / "p" / "good.yaml")
    (place / "far").mkdir()
    (place / "far" / "late.yaml").write_text(GOOD)
    os.symlink(place / "far", place / "p" / "link")
    assert finding.path_of(str(place / "p"), "late") == str(place / "p" / "link" / "late.yaml")
    assert finding.names(str(place / "p")) == ["bad", "good", "late"]


def test_a_file_that_cannot_be_read(place):
    os.symlink(place / "gone", place / "p" / "link.yaml")
    report = {report.name: report for report in look(place)}["link"]
    assert not report.good and "cannot be read" in report.problems[0].message


@pytest.mark.parametrize("named", ["p", "p/pipe.yaml"])
def test_a_pipe_is_told_and_not_opened(place, named):
    os.mkfifo(place / "p" / "pipe.yaml")
    [report] = [report for report in folder.check_paths([named], SITE, None) if report.name == "pipe"]
    assert report.problems[0].message == "cannot be read: it is not a plain file"
    with pytest.raises(EnvironmentFault, match="it is not a plain file"):
        check.load_pipeline(str(place / "p" / "pipe.yaml"), SITE)


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(place, closed):
    closed(place / "p")
    with pytest.raises(EnvironmentFault, match="p: cannot be read: Permission denied"):
        folder.find(["p"])
    with pytest.raises(EnvironmentFault, match="p: cannot be read: Permission denied"):
        finding.path_of(str(place / "p"), "good")


def test_the_cached_way_loads_neither_yaml_nor_the_schema(place):
    look(place)
    code = ("import sys; from runner.spec import folder; from types import SimpleNamespace as S; "
            f"r = folder.check_paths(['p'], S(timezone='Asia/Seoul', logical_date='due'), {str(place / 'cache.json')!r}); "
            "assert all(x.cached for x in r); print([m for m in ('yaml', 'jsonschema', 'jinja2', 'croniter') if m in sys.modules])")
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    done = subprocess.run([sys.executable, "-c", code], cwd=place, env={**os.environ, "PYTHONPATH": root}, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == "[]"
