"""Prices that do not change while quotes keep coming."""

from __future__ import annotations

import numpy as np
import pytest

from gate_play import MOVE, GatePlay, said, universe, walk, warmed_up
from stream.engine.market.plausibility.gate import Screened

EURUSD, USDCHF = ("EUR", "USD"), ("USD", "CHF")


def frozen(screened: Screened) -> list[int]:
    return [doubt.instrument for doubt in screened.doubts if doubt.kind == "price-unchanged" and doubt.holds]


def test_a_price_that_usually_changes_every_second_is_frozen_after_15() -> None:
    """Its returns are left out after 4 of them. Both end with the first change."""
    play = warmed_up(universe(EURUSD, USDCHF))
    stuck, found = play.mids[1], []
    for step in range(1, 21):
        screened = play.quote([play.mids[0] * (1 + MOVE), stuck])
        found.append((bool(screened.left_out[1]), bool(screened.doubtful[1]), frozen(screened) == [1]))
        assert not screened.left_out[0]
        if step == 15:
            assert said(screened, 1).message == (
                "USDCHF has not changed for 15 s while quotes keep coming; it usually changes every 1 s"
            )
    assert found == [(False,) * 3] * 3 + [(True, False, False)] * 11 + [(True, True, True)] * 6
    again = play.quote([play.mids[0], stuck * (1 + MOVE)])
    assert not again.left_out.any()
    assert not again.doubtful.any()
    assert (said(again, 1).holds, said(again, 1).message) == (False, "USDCHF changes again")


@pytest.mark.parametrize("every", [5, 20])
def test_a_price_is_judged_by_how_rarely_it_changes_itself(every: int) -> None:
    """One that changes at every fifth or twentieth quote is quiet by nature: 15 such gaps must pass."""
    play, mid = GatePlay(universe(EURUSD, USDCHF)), 0.9
    for row in walk(play.config, 50 * every):
        mid = float(row[1]) if play.step % every == 0 else mid
        assert not play.quote([float(row[0]), mid]).doubts
    steps = 0
    while not frozen(play.quote([play.mids[0] * (1 + MOVE), mid])):
        steps += 1
    assert 14 * every <= steps <= 16 * every


def test_a_peg_that_never_changes_raises_nothing() -> None:
    """Nothing is usual of it."""
    play = GatePlay(universe(EURUSD, USDCHF))
    for row in walk(play.config, 500):
        assert not play.quote([float(row[0]), 0.9]).doubts


def test_no_quotes_are_not_a_frozen_price() -> None:
    """That is staleness, which has an alert of its own."""
    play = warmed_up(universe(EURUSD, USDCHF))
    for _ in range(300):
        screened = play.quote({0: play.mids[0] * (1 + MOVE)})
        assert not screened.doubts
        assert not screened.left_out.any()


def test_a_twin_that_moves_away_tells_sooner() -> None:
    """One venue repeats its quotes while the other moves on: found after 4 of them. When neither moves, after 15."""
    config = universe(("EUR", "USD", "one"), ("EUR", "USD", "two"))
    play = warmed_up(config)
    both = play.copy()
    stuck = play.mids[0]
    found = [frozen(play.quote([stuck, play.mids[1] * (1 + 10 * MOVE)])) for _ in range(5)]
    assert found == [[], [], [], [0], [0]]
    found = [frozen(both.quote([stuck, both.mids[1]])) for _ in range(16)]
    assert found == [[]] * 14 + [[0, 1]] * 2


def test_a_price_frozen_from_the_start_is_told_by_its_twin() -> None:
    """Nothing is usual of it, so its twin has to move away, and it has to repeat itself 15 times."""
    config = universe(("EUR", "USD", "one"), ("EUR", "USD", "two"))
    play, found = GatePlay(config), []
    for row in walk(config, 40, move=20 * MOVE):
        screened = play.quote([1.1, float(row[1])])
        found.append(frozen(screened) == [0])
    assert found[:14] == [False] * 14
    assert all(found[-20:])
    assert "EURUSD@two has moved" in said(screened, 0).message


def test_half_as_many_quotes_as_usual_take_no_more_gaps() -> None:
    """Quotes that come at half the rate repeat themselves half as often: counted in gaps it is the same."""
    play = warmed_up(universe(EURUSD, USDCHF))
    stuck, steps = play.mids[1], 0
    while True:
        steps += 1
        mids = {0: play.mids[0] * (1 + MOVE)} | ({1: stuck} if steps % 2 == 0 else {})
        if frozen(play.quote(mids)):
            break
    assert steps == 30
    assert np.isclose(play.state.run[1], 15)


def test_lulls_that_were_seen_before_are_no_news() -> None:
    """A price that usually changes every second stands for 12 now and then. Then it takes up to 21 to be frozen."""
    play = GatePlay(universe(EURUSD, USDCHF))
    mid = 0.9
    for row in walk(play.config, 2_000):
        mid = mid if play.step % 100 < 11 else float(row[1])
        assert not play.quote([float(row[0]), mid]).doubts
    steps = 1
    while not frozen(play.quote([play.mids[0] * (1 + MOVE), mid])):
        steps += 1
    assert 19 <= steps <= 21


def test_one_lull_hardly_counts() -> None:
    """Nor does a price that was found frozen once: the next is found almost as soon, for the mean has a long stand."""
    play, found = warmed_up(universe(EURUSD, USDCHF)), []
    for _ in range(2):
        stuck, steps = play.mids[1], 1
        while not frozen(play.quote([play.mids[0] * (1 + MOVE), stuck])):
            steps += 1
        found.append(steps)
        for number in range(200):
            play.quote([play.mids[0] * (1 + MOVE), stuck * (1 + MOVE * (1 + number % 3))])
    assert found == [15, 16]
