"""Every shell script of the machine that runs the tests is rendered: none may change, none may be refused."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta, timezone

import pytest

from runner import model, template

FOLDERS = ("/usr/bin", "/usr/sbin", "/etc", "/usr/lib", "/usr/share")
LIMIT = 1500  # scripts
PATIENCE = 20.0  # seconds of processor time: a slow disk ends the walk early, never the test
SHELLS = (b"sh", b"bash", b"dash", b"ksh")


def shell_scripts():
    """Texts of files that a shell runs, by their first line or their name."""
    found, stop_at = 0, time.process_time() + PATIENCE
    for top in FOLDERS:
        for folder, folders, files in os.walk(top):
            folders.sort()
            for name in sorted(files):
                if found >= LIMIT or time.process_time() > stop_at:
                    return
                text = _text(os.path.join(folder, name), name)
                if text is not None:
                    found += 1
                    yield os.path.join(folder, name), text


def _text(path, name):
    if "." in name and not name.endswith((".sh", ".bash", ".postinst", ".init")):
        return None
    try:
        if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > 1_000_000:
            return None
        with open(path, "rb") as file:
            first = file.readline(200)
            if not name.endswith((".sh", ".bash")):
                words = first[2:].split() if first.startswith(b"#!") else []
                if not any(os.path.basename(word) in SHELLS for word in words[:2]):
                    return None
            return (first + file.read()).decode("utf-8", "surrogateescape")
    except OSError:
        return None


def test_shell_scripts_of_this_machine_are_left_alone():
    due = datetime(2024, 1, 31, tzinfo=timezone.utc)
    date = model.LogicalDate(due, due, due - timedelta(days=1), due, "UTC")
    run = model.Run(1, "p@2024-01-31", "p", 0, "", date, "manual", {}, "running", "", due, due, None, None, None)
    context = template.context(run, step="s", try_number=1, outputs={})
    seen, openers = 0, 0
    for path, text in shell_scripts():
        if "\0" in text:
            continue
        seen += 1
        openers += "<<" in text
        assert [fault for fault in template.find_faults(text, params=(), upstream=None) if fault.severity == "error"] == [], path
        assert template.render(text, context) == text, path
    if seen < 50:
        pytest.skip(f"only {seen} shell scripts on this machine")
    assert openers  # else nothing was tried


def python_files():
    """(path, text) of this machine's Python files, the first of them."""
    found, stop_at = 0, time.process_time() + PATIENCE
    for top in ("/usr/lib/python3", os.path.dirname(os.__file__)):
        for folder, folders, files in os.walk(top):
            folders.sort()
            for name in sorted(files):
                if found >= LIMIT or time.process_time() > stop_at:
                    return
                path = os.path.join(folder, name)
                try:
                    with open(path, encoding="utf-8") as file:
                        text = file.read(1_000_000) if name.endswith(".py") else ""
                except (OSError, UnicodeDecodeError):
                    continue
                if text and "\0" not in text:
                    found += 1
                    yield path, text


def test_python_files_of_this_machine_are_left_alone():
    """Nearly all: `b, q = 1 << shift, x >> shift` does look like a tag, and is refused aloud."""
    seen, harmed = 0, []
    for path, text in python_files():
        seen += 1
        if any(fault.severity == "error" for fault in template.find_faults(text)):
            harmed.append(path)
        else:
            assert template.render(text, {}) == text, path
    if seen < 500:
        pytest.skip(f"only {seen} Python files on this machine")
    assert len(harmed) <= seen * 0.001, harmed
