"""Can this Python run runner? The checks of install.sh before it touches anything.

    python -I -S preflight.py CHECKOUT PREFIX RUNNER_HOME

All faults at once, each with its remedy, and exit 3; or `key=value` lines for install.sh and exit 0. Written so that
Python 2.7 and 3.4 can read it too: they are what an old server finds first, and deserve a sentence.
"""

from __future__ import print_function

import os
import platform
import re
import struct
import sys

FIRST = (3, 9)
# module: (RHEL package, Debian package, what a Python compiled by hand lacked at its compilation: RHEL, Debian)
MODULES = [
    ("_ctypes", "libffi", "libffi8", "libffi-devel", "libffi-dev"),
    ("ssl", "openssl-libs", "libssl3", "openssl-devel", "libssl-dev"),
    ("sqlite3", "sqlite-libs", "libsqlite3-0", "sqlite-devel", "libsqlite3-dev"),
    ("zlib", "zlib", "zlib1g", "zlib-devel", "zlib1g-dev"),
    ("bz2", "bzip2-libs", "libbz2-1.0", "bzip2-devel", "libbz2-dev"),
    ("lzma", "xz-libs", "liblzma5", "xz-devel", "liblzma-dev"),
    ("venv", "{rhel}-libs", "python{v}-venv", "", ""),
    ("distutils.cmd", "{rhel}-libs", "python3-distutils", "", ""),
]
faults = []


def fault(what, *remedy):
    faults.append("\n      ".join((what,) + remedy))


def of_system():
    return getattr(sys, "base_prefix", sys.prefix) in ("/usr", "/usr/local") and os.path.exists("/etc/os-release")


def other_python():
    return "use another: ./install.sh --python /path/to/python3.11   (RHEL: dnf install python3.11; Debian: apt-get install python3)"


def check_version():
    version = "%d.%d.%d" % tuple(sys.version_info[:3])
    if platform.python_implementation() != "CPython":
        fault("this is %s, the wheels are for CPython" % platform.python_implementation(), other_python())
    if sys.version_info[:2] < FIRST:
        fault("Python %s is older than 3.9" % version, other_python(),
              "RHEL 8: dnf install python39   RHEL 9 and later have 3.9 or newer; Debian 11 and later too")
    elif hasattr(sys, "abiflags") and "t" in sys.abiflags:
        fault("Python %s is the build without the global lock (free-threaded), which has no wheels here" % version, other_python())


def check_wheels(folder):
    """Each distribution must have a wheel that is pure or made for this Python and machine."""
    tag, machine = "cp%d%d" % tuple(sys.version_info[:2]), platform.machine()
    names, fitting, tags, machines = set(), set(), set(), set()
    for name in os.listdir(folder):
        found = re.match(r"(.+?)-[^-]+-([^-]+)-([^-]+)-([^-]+)\.whl$", name)
        if not found:
            continue
        names.add(found.group(1))
        if found.group(4) == "any":
            fitting.add(found.group(1))
            continue
        tags.add(found.group(2))
        machines.update(re.findall(r"manylinux\w*?_(x86_64|aarch64)", found.group(4)))
        if found.group(2) == tag and found.group(4).endswith("_" + machine):
            fitting.add(found.group(1))
    if not names:
        fault("%s holds no wheels" % folder, "the checkout is incomplete: copy or clone it again")
        return
    if struct.calcsize("P") != 8 or machine not in machines:
        fault("no wheels for this machine (%s, %d bit)" % (machine, struct.calcsize("P") * 8), "there are wheels for: " + ", ".join(sorted(machines)))
    elif sys.version_info[:2] >= FIRST and names - fitting:
        minors = ", ".join("3." + t[3:] for t in sorted(tags, key=lambda t: int(t[3:])))
        fault("no wheels for Python %d.%d on %s: %s" % (sys.version_info[0], sys.version_info[1], machine, ", ".join(sorted(names - fitting))),
              "there are wheels for Python " + minors + ": choose one with --python,",
              "or add them on a connected machine: python3 vendor-wheels/renew.py")


def check_sums(folder):
    """Every wheel is what SHA256SUMS says. The wheels that only tests need may be missing."""
    import hashlib

    try:
        lines = open(os.path.join(folder, "SHA256SUMS")).read().splitlines()
    except (OSError, IOError) as error:
        fault("%s/SHA256SUMS cannot be read: %s" % (folder, error.strerror), "the checkout is incomplete: copy or clone it again")
        return
    for line in lines:
        wanted, name = line.split("  ", 1)
        if name.startswith("tests/"):
            continue
        try:
            with open(os.path.join(folder, name), "rb") as wheel:
                same = hashlib.sha256(wheel.read()).hexdigest() == wanted
        except (OSError, IOError) as error:
            fault("vendor-wheels/%s cannot be read: %s" % (name, error.strerror), "copy or clone the checkout again")
            continue
        if not same:
            fault("vendor-wheels/%s is damaged: its SHA-256 is not the one in SHA256SUMS" % name,
                  "copy the checkout again in binary mode, or restore it: git checkout -- vendor-wheels")


def check_modules():
    simulated = os.environ.get("RUNNER_TEST_MISSING", "").split()  # for tests/install: no Python here lacks any
    minor = "%d.%d" % tuple(sys.version_info[:2])
    # RHEL 9's own Python is 3.9 and named plainly; RHEL 8's 3.9 is python39
    rhel_name = "python3" if sys.executable.startswith("/usr/bin/python3") and minor == "3.9" and not os.path.exists("/usr/bin/python3.6") else "python" + minor
    if minor == "3.9" and rhel_name != "python3":
        rhel_name = "python39"
    for module, rhel, debian, rhel_dev, debian_dev in MODULES:
        if module == "distutils.cmd" and sys.version_info[:2] > FIRST:
            continue  # only pip on 3.9 wants it; Debian ships 3.9 without
        try:
            if module in simulated:
                raise ImportError("No module named '%s'" % module)
            __import__(module)
        except ImportError as error:
            remedy = ["RHEL: dnf install %s   Debian: apt-get install %s" % (rhel.format(rhel=rhel_name), debian.format(v=minor))]
            if rhel_dev and not of_system():
                remedy = ["this Python was compiled without it: install %s (RHEL) or %s (Debian) where it is compiled and compile it again," % (rhel_dev, debian_dev),
                          other_python()]
            fault("the Python module %s is missing (%s)" % (module.split(".")[0], error), *remedy)
    sqlite = sys.modules.get("sqlite3")
    if sqlite and sqlite.sqlite_version_info < (3, 24):
        fault("SQLite %s is older than 3.24" % sqlite.sqlite_version, "RHEL: dnf install python3.11   Debian: apt-get install python3",
              "or a Python of your own, compiled with a newer SQLite: --python")


def check_glibc():
    if sys.version_info[0] < 3:
        return  # confstr answers nothing there
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        name = None
    found = re.match(r"glibc (\d+)\.(\d+)", name or "")
    if not found:
        fault("this Linux has no glibc (Alpine?): the wheels need it", "use a system with glibc: RHEL 7 or later, Debian, Ubuntu, SUSE")
    elif tuple(map(int, found.groups())) < (2, 17):
        fault("%s is older than 2.17" % name, "RHEL 7 or later, Debian 8 or later")


def check_prefix(prefix):
    place = prefix
    while not os.path.lexists(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    free = os.statvfs(place)
    if not os.path.isdir(place):
        fault("%s is no folder" % place, "choose another: ./install.sh --prefix DIR")
    elif not os.access(place, os.W_OK | os.X_OK):
        fault("%s cannot be written by this user" % place, "choose a folder of yours: ./install.sh --prefix ~/.local")
    elif free.f_bavail * free.f_frsize < 100e6:
        fault("%s has only %d MB free, 100 are needed" % (place, free.f_bavail * free.f_frsize // 1000000), "make room, or choose another: --prefix DIR")
    elif getattr(free, "f_flag", 0) & getattr(os, "ST_NOEXEC", 0):
        fault("%s is mounted noexec: nothing there can be executed" % place, "choose another: ./install.sh --prefix DIR")
    for folder in ("lib", "lib/runner", "bin"):
        path = os.path.join(prefix, folder)
        if os.path.isdir(path) and not os.access(path, os.W_OK | os.X_OK):
            fault("%s cannot be written by this user" % path, "chown it, or choose another prefix: --prefix DIR")
    program = os.path.join(prefix, "bin", "runner")
    if os.path.lexists(program):
        try:
            with open(program, "rb") as file:
                ours = b"airgap-runner launcher" in file.read(2000)
        except (OSError, IOError):
            ours = False
        if not ours:
            fault("%s is another program" % program, "move it away, or choose another prefix: --prefix DIR")


def check_home(home):
    """RUNNER_HOME can be made or written."""
    place = home
    while not os.path.lexists(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    if not os.path.isdir(place) or not os.access(place, os.W_OK | os.X_OK):
        fault("%s, the folder of all state, cannot be written by this user" % home, "choose another: ./install.sh --home DIR (RUNNER_HOME)")


def identity(checkout, python):
    """(version, 8 digits of everything that ends up installed): the name of the folder of this installation."""
    import hashlib

    with open(os.path.join(checkout, "runner", "__init__.py"), "rb") as file:
        version = re.search(r'__version__ = "([^"]+)"', file.read().decode("utf-8")).group(1)
    names = ["pyproject.toml", "install.sh", "vendor-wheels/SHA256SUMS", "vendor-wheels/requirements.txt"]
    for folder, folders, files in os.walk(os.path.join(checkout, "runner")):
        folders[:] = sorted(f for f in folders if f != "__pycache__")
        names += [os.path.relpath(os.path.join(folder, f), checkout) for f in sorted(files) if not f.endswith(".pyc")]
    total = hashlib.sha256((python + sys.version).encode("utf-8", "surrogateescape"))
    for name in names:
        with open(os.path.join(checkout, name), "rb") as file:
            total.update(name.encode("utf-8", "surrogateescape") + b"\0" + hashlib.sha256(file.read()).digest())
    return version, total.hexdigest()[:8]


def main(checkout, prefix, home):
    folder = os.path.join(checkout, "vendor-wheels")
    check_version()
    check_wheels(folder)
    check_sums(folder)
    if sys.version_info[:2] >= FIRST:
        check_modules()
    check_glibc()
    check_prefix(prefix)
    check_home(home)
    for name in ("runner/__init__.py", "pyproject.toml", "vendor-wheels/requirements.txt"):
        if not os.path.isfile(os.path.join(checkout, name)):
            fault("%s is missing in %s" % (name, checkout), "the checkout is incomplete: copy or clone it again")
    print("preflight=" + platform.python_version())
    for text in faults:
        print("fault=" + text.replace("\n", "\nfault="))
    if faults:
        return 3
    # The file behind the links: `python3` may be another Python after the next upgrade of the system.
    python = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    version, content = identity(checkout, python)
    print("python=%s\nversion=%s\ncontent=%s" % (python, version, content))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
