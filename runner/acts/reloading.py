"""Having the daemon read its settings and pipelines again; it also says that a clock which jumped is right."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any, ClassVar, List

from runner import daemonlock
from runner.acts.preview import Preview
from runner.acts.who import Who, command, record
from runner.errors import Conflict, NotFound
from runner.store import Store


@dataclass(frozen=True)
class Reload:
    act: ClassVar[str] = "reload"

    def words(self) -> List[str]:
        return ["daemon", "reload"]

    def ready(self, app: Any, store: Any = None) -> "Reloading":
        """Raises NotFound when no daemon lives."""
        found = daemonlock.look(app.config.home)
        if found is None:
            raise NotFound(f"no daemon works on {app.config.home}", "start it: runner daemon   or: runner service install")
        return Reloading(app, self, found)


@dataclass(frozen=True)
class Reloading:
    app: Any
    asked: Reload
    daemon: daemonlock.Daemon

    def preview(self, store: Store, reason: str = "", commands: int = 0) -> Preview:
        return Preview(self.asked.act, "", (command(self.asked.words()),), warnings=("what runs goes on",))

    def do(self, store: Store, who: Who) -> daemonlock.Daemon:
        with store.transaction():
            record(store, who, self.asked.act, self.app.clock.now(), after={"pid": self.daemon.pid})
        return self.daemon

    def ring(self, store: Store) -> None:
        """After the commit: the daemon, which may be we ourselves, begins a new life with what it reads."""
        tell(self.daemon, signal.SIGHUP)


def tell(found: daemonlock.Daemon, number: int) -> None:
    """Send the daemon a signal. Raises Conflict when it is another user's."""
    try:
        os.kill(found.pid, number)
    except PermissionError:
        raise Conflict(f"the daemon (pid {found.pid}) belongs to another user", f"type: sudo kill -{signal.Signals(number).name[3:]} {found.pid}") from None
    except ProcessLookupError:
        pass  # it left in between
