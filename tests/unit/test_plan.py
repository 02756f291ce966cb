"""Every decision: trigger rules against a written oracle, retries, order, and random graphs that must always end."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import model
from runner.model import Retry
from runner.planning import plan, retries, rules, weights
from tests.conftest import make_pipeline, make_step

NOW = datetime(2026, 2, 28, tzinfo=timezone.utc)
ENDS = ("success", "failed", "skipped", "upstream_failed")


def oracle(rule, states):
    """Airflow's words, each rule written out by itself; all upstream steps have ended."""
    n, s = len(states), states.count("success")
    bad, k = states.count("failed") + states.count("upstream_failed"), states.count("skipped")
    return {
        "all_success": "upstream_failed" if bad else "skipped" if k else "go",
        "all_done": "go",
        "always": "go",
        "all_failed": "go" if bad == n else "skipped",
        "one_success": "go" if s else "upstream_failed" if bad else "skipped",
        "one_failed": "go" if bad else "skipped",
        "none_failed": "upstream_failed" if bad else "go",
        "none_failed_min_one_success": "upstream_failed" if bad else "go" if s else "skipped",
        "none_skipped": "skipped" if k else "go",
    }[rule]


@pytest.mark.parametrize("rule", model.TRIGGER_RULES)
def test_every_rule_for_one_and_two_upstreams_is_what_the_oracle_says(rule):
    for count in (1, 2):
        for states in itertools.product(ENDS, repeat=count):
            up = rules.Upstream(total=count)
            for state in states:
                up.count(state, allowed=False)
            assert rules.verdict(rule, up) == oracle(rule, list(states)), (rule, states)


@pytest.mark.parametrize("rule", model.TRIGGER_RULES)
def test_an_early_answer_never_differs_from_the_answer_at_the_end(rule):
    for states in itertools.product(ENDS, repeat=3):
        up = rules.Upstream(total=3)
        early = None
        for state in states:
            up.count(state, allowed=False)
            answer = rules.verdict(rule, up)
            if early is None and answer != rules.WAIT:
                early = answer
        assert early == oracle(rule, list(states)), (rule, states)


def test_one_rules_fire_before_the_others_have_ended():
    up = rules.Upstream(total=2)
    up.count("failed", allowed=False)
    assert rules.verdict("one_failed", up) == rules.GO
    assert rules.verdict("all_done", up) == rules.WAIT


def test_an_allowed_failure_lets_followers_go_and_the_run_succeed():
    pipeline = make_pipeline(make_step("a", allow_failure=True), make_step("b", ["a"]))
    view = plan.RunPlan(pipeline, {})
    assert play(view, {"a": "failed"}) == {"a": "failed", "b": "success"}
    assert view_end(view) == "success"


def play(view, ends, slots=8):
    """Run a plan to its end; `ends` names the steps that do not succeed."""
    view.last = None
    while True:
        decisions = view.settle()
        for decision in decisions:
            if isinstance(decision, plan.EndRun):
                view.last = decision
                return view.states()
            view.learn(decision.step, decision.state)
        if decisions:
            continue
        for step in begin(view, slots):
            view.learn(step, ends.get(step, "success"))


def begin(view, slots):
    """Start what may start, up to so many."""
    out = []
    while len(out) < slots and view.best(NOW):
        out.append(view.best(NOW))
        view.begin(out[-1])
        view.learn(out[-1], "running")
    return out


def view_end(view):
    return view.last.state


def test_a_cleanup_leaf_does_not_turn_a_failed_run_green():
    pipeline = make_pipeline(make_step("a"), make_step("tidy", ["a"], trigger_rule="all_done"))
    view = plan.RunPlan(pipeline, {})
    assert play(view, {"a": "failed"}) == {"a": "failed", "tidy": "success"}
    assert view_end(view) == "failed" and "a" in view.last.reason


def test_a_failure_reaches_everything_behind_it_and_names_its_cause():
    pipeline = make_pipeline(make_step("a"), make_step("b", ["a"]), make_step("c", ["b"]))
    view = plan.RunPlan(pipeline, {"a": ("failed", 1, None)})
    first = view.settle()
    assert [(d.step, d.state, d.reason) for d in first] == [("b", "upstream_failed", "a failed")]


def test_starts_follow_priority_then_the_order_of_the_file():
    pipeline = make_pipeline(make_step("a"), make_step("b", priority_weight=5), make_step("c"))
    view = plan.RunPlan(pipeline, {})
    view.settle()
    assert begin(view, 2) == ["b", "a"]


def test_a_rule_that_comes_true_again_before_a_slot_is_free_starts_its_step_once():
    pipeline = make_pipeline(make_step("a"), make_step("b"), make_step("c", ["a", "b"], trigger_rule="one_success"))
    view = plan.RunPlan(pipeline, {"a": ("success", 1, None), "b": ("running", 1, None)})
    assert view.settle() == []
    view.learn("b", "success")
    assert view.settle() == []
    assert begin(view, 8) == ["c"]


def test_max_active_steps_holds_back():
    pipeline = make_pipeline(*[make_step(f"s{i}") for i in range(5)], max_active_steps=2)
    view = plan.RunPlan(pipeline, {})
    view.settle()
    assert begin(view, 8) == ["s0", "s1"] and begin(view, 8) == []
    view.learn("s0", "success")
    assert begin(view, 8) == ["s2"]


def test_a_held_step_lets_others_pass_and_goes_on_when_let_go():
    pipeline = make_pipeline(make_step("a", priority_weight=9), make_step("b"))
    view = plan.RunPlan(pipeline, {})
    view.hold({"a"})
    view.settle()
    assert begin(view, 8) == ["b"] and view.best(NOW) is None
    view.hold(set())
    assert begin(view, 8) == ["a"]


@pytest.mark.parametrize("rule, first, expected", [
    ("absolute", "x", {"a": 1, "b": 2, "c": 3, "x": 4}),
    ("downstream", "a", {"a": 6, "b": 5, "c": 3, "x": 4}),
    ("upstream", "c", {"a": 1, "b": 3, "c": 6, "x": 4}),
])
def test_weight_rules(rule, first, expected):
    steps = [make_step("a"), make_step("b", ["a"], priority_weight=2), make_step("c", ["b", "a"], priority_weight=3), make_step("x", priority_weight=4)]
    pipeline = make_pipeline(*steps, weight_rule=rule)
    assert weights.weights(pipeline) == expected and max(expected, key=expected.get) == first


def test_weights_of_a_chain_of_thousands_need_no_recursion():
    steps = [make_step(f"s{i}", [f"s{i-1}"] if i else []) for i in range(3000)]
    found = weights.weights(make_pipeline(*steps, weight_rule="downstream"))
    assert found["s0"] == 3000 and found["s2999"] == 1


def test_only_runs_what_was_chosen_and_waits_for_nothing_else():
    pipeline = make_pipeline(make_step("a"), make_step("b", ["a"]), make_step("c", ["b"]))
    view = plan.RunPlan(pipeline, {}, only=["b"])
    assert play(view, {}) == {"a": "pending", "b": "success", "c": "pending"}
    assert view_end(view) == "success"


def test_a_stop_kills_what_waits_and_starts_nothing():
    pipeline = make_pipeline(make_step("a"), make_step("b", ["a"]))
    view = plan.RunPlan(pipeline, {"a": ("running", 1, None)})
    view.stop("kim")
    assert [(d.step, d.state) for d in view.settle()] == [("b", "killed")]
    view.learn("b", "killed")
    view.learn("a", "killed")
    assert [d for d in view.settle()] == [plan.EndRun("killed", "stopped by kim")]


# ------------------------------------------------------------------------------------------------------------ retries


def judge(step, how="exited", code=1, tries=1):
    return retries.judge(step, retries.Ended(how, code), tries, NOW, "k")


def test_a_failure_is_retried_after_the_delay_until_the_limit():
    step = make_step("a", retry=Retry(limit=2, delay=60))
    assert judge(step, tries=1).retry_at == NOW + timedelta(seconds=60)
    assert judge(step, tries=2).step == "retry_wait"
    assert judge(step, tries=3).step == "failed"


def test_backoff_doubles_up_to_the_cap():
    retry = Retry(limit=9, delay=60, backoff=2, max_delay=200)
    assert [retries.retry_delay(retry, n, "k") for n in (1, 2, 3, 4)] == [60, 120, 200, 200]


def test_jitter_stays_inside_its_share_and_is_repeatable():
    retry = Retry(limit=9, delay=100, jitter=0.1)
    delays = [retries.retry_delay(retry, 1, f"run/{n}") for n in range(200)]
    assert all(90 <= delay <= 110 for delay in delays) and len(set(delays)) > 100
    assert retries.retry_delay(retry, 1, "x") == retries.retry_delay(retry, 1, "x")


@pytest.mark.parametrize(
    "how, code, changes, expected",
    [
        ("exited", 0, {}, "success"),
        ("exited", 99, {}, "skipped"),
        ("exited", 99, {"skip_exit": None}, "retry_wait"),
        ("exited", 5, {"skip_exit": 5}, "skipped"),
        ("exited", 126, {}, "failed"),
        ("exited", 127, {}, "failed"),
        ("timeout", 143, {}, "retry_wait"),
        ("timeout", 0, {}, "retry_wait"),
        ("lost", None, {}, "retry_wait"),
        ("lost", None, {"on_lost": "fail"}, "failed"),
        ("refused", None, {}, "failed"),
        ("stopped", 143, {}, "killed"),
        ("stopped", 0, {}, "killed"),
    ],
)
def test_what_an_end_means(how, code, changes, expected):
    step = make_step("a", retry=Retry(limit=1, delay=1), **changes)
    assert judge(step, how, code).step == expected


def test_what_a_process_of_ours_says_is_final_is_the_last_attempt():
    final = retries.Ended("exited", 78, final=True)
    five, asked, skips = (make_step("a", retry=Retry(limit=5, delay=1, **said), **more)
                          for said, more in (({}, {}), ({"on_exit": (78,)}, {}), ({}, {"skip_exit": 78})))
    verdict = retries.judge(five, final, 1, NOW, "k")
    assert (verdict.attempt, verdict.step, verdict.reason) == ("failed", "failed", "exit 78: no retry mends it, see its log")
    assert retries.judge(five, retries.Ended("exited", 78), 1, NOW, "k").step == "retry_wait"  # a user's own 78
    assert retries.judge(asked, final, 1, NOW, "k").step == "retry_wait"
    assert retries.judge(skips, final, 1, NOW, "k").step == "failed"
    assert retries.judge(make_step("a"), final, 1, NOW, "k").reason == "exit 78"  # there was no retry to be spared


def test_exit_codes_choose_what_is_retried():
    only = make_step("a", retry=Retry(limit=1, delay=1, on_exit=(75,)))
    assert judge(only, code=75).step == "retry_wait" and judge(only, code=1).step == "failed"
    never = make_step("a", retry=Retry(limit=1, delay=1, not_on_exit=(2,)))
    assert judge(never, code=2).step == "failed" and judge(never, code=1).step == "retry_wait"


# ------------------------------------------------------------------------------------------------------------- graphs


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 14))
    steps = []
    for i in range(count):
        needs = draw(st.lists(st.integers(0, i - 1), unique=True, max_size=4)) if i else []
        steps.append(make_step(f"s{i}", [f"s{n}" for n in needs], trigger_rule=draw(st.sampled_from(model.TRIGGER_RULES)),
                               allow_failure=draw(st.booleans())))
    ends = {f"s{i}": draw(st.sampled_from(("success", "success", "failed", "skipped"))) for i in range(count)}
    return make_pipeline(*steps), ends, draw(st.integers(1, 4))


@given(graphs())
@settings(max_examples=300, deadline=None)
def test_any_graph_ends_keeps_its_slots_and_obeys_its_rules(case):
    pipeline, ends, slots = case
    view, running, seen = plan.RunPlan(pipeline, {}), [], []
    final = None
    for _ in range(500):
        decisions = view.settle()
        for decision in decisions:
            if isinstance(decision, plan.EndRun):
                final = decision
                break
            view.learn(decision.step, decision.state)
        if final:
            break
        if not decisions:
            started = begin(view, slots - len(running))
            running += started
            seen += started
            assert len(running) <= slots
            if running:
                step = running.pop(0)
                view.learn(step, ends[step])
    assert final is not None, "the run never ended"
    assert len(seen) == len(set(seen)), "a step started twice"
    states = view.states()
    assert set(states.values()) <= model.STEP_TERMINAL
    bad = [s for s in pipeline.steps if states[s.id] in ("failed", "upstream_failed") and not s.allow_failure]
    assert final.state == ("failed" if bad else "success")
    for step in pipeline.steps:
        ups = ["success" if states[n] == "failed" and pipeline.step(n).allow_failure else states[n] for n in step.needs]
        expected = oracle(step.trigger_rule, ups) if ups else "go"
        assert (step.id in seen) == (expected == "go"), (step.id, step.trigger_rule, ups)


# -------------------------------------------------------------------------------------------------------------- rerun


def chain():
    return make_pipeline(make_step("a"), make_step("b", ["a"]), make_step("c", ["b"]), make_step("d", ["a"]))


def test_rerun_failed_takes_the_failure_and_all_behind_it():
    states = {"a": "success", "b": "failed", "c": "upstream_failed", "d": "success"}
    assert plan.rerun_set(chain(), states, failed=True) == ["b", "c"]


def test_rerun_from_takes_a_step_and_all_behind_it():
    states = dict.fromkeys("abcd", "success")
    assert plan.rerun_set(chain(), states, start=["b"]) == ["b", "c"]
    assert plan.rerun_set(chain(), states, everything=True) == ["a", "b", "c", "d"]


def test_a_rerun_takes_away_what_it_sets_up_again_wherever_it_stands_in_the_file():
    """Only the mail failed. It is a teardown, so its setup runs again; then that has to go away again."""
    states = {"up": "success", "answers": "success", "work": "success", "down": "success", "mail": "failed"}
    steps = [make_step("up"), make_step("answers", ["up"]), make_step("work", ["answers"]),
             make_step("down", ["up", "answers", "work"], teardown=("up", "answers")), make_step("mail", ["down", "up"], teardown=("up",))]
    for ordered in (steps, steps[::-1]):
        assert set(plan.rerun_set(make_pipeline(*ordered), states, failed=True)) == {"up", "answers", "down", "mail"}
