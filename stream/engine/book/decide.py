"""The decision on one book's suggestion: a pure function, which changes no state and builds no message."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.hedging.problem import Hedge, HedgeProblem, shares_removed
from solver.hedging.runner_up import RunnerUp, runner_up
from solver.hedging.solve import hedge
from stream.config import BookConfig, HedgingConfig
from stream.engine.book.client_flow import Waiting
from stream.engine.book.standing import Outcome, Standing, aim, before_solving, is_expired, still_stands

Action: TypeAlias = Literal["keep", "renew", "replace", "withdraw"]


@dataclass(frozen=True, eq=False)
class Proposal:
    """The suggestion that stands, as far as a decision depends on it.

    Attributes
    ----------
    standing : since when it stands.
    lots : (c,) its trades that nobody has taken up, over the instruments of the problem.
    outcome : of these trades at the current quotes; None if they cannot all be dealt.
    """

    standing: Standing
    lots: IntArray
    outcome: Outcome | None


@dataclass(frozen=True, eq=False)
class Question:
    """All that a decision depends on.

    Attributes
    ----------
    book, hedging : the configuration.
    now_ns : event time.
    risk : the book's unhedged risk, trades in flight included; numeraire.
    edge : the risk at the edge of the book's band (`band_edge`); numeraire.
    problem : the hedge problem, with the target that one suggestion aims at.
    zone : in which the book waits for clients; None for a book that waits up to its limit.
    proposal : the suggestion that stands; None without one.
    """

    book: BookConfig
    hedging: HedgingConfig
    now_ns: int
    risk: float
    edge: float
    problem: HedgeProblem
    zone: Waiting | None
    proposal: Proposal | None


@dataclass(frozen=True, eq=False)
class Decision:
    """What becomes of the suggestion, and what is known of it.

    Attributes
    ----------
    action : what to do with the suggestion that stands; `replace` also makes a first one.
    target : the risk to reach, numeraire.
    lots : (c,) the trades that stand afterwards, over the instruments of the problem.
    outcome : of `lots`.
    share_removed : (c,) as in `Hedge`, for `lots`.
    answer : of the solver; None if it was not asked.
    runner_up : the best alternative to a new suggestion; None without one.
    """

    action: Action
    target: float
    lots: IntArray
    outcome: Outcome
    share_removed: FloatArray
    answer: Hedge | None = None
    runner_up: RunnerUp | None = None


@dataclass(frozen=True)
class Search:
    """The effort that the solver may take for one decision. `timed` brackets each solve, for metrics."""

    max_nodes: int
    should_stop: Callable[[], bool] | None
    timed: Callable[[], AbstractContextManager[object]]


def decide(question: Question, search: Search) -> Decision:
    """What becomes of the suggestion of a book.

    Raises
    ------
    SolverError : the solver refuses the problem.
    """
    proposal, risk, edge, hedging = question.proposal, question.risk, question.edge, question.hedging
    standing, outcome = (proposal.standing, proposal.outcome) if proposal else (None, None)
    match before_solving(standing, outcome, risk, edge, question.book, hedging, question.now_ns):
        case "withdraw":
            return _withdrawal(question, question.problem)
        case "keep":
            return _confirmation("keep", question, question.problem, None)
    with search.timed():
        problem, answer = _cheapest(question, search)
    if answer.status == "none-needed":  # possible with target_share 1, when rounding alone puts the risk over the edge
        return _withdrawal(question, problem)
    best = Outcome(answer.risk_after, answer.cost.total)
    if standing is not None and still_stands(outcome, best, problem.target, hedging):
        action: Literal["keep", "renew"] = "renew" if is_expired(standing, hedging, question.now_ns) else "keep"
        return _confirmation(action, question, problem, answer)
    if risk <= edge:
        return _withdrawal(question, problem)
    with search.timed():
        second = runner_up(problem, answer, search.max_nodes, search.should_stop)
    return Decision("replace", problem.target, answer.lots, best, answer.share_removed, answer, second)


def _cheapest(question: Question, search: Search) -> tuple[HedgeProblem, Hedge]:
    """The cheapest hedge, and the problem that it solves."""
    problem, zone = question.problem, question.zone
    answer = hedge(problem, search.max_nodes, search.should_stop)
    if zone and answer.status == "reached" and zone.urgency(problem.q + problem.A @ answer.lots) > 1.0:
        # The trades turn the position to where the zone is narrower. At the zone's least risk every position is inside.
        inside = math.hypot(math.sqrt(problem.basis_variance), question.book.target_share * zone.zone.risk)
        target = aim(inside, question.hedging, question.risk)
        problem = problem.at_position(problem.q, problem.basis_variance, target)
        answer = hedge(problem, search.max_nodes, search.should_stop)
    return problem, answer


def _confirmation(
    action: Literal["keep", "renew"], question: Question, problem: HedgeProblem, answer: Hedge | None
) -> Decision:
    """The trades that stand stay."""
    assert question.proposal is not None
    assert question.proposal.outcome is not None
    lots = question.proposal.lots
    return Decision(action, problem.target, lots, question.proposal.outcome, shares_removed(problem, lots), answer)


def _withdrawal(question: Question, problem: HedgeProblem) -> Decision:
    """No suggestion stands any more, because there is nothing to trade."""
    nothing = np.zeros(len(problem.lower), dtype=np.int64)
    return Decision("withdraw", problem.target, nothing, Outcome(question.risk, 0.0), np.zeros(len(nothing)))
