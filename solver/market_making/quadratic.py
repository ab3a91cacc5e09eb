"""The dealer's value of an inventory in many assets, in closed form: a quadratic function of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from solver.arrays import FloatArray
from solver.errors import IllPosed
from solver.market_making.dealer import Dealer


@dataclass(frozen=True, eq=False)
class QuadraticValue:
    """theta(y) = -y' A y - y' B: what inventory y is worth beside its market value, numeraire.

    Attributes
    ----------
    A : (d, d) symmetric PSD, per numeraire.
    B : (d,) share of the price; 0 where clients buy as much as they sell.
    """

    A: FloatArray
    B: FloatArray

    def shadow_cost(self, y: FloatArray, direction: FloatArray, size: FloatArray | float = 0.0) -> FloatArray:
        """What dealing `size` towards `direction` from inventory `y` takes off the value, share of the price.

        ``(theta(y) - theta(y + size direction)) / size = direction' (2 A y + B) + size direction' A direction``.

        Parameters
        ----------
        y : (d,) or (..., d) inventory, numeraire.
        direction : (d,) exposure per unit dealt.
        size : > 0, numeraire, one or (k,); 0 for the margin.

        Returns
        -------
        (...) or, for one y, (k,).
        """
        marginal = (2.0 * y @ self.A + self.B) @ direction
        return np.asarray(marginal + np.asarray(size) * (direction @ self.A @ direction), dtype=np.float64)


def flow_curvature(dealer: Dealer) -> FloatArray:
    """(d, d) sum of rate · size · H''(0) · direction direction': how fast clients answer a skew, numeraire per time."""
    directions = dealer.stream_directions
    responses = np.array([stream.response for stream in dealer.streams])
    return np.asarray(directions.T @ (responses[:, None] * directions), dtype=np.float64)


def quadratic_value(dealer: Dealer) -> QuadraticValue:
    """The long-run value of `dealer`, with each H replaced by its parabola at 0 and without hedging.

    Inside the zone of pure internalisation, where a dealer who hedges well spends its time, hedging is worth nothing at
    the margin, so its own parabola at 0 is flat. With theta as in `QuadraticValue` the equation of the value is
    ``2 A M A = risk_aversion / 2 Sigma``, which the geometric mean of M⁻¹ and Sigma solves, and
    ``M B = sum of rate · size · (f - H'' size direction' A direction) direction``.

    Parameters
    ----------
    dealer : its flow must reach every asset: an inventory that no client ever takes is worth minus infinity.

    Returns
    -------
    `QuadraticValue`, the limit of the matrix Riccati equation for a horizon that is far away. O(d³).

    Raises
    ------
    IllPosed : a combination of assets that no client stream changes; the message names the assets in it.

    References
    ----------
    Barzykin, Bergault and Guéant (2023), Dealing with multi-currency inventory risk in FX cash markets.
    Bergault, Evangelista, Guéant and Vieira (2021), Closed-form approximations in multi-asset market making,
    Applied Mathematical Finance 28(2).
    """
    M = flow_curvature(dealer)
    values, vectors = np.linalg.eigh(M)
    if values[0] <= 1e-12 * values[-1]:
        idle = np.flatnonzero(np.abs(vectors[:, 0]) > 1e-6).tolist()
        raise IllPosed(
            f"streams must change every combination of assets, got none that changes one of the assets {idle}"
        )
    # With M = L L' the mean is L'⁻¹ (L' Q L)^½ L⁻¹; Q may be singular.
    L = np.linalg.cholesky(M)
    squares, axes = np.linalg.eigh(0.25 * dealer.risk_aversion * L.T @ dealer.Sigma @ L)
    half = solve_triangular(L.T, axes * np.maximum(squares, 0.0) ** 0.25)
    A = half @ half.T
    directions = dealer.stream_directions
    own = np.einsum("sd,de,se->s", directions, A, directions)
    pulls = [
        stream.dealt - stream.response_to_size * each for stream, each in zip(dealer.streams, own.tolist(), strict=True)
    ]
    # Added up stream by stream: where the two sides of one kind of client are listed one after the other, no rounding
    # is left in B.
    pull = (np.array(pulls)[:, None] * directions).sum(axis=0)
    return QuadraticValue(A=A, B=np.asarray(np.linalg.solve(M, pull), dtype=np.float64))
