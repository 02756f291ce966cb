"""Tells that something in the pipelines folder may have changed; what it is, a look at the files says.

inotify where the kernel sees every change, else a comparison of all files whenever it is asked. Followed are the folder
with everything below it, what symbolic links in it lead to, and the links and folders on the way to it: it may be
renamed, exchanged for another, or not there yet.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from runner.mounts import NETWORK_FILES, filesystem_of
from runner.spec.finding import SUFFIXES

# Bits of inotify(7); asking its module for them would make polling need it too.
_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_UNMOUNT, _OVERFLOW, _IGNORED, _ONLYDIR, _ISDIR = 0x2000, 0x4000, 0x8000, 0x1000000, 0x40000000

_NAMES = _CREATE | _DELETE | _MOVED_FROM | _MOVED_TO  # something has another name, or none
_ITSELF = _DELETE_SELF | _MOVE_SELF
_CONTENT = _MODIFY | _ATTRIB | _CLOSE_WRITE
_REBUILD = _NAMES | _ITSELF | _UNMOUNT | _OVERFLOW | _IGNORED | _ISDIR  # what may want other watches than there are
_WANTED = {"content": _NAMES | _ITSELF | _CONTENT, "file": _NAMES | _ITSELF | _CONTENT, "name": _NAMES, "way": _ITSELF}

QUIET_SECONDS = 0.3  # a file that was written within them may be half of one
LINKS = 40  # on one path, as the kernel allows
TURNS = 20  # attempts to catch up with folders that are made while they are looked for


@dataclass
class _Interest:
    """What is wanted of one folder."""

    mask: int = _ONLYDIR
    names: Set[str] = field(default_factory=set)  # these count
    content: bool = False  # and everything that is not hidden

    def with_all_of(self, other: _Interest) -> _Interest:
        return _Interest(self.mask | other.mask, self.names | other.names, self.content or other.content)


class _Unwatchable(Exception):
    """inotify cannot see all of it; says why."""


class Watch:
    """Watches one folder of pipeline files.

    `fd` becomes readable when something happened; it stays the same for life, and is None where the kernel has no
    inotify. `mode` is inotify or polling, and may change with the folder; `reason` says why, in words. In polling mode
    `fd` is silent: call `changed` every now and then.
    """

    def __init__(self, folder: str, leave_out: Sequence[str] = ()):
        """`leave_out`: absolute paths that are none of it, with what lies in them or is named after them (runner.db-wal)."""
        self.folder = os.path.abspath(folder)
        self.mode, self.reason = "polling", ""
        self._leave_out = tuple(map(os.path.realpath, leave_out))
        self._leave_out_inside = tuple(path + os.sep for path in self._leave_out)
        self._watched: Dict[int, _Interest] = {}
        self._folders: Dict[int, str] = {}
        self._snapshot: Optional[Dict[str, Tuple[int, ...]]] = None
        self._inotify, self._no_inotify = _open()
        self._arm()

    @property
    def fd(self) -> Optional[int]:
        return None if self._inotify is None else self._inotify.fileno()

    def changed(self) -> bool:
        """Whether something happened since the last call. Never waits."""
        if self.mode == "inotify":
            relevant, rebuild = self._drain()
            if rebuild:
                self._arm()
            return relevant
        self._drain()
        before = self._snapshot
        self._arm()  # the folder may be another by now, one that inotify can watch
        return before != (self._snapshot if self.mode == "polling" else _snapshot(self._walk()))

    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    # -- inotify

    def _drain(self) -> Tuple[bool, bool]:
        """Read all events: whether one counts, and whether the watches must be looked through."""
        relevant = rebuild = False
        for event in self._inotify.read(timeout=0) if self._inotify is not None else ():
            if event.mask & _OVERFLOW:
                relevant = rebuild = True
                continue
            interest = self._watched.get(event.wd)
            if interest is None:
                continue  # of a folder that was given up
            if event.mask & _IGNORED:
                self._watched.pop(event.wd)
            counts = self._counts(event, interest)
            relevant |= counts
            rebuild |= counts and bool(event.mask & _REBUILD)
        return relevant, rebuild

    def _counts(self, event, interest: _Interest) -> bool:
        if event.mask & (_ITSELF | _UNMOUNT | _IGNORED):
            return True
        if event.name in interest.names:
            return True
        if not interest.content or event.name.startswith("."):
            return False
        if event.mask & _MODIFY and not event.name.endswith(SUFFIXES):
            return False  # a log that grows; when it is closed we hear of it
        return not self._left_out(os.path.join(self._folders[event.wd], event.name))

    def _arm(self) -> None:
        """Watch what is to be watched now: first the watches, then a look whether it is all there is."""
        try:
            if self._inotify is None:
                raise _Unwatchable(self._no_inotify)
            plan = self._plan()
            for _ in range(TURNS):
                self._apply(plan)
                seen, plan = plan, self._plan()
                if plan == seen:
                    break
            self.mode, self.reason, self._snapshot = "inotify", "the kernel tells of every change", None
        except _Unwatchable as why:
            for wd in list(self._watched):
                self._give_up(wd)
            self._drain()  # of the watches' own ends: the descriptor is silent from now on
            self.mode, self.reason, self._snapshot = "polling", str(why), _snapshot(self._walk())

    def _apply(self, plan: Dict[str, _Interest]) -> None:
        wanted: Dict[int, _Interest] = {}
        try:
            for folder, interest in plan.items():
                self._add(folder, interest, wanted)
        finally:
            for wd in set(self._watched) - set(wanted):
                self._give_up(wd)
            self._watched = wanted

    def _add(self, folder: str, interest: _Interest, wanted: Dict[int, _Interest]) -> None:
        try:
            wd = self._inotify.add_watch(folder, interest.mask)
            if wd in wanted:  # a folder that is mounted at two places
                interest = interest.with_all_of(wanted[wd])
                self._inotify.add_watch(folder, interest.mask)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                raise _Unwatchable(_limit()) from None
            return  # gone again, or closed to this user: the folder above tells when that changes
        wanted[wd], self._folders[wd] = interest, folder

    def _give_up(self, wd: int) -> None:
        self._watched.pop(wd, None)
        self._folders.pop(wd, None)
        try:
            self._inotify.rm_watch(wd)
        except OSError:  # the kernel was quicker
            pass

    def _plan(self) -> Dict[str, _Interest]:
        """folder -> what is wanted of it. Raises _Unwatchable."""
        plan: Dict[str, _Interest] = {}
        devices: Set[int] = set()
        for kind, folder, name in self._walk():
            if kind == "entry":
                continue
            interest = plan.setdefault(folder, _Interest())
            interest.mask |= _WANTED[kind]
            if kind != "way":
                _check_network(folder, devices)
            if name:
                interest.names.add(name)
            interest.content |= kind == "content"
        return plan

    # -- looking

    def _left_out(self, path: str) -> bool:
        return path.startswith(self._leave_out) and (not path.endswith(SUFFIXES) or path.startswith(self._leave_out_inside))

    def _walk(self) -> Iterator[Tuple[str, str, str]]:
        """(kind, folder, name) of everything that counts.

        content: a folder whose every name counts. file: one in another folder that a link leads to. entry: a file of a
        content folder. name: a link, or something that is missing. way: a folder on the way to the pipelines folder.
        """
        todo, seen = [self.folder], set()
        while todo:
            way: List[Tuple[str, str, str]] = []
            folder = _follow(todo.pop(), way)
            yield from way
            if folder is None or folder in seen:
                continue
            if not os.path.isdir(folder):
                yield "file", os.path.dirname(folder), os.path.basename(folder)
                continue
            seen.add(folder)
            # Its end is told by the folder above: a shell that stands in it keeps a removed folder half alive.
            yield "name", os.path.dirname(folder), os.path.basename(folder)
            yield from self._inside(folder, todo, seen)

    def _inside(self, folder: str, todo: List[str], seen: Set[str]) -> Iterator[Tuple[str, str, str]]:
        """`_walk` of one real folder and the plain folders in it; `todo` gets the links."""
        below = [folder]
        while below:
            folder = below.pop()
            seen.add(folder)
            yield "content", folder, ""
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                if entry.name.startswith(".") or self._left_out(entry.path):
                    continue
                if entry.is_symlink():
                    todo.append(entry.path)
                elif not entry.is_dir(follow_symlinks=False):
                    yield "entry", folder, entry.name
                elif entry.path not in seen:
                    below.append(entry.path)


def settled(mtimes_ns: Iterable[int], now_ns: int, quiet: float = QUIET_SECONDS) -> bool:
    """Whether files of these modification times are whole: none was written within the last `quiet` seconds.

    A time in the future says nothing of when the file was written, and must not keep it waiting until then.
    """
    return all(abs(now_ns - mtime) >= quiet * 1e9 for mtime in mtimes_ns)


def _follow(path: str, way: List[Tuple[str, str, str]]) -> Optional[str]:
    """The real place of an absolute path, links followed; None when it leads nowhere.

    `way` gets what could make it lead elsewhere: each link, each folder passed, and the first thing that is missing.
    """
    rest, here, links = path.split("/"), "/", 0
    while rest:
        name = rest.pop(0)
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        full = os.path.join(here, name)
        try:
            target = os.readlink(full)
        except OSError as error:
            if error.errno != errno.EINVAL:  # missing, or closed to this user
                way.append(("name", here, name))
                return None
            here = full  # it is no link
            if any(rest):
                way.append(("way", here, ""))
            continue
        way.append(("name", here, name))
        links += 1
        if links > LINKS:
            return None
        rest = target.split("/") + rest
        here = "/" if target.startswith("/") else here
    return here


def _snapshot(walk: Iterable[Tuple[str, str, str]]) -> Dict[str, Tuple[int, ...]]:
    """path -> time, size and inode of everything that counts."""
    out = {}
    for kind, folder, name in walk:
        if kind == "way":
            continue
        path = os.path.join(folder, name) if kind != "content" else folder
        try:
            found = os.stat(path)
        except OSError:
            out[path] = ()
            continue
        whole = (found.st_ctime_ns, found.st_size, found.st_ino)
        out[path] = whole if kind in ("entry", "file") else (found.st_ino, found.st_mode)  # a folder's names are listed
    return out


def _open() -> Tuple[Any, str]:
    """An inotify instance, or None and why there is none."""
    try:
        from inotify_simple import INotify  # here: it needs ctypes, which some Pythons were built without

        return INotify(nonblocking=True), ""
    except ImportError as error:
        return None, f"this Python cannot call inotify: {error}"
    except OSError as error:
        if error.errno == errno.EMFILE:
            return None, "the limit of inotify instances is reached: sysctl fs.inotify.max_user_instances"
        return None, f"the kernel has no inotify: {error.strerror}"


def _check_network(folder: str, devices: Set[int]) -> None:
    """Raises _Unwatchable for a file system that others change too. `devices`: those that were looked at before."""
    try:
        device = os.stat(folder).st_dev
    except OSError:
        return
    if device not in devices:
        devices.add(device)
        kind = filesystem_of(folder)
        if kind in NETWORK_FILES or kind.startswith("fuse."):
            raise _Unwatchable(f"{folder} is on {kind}, where other hosts can change files unseen")


def _limit() -> str:
    try:
        with open("/proc/sys/fs/inotify/max_user_watches", encoding="ascii") as file:
            number = f" ({file.read().strip()})"
    except OSError:
        number = ""
    return f"the limit of inotify watches is reached{number}: sysctl fs.inotify.max_user_watches"
