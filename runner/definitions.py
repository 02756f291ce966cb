"""The pipeline as a run has it: parsed again from the text that the run keeps, whatever its file says today."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

from runner import model
from runner.errors import InvalidPipeline, UsageError
from runner.spec import finding
from runner.store import Store

KEPT = 2000  # parsed definitions in memory, some 10 kB each


class Definitions:
    """Content hash -> Pipeline."""

    def __init__(self, store: Store, site: Any, folder: str = "", watched: bool = False, kept: int = KEPT):
        """`site`: spec.check.Site, what a text's meaning depends on besides itself. `folder`: the pipelines folder.

        `watched`: a daemon keeps the last good text of each file in the store. `kept`: parsed ones that stay in memory.
        """
        self._store, self._site, self._folder, self._watched, self._kept = store, site, folder, watched, kept
        self._known: "OrderedDict[str, model.Pipeline]" = OrderedDict()

    def of(self, run: model.Run) -> model.Pipeline:
        """Raises InvalidPipeline when this version of runner no longer reads the text."""
        return self.get(run.definition)

    def get(self, digest: str) -> model.Pipeline:
        """As `of`, by content hash."""
        found = self._known.get(digest)
        if found is None:
            from runner.spec.check import load_text

            row = self._store.definition(digest)
            found = load_text(row["text"], row["path"], row["pipeline"], self._site)
            self.keep(digest, found)
        else:
            self._known.move_to_end(digest)
        return found

    def named(self, name: str, beside: str = "") -> model.Pipeline:
        """Another pipeline as it is today, by its name; `beside` is the file that names it, whose folder is looked at too.

        Raises NotFound, or UsageError when its file is faulty.
        """
        row = self._store.pipelines.get(name) if self._watched else None
        if row and row.definition and not row.gone_at:
            return self.get(row.definition)
        from runner.spec.check import load_pipeline

        path = self._path(name, beside)
        try:
            return load_pipeline(path, self._site)
        except InvalidPipeline as error:
            first = error.problems[0]
            raise UsageError(f"pipeline {name} is faulty: {first.file}:{first.line}: {first.message}", f"type: runner check {path}") from None

    def _path(self, name: str, beside: str) -> str:
        near = (os.path.join(os.path.dirname(beside), name + suffix) for suffix in finding.SUFFIXES) if beside else ()
        return next(filter(os.path.isfile, near), "") or finding.path_of(self._folder, name)

    def keep(self, digest: str, pipeline: model.Pipeline) -> None:
        """Remember one that was parsed elsewhere."""
        self._known[digest] = pipeline
        if len(self._known) > self._kept:
            self._known.popitem(last=False)
