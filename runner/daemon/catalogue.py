"""The pipelines folder as the daemon knows it: each file's last good text, and since when its due times count.

A broken edit keeps the last good text scheduled and is shown with its fault. A text that is known is not parsed again, so
that a start costs reading, not checking.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from runner import faults, model, schedule
from runner.clock import Clock, from_text, to_text
from runner.daemon.watch import settled
from runner.definitions import Definitions
from runner.errors import EnvironmentFault, InvalidPipeline, NotFound
from runner.spec import folder
from runner.spec.check import Site, load_text, name_of, text_to_keep
from runner.spec.finding import fault_of
from runner.spec.report import brief_place
from runner.spec.text import Stop, decode, from_disk
from runner.store import Store
from runner.store.store import definition_hash

_SINCE = "|since="
_TICK = timedelta(microseconds=1)


class Catalogue:
    """Keeps the `pipelines` rows in step with the folder."""

    def __init__(
        self, store: Store, place: str, site: Site, clock: Clock, say: Callable[[str], None], definitions: Optional[Definitions] = None,
        warn: Optional[Callable[[str], None]] = None,
    ):
        """`place`: the pipelines folder. `say` takes a line for the daemon's log, `warn` one that somebody should see.
        `definitions` is handed what was parsed."""
        self._definitions = definitions
        self._store, self._place, self._site, self._clock, self._say, self._warn = store, place, site, clock, say, warn or say
        self._stats: Dict[str, Tuple[Any, ...]] = {}  # path -> what it was when it was read, and other files of its name
        self._taken: Dict[str, Tuple[str, ...]] = {}  # path -> the other files that it takes, there or not
        self._odd: Set[str] = set()  # files with names that cannot be pipelines: told once
        self._missing = False

    def scan(self) -> bool:
        """Take in what changed. False when a file was written so lately that it must be looked at again."""
        files = self._files()
        if files is None:
            return True
        now = self._clock.now()
        rows = {row.name: row for row in self._store.pipelines.all()}
        stamp = int(now.timestamp() * 1e9)
        young, changed = False, []
        for name, paths in files.items():
            row = rows.get(name)
            path = row.path if row and row.path in paths else paths[0]
            found, others = _stat(path), [other for other in paths if other != path]
            taken = {file: _stat(file) for file in self._taken.get(path, ())}
            if found is None or (self._stats.get(path) == (found, *taken.values(), *others) and row and not row.gone_at):
                continue
            if not settled([each[0] for each in (found, *taken.values()) if each], stamp):
                young = True
                continue
            changed.append((name, path, others, found, taken))
        gone = [row.name for row in rows.values() if row.name not in files and not row.gone_at]
        if changed or gone:
            with self._store.transaction():
                for name, path, others, found, before in changed:
                    self._take(name, path, others, rows.get(name), now)
                    taken = [before[file] if file in before else _stat(file) for file in self._taken[path]]
                    if settled([each[0] for each in taken if each], stamp):
                        self._stats[path] = (found, *taken, *others)
                    else:  # one that was not known may have been read in the middle of a change
                        young = True
                for name in gone:
                    self._store.pipelines.lose(name, now)
                    self._stats.pop(rows[name].path, None)
                    self._taken.pop(rows[name].path, None)
                    self._warn(f"pipeline {name}: its file is gone; due no more, history stays")
                faults.point("catalogue.taken")
            faults.point("catalogue.committed")
        return not young

    def _files(self) -> Optional[Dict[str, List[str]]]:
        """Name -> its files, mostly one. None when the folder is not there, or cannot be read: then everything stays as it was."""
        try:
            paths = folder.find([self._place])
        except (NotFound, EnvironmentFault) as error:
            if not self._missing:
                fault = "is not there" if isinstance(error, NotFound) else "cannot be read"
                self._warn(f"the pipelines folder {self._place} {fault}; what is known stays scheduled")
            self._missing = True
            return None
        self._missing = False
        files: Dict[str, List[str]] = {}
        for path in paths:
            if _is_text(path):
                files.setdefault(name_of(path), []).append(path)
            elif path not in self._odd:
                self._odd.add(path)
                self._warn(f"{ascii(path)}: the file's name is not UTF-8; rename it")
        return files

    def _take(self, name: str, path: str, others: List[str], row: Optional[model.PipelineRow], now: datetime) -> None:
        """One file that is new, changed, or back."""
        self._taken[path] = ()
        problem = fault_of(name)[0] or (f"another file makes the pipeline {name} too: {others[0]}" if others else "")
        if problem:  # which of several files is meant nobody knows: what is in force stays, whatever they say
            self._faulty(name, path, row, problem, now)
            return
        try:
            text, self._taken[path] = text_to_keep(decode(from_disk(path), path), path)
        except (OSError, Stop) as error:
            self._faulty(name, path, row, getattr(error, "message", None) or f"cannot be read: {getattr(error, 'strerror', None) or error}", now)
            return
        digest = definition_hash(name, path, text)
        if row and row.definition == digest and row.schedule_key.startswith(self._site_key()) and not (row.problem or row.broken or row.gone_at):
            return
        try:
            pipeline = load_text(text, path, name, self._site)
        except InvalidPipeline as error:
            first = error.problems[0]
            self._faulty(name, path, row, f"{brief_place(first, path)}: {first.message}", now)
            return
        except EnvironmentFault:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours over one file must not stop the others
            self._faulty(name, path, row, f"runner cannot read it: {error!r}", now)
            return
        if self._definitions:
            self._definitions.keep(digest, pipeline)
        self._store.pipelines.place(name, path, self._store.keep_definition(pipeline, now), "", now)
        if not row or row.definition != digest or row.problem or row.gone_at:
            self._say(f"pipeline {name}: {'new' if not row or row.gone_at else 'changed'}")
        self._schedule(pipeline, row, now)

    def _faulty(self, name: str, path: str, row: Optional[model.PipelineRow], problem: str, now: datetime) -> None:
        self._store.pipelines.place(name, path, None, problem, now)
        stays = "; its last good version stays scheduled" if row and row.definition and row.next_due else ""
        self._warn(f"pipeline {name}: {problem}{stays}")

    def _schedule(self, pipeline: model.Pipeline, row: Optional[model.PipelineRow], now: datetime) -> None:
        """A new or changed schedule counts from now on; an unchanged one goes on where it was (semantics D21)."""
        same = _schedule_key(pipeline.schedule)
        known, _, since = row.schedule_key.partition(_SINCE) if row else ("", "", "")
        key, cursor = f"{self._site_key()}|{same}{_SINCE}", row.cursor if row else None
        once = bool(pipeline.schedule and pipeline.schedule.once) and known.split("|")[2:3] == [pipeline.schedule.text]
        if since and (once or known.split("|", 2)[2:] == [same]):  # the settings' part is in the key so that a new one has it read again
            key += since  # @once stays what it was: a new zone or date of it is no second first time
        else:
            key, cursor = key + to_text(now), now
            if pipeline.schedule and pipeline.schedule.once:  # its one time counts, also when it has passed
                cursor = min(now, pipeline.schedule.start or now) - _TICK
        try:
            due, broken = next_due(pipeline.schedule, key, cursor), ""
        except Exception as error:  # noqa: BLE001 - one schedule that cannot be worked out must not stop the others
            due, broken = None, f"its schedule cannot be worked out: {error}"
            self._warn(f"pipeline {pipeline.name}: {broken}")
        self._store.pipelines.schedule(pipeline.name, key, cursor, due, broken)

    def _site_key(self) -> str:
        return self._site.timezone + "|" + self._site.logical_date


def next_due(found: Optional[model.Schedule], key: str, after: Optional[datetime]) -> Optional[datetime]:
    """The next due time of a schedule; `key` knows since when it is known, which is what @once goes by."""
    if found is None or after is None:
        return None
    return schedule.next_due(with_since(found, key), after)


def with_since(found: model.Schedule, key: str) -> model.Schedule:
    return schedule.with_first_seen(found, from_text(key.partition(_SINCE)[2]))


def _schedule_key(found: Optional[model.Schedule]) -> str:
    if found is None:
        return "none"
    return "|".join([found.text, found.timezone, *(to_text(moment) if moment else "" for moment in (found.start, found.end))])


def _stat(path: str) -> Optional[Tuple[int, ...]]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, -1, 0) if os.path.islink(path) else None  # a link that leads nowhere is said to be one
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _is_text(path: str) -> bool:
    """Whether the database can keep it: a name in another encoding reaches Python as lone surrogates."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
