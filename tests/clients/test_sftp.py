"""The sftp client against a real sshd: whole files or none, whatever breaks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading

import pytest

from runner import steps
from tests.clients.sshserver import SshServer, link, sshd  # noqa: F401


@pytest.fixture
def carry(launch, sshd, tmp_path):  # noqa: F811
    """A step's body, as the engine does it; the folder `there` is the other host's."""
    (tmp_path / "there").mkdir()

    def request(**body):
        kind = steps.get("sftp")
        whole = {**sshd.body, **body}
        assert kind.check(whole) == []
        ctx = steps.BuildContext(folder="/x", cwd="/", pipeline_folder="/", python="", read=str, render=str)
        return json.loads(kind.build(None, whole, ctx).files["request.json"])["body"]

    def go(code=0, env=None, **body):
        return launch("sftp", request(**body), code, **(env or {}))

    go.launch, go.request, go.there = launch, request, tmp_path / "there"
    return go


def write(path, text="x\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def names(folder):
    return sorted(os.listdir(folder))


ODD = "고객 'a\"b\\c [1] #.csv"


def test_one_file_to_a_name_and_back(carry, tmp_path):
    write(tmp_path / ODD, "가\n")
    log = carry(put=f"./{ODD}", to=f"{carry.there}/")
    assert (carry.there / ODD).read_text(encoding="utf-8") == "가\n" and names(carry.there) == [ODD]
    assert "4 bytes, SHA-256 compared" in log
    assert carry.launch.outputs() == {"files": [f"{carry.there}/{ODD}"], "bytes": 4, "skipped": 0}
    write(tmp_path / "plain")
    carry(put="plain", to=f'{carry.there}/새 "이름"')
    carry(get=f'{carry.there}/새 "이름"', to="back/", mkdir=True)
    assert (tmp_path / 'back/새 "이름"').read_text(encoding="utf-8") == "x\n" and names(tmp_path / "back") == ['새 "이름"']


def test_patterns_both_ways(carry, tmp_path):
    for name in ("a 1.csv", "a 2.csv", "고객.csv", "b.txt"):
        write(tmp_path / "out" / name, name)
    (tmp_path / "out" / "folder.csv").mkdir()
    carry(put="out/*.csv", to=f"{carry.there}/deep/er/", mkdir=True)
    assert names(carry.there / "deep/er") == ["a 1.csv", "a 2.csv", "고객.csv"]
    (carry.there / "deep/er/sub.csv").mkdir()
    carry(get=[f"{carry.there}/deep/er/a*.csv", f"{carry.there}/deep/er/고*.csv"], to="in/", mkdir=True)
    assert {name: (tmp_path / "in" / name).read_text() for name in names(tmp_path / "in")} == {n: n for n in ("a 1.csv", "a 2.csv", "고객.csv")}
    assert carry.launch.outputs()["bytes"] == sum(len(n.encode()) for n in ("a 1.csv", "a 2.csv", "고객.csv"))


@pytest.mark.parametrize("way", ["put", "get"])
def test_what_is_there_already(carry, tmp_path, way):
    source, target = (tmp_path / "here/a", carry.there / "a") if way == "put" else (carry.there / "a", tmp_path / "here/a")
    write(source, "new")
    body = {way: str(source), "to": f"{target.parent}/"}
    write(target, "old")
    assert f"{target} is there already, and `if_exists: fail`" in carry(1, if_exists="fail", **body)
    assert target.read_text() == "old"
    assert "skipped" in carry(if_exists="skip", **body) and target.read_text() == "old" and carry.launch.outputs()["skipped"] == 1
    carry(**body)
    assert target.read_text() == "new" and names(target.parent) == ["a"]


def test_the_mark_at_the_end(carry, tmp_path):
    write(tmp_path / "a")
    log = carry(put="a", to=f"{carry.there}/", done=f"{carry.there}/a.done")
    assert names(carry.there) == ["a", "a.done"] and (carry.there / "a.done").read_bytes() == b"" and log.index("put ") < log.index("made ")
    (carry.there / "a.done").unlink()
    assert "a.done is not there" in carry(1, get=f"{carry.there}/a", to="back", done=f"{carry.there}/a.done")
    assert not (tmp_path / "back").exists()
    write(carry.there / "a.done")
    carry(get=f"{carry.there}/a", to="back", done=f"{carry.there}/a.done")
    assert (tmp_path / "back").exists()


def test_the_mark_is_not_made_when_a_file_fails(carry, tmp_path):
    write(tmp_path / "a")
    (carry.there / "a").mkdir()
    write(carry.there / "a" / "x")
    carry(1, put="a", to=f"{carry.there}/a", done=f"{carry.there}/a.done")
    assert names(carry.there) == ["a"]


def test_what_is_not_there(carry, tmp_path):
    assert "get: %s/a is not there on 127.0.0.1" % carry.there in carry(1, get=f"{carry.there}/a", to="a")
    assert "fits no file on 127.0.0.1" in carry(1, get=f"{carry.there}/*.csv", to="in/", mkdir=True)
    assert "is a folder on 127.0.0.1" in carry(1, get=str(carry.there), to="a")
    assert "/nonesuch is no file" in carry(2, put="nonesuch", to="x")
    assert "*.csv fits no file" in carry(2, put="*.csv", to="x/")
    write(tmp_path / "a")
    log = carry(1, put="a", to=f"{carry.there}/no/")
    assert "error: %s/no/a: cannot be written: No such file or directory\n       `mkdir: true` makes the folder" % carry.there in log
    assert "is no folder" in carry(2, get=f"{write(carry.there / 'b')}", to="no/")


def test_two_files_of_one_name(carry, tmp_path):
    write(tmp_path / "1/a")
    write(tmp_path / "2/a")
    assert "two files would be named" in carry(2, put=["1/a", "2/a"], to=f"{carry.there}/")
    assert names(carry.there) == []


def test_a_broken_link_leaves_no_file_under_its_name_and_the_retry_is_clean(carry, tmp_path, link):  # noqa: F811
    with open(tmp_path / "big", "wb") as file:
        file.truncate(150 << 20)
    cut = threading.Thread(target=_when_there_is_something, args=(carry.there, link.cut))
    cut.start()
    log = carry(255, put="big", to=f"{carry.there}/", port=link.port)
    cut.join()
    assert "big" not in names(carry.there) and "error: " in log and "may be left on 127.0.0.1; the next attempt overwrites it" in log
    link.mend()
    carry(put="big", to=f"{carry.there}/", port=link.port)
    assert names(carry.there) == ["big"] and (carry.there / "big").stat().st_size == 150 << 20


def test_a_server_that_hangs_in_the_middle_is_given_up_and_the_retry_is_clean(carry, tmp_path, link):  # noqa: F811
    with open(tmp_path / "big", "wb") as file:
        file.truncate(150 << 20)
    freeze = threading.Thread(target=_when_there_is_something, args=(carry.there, link.frozen.set))
    freeze.start()
    log = carry(255, put="big", to=f"{carry.there}/", port=link.port, keepalive=1, connect_timeout=2)
    freeze.join()
    assert "big" not in names(carry.there) and "error: " in log
    link.frozen.clear()
    carry(put="big", to=f"{carry.there}/", port=link.port)
    assert [name for name in names(carry.there) if not name.endswith(".part")] == ["big"]


def _when_there_is_something(folder, act):
    pause = threading.Event()
    for _ in range(6000):
        if any(name.endswith(".part") for name in os.listdir(folder)):
            break
        pause.wait(0.005)
    act()


@pytest.mark.parametrize("way", ["put", "get"])
def test_term_in_the_middle_leaves_nothing(carry, tmp_path, link, way):  # noqa: F811
    source, target = (tmp_path / "big", carry.there) if way == "put" else (carry.there / "big", tmp_path / "in")
    with open(source, "wb") as file:
        file.truncate(150 << 20)
    target.mkdir(exist_ok=True)
    process = carry.launch.begin("sftp", carry.request(**{way: str(source)}, to=f"{target}/", port=link.port))
    pause = threading.Event()
    for _ in range(6000):
        if any(name.endswith(".part") for name in names(target)):
            break
        pause.wait(0.005)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 143 and names(target) == []


def test_where_no_command_may_be_run_sizes_are_compared(launch, tmp_path_factory, tmp_path, carry):
    server = SshServer(tmp_path_factory.mktemp("sftponly"), extra="ForceCommand internal-sftp\n")
    try:
        write(tmp_path / "a")
        assert "2 bytes, size compared" in carry(put="a", to=f"{carry.there}/", **server.body)
        assert "2 bytes, size compared" in carry(get=f"{carry.there}/a", to="b", **server.body)
        assert "does not say the SHA-256" in carry(1, put="a", to=f"{carry.there}/c", checksum="sha256", **server.body)
        assert names(carry.there) == ["a"]
    finally:
        server.close()


def test_another_content_than_was_sent_is_seen(carry, tmp_path):
    """The other side's sha256sum lies, as a broken disk would."""
    write(tmp_path / "a")
    fake = write(tmp_path / "bin/sha256sum", "#!/bin/sh\ncat >/dev/null\necho " + "0" * 64 + "  -\n")
    fake.chmod(0o755)
    server_path = tmp_path / "bin"
    assert server_path.exists()
    ssh = write(tmp_path / "bin/ssh", f'#!/bin/sh\nfor last; do :; done\n[ "$last" = sh ] && exec env PATH={server_path}:$PATH sh\nexec /usr/bin/ssh "$@"\n')
    ssh.chmod(0o755)
    log = carry(1, put="a", to=f"{carry.there}/", env={"PATH": f"{server_path}:{os.environ['PATH']}"})
    assert "is not what was sent: its SHA-256 is another one" in log and names(carry.there) == []


def stranger(folder):
    """A key that nobody there knows."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "stranger"], check=True)
    return str(folder / "stranger")


def test_no_way_there(carry, tmp_path, link):  # noqa: F811
    write(tmp_path / "a")
    (tmp_path / "empty").touch()
    assert "is not known here, so it is not trusted" in carry(255, put="a", to="/tmp/", known_hosts=str(tmp_path / "empty"))
    link.frozen.set()
    assert "did not answer" in carry(255, put="a", to="/tmp/", port=link.port, connect_timeout=1)
    link.frozen.clear()
    link.cut()
    carry(255, put="a", to="/tmp/", port=link.port)
    assert "127.0.0.1 does not let " in carry(255, put="a", to="/tmp/", key_file=stranger(tmp_path))
    assert "sftp is not installed on this server" in carry(127, put="a", to="/tmp/", env={"PATH": str(tmp_path)})


@pytest.mark.parametrize("body, place, said", [
    ({"host": "h", "to": "x"}, (), "nothing to run"),
    ({"host": "h", "put": "a", "get": "b", "to": "x"}, ("get",), "exclude each other"),
    ({"put": "a", "to": "x"}, (), "`host:` is missing"),
    ({"host": "h", "put": "*.csv", "to": "x"}, ("to",), "several files cannot all be named x"),
    ({"host": "h", "get": ["a", "b"], "to": "x"}, ("to",), "several files"),
    ({"host": "h", "get": [], "to": "x"}, ("get",), "names no file"),
])
def test_faults_of_the_file(body, place, said):
    found = steps.get("sftp").check(body)
    assert [fault[0] for fault in found] == [place] and said in found[0][1]
