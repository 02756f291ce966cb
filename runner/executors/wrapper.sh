# Runs attempts, one after another, and keeps each one's exit status on disk, whoever its parent is (semantics D38):
#   RUNNER_WRAPPER=NAME sh wrapper.sh BOOT_ID <folders >ends
# It reads the folder of an attempt, runs the file `job` in it, and says "PID STATUS" when that has ended. When nobody gives
# it another it leaves: so it outlives its parent for as long as its attempt lasts.
# FOLDER/start is created exclusively: it is the lock that lets only one of two wrappers run, and the record of who did.
# Built-ins only: each further process would cost more than all of this. A file without the closing " ." is not whole.
b=$1
trap : TERM HUP INT QUIT   # handlers, not "ignore": the command gets default signals, this shell lives to write rc
while IFS= read -r d && cd "$d"; do
    set -C
    if echo "$$ $b $RUNNER_WRAPPER ." >start; then
        set +C
        (. ./job) </dev/null >>log 2>&1
        rc=$?; echo "$rc ." >rc
    else
        set +C; rc=125
    fi
    cd /; echo "$$ $rc"
done
