"""Which jumps are held, and what makes them believed."""

from __future__ import annotations

import numpy as np
import pytest

from gate_play import HALF_SPREAD, MOVE, GatePlay, held, said, universe, walk, warmed_up

EURUSD, USDCHF = ("EUR", "USD"), ("USD", "CHF")
TRIANGLE = (EURUSD, USDCHF, ("EUR", "CHF"))
VENUES = (("EUR", "USD", "one"), ("EUR", "USD", "two"))
LARGE = (100.0, 0.01, 10.0, 0.1, 1.7)


@pytest.mark.parametrize("factor", LARGE)
def test_a_quote_that_is_off_by_a_factor_is_held_at_once(factor: float) -> None:
    """The believed quote stands with its own age; the next right quote ends it, and the alert goes after 5 s."""
    play = warmed_up(universe(EURUSD, USDCHF))
    right = play.mids.copy()
    screened = play.quote({1: right[1] * factor})
    assert held(screened) == [1]
    assert screened.doubtful.tolist() == [False, True]
    assert screened.timestep.bids[1] == right[1] * (1 - HALF_SPREAD)
    assert screened.timestep.quoted_at_ns[1] == (play.step - 1) * 10**9
    back = play.quote({1: right[1] * (1 + MOVE)})
    assert not back.doubtful.any()
    assert said(back, 1).holds is None
    for _ in range(4):
        assert said(play.quote({0: right[0]}), 1).holds is None
    cleared = said(play.quote({0: right[0] * (1 + MOVE)}), 1)
    assert cleared.holds is False
    assert "USDCHF is back at" in cleared.message
    assert not play.quote({0: right[0]}).doubts


def test_before_anything_is_usual_only_the_factor_counts() -> None:
    """A move of 40 % in the second quote is believed, one of 60 % is held."""
    play = GatePlay(universe(EURUSD, USDCHF))
    play.quote([1.1, 0.8])
    assert not play.quote([1.1 * 1.4, 0.8]).doubts
    assert held(play.quote([1.1 * 1.4 * 1.6, 0.8])) == [0]


@pytest.mark.parametrize(("scales", "is_held"), [(60.0, False), (150.0, True)])
def test_a_jump_is_judged_by_the_usual_moves(scales: float, is_held: bool) -> None:
    """In a timestep of a second, a jump that can last within 5 s is held from 100 usual moves on."""
    play = warmed_up(universe(EURUSD, USDCHF), 2_000)
    assert bool(held(play.quote({0: play.mids[0] * np.exp(scales * MOVE)}))) is is_held


def test_a_jump_that_lasts_is_believed_whole() -> None:
    """After 5 s and more than one quote; until then the old quote stands, then the whole move comes in one close."""
    play = warmed_up(universe(EURUSD, USDCHF))
    old, new = play.mids[0], play.mids[0] * 1.17
    for _ in range(5):
        screened = play.quote([new, play.mids[1] * (1 + MOVE)])
        assert held(screened) == [0]
        assert screened.timestep.bids[0] == old * (1 - HALF_SPREAD)
        assert not screened.left_out.any()  # a gap in the estimates would spread the jump over it
    screened = play.quote([new, play.mids[1]])
    assert not screened.doubtful.any()
    assert screened.timestep.bids[0] == new * (1 - HALF_SPREAD)
    assert "has lasted at" in said(screened, 0).message


def test_a_factor_has_to_last_for_a_minute_and_is_left_out_of_estimates_meanwhile() -> None:
    play = warmed_up(universe(EURUSD, USDCHF))
    new, left_out = play.mids[0] * 100.0, []
    for _ in range(60):
        screened = play.quote([new, play.mids[1] * (1 + MOVE)])
        assert held(screened) == [0]
        left_out.append(bool(screened.left_out[0]))
    assert left_out == [False] * 6 + [True] * 54
    assert not play.quote([new, play.mids[1]]).doubtful.any()


def test_quotes_that_do_not_agree_never_last() -> None:
    """Each is far from the one before, so the wait begins anew."""
    play = warmed_up(universe(EURUSD, USDCHF))
    right = play.mids[0]
    for number in range(100):
        assert held(play.quote({0: right * (1.3 if number % 2 else 0.75)})) == [0]


def test_a_twin_confirms_with_the_delay_of_its_quote() -> None:
    """2015-01-15: one venue jumps by 17 %, the other one quote later; both enter whole, then and there."""
    play = warmed_up(universe(*VENUES))
    new = play.mids[0] * 0.83
    assert held(play.quote({0: new})) == [0]
    screened = play.quote({1: new * 1.001})
    assert not screened.doubtful.any()
    assert screened.timestep.bids.tolist() == [new * (1 - HALF_SPREAD), new * 1.001 * (1 - HALF_SPREAD)]
    assert "is confirmed by EURUSD@two" in said(screened, 0).message


def test_a_cross_confirms_in_the_same_timestep() -> None:
    """USDCHF and EURCHF jump together, and EURUSD stays: nothing is held."""
    play = warmed_up(universe(*TRIANGLE))
    screened = play.quote([play.mids[0], play.mids[1] * 0.83, play.mids[2] * 0.83])
    assert not screened.doubts
    assert screened.timestep.bids[1] == play.mids[1] * (1 - HALF_SPREAD)


def test_all_instruments_may_jump_at_once() -> None:
    """The numeraire moves against everything: all crosses agree, so it is believed at once."""
    play = warmed_up(universe(EURUSD, USDCHF, ("EUR", "CHF"), ("GBP", "USD"), ("EUR", "GBP"), ("GBP", "CHF")))
    factors = [1.2, 1 / 1.2, 1.0, 1.2, 1.0, 1.0]
    assert not play.quote([mid * factor for mid, factor in zip(play.mids, factors, strict=True)]).doubts


def test_a_unit_error_of_a_whole_feed_does_not_confirm_itself() -> None:
    """Two instruments of one feed are both × 100: held. The same from another feed: it is the market."""
    for feeds, expected in (({0: "a", 1: "a"}, [0, 1]), ({}, [0, 1]), ({0: "a", 1: "b"}, [])):
        play = warmed_up(universe(EURUSD, ("EUR", "USD")))
        play.feeds.update(feeds)
        assert held(play.quote([play.mids[0] * 100.0, play.mids[1] * 100.0])) == expected


def test_a_twin_that_has_moved_on_and_denies_a_jump_keeps_it_held() -> None:
    """As long as the other venue quotes the old price, lasting proves nothing. A silent venue proves nothing either."""
    play = warmed_up(universe(*VENUES))
    old, new = play.mids[1], play.mids[0] * 1.1
    silent = play.copy()
    for number in range(20):
        assert held(play.quote([new, old * (1 + MOVE * (number % 3))])) == [0]
    for _ in range(6):
        screened = silent.quote({0: new})
    assert not screened.doubtful[0]


def test_slow_prices_believe_a_jump_in_its_own_timestep() -> None:
    """A confirmation would come a day later. But the inverse, and another's price, are held on any timestep."""
    daily = universe(EURUSD, USDCHF, timestep_s=86_400.0)
    play = warmed_up(daily)
    eurusd, usdchf = play.mids.tolist()
    assert not play.copy().quote([eurusd, usdchf * 0.83]).doubts
    assert held(play.copy().quote([1 / eurusd, usdchf])) == [0]
    assert held(play.copy().quote([usdchf, eurusd])) == [0, 1]
    later = play.copy()
    for expected in ([0], []):
        assert held(later.quote([1 / eurusd, usdchf])) == expected


def test_slow_prices_hold_what_their_crosses_deny() -> None:
    """USDCHF jumps alone, while EURUSD and EURCHF move on: a bad quote. With EURCHF it is the market."""
    daily = universe(*TRIANGLE, timestep_s=86_400.0)
    play = warmed_up(daily)
    eurusd, usdchf, eurchf = (play.mids * (1 + MOVE)).tolist()
    assert held(play.copy().quote([eurusd, usdchf * 1.1, eurchf])) == [1]
    assert not play.copy().quote([eurusd, usdchf * 1.1, eurchf * 1.1]).doubts


def test_one_side_that_is_off_shows_in_the_bid_ask_spread() -> None:
    """The bid has its decimal point shifted: the mid alone would nearly pass."""
    play = warmed_up(universe(EURUSD, USDCHF))
    screened = play.quote({0: play.mids[0] * 0.75}, half=0.3)
    assert held(screened) == [0]
    assert "quotes a bid of" in said(screened, 0).message


@pytest.mark.parametrize("gap", [3_600, 2 * 86_400])
def test_monday_opens_elsewhere_without_an_alarm(gap: int) -> None:
    """The usual move grows with the root of the time: 1 % after a weekend is nothing, ×10 is held all the same."""
    play = warmed_up(universe(EURUSD, USDCHF))
    monday = play.copy()
    assert not monday.quote([play.mids[0] * 1.01, play.mids[1] * 0.99], skip=gap).doubts
    assert held(play.quote([play.mids[0] * 10.0, play.mids[1]], skip=gap)) == [0]


def test_a_bad_quote_does_not_widen_what_is_usual() -> None:
    """A confirmed jump counts for five usual moves at most: the next jump is held too."""
    play = warmed_up(universe(EURUSD, USDCHF))
    before = play.state.usual.moves.copy()
    while held(play.quote({0: 1.5})):
        pass
    assert play.state.usual.moves[0] <= before[0] * 1.3
    assert held(play.quote({0: 1.6})) == [0]


def test_a_pair_is_judged_alike_whichever_way_it_is_quoted() -> None:
    """EURUSD and USDEUR, through walks, faults and jumps that last."""
    one, other = GatePlay(universe(EURUSD, USDCHF)), GatePlay(universe(("USD", "EUR"), USDCHF))
    rows = walk(one.config, 220, seed=7)
    rows[120, 0] *= 100.0
    rows[150:, 0] *= 1.08
    rows[180, 0] /= 10.0
    for row in rows:
        ours = one.quote(row.tolist())
        theirs = other.quote([1.0 / row[0], row[1]])
        assert held(ours) == held(theirs)
        assert ours.doubtful.tolist() == theirs.doubtful.tolist()
        assert [doubt.holds for doubt in ours.doubts] == [doubt.holds for doubt in theirs.doubts]


def test_instruments_may_stand_in_any_order() -> None:
    """The same quotes in the order of another configuration: the same verdicts, instrument by instrument."""
    pairs = (*TRIANGLE, ("GBP", "USD"), ("EUR", "GBP"), *VENUES)
    order = np.random.default_rng(3).permutation(len(pairs))
    one, other = GatePlay(universe(*pairs)), GatePlay(universe(*(pairs[index] for index in order)))
    rows = walk(one.config, 200, seed=9)
    rows[110, 1] *= 10.0
    rows[130:, [1, 2]] *= 0.85
    rows[150, [0, 3]] = rows[150, [3, 0]]
    rows[170:, 5] *= 1.1
    verdicts = 0
    for row in rows:
        ours, theirs = one.quote(row.tolist()), other.quote(row[order].tolist())
        verdicts += int(ours.doubtful.any())
        assert ours.doubtful[order].tolist() == theirs.doubtful.tolist()
        assert ours.timestep.bids[order].tolist() == theirs.timestep.bids.tolist()
    assert verdicts > 3


def test_without_the_gate_everything_is_believed() -> None:
    play = GatePlay(universe(EURUSD, USDCHF, enabled=False))
    for row in walk(play.config, 50):
        play.quote(row.tolist())
    screened = play.quote([110.0, 0.8])
    assert not screened.doubts
    assert screened.timestep.bids[0] == 110.0 * (1 - HALF_SPREAD)


def test_the_alert_says_what_happened() -> None:
    """Instrument, both prices, what it looks like, the feed, and what it waits for."""
    play = warmed_up(universe(EURUSD, USDCHF))
    play.feeds[1] = "lp-7"
    play.state.log_mids = np.log([1.1, 0.9])
    assert said(play.quote({1: 90.0}), 1).message == (
        "USDCHF went from 0.9 to 90 (× 100, like a change of unit, as from pounds to pence) in the feed lp-7; "
        "it is not believed until another source confirms it or it has lasted for 60 s"
    )
