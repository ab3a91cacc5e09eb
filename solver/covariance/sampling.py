"""Covariance of returns over several timesteps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from solver.arrays import BoolArray, FloatArray, IntArray
from solver.covariance.exponential import ExponentialCovariance
from solver.covariance.returns import LogReturns
from solver.covariance.window import WindowCovariance
from solver.errors import IllPosed
from solver.moments import restored_arrays

GridCovariance: TypeAlias = ExponentialCovariance | WindowCovariance


class SampledCovariance:
    """Covariance of log prices taken at every `every_steps`-th timestep, in log-return² over that many timesteps.

    It is the covariance that a timestep `every_steps` times as long would have: half-life, window and observations
    count its own returns. These do not overlap. Overlapping returns would lower the sampling variance by a third at
    most, but they are not independent, so that shrinkage would count too many. They would also cost `every_steps` times
    as much, and a window would have to hold all of them.

    Time is cut into blocks of `every_steps` timesteps, counted from timestep 0. Prices are taken at the first timestep
    of each block that is given, so that the choice does not depend on when a service was started.

    Parameters
    ----------
    n : assets.
    every_steps : timesteps, >= 1.
    estimator : takes the returns; of the same n.

    Raises
    ------
    IllPosed : a parameter out of range.
    """

    def __init__(self, n: int, every_steps: int, estimator: GridCovariance) -> None:
        if every_steps < 1:
            raise IllPosed(f"every_steps must be >= 1, got {every_steps}")
        self._every_steps = every_steps
        self._returns = LogReturns(n)
        self._estimator = estimator
        self._block = np.full(1, -1, dtype=np.int64)

    @property
    def every_steps(self) -> int:
        return self._every_steps

    @property
    def observations(self) -> int:
        """Rows of returns seen; of a window, those held."""
        return self._estimator.observations

    @property
    def asset_observations(self) -> IntArray:
        """(n,) returns seen of each asset; of a window, those held."""
        return self._estimator.asset_observations

    def take(self, log_prices: FloatArray, timestep: int) -> None:
        """Take the log prices (n,) at the close of `timestep`, NaN where there is none.

        Raises
        ------
        IllPosed : wrong shape, or an infinite value; nothing was changed.
        """
        block = timestep // self._every_steps
        if block == self._block[0]:
            return
        returns = self._returns.take(log_prices)
        self._block[0] = block
        if not np.isnan(returns).all():
            self._estimator.update(returns)

    def variances(self) -> FloatArray:
        """(n,) of each asset without shrinkage; NaN before its first return."""
        return self._estimator.variances()

    def estimate(self, min_observations: int = 1, among: BoolArray | None = None) -> FloatArray:
        """As the estimator's; raises NotEnoughData."""
        return self._estimator.estimate(min_observations, among)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of everything needed to go on bit for bit."""
        own: dict[str, NDArray[Any]] = {"block": self._block.copy()}
        for prefix, part in self._parts():
            own |= {f"{prefix}.{name}": array for name, array in part.arrays().items()}
        return own

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `arrays` gave; IllPosed when it does not fit these parameters."""
        restored = restored_arrays(self.arrays(), arrays)
        self._block = restored["block"]
        for prefix, part in self._parts():
            part.restore({name: restored[f"{prefix}.{name}"] for name in part.arrays()})

    def _parts(self) -> tuple[tuple[str, LogReturns], tuple[str, GridCovariance]]:
        return ("returns", self._returns), ("estimator", self._estimator)
