"""The log of a step: its end first, whatever its size; searched, downloaded, and nothing in it is more than text."""

from __future__ import annotations

import gzip
import os
import shutil

import pytest

from runner.web.views import log as log_view

GOOD = {"extract": "success", "clean": "success", "load": "failed"}


@pytest.fixture
def run(mart):
    return mart.run("mart", "2026-02-27", GOOD, "failed", steps={"load": "exit 1"})


def address(run, step="load", suffix=".json", query=""):
    return f"/runs/{run.name}/steps/{step}{suffix}{query}"


def shown(web, run, query=""):
    return [line["text"] for line in web.json(address(run, query=query))["lines"]]


def test_it_starts_at_the_end_and_leads_back(mart, run):
    mart.log(run, "load", "".join(f"line {n}\n" for n in range(10_000)))
    found = mart.json(address(run))
    assert [line["text"] for line in found["lines"]][-1] == "line 9999" and len(found["lines"]) == log_view.LINES and found["tail"]
    seen = [line["text"] for line in found["lines"]]
    while found["earlier"] is not None:
        found = mart.json(address(run, query=f"?at={found['earlier']}"))
        seen = [line["text"] for line in found["lines"]] + seen
    assert list(dict.fromkeys(seen)) == sorted(set(seen), key=lambda text: int(text.split()[1])) and seen[0] == "line 0" and len(set(seen)) == 10_000


def test_from_the_beginning_on(mart, run):
    mart.log(run, "load", "".join(f"line {n}\n" for n in range(1000)))
    found = mart.json(address(run, query="?at=0"))
    assert found["lines"][0]["text"] == "line 0" and found["later"]
    assert f"line {log_view.LINES}" in shown(mart, run, f"?at={found['later']}")


def test_errors_are_marked_and_found_from_the_end(mart, run):
    mart.log(run, "load", "fine\nERROR one\nfine\njava.lang.IllegalStateException: two\nfine\nORA-00942: three\n오류 넷\n" + "fine\n" * 50_000)
    found = mart.json(address(run, query="?errors=1"))["found"]
    assert [hit["text"] for hit in found["hits"]] == ["오류 넷", "ORA-00942: three", "java.lang.IllegalStateException: two", "ERROR one"]
    around = mart.json(address(run, query=f"?at={found['hits'][2]['offset']}"))
    assert [line["text"] for line in around["lines"] if line["hit"]] == ["java.lang.IllegalStateException: two"]
    assert [line["error"] for line in around["lines"][:7]] == [False, True, False, True, False, True, True]
    assert 'class="l e h"' in mart.text(address(run, suffix="", query=f"?at={found['hits'][2]['offset']}"))


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
@pytest.mark.parametrize("zipped", [False, True])
def test_the_whole_log_is_searched_in_either_encoding(mart, run, encoding, zipped):
    path = mart.log(run, "load", b"x" * 99 + b"\n" + "고객 적재 끝\n".encode(encoding) + b"filler of a line\n" * 100_000 + b"the end\n")
    if zipped:
        with open(path, "rb") as plain, gzip.open(path + ".gz", "wb") as packed:
            shutil.copyfileobj(plain, packed)
        os.unlink(path)
    found = mart.json(address(run, query="?q=고객 적재"))["found"]
    assert [(hit["offset"], hit["text"]) for hit in found["hits"]] == [(100, "고객 적재 끝")]
    assert mart.json(address(run, query="?q=THE END"))["found"]["hits"][0]["text"] == "the end"
    assert mart.json(address(run, query="?q=nowhere"))["found"]["hits"] == []
    assert shown(mart, run, "?at=100")[1] == "고객 적재 끝"


def test_many_hits_come_in_bites(mart, run):
    mart.log(run, "load", "".join(f"needle {n}\n" for n in range(500)))
    seen, query = [], "?q=needle"
    while query:
        found = mart.json(address(run, query=query))["found"]
        seen += [int(hit["text"].split()[1]) for hit in found["hits"]]
        query = f"?q=needle&before={found['next']}" if found["next"] else ""
    assert seen == list(range(499, -1, -1))


def test_when_the_time_is_up_the_search_says_how_far_it_came(mart, run):
    path = mart.log(run, "load", b"needle\n" + b"hay\n" * 500_000)
    ticks = iter(range(100))
    found = log_view.search(path, log_view._pattern({"q": "needle"}), None, os.path.getsize(path), lambda: float(next(ticks)))
    assert found["hits"] == [] and 0 < found["next"] < os.path.getsize(path)


def test_a_gigabyte_is_read_at_its_end_only(mart, run, monkeypatch):
    path = mart.log(run, "load", b"")
    with open(path, "r+b") as file:
        file.seek(10**9)
        file.write(b"\nalmost\nthe end\n")
    read = []
    was = log_view.logtail.read_at
    monkeypatch.setattr(log_view.logtail, "read_at", lambda path, offset, most: read.append(most) or was(path, offset, most))
    answer = mart.get(address(run, suffix=""))
    assert "the end" in answer.text and sum(read) <= log_view.BYTES and len(answer.data) < 300_000
    assert "1.0 GB" in answer.text


def test_a_line_without_an_end_and_odd_bytes_are_shown(mart, run):
    mart.log(run, "load", b"10%\r50%\r100%\n\x1b[31mred\x1b[0m\x07\n" + b"y" * 100_000 + b"\n\xff\xfe\n")
    lines = shown(mart, run)
    assert lines[:2] == ["100%", "red\\x07"] and "(100000)" in lines[2] and len(lines[2]) < 5000


def test_markup_in_a_log_is_text(mart, run):
    mart.log(run, "load", "<script>alert(1)</script> & <b>\n")
    text = mart.text(address(run, suffix=""))
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;" in text
    assert "<script>alert" not in mart.text(address(run, suffix="", query="?q=<script>alert"))


def test_it_follows_only_while_the_step_runs(mart):
    live = mart.run("mart", "2026-02-28", {"extract": "running"}, "running")
    mart.log(live, "extract", "one\n")
    page = mart.get(address(live, "extract", ""))
    assert 'data-live="1"' in page.text and mart.json(address(live, "extract"))["running"]
    mart.log(live, "extract", "one\ntwo\n")
    assert "two" in mart.get(address(live, "extract", ""), If_None_Match=page.headers["ETag"]).text
    ended = mart.run("mart", "2026-02-27", GOOD, "failed")
    assert 'data-live="0"' in mart.text(address(ended, suffix=""))


def test_the_bytes_can_be_taken_home(mart, run):
    path = mart.log(run, "load", b"\xff raw \x00\n")
    answer = mart.get(address(run, suffix="/log.txt", query="?attempt=1"))
    assert answer.data == b"\xff raw \x00\n" and answer.headers["Content-Disposition"].startswith("attachment;")
    answer.close()
    os.unlink(path)
    mart.get(address(run, suffix="/log.txt"), 404)


def test_what_is_not_there_is_said(mart, run):
    assert "no step nothing" in mart.text(address(run, "nothing", ""), code=404)
    assert "no attempt 7" in mart.text(address(run, suffix="", query="?attempt=7"), code=404)
    assert "never began" in mart.text(address(run, "tidy", ""))
    shutil.rmtree(os.path.join(mart.config.runs_folder, "mart"))
    assert "was removed" in mart.text(address(run, suffix=""))
    for bad in ("..%2f..%2fetc%2fpasswd", "load%00", "load/../../x"):
        mart.get(f"/runs/{run.name}/steps/{bad}/log.txt", 404)
    mart.get(address(run, suffix="", query="?at=99999999999999999999&attempt=x&before=-1"))


def test_what_is_executed_is_shown(mart, run):
    command = mart.json(address(run))["command"]
    assert command["files"]["script"].strip() == "echo load" and command["argv"][0] == "bash" and command["env"]["RUNNER_DS"] == "2026-02-27"
    assert "RUNNER_DS" in mart.text(address(run, suffix=""))


@pytest.mark.parametrize("into", [1, 5, 9, 10, 11])
def test_a_line_that_two_blocks_share_is_found_once_and_whole(mart, run, into):
    line, rest = b"the needle\n", b"x" * 63 + b"\n"
    after = rest * (log_view.SEARCH_BLOCK // 64)  # the last block begins where this does
    path = mart.log(run, "load", rest * 9 + line + after[into:])
    found = log_view.search(path, log_view._pattern({"q": "needle"}), None, os.path.getsize(path), lambda: 0.0)
    assert [(hit["offset"], hit["text"]) for hit in found["hits"]] == [(9 * 64, "the needle")] and found["next"] is None
