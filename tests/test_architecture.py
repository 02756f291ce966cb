"""docs/architecture.md says what is: its states are the code's, its modules exist, and none is missing."""

from __future__ import annotations

import os
import re

import pytest

from runner import model

ROOT = os.path.join(os.path.dirname(__file__), "..")
with open(os.path.join(ROOT, "docs", "architecture.md"), encoding="utf-8") as _file:
    TEXT = _file.read()


@pytest.mark.parametrize("number, moves", [(0, model.RUN_MOVES), (1, model.STEP_MOVES)])
def test_the_drawn_states_are_the_allowed_moves(number, moves):
    drawn = re.findall(r"```mermaid\n(.*?)```", TEXT, re.S)[number]
    arrows = set(re.findall(r"^  (\w+) --> (\w+)$", drawn, re.M))
    assert arrows == {(frm, to) for frm, targets in moves.items() for to in targets}


def test_every_room_is_named_and_every_named_file_exists():
    named = set(re.findall(r"`([\w/.]+(?:\.py|\.sh|/))`", TEXT))
    rooms = {name if name.endswith(".py") else name + "/" for name in os.listdir(os.path.join(ROOT, "runner"))
             if not name.startswith("__") and (name.endswith(".py") or os.path.isdir(os.path.join(ROOT, "runner", name)))}
    assert {room for room in rooms if room not in TEXT} == set()
    files = {file for folder, _, names in os.walk(os.path.join(ROOT, "runner")) for file in names}
    for name in named:
        full = os.path.join(ROOT, "runner", name)
        assert os.path.exists(full) or os.path.exists(os.path.join(ROOT, name)) or os.path.basename(name) in files, name


def test_every_file_of_the_larger_rooms_is_named():
    for room in ("spec", "schedule", "template", "executors", "store"):
        for name in os.listdir(os.path.join(ROOT, "runner", room)):
            if name.endswith(".py") and name != "__init__.py":
                assert f"`{name}`" in TEXT, f"{room}/{name} is not in docs/architecture.md"
