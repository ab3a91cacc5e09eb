"""Prices that jump: which are held, and what makes them believed."""

from __future__ import annotations

import math

import numpy as np

from solver.arrays import BoolArray, FloatArray
from stream.config import NANOSECONDS, Config
from stream.engine.market.plausibility.close import Close
from stream.engine.market.plausibility.faults import looks_like, price, seconds
from stream.engine.market.plausibility.state import Ended, GateState, Held
from stream.engine.market.plausibility.usual import ENOUGH, QUOTE_GAP
from stream.engine.market.plausibility.witnesses import Witnesses, agreeing
from stream.events.types import Timestep

# A smaller move is never looked at: the first in usual moves, the second in usual bid-ask spreads.
_LOOK_MOVES, _LOOK_SPREADS = 10.0, 5.0

# The same for a jump: `jump_scales` is in usual moves, this is in bid-ask spreads.
_JUMP_SPREADS = 20.0

# Beyond this factor a price is held, however long the instrument was silent.
_LOG_LARGEST = math.log(5.0)

# A witness agrees when it lies within this share of the move.
_AGREES = 0.25

# How near a price must be to count as the inverse or as another instrument's, in usual moves and bid-ask spreads.
_ALIKE_MOVES, _ALIKE_SPREADS = 5.0, 2.0

# Quotes in a row that must agree on a price before it is believed for having lasted.
_QUOTES, _LARGE_QUOTES = 2, 3


class Jumps:
    """The rules of one configuration."""

    def __init__(self, config: Config, witnesses: Witnesses) -> None:
        settings = config.plausibility
        self._names = [instrument.name for instrument in config.instruments]
        self._venues = [instrument.venue for instrument in config.instruments]
        self._witnesses = witnesses
        self._scales = settings.jump_scales
        self._log_factor = math.log(settings.jump_factor)
        self._confirm_ns = round(settings.confirm_s * NANOSECONDS)
        self._confirm_factor_ns = round(settings.confirm_factor_s * NANOSECONDS)

    def believed(self, state: GateState, close: Close) -> BoolArray:
        """Decide which quotes are held in `state`. Returns (m,) the instruments whose latest quote is taken.

        An instrument whose held quote is confirmed is among them, also without a new quote.
        """
        # Comparisons with NaN are false: there is nothing to hold a first quote against.
        least = np.maximum(_LOOK_MOVES * close.usual_moves, _LOOK_SPREADS * close.spreads)
        least = np.where(close.usual_moves > 0.0, np.minimum(least, self._log_factor), self._log_factor)
        looked = close.new & ((close.sizes > least) | close.wide)
        if not state.held and not looked.any():
            return close.new
        questioned = sorted({*state.held, *np.flatnonzero(looked).tolist()})
        taken, still_held = close.new.copy(), {}
        for index in questioned:
            verdict = self._verdict(state, close, index, questioned)
            taken[index] = not isinstance(verdict, Held)
            if isinstance(verdict, Held):
                still_held[index] = verdict
                state.ended.pop(index, None)
            elif verdict:
                state.ended[index] = Ended(close.timestep.end_ns, verdict)
        state.held = still_held
        return taken

    def excursions(self, state: GateState, close: Close) -> FloatArray:
        """(m,) the move from which on a single tick counts as a jump, whatever others say of it."""
        large = np.clip(self._scales * close.usual_moves, self._log_factor, max(_LOG_LARGEST, self._log_factor))
        jump = np.maximum(self._scales * close.usual_moves, _JUMP_SPREADS * close.spreads)
        quick = self._quick(state) & (close.usual_moves > 0.0)
        bounds: FloatArray = np.where(quick, np.minimum(jump, large), large)
        return bounds

    def _verdict(self, state: GateState, close: Close, index: int, questioned: list[int]) -> Held | str:
        """What to do with the latest quote of an instrument: hold it, or believe it, and why.

        The reason is empty for a quote that was not held before.
        """
        held, new = state.held.get(index), bool(close.new[index])
        log_mid, size = float(close.log_mids[index]), float(close.sizes[index])
        steps = held.steps if held else int(close.steps[index])
        tolerance = _AGREES * min(size, self._log_factor)
        if held and not new:
            large, reason = held.large, held.reason
        else:
            large, reason = self._reason(state, close, index, steps, questioned)
        agrees = held is not None and abs(log_mid - held.log_mid) <= tolerance and held.large == large
        shown = price(math.exp(log_mid))
        if not reason:
            return "" if held is None else f"is {'believed' if agrees else 'back'} at {shown}"
        by = self._confirmed(state, close, index, large, questioned, tolerance)
        if by:
            return "" if held is None else f"at {shown} is confirmed by {by}"
        if held and not new:
            return held
        at_ns = int(close.timestep.quoted_at_ns[index])
        since_ns, quotes = (held.since_ns, held.quotes + 1) if held and agrees else (at_ns, 1)
        wait_ns = self._confirm_factor_ns if large else self._confirm_ns
        lasted = at_ns - since_ns >= wait_ns and quotes >= (_LARGE_QUOTES if large else _QUOTES)
        if lasted and not self._contradicted(state, close, index, since_ns, questioned, tolerance):
            return f"has lasted at {shown} for {seconds(at_ns - since_ns)}"
        return Held(since_ns, steps, quotes, log_mid, large, held.reason if held and agrees else reason)

    def _reason(
        self, state: GateState, close: Close, index: int, steps: int, questioned: list[int]
    ) -> tuple[bool, str]:
        """Whether the move is large, and why it is not believed at once; no reason if it is."""
        size, usual = float(close.sizes[index]), float(state.usual.moves[index]) * math.sqrt(steps)
        spread = float(close.spreads[index])
        before, after = math.exp(state.log_mids[index]), math.exp(close.log_mids[index])
        went = f"went from {price(before)} to {price(after)}"
        other = self._swapped_with(state, close, index, questioned)
        if size > min(max(self._scales * usual, self._log_factor), max(_LOG_LARGEST, self._log_factor)):
            return True, f"{went}, the price of {other}" if other else f"{went} ({looks_like(before, after)})"
        if close.wide[index]:
            bid, ask = close.timestep.bids[index], close.timestep.asks[index]
            return True, f"quotes a bid of {price(bid)} and an ask of {price(ask)}"
        if usual == 0.0 or size <= max(_LOOK_MOVES * usual, _LOOK_SPREADS * spread):
            return False, ""
        if other:
            return False, f"{went}, the price of {other}"
        if abs(close.log_mids[index] + state.log_mids[index]) <= _ALIKE_MOVES * usual + _ALIKE_SPREADS * spread:
            return False, f"{went} (its inverse, like a pair quoted the other way round)"
        went = f"{went} ({looks_like(before, after)})"
        if self._quick(state)[index]:
            return False, went if size > max(self._scales * usual, _JUMP_SPREADS * spread) else ""
        # A confirmation would come too late, so a jump is believed at once unless other instruments deny it.
        at_ns, tolerance = int(close.timestep.quoted_at_ns[index]), _AGREES * min(size, self._log_factor)
        deniers = self._contradicted(state, close, index, at_ns, questioned, tolerance)
        return False, f"{went}, contradicted by {deniers}" if deniers else ""

    def _swapped_with(self, state: GateState, close: Close, index: int, questioned: list[int]) -> str:
        """The instrument with which this one seems to have swapped its quote; empty if there is none."""
        for other in questioned:
            if other == index or not close.new[other]:
                continue
            pair = [index, other]
            near = _ALIKE_MOVES * close.usual_moves[pair].sum() + _ALIKE_SPREADS * close.spreads[pair].sum()
            gaps = np.abs(close.log_mids[pair] - state.log_mids[pair[::-1]])
            if (gaps <= near).all() and abs(state.log_mids[index] - state.log_mids[other]) > near:
                return self._names[other]
        return ""

    def _quick(self, state: GateState) -> BoolArray:
        """(m,) instruments that usually quote often enough for a jump to last within `confirm_s`."""
        gaps_ns, counts = state.usual.means[QUOTE_GAP], state.usual.counts[QUOTE_GAP]
        quick: BoolArray = (counts >= ENOUGH) & (2.0 * gaps_ns <= self._confirm_ns)
        return quick

    def _confirmed(
        self, state: GateState, close: Close, index: int, large: bool, questioned: list[int], tolerance: float
    ) -> str:
        """The other instruments that quote the new price too, in words; empty if none do.

        They count if they have quoted since this one was last believed. A price that is off by a factor comes with all
        instruments of its feed. So of a large move only another feed tells, or another venue where feeds have no name.
        A mid says nothing where bid and ask lie a factor apart.
        """
        if close.wide[index]:
            return ""
        usable = (close.timestep.quoted_at_ns > state.quoted_at_ns[index]) & ~state.frozen
        if large:
            usable[[other for other in questioned if not self._independent(close.timestep, index, other)]] = False
        said = close.log_mids
        found = agreeing(self._witnesses.of(index), said, usable, float(said[index]), tolerance)
        return self._list(found) if found else ""

    def _independent(self, timestep: Timestep, one: int, other: int) -> bool:
        feeds = timestep.feeds.get(one, ""), timestep.feeds.get(other, "")
        if all(feeds):
            return feeds[0] != feeds[1]
        venues = self._venues[one], self._venues[other]
        return all(venues) and venues[0] != venues[1]

    def _contradicted(
        self, state: GateState, close: Close, index: int, since_ns: int, questioned: list[int], tolerance: float
    ) -> str:
        """The believed instruments that have moved since `since_ns` and still say the old price, in words."""
        timestep = close.timestep
        changes = (timestep.bids != state.bids) | (timestep.asks != state.asks)
        usable = (timestep.quoted_at_ns >= since_ns) & ((close.new & changes) | (state.changed_at_ns > since_ns))
        usable &= ~state.frozen
        usable[questioned] = False
        found = agreeing(self._witnesses.of(index), close.log_mids, usable, float(state.log_mids[index]), tolerance)
        return self._list(found) if found else ""

    def _list(self, instruments: tuple[int, ...]) -> str:
        return " and ".join(self._names[each] for each in instruments)
