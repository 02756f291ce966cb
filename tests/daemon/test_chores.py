"""`runner clean` once a day, as a child: when it begins, that there is never a second, and that a failure is told."""

from __future__ import annotations

import os
import subprocess
import threading
from datetime import timedelta

import pytest

from runner import config as config_module
from runner.daemon import chores as module
from runner.daemon.chores import EVERY_SECONDS, FIRST_SECONDS, Chores
from tests.conftest import FakeClock


class Child:
    """A process that ends when told."""

    def __init__(self, words, **options):
        self.words, self.options, self.code = words, options, None

    def poll(self):
        return self.code


class Scene:
    def __init__(self, folder, monkeypatch):
        (folder / "home").mkdir()
        self.config = config_module.load({"HOME": str(folder), "TZ": "UTC"}, home=str(folder / "home"))
        self.clock, self.said, self.children = FakeClock(), [], []
        monkeypatch.setattr(module.subprocess, "Popen", self.born)
        self.new()

    def born(self, words, **options):
        self.children.append(Child(words, **options))
        return self.children[-1]

    def new(self):
        self.chores = Chores(self.config, {"PATH": os.environ["PATH"]}, self.clock, self.said.append)

    def after(self, seconds):
        """How many were begun so far, that many seconds later."""
        self.clock.advance(seconds)
        self.chores.look(self.clock.now(), self.clock.monotonic())
        return len(self.children)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    return Scene(tmp_path, monkeypatch)


def test_the_first_begins_ten_minutes_after_the_start(scene):
    assert [scene.after(0), scene.after(FIRST_SECONDS - 1), scene.after(1)] == [0, 0, 1]
    words = scene.children[0].words
    assert words[:3] == ["nice", "-n", "19"] and words[-5:] == ["runner", "--home", scene.config.home, "clean", "--quiet"]
    assert scene.children[0].options["env"] == {"PATH": os.environ["PATH"]}, "it lives as the daemon does"


def test_the_next_begins_a_day_later(scene):
    assert scene.after(FIRST_SECONDS) == 1
    scene.children[0].code = 0
    assert [scene.after(EVERY_SECONDS - 10), scene.after(10), scene.after(10)] == [1, 2, 2]


def test_a_restart_does_not_begin_it_again_within_the_day(scene):
    assert scene.after(FIRST_SECONDS) == 1
    for _ in range(5):
        scene.new()
        assert scene.after(2 * FIRST_SECONDS) == 1
    scene.new()
    assert scene.after(EVERY_SECONDS) == 2


def test_there_is_never_a_second_beside_it(scene):
    assert scene.after(FIRST_SECONDS) == 1
    assert scene.after(3 * EVERY_SECONDS) == 1
    scene.children[0].code = 0
    assert scene.after(10) == 2


def test_a_failure_is_told_and_the_next_day_has_its_own(scene):
    scene.after(FIRST_SECONDS)
    scene.children[0].code = 3
    scene.after(10)
    assert scene.said == ["runner clean ended with exit 3; type: runner clean   to see why"]
    assert scene.after(EVERY_SECONDS) == 2 and len(scene.said) == 1


def test_a_clock_set_back_does_not_put_it_off_for_as_long(scene):
    """The stamp lies in the future then: a month without house-keeping would fill the disk."""
    assert scene.after(FIRST_SECONDS) == 1
    scene.children[0].code = 0
    scene.clock.moment -= timedelta(days=30)
    assert scene.after(FIRST_SECONDS) == 2
    scene.children[1].code = 0
    assert [scene.after(EVERY_SECONDS - 10), scene.after(10)] == [2, 3]


@pytest.mark.parametrize("fault", [FileNotFoundError(2, "No such file or directory", "nice"), PermissionError(13, "Permission denied")])
def test_a_child_that_cannot_be_born_is_told_and_stops_nobody(scene, monkeypatch, fault):
    def born(words, **options):
        raise fault

    monkeypatch.setattr(module.subprocess, "Popen", born)
    scene.after(FIRST_SECONDS)
    assert scene.said == [f"runner clean cannot be started: {fault.strerror}"]
    scene.after(10)
    assert len(scene.said) == 1, "not at every beat"


def test_a_stamp_that_cannot_be_written_is_told_and_stops_nobody(scene):
    os.mkdir(os.path.join(scene.config.home, module.STAMP))
    old = scene.clock.now().timestamp() - 2 * EVERY_SECONDS
    os.utime(os.path.join(scene.config.home, module.STAMP), (old, old))
    assert scene.after(FIRST_SECONDS) == 0
    assert scene.said == ["runner clean cannot be started: Is a directory"]


def test_the_real_one_cleans(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    environ = {**os.environ, "HOME": str(tmp_path)}
    config = config_module.load({"HOME": str(tmp_path), "TZ": "UTC"}, home=str(home))
    clock, said = FakeClock(), []
    chores = Chores(config, environ, clock, said.append)
    clock.advance(FIRST_SECONDS)
    chores.look(clock.now(), clock.monotonic())
    assert isinstance(chores._child, subprocess.Popen)
    ended = threading.Event()
    threading.Thread(target=lambda: (chores._child.wait(60), ended.set()), daemon=True).start()
    assert ended.wait(60) and chores._child.returncode == 0
    clock.advance(10)
    chores.look(clock.now(), clock.monotonic())
    assert said == [] and chores._child is None and (home / module.STAMP).exists()
