"""Files to and from another host, by OpenSSH's sftp in batch mode. The page of it is in steps/sftp.py."""

from __future__ import annotations

import glob
import hashlib
import os
import posixpath
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Tuple

from runner.clients import BAD_REQUEST, Client, ClientError, openssh

_MAGIC = re.compile(r"[*?\[]")
_LINE = re.compile(r"([-dlbcps])\S{9}\S*\s+\S+\s+\S+\s+\S+\s+(\d+)\s+\S+\s+\S+\s+\S+ (.*)")  # of `ls -ln`
_SYNC = "Local working directory:"
_DIGEST_SECONDS = 3600.0
_NOT_THERE = ("not found", "No such file")


@dataclass
class File:
    """One file on its way. The name of the end that is here, the one there, and what lies beside its place until it is whole."""

    source: str
    target: str
    part: str
    size: int = 0


def main(client: Client) -> int:
    def stop(*_: Any) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(143)

    signal.signal(signal.SIGTERM, stop)
    body = client.body
    host = openssh.Host(client, body)
    transfer = (Put if "put" in body else Get)(client, body, host)
    try:
        transfer.run()
    except BaseException:
        transfer.clear_up()
        raise
    finally:
        transfer.session.close()
    client.hand_on(files=[file.target for file in transfer.done], bytes=sum(file.size for file in transfer.done), skipped=transfer.skipped)
    return 0


class Session:
    """sftp, one command at a time. It begins with the first command."""

    def __init__(self, client: Client, host: openssh.Host):
        self.client, self.host = client, host
        self._process: Optional[subprocess.Popen] = None
        self._errors = tempfile.TemporaryFile()

    def do(self, *words: str, quiet: bool = False) -> Tuple[List[str], str]:
        """What a command printed, and its error; raises ClientError when the link breaks. `quiet`: an error is no trouble."""
        process = self._process or self._begin()
        told = self._errors.seek(0, os.SEEK_END)
        try:
            process.stdin.write(f"-{' '.join(words)}\nlpwd\n".encode("utf-8", "surrogateescape"))
            process.stdin.flush()
        except BrokenPipeError:
            pass
        lines = []
        for line in process.stdout:
            text = _unescaped(line.rstrip(b"\n"))
            if text.startswith(_SYNC):
                break
            if not text.startswith("sftp> "):
                lines.append(text)
        else:
            process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode("utf-8", "replace")
            sys.stderr.write(openssh.clear(said))
            raise self.host.trouble(said)
        self._errors.seek(told)
        error = self._errors.read().decode("utf-8", "replace").strip()
        if error and not quiet:
            print(error, flush=True)
        return lines, error

    def _begin(self) -> subprocess.Popen:
        environ = {**self.client.environ, "LC_ALL": "C.UTF-8"}  # so that names are printed as they are
        words = [*self.host.words("sftp"), "-b", "-", self.host.name]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=environ)
        return self._process

    def close(self) -> None:
        if self._process:
            process, self._process = self._process, None
            try:
                process.stdin.close()
            except BrokenPipeError:
                pass
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()

    # -- what it is asked

    def size(self, path: str) -> Optional[int]:
        """Bytes of a file there, None when there is none. Raises ClientError for a folder, and for what cannot be seen."""
        lines, error = self.do("ls", "-ln", _quoted(path), quiet=True)
        if error:
            if any(words in error for words in _NOT_THERE):
                return None
            raise ClientError(f"{path}: {_reason(error)}")
        for line in lines:
            found = _LINE.fullmatch(line)
            if found and found[3] == path and found[1] != "d":
                return int(found[2])
        raise ClientError(f"{path} is a folder on {self.host.host}", "name a file, or a pattern such as `folder/*`")

    def matches(self, pattern: str) -> List[Tuple[str, int]]:
        """Names and sizes of the files there that fit a pattern."""
        lead = "" if pattern.startswith(("/", "./")) else "./"
        lines, error = self.do("ls", "-ln", _pattern(lead + pattern), quiet=True)
        if error and not any(words in error for words in _NOT_THERE):
            raise ClientError(f"{pattern}: {_reason(error)}")
        parent = posixpath.dirname(lead + pattern)
        found = [_LINE.fullmatch(line) for line in lines]
        whole = [(one[3], int(one[2])) for one in found if one and one[1] != "d" and (parent == "/" or "/" in one[3])]
        return sorted((name[len(lead):] if name.startswith(lead) else name, size) for name, size in whole)

    def rename(self, part: str, path: str, replace: bool) -> None:
        _, error = self.do("rename", _quoted(part), _quoted(path), quiet=True)
        if error and replace:  # servers other than OpenSSH's refuse to rename onto a file
            self.do("rm", _quoted(path), quiet=True)
            _, error = self.do("rename", _quoted(part), _quoted(path), quiet=True)
        if error:
            raise ClientError(f"{path}: cannot get its name: {_reason(error)}", f"look at the folder and its rights on {self.host.host}")

    def digests(self, paths: List[str]) -> Dict[str, Tuple[int, str]]:
        """Sizes and SHA-256 sums of files there, as its shell has them; nothing where the account may run no command."""
        asked = "".join(f"f={shlex.quote(path if path.startswith('/') else './' + path)}\n"
                        'if [ -f "$f" ]; then echo "sum $(wc -c <"$f") $(sha256sum <"$f")"; else echo none; fi\n' for path in paths)
        try:
            done = subprocess.run(self.host.command(), input=f"main() {{\n{asked}:\n}}\nmain\n".encode("utf-8", "surrogateescape"), stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, env=dict(self.client.environ), timeout=_DIGEST_SECONDS)
        except subprocess.TimeoutExpired:
            return {}
        lines = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if re.fullmatch(r"none|sum +\d+ +[0-9a-f]{64}\s.*", line)]
        if len(lines) != len(paths):
            return {}
        return {path: (int(line.split()[1]), line.split()[2]) for path, line in zip(paths, lines) if line != "none"}


class Transfer:
    """Both directions: find, carry under temporary names, compare, give names."""

    def __init__(self, client: Client, body: Mapping[str, Any], host: openssh.Host):
        self.client, self.body, self.host = client, body, host
        self.session = Session(client, host)
        self.on_the_way: List[File] = []
        self.done: List[File] = []
        self.skipped = 0
        self.replace = body.get("if_exists", "replace") == "replace"
        words = "\0".join(client.environ.get(name, "") for name in ("RUNNER_RUN_ID", "RUNNER_STEP"))
        self.mark = hashlib.sha256(words.encode("utf-8", "surrogateescape")).hexdigest()[:8]  # the same in each attempt, another in each run

    def run(self) -> None:
        raise NotImplementedError

    def clear_up(self) -> None:
        raise NotImplementedError

    def part(self, target: str) -> str:
        """The temporary name beside a place."""
        folder, name = posixpath.split(target)
        short = name if len(name.encode("utf-8", "surrogateescape")) < 220 else hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return posixpath.join(folder, f".{short}.{self.mark}.part")

    def target(self, source: str, folder: bool, to: str) -> str:
        return posixpath.join(to, posixpath.basename(source)) if folder else to

    def wanted(self, key: str) -> Tuple[List[str], bool]:
        """The paths and patterns, and whether `to` is a folder."""
        listed = [str(one) for one in self.body[key]]
        for one in [*listed, self.body["to"], self.body.get("done", "")]:
            if "\n" in one or "\0" in one:
                raise ClientError(f"{one!r}: sftp cannot carry a name with a line break", "", BAD_REQUEST)
        return listed, self.body["to"].endswith("/") or len(listed) > 1 or any(map(_MAGIC.search, listed))

    def keep(self, files: List[File], size_of: Callable[[str], Optional[int]]) -> List[File]:
        """Those that are to travel, by `if_exists`. Raises ClientError."""
        names = [file.target for file in files]
        for name in names:
            if names.count(name) > 1:
                raise ClientError(f"two files would be named {name}", "send them to two folders", BAD_REQUEST)
        how = self.body.get("if_exists", "replace")
        there = [file for file in files if how != "replace" and size_of(file.target) is not None]
        if there and how == "fail":
            raise ClientError(f"{there[0].target} is there already, and `if_exists: fail`", "write `if_exists: replace` or `skip`")
        for file in there:
            print(f"{file.target} is there already, skipped")
        self.skipped = len(there)
        return [file for file in files if file not in there]

    def compare(self, files: List[File], there: Callable[[File], str], here: Callable[[File], str], size_there: Callable[[File], int]) -> str:
        """By SHA-256, else by size. How it was compared; raises ClientError."""
        how = self.body.get("checksum", "auto")
        sums = self.session.digests([there(file) for file in files]) if how != "size" and files else {}
        for file in files:
            size, digest = sums.get(there(file), (-1, ""))
            if size != file.size and how == "sha256":
                raise ClientError(f"{self.host.host} does not say the SHA-256 of {there(file)}",
                                  "the account may run no commands there, or sha256sum is missing: `checksum: auto` compares sizes then")
            if size == file.size and digest != _digest(here(file)):
                raise ClientError(f"{file.target} is not what was sent: its SHA-256 is another one", "look at the disks and at who else writes there")
            if size != file.size and size_there(file) != file.size:
                raise ClientError(f"{file.target} is not what was sent: {size_there(file)} bytes instead of {file.size}", "is the disk there full?")
        return "SHA-256" if files and all(sums.get(there(file), (-1,))[0] == file.size for file in files) else "size"

    def tell(self, files: List[File], verb: str, how: str) -> None:
        for file in files:
            print(f"{verb} {file.source} -> {file.target}, {file.size} bytes, {how} compared", flush=True)


class Put(Transfer):
    def run(self) -> None:
        listed, folder = self.wanted("put")
        files = [File(path, self.target(path, folder, self.body["to"]), "") for name in listed for path in self._local(name)]
        files = self.keep(files, self.session.size)
        if self.body.get("mkdir"):
            for one in _ancestors(self.body["to"] if folder else posixpath.dirname(self.body["to"])):
                self.session.do("mkdir", _quoted(one), quiet=True)
        for file in files:
            file.part = self.part(file.target)
            self.on_the_way.append(file)
            self._carry(file)
        how = self.compare(files, lambda file: file.part, lambda file: file.source, lambda file: self.session.size(file.part) or 0)
        for file in files:
            if _size(file.source) != file.size:
                raise ClientError(f"{file.source} changed while it was sent", "let the step that writes it end first")
        for file in files:
            self.session.rename(file.part, file.target, self.replace)
            self.on_the_way.remove(file)
            self.done.append(file)
        self.tell(files, "put", how)
        if "done" in self.body:
            self._mark_done()

    def _local(self, name: str) -> List[str]:
        path = self.client.path(name)
        if os.path.isfile(path):
            return [path]
        found = sorted(one for one in glob.glob(path) if os.path.isfile(one))
        if not found:
            raise ClientError(f"put: {path} {'fits no file' if _MAGIC.search(path) else 'is no file'}", f"type: ls -l {os.path.dirname(path)}", BAD_REQUEST,
                              final=False)  # it may come yet
        return found

    def _carry(self, file: File) -> None:
        file.size = _size(file.source)
        _, error = self.session.do("put", _quoted(file.source), _quoted(file.part), quiet=True)
        if error:
            hint = "`mkdir: true` makes the folder" if any(words in error for words in _NOT_THERE) else f"look at the folder and its rights on {self.host.host}"
            raise ClientError(f"{file.target}: cannot be written: {_reason(error)}", hint)

    def _mark_done(self) -> None:
        empty = os.path.join(self.client.folder, "done")
        open(empty, "wb").close()
        done = File(empty, self.body["done"], self.part(self.body["done"]))
        self.on_the_way.append(done)
        self._carry(done)
        self.session.rename(done.part, done.target, True)
        self.on_the_way.remove(done)
        print(f"made {done.target}", flush=True)

    def clear_up(self) -> None:
        """Take away what lies there under temporary names, as far as the host can be reached."""
        if not self.on_the_way:
            return
        self.session.close()
        again = Session(self.client, self.host)
        try:
            for file in self.on_the_way:
                again.do("rm", _quoted(file.part), quiet=True)
        except ClientError:
            print(f"runner: {', '.join(file.part for file in self.on_the_way)} may be left on {self.host.host}; the next attempt overwrites it", flush=True)
        finally:
            again.close()


class Get(Transfer):
    def run(self) -> None:
        listed, folder = self.wanted("get")
        to = self.client.path(self.body["to"])
        if "done" in self.body and self.session.size(self.body["done"]) is None:
            raise ClientError(f"{self.body['done']} is not there on {self.host.host}: the files are not complete", "`retries:` and `retry_delay:` ask again")
        files = []
        for name in listed:
            for path, size in self._there(name):
                files.append(File(path, self.target(path, folder, to), "", size))
        files = self.keep(files, lambda path: _size(path) if os.path.exists(path) else None)
        parent = to if folder else os.path.dirname(to)
        try:
            if self.body.get("mkdir"):
                os.makedirs(parent, exist_ok=True)
        except OSError as error:
            raise ClientError(f"to: {parent}: {error.strerror}", f"type: ls -ld {os.path.dirname(parent)}", BAD_REQUEST, final=False) from None
        if not os.path.isdir(parent):
            raise ClientError(f"to: {parent} is no folder", "`mkdir: true` makes it", BAD_REQUEST, final=False)
        for file in files:
            file.part = self.part(file.target)
            self.on_the_way.append(file)
            _, error = self.session.do("get", _quoted(file.source), _quoted(file.part), quiet=True)
            if error or not os.path.exists(file.part):
                raise ClientError(f"{file.source}: cannot be fetched: {_reason(error)}", f"look at its rights on {self.host.host}, and at the room left here")
        how = self.compare(files, lambda file: file.source, lambda file: file.part, lambda file: _size(file.part))
        for file in files:
            if self.session.size(file.source) != file.size:
                raise ClientError(f"{file.source} changed while it was fetched", "let the other side make a mark when it is complete, and name it in `done:`")
        for file in files:
            with open(file.part, "rb") as written:
                os.fsync(written.fileno())
            os.replace(file.part, file.target)
            self.on_the_way.remove(file)
            self.done.append(file)
        self.tell(files, "get", how)

    def _there(self, name: str) -> List[Tuple[str, int]]:
        if not _MAGIC.search(name):
            size = self.session.size(name)
            if size is None:
                raise ClientError(f"get: {name} is not there on {self.host.host}")
            return [(name, size)]
        found = self.session.matches(name)
        if not found:
            raise ClientError(f"get: {name} fits no file on {self.host.host}")
        return found

    def clear_up(self) -> None:
        self.session.close()
        for file in self.on_the_way:
            if file.part and os.path.exists(file.part):
                os.unlink(file.part)


def _quoted(path: str) -> str:
    """A path as a word of sftp, taken as it is: in quotes its patterns mean nothing."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pattern(text: str) -> str:
    """A pattern as a word of sftp: all but `*`, `?`, `[` and `]` as it is."""
    return re.sub(r"""([\\"'\s#])""", r"\\\1", text)


def _reason(error: str) -> str:
    """The last words of sftp's message: `dest open "/x": Permission denied` -> `Permission denied`."""
    last = error.splitlines()[-1].strip() if error else "no reason was given"
    return last.rpartition('": ')[2] or last


def _unescaped(line: bytes) -> str:
    """A printed line; `\\ooo` is what sftp prints for bytes that its locale does not know."""
    return re.sub(rb"\\([0-3][0-7]{2})", lambda found: bytes([int(found[1], 8)]), line).decode("utf-8", "surrogateescape")


def _ancestors(folder: str) -> List[str]:
    """a/b/c -> a, a/b, a/b/c."""
    parts = folder.strip("/").split("/")
    lead = "/" if folder.startswith("/") else ""
    return [lead + "/".join(parts[:count]) for count in range(1, len(parts) + 1) if parts[0]]


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError as error:
        raise ClientError(f"{path}: {error.strerror}", f"type: ls -l {path}", BAD_REQUEST, final=False) from None


def _digest(path: str) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            found.update(block)
    return found.hexdigest()
