"""Good and broken pipeline files. Each broken one has the exact lines a person sees in NAME.expected.

After a message was changed on purpose: `python -m tests.test_examples`, then read what changed with `git diff`.
"""

from __future__ import annotations

import os

import pytest

from runner.spec import check, nodes, report, schema

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "examples")
SITE = check.Site("Asia/Seoul")


def names(folder):
    return sorted(name[:-5] for name in os.listdir(os.path.join(HERE, folder)) if name.endswith(".yaml"))


def read(folder, name):
    with open(os.path.join(HERE, folder, name + ".yaml"), "rb") as file:
        return file.read()


def lines_of(folder, name):
    """What `runner check` prints in that folder; called files are named as seen from there."""
    path = os.path.join(HERE, folder, name + ".yaml")
    result = check.check_text(read(folder, name), path=path, name=name, site=SITE, shown=name + ".yaml")
    return "".join(report.format_problem(problem) + "\n" for problem in result.problems)


@pytest.mark.parametrize("name", names("invalid"))
def test_a_broken_file_gets_its_messages(name, monkeypatch):
    monkeypatch.chdir(os.path.join(HERE, "invalid"))
    with open(name + ".expected", encoding="utf-8", newline="") as file:
        assert lines_of("invalid", name) == file.read()


@pytest.mark.parametrize("name", names("invalid"))
def test_each_message_says_what_to_write(name, monkeypatch):
    monkeypatch.chdir(os.path.join(HERE, "invalid"))
    result = check.check_text(read("invalid", name), path=os.path.abspath(name + ".yaml"), name=name, site=SITE)
    assert result.problems
    for problem in result.problems:
        assert problem.hint and problem.message and problem.line > 0 and problem.column > 0


@pytest.mark.parametrize("name", names("valid"))
def test_a_good_file_is_good(name, monkeypatch):
    monkeypatch.chdir(os.path.join(HERE, "valid"))
    assert lines_of("valid", name) == ""


def test_every_expectation_has_its_file():
    found = os.listdir(os.path.join(HERE, "invalid"))
    assert {name[:-9] for name in found if name.endswith(".expected")} == set(names("invalid"))
    assert len(names("invalid")) >= 150 and len(names("valid")) >= 25


def test_both_drafts_read_the_schema_alike():
    """Editors know draft-07, the check uses 2020-12."""
    import jsonschema

    drafts = [draft(schema.build()) for draft in (jsonschema.Draft7Validator, jsonschema.Draft202012Validator)]
    for folder in ("valid", "invalid"):
        for name in names(folder):
            data = nodes.load(read(folder, name), name).data
            first, second = [[(list(e.absolute_path), e.validator) for e in draft.iter_errors(data)] for draft in drafts]
            assert first == second, name
            assert folder == "invalid" or not first, name


def renew():
    os.chdir(os.path.join(HERE, "invalid"))
    for name in names("invalid"):
        with open(name + ".expected", "w", encoding="utf-8", newline="") as file:
            file.write(lines_of("invalid", name))


if __name__ == "__main__":
    renew()
