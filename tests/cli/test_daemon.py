"""daemon, health and the switches: what a person reads is by the clock of the site, what a program reads in UTC."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from runner import __version__, daemonlock
from runner.cli import alerting, triggering
from runner.cli.daemon import daemon, health
from runner.errors import Conflict, UsageError
from runner.store.alerts import Delivery


@pytest.fixture
def living(monkeypatch, app):
    """living(...): a daemon that is well but for that."""

    def live(**changes):
        alive = daemonlock.Daemon(7, "", "2026-02-28T00:00:00Z", __version__, app.clock.now().timestamp(), **changes)
        monkeypatch.setattr(daemonlock, "look", lambda home: alive)

    live()
    return live


@pytest.fixture
def mart(tmp_path, store, clock):
    """A pipeline that is due at 16:00 UTC."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "mart.yaml").write_text("schedule: '0 1 * * *'\nsteps: [{id: a, bash: 'true'}]\n")
    with store.transaction():
        store.pipelines.place("mart", "", None, "", clock.now())
        store.pipelines.schedule("mart", "", clock.now(), clock.now().replace(hour=16, minute=0, second=0, microsecond=0))


def test_health_is_told_by_the_clock_of_the_site_and_to_programs_in_utc(call, living, mart):
    assert call(health)[1].startswith("RUNNER OK - daemon pid 7 since 2026-02-28 09:00 KST, next due 2026-03-01 01:00 KST | ")
    found = json.loads(call(health, "--json")[1])
    assert found["next_due"] == "2026-02-28T16:00:00+00:00" and found["daemon"]["since"] == "2026-02-28T00:00:00Z"


def test_a_page_that_is_not_served_is_a_warning(call, living, mart):
    living(page="the page is not served yet: port 1 is taken")
    code, out, _ = call(health)
    assert code == 1 and out.startswith("RUNNER WARNING - the page is not served yet: port 1 is taken | ")


def test_the_lock_keeps_what_each_part_tells(tmp_path):
    lock = daemonlock.DaemonLock(str(tmp_path), "2026-02-28T00:00:00Z")
    try:
        lock.tell_page("한" * 400)
        lock.tell("7-x", "disk")
        found = daemonlock.look(str(tmp_path))
        assert (found.owner, found.blocked, found.page) == ("7-x", "disk", "한" * daemonlock.MOST_WORDS)
        lock.tell_page("")
        found = daemonlock.look(str(tmp_path))
        assert (found.owner, found.blocked, found.page) == ("7-x", "disk", "")
    finally:
        lock.close()


@pytest.mark.parametrize("text", ["99999", "a:b", "127.0.0.1:0"])
def test_an_address_that_is_none_names_the_option_that_was_typed(call, text):
    with pytest.raises(UsageError, match=f"^--listen: '{text}' is no HOST:PORT$") as error:
        call(daemon, "--listen", text)
    assert error.value.hint == "type: runner daemon --listen 127.0.0.1:8080"


@pytest.mark.parametrize("command, words, said", [
    (triggering.pause, ["mart"], "is paused by .* since 2026-02-28 23:50 KST: disk"),
    (triggering.hold, ["mart"], "is held by .* since 2026-02-28 23:50 KST: disk"),
])
def test_since_when_a_switch_is_set_is_told_by_the_clock_of_the_site(call, living, mart, command, words, said):
    call(command, *words, "--reason", "disk")
    with pytest.raises(Conflict, match=said):
        call(command, *words)


def test_the_log_of_deliveries_is_by_the_clock_of_the_site(call, store, clock):
    store.alerts.log(Delivery(clock.now() - timedelta(minutes=5), "ops", "s", "k", 1, "failed", "why", 0.1))
    assert call(alerting.log)[1].splitlines()[1].startswith("2026-02-28 23:45:00  ops")
    assert json.loads(call(alerting.log, "--json")[1])["deliveries"][0]["at"] == "2026-02-28T14:45:00+00:00"
