"""What-if: the answer is the message that would follow, and asking changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from schemas.outbound import HedgeSuggestion, QuoteSkew, ResidualExposure
from stream.config import Config, check_config
from stream.engine.step import Engine, EngineState, Output
from stream.errors import NoAnswer
from stream.events.timesteps import new_timesteps_state
from stream.events.types import EngineEvent, FeedSilence, PositionLevel, Timestep, TradeReport
from stream.kafka.log import Record
from stream.web.questions import HypotheticalTrade, Questions
from stream.web.views import View, ViewEncoder, ViewUpdate
from stream.worker.snapshot import WorkerState, take_snapshot

SECOND = 1_000_000_000
EUR, CHF, JPY = range(3)
STEPS = 90
NOTHING = HypotheticalTrade()

TimestepOf = Callable[..., Timestep]
NAMED = ("id", "trigger", "trigger_source", "event_time_ns", "residual_exposure_id", "suggestion_id", "expires_at_ns")
"""What says which message it is, and of what."""


class Asked:
    """An engine with positions in its books, whose state is shown to `questions` after every event."""

    def __init__(self, config: Config, timestep_of: TimestepOf, mids: Sequence[Any]) -> None:
        self.config = config
        self._engine = Engine(config)
        self.state: EngineState = self._engine.new_state()
        self._encoder, self.view = ViewEncoder(config), View(config)
        self.questions = Questions(config, self.view)
        self.updates: list[ViewUpdate] = []
        self._serial = 0
        for step, mid in enumerate(mids, start=1):
            self.tell(timestep_of(step, mid))

    def tell(self, event: EngineEvent) -> list[Output]:
        self.state, outputs = self._engine.step(self.state, event)
        self._encoder.note(event)
        update = self._encoder.update(self.state)
        if update is not None:
            self.updates.append(update)
            self.view.take(update)
        return outputs

    def hold(self, book: str, asset: int, quantity: float) -> list[Output]:
        """A position without a time of its own, as somebody types it."""
        self._serial += 1
        assert self.state.latest is not None
        at_ns = self.state.latest.end_ns + self._serial
        return self.tell(PositionLevel(at_ns, book, asset, quantity, f"positions[0]@{self._serial}", dated=False))

    def snapshot(self) -> bytes:
        worker = WorkerState(new_timesteps_state(len(self.config.instruments)), self.state, {})
        return msgspec.msgpack.encode(take_snapshot(worker, self.config))


@pytest.fixture
def asked(desk: Config, timestep_of: TimestepOf, mid_prices: Callable[[int, int], Any]) -> Asked:
    """Three assets, of which two hedge each other, and two books that hold them."""
    return holding(desk, timestep_of, mid_prices)


@pytest.fixture(params=["limit", "flow", "internalise"])
def every_kind(
    request: pytest.FixtureRequest,
    desk: Config,
    franchise: Config,
    timestep_of: TimestepOf,
    mid_prices: Callable[[int, int], Any],
) -> Asked:
    """The same books: "spot" hedges by its limit, has client flow besides, or waits for it in its zone."""
    if request.param == "limit":
        return holding(desk, timestep_of, mid_prices)
    config = franchise
    if request.param == "internalise":
        spot = msgspec.structs.replace(franchise.books[0], limit=1e6, max_lots=100, band="internalise")
        flow = msgspec.structs.replace(franchise.flows[0], risk_aversion=4e-6)
        config = msgspec.structs.replace(franchise, books=(spot, franchise.books[1]), flows=(flow,))
        check_config(config)
    return holding(config, timestep_of, mid_prices)


def holding(config: Config, timestep_of: TimestepOf, mid_prices: Callable[[int, int], Any]) -> Asked:
    """Asked of `config`, with a position in each of its books."""
    asked = Asked(config, timestep_of, mid_prices(STEPS, 3))
    asked.hold("spot", EUR, 9e6)
    asked.hold("spot", CHF, -4e6)
    asked.hold("spot", JPY, 3e8)
    asked.hold("options", EUR, -3e6)
    assert asked.state.latest is not None
    assert asked.state.latest.betas
    return asked


def figures(message: ResidualExposure | HedgeSuggestion | QuoteSkew | None) -> dict[str, Any] | None:
    """Everything that the message says, but for which one it is; None without one."""
    if message is None:
        return None
    return {name: value for name, value in msgspec.structs.asdict(message).items() if name not in NAMED}


def published(outputs: list[Output]) -> tuple[ResidualExposure, HedgeSuggestion | None, QuoteSkew | None]:
    (residual,) = (output for output in outputs if isinstance(output, ResidualExposure))
    suggestions = [output for output in outputs if isinstance(output, HedgeSuggestion)]
    quotes = [output for output in outputs if isinstance(output, QuoteSkew)]
    return residual, suggestions[0] if suggestions else None, quotes[0] if quotes else None


@pytest.mark.parametrize("book", ["spot", "options"])
def test_without_a_trade_it_is_the_live_message(every_kind: Asked, book: str) -> None:
    """Bit for bit that of a position which says again what the book holds, of a book without a standing suggestion."""
    answer = every_kind.questions.what_if(book, NOTHING)
    state = every_kind.state.books[book]
    state.standing = state.quoted = None
    residual, suggestion, quote = published(every_kind.hold(book, EUR, float(state.quantities[EUR])))
    assert bool(answer.residual.packed) == (book == "spot")
    assert figures(answer.residual) == figures(residual)
    assert figures(answer.suggestion) == figures(suggestion)
    assert figures(answer.quote) == figures(quote)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("book", "asset", "units"),
    [("spot", "EUR", 4e6), ("spot", "EUR", 9e8), ("spot", "CHF", -2.5e6), ("options", "JPY", 7.25e8)],
)
def test_with_a_trade_it_is_the_message_after_the_position(
    every_kind: Asked, book: str, asset: str, units: float
) -> None:
    """Bit for bit those of the position which then arrives, the skew of the quotes among them."""
    answer = every_kind.questions.what_if(book, HypotheticalTrade({asset: units}))
    index = every_kind.config.universe.assets.index(asset)
    state = every_kind.state.books[book]
    state.standing = state.quoted = None
    residual, suggestion, quote = published(every_kind.hold(book, index, float(state.quantities[index]) + units))
    assert figures(answer.residual) == figures(residual)
    assert figures(answer.suggestion) == figures(suggestion)
    assert figures(answer.quote) == figures(quote)
    assert answer.trade == {asset: units}


def test_the_skew_leans_with_the_trade(franchise: Config, timestep_of: TimestepOf, mid_prices: Any) -> None:
    """What is bought more of is quoted lower, though what holds is not published again; a book without flow has none.

    With so much more bought, the book that waits for clients no longer does, and is hedged inside its limit.
    """
    spot = msgspec.structs.replace(franchise.books[0], limit=1e6, max_lots=1000, band="internalise")
    flow = msgspec.structs.replace(franchise.flows[0], risk_aversion=4e-6)
    config = msgspec.structs.replace(franchise, books=(spot, franchise.books[1]), flows=(flow,))
    asked = holding(config, timestep_of, mid_prices)
    before, after, edge = (
        asked.questions.what_if("spot", HypotheticalTrade({"EUR": units})) for units in (0.0, 5e6, 2e9)
    )
    skews = [{each.instrument: each.skew_bps for each in answer.quote.instruments} for answer in (before, after)]  # type: ignore[union-attr]
    assert skews[1]["EURUSD"] < skews[0]["EURUSD"]
    assert asked.questions.what_if("options", NOTHING).quote is None
    assert edge.quote is not None
    assert edge.quote.urgency is not None
    assert edge.quote.urgency > 1.0
    assert edge.suggestion is not None
    assert edge.suggestion.band < edge.suggestion.limit


def test_after_every_kind_of_event_it_is_up_to_date(
    asked: Asked, timestep_of: TimestepOf, mid_prices: Callable[[int, int], Any]
) -> None:
    """Closes, positions and reports of trades all reach the answers, and each update holds only what changed."""
    asked.tell(timestep_of(STEPS + 1, mid_prices(STEPS + 1, 3)[-1]))
    assert set(asked.updates[-1].books) == {"spot", "options"}
    first = asked.questions.what_if("spot", NOTHING)
    assert first.residual.timestep == STEPS + 1
    asked.hold("spot", EUR, 20e6)
    assert (set(asked.updates[-1].books), asked.updates[-1].market) == ({"spot"}, None)
    second = asked.questions.what_if("spot", NOTHING)
    assert second.residual.standalone_risk != first.residual.standalone_risk
    standing = asked.state.books["spot"].standing
    assert standing is not None
    trade = asked.state.books["spot"].waiting_trades()[0]
    at_ns = (STEPS + 1) * SECOND + SECOND // 2
    record = Record("hedge-status", 0, 1, at_ns // 1_000_000, b"spot", b"{}", ())
    report = TradeReport(at_ns, "spot", standing.suggestion_id, trade.instrument, "acknowledged", None, record, "")
    residual, _, _ = published(asked.tell(report))
    third = asked.questions.what_if("spot", NOTHING)
    assert any(position.in_flight for position in third.residual.positions)
    assert figures(third.residual) == figures(residual)


def test_a_pause_holds_in_answers_too(asked: Asked) -> None:
    """What was refused live is left out of the answer, which stays the live message bit for bit."""
    _, standing, _ = published(asked.hold("spot", EUR, 30e6))
    assert standing is not None
    names = [instrument.name for instrument in asked.config.instruments]
    refused = standing.trades[0].instrument
    at_ns = STEPS * SECOND + SECOND // 2
    record = Record("hedge-status", 0, 1, at_ns // 1_000_000, b"spot", b"{}", ())
    asked.tell(TradeReport(at_ns, "spot", standing.suggestion_id, names.index(refused), "rejected", None, record, ""))
    answer = asked.questions.what_if("spot", NOTHING)
    state = asked.state.books["spot"]
    state.standing = state.quoted = None
    residual, suggestion, _ = published(asked.hold("spot", EUR, float(state.quantities[EUR])))
    assert answer.suggestion is not None
    assert f"{refused} left out after a rejection" in answer.suggestion.reason
    assert refused not in {trade.instrument for trade in answer.suggestion.trades}
    assert figures(answer.residual) == figures(residual)
    assert figures(answer.suggestion) == figures(suggestion)


def test_what_is_kept_changes_no_answer(
    asked: Asked, timestep_of: TimestepOf, mid_prices: Callable[[int, int], Any]
) -> None:
    """Close after close, whoever was asked before answers as one who starts now; so do two books asked in turn."""
    mids = mid_prices(STEPS + 6, 3)
    for step in range(STEPS + 1, STEPS + 7):
        # In one close the quotes of EURUSD are stale, so that other instruments are left to hedge in.
        asked.tell(timestep_of(step, mids[step - 1], {0: step - 10} if step == STEPS + 3 else None))
        for book in ("spot", "options", "spot"):
            trade = HypotheticalTrade({"CHF": 1e6 * step})
            new = Questions(asked.config, asked.view)
            answer = asked.questions.what_if(book, trade)
            assert answer == new.what_if(book, trade)
            if book == "spot":
                assert answer.suggestion is not None


def test_asking_changes_nothing(asked: Asked) -> None:
    """The state's bytes are the same before and after, and so is the answer to the same question."""
    before = asked.snapshot()
    questions = [
        ("spot", NOTHING),
        ("spot", HypotheticalTrade({"EUR": 3e7, "CHF": 1e6})),
        ("options", HypotheticalTrade(lots={"EURUSD": 40, "USDJPY": -3})),
    ]
    answers = [[asked.questions.what_if(*question) for question in questions] for _ in range(10)]
    assert asked.snapshot() == before
    assert all(again == answers[0] for again in answers)


def test_the_standing_suggestion_does_not_count(asked: Asked) -> None:
    """The book's suggestion stands, the answer is one of its own, with ids that no report can name."""
    standing = asked.state.books["spot"].standing
    assert standing is not None
    answer = asked.questions.what_if("spot", NOTHING)
    assert answer.suggestion is not None
    assert answer.suggestion.status == "trade"
    assert answer.suggestion.suggestion_id != standing.suggestion_id
    assert answer.residual.trigger == "what-if"
    assert answer.suggestion.residual_exposure_id == answer.residual.id
    for name in (answer.id, answer.residual.id, answer.suggestion.id, answer.suggestion.suggestion_id):
        assert "what-if" in name
    again = asked.questions.what_if("spot", HypotheticalTrade({"EUR": 1.0}))
    assert again.id != answer.id


def test_lots_are_what_they_move(asked: Asked) -> None:
    """Three sold lots of EURCHF are three million EUR less, and the CHF that they cost more, at the middle price."""
    answer = asked.questions.what_if("spot", HypotheticalTrade(lots={"EURCHF": -3}))
    assert asked.state.latest is not None
    valuation = asked.state.latest.valuation
    mid = 0.5 * (valuation.bids[3] + valuation.asks[3])
    assert answer.trade == {"EUR": pytest.approx(-3e6), "CHF": pytest.approx(3e6 * mid)}
    same = asked.questions.what_if("spot", HypotheticalTrade(answer.trade))
    assert figures(same.residual) == figures(answer.residual)


def test_the_numeraire_carries_no_risk(asked: Asked) -> None:
    """Cash changes nothing but the name of the question."""
    answer = asked.questions.what_if("spot", HypotheticalTrade({"USD": 1e9}))
    assert answer.trade == {}
    assert figures(answer.residual) == figures(asked.questions.what_if("spot", NOTHING).residual)


def test_without_a_model_there_is_no_answer(
    desk: Config, timestep_of: TimestepOf, mid_prices: Callable[[int, int], Any]
) -> None:
    """Before the first close, and before the covariance has seen enough: each says so."""
    mids = mid_prices(40, 3)
    with pytest.raises(NoAnswer, match="no timestep has closed"):
        Asked(desk, timestep_of, []).questions.what_if("spot", NOTHING)
    with pytest.raises(NoAnswer, match="it takes 20 returns"):
        Asked(desk, timestep_of, mids[:5]).questions.what_if("spot", NOTHING)


def test_stale_prices_give_no_answer(asked: Asked) -> None:
    """While the feed is silent nothing is as it was at the last close, and the asset is named; then it is again."""
    asked.tell(FeedSilence(True))
    with pytest.raises(NoAnswer, match=r"no fresh price of EUR, CHF, JPY"):
        asked.questions.what_if("spot", NOTHING)
    with pytest.raises(NoAnswer, match=r"EURUSD has no fresh quote"):
        asked.questions.what_if("spot", HypotheticalTrade(lots={"EURUSD": 1}))
    asked.tell(FeedSilence(False))
    assert asked.questions.what_if("spot", NOTHING).residual.status == "ok"


def test_updates_in_one_are_the_updates_one_by_one(
    desk: Config, timestep_of: TimestepOf, mid_prices: Callable[[int, int], Any]
) -> None:
    """Whatever waits is merged: of the market and of each book the latest, and not more than one view in all."""
    asked = Asked(desk, timestep_of, mid_prices(STEPS, 3))
    for turn in range(50):
        asked.hold("spot", EUR, 1e6 * turn)
    merged = asked.updates[0]
    for update in asked.updates[1:]:
        merged = merged.merged(update)
    view = View(desk)
    view.take(merged)
    _, state = view.of("spot")
    assert state is not None
    np.testing.assert_array_equal(state.quantities, asked.state.books["spot"].quantities)
    assert set(merged.books) == {"spot", "options"}
    answer = Questions(desk, view).what_if("spot", NOTHING)
    assert answer == asked.questions.what_if("spot", NOTHING)


def test_a_new_reader_is_told_everything(asked: Asked) -> None:
    """After `forget` the next update suffices to answer, though no event came since."""
    encoder, view = ViewEncoder(asked.config), View(asked.config)
    first = encoder.update(asked.state)
    assert first is not None
    assert encoder.update(asked.state) is None
    encoder.forget()
    again = encoder.update(asked.state)
    assert again is not None
    view.take(again)
    answer = Questions(asked.config, view).what_if("options", NOTHING)
    assert answer == asked.questions.what_if("options", NOTHING)


def test_the_frontier_runs_from_nothing_to_flat(asked: Asked) -> None:
    """The first point trades nothing at the live risk, risk falls and cost rises, and no bound is above its cost.

    With proofs everywhere the suggestion lies on it: it costs no less than the point of least cost within its risk.
    """
    live = asked.questions.what_if("spot", NOTHING)
    found = asked.questions.frontier("spot", 12)
    first, last = found.points[0], found.points[-1]
    assert first.trades == ()
    assert (first.cost, first.risk) == (0.0, pytest.approx(live.residual.limit_risk, rel=1e-12))
    assert found.risk_now == live.residual.limit_risk
    assert len(found.points) == 12
    assert last.risk < 0.5 * first.risk
    costs, risks = [point.cost for point in found.points], [point.target for point in found.points]
    assert costs == sorted(costs)
    assert risks == sorted(risks, reverse=True)
    for point in found.points:
        assert point.cost_lower_bound <= point.cost * (1 + 1e-9)
        assert point.risk <= point.target * (1 + 1e-9)
        assert sum(trade.expected_cost for trade in point.trades) == pytest.approx(point.cost, abs=1e-9)
    assert found.suggestion is not None
    assert live.suggestion is not None
    assert figures(found.suggestion) == figures(live.suggestion)
    assert found.suggestion.proven
    assert all(point.proven for point in found.points)
    cheaper = [point.cost for point in found.points if point.target <= found.suggestion.target]
    dearer = [point.cost for point in found.points if point.target >= found.suggestion.target]
    assert max(dearer) - 1e-6 <= found.suggestion.expected_cost <= min(cheaper) + 1e-6


def test_a_frontier_changes_nothing(asked: Asked) -> None:
    """The state's bytes are the same before and after."""
    before = asked.snapshot()
    assert asked.questions.frontier("spot", 5) == asked.questions.frontier("spot", 5)
    assert asked.snapshot() == before


def test_a_flat_book_has_one_point(
    desk: Config, timestep_of: TimestepOf, mid_prices: Callable[[int, int], Any]
) -> None:
    """Without a position there is nothing to hedge, and that costs nothing."""
    (point,) = Asked(desk, timestep_of, mid_prices(STEPS, 3)).questions.frontier("spot", 20).points
    assert (point.risk, point.cost, point.trades) == (0.0, 0.0, ())
