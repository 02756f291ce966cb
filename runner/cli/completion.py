"""completion: the script that makes a shell complete our words, and the words themselves.

Whatever goes wrong while completing must stay silent: a half-typed line is no place for a message.
"""

from __future__ import annotations

import os
from typing import Callable, List

import click

from runner.cli.app import App

VARIABLE = "_RUNNER_COMPLETE"
RUNS = 300  # the newest run names that are offered

# Run names hold @ and :, at which bash breaks words: the words are split here by blanks alone, and what bash has
# typed already before its last break is taken off each answer.
_BASH = """\
_runner_completion() {
    local line=${COMP_LINE:0:COMP_POINT} words word typed kind value
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[${#words[@]}-1]}
    typed=${word%"${word##*["$COMP_WORDBREAKS"]}"}
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            plain) COMPREPLY+=("${value#"$typed"}") ;;
        esac
    done < <(COMP_WORDS=$line COMP_CWORD=$((${#words[@]} - 1)) VARIABLE=bash_complete "$1" 2>/dev/null)
}
complete -F _runner_completion runner
""".replace("VARIABLE", VARIABLE)

_HOWTO = {
    "bash": 'put into ~/.bashrc:  eval "$(runner completion bash)"',
    "zsh": 'put into ~/.zshrc, behind compinit:  eval "$(runner completion zsh)"',
    "fish": "type:  runner completion fish > ~/.config/fish/completions/runner.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(sorted(_HOWTO)))
@click.pass_context
def completion(ctx, shell):
    """Print the script that completes commands, pipelines, runs and steps in SHELL."""
    from click.shell_completion import get_completion_class

    app: App = ctx.obj
    app.out(_BASH if shell == "bash" else get_completion_class(shell)(ctx.find_root().command, {}, "runner", VARIABLE).source())
    app.say(_HOWTO[shell])


# --------------------------------------------------------------------------------------------------------------- words


def _silent(words: Callable) -> Callable:
    """A shell_complete function out of one that takes (app, ctx, incomplete) and may fail."""

    def complete(ctx, param, incomplete) -> list:
        options = ctx.find_root().params
        try:
            return words(App(os.environ, options.get("home"), options.get("pipelines")), ctx, incomplete)
        except Exception:  # noqa: BLE001 - see above
            return []

    return complete


def _starting(names, incomplete: str) -> List[str]:
    return [name for name in names if name.startswith(incomplete)]


def _pipelines(app: App, ctx, incomplete: str) -> list:
    from click.shell_completion import CompletionItem  # only here: every command imports this module

    if "/" in incomplete or incomplete.startswith((".", "~")):
        return [CompletionItem(incomplete, type="file")]
    found = _starting(app.pipeline_names(), incomplete)
    return found or [CompletionItem(incomplete, type="file")]


def _runs(app: App, ctx, incomplete: str) -> List[str]:
    store = app.store_if_any()
    if store is None:
        return []
    pipeline, at, _ = incomplete.partition("@")
    return _starting([run.name for run in store.recent_runs(pipeline if at else None, None, RUNS)], incomplete)


def _steps(app: App, ctx, incomplete: str) -> List[str]:
    """Steps of the run, or of the pipeline, that stands on the line before."""
    from runner.cli.finding import find_run

    if ctx.params.get("run_name"):
        store = app.store()
        run = find_run(app, store, ctx.params["run_name"])
        return _starting([row.step for row in store.step_runs(run.id)], incomplete)
    return _starting([step.id for step in app.pipeline(ctx.params["pipeline"]).steps], incomplete)


def _users(app: App, ctx, incomplete: str) -> List[str]:
    store = app.store_if_any()
    return _starting([user.name for user in store.accounts.users()], incomplete) if store else []


def _tokens(app: App, ctx, incomplete: str) -> List[str]:
    store = app.store_if_any()
    return _starting([token.name for token in store.accounts.tokens()], incomplete) if store else []


complete_pipeline = _silent(_pipelines)
complete_run = _silent(_runs)
complete_step = _silent(_steps)
complete_user = _silent(_users)
complete_token = _silent(_tokens)
