"""hive steps with a ticket of their own against a kerberised Spark Thrift server; part of the long form: RUNNER_TEST_FULL=1"""

from __future__ import annotations

import os

import pytest

from tests.e2e.conftest import Shell
from tests.hive.servers import SparkThriftServer
from tests.site.kdc import MISSING, REALM, Kdc
from tests.spark.conftest import spark  # noqa: F401

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
CORE_SITE = "<configuration><property><name>hadoop.security.authentication</name><value>kerberos</value></property></configuration>\n"


@pytest.fixture(scope="module")
def kerberised(tmp_path_factory, spark):  # noqa: F811
    if not os.environ.get("RUNNER_TEST_FULL"):
        pytest.skip("a kerberised server, for a minute: RUNNER_TEST_FULL=1")
    folder = tmp_path_factory.mktemp("kerberised")
    kdc = Kdc(folder / "kdc", 600)
    door, kdc.etl = kdc.keytab("hive/localhost"), kdc.keytab("etl/localhost")
    kdc.start()
    server = SparkThriftServer(folder / "server", spark.home, door=False)
    server.kdc = kdc
    java = f"-Djava.security.krb5.conf={kdc.conf}"
    principal = f"hive/localhost@{REALM}"
    conf = {"spark.hadoop.hadoop.security.authentication": "kerberos", "spark.kerberos.principal": principal, "spark.kerberos.keytab": door}
    hive = {"hive.server2.authentication": "KERBEROS", "hive.server2.authentication.kerberos.principal": principal,
            "hive.server2.authentication.kerberos.keytab": door}
    try:
        yield server.start(conf, java, {"SPARK_SUBMIT_OPTS": java}, hive)
    finally:
        server.stop()
        kdc.stop()


@pytest.fixture
def shell(tmp_path, kerberised):
    made = Shell(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "core-site.xml").write_text(CORE_SITE)
    conf = kerberised.kdc.conf
    made.env.update(PATH=f"{kerberised.home}/bin:{made.env['PATH']}", SPARK_HOME=kerberised.home, KRB5_CONFIG=str(conf), KRB5CCNAME=f"FILE:{tmp_path}/none",
                    HADOOP_CONF_DIR=f"{tmp_path}/conf",
                    SPARK_BEELINE_OPTS=f"-Djava.security.krb5.conf={conf} -Djavax.security.auth.useSubjectCredsOnly=false")
    return made


def pipeline(shell, server, kerberos):
    url = f"jdbc:hive2://localhost:{server.port}/default;principal=hive/localhost@{REALM}"
    shell.write("mart.yaml", f"""
        steps:
          - id: load
            kerberos: {kerberos}
            hive: {{url: "{url}", sql: "select current_user() as who;"}}
          - {{id: tell, needs: load, bash: echo "I am << outputs.load.value >>"}}
    """)


def test_a_step_with_a_ticket_of_its_own(shell, kerberised):
    pipeline(shell, kerberised, f"{{principal: etl/localhost, keytab: {kerberised.kdc.etl}}}")
    shell("run", "mart.yaml", "--date", "2026-11-20")
    assert "I am etl" in shell("logs", "mart@2026-11-20", "tell").stdout


def test_a_step_without_a_ticket(shell, kerberised):
    pipeline(shell, kerberised, "false")
    shell("run", "mart.yaml", "--date", "2026-11-20", code=1)
    log = (shell.home / "runs/mart/2026-11-20/load.1/log").read_text(encoding="utf-8")
    assert "GSS initiate failed" in log and "\tat " not in "".join(log.splitlines()[-2:])
    assert log.splitlines()[-2:] == [f"error: localhost:{kerberised.port}: no Kerberos ticket that it takes",
                                     "       give the step `kerberos:`; see: runner doctor kerberos"]
