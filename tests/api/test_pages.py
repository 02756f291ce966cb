"""docs/api.md and docs/metrics.md: their tables are made from the code, and what they tell people to type is typed here."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from runner.web.api import addresses, problems  # noqa: F401 - it fills the table
from runner.web.api.operation import OPERATIONS
from tests.api.living import Living

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


def page(name):
    with open(os.path.join(ROOT, "docs", name), encoding="utf-8") as file:
        return file.read()


def renewed(text):
    """docs/api.md with its tables as the code has them: `python -m tests.api.test_pages` writes it."""
    lines = [f"| `{each.path}` | {each.method} | {each.summary} |" for each in sorted(OPERATIONS, key=lambda each: (each.noun, each.path))]
    text = _filled(text, "operations", ["| address | | what |", "|---|---|---|", *lines])
    lines = [f"| {kind.status} | `{problems.URN}{name}` | {kind.title} |" for name, kind in problems.KINDS.items()]
    return _filled(text, "problems", ["| status | type | |", "|---|---|---|", *lines])


def _filled(text, name, lines):
    return re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda found: found[1] + "\n".join(lines) + "\n" + found[2], text, flags=re.S)


def test_the_tables_are_those_of_the_code():
    assert page("api.md") == renewed(page("api.md")), "stale: python -m tests.api.test_pages"


def test_the_numbers_of_the_page_are_those_of_the_code():
    from runner.web.api import acting, asking, limits

    assert (asking.MOST_BODY, acting.LONGEST_KEY) == (64 * 1024, 200)
    assert (*limits.READS, *limits.ACTS) == (2000, 500, 100, 10)
    assert "2000 requests at once and 500 a second; acts 100 at once and 10 a second" in page("api.md") and "A body of 64 kB" in page("api.md")


def test_what_the_page_tells_people_to_type_works(tmp_path):
    living = Living(tmp_path)
    try:
        living.house.pipeline("mart", "steps:\n  - {id: extract, bash: 'echo read; exit 1'}\n  - {id: load, needs: extract, bash: 'true'}\n")
        living.start()
        helper = re.search(r"^api\(\).*$", page("api.md"), re.M)[0]
        said = []
        for line in re.findall(r"^api [^(].*$", page("api.md"), re.M):
            if "/mark" in line or "rerun" in line:
                living.house.wait_all_ended()
            done = subprocess.run(["bash", "-c", f"{helper}\n{line} -w ' %{{http_code}}'"], env={"PATH": os.environ["PATH"], "SERVER": living.url, "TOKEN": living.tokens["operate"]},
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
            said.append((line, done.stdout[-3:], done.stdout[:200], done.stderr))
        wrong = [each for each in said if each[1] not in ("200", "201") and not ("/stop" in each[0] and each[1] == "409")]
        assert len(said) >= 13 and not wrong, wrong
    finally:
        living.close()


def test_each_figure_of_the_page_is_told_and_each_told_is_on_the_page(site):
    text = site.client.get("/metrics", headers={"Authorization": f"Bearer {site.tokens['look']}"}, environ_base={"REMOTE_ADDR": "127.0.0.1"}).get_data(as_text=True)
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    on_page = dict(re.findall(r"^\| `([a-z_]+)[^`]*` \| (\w+) \|", page("metrics.md"), re.M))
    only_sometimes = {"runner_daemon_last_beat_timestamp_seconds", "runner_daemon_start_timestamp_seconds", "runner_pool_slots", "runner_pool_slots_used", "runner_alerts_waiting",
                      "runner_alerts_oldest_age_seconds", "runner_pipeline_last_success_timestamp_seconds", "runner_runs_total", "runner_run_duration_seconds",
                      "runner_run_start_delay_seconds", "runner_deadlines_missed_total"}
    assert set(kinds) <= set(on_page) <= set(kinds) | only_sometimes
    assert all(on_page[name] == kind for name, kind in kinds.items())


def test_the_rules_of_the_page_are_rules(tmp_path):
    import shutil

    if not shutil.which("promtool"):
        pytest.skip("no promtool: apt-get install prometheus")
    rules = re.search(r"```yaml\n(groups:.*?)```", page("metrics.md"), re.S)[1]
    (tmp_path / "rules.yml").write_text(rules)
    done = subprocess.run(["promtool", "check", "rules", str(tmp_path / "rules.yml")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0 and "3 rules found" in done.stdout, done.stdout


if __name__ == "__main__":
    path = os.path.join(ROOT, "docs", "api.md")
    made = renewed(page("api.md"))
    with open(path, "w", encoding="utf-8") as out:
        out.write(made)
    sys.exit(0)
