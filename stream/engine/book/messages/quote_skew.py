"""The message about a quote skew: how to lean quotes against the inventory, and when to cross instead of waiting."""

from __future__ import annotations

import math

import msgspec

from schemas.outbound import InstrumentSkew, QuoteSkew
from schemas.wire import finite_or_none
from solver.arrays import FloatArray
from stream.config import Config
from stream.engine.book.client_flow import BP, Flow, Waiting
from stream.engine.book.quote_skew import NewSkew
from stream.engine.book.solved import SolvedBook, UnsolvedBook


def quote_skew(config: Config, found: SolvedBook | UnsolvedBook, new: NewSkew) -> QuoteSkew:
    """The message with `new`, the quote skew of the book `found`."""
    occasion, universe = found.occasion, config.universe
    message = QuoteSkew(
        id=occasion.id_of("quote"),
        book=occasion.book.name,
        universe=universe.name,
        event_time_ns=occasion.trigger.event_time_ns,
        timestep=occasion.timestep,
        model_version=occasion.model_version,
        status=new.quoted.status,
        numeraire=universe.numeraire,
        flows=new.flow.settings.name,
        flows_hash=new.flow.hash,
        residual_exposure_id=occasion.id_of("residual"),
        trigger_source=occasion.trigger.source,
        detail=new.detail,
    )
    if isinstance(found, UnsolvedBook) or new.waiting is None:
        return message
    return msgspec.structs.replace(
        message,
        risk_aversion=new.waiting.internaliser.dealer.risk_aversion,
        risk=found.over_timestep.netted,
        urgency=finite_or_none(new.waiting.urgency(found.Q)),
        least_risk=finite_or_none(new.waiting.zone.risk),
        instruments=_instruments(new.flow, new.waiting, found.Q, new.quoted.skew),
    )


def _instruments(flow: Flow, waiting: Waiting, Q: FloatArray, skew: FloatArray) -> tuple[InstrumentSkew, ...]:
    """The skew of each instrument that has one, with the figures of its market if it can be crossed there."""
    advice = waiting.internaliser.advise(Q)
    crossable = [index for index in flow.markets if not math.isnan(waiting.half_spreads[index])]
    markets = {index: column for column, index in enumerate(crossable)}
    skews = []
    for index, name in enumerate(flow.names):
        if not waiting.known[index]:
            continue
        column = markets.get(index)
        entry = InstrumentSkew(instrument=name, skew_bps=float(skew[index]) / BP)
        if column is not None:
            entry = msgspec.structs.replace(
                entry,
                half_spread_bps=float(waiting.half_spreads[index]) / BP,
                urgency=finite_or_none(float(advice.urgency[column])),
                hedging_rate=float(advice.hedging_rate[column]),
                threshold=finite_or_none(float(waiting.zone.threshold[column])),
            )
        skews.append(entry)
    return tuple(skews)
