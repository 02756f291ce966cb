"""The pipeline as a run has it: parsed again from the text that the run keeps, whatever its file says today."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from runner import model
from runner.store import Store

KEPT = 2000  # parsed definitions in memory, some 10 kB each


class Definitions:
    """Content hash -> Pipeline."""

    def __init__(self, store: Store, site: Any):
        """`site`: spec.check.Site, what a text's meaning depends on besides itself."""
        self._store, self._site = store, site
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

    def keep(self, digest: str, pipeline: model.Pipeline) -> None:
        """Remember one that was parsed elsewhere."""
        self._known[digest] = pipeline
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
