"""Local improvement ends where no move of two groups helps, and never makes lots worse."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from solver.hedging.cost import flat_ladders
from solver.hedging.descent import descend, improve_start, is_better, lots_between_roots, residual
from solver.hedging.problem import TIE, HedgeProblem
from solver.hedging.terms import Terms, scaled, trades_price

MOST = 5


def random_terms(chance: np.random.Generator) -> Terms:
    """Three assets, four instruments at flat costs, and often a limit on trades."""
    n, m = 3, 4
    loadings = chance.normal(size=(n, n))
    side = flat_ladders(chance.uniform(0.5, 3.0, m))
    bound = np.full(m, MOST)
    return scaled(
        HedgeProblem(
            q=6.0 * chance.normal(size=n),
            A=chance.normal(size=(n, m)),
            buy=side,
            sell=side,
            lower=-bound,
            upper=bound,
            Sigma=loadings @ loadings.T + 0.1 * np.eye(n),
            basis_variance=0.0,
            target=float(chance.uniform(0.5, 6.0)),
            max_trades=[None, 2, 3][chance.integers(3)],
        )
    )


def square_of(terms: Terms, h: np.ndarray) -> float:
    exposure = terms.y + h @ terms.G
    return float(exposure @ exposure)


def neighbours(terms: Terms, h: np.ndarray) -> list[np.ndarray]:
    """All lots that a move leads to: one group by a lot or to zero, another one to any number of lots."""
    found = []
    for i, j in product(range(len(h)), repeat=2):
        if i == j:
            continue
        for first, second in product((h[i] - 1, h[i], h[i] + 1, 0), range(-MOST, MOST + 1)):
            moved = h.copy()
            moved[i], moved[j] = first, second
            few = np.count_nonzero(moved) <= max(terms.max_trades, np.count_nonzero(h))
            if few and abs(first) <= MOST:
                found.append(moved)
    return found


@pytest.mark.parametrize("seed", range(40))
def test_no_move_is_left_that_helps(seed: int) -> None:
    """From nothing: the risk never rises while over the limit; at the end no neighbour has less of what counts."""
    chance = np.random.default_rng(seed)
    terms = random_terms(chance)
    h = np.zeros(len(terms.lower), dtype=np.int64)
    before = square_of(terms, h)
    descend(terms, terms.lower, terms.upper, 1.0, h)
    after = square_of(terms, h)
    assert (np.abs(h) <= MOST).all()
    assert np.count_nonzero(h) <= terms.max_trades
    assert after <= max(before, 1.0)
    if after > 1.0:
        assert min(square_of(terms, other) for other in neighbours(terms, h)) >= after * (1.0 - 2.0 * TIE)
        return
    cost = trades_price(terms, h)
    for other in neighbours(terms, h):
        # On the very edge of the limit rounding decides.
        if square_of(terms, other) <= 1.0 - 1e-9 and np.count_nonzero(other) <= terms.max_trades:
            assert trades_price(terms, other) >= cost * (1.0 - 2.0 * TIE)


@pytest.mark.parametrize("seed", range(20))
def test_a_start_is_never_made_worse(seed: int) -> None:
    """`improve_start` keeps lots within the limit there, at no higher cost, and lowers the risk of others."""
    chance = np.random.default_rng(seed)
    terms = random_terms(chance)
    best = np.zeros(len(terms.lower), dtype=np.int64)
    traded = chance.permutation(len(best))[: min(terms.max_trades, len(best))]
    best[traded] = chance.integers(-MOST, MOST + 1, len(traded))
    square, cost = square_of(terms, best), trades_price(terms, best)
    improve_start(terms, terms.lower, terms.upper, 1.0, best)
    assert np.count_nonzero(best) <= terms.max_trades
    if square <= 1.0:
        assert square_of(terms, best) <= 1.0
        assert trades_price(terms, best) <= cost * (1.0 + 1e-12)
    else:
        assert square_of(terms, best) <= square


def test_residual_is_the_exposure() -> None:
    """``y + h G`` and its square, as numpy has them."""
    chance = np.random.default_rng(1)
    terms = random_terms(chance)
    h = chance.integers(-MOST, MOST + 1, len(terms.lower))
    r, square = residual(terms, h)
    np.testing.assert_allclose(r, terms.y + h @ terms.G, rtol=1e-12)
    assert square == pytest.approx(square_of(terms, h), rel=1e-12)


def test_lots_between_roots() -> None:
    """The whole lots at which a parabola is at most zero, by looking at each."""
    chance = np.random.default_rng(2)
    for _ in range(300):
        centre, discriminant = float(chance.uniform(-4.0, 4.0)), float(chance.uniform(-1.0, 9.0))
        lo, hi = int(chance.integers(-5, 1)), int(chance.integers(0, 6))
        inside = [lots for lots in range(lo, hi + 1) if (lots - centre) ** 2 <= discriminant]
        least, most = lots_between_roots(centre, discriminant, lo, hi)
        assert list(range(least, most + 1)) == inside


def test_order_of_equal_costs() -> None:
    """Lower cost, fewer lots, more lots in the groups listed first, bought before sold; infinite is never better."""
    ranked = [(1.0, [0, 3]), (2.0, [1, 0]), (2.0, [-1, 0]), (2.0, [0, 1]), (2.0, [1, 1]), (math.inf, [0, 0])]
    for i, (ours, h) in enumerate(ranked):
        for j, (theirs, than) in enumerate(ranked):
            assert is_better(ours, np.array(h), theirs, np.array(than)) == (i < j)
