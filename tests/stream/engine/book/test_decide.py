"""The decision on a suggestion, on plain values: when it stands, is renewed, replaced or withdrawn."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from solver.hedging.cost import CostLadders
from solver.hedging.problem import HedgeProblem, risk_of
from stream.config import BookConfig, HedgingConfig
from stream.engine.book.decide import Proposal, Question, Search, decide
from stream.engine.book.standing import Outcome, Standing

SECOND = 1_000_000_000
LIMIT, TARGET = 1_000.0, 800.0
SEARCH = Search(1_000, None, nullcontext)
BOOK = BookConfig(name="spot", limit=LIMIT, max_lots=20)


def ladder(cost: float) -> CostLadders:
    """One instrument; each of 20 lots costs `cost`."""
    level = np.array([[20]], dtype=np.int64), np.array([[cost]])
    return CostLadders(*level, np.array([cost]), np.zeros(1))


def problem_of(risk: float, cost: float = 5.0) -> HedgeProblem:
    """A book with `risk` in one asset; one lot removes 100 of it."""
    bound = np.array([20], dtype=np.int64)
    return HedgeProblem(
        q=np.array([float(risk)]),
        A=np.array([[-100.0]]),
        buy=ladder(cost),
        sell=ladder(cost),
        lower=-bound,
        upper=bound,
        Sigma=np.eye(1),
        basis_variance=0.0,
        target=TARGET,
    )


def question(
    risk: float, lots: int | None = None, age_s: float = 10.0, cost: float = 5.0, dealt: bool = True
) -> Question:
    """About a book with `risk`. With `lots`, a suggestion of as many lots has stood for `age_s`."""
    problem, proposal = problem_of(risk, cost), None
    if lots is not None:
        own = np.array([lots], dtype=np.int64)
        outcome = Outcome(risk_of(problem, own), abs(lots) * cost) if dealt else None
        proposal = Proposal(Standing("hedge/1", round((100.0 - age_s) * SECOND), True), own, outcome)
    hedging = HedgingConfig(min_life_s=2.0, expiry_s=60.0)
    return Question(BOOK, hedging, 100 * SECOND, risk, LIMIT, problem, None, proposal)


@pytest.mark.parametrize(
    ("asked", "action", "lots"),
    [
        pytest.param(question(1_500), "replace", 7, id="over the limit, nothing stands: the fewest lots to the target"),
        pytest.param(question(1_500, 7), "keep", 7, id="the best trades stand"),
        pytest.param(question(1_500, 7, age_s=61), "renew", 7, id="the best trades stand, but expired"),
        pytest.param(question(1_500, 12), "replace", 7, id="what stands costs materially more than the best"),
        pytest.param(question(1_500, 2), "replace", 7, id="what stands leaves materially more risk than the target"),
        pytest.param(question(1_500, 12, age_s=1), "keep", 12, id="dear, but too young to be looked at again"),
        pytest.param(question(1_500, 2, age_s=1), "replace", 7, id="young, but it does not reach the limit"),
        pytest.param(question(1_500, 7, dealt=False), "replace", 7, id="what stands cannot be dealt any more"),
        pytest.param(question(940, 7), "withdraw", 0, id="clear of the limit"),
        pytest.param(question(980, 2), "keep", 2, id="inside, not yet clear: it goes on standing"),
        pytest.param(question(980, 7, age_s=61), "withdraw", 0, id="inside and expired"),
        pytest.param(question(980, 7, dealt=False), "withdraw", 0, id="inside, and it cannot be dealt"),
    ],
)
def test_what_becomes_of_a_suggestion(asked: Question, action: str, lots: int) -> None:
    """Every way out of the decision, with the lots that it leaves standing."""
    decision = decide(asked, SEARCH)
    assert (decision.action, decision.lots.tolist()) == (action, [lots])
    assert decision.outcome.risk_after == pytest.approx(asked.risk - 100 * lots)


def test_a_decision_changes_nothing_that_it_was_told() -> None:
    """The same question twice gives the same decision, and the question is as it was."""
    asked = question(1_500, 12)
    assert asked.proposal is not None
    before = replace(asked.proposal.standing), asked.proposal.lots.copy(), asked.problem.q.copy()
    first, second = decide(asked, SEARCH), decide(asked, SEARCH)
    assert (first.action, first.outcome, first.target) == (second.action, second.outcome, second.target)
    assert first.lots.tolist() == second.lots.tolist()
    assert asked.proposal.standing == before[0]
    assert np.array_equal(asked.proposal.lots, before[1])
    assert np.array_equal(asked.problem.q, before[2])


def test_the_solver_is_not_asked_where_the_answer_is_known() -> None:
    """Young trades that hold, and a book that is clear of its limit, cost no search."""
    refuses = Search(0, None, lambda: pytest.fail("the solver was asked"))
    assert decide(question(1_500, 12, age_s=1), refuses).action == "keep"
    assert decide(question(940, 7), refuses).action == "withdraw"
