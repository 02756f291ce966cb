"""The midnight linter: where a step asks the machine's clock for a date that the run already knows.

`date +%F` in a run of the 20th that crosses midnight, or is rerun on the 25th, gives another day than the run's. Found are such
reads in bash, Python and SQL; a log's time stamp (`echo "$(date) start"`) is none. `# runner: clock-ok` on a line silences it.
A warning, not a proof: what a text's shape shows, in one pass over it.
"""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

MESSAGE = "asks the server's clock for a date: after midnight, or in a rerun, that is another day than the run's"
_SILENCE = " (or, when the clock is meant: a comment `runner: clock-ok` on this line)"
HINTS = {
    "bash": "write << ds >> or $RUNNER_DS, or give date a base: date -d \"$RUNNER_DS -1 day\" +%F" + _SILENCE,
    "python": "write os.environ[\"RUNNER_DS\"]" + _SILENCE,
    "sql": "write '<< ds >>' or '${hivevar:ds}'" + _SILENCE,
}
PLAIN_HINTS = {  # for a text that is no template
    **HINTS,
    "bash": HINTS["bash"].replace("<< ds >> or ", ""),
    "sql": "write '${hivevar:ds}', and give the client the hivevar ds" + _SILENCE,
}


@dataclass(frozen=True)
class ClockRead:
    """One place; line and column count from 1 inside the text."""

    line: int
    column: int
    message: str
    hint: str


_TRIGGERS = {
    "bash": re.compile(r"date|\)T|strftime|now|today|current_|localtime|unix_timestamp", re.I),
    "python": re.compile(
        r"now|fromtimestamp|today|yesterday|tomorrow|strftime|localtime|gmtime|current_|sysdate|getdate|curdate|unix_timestamp", re.I
    ),
    "sql": re.compile(r"current_|now|date\s*\(|sysdate|today|localtime|unix_timestamp", re.I),
}
_COMMENT = re.compile(r"#|--|/\*")
_OK = re.compile(r"\brunner:[ \t]{0,9}clock-ok\b")


def find_clock_reads(text: str, language: str, templated: bool = True) -> List[ClockRead]:
    """Where a text asks the clock for a date. `language`: bash | python | sql | hql; anything else finds nothing.

    `templated`: whether << ds >> in it would be filled in; the hint says so.
    """
    language = "sql" if language == "hql" else language
    trigger = _TRIGGERS.get(language)
    if trigger is None or trigger.search(text) is None:
        return []
    starts = _line_starts(text)
    out = []
    seen, silent = -1, False
    for offset in sorted(set(_FINDERS[language](text, starts))):
        row = bisect_right(starts, offset) - 1
        if row != seen:
            end = starts[row + 1] if row + 1 < len(starts) else len(text)
            comment = _COMMENT.search(text, starts[row], end)
            seen, silent = row, bool(comment and _OK.search(text, comment.end(), end))
        if not silent:
            out.append(ClockRead(row + 1, offset - starts[row] + 1, MESSAGE, (HINTS if templated else PLAIN_HINTS)[language]))
    return out


def _line_starts(text: str) -> List[int]:
    return [0] + [match.end() for match in re.finditer("\n", text)]


# Directives of strftime that say a day, not a time of day nor an epoch.
_DIRECTIVE = re.compile(r"%(?:%|[-_0^#+]*\d*[EO]?([A-Za-z]))")
_OF_DAY, _OF_TIME = frozenset("YyCGgmbBhdejaAuwUVWDFxc"), frozenset("HIklMSNTRrXpPcsz")


def _holds(layout: str, letters: Iterable[str]) -> bool:
    return any(match.group(1) in letters for match in _DIRECTIVE.finditer(layout) if match.group(1))


# ---------------------------------------------------------------------------------------------------------------- bash

_PLAIN = re.compile(r"[^\s'\"\\$`#;&|()<>]+")
_QUOTED = re.compile(r"[^\"\\$`]+")
_BLANK_TEMPLATE = re.compile(r"<<[ \t]+(?![A-Z_]+[ \t])[^\n<>]*?[ \t]>>")
_HEREDOC = re.compile(r"<<(-?)[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|(\\?)([\w.!-]+))")
_RUN_DEFAULT = re.compile(r"\$\{RUNNER_\w+:?[-=]\"?\Z")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=")
_SKIPPED = frozenset("if then else elif do while until ! time { exec sudo command env nohup builtin".split())
_PRINTERS = re.compile(r"echo|printf|print|logger|logging|msg|say|notice|(?:\w+_)?(?:log|info|warn|warning|error|debug|die|fail|fatal)(?:_\w+)?")
_SQL_CLIENTS = frozenset("hive beeline spark-sql psql mysql mariadb impala-shell presto trino clickhouse-client".split())
_SQL_OPTION = re.compile(r"(?:-[A-Za-z]*[ecq]|--(?:execute|command|query))(?:=(.*))?", re.S)
_PYTHON = re.compile(r"python[\d.]*|pypy\d*")
_LOG_ENDS = frozenset({"tee", "logger", "cat", "sed", "systemd-cat", "wall"})
_LOG_SUFFIXES = (".log", ".log.gz")
_LOG_NAME = re.compile(r"(?:(?:RUN|JOB|STEP|BATCH|ERR|ERROR|OUT|MY)_?)?LOG_?(?:F|FILE|PATH|NAME|OUT)?=", re.I)  # not ACCESS_LOG, which is read
_BASE_DATE = re.compile(r"\$|\A\s*@|\d{4}-?\d\d-?\d\d|\d{1,2}/\d{1,2}/\d{2,4}")
_CLOCK_BASE = re.compile(r"EPOCH(?:SECONDS|REALTIME)")  # bash's own clock: a base, but not the run's
_DATE_FLAG = re.compile(r"(?:-[uR]*d|--date=)(.*)", re.S)
_PRINTF_TIME = re.compile(r"%[-0-9]*\(([^()]*)\)T")
_STRFTIME = re.compile(r"\bstrftime\(\s*(?:\"([^\"\n]*)\"\s*(?:,\s*systime\(\)\s*)?)?\)")


class _Word(NamedTuple):
    """A word of a command."""

    text: str
    start: int
    pieces: List[Tuple[str, int]]  # what it is put together from, with the place of each in the whole text

    def places(self, indexes: Iterable[int]) -> Iterator[int]:
        """Where in the whole text these letters of the word stand."""
        at, before = 0, 0  # the piece, and the letters in front of it
        for index in sorted(indexes):
            while index >= before + len(self.pieces[at][0]) and at + 1 < len(self.pieces):
                before += len(self.pieces[at][0])
                at += 1
            yield self.pieces[at][1] + index - before


@dataclass
class _Frame:
    """One level of a shell text: the top, or the inside of $(..), `..` or (..); with the command that is being read."""

    kind: str
    quoted: bool = False  # inside "
    words: List[_Word] = field(default_factory=list)
    targets: List[str] = field(default_factory=list)  # of redirections
    inner: List[Tuple[int, bool]] = field(default_factory=list)  # reads in substitutions of this command; whether surely used
    piped: List[int] = field(default_factory=list)  # reads whose text an echo sends into the next command of the pipe
    current: Optional[List[Tuple[str, int]]] = None
    start: int = 0
    before: int = 0  # how many of `inner` stand in front of the word that is being read
    redirect: bool = False
    fallback: bool = False  # inside ${RUNNER_DS:-..}: never run
    captured: bool = False  # what is printed here becomes text of a command
    command: bool = False  # the words hold more than assignments

    def add(self, piece: str, offset: int, behind: int = 0) -> None:
        """A piece of the word that is being read; it stands `behind` letters after the quote or backslash at `offset`."""
        if self.current is None:
            self.current, self.start, self.before = [], offset, len(self.inner)
        self.current.append((piece, offset + behind))

    def end_word(self) -> None:
        if self.current is not None:
            word, pieces = "".join(piece for piece, _ in self.current), self.current
            self.current = None
            if word.endswith(_LOG_SUFFIXES) and (self.redirect or _LOG_NAME.match(word) or self.words and self.words[0].text == "tee"):
                del self.inner[self.before :]  # the name of a log
            if self.redirect:
                self.targets.append(word)
            else:
                self.words.append(_Word(word, self.start, pieces))
                self.command = self.command or not (word in _SKIPPED or _ASSIGNMENT.match(word))
            self.redirect = False


def _bash(text: str, _: List[int]) -> Iterator[int]:
    # A template is a value of the run, as a variable is: $_____ of the same length.
    text = _BLANK_TEMPLATE.sub(lambda match: "$" + "_" * (len(match.group()) - 1), text)
    lines: Dict[str, List[int]] = {}
    offset = 0
    for line in text.split("\n"):
        lines.setdefault(line.lstrip("\t").rstrip("\r"), []).append(offset)
        offset += len(line) + 1
    found: List[int] = []
    regions = [(0, len(text), False)]
    while regions:
        start, end, body = regions.pop()
        _shell(text, start, end, body, lines, found, regions)
    return iter(found)


def _shell(text: str, pos: int, end: int, body: bool, lines, found: List[int], regions) -> None:
    """Reads text[pos:end]; `body`: of a here-document, where only substitutions count. New bodies go to `regions`."""
    stack = [_Frame("body" if body else "top", quoted=body)]
    heredocs: List[Tuple[str, bool]] = []
    while pos < end:
        frame, letter = stack[-1], text[pos]
        if letter == "\\":
            if text[pos + 1 : pos + 2] != "\n":
                frame.add(text[pos + 1 : pos + 2], pos, 1)
            pos += 2
        elif letter == "$" and text.startswith("$(", pos):
            frame.add("$", pos)
            stack.append(_Frame("$(", captured=True, fallback=frame.fallback or _is_default(text, pos)))
            pos += 2
        elif letter == "`":
            pos += 1
            if any(each.kind == "`" for each in stack[-3:]):
                while stack[-1].kind != "`":
                    _pop(stack, found)
                _pop(stack, found)
            else:
                frame.add("$", pos - 1)
                stack.append(_Frame("`", captured=True, fallback=frame.fallback or _is_default(text, pos - 1)))
        elif letter == '"' and frame.kind != "body":
            frame.quoted = not frame.quoted
            frame.add("", pos)
            pos += 1
        elif frame.quoted:
            match = _QUOTED.match(text, pos, end)
            frame.add(match.group() if match else letter, pos)
            pos = match.end() if match else pos + 1
        elif letter == "'":
            close = text.find("'", pos + 1, end)
            close = end if close < 0 else close
            frame.add(text[pos + 1 : close], pos, 1)
            pos = close + 1
        elif letter == "#" and frame.current is None:
            close = text.find("\n", pos, end)
            pos = end if close < 0 else close
        elif letter == "\n":
            _end_command(stack, found)
            pos += 1
            for word, literal in heredocs:
                ends = lines.get(word, [])
                at = bisect_left(ends, pos)
                if at < len(ends) and ends[at] < end:
                    if not literal:
                        regions.append((pos, ends[at], True))
                    pos = min(end, ends[at])
                    close = text.find("\n", pos, end)
                    pos = end if close < 0 else close
            heredocs = []
        elif letter in " \t\r":
            frame.end_word()
            pos += 1
        elif letter in ";&|":
            if letter == "&" and (text[pos - 1 : pos] in ("<", ">") or text[pos + 1 : pos + 2] == ">"):
                pos += 1  # 2>&1, &>
                continue
            double = text[pos + 1 : pos + 2] == letter
            _end_command(stack, found, pipe=letter == "|" and not double)
            pos += 2 if double else 1
        elif letter == "(":
            frame.end_word()
            stack.append(_Frame("(", captured=frame.captured, fallback=frame.fallback))
            pos += 1
        elif letter == ")":
            if len(stack) > 1 and frame.kind in ("(", "$("):
                _pop(stack, found)
                if frame.kind == "(" and text[pos - 1] == "(" and not (stack[-1].words and stack[-1].words[-1].text.endswith("=")):
                    stack[-1].words.clear()  # name() { ..: a function begins
            else:
                _end_command(stack, found)
            pos += 1
        elif letter in "<>":
            match = _HEREDOC.match(text, pos) if letter == "<" and not text.startswith("<<<", pos) else None
            frame.end_word()
            if match:
                word = match.group(2) or match.group(3) or match.group(5)
                heredocs.append((word, match.group(5) is None or bool(match.group(4))))
                pos = match.end()
                continue
            while pos < end and text[pos] in "<>":
                pos += 1
            frame.redirect = letter == ">"
        else:
            match = _PLAIN.match(text, pos, end)
            frame.add(match.group() if match else letter, pos)
            pos = match.end() if match else pos + 1
    while stack:
        _pop(stack, found)


def _is_default(text: str, pos: int) -> bool:
    """Whether what begins here stands behind ${RUNNER_DS:-"""
    return bool(_RUN_DEFAULT.search(text[max(0, pos - 60) : pos]))


def _pop(stack: List[_Frame], found: List[int]) -> None:
    _end_command(stack, found)
    stack.pop()


def _end_command(stack: List[_Frame], found: List[int], pipe: bool = False) -> None:
    """Judges the command that ends here; its reads count at once, or wait for what the command around them does."""
    frame = stack[-1]
    frame.end_word()
    words, inner, piped, targets = frame.words, frame.inner, frame.piped, frame.targets
    frame.words, frame.inner, frame.piped, frame.targets, frame.redirect = [], [], [], [], False
    frame.command = False
    at = 0
    while at < len(words) and (words[at].text in _SKIPPED or _ASSIGNMENT.match(words[at].text)):
        at += 1
    name = words[at].text.rpartition("/")[2] if at < len(words) else ""
    captured = frame.captured
    reads = [] if name in _LOG_ENDS else list(piped)
    if inner:
        prints = _PRINTERS.fullmatch(name) and not captured and (len(words) < at + 2 or words[at + 1].text != "-v")
        handed_on = any("RUNNER_OUTPUT" in target for target in targets)
        for offset, sure in inner:
            if sure or handed_on or not prints:
                reads.append(offset)
            elif pipe:
                frame.piped.append(offset)
    used = captured or pipe or bool(targets)
    own = _own_read(name, words[at:], used)
    if own is not None:
        reads.append(own)
    if not _PRINTERS.fullmatch(name):
        reads.extend(_handed_over(words[at:], used))
    if not reads or frame.fallback:
        return
    around = stack[-2] if len(stack) > 1 else None
    if around is None or frame.kind == "body":
        found.extend(reads)
    elif frame.kind == "(":
        found.extend(reads)
    else:
        sure = around.redirect or not around.command and bool(around.current and _ASSIGNMENT.match(around.current[0][0]))
        around.inner.extend((offset, sure) for offset in reads)


def _own_read(name: str, words: List[_Word], used: bool) -> Optional[int]:
    """Offset of the command's own look at the clock. `used`: its text goes elsewhere than to the log."""
    if name in ("date", "gdate"):
        return words[0].start if _date_reads([word.text for word in words[1:]], used) else None
    if name == "printf":
        texts = [word.text for word in words[1:]]
        if texts[:1] == ["-v"]:
            texts, used = texts[2:], True
        match = _PRINTF_TIME.search(texts[0]) if texts else None
        if match and _holds(match.group(1), _OF_DAY) and (len(texts) < 2 or texts[1] in ("-1", "-2") or _CLOCK_BASE.search(texts[1])):
            return words[0].start if used or not _holds(match.group(1), _OF_TIME) else None
    if name in ("awk", "gawk", "mawk", "nawk"):
        for word in words[1:]:
            for match in _STRFTIME.finditer(word.text):
                if match.group(1) is None or _holds(match.group(1), _OF_DAY):
                    return word.start
    return None


def _handed_over(words: List[_Word], used: bool) -> Iterator[int]:
    """Clock reads in the SQL of `hive -e ".."` and the Python of `python -c ".."`, also behind `timeout 1h` or `sudo -u x`."""
    for at, word in enumerate(words):
        name = word.text.rpartition("/")[2]
        if name in _SQL_CLIENTS:
            yield from _sql_options(words[at + 1 :])
            return
        if _PYTHON.fullmatch(name):
            given = next((n for n in range(at + 1, len(words)) if words[n].text == "-c" or not words[n].text.startswith("-")), len(words))
            if given + 1 < len(words) and words[given].text == "-c":
                code = words[given + 1]
                yield from code.places(_python(code.text, _line_starts(code.text), used))
            return


def _sql_options(words: List[_Word]) -> Iterator[int]:
    for at, word in enumerate(words):
        match = _SQL_OPTION.fullmatch(word.text)
        if match and match.group(1) is not None:  # --execute="select .."
            yield from word.places(match.start(1) + each for each in _sql(match.group(1), []))
        elif match and at + 1 < len(words):
            yield from words[at + 1].places(_sql(words[at + 1].text, []))


def _date_reads(args: List[str], used: bool) -> bool:
    base: Optional[str] = None
    layout: Optional[str] = None
    at = 0
    while at < len(args):
        arg = args[at]
        match = _DATE_FLAG.fullmatch(arg)
        if match:
            base = match.group(1)
            if not base and not arg.startswith("--"):
                at += 1
                base = args[at] if at < len(args) else ""
        elif arg == "--date":
            at += 1
            base = args[at] if at < len(args) else ""
        elif arg.startswith(("-r", "--ref", "-f", "--file", "-s", "--set", "-j")):
            return False
        elif arg.startswith("+"):
            layout = arg[1:]
        elif arg.startswith(("-I", "--iso-8601", "--rfc-3339")):
            layout = "%F %T" if len(arg) > 2 and not arg.endswith("date") and arg != "--iso-8601" else "%F"
        at += 1
    if base is not None:
        return (not _BASE_DATE.search(base) or bool(_CLOCK_BASE.search(base))) and (layout is None or _holds(layout, _OF_DAY))
    # A bare `date '+%F %T'` is a line for the log.
    return layout is not None and _holds(layout, _OF_DAY) and (used or not _holds(layout, _OF_TIME))


# -------------------------------------------------------------------------------------------------------------- python

_TEMPLATE = re.compile(r"<<[ \t][^\n<>]*?[ \t]>>")
_BLOCK = re.compile(r"<%[^\n]*?%>")
_ALIASES = {"pd": "pandas", "dt": "datetime", "F": "functions", "fn": "functions", "sf": "functions"}
_CALLS = {
    "localtime": ("time",), "gmtime": ("time",), "strftime": ("time",), "to_datetime": ("pandas",), "Timestamp": ("pandas",),
    "current_date": ("functions", ""), "current_timestamp": ("functions", ""),
}  # fmt: skip
_OWNERS = {
    "datetime": ("now", "utcnow", "today"), "date": ("today",), "Timestamp": ("now", "today", "utcnow"),
    "arrow": ("now", "utcnow"), "pendulum": ("now", "today", "yesterday", "tomorrow"),
}  # fmt: skip
_LOG_CALLS = frozenset("debug info warning warn error exception critical log fatal".split())
_TEXTS = frozenset("str repr format strftime isoformat join ctime".split())
_OF_SECONDS = frozenset("fromtimestamp utcfromtimestamp localtime gmtime".split())
_SPANS = frozenset("timedelta relativedelta Timedelta DateOffset BDay".split())
_NOT_A_DAY = frozenset("timestamp time hour minute second microsecond".split())
_HEIGHT = 100  # how far up an expression is looked
_LOOSE = re.compile(
    r"\b(?:datetime|date|dt|Timestamp)\.(?:now|utcnow|today)\(|\btime\.(?:localtime|gmtime)\(\s*\)|\btime\.strftime\(\s*['\"][^'\",\n]*['\"]\s*\)"
    r"|\bto_datetime\(\s*['\"](?:today|now)['\"]|\b(?:arrow|pendulum)\.(?:now|utcnow|today)\(|\bcurrent_(?:date|timestamp)\(\s*\)"
)
_LOOSE_LOG = re.compile(r"\s*(?:print\b|(?:logging|logger|log|LOG|LOGGER)\.)")


def _python(text: str, starts: List[int], used: bool = False) -> Iterator[int]:
    """`used`: what it prints goes elsewhere than to the log."""
    tree = _tree(text)
    if tree is None:
        blank = _BLOCK.sub(lambda match: " " * len(match.group()), text)
        tree = _tree(_TEMPLATE.sub(lambda match: "_" * len(match.group()), blank))
    if tree is None:
        yield from _loose_python(text)
        return
    lines = text.split("\n")
    parents: Dict[ast.AST, ast.AST] = {}
    names = dict(_ALIASES)
    calls: List[ast.Call] = []
    uses: Dict[str, List[ast.Name]] = {}  # where a variable is read
    moments = set()  # variables that hold what a call gave, such as start = datetime.now()
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            parents[child] = node
        if isinstance(node, ast.Import):
            names.update((each.asname, each.name) for each in node.names if each.asname)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update((each.asname or each.name, node.module + "." + each.name) for each in node.names)
        elif isinstance(node, ast.Call):
            calls.append(node)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            uses.setdefault(node.id, []).append(node)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and not _is_span(node.value):
            moments.update(each.id for each in node.targets if isinstance(each, ast.Name))
    for call in calls:
        if _reads_clock(call, names) and not _harmless(call, parents, used) and not _measures(call, parents, uses, moments):
            yield _offset(_shown(call, parents), lines, starts)
        elif isinstance(call.func, ast.Attribute) and call.func.attr in ("sql", "expr", "selectExpr") or _called(call, names) == ["expr"]:
            for argument in call.args:
                yield from _sql_in(argument, lines, starts)


def _tree(text: str) -> Optional[ast.AST]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _called(call: ast.Call, names: Dict[str, str]) -> List[str]:
    """datetime, datetime, now for dt.datetime.now(); empty when it is no plain dotted name."""
    path: List[str] = []
    node: ast.AST = call.func
    while isinstance(node, ast.Attribute):
        path.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return []
    return names.get(node.id, node.id).split(".") + path[::-1]


def _reads_clock(call: ast.Call, names: Dict[str, str]) -> bool:
    path = _called(call, names)
    if not path:
        return False
    last, owner = path[-1], path[-2] if len(path) > 1 else ""
    if last in _OWNERS.get(owner, ()):
        return True
    if last in _OF_SECONDS and call.args and isinstance(call.args[0], ast.Call) and _called(call.args[0], names)[-2:] == ["time", "time"]:
        return True
    if owner not in _CALLS.get(last, ()):
        return False
    if last in ("localtime", "gmtime"):
        return not call.args
    if last == "strftime":
        return len(call.args) == 1 and _day_layout(call.args[0])
    if last in ("to_datetime", "Timestamp"):
        return bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value in ("now", "today")
    return True


def _day_layout(node: ast.AST) -> bool:
    return not (isinstance(node, ast.Constant) and isinstance(node.value, str)) or _holds(node.value, _OF_DAY)


def _harmless(call: ast.AST, parents: Dict[ast.AST, ast.AST], used: bool = False) -> bool:
    """Only a time of day or an epoch is taken of it, or it is written to the log and nowhere else."""
    above = parents.get(call)
    if isinstance(above, ast.Attribute):
        outer = parents.get(above)
        if above.attr in _NOT_A_DAY:
            return True
        if above.attr == "strftime" and isinstance(outer, ast.Call) and outer.args and not _day_layout(outer.args[0]):
            return True
    node: ast.AST = call
    for _ in range(_HEIGHT):
        if above is None:
            return False
        if isinstance(above, ast.Call):
            name = above.func.attr if isinstance(above.func, ast.Attribute) else above.func.id if isinstance(above.func, ast.Name) else ""
            if node is not above.func:
                if _only_logs(above, name):
                    return not (used and name == "print")
                if name not in _TEXTS:
                    return False
        elif not isinstance(above, (ast.Attribute, ast.JoinedStr, ast.FormattedValue, ast.BinOp, ast.Tuple, ast.keyword, ast.Subscript)):
            return False
        node, above = above, parents.get(above)
    return False


def _measures(call: ast.Call, parents: Dict[ast.AST, ast.AST], uses: Dict[str, List[ast.Name]], moments: Set[str]) -> bool:
    """`datetime.now() - start`, and the `start = datetime.now()` that is only subtracted or logged: how long, not which day."""

    def elapsed(node: ast.AST) -> bool:
        above = parents.get(node)
        if not isinstance(above, ast.BinOp) or not isinstance(above.op, ast.Sub):
            return False
        other = above.right if above.left is node else above.left
        if isinstance(other, ast.Name):
            return other.id in moments
        return isinstance(other, (ast.Attribute, ast.Call)) and not _is_span(other)

    above = parents.get(call)
    if elapsed(call):
        return True
    if not isinstance(above, ast.Assign) or len(above.targets) != 1 or not isinstance(above.targets[0], ast.Name):
        return False
    read = uses.get(above.targets[0].id, [])
    return any(elapsed(each) for each in read) and all(elapsed(each) or _harmless(each, parents) for each in read)


def _is_span(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")) in _SPANS


def _only_logs(call: ast.Call, name: str) -> bool:
    if isinstance(call.func, ast.Name):
        files = [each.value for each in call.keywords if each.arg == "file"]
        return name == "print" and all(isinstance(each, ast.Attribute) and each.attr in ("stderr", "stdout") for each in files)
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    while isinstance(owner, (ast.Attribute, ast.Call)):
        if isinstance(owner, ast.Attribute) and "log" in owner.attr.lower():
            return name in _LOG_CALLS
        owner = owner.value if isinstance(owner, ast.Attribute) else owner.func
    return name in _LOG_CALLS and isinstance(owner, ast.Name) and "log" in owner.id.lower()


def _shown(node: ast.AST, parents: Dict[ast.AST, ast.AST]) -> ast.AST:
    """Before Python 3.12 the inside of an f-string has no place of its own: the string's is taken, in every version."""
    above: Optional[ast.AST] = node
    for _ in range(_HEIGHT):
        if above is None or isinstance(above, ast.stmt):
            break
        if isinstance(above, ast.JoinedStr):
            node = above
        above = parents.get(above)
    return node


def _offset(node: ast.AST, lines: List[str], starts: List[int]) -> int:
    """ast counts columns in bytes of UTF-8."""
    row, column = node.lineno - 1, node.col_offset
    line = lines[row]
    return starts[row] + (column if line.isascii() else len(line.encode("utf-8", "surrogatepass")[:column].decode("utf-8", "replace")))


def _sql_in(node: ast.AST, lines: List[str], starts: List[int]) -> Iterator[int]:
    if isinstance(node, ast.JoinedStr):
        pieces = [each.value if isinstance(each, ast.Constant) else "?" for each in node.values]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        pieces = [node.value]
    else:
        return
    sql = "".join(pieces)
    rows = _line_starts(sql)
    for offset in _sql(sql, rows):
        row = bisect_right(rows, offset) - 1
        if row and node.lineno + row <= (node.end_lineno or 0):
            yield starts[node.lineno - 1 + row] + offset - rows[row]
        else:
            yield _offset(node, lines, starts)


def _loose_python(text: str) -> Iterator[int]:
    """For a text that does not parse, such as Python 2."""
    offset = 0
    for line in text.split("\n"):
        if not _LOOSE_LOG.match(line):
            for match in _LOOSE.finditer(line):
                if "#" not in line[: match.start()]:
                    yield offset + match.start()
        offset += len(line) + 1


# ----------------------------------------------------------------------------------------------------------------- sql

_SQL = re.compile(
    r"--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^'\\]|\\.)*(?:'|\\?\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\\?\Z)|`[^`]*(?:`|\Z)|<<[ \t][^\n<>]*[ \t]>>|\$\{[^}\n]*\}?"
    r"|(?P<read>(?<![\w.@:$#])(?:"
    r"(?:from_unixtime\s{0,9}\(\s{0,9})?unix_timestamp\s{0,9}\(\s{0,9}\)"
    r"|(?:now|getdate|getutcdate|sysdatetime|today|curdate|utc_date)\s{0,9}\(\s{0,9}\d?\s{0,9}\)"
    r"|(?:current_date|current_timestamp|sysdate|systimestamp|localtimestamp)\b(?!\s{0,9}[.=:]?=)))"
    r"|\w+",
    re.I | re.S,
)
_QUIET_BEFORE = frozenset({"as", "default", "update"})  # x AS current_date; DEFAULT now(), ON UPDATE now(): the load stamp of a table


def _sql(text: str, _: List[int]) -> Iterator[int]:
    before, end = "", 0
    for match in _SQL.finditer(text):
        if match.group("read") and not (before in _QUIET_BEFORE and text[end : end + 80].lstrip()[:1] == match.group()[:1]):
            yield match.start()
        before, end = match.group().lower() if len(match.group()) < 10 else "", match.end()


_FINDERS = {"bash": _bash, "python": _python, "sql": _sql}
