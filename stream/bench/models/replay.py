"""Past prices through decoder, timesteps and engine, as in the service, and what it would publish."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from schemas.wire import MESSAGE_PACK, encode
from stream.config import Config
from stream.engine.step import Engine, Output
from stream.events.decode import Decoder
from stream.events.timesteps import Timesteps, new_timesteps_state
from stream.events.types import LogEnd, Quotes
from stream.kafka.log import Record, TopicPartition

TICKS, POSITIONS = "ticks", "positions"


def record_of(message: Struct, topic: str, partition: int, time_ns: int) -> Record:
    """`message` as a record whose timestamp is its own event time."""
    content_type = ("content-type", MESSAGE_PACK.encode())
    # The broker's clock counts whole milliseconds; an event lies before its record.
    timestamp_ms = -(-time_ns // 1_000_000)
    return Record(topic, partition, 0, timestamp_ms, None, encode(message, MESSAGE_PACK), (content_type,))


def replayed(config: Config, records: Iterable[Record]) -> Iterator[list[Output]]:
    """For each event of `records`, which are in the order of their times, what the engine publishes."""
    decode = Decoder(config)
    timesteps = Timesteps(config.universe, len(config.instruments))
    open_steps = new_timesteps_state(len(config.instruments))
    engine = Engine(config)
    state = engine.new_state()
    for record in records:
        for event in decode(record):
            if isinstance(event, Quotes):
                closed = timesteps.add(open_steps, event, TopicPartition(record.topic, record.partition))
            else:
                closed = []
                state, outputs = engine.step(state, event)
                yield outputs
            for timestep in closed:
                state, outputs = engine.step(state, timestep)
                yield outputs
    for timestep in timesteps.flush(open_steps):
        state, outputs = engine.step(state, timestep)
        yield outputs
    state, outputs = engine.step(state, LogEnd())
    yield outputs
