"""Feeds with wrong clocks through the whole service: the alerts that come out, and the same bytes in a replay."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from schemas.inbound import Position, Tick
from schemas.outbound import Alert, ResidualExposure
from schemas.wire import JSON, encode
from stream.config import Config
from stream.kafka.log import Record

Simulate = Callable[[Config], Any]
SECOND = 1_000_000_000
START_S = 1_748_851_200
PRICES = {"EURUSD": 1.08, "USDCHF": 0.9, "USDJPY": 150.0, "EURCHF": 0.97}

#: Topic, key, value, timestamp in ms of a record, in the order of arrival.
Written = tuple[str, bytes, bytes, int]


def day(
    skew_s: Callable[[str, float], float], recorded_ahead_s: Callable[[float], float] = lambda skew: 0.0
) -> list[Written]:
    """70 s of quotes, one an instrument and second, without the name of a feed, dated by their producers' clocks."""
    chance = Random(5)
    book = Position(book="spot", asset="CHF", quantity=5e6)
    arrivals: list[tuple[float, str, bytes, bytes, int]] = [
        (0.5, "positions", b"spot", encode(book, JSON), START_S * 1000 + 500)
    ]
    for name, price in PRICES.items():
        for second in range(70):
            at = second + chance.random()
            mid = price * (1 + 1e-4 * chance.gauss(0.0, 1.0))
            skew = skew_s(name, at)
            tick = Tick(
                instrument=name,
                event_time_ns=START_S * SECOND + round((at + skew) * SECOND),
                bid=mid * (1 - 2e-5),
                ask=mid * (1 + 2e-5),
            )
            timestamp_ms = round((START_S + at + recorded_ahead_s(skew)) * 1000)
            arrivals.append((at, "ticks", name.encode(), encode(tick, JSON), timestamp_ms))
    return [(topic, key, value, at_ms) for _, topic, key, value, at_ms in sorted(arrivals)]


def lived(simulate: Simulate, config: Config, records: list[Written]) -> Any:
    """The service reads each record as it is written."""
    simulation = simulate(config)
    worker = simulation.worker()
    for topic, key, value, timestamp_ms in records:
        simulation.log.append(simulation.log.partition_for(topic, key), key, value, (), timestamp_ms)
        worker.turn(0)
    worker.commit(final=True)
    simulation.late = worker.state.timesteps.late_quotes
    return simulation


def alerts(simulation: Any, *kinds: str) -> list[tuple[str, str, str]]:
    found = [msgspec.json.decode(record.value, type=Alert) for record in simulation.outputs()["alerts"]]
    return [(alert.kind, alert.subject, alert.state) for alert in found if alert.kind in kinds]


def one_partition(records: list[Written]) -> list[Written]:
    return [(topic, b"fx", value, at_ms) for topic, _, value, at_ms in records]


@pytest.mark.slow
@pytest.mark.parametrize("keyed", [list, one_partition], ids=["by instrument", "one partition"])
def test_a_fast_clock_is_the_one_that_is_named(
    desk: Config, simulate: Simulate, keyed: Callable[[list[Written]], list[Written]]
) -> None:
    """USDCHF is 4 s ahead and 5 are allowed: one alert names it, and no quote of another instrument is late."""
    records = keyed(day(lambda name, at: 4.0 if name == "USDCHF" else 0.0))
    simulation = lived(simulate, desk, records)
    (raised,) = alerts(simulation, "clock-ahead", "quotes-late", "price-stale")
    assert raised[0] == "clock-ahead"
    assert raised[1].startswith("USDCHF in ticks[")
    assert raised[2] == "raised"
    assert simulation.late <= 5
    residuals = [
        msgspec.json.decode(each.value, type=ResidualExposure) for each in simulation.outputs()["residual-exposure"]
    ]
    assert residuals[-1].status == "ok"


@pytest.mark.slow
@pytest.mark.parametrize("keyed", [list, one_partition], ids=["by instrument", "one partition"])
def test_one_tick_that_is_a_minute_ahead_stops_nobody(
    desk: Config, simulate: Simulate, keyed: Callable[[list[Written]], list[Written]]
) -> None:
    """One tick of USDCHF is 64 s ahead, its record 59 s: it waits alone, its source is named once, nothing flaps."""
    records = keyed(
        day(lambda name, at: 64.0 if name == "USDCHF" and 20 <= at < 21 else 0.0, lambda skew: 59.0 if skew else 0.0)
    )
    simulation = lived(simulate, desk, records)
    (raised,) = alerts(simulation, "clock-ahead", "quotes-late", "price-stale", "feed-silent", "book-unsolved")
    assert raised[1].startswith("USDCHF in ticks[")
    assert simulation.late <= 5
    assert len(simulation.outputs()["models"]) >= 68


@pytest.mark.slow
def test_a_slow_clock_is_named_with_its_late_quotes(desk: Config, simulate: Simulate) -> None:
    """USDJPY falls 3 s behind for 20 s: the alert of its late quotes is raised once, and cleared once they end."""
    simulation = lived(simulate, desk, day(lambda name, at: -3.0 if name == "USDJPY" and 20 <= at < 40 else 0.0))
    (first, second) = alerts(simulation, "clock-ahead", "quotes-late")
    assert (first[0], first[2]) == ("quotes-late", "raised")
    assert (second[0], second[2]) == ("quotes-late", "cleared")
    assert first[1] == second[1]
    assert first[1].startswith("USDJPY in ticks[")


@pytest.mark.slow
@pytest.mark.parametrize("lead_s", [4.0, -3.0])
def test_wrong_clocks_give_the_same_bytes_again(desk: Config, simulate: Simulate, lead_s: float) -> None:
    """A worker ends and another one goes on from its snapshot at any record: what is published is the same."""
    records = one_partition(day(lambda name, at: lead_s if name == "USDCHF" and at > 20 else 0.0))
    whole = lived(simulate, desk, records).outputs()

    def by_partition(outputs: dict[str, list[Record]]) -> dict[str, list[bytes | None]]:
        return {topic: [record.value for record in outputs[topic]] for topic in outputs}

    simulation, chance = simulate(desk), Random(3)
    worker = simulation.worker()
    for topic, key, value, timestamp_ms in records:
        simulation.log.append(simulation.log.partition_for(topic, key), key, value, (), timestamp_ms)
        worker.turn(0)
        if chance.random() < 0.1:
            worker.commit(final=True)
            worker = simulation.worker()
    worker.commit(final=True)
    assert by_partition(simulation.outputs()) == by_partition(whole)
    assert alerts(simulation, "clock-ahead", "quotes-late")
