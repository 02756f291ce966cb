"""YAML text to plain data, with the place of every key and value, and none of YAML 1.1's surprises (semantics D28).

`no`, `12:30`, `0755` and dates stay text; a key twice, a key that is no text, tags, bombs and depth are faults. The C
parser does the work where it is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple, Union

import yaml

from runner.model import Mark, Problem

Path = Tuple[Any, ...]
MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 200_000
_BASE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class FloatText(float):
    """A number that remembers how it was written: 3.10 stays 3.10 in a text."""

    text: str

    def __new__(cls, value: float, text: str) -> "FloatText":
        made = super().__new__(cls, value)
        made.text = text
        return made

    def __str__(self) -> str:
        return self.text


class _Loader(_BASE):  # type: ignore[misc, valid-type]
    """YAML 1.2's core: true and false, decimal numbers, null, merge keys; all else is text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^(?:[-+]?(?:0|[1-9][0-9]*))$", "-+0123456789"),
    ("float", r"^(?:[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)|[-+]?\.[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", "-+0123456789."),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^(?:<<)$", "<"),
):  # fmt: skip
    _Loader.add_implicit_resolver("tag:yaml.org,2002:" + _tag, re.compile(_pattern), list(_first))

_TAGS = {"tag:yaml.org,2002:" + name for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge")}


class Marks:
    """Where each key and value stands."""

    def __init__(self) -> None:
        self._values: Dict[Path, yaml.Node] = {}
        self._keys: Dict[Path, yaml.Node] = {}
        self.lines: List[str] = []

    def value(self, path: Path) -> Mark:
        """Of a value; of the nearest one around it when it has none of its own."""
        return _mark(self._nearest(self._values, path))

    def key(self, path: Path) -> Mark:
        node = self._keys.get(path)
        return _mark(node) if node is not None else self.value(path)

    def _nearest(self, table: Dict[Path, yaml.Node], path: Path) -> Optional[yaml.Node]:
        while path not in table and path:
            path = path[:-1]
        return table.get(path)

    def in_text(self, path: Path, line: int, column: int) -> Mark:
        """A place inside a text, both counted from 1, as a place in the file."""
        node = self._values.get(path)
        if not isinstance(node, yaml.ScalarNode):
            return self.value(path)
        start = node.start_mark
        if node.style == "|":
            at = start.line + line  # 0-based line of the file
            return Mark(at + 1, column + self._indent(start.line + 1, node.end_mark.line))
        if node.style == ">" or line > 1 or node.end_mark.line > start.line:
            return self._find(node, line, column)
        return Mark(start.line + 1, start.column + column + (1 if node.style in ("'", '"') else 0))

    def _indent(self, first: int, last: int) -> int:
        """Blanks before a block's text: those of its first line that has any."""
        for line in self.lines[first : last + 1]:
            if line.strip():
                return len(line) - len(line.lstrip(" "))
        return 0

    def _find(self, node: yaml.ScalarNode, line: int, column: int) -> Mark:
        """In folded text lines were joined: look for the words themselves."""
        text = node.value.split("\n")
        tail = text[line - 1][column - 1 :][:12].split("\n")[0] if line <= len(text) else ""
        for number in range(node.start_mark.line, min(node.end_mark.line + 1, len(self.lines))):
            at = self.lines[number].find(tail) if tail else -1
            if at >= 0:
                return Mark(number + 1, at + 1)
        return _mark(node)


def _mark(node: Optional[yaml.Node]) -> Mark:
    if node is None:
        return Mark(1, 1)
    mark = node.start_mark
    return Mark(mark.line + 1, mark.column + 1)


@dataclass
class Loaded:
    data: Any = None
    marks: Marks = field(default_factory=Marks)
    problems: List[Problem] = field(default_factory=list)
    text: str = ""


def load(raw: Union[bytes, str], file: str) -> Loaded:
    """Read one document. `problems` says what is wrong; `data` is None when nothing can be said of it."""
    out = Loaded()
    text = _decode(raw, file, out)
    if text is None:
        return out
    out.text = text
    out.marks.lines = text.split("\n")
    if _too_deep(text, file, out):
        return out
    node = _compose(text, file, out)
    if node is not None:
        out.data = _Builder(out, file).build(node)
    return out


def _tell(out: Loaded, file: str, line: int, column: int, message: str, hint: str = "", severity: str = "error") -> None:
    lines = out.marks.lines
    source = lines[line - 1].rstrip("\r") if 0 < line <= len(lines) else ""
    out.problems.append(Problem(file, line, column, message, hint, severity, "", source))


# ----------------------------------------------------------------------------------------------------------- decoding


def _decode(raw: Union[bytes, str], file: str, out: Loaded) -> Optional[str]:
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "surrogatepass")
    if len(raw) > MAX_BYTES:
        _tell(out, file, 1, 1, f"the file has {len(raw):,} bytes, more than {MAX_BYTES:,}", "keep data out of it: a step can read a file of its own")
        return None
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        _tell(out, file, 1, 1, "the file is UTF-16", f"type: iconv -f utf-16 -t utf-8 {file} > new.yaml")
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _not_utf8(raw, error.start, file, out)
        return None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        _tell(out, file, line, 1, "the file holds a NUL byte", "it is no text file, or it was damaged: write it anew")
        return None
    return text


def _not_utf8(raw: bytes, start: int, file: str, out: Loaded) -> None:
    line = raw.count(b"\n", 0, start) + 1
    column = len(raw[raw.rfind(b"\n", 0, start) + 1 : start].decode("utf-8", "replace")) + 1
    try:
        out.marks.lines = raw.decode("cp949").split("\n")
        looks, hint = "; it looks like CP949 (EUC-KR)", f"type: iconv -f cp949 -t utf-8 {file} > new.yaml"
    except UnicodeDecodeError:
        looks, hint = "", "save it as UTF-8: in vim, :set fileencoding=utf-8 and :w"
    _tell(out, file, line, column, f"line {line} is not UTF-8{looks}", hint)


def _too_deep(text: str, file: str, out: Loaded) -> bool:
    """The C parser would crash on great depth (PyYAML 895); only a text that could nest so far is looked at closely."""
    widest = max((len(line) - len(line.lstrip(" -")) for line in out.marks.lines if line[:1] in " -"), default=0)
    if text.count("[") + text.count("{") < MAX_DEPTH and widest < MAX_DEPTH:
        return False
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
                depth += 1
                if depth > MAX_DEPTH:
                    mark = event.start_mark
                    _tell(out, file, mark.line + 1, mark.column + 1, f"nested more than {MAX_DEPTH} deep", "a pipeline needs five; look for a [ or { that is not closed")
                    return True
            elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                depth -= 1
    except yaml.YAMLError:
        pass  # said properly by _compose
    return False


# ------------------------------------------------------------------------------------------------------ syntax faults


def _compose(text: str, file: str, out: Loaded) -> Optional[yaml.Node]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        _syntax_fault(error, file, out)
        return None
    except (yaml.YAMLError, UnicodeError) as error:
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        _tell(out, file, line, 1, f"a character that YAML does not allow: {str(error).splitlines()[0]}", "remove it")
        return None
    except RecursionError:
        _tell(out, file, 1, 1, "nested too deep", "look for a [ or { that is not closed")
        return None
    finally:
        loader.dispose()
    return node


_LEADING = {
    "*": ("a plain value cannot begin with *", 'quote it: schedule: "*/5 * * * *"'),
    "&": ("a plain value cannot begin with &", 'quote it: "&..."'),
    "@": ("a plain value cannot begin with @", 'quote it: schedule: "@daily"'),
    "%": ("a plain value cannot begin with %", 'quote it: "%..."'),
    "`": ("a plain value cannot begin with a backtick", "quote it, or use a block:  bash: |"),
    "!": ("a plain value cannot begin with !", 'quote it: "!..."'),
    "|": ("something stands behind the |", "a block's text begins on the next line, indented"),
    ">": ("something stands behind the >", "a block's text begins on the next line, indented"),
}


def _syntax_fault(error: yaml.MarkedYAMLError, file: str, out: Loaded) -> None:
    """The parser's complaint in our words, at the place where a person would put the finger."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    context = (error.context_mark.line + 1, error.context_mark.column + 1) if error.context_mark else None
    problem = f"{error.context or ''} {error.problem or ''}"
    lines = out.marks.lines
    source = lines[line - 1] if line <= len(lines) else ""

    def say(message: str, hint: str, at: Optional[Tuple[int, int]] = None) -> None:
        _tell(out, file, *(at or (line, column)), message, hint)

    tab = _tab_indent(lines, line, context)
    if tab:
        return say("a tab at the beginning of the line", "YAML is indented with blanks: two for each level (vim: :retab)", tab)
    if "quoted scalar" in problem and context:
        return say("this quote is never closed", "close it on its line, or use a block:  bash: |", context)
    if "undefined alias" in problem or "alias" in problem or "anchor" in problem:
        if re.search(r":\s+\*[\w]*[/ ]|:\s+\*$", source) or "alphabetic" in problem or "did not find expected alphabetic" in problem:
            return say(*_LEADING["*"], at=(line, source.find("*") + 1 or column))
        return say(f"there is no anchor of that name: {source.strip()}", "an alias *name needs an anchor &name before it; a text that begins with * needs quotes")
    value = re.match(r"\s*(?:- )*(?:[\w.-]+:\s+)?([*&@%`!|>])", source)
    if value and value.group(1) in "@%`" and ("cannot start" in problem or "directive" in problem):
        return say(*_LEADING[value.group(1)], at=(line, value.start(1) + 1))
    if "block scalar" in problem and "expected a comment" in problem:
        return say(*_LEADING["|"])
    if "mapping values are not allowed" in problem:
        return _second_colon(source, line, column, say, lines)
    if "flow sequence" in problem or "flow mapping" in problem:
        name = "[" if "sequence" in problem else "{"
        return say(f"this {name} is never closed, or a comma is missing in it", f"close it with {']' if name == '[' else '}'}; quote texts that hold , or :", context)
    if "could not find expected ':'" in problem:
        first = context or (line, column)
        text = lines[first[0] - 1].strip() if first[0] <= len(lines) else ""
        return say(f"this line is no key: value: {text[:60]}", "write key: value; a text of several lines needs a block:  bash: |", first)
    if "expected the node content" in problem or "did not find expected node content" in problem:
        return say("a value is missing or begins with a sign that YAML keeps for itself", "quote the value")
    if "block mapping" in problem or "block collection" in problem or "block sequence" in problem or "block end" in problem:
        return say("this line is not indented like its neighbours", "keys of one level begin in one column; entries of a list begin with - in one column")
    if "document" in problem:
        return say("a second document begins here", "one file is one pipeline: remove the ---, or make two files")
    return say((error.problem or "not readable as YAML").strip(), "look at this line and the one before")


def _tab_indent(lines: List[str], line: int, context: Optional[Tuple[int, int]]) -> Optional[Tuple[int, int]]:
    for number in (line, line - 1, context[0] if context else line):
        if 0 < number <= len(lines):
            found = re.match(r"( *)\t", lines[number - 1])
            if found:
                return number, found.end()
    return None


def _second_colon(source: str, line: int, column: int, say, lines: List[str]) -> None:
    """`: ` inside a plain value, or a key that is deeper than the value before it."""
    before = source[: column - 1]
    if re.match(r"\s*(?:- )?[\w.-]+:\s+\S", before):
        return say("a second ': ' in one value", 'quote the whole value, or use a block:  bash: |', (line, column))
    return say("this key is indented deeper than the one before, which has a value already", "keys of one level begin in one column")


# ----------------------------------------------------------------------------------------------------------- building


class _Builder:
    """Nodes to dict and list, every place remembered."""

    def __init__(self, out: Loaded, file: str):
        self._out, self._file = out, file
        self._count = 0
        self._open: set = set()
        self._over = False

    def build(self, node: yaml.Node) -> Any:
        value = self._value(node, ())
        return None if self._over else value

    def _problem(self, node: yaml.Node, message: str, hint: str = "", severity: str = "error") -> None:
        mark = _mark(node)
        _tell(self._out, self._file, mark.line, mark.column, message, hint, severity)

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._out.marks._values[path] = node
        self._count += 1
        if self._count > MAX_NODES:
            if not self._over:
                self._over = True
                self._problem(node, f"more than {MAX_NODES:,} values, aliases counted each time", "aliases of aliases multiply: write it out, or less of it")
            return None
        if node.tag not in _TAGS:
            self._problem(node, f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')}", "tags are not used here: remove it")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            self._problem(node, "an alias inside of what it names", "remove the alias")
            return None
        self._open.add(id(node))
        try:
            return self._sequence(node, path) if isinstance(node, yaml.SequenceNode) else self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _sequence(self, node: yaml.SequenceNode, path: Path) -> List[Any]:
        out = []
        for i, item in enumerate(node.value):
            if self._over:
                break
            out.append(self._value(item, path + (i,)))
        return out

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Dict[str, Any]:
        out: Dict[str, Any] = {}
        merged: Dict[str, Any] = {}
        seen: Dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            if self._over:
                break
            if key_node.tag.endswith(":merge") and key_node.value == "<<":
                self._merge(value_node, path, merged)
                continue
            key = self._key(key_node)
            if key is None:
                continue
            if key in seen:
                self._problem(key_node, f"the key {key} is here twice", f"the first one is on line {seen[key].start_mark.line + 1}: keep one of them")
                continue
            seen[key] = key_node
            self._out.marks._keys[path + (key,)] = key_node
            out[key] = self._value(value_node, path + (key,))
        return {**{key: value for key, value in merged.items() if key not in out}, **out}

    def _merge(self, node: yaml.Node, path: Path, merged: Dict[str, Any]) -> None:
        """`<<: *x`: what is not said here is taken from there; the first of several wins."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self._problem(node, "<<: takes a mapping by its alias", "write <<: *name; to write a text that begins with <<, quote it")
                return
            before = dict(self._out.marks._values)
            value = self._value(source, path)
            for key, item in (value or {}).items():
                merged.setdefault(key, item)
            self._out.marks._values[path] = before.get(path, source)

    def _key(self, node: yaml.Node) -> Optional[str]:
        if not isinstance(node, yaml.ScalarNode):
            self._problem(node, "a list or a mapping as a key", "a key is a text; a template as a value needs quotes: \"<< ds >>\"")
            return None
        if node.tag != "tag:yaml.org,2002:str" and node.style is None:
            if node.tag.endswith((":int", ":float", ":bool", ":null", ":merge")):
                self._problem(node, f"the key {node.value or 'nothing'} is no text", f'quote it: "{node.value}"')
                return None
        key = node.value
        odd = re.search("[\u00a0\u3000\ufeff\u200b]", key)
        if odd:
            name = {"\u00a0": "a no-break space", "\u3000": "a full-width blank", "\ufeff": "a byte order mark", "\u200b": "a zero-width blank"}[odd.group()]
            self._problem(node, f"{name} in the key {key.strip()!r}", "it looks like a blank but is none: type the line anew")
            return None
        return key

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind, text = node.tag.rsplit(":", 1)[1], node.value
        if kind == "str" or node.style in ("'", '"', "|", ">"):
            if node.style is None and "\uff1a" in text:
                self._problem(node, "a full-width colon", "type : and a blank instead of \uff1a")
            return text
        if kind == "bool":
            return text.lower() == "true"
        if kind == "null":
            return None
        if kind == "merge":
            return text
        if kind == "float":
            return FloatText(float(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").replace(".nan", "nan").replace(".NaN", "nan").replace(".NAN", "nan")), text)
        return int(text)
