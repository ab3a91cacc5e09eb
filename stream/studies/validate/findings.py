"""What a validation found, as it goes into the JSON file, the report and the table."""

from __future__ import annotations

from msgspec import Struct

from stream.config import CovarianceConfig, ReversionConfig


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

    `pooled` is a root mean square over every outcome of every portfolio, so one violent day weighs in it as it did;
    `pooled_without_worst` leaves out the row with the largest.
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

    `difference_without_worst` leaves out the row whose losses differ most, in which a mean may consist of little else.
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
    """Mean of r'Σ⁻¹r / n, 1 where the whole covariance is right, and its median beside that of normal outcomes."""

    outcomes: int
    mean: Estimate
    median: float
    normal_median: float


class Share(Struct, frozen=True, kw_only=True):
    """Share of the β in use of which something held on the stretch after the date.

    `chance` is the share among the same weights on shuffled prices. `shuffled` is that among the β which the whole
    service, run on shuffled prices, had in use there: hardly any, as it should be.
    """

    what: str
    vectors: int
    share: Estimate
    chance: Estimate
    shuffled_vectors: int
    shuffled: Estimate


class BasisForecast(Struct, frozen=True, kw_only=True):
    """The basis ratio that was forecast for each β in use, against the one that followed."""

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
    """A line of the verdict; `passed` is None where there was nothing to judge."""

    passed: bool | None
    text: str


class Validation(Struct, frozen=True, kw_only=True):
    """A whole run. `partial` says that it was interrupted, and holds for the rows before that alone."""

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

    @property
    def found(self) -> bool:
        """Whether something does not hold."""
        return any(check.passed is False for check in self.checks)
