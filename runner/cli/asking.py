"""A question before something that touches many runs."""

from __future__ import annotations

import click

from runner.errors import RunnerError, UsageError


def need_yes(question: str) -> None:
    """Ask a person. Raises RunnerError after a no, UsageError where nobody can answer, click.Abort after Ctrl-C."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort as abort:
        if not isinstance(abort.__context__, EOFError):
            raise
        click.echo(err=True)
        raise UsageError("nobody is here to answer: nothing was done", "the same with --yes does it unasked, with --dry-run only shows it") from None
    if not agreed:
        raise RunnerError("nothing was done", "--yes answers that question, --dry-run does not ask it")
