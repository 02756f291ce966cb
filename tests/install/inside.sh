#!/usr/bin/env bash
# One whole life of an installation, in a place without network: prove.sh and all-pythons.sh call this as a plain user.
#   inside.sh CHECKOUT NEWER_CHECKOUT [PYTHON]      HOME is an empty folder
set -eEu
umask 077
checkout=$1 newer=$2
if [ -n "${3:-}" ]; then export RUNNER_PYTHON=$3; fi
log=$HOME/proof.log
trap 'echo "FAILED in line $LINENO: $BASH_COMMAND; the last output was"; cat "$log"' ERR
ok() { printf '  ok  %s\n' "$1"; }
install() { "$@" >"$log" 2>&1; }
has() { grep -q -e "$1" "$log"; }
now() { date +%s.%N; }
took() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f s", b - a }'; }
cd /

! grep -v -e 'lo:' -e '|' /proc/net/dev || exit 1
ok "no network but lo; user $(id -u), umask $(umask), LANG=${LANG:-}"
! touch "$checkout/x" 2>/dev/null || exit 1
ok "the checkout is read-only: $checkout"
# pip settings and Python variables of the user, all wrong
export PIP_INDEX_URL=http://192.0.2.1/simple PIP_REQUIRE_VIRTUALENV=1 PIP_TARGET=/nowhere PIP_USER=1
mkdir -p "$HOME/.config/pip" "$HOME/poison/click"
printf '[global]\nindex-url = http://192.0.2.1/simple\nuser = true\nno-binary = :all:\n' >"$HOME/.config/pip/pip.conf"
echo 'raise SystemExit("PYTHONPATH was heard")' | tee "$HOME/poison/yaml.py" >"$HOME/poison/click/__init__.py"
export PYTHONPATH=$HOME/poison

began=$(now)
install "$checkout/install.sh"
has "first pipeline" && has "Hello, world" && has "runner list"
ok "installed and the first pipeline run in $(took "$began") ($(sed -n 's/^installing.*with \(Python [^ ]*\).*/\1/p' "$log")); $(du -sm "$HOME/.local/lib/runner" | cut -f1) MB"
PATH=$HOME/.local/bin:$PATH
first=$(runner --version)
began=$(now)
install "$checkout/install.sh"
has "installed already" && ! has "Hello, world"
ok "again: nothing done, in $(took "$began")"
(export PYTHONHOME=/nowhere; runner --version >/dev/null)
ok "$first, with PYTHONHOME and PYTHONPATH set to nonsense"
runner run hello --logs --date 2026-02-28 >"$log" 2>&1
has "This run's date is 2026-02-28"
runner runs >"$log" 2>&1
has "hello.*2026-02-28"
ok "runner run hello --date 2026-02-28; runner runs shows it"
runner run server_report --logs >"$log" 2>&1 || ok "(server_report ended with $?: this place lacks something it looks at)"

# A killed upgrade leaves the old version at work, the next one finishes.
setsid "$newer/install.sh" >"$log" 2>&1 &
pid=$!
for _ in $(seq 100); do [ -d "$HOME"/.local/lib/runner/99* ] && break; sleep 0.05; done
sleep 0.5
kill -9 -- -"$pid"  # with all its children
wait "$pid" 2>/dev/null || true
[ "$(runner --version)" = "$first" ]
ok "an upgrade killed in the middle: still $first"
install "$newer/install.sh"
has "switched from" && ! has "Hello, world"
[ "$(runner --version)" = "runner 99.0.0" ]
runner runs >"$log" 2>&1
has "hello.*2026-02-28"
[ "$(find "$HOME/.local/lib/runner" -mindepth 1 -maxdepth 1 -type d | wc -l)" = 2 ]
ok "upgrade to $(runner --version): runs kept, the version before too"
install "$newer/install.sh" --uninstall
[ ! -e "$HOME/.local/bin/runner" ] && [ ! -e "$HOME/.local/lib/runner" ] && [ -f "$HOME/.runner/settings.yaml" ]
has "kept: $HOME/.runner"
ok "uninstalled; ~/.runner is kept"

place="$HOME/a b/한글 '폴더'"
install "$checkout/install.sh" --prefix "$place/opt" --home "$place/state"
has "Hello, world"
(export RUNNER_HOME="$place/state"; "$place/opt/bin/runner" run hello --date 2026-03-01 --logs) >"$log" 2>&1
has "2026-03-01"
install "$checkout/install.sh" --prefix "$place/opt" --home "$place/state" --uninstall
[ ! -e "$place/opt/bin/runner" ] && [ -d "$place/state" ]
ok "the same in $place"
