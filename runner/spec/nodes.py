"""YAML with places: plain data, where each of it stands in the file, and faults told in our own words.

Stricter than YAML 1.1: `no`, `12:30`, `0755` and `2024-01-31` stay text, a key stands once, a key is text, and
nothing in a file can crash the process or blow up its memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple, Union

import yaml

from runner.model import Problem
from runner.spec import syntax
from runner.spec.marks import Marks, Path, where
from runner.spec.report import split_lines
from runner.spec.text import Stop, clip, decode, mark_of, odd_character

MAX_DEPTH = 64
MAX_NODES = 200_000
MAX_PROBLEMS = 100
MAX_DIGITS = 1000

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


# ------------------------------------------------------------------------------------------------------------- load


@dataclass
class Loaded:
    """What a file holds; `data` is None when it could not be read (or is empty)."""

    data: Any
    marks: Marks
    problems: List[Problem]
    text: str  # what a run keeps
    sheets: Dict[str, Tuple[str, List[str]]] = field(default_factory=dict)  # of one put together of several files: Mark.file -> name, lines

    @property
    def errors(self) -> List[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]


def load(raw: Union[bytes, str], file: str) -> Loaded:
    """Read one YAML document. Never raises for what the file says: faults are in `problems`."""
    text, lines, root, builder = "", [], None, None
    data, problems = None, []
    try:
        text = decode(raw, file)
        lines = split_lines(text)
        if _may_nest(text):
            _check_depth(text)
        root = _compose(text, lines)
        builder = _Builder(file, lines)
        if root is not None:
            data = builder.build(root, (), 1)
    except Stop as stop:
        data = None
        source = stop.source
        if source is None:
            source = lines[stop.line - 1] if 1 <= stop.line <= len(lines) else ""
        problems.append(Problem(file, stop.line, stop.column, stop.message, stop.hint, "error", stop.where, source))
    if builder is not None:
        problems = builder.problems + problems
    return Loaded(data, Marks(root, lines, builder.memo if builder is not None else None), problems, text)


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
                    place = mark_of(event.start_mark)
                    raise Stop(place.line, place.column, *_TOO_DEEP)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except (yaml.YAMLError, UnicodeEncodeError):
        pass  # the composer meets the same fault at the same place, and no deeper


_TOO_DEEP = (f"nested deeper than {MAX_DEPTH} levels", "write the inner part flat, or check the brackets for one that is not closed")


def _compose(text: str, lines: List[str]) -> Any:
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as err:
        raise syntax.explain(err, text, lines, _Loader) from err
    except (yaml.YAMLError, UnicodeEncodeError) as err:
        raise odd_character(text, err) from err
    finally:
        if loader is not None:
            loader.dispose()


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

    def stop(self, node: Any, path: Path, message: str, hint: str = "") -> Stop:
        return Stop(node.start_mark.line + 1, node.start_mark.column + 1, message, hint, where(path))

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
        shown = clip("!!" + tag[len(_TAG) :] if tag.startswith(_TAG) else tag)
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
                    node, path, f"{clip(value)} is text here, not a number of base 60",
                    f'write "{clip(value)}" to say so (other YAML readers take it for a number)', "warning",
                )
            return value
        elif tag in _TEXTS:
            return value
        else:
            self.bad_tag(node, path)
            return value
        self.say(node, path, f"{clip(value)!r} is not what its tag !!{tag[len(_TAG):]} says", "remove the tag")
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
                    first, second = found[name][0].start_mark.line + 1, key.start_mark.line + 1
                    both = f"twice: on line {first} and on line {second}" if first != second else f"twice on line {first}"
                    self.say(key, path + (name,), f"the key {clip(name)!r} stands {both}", "keep one of them")
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
            self.say(key, path, f"the key {clip(key.value)} is {shown}, not text", f'quote it: "{clip(key.value)}":')

    def check_key(self, key: Any, path: Path) -> None:
        for char, name, hint in _ODD_IN_KEY:
            if char in key.value:
                self.say(key, path + (key.value,), f"the key {clip(key.value)!r} holds {name}", hint)
                return


_ODD_IN_KEY = (
    ("\xa0", "a no-break space (U+00A0)", "replace it with an ordinary space; it often comes from copying a web page or a chat"),
    ("\u3000", "a full-width space (U+3000)", "replace it with an ordinary space"),
    ("\uff1a", "a full-width colon (U+FF1A)", "write an ordinary colon and a space: 'key: value'"),
    ("\ufeff", "a byte order mark (U+FEFF)", "remove it; it often comes from joining two files"),
    ("\u200b", "a space without width (U+200B)", "remove it"),
)
