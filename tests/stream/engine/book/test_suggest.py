"""A suggestion stands until something material changes. Worked trades count as done, refused ones do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pytest

from schemas.outbound import Alert, DeadLetter, HedgeSuggestion, HedgeTrade, ResidualExposure
from solver.errors import IllPosed
from stream.config import Config, HedgingConfig
from stream.engine.step import Engine, EngineState, Output
from stream.events.timesteps import new_timesteps_state
from stream.events.types import EngineEvent, PositionLevel, Timestep, TradeReport
from stream.kafka.log import Record
from stream.worker.snapshot import WorkerState, restore_snapshot, take_snapshot

SECOND = 1_000_000_000
LOT = 1e6
EUR, CHF, JPY = range(3)
EURUSD, USDCHF, USDJPY, EURCHF = range(4)
WARM_UP = 200
TimestepOf: TypeAlias = Callable[..., Timestep]


def mids(step: int) -> tuple[float, float, float]:
    """Each return of EUR and JPY is the same but for its sign, so the covariance stays; the franc does not move."""
    up = 1e-4 * (step % 2)
    return 1.08 * (1 + up), 0.9, 150.0 * (1 + up)


class Desk:
    """One engine, told what happens; `outputs` are those of the last event."""

    def __init__(self, config: Config, timestep_of: TimestepOf) -> None:
        self.config, self._engine, self._timestep_of = config, Engine(config), timestep_of
        self.state: EngineState = self._engine.new_state()
        self.step = 0
        self.outputs: list[Output] = []
        for _ in range(WARM_UP):
            self.close()

    def restart(self, **book: Any) -> None:
        """Go on from a snapshot, with the book as configured now."""
        kept = WorkerState(new_timesteps_state(len(self.config.instruments)), self.state, {})
        changed = msgspec.structs.replace(self.config.books[0], **book)
        config = msgspec.structs.replace(self.config, books=(changed,))
        self._engine = Engine(config)
        self.state = restore_snapshot(take_snapshot(kept, self.config), config, self._engine).engine

    def tell(self, event: EngineEvent) -> list[Output]:
        self.state, self.outputs = self._engine.step(self.state, event)
        return self.outputs

    def close(self, at: int | None = None, **stale: Any) -> list[Output]:
        self.step = self.step + 1 if at is None else at
        return self.tell(self._timestep_of(self.step, mids(self.step), **stale))

    def hold(self, asset: int, quantity: float, after_s: float = 0.5) -> list[Output]:
        at_ns = round((self.step + after_s) * SECOND)
        return self.tell(PositionLevel(at_ns, "spot", asset, quantity, f"positions[0]@{at_ns}"))

    def report(
        self, suggestion_id: str, instrument: int, status: str, filled: int | None = None, after_s: float = 0.6
    ) -> list[Output]:
        at_ns = round((self.step + after_s) * SECOND)
        record = Record("hedge-status", 1, at_ns, at_ns // 1_000_000, b"spot", b"{}", ())
        told = TradeReport(at_ns, "spot", suggestion_id, instrument, status, filled, record, "")  # type: ignore[arg-type]
        return self.tell(told)

    def size_at_limit(self) -> float:
        """The size of a position in EUR alone whose risk is at the limit."""
        (residual,) = [each for each in self.hold(EUR, LOT, 0.1) if isinstance(each, ResidualExposure)]
        return LOT * residual.limit / residual.unhedged_risk

    def all_of(self, kind: type[Output]) -> list[Any]:
        return [output for output in self.outputs if isinstance(output, kind)]

    @property
    def suggestion(self) -> HedgeSuggestion:
        (one,) = self.all_of(HedgeSuggestion)
        assert isinstance(one, HedgeSuggestion)
        return one

    @property
    def exposure(self) -> dict[str, tuple[float, float]]:
        """By asset: the whole exposure, and the part that is in flight."""
        residual = self.all_of(ResidualExposure)[-1]
        return {each.asset: (each.exposure, each.in_flight) for each in residual.positions}


@pytest.fixture
def desk_of(desk: Config, timestep_of: TimestepOf) -> Callable[..., Desk]:
    def make(limit: float = 900.0, instruments: Sequence[str] = ("EURUSD", "USDJPY"), **hedging: float) -> Desk:
        book = msgspec.structs.replace(desk.books[0], limit=limit, max_lots=20, instruments=tuple(instruments))
        config = msgspec.structs.replace(desk, books=(book,), hedging=HedgingConfig(**hedging))
        return Desk(config, timestep_of)

    return make


def test_a_suggestion_that_was_taken_up_is_forgotten_even_if_the_solver_then_refuses(
    desk_of: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All trades are filled and the next solve fails: no suggestion stands, so a snapshot does not hold one either."""
    desk = desk_of(ramp_share=0.5)  # so that the book is over its limit when they are filled, and is solved
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion

    def refuse_all(*_: object) -> None:
        raise IllPosed("Sigma must be symmetric PSD")

    monkeypatch.setattr("stream.engine.book.suggest.decide", refuse_all)
    for trade in first.trades:
        instrument = [each.name for each in desk.config.instruments].index(trade.instrument)
        desk.report(first.suggestion_id, instrument, "filled")
    assert [each.status for each in desk.all_of(ResidualExposure)] == ["unsolved"]
    assert desk.state.books["spot"].standing is None


def test_the_bound_is_one_on_what_the_trades_reach(desk_of: Callable[..., Desk]) -> None:
    """A position that grows a little leaves the trades above the target: what reaches it costs more than they do."""
    desk = desk_of(min_life_s=1.0, material_share=0.2)
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    assert first.status == "trade"
    assert first.cost_lower_bound > 0.0
    for _ in range(3):
        desk.close()
    above_target = False
    for lots in (15.0, 15.5, 16.0):
        desk.hold(EUR, lots * LOT)
        stands = desk.suggestion
        assert (stands.status, stands.suggestion_id) == ("unchanged", first.suggestion_id)
        assert stands.cost_lower_bound <= stands.expected_cost * (1 + 1e-9)
        if stands.risk_after > stands.target:
            above_target = True
            assert (stands.cost_lower_bound, stands.gap) == (0.0, stands.expected_cost)
        else:
            assert stands.cost_lower_bound > 0.0
        desk.close()
    assert above_target


@pytest.mark.slow
def test_inside_the_band_an_hour_brings_no_suggestion(desk_of: Callable[..., Desk]) -> None:
    """3,600 timesteps at a constant 90 % of the limit: not one message on what to trade, and no alert."""
    desk = desk_of()
    desk.hold(EUR, LOT)
    (residual,) = desk.all_of(ResidualExposure)
    scale = 0.9 * 900.0 / residual.unhedged_risk
    assert desk.hold(EUR, scale * LOT, 0.6)
    for _ in range(3600):
        desk.close()
        (residual,) = desk.all_of(ResidualExposure)
        assert residual.limit_share == pytest.approx(0.9, rel=1e-3)
        assert not desk.all_of(HedgeSuggestion)
        assert not desk.all_of(Alert)


def test_a_constant_breach_is_one_suggestion(desk_of: Callable[..., Desk]) -> None:
    """A hundred timesteps at a constant 150 %: suggested once, then `unchanged` under the same id, renewed when due."""
    desk = desk_of(expiry_s=60.0)
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    assert first.status == "trade"
    assert first.suggestion_id == first.id
    assert first.expires_at_ns == first.event_time_ns + 60 * SECOND
    seen = []
    for _ in range(100):
        desk.close()
        seen.append(desk.suggestion)
    assert {(each.status, each.suggestion_id) for each in seen} == {("unchanged", first.suggestion_id)}
    assert {each.expires_at_ns for each in seen[:60]} == {first.expires_at_ns}
    assert {each.expires_at_ns for each in seen[60:]} == {seen[60].event_time_ns + 60 * SECOND}
    assert all(each.trades[0].lots == first.trades[0].lots for each in seen)
    assert len({each.id for each in seen}) == 100


@pytest.mark.slow
def test_a_suggestion_renewed_for_hours_can_be_taken_up(desk_of: Callable[..., Desk]) -> None:
    """Its trade is not forgotten, and the lots of a cross in flight count at the price of the last renewal."""
    desk = desk_of(instruments=("EURCHF",), limit=300.0, expiry_s=60.0, in_flight_max_s=5.0)
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    for _ in range(630):
        desk.close()
    assert desk.suggestion.suggestion_id == first.suggestion_id
    renewed_at = WARM_UP + 61 + 9 * 60
    assert desk.suggestion.expires_at_ns == (renewed_at + 60) * SECOND
    desk.report(first.suggestion_id, EURCHF, "acknowledged")
    eurusd, usdchf, _ = mids(renewed_at)
    assert eurusd != mids(int(first.event_time_ns // SECOND))[0]
    francs = first.trades[0].lots * LOT * eurusd * usdchf
    assert desk.exposure["CHF"][1] == pytest.approx(francs / mids(desk.step)[1], rel=1e-12)


def test_what_would_not_be_made_again_is_not_renewed(desk_of: Callable[..., Desk]) -> None:
    """Standing within what is not material until its expiry, under the limit, it is withdrawn; over it, replaced."""
    desk = desk_of(expiry_s=60.0, min_life_s=50.0)
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    desk.hold(EUR, 11 * LOT, 1.0)  # four lots fewer would do; but it is young
    assert desk.suggestion.suggestion_id == first.suggestion_id
    for _ in range(61):
        desk.close()
    assert desk.suggestion.suggestion_id != first.suggestion_id


def test_what_stands_is_withdrawn_below_the_margin_and_not_at_the_limit(desk_of: Callable[..., Desk]) -> None:
    """At 97 % of the limit the trades still stand. Below 95 % they are withdrawn, once."""
    desk = desk_of(min_life_s=0.0)
    size = desk.size_at_limit()
    desk.hold(EUR, 1.02 * size)
    first = desk.suggestion
    desk.hold(EUR, 0.97 * size, 1.6)
    assert (desk.suggestion.status, desk.suggestion.suggestion_id) == ("unchanged", first.suggestion_id)
    desk.hold(EUR, 0.94 * size, 1.7)
    gone = desk.suggestion
    assert (gone.status, gone.trades, gone.suggestion_id) == ("none", (), first.suggestion_id)
    desk.hold(EUR, 0.93 * size, 1.8)
    assert not desk.all_of(HedgeSuggestion)


@pytest.mark.slow
def test_between_the_margin_and_the_limit_nothing_new_is_suggested(desk_of: Callable[..., Desk]) -> None:
    """An hour at a constant 97 % after a breach: what was suggested stands until it expires, and nothing follows it."""
    desk = desk_of(min_life_s=0.0)
    size = desk.size_at_limit()
    desk.hold(EUR, 1.02 * size)
    first = desk.suggestion
    desk.hold(EUR, 0.97 * size, 0.6)
    seen = []
    for _ in range(3600):
        desk.close()
        seen += desk.all_of(HedgeSuggestion)
    assert {each.suggestion_id for each in seen} == {first.suggestion_id}
    assert [each.status for each in seen] == ["unchanged"] * (len(seen) - 1) + ["none"]
    assert all("not yet clear of the limit" in each.reason for each in seen[:-1])


def test_trades_that_no_longer_fit_are_withdrawn_inside_the_limit(desk_of: Callable[..., Desk]) -> None:
    """Half of the position is gone, and at 97 % other trades would be enough: none are suggested instead."""
    desk = desk_of(min_life_s=0.0)
    size = desk.size_at_limit()
    desk.hold(EUR, 2.0 * size)
    first = desk.suggestion
    desk.hold(EUR, 0.97 * size, 0.6)
    assert (desk.suggestion.status, desk.suggestion.suggestion_id) == ("none", first.suggestion_id)


@pytest.mark.slow
@pytest.mark.parametrize("then", [{"max_lots": 1}, {"max_trades": 1}, {"instruments": ("USDJPY",)}])
def test_what_stands_keeps_to_what_the_book_may_do_after_a_restart(
    desk_of: Callable[..., Desk], then: dict[str, Any]
) -> None:
    """Fewer lots, fewer trades or other instruments are configured: what was suggested before is replaced."""
    desk = desk_of(limit=600.0, expiry_s=1e6)
    desk.hold(EUR, 15 * LOT)
    desk.hold(JPY, -2400 * LOT)
    desk.hold(JPY, -2400 * LOT, 5.0)
    first = desk.suggestion
    assert len(first.trades) == 2
    assert min(trade.lots for trade in first.trades) > 1
    desk.restart(**then)
    desk.close()
    second = desk.suggestion
    assert second.suggestion_id != first.suggestion_id
    assert {trade.instrument for trade in second.trades} <= set(then.get("instruments", ("EURUSD", "USDJPY")))
    assert all(trade.lots <= then.get("max_lots", 20) for trade in second.trades)
    assert 0 < len(second.trades) <= then.get("max_trades", 2)


def test_a_material_change_makes_a_new_suggestion(desk_of: Callable[..., Desk]) -> None:
    """Twice the position needs other trades; a hundredth more does not. Before its least life only need counts."""
    desk = desk_of(min_life_s=3.0)
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    desk.hold(EUR, 15.1 * LOT, 1.0)
    assert (desk.suggestion.status, desk.suggestion.suggestion_id) == ("unchanged", first.suggestion_id)
    desk.hold(EUR, 30 * LOT, 2.0)  # after what stands the risk would be over the limit: need counts
    second = desk.suggestion
    assert (second.status, second.suggestion_id) == ("trade", second.id)
    assert second.trades[0].lots > first.trades[0].lots
    desk.hold(EUR, 18 * LOT, 3.0)  # more than needed, and dear; but young
    assert (desk.suggestion.status, desk.suggestion.suggestion_id) == ("unchanged", second.id)
    desk.hold(EUR, 18 * LOT, 5.0)
    third = desk.suggestion
    assert (third.status, third.trades[0].lots < second.trades[0].lots) == ("trade", True)


def test_trades_that_cannot_be_dealt_any_more_do_not_stand(desk_of: Callable[..., Desk]) -> None:
    """The instrument's own quote is stale: others are suggested, however young the suggestion is."""
    desk = desk_of(instruments=("EURUSD", "EURCHF"), min_life_s=50.0)
    desk.hold(EUR, 15 * LOT)
    (trade,) = desk.suggestion.trades
    names = ["EURUSD", "USDCHF", "USDJPY", "EURCHF"]
    index = names.index(trade.instrument)
    desk.close(desk.step + 6, quoted_at_s={index: desk.step})
    suggestion = desk.all_of(HedgeSuggestion)
    if suggestion:  # without a price of the book's own asset there is none
        assert trade.instrument not in {each.instrument for each in suggestion[0].trades}
    else:
        assert desk.all_of(ResidualExposure)[0].status == "unpriced"


def test_an_acknowledged_trade_counts_as_done(desk_of: Callable[..., Desk]) -> None:
    """Its lots are in flight in the exposure, the risk is inside the limit, and nothing is suggested."""
    desk = desk_of()
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    (trade,) = first.trades
    desk.report(first.suggestion_id, EURUSD, "acknowledged")
    (residual,) = desk.all_of(ResidualExposure)
    assert residual.trigger == "hedge-status"
    price = mids(desk.step)[0]
    assert desk.exposure["EUR"] == pytest.approx(
        ((15 - trade.lots) * LOT * price, -trade.lots * LOT * price), rel=1e-12
    )
    assert residual.unhedged_risk == pytest.approx(first.risk_after, rel=1e-9)
    assert not desk.all_of(HedgeSuggestion)
    desk.report(first.suggestion_id, EURUSD, "acknowledged", after_s=0.7)
    assert not desk.outputs  # said before


def refuse(desk: Desk, suggestion: HedgeSuggestion, after_s: float = 0.6) -> None:
    """Reject all trades of a suggestion, one after another. `desk.outputs` are those of the last report."""
    names = [instrument.name for instrument in desk.config.instruments]
    for trade in suggestion.trades:
        desk.report(suggestion.suggestion_id, names.index(trade.instrument), "rejected", after_s=after_s)


@pytest.mark.parametrize("acknowledged", [False, True])
def test_a_rejected_trade_comes_back_and_is_suggested_again_after_a_pause(
    desk_of: Callable[..., Desk], acknowledged: bool
) -> None:
    """Nothing is in flight. For ten seconds no trade in that instrument is suggested; then the same under a new id."""
    desk = desk_of(instruments=("EURUSD",), rejection_pause_s=10.0)
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    if acknowledged:
        desk.report(first.suggestion_id, EURUSD, "acknowledged")
    desk.report(first.suggestion_id, EURUSD, "rejected", after_s=0.7)
    assert desk.suggestion.status == "unreachable"
    assert "EURUSD left out after a rejection" in desk.suggestion.reason
    for _ in range(10):
        desk.close()
        assert "EURUSD" not in {trade.instrument for trade in desk.suggestion.trades}
    desk.close()
    again = desk.suggestion
    assert (again.status, again.trades[0].lots) == ("trade", first.trades[0].lots)
    assert again.suggestion_id != first.suggestion_id
    assert "left out" not in again.reason
    assert desk.exposure["EUR"][1] == 0.0


def test_what_one_instrument_refuses_goes_elsewhere_at_once(desk_of: Callable[..., Desk]) -> None:
    """EURUSD is rejected: the same step suggests EURCHF and USDCHF, which remove the same risk."""
    desk = desk_of(instruments=("EURUSD", "EURCHF", "USDCHF"), min_life_s=5.0)
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    assert {trade.instrument for trade in first.trades} == {"EURUSD"}
    refuse(desk, first)
    second = desk.suggestion
    assert (second.status, "EURUSD" in {trade.instrument for trade in second.trades}) == ("trade", False)
    assert second.risk_after <= second.target * (1 + 1e-9)


def test_who_rejects_everything_is_asked_once_a_pause(desk_of: Callable[..., Desk]) -> None:
    """A minute in which every trade is refused at once, one trade at a time: each of three instruments is asked at most
    every ten seconds, and a worker that was restarted asks no more often.
    """
    desk = desk_of(instruments=("EURUSD", "EURCHF", "USDJPY"), rejection_pause_s=10.0)
    desk.restart(max_trades=1)
    desk.hold(EUR, 15 * LOT)
    asked: dict[str, list[int]] = {}
    seen: set[str] = set()
    for _ in range(60):
        after_s = 0.5
        while desk.all_of(HedgeSuggestion) and desk.suggestion.suggestion_id not in seen:
            suggestion, after_s = desk.suggestion, after_s + 0.01
            seen.add(suggestion.suggestion_id)
            for trade in suggestion.trades:
                asked.setdefault(trade.instrument, []).append(suggestion.event_time_ns)
            refuse(desk, suggestion, after_s)
        desk.restart(max_trades=1)
        desk.close()
    assert set(asked) == {"EURUSD", "EURCHF", "USDJPY"}
    for times_ns in asked.values():
        assert min(np.diff(times_ns)) >= 10 * SECOND
    # Asked as often as allowed too: the risk is over the limit all the time.
    assert len(asked["EURUSD"]) >= 5


def test_lots_that_a_fill_leaves_out_pause_their_instrument(desk_of: Callable[..., Desk]) -> None:
    """ "filled" with fewer lots than the trade has is the end of it: the rest was refused."""
    desk = desk_of(instruments=("EURUSD",))
    desk.hold(EUR, 40 * LOT)
    first = desk.suggestion
    desk.report(first.suggestion_id, EURUSD, "filled", 1)
    assert desk.exposure["EUR"][1] == pytest.approx(-LOT * mids(desk.step)[0], rel=1e-12)
    assert desk.suggestion.status == "unreachable"


def test_a_rejection_by_a_slow_clock_pauses_too(desk_of: Callable[..., Desk]) -> None:
    """The rejection is dated twenty seconds before the renewal: the pause is ten seconds from the renewal on."""
    desk = desk_of(instruments=("EURUSD",), expiry_s=30.0, rejection_pause_s=10.0)
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    for _ in range(31):
        desk.close()
    assert desk.suggestion.expires_at_ns > first.expires_at_ns
    desk.report(first.suggestion_id, EURUSD, "rejected", after_s=-20.0)
    statuses = []
    for _ in range(12):
        desk.close()
        statuses.append(desk.suggestion.status)
    assert "trade" not in statuses[:9]
    assert "trade" in statuses[9:]


@pytest.mark.parametrize("filled", [(1, None), (None, 1)])
def test_what_turns_out_to_be_filled_was_not_refused(
    desk_of: Callable[..., Desk], filled: tuple[int | None, int | None]
) -> None:
    """A fill of some lots and a later one of all, in whichever order they are read: the instrument does not pause."""
    desk = desk_of(instruments=("EURUSD",))
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    for index, lots in enumerate(filled):
        desk.report(first.suggestion_id, EURUSD, "filled", lots, after_s=0.6 + 0.1 * index)
    desk.hold(EUR, 15 * LOT, 0.9)
    assert (desk.suggestion.status, "left out" in desk.suggestion.reason) == ("trade", False)


def test_what_stood_while_a_price_was_missing_is_renewed_or_withdrawn(desk_of: Callable[..., Desk]) -> None:
    """Even after the time when trades are forgotten, its end or renewal is published under its id."""
    for quantity, status in ((15 * LOT, "unchanged"), (LOT, "none")):
        desk = desk_of(expiry_s=20.0, in_flight_max_s=5.0)
        desk.hold(EUR, 15 * LOT)
        first = desk.suggestion
        stale = {EURUSD: desk.step, EURCHF: desk.step}
        for _ in range(60):
            desk.close(quoted_at_s=stale)
        assert desk.all_of(ResidualExposure)[0].status == "unpriced"
        desk.hold(EUR, quantity)
        desk.close()
        assert (desk.suggestion.status, desk.suggestion.suggestion_id) == (status, first.suggestion_id)


def test_rejecting_what_was_replaced_refuses_nothing(desk_of: Callable[..., Desk]) -> None:
    """Execution rejects a suggestion that was replaced: the new one stands, in the same instrument."""
    desk = desk_of(min_life_s=0.0)
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    desk.hold(EUR, 30 * LOT, 0.6)
    second = desk.suggestion
    assert second.suggestion_id != first.suggestion_id
    desk.report(first.suggestion_id, EURUSD, "rejected", after_s=0.7)
    assert not desk.outputs
    desk.close()
    assert (desk.suggestion.status, desk.suggestion.suggestion_id) == ("unchanged", second.suggestion_id)


def test_without_a_time_of_their_own_positions_and_reports_have_that_of_their_record(
    desk_of: Callable[..., Desk],
) -> None:
    """They have the time of their record within the open timestep, which may last an hour while suggestions expire."""
    desk = desk_of()
    at_ns = desk.step * SECOND + 800_000_000
    desk.tell(PositionLevel(at_ns, "spot", EUR, 15 * LOT, "positions[0]@1", dated=False))
    first = desk.suggestion
    assert (first.event_time_ns, first.expires_at_ns) == (at_ns, at_ns + 60 * SECOND)
    record = Record("hedge-status", 1, 0, at_ns // 1_000_000 + 100, b"spot", b"{}", ())
    heard_ns = at_ns + SECOND // 10
    desk.tell(TradeReport(heard_ns, "spot", first.suggestion_id, EURUSD, "acknowledged", None, record, "", False))
    assert desk.all_of(ResidualExposure)[0].event_time_ns == heard_ns


def test_what_has_no_time_is_never_before_the_last_close(desk_of: Callable[..., Desk]) -> None:
    """Quotes may be dated some seconds ahead of the broker's clock, which dates records: the prices of a close are not
    those of a time before it, and a suggestion lives for as long as others.
    """
    desk = desk_of()
    close_ns = desk.step * SECOND
    desk.tell(PositionLevel(close_ns - 3 * SECOND, "spot", EUR, 15 * LOT, "positions[0]@1", dated=False))
    assert (desk.suggestion.event_time_ns, desk.suggestion.expires_at_ns) == (close_ns, close_ns + 60 * SECOND)


def test_a_report_without_a_time_takes_effect_when_it_is_read(desk_of: Callable[..., Desk]) -> None:
    """In a replay of old prices its record is dated years later: the book keeps its prices, the trade is in flight, and
    is overdue when nothing more is heard of it for `in_flight_max_s` of the replay.
    """
    desk = desk_of(in_flight_max_s=30.0)
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    now_ns = 1_700_000_000 * SECOND
    record = Record("hedge-status", 1, 0, now_ns // 1_000_000, b"spot", b"{}", ())
    desk.tell(TradeReport(now_ns, "spot", first.suggestion_id, EURUSD, "acknowledged", None, record, "", dated=False))
    (residual,) = desk.all_of(ResidualExposure)
    assert (residual.status, residual.event_time_ns) == ("ok", (desk.step + 1) * SECOND)
    assert desk.exposure["EUR"][1] < 0.0
    for _ in range(31):
        desk.close()
        assert not desk.all_of(HedgeSuggestion)
    desk.close()
    assert desk.suggestion.status == "trade"


def test_a_fill_and_the_position_that_shows_it_count_once(desk_of: Callable[..., Desk]) -> None:
    """They count once, whichever of the two is read first."""
    held = {}
    for order in ("fill first", "position first"):
        desk = desk_of()
        desk.hold(EUR, 15 * LOT)
        first = desk.suggestion
        left = (15 - first.trades[0].lots) * LOT
        desk.report(first.suggestion_id, EURUSD, "acknowledged", after_s=0.55)
        if order == "fill first":
            desk.report(first.suggestion_id, EURUSD, "filled", after_s=0.6)
            desk.hold(EUR, left, 0.7)
        else:
            desk.hold(EUR, left, 0.7)
            desk.report(first.suggestion_id, EURUSD, "filled", after_s=0.6)
        desk.close()
        held[order] = desk.exposure["EUR"]
        assert held[order][1] == 0.0
        assert not desk.all_of(HedgeSuggestion)
    assert held["fill first"] == held["position first"]


def test_a_level_shows_the_fills_until_its_own_time(desk_of: Callable[..., Desk]) -> None:
    """A position of 0.7 s is read after an undated one of 0.9 s: the book has it, without a fill of 0.8 s."""
    desk = desk_of()
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    desk.report(first.suggestion_id, EURUSD, "acknowledged", after_s=0.6)
    at_ns = round((desk.step + 0.9) * SECOND)
    desk.tell(PositionLevel(at_ns, "spot", EUR, 15 * LOT, "positions[0]@1", dated=False))
    desk.hold(EUR, 15 * LOT, 0.7)
    desk.report(first.suggestion_id, EURUSD, "filled", after_s=0.8)
    desk.close()
    lots, price = first.trades[0].lots, mids(desk.step)[0]
    assert desk.exposure["EUR"][0] == pytest.approx((15 - lots) * LOT * price, rel=1e-12)


def test_a_part_of_a_trade_is_left_to_be_worked(desk_of: Callable[..., Desk]) -> None:
    """Two lots are filled and shown, the others are in flight; when those are rejected they come back."""
    desk = desk_of()
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    lots = first.trades[0].lots
    assert lots > 2
    desk.report(first.suggestion_id, EURUSD, "part-filled", 2, after_s=0.6)
    desk.hold(EUR, 13 * LOT, 0.7)
    price = mids(desk.step)[0]
    assert desk.exposure["EUR"] == pytest.approx(((15 - lots) * LOT * price, (2 - lots) * LOT * price), rel=1e-12)
    desk.report(first.suggestion_id, EURUSD, "rejected", after_s=0.8)
    assert desk.exposure["EUR"] == pytest.approx((13 * LOT * price, 0.0))


def test_a_trade_of_which_nothing_is_heard_counts_no_more_and_an_alert_says_so(desk_of: Callable[..., Desk]) -> None:
    """After `in_flight_max_s` the risk is back and suggested again; a late fill clears the alert."""
    desk = desk_of(in_flight_max_s=30.0)
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    desk.report(first.suggestion_id, EURUSD, "acknowledged")
    for _ in range(30):
        desk.close()
        assert not desk.all_of(HedgeSuggestion)
    desk.close()
    assert desk.suggestion.status == "trade"
    raised = [alert for alert in desk.all_of(Alert) if alert.kind == "hedge-overdue"]
    assert [(alert.state, alert.subject) for alert in raised] == [("raised", "spot")]
    assert first.suggestion_id in raised[0].message
    desk.report(first.suggestion_id, EURUSD, "filled")
    assert [alert.state for alert in desk.all_of(Alert) if alert.kind == "hedge-overdue"] == ["cleared"]
    assert desk.exposure["EUR"][1] < 0.0


@pytest.mark.parametrize(
    ("suggestion_id", "instrument", "filled", "said"),
    [
        ("hedge/options/1", EURUSD, None, "no such trade"),
        (None, USDJPY, None, "no such trade"),
        (None, EURUSD, 99, "must be at most the"),
    ],
)
def test_a_report_of_nothing_that_was_suggested_is_a_dead_letter_and_changes_nothing(
    desk_of: Callable[..., Desk], suggestion_id: str | None, instrument: int, filled: int | None, said: str
) -> None:
    """Another book's suggestion, an instrument that is not in it, more lots than it has."""
    desk = desk_of()
    desk.hold(EUR, 15 * LOT)
    first = desk.suggestion
    desk.report(suggestion_id or first.suggestion_id, instrument, "filled", filled)
    (letter,) = desk.outputs
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "unknown-trade"
    assert said in letter.detail
    desk.close()
    assert (desk.suggestion.status, desk.suggestion.suggestion_id) == ("unchanged", first.suggestion_id)
    assert desk.exposure["EUR"][1] == 0.0


def test_a_ramp_takes_a_share_of_the_way(desk_of: Callable[..., Desk]) -> None:
    """Half of the risk above the target is removed, in whole lots. The message has the risk that it aims at."""
    desk = desk_of(ramp_share=0.5)
    desk.hold(EUR, 40 * LOT)
    suggestion = desk.suggestion
    target = 0.8 * suggestion.limit
    assert suggestion.target == pytest.approx((suggestion.risk_before + target) / 2, rel=1e-12)
    assert suggestion.risk_after <= suggestion.target * (1 + 1e-9)
    assert suggestion.risk_after > target
    one_lot = suggestion.risk_before / 40
    assert suggestion.risk_after > suggestion.target - 1.01 * one_lot


def test_the_exposure_in_flight_of_a_cross_is_in_both_of_its_legs(desk_of: Callable[..., Desk]) -> None:
    """EURCHF sold removes EUR and adds CHF, at the price when it was suggested."""
    desk = desk_of(instruments=("EURCHF",), limit=300.0)
    desk.hold(EUR, 15 * LOT)
    suggestion = desk.suggestion
    (trade,) = suggestion.trades
    lots, mid = -trade.lots, mids(desk.step)[0] * mids(desk.step)[1]
    desk.report(suggestion.suggestion_id, EURCHF, "acknowledged")
    eurusd, usdchf, _ = mids(desk.step)
    assert desk.exposure["EUR"][1] == pytest.approx(lots * LOT * eurusd, rel=1e-12)
    assert desk.exposure["CHF"][1] == pytest.approx(-lots * LOT * mid / usdchf, rel=1e-12)
    assert np.isclose(sum(flying for _, flying in desk.exposure.values()), 0.0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_worker_restarted_before_every_event_says_the_same(desk: Config, timestep_of: TimestepOf, seed: int) -> None:
    """Bit for bit, with nothing prepared: two books that may trade the same, of which one is refused lots, is filled in
    part or in two reports, has its suggestions renewed and replaced, and sees the quotes of one instrument go stale.
    """
    chance = Random(seed)
    books = tuple(msgspec.structs.replace(book, limit=900.0, max_lots=20, instruments=()) for book in desk.books)
    hedging = HedgingConfig(expiry_s=7.0, min_life_s=1.0, rejection_pause_s=5.0, in_flight_max_s=6.0)
    config = msgspec.structs.replace(desk, books=books, hedging=hedging)
    one = Desk(config, timestep_of)
    names = [instrument.name for instrument in config.instruments]
    suggested: dict[str, list[tuple[str, HedgeTrade]]] = {book.name: [] for book in books}
    seen: set[tuple[str, str]] = set()
    for number in range(150):
        at_ns = one.step * SECOND + 1_000_000 * (number + 1)
        kind = chance.choice(("close", "close", "hold", "report", "report"))
        event: EngineEvent
        if kind == "report" and suggested["spot"]:
            suggestion_id, trade = chance.choice(suggested["spot"][-6:])
            status = chance.choice(("acknowledged", "rejected", "rejected", "filled", "part-filled"))
            filled = {"filled": chance.choice((None, 0, 1)), "part-filled": 1}.get(status)
            record = Record("hedge-status", 1, number, at_ns // 1_000_000, b"spot", b"{}", ())
            told_ns = at_ns - chance.choice((0, 0, 3 * SECOND))
            index = names.index(trade.instrument)
            dated = chance.random() < 0.7
            event = TradeReport(told_ns, "spot", suggestion_id, index, status, filled, record, "", dated)  # type: ignore[arg-type]
        elif kind == "hold":
            quantity = chance.choice((0.5, 15, 15, 20)) * LOT
            source = f"positions[0]@{number}"
            event = PositionLevel(at_ns, chance.choice(books).name, EUR, quantity, source, chance.random() < 0.7)
        else:
            one.step += 1
            stale = {USDJPY: one.step - 20} if chance.random() < 0.2 else None
            event = timestep_of(one.step, mids(one.step), stale)
        kept = take_snapshot(WorkerState(new_timesteps_state(len(names)), one.state, {}), config)
        fresh = Engine(config)
        _, expected = fresh.step(restore_snapshot(kept, config, fresh).engine, event)
        assert one.tell(event) == expected, f"seed {seed}, event {number}: {event}"
        for suggestion in one.all_of(HedgeSuggestion):
            suggested[suggestion.book] += [(suggestion.suggestion_id, trade) for trade in suggestion.trades]
            seen.add((suggestion.status, "left out" * ("left out" in suggestion.reason)))
    assert {"trade", "unchanged", "none"} <= {status for status, _ in seen}
    assert ("trade", "left out") in seen
