"""The Ornstein-Uhlenbeck fit is the exact likelihood's, for real and for turning modes, with honest intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm, logm
from statsmodels.tsa.vector_ar.var_model import VAR

from solver.errors import ExactlyDependent, IllPosed
from solver.reversion.error_correction import ErrorCorrection, johansen_moments, regress
from solver.reversion.methods.ou import ornstein_uhlenbeck, ou_vectors

# In modes: one that decays by .8 a step, a pair that turns by .2 while it decays by .95, and a slow one.
TURN = 0.95 * np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])
MODES = np.block(
    [
        [np.array([[0.8]]), np.zeros((1, 3))],
        [np.zeros((2, 1)), TURN, np.zeros((2, 1))],
        [np.zeros((1, 3)), np.array([[0.98]])],
    ]
)
MIXING = np.random.default_rng(1).normal(size=(4, 4))
TRANSITION = MIXING @ MODES @ np.linalg.inv(MIXING)
HALF_LIVES = np.log(2.0) / -np.log([0.8, 0.95, 0.95, 0.98])


def simulated(rng: np.random.Generator, steps: int, transition: np.ndarray = TRANSITION) -> np.ndarray:
    n = len(transition)
    log_prices = np.zeros((steps + 200, n))
    noise = rng.normal(size=log_prices.shape)
    for t in range(1, len(log_prices)):
        log_prices[t] = transition @ log_prices[t - 1] + noise[t]
    return log_prices[200:]


def regression_of(log_prices: np.ndarray, lags: int = 0) -> ErrorCorrection:
    return regress(johansen_moments(log_prices, lags), log_prices.shape[1], lags)


def test_equal_to_statsmodels_var() -> None:
    """Transition and noise are those of statsmodels' VAR(1) with a constant, whatever lags the rows hold."""
    log_prices = simulated(np.random.default_rng(2), 300)
    process = ornstein_uhlenbeck(regression_of(log_prices, lags=2))
    # Rows with two lags start at the fourth timestep, so the first level is the third.
    expected = VAR(log_prices[2:]).fit(1, trend="c")
    np.testing.assert_allclose(process.transition, expected.coefs[0], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(process.noise, expected.sigma_u_mle, rtol=1e-8, atol=1e-10)


def test_modes_are_left_eigenvectors() -> None:
    """w'A = λ w' for every mode, fastest first; of a pair, both parts are uncorrelated, the real one larger."""
    log_prices = simulated(np.random.default_rng(3), 400)
    model = regression_of(log_prices)
    process = ornstein_uhlenbeck(model)
    modes, eigenvalues = process.modes, process.eigenvalues
    np.testing.assert_allclose(modes.T @ process.transition, eigenvalues[:, None] * modes.T, atol=1e-10)
    assert np.all(np.diff(np.abs(eigenvalues)) > -1e-12)
    turning = np.flatnonzero(eigenvalues.imag > 0.0)
    assert turning.size == 1
    w = modes[:, turning[0]]
    real, imaginary = w.real @ model.levels @ w.real, w.imag @ model.levels @ w.imag
    assert real > imaginary
    assert abs(w.real @ model.levels @ w.imag) < 1e-10 * real


def test_a_continuous_process_comes_back() -> None:
    """Sampled from dx = -Θ x dt + dW: half-lives ln 2 / Re(eigenvalues of Θ) and the period lie in their intervals."""
    Theta = np.array([[0.06, 0.3, 0.0], [-0.3, 0.06, 0.0], [0.02, 0.0, 0.15]])
    log_prices = simulated(np.random.default_rng(4), 20_000, expm(-Theta))
    process = ornstein_uhlenbeck(regression_of(log_prices), confidence=0.9999)
    for k, rate in enumerate((0.15, 0.06, 0.06)):
        lower, upper = process.half_life_interval_steps[k]
        assert lower < np.log(2.0) / rate < upper
        assert upper < 1.4 * lower
    np.testing.assert_allclose(process.period_steps, [np.inf, 2 * np.pi / 0.3, 2 * np.pi / 0.3], rtol=0.02)
    np.testing.assert_allclose(-logm(process.transition), Theta, atol=0.02)


def test_error_of_the_decay_is_the_delta_method() -> None:
    """The interval's width equals finite differences of -ln|λ| through Var(vec A) = noise ⊗ (X'X)⁻¹, also in a pair."""
    log_prices = simulated(np.random.default_rng(5), 500)
    model = regression_of(log_prices)
    process = ornstein_uhlenbeck(model, confidence=0.6826894921370859)  # one standard error either side

    def decay(transition: np.ndarray) -> np.ndarray:
        return np.sort(-np.log(np.abs(np.linalg.eigvals(transition))))[::-1]

    gradient, step = np.zeros((4, 16)), 1e-6
    for index in range(16):
        shift = np.zeros(16)
        shift[index] = step
        shift = shift.reshape(4, 4)
        gradient[:, index] = (decay(process.transition + shift) - decay(process.transition - shift)) / (2 * step)
    covariance = np.kron(process.noise, np.linalg.inv(model.levels * model.observations))
    expected = np.sqrt(np.einsum("ki,ij,kj->k", gradient, covariance, gradient))
    decays = np.log(2.0) / process.half_life_interval_steps
    np.testing.assert_allclose((decays[:, 0] - decays[:, 1]) / 2, expected, rtol=1e-4)


@pytest.mark.slow
def test_intervals_cover() -> None:
    """Of 200 windows with 40 half-lives and more, 95 % intervals hold the true half-life in 95 %, within 4 errors."""
    rng = np.random.default_rng(6)
    covered = np.zeros(4)
    for _ in range(200):
        interval = ornstein_uhlenbeck(regression_of(simulated(rng, 1_500))).half_life_interval_steps
        covered += (interval[:, 0] <= HALF_LIVES) & (interval[:, 1] >= HALF_LIVES)
    assert np.all(np.abs(covered / 200 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 200))


def test_vectors_of_real_and_turning_modes() -> None:
    """A mode's vector has its half-life and interval; a pair gives the two that span its plane, with the period."""
    log_prices = simulated(np.random.default_rng(7), 4_000)
    vectors = ou_vectors(regression_of(log_prices))
    assert [vector.period_steps is None for vector in vectors] == [True, False, False, True]
    assert vectors[1].period_steps == vectors[2].period_steps == pytest.approx(2 * np.pi / 0.2, rel=0.05)
    for vector, half_life in zip(vectors, HALF_LIVES, strict=True):
        assert vector.method == "ou"
        assert vector.half_life_interval_steps is not None
        lower, upper = vector.half_life_interval_steps
        assert vector.half_life_steps is not None
        assert lower < vector.half_life_steps < upper
        assert vector.half_life_steps == pytest.approx(half_life, rel=0.25)
        assert vector.p_value < 1e-6
        assert vector.spread_volatility == pytest.approx(np.std(log_prices @ vector.weights), rel=1e-3)
    # The plane is an invariant subspace of A': stepping keeps it.
    plane = np.column_stack([vectors[1].weights, vectors[2].weights])
    stepped = ornstein_uhlenbeck(regression_of(log_prices)).transition.T @ plane
    left = stepped - plane @ np.linalg.lstsq(plane, stepped, rcond=None)[0]
    assert np.abs(left).max() < 1e-10


def test_an_overshooting_mode_and_growth() -> None:
    """A negative eigenvalue has a half-life and turns every two steps; growth has no half-life."""
    regression = regression_of(simulated(np.random.default_rng(8), 2_000, np.diag([-0.5, 0.9])))
    process = ornstein_uhlenbeck(regression)
    assert ou_vectors(regression)[0].half_life_steps == pytest.approx(1.0, rel=0.1)
    np.testing.assert_array_equal(process.period_steps, [2.0, np.inf])
    rng = np.random.default_rng(9)
    exploding = np.column_stack([1.01 ** np.arange(600) + rng.normal(size=600) * 1e-3, np.cumsum(rng.normal(size=600))])
    vectors = ou_vectors(regression_of(exploding))
    assert vectors[-1].half_life_steps is None
    assert vectors[-1].half_life_interval_steps == (np.inf, np.inf)


def test_units_order_and_numeraire() -> None:
    """Half-lives, periods and p-values follow no choice of units, order or currency, and the basket spreads are the
    same."""
    log_prices = simulated(np.random.default_rng(10), 500)
    reference = ou_vectors(regression_of(log_prices))
    in_other = log_prices - log_prices[:, [3]]
    in_other[:, 3] = -log_prices[:, 3]
    for other in (log_prices * [1e-3, 1.0, 50.0, 1e3], log_prices[:, [2, 0, 3, 1]], in_other):
        for expected, vector in zip(reference, ou_vectors(regression_of(other)), strict=True):
            np.testing.assert_allclose(vector.half_life_steps, expected.half_life_steps, rtol=1e-7)
            np.testing.assert_allclose(vector.half_life_interval_steps, expected.half_life_interval_steps, rtol=1e-6)
            np.testing.assert_allclose(vector.statistic, expected.statistic, rtol=1e-7)
            basket_spreads = np.corrcoef(other @ vector.weights, log_prices @ expected.weights)
            assert abs(basket_spreads[0, 1]) == pytest.approx(1.0, abs=1e-9)


def test_bad_input() -> None:
    """A confidence outside (0, 1) is refused, and a set that is exactly dependent by name before that."""
    log_prices = simulated(np.random.default_rng(11), 100)
    for confidence in (0.0, 1.0):
        with pytest.raises(IllPosed, match="confidence"):
            ornstein_uhlenbeck(regression_of(log_prices), confidence)
    with pytest.raises(ExactlyDependent, match=r"4 = \+1 0 -1 1"):
        regression_of(np.column_stack([log_prices, log_prices[:, 0] - log_prices[:, 1]]))
