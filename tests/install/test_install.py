"""install.sh with this machine's Python, in folders of its own. Other systems and Pythons: prove.sh, all-pythons.sh."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PARTS = ["LICENSE", "README.md", "install.sh", "pipelines", "pyproject.toml", "runner", "vendor-wheels"]
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "runner/__init__.py").read_text())[1]


def copy_checkout(target: Path) -> Path:
    target.mkdir(parents=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target / part, copy_function=_copy, ignore=shutil.ignore_patterns("__pycache__", "tests"))
        else:
            shutil.copy(ROOT / part, target / part)
    return target


def _copy(source, target):
    """Wheels as links: no test writes into one."""
    if source.endswith(".whl"):
        os.symlink(source, target)
    else:
        shutil.copy(source, target)


class Site:
    """One place to install in."""

    def __init__(self, folder: Path, checkout: Path = ROOT):
        self.folder, self.checkout = folder, checkout
        self.prefix, self.home = folder / "prefix", folder / "state"
        (folder / "user").mkdir(parents=True)
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(folder / "user"), "LANG": "C"}

    def install(self, *options, checkout=None, code=0, python=sys.executable, **env):
        command = [str((checkout or self.checkout) / "install.sh"), "--prefix", str(self.prefix), "--home", str(self.home)]
        command += ["--python", str(python)] if python else []
        done = subprocess.run(
            command + list(options), env={**self.env, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=120, cwd=self.folder
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def runner(self, *words, **env):
        env = {**self.env, "RUNNER_HOME": str(self.home), **env}
        done = subprocess.run([str(self.prefix / "bin/runner"), *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=60)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def versions(self):
        return sorted(p.name for p in (self.prefix / "lib/runner").iterdir() if p.is_dir() and not p.is_symlink())

    def nothing_changed(self):
        return not self.prefix.exists() and not self.home.exists()


@pytest.fixture()
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy to spoil: each test puts back what it changed."""
    return copy_checkout(tmp_path_factory.mktemp("copy") / "checkout")


def newer(checkout: Path, version: str) -> Path:
    file = checkout / "runner/__init__.py"
    file.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', file.read_text()))
    return checkout


# ------------------------------------------------------------------------------------------------------------ wrong use


def test_help_names_every_option(site):
    text = site.install("--help")
    for option in ("--prefix", "--python", "--home", "--no-first-run", "--uninstall", "RUNNER_PREFIX", "RUNNER_PYTHON", "RUNNER_HOME"):
        assert option in text
    assert site.nothing_changed()


@pytest.mark.parametrize("options, words", [
    (["--prefx", "/x"], "there is no option --prefx"),
    (["--prefix"], "--prefix wants a value"),
    (["--home", ""], "--home wants a value"),
    (["--prefix", "/"], "give a folder"),
    (["extra"], "there is no option extra"),
])
def test_wrong_use_is_exit_2(site, options, words):
    assert words in site.install(*options, code=2)
    assert site.nothing_changed()


# --------------------------------------------------------------------------------------------------------------- faults


def test_missing_modules_are_all_named_with_their_packages(site):
    text = site.install(code=3, RUNNER_TEST_MISSING="_ctypes ssl sqlite3 zlib bz2 lzma venv")
    for module in ("_ctypes", "ssl", "sqlite3", "zlib", "bz2", "lzma", "venv"):
        assert f"the Python module {module} is missing" in text
    for package in ("libffi", "sqlite", "zlib1g", "liblzma"):
        assert package in text
    assert "RHEL" in text and "Debian" in text
    assert site.nothing_changed()


def test_faults_of_different_kinds_come_together(site, checkout):
    site.prefix.write_text("a file")
    lock = checkout / "vendor-wheels/requirements.txt"
    lock.rename(lock.with_suffix(".away"))
    try:
        text = site.install(checkout=checkout, code=3, RUNNER_TEST_MISSING="ssl")
    finally:
        lock.with_suffix(".away").rename(lock)
    assert "module ssl is missing" in text and "prefix is no folder" in text and "requirements.txt is missing" in text


def test_damaged_wheel(site, checkout):
    wheel = next((checkout / "vendor-wheels").glob("click-*.whl"))
    real = os.readlink(wheel)
    wheel.unlink()
    wheel.write_bytes(b"version https://git-lfs" + b"\0" * 100)
    try:
        text = site.install(checkout=checkout, code=3)
    finally:
        wheel.unlink()
        wheel.symlink_to(real)
    assert wheel.name in text and "damaged" in text and "git checkout" in text
    assert site.nothing_changed()


def test_missing_wheel_names_what_there_is(site, checkout):
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    gone = {w: os.readlink(w) for w in (checkout / "vendor-wheels").glob(f"rpds_py-*-{tag}-*.whl")}
    for wheel in gone:
        wheel.unlink()
    try:
        text = site.install(checkout=checkout, code=3)
    finally:
        for wheel, real in gone.items():
            wheel.symlink_to(real)
    assert "no wheels for Python" in text and "rpds_py" in text and "renew.py" in text


def test_python_that_is_none(site):
    assert "no such Python" in site.install(code=3, python="/nowhere/python3")
    fake = site.folder / "python"
    fake.write_text("#!/bin/sh\necho cannot >&2\nexit 127\n")
    fake.chmod(0o755)
    assert "does not start" in site.install(code=3, python=fake)
    assert "no Python was found" in site.install(code=3, python=None, PATH=_tools_only(site.folder / "tools"))


def _tools_only(folder):
    folder.mkdir()
    for tool in ("bash", "env", "sed", "dirname", "grep"):
        (folder / tool).symlink_to(shutil.which(tool))
    return str(folder)


def test_python_too_old(site):
    old = [p for p in sorted(Path.home().glob(".pyenv/versions/*/bin/python")) if re.search(r"/(2\.7|3\.[5-8])\.", str(p))]
    if not old:
        pytest.skip("no Python older than 3.9 here; pyenv install 3.8")
    for python in old:
        text = site.install(code=3, python=python)
        assert "is older than 3.9" in text and "dnf install" in text and "Traceback" not in text


def test_another_program_named_runner_is_left_alone(site):
    (site.prefix / "bin").mkdir(parents=True)
    (site.prefix / "bin/runner").write_text("#!/bin/sh\necho I am another\n")
    assert "is another program" in site.install(code=3)
    site.install("--uninstall")
    assert "another" in (site.prefix / "bin/runner").read_text()


# --------------------------------------------------------------------------------------------------- a whole life


def test_install_twice_upgrade_back_uninstall(tmp_path):
    site = Site(tmp_path / "빈 칸 '과' 한글")
    checkout = copy_checkout(site.folder / "체크 아웃")
    text = site.install(checkout=checkout)
    assert "Hello, world" in text and "success" in text and f"export PATH='{site.prefix}/bin'" in text
    assert stat.S_IMODE(site.home.stat().st_mode) == 0o750 and stat.S_IMODE((site.home / "runner.db").stat().st_mode) == 0o640
    assert site.runner("--version") == f"runner {VERSION}\n"
    assert "2026-02-28" in site.runner("run", "hello", "--date", "2026-02-28", "--logs")

    text = site.install(checkout=checkout)
    assert "installed already" in text and "Hello" not in text
    first = site.versions()
    assert len(first) == 1

    text = site.install(checkout=newer(checkout, "99.0.0"))
    assert "switched from" in text and "Hello" not in text
    assert site.runner("--version") == "runner 99.0.0\n"
    assert "2026-02-28" in site.runner("runs")
    assert len(site.versions()) == 2 and first[0] in site.versions()

    site.install(checkout=newer(checkout, "99.0.1"))
    assert site.runner("--version") == "runner 99.0.1\n"
    assert [v.split("-")[0] for v in site.versions()] == ["99.0.0", "99.0.1"]  # the oldest is gone

    text = site.install("--uninstall", checkout=checkout)
    assert "kept: " in text and str(site.home) in text
    assert not (site.prefix / "bin/runner").exists() and not (site.prefix / "lib/runner").exists()
    assert (site.home / "pipelines/hello.yaml").exists()
    assert (site.home / "examples/daily_mart/daily_mart.yaml").exists() and not (site.home / "pipelines/reference").exists()
    assert "nothing of runner is installed" in site.install("--uninstall", checkout=checkout)


def test_killed_upgrade_leaves_the_old_version(tmp_path):
    site = Site(tmp_path)
    checkout = copy_checkout(tmp_path / "checkout")
    old_umask = os.umask(0o077)
    try:
        site.install("--no-first-run", checkout=checkout, PYTHONPATH="/nowhere", PYTHONHOME="/nowhere", PIP_INDEX_URL="http://192.0.2.1", PIP_TARGET="/nowhere")
    finally:
        os.umask(old_umask)
    assert stat.S_IMODE((site.prefix / "bin/runner").stat().st_mode) == 0o755  # for all users, whatever root's umask
    assert stat.S_IMODE((site.home / "pipelines").stat().st_mode) & 0o077 == 0
    assert not list(site.home.glob("*.db")), "--no-first-run ran something"
    command = [str(newer(checkout, "99.0.0") / "install.sh"), "--prefix", str(site.prefix), "--home", str(site.home), "--python", sys.executable]
    upgrade = subprocess.Popen(command, env=site.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    while not list((site.prefix / "lib/runner").glob("99*/lib/python3*/site-packages/*.dist-info")):  # some packages are there, not all
        assert upgrade.poll() is None, upgrade.communicate()[0]
        time.sleep(0.01)
    os.killpg(upgrade.pid, signal.SIGKILL)
    upgrade.communicate()
    assert site.runner("--version") == f"runner {VERSION}\n"
    site.install(checkout=checkout)
    assert site.runner("--version", PYTHONPATH="/nowhere", PYTHONHOME="/nowhere") == "runner 99.0.0\n"
    assert not list((site.prefix / "lib/runner").glob(".tmp.*"))

    # The Python under it vanishes: one sentence, not a shell's.
    current = site.prefix / "lib/runner" / os.readlink(site.prefix / "lib/runner/current")
    (current / "bin/python").unlink()
    done = subprocess.run([str(site.prefix / "bin/runner")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    assert done.returncode == 3 and "run install.sh again" in done.stdout
    assert "installing runner" in site.install(checkout=checkout)  # which mends it
    assert site.runner("--version") == "runner 99.0.0\n"


def test_a_home_that_is_there_keeps_its_mode(site, checkout):
    site.home.mkdir(mode=0o755)
    site.home.chmod(0o755)
    site.install("--no-first-run", checkout=checkout)
    assert stat.S_IMODE(site.home.stat().st_mode) == 0o755 and (site.home / "pipelines").is_dir()


def test_two_at_once(site, checkout):
    command = [str(checkout / "install.sh"), "--prefix", str(site.prefix), "--home", str(site.home), "--python", sys.executable, "--no-first-run"]
    both = [subprocess.Popen(command, env=site.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8") for _ in range(2)]
    texts = [one.communicate(timeout=120)[0] for one in both]
    assert sorted(one.returncode for one in both) in ([0, 3], [0, 0]), texts  # [0, 0]: one was done before the other looked
    for one, text in zip(both, texts):
        assert one.returncode == 0 or "another install.sh works" in text
    assert site.runner("--version") == f"runner {VERSION}\n"


def test_settings_by_environment(site):
    text = site.install(python=None, RUNNER_PYTHON=sys.executable, RUNNER_PREFIX="/ignored", RUNNER_HOME="/ignored")
    assert "Installed" in text and (site.home / "pipelines").is_dir()
    done = subprocess.run([str(ROOT / "install.sh"), "--uninstall"], env={**site.env, "RUNNER_PREFIX": str(site.prefix)}, stdout=subprocess.PIPE)
    assert done.returncode == 0 and not (site.prefix / "bin/runner").exists()
