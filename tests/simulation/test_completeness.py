"""A book is never more complete than its input: whatever loses a position is shown, until it is settled."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from schemas.inbound import Position, PositionsComplete, Tick
from schemas.outbound import Alert, ResidualExposure
from schemas.wire import JSON, decode, encode
from stream.clock import ManualClock
from stream.config import BookConfig, Config
from stream.errors import OffsetOutOfRange, TopicMismatch
from stream.kafka.log import TopicPartition
from stream.web.questions import HypotheticalTrade, Questions
from stream.web.views import View, ViewEncoder

Simulate = Callable[[Config], Any]
MidPrices = Callable[[int, int], np.ndarray]
SECOND = 1_000_000_000
START_S = 1_748_851_200
STEPS = 90
ASSETS = ("EUR", "CHF", "JPY")


def at_ns(second: float) -> int:
    return round((START_S + second) * SECOND)


def level(second: float, asset: str, quantity: float, book: str = "spot") -> Position:
    return Position(book=book, asset=asset, quantity=quantity, event_time_ns=at_ns(second))


def complete(second: float, positions: dict[str, float] | None = None, book: str = "spot") -> PositionsComplete:
    return PositionsComplete(book=book, positions=positions, event_time_ns=at_ns(second))


class Desk:
    """A simulation of the desk with quotes each second, and what it says of its books."""

    def __init__(self, simulation: Any, mids: np.ndarray) -> None:
        self.simulation = simulation
        self.mids = mids
        self.clock = ManualClock()
        self.worker: Any = None

    @property
    def log(self) -> Any:
        return self.simulation.log

    def quote(self, first: int, last: int) -> None:
        """Quotes of the seconds [first, last)."""
        ticks = []
        for second in range(first, last):
            eurusd, usdchf, usdjpy = self.mids[second].tolist()
            for index, (name, mid) in enumerate(
                {"EURUSD": eurusd, "USDCHF": usdchf, "USDJPY": usdjpy, "EURCHF": eurusd * usdchf}.items()
            ):
                time_ns = at_ns(second + 0.1 * (index + 1))
                ticks.append(Tick(instrument=name, event_time_ns=time_ns, bid=mid * 0.99998, ask=mid * 1.00002))
        self.simulation.feed(ticks)

    def put(self, second: float, value: bytes | None, key: bytes | None = b"spot", **headers: str) -> None:
        """A record of `positions` as it stands; `content_type` is the header that it names."""
        writer = self.log.writer()
        said = tuple((name.replace("_", "-"), text.encode()) for name, text in headers.items())
        writer.send("positions", key, value, said, at_ns(second) // 1_000_000)
        writer.flush()

    def start(self, **how: Any) -> None:
        self.worker = self.simulation.worker(clock=self.clock, **how)

    def run(self) -> None:
        self.simulation.drain(self.worker)
        self.worker.turn(0)

    def stop(self) -> None:
        self.run()
        self.worker.commit(final=True)

    def restart(self, **how: Any) -> None:
        self.stop()
        self.start(**how)
        self.run()

    def residual(self, book: str = "spot") -> ResidualExposure:
        """The last one of `book`."""
        every = (decode(ResidualExposure, each.value, JSON) for each in self.log.records("residual-exposure"))
        return [each for each in every if each.book == book][-1]

    def alerts(self, kind: str, book: str = "spot") -> list[Alert]:
        every = (decode(Alert, each.value, JSON) for each in self.log.records("alerts"))
        return [each for each in every if each.alert_key == f"{kind}:{book}"]

    def stands(self, kind: str, book: str = "spot") -> bool:
        return (self.alerts(kind, book) or [None])[-1] is not None and self.alerts(kind, book)[-1].state == "raised"

    def what_if(self, book: str = "spot") -> ResidualExposure:
        return self.questions().what_if(book, HypotheticalTrade()).residual

    def questions(self) -> Questions:
        view, encoder = View(self.simulation.config), ViewEncoder(self.simulation.config)
        update = encoder.update(self.worker.state.engine)
        assert update is not None
        view.take(update)
        return Questions(self.simulation.config, view)


@pytest.fixture
def play(desk: Config, simulate: Simulate, mid_prices: MidPrices) -> Callable[..., Desk]:
    """A desk with 60 seconds of quotes, whose book `spot` holds EUR and CHF at once."""

    def make(config: Config = desk) -> Desk:
        universe = msgspec.structs.replace(config.universe, feed_silent_after_s=1000.0)
        return Desk(simulate(msgspec.structs.replace(config, universe=universe)), mid_prices(STEPS, 5))

    return make


@pytest.fixture
def running(play: Callable[..., Desk]) -> Desk:
    played = play()
    played.simulation.feed([level(1, "EUR", 5e6), level(2, "CHF", -4e6)])
    played.quote(0, 60)
    played.start()
    played.run()
    assert played.residual().status == "ok"
    return played


REFUSED = {
    "content type": (b"\x00Obj\x01avro", {"content_type": "application/avro"}),
    "not finite": (b'{"book": "spot", "asset": "EUR", "quantity": NaN}', {}),
    "text for a number": (b'{"book": "spot", "asset": "EUR", "quantity": "9e6"}', {}),
    "out of range": (b'{"book": "spot", "asset": "EUR", "quantity": 9e99}', {}),
    "milliseconds": (b'{"book": "spot", "asset": "EUR", "quantity": 9e6, "event_time_ns": 1748851261000}', {}),
    "unknown asset": (b'{"book": "spot", "asset": "XAU", "quantity": 9e6}', {}),
    "cut off": (b'{"book": "spot", "asset": "EUR", "quant', {}),
    "no value": (None, {}),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("key", [b"spot", b'["spot","EUR"]'])
def test_a_refused_position_marks_its_book_at_once(running: Desk, name: str, key: bytes) -> None:
    """Whatever the reason, by the message or by the key: before the next timestep, in alert, residual and what-if."""
    value, headers = REFUSED[name]
    suggested = len(running.log.records("hedge-suggestions"))
    running.put(60, value, key, **headers)
    running.run()
    residual = running.residual()
    assert (residual.status, residual.limit_share) == ("incomplete", None)
    assert "positions[" in residual.incomplete[0]
    assert residual.netted_risk
    (alert,) = running.alerts("book-incomplete")
    assert (alert.state, alert.severity, alert.subject) == ("raised", "critical", "spot")
    assert residual.incomplete[0] in alert.message
    assert "betapack confirm" in alert.message
    assert running.what_if().status == "incomplete"
    frontier = running.questions().frontier("spot", 3)
    assert (frontier.status, frontier.detail, frontier.suggestion) == ("incomplete", residual.detail, None)
    assert running.what_if("options").status == "ok"
    assert len(running.log.records("hedge-suggestions")) == suggested
    running.restart()
    running.quote(60, 63)
    running.run()
    assert running.residual().status == "incomplete"
    assert len(running.alerts("book-incomplete")) == 1


def test_a_level_of_the_asset_settles_a_refused_level(running: Desk) -> None:
    """Not one of another asset, and not one that is older than what was refused."""
    running.put(60, b'{"book": "spot", "asset": "EUR", "quantity": NaN, "event_time_ns": %d}' % at_ns(60))
    running.run()
    for other in (level(60.5, "CHF", 1e6), level(59, "EUR", 9e6)):
        running.simulation.feed([other])
        running.run()
        assert running.residual().status == "incomplete", other
    running.simulation.feed([level(60.6, "EUR", 9e6)])
    running.run()
    assert running.residual().status == "ok"
    assert [alert.state for alert in running.alerts("book-incomplete")] == ["raised", "cleared"]


def test_a_level_that_nobody_can_tell_is_settled_by_levels_of_every_asset(running: Desk) -> None:
    """The reason names the assets that are still to come."""
    running.put(60, b"?", b"spot")
    running.run()
    for asset, quantity in (("EUR", 9e6), ("CHF", 0.0)):
        running.simulation.feed([level(60.5, asset, quantity)])
        running.run()
        assert running.residual().status == "incomplete"
    assert running.residual().incomplete[0].endswith("still no level of JPY")
    running.simulation.feed([level(60.5, "JPY", 0.0)])
    running.run()
    assert running.residual().status == "ok"


@pytest.mark.parametrize("key", [None, b"\xff\xfe"])
def test_a_position_that_names_no_book_marks_all(running: Desk, key: bytes | None) -> None:
    """It may be that of any of them."""
    running.put(60, b"?", key)
    running.run()
    assert running.stands("book-incomplete")
    assert running.stands("book-incomplete", "options")
    running.simulation.feed([complete(61), complete(61, {}, "options")])
    running.run()
    assert not running.stands("book-incomplete")
    assert not running.stands("book-incomplete", "options")


def test_a_key_tells_the_book_only_where_keys_are_books(running: Desk) -> None:
    """`other` is a book that is not configured, until a position comes under a key that is no book."""
    running.put(60, b"?", b"other")
    running.run()
    assert not running.alerts("book-incomplete")
    running.put(60.2, encode(level(60.2, "EUR", 1e6), JSON), b"any")
    running.put(60.4, b"?", b"other")
    running.run()
    assert running.stands("book-incomplete")
    assert running.stands("book-incomplete", "options")


def test_what_carries_no_risk_marks_nothing(running: Desk) -> None:
    """A level of the numeraire, and a flat one of an asset outside the universe, which settles an earlier one."""
    running.put(60, b'{"book": "spot", "asset": "USD", "quantity": NaN}')
    running.put(60, b'{"book": "spot", "asset": "XAU", "quantity": 0}')
    running.run()
    assert not running.alerts("book-incomplete")
    running.put(61, b'{"book": "spot", "asset": "XAU", "quantity": 1}')
    running.put(62, b'{"book": "spot", "asset": "XAU", "quantity": 0}')
    running.run()
    assert [alert.state for alert in running.alerts("book-incomplete")] == ["raised", "cleared"]


def test_a_statement_settles_what_it_covers_and_says_what_is_held(running: Desk) -> None:
    """Without positions it confirms what is held; with them it replaces it, and what it does not name is flat."""
    running.put(60, b"?", b"spot")
    running.simulation.feed([complete(61)])
    running.run()
    assert [alert.state for alert in running.alerts("book-incomplete")] == ["raised", "cleared"]
    running.put(62, b"?", b"spot")
    running.simulation.feed([complete(63, {"JPY": 1e6})])
    running.run()
    assert running.residual().status == "ok"
    assert [each.asset for each in running.residual().positions] == ["JPY"]


def test_a_breach_stays_while_the_book_is_incomplete(running: Desk) -> None:
    """Less risk by the levels that are known does not clear the alert on the limit."""
    running.simulation.feed([level(60, "EUR", 60e6)])
    running.run()
    assert running.stands("limit-breach")
    running.put(61, b'{"book": "spot", "asset": "JPY", "quantity": NaN}')
    running.simulation.feed([level(61.5, "EUR", 0.0), level(61.5, "CHF", 0.0)])
    running.run()
    assert running.stands("limit-breach")
    running.simulation.feed([level(62, "JPY", 0.0)])
    running.run()
    assert not running.stands("limit-breach")


def with_books(config: Config, *names: str) -> Config:
    known = {book.name: book for book in config.books}
    books = tuple(known.get(name, BookConfig(name=name, limit=900.0, max_lots=4)) for name in names)
    return msgspec.structs.replace(config, books=books)


def test_a_book_that_is_configured_later_knows_what_was_refused(running: Desk) -> None:
    """It starts incomplete, in alert and what-if before its first position; --rebuild settles it."""
    running.simulation.feed([level(59, "EUR", 9e6, "late"), level(59.5, "CHF", 1e6, "late")])
    running.stop()
    running.simulation.config = with_books(running.simulation.config, "spot", "options", "late")
    running.restart()
    assert running.stands("book-incomplete", "late")
    answer = running.what_if("late")
    assert answer.status == "incomplete"
    assert "2 positions of it were refused before it was configured, the first at positions[" in answer.incomplete[0]
    running.simulation.feed([level(60, "EUR", 1e5, "late")])
    running.quote(60, 62)
    running.run()
    assert running.residual("late").status == "incomplete"
    assert running.residual().status == "ok"
    running.restart(rebuild=True)
    assert running.what_if("late").status == "ok"
    assert {each.asset: round(each.exposure / 1e4) for each in running.residual("late").positions}["EUR"] == 11


def test_a_book_that_left_and_comes_back_does_not_know_its_positions(running: Desk) -> None:
    """They were forgotten with it."""
    running.stop()
    both = running.simulation.config
    running.simulation.config = with_books(both, "options")
    running.restart()
    running.stop()
    running.simulation.config = both
    running.restart()
    assert "positions were forgotten when it left" in running.what_if().incomplete[0]
    running.restart(rebuild=True)
    assert running.what_if().status == "ok"


@pytest.mark.parametrize("rebuild", [False, True])
def test_the_alerts_of_a_book_that_left_are_cleared_with_the_reason(running: Desk, rebuild: bool) -> None:
    """At the start, once, also by a rebuild; and those of the other books stay."""
    running.simulation.feed([level(60, "EUR", 60e6), level(60, "EUR", 60e6, "options")])
    running.run()
    assert running.stands("limit-breach")
    assert running.stands("limit-breach", "options")
    running.stop()
    running.simulation.config = with_books(running.simulation.config, "options", "renamed")
    running.restart(rebuild=rebuild)
    last = running.alerts("limit-breach")[-1]
    assert (last.state, last.message) == ("cleared", "spot left the configuration")
    assert running.stands("limit-breach", "options")
    running.restart()
    assert running.alerts("limit-breach")[-1] == last
    assert [alert.state for alert in running.alerts("limit-breach")].count("cleared") == 1


def test_partitions_that_were_added_stop_the_worker_and_are_read_after_a_restart(running: Desk) -> None:
    """What stands in them is read from its beginning, and what was read before is not read again."""
    read = sum(running.worker.state.offsets.values())
    running.log.add_partitions("positions", 8)
    running.log.append(
        TopicPartition("positions", 6), b"spot", encode(level(60, "JPY", 9e8), JSON), (), at_ns(60) // 1_000_000
    )
    with pytest.raises(TopicMismatch, match=r"positions has 8 partitions .* 4 are being read; start again"):
        running.worker.turn(0)
    running.start()
    assert sum(running.worker.state.offsets.values()) == read
    running.run()
    assert "JPY" in [each.asset for each in running.residual().positions]
    assert running.residual().status == "ok"


def test_an_added_partition_without_its_first_records_leaves_all_books_incomplete(running: Desk) -> None:
    running.stop()
    running.log.add_partitions("positions", 8)
    added = TopicPartition("positions", 6)
    for _ in range(3):
        running.log.append(added, b"spot", encode(level(60, "JPY", 9e8), JSON), (), at_ns(60) // 1_000_000)
    running.log.delete_before(added, 2)
    running.start()
    running.run()
    assert "the first 2 records of positions[6] are gone from the log" in running.what_if("options").incomplete[0]


def make_anew(running: Desk) -> None:
    """As many records as before, so that no offset is out of range."""
    counts = {each: running.log.end(each) for each in running.log.partitions("positions")}
    running.log.make_anew("positions")
    for partition, count in counts.items():
        for _ in range(count):
            running.log.append(partition, b"spot", encode(level(60, "JPY", 9e8), JSON), (), at_ns(60) // 1_000_000)


def test_a_topic_that_is_another_one_is_refused(running: Desk) -> None:
    """With both ids and what to do; not a word is published."""
    running.stop()
    make_anew(running)
    before = running.simulation.outputs()
    with pytest.raises(
        TopicMismatch, match=r"positions is another topic .* positions-2, expected positions-1 .*rebuild"
    ):
        running.start()
    assert running.simulation.outputs() == before


def test_a_topic_that_is_made_anew_while_it_is_read_stops_the_worker(running: Desk) -> None:
    """And the supervisor's restart is refused."""
    running.restart()
    make_anew(running)
    with pytest.raises(TopicMismatch, match="positions is another topic"):
        running.worker.turn(0)
    with pytest.raises(TopicMismatch, match="positions is another topic"):
        running.start()


def test_after_a_rebuild_of_another_topic_books_are_incomplete_until_it_is_settled(running: Desk) -> None:
    """Also by a second rebuild; a statement that came after the first one counts in it, an older one does not."""
    running.stop()
    make_anew(running)
    running.simulation.feed([complete(60.5)])
    running.start(rebuild=True)
    running.run()
    assert "positions is another topic than before" in running.residual().incomplete[0]
    assert running.stands("book-incomplete", "options")
    running.restart(rebuild=True)
    assert running.residual().status == "incomplete"
    running.simulation.feed([complete(61)])
    running.run()
    assert running.residual().status == "ok"
    running.restart(rebuild=True)
    assert running.residual().status == "ok"
    assert running.what_if("options").status == "incomplete"


def gone_head(running: Desk) -> TopicPartition:
    """Without the first level of EUR. Returns its partition."""
    running.stop()
    (first,) = [each for each in running.log.records("positions") if b'"EUR"' in each.value]
    partition = TopicPartition("positions", first.partition)
    running.log.delete_before(partition, first.offset + 1)
    return partition


def test_a_rebuild_without_the_head_of_the_log_leaves_books_incomplete(running: Desk) -> None:
    """Until levels of every asset; a restart goes on with its snapshot and has no doubt."""
    partition = gone_head(running)
    running.restart()
    assert running.residual().status == "ok"
    running.restart(rebuild=True)
    reason = f"the first record of {partition} is gone from the log"
    assert reason in running.residual().incomplete[0]
    assert reason in running.alerts("book-incomplete")[-1].message
    assert running.stands("book-incomplete", "options")
    running.restart()
    running.quote(60, 62)
    running.run()
    assert running.residual().status == "incomplete"
    running.simulation.feed([level(63, asset, 1e6) for asset in ASSETS])
    running.run()
    assert running.residual().status == "ok"


def test_a_first_start_without_the_head_of_the_log_leaves_books_incomplete(running: Desk) -> None:
    gone_head(running)
    running.simulation.forget_snapshots()
    running.start()
    running.run()
    assert running.residual().status == "incomplete"


def test_a_statement_from_before_the_head_was_gone_counts_only_with_positions(running: Desk) -> None:
    """Without them it confirmed levels that are not in the log any more."""
    running.simulation.feed([complete(60)])
    gone_head(running)
    running.start(rebuild=True)
    running.run()
    assert running.residual().status == "incomplete"
    running.simulation.feed([complete(61, {"EUR": 5e6, "CHF": -4e6})])
    running.run()
    assert running.residual().status == "ok"
    running.restart(rebuild=True)
    assert running.residual().status == "ok"
    assert [each.asset for each in running.residual().positions] == ["EUR", "CHF"]


def test_a_rebuild_ends_alerts_that_it_does_not_find_again(running: Desk) -> None:
    """Those of the limit of an incomplete book stand until it is complete: the level that breached it may be gone."""
    running.simulation.feed([level(60, "EUR", 60e6), level(60, "JPY", 6e9, "options")])
    running.run()
    running.stop()
    for partition in running.log.partitions("positions"):
        running.log.delete_before(partition, running.log.end(partition))
    running.start(rebuild=True)
    running.run()
    assert running.stands("limit-breach")
    assert running.stands("limit-breach", "options")
    running.restart()
    running.simulation.feed([complete(61, {}), complete(61, {"JPY": 6e9}, "options")])
    running.run()
    assert [alert.state for alert in running.alerts("limit-breach")] == ["raised", "cleared"]
    assert [alert.state for alert in running.alerts("limit-breach", "options")] == ["raised"]
    running.stop()
    running.log.make_anew("ticks")
    running.start(rebuild=True)
    running.run()
    last = running.alerts("limit-breach", "options")[-1]
    assert (last.state, last.message) == ("cleared", "options: the rebuild did not find this again")


@pytest.mark.parametrize("topic", ["ticks", "hedge-status"])
def test_the_heads_of_other_topics_raise_no_doubt(running: Desk, topic: str) -> None:
    """Quotes only shorten the history, and reports only bridge the time until a position shows the trade."""
    running.stop()
    for partition in running.log.partitions(topic):
        running.log.delete_before(partition, min(5, running.log.end(partition)))
    running.start(rebuild=True)
    running.run()
    assert not running.alerts("book-incomplete")


@pytest.mark.parametrize("key", ["book", "level"])
def test_compaction_is_safe_only_under_keys_of_book_and_asset(play: Callable[..., Desk], key: str) -> None:
    """After compaction and a rebuild a book whose keys name no asset is incomplete; the other has every level."""
    played = play()
    played.log.set_up("positions", cleanup_policy="compact")
    levels = [level(1, "EUR", 5e6), level(2, "CHF", -4e6), level(3, "CHF", -5e6)]
    if key == "level":
        played.simulation.feed(levels)
    else:
        for each in levels:
            played.put((each.event_time_ns or 0) / SECOND - START_S, encode(each, JSON))
    played.quote(0, 60)
    for partition in played.log.partitions("positions"):
        played.log.compact(partition)
    played.start(rebuild=True)
    played.run()
    residual = played.residual()
    assert residual.status == ("ok" if key == "level" else "incomplete")
    if key == "level":
        assert [each.asset for each in residual.positions] == ["EUR", "CHF"]
    else:
        assert 'use keys as ["book","asset"]' in residual.incomplete[0]
        for asset in ASSETS:
            played.put(61, encode(level(61, asset, 1e6), JSON))
        played.run()
        assert played.residual().status == "ok"


def test_a_book_without_an_answer_is_said_before_the_first_timestep(play: Callable[..., Desk]) -> None:
    """No quote is used, so no timestep exists and nothing is `feed-silent` yet: the wall clock says that it waits."""
    played = play()
    played.simulation.feed([level(1, "EUR", 5e6)])
    played.start()
    for _ in range(3):
        played.clock.sleep(600)
        played.run()
    (alert,) = played.alerts("book-waiting")
    assert alert.state == "raised"
    assert "no timestep has closed" in alert.message
    assert not played.alerts("book-waiting", "options")
    played.restart()
    assert len(played.alerts("book-waiting")) == 1
    played.quote(0, 40)
    played.run()
    assert [each.state for each in played.alerts("book-waiting")] == ["raised", "cleared"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_replay_of_refused_positions_gives_the_same_bytes(play: Callable[..., Desk], seed: int) -> None:
    """Read as it is written, or all at once: each refused level marks its book at the same point."""

    def written(live: bool) -> dict[str, list[bytes]]:
        played, chance = play(), Random(seed)
        if live:
            played.start()
        for second in range(STEPS - 1):
            played.quote(second, second + 1)
            if chance.random() < 0.3:
                book, asset = chance.choice(("spot", "options", "other")), chance.choice((*ASSETS, "XAU"))
                key = chance.choice((book.encode(), f'["{book}","{asset}"]'.encode(), None))
                value = chance.choice((b"?", b'{"book": "%s", "asset": "%s", "quantity": 1e99}'))
                value = value % (book.encode(), asset.encode()) if b"%" in value else value
                played.put(second + 0.6, value, key)
            if chance.random() < 0.4:
                asset, book = chance.choice(ASSETS), chance.choice(("spot", "options"))
                played.simulation.feed([level(second + 0.7, asset, chance.randint(-5, 5) * 1e6, book)])
            if chance.random() < 0.1:
                played.simulation.feed([complete(second + 0.8, book=chance.choice(("spot", "options")))])
            if live:
                played.run()
        if not live:
            played.start()
            played.run()
        played.worker.finish()
        outputs = played.simulation.outputs()
        assert any(b"book-incomplete" in each.value for each in outputs["alerts"])
        return {topic: sorted(each.value for each in records) for topic, records in outputs.items()}

    assert written(live=True) == written(live=False), f"seed {seed}"


def test_an_old_error_leads_to_a_marked_book(running: Desk) -> None:
    """The offsets of the snapshot are gone: the error advises --rebuild, and what that cannot know is marked."""
    running.stop()
    for each in [level(60, "EUR", 1e6), level(60.1, "CHF", 1e6)]:
        running.simulation.feed([each])
    for partition in running.log.partitions("positions"):
        running.log.delete_before(partition, running.log.end(partition))
    with pytest.raises(OffsetOutOfRange, match="rebuild"):
        running.start()
    running.start(rebuild=True)
    running.run()
    assert running.residual().status == "incomplete"
