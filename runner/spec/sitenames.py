"""What a file's templates ask the site for: secrets only where they may stand, and a warning for a name that this server does not know."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Iterator, Sequence, Tuple

from runner import site, template
from runner.errors import EnvironmentFault
from runner.spec import words
from runner.spec.notes import Notes, Path

HINT = "give it as env: {{TOKEN: << secret.{0} >>}} and use $TOKEN"
_REMEDY = {"secret": "type: runner secrets set {}", "var": "type: runner variables set {} VALUE", "conn": "add it to connections.yaml in RUNNER_HOME"}
_WORDS = {"secret": "secret", "var": "variable", "conn": "connection"}


class SiteNames:
    """Of one site; `home` "": nothing is known of it. Its files are read when a text asks for one."""

    def __init__(self, notes: Notes, home: str, secrets_command: str):
        self._notes, self._home, self._command = notes, home, secrets_command
        self.hint = HINT  # what to write instead of a secret that may not stand where it does

    def check(self, text: str, path: Path, secrets: bool, mark: Any = None) -> None:
        """Note what is wrong with a text of the file itself; at `mark` when it is no text of its own."""
        for fault in self.faults(text, secrets):
            if mark is None:
                self._notes.in_text(path, fault)
            else:
                self._notes.add(path, fault.message, fault.hint, mark=mark, severity=fault.severity)

    def faults(self, text: str, secrets: bool) -> Iterator[template.TemplateFault]:
        for place, name in template.site_references(text):
            if name[0] == "secret" and not secrets:
                yield template.TemplateFault(place.line, place.column, f"{place.message}: a secret may not stand here", self.hint.format(name[1]))
            else:
                message, hint = self._unknown(name)
                if message:
                    yield template.TemplateFault(place.line, place.column, f"{place.message}: {message}", hint, "warning")

    def _unknown(self, name: Sequence[str]) -> Tuple[str, str]:
        """A warning only: the file may be meant for another server."""
        known = self._known
        if isinstance(known, EnvironmentFault):
            return known.message, known.hint
        listed = known and {"secret": known.secrets, "var": known.variables, "conn": known.connections}[name[0]]
        if listed is None:
            return "", ""
        if name[1] not in listed:
            near = words.nearest(name[1], sorted(listed))
            hint = f"did you mean {name[0]}.{near}?" if near else _REMEDY[name[0]].format(name[1]) + "   unless the file is for another server"
            return f"there is no {_WORDS[name[0]]} {name[1]!r} here", hint
        if name[0] == "conn" and len(name) > 2 and name[2] not in known.connections[name[1]]:
            return f"connection {name[1]} has no {name[2]!r}", "it has " + ", ".join(known.connections[name[1]])
        return "", ""

    @cached_property
    def _known(self) -> Any:
        """site.Known, None where nothing is known, or the EnvironmentFault that keeps it from being read."""
        if not self._home:
            return None
        try:
            return site.known(self._home, self._command)
        except EnvironmentFault as fault:
            return fault
