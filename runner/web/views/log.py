"""The log of one attempt: its end, or the lines around a place; searched on the server, never read whole into memory."""

from __future__ import annotations

import os
import re
from collections import deque
from datetime import datetime
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from runner import logtail, model, workorder
from runner.errors import NotFound, RunnerError
from runner.store.store import items_of, outputs_of
from runner.web.desk import Desk
from runner.web.views import common

LINES = 400  # shown at once
BYTES = 256 * 1024  # the most of them
BEFORE = 8  # lines before the one that was asked for
MOST = 4000  # characters of a line
HITS = 200
SEARCH_BLOCK = 256 * 1024
SEARCH_SECONDS = 2.0  # then the person is asked whether to go on
_SGR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SAID = ("error", "exception", "traceback", "fatal", "failed", "failure", "panic", "denied", "refused", "no such file", "not found", "killed", "오류", "에러", "실패", "예외")
_ERROR = re.compile("|".join((*map(re.escape, _SAID), r"ORA-\d+")), re.IGNORECASE)


def view(desk: Desk, store, now: datetime, args: Mapping[str, str], name: str, step: str) -> Dict[str, Any]:
    """`attempt`: which one, else the last. `at`: the place to show, else the end. `q`, `errors`: what to look for, up to `before`."""
    run, attempts, attempt = find(store, name, step, args)
    path = os.path.join(attempt.folder, "log") if attempt else ""
    zone = run.date.due.tzinfo
    size = logtail.size_of(path) if attempt else 0
    begin, end = _window(path, args, size)
    row = next((row for row in store.step_runs(run.id) if row.step == step), None)
    looked, silent = _pattern(args), _silent(desk, run, step)
    return {
        "place": "", "run": common.run_facts(desk, run), "step": step, "state": row.state if row else "", "reason": (attempt.reason if attempt else "") or (row.reason if row else ""),
        "attempt": attempt.number if attempt else None, "running": bool(attempt and attempt.state not in model.ATTEMPT_TERMINAL),
        "attempts": [{"number": each.number, "state": each.state, "exit_code": each.exit_code, "reason": each.reason, "started_at": common.local(each.started_at, zone),
                      "ended_at": common.local(each.ended_at, zone)} for each in attempts],
        "size": size, "begin": begin, "end": end, "tail": "at" not in args, "query": args.get("q", "")[:200], "errors": "errors" in args,
        "lines": lines(path, begin, end, _number(args.get("at")), looked), "found": search(path, looked, _number(args.get("before")), size, desk.clock.monotonic) if looked else None,
        "earlier": _back(path, begin) if begin else None, "later": end if end < size else None,
        "silent": silent, "removed": bool(attempt and not silent and attempt.state in model.ATTEMPT_TERMINAL and not os.path.exists(attempt.folder)),
        "ended": run.state in model.RUN_TERMINAL and run.state != "missed", "step_of_file": model.parent_of(step), "tags": list(common.tags_of(desk, store, run.pipeline)),
        "path": logtail.place_of(path) if attempt else "", "command": _command(desk, store, run, step, attempt),
        "every": 1 if attempt and attempt.state not in model.ATTEMPT_TERMINAL and "at" not in args and looked is None else 0 if attempt else 5,
    }


def _silent(desk: Desk, run: model.Run, step: str) -> bool:
    """Whether it is a step without a process, which prints nothing."""
    spec = common.definition(desk, run)
    try:
        return bool(spec and spec.step(step).slotless)
    except KeyError:
        return False


def find(store, name: str, step: str, args: Mapping[str, str]) -> Tuple[model.Run, List[model.Attempt], Optional[model.Attempt]]:
    """The run, the attempts of the step, and the one that is asked for. Raises NotFound; a step that never began has none."""
    run = store.run(name)
    attempts = store.attempts(run.id, step)
    if not attempts and step not in [row.step for row in store.step_runs(run.id)]:
        raise NotFound(f"run {run.name} has no step {step}", "")
    wanted = _number(args.get("attempt"))
    found = attempts[-1] if attempts else None
    if wanted is not None:
        found = next((each for each in attempts if each.number == wanted), None)
        if found is None:
            raise NotFound(f"step {step} of run {run.name} has no attempt {wanted}", "")
    return run, attempts, found


def _number(text: Optional[str]) -> Optional[int]:
    return int(text) if text and re.fullmatch(r"\d{1,15}", text, re.ASCII) else None


def _window(path: str, args: Mapping[str, str], size: int) -> Tuple[int, int]:
    """From which byte to which is shown."""
    at = _number(args.get("at"))
    if not path or at is None:
        return (logtail.find_tail(path, LINES, BYTES).offset, size) if path else (0, 0)
    at = min(at, size)
    begin = logtail.find_tail(path, BEFORE, BYTES // 4, end=at).offset
    data = logtail.read_at(path, begin, BYTES)
    place = -1
    for _ in range(LINES):
        following = data.find(b"\n", place + 1)
        if following < 0:
            return begin, begin + len(data)
        place = following
    return begin, begin + place + 1


def _back(path: str, begin: int) -> int:
    """Where the page before this one begins."""
    return logtail.find_tail(path, LINES - BEFORE, BYTES * 3 // 4, end=begin).offset


def lines(path: str, begin: int, end: int, at: Optional[int], looked: Optional["re.Pattern[bytes]"]) -> List[Dict[str, Any]]:
    """What is shown: each line with its place, whether it tells of an error, and whether it is what was looked for."""
    out, offset = [], begin
    parts = logtail.read_at(path, begin, end - begin).split(b"\n") if end > begin else []
    for raw in parts if not parts or parts[-1] else parts[:-1]:
        text = readable(raw)
        out.append({"offset": offset, "text": text, "error": bool(_ERROR.search(text)), "hit": offset == at or bool(looked and looked.search(raw))})
        offset += len(raw) + 1
    return out




def readable(raw: bytes) -> str:
    """A line for a person: no colours, nothing that is not to be seen; of what was written over itself the last."""
    text = _SGR.sub("", logtail.decode(raw.rstrip(b"\r\n")))
    if "\r" in text:
        text = text.rpartition("\r")[2]
    if len(text) > MOST:
        text = f"{text[:MOST // 3]} ... ({len(text)}) ... {text[-MOST * 2 // 3:]}"
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


# ------------------------------------------------------------------------------------------------------------ searching


def _pattern(args: Mapping[str, str]) -> Optional["re.Pattern[bytes]"]:
    """What is looked for, as bytes: Hangul may be written in UTF-8 or in CP949."""
    words = [args["q"][:200]] if args.get("q") else [*_SAID] if "errors" in args else []
    if not words:
        return None
    forms = {word.encode(encoding, "ignore") for word in words for encoding in ("utf-8", "cp949")} - {b""}
    said = [re.escape(form) for form in sorted(forms)] + ([rb"ORA-\d"] if "errors" in args and not args.get("q") else [])
    return re.compile(b"|".join(said), re.IGNORECASE) if said else None


def search(path: str, looked: "re.Pattern[bytes]", before: Optional[int], size: int, tick: Callable[[], float]) -> Dict[str, Any]:
    """The last lines that hold it, the last one first; `next` is where to go on when the time was up or there are more."""
    if logtail.place_of(path) != path:
        return _search_zipped(path, looked, before, tick)
    end = size if before is None else min(before, size)
    until, hits = tick() + SEARCH_SECONDS, []
    while end > 0 and len(hits) < HITS and tick() < until:
        start = max(0, end - SEARCH_BLOCK)
        data = logtail.read_at(path, start, end - start)
        if start:
            first = data.find(b"\n", 0, -1)
            if first >= 0:  # the line that begins before belongs to the next block
                start, data = start + first + 1, data[first + 1:]
        found = list(_hits(data, start, looked))
        hits += reversed(found)
        end = start
    cut = hits[:HITS]
    return {"hits": cut, "next": cut[-1]["offset"] if len(hits) > HITS else end or None, "searched": end}


def _hits(data: bytes, start: int, looked: "re.Pattern[bytes]") -> Iterator[Dict[str, Any]]:
    place = 0
    for found in looked.finditer(data):
        if found.start() < place:
            continue  # the same line
        begin = data.rfind(b"\n", 0, found.start()) + 1
        place = data.find(b"\n", found.end())
        place = len(data) if place < 0 else place + 1
        yield {"offset": start + begin, "text": readable(data[begin:place])[:300]}


def _search_zipped(path: str, looked: "re.Pattern[bytes]", before: Optional[int], tick: Callable[[], float]) -> Dict[str, Any]:
    """What is compressed can only be read from its beginning; the last hits are kept."""
    kept: "deque[Dict[str, Any]]" = deque(maxlen=HITS)
    until, offset, rest = tick() + 5 * SEARCH_SECONDS, 0, b""
    with logtail.open_log(path) as file:
        for block in iter(lambda: file.read(SEARCH_BLOCK), b""):
            data = rest + block
            cut = data.rfind(b"\n") + 1 or len(data)
            kept.extend(hit for hit in _hits(data[:cut], offset, looked) if before is None or hit["offset"] < before)
            offset, rest = offset + cut, data[cut:]
            if tick() > until:
                break
    kept.extend(_hits(rest, offset, looked))
    return {"hits": list(reversed(kept)), "next": kept[0]["offset"] if len(kept) == HITS else None, "searched": 0}


# -------------------------------------------------------------------------------------------------------------- command


def _command(desk: Desk, store, run: model.Run, step_id: str, attempt: Optional[model.Attempt]) -> Optional[Dict[str, Any]]:
    """What the attempt executes, made again by what made it; None where that cannot be."""
    spec = common.definition(desk, run)
    if spec is None:
        return None
    rows = store.step_runs(run.id)
    try:
        step = spec.step(step_id)
        parent = model.parent_of(step_id)
        if parent != step_id:
            index = int(step_id[len(parent) + 1:-1])
            step = model.mapped(step, index, items_of(rows)[parent][index])
        number = attempt.number if attempt else 1
        folder = attempt.folder if attempt else workorder.attempt_folder(desk.config.runs_folder, run, step_id, 1)
        previous = store.last_success_before(spec.name, run.date.due)
        site = workorder.Site.of(desk.config, desk.environ)
        job = workorder.make_job(spec, run, step, number, folder, site, outputs=outputs_of(rows), prev_success=previous.date if previous else None, preview=True)
    except (RunnerError, OSError, KeyError, IndexError, ValueError):
        return None
    return {"waits_for": None, **workorder.as_dict(job, site)}
