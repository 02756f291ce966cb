"""What a call prints may be lost, and its three streams may not be there."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest

from runner.cli import streams
from runner.errors import EnvironmentFault


class Broken(io.StringIO):
    def __init__(self, number):
        super().__init__()
        self._number = number

    def write(self, text):
        raise OSError(self._number, os.strerror(self._number))


def test_a_reader_who_left_ends_what_only_prints():
    out = streams.Output(Broken(errno.EPIPE), "stdout")
    for _ in range(2):  # click swallows the first
        with pytest.raises(streams.Unread):
            out.write("line")


def test_a_full_disk_is_told():
    with pytest.raises(EnvironmentFault, match="stdout cannot be written: No space left"):
        streams.Output(Broken(errno.ENOSPC), "stdout").write("line")


@pytest.mark.parametrize("number, fault", [(errno.EPIPE, ""), (errno.ENOSPC, "stdout cannot be written: No space left on device")])
def test_a_calm_one_goes_on_and_knows_why(number, fault):
    out = streams.Output(Broken(number), "stdout", calm=True)
    assert out.write("line") == 4 and out.fault == fault


def test_what_is_left_in_a_buffer_fails_nobody_at_the_end():
    out = streams.Output(open("/dev/full", "w"), "stdout", calm=True)
    out.write("line")
    out.flush()
    out.close()


def test_bytes_are_lost_as_text_is():
    read, write = os.pipe()
    os.close(read)
    out = streams.Output(open(write, "w"), "stdout")
    with pytest.raises(streams.Unread):
        out.buffer.write(b"x" * 100_000)
        out.buffer.flush()
    with pytest.raises(streams.Unread):
        out.write("line")
    out.close()


def test_the_streams_are_those_of_before_when_the_call_is_over():
    before = sys.stdout, sys.stderr
    with streams.guarded() as out:
        assert sys.stdout is out and sys.stderr is not before[1] and not out.calm
        streams.keep_calm()
        assert out.calm
    assert (sys.stdout, sys.stderr) == before
