# Runs one attempt and keeps its exit status on disk, whoever its parent is (semantics D38):
#   sh wrapper.sh FOLDER BOOT_ID CWD COMMAND...
# FOLDER/start is created exclusively: it is the lock that lets only one of two spawns run, and the record of who did.
# Built-ins only: each further process would cost more than all of this. A file without the closing " ." is not whole.
d=$1 b=$2 w=$3; shift 3
set -C; echo "$$ $b ." 2>/dev/null >"$d/start" || exit 125; set +C
trap : TERM HUP INT QUIT   # handlers, not "ignore": the command gets default signals, this shell lives to write rc
exec </dev/null >>"$d/log" 2>&1
cd "$w" && "$@"
rc=$?; echo "$rc ." >"$d/rc"; exit $rc
