"""What can be said of a text's tags before any run: unknown names, parameters and outputs, with the near ones."""

from __future__ import annotations

import re
from typing import AbstractSet, FrozenSet, Iterable, Iterator, List, Optional, Set, Tuple

import jinja2

from runner.site import connections
from runner.template.foreign import OF_DATES, WORDS
from runner.template.lexer import Piece, Places, TemplateFault
from runner.template.names import KINDS, NAMES, PARTS, SITE_NAMES, WHY_EMPTY, Moment
from runner.template.sandbox import CLOCK_WORDS, NO_CLOCK, words_of
from runner.template.syntax import Expression, Fault, compile_text, expression, inside_of, nearest, pieces_of, plain_words, source

_BUILT_IN = frozenset({"range", "dict"})  # Jinja's own harmless functions
_GOOD = NAMES | _BUILT_IN


def find_faults(text: str, params: FrozenSet[str], upstream: Optional[AbstractSet[str]], worded: AbstractSet[str]) -> List[TemplateFault]:
    pieces, found = pieces_of(text)
    faults, places = list(found), Places(text)
    blocks = any(piece.kind == "block" for piece in pieces)
    own = declared(pieces) if blocks else frozenset()
    for piece in pieces:
        inside = "" if piece.kind == "text" else inside_of(piece)
        if inside:
            for message, hint in of_expression(inside, params, upstream, own):
                faults.append(places.fault(piece.offset, f"{shown(piece)}: {message}", hint))
            for message, hint in _compared(inside, worded) if worded else ():
                faults.append(places.fault(piece.offset, f"{shown(piece)}: {message}", hint, "warning"))
    if blocks:
        faults += _unbalanced(pieces, places)
    return faults


def expression_faults(
    text: str, params: FrozenSet[str], upstream: Optional[AbstractSet[str]], worded: AbstractSet[str], condition: bool
) -> List[TemplateFault]:
    known = expression(text)
    if known.names is None:
        return [TemplateFault(1, 1, f"{text}: {known.why}")]
    faults = of_expression(text, params, upstream, frozenset()) + (_undecided(known) if condition else [])
    out = [TemplateFault(1, 1, f"{text}: {message}", hint) for message, hint in faults]
    return out + [TemplateFault(1, 1, f"{text}: {message}", hint, "warning") for message, hint in _compared(text, worded)]


def _undecided(known: Expression) -> List[Fault]:
    """Dates and names where a condition asks for yes or no: each is a text that says neither, in every run."""
    said = sorted(name for name in known.asked if _is_text(name.split(".")))
    return [(f"{name} is a text, neither true nor false", _instead(name)) for name in said]


def _is_text(path: List[str]) -> bool:
    if path[0] in PARTS:
        return path[0] != "macros" and len(path) == 2 and path[1] in PARTS[path[0]] and path[1] not in KINDS
    return len(path) == 1 and path[0] in NAMES - {"params", "outputs", "item", *SITE_NAMES, *KINDS}


def _instead(name: str) -> str:
    head = name.split(".")[0]
    return f"write {head} is not none" if head.split("_nodash")[0] in WHY_EMPTY else f"compare it, as in {name} == '...'"


def _compared(text: str, worded: AbstractSet[str]) -> Iterator[Fault]:
    """Comparisons that no text passes, of what a step hands on. `worded`: the steps that hand on texts."""
    for name, sign, value in expression(text).against:
        path = name.split(".")
        if path[0] != "outputs" or len(path) != 3 or path[1] not in worded:
            continue
        shown, kind = str(value).lower(), "float" if isinstance(value, float) else "int"
        message = f"no text equals {shown}" if sign in ("eq", "ne") else f"a text is not less or more than {shown}"
        right = f"compare with '{shown}'" if isinstance(value, bool) else f"write {_written(path)} | {kind}"
        yield f"{_written(path)} is a text, unless {path[1]} hands it on as JSON, and {message}", right


def _written(path: List[str]) -> str:
    """outputs.load.rows; outputs['load-raw'].rows"""
    return ".".join(path) if path[1].isidentifier() else f"outputs['{path[1]}'].{path[2]}"


def references(text: str) -> Set[str]:
    out: Set[str] = set()
    for piece in pieces_of(text)[0]:
        if piece.kind != "text":
            out |= expression(inside_of(piece)).references
    return out


def names_used(text: str) -> Set[str]:
    """The names that its tags take from outside."""
    pieces = pieces_of(text)[0]
    used: Set[str] = set()
    for piece in pieces:
        if piece.kind != "text" and inside_of(piece):
            used |= expression(inside_of(piece)).names or frozenset()
    return used - declared(pieces)


def shown(piece: Piece) -> str:
    return f"<< {piece.text} >>" if piece.kind == "tag" else f"<% {piece.text} %>"


def of_expression(text: str, params: FrozenSet[str], upstream: Optional[AbstractSet[str]], own: FrozenSet[str]) -> List[Fault]:
    """Faults of one expression. `own`: names that blocks around it make."""
    known = expression(text)
    if known.names is None:
        return [(known.why, "")]
    out = [_unknown(name, text, upstream) for name in sorted(known.names - _GOOD - own)] if known.names - _GOOD else []
    out += known.faults
    out += [fault for name in SITE_NAMES if name in known.names and name not in own for fault in _of_site(name, text, known.references)]
    for reference in sorted(known.references):
        path = reference.split(".")
        if path[0] not in own:
            problem = _of_reference(path, params, upstream)
            if problem:
                out.append(problem)
    return out


def _unknown(name: str, text: str, upstream: Optional[AbstractSet[str]]) -> Fault:
    hint = WORDS.get(name)
    dashed = [each for each in sorted(upstream or ()) if name in each.split("-")[1:] and f"outputs.{each}" in text]
    if dashed:  # outputs.load-raw.rows is a subtraction
        hint = f"a name with - is written outputs['{dashed[0]}']"
    if hint is None:
        near = nearest(name, NAMES)
        hint = (f"did you mean {near}? " if near else "") + "To keep << as it is, write <<!"
    return f"unknown name {name!r}", hint


def _of_reference(path: List[str], params: FrozenSet[str], upstream: Optional[AbstractSet[str]]) -> Optional[Fault]:
    name, part = path[0], path[1]
    if name == "params" and part not in params:
        near = nearest(part, params, 0.5)
        return f"there is no parameter {part!r}", f"did you mean params.{near}?" if near else "declare it under params:"
    if name == "outputs" and upstream is not None and part not in upstream:
        return _not_upstream(part, upstream)
    if name not in ("params", "outputs") and CLOCK_WORDS & set(path):
        return NO_CLOCK, "write << ds >>, << ts >> or << logical_date >>"
    if part not in PARTS.get(name, (part,)):
        near = nearest(part, PARTS[name])
        return f"{name} has no {part!r}", f"did you mean {name}.{near}?" if near else f"it has {', '.join(PARTS[name])}"
    return _of_value(path) if name in NAMES - {"params", "outputs", "item", *SITE_NAMES} else None


_SECRET = re.compile(r"secret\.[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def _of_site(name: str, text: str, references: FrozenSet[str]) -> List[Fault]:
    """Faults of form: which names there are, only the server knows that runs it."""
    if name == "secret":
        hint = "write << secret.NAME >> with nothing else in the tag: what is put around it stands outside"
        return [] if _SECRET.fullmatch(text.strip()) else [("a secret stands alone in its tag", hint)]
    asked = [reference.split(".") for reference in references if reference.startswith(name + ".")]
    airflow = next((path for path in asked if len(path) > 2 and path[1] in ("value", "json")), None) if name == "var" else None
    if airflow:
        return [(f"var.{airflow[1]} is Airflow's word", f"write << var.{'.'.join(airflow[2:])} >>")]
    if name == "var":
        return [] if asked else [("var alone is nothing", "write << var.NAME >>")]
    if not asked or any(len(path) < 3 for path in asked):
        return [("a connection has fields", "write << conn.NAME.host >>, or another of its fields")]
    hidden = sorted({path[2] for path in asked if connections.is_hidden(path[2])})
    hint = "name the connection to a kind of step that takes one, or write env: {PASSWORD: << secret.NAME >>}"
    return [(f"{field} of a connection is for no text", hint) for field in hidden]


def site_names(text: str) -> Iterator[Tuple[int, Tuple[str, ...], str]]:
    """What its tags and blocks ask the site for: (offset in the text, parts of the dotted name, the tag)."""
    for piece in pieces_of(text)[0]:
        inside = "" if piece.kind == "text" else inside_of(piece)
        for reference in sorted(expression(inside).references) if inside else ():
            path = tuple(reference.split("."))
            if path[0] in SITE_NAMES:
                yield piece.offset, path, shown(piece)


def _of_value(path: List[str]) -> Optional[Fault]:
    """A fault of what is asked of a value: ds.foo, logical_date.format. The sandbox would refuse it in the run."""
    end = 2 if path[0] in PARTS else 1
    if len(path) == end or path[end].isdigit():  # ds[0]
        return None
    name, part, kind = ".".join(path[:end]), path[end], KINDS.get(path[end - 1], str)
    words = words_of(kind)
    return None if part in words else (f"{name} has no {part!r}", _asked(name, part, kind, words))


def _asked(name: str, part: str, kind: type, words: FrozenSet[str]) -> str:
    if kind is Moment and part in OF_DATES:
        return f"write {name}.{OF_DATES[part]}"
    if kind is str and part in words_of(Moment) | set(OF_DATES):
        other = f"ds_format({name}, '%Y-%m-%d', '%Y%m') gives another layout"
        return f"{name} is a text: " + (f"write logical_date.{OF_DATES.get(part, part)}" if name in ("ds", "ts") else other)
    if part in NAMES:  # datetime.timedelta
        return f"write {part} alone"
    near = nearest(part, words, 0.7)
    if near:
        return f"did you mean {name}.{near}?"
    if words:
        return f"it has {', '.join(sorted(words))}"
    return f"nothing can be asked of {name}: it is a {'number' if kind is int else 'function'}"


def _not_upstream(step: str, upstream: AbstractSet[str]) -> Fault:
    message = f"step {step!r} is not upstream of this one, so its outputs are not known here"
    dashed = [each for each in sorted(upstream) if each.startswith(step + "-")]
    if dashed:  # outputs.load-raw.rows is a subtraction
        return message, f"a name with - is written outputs['{dashed[0]}']"
    near = nearest(step, upstream, 0.5)
    return message, f"did you mean outputs.{near}?" if near else f"add it to needs:, so that it has ended before  (needs: {step})"


# -------------------------------------------------------------------------------------------------------------- blocks


def declared(pieces: Iterable[Piece]) -> FrozenSet[str]:
    """Names that blocks of this text make: `for x in ..`, `set x = ..`."""
    out: Set[str] = set()
    for piece in pieces:
        if piece.kind == "block" and piece.text.startswith(("for ", "set ")):
            head = piece.text[4:].split(" in " if piece.text.startswith("for ") else "=", 1)[0]
            out.update(name.strip(" ()") for name in head.split(","))
            out.add("loop")
    return frozenset(out)


def _unbalanced(pieces: List[Piece], places: Places) -> List[TemplateFault]:
    """Each if and for needs its end; the fault stands at the block that has none."""
    open_blocks: List[Piece] = []
    for piece in pieces:
        word = piece.text.split(" ")[0] if piece.kind == "block" else ""
        if word in ("if", "for"):
            open_blocks.append(piece)
        elif word in ("elif", "else", "endif", "endfor"):
            wanted = {"elif": ("if",), "endif": ("if",), "endfor": ("for",)}.get(word, ("if", "for"))
            if not open_blocks or open_blocks[-1].text.split(" ")[0] not in wanted:
                return [places.fault(piece.offset, f"{shown(piece)}: there is no {' or '.join(wanted)} that it belongs to", "")]
            if word.startswith("end"):
                open_blocks.pop()
    if open_blocks:
        word = open_blocks[-1].text.split(" ")[0]
        return [places.fault(open_blocks[-1].offset, f"{shown(open_blocks[-1])} is not closed", f"write <% end{word} %> where it ends")]
    return _unreadable(pieces, places)


def _unreadable(pieces: List[Piece], places: Places) -> List[TemplateFault]:
    """What only the whole shows, such as `for x` without `in`."""
    try:
        compile_text(source(pieces))
    except (jinja2.TemplateSyntaxError, SyntaxError, MemoryError, RecursionError) as error:  # Python nests 20 loops, 100 ifs
        first = next(piece for piece in pieces if piece.kind == "block")
        say = plain_words(str(error.message)) if isinstance(error, jinja2.TemplateSyntaxError) else "too deeply nested"
        return [places.fault(first.offset, f"the <% %> blocks that begin here: {say}", "")]
    return []
