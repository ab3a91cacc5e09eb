"""Hedge problems of books: what they may trade, at the current costs and under the current model."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from schemas.outbound import LimitOn
from solver.arrays import FloatArray, IntArray
from solver.errors import ConstraintViolated
from solver.hedging.check import check_lots
from solver.hedging.problem import HedgeProblem, risk_of
from stream.config import Config
from stream.engine.book.costs import CostBook, Costs
from stream.engine.book.prepared import PreparedModel
from stream.engine.book.solved import SolvedBook
from stream.engine.book.standing import RISK_RESOLUTION, Outcome
from stream.engine.market.valuation import Valuation

_Values = TypeVar("_Values", FloatArray, IntArray)


@dataclass(frozen=True, eq=False)
class BookProblem:
    """The hedge problem of one book, over the `columns` (c,) of the configuration's m instruments that it may trade.

    `costs` are those of all m instruments.
    """

    problem: HedgeProblem
    columns: IntArray
    costs: Costs

    def own(self, lots: IntArray) -> IntArray | None:
        """The (c,) entries of the (m,) `lots`; None if others have lots too, in instruments that cannot be traded."""
        own: IntArray = lots[self.columns]
        return own if np.count_nonzero(own) == np.count_nonzero(lots) else None

    def everywhere(self, values: _Values) -> _Values:
        """The (c,) `values` at the indices `columns` of an array (m,) that is zero elsewhere."""
        full = np.zeros(len(self.costs.buy.prices), dtype=values.dtype)
        full[self.columns] = values
        return full

    def outcome(self, own: IntArray) -> Outcome | None:
        """What (c,) lots do at the current quotes; None if a constraint forbids them.

        That can happen to lots of an earlier problem: quotes may show less size, and a restart may bring lower limits.
        """
        try:
            check_lots(self.problem, own, reached=False)
        except ConstraintViolated:
            return None
        cost = self.problem.buy.each(own) + self.problem.sell.each(-own)
        return Outcome(risk_of(self.problem, own), float(cost.sum()))


class HedgeProblems:
    """Makes the problems of one configuration. Holds nothing that changes a result.

    What can be traded is prepared once for all books that may trade the same, at the current quotes and model.
    """

    def __init__(self, config: Config) -> None:
        self._costs = CostBook(config)
        self._cost_resolution = config.solver.hedge_cost_resolution
        names = [instrument.name for instrument in config.instruments]
        self._permitted = {
            book.name: np.array([not book.instruments or name in book.instruments for name in names])
            for book in config.books
        }
        self._latest: tuple[Valuation, PreparedModel] | None = None
        self._usable = np.zeros(0, dtype=np.bool_)
        self._prepared: dict[tuple[bytes, int, int | None, LimitOn], HedgeProblem] = {}

    def of(self, solved: SolvedBook, valuation: Valuation, target: float, pausing: Collection[int] = ()) -> BookProblem:
        """The problem of bringing the risk of `solved` down to `target`.

        Parameters
        ----------
        solved : the book. Its whole position counts, so that a trade may also unpack what is packed.
        valuation : current prices and quotes.
        target : risk, numeraire.
        pausing : indices of the instruments that are left out.
        """
        book, model = solved.occasion.book, solved.model
        self._look_at(valuation, model)
        usable = self._permitted[book.name] & self._usable
        usable[list(pausing)] = False
        columns: IntArray = np.flatnonzero(usable)
        costs = self._costs.of(valuation)
        key = columns.tobytes(), book.max_lots, book.max_trades, book.limit_on
        prepared = self._prepared.get(key)
        if prepared is None:
            bound = np.full(len(columns), book.max_lots, dtype=np.int64)
            prepared = self._prepared[key] = HedgeProblem(
                q=solved.Q,
                A=valuation.exposures[:, columns],
                buy=costs.buy.ladders.of(columns),
                sell=costs.sell.ladders.of(columns),
                lower=-bound,
                upper=bound,
                Sigma=model.Sigma_H if book.limit_on == "horizon" else model.Sigma,
                basis_variance=solved.basis_variance,
                target=target,
                max_trades=book.max_trades,
                risk_resolution=RISK_RESOLUTION,
                cost_resolution=self._cost_resolution,
            )
        return BookProblem(prepared.at_position(solved.Q, solved.basis_variance, target), columns, costs)

    def _look_at(self, valuation: Valuation, model: PreparedModel) -> None:
        """Forget what was prepared for other quotes or another model."""
        if self._latest is None or self._latest[0] is not valuation or self._latest[1] is not model:
            # The risk of an asset without a covariance is unknown. Taken as zero, it would look like the best hedge.
            known = ~valuation.exposures[~model.known].any(axis=0)
            self._latest, self._usable, self._prepared = (valuation, model), valuation.tradeable & known, {}
