#!/usr/bin/env bash
# What the tests of this folder need and git does not hold: Spark, and with --hadoop Hadoop's own servers: YARN and HDFS.
#   tests/spark/fetch.sh          pyspark from the package index into ~/.cache/runner-spark/venv (320 MB to fetch, once)
#   tests/spark/fetch.sh --hadoop also Hadoop's jars from Maven Central into ~/.cache/runner-spark/hadoop-jars (85 MB; wants mvn)
# A machine that has a Spark 3.5 of its own needs neither: RUNNER_TEST_SPARK_HOME=/opt/spark
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/runner-spark
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9  # two at once would spoil each other's folder

command -v java >/dev/null || { echo "tests/spark/fetch.sh: no java: install openjdk-17-jre-headless" >&2; exit 3; }
if [ -z "${RUNNER_TEST_SPARK_HOME:-}" ] && [ ! -e "$cache/venv/whole" ]; then
    rm -rf "$cache/venv"
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install -q --disable-pip-version-check 'pyspark==3.5.9'
    touch "$cache/venv/whole"
fi
if [ "${1:-}" = --hadoop ] && [ ! -e "$cache/hadoop-jars/whole" ]; then
    command -v mvn >/dev/null || { echo "tests/spark/fetch.sh: no mvn: install maven" >&2; exit 3; }
    rm -rf "$cache/hadoop-jars"
    mvn -B -q -f "$here/hadoop-pom.xml" dependency:copy-dependencies -DoutputDirectory="$cache/hadoop-jars"
    touch "$cache/hadoop-jars/whole"
fi
