#!/usr/bin/env bash
# What waits for a path in HDFS or a partition in Hive, against a real NameNode and DataNode on this machine: tests/spark/hdfs.sh [pytest arguments]
# About three minutes; wants java, mvn and 2 GB of free memory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/fetch.sh" --hadoop
RUNNER_TEST_HDFS=1 exec "$here/../run" -v "$here/test_hdfs.py" ${1+"$@"}
