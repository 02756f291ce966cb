"""A parameter that stands bare in shell text is warned of; what is quoted, filtered or safe by its type is not."""

from __future__ import annotations

import pytest

from runner import template
from runner.spec.check import Site, check_text

RISKY = frozenset({"title"})

BARE = [
    "echo << params.title >>",
    "cp a.csv /data/<< params.title >>/x",
    "x=<< params.title >>",
    "echo 'a' << params.title >> \"b\"",
    "echo a # it's a comment\necho << params.title >>",
    "echo \\\" << params.title >>",
]
FINE = [
    'echo "<< params.title >>"',
    "echo 'x << params.title >> y'",
    'echo "two\nlines << params.title >>"',
    "echo << params.title | sh >>",
    "echo << params.title | json >>",
    "echo << params.other >>",
    "echo << ds >>",
    "cat <<EOF\n<< params.title >>\nEOF",
    "echo nothing",
]


@pytest.mark.parametrize("text", BARE)
def test_bare(text):
    found = template.find_bare_params(text, RISKY)
    assert len(found) == 1 and found[0].severity == "warning" and "| sh" in found[0].hint
    assert text.split("\n")[found[0].line - 1][found[0].column - 1 :].startswith("<< params.title")


@pytest.mark.parametrize("text", FINE)
def test_fine(text):
    assert template.find_bare_params(text, RISKY) == []


def test_check_warns_with_its_place_and_only_for_free_text():
    text = """
params:
  title: {type: string, default: x}
  region: {type: string, enum: [KR], default: KR}
  n: 3
steps:
  - id: a
    bash: |
      echo << params.region >> << params.n >>
      echo << params.title >>
  - id: b
    python: |
      print("<< params.title >>")
"""
    result = check_text(text, path="", name="x", site=Site("UTC"))
    assert result.pipeline and [(p.line, p.column, p.severity) for p in result.problems] == [(10, 12, "warning")]
