"""A mail step in a run."""

from __future__ import annotations


def test_the_report_of_a_step_is_mailed_with_the_date_of_the_run(runner, mail_server):
    runner.home.mkdir()
    site = runner.home / "connections.yaml"
    site.write_text(f"mail: {{type: smtp, host: 127.0.0.1, port: {mail_server.port}, tls: none, from: 야간 <etl@example.com>}}\n", encoding="utf-8")
    site.chmod(0o600)
    runner.write("mart.yaml", """
        steps:
          - {id: make, bash: "echo 고객,점수 > 결과-$RUNNER_DS.csv; echo rows=3 >> $RUNNER_OUTPUT"}
          - id: tell
            needs: make
            email: {connection: mail, to: kim@example.com, subject: "고객 마트 << ds >>", body: "<< outputs.make.rows >> rows\\n", attach: "결과-<< ds >>.csv"}
          - {id: after, needs: tell, bash: "echo << outputs.tell.receivers >>"}
    """)
    runner("run", "mart.yaml", "--date", "2026-02-28")
    (mail,) = mail_server.received
    assert mail["Subject"] == "고객 마트 2026-02-28" and mail.get_body().get_content().strip() == "3 rows"
    assert [(part.get_filename(), part.get_content()) for part in mail.iter_attachments()] == [("결과-2026-02-28.csv", "고객,점수\n")]


def test_a_server_that_is_away_fails_the_step_and_says_so(runner, mail_server):
    mail_server.close()
    runner.home.mkdir()
    site = runner.home / "connections.yaml"
    site.write_text(f"mail: {{type: smtp, host: 127.0.0.1, port: {mail_server.port}, tls: none, from: etl@example.com}}\n", encoding="utf-8")
    site.chmod(0o600)
    runner.write("mart.yaml", """
        steps:
          - {id: tell, email: {connection: mail, to: kim@example.com, subject: s, body: t}}
    """)
    runner("run", "mart.yaml", "--date", "2026-02-28", code=1)
    assert "refuses the connection: nothing listens there" in runner("logs", "mart@2026-02-28", "tell").stdout
