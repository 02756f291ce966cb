"""One attempt on this host: its folder, its wrapper, its processes. No clock of its own, no database.

An attempt's folder holds: job (its environment and command), script... (what that runs; .held while it may not), log (its output,
bytes as they came), start (its wrapper and the boot), rc (exit status), output (what it hands on), note (what its client says of
it). The recovery table stands in docs/architecture.md.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
import threading
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from runner.model import Job
from runner.site import kerberos

WRAPPER = "RUNNER_WRAPPER"  # the variable that a wrapper is born with, and no other process ever has after it
ATTENDANT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "attendant.py")
GATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gate.sh")
HELD = ".held"  # ends the name of a script that may not be read yet
ENV = "/usr/bin/env"
LOST_RACE = 125  # what a wrapper says when another holds the folder
MAX_OUTPUT_BYTES = 256 * 1024
MAX_WORD_BYTES = 128 * 1024  # MAX_ARG_STRLEN of execve(2): one argument, or one variable with its name
NEAR = 1000  # so many new processes are asked one by one which group they are in
_ASSIGNED = re.compile(r"(?!(BASHOPTS|EUID|GROUPS|LANG|LC_\w*|OPTIND|PPID|SHELLOPTS|UID)$)[A-Za-z_][A-Za-z0-9_]*")  # those a shell sets or heeds itself left out
_ANOTHER_BASH = ("BASH_ENV", "POSIXLY_CORRECT", "SHELLOPTS")  # with these it reads something else first, or nothing
_PROGRAM = re.compile(r"bash|sh|.*/.*", re.S)  # what no shell takes for a command of its own


def prepare(job: Job, base: Mapping[str, str], gate: bool = False) -> None:
    """Write the job's files, for a wrapper that was born with the environment `base`. Raises OSError.

    With `gate` its bash waits before the script, whose name is not there until `open_gate`: nothing of it can run before.
    """
    _make_folder(job.folder)
    try:
        for name, text in job.files.items():
            _place(f"{job.folder}/{name}{HELD if gate and name == 'script' else ''}", text)
        _place(job.folder + "/job", _order(job, base, gate))
    except ValueError:
        raise OSError(errno.EINVAL, "it holds a NUL, or half a character, which no command can be given", _odd_one(job)) from None


def has_gate(job: Job, base: Mapping[str, str]) -> bool:
    """Whether it may stand behind gate.sh."""
    return job.gate and not job.attendant and not any(name in env for env in (base, job.env) for name in _ANOTHER_BASH) and not re.search(r"[$`\\]", GATE)


def open_gate(job: Job) -> None:
    """Its script may be read. Raises OSError."""
    path = job.folder + "/script"
    os.rename(path + HELD, path)


def _make_folder(path: str) -> None:
    """With those above it; asked of the kernel once for each that is missing."""
    try:
        os.mkdir(path, 0o750)
    except FileNotFoundError:
        _make_folder(os.path.dirname(path))
        _make_folder(path)
    except FileExistsError:  # the same attempt once more, after a crash; or another step's was made at the same time
        pass


def check_cwd(job: Job) -> None:
    """Raises OSError when the folder in which the command is to run is not there."""
    if not os.path.isdir(job.cwd):
        raise NotADirectoryError(errno.ENOENT, "the folder (cwd) does not exist", job.cwd)


def discard(job: Job) -> None:
    """Remove the files of a job that never began."""
    for name in (*job.files, "job", "script" + HELD, "log"):
        try:
            os.unlink(os.path.join(job.folder, name))
        except OSError:
            pass
    try:
        os.rmdir(job.folder)
    except OSError:  # something else stands there: not ours to remove
        pass


def _order(job: Job, base: Mapping[str, str], gate: bool) -> str:
    """The job as one simple command, which a shell can start without a copy of itself: what differs from the wrapper's own
    environment, the words, the log. What a shell cannot set, or would run itself, goes by way of env(1)."""
    words, env = _attended(job) if job.attendant else (job.argv, job.env)
    added = {name: value for name, value in env.items() if base.get(name) != value}
    _check_sizes(words, added)
    gone = [word for name in base if name not in env for word in ("-u", name)]  # a name, never a value of the server's: this goes to the disk
    odd = [f"{name}={added.pop(name)}" for name in list(added) if not _ASSIGNED.fullmatch(name)]
    if gone or odd or not _PROGRAM.fullmatch(words[0]):
        words = (ENV, *gone, *odd, *words)
    assigned = [f"{name}={_quoted(value)}" for name, value in added.items()]
    if gate:
        assigned += [f"BASH_ENV={_quoted(GATE)}", 'RUNNER_GATE="$g $$ $b $n ."']  # its number, and what goes into `start`
    text = f"cd {_quoted(job.cwd)} &&\n" + "\n".join(f"{one} \\" for one in assigned) + f"""
{" ".join(map(_quoted, words))} {"8<&0 " if gate else ""}</dev/null >>{_quoted(job.folder + "/log")} 2>&1 9<&-
"""
    if "\0" in text:
        raise ValueError
    return text


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _check_sizes(words: Sequence[str], env: Mapping[str, str]) -> None:
    """Raises OSError for what the kernel would refuse, with its name."""
    for name, text in (*((f"argument {i}", word) for i, word in enumerate(words)), *((name, f"{name}={value}") for name, value in env.items())):
        if len(text) * 4 >= MAX_WORD_BYTES and len(os.fsencode(text)) >= MAX_WORD_BYTES:
            raise OSError(errno.E2BIG, f"longer than {MAX_WORD_BYTES // 1024} KiB, which no command can be given", name)


def _odd_one(job: Job) -> str:
    """The variable, argument or file whose text the kernel refuses. JSON may bring such: "\\u0000"."""
    def odd(text: str) -> bool:
        try:
            return b"\0" in os.fsencode(text)
        except UnicodeEncodeError:
            return True

    words = (*job.env.items(), *((f"argument {i}", word) for i, word in enumerate(job.argv)), *job.files.items())
    return next((name for name, text in words if odd(text)), job.folder)


def _attended(job: Job) -> Tuple[Sequence[str], Mapping[str, str]]:
    """The command behind its attendant. The order holds names: the attendant reads the values of secrets itself."""
    order = json.dumps(job.attendant, ensure_ascii=False)
    return (sys.executable, "-I", ATTENDANT, *job.argv), {**job.env, "RUNNER_ATTENDANT": order}


def _place(path: str, text: str) -> None:
    """Write a new file. When the same attempt is spawned once more it is there already: then by rename, so that a
    winner's shell never sees its script shrink."""
    data = text.encode("utf-8", "surrogateescape")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    except FileExistsError:
        other = f"{path}.{os.getpid()}.{threading.get_ident()}"
        fd = os.open(other, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        _write(fd, data)
        os.replace(other, path)
        return
    _write(fd, data)


def _write(fd: int, data: bytes) -> None:
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
    finally:
        os.close(fd)


# ------------------------------------------------------------------------------------------------------------- on disk


@dataclass(frozen=True)
class Wrapper:
    """Who runs an attempt, from its start file."""

    pid: int
    boot: str
    name: str
    folder: str


_ATTEMPT = b"RUNNER_ATTEMPT="


def read_start(folder: str) -> Optional[Wrapper]:
    """The start file; None when it is absent or not whole."""
    words = _words(folder + "/start")
    return Wrapper(int(words[0]), words[1], words[2], folder) if len(words) == 4 and words[3] == "." else None


def read_rc(folder: str) -> Optional[int]:
    """The exit status on disk; None when it is absent or not whole."""
    words = _words(folder + "/rc")
    return int(words[0]) if len(words) == 2 and words[1] == "." else None


def read_end(folder: str) -> Optional[Tuple[int, datetime]]:
    """The exit status on disk, and when it was written."""
    code = read_rc(folder)
    return None if code is None else (code, datetime.fromtimestamp(os.stat(folder + "/rc").st_mtime, timezone.utc))


def _words(path: str) -> List[str]:
    return _beginning(path, 200).decode("ascii", "replace").split()


def _beginning(path: str, most: int) -> bytes:
    """Its first bytes; none when there is no such file. By system calls alone: after a crash thousands are read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    try:
        return os.read(fd, most)
    finally:
        os.close(fd)


def read_note(folder: str) -> str:
    """What a client left for people to read beside the state: the id and the address of what it has started elsewhere."""
    try:
        return " ".join(_beginning(folder + "/note", 500).decode("utf-8", "replace").split())
    except OSError:
        return ""


def read_outputs(folder: str) -> dict:
    """The `key=value` lines of $RUNNER_OUTPUT; a line `{...}` is JSON whose keys are taken. Raises ValueError."""
    path = folder + "/output"
    try:
        if os.stat(path).st_size > MAX_OUTPUT_BYTES:
            raise ValueError(f"$RUNNER_OUTPUT holds more than {MAX_OUTPUT_BYTES // 1024} KiB: hand on a path instead")
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return {}
    out: dict = {}
    for number, line in enumerate(lines, 1):
        _read_output_line(out, line, number)
    return out


def _read_output_line(out: dict, line: str, number: int) -> None:
    if line.lstrip().startswith("{"):
        try:
            found = json.loads(line)
            json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a character, "\\ud800", is no text
            out.update(found)
        except ValueError:
            raise ValueError(f"$RUNNER_OUTPUT line {number}: neither key=value nor JSON: {line[:80]}") from None
        return
    key, equals, value = line.partition("=")
    if equals and key.strip():
        out[key.strip()] = value
    elif line.strip():
        raise ValueError(f"$RUNNER_OUTPUT line {number}: neither key=value nor JSON: {line[:80]}")


# ------------------------------------------------------------------------------------------------------------ processes


@dataclass(frozen=True)
class Found:
    """What is left of an attempt. `kind`: ended | alive | orphans | never | gone."""

    kind: str
    exit_code: Optional[int] = None
    pid: Optional[int] = None


def examine(folder: str) -> Found:
    """Look at an attempt whose parent may be dead (semantics D38, rows 1 to 6)."""
    rc = read_rc(folder)
    if rc is not None:
        return Found("ended", rc)
    start = read_start(folder)
    if start is None:
        return Found("never")
    if start.boot != boot_id():
        return Found("gone")
    if is_alive(start):
        return Found("alive", pid=start.pid)
    rc = read_rc(folder)  # it may have ended between the two looks
    if rc is not None:
        return Found("ended", rc)
    if any(members(folder, start)):
        return Found("orphans", pid=start.pid)
    return Found("gone")


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Which start of this machine we are in."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def boot() -> str:
    """The same, short, as the rows of attempts have it."""
    return boot_id()[:8]


def stat_of(pid: int) -> Optional[List[str]]:
    """The fields of proc(5) stat from the third on; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode("ascii", "replace").split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_alive(wrapper: Wrapper) -> bool:
    """The very process of the start file, not another that got its pid: it leads its session and was born with the name that
    no other process of this machine can have been."""
    fields = stat_of(wrapper.pid)
    return (
        bool(fields) and fields[0] not in "ZX" and int(fields[3]) == wrapper.pid and wrapper.boot == boot_id()
        and _named(wrapper) in _environment(wrapper.pid)
    )


def _named(wrapper: Wrapper) -> bytes:
    return f"{WRAPPER}={wrapper.name}\0".encode()


def _mark(folder: str) -> bytes:
    return _ATTEMPT + os.fsencode(folder) + b"\0"


def members(folder: str, wrapper: Optional[Wrapper]) -> Iterator[int]:
    """The processes of an attempt, besides its wrapper: what that has just forked; those born with its RUNNER_ATTEMPT; and all
    of its session while its wrapper lives, except what an attempt before it has left there.

    Without the wrapper its pid, and so its session's number, may have become a stranger's.
    """
    mark = _mark(folder)
    session = wrapper.pid if wrapper and is_alive(wrapper) else None
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in (os.getpid(), session):
            continue
        fields = stat_of(int(name))
        if not fields or fields[0] in "ZX":
            continue
        environment = _environment(int(name))
        ours = int(fields[3]) == session or bool(wrapper) and (_named(wrapper) in environment or _begins(wrapper, fields, environment))
        if mark in environment or (ours and _ATTEMPT not in environment):
            yield int(name)


def _begins(wrapper: Wrapper, fields: List[str], environment: bytes) -> bool:
    """In the midst of execve(2) a process has no environment; its session, which outlives a killed wrapper, tells whose it is."""
    return not environment and int(fields[3]) == wrapper.pid and wrapper.boot == boot_id()


def folders_in_use() -> Set[str]:
    """The folders of all attempts of which a process lives, whoever started it and whatever became of its run: those that
    processes were born with, and those that wrappers have in hand."""
    out = set()
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        for word in _environment(pid).split(b"\0"):
            if word.startswith(_ATTEMPT):
                out.add(os.fsdecode(word[len(_ATTEMPT):]))
            elif word.startswith(WRAPPER.encode() + b"="):
                out |= _in_hand(pid)
    return out


def _in_hand(wrapper: int) -> Set[str]:
    """The folder of its attempt, whose job it holds open, under whatever number its shell has put that."""
    out = set()
    try:
        for fd in os.listdir(f"/proc/{wrapper}/fd"):
            folder, name = os.path.split(os.readlink(f"/proc/{wrapper}/fd/{fd}"))
            if name == "job":
                out.add(folder)
    except OSError:  # it has just ended
        pass
    return out


def _environment(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:
        return b""


def terminate(folder: str) -> bool:
    """Ask an attempt to end: TERM to its process group. The wrapper lives on, to write rc. False when nothing of it is there
    yet that could hear: a signal to what the wrapper has forked and is not yet the command meets the wrapper's own handlers."""
    start = read_start(folder)
    if not any(start is None or _named(start) not in _environment(pid) for pid in members(folder, start)):
        return False
    if start and is_alive(start):
        _send_group(start.pid, signal.SIGTERM)
    else:
        kill_members(folder, start, signal.SIGTERM)
    return True


def kill(folder: str) -> None:
    """KILL to all of an attempt except its wrapper, which then records 137."""
    start = read_start(folder)
    kill_members(folder, start, signal.SIGKILL)


def kill_members(folder: str, wrapper: Optional[Wrapper], number: int) -> Set[int]:
    """Signal every member; repeats while new ones appear. Returns the pids met.

    Before a KILL all are stopped: else a shell whose child died first would go on to its next line. After it the ticket goes
    that the attendant can no longer remove.
    """
    met: Set[int] = set()
    while True:
        fresh = set(members(folder, wrapper)) - met
        if not fresh:
            if number == signal.SIGKILL:
                _remove_ticket(folder)
            return met
        if number == signal.SIGKILL:
            signal_all(fresh, signal.SIGSTOP)
        signal_all(fresh, number)
        met |= fresh


def _remove_ticket(folder: str) -> None:
    for name in (kerberos.CCACHE, kerberos.CCACHE + ".new"):
        try:
            os.unlink(os.path.join(folder, name))
        except OSError:
            pass


def last_pid() -> int:
    """The pid that was given out last on this machine (proc(5), loadavg); 0 when that is not told."""
    try:
        return int(os.pread(_loadavg(), 100, 0).split()[4])
    except (OSError, ValueError, IndexError):
        return 0


@lru_cache(maxsize=1)
def _loadavg() -> int:
    return os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)


def group_left(group: int, spare: int = 0, since: int = 0) -> List[int]:
    """The processes that an ended attempt left in the process group of its wrapper, which is to be spared.

    `since`: the last pid of this machine before the attempt, when that was but a moment ago: pids are given out in turn, so
    only those after it are asked, and a short step costs a few system calls whatever else runs here. 0: all are asked.
    """
    until = last_pid()
    few = since and since <= until <= since + NEAR
    pids = range(since + 1, until + 1) if few else [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if pid != spare and _group_of(pid) == group and _in_group(pid, group)]


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _in_group(pid: int, group: int) -> bool:
    fields = stat_of(pid)
    return bool(fields) and fields[0] not in "ZX" and int(fields[2]) == group


def signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        _send(pid, number)


def _send_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass
