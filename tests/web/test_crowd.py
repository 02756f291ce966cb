"""A living daemon and those who would keep it from answering: slow ones, many, and what is too large."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tests.web.test_server import ask, free_port

STEPS = "steps: [{id: a, bash: 'true'}]\n"


def serve(house, patch="", **env):
    """(daemon, port)"""
    port = free_port()
    child = house.daemon(env={"RUNNER_LISTEN": f"127.0.0.1:{port}", **env}, **({"patch": patch} if patch else {}))
    house.wait_for(lambda: ask(port, "/healthz"))
    return child, port


def send(port, data, patience=30):
    """All that comes back until the other end closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        connection.sendall(data)
        out = b""
        try:
            while True:
                piece = connection.recv(65536)
                if not piece:
                    return out
                out += piece
        except OSError:
            return out


def closed(connection):
    """Whether the other end has closed it."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("head, status", [
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", b"431"),
    (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"431"),
    (b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", b"413"),
    (b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", b"400"),
    (b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n", b"303"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\n\x00bad: 1\r\n\r\n", b"400"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
], ids=["header", "address", "body", "negative", "smuggled", "control", "tls"])
def test_what_is_too_large_or_makes_no_sense_is_refused_and_the_next_is_answered(house, head, status):
    child, port = serve(house)
    answer = send(port, head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
    assert answer.split(b" ", 2)[1] == status and b"Traceback" not in answer and answer.count(b"HTTP/1.") == 1
    assert ask(port, "/healthz") == (200, "ok\n")
    assert house.end(child) == 0


def test_who_sends_a_byte_now_and_then_is_cut_off_and_an_open_page_is_not(house):
    child, port = serve(house, patch="import runner.web.connections as c; c.SILENT_SECONDS = 10")
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    for each in slow:
        each.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
    page = socket.create_connection(("127.0.0.1", port))

    def trickle():
        for each in slow:
            try:
                each.sendall(b"a")
            except OSError:
                pass
        page.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"ok\n"):
            piece = page.recv(65536)
            assert piece, "the open page was cut off"
            answer += piece
        assert ask(port, "/healthz") == (200, "ok\n")
        return all(map(closed, slow))

    house.wait_for(trickle)
    assert not closed(page)
    for each in [*slow, page]:
        each.close()
    assert house.end(child) == 0


def test_who_takes_an_answer_slowly_holds_no_thread(house):
    house.pipeline("mart", "steps: [{id: a, bash: 'head -c 5000000 /dev/zero | tr \"\\\\0\" x | fold -w 100'}]\n")
    child, port = serve(house)
    house("trigger", "mart", "--date", "2026-01-05")
    house.wait_state("mart@2026-01-05", "success")
    lazy = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]
    for each in lazy:
        each.sendall(b"GET /runs/mart@2026-01-05/steps/a/log.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for each in lazy:
        assert each.recv(20).startswith(b"HTTP/1.1 200")
    for _ in range(5):
        assert ask(port, "/pipelines")[0] == 200
    for each in lazy:
        each.close()
    assert house.end(child) == 0


def test_when_all_places_are_taken_who_has_most_makes_room(house):
    """A thousand open pages where a hundred may be: whoever comes is answered, and nobody loses an answer."""
    child, port = serve(house, patch="import runner.web.server as s; s.MOST_CONNECTIONS = 100")
    crowd = []
    for number in range(1000):
        each = socket.create_connection(("127.0.0.1", port), timeout=60)
        each.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert each.recv(65536).startswith(b"HTTP/1.1 200"), number
        crowd.append(each)
    assert ask(port, "/healthz") == (200, "ok\n")
    house.wait_for(lambda: sum(not closed(each) for each in crowd) <= 100)
    for each in crowd:
        each.close()
    assert house.end(child) == 0


def test_many_who_guess_passwords_do_not_slow_the_page_of_others(house):
    """Twenty guess without a pause; who is known to the page is answered all the while."""
    house.pipeline("mart", STEPS)
    house("user", "add", "kim", "--role", "operator", "--password-stdin", stdin="correct horse battery\n")
    token = house("token", "add", "ci", "--scope", "look").stdout.strip()
    child, port = serve(house)
    over, codes = threading.Event(), []

    def guess(number):
        import http.client

        connection, count = http.client.HTTPConnection("127.0.0.1", port, timeout=60), 0
        while not over.is_set():
            count += 1
            connection.request("POST", "/sign-in", f"name=user{number}-{count}&password=guess", {"Content-Type": "application/x-www-form-urlencoded"})
            answer = connection.getresponse()
            answer.read()
            codes.append(answer.status)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    begin, asked = time.monotonic(), 0
    while asked < 20 or len(codes) < 300:
        status, text = ask(port, f"/pipelines.json?n={asked}", Authorization=f"Bearer {token}")
        assert status == 200 and "mart" in text
        asked += 1
        assert time.monotonic() - begin < 120
    over.set()
    for thread in threads:
        thread.join()
    assert set(codes) == {401, 429}
    assert house.log().count("sign-in refused") < 120
    assert house.end(child) == 0
