"""docs/cli.md out of the commands' own help: `python -m runner.cli.manual > docs/cli.md`."""

from __future__ import annotations

from typing import Iterator, List

import click

from runner.cli import ALIASES, COMMANDS, cli

_HEAD = """\
# The command line

Made from the commands' own help by `python -m runner.cli.manual > docs/cli.md`; a test holds the two together.

A run is named `PIPELINE@DATE`: `mart@2026-11-20`, `hourly@2026-11-20T03:00`, `mart@2026-11-20#2`. Results go to stdout,
talk to stderr. Exit codes: 0 good, 1 the work failed or faults were found, 2 wrong use, 3 the environment,
130 and 143 after Ctrl-C and TERM, 141 when who read stdout has seen enough."""


def as_markdown() -> str:
    """The whole page."""
    parts = [_HEAD, _options(cli)]
    parts.append("| command | |\n|---|---|\n" + "\n".join(f"| [`{name}`](#runner-{name}) | {line} |" for name, (_, line) in COMMANDS.items()))
    parts.append("Other words for them: " + ", ".join(f"`{alias}` is `{name}`" for alias, name in sorted(ALIASES.items())) + ".")
    root = click.Context(cli, info_name="runner")
    for name in COMMANDS:
        parts += _command(cli.get_command(root, name), f"runner {name}")
    return "\n\n".join(parts) + "\n"


def _command(command: click.Command, path: str) -> Iterator[str]:
    options = [param for param in command.params if isinstance(param, click.Option)]
    yield f"## {path}"
    yield f"`{' '.join([path] + _usage(command))}`"
    yield _text(command.help or "")
    if options:
        yield _options(command)
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _command(command.commands[name], f"{path} {name}")


def _usage(command: click.Command) -> List[str]:
    words = ["COMMAND"] if isinstance(command, click.Group) else []
    for param in command.params:
        if isinstance(param, click.Argument):
            choices = "|".join(param.type.choices) if isinstance(param.type, click.Choice) else ""
            word = choices or param.metavar or param.name.upper()
            words.append(word if param.required or word.startswith("[") else f"[{word}]")
    return words


def _text(text: str) -> str:
    """A docstring as paragraphs; what click is told not to wrap (\\b) becomes a block."""
    parts: List[str] = []
    for part in text.strip().split("\n\n"):
        lines = [line.strip() for line in part.splitlines()]
        parts.append("```\n" + "\n".join(lines[1:]) + "\n```" if lines[0] == "\b" else " ".join(lines))
    return "\n\n".join(parts)


def _options(command: click.Command) -> str:
    """Put together here and not by click, whose wording changes with its version."""
    rows = ["| option | |", "|---|---|"]
    for option in command.params:
        if isinstance(option, click.Option) and option.name != "help":
            words = ", ".join(option.opts) + ("" if option.is_flag else " " + _value(option))
            default = f" Default: {option.default}." if option.show_default else ""
            rows.append(f"| `{_cell(words)}` | {_cell((option.help or '') + default)} |")
    return "\n".join(rows)


def _value(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "|".join(option.type.choices)
    return option.metavar or ("N" if isinstance(option.type, click.types.IntParamType) else option.type.name.upper())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    click.echo(as_markdown(), nl=False)
