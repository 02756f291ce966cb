"""Reaching a server: who is trusted, and plain words for what stands in the way."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any, Optional

from runner import durations
from runner.errors import EnvironmentFault, RunnerError, UsageError

_REASONS = {
    "unable to get local issuer certificate": "no authority that this server trusts has signed it",
    "self-signed certificate in certificate chain": "its authority is not one that this server trusts",
    "self signed certificate in certificate chain": "its authority is not one that this server trusts",
    "self-signed certificate": "it is signed by itself",
    "self signed certificate": "it is signed by itself",
    "certificate has expired": "it has expired",
    "certificate is not yet valid": "it is not valid yet: compare the clocks",
}


def flag(value: Any) -> bool:
    """A switch of a connection, where all is text."""
    return str(value or "").strip().lower() in ("true", "yes", "on", "1")


def seconds(value: Any, default: float, what: str = "timeout") -> float:
    """How long to wait. Raises UsageError."""
    if value in (None, ""):
        return default
    try:
        found = durations.parse_duration(value)
    except durations.DurationError as error:
        raise UsageError(f"{what}: {error.message}", error.hint) from None
    if not found:
        raise UsageError(f"{what}: 0 is no time to wait", f"write `{what}: 30s`")
    return found


def trust(ca: Optional[str] = None, insecure: bool = False) -> ssl.SSLContext:
    """The TLS context: the system's authorities, or only those in the file `ca`; `insecure` believes anybody.

    Raises EnvironmentFault for a file that holds no certificate.
    """
    if insecure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    if not ca:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(**{"capath" if os.path.isdir(ca) else "cafile": ca})
    except ssl.SSLError:
        raise EnvironmentFault(f"ca: {ca} holds no certificate", "name a PEM file: it begins with -----BEGIN CERTIFICATE-----") from None
    except OSError as error:
        raise EnvironmentFault(f"ca: {ca}: {error.strerror}", f"type: ls -l {ca}") from None


def trouble(error: BaseException, place: str, waited: float, tls_hint: str = "") -> RunnerError:
    """What an OSError of a connection to `place` (host:port) means, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message or str(error)
        return RunnerError(f"the certificate of {place} is not trusted: {_REASONS.get(said, said)}",
                           "name the file of your authority's certificate in `ca:`")
    if isinstance(error, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(error.reason):
        return RunnerError(f"{place} wants a client certificate")
    if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return RunnerError(f"{place} does not speak TLS", tls_hint)
    if isinstance(error, ssl.SSLError):
        return RunnerError(f"TLS with {place} failed: {error.reason or error}", tls_hint)
    if isinstance(error, socket.gaierror):
        host = place.rpartition(":")[0] or place
        return RunnerError(f"the name {host} is not known on this server: {error.strerror or error}", f"type: getent hosts {host}")
    if isinstance(error, socket.timeout):  # TimeoutError from Python 3.10 on
        return RunnerError(f"{place} did not answer within {waited:g} s", "is it up, and does a firewall let this server in? `timeout:` waits longer")
    if isinstance(error, ConnectionRefusedError):
        return RunnerError(f"{place} refuses the connection: nothing listens there", "look at host and port, and whether the service is up")
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, EOFError)):
        return RunnerError(f"{place} broke the connection off")
    return RunnerError(f"{place} cannot be reached: {getattr(error, 'strerror', None) or error}")
