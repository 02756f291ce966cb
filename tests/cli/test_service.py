"""service: what is written where, twice is harmless, nobody's file is overwritten, and what to type next is said."""

from __future__ import annotations

import os

import pytest

from runner.cli import service as module
from runner.cli.service import service
from runner.errors import Conflict, EnvironmentFault, NotFound, UsageError


@pytest.fixture
def units(tmp_path, monkeypatch, app):
    monkeypatch.setattr(module, "SYSTEM_UNITS", str(tmp_path / "etc"))
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    app.environ["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    return tmp_path / "etc"


def test_dry_run_prints_and_writes_nothing(call, units, monkeypatch):
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    code, out, err = call(service, "install", "--dry-run")
    assert code == 0 and "\nType=notify\n" in out and str(units / "runner.service") in err
    assert not units.exists()


def test_install_twice_and_after_a_change(call, units, app):
    _, out, _ = call(service, "install")
    assert "runner.service: written\n" in out
    for line in ("systemctl daemon-reload", "systemctl enable --now runner", "journalctl -u runner -f"):
        assert f"  {line}\n" in out
    path = units / "runner.service"
    first = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644
    _, out, _ = call(service, "install")
    assert "unchanged" in out and "daemon-reload" not in out and path.read_text() == first
    app.environ["PATH"] = "/opt/spark/bin:relative:/usr/bin"
    _, out, err = call(service, "show")
    assert "Type=notify" in out and "would change it" in err
    _, out, _ = call(service, "install")
    assert "its text changed" in out and "systemctl restart runner" in out
    assert "Environment=PATH=/opt/spark/bin:/usr/bin\n" in path.read_text()
    assert "as an install would write it" in call(service, "show")[2]
    assert os.listdir(units) == ["runner.service"]


def test_a_unit_for_the_user_alone(call, units, tmp_path, monkeypatch):
    monkeypatch.undo()  # nobody needs root for it
    _, out, _ = call(service, "install", "--user", "--name", "night")
    text = (tmp_path / "config" / "systemd" / "user" / "night.service").read_text()
    assert "User=" not in text and "SyslogIdentifier=night" in text
    assert "systemctl --user enable --now night" in out and "loginctl enable-linger" in out


def test_without_root_the_sudo_command_is_said(call, units, app, monkeypatch, tmp_path):
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    with pytest.raises(EnvironmentFault) as fault:
        call(service, "install", "--name", "night")
    assert f"--home {tmp_path} service install --name night" in fault.value.hint and "sudo env" in fault.value.hint
    assert "--user" in fault.value.hint


def test_the_daemon_runs_as_the_owner_of_its_home(call, units, monkeypatch):
    monkeypatch.setattr(module.pwd, "getpwuid", lambda number: type("Entry", (), {"pw_name": "kim"}))
    _, out, err = call(service, "install", "--dry-run")
    assert "\nUser=kim\n" in out


def test_a_file_of_somebody_else_is_left_alone(call, units, tmp_path):
    units.mkdir()
    (units / "runner.service").write_text("[Service]\nExecStart=/usr/bin/other\n")
    with pytest.raises(Conflict, match="was not written by runner"):
        call(service, "install")
    (tmp_path / "script").write_text("mine")
    with pytest.raises(Conflict):
        call(service, "script", str(tmp_path / "script"))
    assert (tmp_path / "script").read_text() == "mine"


def test_show_without_a_unit_says_what_to_type(call, units):
    with pytest.raises(NotFound) as fault:
        call(service, "show", "--user")
    assert fault.value.hint == "type: runner service install --user"


@pytest.mark.parametrize("name", ["a b", "../x", "", "x.service", "-x"])
def test_names_that_are_none(call, units, name):
    with pytest.raises(UsageError, match="no name of a service"):
        call(service, "install", f"--name={name}")


def test_the_script_to_a_file_and_to_the_screen(call, units, tmp_path):
    _, shown, _ = call(service, "script")
    _, out, _ = call(service, "script", str(tmp_path / "start me"))
    path = tmp_path / "start me"
    assert path.read_text() == shown and path.stat().st_mode & 0o777 == 0o755
    assert f"'{path}' start" in out
    assert "unchanged" in call(service, "script", str(path))[1]
