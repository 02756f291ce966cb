"""A real KDC of MIT Kerberos on a loopback port, as any user, in one folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading

REALM = "TEST.LOCAL"
SBIN = os.pathsep.join(("/usr/sbin", "/usr/local/sbin", "/usr/lib/mit/sbin"))
MISSING = "" if all(shutil.which(name, path=os.environ["PATH"] + os.pathsep + SBIN) for name in ("kdb5_util", "kadmin.local", "krb5kdc", "kinit")) else (
    "a KDC: apt-get install krb5-kdc krb5-admin-server krb5-user")


class Kdc:
    """`life`: seconds that its tickets hold."""

    def __init__(self, folder, life=8):
        self.folder, self.realm = folder, REALM
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.conf = folder / "krb5.conf"
        self.env = {"KRB5_CONFIG": str(self.conf), "KRB5_KDC_PROFILE": str(folder / "kdc.conf"), "PATH": os.environ["PATH"] + os.pathsep + SBIN}
        self.conf.write_text(f"""\
[libdefaults]
 default_realm = {REALM}
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 ticket_lifetime = {life}s
 clockskew = 5
[realms]
 {REALM} = {{
  kdc = 127.0.0.1:{self.port}
 }}
""")
        (folder / "kdc.conf").write_text(f"""\
[kdcdefaults]
 kdc_listen = 127.0.0.1:{self.port}
 kdc_tcp_listen = 127.0.0.1:{self.port}
[realms]
 {REALM} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
  max_life = 1h
  supported_enctypes = aes256-cts-hmac-sha1-96:normal
 }}
""")
        self._do("kdb5_util", "create", "-s", "-r", REALM, "-P", "master")
        self._process = None

    def _do(self, *words):
        subprocess.run(words, env={**os.environ, **self.env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)

    def keytab(self, principal, name=None):
        """A principal of its own key, and the file that holds it."""
        path = self.folder / f"{name or principal.replace('/', '_')}.keytab"
        self._do("kadmin.local", "-q", f"addprinc -randkey {principal}")
        self._do("kadmin.local", "-q", f"ktadd -k {path} {principal}")
        return str(path)

    def change_key(self, principal):
        self._do("kadmin.local", "-q", f"change_password -randkey {principal}")

    def start(self):
        self._process = subprocess.Popen(["krb5kdc", "-n"], env={**os.environ, **self.env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pause = threading.Event()
        for _ in range(1000):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                assert self._process.poll() is None, "the KDC ended"
                pause.wait(0.02)
        raise AssertionError("the KDC does not listen")

    def stop(self):
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
