"""Steps with tickets from a real KDC whose tickets hold eight seconds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from tests.site.kdc import MISSING, REALM, Kdc

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
LIFE = 8


@pytest.fixture(scope="module")
def kdc(tmp_path_factory):
    made = Kdc(tmp_path_factory.mktemp("kdc"), LIFE)
    made.etl, made.ops = made.keytab("etl/here"), made.keytab("ops")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def krunner(runner, kdc):
    """`runner` on a server with that KDC."""
    runner.env.update({"KRB5_CONFIG": str(kdc.conf), "KRB5CCNAME": f"FILE:{runner.folder}/not-here"})
    return runner


def log(runner, run, step, number=1):
    pipeline, _, date = run.partition("@")
    return (runner.home / "runs" / pipeline / date / f"{step}.{number}" / "log").read_text()


def left(runner):
    """Credential caches that are still there."""
    return [name for folder, _, files in os.walk(runner.home) for name in files if name.startswith("krb5cc")]


def test_each_step_has_a_ticket_of_its_own_and_none_stays(krunner, kdc):
    krunner.write("two.yaml", f"""
        kerberos: {{principal: etl/here@{REALM}, keytab: {kdc.etl}}}
        max_active_steps: 2
        steps:
          - {{id: a, bash: 'klist; stat -c %a "${{KRB5CCNAME#FILE:}}"; echo $KRB5CCNAME > a; for i in $(seq 500); do [ -e b ] && exit 0; sleep 0.02; done; exit 1'}}
          - {{id: b, kerberos: {{principal: ops, keytab: {kdc.ops}}}, bash: 'klist; echo $KRB5CCNAME > b; for i in $(seq 500); do [ -e a ] && exit 0; sleep 0.02; done; exit 1'}}
          - {{id: c, kerberos: false, bash: 'echo "$KRB5CCNAME"; klist || true'}}
    """)
    krunner("run", "two.yaml", "--date", "2026-02-28")
    assert f"Default principal: etl/here@{REALM}" in log(krunner, "two@2026-02-28", "a") and "\n600\n" in log(krunner, "two@2026-02-28", "a")
    assert f"Default principal: ops@{REALM}" in log(krunner, "two@2026-02-28", "b")
    assert f"FILE:{krunner.folder}/not-here\nklist: No credentials" in log(krunner, "two@2026-02-28", "c")
    caches = {(krunner.folder / name).read_text() for name in "ab"}
    assert len(caches) == 2 and all("/runs/two/2026-02-28/" in name for name in caches)
    assert left(krunner) == []


def test_a_step_that_outlives_its_ticket_has_a_fresh_one(krunner, kdc):
    """Twice the life of a ticket; at every look there is a ticket that holds, whole."""
    krunner.write("long.yaml", f"""
        kerberos: {{principal: etl/here, keytab: {kdc.etl}}}
        steps:
          - id: a
            bash: |
              end=$((SECONDS + {2 * LIFE + 2}))
              while [ $SECONDS -lt $end ]; do klist -s || echo "no ticket at $SECONDS"; echo look >> looks; done
              kvno -q krbtgt/{REALM}@{REALM} && echo "the KDC takes it"
    """)
    krunner("run", "long.yaml", "--date", "2026-02-28")
    assert log(krunner, "long@2026-02-28", "a") == "the KDC takes it\n"
    assert (krunner.folder / "looks").read_text().count("look") > 20
    assert left(krunner) == []


def test_without_renewal_the_ticket_would_have_ended(krunner, kdc, monkeypatch):
    """What the test before proves: a ticket of this KDC really is over after its life."""
    cache = krunner.folder / "cc"
    krunner.write("once.sh", f"""
        kinit -k -t {kdc.etl} -c FILE:{cache} etl/here && KRB5CCNAME=FILE:{cache}
        export KRB5CCNAME
        klist -s && echo fresh
        for i in $(seq 300); do klist -s || {{ echo over; exit 0; }}; sleep 0.1; done
    """)
    krunner.write("once.yaml", "steps:\n  - {id: a, bash: . ./once.sh}\n")
    krunner("run", "once.yaml", "--date", "2026-02-28")
    assert log(krunner, "once@2026-02-28", "a") == "fresh\nover\n"


def test_the_ticket_of_the_settings(krunner, kdc):
    krunner.home.mkdir()
    (krunner.home / "settings.yaml").write_text(f"timezone: Asia/Seoul\nkerberos_principal: ops\nkerberos_keytab: {kdc.ops}\n")
    krunner.write("site.yaml", "steps:\n  - {id: a, bash: klist}\n  - {id: b, kerberos: false, bash: 'klist || echo none'}\n  - {id: c, noop: }\n")
    krunner("run", "site.yaml", "--date", "2026-02-28")
    assert f"principal: ops@{REALM}" in log(krunner, "site@2026-02-28", "a") and log(krunner, "site@2026-02-28", "b").endswith("none\n")
    planned = {step["id"]: step.get("kerberos") for step in krunner.json("plan", "site.yaml", "--date", "2026-02-28")["steps"]}
    assert planned == {"a": {"principal": "ops", "keytab": kdc.ops}, "b": None, "c": None}


def failed(krunner, name, kerberos, **env):
    krunner.write(f"{name}.yaml", f"steps:\n  - {{id: a, kerberos: {kerberos}, bash: touch ran}}\n")
    krunner("run", f"{name}.yaml", "--date", "2026-02-28", code=1, env=env)
    assert not (krunner.folder / "ran").exists() and left(krunner) == []
    return krunner.json("status", f"{name}@2026-02-28")["steps"][0], log(krunner, f"{name}@2026-02-28", "a")


def test_a_keytab_of_another_principal(krunner, kdc):
    step, text = failed(krunner, "other", f"{{principal: etl/here, keytab: {kdc.ops}}}")
    assert step["state"] == "failed" and "78" in step["reason"]
    assert text.startswith("error: kinit: Keytab contains no suitable keys for etl/here@") and "klist -kt shows which" in text


def test_a_keytab_with_an_old_key(krunner, kdc):
    path = kdc.keytab("old")
    kdc.change_key("old")
    _, text = failed(krunner, "old", f"{{principal: old, keytab: {path}}}")
    assert text.startswith("error: kinit: P") and "have a new one made" in text  # Preauthentication failed, or Password incorrect


def test_a_principal_that_the_kdc_does_not_know(krunner, kdc):
    _, text = failed(krunner, "ghost", f"{{principal: ghost, keytab: {kdc.etl}}}")
    assert "ghost@" in text and "error: kinit: " in text.splitlines()[0] and len(text.splitlines()) == 2


@pytest.mark.parametrize("make, said", [
    (lambda path: None, "No such file or directory"), (lambda path: path.write_text("plain"), "is no keytab"), (lambda path: path.mkdir(), "Is a directory")])
def test_a_keytab_that_is_none(krunner, make, said):
    path = krunner.folder / "x.keytab"
    make(path)
    _, text = failed(krunner, "none", "{principal: etl/here, keytab: ./x.keytab}")
    assert text.startswith("error: kinit: ") and said in text and str(path) in text


def test_no_kinit_on_this_server(krunner, kdc):
    tools = krunner.folder / "tools"
    tools.mkdir()
    for name in ("bash", "sh", "touch"):
        (tools / name).symlink_to(shutil.which(name))
    _, text = failed(krunner, "bare", f"{{principal: etl/here, keytab: {kdc.etl}}}", PATH=str(tools))
    assert text.startswith("error: kinit: cannot be started: No such file") and "install krb5-workstation" in text


def test_a_kdc_that_does_not_answer_is_tried_again_and_can_be_told_from_other_faults(krunner, kdc, tmp_path):
    down = Kdc(tmp_path / "down")
    keytab = down.keytab("etl")
    krunner.env["KRB5_CONFIG"] = str(down.conf)
    step, text = failed(krunner, "down", f"{{principal: etl, keytab: {keytab}}}")
    assert "75" in step["reason"] and text.count("Cannot contact any KDC") == 4 and text.count("next try in") == 3
    assert text.splitlines()[-2].startswith("error: kinit: Cannot contact any KDC") and "runner doctor kerberos" in text


def test_a_kdc_that_comes_back_in_time(krunner, kdc, tmp_path):
    """Before the command, and while it runs: a failed renewal is told and tried again."""
    late = Kdc(tmp_path / "late")
    keytab = late.keytab("etl")
    krunner.env["KRB5_CONFIG"] = str(late.conf)
    krunner.write("late.yaml", f"""
        kerberos: {{principal: etl, keytab: {keytab}}}
        steps:
          - id: a
            bash: 'echo started; for i in $(seq 3000); do [ -e go ] && klist -s && exit 0; sleep 0.02; done; exit 1'
    """)
    process = krunner.start("run", "late.yaml", "--date", "2026-02-28")
    krunner.wait_for(lambda: process.poll() is not None or "next try in" in seen(krunner, "late"))
    late.start()
    try:
        krunner.wait_for(lambda: "started" in seen(krunner, "late"))
        late.stop()
        krunner.wait_for(lambda: "could not be renewed: kinit: Cannot contact" in seen(krunner, "late"))
        late.start()
        (krunner.folder / "go").write_text("")
        process.communicate(timeout=120)
    finally:
        late.stop()
    assert process.returncode == 0 and left(krunner) == []


def seen(runner, pipeline):
    try:
        return log(runner, f"{pipeline}@2026-02-28", "a")
    except FileNotFoundError:
        return ""


def test_a_stop_while_it_waits_for_the_kdc(krunner, tmp_path):
    down = Kdc(tmp_path / "down")
    keytab = down.keytab("etl")
    krunner.env["KRB5_CONFIG"] = str(down.conf)
    krunner.write("down.yaml", f"steps:\n  - {{id: a, kerberos: {{principal: etl, keytab: {keytab}}}, bash: touch ran}}\n")
    process = krunner.start("run", "down.yaml", "--date", "2026-02-28")
    krunner.wait_for(lambda: "next try in" in seen(krunner, "down"))
    process.terminate()
    process.communicate(timeout=60)
    assert krunner.states("down@2026-02-28") == {"a": "killed"} and left(krunner) == []
    assert not (krunner.folder / "ran").exists()


@pytest.mark.parametrize("ignores", ["", "trap '' TERM; "])
def test_a_killed_step_leaves_no_ticket(krunner, kdc, ignores):
    krunner.write("hang.yaml", f"""
        kerberos: {{principal: etl/here, keytab: {kdc.etl}}}
        steps:
          - {{id: a, timeout: 10s, kill_grace: 1s, bash: "{ignores}klist -s && echo there; while :; do sleep 0.1; done"}}
    """)
    krunner("run", "hang.yaml", "--date", "2026-02-28", code=1)
    step = krunner.json("status", "hang@2026-02-28")["steps"][0]
    assert "timeout" in step["reason"] and log(krunner, "hang@2026-02-28", "a").startswith("there\n") and left(krunner) == []


def test_what_waits_looks_with_a_ticket_that_it_shares(krunner, kdc):
    """Three looks of two steps over more than a ticket's life, each with a ticket that holds; a wrong keytab is what is missing."""
    tools = krunner.folder / "tools"
    tools.mkdir()
    (tools / "hdfs").write_text("""#!/bin/sh
klist -s && klist | sed -n 's/^Default principal: //p' >> "$TOLD" || echo none >> "$TOLD"
[ "$(wc -l < "$TOLD")" -gt 12 ] && echo '-rw-r--r--   3 etl hadoop       1024 2026-02-28 01:00 /data/x'
""")
    (tools / "hdfs").chmod(0o755)
    krunner.env.update(PATH=f"{tools}:{krunner.env['PATH']}", TOLD=str(krunner.folder / "told"))
    krunner.write("waits.yaml", f"""
        kerberos: {{principal: etl/here, keytab: {kdc.etl}}}
        steps:
          - {{id: a, wait: {{hdfs: /data/x, every: 1s}}}}
          - {{id: b, wait: {{hdfs: /data/x, every: 2s}}}}
          - {{id: c, wait: {{hdfs: /data/x, every: 1s}}, kerberos: {{principal: etl/here, keytab: {kdc.ops}}}, timeout: 10s, allow_failure: true}}
    """)
    krunner("run", "waits.yaml", "--date", "2026-02-28")
    told = (krunner.folder / "told").read_text().split()
    assert set(told) == {f"etl/here@{REALM}"} and len(told) > 12
    steps = {step["id"]: step for step in krunner.json("status", "waits@2026-02-28")["steps"]}
    assert steps["a"]["state"] == "success" and "no suitable keys" in steps["c"]["reason"]
    kept = [krunner.home / "cache" / name for name in os.listdir(krunner.home / "cache") if name.startswith("krb5cc") and "." not in name]
    assert len(kept) == 1 and kept[0].stat().st_mode & 0o777 == 0o600


# ------------------------------------------------------------------------------------------------------------- doctor


def doctor(krunner, *words, code=0, **env):
    return {(each["area"], each["level"]): each for each in krunner.json("doctor", "kerberos", *words, code=code, env=env)}


def test_doctor_says_that_all_is_well(krunner, kdc):
    found = doctor(krunner, "--principal", "etl/here", "--keytab", kdc.etl)
    assert f"{kdc.conf}, default realm {REALM}" in found["krb5.conf", "ok"]["text"]
    assert f"holds etl/here@{REALM}" in found["keytab", "ok"]["text"]
    assert f"gave one for {LIFE} s" in found["ticket", "ok"]["text"] and ("clock", "ok") in found


def test_doctor_names_each_fault_with_its_remedy(krunner, kdc, tmp_path):
    found = doctor(krunner)
    assert "kerberos_principal:" in found["principal", "warn"]["remedy"]
    assert "does not hold etl/here" in doctor(krunner, "--principal", "etl/here", "--keytab", kdc.ops, code=1)["keytab", "FAIL"]["text"]
    assert "No such file" in doctor(krunner, "--principal", "etl/here", "--keytab", "/none", code=1)["keytab", "FAIL"]["text"]
    open_one = tmp_path / "open.keytab"
    shutil.copy(kdc.etl, open_one)
    open_one.chmod(0o644)
    assert "chmod 600" in doctor(krunner, "--principal", "etl/here", "--keytab", str(open_one), code=1)["keytab", "FAIL"]["remedy"]
    assert "install krb5" in doctor(krunner, code=1, PATH="/nowhere")["kinit", "FAIL"]["remedy"]
    assert "No such file" in doctor(krunner, code=1, KRB5_CONFIG="/none.conf")["krb5.conf", "FAIL"]["text"]
    down = Kdc(tmp_path / "down")
    found = doctor(krunner, "--principal", "etl", "--keytab", down.keytab("etl"), code=1, KRB5_CONFIG=str(down.conf))
    assert "Cannot contact any KDC" in found["ticket", "FAIL"]["text"] and "firewall" in found["ticket", "FAIL"]["remedy"]


@pytest.mark.skipif(not shutil.which("faketime"), reason="clocks that differ: apt-get install faketime")
@pytest.mark.parametrize("offset, area, level, said", [
    ("+2m", "clock", "warn", "differs by 1"), ("-2m", "clock", "warn", "differs by 1"), ("+20m", "clock", "FAIL", "differs by 19 min"),
    ("-20m", "ticket", "FAIL", "this server's clock is behind the KDC's"),
])
def test_doctor_sees_that_the_clocks_differ(krunner, tmp_path, offset, area, level, said):
    far = Kdc(tmp_path / "far", 600)
    far.conf.write_text(far.conf.read_text().replace("clockskew = 5", "clockskew = 300"))
    keytab = far.keytab("etl")
    far.start()
    try:
        done = subprocess.run(
            ["faketime", "-f", offset, *krunner.words("doctor", "kerberos", "--principal", "etl", "--keytab", keytab, "--json")],
            env={**krunner.env, "KRB5_CONFIG": str(far.conf)}, cwd=krunner.folder, stdout=subprocess.PIPE, timeout=60)
    finally:
        far.stop()
    found = {(each["area"], each["level"]): each for each in json.loads(done.stdout)}
    assert said in found[area, level]["text"] and "chronyc" in found[area, level]["remedy"]
