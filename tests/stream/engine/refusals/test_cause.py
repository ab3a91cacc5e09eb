"""The likely cause of refusals, in words: what to change, and at whom."""

from __future__ import annotations

import pytest

from stream.config import Config
from stream.engine.refusals.cause import Causes
from stream.engine.refusals.state import NAMES_MAX, KindOfRefusal, NameCounts


def counted(**counts: int) -> NameCounts:
    return NameCounts({f"'{name}'": times for name, times in counts.items()})


@pytest.mark.parametrize(
    ("kind", "names", "cause"),
    [
        (
            KindOfRefusal("ticks", "unknown-instrument"),
            NameCounts({"'EUR/USD'": 1200}),
            "'EUR/USD' (1,200); did you mean EURUSD",
        ),
        (
            KindOfRefusal("ticks", "unknown-instrument"),
            NameCounts({"'USD/CHF'": 3, "'eurusd'": 7, "'SPY'": 2, "'QQQ'": 1}, others=5),
            "'eurusd' (7), 'USD/CHF' (3), 'SPY' (2), others (6); did you mean EURUSD, USDCHF",
        ),
        (
            KindOfRefusal("ticks", "unknown-instrument"),
            counted(JPYUSD=4),
            "'JPYUSD' (4); 'JPYUSD' is USDJPY the other way round: quote USDJPY",
        ),
        (KindOfRefusal("ticks", "unknown-instrument"), counted(SPY=4), "'SPY' (4)"),
        (KindOfRefusal("positions", "unknown-book"), counted(Spot=4), "'Spot' (4); did you mean spot"),
        (KindOfRefusal("positions", "unknown-asset"), counted(usd=4), "'usd' (4); did you mean USD"),
        (KindOfRefusal("ticks", "unknown-universe"), counted(FX=4), "'FX' (4); did you mean fx"),
        (
            KindOfRefusal("ticks", "event-time", unit="milliseconds", detail="1 looks like milliseconds"),
            counted(EURUSD=20),
            "event times look like milliseconds since 1970, expected nanoseconds",
        ),
        (
            KindOfRefusal("ticks", "content-type"),
            NameCounts({"'text/plain'": 20}),
            "content type 'text/plain' (20) is not read: expected application/json or application/msgpack; "
            "a charset, if there is one, must be utf-8",
        ),
        (
            KindOfRefusal("ticks", "undecodable", detail="Expected `float`, got `str` - at `$.bid`"),
            NameCounts(),
            "Expected `float`, got `str` - at `$.bid`",
        ),
        (
            KindOfRefusal("ticks", "crossed", detail="bid 1.2 above ask 1.1"),
            counted(EURUSD=20),
            "'EURUSD' (20): bid 1.2 above ask 1.1",
        ),
    ],
    ids=lambda value: value.reason if isinstance(value, KindOfRefusal) else "",
)
def test_the_cause_says_what_to_change(desk: Config, kind: KindOfRefusal, names: NameCounts, cause: str) -> None:
    """Names with their counts and what they probably mean; the unit; the encodings that are read; or an example."""
    assert Causes(desk).likely_cause(kind, names) == cause


def test_names_are_counted_within_a_bound() -> None:
    """The first ones have a count of their own; nothing is lost of the others' number, also when counts are merged."""
    names = NameCounts()
    for number in range(1000):
        names.add((f"'{number % 500}'", "'EURUSD'"))
    both = names.merged(names)
    for counts, times in ((names, 1), (both, 2)):
        assert len(counts.counts) == NAMES_MAX
        assert sum(counts.counts.values()) + counts.others == 2000 * times
        assert counts.counts["'EURUSD'"] == 1000 * times
