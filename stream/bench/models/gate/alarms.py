"""A course of prices through the gate: what it raises, and what it makes of faults put in on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from stream.bench.models.gate.courses import Course
from stream.bench.models.gate.faults import KINDS, Place, alike, caught, frozen_for, usual_quotes
from stream.config import NANOSECONDS
from stream.engine.market.plausibility.gate import Doubt, Gate
from stream.engine.market.plausibility.state import new_gate_state


@dataclass
class Seen:
    """What the gate did with a course.

    Attributes
    ----------
    raised : by asset, how many alerts.
    said : each of them in words, with its time and how long it stood.
    put_in, caught : by kind of fault, how many were put in, and how many were held.
    small : faults that left the price within one per cent.
    delays : by what is frozen, usual gaps until it was found.
    """

    raised: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)
    put_in: Counter[str] = field(default_factory=Counter)
    caught: Counter[str] = field(default_factory=Counter)
    small: Counter[str] = field(default_factory=Counter)
    delays: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def walked(course: Course, faults: Sequence[Place], freezes: Sequence[Place]) -> Seen:
    """All timesteps of `course` through the gate, with a copy of its state for each fault and freeze."""
    gate, seen = Gate(course.config), Seen()
    state = new_gate_state(len(course.config.instruments))
    standing: dict[tuple[str, int], int] = {}
    waiting, freezing = list(reversed(faults)), list(reversed(freezes))
    for at, timestep in enumerate(course.timesteps):
        while waiting and waiting[-1].at == at:
            place = waiting.pop()
            for kind, fault in KINDS.items():
                held, factor = caught(gate, state, timestep, place, fault)
                if factor < 1.01 and "point" not in kind:
                    seen.small[kind] += 1
                else:
                    seen.put_in[kind] += 1
                    seen.caught[kind] += held
        while freezing and freezing[-1].at == at:
            place = freezing.pop()
            twins, usual = alike(course.config, place.instrument), usual_quotes(course, place)
            for kind, instruments in (("one", [place.instrument]), ("all venues", twins)):
                if kind == "one" or len(twins) > 1:
                    seen.delays[kind].append(frozen_for(gate, state, course, place, instruments, usual))
        _note(seen, course, standing, gate.screen(state, timestep).doubts, timestep.end_ns)
    return seen


def _note(
    seen: Seen, course: Course, standing: dict[tuple[str, int], int], doubts: Sequence[Doubt], end_ns: int
) -> None:
    """Alerts as the service raises and clears them."""
    for doubt in doubts:
        key = doubt.kind, doubt.instrument
        if doubt.holds and key not in standing:
            standing[key] = end_ns
            instrument = course.config.instruments[doubt.instrument]
            asset = next(each for each in (*instrument.legs, instrument.quote) if each in course.config.universe.assets)
            seen.raised[asset] += 1
            at = datetime.fromtimestamp(end_ns / NANOSECONDS, UTC)
            seen.said.append(f"{at:%Y-%m-%d %H:%M:%S} {doubt.message.partition(';')[0]}")
        elif doubt.holds is False:
            standing.pop(key, None)


def found_within(delays: Sequence[float], gaps: float) -> tuple[int, int, float, float]:
    """How many of how many freezes were found within `gaps` usual gaps, the median, and the 99th percentile."""
    known = np.array([delay for delay in delays if not np.isnan(delay)])
    return int(np.count_nonzero(known <= gaps)), len(known), *np.quantile(known, [0.5, 0.99], method="lower").tolist()
