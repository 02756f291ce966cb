"""pipelines/rocket_launches.yaml against a web server on loopback: good pictures, broken addresses of every kind, and none."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from urllib.parse import quote

import pytest

from tests.webserver import Quiet, WebServer

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
DAY = "2026-02-28"
RUN = f"rocket_launches@{DAY}"
PICTURES = {f"/pictures/{name}": bytes([n]) * size for n, (name, size) in enumerate((("falcon.jpg", 5000), ("누리호.png", 70000), ("vega.jpeg", 1)))}


class Handler(Quiet):
    def do_GET(self):
        with self.server.lock:
            self.server.asked.append(self.path)
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        found = self.server.pages.get(self.path)
        if self.server.meet:  # each waits for another one, so that they are seen to be fetched side by side
            self.server.meet.wait()
        with self.server.lock:
            self.server.now -= 1
        self.answer(200 if found is not None else 404, found or b"")


@pytest.fixture
def web():
    pages = {quote(path): data for path, data in PICTURES.items()}
    made = WebServer(Handler, lock=threading.Lock(), asked=[], now=0, most=0, meet=None, pages=pages)
    yield made
    made.close()


@pytest.fixture
def refused():
    """An address at which nobody listens, as long as the test holds the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def launches(runner, web):
    """Runs the pipeline over these addresses; the states and outputs of its steps."""
    runner.env.update(RUNNER_PIPELINES=os.path.join(ROOT, "pipelines"), RUNNER_STEP_PYTHON=sys.executable)

    def run(*images, again=False, code=0):
        found = [{"id": n, "name": f"launch {n}", "image": image} for n, image in enumerate(images)] + [{"id": "none", "name": "has no key image"}]
        web.pages["/launches"] = json.dumps({"count": len(found), "results": found}, ensure_ascii=False).encode()
        words = ("rerun", RUN, "--all") if again else (
            "run", "rocket_launches", "--date", DAY, "--param", f"source={web.url}/launches", "--param", f"folder={runner.folder}/rockets")
        runner(*words, code=code)
        return {step["id"]: step for step in runner.json("status", RUN)["steps"]}

    return run


def pictures(runner):
    folder = runner.folder / "rockets" / DAY / "pictures"
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def report(runner):
    return runner("logs", RUN, "report", "--raw").stdout


def test_every_picture_is_fetched_once(runner, web, launches):
    good = [web.url + path for path in PICTURES]
    steps = launches(*good, good[0], None)
    assert {name: step["state"] for name, step in steps.items() if "[" not in name} == dict.fromkeys(
        ("fetch_launches", "pick_pictures", "fetch_picture", "report"), "success")
    assert sorted(pictures(runner).values()) == sorted(PICTURES.values())
    assert len(web.asked) == len(set(web.asked)) == 4, "the list, and each picture, asked for once"
    assert steps["report"]["outputs"] == {"fetched": 3, "skipped": []}
    assert report(runner) == f"{DAY}: 3 pictures in {runner.folder}/rockets/{DAY}/pictures, 0 skipped\n"


def test_broken_addresses_are_skipped_and_named_and_the_rest_is_there(runner, web, launches, refused):
    good, broken = [web.url + path for path in PICTURES], [f"{web.url}/gone.jpg", f"{refused}/a.jpg", "http//no colon", "ftp://x/y.jpg", "http://"]
    steps = launches(broken[0], good[0], broken[1], broken[2], good[1], broken[3], good[2], broken[4])
    assert steps["fetch_picture"]["state"] == "failed" and steps["report"]["state"] == "success"
    assert sorted(pictures(runner).values()) == sorted(PICTURES.values()), "whole pictures only, nothing half written"
    assert steps["report"]["outputs"] == {"fetched": 3, "skipped": broken}
    said = report(runner)
    assert f"{DAY}: 3 pictures in" in said and ", 5 skipped\n" in said and [line for line in said.splitlines() if "skipped:" in line] == [
        f"  skipped: {address}" for address in broken]
    assert runner.json("status", RUN)["state"] == "success"


def test_a_picture_that_came_back_is_fetched_by_a_rerun(runner, web, launches):
    good = [web.url + path for path in PICTURES]
    web.pages.pop("/pictures/vega.jpeg")
    assert launches(*good)["report"]["outputs"] == {"fetched": 2, "skipped": [good[2]]}
    web.pages["/pictures/vega.jpeg"] = b"v"
    assert launches(*good, again=True)["report"]["outputs"] == {"fetched": 3, "skipped": []}


@pytest.mark.parametrize("images", [(), (None, "")], ids=["no launch", "no picture"])
def test_no_picture_at_all_is_a_report_of_none(runner, web, launches, images):
    steps = launches(*images)
    assert runner.json("status", RUN)["state"] == "success" and steps["report"]["outputs"] == {"fetched": 0, "skipped": []}
    assert pictures(runner) == {} and ": 0 pictures in" in report(runner)


def test_all_addresses_broken_is_no_failure_either(runner, web, launches, refused):
    steps = launches(f"{refused}/a.jpg", f"{web.url}/gone.jpg")
    assert steps["report"]["outputs"] == {"fetched": 0, "skipped": [f"{refused}/a.jpg", f"{web.url}/gone.jpg"]}
    assert runner.json("status", RUN)["state"] == "success"


def test_a_list_that_cannot_be_had_fails_the_run(runner, refused):
    runner.env.update(RUNNER_PIPELINES=os.path.join(ROOT, "pipelines"), RUNNER_STEP_PYTHON=sys.executable)
    copy = runner.write("rocket_launches.yaml", open(os.path.join(ROOT, "pipelines/rocket_launches.yaml"), encoding="utf-8").read().replace("10s", "0"))
    runner("run", copy, "--date", DAY, "--param", f"source={refused}/launches", "--param", f"folder={runner.folder}/rockets", code=1)
    steps = {step["id"]: step for step in runner.json("status", RUN)["steps"]}
    assert steps["fetch_launches"]["state"] == "failed" and steps["fetch_launches"]["tries"] == 3
    assert {steps[name]["state"] for name in ("pick_pictures", "fetch_picture", "report")} == {"upstream_failed"}


def test_pictures_are_fetched_side_by_side_four_at_most(runner, web, launches):
    web.pages.update({f"/pictures/{n}.jpg": b"x" for n in range(8)})
    web.pages["/pictures/list"] = b""
    assert "max_parallel: 4" in open(os.path.join(ROOT, "pipelines/rocket_launches.yaml"), encoding="utf-8").read()
    addresses = [f"{web.url}/pictures/{n}.jpg" for n in range(8)]

    class Pairs:
        """Of the pictures two at a time: without a second one the first would wait for ever."""

        def __init__(self):
            self.barrier, self.count = threading.Barrier(2, timeout=120), 0

        def wait(self):
            with web.lock:
                self.count += 1
                first = self.count == 1  # the list comes alone
            if not first:
                self.barrier.wait()

    web.meet = Pairs()
    steps = launches(*addresses)
    assert steps["report"]["outputs"]["fetched"] == 8 and 2 <= web.most <= 4
