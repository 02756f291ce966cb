#!/usr/bin/env bash
# install.sh on every CPython from 3.9 to 3.14 that can be had here:   tests/install/all-pythons.sh [3.9 3.12 ...]
# Debian systems for 3.9, 3.11, 3.13 and 3.14 (prove.sh), pyenv's for all versions found in ~/.pyenv/versions. As root.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
wanted=" ${*:-3.9 3.10 3.11 3.12 3.13 3.14} "
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
summary='' failed=no
note() { summary="$summary$1"$'\n'; [ "${2:-0}" = 0 ] || failed=yes; }

suites=''
for pair in 3.9:bullseye 3.11:bookworm 3.13:trixie 3.14:sid; do
    case $wanted in *" ${pair%%:*} "*) suites="$suites ${pair##*:}" ;; esac
done
for suite in $suites; do
    "$here/prove.sh" "$suite" && note "$suite: passed" || note "$suite: FAILED" 1
done

for copy in this newer; do
    mkdir -p "$work/체크 아웃/$copy"
    (cd "$root" && tar -c --exclude=__pycache__ LICENSE README.md install.sh pipelines pyproject.toml runner vendor-wheels) | tar -x -C "$work/체크 아웃/$copy"
done
sed -i 's/__version__ = .*/__version__ = "99.0.0"/' "$work/체크 아웃/newer/runner/__init__.py"
for minor in $wanted; do
    python=$(ls -d "$HOME/.pyenv/versions/$minor".*/bin/python 2>/dev/null | sort -V | tail -1)
    if [ -z "$python" ]; then note "pyenv $minor: skipped, it is not in ~/.pyenv/versions (pyenv install $minor)"; continue; fi
    echo "pyenv: $("$python" --version)"
    mkdir -p "$work/home-$minor"
    HOME=$work/home-$minor unshare -n -m --propagation private bash -c '
        for copy in this newer; do mount --bind "$1/$copy" "$1/$copy" && mount -o remount,bind,ro "$1/$copy" || exit 1; done
        exec env -i HOME="$HOME" PATH=/usr/bin:/bin LANG=C bash "$2" "$1/this" "$1/newer" "$3"
    ' - "$work/체크 아웃" "$here/inside.sh" "$python" && note "pyenv $minor: passed" || note "pyenv $minor: FAILED" 1
done
printf '\n%s' "$summary"
[ $failed = no ]
