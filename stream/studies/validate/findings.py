"""What a validation found: the content of the JSON file, the report and the table."""

from __future__ import annotations

from msgspec import Struct

from stream.config import CovarianceConfig, ReversionConfig
from stream.studies.validate.second_opinion.answers import SecondOpinion


class Estimate(Struct, frozen=True):
    """A figure with the bounds of its 95 % confidence interval."""

    estimate: float
    lower: float
    upper: float


class Input(Struct, frozen=True, kw_only=True):
    """What was read. `left_out` says what was not used, with its count."""

    name: str
    sha256: str
    assets: tuple[str, ...]
    rows: int
    first: str
    last: str
    timestep_s: float
    gaps: int
    left_out: tuple[tuple[str, int], ...]


class Bias(Struct, frozen=True, kw_only=True):
    """Bias statistics of a family of portfolios: their median, their range, and all outcomes pooled.

    `pooled` is the root mean square over every outcome of every portfolio, so a single violent day counts in full.
    `pooled_without_worst` leaves out the row with the largest outcomes.
    """

    family: str
    portfolios: int
    median: Estimate
    lowest: float
    highest: float
    pooled: Estimate
    pooled_without_worst: float
    worst_time: str


class Exceedance(Struct, frozen=True, kw_only=True):
    """Outcomes beyond the band of a normal distribution, on either side, pooled over the portfolios of a family.

    The tests are run for each portfolio; `..._rejects` counts those whose p-value is below 5 %.
    """

    family: str
    portfolios: int
    nominal: float
    rate: float
    kupiec_rejects: int
    christoffersen_rejects: int
    conditional_rejects: int


class Loss(Struct, frozen=True, kw_only=True):
    """Mean QLIKE per asset and outcome, beside a reference's on the same ones; `difference` < 0: ours is better.

    `difference_without_worst` leaves out the row whose losses differ most: it may dominate the mean.
    """

    what: str
    outcomes: int
    ours: float
    reference_label: str
    reference: float
    difference: Estimate
    difference_without_worst: float
    worst_time: str


class Distance(Struct, frozen=True, kw_only=True):
    """Mean of r'Σ⁻¹r / n, which is 1 where the whole covariance is right; its median, and that of normal outcomes."""

    outcomes: int
    mean: Estimate
    median: float
    normal_median: float


class Share(Struct, frozen=True, kw_only=True):
    """Share of the β in use that kept a property on the stretch after the date; `what` names the property.

    `chance` is the share among the same weights on shuffled prices. `shuffled` is the share among the β that the whole
    service has in use when it runs on shuffled prices; there should be hardly any.
    """

    what: str
    vectors: int
    share: Estimate
    chance: Estimate
    shuffled_vectors: int
    shuffled: Estimate


class BasisForecast(Struct, frozen=True, kw_only=True):
    """The basis ratio forecast for each β in use, against the one that followed."""

    vectors: int
    mean_forecast: float
    mean_followed: float
    median_quotient: Estimate
    rank_correlation: Estimate
    within_upper_bound: Estimate


class Vectors(Struct, frozen=True, kw_only=True):
    """β out of sample, at `dates` that are `stretch_steps` apart."""

    stretch_steps: int
    dates: int
    in_use: int
    dates_with_any: int
    shuffled_in_use: int
    shuffled_dates_with_any: int
    retired_within_stretch: int
    shares: tuple[Share, ...]
    basis_forecast: BasisForecast | None


class Check(Struct, frozen=True):
    """A line of the verdict; `passed` is None where nothing could be judged."""

    passed: bool | None
    text: str


class Validation(Struct, frozen=True, kw_only=True):
    """A whole run. With `partial` it was interrupted, and covers only the rows before that."""

    version: str
    input: Input
    covariance: CovarianceConfig
    reversion: ReversionConfig
    config_hash: str
    horizon_steps: int
    seed: int
    partial: bool
    checks: tuple[Check, ...]
    outcomes: int
    unforecast: int
    singular: int
    biases: tuple[Bias, ...]
    exceedances: tuple[Exceedance, ...]
    losses: tuple[Loss, ...]
    distance: Distance | None
    vectors: Vectors
    second_opinion: SecondOpinion = SecondOpinion()

    @property
    def found(self) -> bool:
        """Whether a check found something that does not hold."""
        return any(check.passed is False for check in self.checks)
