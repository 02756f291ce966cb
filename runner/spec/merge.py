"""A pipeline with what it takes of other files, `extends:` and `include:`, and where each of its values was written.

Mappings merge, steps merge by id, everything else replaces. What is merged are plain data; beside them goes a tree of
places, by which a fault is told in the file where the text stands, also when only the whole shows it.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple, Union

from runner import steps
from runner.model import Mark, Problem
from runner.spec import nodes, parts
from runner.spec.marks import Marks, Path, where
from runner.spec.report import split_lines

MAX_CHAIN = 10  # files, each of which takes the next
MAX_FILES = 100
INCLUDED = ("steps", "params", "env", "defaults")  # what an included file may hold
_KEPT_NULL = ("skip_exit",)  # where nothing is a value of its own

Read = Callable[[str], Union[bytes, str]]


class Part(NamedTuple):
    """One of the files. `file` is "" for the pipeline's own."""

    file: str
    folder: str
    shown: str
    data: Any
    marks: Marks


@dataclass(frozen=True)
class Place:
    """Where a value was written. With `inside` it was put together, and each of its parts has a place of its own."""

    part: Part  # the last one that wrote at it
    path: Path  # there
    inside: Optional[Dict[Any, "Place"]]
    first: Part  # the first that wrote it


Piece = Tuple[Any, Place]


class Origins:
    """The places of a merged file; asked as `Marks` is."""

    def __init__(self, root: Place):
        self._root = root

    def _find(self, path: Path) -> Tuple[Part, Path, Place]:
        place = self._root
        for n, key in enumerate(path):
            if place.inside is None:
                return place.part, place.path + path[n:], place
            if key not in place.inside:
                break
            place = place.inside[key]
        return place.part, place.path, place

    def value(self, path: Path = ()) -> Mark:
        part, own, _ = self._find(tuple(path))
        return replace(part.marks.value(own), file=part.file)

    def key(self, path: Path) -> Mark:
        part, own, _ = self._find(tuple(path))
        return replace(part.marks.key(own), file=part.file)

    def in_text(self, path: Path, line: int, column: int) -> Mark:
        part, own, _ = self._find(tuple(path))
        return replace(part.marks.in_text(own, line, column), file=part.file)

    def folded(self, path: Path) -> List[str]:
        part, own, _ = self._find(tuple(path))
        return part.marks.folded(own)

    def folder(self, path: Path) -> str:
        """Where relative paths below that path start: the folder of the file that wrote it first."""
        return self._find(tuple(path))[2].first.folder

    def is_merged(self, path: Path) -> bool:
        """Whether more than one file wrote the value."""
        return self._find(tuple(path))[2].inside is not None


# -------------------------------------------------------------------------------------------------------------- taking


def takes(data: Any) -> bool:
    """Whether a file takes something of others."""
    return isinstance(data, dict) and any(key in data for key in parts.KEYS)


def whole(loaded: nodes.Loaded, path: str, shown: str, read: Read, show: Callable[[str], str]) -> Tuple[nodes.Loaded, Tuple[str, ...]]:
    """A file with all it takes, and the other files that were looked at, absolute.

    Whatever is wrong with the taking is among the problems; then `data` is None. `show` says how messages call a file.
    """
    taking = _Taking(read, show)
    main = Part("", os.path.dirname(path), shown, loaded.data, loaded.marks)
    data, root = taking.all_of(main, (path,))
    problems = loaded.problems + taking.problems
    sheets = {file: (each.shown, split_lines(taking.texts[file])) for file, each in taking.known.items() if each}
    sheets[""] = (shown, split_lines(loaded.text))
    text = parts.pack(path, loaded.text, taking.texts)
    if any(problem.severity == "error" for problem in taking.problems):
        data = None
    else:
        _settle_files(data, root)
    return nodes.Loaded(data, Origins(root), problems, text, sheets), tuple(sorted(taking.looked))


class _Taking:
    """Reads each file once."""

    def __init__(self, read: Read, show: Callable[[str], str]):
        self._read, self._show = read, show
        self.problems: List[Problem] = []
        self.looked: Set[str] = set()
        self.texts: Dict[str, str] = {}
        self.known: Dict[str, Optional[Part]] = {}
        self._done: Dict[str, Piece] = {}

    def all_of(self, part: Part, way: Tuple[str, ...]) -> Piece:
        """What a file is with everything it takes; `way`: the files that lead to it, itself last."""
        found: Optional[Piece] = None
        for key, written, path in self._asked(part):
            piece = self._taken(part, key, written, path, way)
            if piece is not None:
                found = piece if found is None else merged(found, piece)
        own = {key: value for key, value in part.data.items() if not key.startswith("x-") and not (key in parts.KEYS and _is_asking(key, value))}
        place = Place(part, (), {key: Place(part, (key,), None, part) for key in own}, part)
        return (own, place) if found is None else merged(found, (own, place))

    def _asked(self, part: Part) -> Iterator[Tuple[str, str, Path]]:
        """(key, path as written, where), what is extended first. A wrong shape is left for the schema to tell."""
        extends, include = part.data.get("extends"), part.data.get("include")
        if isinstance(extends, str):
            yield "extends", extends, ("extends",)
        if isinstance(include, str):
            yield "include", include, ("include",)
        elif _is_asking("include", include):
            for n, written in enumerate(include):
                yield "include", written, ("include", n)

    def _taken(self, part: Part, key: str, written: str, path: Path, way: Tuple[str, ...]) -> Optional[Piece]:
        say = lambda message, hint: self._say(part, path, message, hint)  # noqa: E731
        if not part.folder:
            return say(f"{key}: a text without a file cannot take another", "save it as a file in the folder where the path starts")
        if "<<" in written:
            return say(f"{key}: a file's name is fixed", "write the name itself: templates are filled in when a run begins")
        file = os.path.normpath(os.path.join(part.folder, os.path.expanduser(written)))
        if file in way:
            names = [os.path.basename(each) for each in (*way[way.index(file):], file)]
            return say(f"the files take each other in a circle: {' -> '.join(names)}", f"each arrow is an extends: or include:; remove {key}: here")
        if len(way) > MAX_CHAIN:
            return say(f"{key}: more than {MAX_CHAIN} files, each of which takes the next", "take the last ones from the first file, with include:")
        if file not in self.known:
            if len(self.known) >= MAX_FILES:
                return say(f"{key}: the pipeline takes more than {MAX_FILES} files", "put some of them together")
            self.known[file] = self._load(part, file, written, path)
        taken = self.known[file]
        if taken is None:
            return None
        if file not in self._done:
            self._done[file] = self.all_of(taken, (*way, file))
        return self._done[file] if key == "extends" else self._included(taken, self._done[file])

    def _load(self, part: Part, file: str, written: str, path: Path) -> Optional[Part]:
        self.looked.add(file)
        try:
            raw = self._read(file)
        except OSError as error:
            self._say(part, path, *_unreadable(file, written, error))
            return None
        shown = self._show(file)
        loaded = nodes.load(raw, shown)
        self.texts[file] = loaded.text
        self.problems += loaded.problems
        if loaded.errors:
            return None
        if not isinstance(loaded.data, dict):
            what = "is empty" if loaded.data is None else "is no mapping"
            self._say(part, path, f"{written} {what}", "a part holds steps:, params:, env: or defaults:, as a pipeline does")
            return None
        return Part(file, os.path.dirname(file), shown, loaded.data, loaded.marks)

    def _included(self, taken: Part, piece: Piece) -> Piece:
        for key in taken.data:
            if key not in INCLUDED + parts.KEYS and not key.startswith("x-"):
                self._say(taken, (key,), f"{key}: cannot be included", "an included file holds steps:, params:, env: and defaults:; extends: takes everything", at_key=True)
        children = _children(piece)
        return _made({key: children[key] for key in children if key in INCLUDED}, piece[1], piece[1])

    def _say(self, part: Part, path: Path, message: str, hint: str, at_key: bool = False) -> None:
        mark = part.marks.key(path) if at_key else part.marks.value(path)
        problem = Problem(part.shown, mark.line, mark.column, message, hint, "error", where(path), part.marks.line(mark.line))
        if problem not in self.problems:
            self.problems.append(problem)


def _is_asking(key: str, value: Any) -> bool:
    return isinstance(value, str) or key == "include" and isinstance(value, list) and all(isinstance(each, str) for each in value)


def _unreadable(file: str, written: str, error: OSError) -> Tuple[str, str]:
    if not isinstance(error, FileNotFoundError):
        if os.path.isdir(file):
            return f"{written} is a folder", "name a file in it"
        return f"{written} cannot be read: {error.strerror}", f"type: ls -l {file}"
    folder = os.path.dirname(file)
    try:
        near = difflib.get_close_matches(os.path.basename(file), [name for name in os.listdir(folder) if name.endswith((".yaml", ".yml"))], 1, 0.75)
    except OSError:
        near = []
    hint = f"did you mean {os.path.join(os.path.dirname(written), near[0])}?" if near else "a relative path starts at the folder of the file that names it"
    return f"the file {written} does not exist", hint


# -------------------------------------------------------------------------------------------------------------- merging


def merged(low: Piece, high: Piece) -> Piece:
    """Two files as one; the second one's word counts."""
    return _mappings(low, high, _top)


def _top(key: str, low: Piece, high: Piece) -> Piece:
    if key == "steps":
        return _steps(low, high)
    if key == "params" and isinstance(low[0], dict) and isinstance(high[0], dict):
        return _mappings(low, high, _param)
    return _deep(key, low, high)


def _deep(_: Any, low: Piece, high: Piece) -> Piece:
    return _mappings(low, high, _deep) if isinstance(low[0], dict) and isinstance(high[0], dict) else high


def _param(_: str, low: Piece, high: Piece) -> Piece:
    """A default alone, `region: KR`, changes the default of a parameter that is described, and the other way about."""
    if isinstance(low[0], dict) or isinstance(high[0], dict):
        low, high = (each if isinstance(each[0], dict) else _made({"default": each}, each[1], each[1]) for each in (low, high))
        return _mappings(low, high, lambda key, under, over: over)
    return high


def _steps(low: Piece, high: Piece) -> Piece:
    """Steps of one id become one, at the place of the first; the others follow."""
    if not (isinstance(low[0], list) and isinstance(high[0], list)):
        return high
    found = list(_children(low).values())
    known: Dict[str, int] = {}
    for n, (step, _) in enumerate(found):
        if isinstance(step, dict) and isinstance(step.get("id"), str):
            known.setdefault(step["id"], n)
    for piece in _children(high).values():
        name = piece[0].get("id") if isinstance(piece[0], dict) else None
        if isinstance(name, str) and name in known:
            n = known.pop(name)  # the same id again in one file stays a fault
            found[n] = _step(found[n], piece)
        else:
            found.append(piece)
    return _made(dict(enumerate(found)), low[1], high[1], as_list=True)


def _step(low: Piece, high: Piece) -> Piece:
    """A step of another kind takes nothing of the old body."""
    kinds = [key for key in high[0] if key in steps.KINDS]
    if kinds and any(key in steps.KINDS and key not in kinds for key in low[0]):
        low = _made({key: each for key, each in _children(low).items() if key not in steps.KINDS or key in kinds}, low[1], low[1])
    return _mappings(low, high, _deep)


def _mappings(low: Piece, high: Piece, join: Callable[[Any, Piece, Piece], Piece]) -> Piece:
    out, over = dict(_children(low)), _children(high)
    for key, piece in over.items():
        if key not in out:
            out[key] = piece
        elif _takes_out(key, piece):
            del out[key]
        else:
            out[key] = join(key, out[key], piece)
    return _made(out, low[1], high[1])


def _takes_out(key: Any, piece: Piece) -> bool:
    """A null, written as a word, removes what stands below it; a value that was only forgotten stays a fault."""
    value, place = piece
    return value is None and key not in _KEPT_NULL and place.part.marks.word(place.path) != ""


def _children(piece: Piece) -> Dict[Any, Piece]:
    value, place = piece
    items = value.items() if isinstance(value, dict) else enumerate(value)
    if place.inside is not None:
        return {key: (each, place.inside[key]) for key, each in items}
    return {key: (each, Place(place.part, place.path + (key,), None, place.part)) for key, each in items}


def _made(found: Dict[Any, Piece], low: Place, high: Place, as_list: bool = False) -> Piece:
    place = Place(high.part, high.path, {key: each for key, (_, each) in found.items()}, low.first)
    return [value for value, _ in found.values()] if as_list else {key: value for key, (value, _) in found.items()}, place


def _settle_files(data: Any, root: Place) -> None:
    """A file named by another part than the one that began the body is named as seen from there."""
    origins = Origins(root)
    listed = data.get("steps")
    for i, step in enumerate(listed if isinstance(listed, list) else ()):
        for kind in [key for key in step if key in steps.KINDS] if isinstance(step, dict) else ():
            path = ("steps", i, kind)
            body = step[kind]
            if not isinstance(body, dict) or not origins.is_merged(path):
                continue
            start, settled = origins.folder(path), dict(body)
            for called in steps.KINDS[kind].files(body):
                folder = origins.folder(path + (called.key,))
                if folder != start and body.get(called.key) == called.path and not os.path.isabs(os.path.expanduser(called.path)):
                    settled[called.key] = os.path.relpath(os.path.join(folder, called.path), start)
            step[kind] = settled
