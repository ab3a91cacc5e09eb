"""The packing problem, its bounds, and the check that every result passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solver.errors import ConstraintViolated, IllPosed
from solver.packing.bounds import lot_bounds
from solver.packing.elapsed import timed
from solver.packing.evaluation import LEG_TOLERANCE
from solver.packing.methods.enumerate import pack_by_enumeration
from solver.packing.problem import PackingProblem
from solver.packing.result import finish

LOT = 1e5


def article(**changes: Any) -> PackingProblem:
    """The article's example, EUR, JPY, CHF with β = (1, 0, -1), in lots of 100,000; `changes` replace arguments."""
    arguments: dict[str, Any] = {
        "B": LOT * np.array([[1.0], [0.0], [-1.0]]),
        "Q": LOT * np.array([10.0, 2.0, -7.0]),
        "lower": np.array([-20]),
        "upper": np.array([20]),
        "Sigma": 1e-4 * np.eye(3),
        "objective": "variance",
        "mode": "inside",
        "epsilon": 1e3,
    }
    return PackingProblem(**(arguments | changes))


def test_finish_recomputes_residual_and_objective() -> None:
    """Residual, objective before and after, and gap are derived from the multiples alone."""
    packing = finish(article(), np.array([7]), lower_bound=1e7, proven=False, effort_nodes=3)
    np.testing.assert_array_equal(packing.residual, LOT * np.array([3.0, 2.0, 0.0]))
    assert packing.objective == pytest.approx(1e-4 * LOT**2 * 13)
    assert packing.objective_before == pytest.approx(1e-4 * LOT**2 * 153)
    assert packing.gap == packing.objective - 1e7
    assert (packing.proven, packing.effort_nodes, packing.stopped_by_clock) == (False, 3, False)


def test_finish_closes_the_gap_of_what_is_proven() -> None:
    """A proven packing is its own lower bound."""
    packing = finish(article(), np.array([7]), lower_bound=0.0, proven=True, effort_nodes=1)
    assert packing.proven
    assert (packing.lower_bound, packing.gap) == (packing.objective, 0.0)


def test_elapsed_is_what_the_callers_clock_says() -> None:
    """A packing that nobody timed does not know; a timed one is the same but for what the clock says."""
    problem = article()
    ticks = iter([10.0, 12.5])
    plain = pack_by_enumeration(problem)
    packing = timed(lambda: next(ticks), pack_by_enumeration, problem)
    assert np.isnan(plain.elapsed_s)
    assert packing.elapsed_s == 2.5
    assert packing.multiples.tolist() == plain.multiples.tolist() == [7]


@pytest.mark.parametrize(
    ("multiples", "mode", "lower_bound", "broken"),
    [
        ([8], "inside", 0.0, "asset 2 must lie between"),
        ([-1], "inside", 0.0, "asset 0 must lie between"),
        ([21], "free", 0.0, "item 0 must lie within"),
        ([-21], "free", 0.0, "item 0 must lie within"),
        ([7], "inside", 1e12, "must not exceed the objective"),
    ],
)
def test_finish_lets_no_violation_out(multiples: list[int], mode: str, lower_bound: float, broken: str) -> None:
    """A leg outside the position, a multiple outside its bounds and a bound above its value are all refused."""
    with pytest.raises(ConstraintViolated, match=broken):
        finish(article(mode=mode), np.array(multiples), lower_bound=lower_bound, proven=False, effort_nodes=1)


def test_leg_tolerance_is_relative_to_the_lot() -> None:
    """A leg may pass the position by rounding, not by a thousandth of a lot; within rounding it counts as flat."""
    rounded = article(Q=LOT * np.array([10.0, 2.0, -7.0 + 1e-10]))
    packing = finish(rounded, np.array([7]), lower_bound=0.0, proven=False, effort_nodes=1)
    assert packing.residual[2] == 0.0
    with pytest.raises(ConstraintViolated, match="asset 2"):
        finish(
            article(Q=LOT * np.array([10.0, 2.0, -6.999])),
            np.array([7]),
            lower_bound=0.0,
            proven=False,
            effort_nodes=1,
        )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"B": LOT * np.array([[1.0], [np.nan], [-1.0]])}, "B must be finite"),
        ({"B": np.zeros((3, 1))}, "B must have a non-zero leg"),
        ({"B": np.ones((2, 1))}, "B must have shape"),
        ({"B": np.ones(3)}, "B must have shape"),
        ({"Q": np.array([1.0, np.inf, 0.0])}, "Q must be finite"),
        ({"Q": np.empty(0)}, "Q must have shape"),
        ({"Q": np.ones((3, 1))}, "Q must have shape"),
        ({"Q": np.array([1e200, 1.0, 1.0])}, "variance of Q must be finite"),
        ({"lower": np.array([1])}, "lower <= 0 <= upper"),
        ({"upper": np.array([-1])}, "lower <= 0 <= upper"),
        ({"upper": np.array([2 * 10**9])}, "lower <= 0 <= upper"),
        ({"lower": np.array([-1, -1])}, "lower must have shape"),
        ({"upper": np.array([1.5])}, "upper must hold integers"),
        ({"Sigma": np.eye(2)}, "Sigma must have shape"),
        ({"Sigma": np.full((3, 3), np.nan)}, "Sigma must be finite"),
        ({"Sigma": np.eye(3) + np.triu(np.full((3, 3), 0.1), 1)}, "Sigma must be symmetric"),
        ({"Sigma": np.diag([1.0, 1.0, -1e-6])}, "Sigma must be positive semi-definite"),
        # The quiet assets' correlation is 3: nothing next to the trace, and everything to a hedge between them.
        ({"Sigma": np.array([[1.0, 0, 0], [0, 1e-13, 3e-13], [0, 3e-13, 1e-13]])}, "eigenvalue -2"),
        ({"Sigma": np.array([[1.0, 0.1, 0], [0.1, 0.0, 0], [0, 0, 1.0]])}, "an asset of none"),
        ({"objective": "risk"}, "objective must be one of"),
        ({"mode": "outside"}, "mode must be one of"),
        ({"epsilon": 0.0}, "epsilon must be"),
        ({"epsilon": np.nan}, "epsilon must be"),
    ],
)
def test_ill_posed_problems_are_refused(changes: dict[str, Any], named: str) -> None:
    """Every argument is checked, and the message names it."""
    with pytest.raises(IllPosed, match=named):
        article(**changes)


def test_rounding_in_the_covariance_is_accepted() -> None:
    """An eigenvalue below zero by rounding, as a rank-one estimate has, is no reason to refuse."""
    factor = np.array([0.011, 0.007, 0.013])
    article(Sigma=np.outer(factor, factor))
    article(Sigma=np.diag([1e-4, 1e-4, -1e-16]))


@given(st.integers(0, 2**32 - 1), st.sampled_from(["inside", "free"]))
def test_lot_bounds_contain_what_independent_items_can_pack(seed: int, mode: Any) -> None:
    """A chain that hands the whole book from asset to asset stays within the bounds."""
    chance = np.random.default_rng(seed)
    n = int(chance.integers(2, 6))
    B = LOT * (np.eye(n)[:, :-1] - np.eye(n)[:, 1:])
    Q = np.zeros(n)
    Q[0], Q[-1] = 40 * LOT, -40 * LOT
    lower, upper = lot_bounds(B, Q, mode, chains=True)
    assert (lower <= -40).all()
    assert (upper >= 40).all()
    assert lower.dtype == upper.dtype == np.int64


@given(st.integers(0, 2**32 - 1))
def test_lot_bounds_hold_what_the_book_holds(seed: int) -> None:
    """Inside the bounds each item fits by itself, leg by leg; a lot beyond them does not, in either direction."""
    chance = np.random.default_rng(seed)
    n, K = int(chance.integers(1, 5)), int(chance.integers(0, 5))
    B, Q = LOT * chance.normal(size=(n, K)), LOT * chance.integers(-4, 5, size=n)
    B[:, 1:] *= chance.random((n, max(K - 1, 0))) < 0.7
    B[0, ~B.any(axis=0)] = LOT
    lower, upper = lot_bounds(B, Q, "inside")
    slack = LEG_TOLERANCE * np.abs(B).max(axis=1, initial=0.0)

    def fits(k: int, lots: int) -> bool:
        packed = lots * B[:, k]
        return bool(((packed >= np.minimum(Q, 0) - slack) & (packed <= np.maximum(Q, 0) + slack)).all())

    for k in range(K):
        for lots in (lower[k], upper[k]):
            assert fits(k, lots)
        assert not fits(k, lower[k] - 1)
        assert not fits(k, upper[k] + 1)


def test_lot_bounds_are_finite_and_allow_nothing_packed() -> None:
    """An empty book has the bounds 0, no items no bounds, and a tiny lot is capped."""
    B = np.array([[1.0], [-1.0]])
    assert [bound.tolist() for bound in lot_bounds(B, np.zeros(2), "inside")] == [[0], [0]]
    assert [bound.tolist() for bound in lot_bounds(np.empty((2, 0)), np.ones(2), "free")] == [[], []]
    assert lot_bounds(1e-12 * B, np.ones(2), "free")[1].tolist() == [10**9]
    with pytest.raises(IllPosed, match="column 0"):
        lot_bounds(np.zeros((2, 1)), np.ones(2), "inside")
    with pytest.raises(IllPosed, match="finite"):
        lot_bounds(B, np.array([np.nan, 1.0]), "inside")
