"""Fixtures that several modules share: a small FX desk, its quotes, and a service of it on an in-memory log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import settings

from schemas.inbound import Position, Tick, TickBatch
from schemas.topics import TOPICS
from schemas.wire import JSON, encode
from stream.clock import ManualClock
from stream.config import Config, check_config
from stream.events.encode import Encoder
from stream.events.types import Timestep
from stream.kafka.log import Record, Writer

if TYPE_CHECKING:
    from stream.engine.market.refits import Submit
    from stream.telemetry.metrics import Metrics
    from stream.testing.memory_log import MemoryLog
    from stream.worker.loop import Worker

SECOND = 1_000_000_000

# 2025-06-02 08:00:00 UTC, a multiple of the timestep.
START_S = 1_748_851_200

# Made for tests: a cross, a fee, a book that may not trade everything, windows that fill within a minute. The stream's
# benchmark has a desk of its own (stream/bench/stream/run.py), so that no test can change what its figures are of.
DESK_TOML = """
[universe]
name = "fx"
numeraire = "USD"
assets = ["EUR", "CHF", "JPY"]
timestep_s = 1.0
max_price_age_s = 5.0

[[instruments]]
name = "EURUSD"
legs = { EUR = 1.0 }
quote = "USD"
lot = 1_000_000.0

[[instruments]]
name = "USDCHF"
legs = { USD = 1.0 }
quote = "CHF"
lot = 1_000_000.0
fee_bps = 0.1

[[instruments]]
name = "USDJPY"
legs = { USD = 1.0 }
quote = "JPY"
lot = 1_000_000.0

[[instruments]]
name = "EURCHF"
legs = { EUR = 1.0 }
quote = "CHF"
lot = 1_000_000.0

[[books]]
name = "spot"
limit = 900.0
max_lots = 4

[[books]]
name = "options"
limit = 500.0
instruments = ["EURUSD", "USDJPY"]
max_lots = 2

[covariance]
half_life_steps = 20.0
shrinkage = "ledoit-wolf"
min_observations = 20

[reversion]
window_steps = 60
holdout_steps = 20
max_legs = 2

[solver]
lot_notional = 1_000_000.0
"""

FLOWS_TOML = """
[[flows]]
name = "franchise"
clients = [
    { instrument = "EURUSD", sizes = [1e6, 5e6], requests_per_day = [9000, 5400], alpha = -1.9, beta_per_bp = 11.0 },
    { instrument = "USDCHF", sizes = [1e6], requests_per_day = [4200], alpha = -1.2, beta_per_bp = 4.5 },
    { instrument = "USDJPY", sizes = [1e6], requests_per_day = [8200], alpha = -1.6, beta_per_bp = 9.0 },
    { instrument = "EURCHF", sizes = [1e6], requests_per_day = [8200], alpha = -1.6, beta_per_bp = 9.0 },
]
markets = [
    { instrument = "EURUSD", eta_bps_per_million_a_day = 1e-5 },
    { instrument = "USDJPY", eta_bps_per_million_a_day = 1e-5 },
    { instrument = "USDCHF", eta_bps_per_million_a_day = 2e-5, half_spread_bps = 0.5 },
]
"""


# The same examples in every run, and no failure because the machine was busy.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def desk_toml() -> str:
    """A small valid configuration as an operator would write it."""
    return DESK_TOML


@pytest.fixture
def desk() -> Config:
    """The configuration of `desk_toml`."""
    config = msgspec.toml.decode(DESK_TOML, type=Config)
    check_config(config)
    return config


@pytest.fixture
def franchise_toml() -> str:
    """`desk_toml` with client flow, from which the book "spot" has a quote skew."""
    return DESK_TOML.replace("max_lots = 4\n", 'max_lots = 4\nflows = "franchise"\n', 1) + FLOWS_TOML


@pytest.fixture
def franchise(franchise_toml: str) -> Config:
    """The configuration of `franchise_toml`."""
    config = msgspec.toml.decode(franchise_toml, type=Config)
    check_config(config)
    return config


def mid_prices(steps: int, seed: int) -> np.ndarray:
    """(steps, 3) EURUSD, USDCHF and USDJPY: walks of 1 to 2 bp a step, in which CHF follows EUR against the dollar."""
    rng = np.random.default_rng(seed)
    eur, jpy, own = rng.normal(0.0, (1.5e-4, 1.2e-4, 2e-5), (steps, 3)).T
    walks = np.exp(np.cumsum(np.column_stack([eur, -eur + own, jpy]), axis=0))
    return walks * np.array([1.08, 0.90, 150.0])


def quotes_of(mids: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Bids and asks of the four instruments around the mids of EURUSD, USDCHF and USDJPY."""
    eurusd, usdchf, usdjpy = mids
    middle = np.array([eurusd, usdchf, usdjpy, eurusd * usdchf])
    half_spread = middle * np.array([2e-5, 4e-5, 3e-5, 5e-5])
    return middle - half_spread, middle + half_spread


@pytest.fixture(name="mid_prices")
def mid_prices_fixture() -> Callable[[int, int], np.ndarray]:
    return mid_prices


@pytest.fixture
def timestep_of() -> Callable[..., Timestep]:
    """A timestep that closes with fresh quotes of all four instruments, except those named in `quoted_at_s`."""

    def make(index: int, mids: Sequence[float], quoted_at_s: Mapping[int, float] | None = None) -> Timestep:
        bids, asks = quotes_of(mids)
        quoted_at_ns = np.full(len(bids), index * SECOND - SECOND // 4, dtype=np.int64)
        for instrument, at_s in (quoted_at_s or {}).items():
            quoted_at_ns[instrument] = round(at_s * SECOND)
            if at_s == 0:
                bids[instrument] = asks[instrument] = np.nan
        return Timestep(index, index * SECOND, bids, asks, quoted_at_ns)

    return make


@dataclass
class Simulation:
    """A log with the topics of `config`, feeds that write to it, and workers that come and go.

    Everything random in it comes from `chance`; None leaves nothing to chance.
    """

    config: Config
    log: MemoryLog = field(init=False)
    names: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = {topic.name: self.config.topics.prefix + topic.name for topic in TOPICS}
        # Here, so that the tests of a solver module do not need everything else to import.
        from stream.testing.memory_log import MemoryLog

        self.log = MemoryLog({self.names[topic.name]: topic.partitions for topic in TOPICS})

    def feed(self, messages: Iterable[Tick | TickBatch | Position | tuple[str, bytes, int]]) -> None:
        """Write `messages`; a tuple of topic, bytes and timestamp in ms is written as it stands."""
        writer = self.log.writer()
        encoder = Encoder(self.config.topics.prefix, "/test")
        for message in messages:
            if isinstance(message, tuple):
                topic, value, timestamp_ms = message
                writer.send(self.names[topic], b"broken", value, (), timestamp_ms)
            else:
                encoder.send(writer, message)
        writer.flush()

    def worker(
        self,
        chance: Random | None = None,
        clock: ManualClock | None = None,
        writer: Writer | None = None,
        max_poll_records: int = 5000,
        metrics: Metrics | None = None,
        deadlines: bool = True,
        submit: Submit | None = None,
        rebuild: bool = False,
    ) -> Worker:
        """A worker that goes on from what the log holds."""
        from stream.telemetry.metrics import Metrics
        from stream.worker.loop import Connections, Surroundings, Worker

        return Worker(
            self.config,
            Connections(
                self.log.reader(self.config.topics.inputs(), "test", chance, max_poll_records),
                writer or self.log.writer(chance),
                self.log.reader([self.names["state"]], "test"),
                self.log.reader([self.names["corrections"]], "test"),
                self.log.facts,
                rebuild,
            ),
            Surroundings(clock or ManualClock(), metrics or Metrics(), deadlines=deadlines, submit=submit),
        )

    def inputs_read(self, worker: Worker) -> bool:
        """Whether `worker` has processed every input record."""
        return all(offset >= self.log.end(partition) for partition, offset in worker.state.offsets.items())

    def drain(self, worker: Worker) -> None:
        """Turn until every input is processed."""
        turns = 0
        while not self.inputs_read(worker):
            worker.turn(0)
            turns += 1
            assert turns < 100_000, "the worker does not get on"

    def forget_snapshots(self) -> None:
        """As after a crash before any of them was in the log."""
        for partition in self.log.partitions(self.names["state"]):
            self.log.delete_before(partition, self.log.end(partition))

    def outputs(self) -> dict[str, list[Record]]:
        """What the output topics hold, by topic."""
        return {topic.name: self.log.records(self.names[topic.name]) for topic in TOPICS if topic.direction == "out"}


@pytest.fixture
def simulate() -> Callable[[Config], Simulation]:
    """Makes simulations."""
    return Simulation


@pytest.fixture
def refit_process(desk: Config) -> Iterator[Callable[[Config], Submit]]:
    """Refits of a configuration in a process of their own, as the service runs them."""
    # Here, so that the tests of a solver module do not need everything else to import.
    from stream.config.reversion import reversion_settings
    from stream.worker.refit_process import RefitProcess

    with ExitStack() as started:

        def start(config: Config) -> Submit:
            settings = reversion_settings(config.reversion)
            return started.enter_context(RefitProcess(config.universe.assets, settings)).submit

        yield start


@pytest.fixture
def trading_day() -> Callable[..., list[Tick | TickBatch | Position | tuple[str, bytes, int]]]:
    """A scripted stretch of quotes and positions in event-time order, with late quotes and broken records mixed in."""

    def make(steps: int, seed: int) -> list[Tick | TickBatch | Position | tuple[str, bytes, int]]:
        chance = Random(seed)
        day: list[tuple[int, Tick | TickBatch | Position | tuple[str, bytes, int]]] = []
        instruments = ("EURUSD", "USDCHF", "USDJPY", "EURCHF")
        assets = ("EUR", "CHF", "JPY", "USD")
        taken: set[int] = set()

        def moment(step: int) -> int:
            """A time within `step` that nothing else has, so that the order in time is the only one."""
            while True:
                time_ns = (START_S + step) * SECOND + chance.randrange(1, 999) * 1_000_000
                if time_ns not in taken:
                    taken.add(time_ns)
                    return time_ns

        for step, mids in enumerate(mid_prices(steps, seed)):
            bids, asks = quotes_of(mids)
            if chance.random() < 0.2:
                at_ns = moment(step)
                batch = TickBatch(
                    universe="fx",
                    event_time_ns=at_ns,
                    instruments=instruments,
                    bids=bids.astype("<f8").tobytes(),
                    asks=asks.astype("<f8").tobytes(),
                    source="lp",
                    seq=step + 1,
                )
                day.append((at_ns, batch))
            else:
                for name, bid, ask in zip(instruments, bids.tolist(), asks.tolist(), strict=True):
                    at_ns = moment(step)
                    day.append((at_ns, Tick(instrument=name, event_time_ns=at_ns, bid=bid, ask=ask, source="lp")))
            if chance.random() < 0.4:
                at_ns = moment(step)
                book = chance.choice(("spot", "options"))
                quantity = float(chance.randint(-9, 9) * 1_000_000)
                asset = chance.choice(assets)
                quantity *= 150.0 if asset == "JPY" else 1.0
                day.append((at_ns, Position(book=book, asset=asset, quantity=quantity, event_time_ns=at_ns)))
            if chance.random() < 0.1:
                at_ns = moment(step)
                broken = chance.choice(
                    (b"{", b"\xff\x00", encode(Tick(instrument="?", event_time_ns=1, bid=1, ask=1), JSON))
                )
                day.append((at_ns, (chance.choice(("ticks", "positions")), broken, at_ns // 1_000_000)))
            if step > 10 and chance.random() < 0.1:
                # Written now, quoted long ago: late in whichever partition it falls.
                at_ns = moment(step)
                day.append((at_ns, Tick(instrument="EURUSD", event_time_ns=moment(step - 8), bid=1.0, ask=1.1)))
        return [message for _, message in sorted(day, key=lambda entry: entry[0])]

    return make


@pytest.fixture
def config_path(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a configuration file."""

    def write(text: str) -> Path:
        path = tmp_path / "betapack.toml"
        path.write_text(text)
        return path

    return write
