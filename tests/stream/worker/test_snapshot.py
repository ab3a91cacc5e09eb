"""A run that continues from a snapshot publishes, bit for bit, what an unbroken run would have published."""

from __future__ import annotations

from collections.abc import Callable
from json import JSONDecoder
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from schemas.internal import Snapshot
from schemas.wire import MESSAGE_PACK, decode, encode
from stream.config import BookConfig, Config
from stream.engine.book.doubts import Doubt, InputGaps, RefusedBook
from stream.engine.book.state import BookState
from stream.engine.step import Engine
from stream.errors import StateMismatch, TopicMismatch
from stream.events.encode import Encoder, id_of
from stream.events.timesteps import Timesteps, new_timesteps_state
from stream.events.types import FeedSilence, PositionLevel, QuoteDepth, Quotes
from stream.kafka.log import TopicPartition
from stream.testing.memory_log import MemoryLog
from stream.worker.recover import latest_snapshot, recover
from stream.worker.snapshot import (
    FORMAT_VERSION,
    SLOTS,
    Earlier,
    WorkerState,
    earlier,
    joined,
    parts_of,
    restore_snapshot,
    take_snapshot,
)

SECOND = 1_000_000_000
A, B = TopicPartition("ticks", 0), TopicPartition("ticks", 1)
POSITIONS = TopicPartition("positions", 0)

MidPrices = Callable[[int, int], np.ndarray]
Input = tuple[TopicPartition, Quotes | PositionLevel | FeedSilence]


def course(mids: np.ndarray, seed: int) -> list[Input]:
    """Quotes from two partitions, some late, some missing for a while; positions; a feed that falls silent."""
    chance = Random(seed)
    inputs: list[Input] = []
    for step, (eurusd, usdchf, usdjpy) in enumerate(mids.tolist(), start=1):
        prices = (eurusd, usdchf, usdjpy, eurusd * usdchf)
        for index, mid in enumerate(prices):
            if index == 2 and step % 30 > 20:
                continue  # JPY goes stale
            at_ns = step * SECOND - chance.randrange(SECOND) - (9 * SECOND if chance.random() < 0.03 else 0)
            depths = (QuoteDepth(5.0, 4.0, ((float(mid) * 0.9999, 9.0),)),) if chance.random() < 0.5 else ()
            quotes = Quotes(max(at_ns, 1), (index,), (mid * 0.99999,), (mid * 1.00001,), depths)
            inputs.append((chance.choice((A, B)), quotes))
        if chance.random() < 0.4:
            asset = chance.choice((0, 1, 2, None))
            quantity = chance.randint(-8, 8) * (150e6 if asset == 2 else 1e6)
            source = f"positions[0]@{len(inputs)}"
            position = PositionLevel(step * SECOND, chance.choice(("spot", "options")), asset, quantity, source)
            inputs.append((POSITIONS, position))
        if chance.random() < 0.05:
            inputs += [(A, FeedSilence(True)), (A, FeedSilence(False))]
    return inputs


class Run:
    """The part of a worker that has state: timesteps and engine."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.timesteps = Timesteps(config.universe, len(config.instruments), config.covariance.takes_ticks)
        self.engine = Engine(config)
        offsets = {A: 0, B: 0, POSITIONS: 0}
        self.state = WorkerState(new_timesteps_state(len(config.instruments)), self.engine.new_state(), offsets)

    def take(self, inputs: list[Input]) -> bytes:
        """Process `inputs`. Returns the bytes that would be published."""
        published = b""
        for partition, event in inputs:
            if isinstance(event, Quotes):
                events: list[Any] = self.timesteps.add(self.state.timesteps, event, partition)
            else:
                events = [event]
            for each in events:
                self.state.engine, outputs = self.engine.step(self.state.engine, each)
                published += b"".join(msgspec.json.encode(output) for output in outputs)
            self.state.offsets[partition] += 1
        return published

    def restart(self) -> Run:
        """A new process that has nothing but the bytes of this one's snapshot."""
        wire = encode(take_snapshot(self.state, self.config), MESSAGE_PACK)
        fresh = Run(self.config)
        fresh.state = restore_snapshot(decode(Snapshot, wire, MESSAGE_PACK), self.config, fresh.engine)
        return fresh


@pytest.fixture
def mids(mid_prices: MidPrices) -> np.ndarray:
    return mid_prices(110, 7)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_run_that_is_cut_anywhere_goes_on_bit_for_bit(desk: Config, mids: np.ndarray, seed: int) -> None:
    """Three random cuts, in warm-up, with open timesteps, stale prices or standing alerts, give the same bytes."""
    inputs = course(mids, seed)
    unbroken = Run(desk).take(inputs)
    chance = Random(1000 + seed)
    run, published, done = Run(desk), b"", 0
    for cut in [*sorted(chance.sample(range(len(inputs)), 3)), len(inputs)]:
        published += run.take(inputs[done:cut])
        run, done = run.restart(), cut
    assert published == unbroken, f"seed {seed}"
    assert len(unbroken) > 100_000


def test_the_same_state_gives_the_same_snapshot(desk: Config, mids: np.ndarray) -> None:
    """To take a snapshot changes nothing. A restored state gives the bytes of the snapshot that it came from."""
    run = Run(desk)
    run.take(course(mids, 3))
    snapshot = take_snapshot(run.state, desk)
    assert take_snapshot(run.state, desk) == snapshot
    assert take_snapshot(run.restart().state, desk) == snapshot


def test_a_snapshot_before_anything_was_read(desk: Config, mids: np.ndarray) -> None:
    """The state of a worker that has seen nothing can be kept too."""
    fresh = Run(desk)
    assert fresh.restart().take(course(mids, 4)) == Run(desk).take(course(mids, 4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "shrinkage", "methods"),
    [
        ("window", "none", ["johansen", "pca"]),
        ("window", "ledoit-wolf", ["sparse", "pca"]),
        ("window", "none", ["ou", "box_tiao", "baskets", "ica"]),
        ("exponential", "nonlinear", ["sparse"]),
        ("hayashi-yoshida", "oas", ["sparse"]),
    ],
)
def test_every_estimator_goes_on_bit_for_bit(
    desk: Config, mids: np.ndarray, kind: str, shrinkage: str, methods: list[str]
) -> None:
    """Sliding sums, ticks, dense vectors and refits that do not fall on every step."""
    config = msgspec.structs.replace(
        desk,
        covariance=msgspec.structs.replace(
            desk.covariance, kind=kind, shrinkage=shrinkage, window_steps=30, slow_ticks=3, sampling_steps=(1, 3)
        ),
        reversion=msgspec.structs.replace(desk.reversion, methods=tuple(methods), refit_every_steps=3),
    )
    inputs = course(mids, 8)
    unbroken = Run(config).take(inputs)
    # Four steps in a row, so that the cuts fall everywhere between two refits.
    for left in (40, 45, 50, 55):
        run = Run(config)
        published = run.take(inputs[:-left])
        assert published + run.restart().take(inputs[-left:]) == unbroken, f"{left} inputs left"


@pytest.mark.slow
def test_reverting_spreads_go_on_bit_for_bit(desk: Config, mid_prices: MidPrices) -> None:
    """Their adjustment speeds are kept: from a refit on, and between refits, the risk over the horizon is the same."""
    rng = np.random.default_rng(12)
    mids, level = mid_prices(140, 7), 0.0
    for step in range(len(mids)):
        level = 0.5 * level + rng.normal(0.0, 2e-5)
        mids[step, 1] = 0.97 / mids[step, 0] * np.exp(level)
    # A window of sixty steps is short for proof of reversion, so little is asked for.
    reversion = msgspec.structs.replace(
        desk.reversion, false_discovery_rate=0.5, half_life_min_steps=0.1, refit_every_steps=7
    )
    config = msgspec.structs.replace(desk, reversion=reversion)
    inputs = course(mids, 12)
    unbroken = Run(config).take(inputs)
    assert sum(any(beta["adjustment"] for beta in model["betas"]) for model in models(unbroken)) > 20
    for left in (25, 60, 95):
        run = Run(config)
        published = run.take(inputs[:-left])
        assert published + run.restart().take(inputs[-left:]) == unbroken, f"{left} inputs left"


def models(published: bytes) -> list[Any]:
    """The model messages among `published`."""
    messages, text, index = [], published.decode(), 0
    while index < len(text):
        message, index = JSONDecoder().raw_decode(text, index)
        messages.append(message)
    return [message for message in messages if message["id"].startswith("model/")]


def test_what_a_snapshot_says_of_itself(desk: Config, mids: np.ndarray) -> None:
    """It has the format, the configuration, the timestep and the offsets of every input partition, in order."""
    run = Run(desk)
    run.take(course(mids, 5))
    snapshot = take_snapshot(run.state, desk)
    assert (snapshot.universe, snapshot.format_version, snapshot.config_hash) == (
        "fx",
        FORMAT_VERSION,
        desk.state_hash(),
    )
    assert snapshot.timestep == run.state.timesteps.last_closed > 100
    assert snapshot.event_time_ns == snapshot.timestep * SECOND
    offsets = [(each.topic, each.partition, each.offset) for each in snapshot.offsets]
    assert offsets == [(*partition, run.state.offsets[partition]) for partition in (POSITIONS, A, B)]


def test_a_restored_state_shares_nothing_with_the_snapshot(desk: Config, mids: np.ndarray) -> None:
    """Two workers may start from one snapshot; neither changes what the other sees."""
    inputs = course(mids, 6)
    run = Run(desk)
    run.take(inputs[:300])
    snapshot = take_snapshot(run.state, desk)
    first, second = Run(desk), Run(desk)
    first.state = restore_snapshot(snapshot, desk, first.engine)
    ahead = first.take(inputs[300:])
    second.state = restore_snapshot(snapshot, desk, second.engine)
    assert second.take(inputs[300:]) == ahead == run.take(inputs[300:])


def kept(config: Config) -> Snapshot:
    return take_snapshot(Run(config).state, config)


def test_another_format_is_refused(desk: Config) -> None:
    """A newer layout is not guessed at; the message names both numbers."""
    snapshot = msgspec.structs.replace(kept(desk), format_version=FORMAT_VERSION + 1)
    with pytest.raises(StateMismatch, match=rf"has format {FORMAT_VERSION + 1}, this version reads {FORMAT_VERSION}"):
        restore_snapshot(snapshot, desk, Engine(desk))


@pytest.mark.parametrize("section", ["universe", "instruments", "covariance", "reversion"])
def test_a_configuration_in_which_the_numbers_mean_something_else_is_refused(desk: Config, section: str) -> None:
    """Other assets, lots, estimators or windows: the message names both hashes and what may have changed."""
    other: dict[str, object] = {
        "universe": msgspec.structs.replace(desk.universe, timestep_s=2.0),
        "instruments": desk.instruments[:3],
        "covariance": msgspec.structs.replace(desk.covariance, half_life_steps=21.0),
        "reversion": msgspec.structs.replace(desk.reversion, window_steps=61),
    }
    changed = msgspec.structs.replace(desk, **{section: other[section]})
    with pytest.raises(StateMismatch) as caught:
        restore_snapshot(kept(desk), changed, Engine(changed))
    assert desk.state_hash() in str(caught.value)
    assert changed.state_hash() in str(caught.value)
    assert section in str(caught.value)


def test_books_may_come_and_go_and_change_their_limits(desk: Config, mids: np.ndarray) -> None:
    """A new book starts empty, a known one keeps its positions, one that has left is dropped."""
    run = Run(desk)
    run.take(course(mids, 9))
    spot = run.state.engine.books["spot"]
    assert spot.has_positions
    changed = msgspec.structs.replace(
        desk,
        books=(msgspec.structs.replace(desk.books[0], limit=1.0), BookConfig(name="swaps", limit=5.0)),
        solver=msgspec.structs.replace(desk.solver, max_packing_nodes=7),
    )
    state = restore_snapshot(take_snapshot(run.state, desk), changed, Engine(changed)).engine
    assert set(state.books) == {"spot", "swaps"}
    assert (state.books["spot"].quantities == spot.quantities).all()
    assert state.books["spot"].multiples == spot.multiples
    new = state.books["swaps"]
    assert (new.quantities.tolist(), new.has_positions, new.multiples, new.standing) == ([0.0] * 3, False, {}, None)


def test_the_alerts_of_a_book_that_has_left_stand_until_somebody_clears_them(desk: Config) -> None:
    """A restart clears them with a message. Dropped in silence they would stand for ever on the topic `alerts`."""
    run = Run(desk)
    run.state.engine.alerts = {"limit-breach:options", "limit-breach:spot", "price-stale:JPY"}
    changed = msgspec.structs.replace(desk, books=desk.books[:1])
    state = restore_snapshot(take_snapshot(run.state, desk), changed, Engine(changed)).engine
    assert state.alerts == run.state.engine.alerts


def test_doubts_and_what_books_to_come_lack_survive(desk: Config) -> None:
    """Why a book is incomplete, what is still to come, and the books that were refused without being configured."""
    run = Run(desk)
    run.state.topic_ids, run.state.cluster_id = {"positions": "a", "ticks": "b"}, "c"
    doubt = Doubt("a level is gone", ["EUR", "JPY"], 3, "positions[1]", 7, 12, 34, {"positions[1]": 9})
    run.state.engine.books["spot"].doubts = {"all assets": doubt}
    run.state.engine.books["spot"].answered = True
    run.state.engine.gaps = InputGaps(
        {"new": RefusedBook(3, "positions[0]@1", "positions[0]@9", 5)},
        RefusedBook(1, "positions[0]@2", "positions[0]@2", 6),
        {"all books": doubt},
        {"positions[0]": 10},
        foreign_keys=True,
    )
    back = run.restart().state
    assert back.engine.books["spot"].doubts == run.state.engine.books["spot"].doubts
    assert back.engine.books["spot"].answered
    assert back.engine.gaps == run.state.engine.gaps
    assert (back.topic_ids, back.cluster_id) == (run.state.topic_ids, "c")


def test_a_rebuild_reads_what_it_keeps_from_a_snapshot_of_another_version(desk: Config) -> None:
    """Alerts and gaps: also where the rest of the state cannot be read any more; and nothing where nothing can."""
    run = Run(desk)
    run.state.engine.alerts = {"limit-breach:spot"}
    snapshot = take_snapshot(run.state, desk)
    fields = msgspec.msgpack.decode(snapshot.state)
    del fields["covariance"]
    other = msgspec.structs.replace(snapshot, format_version=1, state=msgspec.msgpack.encode(fields))
    assert earlier(other) == Earlier(InputGaps(), ("limit-breach:spot",))
    assert earlier(msgspec.structs.replace(snapshot, state=b"\xc1")) == Earlier()


def test_special_floats_survive(desk: Config) -> None:
    """NaN for what was never quoted, negative zero and subnormal numbers, bit for bit."""
    run = Run(desk)
    odd = np.array([-0.0, 5e-324, -1.7976931348623157e308])
    run.state.engine.books["spot"] = BookState(quantities=odd.copy(), has_positions=True)
    state = run.restart().state
    assert state.engine.books["spot"].quantities.tobytes() == odd.tobytes()
    assert state.timesteps.bids.tobytes() == run.state.timesteps.bids.tobytes()
    assert np.isnan(state.timesteps.bids).all()


def test_an_array_that_came_back_can_be_written_to(desk: Config, mids: np.ndarray) -> None:
    """Positions change in place; a read-only view of the snapshot's bytes would fail at the first one."""
    run = Run(desk)
    run.take(course(mids, 2)[:100])
    back = run.restart()
    back.engine.step(back.state.engine, PositionLevel(SECOND, "spot", 0, 5.0, "positions[0]@0", dated=False))
    assert back.state.engine.books["spot"].quantities[0] == 5.0


def test_bytes_that_are_no_state_are_refused(desk: Config) -> None:
    """Bytes that do not fit the layout of the state are refused, and the message names the next step."""
    for state in (msgspec.msgpack.encode({"timesteps": {}}), b"", b"\xc1"):
        with pytest.raises(StateMismatch, match="--rebuild"):
            restore_snapshot(msgspec.structs.replace(kept(desk), state=state), desk, Engine(desk))


class StateTopic:
    """A log of nothing but snapshots, and what a worker that starts finds in it."""

    def __init__(self, partitions: int = 1) -> None:
        self.log = MemoryLog({"state": partitions})

    def keep(self, parts: list[Snapshot]) -> None:
        writer = self.log.writer()
        for part in parts:
            Encoder("", "/test").send(writer, part)
        writer.flush()

    def found(self) -> Snapshot | None:
        return latest_snapshot(self.log.reader(["state"], "test"), "fx")

    def compact(self) -> None:
        """Keep the latest record of each key, as the broker may do at any time."""
        latest = {record.key: record for record in self.log.records("state")}
        self.log = MemoryLog({"state": 1})
        for record in sorted(latest.values(), key=lambda each: each.offset):
            self.log.append(TopicPartition("state", 0), record.key, record.value, record.headers, record.timestamp_ms)


def snapshots(desk: Config, mids: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> list[Snapshot]:
    """Of one run at three times; the state of each needs more than four records of 2,000 bytes."""
    monkeypatch.setattr("stream.worker.snapshot.PART_BYTES", 2000)
    run, taken = Run(desk), []
    inputs = course(mids, 4)
    for start in range(0, 300, 100):
        run.take(inputs[start : start + 100])
        taken.append(take_snapshot(run.state, desk))
    assert all(len(each.state) > 8000 for each in taken)
    return taken


def test_a_large_state_is_kept_in_parts(desk: Config, mids: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """No record is larger than was agreed, each is an event of its own, and together they are the snapshot."""
    for slot, snapshot in enumerate(snapshots(desk, mids, monkeypatch)[:2]):
        parts = parts_of(snapshot, slot)
        assert [each.part for each in parts] == list(range(parts[0].parts))
        assert max(len(each.state) for each in parts) <= 2000
        assert len({id_of(each) for each in parts}) == len(parts)
        whole = joined(parts)
        assert whole is not None
        assert (whole.id, whole.state, whole.offsets) == (snapshot.id, snapshot.state, snapshot.offsets)


@pytest.mark.parametrize("compacted", [False, True])
def test_a_snapshot_of_which_parts_are_missing_is_not_gone_on_from(
    desk: Config, mids: np.ndarray, monkeypatch: pytest.MonkeyPatch, compacted: bool
) -> None:
    """A worker dies after any number of parts, and so does the next: a start finds the last whole snapshot."""
    first, second, third = snapshots(desk, mids, monkeypatch)
    parts = parts_of(second, 0)
    for died_after in range(len(parts) + 1):
        topic = StateTopic()
        assert topic.found() is None
        topic.keep(parts_of(first, 1))
        topic.keep(parts[:died_after])
        if compacted:
            topic.compact()
        found = topic.found()
        assert found is not None
        assert found.state == (second if died_after == len(parts) else first).state
        # The next one is written over what is not whole, never over what was gone on from.
        topic.keep(parts_of(third, (found.slot + 1) % SLOTS)[:2])
        again = topic.found()
        assert again is not None
        assert again.state == found.state
        topic.keep(parts_of(third, (found.slot + 1) % SLOTS))
        last = topic.found()
        assert last is not None
        assert last.state == third.state


def test_parts_of_states_that_go_by_the_same_id_are_not_put_together(
    desk: Config, mids: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A feed that falls silent changes the state, and neither timestep nor offsets, which the id counts."""
    snapshot = snapshots(desk, mids, monkeypatch)[0]
    other = msgspec.structs.replace(snapshot, state=snapshot.state[:-1] + b"\x00")
    mixed = [*parts_of(other, 0)[:1], *parts_of(snapshot, 0)[1:]]
    assert joined(mixed) is None
    assert joined([]) is None


def with_content_type(desk: Config, content_type: bytes) -> StateTopic:
    topic = StateTopic()
    topic.keep([kept(desk)])
    (record,) = topic.log.records("state")
    topic.log.append(TopicPartition("state", 0), record.key, record.value, (("content-type", content_type),), 0)
    return topic


def test_a_snapshot_is_read_whatever_the_spelling_of_its_media_type(desk: Config) -> None:
    """As a tool writes it that copies topics from one cluster to another."""
    for content_type in (b"Application/msgpack; charset=utf-8", b"application/x-msgpack"):
        assert with_content_type(desk, content_type).found() == kept(desk)


@pytest.mark.parametrize("content_type", [b"\xff", b"x" * 2_000_000, b"application/msgpack; charset=latin-1"])
def test_a_snapshot_of_another_media_type_is_refused_in_few_words(desk: Config, content_type: bytes) -> None:
    """With what to do next, whatever the header holds."""
    with pytest.raises(StateMismatch, match="--rebuild") as caught:
        with_content_type(desk, content_type).found()
    assert len(str(caught.value)) < 1000


def test_a_topic_of_several_partitions_cannot_say_which_snapshot_is_the_last() -> None:
    with pytest.raises(TopicMismatch, match=r"must have one partition, got state\[0\], state\[1\]"):
        StateTopic(2).found()


def test_a_rebuild_of_a_rebuild_that_was_cut_off_keeps_the_alerts_from_before_both(desk: Config) -> None:
    """A supervisor starts again with the same arguments. What stood before the first rebuild is still to be cleared."""
    run = Run(desk)
    run.state.engine.alerts.add("price-stale:EUR")
    run.state.engine.earlier_alerts = ("limit-breach:spot", "price-stale:EUR")
    (part,) = parts_of(take_snapshot(run.state, desk), 0)
    log = MemoryLog({"ticks": 1, "positions": 1, "hedge-status": 1, "state": 1})
    content_type = (("content-type", MESSAGE_PACK.encode()),)
    key = desk.universe.name.encode()
    log.append(TopicPartition("state", 0), key, encode(part, MESSAGE_PACK), content_type, 0)
    inputs = log.reader(["ticks", "positions", "hedge-status"], "monitor")
    recovered = recover(desk, Engine(desk), inputs, log.reader(["state"], "monitor"), None, rebuild=True)
    assert recovered.state.engine.earlier_alerts == ("limit-breach:spot", "price-stale:EUR")
