"""What a shell would fill in, `$NAME` or `$(date +%F)`, in a text that no shell reads: values of `env:`, words of `args:`."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional, Sequence

from runner.spec.notes import Notes, Path
from runner.template.names import NAMES

KINDS = ("bash", "python", "spark-submit", "ssh")  # whose args reach the program word by word
_TAG = re.compile(r"<<[ \t].{0,1000}?[ \t]>>", re.S)
_FILLED = re.compile(
    r"(?<![\\$])\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?:\}|:?[-=?+][^}]{0,200}\}|:[ \d][^}]{0,200}\}|[#%/^,\[][^}]{0,200}\})|(?P<command>\([^)]*\)?))"
    r"|(?P<quoted>`(?:[a-z]+ [^`]*|date|hostname|whoami|pwd|nproc)`)"  # not the name of a column
    r"|(?P<home>(?:\A|(?<=:))~(?=/))",
    re.ASCII,
)


class _Fault(NamedTuple):
    line: int
    column: int
    message: str
    hint: str
    severity: str = "warning"


def check_env(name: str, value: str, path: Path, notes: Notes) -> None:
    """A value of `env:`."""
    found = _find(value)
    if found:
        _tell(value, found, f"env: {name}: {_shown(found)} stays as it is: no shell reads the values of env:", _env_hint(name, value, found), path, notes)


def check_args(kind: str, args: Sequence[object], path: Path, notes: Notes) -> None:
    """The words of `args:`."""
    for n, word in enumerate(args if kind in KINDS else ()):
        found = _find(word) if isinstance(word, str) else None
        if found:
            _tell(word, found, f"args: {_shown(found)} stays as it is: no shell reads the words of args:", _arg_hint(found), path + (n,), notes)


def _find(text: str) -> Optional["re.Match[str]"]:
    return _FILLED.search(_TAG.sub(lambda match: " " * len(match.group()), text))


def _shown(found: "re.Match[str]") -> str:
    piece = found.group() + ("/" if found.group("home") else "")
    return piece if len(piece) <= 40 else piece[:39] + "\N{HORIZONTAL ELLIPSIS}"


def _tell(text: str, found: "re.Match[str]", message: str, hint: str, path: Path, notes: Notes) -> None:
    line = text.count("\n", 0, found.start()) + 1
    notes.in_text(path, _Fault(line, found.start() - text.rfind("\n", 0, found.start()), message, hint))


def _env_hint(name: str, value: str, found: "re.Match[str]") -> str:
    if name == "PATH" and (found.group("name") or found.group("braced")) == "PATH":
        return f'write the whole path; or in the script: export PATH="{value}"'
    return _known_hint(found) or f'write the value itself; or in the script: export {name}="{value}"' + _meant(found)


def _arg_hint(found: "re.Match[str]") -> str:
    name = found.group("name") or found.group("braced")
    return _known_hint(found) or f"write the value itself; or let the script {'read ' + found.group() + ' itself' if name else 'ask for it'}" + _meant(found)


def _known_hint(found: "re.Match[str]") -> str:
    """For what has its like here: << ds >> for $RUNNER_DS and for $(date +%F)."""
    if found.group("home"):
        return "write the whole path, such as /home/etl"
    name = (found.group("name") or found.group("braced") or "").lower()
    if name.startswith("runner_param_"):
        return f"write << params.{name[13:]} >>"
    if name.startswith("runner_") and name[7:] in NAMES:
        return f"write << {name[7:]} >>"
    return "write the date of the run: << ds >>, << ds_nodash >>, << yesterday_ds >>" if re.match(r"(?:\$\(|`)[ \t]*date\b", found.group()) else ""


def _meant(found: "re.Match[str]") -> str:
    return f" (when it is meant as it is: << '{found.group()}' >>)" if found.group("name") else ""
