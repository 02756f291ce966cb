"""doctor: looks at this server and says, line by line, what is well, what is doubtful, what must change and how."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from datetime import datetime
from typing import Callable, Iterator, List, NamedTuple, Optional, Tuple
from zoneinfo import ZoneInfo

import click

from runner import __version__
from runner.cli import table
from runner.cli.app import App
from runner.errors import RunnerError
from runner.mounts import NETWORK_FILES, filesystem_of

OK, WARN, FAIL = "ok", "warn", "FAIL"
MODULES = (  # what runner imports, and what for
    ("click", "the command line"), ("yaml", "pipeline files"), ("jinja2", "templates"), ("jsonschema", "checks"),
    ("croniter", "schedules"), ("rich", "progress on a terminal"),
)
OLDEST_PYTHON, OLDEST_SQLITE = (3, 9), (3, 24, 0)  # SQLite: INSERT ... ON CONFLICT
SANE_YEARS = (2024, 2100)
LITTLE_SPACE, SOME_SPACE = 100 * 10**6, 10**9  # bytes
FEW_INODES = 10_000
LARGE_DATABASE = 200 * 10**6  # bytes
UNSYNCHRONISED = 5  # what adjtimex(2) returns then
WIDE = 12  # cells of the longest area
PATIENCE = 10.0  # seconds for another program to say its version


class Finding(NamedTuple):
    """One line of the result. `fatal`: nothing can run here until it is mended."""

    level: str
    area: str
    text: str
    remedy: str = ""
    fatal: bool = False


@click.command()
@click.argument("area", required=False, type=click.Choice(["kerberos"]))
@click.option("--principal", default="", metavar="NAME", help="For kerberos: this one, not that of the settings.")
@click.option("--keytab", default="", metavar="FILE", help="For kerberos: this one, not that of the settings.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def doctor(app: App, area, principal, keytab, as_json):
    """Check this server: interpreter, modules, zones, clock, disk, permissions, shells, settings, pipelines, database.

    With the word kerberos: kinit, krb5.conf, keytab, and a ticket from the KDC.

    Exit code 0: all well or only doubts, 1: something must change, 3: nothing can run here.
    """
    findings: List[Finding] = []
    for finding in _safely(lambda app: _kerberos(app, principal, keytab), app) if area else _examine(app):
        findings.append(finding)
        if not as_json:
            _print(app, finding)
    bad = [finding for finding in findings if finding.level == FAIL]
    if as_json:
        app.out_json([finding._asdict() for finding in findings])
    else:
        doubts = sum(finding.level == WARN for finding in findings)
        app.say(f"{len(findings)} things looked at: {len(bad)} must change, {doubts} doubtful")
    if any(finding.fatal for finding in bad):
        return 3
    return 1 if bad else 0


def _print(app: App, finding: Finding) -> None:
    color = {OK: "green", WARN: "yellow", FAIL: "red"}[finding.level]
    app.out(f"{click.style(f'{finding.level:<4}', fg=color)}  {table.fit(finding.area, WIDE)}  {finding.text}")
    if finding.remedy and finding.level != OK:
        app.out(f"      {'':<{WIDE}}  -> {finding.remedy}")


def _examine(app: App) -> Iterator[Finding]:
    """Every check in turn; one that cannot be made is a finding too."""
    for check in SERVER:
        yield from _safely(check, app)
    try:
        config = app.config
    except RunnerError as error:
        yield Finding(FAIL, "settings", error.message, error.hint, fatal=True)
        return
    yield Finding(OK, "home", config.home)
    for check in SITE:
        yield from _safely(check, app)


def _safely(check: Callable[[App], Iterator[Finding]], app: App) -> Iterator[Finding]:
    area = check.__name__.strip("_<>")
    try:
        yield from check(app)
    except RunnerError as error:
        yield Finding(FAIL, area, error.message, error.hint)
    except ImportError as error:
        yield Finding(FAIL, area, str(error), "install runner again: ./install.sh")
    except OSError as error:
        yield Finding(FAIL, area, f"{error.filename or area}: {error.strerror or error}")


# --------------------------------------------------------------------------------------------------------- the server


def _interpreter(_app: App) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    text = f"runner {__version__}, Python {version}, {sys.executable}"
    if sys.version_info < OLDEST_PYTHON:
        yield Finding(FAIL, "python", text, "runner needs Python 3.9 or newer: install with another --python", fatal=True)
    else:
        yield Finding(OK, "python", text)


def _modules(_app: App) -> Iterator[Finding]:
    import importlib
    from importlib import metadata

    names = {"yaml": "PyYAML", "jinja2": "Jinja2"}
    found = []
    for module, purpose in MODULES:
        try:
            importlib.import_module(module)
        except ImportError as error:
            yield Finding(FAIL, "modules", f"{module} ({purpose}) is missing: {error}", "install runner again: ./install.sh", fatal=True)
            continue
        try:
            found.append(f"{module} {metadata.version(names.get(module, module))}")
        except metadata.PackageNotFoundError:
            found.append(module)
    yield Finding(OK, "modules", ", ".join(found))


def _libyaml(_app: App) -> Iterator[Finding]:
    import yaml

    if yaml.__with_libyaml__:
        yield Finding(OK, "libyaml", "PyYAML has its C part")
    else:
        yield Finding(WARN, "libyaml", "PyYAML lacks its C part: files are read about ten times slower", "install the wheel for this Python and processor")


def _sqlite(_app: App) -> Iterator[Finding]:
    import sqlite3

    version = tuple(map(int, sqlite3.sqlite_version.split(".")))
    if version < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        yield Finding(FAIL, "sqlite", f"SQLite {sqlite3.sqlite_version}", f"SQLite {needed} or newer is needed: use a newer Python", fatal=True)
    else:
        yield Finding(OK, "sqlite", f"SQLite {sqlite3.sqlite_version}")


def _zones(_app: App) -> Iterator[Finding]:
    import zoneinfo

    for folder in zoneinfo.TZPATH:
        if os.path.exists(os.path.join(folder, "Asia", "Seoul")):
            yield Finding(OK, "zone data", f"{folder}, version {_zone_version(folder) or 'unknown'}")
            return
    try:
        import tzdata

        yield Finding(OK, "zone data", f"the tzdata module, version {tzdata.IANA_VERSION}; the system has none")
    except ImportError:
        yield Finding(FAIL, "zone data", "this server has no time zone data", "install the package tzdata, or runner again: ./install.sh", fatal=True)


def _zone_version(folder: str) -> str:
    for name in ("+VERSION", "tzdata.zi"):
        try:
            with open(os.path.join(folder, name), encoding="ascii", errors="replace") as file:
                return file.readline().replace("# version", "").strip()
        except OSError:
            continue
    return ""


def _clock(app: App) -> Iterator[Finding]:
    now = app.clock.now()
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if not SANE_YEARS[0] <= now.year <= SANE_YEARS[1]:
        yield Finding(FAIL, "clock", f"{text}: that year cannot be", "set the clock: date -s, hwclock --systohc")
        return
    synchronised = _synchronised()
    if synchronised is None:
        yield Finding(OK, "clock", f"{text} (whether it is synchronised cannot be seen here)")
    elif synchronised:
        yield Finding(OK, "clock", f"{text}, synchronised")
    else:
        yield Finding(WARN, "clock", f"{text}, not synchronised: it may drift", "chronyc sources, or timedatectl timesync-status")


def _synchronised() -> Optional[bool]:
    """What the kernel says, whichever program keeps the time; None when it cannot be asked."""
    if os.path.exists("/run/systemd/timesync/synchronized"):
        return True
    try:
        import ctypes

        result = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # a struct timex whose `modes` 0 only asks
    except (ImportError, OSError, AttributeError):
        return None
    return None if result < 0 else result != UNSYNCHRONISED


def _shells(_app: App) -> Iterator[Finding]:
    if not os.access("/bin/sh", os.X_OK):
        yield Finding(FAIL, "shell", "/bin/sh is missing: no step can start", "install a shell, such as dash", fatal=True)
    bash = shutil.which("bash")
    if bash:
        yield Finding(OK, "shell", f"/bin/sh, {bash}")
    else:
        yield Finding(FAIL, "shell", "bash is not in PATH: bash steps cannot run", "install bash, or write `shell:` in the steps")


def _umask(_app: App) -> Iterator[Finding]:
    mask = os.umask(0o077)
    os.umask(mask)
    if mask & 0o022 == 0:
        yield Finding(WARN, "umask", f"{mask:03o}: files of steps are writable for everybody", "put `umask 027` into the profile")
    else:
        yield Finding(OK, "umask", f"{mask:03o}")


def _tools(_app: App) -> Iterator[Finding]:
    for name, variable in (("spark-submit", "SPARK_HOME"), ("beeline", "HIVE_HOME"), ("hive", "HIVE_HOME")):
        place = shutil.which(name)
        home = os.environ.get(variable)
        if not place and home and os.access(os.path.join(home, "bin", name), os.X_OK):
            yield Finding(OK, name, f"{os.path.join(home, 'bin', name)} ({variable}), not in PATH")
        else:
            yield Finding(OK, name, place or "not in PATH: only steps that need it would miss it")


# ----------------------------------------------------------------------------------------------------- RUNNER_HOME


def _settings(app: App) -> Iterator[Finding]:
    from runner.config import SETTINGS, shown

    for name in SETTINGS:
        yield Finding(OK, "settings", f"{name}: {shown(app.config, name)}  (from {app.config.origin.get(name, 'default')})")


def _kerberos(app: App, principal: str, keytab: str) -> Iterator[Finding]:
    from runner.cli import kerberos

    for found in kerberos.examine(app.config, app.environ, principal, keytab, app.clock):
        yield Finding(*found)


def _apart(app: App) -> Iterator[Finding]:
    """The files of secrets, variables and connections."""
    from runner.cli import site

    faults = list(site.modes(app.config.home))
    for fault in faults:
        yield Finding(FAIL, "site files", fault.message, fault.hint)
    if not faults:
        yield Finding(OK, "site files", "secrets, variables, connections: readable for this user alone, or not there")
    command = app.config.secrets_command.split()
    if command and not shutil.which(os.path.expanduser(command[0])):
        yield Finding(FAIL, "site files", f"secrets_command: {command[0]} is not to be found", "correct it in settings.yaml")


def _zone_set(app: App) -> Iterator[Finding]:
    from runner.schedule import zones

    fault = zones.check_timezone(app.config.timezone)  # one that is none was refused with the other settings
    if fault:
        yield Finding(WARN, "timezone", fault.message, fault.hint)


def _permissions(app: App) -> Iterator[Finding]:
    home = app.config.home
    if not os.path.exists(home):
        parent = _existing(home)
        if os.access(parent, os.W_OK | os.X_OK):
            yield Finding(OK, "permissions", f"{home} is not there yet: the first `runner run` makes it")
        else:
            yield Finding(FAIL, "permissions", f"{home} cannot be made: {parent} is not writable", "export RUNNER_HOME=/a/folder/of/yours", fatal=True)
        return
    about = os.stat(home)
    if not stat.S_ISDIR(about.st_mode):
        yield Finding(FAIL, "permissions", f"{home} is no folder", "point RUNNER_HOME at a folder", fatal=True)
        return
    closed = [path for path in _state_paths(app) if os.path.exists(path) and not os.access(path, os.W_OK)]
    for path in closed:
        yield Finding(FAIL, "permissions", f"{path}: not writable for this user", f"chown -R {os.getuid()} {home}", fatal=True)
    if about.st_mode & stat.S_IWOTH:
        yield Finding(WARN, "permissions", f"{home} is writable for everybody: so is what runs", f"chmod o-w {home}")
    elif about.st_mode & (stat.S_IROTH | stat.S_IXOTH):
        yield Finding(WARN, "permissions", f"{home} is open to everybody on this server (mode {stat.S_IMODE(about.st_mode):03o})", f"chmod o-rwx {home}")
    elif not closed:
        yield Finding(OK, "permissions", f"mode {stat.S_IMODE(about.st_mode):03o}, writable")
    if about.st_mode & stat.S_IXOTH and os.path.exists(app.config.database) and os.stat(app.config.database).st_mode & stat.S_IROTH:
        yield Finding(WARN, "permissions", f"{app.config.database} is readable for everybody: so are the parameters of all runs",
                      f"chmod o-rwx {app.config.database}*")


def _state_paths(app: App) -> Tuple[str, ...]:
    config = app.config
    return (config.home, config.database, config.database + "-wal", config.runs_folder, config.engines_folder)


def _existing(path: str) -> str:
    """The nearest folder above that is there."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _disk(app: App) -> Iterator[Finding]:
    place = _existing(app.config.home)
    space = os.statvfs(place)
    free, whole = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
    text = f"{table.size(free)} free of {table.size(whole)}"
    remedy = f"free some space: du -xsh {app.config.runs_folder}/*"
    if free < LITTLE_SPACE:
        yield Finding(FAIL, "disk", text, remedy)
    elif free < SOME_SPACE:
        yield Finding(WARN, "disk", text, remedy)
    else:
        yield Finding(OK, "disk", text)
    if space.f_files:  # 0 where the file system makes them as needed
        few = space.f_favail < FEW_INODES
        yield Finding(WARN if few else OK, "inodes", f"{space.f_favail} free of {space.f_files}", "remove folders of old runs" if few else "")


def _filesystem(app: App) -> Iterator[Finding]:
    kind = filesystem_of(_existing(app.config.home))
    if kind in NETWORK_FILES:
        yield Finding(FAIL, "filesystem", f"{kind}: the database would be damaged on a network file system", "point RUNNER_HOME at a local disk")
    elif kind in ("tmpfs", "ramfs"):
        yield Finding(WARN, "filesystem", f"{kind}: everything is lost at the next boot", "point RUNNER_HOME at a disk")
    else:
        noexec = os.statvfs(_existing(app.config.home)).f_flag & os.ST_NOEXEC
        yield Finding(OK, "filesystem", (kind or "unknown") + (", noexec: harmless, scripts are handed to their shell" if noexec else ""))


def _python_for_steps(app: App) -> Iterator[Finding]:
    python = app.config.step_python
    place = shutil.which(os.path.expanduser(python))
    if place is None:
        yield Finding(FAIL, "step python", f"{python} is not to be found: python steps cannot run", "set `step_python:` in settings.yaml to an interpreter")
        return
    try:
        out = subprocess.run([place, "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding(FAIL, "step python", f"{place} does not answer: {error}", "set `step_python:` in settings.yaml to another interpreter")
        return
    yield Finding(OK, "step python", f"{place}, {out.stdout.decode('utf-8', 'replace').strip()}")


def _pipelines(app: App) -> Iterator[Finding]:
    folder = app.config.pipelines
    if not os.path.isdir(folder):
        yield Finding(WARN, "pipelines", f"{folder} is not there", f"mkdir -p {folder}   and put .yaml files there")
        return
    from runner.cli.checking import check_all, summary

    files, problems = check_all(app, [folder])
    errors = [problem for problem in problems if problem.severity == "error"]
    text = f"{folder}: {summary(files, problems, errors)}"
    yield Finding(FAIL, "pipelines", text, "type: runner check") if errors else Finding(OK, "pipelines", text)


def _daemon(app: App) -> Iterator[Finding]:
    """Whether something starts by itself, and whether it is well."""
    from runner import daemonlock

    alive, now = daemonlock.look(app.config.home), app.clock.now()
    store = app.store_if_any()
    rows = [row for row in store.pipelines.all() if not row.gone_at] if store else []
    if alive is None:
        scheduled = sum(1 for row in rows if row.next_due)
        text = "none runs: nothing starts by itself" + (f", and {scheduled} pipelines have a schedule" if scheduled else "")
        yield Finding(WARN if scheduled else OK, "daemon", text, "type: runner daemon   or, with the server: runner service install")
    elif now.timestamp() - alive.beat > daemonlock.HUNG_SECONDS:
        text = f"pid {alive.pid} hangs: it has not turned for {now.timestamp() - alive.beat:.0f} s"
        yield Finding(FAIL, "daemon", text, f"look: tail {app.config.home}/daemon.log   then: kill -9 {alive.pid}; runner daemon (its steps go on)")
    elif alive.blocked:
        yield Finding(FAIL, "daemon", f"pid {alive.pid} lets nothing begin", alive.blocked)
    elif alive.version != __version__:
        yield Finding(WARN, "daemon", f"pid {alive.pid} is of runner {alive.version}, this is {__version__}", "restart it; its steps go on: runner daemon stop; runner daemon")
    else:
        yield Finding(OK, "daemon", f"pid {alive.pid}, since {table.minute(datetime.fromisoformat(alive.since.replace('Z', '+00:00')), ZoneInfo(app.config.timezone))}")
    if alive and alive.page:
        text, _, remedy = alive.page.partition("; ")
        yield Finding(WARN, "page", text, remedy or f"look: grep 'the page is' {app.config.home}/daemon.log")
    for row in rows:
        if row.broken:
            yield Finding(FAIL, "daemon", f"pipeline {row.name}: {row.broken}", f"mend its schedule: {row.path}")
        elif row.problem and row.definition:
            remedy = f"{row.problem}; type: runner check {app.config.pipelines}"  # the folder: of two files of one name each alone is good
            yield Finding(WARN, "daemon", f"pipeline {row.name} goes on with its last good text", remedy)
    if store:
        store.close()


def _database(app: App) -> Iterator[Finding]:
    from runner.cli.database import find_faults

    path = app.config.database
    store = app.store_if_any()
    if store is None:
        yield Finding(OK, "database", f"{path} is not there yet: the first `runner run` makes it")
        return
    size = os.path.getsize(path)
    if size > LARGE_DATABASE:  # reading all of it would take seconds to minutes
        yield Finding(OK, "database", f"version {store.db.version()}, {table.size(size)}: too large to be read through here; runner db check does")
        yield from _interrupted(app, store)
        store.close()
        return
    faults = find_faults(store, quick=True)
    for fault in faults[:5]:
        yield Finding(FAIL, "database", f"{path}: {fault}", "type: runner db check")
    if not faults:
        yield Finding(OK, "database", f"version {store.db.version()}, {table.size(size)}, quick check good")
    yield from _interrupted(app, store)
    store.close()


def _interrupted(app: App, store) -> Iterator[Finding]:
    from runner.standing import shown_state

    for run in store.recent_runs(None, "running", 1000) + store.recent_runs(None, "queued", 1000):
        if shown_state(app, run) == "interrupted":
            yield Finding(WARN, "runs", f"{run.name} was interrupted", f"runner rerun {run.name} --resume   or   runner stop {run.name}")


def _alerts(app: App) -> Iterator[Finding]:
    from runner.alerts import channels, summary

    if not os.path.exists(channels.path_of(app.config.home)):
        yield Finding(WARN, "alerts", "there is no alerts.yaml: nobody is told when a run fails", f"see docs/alerts.md: {channels.path_of(app.config.home)}")
        return
    book = channels.load(app.config.home)
    yield Finding(OK, "alerts", f"channels: {', '.join(f'{name} ({each.kind})' for name, each in book.channels.items()) or 'none'}")
    if not book.default.get("failure"):
        yield Finding(WARN, "alerts", "pipelines without on_failure: tell nobody", "add to alerts.yaml: default: {on_failure: [CHANNEL]}")
    store = app.store_if_any()
    for text in summary.troubles(store, app.clock.now()) if store else ():
        yield Finding(WARN, "alerts", text, "runner alert test CHANNEL   runner alert log")


SERVER = (_interpreter, _modules, _libyaml, _sqlite, _zones, _clock, _shells, _umask, _tools)
SITE = (_settings, _zone_set, _apart, _permissions, _disk, _filesystem, _python_for_steps, _pipelines, _database, _daemon, _alerts)
