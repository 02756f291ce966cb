"""vendor-wheels/ is one thing said in five places: wheels, locks, sums, table, pyproject.toml. They must agree."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ROOT / "vendor-wheels"
PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
ARCHES = ["x86_64", "aarch64"]
LOCKS = {"requirements.txt": WHEELS, "tools.txt": WHEELS, "tests/requirements.txt": WHEELS / "tests"}
OLDEST_GLIBC = 17  # 2.17, RHEL 7
IMPORT_NAMES = {"apscheduler": "apscheduler", "pyyaml": "yaml", "python-dateutil": "dateutil"}  # where not the name itself


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def wheel_parts(path):
    """(name, version, python tags, abi tag, platform tags)."""
    name, version, *_, python, abi, platform = path.name[:-4].split("-")
    return normal(name), version, python.split("."), abi, platform.split(".")


def all_wheels():
    return sorted(WHEELS.glob("*.whl")) + sorted((WHEELS / "tests").glob("*.whl"))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_lock(name):
    """[(name, version, marker, {hashes})]"""
    text = re.sub(r"\\\n\s*", "", (WHEELS / name).read_text(encoding="utf-8"))
    pins = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            found = re.fullmatch(r"(\S+)==(\S+)(?: ; ([^-]*?))?((?: ?--hash=sha256:[0-9a-f]{64})+)", line.strip())
            assert found, f"{name}: not a pin with hashes: {line}"
            pins.append((normal(found[1]), found[2], (found[3] or "").strip(), set(re.findall(r"sha256:([0-9a-f]{64})", line))))
    return pins


def holds(marker, python):
    """Is a marker of ours (comparisons of python_version, joined by `and`) true for a Python?"""
    number = lambda text: tuple(map(int, text.split(".")))  # noqa: E731
    operators = {"==": lambda a, b: a == b, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b}
    for part in filter(None, marker.split(" and ")):
        found = re.fullmatch(r'python_version (==|<=|>=) "(3\.\d+)"', part.strip())
        assert found, f"a marker the test cannot read: {marker}"
        if not operators[found[1]](number(python), number(found[2])):
            return False
    return True


def fits(wheel, python, arch):
    _, _, pythons, abi, platforms = wheel_parts(wheel)
    tag = "cp" + python.replace(".", "")
    if platforms == ["any"]:
        return abi == "none" and "py3" in pythons
    return pythons == [tag] and abi == tag and all(p.endswith("_" + arch) for p in platforms)


def table():
    """{(in tests, name): (versions, reason, licence, importer, kind)} of README.md."""
    rows, tests = {}, False
    for line in (WHEELS / "README.md").read_text(encoding="utf-8").splitlines():
        tests = tests or line.startswith("## tests/")
        cells = [c.strip() for c in line.strip("|").split("|")] if line.startswith("| ") else []
        if len(cells) == 7 and cells[0] not in ("package", "---"):
            rows[tests, cells[0]] = (set(cells[1].split(", ")), *cells[2:6])
    return rows


def pyproject_names():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = [re.search(r"^dependencies = \[(.*?)^\]", text, re.S | re.M)[1], re.search(r"^test = \[(.*?)\]", text, re.S | re.M)[1]]
    return [{normal(re.match(r"[\w.-]+", wish).group()) for wish in re.findall(r'"([^"]+)"', part)} for part in lists]


def test_sums_are_those_of_the_folder():
    said = dict(reversed(line.split("  ", 1)) for line in (WHEELS / "SHA256SUMS").read_text().splitlines())
    assert said == {str(w.relative_to(WHEELS)): digest(w) for w in all_wheels()}


def test_the_whole_is_small():
    assert sum(w.stat().st_size for w in all_wheels()) < 40e6


@pytest.mark.parametrize("name", LOCKS)
def test_lock_and_folder_agree(name):
    pinned = {(n, v): hashes for n, v, _, hashes in read_lock(name)}
    here = {}
    for wheel in LOCKS[name].glob("*.whl"):
        here.setdefault(wheel_parts(wheel)[:2], set()).add(digest(wheel))
    if LOCKS[name] == WHEELS:  # two locks share this folder
        others = {(n, v) for lock, folder in LOCKS.items() if folder == WHEELS and lock != name for n, v, *_ in read_lock(lock)}
        here = {key: value for key, value in here.items() if key not in others}
    assert pinned == here


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("python", PYTHONS)
def test_each_pin_has_one_wheel(python, arch):
    for name, folder in LOCKS.items():
        chosen = [(n, v) for n, v, marker, _ in read_lock(name) if holds(marker, python)]
        assert len({n for n, _ in chosen}) == len(chosen), f"{name} pins a package twice for Python {python}"
        for pin in chosen:
            found = [w.name for w in folder.glob("*.whl") if wheel_parts(w)[:2] == pin and fits(w, python, arch)]
            assert len(found) == 1, f"{pin} for Python {python} on {arch}: {found}"


def test_tags_are_allowed():
    for wheel in all_wheels():
        *_, abi, platforms = wheel_parts(wheel)
        if platforms == ["any"]:
            assert abi == "none", wheel.name
            continue
        glibc = []
        for platform in platforms:
            found = re.fullmatch(r"manylinux(?:_2_(\d+)|(2014)|(2010)|(1))_(?:x86_64|aarch64)", platform)
            assert found, f"{wheel.name}: {platform}"
            glibc.append(int(found[1] or (found[2] and 17) or (found[3] and 12) or 5))
        assert min(glibc) <= OLDEST_GLIBC, f"{wheel.name} needs glibc 2.{min(glibc)}"  # 2_28 beside 2_17 promises both


def test_table_and_folder_agree():
    here = {}
    for wheel in all_wheels():
        name, version, *_, platforms = wheel_parts(wheel)
        versions, kinds = here.setdefault((wheel.parent.name == "tests", name), (set(), set()))
        versions.add(version)
        kinds.add("pure" if platforms == ["any"] else "compiled")
    said = table()
    assert {key: (row[0], {row[4]}) for key, row in said.items()} == here
    for key, row in said.items():
        assert all(row[1:4]), f"{key}: an empty cell"


def test_importers_in_the_table_are_true():
    names = {name for _, name in table()}
    for (_, name), (*_, importer, _) in table().items():
        for one in importer.split(", "):
            if normal(one) in names or one == "runner/daemon (to come)":
                continue
            place = ROOT / one
            assert place.exists(), f"{name}: imported by {one}, which is not there"
            module = IMPORT_NAMES.get(name, name.replace("-", "_"))
            files = place.rglob("*.py") if place.is_dir() else [place]
            assert any(re.search(rf"\b{module}\b|--timeout", file.read_text(encoding="utf-8")) for file in files), f"{name} is not used in {one}"


def test_pyproject_and_locks_agree():
    runtime, tests = pyproject_names()
    locked = {n for n, *_ in read_lock("requirements.txt")}
    assert runtime <= locked
    assert tests <= {n for n, *_ in read_lock("tests/requirements.txt")} | locked
    assert {n for n, *_ in read_lock("tools.txt")} == {"pip", "flit-core"}
    for python in PYTHONS:
        assert runtime <= {n for n, _, marker, _ in read_lock("requirements.txt") if holds(marker, python)}


def test_what_runner_imports_is_wanted():
    allowed = {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in pyproject_names()[0]} | {"runner", "__future__"}
    standard = getattr(sys, "stdlib_module_names", None)
    if standard is None:
        pytest.skip("needs Python 3.10 or newer, which knows the names of its own modules")
    for file in (ROOT / "runner").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                top = name.split(".")[0]
                assert top in allowed or top in standard, f"{file}: {top} is not in pyproject.toml"


def test_texts_name_no_index_and_no_place_of_this_machine():
    files = [p for p in WHEELS.rglob("*") if p.suffix in (".txt", ".md", ".py")] + [ROOT / "install.sh", ROOT / "pyproject.toml"]
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"pypi|pythonhosted|/work/", text), file


def test_describe_writes_what_is_there(tmp_path):
    """renew.py --describe, on a copy, changes nothing: README.md and SHA256SUMS are its own words."""
    copy = tmp_path / "vendor-wheels"
    (copy / "tests").mkdir(parents=True)
    for wheel in all_wheels():
        (copy / wheel.relative_to(WHEELS)).symlink_to(wheel)
    (copy / "renew.py").write_text((WHEELS / "renew.py").read_text(encoding="utf-8"), encoding="utf-8")
    subprocess.run([sys.executable, str(copy / "renew.py"), "--describe"], check=True, stdout=subprocess.PIPE)
    for name in ("README.md", "SHA256SUMS"):
        assert (copy / name).read_text(encoding="utf-8") == (WHEELS / name).read_text(encoding="utf-8")
