"""What the client of hive steps makes of what beeline, hive and spark-sql say, by scripts that say it: no Java needed."""

from __future__ import annotations

import os
import signal

import pytest

from runner.clients.hive import _cells, reason
from tests.hive.conftest import Hive, wait

D = "\x1f"


@pytest.fixture
def said(tmp_path):
    """A client that says this."""
    folder = tmp_path / "bin"
    folder.mkdir()
    made = []

    def make(text, name="beeline"):
        path = folder / name
        path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        hive = Hive(tmp_path, folder)
        made.append(hive)
        hive.defaults = {"url": "jdbc:hive2://hs2:10000/mart", "user": "etl"} if name == "beeline" else {"client": name}
        return hive

    yield make
    for hive in made:
        hive.close()


CONNECTED = "echo 'Connected to: Apache Hive (version 3.1.3)' >&2\n"


def test_a_beeline_that_repeats_the_statements(said):
    """Prompts and the statements stand on stdout between the rows; a column may have the name of a line."""
    hive = said(CONNECTED + rf"""
echo '0: jdbc:hive2://hs2:10000/mart> select'; echo '. . . . . . . . . . . . . . > id'; echo '. . . . . . . . . . . . . . > from t;'
printf 'id\n7\n'; echo '1 row selected (0.1 seconds)' >&2
echo '0: jdbc:hive2://hs2:10000/mart (mart)> select a, b from t;'
printf 'a\x1fb\n1\x1f\0x\x1f"y"\0\n2\x1fNULL\n'; echo '2 rows selected (1,234.5 seconds)' >&2; echo -n '0: jdbc:hive2://hs2:10000/mart> '""")
    log = hive("select\nid\nfrom t;\nselect a, b from t;\n", to="out.csv", print=9)
    assert (hive.folder / "out.csv").read_text() == 'a,b\n1,"x\x1f""y"""\n2,\n' and hive.outputs()["rows"] == 2
    assert [line for line in log if line.startswith("   7")] and "  2 rows selected (1,234.5 seconds)" in log


def test_no_rows_and_no_header_before_a_result(said):
    """All at once, so that nothing but the prompts says whose header it is."""
    hive = said(CONNECTED + r"""
p='0: jdbc:hive2://hs2:10000/mart> '; printf 'No rows selected (0.1 seconds)\nNo rows affected (0.1 seconds)\n1 row selected (0.1 seconds)\n' >&2; printf "$p$p${p}n\n5\n$p" """)
    hive("create table a (b int);\nuse x;\nselect 5 n;\n")
    assert hive.outputs() == {"rows": 1, "value": 5}


def test_many_rows_on_a_slow_pipe_beside_much_talk(said):
    hive = said(CONNECTED + r"""
echo -n '0: jdbc:hive2://h/> '; echo n; for i in {1..20000}; do echo $i; ((i % 100)) || echo "INFO  : $i done" >&2; done; echo '20,000 rows selected (9.1 seconds)' >&2
echo -n '0: jdbc:hive2://h/> '; echo m; echo last; echo '1 row selected (9.1 seconds)' >&2""")
    hive("select n from t; select 'last' m;", to="a.csv")
    assert hive.outputs()["rows"] == 1 and (hive.folder / "a.csv").read_text() == "m\nlast\n"
    hive("select n from t;\nselect 'last' m;", print=2)
    assert "  ... and 19998 more" in hive.log()


def test_application_ids(said):
    hive = said(CONNECTED + r"""
echo 'INFO  : Starting Job = job_1700000000001_0007, Tracking URL = http://rm:8088/proxy/application_1700000000001_0007/' >&2
echo 'INFO  : Status: Running (Executing on YARN cluster with App id application_1700000000001_0012)' >&2
echo 'Error: Error while processing statement: FAILED: Execution Error, return code 2 (state=08S01,code=2)' >&2; exit 2""")
    hive("insert into t select * from s;", code=2)
    assert hive.outputs() == {"application_ids": ["application_1700000000001_0007", "application_1700000000001_0012"],
                              "application_id": "application_1700000000001_0012"}
    assert hive.last_words() == "error: statement 1 of 1, line 1 of the step's sql: FAILED: Execution Error, return code 2"


def test_a_beeline_that_ends_with_0_before_the_end(said):
    hive = said(CONNECTED + "echo 'No rows affected (0.1 seconds)' >&2; exit 0")
    hive("use a;\nuse b;\n", code=1)
    assert hive.last_words() == "error: beeline ended with 0 before statement 2 of 2, line 2 of the step's sql | what it said is above"
    hive("use a;\nquit;\nuse b;\n")


def test_the_output_of_a_silent_beeline_is_left_alone(said):
    hive = said(r"printf '\rnull          \rnulla,b\n1,2\n'")
    assert hive("select 1 a, 2 b;", args=["--silent=true", "--outputformat=csv2"]) == ["a,b", "1,2"] and hive.outputs() == {}


def test_hive_counts_by_the_time_taken(said):
    hive = said(r"""
echo 'OK' >&2; echo 'Time taken: 0.5 seconds' >&2; printf 'x\t1\ny\t2\n'; echo 'Time taken: 1.5 seconds, Fetched: 2 row(s)' >&2
echo "FAILED: SemanticException [Error 10001]: Line 1:14 Table not found 'nosuch'" >&2; exit 17""", "hive")
    hive("use a;\nselect * from t; -- x; y\nselect *\nfrom nosuch;\n", code=17)
    assert hive.last_words() == "error: statement 3 of 3, line 3 of the step's sql: FAILED: SemanticException [Error 10001]: Line 1:14 Table not found 'nosuch'"


def test_no_command_no_script_no_statement(said):
    hive = said("")
    hive("select 1;", code=127, binary="beeline-of-nowhere")
    assert hive.last_words().startswith("error: beeline-of-nowhere: there is no such command | name it with its path in `binary:`")
    hive("-- nothing;\n", code=2)
    assert hive.last_words() == "error: the step's sql holds no statement | write SQL, or use `noop:`"
    hive("select 1;", code=2, init="gone.sql")
    assert hive.last_words().startswith(f"error: {hive.folder}/gone.sql: No such file or directory")


def test_what_kills_beeline_is_told(said):
    hive = said(CONNECTED + "kill -9 $$")
    hive("select 1;", code=137)
    assert hive.last_words().startswith("error: beeline was ended by SIGKILL in statement 1 of 1")


def test_a_beeline_that_does_not_end_when_it_is_told_to(said):
    hive = said(CONNECTED + "trap '' TERM; touch ready; while :; do sleep 0.1; done")
    process = hive.begin("select 1;", grace=1.0)
    wait((hive.folder / "ready").exists, process=process)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(30) == 143
    assert "did not close its session within 1 s and was killed" in hive.last_words()


@pytest.mark.parametrize("text, means", [
    ("Error: Could not open client transport with JDBC Uri: jdbc:hive2://x: java.net.UnknownHostException: x (state=08S01,code=0)", "there is no host"),
    ("Error: Could not open client transport with JDBC Uri: jdbc:hive2://x: GSS initiate failed (state=08S01,code=0)", "no Kerberos ticket"),
    ("Error: Could not open client transport with JDBC Uri: jdbc:hive2://x: Invalid status 21 (state=08S01,code=0)", "TLS or SASL"),
    ("Error: Something new (state=08S01,code=0)", "Something new"),
])
def test_why_there_is_no_connection(said, text, means):
    hive = said(f"echo '{text}' >&2; echo 'No current connection' >&2; exit 2")
    hive("select 1;", code=2)
    assert hive.last_words().startswith(f"error: hs2:10000: {means}")


@pytest.mark.parametrize("lines, told", [
    (["Error: org.apache.hive.service.cli.HiveSQLException: Error running query: [X_Y] org.apache.spark.sql.AnalysisException: [X_Y] no `t`", "\tat a.b.C(D.java:1)"],
     "[X_Y] no `t`"),
    (["Error: org.apache.hive.service.cli.HiveSQLException: Error running query: [P] org.apache.spark.sql.catalyst.parser.ParseException: ",
      "[P] Syntax error at or near 'selct'.(line 1, pos 0)", "", "== SQL ==", "selct 1"], "[P] Syntax error at or near 'selct'.(line 1, pos 0)"),
    (["Exception in thread \"main\" java.lang.NoClassDefFoundError: x/Y"], "Exception in thread \"main\" java.lang.NoClassDefFoundError: x/Y"),
    (["beeline: line 3: java: command not found", "INFO  : Job running in-process", "Closing: 0: jdbc:hive2://h/"], "beeline: line 3: java: command not found"),
    ([], ""),
])
def test_the_reason_is_one_line_without_javas_names(lines, told):
    assert reason(lines) == told


def test_cells():
    assert _cells(b"a\x1f\x1fb", b"\0") == ["a", "", "b"]
    assert _cells(f"\0a{D}\0\0b\n\0{D}c".encode(), b"\0") == [f"a{D}\0b\n", "c"]
    assert _cells(f'"a""b"{D}""'.encode(), b'"') == ['a"b', ""]
