"""Who can be told: RUNNER_HOME/alerts.yaml, mode 0600. Secrets in it stay marks, `<< secret.NAME >>`, until a message is sent.

    channels:
      ops:
        smtp: {host: mail.example, port: 25, from: runner@example, to: [kim@example]}
      duty:
        webhook: {url: "https://chat.example/hook", json: {text: << text >>}}
      sms:
        command: [/opt/sms/send, --to, duty]
    default: {on_failure: [ops], on_late: [ops, duty]}
    summary: {at: "08:00", to: [ops]}
    group: {more_than: 5, within: 1m}
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from runner import model
from runner.durations import DurationError, parse_duration
from runner.errors import EnvironmentFault
from runner.site import files

FILE = "alerts.yaml"
BASH, DEFAULT = "bash", "default"  # no channels: a hook of a pipeline, and what the site's default says
KINDS: Mapping[str, Sequence[str]] = {  # kind -> its keys
    "smtp": ("connection", "host", "port", "tls", "user", "password", "ca", "insecure", "timeout", "from", "to", "cc"),
    "webhook": ("url", "method", "headers", "json", "body", "timeout", "ca", "insecure"),
    "command": ("run", "env", "timeout"),
}
_NAME = re.compile(r"[A-Za-z0-9_가-힣][A-Za-z0-9_.가-힣-]*")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)", re.ASCII)


@dataclass(frozen=True)
class Channel:
    name: str
    kind: str  # smtp | webhook | command
    body: Mapping[str, Any]

    @property
    def target(self) -> str:
        """Where it leads, for people; no secret."""
        if self.kind == "smtp":
            where = f"connection {self.body['connection']}" if "connection" in self.body else f"{self.body['host']}:{self.body.get('port', 587)}"
            return f"{where} -> {', '.join(listed(self.body['to']))}"
        if self.kind == "webhook":
            return re.sub(r"(\?).*", r"\1...", re.sub(r"//[^/@]*@", "//...@", self.body["url"]))
        return self.body["run"][0]


@dataclass(frozen=True)
class Book:
    """The file, understood."""

    channels: Mapping[str, Channel] = field(default_factory=dict)
    default: Mapping[str, Tuple[str, ...]] = field(default_factory=dict)  # event -> channels, for pipelines that do not say
    summary_at: Optional[Tuple[int, int]] = None
    summary_to: Tuple[str, ...] = ()
    more_than: int = 5  # messages of one channel that go out one by one ...
    within: float = 60.0  # ... within so many seconds; the others become one


def path_of(home: str) -> str:
    return os.path.join(home, FILE)


def load(home: str) -> Book:
    """The file as it is now; an empty book when there is none. Raises EnvironmentFault that names the place."""
    return _Reader(path_of(home)).book(files.read(home, FILE))


class Kept:
    """The file for a process that lives long: read again when it has changed."""

    def __init__(self, home: str):
        self._home = home
        self._seen: Any = ()
        self._found: Any = None

    def book(self) -> Book:
        """As `load`."""
        try:
            about = os.stat(path_of(self._home))
            seen = (about.st_mtime_ns, about.st_size, about.st_ino, about.st_mode)
        except OSError:
            seen = None
        if seen != self._seen:
            self._seen = seen
            try:
                self._found = load(self._home) if seen else Book()
            except EnvironmentFault as fault:
                self._found = fault
        if isinstance(self._found, EnvironmentFault):
            raise self._found
        return self._found


def listed(value: Any) -> List[str]:
    """One text or a list of them."""
    return [str(each) for each in value] if isinstance(value, (list, tuple)) else [str(value)] if value else []


class _Reader:
    """Checks while it reads; the first fault is raised."""

    def __init__(self, path: str):
        self._path = path

    def fault(self, message: str, hint: str) -> EnvironmentFault:
        return EnvironmentFault(f"{self._path}: {message}", hint)

    def book(self, said: Mapping[str, Any]) -> Book:
        self._keys("", said, ("channels", "default", "summary", "group"))
        channels = {name: self._channel(name, body) for name, body in self._mapping("channels", said.get("channels")).items()}
        default = self._mapping("default", said.get("default"))
        self._keys("default", default, [f"on_{event}" for event in model.EVENTS])
        summary = self._mapping("summary", said.get("summary"))
        self._keys("summary", summary, ("at", "to"))
        group = self._mapping("group", said.get("group"))
        self._keys("group", group, ("more_than", "within"))
        return Book(
            channels=channels,
            default={event: self._to(f"default.on_{event}", default[f"on_{event}"], channels) for event in model.EVENTS if f"on_{event}" in default},
            summary_at=self._clock(summary) if summary else None,
            summary_to=self._to("summary.to", summary.get("to"), channels) if summary else (),
            more_than=self._number("group.more_than", group["more_than"]) if "more_than" in group else Book.more_than,
            within=self._seconds("group.within", group["within"]) if "within" in group else Book.within,
        )

    def _mapping(self, place: str, value: Any) -> Mapping[str, Any]:
        if value in (None, ""):
            return {}
        if not isinstance(value, dict):
            raise self.fault(f"{place}: must be a mapping", f"write `{place}:` and `name: ...` lines below it")
        return value

    def _keys(self, place: str, value: Mapping[str, Any], allowed: Sequence[str]) -> None:
        for key in value:
            if key not in allowed:
                near = difflib.get_close_matches(str(key), allowed, 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(allowed)}"
                raise self.fault(f"{place + ': ' if place else ''}unknown key {key!r}", hint)

    def _channel(self, name: str, body: Any) -> Channel:
        place = f"channels.{name}"
        if not _NAME.fullmatch(name) or name in (BASH, DEFAULT):
            raise self.fault(f"{place}: {name!r} is no name for a channel", "letters, digits, _ . and - only; not bash, not default")
        if not isinstance(body, dict) or len(body) != 1 or next(iter(body)) not in KINDS:
            raise self.fault(f"{place}: a channel has one key that says what it is", "one of smtp:, webhook:, command:")
        kind, body = next(iter(body.items()))
        place += "." + kind
        if kind == "command" and isinstance(body, (str, list)):
            body = {"run": body}
        if not isinstance(body, dict):
            raise self.fault(f"{place}: must be a mapping", f"its keys: {', '.join(KINDS[kind])}")
        self._keys(place, body, KINDS[kind])
        body = dict(body)
        if body.get("timeout"):
            self._seconds(place + ".timeout", body["timeout"])
        getattr(self, "_" + kind)(place, body)
        return Channel(name, kind, body)

    def _smtp(self, place: str, body: Dict[str, Any]) -> None:
        self._need(place, body, ("to",) if body.get("connection") else ("host", "from", "to"))

    def _webhook(self, place: str, body: Dict[str, Any]) -> None:
        self._need(place, body, ("url",))
        if not str(body["url"]).startswith(("http://", "https://", "<<")):
            raise self.fault(f"{place}.url: {body['url']!r} is no address", "it begins with http:// or https://")
        if "json" in body and "body" in body:
            hint = "json: is a mapping that becomes JSON, body: a text that is sent as it is"
            raise self.fault(f"{place}: json: and body: exclude each other", hint)
        self._mapping(f"{place}.headers", body.get("headers"))
        from runner.alerts import message

        for unknown in message.unknown_names(body.get("json", body.get("body", ""))):
            raise self.fault(f"{place}: << {unknown} >> is not known", "known: " + ", ".join(message.NAMES))

    def _command(self, place: str, body: Dict[str, Any]) -> None:
        self._need(place, body, ("run",))
        if isinstance(body["run"], str):
            import shlex

            try:
                body["run"] = shlex.split(body["run"])
            except ValueError as error:
                raise self.fault(f"{place}.run: {error}", "write a list: [/opt/sms/send, --to, duty]") from None
        if not isinstance(body["run"], list) or not all(isinstance(word, str) for word in body["run"]) or not body["run"]:
            raise self.fault(f"{place}.run: must be a list of texts", "write [/opt/sms/send, --to, duty]")
        if any("<< secret." in word for word in body["run"]):
            raise self.fault(f"{place}.run: everybody can read the words of a command", "hand the secret on in env: {TOKEN: << secret.NAME >>}")
        self._mapping(f"{place}.env", body.get("env"))

    def _need(self, place: str, body: Mapping[str, Any], wanted: Sequence[str]) -> None:
        for key in wanted:
            if not body.get(key):
                raise self.fault(f"{place}: {key}: is missing", f"add {key}:")

    def _to(self, place: str, value: Any, channels: Mapping[str, Channel]) -> Tuple[str, ...]:
        for name in listed(value):
            if name not in channels:
                near = difflib.get_close_matches(name, list(channels), 1)
                hint = f"did you mean {near[0]}?" if near else f"channels: {', '.join(channels) or 'none'}"
                raise self.fault(f"{place}: there is no channel {name}", hint)
        return tuple(listed(value))

    def _clock(self, summary: Mapping[str, Any]) -> Tuple[int, int]:
        found = _CLOCK.fullmatch(str(summary.get("at", "")))
        if not found or int(found[1]) > 23 or int(found[2]) > 59:
            raise self.fault(f"summary.at: {summary.get('at')!r} is no time of the day", "write at: \"08:00\"")
        return int(found[1]), int(found[2])

    def _number(self, place: str, value: Any) -> int:
        if not str(value).isdigit() or not int(value):
            raise self.fault(f"{place}: {value!r} is no number", "write 5")
        return int(value)

    def _seconds(self, place: str, value: Any) -> float:
        try:
            return parse_duration(value)
        except DurationError as error:
            raise self.fault(f"{place}: {error.message}", error.hint) from None
