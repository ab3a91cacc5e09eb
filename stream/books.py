"""The book side of the engine: positions and a market to residual exposure and a hedge suggestion."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from schemas.answers import Frontier
from schemas.outbound import AssetExposure, HedgeSuggestion, PackedBeta, QuoteSkew, ResidualExposure
from solver.arrays import BoolArray, FloatArray, IntArray
from solver.errors import IllPosed, SolverError
from solver.packing.methods.many_books import MapOver
from solver.packing.result import Packing
from stream.book_state import BookState
from stream.clock import Clock, deadline
from stream.config import BookConfig, Config
from stream.market import Market
from stream.prepared import LatestModel, PreparedModel
from stream.quoting import Quoter, Waiting
from stream.suggest import Suggester

SolveStage = Literal["pack", "hedge"]


@dataclass(frozen=True)
class Trigger:
    """Why a book is solved: the close of a timestep, a position, a report of a trade, or a question.

    `source` names the record, or the hypothetical trade.
    """

    kind: Literal["timestep", "position", "hedge-status", "what-if"]
    event_time_ns: int
    source: str


@dataclass(frozen=True)
class BookResult:
    """What one solve of a book publishes."""

    residual: ResidualExposure
    suggestion: HedgeSuggestion | None
    quote: QuoteSkew | None = None


class BookSolver:
    """Packs and hedges the books of one configuration. Holds nothing that changes a result.

    `clock` stops a solve at the deadline; without one every solve runs to the end of its effort, as a replay must.
    `timed` brackets each stage of a solve, for metrics. `map_over` runs shares of the books, see `BookPacker.pack`.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock | None = None,
        timed: Callable[[SolveStage], AbstractContextManager[object]] = lambda stage: nullcontext(),
        map_over: MapOver = map,
    ) -> None:
        self._config = config
        self._deadline = deadline(clock, config.solver.deadline_ms)
        self._timed = timed
        self._map_over = map_over
        self._latest = LatestModel(config)
        self._quoter = Quoter(config)
        self._suggester = Suggester(config, self._deadline, lambda: timed("hedge"))

    def solve(
        self, books: Sequence[tuple[BookConfig, BookState]], market: Market, trigger: Trigger
    ) -> list[BookResult]:
        """Pack `books` together and hedge each against `market`; their states keep what the next solve starts from."""
        if not books:
            return []
        prices = market.valuation.prices
        for _, state in books:
            self._suggester.settle(state, trigger.event_time_ns)
        in_flight = np.array([state.in_flight for _, state in books])
        quantities = np.array([state.quantities for _, state in books]) + in_flight
        held = quantities != 0
        unpriced = held & np.isnan(prices)
        Q = np.where(held, quantities * prices, 0.0)
        Q_in_flight = np.where(in_flight != 0, in_flight * prices, 0.0)
        unknown = unpriced | (held & ~market.known)
        places: list[int] = [] if market.Sigma is None else np.flatnonzero(~unknown.any(axis=1)).tolist()
        packings: list[Packing | SolverError | None] = [None] * len(books)
        if places:
            states = [books[place][1] for place in places]
            for place, packing in zip(places, self._pack(states, market, Q[places]), strict=True):
                packings[place] = packing
        results = []
        for place, (book, state) in enumerate(books):
            result = self._result(book, state, market, trigger, (Q[place], Q_in_flight[place]), packings[place])
            results.append(replace(result, quote=self._quote(book, state, market, result.residual, Q[place])))
        return results

    def frontier(self, book: BookConfig, residual: ResidualExposure, market: Market, points: int) -> Frontier:
        """What each level of risk costs the book of `residual`, which this solver has found at `market`.

        Raises
        ------
        SolverError : the solver refuses it.
        """
        places = {asset: place for place, asset in enumerate(self._config.universe.assets)}
        Q = np.zeros(len(places))
        for position in residual.positions:
            Q[places[position.asset]] = position.exposure
        return self._suggester.frontier(book, market.valuation, self._latest.of(market), residual, Q, points)

    def _result(
        self,
        book: BookConfig,
        state: BookState,
        market: Market,
        trigger: Trigger,
        exposures: tuple[FloatArray, FloatArray],
        packing: Packing | SolverError | None,
    ) -> BookResult:
        """The messages for one book with `exposures` (n,) in all and in flight."""
        result_id = f"residual/{book.name}/{market.timestep}/{market.version}/{trigger.source}"
        if packing is None:
            # What was suggested before stands on numbers that no longer hold, but nothing better is known: it is
            # neither repeated nor withdrawn until the book can be priced again.
            return BookResult(self._unknown(book, state, market, trigger, result_id), None)
        try:
            if isinstance(packing, SolverError):
                raise packing
            residual = self._residual_exposure(book, market, trigger, result_id, exposures, packing)
            model = self._latest.of(market)
            zone = self._waiting(book, market) if book.band == "internalise" else None
            if isinstance(zone, IllPosed):
                zone = None  # the quote skew says why; the limit holds
            suggestion = self._suggester.suggest(book, state, market.valuation, model, residual, exposures[0], zone)
        except SolverError as exc:
            # One book that cannot be solved must not stop the others, nor may it look solved.
            unsolved = self._unknown(book, state, market, trigger, result_id)
            reason = f"the solver refused it: {type(exc).__name__}: {exc}"
            return BookResult(msgspec.structs.replace(unsolved, status="unsolved", detail=reason), None)
        return BookResult(residual, suggestion)

    def _quote(
        self, book: BookConfig, state: BookState, market: Market, residual: ResidualExposure, Q: FloatArray
    ) -> QuoteSkew | None:
        """The quote skew of `book` with (n,) exposures `Q`, where it tells something new; its state remembers it."""
        waiting = self._waiting(book, market) if residual.status == "ok" else None
        told = self._quoter.quote(book, state.quoted, residual, waiting, Q)
        if told is None:
            return None
        message, state.quoted = told
        return message

    def _waiting(self, book: BookConfig, market: Market) -> Waiting | IllPosed | None:
        """What the flow of `book` says, or why it says nothing."""
        try:
            return self._quoter.waiting(book, self._latest.of(market), market.valuation)
        except IllPosed as exc:
            return exc

    def _unknown(
        self, book: BookConfig, state: BookState, market: Market, trigger: Trigger, result_id: str
    ) -> ResidualExposure:
        held = state.quantities + state.in_flight != 0
        unpriced = self._names(held & market.valuation.unpriced)
        if unpriced:
            detail = f"no fresh price of {', '.join(unpriced)}"
        else:
            unknown = self._names(held & ~market.known) or ("any asset",)
            needed = self._config.covariance.min_observations
            detail = f"no covariance of {', '.join(unknown)} yet: it takes {needed} returns, and prices that move"
        return ResidualExposure(
            id=result_id,
            book=book.name,
            universe=self._config.universe.name,
            event_time_ns=trigger.event_time_ns,
            timestep=market.timestep,
            model_version=market.version,
            trigger=trigger.kind,
            trigger_source=trigger.source,
            status="unpriced" if unpriced else "no-model",
            numeraire=self._config.universe.numeraire,
            limit=book.limit,
            limit_on=book.limit_on,
            horizon_steps=self._config.risk.horizon_steps,
            unpriced_assets=unpriced,
            detail=detail,
        )

    def _names(self, which: BoolArray) -> tuple[str, ...]:
        return tuple(asset for asset, chosen in zip(self._config.universe.assets, which, strict=True) if chosen)

    def _pack(self, states: Sequence[BookState], market: Market, Q: FloatArray) -> list[Packing | SolverError]:
        """The packing of every book, (books, n) exposures `Q`, or why there is none; kept for the next start."""
        settings = self._config.solver
        # Shared in equal parts and not by what others leave, so that a book's result depends on their number alone.
        max_nodes = max(1, min(settings.max_packing_nodes, settings.max_timestep_nodes // len(states)))
        with self._timed("pack"):
            try:
                model = self._latest.of(market)
                ids = [beta.beta_id for beta in model.betas]
                start = np.array([[state.multiples.get(each, 0) for each in ids] for state in states], dtype=np.int64)
                packings = model.packer.pack(Q, start, max_nodes, self._deadline, settings.threads, self._map_over)
            except SolverError as exc:
                return [exc] * len(states)
        for state, packing in zip(states, packings, strict=True):
            if isinstance(packing, Packing):
                state.multiples = {
                    each: lots for each, lots in zip(ids, packing.multiples.tolist(), strict=True) if lots
                }
        return packings

    def _residual_exposure(
        self,
        book: BookConfig,
        market: Market,
        trigger: Trigger,
        result_id: str,
        exposures: tuple[FloatArray, FloatArray],
        packing: Packing,
    ) -> ResidualExposure:
        Q, in_flight = exposures
        universe, settings = self._config.universe, self._config.solver
        model = self._latest.of(market)
        packed = Q - packing.residual
        now = _risks(Q, packed, packing.residual, model.Sigma)
        ahead = _risks(Q, packed, packing.residual, model.Sigma_H)
        limit_risk = (ahead if book.limit_on == "horizon" else now).unhedged
        return ResidualExposure(
            id=result_id,
            book=book.name,
            universe=universe.name,
            event_time_ns=trigger.event_time_ns,
            timestep=market.timestep,
            model_version=market.version,
            trigger=trigger.kind,
            trigger_source=trigger.source,
            status="ok",
            numeraire=universe.numeraire,
            limit=book.limit,
            positions=tuple(
                AssetExposure(asset=asset, exposure=exposure, residual=residual, in_flight=flying)
                for asset, exposure, residual, flying in zip(
                    universe.assets, Q.tolist(), packing.residual.tolist(), in_flight.tolist(), strict=True
                )
                if exposure or residual or flying
            ),
            packed=self._packed(model, packing.multiples),
            standalone_risk=float(np.abs(Q) @ model.volatility),
            netted_risk=now.netted,
            basis_risk=now.basis,
            unhedged_risk=now.unhedged,
            horizon_steps=self._config.risk.horizon_steps,
            horizon_netted_risk=ahead.netted,
            horizon_basis_risk=ahead.basis,
            horizon_unhedged_risk=ahead.unhedged,
            limit_on=book.limit_on,
            limit_share=limit_risk / book.limit,
            objective_name=settings.objective,
            objective_before=packing.objective_before,
            objective=packing.objective,
            lower_bound=packing.lower_bound,
            gap=packing.gap,
            proven=packing.proven,
            second_best=packing.second_best,
            effort_nodes=packing.effort_nodes,
            stopped_by_clock=packing.stopped_by_clock,
        )

    def _packed(self, model: PreparedModel, multiples: IntArray) -> tuple[PackedBeta, ...]:
        lot_notional = self._config.solver.lot_notional
        return tuple(
            PackedBeta(
                beta_id=beta.beta_id,
                weights=weights,
                multiples=lots,
                lot_notional=lot_notional,
                basis_ratio=beta.vector.basis_ratio,
                basis_risk=abs(lots) * risk,
                version=beta.version,
                evidence=beta.vector.evidence,
                basis_ratio_upper=finite_or_none(beta.vector.basis_ratio_upper),
                p_value=beta.vector.p_value,
                horizon_basis_risk=abs(lots) * horizon_risk,
            )
            for beta, weights, risk, horizon_risk, lots in zip(
                model.betas,
                model.weights,
                model.lot_risk.tolist(),
                model.horizon_lot_risk.tolist(),
                multiples.tolist(),
                strict=True,
            )
            if lots
        )


class _Risks(NamedTuple):
    """What a book holds, what is packed of it, and what counts as unhedged, under one covariance; numeraire."""

    netted: float
    basis: float
    unhedged: float


def _risks(Q: FloatArray, packed: FloatArray, residual: FloatArray, Sigma: FloatArray) -> _Risks:
    netted, basis = variance_of(Q, Sigma), variance_of(packed, Sigma)
    # q'Σq + p'Σp is Q'ΣQ less 2 q'Σp. Where that last term is a credit, an offset between what is packed and
    # what is left would count that no β justifies; where it is a charge, both lean the same way, and it stays.
    apart = variance_of(residual, Sigma) + basis
    return _Risks(math.sqrt(netted), math.sqrt(basis), math.sqrt(max(netted, apart)))


def variance_of(q: FloatArray, Sigma: FloatArray) -> float:
    """q'Σq, and 0 where rounding of a perfectly offset position would make it negative."""
    return max(float(q @ Sigma @ q), 0.0)


def finite_or_none(value: float) -> float | None:
    """JSON has no infinity: a bound that bounds nothing is none."""
    return value if np.isfinite(value) else None
