"""[universe]: the assets that share one covariance, and their timesteps."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from stream.config.checks import ABOVE_ZERO, at_least, at_most, check_distinct, wrong

NANOSECONDS = 1_000_000_000
SECONDS_MAX = 1e9
"""Thirty years. As nanoseconds it still fits 64 bits."""

AHEAD_S = 5.0
"""Clocks that are kept by NTP agree within it, whatever the network does."""


class UniverseConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The assets that share one covariance, and the timesteps at which their returns are taken.

    A timestep closes when every active partition of `ticks` has passed its end by `allowed_lateness_s`. A partition
    that lags the others by more than `idle_after_s` counts as idle and is not waited for. A source whose clock is ahead
    of the others makes nobody idle or late, whatever the two keys are. Times are event time, unless a key says
    wall-clock time.

    A price that is dated ahead stays the latest until the others reach its time, and a price is at least as old as the
    allowed lateness when its timestep closes. So `max_event_time_ahead_s` and `allowed_lateness_s` are at most
    `max_price_age_s`: otherwise a price could be stale when it is used, and pass for fresh.
    """

    name: Annotated[str, Meta(description="Name of the universe, without `#`. It is the key of its models.")]
    numeraire: Annotated[str, Meta(description="The currency in which everything is valued.")]
    assets: Annotated[
        tuple[str, ...],
        Meta(
            description="The assets that share one covariance. At least two. The numeraire is not among them: it has "
            "no risk of its own."
        ),
    ]
    timestep_s: Annotated[
        float,
        Meta(description="Length ΔT of a timestep. Returns are taken over it, and books are solved at its end."),
        at_most(SECONDS_MAX),
        ABOVE_ZERO,
    ]
    max_price_age_s: Annotated[
        float,
        Meta(description="A quote older than this is stale. A stale quote prices nothing."),
        at_most(SECONDS_MAX),
        ABOVE_ZERO,
    ]
    allowed_lateness_s: Annotated[
        float,
        Meta(description="How long a timestep that has ended waits for late quotes before it closes."),
        at_most(SECONDS_MAX),
        at_least(0),
    ] = 0.0
    idle_after_s: Annotated[
        float | None,
        Meta(
            description="A partition of `ticks` that is further than this behind the newest one is not waited for. "
            "Left out: two timesteps."
        ),
        at_most(SECONDS_MAX),
        ABOVE_ZERO,
    ] = None
    feed_silent_after_s: Annotated[
        float,
        Meta(description="Wall-clock time without a quote after which the alert `feed-silent` is raised."),
        at_most(SECONDS_MAX),
        ABOVE_ZERO,
    ] = 10.0
    max_event_time_ahead_s: Annotated[
        float | None,
        Meta(
            description="A message whose event time is further than this ahead of its record's time in Kafka is "
            "refused. At most `max_price_age_s`. Left out: 5 s, or `max_price_age_s` where that is less."
        ),
        at_most(SECONDS_MAX),
        at_least(0),
    ] = None

    @property
    def timestep_ns(self) -> int:
        return round(self.timestep_s * NANOSECONDS)

    @property
    def idle_after_ns(self) -> int:
        # Two timesteps are enough for a partition whose instruments trade less often, and short for one that is dead.
        return 2 * self.timestep_ns if self.idle_after_s is None else round(self.idle_after_s * NANOSECONDS)

    @property
    def max_event_time_ahead_ns(self) -> int:
        ahead_s = self.max_event_time_ahead_s
        return round((min(AHEAD_S, self.max_price_age_s) if ahead_s is None else ahead_s) * NANOSECONDS)


def check_universe_section(universe: UniverseConfig) -> None:
    if not universe.name or "#" in universe.name:
        # With '#' the snapshots of two universes could have the same key: see `stream.events.encode.snapshot_key`.
        raise wrong("universe.name", "a name without '#'", universe.name)
    if len(universe.assets) < 2:
        raise wrong("universe.assets", "at least two assets, for a β to combine", list(universe.assets))
    check_distinct("universe.assets", universe.assets)
    if universe.numeraire in universe.assets:
        raise wrong("universe.assets", f"assets other than the numeraire {universe.numeraire}", universe.numeraire)
    if not universe.numeraire:
        raise wrong("universe.numeraire", "a name", universe.numeraire)
    if universe.timestep_ns < 1:
        raise wrong("universe.timestep_s", "at least one nanosecond", universe.timestep_s)
    if universe.max_event_time_ahead_ns > round(universe.max_price_age_s * NANOSECONDS):
        expected = (
            f"at most universe.max_price_age_s, {universe.max_price_age_s:g}: a price that is dated further ahead "
            "would be stale when the others reach its time"
        )
        raise wrong("universe.max_event_time_ahead_s", expected, universe.max_event_time_ahead_s)
    if universe.allowed_lateness_s > universe.max_price_age_s:
        expected = (
            f"at most universe.max_price_age_s, {universe.max_price_age_s:g}: every price would be stale when its "
            "timestep closes"
        )
        raise wrong("universe.allowed_lateness_s", expected, universe.allowed_lateness_s)
