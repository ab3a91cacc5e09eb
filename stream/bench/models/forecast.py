"""The basis ratio as a forecast: the published ratio of a pair against that of the year after."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from scipy.stats import spearmanr

from solver.arrays import BoolArray, FloatArray
from solver.reversion.evidence.basis import basis_ratios, change_covariance
from solver.reversion.methods.sparse import sparse_vectors
from solver.reversion.refits.rolling import RollingReversion
from stream.bench.figures import Comparison, measure
from stream.bench.models.pegs import BREAK, demo_config, rates
from stream.config.reversion import reversion_settings

YEAR_DAYS = 250
# The end of its floor is the only break in all these years.
BROKEN_CURRENCY = "CHF"


@dataclass(frozen=True)
class Forecasts:
    """Basis ratios with one entry for each pair and year, (cases,).

    Attributes
    ----------
    held_back : on the stretch that the weights were not fitted to; this one is published.
    whole : on the whole window.
    followed : on the year after.
    outside : False for pairs with BROKEN_CURRENCY whose window or year holds BREAK.
    in_use : whether the pair was in use by `basis` on that day.
    """

    held_back: FloatArray
    whole: FloatArray
    followed: FloatArray
    outside: BoolArray
    in_use: BoolArray


def forecasts(first: date) -> Forecasts:
    """All pairs of the demo's currencies, every YEAR_DAYS since `first`, so that the years after do not overlap."""
    config = demo_config()
    settings = reversion_settings(config.reversion)
    days = rates(config, first)
    assets = config.universe.assets
    log_prices = np.log(np.array([[day.usd_prices[asset] for asset in assets] for day in days]))
    broken = next((t for t, day in enumerate(days) if day.date >= BREAK), len(days))
    window, held_back = settings.window_steps, settings.holdout_steps
    rolling = RollingReversion(len(assets), settings)
    parts: list[tuple[FloatArray, ...]] = []
    for t, row in enumerate(log_prices):
        rolling.push(row)
        if not rolling.ready or (len(log_prices) - 1 - t) % YEAR_DAYS or t + YEAR_DAYS >= len(log_prices):
            continue
        seen, following = log_prices[t - window : t + 1], log_prices[t : t + YEAR_DAYS + 1]
        B = np.array(sparse_vectors(change_covariance(seen[: window - held_back + 1], 1), 2)[0]).T
        in_use = {tuple(np.flatnonzero(beta.weights)) for beta in rolling.refit().betas if "basis" in beta.evidence}
        near = t - window <= broken <= t + YEAR_DAYS
        parts.append(
            (
                basis_ratios(B, change_covariance(seen[window - held_back :], 1)),
                basis_ratios(B, change_covariance(seen, 1)),
                basis_ratios(B, change_covariance(following, 1)),
                ~(near & (B[assets.index(BROKEN_CURRENCY)] != 0.0)),
                np.array([tuple(np.flatnonzero(weights)) in in_use for weights in B.T]),
            )
        )
    held, whole, followed, outside, used = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Forecasts(held, whole, followed, outside.astype(np.bool_), used.astype(np.bool_))


def basis_forecast(first: date) -> list[Comparison]:
    """Rank correlation and bias of the published ratio, over all pairs and over those in use.

    Bias is the mean of what followed over the mean of the forecasts. The mean of their ratios would be above 1 even for
    perfect forecasts, since small denominators weigh more than large ones.
    """
    found = forecasts(first)
    every, used = found.outside, found.outside & found.in_use
    with_breaks = _bias(found.held_back, found.followed, np.ones_like(every))
    span = (
        f"every {YEAR_DAYS} days since {first.year}, the {YEAR_DAYS} after them; published is the ratio on the stretch "
        "held back"
    )
    return [
        measure(
            "basis ratio against that of the year after, all pairs of 11 currencies: rank correlation",
            "Spearman",
            _rank_correlation(found.held_back, found.followed),
            "",
            "near 1",
            f"{len(found.followed):,} pairs and years, {span}. Pairs share legs and years: far fewer are independent",
        ),
        measure(
            "the same, outside the breaks: bias",
            "followed over forecast",
            _bias(found.held_back, found.followed, every),
            "",
            ".9 to 1.1",
            f"{np.count_nonzero(every):,} pairs and years, mean over mean; {with_breaks:.2f} with the breaks, "
            f"{BROKEN_CURRENCY} around {BREAK}. {_others(found, every)}",
        ),
        measure(
            "the same, only what is in use by `basis`: bias",
            "followed over forecast",
            _bias(found.held_back, found.followed, used),
            "",
            "near 1",
            f"{np.count_nonzero(used)} pairs and years; {_others(found, used)}. What is accepted was picked for a low "
            "ratio, and some of it was luck; that shows in all that was looked at to accept it. The published upper "
            "bound allows for it",
        ),
    ]


def _rank_correlation(forecast: FloatArray, followed: FloatArray) -> float:
    return float(spearmanr(forecast, followed).statistic)


def _bias(forecast: FloatArray, followed: FloatArray, chosen: BoolArray) -> float:
    return float(followed[chosen].mean() / forecast[chosen].mean()) if chosen.any() else float("nan")


def _others(found: Forecasts, chosen: BoolArray) -> str:
    """The figures by other definitions of bias, and with another forecast."""
    if not chosen.any():
        return "no case"
    ratios = found.followed[chosen] / found.held_back[chosen]
    return (
        f"median of the ratios {np.median(ratios):.2f}, their mean {ratios.mean():.2f}; with the ratio of the whole "
        f"window as forecast {_bias(found.whole, found.followed, chosen):.2f}, rank correlation "
        f"{_rank_correlation(found.whole[chosen], found.followed[chosen]):.2f} where the published one has "
        f"{_rank_correlation(found.held_back[chosen], found.followed[chosen]):.2f}"
    )
