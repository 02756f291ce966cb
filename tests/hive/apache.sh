#!/usr/bin/env bash
# hive steps against Apache Hive's own HiveServer2 on this machine: tests/hive/apache.sh [pytest arguments]
# A metastore in Derby, map-reduce inside the server; beeline is that of Spark (2.3.9). About three minutes; wants a JDK, mvn and 2 GB of free memory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/../spark/fetch.sh"
jars=${XDG_CACHE_HOME:-$HOME/.cache}/runner-spark/hive-jars
if [ ! -e "$jars/whole" ]; then
    command -v mvn >/dev/null || { echo "tests/hive/apache.sh: no mvn: install maven" >&2; exit 3; }
    rm -rf "$jars"
    mvn -B -q -f "$here/apache-pom.xml" dependency:copy-dependencies -DoutputDirectory="$jars"
    touch "$jars/whole"
fi
RUNNER_TEST_HIVE=1 exec "$here/../run" -v "$here/test_apache.py" ${1+"$@"}
