#!/usr/bin/env bash
# Installs runner from this checkout: no network, no root, no compiler. ./install.sh --help
#
# PREFIX/lib/runner/<version>-<content>/   one virtual environment for each content ever installed
# PREFIX/lib/runner/current                -> the one in use; an upgrade is one rename of this link
# PREFIX/bin/runner                        a small script that starts what `current` points to
# RUNNER_HOME                              all state; this script only adds the example pipelines to a new one
set -eu

usage() {
    cat <<'END'
Usage: ./install.sh [options]

  --prefix DIR      where to install (RUNNER_PREFIX; default ~/.local)
  --python PATH     the Python to use, 3.9 to 3.14 (RUNNER_PYTHON; default: the first of python3.14 ... python3.9, python3)
  --home DIR        where runner keeps its state (RUNNER_HOME; default ~/.runner)
  --no-first-run    do not run the first pipeline at the end
  --uninstall       remove what this script installed in the prefix; the state in RUNNER_HOME stays
  -h, --help        this text

Installing again is harmless and quick; from a newer checkout it is the upgrade. The version before stays in
PREFIX/lib/runner/ beside the new one. Exit codes: 0 done, 2 wrong use, 3 this machine lacks something (all of it is named).
END
}

say() { printf '%s\n' "$@"; }
wrong_use() { printf 'install.sh: %s\n  type: ./install.sh --help\n' "$1" >&2; exit 2; }
give_up() { printf 'install.sh: %s\n' "$@" >&2; exit 3; }

# ---------------------------------------------------------------------------------------------------- what is wanted

prefix=${RUNNER_PREFIX:-} python=${RUNNER_PYTHON:-} home=${RUNNER_HOME:-} first_run=yes action=install
while [ $# -gt 0 ]; do
    case $1 in
        --prefix=* | --python=* | --home=*) set -- "${1%%=*}" "${1#*=}" "${@:2}"; continue ;;
        --prefix | --python | --home)
            [ $# -gt 1 ] && [ -n "$2" ] || wrong_use "$1 wants a value"
            case $1 in --prefix) prefix=$2 ;; --python) python=$2 ;; --home) home=$2 ;; esac
            shift 2 ;;
        --no-first-run) first_run=no; shift ;;
        --uninstall) action=uninstall; shift ;;
        -h | --help) usage; exit 0 ;;
        *) wrong_use "there is no option $1" ;;
    esac
done
if [ -z "${HOME:-}" ] && { [ -z "$prefix" ] || [ -z "$home" ]; }; then wrong_use "HOME is not set: give --prefix and --home"; fi
[ -n "$prefix" ] || prefix=$HOME/.local
[ -n "$home" ] || home=$HOME/.runner
# Absolute, whatever the current folder: both are written into files.
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
case $home in /*) ;; *) home=$PWD/$home ;; esac
prefix=${prefix%/} home=${home%/}
[ -n "$prefix" ] || wrong_use "--prefix / would spread over the whole system: give a folder such as /opt/runner"
checkout=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
wheels=$checkout/vendor-wheels
lib=$prefix/lib/runner
program=$prefix/bin/runner

# What the user's shell says to pip and Python must not change what is installed.
for name in $(env | sed -n 's/^\(PIP_[A-Za-z0-9_]*\|PYTHON[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$name"; done
unset CDPATH
users_locale=${LC_ALL-unset} users_umask=$(umask)
export LC_ALL=C              # Python then takes file names as UTF-8 (PEP 540), also where no UTF-8 locale is installed
export PIP_CONFIG_FILE=/dev/null
umask 022                    # what root installs in /opt is for all users; state keeps the user's umask

our_folder() { [ -f "$1/.airgap-runner" ]; }

# --------------------------------------------------------------------------------------------------------- uninstall

if [ "$action" = uninstall ]; then
    removed=no
    # Only what bears our mark: another program may be named runner too, and lib/runner may hold files of others.
    if [ -f "$program" ] && grep -q 'airgap-runner launcher' "$program"; then rm -f "$program" && removed=yes; fi
    for folder in "$lib"/*; do
        if [ ! -L "$folder" ] && our_folder "$folder"; then rm -rf "$folder" && removed=yes; fi
    done
    if [ -L "$lib/current" ]; then rm -f "$lib/current"; fi
    rm -rf "$lib/.lock" "$lib"/.tmp.*
    rmdir "$lib" 2>/dev/null || true
    if [ -d "$lib" ]; then say "left alone, not made by this script: $lib"; fi
    if [ $removed = yes ]; then say "removed: $program and $lib"; else say "nothing of runner is installed in $prefix"; fi
    if [ -d "$home" ]; then say "kept: $home (settings, pipelines, database, logs). To remove it too: rm -r '$home'"; fi
    exit 0
fi

# ------------------------------------------------------------------------------------------- checks: all before the first change

# Prints what preflight.py finds out with the given Python; 0 fits, 3 has faults, anything else: it does not even start.
preflight() { "$1" -S -E "$wheels/preflight.py" "$checkout" "$prefix" "$home" 2>&1; }

[ -f "$wheels/preflight.py" ] || give_up "$wheels is incomplete: copy or clone the checkout again"
if [ -n "$python" ]; then candidates=$python; else candidates='python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3'; fi
chosen='' report='' tried=''
while IFS= read -r candidate; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    code=0
    answer=$(preflight "$candidate") || code=$?
    case $answer in *preflight=*) ;; *) tried="$tried $candidate(does not start)"; continue ;; esac
    if [ $code = 0 ]; then chosen=$candidate; break; fi
    tried="$tried $candidate($(printf '%s\n' "$answer" | sed -n 's/^preflight=//p'))"
    [ -n "$report" ] || report=$(printf '%s: %s\n%s' "$candidate" "$(command -v "$candidate")" "$(printf '%s\n' "$answer" | sed -n 's/^fault=//p' | sed 's/^\([^ ]\)/  - \1/')")
done <<END
$(if [ -n "$python" ]; then printf '%s\n' "$python"; else printf '%s\n' $candidates; fi)
END

if [ -z "$chosen" ]; then
    if [ -n "$report" ]; then
        printf 'install.sh: runner cannot be installed here with %s\n' "$report" >&2
        case $tried in ' '*' '*) printf '  also tried:%s\n' "$tried" >&2 ;; esac
        exit 3
    fi
    if [ -n "$python" ]; then give_up "$python: no such Python, or it does not start${tried:+:$tried}" "  give the path of a Python 3.9 to 3.14: --python /path/to/python3"; fi
    give_up "no Python was found${tried:+; tried:$tried}" \
        "  RHEL 8: dnf install python39 (or python3.11)   RHEL 9: dnf install python3   Debian, Ubuntu: apt-get install python3" \
        "  or give the path of a Python 3.9 to 3.14: --python /path/to/python3"
fi
value() { printf '%s\n' "$answer" | sed -n "s/^$1=//p"; }
base_python=$(value python) version=$(value version)
name=$version-$(value content)
target=$lib/$name

# ------------------------------------------------------------------------------------------------------- installation

mkdir -p "$lib" "$prefix/bin"
# One installation at a time; the kernel frees this lock when the holder dies.
exec 9>"$lib/.lock"
if command -v flock >/dev/null && ! flock -n 9; then give_up "another install.sh works on $prefix right now: wait for it"; fi
rm -rf "$lib"/.tmp.*  # of a killed installation
work=$lib/.tmp.$$
mkdir "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
export TMPDIR=$work   # /tmp may be full, or mounted noexec

installed() { [ -f "$target/.complete" ] && "$target/bin/python" -I -c 'import runner.cli' >/dev/null 2>&1; }

build() {
    say "installing runner $version with Python $(value preflight) in $target"
    # Half of an installation that was killed. `current` never points to one: the mark comes last.
    rm -rf "$target"
    mkdir "$target" && : >"$target/.airgap-runner"
    # --without-pip: plain Debian lacks ensurepip, which venv would use.
    "$base_python" -I -m venv --without-pip "$target"
    # Our own wheel, by the build backend straight out of its wheel. It writes nothing into the checkout.
    mkdir "$work/own"
    (cd "$checkout" && SOURCE_DATE_EPOCH=1577836800 "$base_python" -I -B - "$wheels"/flit_core-*.whl "$work/own") <<'END'
import sys
sys.path.insert(0, sys.argv[1])
from flit_core import buildapi
buildapi.build_wheel(sys.argv[2])
END
    own=$(echo "$work"/own/*.whl)
    sum=$("$base_python" -I -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$own")
    printf 'airgap-runner==%s --hash=sha256:%s\n' "$version" "$sum" >"$work/own.txt"
    # pip straight out of its wheel too; only files of known hash, none from elsewhere.
    "$target/bin/python" -I "$(echo "$wheels"/pip-*.whl)/pip" --isolated --quiet --disable-pip-version-check --no-input \
        install --no-index --no-cache-dir --require-hashes --only-binary :all: --no-warn-script-location --root-user-action=ignore \
        --find-links "$wheels" --find-links "$work/own" -r "$wheels/requirements.txt" -r "$work/own.txt"
    rm -f "$target/bin/runner"  # would start this version only; PREFIX/bin/runner is the one to type
    "$target/bin/python" -I -m runner --version >/dev/null
    : >"$target/.complete"
}

if installed; then say "runner $version is installed already in $target"; else build; fi

# The launcher. -I: no PYTHONPATH, PYTHONHOME, user site or current folder can disturb it. It resolves `current` once,
# so that a long run keeps its version while an upgrade switches.
quoted=$(printf '%s' "$lib" | sed "s/'/'\\\\''/g")
cat >"$work/runner" <<END
#!/bin/sh
# airgap-runner launcher, written by install.sh
lib='$quoted'
now=\$(readlink "\$lib/current")
if [ ! -x "\$lib/\$now/bin/python" ]; then
    echo "runner: its Python (\$lib/\$now/bin/python) is gone or closed to this user; run install.sh again" >&2
    exit 3
fi
exec "\$lib/\$now/bin/python" -I -m runner "\$@"
END
chmod 755 "$work/runner"
if ! cmp -s "$work/runner" "$program"; then mv -f "$work/runner" "$program"; fi

before=$(readlink "$lib/current" || true)
if [ "$before" != "$name" ]; then
    ln -s "$name" "$work/current"
    mv -fT "$work/current" "$lib/current"
    if [ -n "$before" ]; then
        say "switched from $before to $name; the state is untouched. Back: ln -sfn '$before' '$lib/current'"
    fi
    # The version before stays; older ones go, except those that a process still uses.
    for folder in "$lib"/*; do
        case ${folder##*/} in "$name" | "$before" | current) continue ;; esac
        our_folder "$folder" || continue
        if printf '%s/' "$folder" | grep -qsaF -f - /proc/[0-9]*/cmdline; then continue; fi
        rm -rf "$folder"
    done
fi
rm -rf "$work"
unset TMPDIR PIP_CONFIG_FILE
exec 9>&-  # what runner starts must not keep the lock

# ----------------------------------------------------------------------------------------------- first pipeline, next steps

umask "$users_umask"
if [ "$users_locale" = unset ]; then unset LC_ALL; else export LC_ALL=$users_locale; fi
fresh=no
if [ ! -e "$home/pipelines" ] && [ -d "$checkout/pipelines" ]; then
    if [ ! -d "$home" ]; then
        mkdir -p "$(dirname "$home")"
        (umask "$(printf '%04o' $(($(umask) | 027)))" && mkdir "$home")  # a run's parameters and logs are not for everybody
    fi
    rm -rf "$home/.pipelines.part"
    cp -R "$checkout/pipelines" "$home/.pipelines.part"
    chmod -R u+w "$home/.pipelines.part"  # the checkout may be read-only
    # Those with a schedule and a cluster behind them are to be copied from, not to begin by themselves.
    if [ -e "$home/examples" ]; then rm -rf "$home/.pipelines.part/reference"; else mv "$home/.pipelines.part/reference" "$home/examples"; fi
    mv "$home/.pipelines.part" "$home/pipelines"
    say "example pipelines are in $home/pipelines, larger ones to copy from in $home/examples"
    fresh=yes
fi
if [ $first_run = yes ] && [ $fresh = yes ]; then
    say '' "The first pipeline: runner run hello --logs"
    RUNNER_HOME=$home "$program" run hello --logs || give_up "runner is installed, but the first pipeline failed: see above, and: $program doctor"
fi

say '' 'Installed. What to type next:'
case ":$PATH:" in *":$prefix/bin:"*) ;; *) say "  export PATH='$prefix/bin':\"\$PATH\"      (put this line into ~/.bashrc too)" ;; esac
if [ "$home" != "${HOME:-}/.runner" ]; then say "  export RUNNER_HOME='$home'      (likewise)"; fi
say '  runner list                        the pipelines' \
    '  runner plan hello                  every command it would execute; does nothing' \
    '  runner run server_report --logs    a report on this server' \
    '  runner daemon                      starts pipelines by itself; runner service install --user: with the server' \
    '  runner --help                      everything else'
