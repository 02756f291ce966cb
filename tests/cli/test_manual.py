"""docs/cli.md is what the commands say of themselves."""

from __future__ import annotations

import os

from runner.cli import COMMANDS
from runner.cli.manual import as_markdown

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "cli.md")


def test_the_page_is_up_to_date():
    with open(PAGE, encoding="utf-8") as file:
        assert file.read() == as_markdown(), "type: python -m runner.cli.manual > docs/cli.md"


def test_every_command_is_there_with_words_of_its_own():
    page = as_markdown()
    for name in COMMANDS:
        assert f"\n## runner {name}\n\n`runner {name}" in page
    assert "\n## runner db upgrade\n" in page
