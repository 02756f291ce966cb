"""Runs beeline, hive or spark-sql on a script and knows which statement it is at: `start.py hive REQUEST.json beeline WORD...`

The client runs the whole script with `-f`, in one JVM and one session, and stops by itself at the first failure. What it says on stderr
after each statement (`3 rows selected`, `Time taken:`) is counted: so the statement that failed is known by its number, without marks
between the statements, which every version would treat in its own way. That counts right only if both mean the same by a statement, and beeline
before Hive 3 ends one at a `;` inside a comment. Hence beeline gets `run.hql`, the statements of `script.hql` without their comments.

Rows come on stdout. beeline writes them with a delimiter that no value holds, between its prompts, and quotes what has line ends.
"""

from __future__ import annotations

import os
import re
import select
import selectors
import signal
import subprocess
from collections import deque
from typing import Any, BinaryIO, Deque, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from runner import sqltext
from runner.clients import BAD_REQUEST, Client, ClientError
from runner.clients.databases import export, listing
from runner.clock import Clock

FED = "run.hql"
NOT_FOUND, NOT_ALLOWED, STOPPED = 127, 126, 143
SHOWN = 20  # rows of a result in the log
SHARE = 0.6  # of kill_grace, for the client to close its session
_BLOCK = 1 << 16
_KEPT = 300  # lines of stderr in which the reason is looked for
_LONGEST = 600  # letters of a reason
_LONGEST_VALUE = 4000
_DELIMITER = "\x1f"
_ROWS = ("--outputformat=dsv", f"--delimiterForDSV={_DELIMITER}")
_UTF8 = "-Dfile.encoding=UTF-8 -Dstdout.encoding=UTF-8 -Dstderr.encoding=UTF-8"
_OPTIONS = ("HADOOP_CLIENT_OPTS", "SPARK_BEELINE_OPTS")  # where Hive's beeline and Spark's look for options of Java

_BEELINE_ENDED = re.compile(r"(?P<rows>\d[\d,]*|No) rows? (?P<what>selected|affected)\b")
_OTHER_ENDED = re.compile(r"Time taken: [\d.,]+ seconds?(, Fetched:? (?P<rows>\d+) row\(s\))?")
_PROMPT = re.compile(rb"(?:\d+: jdbc:[^>\r\n]*> ?|(?:\. )+\.?> ?|beeline> ?|\rnull *\rnull|\r)")
_APPLICATION = re.compile(rb"\b(?:application|job)_(\d{10,}_\d{4,})\b")
_FRAME = re.compile(r"\s+at [\w.$/]+.*\(.*\)$|\s+\.\.\. \d+ more")
_CLASS = re.compile(r"(?:[a-z_]\w*\.)+[A-Z][\w$]*(?:Exception|Error|Fault): ?")
_CONDITION = re.compile(r"\[[A-Z][A-Z_0-9.]+\] ")  # of Spark's errors
_NOISE = ("Error: ", "Error running query: ", "Error in query: ", "Error while compiling statement: ", "Error while processing statement: ")
_TWICE = re.compile(r"(\[[A-Z_0-9.]+\]) (?=\1)")
_STATE = re.compile(r" ?\(state=[^()]*\)$")
_BROKEN = re.compile(r"TTransportException|Unknown HS2 problem|SocketException|Connection reset|Socket closed|Broken pipe|Socket is closed")

_TROUBLES: Sequence[Tuple[str, str, str]] = (  # what is said when there is no connection, what it means, what to do
    ("Error validating the login|Invalid credentials|AuthenticationException", "it refuses the login", "look at `user:` and at the password in `password_file:`"),
    ("GSS initiate failed|No valid credentials|Kerberos", "no Kerberos ticket that it takes", "give the step `kerberos:`; see: runner doctor kerberos"),
    ("UnknownHostException: ([^ (]+)", "there is no host of that name", "look at `url:`"),
    ("Connection refused", "connection refused", "is HiveServer2 up, and is the port in `url:` its own?"),
    ("No route to host|Network is unreachable", "the network does not lead there", "look at `url:`, and ask for the firewall"),
    ("connect timed out|Connection timed out|Read timed out", "no answer in time", "does it hang, or does a firewall swallow what is sent?"),
    ("SSL|PKIX|Invalid status", "TLS or SASL is not spoken the same way", "look at `ssl=`, `auth=` and `principal=` in `url:`"),
    ("No suitable driver|Bad URL format", "this is no address for it", "write url: jdbc:hive2://HOST:10000/DATABASE"),
)


def main(client: Client) -> int:
    return _Session(client).run()


class Ended(NamedTuple):
    """What the client says when a statement is done."""

    rows: Optional[int]  # None: it had no result
    line: str  # in its own words


class _Result:
    def __init__(self, names: Optional[List[str]]):
        self.names = names
        self.count = 0
        self.sample: List[List[Optional[str]]] = []


class _Session:
    """One run of the client."""

    def __init__(self, client: Client):
        self._client, self._clock, body = client, Clock(), client.body
        self._body, self._words = body, list(client.words)
        self._beeline = body["client"] == "beeline"
        self._who = body["client"]
        self._grace = max(1.0, float(body.get("kill_grace", 30)) * SHARE)
        self._statements: List[Tuple[str, sqltext.Statement]] = []  # with the name of their file
        self._exact = True  # whether the number of a statement can be told
        self._read()
        self._parsed = self._beeline and not any(_changes_rows(word) for word in self._words)
        self._file = None
        if "to" in body:
            self._file = export.CsvFile(client.path(body["to"]), export.Layout(body.get("csv") or {}))
        self._shown = body.get("print", 0 if self._file else SHOWN)
        self._environ = _environment(client.environ)
        options = " ".join(self._environ.get(name, "") for name in _OPTIONS)
        self._quote = b'"' if "disable.quoting.for.sv=false" in options else b"\0"
        # what is going on
        self._done = 0  # statements
        self._connected = not self._beeline
        self._events: Deque[Ended] = deque()
        self._result: Optional[_Result] = None
        self._last: Optional[_Result] = None
        self._said: Deque[str] = deque(maxlen=_KEPT)  # on stderr, since the last statement ended
        self._ids: Dict[str, None] = {}
        self._tails = {"out": b"", "err": b""}
        self._prompted = 0  # statements that beeline has asked for
        self._open: Optional[bytes] = None  # a record with a line end in it
        self._child: Optional[subprocess.Popen] = None
        self._until: Optional[float] = None  # of a stop

    # ------------------------------------------------------------------------------------------------ before it starts

    def _read(self) -> None:
        """The statements; what beeline gets of them."""
        texts = [(self._body["source"], self._read_file(os.path.join(self._client.folder, self._body["script"])))]
        if "init" in self._body:
            texts.insert(0, (os.path.basename(self._body["init"]), self._read_file(self._body["init"])))
        try:
            self._statements = [(name, each) for name, text in texts for each in sqltext.split(text, "hive")]
        except sqltext.SqlTextError:  # the client may understand it, and shall say what is wrong with it
            self._exact = False
        if self._exact and not self._statements:
            raise ClientError(f"{self._body['source']} holds no statement", "write SQL, or use `noop:`", BAD_REQUEST)
        if not self._beeline:
            return
        fed = "".join(_fed(each) for _, each in self._statements) if self._exact else "\n".join(text for _, text in texts)
        path = os.path.join(self._client.folder, FED)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(fed)
        self._words[-1] = path
        self._fed_lines = {line.strip() for line in fed.splitlines()}

    @staticmethod
    def _read_file(path: str) -> str:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except OSError as error:
            raise ClientError(f"{path}: {error.strerror}", f"type: ls -l {path}", BAD_REQUEST, final=False) from None

    # --------------------------------------------------------------------------------------------------------- running

    def run(self) -> int:
        done = False
        try:
            if self._file:
                if not self._parsed:
                    raise ClientError("`to:` does not go with `--outputformat`, `--silent` or `--showHeader` in `args:`", "leave those out", BAD_REQUEST)
                self._file.open()
            code = self._follow()
            done = code == 0
            self._judge(code)
            self._publish()
            return 0
        finally:
            if self._file and not done:
                self._file.discard()
            self._hand_on(done)

    def _follow(self) -> int:
        """Start the client, copy and read what it says. Its exit code; raises ClientError when it was stopped."""
        wake, waker = os.pipe()
        for end in (wake, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        words = [self._words[0], *_ROWS, *self._words[1:]] if self._parsed else self._words
        child = self._child = self._start(words)
        if self._connected:
            self._begin()
        with selectors.DefaultSelector() as watched:
            watched.register(wake, selectors.EVENT_READ, None)
            for name, pipe in (("out", child.stdout), ("err", child.stderr)):
                os.set_blocking(pipe.fileno(), False)
                watched.register(pipe, selectors.EVENT_READ, name)
            while len(watched.get_map()) > 1:
                left = None if self._until is None else max(0.0, self._until - self._clock.monotonic())
                ready = {key.data: key.fileobj for key, _ in watched.select(left)}
                if None in ready:
                    os.read(wake, 64)
                    if self._until is None:
                        self._until = self._clock.monotonic() + self._grace
                        child.terminate()  # its whole group has it already, unless somebody sent it to this process only
                if self._until is not None and self._clock.monotonic() >= self._until:
                    child.kill()
                    break
                # What was said on stderr before a piece of stdout was written is there when that piece is: so it is read first.
                piece = _take(ready["out"]) if "out" in ready else None
                if not child.stderr.closed:
                    self._drain(watched, "err", child.stderr, _take(child.stderr))
                if "out" in ready:
                    self._drain(watched, "out", child.stdout, piece)
                elif self._events and not _readable(child.stdout):
                    self._settle(headless=True)
        code = child.wait()
        for name in self._tails:
            if self._tails[name]:
                self._heard(name, b"\n")
        self._settle(final=True)
        if self._until is not None:
            raise self._stopped(code)
        return code if code >= 0 else 128 - code

    def _drain(self, watched: selectors.BaseSelector, name: str, pipe: BinaryIO, data: Optional[bytes]) -> None:
        """Read on from `data` until there is no more now, or at all. Of stdout only that piece: there is more to be read on stderr first."""
        while data:
            self._heard(name, data)
            data = _take(pipe) if name == "err" else None
        if data is not None:
            watched.unregister(pipe)
            pipe.close()

    def _start(self, words: Sequence[str]) -> subprocess.Popen:
        try:
            return subprocess.Popen(words, env=self._environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        except FileNotFoundError:
            raise ClientError(f"{words[0]}: there is no such command", "name it with its path in `binary:`, or put its folder on the PATH in `env:`",
                              NOT_FOUND) from None
        except OSError as error:
            raise ClientError(f"{words[0]}: {error.strerror}", f"type: ls -l {words[0]}", NOT_ALLOWED) from None

    def _heard(self, name: str, data: bytes) -> None:
        for found in _APPLICATION.findall(data):
            self._ids["application_" + found.decode()] = None
        lines = (self._tails[name] + data).split(b"\n")
        self._tails[name] = lines.pop()
        for line in lines:
            if name == "err":
                self._talk(line.decode("utf-8", "surrogateescape").rstrip("\r"))
            else:
                self._line(line)

    # ------------------------------------------------------------------------------------------------- what it says

    def _talk(self, line: str) -> None:
        ended = (_BEELINE_ENDED if self._beeline else _OTHER_ENDED).match(line)
        if not ended:
            self._said.append(line)
            print(line)
            if line.startswith("Connected to:"):
                self._connected = True
                self._begin()
            return
        rows = ended["rows"]
        if self._beeline and ended["what"] == "affected":
            self._events.append(Ended(None, line))
        else:
            self._events.append(Ended(None if rows is None else int(rows.replace(",", "")) if rows != "No" else 0, line))
        self._settle()

    def _line(self, line: bytes) -> None:
        """A line of stdout."""
        if not self._parsed:
            print(_PROMPT.sub(b"", line).decode("utf-8", "surrogateescape") if self._beeline else line.decode("utf-8", "surrogateescape"))
            if not self._beeline:
                self._row([cell.decode("utf-8", "surrogateescape") for cell in line.split(b"\t")])
            return
        if self._result is None and self._open is None:
            self._header(line)
            return
        if self._open is not None:
            line = self._open + b"\n" + line
        if line.count(self._quote) % 2:
            self._open = line
            return
        self._open = None
        if self._result is None:  # a header with a line end
            self._result = _Result(self._names(line))
        else:
            self._row([None if cell == "NULL" else cell for cell in _cells(line, self._quote)])

    def _header(self, line: bytes) -> None:
        """The first line of a result, behind prompts; or only prompts; or the statement, where a beeline repeats it."""
        prompts = 0
        found = _PROMPT.match(line)
        while found:
            prompts += 1
            self._prompted += not found.group().startswith((b".", b"\r"))
            line = line[found.end():]
            found = _PROMPT.match(line)
        text = line.decode("utf-8", "surrogateescape").strip()
        if not text or (prompts and text in self._fed_lines and _DELIMITER not in text and (prompts == 1 or text.endswith(";"))):
            return
        while self._exact and self._events and not self._events[0].rows and self._done + 1 < self._prompted:
            self._settle(headless=True)  # those before had no result, not even a header
        if line.count(self._quote) % 2:
            self._open = line
            return
        self._result = _Result(self._names(line))

    def _names(self, line: bytes) -> List[str]:
        names = [cell or "" for cell in _cells(line, self._quote)]
        if self._file:
            self._file.begin(names)
        return names

    def _row(self, cells: List[Optional[str]]) -> None:
        if self._result is None:
            self._result = _Result(None)
        result = self._result
        result.count += 1
        if result.count <= max(self._shown, 1):
            result.sample.append(cells)
        if self._file and self._parsed:
            self._file.row(cells)
        self._settle()

    def _settle(self, final: bool = False, headless: bool = False) -> None:
        """Statements whose rows are all here are over. `headless`: the first of them will have no more on stdout than it has."""
        while self._events:
            rows, result = self._events[0].rows, self._result
            if rows is not None and not final and self._parsed and (result is None or result.count < rows) and not (headless and not rows):
                return  # the rest is still on its way
            headless = False
            line = self._events.popleft().line
            if rows is not None or not self._parsed:
                self._over(rows, result)
                self._result = None
            self._ended(line)

    def _over(self, rows: Optional[int], result: Optional[_Result]) -> None:
        if rows is None:
            return
        last = self._last = result or _Result(None)
        last.count = rows
        if self._parsed and self._shown and last.names and not (last.names == ["Result"] and not rows):  # Spark's answer to a CREATE
            whole = [all(re.fullmatch(r"-?\d+(\.\d+)?", row[at] or "0") for row in last.sample if at < len(row)) for at in range(len(last.names))]
            shown = [row for row in last.sample[:self._shown] if len(row) == len(last.names)]
            print("\n".join(listing.table(last.names, whole, shown)))
            if rows > len(shown):
                print(f"  ... and {rows - len(shown)} more")

    def _ended(self, line: str) -> None:
        self._said.clear()
        print(f"  {line}")
        if self._done < len(self._statements):
            self._skip_commands()
            if self._done < len(self._statements) and self._statements[self._done][1].words[:1] == ("SOURCE",):
                self._exact = False  # it ran other statements, how many is not known
            self._done += 1
        if self._done < len(self._statements):
            self._begin()

    def _skip_commands(self) -> None:
        """beeline's own commands end without a word."""
        while self._done < len(self._statements) and self._statements[self._done][1].text.startswith("!"):
            self._done += 1

    def _begin(self) -> None:
        at = self._at()
        if at:
            print(f"[{self._done + 1}/{len(self._statements)}] {_short(sqltext.bare(at[1].text, 'hive'))}")

    def _at(self) -> Optional[Tuple[str, sqltext.Statement]]:
        """The statement that runs."""
        if not self._exact:
            return None
        self._skip_commands()
        return self._statements[self._done] if self._done < len(self._statements) else None

    # ----------------------------------------------------------------------------------------------------- how it ended

    def _judge(self, code: int) -> None:
        """Raises ClientError unless all is good."""
        if code == 0:
            left = self._at()
            if not (self._beeline and self._exact and self._done and left) or any(_may_end(each) for _, each in self._statements):
                return
            raise ClientError(f"{self._who} ended with 0 before {self._place(left)}", "what it said is above")
        said = list(self._said)
        why, statement = reason(said), self._at() if self._connected else None
        if code > 128 and not why.startswith("Error"):
            place = f" in {self._place(statement)}" if statement else ""
            raise ClientError(f"{self._who} was ended by {_signal(code - 128)}{place}", "somebody ended it, or the memory of this server ran out: dmesg says", code)
        if not self._connected:
            raise self._no_connection(said, why, code)
        if statement:
            self._show(statement[1])
        place = f"{self._place(statement)}: " if statement else ""
        if _BROKEN.search(why):
            raise ClientError(f"{place}the connection to the server broke: {why}", "did it end or restart, or did the network break? its log says", code)
        raise ClientError(f"{place}{why or f'{self._who} ended with {code} and gave no reason'}", "", code)

    def _place(self, at: Tuple[str, sqltext.Statement]) -> str:
        name, statement = at
        return f"statement {self._done + 1} of {len(self._statements)}, line {statement.line} of {name}"

    def _show(self, statement: sqltext.Statement) -> None:
        lines = statement.text.split("\n")
        for index, line in enumerate(lines[:5]):
            print(f"  {statement.line + index:>5} | {line[:200]}")
        if len(lines) > 5:
            print("        | ...")

    def _no_connection(self, said: List[str], why: str, code: int) -> ClientError:
        address = _address(self._words)
        text = "\n".join(said)
        for pattern, means, hint in _TROUBLES:
            if re.search(pattern, text):
                return ClientError(f"{address}: {means}", hint, code)
        return ClientError(f"{address}: {why or 'no connection'}", "", code)

    def _stopped(self, code: int) -> ClientError:
        at = self._at() if self._connected else None
        place = f" in {self._place(at)}" if at else ""
        if code == -signal.SIGKILL:
            return ClientError(f"stopped{place}: {self._who} did not close its session within {self._grace:g} s and was killed; the server ends what "
                               "runs when it sees the broken connection", code=STOPPED)
        if not self._connected:
            return ClientError("stopped before there was a session", code=STOPPED)
        return ClientError(f"stopped{place}: {self._who} closed its session, which ends its query on the server", code=STOPPED)

    def _publish(self) -> None:
        if not self._file:
            return
        if not self._file.begun:
            self._file.discard()
            raise ClientError(f"no statement gave rows, so there is nothing to write to {self._body['to']}", "end with a SELECT, or leave `to:` out")
        self._file.finish()
        self._file.publish()
        rows = self._last.count if self._last else 0
        print(f"written: {self._file.path}, {rows} {'row' if rows == 1 else 'rows'}, {self._file.bytes} bytes")

    def _hand_on(self, done: bool) -> None:
        outputs: Dict[str, Any] = {}
        if self._ids:
            outputs["application_ids"] = list(self._ids)
            outputs["application_id"] = outputs["application_ids"][-1]
        if done and self._last:
            outputs["rows"] = self._last.count
            if self._last.count and self._last.sample:
                outputs["value"] = _value(self._last.sample[0][0])
        if done and self._file:
            outputs["file"] = self._file.path
        if outputs:
            self._client.hand_on(**outputs)


# ------------------------------------------------------------------------------------------------------------ the pieces


def _take(pipe: BinaryIO) -> Optional[bytes]:
    """What is there; nothing at its end, None when there is nothing yet."""
    try:
        return os.read(pipe.fileno(), _BLOCK)
    except BlockingIOError:
        return None


def _readable(pipe: BinaryIO) -> bool:
    return not pipe.closed and bool(select.select([pipe], [], [], 0)[0])


def _fed(statement: sqltext.Statement) -> str:
    if statement.text.startswith("!"):
        return statement.text + "\n"
    return sqltext.bare(statement.text, "hive").strip() + ";\n"


def _may_end(statement: sqltext.Statement) -> bool:
    """Whether it may rightly be the last, or one that nothing is said of."""
    return statement.text.startswith("!") or statement.words[:1] in (("QUIT",), ("EXIT",))


def _changes_rows(word: str) -> bool:
    name, _, value = word.partition("=")
    return name in ("--outputformat", "--showHeader") or (name == "--silent" and value != "false")


def _environment(environ: Mapping[str, str]) -> Dict[str, str]:
    """Java speaks UTF-8, whatever the locale."""
    out = dict(environ)
    for name in _OPTIONS:
        if "-Dfile.encoding" not in out.get(name, ""):
            out[name] = f"{out.get(name, '')} {_UTF8}".strip()
    return out


def _cells(line: bytes, quote: bytes) -> List[str]:
    text = line.decode("utf-8", "surrogateescape")
    if quote not in line:
        return text.split(_DELIMITER)
    return [cell for cell in _quoted(text, quote.decode())]


def _quoted(text: str, quote: str) -> Iterator[str]:
    """Cells of which some stand between quotes, with quotes in them doubled."""
    at = 0
    while True:
        if text.startswith(quote, at):
            end = at + 1
            while True:
                end = text.find(quote, end)
                if end < 0:
                    end = len(text)
                    break
                if text.startswith(quote * 2, end):
                    end += 2
                    continue
                break
            yield text[at + 1:end].replace(quote * 2, quote)
            at = end + 1
        else:
            end = text.find(_DELIMITER, at)
            end = len(text) if end < 0 else end
            yield text[at:end]
            at = end
        if not text.startswith(_DELIMITER, at):
            return
        at += 1


def reason(said: Sequence[str]) -> str:
    """The one line of what a client said that tells what is wrong."""
    lines = [line for line in said if line.strip() and not _FRAME.match(line) and not line.startswith(("INFO ", "WARN ", "Closing: "))]
    starts = [at for at, line in enumerate(lines) if line.startswith(("Error: ", "FAILED: ", "Error in query")) or _CLASS.match(line) or _CONDITION.match(line)]
    if not starts:
        return lines[-1].strip()[:_LONGEST] if lines else ""
    text = ""
    for line in lines[starts[0]:starts[0] + 4]:
        if line.startswith(("== SQL ==", "Caused by", "Closing:")) or (text and line.startswith(("+-", "'", "Time taken"))):
            break
        text = f"{text} {_clean(line)}".strip()
        if len(text) > 40 and not text.endswith(":"):
            break
    return _TWICE.sub("", text)[:_LONGEST]


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _clean(line: str) -> str:
    text = _STATE.sub("", line.strip())
    while True:
        before = text
        for noise in _NOISE:
            if text.startswith(noise):
                text = text[len(noise):]
        text = _CLASS.sub("", text)
        if text == before:
            return text


def _address(words: Sequence[str]) -> str:
    """HOST:PORT of the URL in the command."""
    for word, following in zip(words, words[1:]):
        if word == "-u":
            found = re.match(r"jdbc:hive2://([^/;?]+)", following)
            return found[1] if found else following.partition(";")[0]
    return "the server"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else line[:99] + "…"


def _value(text: Optional[str]) -> Any:
    if text is not None and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    return text if text is None else text[:_LONGEST_VALUE]
