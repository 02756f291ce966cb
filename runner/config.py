"""The settings of one site: RUNNER_HOME, the file settings.yaml in it, and RUNNER_* variables, in rising order.

Few on purpose; each has a default that is right for most. `runner doctor` prints where each came from.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from runner.errors import EnvironmentFault

SETTINGS_FILE = "settings.yaml"


@dataclass(frozen=True)
class Config:
    home: str  # all state lives here
    pipelines: str  # folder of the pipeline files
    timezone: str  # of pipelines that name none
    logical_date: str = "due"  # due | interval_start, for pipelines that do not say
    slots: int = 8  # steps that run at once, over all runs of one process
    step_python: str = "python3"  # interpreter of python steps that name none
    secrets_command: str = ""  # prints the secret whose name is its last word, for those that are not in secrets.yaml
    kerberos_principal: str = ""  # of steps that do not say kerberos: themselves
    kerberos_keytab: str = ""
    pools: Mapping[str, int] = field(default_factory=dict)  # name -> steps of that pool at once: `pools: hive=2 spark=4`
    durability: str = "full"  # full: a commit survives a power cut | normal: it survives a crash of the process
    min_free: int = 500 * 10**6  # with less left on the disk of the home no run begins; 0: never mind
    keep_days: int = 90  # ended runs older than this lose their rows and their folder; 0: never
    keep_bytes: int = 20 * 10**9  # the run folders together; beyond it the oldest lose theirs; 0: no limit
    compress_days: int = 7  # logs of runs that ended longer ago become log.gz; 0: never
    listen: str = ""  # HOST:PORT of the page that the daemon serves; "": none
    page_url: str = ""  # where people reach the page, when that is another address: behind a proxy
    page_certificate: str = ""  # file of the certificate, with those between it and the root; then the page speaks https
    page_key: str = ""  # file of its key, for this user only
    session_idle: float = 8 * 3600.0  # seconds after which a browser that nobody uses is signed out
    session_longest: float = 7 * 86400.0  # and any
    ldap_url: str = ""  # of a directory whose people sign in to the page
    ldap_user: str = ""  # where a person stands in it, with {name}
    ldap_roles: Mapping[str, str] = field(default_factory=dict)  # group -> role of its members
    ldap_ca: str = ""  # file of the authority that signed its certificate
    origin: Mapping[str, str] = field(default_factory=dict)  # setting -> where its value came from

    @property
    def database(self) -> str:
        return os.path.join(self.home, "runner.db")

    @property
    def runs_folder(self) -> str:
        return os.path.join(self.home, "runs")

    @property
    def engines_folder(self) -> str:
        return os.path.join(self.home, "engines")

    @property
    def backups_folder(self) -> str:
        return os.path.join(self.home, "backups")

    @property
    def check_cache(self) -> str:
        return os.path.join(self.home, "cache", "check.json")


SETTINGS = tuple(f.name for f in fields(Config) if f.name not in ("home", "origin"))
IN_STEP = frozenset({"logical_date"})  # settings whose variable says something else in a step: the run's date
_DAYS, _SIZES = ("keep_days", "compress_days"), ("keep_bytes", "min_free")
_PLACES, _SPANS = ("page_certificate", "page_key", "ldap_ca"), ("session_idle", "session_longest")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}  # of ten, as everything that runner prints
LOOPBACK = "127.0.0.1"
DEFAULT_LISTEN = f"{LOOPBACK}:8080"
OFF = ("off", "none", "never", "no", "false", "0")
_CHOICES = {"logical_date": ("due", "interval_start"), "durability": ("full", "normal")}


def load(environ: Mapping[str, str], home: Optional[str] = None, pipelines: Optional[str] = None) -> Config:
    """The settings in force. `home` and `pipelines` come from the command line and win.

    Raises EnvironmentFault when settings.yaml cannot be read or holds nonsense, with all of it, each with the file and the line.
    """
    home = os.path.abspath(os.path.expanduser(home or environ.get("RUNNER_HOME") or _default_home(environ)))
    path = os.path.join(home, SETTINGS_FILE)
    values: Dict[str, str] = {}
    origin: Dict[str, str] = {}
    places: Dict[str, str] = {}  # as `origin`, with the line
    faults: List[EnvironmentFault] = []
    for name, (value, number) in _read_file(path, faults).items():
        values[name], origin[name], places[name] = value, path, f"{path}:{number}:1"
    for name in SETTINGS:
        variable = _variable(name, in_step(environ))
        if environ.get(variable):
            values[name], origin[name], places[name] = environ[variable], variable, variable
    if pipelines:
        values["pipelines"], origin["pipelines"] = pipelines, "--pipelines"
    if "timezone" not in values:
        values["timezone"], origin["timezone"] = server_timezone(environ), "this server"
    folder = os.path.expanduser(str(values.get("pipelines") or os.path.join(home, "pipelines")))
    values["pipelines"] = folder if os.path.isabs(folder) else os.path.abspath(
        os.path.join(os.getcwd() if origin.get("pipelines") == "--pipelines" else home, folder)
    )
    typed = _typed(values, {**origin, **places}, home, faults)
    if faults:
        raise _told(faults + _zone_fault(values, places))
    return Config(home=home, origin=origin, **typed)


def _told(faults: Sequence[EnvironmentFault]) -> EnvironmentFault:
    """All of them as one, each with its remedy below it."""
    *before, last = faults
    lines = [fault.message + (f"\n  {fault.hint}" if fault.hint else "") for fault in before]
    return EnvironmentFault("\n".join([*lines, last.message]), last.hint)


def _zone_fault(values: Mapping[str, object], places: Mapping[str, str]) -> List[EnvironmentFault]:
    """A zone that is none, told beside other faults. Alone it stops nobody: pipelines that name theirs still run."""
    from zoneinfo import ZoneInfo, available_timezones

    if "timezone" not in places:
        return []
    name = str(values["timezone"])
    try:
        ZoneInfo(name)
        return []
    except Exception:  # noqa: BLE001 - zoneinfo raises several kinds for a bad name
        import difflib

        near = difflib.get_close_matches(name, available_timezones(), 1)
        return [EnvironmentFault(f"{places['timezone']}: timezone: {name!r} is not a time zone", f"did you mean {near[0]}?" if near else "write a place: Asia/Seoul")]


def in_step(environ: Mapping[str, str]) -> bool:
    """Whether this is the environment of a step: its RUNNER_* tell of the run it belongs to."""
    return "RUNNER_ATTEMPT" in environ or "RUNNER_RUN_ID" in environ


def _variable(name: str, inside: bool) -> str:
    """The variable of a setting: RUNNER_TIMEZONE; in a step RUNNER_SETTING_LOGICAL_DATE where the plain name is taken."""
    return ("RUNNER_SETTING_" if inside and name in IN_STEP else "RUNNER_") + name.upper()


def handed_on(environ: Mapping[str, str]) -> Dict[str, str]:
    """The settings in this environment as a step gets them, so that a `runner` in the step has the same ones."""
    inside = in_step(environ)
    return {_variable(name, True): environ[_variable(name, inside)] for name in SETTINGS if environ.get(_variable(name, inside))}


def inherited(environ: Mapping[str, str]) -> Dict[str, str]:
    """What a process that we start for somebody gets that says nothing: all but what tells of an outer run, and of the daemon's own unit."""
    return {name: value for name, value in environ.items() if not name.startswith("RUNNER_") and name != "NOTIFY_SOCKET"}


def _default_home(environ: Mapping[str, str]) -> str:
    if not environ.get("HOME"):
        raise EnvironmentFault("neither RUNNER_HOME nor HOME is set", "type: export RUNNER_HOME=/some/folder")
    return os.path.join(environ["HOME"], ".runner")


def _read_file(path: str, faults: List[EnvironmentFault]) -> Dict[str, Tuple[str, int]]:
    """name -> value and line; what is no setting goes to `faults`."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        hint = f"type: ls -ld {os.path.dirname(path)}   or point RUNNER_HOME at another folder"
        raise EnvironmentFault(f"{path}: cannot be read: {error.strerror}", hint) from None
    values: Dict[str, Tuple[str, int]] = {}
    # `name: value` lines and comments are all that a settings file may hold, so that no command pays for a YAML parser.
    for number, line in enumerate(raw.decode("utf-8-sig", "replace").splitlines(), 1):
        text = line.split(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        name, colon, value = text.partition(":")
        name, value = name.strip(), value.strip().strip("'\"")
        if not colon or name not in SETTINGS:
            import difflib

            near = difflib.get_close_matches(name, SETTINGS, 1)
            hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(SETTINGS)
            faults.append(EnvironmentFault(f"{path}:{number}:1: {name!r} is no setting", hint))
        elif value:
            values[name] = value, number
    return values


def _typed(values: Mapping[str, object], origin: Mapping[str, str], home: str, faults: List[EnvironmentFault]) -> Dict[str, Any]:
    """Each value as Config has it; those that are nonsense go to `faults`."""
    out: Dict[str, Any] = dict(values)

    def put(names: Sequence[str], parse: Callable[[str, str, str], object]) -> None:
        for name in names:
            try:
                if name in out:
                    out[name] = parse(name, str(out[name]), origin[name])
            except EnvironmentFault as fault:
                faults.append(fault)

    put(("slots",), _slots)
    put(("listen",), lambda _, text, place: "" if text.lower() in OFF else "{}:{}".format(*address_of(text, place)))
    put(("page_url",), lambda _, text, place: _page_url(text, place))
    put(_PLACES, lambda _, text, place: os.path.join(home, os.path.expanduser(text)))
    put(_SPANS, _span)
    put(("pools",), lambda _, text, place: _pools(text, place))
    put(_DAYS, _days)
    put(_SIZES, _size)
    put(tuple(_CHOICES), _choice)
    try:
        _directory(out, origin)
    except EnvironmentFault as fault:
        faults.append(fault)
    return out


def _slots(name: str, text: str, origin: str) -> int:
    try:
        slots = int(text)
    except ValueError:
        slots = 0
    if not 1 <= slots <= 1000:
        raise EnvironmentFault(f"{origin}: {name}: {text!r} is not a number from 1 to 1000", f"write: {name}: 8")
    return slots


def _choice(name: str, text: str, origin: str) -> str:
    if text not in _CHOICES[name]:
        raise EnvironmentFault(f"{origin}: {name}: {text!r} is not one of {', '.join(_CHOICES[name])}", f"write: {name}: {_CHOICES[name][0]}")
    return text


def address_of(text: str, origin: str = "listen") -> Tuple[str, int]:
    """(host, port) of `127.0.0.1:8080`, `[::1]:8080`, or of a port alone, which is one of this server only."""
    host, colon, port = text.strip().rpartition(":")
    host = host if colon else LOOPBACK
    if not (port.isdigit() and 0 < int(port) < 65536) or not host or (":" in host and not (host[0] == "[" and host[-1] == "]")):
        raise EnvironmentFault(f"{origin}: listen: {text!r} is no HOST:PORT", f"write: listen: {DEFAULT_LISTEN}   or, for none: listen: off")
    return host, int(port)


def _page_url(text: str, origin: str) -> str:
    """`https://etl.example/runner`, without a slash at its end."""
    found = re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~\-]+)*/?", text)
    if not found:
        raise EnvironmentFault(f"{origin}: page_url: {text!r} is no address of a page", "write: page_url: https://etl.example/runner")
    return text.rstrip("/")


def _directory(out: Dict[str, object], origin: Mapping[str, str]) -> None:
    """The settings of a directory, which belong together."""
    named = [name for name in ("ldap_url", "ldap_user", "ldap_roles") if name in out]
    if not named:
        return
    where = origin[named[0]]
    if len(named) < 3:
        raise EnvironmentFault(f"{where}: ldap_url, ldap_user and ldap_roles belong together", "set all three, or none")
    if not re.fullmatch(r"ldaps?://[A-Za-z0-9.\-\[\]:]+/?", str(out["ldap_url"])):
        raise EnvironmentFault(f"{where}: ldap_url: {out['ldap_url']!r} is no address of a directory", "write: ldap_url: ldaps://ldap.example")
    if "{name}" not in str(out["ldap_user"]):
        raise EnvironmentFault(f"{where}: ldap_user: {out['ldap_user']!r} has no {{name}} in it", "write: ldap_user: uid={name},ou=people,dc=example")
    roles: Dict[str, str] = {}
    for part in filter(None, map(str.strip, str(out["ldap_roles"]).split(";"))):
        role, equals, group = part.partition("=")
        if role.strip() not in ("viewer", "operator", "editor", "admin") or "=" not in group:
            raise EnvironmentFault(f"{where}: ldap_roles: {part!r} is not ROLE=GROUP", "write: ldap_roles: viewer=cn=etl,dc=example; operator=cn=etl-ops,dc=example")
        roles[group.strip()] = role.strip()
    out["ldap_roles"] = roles


def _pools(text: str, origin: str) -> Dict[str, int]:
    """`hive=2 spark=4`, commas allowed."""
    pools: Dict[str, int] = {}
    for word in text.replace(",", " ").split():
        name, equals, number = word.partition("=")
        if not (name and equals and number.isdigit() and int(number)):
            raise EnvironmentFault(f"{origin}: pools: {word!r} is not NAME=NUMBER", "write: pools: hive=2 spark=4")
        pools[name] = int(number)
    return pools


def _days(name: str, text: str, origin: str) -> int:
    """`90`, `90d`; 0 for `never`."""
    found = re.fullmatch(r"(\d{1,5})\s*(d|days?)?", text, re.ASCII | re.IGNORECASE)
    if text.lower() == "never":
        return 0
    if not found:
        raise EnvironmentFault(f"{origin}: {name}: {text!r} is not a number of days", f"write: {name}: 90   or, to switch it off: {name}: never")
    return int(found.group(1))


def _span(name: str, text: str, origin: str) -> float:
    """Seconds from `30m`, `8h`, `7d`."""
    from runner.durations import DurationError, parse_duration

    try:
        seconds = parse_duration(text)
    except DurationError as error:
        raise EnvironmentFault(f"{origin}: {name}: {error.message}", error.hint) from None
    if seconds < 60:
        raise EnvironmentFault(f"{origin}: {name}: {text!r} is less than a minute", f"write: {name}: 8h")
    return seconds


def _size(name: str, text: str, origin: str) -> int:
    """Bytes from `500M`, `20G`, `1.5T`, `20 GB`; 0 for `never`."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,3})?)\s*([kmgt]?)b?", text, re.ASCII | re.IGNORECASE)
    if text.lower() == "never":
        return 0
    if not found:
        raise EnvironmentFault(f"{origin}: {name}: {text!r} is not a size", f"write: {name}: 500M, 20G or 1T   or, to switch it off: {name}: never")
    number, unit = found.groups()
    if not unit and 0 < float(number) < 10**6:  # a forgotten unit would remove every log
        raise EnvironmentFault(f"{origin}: {name}: {text!r} is {text} bytes: its unit is missing", f"write: {name}: {text}G")
    return int(float(number) * _UNITS[unit.upper()])


def shown(config: Config, name: str) -> str:
    """A setting as one would write it."""
    value = getattr(config, name)
    if name in _DAYS + _SIZES and not value:
        return "never"
    if name == "ldap_roles":
        return "; ".join(f"{role}={group}" for group, role in value.items())
    if name in _SPANS:
        unit, seconds = next((unit, seconds) for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)) if value % seconds == 0 or unit == "s")
        return f"{value / seconds:g}{unit}"
    if name in _SIZES:
        unit = max((unit for unit, size in _UNITS.items() if value >= size), key=_UNITS.__getitem__)
        return f"{value / _UNITS[unit]:g}{unit}" if value % (_UNITS[unit] // 1000 or 1) == 0 else str(value)
    return str(value)


def server_timezone(environ: Mapping[str, str]) -> str:
    """The zone this server is set to, as a name: TZ, /etc/localtime's link, /etc/timezone, else UTC.

    It is written to settings.yaml the first time state is made (`ensure_home`), so that a later change of the
    server's zone cannot move anybody's date (semantics D13).
    """
    candidates = [environ.get("TZ", "").lstrip(":")]
    try:
        candidates.append(os.path.realpath("/etc/localtime").partition("zoneinfo/")[2])
    except OSError:
        pass
    try:
        with open("/etc/timezone", encoding="ascii", errors="replace") as file:
            candidates.append(file.read().strip())
    except OSError:
        pass
    from zoneinfo import ZoneInfo  # here: only a site without settings pays for it

    for name in candidates:
        if name and "/" in name or name == "UTC":
            try:
                ZoneInfo(name)
                return name
            except Exception:  # noqa: BLE001 - zoneinfo raises several kinds for a bad name; the next one is tried
                continue
    return "UTC"


_TEMPLATE = """\
# Settings of runner. One `name: value` a line; what is commented out is the default.
timezone: {timezone}          # of pipelines that name none; taken from this server on the first run
logical_date: {logical_date}             # due: ds is the day a run starts | interval_start: the day before, as Airflow 2
# pipelines: {pipelines}
# slots: 8                    # steps that run at once
# pools: hive=2 spark=4       # steps that name a pool (pool: hive) run so many at once
# step_python: python3        # interpreter of python steps that name none
# secrets_command: get-secret # prints the secret NAME when called as `get-secret NAME`; else they are in secrets.yaml
# kerberos_principal: etl@EXAMPLE   # steps get a ticket of their own, unless they say kerberos: false
# kerberos_keytab: /etc/security/keytabs/etl.keytab
# durability: full            # full: a commit survives a power cut | normal: faster, survives a crash of runner only
# min_free: 500M              # with less left on the disk of this folder the daemon begins no run
# keep_days: 90               # `runner clean` removes runs that ended longer ago, with their logs; never: keeps them
# keep_bytes: 20G             # beyond it the logs of the oldest runs go; 500M, 20G, 1T, never
# compress_days: 7            # logs of runs that ended longer ago are compressed; never
# listen: 127.0.0.1:8080      # where the daemon serves its page; off unless this line or `runner daemon --listen` says so
# page_url: https://etl.example/runner   # where people reach the page when a proxy stands before it
# page_certificate: page.crt   # with a certificate and its key the page speaks https by itself
# page_key: page.key
# ldap_url: ldaps://ldap.example   # people of a directory sign in too
# ldap_user: uid={{name}},ou=people,dc=example
# ldap_roles: viewer=cn=etl,ou=groups,dc=example; operator=cn=etl-ops,ou=groups,dc=example
# ldap_ca: ldap-ca.pem
# session_idle: 8h            # a browser that nobody uses is signed out
# session_longest: 7d         # and any after that long
"""


def ensure_home(config: Config) -> bool:
    """Make RUNNER_HOME with its folders and settings file; True when the file is new.

    Raises EnvironmentFault when the folder cannot be made or written.
    """
    path = os.path.join(config.home, SETTINGS_FILE)
    try:
        for folder in (config.home, config.runs_folder, config.engines_folder):
            os.makedirs(folder, mode=0o750, exist_ok=True)
        if os.path.exists(path):
            return False
        with open(path, "x", encoding="utf-8") as file:
            file.write(_TEMPLATE.format(
                timezone=config.timezone, logical_date=config.logical_date, pipelines=os.path.join(config.home, "pipelines")
            ))
        return True
    except FileExistsError:
        return False
    except OSError as error:
        raise EnvironmentFault(
            f"{config.home}: state cannot be written: {error.strerror}",
            "make the folder writable, free some space, or point RUNNER_HOME at another folder",
        ) from None
