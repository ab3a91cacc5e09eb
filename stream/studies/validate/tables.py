"""The figures as tables, the same for the terminal and the report."""

from __future__ import annotations

from stream.studies.validate.cells import Table, figure, percent, percent_with_interval, shown_time, with_interval
from stream.studies.validate.findings import Estimate, Validation
from stream.studies.validate.second_opinion.shown import opinion_tables


def tables(found: Validation) -> list[Table]:
    """All figures, in the order of the report; a table without rows is left out."""
    own = (_bias(found), _exceedances(found), _losses(found), *_vectors(found), *opinion_tables(found.second_opinion))
    return [table for table in own if table.rows]


def verdict(found: Validation) -> str:
    """The verdict in one line."""
    partial = "PARTIAL, interrupted: " if found.partial else ""
    failed = sum(check.passed is False for check in found.checks)
    if failed:
        return f"{partial}{failed} of {len(found.checks)} checks found something that does not hold"
    return f"{partial}nothing was found that does not hold"


def text(found: Validation) -> str:
    """Verdict and tables for a terminal."""
    lines = [verdict(found), ""]
    lines += [f"{_mark(check.passed)} {check.text}" for check in found.checks]
    for table in tables(found):
        cells = (table.header, *table.rows)
        widths = [max(len(row[i]) for row in cells) for i in range(len(table.header))]
        lines += ["", table.title]
        for row in cells:
            first, *others = zip(row, widths, strict=True)
            others_aligned = (cell.ljust(width) if table.prose else cell.rjust(width) for cell, width in others)
            aligned = [first[0].ljust(first[1]), *others_aligned]
            lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def _mark(passed: bool | None) -> str:
    return {True: "ok  ", False: "FOUND", None: "-   "}[passed].ljust(5)


def _bias(found: Validation) -> Table:
    rows = [
        (
            bias.family,
            f"{bias.portfolios}",
            with_interval(bias.median),
            f"{figure(bias.lowest)} to {figure(bias.highest)}" if bias.portfolios > 1 else "",
            with_interval(bias.pooled),
            f"{figure(bias.pooled_without_worst)} without {shown_time(bias.worst_time)}",
        )
        for bias in found.biases
    ]
    if found.distance is not None:
        rows.append(
            (
                "all directions (Mahalanobis)",
                "",
                "",
                "",
                with_interval(_root(found.distance.mean)),
                f"median {figure(found.distance.median**0.5)}, normal {figure(found.distance.normal_median**0.5)}",
            )
        )
    return Table(
        "Bias: outcomes in units of their forecast risk, 1 is right, above 1 the risk was forecast too low",
        ("portfolios", "count", "median of them", "lowest to highest", "all pooled", "of it"),
        tuple(rows),
        "Median, lowest and highest are of each portfolio's standard deviation of z = r / σ. Pooled is the root mean "
        "square of every z of a family, in which one violent row weighs as much as it did; beside it the same without "
        "that row. The weights of the minimum-variance portfolio and of eigenportfolios are chosen by the forecast "
        "itself, where it errs downwards, so they come out above 1 by sampling error alone. The Mahalanobis score is "
        "the root of the mean of r'Σ⁻¹r / n. In brackets intervals of 95 %, by the circular block bootstrap.",
    )


def _exceedances(found: Validation) -> Table:
    return Table(
        "Exceedances: outcomes beyond the band of a normal distribution, on either side",
        ("portfolios", "promised", "found", "Kupiec rejects", "Christoffersen rejects", "both together"),
        tuple(
            (
                row.family,
                percent(row.nominal),
                percent(row.rate),
                f"{row.kupiec_rejects} of {row.portfolios}",
                f"{row.christoffersen_rejects} of {row.portfolios}",
                f"{row.conditional_rejects} of {row.portfolios}",
            )
            for row in found.exceedances
        ),
        "Kupiec tests the rate, Christoffersen whether exceedances come in clusters, each portfolio on its own at 5 %. "
        "The risk that betapack publishes is one standard deviation and promises no distribution: tails heavier than "
        "normal, which returns have, raise the rate at 1 % where the standard deviation is right.",
    )


def _losses(found: Validation) -> Table:
    return Table(
        "QLIKE: loss per asset and outcome, less is better",
        ("of", "outcomes", "as configured", "beside it", "its loss", "difference", "of it"),
        tuple(
            (
                row.what,
                f"{row.outcomes:,}",
                figure(row.ours),
                row.reference_label,
                figure(row.reference),
                with_interval(row.difference),
                f"{figure(row.difference_without_worst)} without {shown_time(row.worst_time)}",
            )
            for row in found.losses
        ),
        "(log det Σ + r'Σ⁻¹r) / n for the covariance and log σ² + r² / σ² for single variances, in nats, on the same "
        "outcomes. A difference below 0 speaks for the configuration.",
    )


def _vectors(found: Validation) -> list[Table]:
    vectors = found.vectors
    shares = Table(
        f"β in use: what held over the {vectors.stretch_steps} rows after each date",
        ("what", "β", "held", "by chance", "fitted to shuffled prices"),
        tuple(
            (
                row.what,
                f"{row.vectors:,}",
                percent_with_interval(row.share),
                percent_with_interval(row.chance),
                f"{percent_with_interval(row.shuffled)} of {row.shuffled_vectors:,}"
                if row.shuffled_vectors
                else "none",
            )
            for row in vectors.shares
        ),
        f"At {vectors.dates:,} dates, {vectors.stretch_steps} rows apart, {vectors.in_use:,} times a β was in use "
        f"(any at {vectors.dates_with_any:,} dates); the watch retired {vectors.retired_within_stretch:,} within "
        "the stretch. By chance: the same weights on prices whose returns were shuffled in blocks, each asset alone. "
        "Fitted to shuffled prices: the whole service run on those, where "
        f"{vectors.shuffled_in_use:,} were in use (any at {vectors.shuffled_dates_with_any:,} dates). The intervals "
        "take dates as groups (Korn and Graubard). A test of a walk rejects too often where volatility changes, and a "
        "half-life measured on a short stretch comes out short: what counts is the difference to chance.",
    )
    forecast = vectors.basis_forecast
    if forecast is None:
        return [shares]
    return [
        shares,
        Table(
            "Basis ratio: forecast against what followed, of those by basis",
            ("β", "mean forecast", "mean followed", "median of followed / forecast",
             "rank correlation", "within upper bound"),
            (
                (
                    f"{forecast.vectors:,}",
                    figure(forecast.mean_forecast),
                    figure(forecast.mean_followed),
                    with_interval(forecast.median_quotient),
                    with_interval(forecast.rank_correlation),
                    percent_with_interval(forecast.within_upper_bound),
                ),
            ),
            f"The upper bound speaks, with {100 * found.reversion.basis_confidence:g} % confidence, of the stretch it "
            "was measured on; it cannot speak of what changes afterwards. The intervals draw whole dates.",
        ),
    ]  # fmt: skip


def _root(value: Estimate) -> Estimate:
    return Estimate(value.estimate**0.5, value.lower**0.5, value.upper**0.5)
