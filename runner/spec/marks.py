"""Where the parts of a YAML document stand: of values, keys, and places inside a text. Looked up when a fault asks."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import yaml

from runner.model import Mark
from runner.spec.report import split_lines
from runner.spec.text import mark_of

Path = Tuple[Any, ...]


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
        return mark_of(node.start_mark) if node is not None else Mark(1, 1)

    def word(self, path: Path) -> str:
        """A value as the file spells it, without quotes; "" for one that is not there, or no scalar."""
        _, node = self._find(tuple(path))
        return node.value if isinstance(node, yaml.ScalarNode) else ""

    def line(self, number: int) -> str:
        """A line of the file, from 1."""
        return self._lines[number - 1].rstrip("\r") if 0 < number <= len(self._lines) else ""

    def folded(self, path: Path) -> List[str]:
        """The lines of a block with >, as they stand in the file, without their indentation; none for another text."""
        _, node = self._find(tuple(path))
        if not isinstance(node, yaml.ScalarNode) or node.style != ">":
            return []
        lines = [line.rstrip() for line in self._lines[self._content(mark_of(node.start_mark))[0] + 1 : node.end_mark.line]]
        indents = [len(line) - len(line.lstrip(" ")) for line in lines if line]
        return [line[min(indents) :] for line in lines] if indents else []

    def folder(self, path: Path) -> str:
        """Where relative paths below that path start, "" for the folder of the file; only a merged file knows others."""
        return ""

    def key(self, path: Path) -> Mark:
        """Where the key of that path starts; for an item of a list, where the item starts."""
        key, node = self._find(tuple(path))
        node = key if key is not None else node
        return mark_of(node.start_mark) if node is not None else Mark(1, 1)

    def in_text(self, path: Path, line: int, column: int) -> Mark:
        """Where in the file the place `line`:`column` (from 1) of a text stands."""
        _, node = self._find(tuple(path))
        if not isinstance(node, yaml.ScalarNode):
            return self.value(path)
        place = mark_of(node.start_mark)
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


def _offset(value: str, line: int, column: int) -> int:
    """The place of line:column in a text, as a count of characters."""
    lines = value.split("\n")
    return sum(len(text) + 1 for text in lines[: line - 1]) + column - 1


def where(path: Path) -> str:
    """steps[2].bash for ("steps", 2, "bash")."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text
