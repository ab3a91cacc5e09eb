"""Metrics: each figure an operator needs exists under a name with its unit, and moves when what it counts happens."""

from __future__ import annotations

import math

import msgspec
import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.registry import Collector

from schemas.outbound import (
    Alert,
    HedgeSuggestion,
    InstrumentSkew,
    Model,
    ModelBeta,
    PackedBeta,
    QuoteSkew,
    ResidualExposure,
)
from stream.kafka.log import TopicPartition
from stream.telemetry.metrics import Metrics

UNITS = ("_total", "_seconds", "_records", "_bytes", "_ratio", "_count", "_numeraire")


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"betapack_{name}", labels)


def residual(**changes: object) -> ResidualExposure:
    fields: dict[str, object] = {
        "id": "residual/spot/1/1/1",
        "book": "spot",
        "universe": "fx",
        "event_time_ns": 1,
        "timestep": 1,
        "model_version": 1,
        "trigger": "timestep",
        "status": "ok",
        "numeraire": "USD",
        "limit": 1000.0,
        "unhedged_risk": 250.0,
        "limit_share": 0.25,
        "proven": True,
    }
    return ResidualExposure(**(fields | changes))


def suggestion(cost: float) -> HedgeSuggestion:
    return HedgeSuggestion(
        id="hedge/spot/1/1/1",
        book="spot",
        event_time_ns=1,
        timestep=1,
        model_version=1,
        residual_exposure_id="residual/spot/1/1/1",
        status="trade" if cost else "none",
        numeraire="USD",
        limit=1000.0,
        target=800.0,
        risk_before=1200.0,
        risk_after=700.0,
        expected_cost=cost,
        cost_lower_bound=cost,
        proven=True,
    )


def model(betas: int) -> Model:
    beta = ModelBeta(
        beta_id="sparse:EUR/CHF",
        method="sparse",
        evidence=("basis",),
        weights={"EUR": 1.0, "CHF": -1.0},
        basis_ratio=0.1,
        basis_horizon_steps=1,
    )
    return Model(
        id="model/fx/1/1",
        universe="fx",
        numeraire="USD",
        event_time_ns=1,
        timestep=1,
        model_version=1,
        assets=("EUR", "CHF"),
        prices=(1.0, 1.0),
        observations=77,
        betas=(beta,) * betas,
        candidates_tried=3,
    )


def alert(state: str, kind: str = "limit-breach") -> Alert:
    return Alert(
        id=f"alert/{kind}:spot/{state}/1",
        alert_key=f"{kind}:spot",
        kind=kind,
        state=state,
        severity="critical",
        subject="spot",
        event_time_ns=1,
        timestep=1,
        message="",
    )


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def collectors(metrics: Metrics) -> list[Collector]:
    return list(metrics.registry._collector_to_names)


def test_every_name_carries_its_unit(metrics: Metrics) -> None:
    """Counters end in _total, histograms in _seconds, gauges in the unit of what they show."""
    found = collectors(metrics)
    assert len(found) > 20
    for collector in found:
        (family,) = list(collector.collect())
        name = f"{family.name}_total" if isinstance(collector, Counter) else family.name
        assert name.startswith("betapack_")
        assert name.endswith(UNITS), name
        assert family.documentation
        if isinstance(collector, Histogram):
            assert name.endswith("_seconds")


def test_labels_come_from_the_configuration_or_a_closed_list(metrics: Metrics) -> None:
    """Nothing that grows with the messages (an id, a time, a text) is a label."""
    bounded = {"topic", "partition", "reason", "book", "instrument", "kind", "event", "stage", "status", "source"}
    for collector in collectors(metrics):
        assert isinstance(collector, Counter | Gauge | Histogram)
        assert set(collector._labelnames) <= bounded


def test_messages_in_are_counted_by_topic(metrics: Metrics) -> None:
    metrics.observe_read("ticks", 5)
    metrics.observe_read("ticks", 2)
    metrics.observe_read("positions", 1)
    assert sample(metrics, "messages_in_total", topic="ticks") == 7
    assert sample(metrics, "messages_in_total", topic="positions") == 1


@pytest.mark.parametrize(
    ("message", "topic"),
    [
        (residual(), "residual-exposure"),
        (suggestion(5.0), "hedge-suggestions"),
        (model(1), "models"),
        (alert("raised"), "alerts"),
    ],
)
def test_messages_out_are_counted_by_topic(metrics: Metrics, message: Model, topic: str) -> None:
    """Each published message counts on its topic."""
    metrics.observe_output(message)
    metrics.observe_output(message)
    assert sample(metrics, "messages_out_total", topic=topic) == 2


def test_late_quotes_and_bad_messages_are_counted(metrics: Metrics) -> None:
    """Late ones by number, bad ones by topic and reason."""
    metrics.observe_late("feed A", 3)
    metrics.observe_late("EURUSD in ticks[1]", 1)
    metrics.observe_refused("ticks", "crossed")
    metrics.observe_refused("ticks", "crossed")
    metrics.observe_refused("positions", "unknown-book")
    assert sample(metrics, "quotes_late_total", source="feed A") == 3
    assert sample(metrics, "quotes_late_total", source="EURUSD in ticks[1]") == 1
    assert sample(metrics, "messages_bad_total", topic="ticks", reason="crossed") == 2
    assert sample(metrics, "messages_bad_total", topic="positions", reason="unknown-book") == 1


def test_sources_of_late_quotes_are_no_labels_without_end(metrics: Metrics) -> None:
    """Producers name them. Beyond a hundred names the quotes are counted together."""
    for number in range(1000):
        metrics.observe_late(f"feed {number}", 1)
    metrics.observe_late("feed 7", 1)
    assert sample(metrics, "quotes_late_total", source="feed 7") == 2
    assert sample(metrics, "quotes_late_total", source="other") == 900
    assert metrics.exposition().count(b"betapack_quotes_late_total{") == 101


def test_levels_that_were_cut_are_counted_by_instrument(metrics: Metrics) -> None:
    """Which feed sends more of its ladders than hedges can use."""
    metrics.observe_levels_cut("EURUSD", 99_000)
    metrics.observe_levels_cut("EURUSD", 1)
    assert sample(metrics, "levels_cut_total", instrument="EURUSD") == 99_001


def test_progress_shows_lag_buffer_idle_partitions_and_watermark(metrics: Metrics) -> None:
    """Lag by partition, and it goes down again."""
    metrics.observe_progress({TopicPartition("ticks", 1): 40}, buffered=7, idle=1, watermark_ns=1_500_000_000)
    assert sample(metrics, "lag_records", topic="ticks", partition="1") == 40
    assert sample(metrics, "merge_buffered_records") == 7
    assert sample(metrics, "partitions_idle_count") == 1
    assert sample(metrics, "watermark_seconds") == 1.5
    metrics.observe_progress({TopicPartition("ticks", 1): 0}, buffered=0, idle=0, watermark_ns=2_000_000_000)
    assert sample(metrics, "lag_records", topic="ticks", partition="1") == 0
    assert sample(metrics, "partitions_idle_count") == 0


def test_steps_solves_commits_and_turnarounds_are_timed(metrics: Metrics) -> None:
    """Histograms in seconds, solves by their stage and steps by their event."""
    with metrics.time_step("Timestep"), metrics.time_solve("pack"), metrics.time_solve("hedge"), metrics.time_commit():
        pass
    metrics.observe_turnaround(0.02)
    assert sample(metrics, "step_seconds_count", event="Timestep") == 1
    assert sample(metrics, "solve_seconds_count", stage="pack") == 1
    assert sample(metrics, "solve_seconds_count", stage="hedge") == 1
    assert sample(metrics, "commit_seconds_count") == 1
    assert sample(metrics, "turnaround_seconds_sum") == 0.02
    assert sample(metrics, "turnaround_seconds_bucket", le="0.01") == 0
    assert sample(metrics, "turnaround_seconds_bucket", le="0.025") == 1


def test_residual_risk_and_limit_share_by_book(metrics: Metrics) -> None:
    """The latest figures of each book, and NaN, not zero and not the last number, while they are unknown."""
    metrics.observe_output(residual())
    metrics.observe_output(residual(book="options", unhedged_risk=50.0, limit_share=0.5))
    metrics.observe_output(residual(horizon_unhedged_risk=700.0, horizon_basis_risk=300.0))
    assert sample(metrics, "horizon_risk_numeraire", book="spot") == 700.0
    assert sample(metrics, "horizon_basis_risk_numeraire", book="spot") == 300.0
    assert sample(metrics, "residual_risk_numeraire", book="spot") == 250.0
    assert sample(metrics, "limit_share_ratio", book="spot") == 0.25
    assert sample(metrics, "limit_share_ratio", book="options") == 0.5
    metrics.observe_output(residual(status="unpriced", unhedged_risk=None, limit_share=None, proven=False))
    for gauge in ("residual_risk_numeraire", "horizon_risk_numeraire", "horizon_basis_risk_numeraire"):
        assert math.isnan(sample(metrics, gauge, book="spot"))
    assert math.isnan(sample(metrics, "limit_share_ratio", book="spot"))
    assert sample(metrics, "limit_share_ratio", book="options") == 0.5


def test_the_share_of_proven_packings_can_be_read(metrics: Metrics) -> None:
    """Proven over all solves by book; a book that could not be priced counts in neither."""
    metrics.observe_output(residual())
    metrics.observe_output(residual(proven=False, stopped_by_clock=True))
    metrics.observe_output(residual(status="unpriced", unhedged_risk=None, limit_share=None, proven=False))
    assert sample(metrics, "packing_solves_total", book="spot") == 2
    assert sample(metrics, "packing_solves_proven_total", book="spot") == 1
    assert sample(metrics, "solves_stopped_by_clock_total", book="spot") == 1


def test_the_gap_of_a_packing_is_shown_as_a_share(metrics: Metrics) -> None:
    """Of the objective; 0 when proven, also where the objective is 0 itself; NaN while unknown."""
    metrics.observe_output(residual(proven=False, objective=8.0, lower_bound=6.0, gap=2.0))
    assert sample(metrics, "packing_gap_ratio", book="spot") == 0.25
    metrics.observe_output(residual(objective=8.0, lower_bound=8.0, gap=0.0))
    assert sample(metrics, "packing_gap_ratio", book="spot") == 0.0
    metrics.observe_output(residual(objective=0.0, lower_bound=0.0, gap=0.0))
    assert sample(metrics, "packing_gap_ratio", book="spot") == 0.0
    metrics.observe_output(residual(status="no-model", proven=False))
    assert math.isnan(sample(metrics, "packing_gap_ratio", book="spot"))


def test_marked_figures_are_shown_and_counted_as_marked(metrics: Metrics) -> None:
    """The risk of an incomplete book is shown, its share of the limit is unknown."""
    metrics.observe_output(residual(status="incomplete", unhedged_risk=8.0, limit_share=None))
    assert sample(metrics, "residual_risk_numeraire", book="spot") == 8.0
    assert math.isnan(sample(metrics, "limit_share_ratio", book="spot"))
    assert sample(metrics, "books_marked_total", book="spot", status="incomplete") == 1


def test_packed_lots_are_counted_whatever_their_sign(metrics: Metrics) -> None:
    """Lots packed short hedge as many as lots packed long."""
    packed = [
        PackedBeta(
            beta_id=str(multiples), weights={}, multiples=multiples, lot_notional=1.0, basis_ratio=0.1, basis_risk=0.0
        )
        for multiples in (3, -4)
    ]
    metrics.observe_output(residual(packed=tuple(packed)))
    assert sample(metrics, "packed_lots_count", book="spot") == 7


def test_the_model_in_use_is_shown(metrics: Metrics) -> None:
    """β in use and tried, and how much the covariance has seen; no reliable vector shows as zero."""
    metrics.observe_output(model(2))
    assert sample(metrics, "betas_in_use_count") == 2
    assert sample(metrics, "candidates_tried_count") == 3
    assert sample(metrics, "covariance_observations_count") == 77
    metrics.observe_output(model(0))
    assert sample(metrics, "betas_in_use_count") == 0


def test_the_age_of_the_betas_and_late_refits_are_shown(metrics: Metrics) -> None:
    """A refit that hangs lets the age grow; before the first one there is none."""
    metrics.observe_output(msgspec.structs.replace(model(0), timestep=9))
    assert sample(metrics, "refit_age_steps_count") == 0
    for timestep, late in ((41, False), (42, True), (43, True)):
        message = msgspec.structs.replace(model(1), timestep=timestep, refitted_at_timestep=40, refit_late=late)
        metrics.observe_output(message)
        assert sample(metrics, "refit_age_steps_count") == timestep - 40
    assert sample(metrics, "refits_late_total") == 2
    metrics.observe_refit(0.03)
    assert sample(metrics, "refit_seconds_sum") == 0.03


def test_the_suggested_cost_goes_back_to_zero_when_the_suggestion_is_withdrawn(metrics: Metrics) -> None:
    """What is shown is what stands."""
    metrics.observe_output(suggestion(125.0))
    assert sample(metrics, "suggested_cost_numeraire", book="spot") == 125.0
    metrics.observe_output(suggestion(0.0))
    assert sample(metrics, "suggested_cost_numeraire", book="spot") == 0.0


def test_the_age_of_a_suggestion_that_nobody_takes_up_grows_in_event_time(metrics: Metrics) -> None:
    """From when its id was first seen; back to 0, with the cost, when it is taken up, withdrawn or replaced."""

    def seen(suggestion_id: str, at_s: int, cost: float = 125.0) -> tuple[float | None, float | None]:
        metrics.observe_output(residual(event_time_ns=at_s * 10**9))
        if suggestion_id:
            told = msgspec.structs.replace(suggestion(cost), suggestion_id=suggestion_id, event_time_ns=at_s * 10**9)
            metrics.observe_output(told)
        return tuple(
            sample(metrics, name, book="spot") for name in ("suggestion_age_seconds", "suggested_cost_numeraire")
        )

    assert [seen("a", 100), seen("a", 130), seen("b", 150), seen("b", 151)] == [(0, 125), (30, 125), (0, 125), (1, 125)]
    assert seen("", 152) == (0, 0)
    assert seen("c", 160) == (0, 125)
    assert seen("c", 170, 0.0) == (0, 0)


def test_the_quote_skew_is_shown_and_taken_back(metrics: Metrics) -> None:
    """As a share of the price by instrument, with urgency and the zone's risk; unknown once it holds no more."""
    fields = {
        "id": "quote/spot/1/1/1",
        "book": "spot",
        "universe": "fx",
        "event_time_ns": 1,
        "timestep": 1,
        "model_version": 1,
        "numeraire": "USD",
        "flows": "franchise",
        "flows_hash": "0",
        "residual_exposure_id": "residual/spot/1/1/1",
    }
    skews = (InstrumentSkew(instrument="EURUSD", skew_bps=-0.25), InstrumentSkew(instrument="EURCHF", skew_bps=0.5))
    metrics.observe_output(
        QuoteSkew(status="ok", urgency=1.5, least_risk=900.0, instruments=skews, **fields)  # type: ignore[arg-type]
    )
    assert sample(metrics, "quote_skew_ratio", book="spot", instrument="EURUSD") == pytest.approx(-2.5e-5)
    assert sample(metrics, "quote_skew_ratio", book="spot", instrument="EURCHF") == pytest.approx(5e-5)
    assert sample(metrics, "hedge_urgency_ratio", book="spot") == 1.5
    assert sample(metrics, "internalisation_risk_numeraire", book="spot") == 900.0
    metrics.observe_output(QuoteSkew(status="unpriced", **fields))  # type: ignore[arg-type]
    assert math.isnan(sample(metrics, "quote_skew_ratio", book="spot", instrument="EURUSD"))
    assert math.isnan(sample(metrics, "hedge_urgency_ratio", book="spot"))
    assert math.isnan(sample(metrics, "internalisation_risk_numeraire", book="spot"))


def test_active_alerts_are_those_raised_and_not_cleared(metrics: Metrics) -> None:
    """By kind, counting those that stood before a restart."""
    metrics.expose([], ["limit-breach:options", "price-stale:EUR"])
    metrics.observe_output(alert("raised"))
    assert sample(metrics, "alerts_active_count", kind="limit-breach") == 2
    assert sample(metrics, "alerts_active_count", kind="price-stale") == 1
    metrics.observe_output(alert("cleared"))
    metrics.observe_output(alert("cleared", "price-stale"))
    assert sample(metrics, "alerts_active_count", kind="limit-breach") == 1
    assert sample(metrics, "alerts_active_count", kind="price-stale") == 0


def test_books_are_there_before_their_first_solve(metrics: Metrics) -> None:
    """Unknown, not zero; so a panel shows every book from the start."""
    metrics.expose(["spot"], [])
    assert math.isnan(sample(metrics, "residual_risk_numeraire", book="spot"))
    assert math.isnan(sample(metrics, "horizon_risk_numeraire", book="spot"))
    assert math.isnan(sample(metrics, "horizon_basis_risk_numeraire", book="spot"))
    assert math.isnan(sample(metrics, "limit_share_ratio", book="spot"))
    assert math.isnan(sample(metrics, "packing_gap_ratio", book="spot"))
    assert sample(metrics, "packing_solves_total", book="spot") == 0
    assert sample(metrics, "packing_solves_proven_total", book="spot") == 0


def test_the_snapshot_size_is_shown(metrics: Metrics) -> None:
    metrics.observe_snapshot(4096)
    assert sample(metrics, "snapshot_bytes") == 4096


def test_two_services_in_one_process_do_not_collide() -> None:
    """Each has a registry of its own."""
    first, second = Metrics(), Metrics()
    first.observe_snapshot(1)
    assert sample(second, "snapshot_bytes") == 0


def test_they_are_told_as_text(metrics: Metrics) -> None:
    """As Prometheus reads them."""
    metrics.observe_late("lp", 2)
    assert b'\nbetapack_quotes_late_total{source="lp"} 2.0\n' in metrics.exposition()
