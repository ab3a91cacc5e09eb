"""The second opinion as lines of the verdict and as tables."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stream.studies.validate.cells import Table, figure, p_figure, shown_time
from stream.studies.validate.findings import Check
from stream.studies.validate.second_opinion.answers import Agreement, BetaOpinion, Rank, SecondOpinion
from stream.studies.validate.second_opinion.differences import rows

# A combination of more legs is shown by those of largest weight, and a rank test by its first hypotheses.
_LEGS_SHOWN = 6
_HYPOTHESES_SHOWN = 12

_INDENT = "\N{EM SPACE}"


def opinion_checks(opinion: SecondOpinion) -> list[Check]:
    """Lines of the verdict. Opinions inform; figures that must be equal and are not are a finding."""
    if opinion.reason:
        return [Check(None, f"Second opinion: none, {opinion.reason}")]
    checks = [Check(None, f"Second opinion on the last refit, of {opinion.library}: {_summary(opinion)}")]
    equal = [agreement for agreement in opinion.agreements if agreement.passed]
    if equal:
        compared = sum(agreement.compared for agreement in equal)
        largest = max(agreement.largest_difference or 0.0 for agreement in equal)
        checks.append(
            Check(True, f"{compared:,} figures are equal to those of {opinion.library} up to rounding ({largest:.0e})")
        )
    checks += [
        Check(
            False,
            f"{agreement.what} must be equal up to rounding ({agreement.tolerance:.0e}) and differ by "
            f"{agreement.largest_difference:.2g}",
        )
        for agreement in opinion.agreements
        if agreement.passed is False
    ]
    return checks


def opinion_tables(opinion: SecondOpinion) -> list[Table]:
    """The β by both, what differs and why, and the rank tests; those without rows are for the caller to leave out."""
    if opinion.reason:
        return []
    return [_betas(opinion), _words(opinion), _rank(opinion), _agreements(opinion)]


def _summary(opinion: SecondOpinion) -> str:
    if not opinion.betas:
        return "no vector is in use, and the methods proposed none"
    kind = "in use" if opinion.betas[0].in_use else "refused (none is in use)"
    parts = []
    for agrees, word in ((True, "agree"), (False, "differ"), (None, "without an answer")):
        count = sum(beta.agrees is agrees for beta in opinion.betas)
        if count:
            parts.append(f"{count} {word}{'s' if count == 1 and agrees is not None else ''}")
    return f"of {len(opinion.betas)} vectors {kind}, {', '.join(parts)}"


def _betas(opinion: SecondOpinion) -> Table:
    return Table(
        f"Second opinion: the last refit, of {shown_time(opinion.requested_at)}, beside {opinion.library} on the same "
        f"{opinion.fit_rows:,} rows",
        (
            "β by betapack, then by statsmodels",
            "statistic",
            "5 % at",
            "p-value",
            "half-life",
            "basis ratio",
            "weights",
            "finds",
        ),
        tuple(row for beta in opinion.betas for row in _beta_rows(beta, opinion.level)),
        f"The refit read {opinion.fit_rows:,} rows to fit and {opinion.held_back_rows:,} later ones, held back, to "
        f"measure; it tried {opinion.tried:,} candidates, with {opinion.lags} lagged differences, at a false discovery "
        f"rate of {100 * opinion.level:g} %. adfuller takes the weights as given: its p-value does not know that they "
        "were fitted, nor that others were tried. coint allows for weights fitted to the levels of the same rows "
        "(Engle and Granger, MacKinnon's p-values). VECM gives its own weights, of rank 1 among the same legs, with "
        "the constant inside the relation and the leading leg at +1. Half-lives are in rows: of an AR(1) of the basket "
        "spread, and for the VECM also of its eigenvalue 1 + β'α. The basis ratio is betapack's own, on the held-back "
        "rows.",
    )


def _beta_rows(beta: BetaOpinion, level: float) -> Iterator[tuple[str, ...]]:
    ours, theirs = beta.ours, beta.reference
    ratio = figure(ours.basis_ratio)
    if ours.basis_ratio_upper is not None:
        ratio += f" (at most {figure(ours.basis_ratio_upper)})"
    yield (
        f"{beta.name}: {ours.test if ours.p_value is not None else 'no longer proposed'}",
        _figure(ours.statistic),
        "",
        _p_figure(ours.p_value),
        rows(ours.half_life_steps),
        ratio,
        _weights(beta.legs, beta.weights),
        " and ".join(ours.evidence) or "refused",
    )
    yield (
        f"{_INDENT}adfuller, weights as given",
        _figure(theirs.adf_statistic),
        "",
        _p_figure(theirs.adf_p_value),
        rows(theirs.half_life_steps),
        "",
        "the same",
        _finding(theirs.adf_p_value, level),
    )
    if theirs.engle_granger_p_value is not None:
        yield (
            f"{_INDENT}coint, weights fitted",
            _figure(theirs.engle_granger_statistic),
            "",
            _p_figure(theirs.engle_granger_p_value),
            "",
            "",
            "",
            _finding(theirs.engle_granger_p_value, level),
        )
    related = theirs.related
    yield (
        f"{_INDENT}coint_johansen, trace of no relation",
        _figure(theirs.trace),
        _figure(theirs.trace_critical),
        "",
        "",
        "",
        "",
        "no answer" if related is None else "a relation" if related else "no relation",
    )
    if theirs.vecm_weights is None or theirs.angle_degrees is None:
        return
    yield (
        f"{_INDENT}VECM of its legs",
        "",
        "",
        "",
        f"{rows(theirs.vecm_half_life_steps)}; 1 + β'α: {rows(theirs.vecm_eigenvalue_half_life_steps)}",
        "",
        _weights(beta.legs, theirs.vecm_weights),
        f"{theirs.angle_degrees:.1f}° away",
    )


def _words(opinion: SecondOpinion) -> Table:
    lines: list[tuple[str, str, str]] = []
    for beta in opinion.betas:
        lines.append((beta.name, "verdict", beta.verdict))
        lines += [("", difference.about, difference.text) for difference in beta.differences]
        lines += [("", "no answer", reason) for reason in beta.reference.reasons]
    lines += [("all assets", difference.about, difference.text) for difference in opinion.differences]
    if opinion.rank is not None:
        lines += [("all assets", "no answer", reason) for reason in opinion.rank.reasons]
    lines += [("", "remark", remark) for remark in opinion.remarks]
    return Table(
        "Second opinion: where the two differ, and why",
        ("β", "about", "in words"),
        tuple(lines),
        "A verdict is about reversion, the one question that both answer, and it informs: it is no check. A p-value "
        f"counts up to {100 * opinion.level:g} %.",
        prose=True,
    )


def _rank(opinion: SecondOpinion) -> Table:
    rank = opinion.rank
    tests = () if rank is None else rank.tests
    left_out = len(tests) - _HYPOTHESES_SHOWN
    return Table(
        "Second opinion: how many relations there are among all assets (Johansen)"
        + ("" if rank is None else f": {_ranks(rank)}"),
        (
            "at most",
            "betapack's trace",
            "p-value",
            "VECM's trace",
            "coint_johansen's trace",
            "5 %",
            "its eigenvalue",
            "5 %",
        ),
        tuple(
            (
                f"{test.at_most}",
                _figure(test.trace),
                _p_figure(test.p_value),
                _figure(test.reference_trace),
                _figure(test.drift_trace),
                _figure(test.drift_trace_critical),
                _figure(test.drift_max_eigenvalue),
                _figure(test.drift_max_eigenvalue_critical),
            )
            for test in tests[:_HYPOTHESES_SHOWN]
        ),
        ("" if rank is None else _rank_note(rank))
        + (f" The {left_out} further hypotheses stand in the figures." if left_out > 0 else ""),
    )


def _ranks(rank: Rank) -> str:
    """Every rank that was found."""
    ours = "betapack no answer" if rank.ours is None else f"betapack {rank.ours}"
    tests = ((rank.reference_by_trace, "the trace"), (rank.reference_by_max_eigenvalue, "the largest eigenvalue"))
    theirs = " and ".join(f"{found} by {test}" for found, test in tests if found is not None)
    return f"{ours}, coint_johansen {theirs or 'no answer'}"


def _rank_note(rank: Rank) -> str:
    unused = "" if rank.configured else "`johansen` is not among the methods, so none of this was a candidate. "
    return (
        f"{unused}betapack and VECM have the constant inside the relations, so their traces must be equal. "
        "coint_johansen has it outside, where prices may drift. betapack's p-values are for the trace corrected for "
        "the size of the sample; the traces shown are not corrected."
    )


def _agreements(opinion: SecondOpinion) -> Table:
    return Table(
        "Second opinion: figures that must be equal up to rounding",
        ("what", "compared", "largest difference", "tolerance", "equal"),
        tuple(_agreement(agreement) for agreement in opinion.agreements),
        "The same formula on the same rows, computed by both. Differences are relative, and absolute below 1. The "
        "tolerance is what products of moments lose on rows as nearly dependent as these.",
    )


def _agreement(agreement: Agreement) -> tuple[str, ...]:
    if agreement.largest_difference is None or agreement.tolerance is None:
        return agreement.what, "0", "", "", agreement.reason
    return (
        agreement.what,
        f"{agreement.compared:,}",
        f"{agreement.largest_difference:.0e}",
        f"{agreement.tolerance:.0e}",
        "yes" if agreement.passed else "no",
    )


def _finding(p_value: float | None, level: float) -> str:
    if p_value is None:
        return "no answer"
    return "reverting" if p_value <= level else "no reversion"


def _weights(legs: tuple[str, ...], weights: tuple[float, ...] | None) -> str:
    if weights is None:
        return ""
    largest = np.sort(np.argsort(-np.abs(weights), kind="stable")[:_LEGS_SHOWN]).tolist()
    shown = " ".join(f"{legs[k]} {'+' if weights[k] > 0 else ''}{figure(weights[k])}" for k in largest)
    hidden = len(legs) - len(largest)
    return f"{shown} and {hidden} more" if hidden else shown


def _figure(value: float | None) -> str:
    return figure(float("nan") if value is None else value)


def _p_figure(value: float | None) -> str:
    return figure(float("nan")) if value is None else p_figure(value)
