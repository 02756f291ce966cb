"""The Markdown that people write about a pipeline, as HTML: headings, lists, code, links. All else is text; no HTML of the file's own."""

from __future__ import annotations

import re
from html import escape
from typing import List, Match

MOST = 50_000  # characters that are rendered
_INLINE = re.compile(r"(`+)(?P<code>.+?)\1|\*\*(?P<strong>[^*]+)\*\*|\*(?P<em>[^*\s][^*]*)\*|\[(?P<words>[^\]\n]+)\]\((?P<to>[^()\s]+)\)|(?P<bare>https?://[^\s<>\"')\]]*[^\s<>\"')\].,;:!?])")
_SAFE = re.compile(r"(?:https?|mailto):", re.IGNORECASE)
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_ITEM = re.compile(r"(\s*)(?:[-*+]|(\d{1,9})[.)])\s+(.*)")


def html(text: str) -> str:
    """The whole text. A heading begins below those of the page."""
    out: List[str] = []
    lines = text[:MOST].splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        heading = _HEADING.match(line)
        if line.lstrip().startswith("```"):
            end = next((place for place in range(at + 1, len(lines)) if lines[place].lstrip().startswith("```")), len(lines))
            out.append("<pre>" + escape("\n".join(lines[at + 1:end])) + "</pre>")
            at = end + 1
        elif heading:
            level = min(len(heading[1]) + 2, 6)
            out.append(f"<h{level}>{inline(heading[2])}</h{level}>")
            at += 1
        elif _ITEM.match(line):
            at = _list(lines, at, out)
        elif not line.strip():
            at += 1
        else:
            end = at
            while end < len(lines) and lines[end].strip() and (end == at or not (_ITEM.match(lines[end]) or _HEADING.match(lines[end]) or lines[end].lstrip().startswith("```"))):
                end += 1
            out.append("<p>" + "<br>".join(inline(each.strip()) for each in lines[at:end]) + "</p>")
            at = end
    return "\n".join(out)


def _list(lines: List[str], at: int, out: List[str]) -> int:
    """Items up to the first line that is none; a line that goes on is part of its item. Returns where it ends."""
    kind = "ol" if _ITEM.match(lines[at])[2] else "ul"
    items: List[str] = []
    while at < len(lines):
        found = _ITEM.match(lines[at])
        if found and bool(found[2]) == (kind == "ol"):
            items.append(inline(found[3]))
        elif not found and lines[at].startswith(" ") and lines[at].strip():
            items[-1] += " " + inline(lines[at].strip())
        else:
            break
        at += 1
    out.append(f"<{kind}>" + "".join(f"<li>{item}</li>" for item in items) + f"</{kind}>")
    return at


def inline(text: str) -> str:
    """Within a line. What looks like a link to anything but a page or a mailbox stays text."""
    out, place = [], 0
    for found in _INLINE.finditer(text):
        out += [escape(text[place:found.start()]), _mark(found)]
        place = found.end()
    return "".join(out) + escape(text[place:])


def _mark(found: Match[str]) -> str:
    if found["code"]:
        return f"<code>{escape(found['code'].strip())}</code>"
    if found["strong"]:
        return f"<strong>{escape(found['strong'])}</strong>"
    if found["em"]:
        return f"<em>{escape(found['em'])}</em>"
    if found["bare"]:
        return _link(found["bare"], found["bare"])
    return _link(found["to"], found["words"]) if _SAFE.match(found["to"]) else escape(found.group())


def _link(address: str, words: str) -> str:
    return f'<a href="{escape(address)}" rel="noopener noreferrer">{escape(words)}</a>'
