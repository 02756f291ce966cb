"""A real sshd on loopback, and a link to it that can be cut, frozen and mended."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import threading

import pytest

PROGRAMS = ("/usr/sbin/sshd", "/usr/bin/sshd")


class SshServer:
    """sshd for the user of the tests; `body` holds what a step needs to come in."""

    def __init__(self, folder, extra=""):
        program = next((path for path in PROGRAMS if os.path.exists(path)), None)
        if not program or not shutil.which("ssh"):
            pytest.skip("no sshd here: install openssh-server for the tests of ssh and sftp")
        self.folder = folder
        for name in ("host_key", "id"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        shutil.copy(folder / "id.pub", folder / "authorized_keys")
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\nAuthorizedKeysFile {folder}/authorized_keys\n"
            f"StrictModes no\nUsePAM no\nPasswordAuthentication no\nMaxStartups 100\nSubsystem sftp internal-sftp\n{extra}")
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        self.process = subprocess.Popen([program, "-D", "-e", "-f", folder / "config"], stdin=subprocess.DEVNULL, stderr=open(folder / "log", "wb"))
        self.trust(self.port)
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            threading.Event().wait(0.02)
        else:
            raise AssertionError((folder / "log").read_text())

    def trust(self, *ports):
        key = (self.folder / "host_key.pub").read_text().split(" ", 2)[:2]
        with open(self.folder / "known_hosts", "a") as file:
            file.writelines(f"[127.0.0.1]:{port} {' '.join(key)}\n" for port in ports)

    @property
    def body(self):
        return {"host": "127.0.0.1", "port": self.port, "user": getpass.getuser(), "key_file": str(self.folder / "id"), "config": "none",
                "known_hosts": str(self.folder / "known_hosts")}

    def close(self):
        self.process.terminate()
        self.process.wait(20)


class Link:
    """A port that leads to another one, as long as the test wants."""

    def __init__(self, target):
        self.target, self.up, self.frozen = target, True, threading.Event()
        self.pairs, self.met = [], 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            if not self.up:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.target))
            self.pairs.append((near, far))
            self.met += 1
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one, other):
        try:
            while True:
                data = one.recv(1 << 16)
                if not data:
                    break
                while self.frozen.is_set():
                    threading.Event().wait(0.05)
                other.sendall(data)
        except OSError:
            pass
        self._shut(one, other)

    @staticmethod
    def _shut(*sockets):
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """Break what is open and refuse what comes, until `mend`."""
        self.up = False
        for pair in self.pairs:
            self._shut(*pair)

    def mend(self):
        self.up = True

    def close(self):
        self.cut()
        self.frozen.clear()
        self.server.close()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory):
    made = SshServer(tmp_path_factory.mktemp("sshd"))
    yield made
    made.close()


@pytest.fixture
def link(sshd):
    made = Link(sshd.port)
    sshd.trust(made.port)
    yield made
    made.close()
