"""Errors that end a command: each has an exit code, and a message that says what to type instead.

Three kinds of trouble are kept apart. A fault in a user's file is a value, `model.Problem`, because all of them are
shown at once. A step that fails is a result, a row in the store. What is raised from here ends the command.
"""

from __future__ import annotations


class RunnerError(Exception):
    """The command cannot go on."""

    exit_code = 1

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message)
        self.message = message
        self.hint = hint  # what to type or change, one sentence or one command


class UsageError(RunnerError):
    """Wrong words on the command line."""

    exit_code = 2


class EnvironmentFault(RunnerError):
    """The machine, not the pipeline, stands in the way: disk, permissions, interpreter, database."""

    exit_code = 3


class InvalidPipeline(RunnerError):
    """A pipeline file has faults; `problems` holds every one of them."""

    exit_code = 1

    def __init__(self, problems):
        super().__init__(f"{len(problems)} fault(s) found")
        self.problems = tuple(problems)


class NotFound(RunnerError):
    """No pipeline, run or step of that name."""

    exit_code = 2


class NotSignedIn(RunnerError):
    """Nobody knows who asks."""


class Forbidden(RunnerError):
    """Who asks may not do this."""


class Conflict(RunnerError):
    """The thing exists already, or another process owns it."""


class StaleState(RunnerError):
    """A guarded move found another state than it expected: somebody else won."""
