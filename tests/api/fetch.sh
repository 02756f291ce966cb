#!/usr/bin/env bash
# What the test by schemathesis needs: an environment of its own, in the cache. Its packages are many, some compiled, so none is vendored.
set -eu
place=${XDG_CACHE_HOME:-$HOME/.cache}/runner-tests/schemathesis
[ -x "$place/bin/python" ] && "$place/bin/python" -c 'import schemathesis' 2>/dev/null && { echo "$place/bin/python"; exit 0; }
rm -rf "$place"
mkdir -p "$(dirname "$place")"
python3 -m venv "$place"
"$place/bin/python" -m pip install --quiet 'schemathesis>=4'
echo "$place/bin/python"
