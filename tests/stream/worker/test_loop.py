"""The loop: what is read is processed, published and committed; buffers stay bounded; a silent feed is noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from schemas.inbound import Position, Tick
from schemas.internal import Snapshot
from schemas.outbound import Alert, DeadLetter, Model, ResidualExposure
from schemas.wire import JSON, MESSAGE_PACK, decode
from stream.clock import ManualClock
from stream.config import Config, SnapshotConfig
from stream.errors import OffsetOutOfRange, PublishFailed, StateMismatch
from stream.kafka.log import Headers, Record, TopicPartition
from stream.telemetry.metrics import Metrics
from stream.worker import loop

START_S = 1_748_851_200
SECOND = 1_000_000_000
Simulate = Callable[[Config], Any]
Day = Callable[[int, int], list[Any]]


def tick(at_s: float, bid: float = 1.08, instrument: str = "EURUSD") -> Tick:
    return Tick(instrument=instrument, event_time_ns=round((START_S + at_s) * 1e9), bid=bid, ask=bid * 1.0001)


def all_quoted(at_s: float) -> list[Tick]:
    mids = {"EURUSD": 1.08, "USDCHF": 0.9, "USDJPY": 150.0, "EURCHF": 0.972}
    return [tick(at_s, mid, name) for name, mid in mids.items()]


def messages(records: Iterable[Record], kind: type[msgspec.Struct]) -> list[Any]:
    return [decode(kind, record.value, JSON) for record in records if record.value is not None]


def test_what_is_read_is_published_and_committed(desk: Config, simulate: Simulate) -> None:
    """After a turn its outputs are in the log, and the group's offsets are those after the processed records."""
    simulation = simulate(desk)
    simulation.feed([*all_quoted(0.5), *all_quoted(1.5), *all_quoted(2.5)])
    simulation.feed([Position(book="spot", asset="EUR", quantity=1e6, event_time_ns=(START_S + 1) * SECOND)])
    worker = simulation.worker()
    assert worker.turn(0) == 13
    assert worker.turn(0) == 0
    outputs = simulation.outputs()
    models = messages(outputs["models"], Model)
    assert [model.timestep - START_S for model in models] == [1, 2]
    residuals = messages(outputs["residual-exposure"], ResidualExposure)
    # A position at the end of step 1 is processed before the quote that closes the step.
    assert [(residual.trigger, residual.timestep - START_S) for residual in residuals] == [
        ("timestep", 1),
        ("timestep", 2),
    ]
    committed = simulation.log.group_offsets("test")
    assert committed == worker.state.offsets
    assert sum(committed.values()) == 13
    assert simulation.inputs_read(worker)


def test_offsets_that_cannot_be_stored_change_nothing_else(
    desk: Config, simulate: Simulate, caplog: pytest.LogCaptureFixture
) -> None:
    """They are for operators: outputs keep their bytes. Each change of the reason is a notice and in a metric."""
    caplog.set_level("INFO", "betapack")

    def play(failures: Iterable[str]) -> dict[str, list[Record]]:
        simulation = simulate(desk)
        clock, metrics = ManualClock(), Metrics()
        worker = simulation.worker(clock=clock, metrics=metrics)
        for step, failure in enumerate(failures):
            simulation.feed(all_quoted(step + 0.5))
            worker._inputs.fail_commits(failure)
            clock.sleep(2)
            simulation.drain(worker)
            shown = f"betapack_group_offsets_stored_ratio {0.0 if failure else 1.0}"
            assert shown in metrics.exposition().decode()
        worker.commit(final=True)
        return dict(simulation.outputs())

    expected = play([""] * 6)
    assert not [line for line in caplog.messages if line.startswith("offsets-")]
    assert play(["", "no coordinator", "no coordinator", "other members", "", ""]) == expected
    assert [line for line in caplog.messages if line.startswith("offsets-")] == [
        "offsets-not-stored because='no coordinator'",
        "offsets-not-stored because='other members'",
        "offsets-stored",
    ]


def test_a_live_position_is_answered_in_the_turn_that_reads_it(desk: Config, simulate: Simulate) -> None:
    """It waits for no tick and for no timestep."""
    simulation = simulate(desk)
    simulation.feed([*all_quoted(0.5), *all_quoted(1.5)])
    worker = simulation.worker()
    simulation.drain(worker)
    before = len(simulation.outputs()["residual-exposure"])
    simulation.feed([Position(book="spot", asset="EUR", quantity=1e6, event_time_ns=(START_S + 2) * SECOND)])
    assert worker.turn(0) == 1
    assert len(simulation.outputs()["residual-exposure"]) == before + 1


def test_finish_closes_the_open_timesteps(desk: Config, simulate: Simulate) -> None:
    """At the end of a replay no more records come, so the last timestep closes without a watermark."""
    simulation = simulate(desk)
    simulation.feed([*all_quoted(0.5), *all_quoted(1.5)])
    worker = simulation.worker()
    simulation.drain(worker)
    assert len(simulation.outputs()["models"]) == 1
    worker.finish()
    assert len(simulation.outputs()["models"]) == 2
    assert len(simulation.log.records("state")) == 1


def test_run_goes_round_until_told_to_stop_and_keeps_the_state(desk: Config, simulate: Simulate) -> None:
    """An orderly stop leaves a snapshot at exactly the records that were processed."""
    simulation = simulate(desk)
    simulation.feed([*all_quoted(0.5), *all_quoted(1.5)])
    worker = simulation.worker()
    turns = iter([False, False, True])
    worker.run(lambda: next(turns))
    (record,) = simulation.log.records("state")
    snapshot = decode(Snapshot, record.value, MESSAGE_PACK)
    offsets = {TopicPartition(each.topic, each.partition): each.offset for each in snapshot.offsets}
    assert offsets == worker.state.offsets
    assert sum(offsets.values()) == 8


def test_a_snapshot_is_taken_at_the_first_commit_after_it_is_due(desk: Config, simulate: Simulate) -> None:
    """Every 5 s of the clock, and only when something was processed since."""
    simulation = simulate(desk)
    clock = ManualClock()
    worker = simulation.worker(clock=clock)
    snapshots = []
    for second in range(12):
        if second != 7:
            simulation.feed(all_quoted(second + 0.5))
        clock.now_ns = second * SECOND
        worker.turn(0)
        snapshots.append(len(simulation.log.records("state")))
    # At 5 s, again 5 s later.
    assert snapshots == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2]
    clock.now_ns += 60 * SECOND
    worker.turn(0)
    # The silence of the feed is a change of state too.
    assert len(simulation.log.records("state")) == 3
    worker.turn(0)
    assert len(simulation.log.records("state")) == 3


def test_a_new_worker_goes_on_where_the_snapshot_ends(desk: Config, simulate: Simulate) -> None:
    """It reads from the snapshot's offsets, whatever the group has committed since."""
    simulation = simulate(desk)
    simulation.feed([*all_quoted(0.5), *all_quoted(1.5)])
    first = simulation.worker()
    simulation.drain(first)
    first.commit(final=True)
    simulation.feed(all_quoted(2.5))
    simulation.drain(first)  # committed to the group, but after the snapshot
    second = simulation.worker()
    assert sum(second.state.offsets.values()) == 8
    assert second.turn(0) == 4
    models = simulation.outputs()["models"]
    assert [record.value for record in models[-2:]] == [models[-1].value] * 2


def test_a_snapshot_of_another_configuration_stops_the_start(desk: Config, simulate: Simulate) -> None:
    """Before anything is read or written."""
    simulation = simulate(desk)
    simulation.worker().commit(final=True)
    simulation.config = msgspec.structs.replace(
        desk, universe=msgspec.structs.replace(desk.universe, max_price_age_s=6.0)
    )
    with pytest.raises(StateMismatch):
        simulation.worker()


def test_records_that_are_gone_stop_the_start(desk: Config, simulate: Simulate) -> None:
    """A snapshot older than the log's retention cannot be continued, and is not quietly skipped over."""
    simulation = simulate(desk)
    simulation.worker().commit(final=True)
    simulation.feed([*all_quoted(0.5), *all_quoted(1.5)])
    for partition in simulation.log.partitions("ticks"):
        simulation.log.delete_before(partition, simulation.log.end(partition))
    with pytest.raises(OffsetOutOfRange):
        simulation.worker()


def test_outputs_that_are_not_acknowledged_stop_the_worker_before_it_commits(desk: Config, simulate: Simulate) -> None:
    """A failed flush ends the worker; the inputs count as unread."""
    simulation = simulate(desk)
    simulation.feed([*all_quoted(0.5), *all_quoted(1.5)])
    writer = simulation.log.writer()
    worker = simulation.worker(writer=writer)
    writer.fail_next_flush()
    with pytest.raises(PublishFailed):
        worker.turn(0)
    assert not simulation.log.group_offsets("test")
    assert not simulation.log.records("state")
    assert not simulation.outputs()["models"]


def test_a_full_buffer_pauses_its_partition_until_it_is_drained(
    desk: Config, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While ticks wait for an unread partition of positions, no more than the capacity and one poll are held."""
    monkeypatch.setattr(loop, "MERGE_CAPACITY", 20)
    simulation = simulate(desk)
    simulation.feed([tick(0.001 * count) for count in range(1, 300)])
    simulation.feed([Position(book="spot", asset="EUR", quantity=1.0, event_time_ns=(START_S + 100) * SECOND)])
    worker = simulation.worker(max_poll_records=15)
    reader = worker._inputs
    (ticks,) = [partition for partition in reader.partitions() if simulation.log.end(partition) == 299]
    (positions,) = [partition for partition in reader.partitions() if simulation.log.end(partition) == 1]
    # A fetch of positions that takes long: the partition is known to hold a record and returns none.
    reader.pause([positions])
    for _ in range(10):
        assert worker.turn(0) == 0
        assert worker._merge.depth <= 20 + 15
    assert ticks in reader._paused
    reader.resume([positions])
    simulation.drain(worker)
    assert ticks not in reader._paused
    assert sum(worker.state.offsets.values()) == 300


def test_a_silent_feed_is_said_once_and_that_it_is_back_once(desk: Config, simulate: Simulate) -> None:
    """The wall clock decides, because a silent feed moves no event time. Positions do not count as quotes."""
    simulation = simulate(desk)
    clock = ManualClock()
    worker = simulation.worker(clock=clock)
    simulation.feed([*all_quoted(0.5), *all_quoted(1.5)])
    states = []
    for second in (0, 9.9, 10, 15, 300):
        clock.now_ns = round(second * SECOND)
        if second == 15:
            simulation.feed([Position(book="spot", asset="EUR", quantity=1.0, event_time_ns=START_S * SECOND)])
        worker.turn(0)
        alerts = messages(simulation.outputs()["alerts"], Alert)
        states.append([alert.state for alert in alerts if alert.kind == "feed-silent"])
    assert states == [[], [], ["raised"], ["raised"], ["raised"]]
    simulation.feed(all_quoted(2.5))
    worker.turn(0)
    alerts = messages(simulation.outputs()["alerts"], Alert)
    assert [alert.state for alert in alerts if alert.kind == "feed-silent"] == ["raised", "cleared"]


def test_a_restart_does_not_clear_a_silence_that_goes_on(desk: Config, simulate: Simulate) -> None:
    """The alert stands until a quote comes, not until the worker was restarted."""
    simulation = simulate(desk)
    clock = ManualClock()
    worker = simulation.worker(clock=clock)
    clock.sleep(11)
    worker.turn(0)
    worker.commit(final=True)
    assert len(simulation.outputs()["alerts"]) == 1
    restarted = simulation.worker(clock=clock)
    for _ in range(5):
        clock.sleep(1)
        restarted.turn(0)
    assert [alert.state for alert in messages(simulation.outputs()["alerts"], Alert)] == ["raised"]
    simulation.feed(all_quoted(0.5))
    restarted.turn(0)
    assert [alert.state for alert in messages(simulation.outputs()["alerts"], Alert)] == ["raised", "cleared"]


def test_a_silence_that_is_said_again_after_a_crash_has_the_same_bytes(desk: Config, simulate: Simulate) -> None:
    """The two messages have the same id and bytes, so readers may drop the second by its id."""
    simulation = simulate(msgspec.structs.replace(desk, snapshot=SnapshotConfig(every_s=1e6)))
    for silent_for_s in (10.2, 10.9):
        clock = ManualClock()
        worker = simulation.worker(clock=clock)
        clock.sleep(silent_for_s)
        worker.turn(0)
        # A crash between the alert and the snapshot of the same commit.
        simulation.forget_snapshots()
    first, second = simulation.outputs()["alerts"]
    assert dict(first.headers)["ce_id"] == dict(second.headers)["ce_id"]
    assert first.value == second.value


def test_a_broken_record_is_a_dead_letter_and_the_stream_goes_on(desk: Config, simulate: Simulate) -> None:
    """From the log to the log: topic, partition, offset, reason and the raw bytes; what follows is processed."""
    simulation = simulate(desk)
    raw = {"ticks": b"\xff\xfe{", "positions": b'{"book":"nobody","asset":"EUR","quantity":1}'}
    simulation.feed([("ticks", raw["ticks"], START_S * 1000), *all_quoted(0.5)])
    simulation.feed([("positions", raw["positions"], START_S * 1000), *all_quoted(1.5)])
    worker = simulation.worker()
    simulation.drain(worker)
    letters = {letter.topic: letter for letter in messages(simulation.outputs()["dead-letters"], DeadLetter)}
    assert {topic: letter.reason for topic, letter in letters.items()} == {
        "ticks": "undecodable",
        "positions": "unknown-book",
    }
    for topic, letter in letters.items():
        (refused,) = [record for record in simulation.log.records(topic) if record.value == raw[topic]]
        assert (letter.partition, letter.offset) == (refused.partition, refused.offset)
        assert (letter.key, letter.value) == (refused.key, refused.value)
        assert letter.detail
    assert len(simulation.outputs()["models"]) == 1


MEGA = 1_000_000
UNKNOWN_BOOK = {"asset": "EUR", "quantity": 1, "event_time_ns": START_S * SECOND}


@pytest.mark.parametrize(
    ("topic", "value", "headers"),
    [
        ("positions", msgspec.json.encode({"book": "\x01" * 3 * MEGA} | UNKNOWN_BOOK), ()),
        ("positions", msgspec.json.encode({"book": "x" * 8 * MEGA} | UNKNOWN_BOOK), ()),
        ("ticks", b"{}", (("content-type", b"\x01" * 2 * MEGA),)),
        ("ticks", b"{}", (("content-type", b"\xff" * 2 * MEGA),)),
        ("ticks", b"{}", (("x" * 2 * MEGA, b"x" * 2 * MEGA),)),
        (
            "hedge-status",
            msgspec.json.encode(
                {"book": "spot", "instrument": "EURUSD", "suggestion_id": "\x01" * 2 * MEGA, "status": "filled"}
            ),
            (),
        ),
    ],
    ids=["a book of control characters", "a book of letters", "header", "header of bytes", "other header", "report"],
)
def test_nothing_that_one_record_holds_ends_the_service(
    desk: Config, simulate: Simulate, topic: str, value: bytes, headers: Headers
) -> None:
    """A letter of a few megabytes at most, and the stream goes on, also at the next start."""
    simulation = simulate(desk)
    simulation.feed(all_quoted(0.5))
    for key in (b"key", b"\x01" * 4 * MEGA):
        # Not by our own writer, for compressed records may be larger than it sends.
        partition = simulation.log.partition_for(topic, key)
        simulation.log.append(partition, key, value, headers, START_S * 1000)
    simulation.feed([*all_quoted(1.5), *all_quoted(2.5)])
    for _ in range(2):
        worker = simulation.worker()
        simulation.drain(worker)
        letters = messages(simulation.outputs()["dead-letters"], DeadLetter)
        assert {letter.topic for letter in letters} == {topic}
        assert all(len(letter.detail) < 3000 for letter in letters)
        assert len(simulation.outputs()["models"]) >= 2


def ladder_of(levels: int, at_s: float, mid: float, instrument: str) -> Tick:
    """Single lots on both sides, far deeper than any book may trade."""
    quote = tick(at_s, mid, instrument)
    rungs = [1e-5 * (rung + 1) for rung in range(levels)]
    return msgspec.structs.replace(
        quote,
        bid_size_lots=0.75,
        ask_size_lots=0.75,
        bid_levels=tuple((quote.bid * (1 - rung), 0.75) for rung in rungs),
        ask_levels=tuple((quote.ask * (1 + rung), 0.75) for rung in rungs),
    )


def with_ladders(inputs: Iterable[Any], levels: int) -> list[Any]:
    return [
        msgspec.structs.replace(
            ladder_of(levels, 0, each.bid, each.instrument), event_time_ns=each.event_time_ns, ask=each.ask
        )
        if isinstance(each, Tick) and 0 < each.bid < each.ask < each.bid * 1.0001
        else each
        for each in inputs
    ]


@pytest.mark.parametrize("impact", ["", "impact_sqrt_bps = 2.0\navailable_lots = 9.0\n"])
def test_levels_that_no_hedge_can_use_change_nothing(
    desk_toml: str, simulate: Simulate, trading_day: Day, monkeypatch: pytest.MonkeyPatch, impact: str
) -> None:
    """The outputs of a day of deep ladders are the same bytes with and without the cut, and the cut is counted."""
    config = msgspec.toml.decode(desk_toml.replace("[[instruments]]\n", f"[[instruments]]\n{impact}"), type=Config)
    inputs = with_ladders(trading_day(60, 4), 40)
    metrics = Metrics()
    outputs = []
    for cut in (True, False):
        if not cut:
            monkeypatch.setattr("stream.events.decode._usable", lambda size, levels, most_lots: levels)
        simulation = simulate(config)
        simulation.feed(inputs)
        worker = simulation.worker(deadlines=False, metrics=metrics if cut else None)
        simulation.drain(worker)
        worker.finish()
        outputs.append(simulation.outputs())
    assert outputs[0]["hedge-suggestions"]
    assert outputs[0] == outputs[1]
    assert metrics.registry.get_sample_value("betapack_levels_cut_total", {"instrument": "EURUSD"}) > 1000


def test_topics_carry_the_prefix(desk: Config, simulate: Simulate) -> None:
    """Two installations share a cluster by their prefix."""
    prefixed = msgspec.structs.replace(desk, topics=msgspec.structs.replace(desk.topics, prefix="dev."))
    assert prefixed.topics.names()["ticks"] == "dev.ticks"
    simulation = simulate(prefixed)
    simulation.feed([*all_quoted(0.5), *all_quoted(1.5)])
    worker = simulation.worker()
    simulation.drain(worker)
    worker.commit(final=True)
    assert len(simulation.log.records("dev.models")) == 1
    assert len(simulation.log.records("dev.state")) == 1


def test_the_metrics_move_with_the_stream(desk: Config, simulate: Simulate, trading_day: Day) -> None:
    """A day through the worker shows in each metric that an operator watches."""
    simulation = simulate(desk)
    simulation.feed(trading_day(90, 4))
    metrics = Metrics()
    worker = simulation.worker(metrics=metrics)
    simulation.drain(worker)
    worker.finish()

    def value(name: str, **labels: str) -> float:
        found = metrics.registry.get_sample_value(f"betapack_{name}", labels)
        assert found is not None, name
        return found

    for topic in ("ticks", "positions"):
        assert value("messages_in_total", topic=topic) == len(simulation.log.records(topic))
    outputs = simulation.outputs()
    for topic in ("models", "residual-exposure", "hedge-suggestions", "alerts", "dead-letters"):
        assert outputs[topic], topic
        assert value("messages_out_total", topic=topic) == len(outputs[topic])
    reasons = [(letter.topic, letter.reason) for letter in messages(outputs["dead-letters"], DeadLetter)]
    for topic, reason in set(reasons):
        assert value("messages_bad_total", topic=topic, reason=reason) == reasons.count((topic, reason))
    # Only those without a source are late, in the partition of their instrument.
    (partition,) = {record.partition for record in simulation.log.records("ticks") if record.key == b"EURUSD"}
    late = worker.state.timesteps.late_quotes
    assert value("quotes_late_total", source=f"EURUSD in ticks[{partition}]") == late > 0
    for partition in worker._inputs.partitions():
        assert value("lag_records", topic=partition.topic, partition=str(partition.partition)) == 0
    assert value("watermark_seconds") >= START_S + 80
    assert value("step_seconds_count", event="Timestep") == len(outputs["models"])
    residuals = messages(outputs["residual-exposure"], ResidualExposure)
    solved = [residual for residual in residuals if residual.status == "ok"]
    # The books of a timestep are packed at once.
    assert value("solve_seconds_count", stage="pack") == len({residual.trigger_source for residual in solved})
    assert value("solve_seconds_count", stage="hedge") > 0
    assert value("commit_seconds_count") > 0
    assert value("turnaround_seconds_count") > 0
    for book in ("spot", "options"):
        (*_, last) = [residual for residual in residuals if residual.book == book]
        assert value("residual_risk_numeraire", book=book) == last.unhedged_risk
        assert value("limit_share_ratio", book=book) == last.limit_share
        assert value("packing_gap_ratio", book=book) == last.gap / last.objective
        of_book = [residual for residual in solved if residual.book == book]
        assert value("packing_solves_total", book=book) == len(of_book)
        assert value("packing_solves_proven_total", book=book) == sum(residual.proven for residual in of_book)
    (*_, model) = messages(outputs["models"], Model)
    assert value("betas_in_use_count") == len(model.betas)
    assert value("covariance_observations_count") == model.observations
    assert value("snapshot_bytes") > 0
    standing = [alert.partition(":")[0] for alert in worker.state.engine.alerts]
    for kind in ("limit-breach", "price-stale"):
        shown = metrics.registry.get_sample_value("betapack_alerts_active_count", {"kind": kind}) or 0
        assert shown == standing.count(kind)
