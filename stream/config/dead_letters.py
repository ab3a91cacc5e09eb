"""[dead_letters]: how many refused records are kept whole, for how long, and when they raise an alert."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from stream.config.checks import ABOVE_ZERO, SHARE_ABOVE_ZERO, at_least, at_most, within

KEEP_DAYS_MAX = 36_500


class DeadLettersConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How refused records are kept, and when they raise an alert.

    A minute is one of the records' timestamps. Only records of `ticks` are ever summed up. Refused positions and
    reports of trades are rare and are money, so each of them is kept whole.
    """

    per_minute: Annotated[
        int,
        Meta(
            description="Records of one partition of `ticks` that are kept whole in a minute for one reason. The "
            "others are counted in a `RefusedSummary`, which names the offsets between which they stand."
        ),
        at_least(1),
    ] = 10
    alert_records: Annotated[
        int,
        Meta(description="Refused records of one topic and one reason in a minute that raise `records-refused`."),
        at_least(1),
    ] = 20
    alert_share: Annotated[
        float,
        Meta(
            description="The alert also needs this share of the topic's records since the first refused one of the "
            "minute. It is cleared after two minutes in which half of both was not reached."
        ),
        SHARE_ABOVE_ZERO,
    ] = 0.1
    keep_days: Annotated[
        float,
        Meta(
            description="How long `dead-letters` keeps a message, by the broker's clock. Set when "
            "`betapack topics --create` makes the topic."
        ),
        ABOVE_ZERO,
        at_most(KEEP_DAYS_MAX),
    ] = 30.0
    keep_mb: Annotated[
        int,
        Meta(
            description="Megabytes of `dead-letters` beyond which the oldest messages are deleted. Set when "
            "`betapack topics --create` makes the topic."
        ),
        within(100, 1_000_000),
    ] = 2000
