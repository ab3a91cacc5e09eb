"""One β, or a refused candidate, by both."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import degrees

import numpy as np

from solver.arrays import FloatArray
from solver.reversion.error_correction import half_life_of
from solver.reversion.evidence.unit_root import dickey_fuller_p_values
from solver.reversion.live.betas import LiveBeta
from solver.reversion.refits.track import angles_between
from solver.reversion.vector import Candidate
from stream.studies.validate.second_opinion import reference as statsmodels
from stream.studies.validate.second_opinion.answers import Agreement, BetaOpinion, Ours, Reference
from stream.studies.validate.second_opinion.differences import Case, differences, verdict
from stream.studies.validate.second_opinion.equality import Equality, rounding_of
from stream.studies.validate.second_opinion.reference import known
from stream.studies.validate.second_opinion.window import Window, suited_test

#: So many of the best refused candidates are shown where the refit accepted none.
CANDIDATES_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Subject:
    """A vector that both are asked about: a β in use, or a refused candidate, for which `live` is None."""

    name: str
    candidate: Candidate
    live: LiveBeta | None = None


def best_candidates(window: Window) -> list[Subject]:
    """The candidates of least p-value, for a refit that accepted none."""
    ranked = sorted(window.candidates(), key=lambda candidate: candidate.p_value)[:CANDIDATES_SHOWN]
    return [
        Subject(f"{candidate.method}:{'/'.join(_legs(window, candidate.weights))}, refused", candidate)
        for candidate in ranked
    ]


def _legs(window: Window, weights: FloatArray) -> list[str]:
    return [window.names[leg] for leg in np.flatnonzero(weights)]


@dataclass
class BetaQuestions:
    """Asks both about one β after the other, and compares what must be equal.

    Attributes
    ----------
    window : the rows.
    tried : candidates of the refit.
    warnings : statsmodels' own, each with the β that it is about.
    """

    window: Window
    tried: int
    warnings: list[str] = field(default_factory=list)
    _walks: Equality = field(
        default_factory=lambda: Equality(
            "Dickey-Fuller statistics and p-values of basket spreads: betapack and adfuller"
        )
    )
    _persistence: Equality = field(
        default_factory=lambda: Equality("persistence (AR(1)) of the basket spreads in use: the last refit and AutoReg")
    )

    def ask(self, subject: Subject) -> BetaOpinion:
        """Both opinions of one β."""
        candidate, window, settings = subject.candidate, self.window, self.window.settings
        weights = candidate.weights
        asked = statsmodels.Asked()
        ours = _ours(window, subject)
        persistence, answer = _reference(window, weights, asked)
        own_statistic = window.dickey_fuller(weights)
        tolerance = rounding_of(window.shared(weights))
        if answer.adf_statistic is not None and answer.adf_p_value is not None:
            self._walks.take(own_statistic, answer.adf_statistic, tolerance)
            self._walks.take(_by_tables(own_statistic), answer.adf_p_value, tolerance)
        if subject.live is not None and persistence is not None:
            self._persistence.take(_persistence(ours.half_life_steps), min(persistence, 1.0), tolerance)
        case = Case(
            method=candidate.method,
            legs=int(np.count_nonzero(weights)),
            assets=len(window.names),
            tried=self.tried,
            own_statistic=own_statistic,
            tables_p_value=_by_tables(candidate.statistic),
            ours=ours,
            reference=answer,
        )
        agrees, words = verdict(case, settings.false_discovery_rate)
        self.warnings += [f"{subject.name}: {warning}" for warning in asked.warnings]
        return BetaOpinion(
            name=subject.name,
            method=candidate.method,
            in_use=subject.live is not None,
            legs=tuple(_legs(window, weights)),
            weights=tuple(weights[weights != 0.0].tolist()),
            ours=ours,
            reference=answer,
            agrees=agrees,
            verdict=words,
            differences=differences(case, settings),
        )

    def agreements(self) -> tuple[Agreement, ...]:
        """What must be equal, over all β asked about."""
        return self._walks.agreement(), self._persistence.agreement()


def _by_tables(statistic: float) -> float:
    """p-value of a Dickey-Fuller t-statistic."""
    return float(dickey_fuller_p_values(np.array([statistic]))[0])


def _ours(window: Window, subject: Subject) -> Ours:
    candidate, live = subject.candidate, subject.live
    half_life, held_back_half_life = window.half_lives(candidate.weights)
    # A refit gives these to a vector in use that it had no proposal like.
    tested = live is None or (candidate.statistic, candidate.p_value) != (0.0, 1.0)
    return Ours(
        test=suited_test(candidate.method),
        statistic=candidate.statistic if tested else None,
        p_value=candidate.p_value if tested else None,
        half_life_steps=half_life if live is None else live.vector.half_life_steps,
        held_back_half_life_steps=held_back_half_life,
        basis_ratio=window.basis_ratio(candidate.weights)[1] if live is None else live.vector.basis_ratio,
        basis_ratio_upper=None if live is None else live.vector.basis_ratio_upper,
        evidence=() if live is None else live.vector.evidence,
        refuted=() if live is None else tuple(live.refuted),
    )


def _reference(window: Window, weights: FloatArray, asked: statsmodels.Asked) -> tuple[float | None, Reference]:
    """Everything that statsmodels is asked of one β and its legs, on the fit rows if nothing else is said.

    First |φ| of the AR(1) from which its half-life follows; None if there is no answer.
    """
    lags, own = window.lags, np.flatnonzero(weights)
    levels, held = window.fit_levels[:, own], weights[own]
    leading = int(np.flatnonzero(held == 1.0)[0])
    basket_spread = (levels - levels.mean(axis=0)) @ held
    # The refit's AR(1) reads the rows of the fit stretch, however many lags the tests have.
    from_first = basket_spread[lags:]
    persistence = asked("AutoReg", lambda: statsmodels.persistence(from_first))
    given = asked("adfuller", lambda: statsmodels.adf(basket_spread, lags))
    chosen = asked("adfuller's own lag count", lambda: statsmodels.adf(basket_spread, None))
    whole = asked("adfuller", lambda: statsmodels.adf(window.whole_levels[:, own] @ held, lags))
    fitted = None
    if len(own) <= statsmodels.MOST_ENGLE_GRANGER:
        fitted = asked("coint", lambda: statsmodels.engle_granger(levels, lags, leading))
    tables = asked("coint_johansen", lambda: statsmodels.johansen_with_drift(levels, lags))
    model = asked("VECM", lambda: statsmodels.vecm(levels, lags, leading))
    angle = model_half_life = eigenvalue_half_life = None
    if model is not None:
        scale = window.leg_scale[own]
        angle = degrees(float(angles_between(held[:, None], model.weights[:, None], scale)[0, 0]))
        relation = levels[lags:] @ model.weights
        model_persistence = asked("AutoReg of the VECM", lambda: statsmodels.persistence(relation))
        model_half_life = _half_life(model_persistence)
        eigenvalue_half_life = half_life_of(float(model.weights @ model.adjustment))
    return persistence, Reference(
        adf_statistic=None if given is None else given.statistic,
        adf_p_value=None if given is None else given.p_value,
        adf_own_lags=None if chosen is None else chosen.lags,
        adf_own_lags_p_value=None if chosen is None else chosen.p_value,
        adf_window_p_value=None if whole is None else whole.p_value,
        engle_granger_statistic=None if fitted is None else fitted.statistic,
        engle_granger_p_value=None if fitted is None else fitted.p_value,
        trace=None if tables is None else float(tables.trace[0]),
        trace_critical=None if tables is None else known(tables.trace_critical[0]),
        half_life_steps=_half_life(persistence),
        vecm_weights=None if model is None else tuple(model.weights.tolist()),
        vecm_adjustment=None if model is None else tuple(model.adjustment.tolist()),
        vecm_half_life_steps=model_half_life,
        vecm_eigenvalue_half_life_steps=eigenvalue_half_life,
        angle_degrees=angle,
        reasons=tuple(asked.reasons),
    )


def _persistence(half_life: float | None) -> float:
    """|φ| of the AR(1) with this half-life; 1 for none."""
    if half_life is None:
        return 1.0
    return 0.5 ** (1.0 / half_life) if half_life > 0.0 else 0.0


def _half_life(persistence: float | None) -> float | None:
    return None if persistence is None else half_life_of(persistence - 1.0)
