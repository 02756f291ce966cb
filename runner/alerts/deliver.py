"""Hands one message to one channel. Returns what the other side said; raises RunnerError with why it could not be."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, Sequence

from runner import config
from runner.alerts import message as wording
from runner.alerts.channels import Channel, listed
from runner.alerts.message import Message
from runner.clients import net
from runner.errors import EnvironmentFault, RunnerError, UsageError
from runner.site import connections, secrets
from runner.site.masking import masked

TIMEOUT = 30.0  # of each answer of a server, and of a whole command
LONGEST = 120.0  # of one delivery, however slowly a server drips
ANSWER = 300  # characters of an answer that are kept
OUTPUT = 64 * 1024  # bytes of a command's output that are looked at


def send(channel: Channel, message: Message, home: str, environ: Mapping[str, str]) -> str:
    """Deliver; the words are for the delivery log, which is kept and shown: a secret that the other side repeats stays out of them."""
    try:
        return _clean(_deliver(channel, message, home, environ), channel, home, environ)
    except RunnerError as error:
        error.message, error.hint = (_clean(text, channel, home, environ) for text in (error.message, error.hint))
        raise


def _deliver(channel: Channel, message: Message, home: str, environ: Mapping[str, str]) -> str:
    if channel.kind == "command":  # which ends its process in time by itself
        return _command(channel, message, home, environ)
    with _bounded(LONGEST, channel.name):
        return _KINDS[channel.kind](channel, message, home, environ)


def _clean(text: str, channel: Channel, home: str, environ: Mapping[str, str]) -> str:
    return masked(text, _hidden(channel.body, home, environ)) if text else ""


def _hidden(body: Mapping[str, Any], home: str, environ: Mapping[str, str]) -> Iterator[str]:
    try:
        yield from connections.hidden_in(body, home, environ)
        if "connection" in body:
            yield from connections.hidden_values(body["connection"], home, environ)
    except RunnerError:  # what cannot be had was not sent
        pass


@contextmanager
def _bounded(seconds: float, name: str) -> Iterator[None]:
    """A server that sends a byte now and then never runs into a timeout of its own. Only the main thread can be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number, _frame):
        raise RunnerError(f"channel {name} was not done within {seconds:g} s", "is the server overloaded?")

    old = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


# ----------------------------------------------------------------------------------------------------------------- smtp


def _smtp(channel: Channel, message: Message, home: str, environ: Mapping[str, str]) -> str:
    from runner.clients import mail  # here: its imports are long, and nearly no process sends

    body = secrets.fill(channel.body, home, environ)
    if "connection" in body:
        body = {**connections.get(body["connection"], home, environ), **body}
    made = mail.compose(str(body.get("from") or ""), listed(body["to"]), message.subject, message.text, cc=listed(body.get("cc")))
    del made["Message-ID"]
    made["Message-ID"] = f"<{message.short_key}@{_domain(body)}>"  # the same when it is sent again
    made["X-Runner-Key"] = message.key.encode("ascii", "backslashreplace").decode()[:500]
    mail.send({"timeout": str(TIMEOUT), **body}, made)
    return f"{body.get('host')} took it for {', '.join(listed(body['to']) + listed(body.get('cc')))}"


def _domain(body: Mapping[str, Any]) -> str:
    found = str(body.get("from", "")).rpartition("@")[2].rstrip("> ")
    return found if found and found.isascii() else "runner"


# -------------------------------------------------------------------------------------------------------------- webhook


def _webhook(channel: Channel, message: Message, home: str, environ: Mapping[str, str]) -> str:
    from runner.alerts import webhook  # here: as above

    body = secrets.fill(channel.body, home, environ)
    return webhook.post(body, message, net.seconds(body.get("timeout"), TIMEOUT))


# -------------------------------------------------------------------------------------------------------------- command


def _command(channel: Channel, message: Message, home: str, environ: Mapping[str, str]) -> str:
    fields = message.as_fields()
    words = [word.replace("\0", "") for word in wording.fill(channel.body["run"], fields)]
    extra = {name: str(value) for name, value in secrets.fill(channel.body.get("env") or {}, home, environ).items()}
    wait = net.seconds(channel.body.get("timeout"), TIMEOUT)
    return execute(words, {**config.inherited(environ), **variables(message), **extra}, message.text, home, wait)


def variables(message: Message) -> Dict[str, str]:
    """RUNNER_ALERT_*: what a command or a hook may ask. The text comes on stdin, since a variable has a limit."""
    return {"RUNNER_ALERT_" + name.upper(): value.replace("\0", "")[:32_000] for name, value in message.as_fields().items() if name != "text"}


def execute(words: Sequence[str], env: Mapping[str, str], text: str, cwd: str, wait: float) -> str:
    """Run a process in a session of its own, the text on its stdin; its last line. Raises RunnerError when it fails or takes too long."""
    try:
        child = subprocess.Popen(
            list(words), env=dict(env), cwd=cwd if os.path.isdir(cwd) else "/", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)
    except OSError as error:
        raise EnvironmentFault(f"{words[0]} cannot be started: {error.strerror}", f"type: ls -l {words[0]}") from None
    except ValueError as error:
        raise UsageError(f"{words[0]} cannot be started: {error}") from None
    try:
        out, _ = child.communicate(text.encode("utf-8", "replace"), timeout=wait)
    except subprocess.TimeoutExpired:
        raise RunnerError(f"{words[0]} had not ended after {wait:g} s", "`timeout:` waits longer") from None
    finally:
        _end(child)
    last = _last_line(out)
    if child.returncode:
        how = f"exit {child.returncode}" if child.returncode > 0 else f"signal {-child.returncode}"
        raise RunnerError(f"{words[0]}: {how}" + (f": {last}" if last else ""))
    return last or "exit 0"


def _end(child: subprocess.Popen) -> None:
    """Whatever it has left behind in its session goes with it."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    child.wait()
    for pipe in (child.stdin, child.stdout):
        try:
            pipe.close()
        except OSError:  # what it never read is still in the buffer
            pass


def _last_line(out: bytes) -> str:
    lines: List[str] = [wording.clean(line) for line in out[-OUTPUT:].decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:ANSWER] if lines else ""


_KINDS = {"smtp": _smtp, "webhook": _webhook}
