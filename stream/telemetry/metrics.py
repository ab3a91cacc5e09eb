"""Prometheus metrics. Names carry units, labels come from the configuration and from closed lists."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from schemas.outbound import Alert, HedgeSuggestion, Model, QuoteSkew, ResidualExposure
from schemas.topics import TOPIC_OF
from stream.engine.runtime import SolveStage
from stream.engine.step import Output
from stream.events.types import RefusalReason
from stream.kafka.log import TopicPartition

# From a warm solve of one small book to a step over a thousand books.
SECONDS_BUCKETS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The service's metrics in a registry of their own, so that two services in one process do not collide."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._in = self._counter("messages_in", "Records read.", "topic")
        self._out = self._counter("messages_out", "Messages published and acknowledged.", "topic")
        self._late = self._counter("quotes_late", "Quotes left out because their timestep had closed.")
        self._bad = self._counter("messages_bad", "Messages sent to dead-letters.", "topic", "reason")
        self._superseded = self._counter(
            "positions_superseded", "Positions ignored because the book holds a newer level of the asset.", "book"
        )
        self._lag = self._gauge("lag_records", "Records in the log that were not read yet.", "topic", "partition")
        self._buffered = self._gauge("merge_buffered_records", "Records read and waiting for their turn.")
        self._idle = self._gauge("partitions_idle_count", "Partitions of ticks too far behind to be waited for.")
        self._watermark = self._gauge("watermark_seconds", "Event time up to which timesteps have closed.")
        self._step = self._histogram("step_seconds", "Engine time of one event.", "event")
        self._solve = self._histogram("solve_seconds", "Packing of all books of an event, hedge of one.", "stage")
        self._commit = self._histogram("commit_seconds", "Time to flush outputs and commit input offsets.")
        self._turnaround = self._histogram(
            "turnaround_seconds", "From a record's arrival in the process to the acknowledgement of what it caused."
        )
        self._residual_risk = self._gauge(
            "residual_risk_numeraire", "Unhedged risk, one standard deviation a timestep; NaN while unknown.", "book"
        )
        self._horizon_risk = self._gauge(
            "horizon_risk_numeraire",
            "Unhedged risk, one standard deviation over risk.horizon_steps; NaN while unknown.",
            "book",
        )
        self._horizon_basis_risk = self._gauge(
            "horizon_basis_risk_numeraire", "Of it, risk of what is packed; NaN while unknown.", "book"
        )
        self._limit_share = self._gauge(
            "limit_share_ratio", "Risk that the limit is on, over the limit; NaN while unknown.", "book"
        )
        self._packed = self._gauge("packed_lots_count", "Lots of β packed out of a book.", "book")
        self._solves = self._counter("packing_solves", "Packings published.", "book")
        self._proven = self._counter("packing_solves_proven", "Packings published with a proof of optimality.", "book")
        self._gap = self._gauge(
            "packing_gap_ratio",
            "Distance of a packing to its bound over its objective, 0 when proven; NaN while unknown.",
            "book",
        )
        self._unsolved = self._counter("books_unknown", "Residual exposures without figures.", "book", "status")
        self._clock_stops = self._counter(
            "solves_stopped_by_clock", "Packings and hedges that the deadline cut short.", "book"
        )
        self._suggested_cost = self._gauge(
            "suggested_cost_numeraire", "Expected cost of the suggested trades, 0 when none stand.", "book"
        )
        self._suggestion_age = self._gauge(
            "suggestion_age_seconds", "Event time for which the suggested trades have stood, 0 when none stand.", "book"
        )
        # By book, what stands and the event time at which it was first seen.
        self._stands: dict[str, tuple[str, int]] = {}
        self._skew = self._gauge(
            "quote_skew_ratio", "Skew last published, share of the price; NaN while unknown.", "book", "instrument"
        )
        self._urgency = self._gauge(
            "hedge_urgency_ratio", "What a hedge is worth over its cost, as last published; NaN while unknown.", "book"
        )
        self._zone_risk = self._gauge(
            "internalisation_risk_numeraire",
            "Least risk over one timestep at which crossing the spread can beat waiting; NaN while unknown.",
            "book",
        )
        self._skewed: dict[str, tuple[str, ...]] = {}
        self._betas = self._gauge("betas_in_use_count", "β vectors accepted by the last refit.")
        self._refit = self._histogram("refit_seconds", "One refit, from its request to its result.")
        self._refit_age = self._gauge(
            "refit_age_steps_count", "Timesteps since the last one that the refit behind the β in use saw."
        )
        self._refits_late = self._counter("refits_late", "Timesteps whose model a refit came too late for.")
        self._candidates = self._gauge("candidates_tried_count", "β vectors tried by the last refit.")
        self._observations = self._gauge("covariance_observations_count", "Returns that the covariance has seen.")
        self._alerts = self._gauge("alerts_active_count", "Alerts that stand.", "kind")
        self._snapshot_bytes = self._gauge("snapshot_bytes", "Size of the last snapshot.")

    def exposition(self) -> bytes:
        """All of them in the text format of Prometheus."""
        return generate_latest(self.registry)

    def expose(self, books: Iterable[str], alerts: Iterable[str]) -> None:
        """Show books before their first solve (unknown, not zero), and the alerts that stood before a restart."""
        for book in books:
            self._residual_risk.labels(book).set(float("nan"))
            self._horizon_risk.labels(book).set(float("nan"))
            self._horizon_basis_risk.labels(book).set(float("nan"))
            self._limit_share.labels(book).set(float("nan"))
            self._gap.labels(book).set(float("nan"))
            self._solves.labels(book)
            self._proven.labels(book)
        for alert_key in alerts:
            self._alerts.labels(alert_key.partition(":")[0]).inc()

    def time_solve(self, stage: SolveStage) -> AbstractContextManager[object]:
        return self._solve.labels(stage).time()

    def time_step(self, event: str) -> AbstractContextManager[object]:
        return self._step.labels(event).time()

    def time_commit(self) -> AbstractContextManager[object]:
        return self._commit.time()

    def observe_refit(self, seconds: float) -> None:
        self._refit.observe(seconds)

    def observe_read(self, topic: str, records: int) -> None:
        self._in.labels(topic).inc(records)

    def observe_refused(self, topic: str, reason: RefusalReason) -> None:
        self._bad.labels(topic, reason).inc()

    def observe_late(self, quotes: int) -> None:
        self._late.inc(quotes)

    def observe_superseded(self, book: str) -> None:
        self._superseded.labels(book).inc()

    def observe_turnaround(self, seconds: float) -> None:
        self._turnaround.observe(seconds)

    def observe_progress(self, lag: dict[TopicPartition, int], buffered: int, idle: int, watermark_ns: int) -> None:
        for partition, records in lag.items():
            self._lag.labels(partition.topic, partition.partition).set(records)
        self._buffered.set(buffered)
        self._idle.set(idle)
        self._watermark.set(watermark_ns / 1e9)

    def observe_snapshot(self, size: int) -> None:
        self._snapshot_bytes.set(size)

    def observe_output(self, message: Output) -> None:
        """Count a published message, and show what it says."""
        self._out.labels(TOPIC_OF[type(message)].name).inc()
        if isinstance(message, ResidualExposure):
            self._observe_residual(message)
        elif isinstance(message, HedgeSuggestion):
            self._observe_suggestion(message)
        elif isinstance(message, QuoteSkew):
            self._observe_quote(message)
        elif isinstance(message, Model):
            self._betas.set(len(message.betas))
            self._refits_late.inc(message.refit_late)
            if message.refitted_at_timestep:
                self._refit_age.set(message.timestep - message.refitted_at_timestep)
            self._candidates.set(message.candidates_tried)
            self._observations.set(message.observations)
        elif isinstance(message, Alert):
            self._alerts.labels(message.kind).inc(1 if message.state == "raised" else -1)

    def _observe_residual(self, message: ResidualExposure) -> None:
        unknown = float("nan")
        for gauge, value in (
            (self._residual_risk, message.unhedged_risk),
            (self._horizon_risk, message.horizon_unhedged_risk),
            (self._horizon_basis_risk, message.horizon_basis_risk),
            (self._limit_share, message.limit_share),
        ):
            gauge.labels(message.book).set(unknown if value is None else value)
        self._gap.labels(message.book).set(_gap_share(message))
        if message.status != "ok":
            self._unsolved.labels(message.book, message.status).inc()
            return
        # Nothing says that trades were taken up but that they are not said again, after this message.
        self._suggested_cost.labels(message.book).set(0.0)
        self._suggestion_age.labels(message.book).set(0.0)
        self._packed.labels(message.book).set(sum(abs(packed.multiples) for packed in message.packed))
        self._solves.labels(message.book).inc()
        if message.proven:
            self._proven.labels(message.book).inc()
        if message.stopped_by_clock:
            self._clock_stops.labels(message.book).inc()

    def _observe_suggestion(self, message: HedgeSuggestion) -> None:
        suggestion_id, since_ns = self._stands.get(message.book, (None, 0))
        if suggestion_id != message.suggestion_id:
            since_ns = message.event_time_ns
            self._stands[message.book] = (message.suggestion_id, since_ns)
        age_ns = 0 if message.status == "none" else message.event_time_ns - since_ns
        self._suggestion_age.labels(message.book).set(age_ns / 1e9)
        self._suggested_cost.labels(message.book).set(message.expected_cost)
        if message.stopped_by_clock:
            self._clock_stops.labels(message.book).inc()

    def _observe_quote(self, message: QuoteSkew) -> None:
        unknown = float("nan")
        for gauge, value in ((self._urgency, message.urgency), (self._zone_risk, message.least_risk)):
            gauge.labels(message.book).set(unknown if value is None else value)
        for gone in self._skewed.get(message.book, ()):
            self._skew.labels(message.book, gone).set(unknown)
        self._skewed[message.book] = tuple(each.instrument for each in message.instruments)
        for each in message.instruments:
            self._skew.labels(message.book, each.instrument).set(1e-4 * each.skew_bps)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"betapack_{name}", help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"betapack_{name}", help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, *labels: str) -> Histogram:
        return Histogram(f"betapack_{name}", help_text, labels, registry=self.registry, buckets=SECONDS_BUCKETS)


def _gap_share(message: ResidualExposure) -> float:
    """Share of the objective that a better packing could save at most."""
    if message.status != "ok":
        return float("nan")
    return message.gap / message.objective if message.gap and message.objective else 0.0
