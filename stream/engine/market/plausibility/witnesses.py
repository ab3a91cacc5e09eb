"""What other instruments say of an instrument's mid: those of the same legs, and pairs that make a cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solver.arrays import BoolArray, FloatArray, IntArray
from stream.config import InstrumentConfig


@dataclass(frozen=True)
class Paths:
    """All ways to the mid of one instrument over others.

    The log mid over path w is ``offsets[w] + signs[w] @ log_mids[columns[w]]``. A path over one instrument has it
    twice, with a sign of 0 the second time.
    """

    columns: IntArray
    signs: FloatArray
    offsets: FloatArray

    def log_mids(self, log_mids: FloatArray) -> FloatArray:
        """(paths,) what each says; NaN where an instrument was never quoted."""
        said: FloatArray = self.offsets + (self.signs * log_mids[self.columns]).sum(axis=1)
        return said


class Witnesses:
    """The paths of every instrument. Crosses of more than two instruments are not looked at: two make every triangle.

    Instruments with several legs have no crosses, only others with the same legs.
    """

    def __init__(self, instruments: Sequence[InstrumentConfig]) -> None:
        self._instruments = instruments
        self._paths: dict[int, Paths] = {}
        alike: dict[tuple[object, ...], list[int]] = {}
        # By two assets: the instrument, the sign that turns its log price into that of the first in the second, and
        # the log units of its leg.
        self._between: dict[tuple[str, str], list[tuple[int, float, float]]] = {}
        self._neighbours: dict[str, set[str]] = {}
        for column, each in enumerate(instruments):
            alike.setdefault((frozenset(each.legs.items()), each.quote), []).append(column)
            if len(each.legs) == 1:
                ((leg, units),) = each.legs.items()
                for pair, sign in (((leg, each.quote), 1.0), ((each.quote, leg), -1.0)):
                    self._between.setdefault(pair, []).append((column, sign, float(np.log(units))))
                    self._neighbours.setdefault(pair[0], set()).add(pair[1])
        self._alike = {column: tuple(columns) for columns in alike.values() for column in columns}
        self.twins = np.array([self._next(column) for column in range(len(instruments))], dtype=np.int64)
        """(m,) another instrument with the same legs, -1 without one."""

    def of(self, column: int) -> Paths:
        """The paths to the mid of the instrument at index `column`."""
        if column not in self._paths:
            self._paths[column] = self._found(column)
        return self._paths[column]

    def _next(self, column: int) -> int:
        alike = self._alike[column]
        return -1 if len(alike) == 1 else alike[(alike.index(column) + 1) % len(alike)]

    def _found(self, column: int) -> Paths:
        instrument = self._instruments[column]
        rows: list[tuple[tuple[int, int], tuple[float, float], float]] = []
        if len(instrument.legs) == 1:
            ((leg, units),) = instrument.legs.items()
            own = float(np.log(units))
            for other, sign, log_units in self._between[leg, instrument.quote]:
                if other != column:
                    rows.append(((other, other), (sign, 0.0), own - sign * log_units))
            for over in sorted(self._neighbours[leg] & self._neighbours[instrument.quote]):
                for first, first_sign, first_units in self._between[leg, over]:
                    for second, second_sign, second_units in self._between[over, instrument.quote]:
                        offset = own - first_sign * first_units - second_sign * second_units
                        rows.append(((first, second), (first_sign, second_sign), offset))
        else:
            rows += [((other, other), (1.0, 0.0), 0.0) for other in self._alike[column] if other != column]
        columns, signs, offsets = zip(*rows, strict=True) if rows else ((), (), ())
        return Paths(
            np.array(columns, dtype=np.int64).reshape(-1, 2), np.array(signs).reshape(-1, 2), np.array(offsets)
        )


def agreeing(
    paths: Paths, log_mids: FloatArray, usable: BoolArray, log_mid: float, tolerance: float
) -> tuple[int, ...] | None:
    """The instruments of the first path that agrees with `log_mid` within `tolerance`; None if no path does.

    Parameters
    ----------
    log_mids : (m,) of the instruments.
    usable : (m,) instruments that may be on the path.
    """
    if not len(paths.offsets):
        return None
    agrees = usable[paths.columns].all(axis=1) & (np.abs(paths.log_mids(log_mids) - log_mid) <= tolerance)
    if not agrees.any():
        return None
    return tuple(dict.fromkeys(paths.columns[int(np.argmax(agrees))].tolist()))
