"""`true`, `no`, `0` as yes or no, wherever a text is asked for it."""

from __future__ import annotations

from typing import Optional

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def meaning(text: str) -> Optional[bool]:
    """None for a text that is neither. Capitals and blanks around it do not count."""
    word = text.strip().lower()
    return word in TRUE if word in TRUE + FALSE else None
