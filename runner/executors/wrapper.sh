# Runs attempts, one after another, and keeps each one's exit status on disk, whoever its parent is (semantics D38):
#   RUNNER_WRAPPER=NAME sh wrapper.sh BOOT_ID <orders >ends
# An order is the folder of an attempt: it does what the file `job` in it says, and tells "PID STATUS" when that has ended. When
# nobody gives it another it leaves: so it outlives its parent for as long as its attempt lasts.
# FOLDER/start is created exclusively: it is the lock that lets only one of two wrappers run, and the record of who did. After
# an order "=N FOLDER" the command does that itself, when a line "+N" lets it begin (gate.sh). Those lines have no slash: what is
# left of one whose reader was killed in the midst of it is no order.
# Built-ins only: each further process would cost more than all of this. A file without the closing " ." is not whole.
b=$1 n=$RUNNER_WRAPPER
unset RUNNER_WRAPPER       # for those after it; what it was born with can be read in /proc for as long as it lives
trap : TERM HUP INT QUIT   # handlers, not "ignore": the command gets default signals, this shell lives to write rc
while IFS= read -r d; do
    case $d in
    /*) g= ;;
    =*) g=${d%% *} g=${g#=} d=${d#* } ;;
    *) continue ;;         # meant for a gate, whose shell was dead already
    esac
    cd "$d" || break
    set -C
    if [ "$g" ] || echo "$$ $b $n ." >start; then
        set +C
        exec 9<job         # who looks at this process sees which attempt it has in hand
        . ./job
        rc=$?
        if [ -z "$g" ] || { IFS= read -r s <"$d/start" && [ "$s" = "$$ $b $n ." ]; }; then echo "$rc ." >"$d/rc"; fi
        exec 9<&-
    else
        set +C; rc=125
    fi
    cd /; echo "$$ $rc"
done
