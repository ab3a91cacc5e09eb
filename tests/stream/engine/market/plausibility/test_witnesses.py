"""What other instruments say of a mid, against the prices of the currencies."""

from __future__ import annotations

import numpy as np

from gate_play import universe, walk
from stream.config import InstrumentConfig
from stream.engine.market.plausibility.witnesses import Witnesses, agreeing

PAIRS = (("EUR", "USD"), ("USD", "CHF"), ("EUR", "CHF"), ("GBP", "USD"), ("GBP", "CHF"), ("EUR", "USD", "two"))


def test_every_path_gives_the_mid_of_consistent_prices() -> None:
    """Twins, both ways round, and crosses over any currency, with units of a leg other than one."""
    config = universe(*PAIRS)
    units = InstrumentConfig(name="EUR100", legs={"EUR": 100.0}, quote="USD", lot=1.0)
    inverse = InstrumentConfig(name="USDEUR", legs={"USD": 1.0}, quote="EUR", lot=1.0)
    instruments = (*config.instruments, units, inverse)
    row = walk(config, 5)[-1]
    log_mids = np.log([*row, 100.0 * row[0], 1.0 / row[0]])
    witnesses = Witnesses(instruments)
    for column in range(len(instruments)):
        said = witnesses.of(column).log_mids(log_mids)
        assert len(said), column
        np.testing.assert_allclose(said, log_mids[column], atol=1e-12)


def test_an_instrument_is_no_witness_of_its_own() -> None:
    witnesses = Witnesses(universe(*PAIRS).instruments)
    for column in range(len(PAIRS)):
        assert column not in witnesses.of(column).columns


def test_crosses_are_counted() -> None:
    """EURUSD: its twin, over CHF once (EURCHF and USDCHF), over GBP not at all without EURGBP."""
    paths = Witnesses(universe(*PAIRS).instruments).of(0)
    assert {tuple(dict.fromkeys(row)) for row in paths.columns.tolist()} == {(5,), (2, 1)}


def test_baskets_have_only_their_equals() -> None:
    """The price of a basket is no product of its legs' prices."""
    basket = {"legs": {"EUR": 1.0, "GBP": 2.0}, "quote": "USD", "lot": 1.0}
    pair = InstrumentConfig(name="EURUSD", legs={"EUR": 1.0}, quote="USD", lot=1.0)
    instruments = (InstrumentConfig(name="one", **basket), pair, InstrumentConfig(name="two", **basket))
    witnesses = Witnesses(instruments)
    assert witnesses.of(0).columns.tolist() == [[2, 2]]
    assert not len(witnesses.of(1).columns)
    assert witnesses.twins.tolist() == [2, -1, 0]


def test_only_usable_instruments_agree() -> None:
    config = universe(*PAIRS)
    log_mids = np.log(walk(config, 5)[-1])
    paths = Witnesses(config.instruments).of(0)
    usable = np.ones(len(PAIRS), dtype=np.bool_)
    assert agreeing(paths, log_mids, usable, log_mids[0], 1e-9) == (5,)
    usable[5] = False
    assert agreeing(paths, log_mids, usable, log_mids[0], 1e-9) == (2, 1)
    assert agreeing(paths, log_mids, usable, log_mids[0] + 0.1, 0.05) is None
    usable[2] = False
    assert agreeing(paths, log_mids, usable, log_mids[0], 1e-9) is None
