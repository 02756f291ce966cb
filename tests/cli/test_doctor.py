"""doctor: each doubt has a sentence and a remedy; the exit code says how bad it is."""

from __future__ import annotations

import dataclasses
import json
import os
from datetime import datetime, timezone

import pytest

from runner import __version__, daemonlock
from runner.cli import doctor as module
from runner.cli.app import App
from runner.cli.checking import check
from runner.cli.doctor import doctor
from runner.errors import EnvironmentFault
from tests.conftest import add_run, make_pipeline, make_step


def findings(call):
    code, out, _ = call(doctor, "--json")
    return code, {(found["area"], found["text"]): found for found in json.loads(out)}


def of_area(found, area):
    return [value for (name, _), value in found.items() if name == area]


@pytest.fixture
def healthy(tmp_path):
    (tmp_path / "pipelines").mkdir()


def test_a_healthy_server(call, healthy, store):
    code, out, err = call(doctor)
    assert code == 0
    for area in ("python", "modules", "libyaml", "sqlite", "zone data", "clock", "shell", "disk", "settings", "pipelines", "database"):
        assert f"  {area:<12}  " in out, area
    assert "FAIL" not in out and "0 must change" in err


def test_every_failure_has_a_remedy_and_lines_line_up(call, app, monkeypatch):
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    code, found = findings(call)
    assert code == 1
    bad = [value for value in found.values() if value["level"] != "ok"]
    assert bad and all(value["remedy"] for value in bad)


def test_a_year_that_cannot_be(call, app, healthy):
    app.clock.moment = datetime(1970, 1, 1, tzinfo=timezone.utc)
    code, found = findings(call)
    assert code == 1 and of_area(found, "clock")[0]["level"] == "FAIL"


def test_an_interrupted_run_is_named_with_what_to_type(call, healthy, store, clock, move):
    run = add_run(store, make_pipeline(make_step("a")), clock)
    move(run, "running")
    _, found = findings(call)
    assert "runner rerun mart@2026-02-28 --resume" in of_area(found, "runs")[0]["remedy"]


@pytest.mark.parametrize("change, level, words", [
    ({}, "ok", "pid 1, since 2026-02-28 09:00 KST"), ({"blocked": "the clock jumped"}, "FAIL", "lets nothing begin"), ({"beat": 0.0}, "FAIL", "hangs"), ({"version": "0.0.1"}, "WARN", "is of runner 0.0.1"),
])
def test_the_daemon_as_it_is(call, healthy, store, app, monkeypatch, change, level, words):
    alive = dataclasses.replace(daemonlock.Daemon(1, "", "2026-02-28T00:00:00Z", __version__, app.clock.now().timestamp()), **change)
    monkeypatch.setattr(daemonlock, "look", lambda home: alive)
    found = of_area(findings(call)[1], "daemon")[0]
    assert found["level"].lower() == level.lower() and words in found["text"] and bool(found["remedy"]) == (level != "ok")


def test_without_a_daemon_a_schedule_is_a_doubt(call, healthy, store, clock):
    assert of_area(findings(call)[1], "daemon")[0]["level"] == "ok"
    with store.transaction():
        store.db.execute("insert_pipeline", name="mart", path="/mart.yaml", at="2026-01-01T00:00:00.000000Z")
        store.pipelines.schedule("mart", "", clock.now(), clock.now())
    found = of_area(findings(call)[1], "daemon")[0]
    assert found["level"] == "warn" and "1 pipelines have a schedule" in found["text"]


def test_two_files_of_one_name_lead_to_a_command_that_shows_them(call, healthy, store, clock, tmp_path):
    path, other = str(tmp_path / "pipelines" / "mart.yaml"), str(tmp_path / "pipelines" / "team" / "mart.yaml")
    os.mkdir(os.path.dirname(other))
    for file in (path, other):
        with open(file, "w") as opened:
            opened.write("steps: [{id: a, bash: 'true'}]\n")
    with store.transaction():
        good = store.keep_definition(make_pipeline(make_step("a")), clock.now())
        store.pipelines.place("mart", path, good, "", clock.now())
        store.pipelines.place("mart", path, None, f"another file makes the pipeline mart too: {other}", clock.now())
    found = next(each for each in of_area(findings(call)[1], "daemon") if "last good text" in each["text"])
    words = found["remedy"].partition("type: runner check ")[2]
    code, out, err = call(check, words)
    assert code == 1 and f"another file makes the pipeline mart too: {other}" in out + err


def test_a_damaged_database(call, healthy, tmp_path):
    (tmp_path / "runner.db").write_bytes(b"no database at all" * 100)
    code, found = findings(call)
    assert code == 1
    assert "damaged" in of_area(found, "database")[0]["remedy"]


def test_settings_that_cannot_be_read_end_the_look_with_3(capsys, tmp_path):
    (tmp_path / "settings.yaml").write_text("slot: 4\n")
    broken = App({"RUNNER_HOME": str(tmp_path), "PATH": os.environ["PATH"]}, None, None)
    assert doctor.main([], obj=broken, standalone_mode=False) == 3
    out = capsys.readouterr().out
    assert "settings.yaml:1:1" in out and "did you mean slots?" in out and out.count("FAIL") == 1


@pytest.mark.parametrize("environ, text, place, hint", [
    ({}, "timezone: Asia/Seuol\n", "settings.yaml", "did you mean Asia/Seoul?"), ({}, "timezone: KST\n", "settings.yaml", "write Asia/Seoul"),
    ({}, "timezone: localtime\n", "settings.yaml", "write a place"), ({"RUNNER_TIMEZONE": "Moon/Base"}, "", "RUNNER_TIMEZONE", "write a place"),
])
def test_a_time_zone_that_is_none_is_refused_where_it_was_set_and_not_at_every_pipeline(tmp_path, environ, text, place, hint):
    (tmp_path / "settings.yaml").write_text(text)
    with pytest.raises(EnvironmentFault, match=f"{place}: timezone: '.*' is not a time zone") as error:
        App({"RUNNER_HOME": str(tmp_path), **environ}, None, None).config
    assert error.value.hint.startswith(hint)


@pytest.mark.parametrize("name", ["Asia/Seoul", "UTC", "EST", "Etc/GMT+9"])
def test_a_good_time_zone_is_taken(tmp_path, name):
    assert App({"RUNNER_HOME": str(tmp_path), "RUNNER_TIMEZONE": name}, None, None).config.timezone == name


@pytest.mark.parametrize("free, level", [(50 * 10**6, "FAIL"), (500 * 10**6, "warn"), (50 * 10**9, "ok")])
def test_disk(app, monkeypatch, free, level):
    real = os.statvfs(app.config.home)
    fake = os.statvfs_result((4096, 4096, 10**8, free // 4096, free // 4096, 10**6, 500, 500, 0, 255))
    monkeypatch.setattr(module.os, "statvfs", lambda path: fake if real else real)
    disk, inodes = module._disk(app)
    assert (disk.level, inodes.level) == (level, "warn")


@pytest.mark.parametrize("path, kind", [("/data/runner", "nfs4"), ("/data/local disk/한글/x", "xfs"), ("/database", "ext4"), ("/", "ext4")])
def test_the_file_system_is_that_of_the_nearest_mount(tmp_path, path, kind):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "30 20 0:44 / /data rw,relatime shared:2 - nfs4 filer:/data rw\n"
        "31 30 8:2 / /data/local\\040disk/한글 rw,relatime - xfs /dev/sdb1 rw\n", encoding="utf-8",
    )
    assert module.filesystem_of(path, str(mounts)) == kind


def test_a_network_file_system_is_refused(app, monkeypatch):
    monkeypatch.setattr(module, "filesystem_of", lambda path: "nfs4")
    (found,) = module._filesystem(app)
    assert found.level == "FAIL" and "local disk" in found.remedy


def test_an_interpreter_for_steps_that_is_not_there(app, tmp_path):
    app.environ = {**app.environ, "RUNNER_STEP_PYTHON": str(tmp_path / "none")}
    (found,) = module._python_for_steps(app)
    assert found.level == "FAIL" and "set `step_python:` in settings.yaml" in found.remedy


def test_remedies_name_settings_that_there_are():
    import inspect
    import re

    from runner.config import SETTINGS

    named = re.findall(r"set `(\w+):` in settings", inspect.getsource(module))
    assert named and set(named) <= set(SETTINGS)


def test_a_home_that_is_not_there_yet_is_no_fault(tmp_path):
    app = App({"RUNNER_HOME": str(tmp_path / "new" / "home"), "RUNNER_TIMEZONE": "UTC", "PATH": os.environ["PATH"]}, None, None)
    assert [found.level for found in module._permissions(app)] == ["ok"]
    assert not (tmp_path / "new").exists()


def test_a_home_everybody_may_write_is_doubtful(app, tmp_path):
    os.chmod(tmp_path, 0o777)
    assert [found.level for found in module._permissions(app)] == ["warn"]


def test_a_home_or_database_everybody_may_read_is_doubtful(app, store, tmp_path):
    database = tmp_path / "runner.db"
    for home, file, levels in ((0o750, 0o640, ["ok"]), (0o750, 0o644, ["ok"]), (0o755, 0o640, ["warn"]), (0o755, 0o644, ["warn", "warn"]),
                               (0o711, 0o644, ["warn", "warn"])):
        os.chmod(tmp_path, home)
        os.chmod(database, file)
        found = list(module._permissions(app))
        assert [each.level for each in found] == levels, (oct(home), oct(file))
        assert all(each.remedy.startswith("chmod o-rwx ") for each in found if each.level == "warn")


def test_the_system_without_zones_falls_back_on_the_module(app, monkeypatch):
    import zoneinfo

    monkeypatch.setattr(zoneinfo, "TZPATH", ())
    (found,) = module._zones(app)
    assert found.level == "ok" and "tzdata module" in found.text
