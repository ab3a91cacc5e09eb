"""What the solver raises.

SolverError
├── IllPosed            an input that no answer can be computed from (NaN, wrong shape, not PSD, an item of zeros)
│   ├── RefusedSetting    a setting outside its range
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


class RefusedSetting(IllPosed):
    """A setting outside its range.

    Parameters
    ----------
    setting : its name.
    expected : what it must be, to follow "must be".
    got : what came.
    """

    def __init__(self, setting: str, expected: str, got: object) -> None:
        # The arguments as they came: an exception is pickled by them.
        super().__init__(setting, expected, got)
        self.setting = setting
        self.expected = expected
        self.got = got

    def __str__(self) -> str:
        return f"{self.setting} must be {self.expected}, got {self.got!r}"


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
