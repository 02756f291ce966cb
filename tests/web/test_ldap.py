"""Signing in by a directory: a real slapd. Needs the Debian package slapd."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading

import pytest

from runner import accounts, config
from runner.acts.who import Who
from runner.clients import ldap
from runner.errors import EnvironmentFault
from tests.web.stage import HERE, Web
from tests.web.test_server import free_port
from tests.web.test_tls import certificate

SLAPD = shutil.which("slapd") or "/usr/sbin/slapd"
GOOD, PEOPLE = "correct horse battery", "uid={name},ou=people,dc=example"
ROLES = "viewer=cn=etl,ou=groups,dc=example; operator=cn=ops,ou=groups,dc=example; admin=cn=posix,ou=groups,dc=example"
CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCertificateFile {cert}
TLSCertificateKeyFile {key}
database mdb
suffix dc=example
directory {folder}/db
access to attrs=userPassword by anonymous auth by * none
access to * by users read
"""
LDIF = "\n\n".join([
    "dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: example",
    *(f"dn: ou={name},dc=example\nobjectClass: organizationalUnit\nou: {name}" for name in ("people", "groups")),
    *(f"dn: uid={name},ou=people,dc=example\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\nuserPassword: {GOOD}" for name in ("kim", "lee", "park", "han", "a.b@c")),
    "dn: cn=etl,ou=groups,dc=example\nobjectClass: groupOfNames\ncn: etl\n" + "\n".join(f"member: uid={name},ou=people,dc=example" for name in ("kim", "lee", "a.b@c")),
    "dn: cn=ops,ou=groups,dc=example\nobjectClass: groupOfUniqueNames\ncn: ops\nuniqueMember: uid=kim,ou=people,dc=example",
    "dn: cn=posix,ou=groups,dc=example\nobjectClass: posixGroup\ncn: posix\ngidNumber: 7\nmemberUid: han",
]) + "\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """(ldaps address, ldap address, file of its authority)"""
    if not os.path.exists(SLAPD):
        pytest.skip("no slapd: apt-get install slapd")
    folder = tmp_path_factory.mktemp("slapd")
    cert, key = certificate(folder)
    (folder / "db").mkdir()
    (folder / "slapd.conf").write_text(CONF.format(folder=folder, cert=cert, key=key))
    (folder / "data.ldif").write_text(LDIF)
    subprocess.run([SLAPD, "-Ta", "-f", folder / "slapd.conf", "-l", folder / "data.ldif"], check=True, capture_output=True)
    secure, plain = free_port(), free_port()
    child = subprocess.Popen([SLAPD, "-f", folder / "slapd.conf", "-h", f"ldaps://127.0.0.1:{secure} ldap://127.0.0.1:{plain}", "-d", "0"], stderr=subprocess.DEVNULL)
    pause = threading.Event()
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", plain)).close()
            break
        except OSError:
            pause.wait(0.02)
    yield f"ldaps://localhost:{secure}", f"ldap://localhost:{plain}", cert
    child.terminate()
    child.wait()


@pytest.fixture
def site(tmp_path, directory):
    made = Web(tmp_path, accounts=False)
    values = {"RUNNER_LDAP_URL": directory[0], "RUNNER_LDAP_USER": PEOPLE, "RUNNER_LDAP_ROLES": ROLES, "RUNNER_LDAP_CA": directory[2]}
    made.config = config.load({**made.environ, **values})
    made.open(accounts=False)
    yield made
    made.close()


def sign_in(site, name, password=GOOD, code=303):
    answer = site.app.test_client().post("/sign-in", data={"name": name, "password": password}, environ_base=HERE)
    assert answer.status_code == code, answer.text
    return answer


@pytest.mark.parametrize("which", [0, 1], ids=["ldaps", "starttls"])
def test_a_password_is_asked_of_the_directory_and_the_groups_with_it(directory, which):
    groups = [part.partition("=")[2] for part in ROLES.split("; ")]
    asked = lambda name, password=GOOD: ldap.member_of(directory[which], directory[2], PEOPLE, name, password, groups)  # noqa: E731
    assert asked("kim") == groups[:2] and asked("lee") == groups[:1] and asked("han") == groups[2:] and asked("a.b@c") == groups[:1] and asked("park") == []
    assert asked("kim", "wrong password") is None and asked("nobody") is None
    assert asked("kim", "") is None, "an empty password is called good by a directory, and proves nothing"


@pytest.mark.parametrize("name", ["kim,ou=people", "*", "kim)(uid=*", "kim\\2cou", "x" * 5000, "김"])
def test_a_name_that_is_more_than_a_name_opens_nothing(directory, name):
    assert not ldap.member_of(directory[0], directory[2], PEOPLE, name, GOOD, ["cn=etl,ou=groups,dc=example"])


def test_people_of_the_directory_sign_in_with_the_highest_role_of_their_groups(site):
    assert site.get("/pipelines", 303).headers["Location"].startswith("/sign-in"), "nobody is let in unasked, though there is no user yet"
    assert "Set-Cookie" in sign_in(site, "KIM").headers
    sign_in(site, "lee")
    sign_in(site, "han")
    assert {user.name: user.role for user in site.store.accounts.users()} == {"kim": "operator", "lee": "viewer", "han": "admin"}
    sign_in(site, "park", code=401)  # of no group
    sign_in(site, "kim", "wrong password", 401)
    sign_in(site, "kim", "", 401)
    assert [entry.act for entry in site.store.audit.rows(3)] == ["sign-in refused"] * 3
    accounts.set_role(site.store, Who("root", "cli"), site.clock.now(), "kim", "admin", ["mart"])
    sign_in(site, "kim")
    user = site.store.accounts.user("kim")
    assert (user.role, user.tags) == ("operator", ("mart",)), "the groups say the role, the site the tags"
    accounts.lock_user(site.store, Who("root", "cli"), site.clock.now(), "kim")
    sign_in(site, "kim", code=401)


def test_a_user_of_ours_comes_first_and_gets_in_when_the_directory_is_down(site):
    who, now = Who("root", "cli"), site.clock.now()
    accounts.add_user(site.store, who, now, "kim", "viewer", [], "a password of ours")
    sign_in(site, "kim", GOOD, 401)
    sign_in(site, "kim", "a password of ours")
    assert site.store.accounts.user("kim").role == "viewer"
    site.open(accounts=True, ldap_url="ldaps://localhost:1")
    accounts.set_password(site.store, who, now, "kim", "a password of ours")
    sign_in(site, "kim", "a password of ours")
    answer = sign_in(site, "lee", code=503)
    assert "cannot be asked" in answer.text and "localhost:1" not in answer.text and "Connection refused" in site.said[-1]


def test_a_password_is_never_sent_without_tls_or_to_one_that_nobody_trusts(directory, tmp_path):
    with pytest.raises(EnvironmentFault, match="signed|certificate|verify") as found:
        ldap.member_of(directory[0], "", PEOPLE, "kim", GOOD, [])
    assert "ldap_ca" in found.value.hint
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as plain:
        def answer():
            connection = plain.accept()[0]
            heard.append(connection.recv(1000))
            connection.sendall(bytes.fromhex("300c02010178070a013404000400"))  # StartTLS: unavailable
            heard.append(connection.recv(1000))

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(EnvironmentFault, match="speaks no TLS"):
            ldap.member_of(f"ldap://127.0.0.1:{plain.getsockname()[1]}", "", PEOPLE, "kim", GOOD, [])
        thread.join()
    assert GOOD.encode() not in b"".join(heard) and heard[0]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"0\x84\xff\xff\xff\xff", b"0\x03\x02\x01\x01", b"", b"0\x0c\x02\x01\x09\x78\x07\x0a\x01\x00\x04\x00\x04\x00", b"\x30\x02\x02\x7f"])
def test_what_is_no_answer_of_a_directory_is_said_so(answer):
    with socket.create_server(("127.0.0.1", 0)) as plain:
        def speak():
            connection = plain.accept()[0]
            connection.recv(1000)
            connection.sendall(answer)
            connection.close()

        thread = threading.Thread(target=speak)
        thread.start()
        with pytest.raises(EnvironmentFault):
            ldap.member_of(f"ldap://127.0.0.1:{plain.getsockname()[1]}", "", PEOPLE, "kim", GOOD, [])
        thread.join()


@pytest.mark.parametrize("lines, said", [
    ("ldap_url: ldaps://x\n", "belong together"), ("ldap_url: x\nldap_user: uid={name}\nldap_roles: viewer=cn=a\n", "is no address of a directory"),
    ("ldap_url: ldaps://x\nldap_user: uid=kim\nldap_roles: viewer=cn=a\n", "has no {name} in it"),
    ("ldap_url: ldaps://x\nldap_user: uid={name}\nldap_roles: boss=cn=a\n", "is not ROLE=GROUP"),
])
def test_settings_that_cannot_be_meant_are_refused(tmp_path, lines, said):
    (tmp_path / "settings.yaml").write_text(lines)
    with pytest.raises(EnvironmentFault, match=said):
        config.load({"RUNNER_HOME": str(tmp_path)})
