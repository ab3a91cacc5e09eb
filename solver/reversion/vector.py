"""What a mean-reversion method hands on: β vectors with the evidence for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed

#: Methods that choose their vectors by how levels and changes go together, and so need the whole regression.
LevelMethod: TypeAlias = Literal["johansen", "ou", "box_tiao", "baskets"]
#: Methods that look at changes alone.
ChangeMethod: TypeAlias = Literal["sparse", "pca", "ica"]
Method: TypeAlias = LevelMethod | ChangeMethod
LEVEL_METHODS: tuple[LevelMethod, ...] = get_args(LevelMethod)
CHANGE_METHODS: tuple[ChangeMethod, ...] = get_args(ChangeMethod)
METHODS: tuple[Method, ...] = (*LEVEL_METHODS, *CHANGE_METHODS)
#: Methods whose vectors have few legs, which name the trade. The vectors of the other methods have every asset.
FEW_LEGS: tuple[Method, ...] = ("sparse", "baskets")

Evidence: TypeAlias = Literal["reverting", "basis"]

#: A vector of more than two legs leads with the first leg of at least half its largest weight, so no other weight
#: exceeds 2. Leading with a first leg that is nearly zero would blow the others up. Leading with the largest would
#: change the leading leg whenever two of about the same size change order between refits.
LEADING_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Candidate:
    """A vector as proposed, with its test of a walk against reversion.

    Attributes
    ----------
    weights : (n,) notional weights, read-only; the leading leg is +1 (see `canonical_weights`), unused assets are 0.
    method : what proposed it.
    statistic, p_value : of the test that suits the method (see `methods.proposals`). `p_value` is the chance of such a
        statistic where nothing reverts. It allows for how the method chose the vector, not for how many were tried.
    """

    weights: FloatArray
    method: Method
    statistic: float
    p_value: float


@dataclass(frozen=True, eq=False)
class ReversionVector(Candidate):
    """A candidate measured on the rows that it was fitted to: what its model says of it.

    Attributes
    ----------
    half_life_steps : timesteps for half of a deviation to go; None when it does not revert. The model's own where it
        has one (`ou`), else that of an AR(1) fitted to the basket spread.
    half_life_interval_steps : lower and upper confidence bound, where the model gives one. An infinite upper bound does
        not exclude that the basket spread never reverts.
    period_steps : timesteps of a full turn, for a vector in the plane of a complex pair of eigenvalues.
    spread_volatility : standard deviation of the basket spread β'x on those rows, in log price.
    """

    half_life_steps: float | None
    half_life_interval_steps: tuple[float, float] | None
    period_steps: float | None
    spread_volatility: float


@dataclass(frozen=True, eq=False)
class BetaVector(Candidate):
    """An accepted candidate, measured on both stretches in one way for all methods.

    It mean-reverts, or keeps little of its legs' variance. The watch holds it to these figures. The half-life is always
    that of an AR(1), whatever the model of the method says: the watch tests the innovations of that AR(1), and the
    weights may be older than the refit.

    Attributes
    ----------
    basis_ratio : Var(β'Δ_H x) / Σ βᵢ² Var(Δ_H xᵢ) on the stretch held back from the fit; 1 for independent walks, 0 for
        a perfect hedge.
    basis_ratio_upper : upper confidence bound of `basis_ratio`.
    basis_horizon_steps : the H of `basis_ratio`, in timesteps.
    step_ratio : the basis ratio over one timestep on the same stretch; larger than over H where the basket spread
        reverts.
    half_life_steps : timesteps for half of a deviation to go, in the fit window; None when it does not revert there.
    spread_volatility : standard deviation of the basket spread β'x over the whole window, in log price.
    deviation : distance of the current β'x from its mean over the whole window, in units of `spread_volatility`; None
        when the basket spread did not move.
    spread_mean : mean of the basket spread β'x over the whole window, in log price.
    innovation_ratio : variance of one step of the AR(1) with that half-life, as a share of the legs' variance of a
        step.
    evidence : every kind that held, in the order "reverting", "basis"; never empty for a selected vector.
    adjustment : (n,) log return per timestep of each asset for a basket spread that is off by one, fitted together with
        the other vectors in use (`adjustment_speeds`). Zeros without the evidence `reverting`, or where no pull was
        found.
    """

    basis_ratio: float
    basis_ratio_upper: float
    basis_horizon_steps: int
    step_ratio: float
    half_life_steps: float | None
    spread_volatility: float
    deviation: float | None
    spread_mean: float
    innovation_ratio: float
    evidence: tuple[Evidence, ...]
    adjustment: FloatArray


def canonical_weights(weights: FloatArray, leading_share: float = 0.0) -> FloatArray:
    """Scale a vector so that its leading leg is +1.

    The leading leg is the first asset whose absolute weight is above zero and at least `leading_share` times the
    largest. The default 0 takes the first asset that the vector touches, which suits pairs.

    Parameters
    ----------
    weights : (n,) finite, any sign and scale.
    leading_share : in [0, 1]; `LEADING_SHARE` for vectors of more than two legs.

    Returns
    -------
    (n,) a new read-only array.

    Raises
    ------
    IllPosed : a weight is not finite, or all are zero.
    """
    sizes = np.abs(weights)
    largest = float(sizes.max(initial=0.0))
    if not math.isfinite(largest) or largest == 0.0:
        raise IllPosed(f"weights must be finite with one of them not zero, got {weights}")
    leading = int(np.argmax((sizes > 0.0) & (sizes >= leading_share * largest)))
    canonical: FloatArray = weights / weights[leading]
    canonical.flags.writeable = False
    return canonical
