"""Trades that are worked or filled count exactly once, in whatever order reports and positions arrive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.engine.book.in_flight import TRADES_KEPT, SuggestedTrade, pausing, settle, take_report, units_in_flight
from stream.events.types import TradeReport
from stream.kafka.log import Record

RECORD = Record("hedge-status", 0, 0, 0, None, b"", ())
EUR, CHF, JPY = range(3)
#: Ten lots of EURCHF, a million EUR each, at .95.
UNITS = np.array([1e6, -0.95e6, 0.0])


def trade(lots: int = -10, suggestion_id: str = "hedge/spot/1", instrument: int = 3) -> SuggestedTrade:
    return SuggestedTrade(suggestion_id, instrument, lots, UNITS, suggested_ns=100)


def report(
    status: str, filled_lots: int | None = None, time_ns: int = 200, suggestion_id: str = "hedge/spot/1"
) -> TradeReport:
    return TradeReport(time_ns, "spot", suggestion_id, 3, status, filled_lots, RECORD, "")  # type: ignore[arg-type]


def told(reports: list[TradeReport], lots: int = -10) -> SuggestedTrade:
    one = trade(lots)
    for each in reports:
        assert take([one], each) is None
    return one


def take(trades: list[SuggestedTrade], told: TradeReport) -> str | None:
    """Heard when it happened, while its suggestion stands."""
    return take_report(trades, told, told.event_time_ns, told.suggestion_id)


def test_a_suggestion_alone_counts_nothing_and_an_acknowledged_one_all() -> None:
    """A suggested trade does not count. An acknowledged one counts as done, in both legs."""
    assert not units_in_flight([trade()], {}, 3).any()
    assert units_in_flight([told([report("acknowledged")])], {}, 3).tolist() == [-10e6, 9.5e6, 0.0]


def test_a_rejected_trade_comes_back() -> None:
    """Its lots stop counting at once, and a late acknowledgement does not change that."""
    rejected = told([report("acknowledged"), report("rejected"), report("acknowledged")])
    assert not units_in_flight([rejected], {}, 3).any()
    assert settle([rejected], {}, 1201, 1000, 1000) == []


def test_what_was_filled_before_a_rejection_stays() -> None:
    """Four of ten lots are done; the other six no longer count."""
    part = told([report("part-filled", 4), report("rejected")])
    assert units_in_flight([part], {}, 3).tolist() == [-4e6, 3.8e6, 0.0]


def test_a_fill_gives_way_to_positions_leg_by_leg() -> None:
    """The EUR position shows the fill, the CHF position is older: only the francs are still in flight."""
    filled = told([report("filled", time_ns=200)])
    assert units_in_flight([filled], {EUR: 200, CHF: 199}, 3).tolist() == [0.0, 9.5e6, 0.0]
    assert settle([filled], {EUR: 200, CHF: 199}, 1201, 1000, 1000) == [filled]
    assert settle([filled], {EUR: 200, CHF: 201}, 1201, 1000, 1000) == []


@pytest.mark.parametrize("ends", [report("rejected", time_ns=300), report("filled", 4, time_ns=200)])
def test_what_is_heard_of_an_ended_trade_twice_or_late_is_no_surprise(ends: TradeReport) -> None:
    """Nothing of it is in flight any more; four lots that were filled before still count, and nothing counts twice."""
    trades = settle([told([report("acknowledged"), ends])], {EUR: 250, CHF: 250}, 350, 1000, 1000)
    assert not units_in_flight(trades, {EUR: 250, CHF: 250}, 3).any()
    for late in (ends, report("part-filled", 4, time_ns=200), ends):
        assert take(trades, late) is None
    assert units_in_flight(trades, {EUR: 199, CHF: 250}, 3).tolist() == [-4e6, 0.0, 0.0]


def test_a_fill_is_never_forgotten() -> None:
    """It counts however long no position shows it."""
    filled = told([report("filled")])
    assert settle([filled], {}, 10**18, 1000, 1000) == [filled]
    assert units_in_flight([filled], {}, 3).tolist() == [-10e6, 9.5e6, 0.0]


def test_nothing_heard_for_too_long_counts_no_more() -> None:
    """The trade may never have been dealt, so its risk is back. A later report makes it count again."""
    working = told([report("part-filled", 3, time_ns=200)])
    (kept,) = settle([working], {}, 1200, 1000, 5000)
    assert not kept.overdue
    (kept,) = settle([working], {}, 1201, 1000, 5000)
    assert kept.overdue
    assert units_in_flight([kept], {}, 3)[EUR] == -3e6
    assert take([kept], report("part-filled", 5, time_ns=1300)) is None
    assert units_in_flight([kept], {}, 3)[EUR] == -10e6


def test_unknown_and_impossible_reports_change_nothing_and_say_so() -> None:
    """Another suggestion, or more than was suggested: refused with what was expected and what came."""
    one = trade()
    assert "no such trade" in str(take([one], report("filled", suggestion_id="hedge/spot/2")))
    assert take([one], report("filled", 11)) == "filled_lots must be at most the 10 lots of the trade, got 11"
    assert (one.status, one.filled_by, one.heard_ns) == ("suggested", {}, 0)


def test_the_oldest_that_nobody_took_up_are_forgotten_first() -> None:
    """The list is bounded; what is being worked stays."""
    many = [trade(suggestion_id=f"hedge/spot/{number}") for number in range(TRADES_KEPT + 5)]
    take(many, report("acknowledged", suggestion_id="hedge/spot/0"))
    kept = settle(many, {}, 300, 1000, 1000)
    assert len(kept) == TRADES_KEPT
    assert kept[0] is many[0]
    assert kept[1] is many[6]
    take_report(kept, report("rejected", suggestion_id="hedge/spot/6"), 200, None)
    assert settle([*kept, trade()], {}, 300, 1000, 1000)[1] is many[7]


def test_fills_told_in_the_wrong_order_count_by_when_they_happened() -> None:
    """Five lots by 3000 are heard of before two by 1000: a position dated 2000 shows the two."""
    late = told([report("part-filled", 5, time_ns=3000), report("part-filled", 2, time_ns=1000)])
    assert units_in_flight([late], {EUR: 2000, CHF: 3000}, 3).tolist() == [-8e6, 4.75e6, 0.0]


@pytest.mark.parametrize("side", [1, -1])
@given(data=st.data())
def test_what_is_held_and_in_flight_is_the_whole_trade_at_every_moment(side: int, data: st.DataObject) -> None:
    """Reports doubled and in any order, positions of any asset at any time whose fills were reported: once the trade is
    acknowledged, held + in flight is what was held before plus the whole trade, in every asset, after every message.
    """
    size = data.draw(st.integers(1, 20))
    cuts = data.draw(st.lists(st.integers(1, size), max_size=4, unique=True).map(sorted))
    filled_at = {1000 * (1 + index): filled for index, filled in enumerate(cuts)}
    reports = [
        report("filled" if filled == size else "part-filled", filled, time_ns) for time_ns, filled in filled_at.items()
    ]
    before = np.array([5e6, 1e6, 7.0])
    held = before.copy()
    position_ns: dict[int, int] = {}
    trades = [told([report("acknowledged", time_ns=500)], side * size)]
    heard: set[int] = set()
    for each in data.draw(st.permutations(reports + reports[:2])):
        assert take(trades, each) is None
        heard.add(each.event_time_ns)
        asset = data.draw(st.sampled_from([EUR, CHF, JPY]))
        known = [time_ns for time_ns in filled_at if all(t in heard for t in filled_at if t <= time_ns)]
        time_ns = data.draw(st.sampled_from([0, *known]))
        if time_ns >= position_ns.get(asset, 0):
            position_ns[asset] = time_ns
            held[asset] = before[asset] + side * filled_at.get(time_ns, 0) * UNITS[asset]
        in_flight = units_in_flight(trades, position_ns, 3)
        assert held + in_flight == pytest.approx(before + side * size * UNITS, rel=1e-12)
        settled = settle(trades, position_ns, 10_000, 10**9, 10**9)
        assert units_in_flight(settled, position_ns, 3) == pytest.approx(in_flight, rel=1e-12)


def test_a_refusal_outlasts_those_that_nobody_took_up() -> None:
    """However many suggestions were replaced since then, the instrument of the refused lots still pauses."""
    refused = told([report("rejected", time_ns=200)])
    kept = settle([refused, *(trade() for _ in range(TRADES_KEPT + 5))], {}, 300, 1000, 1000)
    assert len(kept) == TRADES_KEPT
    assert pausing(kept, 300, 1000) == {refused.instrument}


def test_a_fill_by_a_slow_clock_is_not_shown_by_a_level_of_before_its_suggestion() -> None:
    """Suggested at 100, with a fill dated 40: a position of 99 cannot show the fill, one of 100 does."""
    trades = [told([report("filled", time_ns=40)])]
    assert units_in_flight(trades, dict.fromkeys(range(3), 99), 3).tolist() == [-10e6, 9.5e6, 0.0]
    assert not units_in_flight(trades, dict.fromkeys(range(3), 100), 3).any()
