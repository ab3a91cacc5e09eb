"""The assets that share one covariance."""

from __future__ import annotations

from msgspec import Struct

from stream.config.checks import at_least, at_most, no_twins, positive, wrong

NANOSECONDS = 1_000_000_000
SECONDS_MAX = 1e9
"""Thirty years, and still a number of nanoseconds that fits 64 bits."""


class UniverseConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The assets that share one covariance, and the event-time grid on which their returns are taken.

    A timestep closes when every active ticks partition has passed its end by `allowed_lateness_s`; a partition that
    lags the others by more than `idle_after_s` of event time counts as idle and is not waited for. A quote older than
    `max_price_age_s` of event time is stale. When the feed says nothing for `feed_silent_after_s` of wall-clock time,
    an alert is raised.
    """

    name: str
    numeraire: str
    assets: tuple[str, ...]
    timestep_s: float
    max_price_age_s: float
    allowed_lateness_s: float = 0.0
    idle_after_s: float | None = None
    feed_silent_after_s: float = 10.0
    max_event_time_ahead_s: float = 5.0

    @property
    def timestep_ns(self) -> int:
        return round(self.timestep_s * NANOSECONDS)

    @property
    def idle_after_ns(self) -> int:
        # Two steps: a partition whose instruments merely trade less often is waited for, a dead one is not for long.
        return 2 * self.timestep_ns if self.idle_after_s is None else round(self.idle_after_s * NANOSECONDS)


def check_universe(universe: UniverseConfig) -> None:
    if not universe.name or "#" in universe.name:
        # The keys of one universe's snapshots must not be those of another one's: see `encode.snapshot_key`.
        raise wrong("universe.name", "a name without '#'", universe.name)
    if len(universe.assets) < 2:
        raise wrong("universe.assets", "at least two assets, for a β to combine", list(universe.assets))
    no_twins("universe.assets", universe.assets)
    if universe.numeraire in universe.assets:
        raise wrong("universe.assets", f"assets other than the numeraire {universe.numeraire}", universe.numeraire)
    if not universe.numeraire:
        raise wrong("universe.numeraire", "a name", universe.numeraire)
    for name in (
        "timestep_s",
        "max_price_age_s",
        "allowed_lateness_s",
        "feed_silent_after_s",
        "max_event_time_ahead_s",
    ):
        at_most(f"universe.{name}", getattr(universe, name), SECONDS_MAX)
    at_most("universe.idle_after_s", universe.idle_after_s or 0.0, SECONDS_MAX)
    positive("universe.timestep_s", universe.timestep_s)
    positive("universe.max_price_age_s", universe.max_price_age_s)
    at_least("universe.allowed_lateness_s", universe.allowed_lateness_s, 0)
    positive("universe.feed_silent_after_s", universe.feed_silent_after_s)
    at_least("universe.max_event_time_ahead_s", universe.max_event_time_ahead_s, 0)
    if universe.idle_after_s is not None:
        positive("universe.idle_after_s", universe.idle_after_s)
    if universe.timestep_ns < 1:
        raise wrong("universe.timestep_s", "at least one nanosecond", universe.timestep_s)
