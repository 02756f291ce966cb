"""What can be read: lists in parts, one thing, its ETag; each answer is held against the document by `site.ask`."""

from __future__ import annotations

import pytest

RUN = "mart@2026-02-27"


@pytest.fixture
def night(site):
    """Five runs of mart, the one of the 27th failed, with logs."""
    for day in range(22, 27):
        site.run("mart", f"2026-02-{day}", state="success", states={"extract": "success"})
    run = site.run("mart", "2026-02-27", state="failed", states={"extract": "success", "clean": "failed", "load": "upstream_failed"}, steps={"clean": "exit 3"})
    site.log(run, "extract", "읽었다\n" + "".join(f"line {n}\n" for n in range(300)))
    site.log(run, "clean", "broken: 파일 없음\n")
    return site


def test_the_pipelines_are_told_as_the_list_tells_them(night):
    night.write("bad", "steps: [{id: a, bsh: x}]\n")
    found = {each["name"]: each for each in night.read("pipelines")["items"]}
    assert set(found) == {"mart", "plain", "bad"} and "bsh" in found["bad"]["problem"]
    assert found["mart"]["next_due"] == "2026-03-01T01:00:00+09:00" and found["mart"]["last_run"]["name"] == RUN
    night.run("mart", "2026-01-01", state="queued")
    assert [(each["last_run"]["name"], each["waiting"]) for each in night.read("pipelines?q=mart")["items"]] == [(RUN, 1)]
    assert [each["name"] for each in night.read("pipelines?tag=night")["items"]] == ["mart"]
    assert [each["name"] for each in night.read("pipelines?owner=data-team")["items"]] == ["mart"]
    assert [each["name"] for each in night.read("pipelines?q=la")["items"]] == ["plain"]


def test_a_pipeline_is_told_with_its_steps_and_its_switches(night):
    night.act("pipelines/mart/hold", {"step": "load", "reason": "디스크"})
    found = night.read("pipelines/mart")
    assert [step["id"] for step in found["steps"]] == ["extract", "clean", "load", "tidy"] and found["steps"][2]["retries"] == 1
    assert "디스크" in found["held"]["load"] and found["paused_by"] is None
    assert "디스크".encode() in night.ask("GET", "pipelines/mart").data, "Hangul stays as it is"


def test_a_faulty_file_is_answered_by_its_last_good_text_or_by_every_fault(night):
    night.write("mart", "steps: [{id: a, bsh: x}]\n")
    assert night.read("pipelines/mart")["problem"]
    listed = next(each for each in night.read("pipelines")["items"] if each["name"] == "mart")
    assert listed["problem"] and listed["schedule"] and listed["owner"] == "data-team" and listed["next_due"] == "2026-03-01T01:00:00+09:00"
    night.write("bad", "steps: [{id: a, bsh: x}, {id: a, bash: y}]\n")
    found = night.refused("GET", "pipelines/bad", 422, "faulty-file")
    assert [each["line"] for each in found["problems"]] and found["problems"][0]["hint"]


def test_the_next_times_and_the_text(night):
    assert [each["ds"] for each in night.read("pipelines/mart/next?count=3")["items"]] == ["2026-03-01", "2026-03-02", "2026-03-03"]
    assert night.read("pipelines/mart/next?count=1&after=2026-04-01")["items"][0]["ds"] == "2026-04-02"
    assert night.read("pipelines/plain/next")["items"] == []
    assert night.read("pipelines/mart/definition")["text"].startswith("description: Customer mart")
    night.refused("GET", "pipelines/plain/definition?hash=" + night.read("pipelines/mart/definition")["hash"], 404, "not-found")


def test_runs_come_in_parts_that_lead_to_each_other(night):
    seen, path = [], "/api/v1/runs?limit=2&pipeline=mart"
    for _ in range(3):
        answer = night.ask("GET", path)
        seen += [run["ds"] for run in answer.get_json()["items"]]
        path = answer.get_json()["next"]
        assert answer.headers.get("Link") == (f'<{path}>; rel="next"' if path else None)
    assert path is None and seen == [f"2026-02-{day}" for day in range(27, 21, -1)]


def test_a_run_made_while_one_turns_the_leaves_is_neither_shown_twice_nor_hides_another(night):
    first = night.read("runs?limit=3&pipeline=mart")
    night.run("mart", "2026-02-28")
    second = night.read(first["next"])
    assert [run["ds"] for run in first["items"] + second["items"]] == [f"2026-02-{day}" for day in range(27, 21, -1)]


@pytest.mark.parametrize("query, days", [
    ("state=failed", [27]), ("due_from=2026-02-26", [27, 26]), ("due_from=2026-02-24&due_to=2026-02-26", [25, 24]),
    ("due_from=2026-02-26T01:00:00%2B09:00&due_to=2026-02-26T16:00:00Z", [26]), ("pipeline=none", []),
])
def test_runs_are_chosen(night, query, days):
    assert [run["ds"] for run in night.read("runs?" + query)["items"]] == [f"2026-02-{day}" for day in days]


def test_a_run_is_told_step_by_step(night):
    found = night.read(f"runs/{RUN}")
    assert found["state"] == "failed" and found["due_at"] == "2026-02-27T01:00:00+09:00" and not found["interrupted"]
    assert {step["id"]: step["state"] for step in found["steps"]} == {"extract": "success", "clean": "failed", "load": "upstream_failed", "tidy": "pending"}
    one = night.read(f"runs/{RUN}/steps/clean")
    assert one["step"]["reason"] == "exit 3" and [each["exit_code"] for each in one["attempts"]] == [1]


def test_a_run_with_a_number_sign_has_an_address(night):
    again = night.act("pipelines/mart/runs", {"date": "2026-02-27", "new": True}, 201)
    assert again["name"] == RUN + "#2"
    assert night.read(f"runs/{RUN}%232")["name"] == RUN + "#2"


def test_a_log_is_read_from_its_end_and_on_from_a_place(night):
    found = night.read(f"runs/{RUN}/steps/extract/log?lines=2")
    assert found["lines"] == ["line 298", "line 299"] and found["over"]
    found = night.read(f"runs/{RUN}/steps/extract/log?offset=0")
    assert found["lines"][0] == "읽었다" and len(found["lines"]) == 301 and found["next"] == found["size"]
    assert [(each["step"], each["lines"][-1]) for each in night.read(f"runs/{RUN}/logs?lines=1")["steps"]] == [("extract", "line 299"), ("clean", "broken: 파일 없음")]


def test_of_a_log_that_is_written_only_whole_lines_are_given(night):
    run = night.run("plain", "2026-02-27", state="running", states={"a": "running"})
    night.log(run, "a", "one\ntw")
    first = night.read(f"runs/{run.name}/steps/a/log?offset=0")
    assert first["lines"] == ["one"] and first["next"] == 4 and not first["over"]
    night.log(run, "a", "one\ntwo\n")
    assert night.read(f"runs/{run.name}/steps/a/log?offset=4")["lines"] == ["two"]


def test_a_log_without_line_ends_comes_in_pieces(night):
    run = night.run("plain", "2026-02-27", state="running", states={"a": "running"})
    night.log(run, "a", "x" * 600_000)
    offset, seen = 0, 0
    for _ in range(3):
        part = night.read(f"runs/{run.name}/steps/a/log?offset={offset}")
        offset, seen = part["next"], seen + sum(map(len, part["lines"]))
    assert seen == 524_288 and part["lines"] == [], "what may still go on is kept back"


def test_the_log_as_a_file(night):
    answer = night.ask("GET", f"runs/{RUN}/steps/clean/log.txt")
    assert answer.data.decode() == "broken: 파일 없음\n"
    assert night.ask("GET", f"runs/{RUN}/steps/clean/log.txt", 206, Range="bytes=0-5").data == b"broken"
    night.refused("GET", f"runs/{RUN}/steps/tidy/log.txt", 404, "not-found")


@pytest.mark.parametrize("path", [
    "runs/..%2f..%2fetc/steps/a/log.txt", f"runs/{RUN}/steps/..%2f..%2fsettings.yaml/log.txt", f"runs/{RUN}/steps/..%00/log", "runs/%2e%2e/steps/%2e%2e/log.txt",
    "pipelines/..%2f..%2fetc%2fpasswd/definition", "pipelines/%2e%2e",
])
def test_no_address_leads_out_of_the_site(night, path):
    night.refused("GET", path, 404, "not-found")


def test_what_is_held_waits_and_takes_room(night):
    night.run("plain", "2026-02-27", state="running", states={"a": "running"})
    night.run("mart", "2026-02-28")
    night.act("pipelines/plain/hold", {"reason": "x"})
    night.act("pipelines/mart/pause", {"reason": "y"})
    held = night.read("holds")
    assert held["held"][0]["pipeline"] == "plain" and held["paused"][0]["reason"] == "y"
    assert night.read("pools")["slots"] == {"name": "", "used": 1, "of": 8}
    assert [each["run"] for each in night.read("waits")["items"]][:1] == ["mart@2026-02-28"]


def test_the_site_says_who_asks_and_what_they_may(night):
    assert night.read("site", token="operate")["me"] == {"name": "operate", "role": "operator", "tags": [], "source": "token operate"}
    assert "trigger" in night.read("site", token="operate")["may"] and "trigger" not in night.read("site", token="look")["may"]
    assert night.read("health")["state"] == "CRITICAL"
    assert night.read("alerts")["items"] == [] and night.read("backfills")["items"] == []


def test_variables_are_given_and_secrets_never(night):
    (night.home / "variables.yaml").write_text("host: db1\n")
    (night.home / "secrets.yaml").write_text("pw: hunter2\n")
    for name in ("variables.yaml", "secrets.yaml"):
        (night.home / name).chmod(0o600)
    assert night.read("variables") == {"variables": {"host": "db1"}}
    for path in ("secrets", "connections", "variables/pw"):
        night.refused("GET", path, 404, "not-found")


def test_what_is_known_already_is_not_sent_again(night):
    answer = night.ask("GET", f"runs/{RUN}")
    assert night.ask("GET", f"runs/{RUN}", 304, If_None_Match=answer.headers["ETag"]).data == b""
    night.act(f"runs/{RUN}/rerun", {"all": True})
    assert night.ask("GET", f"runs/{RUN}", 200, If_None_Match=answer.headers["ETag"]).headers["ETag"] != answer.headers["ETag"]


def test_the_trail_is_read_in_parts(night):
    for switch in ("pause", "unpause", "hold", "release"):
        night.act(f"pipelines/mart/{switch}", {"reason": f"because of {switch}"})
    first = night.read("audit?limit=3")
    assert [each["act"] for each in first["items"]] == ["release", "hold", "unpause"] and first["items"][0]["source"] == "token admin"
    assert night.read(first["next"])["items"][0]["act"] == "pause"
    assert [each["reason"] for each in night.read("audit?pipeline=mart&limit=1")["items"]] == ["because of release"]
