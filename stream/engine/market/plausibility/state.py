"""What the gate remembers from close to close."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solver.arrays import BoolArray, FloatArray, IntArray
from stream.engine.market.plausibility.usual import Usual, nothing_usual


@dataclass(frozen=True)
class Held:
    """A price that waits to be believed.

    Attributes
    ----------
    since_ns, steps : event time of its first quote, and how many timesteps the believed price had stood by then.
    quotes : how many quotes in a row agree on it.
    log_mid : of the latest of them.
    large : whether it moved by more than `jump_factor`.
    reason : why it is not believed, in words.
    """

    since_ns: int
    steps: int
    quotes: int
    log_mid: float
    large: bool
    reason: str


@dataclass(frozen=True)
class Ended:
    """A doubt that ended at `at_ns`, and how, in words. Its alert is cleared a little later, so that it cannot flap."""

    at_ns: int
    how: str


@dataclass
class GateState:
    """By instrument (m,), as of the latest close.

    Attributes
    ----------
    seen_ns : event time of the latest quote, believed or not; 0 before the first.
    bids, asks, quoted_at_ns, log_mids : the last believed quote; NaN and 0 before the first.
    changed_at_ns, changed_step : when the believed quote last changed, as event time and as timestep.
    run : how many believed quotes have repeated it since.
    longest : the most quotes that the price has stood for, as far as that is remembered.
    twin_log_mids : where the instrument's twin was then; NaN for one without a twin.
    frozen : whether the price is doubted because it does not change.
    usual : what the instruments usually do.
    held : by instrument, the price that waits.
    ended : by instrument, the doubt that ended last, while its alert stands.
    """

    seen_ns: IntArray
    bids: FloatArray
    asks: FloatArray
    quoted_at_ns: IntArray
    log_mids: FloatArray
    changed_at_ns: IntArray
    changed_step: IntArray
    run: IntArray
    longest: FloatArray
    twin_log_mids: FloatArray
    frozen: BoolArray
    usual: Usual
    held: dict[int, Held]
    ended: dict[int, Ended]


def new_gate_state(instruments: int) -> GateState:
    """No quote seen yet."""
    nothing = np.full(instruments, np.nan)
    never = np.zeros(instruments, dtype=np.int64)
    return GateState(
        seen_ns=never,
        bids=nothing,
        asks=nothing,
        quoted_at_ns=never,
        log_mids=nothing,
        changed_at_ns=never,
        changed_step=never,
        run=never,
        longest=np.zeros(instruments),
        twin_log_mids=nothing,
        frozen=np.zeros(instruments, dtype=np.bool_),
        usual=nothing_usual(instruments),
        held={},
        ended={},
    )
