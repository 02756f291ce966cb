"""A real mail server on loopback: plain, STARTTLS or SMTPS, with logins, and the ways in which one can fail."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class MailServer:
    """`tls` as a connection has it. `users`: name -> password; with any, a login is wanted."""

    def __init__(self, tls="none", authority=None, users=None, refuse=(), drop=False):
        self.received, self.envelopes = [], []  # messages as mail programs have them, and what was said around them
        self.refuse, self.drop = refuse, drop
        self.users = {name: password.encode() for name, password in (users or {}).items()}
        context = None
        if tls != "none":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(authority / "cert.pem", authority / "key.pem")
        options = {"ssl_context": context} if tls == "smtps" else {"tls_context": context, "require_starttls": tls == "starttls"}
        if self.users:
            options.update(authenticator=self.login, auth_required=True, auth_require_tls=tls == "starttls")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)
        self.controller.start()

    def login(self, server, session, envelope, mechanism, data):
        good = self.users.get(data.login.decode()) == data.password
        return AuthResult(success=good, handled=good)

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuse:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.drop:
            server.transport.abort()
            return "250 OK"
        self.received.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        return "250 OK"

    def close(self):
        controller, self.controller = self.controller, None
        if controller:
            controller.stop()
