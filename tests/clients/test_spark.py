"""The client that looks after spark-submit, with a script in its place and a ResourceManager that answers as the real one does.

The real ones: tests/spark/.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from runner.clients import spark, yarn

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
APP = "application_1795252207407_0001"
TAG = "runner-5f3a"
# shorter patience than in the product, since here nobody answers late
START = ("import sys; from runner.clients import spark, start; spark.PATIENCE = spark.AFTERMATH = 1.0; spark.MARGIN = 0.5; "
         "sys.exit(start.main('spark', *sys.argv[1:]))")


class ResourceManager:
    """What the REST address of a ResourceManager answers, after Hadoop 3.3.6."""

    def __init__(self):
        self.apps, self.asked, self.killed = {}, [], []
        self.status = 0  # answers everything with it
        self.deaf = self.knows_no_tags = False
        self.standby_for = self.log = ""
        manager = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                manager._answer(self, None)

            def do_PUT(self):
                manager._answer(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def app(self, app_id=APP, state="RUNNING", final="UNDEFINED", tags=(TAG, TAG + "-1"), diagnostics=""):
        self.apps[app_id] = {
            "id": app_id, "user": "etl", "state": state, "finalStatus": final, "trackingUrl": f"{self.url}/proxy/{app_id}/",
            "diagnostics": diagnostics, "applicationTags": ",".join(tags), "amContainerLogs": f"{self.url}/node/containerlogs/container_1/etl",
        }

    def end(self, app_id=APP, state="FINISHED", final="SUCCEEDED", diagnostics=""):
        self.apps[app_id].update(state=state, finalStatus=final, diagnostics=diagnostics)

    def _answer(self, request, body):
        parts = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.asked.append(f"{request.command} {request.path}")
        status, said, headers = self._said(request.command, parts.path, query, body)
        data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        request.send_response(status)
        for name, value in {"Content-Type": "application/json;charset=utf-8", "Content-Length": str(len(data)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(data)

    def _said(self, method, path, query, body):
        if path == "/submit":  # of the script that stands for spark-submit
            self.app(query["id"], "ACCEPTED", tags=tuple(query["tags"].split(",")))
            return 200, {}, {}
        if self.standby_for:
            return 307, "This is standby RM. The redirect url is: " + self.standby_for, {"Location": self.standby_for + path}
        if self.status:
            return self.status, "<html>Authentication required</html>", {}
        if path.endswith("/logs/stdout"):
            return 200, self.log, {}
        if path == "/ws/v1/cluster/apps":
            found = [app for app in self.apps.values() if self.knows_no_tags or query["applicationTags"] in app["applicationTags"].split(",")]
            return 200, {"apps": {"app": found} if found else {}}, {}
        app = self.apps.get(path.split("/")[5] if path.startswith("/ws/v1/cluster/apps/") else "")
        if app is None:
            return 404, {"RemoteException": {"exception": "NotFoundException", "message": f"java.lang.Exception: app not found: {path}"}}, {}
        if method == "PUT":
            self.killed.append(app["id"])
            if not self.deaf:
                app.update(state="KILLED", finalStatus="KILLED")
            return 202, {"state": app["state"]}, {}
        return 200, {"app": app}, {}


@pytest.fixture
def rm():
    manager = ResourceManager()
    yield manager
    manager.close()


class Stage:
    """Attempts of one step, one after the other, with a script for spark-submit."""

    def __init__(self, folder, rm):
        self.folder, self.rm, self.number = folder, rm, 0
        self.calls = folder / "calls"
        (folder / "bin").mkdir()
        self.script("exit 0")

    def script(self, text):
        """`submit ID` makes an application at the ResourceManager, as a submission does."""
        path = self.folder / "bin" / "spark-submit"
        path.write_text(f"""#!/bin/bash
echo "$@" >> {self.calls}
submit() {{
    tags=$(printf '%s\\n' "$@" "${{words[@]}}" | sed -n 's/^spark.yarn.tags=//p')
    exec 3<>/dev/tcp/127.0.0.1/{self.rm.server.server_port}
    printf 'GET /submit?id=%s&tags=%s HTTP/1.0\\r\\n\\r\\n' "$1" "$tags" >&3
    cat <&3 >/dev/null
}}
words=("$@")
{text}
""", encoding="utf-8")
        path.chmod(0o755)

    def submitted(self):
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0

    def begin(self, words=("spark-submit",), env=None, **body):
        self.number += 1
        self.attempt = self.folder / f"mart.{self.number}"
        self.attempt.mkdir()
        body = {"master": "yarn", "deploy_mode": "cluster", "tag": TAG, "attempt_tag": f"{TAG}-{self.number}", "rm_url": self.rm.url,
                "kill_grace": 8.0, "poll": "1s", **body}
        request = self.attempt / "request.json"
        request.write_text(json.dumps({"body": body, "pipeline_folder": str(self.folder)}), encoding="utf-8")
        tags = ("--conf", f"spark.yarn.tags={TAG},{TAG}-{self.number}")
        environ = {"PATH": f"{self.folder}/bin:/usr/bin:/bin", "HOME": str(self.folder), "RUNNER_ATTEMPT": str(self.attempt), "PYTHONPATH": ROOT,
                   "RUNNER_OUTPUT": str(self.attempt / "output"), "HADOOP_CONF_DIR": str(self.folder / "conf"), "HADOOP_USER_NAME": "etl", **(env or {})}
        with open(self.attempt / "log", "wb") as log:
            return subprocess.Popen([sys.executable, "-c", START, str(request), *map(str, words), *tags], cwd=self.folder, env=environ,
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def run(self, code=0, **options):
        """To the end; the log."""
        return self.ended(self.begin(**options), code)

    def ended(self, process, code=0):
        try:
            found = process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        log = self.log()
        assert found == code and "fault of runner" not in log, (found, log)
        assert not members(process.pid), "processes are left"
        return log

    def log(self):
        return (self.attempt / "log").read_text(encoding="utf-8", errors="replace")

    def outputs(self):
        return json.loads((self.attempt / "output").read_text())

    def note(self):
        return (self.attempt / "note").read_text()

    def wait(self, check, seconds=30):
        until = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < until, self.log()
            time.sleep(0.05)

    def lost(self, **options):
        """An attempt whose client was killed with -9, and all of its group, as an ended host does it."""
        process = self.begin(**options)
        self.wait(lambda: any(app["applicationTags"].endswith(f"-{self.number}") for app in self.rm.apps.values()))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def members(group):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in (b"Z", b"X"):
            found.append(int(name))
    return found


@pytest.fixture
def stage(tmp_path, rm):
    return Stage(tmp_path, rm)


REPORT = f"""echo '26/11/21 09:10:16 INFO Client: Submitting application {APP} to ResourceManager'
submit {APP}
echo '	 tracking URL: http://rm.example:8088/proxy/{APP}/'
"""
HANGS = REPORT + "exec sleep 1000"


# ------------------------------------------------------------------------------------------------------- its plain life


def test_id_and_address_are_handed_on_and_the_output_is_unchanged(stage):
    stage.script("printf 'a\\0b\\377\\n한글'\n" + REPORT + "echo end")
    stage.run()
    raw = (stage.attempt / "log").read_bytes()
    assert raw.startswith(b"a\0b\xff\n\xed\x95\x9c\xea\xb8\x8026/11/21")
    assert stage.outputs() == {"application_id": APP, "tracking_url": f"http://rm.example:8088/proxy/{APP}/"}
    assert raw.decode("utf-8", "replace").splitlines()[-1] == f"runner: {APP}: succeeded  http://rm.example:8088/proxy/{APP}/"


def test_the_id_can_be_read_while_it_runs(stage):
    stage.script(HANGS)
    process = stage.begin()
    stage.wait(lambda: (stage.attempt / "note").exists() and "rm.example" in stage.note())
    assert stage.note() == f"{APP} http://rm.example:8088/proxy/{APP}/\n"
    process.terminate()
    stage.ended(process, 143)


@pytest.mark.parametrize("code", [1, 2, 42, 101])
def test_the_exit_code_of_spark_submit_is_passed_on(stage, code):
    stage.script(f"exit {code}")
    log = stage.run(code, master="local[2]", deploy_mode="client")
    assert log == f"error: spark-submit ended with exit code {code}\n"
    assert not stage.rm.asked  # nothing of YARN


def test_a_missing_binary_says_where_it_was_looked_for(stage):
    log = stage.run(127, words=["spark3-submit"])
    assert "error: spark3-submit was not found (PATH: " in log and "spark_home:" in log
    log = stage.run(127, words=["/opt/none/bin/spark-submit"])
    assert "error: /opt/none/bin/spark-submit was not found\n" in log
    (stage.folder / "bin" / "plain").write_text("x")
    assert "cannot be started: Permission denied" in stage.run(126, words=[stage.folder / "bin" / "plain"])


def test_the_folder_of_spark_submit_comes_first_on_the_path(stage):
    stage.script('echo "$PATH|$JAVA_HOME"')
    log = stage.run(words=[stage.folder / "bin" / "spark-submit"], master="local", spark_home="/opt/spark", java_home="/opt/jdk")
    assert log.startswith(f"/opt/spark/bin:{stage.folder}/bin:") and log.strip().endswith("|/opt/jdk")


CAUSES = {
    "python": ('Traceback (most recent call last):\n  File "x.py", line 1\n    f()\n26/11/21 09:10:16 INFO SparkContext: x\nValueError: 값이 없다\n'
               "26/11/21 09:10:16 INFO ShutdownHookManager: Shutdown hook called", "ValueError: 값이 없다"),
    "the last of several": ("Traceback (most recent call last):\n  File\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n"
                            "Traceback (most recent call last):\n  File\nRuntimeError: second", "RuntimeError: second"),
    "of pyspark": ("Traceback (most recent call last):\n  File\npyspark.errors.exceptions.captured.AnalysisException: [PATH_NOT_FOUND] Path does not exist: file:/x.",
                   "pyspark.errors.exceptions.captured.AnalysisException: [PATH_NOT_FOUND] Path does not exist: file:/x."),
    "of py4j": ("Traceback (most recent call last):\n  File\npy4j.protocol.Py4JJavaError: An error occurred while calling o41.parquet.\n"
                ": org.apache.spark.SparkException: Job aborted.\n\tat org.apache", "org.apache.spark.SparkException: Job aborted."),
    "java": ('Exception in thread "main" java.lang.IllegalStateException: no\n\tat x.Main.main(Main.java:1)', "java.lang.IllegalStateException: no"),
    "of spark-submit": ("Error: Failed to load class com.x.Main.\n26/11/21 09:10:16 INFO x: y", "Failed to load class com.x.Main."),
    "no file": ("python3: can't open file '/x/y.py': [Errno 2] No such file or directory", "python3: can't open file '/x/y.py': [Errno 2] No such file or directory"),
    "no class file": ("/v/bin/spark-submit: line 27: /bin/spark-class: No such file or directory",
                      "/v/bin/spark-submit: line 27: /bin/spark-class: No such file or directory"),
    "of yarn": ("\t diagnostics: N/A\n\t diagnostics: Queue's AM resource limit exceeded.", "Queue's AM resource limit exceeded."),
    "nothing": ("all is well\n26/11/21 09:10:16 ERROR x: y", ""),
}


@pytest.mark.parametrize("text, cause", CAUSES.values(), ids=list(CAUSES))
def test_the_cause_is_found_in_the_output(text, cause):
    output = spark.Output()
    data = (text + "\n").encode()
    for i in range(0, len(data), 7):  # as pieces of a pipe
        output.take(data[i:i + 7])
    assert output.cause == cause


def test_the_log_ends_with_the_cause(stage):
    stage.script("cat <<'X'\n" + CAUSES["python"][0] + "\nX\nexit 1")
    assert stage.run(1, master="local").splitlines()[-1] == "error: ValueError: 값이 없다"


def test_in_cluster_mode_the_cause_is_in_the_drivers_log(stage, rm):
    rm.log = ("Container: container_1 on h:1\nLogAggregationType: LOCAL\nLogType:stdout\nLogContents:\nbegan\nTraceback (most recent call last):\n"
              "  File\nValueError: boom\nEnd of LogType:stdout.\n****\n")
    rm.app(state="FINISHED", final="FAILED", diagnostics="User application exited with status 1")
    stage.script(REPORT.replace(f"submit {APP}\n", "") + """echo 'Exception in thread "main" x.SparkException: finished with failed status'; exit 1""")
    log = stage.run(1)
    assert "began\nTraceback" in log and "End of LogType" not in log and log.splitlines()[-1] == "error: ValueError: boom"
    rm.log = ""
    assert stage.run(1).splitlines()[-1] == "error: User application exited with status 1"


# ----------------------------------------------------------------------------------------------------------- its end


def test_term_kills_the_application_and_sees_it_dead(stage, rm):
    stage.script(HANGS)
    process = stage.begin()
    stage.wait(lambda: "tracking URL" in stage.log())
    os.killpg(process.pid, signal.SIGTERM)
    log = stage.ended(process, 143)
    assert APP in rm.killed and rm.apps[APP]["state"] == "KILLED"
    assert f"runner: stopped; {APP} has ended, YARN says so" in log
    assert any("user.name=etl" in each for each in rm.asked if each.startswith("PUT"))


def test_term_before_the_id_was_read_finds_it_by_its_tag(stage, rm):
    stage.script(f"submit {APP}\nexec sleep 1000")  # the log level hides the id
    process = stage.begin()
    stage.wait(lambda: rm.apps)
    os.killpg(process.pid, signal.SIGTERM)
    log = stage.ended(process, 143)
    assert rm.killed == [APP] and f"{APP}: KILLED" in log


def test_term_before_anything_was_submitted(stage, rm):
    stage.script("echo ready; exec sleep 1000")
    process = stage.begin()
    stage.wait(lambda: "ready" in stage.log())
    process.terminate()  # only to the client: it passes it on
    log = stage.ended(process, 143)
    assert "stopped; no application had been submitted" in log and "KILL" not in log


def test_a_driver_that_ignores_term_is_killed_all_the_same(stage):
    stage.script("trap '' TERM\necho ready\nwhile :; do sleep 1; done")
    process = stage.begin(master="local[2]", kill_grace=3.0)
    stage.wait(lambda: "ready" in stage.log())
    os.killpg(process.pid, signal.SIGTERM)
    assert "KILL" in stage.ended(process, 143)


@pytest.mark.parametrize("trouble", ["deaf", "gone", "forbidden"])
def test_a_kill_that_cannot_be_seen_says_what_to_type_and_the_next_attempt_settles_it(stage, rm, trouble):
    stage.script(HANGS)
    process = stage.begin(kill_grace=3.0)
    stage.wait(lambda: "tracking URL" in stage.log())
    url = rm.url
    if trouble == "deaf":
        rm.deaf = True
    elif trouble == "gone":
        rm.close()
    else:
        rm.status = 403
    os.killpg(process.pid, signal.SIGTERM)
    log = stage.ended(process, 143)
    assert f"yarn application -kill {APP}" in log.splitlines()[-1] and APP in log.splitlines()[-2]
    if trouble == "gone":
        assert "refuses the connection" in log and url[7:] in log
        return
    rm.deaf, rm.status = False, 0
    stage.script(REPORT.replace("0001", "0002") + "exit 0")
    log = stage.run()
    assert f"{APP}, an earlier attempt's, is still ACCEPTED: it is killed before anything is submitted" in log
    assert rm.apps[APP]["state"] == "KILLED" and stage.submitted() == 2


# ------------------------------------------------------------------------------------------------ what was there before


def test_a_live_application_of_a_lost_attempt_is_waited_for(stage, rm):
    stage.script(HANGS)
    stage.lost()
    rm.app(state="RUNNING")
    process = stage.begin()
    stage.wait(lambda: "submits nothing" in stage.log())
    rm.end()
    log = stage.ended(process)
    assert stage.submitted() == 1 and not rm.killed
    assert stage.outputs()["application_id"] == APP and f"{APP}: SUCCEEDED" in log
    stage.script("exit 0")
    stage.run()  # a rerun after that is a run of its own
    assert stage.submitted() == 2


def test_its_failure_is_the_failure_of_the_attempt_that_adopted_it(stage, rm):
    stage.script(HANGS)
    stage.lost()
    process = stage.begin()
    stage.wait(lambda: "submits nothing" in stage.log())
    rm.end(final="FAILED", diagnostics="User class threw exception: x.Y: no")
    assert stage.ended(process, 1).splitlines()[-1] == "error: User class threw exception: x.Y: no"
    stage.script("exit 0")
    stage.run()
    assert stage.submitted() == 2


def test_an_application_of_a_lost_attempt_that_has_succeeded_counts_once(stage, rm):
    stage.script(HANGS)
    stage.lost()
    rm.end()
    log = stage.run()
    assert "has succeeded: nothing is submitted" in log and stage.submitted() == 1 and stage.outputs()["application_id"] == APP
    stage.script("exit 0")
    stage.run()
    assert stage.submitted() == 2


def test_one_whose_id_was_never_read_is_found_by_its_tag(stage, rm):
    stage.script(f"submit {APP}\nexec sleep 1000")
    stage.lost()
    rm.end()
    assert "has succeeded: nothing is submitted" in stage.run()


def test_on_live_kill_submits_again(stage, rm):
    stage.script(HANGS)
    stage.lost()
    stage.script("exit 0")
    log = stage.run(on_live="kill")
    assert rm.apps[APP]["state"] == "KILLED" and stage.submitted() == 2 and "killed before anything is submitted" in log


def test_what_a_lost_attempt_in_client_mode_left_is_killed(stage, rm):
    stage.script(HANGS)
    stage.lost(deploy_mode="client")
    stage.script("exit 0")
    stage.run(deploy_mode="client")
    assert rm.apps[APP]["state"] == "KILLED" and stage.submitted() == 2


def test_several_live_ones_leave_the_newest(stage, rm):
    stage.script(HANGS)
    stage.lost()
    rm.app("application_1795252207407_0002", tags=(TAG, TAG + "-1"))
    process = stage.begin()
    stage.wait(lambda: "submits nothing" in stage.log())
    assert rm.killed == [APP]
    rm.end("application_1795252207407_0002")
    stage.ended(process)


def test_nothing_is_submitted_while_nobody_says_what_became_of_a_lost_attempt(stage, rm):
    stage.script(HANGS)
    stage.lost()
    rm.status = 500
    log = stage.run(75)
    assert "error: nothing is submitted, since nobody says what became of the application of attempt 1" in log and stage.submitted() == 1
    rm.status = 0
    rm.end()
    assert "has succeeded" in stage.run()


def test_a_lost_attempt_that_had_submitted_nothing_is_no_hindrance(stage, rm):
    stage.script("echo ready; exec sleep 1000")
    process = stage.begin()
    stage.wait(lambda: "ready" in stage.log())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    stage.script("exit 0")
    stage.run()
    assert stage.submitted() == 2


def test_a_first_attempt_does_not_need_the_resource_manager(stage, rm):
    rm.status = 500
    log = stage.run()
    assert "not known whether an application of this step is live" in log and stage.submitted() == 1


def test_applications_of_others_are_never_touched(stage, rm):
    rm.knows_no_tags = True  # an old one answers with all that it has
    rm.app("application_1_0009", tags=("theirs",))
    rm.app("application_1_0010", tags=(TAG + "0",))
    stage.script(HANGS)
    process = stage.begin()
    stage.wait(lambda: "tracking URL" in stage.log())
    os.killpg(process.pid, signal.SIGTERM)
    stage.ended(process, 143)
    assert set(rm.killed) == {APP}


def test_the_tags_of_the_lost_attempt_count_when_the_home_was_moved(stage, rm):
    stage.script(HANGS)
    stage.lost(tag="runner-before", attempt_tag=TAG + "-1")
    rm.app(tags=("runner-before", TAG + "-1"))
    process = stage.begin()
    stage.wait(lambda: "submits nothing" in stage.log())
    rm.end()
    stage.ended(process)


# ------------------------------------------------------------------------------------------------------- following it


def test_spark_submit_that_dies_does_not_end_its_application(stage, rm):
    stage.script(REPORT + "kill -9 $$")
    process = stage.begin()
    stage.wait(lambda: "its end is waited for" in stage.log())
    rm.end()
    log = stage.ended(process)
    assert f"spark-submit ended with exit code 137, but {APP} is ACCEPTED" in log and stage.outputs()["application_id"] == APP


def test_in_client_mode_an_application_without_its_driver_is_killed(stage, rm):
    stage.script(REPORT + "kill -9 $$")
    log = stage.run(137, deploy_mode="client")
    assert rm.killed == [APP] and "without its driver: it is killed" in log


def test_detached_it_polls_until_the_end(stage, rm):
    stage.script(REPORT)
    process = stage.begin(detach=True)
    stage.wait(lambda: f"{APP}: ACCEPTED" in stage.log())
    rm.apps[APP]["state"] = "RUNNING"
    stage.wait(lambda: f"{APP} RUNNING" in stage.note())
    assert len(members(process.pid)) == 1  # nobody but the client
    rm.end()
    stage.ended(process)
    assert stage.outputs()["application_id"] == APP


def test_not_to_wait_said_by_hand_is_no_end_of_the_step(stage, rm):
    stage.script(REPORT)
    process = stage.begin(conf={"spark.yarn.submit.waitAppCompletion": "false"})
    stage.wait(lambda: f"{APP}: ACCEPTED" in stage.log())
    rm.end(final="FAILED", diagnostics="no")
    assert stage.ended(process, 1).splitlines()[-1] == "error: no"


def test_detached_without_the_id_in_the_output_finds_it_by_its_tag(stage, rm):
    stage.script(f"submit {APP}")
    process = stage.begin(detach=True)
    stage.wait(lambda: f"{APP}: ACCEPTED" in stage.log())
    rm.end(state="KILLED", final="KILLED", diagnostics="Application killed by user.")
    assert stage.ended(process, 1).splitlines()[-1] == "error: Application killed by user."


def test_detached_with_no_application_at_all(stage):
    log = stage.run(75, detach=True)
    assert "spark-submit named no application, and none has the tag of this attempt" in log


def test_a_resource_manager_that_is_away_for_a_while_is_waited_for(stage, rm):
    stage.script(REPORT)
    process = stage.begin(detach=True)
    stage.wait(lambda: f"{APP}: ACCEPTED" in stage.log())
    rm.status = 503
    stage.wait(lambda: "asked again every 1 s" in stage.log())
    rm.end()
    rm.status = 0
    assert "the ResourceManager answers again" in stage.ended(process)


def test_an_application_that_yarn_has_forgotten_is_no_success(stage, rm):
    stage.script(REPORT)
    process = stage.begin(detach=True)
    stage.wait(lambda: f"{APP}: ACCEPTED" in stage.log())
    rm.apps.clear()
    assert f"YARN does not know {APP} any more" in stage.ended(process, 75)


def test_a_lost_poller_is_taken_over(stage, rm):
    stage.script(REPORT)
    process = stage.begin(detach=True)
    stage.wait(lambda: f"{APP}: ACCEPTED" in stage.log())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    process = stage.begin(detach=True)
    stage.wait(lambda: "submits nothing" in stage.log())
    os.killpg(process.pid, signal.SIGKILL)  # and that one too
    process.wait(30)
    rm.end()
    assert "has succeeded" in stage.run(detach=True) and stage.submitted() == 1


def test_term_while_polling_kills_it(stage, rm):
    stage.script(REPORT)
    process = stage.begin(detach=True)
    stage.wait(lambda: f"{APP}: ACCEPTED" in stage.log())
    os.killpg(process.pid, signal.SIGTERM)
    assert "has ended, YARN says so" in stage.ended(process, 143) and rm.killed == [APP]


# --------------------------------------------------------------------------------------- the ways to the ResourceManager


def test_a_standby_sends_on_to_the_active_one_and_a_dead_one_is_passed_over(stage, rm):
    standby = ResourceManager()
    try:
        standby.standby_for = rm.url
        stage.script(REPORT)
        rm.app(state="FINISHED", final="SUCCEEDED")
        cluster = yarn.connect(f"http://127.0.0.1:1, {standby.url}", {}, {"PATH": ""})
        assert cluster.get(APP).succeeded and cluster.get("application_1_0001") is None
    finally:
        standby.close()


def yarn_command(stage, text):
    path = stage.folder / "bin" / "yarn"
    path.write_text(f"#!/bin/bash\necho \"$@\" >> {stage.folder}/yarn-calls\n{text}\n")
    path.chmod(0o755)


def test_where_the_address_refuses_the_yarn_command_is_asked(stage, rm):
    rm.status = 401
    yarn_command(stage, f"""state=$(cat {stage.folder}/state 2>/dev/null || echo RUNNING)
case "$2" in
-list) [ -e {stage.folder}/submitted ] || exit 0
    echo "Total number of applications (application-types: [], states: [] and tags: []):1"
    printf '                Application-Id\\t    Application-Name\\t    Application-Type\\n'
    printf '{APP}\\t                 a b\\t               SPARK\\t      etl\\t   default\\t           '$state'\\t         UNDEFINED\\t            10%%\\t  http://h:1/\\n' ;;
-status) printf 'Application Report : \\n\\tApplication-Id : {APP}\\n\\tState : '$state'\\n\\tFinal-State : KILLED\\n\\tTracking-URL : http://h:1/\\n\\tDiagnostics : x\\n' ;;
-kill) echo KILLED > {stage.folder}/state; echo "Killing application {APP}" ;;
esac""")
    stage.script(f"touch {stage.folder}/submitted\n{HANGS}")
    process = stage.begin()
    stage.wait(lambda: "tracking URL" in stage.log())
    os.killpg(process.pid, signal.SIGTERM)
    log = stage.ended(process, 143)
    assert "has ended, YARN says so" in log and f"application -kill {APP}" in (stage.folder / "yarn-calls").read_text()


def test_what_the_yarn_command_says(stage):
    yarn_command(stage, "echo 'Exception in thread \"main\" x.NotFound: Application with id a doesn'\"'\"'t exist in RM.'; exit 1")
    command = yarn.Command(str(stage.folder / "bin" / "yarn"), {"PATH": os.environ["PATH"]})
    assert command.get("application_1_0001") is None
    yarn_command(stage, "echo 'WARN x' >&2; echo 'org.x.AccessControlException: Client cannot authenticate via:[TOKEN, KERBEROS]' >&2; exit 1")
    with pytest.raises(yarn.YarnError) as caught:
        command.find("t")
    assert "Client cannot authenticate" in caught.value.message and "kerberos:" in caught.value.hint
    yarn_command(stage, "exec sleep 100")
    with pytest.raises(yarn.YarnError) as caught:
        command.kill("application_1_0001", patience=0.3)
    assert "no answer within 0.3 s" in caught.value.message


def site(**values):
    pairs = "".join(f"<property><name>{name.replace('__', '-').replace('_', '.')}</name><value>{value}</value></property>" for name, value in values.items())
    return f"<?xml version='1.0'?>\n<configuration>{pairs}</configuration>"


@pytest.mark.parametrize(
    "values, urls",
    [
        ({}, []),
        ({"yarn_resourcemanager_hostname": "rm"}, ["http://rm:8088"]),
        ({"yarn_resourcemanager_hostname": "rm", "yarn_resourcemanager_webapp_address": "${yarn.resourcemanager.hostname}:9"}, ["http://rm:9"]),
        ({"yarn_resourcemanager_webapp_address": "0.0.0.0:8088"}, []),
        ({"yarn_resourcemanager_hostname": "${env.RM}"}, ["http://by-env:8088"]),
        ({"yarn_http_policy": "HTTPS_ONLY", "yarn_resourcemanager_hostname": "rm"}, ["https://rm:8090"]),
        ({"yarn_resourcemanager_ha_enabled": "true", "yarn_resourcemanager_ha_rm__ids": "rm1, rm2", "yarn_resourcemanager_hostname_rm1": "a",
          "yarn_resourcemanager_webapp_address_rm2": "b:1"}, ["http://a:8088", "http://b:1"]),
    ],
)
def test_the_addresses_are_those_of_yarn_site(tmp_path, values, urls):
    (tmp_path / "yarn-site.xml").write_text(site(**values))
    environ = {"HADOOP_CONF_DIR": str(tmp_path), "RM": "by-env"}
    assert yarn.addresses(yarn.settings(environ, {}), environ) == urls


def test_a_setting_of_the_step_is_above_the_file(tmp_path):
    (tmp_path / "yarn-site.xml").write_text(site(yarn_resourcemanager_hostname="rm"))
    environ = {"YARN_CONF_DIR": str(tmp_path)}
    assert yarn.addresses(yarn.settings(environ, {"spark.hadoop.yarn.resourcemanager.webapp.address": "other:1"}), environ) == ["http://other:1"]


def test_no_way_at_all_says_what_to_write(tmp_path):
    cluster = yarn.connect(None, {}, {"PATH": "", "HADOOP_CONF_DIR": str(tmp_path)})
    with pytest.raises(yarn.YarnError) as caught:
        cluster.get(APP)
    assert not cluster.known and "rm_url" in caught.value.hint


def test_master_and_mode_may_stand_in_sparks_own_defaults(stage, rm):
    (stage.folder / "spark-defaults.conf").write_text("# x\nspark.master   yarn\nspark.submit.deployMode=cluster\n")
    stage.script(HANGS)
    process = stage.begin(master="", deploy_mode="", env={"SPARK_CONF_DIR": str(stage.folder)})
    stage.wait(lambda: "tracking URL" in stage.log())
    os.killpg(process.pid, signal.SIGTERM)
    stage.ended(process, 143)
    assert rm.killed and re.search(r'"stopping": true', (stage.attempt / "spark.json").read_text())
