"""extends and include: what comes of several files, where each value was written, and the one text that a run keeps."""

from __future__ import annotations

import os
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.cli.app import App
from runner.errors import InvalidPipeline, NotFound
from runner.spec import check, flat, folder, merge, nodes, parts
from runner.store.store import definition_hash
from runner.workorder import Site as JobSite
from runner.workorder import make_job
from tests.conftest import add_run

SITE = check.Site("Asia/Seoul")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """files(name=text ...): written below a folder, which is where the person stands; `__` in a name is a slash."""
    monkeypatch.chdir(tmp_path)

    def write(**texts):
        for name, text in texts.items():
            path = tmp_path / (name.replace("__", "/") + ".yaml")
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")
        return tmp_path

    return write


def run(name="main"):
    path = os.path.abspath(name + ".yaml")
    with open(path, "rb") as file:
        return check.check_text(file.read(), path=path, name=name, site=SITE, shown=name + ".yaml")


def load(name="main"):
    result = run(name)
    assert not result.problems, result.problems
    return result.pipeline


def said(name="main"):
    return [(problem.file, problem.line, problem.column, problem.message) for problem in run(name).problems]


BASE = """\
    owner: data-team
    tags: [a, b]
    env: {ONE: "1", TWO: "2"}
    params:
      region: {type: string, enum: [KR, US], default: KR}
    defaults: {retries: 2, env: {DEEP: base}}
    steps:
      - id: load
        timeout: 1h
        bash: echo load
      - id: mart
        needs: [load]
        spark-submit: {application: hdfs:///mart.py, conf: {spark.a: 1, spark.b: 2}}
    """


# ------------------------------------------------------------------------------------------------------------- merging


def test_a_pipeline_takes_everything_of_another(files):
    files(_base=BASE, main="extends: _base.yaml\n")
    files(same=BASE)
    taken, whole = load(), load("same")
    assert [(step.id, step.body, step.needs, step.retry) for step in taken.steps] == [(step.id, step.body, step.needs, step.retry) for step in whole.steps]
    assert (taken.owner, taken.tags, taken.env, taken.params) == (whole.owner, whole.tags, whole.env, whole.params)
    assert taken.name == "main"


def test_mappings_merge_and_all_else_replaces(files):
    files(_base=BASE, main="""\
        extends: _base.yaml
        tags: [c]
        env: {TWO: zwei, THREE: drei}
        defaults: {env: {DEEP: own, MORE: x}}
        steps:
          - id: mart
            needs: []
            spark-submit: {conf: {spark.b: 3, spark.c: 4}}
        """)
    pipeline = load()
    assert pipeline.tags == ("c",) and pipeline.env == {"ONE": "1", "TWO": "zwei", "THREE": "drei"}
    assert pipeline.step("load").env == {"DEEP": "own", "MORE": "x"} and pipeline.step("load").retry.limit == 2
    assert pipeline.step("mart").needs == ()
    assert pipeline.step("mart").body == {"application": "hdfs:///mart.py", "conf": {"spark.a": 1, "spark.b": 3, "spark.c": 4}}


def test_steps_merge_by_id_where_they_stood_and_new_ones_follow(files):
    files(_base=BASE, main="""\
        extends: _base.yaml
        steps:
          - {id: new, bash: echo new}
          - {id: load, timeout: 2h, needs: new}
        """)
    pipeline = load()
    assert [step.id for step in pipeline.steps] == ["load", "mart", "new"]
    assert (pipeline.step("load").timeout, pipeline.step("load").body, pipeline.step("load").needs) == (7200, {"run": "echo load"}, ("new",))


def test_a_step_of_another_kind_takes_nothing_of_the_old_body(files):
    files(_base=BASE, main="extends: _base.yaml\nsteps:\n  - {id: load, python: print(1)}\n")
    step = load().step("load")
    assert (step.kind, step.body, step.timeout) == ("python", {"code": "print(1)"}, 3600)


@pytest.mark.parametrize("low, high, default, enum", [
    ("{type: string, enum: [KR, US], default: KR}", "US", "US", ("KR", "US")),
    ("KR", "{enum: [KR, US]}", "KR", ("KR", "US")),
    ("{default: KR, enum: [KR]}", "{enum: [KR, US]}", "KR", ("KR", "US")),
    ("KR", "US", "US", None),
])
def test_a_default_alone_changes_the_default(files, low, high, default, enum):
    files(_base=f"params: {{region: {low}}}\nsteps: [{{id: a, bash: echo a}}]\n", main=f"extends: _base.yaml\nparams: {{region: {high}}}\n")
    region = load().params["region"]
    assert (region.default, region.enum) == (default, enum)


def test_null_takes_out_and_a_forgotten_value_does_not(files):
    files(_base="schedule: '@daily'\nenv: {A: a, B: b}\ndefaults: {skip_exit: 7, timeout: 1h}\nsteps:\n  - {id: a, bash: echo a}\n",
          main="extends: _base.yaml\nschedule: null\nenv: {A: ~}\ndefaults: {skip_exit: null, timeout: null}\n")
    pipeline = load()
    assert (pipeline.schedule, pipeline.env, pipeline.step("a").skip_exit, pipeline.step("a").timeout) == (None, {"B": "b"}, None, None)
    files(main="extends: _base.yaml\nenv:\n  A:\n")
    assert said() == [("main.yaml", 3, 5, "env.A: must be text, a number or true or false, not nothing")]


def test_included_steps_come_first_and_the_files_own_word_counts(files):
    files(_one="steps: [{id: one, bash: echo 1}]\nenv: {A: one, B: one, C: one}\n", _two="steps: [{id: two, bash: echo 2}]\nenv: {B: two, C: two}\n",
          _base="steps: [{id: base, bash: echo b}]\nenv: {A: base, D: base}\n",
          main="include: [_one.yaml, _two.yaml]\nextends: _base.yaml\nenv: {C: own}\nsteps: [{id: own, bash: echo own}]\n")
    pipeline = load()
    assert [step.id for step in pipeline.steps] == ["base", "one", "two", "own"]
    assert pipeline.env == {"A": "one", "B": "two", "C": "own", "D": "base"}


def test_a_chain_and_a_file_that_two_ways_lead_to(files):
    files(_a="env: {A: a, B: a}\nsteps: [{id: a, bash: echo a}]\n", sub___b="extends: ../_a.yaml\nenv: {B: b}\n", _c="include: _a.yaml\nenv: {C: c}\n",
          main="extends: sub/_b.yaml\ninclude: _c.yaml\n")
    pipeline = load()
    assert pipeline.env == {"A": "a", "B": "a", "C": "c"} and [step.id for step in pipeline.steps] == ["a"]
    assert run().files == tuple(os.path.abspath(name) for name in ("_a.yaml", "_c.yaml", "sub/_b.yaml"))


def test_anchors_are_put_in_before_files_are_merged_and_x_keys_stay_at_home(files):
    files(_base="x-far: &far {timeout: 1h, retries: 1}\nsteps:\n  - {id: a, <<: *far, retries: 3, bash: echo a}\n",
          main="extends: _base.yaml\nx-far: {whatever: 1}\nx-often: &often {retries: 9}\nsteps:\n  - {id: a, <<: [*often]}\n")
    step = load().step("a")
    assert (step.timeout, step.retry.limit) == (3600, 9)
    files(main="extends: _base.yaml\nsteps:\n  - {id: a, <<: *far}\n")
    assert "far" in run().problems[0].message


# -------------------------------------------------------------------------------------------------------------- places


def test_a_fault_that_only_the_whole_shows_is_told_where_its_text_stands(files):
    files(common___steps="""\
        steps:
          - id: load
            needs: [nowhere]
            bash: |
              echo one
              echo << params.regon >>
        """, main="""\
        include: common/_steps.yaml
        params: {region: KR}
        steps:
          - {id: end, needs: lod, bash: echo end}
        """)
    assert said() == [
        ("common/_steps.yaml", 3, 13, "needs: there is no step 'nowhere'"),
        ("common/_steps.yaml", 6, 12, "<< params.regon >>: there is no parameter 'regon'"),
        ("main.yaml", 4, 22, "needs: there is no step 'lod'"),
    ]
    assert run().problems[1].source == "      echo << params.regon >>"


def test_two_halves_of_one_step_are_told_each_at_its_place(files):
    files(_base="steps:\n  - id: a\n    timeout: soon\n    bash: echo a\n", main="extends: _base.yaml\nsteps:\n  - id: a\n    retry_delay: later\n    retries: 1\n")
    assert [place[:3] for place in said()] == [("_base.yaml", 3, 14), ("main.yaml", 4, 18)]


def test_what_one_file_needs_of_the_other_in_a_circle(files):
    files(_base="steps:\n  - {id: a, needs: b, bash: echo a}\n  - {id: b, bash: echo b}\n", main="extends: _base.yaml\nsteps: [{id: b, needs: a}]\n")
    (place,) = said()
    assert place[3] == "the steps need each other in a circle: a -> b -> a"


def test_a_circle_of_files_and_too_long_a_chain(files):
    files(main="extends: _one.yaml\n", _one="extends: _two.yaml\n", _two="include: _one.yaml\n")
    assert said() == [("_two.yaml", 1, 10, "the files take each other in a circle: _one.yaml -> _two.yaml -> _one.yaml")]
    files(main="extends: main.yaml\n")
    assert "circle: main.yaml -> main.yaml" in said()[0][3]
    files(main="extends: _0.yaml\n", **{f"_{n}": f"extends: _{n + 1}.yaml\n" for n in range(merge.MAX_CHAIN)})
    files(**{f"_{merge.MAX_CHAIN}": "steps: [{id: a, bash: echo a}]\n"})
    assert said() == [(f"_{merge.MAX_CHAIN - 1}.yaml", 1, 10, f"extends: more than {merge.MAX_CHAIN} files, each of which takes the next")]
    files(**{f"_{merge.MAX_CHAIN - 1}": "steps: [{id: a, bash: echo a}]\n"})
    assert load().steps


def test_too_many_files(files):
    count = merge.MAX_FILES
    files(main=f"include: [{', '.join(f'_{n}.yaml' for n in range(count + 1))}]\nsteps: [{{id: a, bash: echo a}}]\n", **{f"_{n}": "env: {A: a}\n" for n in range(count + 1)})
    assert [place[3] for place in said()] == [f"include: the pipeline takes more than {count} files"]


def test_a_pipe_is_no_part_and_a_text_without_a_file_takes_none(files, tmp_path):
    files(main="extends: _pipe.yaml\n")
    os.mkfifo(tmp_path / "_pipe.yaml")
    assert said()[0][3] == "_pipe.yaml cannot be read: it is not a plain file"
    result = check.check_text("extends: _base.yaml\n", path="", name="x", site=SITE)
    assert [problem.message for problem in result.problems] == ["extends: a text without a file cannot take another"]


# --------------------------------------------------------------------------------------------------------------- paths


def test_relative_paths_start_at_the_file_that_wrote_the_step(files, tmp_path):
    files(common___base="""\
        defaults: {cwd: work}
        steps:
          - {id: script, bash: {script: bin/x.sh}}
          - {id: inline, bash: ./bin/x.sh, cwd: .}
          - {id: far, bash: echo, cwd: /tmp}
          - {id: asks, bash: echo, cwd: << params.place >>}
        params: {place: /tmp}
        """, main="""\
        extends: common/_base.yaml
        steps:
          - {id: own, bash: {script: y.sh}, cwd: here}
          - {id: script, timeout: 1h}
        """)
    (tmp_path / "common/bin").mkdir()
    (tmp_path / "common/bin/x.sh").write_text("date +%F\n")
    (tmp_path / "y.sh").write_text("echo y\n")
    result = run()
    assert [(problem.file, problem.severity) for problem in result.problems] == [("common/bin/x.sh", "warning")]  # the called file was found and read
    steps = {step.id: (step.folder, step.cwd) for step in result.pipeline.steps}
    common = str(tmp_path / "common")
    assert steps == {
        "script": (common, f"{common}/work"), "inline": (common, f"{common}/."), "far": (common, "/tmp"), "asks": (common, "<< params.place >>"), "own": ("", "here"),
    }


def test_a_step_without_cwd_works_in_the_folder_of_the_file_that_wrote_it(files, tmp_path, store, clock):
    files(common___base="steps: [{id: a, bash: {script: x.sh}}, {id: b, bash: ./x.sh}]\n", main="extends: common/_base.yaml\nsteps: [{id: c, bash: ./x.sh}]\n")
    (tmp_path / "common/x.sh").write_text("echo common\n")
    (tmp_path / "x.sh").write_text("echo main\n")
    pipeline = load()
    made = add_run(store, pipeline, clock)
    jobs = {step.id: make_job(pipeline, made, step, 1, str(tmp_path / "attempt"), JobSite({}), outputs={}) for step in pipeline.steps}
    assert {name: job.cwd for name, job in jobs.items()} == {"a": str(tmp_path / "common"), "b": str(tmp_path / "common"), "c": str(tmp_path)}
    assert str(tmp_path / "common/x.sh") in jobs["a"].argv


def test_of_a_body_that_two_files_wrote_each_file_is_found(files, tmp_path):
    files(common___base="steps: [{id: a, bash: {script: x.sh, args: [1]}}, {id: b, bash: {script: x.sh}}]\n",
          main="extends: common/_base.yaml\nsteps: [{id: a, bash: {script: mine.sh}}, {id: b, bash: {args: [2]}}]\n")
    (tmp_path / "common/x.sh").write_text("echo\n")
    (tmp_path / "mine.sh").write_text("echo\n")
    pipeline = load()
    assert pipeline.step("a").body == {"script": "../mine.sh", "args": [1]} and pipeline.step("b").body == {"script": "x.sh", "args": [2]}
    assert {step.folder for step in pipeline.steps} == {str(tmp_path / "common")}
    (tmp_path / "mine.sh").unlink()
    assert said() == [("main.yaml", 2, 32, "the file ../mine.sh does not exist")]


# --------------------------------------------------------------------------------------------------------- what is kept


def test_a_run_keeps_the_parts(files, tmp_path):
    files(common___base=BASE, _more="extends: common/_base.yaml\nenv: {ONE: eins}\n", main="include: _more.yaml\n")
    before = load()
    for name in ("common/_base.yaml", "_more.yaml", "main.yaml"):
        (tmp_path / name).unlink()
    assert check.load_text(before.text, before.path, "main", SITE) == before
    assert before.env["ONE"] == "eins" and before.step("load").file == str(tmp_path / "common/_base.yaml") and before.step("load").line == 8


def test_a_stored_text_that_is_not_whole_says_what_is_missing(files):
    files(_base=BASE, main="extends: _base.yaml\n")
    with pytest.raises(InvalidPipeline) as caught:
        check.load_text("extends: _base.yaml\n", os.path.abspath("main.yaml"), "main", SITE)
    assert "the file _base.yaml does not exist" in caught.value.problems[0].message


def test_the_definition_is_another_when_a_part_changes(files):
    def digest():
        pipeline = load()
        return definition_hash(pipeline.name, pipeline.path, pipeline.text)

    files(_base=BASE, main="extends: _base.yaml\n")
    first = digest()
    assert digest() == first
    files(_base=BASE.replace("echo load", "echo other"))
    assert digest() != first


def test_what_the_daemon_keeps_is_what_a_check_keeps(files):
    files(_base=BASE, main="extends: _base.yaml\n", plain="# extends nothing\nsteps: [{id: a, bash: echo a}]\n")
    for name, taken in (("main", 1), ("plain", 0)):
        path = os.path.abspath(name + ".yaml")
        with open(path, encoding="utf-8") as file:
            text, looked = check.text_to_keep(file.read(), path)
        assert text == load(name).text and len(looked) == taken


@given(st.text(), st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(lambda name: name not in (".", "..")), st.text(), max_size=3))
def test_packing_loses_nothing(text, named):
    taken = {"/home/parts/" + name: each for name, each in named.items()}
    assert parts.unpack("/home/p/main.yaml", parts.pack("/home/p/main.yaml", text, taken)) == (text, taken)


def test_a_text_that_looks_like_a_packed_one_is_kept_as_it_is():
    packed = parts.pack("/p/a.yaml", "x", {"/p/b.yaml": "y"})
    assert parts.unpack("/p/c.yaml", parts.pack("/p/c.yaml", packed, {})) == (packed, {})
    assert parts.may_take(packed) and not parts.may_take("steps: []\n")


def test_a_file_that_takes_nothing_pays_nothing(files, monkeypatch):
    monkeypatch.setattr(merge, "whole", lambda *_: pytest.fail("merged"))
    files(main=BASE)
    pipeline = load()
    assert pipeline.text == textwrap.dedent(BASE) and {(step.file, step.folder) for step in pipeline.steps} == {("", "")}


# ------------------------------------------------------------------------------------------------------------ property


WORD = st.sampled_from(["A", "B", "C", "D"])
SCALAR = st.one_of(st.integers(0, 9), st.sampled_from(["x", "two words", "no", "3.10", "", "a\nb\n", "<< ds >>", "값: #1", "~", "- a", "\t", "a\n b", " a\nb\n\n"]))
VALUE = st.recursive(SCALAR | st.lists(SCALAR, max_size=3), lambda inner: st.dictionaries(WORD, inner, max_size=3), max_leaves=6)
STEP = st.fixed_dictionaries({"id": st.sampled_from(["a", "b", "c"])}, optional={"timeout": SCALAR, "env": st.dictionaries(WORD, SCALAR, max_size=3)})
STEPS = st.lists(STEP, max_size=3, unique_by=lambda step: step["id"])
DATA = st.fixed_dictionaries({}, optional={
    "owner": SCALAR, "tags": st.lists(SCALAR, max_size=2), "env": st.dictionaries(WORD, SCALAR, max_size=3), "steps": STEPS,
    "params": st.dictionaries(WORD, SCALAR | st.fixed_dictionaries({}, optional={"default": SCALAR, "description": SCALAR}), max_size=3),
})


def piece(data, number=0):
    part = merge.Part(str(number), f"/{number}", str(number), data, None)
    return data, merge.Place(part, (), None, part)


@given(DATA, DATA, DATA)
def test_it_makes_no_difference_which_two_are_merged_first(one, two, three):
    first, second, third = piece(one, 1), piece(two, 2), piece(three, 3)
    left, right = merge.merged(merge.merged(first, second), third), merge.merged(first, merge.merged(second, third))
    assert left[0] == right[0]
    origins = [merge.Origins(each[1]) for each in (left, right)]
    for path in flat._leaves(left[0], ()):
        assert origins[0]._find(path)[:2] == origins[1]._find(path)[:2], path


@given(DATA)
def test_merging_with_nothing_changes_nothing(data):
    assert merge.merged(piece({}), piece(data))[0] == merge.merged(piece(data), piece({}))[0] == data


@given(DATA, DATA)
def test_each_value_comes_from_where_its_place_says(one, two):
    value, place = merge.merged(piece(one, 1), piece(two, 2))
    origins = merge.Origins(place)
    for path in flat._leaves(value, ()):
        part, own, _ = origins._find(path)
        assert at(part.data, own) == at(value, path), path


def at(value, path):
    for key in path:
        value = value[key]
    return value


@settings(max_examples=60)
@given(st.dictionaries(st.one_of(WORD, st.sampled_from(["null", "a b", "한글", "3", "x:", "-"])), VALUE, max_size=4))
def test_the_flat_text_says_the_same(data):
    loaded = nodes.load("", "x")
    text = flat.text(nodes.Loaded(data, loaded.marks, [], ""), "/p/x.yaml")
    again = nodes.load(text if data else "{}", "x")
    assert again.data == data and not again.problems, text


# --------------------------------------------------------------------------------------------------------------- parts


def test_parts_are_checked_and_are_no_pipelines(files, tmp_path):
    files(p___base="timeout: soon\nsteps:\n  - {id: a, needs: elsewhere, bash: 'echo << params.any >> << outputs.x.y >>', timeout: 1x}\n", p__sub__main="extends: ../_base.yaml\n")
    files(p__sub___steps="steps:\n  - id: a\n    retry_delay: 5m\n    python: {args: [<< params.any >>]}\n", p__other__x___steps="env: {A: a}\n")
    assert [os.path.basename(path) for path in folder.find(["p"])] == ["main.yaml"]
    reports = {os.path.relpath(report.path): report for report in folder.check_paths(["p"], SITE, None, parts=True)}
    assert set(reports) == {"p/_base.yaml", "p/sub/main.yaml", "p/sub/_steps.yaml", "p/other/x/_steps.yaml"}
    assert [problem.line for problem in reports["p/_base.yaml"].problems] == [1, 3]  # not what others may bring
    assert reports["p/sub/_steps.yaml"].good and reports["p/sub/_steps.yaml"].summary is None
    assert reports["p/other/x/_steps.yaml"].good  # two parts of one name are no pipeline twice
    assert {problem.message for problem in reports["p/sub/main.yaml"].problems} >= {"needs: there is no step 'elsewhere'"}


def test_a_part_cannot_be_run(files, tmp_path):
    files(pipelines___base=BASE)
    app = App({"RUNNER_HOME": str(tmp_path)}, None, None)
    assert app.pipeline_names() == []
    for word in ("_base", "pipelines/_base.yaml"):
        with pytest.raises(NotFound) as caught:
            app.pipeline_path(word)
        assert "part of pipelines" in caught.value.message
    with pytest.raises(InvalidPipeline) as refused:
        check.load_pipeline("pipelines/_base.yaml", SITE)
    assert refused.value.problems[0].hint


def test_the_cache_sees_a_changed_part(files, tmp_path):
    def look():
        (report,) = folder.check_paths(["p"], SITE, str(tmp_path / "cache.json"))
        return report

    files(p___base=BASE, p__main="extends: _base.yaml\n")
    first = look()
    assert not first.cached and look().cached
    files(p___base=BASE.replace("data-team", "others"))
    second = look()
    assert not second.cached and second.summary["owner"] == "others" and second.hash != first.hash
    (tmp_path / "p/_base.yaml").unlink()
    gone = look()
    assert not gone.good and look().cached
    files(p___base=BASE)
    assert look().good and look().hash == first.hash
