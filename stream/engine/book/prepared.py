"""What books need of one model, prepared once for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solver.arrays import BoolArray, FloatArray
from solver.objective import materiality_floor
from solver.packing.methods.many_books import BookPacker
from solver.reversion.live.betas import LiveBeta
from solver.reversion.refits.adjustment import horizon_covariance_under
from stream.config import Config
from stream.engine.market.model import Market


@dataclass(frozen=True, eq=False)
class PreparedModel:
    """What follows from the covariance, the β in use and which assets have a price.

    Attributes
    ----------
    known : (n,) whether an asset has a covariance.
    Sigma : (n, n) covariance over one timestep; 0 where there is none, to be multiplied with exposures of 0 only.
    Sigma_H : (n, n) covariance of the log-price change over `risk.horizon_steps`.
    betas : those in use whose legs all have a covariance and a price; K.
    packer : packs books under this model.
    volatility : (n,) of each asset over one timestep.
    lot_risk, horizon_lot_risk : (K,) risk of one lot of each β over one timestep and over the horizon; numeraire.
    weights : of each β by asset, without zeros.
    """

    known: BoolArray
    Sigma: FloatArray
    Sigma_H: FloatArray
    betas: tuple[LiveBeta, ...]
    packer: BookPacker
    volatility: FloatArray
    lot_risk: FloatArray
    horizon_lot_risk: FloatArray
    weights: tuple[dict[str, float], ...]


class LatestModel:
    """Prepares models and keeps the last one, which all solves until the next timestep share.

    Two markets have the same model when their covariance and their β are the same objects, which nobody changes, and
    when the same prices are missing. So the kept model is never that of another market, and to forget it in a restart
    changes no result.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._last: tuple[Market, PreparedModel] | None = None

    def of(self, market: Market) -> PreparedModel:
        """What books need of the model of `market`, which has a covariance.

        Raises
        ------
        IllPosed : the solver refuses the covariance or a β.
        """
        assert market.Sigma is not None
        if self._last is None or not _same_model(self._last[0], market):
            self._last = market, self._prepare(market)
        return self._last[1]

    def _prepare(self, market: Market) -> PreparedModel:
        settings, assets = self._config.solver, self._config.universe.assets
        assert market.Sigma is not None
        known = market.known
        Sigma = np.where(np.outer(known, known), market.Sigma, 0.0)
        usable = known & ~market.valuation.unpriced
        betas = tuple(beta for beta in market.betas if usable[beta.vector.weights != 0].all())
        B = np.zeros((len(assets), len(betas)))
        for column, beta in enumerate(betas):
            B[:, column] = beta.vector.weights * settings.lot_notional
        epsilon = materiality_floor(settings.lot_notional, Sigma[np.ix_(known, known)])
        Sigma_H = horizon_covariance_under([beta.vector for beta in betas], Sigma, self._config.risk.horizon_steps)
        return PreparedModel(
            known=known,
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
    """(K,) risk of each column of `B`. Rounding can make the variance of a perfect hedge negative; 0 is taken then."""
    risks: FloatArray = np.sqrt(np.maximum(np.einsum("ik,ij,jk->k", B, Sigma, B), 0.0))
    return risks


def _same_model(one: Market, other: Market) -> bool:
    return one is other or (
        one.Sigma is other.Sigma
        and one.betas is other.betas
        and bool(np.array_equal(one.valuation.unpriced, other.valuation.unpriced))
    )
