"""Sequential tests of a β in use: they retire it in the timestep in which enough evidence speaks against it.

A refit judges a window, in which the days before a break outnumber those after it. The watch judges every timestep by
what the refit promised, as a standardised step z, for which the null is Student's t with variance at most 1:

- `basis`: z = β'Δx over the standard deviation that the evidence of the β allows, √(r Σ βᵢ² σᵢ²). The null is a basis
  ratio of at most r, the alternatives are larger ratios.
- `reverting`: z = the innovation β'Δx + (1 - φ)(β'x₋₁ - μ) over its own standard deviation. The null is the fitted
  AR(1). The alternatives are a drift, a basket spread that does not come back (whose innovations drift ever more), and
  a larger noise.

The variances σᵢ² of the legs are those known before the step, so that a market that moves more breaks nothing.

Each alternative has a Shiryaev-Roberts statistic R_t = (1 + R_{t-1}) f₁(z_t) / f₀(z_t). Their mean M_t grows by at most
1 a timestep in expectation while the null holds. So with an alarm at M_t >= c the mean time to a false alarm is at
least c timesteps, and the chance of one within N timesteps at most N / c, however many alternatives there are and
whenever the break comes. O(number of alternatives) a step.

References
----------
Shin, Ramdas and Rinaldo (2023), E-detectors: a nonparametric framework for sequential change detection, New England
Journal of Statistics in Data Science 2(2). Pollak (1985), Optimal detection of a change in distribution, Annals of
Statistics 13(1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed

#: Degrees of freedom of the null. Daily steps of currencies' basket spreads since 1999, each over the standard
#: deviation known before it, fit 5.7 to 10.6 where no central bank holds the rate. Fewer degrees make alarms later,
#: more make them false.
FREEDOM = 6.0

# Squared scale of the null's t. For variance 1 it would be 2/3, and normal steps of variance 1 would then look too
# wide. At .85 no likelihood ratio of the alternatives below has an expectation above 1, for normal steps or for t with
# 6 or more degrees of freedom, whatever variance up to 1 they have.
_UNIT = 0.85

# A leg that stood still has variance 0, and then any step at all would be infinitely many deviations.
_LEAST_VARIANCE = 1e-24


@dataclass(frozen=True, eq=False)
class Alternatives:
    """What z may have become: its scale and its mean under each of J alternatives. Under the null they are 1 and 0.

    Attributes
    ----------
    scale : (J,) > 0.
    shift : (J,)
    """

    scale: FloatArray
    shift: FloatArray

    def log_likelihood_ratios(self, z: float | FloatArray) -> FloatArray:
        """(..., J) log f₁(z) / f₀(z) of each z (...)."""
        z = np.asarray(z)[..., None]
        against = ((z - self.shift) / self.scale) ** 2
        ratios: FloatArray = 0.5 * (FREEDOM + 1.0) * (
            np.log1p(z * z / (FREEDOM * _UNIT)) - np.log1p(against / (FREEDOM * _UNIT))
        ) - np.log(self.scale)
        return ratios

    def log_statistics(self, before: FloatArray, z: float | FloatArray) -> FloatArray:
        """(..., J) log R_t from log R_{t-1} (..., J) and z_t (...)."""
        after: FloatArray = np.logaddexp(0.0, before) + self.log_likelihood_ratios(z)
        return after


def log_evidence(log_statistics: FloatArray) -> FloatArray:
    """(...) log M_t from log R_t (..., J); an alarm at log c."""
    total: FloatArray = np.logaddexp.reduce(log_statistics, axis=-1)
    return total - math.log(log_statistics.shape[-1])


#: A hedge that is lost has ratio 1, which is 1.8 deviations of a bound of .3. The largest alternative is for a single
#: step that is conclusive by itself.
BASIS = Alternatives(scale=np.array([math.sqrt(2.0), 2.0, 4.0, 32.0]), shift=np.zeros(4))

# Above this half-life a false alarm gets rarer in proportion to the half-life. So the chance of one is at most 1 % in
# 1,000 half-lives, whatever the half-life is, with `false_alarm_steps` of a million.
_COMMON_HALF_LIFE = 10.0

# Drifts in standard deviations of the basket spread for each half-life. If the fitted mean is wrong by d deviations,
# the innovations drift by ln 2 d of them. So an error of one deviation stays below half the least drift and raises
# nothing.
_DRIFTS = (1.5, 3.0, 6.0)


def reverting_alternatives(half_life_steps: float) -> Alternatives:
    """Drifts up and down and larger noise, in deviations of the innovation of an AR(1) with this half-life > 0."""
    kept = 0.5 ** (1.0 / half_life_steps)
    drifts = np.array(_DRIFTS) / (half_life_steps * math.sqrt(1.0 - kept * kept))
    return Alternatives(
        scale=np.array([2.0, 16.0, *np.ones(2 * len(drifts))]), shift=np.concatenate([np.zeros(2), drifts, -drifts])
    )


def reverting_alarm(false_alarm_steps: float, half_life_steps: float) -> float:
    """log M_t of the alarm for a basket spread with this half-life."""
    return math.log(false_alarm_steps * max(1.0, half_life_steps / _COMMON_HALF_LIFE))


@dataclass(frozen=True)
class Detector:
    """log R_t of each alternative (J,), -inf before the first step."""

    log_statistics: tuple[float, ...]

    @classmethod
    def fresh(cls, alternatives: Alternatives) -> Detector:
        """Nothing seen yet."""
        return cls((-math.inf,) * len(alternatives.scale))

    def step(self, alternatives: Alternatives, z: float) -> Detector:
        """After one more standardised step `z`.

        Raises
        ------
        IllPosed : `z` is not finite.
        """
        if not math.isfinite(z):
            raise IllPosed(f"a standardised step must be finite, got {z}")
        return Detector(tuple(alternatives.log_statistics(np.array(self.log_statistics), z).tolist()))

    @property
    def log_evidence(self) -> float:
        """log M_t; an alarm at log c."""
        return float(log_evidence(np.array(self.log_statistics)))


def basis_step(change: float, leg_variance: float, basis_ratio_max: float) -> float:
    """z of the `basis` test.

    Parameters
    ----------
    change : β'Δx, log return.
    leg_variance : Σ βᵢ² σᵢ² over the step, from variances known before it.
    basis_ratio_max : the largest share of `leg_variance` that its evidence allows.
    """
    return change / math.sqrt(max(basis_ratio_max * leg_variance, _LEAST_VARIANCE))


def reversion_step(
    before: float, change: float, mean: float, half_life_steps: float, innovation_variance: float, steps: int = 1
) -> float:
    """z of the `reverting` test.

    Parameters
    ----------
    before : β'x before the step.
    change : β'Δx.
    mean, half_life_steps : of the fitted AR(1).
    innovation_variance : of the fitted AR(1), over the step.
    steps : timesteps that the step spans; more than 1 after a gap.
    """
    kept = 0.5 ** (steps / half_life_steps) if half_life_steps > 0.0 else 0.0
    innovation = change + (1.0 - kept) * (before - mean)
    return innovation / math.sqrt(max(innovation_variance, _LEAST_VARIANCE))
