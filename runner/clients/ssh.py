"""Shell text on another host, by the server's own ssh. The page of it is in steps/ssh.py; what runs there is remote.sh.

The job there has a folder whose name holds a random part, made here before the first contact. So it is begun at most once however often the link
breaks, and the next attempt knows from this attempt's `remote.json` what may still run, and ends that first.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
from typing import Any, BinaryIO, Dict, Iterator, Optional

from runner import config
from runner.clients import BAD_REQUEST, Client, ClientError, openssh
from runner.clients.openssh import LINK
from runner.clock import Clock

RECONNECT, SCRATCH = 600.0, ".runner-remote"
STATE, KILL = "remote.json", "remote.kill"
MAX_OUTPUT = 256 * 1024
_BLOCK = 1 << 16
_OURS = {"RUNNER_" + name.upper() for name in config.SETTINGS if name not in config.IN_STEP} | {"RUNNER_HOME", "RUNNER_ATTEMPT", "RUNNER_OUTPUT"}
_WRAPPER = r"""d=$1 b=$2 w=$3; shift 3
set -C; echo "$$ $b ." 2>/dev/null >"$d/pid" || exit 125; set +C
trap : TERM HUP INT QUIT
exec </dev/null >>"$d/log" 2>&1
rc=1
if [ -z "$w" ] || cd -- "$w"; then "$@"; rc=$?; fi
echo "$rc ." >"$d/rc"
"""


class Stopped(BaseException):
    """TERM: a person's stop, or a timeout."""


def main(client: Client) -> int:
    def stop(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Stopped

    job = Job(client)
    signal.signal(signal.SIGTERM, stop)
    try:
        return job.run()
    except Stopped:
        job.end()
        return 143


class Lost(Exception):
    """The link broke, or never was; the text is what ssh said."""


class Job:
    """One attempt's work on the other host."""

    def __init__(self, client: Client):
        body = client.body
        self.client, self.body, self.clock = client, body, Clock()
        self.host = openssh.Host(client, body)
        self.reconnect = float(body["reconnect"]) if "reconnect" in body else RECONNECT
        self.grace = max(1.0, float(body.get("kill_grace", 30)) * 0.6)
        self.mark = "runner-" + secrets.token_hex(12)
        label = re.sub(r"[^A-Za-z0-9._-]", "_", ".".join(client.folder.rstrip("/").split("/")[-3:]))[-120:]
        self.folder = f"{(body.get('scratch') or SCRATCH).rstrip('/')}/{label}.{self.mark[-12:]}"
        self.begun = self.tried = False
        self.offset = 0  # bytes of the log that are here
        self.earlier = list(_left_by_earlier(client, self.host.address))

    # -- running

    def run(self) -> int:
        """Begin the job, follow it over as many links as it takes. Returns its exit status; raises ClientError."""
        self._note()
        since: Optional[float] = None  # when the link was lost
        pause = 1.0
        while True:
            before = self.begun, self.offset
            try:
                return self._session()
            except Lost as error:
                said = str(error)
            if not self.begun:
                sys.stderr.write(openssh.clear(said))
                raise self.host.trouble(said)
            now = self.clock.monotonic()
            if since is None or (self.begun, self.offset) != before:
                since, pause = now, 1.0
                print(f"runner: the link to {self.host.name} broke; its job goes on, trying to reach it for {self.reconnect:g} s", flush=True)
            if now - since >= self.reconnect:
                error = self.host.trouble(said)
                raise ClientError(f"the link to {self.host.name} did not come back: {error.message}",
                                  "its job may still run there; the next attempt ends it before it begins", LINK)
            self.clock.sleep(min(pause, max(0.1, self.reconnect - (now - since))))
            pause = min(pause * 2, 15.0)

    def _session(self) -> int:
        """One link, to the job's end. Raises Lost."""
        self.tried = True
        with tempfile.TemporaryFile() as errors:
            link = subprocess.Popen(self.host.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=dict(self.client.environ))
            try:
                link.stdin.write(self._driver().encode("utf-8", "surrogateescape"))
                link.stdin.flush()
                code = self._follow(link.stdout)
                if code is not None:
                    self._note(over=True)
                    link.stdin.write(b"ok\n")
                    link.stdin.close()
                    self._wait(link)
                    return code
            except BrokenPipeError:
                pass
            except Stopped:
                link.kill()
                raise
            finally:
                if link.poll() is None:
                    self._wait(link, 2.0)
                    link.kill()
                    link.wait()
                for pipe in (link.stdin, link.stdout):
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        pass
            errors.seek(0)
            raise Lost(errors.read().decode("utf-8", "replace"))

    @staticmethod
    def _wait(link: subprocess.Popen, seconds: float = 15.0) -> None:
        """Let it end by itself: what it has to say on stderr is the reason."""
        try:
            link.wait(seconds)
        except subprocess.TimeoutExpired:
            pass

    def _follow(self, stream: BinaryIO) -> Optional[int]:
        """Read what remote.sh says. The exit status, or None when the link ended before it came."""
        mark = self.mark.encode()
        for line in stream:  # what a login script prints comes first and is not for us
            if line.strip() == mark:
                break
        else:
            return None
        for line in stream:
            word, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            if word == "R":
                self.begun = True
            elif word == "D":
                self._copy(stream, int(rest), sys.stdout.buffer)
            elif word == "O":
                self._outputs(stream, int(rest))
            elif word == "B":
                print("runner: what the command left running in the background was ended", flush=True)
            elif word == "K":
                print(f"runner: what an earlier attempt left on {self.host.name} is ended", flush=True)
            elif word == "N":
                raise ClientError(f"an earlier attempt still runs on {self.host.name} and cannot be ended: {rest}", f"look there: cat {rest}/pid", LINK)
            elif word == "X":
                self._note(over=True)
                raise ClientError(f"{self.host.name}: {rest}", "", BAD_REQUEST, final=False)
            elif word == "L":
                self._note(over=True)
                raise ClientError(f"the job on {self.host.name} is gone without an exit status: that machine was started anew, or somebody ended it")
            elif word == "E":
                return int(rest)
        return None

    def _copy(self, stream: BinaryIO, size: int, target: BinaryIO) -> None:
        """The next bytes of the log; what arrived of them counts, should the link break in between."""
        while size:
            block = stream.read1(min(size, _BLOCK))  # type: ignore[attr-defined]
            if not block:
                return
            target.write(block)
            target.flush()
            size -= len(block)
            self.offset += len(block)

    def _outputs(self, stream: BinaryIO, size: int) -> None:
        data = stream.read(size)
        if size > MAX_OUTPUT:
            raise ClientError(f"$RUNNER_OUTPUT holds more than {MAX_OUTPUT // 1024} KiB: hand on a path instead")
        if len(data) == size:
            with open(self.client.environ["RUNNER_OUTPUT"], "ab") as file:
                file.write(data if data.endswith(b"\n") else data + b"\n")

    # -- what is sent

    def _driver(self) -> str:
        """The whole text for the shell there. Its last line is the call: cut anywhere before, it does nothing."""
        end, body = f"END-{self.mark}", self.body
        words = " ".join(map(shlex.quote, [*body["shell"]])) + ' "$d/script" ' + " ".join(map(shlex.quote, body.get("args") or ()))
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in self._environment().items())
        ended = f"end_all 10 {' '.join(_there(folder) for folder in self.earlier)}" if self.earlier and not self.begun else ":"
        return (
            f"{_text('remote.sh')}\n"
            f"place() {{\ncat >\"$d/script\" <<'{end}' && cat >\"$d/wrapper\" <<'{end}'\n{_closed(body['run'])}{end}\n{_WRAPPER}{end}\n}}\n"
            f"launch() {{\n(\n{exports}export RUNNER_REMOTE=\"$d\" RUNNER_OUTPUT=\"$d/output\"\n"
            f"exec setsid sh \"$d/wrapper\" \"$d\" \"$(boot)\" {shlex.quote(body.get('cwd') or '')} {words}\n) </dev/null >/dev/null 2>&1 &\n}}\n"
            f"main() {{\nd={_there(self.folder)} off={self.offset} known={int(self.begun)}\nprintf '\\n%s\\n' {self.mark}\n{ended}\n"
            "begin || return\necho R\nfollow\n}\nmain\n"
        )

    def _environment(self) -> Dict[str, str]:
        """The run's own RUNNER_*, the step's `env:`, then that of the body."""
        names = [name for name in self.client.environ if name.startswith("RUNNER_") and name not in _OURS and not name.startswith("RUNNER_SETTING_")]
        names += [name for name in self.body.get("step_env") or () if name in self.client.environ]
        found = {name: self.client.environ[name] for name in names if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)}
        return {**found, **{name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in (self.body.get("env") or {}).items()}}

    def _note(self, over: bool = False) -> None:
        """What may be running there, for the attempt after this one."""
        path = os.path.join(self.client.folder, STATE)
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump({"address": self.host.address, "folder": self.folder, "earlier": self.earlier, "over": over}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + ".new", path)

    # -- ending

    def end(self) -> None:
        """End the job there and see that nothing is left. What does this is no part of the attempt, so that it outlives a KILL to that."""
        if not self.tried:
            return
        folders = [self.folder, *self.earlier]
        text = f"{_text('remote.sh')}\nmain() {{ printf '\\n%s\\n' {self.mark}; end_all {int(self.grace) or 1} {' '.join(map(_there, folders))}; }}\nmain\n"
        until = self.clock.monotonic() + self.grace + 5
        said = ""
        while self.clock.monotonic() < until:
            said = self._send(text)
            answers = [line.partition(" ")[0] for line in said.partition(self.mark)[2].splitlines() if line[:2] in ("K ", "N ")]
            if len(answers) == len(folders):
                if "N" in answers:
                    break
                self._note(over=True)
                print(f"runner: the job on {self.host.name} was ended, nothing of it is left", flush=True)
                return
            self.clock.sleep(1)
        print(f"error: the job on {self.host.name} could not be ended and may still run: folder {self.folder} there\n"
              "       the next attempt of this step ends it before it begins", file=sys.stderr)

    def _send(self, text: str) -> str:
        path = os.path.join(self.client.folder, KILL)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        with open(path, "rb") as asked, open(path + ".log", "w+b") as answer:
            subprocess.Popen(self.host.command(), stdin=asked, stdout=answer, stderr=subprocess.STDOUT, start_new_session=True,
                             env=openssh.environment(self.client)).wait()
            answer.seek(0)
            return answer.read().decode("utf-8", "replace")


def _left_by_earlier(client: Client, address: str) -> Iterator[str]:
    """Folders there of attempts before this one whose jobs were not seen to end."""
    parent, name = os.path.split(client.folder.rstrip("/"))
    step, _, number = name.rpartition(".")
    for before in range(1, int(number) if number.isdigit() else 1):
        try:
            with open(os.path.join(parent, f"{step}.{before}", STATE), encoding="utf-8") as file:
                state = json.load(file)
        except (OSError, ValueError):
            continue
        if state["over"]:
            continue
        if state["address"] == address:
            yield state["folder"]
        else:
            print(f"runner: attempt {before} was on {state['address']} and may still run there, in {state['folder']}", flush=True)


def _there(folder: str) -> str:
    """A folder of the other host as a word of shell; a relative one starts at the home."""
    return shlex.quote(folder) if folder.startswith("/") else '"$HOME"/' + shlex.quote(folder)


def _closed(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def _text(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()

