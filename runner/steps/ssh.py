"""Runs shell text on another host, by the server's own ssh.

```yaml
steps:
  - id: load
    timeout: 2h
    ssh:
      host: etl2.example.com
      user: etl
      key_file: ~/.ssh/id_etl
      run: |
        cd /app/batch
        ./load.sh --date "$RUNNER_DS" > /app/log/load.$RUNNER_DS.log
        echo "rows=$(wc -l < out.csv)" >> "$RUNNER_OUTPUT"
  - id: close
    needs: load
    ssh: {connection: ledger, script: sql/close.sh, args: ["<< ds >>"]}
```

The text travels by ssh's standard input and never stands in a command line. There it runs as `bash -eo pipefail` in a session of its own, with the
run's `RUNNER_DS` and its kin, the step's `env:` and the `env:` of the body. Its output comes back as it is written. What it writes to the file
`$RUNNER_OUTPUT` there is handed on as if it had been written here. A `script:` is a file of this server; it is sent over.

The job does not hang on the link: there it writes into a folder below `~/.runner-remote`, which is removed at its end. When the link breaks, runner
connects again and reads on from where it was; the job notices nothing. When the step is stopped or meets its timeout, everything of the job is ended
there (TERM, then KILL), and the log says that nothing is left. An attempt that could not be ended, as its host was not to be reached, is ended by the next
attempt before it begins: no job runs twice at a time.

Runner never trusts an unknown host and never asks for a password: the host's key stands in known_hosts, and the way in is a key or a
Kerberos ticket. `~/.ssh/config` is read as ssh always does. A connection of type `ssh` may have `host`, `user`, `port`, `key_file`, `known_hosts`, `jump`, `config`.

**Exit codes.** That of the text there. 255: no link: the log says why; also when a broken link did not come back for `reconnect`. 1: the job there is gone
without an exit status, as after a restart of that machine. 2: the request cannot be carried out: a host name, a key file, a connection, no
place to write there. 127: ssh is not installed here, or bash is not there. 143: stopped.

**Traps**

- A login shell that prints something (`.bashrc`) does no harm; one that ends (`exit`) or waits does.
- A secret in `run:` stands in a file of mode 0600 there while the job runs; one in `env:` does not, unless the
  text prints it. Neither stands in a command line.
- A process that the text starts with setsid, or with nohup and `&` in the background of a stopped step, is found by its environment and ended; one that
  clears its environment as well is not.
- `KillUserProcesses=yes` in the host's logind.conf ends the job when the link breaks: `loginctl enable-linger USER` there keeps it.
- Step `cwd:` is a folder of this server; where the text works there is `cwd:` in the body.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping

from runner import durations, model
from runner.steps import base, bash
from runner.steps.base import BuildContext, CalledFile, Fault, called, called_text, closed, exactly_one, has_tag, words

KIND = "ssh"
TITLE = "shell text on another host"
_NAME = re.compile(r"[^\s\-@/,;'\"][^\s@/,;'\"]*")
_VALUE = {"type": ["string", "number", "boolean"]}


def _word(description: str) -> Dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description}


LINK: Dict[str, Any] = {  # how to get there; sftp steps have the same keys
    "connection": _word("A connection of the site, of type ssh."),
    "host": _word("The host, or a name of ~/.ssh/config."),
    "user": _word("The user there. Default: that of ~/.ssh/config, else the one who runs here."),
    "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "The port of sshd. Default: 22."},
    "key_file": _word("The private key's file, mode 0600. Default: those that ssh finds by itself."),
    "known_hosts": _word("The file with the keys of trusted hosts. Default: ~/.ssh/known_hosts and that of the system."),
    "jump": _word("A host to go over, `user@host` or `user@host:port`, with the same key."),
    "config": _word("Another file than ~/.ssh/config; `none` reads none."),
    "connect_timeout": {"type": ["integer", "number", "string"], "description": "How long to wait for the link. Default: 15s."},
    "keepalive": {"type": ["integer", "number", "string"], "description": "How often a silent link is asked; three without answer break it. Default: 15s."},
}
LINK_TEMPLATED = frozenset({"connection", "host", "user", "key_file", "known_hosts", "jump", "config"})

SCHEMA: Dict[str, Any] = {
    "type": "object",
    "description": "The host, and `run` or `script`.",
    "additionalProperties": False,
    "properties": {
        "run": {"type": "string", "description": "The shell text."},
        "script": _word("A script file of this server instead; a relative path starts at the pipeline's folder."),
        "args": {"type": "array", "items": _VALUE, "description": "Arguments, one word each: `$1`, `$2` ..."},
        "shell": bash.SCHEMA["properties"]["shell"],
        "env": {"type": "object", "additionalProperties": _VALUE, "description": "Environment variables there, `NAME: value`."},
        "cwd": _word("The folder there that the text works in. Default: the user's home."),
        **LINK,
        "reconnect": {"type": ["integer", "number", "string"], "description": "How long a broken link is tried again. Default: 10m."},
        "scratch": _word("The folder there for the job's log and exit status. Default: ~/.runner-remote."),
        "template": {"type": "boolean", "description": "Whether the text of `script` is a template too. Default: false."},
    },
}
INLINE = ("run", "bash")
TEMPLATED = frozenset({"run", "script", "args", "env", "cwd", "scratch"}) | LINK_TEMPLATED


def normalise(body: Any) -> Dict[str, Any]:
    return dict(body)


def files(body: Mapping[str, Any]) -> List[CalledFile]:
    return called(body, "script", "bash", bool(body.get("template", False))) + link_files(body)


def link_files(body: Mapping[str, Any]) -> List[CalledFile]:
    found = [one for key in ("key_file", "known_hosts", "config") for one in called(body, key, "")]
    return [one for one in found if one.path != "none"]


def check(body: Mapping[str, Any]) -> List[Fault]:
    faults = exactly_one(body, ("run", "script")) + check_link(body)
    if "template" in body and "script" not in body:
        hint = "Write `template: false` beside `id:` for a text without templates."
        faults.append((("template",), "`template:` here is about the text of `script:`", hint))
    for name in body.get("env") or ():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            faults.append((("env", name), f"'{name}' is no name for a variable", "A name has letters, digits and `_`, and begins with no digit."))
    return faults + bash.check_shell(body.get("shell"))


def check_link(body: Mapping[str, Any]) -> List[Fault]:
    """Faults in how to get there."""
    faults: List[Fault] = []
    if "host" not in body and "connection" not in body:
        faults.append(((), "where to is not said: `host:` is missing", "Write `host: name`, or `connection:` with one of the site."))
    for key in ("host", "user"):
        value = body.get(key)
        if isinstance(value, str) and not has_tag(value) and not _NAME.fullmatch(value):
            faults.append(((key,), f"'{value}' is no {key} name", "Write `host: name`, and beside it `user:` and `port:`."))
    for key in ("connect_timeout", "keepalive", "reconnect"):
        try:
            durations.parse_duration(body.get(key, 1))
        except durations.DurationError as error:
            faults.append(((key,), error.message, error.hint))
    return faults


def build(step: model.Step, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    text = closed(body["run"]) if "run" in body else called_text(body["script"], bool(body.get("template")), ctx)
    request = {key: value for key, value in body.items() if key != "script"}
    request.update(run=text, args=words(body.get("args")), shell=bash.shell_words(body.get("shell", bash.DEFAULT_SHELL)), step_env=sorted(step.env),
                   kill_grace=step.kill_grace)
    if "reconnect" in body:
        request["reconnect"] = durations.parse_duration(body["reconnect"])
    return base.client("ssh", request, ctx)
