"""`<< expression >>`: what is a tag, what it may say, how it is written, and what must never happen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner import model, template
from runner.template import filters, names, sandbox

SEOUL = ZoneInfo("Asia/Seoul")
NAMES = {"region": "KR", "n": 3, "tables": ["a", "b"], "none": None, "title": "it's \\ 100%", "flag": True, "map": {"items": "x", "k": 1}}
UPSTREAM = {"load", "load-raw"}


def make_date(due=datetime(2024, 1, 31, 1, 0, tzinfo=SEOUL)):
    return model.LogicalDate(due, due, due - timedelta(days=1), due, "Asia/Seoul")


def make_run(**changes):
    date = make_date()
    values = dict(
        id=1, name="mart@2024-01-31", pipeline="mart", number=0, definition="h", date=date, trigger="schedule", params=NAMES,
        state="running", reason="", created_at=date.due, started_at=date.due, ended_at=None, engine=None, stop_requested=None,
    )  # fmt: skip
    return model.Run(**{**values, **changes})


def make_context(run=None, **changes):
    values = dict(step="load", try_number=2, outputs={"load": {"rows": "5", "items": "3", "keys": "k"}})
    return template.context(run or make_run(), **{**values, **changes})


CONTEXT = make_context()


def render(text, **options):
    return template.render(text, CONTEXT, **options)


def faults(text, **options):
    return template.find_faults(text, params=NAMES, **{"upstream": UPSTREAM, **options})


def refused(text, context=CONTEXT):
    with pytest.raises(template.TemplateError) as caught:
        template.render(text, context)
    return caught.value


# ----------------------------------------------------------------------------------------------------- shell is not a tag

SHELL = [
    # the table of semantics 1.1
    "cat <<EOF\nhello\nEOF\n", "cat << EOF\nhello\nEOF\n", "cat <<-'EOF'\n\thello\n\tEOF\n", 'cat <<"EOF"\nhello\nEOF\n',
    "cat << 'EOF'\nx\nEOF", "cat <<EOF >> file\nhello\nEOF\n", "cat << EOF >> file\nhello\nEOF\n", "cat << \\EOF >> file\nhello\nEOF\n",
    'read a <<< "$x"', "read a <<<$x", "read a <<< ds >> log", "$((1<<3))", "(( x <<= 2 ))", "a = 1 << 3", "$(( 1 << 3 >> 1 ))",
    "select 1 << 4, 16 >> 2;", 'std::cout << "x" << std::endl;', "t1 >> t2 << t3", "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other\n",
    "echo '<<공지>>'", "cmd 2>>err >>out", "std::cin >> x;", ">>> print(1)", "array<array<int>>", "a <> b",
    "printf '<%s>\\n' x", "awk '{printf \"<%d>\", $1}'", "<%= x %>", "<%@ page import='java.util' %>", "<%-- no --%>", "<# x #>", "wc -l <#file#>",
    # and more
    "cat <<!\nx\n!\n", "cat <<! >> log\nx\n!\n", "1 << step", "mask = 1 << run", "cat <<ds\nx\nds\n",
    "cat << notags\n", "echo << >>", "<<", "<< ", "<<!", ">>", "<% %>", "<% foo %>", "<%! foo %>", "a\r\nb\r\n", "",
    "<< (a >>", "<< 'a >>", '<< "a\' >>', "{{ ds }}", "{% if ds %}", "{# ds #}", "# {{ ds }}", "${ds} $ds",
]  # fmt: skip


@pytest.mark.parametrize("text", SHELL)
def test_shell_is_left_alone(text):
    assert render(text) == text
    assert [fault for fault in faults(text) if fault.severity == "error"] == []


TAGS = [
    ("<< ds >>", "2024-01-31"),
    ("cat << ds >> >> log", "cat 2024-01-31 >> log"),
    ("a<< ds >>.csv", "a2024-01-31.csv"),
    ("<<  ds\t>>", "2024-01-31"),
    ("<< ds >><< ds_nodash >>", "2024-01-3120240131"),
    ("cat <<EOF\n<< ds >>\nEOF\n", "cat <<EOF\n2024-01-31\nEOF\n"),
    ("cat << 'EOF' >> x\n<< ds >>\nEOF\n", "cat << 'EOF' >> x\n2024-01-31\nEOF\n"),
    ("$((1 << << params.n >> ))", "$((1 << 3 ))"),
    ("<< ds if params.n > 2 else '>>' >>", "2024-01-31"),
    ("<< '>> ' ~ ds >>", ">> 2024-01-31"),
    ("<< params['region'] >>", "KR"),
    ("<< (ds) >>", "2024-01-31"),
    ("<<! ds >>", "<< ds >>"),
    ("<<! ds", "<< ds"),
    ("<<! ds >> << ds >>", "<< ds >> 2024-01-31"),
    ("<< params.n + 1 >>", "4"),
    ("<< params.flag >>", "true"),
    ("<< 1 == params.n >>", "false"),
    ("한글 << ds >> 끝", "한글 2024-01-31 끝"),
    ("\r\n<< ds >>\r\n\r", "\r\n2024-01-31\r\n\r"),
    ("<< ds >>\n", "2024-01-31\n"),
    ("<< range(3) | join(',') >>", "0,1,2"),
]


@pytest.mark.parametrize("text, wanted", TAGS)
def test_tags_are_rendered(text, wanted):
    assert render(text) == wanted
    assert faults(text) == []


FAULTS = [
    ("a\n  << dss >>", 2, 3, "unknown name 'dss'", "did you mean ds?"),
    ("<< DS >>", 1, 1, "unknown name 'DS'", "did you mean ds?"),
    ("<< ds >", 1, 1, "not closed by >>", "write << ds >>"),
    ("<< ds>>", 1, 1, "not closed by >>", "a blank on both sides"),
    ("<< params.region", 1, 1, "not closed", "write << params.region >>"),
    ("x <<ds>>", 1, 3, "<<ds>> is not read as a template", "write << ds >>"),
    ("<<params.region>>", 1, 1, "is not read", "write << params.region >>"),
    ("<<ds >>", 1, 1, "is not read", "write << ds >>"),
    ("cat << ds >> file\nx\nds\n", 1, 5, "here-document", "EOF"),
    ("<< params.regoin >>", 1, 1, "no parameter 'regoin'", "params.region"),
    ("<< params.REGION >>", 1, 1, "no parameter 'REGION'", "params.region"),
    ("<< params.zzz >>", 1, 1, "no parameter 'zzz'", "declare it under params:"),
    ("<< outputs.laod.rows >>", 1, 1, "step 'laod' is not upstream", "outputs.load"),
    ("<< outputs.publish.rows >>", 1, 1, "not upstream", "needs: publish"),
    ("<< outputs.load >> << outputs['zz'].x >>", 1, 20, "'zz' is not upstream", ""),
    ("<< run.nmae >>", 1, 1, "run has no 'nmae'", "run.name"),
    ("<< ds.foo >>", 1, 1, "ds has no 'foo'", "it has capitalize, count"),
    ("<< ds.uper() >>", 1, 1, "ds has no 'uper'", "did you mean ds.upper?"),
    ("<< ds.strftime('%Y') >>", 1, 1, "ds has no 'strftime'", "ds is a text: write logical_date.strftime"),
    ("<< ts.year >>", 1, 1, "ts has no 'year'", "write logical_date.year"),
    ("<< prev_ds.month >>", 1, 1, "prev_ds has no 'month'", "ds_format(prev_ds, "),
    ("<< logical_date.format('YYYY') >>", 1, 1, "logical_date has no 'format'", "write logical_date.strftime('%Y-%m-%d')"),
    ("<< data_interval_end.yaer >>", 1, 1, "data_interval_end has no 'yaer'", "data_interval_end.year"),
    ("<< run.due_at.to_date_string() >>", 1, 1, "run.due_at has no", "run.due_at.strftime("),
    ("<< prev_success.logical_date['foo'] >>", 1, 1, "prev_success.logical_date has no 'foo'", "it has add, "),
    ("<< prev_success.ds.weekday() >>", 1, 1, "prev_success.ds has no 'weekday'", "ds_format(prev_success.ds, "),
    ("<< datetime.timedelta(days=1) >>", 1, 1, "datetime has no 'timedelta'", "write timedelta alone"),
    ("<< macros.datetime.strptim('1', '%d') >>", 1, 1, "macros.datetime has no 'strptim'", "macros.datetime.strptime"),
    ("<< try_number.real >>", 1, 1, "try_number has no 'real'", "it is a number"),
    ("<< ds_add.x >>", 1, 1, "ds_add has no 'x'", "it is a function"),
    ("<% if logical_date.format('E') == 'Mon' %>\n<% endif %>", 1, 1, "logical_date has no 'format'", "strftime"),
    ("<< ds | ds_nodahs >>", 1, 1, "no filter 'ds_nodahs'", "ds_nodash"),
    ("<< ds is defned >>", 1, 1, "no test 'defned'", "defined"),
    ("<< ds if params.flag >>", 1, 1, "without else", "else"),
    ("<< ds + >>", 1, 1, "<< ds + >>:", "<<!"),
    ("b, q = 1 << shift, x >> shift", 1, 10, "unknown name 'shift'", "<<!"),  # loud, where plain Jinja changes it in silence
    ("<< ds ds >>", 1, 1, "expected token", "<<!"),
    ("<< ti.xcom_pull('a') >>", 1, 1, "unknown name 'ti'", "outputs.STEP.KEY"),
    ("<< datetime.now() >>", 1, 1, "may ask the clock", "<< ds >>"),
    ("<< macros.datetime.today() >>", 1, 1, "may ask the clock", "<< ds >>"),
    ("<< now() >>", 1, 1, "unknown name 'now'", "may ask the clock"),
    ("<< now >>", 1, 1, "unknown name 'now'", "<< ds >>"),
    ("x\n<% if dss %>\n<% endif %>", 2, 1, "unknown name 'dss'", "ds?"),
    ("<% if ds %>", 1, 1, "is not closed", "<% endif %>"),
    ("<% for t in params.tables %>\n<% endif %>", 2, 1, "no if that it belongs to", ""),
    ("<% endfor %>", 1, 1, "no for that", ""),
    ("<% for t of params.tables %>\n<% endfor %>", 1, 1, "blocks that begin here", ""),
    ("<< ds >>\0", 1, 9, "NUL", "remove"),
    ("<< " + "(" * 3000 + "ds" + ")" * 900 + " >>", 1, 1, "", None),
    ("<< " + "(" * 1500 + "ds" + ")" * 1500 + " >>", 1, 1, "too deeply nested", ""),
    ("<< ds" + ".a" * 500 + " >>", 1, 1, "too deeply nested", ""),
]  # fmt: skip


@pytest.mark.parametrize("text, line, column, message, hint", FAULTS, ids=[text[:30] for text, *_ in FAULTS])
def test_faults_have_a_place_and_a_remedy(text, line, column, message, hint):
    found = faults(text)
    if hint is None:  # brackets that do not close: no tag at all
        assert found == [] and render(text) == text
        return
    first = found[0]
    assert (first.line, first.column, first.severity) == (line, column, "error")
    assert message in first.message and hint in first.hint


def test_a_check_refuses_what_the_sandbox_would_refuse_of_a_name():
    """Names and parts, each with every word that any value has: before the run and in the run the same are good."""
    context = make_context(prev_success=make_date(), previous=make_date(), following=make_date())
    environment = sandbox.env()
    values = {name: context[name] for name in template.NAMES - {"params", "outputs", "item", "item_index", *names.SITE_NAMES, *names.PARTS}}
    values.update({f"{name}.{part}": context[name][part] for name, parts in names.PARTS.items() for part in parts})
    words = {word for _, _, allowed in sandbox._ALLOWED for word in allowed} | {"foo", "format", "real", "days", "now", "ds"}
    for name, value in values.items():
        for word in words:
            try:
                environment.getattr(value, word)
                good = True
            except sandbox.SecurityError:
                good = False
            assert (faults(f"<< {name}.{word} >>") == []) == good, (name, word)


def test_the_manual_lists_what_may_stand_behind_a_dot():
    paragraph = " ".join(re.search(r"^Behind the dot of a date .*?\n\n", MANUAL, re.M | re.S).group().split())
    assert f"`{sandbox._MOMENT}`" in paragraph and f"`{sandbox._TEXT}`" in paragraph


def test_an_entry_of_a_text_is_no_attribute():
    assert faults("<< ds[0] >> << ds[:4] >> << ds['upper']() >> << run.name[0] >>") == []
    assert faults("<% for ds in params.tables %>\n<< ds.foo >>\n<% endfor %>") == []  # a name of the text's own


def test_all_faults_of_a_text_are_found_at_once():
    found = faults("<< a1 >>\n<<ds>> << params.x >>\n << b1 + c1 >>")
    assert [(each.line, each.column) for each in found] == [(1, 1), (2, 1), (2, 8), (3, 2), (3, 2)]


def test_upstream_none_leaves_outputs_open():
    assert faults("<< outputs.any.x >>", upstream=None) == []


def test_a_step_with_a_dash():
    assert "outputs['load-raw']" in next(fault.hint for fault in faults("<< outputs.load-raw.rows >>", upstream={"load-raw"}) if "upstream" in fault.message)
    assert faults("<< outputs['load-raw'].rows >>") == []


@pytest.mark.parametrize("text", ["{{ ds }}", "{{ds}}", "{{ params.region }}", "{{ macros.ds_add(ds, 1) }}", "{{ execution_date }}", "{{ ts_nodash }}", "{{ var.value.x }}"])
def test_braces_that_were_meant_for_us_are_warned_of(text):
    [fault] = faults("echo " + text)
    assert (fault.line, fault.column, fault.severity) == (1, 6, "warning")
    assert render(text) == text
    if not text.startswith("{{ var"):
        assert fault.hint.startswith("write << ")


@pytest.mark.parametrize("text", ["docker ps --format '{{.Names}}'", "{{ item }}", "{{ params.other }}", "{{ run }}", "{{ step }}", "# {{ ds }}", "-- {{ ds }}", "{{ dss }}", "${{ github.sha }}"])
def test_braces_of_other_tools_are_not(text):
    assert faults(text) == []


def test_blocks_that_there_are_not_are_warned_of():
    [fault] = faults("<% include 'x' %>")
    assert fault.severity == "warning" and render("<% include 'x' %>") == "<% include 'x' %>"


# ----------------------------------------------------------------------------------------------------------------- blocks

BLOCKS = [
    ("a\n<% if params.n > 2 %>\nb\n<% else %>\nc\n<% endif %>\nd", "a\nb\nd"),
    ("  <% if ds %>  \nb\n<% endif %>\r\nd", "b\nd"),
    ("x <% if ds %>y<% endif %> z\nw", "x y z\nw"),
    ("x <% if ds %>y<% endif %>\nw", "x y\nw"),
    ("<% for t in params.tables %>\n<< loop.index >>:<< t >>\n<% endfor %>\n", "1:a\n2:b\n"),
    ("<% for t in params.tables %><< t >>,<% endfor %>", "a,b,"),
    ("<% set x = params.n + 1 %>\n<< x >>", "4"),
    ("<% for k, v in params.map | items %><< k >>=<< v >>;<% endfor %>", "items=x;k=1;"),
    ("<% if params.n == 1 %>a<% elif params.n == 3 %>b<% endif %>", "b"),
    ("<%! if x %>", "<% if x %>"),
    ("<%! if ds %> << ds >>", "<% if ds %> 2024-01-31"),
    ("cat <<EOF\r\n<% if ds %>\r\n<< ds >>\r\n<% endif %>\r\nEOF\r\n", "cat <<EOF\r\n2024-01-31\r\nEOF\r\n"),
    ("<% if ds %>\n<<EOF << 1 << 3 >> {{ x }}\n<% endif %>", "<<EOF << 1 << 3 >> {{ x }}\n"),
]


@pytest.mark.parametrize("text, wanted", BLOCKS)
def test_blocks(text, wanted):
    assert faults(text) == []
    assert render(text) == wanted


def test_a_tag_inside_a_loop_that_fails_is_named():
    caught = refused("x\n<% for t in params.tables %>\n<< t >> << params.none >>\n<% endfor %>")
    assert (caught.faults[0].line, caught.faults[0].column) == (3, 9)


# --------------------------------------------------------------------------------------------------------- values (D4-D6)


@pytest.mark.parametrize(
    "text, message",
    [
        ("<< params.none >>", "empty (None): write | default("),
        ("<< 'x' ~ params.none >>", "empty (None)"),
        ("<< params.none | upper >>", "empty (None)"),
        ("<< params.none | sql >>", "empty (None)"),
        ("<< [params.none] | join >>", "empty (None)"),
        ("<< params.none | int >>", "an empty value is no number"),
        ("<< ds | int >>", "'2024-01-31' is no number; int(0)"),
        ("<< params.tables >>", "list or a mapping: write | json"),
        ("<< params.map >>", "list or a mapping"),
        ("<< ds_add >>", "a function: call it"),
        ("<< timedelta(days=1) >>", "timedelta, which has no text form"),
        ("<< outputs.load.nothing >>", "there is no 'nothing'; there is rows, items, keys"),
        ("<< params.map.values >>", "there is no 'values'"),
        ("<< params.region.foo >>", "a text has no 'foo' here"),
        ("<< prev_success.ds >>", "no earlier run of this pipeline has succeeded"),
        ("<< prev_ds >>", "there is no date before"),
        ("<< next_ds_nodash >>", "there is no date after"),
        ("<< logical_date.strftime('%s') >>", "server's time zone"),
        ("<< params.tables[9] >>", "there is no entry 9"),
        ("<< 1 // 0 + params.n >>", "<< 1 // 0 + params.n >>: "),
        ("<< dss >>", "unknown name 'dss'"),
        ("<< ds if params.flag >>", "without else"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(text, message):
    caught = refused("line\n " + text)
    assert message in caught.message
    assert (caught.faults[0].line, caught.faults[0].column) == (2, 2)


def test_keys_come_before_methods():
    assert render("<< outputs.load.items >> << outputs.load.keys >> << params.map.items >>") == "3 k x"


def test_defaults():
    assert render("<< params.none | default('x', true) >> << outputs.load.nope | default('y') >> << prev_success.ds | default('z') >>") == "x y z"
    assert render("<< outputs.gone.rows | default(0) >> << ds | int(0) >>") == "0 0"


def test_evaluate_keeps_the_type():
    values = {"params.n": 3, "params.tables": ["a", "b"], "params.flag and params.n > 2": True, "'20240131' ~ ''": "20240131", "outputs.load.rows | int > 4": True, "params.none": None, "try_number": 2}
    for expression, wanted in values.items():
        value = template.evaluate(expression, CONTEXT)
        assert value == wanted and type(value) is type(wanted)
    with pytest.raises(template.TemplateError):
        template.evaluate("outputs.load.nope", CONTEXT)
    with pytest.raises(template.TemplateError):
        template.evaluate("1 +", CONTEXT)


SAID = {"yes": ("true", "True", " yes\r", "on", "1"), "no": ("false", "FALSE", "no", "Off", "0", "", " ")}


@pytest.mark.parametrize("said", [*SAID["yes"], *SAID["no"]])
def test_a_condition_takes_a_text_for_what_it_says(said):
    context, true = make_context(outputs={"a": {"said": said}}), said in SAID["yes"]
    wanted = {"outputs.a.said": true, "not outputs.a.said": not true, "outputs.a.said and params.n": true, "params.none or outputs.a.said": true,
              "1 if outputs.a.said else 0": true, "not (not outputs.a.said and params.flag)": true}
    assert {expression: template.holds(expression, context) for expression in wanted} == wanted


def test_a_condition_takes_what_is_no_text_as_python_does():
    wanted = {"params.n": True, "0": False, "0.0": False, "params.none": False, "params.tables": True, "[]": False, "prev_success": False, "logical_date": True,
              "outputs.load.rows | int > 5": False, "ds == '2024-01-31'": True, "params.title | length > 0": True}
    assert {expression: template.holds(expression, CONTEXT) for expression in wanted} == wanted
    assert template.holds("'x' == 'x' or params.region", CONTEXT) is True  # the second is not asked


@pytest.mark.parametrize("expression, instead", [
    ("params.region", "compare it, as in == 'KR'"), ("params.flag and params.title", "compare it"), ("not params.region", "compare it"),
    ("outputs.load.rows", "write | int > 0"), ("'1.5' ~ ''", "write | float > 0"), ("'x' * 5000", "'" + "x" * 40 + "' is a text"),
])  # fmt: skip
def test_a_text_that_says_neither_is_no_condition(expression, instead):
    with pytest.raises(template.TemplateError) as caught:
        template.holds(expression, CONTEXT)
    assert "neither true nor false" in caught.value.message and instead in caught.value.message and "| length > 0" in caught.value.message


def test_a_condition_about_what_is_not_there_says_so():
    with pytest.raises(template.TemplateError, match="nope"):
        template.holds("outputs.load.nope", CONTEXT)
    assert template.holds("outputs.load.nope | default(false)", CONTEXT) is False


def test_expression_faults():
    assert template.find_expression_faults("outputs.load.rows | int > 0", params=NAMES, upstream=UPSTREAM) == []
    [fault] = template.find_expression_faults("outputs.lod.rows > 0", params=NAMES, upstream=UPSTREAM)
    assert "outputs.load" in fault.hint
    assert template.find_expression_faults("a b", params=(), upstream=None)[0].severity == "error"


def test_references():
    text = "<< params.region >> <% if outputs.load.rows > 1 %><< outputs['load-raw'].x >> << ds >><% endif %>"
    assert template.references(text) == {"params.region", "outputs.load.rows", "outputs.load-raw.x"}


# --------------------------------------------------------------------------------------------------------------- filters

FILTERS = [
    ("params.title | sh", "'it'\"'\"'s \\ 100%'"), ("params.title | sql", "it''s \\ 100%"), ("params.title | hql", "it\\'s \\\\ 100%"),
    ("params.region | sh", "KR"), ("params.tables | json", '["a", "b"]'), ("('한글 <' ~ params.region) | json", '"한글 <KR"'),
    ("['한글', params.none, params.flag] | json", '["한글", null, true]'), ("logical_date | json", '"2024-01-31T01:00:00+09:00"'),
    ("params.tables | py", "['a', 'b']"), ("params.none | py", "None"), ("logical_date | py", "'2024-01-31T01:00:00+09:00'"),
    ("logical_date | ds", "2024-01-31"), ("data_interval_start | ds_nodash", "20240130"), ("logical_date | ts", "2024-01-31T01:00:00+09:00"),
    ("logical_date | ts_nodash", "20240131T010000"), ("logical_date | ts_nodash_with_tz", "20240131T010000+0900"),
    ("('20240' ~ 229) | ds if params.flag else ''", "2024-02-29"), ("ds_nodash | ds", "2024-01-31"), ("ts | ds_nodash", "20240131"),
    ("params.region | lower | upper | title", "Kr"), ("ds | replace('-', '/')", "2024/01/31"), ("ds.replace('-', '')", "20240131"),
    ("params.tables | length", "2"), ("params.tables | join('+')", "a+b"), ("('3' ~ params.n) | int + 1", "34"),
    ("(outputs.load.rows | int) * 2", "10"), ("('2.7' ~ params.n) | float", "2.73"), ("(' x ' ~ params.region) | trim", "x KR"),
    ("params.n | string | length", "1"), ("(params.n / 7) | round(3)", "0.429"), ("params.tables | map('upper') | join", "AB"),
    ("params.tables | first ~ params.tables | last", "ab"), ("params.n.bit_length | default('none')", None),
]  # fmt: skip


@pytest.mark.parametrize("expression, wanted", FILTERS)
def test_filters(expression, wanted):
    if wanted is None:
        refused(f"<< {expression} >>")
    else:
        assert render(f"<< {expression} >>") == wanted


# ------------------------------------------------------------------------------------------------------------------ names

VALUES = {
    "ds": "2024-01-31", "ds_nodash": "20240131", "ts": "2024-01-31T01:00:00+09:00", "ts_nodash": "20240131T010000",
    "ts_nodash_with_tz": "20240131T010000+0900", "logical_date": "2024-01-31T01:00:00+09:00", "execution_date": "2024-01-31T01:00:00+09:00",
    "data_interval_start": "2024-01-30T01:00:00+09:00", "data_interval_end": "2024-01-31T01:00:00+09:00",
    "yesterday_ds": "2024-01-30", "yesterday_ds_nodash": "20240130", "tomorrow_ds": "2024-02-01", "tomorrow_ds_nodash": "20240201",
    "month_start_ds": "2024-01-01", "month_start_ds_nodash": "20240101", "month_end_ds": "2024-01-31", "month_end_ds_nodash": "20240131",
    "prev_ds": "2024-01-29", "prev_ds_nodash": "20240129", "next_ds": "2024-02-02", "next_ds_nodash": "20240202",
    "prev_success.ds": "2024-01-29", "prev_success.data_interval_end": "2024-01-29T01:00:00+09:00",
    "run_id": "mart@2024-01-31", "pipeline": "mart", "step": "load", "try_number": "2", "params.region": "KR", "outputs.load.rows": "5",
    "run.name": "mart@2024-01-31", "run.number": "0", "run.type": "schedule", "run.due_at": "2024-01-31T01:00:00+09:00",
    "ds_add(ds, 30)": "2024-03-01", "ds_add(ds, -31)": "2023-12-31", "macros.ds_add(ds, 1)": "2024-02-01",
    "ds_format(ds, '%Y-%m-%d', '%d/%m/%Y')": "31/01/2024", "logical_date.strftime('%Y%m')": "202401", "logical_date.year": "2024",
    "(logical_date + timedelta(hours=1)).hour": "2", "logical_date - timedelta(days=1)": "2024-01-30T01:00:00+09:00",
    "(logical_date + relativedelta(months=1)) | ds": "2024-02-29", "logical_date.date()": "2024-01-31",
    "data_interval_end.in_timezone('UTC')": "2024-01-30T16:00:00+00:00", "logical_date.add(days=1) | ds": "2024-02-01",
    "logical_date.subtract(weeks=1).isoformat()": "2024-01-24T01:00:00+09:00", "datetime(2024, 2, 29).strftime('%m')": "02",
    "datetime.strptime('20240229', '%Y%m%d') | ds if params.flag else ds": "2024-02-29", "logical_date.replace(day=1) | ds": "2024-01-01",
    "(data_interval_end - data_interval_start).days": "1", "(logical_date.timestamp() | int)": "1706630400", "ds[:4]": "2024", "ds[5:7]": "01",
}  # fmt: skip


@pytest.mark.parametrize("expression", VALUES)
def test_names_and_their_values(expression):
    early, late = make_date(datetime(2024, 1, 29, 1, tzinfo=SEOUL)), make_date(datetime(2024, 2, 2, 1, tzinfo=SEOUL))
    context = make_context(prev_success=early, previous=early, following=late)
    assert template.render(f"<< {expression} >>", context) == VALUES[expression]
    assert faults(f"<< {expression} >>") == []


NEVER = [
    "ds_add(ds)", "ds_add('x', 1)", "ds - 1", "logical_date.strftime()", "logical_date + 1", "timedelta(1)", "logical_date > ds", "ds_format(ds, '%Y%m%d', '%F')",
    "datetime(2026, 2, 30)", "logical_date.strftime", "ds_nodash | int / 0", "prev_ds + 1", "[ds]", "logical_date.replace(day=32)",
    "logical_date.in_timezone('Asia/Soul')", "ds_add(ds, 10 ** 9)", "ds.split('-')[7]",
]  # fmt: skip
FOR_SOME = [
    "logical_date.replace(day=31)", "logical_date.replace(month=2)", "ds_add(prev_ds, 1)", "ds_add(prev_ds, 1) if prev_ds else ds", "prev_success.logical_date.add(days=1) | ds",
    "1 / logical_date.hour", "1 / logical_date.weekday()", "(logical_date.weekday() == 6 and 1) / 2", "['a'][logical_date.weekday()]", "next_ds | default('none', true)", "prev_ds",
]  # fmt: skip


@pytest.mark.parametrize("expression", NEVER)
def test_what_fails_for_every_date_is_found_before_a_run(expression):
    [fault] = faults(f"a\n  << {expression} >>", tried=True)
    assert (fault.line, fault.column, fault.severity) == (2, 3, "error") and fault.message.startswith(f"<< {expression} >>: ") and fault.hint
    assert not re.search("Moment|Maker|'str'|'int'", fault.message)
    refused(f"<< {expression} >>")
    assert faults(f"<< {expression} >>") == []


@pytest.mark.parametrize("expression", [*VALUES, *FOR_SOME])
def test_what_works_for_one_date_is_left_alone(expression):
    assert faults(f"<< {expression} >>", tried=True) == []


@pytest.mark.parametrize("text", [
    "<% for day in range(3) %><< ds_add(ds, -day) >><% endfor %>", "<% set ds = 2 %><< ds - 1 >>", "<% for ds in params.tables %><< ds - 1 >><% endfor %>",
    "<< ds_add(ds, params.n) >>", "<< outputs.load.rows - 1 >>", "<< pipeline - 1 >>", "<< run.due_at - 1 >>", "<< step | int >>", "<< var.x - 1 >>", "cat <<EOF\n$((1 << 3))\nEOF",
])  # fmt: skip
def test_what_is_about_more_than_dates_is_not_tried(text):
    assert faults(text, tried=True) == []


def test_blocks_and_conditions_are_tried_too_and_each_place_is_told_of_once():
    found = faults("<% if ds > 1 %>\n<< ds_add(dss) >> << ds + 1 >>\n<% elif ds %><% endif %>", tried=True)
    assert [(each.line, each.column) for each in found] == [(1, 1), (2, 1), (2, 19)] and "unknown name" in found[1].message
    tell = lambda text, **how: [each.message for each in template.find_expression_faults(text, tried=True, **how)]  # noqa: E731
    assert tell("ds > 1") == ["ds > 1: '>' not supported between instances of a text and a number"] and tell("logical_date") == tell("[ds]") == []
    assert tell("ds_format(ds, '%Y-%m-%d', '%j')") == [] and "neither true nor false" in tell("ds_format(ds, '%Y-%m-%d', '%A')", condition=True)[0]


def test_every_name_is_tried_above_and_exists():
    tried = template.references(" ".join(f"<< {each} >>" for each in VALUES)) | set(VALUES) | {"macros", "outputs", "params"}
    used = {name for each in tried for name in template.NAMES if name in each}
    used |= {"item", "item_index", *names.SITE_NAMES}  # tried where they belong to: mapped steps, tests/site
    assert used == template.NAMES
    for name in used - {"item", "item_index"}:
        assert name in CONTEXT


def test_a_month_ends_where_it_ends():
    context = make_context(make_run(date=make_date(datetime(2024, 2, 10, tzinfo=SEOUL))))
    assert template.render("<< month_start_ds >> << month_end_ds >>", context) == "2024-02-01 2024-02-29"


def test_the_day_is_that_of_the_pipelines_zone():
    due = datetime(2024, 2, 2, 1, 0, tzinfo=SEOUL)  # 16:00 of the day before in UTC
    assert template.render("<< ds >>", make_context(make_run(date=make_date(due)))) == "2024-02-02"


def test_only_the_row_counts():
    """The same row gives the same text, whichever attempt, whenever."""
    text = "<< ds >> << ts >> << data_interval_start >> << tomorrow_ds >>"
    assert len({template.render(text, make_context(make_run(started_at=None), try_number=n)) for n in range(1, 5)}) == 1


def test_environment():
    early = make_date(datetime(2024, 1, 29, 1, tzinfo=SEOUL))
    env = template.environment(make_context(make_run(params={"re-gion": "KR", "n": 1, "b": True, "l": [1, "한"], "e": None, "d": {"k": False}}), previous=early))
    assert env == {
        "RUNNER_DS": "2024-01-31", "RUNNER_DS_NODASH": "20240131", "RUNNER_TS": "2024-01-31T01:00:00+09:00", "RUNNER_TS_NODASH": "20240131T010000",
        "RUNNER_LOGICAL_DATE": "2024-01-31T01:00:00+09:00", "RUNNER_DATA_INTERVAL_START": "2024-01-30T01:00:00+09:00",
        "RUNNER_DATA_INTERVAL_END": "2024-01-31T01:00:00+09:00", "RUNNER_PREV_DS": "2024-01-29", "RUNNER_YESTERDAY_DS": "2024-01-30",
        "RUNNER_TOMORROW_DS": "2024-02-01", "RUNNER_RUN_ID": "mart@2024-01-31", "RUNNER_PIPELINE": "mart", "RUNNER_STEP": "load",
        "RUNNER_TRY_NUMBER": "2", "RUNNER_PARAM_RE_GION": "KR", "RUNNER_PARAM_N": "1", "RUNNER_PARAM_B": "true",
        "RUNNER_PARAM_L": '[1, "한"]', "RUNNER_PARAM_E": "", "RUNNER_PARAM_D": '{"k": false}',
    }  # fmt: skip


def test_values_are_no_templates():
    context = make_context(make_run(params={"evil": "<< ds >> <% if x %> \0{ ds }\0"}))
    assert template.render("<< params.evil >>", context) == "<< ds >> <% if x %> \0{ ds }\0"


def test_preview_keeps_what_is_not_known_yet():
    text = "<< ds >> <<  outputs.later.rows | int  >> << outputs.load.rows >>"
    assert render(text, keep_unknown_outputs=True) == "2024-01-31 <<  outputs.later.rows | int  >> 5"
    assert "later" in refused(text).message
    blocks = "<% if outputs.later.rows %>\nx\n<% endif %>\n<< outputs.later.x >>"
    assert render(blocks, keep_unknown_outputs=True) == blocks
    assert render("<% if ds %>\n<< outputs.later.x >>\n<% endif %>", keep_unknown_outputs=True) == "<< outputs.later.x >>\n"
    with pytest.raises(template.TemplateError):
        render("<< params.none >>", keep_unknown_outputs=True)


# --------------------------------------------------------------------------------------------------------------- sandbox

ESCAPES = [
    "cycler.__init__.__globals__.os.popen('id').read()", "lipsum.__globals__['os'].popen('id').read()", "joiner.__class__", "namespace()",
    "ds.__class__.__mro__[1].__subclasses__()", "''.__class__ ~ ds", "ds['__class__']", "params.__class__", "params['__class__']",
    "ds_add.__globals__", "ds_add.__code__.co_filename", "(ds | attr('__class__'))", "datetime.strptime.__func__.__globals__",
    "macros.ds_add.__globals__", "logical_date.__class__", "logical_date.tzinfo", "logical_date.in_timezone.__func__", "timedelta.__subclasses__()",
    "relativedelta.__globals__", "range.__self__ ~ ds", "'{0.__class__}'.format(ds)", "ds.format_map(params)", "'%s' % ds", "ds.encode()",
    "params.tables.append('x')", "params.map.update({'x': 1})", "params.map.pop('k')", "outputs.clear()", "self ~ ds", "self.__init__",
    "logical_date.now()", "logical_date.today()", "logical_date.utcnow()", "logical_date.date().today()", "datetime.now()", "datetime.utcnow()",
    "(logical_date - logical_date).resolution", "loop", "caller()", "ds | pprint", "ds | xmlattr", "ds | tojson", "params.tables | random",
    "ds | map(attribute='__class__') | list | json", "[ds] | map(attribute='__class__') | first", "[logical_date] | map(attribute='tzinfo') | first",
    "[ds] | map('attr', '__class__') | first", "[ds] | groupby('__class__') | first", "[ds] | sum(attribute='__class__')",
]  # fmt: skip


@pytest.mark.parametrize("expression", ESCAPES)
def test_the_sandbox_holds(expression):
    message = refused(f"<< {expression} >>").message
    assert "uid=" not in message


@pytest.mark.parametrize("expression", ["logical_date.now()", "datetime.now()", "datetime.utcnow()", "logical_date.date().today()", "[datetime][0].now()"])
def test_the_clock_cannot_be_asked(expression):
    assert "the run's date is << ds >>: nothing here may ask the clock" in refused(f"<< {expression} ~ ds >>").message


HUGE = [
    "10**(10**8) + params.n", "2**5000 + params.n", "(2**4000) * (2**4000) * params.n", "'a' * 10**9 ~ ds", "10**9 * ds", "[ds] * 10**9 | length", "ds.replace('', 'x' * 900000)",
    "('a' * 900000 ~ ds) | replace('a', 'b' * 900000)", "ds.zfill(10**9)", "ds.center(10**9)", "ds.ljust(10**9)", "'%1000000000d' % params.n",
    "('x' * 900000 ~ ds).join(range(90000) | map('string'))", "range(10**9) | list | length", "range(10**6) | join(ds)", "range(90000) | join('x' * 900000)",
    "('a' * 900000) ~ ('a' * 900000) ~ ds", "('a' * 900000 + 'a' * 900000) ~ ds", "ds | center(10**9)", "ds | indent(10**9)", "[ds] | batch(10**9, 'x') | list",
    "params.n | round(10**9)", "('9' * 900000) | int + params.n", "logical_date.strftime('%999999999d')", "ds_format(ds, '%Y-%m-%d', '%999999999d')",
    "ds ~ 1.5 ** 1000000000", "(-params.n) ** 1000000000", "params.n ** params.n ** params.n ** params.n ** params.n ** params.n ** 99",
]  # fmt: skip


@pytest.mark.parametrize("expression", HUGE)
def test_nothing_huge_is_made(expression):
    started = time.process_time()
    refused(f"<< {expression} >>")
    assert time.process_time() - started < 5  # unguarded, each of them takes minutes or all memory


def test_loops_share_one_budget():
    loops = "<% for a in range(99999) %><% for b in range(99999) %><% endfor %><% endfor %>"
    assert "more than 100,000 times" in refused(loops).message
    text = "<% for a in range(99999) %><< '" + "x" * 300 + "' ~ ds >><% endfor %>"
    assert "larger than 16 MiB" in refused(text).message


# ---------------------------------------------------------------------------------------------------------- properties

_SOUP = st.lists(
    st.sampled_from(["<<", ">>", "<", ">", " ", "\n", "\t", "ds", "EOF", "'", '"', "(", ")", "{{", "}}", "<%", "%>", "!", "1", "x", "\r", "\\", "if", "|", "한", "#", "$"])
).map("".join)  # fmt: skip


@given(st.text())
def test_text_without_an_opener_is_unchanged(text):
    text = text.replace("<", "").replace("\0", "")
    assert render(text) == text


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(_SOUP)
def test_any_soup_gives_a_text_or_an_error_of_ours(text):
    found = [fault for fault in faults(text) if fault.severity == "error"]
    lines = text.split("\n")
    for fault in found:
        assert 1 <= fault.line <= len(lines) and 1 <= fault.column <= len(lines[fault.line - 1]) + 1
    try:
        out = render(text)
    except template.TemplateError:
        assert found  # what a check passes, renders: no tag of the soup can fail by its value
    else:
        assert not found or "here" not in found[0].message
        if "ds" not in text:
            assert out.replace("<<!", "<<") == out or "<<!" in text


@settings(deadline=None)
@given(st.text(alphabet=st.characters(blacklist_characters="<\0", blacklist_categories=("Cs",))), st.text(alphabet=st.characters(blacklist_characters="<\0", blacklist_categories=("Cs",))))
def test_what_stands_around_a_tag_is_kept(before, after):
    assert render(before + "<< ds >>" + after) == before + "2024-01-31" + after
    blocks = render("x" + before + "|<% if ds %>|" + after + "y<% endif %>z")  # beside a letter: alone it takes its line
    assert blocks == "x" + before + "||" + after + "yz"


@given(st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_sh_quotes_anything(value):
    quoted = template.render("<< params.v | sh >>", make_context(make_run(params={"v": value})))
    out = subprocess.run(["sh", "-c", "printf %s " + quoted], stdout=subprocess.PIPE, check=True).stdout
    assert out == value.encode("utf-8")


# ---------------------------------------------------------------------------------------------------------------- speed

ADVERSARIAL = ["x << ", "<< (", "<< '", "<<ds>>", "<< ds\n", "<< ds > ", "<< dss >>\n", "<%", "<% if ", "<< \"a' ", "<<<", "<< ' << \" ", "<< a\\", "{{ ds ", "<< EOF\n", "<< [{( >> ", "<% if x %>\n", "<<! ", "{{" ]  # fmt: skip


def _cost(text):
    best = None
    for _ in range(3):
        started = time.process_time()
        faults(text)
        try:
            render(text)
        except template.TemplateError:
            pass
        spent = time.process_time() - started
        best = spent if best is None else min(best, spent)
    return best


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_cost_grows_with_length_only(piece):
    small, large = _cost(piece * 2_000 + " "), _cost(piece * 16_000 + " ")
    assert large < 8 * 6 * small + 0.5


def test_the_same_text_for_another_date_is_not_parsed_again(monkeypatch):
    from runner.template import sandbox

    text = "load << ds >> << params.region | sh >> once more\n<% if ds %>\nx\n<% endif %>"
    plain = "load << ts >> << params.region | lower >>"
    for each in (text, plain):
        template.render(each, CONTEXT)
    parsed = []
    monkeypatch.setattr(sandbox.Environment, "_parse", lambda *args: parsed.append(args))
    other = make_context(make_run(date=make_date(datetime(2025, 3, 1, tzinfo=SEOUL))))
    assert template.render(text, other) == "load 2025-03-01 KR once more\nx\n"
    assert template.render(plain, other).startswith("load 2025-03-01T00:00:00")
    assert parsed == []


def test_a_text_without_tags_does_not_import_jinja():
    code = (
        "import sys; from runner import template\n"
        "assert template.find_faults('echo 1 > x', params=(), upstream=None) == []\n"
        "assert len(template.find_faults('{{ ds }}', params=(), upstream=None)) == 1\n"
        "assert template.render('echo 1', {}) == 'echo 1' and template.references('x') == set()\n"
        "assert 'jinja2' not in sys.modules and 'dateutil' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -------------------------------------------------------------------------------------------------------- found by tests


def test_the_indentation_of_a_block_goes_with_its_line():
    assert template.render("  <% if params.flag %>  \nb\n\t<% endif %>\nc", CONTEXT) == "b\nc"


@pytest.mark.parametrize("times, head, end", [(30, "for x in range(2)", "endfor"), (150, "if params.flag", "endif"), (1000, "if params.flag", "endif")])
def test_blocks_nested_too_deeply_are_a_fault_and_no_crash(times, head, end):
    text = f"<% {head} %>\n" * times + f"<% {end} %>\n" * times
    assert any("deeply" in fault.message for fault in template.find_faults(text, params=["flag"]))
    with pytest.raises(template.TemplateError):
        template.render(text, CONTEXT)


def test_an_event_of_tk_is_no_tag():
    assert template.find_faults("bind('<<run-module>>')") == []
    assert template.find_faults("<<run>>") and template.find_faults("<<ds-1>>") and template.find_faults("<<run.name>>")


def test_a_step_with_a_dash_is_named_in_the_first_hint():
    assert "outputs['load-raw']" in template.find_faults("<< outputs.load-raw.rows >>", upstream={"load-raw"})[0].hint


# ---------------------------------------------------------------------------------------------------------------- manual

with open(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "templates.md"), encoding="utf-8") as _file:
    MANUAL = _file.read()


def in_the_manual():
    """The run that the manual shows: 2026-02-28 of a daily pipeline in Seoul."""

    def day(number):
        start = datetime(2026, 2, 28, tzinfo=SEOUL) + timedelta(days=number)
        return model.LogicalDate(start + timedelta(days=1), start, start, start + timedelta(days=1), "Asia/Seoul")

    run = make_run(name="mart@2026-02-28", date=day(0), trigger="schedule", params={"region": "kr"})
    outputs = {"a": {"rows": 12}, "count": {"rows": "12"}, "load-raw": {"rows": "7"}}
    return make_context(run, outputs=outputs, prev_success=day(-1), previous=day(-1), following=day(1), item=("KR", 0))


def table(title):
    """The words in backticks of the first column below a heading."""
    part = MANUAL.split(f"\n## {title}\n")[1].split("\n## ")[0]
    cells = [line.split(" | ")[0] for line in part.splitlines() if line.startswith("| `") and not line.startswith("| `<<")]
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_the_manual_lists_all_names_filters_and_variables():
    assert {re.split(r"[.(]", word)[0] for word in table("Names")} == template.NAMES
    assert table("Filters") == {name for name in filters.FILTERS if not name.startswith("_")}
    variables = set(template.environment(in_the_manual()))
    assert table("Environment variables") == variables - {"RUNNER_PARAM_REGION"} | {"RUNNER_PARAM_NAME"}


@pytest.mark.parametrize("name, value", [row for row in re.findall(r"^\| `([a-z_.]+)` \| `([^`]+)`", MANUAL, re.M)])
def test_values_in_the_manual(name, value):
    assert template.render(f"<< {name} >>", in_the_manual()) == value


@pytest.mark.parametrize("text, wanted", re.findall(r"^\| `(<<[^`]*)` \| `([^`]*)` \|$", MANUAL, re.M))
def test_examples_in_the_manual(text, wanted):
    assert template.render(text, in_the_manual()) == wanted


@pytest.mark.parametrize("text", re.findall(r"```(?:sql|sh)\n(.*?)```", MANUAL, re.S))
def test_listings_in_the_manual(text):
    assert template.find_faults(text, params=["region"]) == []
    assert template.render(text, in_the_manual()) != text
