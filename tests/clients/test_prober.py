"""The prober: what counts as there, what is said of what is missing, and that a look that hangs holds up nobody else."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time

import pytest

from runner.clients import start
from runner.clients.probes import command, file, hdfs, partition
from runner.clients.probes import http as http_probe
from runner.clients.probes import sql as sql_probe
from runner.executors import process
from tests.webserver import Quiet, WebServer


def look(path, memory=None, **probe):
    return file.look({"for": "file", "file": str(path), **probe}, {} if memory is None else memory)


def test_a_file_is_there_or_is_named(tmp_path):
    path = tmp_path / "한글 a.csv"
    assert look(path).missing == f"{path} is not there"
    path.write_text("12345")
    assert look(path).ready == {"path": str(path), "paths": [str(path)], "count": 1, "bytes": 5}


def test_a_pattern_wants_so_many(tmp_path):
    for name in ("a.csv", "b.csv", "c.txt"):
        (tmp_path / name).write_text("x")
    assert look(tmp_path / "*.csv", count=3).missing == f"{tmp_path}/*.csv: 2 of 3"
    assert look(tmp_path / "*.csv", count=2).ready["paths"] == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]


def test_done_mark_and_size(tmp_path):
    path, done = tmp_path / "a", tmp_path / "_SUCCESS"
    path.write_text("123")
    assert look(path, min_size=4).missing == f"{path} has 3 of 4 bytes"
    assert look(path, done=str(done)).missing == f"{done} is not there"
    done.write_text("")
    assert look(path, done=str(done)).ready


def test_a_file_that_grows_is_not_at_rest(tmp_path, monkeypatch):
    path, memory, tick = tmp_path / "a", {}, [100.0]
    monkeypatch.setattr(file.CLOCK, "monotonic", lambda: tick[0], raising=False)
    path.write_text("1")
    assert "not at rest" in look(path, memory, stable=30).missing
    tick[0] += 29
    assert look(path, memory, stable=30).again == pytest.approx(1.01)
    path.write_text("22")
    tick[0] += 2
    assert "not at rest" in look(path, memory, stable=30).missing, "it has changed: the time counts anew"
    tick[0] += 30
    assert look(path, memory, stable=30).ready["bytes"] == 2


def test_age(tmp_path):
    path = tmp_path / "a"
    path.write_text("1")
    assert look(path, age=3600).missing == f"{path} changed a moment ago"
    os.utime(path, (time.time() - 3601,) * 2)
    assert look(path, age=3600).ready


def test_partitions_are_asked_for_with_quotes():
    assert partition.statement("mart.c/dt=2026-02-28/r=O'K") == "SHOW PARTITIONS mart.c PARTITION (dt='2026-02-28', r='O\\'K');"


def script(folder, name, text):
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_one_hdfs_command_answers_for_all(tmp_path):
    env = script(tmp_path, "hdfs", f"""
echo "$@" >>{tmp_path}/calls
echo '-rw-r--r--   3 etl hadoop       1024 2026-02-28 01:00 /data/a b.csv'
echo 'drwxr-xr-x   - etl hadoop          0 2026-02-28 01:00 hdfs://nn/data/dt=1'
echo 'ls: `/data/none'"'"': No such file or directory' >&2
exit 1
""")
    wanted = [{"hdfs": "/data/a b.csv", "min_size": 1000}, {"hdfs": "/data/none"}, {"hdfs": "hdfs://nn/data/dt=*"}, {"hdfs": "/data/a b.csv", "min_size": 2000}]
    seen = hdfs.look_many([{**each, "env": env, "cwd": "/"} for each in wanted])
    assert [bool(one.ready) for one in seen] == [True, False, True, False]
    assert (seen[1].missing, seen[3].missing) == ("/data/none is not there", "/data/a b.csv has 1024 of 2000 bytes")
    assert (tmp_path / "calls").read_text().count("\n") == 1


def test_what_only_the_run_has_does_not_keep_looks_apart():
    lanes = {module.lane({"url": "u", "env": {"PATH": "/bin", **env}}) for module in (hdfs, partition) for env in ({"RUNNER_DS": "1"}, {"RUNNER_DS": "2"})}
    assert len(lanes) == 2 and hdfs.lane({"env": {"PATH": "/x"}}) not in lanes
    assert len({partition.lane({"url": url, "user": user}) for url in "ab" for user in "cd"}) == 4


def partitions(folder, wanted, text, client="beeline"):
    """What is said of them when the client is this script; and how often it was started."""
    env = script(folder, client, f'echo "$@" >>{folder}/calls\n{text}')
    seen = partition.look_many([{"partition": each, "client": client, "url": "jdbc:hive2://h:1/", "env": env, "cwd": "/"} for each in wanted])
    return [one.ready and one.ready["partition"] or one.missing for one in seen], (folder / "calls").read_text().count("\n")


def test_one_beeline_answers_for_all_partitions(tmp_path):
    assert partitions(tmp_path, ["m.a/dt=1", "m.b/dt=1", "m.none/dt=1", "m.a/dt=1", "m.c/dt=1"], """
echo 'Connected to: Apache Hive (version 3.1.3)' >&2; echo '1 row selected (0.1 seconds)' >&2; echo 'No rows selected (0.1 seconds)' >&2
echo 'Error: Error while compiling statement: FAILED: SemanticException [Error 10001]: Table not found none (state=42S02,code=10001)' >&2
echo '	at org.apache.hive.Beeline.main(B.java:1)' >&2; echo '12 rows selected (0.1 seconds)' >&2; exit 1
""") == (["dt=1", "m.b/dt=1 is not there", "m.none/dt=1: FAILED: SemanticException [Error 10001]: Table not found none", "dt=1", "dt=1"], 1)


def test_hive_stops_at_a_table_that_is_not_there_and_is_asked_for_the_rest(tmp_path):
    assert partitions(tmp_path, ["m.a/dt=1", "m.none/dt=1", "m.b/dt=1"], f"""
case $(wc -l <{tmp_path}/calls) in
1) echo 'Time taken: 0.5 seconds, Fetched: 1 row(s)' >&2; echo 'FAILED: SemanticException Table not found none' >&2; exit 1 ;;
2) echo 'Time taken: 0.5 seconds' >&2 ;;
esac
""", "hive") == (["dt=1", "m.none/dt=1: FAILED: SemanticException Table not found none", "m.b/dt=1 is not there"], 2)


def test_a_hive_server_that_is_down_is_told_of_every_partition(tmp_path):
    said = "Error: Could not open client transport with JDBC Uri: jdbc:hive2://h:1/: java.net.ConnectException: Connection refused (state=08S01,code=0)"
    found, calls = partitions(tmp_path, ["m.a/dt=1", "m.b/dt=1"], f"echo '{said}' >&2; echo 'No current connection' >&2; exit 2")
    assert calls == 1 and len(set(found)) == 1 and found[0].startswith("beeline: ") and "Connection refused" in found[0]


def test_a_cluster_that_is_down_is_told_in_its_own_words(tmp_path):
    env = script(tmp_path, "hdfs", "echo 'java.net.ConnectException: Connection refused' >&2; echo '\tat java.base' >&2; exit 255")
    assert hdfs.look_many([{"hdfs": "/x", "env": env, "cwd": "/"}])[0].missing == "java.net.ConnectException: Connection refused"
    assert command.ask(["no-such-command"], {"PATH": "/nowhere"}, "/")[0] == 127


@pytest.mark.parametrize("module, probe, command", [(hdfs, {"hdfs": "/x"}, "hdfs"), (partition, {"partition": "a.b/c=1"}, "hive"), (partition, {"partition": "a.b/c=1", "url": "u"}, "beeline")])
def test_a_command_that_is_not_there_is_told_and_not_taken_for_a_path_that_is_missing(module, probe, command):
    assert module.look_many([{**probe, "env": {"PATH": "/nowhere"}, "cwd": "/"}])[0].missing == f"{command}: there is no such command on the PATH of the step"


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "LONGEST_SECONDS", 3)  # in which it must have written its pid
    env = script(tmp_path, "hang", f"echo $$ >{tmp_path}/pid; sleep 100 & wait")
    code, _, said = command.ask(["hang"], env, "/")
    assert code == 124 and "no answer" in said
    group = int((tmp_path / "pid").read_text())
    assert process.group_left(group) == [], "nothing lives on but, at most, zombies of a pid 1 that does not reap"


@pytest.fixture
def web():
    class Handler(Quiet):
        def do_GET(self):
            if self.path.startswith("/echo"):
                self.answer(200, f"{self.path} {self.headers.get('Authorization')}".encode())
            else:
                self.answer(int(self.path.partition("?")[0].strip("/") or 200), "준비 done".encode())

    server = WebServer(Handler)
    yield server.url
    server.close()


def test_an_address(web, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # a proxy of the server is not for its neighbours

    def asked(path, **probe):
        return http_probe.look({"http": web + path, **probe}, {})

    assert asked("/").ready == {"status": 200} and asked("/404", status=404).ready
    assert asked("/503").missing == f"{web}/503 answers 503, not 200"
    assert asked("/", contains="준비").ready and asked("/", contains="x").missing == f"{web}/ answers without 'x'"
    assert http_probe.look({"http": "http://127.0.0.1:1/"}, {}).missing == "http://127.0.0.1:1/: 127.0.0.1:1 refuses the connection: nothing listens there"
    assert http_probe.look({"http": "nonsense"}, {}).failed


def test_an_address_asked_with_a_secret_shows_none(web, tmp_path):
    """Not in what is missing, which goes into the database; also when http.client repeats the address that it does not like."""
    for name, text in (("secrets.yaml", 'api: canary-4711\nodd: "canary 4711"\n'), ("connections.yaml", f"portal: {{url: '{web}', user: etl, password: << secret.api >>}}\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)

    def asked(address, **probe):
        seen = http_probe.look({"http": address, "env": {"RUNNER_HOME": str(tmp_path)}, **probe}, {})
        assert "4711" not in str(seen), seen
        return seen

    mark = "<< secret.api >>"
    assert asked(f"{web}/echo", headers={"Authorization": f"Bearer {mark}"}, contains="Bearer canary-" + "4711"[:3]).ready
    assert asked(f"{web}/echo?k={mark}", contains="k=canary").ready
    assert asked(f"{web}/503?k={mark}").missing == f"{web}/503?k={mark} answers 503, not 200"
    assert asked("/echo", connection="portal", contains="Basic ").ready
    assert asked("/503", connection="portal").missing == "/503 answers 503, not 200"
    assert asked(f"{web}/echo", headers={"X": "a\n<< secret.odd >>"}).failed.endswith("Invalid header value b'a\\n***'")
    assert asked(f"{web}/", headers={"X": "<< secret.none >>"}).failed.startswith("there is no secret none")
    assert asked("/", connection="nowhere").failed.startswith("/: there is no connection nowhere")


# ---------------------------------------------------------------------------------------------------------- the process


class Talk:
    """A prober and its pipes."""

    def __init__(self):
        self.child = subprocess.Popen([sys.executable, "-I", start.__file__, "prober", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, name, **probe):
        self.send(id=name, probe=probe, every=probe.pop("every", 0.05), env={}, cwd="/")

    def send(self, **message):
        self.child.stdin.write(json.dumps(message) + "\n")
        self.child.stdin.flush()

    def hear(self):
        return json.loads(self.child.stdout.readline())

    def close(self):
        self.child.stdin.close()
        assert self.child.wait(20) == 0, "it ends with the engine"
        self.child.stdout.close()


@pytest.fixture
def talk():
    found = Talk()
    yield found
    found.close()


def test_it_says_each_thing_once_and_then_that_it_is_there(talk, tmp_path):
    path = tmp_path / "a"
    talk.ask("w", **{"for": "file", "file": str(path)})
    assert talk.hear() == {"id": "w", "missing": f"{path} is not there"}
    path.write_text("1")
    assert talk.hear()["ready"]["bytes"] == 1


def test_a_pipe_without_a_writer_holds_up_only_itself(talk, tmp_path):
    (tmp_path / "there").write_text("x")
    talk.ask("odd", **{"for": "time", "time": "x", "until": "nonsense"})
    assert "cannot be looked at" in talk.hear()["missing"]
    talk.ask("good", **{"for": "file", "file": str(tmp_path / "there")})
    assert talk.hear()["id"] == "good"


def test_who_is_told_to_end_a_wait_says_no_more_of_it(talk, tmp_path):
    talk.ask("first", **{"for": "file", "file": str(tmp_path / "first")})
    assert talk.hear()["missing"]
    talk.send(end="first")
    talk.ask("second", **{"for": "file", "file": str(tmp_path / "second")})
    assert talk.hear()["id"] == "second"
    (tmp_path / "first").write_text("x")
    (tmp_path / "second").write_text("x")
    assert talk.hear()["id"] == "second"


def test_a_connection_that_cannot_work_ends_the_wait_at_once(tmp_path):
    """A wrong password asked again and again locks an account; a table that is not there yet is waited for."""
    (tmp_path / "connections.yaml").write_text(f"strange: {{type: oracel}}\nlite: {{type: sqlite, path: {tmp_path}/x.db}}\n")
    (tmp_path / "connections.yaml").chmod(0o600)
    sqlite3.connect(tmp_path / "x.db").close()

    def asked(connection):
        return sql_probe.look({"connection": connection, "sql": "select 1 from t", "home": str(tmp_path)}, {})

    assert "is no database" in asked("strange").failed and "there is no connection nowhere" in asked("nowhere").failed
    assert "no such table" in asked("lite").missing
