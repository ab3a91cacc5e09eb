"""The book side of the engine: positions and a market to residual exposure and a hedge suggestion."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from schemas.outbound import AssetExposure, HedgeSuggestion, HedgeTrade, PackedBeta, ResidualExposure
from solver.arrays import BoolArray, FloatArray, IntArray
from solver.errors import SolverError
from solver.hedge import Hedge, HedgeProblem, hedge
from solver.packing.books import Spread
from solver.packing.problem import Packing
from stream.clock import Clock
from stream.config import BookConfig, Config
from stream.market import Market
from stream.prepared import LatestModel, PreparedModel

SolveStage = Literal["pack", "hedge"]

RISK_RESOLUTION = 0.01
"""Out of reach of the target, the last hundredth of the risk is not chased: it can double what the trades cost."""


@dataclass
class BookState:
    """`quantities` (n,) in units of each asset, and the times of dated ones; `multiples` of the last packing by β.

    `has_positions` tells an empty book from one that no position was ever read for, `suggested` whether trades stand.
    """

    quantities: FloatArray
    as_of_ns: dict[int, int] = field(default_factory=dict)
    has_positions: bool = False
    multiples: dict[str, int] = field(default_factory=dict)
    suggested: bool = False


@dataclass(frozen=True)
class Trigger:
    """Why a book is solved: the close of a timestep, or a position that changed (`source` names its record)."""

    kind: Literal["timestep", "position"]
    event_time_ns: int
    source: str


@dataclass(frozen=True)
class BookResult:
    """What one solve of a book publishes."""

    residual: ResidualExposure
    suggestion: HedgeSuggestion | None


class BookSolver:
    """Packs and hedges the books of one configuration. Holds nothing that changes a result.

    `clock` stops a solve at the deadline; without one every solve runs to the end of its effort, as a replay must.
    `timed` brackets each stage of a solve, for metrics. `spread` runs shares of the books, see `BookPacker.pack`.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock | None = None,
        timed: Callable[[SolveStage], AbstractContextManager[object]] = lambda stage: nullcontext(),
        spread: Spread = map,
    ) -> None:
        self._config = config
        self._clock = clock
        self._timed = timed
        self._spread = spread
        self._latest = LatestModel(config)
        names = [instrument.name for instrument in config.instruments]
        self._permitted = {
            book.name: np.array([not book.instruments or name in book.instruments for name in names])
            for book in config.books
        }

    def solve(
        self, books: Sequence[tuple[BookConfig, BookState]], market: Market, trigger: Trigger
    ) -> list[BookResult]:
        """Pack `books` together and hedge each against `market`; their states keep what the next solve starts from."""
        if not books:
            return []
        prices = market.valuation.prices
        quantities = np.array([state.quantities for _, state in books])
        held = quantities != 0
        unpriced = held & np.isnan(prices)
        Q = np.where(held, quantities * prices, 0.0)
        places: list[int] = [] if market.Sigma is None else np.flatnonzero(~unpriced.any(axis=1)).tolist()
        packings: list[Packing | SolverError | None] = [None] * len(books)
        if places:
            states = [books[place][1] for place in places]
            for place, packing in zip(places, self._pack(states, market, Q[places]), strict=True):
                packings[place] = packing
        return [
            self._result(book, state, market, trigger, Q[place], unpriced[place], packings[place])
            for place, (book, state) in enumerate(books)
        ]

    def _result(
        self,
        book: BookConfig,
        state: BookState,
        market: Market,
        trigger: Trigger,
        Q: FloatArray,
        unpriced: BoolArray,
        packing: Packing | SolverError | None,
    ) -> BookResult:
        result_id = f"residual/{book.name}/{market.timestep}/{market.version}/{trigger.source}"
        if packing is None:
            # What was suggested before stands on numbers that no longer hold, but nothing better is known: it is
            # neither repeated nor withdrawn until the book can be priced again.
            return BookResult(self._unknown(book, market, trigger, result_id, unpriced), None)
        try:
            if isinstance(packing, SolverError):
                raise packing
            residual = self._residual_exposure(book, market, trigger, result_id, Q, packing)
            suggestion = self._suggest(book, state, market, residual, Q)
        except SolverError as exc:
            # One book that cannot be solved must not stop the others, nor may it look solved.
            unsolved = self._unknown(book, market, trigger, result_id, unpriced)
            reason = f"the solver refused it: {type(exc).__name__}: {exc}"
            return BookResult(msgspec.structs.replace(unsolved, status="unsolved", detail=reason), None)
        return BookResult(residual, suggestion)

    def _unknown(
        self, book: BookConfig, market: Market, trigger: Trigger, result_id: str, unpriced: BoolArray
    ) -> ResidualExposure:
        missing = tuple(asset for asset, gone in zip(self._config.universe.assets, unpriced, strict=True) if gone)
        return ResidualExposure(
            id=result_id,
            book=book.name,
            universe=self._config.universe.name,
            event_time_ns=trigger.event_time_ns,
            timestep=market.timestep,
            model_version=market.version,
            trigger=trigger.kind,
            trigger_source=trigger.source,
            status="unpriced" if unpriced.any() else "no-model",
            numeraire=self._config.universe.numeraire,
            limit=book.limit,
            limit_on=book.limit_on,
            horizon_steps=self._config.risk.horizon_steps,
            unpriced_assets=missing,
            detail=f"no fresh price of {', '.join(missing)}"
            if missing
            else "the covariance has too few or too old returns",
        )

    def _pack(self, states: Sequence[BookState], market: Market, Q: FloatArray) -> list[Packing | SolverError]:
        """The packing of every book, (books, n) exposures `Q`, or why there is none; kept for the next start."""
        settings = self._config.solver
        ids = [beta.beta_id for beta in market.betas]
        start = np.array([[state.multiples.get(each, 0) for each in ids] for state in states], dtype=np.int64)
        # Shared in equal parts and not by what others leave, so that a book's result depends on their number alone.
        max_nodes = max(1, min(settings.max_packing_nodes, settings.max_timestep_nodes // len(states)))
        with self._timed("pack"):
            try:
                packings = self._latest.of(market).packer.pack(
                    Q, start, max_nodes, self._deadline, settings.threads, self._spread
                )
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
        Q: FloatArray,
        packing: Packing,
    ) -> ResidualExposure:
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
                AssetExposure(asset=asset, exposure=exposure, residual=residual)
                for asset, exposure, residual in zip(
                    universe.assets, Q.tolist(), packing.residual.tolist(), strict=True
                )
                if exposure or residual
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

    def _suggest(
        self,
        book: BookConfig,
        state: BookState,
        market: Market,
        residual: ResidualExposure,
        Q: FloatArray,
    ) -> HedgeSuggestion | None:
        settings, valuation = self._config.solver, market.valuation
        model, risk = self._latest.of(market), residual.limit_risk
        if book.limit_on == "horizon":
            Sigma, netted_risk = model.Sigma_H, residual.horizon_netted_risk
        else:
            Sigma, netted_risk = model.Sigma, residual.netted_risk
        assert risk is not None
        assert netted_risk is not None
        if risk <= book.limit:
            return self._withdrawn(book, state, market, residual)
        usable = self._permitted[book.name] & valuation.tradeable
        m = len(usable)
        bound = np.where(usable, book.max_lots, 0).astype(np.int64)
        columns = np.flatnonzero(usable)
        problem = HedgeProblem(
            # The whole position, so that a trade may also take apart what is packed: its basis risk is risk.
            q=Q,
            A=valuation.exposures[:, columns],
            cost_per_lot=valuation.cost_per_lot[columns],
            lower=-bound[columns],
            upper=bound[columns],
            Sigma=Sigma,
            basis_variance=max(risk**2 - netted_risk**2, 0.0),
            target=book.target_share * book.limit,
            risk_resolution=RISK_RESOLUTION,
        )
        with self._timed("hedge"):
            deadline = self._deadline
            answer = hedge(problem, settings.max_hedge_nodes, deadline() if deadline else None)
        if answer.status == "none-needed":  # with target_share 1, and over the limit by rounding alone
            return self._withdrawn(book, state, market, residual)
        lots = np.zeros(m, dtype=np.int64)
        lots[columns] = answer.lots
        state.suggested = True
        return self._suggestion(book, market, residual, (answer, lots))

    def _withdrawn(
        self, book: BookConfig, state: BookState, market: Market, residual: ResidualExposure
    ) -> HedgeSuggestion | None:
        if not state.suggested:
            return None
        state.suggested = False
        return self._suggestion(book, market, residual, None)

    def _suggestion(
        self,
        book: BookConfig,
        market: Market,
        residual: ResidualExposure,
        answer: tuple[Hedge, IntArray] | None,
    ) -> HedgeSuggestion:
        """The message for `answer`, the hedge with its lots for all m instruments; None withdraws the last one."""
        assert residual.limit_risk is not None
        before, target = residual.limit_risk, book.target_share * book.limit
        if answer is None:
            trades: tuple[HedgeTrade, ...] = ()
            status: Literal["trade", "none", "unreachable"] = "none"
            after, cost, cost_lower_bound, proven = before, 0.0, 0.0, True
            effort_nodes, stopped_by_clock = 0, False
        else:
            solution, lots = answer
            trades = self._trades(market, lots)
            status = "trade" if solution.status == "reached" else "unreachable"
            after, cost = solution.risk_after, solution.cost
            cost_lower_bound, proven = solution.cost_lower_bound, solution.proven
            effort_nodes, stopped_by_clock = solution.effort_nodes, solution.stopped_by_clock
        return HedgeSuggestion(
            id=f"hedge/{residual.id.removeprefix('residual/')}",
            book=book.name,
            event_time_ns=residual.event_time_ns,
            timestep=residual.timestep,
            model_version=residual.model_version,
            residual_exposure_id=residual.id,
            trigger_source=residual.trigger_source,
            status=status,
            numeraire=residual.numeraire,
            limit=book.limit,
            target=target,
            risk_before=before,
            risk_after=after,
            expected_cost=cost,
            cost_lower_bound=cost_lower_bound,
            proven=proven,
            trades=trades,
            effort_nodes=effort_nodes,
            stopped_by_clock=stopped_by_clock,
            limit_on=book.limit_on,
            reason=_reason(status, residual, trades, target, after, cost),
        )

    def _trades(self, market: Market, lots: IntArray) -> tuple[HedgeTrade, ...]:
        valuation = market.valuation
        return tuple(
            HedgeTrade(
                instrument=instrument.name,
                side="buy" if count > 0 else "sell",
                lots=abs(int(count)),
                quantity=abs(int(count)) * instrument.lot,
                limit_price=float(valuation.asks[place] if count > 0 else valuation.bids[place]),
                expected_cost=abs(int(count)) * float(valuation.cost_per_lot[place]),
            )
            for place, (instrument, count) in enumerate(zip(self._config.instruments, lots, strict=True))
            if count
        )

    @property
    def _deadline(self) -> Callable[[], Callable[[], bool]] | None:
        """Starts the time of one solve, and gives what says when it is over; None without a clock."""
        if self._clock is None:
            return None
        clock = self._clock

        def begin() -> Callable[[], bool]:
            stop_at_ns = clock.monotonic_ns() + round(self._config.solver.deadline_ms * 1e6)
            return lambda: clock.monotonic_ns() >= stop_at_ns

        return begin


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


def risk_name(residual: ResidualExposure) -> str:
    """What the limit is held against, in words."""
    return f"unhedged risk over {residual.horizon_steps} steps" if residual.limit_on == "horizon" else "unhedged risk"


def variance_of(q: FloatArray, Sigma: FloatArray) -> float:
    """q'Σq, and 0 where rounding of a perfectly offset position would make it negative."""
    return max(float(q @ Sigma @ q), 0.0)


def finite_or_none(value: float) -> float | None:
    """JSON has no infinity: a bound that bounds nothing is none."""
    return value if np.isfinite(value) else None


def _reason(
    status: Literal["trade", "none", "unreachable"],
    residual: ResidualExposure,
    trades: tuple[HedgeTrade, ...],
    target: float,
    after: float,
    cost: float,
) -> str:
    """One sentence for the trader."""
    assert residual.limit_risk is not None
    money = residual.numeraire
    before, limit = residual.limit_risk, residual.limit
    risk = f"{risk_name(residual)} {before:,.0f} {money}"
    if status == "none":
        return f"{risk} is inside the limit of {limit:,.0f} again: nothing to trade"
    widest = max(residual.positions, key=lambda position: abs(position.residual))
    side = "long" if widest.residual > 0 else "short"
    orders = ", ".join(f"{trade.side} {trade.lots} {_lots(trade.lots)} {trade.instrument}" for trade in trades)
    state = (
        f"{risk} over the limit of {limit:,.0f}, "
        f"largest residual {side} {abs(widest.residual):,.0f} {money} of {widest.asset}"
    )
    if not trades:
        return f"{state}: no permitted trade was found that lowers it by a hundredth"
    outcome = f"risk {after:,.0f} for {cost:,.0f} {money}"
    if status == "unreachable":
        return f"{orders}: {state}; {outcome}, no trade found reaches the target of {target:,.0f}"
    return f"{orders}: {state}; {outcome}"


def _lots(count: int) -> str:
    return "lot" if count == 1 else "lots"
