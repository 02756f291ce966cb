"""Mail as servers and readers get it."""

from __future__ import annotations

import email
import email.policy
import socket

import pytest

from runner.clients import mail
from runner.errors import RunnerError


def read(message):
    """The message as a mail program has it."""
    return email.message_from_bytes(message.as_bytes(), policy=email.policy.default)


def test_hangul_arrives_whole_through_seven_bits():
    long = "야간 작업 실패: 고객 마트 2026-11-20, 아주 긴 제목이 여기에서 끝나지 않고 계속 이어집니다"
    made = mail.compose("야간 <etl@example.com>", ["김철수 <kim@example.com>", "lee@example.com"], long, "본문\n" + "가" * 3000, html="<p>본문</p>",
                        files=[("결과 파일.csv", "가,나\n".encode()), ("log", b"\0\xff")])
    assert made.as_bytes().isascii() and max(map(len, made.as_bytes().splitlines())) < 998
    got = read(made)
    assert got["Subject"] == long and got["From"].addresses[0].display_name == "야간" and got["To"].addresses[0].display_name == "김철수"
    assert got.get_body(("plain",)).get_content().split() == ["본문", "가" * 3000]
    assert got.get_body(("html",)).get_content().strip() == "<p>본문</p>"
    table, log = got.iter_attachments()
    assert (table.get_filename(), table.get_content_type(), table.get_content()) == ("결과 파일.csv", "text/csv", "가,나\n")
    assert (log.get_filename(), log.get_content_type(), log.get_content()) == ("log", "application/octet-stream", b"\0\xff")


def test_a_subject_of_two_lines_is_one_and_no_header_can_be_slipped_in():
    assert read(mail.compose("a@b.c", ["d@e.f"], "one\nBcc: evil@x.y\r\n", "t"))["Subject"] == "one Bcc: evil@x.y"


@pytest.mark.parametrize("bad", ["nobody", "a@b, ", "a b@c", "a@b.c\nX: y", "<>"])
def test_what_is_no_address_is_refused(bad):
    for words in ((bad, ["a@b.c"]), ("a@b.c", [bad])):
        with pytest.raises(RunnerError, match="is no mail address") as caught:
            mail.compose(*words, "s", "t")
        assert "name@host" in caught.value.hint


def test_a_mail_to_nobody_is_refused():
    with pytest.raises(RunnerError, match="no receiver"):
        mail.compose("a@b.c", [], "s", "t")
    with pytest.raises(RunnerError, match="no sender"):
        mail.compose("", ["a@b.c"], "s", "t")


@pytest.mark.parametrize("server, said", [
    ({}, "no `host:`"),
    ({"host": "h", "port": "smtp"}, "'smtp' is no port"),
    ({"host": "h", "tls": "ssl"}, "starttls, smtps or none"),
    ({"host": "h", "timeout": "soon"}, "'soon' is not a length of time"),
    ({"host": "h", "tls": "none", "user": "u", "password": "p"}, "for everybody to read"),
    ({"host": "h", "ca": "/nonesuch.pem"}, "ca: /nonesuch.pem: No such file"),
    ({"host": "nonesuch.invalid"}, "the name nonesuch.invalid is not known"),
])
def test_what_is_wrong_with_a_server_is_said(server, said):
    with pytest.raises(RunnerError) as caught:
        mail.send(server, mail.compose("a@b.c", ["d@e.f"], "s", "t"))
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_a_port_where_nothing_listens_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(RunnerError, match=f"127.0.0.1:{port} refuses the connection"):
            mail.send({"host": "127.0.0.1", "port": str(port)}, mail.compose("a@b.c", ["d@e.f"], "s", "t"))


def test_a_server_that_says_nothing_is_given_up():
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(RunnerError, match="did not answer within 0.2 s"):
            mail.send({"host": "127.0.0.1", "port": str(mute.getsockname()[1]), "timeout": "0.2"}, mail.compose("a@b.c", ["d@e.f"], "s", "t"))
