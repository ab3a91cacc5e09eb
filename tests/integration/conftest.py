"""Apache Kafka for every integration test: given, in Docker, or from pip. Never a stand-in, never a skip."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping

import pytest
from kafka import KafkaAdminClient

from stream.config.kafka import KafkaSettings
from stream.errors import BrokerUnavailable
from stream.kafka.connection import open_client
from stream.kafka.local.broker import KAFKA_VERSION, PROPERTIES, LocalBroker

CreateTopics = Callable[[Mapping[str, int]], str]

_used = pytest.StashKey[str]()


def _docker_answers() -> bool:
    """Whether a container engine answers. Asks the command line: the Python client leaks a socket if none does."""
    try:
        asked = subprocess.run(["docker", "version"], capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _apache_kafka_in_docker() -> Iterator[str]:
    """The image reads the settings of the local broker from its environment; it listens beyond its own loopback."""
    from testcontainers.core.container import DockerContainer

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    container = DockerContainer(f"apache/kafka:{KAFKA_VERSION}").with_bind_ports(port, port)
    host = container.get_container_host_ip()
    lines = PROPERTIES.format(port=port, controller_port=port + 1, logs="/tmp/kraft-logs").splitlines()
    values = dict(line.split("=", 1) for line in lines)
    values["listeners"] = values["listeners"].replace(f"127.0.0.1:{port},", f"0.0.0.0:{port},")
    values["advertised.listeners"] = f"PLAINTEXT://{host}:{port}"
    for name, value in values.items():
        container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", value)
    with container:
        deadline = time.monotonic() + 60
        while True:
            try:
                open_client(KafkaAdminClient, KafkaSettings(bootstrap=f"{host}:{port}")).close()
                break
            except BrokerUnavailable:
                assert time.monotonic() < deadline, container.get_logs()
                time.sleep(0.2)
        yield f"{host}:{port}"


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an Apache Kafka: $KAFKA_BOOTSTRAP, else one in Docker, else one started from pip."""
    started = time.monotonic()

    def note(which: str) -> None:
        used = f"Apache Kafka: {which}, ready after {time.monotonic() - started:.1f} s"
        if hasattr(request.config, "workeroutput"):  # one of several processes: the root's conftest says it
            request.config.workeroutput["kafka"] = used
        else:
            request.config.stash[_used] = used

    given = os.environ.get("KAFKA_BOOTSTRAP")
    if given:
        note(f"given as {given}")
        yield given
    elif _docker_answers():
        for bootstrap in _apache_kafka_in_docker():
            note(f"{KAFKA_VERSION} in Docker at {bootstrap}")
            yield bootstrap
    else:
        with LocalBroker() as broker:
            note(f"{KAFKA_VERSION} from pip at {broker.bootstrap}")
            yield broker.bootstrap


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if _used in config.stash:
        terminalreporter.write_line(config.stash[_used])


@pytest.fixture
def prefix() -> str:
    """A topic prefix no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}-"


@pytest.fixture
def failed_connections() -> Iterator[None]:
    """For tests in which connections fail: kafka-python leaves each one's socket to the garbage collector, which warns.

    It is run here, while the test's mark to ignore those warnings holds.
    """
    yield
    gc.collect()


@pytest.fixture
def settings(kafka: str, prefix: str) -> KafkaSettings:
    """How to reach the broker, with a group of the test's own."""
    return KafkaSettings(bootstrap=kafka, group=f"{prefix}group")


@pytest.fixture
def create_topics(settings: KafkaSettings, prefix: str) -> Iterator[CreateTopics]:
    """Creates topics (name without prefix to number of partitions) and deletes them after the test."""
    created: list[str] = []
    admin = open_client(KafkaAdminClient, settings)

    def create(partitions: Mapping[str, int]) -> str:
        # Kept for ever, as the service's own topics: every five minutes the broker deletes what is older than a week by
        # its timestamp, and some tests write timestamps of years ago.
        settings = {"replication_factor": 1, "configs": {"retention.ms": "-1"}}
        asked = {prefix + name: {"num_partitions": count, **settings} for name, count in partitions.items()}
        admin.create_topics(asked, wait_for_metadata=True)
        created.extend(asked)
        return prefix

    yield create
    if created:
        admin.delete_topics(created)
    admin.close()
