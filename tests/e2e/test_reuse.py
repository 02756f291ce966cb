"""Parts under a real daemon: a changed one counts from the next run on, a run keeps what it began with."""

from __future__ import annotations

import os
import textwrap

import pytest

from tests.e2e.daemons import EFFECT, WAITS, House

DAY = "2026-02-{:02}"
OWN = "extends: common/_base.yaml\nsteps:\n  - {id: last, needs: said, bash: 'true'}\n"


def base(word, before=WAITS):
    return textwrap.dedent(f"""\
        env: {{WORD: {word}}}
        steps:
          - id: first
            bash: {before}
            kill_grace: 1s
          - id: said
            needs: first
            bash: ./say.sh "$WORD"
    """)


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    (made.pipelines / "common").mkdir()
    script = made.pipelines / "common" / "say.sh"
    script.write_text("#!/bin/sh\necho \"said $1\"\n")
    script.chmod(0o755)
    made.pipeline("common/_base", base("old"))
    made.pipeline("mart", OWN)
    yield made
    made.close()


def definition(house, name="mart"):
    found = house.rows("SELECT definition, problem FROM pipelines WHERE name = ?", name)
    return (found[0]["definition"], found[0]["problem"]) if found else (None, "")


def said(house, number):
    return house("logs", f"mart@{DAY.format(number)}", "said", "--raw").stdout


def start(house, number):
    house("trigger", "mart", "--date", DAY.format(number))
    house.wait_for(lambda: house.runs().get(f"mart@{DAY.format(number)}") == "running")


def test_a_running_run_keeps_the_old_part_and_the_next_has_the_new_one(house):
    house.daemon()
    house.wait_for(lambda: definition(house)[0])
    assert [row["name"] for row in house.rows("SELECT name FROM pipelines")] == ["mart"]
    first, _ = definition(house)
    start(house, 1)
    house.wait_lines(1)
    house.pipeline("common/_base", base("new"))
    house.wait_for(lambda: definition(house)[0] not in (first, None))
    house.open()
    assert house.wait_state(f"mart@{DAY.format(1)}", "success")
    assert said(house, 1) == "said old\n"
    house("trigger", "mart", "--date", DAY.format(2))
    assert house.wait_state(f"mart@{DAY.format(2)}", "success")
    assert said(house, 2) == "said new\n"


def test_a_restart_in_mid_run_and_a_rerun_do_without_the_parts(house):
    daemon = house.daemon()
    house.wait_for(lambda: definition(house)[0])
    start(house, 1)
    house.wait_lines(1)
    daemon.kill()
    daemon.wait()
    os.remove(house.pipelines / "common" / "_base.yaml")
    second = house.daemon()
    house.wait_for(lambda: definition(house)[1])
    assert "common/_base.yaml does not exist" in definition(house)[1] and definition(house)[0], "the last good version stays"
    house.open()
    assert house.wait_state(f"mart@{DAY.format(1)}", "success")
    house.end(second)
    refused = house("rerun", f"mart@{DAY.format(1)}", "--all", code=None)
    assert refused.returncode and "common/_base.yaml does not exist" in refused.stdout + refused.stderr
    house("rerun", f"mart@{DAY.format(1)}", "--all", "--keep-definition")
    assert said(house, 1).endswith("said old\n")


def test_a_faulty_part_is_told_where_it_is_and_mended_by_mending_it(house):
    house.pipeline("other", OWN)
    house.daemon()
    house.wait_for(lambda: definition(house)[0] and definition(house, "other")[0])
    house.pipeline("common/_base", "steps:\n  - id: said\n    bsh: x\n")
    house.wait_for(lambda: definition(house)[1] and definition(house, "other")[1])
    assert definition(house)[1].startswith("_base.yaml line 3: unknown key 'bsh'")
    listed = {entry["name"]: entry["problem"] for entry in house.json("list")}
    assert set(listed) == {"mart", "other"} and all(problem.startswith("_base.yaml line 3:") for problem in listed.values())
    told = house("check", code=1).stdout
    assert told.count("unknown key 'bsh'") == 1, "once, however many take it"
    house.pipeline("common/_base", base("new", EFFECT))
    house.wait_for(lambda: not definition(house)[1] and not definition(house, "other")[1])
    house("trigger", "mart", "--date", DAY.format(1))
    assert house.wait_state(f"mart@{DAY.format(1)}", "success")
    assert said(house, 1) == "said new\n"


def test_the_list_sees_another_schedule_in_a_part(house):
    house.pipeline("common/_base", "schedule: '0 1 * * *'\n" + base("old"))
    assert "T01:00:00" in house.json("list")[0]["next_due"]
    house.pipeline("common/_base", "schedule: '0 2 * * *'\n" + base("old"))
    assert "T02:00:00" in house.json("list")[0]["next_due"]


def test_show_merged_is_a_pipeline_of_its_own(house):
    text = house("show", "mart", "--merged").stdout
    assert "WORD: old  # common/_base.yaml:1" in text and "# relative paths of this step start at common/" in text
    house.write("home/pipelines/flat.yaml", text)
    house("check", "flat", code=None)
    one, two = house.json("show", "mart"), house.json("show", "flat")
    assert [{**step, "line": 0} for step in one["steps"]] == [{**step, "line": 0} for step in two["steps"]]
    found = house.json("show", "mart", "--merged")
    assert found["merged"]["env"] == {"WORD": "old"} and found["places"]["env.WORD"]["line"] == 1
    assert found["takes"] == [str(house.pipelines / "common" / "_base.yaml")]
    assert "is a part" in house("show", "_base", "--merged", code=2).stderr
