"""Who is at the other end of a connection within this server: the kernel's table of sockets says whose it is.

As long as there are no accounts, only the user whose daemon this is, and root, are answered. So the page opens nothing to
other people of the server that the permissions of RUNNER_HOME keep from them. Who comes by `ssh -L` comes as the user of
that ssh session.
"""

from __future__ import annotations

import ipaddress
import os
import struct
from typing import Optional


def is_loopback(host: str) -> bool:
    """Whether an address is of this server alone."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def uid_of(host: str, port: int, tables: str = "/proc/net") -> Optional[int]:
    """The user whose socket has this address here; None when it cannot be told."""
    wanted = _written(host, port)
    for name in ("tcp", "tcp6"):
        try:
            with open(os.path.join(tables, name), encoding="ascii") as file:
                next(file, None)
                for line in file:
                    words = line.split()
                    if words[1] in wanted and words[3] == "01":  # of a connection that stands
                        return int(words[7])
        except OSError:
            continue
    return None


def _written(host: str, port: int):
    """An address as the table writes it, also when it is one of version 4 on a socket of version 6."""
    address = ipaddress.ip_address(host.strip("[]"))
    address = getattr(address, "ipv4_mapped", None) or address
    if address.version == 4:
        four = f"{struct.unpack('=I', address.packed)[0]:08X}"
        return {f"{four}:{port:04X}", f"0000000000000000FFFF0000{four}:{port:04X}"}
    return {"".join(f"{word:08X}" for word in struct.unpack("=4I", address.packed)) + f":{port:04X}"}


def may_look(host: str, port: int) -> bool:
    """Whether a connection from there comes from this daemon's own user, or root."""
    try:
        return uid_of(host, port) in (os.getuid(), 0)
    except ValueError:
        return False
