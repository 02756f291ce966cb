"""What a person is told of steps that could begin and do not."""

from __future__ import annotations

import pytest

from tests.e2e.daemons import House


@pytest.fixture
def house(tmp_path):
    found = House(tmp_path)
    yield found
    found.close()


def reasons(house, run):
    return {step["id"]: step["waits"] for step in house.json("status", run)["steps"] if step["waits"]}


def begun(house, run, *steps):
    house.wait_for(lambda: house.runs().get(run) == "running" and all(house.step(run, step)["state"] == "running" for step in steps))


def test_a_full_pool_is_named_with_who_is_in_it(house):
    house.settings("pools: hive=2\n")
    hold = "bash: sleep 600"
    house.pipeline("a", f"defaults: {{pool: hive}}\nsteps:\n  - {{id: x, {hold}}}\n  - {{id: y, {hold}}}\n  - {{id: z, {hold}}}\n  - {{id: later, needs: z, {hold}}}\n")
    house.daemon()
    house("trigger", "a", "--date", "2026-02-28")
    begun(house, "a@2026-02-28", "x", "y")
    assert reasons(house, "a@2026-02-28") == {"z": "waits for pool hive (2 of 2): a@2026-02-28/x, a@2026-02-28/y"}
    assert "waits for pool hive (2 of 2)" in house("status", "a@2026-02-28").stdout


def test_slots_holds_and_the_limits_of_a_pipeline(house):
    house.settings("slots: 2\n")
    hold = "bash: sleep 600"
    house.pipeline("narrow", f"max_active_steps: 1\nsteps:\n  - {{id: x, {hold}}}\n  - {{id: y, {hold}}}\n")
    house.pipeline("loop", f"steps:\n  - {{id: each, foreach: [1, 2], max_parallel: 1, {hold}}}\n  - {{id: z, {hold}}}\n")
    house.daemon()
    house("hold", "loop", "z", "--reason", "점검")
    for name, first in (("narrow", "x"), ("loop", "each[0]")):
        house("trigger", name, "--date", "2026-02-28")
        begun(house, f"{name}@2026-02-28", first)
    assert reasons(house, "narrow@2026-02-28") == {"y": "waits for x (max_active_steps: 1)"}
    assert reasons(house, "loop@2026-02-28") == {"each[1]": "waits for its siblings (max_parallel: 1)", "z": "held"}
    house("release", "loop", "z")
    assert reasons(house, "loop@2026-02-28")["z"] == "waits for a slot (2 of 2): narrow@2026-02-28/x, loop@2026-02-28/each[0]"


def test_what_keeps_all_from_beginning_is_seen_by_everybody(house):
    house.pipeline("a", "steps: [{id: x, bash: 'true'}]\n")
    house.daemon(env={"RUNNER_MIN_FREE": "900T"})
    house("trigger", "a", "--date", "2026-02-28")
    house.wait_for(lambda: "is left" in house.json("status", "a@2026-02-28")["waits"] or "free" in house.json("status", "a@2026-02-28")["waits"])
    found = house.json("health", code=2)
    assert found["blocked"] and any(found["blocked"] in each["text"] for each in found["findings"])
