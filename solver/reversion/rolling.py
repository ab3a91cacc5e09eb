"""The β vectors of a sliding window, refitted from moments alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from solver.arrays import FloatArray
from solver.errors import ExactlyDependent, IllPosed, NotEnoughData
from solver.moments import SlidingMoments, restored_arrays
from solver.reversion.basis import basis_ratios
from solver.reversion.johansen import (
    SIGNIFICANCE_LEVELS,
    TABULATED_SERIES,
    centred_moments,
    half_life_of,
    johansen,
    johansen_row,
)
from solver.reversion.pca import minor_components
from solver.reversion.select import Candidate, evidence_for, prune
from solver.reversion.sparse import sparse_vectors
from solver.reversion.vector import LEADING_SHARE, BetaVector, Method, canonical_weights

# A spread did not move when its variance is below this share of its legs': rounding of moments leaves about 1e-14.
_STILL_SPREAD = 1e-12

# Nor did an asset whose log price varies by less than 1e-12 around its mean: far below a tick, above what the sums of a
# window that has gone flat keep from rounding.
_STILL_ASSET = 1e-24


@dataclass(frozen=True, kw_only=True)
class ReversionSettings:
    """What `RollingReversion` fits and what it accepts.

    Attributes
    ----------
    methods : what proposes candidates, any of "johansen", "pca", "sparse". The last two accept nothing on
        independent random walks; the trace test's tables are for drifting series, and on driftless walks it rejects
        more often than `significance` says.
    window_steps : timesteps in all, the held-back stretch included.
    holdout_steps : the most recent of them, kept from the fit.
    basis_horizon_steps : H of the basis ratio, at most half of `holdout_steps`.
    basis_ratio_max : a vector passes as `basis` when its ratio is at most this on both stretches, in (0, 1).
    significance : of the trace test, one of 0.10, 0.05, 0.01.
    half_life_max_steps : slowest reversion that passes as `reverting`, > 0.
    max_legs : 2 or 3, of a sparse vector.
    max_vectors : how many are handed on, >= 1.
    lags : lagged differences in the error-correction model, >= 0.
    """

    methods: tuple[Method, ...]
    window_steps: int
    holdout_steps: int
    basis_horizon_steps: int
    basis_ratio_max: float
    significance: float
    half_life_max_steps: float
    max_legs: int
    max_vectors: int
    lags: int


@dataclass(frozen=True, eq=False)
class Refit:
    """What one refit found.

    Attributes
    ----------
    betas : accepted vectors, least basis ratio first. Empty is a normal answer: no reliable vector.
    candidates_tried : vectors and leg sets that were looked at, rejected ones included.
    refusals : one line for each method that had no answer on this window, with the reason.
    """

    betas: tuple[BetaVector, ...]
    candidates_tried: int
    refusals: tuple[str, ...] = ()


class RollingReversion:
    """Fits on one stretch of log prices, measures on the stretch after it, and slides both.

    Two chained windows of the same rows [x_{t-1}, Δx_{t-1..t-lags}, 1, Δx_t, Δ_H x_t]: a row enters the held-back
    window and, `holdout_steps` later, falls out of it into the fit window. Candidates come from the fit window alone.
    Changes over H > 1 belong to the stretch that they end in.

    A push costs O((n * lags)²), a refit O(n³) and O(n³) leg sets; neither depends on the windows' lengths. Log prices
    are kept less those of the first timestep, which changes no result and keeps the moments' digits.

    Parameters
    ----------
    n : assets, >= 2.
    settings : see `ReversionSettings`.
    names : (n) of the assets, for messages; indices by default.

    Raises
    ------
    IllPosed : a setting out of range; the message names it.
    NotEnoughData : the fit stretch is too short for the error-correction model of "johansen".
    """

    def __init__(self, n: int, settings: ReversionSettings, names: tuple[str, ...] | None = None) -> None:
        _check(n, settings)
        self._n = n
        self._settings = settings
        self._names = names or tuple(str(i) for i in range(n))
        self._constant = n * (settings.lags + 1)
        dimension = n * (settings.lags + 3) + 1
        self._held_back = SlidingMoments(settings.holdout_steps, dimension)
        self._fit = SlidingMoments(settings.window_steps - settings.holdout_steps, dimension)
        self._history = np.zeros((max(settings.lags + 1, settings.basis_horizon_steps) + 1, n))
        self._anchor = np.zeros(n)
        self._seen = np.zeros(1, dtype=np.int64)

    @property
    def ready(self) -> bool:
        """Whether both stretches are full, which takes `window_steps` + max(lags + 1, H) timesteps."""
        return self._fit.full

    def push(self, log_prices: FloatArray) -> None:
        """Take the log prices (n,) of the next timestep.

        Raises
        ------
        IllPosed : wrong shape, or a value that is not finite; nothing was changed.
        """
        log_prices = np.asarray(log_prices, dtype=np.float64)
        if log_prices.shape != (self._n,):
            raise IllPosed(f"log_prices must have shape ({self._n},), got {log_prices.shape}")
        if not np.all(np.isfinite(log_prices)):
            raise IllPosed(f"log_prices must be finite, got {log_prices}")
        if self._seen[0] == 0:
            self._anchor = log_prices.copy()
        self._history = np.vstack([self._history[1:], log_prices - self._anchor])
        self._seen = self._seen + 1
        if self._seen[0] < len(self._history):
            return
        latest, before = self._history[-1], self._history[-1 - self._settings.basis_horizon_steps]
        row = np.concatenate([johansen_row(self._history[-self._settings.lags - 2 :]), latest - before])
        fallen_out = self._held_back.push(row)
        if fallen_out is not None:
            self._fit.push(fallen_out)

    def refit(self) -> Refit:
        """Propose on the fit stretch, measure on both, accept and prune.

        Raises
        ------
        NotEnoughData : not `ready`.
        """
        if not self.ready:
            raise NotEnoughData(
                f"a refit needs {self._fit.window} rows in the fit stretch, got {self._fit.count}: push more log prices"
            )
        fit = self._fit.sums()
        candidates, tried, refusals = self._candidates(fit)
        if not candidates:
            return Refit(betas=(), candidates_tried=tried, refusals=refusals)

        held_back = self._held_back.sums()
        n, constant = self._n, self._constant
        levels = slice(0, n)
        changes = slice(constant + 1, constant + 1 + n)
        horizon_changes = slice(constant + 1 + n, constant + 1 + 2 * n)

        B = np.array([candidate.weights for candidate in candidates]).T
        fit_ratios = basis_ratios(B, self._covariance(fit, horizon_changes))
        held_back_ratios = basis_ratios(B, self._covariance(held_back, horizon_changes))
        half_lives = [half_life_of(reversion) for reversion in self._reversions(fit, B)]

        whole = fit + held_back
        level_covariance = self._covariance(whole, levels)
        spread_variances = _quadratic(B, level_covariance)
        moved = spread_variances > _STILL_SPREAD * (np.diag(level_covariance) @ B**2)
        volatilities = np.sqrt(np.where(moved, spread_variances, 0.0))
        distances = B.T @ (self._history[-1] - whole[levels, constant] / whole[constant, constant])

        accepted = []
        for k, candidate in enumerate(candidates):
            evidence = evidence_for(
                candidate,
                fit_basis_ratio=float(fit_ratios[k]),
                held_back_basis_ratio=float(held_back_ratios[k]),
                half_life_steps=half_lives[k],
                basis_ratio_max=self._settings.basis_ratio_max,
                half_life_max_steps=self._settings.half_life_max_steps,
            )
            if evidence:
                accepted.append(
                    BetaVector(
                        weights=candidate.weights,
                        method=candidate.method,
                        basis_ratio=float(held_back_ratios[k]),
                        basis_horizon_steps=self._settings.basis_horizon_steps,
                        half_life_steps=half_lives[k],
                        spread_volatility=float(volatilities[k]),
                        deviation=float(distances[k] / volatilities[k]) if moved[k] else None,
                        statistic=candidate.statistic,
                        critical_value=candidate.critical_value,
                        evidence=evidence,
                    )
                )
        leg_scale = np.sqrt(np.diag(self._covariance(fit, changes)))
        return Refit(
            betas=prune(accepted, leg_scale, self._settings.max_vectors), candidates_tried=tried, refusals=refusals
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of everything needed to go on bit for bit."""
        own: dict[str, NDArray[Any]] = {
            "history": self._history.copy(),
            "anchor": self._anchor.copy(),
            "seen": self._seen.copy(),
        }
        for prefix, moments in (("held_back", self._held_back), ("fit", self._fit)):
            own |= {f"{prefix}.{name}": array for name, array in moments.arrays().items()}
        return own

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `arrays` gave.

        Raises
        ------
        IllPosed : an array is missing, or of another shape than these settings need; nothing was changed.
        """
        restored = restored_arrays(self.arrays(), arrays)
        for prefix, moments in (("held_back.", self._held_back), ("fit.", self._fit)):
            moments.restore({name.removeprefix(prefix): a for name, a in restored.items() if name.startswith(prefix)})
        self._history, self._anchor, self._seen = restored["history"], restored["anchor"], restored["seen"]

    def _candidates(self, fit: FloatArray) -> tuple[list[Candidate], int, tuple[str, ...]]:
        """Candidates of every method in the settings' order, how many were tried, and which methods had no answer."""
        n, constant = self._n, self._constant
        changes = slice(constant + 1, constant + 1 + n)
        change_covariance = self._covariance(fit, changes)
        candidates: list[Candidate] = []
        tried = 0
        refusals: tuple[str, ...] = ()
        for method in self._settings.methods:
            if method == "johansen":
                try:
                    candidates += self._cointegrated(fit)
                    tried += n
                except ExactlyDependent as exc:
                    refusals += (f"johansen: {exc}",)
            elif method == "pca":
                components = minor_components(change_covariance)
                candidates += [Candidate(weights, "pca") for weights in components]
                tried += len(components)
            else:
                vectors, leg_sets = sparse_vectors(change_covariance, self._settings.max_legs)
                candidates += [Candidate(weights, "sparse") for weights in vectors]
                tried += leg_sets
        return candidates, tried, refusals

    def _covariance(self, sums: FloatArray, block: slice) -> FloatArray:
        """(n, n) covariance of one block of the rows; exactly 0 for an asset that did not move."""
        own = np.r_[block, self._constant]
        centred = centred_moments(sums[np.ix_(own, own)], self._n)
        covariance: FloatArray = centred[:-1, :-1] / sums[self._constant, self._constant]
        still = np.diag(covariance) <= _STILL_ASSET
        covariance[still] = 0.0
        covariance[:, still] = 0.0
        return covariance

    def _reversions(self, fit: FloatArray, B: FloatArray) -> list[float]:
        """Coefficient of Δs_t on s_{t-1} in the fit stretch for each spread s = β'x; 0 for one that did not move."""
        n, constant = self._n, self._constant
        covariance = centred_moments(fit, constant) / fit[constant, constant]
        levels = covariance[:n, :n]
        variances = _quadratic(B, levels)
        common = _quadratic(B, covariance[:n, constant + 1 : constant + 1 + n])
        moved = variances > _STILL_SPREAD * (np.diag(levels) @ B**2)
        return [float(c / v) if m else 0.0 for c, v, m in zip(common, variances, moved, strict=True)]

    def _cointegrated(self, fit: FloatArray) -> list[Candidate]:
        """The cointegrating vectors up to the rank at which the sequence of trace tests stops rejecting."""
        dimension = self._constant + 1 + self._n
        model = johansen(fit[:dimension, :dimension], self._n, self._settings.lags, self._names)
        assert model.trace_critical is not None  # _check refused more series than the tables have
        critical = model.trace_critical[:, SIGNIFICANCE_LEVELS.index(self._settings.significance)]
        passed = model.trace > critical
        rank = self._n if passed.all() else int(np.argmin(passed))
        return [
            Candidate(
                canonical_weights(model.beta[:, k], LEADING_SHARE),
                "johansen",
                float(model.trace[k]),
                float(critical[k]),
            )
            for k in range(rank)
        ]


def _quadratic(B: FloatArray, matrix: FloatArray) -> FloatArray:
    """β' matrix β for each column β of `B`."""
    values: FloatArray = np.einsum("ik,ij,jk->k", B, matrix, B)
    return values


def _check(n: int, settings: ReversionSettings) -> None:
    if n < 2:
        raise IllPosed(f"a β vector needs at least 2 assets, got {n}")
    for method in settings.methods:
        if method not in get_args(Method):
            raise IllPosed(f"methods must be of {get_args(Method)}, got {method!r}")
    if not 2 <= settings.holdout_steps < settings.window_steps - 1:
        raise IllPosed(
            f"holdout_steps must be >= 2 and leave at least 2 of window_steps = {settings.window_steps} to the fit, "
            f"got {settings.holdout_steps}"
        )
    if not 1 <= settings.basis_horizon_steps <= settings.holdout_steps // 2:
        raise IllPosed(
            f"basis_horizon_steps must be >= 1 and at most half of holdout_steps = {settings.holdout_steps}, "
            f"got {settings.basis_horizon_steps}"
        )
    if not 0.0 < settings.basis_ratio_max < 1.0:
        raise IllPosed(f"basis_ratio_max must lie in (0, 1), got {settings.basis_ratio_max}")
    if settings.significance not in SIGNIFICANCE_LEVELS:
        raise IllPosed(f"significance must be one of {SIGNIFICANCE_LEVELS}, got {settings.significance}")
    if not settings.half_life_max_steps > 0.0:
        raise IllPosed(f"half_life_max_steps must be > 0, got {settings.half_life_max_steps}")
    if settings.max_legs not in (2, 3):
        raise IllPosed(f"max_legs must be 2 or 3, got {settings.max_legs}")
    if settings.max_vectors < 1:
        raise IllPosed(f"max_vectors must be >= 1, got {settings.max_vectors}")
    if settings.lags < 0:
        raise IllPosed(f"lags must be >= 0, got {settings.lags}")
    if "johansen" in settings.methods:
        if n > TABULATED_SERIES:
            raise IllPosed(
                f"the trace test has critical values for at most {TABULATED_SERIES} series, got {n}: leave johansen "
                f"out of methods, or split the universe"
            )
        needed = n * (settings.lags + 2) + 1
        if settings.window_steps - settings.holdout_steps < needed:
            raise NotEnoughData(
                f"johansen on {n} series with {settings.lags} lags needs a fit stretch of at least {needed} steps, "
                f"got {settings.window_steps - settings.holdout_steps}"
            )
