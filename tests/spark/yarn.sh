#!/usr/bin/env bash
# spark-submit against a real ResourceManager and NodeManager on this machine, a pair of ResourceManagers, and one behind Kerberos: tests/spark/yarn.sh [pytest arguments]
# About nine minutes; wants java, mvn and 4 GB of free memory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/fetch.sh" --hadoop
RUNNER_TEST_YARN=1 exec "$here/../run" -v "$here/test_yarn.py" ${1+"$@"}
