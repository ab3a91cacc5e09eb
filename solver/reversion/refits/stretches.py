"""What a refit reads of the fit stretch and of the one held back from it."""

from __future__ import annotations

from dataclasses import dataclass

from solver.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Stretches:
    """What a refit reads of both stretches, as they were at one timestep: a copy that later ones do not change.

    Attributes
    ----------
    fit, held_back : (d, d) sums of z z' over the rows z of each stretch, d = n (lags + 3) + 1.
    fit_changes : (fit steps, n) Δx of the fit stretch, oldest first.
    held_back_changes : (holdout_steps, n) Δ_H x of the other.
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
    """Where a row with its 1 at `constant` has Δx."""
    return slice(constant + 1, constant + 1 + n)


def horizon_changes_of(n: int, constant: int) -> slice:
    """Where it has Δ_H x."""
    return slice(constant + 1 + n, constant + 1 + 2 * n)
