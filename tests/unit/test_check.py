"""From text to Pipeline: what each key becomes, what a second pass finds, and that a large file costs in proportion."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import pytest

from runner.errors import EnvironmentFault, InvalidPipeline
from runner.spec import check, scripts
from runner.spec.graph import Above, Graph
from runner.spec.words import hint, nearest

SITE = check.Site("Asia/Seoul")


def load(text, **changes):
    """The pipeline of a good text."""
    result = run(text, **changes)
    assert not result.errors, result.errors
    return result.pipeline


def run(text, path="", **changes):
    return check.check_text(textwrap.dedent(text), path=path, name="mart", site=check.Site("Asia/Seoul", **changes))


def messages(text, **changes):
    return [problem.message for problem in run(text, **changes).problems]


ONE = """\
steps:
  - id: a
    bash: echo a
"""


# ------------------------------------------------------------------------------------------------------------ contents


def test_the_smallest_file():
    pipeline = load(ONE)
    assert (pipeline.name, pipeline.timezone, pipeline.logical_date, pipeline.schedule) == ("mart", "Asia/Seoul", "due", None)
    assert (pipeline.catchup, pipeline.max_active_runs, pipeline.max_active_steps) == ("last", 1, None)
    step = pipeline.step("a")
    assert (step.kind, step.body, step.line, step.needs) == ("bash", {"run": "echo a"}, 2, ())
    assert (step.retry.limit, step.retry.delay, step.kill_grace, step.skip_exit, step.on_lost) == (0, 300.0, 30.0, 99, "retry")
    assert (step.inherit_env, step.template, step.timeout, step.when) == (True, True, None, None)


def test_the_site_says_what_a_file_does_not():
    assert load(ONE, logical_date="interval_start").logical_date == "interval_start"
    assert load("logical_date: due\n" + ONE, logical_date="interval_start").logical_date == "due"


def test_a_step_with_everything():
    step = load("""\
        steps:
          - {id: x, bash: echo}
          - id: a
            description: d
            needs: x
            when: << outputs.x.rows > 0 >>
            trigger_rule: all_done
            retries: 3
            retry_delay: 1m
            retry_exponential_backoff: true
            max_retry_delay: 10m
            retry_jitter: 10%
            retry_on_exit: [75]
            retry_not_on_exit: [2, 3]
            timeout: 1h30m
            kill_grace: 0
            allow_failure: true
            skip_exit: null
            on_lost: fail
            env: {A: 3.10, B: true, C: x}
            inherit_env: [JAVA_HOME]
            cwd: /data
            template: false
            priority_weight: 5
            bash: echo
        """).step("a")
    assert (step.needs, step.when, step.trigger_rule) == (("x",), "outputs.x.rows > 0", "all_done")
    retry = step.retry
    assert (retry.limit, retry.delay, retry.backoff, retry.max_delay, retry.jitter) == (3, 60.0, 2.0, 600.0, 0.1)
    assert (retry.on_exit, retry.not_on_exit) == ((75,), (2, 3))
    assert (step.timeout, step.kill_grace, step.allow_failure, step.skip_exit, step.on_lost) == (5400.0, 0.0, True, None, "fail")
    assert (step.env, step.inherit_env) == ({"A": "3.10", "B": "true", "C": "x"}, ("JAVA_HOME",))
    assert (step.cwd, step.template, step.priority_weight, step.description) == ("/data", False, 5, "d")


def test_defaults_lie_under_each_step():
    pipeline = load("""\
        defaults: {retries: 2, retry_delay: 1m, timeout: 1h, env: {A: a, B: b}, cwd: /x, skip_exit: 7}
        steps:
          - {id: a, bash: echo}
          - {id: b, bash: echo, retries: 0, timeout: 5, env: {B: c}, skip_exit: null}
        """)
    a, b = pipeline.steps
    assert (a.retry.limit, a.retry.delay, a.timeout, a.env, a.cwd, a.skip_exit) == (2, 60.0, 3600.0, {"A": "a", "B": "b"}, "/x", 7)
    assert (b.retry.limit, b.retry.delay, b.timeout, b.env, b.skip_exit) == (0, 60.0, 5.0, {"A": "a", "B": "c"}, None)


@pytest.mark.parametrize("said, becomes", [("true", "all"), ("false", "last"), ("last", "last"), ("all", "all"), ("none", "none")])
def test_catchup_knows_airflows_words(said, becomes):
    assert load(f"catchup: {said}\n" + ONE).catchup == becomes


def test_one_tag_or_many():
    assert load("tags: mart\n" + ONE).tags == ("mart",)
    assert load("tags: [a, b]\n" + ONE).tags == ("a", "b")


@pytest.mark.parametrize("body, kind, default, required", [
    ("KR", "string", "KR", False), ("3", "integer", 3, False), ("0.5", "number", 0.5, False), ("true", "boolean", True, False),
    ("[a]", "list", ["a"], False), ("{type: string}", "string", None, True), ("{default: 3}", "integer", 3, False),
    ("{type: date, default: 2026-01-31}", "date", "2026-01-31", False), ("{type: object, default: {a: 1}}", "object", {"a": 1}, False),
    ("{type: number, default: 3}", "number", 3, False), ("{}", "string", None, True),
])
def test_params(body, kind, default, required):
    param = load(f"params: {{x: {body}}}\n" + ONE).params["x"]
    assert (param.type, param.default, param.required) == (kind, default, required)


def test_a_version_number_keeps_its_spelling():
    result = run("params: {version: 3.10}\n" + ONE)
    assert result.pipeline.params["version"].default == "3.10"
    assert [problem.severity for problem in result.problems] == ["warning"]


def test_schedule_and_its_bounds():
    pipeline = load('timezone: Asia/Seoul\nschedule: "0 1 * * *"\nstart_date: 2026-01-01\nend_date: 2026-12-31\n' + ONE)
    assert pipeline.schedule.cron == "0 1 * * *"
    assert pipeline.schedule.start.isoformat() == "2026-01-01T00:00:00+09:00"


# -------------------------------------------------------------------------------------------------------- second pass


def test_all_faults_come_at_once_in_the_order_of_the_file():
    problems = run("ownr: me\ntimezone: KST\nsteps:\n  - {id: a, bash: echo << dz >>, retries: two, needs: z}\n").problems
    assert [problem.line for problem in problems] == [1, 2, 4, 4, 4]
    assert [problem.column for problem in problems] == sorted([1]) + [11] + sorted(problem.column for problem in problems[2:])


@pytest.mark.parametrize("step, warned", [
    ("bash: ./count.sh", True), ("bash: {script: count.sh}", True), ("python: 'print(1)'", True), ("ssh: {connection: far, run: ls}", True),
    ("python: {function: lib.count}", False), ("python: 'import json'", False), ("foreach: [a, b]\n    bash: ./count.sh", False),
    ("bash: 'echo {\\\"rows\\\":1}'", False), ("noop:", False), ("sql: {connection: dw, sql: select 1}", False),
])  # fmt: skip
def test_a_comparison_is_warned_of_where_the_outputs_are_surely_texts(step, warned):
    text = f"steps:\n  - id: a\n    {step}\n  - id: b\n    needs: a\n    bash: echo\n    when: << WHEN >>\n"
    found = [message for message in messages(text.replace("WHEN", "outputs.a.rows == 0")) if "is a text" in message]
    assert len(found) == warned
    for better in ("outputs.a.rows | int == 0", "outputs.a.rows == '0'", "outputs.a.rows.n == 0", "outputs.a.rows", "not outputs.a.rows"):
        assert not [message for message in messages(text.replace("WHEN", better)) if "is a text" in message]


def test_korean_parameters_have_variables_of_their_own_and_a_shell_reads_none_of_them():
    result = run("""\
        params: {지역: 서울, 부서: 영업, 나라: KR, 부: 1}
        steps:
          - id: a
            bash: |
              echo $RUNNER_PARAM_지역으로 << params.부서 | sh >> '$RUNNER_PARAM_N'
              echo "${RUNNER_PARAM_부서}"; python3 -c 'import os; os.environ["RUNNER_PARAM_나라"]'
        """)
    assert [(p.line, p.column, p.severity, p.message.split(":")[0], p.hint.split(",")[0]) for p in result.problems] == [
        (5, 12, "warning", "bash has no variable $RUNNER_PARAM_지역", "write << params.지역 | sh >>"),
        (6, 13, "warning", "bash has no variable $RUNNER_PARAM_부서", "write << params.부서 | sh >>"),
    ]


@pytest.mark.parametrize("keys", ['bash: echo << ds_add(ds) >>', 'when: "<< ds >>"\n    bash: echo', 'when: "<< ds > 1 >>"\n    bash: echo', 'foreach: << ds - 1 >>\n    bash: echo'])
def test_a_stored_definition_stands_though_a_step_of_it_would_fail(keys):
    text = f"steps:\n  - id: a\n    {keys}\n"
    assert run(text).pipeline is None
    assert check.load_text(text, "/x/mart.yaml", "mart", SITE).steps[0].id == "a"


def test_a_warning_does_no_harm():
    result = run("steps:\n  - {id: a, bash: echo, trigger_rule: all_done}\n")
    assert result.pipeline is not None and result.pipeline.warnings == result.problems
    assert [problem.severity for problem in result.problems] == ["warning"]


@pytest.mark.parametrize("text, key", [
    ("steps:\n  - {id: a, bash: echo, retry_delay: 5m}\n", "retry_delay"),
    ("steps:\n  - {id: a, bash: echo, retries: 2, max_retry_delay: 5m}\n", "max_retry_delay"),
    ("catchup_limit: 3\nschedule: '@daily'\n" + ONE, "catchup_limit"),
    ("start_date: 2026-01-01\n" + ONE, "start_date"),
])
def test_what_has_no_effect_is_told(text, key):
    (problem,) = run(text).problems
    assert problem.severity == "warning" and problem.message.startswith(key + ":")


def test_retries_of_defaults_count():
    assert not messages("defaults: {retries: 2}\nsteps:\n  - {id: a, bash: echo, retry_delay: 5m}\n")


def test_a_fault_of_a_condition_has_its_place():
    problem = run('steps:\n  - id: a\n    bash: echo\n    when: "<< dz == 1 >>"\n').problems[0]
    assert (problem.line, problem.column) == (4, 15)


def test_a_fault_inside_a_block_is_told_where_it_stands():
    problem = run("steps:\n  - id: a\n    bash: |\n      echo one\n        echo << dz >>\n").problems[0]
    assert (problem.line, problem.column, problem.source, problem.where) == (5, 14, "        echo << dz >>", "steps[0].bash")


def test_outputs_may_be_read_of_what_is_above():
    good = "steps:\n  - {id: a, bash: echo}\n  - {id: b, needs: a, noop: }\n  - {id: c, needs: b, bash: echo << outputs.a.x >>}\n"
    assert not run(good).problems
    assert "not upstream" in messages(good.replace("needs: b", "needs: []"))[0]


def test_a_step_without_template_may_hold_anything():
    assert not messages("steps:\n  - {id: a, template: false, bash: echo << dz >>}\n")
    assert messages("steps:\n  - {id: a, template: false, env: {X: << dz >>}, bash: echo}\n")


def test_a_called_file_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.sql").write_text("select 1\nwhere d = '<< dz >>'\n")
    path = tmp_path / "mart.yaml"
    path.write_text("steps:\n  - id: a\n    hive: {file: x.sql}\n  - id: b\n    bash: {script: gone.sh}\n  - id: c\n    bash: {script: /gone/x.sh}\n")
    with pytest.raises(InvalidPipeline) as caught:
        check.load_pipeline(str(path), SITE)
    found = [(p.file, p.line, p.severity) for p in caught.value.problems]
    assert found == [("mart.yaml", 5, "error"), ("mart.yaml", 7, "warning"), ("x.sql", 2, "error")]


def test_asking_the_clock_for_a_date_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.sh").write_text("#!/bin/bash\nDAY=$(date +%Y%m%d)\n")
    path = tmp_path / "mart.yaml"
    path.write_text("steps:\n  - id: a\n    bash: |\n      cp in.csv $(date +%F).csv\n  - id: b\n    bash: ./x.sh\n  - id: c\n    bash: {script: x.sh}\n")
    warnings = check.load_pipeline(str(path), SITE).warnings
    assert [(p.file, p.line, p.severity) for p in warnings] == [("mart.yaml", 4, "warning"), ("x.sh", 2, "warning")]


@pytest.mark.parametrize("value, piece, hint", [
    ("/opt/x:$PATH", "$PATH", 'write the whole path; or in the script: export PATH="/opt/x:$PATH"'), ("${HOME}/x", "${HOME}", "write the value itself"),
    ("a ${X:-b}", "${X:-b}", "write the value itself"), ("$(date +%F)", "$(date +%F)", "write the date of the run: << ds >>"), ("`date -d yesterday`", "`date -d yesterday`", "write the date"),
    ("~/x", "~/", "write the whole path"), ("/a:~/x", "~/", "write the whole path"), ("$RUNNER_DS", "$RUNNER_DS", "write << ds >>"),
    ("${RUNNER_PARAM_REGION}", "${RUNNER_PARAM_REGION}", "write << params.region >>"), ("$(hostname)", "$(hostname)", "write the value itself"),
])
def test_what_only_a_shell_would_fill_in_is_told_where_none_reads_it(value, piece, hint):
    for text in (f"env: {{PATH: '{value}'}}\n" + ONE, f"defaults: {{env: {{PATH: '{value}'}}}}\n" + ONE, ONE + f"    env: {{PATH: '{value}'}}\n"):
        (problem,) = run(text).problems
        assert (problem.severity, problem.message) == ("warning", f"env: PATH: {piece} stays as it is: no shell reads the values of env:")
        assert problem.hint.startswith(hint) and problem.source[problem.column - 1 :].startswith(piece)
    for body in ("bash: {run: x, args: [%s]}", "spark-submit: {application: 'hdfs:/x.py', args: [%s]}", "ssh: {host: h, run: x, args: [%s]}"):
        (problem,) = run("steps:\n  - id: a\n    " + body % f"'{value}'" + "\n").problems
        assert (problem.severity, problem.message) == ("warning", f"args: {piece} stays as it is: no shell reads the words of args:")


@pytest.mark.parametrize("value", [
    "<< ds >>", "a$", "$", "$1", "$$X", "\\$X", "${hivevar:ds}", "${user.name}", "a~b", "x~/y", "`order`", "<< ''$HOME'' >>", "US$ 5", "a(b)",
])
def test_what_no_shell_would_fill_in_either_is_left_alone(value):
    assert not messages(ONE + f"    env: {{X: '{value}'}}\n")
    assert not messages("steps:\n  - id: a\n    bash: {run: x, args: ['<< ds >>', '${hivevar:ds}', 3]}\n")


def test_a_shell_reads_the_text_of_a_step():
    assert not messages("steps:\n  - id: a\n    bash: export PATH=/opt/x:$PATH; ls ~/x $(date +%T)\n")


def folds(kind, *lines):
    """What is said of these lines as a folded block."""
    body = "".join(f"        {line}\n" for line in lines)
    return messages(f"steps:\n  - id: a\n    {kind}: >\n{body}  - id: b\n    bash: echo\n")


@pytest.mark.parametrize("kind, lines", [
    ("bash", ["echo a", "echo b"]), ("bash", ["set -e", "", "echo a", "./load.sh"]), ("bash", ["# the load", "./load.sh"]), ("bash", ["cd /x", "ls"]),
    ("bash", ["echo 'a b'  # why", "x"]), ("bash", ["x=1", "y", "echo $x"]), ("python", ["import os", "print(os.getcwd())"]), ("python", ["x = '<< ds >>'", "print(x)"]),
    ("python", ["# day", "print(1)"]), ("hive", ["select 1 -- one", "from t"]), ("bash", ["if true; then", "echo a", "echo b", "fi"]),
])
def test_a_folded_block_whose_lines_were_meant_as_lines(kind, lines):
    (message,) = folds(kind, *lines)
    assert message.startswith("> makes one line of the lines below it")


@pytest.mark.parametrize("kind, lines", [
    ("bash", ["spark-submit", "--master yarn", "ls << ds >>"]), ("bash", ["cp a", "b"]), ("bash", ["echo a &&", "echo b"]), ("bash", ["echo a", "| cat"]),
    ("bash", ["echo a;", "echo b"]), ("bash", ["echo a \\\\", "ls"]), ("bash", ["echo a", "", "echo b"]), ("bash", ["for x in a; do", "  echo $x", "done"]),
    ("bash", ["A=1", "B=2", "./load.sh"]), ("bash", ["sudo -u x", "hive x"]), ("bash", ['hive "select 1', 'set x', 'from t"']), ("bash", ["echo a"]),
    ("bash", ["echo 'a # b'", "c"]), ("hive", ["select 1", "from t"]), ("python", ["print(", "1)"]), ("python", ["x =", "y ="]), ("bash", ["./load.sh", "in out"]),
])
def test_a_folded_block_that_is_one_line(kind, lines):
    assert folds(kind, *lines) == []


def test_a_folded_block_is_found_below_a_key_and_behind_an_anchor(tmp_path):
    (problem,) = run("steps:\n  - id: a\n    bash:\n      run: &x >-  # why\n        echo a\n        echo b\n").problems
    assert (problem.line, problem.column, problem.severity) == (4, 12, "warning")
    (tmp_path / "_part.yaml").write_text("steps:\n  - id: a\n    bash: >\n      echo a\n      echo b\n")
    result = check.check_text("include: _part.yaml\n", path=str(tmp_path / "mart.yaml"), name="mart", site=SITE)
    assert [(Path(problem.file).name, problem.line) for problem in result.problems] == [("_part.yaml", 3)]


def clocks(tmp_path, step, top=""):
    """The scripts in which the check of a pipeline with this step finds a clock, as seen from its folder."""
    path = tmp_path / "mart.yaml"
    path.write_text(f"{top}steps:\n  - id: a\n" + textwrap.indent(textwrap.dedent(step), "    "))
    result = check.check_text(path.read_text(), path=str(path), name="mart", site=SITE)
    assert not result.errors, result.errors
    return [str(Path(problem.file).resolve().relative_to(tmp_path.resolve())) for problem in result.problems]


@pytest.mark.parametrize("step, top", [
    ("cwd: etl\nbash: ./bin/load.sh", ""),
    ("cwd: HERE/etl\nbash: ./bin/load.sh", ""),
    ("bash: bin/load.sh", "defaults: {cwd: etl}\n"),
    ("cwd: .\nbash: cd etl && ./bin/load.sh", "defaults: {cwd: /gone}\n"),
    ("bash: cd HERE/etl && ./bin/load.sh", ""),
    ("bash: . ~/.profile; cd etl; ./bin/load.sh", ""),
    ("bash: (cd etl && ./bin/load.sh)", ""),
    ("bash: |\n  # the day\n  set -x\n  cd 'etl'\n  cd bin\n  ./load.sh", ""),
    ("cwd: << params.dir >>\nbash: cd HERE/etl && bin/load.sh", "params: {dir: x}\n"),
    ("bash: HERE/etl/bin/load.sh << ds >>", ""),
    ("cwd: etl/bin\nbash: ../bin/load.sh", ""), ("cwd: etl\nbash: (cd /gone && ls); ./bin/load.sh", ""),
])
def test_a_called_script_is_looked_for_where_the_step_works(tmp_path, step, top):
    (tmp_path / "etl" / "bin").mkdir(parents=True)
    (tmp_path / "etl" / "bin" / "load.sh").write_text("#!/bin/bash\nDAY=$(date +%Y%m%d)\n")
    assert clocks(tmp_path, step.replace("HERE", str(tmp_path)), top) == ["etl/bin/load.sh"]


@pytest.mark.parametrize("step, top", [
    ("cwd: other\nbash: ./load.sh", ""), ("bash: cd other && ./load.sh", ""), ("bash: cd $DIR && ./load.sh", ""), ("cwd: << params.dir >>\nbash: ./load.sh", "params: {dir: x}\n"),
    ("bash: echo $X/load.sh ~x/load.sh http://x/load.sh", ""), ("ssh: {host: h, run: ./load.sh}", ""),
])
def test_no_other_script_of_its_name_is_taken_for_it(tmp_path, step, top):
    (tmp_path / "load.sh").write_text("DAY=$(date +%Y%m%d)\n")
    assert clocks(tmp_path, step, top) == []


@pytest.mark.parametrize("name, first, command, seen", [
    ("x.ksh", "", "./x.ksh", True), ("x.ksh", "", "ksh x.ksh", True), ("load", "#!/bin/bash", "./load", True), ("load", "#! /usr/bin/env ksh", "exec ./load", True),
    ("load", "", "bash -e load", True), ("load", "", "nohup ksh -x ./load << ds >> &", True), ("load", "#!/usr/bin/perl", "./load", False), ("load", "\x7fELF", "./load", False),
    ("load", "#!/bin/sh", "set -e; ./load", True), ("load", "#!/bin/sh", "echo ./load", False),
])
def test_what_language_a_called_script_has(tmp_path, name, first, command, seen):
    (tmp_path / name).write_text(first + "\nDAY=$(date +%Y%m%d)\n")
    assert clocks(tmp_path, f"bash: '{command}'") == ([name] if seen else [])


def test_a_script_that_is_not_there_yet_is_among_the_files(tmp_path):
    result = check.check_text("steps:\n  - {id: a, cwd: etl, bash: ./load.sh}\n", path=str(tmp_path / "mart.yaml"), name="mart", site=SITE)
    assert result.files == (str(tmp_path / "etl" / "load.sh"),)


@pytest.mark.parametrize("piece", ["; ", "(", "bash ", "/", "./", "cd ", "(cd ", "A=x ", ";A=", "a.sh", "./a/b ", "cd a\n", "-", ";/a/", "exec "])
def test_looking_for_called_scripts_takes_linear_time(piece):
    def took(times):
        start = time.process_time()
        scripts.called(piece * times, "/x")
        return time.process_time() - start

    small = min(took(2000) for _ in range(3))
    assert min(took(8000) for _ in range(3)) < 12 * small + 0.05


def test_a_stored_definition_stands_without_its_files():
    text = "steps:\n  - id: a\n    bash: {script: gone.sh}\n"
    assert check.load_text(text, "/nowhere/mart.yaml", "mart", SITE).step("a").body == {"script": "gone.sh"}


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(EnvironmentFault) as caught:
        check.load_pipeline(str(tmp_path / "x.yaml"), SITE)
    assert "No such file" in caught.value.message


def test_a_name_may_be_given(tmp_path):
    path = tmp_path / "daily.yaml"
    path.write_text(ONE)
    assert check.load_pipeline(str(path), SITE).name == "daily"
    assert check.load_pipeline(str(path), SITE, name="other").name == "other"


def test_bytes_and_text_say_the_same():
    korean = "description: 고객 마트\n" + ONE
    assert check.check_text(korean.encode(), path="", name="x", site=SITE).pipeline == check.check_text(korean, path="", name="x", site=SITE).pipeline


def test_a_broken_line_is_told_once():
    assert len(messages("steps:\n  - id: a\n    bash: {{ ds }}\n")) == 1


# --------------------------------------------------------------------------------------------------------------- graph


def test_circles_are_named_once_from_their_first_step():
    graph = Graph({"a": ["c"], "b": ["a"], "c": ["b"], "d": ["c"], "e": ["f"], "f": ["e"]})
    assert graph.circles() == [["a", "c", "b"], ["e", "f"]]


def test_a_chain_of_thousands_needs_no_recursion():
    count = 20000
    needs = {str(i): [str(i - 1)] if i else [] for i in range(count)}
    assert Graph(needs).circles() == []
    assert len(Above(needs, str(count - 1))) == count - 1
    needs["0"] = [str(count - 1)]
    assert len(Graph(needs).circles()[0]) == count


def test_the_nearest_above_is_found_without_walking_all():
    class Counting(dict):
        asked = 0

        def get(self, *words):
            Counting.asked += 1
            return super().get(*words)

    needs = Counting({str(i): [str(i - 1)] if i else [] for i in range(1000)})
    assert "998" in Above(needs, "999") and Counting.asked < 5
    assert "999" not in Above(needs, "999") and "x" not in Above(needs, "5")


def long_file(count, name):
    """A chain in which each step reads the one before; other names, so that nothing parsed before is remembered."""
    lines = [f"  - id: {name}0\n    bash: echo << ds >>\n"]
    for i in range(1, count):
        lines.append(f"  - id: {name}{i}\n    needs: [{name}{i - 1}]\n    bash: echo << outputs.{name}{i - 1}.n >>\n")
    return "steps:\n" + "".join(lines)


def test_the_cost_grows_with_the_file_and_not_with_its_square():
    run(long_file(200, "warm"))  # imports
    seconds = []
    for count, name in ((500, "a"), (4000, "b")):
        start = time.process_time()
        assert len(load(long_file(count, name)).steps) == count
        seconds.append(time.process_time() - start)
    assert seconds[1] < 8 * seconds[0] * 3  # the square would be 64 times


# --------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize("word, ours", [
    ("retry", "retries"), ("schedul", "schedule"), ("stpes", "steps"), ("need", "needs"), ("timeouts", "timeout"), ("RETRIES", "retries"),
    ("bsh", "bash"), ("all_sucess", "all_success"), ("maxActiveRuns", "max_active_runs"),
])
def test_did_you_mean(word, ours):
    assert nearest(word, ["retries", "schedule", "steps", "needs", "timeout", "bash", "all_success", "max_active_runs", "env", "cwd"]) == ours


def test_a_word_that_is_like_none():
    assert nearest("zzz", ["retries"]) == ""
    assert hint("zzz", ["b", "a"], {}) == "known here: a, b"
    assert hint("deploy-mode", ["deploy_mode"], {}) == "write deploy_mode:"
    assert hint("deployMode", ["deploy_mode"], {}) == "write deploy_mode:"
