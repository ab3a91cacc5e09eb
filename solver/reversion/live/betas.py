"""The β vectors in use: followed over refits, watched between them, retired when they break."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from solver.arrays import BoolArray, FloatArray
from solver.reversion.live.watch import (
    BASIS,
    Detector,
    basis_step,
    reversion_step,
    reverting_alarm,
    reverting_alternatives,
)
from solver.reversion.refits.refit import Refit
from solver.reversion.refits.settings import ReversionSettings
from solver.reversion.refits.track import LARGEST_ANGLE, angles_between
from solver.reversion.vector import FEW_LEGS, BetaVector, Evidence

# A vector breaks when its ratio is this multiple of its own upper bound, where that is far below the configured one.
# The ratio of a year lies within the bound of the year before in two thirds of the cases, so less would retire hedges
# that still hold. A median of 60 steps to find independent legs needs no more.
_BASIS_SLACK = 5.0

# A relationship that fails again and again within a window is barred for at most 2³ held-back stretches.
_DOUBLINGS_MAX = 3

# A hedge as good as a peg may become this share of the configured bound. Steps of pegs have tails too heavy for less.
_LEAST_ALLOWED = 1.0 / 3.0


@dataclass(frozen=True, eq=False)
class LiveBeta:
    """A β vector in use.

    Attributes
    ----------
    beta_id : stays as long as refits go on with the vector. It is the method with the legs, where these are few, or
        with a number that no other vector ever has. A vector named by its legs that comes back has its name again.
    version : of its weights, from 1; never used twice under one id.
    since_step : timestep, by the count of `LiveBetas.steps`, at which it was accepted.
    vector : its weights and evidence as of the last refit, without the kinds that the watch has refuted.
    basis, reverting : the watch on each kind of evidence.
    refuted : kinds of evidence that the watch has refuted, each with the row in which, see `Retirement.row`.
    """

    beta_id: str
    version: int
    since_step: int
    vector: BetaVector
    basis: Detector
    reverting: Detector
    refuted: dict[Evidence, int] = field(default_factory=dict)


Reason: TypeAlias = Literal["broke", "unproven", "outranked"]
"""Why a β left use: the watch refuted its evidence, a refit found it gone, or better vectors took its room."""


@dataclass(frozen=True, eq=False)
class Retirement:
    """A β that went out of use.

    Attributes
    ----------
    beta_id, version, weights : of the β; weights (n,).
    step : timestep, by the count of `LiveBetas.steps`.
    row : first row of the window of refits that contains what took it out of use.
    reason : why it went.
    bar_rows : for how many rows from `row` on no refit may take it up again.
    deviations : the standardised step that refuted it; 0 where a refit took it out of use.
    """

    beta_id: str
    version: int
    weights: FloatArray
    step: int
    row: int
    reason: Reason
    bar_rows: int
    deviations: float = 0.0


@dataclass(frozen=True, eq=False)
class LiveBetas:
    """All β in use, and what has to be remembered of others.

    Attributes
    ----------
    betas : in use.
    retired : those that went out of use within the last window, and all that are still barred.
    versions : last version of every id made of legs.
    serials : last number of every other method.
    steps : timesteps seen.
    rows : timesteps that the window of refits has taken: those in which every asset had a price.
    """

    betas: tuple[LiveBeta, ...] = ()
    retired: tuple[Retirement, ...] = ()
    versions: dict[str, int] = field(default_factory=dict)
    serials: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    rows: int = 0


@dataclass(frozen=True, eq=False)
class Move:
    """What the legs of a β did since all of them last had a price. Entries of assets that are no legs are arbitrary.

    Attributes
    ----------
    log_prices : (n,) at that time.
    log_returns : (n,) since then.
    steps : timesteps since then.
    """

    log_prices: FloatArray
    log_returns: FloatArray
    steps: int


@dataclass(frozen=True, eq=False)
class Meanwhile:
    """What happened between the end of the window that a refit saw and the moment at which it takes effect.

    Attributes
    ----------
    incumbents : ids of the β that the refit was given, in its order.
    log_prices : (n,) at the end of its window.
    log_returns : (n,) since then, NaN of assets that have no price now.
    leg_variances : (n,) of log returns over one timestep, known at the end of its window; NaN where none is.
    steps : timesteps since then; 0 when no prices were seen.
    rows : rows that the window has taken since then.
    """

    incumbents: tuple[str, ...]
    log_prices: FloatArray
    log_returns: FloatArray
    leg_variances: FloatArray
    steps: int
    rows: int


def watched(
    live: LiveBetas,
    moves: Sequence[Move | None],
    leg_variances: FloatArray,
    elapsed: int,
    settings: ReversionSettings,
) -> tuple[LiveBetas, tuple[Retirement, ...]]:
    """The β after one more timestep, and those that this timestep has retired; O(n) for each β.

    Parameters
    ----------
    live : before it.
    moves : of each β of `live`; None while one of its legs has no price, no earlier price to compare with, or no
        variance.
    leg_variances : (n,) of log returns over one timestep, known before this one; may be NaN for assets that are no legs
        of a move.
    elapsed : timesteps since the last one; more than 1 after a gap of all assets.
    settings : those of the refits.
    """
    now, row = live.steps + elapsed, live.rows + 1
    betas, broken = [], []
    alarm_at = settings.false_alarm_steps
    for beta, move in zip(live.betas, moves, strict=True):
        if move is None:
            betas.append(beta)
            continue
        weights = beta.vector.weights
        held = weights != 0
        weights, steps = weights[held], move.steps
        legs = float(weights**2 @ leg_variances[held]) * steps
        change = float(weights @ move.log_returns[held])
        deviations = 0.0
        for kind in beta.vector.evidence:
            if kind == "basis":
                z = basis_step(change, legs, _ratio_allowed(beta.vector, settings.basis_ratio_max, steps))
                beta = replace(beta, basis=beta.basis.step(BASIS, z))
                refuted = beta.basis.log_evidence >= math.log(alarm_at)
            else:
                half_life = beta.vector.half_life_steps
                assert half_life is not None  # nothing passes as reverting without one
                noise = beta.vector.innovation_ratio * legs
                z = reversion_step(
                    float(weights @ move.log_prices[held]), change, beta.vector.spread_mean, half_life, noise, steps
                )
                beta = replace(beta, reverting=beta.reverting.step(reverting_alternatives(half_life), z))
                refuted = beta.reverting.log_evidence >= reverting_alarm(alarm_at, half_life)
            if refuted:
                beta = replace(beta, refuted={**beta.refuted, kind: row})
                deviations = z
        beta = _without_refuted(beta)
        if beta.vector.evidence:
            betas.append(beta)
        else:
            scale = np.sqrt(np.where(held, leg_variances, 0.0))
            bar = _bar_rows(live, beta, scale, settings)
            broken.append(
                Retirement(beta.beta_id, beta.version, beta.vector.weights, now, row, "broke", bar, deviations)
            )
    return replace(live, betas=tuple(betas), retired=(*live.retired, *broken), steps=now), tuple(broken)


def row_taken(live: LiveBetas, settings: ReversionSettings) -> LiveBetas:
    """The β after the window of refits has taken one more row. What left use a window ago is forgotten."""
    rows = live.rows + 1
    kept = tuple(old for old in live.retired if rows - old.row < max(old.bar_rows, settings.window_steps))
    return replace(live, rows=rows, retired=kept)


def barred(live: LiveBetas) -> tuple[FloatArray, ...]:
    """Weights (n,) of the relationships that no refit may take up now."""
    return tuple(old.weights for old in live.retired if _is_barred(old, live.rows))


def _is_barred(old: Retirement, rows: int) -> bool:
    return rows - old.row < old.bar_rows


def _bar_rows(live: LiveBetas, beta: LiveBeta, leg_scale: FloatArray, settings: ReversionSettings) -> int:
    """For how many rows `beta`, which fails now, is barred: until the whole stretch held back lies after the failure.

    Each failure of the same relationship within the last window doubles the time. Otherwise a relationship that is
    nearly good enough goes in and out of use, and every change moves lots in every book.
    """
    failed = [old for old in live.retired if old.bar_rows]
    times = 0
    if failed:
        angles = angles_between(np.array([old.weights for old in failed]).T, beta.vector.weights[:, None], leg_scale)
        near = angles[:, 0] < LARGEST_ANGLE
        times = sum(old.beta_id == beta.beta_id or bool(is_near) for old, is_near in zip(failed, near, strict=True))
    return settings.holdout_steps << min(times, _DOUBLINGS_MAX)


def renewed(
    live: LiveBetas,
    refit: Refit,
    names: Sequence[str],
    settings: ReversionSettings,
    meanwhile: Meanwhile | None = None,
) -> LiveBetas:
    """The β after a refit that had the vectors of `live` as its incumbents.

    A refit may take effect later than its window ended. It cannot bring back what broke since then: an incumbent that
    was retired stays out, a newcomer within `LARGEST_ANGLE` of it does not come in, and new weights as near to it are
    not taken. Every newcomer is watched over the time that it has missed, as one step.

    A β whose evidence is gone before it was in use for as long as the stretch held back was a mistake: it is barred as
    one that broke.

    Parameters
    ----------
    live : before it.
    refit : what it found.
    names : (n) of the assets.
    settings : those of the refits.
    meanwhile : what happened since the window of the refit ended; None where it takes effect at once.
    """
    versions, serials = dict(live.versions), dict(live.serials)
    in_use = {beta.beta_id: beta for beta in live.betas}
    incumbents = tuple(in_use) if meanwhile is None else meanwhile.incumbents
    # Rows of the window that the refit saw.
    rows = live.rows - (meanwhile.rows if meanwhile is not None else 0)
    betas: list[LiveBeta] = []
    newcomers: list[LiveBeta] = []
    for vector, index, broke in zip(refit.betas, refit.continues, _broke_since(live, refit, meanwhile), strict=True):
        if index is None:
            if broke:
                continue
            beta_id = _new_id(vector, names, serials)
            fresh = Detector.fresh(reverting_alternatives(1.0))
            version = versions.get(beta_id, 0) + 1
            beta = LiveBeta(beta_id, version, live.steps, vector, Detector.fresh(BASIS), fresh)
            newcomers.append(beta)
        else:
            old = in_use.get(incumbents[index])
            if old is None:
                continue
            moved = not np.array_equal(old.vector.weights, vector.weights)
            if moved and broke:
                vector, moved = old.vector, False
            beta = replace(_pardoned(old, rows, settings), vector=vector, version=old.version + moved)
        if beta.vector.method in FEW_LEGS:
            versions[beta.beta_id] = beta.version
        beta = _without_refuted(beta)
        if beta.vector.evidence:
            betas.append(beta)
    left = _taken_out(live, betas, refit, incumbents, settings)
    after = replace(live, betas=tuple(betas), retired=(*live.retired, *left), versions=versions, serials=serials)
    return after if meanwhile is None else _caught_up(after, newcomers, meanwhile, settings)


def _taken_out(
    live: LiveBetas, betas: Sequence[LiveBeta], refit: Refit, incumbents: Sequence[str], settings: ReversionSettings
) -> list[Retirement]:
    """The β of `live` that are not among the `betas` in use after `refit`, and why."""
    in_use = {beta.beta_id for beta in betas}
    outranked = {incumbents[index] for index in refit.outranked}
    left = []
    for beta in live.betas:
        if beta.beta_id in in_use:
            continue
        reason: Reason = "outranked" if beta.beta_id in outranked else "unproven"
        young = live.steps - beta.since_step < settings.holdout_steps
        bar = _bar_rows(live, beta, refit.leg_scale, settings) if reason == "unproven" and young else 0
        left.append(Retirement(beta.beta_id, beta.version, beta.vector.weights, live.steps, live.rows, reason, bar))
    return left


def _broke_since(live: LiveBetas, refit: Refit, meanwhile: Meanwhile | None) -> BoolArray:
    """(K,) whether each vector of `refit` is a relationship that was retired after its window."""
    since = live.steps if meanwhile is None else live.steps - meanwhile.steps
    broken = [old.weights for old in live.retired if old.reason == "broke" and old.step > since]
    if not broken or not refit.betas:
        return np.zeros(len(refit.betas), dtype=np.bool_)
    angles = angles_between(np.array(broken).T, np.array([beta.weights for beta in refit.betas]).T, refit.leg_scale)
    broke: BoolArray = angles.min(axis=0) < LARGEST_ANGLE
    return broke


def _caught_up(
    live: LiveBetas, newcomers: Sequence[LiveBeta], meanwhile: Meanwhile, settings: ReversionSettings
) -> LiveBetas:
    """`live` with those of its β that are `newcomers` watched over the steps that they have missed."""
    if not newcomers or not meanwhile.steps:
        return live
    move = Move(meanwhile.log_prices, meanwhile.log_returns, meanwhile.steps)
    unknown = np.isnan(meanwhile.log_returns) | np.isnan(meanwhile.leg_variances)
    watched_newcomers, _ = watched(
        replace(live, betas=tuple(newcomers), steps=live.steps - meanwhile.steps),
        [None if beta.vector.weights[unknown].any() else move for beta in newcomers],
        meanwhile.leg_variances,
        meanwhile.steps,
        settings,
    )
    held = {beta.beta_id: beta for beta in watched_newcomers.betas}
    missed = {beta.beta_id for beta in newcomers}
    betas = [held.get(beta.beta_id) if beta.beta_id in missed else beta for beta in live.betas]
    return replace(live, betas=tuple(beta for beta in betas if beta is not None), retired=watched_newcomers.retired)


def _ratio_allowed(vector: BetaVector, basis_ratio_max: float, steps: int) -> float:
    """The largest share of its legs' variance over `steps` timesteps that the evidence `basis` of `vector` allows.

    Over the horizon that is a few times the upper bound that was measured, between a part of the configured bound and
    the whole of it. A basket spread that bounces keeps more over one step than over many, and that breaks nothing. Its
    bounce is what the fit measured, not a multiple of it: the part that walks away is held to the bound. A bounce is
    the same however many steps a change spans, so its share falls with their number.
    """
    allowed = min(basis_ratio_max, max(_BASIS_SLACK * vector.basis_ratio_upper, _LEAST_ALLOWED * basis_ratio_max))
    return allowed + max(vector.step_ratio - vector.basis_ratio, 0.0) / steps


def _new_id(vector: BetaVector, names: Sequence[str], serials: dict[str, int]) -> str:
    if vector.method in FEW_LEGS:
        legs = "/".join(name for name, weight in zip(names, vector.weights, strict=True) if weight)
        return f"{vector.method}:{legs}"
    serials[vector.method] = serials.get(vector.method, 0) + 1
    return f"{vector.method}:{serials[vector.method]}"


def _pardoned(beta: LiveBeta, rows: int, settings: ReversionSettings) -> LiveBeta:
    """`beta` with refuted evidence counted again, and watched from the start, once the held-back stretch lies after it.

    `rows` is how many rows the window had taken on which the evidence was found again.
    """
    due = [kind for kind, row in beta.refuted.items() if rows - row >= settings.holdout_steps]
    if not due:
        return beta
    return replace(
        beta,
        refuted={kind: row for kind, row in beta.refuted.items() if kind not in due},
        basis=Detector.fresh(BASIS) if "basis" in due else beta.basis,
        reverting=Detector.fresh(reverting_alternatives(1.0)) if "reverting" in due else beta.reverting,
    )


def _without_refuted(beta: LiveBeta) -> LiveBeta:
    evidence = tuple(kind for kind in beta.vector.evidence if kind not in beta.refuted)
    if evidence == beta.vector.evidence:
        return beta
    return replace(beta, vector=replace(beta.vector, evidence=evidence))
