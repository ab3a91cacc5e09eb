"""A share of cases as a figure, with its confidence interval."""

from __future__ import annotations

from scipy.stats import binomtest

from stream.bench.figures import Comparison, measure

CONFIDENCE = 0.95


def proportion(what: str, label: str, hits: int, cases: int, better: str, note: str) -> Comparison:
    """`hits` of `cases` in per cent; the note begins with the counts and their Clopper-Pearson interval.

    The interval takes the cases as independent. Where they are not, `note` should say so.

    Parameters
    ----------
    what, label, better : as for `stream.bench.figures.measure`.
    hits, cases : counts; cases >= 1.
    note : follows the counts.

    Raises
    ------
    ValueError : no case, or more hits than cases.

    References
    ----------
    Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case of the binomial,
    Biometrika 26(4).
    """
    return measure(what, label, 100.0 * hits / cases, "%", better, f"{counted(hits, cases)}; {note}")


def counted(hits: int, cases: int) -> str:
    """The counts with their interval, as ``3 of 500 (0.12 to 1.7 %)``."""
    interval = binomtest(hits, cases).proportion_ci(CONFIDENCE, method="exact")
    return f"{hits:,} of {cases:,} ({100.0 * interval.low:.3g} to {100.0 * interval.high:.3g} %)"
