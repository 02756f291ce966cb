"""Which test shows what each kind of step does in each fault: none of them without a test, or the reason why there can be none."""

from __future__ import annotations

import ast
import os

import pytest

from runner import steps
from runner.spec.check import Site, load_text
from runner.errors import InvalidPipeline

ROOT = os.path.dirname(os.path.abspath(__file__))
FAULTS = ("missing binary", "unreachable", "wrong password", "dies in the middle", "hangs", "kill")
LOCAL = "nothing but a process of this server"
ROWS = "rows of our own database, no server"
CLIENT = "runner's own client: no command of the server"

MATRIX = {
    "bash": {
        "missing binary": "executors/test_process.py::test_a_missing_program_ends_with_127_and_says_so_in_the_log", "unreachable": LOCAL, "wrong password": LOCAL,
        "dies in the middle": "executors/test_process.py::test_a_killed_wrapper_loses_the_result_and_its_orphans_are_ended",
        "hangs": "engine/test_engine.py::test_a_timeout_sends_term_then_kill_and_counts_as_failure",
        "kill": "executors/test_process.py::test_kill_ends_what_ignores_term_and_its_children_and_still_records",
    },
    "python": {
        "missing binary": "unit/test_steps.py::test_python_looks_for_packages_before_anything_runs", "unreachable": LOCAL, "wrong password": LOCAL,
        "dies in the middle": "unit/test_steps.py::test_python_function_that_raises_shows_only_its_own_frames",
        "hangs": "engine/test_engine.py::test_a_timeout_is_retried", "kill": "e2e/test_run.py::test_ctrl_c_and_term_end_the_run_and_its_steps",
    },
    "spark-submit": {
        "missing binary": "clients/test_spark.py::test_a_missing_binary_says_where_it_was_looked_for",
        "unreachable": "clients/test_spark.py::test_nothing_is_submitted_while_nobody_says_what_became_of_a_lost_attempt",
        "wrong password": "e2e/test_kerberos.py::test_a_keytab_with_an_old_key",
        "dies in the middle": "spark/test_yarn.py::test_a_fail_over_while_an_application_runs",
        "hangs": "clients/test_spark.py::test_a_kill_that_cannot_be_seen_says_what_to_type_and_the_next_attempt_settles_it",
        "kill": "clients/test_spark.py::test_term_kills_the_application_and_sees_it_dead",
    },
    "hive": {
        "missing binary": "hive/test_reading.py::test_no_command_no_script_no_statement", "unreachable": "hive/test_beeline.py::test_no_server",
        "wrong password": "hive/test_beeline.py::test_a_wrong_password", "dies in the middle": "hive/test_beeline.py::test_a_server_that_dies_in_a_query",
        "hangs": "hive/test_beeline.py::test_a_server_that_hangs_and_a_timeout_with_little_grace",
        "kill": "hive/test_beeline.py::test_a_stop_ends_the_query_on_the_server_and_the_rerun_is_clean",
    },
    "sql": {
        "missing binary": "clients/test_sql_bridged.py::test_jdbc_connections_that_fail_say_why",
        "unreachable": "clients/test_sql_postgres.py::test_connections_that_fail_say_why", "wrong password": "clients/test_sql_mysql.py::test_connections_that_fail_say_why",
        "dies in the middle": "clients/test_sql_postgres.py::test_the_server_dies_in_the_middle_and_a_retry_works",
        "hangs": "clients/test_sql_postgres.py::test_a_server_that_hangs_is_left",
        "kill": "clients/test_sql_postgres.py::test_stopped_in_the_middle_the_query_ends_on_the_server",
    },
    "ssh": {
        "missing binary": "clients/test_ssh.py::test_what_cannot_be_carried_out", "unreachable": "clients/test_ssh.py::test_nobody_there",
        "wrong password": "clients/test_ssh.py::test_a_key_that_is_refused_or_open", "dies in the middle": "clients/test_ssh.py::test_a_job_that_dies_with_its_machine_is_told",
        "hangs": "clients/test_ssh.py::test_a_link_that_is_silent_counts_as_broken", "kill": "clients/test_ssh.py::test_term_ends_the_whole_tree_there",
    },
    "sftp": {
        "missing binary": "clients/test_sftp.py::test_no_way_there", "unreachable": "clients/test_sftp.py::test_no_way_there",
        "wrong password": "clients/test_sftp.py::test_no_way_there",
        "dies in the middle": "clients/test_sftp.py::test_a_broken_link_leaves_no_file_under_its_name_and_the_retry_is_clean",
        "hangs": "clients/test_sftp.py::test_a_server_that_hangs_in_the_middle_is_given_up_and_the_retry_is_clean",
        "kill": "clients/test_sftp.py::test_term_in_the_middle_leaves_nothing",
    },
    "http": {
        "missing binary": CLIENT, "unreachable": "clients/test_http.py::test_nobody_there", "wrong password": "clients/test_http.py::test_an_unexpected_status_shows_what_the_server_says",
        "dies in the middle": "clients/test_http.py::test_an_answer_that_breaks_off_leaves_the_old_file",
        "hangs": "clients/test_http.py::test_a_server_that_hangs_is_given_up", "kill": "clients/test_http.py::test_term_in_the_middle_leaves_nothing",
    },
    "email": {
        "missing binary": CLIENT, "unreachable": "clients/test_email.py::test_a_server_that_hangs_and_one_that_is_not_there",
        "wrong password": "clients/test_email.py::test_the_password_is_a_secret_and_a_wrong_one_is_said",
        "dies in the middle": "clients/test_email.py::test_a_server_that_dies_at_the_last_moment",
        "hangs": "clients/test_email.py::test_a_server_that_hangs_and_one_that_is_not_there",
        "kill": "clients/test_email.py::test_term_while_the_server_hangs_ends_it_and_no_mail_goes",
    },
    "wait": {
        "missing binary": "clients/test_prober.py::test_a_command_that_is_not_there_is_told_and_not_taken_for_a_path_that_is_missing",
        "unreachable": "clients/test_prober.py::test_a_cluster_that_is_down_is_told_in_its_own_words",
        "wrong password": "clients/test_prober.py::test_a_connection_that_cannot_work_ends_the_wait_at_once",
        "dies in the middle": "e2e/test_waits.py::test_a_prober_that_is_killed_is_started_again",
        "hangs": "clients/test_prober.py::test_a_command_that_hangs_is_ended_with_its_children", "kill": "clients/test_prober.py::test_who_is_told_to_end_a_wait_says_no_more_of_it",
    },
    "pipeline": {
        "missing binary": ROWS, "unreachable": ROWS, "wrong password": ROWS, "dies in the middle": "engine/test_flow.py::test_the_failure_of_the_other_run_is_the_steps",
        "hangs": "e2e/test_waits.py::test_soft_skips_and_a_plain_wait_fails_when_its_time_is_over", "kill": "engine/test_flow.py::test_a_stop_stops_the_other_run_too",
    },
    "noop": dict.fromkeys(FAULTS, "nothing runs"),
}


def test_every_kind_has_every_fault():
    assert set(MATRIX) == set(steps.KINDS)
    assert {kind: set(faults) for kind, faults in MATRIX.items()} == {kind: set(FAULTS) for kind in steps.KINDS}


def test_the_tests_named_here_exist():
    named = {test for faults in MATRIX.values() for test in faults.values() if "::" in test}
    there = set()
    for file in {test.partition("::")[0] for test in named}:
        with open(os.path.join(ROOT, file), encoding="utf-8") as text:
            there |= {f"{file}::{node.name}" for node in ast.parse(text.read()).body if isinstance(node, ast.FunctionDef)}
    assert named - there == set() and len(named) > 50


WRONG = [  # a body that is good, a key of it misspelt, and what is said
    ("bash", "{run: ls, shel: sh}", "shell"), ("python", "{scrip: x.py}", "script"), ("spark-submit", "{application: hdfs:///a.py, deploymode: cluster}", "deploy_mode"),
    ("hive", "{sql: select 1, hive_var: {a: 1}}", "hivevar"), ("sql", "{connection: a, sql: select 1, bind: {a: 1}}", "binds"),
    ("ssh", "{host: h, run: ls, keyfile: id}", "key_file"), ("sftp", "{host: h, put: a, to: b, check_sum: size}", "checksum"),
    ("http", "{url: 'http://x/', header: {A: b}}", "headers"), ("email", "{connection: m, to: a@b.example, subject: s, text: t}", "body"),
    ("wait", "{file: /x, minsize: 1}", "min_size"), ("pipeline", "{name: mart, param: {a: 1}}", "params"), ("noop", "{x: 1}", ""),
]


@pytest.mark.parametrize("kind, body, meant", WRONG)
def test_a_wrong_key_is_told_with_its_place_and_the_right_one(kind, body, meant):
    text = f"steps:\n  - id: a\n    {kind}: {body}\n"
    with pytest.raises(InvalidPipeline) as caught:
        load_text(text, "/p/x.yaml", "x", Site("UTC"))
    said = [problem for problem in caught.value.problems if problem.line == 3]
    assert said and any(meant in problem.message + problem.hint for problem in said), caught.value.problems
    assert len(WRONG) == len(steps.KINDS) == len({each[0] for each in WRONG})
