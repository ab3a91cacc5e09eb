"""Where the two opinions of a β differ, and why: every sentence follows from figures of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb, degrees

from solver.reversion.refits.settings import ReversionSettings
from solver.reversion.refits.track import LARGEST_ANGLE
from solver.reversion.vector import CHANGE_METHODS
from stream.studies.validate.cells import figure, p_figure
from stream.studies.validate.second_opinion.answers import Difference, Ours, Rank, Reference
from stream.studies.validate.second_opinion.reference import MOST_ENGLE_GRANGER, MOST_TABLED

# Half-lives of two definitions are told apart when they differ by more than this share.
_HALF_LIFE_SHARE = 0.1

# Statistics of the same weights are equal up to rounding, which nearly exact hedges make large.
_SAME_STATISTIC = 1e-4


@dataclass(frozen=True)
class Case:
    """All that a verdict on one β rests on.

    Attributes
    ----------
    method : what proposed it.
    legs : how many it has.
    assets : among which the legs were chosen.
    tried : candidates of the refit.
    own_statistic : the refit's Dickey-Fuller t-statistic of the very weights that statsmodels is asked about.
    tables_p_value : the tables' p-value of the statistic of `ours`, where that is a Dickey-Fuller t-statistic.
    ours, reference : the answers.
    """

    method: str
    legs: int
    assets: int
    tried: int
    own_statistic: float
    tables_p_value: float
    ours: Ours
    reference: Reference

    @property
    def reverts(self) -> bool:
        """Whether the refit takes it for reverting."""
        return "reverting" in self.ours.evidence


@dataclass(frozen=True)
class Telling:
    """The test of statsmodels that answers the same question as the refit's: its name, result, and result in words."""

    name: str
    rejects: bool
    words: str


def telling_test(case: Case, level: float) -> Telling | None:
    """adfuller where the weights were fitted to changes alone, for which it holds; else a test that allows for weights
    fitted to levels: coint, and coint_johansen beyond its tables. None where that has no answer."""
    reference = case.reference
    if case.method in CHANGE_METHODS:
        if reference.adf_p_value is None:
            return None
        words = f"adfuller p {p_figure(reference.adf_p_value)}"
        return Telling("adfuller", reference.adf_p_value <= level, words)
    if reference.engle_granger_p_value is not None:
        words = f"coint p {p_figure(reference.engle_granger_p_value)}"
        return Telling("coint", reference.engle_granger_p_value <= level, words)
    if reference.related is None:
        return None
    assert reference.trace is not None
    assert reference.trace_critical is not None
    words = f"coint_johansen trace {figure(reference.trace)}, critical {figure(reference.trace_critical)} at 5 %"
    return Telling("coint_johansen", reference.related, words)


def verdict(case: Case, level: float) -> tuple[bool | None, str]:
    """Whether both agree that the β reverts, and that in words."""
    telling, ours = telling_test(case, level), case.ours
    if telling is None:
        why = "; ".join(case.reference.reasons)
        if case.legs > MOST_TABLED:
            why = (
                f"for weights fitted to the levels of {case.legs} legs it has no test (coint ends at "
                f"{MOST_ENGLE_GRANGER}, the tables of coint_johansen at {MOST_TABLED})"
            )
        return None, f"no second opinion: {why}"
    mine = "no test of it at this refit" if ours.p_value is None else f"{ours.test} p {p_figure(ours.p_value)}"
    if case.reverts and telling.rejects:
        angle = case.reference.angle_degrees
        if case.legs == 2 and angle is not None and angle > degrees(LARGEST_ANGLE):
            return False, f"differ: both find reversion, but in weights that are {angle:.1f}° apart"
        return True, f"agree: both find reversion ({mine}; {telling.words})"
    if case.reverts:
        return False, f"differ: betapack finds reversion ({mine}), statsmodels does not ({telling.words})"
    if telling.rejects:
        return False, f"differ: statsmodels finds reversion ({telling.words}), betapack does not ({mine})"
    beside = f"agree: neither finds reversion ({mine}; {telling.words})"
    if "basis" in ours.evidence:
        beside += f"; in use for its basis ratio {figure(ours.basis_ratio)}, which no test of statsmodels judges"
    return True, beside


def differences(case: Case, settings: ReversionSettings) -> tuple[Difference, ...]:
    """Every difference between the two opinions of one β, those that decide the verdict first."""
    telling = telling_test(case, settings.false_discovery_rate)
    found: list[Difference] = []
    if telling is not None and telling.rejects and not case.reverts:
        found += _why_refused(case, settings)
    if telling is not None and case.reverts and not telling.rejects:
        found += _why_accepted(case, telling)
    found += _of_tests(case, settings)
    found += _of_weights(case, telling)
    if telling is not None and (telling.rejects or case.reverts):
        # Where neither finds a relation, the VECM has weights and half-lives of noise.
        found += _of_half_lives(case)
    return tuple(found)


def _why_refused(case: Case, settings: ReversionSettings) -> Iterator[Difference]:
    """What kept the refit from taking a β for reverting that statsmodels takes for it."""
    ours, level = case.ours, settings.false_discovery_rate
    found = 0
    if "reverting" in ours.refuted:
        found += 1
        yield Difference("the watch", "the watch refuted its reversion on rows after the refit's window")
    if ours.p_value is None:
        found += 1
        yield Difference("candidates", f"{case.method} no longer proposes it, so the refit has no test of it")
    elif ours.p_value > level / max(case.tried, 1):
        found += 1
        if ours.p_value <= level:
            yield Difference(
                "false discoveries",
                f"p {p_figure(ours.p_value)} is one of {case.tried:,} that were tried: as the only discovery it would "
                f"need at most {level:g} / {case.tried:,} = {level / case.tried:.3g}. statsmodels tests this one alone",
            )
        yield from _of_p_values(case)
    for where, half_life, least in (
        ("on the fit rows", ours.half_life_steps, settings.half_life_min_steps),
        ("on the held-back rows, towards the mean of the fit rows,", ours.held_back_half_life_steps, 0.0),
    ):
        if half_life is None:
            found += 1
            yield Difference("half-life", f"{where} it does not revert as an AR(1)")
        elif not least <= half_life <= settings.half_life_max_steps:
            found += 1
            yield Difference(
                "half-life",
                f"{where} it is {figure(half_life)} rows, asked {figure(least)} to "
                f"{figure(settings.half_life_max_steps)}",
            )
    if not found:
        yield Difference(
            "candidates",
            "its p-value by the tables and its half-lives would pass: what is left is changing volatility (the refit's "
            "wild bootstrap) or a β like it that was retired lately",
        )


def _of_p_values(case: Case) -> Iterator[Difference]:
    """What raises the refit's p-value above that of a test of this one basket spread."""
    ours = case.ours
    assert ours.statistic is not None
    assert ours.p_value is not None  # for a β that was tested
    if case.method not in CHANGE_METHODS:
        ways = comb(case.assets, case.legs)
        yield Difference(
            "fitted weights",
            f"{ours.test} {figure(ours.statistic)} is held against the best combination of {case.legs} random walks"
            + (f", times the {ways:,} ways to choose {case.legs} of {case.assets} assets" if ways > 1 else "")
            + f": p {p_figure(ours.p_value)}",
        )
        return
    if _other_statistic(case):
        yield _of_successor(case)
    if ours.p_value > case.tables_p_value * (1.0 + _SAME_STATISTIC):
        yield Difference(
            "volatility",
            f"the tables give t {figure(ours.statistic)} a p-value of {p_figure(case.tables_p_value)}, for constant "
            f"volatility; with the volatility as it changed in these rows (wild bootstrap) it is "
            f"{p_figure(ours.p_value)}",
        )


def _other_statistic(case: Case) -> bool:
    """Whether the refit's statistic is of other weights than statsmodels was asked about."""
    mine = case.ours.statistic
    return mine is not None and abs(mine - case.own_statistic) > _SAME_STATISTIC * max(abs(mine), 1.0)


def _of_successor(case: Case) -> Difference:
    statistic = case.ours.statistic
    assert statistic is not None
    return Difference(
        "weights kept",
        f"the refit tests the weights that {case.method} proposes at this refit (t {figure(statistic)}), "
        f"adfuller the older weights that stay in use (t {figure(case.own_statistic)})",
    )


def _why_accepted(case: Case, telling: Telling) -> Iterator[Difference]:
    """What lets the refit take a β for reverting that statsmodels does not take for it."""
    ours, residual = case.ours.statistic, case.reference.engle_granger_statistic
    if ours is None:
        return
    if case.method in CHANGE_METHODS:
        if _other_statistic(case):
            yield _of_successor(case)
    elif telling.name == "coint" and residual is not None:
        yield Difference(
            "what is tested",
            f"{case.ours.test} {figure(ours)} reads how every leg answers to the basket spread; coint "
            f"(t {figure(residual)}) reads the residual of one regression of the leading leg alone",
        )
    else:
        yield Difference(
            "deterministic term",
            f"{case.ours.test} {figure(ours)} has its constant inside the relation and is corrected for the size of "
            "the sample; coint_johansen has it outside and is not corrected",
        )


def _of_tests(case: Case, settings: ReversionSettings) -> Iterator[Difference]:
    """Questions to statsmodels that sound alike, and fall on different sides of the level."""
    reference, level = case.reference, settings.false_discovery_rate
    given = reference.adf_p_value
    if given is None:
        return
    fitted, own, whole = (
        reference.engle_granger_p_value,
        reference.adf_own_lags_p_value,
        reference.adf_window_p_value,
    )
    if fitted is not None and (given <= level) != (fitted <= level):
        yield Difference(
            "fitted weights",
            f"adfuller is asked about these weights as given, p {p_figure(given)}; coint fits weights of its own to "
            f"the levels of the same rows, and allows for that, p {p_figure(fitted)}",
        )
    related, trace, critical = reference.related, reference.trace, reference.trace_critical
    if fitted is not None and trace is not None and critical is not None and related is not (fitted <= level):
        yield Difference(
            "two tests of statsmodels",
            f"coint has p {p_figure(fitted)}, and coint_johansen's trace is {figure(trace)} beside {figure(critical)} "
            "at 5 %: the second lets the legs drift, and rejects walks without drift too often",
        )
    if own is not None and (given <= level) != (own <= level):
        yield Difference(
            "lag count",
            f"adfuller chooses {reference.adf_own_lags} lagged differences itself and then has p {p_figure(own)}; with "
            f"those of the refit, p {p_figure(given)}",
        )
    if whole is not None and (given <= level) != (whole <= level):
        yield Difference(
            "held-back rows",
            f"on the fit rows adfuller has p {p_figure(given)}, over the whole window p {p_figure(whole)}: the refit "
            f"fits and tests without the latest {settings.holdout_steps:,} rows",
        )


def _of_weights(case: Case, telling: Telling | None) -> Iterator[Difference]:
    angle = case.reference.angle_degrees
    if angle is None or angle <= degrees(LARGEST_ANGLE):
        return
    related = case.reference.related
    if related is False or (related is None and telling is not None and not telling.rejects):
        why = "statsmodels finds no relation among these legs, so the weights of its VECM are those of noise"
    elif case.legs > 2:
        why = "a VECM of rank 1 gives the strongest relation of its legs, and there may be several"
    elif case.method in CHANGE_METHODS:
        why = f"{case.method} fits weights to changes, a VECM to levels"
    else:
        why = f"the weights are those of {case.method}, and the VECM's are those of largest likelihood"
    yield Difference("weights", f"{angle:.1f}° apart, each leg in its own standard deviations: {why}")


def _of_half_lives(case: Case) -> Iterator[Difference]:
    reference = case.reference
    mine, own, model = (
        case.ours.half_life_steps,
        reference.vecm_half_life_steps,
        reference.vecm_eigenvalue_half_life_steps,
    )
    if reference.vecm_weights is None:
        return
    if _apart(mine, own):
        yield Difference(
            "half-life",
            f"as an AR(1) {rows(mine)} for these weights and {rows(own)} for those of the VECM",
        )
    if _apart(own, model):
        yield Difference(
            "half-life",
            f"of the VECM {rows(own)} as an AR(1) of its basket spread and {rows(model)} by its eigenvalue 1 + β'α: "
            "the first counts what lagged differences do as reversion, the second leaves it to them",
        )


def _apart(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is not second
    return abs(first - second) > _HALF_LIFE_SHARE * max(first, second)


def rows(half_life: float | None) -> str:
    """A half-life in words."""
    return "none" if half_life is None else f"{figure(half_life)} rows"


def of_ranks(rank: Rank, factor: float | None) -> Iterator[Difference]:
    """Differences of the two analyses of all assets; `factor` is the refit's correction for the size of the sample."""
    if not rank.tests or rank.ours is None:
        return
    first = rank.tests[0]
    if first.trace is not None and first.drift_trace is not None:
        yield Difference(
            "deterministic term",
            "the refit keeps the constant inside the relations, since prices without drift need that; coint_johansen "
            f"lets the prices drift: trace of no relation {figure(first.trace)} and {figure(first.drift_trace)}",
        )
    if factor is not None and first.trace is not None and first.p_value is not None:
        yield Difference(
            "null distribution",
            f"the refit multiplies its statistics by {figure(factor)} for the size of the sample and reads p-values "
            f"from gamma distributions (trace of no relation {figure(first.trace)}, p {p_figure(first.p_value)}); "
            "coint_johansen compares uncorrected statistics with asymptotic tables",
        )
    theirs = rank.reference_by_trace
    if theirs is not None and theirs != rank.ours:
        yield Difference("rank", f"betapack finds {rank.ours} relations at this level, coint_johansen {theirs} at 5 %")
