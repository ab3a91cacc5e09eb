"""On a real broker: nothing that happens to the topic `positions` leaves a book silently incomplete."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import msgspec
import numpy as np
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka import TopicPartition as KafkaPartition
from kafka.admin import ConfigResource, ConfigResourceType

from schemas.inbound import Position, Tick
from schemas.outbound import Alert, ResidualExposure
from schemas.topics import TOPICS
from schemas.wire import JSON, decode, encode
from stream.cli.confirmation import write_confirmation
from stream.clock import SystemClock
from stream.config import Config
from stream.config.kafka import KafkaSettings
from stream.errors import OffsetOutOfRange, TopicMismatch
from stream.events.encode import Encoder
from stream.kafka.connection import open_client
from stream.kafka.consume import KafkaReader
from stream.kafka.publish import KafkaWriter
from stream.kafka.topics import create_topics, delete_topics
from stream.kafka.watch import TopicWatch
from stream.telemetry.metrics import Metrics
from stream.worker.loop import Connections, Surroundings, Worker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SECOND_NS = 1_000_000_000
START_NS = 1_748_851_200 * SECOND_NS
STEPS = 40
MidPrices = Callable[[int, int], np.ndarray]


class Service:
    """Workers of one configuration on a real broker, one after another, and what they say of the book `spot`."""

    def __init__(self, config: Config, mids: np.ndarray) -> None:
        self.config = config
        self.positions = config.topics.prefix + "positions"
        self.writer = KafkaWriter(config.kafka)
        self.admin: Any = open_client(KafkaAdminClient, config.kafka)
        self.encoder = Encoder(config.topics.prefix, "/test")
        self._mids = mids
        self._opened = ExitStack()
        self.worker: Any = None

    def quote(self, first: int, last: int) -> None:
        for second in range(first, last):
            eurusd, usdchf, usdjpy = self._mids[second].tolist()
            mids = {"EURUSD": eurusd, "USDCHF": usdchf, "USDJPY": usdjpy, "EURCHF": eurusd * usdchf}
            for index, (name, mid) in enumerate(mids.items()):
                at_ns = START_NS + second * SECOND_NS + 100_000_000 * (index + 1)
                tick = Tick(instrument=name, event_time_ns=at_ns, bid=mid * 0.99998, ask=mid * 1.00002)
                self.encoder.send(self.writer, tick)
        self.writer.flush()

    def hold(self, second: float, key: bytes | None = None, **levels: float) -> None:
        """Levels of `spot`, one record each; under `key` where it is given."""
        for asset, quantity in levels.items():
            at_ns = START_NS + round(second * SECOND_NS)
            position = Position(book="spot", asset=asset, quantity=quantity, event_time_ns=at_ns)
            if key is None:
                self.encoder.send(self.writer, position)
            else:
                self.writer.send(self.positions, key, encode(position, JSON), (), at_ns // 1_000_000)
        self.writer.flush()

    def start(self, rebuild: bool = False) -> None:
        self.stop()
        inputs = self._opened.enter_context(closing(KafkaReader(self.config.kafka, self.config.topics.inputs())))
        states = self._opened.enter_context(
            closing(KafkaReader(self.config.kafka, [self.config.topics.names()["state"]]))
        )
        writer = self._opened.enter_context(closing(KafkaWriter(self.config.kafka)))
        watch = self._opened.enter_context(
            closing(TopicWatch(self.config.kafka, list(self.config.topics.names().values())))
        )
        self.worker = Worker(
            self.config,
            Connections(inputs, writer, states, facts=watch.latest, rebuild=rebuild),
            Surroundings(SystemClock(), Metrics()),
        )

    def run(self) -> None:
        """Turn until all that is in the log is processed and its answers are published."""
        ends = self.worker._inputs.end_offsets()
        deadline = time.monotonic() + 60
        while any(self.worker.state.offsets[each] < end for each, end in ends.items()):
            self.worker.turn()
            assert time.monotonic() < deadline, self.worker.state.offsets
        self.worker.turn(0)

    def stop(self) -> None:
        if self.worker is not None:
            self.worker.commit(final=True)
        self.worker = None
        self._opened.close()

    def crash(self) -> None:
        self.worker = None
        self._opened.close()

    def close(self) -> None:
        self.crash()
        self.writer.close()
        self.admin.close()

    def said(self, topic: str, kind: type[msgspec.Struct]) -> list[Any]:
        with closing(KafkaReader(self.config.kafka, [self.config.topics.names()[topic]])) as reader:
            reader.seek(reader.low_watermarks())
            records = reader.poll(500)
            while not all(reader.exhausted(partition) for partition in reader.partitions()):
                records += reader.poll(100)
        return [decode(kind, record.value or b"", JSON) for record in records]

    @property
    def residual(self) -> ResidualExposure:
        return [each for each in self.said("residual-exposure", ResidualExposure) if each.book == "spot"][-1]

    @property
    def incomplete_alerts(self) -> list[str]:
        alerts = self.said("alerts", Alert)
        return [each.state for each in alerts if each.alert_key == "book-incomplete:spot"]

    @property
    def held(self) -> dict[str, float]:
        return dict(zip(("EUR", "CHF", "JPY"), self.worker.state.engine.books["spot"].quantities.tolist(), strict=True))


@pytest.fixture
def service(desk: Config, settings: KafkaSettings, prefix: str, mid_prices: MidPrices) -> Iterator[Service]:
    """A desk that has read 30 seconds of quotes and a position in EUR and in CHF."""
    config = msgspec.structs.replace(
        desk,
        topics=msgspec.structs.replace(desk.topics, prefix=prefix),
        kafka=msgspec.structs.replace(settings, metadata_max_age_s=0.2),
        universe=msgspec.structs.replace(desk.universe, feed_silent_after_s=600.0),
    )
    create_topics(settings, TOPICS, prefix)
    with closing(Service(config, mid_prices(STEPS, 5))) as started:
        started.hold(1, EUR=5e6, CHF=-4e6)
        started.quote(0, 30)
        started.start()
        started.run()
        assert started.residual.status == "ok"
        yield started
    delete_topics(settings, [prefix + topic.name for topic in TOPICS])


def until_stopped(service: Service) -> str:
    """What the worker ends with. Where a topic is made anew the broker's answer to a fetch may come first."""
    deadline = time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            service.worker.turn()
    except (TopicMismatch, OffsetOutOfRange) as exc:
        return str(exc)
    finally:
        service.crash()
    raise AssertionError("it went on")


def test_partitions_that_are_added_while_it_serves_are_read(service: Service) -> None:
    """The worker says what happened and stops, within a metadata age; the next one has the level in partition 6."""
    service.admin.create_partitions({service.positions: 8})
    service.admin.wait_for_topics([service.positions])
    assert "positions has 8 partitions since somebody added some, and 4 are being read" in until_stopped(service)
    producer: Any = open_client(KafkaProducer, service.config.kafka)
    value = encode(Position(book="spot", asset="JPY", quantity=9e6, event_time_ns=START_NS + 30 * SECOND_NS), JSON)
    producer.send(service.positions, value, b"spot", partition=6, timestamp_ms=START_NS // 10**6 + 30_000).get(
        timeout=10
    )
    producer.close()
    service.start()
    service.run()
    assert service.held == {"EUR": 5e6, "CHF": -4e6, "JPY": 9e6}
    assert service.residual.status == "ok"


def test_a_topic_that_is_made_anew_is_refused(service: Service) -> None:
    """While it is stopped, with as many records; after --rebuild the book is incomplete until somebody confirms."""
    service.stop()
    make_anew(service)
    service.hold(31, EUR=1e6, CHF=2e6)
    with pytest.raises(TopicMismatch, match=r"positions is another topic .* expected .*--rebuild"):
        service.start()
    service.crash()
    service.start(rebuild=True)
    service.run()
    assert service.residual.status == "incomplete"
    assert "positions is another topic than before" in service.residual.incomplete[0]
    said = write_confirmation(service.config, "spot", "compared with the ledger", ["EUR=1e6", "CHF=2e6"], flat=False)
    assert said == "stated that spot is complete with EUR=1e+06, CHF=2e+06"
    service.run()
    assert service.residual.status == "ok"
    assert service.incomplete_alerts == ["raised", "cleared"]


def test_a_topic_that_is_made_anew_while_it_serves_stops_it(service: Service) -> None:
    """And the supervisor's restart is refused, not only the run."""
    service.stop()
    service.start()
    make_anew(service)
    assert re.search("another (topic|log)|deleted and created again", until_stopped(service))
    with pytest.raises(TopicMismatch, match="positions is another topic"):
        service.start()


def make_anew(service: Service) -> None:
    service.admin.delete_topics([service.positions])
    (topic,) = [each for each in TOPICS if each.name == "positions"]
    deadline = time.monotonic() + 30
    while not create_topics(service.config.kafka, [topic], service.config.topics.prefix):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_log_without_its_head_leaves_the_book_incomplete(service: Service) -> None:
    """After DeleteRecords: a restart goes on from its snapshot, --rebuild says what is gone until levels come."""
    service.stop()
    with closing(KafkaReader(service.config.kafka, [service.positions])) as reader:
        ends = reader.end_offsets()
    service.admin.delete_records({KafkaPartition(*each): end for each, end in ends.items() if end})
    service.start()
    service.run()
    assert service.incomplete_alerts == []
    service.start(rebuild=True)
    service.run()
    service.quote(30, 32)
    service.run()
    assert service.residual.status == "incomplete"
    assert "gone from the log" in service.residual.incomplete[0]
    service.hold(33, EUR=5e6, CHF=-4e6, JPY=0.0)
    service.run()
    assert service.residual.status == "ok"
    assert service.incomplete_alerts == ["raised", "cleared"]


def test_a_compacted_topic_keeps_levels_only_under_keys_of_book_and_asset(service: Service) -> None:
    """As documented for `positions`. Under the book alone the book is incomplete after a rebuild."""
    service.stop()
    compacting = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    service.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, service.positions, compacting)])
    service.start(rebuild=True)
    service.run()
    assert (service.residual.status, service.held["EUR"]) == ("ok", 5e6)
    service.hold(30, b"spot", JPY=9e6)
    service.hold(31, b"spot", EUR=6e6)
    service.run()
    assert service.residual.status == "ok"
    service.start(rebuild=True)
    service.run()
    assert service.residual.status == "incomplete"
    assert 'use keys as ["book","asset"]' in service.residual.incomplete[0]
