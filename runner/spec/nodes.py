"""YAML with places: plain data, where each of it stands in the file, and faults told in our own words.

Stricter than YAML 1.1: `no`, `12:30`, `0755` and `2024-01-31` stay text, a key stands once, a key is text, and
nothing in a file can crash the process or blow up its memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple, Union

import yaml

from runner.model import Mark, Problem
from runner.spec.report import split_lines

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 200_000
MAX_PROBLEMS = 100
MAX_DIGITS = 1000

Path = Tuple[Any, ...]

_Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class FloatText(float):
    """A float that remembers how it was written: str() of `3.10` is 3.10."""

    text: str

    def __new__(cls, text: str) -> "FloatText":
        plain = text.lower().lstrip("+-")
        if plain in (".inf", ".nan"):
            value = float(text.lower().replace(".", ""))
        else:
            value = float(text)
        self = super().__new__(cls, value)
        self.text = text
        return self

    def __str__(self) -> str:
        return self.text

    def __reduce__(self):
        return (FloatText, (self.text,))


# ---------------------------------------------------------------------------------------------- what a plain word is

_TAG = "tag:yaml.org,2002:"
_STR, _INT, _FLOAT, _BOOL, _NULL = _TAG + "str", _TAG + "int", _TAG + "float", _TAG + "bool", _TAG + "null"
_MAP, _SEQ = _TAG + "map", _TAG + "seq"
_MERGE = "?merge"  # a plain <<: a merge as a key, text as a value
_WORD = "?word"  # text here, something else for YAML 1.1
_TEXTS = frozenset({_STR, _WORD, _MERGE})

_INT_RE = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_FLOAT_RE = re.compile(
    r"(?:[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
_SIXTY_RE = re.compile(r"[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z")
_WORDS = {"": _NULL, "~": _NULL, "null": _NULL, "Null": _NULL, "NULL": _NULL, "<<": _MERGE}
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_WORDS.update({word: _BOOL for word in _TRUE | _FALSE})
_YES_NO = frozenset(form for word in ("yes", "no", "on", "off") for form in (word, word.capitalize(), word.upper()))
_WORDS.update({word: _WORD for word in _YES_NO})
_NUMBER_START = frozenset("0123456789+-.")


class _Loader(_Base):  # type: ignore[misc,valid-type]
    """Composes only; plain words are resolved by the rules above."""

    def resolve(self, kind, value, implicit):
        if kind is yaml.ScalarNode:
            if not implicit[0]:
                return _STR
            tag = _WORDS.get(value)
            if tag is not None:
                return tag
            if value[0] in _NUMBER_START:
                if _INT_RE.match(value):
                    return _INT
                if _FLOAT_RE.match(value):
                    return _FLOAT
                if ":" in value and _SIXTY_RE.match(value):
                    return _WORD
            return _STR
        return _SEQ if kind is yaml.SequenceNode else _MAP

    def descend_resolver(self, current_node, current_index):
        pass

    def ascend_resolver(self):
        pass


# ------------------------------------------------------------------------------------------------------------ places


class Marks:
    """Where the parts of a document stand. A path that is not in the file has the place of its nearest ancestor."""

    def __init__(self, root: Any, lines: List[str], pairs: Optional[Dict[int, Dict[str, Tuple[Any, Any]]]] = None):
        self._root = root
        self._lines = lines
        self._pairs = {} if pairs is None else pairs

    def _children(self, node: Any) -> Dict[Any, Tuple[Any, Any]]:
        found = self._pairs.get(id(node))
        if found is None:
            found = {}
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    found.setdefault(key.value, (key, value))
            self._pairs[id(node)] = found
        return found

    def _find(self, path: Path) -> Tuple[Any, Any]:
        """(key node or None, value node) of the deepest part of the path that the file has."""
        key, node = None, self._root
        for part in path:
            if isinstance(node, yaml.MappingNode):
                pair = self._children(node).get(part)
                if pair is None:
                    break
                key, node = pair
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
                key, node = None, node.value[part]
            else:
                break
        return key, node

    def value(self, path: Path = ()) -> Mark:
        """Where the value of that path starts."""
        _, node = self._find(tuple(path))
        return _mark(node.start_mark) if node is not None else Mark(1, 1)

    def key(self, path: Path) -> Mark:
        """Where the key of that path starts; for an item of a list, where the item starts."""
        key, node = self._find(tuple(path))
        node = key if key is not None else node
        return _mark(node.start_mark) if node is not None else Mark(1, 1)

    def in_text(self, path: Path, line: int, column: int) -> Mark:
        """Where in the file the place `line`:`column` (from 1) of a text stands."""
        _, node = self._find(tuple(path))
        if not isinstance(node, yaml.ScalarNode):
            return self.value(path)
        place = _mark(node.start_mark)
        row, start = self._content(place)
        if node.style == "|":
            row += line  # the header's own line is line 0
            text = self._lines[row] if row < len(self._lines) else ""
            return Mark(row + 1, column + self._indentation(node, row - line + 1, text))
        if node.style == ">":
            return self._walk(node.value, row + 1, 0, line, column) or Mark(row + 1 + line, column)
        if node.end_mark.line == row:
            if node.style in ("'", '"'):
                return Mark(row + 1, self._quoted(node.style, row, start + 1, _offset(node.value, line, column)))
            return Mark(row + 1, start + column)
        start += 1 if node.style in ("'", '"') else 0
        return self._walk(node.value, row, start, line, column) or place

    def _content(self, place: Mark) -> Tuple[int, int]:
        """(row, column), from 0, where a scalar starts after its anchor and tag."""
        row, at = place.line - 1, place.column - 1
        while row < len(self._lines):
            line = self._lines[row]
            while at < len(line) and line[at] in " \t&!":
                if line[at] in " \t":
                    at += 1
                    continue
                while at < len(line) and line[at] not in " \t":
                    at += 1
            if at < len(line) and line[at] != "#":
                return row, at
            row, at = row + 1, 0
        return place.line - 1, place.column - 1

    def _indentation(self, node: Any, first: int, text: str) -> int:
        """How far a block of text is indented, seen at its first line that is not blank."""
        for line, raw in zip(split_lines(node.value), self._lines[first:]):
            if line.strip(" "):
                return len(raw) - len(line)
        return len(text) - len(text.lstrip(" "))

    def _quoted(self, quote: str, row: int, at: int, offset: int) -> int:
        """The column (from 1) of character `offset` of a quoted text on one line; escapes count as written."""
        line = self._lines[row]
        sizes = {"x": 4, "u": 6, "U": 10}
        for _ in range(offset):
            if quote == '"' and line[at : at + 1] == "\\":
                at += sizes.get(line[at + 1 : at + 2], 2)
            else:
                at += 2 if quote == "'" and line[at : at + 2] == "''" else 1
        return min(at, len(line)) + 1

    def _walk(self, value: str, row: int, at: int, line: int, column: int) -> Optional[Mark]:
        """For text that YAML folds: count the characters that are no space, in the value and in the file."""
        offset = _offset(value, line, column)
        while offset < len(value) and value[offset].isspace():
            offset += 1
        left = sum(1 for char in value[:offset] if not char.isspace())
        while row < len(self._lines):
            text = self._lines[row]
            for index in range(at, len(text)):
                if not text[index].isspace():
                    if not left:
                        return Mark(row + 1, index + 1)
                    left -= 1
            row, at = row + 1, 0
        return None


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


def _offset(value: str, line: int, column: int) -> int:
    """The place of line:column in a text, as a count of characters."""
    lines = value.split("\n")
    return sum(len(text) + 1 for text in lines[: line - 1]) + column - 1


@dataclass
class Loaded:
    """What a file holds; `data` is None when it could not be read (or is empty)."""

    data: Any
    marks: Marks
    problems: List[Problem]
    text: str

    @property
    def errors(self) -> List[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]


# ------------------------------------------------------------------------------------------------------------- load


class _Stop(Exception):
    """The file cannot be read further."""

    def __init__(self, line: int, column: int, message: str, hint: str = "", where: str = "", source: Optional[str] = None):
        super().__init__(message)
        self.line, self.column, self.message, self.hint, self.where = line, column, message, hint, where
        self.source = source


def load(raw: Union[bytes, str], file: str) -> Loaded:
    """Read one YAML document. Never raises for what the file says: faults are in `problems`."""
    text, lines, root, builder = "", [], None, None
    data, problems = None, []
    try:
        text = _decode(raw, file)
        lines = split_lines(text)
        if _may_nest(text):
            _check_depth(text)
        root = _compose(text, lines)
        builder = _Builder(file, lines)
        if root is not None:
            data = builder.build(root, (), 1)
    except _Stop as stop:
        data = None
        source = stop.source
        if source is None:
            source = lines[stop.line - 1] if 1 <= stop.line <= len(lines) else ""
        problems.append(Problem(file, stop.line, stop.column, stop.message, stop.hint, "error", stop.where, source))
    if builder is not None:
        problems = builder.problems + problems
    return Loaded(data, Marks(root, lines, builder.memo if builder is not None else None), problems, text)


# ----------------------------------------------------------------------------------------------------- bytes to text


def _decode(raw: Union[bytes, str], file: str) -> str:
    if isinstance(raw, str):
        text = raw[1:] if raw.startswith("\ufeff") else raw
        size = len(text) if len(text) > MAX_BYTES or text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        _check_size(size)
    else:
        _check_size(len(raw))
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or _looks_utf16(raw):
            raise _Stop(
                1, 1, "the file is UTF-16, not UTF-8",
                f"save it as UTF-8, or: iconv -f utf-16 -t utf-8 {file} > {file}.utf8", source="",
            )
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as err:
            raise _not_utf8(raw, file) from err
    at = text.find("\0")
    if at >= 0:
        line, column = _place(text, at)
        raise _Stop(line, column, f"line {line} holds a NUL byte: this is not a text file", "remove it, or write the file anew")
    return text


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise _Stop(
            1, 1, f"the file is larger than 1 MiB ({size:,} bytes)",
            "split the pipeline, or move long scripts to files of their own", source="",
        )


def _looks_utf16(raw: bytes) -> bool:
    head = raw[:64]
    half = len(head) // 2
    return half >= 2 and (head[1::2].count(0) * 2 > half or head[::2].count(0) * 2 > half) and not head.count(0) == len(head)


def _not_utf8(raw: bytes, file: str) -> _Stop:
    """Say which line is not UTF-8, and what it may be."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
    start = 0
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as err:
        start = err.start
    line = raw.count(b"\n", 0, start) + 1
    begin = raw.rfind(b"\n", 0, start) + 1
    end = raw.find(b"\n", start)
    whole = raw[begin : end if end >= 0 else len(raw)].rstrip(b"\r")
    column = len(raw[begin:start].decode("utf-8")) + 1
    try:
        raw.decode("cp949")
    except UnicodeDecodeError:
        message = f"line {line} is not UTF-8 (byte 0x{raw[start]:02x})"
        return _Stop(line, column, message, "save the file as UTF-8", source=whole.decode("utf-8", "replace"))
    return _Stop(
        line, column, f"line {line} is not UTF-8; it looks like CP949 (EUC-KR)",
        f"iconv -f cp949 -t utf-8 {file} > {file}.utf8", source=whole.decode("cp949", "replace"),
    )


def _place(text: str, at: int) -> Tuple[int, int]:
    """line and column, from 1, of a character."""
    before = split_lines(text[:at])
    return len(before), len(before[-1]) + 1


# -------------------------------------------------------------------------------------------------------- depth first

_PREFIX = re.compile(r"^[ \t\-?:]*", re.M)
_ODD_BREAK = re.compile("\r(?!\n)|[\x85\u2028\u2029]")


def _may_nest(text: str) -> bool:
    """Whether a text could nest deeper than allowed: a cheap upper bound, so that usual files pay nothing."""
    bound = text.count("[") + text.count("{")
    if bound < MAX_DEPTH:
        # A level of a block is opened by a line, and two open levels (list in a mapping apart) by different prefixes.
        for prefix in set(_PREFIX.findall(text)):
            bound += 2 * (1 + len(prefix) - prefix.count(" ") - prefix.count("\t"))
    return bound >= MAX_DEPTH or _ODD_BREAK.search(text) is not None


def _check_depth(text: str) -> None:
    """The composer is recursive in C: a deep file must not reach it. Reading events is not recursive."""
    depth = 0
    try:
        for event in yaml.parse(text, _Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    place = _mark(event.start_mark)
                    raise _Stop(place.line, place.column, *_TOO_DEEP)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except (yaml.YAMLError, UnicodeEncodeError):
        pass  # the composer meets the same fault at the same place, and no deeper


_TOO_DEEP = (f"nested deeper than {MAX_DEPTH} levels", "write the inner part flat, or check the brackets for one that is not closed")


# ---------------------------------------------------------------------------------------------------- nodes to values


class _Builder:
    """Makes plain data of nodes. Aliases are expanded, and what they expand to is counted."""

    def __init__(self, file: str, lines: List[str]):
        self.file = file
        self.lines = lines
        self.problems: List[Problem] = []
        self.memo: Dict[int, Dict[str, Tuple[Any, Any]]] = {}  # id of a mapping node -> its keys, merges included
        self.left = MAX_NODES
        self._open: set = set()
        self._merging: set = set()
        self._said: set = set()

    def say(self, node: Any, path: Path, message: str, hint: str = "", severity: str = "error") -> None:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if (line, column, message) in self._said or len(self.problems) >= MAX_PROBLEMS:
            return
        self._said.add((line, column, message))
        source = self.lines[line - 1] if line <= len(self.lines) else ""
        self.problems.append(Problem(self.file, line, column, message, hint, severity, where(path), source))

    def stop(self, node: Any, path: Path, message: str, hint: str = "") -> _Stop:
        return _Stop(node.start_mark.line + 1, node.start_mark.column + 1, message, hint, where(path))

    def spend(self, node: Any, path: Path, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise self.stop(
                node, path, f"the file grows to more than {MAX_NODES:,} values here",
                "an alias (*name) repeats what it names: use fewer of them, or split the file",
            )

    def build(self, node: Any, path: Path, depth: int) -> Any:
        kind = type(node)
        if kind is yaml.ScalarNode:
            self.spend(node, path, 1)
            return node.value if node.tag == _STR else self.scalar(node, path)
        if depth > MAX_DEPTH:
            raise self.stop(node, path, *_TOO_DEEP)
        if id(node) in self._open:
            raise self.stop(node, path, "an alias (*name) stands inside what it names", "write the value out instead of repeating it")
        self._open.add(id(node))
        if kind is yaml.SequenceNode:
            if node.tag != _SEQ:
                self.bad_tag(node, path)
            self.spend(node, path, 1 + len(node.value))
            self.left += len(node.value)  # only held back: every item counts itself
            found: Any = []
            for item in node.value:
                if type(item) is yaml.ScalarNode and item.tag == _STR:
                    self.left -= 1
                    found.append(item.value)
                else:
                    found.append(self.build(item, path + (len(found),), depth + 1))
        else:
            if node.tag != _MAP:
                self.bad_tag(node, path)
            pairs = self.pairs(node, path, 0)
            self.spend(node, path, 1 + 2 * len(pairs))
            self.left += len(pairs)
            found = {}
            for name, (_, value) in pairs.items():
                if type(value) is yaml.ScalarNode and value.tag == _STR:
                    self.left -= 1
                    found[name] = value.value
                else:
                    found[name] = self.build(value, path + (name,), depth + 1)
        self._open.discard(id(node))
        return found

    def bad_tag(self, node: Any, path: Path) -> None:
        tag = node.tag
        shown = _clip("!!" + tag[len(_TAG) :] if tag.startswith(_TAG) else tag)
        self.say(
            node, path, f"the tag {shown} is not allowed here",
            f"remove it; if the value starts with '!', quote it: \"{shown} ...\"",
        )

    def scalar(self, node: Any, path: Path) -> Any:
        """The value of a scalar that is not simply text."""
        tag, value = node.tag, node.value
        if tag == _INT:
            if len(value) > MAX_DIGITS:
                self.say(node, path, f"a number of more than {MAX_DIGITS} digits", "quote it if it is text")
                return value
            if _INT_RE.match(value):
                return int(value)
        elif tag == _BOOL:
            if value in _TRUE or value in _FALSE:
                return value in _TRUE
        elif tag == _NULL:
            if _WORDS.get(value) == _NULL:
                return None
        elif tag == _FLOAT:
            if _FLOAT_RE.match(value):
                return FloatText(value)
        elif tag == _WORD:
            if value in _YES_NO:
                say = "true" if value.lower() in ("yes", "on") else "false"
                self.say(node, path, f"{value} is text here, not {say}", f'write {say}, or "{value}" if the text is meant', "warning")
            else:
                self.say(
                    node, path, f"{_clip(value)} is text here, not a number of base 60",
                    f'write "{_clip(value)}" to say so (other YAML readers take it for a number)', "warning",
                )
            return value
        elif tag in _TEXTS:
            return value
        else:
            self.bad_tag(node, path)
            return value
        self.say(node, path, f"{_clip(value)!r} is not what its tag !!{tag[len(_TAG):]} says", "remove the tag")
        return value

    # ------------------------------------------------------------------------------------------------------- keys

    def pairs(self, node: Any, path: Path, depth: int) -> Dict[str, Tuple[Any, Any]]:
        """Keys of a mapping with their nodes; what it merges comes after its own keys."""
        found = self.memo.get(id(node))
        if found is not None:
            return found
        if id(node) in self._merging:
            raise self.stop(node, path, "this mapping is merged (<<) into itself", "remove the << inside it")
        if depth > MAX_DEPTH:
            raise self.stop(node, path, *_TOO_DEEP)
        self._merging.add(id(node))
        found, merges = {}, []
        for key, value in node.value:
            if type(key) is yaml.ScalarNode and key.tag in _TEXTS:
                name = key.value
                if key.tag == _MERGE:
                    merges.append((key, value))
                    continue
                if not name.isascii():
                    self.check_key(key, path)
                if name in found:
                    line = found[name][0].start_mark.line + 1
                    self.say(
                        key, path + (name,), f"the key {_clip(name)!r} stands twice: on line {line} and on line {key.start_mark.line + 1}",
                        "keep one of them",
                    )
                    continue
                found[name] = (key, value)
            else:
                self.bad_key(key, path)
        for key, value in merges:
            sources = value.value if type(value) is yaml.SequenceNode else [value]
            for source in sources:
                if type(source) is not yaml.MappingNode:
                    self.say(
                        source if source.start_mark.line == key.start_mark.line else key, path + ("<<",),
                        "<< merges a mapping or a list of mappings", "write <<: *name, where &name marks a mapping",
                    )
                    continue
                more = self.pairs(source, path, depth + 1)
                self.spend(key, path, 1 + len(more))
                for name, pair in more.items():
                    found.setdefault(name, pair)
        self._merging.discard(id(node))
        self.memo[id(node)] = found
        return found

    def bad_key(self, key: Any, path: Path) -> None:
        if type(key) is not yaml.ScalarNode:
            line = self.lines[key.start_mark.line] if key.start_mark.line < len(self.lines) else ""
            if "{{" in line:
                self.say(key, path, "{{ ... }} is a mapping for YAML, not text", 'a template is written << ... >>; or quote it: "{{ ... }}"')
            else:
                self.say(key, path, "a key must be text, not a list or a mapping", "quote the key")
            return
        shown = {_INT: "a number", _FLOAT: "a number", _BOOL: "a boolean", _NULL: "empty"}.get(key.tag)
        if shown is None:
            self.bad_tag(key, path)
        elif not key.value:
            self.say(key, path, "a key is missing before ':'", "write the key, or quote the text")
        else:
            if key.tag == _NULL:
                shown = "null"
            self.say(key, path, f"the key {_clip(key.value)} is {shown}, not text", f'quote it: "{_clip(key.value)}":')

    def check_key(self, key: Any, path: Path) -> None:
        for char, name, hint in _ODD_IN_KEY:
            if char in key.value:
                self.say(key, path + (key.value,), f"the key {_clip(key.value)!r} holds {name}", hint)
                return


_ODD_IN_KEY = (
    ("\xa0", "a no-break space (U+00A0)", "replace it with an ordinary space; it often comes from copying a web page or a chat"),
    ("\u3000", "a full-width space (U+3000)", "replace it with an ordinary space"),
    ("\uff1a", "a full-width colon (U+FF1A)", "write an ordinary colon and a space: 'key: value'"),
    ("\ufeff", "a byte order mark (U+FEFF)", "remove it; it often comes from joining two files"),
    ("\u200b", "a space without width (U+200B)", "remove it"),
)


def _clip(text: str) -> str:
    """A word for a message: not longer than a line can hold."""
    return text if len(text) <= 60 else text[:59] + "\N{HORIZONTAL ELLIPSIS}"


def where(path: Path) -> str:
    """steps[2].bash for ("steps", 2, "bash")."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text


# ----------------------------------------------------------------------------------------------------- syntax faults


def _compose(text: str, lines: List[str]) -> Any:
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as err:
        raise _explain(err, text, lines) from err
    except (yaml.YAMLError, UnicodeEncodeError) as err:
        raise _odd_character(text, err) from err
    finally:
        if loader is not None:
            loader.dispose()


_UNPRINTABLE = re.compile("[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _odd_character(text: str, err: Exception) -> _Stop:
    found = _UNPRINTABLE.search(text)
    if found is None:
        return _Stop(1, 1, f"not readable as YAML: {err}")
    line, column = _place(text, found.start())
    code = f"{ord(found.group()):04X}"
    return _Stop(line, column, f"a control character (U+{code}) is not allowed", f'remove it, or write it in double quotes as "\\u{code}"')


_ENTRY = re.compile(r"[ \t]*(?:[-?][ \t]+)*")
_KEY = re.compile(r"""[ \t]*(?:[-?][ \t]+)*(?P<key>"[^"]*"|'[^']*'|[^\s#'"\[\]{},&*!|>%@`][^#:]*?)[ \t]*:(?=[ \t]|$)[ \t]*""")


def _quote(value: str) -> str:
    """A value in quotes, as a person would write it."""
    value = _clip(value.strip())
    if '"' in value or "\\" in value:
        return "'" + value.replace("'", "''") + "'"
    return f'"{value}"'


def _explain(err: Any, text: str, lines: List[str]) -> _Stop:
    """A fault of syntax at its real place, with a remedy."""
    context = err.context or ""
    said = err.problem or ""
    problem_mark = err.problem_mark or err.context_mark
    context_mark = err.context_mark
    place = _mark(problem_mark) if problem_mark is not None else Mark(1, 1)
    opening = _mark(context_mark) if context_mark is not None else place

    def line_of(mark: Mark) -> str:
        return lines[mark.line - 1] if 1 <= mark.line <= len(lines) else ""

    def at(mark: Mark, message: str, hint: str = "") -> _Stop:
        return _Stop(mark.line, mark.column, message, hint)

    line = line_of(place)

    # ---- the document as a whole
    if "single document" in context or "another document" in said:
        return at(place, "a second document starts here; a file holds one", "remove the line ---, or write the rest to a file of its own")
    if "undefined alias" in said:
        name = _word(line, place.column)
        if _is_cron(line[place.column - 1 :]):
            return at(place, "a plain value cannot start with '*'", f"quote the schedule: {_schedule(line[place.column - 1:])}")
        return at(
            place, f"the alias {name} is not defined above",
            f"mark a value as &{name[1:]} further up, or quote the text: {_quote(line[place.column - 1:])}",
        )
    if "duplicate anchor" in context:
        return at(place, f"the anchor {_word(line, place.column)} is already defined on line {opening.line}", "give it another name")
    if "recursive" in said:
        return at(place, "an alias stands inside what it names", "write the value out")
    if "directive" in context or "directive" in said:
        return at(opening, "a line that starts with '%' is a directive of YAML", _starts_with_hint("%", line_of(opening), opening.column))

    # ---- tabs
    tab = _tab_in_indentation(line)
    if tab and ("tab" in said or "cannot start any token" in said):
        return at(Mark(place.line, tab), "a tab is not allowed in indentation", "indent with spaces; in vi: :set expandtab | retab")

    # ---- values that start with a sign of YAML
    if "scanning an alias" in context:
        return at(opening, "a plain value cannot start with '*'", _starts_with_hint("*", line_of(opening), opening.column))
    if "scanning an anchor" in context:
        return at(opening, "a plain value cannot start with '&'" if _at_value(line_of(opening), opening.column)
                  else "'&' cannot follow here", _starts_with_hint("&", line_of(opening), opening.column))
    if "cannot start any token" in said:
        sign = line[place.column - 1 : place.column] or "?"
        if sign == "\t":
            return at(place, "a tab is not allowed here", "use spaces")
        return at(place, f"a plain value cannot start with '{sign}'", _starts_with_hint(sign, line, place.column))
    if "tag" in context and "directive" not in context:
        return at(opening, "a plain value cannot start with '!'", _starts_with_hint("!", line_of(opening), opening.column))
    if "tag handle" in said or "undefined tag" in said:
        return at(place, f"the tag {_word(line, place.column)} is not allowed here", _starts_with_hint("!", line, place.column))
    if "block scalar" in context:
        if "comment or" in said:
            sign = line_of(opening)[opening.column - 1 : opening.column] or "|"
            return at(
                opening, f"after '{sign}' the text starts on the next line",
                f"put the text on the lines below, indented; or quote a value that starts with '{sign}'",
            )
        return at(place, "the indentation of this block of text is wrong", "indent its lines by the same number of spaces, deeper than the key")

    # ---- quotes
    if "quoted scalar" in context:
        if "escape" in said or "hexdecimal" in said or "hexadecimal" in said:
            where_is = place if "\\" in line[max(0, place.column - 2) : place.column] else opening
            return at(where_is, "a backslash in double quotes starts an escape, and this one is unknown", "use single quotes: 'C:\\dir', or write \\\\ for a backslash")
        quote = line_of(opening)[opening.column - 1 : opening.column] or '"'
        return at(opening, f"the quote {quote} opened here is not closed", f"close it with {quote} on the same line, or use a block: |")
    long_quote = _long_quote(text, place)
    if long_quote is not None:
        quote = line_of(long_quote)[long_quote.column - 1 : long_quote.column] or '"'
        return at(long_quote, f"the quote {quote} opened here is closed only on line {place.line if place.column > 1 else place.line - 1}",
                  f"close it with {quote} on its own line")

    # ---- brackets
    if "flow sequence" in context or "flow mapping" in context:
        sign = line_of(opening)[opening.column - 1 : opening.column] or "["
        close = {"[": "]", "{": "}"}.get(sign, "]")
        if place.line == opening.line:
            return at(place, f"',' or '{close}' is missing in the list opened with '{sign}' at column {opening.column}",
                      f"write '{close}' or ','; if this is no list, use a block: |, or quotes")
        return at(opening, f"the bracket {sign} opened here is not closed", f"close it with {close}; if this is no list, quote the value")
    full_width = line_of(opening).find("\uff1a")
    if "could not find expected ':'" in said:
        if full_width >= 0:
            return at(Mark(opening.line, full_width + 1), "a full-width colon (U+FF1A) is no colon for YAML", "write an ordinary colon and a space: 'key: value'")
        body = line_of(opening)
        glued = re.match(r"[ \t]*(?:- +)*([A-Za-z_][\w-]*):(\S.*)", body)
        if glued:
            return at(opening, "a space is missing after ':'", f"write {_clip(glued.group(1))}: {_clip(glued.group(2))}")
        if body.lstrip().startswith("-") and not re.match(r"[ \t]*-(?:[ \t]|$)", body):
            return at(opening, "a space is missing after '-'", "write '- ' and then the item")
        return at(opening, "this line is not 'key: value' (could not find the ':')",
                  "add the ':' and a value; if it belongs to the text above, indent it deeper, under a block: |")

    # ---- colons and indentation
    if "mapping values are not allowed" in said:
        return _stray_colon(place, lines)
    if "sequence entries are not allowed" in said:
        return at(place, "a list cannot start on the line of its key", "put '- ...' on the next line, indented")
    if "mapping keys are not allowed" in said:
        return at(place, "a key cannot stand here", "put it on a line of its own; quote a value that starts with '?'")
    if "node content" in said:
        sign = line[place.column - 1 : place.column]
        return at(place, f"a plain value cannot start with '{sign}'" if sign else "a value is missing here", f"quote it: {_quote(line[place.column - 1:])}")
    if "block collection" in context or "block sequence" in context:
        if _entry_text(line, place.column):
            return _after_value(place, line)
        return at(place, f"wrong indentation: the list that starts on line {opening.line} goes on here without '- '",
                  f"start the line with '- ', or indent it by {opening.column + 1} spaces as part of the item above, or less to end the list")
    if "block mapping" in context or "block end" in said or "document start" in said:
        if _entry_text(line, place.column):
            return _after_value(place, line)
        if line[place.column - 1 :].startswith(":"):
            return at(place, "a key is missing before ':'", "write the key, or quote the text")
        known = _KEY.match(lines[_above(lines, place.line)]) if _above(lines, place.line) >= 0 else None
        if known and known.start("key") < place.column - 1:
            return _stray_colon(place, lines)
        if line[place.column - 1 :].startswith("-"):
            return at(place, "wrong indentation: a list item stands where a key is expected",
                      f"line it up with the other items of its list, or with the keys at column {opening.column}")
        return at(place, "wrong indentation: this line fits no line above it",
                  f"line it up with its neighbours: the keys that start on line {opening.line} stand at column {opening.column}")
    words = said if not context else f"{context}: {said}"
    return at(place, f"not readable as YAML ({words})", "quote the value, or use a block: |")


def _word(line: str, column: int) -> str:
    found = re.match(r"[^\s,\]}]+", line[column - 1 :])
    return _clip(found.group()) if found else ""


def _tab_in_indentation(line: str) -> int:
    """Column of a tab before the first character of a line; 0 when there is none."""
    lead = line[: len(line) - len(line.lstrip(" \t"))]
    return lead.find("\t") + 1


def _is_cron(value: str) -> bool:
    words = value.split("#")[0].split()
    return len(words) == 5 and all(re.match(r"[\d*/,\-A-Za-z?#]+\Z", word) for word in words)


def _schedule(value: str) -> str:
    return _quote(re.sub(r"\s+#.*", "", value))


def _at_value(line: str, column: int) -> bool:
    """Whether the column is where a value starts: after `key: ` or `- `."""
    found = _KEY.match(line) or _ENTRY.match(line)
    return bool(found) and found.end() == column - 1


def _starts_with_hint(sign: str, line: str, column: int) -> str:
    rest = line[column - 1 :]
    before = _KEY.match(line)
    key = before.group("key") if before and before.end() == column - 1 else ""
    if not _at_value(line, column) and column > 1:
        if before and line[before.end() :].strip():
            return f"quote the whole value: {_quote(line[before.end():])}, or use a block: {_clip(before.group('key'))}: |"
        return f"quote it: {_quote(rest)}"
    if key == "schedule" or (sign == "*" and _is_cron(rest)) or (sign == "@" and re.match(r"@[a-z]+\s*(#|$)", rest)):
        return f"quote the schedule: {_schedule(rest)}"
    if "#" in rest:
        rest = re.sub(r"\s+#.*", "", rest)
    return f"quote it: {_quote(rest)}"


def _entry_text(line: str, column: int) -> bool:
    """Whether something else stands before that column on its line."""
    found = _ENTRY.match(line)
    return bool(found) and found.end() < column - 1


def _after_value(place: Mark, line: str) -> _Stop:
    before = line[: place.column - 1].rstrip()
    what = {'"': "the closing quote", "'": "the closing quote", "]": "the closing bracket", "}": "the closing bracket"}.get(before[-1:], "the value")
    key = _KEY.match(line)
    whole = line[key.end() :] if key else line[_ENTRY.match(line).end() :]
    block = f"{_clip(key.group('key'))}: |" if key else "|"
    return _Stop(place.line, place.column, f"more text after {what}", f"quote the whole value: {_quote(whole)}, or use a block: {block}")


def _above(lines: List[str], line: int) -> int:
    """Row (from 0) of the next line above `line` (from 1) that says something; -1 when there is none."""
    row = line - 2
    while row >= 0 and (not lines[row].strip() or lines[row].lstrip().startswith("#")):
        row -= 1
    return row


def _stray_colon(place: Mark, lines: List[str]) -> _Stop:
    """A ': ' where no key can be: inside a plain value, or on a line that is indented too deep."""
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    full_width = line.find("\uff1a")
    key = _KEY.match(line)
    if key and key.end() < place.column - 1:
        value = line[key.end() :]
        name = _clip(key.group("key"))
        return _Stop(place.line, place.column, "': ' inside a plain value",
                     f"use a block: {name}: |\nand the text on the next line, indented; or quote it: {_quote(value)}")
    above = _above(lines, place.line)
    upper = lines[above] if above >= 0 else ""
    if full_width < 0 and "\uff1a" in upper:
        return _Stop(above + 1, upper.find("\uff1a") + 1, "a full-width colon (U+FF1A) is no colon for YAML", "write an ordinary colon and a space: 'key: value'")
    start = _ENTRY.match(line)
    column = (start.end() if start else 0) + 1
    known = _KEY.match(upper)
    if known and upper[known.end() :].strip():
        return _Stop(place.line, column, f"wrong indentation: this line is deeper than line {above + 1}, which already has a value (mapping values are not allowed here)",
                     f"start it at column {known.start('key') + 1}, like {_clip(known.group('key'))!r} above")
    return _Stop(place.line, column, "a key is not allowed here (mapping values are not allowed here)",
                 "check the indentation and that the line above ends with ':'; quote text that holds ': '")


def _long_quote(text: str, place: Mark) -> Optional[Mark]:
    """Where a quoted text over more than one line starts that ends just before the fault; None when there is none."""
    last = None
    try:
        for token in yaml.scan(text, _Loader):
            start = _mark(token.start_mark)
            if (start.line, start.column) >= (place.line, place.column):
                break
            if isinstance(token, (yaml.ScalarToken, yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)):
                last = token
    except (yaml.YAMLError, UnicodeEncodeError):
        pass
    if isinstance(last, yaml.ScalarToken) and last.style in ("'", '"') and last.start_mark.line < last.end_mark.line:
        if last.end_mark.line == place.line - 1:
            return _mark(last.start_mark)
    return None
