"""Forecast covariances held against what followed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.scoring.calibration import mahalanobis_ratios, standardised_outcomes
from solver.scoring.losses import multivariate_qlike, qlike
from solver.scoring.portfolios import (
    are_regular,
    eigenportfolios,
    minimum_variance,
    random_long_only,
    random_long_short,
)

#: Random portfolios of each kind: enough that their median moves by less than .01 with the seed.
RANDOM_PORTFOLIOS = 50

FAMILIES = ("single assets", "random long-only", "random long-short", "minimum variance", "eigenportfolios")
"""From the harmless to the merciless; the weights of the last two are chosen by the forecast itself."""

# Forecasts that are scored at once: whole arrays are fast, and a long file's covariances need not be kept.
_BATCH = 512


@dataclass(frozen=True, eq=False)
class Scores:
    """S forecasts, each with its outcome.

    Attributes
    ----------
    rows : (S,) of the price file at whose close the forecast was made.
    ends : (S,) rows at which the outcome was known.
    z : by family, (S, K) standardised outcomes; NaN where there was no forecast.
    qlike : (S, n) of each asset; NaN likewise.
    multivariate_qlike, mahalanobis : (S,) per asset; NaN where the covariance was singular.
    unforecast : outcomes without a forecast, at the beginning.
    singular : forecasts of which some portfolio has no risk at all: an asset that had not moved yet, or a full set of
        crosses. They have no determinant, so only single assets and random portfolios are scored.
    """

    rows: IntArray
    ends: IntArray
    z: dict[str, FloatArray]
    qlike: FloatArray
    multivariate_qlike: FloatArray
    mahalanobis: FloatArray
    unforecast: int
    singular: int


@dataclass
class Scorer:
    """Takes forecasts in the order of the file, and scores every `horizon_steps`-th: outcomes do not overlap.

    Parameters
    ----------
    log_prices : (T, n) of the whole file; of a row's forecast nothing but the rows up to `horizon_steps` later is used.
    horizon_steps : rows that an outcome spans.
    chance : draws the random portfolios.
    """

    log_prices: FloatArray
    horizon_steps: int
    chance: np.random.Generator
    _weights: dict[str, FloatArray] = field(init=False)
    _rows: list[int] = field(init=False, default_factory=list)
    _Sigmas: list[FloatArray] = field(init=False, default_factory=list)
    _parts: list[Scores] = field(init=False, default_factory=list)
    _unforecast: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        n = self.log_prices.shape[1]
        self._weights = {
            FAMILIES[0]: np.eye(n),
            FAMILIES[1]: random_long_only(n, RANDOM_PORTFOLIOS, self.chance),
            FAMILIES[2]: random_long_short(n, RANDOM_PORTFOLIOS, self.chance),
        }

    def scores_at(self, row: int) -> bool:
        """Whether a forecast at the close of `row` will be scored."""
        return row % self.horizon_steps == 0 and row + self.horizon_steps < len(self.log_prices)

    def add(self, row: int, Sigma: FloatArray | None) -> None:
        """The forecast (n, n) at the close of `row` for `horizon_steps` of them; None where there is none yet."""
        if not self.scores_at(row):
            return
        if Sigma is None:
            self._unforecast += 1
            return
        self._rows.append(row)
        self._Sigmas.append(Sigma)
        if len(self._rows) == _BATCH:
            self._score()

    def scores(self) -> Scores:
        """All of them."""
        if self._rows or not self._parts:
            self._score()
        parts = self._parts
        return Scores(
            rows=np.concatenate([part.rows for part in parts]),
            ends=np.concatenate([part.ends for part in parts]),
            z={name: np.concatenate([part.z[name] for part in parts]) for name in FAMILIES},
            qlike=np.concatenate([part.qlike for part in parts]),
            multivariate_qlike=np.concatenate([part.multivariate_qlike for part in parts]),
            mahalanobis=np.concatenate([part.mahalanobis for part in parts]),
            unforecast=self._unforecast,
            singular=sum(part.singular for part in parts),
        )

    def _score(self) -> None:
        n = self.log_prices.shape[1]
        rows = np.array(self._rows, dtype=np.int64)
        Sigmas = np.array(self._Sigmas).reshape(-1, n, n)
        outcomes = self.log_prices[rows + self.horizon_steps] - self.log_prices[rows]
        regular = are_regular(Sigmas)
        z = {name: standardised_outcomes(Sigmas, outcomes, weights) for name, weights in self._weights.items()}
        z[FAMILIES[3]] = np.full((len(rows), 1), np.nan)
        z[FAMILIES[4]] = np.full((len(rows), n), np.nan)
        joint, distance = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        if regular.any():
            S, r = Sigmas[regular], outcomes[regular]
            z[FAMILIES[3]][regular] = standardised_outcomes(S, r, minimum_variance(S)[:, None, :])
            z[FAMILIES[4]][regular] = standardised_outcomes(S, r, eigenportfolios(S))
            joint[regular] = multivariate_qlike(S, r) / n
            distance[regular] = mahalanobis_ratios(S, r)
        variances = np.einsum("tii->ti", Sigmas)
        moved = variances > 0.0
        single = np.full(outcomes.shape, np.nan)
        single[moved] = qlike(variances[moved], outcomes[moved])
        self._parts.append(
            Scores(rows, rows + self.horizon_steps, z, single, joint, distance, 0, int((~regular).sum()))
        )
        self._rows, self._Sigmas = [], []
