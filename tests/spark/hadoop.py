"""Hadoop's own servers on loopback, each a process: a ResourceManager or a pair of them with a NodeManager, a NameNode with a DataNode."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from xml.sax.saxutils import escape

SERVER = "org.apache.hadoop.yarn.server."
LOGGING = (
    "log4j.rootLogger=INFO,console\nlog4j.appender.console=org.apache.log4j.ConsoleAppender\nlog4j.appender.console.target=System.err\n"
    "log4j.appender.console.layout=org.apache.log4j.PatternLayout\nlog4j.appender.console.layout.ConversionPattern=%d %p %c{1}: %m%n\n")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def address():
    return f"127.0.0.1:{free_port()}"


class Hadoop:
    """Servers that share a folder and its settings."""

    def __init__(self, folder, jars, settings):
        self.folder, self.conf, self.jars = folder, folder / "conf", jars
        self.settings = {"hadoop.tmp.dir": folder / "tmp", **settings}
        self.processes, self.java = {}, ()
        self.conf.mkdir()
        self.write(self.conf, self.settings)

    def write(self, conf, settings):
        pairs = "".join(f"<property><name>{name}</name><value>{escape(str(value))}</value></property>\n" for name, value in settings.items())
        for name in ("core-site.xml", "yarn-site.xml", "hdfs-site.xml"):
            (conf / name).write_text(f'<?xml version="1.0"?>\n<configuration>\n{pairs}</configuration>\n')
        (conf / "log4j.properties").write_text(LOGGING)

    def words(self, main, conf=None):
        opens = ("--add-opens", "java.base/java.lang=ALL-UNNAMED") if b"1.8" not in subprocess.run(
            ["java", "-version"], stderr=subprocess.PIPE).stderr else ()
        return ["java", "-Xmx400m", "-XX:+UseSerialGC", *self.java, *opens, "-cp", f"{conf or self.conf}:{self.jars}/*", main]

    def begin(self, name, main, *words):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen([*self.words(main), *words], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                                                    stderr=subprocess.STDOUT)

    def wait(self, check, what):
        until = time.monotonic() + 180
        while not check():
            gone = [name for name, each in self.processes.items() if each.poll() is not None]
            assert time.monotonic() < until and not gone, f"{what}: see {self.folder}, {gone} ended"
            time.sleep(0.3)

    def kill(self, name):
        """As when its machine goes down."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self):
        for process in reversed(list(self.processes.values())):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def tool(self, path, script, **mains):
        """A command of Hadoop's that does what its own does: `script` with the words of Java for each of its main classes."""
        java = {name: " ".join(f"'{word}'" for word in self.words(*main)) for name, main in mains.items()}
        path.write_text("#!/bin/sh\n" + script.format(**java))
        path.chmod(0o755)
        return path


def ask(url):
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as answer:
            return answer.read().decode("utf-8")
    except OSError:
        return ""


class Yarn(Hadoop):
    """`managers`: the ids of a pair in high availability; the first is made active, the other by `fail_over`."""

    def __init__(self, folder, jars, managers=()):
        self.managers = managers
        places, self.urls = {}, {}
        for manager in managers or ("",):
            end = manager and "." + manager
            names = ("address", "scheduler.address", "resource-tracker.address", "admin.address", "webapp.address")
            places.update({f"yarn.resourcemanager.{name}{end}": address() for name in names})
            self.urls[manager] = "http://" + places[f"yarn.resourcemanager.webapp.address{end}"]
        places.update({f"yarn.nodemanager.{name}": address() for name in ("address", "localizer.address", "webapp.address")})
        pair = {
            "yarn.resourcemanager.ha.enabled": "true", "yarn.resourcemanager.ha.rm-ids": ",".join(managers), "yarn.resourcemanager.cluster-id": "pair",
            "yarn.resourcemanager.ha.automatic-failover.enabled": "false", "yarn.resourcemanager.recovery.enabled": "true",
            "yarn.resourcemanager.store.class": "org.apache.hadoop.yarn.server.resourcemanager.recovery.FileSystemRMStateStore",
            "yarn.resourcemanager.fs.state-store.uri": f"file://{folder}/state", "yarn.client.failover-sleep-base-ms": 200,
            "yarn.client.failover-sleep-max-ms": 1000, "yarn.resourcemanager.connect.retry-interval.ms": 1000,
        }
        super().__init__(folder, jars, {
            **places, **(pair if managers else {}), "fs.defaultFS": "file:///", "yarn.resourcemanager.am.max-attempts": 1,
            "yarn.resourcemanager.scheduler.class": SERVER + "resourcemanager.scheduler.fifo.FifoScheduler",
            "yarn.scheduler.minimum-allocation-mb": 256, "yarn.nodemanager.hostname": "127.0.0.1", "yarn.nodemanager.bind-host": "127.0.0.1",
            "yarn.nodemanager.resource.memory-mb": 6144, "yarn.nodemanager.resource.cpu-vcores": 8,
            "yarn.nodemanager.local-dirs": folder / "local", "yarn.nodemanager.log-dirs": folder / "logs",
            "yarn.nodemanager.vmem-check-enabled": "false", "yarn.nodemanager.pmem-check-enabled": "false",
            "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": 100,
        })
        self.url = next(iter(self.urls.values()))

    def start(self):
        for manager in self.urls:
            words = ("-D", f"yarn.resourcemanager.ha.id={manager}") if manager else ()
            self.begin(manager or "resourcemanager", SERVER + "resourcemanager.ResourceManager", *words)
        self.begin("nodemanager", SERVER + "nodemanager.NodeManager")
        if self.managers:
            self.wait(lambda: all(ask(url + "/ws/v1/cluster/info") for url in self.urls.values()), "the pair does not come up")
            self.make_active(self.managers[0])
        self.wait_node()

    def wait_node(self):
        self.wait(lambda: '"activeNodes":1' in self.ask("/ws/v1/cluster/metrics"), "YARN does not come up")

    def admin(self, *words):
        subprocess.run([*self.words("org.apache.hadoop.yarn.client.cli.RMAdminCLI"), *words], cwd=self.folder, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def make_active(self, manager):
        self.url = self.urls[manager]
        self.admin("-transitionToActive", "--forceactive", manager)  # whether or not the other one answers
        self.wait(lambda: json.loads(self.ask("/ws/v1/cluster/info") or '{"clusterInfo": {}}')["clusterInfo"].get("haState") == "ACTIVE", f"{manager} is not active")

    def fail_over(self):
        """The active one dies, the other takes over."""
        first, second = self.managers
        self.kill(first)
        self.make_active(second)
        self.wait_node()

    def hand_over(self):
        """The other becomes the active one, and the first stays as its standby."""
        first, second = self.managers
        self.admin("-transitionToStandby", first)
        self.make_active(second)
        self.wait_node()

    def ask(self, path):
        return ask(self.url + path)

    def command(self, folder, conf):
        client = "org.apache.hadoop.yarn.client.cli."
        return self.tool(folder / "yarn", 'case $1 in application) exec {app} "$@" ;; logs) shift; exec {logs} "$@" ;; esac\n',
                         app=(client + "ApplicationCLI", conf), logs=(client + "LogsCLI", conf))


class KerberisedYarn(Yarn):
    """Each call of a procedure wants a ticket, and the web address SPNEGO."""

    def __init__(self, folder, jars, kdc):
        self.kdc = kdc
        super().__init__(folder, jars)
        self.java = (f"-Djava.security.krb5.conf={kdc.conf}",)
        self.url = self.url.replace("127.0.0.1", "localhost")
        self.keytab = kdc.keytab("etl")
        (folder / "signature").write_text("of the cookies of this test\n")
        (folder / "signature").chmod(0o600)
        realm = kdc.realm
        self.settings.update({
            "hadoop.security.authentication": "kerberos", "hadoop.security.auth_to_local": f"RULE:[2:$1@$0](.*@{realm})s/@.*// DEFAULT",
            "yarn.resourcemanager.principal": f"rm/localhost@{realm}", "yarn.resourcemanager.keytab": kdc.keytab("rm/localhost"),
            "yarn.nodemanager.principal": f"nm/localhost@{realm}", "yarn.nodemanager.keytab": kdc.keytab("nm/localhost"),
            "hadoop.http.filter.initializers": "org.apache.hadoop.security.AuthenticationFilterInitializer", "hadoop.http.authentication.type": "kerberos",
            "hadoop.http.authentication.kerberos.principal": f"HTTP/localhost@{realm}", "hadoop.http.authentication.kerberos.keytab": kdc.keytab("HTTP/localhost"),
            "yarn.resourcemanager.webapp.spnego-principal": f"HTTP/localhost@{realm}",
            "yarn.resourcemanager.webapp.spnego-keytab-file": str(kdc.folder / "HTTP_localhost.keytab"),
            "hadoop.http.authentication.signature.secret.file": folder / "signature",
        })
        self.write(self.conf, self.settings)

    def ask(self, path):
        """As a person does it: with a ticket, by curl."""
        env = {**os.environ, **self.kdc.env, "KRB5CCNAME": f"FILE:{self.folder}/ccache"}
        subprocess.run(["kinit", "-kt", self.keytab, "etl"], env=env, check=True)
        return subprocess.run(["curl", "-s", "--noproxy", "*", "--negotiate", "-u", ":", self.url + path], env=env, stdout=subprocess.PIPE).stdout.decode("utf-8", "replace")


class Hdfs(Hadoop):
    """A NameNode and a DataNode."""

    def __init__(self, folder, jars):
        self.web = address()
        self.root = "hdfs://" + address()
        super().__init__(folder, jars, {
            "fs.defaultFS": self.root, "dfs.namenode.http-address": self.web, "dfs.namenode.name.dir": f"file://{folder}/name",
            "dfs.datanode.data.dir": f"file://{folder}/data", "dfs.datanode.address": address(), "dfs.datanode.http.address": address(),
            "dfs.datanode.ipc.address": address(), "dfs.replication": 1, "dfs.namenode.safemode.extension": 0, "dfs.datanode.hostname": "127.0.0.1",
            f"hadoop.proxyuser.{getpass.getuser()}.hosts": "*", f"hadoop.proxyuser.{getpass.getuser()}.groups": "*",  # of Hive's server
            "ipc.client.connect.max.retries": 1, "ipc.client.connect.retry.interval": 200,
        })

    def start(self):
        for name in ("hdfs", "datanode"):  # pages that Hadoop's distribution has, and its jars in Maven Central have not
            (self.conf / "webapps" / name).mkdir(parents=True)
        subprocess.run([*self.words("org.apache.hadoop.hdfs.server.namenode.NameNode"), "-format", "-nonInteractive"], cwd=self.folder, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.begin_name_node()
        self.begin("datanode", "org.apache.hadoop.hdfs.server.datanode.DataNode")
        self.wait(lambda: '"NumLiveDataNodes" : 1' in self.ask("FSNamesystemState"), "HDFS does not come up")

    def begin_name_node(self):
        self.begin("namenode", "org.apache.hadoop.hdfs.server.namenode.NameNode")

    def ask(self, bean):
        return ask(f"http://{self.web}/jmx?qry=Hadoop:service=NameNode,name={bean}")

    def command(self, folder):
        return self.tool(folder / "hdfs", 'case $1 in dfs) shift; exec {shell} "$@" ;; esac\n', shell=("org.apache.hadoop.fs.FsShell",))

    def do(self, *words, check=True):
        """`hdfs dfs WORDS`; what it says."""
        return subprocess.run([*self.words("org.apache.hadoop.fs.FsShell"), *map(str, words)], cwd=self.folder, check=check, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout.decode("utf-8", "replace")
