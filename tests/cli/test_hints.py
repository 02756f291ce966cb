"""What a newcomer types in vain, and a home that is not there: what is said leads on."""

from __future__ import annotations

import click
import pytest

from runner.cli.app import App
from runner.cli.daemon import daemon, health
from runner.cli.reading import list_


@pytest.mark.parametrize("word, hint", [
    ("status", "runner health"), ("start", "runner service install"), ("restart", "systemctl restart runner"), ("drain", "runner daemon reload or runner daemon stop"),
])
def test_the_words_of_other_daemons_lead_to_ours(call, word, hint):
    with pytest.raises(click.UsageError) as caught:
        call(daemon, word)
    assert caught.value.message.startswith(f"there is no command daemon {word}: type: ") and hint in caught.value.message


def test_a_home_that_is_not_there_is_named(capsys, tmp_path):
    def said(command, home):
        app = App({"RUNNER_HOME": str(home), "RUNNER_TIMEZONE": "UTC"}, None, None)
        command.main([], obj=app, standalone_mode=False)
        return "".join(capsys.readouterr())

    (tmp_path / "right").mkdir()
    words = f"there is no folder {tmp_path / 'wrong'}: is RUNNER_HOME right?"
    for command in (health, list_):
        assert words in said(command, tmp_path / "wrong") and not (tmp_path / "wrong").exists()
        assert "there is no folder" not in said(command, tmp_path / "right")
    assert said(health, tmp_path / "wrong").startswith("RUNNER CRITICAL - no daemon runs: nothing starts by itself")
