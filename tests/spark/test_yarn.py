"""spark-submit against a real ResourceManager and NodeManager: no application is left behind, none runs twice. Started by yarn.sh."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from tests.spark.test_local import processes

LIVE = "NEW,NEW_SAVING,SUBMITTED,ACCEPTED,RUNNING"


class Bench:
    """One pipeline of one step, `mart`, and what YARN says of its applications."""

    def __init__(self, shell, yarn):
        self.shell, self.yarn = shell, yarn
        self.flag = shell.folder / "go"
        shell.env["HADOOP_CONF_DIR"] = str(yarn.conf)

    def write(self, *ends, retries=0, deploy_mode="cluster", **body):
        home, python = self.shell.spark.home, self.shell.spark.python
        conf = {
            "spark.ui.enabled": False, "spark.yarn.jars": f"local:{home}/jars/*", "spark.yarn.stagingDir": f"file:{self.shell.folder}/staging",
            "spark.yarn.appMasterEnv.PYSPARK_PYTHON": python, "spark.executorEnv.PYSPARK_PYTHON": python, "spark.yarn.report.interval": "2s",
            "spark.yarn.am.memory": "512m",
        }
        body = {"application": "stay.py", "args": [str(self.flag), *ends], "master": "yarn", "deploy_mode": deploy_mode, "spark_home": home,
                "driver_memory": "512m", "executor_memory": "512m", "num_executors": 1, "conf": conf, **body}
        step = {"id": "mart", "spark-submit": body, "retries": retries, "retry_delay": "1s"}
        self.shell.write("night.yaml", json.dumps({"steps": [step]}))

    def begin(self):
        return self.shell.start("run", "night.yaml", "--date", "2026-11-20")

    def ended(self, run, code):
        out, err = run.communicate(timeout=280)
        assert run.returncode == code and "Traceback" not in err.replace("mart | Traceback", ""), (out, err)
        return out + err

    def apps(self, states=""):
        """Of this test: its applications' tags name the folder of its runs."""
        said = json.loads(self.yarn.ask(f"/ws/v1/cluster/apps?states={states}"))
        chain = self.tags()[0]
        return [app for app in (said["apps"] or {}).get("app", []) if chain in app["applicationTags"].split(",")]

    def tags(self):
        plan = self.shell.json("plan", "night.yaml", "--date", "2026-11-20")
        [word] = [word for word in plan["steps"][0]["argv"] if word.startswith("spark.yarn.tags=")]
        return word.partition("=")[2].split(",")

    def began(self):
        path = self.flag.parent / "go.began"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def wait_began(self, times=1):
        self.shell.wait(lambda: self.began() >= times, lambda: self.log(1) + self.log(2))

    def log(self, attempt=1):
        return self.shell.log("night", "mart", attempt)

    def wait_log(self, text, attempt=1):
        self.shell.wait(lambda: text in self.log(attempt), lambda: self.log(attempt))

    def client(self):
        """The pid of the client, which is not its wrapper."""
        [pid] = [pid for pid, words in processes(f"{self.shell.home}/runs/night/2026-11-20/mart.") if b"start.py" in words and b"wrapper.sh" not in words and b"attendant.py" not in words
                 and b"SparkSubmit" not in words]
        return pid


@pytest.fixture
def bench(shell, yarn):
    made = Bench(shell, yarn)
    yield made
    made.flag.touch()  # what a failed test has left ends by itself


@pytest.mark.parametrize("mode", ["cluster", "client"])
def test_an_application_is_tagged_and_its_id_and_address_are_handed_on(bench, mode):
    bench.write(deploy_mode=mode)
    run = bench.begin()
    bench.wait_began()
    [step] = bench.shell.json("status", "night@2026-11-20")["steps"]
    [app] = bench.apps(LIVE)
    assert step["note"].startswith(f"{app['id']} http") and app["id"] in bench.shell("status", "night@2026-11-20").stdout
    assert set(app["applicationTags"].split(",")) == set(bench.tags()) and len(bench.tags()) == 3
    bench.flag.touch()
    bench.ended(run, 0)
    [step] = bench.shell.json("status", "night@2026-11-20")["steps"]
    assert step["outputs"]["application_id"] == app["id"] and app["id"] in step["outputs"]["tracking_url"]
    assert bench.log().splitlines()[-1].startswith(f"runner: {app['id']}: succeeded  http")


def test_an_error_in_the_cluster_is_the_last_line_of_the_log(bench):
    bench.flag.touch()
    bench.write("값이 없다")
    bench.ended(bench.begin(), 1)
    assert bench.log().splitlines()[-1] == "error: ValueError: 값이 없다" and "---- the end of the driver's log" in bench.log()
    [step] = bench.shell.json("status", "night@2026-11-20")["steps"]
    assert step["reason"].startswith("exit 1; application_")


@pytest.mark.parametrize("mode", ["cluster", "client"])
def test_a_stop_kills_the_application_and_sees_it_dead(bench, mode):
    bench.write(deploy_mode=mode)
    run = bench.begin()
    bench.wait_began()
    bench.shell("stop", "night@2026-11-20")
    bench.ended(run, 1)
    [step] = bench.shell.json("status", "night@2026-11-20")["steps"]
    assert step["state"] == "killed" and not bench.apps(LIVE) and "has ended, YARN says so" in bench.log()
    bench.shell.wait(lambda: not processes(str(bench.flag)), lambda: str(processes(str(bench.flag))), seconds=60)


def test_a_stop_while_it_is_being_submitted_leaves_nothing(bench):
    bench.write()
    run = bench.begin()
    bench.wait_log("Submitting application application_")
    bench.shell("stop", "night@2026-11-20")
    bench.ended(run, 1)
    assert not bench.apps(LIVE) and bench.log().splitlines()[-1].startswith("runner: stopped; ")


def test_a_client_killed_with_9_is_followed_by_an_attempt_that_adopts(bench):
    bench.write(retries=1)
    run = bench.begin()
    bench.wait_began()
    os.kill(bench.client(), signal.SIGKILL)
    bench.wait_log("submits nothing", attempt=2)
    assert len(bench.apps()) == 1
    bench.flag.touch()
    bench.ended(run, 0)
    [step] = bench.shell.json("status", "night@2026-11-20")["steps"]
    [app] = bench.apps()
    assert bench.began() == 1 and step["outputs"]["application_id"] == app["id"] and app["finalStatus"] == "SUCCEEDED"


def test_runner_and_client_and_wrapper_killed_with_9_and_it_is_adopted_later(bench):
    """As when the server goes down: nobody is left, and the application has succeeded before anybody looks."""
    bench.write(retries=1)
    run = bench.begin()
    bench.wait_began()
    run.kill()
    run.communicate()
    for pid, _ in processes(f"{bench.shell.home}/runs/night/2026-11-20/mart."):
        os.kill(pid, signal.SIGKILL)
    bench.flag.touch()
    bench.shell.wait(lambda: not bench.apps(LIVE), "the application does not end")
    bench.shell("rerun", "night@2026-11-20", "--resume")
    [step] = bench.shell.json("status", "night@2026-11-20")["steps"]
    assert step["state"] == "success" and bench.began() == 1 and len(bench.apps()) == 1, (step, bench.log(2))
    assert "has succeeded: nothing is submitted" in bench.log(2)


def test_runner_killed_with_9_and_resumed_goes_on_with_the_same_attempt(bench):
    bench.write(retries=1)
    run = bench.begin()
    bench.wait_began()
    run.kill()
    run.communicate()
    resumed = bench.shell.start("rerun", "night@2026-11-20", "--resume")
    bench.flag.touch()
    bench.ended(resumed, 0)
    assert bench.began() == 1 and len(bench.apps()) == 1 and not bench.log(2)


def test_on_live_kill_ends_the_old_one_first(bench):
    bench.write(retries=1, on_live="kill")
    run = bench.begin()
    bench.wait_began()
    os.kill(bench.client(), signal.SIGKILL)
    seen = []
    until = time.monotonic() + 240
    while bench.began() < 2:
        seen.append(len(bench.apps(LIVE)))
        assert time.monotonic() < until, bench.log(2)
        time.sleep(0.2)
    bench.flag.touch()
    bench.ended(run, 0)
    assert max(seen) == 1 and sorted(app["finalStatus"] for app in bench.apps()) == ["KILLED", "SUCCEEDED"]


def test_spark_submit_killed_alone_does_not_end_its_application(bench):
    bench.write()
    run = bench.begin()
    bench.wait_began()
    for pid, words in processes(str(bench.flag)):
        if b"org.apache.spark.deploy.SparkSubmit" in words:
            os.kill(pid, signal.SIGKILL)
    bench.wait_log("its end is waited for")
    bench.flag.touch()
    bench.ended(run, 0)
    assert len(bench.apps()) == 1 and bench.began() == 1


def test_detached_no_jvm_is_held_and_a_lost_poller_is_taken_over(bench):
    bench.write(detach=True, poll="1s", retries=1)
    run = bench.begin()
    bench.wait_began()
    bench.wait_log(": RUNNING")
    assert not [words for _, words in processes(str(bench.shell.home)) if b"java" in words.partition(b"\0")[0]]
    os.kill(bench.client(), signal.SIGKILL)
    bench.wait_log("submits nothing", attempt=2)
    bench.flag.touch()
    bench.ended(run, 0)
    assert bench.began() == 1 and len(bench.apps()) == 1


def test_detached_and_stopped(bench):
    bench.write(detach=True, poll="1s")
    run = bench.begin()
    bench.wait_began()
    bench.wait_log(": RUNNING")
    bench.shell("stop", "night@2026-11-20")
    bench.ended(run, 1)
    assert not bench.apps(LIVE) and "has ended, YARN says so" in bench.log()


def test_by_the_yarn_command_alone(bench, yarn, tmp_path):
    """As where Kerberos guards the address: nothing says where it is, and Hadoop's own command does the asking."""
    conf = tmp_path / "conf"
    conf.mkdir()
    yarn.write(conf, {**{name: value for name, value in yarn.settings.items() if "webapp" not in name}})
    tools = tmp_path / "tools"
    tools.mkdir()
    yarn.command(tools, conf)
    bench.shell.env.update(HADOOP_CONF_DIR=str(conf), PATH=f"{tools}:{os.environ['PATH']}")
    bench.write(retries=1)
    run = bench.begin()
    bench.wait_began()
    os.kill(bench.client(), signal.SIGKILL)
    bench.wait_log("submits nothing", attempt=2)
    bench.shell("stop", "night@2026-11-20")
    bench.ended(run, 1)
    assert not bench.apps(LIVE) and "has ended, YARN says so" in bench.log(2) and len(bench.apps()) == 1


# ------------------------------------------------------------------------------------- a pair of ResourceManagers


@pytest.fixture
def pair(shell, two_managers):
    made = Bench(shell, two_managers)
    yield made
    for pid, _ in processes(str(shell.folder)):  # of a failed test: the cluster that they would wait for goes with it
        os.kill(pid, signal.SIGKILL)


def test_a_fail_over_while_an_application_runs(pair):
    """The application goes on, its client follows it to the other ResourceManager, and nothing is submitted again."""
    pair.write(retries=1)
    run = pair.begin()
    pair.wait_began()
    pair.yarn.fail_over()
    pair.shell.wait(lambda: pair.apps("RUNNING"), "the application is not with the other ResourceManager")
    pair.flag.touch()
    pair.ended(run, 0)
    [app] = pair.apps()
    assert pair.began() == 1 and app["finalStatus"] == "SUCCEEDED" and not pair.log(2)


def test_a_client_that_dies_in_a_fail_over_is_followed_by_one_that_adopts_and_stops(pair):
    """By then the first address in the settings answers nobody."""
    pair.write(retries=1, detach=True, poll="1s")
    run = pair.begin()
    pair.wait_began()
    pair.wait_log(": RUNNING")
    pair.yarn.kill("rm1")
    os.kill(pair.client(), signal.SIGKILL)
    pair.yarn.make_active("rm2")
    pair.yarn.wait_node()
    pair.wait_log("submits nothing", attempt=2)
    assert len(pair.apps()) == 1
    pair.shell("stop", "night@2026-11-20")
    pair.ended(run, 1)
    assert not pair.apps(LIVE) and len(pair.apps()) == 1 and pair.began() == 1 and "has ended, YARN says so" in pair.log(2)
    pair.shell.wait(lambda: not processes(str(pair.flag)), lambda: str(processes(str(pair.flag))), seconds=60)


def test_a_standby_sends_on_to_the_active_one(pair):
    """The first in the settings is alive, and only a standby: it answers every question with where to go."""
    pair.write(retries=1)
    pair.yarn.hand_over()
    run = pair.begin()
    pair.wait_began()
    os.kill(pair.client(), signal.SIGKILL)
    pair.wait_log("submits nothing", attempt=2)
    pair.shell("stop", "night@2026-11-20")
    pair.ended(run, 1)
    assert not pair.apps(LIVE) and len(pair.apps()) == 1 and "has ended, YARN says so" in pair.log(2)


# ------------------------------------------------------------------------------------------------------- Kerberos


def test_where_kerberos_guards_it_the_yarn_command_asks_with_the_ticket_of_the_step(shell, guarded, tmp_path):
    """The web address wants SPNEGO and says 401; the command has the ticket that the step got. Adopted after a kill -9, then stopped, and seen dead."""
    tools = tmp_path / "tools"
    tools.mkdir()
    guarded.command(tools, guarded.conf)
    bench = Bench(shell, guarded)
    shell.env.update(guarded.kdc.env, PATH=f"{tools}:{guarded.kdc.env['PATH']}", JAVA_TOOL_OPTIONS=guarded.java[0], KRB5CCNAME=f"FILE:{tmp_path}/none")
    bench.write(retries=1, principal="etl", keytab=guarded.keytab)
    text = json.loads((shell.folder / "night.yaml").read_text())
    for place in ("spark.yarn.appMasterEnv", "spark.executorEnv"):
        text["steps"][0]["spark-submit"]["conf"][f"{place}.JAVA_TOOL_OPTIONS"] = guarded.java[0]
    text["steps"][0]["kerberos"] = {"principal": "etl", "keytab": guarded.keytab}
    shell.write("night.yaml", json.dumps(text))
    try:
        run = bench.begin()
        bench.wait_began()
        os.kill(bench.client(), signal.SIGKILL)
        bench.wait_log("submits nothing", attempt=2)
        assert len(bench.apps()) == 1 and bench.apps()[0]["user"] == "etl"
        bench.shell("stop", "night@2026-11-20")
        bench.ended(run, 1)
        assert not bench.apps(LIVE) and "has ended, YARN says so" in bench.log(2) and len(bench.apps()) == 1
    finally:
        for pid, _ in processes(str(shell.folder / "home")):
            os.kill(pid, signal.SIGKILL)
