"""Who acts, for the journal and for messages."""

from __future__ import annotations

import os
import pwd


def actor() -> str:
    """Who acts, for the journal: the login name, also behind sudo."""
    user = os.environ.get("SUDO_USER") or ""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"{name} (sudo by {user})" if user and user != name else name
