#!/usr/bin/env python3
"""Fetch all vendored wheels anew, on a machine with a package index (Python 3.9 or newer, any pip).

    python3 vendor-wheels/renew.py            newest versions; rewrites wheels, locks, SHA256SUMS and README.md
    python3 vendor-wheels/renew.py --describe only SHA256SUMS and README.md, from the wheels that are here

What is wanted stands in pyproject.toml (dependencies, and the extra `test`). Each (Python, machine) pair is resolved
for itself by uv, which reads markers for the wanted interpreter and not for the one that runs; uv is fetched into a
scratch folder. Nothing of the machine's own pip settings is used except the address of its index (PIP_INDEX_URL).
Afterwards: ./tests/run tests/test_vendor_wheels.py, tests/install/all-pythons.sh, and commit the folder.
"""

import argparse
import collections
import email
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
ARCHES = ["x86_64", "aarch64"]
# 2_17 is RHEL 7's glibc; everything newer reads these wheels too. pip wants each older name spelled out.
PLATFORMS = ["manylinux_2_17", "manylinux2014", "manylinux_2_12", "manylinux2010", "manylinux_2_5", "manylinux1"]
TOOLS = ["pip", "flit_core>=3.11,<5"]  # one version each for all Pythons: they run out of their wheel
PURE_ONLY = ["hypothesis"]  # newer ones are compiled, 0.7 MB for each pair: tests do not need that
LIMIT_MB = 40

# distribution: (why, who imports it). The others are there because these need them; README.md says which.
REASONS = {
    "apscheduler": ("timers of the daemon", "runner/daemon"),
    "click": ("the command line: options, help, completion", "runner/cli"),
    "croniter": ("the times of a cron line", "runner/schedule"),
    "flask": ("the page: addresses to functions, the templates that are here anyway", "runner/web"),
    "inotify-simple": ("tells when a pipeline file changes", "runner/daemon"),
    "jinja2": ("templates, in a sandbox", "runner/template"),
    "jsonschema": ("the check of pipeline files against the schema", "runner/spec"),
    "pg8000": ("PostgreSQL for sql steps: no libpq, no compiler; psycopg needs libpq on the server, or 4 MB for each Python", "runner/clients"),
    "pymysql": ("MySQL and MariaDB for sql steps: 0.05 MB, no C library", "runner/clients"),
    "python-dateutil": ("relativedelta in templates; also for croniter", "runner/template"),
    "pyyaml": ("pipeline files; the compiled reader is 8 times faster", "runner/spec"),
    "rich": ("the live table of `runner run`", "runner/cli"),
    "tzdata": ("time zones where the system has none", "runner/cli"),
    "waitress": ("serves the page inside the daemon: pure Python, 0.06 MB; one loop, so slow clients cost no thread, and TLS fits into it (cheroot gives each a thread)", "runner/web"),
    "pip": ("installs the others, run out of its wheel: plain servers have no pip", "install.sh"),
    "flit-core": ("builds our own wheel from the checkout", "install.sh"),
    "pytest": ("runs the tests", "tests"),
    "pytest-timeout": ("ends a test that hangs", "tests/run"),
    "pytest-xdist": ("runs files of tests beside each other", "tests/run"),
    "hypothesis": ("tests by invented examples", "tests"),
    "cronsim": ("a second opinion on cron lines", "tests/unit/test_cron.py"),
    "aiosmtpd": ("a mail server to send to", "tests/clients"),
    "pyte": ("a terminal, to see what the live table shows", "tests/cli"),
}

HEAD = """# Vendored wheels

Written by `renew.py`; do not edit. `install.sh` installs runner from this folder alone: no network, no compiler.

* One mixed folder for CPython 3.9 to 3.14 on x86_64 and aarch64, glibc 2.17 (RHEL 7) or newer. pip picks what fits.
* `requirements.txt`: the exact versions, by Python, with hashes. `tests/requirements.txt`: what only tests need.
  `tools.txt`: pip and the build backend. `SHA256SUMS`: every wheel; check by `sha256sum -c SHA256SUMS`.
* `preflight.py`: the checks of `install.sh` before it touches anything.
* To renew all of it on a connected machine: `python3 vendor-wheels/renew.py`, then `./tests/run`, then commit.
"""


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def run(*command, **more):
    # the machine's own pip.conf and find-links would give something no other machine gets
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_FIND", "PIP_EXTRA", "UV_FIND", "UV_EXTRA"))}
    env["PIP_CONFIG_FILE"] = os.devnull
    done = subprocess.run([str(c) for c in command], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def wanted():
    """The direct dependencies in pyproject.toml: (runtime, test). No TOML reader: Python 3.9 has none."""
    text = (ROOT / "pyproject.toml").read_text()
    runtime = re.search(r"^dependencies = \[(.*?)^\]", text, re.S | re.M).group(1)
    test = re.search(r"^test = \[(.*?)\]", text, re.S | re.M).group(1)
    return re.findall(r'"([^"]+)"', runtime), re.findall(r'"([^"]+)"', test)


class Index:
    """What asks the package index: a scratch venv with uv and a new pip in it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        venv.create(self.folder / "venv", with_pip=True)
        self.python = self.folder / "venv/bin/python"
        run(self.python, "-m", "pip", "install", "--quiet", "--upgrade", "pip", "uv")

    def resolve(self, requirements, python, arch, constraints=()):
        """{name: version} of the closure for one (Python, machine)."""
        limits = self.folder / f"limits-{python}-{arch}.txt"
        limits.write_text("".join(line + "\n" for line in constraints))
        lines = run(
            self.folder / "venv/bin/uv", "pip", "compile", "-", "--quiet", "--only-binary", ":all:", "--python-version", python,
            "--python-platform", f"{arch}-manylinux_2_17", "--no-header", "--no-annotate", "--constraint", limits,
            *(["--index-url", os.environ["PIP_INDEX_URL"]] if os.environ.get("PIP_INDEX_URL") else []),
            input="\n".join(requirements),
        )
        return {normal(n): v for n, v in re.findall(r"^([\w.-]+)==(\S+)", lines, re.M)}

    def download(self, pins, python, arch, folder, pure=False):
        """The wheels of {name: version} (or of a requirement) for one (Python, machine) into `folder`."""
        tag = "cp" + python.replace(".", "")
        target = ["--implementation", "py", "--abi", "none", "--platform", "any"] if pure else [
            "--implementation", "cp", "--abi", tag, "--abi", "abi3", "--abi", "none",
            *(word for platform in PLATFORMS for word in ("--platform", f"{platform}_{arch}")),
        ]
        lines = [f"{n}=={v}" for n, v in pins.items()] if isinstance(pins, dict) else pins
        run(self.python, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", python,
            *target, "--dest", folder, *lines)

    def newest_pure(self, name, python):
        """The newest version of `name` that has a pure wheel for this Python."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            self.download([name], python, "any", folder, pure=True)
            return next(Path(folder).glob("*.whl")).name.split("-")[1]


def fetch(folder):
    """All wheels into folder/ and folder/tests/. Returns (runtime, tests, tools): {python: {name: version}}."""
    index = Index(folder / "scratch")
    runtime_wants, test_wants = wanted()
    pairs = [(python, arch) for python in PYTHONS for arch in ARCHES]

    def resolve(pair):
        python, arch = pair
        runtime = index.resolve(runtime_wants, python, arch)
        limits = [f"{n}=={v}" for n, v in runtime.items()] + [f"{n}=={index.newest_pure(n, python)}" for n in PURE_ONLY]
        tests = index.resolve(test_wants, python, arch, limits)
        return runtime, {n: v for n, v in tests.items() if n not in runtime}

    tools = index.resolve(TOOLS, PYTHONS[0], ARCHES[0])  # what the oldest Python can run, the newest can too
    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(pairs, pool.map(resolve, pairs)))
        for python in PYTHONS:
            first, second = (found[python, arch] for arch in ARCHES)
            assert first == second, f"Python {python} wants other versions on {ARCHES[1]}: {first} {second}"

        def download(pair):
            scratch = folder / f"wheels-{pair[0]}-{pair[1]}"
            runtime, tests = found[pair]
            index.download(runtime, *pair, scratch / "run")
            index.download(tests, *pair, scratch / "tests", pure=True)
            return scratch

        for scratch in pool.map(download, pairs):
            for wheel in (scratch / "run").glob("*.whl"):
                shutil.copy(wheel, folder / wheel.name)
            for wheel in (scratch / "tests").glob("*.whl"):
                shutil.copy(wheel, folder / "tests" / wheel.name)
    index.download(tools, PYTHONS[0], ARCHES[0], folder, pure=True)
    runtime = {python: found[python, ARCHES[0]][0] for python in PYTHONS}
    tests = {python: found[python, ARCHES[0]][1] for python in PYTHONS}
    return runtime, tests, {python: tools for python in PYTHONS}


def marker(pythons):
    """The environment marker for a run of neighbouring Pythons."""
    first, last = PYTHONS.index(pythons[0]), PYTHONS.index(pythons[-1])
    assert pythons == PYTHONS[first : last + 1], pythons
    if first == last:
        return f'python_version == "{pythons[0]}"'
    lower = f'python_version >= "{pythons[0]}"' if first else ""
    upper = f'python_version <= "{pythons[-1]}"' if last < len(PYTHONS) - 1 else ""
    return " and ".join(filter(None, [lower, upper]))


def lock(pins, folder, headline):
    """The text of a requirements file with hashes for {python: {name: version}} and the wheels in folder."""
    who = collections.defaultdict(list)
    for python in PYTHONS:
        for name, version in pins[python].items():
            who[name, version].append(python)
    text = f"# {headline}\n# Written by vendor-wheels/renew.py; do not edit.\n"
    for (name, version), pythons in sorted(who.items()):
        hashes = sorted(digest(w) for w in folder.glob("*.whl") if parts(w)[:2] == (name, version))
        assert hashes, (name, version)
        limit = marker(pythons)
        text += f"{name}=={version}" + (f" ; {limit}" if limit else "")
        text += "".join(f" \\\n    --hash=sha256:{h}" for h in hashes) + "\n"
    return text


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def parts(wheel):
    """(name, version, python tag, abi tag, platform tag) of a wheel's file name."""
    name, version, *tags = wheel.name[:-4].split("-")
    return (normal(name), version, *tags[-3:])


def metadata(wheel):
    with zipfile.ZipFile(wheel) as box:
        name = next(n for n in box.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n))
        return email.message_from_bytes(box.read(name))


def licence(meta):
    """A short name: the SPDX expression where there is one."""
    if meta["License-Expression"]:
        return meta["License-Expression"]
    trove = [c.split(" :: ")[-1] for c in meta.get_all("Classifier", []) if c.startswith("License :: ")]
    text = (meta["License"] or "").strip().splitlines()
    return text[0] if text and len(text[0]) < 40 else " or ".join(trove).replace(" License", "") or "see the wheel"


def sums():
    return "".join(f"{digest(w)}  {w.relative_to(HERE)}\n" for w in wheels())


def wheels():
    return sorted(HERE.glob("*.whl")) + sorted((HERE / "tests").glob("*.whl"))


def describe():
    """README.md: what is here and why."""
    rows = collections.defaultdict(lambda: {"versions": set(), "pure": set(), "bytes": 0})
    needed_by = collections.defaultdict(set)
    for wheel in wheels():
        name, version, *_, platform = parts(wheel)
        row, meta = rows[wheel.parent.name == "tests", name], metadata(wheel)
        row["versions"].add(version)
        row["pure"].add(platform == "any")
        row["bytes"] += wheel.stat().st_size
        row["licence"] = licence(meta)
        for line in meta.get_all("Requires-Dist", []):
            if "extra ==" not in line and "extra==" not in line:
                needed_by[normal(re.match(r"[\w.-]+", line).group())].add(name)
    total = sum(w.stat().st_size for w in wheels()) / 1e6
    text = HEAD + f"\n{len(wheels())} wheels, {total:.1f} MB; the limit is {LIMIT_MB} MB.\n"
    for tests, title in ((False, "What runner needs"), (True, "tests/: what only its tests need")):
        text += f"\n## {title}\n\n| package | versions | reason | licence | imported by | kind | MB |\n| --- | --- | --- | --- | --- | --- | --- |\n"
        for (section, name), row in sorted(rows.items()):
            if section != tests:
                continue
            parents = ", ".join(sorted(p for p in needed_by[name] if p != name and p in {n for _, n in rows}))
            reason, importer = REASONS.get(name, (f"needed by {parents}", parents))
            versions = ", ".join(sorted(row["versions"], key=lambda v: [int(x) for x in re.findall(r"\d+", v)]))
            kind = "pure" if row["pure"] == {True} else "compiled"
            text += f"| {name} | {versions} | {reason} | {row['licence']} | {importer} | {kind} | {row['bytes'] / 1e6:.2f} |\n"
    return text


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--describe", action="store_true")
    if not options.parse_args().describe:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / "scratch").mkdir()
            (folder / "tests").mkdir()
            runtime, tests, tools = fetch(folder)
            locks = {
                "requirements.txt": lock(runtime, folder, "What runner needs, for pip --require-hashes."),
                "tools.txt": lock(tools, folder, "pip and the build backend: install.sh runs them out of their wheels."),
                "tests/requirements.txt": lock(tests, folder / "tests", "What tests need besides ../requirements.txt."),
            }
            for wheel in wheels():
                wheel.unlink()
            for wheel in list(folder.glob("*.whl")) + list((folder / "tests").glob("*.whl")):
                shutil.copyfile(wheel, HERE / wheel.relative_to(folder))
            for name, text in locks.items():
                (HERE / name).write_text(text)
    (HERE / "SHA256SUMS").write_text(sums())
    (HERE / "README.md").write_text(describe())
    total = sum(w.stat().st_size for w in wheels()) / 1e6
    print(f"{len(wheels())} wheels, {total:.1f} MB")
    if total >= LIMIT_MB:
        sys.exit(f"that is not below {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
