"""Programs of a cluster that is not there: each writes down what it was asked, and does as much of it as a test needs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

PROGRAM = """\
#!{python} -ISB
import json, os, shutil, sys
home, name, words = {folder!r}, os.path.basename(sys.argv[0]), sys.argv[1:]

def text_of(option):
    return open(words[words.index(option) + 1], encoding="utf-8").read() if name != "hdfs" and option in words else ""

vars = dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--hivevar")
said = {{"program": name, "words": words, "step": os.environ.get("RUNNER_STEP"), "ds": os.environ.get("RUNNER_DS"), "sql": text_of("-f"),
        "hivevar": vars, "ticket": os.path.exists(os.environ.get("KRB5CCNAME", "").replace("FILE:", "", 1) or "/nonesuch")}}
with open(home + "/asked", "a", encoding="utf-8") as log:
    log.write(json.dumps(said, ensure_ascii=False) + "\\n")
if os.path.exists(home + "/fail") and any(line and line in json.dumps(said, ensure_ascii=False) for line in open(home + "/fail", encoding="utf-8").read().split("\\n")):
    sys.exit("Error: as the test wants it")

def place(path):
    return home + "/hdfs" + path

def hdfs(verb, *rest):
    rest = [word for word in rest if not word.startswith("-")]
    paths = [place(path) for path in rest]
    if verb == "-mkdir":
        os.makedirs(paths[0], exist_ok=True)
    elif verb == "-touchz":
        os.makedirs(os.path.dirname(paths[0]), exist_ok=True)
        open(paths[0], "w").close()
    elif verb == "-put":
        shutil.copyfile(rest[0], paths[1])
    elif verb == "-mv":
        if os.path.exists(paths[1]):
            sys.exit("mv: File exists")
        os.rename(*paths)
    elif verb == "-rm":
        if os.path.exists(paths[0]):
            os.unlink(paths[0])
    elif verb == "-getmerge":
        with open(rest[1], "wb") as out:
            for part in sorted(os.listdir(paths[0])):
                out.write(open(paths[0] + "/" + part, "rb").read())
    else:
        sys.exit("no stand-in for " + verb)

if name in ("beeline", "hive") and "-e" in words:
    print("Connected to: a stand-in", file=sys.stderr)  # as beeline does
    for word in words:
        if word == "-e":
            print("1 row selected (0.1 seconds)", file=sys.stderr)
elif name == "hdfs":
    hdfs(*words[1:])
elif name == "spark-submit":
    print("INFO yarn.Client: Submitted application application_1700000000000_0001", file=sys.stderr)
elif name == "yarn" and "-list" in words:
    print("Total number of applications (application-types: [], states: [] and tags: []):0")
"""


class Standins:
    """`bin` goes first on a PATH. `asked()` is what came, in order; what `fail` names in its words or texts fails."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.bin = self.folder / "bin"
        self.bin.mkdir(parents=True)
        (self.folder / "hdfs").mkdir()
        for name in ("beeline", "hive", "spark-submit", "hdfs", "yarn"):
            (self.bin / name).write_text(PROGRAM.format(python=sys.executable, folder=str(self.folder)), encoding="utf-8")
            (self.bin / name).chmod(0o755)

    def env(self):
        return {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}

    def asked(self, program=None):
        path = self.folder / "asked"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [each for each in found if program in (None, each["program"])]

    def fail(self, *texts):
        (self.folder / "fail").write_text("\n".join(texts), encoding="utf-8")
