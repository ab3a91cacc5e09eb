"""[hedging]: when a suggestion is made, kept, changed and withdrawn."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from stream.config.checks import ABOVE_ZERO, SHARE_ABOVE_ZERO, at_least, at_most, wrong
from stream.config.universe import SECONDS_MAX


class HedgingConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a suggestion is made, kept, changed and withdrawn. All times are event time.

    Nothing new is suggested inside a book's limit. A suggestion stands, with one id, until one of three things happens.
    Its trades are taken up. The risk falls below the book's `clear_share` of the limit. Something material changes: its
    trades cost more than the best ones, or leave more risk than the target, by more than `material_share`.

    A trade that is being worked counts as done. It stops counting when no report came for `in_flight_max_s`.
    """

    min_life_s: Annotated[
        float,
        Meta(
            description="A suggestion is not reconsidered before this age, unless its trades no longer bring the "
            "risk inside the limit."
        ),
        at_least(0),
    ] = 2.0
    expiry_s: Annotated[
        float,
        Meta(
            description="Age at which a suggestion is reconsidered. Above the limit it is renewed if its trades would "
            "be suggested again, and replaced if not. Inside the limit it is withdrawn. More than `min_life_s`."
        ),
        at_most(SECONDS_MAX),
    ] = 60.0
    material_share: Annotated[
        float,
        Meta(
            description="A suggestion stands while its trades cost at most this share more than the best ones, and "
            "leave at most this share more risk than the target."
        ),
        at_least(0),
    ] = 0.1
    ramp_share: Annotated[
        float,
        Meta(description="Largest share of the risk above the target that one suggestion takes away."),
        SHARE_ABOVE_ZERO,
    ] = 1.0
    in_flight_max_s: Annotated[
        float,
        Meta(
            description="A trade that is being worked counts as done. When no report of it came for this long, it "
            "stops counting, and the alert `hedge-overdue` names it."
        ),
        at_most(SECONDS_MAX),
        ABOVE_ZERO,
    ] = 30.0
    rejection_pause_s: Annotated[
        float,
        Meta(
            description="An instrument in which lots were refused is left out of the book's suggestions for this long."
        ),
        at_most(SECONDS_MAX),
        at_least(0),
    ] = 10.0


def check_hedging_section(hedging: HedgingConfig) -> None:
    if not hedging.expiry_s > hedging.min_life_s:
        raise wrong("hedging.expiry_s", f"above hedging.min_life_s {hedging.min_life_s:g}", hedging.expiry_s)
