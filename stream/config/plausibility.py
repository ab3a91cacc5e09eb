"""[plausibility]: which quotes are believed, and when a price that does not change is doubted."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from stream.config.checks import at_least, at_most, within, wrong
from stream.config.universe import SECONDS_MAX


class PlausibilityConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which quotes are believed. All times are event time.

    A quote that is not plausible is held: the last believed quote of its instrument prices on, until it is stale. The
    held price is believed as soon as another instrument confirms it: one of the same legs, or two that make a cross.
    Otherwise it has to last. It is dropped when the instrument quotes its believed level again.

    A quote is held for one of three reasons. It moved by more than `jump_factor`. It moved by more than `jump_scales`
    of its usual moves, and usually quotes often enough for a confirmation within `confirm_s`. Or it moved by more than
    ten of its usual moves and is the inverse of its last price, carries the price of another instrument, or is
    contradicted by other instruments at the same close.
    """

    enabled: Annotated[
        bool,
        Meta(description="`false` believes every quote, and doubts no price that does not change."),
    ] = True
    confirm_s: Annotated[
        float,
        Meta(description="How long a price that moved by less than `jump_factor` has to last to be believed."),
        at_most(SECONDS_MAX),
        at_least(0),
    ] = 5.0
    confirm_factor_s: Annotated[
        float,
        Meta(
            description="How long a price that moved by more than `jump_factor` has to last, over at least three "
            "quotes. Not below `confirm_s`."
        ),
        at_most(SECONDS_MAX),
        at_least(0),
    ] = 60.0
    jump_scales: Annotated[
        float,
        Meta(
            description="A move beyond this many usual moves is a jump. The usual move grows with the root of the "
            "time since the price last changed."
        ),
        at_least(20),
    ] = 100.0
    jump_factor: Annotated[
        float,
        Meta(description="A price that is this many times the last one, or one such part of it, is a unit error."),
        within(1.1, 5),
    ] = 1.5
    unchanged_gaps: Annotated[
        float,
        Meta(
            description="A price that quotes repeat for this many times as long as they usually do is doubted, and "
            "not before 1.75 times the longest stands that were seen. From a quarter of that on its returns "
            "do not enter the covariance."
        ),
        at_least(8),
    ] = 15.0


def check_plausibility_section(plausibility: PlausibilityConfig) -> None:
    if plausibility.confirm_factor_s < plausibility.confirm_s:
        raise wrong(
            "plausibility.confirm_factor_s",
            f"at least plausibility.confirm_s {plausibility.confirm_s:g}",
            plausibility.confirm_factor_s,
        )
