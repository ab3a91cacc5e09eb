"""The rows that a refit read, and what its own methods say of them: the refit's side of the comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import ExactlyDependent, NotConverged
from solver.reversion.error_correction import ErrorCorrection, half_life_of, regress
from solver.reversion.evidence.basis import basis_ratios, change_covariance
from solver.reversion.evidence.unit_root import dickey_fuller_statistics
from solver.reversion.methods.johansen import Johansen, choose_lags, drop_lags, reduced_rank
from solver.reversion.methods.proposals import change_vectors, level_vectors
from solver.reversion.refits.rolling import RollingReversion
from solver.reversion.refits.settings import ReversionSettings
from solver.reversion.refits.stretches import Stretches
from solver.reversion.vector import CHANGE_METHODS, Candidate
from stream.errors import DataUnavailable

# As the refit: an asset whose log price varies by less than 1e-12 around its mean stands still.
_STILL_ASSET = 1e-24

# As the refit: a basket spread below this share of its legs' variance did not move.
_STILL_SPREAD = 1e-12

_ICA_SEED = 2


def rows_read(settings: ReversionSettings) -> int:
    """Rows of log prices that a refit's window is made from: its own, and those before that its changes reach into."""
    return settings.window_steps + max(settings.lags + 1, settings.basis_horizon_steps)


@dataclass(frozen=True, eq=False)
class Window:
    """The rows of one refit, as its own sliding sums hold them.

    Attributes
    ----------
    names, settings : of the refit.
    log_prices : (`rows_read`, n), the latest last.
    stretches : what the refit reads of them.
    lags : lagged differences of every test, by the criterion of the settings.
    moments : (d, d) of the fit stretch for these lags.
    regression : of the levels, the constant inside the relations; None where `dependence` says why there is none.
    """

    names: tuple[str, ...]
    settings: ReversionSettings
    log_prices: FloatArray
    stretches: Stretches
    lags: int
    moments: FloatArray
    regression: ErrorCorrection | None
    dependence: str

    @property
    def fit_levels(self) -> FloatArray:
        """(fit rows + lags + 1, n) log prices from which the fit stretch's regression with `lags` is made."""
        last = len(self.log_prices) - self.settings.holdout_steps
        rows = self.settings.window_steps - self.settings.holdout_steps
        return self.log_prices[last - rows - self.lags - 1 : last]

    @property
    def whole_levels(self) -> FloatArray:
        """(window_steps + lags + 1, n) the same of both stretches."""
        return self.log_prices[-self.settings.window_steps - self.lags - 1 :]

    @property
    def leg_scale(self) -> FloatArray:
        """(n,) standard deviation of each asset's changes on the fit stretch."""
        scale: FloatArray = np.sqrt(np.diag(self.change_covariance))
        return scale

    @property
    def change_covariance(self) -> FloatArray:
        """(n, n) of the changes on the fit stretch, 0 for an asset that stood still."""
        changes = self.stretches.fit_changes - self.stretches.fit_changes.mean(axis=0)
        covariance: FloatArray = changes.T @ changes / len(changes)
        still = np.diag(covariance) <= _STILL_ASSET
        covariance[still] = 0.0
        covariance[:, still] = 0.0
        return covariance

    def johansen(self) -> Johansen | None:
        """The refit's analysis, with the constant inside the relations."""
        return None if self.regression is None else reduced_rank(self.regression)

    def johansen_with_drift(self) -> Johansen | None:
        """The same with the constant outside the relations, which is coint_johansen's model."""
        if self.regression is None:
            return None
        try:
            return reduced_rank(regress(self.moments, len(self.names), self.lags, self.names))
        except ExactlyDependent:
            return None

    def dickey_fuller(self, weights: FloatArray) -> float:
        """The refit's t-statistic of the basket spread of `weights` (n,); 0 for one that did not move."""
        return float(dickey_fuller_statistics(self.moments, len(self.names), self.lags, weights[:, None])[0])

    def shared(self, weights: FloatArray) -> float:
        """Variance of the legs on the fit rows as a multiple of the basket spread's: what they share costs digits."""
        levels = self.fit_levels - self.fit_levels.mean(axis=0)
        left = float(np.mean((levels @ weights) ** 2))
        return float(np.mean(levels**2 @ weights**2)) / left if left > 0.0 else math.inf

    def half_lives(self, weights: FloatArray) -> tuple[float | None, float | None]:
        """Of an AR(1) on the fit stretch, and on the held-back one towards the mean of the fit stretch."""
        holdout, rows = self.settings.holdout_steps, self.settings.window_steps - self.settings.holdout_steps
        basket_spread = (self.log_prices - self.log_prices.mean(axis=0)) @ weights
        fit, held_back = basket_spread[-holdout - rows - 1 : -holdout], basket_spread[-holdout - 1 :]
        centre = float(fit[:-1].mean())
        return self._half_life(fit, centre, weights), self._half_life(held_back, centre, weights)

    def basis_ratio(self, weights: FloatArray) -> tuple[float, float]:
        """Basis ratio on the fit and on the held-back stretch."""
        holdout, horizon = self.settings.holdout_steps, self.settings.basis_horizon_steps
        rows = self.settings.window_steps - holdout
        fit = self.log_prices[-holdout - rows - horizon : -holdout]
        held_back = self.log_prices[-holdout - horizon :]
        ratios = [basis_ratios(weights[:, None], change_covariance(part, horizon))[0] for part in (fit, held_back)]
        return float(ratios[0]), float(ratios[1])

    def candidates(self) -> list[Candidate]:
        """What the methods propose, in the settings' order. Their p-values are those of the tables."""
        n, settings = len(self.names), self.settings
        max_legs = min(settings.max_legs, n)
        found: list[Candidate] = []
        for method in settings.methods:
            match method:
                case "sparse" | "pca" | "ica":
                    try:
                        vectors, _ = change_vectors(
                            method,
                            self.moments,
                            n,
                            self.lags,
                            self.change_covariance,
                            max_legs=max_legs,
                            returns=self.stretches.fit_changes if method == "ica" else None,
                            rng=np.random.default_rng(_ICA_SEED),
                            names=self.names,
                        )
                    except (ExactlyDependent, NotConverged):  # the refit itself says so in its refusals
                        continue
                    found += vectors
                case _ if self.regression is not None:
                    found += level_vectors(method, self.regression, max_legs=max_legs)
        return found

    def _half_life(self, basket_spread: FloatArray, centre: float, weights: FloatArray) -> float | None:
        before = basket_spread[:-1] - centre
        squares = float(before @ before)
        legs = self.log_prices - self.log_prices.mean(axis=0)
        if squares <= _STILL_SPREAD * float(np.sum(legs**2 @ weights**2)):
            return None
        return half_life_of(float(before @ np.diff(basket_spread)) / squares)


def window_of(log_prices: FloatArray, settings: ReversionSettings, names: tuple[str, ...]) -> Window:
    """Read `log_prices` (`rows_read`, n) as the service does: row by row into its sliding sums.

    Raises
    ------
    DataUnavailable : another number of rows, or a price that is missing.
    IllPosed : settings that do not fit the number of assets.
    """
    n = len(names)
    rolling = RollingReversion(n, settings, names)
    if log_prices.shape != (rows_read(settings), n):
        raise DataUnavailable(f"a refit reads ({rows_read(settings)}, {n}) log prices, got {log_prices.shape}")
    if not np.isfinite(log_prices).all():
        raise DataUnavailable("a refit reads rows in which every asset has a price, and here one is missing")
    for row in log_prices:
        rolling.push(row)
    stretches = rolling.stretches()
    dimension = n * (settings.lags + 2) + 1
    moments, lags = stretches.fit[:dimension, :dimension], settings.lags
    regression, dependence = None, ""
    try:
        if settings.lags_criterion is not None:
            lags = choose_lags(moments, n, lags, settings.lags_criterion, names)
            moments = drop_lags(moments, n, settings.lags, lags)
        regression = regress(moments, n, lags, names, constant="restricted")
    except ExactlyDependent as exc:
        dependence = str(exc)
    return Window(names, settings, log_prices, stretches, lags, moments, regression, dependence)


def suited_test(method: str) -> str:
    """The test by which the refit judges a vector of this method."""
    if method in CHANGE_METHODS:
        return "Dickey-Fuller"
    return "Johansen's trace" if method == "johansen" else "likelihood ratio"


def gaps_of(timesteps: IntArray) -> tuple[int, int]:
    """How many rows come more than one timestep after the row before, and the largest distance."""
    distances = np.diff(timesteps)
    return int((distances > 1).sum()), int(distances.max(initial=1))
