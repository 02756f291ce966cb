#!/usr/bin/env bash
# install.sh in fresh Debian systems without network, as a plain user, umask 077, LANG=C, /tmp noexec, from a read-only
# checkout at a path with blanks and Hangul:   tests/install/prove.sh bookworm trixie      (as root; needs debootstrap)
# The systems are made once, in RUNNER_TEST_ROOTS (/var/cache/runner-test-roots), and never written: each proof has an overlay.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
roots=${RUNNER_TEST_ROOTS:-/var/cache/runner-test-roots}
[ "$(id -u)" = 0 ] || { echo "prove.sh: only root can make the systems (debootstrap, chroot)" >&2; exit 3; }
mirror=${RUNNER_TEST_MIRROR:-$(awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || awk '/^deb /{print $2; exit}' /etc/apt/sources.list)}
system() {  # SUITE: makes roots/SUITE unless it is there
    [ -d "$roots/$1" ] && return
    mkdir -p "$roots"
    rm -rf "$roots/$1.part"
    echo "making a $1 system in $roots" >&2
    case $1 in bullseye) packages=python3,python3-distutils ;; *) packages=python3 ;; esac  # no python3-venv: pip is not there
    debootstrap --variant=minbase --include="$packages" "$1" "$roots/$1.part" "$mirror" >"$work/$1.log" 2>&1 || { tail -20 "$work/$1.log" >&2; exit 3; }
    mv "$roots/$1.part" "$roots/$1"
}

prove() {  # SUITE, in namespaces of its own: mounts and network end with it
    mkdir -p "$work/$1"
    mount -t tmpfs tmpfs "$work/$1"
    mkdir "$work/$1"/{upper,scratch,system}
    mount -t overlay overlay -o "lowerdir=$roots/$1,upperdir=$work/$1/upper,workdir=$work/$1/scratch" "$work/$1/system"
    cd "$work/$1/system"
    mount -t proc proc proc
    mount -t tmpfs -o noexec,mode=1777 tmpfs tmp
    for copy in this newer; do
        mkdir -p "srv/체크 아웃/$copy"
        mount --bind "$work/$copy" "srv/체크 아웃/$copy"
        mount -o remount,bind,ro "srv/체크 아웃/$copy"
    done
    mkdir -p home/tester
    echo 'tester:x:1000:1000::/home/tester:/bin/bash' >>etc/passwd
    chown 1000:1000 home/tester
    cp "$here/inside.sh" srv/inside.sh
    user() { chroot --userspec=1000:1000 . /usr/bin/env -i HOME=/home/tester PATH=/usr/bin:/bin LANG=C "$@"; }
    if [ "$1" = bookworm ]; then ! user python3 -c 'import ensurepip' 2>/dev/null || { echo "bookworm has python3-venv: not the proof that was meant" >&2; exit 1; }; fi
    user bash /srv/inside.sh '/srv/체크 아웃/this' '/srv/체크 아웃/newer'
    if [ "$1" = bullseye ]; then  # as it is without python3-distutils
        rm -rf usr/lib/python3.9/distutils/cmd.py usr/lib/python3.9/distutils/__pycache__
        code=0
        user '/srv/체크 아웃/this/install.sh' >"$work/$1/out" 2>&1 || code=$?
        [ $code = 3 ] && grep -q 'apt-get install python3-distutils' "$work/$1/out" || { cat "$work/$1/out"; exit 1; }
        echo "  ok  without python3-distutils: exit 3, and it is named"
    fi
}

if [ "${1:-}" = --in-namespace ]; then work=$2; prove "$3"; exit; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What is in the checkout now, without its git folder and caches; and the same as version 99.
for copy in this newer; do
    mkdir -p "$work/$copy"
    (cd "$root" && tar -c --exclude=__pycache__ LICENSE README.md install.sh pipelines pyproject.toml runner vendor-wheels) | tar -x -C "$work/$copy"
    chmod -R go=u,go-w "$work/$copy"
done
sed -i 's/__version__ = .*/__version__ = "99.0.0"/' "$work/newer/runner/__init__.py"

failed=''
for suite in "$@"; do
    system "$suite"
    echo "$suite: glibc $(chroot "$roots/$suite" ldd --version | sed -n '1s/.* //p'), $(chroot "$roots/$suite" python3 --version)"
    unshare -n -m --propagation private bash "$0" --in-namespace "$work" "$suite" || failed="$failed $suite"
done
[ -z "$failed" ] || { echo "FAILED:$failed" >&2; exit 1; }
