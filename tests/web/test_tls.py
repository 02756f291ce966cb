"""https by the daemon itself, with its own certificate."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess

import pytest

from tests.web.test_server import ask, free_port

STEPS = "steps: [{id: a, bash: 'true'}]\n"


def certificate(folder, name="page", days=30, key_mode=0o600):
    """(certificate, key) for localhost, signed by itself."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl: apt-get install openssl")
    cert, key = str(folder / f"{name}.crt"), str(folder / f"{name}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", str(days),
         "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    os.chmod(key, key_mode)
    return cert, key


def secure(port, cert):
    """A connection that trusts that certificate alone."""
    return ssl.create_default_context(cafile=cert).wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30), server_hostname="localhost")


def get(port, cert, path="/healthz", host="localhost"):
    with secure(port, cert) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def settings(house, port, cert, key):
    house.settings(f"listen: 127.0.0.1:{port}\npage_certificate: {cert}\npage_key: {key}\n")


def test_the_page_is_served_by_https_with_cookies_and_headers_for_it_and_plain_http_is_told(house, tmp_path):
    house.pipeline("mart", STEPS)
    cert, key = certificate(tmp_path)
    port = free_port()
    settings(house, port, cert, key)
    child = house.daemon()
    house.wait_for(lambda: f"the page: https://127.0.0.1:{port}" in house.log())
    assert get(port, cert).endswith(b"\r\n\r\nok\n")
    page = get(port, cert, "/pipelines")
    assert b"mart" in page and b"Strict-Transport-Security: max-age=" in page
    assert len(get(port, cert, "/static/page.js")) > 5000
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"this page speaks https" in plain.recv(65536)
    with pytest.raises(ssl.SSLError):
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(cert)
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30), server_hostname="localhost")
    assert house.end(child) == 0


def test_a_large_body_in_small_and_large_pieces_arrives_whole(house, tmp_path):
    cert, key = certificate(tmp_path)
    port = free_port()
    settings(house, port, cert, key)
    child = house.daemon()
    house.wait_for(lambda: "the page: https" in house.log())
    body = b"name=" + b"x" * 300_000
    with secure(port, cert) as connection:
        connection.sendall(b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 70_000):
            connection.sendall(body[at : at + 70_000])
        assert connection.recv(65536).startswith(b"HTTP/1.1 303")
        for _ in range(50):  # many on one connection, some at once
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)
        seen = b""
        while seen.count(b"\r\n\r\nok\n") < 100:
            piece = connection.recv(65536)
            assert piece
            seen += piece
    assert house.end(child) == 0


def test_slow_and_broken_handshakes_keep_nobody_from_being_answered(house, tmp_path):
    cert, key = certificate(tmp_path)
    port = free_port()
    settings(house, port, cert, key)
    child = house.daemon()
    house.wait_for(lambda: "the page: https" in house.log())
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]
    for number, each in enumerate(idle):
        each.sendall((b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01", b"nonsense\r\n" * 50)[number % 4])
    assert get(port, cert).endswith(b"\r\n\r\nok\n")
    for each in idle:
        each.close()
    assert get(port, cert).endswith(b"\r\n\r\nok\n")
    assert house.end(child) == 0


def test_a_new_certificate_counts_without_a_restart_and_a_faulty_one_does_not(house, tmp_path):
    cert, key = certificate(tmp_path)
    port = free_port()
    settings(house, port, cert, key)
    child = house.daemon(patch="import runner.web.tls as t; t.LOOK_SECONDS = 0")
    house.wait_for(lambda: "the page: https" in house.log())

    def shown():
        """What is served now, in hex."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
            return ssl.DER_cert_to_PEM_cert(connection.getpeercert(True))

    first = open(cert).read()
    assert shown() == first
    second = certificate(tmp_path, "other")
    os.replace(second[0], cert)
    assert shown() == first  # a certificate without its key
    house.wait_for(lambda: "keeps its old certificate" in house.log() and "not that of the certificate" in house.log())
    os.replace(second[1], key)
    assert shown() == open(cert).read() != first
    house.wait_for(lambda: "its certificate was read again" in house.log())
    os.chmod(key, 0o644)
    assert shown() == open(cert).read()
    house.wait_for(lambda: f"chmod 600 {key}" in house.log())
    assert house.end(child) == 0


def lock(key):
    subprocess.run(["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", key + ".locked"], check=True)
    os.chmod(key + ".locked", 0o600)
    os.replace(key + ".locked", key)


@pytest.mark.parametrize("spoil, said", [
    (lambda cert, key: os.chmod(key, 0o640), "can be read by others (mode 640). type: chmod 600 "),
    (lambda cert, key: os.unlink(key), "No such file"),
    (lambda cert, key: open(cert, "w").write("nonsense"), "the page is not served: page_certificate"),
    (lambda cert, key: lock(key), "locked by a password"),
])
def test_a_certificate_that_cannot_be_used_is_said_and_runs_begin_all_the_same(house, tmp_path, spoil, said):
    house.pipeline("mart", STEPS)
    cert, key = certificate(tmp_path)
    spoil(cert, key)
    port = free_port()
    settings(house, port, cert, key)
    child = house.daemon()
    house.wait_for(lambda: said in house.log())
    assert ask(port, "/healthz") is None
    house("trigger", "mart", "--date", "2026-01-05")
    house.wait_state("mart@2026-01-05", "success")
    assert house.end(child) == 0


def test_one_of_the_two_settings_alone_is_told(house):
    house.settings(f"listen: 127.0.0.1:{free_port()}\npage_key: nothing.key\n")
    child = house.daemon()
    house.wait_for(lambda: "page_certificate and page_key belong together" in house.log())
    assert house.end(child) == 0
