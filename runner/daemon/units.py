"""What starts the daemon with the server: the text of a systemd unit, and a start script for hosts without systemd."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from typing import Mapping, Optional, Sequence, Tuple

from runner.errors import UsageError

MARK = "# Written by `runner service"  # our own files, which may be written again
ENVIRONMENT = "environment"  # in RUNNER_HOME: further variables of the daemon and its steps
WATCHDOG_SECONDS = 120


@dataclass(frozen=True)
class Facts:
    """What both texts are made of."""

    program: Tuple[str, ...]  # the words that start runner, the first an absolute path
    home: str
    user: str  # who the daemon and all steps run as
    path: str  # PATH of the daemon and of steps
    pipelines: Optional[str] = None  # None: as settings.yaml says
    name: str = "runner"
    per_user: bool = False  # a unit of the user's own systemd
    variables: Mapping[str, str] = field(default_factory=dict)  # further ones

    def environment(self) -> Mapping[str, str]:
        pipelines = {"RUNNER_PIPELINES": self.pipelines} if self.pipelines else {}
        return {"RUNNER_HOME": self.home, **pipelines, "PATH": self.path, **self.variables}


# -------------------------------------------------------------------------------------------------------------- systemd

_UNIT = """\
{mark} install`, written anew by the next one. Changes of yours: systemctl {user_word}edit {name}
[Unit]
Description=runner: pipelines of {shown_home}
{after}RequiresMountsFor={mounts}
# A server that was down for long, or lacks disk for a night, must not be given up.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={start}
# TERM ends the daemon alone: steps go on, and the next daemon finds them. So do an upgrade and a restart.
KillMode=process
ExecReload=/bin/sh -c "kill -HUP $MAINPID"
Restart=always
RestartSec=5
# Left because somebody said so (`runner daemon stop`), or called in a way that never works: it stays down.
RestartPreventExitStatus=0 2 130 143
TimeoutStartSec=300
# The daemon hangs: it is killed and started again; its steps go on.
WatchdogSec={watchdog}
# A step that was killed for lack of memory is that step's failure.
OOMPolicy=continue
{user_lines}{environment}
EnvironmentFile=-{environment_file}
UMask=0027
# Steps share /tmp with the people who look after them, and get signals as in a shell.
PrivateTmp=no
IgnoreSIGPIPE=no
LimitNOFILE=65536
# Steps count too: the half of what the kernel has, so that somebody can still log in.
TasksMax=50%
StandardOutput=journal
StandardError=journal
SyslogIdentifier={name}

[Install]
WantedBy={wanted}
"""


def unit(facts: Facts) -> str:
    """The unit's text. Raises UsageError for a path that systemd cannot be told."""
    _check(facts)
    return _UNIT.format(
        mark=MARK, name=facts.name, shown_home=facts.home.replace("%", "%%"), watchdog=WATCHDOG_SECONDS,
        user_word="--user " if facts.per_user else "",
        # a clock that is not right yet would give wrong dates; the user's own systemd knows no such targets
        after="" if facts.per_user else "After=time-sync.target network.target remote-fs.target nss-user-lookup.target\n",
        mounts=" ".join(_word(path) for path in filter(None, (facts.home, facts.pipelines))),
        start=_command((*facts.program, "daemon")),
        user_lines="" if facts.per_user else f"User={_raw(facts.user)}\n",
        environment="\n".join("Environment=" + _word(f"{name}={value}") for name, value in facts.environment().items()),
        environment_file=_pattern(os.path.join(facts.home, ENVIRONMENT)),
        wanted="default.target" if facts.per_user else "multi-user.target",
    )


def _command(words: Sequence[str]) -> str:
    """An ExecStart. systemd takes no quotes, backslashes and dollars in a program's path: such a one is told to a shell."""
    if re.search(r"[\"'\\$]", words[0]):
        words = ("/bin/sh", "-c", 'exec "$0" "$@"', *words)
    return " ".join(_word(word, dollar="$$") for word in words)


def _word(text: str, dollar: str = "$") -> str:
    """One word of a list: % begins a specifier, and in a command $ a variable."""
    text = text.replace("%", "%%").replace("$", dollar)
    if re.fullmatch(r"[\w@%+=:,./$-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _raw(text: str) -> str:
    """A value that is the whole line."""
    return text.replace("%", "%%")


def _pattern(text: str) -> str:
    """A value that is the whole line, and a pattern of file names."""
    return re.sub(r"([\\*?\[\]])", r"\\\1", _raw(text))


def _check(facts: Facts) -> None:
    for text in (*facts.program, facts.user, *facts.environment().values()):
        if not text.isprintable() or text != text.strip():
            raise UsageError(f"{text!r} has a character that no unit can hold", "rename that folder, or link to it under a plainer name")


# -------------------------------------------------------------------------------------------------------- without systemd


def script(facts: Facts) -> str:
    """A POSIX sh script: start, stop, restart, reload, drain, status."""
    with open(os.path.join(os.path.dirname(__file__), "service.sh"), encoding="utf-8") as file:
        text = file.read()
    values = [f"name={shlex.quote(facts.name)}", f"user={shlex.quote(facts.user)}"]
    values += [f"{name}={shlex.quote(value)}; export {name}" for name, value in facts.environment().items()]
    values.append(f"runner() {{ {' '.join(map(shlex.quote, facts.program))} \"$@\"; }}")
    values.append(f"run_in_background() {{ $1 {' '.join(map(shlex.quote, facts.program))} daemon </dev/null >\"$out\" 2>&1 & }}")
    return text.replace("# @mark@", MARK + " script`, written anew by the next one").replace("# @values@", "\n".join(values)).replace("@name@", facts.name)
