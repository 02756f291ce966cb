"""Servers that speak the protocol of HiveServer2, on loopback: Spark's Thrift server, and Apache Hive's own (see apache.sh)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from xml.sax.saxutils import escape

PASSWORD = "open-sesame!"  # beeline 2.3 takes none with a blank
_DOOR = """
public class Door implements org.apache.hive.service.auth.PasswdAuthenticationProvider {
  public void Authenticate(String user, String password) throws javax.security.sasl.AuthenticationException {
    if (!user.equals("etl") || !password.equals(System.getenv("DOOR"))) throw new javax.security.sasl.AuthenticationException("not you");
  }
}
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Server:
    """One process; its files in one folder."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder, free_port(), None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tmp").mkdir()

    @property
    def url(self):
        return f"jdbc:hive2://127.0.0.1:{self.port}/default"

    def begin(self, words, seconds=240, **env):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(words, cwd=self.folder, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        until = time.monotonic() + seconds
        while not listens(self.port):
            assert time.monotonic() < until and self.process.poll() is None, f"the server does not come up: see {self.folder}/log"
            time.sleep(0.3)
        return self

    def signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self):
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


class SparkThriftServer(Server):
    """Spark's; it lets in etl with the password only."""

    def __init__(self, folder, home, door=True):
        super().__init__(folder)
        self.home, self.ui, self.door = home, free_port(), door and bool(shutil.which("javac"))

    def start(self, settings=(), java="", env=None, hive_settings=()):
        if self.door:
            (self.folder / "Door.java").write_text(_DOOR)
            subprocess.run(["javac", "-cp", f"{self.home}/jars/*", "Door.java"], cwd=self.folder, check=True)
        conf = {
            "spark.ui.enabled": "true", "spark.ui.port": self.ui, "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
            "spark.sql.warehouse.dir": self.folder / "warehouse", "spark.sql.shuffle.partitions": 1,
            "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={self.folder}/metastore_db;create=true",
            "spark.driver.extraJavaOptions": f"-Dderby.system.home={self.folder} -Djava.io.tmpdir={self.folder}/tmp {java}",
            **dict(settings),
        }
        hive = {
            "hive.server2.thrift.port": self.port, "hive.server2.thrift.bind.host": "127.0.0.1", "hive.exec.scratchdir": self.folder / "scratch",
            "hive.exec.local.scratchdir": self.folder / "scratch-local",
            **({"hive.server2.authentication": "CUSTOM", "hive.server2.custom.authentication.class": "Door"} if self.door else {}),
            **dict(hive_settings),
        }
        words = [f"{self.home}/bin/spark-submit", "--class", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2", "--master", "local[2]",
                 "--driver-memory", "1g", "--driver-class-path", str(self.folder)]
        for name, value in conf.items():
            words += ["--conf", f"{name}={value}"]
        words.append("spark-internal")
        for name, value in hive.items():
            words += ["--hiveconf", f"{name}={value}"]
        return self.begin(words, SPARK_HOME=self.home, SPARK_LOCAL_IP="127.0.0.1", DOOR=PASSWORD, LC_ALL="C.UTF-8", **(env or {}))

    def running(self):
        """Jobs of statements with a reflect() that run at this moment."""
        place = f"http://127.0.0.1:{self.ui}/api/v1/applications"
        open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        with open_url(place, timeout=30) as answer:
            [application] = json.load(answer)
        with open_url(f"{place}/{application['id']}/jobs?status=running", timeout=30) as answer:
            return sum("reflect" in job.get("description", "") for job in json.load(answer))


class ApacheHiveServer2(Server):
    """Apache Hive's own HiveServer2, with a metastore in Derby and map-reduce in its own process."""

    def __init__(self, folder, jars):
        super().__init__(folder)
        self.jars = jars

    def start(self):
        conf = self.folder / "conf"
        conf.mkdir()
        names = {
            "hive.metastore.warehouse.dir": "warehouse", "hive.metastore.warehouse.external.dir": "external", "hive.exec.scratchdir": "scratch",
            "hive.exec.local.scratchdir": "local", "hive.downloaded.resources.dir": "resources", "hive.querylog.location": "querylog",
            "hive.server2.logging.operation.log.location": "operations", "mapreduce.cluster.local.dir": "mapred", "hadoop.tmp.dir": "hadoop",
        }
        settings = {
            **{name: self.folder / place for name, place in names.items()}, "fs.defaultFS": "file:///",
            "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={self.folder}/metastore_db;create=true",
            "javax.jdo.option.ConnectionDriverName": "org.apache.derby.jdbc.EmbeddedDriver", "datanucleus.schema.autoCreateAll": "true",
            "hive.metastore.schema.verification": "false", "hive.server2.thrift.port": self.port, "hive.server2.thrift.bind.host": "127.0.0.1",
            "hive.server2.webui.port": -1, "hive.server2.enable.doAs": "false", "hive.execution.engine": "mr", "mapreduce.framework.name": "local",
            "hive.exec.submit.local.task.via.child": "false", "hive.exec.submitviachild": "false", "hive.stats.autogather": "false",
            "hive.metastore.event.db.notification.api.auth": "false", "hive.server2.materializedviews.registry.impl": "DUMMY",
            "hive.scheduled.queries.executor.enabled": "false",
            "hive.security.authorization.manager": "org.apache.hadoop.hive.ql.security.authorization.plugin.sqlstd.SQLStdConfOnlyAuthorizerFactory",
        }
        pairs = "".join(f"<property><name>{name}</name><value>{escape(str(value))}</value></property>\n" for name, value in settings.items())
        (conf / "hive-site.xml").write_text(f"<configuration>\n{pairs}</configuration>\n")
        (conf / "log4j2.properties").write_text(
            "status = error\nappender.out.type = Console\nappender.out.name = out\nappender.out.layout.type = PatternLayout\n"
            "appender.out.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%throwable\nrootLogger.level = warn\nrootLogger.appenderRef.out.ref = out\n")
        opened = "lang util util.concurrent util.concurrent.atomic net io nio time text util.regex lang.reflect lang.invoke"
        words = ["java", "-Xmx1g", "-XX:+UseSerialGC"]
        for package in (*(f"java.{name}" for name in opened.split()), "sun.nio.ch"):
            words += ["--add-opens", f"java.base/{package}=ALL-UNNAMED"]
        words += [f"-Djava.io.tmpdir={self.folder}/tmp", f"-Dderby.system.home={self.folder}", f"-Dlog4j2.configurationFile={conf}/log4j2.properties",
                  "-cp", f"{conf}:{self.jars}/*", "org.apache.hive.service.server.HiveServer2"]
        return self.begin(words, LC_ALL="C.UTF-8")

    def running(self):
        """Map tasks that sleep at this moment."""
        said = subprocess.run(["jcmd", str(self.process.pid), "Thread.print"], stdout=subprocess.PIPE, check=True).stdout.decode("utf-8", "replace")
        return sum("Map Task Executor" in thread and "Thread.sleep" in thread for thread in said.split("\n\n"))


class Link:
    """A port in front of a server, which can be cut as a cable is."""

    def __init__(self, target):
        self.target, self.pipes = target, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            self.pipes += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(one, other):
        try:
            while True:
                data = one.recv(65536)
                if not data:
                    break
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.listener.close()
        for pipe in self.pipes:
            try:
                pipe.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
