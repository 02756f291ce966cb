"""Whatever happens to the pipelines folder, the watch tells; what is not of it, it does not. Real files, both ways of watching."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import textwrap
import threading

import pytest

from runner.daemon import watch as module
from runner.daemon.watch import Watch, settled
from runner.spec import folder as spec_folder

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


@pytest.fixture(params=["inotify", "polling"])
def mode(request, monkeypatch):
    if request.param == "polling":
        monkeypatch.setattr(module, "_open", lambda: (None, "the test wants it"))
    return request.param


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "pipelines"
    made.mkdir()
    (made / "mart.yaml").write_text("steps: []\n")
    return made


@pytest.fixture
def watching(mode):
    """watching(folder) -> a Watch; closed at the end."""
    made = []

    def start(folder, **options):
        watch = Watch(str(folder), **options)
        assert watch.mode == mode and watch.reason
        made.append(watch)
        assert not watch.changed()
        return watch

    yield start
    for watch in made:
        watch.close()
        assert watch.fd is None


def told(watch):
    """It is told once, and then there is peace."""
    if watch.mode == "inotify":
        assert select.select([watch.fd], [], [], 10)[0], "the descriptor is silent"
    return watch.changed() and not watch.changed()


def kept(watch):
    """What the kernel watches for it."""
    with open(f"/proc/self/fdinfo/{watch.fd}", encoding="ascii") as file:
        return sum(line.startswith("inotify wd:") for line in file)


# ------------------------------------------------------------------------------------------------------------- files


def write_new(folder):
    (folder / "new.yaml").write_text("steps: []\n")


def rewrite(folder):
    (folder / "mart.yaml").write_text("steps: [] # more\n")


def append_and_keep_open(folder):
    with open(folder / "mart.yaml", "a", buffering=1) as file:
        file.write("# line\n")
        os.fsync(file.fileno())


def truncate(folder):
    os.truncate(folder / "mart.yaml", 0)


def remove(folder):
    os.unlink(folder / "mart.yaml")


def rename(folder):
    os.rename(folder / "mart.yaml", folder / "other.yaml")


def rename_over(folder):
    (folder / ".mart.yaml.tmp").write_text("steps: []\n")
    os.rename(folder / ".mart.yaml.tmp", folder / "mart.yaml")


def vim_with_backup(folder):
    """What vim does: probe, swap file, the old file aside, a new one in its place."""
    (folder / ".mart.yaml.swp").write_bytes(b"b0VIM")
    (folder / "4913").write_text("")
    os.unlink(folder / "4913")
    os.rename(folder / "mart.yaml", folder / "mart.yaml~")
    (folder / "mart.yaml").write_text("steps: []\n# by vim\n")
    os.unlink(folder / "mart.yaml~")
    os.unlink(folder / ".mart.yaml.swp")


def make_readable(folder):
    os.chmod(folder / "mart.yaml", 0o600)


def script_beside(folder):
    (folder / "load.sql").write_text("select 1")


def subfolder(folder):
    (folder / "team").mkdir()


def moved_in(folder):
    aside = folder.parent / "aside"
    aside.mkdir()
    (aside / "deep.yaml").write_text("steps: []\n")
    os.rename(aside, folder / "team")


@pytest.mark.parametrize("act", [
    write_new, rewrite, append_and_keep_open, truncate, remove, rename, rename_over, vim_with_backup, make_readable, script_beside,
    subfolder, moved_in,
], ids=lambda act: act.__name__)
def test_each_way_to_change_a_file_is_told(watching, folder, act):
    watch = watching(folder)
    act(folder)
    assert told(watch)
    rewrite(folder)
    assert told(watch)


@pytest.mark.skipif(not shutil.which("vim"), reason="vim is not installed")
def test_the_real_vim(watching, folder):
    watch = watching(folder)
    subprocess.run(["vim", "-u", "NONE", "-es", "-c", "set backup writebackup", "-c", "normal oneu", "-c", "wq", str(folder / "mart.yaml")],
                   stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert "neu" in (folder / "mart.yaml").read_text()
    assert told(watch)


def look(folder):
    (folder / "mart.yaml").read_text()
    os.listdir(folder)


def hidden(folder):
    (folder / ".mart.yaml.swp").write_text("x")
    (folder / ".git").mkdir()
    (folder / ".git" / "index").write_text("x")


def beside(folder):
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "x.yaml").write_text("x")
    (folder.parent / "runner.db").write_text("x")


@pytest.mark.parametrize("act", [look, hidden, beside], ids=lambda act: act.__name__)
def test_what_is_none_of_it_is_not_told(watching, folder, act):
    watch = watching(folder)
    act(folder)
    assert not watch.changed()


def test_a_log_that_grows_among_the_pipelines_is_told_when_it_is_closed(folder):
    watch = Watch(str(folder))
    with open(folder / "load.log", "w", encoding="utf-8") as file:
        assert told(watch)  # it is new
        file.write("line\n")
        file.flush()
        assert not watch.changed()
    assert told(watch)
    watch.close()


def test_state_beside_the_pipelines_can_be_left_out(watching, folder):
    """RUNNER_HOME itself may be the pipelines folder: the daemon must not wake itself by what it writes."""
    (folder / "runner.db").write_text("")
    (folder / "runs" / "mart").mkdir(parents=True)
    link = folder.parent / "home"
    link.symlink_to(folder)
    watch = watching(link, leave_out=[str(link / "runner.db"), str(link / "runs")])
    (folder / "runner.db").write_text("x")
    (folder / "runner.db-wal").write_text("x")
    (folder / "runs" / "mart" / "x.yaml").write_text("x")
    (folder / "runs" / "other").mkdir()
    assert not watch.changed()
    (folder / "runs_of_the_night.yaml").write_text("steps: []\n")
    assert told(watch)


# ----------------------------------------------------------------------------------------------------------- folders


def test_a_new_subfolder_with_a_file_in_it_at_once(watching, folder):
    watch = watching(folder)
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "deep.yaml").write_text("steps: []\n")  # before anybody could watch b
    assert told(watch)
    (folder / "a" / "b" / "deep.yaml").write_text("steps: []\n# changed\n")
    assert told(watch)


def test_folders_made_while_the_watch_looks_are_not_lost(folder):
    """A storm of new folders against a watch that reads all the time: in the end each file is known."""
    watch = Watch(str(folder))

    def make():
        for number in range(200):
            deep = folder / f"team{number}" / "a" / "b"
            deep.mkdir(parents=True)
            (deep / f"p{number}.yaml").write_text("steps: []\n")

    maker = threading.Thread(target=make)
    maker.start()
    found = 0
    while found < 201:
        assert select.select([watch.fd], [], [], 10)[0], f"silent after {found} files"
        if watch.changed():
            found = len(spec_folder.find([str(folder)]))
    maker.join()
    while watch.changed():
        pass
    (folder / "team199" / "a" / "b" / "p199.yaml").write_text("steps: [] # changed\n")
    assert told(watch)
    watch.close()


def test_a_folder_made_between_the_look_and_the_watch_is_not_lost(folder, monkeypatch):
    look = Watch._plan

    def look_then_somebody_makes_a_folder(self):
        plan = look(self)
        (folder / "a" / "b").mkdir(parents=True, exist_ok=True)
        return plan

    monkeypatch.setattr(Watch, "_plan", look_then_somebody_makes_a_folder)
    watch = Watch(str(folder))
    watch.changed()
    monkeypatch.undo()
    write_new(folder / "a" / "b")
    assert told(watch)
    watch.close()


def test_a_folder_that_leaves_is_watched_no_longer(watching, folder):
    watch = watching(folder)
    before = watch.mode == "inotify" and kept(watch)
    (folder / "team").mkdir()
    assert told(watch)
    os.rename(folder / "team", folder.parent / "elsewhere")
    assert told(watch)
    (folder.parent / "elsewhere" / "x.yaml").write_text("x")
    assert not watch.changed()
    assert before is False or kept(watch) == before


def test_another_folder_in_its_place(watching, folder):
    watch = watching(folder)
    new = folder.parent / "new"
    shutil.copytree(folder, new)
    os.rename(folder, folder.parent / "old")
    os.rename(new, folder)
    assert told(watch)
    rewrite(folder)
    assert told(watch)
    rewrite(folder.parent / "old")
    assert not watch.changed()


def test_a_folder_removed_under_a_shell_that_stands_in_it_and_made_again(watching, folder):
    """As long as somebody stands in it the kernel does not tell of the end of the folder itself."""
    remove(folder)
    watch = watching(folder)
    with subprocess.Popen(["cat"], cwd=folder, stdin=subprocess.PIPE) as shell:
        folder.rmdir()
        assert told(watch)
        folder.mkdir()
        assert told(watch)
        write_new(folder)
        assert told(watch)
        rewrite(folder)
        assert told(watch)
        shell.stdin.close()


def test_a_folder_that_is_not_there_yet(watching, tmp_path):
    folder = tmp_path / "not" / "yet" / "there"
    watch = watching(folder)
    (tmp_path / "other").mkdir()
    assert not watch.changed()
    folder.mkdir(parents=True)
    write_new(folder)
    assert told(watch)
    (folder / "new.yaml").write_text("steps: [] # changed\n")
    assert told(watch)
    shutil.rmtree(tmp_path / "not")
    assert told(watch)
    folder.mkdir(parents=True)
    assert told(watch)


def test_a_folder_above_is_renamed_and_comes_back(watching, tmp_path):
    folder = tmp_path / "data" / "runner" / "pipelines"
    folder.mkdir(parents=True)
    watch = watching(folder)
    os.rename(tmp_path / "data", tmp_path / "away")
    assert told(watch)
    os.rename(tmp_path / "away", tmp_path / "data")
    assert told(watch)
    write_new(folder)
    assert told(watch)


# ------------------------------------------------------------------------------------------------------------- links


def test_a_link_on_the_way_that_is_switched(watching, tmp_path):
    """releases/1, releases/2, and `current`, switched by one rename."""
    for number in "12":
        (tmp_path / "releases" / number / "pipelines").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/1")
    watch = watching(tmp_path / "current" / "pipelines")
    write_new(tmp_path / "releases" / "1" / "pipelines")
    assert told(watch)
    (tmp_path / "next").symlink_to("releases/2")
    os.rename(tmp_path / "next", tmp_path / "current")
    assert told(watch)
    write_new(tmp_path / "releases" / "2" / "pipelines")
    assert told(watch)
    write_new(tmp_path / "releases" / "1" / "pipelines")
    (tmp_path / "releases" / "1" / "pipelines" / "more.yaml").write_text("x")
    assert not watch.changed()


def test_a_linked_folder_inside(watching, folder, tmp_path):
    (tmp_path / "team").mkdir()
    (folder / "team").symlink_to("../team")
    (folder / "loop").symlink_to(".")
    watch = watching(folder)
    write_new(tmp_path / "team")
    assert told(watch)
    os.rename(tmp_path / "team", tmp_path / "gone")
    assert told(watch)
    (tmp_path / "team").mkdir()
    assert told(watch)
    write_new(tmp_path / "team")
    assert told(watch)


def test_a_linked_file_inside(watching, folder, tmp_path):
    (tmp_path / "git").mkdir()
    real = tmp_path / "git" / "sales.yaml"
    real.write_text("steps: []\n")
    (folder / "sales.yaml").symlink_to(real)
    watch = watching(folder)
    real.write_text("steps: [] # changed\n")
    assert told(watch)
    (tmp_path / "git" / "other.yaml").write_text("nobody links to it")
    assert not watch.changed()
    (tmp_path / "git" / "new").write_text("steps: [] # by rename\n")
    assert not watch.changed()
    os.rename(tmp_path / "git" / "new", real)
    assert told(watch)
    real.unlink()
    assert told(watch)
    real.write_text("back")
    assert told(watch)


def test_files_as_a_config_map_has_them(watching, folder):
    """mart.yaml -> ..data/mart.yaml, ..data -> ..1; a new version is one rename of the hidden link."""
    os.unlink(folder / "mart.yaml")
    for number in "12":
        (folder / f"..{number}").mkdir()
        (folder / f"..{number}" / "mart.yaml").write_text(number)
    (folder / "..data").symlink_to("..1")
    (folder / "mart.yaml").symlink_to("..data/mart.yaml")
    watch = watching(folder)
    (folder / "..new").symlink_to("..2")
    os.rename(folder / "..new", folder / "..data")
    assert told(watch)
    (folder / "..2" / "mart.yaml").write_text("changed")
    assert told(watch)


def test_links_that_lead_nowhere_or_in_circles(watching, folder):
    (folder / "a.yaml").symlink_to("b.yaml")
    (folder / "b.yaml").symlink_to("a.yaml")
    (folder / "c.yaml").symlink_to("/there/is/no/such/file")
    watch = watching(folder)
    rewrite(folder)
    assert told(watch)


# --------------------------------------------------------------------------------------------------------------- git


def git(folder, *words):
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "init.defaultBranch=main", *words],
                   cwd=folder, env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
@pytest.mark.parametrize("inside", ["", "pipelines"])
def test_checkout_pull_and_a_branch_without_the_folder(watching, tmp_path, inside):
    """`inside`: the pipelines are the repository itself, or a folder of it."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init")
    (origin / "pipelines").mkdir()
    (origin / "README").write_text("x")
    rewrite(origin / "pipelines")
    git(origin, "add", "-A")
    git(origin, "commit", "-m", "1")
    git(origin, "branch", "bare")
    git(tmp_path, "clone", str(origin), str(clone))
    watch = watching(clone / inside)
    git(clone, "status")
    git(clone, "fetch")
    assert not watch.changed()
    (origin / "pipelines" / "more").mkdir()
    write_new(origin / "pipelines" / "more")
    git(origin, "add", "-A")
    git(origin, "commit", "-m", "2")
    git(clone, "pull")
    assert told(watch)
    git(clone, "checkout", "-b", "empty")
    git(clone, "rm", "-r", "pipelines")
    git(clone, "commit", "-m", "3")
    assert told(watch)
    git(clone, "checkout", "main")
    assert told(watch)
    (clone / "pipelines" / "more" / "new.yaml").write_text("steps: [] # changed\n")
    assert told(watch)


# -------------------------------------------------------------------------------------------------------------- many


def test_two_thousand_files(watching, folder, clock):
    for number in range(2000):
        (folder / f"p{number}.yaml").write_text("steps: []\n")
    watch = watching(folder)
    for number in range(2000):
        (folder / f"p{number}.yaml").write_text("steps: [] # changed\n")
    assert told(watch)
    os.unlink(folder / "p1999.yaml")
    assert told(watch)


def test_an_overflow_of_the_kernels_queue_is_a_change(folder):
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
        limit = int(file.read())
    if limit > 100_000:
        pytest.skip(f"the queue holds {limit} events")
    watch = Watch(str(folder))
    (folder / ".a").write_text("x")
    for number in range(limit // 2 + 10):  # none of them counts
        os.rename(folder / (".a" if number % 2 == 0 else ".b"), folder / (".b" if number % 2 == 0 else ".a"))
    (folder / "late").mkdir()  # nobody is told of it
    assert watch.changed()
    (folder / "late" / "x.yaml").write_text("x")
    assert told(watch)
    watch.close()


# ----------------------------------------------------------------------------------------------------------- polling


def test_network_file_systems_are_polled_and_no_watch_is_kept(folder, monkeypatch):
    watch = Watch(str(folder))
    assert kept(watch) > 0
    monkeypatch.setattr(module, "filesystem_of", lambda path: "nfs4")
    subfolder(folder)
    assert watch.changed()
    assert (watch.mode, kept(watch)) == ("polling", 0)
    assert "nfs4" in watch.reason and watch.fd is not None
    assert not select.select([watch.fd], [], [], 0)[0], "a loop that waits for it would never sleep again"
    assert not watch.changed()
    rewrite(folder)
    assert told(watch)
    monkeypatch.undo()  # the folder is another now
    assert not watch.changed()
    assert watch.mode == "inotify"
    rewrite(folder)
    assert told(watch)
    watch.close()


@pytest.mark.parametrize("limit, number, words", [
    ("max_inotify_watches", 6, "the limit of inotify watches is reached"), ("max_inotify_instances", 0, "the limit of inotify instances is reached"),
])
def test_where_the_kernel_gives_no_more_it_polls(folder, limit, number, words):
    """In a user namespace of its own, whose limits are real."""
    for name in "abcdefgh":
        (folder / name).mkdir()
    code = textwrap.dedent("""
        import os, sys
        from runner.daemon.watch import Watch
        watch = Watch(sys.argv[1])
        print(watch.mode, watch.reason)
        print(watch.fd is None or "inotify wd:" not in open(f"/proc/self/fdinfo/{watch.fd}").read())
        open(sys.argv[1] + "/h/new.yaml", "w").close()
        print(watch.changed(), watch.changed())
    """)
    words_of = ["unshare", "--user", "--map-root-user", "sh", "-c", f'echo {number} >/proc/sys/user/{limit} || exit 77; exec "$@"', "sh"]
    try:
        done = subprocess.run([*words_of, sys.executable, "-c", code, str(folder)], env={**os.environ, "PYTHONPATH": ROOT},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode and "Traceback" not in done.stderr:
        pytest.skip(f"no user namespace here: {done.stderr.strip()}")
    first, *rest = done.stdout.splitlines()
    assert first.startswith(f"polling {words}"), done.stderr
    assert rest == ["True", "True False"]


def test_without_ctypes_it_polls(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "inotify_simple", None)
    watch = Watch(str(folder))
    assert (watch.mode, watch.fd) == ("polling", None)
    assert "this Python cannot call inotify" in watch.reason
    rewrite(folder)
    assert told(watch)


def test_the_descriptor_is_not_inherited(folder):
    watch = Watch(str(folder))
    assert not os.get_inheritable(watch.fd)
    watch.close()


# ------------------------------------------------------------------------------------------------------ half-written


@pytest.mark.parametrize("ages, whole", [
    ([], True), ([10.0], True), ([0.1], False), ([10.0, 0.29], False), ([0.3], True), ([-0.1], False), ([-3600.0], True), ([0.0], False),
])
def test_a_file_that_was_just_written_may_be_half_of_one(ages, whole):
    now = 1_800_000_000_000_000_000
    assert settled([now - round(age * 1e9) for age in ages], now) is whole
