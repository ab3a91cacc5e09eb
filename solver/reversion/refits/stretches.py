"""The data of a refit: the fit stretch, and the stretch held back from it."""

from __future__ import annotations

from dataclasses import dataclass

from solver.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Stretches:
    """The data of a refit, as they were at one timestep: a copy that later timesteps do not change.

    Attributes
    ----------
    fit, held_back : (d, d) sums of z z' over the rows z of each stretch, d = n (lags + 3) + 1.
    fit_changes : (fit steps, n) Δx of the fit stretch, oldest first.
    held_back_changes : (holdout_steps, n) Δ_H x of the held-back stretch, oldest first.
    latest : (n,) log prices of the last timestep, less `anchor`.
    anchor : (n,) log prices of the first timestep ever seen.
    """

    fit: FloatArray
    held_back: FloatArray
    fit_changes: FloatArray
    held_back_changes: FloatArray
    latest: FloatArray
    anchor: FloatArray


def changes_of(n: int, constant: int) -> slice:
    """Entries of Δx in a row that has its 1 at index `constant`."""
    return slice(constant + 1, constant + 1 + n)


def horizon_changes_of(n: int, constant: int) -> slice:
    """Entries of Δ_H x in a row that has its 1 at index `constant`."""
    return slice(constant + 1 + n, constant + 1 + 2 * n)
