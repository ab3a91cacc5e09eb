"""What the policies cost at equal average risk, with intervals over seeds, and the table of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from solver.arrays import FloatArray, IntArray
from stream.studies.desk.policies import POLICIES, Policy
from stream.studies.desk.simulate import Outcome

RESAMPLES = 2_000
CONFIDENCE = 0.95


class Interval(Struct, frozen=True):
    """An estimate over all seeds, and the percentile interval of its bootstrap over seeds."""

    estimate: float
    low: float
    high: float


class AtRisk(Struct, frozen=True, kw_only=True):
    """A policy at the limit at which its average risk is `risk`; means over seeds, USD for the whole run.

    `cost` is what hedging cost, less what the policy's quotes earned beyond unskewed ones. The columns are interpolated
    along the policy's limits. `relative` is the cost as a share of another policy's at the same risk.
    `removed_per_cost` is the average risk that each USD of cost took away.
    """

    policy: Policy
    risk: float
    limit: float
    cost: float
    realised_risk: float
    turnover: float
    internalised: float
    removed_per_cost: float
    relative: dict[Policy, Interval]


class Study(Struct, frozen=True, kw_only=True):
    """Every outcome, and the policies compared at equal risk. `unhedged_risk` is that of the policy `no hedge`."""

    universe: str
    seeds: int
    days: float
    timestep_s: float
    unhedged_risk: float
    income: float
    at_risk: tuple[AtRisk, ...]
    outcomes: tuple[tuple[Outcome, ...], ...]


class _Curves:
    """For each policy the risk and the other columns along its limits, averaged over the seeds that are drawn."""

    COLUMNS = ("limit", "cost", "realised_risk", "turnover", "internalised")

    def __init__(self, runs: Sequence[Sequence[Outcome]]) -> None:
        self._tables: dict[Policy, FloatArray] = {}
        plain = [next(each.income for each in run if each.policy == "no hedge") for run in runs]
        for policy in POLICIES:
            if policy == "no hedge":
                continue
            table = [
                [
                    (
                        each.risk,
                        each.limit,
                        each.hedge_cost + unskewed - each.income,
                        each.realised_risk,
                        each.turnover,
                        each.internalised,
                    )
                    for each in run
                    if each.policy == policy
                ]
                for run, unskewed in zip(runs, plain, strict=True)
            ]
            self._tables[policy] = np.array(table)

    @property
    def policies(self) -> list[Policy]:
        return [policy for policy, table in self._tables.items() if table.size]

    def at(self, policy: Policy, risk: float, drawn: IntArray) -> dict[str, float]:
        """The columns where the average risk is `risk`, linear in its logarithm; NaN outside the limits."""
        means = self._tables[policy][drawn].mean(axis=0)
        means = means[np.argsort(means[:, 0])]
        log_risks = np.log(means[:, 0])
        return {
            name: float(np.interp(np.log(risk), log_risks, means[:, column], left=np.nan, right=np.nan))
            for column, name in enumerate(self.COLUMNS, start=1)
        }


def compare_at_equal_risk(
    runs: Sequence[Sequence[Outcome]], risks: Sequence[float], rng: np.random.Generator
) -> tuple[AtRisk, ...]:
    """Each policy at each of the `risks` that its limits reach, against the others at the same risk.

    Parameters
    ----------
    runs : outcomes by seed, each with the same plans in the same order; the limits of a policy trace its curve of cost
        against risk.
    risks : average risks, USD.
    rng : for the bootstrap over seeds. A resample in which a curve does not reach the risk is left out.
    """
    curves, seeds = _Curves(runs), len(runs)
    everyone = np.arange(seeds)
    draws = rng.integers(0, seeds, (RESAMPLES, seeds))
    unhedged = float(np.mean([each.risk for run in runs for each in run if each.policy == "no hedge"]))
    found = []
    for risk in risks:
        at = {policy: curves.at(policy, risk, everyone) for policy in curves.policies}
        reached = {policy: here for policy, here in at.items() if here["cost"] > 0}
        resampled = {
            policy: np.array([curves.at(policy, risk, drawn)["cost"] for drawn in draws]) for policy in reached
        }
        for policy, here in reached.items():
            relative: dict[Policy, Interval] = {}
            for other, there in reached.items():
                if other != policy:
                    tail = 0.5 * (1.0 - CONFIDENCE)
                    low, high = np.nanquantile(resampled[policy] / resampled[other], [tail, 1.0 - tail])
                    relative[other] = Interval(here["cost"] / there["cost"], float(low), float(high))
            removed = (unhedged - risk) / here["cost"]
            found.append(AtRisk(policy=policy, risk=risk, removed_per_cost=removed, relative=relative, **here))
    return tuple(found)


def table(study: Study) -> str:
    """The comparison for people, as Markdown."""
    lines = [
        f"{study.universe}: {study.seeds} seeds of {study.days:g} days, timestep {study.timestep_s:g} s. Unhedged: "
        f"average risk {study.unhedged_risk:,.0f} USD over one timestep, clients pay {study.income:,.0f} USD.",
        "",
        "| average risk | policy | limit | cost | of `flatten` | of `single best` | of `single cheapest` | turnover "
        "| internalised | risk removed per USD |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in study.at_risk:
        against = " | ".join(_against(row, other) for other in ("flatten", "single best", "single cheapest"))
        lines.append(
            f"| {row.risk:,.0f} | {row.policy} | {row.limit:,.0f} | {row.cost:,.0f} | {against} "
            f"| {row.turnover / 1e6:,.0f} M | {row.internalised:.0%} | {row.removed_per_cost:.2f} |"
        )
    lines += ["", *(f"- {policy}: {meaning}." for policy, meaning in POLICIES.items())]
    return "\n".join(lines)


def _against(row: AtRisk, other: Policy) -> str:
    share = row.relative.get(other)
    return "" if share is None else f"{share.estimate:.2f} ({share.low:.2f}-{share.high:.2f})"
