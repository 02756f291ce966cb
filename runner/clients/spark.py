"""Starts spark-submit and looks after its application: `start.py spark REQUEST.json spark-submit WORD...`

Its output goes on unchanged; the application's id is taken from it. On YARN the application carries tags of the step's attempts, so
that it is found without the id too: a stop or a timeout kills it and looks until YARN says so, and before anything is submitted an
application of an attempt that was lost is waited for or killed. What is known stands in `spark.json` of the attempt's folder,
written before each deed.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
from typing import Any, Dict, List, Mapping, Optional, Tuple

from runner import durations
from runner.clients import Client, ClientError, yarn
from runner.clock import Clock

RECORD, NOTE = "spark.json", "note"  # in the attempt's folder: for the next attempt; for people
NOT_FOUND, NOT_ALLOWED, UNCLEAR = 127, 126, 75
NO_WAIT = "spark.yarn.submit.waitAppCompletion"
POLL, COSTLY_POLL = 10.0, 60.0  # seconds between looks at an application
PATIENCE = 60.0  # seconds to learn what became of a lost attempt's application
AFTERMATH = 10.0  # seconds that an application whose driver has ended may take to end by itself
MARGIN = 4.0  # seconds of kill_grace kept for the last words
_TERMS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_ID = re.compile(rb"\b(application_\d+_\d{4,})\b")
_OTHER_ID = re.compile(rb"app ID (app-\d+-\d+)")  # a standalone cluster's
_URL = re.compile(rb"tracking URL: (https?://\S+)")
_LOG4J = re.compile(r"\d\d(\d\d)?[/-]\d\d[/-]\d\d[ T]\d\d:\d\d:\d\d\S* (TRACE|DEBUG|INFO|WARN|ERROR|FATAL) ")
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(: .*)?")
_SHELL = re.compile(r".*(: No such file or directory|: Permission denied|: command not found|can't open file .*)|JAVA_HOME is not set.*")


def main(client: Client) -> int:
    try:
        return Submission(client).run()
    except yarn.YarnError as error:
        raise ClientError(error.message, error.hint, UNCLEAR) from None


class Stopped(Exception):
    """TERM came."""


class Submission:
    """One attempt."""

    def __init__(self, client: Client):
        self._client, self._clock = client, Clock()
        body = client.body
        self._words = list(client.words)
        self._environ = _environment(client.environ, body, self._words)
        self._conf = body.get("conf") or {}
        defaults = _defaults(body, self._environ)
        self._on_yarn = str(body.get("master") or self._conf.get("spark.master") or defaults.get("spark.master", "")).startswith("yarn")
        mode = body.get("deploy_mode") or self._conf.get("spark.submit.deployMode") or defaults.get("spark.submit.deployMode", "client")
        self._in_cluster = mode == "cluster"
        waits = str(self._conf.get(NO_WAIT, defaults.get(NO_WAIT, "true"))).lower() != "false"  # said by hand it means the same as detach:
        self._detach = self._in_cluster and (bool(body.get("detach")) or not waits)
        self._adopts = body.get("on_live", "adopt") == "adopt" and self._in_cluster  # the driver of client mode died with its attempt
        self._tag: str = body.get("tag", "")
        self._own_tag: str = body.get("attempt_tag", "")
        self._grace = max(float(body.get("kill_grace", 30.0)) - MARGIN, 1.0)
        self._cluster = yarn.connect(body.get("rm_url"), self._conf, self._environ, body.get("proxy_user", ""))
        self._poll = durations.parse_duration(body["poll"]) if body.get("poll") else COSTLY_POLL if self._cluster.costly else POLL
        self._record: Dict[str, Any] = {}
        self._output = Output()
        self._shown = ""  # what was said last of the application
        self._child: Optional[subprocess.Popen] = None
        self._stopped = False
        self._wake = self._listen()

    def run(self) -> int:
        try:
            if self._on_yarn:
                app = self._left_by_others()
                if app:
                    return self._follow(app)
            code = self._submit()
            if not self._on_yarn:
                self._say_id(self._output.id, self._output.url)
                return self._last_words(code)
            return self._after(code)
        except Stopped:
            return self._stop()

    # ------------------------------------------------------------------------------------------------------- signals

    def _listen(self) -> int:
        """The end of a pipe that has a byte when a signal came."""
        wake, bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in _TERMS:
            signal.signal(number, self._hear)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        return wake

    def _hear(self, *_: Any) -> None:
        self._stopped = True

    def _pause(self, seconds: float) -> None:
        """Raises Stopped."""
        until = self._clock.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            while not self._stopped and self._clock.monotonic() < until:
                selector.select(max(until - self._clock.monotonic(), 0))
                _drain(self._wake)
        if self._stopped:
            raise Stopped

    # -------------------------------------------------------------------------------------------- what was there before

    def _left_by_others(self) -> Optional[yarn.Application]:
        """The application of a lost attempt that this one goes on with; the others are ended. Raises YarnError."""
        left = _left(self._client.folder)
        if not left and self._cluster.costly:
            return None  # each attempt before has seen the end of its application
        tags = dict.fromkeys(filter(None, (self._tag, *(each.get("tag") for each in left))))
        try:
            apps = self._ask(lambda: [app for tag in tags for app in self._cluster.find(tag)], PATIENCE if left else 0.0)
        except yarn.YarnError as error:
            if left:
                lost = f"the application of attempt {left[0]['number']}"
                raise yarn.YarnError(f"nothing is submitted, since nobody says what became of {lost}: {error.message}", error.hint) from None
            say(f"not known whether an application of this step is live: {error.message}")
            return None
        return self._sorted_out({app.id: app for app in apps}, left)

    def _sorted_out(self, apps: Mapping[str, yarn.Application], left: List[Dict[str, Any]]) -> Optional[yarn.Application]:
        stopping = {each.get("application_id") for each in left if each.get("stopping")}
        any_stopping = bool(left) and bool(left[0].get("stopping"))
        live = sorted((app for app in apps.values() if app.live), key=lambda app: app.id)
        wanted = live[-1] if live and self._adopts and not any_stopping and live[-1].id not in stopping else None
        for app in live:
            if app is not wanted:
                say(f"{app.id}, an earlier attempt's, is still {app.state}: it is killed before anything is submitted")
                if not self._kill(app.id, self._clock.monotonic() + PATIENCE, heed=True):
                    raise yarn.YarnError(f"nothing is submitted: {app.id} of an earlier attempt does not end",
                                         f"type: yarn application -kill {app.id}")
        if wanted:
            say(f"{wanted.id}, an earlier attempt's, is {wanted.state}: this attempt waits for its end and submits nothing")
            return wanted
        if left and self._adopts and not any_stopping:
            lost = {each.get("application_id") for each in left} | {app.id for each in left for app in self._tagged(apps, each)}
            done = [app for app in apps.values() if app.succeeded and app.id in lost]
            if done:
                say(f"{done[-1].id} of attempt {left[0]['number']}, which was lost, has succeeded: nothing is submitted "
                    "(`on_live: kill` submits again)")
                return done[-1]
        return None

    def _tagged(self, apps: Mapping[str, yarn.Application], record: Mapping[str, Any]) -> List[yarn.Application]:
        """Those of a lost attempt that never learned its id."""
        if record.get("application_id") or not record.get("attempt_tag"):
            return []
        return [app for app in self._cluster.find(record["attempt_tag"]) if app.id in apps]

    def _ask(self, question, patience: float) -> Any:
        """An answer of YARN, asked again for a while. Raises YarnError, Stopped."""
        until = self._clock.monotonic() + patience
        told = False
        while True:
            try:
                return question()
            except yarn.YarnError as error:
                if error.denied or not self._cluster.known or self._clock.monotonic() >= until:
                    raise
                if not told:
                    say(f"{error.message}; asked again for {patience:g} s")
                told = True
            self._pause(min(5.0, max(patience / 4, 0.2)))

    # --------------------------------------------------------------------------------------------------------- submitting

    def _submit(self) -> int:
        """Run spark-submit to its end; its exit code as a shell gives it. Raises Stopped, ClientError."""
        if self._on_yarn:
            self._write(tag=self._tag, attempt_tag=self._own_tag, ended=False)
        if self._stopped:
            raise Stopped
        try:
            self._child = subprocess.Popen(self._words, env=self._environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                           stderr=subprocess.STDOUT, bufsize=0)
        except OSError as error:
            self._write(ended=True)
            raise self._not_started(error) from None
        self._copy()
        if self._stopped:
            raise Stopped
        return _shell_code(self._child.returncode)

    def _not_started(self, error: OSError) -> ClientError:
        name = self._words[0]
        where = "" if os.sep in name else f" (PATH: {self._environ.get('PATH', '')})"
        hint = "write where Spark is: `spark_home: /opt/spark`, or the command in `binary:`"
        if isinstance(error, FileNotFoundError):
            return ClientError(f"{name} was not found{where}", hint, NOT_FOUND)
        return ClientError(f"{name} cannot be started: {error.strerror}{where}", hint, NOT_ALLOWED)

    def _copy(self, until: Optional[float] = None) -> None:
        """Pass the output on until spark-submit has ended, TERM came (without `until`), or that moment."""
        child = self._child
        fd = child.stdout.fileno()
        os.set_blocking(fd, False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            selector.register(fd, selectors.EVENT_READ)
            while child.poll() is None and (until is not None or not self._stopped):
                wait = None if until is None else until - self._clock.monotonic()
                if wait is not None and wait <= 0:
                    return
                for key, _ in selector.select(wait):
                    if key.fd == self._wake:
                        _drain(self._wake)
                    elif not self._some(fd):
                        selector.unregister(fd)
        while child.returncode is not None and self._some(fd, closing=True):  # what it left behind may hold the pipe: not waited for
            pass

    def _some(self, fd: int, closing: bool = False) -> bool:
        """Copy what is there; False at the end of it."""
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return not closing
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(1, view):]
            except OSError:  # a full disk costs output, not the application
                break
        self._output.take(data)
        if self._output.id and self._output.id != self._record.get("application_id"):
            self._say_id(self._output.id, self._output.url)
        elif self._output.url and self._output.url != self._record.get("tracking_url"):
            self._say_id(self._output.id, self._output.url)
        return bool(data)

    # ------------------------------------------------------------------------------------------------- after spark-submit

    def _after(self, code: int) -> int:
        """What the end of spark-submit means for the application on YARN. Raises Stopped."""
        app_id = self._output.id
        if not app_id and (self._detach or code != 0) and (self._cluster.known and not (self._cluster.costly and not self._detach)):
            app_id = self._found_by_tag()
        if not app_id:
            if self._detach and code == 0:
                raise ClientError("spark-submit named no application, and none has the tag of this attempt",
                                  "is the log level of org.apache.spark.deploy.yarn.Client INFO, and is `rm_url:` right?", UNCLEAR)
            self._write(ended=True)
            return self._last_words(code)
        if self._detach and code == 0:
            self._say_id(app_id, self._output.url)
            return self._follow(app_id)
        if code == 0:
            self._write(ended=True, state="SUCCEEDED")
            self._say_id(app_id, self._output.url)
            return self._last_words(0)
        return self._failed(code, app_id)

    def _found_by_tag(self) -> str:
        try:
            apps = self._ask(lambda: self._cluster.find(self._own_tag), PATIENCE if self._detach else AFTERMATH)
        except yarn.YarnError as error:
            say(f"not known whether an application was submitted: {error.message}")
            return ""
        return apps[-1].id if apps else ""

    def _failed(self, code: int, app_id: str) -> int:
        """spark-submit failed: is it the application that failed, or did it only lose sight of it?"""
        if not self._cluster.known:
            self._write(ended=True)
            return self._last_words(code)
        try:
            app = self._ask(lambda: self._cluster.get(app_id), AFTERMATH)
            if app and app.live and self._adopts:
                say(f"spark-submit ended with exit code {code}, but {app_id} is {app.state}: its end is waited for")
                return self._follow(app)
            if app and app.live:
                app = self._ended_soon(app)
            if app and app.succeeded and self._adopts:
                say(f"spark-submit ended with exit code {code}, but {app_id} has succeeded")
                return self._follow(app)
        except yarn.YarnError as error:
            say(f"not known how {app_id} ended: {error.message}")
            return self._last_words(code)  # its record stays open: the next attempt asks
        self._write(ended=True, state=app.end if app else "")
        if app and self._in_cluster:
            return self._last_words(code, app)
        return self._last_words(code)

    def _ended_soon(self, app: yarn.Application) -> Optional[yarn.Application]:
        """An application without its driver ends by itself, or is killed. Raises YarnError."""
        until = self._clock.monotonic() + AFTERMATH
        found: Optional[yarn.Application] = app
        while found and found.live and self._clock.monotonic() < until:
            self._pause(1.0)
            found = self._cluster.get(app.id)
        if found and found.live:
            say(f"{app.id} is still {found.state} without its driver: it is killed")
            if not self._kill(app.id, self._clock.monotonic() + PATIENCE, heed=True):
                raise yarn.YarnError(f"{app.id} does not end", f"type: yarn application -kill {app.id}")
            found = self._cluster.get(app.id)
        return found

    def _follow(self, app: Any) -> int:
        """Look at an application until it ends. Raises Stopped."""
        app_id, known = (app, None) if isinstance(app, str) else (app.id, app)
        self._output.id = app_id
        self._write(tag=self._tag, attempt_tag=self._own_tag, application_id=app_id, ended=False)
        silent = ""
        while known is None or known.live:
            try:
                known = self._cluster.get(app_id)
                if silent:
                    say("the ResourceManager answers again")
                silent = ""
            except yarn.YarnError as error:
                if error.denied or not self._cluster.known:
                    raise
                if not silent:
                    say(f"{error.message}; asked again every {self._poll:g} s")
                silent = error.message
                self._pause(self._poll)
                continue
            if known is None:
                self._write(ended=True, state="UNKNOWN")
                raise ClientError(f"YARN does not know {app_id} any more: how it ended cannot be told", "look into its history server", UNCLEAR)
            self._say_state(known)
            if known.live:
                self._pause(self._poll)
        self._say_state(known)
        self._write(ended=True, state=known.end)
        if known.succeeded:
            self._client.hand_on(application_id=app_id, tracking_url=known.url)
            return 0
        return self._last_words(1, known)

    # ------------------------------------------------------------------------------------------------------------ stopping

    def _stop(self) -> int:
        """End everything of this attempt and see that it has ended."""
        until = self._clock.monotonic() + self._grace
        self._write(stopping=True)
        app_id = self._output.id
        if self._child:
            self._end_child(until, app_id)
        if not self._on_yarn or not (self._child or app_id):
            self._write(ended=True)
            say("stopped" if self._child else "stopped; nothing had been submitted")
            return 128 + signal.SIGTERM
        left = self._still_live(app_id, until)
        if left is None or not self._cluster.known:
            raise ClientError(f"stopped, but nobody says whether {app_id or 'an application with the tag ' + self._own_tag} still runs",
                              f"type: yarn application {'-kill ' + app_id if app_id else '-list -appTags ' + self._own_tag}", 128 + signal.SIGTERM)
        alive = [each for each in left if not self._kill(each, until)]
        if alive:
            raise ClientError(f"stopped, but {', '.join(alive)} does not end", f"type: yarn application -kill {alive[0]}", 128 + signal.SIGTERM)
        self._write(ended=True, state="KILLED")
        say("stopped; " + (f"{app_id or ', '.join(left)} has ended, YARN says so" if app_id or left else "no application had been submitted"))
        return 128 + signal.SIGTERM

    def _end_child(self, until: float, app_id: str) -> None:
        """TERM to spark-submit and all that it started; on YARN in cluster mode the application is asked to end meanwhile."""
        child = self._child
        _signal(signal.SIGTERM)
        if app_id and self._on_yarn and self._in_cluster:
            try:
                self._cluster.kill(app_id, patience=max(until - self._clock.monotonic(), 1.0))
            except yarn.YarnError:  # asked again, and told, in a moment
                pass
        if child.poll() is None:
            self._copy(until=self._clock.monotonic() + max((until - self._clock.monotonic()) * 0.6, 0.5))
        if child.poll() is None:
            say("spark-submit does not end on TERM: KILL")
            _signal(signal.SIGKILL)
            self._copy(until=self._clock.monotonic() + 5.0)
        _signal(signal.SIGKILL)  # a Python driver outlives its JVM

    def _still_live(self, app_id: str, until: float) -> Optional[List[str]]:
        """The live applications of this attempt, by id and by tag; None when nobody can say."""
        if app_id and self._cluster.costly:
            return [app_id]
        looked = 0
        while True:
            try:
                apps = {app.id: app for app in self._cluster.find(self._own_tag, patience=max(until - self._clock.monotonic(), 1.0))}
                if app_id and app_id not in apps:  # of an earlier attempt, and its tag
                    other = self._cluster.get(app_id, patience=max(until - self._clock.monotonic(), 1.0))
                    apps.update({app_id: other} if other else {})
                looked += 1
                if apps or looked > 1:  # a request that was on its way when spark-submit was ended has come in by the second look
                    return [app.id for app in apps.values() if app.live]
            except yarn.YarnError as error:
                if self._clock.monotonic() + 1.0 >= until or not self._cluster.known:
                    say(error.message)
                    return [app_id] if app_id and self._cluster.known else None
            self._clock.sleep(0.5)

    def _kill(self, app_id: str, until: float, heed: bool = False) -> bool:
        """Kill an application and look until YARN says that it has ended; False when it does not in time.

        With `heed` a TERM meanwhile raises Stopped.
        """
        trouble = ""
        while True:
            rest = until - self._clock.monotonic()
            try:
                self._cluster.kill(app_id, patience=max(rest, 1.0))
                app = self._cluster.get(app_id, patience=max(rest, 1.0))
                if app is None or not app.live:
                    say(f"{app_id}: {app.end if app else 'gone'}")
                    return True
            except yarn.YarnError as error:
                if error.message != trouble:
                    say(error.message)
                trouble = error.message
            if self._clock.monotonic() >= until:
                return False
            if heed:
                self._pause(0.5)
            else:
                self._clock.sleep(0.5)

    # ------------------------------------------------------------------------------------------------------------- telling

    def _say_id(self, app_id: str, url: str) -> None:
        """What can be told of a running application: for the next attempt, and for `runner status`."""
        if not app_id:
            return
        if self._on_yarn:
            self._write(application_id=app_id, tracking_url=url)
        self._place(NOTE, " ".join(filter(None, (app_id, url))) + "\n")

    def _say_state(self, app: yarn.Application) -> None:
        state = app.state if app.live else app.end
        if state != self._shown:
            say(f"{app.id}: {state}" + (f"  {app.url}" if app.url else ""))
            self._place(NOTE, f"{app.id} {state} {app.url}".rstrip() + "\n")
            self._output.url = app.url or self._output.url
            self._record.update(tracking_url=self._output.url)
        self._shown = state

    def _last_words(self, code: int, app: Optional[yarn.Application] = None) -> int:
        """The log ends with the application, and with what went wrong."""
        app_id, url = self._output.id, self._output.url
        if code == 0:
            if app_id:
                self._client.hand_on(application_id=app_id, tracking_url=url)
                say(f"{app_id}: succeeded" + (f"  {url}" if url else ""))
            return 0
        if app is None:
            cause = self._output.cause or f"spark-submit ended with exit code {code}"
        else:
            cause = self._driver_cause(app) or f"the application ended as {app.end}"
        if app_id:
            say(f"{app_id}: {app.end if app else 'failed'}" + (f"  {url}" if url else ""))
        raise ClientError(cause[:1000], "", code)

    def _driver_cause(self, app: yarn.Application) -> str:
        """Why an application failed: its driver's own words where its log can be had, else YARN's."""
        tail = self._cluster.log_tail(app)
        driver = Output()
        if tail:
            print(f"---- the end of the driver's log, {app.id} ----\n{tail.rstrip()}\n---- end of the driver's log ----")
            driver.take(tail.encode("utf-8", "surrogateescape") + b"\n")
        told = " ".join(line.strip() for line in app.diagnostics.splitlines() if line.strip())
        return driver.python or told or driver.cause

    def _write(self, **fields: Any) -> None:
        """Add to what the next attempt will know."""
        if not self._on_yarn:
            return
        self._record.update(fields)
        self._place(RECORD, json.dumps(self._record, ensure_ascii=False) + "\n")

    def _place(self, name: str, text: str) -> None:
        path = os.path.join(self._client.folder, name)
        with open(path + ".part", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            if name == RECORD:
                os.fsync(file.fileno())
        os.replace(path + ".part", path)


# -------------------------------------------------------------------------------------------------------------- the output


class Output:
    """What spark-submit's output says: the application, and why it failed."""

    def __init__(self) -> None:
        self.id = self.url = ""
        self._rest = b""
        self._in_traceback = self._in_java = False
        self.python = self._java = self._told = self._shell = ""

    def take(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()[-65536:]
        for line in lines:
            self._line(line)

    def _line(self, raw: bytes) -> None:
        if not self.id:
            found = _ID.search(raw) or _OTHER_ID.search(raw)
            self.id = found[1].decode("ascii") if found else ""
        found = _URL.search(raw)
        if found:
            self.url = found[1].decode("utf-8", "replace")
        self._look(raw.decode("utf-8", "replace").rstrip())

    def _look(self, line: str) -> None:
        """Keep what may be the cause: the last line of a Python traceback, a Java exception, what spark-submit itself says."""
        if line.startswith("Traceback (most recent call last):"):
            self._in_traceback = True
        elif self._in_traceback:
            if line and not line.startswith((" ", "\t")) and not _LOG4J.match(line):
                self._in_traceback = False
                if _EXCEPTION.fullmatch(line):
                    self.python = line
        elif self.python.endswith(".") and "An error occurred while calling" in self.python and line.startswith(": "):
            self.python = line[2:]  # py4j tells the exception of the JVM on its next line
        elif line.startswith("Exception in thread "):
            self._java = line.partition('" ')[2] or line
        elif line.startswith("Error: "):
            self._told = self._told or line[7:]
        elif line.strip().startswith("diagnostics: ") and not line.endswith("N/A"):
            self._told = line.strip()[13:]
        elif _SHELL.fullmatch(line):
            self._shell = line

    @property
    def cause(self) -> str:
        return self.python or self._java or self._told or self._shell


# --------------------------------------------------------------------------------------------------------- surroundings


def _left(folder: str) -> List[Dict[str, Any]]:
    """The records of the attempts before this one that have not seen the end of their application, the newest first."""
    stem, dot, number = folder.rpartition(".")
    left: List[Dict[str, Any]] = []
    for each in range(int(number) - 1 if number.isdigit() else 0, 0, -1):
        try:
            with open(os.path.join(f"{stem}{dot}{each}", RECORD), encoding="utf-8") as file:
                record = dict(json.load(file))
        except (OSError, ValueError):  # it began no submission
            continue
        if record.get("ended"):  # it also answered for those before it
            break
        left.append({**record, "number": each})
    return left


def _environment(environ: Mapping[str, str], body: Mapping[str, Any], words: List[str]) -> Dict[str, str]:
    """The server's, with the folder of spark-submit first on the PATH: that of a pip installation looks for Spark with the
    `python3` it finds there."""
    env = dict(environ)
    folders = [os.path.dirname(words[0])] if os.sep in words[0] else []
    if body.get("spark_home"):
        folders.insert(0, os.path.join(body["spark_home"], "bin"))
    if body.get("java_home"):
        env["JAVA_HOME"] = body["java_home"]
    for folder in reversed(folders):
        env["PATH"] = os.pathsep.join(filter(None, (folder, env.get("PATH", ""))))
    return env


def _defaults(body: Mapping[str, Any], environ: Mapping[str, str]) -> Dict[str, str]:
    """What spark-defaults.conf, or the properties file instead of it, says of master and deploy mode."""
    home = environ.get("SPARK_HOME", "")
    path = body.get("properties_file") or os.path.join(environ.get("SPARK_CONF_DIR") or os.path.join(home, "conf"), "spark-defaults.conf")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    pairs: List[Tuple[str, ...]] = [tuple(re.split(r"[\s=:]+", line.strip(), maxsplit=1)) for line in lines if not line.lstrip().startswith("#")]
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def _signal(number: int) -> None:
    """To what spark-submit and its children are: our process group without the wrapper and the attendant above us."""
    group, spared = os.getpgrp(), {os.getpid(), os.getppid(), os.getpgrp()}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in spared:
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            if int(fields[2]) == group and fields[0] not in (b"Z", b"X"):
                os.kill(int(name), number)
        except (OSError, IndexError):
            continue


def _shell_code(code: int) -> int:
    return code if code >= 0 else 128 - code


def _drain(fd: int) -> None:
    try:
        while len(os.read(fd, 4096)) == 4096:
            pass
    except BlockingIOError:
        pass


def say(text: str) -> None:
    print(f"runner: {text}", flush=True)
