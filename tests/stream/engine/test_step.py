"""The engine against plain numpy and enumeration, and each of its rules by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_changes
from itertools import combinations, product
from typing import Any

import msgspec
import numpy as np
import pytest
from statsmodels.tsa.adfvalues import mackinnonp

from schemas.inbound import Position, Tick
from schemas.outbound import (
    Alert,
    AssetExposure,
    DeadLetter,
    HedgeSuggestion,
    HedgeTrade,
    Model,
    ModelBeta,
    PackedBeta,
    ResidualExposure,
)
from schemas.wire import JSON, encode
from solver.covariance import HayashiYoshidaCovariance
from solver.reversion.evidence.basis_bound import resampling_weights
from solver.reversion.live.betas import LiveBeta
from solver.reversion.live.watch import BASIS, Detector
from solver.reversion.vector import BetaVector
from stream.config import BookConfig, Config, HedgingConfig, RiskConfig
from stream.config.kafka import MAX_RECORD_BYTES
from stream.engine.book.solve import BookResult, BookSolver
from stream.engine.book.solved import Trigger
from stream.engine.book.state import BookState
from stream.engine.market.message import model_message
from stream.engine.market.model import Market
from stream.engine.market.valuation import Valuer
from stream.engine.step import Engine, EngineState, Output
from stream.events.decode import Decoder
from stream.events.encode import Encoder
from stream.events.timesteps import new_timesteps_state
from stream.events.types import EngineEvent, FeedSilence, PositionLevel, QuoteDepth, Quotes, Refused, Ticks, Timestep
from stream.kafka.log import Record
from stream.testing.memory_log import MemoryLog
from stream.worker.snapshot import WorkerState, restore_snapshot, take_snapshot

SECOND = 1_000_000_000
ASSETS = ("EUR", "CHF", "JPY")
EUR, CHF, JPY = range(3)
EURUSD, USDCHF, USDJPY, EURCHF = range(4)
LOT = 1e6
MidPrices = Callable[[int, int], np.ndarray]
TimestepOf = Callable[..., Timestep]


def position(book: str, asset: int | None, quantity: float, at_s: float, offset: int = 0) -> PositionLevel:
    return PositionLevel(round(at_s * SECOND), book, asset, quantity, f"positions[0]@{offset}")


def play(engine: Engine, state: EngineState, events: Sequence[EngineEvent]) -> list[Output]:
    """All outputs of `events`; the engine changes `state` in place."""
    outputs: list[Output] = []
    for event in events:
        after, caused = engine.step(state, event)
        assert after is state
        outputs += caused
    return outputs


def only(outputs: Sequence[Output], message: type[Output], **fields: object) -> list[Any]:
    """The outputs of one type with these values."""
    return [
        output
        for output in outputs
        if isinstance(output, message) and all(getattr(output, name) == value for name, value in fields.items())
    ]


# What every published message must say, from the definitions: no code of the service or the solver, every combination
# looked at. Four instruments of the desk in `conftest`, three assets, exponential covariance, sparse pairs.


def dickey_fuller(spread: np.ndarray) -> float:
    """t-statistic of the level before in a regression of each change on it, on the change before and a constant."""
    changes = np.diff(spread)
    X = np.column_stack([spread[1:-1], changes[:-1], np.ones(len(changes) - 1)])
    coefficients, squares, *_ = np.linalg.lstsq(X, changes[1:])
    variance = squares[0] / (len(X) - 3) * np.linalg.inv(X.T @ X)[0, 0]
    return float(coefficients[0] / math.sqrt(variance))


@dataclass
class PlainBook:
    config: BookConfig
    quantities: np.ndarray = field(default_factory=lambda: np.zeros(3))
    known: bool = False
    standing: tuple[str, int, np.ndarray] | None = None  # id, since, lots by instrument


@dataclass
class PlainDesk:
    """The desk's messages from the article's definitions."""

    config: Config
    books: dict[str, PlainBook] = field(init=False)
    log_prices: list[np.ndarray] = field(default_factory=list)
    version: int = 0
    standing: set[str] = field(default_factory=set)
    in_use: dict[str, tuple[np.ndarray, int, int]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    betas: list[ModelBeta] = field(default_factory=list)
    tried: int = 0
    fitted_at: int = 0
    # Timesteps with prices since `pairs` last looked, what it found, and at which timestep.
    pushed: int = 0
    found: tuple[int, list[ModelBeta], dict[str, tuple[np.ndarray, int, int]]] | None = None

    def __post_init__(self) -> None:
        self.books = {book.name: PlainBook(book) for book in self.config.books}

    def expect(self, event: Timestep | PositionLevel) -> list[Output]:
        if isinstance(event, Timestep):
            return self.timestep(event)
        book = self.books[event.book]
        book.known = True
        if event.asset is not None:
            book.quantities[event.asset] = event.quantity
        return list(self.solve(book, "position", event.event_time_ns, event.source))

    def timestep(self, timestep: Timestep) -> list[Output]:
        self.version += 1
        self.step, self.end_ns = timestep.index, timestep.end_ns
        self.bids, self.asks = timestep.bids, timestep.asks
        self.fresh = timestep.quoted_at_ns >= timestep.end_ns - 5 * SECOND
        mids = np.where(self.fresh, (timestep.bids + timestep.asks) / 2, np.nan)
        self.prices = np.array([mids[EURUSD], 1 / mids[USDCHF], 1 / mids[USDJPY]])
        self.mids = mids
        self.log_prices.append(np.log(self.prices))
        self.Sigma = self.covariance()
        self.counted = timestep.index
        priced = bool(np.isfinite(self.prices).all())
        self.pushed += priced
        self.take()
        rows = int(np.isfinite(self.log_prices).all(axis=1).sum())
        if priced and not self.found and rows >= 62 and self.pushed >= self.config.reversion.refit_every_steps:
            self.found, self.pushed = (timestep.index, *self.pairs()), 0
        self.take()
        outputs: list[Output] = [self.model()]
        for place, asset in enumerate(ASSETS):
            gone = bool(np.isnan(self.prices[place]))
            holders = [name for name, book in self.books.items() if book.quantities[place]]
            message = f"{asset} has a price again"
            if gone:
                message = f"no price of {asset} within 5 s"
                message += f": not solved while it lasts: {', '.join(holders)}" if holders else ""
            outputs += self.alert(
                "price-stale", asset, "critical" if holders else "warning", gone, message, str(timestep.index)
            )
        for book in self.books.values():
            if book.known:
                outputs += self.solve(book, "timestep", timestep.end_ns, str(timestep.index))
        return outputs

    def common_returns(self, i: int, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Of two assets, between timesteps at which both had a price, each over the root of how many steps it spans."""
        levels = np.array(self.log_prices)[:, [i, j]]
        times = np.flatnonzero(np.isfinite(levels).all(axis=1))
        returns = np.diff(levels[times], axis=0) / np.sqrt(np.diff(times))[:, None]
        return returns[:, 0], returns[:, 1]

    def take(self) -> None:
        """What was found is in use once its lag has passed."""
        if not self.found or self.step < self.found[0] + self.config.reversion.refit_lag_steps:
            return
        self.fitted_at, self.betas, in_use = self.found
        self.tried, self.found = 3, None
        self.versions |= {beta_id: version for beta_id, (_, version, _) in in_use.items()}
        self.in_use = {
            beta_id: (weights, version, self.in_use.get(beta_id, (weights, version, self.counted))[2])
            for beta_id, (weights, version, _) in in_use.items()
        }

    def covariance(self) -> np.ndarray:
        """Exponential weights by pair, then Ledoit and Wolf's shrinkage with Kish's effective number of observations.

        0 for what has no price now. No repair: the day is such that the pairs make a covariance.
        """
        if len(self.log_prices) < 2:
            return np.zeros((3, 3))
        volatility, S, error = np.zeros(3), np.zeros((3, 3)), np.zeros((3, 3))
        for i, j in [(0, 0), (1, 1), (2, 2), *product(range(3), repeat=2)]:
            a, b = self.common_returns(i, j)
            weights = 0.5 ** (np.arange(len(a))[::-1] / self.config.covariance.half_life_steps)
            if i == j:
                volatility[i] = np.sqrt(weights @ a**2 / weights.sum())
            S[i, j] = volatility[i] * volatility[j] * (weights @ (a * b)) / np.sqrt((weights @ a**2) * (weights @ b**2))
            effective = weights.sum() ** 2 / (weights**2).sum()
            error[i, j] = (weights @ (a * b) ** 2 / weights.sum() - S[i, j] ** 2) / effective
        known = np.flatnonzero(np.isfinite(self.prices))
        inside = np.ix_(known, known)
        assert np.linalg.eigvalsh(S[inside])[0] > -1e-15 * S.max()
        target = np.trace(S[inside]) / len(known) * np.eye(len(known))
        distance = ((S[inside] - target) ** 2).sum()
        intensity = max(min(error[inside].sum(), distance), 0.0) / distance
        Sigma = np.zeros((3, 3))
        Sigma[inside] = (1 - intensity) * S[inside] + intensity * target
        return Sigma

    def pairs(self) -> tuple[list[ModelBeta], dict[str, tuple[np.ndarray, int, int]]]:
        """The least-ratio vector of each pair on 40 of the last 60 changes, by `basis` on the last 20.

        A newcomer needs an upper bound of its ratio there inside the limit, one in use the ratio itself; and that one
        keeps its weights unless today's are better by a tenth.
        """
        levels = np.array([row for row in self.log_prices if np.isfinite(row).all()])
        changes = np.diff(levels, axis=0)[-60:]
        fit, limit = np.cov(changes[:40].T, bias=True), self.config.reversion.basis_ratio_max
        found = []
        in_use: dict[str, tuple[np.ndarray, int, int]] = {}
        for i, j in combinations(range(3), 2):
            beta_id = f"sparse:{ASSETS[i]}/{ASSETS[j]}"
            fresh = np.zeros(3)
            fresh[i] = 1.0
            fresh[j] = -np.sign(fit[i, j]) * np.sqrt(fit[i, i] / fit[j, j])
            statistic = dickey_fuller(levels[-62:-20] @ fresh)
            p_value = float(mackinnonp(statistic, "c", 1))
            assert p_value > 0.05, "chosen so that nothing reverts: this desk knows one kind of evidence"
            weights, version, since = self.in_use.get(beta_id, (None, self.versions.get(beta_id, 0), self.step))
            now, upper = self.ratio(fresh, changes[40:]), self.upper_bound(fresh, changes[40:])
            accepted = max(self.ratio(fresh, changes[:40]), upper) <= limit
            if weights is not None and max(self.ratio(weights, part) for part in (changes[:40], changes[40:])) > limit:
                weights = None
            if weights is None or (accepted and now < 0.9 * self.ratio(weights, changes[40:])):
                if not accepted:
                    continue
                weights, version = fresh, version + 1
            in_use[beta_id] = (weights, version, since)
            spread = levels[-61:-1] @ weights
            reversion = np.cov(spread[:40], changes[:40] @ weights, bias=True)
            persistence = abs(1 + reversion[0, 1] / reversion[0, 0])
            found.append(
                ModelBeta(
                    beta_id=beta_id,
                    method="sparse",
                    evidence=("basis",),
                    weights={ASSETS[i]: 1.0, ASSETS[j]: float(weights[j])},
                    basis_ratio=self.ratio(weights, changes[40:]),
                    basis_horizon_steps=1,
                    half_life_steps=math.log(2) / -math.log(persistence) if persistence < 1 else None,
                    spread_volatility=float(spread.std()),
                    deviation=float((levels[-1] @ weights - spread.mean()) / spread.std()),
                    statistic=statistic,
                    version=version,
                    basis_ratio_upper=self.upper_bound(weights, changes[40:]),
                    p_value=p_value,
                )
            )
        return sorted(found, key=lambda beta: beta.basis_ratio), in_use

    def ratio(self, weights: np.ndarray, changes: np.ndarray) -> float:
        covariance = np.cov(changes.T, bias=True)
        return float(weights @ covariance @ weights / (np.diag(covariance) @ weights**2))

    def upper_bound(self, weights: np.ndarray, changes: np.ndarray) -> float:
        """95 % quantile over the samples in which each change is repeated as often as its blocks were drawn."""
        drawn = resampling_weights(len(changes), 5, np.random.default_rng(1)) * len(changes)
        ratios = [self.ratio(weights, np.repeat(changes, np.rint(row).astype(int), axis=0)) for row in drawn]
        return float(np.quantile(ratios, 0.95, method="higher"))

    def model(self) -> Model:
        seen = np.maximum(np.isfinite(self.log_prices).sum(axis=0) - 1, 0).tolist()
        enough = max(seen) >= self.config.covariance.min_observations
        known = np.flatnonzero(np.isfinite(self.prices)) if enough else []
        return Model(
            id=f"model/fx/{self.step}/{self.version}",
            universe="fx",
            numeraire="USD",
            event_time_ns=self.end_ns,
            timestep=self.step,
            model_version=self.version,
            assets=ASSETS,
            prices=tuple(None if np.isnan(price) else float(price) for price in self.prices),
            covariance=tuple(map(tuple, self.Sigma[np.ix_(known, known)].tolist())) if enough else (),
            covariance_assets=tuple(ASSETS[place] for place in known),
            observations=max(seen),
            asset_observations=tuple(seen),
            betas=tuple(
                msgspec.structs.replace(beta, age_steps=self.counted - self.in_use[beta.beta_id][2])
                for beta in self.betas
            ),
            candidates_tried=self.tried,
            refitted_at_timestep=self.fitted_at,
            priced_by=tuple(
                () if np.isnan(price) else (name,)
                for name, price in zip(("EURUSD", "USDCHF", "USDJPY"), self.prices, strict=True)
            ),
        )

    def solve(self, book: PlainBook, trigger: str, time_ns: int, source: str) -> Iterator[Output]:
        place = f"{book.config.name}/{self.step}/{self.version}/{source}"
        common: dict[str, Any] = {
            "book": book.config.name,
            "event_time_ns": time_ns,
            "timestep": self.step,
            "model_version": self.version,
            "numeraire": "USD",
            "limit": book.config.limit,
            "trigger_source": source,
        }
        ahead = {"horizon_steps": self.config.risk.horizon_steps}
        gone = (book.quantities != 0) & np.isnan(self.prices)
        if gone.any():
            yield ResidualExposure(
                id=f"residual/{place}",
                universe="fx",
                trigger=trigger,
                status="unpriced",
                unpriced_assets=tuple(asset for asset, missing in zip(ASSETS, gone, strict=True) if missing),
                **ahead,
                detail=(detail := f"no fresh price of {', '.join(np.array(ASSETS)[gone])}"),
                **common,
            )
            name = book.config.name
            yield from self.alert("book-unsolved", name, "critical", True, f"{name}: {detail}", source, time_ns)
            return
        Sigma = self.Sigma
        Q = book.quantities * np.nan_to_num(self.prices)
        omega, residual, objective, before, runner_up = self.pack(Q)
        basis_variance = max((Q - residual) @ Sigma @ (Q - residual), 0.0)
        netted_variance = Q @ Sigma @ Q
        unhedged = math.sqrt(max(netted_variance, residual @ Sigma @ residual + basis_variance))
        limit = book.config.limit
        # No β of this desk reverts (see `pairs`): over the horizon everything is a walk.
        longer = math.sqrt(self.config.risk.horizon_steps)
        yield ResidualExposure(
            id=f"residual/{place}",
            universe="fx",
            trigger=trigger,
            status="ok",
            positions=tuple(
                AssetExposure(asset=asset, exposure=float(held), residual=float(left))
                for asset, held, left in zip(ASSETS, Q, residual, strict=True)
                if held or left
            ),
            packed=tuple(
                PackedBeta(
                    beta_id=beta.beta_id,
                    weights=beta.weights,
                    multiples=int(multiple),
                    lot_notional=LOT,
                    basis_ratio=beta.basis_ratio,
                    basis_risk=math.sqrt(self.dense(beta) @ Sigma @ self.dense(beta)) * LOT * abs(int(multiple)),
                    version=beta.version,
                    evidence=beta.evidence,
                    basis_ratio_upper=beta.basis_ratio_upper,
                    p_value=beta.p_value,
                    horizon_basis_risk=longer
                    * math.sqrt(self.dense(beta) @ Sigma @ self.dense(beta))
                    * LOT
                    * abs(int(multiple)),
                )
                for beta, multiple in zip(self.usable, omega, strict=True)
                if multiple
            ),
            standalone_risk=float(np.abs(Q) @ np.sqrt(np.diag(Sigma))),
            netted_risk=math.sqrt(netted_variance),
            basis_risk=math.sqrt(basis_variance),
            unhedged_risk=unhedged,
            horizon_netted_risk=longer * math.sqrt(netted_variance),
            horizon_basis_risk=longer * math.sqrt(basis_variance),
            horizon_unhedged_risk=longer * unhedged,
            **ahead,
            limit_share=unhedged / limit,
            objective_name="volume",
            objective_before=before,
            objective=objective,
            lower_bound=objective,
            gap=0.0,
            proven=True,
            second_best=runner_up,
            **common,
        )
        if unhedged > (0.95 * limit if book.standing else limit):
            yield self.suggestion(book, place, common, Q, unhedged)
        elif book.standing:
            standing, since_ns, _ = book.standing
            book.standing = None
            yield HedgeSuggestion(
                id=f"hedge/{place}",
                suggestion_id=standing,
                expires_at_ns=since_ns + 60 * SECOND,
                residual_exposure_id=f"residual/{place}",
                status="none",
                target=0.8 * limit,
                risk_before=unhedged,
                risk_after=unhedged,
                expected_cost=0.0,
                cost_lower_bound=0.0,
                proven=True,
                band=limit,
                **common,
            )
        holds = True if unhedged >= limit else False if unhedged < 0.95 * limit else None
        message = (
            f"{book.config.name}: unhedged risk {unhedged:,.0f} USD, {unhedged / limit:.0%} of the limit {limit:,.0f}"
        )
        yield from self.alert(
            "limit-breach", book.config.name, "critical", holds, message, source, time_ns, unhedged, limit
        )
        solved = f"{book.config.name} has figures again"
        yield from self.alert("book-unsolved", book.config.name, "critical", False, solved, source, time_ns)

    @property
    def usable(self) -> list[ModelBeta]:
        """The β whose legs all have a price."""
        return [beta for beta in self.betas if np.isfinite(self.prices[self.dense(beta) != 0]).all()]

    def dense(self, beta: ModelBeta) -> np.ndarray:
        return np.array([beta.weights.get(asset, 0.0) for asset in ASSETS])

    def pack(self, Q: np.ndarray) -> tuple[tuple[int, ...], np.ndarray, float, float, float | None]:
        """Of all multiples that keep each leg inside its position the least log det(I + DΣD / ε²), then fewest lots.

        Also the volume of its residual, of Q, and of the next best.
        """
        epsilon = LOT * math.sqrt(np.trace(self.Sigma) / np.isfinite(self.prices).sum())

        def volume(q: np.ndarray) -> float:
            return float(np.linalg.slogdet(np.eye(3) + np.diag(q) @ self.Sigma @ np.diag(q) / epsilon**2)[1])

        B = np.array([self.dense(beta) * LOT for beta in self.usable]).reshape(-1, 3).T
        most = math.ceil(np.abs(Q).sum() / LOT) + 1
        low, high = np.minimum(Q, 0.0), np.maximum(Q, 0.0)
        candidates: list[tuple[float, int, tuple[int, ...]]] = []
        for omega in product(range(-most, most + 1), repeat=len(self.usable)):
            packed = B @ np.array(omega, dtype=float) if omega else np.zeros(3)
            # A tenth of a cent: multiples of weights and lots are exact to far less.
            if (packed < low - 1e-3).any() or (packed > high + 1e-3).any():
                continue
            candidates.append((volume(Q - packed), sum(map(abs, omega)), omega))
        best, *others = sorted(candidates)
        packed = B @ np.array(best[2], dtype=float) if best[2] else np.zeros(3)
        return best[2], Q - packed, best[0], volume(Q), others[0][0] if others else None

    def suggestion(
        self,
        book: PlainBook,
        place: str,
        common: dict[str, Any],
        Q: np.ndarray,
        unhedged: float,
    ) -> HedgeSuggestion:
        """All trades within the book's lots: the cheapest that reaches the target, else the one of least risk.

        What offsets between the packed part and the rest do not count for stays, whatever is traded. What stands is
        kept within its first two seconds while it brings the risk inside the limit, and for a minute while it is
        within a tenth of the best in cost, and of the target or of the best in risk.
        """
        not_counted = max(unhedged**2 - Q @ self.Sigma @ Q, 0.0)
        eur, chf, jpy = self.prices
        bought = np.array(
            [[LOT * eur, 0, 0], [0, -LOT, 0], [0, 0, -LOT], [LOT * eur, -LOT * self.mids[EURCHF] * chf, 0]]
        )
        in_usd = np.array([1.0, chf, jpy, chf])
        spread = (self.asks - self.bids) / 2 * LOT * in_usd
        fee = np.zeros(4)
        fee[USDCHF] = 0.1e-4 * LOT * self.mids[USDCHF] * chf
        cost = spread + fee
        target = 0.8 * book.config.limit
        names = [instrument.name for instrument in self.config.instruments]
        columns = [
            column
            for column, name in enumerate(names)
            if self.fresh[column] and (not book.config.instruments or name in book.config.instruments)
        ]
        most = book.config.max_lots
        trades = np.array(list(product(range(-most, most + 1), repeat=len(columns))))
        after = Q + trades @ bought[columns]
        risks = np.sqrt(np.einsum("ti,ij,tj->t", after, self.Sigma, after) + not_counted)
        costs = np.abs(trades) @ cost[columns]
        reached = risks <= target
        # Out of reach: the cheapest that come within a hundredth of the least risk.
        low_enough = reached if reached.any() else risks <= 1.01 * risks.min()
        best = int(np.argmin(np.where(low_enough, costs, np.inf)))
        status, now_ns = "trade" if reached.any() else "unreachable", common["event_time_ns"]
        bound = max(float(costs[best]) - self.config.solver.hedge_cost_resolution, 0.0)
        if book.standing:
            _, since_ns, lots = book.standing
            own = np.flatnonzero((trades == lots[columns]).all(axis=1))
            if own.size and not lots[[c for c in range(len(names)) if c not in columns]].any():
                young = now_ns - since_ns < 2 * SECOND and risks[own[0]] <= book.config.limit
                good = risks[own[0]] <= 1.1 * max(target, risks[best]) and costs[own[0]] <= 1.1 * costs[best]
                if young or (good and now_ns - since_ns < 60 * SECOND):
                    status, best, bound = "unchanged", own[0], 0.0 if young else bound
        if status != "unchanged":
            lots = np.zeros(len(names))
            lots[columns] = trades[best]
            book.standing = (f"hedge/{place}", now_ns, lots)
        assert book.standing
        # Every instrument here has legs of its own.
        without_one = ((trades == 0) & (trades[best] != 0)).any(axis=1) & reached & reached.any()
        second = int(np.argmin(np.where(without_one, costs, np.inf)))

        def made(of: int) -> tuple[HedgeTrade, ...]:
            removed = -trades[of] * (bought[columns] @ self.Sigma @ (Q + after[of]))
            return tuple(
                HedgeTrade(
                    instrument=names[column],
                    side="buy" if lots > 0 else "sell",
                    lots=abs(int(lots)),
                    quantity=abs(int(lots)) * LOT,
                    limit_price=float(self.asks[column] if lots > 0 else self.bids[column]),
                    expected_cost=abs(int(lots)) * float(cost[column]),
                    share_removed=float(share),
                )
                for column, lots, share in zip(columns, trades[of], removed / removed.sum(), strict=True)
                if lots
            )

        alternative = status == "trade" and without_one.any()
        return HedgeSuggestion(
            id=f"hedge/{place}",
            suggestion_id=book.standing[0],
            expires_at_ns=book.standing[1] + 60 * SECOND,
            residual_exposure_id=f"residual/{place}",
            status=status,
            target=target,
            risk_before=unhedged,
            risk_after=float(risks[best]),
            expected_cost=float(costs[best]),
            cost_lower_bound=bound,
            proven=status != "unchanged",
            trades=made(best) if trades[best].any() else (),
            gap=max(float(costs[best]) - bound, 0.0),
            expected_spread=float(np.abs(trades[best]) @ spread[columns]),
            expected_fee=float(np.abs(trades[best]) @ fee[columns]),
            runner_up=made(second) if alternative else (),
            runner_up_cost=float(costs[second]) if alternative else None,
            runner_up_proven=bool(alternative),
            band=book.config.limit,
            **common,
        )

    def alert(
        self,
        kind: str,
        subject: str,
        severity: str,
        holds: bool | None,
        message: str,
        source: str,
        time_ns: int | None = None,
        value: float | None = None,
        limit: float | None = None,
    ) -> list[Alert]:
        key = f"{kind}:{subject}"
        if holds is None or holds == (key in self.standing):
            return []
        self.standing ^= {key}
        state = "raised" if holds else "cleared"
        return [
            Alert(
                id=f"alert/{key}/{state}/{source}",
                alert_key=key,
                kind=kind,
                state=state,
                severity=severity,
                subject=subject,
                event_time_ns=self.end_ns if time_ns is None else time_ns,
                timestep=self.step,
                message=message,
                value=value,
                limit=limit,
            )
        ]


def assert_some_other(published: object, expected: object, where: str) -> None:
    """The next best that a search came across: no better than the next best of all, no worse than nothing packed."""
    assert isinstance(published, ResidualExposure)
    assert isinstance(expected, ResidualExposure)
    if published.second_best is None:
        assert not expected.packed, where
    else:
        assert expected.second_best is not None, where
        assert published.second_best >= expected.second_best * (1 - 1e-9), where
        assert not expected.packed or published.second_best <= expected.objective_before * (1 + 1e-9), where


def assert_same(published: object, expected: object, where: str) -> None:
    """Equal, numbers to 1e-8: sums that run in another order, and a square root of what they leave."""
    if isinstance(expected, float):
        # A residual that is zero is what rounding leaves of ten million.
        assert published == pytest.approx(expected, rel=1e-8, abs=0.0 if expected else 1e-6), where
    elif isinstance(expected, msgspec.Struct):
        assert type(published) is type(expected), where
        for name in expected.__struct_fields__:
            if name == "second_best":
                assert_some_other(published, expected, where)
            elif name not in ("effort_nodes", "reason"):
                assert_same(getattr(published, name), getattr(expected, name), f"{where}.{name}")
    elif isinstance(expected, dict):
        assert isinstance(published, dict)
        assert list(published) == list(expected), where
        for name, value in expected.items():
            assert_same(published[name], value, f"{where}[{name}]")
    elif isinstance(expected, tuple):
        assert isinstance(published, tuple)
        assert len(published) == len(expected), f"{where}: {published} for {expected}"
        for place, (each, wanted) in enumerate(zip(published, expected, strict=True)):
            assert_same(each, wanted, f"{where}[{place}]")
    else:
        assert published == expected, where


# The day: positions in units of the asset that change before the step, and quotes that fail in it.
WARM_UP = 70
DAY: dict[int, list[tuple[str, int | None, float]]] = {
    0: [("spot", EUR, 10e6), ("spot", CHF, -7e6), ("spot", JPY, 300e6), ("options", EUR, 2e6)],
    2: [("options", JPY, -450e6)],
    3: [("spot", CHF, 0.0)],
    5: [("spot", EUR, 4.4e6), ("options", JPY, 0.0)],
    6: [("spot", EUR, -3e6), ("spot", CHF, 3.3e6)],
    8: [("options", EUR, 9e6)],
    9: [("options", CHF, -9.5e6)],
    11: [("spot", JPY, -900e6), ("spot", None, 5e6)],
    13: [("options", CHF, 0.0), ("options", EUR, 0.0)],
    15: [("spot", JPY, 0.0), ("spot", EUR, 0.0), ("spot", CHF, 0.0)],
    17: [("spot", EUR, 6e6), ("spot", JPY, -120e6), ("spot", CHF, 1e6)],
    19: [("spot", EUR, 5.2e6)],
}
# By the instrument's place, the second of its last quote: USDJPY fails for three steps while books hold JPY and while
# none does, EURCHF cannot be dealt for a while.
STALE = {
    **{step: {USDJPY: WARM_UP + 5.9} for step in (12, 13)},
    16: {USDJPY: WARM_UP + 5.9},
    **{step: {EURCHF: WARM_UP - 3.0} for step in (3, 4, 5)},
}


def scripted_day(mid_prices: MidPrices, timestep_of: TimestepOf) -> list[EngineEvent]:
    events: list[EngineEvent] = []
    offset = 0
    for step, mids in enumerate(mid_prices(WARM_UP + 20, 5), start=1):
        day_step = step - WARM_UP - 1
        for book, asset, quantity in DAY.get(day_step, []):
            events.append(position(book, asset, quantity, step - 0.5, offset))
            offset += 1
        events.append(timestep_of(step, mids, STALE.get(day_step)))
    return events


@pytest.mark.parametrize(("every", "lag"), [(1, 1), (1, 0), (4, 2)])
def test_a_scripted_day_says_what_plain_numpy_and_enumeration_say(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf, every: int, lag: int
) -> None:
    """Each message of 20 timesteps with 21 position changes, recomputed from the definitions over all combinations.

    Prices, covariance, β with their evidence from the timestep on at which they count, residual, objective of the
    optimal packing, every risk, the cheapest trades, alerts, ids and order. The day has trades, withdrawals,
    unreachable targets, stale prices, alerts raised and cleared.
    """
    reversion = msgspec.structs.replace(desk.reversion, refit_every_steps=every, refit_lag_steps=lag)
    desk = msgspec.structs.replace(desk, reversion=reversion)
    engine, plain = Engine(desk), PlainDesk(desk)
    state = engine.new_state()
    seen: set[object] = set()
    for event in scripted_day(mid_prices, timestep_of):
        state, published = engine.step(state, event)
        assert isinstance(event, Timestep | PositionLevel)
        expected = plain.expect(event)
        where = f"{type(event).__name__} at {event.index if isinstance(event, Timestep) else event.source}"
        assert [type(message).__name__ for message in published] == [type(each).__name__ for each in expected], where
        for message, wanted in zip(published, expected, strict=True):
            assert_same(message, wanted, f"{where}: {type(wanted).__name__}")
        for message in published:
            if isinstance(message, ResidualExposure):
                seen |= {message.status, message.trigger, ("packed", bool(message.packed))}
            elif isinstance(message, HedgeSuggestion):
                seen |= {f"suggest {message.status}"}
                assert_reason_says_it_all(message)
            elif isinstance(message, Alert):
                seen |= {(message.kind, message.state)}
    # The day is only worth as much as what happens in it.
    assert seen >= {
        *("ok", "unpriced", "timestep", "position", ("packed", True), ("packed", False)),
        *("suggest trade", "suggest none", "suggest unreachable", "suggest unchanged"),
        *(("limit-breach", "raised"), ("limit-breach", "cleared")),
        *(("price-stale", "raised"), ("price-stale", "cleared")),
    }


def assert_reason_says_it_all(suggestion: HedgeSuggestion) -> None:
    """The sentence for the trader names every order, the risk before, the limit, and what comes of it."""
    for trade in suggestion.trades:
        assert f"{trade.side} {trade.lots} lot" in suggestion.reason
        assert trade.instrument in suggestion.reason
    assert f"{suggestion.risk_before:,.0f} USD" in suggestion.reason
    assert f"limit of {suggestion.limit:,.0f}" in suggestion.reason
    if suggestion.status == "unreachable":
        assert "no trade found reaches" in suggestion.reason or "no permitted trade" in suggestion.reason


def test_covariances_over_several_lengths_of_returns(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """Published beside that over one timestep: exponential weights of the returns at every fifth and tenth timestep."""
    config = msgspec.structs.replace(
        desk, covariance=msgspec.structs.replace(desk.covariance, shrinkage="none", sampling_steps=(5, 1, 10))
    )
    engine = Engine(config)
    state = engine.new_state()
    mids = mid_prices(230, 5)
    models = only(play(engine, state, [timestep_of(step, row) for step, row in enumerate(mids, start=1)]), Model)
    for model in (models[0], models[90], models[-1]):
        assert [longer.every_steps for longer in model.longer_covariances] == [5, 10]
        for longer in model.longer_covariances:
            assert longer.timestep_ns == longer.every_steps * SECOND
            # The first timestep there is, and then each multiple.
            at = [step for step in range(1, model.timestep + 1) if step == 1 or step % longer.every_steps == 0]
            prices = np.column_stack([mids[:, 0], 1 / mids[:, 1], 1 / mids[:, 2]])[np.array(at) - 1]
            returns = np.diff(np.log(prices), axis=0)
            assert longer.observations == len(returns)
            if len(returns) < config.covariance.min_observations:
                assert longer.covariance == longer.assets == ()
                continue
            weights = 0.5 ** (np.arange(len(returns))[::-1] / config.covariance.half_life_steps)
            expected = (returns * weights[:, None]).T @ returns / weights.sum()
            np.testing.assert_allclose(longer.covariance, expected, rtol=1e-9)
            assert longer.assets == ASSETS
    assert models[-1].longer_covariances[1].covariance


def test_a_covariance_from_ticks(desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf) -> None:
    """With `hayashi-yoshida` every tick counts: the published matrix is the solver's on the ticks of direct quotes.

    Log prices of USDCHF and USDJPY are turned round; crosses have no part in it. JPY ticks in every third timestep.
    """
    settings = msgspec.structs.replace(desk.covariance, kind="hayashi-yoshida", shrinkage="none", slow_ticks=3)
    engine = Engine(msgspec.structs.replace(desk, covariance=settings))
    state = engine.new_state()
    plain = HayashiYoshidaCovariance(3, settings.half_life_steps, 3, "none")
    rng = np.random.default_rng(1)
    for step, mids in enumerate(mid_prices(120, 5), start=1):
        places = rng.integers(0, 4, 12)
        places = places[(places != USDJPY) | (step % 3 == 0)]
        moments = np.sort(rng.integers(1, 1001, len(places)))
        quoted = np.append(mids, mids[0] * mids[1])[places] * np.exp(rng.normal(0.0, 2e-5, len(places)))
        closing = timestep_of(step, mids)
        ticks = Ticks((step - 1) * SECOND + moments * 1_000_000, places, quoted)
        (model,) = only(play(engine, state, [with_changes(closing, ticks=ticks)]), Model)
        own = places != EURCHF
        log_prices = np.where(places == EURUSD, np.log(quoted), -np.log(quoted))
        plain.update(places[own], moments[own] / 1000, log_prices[own])
        assert model.asset_observations == tuple(plain.asset_observations.tolist())
        if len(model.covariance_assets) == 3:
            np.testing.assert_allclose(model.covariance, plain.estimate(20), rtol=1e-6, atol=1e-14)
    assert len(model.covariance_assets) == 3


# The article's example, and markets made by hand.


def made_market(
    config: Config,
    betas: dict[str, tuple[float, ...]],
    timestep: int = 5,
    version: int = 5,
    adjustments: dict[str, tuple[float, ...]] | None = None,
) -> Market:
    """Prices of 1, 1 bp of volatility a step, EUR and CHF correlated by 0.9, and these β vectors.

    Those with `adjustments` revert with these speeds.
    """
    m = len(config.instruments)
    half_spread = 2.0**-17  # so that mids are exact
    end_ns = timestep * SECOND
    quotes = Timestep(timestep, end_ns, np.full(m, 1 - half_spread), np.full(m, 1 + half_spread), np.full(m, end_ns))
    valuation = Valuer(config).value(quotes)
    assert (valuation.prices == 1.0).all()
    named = tuple(
        LiveBeta(
            name,
            1,
            0,
            BetaVector(
                weights=np.array(weights),
                method="sparse",
                basis_ratio=0.1,
                basis_ratio_upper=0.13,
                basis_horizon_steps=1,
                step_ratio=0.1,
                half_life_steps=None,
                spread_volatility=1e-4,
                deviation=0.0,
                spread_mean=0.0,
                innovation_ratio=0.1,
                statistic=-1.5,
                p_value=0.5,
                evidence=("reverting", "basis") if name in (adjustments or {}) else ("basis",),
                adjustment=np.array((adjustments or {}).get(name, (0.0, 0.0, 0.0))),
            ),
            Detector.fresh(BASIS),
            Detector.fresh(BASIS),
        )
        for name, weights in betas.items()
    )
    Sigma = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]]) * 1e-8
    return Market(
        timestep=timestep,
        end_ns=end_ns,
        version=version,
        valuation=valuation,
        Sigma=Sigma,
        asset_observations=np.full(3, 100),
        betas=named,
        steps=timestep,
        retirements=(),
        candidates_tried=len(named),
        refusals=(),
        refitted_at_timestep=timestep,
        refit_late=False,
        refit_failure="",
    )


def solve(solver: BookSolver, book: BookConfig, state: BookState, market: Market) -> BookResult:
    """One book at the close of a timestep."""
    (result,) = solver.solve([(book, state)], market, Trigger("timestep", 1, "1"))
    return result


def test_the_articles_example(desk: Config) -> None:
    """β = (1, 0, -1) in a book of +10, -7 and +2 lots: seven lots are packed, +3, 0 and +2 stay.

    The article's assets in the desk's order: EUR, JPY, CHF there; here CHF comes second.
    """
    engine = Engine(desk)
    state = engine.new_state()
    state.latest = made_market(desk, {"sparse:EUR/CHF": (1.0, -1.0, 0.0)})
    outputs = play(
        engine,
        state,
        [
            position("spot", EUR, 10 * LOT, 5.1, 0),
            position("spot", CHF, -7 * LOT, 5.2, 1),
            position("spot", JPY, 2 * LOT, 5.3, 2),
        ],
    )
    residual = only(outputs, ResidualExposure)[-1]
    assert residual.status == "ok"
    assert [(each.asset, each.exposure, each.residual) for each in residual.positions] == [
        ("EUR", 10 * LOT, 3 * LOT),
        ("CHF", -7 * LOT, 0.0),
        ("JPY", 2 * LOT, 2 * LOT),
    ]
    (packed,) = residual.packed
    assert (packed.beta_id, packed.multiples, packed.weights) == ("sparse:EUR/CHF", 7, {"EUR": 1.0, "CHF": -1.0})
    # 1 bp a step on a million is 100; 7 lots of EUR against CHF keep sqrt(2 - 1.8) of it each.
    assert packed.basis_risk == pytest.approx(700 * math.sqrt(0.2))
    # Residual and basis apart come to sqrt(300² + 200² + 700² · 0.2) = 477; the whole position is riskier, for what
    # stays leans the way in which the packed EUR and CHF lean.
    assert residual.unhedged_risk == residual.netted_risk
    assert residual.netted_risk == pytest.approx(100 * math.sqrt(10**2 + 7**2 + 2**2 - 2 * 0.9 * 10 * 7))
    assert residual.standalone_risk == pytest.approx(1900.0)
    assert residual.proven
    assert residual.objective < residual.objective_before


def change_over(Sigma: np.ndarray, alpha: np.ndarray, beta: np.ndarray, steps: int) -> np.ndarray:
    """Covariance of the change over `steps` of one spread that comes back, and of what goes with it, shock by shock.

    Each of 4,000 past shocks leaves A^k of itself after k steps; the innovations are the returns' covariance less what
    the pull explains.
    """
    A = np.eye(3) + np.outer(alpha, beta)
    level = beta @ Sigma @ beta / (-2.0 * beta @ alpha)
    innovations = Sigma - level * np.outer(alpha, alpha)
    powers = [np.eye(3)]
    for _ in range(4000 + steps):
        powers.append(A @ powers[-1])
    total = sum(powers[k] @ innovations @ powers[k].T for k in range(steps))
    for k in range(4000):
        moved = powers[k + steps] - powers[k]
        total = total + moved @ innovations @ moved.T
    return np.asarray(total)


@pytest.mark.parametrize("steps", [1, 10, 200])
def test_risk_over_the_horizon_is_that_of_the_change(desk: Config, steps: int) -> None:
    """Netted, packed and unhedged, of every β and of the book, against a sum over shocks.

    The reverting EUR/CHF comes back, EUR/JPY by `basis` alone is a walk but for what the pull on EUR does to it, and
    both keep risk over any horizon. Over one step everything is risk now.
    """
    config = msgspec.structs.replace(desk, risk=RiskConfig(horizon_steps=steps))
    betas = {"sparse:EUR/CHF": (1.0, -1.0, 0.0), "sparse:EUR/JPY": (1.0, 0.0, -1.0)}
    speeds = (-0.02, 0.03, 0.01)
    market = made_market(config, betas, adjustments={"sparse:EUR/CHF": speeds})
    assert market.Sigma is not None
    state = BookState(quantities=np.array([10.0, -7.0, -2.0]) * LOT)
    residual = solve(BookSolver(config), config.books[0], state, market).residual
    assert state.multiples == {"sparse:EUR/CHF": 7, "sparse:EUR/JPY": 2}
    Sigma_H = change_over(market.Sigma, np.array(speeds), np.array([1.0, -1.0, 0.0]), steps)
    Q, q = np.array([10.0, -7.0, -2.0]) * LOT, np.array([1.0, 0.0, 0.0]) * LOT
    netted, basis, left = Q @ Sigma_H @ Q, (Q - q) @ Sigma_H @ (Q - q), q @ Sigma_H @ q
    assert residual.horizon_steps == steps
    assert residual.horizon_netted_risk == pytest.approx(math.sqrt(netted), rel=1e-8)
    assert residual.horizon_basis_risk == pytest.approx(math.sqrt(basis), rel=1e-8)
    assert residual.horizon_unhedged_risk == pytest.approx(math.sqrt(max(netted, basis + left)), rel=1e-8)
    for packed, weights in zip(residual.packed, np.array(list(betas.values())), strict=True):
        own = abs(packed.multiples) * LOT * math.sqrt(weights @ Sigma_H @ weights)
        assert packed.horizon_basis_risk == pytest.approx(own, rel=1e-8)
        assert packed.horizon_basis_risk >= packed.basis_risk * (1 - 1e-12) > 0.0
    if steps == 1:
        assert residual.horizon_unhedged_risk == pytest.approx(residual.unhedged_risk, rel=1e-12)
    assert residual.limit_share == pytest.approx(residual.unhedged_risk / 900.0)


def test_a_hedge_that_reverts_is_worth_more_over_the_horizon(desk: Config) -> None:
    """The same book and covariance, with the one packed β reverting or not: risk now is the same, risk later is not."""
    config = msgspec.structs.replace(desk, risk=RiskConfig(horizon_steps=200))
    betas, held = {"sparse:EUR/CHF": (1.0, -1.0, 0.0)}, np.array([7.0, -7.0, 0.0]) * LOT
    risks = []
    for adjustments in ({}, {"sparse:EUR/CHF": (-0.05, 0.05, 0.0)}):
        market = made_market(config, betas, adjustments=adjustments)
        residual = solve(BookSolver(config), config.books[0], BookState(quantities=held), market).residual
        assert residual.unhedged_risk == residual.basis_risk == pytest.approx(700 * math.sqrt(0.2))
        risks.append(residual.horizon_unhedged_risk)
    assert risks[0] == pytest.approx(700 * math.sqrt(0.2 * 200))
    assert risks[1] == pytest.approx(700 * math.sqrt(0.2 / 0.1), rel=1e-6)  # twice the variance of the spread's level


def test_a_model_says_how_its_spreads_come_back(desk: Config) -> None:
    """Speeds by asset of those that revert, nothing of those that do not."""
    market = made_market(
        desk,
        {"sparse:EUR/CHF": (1.0, -1.0, 0.0), "sparse:EUR/JPY": (1.0, 0.0, -1.0)},
        adjustments={"sparse:EUR/CHF": (-0.05, 0.05, 0.0)},
    )
    message = model_message(desk, market)
    assert [beta.adjustment for beta in message.betas] == [{"EUR": -0.05, "CHF": 0.05}, {}]


def test_a_suggestion_from_ladders_at_two_venues(desk: Config) -> None:
    """Lots go where the next one costs least; each trade has its venue, the last price it needs, its cost and share.

    The runner-up is EURCHF with USDCHF, the trades of another instrument, not EURUSD at one venue alone.
    """
    here = msgspec.structs.replace(desk.instruments[0], venue="A")
    there = msgspec.structs.replace(here, name="EURUSD.B", venue="B")
    book = msgspec.structs.replace(desk.books[0], max_lots=9)
    config = msgspec.structs.replace(desk, instruments=(here, *desk.instruments[1:], there), books=(book,))
    market = made_market(config, {})
    valuation = market.valuation
    tick = 2.0**-16
    depths = {0: QuoteDepth(2.0, 2.0, ((1 - 3 * tick, 9.0),)), 4: QuoteDepth(3.0, 3.0)}
    market = with_changes(market, valuation=with_changes(valuation, depths=depths))
    held = BookState(quantities=np.array([12.0, 0.0, 0.0]) * LOT)
    suggestion = solve(BookSolver(config), book, held, market).suggestion
    assert suggestion is not None
    assert suggestion.status == "trade"
    assert [(each.venue, each.side, each.lots, each.limit_price) for each in suggestion.trades if each.venue] == [
        ("A", "sell", 2, 1 - tick / 2),
        ("B", "sell", 3, 1 - tick / 2),
    ]
    assert sum(each.share_removed for each in suggestion.trades) == pytest.approx(1.0)
    assert sum(each.expected_cost for each in suggestion.trades) == pytest.approx(suggestion.expected_cost)
    assert suggestion.expected_cost == pytest.approx(
        suggestion.expected_spread + suggestion.expected_fee + suggestion.expected_depth
    )
    assert suggestion.runner_up_proven
    assert suggestion.runner_up_cost is not None
    assert suggestion.runner_up_cost >= suggestion.expected_cost - config.solver.hedge_cost_resolution
    saved = suggestion.runner_up_cost - suggestion.expected_cost
    names = " + ".join(trade.instrument for trade in suggestion.runner_up)
    assert suggestion.reason.endswith(f"cheaper than {names} by {saved:,.0f} USD")
    one_trade = msgspec.structs.replace(book, max_trades=1)
    fresh = BookState(quantities=held.quantities.copy())
    limited = solve(BookSolver(config), one_trade, fresh, market).suggestion
    assert limited is not None
    assert len(limited.trades) <= 1


def test_a_limit_on_the_horizon(desk: Config) -> None:
    """Limit, alert, suggestion and what comes of its trades are all over the horizon; the trades bring it there."""
    book = msgspec.structs.replace(desk.books[0], limit=2000.0, limit_on="horizon")
    # Every solve suggests the best trades, whatever stood.
    hedging = HedgingConfig(min_life_s=0.0, material_share=0.0)
    config = msgspec.structs.replace(desk, books=(book, desk.books[1]), hedging=hedging)
    engine = Engine(config)
    state = engine.new_state()
    speeds = (-0.05, 0.05, 0.0)
    market = made_market(config, {"sparse:EUR/CHF": (1.0, -1.0, 0.0)}, adjustments={"sparse:EUR/CHF": speeds})
    state.latest = market
    assert market.Sigma is not None
    outputs = play(engine, state, [position("spot", EUR, 10 * LOT, 5.1, 0), position("spot", CHF, -4 * LOT, 5.2, 1)])
    residual, suggestion = only(outputs, ResidualExposure)[-1], only(outputs, HedgeSuggestion)[-1]
    assert (residual.limit_on, suggestion.limit_on) == ("horizon", "horizon")
    assert residual.unhedged_risk < book.limit < residual.horizon_unhedged_risk
    assert residual.limit_share == residual.horizon_unhedged_risk / book.limit
    assert suggestion.risk_before == residual.horizon_unhedged_risk
    assert suggestion.status == "trade"
    assert suggestion.risk_after <= suggestion.target == 0.8 * book.limit
    (alert,) = only(outputs, Alert, state="raised")
    assert alert.value == only(outputs, ResidualExposure)[0].horizon_unhedged_risk
    assert "unhedged risk over 10 steps" in alert.message
    assert "unhedged risk over 10 steps" in suggestion.reason

    columns = {each.name: market.valuation.exposures[:, place] for place, each in enumerate(config.instruments)}
    after = np.array([10.0, -4.0, 0.0]) * LOT + sum(
        trade.lots * (1 if trade.side == "buy" else -1) * columns[trade.instrument] for trade in suggestion.trades
    )
    Sigma_H = change_over(market.Sigma, np.array(speeds), np.array([1.0, -1.0, 0.0]), 10)
    kept = residual.horizon_unhedged_risk**2 - residual.horizon_netted_risk**2
    assert suggestion.risk_after == pytest.approx(math.sqrt(after @ Sigma_H @ after + kept), rel=1e-8)


def test_packing_by_the_risk_over_the_horizon(desk: Config) -> None:
    """The objective `horizon` is q'Σ_H q: of two β that leave the same risk now it packs the one that comes back."""
    solver = msgspec.structs.replace(desk.solver, objective="horizon")
    config = msgspec.structs.replace(desk, solver=solver, risk=RiskConfig(horizon_steps=100))
    betas = {"sparse:EUR/CHF": (1.0, -1.0, 0.0), "sparse:EUR/JPY": (1.0, 0.0, -1.0)}
    speeds = (-0.05, 0.05, 0.0)
    market = made_market(config, betas, adjustments={"sparse:EUR/CHF": speeds})
    assert market.Sigma is not None
    residual = solve(
        BookSolver(config), config.books[0], BookState(quantities=np.array([3.0, -3.0, -3.0]) * LOT), market
    ).residual
    Sigma_H = change_over(market.Sigma, np.array(speeds), np.array([1.0, -1.0, 0.0]), 100)
    held = np.array([3.0, -3.0, -3.0]) * LOT
    values = {
        (a, b): (left := held - a * LOT * np.array([1, -1, 0]) - b * LOT * np.array([1, 0, -1])) @ Sigma_H @ left
        for a in range(4)
        for b in range(4 - a)
    }
    best = min(values, key=lambda lots: values[lots])
    packed = {each.beta_id: each.multiples for each in residual.packed}
    assert packed == {name: lots for name, lots in zip(betas, best, strict=True) if lots}
    assert residual.objective_name == "horizon"
    assert residual.objective == pytest.approx(values[best], rel=1e-8)
    assert residual.objective_before == pytest.approx(values[0, 0], rel=1e-8)


def test_a_packing_stays_inside_the_position(desk: Config) -> None:
    """A book that is long both legs of β has nothing to pack, though the covariance would hedge one with the other."""
    solver = BookSolver(desk)
    state = BookState(quantities=np.array([10.0, 7.0, 0.0]) * LOT)
    market = made_market(desk, {"sparse:EUR/CHF": (1.0, -1.0, 0.0)})
    residual = solve(solver, desk.books[0], state, market).residual
    assert residual.packed == ()
    assert residual.unhedged_risk == pytest.approx(residual.netted_risk)
    assert state.multiples == {}


def test_what_was_packed_is_where_the_next_solve_starts(desk: Config) -> None:
    """Multiples are kept by β id, so that another order of the β vectors after a refit finds them again."""
    solver = BookSolver(desk)
    state = BookState(quantities=np.array([10.0, -7.0, -2.0]) * LOT)
    vectors = {"sparse:EUR/JPY": (1.0, 0.0, -1.0), "sparse:EUR/CHF": (1.0, -1.0, 0.0)}
    first = solve(solver, desk.books[0], state, made_market(desk, vectors))
    packed = {"sparse:EUR/CHF": 7, "sparse:EUR/JPY": 2}
    assert state.multiples == packed
    reordered = made_market(desk, dict(reversed(vectors.items())))
    second = solve(solver, desk.books[0], state, reordered)
    assert state.multiples == packed
    assert second.residual.positions == first.residual.positions
    assert {each.beta_id: each.multiples for each in second.residual.packed} == packed


def warmed_up(engine: Engine, mid_prices: MidPrices, timestep_of: TimestepOf, steps: int = WARM_UP) -> EngineState:
    state = engine.new_state()
    play(engine, state, [timestep_of(step, mids) for step, mids in enumerate(mid_prices(steps, 5), start=1)])
    return state


@pytest.fixture
def ready(desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf) -> tuple[Engine, EngineState, np.ndarray]:
    """An engine that has its covariance and β, and the mids to go on from."""
    engine = Engine(desk)
    return engine, warmed_up(engine, mid_prices, timestep_of), mid_prices(WARM_UP, 5)[-1]


Ready = tuple[Engine, EngineState, np.ndarray]
FIGURES = (
    "standalone_risk",
    "netted_risk",
    "basis_risk",
    "unhedged_risk",
    "horizon_netted_risk",
    "horizon_basis_risk",
    "horizon_unhedged_risk",
    "limit_share",
    "objective_before",
    "objective",
    "lower_bound",
    "gap",
)


def test_nothing_is_published_for_a_book_without_positions(ready: Ready, timestep_of: TimestepOf) -> None:
    """A book for which no position was ever read is not known to be empty."""
    engine, state, mids = ready
    assert [type(output) for output in play(engine, state, [timestep_of(71, mids)])] == [Model]


def test_an_empty_book_has_no_risk(ready: Ready, timestep_of: TimestepOf) -> None:
    """A book that was told to be flat is solved: every figure is zero, proven, and nothing is suggested."""
    engine, state, mids = ready
    outputs = play(engine, state, [position("spot", EUR, 0.0, 70.5), timestep_of(71, mids)])
    residuals = only(outputs, ResidualExposure)
    assert [residual.trigger for residual in residuals] == ["position", "timestep"]
    for residual in residuals:
        assert residual.status == "ok"
        assert residual.positions == residual.packed == ()
        assert {getattr(residual, name) for name in FIGURES} == {0.0}
        assert residual.proven
    assert not only(outputs, HedgeSuggestion)
    assert not only(outputs, Alert)


def test_a_position_before_the_first_price_waits_for_the_first_timestep(desk: Config, timestep_of: TimestepOf) -> None:
    """It is kept, and solved as soon as there is anything to solve it with."""
    engine = Engine(desk)
    state = engine.new_state()
    assert play(engine, state, [position("spot", EUR, 1e6, 0.5)]) == []
    (residual,) = only(play(engine, state, [timestep_of(1, (1.08, 0.9, 150.0))]), ResidualExposure)
    assert residual.status == "no-model"


def test_without_a_covariance_figures_are_unknown(desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf) -> None:
    """`no-model` with None figures up to the configured number of returns, and then numbers."""
    engine = Engine(desk)
    state = engine.new_state()
    play(engine, state, [position("spot", EUR, 1e6, 0.5)])
    statuses = []
    for step, mids in enumerate(mid_prices(22, 5), start=1):
        outputs = play(engine, state, [timestep_of(step, mids)])
        (residual,), (model,) = only(outputs, ResidualExposure), only(outputs, Model)
        statuses.append(residual.status)
        assert (residual.status == "ok") == bool(model.covariance) == (model.observations >= 20)
        if residual.status == "no-model":
            assert {getattr(residual, name) for name in FIGURES} == {None}
    assert statuses == ["no-model"] * 20 + ["ok"] * 2


def test_a_book_that_needs_a_stale_price_is_unpriced_and_others_go_on(ready: Ready, timestep_of: TimestepOf) -> None:
    """No figure of it is published, the alert names it, and a book that does not hold the asset is solved as ever."""
    engine, state, mids = ready
    positions = [position("spot", JPY, 300e6, 70.1), position("options", EUR, 1e6, 70.2, 1)]
    before = play(engine, state, [*positions, timestep_of(71, mids)])
    assert {residual.status for residual in only(before, ResidualExposure)} == {"ok"}

    outputs = play(engine, state, [timestep_of(77, mids, {USDJPY: 71.9})])
    (spot,), (options,) = (only(outputs, ResidualExposure, book=book) for book in ("spot", "options"))
    assert spot.status == "unpriced"
    assert spot.unpriced_assets == ("JPY",)
    assert {getattr(spot, name) for name in FIGURES} == {None}
    assert spot.positions == spot.packed == ()
    assert not spot.proven
    assert options.status == "ok"
    assert options.unhedged_risk > 0
    alert, unsolved = only(outputs, Alert)
    assert (alert.kind, alert.state, alert.subject, alert.severity) == ("price-stale", "raised", "JPY", "critical")
    assert "spot" in alert.message
    assert "options" not in alert.message
    assert (unsolved.kind, unsolved.state, unsolved.subject) == ("book-unsolved", "raised", "spot")
    (model,) = only(outputs, Model)
    assert model.prices[JPY] is None

    # Once, not with every step; a position change meets the same answer.
    again = play(engine, state, [timestep_of(78, mids, {USDJPY: 71.9}), position("spot", EUR, 1e6, 78.5, 2)])
    assert not only(again, Alert)
    assert {residual.status for residual in only(again, ResidualExposure, book="spot")} == {"unpriced"}

    back = play(engine, state, [timestep_of(79, mids)])
    assert [(alert.kind, alert.state, alert.subject) for alert in only(back, Alert)] == [
        ("price-stale", "cleared", "JPY"),
        ("book-unsolved", "cleared", "spot"),
    ]
    assert {residual.status for residual in only(back, ResidualExposure)} == {"ok"}


def test_a_suggestion_stands_while_its_book_is_unpriced(ready: Ready, timestep_of: TimestepOf) -> None:
    """It is neither repeated nor withdrawn on numbers that nobody knows, nor is the breach cleared."""
    engine, state, mids = ready
    over = play(engine, state, [position("spot", JPY, 3000e6, 70.1), timestep_of(71, mids)])
    assert only(over, HedgeSuggestion)
    assert only(over, Alert, kind="limit-breach", state="raised")
    unknown = play(engine, state, [timestep_of(77, mids, {USDJPY: 71.9}), position("spot", EUR, 1e6, 77.5, 1)])
    assert not only(unknown, HedgeSuggestion)
    assert not only(unknown, Alert, kind="limit-breach")
    back = play(engine, state, [position("spot", JPY, 0.0, 77.6, 2)])
    assert [suggestion.status for suggestion in only(back, HedgeSuggestion)] == ["none"]
    assert only(back, Alert, kind="limit-breach", state="cleared")


def test_a_market_that_is_still_opening_raises_no_alert_unless_a_book_holds_the_asset(
    desk: Config, timestep_of: TimestepOf
) -> None:
    """Prices come one after another at the start; that is no failure before anybody needs them."""
    engine = Engine(desk)
    state = engine.new_state()
    opening = {USDCHF: 0, USDJPY: 0, EURCHF: 0}
    assert not only(play(engine, state, [timestep_of(1, (1.08, 0.9, 150.0), opening)]), Alert)
    held = play(engine, state, [position("spot", CHF, 1e6, 1.5), timestep_of(2, (1.08, 0.9, 150.0), opening)])
    (alert,) = only(held, Alert)
    assert (alert.kind, alert.state, alert.subject, alert.severity) == ("price-stale", "raised", "CHF", "critical")
    opened = play(engine, state, [timestep_of(3, (1.08, 0.9, 150.0))])
    assert [(each.state, each.subject) for each in only(opened, Alert)] == [("cleared", "CHF")]


def test_a_cross_keeps_a_book_priced(ready: Ready, timestep_of: TimestepOf) -> None:
    """Without USDCHF the franc is priced over EURCHF and EURUSD: no alert, and the model says on what it stands."""
    engine, state, mids = ready
    outputs = play(engine, state, [position("spot", CHF, 1e6, 71.0), timestep_of(77, mids, {USDCHF: 71.9})])
    assert not only(outputs, Alert, kind="price-stale")
    (model,) = only(outputs, Model)
    assert model.priced_by == (("EURUSD",), ("EURCHF", "EURUSD"), ("USDJPY",))
    assert {residual.status for residual in only(outputs, ResidualExposure)} == {"ok"}


def test_a_price_that_goes_stale_without_holders_is_a_warning(ready: Ready, timestep_of: TimestepOf) -> None:
    """Somebody should look, nobody is hurt."""
    engine, state, mids = ready
    (alert,) = only(play(engine, state, [timestep_of(77, mids, {USDJPY: 71.9})]), Alert)
    assert (alert.kind, alert.severity, alert.subject) == ("price-stale", "warning", "JPY")


def test_a_stale_price_is_stale_for_a_position_too(ready: Ready) -> None:
    """Minutes after the last timestep its prices are as stale for a position change as they would be for a step."""
    engine, state, _ = ready
    (fresh,) = only(play(engine, state, [position("spot", EUR, 1e6, 71.0)]), ResidualExposure)
    assert fresh.status == "ok"
    (stale,) = only(play(engine, state, [position("spot", EUR, 2e6, 600.0, 1)]), ResidualExposure)
    assert stale.status == "unpriced"
    assert stale.unpriced_assets == ("EUR",)


def test_an_asset_that_is_taken_after_its_price_went_stale_raises_for_the_book(
    ready: Ready, timestep_of: TimestepOf
) -> None:
    """The asset's own alert was a warning, as nobody held it; the book that takes it is told at once."""
    engine, state, mids = ready
    (warning,) = only(play(engine, state, [timestep_of(77, mids, {USDJPY: 71.9})]), Alert)
    assert warning.severity == "warning"
    (alert,) = only(play(engine, state, [position("spot", JPY, 300e6, 77.1)]), Alert)
    assert (alert.kind, alert.severity, alert.subject) == ("book-unsolved", "critical", "spot")
    assert "JPY" in alert.message


def test_one_silent_asset_takes_only_itself_out(ready: Ready, timestep_of: TimestepOf) -> None:
    """Its price goes stale: its book is unpriced, all others are solved on a covariance that goes on without it.

    What the others do meanwhile is in their risk, and when it is back, its own return over the silence is in its own.
    """
    engine, state, mids = ready
    held = [position("options", EUR, 1e6, 70.1), position("spot", JPY, 3e6, 70.2, 1)]
    (before,) = only(play(engine, state, [*held, timestep_of(71, mids)]), Model)
    statuses: dict[str, list[str]] = {"spot": [], "options": []}
    for step in range(72, 90):
        moved = mids * np.array([1.0, 1.0 + 0.002 * (step - 71), 1.0])
        outputs = play(engine, state, [timestep_of(step, moved, {USDJPY: 71.0})])
        (model,) = only(outputs, Model)
        for residual in only(outputs, ResidualExposure):
            statuses[residual.book].append(residual.status)
        silent = step > 76
        assert model.covariance_assets == (("EUR", "CHF") if silent else ASSETS)
        assert len(model.covariance) == len(model.covariance_assets)
        assert model.asset_observations == (step - 1, step - 1, min(step, 76) - 1)
    assert statuses == {"spot": ["ok"] * 5 + ["unpriced"] * 13, "options": ["ok"] * 18}
    assert model.covariance[CHF][CHF] > 50 * before.covariance[CHF][CHF]
    back = play(engine, state, [timestep_of(90, moved * np.array([1.0, 1.0, 1.01]))])
    (model,) = only(back, Model)
    assert model.covariance_assets == ASSETS
    assert model.asset_observations == (89, 89, 76)
    # Ledoit and Wolf's target is common, and CHF moved; 1 % over 14 steps at 1.2e-4 a step.
    assert model.covariance[JPY][JPY] > 10 * before.covariance[JPY][JPY]
    assert {residual.status for residual in only(back, ResidualExposure)} == {"ok"}


def test_an_asset_listed_in_midstream_joins_after_returns_of_its_own(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """JPY has its first price at step 41: books with it are unpriced, then `no-model` for 20 returns; others go on.

    The β wait for 62 rows with all prices, and no trade is suggested in what has no covariance. A worker that is
    restored from a snapshot at any place on the way says the same.
    """
    engine = Engine(desk)
    state, restored = engine.new_state(), engine.new_state()
    events: list[EngineEvent] = [
        position("spot", JPY, 300e6, 0.5),
        position("spot", EUR, 1e6, 0.6, 1),
        position("options", EUR, 9e6, 0.7, 2),
    ]
    statuses: dict[str, list[str]] = {"spot": [], "options": []}
    betas = []
    for step, mids in enumerate(mid_prices(110, 5), start=1):
        events.append(timestep_of(step, mids, {USDJPY: 0} if step <= 40 else None))
        worker = WorkerState(new_timesteps_state(len(desk.instruments)), state, {})
        if step % 9 == 0:
            restored = restore_snapshot(take_snapshot(worker, desk), desk, engine).engine
        outputs = play(engine, state, events)
        if step >= 9:
            assert play(engine, restored, events) == outputs
        events.clear()
        (model,) = only(outputs, Model)
        betas.append(len(model.betas))
        assert ("JPY" in model.covariance_assets) == (model.asset_observations[JPY] >= 20)
        for residual in only(outputs, ResidualExposure):
            statuses[residual.book].append(residual.status)
            if residual.status == "no-model" and step > 41:
                assert "JPY" in residual.detail
        if step > 21:
            (suggestion,) = only(outputs, HedgeSuggestion, book="options")
            if "JPY" not in model.covariance_assets:
                assert "USDJPY" not in {trade.instrument for trade in suggestion.trades}
    assert statuses["options"] == ["no-model"] * 20 + ["ok"] * 90
    assert statuses["spot"] == ["unpriced"] * 40 + ["no-model"] * 20 + ["ok"] * 50
    assert betas[100] == 0
    assert betas[-1] > 0


def test_a_vector_with_a_silent_leg_is_not_packed(desk: Config, timestep_of: TimestepOf) -> None:
    """Not in `free` mode either, where a book need not hold the leg; lots of it wait in the book that does."""
    free = msgspec.structs.replace(desk, solver=msgspec.structs.replace(desk.solver, mode="free"))
    market = made_market(desk, {"sparse:EUR/JPY": (1.0, 0.0, -1.0), "sparse:EUR/CHF": (1.0, -1.0, 0.0)})
    stale = with_changes(
        market,
        valuation=Valuer(desk).value(timestep_of(5, (1.0, 1.0, 1.0), {USDJPY: 0})),
        Sigma=np.where(np.eye(3)[JPY] + np.eye(3)[:, [JPY]], np.nan, market.Sigma),
    )
    solver = BookSolver(free)
    without, holder = (BookState(quantities=np.array(held) * LOT) for held in ([5.0, -5.0, 0.0], [5.0, 0.0, -5.0]))
    residual = solve(solver, desk.books[1], without, stale).residual
    assert residual.status == "ok"
    assert {packed.beta_id for packed in residual.packed} == {"sparse:EUR/CHF"}
    assert solve(solver, desk.books[0], holder, market).residual.packed
    waiting = dict(holder.multiples)
    assert waiting["sparse:EUR/JPY"]
    assert solve(solver, desk.books[0], holder, stale).residual.status == "unpriced"
    assert holder.multiples == waiting


def test_a_break_behind_a_silence_is_seen_when_it_ends(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """CHF moves by 1 % while it is silent: its β stays until its price is back, and is retired in that timestep.

    Where JPY is silent instead, the β is watched all the while, and goes in the timestep of the move.
    """
    rare = msgspec.structs.replace(desk.reversion, refit_every_steps=1000, refit_lag_steps=0)
    config = msgspec.structs.replace(desk, reversion=rare)
    engine = Engine(config)
    state = warmed_up(engine, mid_prices, timestep_of)
    state.market.refits.pushed = 1000
    mids = mid_prices(WARM_UP + 1, 5)[-1]
    play(engine, state, [timestep_of(71, mids)])
    assert "sparse:EUR/CHF" in {beta.beta_id for beta in state.market.live.betas}
    worker = WorkerState(new_timesteps_state(len(config.instruments)), state, {})
    watched = restore_snapshot(take_snapshot(worker, config), config, engine).engine
    for step in range(72, 81):
        moved = mids * np.array([1.0, 1.01 if step == 80 else 1.0, 1.0])
        (model,) = only(play(engine, watched, [timestep_of(step, moved, {USDJPY: 71.0})]), Model)
        assert [beta.beta_id for beta in model.betas] == (["sparse:EUR/CHF"] if step < 80 else [])

    silence = {USDCHF: 71.0, EURCHF: 71.0}
    for step in range(72, 80):
        (model,) = only(play(engine, state, [timestep_of(step, mids, silence)]), Model)
        assert "sparse:EUR/CHF" in {beta.beta_id for beta in model.betas}
    assert list(state.market.interrupted) == ["sparse:EUR/CHF"]
    worker = WorkerState(new_timesteps_state(len(config.instruments)), state, {})
    restored = restore_snapshot(take_snapshot(worker, config), config, engine).engine
    jumped = timestep_of(80, mids * np.array([1.0, 1.01, 1.0]))
    outputs = play(engine, state, [jumped])
    assert only(outputs, Model)[0].betas == ()
    assert play(engine, restored, [jumped]) == outputs
    assert state.market.interrupted == {}


@pytest.mark.parametrize("jump", [1.0, 1.05])
def test_a_silence_that_outlasts_the_covariance_is_judged_by_what_was_known_before_it(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf, jump: float
) -> None:
    """No return of CHF is left in the window when its price is back: its β is watched by its last known variance."""
    covariance = msgspec.structs.replace(desk.covariance, kind="window", window_steps=20)
    rare = msgspec.structs.replace(desk.reversion, refit_every_steps=62, refit_lag_steps=0)
    config = msgspec.structs.replace(desk, covariance=covariance, reversion=rare)
    engine = Engine(config)
    state = warmed_up(engine, mid_prices, timestep_of)
    mids = mid_prices(WARM_UP, 5)[-1]
    assert "sparse:EUR/CHF" in {beta.beta_id for beta in state.market.live.betas}
    for step in range(71, 100):
        drifted = mids * math.exp(1e-4 * (step % 2))
        play(engine, state, [timestep_of(step, drifted, {USDCHF: 70.0, EURCHF: 70.0})])
    assert np.isnan(state.market.covariance.variances()[CHF])
    worker = WorkerState(new_timesteps_state(len(config.instruments)), state, {})
    restored = restore_snapshot(take_snapshot(worker, config), config, engine).engine
    back = timestep_of(100, mids * np.array([1.0, jump, 1.0]))
    outputs = play(engine, state, [back])
    assert [beta.beta_id for beta in only(outputs, Model)[0].betas] == (["sparse:EUR/CHF"] if jump == 1.0 else [])
    assert play(engine, restored, [back]) == outputs


@pytest.mark.parametrize("lag", [0, 1])
def test_a_vector_of_an_asset_whose_variance_nobody_knows_waits_for_it(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf, lag: int
) -> None:
    """From ticks there is no variance of CHF while EURCHF alone prices it: its β is neither watched nor packed.

    Once USDCHF shows it, the first step that is judged goes back to where the watch had to begin.
    """
    covariance = msgspec.structs.replace(desk.covariance, kind="hayashi-yoshida", shrinkage="none", slow_ticks=2)
    rhythm = msgspec.structs.replace(desk.reversion, refit_every_steps=62, refit_lag_steps=lag)
    free = msgspec.structs.replace(desk.solver, mode="free")
    config = msgspec.structs.replace(desk, covariance=covariance, reversion=rhythm, solver=free)
    engine = Engine(config)
    state = engine.new_state()
    play(engine, state, [position("spot", EUR, 5e6, 0.5)])
    outputs: list[Output] = []
    for step, mids in enumerate(mid_prices(80, 5), start=1):
        close = timestep_of(step, mids, {USDCHF: 0} if step <= 70 else None)
        places = np.flatnonzero(close.quoted_at_ns > 0)
        ticks = Ticks(close.quoted_at_ns[places], places, (0.5 * (close.bids + close.asks))[places])
        outputs += play(engine, state, [with_changes(close, ticks=ticks)])
        (beta,) = state.market.live.betas or (None,)
        assert (beta is not None) == (step >= 62 + lag)
        if beta is not None and step <= 70:
            assert beta.basis.log_evidence == -math.inf
            assert state.market.interrupted["sparse:EUR/CHF"].at_ns == 62 * SECOND
    assert beta is not None
    assert beta.basis.log_evidence > -math.inf
    assert state.market.interrupted == {}
    assert {residual.status for residual in only(outputs, ResidualExposure) if residual.timestep > 20} == {"ok"}
    assert not any(residual.packed for residual in only(outputs, ResidualExposure))


def test_an_older_level_does_not_overwrite_a_newer_one(ready: Ready) -> None:
    """A position that is sent again or comes late changes nothing; one without a time is what a person says now."""
    engine, state, _ = ready
    play(engine, state, [position("spot", EUR, 9e6, 70.3)])
    assert play(engine, state, [position("spot", EUR, 1e6, 70.2, 1)]) == []
    assert state.books["spot"].quantities[EUR] == 9e6
    assert play(engine, state, [position("spot", CHF, 1e6, 70.2, 2)])
    assert play(engine, state, [PositionLevel(71 * SECOND, "spot", EUR, 2e6, "positions[0]@3", dated=False)])
    assert state.books["spot"].quantities[EUR] == 2e6


def test_a_position_without_a_time_is_not_solved_on_a_silent_feed(ready: Ready) -> None:
    """It cannot say how old the prices are; the standing alert of the silent feed can."""
    engine, state, _ = ready
    play(engine, state, [FeedSilence(True, 10.0)])
    undated = PositionLevel(71 * SECOND, "spot", EUR, 2e6, "positions[0]@3", dated=False)
    (silent,) = only(play(engine, state, [undated]), ResidualExposure)
    assert silent.status == "unpriced"
    play(engine, state, [FeedSilence(False, 0.0)])
    (back,) = only(play(engine, state, [undated]), ResidualExposure)
    assert back.status == "ok"


def test_a_book_that_the_solver_refuses_does_not_stop_the_others(ready: Ready, timestep_of: TimestepOf) -> None:
    """It is published as unsolved with the reason and no figure, an alert names it, and the other book is solved."""
    engine, state, mids = ready
    play(engine, state, [position("spot", EUR, 1e6, 70.1), position("options", EUR, 1e6, 70.2, 1)])
    # No ledger says this; its square is no number any more.
    state.books["spot"].quantities[EUR] = 1e200
    outputs = play(engine, state, [timestep_of(71, mids)])
    spot, options = only(outputs, ResidualExposure)
    assert (spot.status, options.status) == ("unsolved", "ok")
    assert "must be finite" in spot.detail
    assert {getattr(spot, name) for name in FIGURES} == {None}
    assert [alert.subject for alert in only(outputs, Alert, kind="book-unsolved")] == ["spot"]


def test_a_model_that_the_solver_refuses_leaves_every_book_unsolved(desk: Config) -> None:
    """A covariance that is none: no book may look solved, and each says why."""
    market = with_changes(made_market(desk, {}), Sigma=np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    held = [(book, BookState(quantities=np.full(3, LOT))) for book in desk.books]
    results = BookSolver(desk).solve(held, market, Trigger("timestep", 1, "1"))
    assert {result.residual.status for result in results} == {"unsolved"}
    assert all("Sigma must be positive semi-definite" in result.residual.detail for result in results)


def test_books_of_a_timestep_share_its_nodes(desk: Config) -> None:
    """Two books get half of the timestep's nodes each, a book alone all of them, and none more than a packing may."""
    vectors = {
        "sparse:EUR/CHF": (1.0, -1.0, 0.0),
        "sparse:EUR/JPY": (1.0, 0.0, -0.9),
        "sparse:CHF/JPY": (0.0, 1.0, -0.7),
    }
    market = made_market(desk, vectors)
    spent = {}
    for max_timestep_nodes in (2, 40, 10**6):
        few = msgspec.structs.replace(
            desk,
            solver=msgspec.structs.replace(
                desk.solver, mode="free", max_packing_nodes=10_000, max_timestep_nodes=max_timestep_nodes
            ),
        )
        for books in (desk.books[:1], desk.books):
            held = [(book, BookState(quantities=np.array([33.3, -27.7, -41.1]) * LOT)) for book in books]
            results = BookSolver(few).solve(held, market, Trigger("timestep", 1, "1"))
            efforts = {result.residual.effort_nodes for result in results}
            assert len(efforts) == 1, "equal books, equal parts"
            spent[max_timestep_nodes, len(books)] = efforts.pop()
    assert spent[2, 2] <= spent[2, 1] < spent[40, 2] < spent[40, 1] < spent[10**6, 2] == spent[10**6, 1] <= 10_100


def test_a_value_too_large_for_a_dead_letter_is_cut_and_says_so(ready: Ready) -> None:
    """The letter stays below what Kafka takes, so one absurd record cannot stop the service at every start."""
    engine, state, _ = ready
    record = Record("ticks", 0, 1, 1000, None, b"x" * (MAX_RECORD_BYTES - 1000))
    (letter,) = play(engine, state, [Refused(record, "undecodable", "no message", "application/json")])
    assert len(encode(letter, JSON)) < MAX_RECORD_BYTES
    assert "sha256" in letter.detail
    assert record.value is not None
    assert record.value.startswith(letter.value)


def test_a_return_over_a_gap_counts(desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf) -> None:
    """A market that reopens elsewhere has moved: the first return after missing prices spans them."""
    engine = Engine(desk)
    state = warmed_up(engine, mid_prices, timestep_of)
    mids = mid_prices(WARM_UP, 5)[-1]
    (before,) = only(play(engine, state, [timestep_of(71, mids)]), Model)
    silence = dict.fromkeys((EURUSD, USDCHF, USDJPY, EURCHF), 71.9)
    (gap,) = only(play(engine, state, [timestep_of(77, mids * 1.01, silence)]), Model)
    assert (gap.asset_observations, gap.covariance, gap.covariance_assets) == (before.asset_observations, (), ())
    (after,) = only(play(engine, state, [timestep_of(78, mids * 1.01)]), Model)
    assert after.observations == before.observations + 1
    assert after.covariance[EUR][EUR] > 10 * before.covariance[EUR][EUR]


def test_a_relationship_that_breaks_is_said_once_and_its_lots_are_back_at_once(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """In the very timestep in which a packed β is no longer accepted its lots are in the residual and the alert is out.

    It is cleared once when the β is accepted again.
    """
    engine = Engine(desk)
    state = warmed_up(engine, mid_prices, timestep_of)
    play(engine, state, [position("spot", EUR, 5e6, 70.5), position("spot", CHF, -5e6, 70.6, 1)])
    assert state.books["spot"].multiples
    rng = np.random.default_rng(11)
    follows = mid_prices(200, 12)
    mids = mid_prices(WARM_UP, 5)[-1]
    broken = cleared = 0
    for step in range(71, 271):
        if step < 101:  # CHF goes its own way
            mids = mids * np.exp(rng.normal(0.0, (1e-4, 3e-4, 1e-4)))
        else:
            mids = mids * follows[step - 100] / follows[step - 101]
        held = dict(state.books["spot"].multiples)
        outputs = play(engine, state, [timestep_of(step, mids)])
        (model,), (residual,) = only(outputs, Model), only(outputs, ResidualExposure)
        accepted = {beta.beta_id for beta in model.betas}
        assert {packed.beta_id for packed in residual.packed} <= accepted
        alerts = only(outputs, Alert, kind="relationship-broken")
        if set(held) - accepted:
            (alert,) = alerts
            assert (alert.state, alert.subject, alert.severity) == ("raised", "sparse:EUR/CHF", "critical")
            assert "spot" in alert.message
            assert residual.packed == ()
            assert all(each.residual == each.exposure for each in residual.positions)
            assert residual.basis_risk == 0.0
            assert outputs.index(alert) < outputs.index(residual)
            broken += 1
        elif alerts:
            (alert,) = alerts
            assert (alert.state, alert.subject) == ("cleared", "sparse:EUR/CHF")
            assert "sparse:EUR/CHF" in accepted
            cleared += 1
    assert (broken, cleared) == (1, 1)


def test_a_jump_retires_a_relationship_between_refits(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """CHF moves by 1 % in one step, with no refit due: the β is gone from that step's model, and the alert says why.

    A worker that is restored from a snapshot just before says the same.
    """
    rare = msgspec.structs.replace(desk.reversion, refit_every_steps=1000)
    config = msgspec.structs.replace(desk, reversion=rare)
    engine = Engine(config)
    # The refit that comes when the window is full falls to step 71 here, and is in effect from step 72 on.
    state = warmed_up(engine, mid_prices, timestep_of)
    state.market.refits.pushed = 1000
    mids = mid_prices(WARM_UP + 1, 5)
    play(engine, state, [timestep_of(71, mids[-1]), timestep_of(72, mids[-1])])
    play(engine, state, [position("spot", EUR, 5e6, 72.5), position("spot", CHF, -5e6, 72.6, 1)])
    assert state.books["spot"].multiples
    worker = WorkerState(new_timesteps_state(len(config.instruments)), state, {})
    restored = restore_snapshot(take_snapshot(worker, config), config, engine).engine
    jumped = timestep_of(73, mids[-1] * np.array([1.0, 1.01, 1.0]))
    outputs = play(engine, state, [jumped])
    (model,), (residual,) = only(outputs, Model), only(outputs, ResidualExposure)
    assert "sparse:EUR/CHF" not in {beta.beta_id for beta in model.betas}
    assert residual.packed == ()
    (alert,) = only(outputs, Alert, kind="relationship-broken")
    assert alert.message.startswith("sparse:EUR/CHF broke, with a step of ")
    assert "residual of spot" in alert.message
    assert play(engine, restored, [jumped]) == outputs


def test_a_relationship_that_nobody_packed_breaks_without_an_alert(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """A β that is found and lost again is the normal course; a human looks only where a book relied on it."""
    engine = Engine(desk)
    state = warmed_up(engine, mid_prices, timestep_of)
    rng = np.random.default_rng(11)
    mids = mid_prices(WARM_UP, 5)[-1]
    for step in range(71, 101):
        mids = mids * np.exp(rng.normal(0.0, (1e-4, 3e-4, 1e-4)))
        outputs = play(engine, state, [timestep_of(step, mids)])
        assert not only(outputs, Alert)
    assert only(outputs, Model)[0].betas == ()


def test_an_alert_is_raised_at_the_limit_and_cleared_below_its_share(ready: Ready) -> None:
    """Between clear_share and the limit nothing changes; an alert is raised once and cleared once."""
    engine, state, _ = ready
    (unit,) = only(play(engine, state, [position("spot", EUR, 1e6, 70.1)]), ResidualExposure)
    per_limit = 1e6 / unit.limit_share
    course = []
    for offset, share in enumerate((0.5, 0.99, 1.01, 1.2, 0.97, 1.01, 0.96, 0.94, 0.97, 1.0 + 1e-9), start=1):
        outputs = play(engine, state, [position("spot", EUR, share * per_limit, 70.2, offset)])
        course += [(share, alert.state) for alert in only(outputs, Alert)]
    assert course == [(1.01, "raised"), (0.94, "cleared"), (1.0 + 1e-9, "raised")]


def test_a_suggestion_is_withdrawn_when_the_risk_is_inside_again(ready: Ready, timestep_of: TimestepOf) -> None:
    """Once, with status `none`, no trades and no cost; before and after it nothing is suggested inside the limit."""
    engine, state, mids = ready
    statuses = []
    for step, quantity in enumerate((1e6, 9e6, 9e6, 1e6, 1e6), start=71):
        outputs = play(engine, state, [position("spot", EUR, quantity, step - 0.5, step), timestep_of(step, mids)])
        statuses.append([suggestion.status for suggestion in only(outputs, HedgeSuggestion)])
        for suggestion in only(outputs, HedgeSuggestion, status="none"):
            assert suggestion.trades == ()
            assert suggestion.expected_cost == 0.0
            assert suggestion.risk_before == suggestion.risk_after <= suggestion.limit
    assert statuses == [[], ["trade", "unchanged"], ["unchanged", "unchanged"], ["none"], []]


def test_every_suggestion_answers_a_residual_and_keeps_what_it_says(ready: Ready) -> None:
    """The suggested trades, done, bring the published risk: valued as the next position update would value them."""
    engine, state, _ = ready
    outputs = play(engine, state, [position("spot", JPY, 200e6, 70.1), position("spot", EUR, 9e6, 70.2, 1)])
    (residual, (suggestion,)) = only(outputs, ResidualExposure)[-1], only(outputs, HedgeSuggestion)[-1:]
    assert suggestion.residual_exposure_id == residual.id
    assert suggestion.risk_before == residual.unhedged_risk
    assert suggestion.risk_after <= suggestion.target
    assert suggestion.expected_cost == pytest.approx(sum(trade.expected_cost for trade in suggestion.trades))
    lots = {trade.instrument: trade.lots * (1 if trade.side == "buy" else -1) for trade in suggestion.trades}
    assert all(abs(count) <= 4 for count in lots.values())


def test_a_book_trades_only_what_it_may(ready: Ready) -> None:
    """The options desk has EURUSD and USDJPY, two lots each."""
    engine, state, _ = ready
    outputs = play(engine, state, [position("options", CHF, 8e6, 70.1), position("options", EUR, 4e6, 70.2, 1)])
    suggestions = only(outputs, HedgeSuggestion)
    assert suggestions
    for suggestion in suggestions:
        assert {trade.instrument for trade in suggestion.trades} <= {"EURUSD", "USDJPY"}
        assert all(trade.lots <= 2 for trade in suggestion.trades)


def test_a_book_that_may_trade_nothing_is_told_so(desk: Config, ready: Ready, timestep_of: TimestepOf) -> None:
    """Over its limit while its only instruments are stale: unreachable, without trades or cost, and said in words."""
    _, state, mids = ready
    book = msgspec.structs.replace(desk.books[0], instruments=("EURCHF",))
    engine = Engine(msgspec.structs.replace(desk, books=(book, desk.books[1])))
    outputs = play(engine, state, [timestep_of(71, mids, {EURCHF: 60.0}), position("spot", EUR, 20e6, 71.5)])
    (suggestion,) = only(outputs, HedgeSuggestion)
    assert (suggestion.status, suggestion.trades, suggestion.expected_cost) == ("unreachable", (), 0.0)
    assert suggestion.risk_after == pytest.approx(suggestion.risk_before)
    assert "no permitted trade was found" in suggestion.reason


def test_a_target_equal_to_the_limit_has_no_gap(desk: Config, ready: Ready) -> None:
    """With target_share 1 a risk a hair over the limit is not called unreachable where one lot would do."""
    _, state, _ = ready
    assert state.latest is not None
    book = msgspec.structs.replace(desk.books[0], target_share=1.0, clear_share=1.0)
    solver = BookSolver(msgspec.structs.replace(desk, books=(book,)))
    held = BookState(quantities=np.array([3e6, 0.0, 0.0]))
    risk = solve(solver, book, held, state.latest).residual.unhedged_risk
    assert risk is not None
    close = msgspec.structs.replace(book, limit=risk * (1 - 1e-12))
    suggestion = solve(BookSolver(msgspec.structs.replace(desk, books=(close,))), close, held, state.latest)
    assert suggestion.suggestion is None or suggestion.suggestion.status != "unreachable"


def test_the_feed_falls_silent_and_comes_back(ready: Ready) -> None:
    """One alert each way, at the time of the last timestep, and the next silence has an id of its own."""
    engine, state, _ = ready
    events = [FeedSilence(True, 10.2), FeedSilence(True, 11.0), FeedSilence(False, 0.0), FeedSilence(True, 10.0)]
    alerts = only(play(engine, state, events), Alert)
    assert [(alert.kind, alert.state, alert.subject) for alert in alerts] == [
        ("feed-silent", "raised", "fx"),
        ("feed-silent", "cleared", "fx"),
        ("feed-silent", "raised", "fx"),
    ]
    assert len({alert.id for alert in alerts}) == 3
    assert {alert.event_time_ns for alert in alerts} == {70 * SECOND}
    assert alerts[0].limit == 10.0


def test_the_feed_can_fall_silent_before_the_first_quote(desk: Config) -> None:
    """A service that was started against a dead feed says so."""
    engine = Engine(desk)
    (alert,) = play(engine, engine.new_state(), [FeedSilence(True, 10.0)])
    assert isinstance(alert, Alert)
    assert (alert.state, alert.timestep) == ("raised", 0)


@pytest.mark.parametrize("timestamp_ms", [1_700_000_000_000, 0, -1, 2**62])
def test_a_refused_record_becomes_a_dead_letter_that_can_be_sent(desk: Config, timestamp_ms: int) -> None:
    """Where it stood, why, and every byte of it; a timestamp that no calendar knows does not stop it."""
    engine = Engine(desk)
    record = Record("ticks", 2, 17, timestamp_ms, b"\x00key", b"\xff\x00", (("content-type", b"?"),))
    (letter,) = play(engine, engine.new_state(), [Refused(record, "content-type", "expected JSON", "?")])
    assert isinstance(letter, DeadLetter)
    assert (letter.topic, letter.partition, letter.offset) == ("ticks", 2, 17)
    assert (letter.reason, letter.detail, letter.content_type) == ("content-type", "expected JSON", "?")
    assert (letter.key, letter.value) == (b"\x00key", b"\xff\x00")
    log = MemoryLog({"dead-letters": 1})
    writer = log.writer()
    Encoder("", "/test").send(writer, letter)
    writer.flush()
    assert len(log.records("dead-letters")) == 1


def test_a_market_that_does_not_move_has_no_model(desk: Config, timestep_of: TimestepOf) -> None:
    """A feed that repeats one price gives a covariance of zeros: no risk is known, and nothing stops."""
    engine = Engine(desk)
    state = engine.new_state()
    events: list[EngineEvent] = [position("spot", EUR, 1e6, 0.5)]
    events += [timestep_of(step, (1.08, 0.9, 150.0)) for step in range(1, 71)]
    residuals = only(play(engine, state, events), ResidualExposure)
    assert len(residuals) == 70
    assert {residual.status for residual in residuals} == {"no-model"}


@pytest.mark.parametrize("number", [1e308, 1e200, 1e25, 1e-300, 5e-324])
@pytest.mark.parametrize("kind", ["EURUSD", "USDCHF", "EURCHF", "position", "short position"])
def test_no_number_that_decode_lets_through_stops_the_stream(
    desk: Config, ready: Ready, timestep_of: TimestepOf, kind: str, number: float
) -> None:
    """A price or position of absurd size is finite all the same; other books must not pay for one fat finger.

    Whether decode refuses it or the engine copes, the next position of another book is answered.
    """
    engine, state, mids = ready
    step = timestep_of(71, mids)
    if "position" in kind:
        quantity = -number if kind == "short position" else number
        message: msgspec.Struct = Position(book="spot", asset="EUR", quantity=quantity, event_time_ns=70 * SECOND)
        topic = "positions"
    else:
        message = Tick(instrument=kind, event_time_ns=70 * SECOND, bid=number, ask=number)
        topic = "ticks"
    record = Record(topic, 0, 1, 70_000, None, msgspec.json.encode(message))
    for event in Decoder(desk)(record):
        if isinstance(event, Quotes):
            step.bids[event.instruments[0]] = step.asks[event.instruments[0]] = number
        else:
            play(engine, state, [event])
    play(engine, state, [step])
    (residual,) = only(play(engine, state, [position("options", JPY, 1e6, 71.2, 1)]), ResidualExposure)
    assert residual.status == "ok"


def test_a_thousand_books_step_and_say_what_each_would_alone(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """Books do not touch each other: of a thousand in one step each publishes what it publishes alone."""
    many = msgspec.structs.replace(
        desk, books=tuple(BookConfig(name=f"b{place}", limit=700.0, max_lots=4) for place in range(1000))
    )
    rng = np.random.default_rng(3)
    held = rng.integers(-6, 7, (1000, 3)) * np.array([1e6, 1e6, 150e6])
    mids = mid_prices(WARM_UP + 1, 5)

    def outputs_of(config: Config) -> dict[str, list[Output]]:
        engine = Engine(config)
        state = warmed_up(engine, mid_prices, timestep_of)
        for book in config.books:
            state.books[book.name] = BookState(quantities=held[int(book.name[1:])].copy(), has_positions=True)
        found: dict[str, list[Output]] = {}
        for output in play(engine, state, [timestep_of(WARM_UP + 1, mids[-1])]):
            name = output.subject if isinstance(output, Alert) else getattr(output, "book", "")
            found.setdefault(name, []).append(output)
        return found

    together = outputs_of(many)
    assert len(together) == 1001
    for place in (0, 1, 499, 998, 999):
        alone = outputs_of(msgspec.structs.replace(many, books=many.books[place : place + 1]))
        assert together[f"b{place}"] == alone[f"b{place}"]
    assert {output.status for outputs in together.values() for output in outputs if isinstance(output, HedgeSuggestion)}


def test_the_engine_keeps_no_state_between_steps(desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf) -> None:
    """Two states of one engine, advanced in turns, give what each gives alone."""
    events = scripted_day(mid_prices, timestep_of)
    engine = Engine(desk)
    alone = play(engine, engine.new_state(), events)
    first, second = engine.new_state(), engine.new_state()
    first_outputs: list[Output] = []
    second_outputs: list[Output] = []
    for event in events:
        first_outputs += play(engine, first, [event])
        second_outputs += play(engine, second, [event])
    encode = msgspec.json.encode
    assert encode(first_outputs) == encode(second_outputs) == encode(alone)


def test_every_output_has_an_id_of_its_own(desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf) -> None:
    """A reader that drops what it has seen by id drops nothing else."""
    engine = Engine(desk)
    outputs = play(engine, engine.new_state(), scripted_day(mid_prices, timestep_of))
    assert len({output.id for output in outputs}) == len(outputs)


def test_another_numeraire_packs_the_same_lots(desk: Config) -> None:
    """Residual shares and multiples do not depend on the currency that the book is counted in.

    The same market in a currency worth two dollars: prices, exposures, lot and limit halve; Σ of the assets stays,
    since this other currency does not move against the dollar.
    """
    halved = msgspec.structs.replace(
        desk,
        solver=msgspec.structs.replace(desk.solver, lot_notional=LOT / 2),
        books=tuple(msgspec.structs.replace(book, limit=book.limit / 2) for book in desk.books),
    )
    market = made_market(desk, {"sparse:EUR/CHF": (1.0, -1.0, 0.0)})
    valuation = market.valuation
    in_half = with_changes(
        market,
        valuation=with_changes(
            valuation,
            prices=valuation.prices / 2,
            exposures=valuation.exposures / 2,
            cost_per_lot=valuation.cost_per_lot / 2,
            point_value=valuation.point_value / 2,
        ),
    )
    quantities = np.array([10.0, -4.0, 9.0]) * LOT
    one = solve(BookSolver(desk), desk.books[0], BookState(quantities=quantities.copy()), market)
    other = solve(BookSolver(halved), halved.books[0], BookState(quantities=quantities.copy()), in_half)
    assert [packed.multiples for packed in one.residual.packed] == [each.multiples for each in other.residual.packed]
    assert other.residual.limit_share == pytest.approx(one.residual.limit_share)
    assert other.residual.objective == pytest.approx(one.residual.objective)
    assert one.suggestion is not None
    assert other.suggestion is not None
    assert [(trade.instrument, trade.side, trade.lots) for trade in one.suggestion.trades] == [
        (trade.instrument, trade.side, trade.lots) for trade in other.suggestion.trades
    ]
