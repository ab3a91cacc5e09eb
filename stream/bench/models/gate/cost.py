"""What the gate costs: ticks a second of the service without Kafka, with the gate and without it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import msgspec
import numpy as np

from schemas.inbound import Position, Tick
from schemas.wire import JSON, encode
from stream.bench.figures import Comparison, compare
from stream.bench.models.replay import POSITIONS, TICKS, replayed
from stream.bench.timing import timed_alone
from stream.config import Config, PlausibilityConfig, check_config
from stream.demo.rates import half_spread_bps
from stream.kafka.log import Record

SEED = 20_150_115
START_NS = 1_748_851_200 * 1_000_000_000
STEP_NS = 1_000_000_000


def cost(ticks_a_step: int, ticks: int, rounds: int) -> Comparison:
    """Ticks a second on one core through decoder, timesteps and engine, with every book of the demo solved."""
    records = list(_records(_config(True), ticks_a_step, ticks))
    with_gate: list[float] = []
    without: list[float] = []
    for enabled in (True, False):  # what is compiled or loaded once is no cost of either
        _run(_config(enabled), records[: ticks // 10])
    for _ in range(rounds):  # in turns, so that a machine that slows down slows both
        for enabled, seconds in ((True, with_gate), (False, without)):
            seconds.append(timed_alone(_run, _config(enabled), records)[0])
    ratios = np.array(without) / np.array(with_gate)
    return compare(
        f"ticks a second with the plausibility gate, {ticks_a_step:,} a timestep",
        "with it",
        ticks / min(with_gate),
        "without it",
        ticks / min(without),
        "ticks/s",
        "at least .95",
        f"{ticks:,} JSON ticks of the demo's 17 instruments, decoder, timesteps and engine in memory, without refits; "
        f"processor time of one thread, the least of {rounds} turns each, whose ratios lie from {ratios.min():.3f} to "
        f"{ratios.max():.3f}",
    )


def _config(enabled: bool) -> Config:
    """The demo's desk with timesteps of a second."""
    demo = msgspec.toml.decode((files("stream.demo") / "demo.toml").read_bytes(), type=Config)
    config = msgspec.structs.replace(
        demo,
        universe=msgspec.structs.replace(demo.universe, timestep_s=1.0, max_price_age_s=30.0),
        plausibility=PlausibilityConfig(enabled=enabled),
        # The service refits in another process.
        reversion=msgspec.structs.replace(demo.reversion, refit_every_steps=1_000_000),
    )
    check_config(config)
    return config


def _records(config: Config, ticks_a_step: int, ticks: int) -> Iterator[Record]:
    """Ticks of a random walk in the order of their times, instrument by instrument, after a position for each book."""
    rng, m = np.random.default_rng(SEED), len(config.instruments)
    currencies = (*config.universe.assets, config.universe.numeraire)
    logs = dict.fromkeys(currencies, 0.0)
    for number, book in enumerate(config.books):
        asset = config.universe.assets[number]
        position = Position(book=book.name, asset=asset, quantity=1e6, event_time_ns=START_NS)
        yield _record(position, POSITIONS, START_NS)
    gap_ns = STEP_NS // ticks_a_step
    moves = rng.normal(0.0, 1e-5, (ticks, 2)).tolist()
    for number in range(ticks):
        instrument = config.instruments[number % m]
        (base,) = instrument.legs
        for currency, move in zip((base, instrument.quote), moves[number], strict=True):
            logs[currency] += move
        mid = float(np.exp(logs[base] - logs[instrument.quote]))
        half = mid * half_spread_bps(instrument) * 1e-4
        at_ns = START_NS + (number + 1) * gap_ns
        yield _record(
            Tick(instrument=instrument.name, event_time_ns=at_ns, bid=mid - half, ask=mid + half), TICKS, at_ns
        )


def _record(message: Tick | Position, topic: str, at_ns: int) -> Record:
    content_type = ("content-type", JSON.encode())
    return Record(topic, 0, 0, -(-at_ns // 1_000_000), None, encode(message, JSON), (content_type,))


def _run(config: Config, records: list[Record]) -> None:
    for _ in replayed(config, records):
        pass
