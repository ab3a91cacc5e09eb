"""Markets made by hand, with what their risk over a horizon must be."""

from __future__ import annotations

import numpy as np

from engine_play import SECOND
from solver.reversion.live.betas import LiveBeta
from solver.reversion.live.watch import BASIS, Detector
from solver.reversion.vector import BetaVector
from stream.config import BookConfig, Config
from stream.engine.book.solve import BookResult, BookSolver
from stream.engine.book.solved import Trigger
from stream.engine.book.state import BookState
from stream.engine.market.model import Market
from stream.engine.market.valuation import Valuer
from stream.events.types import Timestep


def made_market(
    config: Config,
    betas: dict[str, tuple[float, ...]],
    timestep: int = 5,
    version: int = 5,
    adjustments: dict[str, tuple[float, ...]] | None = None,
) -> Market:
    """Prices of 1, 1 bp of volatility a step, EUR and CHF correlated by 0.9, and these β vectors.

    Those with `adjustments` revert with these speeds.
    """
    m = len(config.instruments)
    half_spread = 2.0**-17  # so that mids are exact
    end_ns = timestep * SECOND
    quotes = Timestep(timestep, end_ns, np.full(m, 1 - half_spread), np.full(m, 1 + half_spread), np.full(m, end_ns))
    valuation = Valuer(config).value(quotes)
    assert (valuation.prices == 1.0).all()
    named = tuple(
        LiveBeta(
            name,
            1,
            0,
            BetaVector(
                weights=np.array(weights),
                method="sparse",
                basis_ratio=0.1,
                basis_ratio_upper=0.13,
                basis_horizon_steps=1,
                step_ratio=0.1,
                half_life_steps=None,
                spread_volatility=1e-4,
                deviation=0.0,
                spread_mean=0.0,
                innovation_ratio=0.1,
                statistic=-1.5,
                p_value=0.5,
                evidence=("reverting", "basis") if name in (adjustments or {}) else ("basis",),
                adjustment=np.array((adjustments or {}).get(name, (0.0, 0.0, 0.0))),
            ),
            Detector.fresh(BASIS),
            Detector.fresh(BASIS),
        )
        for name, weights in betas.items()
    )
    Sigma = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]]) * 1e-8
    return Market(
        timestep=timestep,
        end_ns=end_ns,
        version=version,
        valuation=valuation,
        Sigma=Sigma,
        asset_observations=np.full(3, 100),
        betas=named,
        steps=timestep,
        retired=(),
        candidates_tried=len(named),
        refusals=(),
        refitted_at_timestep=timestep,
        refit_late=False,
        refit_failure="",
        suspect=np.zeros(3, dtype=np.bool_),
    )


def solve(solver: BookSolver, book: BookConfig, state: BookState, market: Market) -> BookResult:
    """One book at the close of a timestep."""
    (result,) = solver.solve([(book, state)], market, Trigger("timestep", 1, "1"))
    return result


def change_over(Sigma: np.ndarray, alpha: np.ndarray, beta: np.ndarray, steps: int) -> np.ndarray:
    """Covariance of the change over `steps` of one basket spread that comes back and of what goes with it, by shock.

    Each of 4,000 past shocks leaves A^k of itself after k steps; the innovations are the returns' covariance less what
    the pull explains.
    """
    A = np.eye(3) + np.outer(alpha, beta)
    level = beta @ Sigma @ beta / (-2.0 * beta @ alpha)
    innovations = Sigma - level * np.outer(alpha, alpha)
    powers = [np.eye(3)]
    for _ in range(4000 + steps):
        powers.append(A @ powers[-1])
    total = sum(powers[k] @ innovations @ powers[k].T for k in range(steps))
    for k in range(4000):
        moved = powers[k + steps] - powers[k]
        total = total + moved @ innovations @ moved.T
    return np.asarray(total)
