"""Secret values out of a stream, in every spelling and however the stream is cut."""

from __future__ import annotations

import base64
import html
import json
import subprocess
from urllib.parse import quote, quote_plus

import pytest

from runner.site.masking import Masker

VALUE = "s3cret/Canary+value 42=&\"'ü"
LONG = "".join(chr(33 + i * 7 % 90) for i in range(150))
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7\n}\n-----END KEY-----\n"


def masked(values, *pieces):
    masker = Masker(values)
    return b"".join([masker.feed(piece) for piece in pieces] + [masker.flush()])


SPELLINGS = {
    "plain": VALUE.encode(),
    "base64, offset 0": base64.b64encode(VALUE.encode()),
    "base64, offset 1": base64.b64encode(b"u" + VALUE.encode() + b"tail"),
    "base64, offset 2": base64.b64encode(b"us" + VALUE.encode() + b"tail1"),
    "base64, offset 4": base64.b64encode(b"user" + VALUE.encode() + b"ta"),
    "url base64": base64.urlsafe_b64encode(VALUE.encode()),
    "percent": quote(VALUE, safe="").encode(),
    "percent, slash kept": quote(VALUE).encode(),
    "percent, small": quote(VALUE, safe="").lower().encode() if VALUE.islower() else b"s3cret%2fCanary%2bvalue%2042%3d%26%22%27%c3%bc",
    "form": quote_plus(VALUE).encode(),
    "json": json.dumps({"x": VALUE}).encode(),
    "json, letters kept": json.dumps({"x": VALUE}, ensure_ascii=False).encode(),
    "json in json": json.dumps([json.dumps({"x": VALUE})]).encode(),
    "json of bytes taken for Latin 1": json.dumps([json.dumps({"x": VALUE.encode().decode("latin-1")})]).encode(),
    "shell, set -x": subprocess.run(["bash", "-xc", ': "$V"'], env={"V": VALUE}, stderr=subprocess.PIPE, check=True).stderr,
    "shell, printf %q": subprocess.run(["bash", "-c", 'printf %q "$V"'], env={"V": VALUE, "LC_ALL": "C.UTF-8"}, stdout=subprocess.PIPE, check=True).stdout,
    "html": html.escape(VALUE).encode(),
    "python": repr([VALUE]).encode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_spelling_is_masked_at_every_cut(spelling):
    """A stream cut in two at every place, and byte by byte; what stands around the value stays."""
    text = b"before " + SPELLINGS[spelling] + b" behind\n"
    whole = masked([VALUE], text)
    assert b"***" in whole and whole.startswith(b"before ") and whole.endswith(b" behind\n")
    for part in (b"Canary", b"value", b"2FyeSt2YW", b"s3cr", b"czNjc"):
        assert part not in whole
    for cut in range(len(text) + 1):
        assert masked([VALUE], text[:cut], text[cut:]) == whole
    assert masked([VALUE], *[text[i : i + 1] for i in range(len(text))]) == whole


@pytest.mark.parametrize("before", range(70, 82))
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_base64_whose_lines_are_broken_anywhere(before, newline):
    letters = base64.b64encode(b"x" * before + LONG.encode() + b"end")
    text = newline.join(letters[i : i + 76] for i in range(0, len(letters), 76)) + newline
    whole = masked([LONG], text)
    inside = base64.b64encode(LONG.encode())
    leaked = [inside[i : i + 12] for i in range(len(inside) - 12) if inside[i : i + 12] in whole.replace(newline, b"")]
    assert b"***" in whole and not leaked
    assert len(whole) < len(text) - 180
    for size in (1, 7, 76, 77):
        assert masked([LONG], *[text[i : i + size] for i in range(0, len(text), size)]) == whole


def test_what_base64_of_the_server_prints_is_masked():
    out = subprocess.run(["base64"], input=LONG.encode() + b"\n", stdout=subprocess.PIPE, check=True).stdout
    assert out.count(b"\n") > 2
    assert len(masked([LONG], out)) < 12


def test_each_line_of_a_long_value_is_masked_and_its_braces_are_not():
    out = masked([PEM], b"a }\n" + PEM.encode())
    assert out.startswith(b"a }\n") and b"MIIEvQ" not in out and b"AASCBK" not in out and out.count(b"***") == 4


def test_two_values_of_which_one_begins_as_the_other():
    assert masked(["pass", "password1"], b"pass", b"word1") == b"***"
    assert masked(["pass", "password1"], b"pass", b"port") == b"***port"


def test_what_is_no_value_comes_at_once_and_as_it_is():
    masker = Masker([VALUE])
    data = bytes(range(256)) * 3 + b"\n"
    assert masker.feed(data) == data
    assert masker.feed(b"half of it: s3cr") == b"half of it: "
    assert masker.flush() == b"s3cr"
    assert masked([], data) == data


def test_a_value_too_short_to_be_told_from_text_is_left():
    assert masked(["ab1"], b"ab1 tab1e") == b"ab1 tab1e"
