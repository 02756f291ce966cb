"""The end of a log: found from behind, decoded line by line, followed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import logtail


def _file(tmp_path, data):
    path = tmp_path / "log"
    path.write_bytes(data)
    return str(path)


@given(st.lists(st.binary(max_size=8).map(lambda b: b.replace(b"\n", b"")), max_size=20), st.booleans(), st.integers(0, 25))
def test_the_tail_is_what_reading_all_would_give(tmp_path_factory, lines, ended, count):
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    path = _file(tmp_path_factory.mktemp("log"), data)
    whole = data.split(b"\n")
    if whole[-1] == b"":
        whole.pop()
    tail = logtail.find_tail(path, count)
    assert list(logtail.read_lines(path, tail.offset, tail.size)) == (whole[-count:] if count else [])


def test_lines_that_cross_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(logtail, "BLOCK", 7)
    path = _file(tmp_path, b"".join(b"line %d\n" % n for n in range(100)))
    assert logtail.last_lines(path, 3) == ["line 97", "line 98", "line 99"]


def test_only_the_end_of_a_large_file_is_read(tmp_path):
    path = str(tmp_path / "log")
    with open(path, "wb") as file:
        file.truncate(1_000_000_000)  # sparse: 1 GB of NULs
        file.seek(0, 2)
        file.write(b"\n" + b"".join(b"%d\n" % n for n in range(100)))
    assert logtail.last_lines(path, 50) == [str(n) for n in range(50, 100)]


def test_a_log_without_line_ends_is_cut(tmp_path):
    path = _file(tmp_path, b"x" * 3_000_000)
    tail = logtail.find_tail(path, 5)
    assert tail == logtail.Tail(3_000_000 - logtail.TAIL_BYTES, 3_000_000, True)
    assert max(map(len, logtail.read_lines(path, tail.offset))) == logtail.LINE_BYTES


def test_no_log_is_an_empty_one(tmp_path):
    path = str(tmp_path / "none")
    assert logtail.find_tail(path, 5) == logtail.Tail(0, 0, False)
    assert list(logtail.read_lines(path)) == []
    assert logtail.Follower(path, 0).read() == b""


@pytest.mark.parametrize("line, text", [
    ("처리 완료".encode(), "처리 완료"),
    ("처리 완료".encode("euc-kr"), "처리 완료"),
    ("똠방각하".encode("cp949"), "똠방각하"),
    (b"plain\r", "plain"),
    (b"\xff\xfe\x00", "\ufffd\ufffd\x00"),
])
def test_a_line_is_read_as_what_it_is(line, text):
    assert logtail.decode(line) == text


def test_following_gives_whole_lines_and_the_rest_at_the_end(tmp_path):
    path = _file(tmp_path, b"one\ntw")
    follower = logtail.Follower(path, 0)
    assert list(follower.lines(False)) == [b"one"]
    with open(path, "ab") as file:
        file.write("o\n세".encode()[:4])  # half a letter
    assert list(follower.lines(False)) == [b"two"]
    with open(path, "ab") as file:
        file.write("세".encode()[2:])
    assert list(follower.lines(False)) == []
    assert [line.decode() for line in follower.lines(True)] == ["세"]
    assert list(follower.lines(True)) == []


def test_a_fast_writer_is_read_in_portions_until_it_ends(tmp_path):
    path = _file(tmp_path, b"x\n" * 2_000_000)
    follower = logtail.Follower(path, 0)
    first = sum(1 for _ in follower.lines(False))
    assert first == 16 * logtail.BLOCK // 2
    assert first + sum(1 for _ in follower.lines(True)) == 2_000_000


def test_the_last_lines_are_whole_also_where_one_has_no_end(tmp_path):
    path = str(tmp_path / "log")
    with open(path, "wb") as file:
        file.write(b"one\n" + b"x" * 300_000 + b"\n\ntwo\nthree")
    assert logtail.last_lines(path, 4) == ["x" * 300_000, "", "two", "three"]
    assert logtail.last_lines(str(tmp_path / "none"), 4) == []


@pytest.mark.parametrize("zipped", [False, True])
def test_the_lines_before_a_place_are_found_as_if_the_log_ended_there(tmp_path, zipped):
    import gzip

    path = str(tmp_path / "log")
    data = b"".join(b"line %d\n" % i for i in range(30_000))  # more than one block
    if zipped:
        with gzip.open(path + ".gz", "wb") as file:
            file.write(data)
    else:
        (tmp_path / "log").write_bytes(data)
    end = data.index(b"line 20000\n")
    tail = logtail.find_tail(path, 3, end=end)
    assert tail.size == end and data[tail.offset:end] == b"line 19997\nline 19998\nline 19999\n"
    assert logtail.find_tail(path, 3, end=0) == logtail.Tail(0, 0, False)
    assert logtail.find_tail(path, 2, end=10**9).size == len(data)
    assert logtail.read_at(path, end, 11) == b"line 20000\n" and logtail.read_at(path, 10**9, 5) == b""
