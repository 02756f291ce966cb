# What runner does at the other end of an ssh link. It goes to `sh` by stdin, behind it functions with the data of one job and, as the last
# line, the call of one of them: a link that breaks while this is sent has started nothing.
#
# A job has a folder there: script, log, pid (created exclusively: who creates it runs), rc, output. It outlives the link.

umask 077

boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo -; }

living() {  # FOLDER: the processes of its job, known by what they were born with
    if [ -r /proc/self/environ ]; then
        grep -lsF "RUNNER_REMOTE=$1" /proc/[0-9]*/environ 2>/dev/null | sed 's|^/proc/||; s|/.*||'
    else
        read -r pid rest 2>/dev/null <"$1/pid" && ps -A -o pid= -o pgid= 2>/dev/null | while read -r p g; do [ "$g" = "$pid" ] && echo "$p"; done
    fi
}

end_job() {  # FOLDER SECONDS: TERM, KILL after that time; true when nothing of it is left
    mkdir -p "$1" || return 1
    (set -C; echo "0 - ." >"$1/pid") 2>/dev/null && return 0  # it had not begun, and never will
    count=0 pids=$(living "$1")
    [ -n "$pids" ] && kill -TERM $pids 2>/dev/null
    while [ -n "$pids" ] && [ "$count" -lt "$2" ]; do
        sleep 1; count=$((count + 1)); pids=$(living "$1")
    done
    count=0
    while [ -n "$pids" ] && [ "$count" -lt 5 ]; do
        kill -STOP $pids 2>/dev/null; kill -KILL $pids 2>/dev/null  # stopped first: else a shell goes on to its next line
        sleep 1; count=$((count + 1)); pids=$(living "$1")
    done
    [ -z "$pids" ]
}

end_all() {  # SECONDS FOLDER...: one line each, "K FOLDER" or "N FOLDER"
    grace=$1; shift
    for folder do
        if end_job "$folder" "$grace"; then rm -rf "$folder"; echo "K $folder"; else echo "N $folder"; fi
    done
}

gone() {  # whether the job in $d has ended without an exit status: the machine was started anew, or somebody killed it
    read -r pid born dot 2>/dev/null <"$d/pid"
    [ "$born" = "$(boot)" ] && kill -0 "$pid" 2>/dev/null && return 1
    sleep 1
    [ ! -s "$d/rc" ]
}

follow() {  # the log from byte $off on as it grows, then what was handed on, then the exit status
    turn=0
    while :; do
        over=; [ -s "$d/rc" ] && over=1
        size=$(wc -c <"$d/log" 2>/dev/null); size=$((size + 0))
        if [ "$size" -gt "$off" ]; then
            echo "D $((size - off))"
            tail -c "+$((off + 1))" "$d/log" | head -c "$((size - off))"
            off=$size
        else
            echo P  # a write is how this shell finds out that the link is broken
        fi
        [ -n "$over" ] && break
        turn=$((turn + 1))
        [ $((turn % 10)) = 0 ] && gone && { echo L; return; }
        if [ "$turn" -lt 20 ]; then sleep 0.2 2>/dev/null || sleep 1; else sleep 1; fi
    done
    read -r code dot <"$d/rc"
    read -r pid born dot <"$d/pid"
    wait  # the wrapper, where it is a child of this shell; else it has a moment to go
    turn=0
    while kill -0 "-$pid" 2>/dev/null && [ "$turn" -lt 5 ]; do
        turn=$((turn + 1)); sleep 0.2 2>/dev/null || sleep 1
    done
    if kill -TERM "-$pid" 2>/dev/null; then  # left in the background: its step is over
        sleep 1; kill -KILL "-$pid" 2>/dev/null
        echo B
    fi
    if [ -s "$d/output" ]; then
        echo "O $(($(wc -c <"$d/output") + 0))"; cat "$d/output"
    fi
    echo "E $code"
    read -r answer && [ "$answer" = ok ] && rm -rf "$d"
}

begin() {  # run the job in $d unless it runs or ran; `place` writes its files, `launch` starts it
    [ -e "$d/pid" ] && return 0
    [ "$known" = 1 ] && { echo L; return 1; }
    command -v setsid >/dev/null 2>&1 || { echo "X setsid is not installed there"; return 1; }
    { mkdir -p "$d" && place && : >>"$d/log"; } 2>/dev/null || { echo "X nothing can be written to $d there"; return 1; }
    launch
    turn=0
    while [ ! -s "$d/pid" ]; do
        turn=$((turn + 1)); [ "$turn" -gt 100 ] && { echo "X the shell did not start there"; return 1; }
        sleep 0.1 2>/dev/null || sleep 1
    done
}
