"""The β vectors of two stretches of log prices, from their moments alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from solver.arrays import BoolArray, FloatArray
from solver.errors import ExactlyDependent, NotConverged
from solver.reversion.error_correction import centred_moments, half_life_of, regress
from solver.reversion.evidence.basis import basis_ratios
from solver.reversion.evidence.basis_bound import basis_ratio_bounds, resampling_weights
from solver.reversion.evidence.select import Findings, Standards, benjamini_hochberg, evidence_for, prune
from solver.reversion.evidence.wild_bootstrap import resampling_signs, wild_p_value
from solver.reversion.methods.johansen import choose_lags, drop_lags
from solver.reversion.methods.proposals import change_vectors, level_vectors
from solver.reversion.refits.adjustment import adjustment_speeds
from solver.reversion.refits.settings import ReversionSettings, check_settings
from solver.reversion.refits.stretches import Stretches, changes_of, horizon_changes_of
from solver.reversion.refits.track import LARGEST_ANGLE, angles_between, match
from solver.reversion.vector import CHANGE_METHODS, FEW_LEGS, LEVEL_METHODS, BetaVector, Candidate

# A basket spread did not move when its variance is below this share of its legs': rounding of moments leaves about
# 1e-14.
_STILL_SPREAD = 1e-12

# Nor did an asset move whose log price varies by less than 1e-12 around its mean. That is far below a tick, and above
# what the sums of a window that has gone flat keep from rounding.
_STILL_ASSET = 1e-24

# Resamples are drawn once, at construction: the same for every refit and after every restart, so that a bound moves
# because the data did. For the same reason the search for independent components always has the same start.
_RESAMPLING_SEED = 1
_ICA_SEED = 2

# Shortest mean block of the resamples of the basis ratio: squared daily returns are correlated for about a week.
_BLOCK_STEPS = 5


@dataclass(frozen=True, eq=False)
class Refit:
    """What one refit found.

    Attributes
    ----------
    betas : accepted vectors, least basis ratio first. Empty is a normal answer: no reliable vector.
    continues : for each of `betas` the index of the incumbent that it goes on with, with the same weights or new ones;
        None for a newcomer.
    candidates_tried : leg sets that "sparse" tried, and vectors that the other methods proposed, whose p-values allow
        for what was tried to find them. Rejected ones are included.
    leg_scale : (n,) standard deviation of each asset's changes on the fit stretch, by which angles are measured.
    refusals : one line for each method that had no answer on this window, with the reason.
    outranked : the incumbents, by index, whose evidence holds and that better vectors leave no room for. An incumbent
        that is neither here nor in `continues` has lost its evidence.
    """

    betas: tuple[BetaVector, ...]
    continues: tuple[int | None, ...]
    candidates_tried: int
    leg_scale: FloatArray
    refusals: tuple[str, ...] = ()
    outranked: tuple[int, ...] = ()


class Refitter:
    """Fits on one stretch of log prices and measures on the stretch after it.

    It holds nothing that changes, so a refit depends on its arguments alone, wherever it runs. O(n³), and O(n³) leg
    sets, whatever the lengths of the stretches; only "ica" reads the rows. Upper bounds add O(499 * holdout_steps) for
    each vector that may pass by `basis`, and a wild bootstrap adds O(199 * fit steps) for each vector that reverts by
    the tables.

    Parameters
    ----------
    n : assets, >= 2.
    settings : see `ReversionSettings`.
    names : (n) of the assets, for messages; indices by default.

    Raises
    ------
    IllPosed : as `check_settings`; the message names the setting.
    """

    def __init__(self, n: int, settings: ReversionSettings, names: tuple[str, ...] | None = None) -> None:
        check_settings(n, settings)
        self._n = n
        self._settings = settings
        self._names = names or tuple(str(i) for i in range(n))
        self._constant = n * (settings.lags + 1)
        chance = np.random.default_rng(_RESAMPLING_SEED)
        self._weights = resampling_weights(
            settings.holdout_steps, max(_BLOCK_STEPS, settings.basis_horizon_steps), chance
        )
        self._signs = resampling_signs(settings.window_steps - settings.holdout_steps, chance)

    def refit(
        self, stretches: Stretches, incumbents: Sequence[BetaVector] = (), barred: Sequence[FloatArray] = ()
    ) -> Refit:
        """Propose on the fit stretch, measure on both, accept and prune.

        Candidates come from the fit stretch alone.

        Parameters
        ----------
        stretches : of a `RollingReversion` with these settings.
        incumbents : vectors in use. They are measured anew. They keep their weights while they hold and nothing is
            better by the switching penalty: otherwise lots in every book would move with every estimate.
        barred : weights (n,) of relationships that broke. Nothing within `LARGEST_ANGLE` of them is accepted, whatever
            method proposes it.
        """
        leg_scale = np.sqrt(np.diag(self._covariance(stretches.fit, self._changes)))
        proposed, tried, refusals = self._candidates(stretches)
        proposed = _without_barred(proposed, barred, leg_scale)
        proposed, discovered = self._discovered(proposed, tried, stretches.fit_changes)
        successor_of = {i: j for j, i in match(incumbents, proposed, leg_scale).items()}
        kept, kept_discovered = _as_candidates(incumbents, proposed, discovered, successor_of)
        betas = self._measured(
            [*proposed, *kept],
            np.concatenate([discovered, kept_discovered]),
            [None] * len(proposed) + list(incumbents),
            stretches,
        )
        eased = 1.0 - self._settings.switching_penalty
        accepted = _accepted(betas[: len(proposed)], betas[len(proposed) :], successor_of, eased)
        pruned = prune(
            [beta for beta, _ in accepted],
            [beta.basis_ratio * (1.0 if i is None else eased) for beta, i in accepted],
            leg_scale,
            self._settings.max_vectors,
        )
        index_of = dict(accepted)
        continues = tuple(index_of[beta] for beta in pruned)
        return Refit(
            betas=self._with_adjustment(pruned, stretches.fit + stretches.held_back),
            continues=continues,
            candidates_tried=tried,
            leg_scale=leg_scale,
            refusals=refusals,
            outranked=tuple(i for i in index_of.values() if i is not None and i not in continues),
        )

    def _measured(
        self,
        candidates: Sequence[Candidate],
        discovered: BoolArray,
        before: Sequence[BetaVector | None],
        stretches: Stretches,
    ) -> list[BetaVector | None]:
        """Each candidate measured on both stretches, with its evidence; None where no kind of evidence holds.

        Parameters
        ----------
        candidates : K of them.
        discovered : (K,) whether the walk is rejected over all that were tried.
        before : for each candidate the vector in use that it is; None for a newcomer.
        stretches : to measure on.
        """
        if not candidates:
            return []
        n, constant, settings = self._n, self._constant, self._settings
        fit, held_back = stretches.fit, stretches.held_back
        B = _columns(candidates, n)
        fit_ratios = basis_ratios(B, self._covariance(fit, self._horizon_changes))
        held_back_ratios = basis_ratios(B, self._covariance(held_back, self._horizon_changes))
        step_ratios = basis_ratios(B, self._covariance(held_back, self._changes))
        fit_mean = fit[:n, constant] / fit[constant, constant]
        half_lives = [half_life_of(k) for k in self._reversions(fit, B, fit_mean)]
        held_back_half_lives = [half_life_of(k) for k in self._reversions(held_back, B, fit_mean)]
        # A newcomer with a larger ratio fails as `basis` whatever its bound, so the bound is not worth drawing.
        in_use = np.array([vector is not None for vector in before])
        hopeful = discovered | in_use | (np.maximum(fit_ratios, held_back_ratios) <= settings.basis_ratio_max)
        uppers = self._basis_ratio_uppers(B, stretches, hopeful)
        whole = fit + held_back
        volatilities, deviations, spread_means = self._levels(B, whole, stretches)
        innovation_ratios = self._innovation_ratios(whole, B, half_lives)

        standards = Standards(
            basis_ratio_max=settings.basis_ratio_max,
            false_discovery_rate=settings.false_discovery_rate,
            half_life_min_steps=settings.half_life_min_steps,
            half_life_max_steps=settings.half_life_max_steps,
        )
        betas: list[BetaVector | None] = []
        for k, (candidate, vector) in enumerate(zip(candidates, before, strict=True)):
            findings = Findings(
                fit_basis_ratio=float(fit_ratios[k]),
                held_back_basis_ratio=float(held_back_ratios[k]),
                basis_ratio_upper=float(uppers[k]),
                p_value=candidate.p_value,
                discovered=bool(discovered[k]),
                half_life_steps=half_lives[k],
                held_back_half_life_steps=held_back_half_lives[k],
            )
            evidence = evidence_for(findings, standards, vector.evidence if vector is not None else ())
            if not evidence:
                betas.append(None)
                continue
            betas.append(
                BetaVector(
                    weights=candidate.weights,
                    method=candidate.method,
                    basis_ratio=findings.held_back_basis_ratio,
                    basis_ratio_upper=findings.basis_ratio_upper,
                    basis_horizon_steps=settings.basis_horizon_steps,
                    step_ratio=float(step_ratios[k]),
                    half_life_steps=half_lives[k],
                    spread_volatility=float(volatilities[k]),
                    deviation=deviations[k],
                    spread_mean=float(spread_means[k]),
                    innovation_ratio=float(innovation_ratios[k]),
                    statistic=candidate.statistic,
                    p_value=candidate.p_value,
                    evidence=evidence,
                    adjustment=np.zeros(n),
                )
            )
        return betas

    def _basis_ratio_uppers(self, B: FloatArray, stretches: Stretches, hopeful: BoolArray) -> FloatArray:
        """(K,) upper confidence bounds of the held-back basis ratios; infinite where not `hopeful` (K,)."""
        uppers = np.full(B.shape[1], np.inf)
        if hopeful.any():
            uppers[hopeful] = basis_ratio_bounds(
                B[:, hopeful], stretches.held_back_changes, self._weights, self._settings.basis_confidence
            )
        return uppers

    def _levels(
        self, B: FloatArray, whole: FloatArray, stretches: Stretches
    ) -> tuple[FloatArray, list[float | None], FloatArray]:
        """Volatility, deviation and mean of the level of each basket spread (K), over both stretches."""
        n, constant = self._n, self._constant
        level_covariance = self._covariance(whole, slice(0, n))
        variances = _quadratic(B, level_covariance)
        moved = variances > _STILL_SPREAD * (np.diag(level_covariance) @ B**2)
        volatilities = np.sqrt(np.where(moved, variances, 0.0))
        mean = whole[:n, constant] / whole[constant, constant]
        distances = B.T @ (stretches.latest - mean)
        deviations = [float(distances[k] / volatilities[k]) if moved[k] else None for k in range(len(moved))]
        return volatilities, deviations, B.T @ (stretches.anchor + mean)

    def _with_adjustment(self, betas: tuple[BetaVector, ...], whole: FloatArray) -> tuple[BetaVector, ...]:
        """`betas` with the adjustment speeds of those that revert, fitted together on both stretches."""
        n, constant = self._n, self._constant
        reverting = [beta for beta in betas if "reverting" in beta.evidence]
        if not reverting:
            return betas
        levels = self._covariance(whole, slice(0, n))
        centred = centred_moments(whole, constant) / whole[constant, constant]
        speeds = adjustment_speeds(
            levels,
            # An asset that stood still has covariances of rounding.
            np.where(np.diag(levels)[:, None] > 0.0, centred[:n, self._changes], 0.0),
            self._covariance(whole, self._changes),
            round(float(whole[constant, constant])),
            _columns(reverting, n),
        )
        column = dict(zip(reverting, speeds.T, strict=True))
        return tuple(replace(beta, adjustment=column[beta].copy()) if beta in column else beta for beta in betas)

    def _candidates(self, stretches: Stretches) -> tuple[list[Candidate], int, tuple[str, ...]]:
        """Candidates of every method in the settings' order, how many were tried, and which methods had no answer."""
        n, lags = self._n, self._settings.lags
        dimension = self._constant + 1 + n
        fit = stretches.fit[:dimension, :dimension]
        max_legs = min(self._settings.max_legs, n)
        change_covariance = self._covariance(fit, self._changes)
        regression, dependence = None, ""
        try:
            if self._settings.lags_criterion is not None:
                lags = choose_lags(fit, n, lags, self._settings.lags_criterion, self._names)
                fit = drop_lags(fit, n, self._settings.lags, lags)
            if any(method in LEVEL_METHODS for method in self._settings.methods):
                # Without drift: a drift in the levels would replace one walk in the null of every test.
                regression = regress(fit, n, lags, self._names, constant="restricted")
        except ExactlyDependent as exc:
            dependence = str(exc)
        candidates: list[Candidate] = []
        tried = 0
        refusals: tuple[str, ...] = ()
        for method in self._settings.methods:
            match method:
                case "sparse" | "pca" | "ica":
                    try:
                        vectors, looked_at = change_vectors(
                            method,
                            fit,
                            n,
                            lags,
                            change_covariance,
                            max_legs=max_legs,
                            returns=stretches.fit_changes if method == "ica" else None,
                            rng=np.random.default_rng(_ICA_SEED),
                            names=self._names,
                        )
                    except (ExactlyDependent, NotConverged) as exc:
                        refusals += (f"{method}: {exc}",)
                        continue
                    candidates += vectors
                    tried += looked_at
                case _ if regression is None:
                    refusals += (f"{method}: {dependence}",)
                case _:
                    proposed = level_vectors(method, regression, max_legs=max_legs)
                    tried += len(proposed)
                    # A combination of all assets that was chosen for a reversion which its own test does not confirm is
                    # another one at every refit. As hedges these would come and go day by day.
                    rate = self._settings.false_discovery_rate
                    candidates += [v for v in proposed if method in FEW_LEGS or v.p_value <= rate]
        return candidates, tried, refusals

    def _discovered(
        self, candidates: list[Candidate], tried: int, changes: FloatArray
    ) -> tuple[list[Candidate], BoolArray]:
        """Which walks are rejected over all that were tried; with p-values that allow for changing volatility.

        The wild bootstrap can only raise a p-value, so it is drawn for those alone that the tables reject.
        """
        rate = self._settings.false_discovery_rate
        by_tables = benjamini_hochberg(np.array([c.p_value for c in candidates]), tried, rate)
        if by_tables.any():
            for k in np.flatnonzero(by_tables):
                candidate = candidates[k]
                # The statistic of the other methods is not that of a basket spread alone.
                if candidate.method in CHANGE_METHODS:
                    p_value = wild_p_value(candidate.statistic, changes @ candidate.weights, self._signs)
                    candidates[k] = replace(candidate, p_value=max(candidate.p_value, p_value))
        return candidates, benjamini_hochberg(np.array([c.p_value for c in candidates]), tried, rate)

    @property
    def _changes(self) -> slice:
        return changes_of(self._n, self._constant)

    @property
    def _horizon_changes(self) -> slice:
        return horizon_changes_of(self._n, self._constant)

    def _covariance(self, sums: FloatArray, block: slice) -> FloatArray:
        """(n, n) covariance of one block of the rows; exactly 0 for an asset that did not move."""
        own = np.r_[block, self._constant]
        centred = centred_moments(sums[np.ix_(own, own)], self._n)
        covariance: FloatArray = centred[:-1, :-1] / sums[self._constant, self._constant]
        still = np.diag(covariance) <= _STILL_ASSET
        covariance[still] = 0.0
        covariance[:, still] = 0.0
        return covariance

    def _reversions(self, sums: FloatArray, B: FloatArray, centre: FloatArray) -> list[float]:
        """Coefficient of Δs_t on s_{t-1} - β'centre for each basket spread s = β'x; 0 for one that did not move.

        With a constant in the regression where `centre` (n,) is the mean of these rows.
        """
        n, constant = self._n, self._constant
        rows, levels, changes = sums[constant, constant], sums[:n, constant], sums[constant, self._changes]
        about = sums[:n, :n] - np.outer(levels, centre) - np.outer(centre, levels) + rows * np.outer(centre, centre)
        common = _quadratic(B, sums[:n, self._changes] - np.outer(centre, changes))
        variances = _quadratic(B, about)
        moved = variances > _STILL_SPREAD * (np.diag(about) @ B**2)
        return [float(c / v) if m else 0.0 for c, v, m in zip(common, variances, moved, strict=True)]

    def _innovation_ratios(self, whole: FloatArray, B: FloatArray, half_lives: Sequence[float | None]) -> FloatArray:
        """Variance of Δs_t + (1 - φ)(s_{t-1} - mean) as a share of Σ βᵢ² Var(Δxᵢ); φ = 1 without a half-life."""
        n, constant = self._n, self._constant
        centred = centred_moments(whole, constant) / whole[constant, constant]
        pull = np.array([0.0 if h is None else 1.0 - 0.5 ** (1.0 / h) if h > 0.0 else 1.0 for h in half_lives])
        own = np.diag(centred)[self._changes] @ B**2
        innovations = (
            _quadratic(B, centred[self._changes, self._changes])
            + 2.0 * pull * _quadratic(B, centred[:n, self._changes])
            + pull**2 * _quadratic(B, centred[:n, :n])
        )
        ratios: FloatArray = np.divide(np.maximum(innovations, 0.0), own, out=np.zeros(len(own)), where=own > 0.0)
        return ratios


def _without_barred(proposed: list[Candidate], barred: Sequence[FloatArray], leg_scale: FloatArray) -> list[Candidate]:
    """The candidates that are no relationship of the `barred` weights (n,)."""
    if not barred:
        return proposed
    angles = angles_between(np.array(barred).T, _columns(proposed, len(leg_scale)), leg_scale)
    return [c for c, angle in zip(proposed, angles.min(axis=0), strict=True) if angle >= LARGEST_ANGLE]


def _as_candidates(
    incumbents: Sequence[BetaVector],
    proposed: Sequence[Candidate],
    discovered: BoolArray,
    successor_of: Mapping[int, int],
) -> tuple[list[Candidate], BoolArray]:
    """The incumbents with the test of their successors, and whether these were discovered.

    An incumbent is tested as what its method makes of it today. One that the method no longer proposes has no test.
    """
    successors = [successor_of.get(i) for i in range(len(incumbents))]
    kept = [
        Candidate(beta.weights, beta.method, proposed[j].statistic, proposed[j].p_value)
        if j is not None
        else Candidate(beta.weights, beta.method, 0.0, 1.0)
        for beta, j in zip(incumbents, successors, strict=True)
    ]
    return kept, np.array([j is not None and discovered[j] for j in successors], dtype=np.bool_)


def _accepted(
    proposed: Sequence[BetaVector | None],
    kept: Sequence[BetaVector | None],
    successor_of: Mapping[int, int],
    eased: float,
) -> list[tuple[BetaVector, int | None]]:
    """Vectors with evidence, each with the index of the incumbent that it goes on with; None for a newcomer.

    An incumbent keeps its weights unless its evidence is gone, or the basis ratio of its successor is below `eased`
    times its own.
    """
    fresh = dict(enumerate(proposed))
    accepted: list[tuple[BetaVector, int | None]] = []
    for i, incumbent in enumerate(kept):
        successor = fresh.pop(successor_of[i]) if i in successor_of else None
        if incumbent is None or (successor is not None and successor.basis_ratio < eased * incumbent.basis_ratio):
            incumbent = successor
        if incumbent is not None:
            accepted.append((incumbent, i))
    return accepted + [(beta, None) for beta in fresh.values() if beta is not None]


def _columns(candidates: Sequence[Candidate], n: int) -> FloatArray:
    """(n, K) weights of the candidates."""
    return np.array([candidate.weights for candidate in candidates]).reshape(-1, n).T


def _quadratic(B: FloatArray, matrix: FloatArray) -> FloatArray:
    """β' matrix β for each column β of `B`."""
    values: FloatArray = np.einsum("ik,ij,jk->k", B, matrix, B)
    return values
