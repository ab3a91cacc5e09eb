"""A second opinion on one refit: both sides are asked about the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import IllPosed
from solver.reversion.live.betas import LiveBeta
from solver.reversion.refits.settings import ReversionSettings
from stream.config import ReversionConfig
from stream.config.reversion import reversion_settings
from stream.engine.market.model import Market
from stream.errors import DataUnavailable
from stream.studies.read.prices import Prices
from stream.studies.validate.second_opinion.answers import Difference, SecondOpinion
from stream.studies.validate.second_opinion.betas import BetaQuestions, Subject, best_candidates
from stream.studies.validate.second_opinion.ranks import rank_by_both
from stream.studies.validate.second_opinion.reference import library
from stream.studies.validate.second_opinion.window import gaps_of, rows_read, window_of


@dataclass
class LastRefit:
    """Notes the last refit in effect while the service's market is walked, and the β in use once it took effect."""

    requested_at: int = 0
    betas: tuple[LiveBeta, ...] = ()
    tried: int = 0
    refusals: tuple[str, ...] = ()

    def add(self, market: Market) -> None:
        """Take the market at the close of a row."""
        if market.refitted_at_timestep != self.requested_at:
            self.requested_at = market.refitted_at_timestep
            self.betas, self.tried, self.refusals = market.betas, market.candidates_tried, market.refusals


def opinion_of_walk(prices: Prices, refit: LastRefit, config: ReversionConfig, times: Sequence[str]) -> SecondOpinion:
    """The second opinion on the last refit of a walk over `prices`, whose rows have the shown `times`."""
    if not refit.requested_at:
        return SecondOpinion(reason="no refit took effect in these rows")
    settings = reversion_settings(config)
    # The walk counts timesteps from 1.
    row = int(np.searchsorted(prices.timesteps, refit.requested_at - 1))
    read = slice(row + 1 - rows_read(settings), row + 1)
    return second_opinion(
        np.log(prices.prices[read]), prices.timesteps[read], prices.names, settings, refit, times[row]
    )


def second_opinion(
    log_prices: FloatArray,
    timesteps: IntArray,
    names: tuple[str, ...],
    settings: ReversionSettings,
    refit: LastRefit,
    requested_at: str,
) -> SecondOpinion:
    """What statsmodels says of the rows that `refit` read, beside what the refit says of them.

    Where no β is in use after the refit, the candidates of least p-value stand in.

    Parameters
    ----------
    log_prices : (`rows_read`, n), the latest last.
    timesteps : (`rows_read`,) index of each row on the grid; its jumps are the gaps.
    names, settings : of the refit.
    refit : what took effect.
    requested_at : time of the latest row, as shown.
    """
    try:
        window = window_of(log_prices, settings, names)
    except (DataUnavailable, IllPosed) as exc:
        return SecondOpinion(reason=str(exc))
    rank, rank_agreements, rank_differences = rank_by_both(window)
    subjects = [Subject(beta.beta_id, beta.vector, beta) for beta in refit.betas] or best_candidates(window)
    questions = BetaQuestions(window, refit.tried)
    betas = tuple(questions.ask(subject) for subject in subjects)
    gaps, longest = gaps_of(timesteps[-settings.window_steps - 1 :])
    return SecondOpinion(
        library=library(),
        requested_at=requested_at,
        fit_rows=settings.window_steps - settings.holdout_steps,
        held_back_rows=settings.holdout_steps,
        gaps=gaps,
        longest_gap_steps=longest,
        lags=window.lags,
        tried=refit.tried,
        level=settings.false_discovery_rate,
        rank=rank,
        betas=betas,
        agreements=(*rank_agreements, *questions.agreements()),
        differences=(*rank_differences, *_of_gaps(gaps, longest)),
        remarks=(*questions.warnings, *(f"refit: {refusal}" for refusal in refit.refusals)),
    )


def _of_gaps(gaps: int, longest: int) -> list[Difference]:
    if not gaps:
        return []
    return [
        Difference(
            "gaps",
            f"{gaps:,} rows of the window come more than one timestep after the row before (up to {longest:,}). "
            "Neither side knows that: both take each row for one step, so no difference comes from it, and half-lives "
            "are in rows",
        )
    ]
