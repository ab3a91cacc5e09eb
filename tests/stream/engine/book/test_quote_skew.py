"""Quote skews lean against the inventory, are published when they change materially, and say when to cross."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pytest
from scipy.linalg import inv, sqrtm
from scipy.special import lambertw

from schemas.outbound import Alert, HedgeSuggestion, InstrumentSkew, Model, QuoteSkew, ResidualExposure
from stream.config import BookConfig, Config, CovarianceConfig, HedgeMarketConfig
from stream.engine.step import Engine, EngineState, Output
from stream.errors import ConfigError
from stream.events.types import EngineEvent, PositionLevel, Timestep, TradeReport
from stream.kafka.log import Record

SECOND = 1_000_000_000
MILLION, BP = 1e6, 1e-4
EUR, CHF, JPY = range(3)
EURUSD, USDCHF, USDJPY, EURCHF = range(4)
NAMES = ("EURUSD", "USDCHF", "USDJPY", "EURCHF")
DIRECTIONS = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1], [1, -1, 0]])
WALKS = np.array([[1.0, 0, 1, 0], [1, 2, 1, 0], [1, 0, -1, 0]])
WARM_UP = 100
TimestepOf: TypeAlias = Callable[..., Timestep]


def mids(step: int) -> tuple[float, float, float]:
    """Returns that repeat every four timesteps, in three orthogonal patterns: a window of twenty has one covariance."""
    first, second, third = (1e-4 * WALKS[:, step % 4]).tolist()
    return 1.08 * math.exp(first), 0.9 * math.exp(0.5 * second - 0.7 * first), 150.0 * math.exp(third + 0.4 * first)


class Desk:
    """One engine, told what happens to the book "spot"; `outputs` are those of the last event."""

    def __init__(self, config: Config, timestep_of: TimestepOf) -> None:
        self.config = config
        self._engine, self._timestep_of = Engine(config), timestep_of
        self.state: EngineState = self._engine.new_state()
        self.step = 0
        self.outputs: list[Output] = []
        for _ in range(WARM_UP):
            self.close()

    def tell(self, event: EngineEvent) -> list[Output]:
        self.state, self.outputs = self._engine.step(self.state, event)
        return self.outputs

    def close(self, at: int | None = None, **stale: Any) -> list[Output]:
        self.step = self.step + 1 if at is None else at
        self.tell(self._timestep_of(self.step, mids(self.step), **stale))
        (self.model,) = self.all_of(Model)
        return self.outputs

    def hold(self, asset: int, quantity: float, after_s: float = 0.5) -> list[Output]:
        at_ns = round((self.step + after_s) * SECOND)
        return self.tell(PositionLevel(at_ns, "spot", asset, quantity, f"positions[0]@{at_ns}/{asset}"))

    def hold_worth(self, worth: list[float]) -> list[Output]:
        """So much of each asset in USD, all at once: nothing is solved between the first position and the last."""
        state = self.state.books["spot"]
        state.quantities[:2] = np.array(worth[:2]) / np.array(self.model.prices[:2], dtype=float)
        return self.hold(JPY, worth[2] / self.model.prices[2])

    def fill(self, suggestion: HedgeSuggestion, after_s: float = 0.7) -> None:
        """All of its trades, at once."""
        at_ns = round((self.step + after_s) * SECOND)
        record = Record("hedge-status", 1, at_ns, at_ns // 1_000_000, b"spot", b"{}", ())
        for trade in suggestion.trades:
            index = NAMES.index(trade.instrument)
            self.tell(TradeReport(at_ns, "spot", suggestion.suggestion_id, index, "filled", None, record, ""))

    def all_of(self, kind: type[Output]) -> list[Any]:
        return [output for output in self.outputs if isinstance(output, kind)]

    @property
    def quote(self) -> QuoteSkew:
        (one,) = self.all_of(QuoteSkew)
        assert isinstance(one, QuoteSkew)
        return one

    @property
    def exposure(self) -> np.ndarray:
        """(n,) USD of each asset in the last message."""
        held = {each.asset: each.exposure for each in self.all_of(ResidualExposure)[-1].positions}
        return np.array([held.get(asset, 0.0) for asset in self.config.universe.assets])


@pytest.fixture
def desk_of(franchise: Config, timestep_of: TimestepOf) -> Callable[..., Desk]:
    """A desk of the book "spot" alone: `flows` changes the flow, everything else the book."""

    def make(flows: dict[str, Any] | None = None, **book: Any) -> Desk:
        spot = msgspec.structs.replace(franchise.books[0], **({"max_lots": 100} | book))
        flow = msgspec.structs.replace(franchise.flows[0], **(flows or {}))
        covariance = CovarianceConfig(kind="window", window_steps=20, min_observations=10)
        reversion = msgspec.structs.replace(franchise.reversion, refit_every_steps=500)
        config = msgspec.structs.replace(
            franchise, books=(spot,), flows=(flow,), covariance=covariance, reversion=reversion
        )
        return Desk(config, timestep_of)

    return make


DeskOf: TypeAlias = Callable[..., Desk]


def by_name(quote: QuoteSkew) -> dict[str, InstrumentSkew]:
    return {each.instrument: each for each in quote.instruments}


def flow_matrix(config: Config, per_day: float) -> np.ndarray:
    """M of the paper, from the configured numbers alone; H'' by Lambert's W."""
    M = np.zeros((3, 3))
    for clients in config.flows[0].clients:
        u = float(np.real(lambertw(math.exp(-1 - clients.alpha))))
        curvature = clients.beta_per_bp / BP * u / (1 + u) ** 3
        volume = sum(s * r for s, r in zip(clients.sizes, clients.requests_per_day, strict=True)) * per_day
        direction = DIRECTIONS[NAMES.index(clients.instrument)]
        M += 2 * volume * curvature * np.outer(direction, direction)
    return M


def value_matrix(desk: Desk, risk_aversion: float) -> np.ndarray:
    """A with 2 A M A = gamma Sigma / 2, by matrix square roots, counted in days and not in timesteps."""
    steps_a_day = 86_400 / desk.config.universe.timestep_s
    root = np.real(sqrtm(flow_matrix(desk.config, 1.0)))
    Sigma = steps_a_day * np.array(desk.model.covariance)
    return np.real(inv(root) @ sqrtm(risk_aversion / 4 * root @ Sigma @ root) @ inv(root))


def urgency_of(desk: Desk, y: np.ndarray, risk_aversion: float) -> float:
    """The greatest over the three markets, at the spreads of `quotes_of` and of the configuration."""
    psi = np.array([2e-5, 0.5 * BP, 3e-5])
    return float(np.abs(DIRECTIONS[:3] @ (2 * value_matrix(desk, risk_aversion) @ y) / psi).max())


def test_a_flat_book_has_no_skew(desk_of: DeskOf) -> None:
    """Every skew is exactly zero and nothing is worth a hedge, but the thresholds are published."""
    desk = desk_of()
    desk.hold(EUR, 0.0)
    quote = desk.quote
    assert quote.status == "ok"
    assert [each.instrument for each in quote.instruments] == list(NAMES)
    assert [(each.skew_bps, each.hedging_rate) for each in quote.instruments] == [(0.0, 0.0)] * 4
    assert all(math.copysign(1.0, each.skew_bps) == 1.0 for each in quote.instruments)
    assert (quote.urgency, quote.risk) == (0.0, 0.0)
    assert all(by_name(quote)[name].threshold > 0 for name in NAMES[:3])


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_long_inventory_lowers_the_quotes(desk_of: DeskOf, side: float) -> None:
    """Long EUR: EURUSD and EURCHF are quoted lower. Short: as much higher."""
    desk = desk_of()
    desk.hold(EUR, side * 5 * MILLION)
    skews = by_name(desk.quote)
    assert side * skews["EURUSD"].skew_bps < 0
    long = desk_of()
    long.hold(EUR, 5 * MILLION)
    for name in NAMES:
        assert skews[name].skew_bps == pytest.approx(side * by_name(long.quote)[name].skew_bps, rel=1e-12)


def test_skews_are_those_of_the_matrix_equation_in_days(desk_of: DeskOf) -> None:
    """Skew, urgency, rate and threshold of a mixed position, recomputed by another method in other units of time."""
    gamma = 4e-6
    desk = desk_of({"risk_aversion": gamma})
    desk.hold_worth([40 * MILLION, -15 * MILLION, 8 * MILLION])
    quote, y = desk.quote, desk.exposure
    A = value_matrix(desk, gamma)
    np.testing.assert_allclose([each.skew_bps for each in quote.instruments], -DIRECTIONS @ (2 * A @ y) / BP, rtol=1e-6)
    assert quote.urgency == pytest.approx(urgency_of(desk, y, gamma), rel=1e-6)
    assert quote.risk == pytest.approx(math.sqrt(y @ np.array(desk.model.covariance) @ y), rel=1e-9)
    eurusd = by_name(quote)["EURUSD"]
    psi = 2e-5
    assert eurusd.half_spread_bps == pytest.approx(psi / BP, rel=1e-9)
    assert eurusd.threshold == pytest.approx(psi / (2 * A[0, 0]), rel=1e-6)
    eta_a_day = 1e-5 * BP / MILLION
    a_day = -(2 * A[0] @ y - psi) / (2 * eta_a_day)
    assert eurusd.hedging_rate == pytest.approx(a_day / 86_400, rel=1e-6)
    assert eurusd.hedging_rate < 0
    assert by_name(quote)["EURCHF"] == InstrumentSkew(
        instrument="EURCHF", skew_bps=by_name(quote)["EURCHF"].skew_bps
    )  # only clients deal in it


def test_twice_the_risk_aversion_skews_more_and_waits_less(desk_of: DeskOf) -> None:
    """Skews grow by the root of two, thresholds and the zone's risk shrink by it."""
    quotes = []
    for gamma in (2e-6, 4e-6):
        desk = desk_of({"risk_aversion": gamma})
        desk.hold(EUR, 5 * MILLION)
        quotes.append(desk.quote)
    careless, careful = (by_name(quote) for quote in quotes)
    for name in NAMES[:3]:
        assert careful[name].skew_bps == pytest.approx(math.sqrt(2) * careless[name].skew_bps, rel=1e-9)
        assert careful[name].threshold == pytest.approx(careless[name].threshold / math.sqrt(2), rel=1e-9)
    assert quotes[1].least_risk == pytest.approx(quotes[0].least_risk / math.sqrt(2), rel=1e-9)


def test_the_limit_implies_the_risk_aversion(desk_of: DeskOf) -> None:
    """Left out, it is min psi² / (limit² g'M⁻¹g): the zone's least risk is the limit, and twice that is a quarter."""
    desk = desk_of()
    desk.hold(EUR, 5 * MILLION)
    inverse = inv(flow_matrix(desk.config, 1 / 86_400))
    psi = (2e-5, 0.5 * BP, 3e-5)
    gamma = min(p**2 / (900.0**2 * g @ inverse @ g) for p, g in zip(psi, DIRECTIONS[:3], strict=True))
    assert desk.quote.risk_aversion == pytest.approx(gamma, rel=1e-9)
    assert desk.quote.least_risk == pytest.approx(900.0, rel=1e-9)
    wider = desk_of(limit=1800.0)
    wider.hold(EUR, 5 * MILLION)
    assert wider.quote.risk_aversion == pytest.approx(gamma / 4, rel=1e-9)


def test_permanent_impact_widens_the_zone(desk_of: DeskOf) -> None:
    """A sale pushes down what is still held: EURUSD is crossed later; skews, which wait, are the same."""
    plain, moved = (desk_of({"risk_aversion": 4e-6, "impact_bps_per_million": each}) for each in ({}, {"EUR": 2e-3}))
    for desk in (plain, moved):
        desk.hold(EUR, 5 * MILLION)
    assert by_name(moved.quote)["EURUSD"].threshold > 1.05 * by_name(plain.quote)["EURUSD"].threshold
    assert by_name(moved.quote)["EURUSD"].skew_bps == by_name(plain.quote)["EURUSD"].skew_bps
    assert moved.quote.flows_hash != plain.quote.flows_hash


@pytest.mark.slow
def test_a_constant_position_is_quoted_once_in_an_hour(desk_of: DeskOf) -> None:
    """It is published again after a material change: not for one of a hundredth, but for one of a half."""
    desk = desk_of()
    desk.hold(EUR, 5 * MILLION)
    assert desk.quote.timestep == WARM_UP
    for _ in range(3600):
        desk.close()
        assert not desk.all_of(QuoteSkew)
    desk.hold(EUR, 5.05 * MILLION)
    assert not desk.all_of(QuoteSkew)
    desk.hold(EUR, 7.5 * MILLION, 0.6)
    assert desk.quote.trigger_source == desk.all_of(ResidualExposure)[0].trigger_source
    assert desk.quote.residual_exposure_id == desk.all_of(ResidualExposure)[0].id


def test_small_changes_add_up(desk_of: DeskOf) -> None:
    """Each is compared with the last published skew, so that a slow drift is published in time."""
    desk = desk_of()
    published = 0
    for index in range(50):
        desk.hold(EUR, (5 + 0.1 * index) * MILLION, 0.5 + 0.001 * index)
        published += len(desk.all_of(QuoteSkew))
    assert 4 <= published <= 12


def test_a_spread_that_widens_is_told(desk_of: DeskOf) -> None:
    """Crossing costs half the live bid-ask spread. At twice that the limit implies four times the risk aversion."""
    desk = desk_of({"markets": (HedgeMarketConfig(instrument="EURUSD", eta_bps_per_million_a_day=1e-5),)})
    desk.hold(EUR, 5 * MILLION)
    before = desk.quote
    desk.step += 1
    timestep = desk._timestep_of(desk.step, mids(desk.step))
    middle = 0.5 * (timestep.bids + timestep.asks)
    bids, asks = 2 * timestep.bids - middle, 2 * timestep.asks - middle
    desk.tell(replace(timestep, bids=bids, asks=asks))
    assert desk.quote.risk_aversion == pytest.approx(4 * before.risk_aversion, rel=1e-6)
    assert by_name(desk.quote)["EURUSD"].half_spread_bps == pytest.approx(0.4, rel=1e-6)


def test_an_unpriced_book_takes_its_skew_back(desk_of: DeskOf) -> None:
    """It is published once without figures, with the reason, and once with figures when prices are back."""
    desk = desk_of()
    desk.hold(EUR, 5 * MILLION)
    desk.close()
    desk.close(desk.step + 6, quoted_at_s={EURUSD: desk.step, EURCHF: desk.step})
    gone = desk.quote
    assert (gone.status, gone.instruments, gone.least_risk, gone.urgency) == ("unpriced", (), None, None)
    assert "EUR" in gone.detail
    desk.close(quoted_at_s={EURUSD: desk.step - 6, EURCHF: desk.step - 6})
    assert not desk.all_of(QuoteSkew)
    desk.close()
    assert desk.quote.status == "ok"


def test_a_market_without_a_quote_is_not_crossed(desk_of: DeskOf) -> None:
    """The franc is priced over EURCHF while USDCHF is stale: it has a skew, but neither cost nor threshold."""
    desk = desk_of({"risk_aversion": 4e-6})
    desk.hold(CHF, 20 * MILLION)
    assert by_name(desk.quote)["USDCHF"].threshold is not None
    at = desk.step
    desk.close(at + 6, quoted_at_s={USDCHF: at})
    usdchf = by_name(desk.quote)["USDCHF"]
    assert usdchf.skew_bps > 0
    assert (usdchf.half_spread_bps, usdchf.urgency, usdchf.threshold, usdchf.hedging_rate) == (None, None, None, 0.0)


def test_a_limit_that_implies_nothing_is_said(desk_of: DeskOf) -> None:
    """The only market is stale: no risk aversion follows from the limit, the skew is taken back, the limit holds."""
    market = (HedgeMarketConfig(instrument="USDCHF", eta_bps_per_million_a_day=1e-5, half_spread_bps=0.5),)
    desk = desk_of({"markets": market}, band="internalise")
    desk.hold(EUR, 50 * MILLION)
    assert desk.quote.status == "ok"
    at = desk.step
    desk.close(at + 6, quoted_at_s={USDCHF: at})
    assert desk.quote.status == "unsolved"
    assert "markets must cost something" in desk.quote.detail
    assert desk.all_of(ResidualExposure)[0].status == "ok"
    assert desk.all_of(HedgeSuggestion)[0].band == 900.0


@pytest.mark.slow
def test_inside_the_zone_an_hour_brings_no_suggestion(desk_of: DeskOf) -> None:
    """At 95 % of the way to the zone's edge nothing is suggested, whatever the least risk elsewhere on it."""
    desk = desk_of({"risk_aversion": 4e-6}, limit=1e6, band="internalise")
    desk.hold(EUR, MILLION)
    desk.hold(EUR, 0.95 * MILLION / urgency_of(desk, desk.exposure, 4e-6), 0.6)
    assert desk.quote.urgency == pytest.approx(0.95, rel=1e-6)
    for _ in range(3600):
        desk.close()
        assert not desk.all_of(HedgeSuggestion)


def test_beyond_the_zone_there_is_one_suggestion_and_no_breach(desk_of: DeskOf) -> None:
    """At 105 % trades are suggested, once, though the limit is far: back inside the zone, to `target_share` of it."""
    desk = desk_of({"risk_aversion": 4e-6}, limit=1e6, band="internalise")
    desk.hold(EUR, MILLION)
    edge = MILLION / urgency_of(desk, desk.exposure, 4e-6)
    desk.hold(EUR, 1.05 * edge, 0.6)
    (suggestion,) = desk.all_of(HedgeSuggestion)
    assert suggestion.status == "trade"
    assert suggestion.band == pytest.approx(suggestion.risk_before / 1.05, rel=1e-6)
    assert suggestion.target == pytest.approx(0.8 * suggestion.band, rel=1e-9)
    assert "where crossing the spread beats waiting for clients" in suggestion.reason
    assert not desk.all_of(Alert)
    for _ in range(20):
        desk.close()
        assert [each.status for each in desk.all_of(HedgeSuggestion)] == ["unchanged"]
        assert desk.all_of(HedgeSuggestion)[0].suggestion_id == suggestion.suggestion_id
    desk.hold(EUR, 0.94 * edge)
    (gone,) = desk.all_of(HedgeSuggestion)
    assert gone.status == "none"
    assert "inside the zone" in gone.reason
    desk.close()
    assert not desk.all_of(HedgeSuggestion)


def test_by_its_limit_the_same_book_waits(desk_of: DeskOf) -> None:
    """The zone is published, but used only if the book's `band` asks for it."""
    desk = desk_of({"risk_aversion": 4e-6}, limit=1e6)
    desk.hold(EUR, 500 * MILLION)
    assert desk.quote.urgency > 1
    assert not desk.all_of(HedgeSuggestion)


def test_the_limit_raises_inside_the_zone(desk_of: DeskOf) -> None:
    """A dealer whom risk hardly troubles waits longer than its limit allows: the limit is what raises."""
    desk = desk_of({"risk_aversion": 1e-9}, limit=900.0, band="internalise")
    desk.hold(EUR, 50 * MILLION)
    assert desk.quote.urgency < 1
    (suggestion,) = desk.all_of(HedgeSuggestion)
    assert (suggestion.status, suggestion.band) == ("trade", 900.0)
    assert suggestion.target == pytest.approx(720.0)
    assert "over the limit of 900" in suggestion.reason
    assert [alert.kind for alert in desk.all_of(Alert)] == ["limit-breach"]


def test_what_was_suggested_and_filled_is_inside_the_zone(desk_of: DeskOf) -> None:
    """Random positions beyond it, each hedged by whatever is cheapest, which turns them: nothing more is worth it.

    Some of the cheapest hedges to the risk of the near edge lead out of the zone elsewhere, and are made anew.
    """
    gamma = 4e-6
    rng = np.random.default_rng(3)
    anew = 0
    for index in range(16):
        # The nearer to the edge the target is, the more hedges lead out.
        share = 0.8 if index % 2 else 0.99
        desk = desk_of(
            {"risk_aversion": gamma}, limit=1e9, band="internalise", target_share=share, clear_share=max(share, 0.95)
        )
        y = rng.normal(size=3) * MILLION
        scale = rng.uniform(1.2, 4.0) / urgency_of(desk, y, gamma)
        desk.hold_worth([float(each) for each in scale * y])
        (suggestion,) = desk.all_of(HedgeSuggestion)
        assert suggestion.status == "trade"
        anew += suggestion.target < share * suggestion.band * (1 - 1e-9)
        desk.fill(suggestion)
        assert urgency_of(desk, desk.exposure, gamma) <= 1.0
        assert not any(each.trades for each in desk.all_of(HedgeSuggestion))
    assert anew > 0


def test_a_flow_that_the_solver_refuses_is_a_configuration_error(franchise: Config) -> None:
    """Rates so far apart that one asset has as good as no clients: at start and in a check, with its key."""
    clients = tuple(
        msgspec.structs.replace(each, requests_per_day=(1e-12,) * len(each.sizes)) if "CHF" in each.instrument else each
        for each in franchise.flows[0].clients
    )
    flow = msgspec.structs.replace(franchise.flows[0], clients=clients)
    with pytest.raises(
        ConfigError, match=r"flows\[0\].clients must be such that .* EUR, CHF, JPY, got next to nothing"
    ):
        Engine(msgspec.structs.replace(franchise, flows=(flow,)))


def test_clients_of_one_side_lean_a_flat_book_against_their_flow(desk_of: DeskOf) -> None:
    """Clients who only sell EURUSD: it is quoted lower with nothing held, higher when they only buy; two kinds, one of
    each side, are the same as one kind of both.
    """
    base = desk_of({"risk_aversion": 1e-7}).config.flows[0]
    first, others = base.clients[0], base.clients[1:]
    skews = {}
    for name, kinds in (
        ("both", (first,)),
        ("sell", (msgspec.structs.replace(first, side="sell"),)),
        ("buy", (msgspec.structs.replace(first, side="buy"),)),
        ("each", (msgspec.structs.replace(first, side="sell"), msgspec.structs.replace(first, side="buy"))),
    ):
        desk = desk_of({"risk_aversion": 1e-7, "clients": (*kinds, *others)})
        desk.hold(EUR, 0.0)
        skews[name] = by_name(desk.quote)["EURUSD"].skew_bps
    assert skews["both"] == skews["each"] == 0.0
    assert skews["sell"] < -0.05
    assert skews["sell"] == pytest.approx(-skews["buy"], rel=1e-9)


@pytest.mark.parametrize("side", ["sell", "buy"])
def test_the_band_of_a_one_sided_flow_is_where_it_says_that_hedging_is_worth_it(desk_of: DeskOf, side: str) -> None:
    """On a walk through inventories of EUR, trades are suggested exactly where the urgency is above 1: the zone lies
    to one side of 0.
    """
    config = desk_of({"risk_aversion": 1e-7}).config
    few = tuple(number / 5 for number in config.flows[0].clients[0].requests_per_day)
    more = msgspec.structs.replace(config.flows[0].clients[0], side=side, requests_per_day=few)
    desk = desk_of({"risk_aversion": 1e-7, "clients": (*config.flows[0].clients, more)}, band="internalise", limit=1e9)
    hedged, zone = {}, []
    for millions in range(-120, 121, 10):
        desk.state.books["spot"].standing = None
        desk.state.books["spot"].quoted = None
        desk.hold(EUR, millions * MILLION)
        quote = desk.quote
        suggested = any(each.trades for each in desk.all_of(HedgeSuggestion))
        assert suggested == (quote.urgency > 1 and millions != 0)
        hedged[millions] = suggested
        zone += [] if suggested else [millions]
    assert hedged[-120]
    assert hedged[120]
    assert (sum(zone) < 0) == (side == "sell")


def test_where_nothing_of_one_sign_may_wait_it_is_hedged(desk_of: DeskOf) -> None:
    """So many clients only sell that crossing is worth it with nothing held: a long position is taken down as far as
    lots go, a short one waits, and both keep their figures.
    """
    config = desk_of({"risk_aversion": 1e-7}).config
    many = tuple(5 * number for number in config.flows[0].clients[0].requests_per_day)
    more = msgspec.structs.replace(config.flows[0].clients[0], side="sell", requests_per_day=many)
    desk = desk_of({"risk_aversion": 1e-7, "clients": (*config.flows[0].clients, more)}, band="internalise", limit=1e9)
    desk.hold(EUR, 0.0)
    assert desk.quote.urgency > 1
    for millions in (60, 1, -60):
        desk.state.books["spot"].standing = None
        desk.hold(EUR, millions * MILLION)
        (residual,) = desk.all_of(ResidualExposure)
        assert residual.status == "ok"
        suggestions = desk.all_of(HedgeSuggestion)
        if millions < 0:
            assert not suggestions
            continue
        assert (suggestions[0].status, suggestions[0].band) == ("trade", 0.0)
        assert suggestions[0].risk_after <= 0.01 * residual.unhedged_risk


def test_a_book_without_flow_has_no_quote_skew(franchise: Config, timestep_of: TimestepOf) -> None:
    """Nothing is published for it, and its suggestions are those of its limit."""
    book = BookConfig(name="spot", limit=900.0)
    desk = Desk(msgspec.structs.replace(franchise, books=(book,)), timestep_of)
    desk.hold(EUR, 50 * MILLION)
    assert not desk.all_of(QuoteSkew)
    assert desk.all_of(HedgeSuggestion)[0].band == 900.0
