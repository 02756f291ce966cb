"""One message by SMTP: what the email step and the alerts share.

A server is a connection of the site, all of its values texts:

    mail:
      type: smtp
      host: smtp.example
      port: 587                  # default: 587 with starttls, 465 with smtps, 25 with none
      tls: starttls              # starttls (default) | smtps | none; by the port when it is 25 or 465
      user: etl
      password: << secret.mail >>
      ca: /etc/ssl/company.pem   # default: the system's authorities
      timeout: 30s               # of each answer
      from: etl@example
"""

from __future__ import annotations

import re
import smtplib
import socket
from email.message import EmailMessage
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

from runner.clients import net
from runner.errors import EnvironmentFault, RunnerError, UsageError

PORTS = {"starttls": 587, "smtps": 465, "none": 25}
TIMEOUT = 30.0
_LONGEST_LINE = 900  # bytes; SMTP allows 998
_WRONG_TLS = "look at `tls:` and `port:`: 587 is usually starttls, 465 smtps, 25 none"


class PartlyRefused(RunnerError):
    """Some receivers were refused; the others have the mail, so that sending it again doubles it."""


def compose(sender: str, to: Iterable[str], subject: str, text: str, *, html: Optional[str] = None, cc: Iterable[str] = (),
            bcc: Iterable[str] = (), files: Iterable[Tuple[str, bytes]] = ()) -> EmailMessage:
    """A message in which any language arrives whole, also through relays that know 7 bits only. Raises UsageError."""
    from email.utils import format_datetime, make_msgid

    from runner.clock import Clock

    to, cc, bcc = list(to), list(cc), list(bcc)
    if not sender:
        raise UsageError("the mail has no sender", "write `from:`, in the step or in the connection")
    if not to + cc + bcc:
        raise UsageError("the mail has no receiver", "write `to: name@host`")
    message = EmailMessage()
    message["Date"] = format_datetime(Clock().now())
    message["Message-ID"] = make_msgid(domain=_own_name())
    for name, value in (("From", sender), ("To", ", ".join(to)), ("Cc", ", ".join(cc)), ("Bcc", ", ".join(bcc))):
        if value:
            _address(message, name, value)
    message["Subject"] = " ".join(subject.split())  # a header is one line
    message["Auto-Submitted"] = "auto-generated"  # absence notices stay where they are
    message.set_content(text, cte=_encoding(text))
    if html is not None:
        message.add_alternative(html, subtype="html", cte=_encoding(html))
    for name, content in files:
        _attach(message, name, content)
    return message


def _address(message: EmailMessage, name: str, value: str) -> None:
    try:
        message[name] = value
        good = all(a.username and a.domain for a in message[name].addresses) and not message[name].defects
    except (ValueError, IndexError):
        good = False
    if not good:
        raise UsageError(f"{name.lower()}: {value!r} is no mail address", "write name@host, or Name <name@host>")


def _encoding(text: str) -> str:
    short = all(len(line) <= _LONGEST_LINE for line in text.splitlines())
    return "7bit" if short and text.isascii() else "base64"


def _attach(message: EmailMessage, name: str, content: bytes) -> None:
    import mimetypes

    kind, packed = mimetypes.guess_type(name)
    if name.lower().endswith((".log", ".csv")):  # the mail program shows these, whatever the server's own table says
        kind = "text/csv" if name.lower().endswith(".csv") else "text/plain"
    main, _, sub = (kind if kind and not packed else "application/octet-stream").partition("/")
    message.add_attachment(content, maintype=main, subtype=sub, filename=name)
    if main == "text":
        list(message.iter_attachments())[-1].set_param("charset", "utf-8")


def send(server: Mapping[str, Any], message: EmailMessage) -> None:
    """Hand a message to the server; returns when the server has taken it for all receivers. Raises RunnerError."""
    place = _Place(server)
    try:
        _deliver(place, message)
    except RunnerError:
        raise
    except smtplib.SMTPException as error:
        raise _said(error, place) from None
    except OSError as error:
        raise net.trouble(error, place.name, place.timeout, _WRONG_TLS) from None


class _Place:
    """A server's mapping, understood. Raises UsageError."""

    def __init__(self, server: Mapping[str, Any]):
        self.host = str(server.get("host") or "").strip()
        if not self.host:
            raise UsageError("the mail server has no `host:`", "name it in its connection: `host: smtp.example`")
        port = str(server.get("port") or "").strip()
        if port and not (port.isdigit() and 0 < int(port) < 65536):
            raise UsageError(f"port: {port!r} is no port", "write a number from 1 to 65535")
        usual = {number: tls for tls, number in PORTS.items()}
        self.tls = str(server.get("tls") or usual.get(int(port or 0), "starttls")).strip().lower()
        if self.tls not in PORTS:
            raise UsageError(f"tls: {self.tls!r} is not known", "write starttls, smtps or none")
        self.port = int(port) if port else PORTS[self.tls]
        self.name = f"{self.host}:{self.port}"
        self.timeout = net.seconds(server.get("timeout"), TIMEOUT)
        self.user, self.password = str(server.get("user") or ""), str(server.get("password") or "")
        insecure = net.flag(server.get("insecure"))
        if self.password and self.tls == "none" and not insecure:
            raise UsageError(f"a password would go to {self.name} for everybody to read: `tls: none`",
                             "write `tls: starttls`; where the server cannot, `insecure: true` accepts it")
        self.context = None if self.tls == "none" else net.trust(server.get("ca"), insecure)


def _deliver(place: _Place, message: EmailMessage) -> None:
    options: Dict[str, Any] = {"timeout": place.timeout, "local_hostname": _own_name()}
    if place.tls == "smtps":
        session = smtplib.SMTP_SSL(place.host, place.port, context=place.context, **options)
    else:
        session = smtplib.SMTP(place.host, place.port, **options)
    try:
        if place.tls == "starttls":
            _encrypt(session, place)
        if place.user:
            _login(session, place)
        refused = session.send_message(message)
    except BaseException:
        session.close()
        raise
    try:
        session.quit()
    except (smtplib.SMTPException, OSError):
        session.close()  # it has the message: how it says goodbye does not matter
    if refused:
        raise PartlyRefused(f"{place.name} refused {_listed(refused)}; the other receivers have the mail")


def _encrypt(session: smtplib.SMTP, place: _Place) -> None:
    session.ehlo_or_helo_if_needed()
    if not session.has_extn("starttls"):
        raise EnvironmentFault(f"{place.name} offers no STARTTLS", _WRONG_TLS)
    session.starttls(context=place.context)
    session.ehlo()


def _login(session: smtplib.SMTP, place: _Place) -> None:
    if f"{place.user}{place.password}".isascii():
        session.login(place.user, place.password)
        return
    from base64 import b64encode  # smtplib knows ASCII only; PLAIN is UTF-8 (RFC 4616)

    session.ehlo_or_helo_if_needed()
    if "PLAIN" not in session.esmtp_features.get("auth", "").upper().split():
        raise EnvironmentFault(f"{place.name} takes no password that is not ASCII", "give that user an ASCII password")
    words = f"\0{place.user}\0{place.password}".encode("utf-8")
    code, said = session.docmd("AUTH", "PLAIN " + b64encode(words).decode("ascii"))
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, said)


def _said(error: smtplib.SMTPException, place: _Place) -> RunnerError:
    """What the server, or smtplib in its name, has against it."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return RunnerError(f"{place.name} refused {_listed(error.recipients)}")
    if isinstance(error, smtplib.SMTPAuthenticationError):
        # 4xx: it cannot look them up at the moment
        return (UsageError if error.smtp_code >= 500 else RunnerError)(
            f"{place.name} does not accept user {place.user} and its password: {_answer(error)}", "look at `user:` and `password:` of the connection")
    if isinstance(error, smtplib.SMTPSenderRefused):
        hint = "the server wants a login: `user:` and `password:` in the connection" if error.smtp_code in (530, 550) and not place.user else ""
        return RunnerError(f"{place.name} refused the sender {error.sender}: {_answer(error)}", hint)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        if place.user and "AUTH" in str(error):
            return RunnerError(f"{place.name} knows no login: leave `user:` out of the connection, or look at `tls:`")
        return RunnerError(f"{place.name} takes no mail address that is not ASCII", "write the address in ASCII")
    if isinstance(error, smtplib.SMTPServerDisconnected):
        if isinstance(error.__context__, OSError):  # smtplib has wrapped it
            return net.trouble(error.__context__, place.name, place.timeout, _WRONG_TLS)
        return RunnerError(f"{place.name} broke the connection off", _WRONG_TLS)
    if isinstance(error, smtplib.SMTPResponseException):
        return RunnerError(f"{place.name} refused the message: {_answer(error)}")
    return RunnerError(f"{place.name}: {error}")


def _answer(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_text(error.smtp_error)}"


def _listed(refused: Mapping[str, Tuple[int, Any]]) -> str:
    return ", ".join(f"{who}: {code} {_text(said)}" for who, (code, said) in sorted(refused.items()))


def _text(said: Any) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return " ".join(text.split())[:300]


def _own_name() -> str:
    """This server's name for the greeting, without asking a DNS that may not answer."""
    name = socket.gethostname()
    return name if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", name) else "localhost"

