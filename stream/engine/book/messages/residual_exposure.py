"""The message about what is really unhedged of a book."""

from __future__ import annotations

import numpy as np

from schemas.outbound import AssetExposure, PackedBeta, ResidualExposure
from schemas.wire import finite_or_none
from solver.arrays import IntArray
from stream.config import Config
from stream.engine.book.prepared import PreparedModel
from stream.engine.book.solved import SolvedBook, UnsolvedBook


def residual_exposure(config: Config, result: SolvedBook | UnsolvedBook) -> ResidualExposure:
    """The message about `result`, a book with or without figures."""
    return _unsolved(config, result) if isinstance(result, UnsolvedBook) else _solved(config, result)


def _unsolved(config: Config, unsolved: UnsolvedBook) -> ResidualExposure:
    occasion = unsolved.occasion
    return ResidualExposure(
        id=occasion.id_of("residual"),
        book=occasion.book.name,
        universe=config.universe.name,
        event_time_ns=occasion.trigger.event_time_ns,
        timestep=occasion.timestep,
        model_version=occasion.model_version,
        trigger=occasion.trigger.kind,
        trigger_source=occasion.trigger.source,
        status=unsolved.status,
        numeraire=config.universe.numeraire,
        limit=occasion.book.limit,
        limit_on=occasion.book.limit_on,
        horizon_steps=config.risk.horizon_steps,
        unpriced_assets=unsolved.unpriced_assets,
        detail=unsolved.detail,
    )


def _solved(config: Config, solved: SolvedBook) -> ResidualExposure:
    occasion, packing = solved.occasion, solved.packing
    return ResidualExposure(
        id=occasion.id_of("residual"),
        book=occasion.book.name,
        universe=config.universe.name,
        event_time_ns=occasion.trigger.event_time_ns,
        timestep=occasion.timestep,
        model_version=occasion.model_version,
        trigger=occasion.trigger.kind,
        trigger_source=occasion.trigger.source,
        status=solved.status,
        numeraire=config.universe.numeraire,
        limit=occasion.book.limit,
        positions=tuple(
            AssetExposure(asset=asset, exposure=exposure, residual=residual, in_flight=flying)
            for asset, exposure, residual, flying in zip(
                config.universe.assets,
                solved.Q.tolist(),
                packing.residual.tolist(),
                solved.in_flight.tolist(),
                strict=True,
            )
            if exposure or residual or flying
        ),
        packed=_packed(solved.model, packing.multiples, config.solver.lot_notional),
        standalone_risk=float(np.abs(solved.Q) @ solved.model.volatility),
        netted_risk=solved.over_timestep.netted,
        basis_risk=solved.over_timestep.basis,
        unhedged_risk=solved.over_timestep.unhedged,
        horizon_steps=config.risk.horizon_steps,
        horizon_netted_risk=solved.over_horizon.netted,
        horizon_basis_risk=solved.over_horizon.basis,
        horizon_unhedged_risk=solved.over_horizon.unhedged,
        limit_on=occasion.book.limit_on,
        limit_share=solved.limit_share,
        objective_name=config.solver.objective,
        objective_before=packing.objective_before,
        objective=packing.objective,
        lower_bound=packing.lower_bound,
        gap=packing.gap,
        proven=packing.proven,
        second_best=packing.second_best,
        effort_nodes=packing.effort_nodes,
        stopped_by_clock=packing.stopped_by_clock,
        incomplete=solved.incomplete,
        suspect_assets=solved.suspect_assets,
        detail=solved.detail,
    )


def _packed(model: PreparedModel, multiples: IntArray, lot_notional: float) -> tuple[PackedBeta, ...]:
    """The β that have packed lots. `multiples` (K,) are the lots of each β of `model`."""
    return tuple(
        PackedBeta(
            beta_id=beta.beta_id,
            weights=weights,
            multiples=lots,
            lot_notional=lot_notional,
            basis_ratio=beta.vector.basis_ratio,
            basis_risk=abs(lots) * risk,
            version=beta.version,
            evidence=beta.vector.evidence,
            basis_ratio_upper=finite_or_none(beta.vector.basis_ratio_upper),
            p_value=beta.vector.p_value,
            horizon_basis_risk=abs(lots) * horizon_risk,
        )
        for beta, weights, risk, horizon_risk, lots in zip(
            model.betas,
            model.weights,
            model.lot_risk.tolist(),
            model.horizon_lot_risk.tolist(),
            multiples.tolist(),
            strict=True,
        )
        if lots
    )
