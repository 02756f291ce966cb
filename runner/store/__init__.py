"""What happened, on disk. `Store` is all that the rest of the program sees."""

from runner.store.store import Store

__all__ = ["Store"]
