"""An execution system at random: what it says comes twice and late, the engine restarts, and nothing counts wrongly."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from random import Random

import msgspec
import numpy as np
import pytest

from schemas.outbound import DeadLetter, HedgeSuggestion, ResidualExposure
from stream.config import Config, HedgingConfig
from stream.engine.step import Engine, Output
from stream.events.timesteps import new_timesteps_state
from stream.events.types import EngineEvent, PositionLevel, QuoteDepth, Timestep, TradeReport
from stream.kafka.log import Record
from stream.worker.snapshot import WorkerState, restore_snapshot, take_snapshot

SECOND = 1_000_000_000
WARM_UP, STEPS = 100, 80
ASSETS = ("EUR", "CHF", "JPY")
#: What a lot of each instrument brings of its leg and takes of its quote, where these are assets.
LEGS = {"EURUSD": ("EUR", None), "USDCHF": (None, "CHF"), "USDJPY": (None, "JPY"), "EURCHF": ("EUR", "CHF")}
LOT = 1e6


class Execution:
    """Trades some of what is suggested and tells of it; what is really held at each time is in `held`."""

    def __init__(self, chance: Random, instruments: list[str]) -> None:
        self._chance = chance
        self._instruments = instruments
        self._changes: list[tuple[int, str, float]] = []
        self._seen: set[str] = set()
        self._to_tell: list[tuple[int, int, EngineEvent]] = []
        self._told = 0

    def held(self, asset: str, at_ns: int) -> float:
        return sum(units for time_ns, name, units in self._changes if name == asset and time_ns <= at_ns)

    def client(self, asset: str, units: float, at_ns: int) -> None:
        self._changes.append((at_ns, asset, units))
        self.position(asset, at_ns)

    def position(self, asset: str, at_ns: int, delay_ns: int | None = None) -> None:
        source = f"positions[0]@{len(self._changes)}/{asset}/{at_ns}"
        level = PositionLevel(at_ns, "spot", ASSETS.index(asset), self.held(asset, at_ns), source)
        self._tell(at_ns, level, delay_ns)

    def work(self, suggestion: HedgeSuggestion, mids: dict[str, float]) -> None:
        """Take some of the trades up: acknowledged or not, filled in parts, rejected in the end, or never heard of."""
        if suggestion.suggestion_id in self._seen or suggestion.status not in ("trade", "unreachable"):
            return
        self._seen.add(suggestion.suggestion_id)
        for trade in suggestion.trades:
            if self._chance.random() < 0.3:
                continue
            at_ns = suggestion.event_time_ns
            if self._chance.random() < 0.8:
                at_ns += self._chance.randrange(1, SECOND)
                self._report(suggestion, trade.instrument, "acknowledged", 0, at_ns)
            filled, sign = 0, 1 if trade.side == "buy" else -1
            while filled < trade.lots and self._chance.random() < 0.8:
                at_ns += self._chance.randrange(1, SECOND)
                lots = self._chance.randint(1, trade.lots - filled)
                filled += lots
                base, quote = LEGS[trade.instrument]
                price = mids[trade.instrument] * (1 + 1e-5 * self._chance.random())
                for asset, units in ((base, sign * lots * LOT), (quote, -sign * lots * LOT * price)):
                    if asset:
                        self._changes.append((at_ns, asset, units))
                self._report(
                    suggestion, trade.instrument, "filled" if filled == trade.lots else "part-filled", filled, at_ns
                )
            if filled < trade.lots and self._chance.random() < 0.7:
                self._report(suggestion, trade.instrument, "rejected", 0, at_ns + 1)

    def due(self, until_ns: int) -> list[EngineEvent]:
        due = []
        while self._to_tell and self._to_tell[0][0] <= until_ns:
            due.append(heapq.heappop(self._to_tell)[2])
        return due

    def _report(self, suggestion: HedgeSuggestion, instrument: str, status: str, filled: int, at_ns: int) -> None:
        record = Record("hedge-status", 0, self._told, at_ns // 1_000_000, b"spot", b"{}", ())
        self._tell(
            at_ns,
            TradeReport(
                at_ns,
                "spot",
                suggestion.suggestion_id,
                self._instruments.index(instrument),
                status,  # type: ignore[arg-type]
                filled or None,
                record,
                "",
            ),
        )

    def _tell(self, at_ns: int, event: EngineEvent, delay_ns: int | None = None) -> None:
        """Late by up to four seconds, and one in four again."""
        for _ in range(1 + (self._chance.random() < 0.25)):
            self._told += 1
            late_ns = self._chance.randrange(4 * SECOND) if delay_ns is None else delay_ns
            if isinstance(event, TradeReport):
                event = replace(event, record=event.record._replace(offset=self._told))
            else:
                assert isinstance(event, PositionLevel)
                event = replace(event, source=f"positions[0]@{self._told}")
            heapq.heappush(self._to_tell, (at_ns + late_ns, self._told, event))


def assert_adds_up(suggestion: HedgeSuggestion, depths: dict[str, QuoteDepth]) -> None:
    """The trades cost what the message says, and each one's limit price reaches its lots in the ladder."""
    for parts in (
        suggestion.expected_spread + suggestion.expected_fee + suggestion.expected_depth,
        sum(trade.expected_cost for trade in suggestion.trades),
    ):
        assert parts == pytest.approx(suggestion.expected_cost, rel=1e-9, abs=1e-6)
    if suggestion.runner_up:
        runner_up = sum(trade.expected_cost for trade in suggestion.runner_up)
        assert runner_up == pytest.approx(suggestion.runner_up_cost, rel=1e-9)
        assert not suggestion.proven or runner_up >= suggestion.expected_cost - 0.011
    for trade in suggestion.trades:
        depth = depths[trade.instrument]
        if trade.side == "buy":
            reached = [(depth.ask_size_lots or 0.0, 0.0), *((size, price) for price, size in depth.ask_levels)]
            lots = sum(size for size, price in reached if price <= trade.limit_price)
        else:
            reached = [(depth.bid_size_lots or 0.0, np.inf), *((size, price) for price, size in depth.bid_levels)]
            lots = sum(size for size, price in reached if price >= trade.limit_price)
        assert lots >= trade.lots


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_an_execution_system_at_random(
    desk: Config,
    mid_prices: Callable[[int, int], np.ndarray],
    timestep_of: Callable[..., Timestep],
    seed: int,
) -> None:
    """A worker restarted after every second event publishes the same bytes; no report is refused; once everything is
    told and every position read, the book holds what is really held and nothing is in flight. What was acknowledged and
    never heard of again is overdue by then.
    """
    book = msgspec.structs.replace(desk.books[0], limit=600.0, max_lots=10)
    config = msgspec.structs.replace(desk, books=(book,), hedging=HedgingConfig(expiry_s=15.0, in_flight_max_s=8.0))
    names = [instrument.name for instrument in config.instruments]
    chance = Random(seed)
    execution = Execution(chance, names)
    engines = [Engine(config), Engine(config)]
    states = [engine.new_state() for engine in engines]
    statuses: set[str] = set()

    def tell(event: EngineEvent) -> list[Output]:
        outputs: list[list[Output]] = []
        for index, engine in enumerate(engines):
            states[index], said = engine.step(states[index], event)
            outputs.append(said)
        assert msgspec.json.encode(outputs[0]) == msgspec.json.encode(outputs[1]), f"seed {seed}"
        if chance.random() < 0.5:
            kept = take_snapshot(WorkerState(new_timesteps_state(len(names)), states[1], {}), config)
            engines[1] = Engine(config)
            states[1] = restore_snapshot(kept, config, engines[1]).engine
        return outputs[0]

    prices = mid_prices(WARM_UP + STEPS + 1, seed)
    for step in range(1, WARM_UP):
        for index, engine in enumerate(engines):
            states[index], _ = engine.step(states[index], timestep_of(step, prices[step - 1]))
    in_flight = False
    for step in range(WARM_UP, WARM_UP + STEPS):
        closed = timestep_of(step, prices[step - 1])
        mids = dict(zip(names, (0.5 * (closed.bids + closed.asks)).tolist(), strict=True))
        depths = {
            index: QuoteDepth(
                chance.uniform(0.0, 3.0),
                chance.uniform(0.0, 3.0),
                tuple((float(closed.bids[index]) * (1 - 1e-5 * k), chance.uniform(0.0, 4.0)) for k in (1, 2)),
                tuple((float(closed.asks[index]) * (1 + 1e-5 * k), chance.uniform(0.0, 4.0)) for k in (1, 2)),
            )
            for index in range(len(names))
        }
        end_ns = step * SECOND
        if chance.random() < 0.3:
            asset = chance.choice(ASSETS)
            execution.client(asset, chance.randint(-6, 6) * LOT / (1 if asset != "JPY" else 1 / 150), end_ns - 1)
        if chance.random() < 0.5:
            execution.position(chance.choice(ASSETS), end_ns - chance.randrange(1, SECOND))
        for event in [*execution.due(end_ns), replace(closed, depths=depths)]:
            for output in tell(event):
                assert not isinstance(output, DeadLetter), output
                if isinstance(output, ResidualExposure):
                    in_flight |= any(each.in_flight for each in output.positions)
                if isinstance(output, HedgeSuggestion):
                    statuses.add(output.status)
                    if isinstance(event, Timestep):
                        assert_adds_up(output, {names[index]: depth for index, depth in depths.items()})
                    execution.work(output, mids)
    assert in_flight
    assert {"trade", "unchanged"} <= statuses
    last_ns = (WARM_UP + STEPS + 20) * SECOND
    for event in execution.due(last_ns):
        tell(event)
    for asset in ASSETS:
        execution.position(asset, last_ns, 0)
    for event in execution.due(last_ns):
        tell(event)
    state = states[0].books["spot"]
    assert state.quantities.tolist() == [execution.held(asset, last_ns) for asset in ASSETS]
    assert not state.in_flight.any()
