"""The server's own ssh and sftp: their command lines, and the meaning of what they say. Never asks, never trusts an unknown host."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from typing import Any, Dict, List, Mapping

from runner.clients import BAD_REQUEST, Client, ClientError, net

LINK = 255  # ssh's own exit code for whatever is wrong with the link
_KEYS = ("host", "user", "port", "key_file", "known_hosts", "jump", "config")
_NAME = re.compile(r"[^\s\-@/,;'\"][^\s@/,;'\"]*")
_MEANINGS = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "the key of {host} is not the one that is known: it was set up anew, or another machine answers in its place",
     "ask its keeper for the new key, then: ssh-keygen -R {known}"),
    ("Host key verification failed", "the key of {host} is not known here, so it is not trusted",
     "put it into known_hosts, from a trusted place: ssh-keyscan -p {port} {host}"),
    ("host key is known", "the key of {host} is not known here, so it is not trusted", "put it into known_hosts, from a trusted place: ssh-keyscan -p {port} {host}"),
    ("UNPROTECTED PRIVATE KEY FILE", "the private key may be read by others, so ssh does not use it", "type: chmod 600 {key}"),
    ("Permission denied", "{host} does not let {user} in with what it was shown", "look at `user:` and `key_file:`, and at authorized_keys there"),
    ("Too many authentication failures", "{host} does not let {user} in: too many keys were tried", "name the right one: `key_file: /path`"),
    ("Could not resolve hostname", "the name {host} is not known on this server", "type: getent hosts {host}"),
    ("Connection refused", "{host}:{port} refuses the connection: no sshd listens there", "look at `port:`, and whether sshd is up there"),
    ("timed out", "{host}:{port} did not answer", "is it up, and does a firewall let this server in?"),
    ("No route to host", "there is no way to {host} from this server", "type: ip route get {host}"),
    ("Network is unreachable", "there is no way to {host} from this server", "type: ip route get {host}"),
    ("no matching", "this server's ssh and that of {host} have no common algorithm", "see the lines above; ssh_config can allow an older one"),
)
_FINAL = {words for words, _, _ in _MEANINGS[:4]}  # whom we trust, and who may read our key: a person's affair


class Host:
    """Where to go, from the step's body over its connection. Raises ClientError."""

    def __init__(self, client: Client, body: Mapping[str, Any]):
        site: Dict[str, Any] = client.connection(body["connection"]) if "connection" in body else {}
        found = {**site, **{key: body[key] for key in _KEYS if key in body}}
        self.host, self.user = str(found.get("host") or ""), str(found.get("user") or "")
        for key, value in (("host", self.host), ("user", self.user)):
            if (value or key == "host") and not _NAME.fullmatch(value):
                raise ClientError(f"{key}: {value!r} is no {key} name", f"write `{key}:` in the step or in its connection", BAD_REQUEST)
        self.port = str(found.get("port") or "22")
        if not self.port.isdigit() or not 0 < int(self.port) < 65536:
            raise ClientError(f"port: {self.port!r} is no port", "write a number from 1 to 65535", BAD_REQUEST)
        self.key, self.known_hosts, self.config = (self._file(client, found, key) for key in ("key_file", "known_hosts", "config"))
        self.jump = str(found.get("jump") or "")
        self.connect_timeout = net.seconds(body.get("connect_timeout", site.get("connect_timeout")), 15, "connect_timeout")
        self.keepalive = net.seconds(body.get("keepalive", site.get("keepalive")), 15, "keepalive")
        self.name = f"{self.user}@{self.host}" if self.user else self.host

    @staticmethod
    def _file(client: Client, found: Mapping[str, Any], key: str) -> str:
        """A file that ssh is to use; it would go on without one that is not there, and fail for another reason."""
        path = str(found.get(key) or "")
        if not path or path == "none":
            return path
        path = client.path(path)
        try:
            open(path, "rb").close()
        except OSError as error:
            raise ClientError(f"{key}: {path}: {error.strerror}", f"type: ls -l {path}", BAD_REQUEST, final=False) from None
        return path

    @property
    def address(self) -> str:
        """The same for two attempts that go to the same place."""
        return f"{self.name}:{self.port}"

    def words(self, program: str = "ssh") -> List[str]:
        """The program and its options, without the host."""
        if not shutil.which(program):
            raise ClientError(f"{program} is not installed on this server, or not in the PATH", "install openssh-clients (Debian: openssh-client)", 127)
        return [program, *self._options(), "-P" if program == "sftp" else "-p", self.port]

    def command(self) -> List[str]:
        """What runs `sh` there."""
        return [*self.words(), "-T", "--", self.name, "sh"]

    def _options(self) -> List[str]:
        pairs = {
            "BatchMode": "yes", "StrictHostKeyChecking": "yes", "ConnectTimeout": _whole(self.connect_timeout), "LogLevel": "ERROR",
            "ServerAliveInterval": _whole(self.keepalive), "ServerAliveCountMax": "3", "ControlMaster": "no", "ControlPath": "none",
            "ForwardAgent": "no", "ForwardX11": "no", "ClearAllForwardings": "yes", "PermitLocalCommand": "no", "RequestTTY": "no",
        }
        if self.key:
            pairs.update(IdentitiesOnly="yes", IdentityFile=_quoted(self.key))
        if self.known_hosts:
            pairs.update(UserKnownHostsFile=_quoted(self.known_hosts), GlobalKnownHostsFile="none")
        if self.jump:
            pairs["ProxyCommand"] = self._proxy(pairs)
        return [*(("-F", self.config) if self.config else ()), *(word for name, value in pairs.items() for word in ("-o", f"{name}={value}"))]

    def _proxy(self, pairs: Mapping[str, str]) -> str:
        """The way over the jump host, with the same key and the same strictness; `-J` would use neither."""
        name, _, port = self.jump.partition(":") if self.jump.count(":") == 1 else (self.jump, "", "")
        user, _, host = name.rpartition("@")
        if not _NAME.fullmatch(host) or user and not _NAME.fullmatch(user) or port and not port.isdigit():
            raise ClientError(f"jump: {self.jump!r} is no host", "write `jump: user@host` or `jump: user@host:port`", BAD_REQUEST)
        own = {key: value for key, value in pairs.items() if key != "ClearAllForwardings"}
        words = ["ssh", *(("-F", self.config) if self.config else ()), *(word for one, value in own.items() for word in ("-o", f"{one}={value}"))]
        words += [*(("-p", port) if port else ()), *(("-l", user) if user or self.user else ())[:1], *((user or self.user,) if user or self.user else ())]
        return " ".join(shlex.quote(word).replace("%", "%%") for word in words) + " -W [%h]:%p -- " + shlex.quote(host)

    def trouble(self, said: str) -> ClientError:
        """What ssh's words mean."""
        place = {"host": self.host, "port": self.port, "user": self.user or "this user", "key": self.key or "~/.ssh/id_*",
                 "known": self.host if self.port == "22" else f"'[{self.host}]:{self.port}'"}
        for words, message, hint in _MEANINGS:
            if words in said:
                return ClientError(message.format(**place), hint.format(**place), LINK, final=words in _FINAL)
        last = [line for line in said.splitlines() if line.strip()][-1:] or ["it said nothing"]
        return ClientError(f"no link to {self.host}: {last[0].strip()}", "", LINK)


def _whole(seconds: float) -> str:
    return str(max(1, int(seconds + 0.5)))


def _quoted(path: str) -> str:
    """A path inside an option of ssh, which splits at blanks and expands `%`."""
    return '"' + path.replace("%", "%%") + '"'


def environment(client: Client) -> Dict[str, str]:
    """For ssh itself; without the attempt's mark it outlives the attempt."""
    return {name: value for name, value in client.environ.items() if name != "RUNNER_ATTEMPT"}


def clear(said: str) -> str:
    """ssh's words for the log."""
    return "".join(line + os.linesep for line in said.replace("\r", "").splitlines() if line.strip("@ "))
