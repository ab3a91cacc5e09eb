"""What in prices that could be read is hardly so: jumps as of other units or splits, single outliers, odd times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from solver.arrays import FloatArray, IntArray
from stream.studies.read.times import DAY_NS, shown

#: Factors of splits, and powers of ten: pence for pounds, a decimal sign that slipped.
RATIOS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100, 1_000, 10_000, 100_000, 1_000_000)

# No return of one timestep is expected to reach this, in the data of `docs/evidence.md` none does: the break of the
# franc's peg is a factor of 1.2.
_LEAST_FACTOR = 1.9
_JUMP_SCALES = 12.0

# A price that is out alone, between two that agree. Real ones come back by less, or in more than one timestep.
_OUTLIER_SCALES = 20.0
_LEAST_OUTLIER = 0.1

# What a pegged or seldom quoted asset may move all the same.
_LEAST_SCALE = 1e-4
_NEAR = 0.1

_MOST_FINDINGS = 5


class Finding(Struct, frozen=True, kw_only=True):
    """Something that is hardly right. `factor` is by how much a price is out; None where that is not the matter."""

    kind: str
    asset: str
    time: str
    factor: float | None
    text: str


def odd_prices(name: str, times_ns: IntArray, prices: FloatArray) -> list[Finding]:
    """Jumps and single outliers of one asset. A first or a last price far from its only neighbour counts as one.

    Parameters
    ----------
    name : of the asset.
    times_ns : (T,) increasing.
    prices : (T,) > 0.
    """
    if len(prices) < 3:
        return []
    changes = np.diff(np.log(prices))
    scale = _scale(changes)
    found: list[Finding] = []
    outliers = _outliers(changes, scale)
    for index in outliers:
        factor = float(np.exp(changes[index]))
        found.append(
            _finding(
                "outlier", name, times_ns[index + 1], factor,
                f"{name} is {_times(factor)} the price before at {shown(times_ns[index + 1])}, in this row alone",
            )
        )  # fmt: skip
    explained = {*outliers, *(index + 1 for index in outliers)}
    sizes = np.abs(changes)
    least = max(_OUTLIER_SCALES * scale, _LEAST_OUTLIER)
    for index, row, where in ((0, 0, "first"), (len(changes) - 1, len(changes), "last")):
        if sizes[index] > least and index not in explained:
            explained.add(index)
            factor = float(np.exp(changes[index] if row else -changes[index]))
            text = f"the {where} price of {name}, of {shown(times_ns[row])}, is {_times(factor)} the one beside it"
            found.append(_finding("outlier", name, times_ns[row], factor, text))
    for index in np.flatnonzero(sizes > max(np.log(_LEAST_FACTOR), _JUMP_SCALES * scale)).tolist():
        if index in explained:
            continue
        factor = float(np.exp(changes[index]))
        ratio = _ratio(sizes[index], scale)
        text = f"{name} is {_times(factor)} the price before at {shown(times_ns[index + 1])}"
        if ratio is not None:
            text += f": that looks like {_looks_like(ratio)}"
        found.append(_finding("jump", name, times_ns[index + 1], factor, text))
    found.sort(key=lambda finding: finding.time)
    if len(found) > _MOST_FINDINGS:
        rest = f"; {len(found) - _MOST_FINDINGS:,} more of {name} come after it"
        found = found[:_MOST_FINDINGS]
        last = found[-1]
        found[-1] = Finding(kind=last.kind, asset=last.asset, time=last.time, factor=last.factor, text=last.text + rest)
    return found


def exchanged_prices(names: Sequence[str], times_ns: IntArray, prices: FloatArray) -> list[Finding]:
    """Rows from which on two assets have each other's price: (T, n) prices of `names`."""
    if len(prices) < 3:
        return []
    logs = np.log(prices)
    changes = np.diff(logs, axis=0)
    scales = np.array([_scale(column) for column in changes.T])
    jumped = np.abs(changes) > np.maximum(_OUTLIER_SCALES * scales, _LEAST_OUTLIER)
    found: list[Finding] = []
    for row in np.flatnonzero(jumped.sum(axis=1) >= 2).tolist():
        assets = np.flatnonzero(jumped[row]).tolist()
        for position, one in enumerate(assets):
            for other in assets[position + 1 :]:
                tolerance = 6 * (scales[one] + scales[other])
                crossed = abs(logs[row + 1, one] - logs[row, other]), abs(logs[row + 1, other] - logs[row, one])
                if max(crossed) < tolerance:
                    pair = f"{names[one]} and {names[other]}"
                    text = f"{pair} have each other's price from {shown(times_ns[row + 1])} on"
                    found.append(_finding("exchanged", pair, times_ns[row + 1], None, text))
    return found[:_MOST_FINDINGS]


def odd_times(file: str, times_ns: IntArray, lines: Sequence[int], now_ns: int) -> list[Finding]:
    """Times before 1970 or after tomorrow, and times that go back, of one file in the order of its lines."""
    found: list[Finding] = []
    for beyond, what in ((times_ns < 0, "before 1970"), (times_ns > now_ns + DAY_NS, "after tomorrow")):
        indices = np.flatnonzero(beyond)
        if len(indices):
            first = int(indices[0])
            text = (
                f"{file}: {len(indices):,} times lie {what}, the first of them in line {lines[first]}: "
                f"{shown(times_ns[first])}"
            )
            found.append(_finding("time", file, times_ns[first], None, text))
    back = np.flatnonzero(np.diff(times_ns) < 0)
    ahead = np.flatnonzero(np.diff(times_ns) > 0)
    if len(back) and len(ahead):
        first = int(min(back, ahead, key=len)[0]) + 1
        text = (
            f"{file}: {min(len(back), len(ahead)):,} lines are out of order in time, the first of them line "
            f"{lines[first]}: {shown(times_ns[first])} comes after {shown(times_ns[first - 1])}"
        )
        found.append(_finding("order", file, times_ns[first], None, text))
    return found


def _scale(changes: FloatArray) -> float:
    """A robust standard deviation: the median absolute deviation, as of normal changes."""
    return max(1.4826 * float(np.median(np.abs(changes - np.median(changes)))), _LEAST_SCALE)


def _outliers(changes: FloatArray, scale: float) -> list[int]:
    """Indices of changes to a price that is out alone: the next change leads back."""
    first, second = changes[:-1], changes[1:]
    least = np.minimum(np.abs(first), np.abs(second))
    alone = (least > max(_OUTLIER_SCALES * scale, _LEAST_OUTLIER)) & (np.abs(first + second) < 0.25 * least)
    found: list[int] = []
    for index in np.flatnonzero(alone).tolist():
        if not found or index > found[-1] + 1:
            found.append(index)
    return found


def _ratio(size: float, scale: float) -> int | None:
    nearest = min(RATIOS, key=lambda ratio: abs(size - np.log(ratio)))
    return nearest if abs(size - np.log(nearest)) <= min(6 * scale + 0.005, _NEAR) else None


def _looks_like(ratio: int) -> str:
    if ratio >= 100:
        return f"a change of unit by {ratio:,}"
    return f"a split by {ratio}" + (", or a decimal sign that slipped" if ratio == 10 else "")


def _times(factor: float) -> str:
    return f"{factor:,.4g} times"


def _finding(kind: str, asset: str, time_ns: int | np.integer, factor: float | None, text: str) -> Finding:
    return Finding(kind=kind, asset=asset, time=shown(time_ns), factor=factor, text=text)
