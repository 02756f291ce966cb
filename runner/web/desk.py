"""What every request needs: the settings, the clock, and a store for each thread, which only reads."""

from __future__ import annotations

import os
import threading
from typing import Any, Callable, Mapping, Optional, Sequence, Tuple

from runner import daemonlock, model
from runner.clock import Clock
from runner.config import Config
from runner.definitions import Definitions
from runner.errors import EnvironmentFault, NotFound
from runner.spec import finding, folder
from runner.spec.check import Site, load_pipeline
from runner.store import Store

FILES_SECONDS = 3.0
KEPT = 8  # parsed definitions, for each thread


class Desk:
    """One for all threads. It has what `standing` and `acts` ask of their `app`: config, clock, environ, site(), pipeline() ..."""

    def __init__(self, config: Config, environ: Mapping[str, str], clock: Clock, say: Callable[[str], None] = lambda line: None):
        """`say` takes a line for the daemon's log."""
        self.config, self.environ, self.clock, self.say = config, environ, clock, say
        self._own = threading.local()
        self._lock = threading.Lock()
        self._files: Optional[Sequence[folder.FileReport]] = None
        self._seen = 0.0
        self._accounts = False

    def site(self) -> Site:
        """What the meaning of a pipeline file depends on besides its text."""
        config = self.config
        return Site(config.timezone, config.logical_date, frozenset(config.pools), config.home, config.secrets_command)

    def pipeline_path(self, name: str) -> str:
        """The file of that name in the pipelines folder, never another's. Raises NotFound that names near ones."""
        return finding.path_of(self.config.pipelines, name)

    def pipeline(self, name: str) -> model.Pipeline:
        """As its file is now. Raises InvalidPipeline with every fault."""
        return load_pipeline(self.pipeline_path(name), self.site())

    def store_if_any(self) -> Store:
        return self.store()

    def store(self) -> Store:
        """This thread's store. Raises EnvironmentFault when there is none yet, or its version is another."""
        store = getattr(self._own, "store", None)
        if store is None:
            store = Store(self.config.database, self.config.durability, create=False, timezone=self.config.timezone)
            store.db.only_read()
            self._own.store = store
        return store

    def acting_store(self) -> Store:
        """A store that writes, for one act; its caller closes it."""
        return Store(self.config.database, self.config.durability, create=False, timezone=self.config.timezone)

    def definitions(self) -> Definitions:
        """The pipelines as runs have them, parsed."""
        found = getattr(self._own, "definitions", None)
        if found is None:
            found = self._own.definitions = Definitions(self.store(), self.site(), self.config.pipelines, watched=True, kept=KEPT)
        return found

    def files(self) -> Sequence[folder.FileReport]:
        """The pipeline files as `runner list` sees them; looked at again after a moment, and read again only when they changed."""
        with self._lock:
            tick = self.clock.monotonic()
            if self._files is None or tick - self._seen > FILES_SECONDS:
                config = self.config
                try:
                    self._files = folder.check_paths([config.pipelines], self.site(), config.check_cache)
                except (NotFound, EnvironmentFault):  # not there, or not to be read: the log of the daemon says so
                    self._files = []
                self._seen = self.clock.monotonic()
            return self._files

    def has_accounts(self) -> bool:
        """Whether people sign in. As long as nobody can, the page is for the daemon's own user, and only read."""
        if self.config.ldap_url:
            return True
        try:
            if os.path.exists(self.config.database):
                self._accounts = self.store().accounts.any()
        except EnvironmentFault:
            self.drop()  # as it was known last: a database that cannot be read opens no door
        return self._accounts

    def drop(self) -> None:
        """Forget this thread's store, after a fault: the next request opens it anew."""
        store = getattr(self._own, "store", None)
        self._own.store = self._own.definitions = None
        if store is not None:
            store.close()

    def stamp(self) -> Tuple[Any, ...]:
        """Changes whenever the database does, and every ten seconds: what was made under the same stamp is the same."""
        return (*(_stat(self.config.database + suffix) for suffix in ("", "-wal")), int(self.clock.now().timestamp()) // 10)

    def daemon(self) -> Mapping[str, Any]:
        """How the daemon is: `state` is good, hung, blocked or none, `words` say why."""
        found = daemonlock.look(self.config.home)
        if found is None:
            return {"state": "none", "words": "no daemon runs: nothing starts by itself; type: runner daemon", "pid": None}
        about = {"pid": found.pid, "since": found.since, "version": found.version}
        silent = self.clock.now().timestamp() - found.beat
        if silent > daemonlock.HUNG_SECONDS:
            return {**about, "state": "hung", "words": f"the daemon (pid {found.pid}) has not turned for {silent:.0f} s; type: runner health"}
        if found.blocked:
            return {**about, "state": "blocked", "words": f"the daemon lets nothing begin: {found.blocked}"}
        return {**about, "state": "good", "words": ""}


def _stat(path: str) -> Tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)
