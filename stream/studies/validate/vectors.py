"""β vectors in use, against what their basket spreads did afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from solver.arrays import FloatArray
from solver.reversion.live.betas import LiveBeta
from solver.scoring.relationships import followed
from stream.config import ReversionConfig
from stream.engine.market.model import Market


@dataclass(frozen=True, eq=False)
class Outcome:
    """One β at one date, and the stretch after it.

    Attributes
    ----------
    beta_id, evidence : as published at that date.
    forecast_ratio, ratio_upper : basis ratio on the stretch held back from the fit, and its upper confidence bound.
    ratio : basis ratio on the stretch after the date.
    half_life_steps : on the stretch after the date; infinite where the basket spread does not revert.
    walk_p_value : of the test that the basket spread is a random walk, on the stretch after the date.
    retired : whether the watch retired it within that stretch.
    """

    beta_id: str
    evidence: tuple[str, ...]
    forecast_ratio: float
    ratio_upper: float
    ratio: float
    half_life_steps: float
    walk_p_value: float
    retired: bool


@dataclass
class Assessor:
    """Notes the β in use at dates `stretch_steps` rows apart, from the first refit on; `outcomes` says what followed.

    The stretches do not overlap, so no row counts twice.
    """

    settings: ReversionConfig
    dates: list[tuple[int, tuple[LiveBeta, ...]]] = field(default_factory=list)
    _retired: dict[str, list[int]] = field(default_factory=dict)
    _fitted: bool = False

    @property
    def stretch_steps(self) -> int:
        """Rows of a stretch, as many as the forecast was measured on."""
        return self.settings.holdout_steps

    def add(self, row: int, market: Market) -> None:
        """Take what the service knows at the close of `row`."""
        for retirement in (old for old in market.retirements if old.reason == "broke"):
            self._retired.setdefault(retirement.beta_id, []).append(row)
        self._fitted = self._fitted or market.candidates_tried > 0
        if self._fitted and (not self.dates or row - self.dates[-1][0] >= self.stretch_steps):
            self.dates.append((row, market.betas))

    def outcomes(self, log_prices: FloatArray) -> list[list[Outcome]]:
        """For each date with a whole stretch after it, what every β of that date did.

        `log_prices` (T, n) may differ from those that the β were fitted to. Then the outcomes are those by chance.
        """
        stretch, settings = self.stretch_steps, self.settings
        found: list[list[Outcome]] = []
        for row, betas in self.dates:
            if row + stretch >= len(log_prices):
                continue
            if not betas:
                found.append([])
                continue
            B = np.array([beta.vector.weights for beta in betas]).T
            after = followed(log_prices[row : row + stretch + 1], B, settings.basis_horizon_steps, settings.lags)
            found.append(
                [
                    Outcome(
                        beta_id=beta.beta_id,
                        evidence=beta.vector.evidence,
                        forecast_ratio=beta.vector.basis_ratio,
                        ratio_upper=beta.vector.basis_ratio_upper,
                        ratio=float(after.basis_ratios[k]),
                        half_life_steps=float(after.half_lives[k]),
                        walk_p_value=float(after.p_values[k]),
                        retired=any(row < at <= row + stretch for at in self._retired.get(beta.beta_id, [])),
                    )
                    for k, beta in enumerate(betas)
                ]
            )
        return found
