"""Johansen's analysis from moments equals the textbook one on data, and refuses what has no answer."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from statsmodels.datasets import interest_inflation
from statsmodels.tsa.vector_ar.vecm import VECM, coint_johansen, select_order

from solver.errors import ExactlyDependent, IllPosed, NotEnoughData
from solver.moments import SlidingMoments
from solver.reversion.error_correction import (
    DEPENDENCE_TOLERANCE,
    Constant,
    half_life_of,
    johansen_moments,
    johansen_row,
    regress,
)
from solver.reversion.evidence.measure import reversion_tests
from solver.reversion.evidence.null_distributions import trace_p_values
from solver.reversion.methods.johansen import Criterion, Johansen, choose_lags, drop_lags, johansen


def fitted(
    log_prices: np.ndarray,
    lags: int = 1,
    names: tuple[str, ...] | None = None,
    constant: Constant = "unrestricted",
) -> Johansen:
    return johansen(johansen_moments(log_prices, lags), log_prices.shape[1], lags, names, constant=constant)


def cointegrated(seed: int, steps: int, n: int) -> np.ndarray:
    """Random walks, all driven by a few common trends plus stationary noise."""
    rng = np.random.default_rng(seed)
    trends = np.cumsum(rng.normal(size=(steps, max(1, n // 2))), axis=0)
    return 100.0 + trends @ rng.normal(size=(trends.shape[1], n)) + rng.normal(size=(steps, n))


@pytest.fixture
def shared_data() -> Path:
    needed = ("index4_daily.csv.gz", "etf23_daily.csv.gz", "denmark.csv")
    folder = os.environ.get("BETAPACK_TEST_DATA")
    if folder is None or not all(Path(folder, name).exists() for name in needed):
        pytest.skip(f"BETAPACK_TEST_DATA does not name a folder with {', '.join(needed)}")
    return Path(folder)


def columns(path: Path, names: tuple[str, ...]) -> np.ndarray:
    """Columns of a csv or csv.gz in file order, gaps as NaN."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="") as file:
        return np.array([[float(row[name] or "nan") for name in names] for row in csv.DictReader(file)])


@pytest.mark.parametrize("lags", [1, 2, 4])
@pytest.mark.parametrize("n", [2, 5, 12])
def test_equal_to_statsmodels_on_random_data(n: int, lags: int) -> None:
    """Eigenvalues to 1e-10, trace statistics, and vectors up to sign are those of `coint_johansen`."""
    log_prices = cointegrated(n, 300, n)
    model = fitted(log_prices, lags)
    expected = coint_johansen(log_prices, 0, lags)
    np.testing.assert_allclose(model.eigenvalues, expected.eig, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.trace, expected.lr1, rtol=1e-8)
    np.testing.assert_allclose(np.abs(model.beta), np.abs(expected.evec), rtol=1e-6, atol=1e-9)


def test_without_lags_the_level_is_the_one_before() -> None:
    """With no lagged differences the model regresses Δx_t on x_{t-1}: canonical correlations from a plain QR."""
    log_prices = cointegrated(9, 200, 3)
    before, change = log_prices[:-1], np.diff(log_prices, axis=0)
    bases = [np.linalg.qr(block - block.mean(axis=0))[0] for block in (before, change)]
    expected = np.linalg.svd(bases[0].T @ bases[1])[1] ** 2
    np.testing.assert_allclose(fitted(log_prices, 0).eigenvalues, expected, rtol=0, atol=1e-10)


def test_jmulti_e6() -> None:
    """JMulTi E6 (German inflation and interest, 3 lagged differences, T = 103): published to five digits."""
    data = interest_inflation.load_pandas().data
    model = fitted(data[["Dp", "R"]].to_numpy(dtype=np.float64), lags=3)
    leading = model.beta[0, 0]
    np.testing.assert_allclose(model.beta[:, 0] / leading, [1.0, -0.27313], atol=5e-6)
    np.testing.assert_allclose(model.alpha[:, 0] * leading, [-0.64032, 0.42266], atol=5e-6)


def test_danish_money_demand(shared_data: Path) -> None:
    """Johansen and Juselius's Danish money demand (K = 2, restricted constant, seasonal dummies), as urca fits it."""
    names = ("LRM", "LRY", "IBO", "IDE")
    levels = columns(shared_data / "denmark.csv", names)
    model = johansen(johansen_moments(levels, 1, seasons=4), 4, 1, names, constant="restricted", seasons=4)
    np.testing.assert_allclose(
        model.eigenvalues, [0.4331654195, 0.1775836394, 0.1127905215, 0.0434112997], rtol=0, atol=5e-11
    )
    np.testing.assert_allclose(model.trace, [49.1444, 19.0569, 8.6950, 2.3522], rtol=0, atol=5e-5)
    beta, leading = model.beta[:, 0], model.beta[0, 0]
    np.testing.assert_allclose(beta / leading, [1.0, -1.032949, 5.206919, -4.215879], rtol=0, atol=5e-7)
    # The moments are anchored at the mean, so the constant is for levels less their mean.
    constant = (model.constant[0] - levels.mean(axis=0) @ beta) / leading
    assert constant == pytest.approx(-6.059932, abs=5e-7)
    np.testing.assert_allclose(
        model.alpha[:, 0] * leading, [-0.212955, 0.115022, 0.023177, 0.029411], rtol=0, atol=5e-7
    )


@pytest.mark.parametrize("constant", ["unrestricted", "restricted"])
@pytest.mark.parametrize("seasons", [1, 4])
def test_equal_to_statsmodels_vecm(constant: Constant, seasons: int) -> None:
    """With and without seasonal dummies, either constant: α, β and the constant of rank 2 are those of `VECM`."""
    log_prices = cointegrated(20, 300, 4)
    model = johansen(johansen_moments(log_prices, 2, seasons), 4, 2, constant=constant, seasons=seasons)
    deterministic = {"unrestricted": "co", "restricted": "ci"}[constant]
    expected = VECM(
        log_prices,
        k_ar_diff=2,
        coint_rank=2,
        deterministic=deterministic,
        seasons=seasons if seasons > 1 else 0,
    ).fit()
    # Only the product is determined; statsmodels normalises β to start with the identity.
    turn = model.beta[:2, :2]
    np.testing.assert_allclose(model.beta[:, :2] @ np.linalg.inv(turn), expected.beta, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(model.alpha[:, :2] @ turn.T, expected.alpha, rtol=1e-6, atol=1e-9)
    if constant == "restricted":
        own = model.constant[:2] - log_prices.mean(axis=0) @ model.beta[:, :2]
        np.testing.assert_allclose(own @ np.linalg.inv(turn), expected.det_coef_coint[0], rtol=1e-7)
    else:
        np.testing.assert_array_equal(model.constant, np.zeros(4))


@pytest.mark.slow
@pytest.mark.parametrize("constant", ["unrestricted", "restricted"])
def test_size_on_driftless_walks(constant: Constant) -> None:
    """On two driftless walks the 5 % trace test rejects 5 % with a restricted constant, and too often without.

    Of 1,500 the standard error is .6 %; three of them either side.
    """
    rng = np.random.default_rng(21)
    rejected = 0
    for _ in range(1_500):
        moments = johansen_moments(np.cumsum(rng.normal(size=(300, 2)), axis=0), 0)
        model = johansen(moments, 2, 0, constant=constant)
        rejected += trace_p_values(model.trace, constant)[0] < 0.05
    share = rejected / 1_500
    if constant == "restricted":
        assert 0.033 < share < 0.067
    else:
        assert share > 0.09


def test_p_values_keep_their_size_in_small_samples() -> None:
    """Eight walks, 200 steps, two lags: 5 % p-values come in at most 5 %; asymptotic ones in a quarter."""
    rng = np.random.default_rng(24)
    rejected = np.zeros(3)
    for _ in range(400):
        moments = johansen_moments(np.cumsum(rng.normal(size=(200, 8)), axis=0), 2)
        model, regression = (
            johansen(moments, 8, 2, constant="restricted"),
            regress(moments, 8, 2, constant="restricted"),
        )
        rejected += [
            model.trace_p[0] < 0.05,
            reversion_tests(regression, model.beta[:, :1])[1][0] < 0.05,
            trace_p_values(model.trace, "restricted")[0] < 0.05,
        ]
    # Three standard errors above.
    assert np.all(rejected[:2] / 400 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400))
    assert rejected[2] / 400 > 0.2


@pytest.mark.parametrize("seasons", [1, 4])
def test_lags_are_those_of_statsmodels(seasons: int) -> None:
    """Each criterion picks what statsmodels' `select_order` does, on the same sample, with and without dummies."""
    rng = np.random.default_rng(22)
    picked = set()
    for steps in (60, 90, 400):
        noise = rng.normal(size=(steps + 3, 3))
        changes = noise[3:] + 0.4 * noise[2:-1] @ rng.normal(size=(3, 3)) + 0.3 * noise[:-3] @ rng.normal(size=(3, 3))
        log_prices = np.cumsum(changes, axis=0)
        expected = select_order(log_prices, 5, deterministic="co", seasons=seasons if seasons > 1 else 0)
        moments = johansen_moments(log_prices, 5, seasons)
        for criterion in get_args(Criterion):
            chosen = choose_lags(moments, 3, 5, criterion, seasons=seasons)
            assert chosen == getattr(expected, criterion), (steps, criterion)
            picked.add(chosen)
    assert len(picked) > 2


def test_dropping_lags_keeps_the_rows() -> None:
    """Moments of fewer lags from those of more are the moments of the same timesteps."""
    log_prices = cointegrated(23, 200, 3)
    more = johansen_moments(log_prices, 4, seasons=3)
    direct = johansen(johansen_moments(log_prices[3:], 1, seasons=3), 3, 1, seasons=3)
    dropped = johansen(drop_lags(more, 3, 4, 1), 3, 1, seasons=3)
    np.testing.assert_allclose(dropped.eigenvalues, direct.eigenvalues, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(drop_lags(more, 3, 4, 4), more)
    with pytest.raises(IllPosed, match=r"0\.\.4, got 5"):
        drop_lags(more, 3, 4, 5)


def test_four_equity_indices(shared_data: Path) -> None:
    """First cointegration vector of AEX, DAX, FTSE, CAC to 2001-11-05, as arbitragelab tests it (log, filled)."""
    levels = columns(shared_data / "index4_daily.csv.gz", ("AEX", "DAX", "FTSE", "CAC"))[:1509]
    for t in range(1, len(levels)):
        levels[t] = np.where(np.isnan(levels[t]), levels[t - 1], levels[t])
    model = fitted(np.log(levels))
    expected = [30.582711178446427, -12.11624038306599, -27.220035836898937, -2.716097980580956]
    np.testing.assert_allclose(model.beta[:, 0], expected, rtol=1e-8)


def test_five_etfs(shared_data: Path) -> None:
    """Five ETFs on price levels, as in arbitragelab's tests: trace 64.01 and 41.44, EWJ .05 and EFA -.86 in the vector
    scaled to unit variance, and the half-life of its basket spread: 30.88 of the discrete process, 31.23 of the
    continuous."""
    prices = columns(shared_data / "etf23_daily.csv.gz", ("EEM", "EWG", "TIP", "EWJ", "EFA"))
    model = fitted(prices)
    np.testing.assert_allclose(model.trace[:2], [64.01, 41.44], atol=0.005)
    np.testing.assert_allclose(model.beta[3:, 0] * np.sign(model.beta[0, 0]), [0.05, -0.867], atol=0.0005)
    basket_spread = prices @ model.beta[:, 0]
    before = basket_spread[:-1] - basket_spread[:-1].mean()
    reversion = float(before @ np.diff(basket_spread) / (before @ before))
    assert half_life_of(reversion) == pytest.approx(30.88, abs=0.005)
    assert -np.log(2.0) / reversion == pytest.approx(31.23, abs=0.005)


def test_sliding_moments_give_the_batch_eigenvalues() -> None:
    """After thousands of steps a sliding window fits what a batch over the same rows fits, to 1e-10."""
    log_prices = cointegrated(11, 3_000, 4)
    lags, window = 2, 250
    sliding = SlidingMoments(window, 4 * (lags + 2) + 1)
    for end in range(lags + 2, len(log_prices) + 1):
        sliding.push(johansen_row(log_prices[end - lags - 2 : end] - log_prices[0]))
    expected = coint_johansen(log_prices[-window - lags - 1 :], 0, lags).eig
    np.testing.assert_allclose(johansen(sliding.sums(), 4, lags).eigenvalues, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("constant", ["unrestricted", "restricted"])
def test_eigenvalues_follow_no_choice_of_units_order_or_currency(constant: Constant) -> None:
    """Scale, order, shift and numeraire leave the eigenvalues; in another numeraire the basket spreads are the same."""
    log_prices = cointegrated(12, 400, 4)
    model = fitted(log_prices, constant=constant)
    scaled = fitted(log_prices * [1e-3, 1.0, 50.0, 1e4] + [3.0, -1.0, 0.0, 5.0], constant=constant)
    np.testing.assert_allclose(scaled.eigenvalues, model.eigenvalues, rtol=0, atol=1e-10)
    permuted = fitted(log_prices[:, [2, 0, 3, 1]], constant=constant)
    np.testing.assert_allclose(permuted.eigenvalues, model.eigenvalues, rtol=0, atol=1e-10)

    # Value everything in currency 3; the old numeraire takes its column with log price -x3.
    in_other = log_prices - log_prices[:, [3]]
    in_other[:, 3] = -log_prices[:, 3]
    other = fitted(in_other, constant=constant)
    np.testing.assert_allclose(other.eigenvalues, model.eigenvalues, rtol=0, atol=1e-10)
    basket_spreads, same_basket_spreads = log_prices @ model.beta, in_other @ other.beta
    for k in range(4):
        assert abs(np.corrcoef(basket_spreads[:, k], same_basket_spreads[:, k])[0, 1]) == pytest.approx(1.0, abs=1e-9)


def test_the_vector_finds_a_planted_relation() -> None:
    """x2 = 2 x1 + AR(1) noise: the first vector is (1, -.5) within its error, its half-life the planted one."""
    rng = np.random.default_rng(13)
    walk = np.cumsum(rng.normal(size=20_000)) * 0.01
    noise = np.zeros(20_000)
    for t in range(1, len(noise)):
        noise[t] = 0.9 * noise[t - 1] + rng.normal() * 0.01
    model = fitted(np.column_stack([2.0 * walk + noise, walk]))
    beta = model.beta[:, 0]
    np.testing.assert_allclose(beta / beta[0], [1.0, -2.0], atol=0.02)
    half_life = half_life_of(float(beta @ model.alpha[:, 0]))
    assert half_life == pytest.approx(np.log(0.5) / np.log(0.9), rel=0.1)


def test_a_currency_triangle_is_named_not_fitted() -> None:
    """EURUSD, USDJPY and EURJPY are exactly dependent: statsmodels gives a negative statistic, this a name."""
    rng = np.random.default_rng(14)
    eurusd, usdjpy, gbpusd = np.cumsum(rng.normal(size=(3, 400)), axis=1) * 0.005
    prices = np.column_stack([eurusd, usdjpy + 4.6, gbpusd, eurusd + usdjpy + 4.6])
    with pytest.raises(ExactlyDependent, match=r"EURJPY = \+1 EURUSD \+1 USDJPY up to a constant"):
        fitted(prices, 1, ("EURUSD", "USDJPY", "GBPUSD", "EURJPY"))
    with pytest.raises(ExactlyDependent, match=r"3 = \+1 0 \+1 1 "):
        fitted(prices, 0)


def test_a_near_relation_is_fitted() -> None:
    """A peg that leaves 1e-8 of the variance is far from exact, and comes out as the first vector."""
    rng = np.random.default_rng(15)
    walk = np.cumsum(rng.normal(size=400))
    pegged = walk + 1e-4 * np.std(walk) * rng.normal(size=400)
    assert np.var(pegged - walk) / np.var(walk) > 10 * DEPENDENCE_TOLERANCE
    beta = fitted(np.column_stack([walk, pegged])).beta[:, 0]
    np.testing.assert_allclose(beta / beta[0], [1.0, -1.0], atol=1e-5)


@pytest.mark.parametrize("lags", [0, 1])
def test_degenerate_series_are_named(lags: int) -> None:
    """A series that stands still, one that trends exactly beside another, and a deterministic law are all refused."""
    rng = np.random.default_rng(16)
    walk = np.cumsum(rng.normal(size=(200, 2)), axis=0)
    still = np.column_stack([walk[:, 0], np.full(200, 0.1)])
    with pytest.raises(ExactlyDependent, match="CHF does not move"):
        fitted(still, lags, ("EUR", "CHF"))
    # At lag 2 every change of it is zero.
    stirring = still.copy()
    stirring[-2:, 1] += 0.01
    with pytest.raises(ExactlyDependent, match="CHF does not move"):
        fitted(stirring, 2, ("EUR", "CHF"))
    trending = np.column_stack([walk[:, 0], walk[:, 0] + 0.5 * np.arange(200)])
    with pytest.raises(ExactlyDependent, match="ΔCHF"):
        fitted(trending, lags, ("EUR", "CHF"))
    decaying = np.column_stack([0.97 ** np.arange(200), walk[:, 1]])
    with pytest.raises(ExactlyDependent):
        fitted(decaying, lags, ("EUR", "CHF"))


def test_more_series_than_the_tables_have() -> None:
    """Twenty independent walks: p-values are there, and the trace test does not reject."""
    model = fitted(np.cumsum(np.random.default_rng(17).normal(size=(2_000, 20)), axis=0))
    assert np.all(np.isfinite(model.trace))
    assert np.all(np.isfinite(model.trace_p))
    assert model.trace_p[0] > 0.05


def test_too_little_data_and_wrong_shapes() -> None:
    """What cannot be fitted says how much it has and needs."""
    with pytest.raises(NotEnoughData, match="at least 7 observations, got 5"):
        fitted(np.random.default_rng(18).normal(size=(7, 2)), 1)
    with pytest.raises(NotEnoughData, match="3 rows"):
        johansen_moments(np.zeros((2, 2)), 1)
    with pytest.raises(IllPosed, match=r"\(7, 7\)"):
        johansen(np.eye(6), 2, 1)


def test_half_life_of() -> None:
    """Halving at every step is 1, no reversion is None, an immediate return is 0."""
    assert half_life_of(-0.5) == pytest.approx(1.0)
    assert half_life_of(-1.5) == pytest.approx(1.0)
    assert half_life_of(-1.0) == 0.0
    assert half_life_of(0.0) is None
    assert half_life_of(0.1) is None
    assert half_life_of(-2.0) is None
