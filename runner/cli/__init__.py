"""The command line: words in, one call, words out.

Results go to stdout, talk to stderr. Each command's module is imported when that command is asked for, so that
`runner --version` and `runner list` stay quick.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from runner import __version__
from runner.cli import streams
from runner.errors import EnvironmentFault, InvalidPipeline, RunnerError

# command -> (module, one line for `runner --help`): reading the line here spares the import
COMMANDS = {
    "check": ("checking", "All faults of pipeline files, with place and remedy"),
    "plan": ("planning", "Every command a run would execute; does nothing"),
    "run": ("running", "Run a pipeline now, for one date, in the foreground"),
    "rerun": ("running", "Repeat steps of a run, or finish an interrupted one"),
    "stop": ("running", "End a run and its processes"),
    "mark": ("running", "Set a step's result by hand"),
    "daemon": ("daemon", "Start runs when they are due; until told to leave"),
    "trigger": ("triggering", "Let the daemon run a pipeline for one date"),
    "backfill": ("triggering", "Let the daemon run every date of a span"),
    "pause": ("triggering", "Stop a pipeline's schedule"),
    "unpause": ("triggering", "Let a paused schedule go on"),
    "hold": ("triggering", "Let nothing new of a pipeline or step begin"),
    "release": ("triggering", "Let a held pipeline or step go on"),
    "service": ("service", "Start the daemon with the server"),
    "alert": ("alerting", "Who is told of what, and whether it arrived"),
    "health": ("daemon", "One line and an exit code for a monitor"),
    "list": ("reading", "The pipelines, their last run and next time"),
    "show": ("reading", "One pipeline: its steps and what they need"),
    "next": ("planning", "The next times a pipeline is due, with their dates"),
    "runs": ("reading", "The latest runs"),
    "status": ("reading", "One run, step by step"),
    "logs": ("logs", "What the steps of a run printed"),
    "variables": ("site", "Values that differ from server to server"),
    "secrets": ("site", "Passwords and tokens, set and never shown"),
    "connections": ("site", "Databases, hosts and mail servers by name"),
    "user": ("users", "Who signs in to the page, and what they may do"),
    "token": ("users", "What programs sign in with"),
    "doctor": ("doctor", "Check this server and say the remedy"),
    "schema": ("checking", "Print the JSON Schema of pipeline files, for editors"),
    "clean": ("cleaning", "Remove old runs and logs, as the settings say"),
    "db": ("database", "Look after the database"),
    "completion": ("completion", "Print the completion script of a shell"),
}
ALIASES = {"clear": "rerun", "validate": "check", "ls": "list", "log": "logs"}


class _Commands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, name):
        name = ALIASES.get(name, name)
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"runner.cli.{COMMANDS[name][0]}")
        command = getattr(module, {"list": "list_", "next": "next_"}.get(name, name))  # not to hide the builtins
        url = ctx.params.get("server") or os.environ.get("RUNNER_SERVER")
        if not url:
            return command
        from runner.cli.remote_commands import from_afar  # here: few ask a distant daemon

        return from_afar(name, command, url)

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(self, ctx, args):
        if args[0] == "help":  # `runner help`, `runner help run`: what one types before one knows
            args = [*args[1:], "--help"]
            if len(args) == 1:
                click.echo(ctx.get_help())
                ctx.exit()
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            import difflib

            begun = [name for name in (*COMMANDS, *ALIASES) if name[0] == args[0][:1]]  # else bogus is said to mean logs
            near = difflib.get_close_matches(args[0], begun, 1)
            hint = f"did you mean {ALIASES.get(near[0], near[0])}?" if near else "type: runner --help"
            raise click.UsageError(f"there is no command {args[0]!r}: {hint}", ctx) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="runner", message="%(prog)s %(version)s")
@click.option("--home", metavar="DIR", help="Where all state lives (RUNNER_HOME, else ~/.runner).")
@click.option("--pipelines", metavar="DIR", help="Folder of the pipeline files (else HOME/pipelines).")
@click.option("--server", metavar="URL", help="Ask the daemon whose page is there (RUNNER_SERVER), with the token RUNNER_TOKEN or HOME/token.")
@click.pass_context
def cli(ctx, home, pipelines, server):
    """Run pipelines of bash, python, spark-submit and hive steps, each run with one fixed date.

    \b
    runner check FILE              is it right?
    runner plan FILE --date DAY    what would it do?
    runner run FILE --date DAY     do it
    runner logs RUN                what did it say?
    runner rerun RUN --failed      again, only what failed
    """
    from runner.cli.app import App

    ctx.obj = App(os.environ, home, pipelines)


def main(args=None) -> None:
    """Entry point of `runner`: every error becomes a sentence and an exit code."""
    sys.exit(_main(args))


def _main(args) -> int:
    streams.open_missing()
    with streams.guarded() as out:
        code = _call(args, out)
        if out.calm and out.fault:
            _tell(out.fault, "the exit code is that of the work")
        return code


def _call(args, out: streams.Output) -> int:
    try:
        result = cli.main(args=args, prog_name="runner", standalone_mode=False)
        out.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except InvalidPipeline as error:
        _tell_problems(error)
        return error.exit_code
    except RunnerError as error:
        _tell(error.message, error.hint)
        return error.exit_code
    except streams.Unread:
        return 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _tell(f"{where}{error.strerror or error}", "")
        return EnvironmentFault.exit_code
    except Exception:  # noqa: BLE001 - the last net: a user never sees a traceback
        return _own_fault()


def _tell(message: str, hint: str) -> None:
    click.echo(click.style("runner: ", fg="red", bold=True) + message, err=True, color=_color())
    if hint:
        click.echo("  " + hint, err=True)


def _tell_problems(error: InvalidPipeline) -> None:
    from runner.spec.report import format_problem

    for problem in error.problems:
        click.echo(format_problem(problem, color=bool(_color() or sys.stderr.isatty() and _color() is None)), err=True)


def _color():
    """False when NO_COLOR is set (no-color.org), else what click finds out."""
    return False if os.environ.get("NO_COLOR") else None


def _own_fault() -> int:
    """A fault of ours: keep the details in a file, show one sentence."""
    import tempfile
    import traceback

    details = traceback.format_exc()
    try:
        folder = os.environ.get("RUNNER_HOME") or os.path.expanduser("~/.runner")
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix="fault-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write(f"runner {__version__}, Python {sys.version}\n{' '.join(sys.argv)}\n{details}")
        place = f"the details are in {file.name}"
    except OSError:
        place = details.strip().splitlines()[-1]
    _tell(f"this is a fault of runner itself, not of your pipeline; {place}", "no step was touched by it; please report that file")
    return EnvironmentFault.exit_code
