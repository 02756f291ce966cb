"""YAML as users write it (semantics D28): values, places, faults in our words, and files that mean harm."""

from __future__ import annotations

import copy
import math
import os
import pickle
import subprocess
import sys

import pytest
import yaml

from runner.model import Mark
from runner.spec import nodes
from runner.spec.nodes import FloatText, load

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


@pytest.fixture(params=["c", "python"], autouse=True)
def parser(request, monkeypatch):
    """Every test runs with both parsers of PyYAML."""
    if request.param == "c" and not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML was built without libyaml")
    if request.param == "python":
        methods = {name: vars(nodes._Loader)[name] for name in ("resolve", "descend_resolver", "ascend_resolver")}
        monkeypatch.setattr(nodes, "_Loader", type("_Loader", (yaml.SafeLoader,), methods))
    return request.param


def data(text):
    loaded = load(text, "a.yaml")
    assert [problem for problem in loaded.problems if problem.severity == "error"] == []
    return loaded.data


def only(text):
    """The one fault of a text."""
    loaded = load(text, "a.yaml")
    assert len(loaded.problems) == 1, loaded.problems
    return loaded.problems[0]


def fault(text):
    problem = only(text)
    assert problem.severity == "error"
    return problem


# ------------------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    "text, value",
    [
        ("a: no", "no"), ("a: yes", "yes"), ("a: On", "On"), ("e: off", "off"), ("a: y", "y"),
        ("a: true", True), ("a: True", True), ("a: TRUE", True), ("a: false", False), ("a: False", False), ("a: FALSE", False),
        ("a: tRUE", "tRUE"), ("a: 'true'", "true"), ('a: "1"', "1"),
        ("a: null", None), ("a: Null", None), ("a: NULL", None), ("a: ~", None), ("a:", None), ("a: ''", ""),
        ("a: 12:30:00", "12:30:00"), ("a: 1:30", "1:30"), ("a: 22:22", "22:22"), ("a: 08:30", "08:30"),
        ("a: 2024-01-31", "2024-01-31"), ("a: 2024-01-31 10:00:00", "2024-01-31 10:00:00"),
        ("a: 0755", "0755"), ("a: 010", "010"), ("a: 00123", "00123"), ("a: 08", "08"), ("a: 1_000", "1_000"), ("a: 0x1F", "0x1F"),
        ("a: 0", 0), ("a: 10", 10), ("a: -3", -3), ("a: +3", 3), ("a: 123456789012345678901234567890", 123456789012345678901234567890),
        ("a: 3.10", 3.1), ("a: 1e3", 1000.0), ("a: 12e3", 12000.0), ("a: .5", 0.5), ("a: -1.5e-3", -0.0015), ("a: .inf", math.inf),
        ("a: 08.10", "08.10"), ("a: 1.2.3", "1.2.3"), ("a: .", "."), ("a: '-'", "-"), ("a: 1-5", "1-5"),
        ("a: << ds >>", "<< ds >>"), ("a: <<", "<<"), ("a: =", "="), ("a: {b: << ds >>}", {"b": "<< ds >>"}), ("a: [<< ds >>]", ["<< ds >>"]),
        ("a: [<< ds_add(ds, -1) >>, b]", ["<< ds_add(ds", "-1) >>", "b"]), ("a: |\n  << ds >>\n", "<< ds >>\n"),
        ("a: !!str 1", "1"), ("a: !!int '3'", 3), ("a: !!float '1.5'", 1.5), ("a: !!bool 'true'", True), ("a: !!null ''", None),
        ("a: !!map {b: 1}", {"b": 1}), ("a: !!seq [1]", [1]),
        ("a: echo #b", "echo"), ("a: 이름", "이름"), ("a: 😀", "😀"),
    ],
)
def test_values(text, value):
    found = list(data(text).values())[0]
    assert found == value and isinstance(found, type(value))


def test_keys_that_yaml_1_1_changes_stay_text():
    assert data("on: x\nno: y\n12:30: z\n2024-01-31: d\n<< ds >>: t\n'1': q\n") == {
        "on": "x", "no": "y", "12:30": "z", "2024-01-31": "d", "<< ds >>": "t", "1": "q",
    }


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n"])
def test_an_empty_file_is_none(text):
    assert data(text) is None


@pytest.mark.parametrize("raw", [b"\xef\xbb\xbfa: 1\n", "\ufeffa: 1\n", b"a: 1\r\n", "a: 1\r\n", b"a: 1"])
def test_marks_of_editors_do_not_matter(raw):
    assert data(raw) == {"a": 1}


def test_text_is_what_was_decoded():
    assert load("\ufeff이름: 1\r\n".encode(), "a").text == "이름: 1\r\n"


def test_a_float_keeps_its_text():
    value = data("a: 3.10")["a"]
    assert isinstance(value, FloatText) and str(value) == value.text == "3.10" and f"{value}" == "3.10"
    assert copy.deepcopy(value).text == pickle.loads(pickle.dumps(value)).text == "3.10"
    assert value + 1 == 4.1


@pytest.mark.parametrize("word, say", [("yes", "true"), ("no", "false"), ("On", "true"), ("OFF", "false")])
def test_words_of_yaml_1_1_are_warned_of(word, say):
    problem = only(f"a:\n  b: {word}\n")
    assert problem.severity == "warning" and (problem.line, problem.column, problem.where) == (2, 6, "a.b")
    assert problem.message == f"{word} is text here, not {say}" and problem.source == f"  b: {word}"


def test_numbers_of_base_60_are_warned_of():
    assert only("a: 12:30").message == "12:30 is text here, not a number of base 60"
    assert load("a: '12:30'\nb: 08:30\nc: 'no'\nd: !!str no\n12:30: x\non: y\n", "a").problems == []


def test_a_number_too_long():
    assert "1000 digits" in fault("a: " + "9" * 5000).message


# -------------------------------------------------------------------------------------------------- aliases and merges


def test_merge():
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 5, z: 6}\na:\n  y: 3\n  <<: *b\nc:\n  <<: [*o, *b]\n  x: 9\n"
    loaded = data(text)
    assert loaded["a"] == {"x": 1, "y": 3} and loaded["c"] == {"x": 9, "y": 5, "z": 6}


def test_a_quoted_merge_key_is_a_key():
    assert data("'<<': 1") == {"<<": 1}


def test_a_merge_of_something_else():
    assert fault("a: &a 1\nb:\n  <<: *a\n").message == "<< merges a mapping or a list of mappings"


def test_aliases_give_values_of_their_own():
    loaded = data("a: &a [1]\nb: *a\n")
    assert loaded["b"] == [1] and loaded["a"] is not loaded["b"]


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: &a {b: *a}\n", "&a a: &b\n  c: [*b]\n"])
def test_cycles(text):
    loaded = load(text, "a")
    assert loaded.data is None and "an alias" in loaded.problems[0].message


def test_a_merge_into_itself():
    loaded = load("a: &a\n  <<: *a\n  b: 1\n", "a")
    assert loaded.data is None and "merged (<<) into itself" in loaded.problems[0].message


def test_an_alias_bomb():
    text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
    loaded = load(text, "a")
    assert loaded.data is None and "more than 200,000 values" in loaded.problems[0].message


def test_a_merge_bomb_is_merged_once(monkeypatch):
    """PyYAML takes 12.9 s for it; here every mapping is merged once, counted in nodes."""
    spent = []
    spend = nodes._Builder.spend
    monkeypatch.setattr(nodes._Builder, "spend", lambda self, node, path, count: (spent.append(count), spend(self, node, path, count)))
    text = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i}\n  <<: [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    assert data(text)["a8"] == {"k": 1}
    assert sum(spent) < 500


def test_a_wide_merge_bomb_is_stopped(monkeypatch):
    monkeypatch.setattr(nodes, "MAX_NODES", 2000)
    text = "a: &a {" + ", ".join(f"k{i}: 1" for i in range(100)) + "}\nb:\n  <<: [" + ", ".join(["*a"] * 100) + "]\n"
    loaded = load(text, "a")
    assert loaded.data is None and loaded.problems[0].where == "b"


def test_as_many_nodes_as_allowed(monkeypatch):
    monkeypatch.setattr(nodes, "MAX_NODES", 10)
    assert data("a: [1, 2, 3, 4, 5, 6]")  # 1 mapping, 1 key, 1 list, 6 items
    assert "more than 10 values" in fault("a: [1, 2, 3, 4, 5, 6, 7, 8]").message


# -------------------------------------------------------------------------------------------------------------- keys


def test_a_key_twice_names_both_lines():
    loaded = load("a: 1\nb: 2\n'a': 3\n", "a.yaml")
    (problem,) = loaded.problems
    assert problem.message == "the key 'a' stands twice: on line 1 and on line 3" and (problem.line, problem.column) == (3, 1)
    assert loaded.data == {"a": 1, "b": 2}


def test_all_faults_of_keys_are_told_at_once():
    assert [p.line for p in load("a: 1\na: 2\n1: x\nb: {c: 1, c: 2}\n", "a").problems] == [2, 3, 4]


@pytest.mark.parametrize(
    "text, message, hint",
    [
        ("1: a", "the key 1 is a number, not text", 'quote it: "1":'),
        ("3.10: a", "the key 3.10 is a number, not text", 'quote it: "3.10":'),
        ("true: a", "the key true is a boolean, not text", 'quote it: "true":'),
        ("~: a", "the key ~ is null, not text", 'quote it: "~":'),
        (": a", "a key is missing before ':'", "write the key"),
        ("? [a]\n: b", "a key must be text, not a list or a mapping", "quote the key"),
        ("a: {{ ds }}", "{{ ... }} is a mapping for YAML, not text", "<< ... >>"),
        ("a:\n\xa0 b: 1", "the key '\\xa0 b' holds a no-break space (U+00A0)", "ordinary space"),
        ("a\u3000b: 1", "the key 'a\\u3000b' holds a full-width space (U+3000)", "ordinary space"),
        ("a\uff1ab: 1", "the key 'a\uff1ab' holds a full-width colon (U+FF1A)", "ordinary colon"),
        ("a: 1\n\"\\uFEFFb\": 1", "the key '\\ufeffb' holds a byte order mark (U+FEFF)", "remove it"),
    ],
)
def test_faults_of_keys(text, message, hint):
    problem = fault(text)
    assert problem.message == message and hint in problem.hint


@pytest.mark.parametrize("text", ["a: !x 1", "a: !!python/object/apply:os.system [x]", "a: !!timestamp 2024-01-01", "a: !!binary aGk=", "a: !!set {b}", "!x a: 1"])
def test_tags_are_refused(text):
    problem = load(text, "a").problems[0]
    assert problem.severity == "error" and "the tag !" in problem.message and "not allowed" in problem.message


def test_a_tag_that_does_not_fit():
    assert fault("a: !!int x").message == "'x' is not what its tag !!int says"


# ------------------------------------------------------------------------------------------------------------- bytes


def test_cp949():
    problem = fault("a: 1\nb: 2\n이름: 값\n".encode("cp949"))
    assert problem.message == "line 3 is not UTF-8; it looks like CP949 (EUC-KR)"
    assert problem.hint.startswith("iconv -f cp949 -t utf-8 a.yaml") and problem.source == "이름: 값" and (problem.line, problem.column) == (3, 1)


def test_bytes_of_no_encoding():
    problem = fault(b"a: 1\nb: \xff\xff\n")
    assert problem.message == "line 2 is not UTF-8 (byte 0xff)" and (problem.line, problem.column) == (2, 4)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16(encoding):
    problem = fault("name: value\n".encode(encoding))
    assert "UTF-16" in problem.message and "iconv -f utf-16" in problem.hint


def test_nul():
    for raw in (b"abc: 1\nb: x\0y\n", "abc: 1\nb: x\0y\n"):
        problem = fault(raw)
        assert "NUL" in problem.message and (problem.line, problem.column) == (2, 5)


def test_control_characters_and_surrogates():
    assert (fault("a: \x07").column, fault("a: \x07").message) == (4, "a control character (U+0007) is not allowed")
    assert fault("a: 1\nb: \ud800").line == 2


def test_size():
    line = "# " + "x" * 61 + "\n"
    assert data("a: 1\n" + line * ((1 << 20) // 64 - 1)) == {"a": 1}
    for raw in ("x" * ((1 << 20) + 1), b"x" * ((1 << 20) + 1), "가" * 400_000):
        assert "larger than 1 MiB" in fault(raw).message


# ------------------------------------------------------------------------------------------------------------- depth

HARM = {
    "lists": "'[' * 25000", "mappings": "'{a: ' * 25000", "dashes": "'- ' * 30000", "question marks": "'? ' * 30000",
    "closed": "'[' * 25000 + ']' * 25000", "indented": "''.join(' ' * i + 'a:\\n' for i in range(1400))",
    "mixed": "'- - ? ' * 20000", "lines": "''.join('\\u2028' + ' ' * i + '- ' for i in range(700))",
    "aliases": "'a0: &a0 [x]\\n' + ''.join(f'a{i}: &a{i} [*a{i-1}]\\n' for i in range(1, 5000))",
}


@pytest.mark.parametrize("kind", sorted(HARM))
def test_depth_does_not_end_the_process(kind, parser):
    if parser == "python":
        pytest.skip("the crash is of the parser in C")
    code = f"from runner.spec.nodes import load; loaded = load({HARM[kind]}, 'a'); assert loaded.data is None; print(loaded.problems[0].message)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert (done.returncode, done.stdout.decode().strip()) == (0, "nested deeper than 64 levels")


def test_the_depth_that_is_allowed():
    assert data("[" * 64 + "]" * 64)
    assert fault("[" * 65 + "]" * 65).column == 65
    assert data("".join(" " * i + "a:\n" for i in range(64)))
    assert "deeper" in fault("".join(" " * i + "a:\n" for i in range(65))).message


def test_usual_files_pay_nothing_for_the_depth(monkeypatch):
    def refuse(text):
        raise AssertionError("read twice")

    monkeypatch.setattr(nodes, "_check_depth", refuse)
    step = "  - id: s{0}\n    needs: [a]\n    bash: |\n      if [ -f x ]; then\n        echo ${{x}}\n      fi\n"
    assert len(data("steps:\n" + "".join(step.format(i) for i in range(15)))["steps"]) == 15


# ------------------------------------------------------------------------------------------------------------ syntax

TAB = "a tab is not allowed in indentation"
SYNTAX = [
    ("a:\n\tb: 1\n", 2, 1, TAB, "indent with spaces"),
    ("a: 1\n\tb: 2\n", 2, 1, TAB, "indent with spaces"),
    ("a:\n  - x\n \t- y\n", 3, 2, TAB, "indent with spaces"),
    ("a: |\n\tfoo\n", 2, 1, TAB, "indent with spaces"),
    ("schedule: */5 * * * *\n", 1, 11, "a plain value cannot start with '*'", 'quote the schedule: "*/5 * * * *"'),
    ("schedule: * * * * *  # all\n", 1, 11, "a plain value cannot start with '*'", 'quote the schedule: "* * * * *"'),
    ("a: *.csv\n", 1, 4, None, 'quote it: "*.csv"'),
    ("schedule: @daily\n", 1, 11, "a plain value cannot start with '@'", 'quote the schedule: "@daily"'),
    ("to: @team one\n", 1, 5, "a plain value cannot start with '@'", 'quote it: "@team one"'),
    ("a: %x\n", 1, 4, "a plain value cannot start with '%'", 'quote it: "%x"'),
    ("a:\n  - `date`\n", 2, 5, "a plain value cannot start with '`'", 'quote it: "`date`"'),
    ("a: & x\n", 1, 4, "a plain value cannot start with '&'", 'quote it: "& x"'),
    ("a: , x\n", 1, 4, "a plain value cannot start with ','", 'quote it: ", x"'),
    ("a: }x\n", 1, 4, "a plain value cannot start with '}'", 'quote it: "}x"'),
    ("bash: echo a: b\n", 1, 13, "': ' inside a plain value", "use a block: bash: |"),
    ("steps:\n  - bash: echo a: b\n", 2, 17, "': ' inside a plain value", "use a block: bash: |"),
    ('a: 1\nb: "x\nc: 1\n', 2, 4, 'the quote " opened here is not closed', 'close it with "'),
    ("a: 'x\n", 1, 4, "the quote ' opened here is not closed", "close it with '"),
    ('s:\n  - bash: "echo\n  - bash: "b"\n', 2, 11, 'the quote " opened here is closed only on line 3', 'close it with "'),
    ("a: [1, 2\nb: 1\n", 1, 4, "the bracket [ opened here is not closed", "close it with ]"),
    ("a: {b: 1\n", 1, 4, "the bracket { opened here is not closed", "close it with }"),
    ("a: [ -f x ] && y\n", 1, 13, None, 'quote the whole value: "[ -f x ] && y", or use a block: a: |'),
    ('a: "x" y\n', 1, 8, "more text after the closing quote", "or use a block: a: |"),
    ("a: 'it's'\n", 1, 8, "more text after the closing quote", "or use a block: a: |"),
    ("a: {{ ds }} x\n", 1, 13, "more text after the closing bracket", 'quote the whole value: "{{ ds }} x"'),
    ("a: 1\nfoo\nb: 2\n", 2, 1, "this line is not 'key: value' (could not find the ':')", "add the ':'"),
    ("a: 1\nfoo:bar\n", 2, 1, "a space is missing after ':'", "write foo: bar"),
    ("a: 1\nb\uff1a 2\nc: 3\n", 2, 2, "a full-width colon (U+FF1A) is no colon for YAML", "ordinary colon"),
    ("s:\n  - a\n  b: 1\n", 3, 3, "wrong indentation: the list that starts on line 2 goes on here without '- '", "start the line with '- '"),
    ("s:\n    a: 1\n  b: 1\n", 3, 3, "wrong indentation: this line fits no line above it", "column 1"),
    ("a: 1\n# c\n  b: 2\n", 3, 3, None, "start it at column 1, like 'a' above"),
    ("a: 1\n  b: 2\n", 2, 3, None, "start it at column 1, like 'a' above"),
    ("s:\n  - id: a\n     bash: x\n", 3, 6, None, "start it at column 5, like 'id' above"),
    ("steps: - id: a\n", 1, 8, "a list cannot start on the line of its key", "next line"),
    ("a: *foo\n", 1, 4, "the alias *foo is not defined above", "&foo"),
    ("a: &x 1\nb: &x 2\n", 2, 4, "the anchor &x is already defined on line 1", "another name"),
    ("a: 1\n---\nb: 2\n", 2, 1, "a second document starts here; a file holds one", "remove the line ---"),
    ("b: | grep x\n", 1, 4, "after '|' the text starts on the next line", "the lines below"),
    ('a: "C:\\d"\n', 1, None, "a backslash in double quotes starts an escape, and this one is unknown", "single quotes"),
]


@pytest.mark.parametrize("text, line, column, message, hint", SYNTAX)
def test_syntax(text, line, column, message, hint):
    problem = fault(text)
    assert problem.line == line and (column is None or problem.column == column)
    assert message is None or problem.message == message
    assert hint in problem.hint
    assert problem.source == text.split("\n")[line - 1] and load(text, "a").data is None


def test_mapping_values_not_allowed_says_which_line_has_a_value():
    assert "deeper than line 1, which already has a value (mapping values are not allowed here)" in fault("a: 1\n\n# c\n  b: 2\n").message


def test_messages_stay_short():
    for text in ("!" * 100_000, "a: *" + "x" * 100_000, "a: 1\n" + "k" * 5000 + ": 1\n" + "k" * 5000 + ": 2", "a: @" + "x" * 100_000):
        problem = load(text, "a").problems[0]
        assert len(problem.message) < 300 and len(problem.hint) < 400


# ------------------------------------------------------------------------------------------------------------ places

PLACES = """\
name: x
steps:
  - id: a
    bash: |
      echo one

        echo 둘
    env: {A: 1, B: "two\\tx"}
  - id: 'it''s'
    bash: >-
      folded text
      goes on
    plain: some words
      and more
    anchored: &t |
      deep
    two: *t
"""


@pytest.fixture
def marks(parser):
    return load(PLACES, "a").marks


def test_places_of_values_and_keys(marks):
    assert marks.value(("name",)) == Mark(1, 7) and marks.key(("name",)) == Mark(1, 1)
    assert marks.value(("steps", 0)) == marks.key(("steps", 0)) == Mark(3, 5)
    assert marks.value(("steps", 0, "env", "B")) == Mark(8, 20) and marks.key(("steps", 0, "env", "B")) == Mark(8, 17)
    assert marks.value(("steps", 1, "two")) == Mark(15, 15)


def test_the_nearest_ancestor_answers_for_what_is_missing(marks):
    assert marks.key(("steps", 0, "env", "C", 3)) == Mark(8, 5) and marks.value(("steps", 0, "env", "C")) == Mark(8, 10)
    assert marks.value(("steps", 9)) == Mark(3, 3) and marks.value(("no",)) == Mark(1, 1)
    assert marks.value(("name", 0)) == Mark(1, 7)


def test_no_document_no_places():
    marks = load("a: [", "a").marks
    assert marks.value(("a",)) == marks.key(()) == marks.in_text(("a",), 1, 1) == Mark(1, 1)


def test_in_a_block(marks):
    bash = ("steps", 0, "bash")
    assert marks.in_text(bash, 1, 1) == Mark(5, 7)
    assert marks.in_text(bash, 1, 6) == Mark(5, 12)
    assert marks.in_text(bash, 3, 3) == Mark(7, 9)
    assert marks.in_text(("steps", 1, "anchored"), 1, 2) == Mark(16, 8)
    assert marks.in_text(("steps", 1, "two"), 1, 2) == Mark(16, 8)


@pytest.mark.parametrize("header, first", [("|", "  x"), ("|2", "  x"), ("|2-", "    x"), ("| # note", "  x"), ("!!str |", "  x"), ("|", "\n  x")])
def test_headers_of_blocks(header, first):
    loaded = load(f"a: {header}\n{first}yz\n  b\n", "a")
    value = loaded.data["a"]
    row = value.split("\n").index(next(line for line in value.split("\n") if line.strip()))
    column = value.split("\n")[row].index("y") + 1
    expected = Mark(2 + row, (first + "yz").split("\n")[-1].index("y") + 1)
    assert loaded.marks.in_text(("a",), row + 1, column) == expected


def test_in_folded_and_plain_text(marks):
    assert marks.in_text(("steps", 1, "bash"), 1, 1) == Mark(11, 7)
    assert marks.in_text(("steps", 1, "bash"), 1, 13) == Mark(12, 7)  # goes
    assert marks.in_text(("steps", 1, "plain"), 1, 1) == Mark(13, 12)
    assert marks.in_text(("steps", 1, "plain"), 1, 12) == Mark(14, 7)  # and


def test_in_quotes(marks):
    assert marks.in_text(("name",), 1, 1) == Mark(1, 7)
    assert marks.in_text(("steps", 0, "env", "B"), 1, 1) == Mark(8, 21)
    assert marks.in_text(("steps", 0, "env", "B"), 1, 5) == Mark(8, 26)  # behind \t
    assert marks.in_text(("steps", 1, "id"), 1, 4) == Mark(9, 14)  # behind ''


def test_columns_are_characters():
    loaded = load("이름: 값 😀 x\n", "a")
    assert loaded.marks.value(("이름",)) == Mark(1, 5) and loaded.marks.in_text(("이름",), 1, 5) == Mark(1, 9)


def test_places_of_what_was_merged():
    marks = load("b: &b\n  x: 1\na:\n  <<: *b\n  y: 2\n", "a").marks
    assert marks.key(("a", "x")) == Mark(2, 3) and marks.key(("a", "y")) == Mark(5, 3)


def test_where_names_the_place_in_the_document():
    assert fault("steps:\n  - id: a\n  - bash: !x 1\n").where == "steps[1].bash"
