"""variables, secrets, connections: what the site keeps apart from its pipelines."""

from __future__ import annotations

import sys
from typing import Any, Dict, Iterator, Sequence

import click

from runner.cli import table
from runner.cli.app import App
from runner.errors import NotFound, RunnerError, UsageError

PORTS = {  # of a connection that names none
    "postgres": 5432, "postgresql": 5432, "mysql": 3306, "mariadb": 3306, "ssh": 22, "sftp": 22, "http": 80, "https": 443, "smtp": 587,
    "email": 587, "hive": 10000,
}
CLIENTS = {"postgresql": "sql", "postgres": "sql", "mysql": "sql", "mariadb": "sql", "sqlite": "sql", "jdbc": "sql", "dbapi": "sql", "smtp": "email", "https": "http"}
PATIENCE = 10.0  # seconds for a server to take a connection


def complete_names(read):
    """Completion by a function that lists the names."""

    def complete(ctx, _param, incomplete):
        try:
            return [name for name in sorted(read(ctx.find_object(App).config.home)) if name.startswith(incomplete)]
        except Exception:  # noqa: BLE001 - a half-typed line is no place for a message
            return []

    return complete


def _variables(home: str) -> Dict[str, Any]:
    from runner.site import variables as module

    return module.get_all(home)


def _secrets(home: str) -> Dict[str, Any]:
    from runner.site import files, secrets as module

    return files.read(home, module.FILE)


def _connections(home: str) -> Dict[str, Any]:
    from runner.site import connections as module

    return module.shown(home)


def _list(app: App, as_json: bool, found: Any, head: Sequence[str], rows: Sequence[Sequence[str]], none: str) -> None:
    """What there is: as JSON, as a table (names alone where there is no `head`), or in words that say how one comes to be."""
    if as_json:
        app.out_json(found)
        return
    for line in table.columns(head, rows) if head else [name for name, in rows]:
        app.out(line)
    if not rows and none:
        app.say(none)


def _good_name(name: str) -> str:
    from runner.site import files

    if not files.is_name(name):
        raise UsageError(f"{name!r} cannot be named in a template", "letters, digits and _ only, not beginning with a digit")
    return name


def _change(app: App, file: str, known: Dict[str, Any], name: str, value) -> None:
    from runner.site import files

    if value is None and name not in known:
        raise NotFound(f"there is no {name} in {app.config.home}/{file}", "known: " + (", ".join(sorted(known)) or "none"))
    files.write(app.config.home, file, name, value)


# ------------------------------------------------------------------------------------------------------------ variables


@click.group()
def variables():
    """Values that differ from server to server: << var.NAME >>. They live in RUNNER_HOME/variables.yaml."""


@variables.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def list_variables(app: App, as_json):
    """All variables with their values."""
    found = _variables(app.config.home)
    rows = [(name, _short(value)) for name, value in sorted(found.items())]
    _list(app, as_json, found, ("name", "value"), rows, "no variables; set one: runner variables set NAME VALUE")


@variables.command("get")
@click.argument("name", shell_complete=complete_names(_variables))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def get_variable(app: App, name, as_json):
    """Print the value of NAME."""
    found = _variables(app.config.home)
    if name not in found:
        raise NotFound(f"there is no variable {name} in {app.config.home}/variables.yaml", f"type: runner variables set {name} VALUE")
    if as_json or not isinstance(found[name], str):
        app.out_json(found[name])
    else:
        app.out(found[name])


@variables.command("set")
@click.argument("name", shell_complete=complete_names(_variables))
@click.argument("value")
@click.pass_obj
def set_variable(app: App, name, value):
    """Give NAME a VALUE. What a step reads from now on is the new one."""
    _change(app, "variables.yaml", {}, _good_name(name), value)


@variables.command("unset")
@click.argument("name", shell_complete=complete_names(_variables))
@click.pass_obj
def unset_variable(app: App, name):
    """Remove NAME."""
    _change(app, "variables.yaml", _variables(app.config.home), name, None)


def _short(value: Any) -> str:
    import json

    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("\n", "\\n")


# -------------------------------------------------------------------------------------------------------------- secrets


@click.group()
def secrets():
    """Passwords and tokens: << secret.NAME >>. They live in RUNNER_HOME/secrets.yaml; nothing here prints a value."""


@secrets.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def list_secrets(app: App, as_json):
    """The names of all secrets."""
    found = sorted(_secrets(app.config.home))
    command = app.config.secrets_command
    _list(app, as_json, found, (), [(name,) for name in found], "" if command else "no secrets; set one: runner secrets set NAME")
    if command and not as_json:
        app.say(f"others come from: {command} NAME")


@secrets.command("set")
@click.argument("name", shell_complete=complete_names(_secrets))
@click.pass_obj
def set_secret(app: App, name):
    """Give NAME a value: asked for on a terminal, else read from standard input. It takes no argument, which ps would show."""
    from runner.site import masking

    _good_name(name)
    if sys.stdin.isatty():
        value = click.prompt(f"value of {name}", hide_input=True, confirmation_prompt="once more", err=True)
    else:
        value = sys.stdin.read()
        value = value[:-1] if value.endswith("\n") and value.count("\n") == 1 else value
    if not value.strip():
        raise UsageError(f"nothing was given for {name}", f"type: runner secrets set {name} < FILE")
    _change(app, "secrets.yaml", {}, name, value)
    if len(value) < masking.SHORTEST:
        app.say(f"{name} has fewer than {masking.SHORTEST} characters: too few to be told from other text, so logs will not hide it")


@secrets.command("unset")
@click.argument("name", shell_complete=complete_names(_secrets))
@click.pass_obj
def unset_secret(app: App, name):
    """Remove NAME."""
    _change(app, "secrets.yaml", _secrets(app.config.home), name, None)


# ---------------------------------------------------------------------------------------------------------- connections


@click.group()
def connections():
    """Databases, hosts and mail servers by name: connection: NAME. They live in RUNNER_HOME/connections.yaml."""


@connections.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def list_connections(app: App, as_json):
    """All connections; what is secret says ***."""
    found = _connections(app.config.home)
    rows = [(name, str(body.get("type", "")), "  ".join(f"{field}={_short(value)}" for field, value in body.items() if field != "type"))
            for name, body in sorted(found.items())]
    _list(app, as_json, found, ("name", "type", "fields"), rows, f"no connections; they are written in {app.config.home}/connections.yaml (mode 0600)")


@connections.command("test")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_names(_connections))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def test_connections(app: App, names, as_json):
    """Reach each NAME, or all: log in where runner knows how, else see whether the port answers. Exit 1 when one is not reached."""
    names = names or sorted(_connections(app.config.home))
    results = []
    for name in names:
        try:
            said, good, hint = _reach(app, name), True, ""
        except RunnerError as error:
            said, good, hint = error.message, False, error.hint
        results.append({"name": name, "reached": good, "message": said, "hint": hint})
        if not as_json:
            app.out(f"{click.style('ok  ', fg='green') if good else click.style('FAIL', fg='red')}  {name}  {said}")
            if hint:
                app.out(f"      -> {hint}")
    if as_json:
        app.out_json(results)
    return 0 if all(result["reached"] for result in results) else 1


def _reach(app: App, name: str) -> str:
    """What is to be said of a connection that works. Raises RunnerError."""
    from runner.clients import ClientError
    from runner.site import connections as module

    settings = module.get(name, app.config.home, app.environ)
    kind = str(settings.get("type", ""))
    try:
        login = _login(kind)
        said = login(settings) if login else _open_port(settings, kind)
    except (ClientError, RunnerError) as error:
        raise RunnerError(_hide(error.message, app, name), _hide(error.hint, app, name)) from None
    return _hide(str(said), app, name)


def _login(kind: str):
    """The function `test(connection)` of the client for that type; None when there is none."""
    import importlib

    module = CLIENTS.get(kind, kind)
    try:
        return getattr(importlib.import_module(f"runner.clients.{module}"), "test", None) if module.isidentifier() else None
    except ModuleNotFoundError:
        return None


def _open_port(settings: Dict[str, Any], kind: str) -> str:
    import socket

    from runner.clients import net

    host, port = str(settings.get("host") or ""), str(settings.get("port") or PORTS.get(kind, ""))
    if not host:
        raise UsageError("it has no host:, so there is nothing to reach")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"port: {port!r} is no port" if port else "it has no port:", "write port: with a number from 1 to 65535")
    try:
        with socket.create_connection((host, int(port)), timeout=PATIENCE):
            return f"{host}:{port} answers (not logged in)"
    except OSError as error:
        raise net.trouble(error, f"{host}:{port}", PATIENCE) from None


def _hide(text: str, app: App, name: str) -> str:
    """A server may repeat what it was sent."""
    from runner.site import connections as module
    from runner.site.masking import masked

    return masked(text, module.hidden_values(name, app.config.home, app.environ))


def modes(home: str) -> Iterator[RunnerError]:
    """What is wrong with the three files, for doctor."""
    from runner.site import FILES, files

    for name in FILES:
        try:
            files.read(home, name)
        except RunnerError as error:
            yield error
