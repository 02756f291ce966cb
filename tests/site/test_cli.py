"""runner variables, secrets, connections: what they change, and what they never print."""

from __future__ import annotations

import io
import json
import os
import socket

import pytest

from runner.cli import site
from runner.cli.app import App
from runner.cli.doctor import doctor
from runner.errors import EnvironmentFault, NotFound, UsageError


@pytest.fixture
def call(tmp_path, capsys, monkeypatch, clock):
    def invoke(command, *words, stdin=""):
        app = App({"RUNNER_HOME": str(tmp_path), "RUNNER_TIMEZONE": "Asia/Seoul", "PATH": os.environ["PATH"]}, None, None)
        app.clock = clock
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = command.main(list(words), obj=app, standalone_mode=False)
        out, err = capsys.readouterr()
        return code or 0, out, err

    return invoke


def test_variables_are_set_read_and_removed(call, tmp_path):
    assert call(site.variables, "list")[2].startswith("no variables; set one:")
    call(site.variables, "set", "spool", "/data/한글")
    assert call(site.variables, "get", "spool")[1] == "/data/한글\n"
    assert json.loads(call(site.variables, "list", "--json")[1]) == {"spool": "/data/한글"}
    assert (tmp_path / "variables.yaml").stat().st_mode & 0o777 == 0o600
    call(site.variables, "unset", "spool")
    for words in (("get", "spool"), ("unset", "spool")):
        with pytest.raises(NotFound):
            call(site.variables, *words)


@pytest.mark.parametrize("name", ["a-b", "1a", "", "a b", "é"])
def test_a_name_that_no_template_can_write_is_refused(call, name):
    for command, words in ((site.variables, ("set", name, "x")), (site.secrets, ("set", name))):
        with pytest.raises(UsageError, match="cannot be named"):
            call(command, *words, stdin="x")


@pytest.mark.parametrize("stdin, kept", [("canary-1\n", "canary-1"), ("canary-1", "canary-1"), ("canary\nof two\n", "canary\nof two\n")])
def test_a_secret_is_read_from_stdin_and_never_printed(call, tmp_path, stdin, kept):
    from runner.site import secrets

    assert call(site.secrets, "set", "api", stdin=stdin) == (0, "", "")
    assert secrets.get("api", str(tmp_path), {}) == kept
    for words in (("list",), ("list", "--json")):
        code, out, err = call(site.secrets, *words)
        assert "api" in out and "canary" not in out + err
    call(site.secrets, "unset", "api")
    assert call(site.secrets, "list")[1] == ""


def test_an_empty_secret_is_refused_and_a_short_one_told(call):
    with pytest.raises(UsageError, match="nothing was given"):
        call(site.secrets, "set", "api", stdin="\n")
    assert "logs will not hide it" in call(site.secrets, "set", "pin", stdin="123")[2]


@pytest.fixture
def connection(tmp_path):
    def write(text):
        path = tmp_path / "connections.yaml"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)

    return write


def test_connections_are_listed_without_what_is_secret(call, connection):
    connection("dw: {type: postgres, host: db1, password: canary}\n")
    assert json.loads(call(site.connections, "list", "--json")[1]) == {"dw": {"type": "postgres", "host": "db1", "password": "***"}}
    assert "canary" not in call(site.connections, "list")[1]


def test_a_connection_is_reached_by_its_port(call, connection):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connection(f"here: {{type: other, host: 127.0.0.1, port: {port}}}\n")
        code, out, _ = call(site.connections, "test", "here")
        assert code == 0 and f"127.0.0.1:{port} answers" in out
    code, out, _ = call(site.connections, "test", "--json")
    assert code == 1 and "refuses the connection" in json.loads(out)[0]["message"]


@pytest.mark.parametrize("text, said", [
    ("x: {type: other}\n", "no host:"), ("x: {type: other, host: localhost}\n", "no port:"),
    ("x: {type: other, host: localhost, port: many}\n", "'many' is no port"), ("y: {}\n", "there is no connection x"),
    ("x: {type: other, host: localhost, port: 1, password: << secret.none >>}\n", "there is no secret none"),
])
def test_what_keeps_a_connection_from_being_tried_is_told(call, connection, text, said):
    connection(text)
    code, out, _ = call(site.connections, "test", "x")
    assert code == 1 and said in out


def test_a_client_of_the_type_logs_in(call, connection, tmp_path):
    connection(f"db: {{type: sqlite, create: true, path: {tmp_path}/x.db}}\n")
    code, out, _ = call(site.connections, "test", "db")
    assert code == 0 and "SQLite" in out


def test_what_a_server_repeats_of_a_password_is_hidden(call, connection, monkeypatch):
    connection("x: {type: other, host: canary-pw, port: 1, password: canary-pw}\n")
    code, out, _ = call(site.connections, "test", "x")
    assert code == 1 and "***" in out and "canary-pw" not in out


def test_doctor_names_a_file_that_others_may_read(call, tmp_path):
    (tmp_path / "secrets.yaml").write_text("a: canary\n")
    (tmp_path / "secrets.yaml").chmod(0o644)
    code, out, _ = call(doctor, "--json")
    found = [each for each in json.loads(out) if each["area"] == "site files"]
    assert [each["level"] for each in found] == ["FAIL"] and "chmod 600" in found[0]["remedy"] and "canary" not in out
    (tmp_path / "secrets.yaml").chmod(0o600)
    assert [each["level"] for each in json.loads(call(doctor, "--json")[1]) if each["area"] == "site files"] == ["ok"]


def test_a_home_that_cannot_be_written_is_told(call, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(EnvironmentFault, match="No space left"):
        call(site.variables, "set", "a", "b")
