"""The plots of a validation's report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erfc

from solver.arrays import IntArray
from stream.studies.report.plot_style import BAND, BLUE, FAMILY_COLOURS, INK, ORANGE, SOFT, legend, small_plot
from stream.studies.validate.covariances import FAMILIES
from stream.studies.validate.run import BIAS_BOUNDS, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Rolling figures take a fortieth of the outcomes, and at least as many as tell a bias to a tenth.
_ROLLING_SHARE, _ROLLING_LEAST = 40, 50

# Points of a line. More would only make the file larger.
_POINTS = 400


@dataclass(frozen=True)
class Plot:
    """One plot with its caption."""

    svg: str
    caption: str


def plots(run: Run) -> list[Plot]:
    """All plots for which the findings have figures."""
    drawn = []
    if len(run.scores.rows) > 2 * _ROLLING_LEAST:
        drawn.append(
            Plot(
                _svg(_rolling_bias, run, dated=True),
                "Rolling bias, the median over the portfolios of each family. Green: within the bounds. Above 1 the "
                "risk was forecast too low.",
            )
        )
    if run.validation.biases:
        drawn.append(Plot(_svg(_bias_of_each, run), "Bias of each portfolio; the short line is the family's median."))
        drawn.append(
            Plot(
                _svg(_tails, run),
                "How often an outcome is beyond so many forecast standard deviations. Dashed: a normal distribution.",
            )
        )
    if run.validation.losses:
        drawn.append(
            Plot(
                _svg(_loss_over_time, run, dated=True),
                "QLIKE less that of the reference, summed up over time without the row that differs most: falling "
                "where the configuration is better.",
            )
        )
    if run.validation.vectors.shares:
        drawn.append(Plot(_svg(_shares, run), "What held after the date, and by chance; bars are intervals."))
    if run.validation.vectors.basis_forecast is not None:
        drawn.append(
            Plot(
                _svg(_basis_forecasts, run),
                "Basis ratio of each β in use: forecast against what followed. On the line both are the same; dotted "
                "is the bound for acceptance.",
            )
        )
    return drawn


def _svg(draw: Callable[[Axes, Run], None], run: Run, dated: bool = False) -> str:
    return small_plot(lambda axes: draw(axes, run), draw.__name__, dated)


def _rolling_bias(axes: Axes, run: Run) -> None:
    width = max(len(run.scores.rows) // _ROLLING_SHARE, _ROLLING_LEAST)
    axes.axhspan(*BIAS_BOUNDS, color=BAND, zorder=0)
    axes.axhline(1.0, color=SOFT, linewidth=0.8)
    times = run.times_ns[run.scores.ends].astype("datetime64[ns]")
    highest = 1.0
    for family, colour in zip(FAMILIES[:4], FAMILY_COLOURS, strict=False):
        z = run.scores.z[family]
        complete = np.isfinite(z).all(axis=1)
        if complete.sum() <= width:
            continue
        squares = np.vstack([np.zeros(z.shape[1]), np.cumsum(z[complete] ** 2, axis=0)])
        rolling = np.median(np.sqrt((squares[width:] - squares[:-width]) / width), axis=1)
        shown = _thinned(len(rolling))
        axes.plot(times[complete][width - 1 :][shown], rolling[shown], color=colour, linewidth=1.2, label=family)
        highest = max(highest, float(rolling.max()))
    # One violent day would flatten everything else.
    axes.set_ylim(0.0, min(highest * 1.05, 3.0))
    axes.set_ylabel(f"bias over {width:,} outcomes")
    legend(axes)


def _bias_of_each(axes: Axes, run: Run) -> None:
    axes.axvspan(*BIAS_BOUNDS, color=BAND, zorder=0)
    axes.axvline(1.0, color=SOFT, linewidth=0.8)
    families = [bias.family for bias in run.validation.biases]
    for row, (bias, colour) in enumerate(zip(run.validation.biases, FAMILY_COLOURS, strict=False)):
        z = run.scores.z[bias.family]
        each = np.nanstd(z, axis=0)
        jitter = np.linspace(-0.22, 0.22, len(each)) if len(each) > 1 else np.zeros(1)
        axes.plot(each, row + jitter, "o", color=colour, markersize=3, alpha=0.7, markeredgewidth=0)
        axes.plot([bias.median.estimate] * 2, [row - 0.34, row + 0.34], color=INK, linewidth=1.4)
    if max(bias.highest for bias in run.validation.biases) > 3.0:
        axes.set_xscale("log")
        axes.set_xticks([0.8, 1, 1.5, 2, 3, 5, 10], labels=["0.8", "1", "1.5", "2", "3", "5", "10"], minor=False)
        axes.set_xticks([], minor=True)
    axes.set_yticks(range(len(families)), labels=families)
    axes.set_ylim(len(families) - 0.5, -0.5)
    axes.set_xlabel("bias statistic")


def _tails(axes: Axes, run: Run) -> None:
    at = np.linspace(0.0, 6.0, 121)
    for bias, colour in zip(run.validation.biases, FAMILY_COLOURS, strict=False):
        sizes = np.sort(np.abs(run.scores.z[bias.family][np.isfinite(run.scores.z[bias.family])]))
        beyond = 1.0 - np.searchsorted(sizes, at, side="right") / len(sizes)
        axes.plot(at[beyond > 0], beyond[beyond > 0], color=colour, linewidth=1.2, label=bias.family)
    axes.plot(at, erfc(at / np.sqrt(2.0)), color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label="normal")
    axes.set_yscale("log")
    axes.set_ylim(1e-5, 1.0)
    axes.set_yticks([1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5], labels=["100 %", "10 %", "1 %", ".1 %", ".01 %", ".001 %"])
    axes.set_yticks([], minor=True)
    axes.set_xlabel("|z|, forecast standard deviations")
    axes.set_ylabel("share beyond")
    legend(axes)


def _loss_over_time(axes: Axes, run: Run) -> None:
    ends, own, other = np.intersect1d(run.scores.ends, run.reference.ends, return_indices=True)
    times = run.times_ns[ends].astype("datetime64[ns]")
    for what, colour, mine, theirs in (
        ("covariance", BLUE, run.scores.multivariate_qlike[own], run.reference.multivariate_qlike[other]),
        ("variances", ORANGE, run.scores.qlike[own].mean(axis=1), run.reference.qlike[other].mean(axis=1)),
    ):
        both = np.isfinite(mine) & np.isfinite(theirs)
        if both.any():
            difference = (mine - theirs)[both]
            difference[np.argmax(np.abs(difference))] = 0.0
            total = np.cumsum(difference)
            shown = _thinned(len(total))
            axes.plot(times[both][shown], total[shown], color=colour, linewidth=1.2, label=what)
    axes.axhline(0.0, color=SOFT, linewidth=0.8)
    axes.set_ylabel("sum of differences, nats per asset")
    legend(axes)


def _shares(axes: Axes, run: Run) -> None:
    shares = [share for share in run.validation.vectors.shares if share.vectors]
    for offset, colour, label, values in (
        (-0.14, BLUE, "β in use", [share.share for share in shares]),
        (0.14, ORANGE, "the same on shuffled prices", [share.chance for share in shares]),
    ):
        shown = np.arange(len(shares)) + offset
        middle = 100 * np.array([value.estimate for value in values])
        below = middle - 100 * np.array([value.lower for value in values])
        above = 100 * np.array([value.upper for value in values]) - middle
        axes.errorbar(
            middle, shown, xerr=np.array([below, above]).clip(min=0.0), fmt="o", color=colour, markersize=5,
            elinewidth=1.6, label=label,
        )  # fmt: skip
    axes.set_yticks(range(len(shares)), labels=[share.what.replace(", of", ",\nof") for share in shares])
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.set_xlim(-3, 103)
    axes.set_xlabel("held, %")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2)


def _basis_forecasts(axes: Axes, run: Run) -> None:
    by_basis = [o for outcomes in run.outcomes for o in outcomes if "basis" in o.evidence and np.isfinite(o.ratio)]
    forecast = np.array([outcome.forecast_ratio for outcome in by_basis])
    ratio = np.array([outcome.ratio for outcome in by_basis])
    positive = (forecast > 0.0) & (ratio > 0.0)
    forecast, ratio = forecast[positive], ratio[positive]
    bound = run.validation.reversion.basis_ratio_max
    least, most = min(forecast.min(), ratio.min()) * 0.8, max(forecast.max(), ratio.max(), bound) * 1.25
    axes.plot([least, most], [least, most], color=SOFT, linewidth=0.9)
    axes.axhline(bound, color=SOFT, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.plot(forecast, ratio, "o", color=BLUE, markersize=3, alpha=0.5, markeredgewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    decades = 10.0 ** np.arange(np.ceil(np.log10(least)), np.log10(most) + 1e-9)
    ticks = np.unique(np.concatenate([decades, 3.0 * decades, 0.3 * decades]))
    ticks = ticks[(ticks >= least) & (ticks <= most)]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, labels=[f"{tick:.4g}" for tick in ticks])
        axis.set_ticks([], minor=True)
    axes.set_xlim(least, most)
    axes.set_ylim(least, most)
    axes.set_xlabel("forecast")
    axes.set_ylabel("followed")


def _thinned(count: int) -> IntArray:
    """Indices of at most _POINTS of `count` points, evenly distributed."""
    return np.unique(np.linspace(0, count - 1, min(count, _POINTS)).round().astype(np.int64))
