"""The settings of a site, outside of a step and inside."""

from __future__ import annotations

import pytest

from runner import config, template
from runner.errors import EnvironmentFault


class _Names(dict):
    """A run that has every name."""

    def __missing__(self, name):
        return {} if name == "params" else name


GIVEN = frozenset(template.environment(_Names())) | {"RUNNER_OUTPUT", "RUNNER_ATTEMPT", "RUNNER_HOME"}  # what every step gets
IN_STEP = {name: "x" for name in GIVEN if name != "RUNNER_HOME"}


def test_no_variable_of_a_step_is_taken_for_a_setting():
    """A new setting whose plain name a step has for something else must be named in config.IN_STEP."""
    assert {name for name in config.SETTINGS if "RUNNER_" + name.upper() in GIVEN} == set(config.IN_STEP)
    assert not [name for name in config.SETTINGS if name.startswith(("param_", "setting_"))]
    assert not [name for name in GIVEN if name.startswith("RUNNER_SETTING_")]


def test_in_a_step_the_settings_are_those_that_were_handed_on(tmp_path):
    outside = {"RUNNER_LOGICAL_DATE": "interval_start", "RUNNER_TIMEZONE": "Asia/Tokyo", "RUNNER_SLOTS": "3", "RUNNER_PIPELINES": "/p"}
    inside = {**config.handed_on(outside), **IN_STEP, "RUNNER_HOME": str(tmp_path)}
    again = {**config.handed_on(inside), **IN_STEP, "RUNNER_HOME": str(tmp_path)}  # a runner in a step of a runner in a step
    for environ in (inside, again):
        found = config.load(environ)
        assert (found.logical_date, found.timezone, found.slots, found.pipelines) == ("interval_start", "Asia/Tokyo", 3, "/p")
        assert found.home == str(tmp_path)


def test_a_bom_is_no_part_of_the_first_name(tmp_path):
    (tmp_path / "settings.yaml").write_bytes(b"\xef\xbb\xbftimezone: Asia/Seoul\n")
    assert config.load({"RUNNER_HOME": str(tmp_path)}).timezone == "Asia/Seoul"


def test_all_faults_are_told_at_once_with_their_lines(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("timezone: Asia/Seol\nslots: many\nkeep_day: 3\ndurability: sometimes\nldap_url: ldap://x\n")
    with pytest.raises(EnvironmentFault) as told:
        config.load({"RUNNER_HOME": str(tmp_path)})
    assert [line for line in told.value.message.splitlines() if line.startswith(str(path))] == [
        f"{path}:3:1: 'keep_day' is no setting",
        f"{path}:2:1: slots: 'many' is not a number from 1 to 1000",
        f"{path}:4:1: durability: 'sometimes' is not one of full, normal",
        f"{path}:5:1: ldap_url, ldap_user and ldap_roles belong together",
        f"{path}:1:1: timezone: 'Asia/Seol' is not a time zone",
    ]
    assert "\n  did you mean keep_days?\n" in told.value.message and told.value.hint == "did you mean Asia/Seoul?"


def test_in_a_step_a_setting_that_nobody_gave_is_that_of_the_file(tmp_path):
    (tmp_path / "settings.yaml").write_text("logical_date: interval_start\ntimezone: UTC\n")
    assert config.handed_on({"PATH": "/bin", "RUNNER_DS": "2026-02-28"}) == {}
    for mark in ("RUNNER_ATTEMPT", "RUNNER_RUN_ID"):
        found = config.load({mark: "x", "RUNNER_LOGICAL_DATE": "2026-02-28T00:00:00+09:00", "RUNNER_HOME": str(tmp_path)})
        assert found.logical_date == "interval_start"
