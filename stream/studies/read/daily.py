"""Daily bars to dates: a bar that is stamped with its exchange's midnight is of a date, not of a moment.

In UTC such stamps lie at 22:00 or 23:00 of the day before, and move with summer time. Joined by moment with plain dates
they would lose every summer, or all.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from solver.arrays import IntArray
from stream.config import NANOSECONDS
from stream.studies.read.times import DAY_NS, Times

# Of exchanges whose clocks change. Those without summer time are left out: their midnight is an hour like any other.
_ZONES = (
    "Europe/London", "Europe/Zurich", "Europe/Athens", "America/New_York", "America/Chicago", "America/Denver",
    "America/Los_Angeles", "America/Halifax", "America/Sao_Paulo", "America/Santiago", "America/Mexico_City",
    "Australia/Sydney", "Australia/Adelaide", "Pacific/Auckland", "Asia/Jerusalem", "Africa/Cairo", "Europe/Moscow",
)  # fmt: skip

#: Rows of a daily file lie at least so far apart; a day of 23 hours is one in which the clock is put forward.
_LEAST_APART_NS = 20 * 3600 * NANOSECONDS


def is_daily(times_ns: IntArray) -> bool:
    """Whether rows lie about a day apart or more."""
    ordered = np.unique(times_ns)
    return len(ordered) >= 2 and bool((np.diff(ordered) >= _LEAST_APART_NS).all())


def as_dates(times: Times, zone: str | None) -> tuple[IntArray, str] | None:
    """The dates of daily bars, as their midnights in UTC, and in words where they come from; None for other files.

    Parameters
    ----------
    times : of a file.
    zone : that the user named, whose clock then says the date.
    """
    if times.dates_only:
        return times.ns, times.zone
    if not is_daily(times.ns):
        return None
    if times.midnights is not None:
        return times.midnights, f"{times.zone}, every one a midnight: taken as dates"
    if (times.ns % DAY_NS == 0).all():
        return times.ns, f"{times.zone}, every one a midnight: taken as dates"
    if zone is not None:
        return _local(times.ns, zone) // DAY_NS * DAY_NS, f"dates on the clock of {zone} (--zone)"
    for name in _ZONES:
        local = _local(times.ns, name)
        moved = len(np.unique(local - times.ns)) > 1
        if moved and (local % DAY_NS == 0).all():
            return local, f"{times.zone}; every one is midnight on the clock of {name}, in summer too: taken as dates"
    return None


def _local(times_ns: IntArray, zone: str) -> IntArray:
    """What the clock of `zone` shows, as if it were UTC."""
    moments = pd.DatetimeIndex(times_ns, tz="UTC").tz_convert(ZoneInfo(zone))
    return np.asarray(moments.tz_localize(None).astype("datetime64[ns]").astype("int64"))
