"""What hedging costs a simulated desk: the service's suggestions against simpler policies at equal average risk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stream.bench.figures import Comparison, compare, measure
from stream.studies.desk.comparison import AtRisk, Study
from stream.studies.desk.policies import Policy
from stream.studies.desk.run import DeskSettings, run_desk

DAYS, HOURLY_DAYS = 5.0, 10.0
ASKED: dict[Policy, str] = {"flatten": "at most .8", "single best": "at most .9", "single cheapest": "below 1"}
OURS: tuple[Policy, ...] = ("ours", "ours and skew")


def desk_figures(
    data: Path | None, say: Callable[[str], None], seeds: int = 20, stretches: int = 12
) -> list[Comparison]:
    """Figures over `seeds` runs of five simulated days, and with `data` over `stretches` of ten real ones."""
    figures = _costs(run_desk(DeskSettings(seeds, DAYS), say), "simulated prices")
    if data is not None:
        study = run_desk(DeskSettings(stretches, HOURLY_DAYS, data), say)
        figures += _costs(study, "hourly prices") + _removed_per_cost(study)
    return figures


def _costs(study: Study, label: str) -> list[Comparison]:
    """The cost of our policies at each risk, against each simpler policy."""
    rows = []
    for ours in study.at_risk:
        if ours.policy not in OURS:
            continue
        for other, asked in ASKED.items():
            there = _at(study, other, ours.risk)
            if there is None:
                continue
            share = ours.relative[other]
            rows.append(
                compare(
                    f"desk, {label}, average risk {ours.risk:,.0f} USD",
                    ours.policy,
                    ours.cost,
                    other,
                    there.cost,
                    "USD",
                    asked,
                    f"{share.estimate:.2f}, 95 % of bootstraps over {study.seeds} seeds of {study.days:g} days "
                    f"{share.low:.2f}-{share.high:.2f}; internalised {ours.internalised:.0%} against "
                    f"{there.internalised:.0%}",
                )
            )
    return rows


def _removed_per_cost(study: Study) -> list[Comparison]:
    """Average risk removed for each USD of cost."""
    return [
        measure(
            f"desk, hourly prices, risk removed per USD, average risk {row.risk:,.0f} USD",
            row.policy,
            row.removed_per_cost,
            "USD per USD",
            "above the others",
            f"of {study.unhedged_risk:,.0f} USD unhedged; realised risk {row.realised_risk:,.0f} USD, "
            f"turnover {row.turnover / 1e6:,.0f} M USD in {study.days:g} days",
        )
        for row in study.at_risk
    ]


def _at(study: Study, policy: Policy, risk: float) -> AtRisk | None:
    return next((row for row in study.at_risk if row.policy == policy and row.risk == risk), None)
