"""What `runner doctor kerberos` looks at: programs, krb5.conf, keytab, and a ticket from the KDC."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from typing import Iterator, Mapping, Tuple

from runner.clock import Clock
from runner.config import Config
from runner.site import kerberos

OK, WARN, FAIL = "ok", "warn", "FAIL"
Found = Tuple[str, str, str, str]  # level, area, text, remedy
INSTALL = "install krb5-workstation (RHEL) or krb5-user (Debian)"
SKEW, TOO_MUCH = 5, 300  # seconds: that need no word; that no service accepts, unless clockskew says so


def examine(config: Config, environ: Mapping[str, str], principal: str, keytab: str, clock: Clock) -> Iterator[Found]:
    """Each check in turn. `principal` and `keytab` win over those of the settings."""
    principal, keytab = principal or config.kerberos_principal, os.path.expanduser(keytab or config.kerberos_keytab)
    missing = [name for name in ("kinit", "klist") if not shutil.which(name, path=environ.get("PATH"))]
    for name in ("kinit", "klist"):
        yield (FAIL, name, f"not in PATH ({environ.get('PATH', '')})", INSTALL) if name in missing else (OK, name, str(shutil.which(name, path=environ.get("PATH"))), "")
    yield from _settings(environ)
    if not (principal and keytab):
        remedy = "set kerberos_principal: and kerberos_keytab: in settings.yaml, or try others: runner doctor kerberos --principal P --keytab FILE"
        yield WARN, "principal", "no principal and keytab in the settings: no ticket was tried", remedy
        return
    yield OK, "principal", f"{principal}, keytab {keytab}", ""
    good = True
    for found in _keytab(principal, keytab):
        good = good and found[0] != FAIL
        yield found
    if good and not missing:
        yield from _ticket(principal, keytab, environ, clock)


def _settings(environ: Mapping[str, str]) -> Iterator[Found]:
    for path in (environ.get("KRB5_CONFIG") or "/etc/krb5.conf").split(":"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError as error:
            yield FAIL, "krb5.conf", f"{path}: {error.strerror}", "ask the Kerberos administrators for it; KRB5_CONFIG names another place"
            continue
        realm = next((line.partition("=")[2].strip() for line in text.splitlines() if line.strip().startswith("default_realm")), "")
        if realm or "include" in text:
            yield OK, "krb5.conf", f"{path}, default realm {realm or 'in an included file'}", ""
        else:
            yield WARN, "krb5.conf", f"{path} names no default_realm", "write each principal with its realm: etl@EXAMPLE.COM"


def _keytab(principal: str, keytab: str) -> Iterator[Found]:
    try:
        kerberos.check_keytab(keytab)
        names = kerberos.keytab_principals(keytab)
    except kerberos.KinitFailed as error:
        yield FAIL, "keytab", error.message.replace("kinit: ", ""), error.hint
        return
    except (OSError, ValueError) as error:
        yield FAIL, "keytab", str(error), f"type: klist -kt {keytab}"
        return
    mode = stat.S_IMODE(os.stat(keytab).st_mode)
    if mode & 0o077:
        yield WARN if not mode & 0o007 else FAIL, "keytab", f"others may read it (mode {mode:o}): who has it is {principal}", f"chmod 600 {keytab}"
    else:
        yield OK, "keytab", f"mode {mode:o}, holds {', '.join(names) or 'nothing'}", ""
    if not any(name == principal or name.rpartition("@")[0] == principal for name in names):
        yield FAIL, "keytab", f"it does not hold {principal}, but {', '.join(names) or 'nothing'}", "name one of those, or have another keytab made"


def _ticket(principal: str, keytab: str, environ: Mapping[str, str], clock: Clock) -> Iterator[Found]:
    with tempfile.TemporaryDirectory(prefix="runner-doctor-") as folder:
        before = clock.now().timestamp()
        try:
            ticket = kerberos.kinit(principal, keytab, os.path.join(folder, "krb5cc"), environ)
        except kerberos.KinitFailed as error:
            yield FAIL, "ticket", error.message, error.hint if "doctor" not in error.hint else "is the KDC that krb5.conf names up, and does a firewall let this server in?"
            return
        after = clock.now().timestamp()
    renewable = f", renewable for {_span(ticket.renew_until - ticket.start)}" if ticket.renew_until else ""
    yield OK, "ticket", f"the KDC gave one for {_span(ticket.end - ticket.start)}{renewable}", ""
    skew = max(ticket.start - after, before - 1 - ticket.start, 0.0)
    if skew > SKEW:
        level = FAIL if skew > TOO_MUCH else WARN
        yield level, "clock", f"the KDC's clock differs by {_span(int(skew))}: beyond clockskew ({TOO_MUCH} s by default) no service takes a ticket", "chronyc sources"
    else:
        yield OK, "clock", "agrees with the KDC's", ""


def _span(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
