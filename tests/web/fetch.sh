#!/usr/bin/env bash
# What the test with a real browser needs, in the cache: playwright in an environment of its own, and axe-core, which looks for what a person
# cannot see, hear or reach. Chromium is Debian's: apt-get install chromium
set -eu
place=${XDG_CACHE_HOME:-$HOME/.cache}/runner-tests/browser
axe=4.10.3
if ! { [ -x "$place/bin/python" ] && "$place/bin/python" -c 'import playwright' 2>/dev/null; }; then
    rm -rf "$place"
    mkdir -p "$(dirname "$place")"
    python3 -m venv "$place"
    "$place/bin/python" -m pip install --quiet playwright
fi
if [ ! -s "$place/axe.min.js" ]; then
    room=$(mktemp -d)
    trap 'rm -rf "$room"' EXIT
    (cd "$room" && npm pack --silent "axe-core@$axe" >/dev/null && tar -xzf "axe-core-$axe.tgz" package/axe.min.js)
    mv "$room/package/axe.min.js" "$place/axe.min.js"
fi
echo "$place/bin/python"
