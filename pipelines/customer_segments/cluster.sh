# The cluster of customer_cluster.yaml: a Spark Thrift server, which speaks HiveServer2's language.
#   cluster.sh up | answers | down      with $SPARK_HOME, $CLUSTER (a folder for its files) and $PORT
pid_file=$CLUSTER/pid

# The server's pid, if it is alive. A pid is used again by the system, so its command line must be the server's.
server() {
    local pid
    pid=$(cat "$pid_file" 2>/dev/null) && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$CLUSTER/metastore" && echo "$pid"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }

case $1 in
up)
    [ -x "$SPARK_HOME/bin/spark-submit" ] || { echo "no Spark at $SPARK_HOME: give --param spark_home=DIR"; exit 1; }
    if pid=$(server); then echo "the cluster is up already: pid $pid"; exit 0; fi
    if answers; then echo "port $PORT is taken by another program: give --param port=N"; exit 1; fi
    mkdir -p "$CLUSTER/tmp"
    rm -f "$pid_file"
    trap : TERM # a stop in this moment waits until the pid is known: `down` needs it
    # setsid: what a step leaves in its own process group is ended with it; this has to live on. The shell writes its pid first
    # and then becomes the server.
    setsid bash -c 'echo $$ >"$0"; exec "$@"' "$pid_file" \
        "$SPARK_HOME/bin/spark-submit" --class org.apache.spark.sql.hive.thriftserver.HiveThriftServer2 --name customer_cluster \
        --master 'local[2]' --driver-memory 1g --conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=2 \
        --conf spark.driver.bindAddress=127.0.0.1 --conf spark.driver.host=127.0.0.1 \
        --conf "spark.sql.warehouse.dir=$CLUSTER/warehouse" \
        --conf "spark.hadoop.javax.jdo.option.ConnectionURL=jdbc:derby:;databaseName=$CLUSTER/metastore;create=true" \
        --conf "spark.driver.extraJavaOptions=-Dderby.system.home=$CLUSTER -Djava.io.tmpdir=$CLUSTER/tmp" \
        --hiveconf "hive.server2.thrift.port=$PORT" --hiveconf hive.server2.thrift.bind.host=127.0.0.1 \
        --hiveconf "hive.exec.scratchdir=$CLUSTER/scratch" --hiveconf "hive.exec.local.scratchdir=$CLUSTER/scratch-local" \
        spark-internal >"$CLUSTER/server.log" 2>&1 </dev/null &
    until [ -s "$pid_file" ]; do sleep 0.1; done
    echo "starting, pid $(cat "$pid_file"); its log is $CLUSTER/server.log"
    ;;
answers)
    # The step's timeout: is how long this may take. A server that died is told at once, with its last words.
    until answers; do
        server >/dev/null || { echo "the server has died:"; tail -n 20 "$CLUSTER/server.log"; exit 1; }
        sleep 1
    done
    echo "port $PORT answers, pid $(server)"
    ;;
down)
    if pid=$(server); then
        kill -- "-$pid" # its whole session
        for _ in $(seq 60); do server >/dev/null || break; sleep 0.5; done
        if server >/dev/null; then
            echo "it did not end by itself, so it is killed"
            kill -KILL -- "-$pid"
            while server >/dev/null; do sleep 0.1; done
        fi
        echo "pid $pid has ended"
    else
        echo "there was no server"
    fi
    rm -f "$pid_file"
    echo "cluster=yes" >>"$RUNNER_OUTPUT"
    ;;
*)
    echo "usage: cluster.sh up | answers | down"
    exit 2
    ;;
esac
