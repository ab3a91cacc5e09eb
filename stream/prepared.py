"""What books need of one model, prepared once for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray
from solver.objective import materiality_floor
from solver.packing.books import BookPacker
from solver.reversion.live import LiveBeta
from stream.config import Config
from stream.market import Market


@dataclass(frozen=True, eq=False)
class PreparedModel:
    """A function of the covariance `Sigma` and of `betas` alone.

    `volatility` (n,) of each asset over one timestep. `lot_risk` (K,) the risk of one lot of each β, numeraire.
    `weights` of each β by asset, without those of zero.
    """

    Sigma: FloatArray
    betas: tuple[LiveBeta, ...]
    packer: BookPacker
    volatility: FloatArray
    lot_risk: FloatArray
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
        return PreparedModel(
            Sigma=Sigma,
            betas=betas,
            packer=BookPacker(B, Sigma, settings.objective, settings.mode, epsilon),
            volatility=np.sqrt(np.diag(Sigma)),
            # Rounding of a perfect hedge could make its variance negative.
            lot_risk=np.sqrt(np.maximum(np.einsum("ik,ij,jk->k", B, Sigma, B), 0.0)),
            weights=tuple(
                {asset: weight for asset, weight in zip(assets, beta.vector.weights.tolist(), strict=True) if weight}
                for beta in betas
            ),
        )
