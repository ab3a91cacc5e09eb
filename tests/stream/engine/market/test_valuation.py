"""Valuation by numbers worked out by hand, and its independence of the currency that everything is counted in."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.config import Config, InstrumentConfig, UniverseConfig, check_config
from stream.engine.market.valuation import Valuation, Valuer
from stream.events.types import Timestep

SECOND = 1_000_000_000
CLOSE = 100

INSTRUMENTS = {
    "EURUSD": InstrumentConfig(name="EURUSD", legs={"EUR": 1.0}, quote="USD", lot=1e6),
    "USDCHF": InstrumentConfig(name="USDCHF", legs={"USD": 1.0}, quote="CHF", lot=1e6),
    "USDJPY": InstrumentConfig(name="USDJPY", legs={"USD": 1.0}, quote="JPY", lot=1e6, fee_bps=0.2),
    "EURCHF": InstrumentConfig(name="EURCHF", legs={"EUR": 1.0}, quote="CHF", lot=500_000.0, fee_bps=0.1),
    "SPY": InstrumentConfig(name="SPY", legs={"SPY": 1.0}, quote="USD", lot=100.0, fee_bps=0.5),
}
# Mids 1.10, 0.80, 160, 0.88 and 500: EURCHF is that of the other two, so that sums can be done by hand.
QUOTES = {
    "EURUSD": (1.0999, 1.1001),
    "USDCHF": (0.7998, 0.8002),
    "USDJPY": (159.98, 160.02),
    "EURCHF": (0.8798, 0.8802),
    "SPY": (499.9, 500.1),
}


def config_of(instruments: dict[str, InstrumentConfig], assets: tuple[str, ...], numeraire: str = "USD") -> Config:
    config = msgspec.convert(
        {
            "universe": {
                "name": "all",
                "numeraire": numeraire,
                "assets": assets,
                "timestep_s": 1.0,
                "max_price_age_s": 5.0,
            },
            "instruments": msgspec.to_builtins(tuple(instruments.values())),
            "books": [{"name": "spot", "limit": 1.0}],
            "solver": {"lot_notional": 1e6},
        },
        Config,
    )
    check_config(config)
    return config


CONFIG = config_of(INSTRUMENTS, ("EUR", "CHF", "JPY", "SPY"))
NAMES = list(INSTRUMENTS)
EUR, CHF, JPY, SPY = range(4)


def value(
    quotes: dict[str, tuple[float, float]],
    ages_s: dict[str, float] | None = None,
    config: Config = CONFIG,
    doubtful: tuple[str, ...] = (),
) -> Valuation:
    """The quotes' value at the close; an instrument that is not named was never quoted, ages are 1 s unless given."""
    names = [instrument.name for instrument in config.instruments]
    bids, asks = np.array([quotes.get(name, (math.nan, math.nan)) for name in names]).T
    age_ns = np.array([round((ages_s or {}).get(name, 1.0) * SECOND) for name in names], dtype=np.int64)
    quoted_at_ns = np.where(np.isnan(bids), 0, CLOSE * SECOND - age_ns)
    doubted = np.array([name in doubtful for name in names])
    return Valuer(config).value(Timestep(CLOSE, CLOSE * SECOND, bids, asks, quoted_at_ns), doubted)


def test_prices_are_mids_in_the_numeraire() -> None:
    """EURUSD as quoted, USDJPY and USDCHF inverted, a share as quoted."""
    valuation = value(QUOTES)
    assert valuation.prices == pytest.approx([1.1, 1 / 0.8, 1 / 160, 500.0], rel=1e-12)
    assert not valuation.unpriced.any()
    assert valuation.tradeable.all()


def test_exposures_are_what_one_bought_lot_adds_and_pays() -> None:
    """Buying a lot adds its legs and costs its price in its quote asset, all in the numeraire."""
    exposures = value(QUOTES).exposures
    by_hand = {
        "EURUSD": (1.1e6, 0.0, 0.0, 0.0),  # a million EUR; the dollars paid carry no risk
        "USDCHF": (0.0, -1e6, 0.0, 0.0),  # 800,000 CHF paid
        "USDJPY": (0.0, 0.0, -1e6, 0.0),  # 160 million JPY paid
        "EURCHF": (550_000.0, -550_000.0, 0.0, 0.0),  # half a million EUR for 440,000 CHF
        "SPY": (0.0, 0.0, 0.0, 50_000.0),  # a hundred shares
    }
    for column, name in enumerate(NAMES):
        assert exposures[:, column] == pytest.approx(by_hand[name], rel=1e-12, abs=1e-6), name


def test_costs_are_half_spread_and_fee_in_the_numeraire() -> None:
    """Half the bid-ask spread on a lot, and the fee on its notional, converted from the quote asset."""
    by_hand = [
        100.0,  # 0.0001 USD on a million EUR
        250.0,  # 0.0002 CHF on a million USD is 200 CHF
        125.0 + 20.0,  # 0.02 JPY on a million USD is 20,000 JPY; 0.2 bp of a million USD
        125.0 + 5.5,  # 0.0002 CHF on half a million EUR is 100 CHF; 0.1 bp of 550,000 USD
        10.0 + 2.5,  # 0.1 USD on a hundred shares; 0.5 bp of 50,000 USD
    ]
    assert value(QUOTES).cost_per_lot == pytest.approx(by_hand, rel=1e-9)


def test_two_venues_of_one_instrument_change_what_is_held_alike() -> None:
    """Their mids differ, but both have the exposures of the first fresh one. Each costs its own bid-ask spread."""
    other = InstrumentConfig(name="EURCHF B", legs={"EUR": 1.0}, quote="CHF", lot=500_000.0, venue="B")
    config = config_of(INSTRUMENTS | {"EURCHF B": other}, ("EUR", "CHF", "JPY", "SPY"))
    both = value(QUOTES | {"EURCHF B": (0.8790, 0.8792)}, config=config)
    eurchf = NAMES.index("EURCHF")
    np.testing.assert_array_equal(both.exposures[:, -1], both.exposures[:, eurchf])
    np.testing.assert_array_equal(both.exposures[:, eurchf], value(QUOTES).exposures[:, eurchf])
    assert both.cost_per_lot[-1] == pytest.approx(500_000 * 0.0001 / 0.8)
    alone = value(QUOTES | {"EURCHF B": (0.8790, 0.8792)}, {"EURCHF": 6.0}, config)
    assert alone.exposures[CHF, -1] == pytest.approx(-500_000 * 0.8791 / 0.8)


def test_what_is_doubtful_prices_only_what_nothing_else_prices() -> None:
    """CHF goes over EURCHF, whose quote is 1 % off here, and is not suspect. JPY has USDJPY alone, and is."""
    off = QUOTES | {"EURCHF": (0.8798 * 1.01, 0.8802 * 1.01)}
    valuation = value(off, doubtful=("USDCHF", "USDJPY"))
    assert valuation.prices == pytest.approx([1.1, 1.1 / (0.88 * 1.01), 1 / 160, 500.0], rel=1e-12)
    assert valuation.priced_by[CHF] == (NAMES.index("EURCHF"), NAMES.index("EURUSD"))
    assert valuation.priced_by[JPY] == (NAMES.index("USDJPY"),)
    assert valuation.suspect.tolist() == [False, False, True, False]
    assert [name for name, tradeable in zip(NAMES, valuation.tradeable, strict=True) if not tradeable] == [
        "USDCHF",
        "USDJPY",
    ]


def test_nothing_with_a_suspect_leg_is_tradeable() -> None:
    """CHF stands on a doubtful quote alone, so its cross is not traded either, though its own quote is believed."""
    valuation = value(QUOTES, {"EURUSD": 6.0}, doubtful=("USDCHF",))
    assert valuation.suspect.tolist() == [True, True, False, False]
    assert valuation.priced_by[EUR] == (NAMES.index("EURCHF"), NAMES.index("USDCHF"))
    assert np.flatnonzero(valuation.tradeable).tolist() == [NAMES.index("USDJPY"), NAMES.index("SPY")]
    stale = value(QUOTES, {"USDCHF": 6.0, "EURCHF": 6.0}, doubtful=("USDCHF",))
    assert stale.unpriced.tolist() == [False, True, False, False]
    assert not stale.suspect.any()


def test_of_two_venues_the_one_that_is_not_doubtful_prices() -> None:
    """And its mid is the one by which exposures of both are counted."""
    other = InstrumentConfig(name="USDCHF B", legs={"USD": 1.0}, quote="CHF", lot=1e6, venue="B")
    config = config_of(INSTRUMENTS | {"USDCHF B": other}, ("EUR", "CHF", "JPY", "SPY"))
    quotes = QUOTES | {"USDCHF B": (0.8098, 0.8102), "EURCHF": (math.nan, math.nan)}
    valuation = value(quotes, config=config, doubtful=("USDCHF",))
    assert valuation.prices[CHF] == pytest.approx(1 / 0.81)
    assert not valuation.suspect.any()
    assert valuation.exposures[CHF, -1] == pytest.approx(-1e6)


def test_an_instrument_of_several_legs() -> None:
    """A basket adds each of its legs, whatever their sign, and prices none of them."""
    basket = InstrumentConfig(name="PAIR", legs={"EUR": 2.0, "SPY": -0.001}, quote="CHF", lot=1000.0)
    config = config_of(INSTRUMENTS | {"PAIR": basket}, ("EUR", "CHF", "JPY", "SPY"))
    valuation = value(QUOTES | {"PAIR": (1.35, 1.37)}, config=config)
    assert valuation.exposures[:, -1] == pytest.approx([2000 * 1.1, -1000 * 1.36 / 0.8, 0.0, -500.0])
    assert valuation.cost_per_lot[-1] == pytest.approx(1000 * 0.01 / 0.8)
    assert valuation.prices == pytest.approx(value(QUOTES).prices, rel=0)


def test_legs_count_in_the_units_of_the_instrument() -> None:
    """An instrument on ten shares is worth ten times the share."""
    ten = InstrumentConfig(name="SPY10", legs={"SPY": 10.0}, quote="USD", lot=1.0)
    valuation = value({"EURUSD": (1.0, 1.2), "SPY10": (4990.0, 5010.0)}, config=with_share(ten))
    assert valuation.prices[1] == 500.0
    assert valuation.exposures[1, 1] == 5000.0


def with_share(share: InstrumentConfig) -> Config:
    return config_of({"EURUSD": INSTRUMENTS["EURUSD"], share.name: share}, ("EUR", "SPY"))


def test_a_quote_at_the_limit_of_its_age_is_fresh_and_beyond_it_stale() -> None:
    """A quote is fresh up to 5 s of age, and stale a nanosecond later."""
    assert value(QUOTES, {"SPY": 5.0}).prices[SPY] == 500.0
    stale = value(QUOTES, {"SPY": 5.0 + 1e-9})
    assert np.isnan(stale.prices[SPY])
    assert not stale.tradeable[NAMES.index("SPY")]


@pytest.mark.parametrize("stale", [True, False])
def test_without_a_fresh_quote_there_is_no_price_and_no_trade(stale: bool) -> None:
    """Stale and never quoted alike: the price is NaN, never zero and never the last one; nothing else suffers."""
    if stale:
        valuation = value(QUOTES, {"EURUSD": 6.0, "USDCHF": 6.0})
    else:
        valuation = value({name: quote for name, quote in QUOTES.items() if name not in ("EURUSD", "USDCHF")})
    assert valuation.unpriced.tolist() == [True, True, False, False]
    assert valuation.priced_by[:2] == ((), ())
    # EURCHF is quoted, but neither what is bought nor what is paid has a value.
    assert dict(zip(NAMES, valuation.tradeable.tolist(), strict=True)) == {
        "EURUSD": False,
        "USDCHF": False,
        "USDJPY": True,
        "EURCHF": False,
        "SPY": True,
    }
    full = value(QUOTES)
    for column in np.flatnonzero(valuation.tradeable):
        assert (valuation.exposures[:, column] == full.exposures[:, column]).all()
        assert valuation.cost_per_lot[column] == full.cost_per_lot[column]


def test_a_stale_instrument_is_not_traded_even_if_its_assets_have_prices() -> None:
    """EURCHF without a fresh quote of its own: EUR and CHF are priced, the cross cannot be dealt."""
    valuation = value(QUOTES, {"EURCHF": 60.0})
    assert not valuation.unpriced.any()
    assert valuation.tradeable.tolist() == [True, True, True, False, True]
    assert np.isfinite(valuation.exposures).all()
    assert np.isfinite(valuation.cost_per_lot).all()


def test_the_first_fresh_instrument_of_the_configuration_prices_its_asset() -> None:
    """Two venues of one share: the operator's order decides, and the second stands in while the first is stale."""
    config = config_of(
        {
            "EURUSD": INSTRUMENTS["EURUSD"],
            "SPY@X": InstrumentConfig(name="SPY@X", legs={"SPY": 1.0}, quote="USD", lot=1.0),
            "SPY@Y": InstrumentConfig(name="SPY@Y", legs={"SPY": 1.0}, quote="USD", lot=1.0),
        },
        ("EUR", "SPY"),
    )
    quotes = {"EURUSD": (1.0, 1.2), "SPY@X": (499.0, 501.0), "SPY@Y": (599.0, 601.0)}
    assert value(quotes, config=config).prices[1] == 500.0
    assert value(quotes, {"SPY@X": 6.0}, config).prices[1] == 600.0
    assert np.isnan(value(quotes, {"SPY@X": 6.0, "SPY@Y": 6.0}, config).prices[1])


def test_a_cross_stands_in_for_a_price_that_is_missing() -> None:
    """Without USDCHF the franc is priced over EURCHF and EURUSD, by hand 1.10 / 0.88; and can be traded."""
    valuation = value({name: quote for name, quote in QUOTES.items() if name != "USDCHF"})
    assert valuation.prices[CHF] == pytest.approx(1.1 / 0.88, rel=1e-15)
    assert valuation.priced_by == ((0,), (3, 0), (2,), (4,))
    assert valuation.tradeable.tolist() == [True, False, True, True, True]


FOUR = {
    name: InstrumentConfig(name=name, legs={name[:3]: 1.0}, quote=name[3:], lot=1e6)
    for name in ("EURUSD", "GBPUSD", "EURGBP", "EURCHF", "GBPCHF", "GBPJPY", "CHFJPY")
}


@given(
    half_spreads=st.tuples(*[st.floats(1e-6, 0.01) for _ in FOUR]),
    quoted=st.sets(st.sampled_from(list(FOUR))),
)
def test_a_cross_price_takes_the_path_of_least_spread(half_spreads: tuple[float, ...], quoted: set[str]) -> None:
    """Against every path: the least sum of relative bid-ask spreads among fresh quotes, else no price."""
    assets = ("EUR", "GBP", "CHF", "JPY")
    config = config_of(FOUR, assets)
    names = list(FOUR)
    mids = dict(zip(names, (1.1, 1.3, 0.85, 0.95, 1.12, 200.0, 180.0), strict=True))
    spreads = dict(zip(names, half_spreads, strict=True))
    quotes = {name: (mids[name] * (1 - spreads[name]), mids[name] * (1 + spreads[name])) for name in quoted}
    valuation = value(quotes, config=config)

    def paths(at: str, seen: tuple[str, ...]) -> list[list[str]]:
        if at == "USD":
            return [[]]
        return [
            [name, *rest]
            for name in names
            if name in quoted and at in (name[:3], name[3:])
            for other in [name[3:] if at == name[:3] else name[:3]]
            if other not in seen
            for rest in paths(other, (*seen, other))
        ]

    for asset, price, path in zip(assets, valuation.prices, valuation.priced_by, strict=True):
        possible = paths(asset, (asset,))
        if not possible:
            assert math.isnan(price)
            assert path == ()
            continue
        direct = [each for each in possible if len(each) == 1]
        best = min(direct or possible, key=lambda each: sum(spreads[name] for name in each))
        taken = [names[column] for column in path]
        assert taken in possible
        assert sum(spreads[name] for name in taken) == pytest.approx(sum(spreads[name] for name in best), abs=1e-9)
        worth, at = 1.0, asset
        for name in taken:
            worth *= mids[name] if at == name[:3] else 1 / mids[name]
            at = name[3:] if at == name[:3] else name[:3]
        assert price == pytest.approx(worth, rel=1e-12)


def test_locked_quotes_cost_only_their_fee() -> None:
    """Where bid equals ask, crossing is free."""
    valuation = value(QUOTES | {"EURUSD": (1.1, 1.1), "SPY": (500.0, 500.0)})
    assert valuation.cost_per_lot[0] == 0.0
    assert valuation.cost_per_lot[-1] == pytest.approx(2.5)


def test_quotes_are_handed_on_for_limit_prices() -> None:
    """Bids and asks stay in quote units."""
    valuation = value(QUOTES)
    assert list(zip(valuation.bids.tolist(), valuation.asks.tolist(), strict=True)) == list(QUOTES.values())


# One market of four currencies, counted in each of them, with all six pairs.
CURRENCIES = ("USD", "EUR", "CHF", "JPY")
PAIRS = [("EUR", "USD"), ("USD", "CHF"), ("USD", "JPY"), ("EUR", "CHF"), ("EUR", "JPY"), ("CHF", "JPY")]
CROSSES = {
    base + quote: InstrumentConfig(name=base + quote, legs={base: 1.0}, quote=quote, lot=1e6, fee_bps=0.3)
    for base, quote in PAIRS
}
CONFIG_IN = {
    numeraire: config_of(CROSSES, tuple(each for each in CURRENCIES if each != numeraire), numeraire)
    for numeraire in CURRENCIES
}


@given(
    worth=st.tuples(*[st.floats(1e-3, 1e3) for _ in CURRENCIES]),
    half_spreads=st.tuples(*[st.floats(0.0, 0.01) for _ in PAIRS]),
    numeraire=st.sampled_from(CURRENCIES[1:]),
)
def test_another_numeraire_says_the_same_of_the_market(
    worth: tuple[float, ...], half_spreads: tuple[float, ...], numeraire: str
) -> None:
    """Prices, exposures and costs in another currency are those in USD divided by that currency's price.

    For a market whose mids are consistent; then ratios of prices, of costs and of exposures are the same in both.
    """
    worth_of = dict(zip(CURRENCIES, worth, strict=True))
    quotes = {}
    for (base, quote), half_spread in zip(PAIRS, half_spreads, strict=True):
        mid = worth_of[base] / worth_of[quote]
        quotes[base + quote] = (mid * (1 - half_spread), mid * (1 + half_spread))
    in_usd, in_other = (value(quotes, config=CONFIG_IN[currency]) for currency in ("USD", numeraire))
    rate = worth_of[numeraire] / worth_of["USD"]
    assert in_other.cost_per_lot * rate == pytest.approx(in_usd.cost_per_lot, rel=1e-9)

    def rows(valuation: Valuation, currency: str) -> dict[str, tuple[float, np.ndarray]]:
        universe: UniverseConfig = CONFIG_IN[currency].universe
        return {
            asset: (float(valuation.prices[index]), valuation.exposures[index])
            for index, asset in enumerate(universe.assets)
        }

    other = rows(in_other, numeraire)
    for asset, (price, exposures) in rows(in_usd, "USD").items():
        if asset != numeraire:
            assert other[asset][0] * rate == pytest.approx(price, rel=1e-9)
            # Sums of legs that cancel leave rounding of a lot's notional.
            assert other[asset][1] * rate == pytest.approx(exposures, rel=1e-9, abs=1e-9 * 1e6 * max(worth))
    assert in_other.tradeable.all()
