"""Options that contradict each other are refused before anything is done, with what to type instead."""

from __future__ import annotations

import pytest

from runner.cli.daemon import stop as daemon_stop
from runner.cli.logs import logs
from runner.cli.running import rerun, run, stop
from runner.errors import UsageError


@pytest.mark.parametrize("command, words, message, hint", [
    (daemon_stop, ["--drain", "--kill"], "--drain lets the steps end, --kill ends them: not both", "runner daemon stop --drain | --kill"),
    (run, ["mart", "--date", "2026-02-28", "--new", "--resume"], "--new makes a second run, --resume finishes the one that is there: not both", "one of: --new, --resume"),
    (run, ["mart", "--resume", "--param", "a=1"], "--param and --only do not go with it", "leave them out"),
    (run, ["mart", "--resume", "--only", "a"], "--param and --only do not go with it", "leave them out"),
    (rerun, ["mart@2026-02-28", "--resume", "--failed"], "--resume finishes the run as it is", "runner rerun mart@2026-02-28 --resume"),
    (rerun, ["mart@2026-02-28", "--resume", "--from", "a"], "--resume finishes the run as it is", "runner rerun mart@2026-02-28 --resume"),
    (stop, ["mart", "--backfill", "3"], "mart and --backfill 3: not both", "runner stop RUN   or: runner stop --backfill NUMBER"),
    (stop, [], "say which run", "runner stop RUN   or: runner stop --backfill NUMBER"),
    (logs, ["mart", "--all", "-n", "5"], "--all is from the beginning, -n 5 the end: not both", "runner logs mart --all   or: runner logs mart -n 5"),
    (logs, ["mart", "--path", "--json"], "--path and --json: not both", "runner logs mart --path"),
])
def test_who_says_two_things_is_told_that_it_is_one_of_them(call, store, command, words, message, hint):
    with pytest.raises(UsageError) as caught:
        call(command, *words)
    assert message in caught.value.message and hint in caught.value.hint
    assert UsageError.exit_code == 2 and store.recent_runs() == []
