"""Pictures are pure: data in, SVG out. Whole, escaped, within their frame, whatever the data."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.web.draw import bars, calendar, gantt, graph, grid, landing, svg, timeline
from runner.web.draw.axis import Axis

NOW = datetime(2026, 2, 28, 12, tzinfo=timezone.utc)
ODD = "<b>&\"'한글"


@st.composite
def acyclic(draw):
    count = draw(st.integers(1, 25))
    return {f"s{n}": draw(st.lists(st.sampled_from([f"s{m}" for m in range(n)]), unique=True, max_size=4)) if n else [] for n in range(count)}


@settings(max_examples=60, deadline=None)
@given(acyclic())
def test_a_step_stands_behind_all_that_it_needs_and_no_two_in_one_place(needs):
    places = graph.columns(needs)
    column = {place: number for number, row in enumerate(places) for place in row}
    assert set(needs) <= set(column) and sum(map(len, places)) == len(column)
    assert all(column[need] < column[step] for step in needs for need in needs[step])
    tree = ElementTree.fromstring(graph.graph([graph.Node(step, needs[step]) for step in needs]))
    boxes = [(float(each.get("x")), float(each.get("y"))) for each in tree.iter("{http://www.w3.org/2000/svg}rect") if each.get("class") == "node"]
    assert len(set(boxes)) == len(needs)
    width, height = float(tree.get("width")), float(tree.get("height"))
    assert all(0 <= x <= width - graph.WIDTH and 0 <= y <= height - graph.HEIGHT for x, y in boxes)
    assert len([each for each in tree.iter("{http://www.w3.org/2000/svg}path")]) == sum(map(len, needs.values()))


def test_a_plain_ladder_is_drawn_without_crossings():
    needs = {"a": [], "b": [], "a1": ["a"], "b1": ["b"], "a2": ["a1"], "b2": ["b1"], "end": ["a2", "b2"]}
    rows = [[place for place in row if isinstance(place, str)] for row in graph.columns(needs)]
    first = [row[0][0] for row in rows[:3]]
    assert len(set(first)) == 1, rows


def test_a_circle_that_no_check_has_seen_does_not_hang():
    assert graph.columns({"a": ["b"], "b": ["a"]})


@pytest.mark.parametrize("seconds", [0, 1, 59, 3600, 86400, 40 * 86400, 900 * 86400])
def test_an_axis_names_moments_that_have_room(seconds):
    axis = Axis(NOW, NOW + timedelta(seconds=seconds), 100, 900, timezone.utc)
    places = [x for x, _ in axis.names()]
    assert all(100 <= x <= 900 for x in places) and len(places) <= 14
    assert all(b - a > 40 for a, b in zip(places, places[1:]))
    assert axis.x(NOW - timedelta(days=1)) == 100 and axis.x(NOW + timedelta(days=9999)) == 900


def test_the_critical_way_is_that_of_the_needs_that_ended_last():
    ended = {"a": 1, "b": 5, "c": 9, "d": 7}
    assert gantt.critical({"c": ["a", "b"], "d": ["b"]}, ended) == {"c", "b"}
    assert gantt.critical({}, {}) == set()


def pictures():
    minute = timedelta(minutes=1)
    bar = gantt.Bar("failed", NOW - minute, None, ODD)
    yield gantt.gantt([gantt.Line(ODD, "running", [bar], "/x?a=1&b=2")], NOW - minute, NOW, timezone.utc, deadlines=[NOW])
    yield graph.graph([graph.Node(ODD, [], "failed", ODD, ODD, ODD), graph.Node("b", [ODD])], ODD)
    yield grid.squares([grid.Column(1, ODD, "success", {ODD: "failed"})], [ODD], {"success": ODD, "failed": ODD}, "/p")
    yield grid.names([ODD], ODD)
    yield bars.lengths([bars.Length(ODD, ODD, "success", 3.0), bars.Length("/", "2026-01-01", "failed", 0.0)], ODD)
    yield landing.landings([landing.Landing(ODD, ODD, "success", -3.0, None, ODD), landing.Landing("/", "2026-01-01", "failed", 9e9, 60.0)], lambda seconds: ODD, ODD)
    yield calendar.sheet(2026, 2, {NOW.date(): calendar.Day("failed", ODD, ODD), date(2026, 2, 1): calendar.Day("coming", ODD)}, NOW.date(), [ODD] * 7)
    yield timeline.timeline([(ODD, [timeline.Item(ODD, "failed", NOW, None, 60.0, ODD, ODD, NOW), timeline.Item("late", "coming", NOW + 11 * 60 * minute, None, None, "/")])], NOW, timezone.utc)


@pytest.mark.parametrize("picture", list(pictures()))
def test_whatever_is_said_is_escaped(picture):
    ElementTree.fromstring(picture)
    assert "<b>" not in picture and not re.search(r"\son\w+=|style=|nan|inf", picture)


def test_a_text_is_cut_by_the_columns_it_takes():
    assert svg.cut("abcdef", 4) == "abc…" and svg.cut("한글이름", 5) == "한글…" and svg.cut("한글", 4) == "한글"


SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("sunday_first, names, column", [(False, "MTWTFSS", 5), (True, "SMTWTFS", 6)])
def test_a_sheet_has_the_days_of_its_month_under_their_weekdays(sunday_first, names, column):
    days = {date(2026, 2, 28): calendar.Day("failed", "x", "/r/1"), date(2026, 2, 27): calendar.Day("coming", "y")}  # a Saturday, a Friday
    tree = ElementTree.fromstring(calendar.sheet(2026, 2, days, date(2026, 2, 27), "MTWTFSS", sunday_first))
    texts = [each.text for each in tree.iter(SVG + "text")]
    assert texts[:8] == ["2026-02", *names] and [each for each in texts[8:] if each.isdigit()] == [str(day) for day in range(1, 29)]
    box, = [each for each in tree.iter(SVG + "rect") if each.get("class") == "box"]
    assert round((float(box.get("x")) - 2) / (calendar.WIDE + calendar.GAP)) == column
    assert texts.count("x") == 1, "the sign of a failure beside the colour"
    ahead, ring = ([each for each in tree.iter(SVG + "rect") if each.get("class") == name] for name in ("ahead", "ring"))
    assert len(ahead) == len(ring) == 1


def test_months_go_over_the_year():
    assert calendar.months((2026, 2), 4) == [(2025, 11), (2025, 12), (2026, 1), (2026, 2)]


def test_who_landed_too_late_is_a_cross_below_none_of_whom_it_would_press_flat():
    runs = [landing.Landing("/", f"d{n}", "success", 600.0 + n, 700.0) for n in range(40)] + [landing.Landing("/", "late", "success", 800.0, 700.0), landing.Landing("/", "week", "success", 6e5, None)]
    tree = ElementTree.fromstring(landing.landings(runs, lambda seconds: f"{seconds:.0f}"))
    dots = [float(each.get("cy")) for each in tree.iter(SVG + "circle")]
    assert len(dots) == 41 and len([each for each in tree.iter(SVG + "path") if each.get("class") == "cross"]) == 1
    assert min(dots) == landing.TALL and sorted(dots)[1] < landing.HEIGHT / 2, "the rest uses the height"
