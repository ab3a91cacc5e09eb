"""Streaming covariance of log returns.

Both estimators take the mean return as zero: over one timestep it is far below its own sampling error, and estimating
it would let a trend pass for less risk. Both refuse a return that is not finite (`IllPosed`) and leave their state as
it was: whether a gap is skipped, filled or held against the model is the caller's decision, who knows why there is one.

An estimate is a positively weighted sum of outer products, so it is positive semidefinite up to rounding (2⁻⁵³ of the
largest variance), and shrinkage adds a positive multiple of the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from solver.arrays import FloatArray
from solver.errors import IllPosed, NotEnoughData
from solver.moments import SlidingMoments, restored_arrays

Shrinkage: TypeAlias = Literal["none", "ledoit-wolf"]


class WindowCovariance:
    """Covariance of the last `window_steps` returns, each with the same weight.

    S = Σ r r' / T over the T returns held, shrunk by `ledoit_wolf` when asked. Before the window is full, T is what
    there is. An update costs O(n²) whatever the window, and the sums do not drift (see `SlidingMoments`).

    Parameters
    ----------
    n : assets.
    window_steps : timesteps, >= 1.
    shrinkage : "none" or "ledoit-wolf".

    Raises
    ------
    IllPosed : a parameter out of range.
    """

    def __init__(self, n: int, window_steps: int, shrinkage: Shrinkage) -> None:
        self._n = n
        self._shrinkage = _checked_shrinkage(n, shrinkage)
        # The last entry of a row is |r|²: its square sums to the fourth moment that the shrinkage intensity needs.
        self._moments = SlidingMoments(window_steps, n + 1)

    @property
    def observations(self) -> int:
        """Returns held, at most `window_steps`."""
        return self._moments.count

    def update(self, returns: FloatArray) -> None:
        """Take the log returns (n,) of one timestep; IllPosed on a wrong shape or a value that is not finite."""
        self._moments.push(_with_squared_norm(returns, self._n))

    def estimate(self) -> FloatArray:
        """(n, n) covariance, log-return² per timestep; NotEnoughData before the first return."""
        if self.observations == 0:
            raise NotEnoughData("a covariance needs at least 1 return, got 0")
        means = self._moments.sums() / self.observations
        Sigma = np.ascontiguousarray(means[:-1, :-1])
        if self._shrinkage == "none":
            return Sigma
        return ledoit_wolf(Sigma, float(means[-1, -1]), float(self.observations))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of everything needed to go on bit for bit."""
        return self._moments.arrays()

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `arrays` gave; IllPosed when it does not fit these parameters."""
        self._moments.restore(arrays)


class ExponentialCovariance:
    """Covariance with weights that halve every `half_life_steps`.

    With λ = 0.5^(1 / half_life_steps), a return r updates

        M ← λ M + r r',   W ← λ W + 1,   V ← λ² V + 1,   F ← λ F + |r|⁴,   from M = W = V = F = 0,

    and the estimate is S = M / W. Dividing by the weight actually seen, W = (1 - λᵗ) / (1 - λ), is the warm-up
    correction: S is unbiased from the first return on and does not lean towards its starting value. For the shrinkage,
    F / W is the fourth moment and Kish's effective sample size W² / V, which tends to (1 + λ) / (1 - λ), stands for T.
    Rounding errors decay with the weights, so nothing drifts.

    Parameters
    ----------
    n : assets.
    half_life_steps : timesteps, > 0.
    shrinkage : "none" or "ledoit-wolf".

    Raises
    ------
    IllPosed : a parameter out of range.

    References
    ----------
    Kish (1965), Survey Sampling, section 11.7.
    """

    def __init__(self, n: int, half_life_steps: float, shrinkage: Shrinkage) -> None:
        self._n = n
        self._decay = half_life_to_decay(half_life_steps)
        self._shrinkage = _checked_shrinkage(n, shrinkage)
        self._weighted = np.zeros((n + 1, n + 1))  # of [r, |r|²], as in WindowCovariance
        self._weights = np.zeros(2)  # W and V
        self._observations = np.zeros(1, dtype=np.int64)

    @property
    def observations(self) -> int:
        """Returns seen."""
        return int(self._observations[0])

    @property
    def effective_observations(self) -> float:
        """Kish's effective sample size W² / V; 0 before the first return."""
        total, of_squares = self._weights
        return float(total**2 / of_squares) if of_squares else 0.0

    def update(self, returns: FloatArray) -> None:
        """Take the log returns (n,) of one timestep; IllPosed on a wrong shape or a value that is not finite."""
        row = _with_squared_norm(returns, self._n)
        self._weighted = self._decay * self._weighted + np.outer(row, row)
        self._weights = np.array([self._decay, self._decay**2]) * self._weights + 1.0
        self._observations = self._observations + 1

    def estimate(self) -> FloatArray:
        """(n, n) covariance, log-return² per timestep; NotEnoughData before the first return."""
        if self.observations == 0:
            raise NotEnoughData("a covariance needs at least 1 return, got 0")
        means = self._weighted / self._weights[0]
        Sigma = np.ascontiguousarray(means[:-1, :-1])
        if self._shrinkage == "none":
            return Sigma
        return ledoit_wolf(Sigma, float(means[-1, -1]), self.effective_observations)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of everything needed to go on bit for bit."""
        return {
            "weighted": self._weighted.copy(),
            "weights": self._weights.copy(),
            "observations": self._observations.copy(),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `arrays` gave; IllPosed when it does not fit `n`."""
        restored = restored_arrays(self.arrays(), arrays)
        self._weighted, self._weights = restored["weighted"], restored["weights"]
        self._observations = restored["observations"]


def ledoit_wolf(Sigma: FloatArray, mean_fourth_power: float, observations: float) -> FloatArray:
    """Shrink a zero-mean sample covariance towards μI, μ its mean variance, with the asymptotically best intensity.

    (1 - b²/d²) S + (b²/d²) μI with d² = ‖S - μI‖²_F and b² = min((E|r|⁴ - ‖S‖²_F) / T, d²). The fourth moment is all
    that it needs beside S, which is why it streams.

    The target gives every asset the same variance, so the result follows a common change of scale but not one of a
    single asset.

    Parameters
    ----------
    Sigma : (n, n) sample covariance S about zero.
    mean_fourth_power : the mean over the same returns of |r|⁴, |r| the Euclidean norm of a return vector.
    observations : T, > 0; the effective number where returns are weighted.

    Returns
    -------
    (n, n).

    References
    ----------
    Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices, Journal of
    Multivariate Analysis 88, section 3.2.
    """
    n = Sigma.shape[0]
    mean_variance = float(np.trace(Sigma)) / n
    target = mean_variance * np.eye(n)
    distance = float(np.sum((Sigma - target) ** 2))
    sampling_error = min((mean_fourth_power - float(np.sum(Sigma**2))) / observations, distance)
    # No distance: S is its own target, and any intensity gives the same.
    intensity = max(sampling_error, 0.0) / distance if distance > 0.0 else 0.0
    shrunk: FloatArray = (1.0 - intensity) * Sigma + intensity * target
    return shrunk


def half_life_to_decay(half_life_steps: float) -> float:
    """Factor λ = 0.5^(1 / half_life_steps) by which a weight shrinks per timestep; IllPosed unless half life > 0."""
    if not half_life_steps > 0.0:
        raise IllPosed(f"half_life_steps must be > 0, got {half_life_steps}")
    return float(0.5 ** (1.0 / half_life_steps))


def _checked_shrinkage(n: int, shrinkage: Shrinkage) -> Shrinkage:
    if n < 1:
        raise IllPosed(f"n must be >= 1, got {n}")
    if shrinkage not in get_args(Shrinkage):
        raise IllPosed(f"shrinkage must be one of {get_args(Shrinkage)}, got {shrinkage!r}")
    return shrinkage


def _with_squared_norm(returns: FloatArray, n: int) -> FloatArray:
    returns = np.asarray(returns, dtype=np.float64)
    if returns.shape != (n,):
        raise IllPosed(f"returns must have shape ({n},), got {returns.shape}")
    if not np.all(np.isfinite(returns)):
        raise IllPosed(f"returns must be finite, got {returns}")
    return np.append(returns, returns @ returns)
