"""When a suggestion is made, kept, changed and withdrawn."""

from __future__ import annotations

from msgspec import Struct

from stream.config.checks import at_least, at_most, positive, wrong
from stream.config.universe import SECONDS_MAX


class HedgingConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a suggestion is made, kept, changed and withdrawn; all times are event time.

    Nothing new is suggested inside a book's limit. A suggestion stands, with one id, until its trades are taken up, the
    risk falls below the book's `clear_share` of the limit, or something material changes: its trades cost more than the
    best ones, or leave more risk than the target, by more than `material_share`. It is looked at anew not before
    `min_life_s` unless its trades no longer bring the risk inside the limit. After `expiry_s` it is renewed where it
    would be made again, above the limit, and else withdrawn. One suggestion takes away at most `ramp_share` of the risk
    above the target. Trades that are being worked count as done until nothing was heard of them for `in_flight_max_s`.
    An instrument of which lots were refused is left out of the book's suggestions for `rejection_pause_s`.
    """

    min_life_s: float = 2.0
    expiry_s: float = 60.0
    material_share: float = 0.1
    ramp_share: float = 1.0
    in_flight_max_s: float = 30.0
    rejection_pause_s: float = 10.0


def check_hedging(hedging: HedgingConfig) -> None:
    at_least("hedging.min_life_s", hedging.min_life_s, 0)
    positive("hedging.in_flight_max_s", hedging.in_flight_max_s)
    if not hedging.min_life_s < hedging.expiry_s <= SECONDS_MAX:
        raise wrong("hedging.expiry_s", f"above hedging.min_life_s {hedging.min_life_s:g}", hedging.expiry_s)
    at_most("hedging.in_flight_max_s", hedging.in_flight_max_s, SECONDS_MAX)
    at_least("hedging.material_share", hedging.material_share, 0)
    at_least("hedging.rejection_pause_s", hedging.rejection_pause_s, 0)
    at_most("hedging.rejection_pause_s", hedging.rejection_pause_s, SECONDS_MAX)
    if not 0 < hedging.ramp_share <= 1:
        raise wrong("hedging.ramp_share", "a number above 0 and at most 1", hedging.ramp_share)
