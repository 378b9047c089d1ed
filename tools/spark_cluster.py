"""A Spark cluster of this machine's own: a master, workers and a Thrift server, all on loopback.

`python -m tools.spark_cluster COMMAND…` runs a command beside one, with SPARK_THRIFT_PORT set. The pip package of Spark
has none of the scripts that start a cluster, so the classes behind them are started here.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import NoReturn

LOOPBACK = "127.0.0.1"
START_SECONDS = 120
STOP_SECONDS = 20
_PR_SET_PDEATHSIG = 1

CONFIGURATION = {
    # Everything stays on this machine, and nobody is asked on the way.
    "spark.driver.host": LOOPBACK,
    "spark.driver.bindAddress": LOOPBACK,
    "spark.ui.enabled": "false",
    # Data of a test is small: the usual 200 partitions of a shuffle would be 200 tasks of a few rows.
    "spark.sql.shuffle.partitions": "4",
    "spark.default.parallelism": "4",
    # Tables of the cluster's own format, not of Hive's.
    "spark.sql.legacy.createHiveTableByDefault": "false",
    "spark.sql.catalogImplementation": "hive",
}
"""Of this cluster. What the figures depend on is in profiles.yml, where it holds for any cluster."""


class ClusterError(RuntimeError):
    """A part of the cluster did not start; the message ends with what it said."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs."""

    master: str
    thrift_port: int
    folder: Path
    """Its warehouse, metastore and logs."""


def spark_home() -> Path:
    """Where the pip package of Spark lies. Raises `ClusterError` where it is not installed."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ClusterError("Spark is not installed in this environment: make test-spark does it")
    return Path(spec.origin).parent


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        return int(taken.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        caller.settimeout(1)
        return caller.connect_ex((LOOPBACK, port)) == 0


def _end_with_parent() -> None:
    """In a daemon, before it starts: let Linux end it when this process is gone, even killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def _process(
    name: str, command: list[str], environment: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon in a process group of its own (an executor is its child), and end the whole group."""
    with (folder / f"{name}.log").open("wb") as output:
        daemon = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
    try:
        yield daemon
    finally:
        for sent in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(daemon.pid, sent)
                daemon.wait(STOP_SECONDS)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue


def _await(name: str, daemon: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not _listens(port):
        if daemon.poll() is not None or time.monotonic() > until:
            said = (folder / f"{name}.log").read_text(errors="replace")
            raise ClusterError(f"the {name} did not start within {START_SECONDS} s; it said:\n{said[-4000:]}")
        time.sleep(0.1)


@contextmanager
def cluster(
    workers: int = 2,
    cores: int = 1,
    memory: str = "1g",
    driver_memory: str = "2g",
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Cluster]:
    """A standalone master, so many workers and a Thrift server; all of it is gone at the end, whatever happens.

    `settings` come over CONFIGURATION. Ports are free ones, chosen here. Raises `ClusterError` where a part does not
    start.
    """
    home = spark_home()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spark-", ignore_cleanup_errors=True)))
        (folder / "conf").mkdir()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SPARK_")},
            "SPARK_HOME": str(home),
            "SPARK_CONF_DIR": str(folder / "conf"),
            "SPARK_LOCAL_IP": LOOPBACK,
            "SPARK_LOCAL_DIRS": str(folder / "scratch"),
            "SPARK_DAEMON_MEMORY": "256m",
            # Of no use here, and on a port of its own.
            "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
            "TZ": "UTC",
        }
        master_port, thrift_port = _free_port(), _free_port()
        master = f"spark://{LOOPBACK}:{master_port}"

        def start(name: str, script: str, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
            command = [str(home / "bin" / script), *arguments]
            return stack.enter_context(_process(name, command, environment | variables, folder))

        deploy = "org.apache.spark.deploy"
        network = ("--host", LOOPBACK, "--webui-port", "0")
        daemon = start("master", "spark-class", f"{deploy}.master.Master", *network, "--port", str(master_port))
        _await("master", daemon, master_port, folder)
        for number in range(workers):
            start(
                f"worker-{number}", "spark-class", f"{deploy}.worker.Worker", *network, "--port", "0",
                "--cores", str(cores), "--memory", memory, "--work-dir", str(folder / f"worker-{number}"), master,
            )  # fmt: skip
        settings = {
            **CONFIGURATION,
            **settings,
            "spark.master": master,
            "spark.driver.memory": driver_memory,
            "spark.executor.memory": memory,
            "spark.executor.cores": str(cores),
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder} -Duser.timezone=UTC",
            "spark.executor.extraJavaOptions": "-Duser.timezone=UTC",
        }
        hive = {
            "hive.server2.thrift.port": str(thrift_port),
            "hive.server2.thrift.bind.host": LOOPBACK,
            "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder / 'metastore'};create=true",
        }
        daemon = start(
            "Thrift server", "spark-submit", "--class", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2",
            *(part for name, value in settings.items() for part in ("--conf", f"{name}={value}")),
            "spark-internal",
            *(part for name, value in hive.items() for part in ("--hiveconf", f"{name}={value}")),
            # The script takes this server for a daemon, whose memory is this one's, whatever spark.driver.memory says.
            SPARK_DAEMON_MEMORY=driver_memory,
        )  # fmt: skip
        _await("Thrift server", daemon, thrift_port, folder)
        yield Cluster(master, thrift_port, folder)


def _interrupted(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main(command: list[str]) -> int:
    """Run a command beside a cluster; returns its exit status."""
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        with cluster() as running:
            environment = os.environ | {
                "SPARK_THRIFT_PORT": str(running.thrift_port),
                "SPARK_FOLDER": str(running.folder),
            }
            return subprocess.run(command, env=environment, check=False).returncode
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
