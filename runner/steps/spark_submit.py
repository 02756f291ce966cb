"""Submits a Spark application with the cluster's own `spark-submit`.

```yaml
steps:
  - id: mart
    spark-submit:
      application: jobs/mart.py
      master: yarn
      deploy_mode: cluster
      queue: batch
      executor_memory: 4g
      num_executors: 8
      conf: {spark.sql.shuffle.partitions: 200}
      py_files: [jobs/common.zip]
      args: ["--date", "<< ds >>"]
```

The keys are `spark-submit`'s own options with `_` for `-`. The command is a list of words and never passes through a shell: blanks,
quotes, `$` and `*` in a value reach Spark as they are. `runner plan` shows the whole command.

A relative path in `application`, `jars`, `files`, `py_files`, `archives`, `properties_file` and `keytab` starts at the pipeline's
folder. A path with a scheme (`hdfs:`, `s3a:`, `local:`) and an absolute one stay as they are. Variables such as `HADOOP_CONF_DIR`
and `PYSPARK_PYTHON` come from the server's environment or from `env:` of the step or the pipeline.

The step hands on `application_id` and `tracking_url`, `<< outputs.mart.application_id >>`; `runner status` shows them while it runs.
The last line of the log of a failed step is the cause: the last line of the Python traceback, the exception, or what YARN says. Of an
application in cluster mode the end of the driver's log is fetched too, where its NodeManager or `yarn logs` has it.

**On YARN** no application is left behind, and none runs twice. Each is submitted with tags (`spark.yarn.tags`) that say which step of
which run it belongs to, so that it is found although nobody has read its id.

- A stop or a timeout kills the application, within `kill_grace:`, and looks until YARN says that it has ended. When that cannot be
  seen, the last line of the log says what to type.
- Before anything is submitted an application of an earlier attempt that is still live is looked for. One of an attempt that was lost (its
  client was killed, the server went down) is waited for instead of submitting; one that has succeeded meanwhile counts; one of an attempt
  that was stopped or timed out is killed first. `on_live: kill` kills and submits in each case. In client mode the driver was lost
  with its attempt, so what is left of it is always killed.
- When `spark-submit` itself ends while its cluster-mode application goes on, the application is waited for.
- `detach: true` holds no JVM: spark-submit ends after submitting, and the application is asked for every `poll:`.
  `spark.yarn.submit.waitAppCompletion: false` in `conf:` means the same.

The ResourceManager is asked by its web address: `rm_url:`, else that of yarn-site.xml in HADOOP_CONF_DIR. Where Kerberos guards that, and
where there is none, by the `yarn` command of HADOOP_HOME or the PATH, with the ticket of `kerberos:`.

**Exit codes.** In client mode a Python application's own: `sys.exit(42)` gives 42, an exception 1, a missing file 2. In cluster mode 0
when the application succeeded, otherwise 1. 127: `spark-submit` was not found, or it found no Python to look for Spark with. 75:
whether an application of an earlier attempt still runs cannot be seen, so nothing was submitted. 143: stopped.

**Traps**

- `packages` and `repositories` are refused: they fetch from the internet while the job starts. Carry the jars in and name them in `jars:`.
  Where the site has a repository of jars, `ivy_settings:` names it, and `packages` is allowed.
- `spark-submit` of a pip installation fails with 127 when its Python is not first on the PATH: give `spark_home:`.
- `conf` keys that do not begin with `spark.` are dropped by Spark with no more than a warning, so they are refused here.
- The step's process is the client: with `deploy_mode: client`, Spark's default, the driver's memory is taken from this server.
- A secret may not stand in `conf:` or `args:`, where everybody can read it with ps: give it to the driver in `env:`.
- A timeout needs a `kill_grace:` longer than YARN takes to kill: the default of 30s is enough for most, 1m where only the `yarn` command can ask.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any, Dict, List, Mapping, Optional

from runner import durations, model
from runner.steps.base import (
    BuildContext, CalledFile, Fault, called, exactly_one, has_scheme, has_tag, locate, looked_after, text_of, words,
)

KIND = "spark-submit"
TITLE = "a Spark application"

# Words that stand where an application stands and are no files.
_NO_FILES = frozenset({"spark-internal", "pyspark-shell", "sparkr-shell", "spark-shell"})

# Key of the body and option, in the order of the command line: what, where, whose, how large, with what.
_OPTIONS = (
    ("master", "--master"),
    ("deploy_mode", "--deploy-mode"),
    ("class", "--class"),
    ("name", "--name"),
    ("queue", "--queue"),
    ("principal", "--principal"),
    ("keytab", "--keytab"),
    ("proxy_user", "--proxy-user"),
    ("properties_file", "--properties-file"),
    ("driver_memory", "--driver-memory"),
    ("driver_cores", "--driver-cores"),
    ("executor_memory", "--executor-memory"),
    ("executor_cores", "--executor-cores"),
    ("num_executors", "--num-executors"),
    ("total_executor_cores", "--total-executor-cores"),
)
_PATHS = frozenset({"keytab", "properties_file"})
_FOR_THE_WATCH = ("master", "deploy_mode", "rm_url", "on_live", "detach", "poll", "proxy_user")  # what clients/spark.py needs to know
_LISTS = (("jars", "--jars"), ("files", "--files"), ("py_files", "--py-files"), ("archives", "--archives"))
_ONLINE = {
    "packages": "`packages:` fetches jars from the internet while the job starts",
    "repositories": "`repositories:` fetches jars from the internet while the job starts",
}
_ONLINE_CONF = ("spark.jars.packages", "spark.jars.repositories")
_CARRY = "Carry the jars in and list them: `jars: [lib/x.jar]`."
_OWN_REPOSITORY = " Where the site has a repository of its own, `ivy_settings:` names it, and `packages:` is allowed."
_TAGS = "spark.yarn.tags"
_NO_WAIT = "spark.yarn.submit.waitAppCompletion"
_LONGEST_TAG = 100  # YARN's limit; it takes ASCII only
_MEMORY = re.compile(r"\d+([kmgtp]b?)?", re.IGNORECASE)


def _word(description: str) -> Dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description}


def _count(description: str) -> Dict[str, Any]:
    return {"type": ["integer", "string"], "minimum": 1, "description": description}


def _paths(description: str) -> Dict[str, Any]:
    return {"type": ["array", "string"], "items": {"type": "string", "minLength": 1}, "description": description}


SCHEMA: Dict[str, Any] = {
    "type": "object",
    "description": "What to submit, where, and how large.",
    "additionalProperties": False,
    "properties": {
        "application": _word("The .py or .jar file, or where Spark finds it: `hdfs:///apps/mart.jar`, `local:/opt/mart.jar`."),
        "args": {
            "type": "array",
            "items": {"type": ["string", "number", "boolean"]},
            "description": "Arguments of the application, one word each.",
        },
        "class": _word("The main class of a jar."),
        "master": _word("`yarn`, `local[2]`, `spark://HOST:7077`. Default: that of the cluster's spark-defaults.conf."),
        "deploy_mode": {
            "type": "string",
            "enum": ["client", "cluster"],
            "description": "Where the driver runs: on this server (`client`) or in the cluster (`cluster`).",
        },
        "name": _word("The application's name, as YARN shows it."),
        "queue": _word("The YARN queue."),
        "conf": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean"]},
            "description": "Spark settings, `spark.NAME: value`; Hadoop's as `spark.hadoop.NAME`.",
        },
        "jars": _paths("Jars for driver and executors: a list, or text with commas."),
        "files": _paths("Files for each executor's working folder; `path#name` renames."),
        "py_files": _paths(".py, .zip and .egg files to import from."),
        "archives": _paths("Archives to unpack for each executor; `env.tar.gz#env` names the folder."),
        "driver_memory": _word("Such as `2g`."),
        "driver_cores": _count("Cores of the driver, in cluster mode."),
        "executor_memory": _word("Such as `4g`."),
        "executor_cores": _count("Cores of one executor."),
        "num_executors": _count("How many executors (YARN)."),
        "total_executor_cores": _count("Cores of all executors together (standalone)."),
        "properties_file": _word("A file of settings instead of spark-defaults.conf."),
        "principal": _word("The Kerberos principal; needs `keytab`."),
        "keytab": _word("The Kerberos keytab; needs `principal`."),
        "proxy_user": _word("The user to act for. Not together with `principal`."),
        "verbose": {"type": "boolean", "description": "Whether Spark prints how it read the options. Default: false."},
        "spark_home": _word("Where Spark is installed; becomes SPARK_HOME, and its bin/spark-submit is used."),
        "binary": _word("The command itself. Default: spark-submit of `spark_home`, else of the PATH."),
        "java_home": _word("The Java that Spark runs on here; becomes JAVA_HOME."),
        "detach": {
            "type": "boolean",
            "description": "Submit, let spark-submit end, and look at the application now and then: no JVM is held here. "
                           "For YARN in cluster mode. Default: false.",
        },
        "poll": {"type": ["string", "integer"], "description": "Between two such looks. Default: 10s; 1m where only the `yarn` command can ask."},
        "on_live": {
            "type": "string",
            "enum": ["adopt", "kill"],
            "description": "An application of a lost attempt that is live, or has succeeded: wait for it and take its end (`adopt`), or kill it "
                           "and submit again (`kill`). Default: adopt.",
        },
        "rm_url": {
            "type": ["string", "array"],
            "items": {"type": "string", "minLength": 1},
            "description": "YARN's ResourceManager, `http://HOST:8088`; several with commas or as a list. Default: as yarn-site.xml says.",
        },
        "ivy_settings": _word("A file that names the site's own repository of jars; with it `packages` is allowed."),
        "packages": {**_paths("Jars by their Maven coordinates. Refused without `ivy_settings`: it needs the internet. Use `jars`.")},
        "repositories": {"type": ["array", "string"], "description": "Refused: it needs the internet. Use `jars`."},
    },
}
TEMPLATED = frozenset(SCHEMA["properties"]) - {"deploy_mode", "verbose", "detach", "poll", "on_live", "repositories"}


def normalise(body: Any) -> Dict[str, Any]:
    return dict(body)


def files(body: Mapping[str, Any]) -> List[CalledFile]:
    found = called(body, "properties_file", "")
    application = body.get("application")
    if isinstance(application, str) and application not in _NO_FILES:
        found = called(body, "application", "python" if application.endswith(".py") else "") + found
    return found


# --------------------------------------------------------------------------------------------------------------- check


def check(body: Mapping[str, Any]) -> List[Fault]:
    faults = exactly_one(body, ("application",))
    for key in _ONLINE:
        if key in body and not (key == "packages" and "ivy_settings" in body):
            faults.append(((key,), f"{_ONLINE[key]}, and there is none here", _CARRY + _OWN_REPOSITORY))
    for key in ("driver_memory", "executor_memory"):
        value = body.get(key)
        if isinstance(value, str) and not has_tag(value) and not _MEMORY.fullmatch(value):
            faults.append(((key,), f"'{value}' is no size that Spark reads", "Write for example `4g` or `512m`, without a blank."))
    for key in ("driver_cores", "executor_cores", "num_executors", "total_executor_cores"):
        value = body.get(key)
        if isinstance(value, str) and not has_tag(value) and not value.isdecimal():
            faults.append(((key,), f"'{value}' is not a whole number", f"Write for example `{key}: 4`."))
    return faults + _check_conf(body) + _check_master(body) + _check_user(body) + _check_watch(body)


def _check_conf(body: Mapping[str, Any]) -> List[Fault]:
    faults: List[Fault] = []
    conf = body.get("conf") or {}
    own = "ivy_settings" in body or "spark.jars.ivySettings" in conf
    for key in conf:
        if key in _ONLINE_CONF and not own:
            faults.append((("conf", key), f"`{key}` fetches jars from the internet, and there is none here", _CARRY + _OWN_REPOSITORY))
        elif not key.startswith("spark."):
            hint = f"Hadoop's settings are written `spark.hadoop.{key}`."
            faults.append((("conf", key), f"Spark ignores `{key}`: its settings begin with `spark.`", hint))
    return faults


def _check_master(body: Mapping[str, Any]) -> List[Fault]:
    master = body.get("master")
    if isinstance(master, str) and master.startswith("local") and body.get("deploy_mode") == "cluster":
        return [(("deploy_mode",), f"master `{master}` is no cluster", "Leave `deploy_mode:` out, or name the cluster in `master:`.")]
    return []


def _check_user(body: Mapping[str, Any]) -> List[Fault]:
    faults: List[Fault] = []
    for key, other in (("principal", "keytab"), ("keytab", "principal")):
        if key in body and other not in body:
            faults.append(((key,), f"`{key}:` needs `{other}:`", "Write both, or neither and use the ticket that is there."))
    if "proxy_user" in body and "principal" in body:
        faults.append((("proxy_user",), "`proxy_user:` and `principal:` exclude each other", "Spark takes one of them."))
    return faults


def _check_watch(body: Mapping[str, Any]) -> List[Fault]:
    faults: List[Fault] = []
    for key in ("detach", "on_live"):
        if body.get(key) and body.get("deploy_mode") != "cluster" and (key == "detach" or body["on_live"] == "adopt"):
            message = f"`{key}:` needs `deploy_mode: cluster`: in client mode the driver runs here"
            faults.append(((key,), message, "Write `deploy_mode: cluster`, or leave it out."))
    if body.get("detach") and not _may_be_yarn(body):
        faults.append((("detach",), f"`detach:` is for YARN, and the master is `{_master(body)}`", "Leave it out, or write `master: yarn`."))
    if "poll" in body:
        try:
            durations.parse_duration(body["poll"])
        except durations.DurationError as error:
            faults.append((("poll",), error.message, "Write for example `poll: 30s`."))
    return faults


def _master(body: Mapping[str, Any]) -> str:
    return text_of(body.get("master") or (body.get("conf") or {}).get("spark.master") or "")


def _may_be_yarn(body: Mapping[str, Any]) -> bool:
    """Without a master spark-defaults.conf says it, on the day of the run."""
    master = _master(body)
    return not master or master.startswith("yarn") or has_tag(master)


# --------------------------------------------------------------------------------------------------------------- build


def build(step: model.Step, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    argv = [_binary(body, ctx)]
    for key, option in _OPTIONS:
        if key in body:
            value = text_of(body[key])
            argv += [option, _placed(value, ctx) if key in _PATHS else value]
    for key, option in _LISTS:
        listed = _list(body.get(key), ctx)
        if listed:
            argv += [option, listed]
    if body.get("packages"):
        argv += ["--packages", text_of(body["packages"]) if isinstance(body["packages"], str) else ",".join(body["packages"])]
    conf = {key: text_of(value) for key, value in (body.get("conf") or {}).items()}
    if "ivy_settings" in body:
        conf["spark.jars.ivySettings"] = locate(ctx.pipeline_folder, body["ivy_settings"])
    watch = {key: body[key] for key in _FOR_THE_WATCH if key in body}
    if _may_be_yarn(body):
        tags = _tags(ctx.folder)
        conf[_TAGS] = ",".join(filter(None, (conf.get(_TAGS), *tags)))
        watch.update(tag=tags[0], attempt_tag=tags[1])
        if body.get("detach"):
            conf[_NO_WAIT] = "false"
    for key, value in conf.items():
        argv += ["--conf", f"{key}={value}"]
    if body.get("verbose"):
        argv.append("--verbose")
    argv += [_placed(body["application"], ctx), *words(body.get("args"))]
    env = {}
    # bin/spark-submit of a pip installation finds itself by SPARK_HOME only.
    for key, name in (("spark_home", "SPARK_HOME"), ("java_home", "JAVA_HOME")):
        if key in body:
            env[name] = watch[key] = locate(ctx.pipeline_folder, body[key])
    if "properties_file" in body:
        watch["properties_file"] = _placed(body["properties_file"], ctx)
    watch.update(conf=conf, kill_grace=step.kill_grace)
    return looked_after("spark", argv, watch, ctx, env)


def _tags(folder: str) -> List[str]:
    """What an attempt's application is found by on YARN: a tag for all attempts of the step in this run, one of this attempt, and one for people.

    Two servers with pipelines of the same names may share a cluster, so the first two are made of the server's name too.
    """
    chain, _, number = folder.rpartition(".")
    digest = hashlib.sha256(os.fsencode(f"{os.uname().nodename}\0{chain}")).hexdigest()[:20]
    readable = "/".join(folder.split(os.sep)[-3:]).lower()
    told = readable if readable.isascii() and readable.isprintable() and "," not in readable and len(readable) <= _LONGEST_TAG else ""
    return [f"runner-{digest}", f"runner-{digest}-{number}", *filter(None, (told,))]


def _binary(body: Mapping[str, Any], ctx: BuildContext) -> str:
    if "binary" in body:
        binary = body["binary"]
        return locate(ctx.pipeline_folder, binary) if os.sep in binary else binary
    return os.path.join(locate(ctx.pipeline_folder, body["spark_home"]), "bin", "spark-submit") if "spark_home" in body else "spark-submit"


def _placed(path: str, ctx: BuildContext) -> str:
    if path in _NO_FILES or has_scheme(path):
        return path
    return locate(ctx.pipeline_folder, path)


def _list(value: Any, ctx: BuildContext) -> Optional[str]:
    """Paths as Spark wants them: with commas. Empty ones go, since a template may have left one out."""
    parts = value.split(",") if isinstance(value, str) else value or ()
    return ",".join(_placed(part.strip(), ctx) for part in parts if part.strip())
