#!/usr/bin/env bash
# What the test with a real browser needs: playwright in an environment of its own, in the cache. Chromium is Debian's: apt-get install chromium
set -eu
place=${XDG_CACHE_HOME:-$HOME/.cache}/runner-tests/browser
[ -x "$place/bin/python" ] && "$place/bin/python" -c 'import playwright' 2>/dev/null && { echo "$place/bin/python"; exit 0; }
rm -rf "$place"
mkdir -p "$(dirname "$place")"
python3 -m venv "$place"
"$place/bin/python" -m pip install --quiet playwright
echo "$place/bin/python"
