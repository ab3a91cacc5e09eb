"""What the solver raises.

SolverError
├── IllPosed            an input that no answer can be computed from (NaN, wrong shape, not PSD, an item of zeros)
│   └── ExactlyDependent  a set of prices with an exact linear relation, as a full set of FX crosses has
├── UnstableModel       a fitted model whose deviations grow without bound
├── NotEnoughData       fewer observations than the estimator needs
├── NotConverged        an iteration that did not settle within its limit
├── TooLarge            an exhaustive method was asked for more combinations than its limit
└── ConstraintViolated  a result broke its own constraints: a bug of ours, never to be published
"""

from __future__ import annotations


class SolverError(Exception):
    """Root of every error the solver raises on purpose."""


class IllPosed(SolverError):
    """The input admits no answer; the message names the argument, what was expected and what came."""


class ExactlyDependent(IllPosed):
    """An exact linear relation among the series; the message names it."""


class UnstableModel(SolverError):
    """A fitted model with an eigenvalue outside the unit circle; the message gives its modulus."""


class NotEnoughData(SolverError):
    """Too few observations; the message says how many there are and how many are needed."""


class NotConverged(SolverError):
    """An iterative method stopped at its limit of iterations; the message says which."""


class TooLarge(SolverError):
    """More combinations than an exhaustive method accepts."""


class ConstraintViolated(SolverError):
    """A solution that breaks the constraints it was asked to keep."""
