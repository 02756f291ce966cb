"""Real database servers for tests: PostgreSQL and MariaDB on loopback, in a folder of their own, gone when the tests are."""

from __future__ import annotations

import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.clients import start

PASSWORD = "비밀 'p%w\"0123"


class Step:
    """A sql step as the engine starts it: a process with its request, its connections and its attempt's folder."""

    def __init__(self, folder: Path, **connections):
        self.folder = folder
        (folder / "home").mkdir(exist_ok=True)
        file = folder / "home" / "connections.yaml"
        file.write_text(json.dumps(connections, ensure_ascii=False), encoding="utf-8")
        file.chmod(0o600)

    def start(self, connection, sql, **body):
        (self.folder / "script.sql").write_text(sql, encoding="utf-8")
        request = self.folder / "request.json"
        request.write_text(json.dumps({
            "body": {"connection": connection, "script": "script.sql", "python": sys.executable, **body}, "pipeline_folder": str(self.folder),
        }), encoding="utf-8")
        (self.folder / "output").unlink(missing_ok=True)
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RUNNER_")}, "RUNNER_HOME": str(self.folder / "home"),
            "RUNNER_ATTEMPT": str(self.folder), "RUNNER_OUTPUT": str(self.folder / "output"), "RUNNER_PIPELINE": "시험", "RUNNER_STEP": "load",
        }
        return subprocess.Popen([sys.executable, "-I", start.__file__, "sql", str(request)], cwd=str(self.folder), env=env, text=True,
                                encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    def __call__(self, connection, sql, code=0, **body):
        """What the log says; checks the exit status."""
        return self.end(self.start(connection, sql, **body), code)

    def end(self, process, code=0):
        try:
            log, _ = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        assert process.returncode == code, log
        assert "Traceback" not in log, log
        return log

    @property
    def outputs(self):
        return json.loads((self.folder / "output").read_text(encoding="utf-8"))


def eventually(check, seconds=60):
    """What `check` gives as soon as it gives something."""
    until = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def program(name, *places):
    found = shutil.which(name) or next(iter(sorted(path for place in places for path in glob.glob(place))), None)
    return os.path.realpath(found) if found and not os.path.islink(found) else found


def _as_nobody():
    """Servers refuse root."""
    if os.getuid():
        return []
    return ["setpriv", "--reuid=nobody", f"--regid={pwd.getpwnam('nobody').pw_gid}", "--clear-groups"]


@contextmanager
def _home(name):
    folder = tempfile.mkdtemp(prefix=f"runner-{name}-")
    if not os.getuid():
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """One server process."""

    def __init__(self, words, log, ready):
        self.words, self.log, self.ready = words, log, ready
        self.process = None
        self.up()

    def up(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        eventually(lambda: self.process.poll() is not None or self.ready())
        assert self.process.poll() is None, Path(self.log).read_text(errors="replace")

    def down(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait(60)


class Postgres:
    """Database mart, user etl with PASSWORD over TCP; TLS with a certificate of its own where openssl is there."""

    def __init__(self, folder):
        data, self.folder, self.port = os.path.join(folder, "data"), folder, free_port()
        initdb = program("initdb", "/usr/lib/postgresql/*/bin/initdb")
        self.bin = os.path.dirname(initdb)
        subprocess.run([*_as_nobody(), initdb, "-D", data, "-U", "app", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"], check=True,
                       stdout=subprocess.DEVNULL, cwd=folder)
        with open(os.path.join(data, "pg_hba.conf"), "w", encoding="utf-8") as file:
            file.write("local all all trust\nhostssl nothing all 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "fsync": "off", "shared_buffers": "32MB", "port": self.port}
        self.ca = self._certificate(data)
        if self.ca:
            options["ssl"] = "on"
        words = [*_as_nobody(), os.path.join(self.bin, "postgres"), "-D", data]
        for name, value in options.items():
            words += ["-c", f"{name}={value}"]
        self.server = Server(words, os.path.join(folder, "log"), self._ready)
        escaped = PASSWORD.replace("'", "''")
        for sql in (f"create role etl login password '{escaped}'", "create database mart owner etl"):
            self.admin(sql)

    @staticmethod
    def _certificate(data):
        if not shutil.which("openssl"):
            return None
        key, cert = os.path.join(data, "server.key"), os.path.join(data, "server.crt")
        subprocess.run([*_as_nobody(), "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
        os.chmod(key, 0o600)
        return cert

    def _ready(self):
        try:
            return self.admin("select 1")
        except Exception:  # noqa: BLE001 - it is starting
            return None

    def admin(self, sql, database="postgres"):
        from pg8000.native import Connection

        with Connection("app", unix_sock=os.path.join(self.folder, f".s.PGSQL.{self.port}"), database=database) as connection:
            return connection.run(sql)

    def running(self, like="%"):
        """The queries of etl that the server works on: [(application, query)]."""
        return self.admin(f"select application_name, query from pg_stat_activity where usename = 'etl' and state = 'active' and query like '{like}'")

    @property
    def connection(self):
        return {"type": "postgres", "host": "127.0.0.1", "port": str(self.port), "database": "mart", "user": "etl", "password": PASSWORD}


class Mariadb:
    def __init__(self, folder):
        self.folder, self.port, self.socket = folder, free_port(), os.path.join(folder, "s.sock")
        data, temporary = os.path.join(folder, "data"), os.path.join(folder, "tmp")
        os.mkdir(temporary)
        if not os.getuid():
            os.chown(temporary, pwd.getpwnam("nobody").pw_uid, -1)
        subprocess.run([*_as_nobody(), "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
                        "--skip-test-db"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        self.server = Server(
            [*_as_nobody(), program("mariadbd", "/usr/sbin/mariadbd"), "--no-defaults", f"--datadir={data}", f"--socket={self.socket}", f"--port={self.port}",
             "--bind-address=127.0.0.1", f"--pid-file={folder}/pid", f"--tmpdir={temporary}", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0",
             "--innodb-buffer-pool-size=64M", "--character-set-server=utf8mb4"], os.path.join(folder, "log"), self._ready)
        self.admin("create database shop")
        self.admin("create user etl@'%%' identified by %s", PASSWORD)
        self.admin("grant all on shop.* to etl@'%'")

    def _ready(self):
        try:
            return self.admin("select 1")
        except Exception:  # noqa: BLE001 - it is starting
            return None

    def admin(self, sql, *values):
        import pymysql

        with pymysql.connect(unix_socket=self.socket, user="root", autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return cursor.fetchall()

    def running(self, like="%"):
        return self.admin("select info from information_schema.processlist where user = 'etl' and command = 'Query' and info like %s", like)

    @property
    def connection(self):
        return {"type": "mysql", "host": "127.0.0.1", "port": str(self.port), "database": "shop", "user": "etl", "password": PASSWORD}


@pytest.fixture(scope="module")  # imported by each module that wants it, so `session` would keep one for each
def postgres():
    if not program("initdb", "/usr/lib/postgresql/*/bin/initdb"):
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with _home("postgres") as folder:
        database = Postgres(folder)
        yield database
        database.server.down(signal.SIGQUIT)


@pytest.fixture(scope="module")  # imported by each module that wants it, so `session` would keep one for each
def mariadb():
    if not program("mariadbd", "/usr/sbin/mariadbd") or not shutil.which("mariadb-install-db"):
        pytest.skip("needs MariaDB: apt-get install mariadb-server")
    with _home("mariadb") as folder:
        database = Mariadb(folder)
        yield database
        database.server.down()


@contextmanager
def silent_server():
    """It takes connections and never says a word."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(8)
        yield sock.getsockname()[1]
