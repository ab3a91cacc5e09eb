"""What books need of one model, prepared once for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray
from solver.objective import materiality_floor
from solver.packing.books import BookPacker
from solver.reversion.adjustment import horizon_covariance_under
from solver.reversion.live import LiveBeta
from stream.config import Config
from stream.market import Market


@dataclass(frozen=True, eq=False)
class PreparedModel:
    """A function of the covariance `Sigma` and of `betas` alone.

    `Sigma_H` (n, n) covariance of the log-price change over `risk.horizon_steps`. `volatility` (n,) of each asset over
    one timestep. `lot_risk` and `horizon_lot_risk` (K,) the risk of one lot of each β, numeraire, over one timestep and
    over the horizon. `weights` of each β by asset, without those of zero.
    """

    Sigma: FloatArray
    Sigma_H: FloatArray
    betas: tuple[LiveBeta, ...]
    packer: BookPacker
    volatility: FloatArray
    lot_risk: FloatArray
    horizon_lot_risk: FloatArray
    weights: tuple[dict[str, float], ...]


class LatestModel:
    """Prepares models, and keeps the one last prepared: a timestep's books and the positions until the next share it.

    A market is known again by the very objects of its covariance and β, which nobody changes in place; so what is kept
    can never be that of another model, and forgetting it (a restart) changes no result.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._last: PreparedModel | None = None

    def of(self, market: Market) -> PreparedModel:
        """What books need of the model of `market`, which has a covariance.

        Raises
        ------
        IllPosed : the solver refuses the covariance or a β.
        """
        assert market.Sigma is not None
        last = self._last
        if last is None or last.Sigma is not market.Sigma or last.betas is not market.betas:
            last = self._last = self._prepare(market.Sigma, market.betas)
        return last

    def _prepare(self, Sigma: FloatArray, betas: tuple[LiveBeta, ...]) -> PreparedModel:
        settings, assets = self._config.solver, self._config.universe.assets
        B = np.zeros((len(assets), len(betas)))
        for column, beta in enumerate(betas):
            B[:, column] = beta.vector.weights * settings.lot_notional
        epsilon = materiality_floor(settings.lot_notional, Sigma)
        Sigma_H = horizon_covariance_under([beta.vector for beta in betas], Sigma, self._config.risk.horizon_steps)
        return PreparedModel(
            Sigma=Sigma,
            Sigma_H=Sigma_H,
            betas=betas,
            packer=BookPacker(
                B, Sigma_H if settings.objective == "horizon" else Sigma, settings.minimised, settings.mode, epsilon
            ),
            volatility=np.sqrt(np.diag(Sigma)),
            lot_risk=_lot_risks(B, Sigma),
            horizon_lot_risk=_lot_risks(B, Sigma_H),
            weights=tuple(
                {asset: weight for asset, weight in zip(assets, beta.vector.weights.tolist(), strict=True) if weight}
                for beta in betas
            ),
        )


def _lot_risks(B: FloatArray, Sigma: FloatArray) -> FloatArray:
    """(K,) risk of each column of `B`; rounding of a perfect hedge could make its variance negative."""
    risks: FloatArray = np.sqrt(np.maximum(np.einsum("ik,ij,jk->k", B, Sigma, B), 0.0))
    return risks
