"""What the refit and statsmodels answer about the same rows, and where the answers differ."""

from __future__ import annotations

from msgspec import Struct


class Agreement(Struct, frozen=True, kw_only=True):
    """Figures that both compute by the same definition from the same rows: they must be equal up to rounding.

    `largest_difference` is relative, or absolute below 1; it is the one that is largest beside its `tolerance`. With
    none compared, `reason` says why.
    """

    what: str
    compared: int
    largest_difference: float | None = None
    tolerance: float | None = None
    reason: str = ""

    @property
    def passed(self) -> bool | None:
        """None where nothing was compared."""
        if self.largest_difference is None or self.tolerance is None:
            return None
        return self.largest_difference <= self.tolerance


class RankTest(Struct, frozen=True, kw_only=True):
    """Johansen's tests of "at most `at_most` relations" among all assets.

    `trace`, `p_value` are the refit's, with the constant inside the relations. `reference_trace` and
    `reference_max_eigenvalue` are those of statsmodels' VECM with the same constant. `drift_...` are those of
    coint_johansen, which knows a constant outside the relations alone, with critical values at 5 %.
    """

    at_most: int
    trace: float | None
    p_value: float | None
    reference_trace: float | None
    reference_max_eigenvalue: float | None
    drift_trace: float | None
    drift_trace_critical: float | None
    drift_max_eigenvalue: float | None
    drift_max_eigenvalue_critical: float | None


class Rank(Struct, frozen=True, kw_only=True):
    """How many relations each finds among all assets; None where it has no answer, and `reasons` says why.

    `configured` says whether `johansen` is among the methods, so that its vectors were candidates.
    """

    configured: bool
    ours: int | None
    reference_by_trace: int | None
    reference_by_max_eigenvalue: int | None
    tests: tuple[RankTest, ...]
    reasons: tuple[str, ...]


class Ours(Struct, frozen=True, kw_only=True):
    """What the refit says of a β. `test` names the test that suits its method.

    `statistic` and `p_value` are None for a β in use that its method no longer proposes: the refit has no test of it.

    `half_life_steps` is that of an AR(1) fitted to the basket spread. `basis_ratio` is that of the held-back stretch,
    and its upper bound is known for a β in use alone.
    """

    test: str
    statistic: float | None
    p_value: float | None
    half_life_steps: float | None
    held_back_half_life_steps: float | None
    basis_ratio: float
    basis_ratio_upper: float | None
    evidence: tuple[str, ...]
    refuted: tuple[str, ...]


class Reference(Struct, frozen=True, kw_only=True):
    """What statsmodels says of a β and its legs; None where it has no answer, and `reasons` says why.

    Attributes
    ----------
    adf_statistic, adf_p_value : adfuller of the basket spread, the weights as given, with the refit's lag count.
    adf_own_lags, adf_own_lags_p_value : the same with the lag count that adfuller chooses itself (AIC).
    adf_window_p_value : the same as the first over the whole window, held-back stretch included.
    engle_granger_statistic, engle_granger_p_value : coint of the leading leg on the others, which allows for weights
        fitted to the same rows.
    trace, trace_critical : coint_johansen of the legs, "no relation", with its critical value at 5 %.
    half_life_steps : of an AR(1) (AutoReg) fitted to the basket spread of the weights as given.
    vecm_weights : of the VECM of rank 1 among the legs, constant inside the relation, leading leg +1.
    vecm_adjustment : its α, log return per timestep and unit of the basket spread.
    vecm_half_life_steps : of an AR(1) fitted to the basket spread of `vecm_weights`.
    vecm_eigenvalue_half_life_steps : of the eigenvalue 1 + β'α of the VECM itself.
    angle_degrees : between the weights of both, each leg in its own standard deviations.
    """

    adf_statistic: float | None = None
    adf_p_value: float | None = None
    adf_own_lags: int | None = None
    adf_own_lags_p_value: float | None = None
    adf_window_p_value: float | None = None
    engle_granger_statistic: float | None = None
    engle_granger_p_value: float | None = None
    trace: float | None = None
    trace_critical: float | None = None
    half_life_steps: float | None = None
    vecm_weights: tuple[float, ...] | None = None
    vecm_adjustment: tuple[float, ...] | None = None
    vecm_half_life_steps: float | None = None
    vecm_eigenvalue_half_life_steps: float | None = None
    angle_degrees: float | None = None
    reasons: tuple[str, ...] = ()

    @property
    def related(self) -> bool | None:
        """Whether coint_johansen finds a relation among the legs at 5 %; None beyond its tables."""
        if self.trace is None or self.trace_critical is None:
            return None
        return self.trace > self.trace_critical


class Difference(Struct, frozen=True):
    """One difference: what it is about, and in words with its figures where it comes from."""

    about: str
    text: str


class BetaOpinion(Struct, frozen=True, kw_only=True):
    """One β by both. `agrees` is None where statsmodels has no answer.

    `in_use` is False for a candidate that the refit refused. `weights` belong to `legs`.
    """

    name: str
    method: str
    in_use: bool
    legs: tuple[str, ...]
    weights: tuple[float, ...]
    ours: Ours
    reference: Reference
    agrees: bool | None
    verdict: str
    differences: tuple[Difference, ...]


class SecondOpinion(Struct, frozen=True, kw_only=True):
    """The last refit in effect beside statsmodels. Without one, `reason` says why, and the rest is empty.

    Attributes
    ----------
    library : statsmodels and its version.
    requested_at : time of the last row that the refit read.
    fit_rows, held_back_rows : rows of the two stretches.
    gaps, longest_gap_steps : rows of the window more than one timestep after the row before, and the largest distance.
    lags : lagged differences in every test.
    tried : candidates that the refit tried.
    level : p-values up to it count as a finding: the refit's `false_discovery_rate`.
    rank, betas, agreements, differences : the answers; `differences` are about all assets together.
    remarks : warnings of statsmodels, and methods of the refit that had no answer.
    """

    library: str = ""
    reason: str = ""
    requested_at: str = ""
    fit_rows: int = 0
    held_back_rows: int = 0
    gaps: int = 0
    longest_gap_steps: int = 1
    lags: int = 0
    tried: int = 0
    level: float = 0.0
    rank: Rank | None = None
    betas: tuple[BetaOpinion, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    differences: tuple[Difference, ...] = ()
    remarks: tuple[str, ...] = ()
