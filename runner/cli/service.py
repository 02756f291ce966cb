"""service: start the daemon with the server, by systemd or by a script."""

from __future__ import annotations

import getpass
import os
import pwd
import re
import shlex
import sys
from typing import Tuple

import click

from runner.cli.app import App
from runner.errors import Conflict, EnvironmentFault, NotFound, UsageError

SYSTEM_UNITS = "/etc/systemd/system"
SYSTEMD_RUNS = "/run/systemd/system"  # as sd_booted(3) looks
PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin"

_name = click.option("--name", metavar="NAME", default="runner", show_default=True, help="Name of the service: one for each RUNNER_HOME.")
_user = click.option("--user", "per_user", is_flag=True, help="For your own systemd, without root.")


@click.group()
def service():
    """Start the daemon when the server starts: a systemd unit, or a start script where there is no systemd."""


@service.command()
@_user
@_name
@click.option("--dry-run", is_flag=True, help="Print the unit, write nothing.")
@click.pass_obj
def install(app: App, per_user, name, dry_run):
    """Write the systemd unit, and say what to type next. Doing it twice is harmless.

    The daemon works on the RUNNER_HOME and the pipelines folder of this call, with its PATH, as the owner of that home.
    Further variables for the daemon and its steps, such as JAVA_HOME, stand in the file HOME/environment.
    """
    from runner.daemon.units import unit

    facts = _facts(app, per_user, name)
    path = _unit_path(app, per_user, name)
    text = unit(facts)
    if dry_run:
        app.out(text.rstrip("\n"))
        app.say(f"this would be {path}")
        return
    if not per_user and os.geteuid() != 0:
        raise EnvironmentFault(f"{path}: only root can write it", f"type: {_sudo(app, name)}   or, without root: runner service install --user")
    new = not os.path.exists(path)
    changed = _write(path, text, 0o644)
    app.out(f"{path}: " + ("written" if new else "written anew: its text changed" if changed else "unchanged"))
    app.out(f"  runs as {facts.user}, home {facts.home}, pipelines {app.config.pipelines}")
    if facts.user == "root" and not per_user:
        app.say("  all steps will run as root. For another user: give --home DIR, a folder that belongs to that user")
    for line in _next(facts, new, changed):
        app.out("  " + line)
    if not os.path.isdir(SYSTEMD_RUNS):
        app.say("systemd does not run on this host; without it: runner service script /some/where/runner")


@service.command()
@_user
@_name
@click.pass_obj
def show(app: App, per_user, name):
    """Print the installed unit, and say whether an install would change it."""
    from runner.daemon.units import unit

    path = _unit_path(app, per_user, name)
    text = _read(path)
    if text is None:
        raise NotFound(f"there is no {path}", "type: runner service install" + (" --user" if per_user else ""))
    app.out(text.rstrip("\n"))
    same = text == unit(_facts(app, per_user, name))
    app.say(f"{path}: " + ("as an install would write it" if same else "an install would change it: runner service install --dry-run shows how"))


@service.command()
@click.argument("path", required=False)
@_name
@click.pass_obj
def script(app: App, path, name):
    """Print a start script for hosts without systemd, or write it to PATH. It knows start, stop, restart, reload, drain, status."""
    from runner.daemon.units import script as text_of

    text = text_of(_facts(app, False, name))
    if path is None or path == "-":
        app.out(text.rstrip("\n"))
        return
    path = os.path.abspath(path)
    new = not os.path.exists(path)
    changed = _write(path, text, 0o755)
    app.out(f"{path}: " + ("written" if new else "written anew: its text changed" if changed else "unchanged"))
    app.out(f"  {shlex.quote(path)} start\n  {shlex.quote(path)} status")


# ---------------------------------------------------------------------------------------------------------------- facts


def _facts(app: App, per_user: bool, name: str):
    """What this call is about."""
    from runner.daemon.units import Facts

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) or name.endswith(".service"):
        raise UsageError(f"{name!r} is no name of a service", "letters, digits, - _ and . make one, without .service")
    config = app.config
    program, variables = _program(app)
    folders = [folder for folder in app.environ.get("PATH", "").split(":") if folder.startswith("/")]
    return Facts(
        program=program, home=config.home, user=_current_user() if per_user else _owner(app), path=":".join(dict.fromkeys(folders)) or PLAIN_PATH,
        pipelines=config.pipelines if config.origin.get("pipelines") in ("RUNNER_PIPELINES", "--pipelines") else None,
        name=name, per_user=per_user, variables=variables,
    )


def _owner(app: App) -> str:
    """Whose RUNNER_HOME it is: nobody else can write the state there."""
    try:
        return pwd.getpwuid(os.stat(app.config.home).st_uid).pw_name
    except FileNotFoundError:
        return app.environ.get("SUDO_USER") or _current_user()
    except KeyError:
        raise EnvironmentFault(f"{app.config.home} belongs to a user without a name", "chown it to the user who is to run the steps") from None


def _current_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return getpass.getuser()


def _program(app: App) -> Tuple[Tuple[str, ...], dict]:
    """The words that start runner, and variables they need: install.sh's launcher, which an upgrade keeps, else what there is."""
    beside = os.path.join(os.path.dirname(sys.executable), "runner")
    launcher = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(sys.prefix))), "bin", "runner")
    if os.path.exists(os.path.join(sys.prefix, ".airgap-runner")) and os.access(launcher, os.X_OK):
        return (launcher,), {}
    if os.access(beside, os.X_OK):
        return (beside,), {}
    place = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # a checkout
    return (sys.executable, "-m", "runner"), {"PYTHONPATH": place}


def _sudo(app: App, name: str) -> str:
    """The same call as root. sudo forgets the environment, so all of it is said."""
    config = app.config
    program, variables = _program(app)
    words = ["sudo", "env", f"PATH={app.environ.get('PATH') or PLAIN_PATH}", *(f"{key}={value}" for key, value in variables.items()), *program]
    words += ["--home", config.home]
    if config.origin.get("pipelines") in ("RUNNER_PIPELINES", "--pipelines"):
        words += ["--pipelines", config.pipelines]
    return " ".join(map(shlex.quote, [*words, "service", "install", *([] if name == "runner" else ["--name", name])]))


def _unit_path(app: App, per_user: bool, name: str) -> str:
    folder = SYSTEM_UNITS
    if per_user:
        folder = os.path.join(app.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"), "systemd", "user")
    return os.path.join(folder, name + ".service")


def _next(facts, new: bool, changed: bool) -> list:
    """The commands to type now."""
    word = " --user" if facts.per_user else ""
    lines = [f"systemctl{word} daemon-reload"] if changed else []
    lines.append(f"systemctl{word} enable --now {facts.name}")
    if changed and not new:
        lines.append(f"systemctl{word} restart {facts.name}      its steps go on")
    lines.append(f"journalctl{word} -u {facts.name} -f")
    if facts.per_user:
        lines.append(f"loginctl enable-linger {facts.user}      else it ends with your last login")
    return lines


# ---------------------------------------------------------------------------------------------------------------- files


def _read(path: str):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _write(path: str, text: str, mode: int) -> bool:
    """Put a file in its place, whole; whether that changed it. Raises Conflict for a file that is not ours."""
    from runner.daemon.units import MARK

    before = _read(path)
    if before == text:
        return False
    if before is not None and MARK not in before:
        raise Conflict(f"{path} is there and was not written by runner", "give another --name or place, or remove it")
    part = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(part, "x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.chmod(part, mode)
        os.replace(part, path)
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be written: {error.strerror}", f"type: ls -ld {shlex.quote(os.path.dirname(path))}") from None
    return True
