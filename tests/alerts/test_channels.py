"""alerts.yaml: what it may say, and what is said of what it may not."""

from __future__ import annotations

import pytest

from runner import site
from runner.alerts import channels
from runner.errors import EnvironmentFault

GOOD = """
    channels:
      ops:
        smtp: {host: mail.example, port: 25, from: runner@example.com, to: [kim@example.com, lee@example.com]}
      당직:
        webhook: {url: "https://chat.example/hook?token=<< secret.chat >>", json: {text: << text >>, level: high}}
      sms: {command: "/opt/sms/send --to 'night shift'"}
      pager: {command: {run: [/opt/page], env: {TOKEN: << secret.page >>}, timeout: 5s}}
    default: {on_failure: [ops, sms], on_late: 당직}
    summary: {at: "08:00", to: ops}
    group: {more_than: 3, within: 30s}
"""


def test_a_whole_file(home):
    home.alerts(GOOD)
    book = channels.load(str(home.folder))
    assert site.channel_names(str(home.folder)) == frozenset(book.channels)
    assert {name: each.kind for name, each in book.channels.items()} == {"ops": "smtp", "당직": "webhook", "sms": "command", "pager": "command"}
    assert book.default == {"failure": ("ops", "sms"), "late": ("당직",)}
    assert (book.summary_at, book.summary_to, book.more_than, book.within) == ((8, 0), ("ops",), 3, 30.0)
    assert book.channels["sms"].body["run"] == ["/opt/sms/send", "--to", "night shift"]


def test_where_a_channel_leads_is_shown_without_its_secret(home):
    home.alerts(GOOD.replace("<< secret.chat >>", "s3cret"))
    book = channels.load(str(home.folder))
    assert book.channels["ops"].target == "mail.example:25 -> kim@example.com, lee@example.com"
    assert book.channels["당직"].target == "https://chat.example/hook?..."


def test_no_file_is_an_empty_book(home):
    assert channels.load(str(home.folder)) == channels.Book() and site.channel_names(str(home.folder)) is None


def test_a_file_that_others_may_read_is_refused(home):
    home.alerts(GOOD, mode=0o640)
    with pytest.raises(EnvironmentFault, match="others may read it") as caught:
        channels.load(str(home.folder))
    assert "chmod 600" in caught.value.hint and site.channel_names(str(home.folder)) is None


@pytest.mark.parametrize("text, said, hint", [
    ("chanels: {}", "unknown key 'chanels'", "did you mean channels?"),
    ("channels: [ops]", "channels: must be a mapping", "below it"),
    ("channels: {ops: {mail: {}}}", "channels.ops: a channel has one key", "smtp:, webhook:, command:"),
    ("channels: {default: {command: x}}", "'default' is no name for a channel", "not default"),
    ("channels: {a b: {command: x}}", "'a b' is no name", "letters"),
    ("channels: {ops: {smtp: {host: h, to: a@b}}}", "channels.ops.smtp: from: is missing", "add from:"),
    ("channels: {ops: {smtp: {hots: h}}}", "unknown key 'hots'", "did you mean host?"),
    ("channels: {ops: {webhook: {url: ftp://x}}}", "'ftp://x' is no address", "http://"),
    ("channels: {ops: {webhook: {url: http://x, json: {a: b}, body: c}}}", "exclude each other", "json: is a mapping"),
    ("channels: {ops: {webhook: {url: http://x, json: {a: [<< txet >>]}}}}", "<< txet >> is not known", "known: text"),
    ("channels: {ops: {webhook: {url: http://x, timeout: soon}}}", "channels.ops.webhook.timeout: 'soon' is not a length", "90 (seconds)"),
    ("channels: {ops: {command: [send, << secret.x >>]}}", "everybody can read the words of a command", "env:"),
    ("channels: {ops: {command: \"send 'x\"}}", "channels.ops.command.run: No closing quotation", "a list"),
    ("default: {on_failure: [ops]}", "default.on_failure: there is no channel ops", "channels: none"),
    ("default: {on_fail: []}", "unknown key 'on_fail'", "did you mean on_failure?"),
    ("channels: {ops: {command: x}}\nsummary: {at: '8', to: ops}", "summary.at: '8' is no time of the day", '"08:00"'),
    ("channels: {ops: {command: x}}\nsummary: {at: '08:00', to: opps}", "there is no channel opps", "did you mean ops?"),
    ("group: {more_than: few}", "group.more_than: 'few' is no number", "write 5"),
])
def test_a_fault_is_named_with_its_place_and_remedy(home, text, said, hint):
    path = home.alerts(text)
    with pytest.raises(EnvironmentFault) as caught:
        channels.load(str(home.folder))
    assert caught.value.message.startswith(str(path)) and said in caught.value.message and hint in caught.value.hint
