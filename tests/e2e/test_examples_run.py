"""Every file of pipelines/ really runs to the end that its comments promise, with a fixed date."""

from __future__ import annotations

import csv
import os
import sys

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FOLDER = os.path.join(ROOT, "pipelines")
MALL = os.path.join(ROOT, "..", "shared", "data", "Mall_Customers.csv")
SCORE = "Spending Score (1-100)"
DAY = "2026-02-28"
GOOD = "success"

# pipeline -> the state of each step when it is run with nothing but what it must be given
ENDS = {
    "hello": {"greet": GOOD, "count": GOOD, "done": GOOD},
    "customer_scores": {"load": GOOD, "order": GOOD, "check": GOOD, "report": GOOD},
    "nightly_sales": {"load": GOOD, "check": GOOD, "begin": GOOD, "publish": GOOD},
    "over_midnight": {"before": GOOD, "after": GOOD, "same": GOOD},
    "retries_and_rules": {
        "flaky": GOOD, "optional": "failed", "nothing_today": "skipped", "load": GOOD, "publish": GOOD,
        "big_only": "skipped", "repair": "skipped", "tidy": GOOD,
    },
    "server_report": {"prepare": GOOD, "disks": GOOD, "processes": GOOD, "logs": GOOD, "alarm": "skipped", "report": GOOD},
}

ELSEWHERE = {"rocket_launches", "spark_scores"}  # what needs a server or Spark has a file of tests of its own

# Hangul in names and cells, a quoted comma, a byte order mark, CRLF at the end of each line; equal scores keep their order
CUSTOMERS = "\ufeff고객번호,이름,주소,%s\r\n" % SCORE + "".join(line + "\r\n" for line in (
    '1,김서연,"서울, 종로구",81', "2,이도윤,부산,6", "3,박하은,대구,40", "4,최지호,인천,100", "5,정수아,광주,6", "6,강민준,대전,9",
))


@pytest.fixture
def examples(runner):
    """The command line over the folder of examples."""
    runner.env.update(RUNNER_PIPELINES=FOLDER, RUNNER_STEP_PYTHON=sys.executable)
    return runner


def run(shell, name, *params, code=0, more=()):
    words = [word for param in params for word in ("--param", param)]
    return shell("run", name, "--date", DAY, *words, *more, code=code)


def log(shell, name, step):
    return shell("logs", f"{name}@{DAY}", step, "--raw").stdout


def params_for(name, folder):
    if name == "customer_scores":
        source = folder / "고객.csv"
        source.write_bytes(CUSTOMERS.encode("utf-8"))
        return [f"file={source}", f"folder={folder / 'results'}"]
    return {"over_midnight": ["seconds=0"], "server_report": [f"folder={folder / 'report'}"]}.get(name, [])


def test_every_example_has_its_end_here():
    assert {name[:-5] for name in os.listdir(FOLDER) if name.endswith(".yaml") and not name.startswith("_")} == set(ENDS) | ELSEWHERE


def test_check_finds_neither_fault_nor_warning(examples):
    done = examples.json("check", "--strict")
    assert (done["files"], done["problems"]) == (len([name for _, _, names in os.walk(FOLDER) for name in names if name.endswith(".yaml")]), [])


@pytest.mark.parametrize("name", sorted(ENDS))
def test_it_runs_to_its_end(examples, name):
    done = run(examples, name, *params_for(name, examples.folder))
    assert done.stdout.startswith(f"{name}@{DAY}  success")
    states = examples.states(f"{name}@{DAY}")
    if name == "server_report":  # a full disk of this machine is no fault of the example
        states["alarm"] = "skipped" if states["alarm"] == GOOD else states["alarm"]
    assert states == ENDS[name]
    assert examples.json("status", f"{name}@{DAY}")["ds"] == DAY


def test_hello_greets_who_it_is_told(examples):
    run(examples, "hello", "name=한국")
    assert log(examples, "hello", "greet") == f"Hello, 한국! This run's date is {DAY}.\n"
    assert log(examples, "hello", "count") == f"{DAY} has 8 digits\n"
    assert log(examples, "hello", "done") == f"All steps of hello@{DAY} had the date {DAY}.\n"


def test_nightly_sales_takes_its_parts(examples):
    run(examples, "nightly_sales")
    assert log(examples, "nightly_sales", "begin") == f"tell nobody that nightly_sales@{DAY} begins\n"
    assert log(examples, "nightly_sales", "load") == f"load {DAY} US at level debug\n"
    assert "region" in examples("run", "nightly_sales", "--date", DAY, "--param", "region=FR", code=None).stderr


def test_over_midnight_every_step_has_the_date_of_the_run(examples):
    run(examples, "over_midnight", "seconds=0")
    for step in ("before", "after"):
        words = log(examples, "over_midnight", step).split()
        assert words[:2] == ["run:", DAY] and words[2] == "server:" and words[3] > DAY
    assert log(examples, "over_midnight", "same") == f"every step had {DAY} ({DAY}T00:00:00+09:00)\n"


# ------------------------------------------------------------------------------------------------- retries and rules


def test_the_flaky_step_succeeds_at_the_attempt_it_is_told(examples):
    run(examples, "retries_and_rules", "tries_needed=2")
    steps = {step["id"]: step for step in examples.json("status", f"retries_and_rules@{DAY}")["steps"]}
    assert steps["flaky"]["tries"] == 2 and steps["optional"]["tries"] == 1
    assert log(examples, "retries_and_rules", "publish") == f"42 rows of {DAY}\n"
    assert "is more than 4" in run(examples, "retries_and_rules", "tries_needed=5", code=2).stderr


def test_a_failed_load_is_repaired_by_the_step_made_for_it_and_then_by_a_new_run(examples):
    done = run(examples, "retries_and_rules", "fail=true", "tries_needed=1", code=1)
    assert done.stdout.startswith(f"retries_and_rules@{DAY}  failed") and "(failed: load)" in done.stdout
    failed = {
        **ENDS["retries_and_rules"], "load": "failed", "publish": "upstream_failed", "big_only": "upstream_failed", "repair": GOOD,
    }
    assert examples.states(f"retries_and_rules@{DAY}") == failed
    assert log(examples, "retries_and_rules", "load") == "failing, as asked\n"
    assert log(examples, "retries_and_rules", "repair") == f"repairing {DAY}\n"
    # A rerun keeps the parameters of its run, so the load fails as asked once more ...
    examples("rerun", f"retries_and_rules@{DAY}", "--failed", code=1)
    assert examples.states(f"retries_and_rules@{DAY}") == failed
    # ... and a second run of the same date, without that parameter, is good.
    again = run(examples, "retries_and_rules", "tries_needed=1", more=["--new"])
    assert again.stdout.startswith(f"retries_and_rules@{DAY}#2  success")
    assert examples.states(f"retries_and_rules@{DAY}#2") == ENDS["retries_and_rules"]


# ----------------------------------------------------------------------------------------------------- server report


def test_the_report_of_a_server_is_one_file_named_by_the_date(examples):
    folder = examples.folder / "report"
    run(examples, "server_report", f"folder={folder}", "disk_limit=1")
    text = (folder / "20260228" / "report.txt").read_text(encoding="utf-8")
    assert text.startswith(f"Server report of {DAY}\n")
    for title in ("Disks", "Largest processes", "Largest logs"):
        assert f"\n{title}\n" in text
    assert log(examples, "server_report", "report") == text
    steps = {step["id"]: step for step in examples.json("status", f"server_report@{DAY}")["steps"]}
    assert steps["report"]["outputs"] == {"path": str(folder / "20260228" / "report.txt")}
    # The alarm runs where a disk is over the limit, and only there.
    full = (folder / "20260228" / "full.txt").read_text(encoding="utf-8").splitlines()
    assert steps["disks"]["outputs"] == {"full": str(len(full))}
    assert steps["alarm"]["state"] == (GOOD if full else "skipped")


# --------------------------------------------------------------------------------------------------- customer scores


def rows_of(path, encoding="utf-8"):
    with open(path, encoding=encoding, newline="") as file:
        return list(csv.DictReader(file))


def order(shell, source, code=0):
    """The rows as the pipeline orders them."""
    folder = shell.folder / "results"
    run(shell, "customer_scores", f"file={source}", f"folder={folder}", code=code)
    return rows_of(folder / DAY / "ordered.csv") if code == 0 else None


def test_the_customers_of_a_file_in_hangul_with_crlf_come_in_order(examples):
    source = examples.folder / "고객 명단's.csv"
    source.write_bytes(CUSTOMERS.encode("utf-8"))
    rows = order(examples, source)
    assert [row["고객번호"] for row in rows] == ["2", "5", "6", "3", "1", "4"]
    assert rows[4] == {"고객번호": "1", "이름": "김서연", "주소": "서울, 종로구", SCORE: "81"}
    report = log(examples, "customer_scores", "report")
    assert report.startswith(f"{DAY}: 6 customers, lowest 6, highest 100\n") and "이도윤" in report


def test_a_file_without_the_column_fails_and_is_repaired_by_a_rerun(examples):
    source = examples.folder / "customers.csv"
    source.write_text("CustomerID,Score\n1,2\n", encoding="utf-8")
    order(examples, source, code=1)
    assert "no column" in log(examples, "customer_scores", "order")
    source.write_text(f"CustomerID,{SCORE}\n1,2\n7,1\n", encoding="utf-8")
    # The file was copied by `load`: what has to be repeated begins there.
    examples("rerun", f"customer_scores@{DAY}", "--from", "load")
    assert [row["CustomerID"] for row in rows_of(examples.folder / "results" / DAY / "ordered.csv")] == ["7", "1"]


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_it_does_not_matter_how_the_last_line_ends(examples, end):
    source = examples.folder / "customers.csv"
    source.write_bytes(f"CustomerID,{SCORE}\n1,2\n7,1{end}".encode())
    assert [row["CustomerID"] for row in order(examples, source)] == ["7", "1"]
    assert f"{DAY}: 2 customers" in log(examples, "customer_scores", "report")


def test_two_hundred_customers_come_in_order_and_none_is_lost(examples):
    if not os.path.isfile(MALL):
        pytest.skip("../shared/data/Mall_Customers.csv is not beside this checkout")
    source, rows = rows_of(MALL, "utf-8-sig"), order(examples, os.path.abspath(MALL))
    scores = [int(row[SCORE]) for row in rows]
    assert len(rows) == 200 and scores == sorted(scores)
    assert sorted(map(str, source)) == sorted(map(str, rows)), "every customer once, every cell as it was"
    assert rows == sorted(source, key=lambda row: int(row[SCORE])), "equal scores keep the order of the file"
    report = log(examples, "customer_scores", "report")
    assert report.startswith(f"{DAY}: 200 customers, lowest {scores[0]}, highest {scores[-1]}\n")
