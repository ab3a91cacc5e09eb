"""Prometheus metrics. Names carry units, labels come from the configuration and from closed lists."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from schemas.outbound import Alert, HedgeSuggestion, Model, QuoteSkew, RefusedSummary, ResidualExposure
from schemas.topics import TOPIC_OF
from stream.engine.runtime import SolveStage
from stream.engine.step import Output
from stream.events.types import RefusalReason
from stream.kafka.log import TopicPartition

# From a warm solve of one small book to a step over a thousand books.
SECONDS_BUCKETS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
UNKNOWN = float("nan")

SOURCES_SHOWN = 100
OTHER_SOURCES = "other"
"""Producers name the sources of quotes: labels of more of them than this would fill the memory of whoever scrapes."""


class _Registry(CollectorRegistry):
    """A registry of betapack's own metrics. Metrics are exposed in the order in which they are made."""

    def counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"betapack_{name}", help_text, labels, registry=self)

    def gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"betapack_{name}", help_text, labels, registry=self)

    def histogram(self, name: str, help_text: str, *labels: str) -> Histogram:
        return Histogram(f"betapack_{name}", help_text, labels, registry=self, buckets=SECONDS_BUCKETS)


class _StreamMetrics:
    """Records in and out, what waits, and how long each stage takes."""

    def __init__(self, registry: _Registry) -> None:
        self.read = registry.counter("messages_in", "Records read.", "topic")
        self.published = registry.counter("messages_out", "Messages published and acknowledged.", "topic")
        self.late = registry.counter("quotes_late", "Quotes left out because their timestep had closed.", "source")
        self.forgotten = registry.counter("quotes_forgotten", "Quotes left out because a correction names them.")
        self.corrections_waiting = registry.gauge(
            "corrections_waiting_count", "Corrections of quotes on which the figures stand until a rebuild."
        )
        self.bad = registry.counter("messages_bad", "Records that were refused.", "topic", "reason")
        self.summed_up = registry.counter(
            "dead_letters_summed_up",
            "Refused records that were counted in a summary instead of kept whole.",
            "topic",
            "reason",
        )
        self.levels_cut = registry.counter(
            "levels_cut", "Levels of quoted ladders left out, since no hedge can use them.", "instrument"
        )
        self.superseded = registry.counter(
            "positions_superseded", "Positions ignored because the book holds a newer level of the asset.", "book"
        )
        self.lag = registry.gauge("lag_records", "Records in the log that were not read yet.", "topic", "partition")
        self.buffered = registry.gauge("merge_buffered_records", "Records read and waiting for their turn.")
        self.idle = registry.gauge("partitions_idle_count", "Partitions of ticks too far behind to be waited for.")
        self.watermark = registry.gauge("watermark_seconds", "Event time up to which timesteps have closed.")
        self.step = registry.histogram("step_seconds", "Engine time of one event.", "event")
        self.solve = registry.histogram("solve_seconds", "Packing of all books of an event, hedge of one.", "stage")
        self.commit = registry.histogram("commit_seconds", "Time until outputs, and any snapshot due, are in the log.")
        self.turnaround = registry.histogram(
            "turnaround_seconds", "From a record's arrival in the process to the acknowledgement of what it caused."
        )


class _BookMetrics:
    """Each book's risk, packing and suggestion, as last published."""

    def __init__(self, registry: _Registry) -> None:
        self._residual_risk = registry.gauge(
            "residual_risk_numeraire", "Unhedged risk, one standard deviation a timestep; NaN while unknown.", "book"
        )
        self._horizon_risk = registry.gauge(
            "horizon_risk_numeraire",
            "Unhedged risk, one standard deviation over risk.horizon_steps; NaN while unknown.",
            "book",
        )
        self._horizon_basis_risk = registry.gauge(
            "horizon_basis_risk_numeraire", "Of it, risk of what is packed; NaN while unknown.", "book"
        )
        self._limit_share = registry.gauge(
            "limit_share_ratio", "Risk that the limit is on, over the limit; NaN while unknown.", "book"
        )
        self._packed = registry.gauge("packed_lots_count", "Lots of β packed out of a book.", "book")
        self._solves = registry.counter("packing_solves", "Packings published.", "book")
        self._proven = registry.counter(
            "packing_solves_proven", "Packings published with a proof of optimality.", "book"
        )
        self._gap = registry.gauge(
            "packing_gap_ratio",
            "Distance of a packing to its bound over its objective, 0 when proven; NaN while unknown.",
            "book",
        )
        self._unsolved = registry.counter("books_unknown", "Residual exposures without figures.", "book", "status")
        self._marked = registry.counter(
            "books_marked", "Residual exposures whose figures stand on doubtful input.", "book", "status"
        )
        self._clock_stops = registry.counter(
            "solves_stopped_by_clock", "Packings and hedges that the deadline cut short.", "book"
        )
        self._suggested_cost = registry.gauge(
            "suggested_cost_numeraire", "Expected cost of the suggested trades, 0 when none stand.", "book"
        )
        self._suggestion_age = registry.gauge(
            "suggestion_age_seconds", "Event time for which the suggested trades have stood, 0 when none stand.", "book"
        )
        # By book, the id of the suggestion that stands and the event time at which it was first seen.
        self._stands: dict[str, tuple[str, int]] = {}

    def expose(self, book: str) -> None:
        """Show a book before its first solve: unknown, not zero."""
        for gauge in (self._residual_risk, self._horizon_risk, self._horizon_basis_risk, self._limit_share, self._gap):
            gauge.labels(book).set(UNKNOWN)
        self._solves.labels(book)
        self._proven.labels(book)

    def residual(self, message: ResidualExposure) -> None:
        """Show what a residual exposure says."""
        for gauge, value in (
            (self._residual_risk, message.unhedged_risk),
            (self._horizon_risk, message.horizon_unhedged_risk),
            (self._horizon_basis_risk, message.horizon_basis_risk),
            (self._limit_share, message.limit_share),
        ):
            gauge.labels(message.book).set(UNKNOWN if value is None else value)
        self._gap.labels(message.book).set(_gap_share(message))
        if not message.has_figures:
            self._unsolved.labels(message.book, message.status).inc()
            return
        if message.status != "ok":
            self._marked.labels(message.book, message.status).inc()
        # No message says that trades were taken up. One that still stands is published again after this message.
        self._suggested_cost.labels(message.book).set(0.0)
        self._suggestion_age.labels(message.book).set(0.0)
        self._packed.labels(message.book).set(sum(abs(packed.multiples) for packed in message.packed))
        self._solves.labels(message.book).inc()
        if message.proven:
            self._proven.labels(message.book).inc()
        if message.stopped_by_clock:
            self._clock_stops.labels(message.book).inc()

    def suggestion(self, message: HedgeSuggestion) -> None:
        """Show what a suggestion says, and for how long it has stood."""
        suggestion_id, since_ns = self._stands.get(message.book, (None, 0))
        if suggestion_id != message.suggestion_id:
            since_ns = message.event_time_ns
            self._stands[message.book] = (message.suggestion_id, since_ns)
        age_ns = 0 if message.status == "none" else message.event_time_ns - since_ns
        self._suggestion_age.labels(message.book).set(age_ns / 1e9)
        self._suggested_cost.labels(message.book).set(message.expected_cost)
        if message.stopped_by_clock:
            self._clock_stops.labels(message.book).inc()


class _QuoteMetrics:
    """Each book's quote skew and internalisation zone, as last published."""

    def __init__(self, registry: _Registry) -> None:
        self._skew = registry.gauge(
            "quote_skew_ratio", "Skew last published, share of the price; NaN while unknown.", "book", "instrument"
        )
        self._urgency = registry.gauge(
            "hedge_urgency_ratio", "What a hedge is worth over its cost, as last published; NaN while unknown.", "book"
        )
        self._zone_risk = registry.gauge(
            "internalisation_risk_numeraire",
            "Least risk over one timestep at which crossing the bid-ask spread can beat waiting; NaN if unknown.",
            "book",
        )
        # By book, the instruments that its last message named.
        self._skewed: dict[str, tuple[str, ...]] = {}

    def quote(self, message: QuoteSkew) -> None:
        """Show what a skew says; an instrument that it names no more has an unknown one."""
        for gauge, value in ((self._urgency, message.urgency), (self._zone_risk, message.least_risk)):
            gauge.labels(message.book).set(UNKNOWN if value is None else value)
        for gone in self._skewed.get(message.book, ()):
            self._skew.labels(message.book, gone).set(UNKNOWN)
        self._skewed[message.book] = tuple(each.instrument for each in message.instruments)
        for each in message.instruments:
            self._skew.labels(message.book, each.instrument).set(1e-4 * each.skew_bps)


class _ModelMetrics:
    """The covariance, the β in use and the refits behind them."""

    def __init__(self, registry: _Registry) -> None:
        self._betas = registry.gauge("betas_in_use_count", "β vectors accepted by the last refit.")
        self.refit = registry.histogram("refit_seconds", "One refit, from its request to its result.")
        self._refit_age = registry.gauge(
            "refit_age_steps_count", "Timesteps since the last one that the refit behind the β in use saw."
        )
        self._refits_late = registry.counter("refits_late", "Timesteps whose model a refit came too late for.")
        self._candidates = registry.gauge("candidates_tried_count", "β vectors tried by the last refit.")
        self._observations = registry.gauge("covariance_observations_count", "Returns that the covariance has seen.")

    def model(self, message: Model) -> None:
        """Show what a model says."""
        self._betas.set(len(message.betas))
        self._refits_late.inc(message.refit_late)
        if message.refitted_at_timestep:
            self._refit_age.set(message.timestep - message.refitted_at_timestep)
        self._candidates.set(message.candidates_tried)
        self._observations.set(message.observations)


class Metrics:
    """The service's metrics in a registry of their own, so that two services in one process do not collide."""

    def __init__(self) -> None:
        self.registry = _Registry()
        self._stream = _StreamMetrics(self.registry)
        self._sources: set[str] = set()
        self._books = _BookMetrics(self.registry)
        self._quotes = _QuoteMetrics(self.registry)
        self._models = _ModelMetrics(self.registry)
        self._alerts = self.registry.gauge("alerts_active_count", "Alerts that stand.", "kind")
        self._snapshot_bytes = self.registry.gauge("snapshot_bytes", "Size of the last snapshot.")
        self._offsets_stored = self.registry.gauge(
            "group_offsets_stored_ratio", "1 while offsets can be stored with kafka.group, else 0."
        )
        self._offsets_stored.set(1.0)

    def exposition(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def expose(self, books: Iterable[str], alerts: Iterable[str]) -> None:
        """Show all books before their first solve, and the alerts that stood before a restart."""
        for book in books:
            self._books.expose(book)
        for alert_key in alerts:
            self._alerts.labels(alert_key.partition(":")[0]).inc()

    def time_solve(self, stage: SolveStage) -> AbstractContextManager[object]:
        """Time one stage of a solve, for ``with``."""
        return self._stream.solve.labels(stage).time()

    def time_step(self, event: str) -> AbstractContextManager[object]:
        """Time the engine's step for one kind of event, for ``with``."""
        return self._stream.step.labels(event).time()

    def time_commit(self) -> AbstractContextManager[object]:
        """Time a commit, for ``with``."""
        return self._stream.commit.time()

    def observe_refit(self, seconds: float) -> None:
        """A refit took `seconds` from its request to its result."""
        self._models.refit.observe(seconds)

    def observe_read(self, topic: str, records: int) -> None:
        """`records` of `topic` were read."""
        self._stream.read.labels(topic).inc(records)

    def observe_refused(self, topic: str, reason: RefusalReason) -> None:
        """A record of `topic`, or a part of one, could not be used."""
        self._stream.bad.labels(topic, reason).inc()

    def observe_late(self, source: str, quotes: int) -> None:
        """`quotes` of `source` came after their timestep had closed."""
        if source not in self._sources and len(self._sources) >= SOURCES_SHOWN:
            source = OTHER_SOURCES
        self._sources.add(source)
        self._stream.late.labels(source).inc(quotes)

    def observe_forgotten(self, quotes: int) -> None:
        """`quotes` were left out because a correction names them."""
        self._stream.forgotten.inc(quotes)

    def observe_corrections(self, waiting: int) -> None:
        """`waiting` corrections are of quotes that are in the state already."""
        self._stream.corrections_waiting.set(waiting)

    def observe_levels_cut(self, instrument: str, levels: int) -> None:
        """`levels` of a ladder of `instrument` were left out."""
        self._stream.levels_cut.labels(instrument).inc(levels)

    def observe_superseded(self, book: str) -> None:
        """A position was older than the level that `book` holds."""
        self._stream.superseded.labels(book).inc()

    def observe_turnaround(self, seconds: float) -> None:
        """What a record caused was acknowledged `seconds` after the record arrived."""
        self._stream.turnaround.observe(seconds)

    def observe_progress(self, lag: dict[TopicPartition, int], buffered: int, idle: int, watermark_ns: int) -> None:
        """How far reading is: `lag` and `buffered` in records, `idle` partitions, and the watermark."""
        for partition, records in lag.items():
            self._stream.lag.labels(partition.topic, partition.partition).set(records)
        self._stream.buffered.set(buffered)
        self._stream.idle.set(idle)
        self._stream.watermark.set(watermark_ns / 1e9)

    def observe_snapshot(self, size: int) -> None:
        """A snapshot of `size` bytes was taken."""
        self._snapshot_bytes.set(size)

    def observe_offsets_stored(self, stored: bool) -> None:
        """Offsets can be stored with the consumer group, or cannot."""
        self._offsets_stored.set(float(stored))

    def observe_output(self, message: Output) -> None:
        """Count a published message, and show what it says."""
        self._stream.published.labels(TOPIC_OF[type(message)].name).inc()
        match message:
            case ResidualExposure():
                self._books.residual(message)
            case HedgeSuggestion():
                self._books.suggestion(message)
            case QuoteSkew():
                self._quotes.quote(message)
            case Model():
                self._models.model(message)
            case Alert():
                self._alerts.labels(message.kind).inc(1 if message.state == "raised" else -1)
            case RefusedSummary():
                self._stream.summed_up.labels(message.topic, message.reason).inc(message.records)
            case _:
                pass  # a dead letter is counted when its record is refused


def _gap_share(message: ResidualExposure) -> float:
    """Share of the objective that a better packing could save at most."""
    if not message.has_figures:
        return float("nan")
    return message.gap / message.objective if message.gap and message.objective else 0.0
