"""The closed loop: its books balance, its policies get the same clients, and hedges are the service's own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from schemas.outbound import HedgeSuggestion
from stream.config import BookConfig
from stream.engine.step import Engine
from stream.events.types import PositionLevel, Timestep
from stream.studies.desk.clients import poisson_requests
from stream.studies.desk.price_paths import PriceRows, diffusions
from stream.studies.desk.service_in_process import DeskService
from stream.studies.desk.simulate import Outcome, Plan, simulate
from stream.studies.desk.universe import BP, SIMULATED

WARM_UP, STEPS, NEVER = 110, 40, 1e12
PRICES = diffusions(np.random.default_rng([7, 0]), WARM_UP + STEPS, SIMULATED.timestep_s)


def run(*plans: Plan, seed: int = 7) -> list[Outcome]:
    return simulate(SIMULATED, PRICES, plans, WARM_UP, np.random.default_rng([seed, 1]), 1_000)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    limited = [Plan(policy, 12e3) for policy in ("flatten", "single best", "single cheapest", "ours", "ours and skew")]
    plans = [Plan("no hedge", NEVER), *limited]
    return dict(zip((plan.policy for plan in plans), run(*plans), strict=True))


def test_no_hedge_is_what_the_requests_say(outcomes: dict[str, Outcome]) -> None:
    """Risk, income and volume of the unhedged book, added up anew from the requests and the prices."""
    dealer = SIMULATED.dealer(np.eye(6), 1.0)
    requests = poisson_requests(np.random.default_rng([7, 1]), dealer, STEPS)
    held, risks, changes = np.zeros(6), [], []
    income = volume = 0.0
    for step in range(STEPS):
        before, after = PRICES.mids[WARM_UP + step], PRICES.mids[WARM_UP + step + 1]
        for place in np.flatnonzero(requests.step == step):
            stream = dealer.streams[requests.stream[place]]
            size = float(stream.sizes[requests.size[place]])
            quote = float(stream.demand.quote(np.zeros(())))
            if requests.patience[place] < stream.demand.share(np.array(quote)):
                held = held + size * stream.direction / before
                income, volume = income + size * quote, volume + size
        assert PRICES.Sigma is not None
        risks.append(math.sqrt(held * after @ PRICES.Sigma @ (held * after)))
        changes.append(held @ (after - before))
    unhedged = outcomes["no hedge"]
    assert unhedged.risk == pytest.approx(np.mean(risks), rel=1e-9)
    assert unhedged.realised_risk == pytest.approx(np.std(changes), rel=1e-9)
    assert (unhedged.income, unhedged.volume) == pytest.approx((income, volume), rel=1e-9)
    assert (unhedged.hedge_cost, unhedged.turnover, unhedged.hedges) == (0.0, 0.0, 0)


def test_unskewed_policies_have_the_same_clients(outcomes: dict[str, Outcome]) -> None:
    """How a book hedges changes neither who deals with it nor what they pay; skewed quotes change both."""
    unhedged = outcomes["no hedge"]
    for policy in ("flatten", "single best", "single cheapest", "ours"):
        assert (outcomes[policy].volume, outcomes[policy].income) == (unhedged.volume, unhedged.income)
    assert outcomes["ours and skew"].volume != unhedged.volume


def test_hedging_lowers_risk_and_costs_a_half_spread(outcomes: dict[str, Outcome]) -> None:
    """Each policy pays between the least and the largest half bid-ask spread on what it turned over, for less risk."""
    spreads = [pair.half_spread_bps * BP for pair in SIMULATED.pairs]
    for policy, outcome in outcomes.items():
        if policy == "no hedge":
            continue
        assert outcome.hedges > 0
        assert outcome.risk < outcomes["no hedge"].risk
        assert min(spreads) <= outcome.hedge_cost / outcome.turnover <= max(spreads)
        assert outcome.internalised == pytest.approx(1 - outcome.turnover / outcome.volume)


def test_without_a_limit_every_policy_is_no_hedge() -> None:
    """A limit that is never reached: no trades, and the skew that it implies is none, so all outcomes agree."""
    policies = ("no hedge", "flatten", "single best", "single cheapest", "ours", "ours and skew")
    first, *others = run(*(Plan(policy, NEVER) for policy in policies))
    for other in others:
        assert (other.hedges, other.volume) == (0, first.volume)
        assert (other.risk, other.income) == pytest.approx((first.risk, first.income), rel=1e-6)


def test_a_plan_does_not_see_the_others(outcomes: dict[str, Outcome]) -> None:
    """Alone or beside others, in whatever order, a plan has the same outcome, and the same seed repeats it."""
    plans = (Plan("ours and skew", 12e3), Plan("flatten", 12e3), Plan("ours", 12e3))
    for plan, outcome in zip(plans, run(*plans), strict=True):
        assert outcome == outcomes[plan.policy]
    assert run(Plan("ours", 12e3))[0] == outcomes["ours"]
    assert run(Plan("ours", 12e3), seed=8)[0] != outcomes["ours"]


def test_the_service_is_the_product() -> None:
    """What `close` tells a book to trade is the suggestion that `engine.step` publishes for the same events."""
    config = SIMULATED.config((BookConfig(name="desk", limit=3e3),), 1_000)
    service, engine = DeskService(config), Engine(config)
    state = engine.new_state()
    quantities = np.array([20e6, -5e6, 0.0, 1e9, 0.0, 3e6])
    half_spread = np.array([pair.half_spread_bps * BP for pair in SIMULATED.pairs])
    for row in range(WARM_UP):
        timestep = quoted(PRICES, row, half_spread)
        if row == WARM_UP - 1:
            service.hold(timestep.end_ns, "desk", quantities)
            for asset in np.flatnonzero(quantities).tolist():
                level = PositionLevel(timestep.end_ns, "desk", asset, float(quantities[asset]), f"positions[0]@{asset}")
                engine.step(state, level)
        market, suggested = service.close(timestep)
        _, outputs = engine.step(state, timestep)
    (suggestion,) = (output for output in outputs if isinstance(output, HedgeSuggestion))
    told = {pair.name: lots for pair, lots in zip(SIMULATED.pairs, suggested["desk"].tolist(), strict=True) if lots}
    assert told == {each.instrument: each.lots * (1 if each.side == "buy" else -1) for each in suggestion.trades}
    assert market.valuation.cost_per_lot @ np.abs(suggested["desk"]) == pytest.approx(suggestion.expected_cost)


def quoted(prices: PriceRows, row: int, half_spread: np.ndarray) -> Timestep:
    worth = dict(zip(SIMULATED.assets, prices.mids[row], strict=True)) | {"USD": 1.0}
    mids = np.array([worth[pair.base] / worth[pair.quote] for pair in SIMULATED.pairs])
    end_ns = int(prices.end_ns[row])
    return Timestep(
        end_ns // 600_000_000_000,
        end_ns,
        mids * (1 - half_spread),
        mids * (1 + half_spread),
        np.full(len(mids), end_ns),
    )
