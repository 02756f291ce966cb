"""How a fault looks on a terminal."""

from __future__ import annotations

from runner.model import Problem
from runner.spec.report import cells, format_problem, source_line


def show(source, column, **more):
    return format_problem(Problem("a.yaml", 3, column, "wrong", source=source, **more)).split("\n")


def width(text):
    return sum(cells(char) for char in text)


def test_place_line_caret_and_hint():
    assert show("steps: x", 8, hint="write a list") == ["a.yaml:3:8: wrong", "steps: x", "       ^", "  hint: write a list"]


def test_a_warning_says_so():
    assert show("a: no", 4, severity="warning")[0] == "a.yaml:3:4: warning: wrong"


def test_no_newline_at_the_end_and_none_of_the_parts_is_needed():
    assert format_problem(Problem("a.yaml", 1, 1, "wrong")) == "a.yaml:1:1: wrong"


def test_a_fault_without_a_place():
    assert format_problem(Problem("a.yaml", 0, 0, "wrong")) == "a.yaml: wrong"


def test_more_lines_of_a_hint():
    assert show("", 1, hint="one\ntwo")[1:] == ["  hint: one", "        two"]


def test_hangul_takes_two_cells():
    assert show("이름: *x", 5)[2] == " " * 6 + "^"


def test_decomposed_hangul_and_accents_take_the_cells_of_what_is_seen():
    assert show("\u1112\u1161\u11ab: x", 6)[2] == " " * 4 + "^"
    assert show("e\u0301: x", 5)[2] == " " * 3 + "^"


def test_tabs_stay_tabs():
    assert show("\tab: x", 6)[2] == "\t" + " " * 4 + "^"


def test_a_column_behind_the_line_stands_at_its_end():
    assert show("ab", 50)[2] == "  ^"


def test_a_long_line_is_cut_around_the_caret():
    _, line, caret = show("a" * 500 + "X" + "b" * 500, 501)
    assert line.startswith("…") and line.endswith("…")
    assert width(line) <= 100
    assert line[caret.index("^")] == "X"


def test_a_long_line_of_hangul_is_cut_by_cells():
    _, line, caret = show("가" * 300 + "X" + "나" * 300, 301)
    assert width(line) <= 100
    assert width(line[: line.index("X")]) == caret.index("^")


def test_a_caret_near_the_start_or_the_end_of_a_long_line():
    _, line, caret = show("X" + "b" * 500, 1)
    assert line.startswith("X") and line.endswith("…") and caret == "^"
    _, line, caret = show("a" * 500 + "X", 501)
    assert line.startswith("…") and line[caret.index("^")] == "X" and line.endswith("X")


def test_a_line_of_a_mebibyte():
    _, line, caret = show("a" * 600_000 + "X" + "b" * 400_000, 600_001)
    assert width(line) <= 100 and line[caret.index("^")] == "X"


def test_control_characters_do_not_reach_the_terminal():
    text = format_problem(Problem("a.yaml", 1, 1, "bad \x1b[2J", hint="\x1b", source="\x1b[31mred\ud800"))
    assert "\x1b" not in text
    text.encode("utf-8")


def test_color_changes_no_word():
    problem = Problem("a.yaml", 1, 4, "wrong", "hint", "warning", "", "a: no")
    colored = format_problem(problem, color=True)
    assert "\x1b[" in colored
    plain = colored
    for code in ("\x1b[1m", "\x1b[0m", "\x1b[31m", "\x1b[33m"):
        plain = plain.replace(code, "")
    assert plain == format_problem(problem)


def test_source_line():
    text = "one\r\ntwo\n\nfour"
    assert [source_line(text, line) for line in range(6)] == ["", "one", "two", "", "four", ""]
