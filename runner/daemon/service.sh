#!/bin/sh
# @mark@
# The daemon on a host without systemd: start|stop|restart|reload|drain|status
### BEGIN INIT INFO
# Provides:          @name@
# Required-Start:    $local_fs $remote_fs
# Required-Stop:     $local_fs $remote_fs
# Should-Start:      $time $network $named
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: runner: pipelines on their schedule
### END INIT INFO

# @values@
out=$RUNNER_HOME/daemon.out   # what it says before its log is open; its log is daemon.log
patience=60                   # seconds for the start

say() { printf '%s: %s\n' "$name" "$1"; }
fail() { printf '%s: %s\n' "$name" "$1" >&2; exit "${2:-1}"; }

# As its own user, whoever calls. The script must be readable for that user.
if [ "$(id -un)" != "$user" ]; then
    [ "$(id -u)" = 0 ] || fail "it runs as $user: type: sudo $0 $*" 4
    case $0 in */*) me=$0 ;; *) me=$(command -v "$0") ;; esac
    exec su -s /bin/sh "$user" -c 'exec /bin/sh "$0" "$@"' -- "$me" "$@"
fi

# Further variables for the daemon and its steps, as systemd's EnvironmentFile reads them: NAME=value, quoted when it has blanks.
if [ -r "$RUNNER_HOME/environment" ]; then set -a; . "$RUNNER_HOME/environment"; set +a; fi
umask 027
cd /

# Also true for a daemon that hangs.
alive() { case $(runner health --json 2>/dev/null) in *'"daemon": {'*) return 0 ;; *) return 1 ;; esac; }

start() {
    if alive; then say "runs already"; return 0; fi
    mkdir -p "$RUNNER_HOME" || exit 4
    # A session of its own: it must not end with the terminal or the login.
    if command -v setsid >/dev/null 2>&1; then run_in_background setsid; else run_in_background nohup; fi
    pid=$! waited=0
    while ! alive; do
        if ! kill -0 "$pid" 2>/dev/null; then cat "$out" >&2; fail "it did not start"; fi
        [ "$waited" -lt "$patience" ] || fail "it has not begun within $patience s; look: $RUNNER_HOME/daemon.log"
        sleep 1
        waited=$((waited + 1))
    done
    say "started"
}

stop() {
    if ! alive; then say "does not run"; return 0; fi
    runner daemon stop "$@"
}

status() {
    if ! alive; then say "does not run"; return 3; fi
    runner health
    [ $? -le 1 ] || return 4   # 0 well, 1 something to look at, 2 broken
}

word=${1:-}
[ $# = 0 ] || shift
case $word in
    start) start ;;
    stop) stop "$@" ;;
    drain) stop --drain "$@" ;;
    restart | force-reload) stop && start ;;
    try-restart | condrestart) if alive; then stop && start; fi ;;
    reload) alive || fail "does not run" 7; runner daemon reload ;;
    status) status ;;
    *) fail "usage: $0 start|stop [--kill]|drain|restart|try-restart|reload|status" 2 ;;
esac
