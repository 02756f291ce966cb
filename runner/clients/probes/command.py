"""Asking a command of the server, which may hang: it is ended with all that it has started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import Mapping, Sequence, Tuple

from runner.clock import Clock
from runner.site import kerberos

LONGEST_SECONDS = 180.0


def ask(words: Sequence[str], env: Mapping[str, str], cwd: str, text: str = "") -> Tuple[int, str, str]:
    """Exit code, stdout, stderr; 127 when there is no such command, 124 when it did not answer, 75 when there is no ticket for it."""
    if "RUNNER_TICKET" in env:
        wanted = json.loads(env["RUNNER_TICKET"])
        try:
            kerberos.keep_fresh(wanted["principal"], wanted["keytab"], env["KRB5CCNAME"].partition(":")[2], env, Clock().now().timestamp())
        except kerberos.KinitFailed as error:
            return 75, "", error.message
    try:
        child = subprocess.Popen(
            words, env=dict(env), cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
            errors="replace", start_new_session=True)
    except OSError as error:
        why = "there is no such command on the PATH of the step" if isinstance(error, FileNotFoundError) else error.strerror
        return 127, "", f"{words[0]}: {why}"
    try:
        out, said = child.communicate(text, timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return 124, "", f"{words[0]}: no answer within {LONGEST_SECONDS:g} s"
    return child.returncode, out, said


def surroundings(env: Mapping[str, str]) -> int:
    """What may be asked together: the same environment, but for what is the run's own."""
    return hash(tuple(sorted(pair for pair in env.items() if not pair[0].startswith("RUNNER_"))))


def last_words(text: str) -> str:
    """The line of a client's talk that says what is wrong: the last that is no trace of Java's."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("\tat ", "    at "))]
    for line in reversed(lines):
        if line.startswith(("Error", "FAILED", "Caused by", "ls:", "Exception")) or "Exception:" in line:
            return line[:300]
    return lines[-1][:300] if lines else "it says nothing"
