"""Forecast covariances, against what followed."""

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
"""From the easiest to the hardest to forecast. The forecast itself chooses the weights of the last two."""

# So many forecasts are scored at once: whole arrays are fast, and the covariances of a long file need not be kept.
_BATCH = 512


@dataclass(frozen=True, eq=False)
class Scores:
    """S forecasts, each with its outcome.

    Attributes
    ----------
    rows : (S,) of the price file at whose close the forecast was made.
    ends : (S,) rows at which the outcome was known.
    z : by family, (S, K) standardised outcomes; NaN where there was no forecast.
    qlike : (S, n) of each asset; NaN where there was no forecast.
    multivariate_qlike, mahalanobis : (S,) per asset; NaN where the covariance was singular.
    unforecast : how many outcomes at the beginning had no forecast.
    singular : how many forecasts gave some portfolio no risk at all, because an asset had not moved yet or the pairs
        are a full set of crosses. Their determinant is 0, so only single assets and random portfolios are scored.
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
    """Scores every `horizon_steps`-th forecast, so that outcomes do not overlap. Takes them in the order of the file.

    Parameters
    ----------
    log_prices : (T, n) of the whole file. A forecast is scored on the rows up to `horizon_steps` after its own.
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
        """Take the forecast (n, n) made at the close of `row` for the next `horizon_steps`; None: there is none yet."""
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
        """The scores of all forecasts."""
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
