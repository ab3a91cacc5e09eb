"""What every published message must say: plain numpy from the definitions, with every combination looked at.

It uses no code of the service and none of the solver but the draws of the bootstrap. It knows the four instruments and
three assets of the desk in `conftest`, exponential covariance and sparse pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

import msgspec
import numpy as np
import pytest
from statsmodels.tsa.adfvalues import mackinnonp

from engine_play import ASSETS, EURCHF, EURUSD, LOT, SECOND, USDCHF, USDJPY
from schemas.outbound import (
    Alert,
    AssetExposure,
    HedgeSuggestion,
    HedgeTrade,
    Model,
    ModelBeta,
    PackedBeta,
    ResidualExposure,
)
from solver.reversion.evidence.basis_bound import resampling_weights
from stream.config import BookConfig, Config
from stream.engine.step import Output
from stream.events.types import PositionLevel, Timestep


def dickey_fuller(basket_spread: np.ndarray) -> float:
    """t-statistic of the level before in a regression of each change on it, on the change before and a constant."""
    changes = np.diff(basket_spread)
    X = np.column_stack([basket_spread[1:-1], changes[:-1], np.ones(len(changes) - 1)])
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
        for index, asset in enumerate(ASSETS):
            gone = bool(np.isnan(self.prices[index]))
            holders = [name for name, book in self.books.items() if book.quantities[index]]
            message = f"{asset} has a price again"
            if gone:
                message = f"no price of {asset} within 5 s"
                message += f"; until it has one, these books are not solved: {', '.join(holders)}" if holders else ""
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
            basket_spread = levels[-61:-1] @ weights
            reversion = np.cov(basket_spread[:40], changes[:40] @ weights, bias=True)
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
                    spread_volatility=float(basket_spread.std()),
                    deviation=float((levels[-1] @ weights - basket_spread.mean()) / basket_spread.std()),
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
            covariance_assets=tuple(ASSETS[index] for index in known),
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
        solve_id = f"{book.config.name}/{self.step}/{self.version}/{source}"
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
                id=f"residual/{solve_id}",
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
            id=f"residual/{solve_id}",
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
            yield self.suggestion(book, solve_id, common, Q, unhedged)
        elif book.standing:
            standing, since_ns, _ = book.standing
            book.standing = None
            yield HedgeSuggestion(
                id=f"hedge/{solve_id}",
                suggestion_id=standing,
                expires_at_ns=since_ns + 60 * SECOND,
                residual_exposure_id=f"residual/{solve_id}",
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
        solve_id: str,
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
        half_spread = (self.asks - self.bids) / 2 * LOT * in_usd
        fee = np.zeros(4)
        fee[USDCHF] = 0.1e-4 * LOT * self.mids[USDCHF] * chf
        cost = half_spread + fee
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
                    above = young or risks[own[0]] > max(target, risks[best])
                    status, best, bound = "unchanged", own[0], 0.0 if above else bound
        if status != "unchanged":
            lots = np.zeros(len(names))
            lots[columns] = trades[best]
            book.standing = (f"hedge/{solve_id}", now_ns, lots)
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
            id=f"hedge/{solve_id}",
            suggestion_id=book.standing[0],
            expires_at_ns=book.standing[1] + 60 * SECOND,
            residual_exposure_id=f"residual/{solve_id}",
            status=status,
            target=target,
            risk_before=unhedged,
            risk_after=float(risks[best]),
            expected_cost=float(costs[best]),
            cost_lower_bound=bound,
            proven=status != "unchanged",
            trades=made(best) if trades[best].any() else (),
            gap=max(float(costs[best]) - bound, 0.0),
            expected_spread=float(np.abs(trades[best]) @ half_spread[columns]),
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
        for index, (each, wanted) in enumerate(zip(published, expected, strict=True)):
            assert_same(each, wanted, f"{where}[{index}]")
    else:
        assert published == expected, where
