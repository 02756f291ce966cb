"""pipelines/reference/: each runs, with a real KDC, sshd, mail server and database where they are, and stand-ins for the cluster."""

from __future__ import annotations

import csv
import getpass
import gzip
import os
import shutil
import sqlite3
import sys

import pytest

from tests.clients.sshserver import sshd  # noqa: F401
from tests.e2e.standins import Standins
from tests.site.kdc import MISSING, REALM, Kdc

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FOLDER = os.path.join(ROOT, "pipelines", "reference")
GOOD = "success"
kerberised = pytest.mark.skipif(bool(MISSING), reason=MISSING)
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def site(runner):
    """A server with this folder of pipelines and a cluster of stand-ins."""
    runner.cluster = Standins(runner.folder / "cluster")
    runner.env.update(RUNNER_PIPELINES=FOLDER, RUNNER_STEP_PYTHON=sys.executable, **runner.cluster.env())
    for name in ("SPARK_HOME", "HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_HOME"):
        runner.env.pop(name, None)
    runner.home.mkdir(mode=0o700)
    return runner


def connections(site, text):
    path = site.home / "connections.yaml"
    with open(path, "a", encoding="utf-8") as file:
        file.write(text + "\n")
    path.chmod(0o600)


@pytest.fixture(scope="session")
def kdc(tmp_path_factory):
    made = Kdc(tmp_path_factory.mktemp("kdc"), 3600)
    made.key = made.keytab("etl")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def ticket(site, kdc):
    site.env.update(KRB5_CONFIG=str(kdc.conf), KRB5CCNAME=f"FILE:{site.folder}/not-here")
    return [f"principal=etl@{REALM}", f"keytab={kdc.key}"]


@pytest.fixture
def mails(site, mail_server):
    connections(site, f"mail: {{type: smtp, host: 127.0.0.1, port: {mail_server.port}, tls: none, from: night@example.com}}")
    return mail_server.received


def ssh_connection(site, server, name):
    body = server.body
    connections(site, f"{name}: {{type: ssh, host: {body['host']}, port: {body['port']}, user: {getpass.getuser()}, key_file: {body['key_file']}, "
                      f"known_hosts: {body['known_hosts']}, config: none}}")


def run(site, name, day, *params, code=0, more=()):
    """In the background with patience: sixty steps with a ticket each take their time on a busy machine."""
    words = [word for param in params for word in ("--param", param)]
    process = site.start("run", name, "--date", day, *words, *more)
    out, err = process.communicate(timeout=500)
    assert process.returncode == code, (out, err)
    return out


def tops(site, name):
    """The states of the steps of the file, without the mapped ones."""
    return {step: state for step, state in site.states(name).items() if "[" not in step}


def test_the_check_finds_nothing(site):
    done = site.json("check", "--strict")
    assert done["problems"] == [] and done["files"] == 6
    names = {row["name"] for row in site.json("list")}
    assert names == {"daily_mart", "partner_files", "month_close", "hourly_events", "daily_events", "export_report"}


# ------------------------------------------------------------------------------------------------------- (a) daily mart


@pytest.fixture
def marts(site, ticket, sshd):  # noqa: F811
    """The parameters of the daily mart, where Spark has written."""
    ssh_connection(site, sshd, "mart_receiver")
    for mart in ("churn", "credit", "risk"):
        folder = site.cluster.folder / "hdfs" / "mart" / mart / "dt=2026-02-27"
        folder.mkdir(parents=True)
        for part in range(2):
            (folder / f"part-{part}").write_text(f"{mart},{part}\n", encoding="utf-8")
    copy_of(site, "daily_mart", ("to: mart/", f"to: {site.folder}/received/"), ("done: mart/", f"done: {site.folder}/received/"))
    return [*ticket, "url=jdbc:hive2://hs2.example:10000/default", f"out={site.folder}/out"]


def copy_of(site, name, *changes):
    """The reference in a folder of the test, with a word changed that a test cannot wait for."""
    target = site.folder / "pipelines" / name
    shutil.copytree(os.path.join(FOLDER, name), target)
    for path in target.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for old, new in changes:
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    site.env["RUNNER_PIPELINES"] = str(site.folder / "pipelines")
    return target


@kerberised
def test_daily_mart_runs_forty_tables_in_three_layers_and_six_applications(site, marts):
    assert run(site, "daily_mart", "2026-02-27", *marts).startswith("daily_mart@2026-02-27  success")
    asked = site.cluster.asked()
    partitions = {word for each in asked for word in each["words"] if word.startswith("SHOW PARTITIONS source.")}
    assert len(partitions) == 12 and all("dt='2026-02-27'" in word for word in partitions)
    tables = [each for each in asked if each["program"] == "beeline" and "INSERT OVERWRITE" in each["sql"]]
    layers = [each["sql"].split("INSERT OVERWRITE TABLE ")[1].split(".")[0] for each in tables]
    assert [layers.count(layer) for layer in ("stage", "core", "summary")] == [12, 18, 10] and len({(each["sql"], each["hivevar"]["table"]) for each in tables}) == 40
    assert layers == sorted(layers, key=["stage", "core", "summary"].index), "no layer before all of the one below it"
    assert {each["hivevar"]["dt"] for each in tables} == {"2026-02-27"}

    marts_asked = [each["words"] for each in asked if each["program"] == "spark-submit"]
    assert len(marts_asked) == 6 and {words[words.index("--mart") + 1] for words in marts_asked} == {"churn", "collection", "credit", "cross_sell", "profit", "risk"}
    for words in marts_asked:
        assert words[words.index("--deploy-mode") + 1] == "cluster" and words[-2:] == ["--date", "2026-02-27"]
    looked = [each["sql"] for each in asked if "assert_true(count(*) > 0)" in each["sql"]]
    assert len(looked) == 6 and asked.index(next(each for each in asked if each["sql"] in looked)) > max(
        i for i, each in enumerate(asked) if each["program"] == "spark-submit")
    assert all(each["ticket"] for each in asked if each["program"] in ("beeline", "hdfs") and "-f" in each["words"])
    assert (site.cluster.folder / "hdfs/mart/_done/20260227").exists()
    received = site.folder / "received" / "20260227"
    assert {path.name: path.read_text() for path in received.glob("*.csv")} == {f"{mart}.csv": f"{mart},0\n{mart},1\n" for mart in ("churn", "credit", "risk")}
    assert (received / "_done").exists()


@kerberised
def test_an_empty_mart_hands_nothing_to_anybody_and_is_repaired_by_a_rerun(site, marts):
    site.cluster.fail("FROM mart.credit WHERE")
    run(site, "daily_mart", "2026-02-27", *marts, code=1)
    states = site.states("daily_mart@2026-02-27")
    assert states["rows[2]"] == "failed" and states["done_mark"] == states["export"] == states["send"] == "upstream_failed"
    assert not (site.folder / "received").exists() and not (site.cluster.folder / "hdfs/mart/_done").exists()
    before = len(site.cluster.asked("spark-submit"))
    site.cluster.fail()
    site("rerun", "daily_mart@2026-02-27", "--failed")
    assert site.json("status", "daily_mart@2026-02-27")["state"] == "success"
    assert len(site.cluster.asked("spark-submit")) == before == 6, "what was good is not done again"


# ---------------------------------------------------------------------------------------------------- (b) partner files


@pytest.fixture
def inbox(site):
    """Two files in CP949 as a partner sends them, and how many lines they have; the parameters."""
    copy_of(site, "partner_files", ("stable: 1m", "stable: 1s\n      every: 1s"), ("retry_delay: 1m", "retry_delay: 0"))
    folder = site.folder / "in"
    folder.mkdir()
    (folder / "20260302_카드.csv").write_bytes("1,홍길동\r\n2,김서연\r\n".encode("cp949"))
    (folder / "20260302_보험.csv").write_bytes("3,이도윤\r\n".encode("cp949"))
    (folder / "20260302.count").write_bytes("20260302_카드.csv 2\n20260302_보험.csv 1\n".encode("cp949"))
    holidays = site.folder / "holidays.txt"
    holidays.write_text("2026-03-01\n", encoding="utf-8")
    return [f"inbox={folder}", f"work={site.folder}/work", f"archive={site.folder}/archive", "hdfs=/landing", f"holidays={holidays}"]


def test_partner_files_are_converted_put_and_kept(site, inbox):
    run(site, "partner_files", "2026-03-02", *inbox)
    assert set(tops(site, "partner_files@2026-03-02").values()) == {GOOD}
    landed = site.cluster.folder / "hdfs/landing/dt=2026-03-02"
    assert {path.name: path.read_text(encoding="utf-8") for path in landed.iterdir()} == {
        "20260302_카드.csv": "1,홍길동\n2,김서연\n", "20260302_보험.csv": "3,이도윤\n", "_SUCCESS": ""}
    kept = site.folder / "archive/2026-03-02"
    assert gzip.decompress((kept / "20260302_카드.csv.gz").read_bytes()).decode("cp949") == "1,홍길동\r\n2,김서연\r\n"
    assert len(list(kept.iterdir())) == 3 and list((site.folder / "in").iterdir()) == [] and not (site.folder / "work/20260302").exists()


def test_a_partner_file_of_another_length_puts_nothing(site, inbox):
    with open(site.folder / "in/20260302_카드.csv", "ab") as file:
        file.write("3,더\r\n".encode("cp949"))
    run(site, "partner_files", "2026-03-02", *inbox, code=1)
    assert "20260302_카드.csv: 건수 파일에는 2줄, 실제로는 3줄" in site("logs", "partner_files@2026-03-02", "convert").stdout
    assert site.cluster.asked("hdfs") == [] and len(list((site.folder / "in").iterdir())) == 3


def test_a_holiday_of_the_partner_is_skipped(site, inbox):
    run(site, "partner_files", "2026-03-01", *inbox)
    assert set(tops(site, "partner_files@2026-03-01").values()) == {"skipped"} and site.cluster.asked() == []


def test_a_put_that_broke_is_done_again_and_leaves_one_whole_file(site, inbox):
    site.cluster.fail('"-mv"')
    run(site, "partner_files", "2026-03-02", *inbox, code=1)
    assert tops(site, "partner_files@2026-03-02")["put"] == "failed" and len(list((site.folder / "in").iterdir())) == 3
    site.cluster.fail()
    site("rerun", "partner_files@2026-03-02", "--failed")
    assert len(list((site.cluster.folder / "hdfs/landing/dt=2026-03-02").iterdir())) == 3


# ------------------------------------------------------------------------------------------------------ (c) month close


@kerberised
def test_month_close_waits_for_the_days_and_for_a_go(site, ticket, mails):
    """The month's daily runs are those of a small daily_mart beside it: only their dates matter here."""
    copy_of(site, "month_close", ('wait: {file: "<< params.desk', 'wait: {every: 1s, file: "<< params.desk'))
    site.write("pipelines/daily_mart.yaml", """
        schedule: "0 1 * * mon-fri"
        timezone: Asia/Seoul
        logical_date: interval_start
        start_date: 2026-01-29
        steps: [{id: a, bash: 'true'}]
    """)
    for day in ("2026-01-28", "2026-01-29", "2026-01-30"):
        site("run", "daily_mart", "--date", day)
    (site.folder / "desk").mkdir()
    process = site.start("run", "month_close", "--date", "2026-02-05", *(word for param in (
        *ticket, f"desk={site.folder}/desk", "url=jdbc:hive2://hs2.example:10000/default") for word in ("--param", param)))
    try:
        site.wait_for(lambda: mails or process.poll() is not None, 300)
        assert process.poll() is None, process.communicate()
        assert "touch" in mails[0].get_content() and site.cluster.asked("spark-submit") == [], "nothing is closed before somebody says so"
        (site.folder / "desk/2026-01.go").touch()
        out, err = process.communicate(timeout=300)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 0, (out, err)
    assert set(tops(site, "month_close@2026-02-05").values()) == {GOOD}
    sums = [each["sql"] for each in site.cluster.asked("beeline") if "close.day_sum" in each["sql"]]
    assert len(sums) == 31 and any("day = '2026-01-01'" in sql for sql in sums) and any("day = '2026-01-31'" in sql for sql in sums)
    (closed,) = site.cluster.asked("spark-submit")
    assert closed["words"][-2:] == ["--month", "2026-01"] and closed["ticket"] and "--keytab" in closed["words"]
    assert [mail["Subject"] for mail in mails] == ["Close of 2026-01: the days are in", "Close of 2026-01: done"]


# ----------------------------------------------------------------------------------------------------- (d) hours to day


@pytest.fixture
def hours(site):
    """The parameters; files of the hours by `hour`."""
    copy_of(site, "hourly_daily", ("stable: 10s, every: 10s", "every: 1s"), ("timeout: 10s", "timeout: 2s"), ("wait: {run: hourly_events", "wait: {every: 1s, run: hourly_events"))
    (site.folder / "in").mkdir()
    site.params = [f"store={site.folder}/store", f"inbox={site.folder}/in"]
    return site


def hour(site, number, *kinds, day="2026-02-28"):
    (site.folder / f"in/{day.replace('-', '')}{number:02}.csv").write_text("".join(f"{kind},{n}\n" for n, kind in enumerate(kinds)), encoding="utf-8")


def test_a_day_waits_for_its_24_hours_and_a_late_hour_has_it_added_up_again(hours):
    site = hours
    for number in range(24):
        hour(site, number, "click", *(["buy"] if number == 7 else []))
    words = [word for param in site.params for word in ("--param", param)]
    for first in range(0, 23, 4):  # max_active_runs: 4
        four = [site.start("run", "hourly_events", "--date", f"2026-02-28T{number:02}:00", *words) for number in range(first, min(first + 4, 23))]
        for process in four:
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, (out, err)
    day = site.start("run", "daily_events", "--date", "2026-02-28", "--param", site.params[0])
    site.wait_for(lambda: "hourly_events@2026-02-28T23:00 has not begun" in site("status", "daily_events@2026-02-28", code=None).stdout or day.poll() is not None, 120)
    assert day.poll() is None, "the day must wait for hour 23: " + str(day.communicate())
    run(site, "hourly_events", "2026-02-28T23:00", *site.params)
    out, err = day.communicate(timeout=120)
    assert day.returncode == 0, (out, err)
    sums = site.folder / "store/2026-02-28.csv"
    assert sums.read_text() == "buy,1\nclick,24\n"
    assert {state for name, state in site.states("hourly_events@2026-02-28T23:00").items() if name in ("late", "again")} == {"skipped"}

    hour(site, 3, "click", "buy", "buy")  # comes once more, with what was forgotten
    site("rerun", "hourly_events@2026-02-28T03:00", "--all")
    site.wait_for(lambda: {row["name"]: row["state"] for row in site.json("runs", "daily_events")}.get("daily_events@2026-02-28#2") == "success", 120)
    assert sums.read_text() == "buy,3\nclick,24\n"


# ------------------------------------------------------------------------------------------------ (e) export and report


@pytest.fixture
def payments(site, sshd, mails):  # noqa: F811
    """A database, the ledger's host with its program, and a mail server; the parameters."""
    database = site.folder / "core.db"
    with sqlite3.connect(database) as core:
        core.execute("CREATE TABLE payment (id INTEGER, channel TEXT, payer TEXT, amount INTEGER, paid_on TEXT)")
        core.executemany("INSERT INTO payment VALUES (?, ?, ?, ?, ?)", [
            (2, "모바일", "김서연 😀", 500, "2026-02-27"), (1, "창구", "이도윤 & <가족>", 1200, "2026-02-27"), (3, "모바일", "박하은", 700, "2026-02-27"),
            (4, "모바일", "적다", 3, "2026-02-27"), (5, "창구", "다른 날", 900, "2026-02-26"),
        ])
    core.close()
    there = site.folder / "ledger"
    book = site.write("ledger/bin/book", '#!/bin/sh\necho "$@" >> "$(dirname "$0")/../booked"\n')
    book.chmod(0o755)
    connections(site, f"core: {{type: sqlite, path: {database}}}")
    ssh_connection(site, sshd, "ledger")
    copy_of(site, "export_report", ("to: inbox/", f"to: {there}/inbox/"), ("$HOME/inbox", f"{there}/inbox"), ("bin/book", f"{there}/bin/book"))
    return [f"out={site.folder}/out", "least=100"]


def test_the_report_of_a_day_is_booked_and_mailed(site, payments, mails):
    run(site, "export_report", "2026-02-27", *payments)
    text = (site.folder / "ledger/inbox/payments_20260227.csv").read_bytes().decode("cp949")
    rows = list(csv.reader(text.splitlines(), delimiter="|"))
    assert rows[0] == ["id", "channel", "payer", "amount", "paid_on"] and [row[0] for row in rows[1:]] == ["1", "2", "3"]
    assert rows[2][2] == "김서연 ?" and text.endswith("\r\n"), "a letter that CP949 does not have"
    assert (site.folder / "ledger/booked").read_text() == f"--date 2026-02-27 {site.folder}/ledger/inbox/payments_20260227.csv\n"
    (mail,) = mails
    assert mail["Subject"] == "Payments of 2026-02-27: 3"
    plain, page = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "3 payments, 3 booked." in plain and "모바일      2         1200\n" in plain
    assert "<tr><td>모바일</td><td>2</td><td>1200</td></tr>" in page
    assert [part.get_filename() for part in mail.iter_attachments()] == ["totals_20260227.csv"]


def test_a_day_without_payments_books_and_mails_nothing(site, payments, mails):
    copied = site.folder / "pipelines/export_report/export_report.yaml"
    copied.write_text(copied.read_text(encoding="utf-8").replace("retry_delay: 1m", "retry_delay: 0"), encoding="utf-8")
    run(site, "export_report", "2026-02-20", *payments, code=1)
    assert "rows > 0" in site("logs", "export_report@2026-02-20", "export").stdout
    assert mails == [] and not (site.folder / "ledger/booked").exists() and not list((site.folder / "out").glob("payments*"))
