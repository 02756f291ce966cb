"""Which file system holds a path, as the kernel's list of mounts says, and how much room it has."""

from __future__ import annotations

import os
import re
from typing import Tuple

# Another host may change files there: the kernel here neither sees it nor keeps a database safe.
NETWORK_FILES = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "glusterfs", "lustre", "gpfs", "ceph", "9p", "virtiofs", "vboxsf", "fuse.sshfs", "fuse.glusterfs"}


def filesystem_of(path: str, mounts: str = "/proc/self/mountinfo") -> str:
    """The type of the file system that holds a path; empty when unknown."""
    return _find(os.path.realpath(path), mounts)[1]


def mount_of(path: str, mounts: str = "/proc/self/mountinfo") -> str:
    """Where the file system that holds a path is mounted. Asks only the kernel's list: the file system itself may hang."""
    return _find(os.path.normpath(path), mounts)[0]


def _find(path: str, mounts: str) -> Tuple[str, str]:
    best, kind = "", ""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                fields, _, rest = line.partition(" - ")
                point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), fields.split()[4])  # blanks are \040
                inside = path == point or path.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):
                    best, kind = point, rest.split()[0]
    except OSError:
        pass
    return best, kind


def free_bytes(folder: str) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def disk_reason(folder: str, minimum: int) -> str:
    """Words when there is too little room for new runs; "" when there is enough."""
    free = free_bytes(folder)
    if free >= minimum:
        return ""
    return f"the disk of {folder} has {free // 10**6} MB left, less than min_free ({minimum // 10**6} MB): nothing new begins"
