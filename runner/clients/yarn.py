"""YARN's ResourceManager: applications by their tag or id, their end, and killing them. By its REST address, else by the `yarn` command."""

from __future__ import annotations

import getpass
import http.client
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

from runner.clients import net

LIVE = frozenset({"NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING"})
FILES = ("core-site.xml", "yarn-site.xml")
CONF = "/etc/hadoop/conf"  # where nothing else is said
ASK = 10.0  # seconds for one answer of the ResourceManager
COMMAND = 90.0  # seconds for one yarn command: it starts a JVM, and asks a KDC
_REFERENCE = re.compile(r"\$\{([^${}]+)\}")
_CONTENTS = re.compile(r"LogContents:\n(.*?)\n?End of LogType:", re.DOTALL)
_REFRESH = re.compile(r"url=(\S+)")


class YarnError(Exception):
    """No answer. `denied`: the ResourceManager wants to know who we are, and cannot be told this way."""

    def __init__(self, message: str, hint: str = "", denied: bool = False):
        super().__init__(message)
        self.message, self.hint, self.denied = message, hint, denied


@dataclass(frozen=True)
class Application:
    """An application as YARN knows it."""

    id: str
    state: str  # NEW .. RUNNING, FINISHED, FAILED, KILLED
    final: str  # UNDEFINED, SUCCEEDED, FAILED, KILLED: what it said of itself
    url: str = ""
    diagnostics: str = ""
    logs: str = ""  # address of the logs of its first container

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def succeeded(self) -> bool:
        return self.state == "FINISHED" and self.final == "SUCCEEDED"

    @property
    def end(self) -> str:
        """How it ended, in a word."""
        return self.final if self.state == "FINISHED" else self.state


# ------------------------------------------------------------------------------------------------------- configuration


def settings(environ: Mapping[str, str], conf: Mapping[str, Any]) -> Dict[str, str]:
    """Hadoop's settings as spark-submit sees them: those files, then `spark.hadoop.NAME` of the step."""
    found: Dict[str, str] = {}
    for folder in dict.fromkeys(filter(None, (environ.get("HADOOP_CONF_DIR") or environ.get("YARN_CONF_DIR") or CONF, environ.get("YARN_CONF_DIR")))):
        for name in FILES:
            found.update(_read(os.path.join(folder, name)))
    prefix = "spark.hadoop."
    found.update({key[len(prefix):]: str(value) for key, value in conf.items() if key.startswith(prefix)})
    return found


def _read(path: str) -> Dict[str, str]:
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):  # Spark itself says what is wrong with it
        return {}
    pairs = ((each.findtext("name"), each.findtext("value")) for each in root.iter("property"))
    return {name.strip(): (value or "").strip() for name, value in pairs if name}


def addresses(known: Mapping[str, str], environ: Mapping[str, str]) -> List[str]:
    """Where the ResourceManagers answer, by Hadoop's settings; more than one where there is high availability."""
    secure = _value(known, "yarn.http.policy", environ).upper() == "HTTPS_ONLY"
    scheme, port = ("https", 8090) if secure else ("http", 8088)
    key = f"yarn.resourcemanager.webapp{'.https' if secure else ''}.address"
    ids = [""]
    if _value(known, "yarn.resourcemanager.ha.enabled", environ).lower() == "true":
        ids = ["." + each.strip() for each in _value(known, "yarn.resourcemanager.ha.rm-ids", environ).split(",") if each.strip()]
    found = []
    for suffix in ids:
        host = _value(known, "yarn.resourcemanager.hostname" + suffix, environ)
        place = _value(known, key + suffix, environ) or (f"{host}:{port}" if host else "")
        if place and not place.startswith("0.0.0.0"):
            found.append(f"{scheme}://{place}")
    return found


def _value(known: Mapping[str, str], name: str, environ: Mapping[str, str]) -> str:
    value = known.get(name, "")
    for _ in range(20):  # as deep as Hadoop looks
        fresh = _REFERENCE.sub(lambda found: _referred(known, found.group(1), environ), value)
        if fresh == value:
            break
        value = fresh
    return value.strip()


def _referred(known: Mapping[str, str], name: str, environ: Mapping[str, str]) -> str:
    return environ.get(name[4:], "") if name.startswith("env.") else known.get(name, "")


# ---------------------------------------------------------------------------------------------------------------- REST


class Rest:
    """The ResourceManager's web address; of several the active one is found."""

    costly = False  # an answer takes milliseconds

    def __init__(self, urls: Sequence[str], user: str):
        self._urls, self._user = list(urls), user

    def find(self, tag: str, patience: float = ASK) -> List[Application]:
        said = self._ask("GET", "/ws/v1/cluster/apps", {"applicationTags": tag}, None, patience)
        apps = ((said or {}).get("apps") or {}).get("app") or []
        # a ResourceManager that knows no tags gives all: none of them may be taken for ours
        return [_application(app) for app in apps if tag.lower() in str(app.get("applicationTags", "")).lower().split(",")]

    def get(self, app_id: str, patience: float = ASK) -> Optional[Application]:
        said = self._ask("GET", f"/ws/v1/cluster/apps/{quote(app_id)}", {}, None, patience)
        return _application(said["app"]) if said and "app" in said else None

    def kill(self, app_id: str, patience: float = ASK) -> None:
        self._ask("PUT", f"/ws/v1/cluster/apps/{quote(app_id)}/state", {"user.name": self._user}, {"state": "KILLED"}, patience)

    def _ask(self, method: str, path: str, query: Mapping[str, str], body: Any, patience: float) -> Optional[Dict[str, Any]]:
        """The answer of the first that gives one; None for 404. Raises YarnError."""
        trouble: Optional[YarnError] = None
        for url in list(self._urls):
            try:
                said = self._one(url, method, path, query, body, patience)
            except YarnError as error:
                trouble = error if trouble is None or not trouble.denied else trouble
                continue
            if url != self._urls[0]:  # the active one first, next time
                self._urls.remove(url)
                self._urls.insert(0, url)
            return said
        raise trouble or YarnError("no address of a ResourceManager is known")

    def _one(self, url: str, method: str, path: str, query: Mapping[str, str], body: Any, patience: float) -> Optional[Dict[str, Any]]:
        target = url.rstrip("/") + path + ("?" + urlencode(query) if query else "")
        for _ in range(3):  # a standby sends on to the active one
            status, headers, data = _exchange(method, target, body, patience)
            onward = headers.get("Location") or (_REFRESH.findall(headers.get("Refresh") or "") or [""])[0]
            if status in (301, 302, 307, 308) and onward:
                target = onward
                continue
            break
        place = urlsplit(target).netloc
        if status == 404:
            return None
        if status in (401, 403):
            raise YarnError(f"the ResourceManager {place} refuses: {_reason(data) or f'status {status}'}",
                            "where Kerberos guards it the `yarn` command is needed: put it on the PATH, or set HADOOP_HOME", denied=True)
        if status >= 300:
            raise YarnError(f"the ResourceManager {place} answered with status {status}: {_reason(data)}".rstrip(": "))
        try:
            return dict(json.loads(data or b"{}"))
        except ValueError:
            raise YarnError(f"{place} is no ResourceManager: its answer is no JSON", "look at `rm_url:`") from None


def _exchange(method: str, target: str, body: Any, patience: float, accept: str = "application/json") -> Tuple[int, http.client.HTTPMessage, bytes]:
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise YarnError(f"'{target}' is no address of a ResourceManager", "write `rm_url: http://HOST:8088`")
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname, parts.port, timeout=patience)
    try:
        headers = {"Accept": accept, "Content-Type": "application/json"}
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body and json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    except OSError as error:
        raise YarnError("the ResourceManager " + net.trouble(error, parts.netloc, patience).message) from None
    except http.client.HTTPException as error:
        raise YarnError(f"the ResourceManager {parts.netloc} gave no answer that is HTTP: {type(error).__name__}") from None
    finally:
        connection.close()


def _reason(data: bytes) -> str:
    try:
        text = str(json.loads(data)["RemoteException"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
    return re.sub(r"^java\.lang\.Exception: ", "", text)[:300]


def _application(app: Mapping[str, Any]) -> Application:
    return Application(
        str(app.get("id")), str(app.get("state")), str(app.get("finalStatus")), str(app.get("trackingUrl") or ""),
        str(app.get("diagnostics") or "").strip(), str(app.get("amContainerLogs") or ""),
    )


def container_log(logs: str, name: str, size: int) -> str:
    """The last `size` bytes of a log of a container, as its NodeManager has it; "" when it has none."""
    found = re.match(r"(https?://[^/]+)/node/containerlogs/([^/]+)", logs)
    if not found:
        return ""
    try:
        status, _, data = _exchange("GET", f"{found[1]}/ws/v1/node/containers/{found[2]}/logs/{name}?size=-{size}", None, ASK, "text/plain")
    except YarnError:
        return ""
    text = data.decode("utf-8", "replace") if status == 200 else ""
    inner = _CONTENTS.search(text)  # since Hadoop 3 with a head and a foot
    return inner[1] if inner else text


# ------------------------------------------------------------------------------------------------------------- command


class Command:
    """The `yarn` command: slow, but it has the user's ticket."""

    costly = True

    def __init__(self, binary: str, environ: Mapping[str, str]):
        self._binary, self._environ = binary, environ

    def find(self, tag: str, patience: float = COMMAND) -> List[Application]:
        said = self._run(["application", "-list", "-appStates", "ALL", "-appTags", tag], patience)
        rows = [[cell.strip() for cell in line.split("\t")] for line in said.splitlines() if line.strip().startswith("application_")]
        return [Application(row[0], row[5], row[6], row[8]) for row in rows if len(row) >= 9]

    def get(self, app_id: str, patience: float = COMMAND) -> Optional[Application]:
        try:
            said = self._run(["application", "-status", app_id], patience)
        except YarnError as error:
            if "doesn't exist" in error.message:
                return None
            raise
        fields = dict(re.findall(r"^\s+([A-Za-z][A-Za-z -]*) : ?(.*)$", said, re.MULTILINE))
        if "State" not in fields:
            raise YarnError(f"yarn application -status {app_id} told no state")
        final, url, why = (fields.get(name, "").strip() for name in ("Final-State", "Tracking-URL", "Diagnostics"))
        return Application(app_id, fields["State"], final, url, why)

    def kill(self, app_id: str, patience: float = COMMAND) -> None:
        self._run(["application", "-kill", app_id], patience)

    def logs(self, app_id: str, size: int, patience: float = COMMAND) -> str:
        return self._run(["logs", "-applicationId", app_id, "-am", "1", "-size", f"-{size}"], patience)

    def _run(self, words: Sequence[str], patience: float) -> str:
        shown = f"yarn {' '.join(words[:2])}"
        try:
            # of its own session: the TERM that stops the step must not end the command that kills the application
            process = subprocess.Popen([self._binary, *words], env=dict(self._environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, start_new_session=True)
        except OSError as error:
            raise YarnError(f"{self._binary}: {error.strerror}") from None
        try:
            out, err = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise YarnError(f"{shown}: no answer within {patience:g} s", "is the ResourceManager up, and is there a Kerberos ticket?") from None
        text = out.decode("utf-8", "replace")
        if process.returncode:
            told = [line for line in (text + err.decode("utf-8", "replace")).splitlines() if line.strip() and not line.startswith("\tat ")]
            telling = [line for line in told if "Exception" in line or "doesn't exist" in line] or told[-1:] or [f"ended with {process.returncode}"]
            raise YarnError(f"{shown}: {telling[0].strip()[:300]}", "is there a Kerberos ticket? `kerberos:` of the step gets one")
        return text


# ------------------------------------------------------------------------------------------------------------ the two


class Cluster:
    """All ways to the ResourceManager, the cheapest first."""

    def __init__(self, ways: Sequence[Any], user: str = ""):
        self._ways = list(ways)
        self.user = user

    @property
    def known(self) -> bool:
        return bool(self._ways)

    @property
    def costly(self) -> bool:
        """Whether each question starts a JVM."""
        return bool(self._ways) and self._ways[0].costly

    def find(self, tag: str, **patience: float) -> List[Application]:
        """The applications with a tag, ended ones too, as far as YARN remembers them. Raises YarnError."""
        return self._by(lambda way: way.find(tag, **patience))

    def get(self, app_id: str, **patience: float) -> Optional[Application]:
        """None: YARN does not know it. Raises YarnError."""
        return self._by(lambda way: way.get(app_id, **patience))

    def kill(self, app_id: str, **patience: float) -> None:
        """Ask for its end; `get` tells whether it came. Raises YarnError."""
        self._by(lambda way: way.kill(app_id, **patience))

    def log_tail(self, app: Application, size: int = 16384) -> str:
        """The end of what the first container of an ended application wrote; "" when nobody has it."""
        text = "\n".join(filter(None, (container_log(app.logs, name, size) for name in ("stdout", "stderr"))))
        if text:
            return text
        for way in self._ways:
            if isinstance(way, Command):
                try:
                    return way.logs(app.id, size)
                except YarnError:
                    pass
        return ""

    def _by(self, question: Callable[[Any], Any]) -> Any:
        trouble: Optional[YarnError] = None
        for way in list(self._ways):
            try:
                return question(way)
            except YarnError as error:
                if error.denied and len(self._ways) > 1:
                    self._ways.remove(way)  # it will not let us in the next time either
                trouble = trouble or error
        raise trouble or YarnError("no way to the ResourceManager is known",
                                   "write `rm_url: http://HOST:8088`, set HADOOP_CONF_DIR, or put the `yarn` command on the PATH")


def connect(rm_url: Any, conf: Mapping[str, Any], environ: Mapping[str, str], user: str = "") -> Cluster:
    """The ways to the ResourceManager from here: `rm_url`, else Hadoop's settings, and the `yarn` command where there is one."""
    said = rm_url.split(",") if isinstance(rm_url, str) else rm_url or ()
    urls = [each.strip() for each in said if each.strip()] or addresses(settings(environ, conf), environ)
    user = user or environ.get("HADOOP_USER_NAME") or _login()
    ways: List[Any] = [Rest(urls, user)] if urls else []
    binary = _yarn(environ)
    if binary:
        ways.append(Command(binary, environ))
    return Cluster(ways, user)


def _yarn(environ: Mapping[str, str]) -> str:
    for name in ("HADOOP_YARN_HOME", "HADOOP_HOME"):
        path = os.path.join(environ.get(name) or "/", "bin", "yarn")
        if environ.get(name) and os.access(path, os.X_OK):
            return path
    return shutil.which("yarn", path=environ.get("PATH", os.defpath)) or ""


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        return str(os.getuid())
