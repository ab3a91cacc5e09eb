"""Values of inventories: closed forms, a matrix equation solved by others, and the grid for one asset."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import solve_continuous_are

from solver.errors import IllPosed, NotConverged
from solver.market_making.dealer import ClientStream, Dealer, HedgeMarket
from solver.market_making.demand import Logistic
from solver.market_making.grid import grid_value
from solver.market_making.internalise import Internaliser, implied_risk_aversion
from solver.market_making.quadratic import flow_curvature, quadratic_value

BP, MILLION = 1e-4, 1e6

# Barzykin, Bergault and Guéant (2023), Dealing with multi-currency inventory risk, table 1, in millions of USD, basis
# points and days, as an independent reproduction of it has them.
CURRENCIES = ("EUR", "GBP", "CHF", "JPY")
VOLATILITY_BPS = np.array([80.0, 70.0, 60.0, 60.0])
CORRELATION = np.array([[1, 0.6, 0.5, 0.3], [0.6, 1, 0.3, 0.2], [0.5, 0.3, 1, 0.4], [0.3, 0.2, 0.4, 1]])
SIZES = (1.0, 5.0, 10.0, 20.0, 50.0)
IMPACT_BPS = np.array([5e-3, 7e-3, 8e-3, 6e-3])
PAIRS = {
    # requests a day by size; (alpha, beta) of the two tiers; psi, eta
    "EURUSD": ((900, 540, 234, 90, 36), ((-1.9, 11.0), (-0.3, 3.5)), 0.1, 1e-5),
    "GBPUSD": ((600, 200, 150, 40, 10), ((-1.4, 5.5), (0.0, 2.0)), 0.15, 1.5e-5),
    "CHFUSD": ((420, 140, 105, 28, 7), ((-1.2, 4.5), (0.0, 1.9)), 0.25, 2.5e-5),
    "JPYUSD": ((825, 375, 180, 105, 15), ((-1.6, 9.0), (-0.1, 3.0)), 0.1, 1.5e-5),
    "EURGBP": ((400, 50, 25, 20, 5), ((-0.5, 3.5), (0.5, 2.5)), 0.25, 3e-5),
    "EURCHF": ((400, 50, 25, 20, 5), ((-0.5, 3.5), (0.5, 2.5)), 0.25, 3e-5),
    "EURJPY": ((400, 50, 25, 20, 5), ((-0.5, 3.5), (0.5, 2.5)), 0.25, 3e-5),
    "GBPCHF": ((160, 20, 10, 8, 2), ((-0.5, 3.5), (0.5, 2.5)), 0.4, 5e-5),
    "GBPJPY": ((160, 20, 10, 8, 2), ((-0.5, 3.5), (0.5, 2.5)), 0.4, 5e-5),
    "CHFJPY": ((80, 10, 5, 4, 1), ((-0.5, 3.5), (0.5, 2.5)), 0.4, 5e-5),
}


@dataclass(frozen=True)
class Exponential:
    """f(delta) = exp(-k delta): the demand of Avellaneda and Stoikov (2008), for which others have closed forms."""

    k: float

    def share(self, delta: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-self.k * np.asarray(delta)))

    def quote(self, p: np.ndarray) -> np.ndarray:
        return np.asarray(np.asarray(p) + 1.0 / self.k)

    def curvature(self, p: np.ndarray) -> np.ndarray:
        return np.asarray(self.k * np.exp(-1.0 - self.k * np.asarray(p)))


def direction_of(pair: str) -> np.ndarray:
    return np.array([float(pair[:3] == name) - float(pair[3:] == name) for name in CURRENCIES])


def paper_dealer(risk_aversion: float = 20.0 / MILLION, impact: float = 1.0) -> Dealer:
    streams, markets = [], []
    for pair, (rates, tiers, psi, eta) in PAIRS.items():
        direction = direction_of(pair)
        markets.append(HedgeMarket(direction, psi * BP, eta * BP / MILLION))
        streams += [
            ClientStream(
                side * direction, MILLION * np.array(SIZES), np.array(rates, float), Logistic(alpha, beta / BP)
            )
            for side in (1.0, -1.0)
            for alpha, beta in tiers
        ]
    volatility = BP * VOLATILITY_BPS
    Sigma = CORRELATION * np.outer(volatility, volatility)
    return Dealer(tuple(streams), tuple(markets), Sigma, risk_aversion, impact * IMPACT_BPS * BP / MILLION)


def exponential_dealer(A: float, k: float, risk_aversion: float, sigma: float) -> Dealer:
    streams = tuple(ClientStream(np.array([side]), np.ones(1), np.array([A]), Exponential(k)) for side in (1.0, -1.0))
    return Dealer(streams, (), np.array([[sigma**2]]), risk_aversion, np.zeros(1))


def pound_dealer(risk_aversion: float, hedging: bool = True, impact: float = 0.0) -> Dealer:
    rates, tiers, psi, eta = PAIRS["GBPUSD"]
    streams = tuple(
        ClientStream(np.array([side]), MILLION * np.array(SIZES), np.array(rates, float), Logistic(alpha, beta / BP))
        for side in (1.0, -1.0)
        for alpha, beta in tiers
    )
    markets = (HedgeMarket(np.ones(1), psi * BP, eta * BP / MILLION),) if hedging else ()
    return Dealer(
        streams, markets, np.array([[(70 * BP) ** 2]]), risk_aversion, np.array([impact * 7e-3 * BP / MILLION])
    )


def test_quotes_are_the_closed_form_of_gueant_lehalle_and_fernandez_tapia() -> None:
    """Exponential demand, one asset: 1/k + (2q+1)/2 sqrt(gamma sigma² e / (2 k A)); Guéant (2017)."""
    A, k, gamma, sigma = 10.0, 1.5, 0.05, 2.0
    internaliser = Internaliser(exponential_dealer(A, k, gamma, sigma))
    slope = math.sqrt(gamma * sigma**2 * math.e / (2 * k * A))
    for q in (-7.0, 0.0, 3.0):
        bid, ask = (internaliser.markups(np.array([q]), side)[0] for side in (0, 1))
        assert bid == pytest.approx(1 / k + (2 * q + 1) / 2 * slope, rel=1e-12)
        assert ask == pytest.approx(1 / k - (2 * q - 1) / 2 * slope, rel=1e-12)


def test_grid_is_the_principal_eigenvector() -> None:
    """Exponential demand without hedging makes the HJB equation linear: its eigenvector gives quotes and gain."""
    A, k, gamma, sigma, limit = 10.0, 1.5, 0.05, 2.0, 12
    solved = grid_value(exponential_dealer(A, k, gamma, sigma), limit, 1.0)
    n = 2 * limit + 1
    chain = np.diag(-k * gamma / 2 * sigma**2 * solved.inventory**2) + A / math.e * (np.eye(n, k=1) + np.eye(n, k=-1))
    values, vectors = np.linalg.eigh(chain)
    f = np.abs(vectors[:, -1])
    np.testing.assert_allclose(solved.quotes[0][:-1, 0], 1 / k + np.log(f[:-1] / f[1:]) / k, rtol=1e-9)
    assert np.isnan(solved.quotes[0][-1, 0])
    assert solved.gain == pytest.approx(values[-1] / k, rel=1e-9)


@pytest.mark.parametrize("risk_aversion", [1e-6, 20e-6])
def test_quadratic_value_against_the_grid(risk_aversion: float) -> None:
    """One pair of the paper: quotes within 1 % of a bid-ask spread of the grid's half way to the edge, 2.5 % at it."""
    dealer = pound_dealer(risk_aversion)
    internaliser, step = Internaliser(dealer), 0.5 * MILLION
    solved = grid_value(dealer, 150 * MILLION, step)
    zone = internaliser.zone().threshold[0]
    bid_ask_spread = 2 * internaliser.markups(np.zeros(1), 0)[0]
    for share, allowed in ((0.0, 0.01), (0.5, 0.01), (1.0, 0.025)):
        index = int(np.searchsorted(solved.inventory, share * zone))
        y = solved.inventory[index : index + 1]
        for stream in range(4):
            assert abs(internaliser.markups(y, stream)[0] - solved.quotes[stream][index, 0]) < allowed * bid_ask_spread


def test_threshold_against_the_grid() -> None:
    """The zone of the closed form lies inside that of the grid, and its edge within a fifth of it.

    The closed form leaves out what hedging is worth later on, so it values inventory lower and hedges sooner.
    """
    dealer = pound_dealer(5e-6)
    solved = grid_value(dealer, 150 * MILLION, 0.5 * MILLION)
    edge = solved.inventory[(solved.inventory > 0) & (solved.hedging_rate < 0)][0]
    threshold = Internaliser(dealer).zone().threshold[0]
    assert 0.8 * edge < threshold <= edge


def test_grid_is_symmetric_and_idle_at_zero() -> None:
    """Symmetric flow: value even, hedging odd and 0 at 0, the two sides' quotes mirrored."""
    solved = grid_value(pound_dealer(20e-6, impact=1.0), 60 * MILLION, MILLION)
    scale = np.abs(solved.value).max()
    np.testing.assert_allclose(solved.value, solved.value[::-1], atol=1e-9 * scale)
    np.testing.assert_allclose(
        solved.hedging_rate, -solved.hedging_rate[::-1], atol=1e-7 * np.abs(solved.hedging_rate).max()
    )
    assert solved.hedging_rate[60] == 0.0
    np.testing.assert_allclose(solved.quotes[0], solved.quotes[2][::-1], rtol=1e-6)


def test_riccati_residual_and_an_algebraic_riccati_solver() -> None:
    """2 A M A = gamma/2 Sigma to rounding, and A is what scipy's solver of algebraic Riccati equations finds."""
    dealer = paper_dealer()
    A, M = quadratic_value(dealer).A, flow_curvature(dealer)
    target = 0.5 * dealer.risk_aversion * dealer.Sigma
    np.testing.assert_allclose(2 * A @ M @ A, target, rtol=1e-10)
    # In millions, so that scipy's solver works on numbers near one: A a = Q with Q, M scaled alike.
    scaled = solve_continuous_are(np.zeros((4, 4)), np.eye(4), target * 1e12 / 2, np.linalg.inv(M / 1e12))
    np.testing.assert_allclose(A * 1e12, scaled, rtol=1e-6)


def test_the_riccati_equation_in_time_settles_there() -> None:
    """dA/dtau = gamma/2 Sigma - 2 A M A from A = 0, integrated by scipy, is the closed form after six hours."""
    dealer = paper_dealer()
    M = flow_curvature(dealer) / MILLION
    source = 0.5 * dealer.risk_aversion * MILLION * dealer.Sigma

    def slope(_: float, flat: np.ndarray) -> np.ndarray:
        A = flat.reshape(4, 4)
        return np.asarray((source - 2 * A @ M @ A).ravel())

    path = solve_ivp(slope, (0.0, 0.25), np.zeros(16), method="LSODA", rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(path.y[:, -1].reshape(4, 4) / MILLION, quadratic_value(dealer).A, rtol=1e-6)


def test_the_papers_desk() -> None:
    """Figures of table 1's desk at risk aversion 20 per million, at no inventory: markups and how A spreads.

    The top-of-book markups without skew, .182, .321 and .411 bps for EURUSD, GBPUSD and EURGBP, and 2 A = 2.50e-6 and
    -1.75e-6 per million for GBP alone and against EURGBP, are those of an independent reproduction (S. Apelgren, 2026).
    """
    internaliser = Internaliser(paper_dealer())
    order = list(PAIRS)
    for pair, bps in (("EURUSD", 0.182), ("GBPUSD", 0.321), ("EURGBP", 0.411)):
        assert internaliser.markups(np.zeros(4), 4 * order.index(pair))[0] / BP == pytest.approx(bps, abs=5e-4)
    slope = 2 * internaliser.value.A[1] * MILLION
    assert slope[1] == pytest.approx(2.50e-6, rel=5e-3)
    assert slope[0] - slope[1] == pytest.approx(-1.75e-6, rel=5e-3)


def test_no_inventory_no_skew() -> None:
    """Symmetric flow at zero inventory: B is 0, both sides get one quote, nothing is hedged."""
    internaliser = Internaliser(paper_dealer())
    advice = internaliser.advise(np.zeros(4))
    np.testing.assert_allclose(advice.skew, 0.0, atol=1e-15)
    assert not advice.hedging_rate.any()
    for pair in range(len(PAIRS)):
        np.testing.assert_allclose(
            internaliser.markups(np.zeros(4), 4 * pair), internaliser.markups(np.zeros(4), 4 * pair + 2)
        )


def test_advice_is_odd_in_the_inventory() -> None:
    """The opposite inventory gets the opposite skew and hedge, and the two sides swap their quotes."""
    internaliser, y = Internaliser(paper_dealer()), MILLION * np.array([30.0, -12.0, 5.0, 40.0])
    here, there = internaliser.advise(y), internaliser.advise(-y)
    np.testing.assert_allclose(here.skew, -there.skew, atol=1e-18)
    np.testing.assert_allclose(here.hedging_rate, -there.hedging_rate, rtol=1e-9)
    np.testing.assert_allclose(internaliser.markups(y, 0), internaliser.markups(-y, 2))


def test_skew_and_hedge_lean_against_the_inventory() -> None:
    """Long EUR: EURUSD is quoted lower and sold, and the hedging rate is that of the gradient 2 A y, not of A y."""
    dealer = paper_dealer()
    internaliser, y = Internaliser(dealer), MILLION * np.array([50.0, 0.0, 0.0, 0.0])
    advice, eurusd = internaliser.advise(y), dealer.markets[0]
    assert advice.skew[0] < 0
    p = -(2 * internaliser.value.A @ y)[0] + dealer.impact[0] * y[0]
    assert advice.hedging_rate[0] == pytest.approx((p + eurusd.psi) / (2 * eurusd.eta), rel=1e-12)
    assert advice.hedging_rate[0] < 0


def test_more_risk_aversion_more_skew_and_a_smaller_zone() -> None:
    """A grows with the square root of risk aversion, and every threshold shrinks by as much (without impact)."""
    careless, careful = (Internaliser(paper_dealer(risk_aversion, impact=0.0)) for risk_aversion in (5e-6, 20e-6))
    np.testing.assert_allclose(careful.value.A, 2 * careless.value.A, rtol=1e-9)
    for name in ("threshold", "risk"):
        np.testing.assert_allclose(
            getattr(careful.zone(), name), 0.5 * np.asarray(getattr(careless.zone(), name)), rtol=1e-9
        )


def test_the_zone_is_where_nothing_is_hedged() -> None:
    """Just below the zone's risk nothing is hedged; each market starts at its threshold."""
    dealer = paper_dealer()
    internaliser, zone = Internaliser(dealer), Internaliser(dealer).zone()
    rng = np.random.default_rng(5)
    for _ in range(200):
        y = rng.normal(size=4) * MILLION
        y *= 0.999 * zone.risk / math.sqrt(y @ dealer.Sigma @ y)
        assert (internaliser.advise(y).urgency < 1).all()
        assert not internaliser.advise(y).hedging_rate.any()
    for index, market in enumerate(dealer.markets):
        for share, hedged in ((0.999, False), (1.001, True)):
            rate = internaliser.advise(share * zone.threshold[index] * market.direction).hedging_rate[index]
            assert bool(rate) is hedged


def test_the_zone_s_risk_is_reached() -> None:
    """`risk` is the least and not only a bound: the position that a market helps most is hedged just above it."""
    dealer = paper_dealer()
    internaliser, zone = Internaliser(dealer), Internaliser(dealer).zone()
    hedged = False
    for index, market in enumerate(dealer.markets):
        slope = (2 * internaliser.value.A - np.diag(dealer.impact)) @ market.direction
        y = np.linalg.solve(dealer.Sigma, slope)
        y *= 1.001 * zone.risk / math.sqrt(y @ dealer.Sigma @ y)
        hedged |= internaliser.advise(y).urgency[index] > 1
    assert hedged


def test_without_impact_the_zone_s_risk_needs_no_covariance() -> None:
    """psi / sqrt(gamma g' M⁻¹ g): how much risk to wait with depends on flow, cost and aversion alone."""
    dealer = paper_dealer(impact=0.0)
    M, gamma = flow_curvature(dealer), dealer.risk_aversion
    expected = [m.psi / math.sqrt(gamma * m.direction @ np.linalg.solve(M, m.direction)) for m in dealer.markets]
    assert Internaliser(dealer).zone().risk == pytest.approx(min(expected), rel=1e-6)
    # Of each market alone, too.
    for market, risk in zip(dealer.markets, expected, strict=True):
        alone = Internaliser(replace(dealer, markets=(market,)))
        assert alone.zone().risk == pytest.approx(risk, rel=1e-6)


def test_a_bigger_franchise_internalises_more() -> None:
    """More clients, wider zone: with four times the flow every threshold doubles (without impact)."""
    dealer = paper_dealer(impact=0.0)
    more = replace(dealer, streams=tuple(replace(stream, rates=4 * stream.rates) for stream in dealer.streams))
    np.testing.assert_allclose(
        Internaliser(more).zone().threshold, 2 * Internaliser(dealer).zone().threshold, rtol=1e-9
    )


def test_units_of_money_and_time_do_not_matter() -> None:
    """Counted in thousands and in hours the same desk skews by the same share of the price and hedges as fast."""
    dealer, y = paper_dealer(), MILLION * np.array([30.0, -12.0, 5.0, 40.0])
    money, time = 1e-3, 24.0
    other = Dealer(
        streams=tuple(replace(s, sizes=s.sizes * money, rates=s.rates / time) for s in dealer.streams),
        markets=tuple(replace(m, eta=m.eta * time / money) for m in dealer.markets),
        Sigma=dealer.Sigma / time,
        risk_aversion=dealer.risk_aversion / money,
        impact=dealer.impact / money,
    )
    here, there = Internaliser(dealer).advise(y), Internaliser(other).advise(y * money)
    np.testing.assert_allclose(there.skew, here.skew, rtol=1e-9)
    np.testing.assert_allclose(there.hedging_rate, here.hedging_rate * money / time, rtol=1e-9)


def test_one_sided_flow_skews_before_there_is_an_inventory() -> None:
    """Clients who sell more than they buy: B makes the dealer bid lower at 0, as much as the grid does to .02 bps."""
    dealer = pound_dealer(2e-6, hedging=False)
    streams = tuple(
        replace(stream, rates=stream.rates * (1.1 if stream.direction[0] > 0 else 0.9)) for stream in dealer.streams
    )
    dealer = replace(dealer, streams=streams)
    internaliser, solved = Internaliser(dealer), grid_value(dealer, 300 * MILLION, MILLION)
    here = internaliser.markups(np.zeros(1), 0)[0] - internaliser.markups(np.zeros(1), 2)[0]
    there = solved.quotes[0][300, 0] - solved.quotes[2][300, 0]
    assert here > 0.05 * BP
    assert abs(here - there) < 0.02 * BP


def test_impact_can_make_hedging_worthless() -> None:
    """Where selling pushes down what is still held by more than the sale relieves, a market is never worth crossing."""
    dealer = paper_dealer()
    heavy = replace(dealer, impact=np.full(4, 1e-3))
    assert np.isinf(Internaliser(heavy).zone().threshold).all()
    nowhere = Internaliser(replace(dealer, markets=())).zone()
    assert nowhere.threshold.shape == (0,)
    assert math.isinf(nowhere.risk)


@pytest.mark.parametrize(
    ("impact", "least_risk"), [(0.0, 1e4), (0.0, 4e6), (0.3, 1e4), (0.3, 2e5), (1.0, 1e4), (1.0, 5e4)]
)
def test_a_limit_implies_the_risk_aversion_whose_zone_it_is(impact: float, least_risk: float) -> None:
    """There and back: the zone of a dealer with the implied risk aversion has the limit as its least risk."""
    dealer = paper_dealer(impact=impact)
    implied = implied_risk_aversion(dealer, least_risk)
    assert implied_risk_aversion(replace(dealer, risk_aversion=1.0), least_risk) == implied
    zone = Internaliser(replace(dealer, risk_aversion=implied)).zone()
    assert zone.risk == pytest.approx(least_risk, rel=1e-9)
    if not impact:
        unit = Internaliser(replace(dealer, risk_aversion=1.0)).zone().risk
        assert implied == pytest.approx((unit / least_risk) ** 2, rel=1e-9)


def test_what_implies_no_risk_aversion_is_refused() -> None:
    """No market, a free one, one-sided clients, impact beyond all hedging, a limit that is none."""
    dealer = paper_dealer()
    uneven = (replace(dealer.streams[0], rates=2 * dealer.streams[0].rates), *dealer.streams[1:])
    for wrong, limit, message in (
        (replace(dealer, markets=()), 1e6, "markets must cost something"),
        (replace(dealer, markets=(replace(dealer.markets[0], psi=0.0),)), 1e6, "markets must cost something"),
        (replace(dealer, streams=uneven), 1e6, "streams must come in two equal sides"),
        (replace(dealer, impact=np.array([1e-3, 0.0, 0.0, 0.0])), 1e6, "impact must leave a zone"),
        (replace(dealer, Sigma=np.zeros((4, 4))), 1e6, "Sigma must leave some risk"),
        (dealer, 0.0, "least_risk must be finite and > 0, got 0"),
    ):
        with pytest.raises(IllPosed, match=message):
            implied_risk_aversion(wrong, limit)


def test_a_free_hedge_is_always_worth_it() -> None:
    """psi = 0: no risk is worth waiting with, and urgency says so."""
    dealer = paper_dealer()
    free = Internaliser(replace(dealer, markets=(replace(dealer.markets[0], psi=0.0),)))
    assert free.zone().risk == 0.0
    assert free.advise(np.array([1.0, 0.0, 0.0, 0.0])).urgency[0] == math.inf


def test_one_sided_flow_narrows_the_zone() -> None:
    """With B the thresholds are those of the nearer side: just below them neither a long nor a short is hedged."""
    dealer = pound_dealer(5e-6)
    streams = tuple(
        replace(stream, rates=stream.rates * (1.1 if stream.direction[0] > 0 else 0.9)) for stream in dealer.streams
    )
    uneven = Internaliser(replace(dealer, streams=streams))
    threshold = uneven.zone().threshold[0]
    assert 0 < threshold < Internaliser(dealer).zone().threshold[0]
    assert not any(uneven.advise(np.array([side * 0.999 * threshold])).hedging_rate[0] for side in (1, -1))
    assert any(uneven.advise(np.array([side * 1.001 * threshold])).hedging_rate[0] for side in (1, -1))


@pytest.mark.parametrize("uneven", [0.0, 0.1, 0.3])
def test_an_inventory_scaled_to_the_edge_is_on_it(uneven: float) -> None:
    """Just inside nothing is hedged, just beyond something is, for inventories either way and one-sided flow; from an
    inventory to which a flow adds that makes hedging worth it at 0 there is no way to scale down into the zone.
    """
    dealer = paper_dealer()
    streams = tuple(
        replace(each, rates=each.rates * (1 + uneven * np.sign(each.direction.sum()))) for each in dealer.streams
    )
    internaliser = Internaliser(replace(dealer, streams=streams))
    rng = np.random.default_rng(3)
    idle_at_zero = not internaliser.advise(np.zeros(4)).hedging_rate.any()
    for y in rng.normal(0.0, 50 * MILLION, (200, 4)):
        scale = internaliser.scale_to_edge(y)
        if not idle_at_zero and scale == 0.0:
            continue
        if idle_at_zero:
            assert not internaliser.advise(scale * (1 - 1e-9) * y).hedging_rate.any()
        assert internaliser.advise(scale * (1 + 1e-9) * y).hedging_rate.any()
        if not uneven:
            assert scale == pytest.approx(1 / internaliser.advise(y).urgency.max(), rel=1e-12)
    assert internaliser.scale_to_edge(np.zeros(4)) == math.inf


def test_a_pegged_pair_has_no_risk_to_internalise() -> None:
    """Two assets that move as one: long one and short the other is no risk, and neither skews nor hedges."""
    dealer = paper_dealer(impact=0.0)
    pegged = dealer.Sigma.copy()
    pegged[3], pegged[:, 3] = pegged[0], pegged[:, 0]
    pegged[3, 3] = pegged[0, 0]
    internaliser = Internaliser(replace(dealer, Sigma=pegged))
    flat = internaliser.advise(MILLION * np.array([500.0, 0.0, 0.0, -500.0]))
    assert np.abs(flat.skew).max() < 1e-6 * BP
    assert not flat.hedging_rate.any()
    zone = internaliser.zone()
    assert zone.risk > Internaliser(dealer).zone().risk  # there is one direction less to take risk in
    y = np.random.default_rng(6).normal(size=(100, 4)) * MILLION
    for each in y:
        inside = 0.999 * zone.risk / math.sqrt(each @ pegged @ each) * each
        assert not internaliser.advise(inside).hedging_rate.any()


def test_a_grid_that_does_not_settle_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies that still change at the last round are no answer."""
    monkeypatch.setattr("solver.market_making.grid._MOST_ROUNDS", 1)
    with pytest.raises(NotConverged, match="did not settle within 1 rounds"):
        grid_value(pound_dealer(1e-6), 60 * MILLION, MILLION)


def test_what_has_no_answer_is_refused() -> None:
    """Flow that leaves an asset out, a negative rate, wrong shapes, a covariance that is none: key, expected, got."""
    dealer = paper_dealer()
    only_eur = tuple(stream for stream in dealer.streams if stream.direction[0] and not stream.direction[1:].any())
    for wrong, message in (
        (
            lambda: quadratic_value(replace(dealer, streams=only_eur)),
            r"streams must change every combination of assets",
        ),
        (lambda: quadratic_value(replace(dealer, streams=())), r"streams must change every combination of assets"),
        (lambda: replace(dealer.streams[0], rates=-np.ones(5)), "rates must be finite and >= 0"),
        (lambda: replace(dealer.streams[0], sizes=np.ones(4)), r"sizes and rates must both be \(k,\)"),
        (lambda: replace(dealer.streams[0], sizes=np.zeros(5)), "sizes must be finite and > 0"),
        (
            lambda: replace(dealer.streams[0], direction=np.zeros(4)),
            "direction must be finite numbers that are not all zero",
        ),
        (lambda: replace(dealer.markets[0], psi=-0.1), "psi must be finite and >= 0, got -0.1"),
        (lambda: replace(dealer.markets[0], eta=0.0), "eta must be finite and > 0, got 0"),
        (lambda: replace(dealer, risk_aversion=0.0), "risk_aversion must be finite and > 0, got 0"),
        (lambda: replace(dealer, Sigma=-dealer.Sigma), "Sigma must be positive semi-definite"),
        (lambda: replace(dealer, Sigma=np.triu(dealer.Sigma)), "Sigma must be symmetric"),
        (lambda: replace(dealer, impact=np.zeros(3)), r"Sigma must be \(d, d\) and impact \(d,\)"),
        (lambda: replace(dealer, impact=-dealer.impact), "impact must be >= 0"),
        (lambda: replace(dealer, Sigma=np.eye(1), impact=np.zeros(1)), r"streams\[0\].direction must be \(1,\)"),
        (lambda: grid_value(dealer, 10 * MILLION, MILLION), "a grid needs one asset, got 4"),
        (lambda: grid_value(pound_dealer(1e-6), 10.5 * MILLION, MILLION), "limit must be a multiple of step"),
        (lambda: grid_value(pound_dealer(1e-6), 10 * MILLION, 2 * MILLION), "size must be a multiple of step"),
        (lambda: grid_value(pound_dealer(1e-6), 10 * MILLION, 0.5 * MILLION), "limit must reach beyond the zone"),
    ):
        with pytest.raises(IllPosed, match=message):
            wrong()
