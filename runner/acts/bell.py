"""The daemon's bell: an act is rows, and after its commit the daemon is told to look at them."""

from __future__ import annotations

from typing import Any, Optional

from runner import daemonlock, ownership


def ring(app: Any) -> Optional[daemonlock.Daemon]:
    """Tell the daemon that something was written; None when there is none."""
    found = daemonlock.look(app.config.home)
    if found and found.owner:
        ownership.ring(app.config.engines_folder, found.owner)
    return found
