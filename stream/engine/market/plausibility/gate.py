"""The gate: looks at the quotes of a timestep before anything else does, and holds those that are not plausible.

The bid, ask and time of a held quote are replaced by those of the instrument's last believed one. So everything behind
the gate sees believed quotes only, and the age of the believed quote goes on counting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from solver.arrays import BoolArray, FloatArray
from stream.config import NANOSECONDS, Config
from stream.engine.market.plausibility.close import Close, compared
from stream.engine.market.plausibility.jumps import Jumps
from stream.engine.market.plausibility.state import GateState
from stream.engine.market.plausibility.unchanged import Unchanged
from stream.engine.market.plausibility.witnesses import Witnesses
from stream.events.types import Ticks, Timestep


@dataclass(frozen=True)
class Doubt:
    """Why the price of an instrument is doubted, or that it no longer is.

    Attributes
    ----------
    kind : of the alert.
    instrument : its index.
    holds : as in a `Condition`: None while a doubt has ended too recently to say so.
    message : in words, without the asset.
    assets : indices of the assets that it is about.
    """

    kind: Literal["price-suspect", "price-unchanged"]
    instrument: int
    holds: bool | None
    message: str
    assets: tuple[int, ...] = ()


@dataclass(frozen=True)
class Screened:
    """A timestep with believed quotes only.

    Attributes
    ----------
    timestep : its quotes; its ticks without those of instruments that are held or `left_out`, and without excursions.
    doubtful : (m,) instruments that are held or frozen: they price an asset only if no other does, and are not traded.
    left_out : (m,) instruments whose returns must not enter an estimate.
    doubts : what stands, and what has ended.
    """

    timestep: Timestep
    doubtful: BoolArray
    left_out: BoolArray
    doubts: tuple[Doubt, ...] = ()


class Gate:
    """The rules of one configuration. Its state is passed in."""

    def __init__(self, config: Config) -> None:
        self._settings = config.plausibility
        self._names = [instrument.name for instrument in config.instruments]
        witnesses = Witnesses(config.instruments)
        self._jumps = Jumps(config, witnesses)
        self._unchanged = Unchanged(config, witnesses)
        self._twins = witnesses.twins if (witnesses.twins >= 0).any() else None
        self._confirm_ns = round(self._settings.confirm_s * NANOSECONDS)
        self._nothing = np.zeros(len(self._names), dtype=np.bool_)

    def screen(self, state: GateState, timestep: Timestep) -> Screened:
        """Take the close of `timestep` into `state`; O(m), and O(n) more for each quote that has to be looked at."""
        if not self._settings.enabled:
            return Screened(timestep, self._nothing, self._nothing)
        close = compared(state, timestep, self._settings.jump_factor)
        taken = self._jumps.believed(state, close)
        frozen_before, log_mids_before = state.frozen, state.log_mids
        bounds = None if timestep.ticks is None else self._jumps.excursions(state, close)
        held = self._nothing
        if state.held:
            held = held.copy()
            held[list(state.held)] = True
        believed = self._with_believed_quotes(state, timestep, held)
        self._learn(state, close, taken)
        left_out = self._unchanged.found(state)
        # Until then a held price counts as one that stands still, so that a jump that is confirmed enters whole: after
        # a gap in the estimates it would be spread over the gap.
        overdue = [index for index, each in state.held.items() if timestep.end_ns - each.since_ns > self._confirm_ns]
        if overdue:
            left_out = left_out.copy()
            left_out[overdue] = True
        if timestep.ticks is not None and bounds is not None:
            mids = log_mids_before, state.log_mids
            believed = replace(believed, ticks=_believed_ticks(timestep.ticks, held | left_out, mids, bounds))
        doubtful = held | state.frozen
        doubts = self._doubts(state, timestep, frozen_before) if self._any_doubt(state, frozen_before) else ()
        return Screened(believed, doubtful, left_out, doubts)

    def _with_believed_quotes(self, state: GateState, timestep: Timestep, held: BoolArray) -> Timestep:
        """`timestep` with the last believed quotes of `held` (m,)."""
        if not state.held:
            return timestep
        return replace(
            timestep,
            bids=np.where(held, state.bids, timestep.bids),
            asks=np.where(held, state.asks, timestep.asks),
            quoted_at_ns=np.where(held, state.quoted_at_ns, timestep.quoted_at_ns),
            depths={index: depth for index, depth in timestep.depths.items() if not held[index]},
        )

    def _learn(self, state: GateState, close: Close, taken: BoolArray) -> None:
        """Take the quotes of `taken` (m,) into what is usual, and as the last believed ones."""
        timestep = close.timestep
        at_ns, bids, asks = timestep.quoted_at_ns, timestep.bids, timestep.asks
        changed = taken & ((bids != state.bids) | (asks != state.asks))
        known = state.quoted_at_ns > 0
        # In the order of the rows of `Usual`.
        samples = np.empty((5, len(taken)))
        samples[0] = close.sizes**2 / np.maximum(close.steps, 1.0)
        samples[1] = 2.0 * (asks - bids) / (asks + bids)
        samples[2] = at_ns - state.seen_ns
        samples[3] = at_ns - state.changed_at_ns
        samples[4] = state.run + 1
        sampled = np.empty((5, len(taken)), dtype=np.bool_)
        sampled[0] = changed & (close.sizes > 0.0)
        sampled[1] = taken
        sampled[2] = taken & close.new & known
        sampled[3] = sampled[4] = changed & known
        state.usual.take(samples, sampled)
        if state.run.any():
            self._unchanged.learn(state, changed)
        state.run = np.where(changed, 0, state.run + taken)
        state.changed_at_ns = np.where(changed, at_ns, state.changed_at_ns)
        state.changed_step = np.where(changed, timestep.index, state.changed_step)
        if taken is close.new:  # all that is new is believed, and what is not new has not changed
            state.bids, state.asks, state.quoted_at_ns, state.log_mids = bids, asks, at_ns, close.log_mids
        else:
            state.bids, state.asks = np.where(taken, bids, state.bids), np.where(taken, asks, state.asks)
            state.quoted_at_ns = np.where(taken, at_ns, state.quoted_at_ns)
            state.log_mids = np.where(taken, close.log_mids, state.log_mids)
        if self._twins is not None:
            state.twin_log_mids = np.where(changed, state.log_mids[self._twins], state.twin_log_mids)
        state.seen_ns = at_ns

    def _any_doubt(self, state: GateState, frozen_before: BoolArray) -> bool:
        return bool(state.held or state.ended or state.frozen.any() or frozen_before.any())

    def _doubts(self, state: GateState, timestep: Timestep, frozen_before: BoolArray) -> tuple[Doubt, ...]:
        doubts: list[Doubt] = []
        for index, held in sorted(state.held.items()):
            feed = timestep.feeds.get(index)
            wait_s = self._settings.confirm_factor_s if held.large else self._settings.confirm_s
            message = (
                f"{self._names[index]} {held.reason}{f' in the feed {feed}' if feed else ''}; "
                f"it is not believed until another source confirms it or it has lasted for {wait_s:g} s"
            )
            doubts.append(Doubt("price-suspect", index, True, message))
        for index, ended in sorted(state.ended.items()):
            # A feed that is wrong now and then must not raise an alert each time.
            over = timestep.end_ns - ended.at_ns >= self._confirm_ns
            doubts.append(Doubt("price-suspect", index, False if over else None, f"{self._names[index]} {ended.how}"))
            if over:
                del state.ended[index]
        doubts += [
            Doubt("price-unchanged", index, True, self._unchanged.message(state, index))
            for index in np.flatnonzero(state.frozen).tolist()
        ]
        doubts += [
            Doubt("price-unchanged", index, False, f"{self._names[index]} changes again")
            for index in np.flatnonzero(frozen_before & ~state.frozen).tolist()
        ]
        return tuple(doubts)


def _believed_ticks(
    ticks: Ticks, without: BoolArray, log_mids: tuple[FloatArray, FloatArray], bounds: FloatArray
) -> Ticks:
    """`ticks` without those of some instruments, and without excursions.

    Parameters
    ----------
    without : (m,) instruments whose ticks are left out.
    log_mids : (m,) the last believed ones before this close, and of it.
    bounds : (m,) a tick further from both of them is an excursion.
    """
    which, own, (before, after) = ticks.instruments, np.log(ticks.mids), log_mids
    # Before the first believed quote there is nothing to be far from: a comparison with NaN is false.
    far = (np.abs(own - before[which]) > bounds[which]) & (np.abs(own - after[which]) > bounds[which])
    kept = ~(far | without[which])
    return ticks if kept.all() else Ticks(ticks.times_ns[kept], which[kept], ticks.mids[kept])
