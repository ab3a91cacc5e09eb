"""The last refit beside statsmodels: planted relations, walks, equal figures, and rows without an answer."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from statsmodels.tsa.stattools import adfuller
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from solver.reversion.live.betas import LiveBetas, renewed
from solver.reversion.refits.rolling import RollingReversion
from solver.reversion.refits.settings import ReversionSettings
from solver.reversion.vector import Method
from stream.config import ReversionConfig
from stream.config.reversion import reversion_settings
from stream.studies.read.prices import Prices
from stream.studies.validate.report import html
from stream.studies.validate.run import ValidateSettings, validate
from stream.studies.validate.second_opinion import reference as statsmodels
from stream.studies.validate.second_opinion.answers import Ours, Reference, SecondOpinion
from stream.studies.validate.second_opinion.differences import Case, differences, verdict
from stream.studies.validate.second_opinion.equality import Equality
from stream.studies.validate.second_opinion.opinion import LastRefit, second_opinion
from stream.studies.validate.second_opinion.shown import opinion_checks, opinion_tables
from stream.studies.validate.second_opinion.window import Window, rows_read
from stream.studies.validate.tables import text
from stream.studies.validate.walk import Models

METHODS: tuple[Method, ...] = ("sparse", "baskets", "johansen")


def settings_of(methods: tuple[Method, ...] = METHODS, **changed: Any) -> ReversionSettings:
    return reversion_settings(ReversionConfig(methods=methods, window_steps=400, holdout_steps=100, **changed))


def opinion_on(
    log_prices: np.ndarray, settings: ReversionSettings, timesteps: np.ndarray | None = None
) -> SecondOpinion:
    """The opinion on the refit that the solver itself makes of the latest rows."""
    read = log_prices[-rows_read(settings) :]
    names = tuple("ABCDEFGHIJKLMNOP"[: read.shape[1]])
    rolling = RollingReversion(len(names), settings, names)
    for row in read:
        rolling.push(row)
    fitted = rolling.refit()
    live = renewed(LiveBetas(), fitted, names, settings)
    refit = LastRefit(1, live.betas, fitted.candidates_tried, fitted.refusals)
    steps = np.arange(len(read)) if timesteps is None else timesteps[-len(read) :]
    return second_opinion(read, steps, names, settings, refit, "2020-01-01T00:00:00")


def walks(seed: int, n: int, T: int = 500) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(0.0, 0.01, (T, n)), axis=0)


def planted(seed: int, n: int = 3, weight: float = 0.8, T: int = 500) -> np.ndarray:
    """Walks, of which B is `weight` times A up to an AR(1) with a coefficient of .8."""
    log_prices = walks(seed, n, T)
    noise = np.random.default_rng(seed + 1000).normal(0.0, 0.005, T)
    deviation = np.zeros(T)
    for t in range(1, T):
        deviation[t] = 0.8 * deviation[t - 1] + noise[t]
    log_prices[:, 1] = weight * log_prices[:, 0] + deviation
    return log_prices


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_both_find_a_planted_relation(seed: int) -> None:
    """A/B reverts for both, with weights near (1, -1.25), and a half-life near the 3.1 rows of an AR(1) of .8."""
    opinion = opinion_on(planted(seed), settings_of(methods=("baskets",)))
    (beta,) = (beta for beta in opinion.betas if beta.legs == ("A", "B"))
    assert beta.in_use
    assert beta.agrees
    assert beta.verdict.startswith("agree: both find reversion")
    assert beta.reference.vecm_weights is not None
    assert beta.reference.vecm_half_life_steps is not None
    assert beta.reference.vecm_eigenvalue_half_life_steps is not None
    assert beta.ours.half_life_steps is not None
    np.testing.assert_allclose(beta.weights, (1.0, -1.25), atol=0.1)
    np.testing.assert_allclose(beta.reference.vecm_weights, (1.0, -1.25), atol=0.1)
    assert 2.0 < beta.ours.half_life_steps < 5.0
    assert 2.0 < beta.reference.vecm_half_life_steps < 5.0
    assert 2.0 < beta.reference.vecm_eigenvalue_half_life_steps < 5.0
    assert opinion.rank is not None
    assert opinion.rank.ours == opinion.rank.reference_by_trace == 1


@pytest.mark.slow
def test_both_find_nothing_in_walks() -> None:
    """Of 40 sets of three walks nearly all have rank 0 for both, no β, and refused candidates in its place.

    A test at 5 % leaves 38 of 40. coint_johansen takes driftless walks for related too often, so 34 are asked of it.
    """
    opinions = [opinion_on(walks(seed, 3), settings_of()) for seed in range(40)]
    ranks = [opinion.rank for opinion in opinions if opinion.rank is not None]
    assert sum(rank.ours == 0 for rank in ranks) >= 36
    assert sum(rank.reference_by_trace == 0 for rank in ranks) >= 34
    without = [opinion for opinion in opinions if not any(beta.in_use for beta in opinion.betas)]
    assert len(without) >= 36
    for opinion in without:
        assert len(opinion.betas) == 3
        assert all(beta.name.endswith(", refused") and not beta.ours.evidence for beta in opinion.betas)
    best = [beta for opinion in without for beta in opinion.betas]
    assert sum(beta.agrees is True for beta in best) > 0.7 * len(best)
    for beta in best:
        if not beta.agrees:
            assert beta.verdict.startswith("differ: statsmodels finds reversion")
            assert beta.differences


@pytest.mark.parametrize(("n", "lags"), [(2, 1), (5, 3), (12, 2)])
def test_the_same_model_on_the_same_rows_is_equal(n: int, lags: int) -> None:
    """Everything that must agree does; the traces are those of coint_johansen on rows that the test itself cuts out."""
    log_prices, settings = planted(4, n), settings_of(lags=lags)
    opinion = opinion_on(log_prices, settings)
    assert [agreement.passed for agreement in opinion.agreements][:3] == [True] * 3
    assert opinion.agreements[0].compared == opinion.agreements[1].compared == 2 * n
    assert all((agreement.tolerance or 0.0) < 1e-6 for agreement in opinion.agreements)
    fit = log_prices[-400 - lags - 1 : -100]
    expected = coint_johansen(fit, 0, lags)
    assert opinion.rank is not None
    np.testing.assert_allclose([test.drift_trace for test in opinion.rank.tests], expected.trace_stat, rtol=1e-8)
    np.testing.assert_allclose(
        [test.drift_trace_critical for test in opinion.rank.tests], expected.trace_stat_crit_vals[:, 1]
    )
    np.testing.assert_allclose(
        [test.trace for test in opinion.rank.tests],
        np.array([test.reference_trace for test in opinion.rank.tests]),
        rtol=1e-7,
        atol=1e-8,
    )
    for beta in opinion.betas:
        held = [ord(leg) - ord("A") for leg in beta.legs]
        given = adfuller(fit[:, held] @ beta.weights, maxlag=lags, autolag=None, result_object=False)
        assert beta.reference.adf_statistic == pytest.approx(given[0], rel=1e-8)
        assert beta.reference.adf_p_value == pytest.approx(given[1], rel=1e-6, abs=1e-12)


def test_a_chosen_lag_count_of_none() -> None:
    """Where the criterion takes no lags, VECM still agrees, and coint_johansen has another model, which is said."""
    opinion = opinion_on(walks(8, 3), settings_of(lags=3, lags_criterion="bic"))
    assert opinion.lags == 0
    inside, outside = opinion.agreements[:2]
    assert inside.passed
    assert outside.passed is None
    assert "without lagged differences" in outside.reason


def test_a_figure_that_is_not_equal_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace that is off by a ten-thousandth fails its check, and the line has both figures."""
    own = Window.johansen

    def off(window: Window) -> Any:
        fitted = own(window)
        assert fitted is not None
        return replace(fitted, trace=fitted.trace * 1.0001)

    monkeypatch.setattr(Window, "johansen", off)
    opinion = opinion_on(planted(4), settings_of())
    assert opinion.agreements[0].passed is False
    (failed,) = (check for check in opinion_checks(opinion) if check.passed is False)
    assert "constant inside the relations" in failed.text
    assert "0.0001" in failed.text


def test_no_figure_is_never_equal() -> None:
    """A comparison with what is no number fails; one where rounding could part the figures is not made."""
    equal = Equality("figures")
    equal.take(1.0, 1.0, 1e-8)
    equal.take(float("nan"), 1.0, 1e-8)
    assert equal.agreement().passed is False
    vague = Equality("figures")
    vague.take(1.0, 2.0, 0.1)
    assert vague.agreement().passed is None
    assert "too nearly dependent" in vague.agreement().reason


def test_gaps_are_counted_and_change_nothing() -> None:
    """Both take each row for one step: with gaps in the grid every figure is the same, and the gaps are named."""
    log_prices, settings = planted(5), settings_of()
    days = np.arange(len(log_prices)) + 2 * (np.arange(len(log_prices)) // 5)
    even, gapped = opinion_on(log_prices, settings), opinion_on(log_prices, settings, days)
    assert even.gaps == 0
    assert (gapped.gaps, gapped.longest_gap_steps) == (80, 3)
    assert gapped.betas == even.betas
    assert [d.about for d in gapped.differences] == [*(d.about for d in even.differences), "gaps"]
    assert "80 rows" in gapped.differences[-1].text


def test_more_assets_than_the_tables_have() -> None:
    """With 14 assets coint_johansen has no critical value for the first hypotheses: no rank, and the reason is said."""
    opinion = opinion_on(planted(6, 14), settings_of())
    rank = opinion.rank
    assert rank is not None
    assert [test.drift_trace_critical is None for test in rank.tests] == [True] * 2 + [False] * 12
    assert rank.ours is not None
    assert rank.reference_by_trace is rank.reference_by_max_eigenvalue is None
    assert any("end at 12 series" in reason for reason in rank.reasons)
    assert opinion.agreements[0].passed
    assert opinion.agreements[1].passed


def test_a_constant_column() -> None:
    """Of all assets together there is no answer, with both reasons; the β of the others has its opinion."""
    log_prices = planted(7)
    log_prices[:, 2] = 1.0
    opinion = opinion_on(log_prices, settings_of())
    assert opinion.rank is not None
    assert opinion.rank.ours is None
    assert any("C does not move" in reason for reason in opinion.rank.reasons)
    assert opinion.agreements[0].passed is None
    assert [beta.legs for beta in opinion.betas] == [("A", "B")]
    assert opinion.betas[0].reference.adf_p_value is not None
    assert not any(check.passed is False for check in opinion_checks(opinion))


def test_an_exact_relation_is_no_finding() -> None:
    """Three currencies and their cross: what statsmodels makes of rounding is not held against betapack."""
    log_prices = walks(9, 3)
    log_prices[:, 2] = log_prices[:, 0] - log_prices[:, 1]
    opinion = opinion_on(log_prices, settings_of())
    assert opinion.rank is not None
    assert opinion.rank.ours is None
    assert [agreement.passed for agreement in opinion.agreements[:2]] == [None, None]
    assert not any(check.passed is False for check in opinion_checks(opinion))


@pytest.mark.parametrize(
    ("log_prices", "reason"),
    [
        (walks(1, 1, 402), "at least 2 assets"),
        (walks(1, 3, 300), "log prices, got"),
        (np.where(np.arange(402)[:, None] == 7, np.nan, walks(1, 3, 402)), "one is missing"),
    ],
    ids=["one asset", "too few rows", "a missing price"],
)
def test_rows_without_an_answer(log_prices: np.ndarray, reason: str) -> None:
    """The reason stands in place of the opinion, in a line that is no finding, and no table is shown."""
    names = tuple("ABC"[: log_prices.shape[1]])
    opinion = second_opinion(log_prices, np.arange(len(log_prices)), names, settings_of(), LastRefit(1), "")
    assert reason in opinion.reason
    (line,) = opinion_checks(opinion)
    assert line.passed is None
    assert reason in line.text
    assert opinion_tables(opinion) == []


def test_statsmodels_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises is a reason, and a verdict that there is none."""

    def broken(*arguments: Any) -> Any:
        raise np.linalg.LinAlgError("Singular matrix")

    for name in ("adf", "engle_granger", "vecm", "johansen_with_drift", "johansen_without_drift", "persistence"):
        monkeypatch.setattr(statsmodels, name, broken)
    opinion = opinion_on(planted(1), settings_of())
    assert opinion.betas
    for beta in opinion.betas:
        assert beta.agrees is None
        assert beta.verdict.startswith("no second opinion: ")
        assert "adfuller: Singular matrix" in beta.reference.reasons
    assert all(agreement.passed is None for agreement in opinion.agreements)
    assert not any(check.passed is not None for check in opinion_checks(opinion))
    assert all(table.title for table in opinion_tables(opinion))


def test_a_long_search_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """On many rows adfuller is not asked for a lag count of its own, which is said; all else is answered."""
    monkeypatch.setattr(statsmodels, "MOST_LAG_SEARCH", 200)
    opinion = opinion_on(planted(1), settings_of())
    for beta in opinion.betas:
        assert beta.agrees is not None
        assert beta.reference.adf_own_lags is beta.reference.adf_own_lags_p_value is None
        assert any("more than 200 rows" in reason for reason in beta.reference.reasons)


def test_warnings_are_remarks() -> None:
    """A warning of statsmodels ends nothing: it is noted with its question, once; deprecations are not."""
    asked = statsmodels.Asked()

    def warns() -> float:
        import warnings

        warnings.warn("nearly\ncollinear", stacklevel=1)
        warnings.warn("will change", FutureWarning, stacklevel=1)
        return 1.0

    assert asked("coint", warns) == asked("coint", warns) == 1.0
    assert asked.warnings == ["coint: nearly collinear"]


OURS = Ours(
    test="Dickey-Fuller",
    statistic=-4.0,
    p_value=0.0014,
    half_life_steps=10.0,
    held_back_half_life_steps=10.0,
    basis_ratio=0.1,
    basis_ratio_upper=0.2,
    evidence=("basis",),
    refuted=(),
)
THEIRS = Reference(
    adf_statistic=-4.0,
    adf_p_value=0.0014,
    adf_own_lags=1,
    adf_own_lags_p_value=0.002,
    adf_window_p_value=0.001,
    engle_granger_statistic=-4.0,
    engle_granger_p_value=0.007,
    half_life_steps=10.0,
    vecm_weights=(1.0, -1.0),
    vecm_half_life_steps=10.0,
    vecm_eigenvalue_half_life_steps=10.0,
    angle_degrees=1.0,
)
CASE = Case(
    method="sparse",
    legs=2,
    assets=5,
    tried=10,
    own_statistic=-4.0,
    tables_p_value=0.0014,
    ours=OURS,
    reference=THEIRS,
)


def case_of(ours: dict[str, Any], theirs: dict[str, Any], **changed: Any) -> Case:
    own, other = msgspec.structs.replace(OURS, **ours), msgspec.structs.replace(THEIRS, **theirs)
    return replace(CASE, ours=own, reference=other, **changed)


@pytest.mark.parametrize(
    ("case", "about", "words"),
    [
        (case_of({"p_value": 0.02}, {}, tables_p_value=0.02), "false discoveries", "one of 10 that were tried"),
        (case_of({"p_value": 0.09}, {}), "volatility", "p-value of 0.00140, for constant volatility"),
        (case_of({"statistic": -1.5, "p_value": 0.5}, {}, tables_p_value=0.5), "weights kept", "(t −1.50)"),
        (case_of({"statistic": None, "p_value": None}, {}), "candidates", "no longer proposes it"),
        (case_of({"half_life_steps": 80.0}, {}), "half-life", "80.0 rows, asked 1.00 to 60.0"),
        (case_of({"held_back_half_life_steps": None}, {}), "half-life", "on the held-back rows"),
        (case_of({"refuted": ("reverting",)}, {}), "the watch", "refuted its reversion"),
        (case_of({}, {}), "candidates", "what is left is changing volatility"),
        (
            case_of({"p_value": 0.3, "test": "likelihood ratio"}, {}, method="baskets"),
            "fitted weights",
            "the 10 ways to choose 2 of 5 assets",
        ),
    ],
)
def test_why_the_refit_refuses_what_statsmodels_finds(case: Case, about: str, words: str) -> None:
    """Each reason for which a β is not taken for reverting is told, with its own figures."""
    agrees, said = verdict(case, 0.05)
    assert agrees is False
    assert said.startswith("differ: statsmodels finds reversion")
    first = differences(case, settings_of())[0]
    assert first.about == about
    assert words in first.text


@pytest.mark.parametrize(
    ("case", "about", "words"),
    [
        (
            case_of({"test": "likelihood ratio"}, {"engle_granger_p_value": 0.2}, method="baskets"),
            "what is tested",
            "coint (t −4.00)",
        ),
        (
            case_of({"test": "Johansen's trace"}, {"engle_granger_p_value": None, "trace": 9.0, "trace_critical": 15.5},
                    method="johansen"),
            "deterministic term",
            "inside the relation",
        ),
        (case_of({}, {"adf_p_value": 0.2}, own_statistic=-1.0), "weights kept", "(t −1.00)"),
    ],
)  # fmt: skip
def test_why_the_refit_accepts_what_statsmodels_does_not(case: Case, about: str, words: str) -> None:
    """And the other way round."""
    case = replace(case, ours=msgspec.structs.replace(case.ours, evidence=("reverting",)))
    agrees, said = verdict(case, 0.05)
    assert agrees is False
    assert said.startswith("differ: betapack finds reversion")
    first = differences(case, settings_of())[0]
    assert first.about == about
    assert words in first.text


@pytest.mark.parametrize(
    ("theirs", "about", "words"),
    [
        ({"engle_granger_p_value": 0.2}, "fitted weights", "p 0.200"),
        ({"adf_own_lags": 7, "adf_own_lags_p_value": 0.2}, "lag count", "chooses 7 lagged differences"),
        ({"adf_window_p_value": 0.2}, "held-back rows", "the latest 100 rows"),
        ({"trace": 9.0, "trace_critical": 15.5}, "two tests of statsmodels", "trace is 9.00 beside 15.5"),
        ({"angle_degrees": 45.0}, "weights", "45.0° apart"),
        ({"vecm_half_life_steps": 20.0}, "half-life", "20.0 rows for those of the VECM"),
        ({"vecm_eigenvalue_half_life_steps": None}, "half-life", "and none by its eigenvalue"),
    ],
)
def test_differences_beside_the_verdict(theirs: dict[str, Any], about: str, words: str) -> None:
    """Where answers of statsmodels part from each other, it is said; where all agree, nothing is."""
    same = replace(CASE, ours=msgspec.structs.replace(OURS, evidence=("reverting",)))
    assert verdict(same, 0.05)[0]
    assert differences(same, settings_of()) == ()
    apart = replace(same, reference=msgspec.structs.replace(THEIRS, **theirs))
    assert about in [difference.about for difference in differences(apart, settings_of())]
    assert any(words in difference.text for difference in differences(apart, settings_of()))


def test_a_pair_in_other_weights_is_no_agreement() -> None:
    """Both find reversion, but 45° apart: of two legs there is one relation, so one of them is wrong."""
    case = case_of({"evidence": ("reverting",)}, {"angle_degrees": 45.0})
    agrees, words = verdict(case, 0.05)
    assert agrees is False
    assert "45.0° apart" in words
    assert verdict(replace(case, legs=3), 0.05)[0]


@pytest.mark.slow
def test_in_a_validation(related: Prices, models: Models) -> None:
    """The walk's last refit is found again in the file's rows: its half-lives are those of AutoReg, to rounding.

    The opinion stands in the verdict, the tables, the report and the figures.
    """
    run = validate(related, "simulated", ValidateSettings(models, 1, 7), lambda said: None, lambda: False)
    opinion = run.validation.second_opinion
    assert [beta.name for beta in opinion.betas] == ["sparse:A/B"]
    assert opinion.requested_at in [str(t) for t in related.times_ns.astype("datetime64[ns]").astype("datetime64[s]")]
    assert opinion.agreements[3].what.startswith("persistence")
    assert all(agreement.passed for agreement in opinion.agreements)
    assert not run.validation.found
    printed, page = text(run.validation), html(run.validation, [])
    for shown in (printed, page):
        assert "Second opinion" in shown
        assert "adfuller, weights as given" in shown
    assert '<table class="prose">' in page
    decoded = msgspec.json.decode(msgspec.json.encode(run.validation), type=dict)
    assert msgspec.convert(decoded["second_opinion"], SecondOpinion) == opinion


def test_without_a_refit(related: Prices, models: Models) -> None:
    """A file too short for a refit says so."""
    short = replace(
        related, prices=related.prices[:100], timesteps=related.timesteps[:100], times_ns=related.times_ns[:100]
    )
    run = validate(short, "simulated", ValidateSettings(models, 1, 7), lambda said: None, lambda: False)
    assert "no refit" in run.validation.second_opinion.reason
    assert any("no refit" in check.text and check.passed is None for check in run.validation.checks)


@pytest.mark.slow
def test_statsmodels_is_loaded_when_asked() -> None:
    """A validation loads it with the first question, after the walk; a bad option is told without that wait."""
    program = "import sys; import stream.studies.validate.command; assert 'statsmodels' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
