"""A fault of YAML's syntax at the place where a person would put the finger, in our words, with a remedy."""

from __future__ import annotations

import re
from typing import Any, List, Optional

import yaml

from runner.model import Mark
from runner.spec.text import Stop, clip, mark_of


_ENTRY = re.compile(r"[ \t]*(?:[-?][ \t]+)*")
_KEY = re.compile(r"""[ \t]*(?:[-?][ \t]+)*(?P<key>"[^"]*"|'[^']*'|[^\s#'"\[\]{},&*!|>%@`][^#:]*?)[ \t]*:(?=[ \t]|$)[ \t]*""")


def _quote(value: str) -> str:
    """A value in quotes, as a person would write it."""
    value = clip(value.strip())
    if '"' in value or "\\" in value:
        return "'" + value.replace("'", "''") + "'"
    return f'"{value}"'


def explain(err: Any, text: str, lines: List[str], loader: Any) -> Stop:
    """What to say of libyaml's complaint. The first of the questions below that knows an answer gives it."""
    fault = _Fault(err, text, lines, loader)
    for ask in (_document, _tab, _odd_space, _value_sign, _quote_fault, _bracket, _no_colon, _key_place, _indentation):
        answer = ask(fault)
        if answer is not None:
            return answer
    words = f"{fault.context}: {fault.said}" if fault.context else fault.said
    return fault.at(fault.place, f"not readable as YAML ({words})", "quote the value, or use a block: |")


class _Fault:
    """libyaml's complaint: its words, the place of the fault and the place where the part began that it was reading."""

    def __init__(self, err: Any, text: str, lines: List[str], loader: Any):
        self.context, self.said = err.context or "", err.problem or ""
        problem = err.problem_mark or err.context_mark
        self.place = mark_of(problem) if problem is not None else Mark(1, 1)
        self.opening = mark_of(err.context_mark) if err.context_mark is not None else self.place
        self.text, self.lines, self.loader = text, lines, loader
        self.line, self.first = self.line_of(self.place), self.line_of(self.opening)

    def line_of(self, mark: Mark) -> str:
        return self.lines[mark.line - 1] if 1 <= mark.line <= len(self.lines) else ""

    def sign(self, mark: Mark) -> str:
        return self.line_of(mark)[mark.column - 1 : mark.column]

    def at(self, mark: Mark, message: str, hint: str = "") -> Stop:
        return Stop(mark.line, mark.column, message, hint)


def _document(fault: _Fault) -> Optional[Stop]:
    """Of the text as a whole: documents, aliases, directives, marks of a merge."""
    place, said, context = fault.place, fault.said, fault.context
    for mark in (fault.opening, place):
        if re.match(r"(<{7}|={7}|>{7})( |$)", fault.line_of(mark)):
            return fault.at(Mark(mark.line, 1), "a mark of an unfinished merge of two versions", "choose one version and remove the lines <<<<<<<, ======= and >>>>>>>")
    if "single document" in context or "another document" in said:
        return fault.at(place, "a second document starts here; a file holds one", "remove the line ---, or write the rest to a file of its own")
    if "undefined alias" in said:
        name = _word(fault.line, place.column)
        rest = fault.line[place.column - 1 :]
        if _is_cron(rest):
            return fault.at(place, "a plain value cannot start with '*'", f"quote the schedule: {_schedule(rest)}")
        return fault.at(place, f"the alias {name} is not defined above", f"mark a value as &{name[1:]} further up, or quote the text: {_quote(rest)}")
    if "duplicate anchor" in context:
        return fault.at(place, f"the anchor {_word(fault.line, place.column)} is already defined on line {fault.opening.line}", "give it another name")
    if "recursive" in said:
        return fault.at(place, "an alias stands inside what it names", "write the value out")
    if "document start" in said and fault.lines and fault.lines[0].startswith("%"):
        return fault.at(Mark(1, 1), "a line that starts with '%' is a directive of YAML", "remove the line")
    if "directive" in context or "directive" in said:
        return fault.at(fault.opening, "a line that starts with '%' is a directive of YAML", _starts_with_hint("%", fault.first, fault.opening.column))
    return None


def _tab(fault: _Fault) -> Optional[Stop]:
    tab = _tab_in_indentation(fault.line)
    if tab and ("tab" in fault.said or "cannot start any token" in fault.said):
        return fault.at(Mark(fault.place.line, tab), "a tab is not allowed in indentation", "indent with spaces; in vi: :set expandtab | retab")
    return None


_ODD_SPACE = re.compile(r"[ \t]*([\xa0\u3000])[ \t\xa0\u3000]*(?:-([ \t]|$)|[\w-]+:([ \t]|$))")
_SPACES = {"\xa0": "a no-break space (U+00A0)", "\u3000": "a full-width space (U+3000)"}


def _odd_space(fault: _Fault) -> Optional[Stop]:
    """A line that is indented, in part, by spaces which are none for YAML: the one at fault, or the next above it."""
    if "scalar" in fault.context:
        return None
    for row in (fault.place.line - 1, _above(fault.lines, fault.place.line)):
        found = _ODD_SPACE.match(fault.lines[row]) if 0 <= row < len(fault.lines) else None
        if found:
            return fault.at(Mark(row + 1, found.start(1) + 1), f"{_SPACES[found.group(1)]} is no indentation for YAML", "indent with ordinary spaces")
    return None


def _value_sign(fault: _Fault) -> Optional[Stop]:
    """A plain value that starts with a sign of YAML's own."""
    opening, first, context, said = fault.opening, fault.first, fault.context, fault.said
    if "scanning an alias" in context:
        return fault.at(opening, "a plain value cannot start with '*'", _starts_with_hint("*", first, opening.column))
    if "scanning an anchor" in context:
        message = "a plain value cannot start with '&'" if _at_value(first, opening.column) else "'&' cannot follow here"
        return fault.at(opening, message, _starts_with_hint("&", first, opening.column))
    if "cannot start any token" in said:
        sign = fault.sign(fault.place) or "?"
        if sign == "\t":
            return fault.at(fault.place, "a tab is not allowed here", "use spaces")
        return fault.at(fault.place, f"a plain value cannot start with '{sign}'", _starts_with_hint(sign, fault.line, fault.place.column))
    if "tag" in context and "directive" not in context:
        return fault.at(opening, "a plain value cannot start with '!'", _starts_with_hint("!", first, opening.column))
    if "tag handle" in said or "undefined tag" in said:
        name = _word(fault.line, fault.place.column)
        return fault.at(fault.place, f"the tag {name} is not allowed here", _starts_with_hint("!", fault.line, fault.place.column))
    if "block scalar" not in context:
        return None
    if "comment or" in said:
        sign = fault.sign(opening) or "|"
        hint = f"put the text on the lines below, indented; or quote a value that starts with '{sign}'"
        return fault.at(opening, f"after '{sign}' the text starts on the next line", hint)
    return fault.at(fault.place, "the indentation of this block of text is wrong", "indent its lines by the same number of spaces, deeper than the key")


def _quote_fault(fault: _Fault) -> Optional[Stop]:
    place, opening = fault.place, fault.opening
    if "quoted scalar" in fault.context:
        if "escape" in fault.said or "hexdecimal" in fault.said or "hexadecimal" in fault.said:
            mark = place if "\\" in fault.line[max(0, place.column - 2) : place.column] else opening
            hint = "use single quotes: 'C:\\dir', or write \\\\ for a backslash"
            return fault.at(mark, "a backslash in double quotes starts an escape, and this one is unknown", hint)
        quote = fault.sign(opening) or '"'
        return fault.at(opening, f"the quote {quote} opened here is not closed", f"close it with {quote} on the same line, or use a block: |")
    start = _long_quote(fault.text, place, fault.loader)
    if start is None:
        return None
    quote = fault.sign(start) or '"'
    closed = place.line if place.column > 1 else place.line - 1
    return fault.at(start, f"the quote {quote} opened here is closed only on line {closed}", f"close it with {quote} on its own line")


def _bracket(fault: _Fault) -> Optional[Stop]:
    if "node content" in fault.said and not fault.sign(fault.place):
        return _open_at_end(fault)
    if "flow sequence" not in fault.context and "flow mapping" not in fault.context:
        return None
    opening, sign = fault.opening, fault.sign(fault.opening) or "["
    close = {"[": "]", "{": "}"}.get(sign, "]")
    if fault.place.line == opening.line:
        return fault.at(fault.place, f"',' or '{close}' is missing in the list opened with '{sign}' at column {opening.column}",
                        f"write '{close}' or ','; if this is no list, use a block: |, or quotes")
    comment = re.compile(r"[ \t]#").search(fault.first, opening.column)
    if comment and close in fault.first[comment.end() :]:
        return fault.at(Mark(opening.line, comment.end()), f"' #' begins a comment, so the {close} behind it is not seen", 'quote the text: "#..."')
    return _open_bracket(opening, sign)


def _open_bracket(opening: Mark, sign: str) -> Stop:
    close = "}" if sign == "{" else "]"
    return Stop(opening.line, opening.column, f"the bracket {sign} opened here is not closed", f"close it with {close}; if this is no list, quote the value")


def _open_at_end(fault: _Fault) -> Optional[Stop]:
    """The innermost bracket that is open where the file ends."""
    opened: List[Any] = []
    try:
        for token in yaml.scan(fault.text, fault.loader):
            if isinstance(token, (yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken)):
                opened.append(token)
            elif isinstance(token, (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)) and opened:
                opened.pop()
    except (yaml.YAMLError, UnicodeEncodeError):
        pass
    place = mark_of(opened[-1].start_mark) if opened else None
    return _open_bracket(place, fault.sign(place)) if place else None


_NO_COLON = "this line is not 'key: value' (could not find the ':')"


def _no_colon(fault: _Fault) -> Optional[Stop]:
    if "could not find expected ':'" not in fault.said:
        return None
    return _near_key(fault.opening.line, fault.lines) or fault.at(
        fault.opening, _NO_COLON, "add the ':' and a value; if it belongs to the text above, indent it deeper, under a block: |")


def _near_key(number: int, lines: List[str]) -> Optional[Stop]:
    """A line that was meant as `key: value` or `- item`, and why it is none."""
    line = lines[number - 1] if 1 <= number <= len(lines) else ""
    start = _ENTRY.match(line).end()
    full_width = line.find("\uff1a")
    if full_width >= 0:
        return Stop(number, full_width + 1, "a full-width colon (U+FF1A) is no colon for YAML", "write an ordinary colon and a space: 'key: value'")
    glued = re.match(r"([A-Za-z_][\w-]*):(?!//)(\S.*)", line[start:]) or re.match(r"([A-Za-z_][\w-]*):([\xa0\u3000].*)", line[start:])
    if glued:
        odd = _SPACES.get(glued.group(2)[0])
        said = f"{odd} stands behind ':' where a space must be" if odd else "a space is missing after ':'"
        return Stop(number, start + 1, said, f"write {clip(glued.group(1))}: {clip(glued.group(2).strip())}")
    dash = re.match(r"-([A-Za-z_\"'].*)", line[start:])
    if dash:
        return Stop(number, start + 1, "a space is missing after '-'", f"write - {clip(dash.group(1))}")
    equals = re.match(r"([A-Za-z_][\w-]*)\s*=\s*(\S.*)", line[start:])
    if equals:
        return Stop(number, start + 1, "this line is not 'key: value': it has = in place of the colon", f"write {clip(equals.group(1))}: {clip(equals.group(2))}")
    return None


def _key_place(fault: _Fault) -> Optional[Stop]:
    """A colon, a dash or a question mark where none can be."""
    if "mapping values are not allowed" in fault.said:
        return _stray_colon(fault.place, fault.lines)
    if "sequence entries are not allowed" in fault.said:
        return fault.at(fault.place, "a list cannot start on the line of its key", "put '- ...' on the next line, indented")
    if "mapping keys are not allowed" in fault.said:
        return fault.at(fault.place, "a key cannot stand here", "put it on a line of its own; quote a value that starts with '?'")
    if "node content" in fault.said:
        sign = fault.sign(fault.place)
        message = f"a plain value cannot start with '{sign}'" if sign else "a value is missing here"
        return fault.at(fault.place, message, f"quote it: {_quote(fault.line[fault.place.column - 1:])}")
    return None


def _indentation(fault: _Fault) -> Optional[Stop]:
    place, opening, line, lines = fault.place, fault.opening, fault.line, fault.lines
    of_list = "block collection" in fault.context or "block sequence" in fault.context
    if not (of_list or "block mapping" in fault.context or "block end" in fault.said or "document start" in fault.said):
        return None
    if _entry_text(line, place.column):
        return _after_value(place, line)
    if of_list:
        return fault.at(place, f"wrong indentation: the list that starts on line {opening.line} goes on here without '- '",
                        f"start the line with '- ', or indent it by {opening.column + 1} spaces as part of the item above, or less to end the list")
    if line[place.column - 1 :].startswith(":"):
        return fault.at(place, "a key is missing before ':'", "write the key, or quote the text")
    above = _above(lines, place.line)
    known = _KEY.match(lines[above]) if above >= 0 else None
    if known and known.start("key") < place.column - 1:
        return _stray_colon(place, lines)
    if re.match(r"-([ \t]|$)", line[place.column - 1 :]):
        return fault.at(place, "wrong indentation: a list item stands where a key is expected",
                        f"line it up with the other items of its list, or with the keys at column {opening.column}")
    return _near_key(place.line, lines) or fault.at(
        place, "wrong indentation: this line fits no line above it",
        f"line it up with its neighbours: the keys that start on line {opening.line} stand at column {opening.column}")


def _word(line: str, column: int) -> str:
    found = re.match(r"[^\s,\]}]+", line[column - 1 :])
    return clip(found.group()) if found else ""


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
            return f"quote the whole value: {_quote(line[before.end():])}, or use a block: {clip(before.group('key'))}: |"
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


def _after_value(place: Mark, line: str) -> Stop:
    before = line[: place.column - 1].rstrip()
    what = {'"': "the closing quote", "'": "the closing quote", "]": "the closing bracket", "}": "the closing bracket"}.get(before[-1:], "the value")
    key = _KEY.match(line)
    whole = line[key.end() :] if key else line[_ENTRY.match(line).end() :]
    block = f"{clip(key.group('key'))}: |" if key else "|"
    return Stop(place.line, place.column, f"more text after {what}", f"quote the whole value: {_quote(whole)}, or use a block: {block}")


def _above(lines: List[str], line: int) -> int:
    """Row (from 0) of the next line above `line` (from 1) that says something; -1 when there is none."""
    row = line - 2
    while row >= 0 and (not lines[row].strip() or lines[row].lstrip().startswith("#")):
        row -= 1
    return row


def _stray_colon(place: Mark, lines: List[str]) -> Stop:
    """A ': ' where no key can be: inside a plain value, or on a line that is indented too deep."""
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    key = _KEY.match(line)
    if key and "\uff1a" in key.group("key"):
        return _near_key(place.line, lines)
    if key and key.end() < place.column - 1:
        value = line[key.end() :]
        name = clip(key.group("key"))
        return Stop(place.line, place.column, "': ' inside a plain value",
                     f"use a block: {name}: |\nand the text on the next line, indented; or quote it: {_quote(value)}")
    above = _above(lines, place.line)
    upper = lines[above] if above >= 0 else ""
    known = _KEY.match(upper)
    near = _near_key(above + 1, lines) if known is None or known.group("key").startswith("-") else None
    if near is not None:
        return near
    start = _ENTRY.match(line)
    column = (start.end() if start else 0) + 1
    if known and upper[known.end() :].strip():
        return Stop(place.line, column, f"wrong indentation: this line is deeper than line {above + 1}, which already has a value (mapping values are not allowed here)",
                     f"start it at column {known.start('key') + 1}, like {clip(known.group('key'))!r} above")
    if above >= 0 and not known and column == (_ENTRY.match(upper).end() + 1):
        return Stop(above + 1, column, _NO_COLON, "add the ':' and a value, or remove the line")
    return Stop(place.line, column, "a key is not allowed here (mapping values are not allowed here)",
                 "check the indentation and that the line above ends with ':'; quote text that holds ': '")


def _long_quote(text: str, place: Mark, loader: Any) -> Optional[Mark]:
    """Where a quoted text over more than one line starts that ends just before the fault; None when there is none."""
    last = None
    try:
        for token in yaml.scan(text, loader):
            start = mark_of(token.start_mark)
            if (start.line, start.column) >= (place.line, place.column):
                break
            if isinstance(token, (yaml.ScalarToken, yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)):
                last = token
    except (yaml.YAMLError, UnicodeEncodeError):
        pass
    if isinstance(last, yaml.ScalarToken) and last.style in ("'", '"') and last.start_mark.line < last.end_mark.line:
        if last.end_mark.line == place.line - 1:
            return mark_of(last.start_mark)
    return None
