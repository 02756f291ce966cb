"""The picture in docs/architecture.md is held to the code: imports go down, no circles, one place reads the clock."""

from __future__ import annotations

import ast
import os

import pytest

ROOT = os.path.join(os.path.dirname(__file__), "..", "runner")
# Which layer a module belongs to: the longest prefix counts.
LAYERS = {
    "errors": 0, "clock": 0, "config": 0, "faults": 0, "final": 0, "mounts": 0, "durations": 0, "sqltext": 0, "actor": 0, "passwords": 0, "shown": 0, "yesno": 0, "__init__": 0, "model": 1,
    "spec": 2, "steps": 2, "schedule": 2, "template": 2, "planning": 2, "params": 2,
    "store": 3, "executors": 3, "ownership": 3, "daemonlock": 3, "logtail": 3,
    "site": 1, "clients": 3, "attendant": 3,
    "engine": 4, "definitions": 4, "workorder": 4, "sitevalues": 4, "acts": 4, "accounts": 4, "retention": 4, "alerts": 4, "waits": 4, "standing": 4, "facts": 4, "daemon": 5, "web": 5, "cli": 6, "__main__": 6,
}
INSIDE_TWO = {"spec": {"steps", "schedule", "template", "params"}, "steps": set(), "planning": set(), "params": set(), "schedule": set(), "template": set()}


def modules():
    for folder, _, files in os.walk(ROOT):
        for file in files:
            if file.endswith(".py"):
                path = os.path.join(folder, file)
                yield os.path.relpath(path, ROOT)[:-3].replace(os.sep, ".").replace(".__init__", ""), path


def room(name):
    """spec.check -> spec; a module at the top is its own room."""
    return name.split(".")[0]


def imports(path):
    """Names of our modules that a file imports, at any depth of the code."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "runner":
            base = node.module.partition(".")[2]
            for alias in node.names:
                full = f"{base}.{alias.name}" if base else alias.name
                yield full if full in NAMES else (base or "__init__")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "runner":
                    yield alias.name.partition(".")[2] or "__init__"


MODULES = dict(modules())
NAMES = set(MODULES) | {name.rpartition(".")[0] for name in MODULES if "." in name}


def test_every_module_has_a_layer():
    assert {room(name) for name in MODULES} - set(LAYERS) == set()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_down_only(name):
    for target in imports(MODULES[name]):
        if room(target) == room(name):
            continue
        here, there = LAYERS[room(name)], LAYERS[room(target)]
        assert there <= here, f"{name} (layer {here}) imports {target} (layer {there})"
        if here == there == 2:
            assert room(target) in INSIDE_TWO[room(name)], f"{name} imports {target}"
        if here == there == 3:
            pytest.fail(f"{name} imports {target}: store, executors and their like do not know each other")


def test_no_circles():
    graph = {name: {t for t in imports(path) if t in MODULES and t != name} for name, path in MODULES.items()}
    done, path = set(), []

    def visit(name):
        if name in path:
            pytest.fail("circle: " + " -> ".join(path[path.index(name):] + [name]))
        if name in done:
            return
        path.append(name)
        for target in sorted(graph[name]):
            visit(target)
        path.pop()
        done.add(name)

    for name in sorted(graph):
        visit(name)


def test_only_one_module_reads_the_clock():
    for name, path in MODULES.items():
        if name == "clock":
            continue
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner, call = ast.unparse(node.func.value), node.func.attr
                assert not (owner in ("time", "_time") and call in ("time", "monotonic", "sleep", "perf_counter", "localtime", "gmtime")), (name, node.lineno)
                assert not (call in ("now", "today", "utcnow") and owner in ("datetime", "date", "datetime.datetime", "datetime.date")), (name, node.lineno)
