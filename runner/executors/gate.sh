# What bash reads before its script (BASH_ENV) when it was started while its attempt was still being decided on: it waits here
# until that is committed, and takes the lock that a wrapper takes for all others. When nobody is left who could tell, it goes.
unset BASH_ENV
while IFS= read -r <&8 || exit 125; do
    case $REPLY in "+${RUNNER_GATE%% *}") break ;; "-${RUNNER_GATE%% *}") exit 125 ;; esac
done
set -C
echo "${RUNNER_GATE#* }" 2>/dev/null >"$RUNNER_ATTEMPT/start" || exit 125
set +C
exec 8<&-
unset REPLY RUNNER_GATE
SECONDS=0
