"""The alarm clock rings, whatever happens to one ring; and somebody notices when it rings no more. Real threads, short beats."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

import pytest

from runner.daemon import timer as module
from runner.daemon.timer import BEAT_SECONDS, DEAD_BEATS, Timer, Watchdog

UTC = timezone.utc
LONG = 3600.0  # beats that do not come within a test
SECONDS = 30


class Bell:
    """Counts; tests wait for a number of rings."""

    def __init__(self, fails=()):
        self.rings, self._fails = 0, set(fails)
        self._changed = threading.Condition()

    def __call__(self):
        with self._changed:
            self.rings += 1
            self._changed.notify_all()
        if self.rings in self._fails:
            raise RuntimeError("a ring that fails")

    def wait(self, count):
        with self._changed:
            return self._changed.wait_for(lambda: self.rings >= count, SECONDS)

    def wait_silent(self):
        """Until what was on its way has rung."""
        while not self.stays(self.rings):
            pass

    def stays(self, count, seconds=0.3):
        """It does not ring in this time: what would is set to ring at once."""
        with self._changed:
            return not self._changed.wait_for(lambda: self.rings > count, seconds)


@pytest.fixture
def start():
    made = []

    def make(bell, beat=LONG):
        made.append(Timer(bell, beat))
        return made[-1]

    yield make
    for timer in made:
        timer.close()


def soon(seconds=0.05):
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_it_beats_without_being_asked(start):
    bell = Bell()
    timer = start(bell, 0.02)
    assert bell.wait(5) and timer.beats >= 5


def test_it_rings_at_the_due_time(start):
    bell = Bell()
    timer = start(bell)
    at = soon(0.2)
    timer.set_due(at)
    assert bell.wait(1) and datetime.now(UTC) >= at and timer.beats == 0


def test_a_due_time_that_has_passed_rings_at_once(start):
    """APScheduler's own default drops what is a second late."""
    bell = Bell()
    start(bell).set_due(datetime.now(UTC) - timedelta(days=30))
    assert bell.wait(1)


def test_a_nearer_due_time_takes_the_place_of_the_one_before(start):
    bell = Bell()
    timer = start(bell)
    timer.set_due(soon(LONG))
    timer.set_due(soon())
    assert bell.wait(1)
    timer.set_due(soon(LONG))
    assert bell.stays(1) and sorted(job.id for job in timer._scheduler.get_jobs()) == ["beat", "due"]


def test_no_due_time_takes_the_ring_away(start):
    bell = Bell()
    timer = start(bell)
    timer.set_due(soon(1))
    timer.set_due(None)
    timer.set_due(None)
    assert bell.stays(0, 1.5)
    timer.set_due(soon())
    assert bell.wait(1)


def test_the_same_due_time_again_is_not_another_ring(start):
    bell = Bell()
    timer = start(bell)
    at = datetime.now(UTC) - timedelta(seconds=1)
    timer.set_due(at)
    assert bell.wait(1)
    timer.set_due(at)
    assert bell.stays(1), "the loop would turn without end on what cannot be dealt with"


def test_a_ring_that_fails_stops_neither_beats_nor_due_times(start, caplog):
    bell = Bell(fails={1, 2, 4})
    timer = start(bell, 0.02)
    assert bell.wait(6)
    timer.set_due(soon())
    before = timer.beats
    assert bell.wait(bell.rings + 3) and timer.beats > before


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_closing_while_it_rings_is_no_error():
    """APScheduler's thread would die with a traceback over a job that it wants to remove and that a shutdown has removed."""
    bell = Bell()
    for i in range(100):
        timer = Timer(bell, LONG)
        timer.set_due(datetime.now(UTC) - timedelta(seconds=1))
        assert bell.wait(i + 1)
        timer.close()


def test_hundreds_of_due_times_one_after_another_each_ring(start):
    """The loop sets the next one when one has rung; a job that is set while it still runs must not be lost."""
    heard = threading.Event()

    class Again(Bell):
        def __call__(self):
            super().__call__()
            if self.rings < 300:
                timer.set_due(datetime.now(UTC) + timedelta(milliseconds=1))
            else:
                heard.set()

    bell = Again()
    timer = start(bell)
    timer.set_due(soon())
    assert heard.wait(60), bell.rings


def test_a_clock_set_ahead_by_years_costs_one_beat():
    """The walk of APScheduler's own trigger over each missed beat would take minutes."""
    beat = module._Beat(10)
    now = datetime(2036, 1, 1, tzinfo=UTC)
    assert beat.get_next_fire_time(datetime(2026, 1, 1, tzinfo=UTC), now) == now + timedelta(seconds=10)


def test_after_a_clock_that_was_set_back_it_beats_from_now(start):
    bell = Bell()
    timer = start(bell, 0.02)
    assert bell.wait(1)
    timer._scheduler.modify_job("beat", next_run_time=datetime.now(UTC) + timedelta(hours=1))  # so it is after an hour back
    bell.wait_silent()
    timer.clock_was_set()
    assert bell.wait(bell.rings + 2)


# ----------------------------------------------------------------------------------------------------- the watchdog


def looks(beats, seconds=BEAT_SECONDS, first=0.0):
    """What a watchdog says at each of these counts of beats, looked at so many seconds apart."""
    dog = Watchdog()
    return [dog.is_dead(count, first + i * seconds) for i, count in enumerate(beats)]


def test_a_timer_that_beats_is_alive():
    assert not any(looks(range(100)))


def test_a_timer_without_a_beat_is_dead_after_a_minute_of_looks():
    found = looks([5] * (DEAD_BEATS + 1))
    assert found == [False] * DEAD_BEATS + [True] and DEAD_BEATS * BEAT_SECONDS <= 60


def test_looking_often_does_not_make_it_die_earlier():
    found = looks([5] * 1000, seconds=0.125)
    assert found.index(True) >= DEAD_BEATS * BEAT_SECONDS / 0.125 and found[-1]


def test_a_stopped_process_is_no_dead_timer():
    """SIGSTOP for hours: both stood still. One look is one, however long ago the last one was."""
    dog = Watchdog()
    assert not dog.is_dead(5, 0.0)
    assert not dog.is_dead(5, 4 * 3600.0)
    assert not dog.is_dead(6, 4 * 3600.0 + 10)


def test_one_late_beat_starts_the_count_anew():
    found = looks([5] * DEAD_BEATS + [6] * DEAD_BEATS)
    assert not any(found)


class Bad(module.BaseTrigger):
    """Comes once; asked for its next time it raises, which nothing in APScheduler catches."""

    def get_next_fire_time(self, previous_fire_time, now):
        if previous_fire_time is None:
            return now
        raise ValueError("a trigger that fails")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_thread_that_died_is_noticed(start):
    bell = Bell()
    timer = start(bell, 0.02)
    assert bell.wait(2)
    timer._scheduler.add_job(bell, Bad())
    thread = timer._scheduler._thread
    thread.join(SECONDS)
    bell.wait_silent()
    assert not thread.is_alive() and timer._scheduler.running, "APScheduler itself says that all is well"
    timer.set_due(datetime.now(UTC) - timedelta(seconds=1))
    assert bell.stays(bell.rings), "nothing rings any more"
    dog, ticks = Watchdog(), [i * BEAT_SECONDS for i in range(DEAD_BEATS + 1)]
    assert [dog.is_dead(timer.beats, tick) for tick in ticks] == [False] * DEAD_BEATS + [True]
    timer.close()
    timer._scheduler = Timer(bell, LONG)._scheduler  # for the end of this test
