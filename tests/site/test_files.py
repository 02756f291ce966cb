"""The files of a site: only their owner reads them, one entry changes and the rest stays."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import site
from runner.errors import EnvironmentFault, NotFound
from runner.site import connections, files, secrets

ODD = ["x", "0755", "no", "", " a ", "it's \"q\" \\ #x", "two\nlines\n", "한글 😀", "\x7f\x85\u2028\ufeff", "<< secret.x >>", "- [{:", "***"]


@pytest.fixture
def home(tmp_path):
    def write(name, text, mode=0o600):
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(mode)

    write.path = str(tmp_path)
    return write


@pytest.mark.parametrize("value", ODD)
def test_a_value_comes_back_as_it_was_set(home, value):
    files.write(home.path, "variables.yaml", "a", value)
    files.write(home.path, "variables.yaml", "b", "other")
    assert files.read(home.path, "variables.yaml") == {"a": value, "b": "other"}
    assert os.stat(os.path.join(home.path, "variables.yaml")).st_mode & 0o777 == 0o600


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=50))
def test_any_text_comes_back(tmp_path_factory, value):
    folder = str(tmp_path_factory.mktemp("home"))
    files.write(folder, "variables.yaml", "a", value)
    assert files.read(folder, "variables.yaml") == {"a": value}


WRITTEN = """\
# the head
first: 1   # its remark
block: |
  several
  lines

deep:
  x: [1, 2]
  y: z
last: {a: b}"""


@pytest.mark.parametrize("name", ["first", "block", "deep", "last", "new"])
def test_the_rest_of_the_file_stays(home, name):
    home("variables.yaml", WRITTEN)
    before = files.read(home.path, "variables.yaml")
    files.write(home.path, "variables.yaml", name, "changed")
    assert files.read(home.path, "variables.yaml") == {**before, name: "changed"}
    with open(os.path.join(home.path, "variables.yaml"), encoding="utf-8") as file:
        text = file.read()
    kept = [line for line in WRITTEN.splitlines() if not line.startswith(name) and (line[:1] != " " or name not in ("block", "deep"))]
    assert [line for line in kept if line and line not in text] == []
    files.write(home.path, "variables.yaml", name, None)
    assert files.read(home.path, "variables.yaml") == {key: value for key, value in before.items() if key != name}


def test_entries_on_one_line(home):
    home("variables.yaml", "{a: 1, b: 2}\n")
    files.write(home.path, "variables.yaml", "a", "x")
    assert files.read(home.path, "variables.yaml") == {"a": "x", "b": "2"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_may_use_is_refused_with_what_to_type(home, mode):
    home("secrets.yaml", "a: b\n", mode)
    for act in (lambda: files.read(home.path, "secrets.yaml"), lambda: files.write(home.path, "secrets.yaml", "a", "c")):
        with pytest.raises(EnvironmentFault) as caught:
            act()
        assert caught.value.hint == f"type: chmod 600 {home.path}/secrets.yaml"


@pytest.mark.parametrize("text", ["a: [b", "- a\n", "just text\n", "a: b\n c: d\n"])
def test_a_fault_in_the_file_is_told_without_its_text(home, text):
    home("secrets.yaml", text.replace("b", "canary"))
    with pytest.raises(EnvironmentFault) as caught:
        files.read(home.path, "secrets.yaml")
    assert "secrets.yaml" in caught.value.message and "canary" not in caught.value.message + caught.value.hint


# --------------------------------------------------------------------------------------------------- what is made of them


def test_marks_are_filled_however_deep_and_once(home):
    home("secrets.yaml", "a: '<< secret.b >>'\nb: two\n")
    value = {"x": ["<< secret.a >>", {"y": "u:<<  secret.b >>@h << ds >>"}], "n": 3}
    assert secrets.fill(value, home.path, {}) == {"x": ["<< secret.b >>", {"y": "u:two@h << ds >>"}], "n": 3}


def test_an_unknown_secret_is_told_with_the_known_ones(home):
    home("secrets.yaml", "a: canary\n")
    with pytest.raises(NotFound) as caught:
        secrets.get("b", home.path, {"RUNNER_TIMEZONE": "UTC"})
    assert "runner secrets set b" in caught.value.hint and "known: a" in caught.value.hint and "canary" not in str(caught.value)


def test_a_connection_shows_what_is_no_secret(home):
    home("secrets.yaml", "pw: x\n")
    home("connections.yaml", "dw: {type: postgres, host: h, password: p, dsn: 'u:<< secret.pw >>@h', api_key: k, key_file: /k, token: t, user: u}\n")
    assert connections.shown(home.path) == {"dw": {
        "type": "postgres", "host": "h", "password": "***", "dsn": "***", "api_key": "***", "key_file": "/k", "token": "***", "user": "u"}}
    assert connections.get("dw", home.path, {})["dsn"] == "u:x@h"
    assert set(connections.hidden_values("dw", home.path, {})) == {"p", "u:x@h", "k", "t", "x"}


def test_what_a_check_knows_changes_with_the_files(home):
    home("variables.yaml", "a: 1\n")
    first = site.changed_at(home.path)
    assert site.known(home.path).variables == {"a": "1"} and site.known(home.path, "getter").secrets is None
    files.write(home.path, "variables.yaml", "b", "2")
    assert site.changed_at(home.path) != first
